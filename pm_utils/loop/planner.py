"""What an order and an impression are worth to the shop, and where impressions are spent."""

from dataclasses import dataclass

import numpy as np

from pm_utils.inputs import aligned, booleans, numbers, probabilities, whole_numbers
from pm_utils.loop.campaign import Log, weeks_there
from pm_utils.loop.customer_profiles import PurchaseSummary
from pm_utils.market import DISCOUNT_RATES, Market


@dataclass(frozen=True)
class Prices:
    """What the shop knows about its own money.

    Attributes
    ----------
    margin, promoted_share, cost : float
        Of an order at list price; share of an order that a discount is for; dollars a contact.

    Raises
    ------
    ValueError
        When a share lies outside [0, 1], or the cost is negative or not finite.
    """

    margin: float
    promoted_share: float
    cost: float

    def __post_init__(self) -> None:
        """Check the shares and the cost."""
        probabilities(self.margin, "margin")
        probabilities(self.promoted_share, "promoted_share")
        numbers(self.cost, "cost", low=0)

    @classmethod
    def of(cls, market: Market) -> "Prices":
        """Return the prices of a market."""
        truth = market.truth
        return cls(truth.margin, truth.promoted_share, truth.impression_cost)


def cannibalisation_rate(
    log: Log, rate: np.ndarray, *, prior: float = 0.5, foresight: bool = False
) -> float:
    r"""Estimate which share of ads' orders takes the place of an order that came anyway, χ.

    Per round, a customer with baseline λ̂ has orders y of any kind and c that followed a click. Both
    are counted when they come: what is still to come nobody knows. If an ad's order displaces one
    that comes anyway with probability χ, :math:`E[y - w b \hatλ - c] = -χ (1 - e^{-b \hatλ}) c`
    over w weeks; the holdout measures b, how far the baseline has moved for all. χ is the
    least-squares slope, shrunk to 0.

    Explained in chapter ``closed-loop``.

    Parameters
    ----------
    log : Log
    rate : array of shape (N,)
        λ̂ from the history.
    prior : float
        Standard deviation of χ around 0 before any data.
    foresight : bool
        Count c in the week of the click, orders to come among them, as no shop can: only to see
        what that would change.

    Raises
    ------
    ValueError
        When nobody is held out, a rate is not above 0 or not finite, or the customers differ in
        number.

    Examples
    --------
    Four of six customers click and order. Everybody orders once a week without ads, as the holdout
    shows. For two of the four, the ad's order comes on top; or for none.

    >>> import numpy as np
    >>> from pm_utils.loop.campaign import Log, weeks_there
    >>> from pm_utils.loop.planner import cannibalisation_rate
    >>> treated, who = np.array([True] * 4 + [False] * 2), np.arange(4)
    >>> for more in ([1, 1, 0, 0, 0, 0], [0, 0, 0, 0, 0, 0]):
    ...     log = Log(treated, weeks=1, orders=[np.ones(6) + more])
    ...     log.shown.append({"customer": who, "conversions": np.ones(4)})
    ...     print(round(cannibalisation_rate(log, rate=np.ones(6)), 2))
    0.49
    1.0
    """
    rounds, w = len(log.orders) // log.weeks, log.weeks
    if not rounds:
        return 0.0
    treated, rate = aligned(treated=log.treated, rate=rate)
    rate, holdout = numbers(rate, "rate", above=0, ndim=1), ~booleans(treated, "treated")
    numbers(prior, "prior", above=0)
    if not holdout.any():
        raise ValueError(f"all {len(rate):,} customers are treated: nobody is held out to compare")
    known = log.arrivals()
    if foresight:
        known = np.zeros_like(known)
        for week, part in enumerate(log.shown):
            np.add.at(known[week], part["customer"], part["conversions"])
    conversions = known[: rounds * w].reshape(rounds, w, -1).sum(1)
    orders = np.array([np.sum(log.orders[t * w : (t + 1) * w], axis=0) for t in range(rounds)])
    drift = orders[:, holdout].sum() / (rounds * w * rate[holdout].sum())
    residual = orders - w * drift * rate - conversions
    x = conversions * (1 - np.exp(-drift * rate))
    noise = residual[x > 0].var() if (x > 0).any() else 1.0
    slope = -(x * residual).sum() / ((x**2).sum() + noise / prior**2)
    return float(np.clip(slope, 0, 1))


