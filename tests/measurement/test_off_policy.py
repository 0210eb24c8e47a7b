"""Off-policy estimators against exact expectations over every possible log."""

import os
import warnings
from itertools import product
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.linear_model import Ridge

from pm_utils.chapters import creative_optimisation
from pm_utils.measurement import off_policy

# Two customers, two ads. Chances of a click, the old and the new policy, and a wrong model.
PROBABILITY = np.array([[0.2, 0.7], [0.5, 0.1]])
OLD = np.array([[0.6, 0.4], [0.25, 0.75]])
NEW = np.array([[0.1, 0.9], [0.8, 0.2]])
WRONG = np.array([[0.9, 0.3], [0.2, 0.6]])
VALUE = (NEW * PROBABILITY).sum(1).mean()


def expectation(estimator, rows: int = 2, old=OLD, probability=PROBABILITY) -> tuple[float, float]:
    """Mean and variance of an estimator over all logs of some rows, each with its chance."""
    one = [
        ((x, a, r), 0.5 * old[x, a] * (probability[x, a] if r else 1 - probability[x, a]))
        for x, a, r in product(range(2), repeat=3)
    ]
    total = second = mass = 0.0
    for log in product(one, repeat=rows):
        weight = np.prod([p for _, p in log])
        found = estimator(*np.array([row for row, _ in log]).T)
        total, second, mass = total + weight * found, second + weight * found**2, mass + weight
    assert mass == pytest.approx(1)
    return total, second - total**2


def weights(x, a, old=OLD):
    return NEW[x, a] / old[x, a]


def ips(x, a, r):
    return off_policy.inverse_propensity(r, weights(x, a), x).value


def dr(x, a, r, model=WRONG, old=OLD):
    expected = (NEW * model).sum(1)[x]
    return off_policy.doubly_robust(r, weights(x, a, old), x, expected, model[x, a]).value


def dm(x, a, r, model=WRONG):
    return off_policy.direct_method((NEW * model).sum(1)[x], x).value


def snips(x, a, r):
    return off_policy.self_normalised(r, weights(x, a), x).value


@pytest.mark.parametrize("rows", [1, 2, 3])
def test_ips_is_unbiased_over_all_logs(rows):
    assert expectation(ips, rows)[0] == pytest.approx(VALUE, abs=1e-12)


def test_dr_is_unbiased_with_a_wrong_model():
    assert expectation(dr)[0] == pytest.approx(VALUE, abs=1e-12)


def test_dr_is_unbiased_with_wrong_propensities_and_the_right_model():
    believed = np.array([[0.3, 0.7], [0.5, 0.5]])
    robust, _ = expectation(lambda x, a, r: dr(x, a, r, PROBABILITY, believed))
    assert robust == pytest.approx(VALUE, abs=1e-12)
    weighted, _ = expectation(
        lambda x, a, r: off_policy.inverse_propensity(r, weights(x, a, believed), x).value
    )
    assert abs(weighted - VALUE) > 0.05


def test_dr_is_biased_when_both_are_wrong():
    believed = np.array([[0.3, 0.7], [0.5, 0.5]])
    robust, _ = expectation(lambda x, a, r: dr(x, a, r, WRONG, believed))
    assert abs(robust - VALUE) > 0.01


def test_dm_is_as_right_as_its_model():
    assert expectation(lambda x, a, r: dm(x, a, r, PROBABILITY))[0] == pytest.approx(VALUE)
    assert expectation(dm)[0] == pytest.approx((NEW * WRONG).sum(1).mean())
    assert abs(expectation(dm)[0] - VALUE) > 0.1


def test_snips_bias_falls_with_the_rows():
    biases = [abs(expectation(snips, rows)[0] - VALUE) for rows in (1, 2, 4)]
    assert biases[0] > biases[1] > biases[2] > 1e-4
    assert biases[2] < biases[0] / 3


def test_the_right_model_takes_variance_away():
    right = expectation(lambda x, a, r: dr(x, a, r, PROBABILITY))
    assert right[0] == pytest.approx(VALUE)
    assert right[1] < 0.9 * expectation(ips)[1]


def test_a_constant_added_to_the_reward_moves_all_but_ips_exactly():
    rng = np.random.default_rng(0)
    x, a = rng.integers(2, size=(2, 50))
    r = (rng.random(50) < PROBABILITY[x, a]).astype(float)
    assert snips(x, a, r + 10) == pytest.approx(snips(x, a, r) + 10)
    assert dr(x, a, r + 10, WRONG + 10) == pytest.approx(dr(x, a, r) + 10)
    assert abs(ips(x, a, r + 10) - ips(x, a, r) - 10) > 0.1


