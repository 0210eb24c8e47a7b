"""Stages of a marketing funnel, counted per customer."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from pm_utils.data import Shop
from pm_utils.data.clock import shop_day, shop_times
from pm_utils.inputs import booleans, columns, labels, numbers, whole_numbers
from pm_utils.market import ImpressionLog
from pm_utils.measurement.rates import clustered_rate, wilson

MARKET_STAGES = ("impression", "click", "visit", "order")
PERIOD_START = pd.Timestamp("2016-12-26")  # Monday of the exposures' week 1


def market_funnel(log: ImpressionLog, n_customers: int) -> pd.DataFrame:
    """Count each customer's impressions, clicks, visits and orders → (N, 4).

    Explained in chapter ``funnel``.

    Raises
    ------
    ValueError
        When a customer's number is not from 0 to N - 1, or a step is neither 0 nor 1.

    Examples
    --------
    >>> import numpy as np
    >>> from pm_utils.market import ImpressionLog
    >>> from pm_utils.measurement.funnel import market_funnel
    >>> log = ImpressionLog(
    ...     customer=np.array([0, 0, 1]),
    ...     creative=np.array([3, 4, 3]),
    ...     position=np.zeros(3, int),
    ...     propensity=np.full(3, 0.1),
    ...     click=np.array([True, True, False]),
    ...     visit=np.array([True, False, False]),
    ...     conversion=np.array([True, False, False]),
    ...     delay=np.array([2.5, np.nan, np.nan]),
    ...     order_value=np.array([40.0, 0.0, 0.0]),
    ... )
    >>> market_funnel(log, n_customers=3)  # the third was shown nothing
       impression  click  visit  order
    0           2      2      1      1
    1           1      0      0      0
    2           0      0      0      0
    """
    customer = whole_numbers(log.customer, "customer", high=n_customers - 1)
    passed = [booleans(getattr(log, s), s) for s in ("click", "visit", "conversion")]
    steps = customer, *(customer[step] for step in passed)
    counts = [np.bincount(step, minlength=n_customers) for step in steps]
    return pd.DataFrame(dict(zip(MARKET_STAGES, counts, strict=True)))


def funnel_rates(counts: pd.DataFrame, *, level: float = 0.95) -> pd.DataFrame:
    """Estimate every stage's rate, and that of the last stage over the first.

    Explained in chapter ``funnel``.

    Parameters
    ----------
    counts : DataFrame of shape (N, S)
        One row per customer, one column per stage in order.
    level : float

    Returns
    -------
    DataFrame
        Per pair of stages ``reached``, ``passed``, ``rate``, its interval ``low`` and ``high``
        by customers, ``design effect``, and ``row low`` and ``row high``, the interval that takes
        rows for independent.

    Raises
    ------
    ValueError
        When there are fewer than two stages, a count is not whole or negative, or a customer passed
        a stage more often than they reached it.

    Examples
    --------
    Three customers were shown ten, ten and twenty ads:

    >>> import pandas as pd
    >>> from pm_utils.measurement.funnel import funnel_rates
    >>> counts = pd.DataFrame({"impression": [10, 10, 20], "click": [0, 2, 6], "order": [0, 0, 3]})
    >>> rates = funnel_rates(counts)
    >>> rates[["reached", "passed", "rate"]]
                        reached  passed   rate
    impression → click       40       8  0.200
    click → order             8       3  0.375
    impression → order       40       3  0.075
    >>> (rates["high"] - rates["low"] >= rates["row high"] - rates["row low"]).all().item()
    True
    """
    stages = list(counts)
    if len(stages) < 2:
        raise ValueError(f"counts has {len(stages)} stage(s): give two or more, in their order")
    counts = columns(counts, stages, "counts")
    counts = pd.DataFrame({s: whole_numbers(counts[s], f"counts of {s}") for s in stages})
    pairs = [*zip(stages, stages[1:], strict=False), (stages[0], stages[-1])]
    table = {}
    for whole, part in pairs:
        rate = clustered_rate(counts[part].to_numpy(), counts[whole].to_numpy(), level=level)
        reached, passed = int(counts[whole].sum()), int(counts[part].sum())
        ends = (rate.low, rate.high, rate.design_effect)
        row = (reached, passed, rate.value, *ends, *wilson(passed, reached, level=level))
        table[f"{whole} → {part}"] = row
    names = ["reached", "passed", "rate", "low", "high", "design effect", "row low", "row high"]
    return pd.DataFrame(table, index=names).T.astype({"reached": int, "passed": int})


# The real shop


def contact_funnel(shop: Shop) -> pd.DataFrame:
    """Follow every mailed campaign: visit in its days, an offered product, a redeemed coupon.

    Explained in chapter ``funnel``.

    Parameters
    ----------
    shop : Shop
        All tables but ``customers``, ``products`` and ``exposures``.

    Returns
    -------
    DataFrame
        One row per contact: ``customer_id``, ``campaign_type`` and 0 or 1 for ``mailed``,
        ``visited`` (any order while the campaign lasts), ``bought`` (one of its products) and
        ``redeemed`` (a coupon of it; counted only after a purchase, see `unmatched`).
        ``unmatched`` marks a redemption without one.

    Days are those of the shop's own clock, see `pm_utils.data.clock`. Returns are no purchases.

    Raises
    ------
    ValueError
        When an order line names no customer or no time, or its amount, where the table has one, is
        not finite or below 0, as of a return: leave those lines out.
    """
    pair = ["campaign_id", "customer_id"]
    contacts = shop.contacts.merge(shop.campaigns, on="campaign_id")
    contacts["contact"] = np.arange(len(contacts))
    for name in ("starts_on", "ends_on"):
        contacts[name] = shop_times(contacts[name], name).dt.normalize()
    labels(contacts["customer_id"], "customer_id of contacts")
    lines = _purchases(shop)[["customer_id", "product_id", "ordered_at"]]
    last = contacts["ends_on"] + pd.Timedelta(days=1)
    spans = contacts[["contact", *pair, "starts_on"]].assign(last=last)
    orders = lines.assign(day=lines["ordered_at"].dt.normalize())
    trips = orders[["customer_id", "day"]].drop_duplicates()
    visited = _within(trips, spans, "day")["contact"].unique()
    offered = shop.offers[["campaign_id", "product_id"]].drop_duplicates()
    mailed = lines[lines["product_id"].isin(offered["product_id"])]
    mailed = mailed[mailed["customer_id"].isin(contacts["customer_id"])]
    bought = mailed.assign(day=mailed["ordered_at"].dt.normalize()).drop(columns="ordered_at")
    bought = _within(bought.drop_duplicates(), spans, "day").merge(
        offered, on=["campaign_id", "product_id"]
    )
    answered = pd.MultiIndex.from_frame(contacts[pair]).isin(
        pd.MultiIndex.from_frame(shop.responses[pair])
    )
    steps = {"mailed": True, "visited": contacts["contact"].isin(visited)}
    steps["bought"] = contacts["contact"].isin(bought["contact"].unique())
    steps["redeemed"] = answered & steps["bought"]
    steps["unmatched"] = answered & ~steps["bought"]
    steps = {name: np.asarray(step, int) for name, step in steps.items()}
    return contacts[["customer_id", "campaign_type"]].assign(**steps)


def _purchases(shop: Shop) -> pd.DataFrame:
    """The order lines by the shop's own clock, each of a customer and none a return."""
    lines = shop.order_lines
    labels(lines["customer_id"], "customer_id of order_lines")
    if "amount" in lines:
        numbers(lines["amount"], "amount", low=0)
    return lines.assign(ordered_at=shop_times(lines["ordered_at"], "ordered_at"))


