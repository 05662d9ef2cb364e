"""The native engine: a checkpoint, run by the C++ library on the CPU's vector units."""

import ctypes
import os
import threading
import weakref
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from engines.base import Engine
from engines.checkpoint import Checkpoint
from engines.cores import available_cores
from engines.errors import BackendUnavailable, EngineError
from engines.native import interface
from engines.native.interface import INSTRUCTIONS, MAX_THREADS

Instructions = Literal["auto", "portable", "avx2", "avx512", "avx512bf16", "avx2int16", "avxvnniint16"]


class NativeEngine(Engine):
    """Runs a checkpoint on the CPU's vector units.

    threads: how many to use, the caller's included, up to MAX_THREADS; 0 takes available_cores().
    instructions: forces an instruction set; "auto" takes the fastest that the processor has and that stays within 1/255
    of the network. All equal the network in single precision to a 100,000th, but three: avx512bf16 rounds factors of
    products to bfloat16, with which networks at the pixels' own resolution (unshuffle 1) are up to 2.1/255 away on
    black and white noise, so that "auto" takes integers for these. avx2int16 rounds factors to 16-bit integers and
    stays within a quarter of 1/255, for the shipped tiers; a network in which some channels are a hundred times as
    large as others loses more by it, and wants avx2. avxvnniint16 gives the bytes of avx2int16. For a network whose
    heads have an odd number of channels they are the same as avx512, avx2 and avx2.
    Raises BackendUnavailable where the library is not built or the processor lacks the instructions, ValueError for
    instructions that do not exist, EngineError when memory or threads run out.
    """

    name = "native"

    def __init__(self, checkpoint: Checkpoint, *, threads: int = 0, instructions: Instructions = "auto") -> None:
        if instructions not in INSTRUCTIONS:
            raise ValueError(f"instructions: expected one of {', '.join(INSTRUCTIONS)}, got {instructions!r}")
        config = checkpoint.config
        self.tier, self.frames, self.scale, self.sha256 = (
            checkpoint.name,
            config.frames,
            config.scale,
            checkpoint.sha256,
        )
        self._lock = threading.Lock()
        self._library = interface.load()
        if not self._library.catchlight_supports(INSTRUCTIONS[instructions]):
            raise BackendUnavailable(f"native: this processor has no {instructions}; use instructions='auto'")
        weights = np.concatenate([checkpoint.tensors[name].ravel() for name in config.parameter_shapes()])
        depths = (ctypes.c_int32 * len(config.depths))(*config.depths)
        shape = (config.scale, config.frames, config.unshuffle, config.embed_dim, config.heads, config.mlp_ratio)
        self._engine = ctypes.c_void_p()
        interface.check(
            self._library.catchlight_create(
                ctypes.byref(interface.Config(*shape, len(depths), depths)),
                weights,
                weights.size,
                threads or min(available_cores(), MAX_THREADS),
                INSTRUCTIONS[instructions],
                ctypes.byref(self._engine),
            )
        )
        self._destroy = weakref.finalize(self, _destroy, self._library, self._engine, os.getpid())
        self._destroy.atexit = False  # another thread may be in it
        self.instructions: str = self._library.catchlight_name(self._engine).decode()
        """The instruction set that runs: avx512bf16, avx512, avxvnniint16, avx2int16, avx2 or portable."""

    def _run(self, batch: NDArray[np.uint8]) -> NDArray[np.uint8]:
        return self._enhance(batch, None)

    def _enhance(self, batch: NDArray[np.uint8], exact: NDArray[np.float32] | None) -> NDArray[np.uint8]:
        """As _run; `exact`, if given, receives the same values before they are clamped and rounded, in [0, 1]."""
        images, height, width, _ = batch.shape
        output = np.empty((images, height * self.scale, width * self.scale, 3), np.uint8)
        with self._lock:
            if not self._engine:
                raise EngineError("native: this engine is closed; open another")
            interface.check(
                self._library.catchlight_run(
                    self._engine,
                    batch.ctypes.data,
                    images,
                    height,
                    width,
                    output.ctypes.data,
                    None if exact is None else exact.ctypes.data,
                )
            )
        return output

    def close(self) -> None:
        """Join the threads and free the memory; in a process forked from the one that opened it there are none."""
        with self._lock:
            self._engine = ctypes.c_void_p()
            self._destroy()


def _destroy(library: ctypes.CDLL, engine: ctypes.c_void_p, process: int) -> None:
    if os.getpid() == process:
        library.catchlight_destroy(engine)
