"""Finds an engine that runs on this machine, and says why each one before it does not.

Starting fast is part of the contract: PyTorch alone takes a second and 200 MB, so nothing that needs it is imported
before a cheaper look has shown that it could serve.
"""

import ctypes
import sys
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path

from engines.base import Engine
from engines.bicubic import BicubicEngine
from engines.checkpoint import Checkpoint, load_checkpoint
from engines.errors import BackendUnavailable, EngineError
from engines.native.interface import MAX_THREADS

DEFAULT_TIER = "medium8"
"""The shipped tier that "default" means."""

AUTO_ORDER = ("tensorrt", "cuda", "native", "openvino", "eager")
"""Fastest first."""


def load_engine(
    engine: str = "auto", tier: str | Path = "auto", *, threads: int = 0, cache: Path | None = None
) -> Engine:
    """Open an engine.

    engine: auto (the first of AUTO_ORDER that runs here), one of these, onnxruntime, or bicubic.
    tier: default, auto (here the same; engines.choose_tier times the tiers), the name of a shipped tier, or the path of
        a checkpoint. Bicubic takes from it the scale and number of frames, which default to 2 and 1.
    threads: CPU threads; 0 lets the back end choose.
    cache: folder of compiled engines; None: engines.cache.default_folder().

    Raises ValueError for an unknown engine or number of threads, CheckpointError, and BackendUnavailable: from an
    engine that was named, or from auto when none runs. EngineError from one that was named when the system refuses it
    memory or threads.
    """
    if not 0 <= threads <= MAX_THREADS:
        raise ValueError(f"threads: expected 0 to {MAX_THREADS}, got {threads}")
    if engine == "bicubic" and tier in ("auto", "default", "bicubic"):
        return BicubicEngine()
    if engine not in ("auto", "bicubic", *_BACKENDS):
        raise ValueError(f"engine: expected one of auto, {', '.join(_BACKENDS)}, bicubic; got {engine!r}")
    checkpoint = load_checkpoint(DEFAULT_TIER if tier in ("auto", "default") else tier)
    if engine == "bicubic":
        return BicubicEngine(scale=checkpoint.config.scale, frames=checkpoint.config.frames)
    if engine != "auto":
        return open_backend(engine, checkpoint, threads=threads, cache=cache)
    passed_over: list[str] = []
    for name in AUTO_ORDER:
        try:
            found = open_backend(name, checkpoint, threads=threads, cache=cache)
        except EngineError as err:
            passed_over.append(str(err))
        else:
            found.passed_over = tuple(passed_over)
            return found
    raise BackendUnavailable(f"no engine runs here: {'; '.join(passed_over)}")


def open_backend(name: str, checkpoint: Checkpoint, *, threads: int = 0, cache: Path | None = None) -> Engine:
    """One back end of AUTO_ORDER or onnxruntime; raises BackendUnavailable, the message beginning with its name."""
    check, build = _BACKENDS[name]
    if reason := check():
        raise BackendUnavailable(f"{name}: {reason}")
    try:
        return build(checkpoint, threads, cache)
    except BackendUnavailable as err:
        text = str(err)
        raise BackendUnavailable(text if text.startswith(f"{name}: ") else f"{name}: {text}") from err
    # ImportError for what is not installed; the others from libraries that are, and do not work here.
    except (ImportError, OSError, RuntimeError) as err:
        raise BackendUnavailable(f"{name}: {type(err).__name__}: {err}") from err


def _nothing_missing() -> str:
    return ""


def _cuda_missing() -> str:
    try:
        torch_version = version("torch")
    except PackageNotFoundError:
        return "PyTorch is not installed"
    if "+cpu" in torch_version:
        return f"PyTorch {torch_version} is built for the CPU only"
    library = "nvcuda.dll" if sys.platform == "win32" else "libcuda.so.1"
    try:
        driver = ctypes.CDLL(library)
    except OSError:
        return f"no NVIDIA driver ({library} is not here)"
    devices = ctypes.c_int()
    if driver.cuInit(0) != 0 or driver.cuDeviceGetCount(ctypes.byref(devices)) != 0 or devices.value < 1:
        return "the NVIDIA driver finds no usable GPU"
    return ""


def _tensorrt_missing() -> str:
    if find_spec("torch_tensorrt") is None and find_spec("tensorrt_rtx_bindings") is None:
        return "not installed (pip install 'catchlight[rtx]' for GeForce RTX and the like, or 'catchlight[tensorrt]')"
    return _cuda_missing()


def _tensorrt(checkpoint: Checkpoint, threads: int, cache: Path | None) -> Engine:
    from engines.tensorrt.engine import TensorRTEngine

    return TensorRTEngine(checkpoint, threads=threads, cache=cache)


def _cuda(checkpoint: Checkpoint, threads: int, cache: Path | None) -> Engine:
    from engines.cuda import CudaEngine

    return CudaEngine(checkpoint, threads=threads)


def _native(checkpoint: Checkpoint, threads: int, cache: Path | None) -> Engine:
    from engines.native.engine import NativeEngine

    return NativeEngine(checkpoint, threads=threads)


def _openvino(checkpoint: Checkpoint, threads: int, cache: Path | None) -> Engine:
    from engines.openvino import OpenVINOEngine

    return OpenVINOEngine(checkpoint, threads=threads, cache=cache)


def _onnxruntime(checkpoint: Checkpoint, threads: int, cache: Path | None) -> Engine:
    from engines.onnx import OnnxRuntimeEngine

    return OnnxRuntimeEngine(checkpoint, threads=threads)


def _eager(checkpoint: Checkpoint, threads: int, cache: Path | None) -> Engine:
    from engines.eager import EagerEngine

    return EagerEngine(checkpoint, threads=threads)


_BACKENDS: dict[str, tuple[Callable[[], str], Callable[[Checkpoint, int, Path | None], Engine]]] = {
    "tensorrt": (_tensorrt_missing, _tensorrt),
    "cuda": (_cuda_missing, _cuda),
    "native": (_nothing_missing, _native),
    "openvino": (_nothing_missing, _openvino),
    "eager": (_nothing_missing, _eager),
    "onnxruntime": (_nothing_missing, _onnxruntime),
}
