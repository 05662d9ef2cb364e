"""A deeper network's start: a trained one, and new layers that at first add nothing (Net2Net, Chen et al. 2016).

Every layer and every group is a residual, so that zeros in what they give out leave the network as it was.
"""

from dataclasses import replace

import torch
from torch import Tensor

from engines import SwinIRConfig

GIVES_OUT = ("proj.weight", "proj.bias", "fc2.weight", "fc2.bias", "conv.weight", "conv.bias")


def is_deeper(config: SwinIRConfig, given: SwinIRConfig) -> bool:
    """Whether deepen() can make it of the given one: more layers in its groups or more groups, all else the same."""
    counts = zip(config.depths, given.depths, strict=False)
    longer = len(config.depths) >= len(given.depths) and all(a >= b for a, b in counts)
    return longer and replace(given, depths=config.depths) == config


def deepen(weights: dict[str, Tensor], wanted: SwinIRConfig) -> dict[str, Tensor]:
    """The weights of a network with fewer layers, and zeros for what the new layers and groups give out.

    What else the new ones hold starts at random, so it is not among them.
    """
    shapes = wanted.parameter_shapes()
    new = (name for name in shapes if name not in weights and name.endswith(GIVES_OUT))
    return weights | {name: torch.zeros(shapes[name]) for name in new}
