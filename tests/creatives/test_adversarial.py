"""The losses of the game and the penalty by hand."""

import numpy as np
import pytest
import torch

from pm_utils import formulas
from pm_utils.creatives import adversarial


def test_both_losses_are_those_of_chapter_01():
    real, fake = torch.tensor([2.0, -0.5, 9.0]), torch.tensor([-3.0, 0.4])
    value = formulas.gan_value(real.numpy(), fake.numpy())
    assert adversarial.critic_loss(real, fake).item() == pytest.approx(-value, rel=1e-6)
    printed = formulas.generator_loss_saturating(fake.numpy())
    assert adversarial.generator_loss(fake, saturating=True).item() == pytest.approx(
        printed, rel=1e-6
    )
    practised = formulas.generator_loss_non_saturating(fake.numpy())
    assert adversarial.generator_loss(fake).item() == pytest.approx(practised, rel=1e-6)


def test_the_slopes_of_both_losses_are_those_of_chapter_01():
    logit = torch.tensor([-8.0, 0.0, 1.0], requires_grad=True)
    for saturating, name in ((True, "saturating"), (False, "non_saturating")):
        (slope,) = torch.autograd.grad(
            adversarial.generator_loss(logit, saturating=saturating), logit
        )
        expected = getattr(formulas, f"generator_loss_{name}_gradient")(1.0, logit.detach().numpy())
        assert np.allclose(slope, expected["fake_logit"], rtol=1e-5)


def test_the_penalty_of_a_linear_critic_is_its_squared_slope():
    slope = torch.tensor([3.0, -4.0])

    def critic(weights, request):
        return weights @ slope * request[:, 0]

    request = torch.tensor([[1.0], [2.0]])
    penalty = adversarial.gradient_penalty(critic, torch.randn(2, 2), request)
    assert penalty.item() == pytest.approx((25 + 4 * 25) / 2)


def test_the_two_losses_differ_by_the_mean_logit():
    logit = torch.tensor([-4.0, 0.5, 3.0, 7.5])
    printed = adversarial.generator_loss(logit, saturating=True)
    practised = adversarial.generator_loss(logit)
    assert (printed + practised).item() == pytest.approx(-logit.mean().item(), rel=1e-6)
    assert printed < 0 < practised


def test_a_critic_that_cannot_tell_pays_two_coins():
    assert adversarial.critic_loss(torch.zeros(3), torch.zeros(5)).item() == pytest.approx(
        2 * np.log(2)
    )
    sure = adversarial.critic_loss(torch.full((3,), 40.0), torch.full((3,), -40.0))
    assert sure.item() == pytest.approx(0, abs=1e-12)
