"""Bandits: hand-worked updates, regret against an oracle, and a network that learns whom."""

import numpy as np
import pandas as pd
import pytest
import torch
from torch.nn.functional import binary_cross_entropy_with_logits

from pm_utils.decisions import bandits

GAME = {"rounds": 12, "batch": 600, "replications": 4, "seed": 0}


def two_tastes(n: int = 400, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Customers whose sign decides which of two ads they like; a third is liked by all a bit."""
    rng = np.random.default_rng(seed)
    context = rng.normal(size=(n, 3))
    likes = context[:, 0] > 0
    truth = np.column_stack([np.where(likes, 0.4, 0.05), np.where(likes, 0.05, 0.4)])
    return context, np.column_stack([truth, np.full(n, 0.24)])


@pytest.fixture(scope="module")
def played() -> tuple[dict, dict]:
    """Every policy on the same game."""
    context, truth = two_tastes()
    strangers = context[np.random.default_rng(1).permutation(len(context))]
    with_one = np.column_stack([np.ones(len(context)), context])
    deep = {"hidden": 8, "steps": 40, "learning_rate": 1e-2, "base_rate": 0.2}
    players = {
        "best fixed": lambda n: bandits.Known(np.full(len(truth), truth.mean(0).argmax())),
        "commit": lambda n: bandits.TestThenCommit(3, n, rounds=3),
        "thompson": lambda n: bandits.Thompson(3, n, prior=(1, 4)),
        "linucb": lambda n: bandits.LinUCB(with_one, 3, n, alpha=0.3),
        "deep": lambda n: bandits.DeepThompson(context, 3, n, **deep),
        "null": lambda n: bandits.DeepThompson(strangers, 3, n, **deep),
        "oracle": lambda n: bandits.Known(truth.argmax(1)),
    }
    sizes = dict.fromkeys(players, GAME["replications"]) | {"null": 3}
    game = {name: GAME[name] for name in ("rounds", "batch", "seed")}
    return bandits.tournament(players, truth, sizes, **game)


# --- The game ------------------------------------------------------------------------------


class Spy:
    """Shows one ad and remembers what it was told."""

    def __init__(self, ad: int) -> None:
        self.ad, self.told = ad, []

    def choose(self, customers):
        return np.full(customers.shape, self.ad)

    def learn(self, customers, ads, clicks):
        self.told.append((customers, ads, clicks))


def test_a_policy_of_ones_own_needs_two_methods_and_nothing_to_inherit():
    assert isinstance(Spy(0), bandits.BanditPolicy)
    spy, truth = Spy(1), np.tile([0.3, 0.6], (50, 1))
    earned = bandits.play_bandit(spy, truth, rounds=3, batch=40, replications=2, seed=5)
    assert len(spy.told) == 3
    assert all(part.shape == (2, 40) for told in spy.told for part in told)
    assert earned == pytest.approx(np.full((3, 2), 0.6))
    assert not isinstance(object(), bandits.BanditPolicy)


def test_all_policies_of_the_book_are_bandit_policies(played):
    policies, _ = played
    assert all(isinstance(policy, bandits.BanditPolicy) for policy in policies.values())


def test_every_policy_meets_the_same_customers_and_the_same_luck():
    truth = np.tile([0.3, 0.6], (50, 1))
    low, high = Spy(0), Spy(1)
    for spy in (low, high):
        bandits.play_bandit(spy, truth, rounds=3, batch=40, replications=2, seed=5)
    for (who, _, clicks), (same, _, more) in zip(low.told, high.told, strict=True):
        assert np.array_equal(who, same)
        assert (more | ~clicks).all()  # a click at 0.3 is one at 0.6
    assert not np.array_equal(low.told[0][0], low.told[1][0])


def test_the_first_replications_are_those_of_a_smaller_game():
    truth = np.random.default_rng(0).random((50, 2))
    few, many = Spy(0), Spy(0)
    for spy, size in ((few, 2), (many, 5)):
        bandits.play_bandit(spy, truth, rounds=2, batch=30, replications=size, seed=1)
    for (who, _, clicks), (more, _, most) in zip(few.told, many.told, strict=True):
        assert np.array_equal(who, more[:2])
        assert np.array_equal(clicks, most[:2])


def test_what_is_earned_is_the_true_chance_and_clicks_follow_it():
    truth = np.random.default_rng(0).random((50, 2))
    spy = Spy(1)
    earned = bandits.play_bandit(spy, truth, rounds=4, batch=5000, replications=2, seed=1)
    assert earned.shape == (4, 2)
    for t, (who, _, clicks) in enumerate(spy.told):
        assert earned[t] == pytest.approx(truth[who, 1].mean(1))
        assert clicks.mean(1) == pytest.approx(earned[t], abs=0.03)


def test_clicks_are_counted_by_ad_and_replication():
    ads = np.array([[0, 0, 2], [1, 1, 1]])
    clicks = np.array([[True, False, True], [False, False, True]])
    counts = bandits.click_counts(ads, clicks, 3)
    assert counts.tolist() == [[[1, 1], [0, 0], [1, 0]], [[0, 0], [1, 2], [0, 0]]]


# --- Policies without context ------------------------------------------------------------------


def test_a_test_gives_equal_turns_and_then_commits():
    policy = bandits.TestThenCommit(4, 2, rounds=2)
    who = np.zeros((2, 8), int)
    for _ in range(2):
        ads = policy.choose(who)
        assert (np.bincount(ads[0], minlength=4) == 2).all()
        policy.learn(who, ads, ads == np.array([[3], [1]]))
    assert (policy.choose(who) == np.array([[3], [1]])).all()
    policy.learn(who, np.zeros((2, 8), int), np.ones((2, 8), bool))  # too late to count
    assert (policy.choose(who) == np.array([[3], [1]])).all()


def test_thompson_posterior_adds_clicks_and_misses():
    policy = bandits.Thompson(2, 1, prior=(2, 5))
    policy.learn(np.zeros((1, 3), int), np.array([[0, 0, 1]]), np.array([[True, False, False]]))
    assert policy.posterior.tolist() == [[[3, 6], [2, 6]]]


def test_thompson_shows_an_ad_as_often_as_it_is_believed_best():
    policy = bandits.Thompson(2, 1, seed=3)
    policy.posterior[0] = [[3, 5], [6, 9]]
    shown = policy.choose(np.zeros((1, 400_000), int)).mean()
    rng = np.random.default_rng(0)
    believed = (rng.beta(6, 9, 200_000) > rng.beta(3, 5, 200_000)).mean()
    assert shown == pytest.approx(believed, abs=0.01)


# --- LinUCB --------------------------------------------------------------------------------------


def hand_worked() -> bandits.LinUCB:
    policy = bandits.LinUCB(np.array([[1.0, 2.0], [1.0, -1.0]]), 2, 1, alpha=0.5, ridge=2.0)
    who, ads = np.array([[0, 1, 0]]), np.array([[0, 0, 1]])
    policy.learn(who, ads, np.array([[True, False, True]]))
    return policy


def test_linucb_is_a_ridge_regression_worked_by_hand():
    policy = hand_worked()
    # Ad 0 saw (1, 2) with a click and (1, -1) without: A = 2 I + [[2, 1], [1, 5]], b = (1, 2).
    assert policy.a[0, 0].tolist() == [[4, 1], [1, 7]]
    assert policy.b[0, 0].tolist() == [1, 2]
    assert np.linalg.solve(policy.a[0, 0], policy.b[0, 0]) == pytest.approx([5 / 27, 7 / 27])
    # Ad 1 saw (1, 2) with a click: A = [[3, 2], [2, 6]], b = (1, 2).
    assert policy.a[0, 1].tolist() == [[3, 2], [2, 6]]


def test_linucb_shows_the_largest_upper_bound():
    policy = hand_worked()
    bound = np.empty((2, 2))
    for who, ad in np.ndindex(2, 2):
        x, inverse = policy.context[who].astype(float), np.linalg.inv(policy.a[0, ad])
        bound[who, ad] = x @ inverse @ policy.b[0, ad] + 0.5 * np.sqrt(x @ inverse @ x)
    assert policy.choose(np.array([[0, 1]])).tolist() == [bound.argmax(1).tolist()]
    greedy = [(policy.context[0] @ np.linalg.inv(policy.a[0, m]) @ policy.b[0, m]) for m in (0, 1)]
    assert greedy == pytest.approx([19 / 27, 5 / 7], abs=1e-6)


def test_linucb_replications_do_not_mix():
    context = np.random.default_rng(0).normal(size=(20, 3))
    both = bandits.LinUCB(context, 2, 2, alpha=0.1)
    one = bandits.LinUCB(context, 2, 1, alpha=0.1)
    rng = np.random.default_rng(1)
    who, ads = rng.integers(20, size=(2, 50)), rng.integers(2, size=(2, 50))
    clicks = rng.random((2, 50)) < 0.5
    both.learn(who, ads, clicks)
    one.learn(who[1:], ads[1:], clicks[1:])
    assert np.array_equal(both.choose(who)[1], one.choose(who[1:])[0])


# --- How a policy starts, and a null -------------------------------------------------------------


def test_without_a_varied_start_linucb_shows_a_round_one_ad():
    context, truth = two_tastes()
    who = np.random.default_rng(0).integers(400, size=(2, 300))
    plain = bandits.LinUCB(context, 3, 2, alpha=0.3)
    assert (plain.choose(who) == 0).all()
    start = bandits.UniformStart(bandits.LinUCB(context, 3, 2, alpha=0.3), 3, rounds=2)
    for _ in range(2):
        ads = start.choose(who)
        assert (np.bincount(ads[1], minlength=3) == 100).all()
        start.learn(who, ads, np.random.default_rng(1).random(who.shape) < truth[who, ads])
    assert (start.choose(who) == start.policy.choose(who)).all()
    assert (start.policy.a[0, :, 0, 0] > 1).all()  # it has learned of every ad


def test_a_start_of_no_rounds_is_the_policy_as_it_comes():
    make = bandits.starting(lambda n: bandits.Known(np.array([2, 1])), 3, rounds=0)
    assert make(1).choose(np.array([[0, 1, 0]])).tolist() == [[2, 1, 2]]


def test_strangers_are_shuffled_anew_in_each_replication():
    null = bandits.Strangers(bandits.Known(np.arange(50)), 50, 3, seed=0)
    shown = null.choose(np.tile(np.arange(50), (3, 1)))
    assert all(sorted(each) == list(range(50)) for each in shown.tolist())
    assert len({tuple(each) for each in shown.tolist()}) == 3


def test_strangers_teach_of_those_whom_they_stand_for():
    spy = Spy(1)
    null = bandits.Strangers(spy, 5, 1, seed=0)
    who = np.array([[0, 3, 3]])
    null.learn(who, null.choose(who), np.array([[True, False, True]]))
    assert spy.told[0][0].tolist() == [null.other[0][[0, 3, 3]].tolist()]
    assert spy.told[0][2].tolist() == [[True, False, True]]


def test_a_start_refuses_what_its_policy_refuses_and_is_not_over():
    start = bandits.UniformStart(bandits.Thompson(2, 1), 2)
    who = np.zeros((1, 2), int)
    for clicks in ([[0, np.nan]], [[-1, 1]], [["no", "yes"]]):
        with pytest.raises(ValueError, match="clicks"):
            start.learn(who, start.choose(who), np.array(clicks))
    with pytest.raises(ValueError, match="ads is out of range"):
        start.learn(who, who + 2, who)
    assert start.choose(who).tolist() == [[0, 1]]
    start.learn(who, start.choose(who), who)
    assert start.rounds_left == 0


def test_starts_and_strangers_that_cannot_be_are_refused():
    known = bandits.Known(np.arange(3))
    for call, said in (
        (lambda: bandits.UniformStart(known, 0), "n_ads"),
        (lambda: bandits.UniformStart(known, 3, rounds=-1), "rounds"),
        (lambda: bandits.starting(lambda n: known, 0, rounds=1), "n_ads"),
        (lambda: bandits.starting(lambda n: known, 3, rounds=0.5), "rounds"),
        (lambda: bandits.Strangers(known, 2.5, 1, seed=0), "n_customers"),
        (lambda: bandits.Strangers(known, 3, 0, seed=0), "replications"),
    ):
        with pytest.raises(ValueError, match=f"{said} is"):
            call()


@pytest.mark.parametrize(
    ("customers", "said"),
    [
        ([[-1], [0]], "customers is out of range"),
        ([[3], [0]], "customers is out of range"),
        ([[np.nan], [0]], "customers is not finite"),
        ([[0]], r"customers is \(1, 1\): give \(2, B\)"),
        ([0, 1], r"customers is \(2,\): give \(2, B\)"),
    ],
)
def test_strangers_stand_for_customers_that_are_known(customers, said):
    spy = Spy(1)
    null, who = bandits.Strangers(spy, 3, 2, seed=0), np.array(customers)
    with pytest.raises(ValueError, match=said):
        null.choose(who)
    with pytest.raises(ValueError, match=said):
        null.learn(who, np.ones(who.shape, int), np.ones(who.shape, bool))
    assert not spy.told


# --- The network ---------------------------------------------------------------------------------


def test_click_nets_are_separate_networks():
    torch.manual_seed(0)
    nets = bandits.ClickNets(2, 3, 4, 5, base_rate=0.03)
    torch.nn.init.normal_(nets.ads)
    x, ads = torch.randn(2, 6, 3), torch.randint(5, (2, 6))
    logits = nets(x, ads)
    for r in range(2):
        hidden = torch.relu(x[r] @ nets.inner.weight[r] + nets.inner.bias[r])
        phi = torch.cat([x[r], hidden, torch.ones(6, 1)], dim=1)
        by_hand = (phi * nets.ads[r, ads[r]]).sum(1) + nets.base[r]
        assert torch.allclose(logits[r], by_hand, atol=1e-5)


def test_before_learning_every_chance_is_the_base_rate():
    context, _ = two_tastes()
    policy = bandits.DeepThompson(context, 3, 2, base_rate=0.07)
    assert policy.expected(1) == pytest.approx(np.full((400, 3), 0.07))
    shown = np.bincount(policy.choose(np.tile(np.arange(400), (2, 5))).ravel(), minlength=3)
    assert shown / shown.sum() == pytest.approx(np.full(3, 1 / 3), abs=0.04)


def test_the_precision_is_that_of_logistic_regression():
    """The last layer's Hessian of the loss, by autograd, for an ad that some customers saw."""
    context, _ = two_tastes(60)
    policy = bandits.DeepThompson(context, 3, 1, hidden=4, steps=5, prior_precision=2.0)
    rng = np.random.default_rng(0)
    who, ads = rng.integers(60, size=(1, 80)), rng.integers(3, size=(1, 80))
    policy.learn(who, ads, rng.random((1, 80)) < 0.3)
    shown = ads[0] == 1
    with torch.no_grad():
        phi = policy.nets.features(policy.context[torch.tensor(who)])[0, shown].double()
    base, start = policy.nets.base[0].detach().double(), policy.nets.ads[0, 1].detach().double()

    def loss(w):
        logit = phi @ w + base
        fit = binary_cross_entropy_with_logits(logit, torch.zeros_like(logit), reduction="sum")
        return fit + (w @ w)  # λ / 2 = 1

    hessian = torch.autograd.functional.hessian(loss, start)
    # Newton stops when no weight moves by more than SMALL_STEP.
    assert torch.allclose(policy.precision[0, 1].double(), hessian, rtol=2e-3, atol=5e-3)


def test_without_hidden_units_it_is_logistic_regression():
    context, truth = two_tastes()
    policy = bandits.DeepThompson(context, 3, 1, hidden=0)
    assert policy.nets.ads.shape == (1, 3, 4)
    who = np.tile(np.arange(400), (1, 3))
    ads = np.repeat(np.arange(3), 400)[None]
    luck = np.random.default_rng(0).random(ads.shape)
    for _ in range(4):
        policy.learn(who, ads, luck < truth[who, ads])
    logit = np.log(policy.expected() / (1 - policy.expected()))
    slope, *_ = np.linalg.lstsq(np.column_stack([np.ones(400), context]), logit, rcond=None)
    fitted = np.column_stack([np.ones(400), context]) @ slope
    assert logit == pytest.approx(fitted, abs=1e-4)  # linear in the context, for every ad
    assert slope[1, 0] > 0.3 > -0.3 > slope[1, 1]


def test_the_last_layer_is_the_likeliest_one():
    """No slope is left in the penalised likelihood of all rounds, by autograd."""
    context, truth = two_tastes(60)
    policy = bandits.DeepThompson(context, 3, 2, hidden=4, prior_precision=2.0, base_rate=0.2)
    rng, rows = np.random.default_rng(0), []
    for _ in range(3):
        who, ads = rng.integers(60, size=(2, 80)), rng.integers(3, size=(2, 80))
        clicks = rng.random((2, 80)) < truth[who, ads]
        policy.learn(who, ads, clicks)
        rows.append((who[1], ads[1], clicks[1]))
    who, ads, clicks = (torch.tensor(np.concatenate(part)) for part in zip(*rows, strict=True))
    assert policy.nets.base[1].sigmoid().item() == pytest.approx((clicks.sum() + 1) / (240 + 5))
    phi = policy.nets.features(policy.context.expand(2, -1, -1))[1, who].detach().double()
    w = policy.nets.ads[1].detach().double().requires_grad_()
    logit = (phi * w[ads]).sum(1) + policy.nets.base[1].double()
    loss = binary_cross_entropy_with_logits(logit, clicks.double(), reduction="sum")
    (loss + w.square().sum()).backward()  # λ / 2 = 1
    assert w.grad.abs().max() < 0.02
    assert w.detach().abs().max() > 0.5


def test_hidden_units_learn_and_a_logistic_regression_has_none():
    context, truth = two_tastes()
    for hidden in (0, 4):
        policy = bandits.DeepThompson(context, 3, 1, hidden=hidden)
        before = policy.nets.inner.weight.detach().clone()
        who, ads = np.arange(400)[None], np.arange(400)[None] % 3
        policy.learn(who, ads, np.random.default_rng(0).random((1, 400)) < truth[who, ads])
        assert torch.equal(before, policy.nets.inner.weight) == (hidden == 0)


def test_doubt_falls_where_it_has_looked():
    context, _ = two_tastes()
    policy = bandits.DeepThompson(context, 2, 1, hidden=4, steps=1)
    who = np.arange(400)[None]
    policy.learn(who, np.zeros((1, 400), int), np.zeros((1, 400), bool))
    trace = torch.linalg.inv(policy.precision[0]).diagonal(dim1=1, dim2=2).sum(1)
    assert trace[0] < 0.95 * trace[1]


def test_without_doubt_it_is_greedy():
    context, _ = two_tastes()
    policy = bandits.DeepThompson(context, 3, 1, doubt=0.0)
    torch.nn.init.normal_(policy.nets.ads)
    who = np.arange(400)[None]
    assert np.array_equal(policy.choose(who)[0], policy.expected().argmax(1))


def test_each_replication_may_doubt_as_it_likes():
    context, _ = two_tastes()
    policy = bandits.DeepThompson(context, 3, 2, hidden=0, doubt=[0.0, 1.0])
    shown = policy.choose(np.tile(np.arange(64), (2, 1)))
    assert np.ptp(shown[0]) == 0  # greedy, and all ads are alike so far
    assert np.ptp(shown[1]) > 0


@pytest.mark.parametrize("batch", [1, 16, 37])
def test_a_draw_is_shared_by_a_few_customers_in_a_row(batch):
    context, _ = two_tastes()
    who = np.zeros((3, batch), int)  # one customer, again and again
    for policy in (bandits.Thompson(3, 3), bandits.DeepThompson(context, 3, 3)):
        shown = policy.choose(who)
        assert shown.shape == who.shape
        for first in range(0, batch, bandits.SHARING):
            assert (np.ptp(shown[:, first : first + bandits.SHARING], axis=1) == 0).all()


def test_rows_by_ad_are_where_it_was_shown():
    rows = bandits.rows_by_ad(np.array([2, 0, 2, 2]), 4)
    assert [part.tolist() for part in rows] == [[1], [], [0, 2, 3], []]


def test_the_same_seed_plays_the_same_game():
    context, truth = two_tastes()
    game = {"rounds": 3, "batch": 50, "replications": 2, "seed": 0}
    runs = [
        bandits.play_bandit(bandits.DeepThompson(context, 3, 2, seed=seed), truth, **game)
        for seed in (1, 1, 2)
    ]
    assert np.array_equal(runs[0], runs[1])
    assert not np.array_equal(runs[0], runs[2])


# --- Who wins -----------------------------------------------------------------------------------


def test_context_pays_where_tastes_differ_and_only_with_the_right_customers(played):
    _, earned = played
    late = bandits.shares_of_gain(earned, "best fixed", "oracle", rounds=slice(-4, None))
    mean = {name: share.mean() for name, share in late.items()}
    assert mean["best fixed"] == 0
    assert mean["oracle"] == 1
    assert mean["linucb"] > 0.6
    assert mean["deep"] > 0.6
    assert mean["null"] < 0.2 < mean["deep"]
    assert mean["thompson"] < 0.05  # no policy without context passes the best fixed ad
    assert mean["commit"] < 0.05


def test_a_bandit_learns_and_a_fixed_policy_does_not(played):
    _, earned = played
    for name in ("linucb", "deep"):
        assert earned[name][-3:].mean() > earned[name][0].mean() + 0.05, name
    assert earned["best fixed"][-3:].mean() == pytest.approx(
        earned["best fixed"][:3].mean(), abs=0.01
    )


def test_regret_is_what_was_lost_so_far(played):
    _, earned = played
    lost = bandits.total_regret(earned["deep"], earned["oracle"], 600)
    assert lost.shape == (12, 4)
    assert (np.diff(lost, axis=0) >= 0).all()
    assert lost[-1] == pytest.approx(600 * (earned["oracle"] - earned["deep"]).sum(0))
    assert (bandits.total_regret(earned["oracle"], earned["oracle"], 600) == 0).all()


def test_the_network_knows_what_each_customer_likes(played):
    policies, _ = played
    _, truth = two_tastes()
    assert (policies["deep"].expected(2).argmax(1) == truth.argmax(1)).mean() > 0.8
    assert (policies["null"].expected(2).argmax(1) == truth.argmax(1)).mean() < 0.65


def test_shares_of_gain_by_hand_with_fewer_replications():
    earned = {
        "low": np.array([[1.0, 1.0], [1.0, 1.0]]),
        "high": np.array([[2.0, 3.0], [2.0, 3.0]]),
        "one": np.array([[1.0], [2.0]]),
    }
    share = bandits.shares_of_gain(earned, "low", "high")
    assert share["one"].tolist() == [0.5]
    assert share["low"].tolist() == [0, 0]
    assert bandits.shares_of_gain(earned, "low", "high", rounds=slice(1, 2))["one"].tolist() == [1]


def test_standings_hold_regret_shares_and_the_last_quarter(played):
    _, earned = played
    table = bandits.bandit_standings(earned, "best fixed", "oracle")
    lost = 1000 * (earned["oracle"] - earned["deep"]).mean()
    assert table.loc["deep", "clicks lost per 1,000"] == pytest.approx(lost)
    assert table.loc["deep", "the same, last quarter"] > table.loc["deep", "share of oracle gain"]
    assert table.loc["null"].notna().all()


# --- What users bring --------------------------------------------------------------------------


def test_a_test_with_fewer_customers_than_ads_shows_every_ad():
    policy, who = bandits.TestThenCommit(10, 1, rounds=5), np.zeros((1, 3), int)
    for _ in range(5):
        ads = policy.choose(who)
        policy.learn(who, ads, ads == 7)
    assert policy.counts.sum(2)[0].tolist() == [2] * 5 + [1] * 5
    assert policy.choose(who).tolist() == [[7, 7, 7]]


def test_a_test_too_short_for_all_ads_is_refused():
    policy, who = bandits.TestThenCommit(10, 2, rounds=1), np.zeros((2, 3), int)
    policy.learn(who, policy.choose(who), np.zeros((2, 3), bool))
    with pytest.raises(ValueError, match="the test had 3 customers for 10 ads"):
        policy.choose(who)


@pytest.mark.parametrize("kind", [int, float, np.uint8])
def test_clicks_of_0_and_1_are_counted_as_booleans(kind):
    ads, clicks = np.array([[0, 1, 1]]), np.array([[True, False, True]])
    expected = bandits.click_counts(ads, clicks, 2)
    assert (bandits.click_counts(ads, clicks.astype(kind), 2) == expected).all()
    with pytest.raises(ValueError, match="clicks holds -1, 1"):
        bandits.click_counts(ads, 2 * clicks.astype(int) - 1, 2)
    with pytest.raises(ValueError, match="ads is out of range"):
        bandits.click_counts(ads + 1, clicks, 2)


def test_every_policy_learns_from_clicks_of_0_and_1():
    context, who, ads = np.eye(2), np.array([[0, 1, 0, 1]]), np.array([[0, 1, 1, 0]])
    clicks = np.array([[True, True, False, False]])
    makers = (
        lambda: bandits.Thompson(2, 1),
        lambda: bandits.LinUCB(context, 2, 1, alpha=0.1),
        lambda: bandits.DeepThompson(context, 2, 1, hidden=0),
    )
    for make in makers:
        one, two = make(), make()
        one.learn(who, ads, clicks)
        two.learn(who, ads, clicks.astype(float))
        assert (one.choose(who) == two.choose(who)).all()
        with pytest.raises(ValueError, match="clicks is missing in 1 of 1 rows, .*column 2"):
            make().learn(who, ads, np.array([[0, 1, np.nan, 1]]))


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: bandits.LinUCB([[np.nan]], 2, 1, alpha=1), "context is not finite"),
        (lambda: bandits.DeepThompson([[np.inf]], 2, 1), "context is not finite"),
        (lambda: bandits.DeepThompson([[1.0]], 2, 1, base_rate=3), "base_rate is 3"),
        (lambda: bandits.Thompson(2, 1, prior=(0, 1)), "prior is out of range"),
        (lambda: bandits.Known([0, 0.5]), "ads is not whole"),
        (lambda: game(bandits.Known([0]), [[0.1, 5]]), "truth is out of range"),
        (lambda: game(bandits.Known([2]), [[0.1, 0.5]]), "ads is out of range"),
        (
            lambda: bandits.shares_of_gain({"a": np.ones((2, 2)), "b": np.ones((2, 2))}, "a", "b"),
            "b earned what a earned",
        ),
        (
            lambda: bandits.shares_of_gain({"a": np.ones((2, 2)), "b": np.ones((2, 1))}, "a", "b"),
            "let both play most often",
        ),
        (
            lambda: bandits.total_regret(np.ones((2, 3)), np.ones((2, 1)), 5),
            "give equal shapes",
        ),
    ],
)
def test_games_that_cannot_be_are_refused(call, said):
    with pytest.raises(ValueError, match=said):
        call()


