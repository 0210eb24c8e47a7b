"""DeepQPolicy: members that share nothing, targets and penalties by hand."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from pm_utils.decisions.networks import (
    DeepQPolicy,
    best_action,
    conservative_penalty,
    double_q_target,
)

D, A, S = 7, 3, 4


def a_policy(**options) -> DeepQPolicy:
    return DeepQPolicy(D, A, **({"width": 16, "members": S, "seed": 1} | options))


def observations(rows: int = 5, seed: int = 0) -> torch.Tensor:
    return torch.randn(S, rows, D, generator=torch.Generator().manual_seed(seed))


def test_values_have_a_member_a_row_and_an_action():
    assert a_policy()(observations()).shape == (S, 5, A)


def test_a_member_is_a_network_of_plain_layers():
    policy, x = a_policy(), observations()
    for s in range(S):
        hidden = x[s].detach().numpy()
        for layer in range(3):
            weight = policy.layers[layer].weight[s].detach().numpy()
            hidden = hidden @ weight + policy.layers[layer].bias[s].detach().numpy()
            hidden = np.maximum(hidden, 0) if layer < 2 else hidden
        np.testing.assert_allclose(policy(x)[s].detach().numpy(), hidden, rtol=1e-4, atol=1e-6)


def test_members_differ_and_a_seed_is_a_start():
    x = observations()[:1].expand(S, -1, -1)
    values = a_policy()(x)
    gaps = [(values[i] - values[j]).abs().max() for i in range(S) for j in range(i)]
    assert min(gaps) > 0.01
    assert torch.equal(values, a_policy()(x))
    assert not torch.equal(values, a_policy(seed=2)(x))


def test_training_one_member_leaves_the_others():
    policy, x = a_policy(), observations()
    before = policy(x).detach()
    optimizer = torch.optim.Adam(policy.parameters(), lr=0.1)
    for _ in range(3):
        optimizer.zero_grad()
        policy(x)[2].square().sum().backward()
        optimizer.step()
    after = policy(x).detach()
    assert torch.equal(after[[0, 1, 3]], before[[0, 1, 3]])
    assert (after[2] - before[2]).abs().max() > 0.1


@pytest.mark.parametrize("forecast", [False, True])
def test_a_member_alone_is_its_row_and_follows_it(forecast):
    policy, x = a_policy(forecast=forecast), observations()
    for s in range(S):
        alone = policy.member(s)(x[s : s + 1])[0]
        torch.testing.assert_close(alone, policy(x)[s])
    third = policy.member(3)
    with torch.no_grad():
        policy.layers[-1].bias[3] += 1
    torch.testing.assert_close(third(x[3:])[0], policy(x)[3])


def test_a_forecast_is_added_as_it_is():
    x = observations()
    plain, skip = a_policy()(x), a_policy(forecast=True)(x)
    torch.testing.assert_close(skip - plain, x[..., -A:])
    assert (skip - plain).abs().max() > 1


def test_acting_takes_the_best_that_is_possible():
    policy, x = a_policy(), observations(200)
    action_mask = torch.rand(S, 200, A, generator=torch.Generator().manual_seed(3)) < 0.6
    action_mask[..., 0] = True
    action, values = policy.act(x, action_mask), policy(x)
    assert not action.requires_grad
    restricted = 0
    for s in range(S):
        for row in range(200):
            allowed = action_mask[s, row].nonzero().flatten().tolist()
            assert action[s, row] == max(allowed, key=lambda a: values[s, row, a])
            restricted += action[s, row] != values[s, row].argmax()
    assert restricted > 50


@given(st.lists(st.floats(-1e6, 1e6, width=32), min_size=2, max_size=6), st.data())
def test_the_best_action_is_possible_however_bad_it_is(values, data):
    mask = data.draw(st.lists(st.booleans(), min_size=len(values), max_size=len(values)))
    mask[data.draw(st.integers(0, len(values) - 1))] = True
    chosen = int(best_action(torch.tensor(values), torch.tensor(mask)))
    assert mask[chosen]
    assert values[chosen] == max(v for v, m in zip(values, mask, strict=True) if m)


# --- What a value should have been ----------------------------------------------------------------

REWARD = torch.tensor([1.0, 2.0, 3.0, 4.0])
ONLINE = torch.tensor([[1.0, 5.0, 2.0], [0.0, 1.0, 9.0], [4.0, 3.0, 2.0], [7.0, 8.0, 9.0]])
OLDER = torch.tensor([[10.0, 20.0, 30.0], [1.0, 2.0, 3.0], [-1.0, 50.0, 60.0], [5.0, 6.0, 7.0]])
ACTION_MASK = torch.ones(4, 3, dtype=torch.bool)


def test_the_target_by_hand():
    # the learning network picks 1, 2, 0 and 2; the older copy says what they are worth
    end = torch.tensor([False, False, False, True])
    target = double_q_target(REWARD, end, ONLINE, OLDER, ACTION_MASK)
    assert target.tolist() == [21, 5, 2, 4]
    half = double_q_target(REWARD, end, ONLINE, OLDER, ACTION_MASK, discount_factor=0.5)
    assert half.tolist() == [11, 3.5, 2.5, 4]


def test_one_network_alone_would_have_asked_for_more():
    end = torch.zeros(4, dtype=torch.bool)
    double = double_q_target(REWARD, end, ONLINE, OLDER, ACTION_MASK)
    single = REWARD + OLDER.max(-1).values
    assert single.tolist() == [31, 5, 63, 11]
    assert (double <= single).all()


def test_what_is_impossible_does_not_follow():
    action_mask = ACTION_MASK.clone()
    action_mask[0, 1] = action_mask[2, 0] = False
    end = torch.zeros(4, dtype=torch.bool)
    target = double_q_target(REWARD, end, ONLINE, OLDER, action_mask)
    assert target.tolist() == [31, 5, 53, 11]  # the next best: 2 and 1


def test_a_cut_is_no_end():
    observation, cut = ONLINE[:1], torch.tensor([False])
    going_on = double_q_target(REWARD[:1], cut, observation, OLDER[:1], ACTION_MASK[:1])
    ended = double_q_target(REWARD[:1], ~cut, observation, OLDER[:1], ACTION_MASK[:1])
    assert going_on - ended == 20
    assert ended == REWARD[0]


# --- The penalty for what was never tried ---------------------------------------------------------


def test_the_penalty_by_hand():
    values = torch.log(torch.tensor([[1.0, 2.0, 5.0], [1.0, 2.0, 5.0]]))
    action = torch.tensor([1, 1])
    action_mask = torch.tensor([[True, True, True], [True, True, False]])
    penalty = conservative_penalty(values, action, action_mask)
    assert penalty.numpy() == pytest.approx(np.log([8 / 2, 3 / 2]))


def test_the_penalty_holds_up_the_log_and_pulls_down_the_rest():
    values = torch.log(torch.tensor([[1.0, 2.0, 5.0, 8.0]])).requires_grad_()
    action_mask = torch.tensor([[True, True, True, False]])
    conservative_penalty(values, torch.tensor([1]), action_mask).sum().backward()
    assert values.grad[0].numpy() == pytest.approx([1 / 8, 2 / 8 - 1, 5 / 8, 0])


@settings(deadline=None)  # a process's first call of PyTorch takes long
@given(st.integers(0, 2**31))
def test_the_penalty_is_positive_and_falls_as_the_log_stands_out(seed):
    values = torch.randn(6, 4, generator=torch.Generator().manual_seed(seed))
    action, action_mask = torch.full((6,), 2), torch.ones(6, 4, dtype=torch.bool)
    penalty = conservative_penalty(values, action, action_mask)
    assert (penalty > 0).all()
    lifted = values.clone()
    lifted[:, 2] += 1
    assert (conservative_penalty(lifted, action, action_mask) < penalty).all()
    alike = conservative_penalty(values + 3, action, action_mask)  # a shift of all means nothing
    torch.testing.assert_close(alike, penalty)


@pytest.mark.parametrize("kind", [torch.int64, torch.float32, torch.uint8])
def test_ends_and_masks_of_0_and_1_are_booleans(kind):
    ends, mask = torch.tensor([False, True]), torch.tensor([[True, False], [True, True]])
    online, target = torch.tensor([[0.0, 2.0]] * 2), torch.tensor([[5.0, 3.0]] * 2)
    rows = torch.ones(2), ends, online, target, mask
    expected = double_q_target(*rows)
    assert torch.equal(expected, torch.tensor([6.0, 1.0]))
    assert torch.equal(double_q_target(rows[0], ends.to(kind), *rows[2:4], mask.to(kind)), expected)
    action = torch.tensor([0, 1])
    penalty = conservative_penalty(online, action, mask)
    assert torch.equal(conservative_penalty(online, action, mask.to(kind)), penalty)
    with pytest.raises(ValueError, match="terminated holds 1.0, 2.0"):
        double_q_target(torch.ones(2), torch.tensor([1.0, 2.0]), online, target, mask)
