"""The C interface refuses what it cannot use; the build needs no compiler and keeps instruction sets apart."""

import ctypes
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import engines
from engines import BackendUnavailable, SwinIRConfig
from engines.back_projection import back_project, reference
from engines.native.interface import INSTRUCTIONS, load

ROOT = Path(engines.__file__).parents[1]
SOURCES = ROOT / "engines" / "native"
BAD_ARGUMENT = 1
AVX2_INT16 = INSTRUCTIONS["avx2int16"]
AVX2 = ["-mavx2", "-mfma", "-mno-avx512f"]
AVX512 = [*AVX2, "-mavx512f", "-mavx512dq", "-mavx512bw", "-mavx512vl"]
COMPILE = ["g++", "-std=c++17", "-O0", "-w", "-fno-exceptions", "-c"]

CONFIG = {"scale": 2, "frames": 1, "unshuffle": 1, "embed_dim": 16, "heads": 2, "mlp_ratio": 2, "groups": 1}


class Config(ctypes.Structure):
    _fields_ = [*((name, ctypes.c_int32) for name in CONFIG), ("depths", ctypes.POINTER(ctypes.c_int32))]


@pytest.fixture(scope="module")
def library() -> ctypes.CDLL:
    """The library without the checks of engines.native.interface."""
    try:
        return ctypes.CDLL(load()._name)
    except BackendUnavailable as err:
        pytest.skip(str(err))


def create(library, *, depths=(2,), count=None, threads=1, instructions=0, **fields) -> tuple[int, ctypes.c_void_p]:
    config = Config(*(CONFIG | fields).values(), (ctypes.c_int32 * len(depths))(*depths))
    known = SwinIRConfig(embed_dim=16, depths=(2,), heads=2).parameter_shapes().values()
    total = sum(int(np.prod(shape)) for shape in known)
    weights = np.zeros(total, np.float32)
    engine = ctypes.c_void_p()
    status = library.catchlight_create(
        ctypes.byref(config),
        weights.ctypes.data_as(ctypes.c_void_p),
        ctypes.c_size_t(total if count is None else count),
        threads,
        instructions,
        ctypes.byref(engine),
    )
    return status, engine


@pytest.mark.parametrize(
    "fields",
    [
        {"scale": 3},
        {"frames": 0},
        {"frames": 9},
        {"unshuffle": 3},
        {"embed_dim": 0},
        {"embed_dim": 2**31 - 1},
        {"heads": 0},
        {"heads": 3},
        {"heads": -1},
        {"mlp_ratio": 5},
        {"groups": 0},
        {"groups": 65},
        {"depths": (0,)},
        {"depths": (65,)},
        {"depths": (-1,)},
        {"depths": (33, 32), "groups": 2},
        {"count": 0},
        {"count": 1},
        {"embed_dim": 18},
        {"threads": 0},
        {"threads": 65},
        {"instructions": -1},
        {"instructions": 7},
    ],
    ids=str,
)
def test_a_network_that_cannot_be_is_refused(library, fields):
    status, engine = create(library, **fields)

    assert status == BAD_ARGUMENT
    assert engine.value is None


@pytest.mark.parametrize(
    "shape", [(0, 8, 8), (1, 0, 8), (1, 8, 0), (1, 2049, 8), (1, 8, 2049), (-1, 8, 8), (65537, 8, 8)]
)
def test_a_batch_that_cannot_be_is_refused(library, shape):
    status, engine = create(library)
    pixel = (ctypes.c_uint8 * 3)()

    refused = library.catchlight_run(engine, pixel, *shape, pixel, None)
    library.catchlight_destroy(engine)

    assert status == 0
    assert refused == BAD_ARGUMENT


def test_null_is_refused_everywhere(library):
    status, engine = create(library)
    pixel = (ctypes.c_uint8 * 3)()

    assert status == 0
    assert library.catchlight_create(None, None, ctypes.c_size_t(0), 1, 0, None) == BAD_ARGUMENT
    assert library.catchlight_run(None, pixel, 1, 1, 1, pixel, None) == BAD_ARGUMENT
    assert library.catchlight_run(engine, None, 1, 1, 1, pixel, None) == BAD_ARGUMENT
    assert library.catchlight_run(engine, pixel, 1, 1, 1, None, None) == BAD_ARGUMENT
    library.catchlight_destroy(engine)
    library.catchlight_destroy(None)


