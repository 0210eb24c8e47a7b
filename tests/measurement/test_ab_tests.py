"""Tests of tests: sizes, two variants, group sizes, early looks, CUPED."""

import os
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from statsmodels.stats.proportion import proportions_ztest
from statsmodels.stats.weightstats import CompareMeans

from pm_utils.measurement import ab_tests, sequential
from pm_utils.measurement.rates import wilson

# The counts of the Hillstrom e-mail experiment: customers, visits and conversions of each arm.
NONE, MEN, WOMEN = (21306, 2262, 122), (21307, 3894, 267), (21387, 3238, 189)


@pytest.fixture(scope="module")
def alarm() -> dict[str, np.ndarray]:
    """Tests without an effect, looked at a hundred times."""
    return ab_tests.peeking(100, runs=20_000, seed=1)


# --- Power -------------------------------------------------------------------------------


def test_the_size_of_a_test_solves_the_equation_of_its_power():
    rate, lift = 0.04, 0.1
    apart = 2 * np.arcsin(np.sqrt(rate * (1 + lift))) - 2 * np.arcsin(np.sqrt(rate))
    by_hand = 2 * ((stats.norm.ppf(0.975) + stats.norm.ppf(0.8)) / apart) ** 2
    assert ab_tests.sample_size(rate, lift) == pytest.approx(by_hand, rel=1e-4)
    assert ab_tests.power(rate, lift, by_hand) == pytest.approx(0.8, abs=1e-4)


def test_half_the_lift_needs_about_four_times_the_customers():
    ratio = ab_tests.sample_size(0.04, 0.05) / ab_tests.sample_size(0.04, 0.1)
    assert 3.8 < ratio < 4.2


def test_more_power_and_fewer_false_alarms_cost_customers():
    base = ab_tests.sample_size(0.04, 0.1)
    assert ab_tests.sample_size(0.04, 0.1, power=0.9) > 1.3 * base
    assert ab_tests.sample_size(0.04, 0.1, alpha=0.01) > 1.4 * base


@pytest.mark.parametrize("customers", [5_000, 20_000, 60_000])
def test_simulated_power_is_the_computed_one(customers):
    rng = np.random.default_rng(0)
    found = ab_tests.simulated_power(0.04, 0.1, customers, runs=8000, rng=rng)
    assert found == pytest.approx(float(ab_tests.power(0.04, 0.1, customers)), abs=0.02)


def test_without_a_lift_the_power_is_the_false_alarms():
    rng = np.random.default_rng(0)
    assert ab_tests.simulated_power(0.04, 0, 5000, runs=20_000, rng=rng) == pytest.approx(
        0.05, abs=0.006
    )


# --- Two variants --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arm", "lift", "low", "high"), [(MEN, 7.66, 7.00, 8.32), (WOMEN, 4.52, 3.89, 5.16)]
)
def test_published_visit_lifts_of_hillstrom(arm, lift, low, high):
    found = ab_tests.two_proportions((NONE[1], arm[1]), (NONE[0], arm[0]))
    per_cent = 100 * np.array([found.difference, found.low, found.high])
    assert per_cent == pytest.approx([lift, low, high], abs=0.0051)
    assert found.p_value < 1e-40


@pytest.mark.parametrize(("arm", "lift"), [(MEN, 0.681), (WOMEN, 0.311)])
def test_published_conversion_lifts_of_hillstrom(arm, lift):
    found = ab_tests.two_proportions((NONE[2], arm[2]), (NONE[0], arm[0]))
    assert 100 * found.difference == pytest.approx(lift, abs=0.0006)
    assert found.low > 0
    assert found.p_value < 1e-3


def test_the_z_test_by_hand():
    found = ab_tests.two_proportions((40, 60), (1000, 1000))
    pooled = 0.05
    z = 0.02 / np.sqrt(pooled * (1 - pooled) * 2 / 1000)
    assert found.p_value == pytest.approx(2 * stats.norm.sf(z))
    half = 1.959964 * np.sqrt((0.04 * 0.96 + 0.06 * 0.94) / 1000)
    assert (found.low, found.high) == pytest.approx((0.02 - half, 0.02 + half), rel=1e-5)


