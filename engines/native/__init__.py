"""The fused SwinIR of this project, in C++, through its plain C interface. Needs no PyTorch.

interface.h is the interface, kernels.h says how activations and weights lie in memory, and network.cpp is the order of
the passes. setup.py compiles the kernels once for each instruction set; the library chooses at run time.
"""

import ctypes
import os
import threading
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from engines.back_projection import MISTAKE_LEVELS, NOISE_LEVELS
from engines.base import Engine
from engines.checkpoint import Checkpoint
from engines.errors import BackendUnavailable, EngineError
from engines.window import Window

LIBRARY = Path(__file__).with_name("library.so")
INTERFACE = 3
MAX_THREADS = 64

Instructions = Literal["auto", "portable", "avx2", "avx512", "avx512bf16", "avx2int16"]
_INSTRUCTIONS: dict[str, int] = {"auto": 0, "portable": 1, "avx2": 2, "avx512": 3, "avx512bf16": 4, "avx2int16": 5}

_OK, _BAD_ARGUMENT, _OUT_OF_MEMORY, _NO_INSTRUCTIONS, _NO_THREADS = range(5)
_REASONS = {
    _BAD_ARGUMENT: "the library refused its arguments",
    _OUT_OF_MEMORY: "out of memory; use smaller batches or fewer threads",
    _NO_INSTRUCTIONS: "this processor lacks the instruction set",
    _NO_THREADS: "the system refused to start a thread; use fewer threads",
}


class _Config(ctypes.Structure):
    """catchlight_config."""

    _fields_ = [
        *((name, ctypes.c_int32) for name in ("scale", "frames", "unshuffle", "embed_dim", "heads", "mlp_ratio")),
        ("groups", ctypes.c_int32),
        ("depths", ctypes.POINTER(ctypes.c_int32)),
    ]


