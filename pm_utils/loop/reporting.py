"""What a shop can say about its campaign, beside the truth."""

import numpy as np
import pandas as pd

from pm_utils.creatives.text.evaluation import ADS
from pm_utils.inputs import numbers, whole_numbers
from pm_utils.loop.ad_menu import AdCatalogue
from pm_utils.loop.campaign import Log, Run, impact_estimates
from pm_utils.loop.planner import cannibalisation_rate, order_worth
from pm_utils.loop.strategies import ShopKnowledge


def attributed_profit(
    log: Log,
    shop: ShopKnowledge,
    menu: AdCatalogue,
    *,
    cannibalisation: float = 0.0,
    weeks: slice = slice(None),
) -> float:
    """Return what the shop's books say ads earned per treated customer, dollars.

    Every order that followed a click counts, at the customer's usual value, less its discount;
    `cannibalisation` takes off the share that came in place of another order. Contacts are paid.

    Raises
    ------
    ValueError
        When nobody is treated, there is no week, a row is of another customer or ad, a count is
        negative or not finite, or the share lies outside [0, 1].

    Examples
    --------
    One of two treated customers saw two ads and ordered for 20 dollars at a margin of 30 %: 6
    dollars less two contacts. If that order came in place of another, most of it is gone.

    >>> import numpy as np
    >>> from pm_utils.loop.ad_menu import AdCatalogue
    >>> from pm_utils.loop.campaign import Campaign, Log
    >>> from pm_utils.loop.customer_profiles import PurchaseSummary
    >>> from pm_utils.loop.planner import Prices
    >>> from pm_utils.loop.response_data import ExplorationLog, ResponseLog
    >>> from pm_utils.loop.reporting import attributed_profit
    >>> from pm_utils.loop.strategies import ShopKnowledge
    >>> rate, value, none = np.array([2.0, 1.0]), np.array([20.0, 10.0]), np.zeros(2)
    >>> past = PurchaseSummary(rate, value, none, none, np.ones((2, 12)), weeks=10)
    >>> banners = ExplorationLog(ResponseLog.empty(), np.zeros((2, 2, 2, 240)))
    >>> shop = ShopKnowledge(past, banners, Prices(0.3, 0.3, cost=0.01), Campaign())
    >>> log, one = Log(np.ones(2, bool), weeks=1), np.ones(1, int)
    >>> seen = {"customer": 0 * one, "creative": 0 * one, "impressions": 2 * one}
    >>> log.shown.append(seen | {"conversions": one})
    >>> round(attributed_profit(log, shop, AdCatalogue.of(1)), 2)  # per treated customer
    2.99
    >>> round(attributed_profit(log, shop, AdCatalogue.of(1), cannibalisation=1.0), 2)
    0.4
    """
    if not np.any(log.treated) or not log.shown[weeks]:
        raise ValueError(f"{np.sum(log.treated)} treated, {len(log.shown[weeks])} weeks: no profit")
    rows, worth = (
        log.rows(weeks.start or 0, weeks.stop),
        order_worth(shop.past, shop.prices, cannibalisation),
    )
    whole_numbers(rows["creative"], "creative", high=len(menu) - 1)
    whole_numbers(rows["customer"], "customer", high=len(worth) - 1)
    for name in ("conversions", "impressions"):
        numbers(rows[name], name, low=0)
    discount = ADS[rows["creative"] // menu.n_looks, 2]
    earned = (rows["conversions"] * worth[rows["customer"], discount]).sum()
    spent = shop.prices.cost * rows["impressions"].sum()
    return float((earned - spent) / log.treated.sum())


def measurement_report(done: Run, shop: ShopKnowledge, menu: AdCatalogue) -> pd.DataFrame:
    """Set what a shop can say about a campaign beside the truth.

    Explained in chapter ``closed-loop``.

    Returns
    -------
    DataFrame
        One row per round, and one for ``all``; dollars per treated customer: ``truth``; the
        ``holdout``'s estimate with ``low`` and ``high``; by the ``books``, orders after a click;
        and ``books, displaced off``, less the share that `cannibalisation_rate` finds.
    """
    log, past, rounds = done.log, shop.past, len(done.true_profit)
    found = impact_estimates(done, past.rate * past.value * shop.prices.margin)
    share = cannibalisation_rate(log, past.rate)
    parts = [slice(t * log.weeks, (t + 1) * log.weeks) for t in range(rounds)] + [slice(None)]
    table = {
        "truth": [*done.true_profit, done.true_profit.sum()],
        "holdout": [each.difference for each in found],
        "low": [each.low for each in found],
        "high": [each.high for each in found],
        "books": [attributed_profit(log, shop, menu, weeks=part) for part in parts],
    }
    table["books, displaced off"] = [
        attributed_profit(log, shop, menu, cannibalisation=share, weeks=part) for part in parts
    ]
    return pd.DataFrame(table, index=[*range(1, rounds + 1), "all"])
