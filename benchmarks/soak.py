"""Long runs: does the daemon grow, slow down or lose anything, hour after hour?

The daemon runs in a process of its own; this one subscribes to every message, and once a minute writes down

- the daemon's memory (RSS; the median of a look every second, for a frame that is in flight just then is no growth, and
  the most), descriptors, threads and share of the processor,
- percentiles of the latency of that minute's messages, from the capture stamp to the send and to this subscriber,
- frames that the daemon dropped because a newer one was there, and messages that were lost on the way.

At the end it judges: the memory's slope after the warm-up, descriptors and threads from then on, the p99 at the end
against the one at the beginning, and lost messages; the exit code is 1 when one of them is bad. Half an hour is
the least that tells of memory and p99: a shorter run says that there is no verdict, but what it lost or leaked is bad
all the same, and otherwise its exit code is 0. The document is written every minute, so that a run that is cut short
keeps what it had; the last line is that JSON document. After Ctrl-C the exit code is 130, and 2 where it could not run.
"""

import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from time import monotonic
from typing import Any

import numpy as np
import psutil
import tyro
from document import Document, check_png
from errors import in_one_line
from numpy.typing import NDArray

from realtime import RealtimeError, StreamTimeout, Subscriber
from realtime.message import Message
from realtime.report import machine, versions
from realtime.signals import stopping
from train import checks

START_S = 60.0
LOOK_S = 1.0
ENOUGH_MINUTES = 30.0
"""A run has to last this long for its memory and p99 to be judged."""
WARM_UP_MINUTES = 10.0
COMPARED_MINUTES = 10.0
SLOPE_MB_PER_HOUR = 1.0
P99_RATIO = 1.2
COUNTED = ("descriptors", "threads")
SPREAD = 2
"""How far the number of descriptors, or of threads, may vary after the warm-up: a subscriber comes or goes."""


@dataclass(frozen=True, kw_only=True)
class SoakConfig:
    """Run the daemon for long and write down once a minute how it does."""

    minutes: float = 60.0
    """How long, from the first message on."""
    source: str = "demo"
    """As `catchlight run --source`."""
    engine: str = "auto"
    """As `catchlight run --engine`."""
    tier: str = "auto"
    """As `catchlight run --tier`."""
    face: bool = False
    """Enhance the face too."""
    interval_s: float = 60.0
    """Time between two rows."""
    json: Path = Path("soak.json")
    """Where the document goes."""
    plot: Path | None = None
    """Draw the rows here, as PNG."""

    def __post_init__(self) -> None:
        checks.positive(self, "minutes", "interval_s")


@dataclass
class Interval:
    """What came since the last row."""

    send_ms: list[float] = field(default_factory=list)
    receive_ms: list[float] = field(default_factory=list)

    def add(self, message: Message) -> None:
        self.send_ms.append(message.latency_ms)
        self.receive_ms.append(message.age_ms())


def main(config: SoakConfig) -> dict[str, Any]:
    settings = {name: value.name if isinstance(value, Path) else value for name, value in asdict(config).items()}
    if config.plot is not None:
        check_png(config.plot)
    facts = {"config": settings, "machine": machine(), "versions": versions(), "rows": [], "verdict": {}}
    latencies: list[list[float]] = []
    with Document(config.json, facts) as document:
        with stopping() as stop, daemon(config) as (process, endpoint), reader(endpoint) as subscriber:
            for row, latency in rows(config, process, subscriber, stopped=lambda: bool(stop)):
                measured = [*document["rows"], row]
                latencies.append(latency)
                document.add(rows=measured, verdict=verdict(measured, latencies))
                show(row)
        for line in document["verdict"].get("lines", ["nothing was measured"]):
            print(line)
        if config.plot is not None and document["rows"]:
            draw(document, config.plot)
        if stop:
            sys.exit(stop.exit_code)
    return document


def reader(endpoint: str) -> Subscriber[Message]:
    return Subscriber(endpoint, newest=False, timeout_s=0.5)


@contextmanager
def daemon(config: SoakConfig) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """The daemon, streaming; raises RealtimeError with its words when it does not end well."""
    with tempfile.TemporaryDirectory() as folder:
        endpoint, errors = f"ipc://{folder}/eyes", Path(folder, "errors")
        command = [sys.executable, "-m", "realtime", "run", "--source", config.source, "--bind", endpoint]
        command += ["--engine", config.engine, "--tier", config.tier, *(["--face"] if config.face else [])]
        with errors.open("w") as words, subprocess.Popen(command, stderr=words, text=True) as process:
            try:
                yield process, endpoint
            finally:
                process.terminate()
                code = process.wait(30)
        if code not in (0, 130, 143):
            raise RealtimeError(
                f"{' '.join(command)}: expected it to end well, got {code}: {errors.read_text()[-2000:]}"
            )


