"""A planted leak is found, and no leak is not."""

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.proportion import proportions_ztest

from pm_utils.market import ImpressionLog
from pm_utils.measurement import bottlenecks


def test_lost_profit_by_hand():
    now = np.array([1000.0, 100, 50, 10, 200])
    before = np.array([1000.0, 200, 100, 20, 400])
    # rates 0.1, 0.5, 0.2 now and 0.2, 0.5, 0.2 before; 20 dollars per order
    assert bottlenecks.lost_profit(now, before).tolist() == pytest.approx([200, 0, 0])
    assert bottlenecks.lost_profit(before, now).tolist() == pytest.approx([-200, 0, 0])


def test_a_stage_that_nobody_reached_loses_nothing_known():
    dead = np.array([1000.0, 0, 0, 0, 0])
    before = np.array([1000.0, 200, 100, 20, 400])
    assert bottlenecks.lost_profit(dead, before).tolist() == [
        400,
        0,
        0,
    ]  # the outage is at the click
    assert bottlenecks.lost_profit(before, dead).tolist() == pytest.approx([-400, 0, 0])


def test_customers_with_equal_numbers_share_a_segment():
    customers = pd.DataFrame(
        {"orders_per_week": [1.0, 1, 1, 2, 3, 4], "discount_share": [0.0, 0, 0, 0, 0.1, 0.2]}
    )
    segment, _ = bottlenecks.market_segments(customers)
    assert segment.tolist() == [0, 0, 0, 2, 5, 5]
    order = [3, 0, 5, 1, 4, 2]
    assert (bottlenecks.market_segments(customers.iloc[order])[0] == segment[order]).all()


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"groups": np.ones((20, 2))}, "groups does not sum to 1"),
        ({"groups": np.ones((20, 1))}, "groups has shape"),
        ({"now": np.full((20, 5), np.nan)}, "now is not finite"),
        ({"now": np.ones((20, 4))}, r"give \(N, 5\)"),
        ({"repeats": 1}, "two repeats or more"),
        ({"alpha": 5}, "alpha is 5"),
    ],
)
def test_a_report_that_cannot_be_is_refused(change, said):
    given = {
        "now": np.tile([100, 10, 8, 4, 80], (20, 1)),
        "before": np.tile([100, 10, 8, 4, 80], (20, 1)),
        "groups": np.repeat(np.eye(2), 10, axis=0),
        "repeats": 5,
    }
    with pytest.raises(ValueError, match=said):
        bottlenecks.bottlenecks(**(given | change), names=["new", "old"], seed=0)


@pytest.mark.parametrize("margin", [np.nan, 30])
def test_a_margin_is_a_share_of_the_price(margin):
    log = SimpleNamespace(creative=np.array([0]), order_value=np.array([9.0]))
    with pytest.raises(ValueError, match="margin is"):
        bottlenecks.order_profit(log, np.array([0.1]), margin)