def test_estimators_by_hand():
    reward, weight = np.array([1.0, 0, 1]), np.array([2.0, 0.5, 0.5])
    who, expected, predicted = np.arange(3), np.array([0.5, 0.4, 0.3]), np.array([0.6, 0.2, 0.1])
    assert off_policy.inverse_propensity(reward, weight, who).value == pytest.approx(2.5 / 3)
    assert off_policy.self_normalised(reward, weight, who).value == pytest.approx(2.5 / 3.0)
    assert off_policy.direct_method(expected, who).value == pytest.approx(0.4)
    by_hand = (0.5 + 2 * 0.4 + 0.4 + 0.5 * -0.2 + 0.3 + 0.5 * 0.9) / 3
    found = off_policy.doubly_robust(reward, weight, who, expected, predicted)
    assert found.value == pytest.approx(by_hand)


def test_on_the_old_policy_itself_weights_do_nothing():
    reward, one, who = np.array([1.0, 0, 0, 1]), np.ones(4), np.arange(4)
    for estimator in (off_policy.inverse_propensity, off_policy.self_normalised):
        found = estimator(reward, one, who)
        assert found.value == 0.5
        assert found.effective_size == 4


def test_no_overlap_is_said():
    with pytest.raises(ValueError, match="all weights are 0"):
        off_policy.self_normalised(np.ones(3), np.zeros(3), np.arange(3))


@given(st.lists(st.floats(0.1, 50), min_size=1, max_size=30))
def test_effective_size_lies_between_one_and_n(weight):
    size = off_policy.effective_sample_size(np.array(weight))
    assert 1 - 1e-9 <= size <= len(weight) + 1e-9
    assert off_policy.effective_sample_size(7 * np.array(weight)) == pytest.approx(size)


def test_effective_size_by_hand():
    assert off_policy.effective_sample_size(np.array([1.0, 1, 1, 1])) == 4
    assert off_policy.effective_sample_size(np.array([5.0, 0, 0])) == 1
    assert off_policy.effective_sample_size(np.array([3.0, 1])) == pytest.approx(1.6)
    assert off_policy.effective_sample_size(np.zeros(2)) == 0


def test_copies_of_a_customers_rows_do_not_narrow_the_interval():
    rng = np.random.default_rng(0)
    reward, weight = rng.random(200), rng.exponential(size=200)
    who = np.arange(200)
    once = off_policy.inverse_propensity(reward, weight, who)
    five = off_policy.inverse_propensity(np.tile(reward, 5), np.tile(weight, 5), np.tile(who, 5))
    assert (five.value, five.low, five.high) == pytest.approx((once.value, once.low, once.high))
    strangers = off_policy.inverse_propensity(
        np.tile(reward, 5), np.tile(weight, 5), np.arange(1000)
    )
    ratio = (once.high - once.low) / (strangers.high - strangers.low)
    assert ratio == pytest.approx(np.sqrt(5))


def test_the_interval_is_that_of_a_mean():
    rng = np.random.default_rng(0)
    reward = rng.random(400)
    found = off_policy.inverse_propensity(reward, np.ones(400), np.arange(400))
    half = 1.959964 * reward.std() / 20
    assert (found.low, found.high) == pytest.approx((reward.mean() - half, reward.mean() + half))
    assert found.covers(reward.mean())
    assert not found.covers(found.high + 1e-9)


# --- The reward model -----------------------------------------------------------------------


def planted(n: int = 8000, seed: int = 0):
    rng = np.random.default_rng(seed)
    context = rng.normal(size=(200, 2))
    mean = np.stack([context[:, 0], -context[:, 0], 0 * context[:, 0] + 1], axis=1)
    who, ad = rng.integers(200, size=n), rng.integers(3, size=n)
    return context, mean, who, ad, mean[who, ad] + 0.1 * rng.normal(size=n)


def test_slopes_by_ad_find_interactions_and_main_effects_cannot():
    context, mean, *log = planted()
    own = off_policy.reward_table(context, 3, *log, interactions=True, ridge=1)
    same = off_policy.reward_table(context, 3, *log)
    assert np.abs(own - mean).max() < 0.1
    assert np.abs(same - mean).mean() > 0.5
    assert same.mean(0) == pytest.approx(mean.mean(0), abs=0.1)