def test_swapped_variants_swap_the_sign():
    one = ab_tests.two_proportions((40, 60), (1000, 900))
    other = ab_tests.two_proportions((60, 40), (900, 1000))
    assert other.difference == pytest.approx(-one.difference)
    assert other.p_value == pytest.approx(one.p_value)
    assert (other.low, other.high) == pytest.approx((-one.high, -one.low))


def test_one_impression_each_makes_ratios_of_proportions():
    rng = np.random.default_rng(0)
    second = np.arange(4000) < 2000
    click = rng.random(4000) < np.where(second, 0.08, 0.05)
    groups = [click[~second].sum(), click[second].sum()], [2000, 2000]
    by_row, by_customer = (
        ab_tests.two_proportions(*groups),
        ab_tests.two_ratios(click, np.ones(4000), second),
    )
    assert by_customer.difference == pytest.approx(by_row.difference)
    assert by_customer.low == pytest.approx(by_row.low, abs=1e-5)
    assert by_customer.high == pytest.approx(by_row.high, abs=1e-5)
    by_mean = ab_tests.two_means(click, second)
    assert vars(by_customer) == pytest.approx(vars(by_mean))


def test_rows_repeated_within_customers_do_not_narrow_the_interval():
    """Ten copies of each customer's row are no news; an interval by rows believes them."""
    rng = np.random.default_rng(0)
    second, click = np.arange(2000) < 1000, rng.random(2000) < 0.1
    once = ab_tests.two_ratios(click, np.ones(2000), second)
    copied = ab_tests.two_ratios(10 * click, np.full(2000, 10), second)
    assert copied == once
    groups = [10 * click[~second].sum(), 10 * click[second].sum()], [10_000, 10_000]
    rows = ab_tests.two_proportions(*groups)
    assert (once.high - once.low) / (rows.high - rows.low) == pytest.approx(np.sqrt(10), rel=0.01)


def test_ratios_do_not_weigh_customers_alike():
    part, whole = np.array([1, 0, 8, 0]), np.array([1, 9, 10, 10])
    second = np.array([False, False, True, True])
    found = ab_tests.two_ratios(part, whole, second)
    assert found.difference == pytest.approx(8 / 20 - 1 / 10)
    first = ((1 - 0.1) ** 2 + (0 - 0.9) ** 2) / 100
    other = ((8 - 4) ** 2 + (0 - 4) ** 2) / 400
    first, other = 2 * first, 2 * other  # K / (K - 1) of two customers
    degrees = (first + other) ** 2 / (first**2 + other**2)
    half = stats.t.ppf(0.975, degrees) * np.sqrt(first + other)
    assert found.high - found.difference == pytest.approx(half)


def test_means_are_compared_as_statsmodels_does():
    rng = np.random.default_rng(0)
    second = np.arange(500) < 200
    outcome = rng.normal(np.where(second, 1.0, 0.7), np.where(second, 2.0, 1.0))
    found = ab_tests.two_means(outcome, second)
    compare = CompareMeans.from_data(outcome[second], outcome[~second])
    low, high = compare.tconfint_diff(usevar="unequal")
    assert (found.low, found.high) == pytest.approx((low, high))
    assert found.p_value == pytest.approx(compare.ttest_ind(usevar="unequal")[1])


def test_customers_who_differ_raise_false_alarms_by_row_only():
    rng = np.random.default_rng(0)
    probability = rng.beta(0.5, 8, size=1500)
    clicks = rng.binomial(40, probability)
    found = ab_tests.false_alarms(clicks, np.full(1500, 40), runs=600, rng=rng)
    assert found["impressions"] > 0.25
    assert found["customers"] == pytest.approx(0.05, abs=0.027)


