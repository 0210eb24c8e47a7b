"""Impressions go where the next one is worth most."""

from itertools import product

import numpy as np
import pandas as pd
import pytest

from pm_utils.loop.campaign import Log
from pm_utils.loop.planner import (
    Prices,
    allocate_impressions,
    cannibalisation_rate,
    later_cost,
    spread_evenly,
)
from pm_utils.market import TruthParameters
from tests.support.market_world import small_market


def best_by_trying(gain, fatigue, cost, *, fatigue_effect, frequency_cap, budget) -> float:
    """The largest worth of any plan."""
    j = np.arange(frequency_cap)
    best = 0.0
    for counts in product(range(frequency_cap + 1), repeat=len(gain)):
        if sum(counts) <= budget:
            worth = [
                (g * np.exp(-fatigue_effect * (f + j[:k])) - c).sum()
                for g, f, c, k in zip(gain, fatigue, cost, counts, strict=True)
            ]
            best = max(best, sum(worth))
    return best


@pytest.mark.parametrize("seed", range(6))
def test_no_plan_is_worth_more(seed):
    rng = np.random.default_rng(seed)
    gain, fatigue, cost = rng.normal(0.05, 0.05, 4), rng.uniform(0, 9, 4), rng.uniform(0, 0.05, 4)
    rules = {"fatigue_effect": 0.2, "frequency_cap": 3, "budget": int(rng.integers(0, 9))}
    counts = allocate_impressions(gain, fatigue, cost=cost, **rules)
    j = np.arange(3)
    got = sum(
        (g * np.exp(-0.2 * (f + j[:k])) - c).sum()
        for g, f, c, k in zip(gain, fatigue, cost, counts, strict=True)
    )
    assert counts.sum() <= rules["budget"]
    assert got == pytest.approx(best_by_trying(gain, fatigue, cost, **rules))


def test_equal_customers_cannot_break_the_budget():
    counts = allocate_impressions(
        np.ones(10), np.zeros(10), fatigue_effect=0.0, cost=0.1, frequency_cap=4, budget=7
    )
    assert counts.sum() == 7


def test_the_tired_wait_and_the_forbidden_get_nothing():
    gain, tired = np.array([1.0, 1.0, -np.inf]), np.array([0.0, 8.0, 0.0])
    rules = {"fatigue_effect": 0.1, "frequency_cap": 4, "budget": 4}
    assert allocate_impressions(gain, tired, cost=0.0, **rules).tolist() == [4, 0, 0]
    assert allocate_impressions(gain, tired, cost=2.0, **rules).sum() == 0


def test_spread_is_even_and_spends_everything():
    able = np.array([True, True, False, True])
    counts = spread_evenly(able, 7, np.random.default_rng(0))
    assert counts.sum() == 7
    assert counts[2] == 0
    assert set(counts[able]) == {2, 3}


@pytest.mark.parametrize("leaving", [0.0, 0.01])
def test_what_an_impression_costs_later_is_the_slope_of_the_truth(leaving):
    truth = TruthParameters(annoyance=0.01, leaving_fatigue=leaving)
    market = small_market(200, truth=truth)
    c, t = market.truth_of_customers, market.truth
    lost, tired = 0.0, 1e-4
    for week in range(6):
        organic = t.margin * c.order_value * c.order_rate
        lost = lost + organic * (1 - np.exp(-c.annoyance * tired))
        left = sum((1 - c.leaving) ** later for later in range(5 - week))
        lost = lost + organic * left * c.leaving * np.expm1(leaving * tired)
        tired *= t.retention
    assert later_cost(market, 6) == pytest.approx(lost / 1e-4, rel=1e-3)


def made_up_log(displaced: float, *, n: int = 20_000, drift: float = 1.0) -> tuple[Log, np.ndarray]:
    """Three rounds of one week in which orders after clicks displace others as told."""
    rng = np.random.default_rng(0)
    rate, treated = rng.gamma(2, 0.5, n), rng.random(n) < 0.8
    log = Log(treated, 1)
    for _ in range(3):
        who = np.flatnonzero(treated & (rng.random(n) < 0.3))
        organic = rng.poisson(rate * drift)
        instead = (organic[who] > 0) & (rng.random(len(who)) < displaced)
        log.shown.append({"customer": who, "conversions": np.ones(len(who), int)})
        orders = organic.astype(float)
        orders[who] += ~instead
        log.orders.append(orders)
    return log, rate


