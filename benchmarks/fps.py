"""Frames a second and latency: every engine and tier, peers, and the whole daemon, measured in one run.

What is measured, and why:
- engines: the time for both eyes, 2x48x64, which is what a face at arm's length gives at 640x480. All contenders take
  turns in one run, so that a busy machine is unfair to none; medians and 95th percentiles.
- the peak: what the processor's multiply-add units give at most, measured; the share of it that an engine reaches says
  how much is left to win.
- scaling: the engine's time against patch area, batch and threads; it should be linear.
- peers: what one would use instead.
- pipeline: the daemon in a process of its own streaming the synthetic webcam, and a subscriber; latency from the
  capture stamp to the send and to the subscriber. Every case once, then every case again; a row is of both rounds.

The last line is one JSON document: {"default_tier", "engines", "scaling", "peers", "pipeline", ...}.
"""

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import tyro
from document import Document
from errors import in_one_line
from numpy.typing import NDArray
from peak import peak_gflops
from peers import peers
from rich.console import Console
from rich.table import Table
from timing import CALLS_FOR_P95, MIN_CALLS, SETTLE_S, Contender, race
from whole import in_rounds, run_daemon

from engines import DEFAULT_TIER, Engine, EngineError, SwinIRConfig, load_checkpoint, load_engine, save_checkpoint
from engines import shipped_tiers as shipped
from engines.compiled import CompiledEngine
from engines.cores import available_cores
from engines.native.engine import NativeEngine
from realtime.report import machine, versions

ENGINES = ("tensorrt", "cuda", "native", "openvino", "onnxruntime", "eager")
BOTH_EYES = (2, 48, 64)
SHAPES = ((2, 32, 48), (2, 48, 64), (2, 64, 96), (2, 96, 128), (1, 48, 64), (4, 48, 64), (8, 48, 64), (1, 128, 128))
SIZES = ((640, 480), (1280, 720))
FACE = ("--face", "--face-ladder", "128", "128")
THREADS = 0
"""Each engine's own choice."""
SCALING_SETTLE_S = 0.003
"""There is one engine: nobody else spins."""
ROUNDS, ROUND_S, QUICK_S = 2, 10, 4
"""Of the pipeline: every case once in each round, so that an hour's drift is seen; --quick has one."""
SWINIR_S = SwinIRConfig()


@dataclass(frozen=True, kw_only=True)
class FpsConfig:
    """Measure frames a second and latency of engines, peers and the whole daemon."""

    quick: bool = False
    """The default tier only, few calls: within 45 seconds on two cores."""
    engines_only: bool = False
    """Leave out the whole daemon."""
    tiers: tuple[str, ...] = ()
    """Names of shipped tiers, or checkpoints' paths; none: all that are shipped."""
    peers: Path | None = None
    """Folder with FSRCNN_x2.pb and ESPCN_x2.pb, for OpenCV's dnn_superres."""
    json: Path | None = None
    """Write the JSON document here too."""


def main(config: FpsConfig) -> dict[str, Any]:
    """Measure, print tables for people, then the document as one line."""
    console = Console(width=140, highlight=False)
    tiers = by_name(config.tiers or shipped())
    default = DEFAULT_TIER if DEFAULT_TIER in tiers else next(iter(tiers))
    if config.quick:
        tiers = {default: tiers[default]}
    beside = peers(config.peers, pixels(BOTH_EYES, 1))
    facts = {
        "default_tier": default,
        "passed_over": {},
        "config": {
            "quick": config.quick,
            "engines_only": config.engines_only,
            "tiers": list(tiers),
            "peers": config.peers and config.peers.name,
        },
        "settle_s": SETTLE_S,
        "scaling_settle_s": SCALING_SETTLE_S,
        "threads": THREADS,
        "machine": machine(),
        "versions": versions(),
    }
    with Document(config.json, facts) as document:
        peak, how = peak_gflops(available_cores())
        console.print(f"{machine()['cpu']}, {available_cores()} cores, peak {peak:.0f} GFLOP/s ({how})")
        with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
            random_s = random_checkpoint(Path(folder, "S"), SWINIR_S)
            contenders = open_contenders(
                [*tiers.values(), str(random_s)], document["passed_over"], stack, quick=config.quick
            )
            rows = race(contenders + beside, 8 if config.quick else 90)
        document.add(
            peak_gflops=round(peak, 1),
            peak_measured_by=how,
            engines=[with_share(row, peak) for row in rows[: len(contenders)]],
            peers=rows[len(contenders) :],
        )
        show_engines(document, console)
        document.add(scaling=scaling(tiers[default], quick=config.quick), pipeline=[])
        show_scaling(document["scaling"], console)
        if not config.engines_only:
            for rows in pipeline(list(tiers.values()), quick=config.quick):
                document.add(pipeline=rows)
            show_pipeline(document["pipeline"], console)
    return document


