"""An engine that outlives its back end: one that fails, hangs or gives nonsense is replaced while the stream runs."""

import logging
import queue
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from engines.base import Engine
from engines.bicubic import BicubicEngine
from engines.checkpoint import load_checkpoint
from engines.errors import EngineError
from engines.load import AUTO_ORDER, DEFAULT_TIER, load_engine, open_backend

log = logging.getLogger(__name__)

Opener = Callable[[], Engine]

ORDINARY_PX = 2 * 96 * 128
"""Both eyes of a face 100 pixels between them."""

FARTHEST_LEVELS = 32
"""A network sharpens and keeps the brightness of each quarter; NaN comes out as black, or as any level at all."""
FARTHEST_SHARE, NEAREST_LEVELS = 0.5, 4
"""In the dark, half of the brightness is far already; within four levels nothing is."""

LONGEST_PAUSE_S = 600.0
"""The most that an engine which was late again and again is kept waiting."""


class Late(EngineError):
    """An engine has not answered in time; it may yet."""


class ResilientEngine(Engine):
    """Runs one engine; when that fails, bicubic serves from the same batch on until the next one is open and warm.

    One that was only late, on a machine that stood still for a moment, serves again once it has answered, if no other
    has taken over before: at the earliest after a pause, which doubles each time.

    Its name, tier and sha256 say which engine made the batch that it returned last, and passed_over grows by one line
    with each failure. A batch holds the frames that the most demanding engine needs; the others see the newest of them.
    """

    back_projects = False

    def __init__(
        self,
        engine: Engine,
        spares: Sequence[Opener] = (),
        *,
        frames: int = 0,
        timeout_s: float = 0.8,
        first_timeout_s: float = 60.0,
        pause_s: float = 1.0,
    ) -> None:
        """engine: the one to begin with, and from now on this one's to close. spares: open the next ones, best first.

        frames: what a batch holds, where a later engine may need more than the first; 0: as many as the first.
        timeout_s: a batch of up to ORDINARY_PX pixels that takes longer counts as a hang; larger ones get more in
        proportion. first_timeout_s: the same for an engine's first batch, and for the first of a shape where it has to
        compile.
        pause_s: the first pause of an engine that was late.
        """
        self.frames, self.scale = max(frames, engine.frames), engine.scale
        self.passed_over = engine.passed_over
        self._timeout_s, self._first_timeout_s = timeout_s, first_timeout_s
        self._bicubic = BicubicEngine(scale=self.scale, frames=self.frames)
        self._spares = list(spares)
        self._shapes: dict[tuple[int, ...], None] = {}
        self._current: _Runner | None = _Runner(engine)
        self._opening: Future[_Runner] | None = None
        self._opening_spare: Opener | None = None
        self._late: _Runner | None = None
        self._pause_s, self._pause_ends_s = pause_s, 0.0
        self._describe(engine)

    @property
    def building(self) -> str:
        return "" if self._current is None else self._current.engine.building

    def replace(self, opener: Opener) -> None:
        """Open and warm another engine in the background; it takes over between two batches.

        For another tier, of the same scale and no more frames. If it cannot be opened, the old one goes on.
        """
        if self._opening is None:
            self._opening = self._open_in_background(opener)

    def _run(self, batch: NDArray[np.uint8]) -> NDArray[np.uint8]:
        self._take_over()
        if self._current is not None:
            engine = self._current.engine
            patient = max(1.0, batch.shape[0] * batch.shape[1] * batch.shape[2] / ORDINARY_PX)
            is_new = batch.shape not in self._current.seen if engine.compiles_shapes else not self._current.seen
            timeout_s = self._first_timeout_s if is_new else self._timeout_s * patient
            try:
                output = self._current(_newest(batch, engine), timeout_s)
            except EngineError as err:
                self._fail(self._current, err)
            else:
                self._shapes[batch.shape] = None
                self._current.seen.add(batch.shape)
                self.passed_over += self._current.news()
                self._describe(engine)
                return output
        self._shapes[batch.shape] = None
        self._describe(self._bicubic)
        return self._bicubic(batch)

    def _fail(self, runner: "_Runner", err: EngineError) -> None:
        reason = f"{runner.engine.name} ({runner.engine.tier}): failed while running: {err}"
        log.error("%s; bicubic serves until another engine is ready", reason)
        self.passed_over += (reason,)
        self._current = None
        if isinstance(err, Late):
            self._late = runner
            self._pause_ends_s = time.monotonic() + self._pause_s
            self._pause_s = min(2 * self._pause_s, LONGEST_PAUSE_S)
        else:
            runner.dismiss()
        self._next_spare()

    def _dismiss_late(self) -> None:
        if self._late is not None:
            self._late.dismiss()
        self._late = None

    def _next_spare(self) -> None:
        if self._opening is None and self._spares:
            self._opening_spare = self._spares.pop(0)
            self._opening = self._open_in_background(self._opening_spare)

    def _take_back(self) -> None:
        if self._late is None or not self._late.answered or time.monotonic() < self._pause_ends_s:
            return
        self._current, self._late = self._late, None
        log.warning("%s answered after all and serves again", self._current.engine.name)

    def _take_over(self) -> None:
        self._take_back()
        if self._opening is None or not self._opening.done():
            return
        opening, self._opening = self._opening, None
        spare, self._opening_spare = self._opening_spare, None
        try:
            opened = opening.result()
        except EngineError as err:
            log.warning("%s", err)
            self.passed_over += (str(err),)
            if self._current is None:
                self._next_spare()
            return
        if spare is not None and self._current is not None:
            opened.dismiss()
            self._spares.insert(0, spare)
            return
        if self._current is not None:
            self._current.dismiss()
        self._dismiss_late()
        self._current = opened
        log.info("engine %s, tier %s serves from now on", opened.engine.name, opened.engine.tier)

    def _open_in_background(self, opener: Opener) -> "Future[_Runner]":
        shapes = tuple(self._shapes)
        done: Future[_Runner] = Future()

        def work() -> None:
            runner = None
            try:
                engine = opener()
                if engine.scale != self.scale or engine.frames > self.frames:
                    engine.close()
                    raise EngineError(
                        f"{engine.name} ({engine.tier}): expected scale {self.scale} and at most {self.frames} "
                        f"frame(s), got {engine.scale} and {engine.frames}"
                    )
                runner = _Runner(engine)
                for shape in shapes:
                    runner(_newest(np.zeros(shape, np.uint8), engine), self._first_timeout_s)
                    runner.seen.add(shape)
                done.set_result(runner)
            except Exception as err:  # handed over to the thread that runs batches
                if runner is not None:
                    runner.dismiss()
                done.set_exception(err if isinstance(err, EngineError) else EngineError(f"{type(err).__name__}: {err}"))

        threading.Thread(target=work, name="open engine", daemon=True).start()
        return done

    def _describe(self, engine: Engine) -> None:
        self.name, self.tier, self.sha256 = engine.name, engine.tier, engine.sha256

    def close(self) -> None:
        if self._current is not None:
            self._current.dismiss()
            self._current.join(self._timeout_s)
        self._dismiss_late()
        if self._opening is not None:
            self._opening.add_done_callback(lambda done: None if done.exception() else done.result().dismiss())
        self._current, self._opening = None, None
        self._spares.clear()