@pytest.mark.parametrize("share", [0.0, 0.5, 0.9])
@pytest.mark.parametrize("drift", [1.0, 1.3])
def test_displacement_is_found_whatever_the_season(share, drift):
    log, rate = made_up_log(share, drift=drift)
    assert cannibalisation_rate(log, rate) == pytest.approx(share, abs=0.09)


def test_orders_to_come_are_no_displaced_orders():
    """All orders of the clicks come a week late; none takes the place of another."""
    rng, n = np.random.default_rng(0), 20_000
    rate, treated = rng.gamma(2, 0.5, n), rng.random(n) < 0.8
    log, due = Log(treated, 1), np.zeros(n)
    for _ in range(2):
        who = np.flatnonzero(treated & (rng.random(n) < 0.3))
        one = np.ones(len(who), int)
        late = np.column_stack([one, 0 * one, 0 * one])
        log.shown.append({"customer": who, "conversions": one, "late": late})
        log.orders.append(rng.poisson(rate) + due)
        due = np.zeros(n)
        due[who] = 1
    assert cannibalisation_rate(log, rate) == pytest.approx(0, abs=0.09)
    assert cannibalisation_rate(log, rate, foresight=True) > 0.5


def test_without_a_log_nothing_is_displaced():
    assert cannibalisation_rate(Log(np.ones(5, bool), 1), np.ones(5)) == 0


# --- Inputs ---------------------------------------------------------------------------------------


def test_plans_refuse_what_is_no_number():
    rules = {"fatigue_effect": 0.1, "cost": 0.1, "frequency_cap": 3, "budget": 3}
    gain, fatigue = np.ones(3), np.zeros(3)
    for changes, told in (
        ({"gain": np.array([1, np.nan, 1])}, "gain is not finite in 1 of 3 rows, first row 1"),
        ({"gain": np.array([1, np.inf, 1])}, "gain is not finite"),
        ({"fatigue": np.array([0, 0, np.nan])}, "fatigue is not finite"),
        ({"fatigue": np.zeros(2)}, "fatigue 2"),
        ({"cost": np.array([0.1, np.nan, 0.1])}, "cost is not finite"),
        ({"budget": -1}, "budget is out of range"),
        ({"budget": 1.5}, "budget is not whole"),
    ):
        with pytest.raises(ValueError, match=told):
            allocate_impressions(**({"gain": gain, "fatigue": fatigue} | rules | changes))
    with pytest.raises(ValueError, match="eligible holds 1, 2"):
        spread_evenly(np.array([1, 2]), 3, np.random.default_rng(0))
    assert spread_evenly(np.zeros(3), 3, np.random.default_rng(0)).tolist() == [0, 0, 0]
    with pytest.raises(ValueError, match="margin is out of range"):
        Prices(30, 0.3, 0.01)


def test_cannibalisation_needs_somebody_held_out():
    log = Log(np.ones(3, bool), weeks=1, orders=[np.ones(3)])
    log.shown.append({"customer": np.arange(3), "conversions": np.ones(3)})
    with pytest.raises(ValueError, match="all 3 customers are treated: nobody is held out"):
        cannibalisation_rate(log, np.ones(3))
    with pytest.raises(ValueError, match="rate is not finite"):
        cannibalisation_rate(log, np.array([1, np.nan, 1]))


def test_plans_match_customers_by_index():
    gain, labels = pd.Series([1.0, 0.0, 0.0], list("abc")), list("cba")
    rules = {"fatigue_effect": 1.0, "frequency_cap": 3, "budget": 3}
    cost = pd.Series([0.1, 0.1, 0.9], labels)
    fatigue = pd.Series([9.0, 9.0, 0.0], labels)
    assert allocate_impressions(gain, fatigue, cost=cost, **rules).tolist() == [1, 0, 0]
