from importlib.util import find_spec

import pytest

from train.perceptual import load_lpips


def test_without_the_package_there_is_no_column():
    if find_spec("lpips"):
        pytest.skip("lpips is installed")

    assert load_lpips() is None