@pytest.mark.parametrize(
    ("size", "window", "step"),
    [
        ((0, 8), (0, 0, 8, 8), 1),
        ((8, 1 << 20), (0, 0, 8, 8), 1),
        ((8, 8), (0, 0, 2, 8), 1),
        ((8, 8), (0, 0, 8, 129), 1),
        ((8, 8), (0, 0, 8, 8), 0),
        ((8, 8), (0, 0, 8, 8), 3),
        ((8, 8), (0, 1 << 30, 8, 8), 1),
    ],
)
def test_a_window_that_cannot_be_followed_is_refused(library, size, window, step):
    frame, moved = (ctypes.c_uint8 * 192)(), (ctypes.c_double * 2)()

    def follow(newer, older):
        return library.catchlight_displacements(newer, older, *size, (ctypes.c_int32 * 4)(*window), 1, step, moved)

    assert follow(frame, frame) == follow(None, frame) == follow(frame, None) == BAD_ARGUMENT
    assert list(moved) == [0, 0]


@pytest.mark.parametrize(
    ("shape", "levels"),
    [
        ((0, 4, 4, 1, 2), (1.4, 2.0)),
        ((1, 0, 4, 1, 2), (1.4, 2.0)),
        ((1, 4, 2049, 1, 2), (1.4, 2.0)),
        ((1, 4, 4, 9, 2), (1.4, 2.0)),
        ((1, 4, 4, 1, 3), (1.4, 2.0)),
        ((1, 4, 4, 1, 2), (2.0, 2.0)),
        ((1, 4, 4, 1, 2), (1.4, float("nan"))),
    ],
)
def test_what_cannot_be_back_projected_is_refused(library, shape, levels):
    frame, enhanced = (ctypes.c_uint8 * 48)(), (ctypes.c_uint8 * 192)(*[1] * 192)

    def project(frame, enhanced):
        return library.catchlight_back_project(frame, *shape, *map(ctypes.c_float, levels), enhanced)

    assert project(frame, enhanced) == project(None, enhanced) == project(frame, None) == BAD_ARGUMENT
    assert set(enhanced) == {1}


@pytest.mark.parametrize("scale", [2, 4, 8])
@pytest.mark.parametrize("frames", [1, 8])
def test_back_projection_gives_the_bytes_of_its_numpy_form(library, scale, frames):
    rng, changed = np.random.default_rng(scale), []
    batch = rng.integers(0, 256, (3, 9, 14, 3 * frames), dtype=np.uint8)
    for level in (0.0, 1.0, 1.5, 1.8, 1.9, 3.0):
        seen = batch[..., :3] + np.rint(rng.normal(0, level, (3, 9, 14, 3)))
        blocks = seen.repeat(scale, axis=1).repeat(scale, axis=2)
        enhanced = (blocks + rng.normal(0, 3, blocks.shape)).clip(0, 255).astype(np.uint8)
        expected = enhanced.copy()
        reference(batch, expected)
        np.testing.assert_array_equal(back_project(batch, enhanced.copy()), expected)
        changed.append((expected != enhanced).any())

    assert changed[0]
    assert not changed[-1]


def run_without_library(tmp_path: Path, content: bytes | None) -> str:
    """The message of BackendUnavailable from a copy of the package with that library, or with none."""
    shutil.copytree(
        SOURCES.parent, tmp_path / "engines", ignore=shutil.ignore_patterns("*.so", "weights", "__pycache__")
    )
    if content is not None:
        (tmp_path / "engines" / "native" / "library.so").write_bytes(content)
    program = (
        "from engines import BackendUnavailable\nfrom engines.native.interface import load\n"
        "try:\n    load()\nexcept BackendUnavailable as err:\n    print(err)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=tmp_path, env=os.environ | {"PYTHONPATH": str(tmp_path)},
        capture_output=True, text=True, timeout=60, check=True,
    )  # fmt: skip
    return done.stdout


def test_a_missing_library_says_what_to_do(tmp_path):
    assert "was not built; install a C++ compiler (GCC 11, Clang 14 or newer)" in run_without_library(tmp_path, None)


def test_a_damaged_library_says_what_to_do(tmp_path):
    assert "cannot be loaded" in run_without_library(tmp_path, b"not a library")


