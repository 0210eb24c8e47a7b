"""Orders that come without any ad: the history that a marketer has before the first campaign."""

import numpy as np
import pandas as pd

from pm_utils.inputs import whole_numbers
from pm_utils.market._checks import known_codes
from pm_utils.market._draws import PER_CUSTOMER, order_values
from pm_utils.market.population import CATEGORIES
from pm_utils.market.randomness import poisson, stream_key, uniform

ORGANIC_STREAM = 6
_COUNT, _VALUE, _DAY, _CATEGORY, _COUPON = range(5)


def simulate_orders(market, weeks: int, *, customers: np.ndarray) -> pd.DataFrame:
    """Draw organic orders of customers who stay; see `Market.orders`.

    Raises
    ------
    ValueError
        When there is no week, or a customer is none of the market's.
    """
    if weeks < 1:
        raise ValueError(f"weeks is {weeks}: give at least 1")
    weeks = int(whole_numbers(weeks, "weeks"))
    customers = known_codes(customers, "customers", market.n_customers)
    cumulative = np.cumsum(market.households.taste, axis=1)
    cumulative[:, -1] = 1.0
    coupon = market.households.record["coupon_order_share"].to_numpy()
    parts = [_week(market, week, customers, cumulative, coupon) for week in range(weeks)]
    columns = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    columns["category"] = pd.Categorical.from_codes(columns["category"], list(CATEGORIES))
    return pd.DataFrame(columns)


def _week(
    market, week: int, customers: np.ndarray, cumulative: np.ndarray, coupon: np.ndarray
) -> dict:
    hidden = market.truth_of_customers
    keys = [stream_key(market.seed, ORGANIC_STREAM, week, name) for name in range(5)]
    counts = poisson(hidden.order_rate[customers], uniform(keys[_COUNT], customers))
    who = np.repeat(customers, counts)
    number = np.arange(len(who)) - np.repeat(np.cumsum(counts) - counts, counts)
    counter = who * PER_CUSTOMER + number
    household = hidden.household[who]
    return {
        "customer": who,
        "week": np.full(len(who), week),
        "day": week * 7 + 7 * uniform(keys[_DAY], counter),
        "order_value": order_values(hidden, who, uniform(keys[_VALUE], counter)),
        "category": (uniform(keys[_CATEGORY], counter)[:, None] >= cumulative[household]).sum(1),
        "coupon": uniform(keys[_COUPON], counter) < coupon[household],
    }