def test_the_reward_models_are_scikit_learns_ridge():
    rng = np.random.default_rng(0)
    x, ad = rng.normal(2, 1, size=(300, 4)), rng.integers(3, size=300)
    reward = x @ rng.normal(size=4) + ad + rng.normal(size=300)
    slopes, intercept = off_policy._ridge(x, reward, 10.0)
    model = Ridge(alpha=10.0).fit(x, reward)
    assert slopes == pytest.approx(model.coef_)
    assert intercept == pytest.approx(model.intercept_)


@pytest.mark.parametrize("interactions", [False, True])
def test_a_customers_own_rows_are_not_learned_from(interactions):
    context, _, who, ad, reward = planted()
    before = off_policy.reward_table(context, 3, who, ad, reward, interactions=interactions)
    reward = np.where(who % 2 == 0, reward + 100, reward)
    after = off_policy.reward_table(context, 3, who, ad, reward, interactions=interactions)
    assert after[::2] == pytest.approx(before[::2])
    assert np.abs(after[1::2] - before[1::2]).min() > 50


def test_an_ad_that_was_never_shown_is_predicted_at_the_mean():
    context, _, who, ad, reward = planted()
    rows = ad != 2
    log = who[rows], ad[rows], reward[rows]
    table = off_policy.reward_table(context, 3, *log, interactions=True)
    assert np.ptp(table[::2, 2]) == 0
    assert table[0, 2] == pytest.approx(log[2][log[0] % 2 == 1].mean())


def test_the_score_of_estimates_by_hand():
    estimates = [off_policy.Estimate(v, v - 1, v + 1, 10.0) for v in (1.0, 2.0, 4.5)]
    row = creative_optimisation.score({"x": estimates}, 2.0).loc["x"]
    assert row["relative error"] == pytest.approx((0.5 + 0 + 1.25) / 3)
    assert row["bias"] == pytest.approx(0.25)
    assert row["95 % interval holds"] == pytest.approx(2 / 3)
    assert row["effective size"] == 10


# --- Sequences of decisions -----------------------------------------------------------------------

AGREES = np.array([[True, True, False, True], [True, False, True, True]])  # (T, N)
PROBABILITIES = np.array([[0.5, 0.25, 0.5, 1.0], [0.8, 0.5, 0.5, 0.5]])
PAID = np.array([[1.0, 2.0, 3.0, 4.0], [5.0, 6.0, 7.0, 8.0]])


def test_the_weight_of_a_history_by_hand():
    weight = off_policy.trajectory_weights(AGREES, PROBABILITIES)
    assert weight[0].tolist() == [2, 4, 0, 1]
    assert weight[1] == pytest.approx([2.5, 0, 0, 2])  # once off the path, never again on it


def test_per_decision_by_hand():
    weight = off_policy.trajectory_weights(AGREES, PROBABILITIES)
    plain = off_policy.per_decision(PAID, weight, normalised=False)
    assert plain.value == pytest.approx((2 + 8 + 4) / 4 + (12.5 + 16) / 4)
    found = off_policy.per_decision(PAID, weight)
    assert found.value == pytest.approx(14 / 7 + 28.5 / 4.5)
    assert found.effective_size == pytest.approx(4.5**2 / (2.5**2 + 2**2))
    assert plain.effective_size == found.effective_size
    backwards = off_policy.per_decision(PAID[::-1], weight[::-1])
    assert backwards.effective_size == found.effective_size  # the thinnest week, wherever it is


def test_one_week_is_the_estimators_of_single_decisions():
    rng = np.random.default_rng(0)
    reward, weight, who = rng.normal(1, 1, 300), rng.exponential(size=300), np.arange(300)
    for normalised, single in (
        (True, off_policy.self_normalised),
        (False, off_policy.inverse_propensity),
    ):
        found = off_policy.per_decision(reward[None], weight[None], normalised=normalised)
        same = single(reward, weight, who)
        assert (found.value, found.low, found.high) == pytest.approx(
            (same.value, same.low, same.high)
        )


def test_a_week_without_weight_is_an_error():
    weight = off_policy.trajectory_weights(
        np.array([[True, False], [False, True]]), PROBABILITIES[:, :2]
    )
    for normalised in (True, False):
        with pytest.raises(ValueError, match="nobody's history agrees"):
            off_policy.per_decision(PAID[:, :2], weight, normalised=normalised)


# Two weeks: a state is the number of ads seen before; the new policy shows one and then none.
SHOWS = np.array([0.3, 0.6])  # chance that the old policy shows an ad, by state
GAINS = np.array([[0.2, 1.5], [-0.4, 2.0]])  # mean reward by state and action
NEW_VALUE = GAINS[0, 1] + GAINS[1, 0]