class NativeEngine(Engine):
    """Runs a checkpoint on the CPU's vector units.

    threads: how many to use, the caller's included; 0 takes every core that this process may use.
    instructions: forces an instruction set; "auto" takes the fastest that the processor has. All equal the network in
    single precision to a 100,000th, but two: avx512bf16 rounds factors of products to bfloat16 and stays within 1/255,
    avx2int16 to 16-bit integers and stays within a quarter of that. For a network whose heads have an odd number of
    channels they are the same as avx512 and avx2.
    Raises BackendUnavailable where the library is not built or the processor lacks the instructions, ValueError for
    threads or instructions that do not exist, EngineError when memory or threads run out.
    """

    name = "native"

    def __init__(self, checkpoint: Checkpoint, *, threads: int = 0, instructions: Instructions = "auto") -> None:
        if not 0 <= threads <= MAX_THREADS:
            raise ValueError(f"threads: expected 0 to {MAX_THREADS}, got {threads}")
        if instructions not in _INSTRUCTIONS:
            raise ValueError(f"instructions: expected one of {', '.join(_INSTRUCTIONS)}, got {instructions!r}")
        config = checkpoint.config
        self.tier, self.frames, self.scale, self.sha256 = (
            checkpoint.name,
            config.frames,
            config.scale,
            checkpoint.sha256,
        )
        self._lock = threading.Lock()
        self._library = _load()
        if not self._library.catchlight_supports(_INSTRUCTIONS[instructions]):
            raise BackendUnavailable(f"native: this processor has no {instructions}; use instructions='auto'")
        weights = np.concatenate([checkpoint.tensors[name].ravel() for name in config.parameter_shapes()])
        depths = (ctypes.c_int32 * len(config.depths))(*config.depths)
        shape = (config.scale, config.frames, config.unshuffle, config.embed_dim, config.heads, config.mlp_ratio)
        self._engine = ctypes.c_void_p()
        _check(
            self._library.catchlight_create(
                ctypes.byref(_Config(*shape, len(depths), depths)),
                weights,
                weights.size,
                threads or min(_cores(), MAX_THREADS),
                _INSTRUCTIONS[instructions],
                ctypes.byref(self._engine),
            )
        )
        self.instructions: str = self._library.catchlight_name(self._engine).decode()
        """The instruction set that runs: avx512bf16, avx512, avx2int16, avx2 or portable."""

    def _run(self, batch: NDArray[np.uint8]) -> NDArray[np.uint8]:
        return self._enhance(batch, None)

    def _enhance(self, batch: NDArray[np.uint8], exact: NDArray[np.float32] | None) -> NDArray[np.uint8]:
        """As _run; `exact`, if given, receives the same values before they are clamped and rounded, in [0, 1]."""
        images, height, width, _ = batch.shape
        output = np.empty((images, height * self.scale, width * self.scale, 3), np.uint8)
        with self._lock:
            if not self._engine:
                raise EngineError("native: this engine is closed; open another")
            _check(
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

    def _back_project(self, batch: NDArray[np.uint8], enhanced: NDArray[np.uint8]) -> NDArray[np.uint8]:
        images, height, width, _ = batch.shape
        _check(
            self._library.catchlight_back_project(
                batch.ctypes.data,
                images,
                height,
                width,
                self.frames,
                self.scale,
                MISTAKE_LEVELS,
                NOISE_LEVELS,
                enhanced.ctypes.data,
            )
        )
        return enhanced

    def close(self) -> None:
        """Join the threads and free the memory."""
        with self._lock:
            engine, self._engine = self._engine, ctypes.c_void_p()
            self._library.catchlight_destroy(engine)


@cache
def available() -> bool:
    """Whether the library is built and can be used."""
    try:
        _load()
    except BackendUnavailable:
        return False
    return True


def displacements(
    newer: NDArray[np.uint8],
    older: NDArray[np.uint8],
    windows: Sequence[Window],
    expected_N2: NDArray[np.int64],
    step: int,
) -> NDArray[np.float64]:
    """As engines.registration.displacements; step: windows are matched at 1 / step of their size.

    Raises BackendUnavailable, EngineError.
    """
    newer, older = np.ascontiguousarray(newer), np.ascontiguousarray(older)
    places, moved_N2 = np.array(windows, np.int32), expected_N2.astype(np.float64)
    height, width, _ = newer.shape
    _check(
        _load().catchlight_displacements(
            newer.ctypes.data,
            older.ctypes.data,
            height,
            width,
            places.ctypes.data,
            len(places),
            step,
            moved_N2.ctypes.data,
        )
    )
    return moved_N2


def _cores() -> int:
    """How many this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@cache
def _load() -> ctypes.CDLL:
    """The library with its signatures; raises BackendUnavailable where it cannot be used."""
    if not LIBRARY.is_file():
        raise BackendUnavailable(
            "native: its library was not built; install a C++ compiler, then install this package again"
        )
    try:
        library = ctypes.CDLL(str(LIBRARY))
        found = library.catchlight_interface()
    except (OSError, AttributeError) as err:
        raise BackendUnavailable(f"native: {LIBRARY.name} cannot be loaded: {err}; install this package again") from err
    if found != INTERFACE:
        raise BackendUnavailable(
            f"native: {LIBRARY.name}: expected interface {INTERFACE}, got {found}; install this package again"
        )
    floats = np.ctypeslib.ndpointer(np.float32, ndim=1, flags="C_CONTIGUOUS")
    i32, pointer = ctypes.c_int32, ctypes.c_void_p
    library.catchlight_create.argtypes = [
        ctypes.POINTER(_Config), floats, ctypes.c_size_t, i32, i32, ctypes.POINTER(pointer)
    ]  # fmt: skip
    library.catchlight_run.argtypes = [pointer, pointer, i32, i32, i32, pointer, pointer]
    library.catchlight_name.argtypes = [pointer]
    library.catchlight_name.restype = ctypes.c_char_p
    library.catchlight_destroy.argtypes = [pointer]
    library.catchlight_destroy.restype = None
    library.catchlight_back_project.argtypes = [
        pointer, i32, i32, i32, i32, i32, ctypes.c_float, ctypes.c_float, pointer
    ]  # fmt: skip
    library.catchlight_displacements.argtypes = [pointer, pointer, i32, i32, pointer, i32, i32, pointer]
    return library


def _check(status: int) -> None:
    if status != _OK:
        raise EngineError(f"native: {_REASONS.get(status, 'the library failed')} (code {status})")
