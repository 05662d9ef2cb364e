import pytest
import torch

from train.frames import spread


def filters(*values):
    """One channel, one filter of one number for each frame."""
    return torch.tensor(values).view(1, -1, 1, 1)


def test_older_frames_share_out_the_filters_of_those_before():
    assert spread(filters(8.0, 6.0, 12.0), 3, 6).flatten().tolist() == [8, 3, 3, 4, 4, 4]


@pytest.mark.parametrize(("after", "wanted"), [(3, [8, 6, 12]), (2, [8, 18]), (1, [26])])
def test_of_fewer_frames_the_oldest_gets_the_filters_of_those_that_are_no_more(after, wanted):
    assert spread(filters(8.0, 6.0, 12.0), 3, after).flatten().tolist() == wanted


def test_one_frame_has_nothing_to_share_out():
    assert spread(filters(8.0), 1, 3).flatten().tolist() == [8, 0, 0]
