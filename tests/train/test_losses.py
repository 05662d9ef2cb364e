import cv2
import numpy as np
import pytest
import torch
from torch import nn

from train.losses import (
    EPSILON,
    balanced,
    charbonnier,
    cie_lab,
    colour,
    critic_loss,
    disagreement,
    feature_matching,
    focal_frequency,
    gradient,
    gradient_penalty,
    iris,
    wasserstein,
)


def image(*values):
    """(1, 1, 1, n)"""
    return torch.tensor(values, dtype=torch.float32).view(1, 1, 1, -1)


def test_charbonnier_of_a_hand_worked_case():
    loss = charbonnier(image(0.0, 4 * EPSILON), image(0.0, 0.0))

    assert loss.shape == (1,)
    assert loss.item() == pytest.approx(2 * EPSILON, rel=1e-4)  # sqrt(16 / 2 + 1) - 1


def test_charbonnier_is_least_at_the_mean_of_what_may_be_true():
    may_be = image(0.2, 0.2, 0.2, 0.6)
    losses = [charbonnier(torch.full_like(may_be, x), may_be).item() for x in (0.2, 0.3, 0.4)]

    assert losses[1] == min(losses)


def test_charbonnier_is_nought_for_equal_images_and_one_for_each_sample():
    x = torch.rand(3, 3, 4, 4)

    assert charbonnier(x, x).tolist() == [0, 0, 0]


def test_disagreement_is_between_neighbours_and_knows_no_truth():
    first, second, other = image(0.0, 0.0), image(0.0, 4 * EPSILON), image(1.0, 1.0)

    value = disagreement(torch.cat([first, second, other, other]))

    assert value.tolist() == pytest.approx([2 * EPSILON, 0], rel=1e-4)


def test_balanced_weighs_samples_by_the_root_of_their_reference():
    value = balanced(torch.tensor([0.004, 0.02]), torch.tensor([0.002, 0.038]), floor=0.002)

    assert value.item() == pytest.approx((0.004 / 0.004**0.5 + 0.02 / 0.2) / 2, rel=1e-4)


def test_gradient_of_a_hand_worked_case():
    x = torch.zeros(1, 1, 2, 3)
    x[0, 0, 0, 2] = 1.0  # one edge of four across, one of three down

    assert gradient(x, torch.zeros_like(x)).item() == pytest.approx(1 / 4 + 1 / 3)


def test_gradient_ignores_a_change_of_brightness():
    x = torch.rand(2, 3, 4, 4)

    np.testing.assert_allclose(gradient(x + 0.5, x), 0, atol=1e-6)


def test_focal_frequency_of_a_hand_worked_case():
    difference = image(1.0, -1.0)  # nothing at frequency 0; sqrt(2) at the other: squared distance 2, weight 1

    value = focal_frequency(difference, torch.zeros_like(difference))

    assert value.tolist() == pytest.approx([1.0])  # the mean of 0 and 2


def test_wasserstein_distance_is_how_much_higher_the_truth_scores():
    assert wasserstein(torch.tensor([3.0, 5.0]), torch.tensor([1.0, 2.0])).item() == 2.5


def test_critic_loss_falls_with_the_distance_and_rises_with_the_penalty():
    assert critic_loss(torch.tensor(1.5), torch.tensor(0.5), 10.0).item() == 10 * 0.5 - 1.5


def linear_critic(weight):
    """A critic whose gradient is `weight` everywhere."""
    return lambda x: (x * weight).flatten(1).sum(1)


@pytest.mark.parametrize("norm", [0.0, 0.5, 1.0, 3.0])
def test_penalty_of_a_linear_critic_is_the_square_of_its_norm_minus_one(norm):
    weight = torch.randn(1, 3, 8, 8)
    weight *= norm / weight.norm()
    x = torch.rand(4, 3, 8, 8, requires_grad=True)

    penalty = gradient_penalty(linear_critic(weight)(x), x)

    assert penalty.item() == pytest.approx((norm - 1) ** 2, abs=1e-5)


def test_norm_is_of_the_sample_and_not_of_the_pixel():
    weight = torch.full((1, 3, 8, 8), 1 / np.sqrt(3 * 8 * 8))  # norm 1 a sample; 1/8 a pixel
    x = torch.rand(2, 3, 8, 8, requires_grad=True)

    assert gradient_penalty(linear_critic(weight)(x), x).item() == pytest.approx(0, abs=1e-6)


