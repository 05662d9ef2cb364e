"""What others would use in our place: OpenCV's interpolations and its small super-resolution networks."""

from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from timing import Contender

NETWORKS = {"fsrcnn": "FSRCNN_x2.pb", "espcn": "ESPCN_x2.pb"}


def peers(folder: Path | None, batch: NDArray[np.uint8]) -> list[Contender]:
    """OpenCV's bicubic and Lanczos, and the networks whose files lie in folder; each on every image of the batch.

    Raises ValueError for a folder in which one cannot be read.
    """
    images = [np.ascontiguousarray(image[..., :3]) for image in batch]
    height, width = batch.shape[1:3]
    shape = "x".join(map(str, batch.shape[:3]))
    found = [
        Contender(call=_resize(images, (2 * width, 2 * height), method), facts={"peer": f"cv2 {name}", "shape": shape})
        for name, method in (("bicubic", cv2.INTER_CUBIC), ("lanczos4", cv2.INTER_LANCZOS4))
    ]
    if folder is None:
        return found
    for name, file in NETWORKS.items():
        network: Any = cv2.dnn_superres.DnnSuperResImpl_create()  # type: ignore[attr-defined]
        try:
            network.readModel(str(folder / file))
        except cv2.error as err:
            raise ValueError(f"peers: expected {' and '.join(NETWORKS.values())} in {folder}; {err.err}") from err
        network.setModel(name, 2)
        facts = {"peer": f"cv2 dnn_superres {name}", "shape": shape}
        found.append(Contender(call=lambda network=network: [network.upsample(i) for i in images], facts=facts))
    return found


def _resize(images: list[NDArray[np.uint8]], size: tuple[int, int], method: int) -> Any:  # noqa: ANN401 - a closure
    return lambda: [cv2.resize(image, size, interpolation=method) for image in images]
