import torch

from train.frames import spread


def filters(*values):
    """One channel, one filter of one number for each frame."""
    return torch.tensor(values).view(1, -1, 1, 1)


def test_older_frames_share_out_the_filters_of_those_before():
    assert spread(filters(8.0, 6.0, 12.0), 3, 6).flatten().tolist() == [8, 3, 3, 4, 4, 4]


def test_fewer_frames_keep_the_newest_filters():
    assert spread(filters(8.0, 6.0, 12.0), 3, 2).flatten().tolist() == [8, 6]


def test_one_frame_has_nothing_to_share_out():
    assert spread(filters(8.0), 1, 3).flatten().tolist() == [8, 0, 0]
