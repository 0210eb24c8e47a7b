"""Reduce a customer's orders to frequency, recency, age and value.

``frequency`` x counts the days with an order after the first one, ``recency`` t_x is the time
from the first to the last order, ``age`` T the time from the first order until now; times are in
weeks."""

from typing import Any

import numpy as np
import pandas as pd

WEEK = np.timedelta64(7, "D")


def rfm_summary(orders: pd.DataFrame, as_of: Any) -> pd.DataFrame:
    """Reduce each customer's orders before a date to frequency, recency, age and mean value.

    Explained in chapter ``lifetime-value``.

    Parameters
    ----------
    orders : DataFrame
        ``customer_id``, ``ordered_at`` and ``amount`` (dollars), in any order.
    as_of : date-like
        The day to look from. Orders dated at its midnight or later do not count.

    Returns
    -------
    DataFrame
        Indexed by ``customer_id``, ascending, one row per customer with an order before the date:

        - ``frequency``: days with an order after the first such day; orders of one day are one;
        - ``recency``: weeks from the first to the last of these days, 0 if there is but one;
        - ``age``: weeks from the first day to `as_of`;
        - ``value``: mean dollars of a day with an order, the first one left out; 0 without any.

    Raises
    ------
    ValueError
        When no order is that early.

    References
    ----------
    Fader, Hardie & Lee (2005), "Counting your customers" the easy way.

    Examples
    --------
    Customer 7 came on three days, twice on the second. The first day adds neither an
    order nor dollars.

    >>> import pandas as pd
    >>> from pm_utils.lifetime.rfm import rfm_summary
    >>> days = ["2017-01-01", "2017-01-08 09:00", "2017-01-08 17:00", "2017-01-22", "2017-01-15"]
    >>> orders = pd.DataFrame({"customer_id": [7, 7, 7, 7, 3], "amount": [5.0, 20, 4, 6, 9]})
    >>> orders["ordered_at"] = pd.to_datetime(days, format="ISO8601")
    >>> rfm_summary(orders, "2017-02-12").reset_index()
       customer_id  frequency  recency  age  value
    0            3          0      0.0  4.0    0.0
    1            7          2      3.0  6.0   15.0
    """
    today = np.datetime64(pd.Timestamp(as_of), "D")
    day = orders["ordered_at"].to_numpy().astype("datetime64[D]")
    early = day < today
    ids, customer = np.unique(orders["customer_id"].to_numpy()[early], return_inverse=True)
    if not len(ids):
        raise ValueError(f"no order is dated before {as_of}: give a later date")
    day_number = day[early].astype(np.int64)
    span = int(today.astype(np.int64)) + 1
    pairs, pair = np.unique(customer * span + day_number, return_inverse=True)  # a customer's day
    dollars = np.bincount(pair, orders["amount"].to_numpy()[early], minlength=len(pairs))
    who, when = pairs // span, pairs % span
    first = np.append(True, who[1:] != who[:-1]).nonzero()[0]
    days = np.diff(first, append=len(pairs))
    repeat = np.add.reduceat(dollars, first) - dollars[first]
    last = when[first + days - 1]
    table = {
        "frequency": days - 1,
        "recency": (last - when[first]) / 7,
        "age": (span - 1 - when[first]) / 7,
        "value": repeat / np.maximum(days - 1, 1),
    }
    return pd.DataFrame(table, index=pd.Index(ids, name="customer_id"))


def days_with_order(orders: pd.DataFrame, customers: pd.Index, start: Any, end: Any) -> np.ndarray:
    """Count each customer's days with an order from `start` to before `end`.

    Explained in chapter ``lifetime-value``.

    Parameters
    ----------
    orders : DataFrame
        As in `rfm_summary`.
    customers : Index
        Whom to count for.
    start, end : date-like

    Returns
    -------
    array of shape (N,), int64
        In the order of `customers`.

    Examples
    --------
    Two orders of one day count once, those of the end not at all, and who has none gets 0.

    >>> import pandas as pd
    >>> from pm_utils.lifetime.rfm import days_with_order
    >>> days = pd.to_datetime(["2017-01-08", "2017-01-08", "2017-01-22"])
    >>> orders = pd.DataFrame({"customer_id": [7, 7, 7], "ordered_at": days})
    >>> days_with_order(orders, pd.Index([3, 7]), "2017-01-01", "2017-01-22")
    array([0, 1])
    """
    when = orders["ordered_at"]
    rows = orders[(when >= pd.Timestamp(start)) & (when < pd.Timestamp(end))]
    day = rows["ordered_at"].dt.normalize()
    count = day.groupby(rows["customer_id"]).nunique()
    return count.reindex(customers, fill_value=0).to_numpy()


def weekly_dispersion(orders: pd.DataFrame, as_of: Any, *, min_weeks: int = 8) -> pd.Series:
    """Return the variance of each customer's days with an order per week over their mean.

    One for a Poisson process, below it for regular buyers, above it for those who come in bouts.

    Explained in chapter ``lifetime-value``.

    Parameters
    ----------
    orders : DataFrame
        As in `rfm_summary`.
    as_of : date-like
        Weeks are counted back from this day, as many as are whole since the first order.
    min_weeks : int
        Customers with fewer weeks are left out.

    Returns
    -------
    Series
        By ``customer_id``; who has no order in the whole weeks is left out too.

    Examples
    --------
    Two customers of eight weeks: one comes every Monday, the other on the first three days only.

    >>> import pandas as pd
    >>> from pm_utils.lifetime.rfm import weekly_dispersion
    >>> mondays = pd.date_range("2017-01-02", periods=8, freq="7D")
    >>> bout = pd.date_range("2017-01-02", periods=3)
    >>> orders = pd.DataFrame({"customer_id": 8 * [1] + 3 * [2], "ordered_at": [*mondays, *bout]})
    >>> weekly_dispersion(orders, "2017-02-27").round(3).to_dict()
    {1: 0.0, 2: 3.0}
    """
    today = np.datetime64(pd.Timestamp(as_of), "D")
    day = orders["ordered_at"].to_numpy().astype("datetime64[D]")
    ids, customer = np.unique(orders["customer_id"].to_numpy()[day < today], return_inverse=True)
    ago = (today - day[day < today]).astype(np.int64) - 1
    customer, ago = np.unique(np.column_stack([customer, ago]), axis=0).T  # a day counts once
    first = np.zeros(len(ids), dtype=np.int64)
    np.maximum.at(first, customer, ago)
    weeks = (first + 1) // 7
    counts = np.zeros((len(ids), ago.max(initial=0) // 7 + 1))
    np.add.at(counts, (customer, ago // 7), 1)
    counts[np.arange(counts.shape[1]) >= weeks[:, None]] = np.nan
    kept = (weeks >= min_weeks) & (np.nansum(counts, axis=1) > 0)
    spread = np.nanvar(counts[kept], axis=1, ddof=1) / np.nanmean(counts[kept], axis=1)
    return pd.Series(spread, pd.Index(ids[kept], name="customer_id"))
