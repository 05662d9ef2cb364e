"""The largest tier that this machine runs in time: measured, not guessed."""

import logging
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from engines.base import Engine
from engines.checkpoint import Checkpoint, load_checkpoint, shipped_tiers
from engines.errors import BackendUnavailable, CheckpointError, EngineError
from engines.load import DEFAULT_TIER, load_engine

HEADROOM = 0.8
"""A tier fits when its p95 is at most this share of the budget."""

LOAD_PERIOD_S = 1 / 30
MIN_CALLS = 5
HOPELESS = 3.0

log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True, slots=True)
class TierChoice:
    """What was chosen, and the measurements behind it."""

    tier: str
    p95_ms: dict[str, float]
    """For each tier that was timed, worst quality first. A hopeless one was stopped after two calls."""
    frames: int
    """The most frames that any of these tiers sees: a stream that may change between them cuts so many."""


def choose_tier(
    engine: str,
    budget_ms: float,
    *,
    shape: tuple[int, int, int],
    load: Callable[[], object] | None = None,
    threads: int = 0,
    cache: Path | None = None,
    tiers: Sequence[str | Path] | None = None,
    seconds: float = 1.0,
) -> TierChoice:
    """Time tiers on this machine and choose the best whose p95 is within HEADROOM of the budget; else the fastest.

    engine: as for load_engine. budget_ms: for one batch. shape: (N, H, W) of a batch. load: other work of the daemon
    (finding landmarks in a frame), called 30 times a second in another thread meanwhile. tiers: names or paths, worst
    quality first; None: candidates(). seconds: for the timing of all tiers together, beside opening them.

    Raises as load_engine does; a tier that is damaged or fails is passed over with a warning.
    """
    checkpoints = candidates() if tiers is None else [load_checkpoint(tier) for tier in tiers]
    if not checkpoints:
        raise CheckpointError("no tier to choose from: none is shipped; give --tier a checkpoint's path")
    p95_ms: dict[str, float] = {}
    frames = 1
    with _working(load):
        for tier in tiers or [checkpoint.name for checkpoint in checkpoints]:
            try:
                with load_engine(engine, tier, threads=threads, cache=cache) as candidate:
                    p95_ms[str(tier)] = _p95(candidate, shape, budget_ms, seconds / len(checkpoints))
                    frames = max(frames, candidate.frames)
            except BackendUnavailable:
                raise
            except EngineError as err:
                log.warning("tier %s: %s", tier, err)
    if not p95_ms:
        raise EngineError("no tier runs here; see the warnings above, or choose another engine")
    fitting = [tier for tier, p95 in p95_ms.items() if p95 <= HEADROOM * budget_ms]
    tier = fitting[-1] if fitting else min(p95_ms, key=p95_ms.__getitem__)
    return TierChoice(tier=tier, p95_ms=p95_ms, frames=frames)


def candidates() -> list[Checkpoint]:
    """The shipped tiers that "auto" may choose from, worst quality first.

    Those of the default tier's scale whose record does not say "auto": false, in the order of "quality" in their
    records, or of their number of parameters where a record does not say.
    """
    scale = load_checkpoint(DEFAULT_TIER).config.scale
    found = []
    for name in shipped_tiers():
        try:
            checkpoint = load_checkpoint(name)
        except CheckpointError as err:
            log.warning("%s", err)
            continue
        if checkpoint.config.scale == scale and checkpoint.record.get("auto", True):
            found.append(checkpoint)
    rated = all(isinstance(c.record.get("quality"), int | float) for c in found)
    return sorted(found, key=lambda c: c.record["quality"] if rated else sum(t.size for t in c.tensors.values()))


def _p95(engine: Engine, shape: tuple[int, int, int], budget_ms: float, seconds: float) -> float:
    batch = np.full((*shape, 3 * engine.frames), 128, np.uint8)
    engine(batch)  # compiles, allocates
    times_ms: list[float] = []
    end = time.perf_counter() + seconds
    while time.perf_counter() < end or len(times_ms) < MIN_CALLS:
        start = time.perf_counter()
        engine(batch)
        times_ms.append((time.perf_counter() - start) * 1e3)
        if len(times_ms) == 2 and min(times_ms) > HOPELESS * budget_ms:
            break
    return float(np.percentile(times_ms, 95))


@contextmanager
def _working(load: Callable[[], object] | None) -> Iterator[None]:
    """Calls load 30 times a second in another thread; its exception is raised at the end."""
    if load is None:
        yield
        return
    stop = threading.Event()
    failures: list[BaseException] = []

    def work() -> None:
        pause_s = 0.0
        while not stop.wait(pause_s):
            start = time.perf_counter()
            try:
                load()
            except Exception as err:  # handed over to the caller
                failures.append(err)
                return
            pause_s = max(0.0, LOAD_PERIOD_S - (time.perf_counter() - start))

    thread = threading.Thread(target=work, name="load while timing")
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()
    if failures:
        raise failures[0]
