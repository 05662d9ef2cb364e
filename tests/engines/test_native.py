"""The native engine equals the eager network, whatever the shape, instruction set and number of threads."""

import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from engines import BackendUnavailable, Checkpoint, EngineError, load_checkpoint, shipped_tiers
from engines.native import interface
from engines.native.engine import NativeEngine
from engines.swinir import SwinIR

INSTRUCTIONS = ("portable", "avx2", "avx2int16", "avxvnniint16", "avx512", "avx512bf16")

CORES = os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else set()

# How far those that round factors to 16 bits may be from the network.
ROUNDED = {"avx2int16": 0.25 / 255, "avxvnniint16": 0.25 / 255, "avx512bf16": 1 / 255}

NETWORKS = {
    "D16": {"embed_dim": 16, "heads": 2, "depths": (2, 2)},
    "B32": {"embed_dim": 32, "heads": 4, "depths": (2, 2)},
    "U48": {"embed_dim": 48, "heads": 4, "depths": (4, 4), "unshuffle": 2, "frames": 3},
    "S": {"embed_dim": 60, "heads": 6, "depths": (6, 6, 6, 6)},
    "one head": {"embed_dim": 24, "heads": 1, "depths": (2,)},
    "one channel a head": {"embed_dim": 7, "heads": 7, "depths": (1, 1)},
    "odd depths": {"embed_dim": 21, "heads": 3, "depths": (1, 3), "mlp_ratio": 1},
    "x4, two frames": {"embed_dim": 18, "heads": 2, "depths": (2,), "scale": 4, "frames": 2},
    "x8 from half": {"embed_dim": 16, "heads": 2, "depths": (3,), "scale": 8, "unshuffle": 2, "mlp_ratio": 4},
    "eight frames": {"embed_dim": 16, "heads": 2, "depths": (1,), "frames": 8, "unshuffle": 2},
}


