"""How the weights of a temporal tier take to more frames, or fewer."""

import numpy as np
import torch
from torch import Tensor


def spread(filters: Tensor, before: int, after: int) -> Tensor:
    """First filters (C, before * n, 3, 3) for more frames, or fewer: (C, after * n, 3, 3).

    The newest frame keeps its filter. Each older one's is shared out over neighbouring frames: a clip that stands still
    gives the same picture, of which more noise has been averaged away, without a step of training. Of fewer frames the
    oldest gets the filters of those that are no more, as though they had repeated it; and after one frame there is
    nothing to share out: zeros.
    """
    newest, *older = filters.chunk(before, dim=1)
    if not older:
        return torch.cat([newest, *[torch.zeros_like(newest)] * (after - 1)], dim=1)
    if after <= before:
        frames = (newest, *older)
        return torch.cat([*frames[: after - 1], torch.stack(frames[after - 1 :]).sum(0)], dim=1)
    shares = [len(frames) for frames in np.array_split(np.arange(after - 1), before - 1)][::-1]
    shared = [part / count for part, count in zip(older, shares, strict=True) for _ in range(count)]
    return torch.cat([newest, *shared], dim=1)
