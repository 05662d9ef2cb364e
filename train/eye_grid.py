"""Points around the eye of each picture, and what the pictures are there."""

import torch
from torch import Tensor
from torch.nn import functional as F


def eye_grid(eye: Tensor, side: int, step: float, size: torch.Size) -> Tensor:
    """Square grid of side^2 points around the eyes, (B, side, side, 2): x, y from -1 to 1 within the picture.

    eye: (B, 4): x, y of the eye's centre and the interocular distance, in pixels (pixel centres at integers), and a
    fourth number that is not looked at. step: between neighbours, in interocular distances. size: height, width.
    """
    height, width = size
    offset = torch.arange(side, device=eye.device) - (side - 1) / 2
    x, y = (eye[:, i, None] + step * eye[:, 2, None] * offset for i in (0, 1))
    return torch.stack(
        [
            ((2 * x + 1) / width - 1)[:, None, :].expand(-1, side, -1),
            ((2 * y + 1) / height - 1)[:, :, None].expand(-1, -1, side),
        ],
        dim=-1,
    )


def sample(picture: Tensor, grid: Tensor) -> Tensor:
    """The picture (B, C, H, W) at the points of an eye_grid(), bilinear, edges replicated."""
    return F.grid_sample(picture, grid, mode="bilinear", padding_mode="border", align_corners=False)
