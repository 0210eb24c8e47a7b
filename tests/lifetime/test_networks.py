"""The lifetime value network: its loss against torch, its starting point, its null."""

import math

import numpy as np
import pytest
import torch
from torch.distributions import LogNormal
from torch.nn.functional import softplus

from pm_utils.learning.training import fit, predict
from pm_utils.lifetime.networks import (
    SIGMA,
    LifetimeValueNet,
    SideBySide,
    ziln_loss,
    ziln_mean,
)
from pm_utils.lifetime.scores import spearman


def numbers(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def raw(sigma: float) -> float:
    """Return what softplus turns into sigma."""
    return math.log(math.expm1(sigma))


def test_losses_by_hand():
    """At p = 1/2: log 2 for nothing; for y = 1, μ = 0, σ = 1 also the normal's peak."""
    output = torch.tensor([[0.0, 0.0, raw(1.0)]])
    assert ziln_loss(output, torch.tensor([0.0])).item() == pytest.approx(math.log(2))
    peak = math.log(2) + 0.5 * math.log(2 * math.pi)
    assert ziln_loss(output, torch.tensor([1.0])).item() == pytest.approx(peak)
    further = peak + 2 + 0.5 * 4  # log y = 2
    assert ziln_loss(output, torch.tensor([math.e**2])).item() == pytest.approx(further, rel=1e-6)


def test_the_loss_is_the_likelihood_of_torchs_log_normal():
    output, value = numbers(6, 3), numbers(6, seed=1).exp() * torch.tensor([1, 0, 1, 1, 0, 1.0])
    p, normal = (
        output[:, 0].sigmoid(),
        LogNormal(output[:, 1], softplus(output[:, 2]).clamp(*SIGMA)),
    )
    safe = torch.where(value > 0, value, 1.0)
    expected = torch.where(value > 0, p.log() + normal.log_prob(safe), (1 - p).log())
    assert ziln_loss(output, value).item() == pytest.approx(-expected.mean().item(), rel=1e-5)


def test_the_mean_is_that_of_the_distribution():
    output = torch.tensor([[math.log(3), 2.0, raw(0.5)]])
    assert ziln_mean(output).item() == pytest.approx(0.75 * math.exp(2 + 0.125), rel=1e-5)
    torch.manual_seed(0)
    drawn = LogNormal(2.0, 0.5).sample((400_000,)) * (torch.rand(400_000) < 0.75)
    assert ziln_mean(output).item() == pytest.approx(drawn.mean().item(), rel=0.01)


def test_sigma_has_a_floor_and_a_ceiling():
    low, high = (torch.tensor([[30.0, 0.0, x]]) for x in (-50.0, 50.0))
    assert ziln_mean(low).item() == pytest.approx(math.exp(SIGMA[0] ** 2 / 2), rel=1e-5)
    assert ziln_mean(high).item() == pytest.approx(math.exp(SIGMA[1] ** 2 / 2), rel=1e-5)
    assert ziln_loss(low, torch.tensor([2.0])).item() == pytest.approx(
        math.log(SIGMA[0] * math.sqrt(2 * math.pi) * 2) + math.log(2) ** 2 / (2 * SIGMA[0] ** 2),
        rel=1e-5,
    )


def test_gradients_are_finite_where_values_are_extreme():
    output = torch.tensor([[80.0, 0.0, 9.0], [-80.0, 3.0, -9.0], [0, 9.0, 0.0]], requires_grad=True)
    ziln_loss(output, torch.tensor([0.0, 1e6, 1e-3])).backward()
    assert torch.isfinite(output.grad).all()
    assert output.grad[0, 1:].tolist() == [0, 0]  # nothing came: the amount says nothing


def test_the_gradient_of_the_logit_is_what_was_said_minus_what_came():
    output = torch.tensor([[0.4, 1.0, 0.0], [0.4, 1.0, 0.0]], requires_grad=True)
    ziln_loss(output, torch.tensor([0.0, 2.0])).backward()
    p = torch.tensor(0.4).sigmoid().item()
    assert output.grad[:, 0].tolist() == pytest.approx([p / 2, (p - 1) / 2])


def test_it_starts_where_all_customers_are_alike():
    torch.manual_seed(0)
    net = LifetimeValueNet(2, 3)
    value = torch.tensor([0.0, math.e, math.e**3, math.e**2])
    net.initialise_biases(value)
    with torch.no_grad():
        net.deep.weight.zero_()
    logit, mu, sigma = net(numbers(5, 2), numbers(5, 3))[0].tolist()
    assert logit == pytest.approx(math.log(3))
    assert mu == pytest.approx(2)
    assert math.log1p(math.exp(sigma)) == pytest.approx(1)


def test_a_shop_in_which_all_spend_the_same_starts_within_bounds():
    net = LifetimeValueNet(0, 1)
    net.initialise_biases(torch.full((9,), 7.0))
    assert torch.isfinite(net.deep.bias).all()
    assert net.deep.bias[0].sigmoid().item() == pytest.approx(0.99)


def test_both_paths_reach_each_output():
    torch.manual_seed(0)
    net = LifetimeValueNet(2, 3, 8).eval()
    profile, features = numbers(4, 2), numbers(4, 3, seed=1)
    deep_only = net(profile, features)
    assert deep_only.shape == (4, 3)
    with torch.no_grad():
        net.wide.weight.copy_(numbers(3, 5, seed=2))
    straight = torch.cat([profile, features], 1) @ net.wide.weight.T
    assert torch.allclose(net(profile, features), deep_only + straight, atol=1e-6)
    for name, weight in net.named_parameters():
        net.zero_grad()
        ziln_loss(net(profile, features), torch.tensor([0.0, 1.0, 2.0, 3.0])).backward()
        assert weight.grad.abs().sum() > 0, name


def test_it_works_without_a_profile():
    net = LifetimeValueNet(0, 3)
    assert net(torch.zeros(4, 0), numbers(4, 3)).shape == (4, 3)


def planted(n: int, seed: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Who spends depends on one number, how much on another; → x, value, expected value."""
    x = numbers(n, 3, seed=seed)
    p, mu = (1.5 * x[:, 0]).sigmoid(), 3 + 0.8 * x[:, 1]
    generator = torch.Generator().manual_seed(seed + 1)
    comes = torch.rand(n, generator=generator) < p
    value = (mu + 0.6 * torch.randn(n, generator=generator)).exp() * comes
    return x, value, p * (mu + 0.18).exp()


def trained(x: torch.Tensor, value: torch.Tensor, seed: int = 0) -> LifetimeValueNet:
    torch.manual_seed(seed)
    net = LifetimeValueNet(0, 3, 16)
    net.initialise_biases(value)
    settings = {"loss": ziln_loss, "epochs": 12, "learning_rate": 1e-2, "seed": seed}
    fit(net, [torch.zeros(len(x), 0), x], value, **settings)
    return net


def test_a_planted_value_is_learned_and_shuffled_values_teach_nothing():
    x, value, _ = planted(2000, 0)
    later, _, expected = planted(1000, 50)
    inputs = [torch.zeros(1000, 0), later]
    dollars = ziln_mean(predict(trained(x, value), inputs)).numpy()
    assert spearman(expected.numpy(), dollars) > 0.97
    assert dollars.sum() == pytest.approx(expected.sum().item(), rel=0.08)
    nulls = []
    for seed in range(3):
        mixed = value[torch.randperm(2000, generator=torch.Generator().manual_seed(seed))]
        null = ziln_mean(predict(trained(x, mixed, seed), inputs)).numpy()
        nulls.append(np.abs(null - expected.numpy()).mean())
    assert min(nulls) > 4 * np.abs(dollars - expected.numpy()).mean()


@pytest.mark.parametrize("wrong", [float("nan"), -1.0, float("inf")])
def test_values_that_are_no_dollars_are_refused(wrong):
    value, net = torch.tensor([3.0, wrong]), LifetimeValueNet(0, 1)
    for call in (net.initialise_biases, lambda dollars: ziln_loss(torch.zeros(2, 3), dollars)):
        with pytest.raises(ValueError, match="value is below 0 or not finite in 1 of 2 rows, .* 1"):
            call(value)


@pytest.mark.parametrize("value", [[0.0, 9.0], [9.0]])
def test_one_customer_who_spent_does_not_poison_the_network(value):
    net = LifetimeValueNet(0, 1)
    net.initialise_biases(torch.tensor(value))
    assert net.deep.bias.isfinite().all()
    with pytest.raises(ValueError, match="none of 2 customers spent"):
        net.initialise_biases(torch.zeros(2))


def test_networks_side_by_side_learn_what_each_learns_alone():
    inputs = [numbers(96, 2), numbers(96, 3, seed=1)]
    spent = numbers(96, 1, seed=9) > -1
    targets = numbers(96, 2, seed=2).exp() * spent
    alone, together = [], []
    for nets in (alone, together):
        torch.manual_seed(0)
        nets.extend(LifetimeValueNet(2, 3, 8, dropout=0.0) for _ in range(2))
    settings = {"epochs": 5, "batch_size": 32, "learning_rate": 0.01, "seed": 1}
    for net, value in zip(alone, targets.T, strict=True):
        fit(net, inputs, value, loss=ziln_loss, **settings)
    both = SideBySide(together)
    fit(
        both,
        inputs,
        targets,
        loss=lambda output, value: ziln_loss(output.flatten(0, 1), value.flatten()),
        **settings,
    )
    both.copy_to(together)
    for one, other in zip(alone, together, strict=True):
        output = predict(other, inputs)
        assert torch.allclose(predict(one, inputs), output, atol=1e-3)
    assert not torch.allclose(predict(alone[0], inputs), output, atol=0.1)


def test_networks_side_by_side_drop_units_of_their_own_as_often_as_alone():
    torch.manual_seed(0)
    net = LifetimeValueNet(2, 3, 8, dropout=0.3).train()
    rows = torch.ones(20_000, 2), torch.ones(20_000, 3)
    both, alone = SideBySide([net, net])(*rows).detach(), net(*rows).detach()
    for output in both.unbind(1):
        assert torch.allclose(output.mean(0), alone.mean(0), atol=0.02)
        assert torch.allclose(output.std(0), alone.std(0), rtol=0.05)
    first, second = both[:, :, 0].T
    assert abs(torch.corrcoef(torch.stack([first, second]))[0, 1]) < 0.03
