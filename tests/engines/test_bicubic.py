"""Bicubic against OpenCV's."""

import cv2
import numpy as np
import pytest

from engines.bicubic import BicubicEngine


@pytest.mark.parametrize("scale", [2, 4, 8])
@pytest.mark.parametrize(("height", "width"), [(48, 64), (5, 9), (1, 3)])
def test_bicubic_equals_opencv_within_one(scale, height, width, noise):
    batch = noise(2, height, width, 3)

    out = BicubicEngine(scale=scale)(batch)

    size = (width * scale, height * scale)
    expected = np.stack([cv2.resize(image, size, interpolation=cv2.INTER_CUBIC) for image in batch])
    assert np.abs(out.astype(int) - expected).max() <= 1


def test_bicubic_looks_at_the_newest_frame_only(noise):
    batch = noise(1, 16, 16, 9)

    out = BicubicEngine(frames=3)(batch)

    assert np.array_equal(out, BicubicEngine()(np.ascontiguousarray(batch[..., :3])))


def test_bicubic_refuses_other_scales():
    with pytest.raises(ValueError, match="expected 2, 4 or 8, got 3"):
        BicubicEngine(scale=3)