def by_name(tiers: Sequence[str]) -> dict[str, str]:
    """The tiers, or checkpoints' paths, by the names that rows have for them.

    Raises CheckpointError for one that cannot be used, and ValueError for none, or two of one name.
    """
    found: dict[str, str] = {}
    for tier in tiers:
        path = DEFAULT_TIER if tier == "default" else tier
        name = load_checkpoint(path).name
        if name in found:
            raise ValueError(f"tiers: expected a name of its own for each, got {found[name]} and {path}; rename one")
        found[name] = path
    if not found:
        raise ValueError("tiers: expected at least one, and none is shipped; name a checkpoint with --tiers PATH")
    return found


def open_contenders(tiers: list[str], passed_over: dict[str, str], stack: ExitStack, *, quick: bool) -> list[Contender]:
    """Every engine with every tier, both eyes; why an engine does not run goes into passed_over."""
    found = []
    for tier in tiers:
        weights = load_checkpoint(tier)
        is_random = weights.record.get("random", False)
        for name in ENGINES:
            usual = name in ("native", "openvino")
            if name in passed_over or (quick and is_random and not usual):
                continue
            least = MIN_CALLS if quick and (is_random or not usual) else CALLS_FOR_P95
            try:
                engine = stack.enter_context(load_engine(name, tier, threads=THREADS))
                found.append(contender(engine, BOTH_EYES, weights.config, least, random=is_random))
            except EngineError as err:
                passed_over[name] = str(err)
    bicubic = stack.enter_context(load_engine("bicubic"))
    return [*found, contender(bicubic, BOTH_EYES, None, CALLS_FOR_P95, random=False)]


def contender(
    engine: Engine, shape: tuple[int, int, int], config: SwinIRConfig | None, least_calls: int, **facts: object
) -> Contender:
    batch = pixels(shape, engine.frames)
    if isinstance(engine, CompiledEngine):
        engine.build_now(shape)
        engine(batch)  # or its name is that of the engine that served before
    work = {} if config is None else {"gflop": round(gflop(config, shape), 4), "parameters": parameters(config)}
    names = {"engine": engine.name, "tier": engine.tier, "shape": "x".join(map(str, shape)), "sha256": engine.sha256}
    if isinstance(engine, NativeEngine):
        names["instructions"] = engine.instructions
    return Contender(call=lambda: engine(batch), facts={**names, **facts, **work}, least_calls=least_calls)


def pixels(shape: tuple[int, int, int], frames: int) -> NDArray[np.uint8]:
    return np.random.default_rng(0).integers(0, 256, (*shape, 3 * frames), np.uint8)


def parameters(config: SwinIRConfig) -> int:
    return sum(int(np.prod(shape)) for shape in config.parameter_shapes().values())


