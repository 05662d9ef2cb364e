"""What every engine owes its caller, for each back end that can run here."""

import numpy as np
import pytest

from engines import BackendUnavailable, Engine, load_engine

BACKENDS = [
    pytest.param("bicubic", id="bicubic"),
    pytest.param("eager", id="eager"),
    pytest.param("openvino", id="openvino"),
    pytest.param("native", id="native"),
    pytest.param("onnxruntime", id="onnxruntime"),
    pytest.param("cuda", id="cuda", marks=pytest.mark.gpu),
    pytest.param("tensorrt", id="tensorrt", marks=[pytest.mark.gpu, pytest.mark.timeout(900)]),
]

NETWORKS = {
    "plain": {"embed_dim": 24, "depths": (2, 1), "heads": 3},
    "odd head size": {"embed_dim": 20, "depths": (2,), "heads": 2},
    "unshuffle": {"unshuffle": 2, "embed_dim": 16, "depths": (2,), "heads": 2},
    "three frames": {"frames": 3},
    "unshuffle and three frames": {"unshuffle": 2, "frames": 3},
    "x4": {"scale": 4},
    "x8, wide mlp": {"scale": 8, "mlp_ratio": 4},
}

TOLERANCE = {"cuda": 2, "tensorrt": 2}
"""In steps of 1/255; half precision is a step coarser than the rest."""


@pytest.fixture(params=BACKENDS)
def open_engine(request, tmp_path_factory):
    """Opens the back end for a checkpoint, or skips with its reason; closes what it opened."""
    opened = []
    cache = tmp_path_factory.getbasetemp() / "engine-cache"

    def open_one(checkpoint) -> Engine:
        try:
            opened.append(load_engine(request.param, checkpoint, threads=1, cache=cache))
        except BackendUnavailable as err:
            pytest.skip(str(err))
        return opened[-1]

    yield open_one
    for engine in opened:
        engine.close()


def test_it_says_what_it_runs(open_engine, random_checkpoint):
    engine = open_engine(random_checkpoint("tiny", frames=3, scale=4))

    assert (engine.frames, engine.scale) == (3, 4)
    if engine.name == "bicubic":
        assert (engine.tier, engine.sha256) == ("bicubic", "")
    else:
        assert engine.tier == "tiny"
        assert len(engine.sha256) == 64


def test_a_batch_gives_a_new_contiguous_uint8_batch_and_is_left_as_it_was(open_engine, random_checkpoint, noise):
    engine = open_engine(random_checkpoint())
    batch = noise(2, 16, 24, 3)
    before = batch.copy()

    first, second = engine(batch), engine(batch)

    assert first.shape == (2, 32, 48, 3)
    assert first.dtype == np.uint8
    assert first.flags.c_contiguous
    assert first.flags.owndata or not np.shares_memory(first, batch)
    assert not np.shares_memory(first, second)
    assert np.array_equal(first, second)
    assert np.array_equal(batch, before)


@pytest.mark.parametrize("network", NETWORKS.values(), ids=NETWORKS)
def test_it_equals_eager(network, open_engine, random_checkpoint, noise):
    path = random_checkpoint(**network)
    engine = open_engine(path)
    if engine.name == "bicubic":
        pytest.skip("bicubic is no network")
    batch = noise(2, 24, 40, 3 * engine.frames)

    difference = np.abs(engine(batch).astype(int) - load_engine("eager", path)(batch))

    assert difference.max() <= TOLERANCE.get(engine.name, 1)


@pytest.mark.parametrize("shape", [(1, 1, 1), (1, 9, 17), (3, 8, 8), (1, 40, 7)], ids=str)
def test_any_shape_equals_eager_though_it_be_no_multiple_of_the_window(shape, open_engine, random_checkpoint, noise):
    path = random_checkpoint(unshuffle=2, frames=2)
    engine = open_engine(path)
    if engine.name == "bicubic":
        pytest.skip("bicubic is no network")
    batch = noise(*shape, 6)

    difference = np.abs(engine(batch).astype(int) - load_engine("eager", path)(batch))

    assert difference.max() <= TOLERANCE.get(engine.name, 1)


def test_samples_of_a_batch_do_not_see_each_other(open_engine, random_checkpoint, noise):
    engine = open_engine(random_checkpoint())
    batch = noise(3, 16, 16, 3)

    together = engine(batch)

    for i in range(3):
        alone = engine(batch[i : i + 1])
        assert np.abs(together[i].astype(int) - alone[0]).max() <= 1


def test_a_view_with_strides_is_as_good_as_its_copy(open_engine, random_checkpoint, noise):
    engine = open_engine(random_checkpoint())
    view = noise(2, 32, 48, 6)[:, ::2, ::-1, :3]

    assert np.array_equal(engine(view), engine(view.copy()))


@pytest.mark.parametrize(
    ("batch", "error", "message"),
    [
        (np.zeros((1, 8, 8, 3), np.float32), TypeError, "expected a uint8 numpy array, got float32"),
        ([[0]], TypeError, "expected a uint8 numpy array, got list"),
        (np.zeros((8, 8, 3), np.uint8), ValueError, r"expected shape \(N, H, W, 3\)"),
        (np.zeros((1, 8, 8, 9), np.uint8), ValueError, r"expected shape \(N, H, W, 3\)"),
        (np.zeros((0, 8, 8, 3), np.uint8), ValueError, "expected N of 1 to 65536"),
        (np.zeros((1, 0, 8, 3), np.uint8), ValueError, "sides of 1 to 2048"),
        (np.zeros((1, 1, 2049, 3), np.uint8), ValueError, "sides of 1 to 2048"),
    ],
    ids=["float", "list", "no batch axis", "too many frames", "empty", "no rows", "too wide"],
)
def test_a_batch_of_another_kind_is_refused(batch, error, message, open_engine, random_checkpoint):
    engine = open_engine(random_checkpoint())

    with pytest.raises(error, match=message):
        engine(batch)


def test_closing_twice_is_harmless(open_engine, random_checkpoint, noise):
    engine = open_engine(random_checkpoint())
    engine(noise(1, 8, 8, 3))

    engine.close()
    engine.close()
