"""Random checkpoints in which every tensor matters."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from engines import SwinIRConfig, save_checkpoint

SMALL = {"embed_dim": 16, "depths": (2,), "heads": 2}


def random_tensors(config: SwinIRConfig, seed: int = 0) -> dict[str, NDArray[np.float32]]:
    """Weights whose norms, biases, position biases and last convolution are far from their initial values."""
    rng = np.random.default_rng(seed)
    tensors = {}
    for name, shape in config.parameter_shapes().items():
        value = rng.standard_normal(shape)
        if "norm" in name:
            value = 0.2 * value + name.endswith("weight")
        elif name.endswith("position_bias"):
            value *= 0.5
        elif name.endswith("bias"):
            value *= 0.05
        else:
            value /= np.sqrt(np.prod(shape[1:]))
        if name.startswith("conv_up"):
            value *= 0.1
        tensors[name] = value.astype(np.float32)
    return tensors


@pytest.fixture(scope="session")
def random_checkpoint(tmp_path_factory) -> Callable[..., Path]:
    """Call it with fields of SwinIRConfig (SMALL where not given) to get the path of a random checkpoint."""
    folder = tmp_path_factory.mktemp("checkpoints")

    def make(name: str = "random", *, seed: int = 0, **fields) -> Path:
        config = SwinIRConfig(**SMALL | fields)
        key = "-".join(f"{k}{v}" for k, v in sorted(fields.items())).replace(" ", "")
        return save_checkpoint(folder / f"seed{seed}-{key}" / name, config, random_tensors(config, seed), {})

    return make


@pytest.fixture(scope="session")
def noise() -> Callable[..., NDArray[np.uint8]]:
    """Call it with a shape (N, H, W, C) to get random pixels, the extremes among them."""

    def make(*shape: int, seed: int = 0) -> NDArray[np.uint8]:
        return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)

    return make