class _Runner:
    """Runs an engine in a thread of its own, so that a hang can be noticed and left behind.

    The thread is a daemon: nothing can end a call that hangs in foreign code, and it must not keep the process alive.
    """

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.seen: set[tuple[int, ...]] = set()
        self._told = len(engine.passed_over)
        self._asked: Future[NDArray[np.uint8]] = Future()
        self._work: queue.SimpleQueue[tuple[NDArray[np.uint8], Future[NDArray[np.uint8]]] | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._loop, name=f"engine {engine.name}", daemon=True)
        self._thread.start()

    def __call__(self, batch: NDArray[np.uint8], timeout_s: float) -> NDArray[np.uint8]:
        done: Future[NDArray[np.uint8]] = Future()
        self._asked = done
        self._work.put((batch, done))
        try:
            output = done.result(timeout_s)
        except TimeoutError as err:
            raise Late(f"no answer within {timeout_s:g} s") from err
        seen, made = _brightness(batch[..., :3], 1), _brightness(output, self.engine.scale)
        excess = np.abs(made - seen) - np.clip(FARTHEST_SHARE * seen, NEAREST_LEVELS, FARTHEST_LEVELS)
        if excess.max() > 0:
            at = np.unravel_index(excess.argmax(), excess.shape)
            raise EngineError(
                f"expected a quarter of a picture as bright as the camera's, {seen[at]:.0f}, got {made[at]:.0f}; "
                "did it compute NaN?"
            )
        return output

    def news(self) -> tuple[str, ...]:
        """What the engine has itself passed over since the last call."""
        lines = self.engine.passed_over[self._told :]
        self._told += len(lines)
        return lines

    @property
    def answered(self) -> bool:
        """Whether the last call has come back with a picture."""
        return self._asked.done() and self._asked.exception() is None

    def dismiss(self) -> None:
        """Close the engine and end the thread once the call under way, if any, is over."""
        self._work.put(None)

    def join(self, timeout_s: float) -> None:
        """After dismiss(): wait until the engine is closed, but not for one that hangs."""
        self._thread.join(timeout_s)

    def _loop(self) -> None:
        while (item := self._work.get()) is not None:
            batch, done = item
            try:
                done.set_result(self.engine(batch))
            except Exception as err:  # handed over to the thread that waits
                done.set_exception(err if isinstance(err, EngineError) else EngineError(f"{type(err).__name__}: {err}"))
        self.engine.close()


def load_resilient(
    engine: str = "auto", tier: str | Path = "auto", *, frames: int = 0, threads: int = 0, cache: Path | None = None
) -> ResilientEngine:
    """As load_engine, with the back ends after it in AUTO_ORDER as spares; frames as for ResilientEngine."""
    first = load_engine(engine, tier, threads=threads, cache=cache)
    if first.name not in AUTO_ORDER:
        return ResilientEngine(first, frames=frames)
    checkpoint = load_checkpoint(DEFAULT_TIER if tier in ("auto", "default") else tier)
    rest = AUTO_ORDER[AUTO_ORDER.index(first.name) + 1 :]
    spares = [partial(open_backend, name, checkpoint, threads=threads, cache=cache) for name in rest]
    return ResilientEngine(first, spares, frames=frames)


def _brightness(images: NDArray[np.uint8], scale: int) -> NDArray[np.float32]:
    """Mean level of each quarter of each image, (N, 2, 2), over every fourth pixel both ways where there are enough.

    0.03 ms for both eyes.
    """
    step = scale * min(4, max(1, min(images.shape[1:3]) // scale // 16))
    sparse = np.ascontiguousarray(images[:, ::step, ::step]).astype(np.float32)
    if min(sparse.shape[1:3]) < 2:
        sparse = sparse.repeat(2, axis=1).repeat(2, axis=2)
    n, height, width, channels = sparse.shape
    even = sparse[:, : height // 2 * 2, : width // 2 * 2]
    levels: NDArray[np.float32] = even.reshape(n, 2, height // 2, 2, width // 2 * channels).mean(axis=(2, 4))
    return levels


def _newest(batch: NDArray[np.uint8], engine: Engine) -> NDArray[np.uint8]:
    return batch[..., : 3 * engine.frames]
