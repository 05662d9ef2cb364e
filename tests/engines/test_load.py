"""Which engine is found, and what is said of the others."""

import ctypes
import importlib.metadata
import subprocess
import sys

import pytest

from engines import BackendUnavailable, CheckpointError, EngineError, load_engine
from engines.load import _BACKENDS, AUTO_ORDER
from engines.native import interface as native


def test_auto_takes_the_first_that_runs_and_gives_a_reason_for_each_before_it(random_checkpoint, tmp_path):
    with load_engine("auto", random_checkpoint(), cache=tmp_path) as engine:
        before = AUTO_ORDER[: AUTO_ORDER.index(engine.name)]
        assert [reason.split(": ")[0] for reason in engine.passed_over] == list(before)
        assert all("\n" not in reason and len(reason.split(": ", 1)[1]) > 10 for reason in engine.passed_over)


@pytest.fixture
def without(monkeypatch, tmp_path):
    """Call it with names of engines to take from this machine what they need."""

    def take_away(*names: str) -> None:
        if "cuda" in names:
            monkeypatch.setattr("engines.load.version", lambda package: "2.13.0+cpu")
        if "native" in names:
            monkeypatch.setattr(native, "LIBRARY", tmp_path / "library.so")
            monkeypatch.setattr(native, "load", native.load.__wrapped__)
            monkeypatch.setattr(native, "available", lambda: False)
        for name, module in (("openvino", "openvino"), ("eager", "torch")):
            if name in names:
                monkeypatch.setitem(sys.modules, module, None)
                monkeypatch.delitem(sys.modules, f"engines.{name}", raising=False)

    return take_away


@pytest.mark.parametrize(
    ("missing", "served_by"), [(["cuda", "native"], "openvino"), (["cuda", "native", "openvino"], "eager")], ids=str
)
def test_auto_falls_back_engine_by_engine(missing, served_by, without, random_checkpoint, tmp_path, noise):
    without(*missing)

    with load_engine("auto", random_checkpoint(), cache=tmp_path) as engine:
        assert engine(noise(1, 8, 8, 3)).shape == (1, 16, 16, 3)

    assert engine.name == served_by
    assert [reason.split(": ")[0] for reason in engine.passed_over] == ["tensorrt", *missing]
    assert "native: its library was not built; install a C++ compiler" in engine.passed_over[2]


def test_where_no_engine_runs_auto_says_why_of_each(without, random_checkpoint, tmp_path):
    without("cuda", "native", "openvino", "eager")

    with pytest.raises(BackendUnavailable, match=r"^no engine runs here: tensorrt: .+; cuda: .+; native: ") as refused:
        load_engine("auto", random_checkpoint(), cache=tmp_path)

    assert "; openvino: ModuleNotFoundError: import of openvino halted" in str(refused.value)
    assert "; eager: ModuleNotFoundError: import of torch halted" in str(refused.value)


class Driver:
    """libcuda, with a script: what cuInit answers, and the number of GPUs."""

    def __init__(self, status: int, gpus: int) -> None:
        self._status, self._gpus = status, gpus

    def cuInit(self, flags):  # noqa: N802 - CUDA's name
        return self._status

    def cuDeviceGetCount(self, count):  # noqa: N802
        count._obj.value = self._gpus
        return 0


def no_package(name):
    raise importlib.metadata.PackageNotFoundError(name)


def no_driver(library):
    raise OSError(library)


