"""Terms of the losses, as pure functions of float tensors (B, 3, H, W), full scale 1."""

import torch
from torch import Tensor
from torch.nn import functional as F

EPSILON = 1e-3
"""Of the Charbonnier penalty: a sample's error below a quarter of a grey level counts little."""


def charbonnier(image: Tensor, truth: Tensor) -> Tensor:
    """Charbonnier penalty (Lai et al. 2017) of each sample's error as one vector, (B,): sqrt(mean d^2 + eps^2) - eps.

    Squared within a sample, so that the answer is the mean of what may lie behind the noise; pixel by pixel it would be
    the median, which darkens an iris by its rare bright points. Linear from sample to sample.
    """
    return torch.sqrt((image - truth).square().flatten(1).mean(1) + EPSILON**2) - EPSILON


def balanced(error: Tensor, reference: Tensor, floor: float = 2e-3) -> Tensor:
    """Mean over samples of error / sqrt(reference + floor); both (B,).

    With bicubic's error for reference, a clean face counts nearly as much as a dark one. Unweighted, the noisy samples
    rule and the network learns to smooth what has no noise; by the full share of bicubic's error, the clean ones rule
    and it long learns nothing.
    """
    mean: Tensor = torch.mean(error / torch.sqrt(reference.detach() + floor))
    return mean


def colour(image: Tensor, truth: Tensor) -> Tensor:
    """Charbonnier penalty of the means over 8x8 pixels, each sample's, (B,): an iris must keep its colour."""
    return charbonnier(F.avg_pool2d(image, 8, 4), F.avg_pool2d(truth, 8, 4))


def gradient(image: Tensor, truth: Tensor) -> Tensor:
    """Mean absolute difference of the horizontal and vertical first differences, (B,)."""
    d = image - truth
    rows: Tensor = d.diff(dim=2).abs().flatten(1).mean(1)
    columns: Tensor = d.diff(dim=3).abs().flatten(1).mean(1)
    return rows + columns


def focal_frequency(image: Tensor, truth: Tensor) -> Tensor:
    """Focal frequency loss of each sample, (B,): squared spectral distance, weighted by itself (Jiang 2021, eq. 9)."""
    distance: Tensor = torch.fft.rfft2(image - truth, norm="ortho").abs() ** 2
    weight: Tensor = distance.detach().sqrt()
    weight = weight / weight.amax(dim=(2, 3), keepdim=True).clamp_min(1e-8)
    return (weight * distance).flatten(1).mean(1)


def critic_loss(real: Tensor, fake: Tensor) -> Tensor:
    """What the critic minimises: minus its estimate of the Wasserstein distance (Arjovsky 2017). Scores (B,)."""
    return fake.mean() - real.mean()


def gradient_penalty(scores: Tensor, inputs: Tensor) -> Tensor:
    """Mean of (|grad of a sample's score at its input|_2 - 1)^2, in float32 (Gulrajani et al. 2017, eq. 3).

    The norm is over all channels and pixels of one sample. scores (B,), inputs (B, C, H, W) requiring grad.
    """
    (slope,) = torch.autograd.grad(scores.float().sum(), inputs, create_graph=True)
    norm: Tensor = torch.linalg.vector_norm(slope.float().flatten(1), dim=1)
    return (norm - 1).square().mean()


def feature_matching(fake: list[Tensor], real: list[Tensor]) -> Tensor:
    """Mean absolute distance of the critic's features (Wang et al. 2018, eq. 3)."""
    return torch.stack([F.l1_loss(f, r.detach()) for f, r in zip(fake, real, strict=True)]).mean()