def test_false_alarms_are_those_of_the_two_tests():
    rng = np.random.default_rng(2)
    shown = rng.integers(1, 60, size=200)
    clicks = rng.binomial(shown, rng.beta(0.5, 4, size=200))
    found = ab_tests.false_alarms(clicks, shown, runs=150, rng=np.random.default_rng(3))
    halves = ab_tests.random_halves(200, draws=150, rng=np.random.default_rng(3)).astype(bool)
    rows = [[[each[g].sum() for g in (~half, half)] for each in (clicks, shown)] for half in halves]
    by_row = [ab_tests.two_proportions(*row).p_value < 0.05 for row in rows]
    by_customer = [ab_tests.two_ratios(clicks, shown, half).p_value < 0.05 for half in halves]
    assert found == {"impressions": np.mean(by_row), "customers": np.mean(by_customer)}


def test_customers_who_are_alike_raise_none():
    rng = np.random.default_rng(1)
    clicks = rng.binomial(40, 0.05, size=1500)
    found = ab_tests.false_alarms(clicks, np.full(1500, 40), runs=600, rng=rng)
    assert found["impressions"] == pytest.approx(0.05, abs=0.027)
    assert found["customers"] == pytest.approx(0.05, abs=0.027)


# --- Group sizes ---------------------------------------------------------------------------


def test_group_sizes_by_hand():
    assert ab_tests.sample_ratio((500, 500), (0.5, 0.5)) == 1
    statistic = 2 * 50**2 / 1000
    expected = stats.chi2.sf(statistic, df=1)
    assert ab_tests.sample_ratio((1050, 950), (0.5, 0.5)) == pytest.approx(expected)
    assert ab_tests.sample_ratio((300, 700), (0.3, 0.7)) == 1


def test_hillstrom_split_as_planned_and_a_lost_hundredth_shows():
    sizes = NONE[0], MEN[0], WOMEN[0]
    assert ab_tests.sample_ratio(sizes, (1 / 3,) * 3) > 0.5
    assert ab_tests.sample_ratio((sizes[0], sizes[1], sizes[2] - 900), (1 / 3,) * 3) < 1e-3


# --- Looking early ---------------------------------------------------------------------------


def test_published_false_alarms_of_peeking(alarm):
    published = {1: 0.049, 5: 0.142, 10: 0.191, 20: 0.250, 100: 0.371}
    for looks, share in published.items():
        assert alarm["fixed"][looks - 1] == pytest.approx(share, abs=0.012), looks


def test_one_look_holds_its_rate_whenever_it_comes(alarm):
    assert alarm["once"] == pytest.approx(np.full(100, 0.05), abs=0.008)
    assert alarm["once"][0] == alarm["fixed"][0]


def test_always_valid_holds_its_rate_at_any_number_of_looks():
    found = ab_tests.peeking(1000, runs=4000, seed=2)["always valid"]
    assert found[-1] <= 0.05
    assert found[-1] == pytest.approx(0.029, abs=0.009)  # published for 1,000 looks
    assert (np.diff(found) >= 0).all()


@pytest.mark.parametrize("tau2", [0.01, 0.1, 10.0])
def test_always_valid_holds_for_any_mixture(tau2):
    found = ab_tests.peeking(200, runs=8000, seed=3, tau2=tau2)["always valid"]
    assert 0 < found[-1] <= 0.05 + 0.005


def test_an_effect_is_found_in_the_end():
    found = ab_tests.peeking(300, runs=1000, seed=4, effect=0.35)["always valid"]
    assert found[-1] > 0.99
    assert found[9] < 0.2


@pytest.mark.parametrize("effect", [0.0, 0.35])
def test_planned_looks_call_as_often_as_their_boundaries_promise(effect):
    planned = np.arange(13, 66, 13)
    found = ab_tests.peeking(70, runs=20_000, seed=5, effect=effect, planned=planned)
    for shape in sequential.SHAPES:
        drift = effect * np.sqrt(13)  # of a sum of unit variance per planned look
        bounds = sequential.boundaries(5, shape=shape)
        promised = sequential.crossing_probabilities(bounds, drift=drift)
        assert found[shape][planned - 1] == pytest.approx(promised, abs=0.012), shape
        assert found[shape][11] == 0  # before the first planned look nobody looks
        assert found[shape][69] == found[shape][64]  # after the last one neither