@pytest.fixture(scope="module", autouse=True)
def one_torch_thread() -> Iterator[None]:
    """The images are too small for more."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def instructions() -> tuple[str, ...]:
    """Instruction sets that the library has here; skips where it is not built."""
    return tuple(name for name in INSTRUCTIONS if _runs(name))


def _runs(instructions: str) -> bool:
    try:
        return bool(interface.load().catchlight_supports(interface.INSTRUCTIONS[instructions]))
    except BackendUnavailable as err:
        pytest.skip(str(err))


@pytest.fixture(scope="module")
def network(random_checkpoint):
    """By name: a checkpoint of NETWORKS and its eager network."""
    made = {}

    def get(name: str) -> tuple[Checkpoint, SwinIR]:
        if name not in made:
            checkpoint = load_checkpoint(random_checkpoint(**NETWORKS[name]))
            made[name] = checkpoint, SwinIR.from_checkpoint(checkpoint)
        return made[name]

    return get


def eager(model: SwinIR, batch: np.ndarray) -> np.ndarray:
    """What the network gives before clamping and rounding, float (N, H*scale, W*scale, 3)."""
    with torch.inference_mode():
        return model(torch.from_numpy(batch).permute(0, 3, 1, 2).float() / 255).permute(0, 2, 3, 1).numpy()


def worker_threads() -> list[int]:
    """Threads of this process that belong to native engines."""
    names = [Path(task, "comm") for task in Path("/proc/self/task").iterdir()]
    return [int(name.parent.name) for name in names if name.exists() and name.read_text() == "catchlight\n"]


def running(workers: int) -> list[int]:
    """So many worker threads, once they run: a thread names itself."""
    deadline = time.monotonic() + 20
    while len(worker_threads()) < workers and time.monotonic() < deadline:
        time.sleep(0.01)
    return worker_threads()


def check(
    engine: NativeEngine, batch: np.ndarray, expected: np.ndarray, tolerance: float = 5e-6, levels: int = 1
) -> None:
    exact = np.full(expected.shape, np.nan, np.float32)
    output = engine._enhance(batch, exact)
    rounded = np.floor(np.clip(expected, 0, 1) * 255 + 0.5)

    tolerance = max(tolerance, ROUNDED.get(engine.instructions, 0))
    np.testing.assert_allclose(exact, expected, rtol=0, atol=tolerance)
    np.testing.assert_array_equal(output, np.floor(np.clip(exact, 0, 1) * np.float32(255) + np.float32(0.5)))
    assert np.abs(output - rounded).max() <= levels


@pytest.mark.parametrize("name", NETWORKS)
def test_every_network_equals_eager(network, instructions, noise, name):
    checkpoint, model = network(name)
    batch = noise(2, 16, 24, 3 * checkpoint.config.frames)
    expected = eager(model, batch)

    for each in instructions:
        with NativeEngine(checkpoint, threads=2, instructions=each) as engine:
            check(engine, batch, expected)


@pytest.mark.parametrize("shape", [(2, 32, 48), (2, 48, 64), (1, 128, 128)], ids=str)
@pytest.mark.parametrize("tier", shipped_tiers())
def test_every_shipped_tier_equals_eager_where_rounding_shows_most(instructions, noise, tier, shape):
    checkpoint = load_checkpoint(tier)
    batch = noise(*shape, 3 * checkpoint.config.frames) // 128 * 255  # black and white
    expected = eager(SwinIR.from_checkpoint(checkpoint), batch)

    for each in (*instructions, "auto"):
        with NativeEngine(checkpoint, instructions=each) as engine:
            if each == "avx512bf16" and checkpoint.config.unshuffle == 1:  # which "auto" does not take, therefore
                check(engine, batch, expected, tolerance=2.1 / 255, levels=2)
            else:
                check(engine, batch, expected)


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    name=st.sampled_from(["D16", "odd depths", "x4, two frames", "x8 from half"]),
    images=st.integers(1, 3),
    height=st.integers(1, 33),
    width=st.integers(1, 33),
    threads=st.integers(1, 3),
    data=st.data(),
)
def test_any_shape_equals_eager(network, instructions, noise, name, images, height, width, threads, data):
    checkpoint, model = network(name)
    batch = noise(images, height, width, 3 * checkpoint.config.frames, seed=height * width)

    with NativeEngine(checkpoint, threads=threads, instructions=data.draw(st.sampled_from(instructions))) as engine:
        check(engine, batch, eager(model, batch))


@pytest.mark.parametrize("factor", [30, 300, 30_000, 1_000_000])
def test_sharp_attention_neither_overflows_nor_vanishes(network, instructions, noise, factor):
    checkpoint, _ = network("D16")
    sharp = {k: v * np.float32(factor) if "qkv.weight" in k else v for k, v in checkpoint.tensors.items()}
    checkpoint = replace(checkpoint, tensors=sharp)
    batch = noise(1, 16, 24, 3)
    model = SwinIR.from_checkpoint(checkpoint).double()
    with torch.inference_mode():
        expected = model(torch.from_numpy(batch).permute(0, 3, 1, 2).double() / 255).permute(0, 2, 3, 1).numpy()

    for each in instructions:
        exact = np.full(expected.shape, np.nan, np.float32)
        with NativeEngine(checkpoint, instructions=each) as engine:
            engine._enhance(batch, exact)

        # A logit of a hundred thousand has float32 steps of 0.01, so single values may differ; most must not. In
        # bfloat16 its steps are 500, of integers 10. Of a thousand millions they are 64.
        median = np.median(np.abs(exact - expected)) / np.abs(expected).max()
        assert np.isfinite(exact).all()
        assert median < (0.02 if each in ROUNDED else 1e-3)


def test_bias_that_drives_every_logit_down_still_sums_to_one(network, instructions, noise):
    checkpoint, model = network("D16")
    lowered = {k: v - 500 if "position_bias" in k else v for k, v in checkpoint.tensors.items()}
    batch = noise(1, 16, 16, 3)
    expected = eager(model, batch)  # softmax does not see a constant

    for each in instructions:
        with NativeEngine(replace(checkpoint, tensors=lowered), instructions=each) as engine:
            check(engine, batch, expected, tolerance=5e-5)


@pytest.mark.parametrize("part", [100, 31.7, 22.4, 15.85, 11.2, 5])  # logits just within their bits, and far beyond
@pytest.mark.parametrize("signs", [1, 2])
def test_sums_as_large_as_can_be_do_not_overflow(network, instructions, noise, part, signs):
    checkpoint, _ = network("D16")
    channels = checkpoint.config.embed_dim
    furthest = np.full(channels, -1.0, np.float32)  # what a LayerNorm makes of one channel among zeros
    furthest[0] = channels - 1
    fill = {"conv_first.weight": 0, "norm1.weight": 1, "norm2.weight": 1, "patch_norm.weight": 1, "bias": 0}
    fill |= {"proj.weight": 0.1, "fc2.weight": 0.1, "qkv.weight": furthest / part, "fc1.weight": furthest / part}
    tensors = {name: tensor.copy() for name, tensor in checkpoint.tensors.items()}
    for name, tensor in tensors.items():
        for end, value in fill.items():
            if name.endswith(end):
                tensor[:] = value
    tensors["conv_first.weight"][0] = 10
    tensors["conv_first.bias"][0] = -135 if signs == 2 else 0  # the mean, so that half of the tokens are the opposite
    checkpoint = replace(checkpoint, tensors=tensors)
    batch = noise(1, 16, 24, 3)
    expected = eager(SwinIR.from_checkpoint(checkpoint), batch)

    for each in instructions:
        exact = np.full(expected.shape, np.nan, np.float32)
        with NativeEngine(checkpoint, instructions=each) as engine:
            engine._enhance(batch, exact)

        # What overflows is as wrong as it is large; bfloat16 has steps of 1/256.
        assert np.abs(exact - expected).max() < np.abs(expected).max() * (0.02 if each == "avx512bf16" else 1e-3)


@pytest.mark.parametrize("name", NETWORKS)
def test_avxvnni_gives_the_bits_of_avx2(network, instructions, noise, name):
    if "avxvnniint16" not in instructions:
        pytest.skip("this processor has no avxvnniint16")
    checkpoint, _ = network(name)
    batch = noise(2, 17, 30, 3 * checkpoint.config.frames)

    outputs = []
    for each in ("avx2int16", "avxvnniint16"):
        outputs.append(np.empty((2, 17 * checkpoint.config.scale, 30 * checkpoint.config.scale, 3), np.float32))
        with NativeEngine(checkpoint, instructions=each) as engine:
            engine._enhance(batch, outputs[-1])

    np.testing.assert_array_equal(outputs[1], outputs[0])


def test_threads_do_not_change_a_bit(network, instructions, noise):
    checkpoint, _ = network("U48")
    batch = noise(3, 33, 18, 9)

    outputs = []
    for threads in (1, 2, 5):
        with NativeEngine(checkpoint, threads=threads) as engine:
            outputs += [engine(batch) for _ in range(3)]

    for output in outputs[1:]:
        np.testing.assert_array_equal(output, outputs[0])


def test_images_of_a_batch_do_not_touch(network, instructions, noise):
    checkpoint, _ = network("B32")
    batch = noise(9, 12, 20, 3)

    with NativeEngine(checkpoint, threads=2) as engine:
        together = engine(batch)
        alone = np.concatenate([engine(batch[i : i + 1]) for i in range(len(batch))])

    np.testing.assert_array_equal(together, alone)


def test_shapes_may_change_from_call_to_call(network, instructions, noise):
    checkpoint, _ = network("D16")
    batches = [noise(*shape, 3) for shape in ((1, 8, 8), (2, 24, 40), (1, 3, 70), (4, 16, 16), (1, 80, 80))]

    with NativeEngine(checkpoint, threads=2) as engine:
        kept = [engine(batch) for batch in batches + batches]
    fresh = []
    for batch in batches + batches:
        with NativeEngine(checkpoint, threads=1) as engine:
            fresh.append(engine(batch))

    for a, b in zip(kept, fresh, strict=True):
        np.testing.assert_array_equal(a, b)


def test_two_callers_wait_for_each_other(network, instructions, noise):
    checkpoint, _ = network("D16")
    batches = [noise(1, 24, 24, 3, seed=seed) for seed in range(2)]
    results: list[list[np.ndarray]] = [[], []]

    with NativeEngine(checkpoint, threads=2) as engine:
        expected = [engine(batch) for batch in batches]

        def call(i: int) -> None:
            results[i] += [engine(batches[i]) for _ in range(20)]

        callers = [threading.Thread(target=call, args=(i,)) for i in range(2)]
        for caller in callers:
            caller.start()
        for caller in callers:
            caller.join()

    for i in range(2):
        assert len(results[i]) == 20
        assert all(np.array_equal(result, expected[i]) for result in results[i])


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork")
def test_a_forked_process_may_run_and_close_it(random_checkpoint, instructions):
    program = f"""
