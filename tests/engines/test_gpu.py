"""What only a machine with an NVIDIA GPU can show; the contract tests run there too, with -m gpu."""

import numpy as np
import pytest

from engines import BackendUnavailable, load_checkpoint, load_engine

pytestmark = [pytest.mark.gpu, pytest.mark.timeout(900)]


@pytest.fixture
def cuda(random_checkpoint):
    return open_or_skip("cuda", random_checkpoint(frames=3))


def open_or_skip(name, checkpoint, **options):
    try:
        return load_engine(name, checkpoint, **options)
    except BackendUnavailable as err:
        pytest.skip(str(err))


def test_auto_finds_the_gpu(cuda, random_checkpoint, tmp_path):
    with load_engine("auto", random_checkpoint(), cache=tmp_path) as engine:
        assert engine.name in ("tensorrt", "cuda")


def test_replays_do_not_remember_earlier_batches(cuda, noise):
    first, second = noise(2, 48, 64, 9), noise(2, 48, 64, 9, seed=1)
    expected = cuda(first)

    cuda(second)

    assert np.array_equal(cuda(first), expected)


def test_cuda_frees_the_graphs_of_shapes_it_no_longer_keeps(cuda, noise):
    import torch

    for height in range(8, 8 * 13, 8):
        cuda(noise(1, height, 16, 9))
    used = torch.cuda.memory_allocated()
    for height in range(8, 8 * 13, 8):
        cuda(noise(1, height, 16, 9))

    assert torch.cuda.memory_allocated() <= used * 1.1


def test_tensorrt_is_built_once_kept_on_disk_and_equals_eager(random_checkpoint, noise, tmp_path):
    from engines.tensorrt.engine import TensorRTEngine

    open_or_skip("tensorrt", random_checkpoint()).close()
    batch = noise(2, 48, 64, 3)
    expected = load_engine("eager", random_checkpoint())(batch)
    for _ in range(2):
        with TensorRTEngine(load_checkpoint(random_checkpoint()), cache=tmp_path, settle_s=0) as engine:
            engine(batch)
            assert engine.name == "cuda"
            engine.wait_until_built(600)
            output = engine(batch)
            assert engine.name == "tensorrt"
        assert np.abs(output.astype(int) - expected).max() <= 2

    assert len(list(tmp_path.glob("*.bin"))) == 1