def test_samples_are_penalised_each_for_itself():
    x = torch.tensor([[[[2.0]]], [[[0.5]]]], requires_grad=True)

    penalty = gradient_penalty((x**2).flatten(1).sum(1), x)  # slopes 4 and 1

    assert penalty.item() == pytest.approx(((4 - 1) ** 2 + 0) / 2)


def test_penalty_pulls_the_critic_towards_slope_one():
    critic = nn.Linear(4, 1, bias=False)
    nn.init.constant_(critic.weight, 2.0)  # norm 4
    x = torch.rand(3, 1, 2, 2, requires_grad=True)

    gradient_penalty(critic(x.flatten(1)).flatten(), x).backward()

    # d/dw (|w| - 1)^2 = 2 (|w| - 1) w / |w|
    np.testing.assert_allclose(critic.weight.grad, 2 * 3 * 2.0 / 4, rtol=1e-5)


def test_penalty_is_in_single_precision_for_half_precision_scores():
    x = torch.rand(2, 3, 4, 4, requires_grad=True)

    penalty = gradient_penalty((x.bfloat16() * 3).flatten(1).sum(1), x)

    assert penalty.dtype == torch.float32
    assert penalty.item() == pytest.approx((3 * np.sqrt(48) - 1) ** 2, rel=1e-3)


def test_feature_matching_is_the_mean_over_levels_of_the_mean_distance():
    fake, real = [torch.tensor([1.0, 3.0]), torch.tensor([2.0])], [torch.tensor([0.0, 0.0]), torch.tensor([1.5])]

    assert feature_matching(fake, real).item() == pytest.approx((2 + 0.5) / 2)


def test_colour_sees_the_means_and_not_the_noise():
    truth = torch.full((1, 3, 16, 16), 0.5)
    checkers = truth + 0.1 * (torch.arange(16)[:, None] + torch.arange(16)).fmod(2).mul(2).sub(1)
    lighter = torch.full((1, 3, 16, 16), 0.6)

    assert colour(checkers, truth).item() == pytest.approx(0, abs=1e-6)
    lightness = (cie_lab(lighter) - cie_lab(truth))[0, 0, 0, 0].item()
    assert colour(lighter, truth).item() == pytest.approx(np.hypot(lightness / 100, EPSILON) - EPSILON, rel=1e-3)


def test_iris_sees_the_colour_around_the_eye_and_not_elsewhere():
    truth = torch.full((1, 3, 48, 48), 0.5)
    eye = torch.tensor([[24.0, 24.0, 40.0, 1.0]])
    here, elsewhere = truth.clone(), truth.clone()
    here[..., 14:35, 14:35] = 0.6
    elsewhere[..., :10, :] = 0.6

    lightness = (cie_lab(here) - cie_lab(truth))[0, 0, 24, 24].item() / 100
    assert iris(here, truth, eye).item() == pytest.approx(lightness, rel=0.03)
    assert iris(elsewhere, truth, eye).item() < 1e-5


def test_eye_outside_of_the_picture_has_no_colour_and_a_finite_gradient():
    picture = torch.full((1, 3, 48, 48), 0.6, requires_grad=True)

    distance = iris(picture, torch.full((1, 3, 48, 48), 0.5), torch.tensor([[-90.0, 24.0, 40.0, 1.0]]))
    distance.sum().backward()

    assert distance.item() == pytest.approx(0, abs=1e-6)
    assert torch.isfinite(picture.grad).all()


def test_cie_lab_equals_opencvs():
    bgr = np.random.default_rng(0).random((16, 16, 3), dtype=np.float32) ** 3  # many dark ones

    lab = cie_lab(torch.from_numpy(bgr).permute(2, 0, 1)[None])[0].permute(1, 2, 0).numpy()

    np.testing.assert_allclose(lab, cv2.cvtColor(bgr, cv2.COLOR_BGR2LAB), atol=0.6)  # OpenCV's own runs on tables


def test_colour_has_a_finite_gradient_in_black_and_beyond_white():
    x = torch.tensor([-0.1, 0.0, 1e-4, 1.2]).view(1, 1, 1, 4).expand(1, 3, 8, 4).repeat(1, 1, 1, 2).requires_grad_()

    colour(x, torch.full((1, 3, 8, 8), 0.5)).backward()

    assert torch.isfinite(x.grad).all()