def two_weeks(customers: int, seed: int):
    """Return rewards, where the new policy agrees, and chances: arrays (2, N)."""
    rng = np.random.default_rng(seed)
    seen, rows = np.zeros(customers, int), []
    for week in range(2):
        shown = (rng.random(customers) < SHOWS[seen]).astype(int)
        probability = np.where(shown == 1, SHOWS[seen], 1 - SHOWS[seen])
        paid = GAINS[seen, shown] + rng.exponential(size=customers) - 1
        rows.append((paid, shown == 1 - week, probability))
        seen = np.minimum(seen + shown, 1)
    return [np.stack(each) for each in zip(*rows, strict=True)]


@pytest.fixture(scope="module")
def two_week_logs():
    return [two_weeks(600, seed) for seed in range(400)]


@pytest.mark.parametrize("normalised", [False, True])
def test_per_decision_is_right_on_average_and_covers(two_week_logs, normalised):
    found = [
        off_policy.per_decision(
            reward, off_policy.trajectory_weights(agrees, probability), normalised=normalised
        )
        for reward, agrees, probability in two_week_logs
    ]
    values = np.array([one.value for one in found])
    spread = values.std(ddof=1) / 20
    assert abs(values.mean() - NEW_VALUE) < 3.5 * spread + 0.005 * normalised
    held = np.mean([one.covers(NEW_VALUE) for one in found])
    assert 0.91 < held < 0.985
    half = np.mean([one.high - one.low for one in found]) / 2
    assert half == pytest.approx(1.96 * values.std(ddof=1), rel=0.15)


def test_without_weights_or_with_the_last_weeks_alone_it_is_wrong(two_week_logs):
    plain, last, squeezed = [], [], []
    for reward, agrees, probability in two_week_logs:
        plain.append(reward.sum(0).mean())
        last.append((reward * agrees / probability).sum(0).mean())  # forgets what came before
        squeezed.append((reward.sum(0) * (agrees / probability).prod(0)).mean())
    for wrong in (plain, last):
        assert abs(np.mean(wrong) - NEW_VALUE) > 10 * np.std(wrong) / 20
    weighted = [
        off_policy.per_decision(r, off_policy.trajectory_weights(a, c), normalised=False).value
        for r, a, c in two_week_logs
    ]
    assert np.std(weighted) < 0.9 * np.std(squeezed)  # later weights do not dilute the first week


@pytest.mark.parametrize(
    ("new", "size", "said"),
    [
        ((3.0, 2.5, 3.5), 49.9, "refuse"),
        ((3.0, 2.5, 3.5), 50.0, "recommend"),
        ((3.0, 1.5, 4.5), 50.0, "keep"),  # its low end lies within the old one's interval
        ((1.0, 0.5, 1.5), 900.0, "keep"),
        ((1.0, 0.5, 1.5), float("nan"), "refuse"),
    ],
)
def test_what_a_log_allows_to_say(new, size, said):
    old = off_policy.Estimate(1.0, 0.0, 2.0, 1000.0)
    estimate = off_policy.Estimate(*new, size)
    assert off_policy.recommend(estimate, old, least_size=50) == said


# --- Support, ids and logs that cannot be -----------------------------------------------------


def log_of(who, ad, click, propensity):
    return SimpleNamespace(customer=who, creative=ad, click=click, propensity=propensity)


@pytest.fixture(scope="module")
def untried():
    """A log of four ads, and a policy that mostly shows a fifth, which nobody clicks."""
    rng, n = np.random.default_rng(0), 4000
    rate = np.array([0.05, 0.05, 0.1, 0.2, 0.0])
    who, ad = np.arange(n), rng.integers(0, 4, n)
    click = (rng.random(n) < rate[ad]).astype(float)
    log = log_of(who, ad, click, np.full(n, 0.25))
    model = np.tile([0.05, 0.05, 0.1, 0.2, click.mean()], (n, 1))
    return log, model


def test_a_policy_that_the_log_never_tried_is_refused(untried):
    log, model = untried
    target = np.tile([0, 0, 0, 0.1, 0.9], (len(model), 1))
    with pytest.warns(UserWarning, match="the mean weight is 0.1.* where 1 is due"):
        found = off_policy.evaluate_policy(log, target, model)
    old = off_policy.inverse_propensity(log.click, np.ones(len(model)), log.customer)
    assert old.support == 1
    for name, one in found.items():
        assert one.support < 0.15, name
        assert off_policy.recommend(one, old, least_size=500) == "refuse"


