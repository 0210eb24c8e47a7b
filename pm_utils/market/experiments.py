"""Randomised experiments with holdout, and the true uplift that they estimate.

A treated customer gets a flight of impressions of one ad, in the first position, at the start of a
window of some days. With G = impressions, w = days / 7 and the symbols of `TruthParameters`, the
expected uplift against no ad is exact:

- organic orders without and with the flight: ``m0 = λ w``, ``m1 = λ w exp(-a G)``;
- conversions in the window: ``C = Σ_j p_j``, ``p_j = P(click) exp(-φ j) P(conversion | click)
  P(delay <= days)``, j = 0 … G - 1;
- share of them that is incremental: ``r = 1 - χ (1 - exp(-m1))``;
- orders: ``m1 - m0 + C r``; bought at all: ``exp(-m0) - exp(-m1) Π_j (1 - p_j)``;
- spend, with V the mean order value: ``V (m1 - m0) + C V (r - π d)``;
- profit: ``m V (m1 - m0) + C V (m r - π d) - impression_cost G``.
"""

import numpy as np
import pandas as pd

from pm_utils.market.logging_policies import Policy
from pm_utils.market.randomness import exponential, poisson, stream_key, uniform
from pm_utils.market.truth import order_values

EXPERIMENT_STREAM = 4
PER_CUSTOMER = 1 << 12  # counters set aside for each customer: orders or impressions of a flight
OUTCOMES = ("orders", "bought", "spend", "profit")
_ASSIGN, _CHOOSE, _ORGANIC, _ORGANIC_VALUE, _CLICK, _CONVERT, _DELAY, _DISPLACE, _AD_VALUE = range(
    9
)


def organic_value(customers, who: np.ndarray, counts: np.ndarray, key: np.uint64) -> np.ndarray:
    """Return the dollars of each customer's first `counts` organic orders → (B,).

    The j-th order of a customer has the same value whatever the count, so that two potential
    outcomes differ by whole orders.
    """
    dollars = np.zeros(len(who))
    for j in range(int(counts.max(initial=0))):
        rows = np.flatnonzero(counts > j)
        u = uniform(key, who[rows] * PER_CUSTOMER + j)
        dollars[rows] += order_values(customers, who[rows], u)
    return dollars


def ad_order_prices(
    customers, who: np.ndarray, j: int, displaced: np.ndarray, key: np.uint64, organic: np.uint64
) -> np.ndarray:
    """Return list prices of the orders that the j-th ad brings → (B,).

    An order that takes the place of an organic one is the customer's first of the window.
    """
    fresh = uniform(key, who * PER_CUSTOMER + j)
    return order_values(
        customers, who, np.where(displaced, uniform(organic, who * PER_CUSTOMER), fresh)
    )


def run_experiment(
    market,
    policy: Policy,
    *,
    treated: float,
    impressions: int,
    days: float,
    trial: int,
    customers: np.ndarray,
) -> pd.DataFrame:
    """Run a randomised experiment; see `Market.experiment`."""
    truth, hidden, who = market.truth, market.truth_of_customers, customers
    keys = [stream_key(market.seed, EXPERIMENT_STREAM, trial, name) for name in range(9)]
    creative, propensity = policy.choose(who, uniform(keys[_CHOOSE], who).astype(np.float32))
    arm = uniform(keys[_ASSIGN], who) < treated
    rate = hidden.order_rate[who] * days / 7
    u = uniform(keys[_ORGANIC], who)
    organic = poisson(rate, u)
    annoyed = poisson(rate * np.exp(-hidden.annoyance[who] * impressions), u)
    organic_spend = organic_value(hidden, who, organic, keys[_ORGANIC_VALUE])
    annoyed_spend = organic_value(hidden, who, annoyed, keys[_ORGANIC_VALUE])
    flight = _flight(market, who, creative, impressions, days, annoyed > 0, keys)
    profit = truth.margin * annoyed_spend + flight["profit"] - truth.impression_cost * impressions
    potential = {
        "orders": (organic, annoyed + flight["incremental"]),
        "bought": (organic > 0, (annoyed > 0) | (flight["incremental"] > 0)),
        "spend": (organic_spend, annoyed_spend + flight["spend"]),
        "profit": (truth.margin * organic_spend, profit),
    }
    columns = {
        "customer": who,
        "treated": arm,
        "creative": np.where(arm, creative, -1),
        "propensity": np.where(arm, treated * propensity, 1 - treated),
        "clicks": np.where(arm, flight["clicks"], 0),
        "conversions": np.where(arm, flight["conversions"], 0),
    }
    columns |= {name: np.where(arm, *potential[name][::-1]) for name in OUTCOMES}
    columns |= {f"{name}_without": potential[name][0] for name in OUTCOMES}
    columns |= {f"{name}_with": potential[name][1] for name in OUTCOMES}
    return pd.DataFrame(columns)


