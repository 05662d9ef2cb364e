"""How many cores this process may use."""

import math
import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path


def available_cores(root: Path = Path("/")) -> int:
    """Those that it may run on, and on Linux no more than its control group has the time of, as in a container.

    At least 1; half a core counts as one. With more threads than that a frame would use up the group's time for all,
    and the system would stop them for tens of milliseconds. root: where /proc and /sys are.
    """
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, min([cores, *(math.ceil(quota) for quota in _quotas(root))]))


def _quotas(root: Path) -> Iterator[float]:
    """Cores that the process's control groups allow, each and those above it: cgroups(7), versions 2 and 1."""
    try:
        lines = (root / "proc/self/cgroup").read_text().splitlines()
    except OSError:  # no Linux
        return
    for line in lines:
        number, controllers, path = line.split(":", 2)
        if number == "0":
            top, files = root / "sys/fs/cgroup", ["cpu.max"]
        elif "cpu" in controllers.split(","):
            top, files = root / "sys/fs/cgroup" / controllers, ["cpu.cfs_quota_us", "cpu.cfs_period_us"]
        else:
            continue
        group = top / path.lstrip("/")
        for folder in (group, *group.parents[: len(group.parts) - len(top.parts)]):
            with suppress(OSError, ValueError):  # no such group as seen from here, or no bound ("max", -1)
                quota_us, period_us = map(int, " ".join((folder / file).read_text() for file in files).split())
                if quota_us > 0:
                    yield quota_us / period_us
