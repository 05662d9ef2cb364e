import torch

from engines import SwinIRConfig
from train.config import TrainConfig
from train.players import FIRST_PACE, Players, spread
from train.processes import Group


def filters(*values):
    """One channel, one filter of one number for each frame."""
    return torch.tensor(values).view(1, -1, 1, 1)


def test_older_frames_share_out_the_filters_of_those_before():
    assert spread(filters(8.0, 6.0, 12.0), 3, 6).flatten().tolist() == [8, 3, 3, 4, 4, 4]


def test_fewer_frames_keep_the_newest_filters():
    assert spread(filters(8.0, 6.0, 12.0), 3, 2).flatten().tolist() == [8, 6]


def test_one_frame_has_nothing_to_share_out():
    assert spread(filters(8.0), 1, 3).flatten().tolist() == [8, 0, 0]


def test_first_filters_move_faster_than_the_others():
    config = TrainConfig(network=SwinIRConfig(embed_dim=8, depths=(1,), heads=2))
    players = Players(config, Group(rank=0, size=1, device=torch.device("cpu")))
    before = {name: parameter.detach().clone() for name, parameter in players.generator.named_parameters()}

    loss = sum(parameter.sum() for parameter in players.generator.parameters())
    players.move_generator(loss, rate=1e-3)

    moved = {name: (p.detach() - before[name]).abs().max().item() for name, p in players.generator.named_parameters()}
    assert abs(moved["conv_first.weight"] / moved["conv_body.weight"] - FIRST_PACE) < 0.01