def _within(events: pd.DataFrame, spans: pd.DataFrame, day: str) -> pd.DataFrame:
    """Join events to the spans of the same customer that hold their day."""
    rows = events.merge(spans, on="customer_id")
    return rows[(rows[day] >= rows["starts_on"]) & (rows[day] < rows["last"])]


def front_page_funnel(
    shop: Shop,
    front_page: pd.DataFrame,
    weeks: Sequence[int],
    *,
    first_monday: pd.Timestamp = PERIOD_START,
) -> pd.DataFrame:
    """Follow households through some weeks: visit, a product on the front page, a coupon on it.

    Explained in chapter ``funnel``.

    Parameters
    ----------
    shop : Shop
        With ``customers`` and ``order_lines``.
    front_page : DataFrame
        ``product_id, store_id, week`` of products on the front page of a store's mailer.
    weeks : sequence of int
        Numbers of full weeks, from 2 on.
    first_monday : Timestamp
        The first day of week 1, a Monday of the shop's own clock.

    Returns
    -------
    DataFrame
        One row per household and week: ``customer_id``, ``week`` and 0 or 1 for ``week open``,
        ``visited`` (a store whose front page is on record), ``bought`` (a product on that store's
        front page) and ``with coupon``.

    Raises
    ------
    ValueError
        When no order of a store with a front page falls into these weeks, a week is not whole, the
        first day is no Monday, or as `contact_funnel`.
    """
    first_monday = shop_day(first_monday, "first_monday", shop.order_lines["ordered_at"])
    if first_monday.day_of_week or first_monday != first_monday.normalize():
        raise ValueError(
            f"first_monday is {first_monday:%A %Y-%m-%d %H:%M}: give the Monday of week 1, 00:00"
        )
    weeks = whole_numbers(list(weeks), "weeks", low=1).tolist()
    lines = _purchases(shop)
    lines = lines[["customer_id", "store_id", "product_id", "ordered_at"]].assign(
        coupon=numbers(lines["coupon_discount"], "coupon_discount", low=0) > 0
    )
    lines = lines[lines["store_id"].isin(front_page["store_id"].unique())]
    lines["week"] = (lines["ordered_at"] - first_monday).dt.days // 7 + 1
    lines = lines[lines["week"].isin(list(weeks))]
    if not len(lines):
        raise ValueError(
            f"no order of a store with a front page falls into weeks {min(weeks)} to {max(weeks)} "
            f"from {first_monday:%Y-%m-%d} on: give the first Monday of your record"
        )
    on_page = pd.MultiIndex.from_frame(front_page[["store_id", "week", "product_id"]])
    of_line = pd.MultiIndex.from_frame(lines[["store_id", "week", "product_id"]])
    lines["bought"] = of_line.isin(on_page)
    lines["with coupon"] = lines["bought"] & lines["coupon"]
    key = ["customer_id", "week"]
    passed = lines.assign(visited=True).groupby(key)[["visited", "bought", "with coupon"]].any()
    everyone = [np.sort(shop.customers["customer_id"].to_numpy()), list(weeks)]
    rows = passed.reindex(pd.MultiIndex.from_product(everyone, names=key), fill_value=False)
    rows.insert(0, "week open", True)
    return rows.astype(int).reset_index()