def rows(
    config: SoakConfig, process: subprocess.Popen[str], subscriber: Subscriber[Message], stopped: Callable[[], bool]
) -> Iterator[tuple[dict[str, Any], list[float]]]:
    """A row and its latencies for every interval, from the first message on."""
    watched = psutil.Process(process.pid)
    first = receive(subscriber, process, monotonic() + START_S)
    if first is None:
        return
    began_s, newest = monotonic(), first
    ends_s = began_s + 60 * config.minutes
    dropped, lost = first.dropped, 0
    watched.cpu_percent()
    while not stopped() and process.poll() is None and monotonic() < ends_s - 0.5 * config.interval_s:
        since_s, interval, rss_mb = monotonic(), Interval(), list[float]()
        while not stopped() and (left_s := since_s + config.interval_s - monotonic()) > 0:
            if monotonic() - since_s >= len(rss_mb) * LOOK_S:
                rss_mb.append(watched.memory_info().rss / 1e6)
            message = receive(subscriber, process, monotonic() + min(left_s, LOOK_S))
            if message is None and process.poll() is not None:
                return
            if message is not None:
                interval.add(message)
                newest = message
        if process.poll() is not None:
            return
        yield (
            {
                "minute": round((monotonic() - began_s) / 60, 3),
                "rss_mb": round(float(np.median(rss_mb)), 2),
                "rss_max_mb": round(max(rss_mb), 2),
                **state(watched),
                "subscriber_rss_mb": round(psutil.Process().memory_info().rss / 1e6, 2),
                "messages": len(interval.send_ms),
                "fps": round(len(interval.send_ms) / (monotonic() - since_s), 2),
                "send_ms": percentiles(interval.send_ms),
                "receive_ms": percentiles(interval.receive_ms),
                "dropped": newest.dropped - dropped,
                "lost": subscriber.lost - lost,
                "rejected": subscriber.rejected,
                "engine": newest.engine,
                "tier": newest.tier,
            },
            interval.send_ms,
        )
        dropped, lost = newest.dropped, subscriber.lost


def receive(subscriber: Subscriber[Message], process: subprocess.Popen[str], until_s: float) -> Message | None:
    """The next message; None when none came until then, or the daemon has ended."""
    while process.poll() is None and monotonic() < until_s:
        with suppress(StreamTimeout):
            return subscriber.receive()
    return None


def state(process: psutil.Process) -> dict[str, float]:
    """What the daemon holds now."""
    with process.oneshot():
        return {
            "descriptors": process.num_fds(),
            "threads": process.num_threads(),
            "cpu_percent": process.cpu_percent(),
        }


def percentiles(values_ms: list[float]) -> dict[str, float] | None:
    """p50, p95, p99 and max of one interval; None when nothing came in it."""
    if not values_ms:
        return None
    levels = np.percentile(values_ms, [50, 95, 99, 100])
    return {name: round(float(level), 3) for name, level in zip(("p50", "p95", "p99", "max"), levels, strict=True)}


