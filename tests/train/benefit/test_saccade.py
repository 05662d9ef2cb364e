"""What shipped weights do after a jump is asked where the gate's rules are: test_gate.py."""

import numpy as np
import pytest

from train.benefit.method import Method, bicubic_method
from train.benefit.saccade import lag_after_jump

BICUBIC = bicubic_method(2)


def blind_mean(batch):
    n, height, width, _ = batch.shape
    return BICUBIC.enhance(batch.reshape(n, height, width, 3, 3).mean(axis=3).round().astype(np.uint8))


def test_a_blind_mean_of_three_frames_lags_behind_a_jump_and_then_arrives():
    lag = lag_after_jump(Method(name="mean3", enhance=blind_mean, frames=3), BICUBIC, condition="clean", trials=2)

    assert lag[0] > 0.3
    assert abs(lag[2]) < 0.02


def test_a_jump_is_seen_at_four_times_the_size_too():
    bicubic = bicubic_method(4)
    oldest = Method(name="oldest", enhance=lambda b: bicubic.enhance(b[..., -3:]), frames=2, scale=4)

    lag = lag_after_jump(oldest, bicubic, condition="clean", trials=1)

    assert lag == pytest.approx([1, 0, 0], abs=0.02)


def test_the_newest_frame_alone_has_no_lag():
    newest = Method(name="newest", enhance=lambda b: BICUBIC.enhance(b[..., :3]), frames=3)

    assert lag_after_jump(newest, BICUBIC, trials=2) == pytest.approx(np.zeros(3))