def game(policy, truth):
    return bandits.play_bandit(policy, truth, rounds=1, batch=2, replications=1, seed=0)


def test_customers_and_ads_that_are_none_are_no_neighbours():
    nobody, one, click = np.array([[-1]]), np.zeros((1, 1), int), np.ones((1, 1), bool)
    lin = bandits.LinUCB(np.eye(3), 2, 1, alpha=1.0)
    deep = bandits.DeepThompson(np.eye(3), 2, 1, hidden=0, steps=1)
    for policy in (lin, deep, bandits.Known(np.array([0, 1, 1]))):
        with pytest.raises(ValueError, match="customers is out of range"):
            policy.choose(nobody)
    for policy in (lin, deep):
        for rows, told in (
            ((nobody, one, click), "customers is out of range"),
            ((one, one + 2, click), "ads is out of range"),
            ((np.zeros((1, 2), int), one, click), r"customers is \(1, 2\), ads \(1, 1\)"),
        ):
            with pytest.raises(ValueError, match=told):
                policy.learn(*rows)
    with pytest.raises(ValueError, match="ads is out of range"):
        bandits.rows_by_ad(np.array([0, 7]), 2)


def test_contexts_and_truths_are_called_by_number():
    truth = pd.DataFrame([[0.9, 0.1], [0.2, 0.8], [0.6, 0.4]])
    best, context = pd.Series([0, 1, 0]), pd.DataFrame(np.eye(3))
    game = {"rounds": 3, "batch": 8, "replications": 2, "seed": 0}
    makers = (
        lambda turn: bandits.Known(best[::turn]),
        lambda turn: bandits.LinUCB(context[::turn], 2, 2, alpha=0.1),
        lambda turn: bandits.DeepThompson(context[::turn], 2, 2, hidden=0, steps=2),
    )
    for make in makers:
        expected = bandits.play_bandit(make(1), truth.to_numpy(), **game)
        np.testing.assert_array_equal(bandits.play_bandit(make(-1), truth[::-1], **game), expected)
    labels = list("abc")
    for call, name in (
        (lambda: bandits.Known(best.set_axis(labels)), "ads"),
        (lambda: bandits.LinUCB(context.set_axis(labels), 2, 1, alpha=1), "context"),
        (lambda: bandits.DeepThompson(context.set_axis(labels), 2, 1), "context"),
        (lambda: bandits.play_bandit(makers[0](1), truth.set_axis(labels), **game), "truth"),
    ):
        with pytest.raises(ValueError, match=f"{name} has no row 0: .*label them 0 to 2"):
            call()
