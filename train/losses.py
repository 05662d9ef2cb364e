"""Terms of the losses, as pure functions of float tensors (B, 3, H, W), full scale 1."""

import torch
from torch import Tensor
from torch.nn import functional as F

from train.eye_grid import eye_grid, sample

EPSILON = 1e-3
"""Of the Charbonnier penalty: a sample's error below a quarter of a grey level counts little."""

IRIS_SIGMA = 0.06
"""Of an iris's radius of 0.09 interocular distances, two thirds."""
IRIS_SIDE = 16

XYZ_OF_BGR = (
    (0.180423 / 0.950456, 0.357580 / 0.950456, 0.412453 / 0.950456),
    (0.072169, 0.715160, 0.212671),
    (0.950227 / 1.088754, 0.119193 / 1.088754, 0.019334 / 1.088754),
)
"""X, Y, Z as shares of D65 white's, from linear sRGB in the order B, G, R."""


def charbonnier(image: Tensor, truth: Tensor) -> Tensor:
    """Charbonnier penalty (Lai et al. 2017) of each sample's error as one vector, (B,): sqrt(mean d^2 + eps^2) - eps.

    Squared within a sample, so that the answer is the mean of what may lie behind the noise; pixel by pixel it would be
    the median, which darkens an iris by its rare bright points. Linear from sample to sample.
    """
    return charbonnier_root((image - truth).square().flatten(1).mean(1))


def charbonnier_root(mean_square: Tensor) -> Tensor:
    """sqrt(x + eps^2) - eps: an error's length, with a gradient that fades as it comes near 0."""
    return torch.sqrt(mean_square + EPSILON**2) - EPSILON


def balanced(error: Tensor, reference: Tensor, floor: float = 2e-3) -> Tensor:
    """Mean over samples of error / sqrt(reference + floor); both (B,).

    With bicubic's error for reference, a clean face counts nearly as much as a dark one. Unweighted, the noisy samples
    rule and the network learns to smooth what has no noise; by the full share of bicubic's error, the clean ones rule
    and it long learns nothing.
    """
    mean: Tensor = torch.mean(error / torch.sqrt(reference.detach() + floor))
    return mean


def colour(image: Tensor, truth: Tensor) -> Tensor:
    """Distance of the means over 8x8 pixels in CIE Lab, root mean square of each sample, as a share of 100, (B,).

    An iris must keep its colour, and a grey level too much in one channel is a tint where the eye is dark.
    """
    apart = cie_lab(F.avg_pool2d(image, 8, 4)) - cie_lab(F.avg_pool2d(truth, 8, 4))
    return charbonnier_root(apart.square().sum(1).flatten(1).mean(1) / 100**2)


def iris(image: Tensor, truth: Tensor, eye: Tensor) -> Tensor:
    """Distance in CIE Lab of the mean colour around the eye's centre, as a share of 100, (B,).

    eye: (B, 4): x, y of the centre and the interocular distance in pixels. The mean is weighted by a Gaussian of a
    deviation of IRIS_SIGMA of that distance and taken over IRIS_SIDE^2 points; what lies outside of the picture does
    not count.
    """
    step = 5 * IRIS_SIGMA / (IRIS_SIDE - 1)
    grid_BHW2 = eye_grid(eye, IRIS_SIDE, step, image.shape[2:])
    offset = torch.linspace(-2.5, 2.5, IRIS_SIDE, device=image.device)
    weight_HW = torch.exp(-0.5 * (offset[:, None] ** 2 + offset**2))
    weight_BHW = weight_HW / weight_HW.sum() * (grid_BHW2.abs() <= 1).all(-1)
    apart_BCHW = cie_lab(sample(image, grid_BHW2)) - cie_lab(sample(truth, grid_BHW2))
    apart = torch.einsum("bchw,bhw->bc", apart_BCHW, weight_BHW)
    return charbonnier_root(apart.square().sum(1) / 100**2)


def cie_lab(bgr: Tensor) -> Tensor:
    """CIE 1976 L*, a*, b* of sRGB (IEC 61966-2-1, D65), (B, 3, H, W); what lies beyond [0, 1] counts as its ends."""
    x = bgr.clamp(0, 1)
    linear = torch.where(x > 0.04045, ((x.clamp_min(0.04045) + 0.055) / 1.055) ** 2.4, x / 12.92)
    share = torch.einsum("bchw,nc->bnhw", linear, torch.tensor(XYZ_OF_BGR, device=x.device))
    f = torch.where(share > 216 / 24389, share.clamp_min(216 / 24389) ** (1 / 3), (24389 / 27 * share + 16) / 116)
    fx, fy, fz = f.unbind(1)
    return torch.stack([116 * fy - 16, 500 * (fx - fy), 200 * (fy - fz)], dim=1)


def disagreement(images: Tensor) -> Tensor:
    """Charbonnier penalty between the two noisy draws of each scene, which are neighbours: (2B, ...) -> (B,)."""
    return charbonnier(images[0::2], images[1::2])


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


def wasserstein(real: Tensor, fake: Tensor) -> Tensor:
    """The critic's estimate of the distance between truth and pictures (Arjovsky 2017). Scores (B,)."""
    return real.mean() - fake.mean()


def gradient_penalty(scores: Tensor, inputs: Tensor) -> Tensor:
    """Mean of (|grad of a sample's score at its input|_2 - 1)^2, in float32 (Gulrajani et al. 2017, eq. 3).

    The norm is over all channels and pixels of one sample. scores (B,), inputs (B, C, H, W) requiring grad.
    """
    (slope,) = torch.autograd.grad(scores.float().sum(), inputs, create_graph=True)
    norm: Tensor = torch.linalg.vector_norm(slope.float().flatten(1), dim=1)
    return (norm - 1).square().mean()


def critic_loss(distance: Tensor, penalty: Tensor, weight: float) -> Tensor:
    """What the critic minimises: minus the Wasserstein distance, and the weighted gradient penalty (as eq. 3)."""
    return weight * penalty - distance


def feature_matching(fake: list[Tensor], real: list[Tensor]) -> Tensor:
    """Mean absolute distance of the critic's features (Wang et al. 2018, eq. 3)."""
    return torch.stack([F.l1_loss(f, r.detach()) for f, r in zip(fake, real, strict=True)]).mean()