def _flight(
    market, who: np.ndarray, creative: np.ndarray, impressions: int, days: float, has_organic, keys
) -> dict[str, np.ndarray]:
    """Return what a flight of impressions does within the window, by customer.

    `has_organic` (B,) says who has an organic order in the window that an ad's order may displace.
    """
    truth, hidden = market.truth, market.truth_of_customers
    click = market.click_probability(who, creative)
    convert, delay = market.conversion_probability(who, creative), market.mean_delay(who, creative)
    discount = market.promoted_discount[creative]
    names = ("clicks", "conversions", "incremental", "spend", "profit")
    total = {name: np.zeros(len(who)) for name in names}
    for j in range(impressions):
        counter = who * PER_CUSTOMER + j
        clicked = uniform(keys[_CLICK], counter) < click * np.exp(-truth.fatigue * j)
        ordered = clicked & (uniform(keys[_CONVERT], counter) < convert)
        ordered &= delay * exponential(keys[_DELAY], counter) <= days
        displaced = has_organic & (uniform(keys[_DISPLACE], counter) < truth.displacement)
        price = ad_order_prices(hidden, who, j, displaced, keys[_AD_VALUE], keys[_ORGANIC_VALUE])
        total["clicks"] += clicked
        total["conversions"] += ordered
        total["incremental"] += ordered & ~displaced
        total["spend"] += ordered * price * (~displaced - discount)
        total["profit"] += ordered * price * (truth.margin * ~displaced - discount)
    return total


def expected_uplift(
    market, who: np.ndarray, creative: np.ndarray, *, impressions: int, days: float
) -> dict[str, np.ndarray]:
    """Return the expected uplift of every outcome by the module's formulas.

    Parameters
    ----------
    market : Market
    who, creative : arrays that broadcast
        Customers and codes of ads.
    impressions : int
    days : float

    Returns
    -------
    dict of str to array
        By `OUTCOMES`.
    """
    truth, hidden = market.truth, market.truth_of_customers
    without = hidden.order_rate[who] * days / 7
    organic = without * np.exp(-hidden.annoyance[who] * impressions)
    in_time = 1 - np.exp(-days / market.mean_delay(who, creative))
    rested = market.click_probability(who, creative).astype(np.float64)
    rested = rested * market.conversion_probability(who, creative) * in_time
    by_impression = rested[..., None] * np.exp(-truth.fatigue * np.arange(impressions))
    conversions, no_conversion = by_impression.sum(-1), np.prod(1 - by_impression, axis=-1)
    incremental_share = 1 - truth.displacement * (1 - np.exp(-organic))
    value, discount = hidden.order_value[who], market.promoted_discount[creative]
    gross = value * (organic - without)
    cost = truth.impression_cost * impressions
    return {
        "orders": organic - without + conversions * incremental_share,
        "bought": np.exp(-without) - np.exp(-organic) * no_conversion,
        "spend": gross + conversions * value * (incremental_share - discount),
        "profit": truth.margin * gross
        + conversions * value * (truth.margin * incremental_share - discount)
        - cost,
    }