import os, signal
import numpy
from engines import load_engine
engine = load_engine("native", {str(random_checkpoint())!r}, threads=2)
batch = numpy.zeros((2, 16, 16, 3), numpy.uint8)
expected = engine(batch)
if (child := os.fork()) == 0:
    signal.alarm(20)
    cores = os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else None
    same = (engine(batch) == expected).all()
    kept = cores is None or os.sched_getaffinity(0) == cores
    engine.close()
    os._exit(0 if same and kept else 1)
assert os.waitpid(child, 0)[1] == 0
assert (engine(batch) == expected).all()
engine.close()
"""
    subprocess.run([sys.executable, "-W", "ignore", "-c", program], check=True, timeout=60)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork")
def test_a_process_forked_while_workers_fall_asleep_waits_for_nobody(random_checkpoint, instructions):
    program = f"""
import os, random, signal, time
import numpy
from engines import load_engine
engine = load_engine("native", {str(random_checkpoint())!r}, threads=4)
batch = numpy.zeros((1, 8, 8, 3), numpy.uint8)
for _ in range(200):
    engine(batch)
    end = time.perf_counter() + random.uniform(0, 120e-6)
    while time.perf_counter() < end:
        pass
    if (child := os.fork()) == 0:
        signal.alarm(5)
        for _ in range(3):
            engine(batch)
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0
"""
    subprocess.run([sys.executable, "-W", "ignore", "-c", program], check=True, timeout=60)


@pytest.mark.skipif(not CORES, reason="no Linux")
def test_an_engine_that_is_dropped_ends_its_threads(network, instructions, noise):
    checkpoint, _ = network("D16")
    engine = NativeEngine(checkpoint, threads=3)
    engine(noise(1, 16, 16, 3))
    assert len(running(workers=2)) == 2

    del engine

    assert worker_threads() == []


@pytest.mark.skipif(len(CORES) < 2, reason="one core, or no Linux")
def test_workers_stay_off_the_core_of_their_caller(network, instructions, noise):
    checkpoint, _ = network("D16")
    try:
        with NativeEngine(checkpoint, threads=2) as engine:
            for core in (min(CORES), max(CORES), min(CORES)):
                os.sched_setaffinity(0, {core})
                engine(noise(1, 16, 16, 3))
                (worker,) = running(workers=1)
                assert os.sched_getaffinity(worker) == CORES - {core}
    finally:
        os.sched_setaffinity(0, CORES)


@pytest.mark.skipif(not CORES, reason="no Linux")
def test_on_one_core_workers_share_it(network, instructions, noise):
    checkpoint, _ = network("D16")
    os.sched_setaffinity(0, {min(CORES)})
    try:
        with NativeEngine(checkpoint, threads=2) as engine:
            engine(noise(1, 16, 16, 3))
            (worker,) = running(workers=1)
            assert os.sched_getaffinity(worker) == {min(CORES)}
    finally:
        os.sched_setaffinity(0, CORES)


def test_close_ends_its_threads_and_the_engine(network, instructions, noise):
    checkpoint, _ = network("D16")

    engine = NativeEngine(checkpoint, threads=4)
    during = len(running(workers=3))
    engine.close()
    engine.close()

    assert during == 3
    assert not worker_threads()
    with pytest.raises(EngineError, match="closed"):
        engine(noise(1, 8, 8, 3))


def test_the_widest_instructions_are_chosen(network, instructions):
    checkpoint, _ = network("D16")

    with NativeEngine(checkpoint) as engine:
        assert engine.instructions == instructions[-1]


@pytest.mark.parametrize(
    ("each", "single"), [("avx2int16", "avx2"), ("avxvnniint16", "avx2"), ("avx512bf16", "avx512")]
)
def test_heads_of_an_odd_number_of_channels_stay_in_single_precision(network, instructions, each, single):
    if each not in instructions:
        pytest.skip(f"this processor has no {each}")
    checkpoint, _ = network("odd depths")

    with NativeEngine(checkpoint, instructions=each) as engine:
        assert engine.instructions == single


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"instructions": "mmx"},
            "instructions: expected one of auto, portable, avx2, avx512, avx512bf16, avx2int16, avxvnniint16, "
            "got 'mmx'",
        ),
    ],
)
def test_options_that_do_not_exist_are_refused(network, options, message):
    checkpoint, _ = network("D16")

    with pytest.raises(ValueError, match=message):
        NativeEngine(checkpoint, **options)


def test_it_needs_no_torch(random_checkpoint, instructions):
    program = (
        "import sys; from engines import load_checkpoint; from engines.native.engine import NativeEngine; import numpy;"
        f"NativeEngine(load_checkpoint({str(random_checkpoint())!r}))(numpy.zeros((1, 8, 8, 3), numpy.uint8));"
        "sys.exit('torch' in sys.modules)"
    )

    assert subprocess.run([sys.executable, "-c", program], check=False, timeout=60).returncode == 0


def test_memory_that_runs_out_is_an_error_and_not_the_end(random_checkpoint, instructions):
    program = f"""
import resource
import numpy
from engines import EngineError, load_checkpoint
from engines.native.engine import NativeEngine

engine = NativeEngine(load_checkpoint({str(random_checkpoint())!r}), threads=1)
resource.setrlimit(resource.RLIMIT_AS, (1 << 30, 1 << 30))
try:
    engine(numpy.zeros((1, 2048, 2048, 3), numpy.uint8))
except EngineError as err:
    print(err)
print(engine(numpy.zeros((1, 8, 8, 3), numpy.uint8)).shape)
"""

    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60)

    assert done.stdout.splitlines() == [
        "native: out of memory; use smaller batches or fewer threads (code 2)",
        "(1, 16, 16, 3)",
    ]
