r"""The market week by week: organic orders, fatigue, orders that come late, customers who leave.

One `step` is one week: each customer gets some impressions of one ad or none; fatigue meets the
ads; organic orders and earlier ads' orders come in; some customers leave; fatigue fades.

The lifetime value under a policy that never changes follows without simulation. Fatigue runs the
same course for all, ``F_0 = 0``, ``G_t = F_t + k``, ``F_{t+1} = ρ G_t``, so with γ the discount
factor of a week and π(c | i) the policy

.. math::
    \text{LTV}_i = \sum_t \gamma^t S_{it} \Big[ m V_i \lambda_i e^{-a_i G_t}
      - k \, \text{cost} + e^{-\phi F_t} \frac{1 - e^{-\phi k}}{1 - e^{-\phi}} \sum_c \pi(c | i)
      P_{ic}(\text{conversion}) V_i (m r_{it} - \pi d_c) \Delta_{ic} \Big]

.. math::
    S_{i,t+1} = S_{it} (1 - h_i e^{\kappa G_t}), \quad
    r_{it} = 1 - \chi (1 - e^{-\lambda_i e^{-a_i G_t}}), \quad
    \Delta_{ic} = \sum_{l < L} \gamma^l P(\text{the order comes } l \text{ weeks late})

The sum without end is closed by a geometric series once G no longer changes.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from pm_utils.inputs import booleans, like, numbers, probabilities, whole_numbers
from pm_utils.market._checks import by_number, known_codes
from pm_utils.market._draws import PER_CUSTOMER, ad_order_prices, organic_value
from pm_utils.market.experiments import check_flight
from pm_utils.market.logging_policies import Policy, as_policy
from pm_utils.market.randomness import exponential, poisson, stream_key, uniform

WEEK_STREAM = 5
ORDER_WEEKS = 4  # an ad's order comes in the week of the click or at most ORDER_WEEKS - 1 later
_ORGANIC, _ORGANIC_VALUE, _CLICK, _CONVERT, _DELAY, _DISPLACE, _AD_VALUE, _LEAVE = range(8)


@dataclass(frozen=True, eq=False)
class MarketState:
    """Where N customers stand at the start of a week.

    Attributes
    ----------
    week : int
    alive : (N,) bool
        Who has not left.
    fatigue : (N,) float64
    pending : (N, ORDER_WEEKS, 3) float64
        Orders, dollars and profit due from earlier clicks in this week and the next ones.

    Raises
    ------
    ValueError
        When the arrays differ in customers, it is neither 0 nor 1 who has not left, a fatigue is
        negative, or a number is not finite.
    """

    week: int
    alive: np.ndarray
    fatigue: np.ndarray
    pending: np.ndarray

    def __post_init__(self) -> None:
        """Check once what the next week will read."""
        whole_numbers(self.week, "week")
        checked = {
            "alive": booleans(by_number(self.alive, "alive"), "alive"),
            "fatigue": numbers(by_number(self.fatigue, "fatigue"), "fatigue", low=0, ndim=1),
            "pending": numbers(self.pending, "pending", ndim=3),
        }
        if len({len(part) for part in checked.values()}) > 1:
            told = ", ".join(f"{name} {len(part):,}" for name, part in checked.items())
            raise ValueError(f"{told} customers: give as many of each")
        for name, part in checked.items():
            object.__setattr__(self, name, part)


@dataclass(frozen=True, eq=False)
class WeekOutcome:
    """What a week brought, by customer; arrays of shape (N,).

    Attributes
    ----------
    impressions, clicks, conversions : int64
        Ads shown this week, and what was clicked and thereupon bought, now or later.
    organic_orders : int64
    ad_orders : float64
        Incremental orders from this and earlier weeks' ads that came in.
    spend, cost, profit : float64
        Dollars: paid by the customer, for impressions, and margin less discounts less cost. The
        discount on an order that an ad displaced is booked when the ad's order would have come.
    """

    impressions: np.ndarray
    clicks: np.ndarray
    conversions: np.ndarray
    organic_orders: np.ndarray
    ad_orders: np.ndarray
    spend: np.ndarray
    cost: np.ndarray
    profit: np.ndarray


def rested_state(n_customers: int) -> MarketState:
    """Return the state in which everybody is there and nobody has seen an ad."""
    n_customers = int(whole_numbers(n_customers, "n_customers", low=1))
    return MarketState(
        week=0,
        alive=np.ones(n_customers, bool),
        fatigue=np.zeros(n_customers),
        pending=np.zeros((n_customers, ORDER_WEEKS, 3)),
    )


def advance(
    market, state: MarketState, creative: np.ndarray, impressions: np.ndarray
) -> tuple[MarketState, WeekOutcome]:
    """Play one week; see `Market.step`.

    Raises
    ------
    ValueError
        When the state is of another number of customers, there is not one ad for each, or an ad or
        a number of impressions cannot be.
    KeyError
        When pandas' rows are not those of the customers.
    """
    creative = by_number(creative, "creative")
    creative = known_codes(creative, "creative", len(market.creatives), low=-1)
    if creative.shape != (market.n_customers,) or len(state.alive) != market.n_customers:
        raise ValueError(
            f"creative has shape {creative.shape}, the state {len(state.alive):,} customers: give "
            f"one ad per customer, {market.n_customers:,}"
        )
    impressions = known_codes(by_number(impressions, "impressions"), "impressions", PER_CUSTOMER)
    impressions = np.broadcast_to(impressions, creative.shape)
    truth, hidden = market.truth, market.truth_of_customers
    keys = [stream_key(market.seed, WEEK_STREAM, state.week, name) for name in range(8)]
    everyone = np.arange(market.n_customers)
    shown = np.where(state.alive & (creative >= 0), impressions, 0)
    strain = state.fatigue + shown
    rate = hidden.order_rate * np.exp(-hidden.annoyance * strain) * state.alive
    organic = poisson(rate, uniform(keys[_ORGANIC], everyone))
    pending, clicks, conversions = state.pending.copy(), *np.zeros((2, len(everyone)), np.int64)
    for j in range(int(shown.max(initial=0))):
        who = np.flatnonzero(shown > j)
        clicked, rows, late = _impression(market, who, creative[who], state.fatigue[who], j, keys)
        clicks[who] += clicked
        conversions[rows] += 1
        coin = uniform(keys[_DISPLACE], rows * PER_CUSTOMER + j)
        incremental = (organic[rows] == 0) | (coin >= truth.displacement)
        price = ad_order_prices(
            hidden, rows, j, ~incremental, keys[_AD_VALUE], keys[_ORGANIC_VALUE]
        )
        discount = market.promoted_discount[creative[rows]]
        pending[rows, late, 0] += incremental
        pending[rows, late, 1] += price * (incremental - discount)
        pending[rows, late, 2] += price * (truth.margin * incremental - discount)
    organic_spend = organic_value(hidden, everyone, organic, keys[_ORGANIC_VALUE])
    cost = truth.impression_cost * shown
    outcome = WeekOutcome(
        impressions=shown,
        clicks=clicks,
        conversions=conversions,
        organic_orders=organic,
        ad_orders=pending[:, 0, 0],
        spend=organic_spend + pending[:, 0, 1],
        cost=cost,
        profit=truth.margin * organic_spend + pending[:, 0, 2] - cost,
    )
    leaving = np.minimum(hidden.leaving * np.exp(truth.leaving_fatigue * strain), 1)
    stays = uniform(keys[_LEAVE], everyone) >= leaving
    later = np.concatenate([pending[:, 1:], np.zeros_like(pending[:, :1])], axis=1)
    state = MarketState(state.week + 1, state.alive & stays, truth.retention * strain, later)
    return state, outcome


def _impression(market, who, creative, fatigue, j, keys):
    """Show a week's j-th ad to some customers.

    Returns who of them clicked, the customers who ordered, and how many weeks late they do.
    """
    probability = market.click_probability(who, creative, fatigue=fatigue + j)
    clicked = uniform(keys[_CLICK], who * PER_CUSTOMER + j) < probability
    rows, creative = who[clicked], creative[clicked]
    convert = market.conversion_probability(rows, creative)
    bought = uniform(keys[_CONVERT], rows * PER_CUSTOMER + j) < convert
    rows, creative = rows[bought], creative[bought]
    days = market.mean_delay(rows, creative) * exponential(keys[_DELAY], rows * PER_CUSTOMER + j)
    return clicked, rows, np.minimum(days / 7, ORDER_WEEKS - 1).astype(np.int64)


def expected_lifetime_value(
    market,
    policy: Policy | Callable | None,
    *,
    impressions: int,
    discount_factor: float,
    weeks: int | None,
    customers: np.ndarray,
) -> np.ndarray:
    """Return the lifetime value by the module's formula; see `Market.lifetime_value`.

    Raises
    ------
    ValueError
        When the discount factor or the weeks are out of range, the impressions cannot be, or a
        customer is none of the market's.
    """
    if not 0 < discount_factor <= 1:
        raise ValueError(f"discount_factor is {discount_factor}: give one in (0, 1]")
    if weeks is not None and weeks < 1:
        raise ValueError(f"weeks is {weeks}: give at least 1, or None for no end")
    weeks = None if weeks is None else int(whole_numbers(weeks, "weeks"))
    check_flight(impressions, 7)
    given, customers = customers, known_codes(customers, "customers", market.n_customers)
    policy = None if policy is None else as_policy(policy, len(market.creatives))
    truth, hidden = market.truth, market.truth_of_customers
    k = 0 if policy is None else impressions
    gain, loss = _ad_value(market, policy, discount_factor, customers) if k else (0.0, 0.0)
    value, rate = hidden.order_value[customers], hidden.order_rate[customers]
    decay = np.exp(-truth.fatigue)
    total, alive, fatigue, weight = np.zeros(len(customers)), np.ones(len(customers)), 0.0, 1.0
    for _ in range(_settled(truth.retention, k) if weeks is None else weeks):
        strain = fatigue + k
        organic = rate * np.exp(-hidden.annoyance[customers] * strain)
        incremental_share = 1 - truth.displacement * (1 - np.exp(-organic))
        seen = decay**fatigue * (1 - decay**k) / (1 - decay) if truth.fatigue else float(k)
        week = truth.margin * value * organic - truth.impression_cost * k
        week = week + seen * value * (truth.margin * incremental_share * gain - loss)
        leaving = np.minimum(hidden.leaving[customers] * np.exp(truth.leaving_fatigue * strain), 1)
        total += weight * alive * week
        alive, weight = alive * (1 - leaving), weight * discount_factor
        fatigue = truth.retention * strain
    if weeks is None:
        total += weight * alive * week / (1 - discount_factor * (1 - leaving))
    return like(total, given)


def _settled(retention: float, impressions: int) -> int:
    """Return after how many weeks fatigue is within 1e-9 of where it ends."""
    if impressions == 0 or retention == 0:
        return 2
    return int(np.ceil(np.log(1e-9 / impressions) / np.log(retention))) + 2


def _ad_value(market, policy: Policy, discount_factor: float, customers: np.ndarray):
    """Return Σ_c π P(conversion) Δ and Σ_c π P(conversion) Δ (promoted discount) → (B,), (B,)."""
    gain, loss = np.empty(len(customers)), np.empty(len(customers))
    ads = np.arange(len(market.creatives))
    for first in range(0, len(customers), 2048):
        rows = slice(first, first + 2048)
        who = customers[rows, None]
        orders = policy.probabilities(customers[rows]) * market.click_probability(who, ads)
        orders = orders * market.conversion_probability(who, ads)
        orders *= lateness(market.mean_delay(who, ads), discount_factor)
        gain[rows], loss[rows] = orders.sum(1), orders @ market.promoted_discount
    return gain, loss


def lateness(delay: np.ndarray, discount_factor: float) -> np.ndarray:
    """Return the mean of γ^l where l = min(whole weeks of an exponential delay, ORDER_WEEKS - 1).

    Raises
    ------
    ValueError
        When a delay is not finite or not above 0, or the factor lies outside [0, 1].

    Examples
    --------
    >>> import numpy as np
    >>> from pm_utils.market.dynamics import lateness
    >>> lateness(np.array([0.1, 1e6]), 0.9).round(3)  # at once; in the last week, 0.9 ** 3
    array([1.   , 0.729])
    """
    probabilities(discount_factor, "discount_factor")
    given, delay = delay, numbers(delay, "delay", above=0)
    tail = np.exp(-7 / delay)
    weeks = np.arange(ORDER_WEEKS - 1)
    on_time = ((discount_factor * tail[..., None]) ** weeks).sum(-1) * (1 - tail)
    return like(on_time + (discount_factor * tail) ** (ORDER_WEEKS - 1), given)