@pytest.mark.parametrize(
    ("version", "driver", "reason"),
    [
        (no_package, no_driver, "PyTorch is not installed"),
        (lambda name: "2.13.0+cpu", no_driver, r"PyTorch 2\.13\.0\+cpu is built for the CPU only"),
        (lambda name: "2.13.0", no_driver, r"no NVIDIA driver \((libcuda\.so\.1|nvcuda\.dll) is not here\)"),
        (lambda name: "2.13.0", lambda library: Driver(100, 1), "the NVIDIA driver finds no usable GPU"),
        (lambda name: "2.13.0", lambda library: Driver(0, 0), "the NVIDIA driver finds no usable GPU"),
    ],
    ids=["no torch", "torch for the CPU", "no driver", "a driver that does not start", "no GPU"],
)
def test_what_a_gpu_engine_lacks_is_said(version, driver, reason, monkeypatch, random_checkpoint):
    path = random_checkpoint()
    monkeypatch.setattr("engines.load.version", version)
    monkeypatch.setattr(ctypes, "CDLL", driver)

    with pytest.raises(BackendUnavailable, match=f"^cuda: {reason}$"):
        load_engine("cuda", path)


def test_an_engine_named_by_the_user_fails_loudly(random_checkpoint, tmp_path):
    with load_engine("auto", random_checkpoint(), cache=tmp_path) as engine:
        if not engine.passed_over:
            pytest.skip("every engine runs here")
        missing = engine.passed_over[0].split(": ")[0]

    with pytest.raises(BackendUnavailable, match=f"^{missing}: "):
        load_engine(missing, random_checkpoint(), cache=tmp_path)


def test_an_unknown_engine_is_a_callers_mistake():
    with pytest.raises(ValueError, match=r"engine: expected one of auto, .*openvino.*; got 'warp'"):
        load_engine("warp")


@pytest.mark.parametrize("engine", ["auto", "native", "openvino", "eager", "onnxruntime"])
@pytest.mark.parametrize("threads", [-1, 65])
def test_threads_that_no_engine_could_use_are_refused(engine, threads, random_checkpoint):
    with pytest.raises(ValueError, match=f"threads: expected 0 to 64, got {threads}"):
        load_engine(engine, random_checkpoint(), threads=threads)


@pytest.mark.parametrize(
    "error",
    [
        EngineError("native: the system refused to start a thread"),
        OSError("libcudart.so.13: cannot open shared object file"),
        RuntimeError("Could not determine home directory."),
    ],
    ids=lambda error: type(error).__name__,
)
def test_auto_passes_over_what_is_there_and_does_not_work(error, monkeypatch, random_checkpoint, tmp_path):
    def fail(*_):
        raise error

    monkeypatch.setitem(_BACKENDS, "native", (lambda: "", fail))

    with load_engine("auto", random_checkpoint(), cache=tmp_path) as engine:
        assert engine.name != "native"

    assert str(error) in next(reason for reason in engine.passed_over if reason.startswith("native: "))


def test_an_unknown_tier_is_named(tmp_path):
    with pytest.raises(CheckpointError, match="'no-such-tier'"):
        load_engine("eager", "no-such-tier")


@pytest.mark.parametrize("tier", ["", ".", "/", "x" * 300, "a\0b", ".json"])
def test_a_path_that_cannot_be_one_is_an_unknown_tier(tier):
    with pytest.raises(CheckpointError, match="tier or checkpoint '"):
        load_engine("native", tier)


def test_bicubic_needs_no_weights_and_takes_scale_and_frames_from_a_checkpoint(random_checkpoint):
    assert (load_engine("bicubic").scale, load_engine("bicubic").frames) == (2, 1)

    engine = load_engine("bicubic", random_checkpoint(scale=4, frames=3))

    assert (engine.name, engine.tier, engine.sha256, engine.scale, engine.frames) == ("bicubic", "bicubic", "", 4, 3)


def test_opening_a_cpu_engine_imports_no_torch(random_checkpoint, tmp_path):
    code = (
        "import sys; from engines import load_engine; engine = load_engine('auto', sys.argv[1], cache=sys.argv[2]); "
        "sys.exit(engine.name in ('native', 'openvino') and 'torch' in sys.modules)"
    )

    assert subprocess.run([sys.executable, "-c", code, str(random_checkpoint()), str(tmp_path)]).returncode == 0