@pytest.mark.parametrize("planned", [(13, 27), (0, 13), (13, 26, 80), (5, 15, 25)])
def test_looks_that_are_no_plan_are_named(planned):
    with pytest.raises(ValueError, match="planned"):
        ab_tests.peeking(70, runs=10, seed=0, planned=planned)


def test_chunks_do_not_matter():
    whole = ab_tests.peeking(10, runs=100, seed=0, chunk=100)
    parts = ab_tests.peeking(10, runs=100, seed=0, chunk=7)
    assert all(np.allclose(whole[name], parts[name]) for name in whole)


def test_the_mixture_ratio_is_the_integral_it_stands_for():
    total, n, tau2 = 7.0, 12, 0.3
    effects, step = np.linspace(-8, 8, 40_001, retstep=True)
    likelihood = np.exp(effects * total - n * effects**2 / 2)
    by_hand = (likelihood * stats.norm.pdf(effects, scale=np.sqrt(tau2))).sum() * step
    assert ab_tests.mixture_sprt(total, n, tau2=tau2) == pytest.approx(by_hand, rel=1e-6)


def test_the_mixture_ratio_is_a_fair_game():
    """Its mean over the next increment is its value now."""
    increment, step = np.linspace(-12, 12, 24_001, retstep=True)
    weight = stats.norm.pdf(increment) * step
    for total, n in ((0.0, 0), (3.0, 4), (-6.0, 9)):
        after = (weight * ab_tests.mixture_sprt(total + increment, n + 1)).sum()
        assert after == pytest.approx(float(ab_tests.mixture_sprt(total, n)), rel=1e-6)


@given(st.lists(st.floats(0.01, 100), min_size=1, max_size=20))
def test_always_valid_p_never_rises(ratios):
    p = ab_tests.always_valid_p(np.array(ratios))
    assert (np.diff(p) <= 0).all()
    assert p[0] == min(1, 1 / ratios[0])
    assert p[-1] == pytest.approx(min(1, 1 / max(ratios)))


# --- CUPED -------------------------------------------------------------------------------------


