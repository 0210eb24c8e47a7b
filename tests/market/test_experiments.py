"""Experiments: random assignment, potential outcomes, and uplift by formula and by simulation."""

from dataclasses import replace

import numpy as np
import pytest

from pm_utils.market import EpsilonGreedy, TruthParameters, Uniform, fixed
from pm_utils.market.experiments import OUTCOMES
from tests.support.market_world import mean_z, small_market

M = 200
LOUD = replace(TruthParameters(), click_base=-1.0, order_base=-1.5, annoyance=0.01)
MARKET = small_market(6000, truth=LOUD)  # ads that work, and annoy, enough to be seen in a test
BEST = EpsilonGreedy(MARKET.click_table.argmax(1), M)
WHO = np.arange(MARKET.n_customers)


@pytest.fixture(scope="module")
def trials():
    return [MARKET.experiment(BEST, impressions=6, days=10, trial=k) for k in range(8)]


def test_the_observed_is_the_potential_outcome_of_ones_arm(trials):
    for name in OUTCOMES:
        for arm, side in ((True, "with"), (False, "without")):
            mine = trials[0][trials[0]["treated"] == arm]
            assert (mine[name] == mine[f"{name}_{side}"]).all()


def test_those_held_out_see_no_ads(trials):
    held = trials[0][~trials[0]["treated"]]
    assert (held["creative"] == -1).all()
    assert (held[["clicks", "conversions"]] == 0).all(axis=None)
    assert held["orders"].sum() > 0  # organic orders come without any ad
    treated = trials[0][trials[0]["treated"]]
    assert (treated["creative"] == BEST.best[treated["customer"]]).all()
    assert treated["conversions"].sum() > 0


@pytest.mark.parametrize("outcome", OUTCOMES)
def test_uplift_is_the_mean_difference_of_potential_outcomes(trials, outcome):
    uplift = MARKET.true_uplift(WHO, BEST.best, outcome=outcome, impressions=6, days=10)
    gap = np.mean(
        [t[f"{outcome}_with"].astype(float) - t[f"{outcome}_without"] for t in trials], axis=0
    )
    assert abs(mean_z(gap - uplift, 0.0)) < 4
    assert abs(mean_z(gap, 0.0)) > 8  # and it is not nothing
    high = uplift > np.median(uplift)
    for half in (high, ~high):
        assert abs(mean_z(gap[half] - uplift[half], 0.0)) < 4


@pytest.mark.parametrize("outcome", OUTCOMES)
def test_the_difference_between_arms_estimates_the_uplift(trials, outcome):
    truth = MARKET.true_uplift(WHO, BEST.best, outcome=outcome, impressions=6, days=10).mean()
    estimates, errors = [], []
    for trial in trials:
        one, two = (trial.loc[trial["treated"] == arm, outcome].astype(float) for arm in (1, 0))
        estimates.append(one.mean() - two.mean())
        errors.append(np.hypot(one.sem(), two.sem()))
    assert abs(np.sum(np.array(estimates) - truth)) / np.sqrt(np.sum(np.square(errors))) < 4


def test_the_quiet_market_agrees_too():
    market = small_market(4000)
    policy = EpsilonGreedy(market.click_table.argmax(1), M)
    who, gaps = np.arange(4000), np.zeros((20, 4000))
    for k in range(20):
        trial = market.experiment(policy, impressions=10, trial=k)
        gaps[k] = trial["orders_with"] - trial["orders_without"]
    uplift = market.true_uplift(who, policy.best, outcome="orders", impressions=10)
    assert abs(mean_z(gaps.mean(0) - uplift, 0.0)) < 4
    assert uplift.mean() > 0


def test_nobody_is_paid_to_order():
    trial = MARKET.experiment(BEST, impressions=4)
    assert trial["spend_with"].min() >= 0
    some = trial["orders_with"] > 0
    assert (trial["spend_with"] > 0)[some].all()
    assert (trial["spend_with"] == 0)[~some].all()


def test_treatment_is_a_coin_that_knows_nothing(trials):
    share = MARKET.experiment(BEST, treated=0.3)["treated"].mean()
    assert share == pytest.approx(0.3, abs=5 * np.sqrt(0.21 / 6000))
    for trial in trials:
        before = [trial["orders_without"], MARKET.customers["orders_per_week"]]
        for column in before:
            assert abs(np.corrcoef(trial["treated"], column)[0, 1]) < 5 / np.sqrt(6000)


def test_propensities_are_of_what_happened():
    trial = MARKET.experiment(Uniform(M), treated=0.25)
    assert (trial.loc[trial["treated"], "propensity"] - 0.25 / M).abs().max() < 1e-7
    assert (trial.loc[~trial["treated"], "propensity"] == 0.75).all()


def test_a_customer_fares_the_same_in_any_batch(trials):
    some = np.array([4000, 17, 256])
    alone = MARKET.experiment(BEST, impressions=6, days=10, customers=some)
    together = trials[0].iloc[some].reset_index(drop=True)
    assert alone.equals(together)


def test_another_trial_is_another_experiment(trials):
    assert (trials[0]["treated"] == trials[1]["treated"]).mean() == pytest.approx(0.5, abs=0.05)
    assert (trials[0]["orders"] == trials[1]["orders"]).mean() < 0.9
    assert trials[0].equals(MARKET.experiment(BEST, impressions=6, days=10))


def test_no_impressions_change_nothing():
    trial = MARKET.experiment(BEST, impressions=0)
    for name in OUTCOMES:
        assert (trial[f"{name}_with"] == trial[f"{name}_without"]).all()
        uplift = MARKET.true_uplift(WHO, BEST.best, outcome=name, impressions=0)
        assert np.abs(uplift).max() < 1e-12