def allocate_impressions(
    gain: np.ndarray,
    fatigue: np.ndarray,
    *,
    fatigue_effect: float,
    cost: np.ndarray | float,
    frequency_cap: int,
    budget: int,
) -> np.ndarray:
    r"""Spend impressions where the next one is worth most.

    The (j + 1)-th impression of the week to a customer is worth :math:`g e^{-\phi (F + j)} - c`.
    That falls with j, so taking the largest first, down to nothing or the end of the budget, is
    the best that a week can do.

    Explained in chapter ``closed-loop``.

    Parameters
    ----------
    gain, fatigue : arrays of shape (N,)
        g, dollars of a first impression to a rested customer; F, ads lately seen. A gain of -inf
        forbids.
    fatigue_effect : float
        φ, by how much the logarithm of the value falls with each ad lately seen.
    cost : float or array of shape (N,)
        c, dollars.
    frequency_cap, budget : int
        Impressions per customer, and in all.

    Returns
    -------
    array of shape (N,), int

    Raises
    ------
    ValueError
        When a gain is not a number or infinite, a fatigue or a cost is not finite, or a cap or a
        budget is not whole or negative.

    Examples
    --------
    A further impression is worth half of the one before. A budget of three takes 1.0, 0.6 and 0.5;
    a large one ends where an impression no longer pays. Who may not be addressed gets none, and
    among equals the first come first.

    >>> import numpy as np
    >>> from pm_utils.loop.planner import allocate_impressions
    >>> gain, rested = np.array([1.0, 0.6, -np.inf]), np.zeros(3)
    >>> rules = {"fatigue_effect": np.log(2), "cost": 0.1, "frequency_cap": 6}
    >>> allocate_impressions(gain, rested, budget=3, **rules).tolist()
    [2, 1, 0]
    >>> allocate_impressions(gain, rested, budget=100, **rules).tolist()
    [4, 3, 0]
    >>> allocate_impressions(np.ones(3), rested, budget=2, **rules).tolist()
    [1, 1, 0]
    """
    gain, fatigue, each = aligned(gain=gain, fatigue=fatigue, cost=cost if np.ndim(cost) else None)
    gain, fatigue = np.asarray(gain), numbers(fatigue, "fatigue", ndim=1)
    numbers(np.where(gain != -np.inf, gain, 0), "gain", ndim=1)
    numbers(fatigue_effect, "fatigue_effect")
    cost = numbers(cost if each is None else each, "cost")
    budget = int(whole_numbers(budget, "budget"))
    j = np.arange(int(whole_numbers(frequency_cap, "frequency_cap")))
    seen = fatigue[:, None] + j
    worth = gain[:, None] * np.exp(-fatigue_effect * seen) - np.reshape(cost, (-1, 1))
    good = worth > 0
    if good.sum() > budget:
        threshold = np.partition(worth[good], -budget)[-budget] if budget else np.inf
        good &= worth >= threshold
        if (extra := good.sum() - budget) > 0:  # ties
            tied = np.flatnonzero((good & (worth == threshold)).ravel())
            good.ravel()[tied[len(tied) - extra :]] = False
    return good.sum(1)


def order_worth(past: PurchaseSummary, prices: Prices, cannibalisation: float) -> np.ndarray:
    """Return the profit of one order at each discount, dollars, per customer → (N, 5).

    Parameters
    ----------
    past : PurchaseSummary
    prices : Prices
    cannibalisation : float
        Share of ads' orders that take the place of an order that came anyway, from 0 to 1.

    Raises
    ------
    ValueError
        When the share lies outside [0, 1].

    Examples
    --------
    A customer orders for 20 dollars every other week. If ads' orders take the place of others, an
    order at half the price brings a loss.

    >>> import numpy as np
    >>> from pm_utils.loop.customer_profiles import PurchaseSummary
    >>> from pm_utils.loop.planner import Prices, order_worth
    >>> rate, value, none = np.array([0.5]), np.array([20.0]), np.zeros(1)
    >>> past = PurchaseSummary(rate, value, none, none, counts=np.ones((1, 12)), weeks=10)
    >>> prices = Prices(margin=0.3, promoted_share=0.5, cost=0.005)
    >>> order_worth(past, prices, 0.0).round(2).tolist()  # without discount, 10, 20, 30, 50 %
    [[6.0, 5.0, 4.0, 3.0, 1.0]]
    >>> order_worth(past, prices, 1.0).round(2).tolist()
    [[3.64, 2.64, 1.64, 0.64, -1.36]]
    """
    probabilities(cannibalisation, "cannibalisation")
    kept = 1 - cannibalisation * (1 - np.exp(-past.rate))
    discount = prices.promoted_share * DISCOUNT_RATES
    return past.value[:, None] * (prices.margin * kept[:, None] - discount)


def spread_evenly(eligible: np.ndarray, budget: int, rng: np.random.Generator) -> np.ndarray:
    """Give everyone who is eligible the same number of impressions; chance decides about the rest.

    Raises
    ------
    ValueError
        When somebody is neither eligible nor not, or the budget is not whole or negative.

    Examples
    --------
    >>> import numpy as np
    >>> from pm_utils.loop.planner import spread_evenly
    >>> counts = spread_evenly(np.array([True, True, False]), 7, np.random.default_rng(0))
    >>> sorted(counts.tolist())
    [0, 3, 4]
    """
    eligible, budget = booleans(eligible, "eligible"), int(whole_numbers(budget, "budget"))
    impressions, who = np.zeros(len(eligible), int), np.flatnonzero(eligible)
    each, rest = divmod(budget, max(len(who), 1))
    impressions[who] = each
    impressions[rng.choice(who, rest, replace=False)] += 1
    return impressions


def later_cost(market: Market, weeks: int) -> np.ndarray:
    """Return what an impression costs in organic profit over some weeks, to first order → (N,).

    Fewer orders of the annoyed while its fatigue fades, and all orders of those who leave for it.

    Raises
    ------
    ValueError
        When the weeks are negative or not whole.

    Examples
    --------
    >>> from pm_utils.loop.planner import later_cost
    >>> from pm_utils.market import Market
    >>> market = Market(50, seed=0)
    >>> none, week, year = (later_cost(market, weeks).mean() for weeks in (0, 1, 52))
    >>> bool(none == 0 < week < year)
    True
    """
    weeks = int(whole_numbers(weeks, "weeks"))
    truth, hidden = market.truth, market.truth_of_customers
    lost = np.zeros(market.n_customers)  # weeks of orders
    for week in range(weeks):
        leaves = hidden.leaving * truth.leaving_fatigue
        left = weeks_there(hidden.leaving, weeks - 1 - week)
        lost += truth.retention**week * (hidden.annoyance + leaves * left)
    return truth.margin * hidden.order_value * hidden.order_rate * lost