def correlated(rho: float, n: int = 4000, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    x = rng.normal(size=n)
    return 5 + 3 * (rho * x + np.sqrt(1 - rho**2) * rng.normal(size=n)), 10 + 2 * x


@pytest.mark.parametrize("rho", [0.0, 0.5, -0.9])
def test_cuped_keeps_the_mean_and_leaves_the_promised_variance(rho):
    y, x = correlated(rho)
    adjusted = ab_tests.cuped(y, x)
    assert adjusted.mean() == pytest.approx(y.mean())
    promised = 1 - np.corrcoef(x, y)[0, 1] ** 2
    assert adjusted.var() / y.var() == pytest.approx(promised, abs=1e-12)
    assert np.corrcoef(adjusted, x)[0, 1] == pytest.approx(0, abs=1e-9)


def test_cuped_takes_all_that_is_known():
    x = np.array([1.0, 2.0, 4.0])
    assert ab_tests.cuped(3 * x + 1, x) == pytest.approx(np.full(3, 8.0))


def test_variance_of_an_effect_falls_as_promised():
    y, x = correlated(0.8, n=1500)
    noise = np.random.default_rng(9).normal(size=1500)
    found = ab_tests.variance_ratios(
        y, {"known": x, "noise": noise}, draws=1500, rng=np.random.default_rng(2)
    )
    assert isinstance(found, pd.DataFrame)
    assert found.loc["known", "promised"] == pytest.approx(0.36, abs=0.03)
    assert found.loc["noise", "promised"] > 0.99
    assert found["measured"].to_numpy() == pytest.approx(found["promised"].to_numpy(), rel=0.1)


def test_a_real_effect_survives_cuped_and_a_late_covariate_kills_it():
    y, x = correlated(0.9)
    second = np.random.default_rng(3).random(len(y)) < 0.5
    treated = y + 0.5 * second
    before = ab_tests.two_means(treated, second)
    after = ab_tests.two_means(ab_tests.cuped(treated, x), second)
    assert after.low < 0.5 < after.high
    assert (after.high - after.low) / (before.high - before.low) == pytest.approx(0.44, abs=0.04)
    late = ab_tests.two_means(ab_tests.cuped(treated, treated + x), second)
    assert late.high < 0.4


def test_placebo_effects_have_mean_zero_and_the_variance_of_the_textbook():
    y, _ = correlated(0.0, n=1000)
    effects = ab_tests.placebo_effects(y, draws=4000, rng=np.random.default_rng(0))
    assert effects.shape == (4000,)
    assert effects.mean() == pytest.approx(0, abs=4 * effects.std() / np.sqrt(4000))
    assert effects.var() == pytest.approx(4 * y.var(ddof=1) / 1000, rel=0.1)


def test_placebo_splits_are_the_same_for_every_column():
    y, _ = correlated(0.0, n=100)
    both = ab_tests.placebo_effects(
        np.column_stack([y, 2 * y]), draws=50, rng=np.random.default_rng(0)
    )
    assert both[:, 1] == pytest.approx(2 * both[:, 0], rel=1e-4)


# --- What users bring ------------------------------------------------------------------------


def test_groups_as_0_and_1_are_those_of_booleans():
    rng = np.random.default_rng(0)
    outcome, second = np.r_[rng.normal(10, 1, 500), rng.normal(12, 1, 500)], np.repeat([0, 1], 500)
    clicks, shown = rng.binomial(20, 0.05, 1000), np.full(1000, 20)
    for kind in (int, float, object, np.uint8):
        groups = second.astype(kind)
        assert ab_tests.two_means(outcome, groups) == ab_tests.two_means(outcome, second == 1)
        found = ab_tests.two_ratios(clicks, shown, groups)
        assert found == ab_tests.two_ratios(clicks, shown, second == 1)
    assert ab_tests.two_means(outcome, second).difference == pytest.approx(1.96, abs=0.1)
    with pytest.raises(ValueError, match="second holds 1, 2: give 0 and 1"):
        ab_tests.two_means(outcome, second + 1)
    with pytest.raises(ValueError, match="0 of 1,000 customers got the second variant"):
        ab_tests.two_means(outcome, np.zeros(1000))


@pytest.mark.parametrize("n", [5, 10, 30])
def test_few_customers_raise_no_more_false_alarms_than_many(n):
    rng = np.random.default_rng(n)
    second, runs = np.arange(2 * n) < n, 1500
    alarms = np.mean(
        [ab_tests.two_means(rng.normal(size=2 * n), second).p_value < 0.05 for _ in range(runs)]
    )
    assert alarms < 0.05 + 2.5 * np.sqrt(0.05 * 0.95 / runs)


def test_welch_is_scipys_and_its_moments_suffice():
    rng = np.random.default_rng(0)
    first, other = rng.exponential(size=7), 3 * rng.exponential(size=5)
    expected = stats.ttest_ind(other, first, equal_var=False)
    found = ab_tests.two_means(np.r_[first, other], np.repeat([0, 1], [7, 5]))
    low, high = expected.confidence_interval()
    assert found.p_value == pytest.approx(expected.pvalue)
    assert (found.low, found.high) == pytest.approx((low, high))
    moments = [(f(first), f(other)) for f in (np.mean, lambda x: np.var(x, ddof=1), len)]
    assert vars(ab_tests.two_means_from_moments(*moments)) == pytest.approx(vars(found))


def test_a_unit_of_money_changes_no_p_value():
    rng = np.random.default_rng(0)
    spent, second = rng.exponential(size=40), np.arange(40) % 2
    one = ab_tests.two_means(spent, second)
    for unit in (1e-120, 1e6, 1e120):
        found = ab_tests.two_means(unit * spent, second)
        assert found.p_value == pytest.approx(one.p_value)
        assert found.low == pytest.approx(unit * one.low)


def test_an_outcome_that_nowhere_varies():
    assert ab_tests.two_means(np.zeros(6), np.arange(6) % 2).p_value == 1
    with pytest.raises(ValueError, match="the same for everybody in each group"):
        ab_tests.two_means(np.arange(6) % 2, np.arange(6) % 2)
    with pytest.raises(ValueError, match="the same for everybody"):
        ab_tests.two_means_from_moments((1, 2), (0, 0), (9, 9))


def test_moments_that_cannot_be_are_refused():
    for moments, said in (
        (((1, 2, 3), (1, 1, 1), (9, 9, 9)), "3 means, 3 variances, 3 counts"),
        (((1, 2), (1, -1), (9, 9)), "variance is out of range"),
        (((1, 2), (1, 1), (9, 1)), "customers is out of range"),
    ):
        with pytest.raises(ValueError, match=said):
            ab_tests.two_means_from_moments(*moments)


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: ab_tests.two_proportions((150, 100), (100, 100)), "150 clicks of 100 customers"),
        (lambda: ab_tests.two_proportions((0, 0), (0, 100)), "nobody got variant 0"),
        (lambda: ab_tests.two_proportions((1, 2, 3), (9, 9, 9)), "3 variants: give two"),
        (lambda: ab_tests.two_proportions((1.5, 2), (9, 9)), "clicks is not whole"),
        (lambda: ab_tests.sample_size(0.6, 1.0), "takes the rate from 0.6 to 1.2"),
        (lambda: ab_tests.sample_size(4, 0.1), "rate is 4: give a share between 0 and 1"),
        (lambda: ab_tests.sample_size(0.1, 0), "lift is 0"),
        (lambda: ab_tests.power(0, 0.1, 100), "rate is 0"),
        (lambda: ab_tests.sample_ratio((50, 50), (50, 50)), "planned sums to 100"),
        (lambda: ab_tests.sample_ratio((50, 50), (0.3, 0.3, 0.4)), "give as many of each"),
        (lambda: ab_tests.sample_ratio((0, 0), (0.5, 0.5)), "0 customers in 2"),
    ],
)
def test_counts_and_rates_that_cannot_be_are_named(call, said):
    with pytest.raises(ValueError, match=said):
        call()


