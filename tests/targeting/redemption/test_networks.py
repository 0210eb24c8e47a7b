"""The conversion networks against their formulas and against what they must not do."""

import numpy as np
import pytest
import torch

from pm_utils.formulas import conversion_probability
from pm_utils.learning.training import fit, predict
from pm_utils.targeting.redemption.networks import (
    EMBED_FROM,
    ConversionPredictNet,
    DeepCrossing,
    ResidualUnit,
)


def numbers(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def test_the_net_is_the_sources_two_layers_after_a_concatenation():
    net = ConversionPredictNet(32, 128, 256, linear=False).eval()
    shapes = [tuple(weight.shape) for weight in net.parameters()]
    assert shapes == [(256, 160), (256,), (1, 256), (1,)]
    profile, content = numbers(5, 32), numbers(5, 128, seed=1)
    x = torch.cat([profile, content], 1).numpy()
    layers = [(f.weight.detach().numpy(), f.bias.detach().numpy()) for f in (net.fc1, net.fc2)]
    by_formula = conversion_probability(x, layers)
    ours = net(profile, content).sigmoid().detach().numpy()
    assert ours.shape == (5,)
    assert np.allclose(ours, np.squeeze(by_formula), atol=1e-6)


def test_the_linear_path_is_added_to_the_logit():
    torch.manual_seed(0)
    net = ConversionPredictNet(3, 2, 8).eval()
    profile, content = numbers(4, 3), numbers(4, 2, seed=1)
    whole = net(profile, content)
    straight = torch.cat([profile, content], 1) @ net.linear.weight[0]
    linear, net.linear = net.linear, None
    assert torch.allclose(whole, net(profile, content) + straight, atol=1e-6)
    assert linear.bias is None  # fc2 has one already


def test_dropout_blurs_while_training_and_never_afterwards():
    net = ConversionPredictNet(20, 20, dropout=0.5)
    rows = numbers(50, 20), numbers(50, 20, seed=1)
    assert not torch.equal(net.train()(*rows), net(*rows))
    assert torch.equal(net.eval()(*rows), net(*rows))
    assert net.input_dropout.p == pytest.approx(0.3)


def test_a_residual_unit_by_hand():
    unit = ResidualUnit(2, 1)
    with torch.no_grad():
        unit.inner.weight.copy_(torch.tensor([[1.0, 2.0]]))
        unit.inner.bias.copy_(torch.tensor([-1.0]))
        unit.outer.weight.copy_(torch.tensor([[3.0], [-1.0]]))
        unit.outer.bias.copy_(torch.tensor([0.5, 0.25]))
    # x = (1, 2): inner 1 + 4 - 1 = 4; outer (12.5, -3.75); sum (13.5, -1.75); then the ReLU
    assert unit(torch.tensor([[1.0, 2.0]])).tolist() == [[13.5, 0.0]]
    # x = (-1, 0): inner 0; outer (0.5, 0.25); sum (-0.5, 0.25)
    assert unit(torch.tensor([[-1.0, 0.0]])).tolist() == [[0.0, 0.25]]


def test_a_unit_whose_branch_is_zero_passes_what_is_positive():
    unit = ResidualUnit(6, 3)
    torch.nn.init.zeros_(unit.outer.weight)
    torch.nn.init.zeros_(unit.outer.bias)
    x = numbers(9, 6)
    assert torch.equal(unit(x), x.clamp(min=0))


def test_deep_crossing_embeds_wide_features_and_stacks_narrow_ones():
    net = DeepCrossing([5, EMBED_FROM, EMBED_FROM - 1], width=4, units=3, hidden=7)
    kinds = [type(part).__name__ for part in net.embed]
    assert kinds == ["Identity", "Sequential", "Identity"]
    stacked = 5 + 4 + EMBED_FROM - 1
    assert net.score.in_features == stacked
    assert len(net.units) == 3
    assert net.units[0].inner.weight.shape == (7, stacked)


def test_deep_crossing_is_its_equations():
    torch.manual_seed(0)
    net = DeepCrossing([3, EMBED_FROM], width=4, units=1, hidden=5).eval()
    narrow, wide = numbers(6, 3), numbers(6, EMBED_FROM, seed=1)
    layer = net.embed[1][0]
    embedded = (wide @ layer.weight.T + layer.bias).clamp(min=0)
    x = torch.cat([narrow, embedded], 1)
    unit = net.units[0]
    inner = (x @ unit.inner.weight.T + unit.inner.bias).clamp(min=0)
    x = (x + inner @ unit.outer.weight.T + unit.outer.bias).clamp(min=0)
    by_hand = x @ net.score.weight[0] + net.score.bias
    assert torch.allclose(net(narrow, wide), by_hand, atol=1e-5)


def test_deep_crossing_wants_one_tensor_per_feature():
    with pytest.raises(ValueError, match="zip"):
        DeepCrossing([3, 4])(numbers(2, 3))


def product_world(n: int = 3_000) -> tuple[list[torch.Tensor], torch.Tensor]:
    """Redemption depends on profile times content: no linear model can see it."""
    profile, content = numbers(n, 2), numbers(n, 2, seed=1)
    probability = (3 * profile[:, 0] * content[:, 0]).sigmoid()
    drawn = torch.rand(n, generator=torch.Generator().manual_seed(2))
    return [profile, content], (drawn < probability).float()


@pytest.mark.parametrize(
    "make", [lambda: ConversionPredictNet(2, 2, dropout=0.0), lambda: DeepCrossing([2, 2])]
)
def test_networks_learn_a_match_and_not_shuffled_labels(make):
    inputs, target = product_world()
    deal = torch.randperm(2_000, generator=torch.Generator().manual_seed(3))
    right = {}
    for name, answer in {"real": target[:2_000], "null": target[:2_000][deal]}.items():
        torch.manual_seed(0)
        net = make()
        loss = torch.nn.functional.binary_cross_entropy_with_logits
        fit(net, [x[:2_000] for x in inputs], answer, loss=loss, epochs=15, learning_rate=2e-2)
        logit = predict(net, [x[2_000:] for x in inputs])
        right[name] = ((logit > 0).float() == target[2_000:]).float().mean().item()
    assert right["real"] > 0.7
    assert right["null"] < 0.6
