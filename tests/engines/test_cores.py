import os

import pytest

from engines.cores import available_cores


@pytest.fixture
def root(tmp_path, monkeypatch):
    """A machine of 64 cores."""
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: range(64), raising=False)

    def write(files):
        for name, text in files.items():
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / name).write_text(text)
        return tmp_path

    return write


V2, V1 = "proc/self/cgroup", "sys/fs/cgroup/cpu,cpuacct"


@pytest.mark.parametrize(
    ("files", "cores"),
    [
        ({}, 64),
        ({V2: "0::/\n"}, 64),
        ({V2: "0::/\n", "sys/fs/cgroup/cpu.max": "max 100000\n"}, 64),
        ({V2: "0::/\n", "sys/fs/cgroup/cpu.max": "200000 100000\n"}, 2),
        ({V2: "0::/\n", "sys/fs/cgroup/cpu.max": "150000 100000\n"}, 2),
        ({V2: "0::/\n", "sys/fs/cgroup/cpu.max": "10000 100000\n"}, 1),
        ({V2: "0::/\n", "sys/fs/cgroup/cpu.max": "9900000 100000\n"}, 64),
        ({V2: "0::/\n", "sys/fs/cgroup/cpu.max": "nonsense\n"}, 64),
        ({V2: "0::/a/b:c\n", "sys/fs/cgroup/a/cpu.max": "300000 100000", "sys/fs/cgroup/a/b:c/cpu.max": "max 9"}, 3),
        ({V2: "0::/not/seen/from/here\n", "sys/fs/cgroup/cpu.max": "400000 100000\n"}, 4),
        (
            {
                V2: "4:memory:/x\n2:cpu,cpuacct:/docker/1\n0::/\n",
                f"{V1}/docker/1/cpu.cfs_quota_us": "250000\n",
                f"{V1}/docker/1/cpu.cfs_period_us": "100000\n",
                f"{V1}/cpu.cfs_quota_us": "-1\n",
                f"{V1}/cpu.cfs_period_us": "100000\n",
            },
            3,
        ),
    ],
    ids=str,
)
def test_cores_are_those_that_the_control_group_has_the_time_of(root, files, cores):
    assert available_cores(root(files)) == cores


def test_this_process_has_at_least_one():
    assert 1 <= available_cores() <= (os.cpu_count() or 1)
