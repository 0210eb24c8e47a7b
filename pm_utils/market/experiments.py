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

from collections.abc import Callable

import numpy as np
import pandas as pd

from pm_utils.inputs import like, numbers, whole_numbers
from pm_utils.market._checks import known_codes, rows_by_index
from pm_utils.market._draws import PER_CUSTOMER, ad_order_prices, organic_value
from pm_utils.market.logging_policies import Policy, as_policy
from pm_utils.market.randomness import exponential, poisson, stream_key, uniform

EXPERIMENT_STREAM = 4
OUTCOMES = ("orders", "bought", "spend", "profit")
_ASSIGN, _CHOOSE, _ORGANIC, _ORGANIC_VALUE, _CLICK, _CONVERT, _DELAY, _DISPLACE, _AD_VALUE = range(
    9
)


def run_experiment(
    market,
    policy: Policy | Callable,
    *,
    treated: float,
    impressions: int,
    days: float,
    trial: int,
    customers: np.ndarray,
) -> pd.DataFrame:
    """Run a randomised experiment; see `Market.experiment`.

    Raises
    ------
    ValueError
        When the probability lies outside [0, 1], the flight or the window cannot be, or a customer
        is none of the market's.
    """
    if not 0 <= treated <= 1:
        raise ValueError(f"treated is {treated}: give a probability")
    check_flight(impressions, days)
    policy = as_policy(policy, len(market.creatives))
    truth, hidden = market.truth, market.truth_of_customers
    who = known_codes(customers, "customers", market.n_customers)
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

    Raises
    ------
    ValueError
        When a customer or an ad is none of the market's, or the flight or the window cannot be.
    """
    check_flight(impressions, days)
    given = who, creative = rows_by_index(customer=who, creative=creative)
    who = known_codes(who, "customer", market.n_customers)
    creative = known_codes(creative, "creative", len(market.creatives))
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
    found = {
        "orders": organic - without + conversions * incremental_share,
        "bought": np.exp(-without) - np.exp(-organic) * no_conversion,
        "spend": gross + conversions * value * (incremental_share - discount),
        "profit": truth.margin * gross
        + conversions * value * (truth.margin * incremental_share - discount)
        - cost,
    }
    return {name: like(values, *given) for name, values in found.items()}


def check_flight(impressions: int, days: float) -> None:
    """Refuse a flight of too many impressions, or a window that is none.

    Raises
    ------
    ValueError
        When the impressions are not whole or not from 0 to below `PER_CUSTOMER`, or the days are
        not finite or not above 0.

    Examples
    --------
    >>> from pm_utils.market.experiments import check_flight
    >>> check_flight(impressions=3, days=0)
    Traceback (most recent call last):
    ValueError: days is 0: give more than 0
    """
    if not 0 <= impressions < PER_CUSTOMER:
        raise ValueError(f"impressions is {impressions}: give 0 to {PER_CUSTOMER - 1}")
    whole_numbers(impressions, "impressions"), numbers(days, "days")
    if days <= 0:
        raise ValueError(f"days is {days}: give more than 0")
