"""A small made-up world for tests of the market, and what they compare by."""

from functools import cache

import numpy as np
import pandas as pd

from pm_utils.market import Market
from pm_utils.market.population import CATEGORIES, N_TYPES, Households


@cache
def made_up_households(n: int = 300, seed: int = 5) -> Households:
    """Return households whose tastes follow from their mixture of types."""
    rng = np.random.default_rng(seed)
    mixture = rng.dirichlet(np.full(N_TYPES, 0.5), n)
    taste = mixture @ rng.dirichlet(np.full(len(CATEGORIES), 0.7), N_TYPES) + 0.005
    taste /= taste.sum(1, keepdims=True)
    rate, sensitivity = rng.gamma(1.2, 1.0, n) + 0.05, (rng.permutation(n) + 0.5) / n
    mean = rng.uniform(10, 60, n)
    record = {
        "orders_per_week": rate,
        "average_order_value": mean,
        "discount_share": sensitivity / 4,
        "coupon_order_share": sensitivity / 8,
    } | {f"share_{name}": taste[:, k] for k, name in enumerate(CATEGORIES)}
    return Households(
        record=pd.DataFrame(record, index=pd.Index(1000 + np.arange(n), name="customer_id")),
        mixture=mixture,
        taste=taste,
        price_sensitivity=sensitivity,
        order_rate=rate,
        order_mean=mean,
        order_variation=rng.uniform(0.5, 1.0, n),
    )


def small_market(n_customers: int = 2000, seed: int = 0, **options) -> Market:
    """Return a market on the made-up households."""
    return Market(n_customers, seed, households=made_up_households(), **options)


def z_score(hits: float, probabilities: np.ndarray) -> float:
    """Return how far a count is from the sum of independent chances, in standard errors."""
    probabilities = np.asarray(probabilities, dtype=float)
    return float(
        (hits - probabilities.sum()) / np.sqrt((probabilities * (1 - probabilities)).sum())
    )


def mean_z(values: np.ndarray, expected: float | np.ndarray) -> float:
    """Return how far a mean is from what is expected of it, in standard errors."""
    gap = np.asarray(values, dtype=float) - expected
    return float(gap.mean() / (gap.std(ddof=1) / np.sqrt(len(gap))))
