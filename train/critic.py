"""The WGAN critic (Gulrajani et al. 2017): strided convolutions to one score a sample, and no batch norm.

Batch norm would tie the samples of a batch together, and the gradient penalty is defined for one sample at a time.
"""

from torch import Tensor, nn
from torch.nn import functional as F

from train.config import CriticConfig


class Critic(nn.Module):
    """forward: float (B, 3, H, W), full scale 1 -> (scores (B,), features of each level)."""

    def __init__(self, config: CriticConfig) -> None:
        super().__init__()
        c = config.channels
        widths = (c, 2 * c, 4 * c, 4 * c)
        self.first = nn.Conv2d(3, c, 3, padding=1)
        self.levels = nn.ModuleList(
            nn.Conv2d(before, after, 4, stride=2, padding=1)
            for before, after in zip((c, *widths[:-1]), widths, strict=True)
        )
        self.score = nn.Conv2d(widths[-1], 1, 3, padding=1)

    def forward(self, x: Tensor) -> tuple[Tensor, list[Tensor]]:
        x = F.leaky_relu(self.first(2 * x - 1), 0.2)
        features = []
        for level in self.levels:
            x = F.leaky_relu(level(x), 0.2)
            features.append(x)
        return self.score(x).flatten(1).mean(1), features


def interpolate(real: Tensor, fake: Tensor, mix: Tensor) -> Tensor:
    """A point between each real and each fake sample, requiring grad (Gulrajani 2017, alg. 1). mix: (B,), 0 to 1."""
    mix = mix.view(-1, 1, 1, 1)
    return (mix * real + (1 - mix) * fake).detach().requires_grad_()
