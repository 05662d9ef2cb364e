"""An engine that takes minutes to build: it is built in the background, while another engine serves."""

import base64
import logging
import threading
import time
import zlib
from abc import ABC, abstractmethod
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engines.base import Engine
from engines.cache import EngineCache
from engines.checkpoint import Checkpoint
from engines.errors import EngineError

GOLDEN_PSNR_DB = 45.0
"""A compiled engine that is further from eager than this, on random pixels, is not used."""

log = logging.getLogger(__name__)

Program = Callable[[NDArray[np.uint8]], NDArray[np.uint8]]
"""What runs batches of one shape."""


class Toolkit(ABC):
    """A compiler for engines of one static shape, and the runtime for what it makes."""

    name: str

    @property
    def phase(self) -> str:
        """What build() is at, for people, from any thread; empty where the compiler does not tell."""
        return ""

    @abstractmethod
    def facts(self) -> dict[str, object]:
        """Whatever a compiled engine depends on, beside weights and shape: versions, device, options."""

    @abstractmethod
    def build(self, shape: tuple[int, int, int]) -> bytes:
        """Compile for (N, H, W); may take minutes. Raises EngineError."""

    @abstractmethod
    def open(self, blob: bytes, shape: tuple[int, int, int]) -> Program:
        """Make it runnable. Raises EngineError for a blob that is not what build() makes."""


class CompiledEngine(Engine):
    """Serves each shape by another engine until its own program is built, then by that.

    name says which of the two made the last batch. A shape is built when it is still in use settle_s after its first
    batch, one shape at a time, by one process at a time. A program is only used when its output on random pixels is
    eager's, within GOLDEN_PSNR_DB, whether it was just built or comes from disk; when a fresh build fails, the other
    engine goes on serving and passed_over says why.
    """

    compiles_shapes = True

    def __init__(
        self,
        checkpoint: Checkpoint,
        toolkit: Toolkit,
        stand_in: Engine,
        *,
        reference: Program,
        cache: Path | None = None,
        settle_s: float = 3.0,
    ) -> None:
        """stand_in: serves meanwhile; closed with this engine. reference: eager, or an equal."""
        self.name, self.tier, self.sha256 = toolkit.name, checkpoint.name, checkpoint.sha256
        self.frames, self.scale = checkpoint.config.frames, checkpoint.config.scale
        self._toolkit, self._stand_in, self._reference = toolkit, stand_in, reference
        self._cache, self._settle_s = EngineCache(cache), settle_s
        self._first_seen: dict[tuple[int, int, int], float] = {}
        self._programs: dict[tuple[int, int, int], Program | EngineError] = {}
        self._builder: threading.Thread | None = None
        self._under_way: tuple[tuple[int, int, int], float] | None = None

    @property
    def building(self) -> str:
        if (under_way := self._under_way) is None:
            return ""
        (n, height, width), start = under_way
        phase = f" ({self._toolkit.phase})" if self._toolkit.phase else ""
        return (
            f"{self._toolkit.name}: building for {n}x{height}x{width}, {time.monotonic() - start:.0f} s so far{phase}; "
            f"{self._stand_in.name} serves meanwhile"
        )

    def _run(self, batch: NDArray[np.uint8]) -> NDArray[np.uint8]:
        n, height, width, _ = batch.shape
        shape = n, height, width
        program = self._programs.get(shape)
        self.back_projects = callable(program)  # the stand-in has done so itself, if it does
        if callable(program):
            self.name = self._toolkit.name
            return program(batch)
        now = time.monotonic()
        settled = now - self._first_seen.setdefault(shape, now) >= self._settle_s
        if program is None and settled and (self._builder is None or not self._builder.is_alive()):
            self._builder = threading.Thread(target=self._build, args=(shape,), name=f"build {self.name}", daemon=True)
            self._builder.start()
        output = self._stand_in(batch)
        self.name = self._stand_in.name
        return output

    def build_now(self, shape: tuple[int, int, int]) -> None:
        """Build for (N, H, W) or take it from disk in this thread, before anything is timed. Raises EngineError."""
        self._build(shape)
        if isinstance(program := self._programs[shape], EngineError):
            raise program

    def wait_until_built(self, timeout_s: float) -> None:
        """Wait for the build that is under way. Raises EngineError if one failed, or is not done by then."""
        if self._builder is not None:
            self._builder.join(timeout_s)
            if self._builder.is_alive():
                raise EngineError(f"{self._toolkit.name}: not built within {timeout_s:g} s; wait longer")
        for program in self._programs.values():
            if isinstance(program, EngineError):
                raise program

    def close(self) -> None:
        self._stand_in.close()
        self._programs.clear()

    def _build(self, shape: tuple[int, int, int]) -> None:
        name = self._toolkit.name
        golden = np.random.default_rng(0).integers(0, 256, (*shape, 3 * self.frames), dtype=np.uint8)
        start = time.monotonic()

        def build() -> tuple[bytes, dict[str, Any]]:
            log.info(
                "%s: building for %s; this takes a while, and %s serves meanwhile", name, shape, self._stand_in.name
            )
            self._under_way = shape, start
            try:
                blob = self._toolkit.build(shape)
            finally:
                self._under_way = None
            log.info("%s: built for %s in %.0f s", name, shape, time.monotonic() - start)
            return blob, {"golden": _pack(self._reference(golden))}

        def open_program(blob: bytes, record: dict[str, Any]) -> Program:
            program = self._toolkit.open(blob, shape)
            _compare(program(golden), _unpack(record.get("golden")))
            return program

        try:
            facts = self._toolkit.facts() | {"backend": name, "shape": shape, "weights": self.sha256}
            self._programs[shape] = self._cache.obtain(facts, build, open_program)
            log.info("%s: serves %s from now on", name, shape)
        except Exception as err:  # this thread's last word, handed over to the one that runs batches
            failure = err if isinstance(err, EngineError) else EngineError(f"{type(err).__name__}: {err}")
            self._programs[shape] = failure
            self.passed_over += (f"{name}: {failure}",)
            log.error("%s: %s; %s goes on serving %s", name, failure, self._stand_in.name, shape)


def _compare(output: NDArray[np.uint8], golden: NDArray[np.uint8] | None) -> None:
    if golden is None:
        raise EngineError("its golden output is missing or damaged")
    if golden.size != output.size:
        raise EngineError(f"expected {golden.size} values from it, got {output.size}")
    error = float(np.mean((output.ravel().astype(np.float64) - golden) ** 2))
    psnr_db = 10 * np.log10(255**2 / max(error, 1e-9))
    if psnr_db < GOLDEN_PSNR_DB:
        raise EngineError(f"its output is {psnr_db:.1f} dB from eager's, expected {GOLDEN_PSNR_DB:g} dB or more")


def _pack(output: NDArray[np.uint8]) -> str:
    return base64.b64encode(zlib.compress(output.tobytes())).decode()


def _unpack(text: object) -> NDArray[np.uint8] | None:
    if not isinstance(text, str):
        return None
    try:
        return np.frombuffer(zlib.decompress(base64.b64decode(text)), np.uint8)
    except (ValueError, zlib.error):
        return None
