"""Orders' values, drawn for customers whom the parts of the market have checked already."""

import numpy as np
from scipy.special import ndtri

from pm_utils.market.randomness import uniform

PER_CUSTOMER = 1 << 12  # counters set aside for each customer: orders or impressions of a flight


def order_values(customers, who: np.ndarray, u: np.ndarray) -> np.ndarray:
    """Return list prices of orders in dollars, drawn by the uniform numbers `u`."""
    return np.exp(customers.log_value[who] + customers.value_spread[who] * ndtri(u))


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
    """Return list prices of orders that the j-th ad brings → (B,).

    An order that takes the place of an organic one is the customer's first of the window.
    """
    fresh = uniform(key, who * PER_CUSTOMER + j)
    return order_values(
        customers, who, np.where(displaced, uniform(organic, who * PER_CUSTOMER), fresh)
    )
