import sys
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from train.perceptual import ALEXNET, load_lpips


class FakeLpips:
    """In the place of lpips.LPIPS: keeps what it was given; 0.1 for the first picture, 0.3 for the second."""

    def __init__(self, *, net, verbose):
        assert net == "alex"
        self.training = True

    def eval(self):
        self.training = False
        return self

    def __call__(self, x, y):
        assert not self.training
        FakeLpips.seen = (x, y)
        return torch.tensor([0.1, 0.3]).reshape(2, 1, 1, 1)


@pytest.fixture
def hub(tmp_path, monkeypatch):
    """torch's hub folder, with a file where AlexNet's weights lie."""
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    file = tmp_path / "hub" / "checkpoints" / ALEXNET
    file.parent.mkdir(parents=True)
    file.write_bytes(b"")
    return file


@pytest.fixture
def package(monkeypatch):
    monkeypatch.setitem(sys.modules, "lpips", SimpleNamespace(LPIPS=FakeLpips))


def test_without_the_package_there_is_no_column(hub, monkeypatch):
    monkeypatch.setitem(sys.modules, "lpips", None)

    assert load_lpips() is None


def test_without_the_weights_there_is_no_column_and_no_download(hub, package):
    hub.unlink()

    assert load_lpips() is None


def test_network_sees_rgb_from_minus_one_to_one_and_pictures_are_averaged(hub, package):
    blue, red = (np.full((2, 4, 6, 3), colour, np.uint8) for colour in ((255, 51, 0), (0, 51, 255)))  # BGR

    value = load_lpips()(blue, red)

    x, y = FakeLpips.seen
    assert value == pytest.approx(0.2)
    assert x.shape == y.shape == (2, 3, 4, 6)
    torch.testing.assert_close(x, torch.tensor([-1, -0.6, 1]).reshape(1, 3, 1, 1).expand_as(x))
    torch.testing.assert_close(y, torch.tensor([1, -0.6, -1]).reshape(1, 3, 1, 1).expand_as(y))