def verdict(rows: list[dict[str, Any]], latencies: list[list[float]]) -> dict[str, Any]:
    """The numbers that count, and a line for each."""
    minutes = np.array([row["minute"] for row in rows])
    warm = minutes > min(WARM_UP_MINUTES, minutes[-1] / 3)
    slope = 60 * median_slope(minutes[warm], np.array([row["rss_mb"] for row in rows])[warm])
    span = min(COMPARED_MINUTES, minutes[-1] / 3)
    first, last = (
        np.concatenate([np.array(part) for part, chosen in zip(latencies, which, strict=True) if chosen] or [[]])
        for which in (minutes <= max(span, minutes[0]), minutes > minutes[-1] - max(span, minutes[0]))
    )
    p99 = [float(np.percentile(part, 99)) if part.size else float("nan") for part in (first, last)]
    ratio, lost = p99[1] / p99[0], sum(row["lost"] for row in rows)
    counts = {name: [row[name] for row, chosen in zip(rows, warm, strict=True) if chosen] for name in COUNTED}
    long_enough = bool(minutes[-1] >= ENOUGH_MINUTES)
    good = {
        "memory": slope < SLOPE_MB_PER_HOUR,
        "p99": ratio <= P99_RATIO,
        "lost": lost == 0,
        **{name: max(values) - min(values) <= SPREAD for name, values in counts.items()},
    }
    judged = good if long_enough else {name: well for name, well in good.items() if name not in ("memory", "p99")}
    words = {name: ("good" if good[name] else "BAD") if name in judged else "not judged" for name in good}
    all_good = all(judged.values())
    summary = "good" if all_good else "BAD"
    if all_good and not long_enough:
        summary = (
            f"none; what can be judged in {minutes[-1]:.1f} minutes is good, but memory and p99 take "
            f"{ENOUGH_MINUTES:g} minutes"
        )

    return {
        "minutes": round(float(minutes[-1]), 2),
        "long_enough": long_enough,
        "good": None if all_good and not long_enough else all_good,
        "slope_mb_per_hour": number(slope),
        "p99_first_ms": number(p99[0]),
        "p99_last_ms": number(p99[1]),
        "p99_ratio": number(ratio),
        "lost": lost,
        "lines": [
            f"memory: {slope:+.2f} MB an hour after the warm-up, expected under {SLOPE_MB_PER_HOUR:g}: "
            f"{words['memory']}",
            f"p99: {p99[0]:.1f} ms at the beginning, {p99[1]:.1f} ms at the end, {ratio:.2f} times, expected at most "
            f"{P99_RATIO:g}: {words['p99']}",
            f"messages lost: {lost} of {sum(row['messages'] for row in rows)}, expected 0: {words['lost']}; "
            f"frames dropped by the daemon, and counted: {sum(row['dropped'] for row in rows)}",
            *(
                f"{name}: {min(values)} to {max(values)} after the warm-up, expected at most {SPREAD} between them: "
                f"{words[name]}"
                for name, values in counts.items()
            ),
            f"verdict: {summary}",
        ],
    }


def exit_code(document: dict[str, Any]) -> int:
    """1 when something that was judged is bad, or nothing was measured."""
    return int(document["verdict"].get("good", False) is False)


def median_slope(x: NDArray[np.float64], y: NDArray[np.float64]) -> float:
    """The median of the slopes between all pairs of points (Theil 1950, Sen 1968); NaN with fewer than three points.

    Pages leave a process's resident set and are back a few seconds later, seven megabytes at a time where it was
    watched, in mappings that had nothing to do with each other. That is no growth, and it moves a least-squares line by
    several megabytes an hour.
    """
    if len(x) < 3:
        return float("nan")
    i, j = np.triu_indices(len(x), 1)
    return float(np.median((y[j] - y[i]) / (x[j] - x[i])))


def number(value: float) -> float | None:
    """JSON knows no NaN."""
    return round(value, 3) if np.isfinite(value) else None


def show(row: dict[str, Any]) -> None:
    """One line for people."""
    latency = row["send_ms"] or dict.fromkeys(("p50", "p95", "p99"), float("nan"))
    print(
        f"{row['minute']:7.2f} min  {row['rss_mb']:7.1f} MB  {row['descriptors']} descriptors  {row['threads']} threads"
        f"  {row['fps']:.1f} fps  p50 {latency['p50']:.1f}  p95 {latency['p95']:.1f}  p99 {latency['p99']:.1f} ms"
        f"  {row['dropped']} dropped  {row['lost']} lost",
        flush=True,
    )


def draw(document: dict[str, Any], path: Path) -> None:
    """Memory, descriptors and threads, latency, and losses over the run's minutes."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    rows = document["rows"]
    minutes = [row["minute"] for row in rows]
    figure, panels = plt.subplots(4, 1, figsize=(9, 10), sharex=True, constrained_layout=True)
    for panel, (label, lines) in zip(
        panels,
        {
            "daemon's RSS, MB": {
                "median": [row["rss_mb"] for row in rows],
                "most": [row["rss_max_mb"] for row in rows],
            },
            "count": {name: [row[name] for row in rows] for name in COUNTED},
            "capture to send, ms": {p: [(row["send_ms"] or {}).get(p) for row in rows] for p in ("p50", "p95", "p99")},
            "in each interval": {name: [row[name] for row in rows] for name in ("dropped", "lost")},
        }.items(),
        strict=True,
    ):
        for name, values in lines.items():
            panel.plot(minutes, [np.nan if value is None else value for value in values], label=name)
        panel.set_ylabel(label)
        panel.legend(loc="upper right")
        panel.grid(alpha=0.3)
    panels[0].set_title(f"{rows[-1]['engine']}, tier {rows[-1]['tier']}, {document['config']['source']}")
    panels[2].set_ylim(bottom=0)
    panels[-1].set_xlabel("minutes")
    figure.savefig(path, dpi=110)
    plt.close(figure)


if __name__ == "__main__":
    with in_one_line():
        sys.exit(exit_code(main(tyro.cli(SoakConfig, config=(tyro.conf.FlagCreatePairsOff,)))))