def test_a_policy_that_the_log_has_tried_is_not_refused(untried):
    log, model = untried
    target = np.tile([0, 0, 0.2, 0.8, 0], (len(model), 1))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = off_policy.evaluate_policy(log, target, model)
    old = off_policy.inverse_propensity(log.click, np.ones(len(model)), log.customer)
    assert all(one.support == 1 for one in found.values())
    assert off_policy.recommend(found["SNIPS"], old, least_size=500) == "recommend"


@pytest.mark.parametrize("customers", [1, 2, 9, 10, 40])
def test_support_is_checked_of_however_few_customers(customers):
    """The log always shows ad 0, which the new policy hardly ever does."""
    n = 9000
    log = log_of(np.arange(n) % customers, np.zeros(n, int), np.ones(n), np.ones(n))
    target, model = np.tile([0.01, 0.99], (customers, 1)), np.full((customers, 2), 0.5)
    with pytest.warns(UserWarning, match="the mean weight is 0.01"):
        found = off_policy.evaluate_policy(log, target, model)["SNIPS"]
    assert found.support == pytest.approx(0.01)
    old = off_policy.Estimate(0.1, 0.1, 0.1, n)
    assert off_policy.recommend(found, old, least_size=500) == "refuse"


def test_a_log_that_has_tried_nothing_is_refused_by_every_estimator():
    reward, weight, who = np.ones(500), np.zeros(500), np.arange(500) % 50
    model = np.full(500, 0.3)
    for call in (
        lambda: off_policy.inverse_propensity(reward, weight, who),
        lambda: off_policy.self_normalised(reward, weight, who),
        lambda: off_policy.doubly_robust(reward, weight, who, model, model),
    ):
        with pytest.raises(ValueError, match="all weights are 0"):
            call()


def test_propensities_of_another_log_are_refused():
    """Weights of 1 on average, once their propensities are those that the log was drawn by."""
    rng, n = np.random.default_rng(0), 4000
    weight, who = np.where(rng.random(n) < 0.25, 4.0, 0.0), np.arange(n) % 400
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        right = off_policy.inverse_propensity(np.ones(n), weight, who)
    assert right.support == 1
    with pytest.warns(UserWarning, match="the propensities are not those"):
        wrong = off_policy.inverse_propensity(np.ones(n), 2.5 * weight, who)
    assert wrong.support < 0.5
    assert off_policy.recommend(wrong, right, least_size=100) == "refuse"


def test_tables_of_a_policy_meet_by_their_labels():
    rng, n = np.random.default_rng(0), 200
    who, ad = rng.integers(0, 6, n), rng.integers(0, 3, n)
    log = log_of(who, ad, (rng.random(n) < 0.3).astype(float), np.full(n, 1 / 3))
    target, model = rng.dirichlet(np.ones(3), 6), rng.random((6, 3))
    expected = off_policy.evaluate_policy(log, target, model)
    tables = [pd.DataFrame(each) for each in (target, model)]
    mixed = tables[1].iloc[[3, 1, 5, 0, 2, 4], [2, 0, 1]]
    for first, second in ((tables[0], mixed), (mixed * 0 + tables[0], tables[1])):
        found = off_policy.evaluate_policy(log, first, second)
        for name, one in found.items():
            assert vars(one) == pytest.approx(vars(expected[name])), name
    names = tables[0].set_axis(list("abcdef"))
    with pytest.raises(KeyError, match="customer is not known"):
        off_policy.evaluate_policy(log, names, model)
    log.customer = np.array(list("abcdef"))[who]
    assert off_policy.evaluate_policy(log, names, model) == expected


def test_customers_of_a_reward_table_are_found_by_their_labels():
    context, _, who, ad, reward = planted(400)
    expected = off_policy.reward_table(context, 3, who, ad, reward, interactions=True)
    order = np.random.default_rng(1).permutation(len(context))
    shuffled = pd.DataFrame(context).iloc[order]
    found = off_policy.reward_table(shuffled, 3, who, ad, reward, interactions=True)
    assert found.index.equals(shuffled.index)
    np.testing.assert_allclose(found.sort_index().to_numpy(), expected)


def test_probabilities_of_a_few_digits_sum_to_one():
    log = log_of(np.arange(3), np.arange(3), np.ones(3), np.full(3, 0.33333))
    thirds = np.full((3, 3), 0.33333)
    assert off_policy.evaluate_policy(log, thirds, thirds)["IPS"].value == pytest.approx(1)


