"""Logs of impressions: millions a second, the same ones whatever the batches."""

from collections.abc import Callable
from dataclasses import dataclass, fields

import numpy as np
import pandas as pd

from pm_utils.inputs import aligned, booleans, numbers, plain, probabilities, whole_numbers
from pm_utils.market._checks import known_codes
from pm_utils.market._draws import order_values
from pm_utils.market.logging_policies import Policy, as_policy
from pm_utils.market.randomness import exponential, random_bits, stream_key, uniform
from pm_utils.market.truth import mean_delay, visit_probability

IMPRESSION_STREAM = 3
BLOCK = 1 << 15  # impressions drawn at a time: what fits the processor's cache
_CUSTOMER_AND_AD, _POSITION_AND_CLICK, _VISIT, _ORDER, _DELAY, _VALUE = range(6)


@dataclass(frozen=True, eq=False, repr=False)
class ImpressionLog:
    """What was shown to whom, by which probability, and what came of it; arrays of shape (n,).

    Attributes
    ----------
    customer, creative : int32
    position : int8
        0 is the slot that is always looked at.
    propensity : float32
        Probability with which the policy chose this ad for this customer.
    click, visit, conversion : bool
        A conversion is an order by someone who clicked and visited.
    delay : float32
        Days from click to order; NaN where there is none.
    order_value : float32
        Dollars paid; 0 where there is no order.

    Raises
    ------
    ValueError
        When the arrays differ in rows, a customer, an ad or a position is negative or not whole, a
        click, a visit or a conversion is neither 0 nor 1, a propensity lies outside [0, 1], or a
        delay or an order's value is negative or, but for the delay that there is none of, not
        finite. Pandas' rows are matched by index.

    Examples
    --------
    >>> import numpy as np
    >>> from pm_utils.market import ImpressionLog
    >>> log = ImpressionLog(
    ...     customer=np.array([0, 1]),
    ...     creative=np.array([3, 3]),
    ...     position=np.array([0, 2]),
    ...     propensity=np.array([0.5, 0.5]),
    ...     click=np.array([True, False]),
    ...     visit=np.array([True, False]),
    ...     conversion=np.array([True, False]),
    ...     delay=np.array([2.5, np.nan]),
    ...     order_value=np.array([40.0, 0.0]),
    ... )
    >>> len(log)
    2
    >>> log.frame()[["customer", "creative", "click", "delay", "order_value"]]
       customer  creative  click  delay  order_value
    0         0         3   True    2.5         40.0
    1         1         3  False    NaN          0.0
    """

    customer: np.ndarray
    creative: np.ndarray
    position: np.ndarray
    propensity: np.ndarray
    click: np.ndarray
    visit: np.ndarray
    conversion: np.ndarray
    delay: np.ndarray
    order_value: np.ndarray

    def __post_init__(self) -> None:
        """Check once what all estimators will read; types of numbers stay as they are."""
        given = dict(vars(self))
        if any(len(part) for part in given.values()):
            given = dict(zip(given, aligned(**given), strict=True))
        for name in ("customer", "creative", "position"):
            checked, part = whole_numbers(given[name], name), plain(given[name])
            given[name] = part if part.dtype.kind in "iu" else checked
        for name in ("click", "visit", "conversion"):
            given[name] = booleans(given[name], name)
        given["propensity"] = probabilities(given["propensity"], "propensity")
        given["order_value"] = numbers(given["order_value"], "order_value", low=0)
        delay = plain(given["delay"]).astype(np.float32, copy=False)
        numbers(np.where(np.isnan(delay), 0, delay), "delay", low=0)
        given["delay"] = delay
        for name, part in given.items():
            object.__setattr__(self, name, part)

    def __len__(self) -> int:
        """Return the number of impressions."""
        return len(self.customer)

    def frame(self) -> pd.DataFrame:
        """Return the log as a DataFrame, one row per impression."""
        return pd.DataFrame({field.name: getattr(self, field.name) for field in fields(self)})


