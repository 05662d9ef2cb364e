"""LPIPS (Zhang et al. 2018), where its package and its network's weights are installed."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

Images = NDArray[np.uint8]
Distance = Callable[[Images, Images], float]

ALEXNET = "alexnet-owt-7be5be79.pth"


def load_lpips() -> Distance | None:
    """The mean LPIPS (AlexNet) of two uint8 batches (N, H, W, 3), BGR; None when it is not installed.

    Nothing is downloaded: AlexNet's weights have to lie in torch's hub folder already.
    """
    if not (Path(torch.hub.get_dir()) / "checkpoints" / ALEXNET).is_file():
        return None
    try:
        import lpips
    except ImportError:
        return None
    model = lpips.LPIPS(net="alex", verbose=False).eval()

    @torch.inference_mode()
    def distance(a: Images, b: Images) -> float:
        x, y = (torch.from_numpy(i[..., ::-1].copy()).permute(0, 3, 1, 2).float() / 127.5 - 1 for i in (a, b))
        return float(model(x, y).mean())

    return distance