def test_where_nobody_or_everybody_clicked_nothing_differs():
    for clicks in ((0, 0), (100, 100)):
        found = ab_tests.two_proportions(clicks, (100, 100))
        assert (found.difference, found.p_value) == (0, 1)
        assert np.isfinite([found.low, found.high]).all()


@pytest.mark.parametrize(("clicks", "customers"), [((0, 5), (5, 5)), ((1, 5), (8, 8))])
def test_few_customers_are_compared_by_fisher_and_newcombe(clicks, customers):
    found = ab_tests.two_proportions(clicks, customers)
    misses = np.subtract(customers, clicks)
    assert found.p_value == stats.fisher_exact([clicks, misses]).pvalue
    shares = np.divide(clicks, customers)
    (low, high), (other_low, other_high) = (
        wilson(hits, tries) for hits, tries in zip(clicks, customers, strict=True)
    )
    below = np.hypot(shares[1] - other_low, high - shares[0])
    above = np.hypot(other_high - shares[1], shares[0] - low)
    assert found.low == pytest.approx(found.difference - below)
    assert found.high == pytest.approx(found.difference + above)
    swapped = ab_tests.two_proportions(clicks[::-1], customers[::-1])
    assert swapped.p_value == pytest.approx(found.p_value)
    assert (swapped.low, swapped.high) == pytest.approx((-found.high, -found.low))