def test_luck_is_no_lack_of_support():
    """Of logs that have tried everything hardly any is warned of."""
    warned = 0
    for seed in range(300):
        rng = np.random.default_rng(seed)
        weight = np.where(rng.random(200) < 0.1, 10.0, 0.0)
        warned += off_policy._support(weight, np.arange(200)) < off_policy.LEAST_SUPPORT
    assert warned < 6


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"customer": [0, 1, 2, 4]}, "customer is out of range in 1 of 4 rows, first row 3"),
        ({"creative": [0, 1, 0, -1]}, "creative is out of range"),
        ({"click": [0, 1, 0, 2]}, "click holds 0, 1, 2"),
        ({"propensity": [0.5, 0.5, 0.5, 0]}, "propensity is out of range"),
        ({"propensity": [0.5, 0.5, 0.5, 50]}, "propensity is out of range"),
        ({"target": np.full((4, 2), 0.4)}, "target does not sum to 1 in 4 of 4 rows"),
        ({"target": np.full((3, 2), 0.5)}, r"target \(3, 2\) and table \(4, 2\)"),
        ({"table": np.full((4, 2), np.nan)}, "table is not finite"),
        ({"reward": [0, 1, 0, np.nan]}, "reward is not finite in 1 of 4 rows"),
    ],
)
def test_a_log_that_cannot_be_is_named(change, said):
    given = {
        "customer": np.arange(4),
        "creative": np.array([0, 1, 0, 1]),
        "click": np.array([0, 1, 0, 1]),
        "propensity": np.full(4, 0.5),
        "target": np.full((4, 2), 0.5),
        "table": np.full((4, 2), 0.25),
        "reward": None,
    }
    given |= {name: np.asarray(each) for name, each in change.items()}
    log = log_of(*(given[name] for name in ("customer", "creative", "click", "propensity")))
    with pytest.raises(ValueError, match=said):
        off_policy.evaluate_policy(log, given["target"], given["table"], reward=given["reward"])


def test_reward_tables_know_their_customers():
    context = np.zeros((4, 1))
    with pytest.raises(ValueError, match="customer is out of range in 1 of 2 rows"):
        off_policy.reward_table(context, 2, [0, 10**12], [0, 1], [1.0, 0.0])
    with pytest.raises(ValueError, match="ad is out of range"):
        off_policy.reward_table(context, 2, [0, 1], [0, 2], [1.0, 0.0])
    with pytest.raises(ValueError, match="all numbers of the log are even, or all odd"):
        off_policy.reward_table(context, 2, [0, 2], [0, 1], [1.0, 0.0])


def test_weights_of_any_size_have_an_effective_size():
    weight = np.array([3.0, 1])
    for unit in (1e-200, 1e200):
        assert off_policy.effective_sample_size(unit * weight) == pytest.approx(1.6)


@pytest.mark.parametrize("campaign", ["men", "women"])
def test_values_of_the_open_bandit_sample(campaign):
    """The random log's value of itself is its click rate; the interval holds the other log's."""
    folder = Path(os.environ.get("PM_DATA", "")) / "open_bandit"
    if not os.environ.get("PM_DATA") or not (folder / "random" / campaign).is_dir():
        pytest.skip("PM_DATA names no folder with open_bandit")
    columns = ["item_id", "position", "click", "propensity_score"]
    old, new = (
        pd.read_csv(folder / name / campaign / f"{campaign}.csv", usecols=columns)
        for name in ("random", "bts")
    )
    assert (len(old), len(new)) == (10_000, 10_000)
    shares = pd.crosstab(new["position"], new["item_id"], normalize="index")
    shares = shares.reindex(columns=range(old["item_id"].max() + 1), fill_value=0.0)
    chance = shares.to_numpy()[old["position"] - 1, old["item_id"]]
    weight = chance / old["propensity_score"].to_numpy()
    rows = old["click"].to_numpy(), weight, np.arange(len(old))
    found = [off_policy.inverse_propensity(*rows), off_policy.self_normalised(*rows)]
    truth = new["click"].mean()
    published = {"men": (0.180, 0.168, 2869), "women": (0.262, 0.268, 3492)}[campaign]
    for one, error in zip(found, published[:2], strict=True):
        assert abs(one.value / truth - 1) == pytest.approx(error, abs=6e-4)
        assert one.effective_size == pytest.approx(published[2], abs=1)
        assert one.covers(truth)
        assert one.support == 1
