"""Orders that come without any ad: the history that a marketer has before the first campaign."""

import numpy as np
import pandas as pd

from pm_utils.market.experiments import PER_CUSTOMER
from pm_utils.market.population import CATEGORIES
from pm_utils.market.randomness import poisson, stream_key, uniform
from pm_utils.market.truth import order_values

ORGANIC_STREAM = 6
COUNT, VALUE, DAY, CATEGORY, COUPON = range(5)


def simulate_orders(market, weeks: int, *, customers: np.ndarray) -> pd.DataFrame:
    """Draw organic orders of customers who stay; see `Market.orders`."""
    parts = [_week(market, week, customers) for week in range(weeks)]
    return pd.concat(parts, ignore_index=True)


def _week(market, week: int, customers: np.ndarray) -> pd.DataFrame:
    hidden, real = market.truth_of_customers, market.households
    keys = [stream_key(market.seed, ORGANIC_STREAM, week, name) for name in range(5)]
    counts = poisson(hidden.order_rate[customers], uniform(keys[COUNT], customers))
    who = np.repeat(customers, counts)
    number = np.arange(len(who)) - np.repeat(np.cumsum(counts) - counts, counts)
    counter = who * PER_CUSTOMER + number
    household = hidden.household[who]
    reached = np.cumsum(real.taste, axis=1)[household]
    reached[:, -1] = 1.0
    category = (uniform(keys[CATEGORY], counter)[:, None] >= reached).sum(1)
    coupon = real.record["coupon_order_share"].to_numpy()[household]
    return pd.DataFrame(
        {
            "customer": who,
            "week": week,
            "day": week * 7 + 7 * uniform(keys[DAY], counter),
            "order_value": order_values(hidden, who, uniform(keys[VALUE], counter)),
            "category": pd.Categorical.from_codes(category, list(CATEGORIES)),
            "coupon": uniform(keys[COUPON], counter) < coupon,
        }
    )