def test_segments_and_ads_are_called_by_number():
    n, zero = 6, np.zeros(6)
    none, who, ad = np.zeros(n, bool), np.arange(n) % 3, np.arange(n) % 2
    log = ImpressionLog(who, ad, zero, zero + 0.5, ~none, none, none, zero + 9.0, zero)
    profit, segment = np.arange(6.0), pd.Series([0, 1, 1])
    sums, groups = bottlenecks.stage_sums(log, profit, segment)
    again = bottlenecks.stage_sums(log, pd.Series(profit)[::-1], segment[::-1])
    np.testing.assert_array_equal(again[0], sums)
    np.testing.assert_array_equal(again[1], groups)
    ones = bottlenecks.stage_sums(log, profit, segment, weight=np.ones(6))
    np.testing.assert_array_equal(ones[0], sums)
    only = bottlenecks.stage_sums(log, profit, segment, weight=pd.Series([1.0, 0, 0, 0, 0, 0]))
    assert only[0].sum(0).tolist() == [1, 1, 0, 0, profit[0]]
    with pytest.raises(ValueError, match="weight has 2 rows for 6 impressions"):
        bottlenecks.stage_sums(log, profit, segment, weight=np.ones(2))
    discount = pd.Series([0.1, 0.2])
    np.testing.assert_array_equal(
        bottlenecks.order_profit(log, discount[::-1], 0.3),
        bottlenecks.order_profit(log, discount.to_numpy(), 0.3),
    )
    with pytest.raises(ValueError, match="segment has no row 0"):
        bottlenecks.stage_sums(log, profit, segment.set_axis(list("abc")))
    with pytest.raises(ValueError, match="profit has no row 0"):
        bottlenecks.stage_sums(log, pd.Series(profit, list("abcdef")), segment)
    with pytest.raises(ValueError, match="profit has 5 rows for 6 impressions"):
        bottlenecks.stage_sums(log, profit[:5], segment)
    with pytest.raises(ValueError, match="discount has no row 0"):
        bottlenecks.order_profit(log, discount.set_axis(["tea", "rice"]), 0.3)


def test_an_earlier_log_is_weighted_to_the_ads_of_a_later_one():
    def shown(ads):
        zero, none = np.zeros(len(ads)), np.zeros(len(ads), bool)
        who = np.zeros(len(ads), int)
        return ImpressionLog(who, np.array(ads), zero, zero + 0.5, none, none, none, zero, zero)

    before, now = shown([0, 0, 0, 1, 2, 2]), shown([0, 1, 1, 2])
    weight = bottlenecks.weights_for_the_ads_of(now, before)
    share = np.bincount(before.creative, weight) / weight.sum()
    assert share.tolist() == pytest.approx([1 / 4, 1 / 2, 1 / 4])
    assert weight.mean() == pytest.approx(1)
    with pytest.raises(ValueError, match="ad 1 is not in the earlier log"):
        bottlenecks.weights_for_the_ads_of(now, shown([0, 2]))


def test_a_fall_is_tested_as_two_proportions_are():
    rng = np.random.default_rng(0)
    shown = np.full(4000, 50)
    # one customer a row and all alike: the textbook's test of independent rows
    before, now = (
        np.column_stack([shown, rng.binomial(shown, p), *np.zeros((3, 4000), int)]).astype(float)
        for p in (0.10, 0.098)
    )
    p = bottlenecks._p_values_of_falls(now[:, None], before[:, None])[0]
    hits, tries = [before[:, 1].sum(), now[:, 1].sum()], [before[:, 0].sum(), now[:, 0].sum()]
    _, textbook = proportions_ztest(hits, tries, alternative="larger")
    assert p[0] == pytest.approx(textbook, rel=0.15)
    assert (p[1:] >= 0.5).all()  # nobody visited: nothing has fallen


def test_falls_without_a_cause_are_seldom_found():
    rng, found = np.random.default_rng(1), []
    taste = rng.beta(1, 9, 600)
    groups = np.eye(3)[np.arange(600) % 3]
    for _ in range(200):
        logs = []
        for _ in range(2):
            shown = rng.poisson(80, 600)
            clicks = rng.binomial(shown, taste)
            visits = rng.binomial(clicks, 0.8)
            orders = rng.binomial(visits, 0.3)
            logs.append(np.column_stack([shown, clicks, visits, orders, 9.0 * orders]))
        report = bottlenecks.bottlenecks(*logs, groups, list("abc"), repeats=2, seed=0)
        found.append(bottlenecks.largest_proven_fall(report) is not None)
    assert 0.01 < np.mean(found) < 0.1


def test_holms_method_is_that_of_statsmodels():
    rng = np.random.default_rng(0)
    for _ in range(50):
        p = rng.random(18) ** 4
        assert (bottlenecks._holm(p, 0.05) == multipletests(p, 0.05, method="holm")[0]).all()
