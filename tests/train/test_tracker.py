"""The gaze network as a loss: read from IR, differentiable, blind to nothing that a tracker sees."""

import os
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from train.errors import TrainError
from train.tracker import NAME, TorchGazeNetwork, eye_images, tracker_terms

MODELS = Path(os.environ.get("CATCHLIGHT_GAZE_MODEL", Path(__file__).parents[3] / "shared/models/gaze"))


class MeanColour(nn.Module):
    """Stands in for the network: it sees the two images, and looks along their mean colour."""

    def forward(self, left, right, pose):
        return torch.cat([left, right], 1), left.mean((2, 3)) + 0 * pose


def test_network_answers_as_openvino_does():
    if not (MODELS / f"{NAME}.xml").is_file():
        pytest.skip(f"no {NAME} in {MODELS}")
    sys.modules.setdefault("openvino_telemetry", None)
    import openvino

    compiled = openvino.Core().compile_model(MODELS / f"{NAME}.xml", "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    rng = np.random.default_rng(0)
    left, right = (rng.uniform(0, 255, (1, 3, 60, 60)).astype(np.float32) for _ in range(2))
    pose = np.array([[10, -5, 3]], dtype=np.float32)

    expected = compiled({"left_eye_image": left, "right_eye_image": right, "head_pose_angles": pose})
    features, gaze = TorchGazeNetwork(MODELS)(*map(torch.from_numpy, (left, right, pose)))

    assert features.shape == (1, 64, 15, 15)
    assert np.abs(gaze.numpy() - next(iter(expected.values()))).max() < 1e-4


def test_folder_without_the_network_is_refused(tmp_path):
    with pytest.raises(TrainError, match=r"expected gaze-estimation-adas-0002\.xml"):
        TorchGazeNetwork(tmp_path)


def test_eye_image_is_centred_and_1_8_eyes_wide():
    ramp = torch.linspace(0, 1, 101).expand(1, 3, 101, 101)

    image = eye_images(ramp, torch.tensor([[50.0, 50.0, 60.0, 1.0]]))

    assert image.shape == (1, 3, 60, 60)
    row = image[0, 0, 30] / 255 * 100
    assert row.mean().item() == pytest.approx(50, abs=1e-3)
    assert (row[1] - row[0]).item() == pytest.approx(60 * 0.45 * 1.8 / 60, abs=1e-3)


def test_equal_pictures_are_seen_alike():
    picture = torch.rand(2, 3, 48, 48, generator=torch.Generator().manual_seed(0))
    eye = torch.tensor([[24.0, 24.0, 30.0, 1.0], [20.0, 22.0, 30.0, 0.0]])

    terms = tracker_terms(MeanColour(), picture, picture, eye)

    assert terms["seen"].item() == 0
    assert terms["gaze"].item() == pytest.approx(1e-3, rel=1e-3)


def test_difference_in_the_eye_is_seen_and_has_a_gradient():
    truth = torch.rand(1, 3, 48, 48, generator=torch.Generator().manual_seed(0))
    picture = truth.clone()
    picture[:, 0, 20:28, 20:28] += 0.5
    picture.requires_grad_()

    terms = tracker_terms(MeanColour(), picture, truth, torch.tensor([[24.0, 24.0, 30.0, 1.0]]))
    (terms["seen"] + terms["gaze"]).backward()

    assert terms["seen"].item() > 0.01
    assert picture.grad is not None
    assert picture.grad[:, :, 20:28, 20:28].abs().sum() > 0


def test_tremble_is_between_the_answers_to_two_draws_of_a_scene():
    rng = torch.Generator().manual_seed(0)
    truth, other = (torch.rand(1, 3, 48, 48, generator=rng).expand(2, -1, -1, -1) for _ in range(2))
    eye = torch.tensor([[24.0, 24.0, 30.0, 1.0]]).expand(2, -1)

    alike = tracker_terms(MeanColour(), other, truth, eye, draws=2)
    apart = tracker_terms(MeanColour(), torch.stack([truth[0], other[0]]), truth, eye, draws=2)

    assert alike["tremble"].item() == pytest.approx(1e-3, rel=1e-3)
    assert alike["gaze"].item() > 2e-3
    assert apart["tremble"].item() == pytest.approx(alike["gaze"].item(), rel=1e-3)
    assert "tremble" not in tracker_terms(MeanColour(), other, truth, eye)


def test_sample_that_does_not_show_its_eye_does_not_count():
    truth, picture = torch.zeros(1, 3, 48, 48), torch.ones(1, 3, 48, 48)

    terms = tracker_terms(MeanColour(), picture, truth, torch.tensor([[60.0, 24.0, 30.0, 1.0]]))

    assert terms["seen"].item() == 0
    assert terms["gaze"].item() == 0
