"""The GPU, its driver and PyTorch, as far as a compiled engine depends on them."""

import ctypes
import sys

import torch


def facts() -> dict[str, object]:
    """For engines.cache.cache_key."""
    driver = ctypes.c_int()
    library = "nvcuda.dll" if sys.platform == "win32" else "libcuda.so.1"
    ctypes.CDLL(library).cuDriverGetVersion(ctypes.byref(driver))
    return {
        "capability": torch.cuda.get_device_capability(),
        "cuda": torch.version.cuda,
        "driver": driver.value,
        "dtype": "half",
        "gpu": torch.cuda.get_device_name(),
        "torch": torch.__version__,
    }
