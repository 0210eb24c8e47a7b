"""Entire space, clicked and doubly robust losses against formulas, and what each learns."""

from functools import partial

import numpy as np
import pytest
import torch
from torch.nn.functional import binary_cross_entropy as cross_entropy

from pm_utils.learning.training import fit, predict
from pm_utils.measurement.post_click_networks import (
    CONVERSION,
    EntireSpaceNet,
    clicked_loss,
    doubly_robust_loss,
    entire_space_loss,
    log_complement,
)


def numbers(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def rows(n: int = 200, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    """Single impressions: counts (n, 3) and the clicks and orders in them (n, 2)."""
    rng = np.random.default_rng(seed)
    click = rng.random(n) < 0.4
    order = click & (rng.random(n) < 0.3)
    outcome = torch.tensor(np.column_stack([click, order]), dtype=torch.float32)
    return torch.cat([torch.ones(n, 1), outcome], 1), outcome


def test_log_complement_is_exact_at_both_ends():
    log_p = torch.tensor([-1e-4, -0.1, -0.7, -5.0, -40.0])
    exact = np.log(-np.expm1(log_p.double().numpy()))
    assert np.allclose(log_complement(log_p).numpy(), exact, rtol=1e-4, atol=1e-12)


def test_log_complement_has_finite_gradients_everywhere():
    log_p = torch.tensor([0.0, -1e-9, -0.69, -60.0], requires_grad=True)
    log_complement(log_p).sum().backward()
    assert torch.isfinite(log_p.grad).all()


def test_the_entire_space_loss_is_two_cross_entropies_of_products():
    logits = numbers(200, 2)
    counts, outcome = rows()
    click, conversion = torch.sigmoid(logits).unbind(1)
    by_formula = cross_entropy(click, outcome[:, 0])
    by_formula += cross_entropy(click * conversion, outcome[:, 1])
    assert torch.allclose(entire_space_loss(logits, counts), by_formula, atol=1e-6)


def test_the_clicked_loss_counts_orders_of_the_clicked_alone():
    logits = numbers(200, 2)
    counts, outcome = rows()
    clicked = outcome[:, 0] > 0
    click, conversion = torch.sigmoid(logits).unbind(1)
    among = cross_entropy(conversion[clicked], outcome[clicked, 1], reduction="sum") / 200
    by_formula = cross_entropy(click, outcome[:, 0]) + among
    assert torch.allclose(clicked_loss(logits, counts), by_formula, atol=1e-6)


@pytest.mark.parametrize(
    ("loss", "towers"), [(entire_space_loss, 2), (clicked_loss, 2), (doubly_robust_loss, 3)]
)
def test_counts_are_worth_their_rows(loss, towers):
    counts, _ = rows(60)
    logits = numbers(6, towers).repeat_interleave(10, 0)
    added = counts.reshape(6, 10, 3).sum(1)
    assert torch.allclose(loss(logits, counts), loss(logits[::10], added), atol=1e-6)


def test_no_term_of_the_entire_space_loss_mentions_conversion_alone():
    # off the clicks the conversion tower is taught by the product: its gradient is not zero
    logits = numbers(200, 2).requires_grad_()
    counts, outcome = rows()
    entire_space_loss(logits, counts).backward()
    off = outcome[:, 0] == 0
    assert (logits.grad[off, CONVERSION] > 0).all()
    naive = logits.detach().clone().requires_grad_()
    clicked_loss(naive, counts).backward()
    assert not naive.grad[off, CONVERSION].any()


def test_the_doubly_robust_target_is_the_imputed_chance_corrected():
    logits = numbers(200, 3).double().requires_grad_()
    counts, outcome = (part.double() for part in rows())
    doubly_robust_loss(logits, counts).backward()
    click, probability, imputed = torch.sigmoid(logits.detach()).unbind(1)
    phi = imputed + outcome[:, 0] / click * (outcome[:, 1] - imputed)
    slope = outcome[:, 0].mean() * (probability - phi) / 200
    assert torch.allclose(logits.grad[:, CONVERSION], slope)


def test_the_floor_ends_the_weights():
    logits = torch.tensor([[-20.0, 0.0, 0.0]], dtype=torch.float64, requires_grad=True)
    counts = torch.tensor([[10.0, 1, 1]], dtype=torch.float64)
    doubly_robust_loss(logits, counts, floor=0.1).backward()
    # φ summed: 10 * 0.5 + (1 - 0.5) / 0.1 = 10, so the gradient is 10 * 0.5 - 10, times 1 / 10 / 10
    assert logits.grad[0, CONVERSION].item() == pytest.approx(-0.05)


def test_an_imputed_loss_of_its_own_leaves_weighting_alone():
    """What the docstring says of other implementations: their gradient is that of IPS."""
    logits = numbers(200, 2).double()
    _, outcome = (part.double() for part in rows())
    clicked, order = outcome.unbind(1)
    weight = clicked / torch.sigmoid(logits[:, 0])
    imputed_error = numbers(200, seed=5).double().exp()
    slopes = []
    for constant in (imputed_error, torch.zeros(200, dtype=torch.float64)):
        z = logits[:, CONVERSION].clone().requires_grad_()
        error = torch.nn.functional.binary_cross_entropy_with_logits(z, order, reduction="none")
        (constant + weight * (error - constant)).mean().backward()
        slopes.append(z.grad)
    assert torch.allclose(*slopes)
    ours = torch.cat([logits, numbers(200, 1, seed=3).double()], 1).requires_grad_()
    doubly_robust_loss(ours, torch.cat([torch.ones(200, 1).double(), outcome], 1)).backward()
    off = clicked == 0
    assert not slopes[0][off].any()
    assert ours.grad[off, CONVERSION].abs().min() > 0


def test_no_gradient_reaches_what_is_detached():
    logits = numbers(200, 3).double().requires_grad_()
    counts, outcome = (part.double() for part in rows())
    doubly_robust_loss(logits, counts).backward()
    click, _, imputed = torch.sigmoid(logits.detach()).unbind(1)
    assert torch.allclose(logits.grad[:, 0], (click - outcome[:, 0]) / 200)
    weight = outcome[:, 0].mean() * outcome[:, 0] / click
    assert torch.allclose(logits.grad[:, 2], weight * (imputed - outcome[:, 1]) / 200)


def one_hot(codes: list[list[int]], levels: list[int]) -> torch.Tensor:
    """Codes (B, C) → indicators (B, levels)."""
    parts = torch.tensor(codes).unbind(1)
    hot = [torch.nn.functional.one_hot(part, n) for part, n in zip(parts, levels, strict=True)]
    return torch.cat(hot, 1).float()


def test_towers_share_embeddings_and_have_biases_of_their_own():
    torch.manual_seed(0)  # six units that one row all leaves dead are rare, but they come
    net = EntireSpaceNet([3, 4], 5, width=2, hidden=6, rates=(0.02, 0.1))
    assert net.embed.shape == (1, 3 + 4, 2)
    assert net.base.sigmoid().tolist() == pytest.approx([0.02, 0.1])
    assert net.second_bias.flatten().tolist() == [0, 0]
    rows = torch.cat([one_hot([[0, 3], [2, 1]], [3, 4]), numbers(2, 5)], 1)
    assert net(rows).shape == (2, 1, 2)
    net(rows)[..., 1].sum().backward()
    used = net.embed.grad[0].abs().sum(1) > 0
    assert used.tolist() == [True, False, True, False, True, False, True]
    assert not net.first.grad[..., :6].any()  # units of the other tower
    assert net.first.grad[..., 6:].any()
    assert net.second_bias.grad.flatten().tolist() == [0, 2]


def test_indicators_times_weights_are_vectors_looked_up():
    torch.manual_seed(1)
    net = EntireSpaceNet([3, 4], 5, width=2, hidden=6, rates=(0.02, 0.1), members=2)
    codes, more = [[0, 3], [2, 1], [1, 1]], numbers(3, 5)
    found = net(torch.cat([one_hot(codes, [3, 4]), more], 1))
    for member in range(2):
        vectors = [net.embed[member, torch.tensor([a, 3 + b])].flatten() for a, b in codes]
        shared = torch.cat([torch.stack(vectors), more], 1)
        hidden = (shared @ net.first[member] + net.first_bias[member]).relu()
        for tower in range(2):
            part = slice(6 * tower, 6 * tower + 6)
            logit = hidden[:, part] @ net.second[member, part, 0]
            logit += net.base[tower] + net.second_bias[member, 0, tower]
            assert torch.allclose(found[:, member, tower], logit, atol=1e-5)


@pytest.mark.parametrize(
    ("loss", "towers"), [(entire_space_loss, 2), (clicked_loss, 2), (doubly_robust_loss, 3)]
)
def test_the_loss_of_several_members_is_their_mean(loss, towers):
    counts, _ = rows(60)
    logits = numbers(60, 4, towers)
    each = [loss(logits[:, member], counts) for member in range(4)]
    assert torch.allclose(loss(logits, counts[:, None]), torch.stack(each).mean(), atol=1e-6)


def selected(n: int = 4000, seed: int = 0) -> tuple[np.ndarray, ...]:
    """One observed cause x of clicks and orders → inputs, counts of 50 impressions, truth."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=n)
    click, conversion = 1 / (1 + np.exp(3 - 1.2 * x)), 1 / (1 + np.exp(1.5 - 1.5 * x))
    clicks = rng.binomial(50, click)
    counts = np.column_stack([np.full(n, 50), clicks, rng.binomial(clicks, conversion)])
    return x, counts.astype(np.float32), conversion


@pytest.mark.parametrize(
    ("loss", "towers"), [(entire_space_loss, 2), (clicked_loss, 2), (doubly_robust_loss, 3)]
)
def test_where_the_cause_is_seen_every_loss_recovers_the_rate_of_all(loss, towers):
    x, counts, truth = selected()
    inputs = (torch.tensor(np.column_stack([np.ones(len(x)), x])).float(),)
    torch.manual_seed(0)
    net = EntireSpaceNet([1], 1, hidden=8, rates=[0.1, 0.4, 0.4][:towers])
    steps = {"epochs": 15, "batch_size": 256, "learning_rate": 0.02}
    fit(net, inputs, torch.tensor(counts)[:, None], loss=loss, **steps)
    probability = torch.sigmoid(predict(net, inputs)[:, 0, CONVERSION]).numpy()
    clicked = counts[:, 2].sum() / counts[:, 1].sum()
    assert clicked / truth.mean() - 1 > 0.5  # what is to be corrected
    assert abs(probability.mean() / truth.mean() - 1) < 0.05
    assert np.corrcoef(probability, truth)[0, 1] > 0.99


def test_a_wrong_imputer_is_mended_by_weights_and_wrong_weights_by_the_imputer():
    # one chance for all of the conversion tower: what it settles at is the mean target
    _, counts, truth = selected(20_000)
    shown, clicks, orders = torch.tensor(counts).double().unbind(1)
    click = (clicks + 0.5) / (shown + 1)
    right = torch.tensor(truth)
    x, _, _ = selected(20_000)
    propensity = torch.tensor(1 / (1 + np.exp(3 - 1.2 * x)))

    def settled(o: torch.Tensor, r: torch.Tensor) -> float:
        logit = torch.zeros(1, dtype=torch.float64, requires_grad=True)
        optimizer = torch.optim.LBFGS([logit], max_iter=50)

        def closure() -> torch.Tensor:
            optimizer.zero_grad()
            parts = [torch.logit(o), logit.expand(len(o)), torch.logit(r)]
            loss = partial(doubly_robust_loss, floor=1e-4)
            value = loss(torch.stack(parts, 1), torch.stack([shown, clicks, orders], 1))
            value.backward()
            return value

        optimizer.step(closure)
        return torch.sigmoid(logit).item() / truth.mean() - 1

    off, constant = torch.full_like(click, 0.1), torch.full_like(click, 0.1)
    assert abs(settled(propensity, constant)) < 0.03
    assert abs(settled(off, right)) < 0.03
    assert settled(off, torch.full_like(click, 0.9)) > 0.1  # both wrong