def test_five_expected_clicks_and_misses_are_many():
    for clicks in ((4, 6), (196, 194)):
        found = ab_tests.two_proportions(clicks, (200, 200))
        assert found.p_value == proportions_ztest(clicks, (200, 200))[1]
    found = ab_tests.two_proportions((3, 6), (200, 200))
    assert found.p_value == stats.fisher_exact([[3, 6], [197, 194]]).pvalue


@pytest.mark.parametrize("value", [0.1, 1.0, 1 / 3, 1e9 + 0.1])
def test_outcomes_that_vary_in_neither_group_are_refused_whatever_their_rounding(value):
    second = np.repeat([0, 1], 3)
    outcome = np.where(second, 3 * value, value)
    with pytest.raises(ValueError, match="there is no variance"):
        ab_tests.two_means(outcome, second)
    seen = np.array([1.0, 3, 7, 2, 5, 9])
    with pytest.raises(ValueError, match="there is no variance"):
        ab_tests.two_ratios(outcome * seen, seen, second)
    same = [ab_tests.two_means(np.full(6, value), second)]
    same.append(ab_tests.two_ratios(value * seen, seen, second))
    assert {one.p_value for one in same} == {1.0}


def test_a_level_does_not_move_placebo_effects():
    y, x = correlated(0.8, n=200)
    rng = [np.random.default_rng(0) for _ in range(4)]
    effects = [
        ab_tests.placebo_effects(y + a, draws=50, rng=rng[i]) for i, a in enumerate((0, 1e9))
    ]
    np.testing.assert_allclose(effects[1], effects[0], atol=1e-5)
    ratios = [
        ab_tests.variance_ratios(y + a, {"x": x}, draws=50, rng=rng[2 + i])["measured"].item()
        for i, a in enumerate((0, 1e9))
    ]
    assert ratios[1] == pytest.approx(ratios[0], rel=1e-4)


def test_what_is_adjusted_meets_its_customers_again():
    rng, n = np.random.default_rng(0), 200
    who, second, before = [f"c{i}" for i in range(n)], np.arange(n) % 2, rng.normal(size=n)
    outcome = 3 * second + before
    shuffled = pd.Series(outcome, who).sample(frac=1, random_state=1)
    group, known = pd.Series(second, who), pd.Series(before, who)
    adjusted = ab_tests.cuped(shuffled, known)
    assert adjusted.index.equals(shuffled.index)
    expected = ab_tests.two_means(ab_tests.cuped(outcome, before), second)
    assert vars(ab_tests.two_means(adjusted, group)) == pytest.approx(vars(expected))
    assert isinstance(ab_tests.cuped(outcome, before), np.ndarray)


@pytest.mark.parametrize("alpha", [5, np.nan, 0])
def test_an_error_rate_is_a_share(alpha):
    with pytest.raises(ValueError, match="alpha"):
        ab_tests.power(0.05, 0.1, 100, alpha=alpha)
    with pytest.raises(ValueError, match="alpha"):
        ab_tests.sample_size(0.05, 0.1, alpha=alpha)


def test_counts_of_billions_are_no_matter():
    found = ab_tests.two_proportions((3 * 10**9, 3 * 10**9), (10**11, 10**11))
    assert found.p_value == pytest.approx(1)
    assert found.high - found.low == pytest.approx(2 * 1.96 * np.sqrt(2 * 0.03 * 0.97 / 1e11), 1e-3)


def test_a_covariate_that_is_the_same_for_all_takes_nothing():
    spent = np.arange(5.0)
    assert ab_tests.cuped(spent, np.full(5, 0.1)).tolist() == spent.tolist()
    with pytest.raises(ValueError, match="covariate is not finite in 1 of 5 rows, first row 0"):
        ab_tests.cuped(spent, [np.nan, 1, 2, 3, 4])


def test_a_likelihood_ratio_beyond_all_numbers_is_a_number():
    ratio = ab_tests.mixture_sprt(np.array([1e6]), 100)
    assert np.isfinite(ratio).all()
    assert 0 <= ab_tests.always_valid_p(ratio)[0] < 1e-200
    assert ab_tests.always_valid_p([0.0, 2.0]).tolist() == [1.0, 0.5]


