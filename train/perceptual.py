"""LPIPS (Zhang et al. 2018), where its package and its network's weights are installed."""

from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray

Images = NDArray[np.uint8]
Distance = Callable[[Images, Images], float]


def load_lpips() -> Distance | None:
    """The mean LPIPS (AlexNet) of two uint8 batches (N, H, W, 3), BGR; None when it is not installed."""
    try:
        import lpips

        model = lpips.LPIPS(net="alex", verbose=False).eval()
    except (ImportError, OSError):  # the package, or the weights, which it would have to download
        return None

    @torch.inference_mode()
    def distance(a: Images, b: Images) -> float:
        x, y = (torch.from_numpy(i[..., ::-1].copy()).permute(0, 3, 1, 2).float() / 127.5 - 1 for i in (a, b))
        return float(model(x, y).mean())

    return distance