def test_installation_succeeds_without_a_compiler_and_leaves_no_older_library(tmp_path):
    old = tmp_path / "engines" / "native" / "library.so"
    old.parent.mkdir(parents=True)
    old.write_bytes(b"of an older version")

    done = subprocess.run(
        [sys.executable, "setup.py", "-q", "build_ext", "--force", "--build-lib", tmp_path, "--build-temp", tmp_path],
        cwd=ROOT, env=os.environ | {"CC": "false", "CXX": "false"}, capture_output=True, text=True, timeout=60,
        check=False,
    )  # fmt: skip

    assert done.returncode == 0, done.stderr
    assert not list(tmp_path.rglob("*.so"))


@pytest.mark.skipif(os.uname().machine != "x86_64", reason="only x86-64 has several instruction sets")
@pytest.mark.skipif(shutil.which("g++") is None, reason="needs g++")
def test_a_compiler_without_avxvnni_builds_the_rest(tmp_path):
    compiler = tmp_path / "compiler"
    compiler.write_text('#!/bin/sh\ncase "$*" in *kernel_avxvnni.cpp*) exit 1;; esac\nexec g++ "$@" -O0\n')
    compiler.chmod(0o755)
    tools = {"CC": str(compiler), "CXX": str(compiler)}

    done = subprocess.run(
        [sys.executable, "setup.py", "-q", "build_ext", "--force", "--build-lib", tmp_path, "--build-temp", tmp_path],
        cwd=ROOT, env=os.environ | tools, capture_output=True, text=True, timeout=200, check=False,
    )  # fmt: skip

    assert done.returncode == 0, done.stderr
    assert "kernel_avxvnni.cpp is left out" in done.stdout + done.stderr
    library = ctypes.CDLL(str(tmp_path / "engines" / "native" / "library.so"))
    assert library.catchlight_supports(INSTRUCTIONS["auto"])
    assert not library.catchlight_supports(INSTRUCTIONS["avxvnniint16"])


@pytest.mark.skipif(os.uname().machine != "x86_64", reason="only x86-64 has several instruction sets")
@pytest.mark.skipif(shutil.which("g++") is None, reason="needs g++")
@pytest.mark.parametrize("flags", [AVX2, [*AVX512, "-mno-avx512bf16"]], ids=["avx2", "avx512"])
def test_a_unit_has_no_wider_instructions_than_its_own_whatever_cflags_ask_for(flags):
    wider = ["g++", "-march=sapphirerapids", *flags, "-dM", "-E", "-x", "c++", os.devnull]

    macros = subprocess.run(wider, check=True, capture_output=True, text=True, timeout=60).stdout

    assert "__AVX2__" in macros
    assert ("__AVX512F__" in macros) == ("-mavx512f" in flags)
    assert "__AVX512BF16__" not in macros


@pytest.mark.skipif(shutil.which("g++") is None, reason="needs g++")
def test_functions_and_attention_in_16_bits_equal_those_in_double_precision(library, tmp_path):
    if not library.catchlight_supports(AVX2_INT16):
        pytest.skip("this processor has no AVX2")
    program = tmp_path / "native_int16"
    source = Path(__file__).with_name("native_int16.cpp")
    subprocess.run(["g++", "-std=c++17", "-O1", "-w", *AVX2, source, "-o", program], check=True, timeout=100)

    done = subprocess.run([program], capture_output=True, text=True, timeout=60, check=False)

    assert done.returncode == 0, done.stderr


@pytest.mark.skipif(os.uname().machine != "x86_64", reason="only x86-64 has several instruction sets")
@pytest.mark.skipif(shutil.which("g++") is None or shutil.which("nm") is None, reason="needs g++ and nm")
@pytest.mark.parametrize(
    ("unit", "flags", "tables"),
    [
        ("kernel_avx2", AVX2, ["Avx2", "Avx2Int16"]),
        ("kernel_avxvnni", AVX2, ["AvxVnniInt16"]),
        ("kernel_avx512", AVX512, ["Avx512"]),
        ("kernel_avx512bf16", [*AVX512, "-mavx512bf16"], ["Avx512Bf16"]),
    ],
)
def test_wide_instructions_stay_in_their_unit(tmp_path, unit, flags, tables):
    # Unoptimised, so that nothing that another unit might share has been inlined away.
    subprocess.run(
        [*COMPILE, *flags, SOURCES / f"{unit}.cpp", "-o", tmp_path / "unit.o"],
        check=True, timeout=100,
    )  # fmt: skip

    listed = subprocess.run(
        ["nm", "-gC", "--defined-only", tmp_path / "unit.o"], capture_output=True, text=True, check=True
    )

    defined = [line.split(maxsplit=2)[2] for line in listed.stdout.splitlines()]
    assert defined == [f"catchlight::kKernels{table}" for table in tables]