def _empty_log(n: int) -> ImpressionLog:
    log = object.__new__(ImpressionLog)  # to be filled by the market, which draws what can be
    log.__dict__.update(
        customer=np.empty(n, np.int32),
        creative=np.empty(n, np.int32),
        position=np.empty(n, np.int8),
        propensity=np.empty(n, np.float32),
        click=np.empty(n, bool),
        visit=np.zeros(n, bool),
        conversion=np.zeros(n, bool),
        delay=np.full(n, np.nan, np.float32),
        order_value=np.zeros(n, np.float32),
    )
    return log


def simulate_impressions(
    market,
    policy: Policy | Callable,
    n: int,
    *,
    start: int = 0,
    customers: np.ndarray | None = None,
) -> ImpressionLog:
    """Draw n impressions to rested customers; see `Market.impressions`.

    Raises
    ------
    ValueError
        When a number is negative or not whole, a customer is none of the market's, or the policy
        is for another number of ads.
    """
    if n < 0 or start < 0:
        raise ValueError(f"n is {n} and start is {start}: give numbers of at least 0")
    n, start = int(whole_numbers(n, "n")), int(whole_numbers(start, "start"))
    policy, log = as_policy(policy, len(market.creatives)), _empty_log(n)
    pool = None if customers is None else known_codes(customers, "customers", market.n_customers)
    if pool is not None and not pool.size:
        raise ValueError("customers: nobody may be shown an ad; name at least one")
    keys = [stream_key(market.seed, IMPRESSION_STREAM, name) for name in range(6)]
    size = np.uint64(market.n_customers if pool is None else len(pool))
    examination = np.array(market.truth.examination, np.float32)
    table = market.click_table.ravel()
    for first in range(0, n, BLOCK):
        rows = slice(first, min(first + BLOCK, n))
        counter = np.arange(start + rows.start, start + rows.stop, dtype=np.uint64)
        customer_bits, policy_u = _split(random_bits(keys[_CUSTOMER_AND_AD], counter))
        position_bits, click_u = _split(random_bits(keys[_POSITION_AND_CLICK], counter))
        customer = ((customer_bits * size) >> np.uint64(32)).astype(np.int32)
        customer = customer if pool is None else pool[customer].astype(np.int32)
        creative, propensity = policy.choose(customer, policy_u)
        position = (position_bits * np.uint64(len(examination))) >> np.uint64(32)
        position = position.astype(np.int8)
        cell = customer * np.int64(len(market.creatives)) + creative
        log.customer[rows], log.creative[rows] = customer, creative
        log.position[rows], log.propensity[rows] = position, propensity
        log.click[rows] = click_u < table[cell] * examination[position]
    _follow_clicks(market, log, start, keys)
    return log


def _split(bits: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Split 64 bits into a 32-bit integer and a number in [0, 1) of 24 bits."""
    fraction = ((bits & np.uint64(0xFFFFFF)).astype(np.float32)) * np.float32(2.0**-24)
    return bits >> np.uint64(32), fraction


def _follow_clicks(market, log: ImpressionLog, start: int, keys: list) -> None:
    """Draw what comes of each click: visit, order, delay and value."""
    clicked = np.flatnonzero(log.click)
    who, ads = log.customer[clicked], market.creatives.take(log.creative[clicked])
    visit = visit_probability(market.truth, market.truth_of_customers, who, ads)
    log.visit[clicked] = uniform(keys[_VISIT], start + clicked) < visit
    visited = clicked[log.visit[clicked]]
    who, creative = log.customer[visited], log.creative[visited]
    bought = uniform(keys[_ORDER], start + visited) < market.order_probability(who, creative)
    log.conversion[visited] = bought
    orders, who, creative = visited[bought], who[bought], creative[bought]
    ads = market.creatives.take(creative)
    days = mean_delay(market.truth, market.truth_of_customers, who, ads)
    log.delay[orders] = days * exponential(keys[_DELAY], start + orders)
    price = order_values(market.truth_of_customers, who, uniform(keys[_VALUE], start + orders))
    log.order_value[orders] = price * (1 - market.promoted_discount[creative])
