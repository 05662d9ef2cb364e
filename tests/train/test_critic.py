import pytest
import torch
from torch import nn

from train.config import CriticConfig
from train.critic import Critic, interpolate
from train.loop import critic_terms, pleasing_terms
from train.losses import critic_loss


class TwiceTheMean(nn.Module):
    """A critic whose score is twice a picture's mean, and whose one feature is the picture."""

    def forward(self, x):
        return 2 * x.flatten(1).mean(1), [x]


@pytest.fixture
def critic():
    torch.manual_seed(0)
    return Critic(CriticConfig(channels=4))


@pytest.mark.parametrize("side", [32, 64, 96])
def test_one_score_a_sample_and_features_of_each_level(critic, side):
    scores, features = critic(torch.rand(2, 3, side, side))

    assert scores.shape == (2,)
    assert [f.shape[2] for f in features] == [side // 2, side // 4, side // 8, side // 16]


def test_samples_do_not_see_each_other(critic):
    x = torch.rand(3, 3, 32, 32)

    together = critic(x)[0]

    alone = torch.cat([critic(sample[None])[0] for sample in x])
    torch.testing.assert_close(together, alone, rtol=1e-4, atol=1e-6)
    assert not [m for m in critic.modules() if isinstance(m, nn.modules.batchnorm._BatchNorm)]


def test_interpolation_lies_between_real_and_fake_and_wants_a_gradient():
    real, fake = torch.zeros(2, 3, 4, 4), torch.ones(2, 3, 4, 4)

    between = interpolate(real, fake, torch.tensor([0.25, 1.0]))

    assert between.requires_grad
    assert between[0].unique().tolist() == [0.75]
    assert between[1].unique().tolist() == [0.0]


def test_critic_learns_to_tell_bright_from_dark(critic):
    torch.manual_seed(1)
    optimiser = torch.optim.Adam(critic.parameters(), lr=2e-3, betas=(0.0, 0.9))
    distances = []

    for _ in range(65):
        real, fake = 0.6 + 0.1 * torch.rand(8, 3, 16, 16), 0.3 + 0.1 * torch.rand(8, 3, 16, 16)
        terms = critic_terms(critic, real, fake, torch.rand(8))
        optimiser.zero_grad()
        critic_loss(terms["wasserstein"], terms["penalty"], 10).backward()
        optimiser.step()
        distances.append(terms["wasserstein"].item())

    # The images are 0.3 * sqrt(768) = 8.3 apart, which is the distance that a critic of slope 1 can find.
    assert 2 < distances[-1] < 12
    assert distances[-1] > distances[0] + 1


def test_terms_of_a_known_critic_are_those_worked_out_by_hand():
    real, fake = torch.full((2, 3, 4, 4), 0.75), torch.full((2, 3, 4, 4), 0.25)

    judged = critic_terms(TwiceTheMean(), real, fake, torch.tensor([0.0, 0.5]))
    pleasing = pleasing_terms(TwiceTheMean(), fake, real)

    assert judged["wasserstein"].item() == pytest.approx(1.5 - 0.5)
    # Of 48 values, each has a slope of 2 / 48.
    assert judged["penalty"].item() == pytest.approx((2 / 48**0.5 - 1) ** 2)
    assert pleasing["adversarial"].item() == pytest.approx(-0.5)
    assert pleasing["feature"].item() == pytest.approx(0.5)


def test_generator_step_gives_the_critic_no_gradient_and_leaves_it_trainable(critic):
    fake = torch.rand(2, 3, 32, 32, requires_grad=True)

    terms = pleasing_terms(critic, fake, torch.rand(2, 3, 32, 32))
    (terms["adversarial"] + terms["feature"]).backward()

    assert fake.grad is not None
    assert all(p.grad is None and p.requires_grad for p in critic.parameters())
