"""Load: what is the most that this machine holds, and what happens past it?

The daemon runs on the synthetic webcam at rising frame rates, for both eyes and for eyes and face, and several daemons
at once; each in a process of its own with a subscriber to it. Past the limit the delivered rate levels off, frames are
dropped and counted, and the latency of those that are delivered should stay bounded: the oldest work is dropped, never
queued. The synthetic webcam is part of the load: it paints, compresses and unpacks every frame that it gives.

The last line is one JSON document: {"load": [{"offered_fps", "windows", "daemons", "delivered_fps", ...}]}.
"""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import tyro
from document import Document, check_png
from errors import in_one_line
from rich.box import SIMPLE
from rich.console import Console
from rich.table import Table
from whole import run_daemon

from realtime.report import machine, versions
from train import checks

FPS = (15, 30, 60, 120)
DAEMONS = (1, 2, 4)
DAEMONS_FPS = 30
WINDOWS = {"eyes": (), "eyes+face": ("--face",)}


@dataclass(frozen=True, kw_only=True)
class LoadConfig:
    """Measure delivered rate, latency and drops against the offered rate."""

    quick: bool = False
    """Fewer and shorter runs: within 45 seconds on two cores."""
    engine: str = "auto"
    """As `catchlight run --engine`."""
    tier: str = "default"
    """As `catchlight run --tier`. With "auto" the daemon may change it under load, which is its answer to load."""
    seconds: float = 20.0
    """How long each run streams."""
    json: Path | None = None
    """Write the JSON document here too."""
    plot: Path | None = None
    """Draw delivered rate and p99 against offered rate here, as PNG."""

    def __post_init__(self) -> None:
        checks.positive(self, "seconds")


def main(config: LoadConfig) -> dict[str, Any]:
    """Measure, print a table for people, then the document as one line."""
    if config.plot is not None:
        check_png(config.plot)
    console = Console(highlight=False)
    seconds = min(config.seconds, 3.0) if config.quick else config.seconds
    facts = {"quick": config.quick, "seconds": seconds, "machine": machine(), "versions": versions()}
    with Document(config.json, facts) as document:
        with console.status("running daemons"):
            for fps, windows, daemons in cases(quick=config.quick):
                document.extend(load=[measure(config, fps, windows, daemons, seconds)])
        show(document["load"], console)
        if config.plot is not None:
            draw(document["load"], config.plot)
    return document


def cases(*, quick: bool) -> list[tuple[int, str, int]]:
    """Offered frames a second, windows, daemons."""
    if quick:
        return [(30, "eyes", 1), (60, "eyes", 1), (120, "eyes", 1), (30, "eyes+face", 1), (30, "eyes", 2)]
    one = [(fps, windows, 1) for windows in WINDOWS for fps in FPS]
    return one + [(DAEMONS_FPS, "eyes", daemons) for daemons in DAEMONS if daemons > 1]


def measure(config: LoadConfig, fps: int, windows: str, daemons: int, seconds: float) -> dict[str, Any]:
    """One row: daemons at once, each offered so many frames a second; rates are their sum, latency the worst's."""
    options = ("--fps", str(fps), *WINDOWS[windows])

    def one(_: int) -> dict[str, Any]:
        return run_daemon(config.engine, config.tier, (640, 480), seconds, *options)

    with ThreadPoolExecutor(daemons) as pool:
        told = list(pool.map(one, range(daemons)))
    worst = max(told, key=lambda row: row["latency_ms"]["p99"] or 0.0)
    captured = sum(row["frames_captured"] for row in told)
    return {
        "offered_fps": fps * daemons,
        "windows": windows,
        "daemons": daemons,
        "delivered_fps": round(sum(row["fps"] or 0.0 for row in told), 2),
        "dropped": sum(row["frames_dropped"] for row in told),
        "captured": captured,
        "latency_ms": worst["latency_ms"],
        "receive_ms": worst["receive_ms"],
        "stages_ms": worst["stages_ms"],
        "cpu_share": round(sum(row["cpu_share"] for row in told), 3),
        "peak_rss_mb": sum(row["peak_rss_mb"] for row in told),
        "engine": worst["engine"],
        "tier": worst["tier"],
    }


def show(load: list[dict[str, Any]], console: Console) -> None:
    columns = ("windows", "daemons", "offered", "delivered", "dropped", "p50 ms", "p99 ms", "max ms", "cores", "MB")
    table = Table(
        *columns,
        box=SIMPLE,
        title=f"load, {load[0]['engine']}, tier {load[0]['tier']}, frames a second, demo at 640x480",
    )
    for row in load:
        latency = row["latency_ms"]
        table.add_row(
            row["windows"],
            str(row["daemons"]),
            str(row["offered_fps"]),
            f"{row['delivered_fps']:.1f}",
            f"{row['dropped'] / max(row['captured'], 1):.0%}",
            *(f"{latency[level] or 0:.1f}" for level in ("p50", "p99", "max")),
            f"{row['cpu_share']:.2f}",
            f"{row['peak_rss_mb']:.0f}",
        )
    console.print(table)


def draw(load: list[dict[str, Any]], path: Path) -> None:
    """Delivered rate and p99 against offered rate, of single daemons."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    figure, (rate, latency) = plt.subplots(1, 2, figsize=(10, 4), constrained_layout=True)
    for windows in WINDOWS:
        rows = [row for row in load if row["windows"] == windows and row["daemons"] == 1]
        offered = [row["offered_fps"] for row in rows]
        rate.plot(offered, [row["delivered_fps"] for row in rows], "o-", label=windows)
        latency.plot(offered, [row["latency_ms"]["p99"] for row in rows], "o-", label=windows)
    most = max(row["offered_fps"] for row in load if row["daemons"] == 1)
    rate.plot([0, most], [0, most], ":", color="grey", label="everything")
    rate.set_ylabel("delivered frames a second")
    latency.set_ylabel("p99 from capture to send, ms")
    latency.set_ylim(bottom=0)
    for panel in (rate, latency):
        panel.set_xlabel("offered frames a second")
        panel.grid(alpha=0.3)
        panel.legend()
    figure.savefig(path, dpi=110)
    plt.close(figure)


if __name__ == "__main__":
    with in_one_line():
        main(tyro.cli(LoadConfig, config=(tyro.conf.FlagCreatePairsOff,)))