def test_the_uplift_of_one_impression_by_hand():
    market, who, ad, days = MARKET, np.array([33]), np.array([12]), 14
    truth, hidden = market.truth, market.truth_of_customers
    before = hidden.order_rate[33] * 2
    after = before * np.exp(-hidden.annoyance[33])
    order = market.click_probability(who, ad) * market.conversion_probability(who, ad)
    order = order * (1 - np.exp(-days / market.mean_delay(who, ad)))
    kept = 1 - truth.displacement * (1 - np.exp(-after))
    value, off = hidden.order_value[33], market.promoted_discount[12]
    profit = truth.margin * value * (after - before - 0) - truth.impression_cost
    profit += order * value * (truth.margin * kept - off)
    assert market.true_uplift(who, ad) == pytest.approx(profit)
    orders = market.true_uplift(who, ad, outcome="orders")
    assert orders == pytest.approx(after - before + order * kept)
    bought = market.true_uplift(who, ad, outcome="bought")
    assert bought == pytest.approx(np.exp(-before) - np.exp(-after) * (1 - order))


def test_some_gain_by_ads_and_some_lose():
    market = small_market(4000)
    ads = np.arange(M)
    profit = market.true_uplift(np.arange(4000)[:, None], ads, days=14)
    assert profit.shape == (4000, M)
    assert 0.3 < (profit.max(1) > 0).mean() < 0.98
    sleeping = market.true_uplift(np.arange(4000), profit.argmax(1), outcome="orders") < 0
    assert 0 < sleeping.mean() < 0.5  # left alone, they order more
    assert market.truth_of_customers.price_sensitivity[sleeping].mean() < 0.3


def test_a_flight_has_falling_returns():
    ad = fixed(3, 6000, M)
    few, more, many = (
        MARKET.true_uplift(WHO, ad.best, outcome="bought", impressions=k).mean() for k in (1, 2, 20)
    )
    assert more < 2 * few
    assert many < 20 * few


def test_a_longer_window_counts_more_late_orders():
    quiet = small_market(1000, truth=replace(TruthParameters(), annoyance=0.0, displacement=0.0))
    who, ad = np.arange(1000), np.full(1000, 5)
    uplift = [quiet.true_uplift(who, ad, outcome="orders", days=d) for d in (1, 7, 30, 1000)]
    assert (np.diff(uplift, axis=0) > 0).all()
    whole = quiet.click_probability(who, ad) * quiet.conversion_probability(who, ad)
    np.testing.assert_allclose(uplift[-1], whole, rtol=1e-6)


@pytest.mark.parametrize("days", [0.5, 2, 7])
def test_orders_after_the_window_do_not_count(days):
    slow = small_market(8000, truth=replace(LOUD, delay_base=6.0))
    policy = EpsilonGreedy(slow.click_table.argmax(1), M)
    who = np.arange(8000)
    trial = slow.experiment(policy, treated=1.0, impressions=2, days=days)
    probability = slow.click_probability(who, policy.best) * (1 + np.exp(-LOUD.fatigue))
    probability = probability * slow.conversion_probability(who, policy.best)
    counted = probability * (1 - np.exp(-days / slow.mean_delay(who, policy.best)))
    assert abs(mean_z(trial["conversions"] - counted, 0)) < 4
    assert abs(mean_z(trial["conversions"] - probability, 0)) > 4
    gap = trial["spend_with"] - trial["spend_without"]
    uplift = slow.true_uplift(who, policy.best, outcome="spend", impressions=2, days=days)
    assert abs(mean_z(gap - uplift, 0)) < 4


def test_a_defect_lowers_the_uplift():
    who, ad = np.arange(300), np.full(300, 5)
    broken = MARKET.with_defect("order", np.arange(100), 0.0)
    was = MARKET.true_uplift(who, ad, outcome="bought", impressions=2)
    now = broken.true_uplift(who, ad, outcome="bought", impressions=2)
    assert (now[:100] < 0).all()  # ads that sell nothing only annoy
    assert (now[100:] == was[100:]).all()
    trial = broken.experiment(BEST, treated=1.0, impressions=5)
    assert trial.loc[:99, "conversions"].sum() == 0 < trial.loc[:99, "clicks"].sum()


def test_displacement_takes_from_those_who_order_anyway():
    with_it, without = (
        small_market(2000, truth=replace(LOUD, annoyance=0.0, displacement=x)) for x in (0.5, 0.0)
    )
    who, ad = np.arange(2000), np.full(2000, 5)
    kept = with_it.true_uplift(who, ad, outcome="orders") / without.true_uplift(
        who, ad, outcome="orders"
    )
    rate = with_it.truth_of_customers.order_rate
    np.testing.assert_allclose(kept, 1 - 0.5 * (1 - np.exp(-2 * rate)), rtol=1e-6)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: MARKET.experiment(BEST, treated=1.5), "treated is 1.5"),
        (lambda: MARKET.experiment(BEST, days=0), "days is 0"),
        (lambda: MARKET.experiment(BEST, impressions=-1), "impressions is -1"),
        (lambda: MARKET.experiment(BEST, customers=[6000]), "customers is out of range"),
        (lambda: MARKET.experiment(Uniform(3)), "chooses among 3 ads"),
        (lambda: MARKET.true_uplift([0], [0], outcome="joy"), "outcome is 'joy'"),
        (lambda: MARKET.true_uplift([0], [-1]), "creative is out of range"),
    ],
)
def test_bad_input_is_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()
