"""The library's plain C interface (interface.h): loading it, and what it does without an engine."""

import ctypes
from collections.abc import Sequence
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from engines.errors import BackendUnavailable, EngineError
from engines.window import Window

LIBRARY = Path(__file__).with_name("library.so")
INTERFACE = 3
MAX_THREADS = 64
SCALES = (2, 4, 8)
INSTRUCTIONS = {"auto": 0, "portable": 1, "avx2": 2, "avx512": 3, "avx512bf16": 4, "avx2int16": 5, "avxvnniint16": 6}

_OK, _BAD_ARGUMENT, _OUT_OF_MEMORY, _NO_INSTRUCTIONS, _NO_THREADS = range(5)
_REASONS = {
    _BAD_ARGUMENT: "the library refused its arguments",
    _OUT_OF_MEMORY: "out of memory; use smaller batches or fewer threads",
    _NO_INSTRUCTIONS: "this processor lacks the instruction set",
    _NO_THREADS: "the system refused to start a thread; use fewer threads",
}


class Config(ctypes.Structure):
    """catchlight_config."""

    _fields_ = [
        *((name, ctypes.c_int32) for name in ("scale", "frames", "unshuffle", "embed_dim", "heads", "mlp_ratio")),
        ("groups", ctypes.c_int32),
        ("depths", ctypes.POINTER(ctypes.c_int32)),
    ]


@cache
def load() -> ctypes.CDLL:
    """The library with its signatures; raises BackendUnavailable where it cannot be used."""
    if not LIBRARY.is_file():
        raise BackendUnavailable(
            "native: its library was not built; install a C++ compiler (GCC 11, Clang 14 or newer), then install this "
            "package again"
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
        ctypes.POINTER(Config), floats, ctypes.c_size_t, i32, i32, ctypes.POINTER(pointer)
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


def check(status: int) -> None:
    """Raises EngineError for what a function returned, unless it is success."""
    if status != _OK:
        raise EngineError(f"native: {_REASONS.get(status, 'the library failed')} (code {status})")


@cache
def available() -> bool:
    """Whether the library is built and can be used."""
    try:
        load()
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
    """As engines.registration.reference, for what displacements() there has checked.

    Raises BackendUnavailable, EngineError.
    """
    newer, older = np.ascontiguousarray(newer), np.ascontiguousarray(older)
    places, moved_N2 = np.array(windows, np.int32), np.array(expected_N2, np.float64, order="C")
    height, width, _ = newer.shape
    check(
        load().catchlight_displacements(
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


def back_project(
    batch: NDArray[np.uint8], enhanced: NDArray[np.uint8], mistake_levels: float, noise_levels: float
) -> None:
    """As engines.back_projection.back_project, in place; both arrays C-contiguous.

    Raises BackendUnavailable, EngineError.
    """
    images, height, width, channels = batch.shape
    check(
        load().catchlight_back_project(
            batch.ctypes.data,
            images,
            height,
            width,
            channels // 3,
            enhanced.shape[1] // height,
            mistake_levels,
            noise_levels,
            enhanced.ctypes.data,
        )
    )
