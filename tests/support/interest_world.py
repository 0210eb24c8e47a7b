"""A small purchase log with habits."""

import numpy as np
import pandas as pd

from pm_utils.customers.purchase_log import PurchaseLog
from pm_utils.targeting.interest import samples

DAY = pd.Timestamp("2017-01-01")
H, C, LAST = 40, 6, 120


def on(day: int) -> pd.Timestamp:
    return DAY + pd.Timedelta(days=day)


def log_of(orders: list[tuple[int, int, list[int]]], customers: int = 3) -> PurchaseLog:
    """Return a log of (day, customer, candidates) in order of time."""
    orders = sorted(orders, key=lambda order: order[:2])
    rows = [(o, customer, c, day) for o, (day, customer, held) in enumerate(orders) for c in held]
    order, customer, category, day = np.array(rows).T
    return PurchaseLog(
        customers=np.arange(100, 100 + customers),
        categories=tuple("ABCDEF"),
        order=order,
        customer=customer,
        category=category,
        day=day,
        order_customer=np.array([customer for _, customer, _ in orders]),
        order_day=np.array([day for day, _, _ in orders]),
        order_spend=np.ones(len(orders)),
    )


def habits(seed: int = 0) -> PurchaseLog:
    """Return a world in which each household has its own two staples, and some chance buys."""
    rng = np.random.default_rng(seed)
    orders = []
    for customer in range(H):
        staples = rng.permutation(C)[:2]
        for day in np.sort(rng.choice(LAST, 40, replace=False)):
            held = set(staples[rng.random(2) < 0.8]) | set(np.flatnonzero(rng.random(C) < 0.05))
            orders.append((int(day), customer, sorted(held) or [int(staples[0])]))
    return log_of(orders, H)


LOG = habits()
TRAIN = samples.snapshots(LOG, [on(40), on(60), on(80)], length=4, baskets=2, days=14)
TEST = samples.snapshots(LOG, [on(100)], length=4, baskets=2, days=14)