def gflop(config: SwinIRConfig, shape: tuple[int, int, int]) -> float:
    """Operations, in 10^9, that the network's products and sums need; padding to whole windows included."""
    images, height, width = shape
    multiple, c = config.multiple, config.embed_dim
    tokens = images * -(-height // multiple) * -(-width // multiple) * config.window**2
    linears = (4 + 2 * config.mlp_ratio) * c * c
    attention = 2 * config.window**2 * c
    inputs, outputs = config.input_channels * config.unshuffle**2, 3 * (config.scale * config.unshuffle) ** 2
    convolutions = 9 * c * (inputs + outputs + c * (len(config.depths) + 1))
    return 2 * tokens * (sum(config.depths) * (linears + attention) + convolutions) / 1e9


def with_share(row: dict[str, Any], peak: float) -> dict[str, Any]:
    if "gflop" not in row:
        return row
    return row | {"share_of_peak": round(row["gflop"] / (row["median_ms"] / 1e3) / peak, 4)}


def random_checkpoint(path: Path, config: SwinIRConfig) -> Path:
    """Random weights of an architecture, for its speed only."""
    rng = np.random.default_rng(0)
    tensors = {
        name: (rng.standard_normal(shape) * 0.02 + (1 if "norm" in name and name.endswith("weight") else 0)).astype(
            "f4"
        )
        for name, shape in config.parameter_shapes().items()
    }
    return save_checkpoint(path, config, tensors, {"random": True})


def scaling(tier: str, *, quick: bool) -> list[dict[str, Any]]:
    """The engine that "auto" takes, on shapes of growing area and batch, with one thread and with all."""
    config, least = load_checkpoint(tier).config, MIN_CALLS if quick else CALLS_FOR_P95
    with ExitStack() as stack:
        contenders = []
        for threads in sorted({1, available_cores()}):
            engine = stack.enter_context(load_engine("auto", tier, threads=threads))
            contenders += [contender(engine, shape, config, least, threads=threads) for shape in SHAPES]
        return race(contenders, 3 if quick else 20, settle_s=SCALING_SETTLE_S)


def pipeline(tiers: Sequence[str], *, quick: bool) -> Iterator[list[dict[str, Any]]]:
    """The whole daemon with every tier at every size, and with the face; after each run, the rows so far."""
    plain: tuple[str, ...] = ()
    cases = [(tier, size, plain) for size in SIZES for tier in tiers] + [(tier, SIZES[0], FACE) for tier in tiers]
    rounds, seconds = (1, QUICK_S) if quick else (ROUNDS, ROUND_S)
    return in_rounds(cases, rounds, lambda case: run_daemon("auto", case[0], case[1], seconds, *case[2]))


def show_engines(document: dict[str, Any], console: Console) -> None:
    native = {row["sha256"]: row["median_ms"] for row in document["engines"] if row["engine"] == "native"}
    columns = ("engine", "tier", "parameters", "median ms", "p95 ms", "calls", "of peak", "native is")
    table = Table(*columns, title="both eyes, 2x48x64")
    for row in document["engines"]:
        table.add_row(
            row["engine"],
            row["tier"] + (" (random weights)" if row["random"] else ""),
            f"{row['parameters']:,}" if "parameters" in row else "",
            *times(row),
            f"{row['share_of_peak']:.0%}" if "share_of_peak" in row else "",
            f"{row['median_ms'] / native[row['sha256']]:.1f}x faster" if row["sha256"] in native else "",
        )
    for row in document["peers"]:
        table.add_row(row["peer"], "", "", *times(row), "", "")
    console.print(table)
    for reason in document["passed_over"].values():
        console.print(f"passed over {reason}", markup=False)


def times(row: dict[str, Any]) -> tuple[str, str, str]:
    """Median, 95th percentile where there were enough calls for one, and how many there were."""
    enough = row["calls"] >= CALLS_FOR_P95
    return f"{row['median_ms']:.2f}", f"{row['p95_ms']:.2f}" if enough else "", str(row["calls"])


def show_scaling(rows: list[dict[str, Any]], console: Console) -> None:
    if not rows:
        return
    table = Table(
        "shape", "threads", "median ms", "us per 1000 px", title=f"scaling, {rows[0]['engine']} {rows[0]['tier']}"
    )
    for row in rows:
        area = np.prod([int(n) for n in row["shape"].split("x")])
        table.add_row(
            row["shape"], str(row["threads"]), f"{row['median_ms']:.2f}", f"{row['median_ms'] * 1e6 / area:.0f}"
        )
    console.print(table)


def show_pipeline(rows: list[dict[str, Any]], console: Console) -> None:
    columns = (
        "frame",
        "engine",
        "tier",
        "fps",
        "dropped",
        "send p50 / p95 ms",
        "receive p50 / p95 ms",
        "cores",
        "MB",
        "first s",
    )
    table = Table(*columns, title="the whole daemon, demo at 30 frames a second")
    for row in rows:
        sent, received = row["latency_ms"], row["receive_ms"]
        table.add_row(
            row["size"] + (" and face" if row["options"] else ""),
            row["engine"],
            row["tier"],
            f"{row['fps'] or 0:.1f}",
            f"{row['frames_dropped']} of {row['frames_captured']}",
            *(f"{ms['p50'] or 0:.1f} / {ms['p95'] or 0:.1f}" for ms in (sent, received)),
            f"{row['cpu_share']:.2f}",
            f"{row['peak_rss_mb']:.0f}",
            f"{row['first_message_s'] or 0:.1f}",
        )
    console.print(table)


if __name__ == "__main__":
    with in_one_line():
        main(tyro.cli(FpsConfig, config=(tyro.conf.FlagCreatePairsOff,)))