# --- Published tables --------------------------------------------------------------------------

DATA = Path(os.environ.get("PM_DATA", "")) if os.environ.get("PM_DATA") else None


def data(name: str) -> pd.DataFrame:
    """A table of the folder that PM_DATA names."""
    if DATA is None or not (DATA / name).is_file():
        pytest.skip(f"PM_DATA names no folder with {name}")
    return pd.read_csv(DATA / name)


@pytest.fixture(scope="module")
def hillstrom():
    return data("hillstrom/hillstrom.csv")


@pytest.mark.parametrize(
    ("outcome", "arm", "published"),
    [
        ("visit", "Mens E-Mail", 7.66),
        ("visit", "Womens E-Mail", 4.52),
        ("conversion", "Mens E-Mail", 0.681),
        ("conversion", "Womens E-Mail", 0.311),
        ("spend", "Mens E-Mail", 77.0),
        ("spend", "Womens E-Mail", 42.4),
    ],
)
def test_lifts_of_the_hillstrom_file(hillstrom, outcome, arm, published):
    """Points of visits and conversions, cents of spend, against no e-mail."""
    two = hillstrom[hillstrom["segment"].isin(["No E-Mail", arm])]
    found = ab_tests.two_means(two[outcome], two["segment"] == arm)
    assert 100 * found.difference == pytest.approx(published, abs=0.06 if published > 10 else 0.006)
    expected = stats.ttest_ind(
        *(two.loc[two["segment"] == name, outcome] for name in (arm, "No E-Mail")), equal_var=False
    )
    assert found.p_value == pytest.approx(expected.pvalue, rel=1e-6)


def test_intervals_of_spend_and_group_sizes_of_the_hillstrom_file(hillstrom):
    for arm, low, high in (("Mens E-Mail", 0.485, 1.055), ("Womens E-Mail", 0.169, 0.680)):
        two = hillstrom[hillstrom["segment"].isin(["No E-Mail", arm])]
        found = ab_tests.two_means(two["spend"], two["segment"] == arm)
        assert (found.low, found.high) == pytest.approx((low, high), abs=6e-4)
    sizes = hillstrom["segment"].value_counts().tolist()
    assert ab_tests.sample_ratio(sizes, (1 / 3, 1 / 3, 1 / 3)) == pytest.approx(0.904, abs=5e-4)


def test_shares_of_the_asos_experiments_that_look_significant():
    """78 experiments by moments: at the last look, at any look, and with always-valid p-values."""
    table = data("asos/asos_digital_experiments_dataset.csv").sort_values("time_since_start")
    key = ["experiment_id", "variant_id", "metric_id"]
    error = np.sqrt(table["variance_c"] / table["count_c"] + table["variance_t"] / table["count_t"])
    table = table.assign(z=(table["mean_t"] - table["mean_c"]) / error).dropna(subset="z")
    last = table.groupby(key).tail(1)
    assert table["experiment_id"].nunique() == 78
    assert len(last) == 381

    def p_value(row) -> float:
        pairs = ((row[f"{name}_c"], row[f"{name}_t"]) for name in ("mean", "variance", "count"))
        return ab_tests.two_means_from_moments(*pairs).p_value

    p_last = np.array([p_value(row) for row in last.to_dict("records")])
    assert (p_last < 0.05).mean() == pytest.approx(0.276, abs=6e-4)
    groups = table.groupby(key)["z"]
    assert (groups.apply(lambda each: each.abs().max()) > 1.96).mean() == pytest.approx(
        0.591, abs=6e-4
    )
    valid = []
    for each in (group.to_numpy() for _, group in groups):
        look = np.arange(1, len(each) + 1)  # information in units of looks
        ratio = ab_tests.mixture_sprt(each * np.sqrt(look), look, tau2=0.1)
        valid.append(ab_tests.always_valid_p(ratio)[-1])
    assert 0.24 < (np.array(valid) < 0.05).mean() < 0.29  # far below the share at any look
