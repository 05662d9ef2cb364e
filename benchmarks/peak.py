"""What the processor can do at most: single-precision fused multiply-adds, measured, not read from a data sheet."""

import ctypes
import shutil
import subprocess
import tempfile
import threading
from pathlib import Path
from time import perf_counter

import numpy as np

# Twelve accumulators hide the latency of two multiply-add units; nothing leaves the registers.
SOURCE = r"""
#define WIDTH (sizeof(vector) / sizeof(float))
#ifdef __AVX512F__
typedef float vector __attribute__((vector_size(64)));
#elif defined(__AVX__)
typedef float vector __attribute__((vector_size(32)));
#else
typedef float vector __attribute__((vector_size(16)));
#endif
float burn(long rounds) {
  vector sum[12], factor = (vector){} + 0.999f, term = (vector){} + 1e-6f;
  for (int i = 0; i < 12; i++) sum[i] = (vector){} + (float)i;
  for (long r = 0; r < rounds; r++) {
#pragma GCC unroll 12
    for (int i = 0; i < 12; i++) sum[i] = sum[i] * factor + term;
  }
  float total = 0;
  for (int i = 0; i < 12; i++) for (unsigned k = 0; k < WIDTH; k++) total += sum[i][k];
  return total;
}
long operations(long rounds) { return rounds * 12 * WIDTH * 2; }
"""

RUNS = 100
"""Of some milliseconds each: enough that all threads have once had a core each to themselves."""


def peak_gflops(threads: int) -> tuple[float, str]:
    """The best of several short runs on all threads, in 10^9 operations a second, and how it was measured."""
    compiler = shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")
    if compiler is None:
        return _matrix_products(), "numpy's matrix product (no C compiler here): a lower bound"
    with tempfile.TemporaryDirectory() as folder:
        source, library = Path(folder, "peak.c"), Path(folder, "peak.so")
        source.write_text(SOURCE)
        command = [compiler, "-O3", "-march=native", "-ffp-contract=fast", "-shared", "-fPIC"]
        built = subprocess.run([*command, str(source), "-o", str(library)], capture_output=True, check=False)
        if built.returncode:
            return _matrix_products(), "numpy's matrix product (the C compiler failed): a lower bound"
        burn = ctypes.CDLL(str(library))
    burn.burn.restype, burn.operations.restype = ctypes.c_float, ctypes.c_long
    rounds = ctypes.c_long(2_000_000)
    best_s = min(_together(threads, lambda: burn.burn(rounds)) for _ in range(RUNS))
    return threads * burn.operations(rounds) / best_s / 1e9, f"fused multiply-adds in registers, best of {RUNS}"


def _together(threads: int, work: object) -> float:
    assert callable(work)
    workers = [threading.Thread(target=work) for _ in range(threads)]
    started = perf_counter()
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    return perf_counter() - started


def _matrix_products() -> float:
    a = np.ones((1024, 1024), np.float32)
    best_s = float("inf")
    for _ in range(9):
        started = perf_counter()
        a @ a
        best_s = min(best_s, perf_counter() - started)
    return 2 * 1024**3 / best_s / 1e9
