"""Reads a picture for training.

Taken: what OpenCV reads (JPEG, PNG, WebP, TIFF, BMP, ...), turned as its EXIF orientation says. Grey becomes three
equal channels, 16 bits become their upper 8, CMYK becomes RGB, transparency is dropped. Refused: what cannot be
decoded, and JPEG and PNG files that were cut off, which OpenCV would fill with grey.
"""

from pathlib import Path
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from train.errors import DataError

SUFFIXES: Final = frozenset({".jpg", ".jpeg", ".png", ".webp", ".tif", ".tiff", ".bmp"})
"""Of the files that `python -m train prepare` looks at, in lower case."""
PNG_END: Final = b"\0\0\0\0IEND\xaeB`\x82"
"""The last chunk of every PNG: no bytes, and their CRC; what comes after it is passed over."""


def read_image(path: Path) -> NDArray[np.uint8]:
    """uint8 (H, W, 3), BGR. Raises DataError: missing, unreadable, cut off, or no image."""
    try:
        data = path.read_bytes()
    except OSError as err:
        raise DataError(f"{path}: expected an image, cannot be read: {err.strerror or err}") from err
    if _cut_off(data):
        raise DataError(f"{path}: expected a whole image, its end is missing; get the file again")
    image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR) if data else None
    if image is None:
        raise DataError(f"{path}: expected an image, got {len(data)} bytes that OpenCV cannot decode; remove it")
    return np.asarray(image, dtype=np.uint8)


def _cut_off(data: bytes) -> bool:
    if data.startswith(b"\xff\xd8"):  # no end-of-image marker after the last start of scan: markers are never pixels
        return data.rfind(b"\xff\xd9") <= data.rfind(b"\xff\xda")
    return data.startswith(b"\x89PNG") and PNG_END not in data
