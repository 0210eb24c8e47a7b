"""Reduce a customer's orders to frequency, recency, age and value.

``frequency`` x counts the days with an order after the first one, ``recency`` t_x is the time
from the first to the last order, ``age`` T the time from the first order to the last day that
counts; times are in weeks.

Every time is a difference of two *days*. Who looks from ``as_of`` knows the days before it, so the
last one that counts is the day before, as in the papers: to look at orders until 30 September, and
at that day's, give 1 October. The w weeks that follow an age are then the days from ``as_of`` to
before ``as_of`` + w weeks, which `days_with_order` counts.
"""

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pandas as pd

from pm_utils import inputs
from pm_utils.data.clock import day_numbers, shop_day, shop_times

WEEK = np.timedelta64(7, "D")
Returns = Literal["refuse", "net", "drop"]
Missing = Literal["refuse", "drop"]


@dataclass(frozen=True)
class _Days:
    """Days with an order, by customer and day: positions in `ids`, days since 1970, dollars."""

    ids: np.ndarray
    customer: np.ndarray
    day: np.ndarray
    dollars: np.ndarray | None
    left_out: dict[str, int]


def _days(
    orders: pd.DataFrame, start: Any, end: Any, *, returns: str, missing: str, dollars: bool
) -> _Days:
    """The days with an order from `start` (None: the first) to before `end`, by the policies."""
    for name, value, options in (
        ("returns", returns, ("refuse", "net", "drop")),
        ("missing_customers", missing, ("refuse", "drop")),
    ):
        if value not in options:
            raise ValueError(f"{name} is {value!r}: give one of {', '.join(options)}")
    names = ["customer_id", "ordered_at"] + ["amount"] * (dollars or "amount" in orders)
    orders = inputs.columns(orders, names, "orders")
    times = shop_times(orders["ordered_at"], "ordered_at")
    if start is None:
        early = times < shop_day(end, "as_of", orders["ordered_at"])
    else:
        early = times < shop_day(end, "end", orders["ordered_at"])
        early &= times >= shop_day(start, "start", orders["ordered_at"])
    orders, times, left_out = orders[early], times[early], {}  # counts of what is left out
    nobody = orders["customer_id"].isna().to_numpy()
    if missing == "refuse":
        remedy = "name the customers, or leave those rows out by missing_customers='drop'"
        inputs.refuse(nobody, "customer_id is missing", remedy, rows=orders)
    if missing == "drop":
        left_out["rows without a customer"] = int(nobody.sum())
        orders, times = orders[~nobody], times[~nobody]
    day = day_numbers(times)
    ids, customer = _codes(orders["customer_id"])
    if "amount" not in orders:
        return _one_per_day(ids, customer, day, None, left_out)
    amount = inputs.numbers(orders["amount"], "amount")
    back = amount < 0
    if returns == "refuse":
        remedy = (
            "these are returns; returns='net' takes them off the purchases before them, "
            "returns='drop' leaves them out"
        )
        inputs.refuse(back, "amount is below 0", remedy, rows=orders, shown=amount)
    if returns != "refuse":
        left_out["returns"] = int(back.sum())
    bought = _one_per_day(ids, customer[~back], day[~back], amount[~back], left_out)
    if returns == "net" and back.any():
        paid = bought.dollars.copy()
        left_out["dollars returned of no purchase"] = _net(
            bought, customer[back], day[back], -amount[back]
        )
        whole = (paid > 0) & (bought.dollars <= 1e-9 * paid)  # all of the day was brought back
        left_out["days returned in full"] = int(whole.sum())
        parts = (bought.customer, bought.day, bought.dollars)
        return _Days(ids, *(part[~whole] for part in parts), left_out)
    return bought


def _codes(customers: pd.Series) -> tuple[np.ndarray, np.ndarray]:
    """The ids, ascending, and each row's position among them."""
    try:
        return np.unique(customers.to_numpy(), return_inverse=True)
    except TypeError:
        kinds = sorted({type(one).__name__ for one in customers})
        raise TypeError(f"customer_id holds {' and '.join(kinds)}: give ids of one type") from None


def _one_per_day(
    ids: np.ndarray,
    customer: np.ndarray,
    day: np.ndarray,
    amount: np.ndarray | None,
    left_out: dict[str, int],
) -> _Days:
    """Sum the rows of each customer's day, by customer and day ascending."""
    first_day = day.min(initial=0)
    span = int(day.max(initial=0) - first_day) + 1
    pairs, pair = np.unique(customer * span + (day - first_day), return_inverse=True)
    dollars = None if amount is None else np.bincount(pair, amount, minlength=len(pairs))
    return _Days(ids, pairs // span, pairs % span + first_day, dollars, left_out)


def _net(bought: _Days, customer: np.ndarray, day: np.ndarray, returned: np.ndarray) -> float:
    """Take returns off the dollars of purchases until their day, the latest first.

    Returns the dollars that met no purchase: what came back was bought before the record began.
    """
    size = len(bought.day)
    who, when = np.append(bought.customer, customer), np.append(bought.day, day)
    span = int(np.ptp(when)) + 1
    order = np.argsort(who * span + (when - when.min()), kind="stable")  # a day's purchases first
    moved = pd.Series(np.append(bought.dollars, -returned)[order])
    rows = who[order]
    paid = moved.groupby(rows).cumsum()
    debt = paid.groupby(rows).cummin().clip(upper=0)  # what met no purchase so far
    held = paid - debt  # a stack of dollars: purchases lie on it, returns take from its top
    least = held[::-1].groupby(rows[::-1]).cummin()[::-1]  # how low it ever is from then on
    left = (least - held + moved).clip(lower=0).to_numpy()
    touched = (order < size) & (least < held).to_numpy()
    bought.dollars[order[touched]] = left[touched]
    return float(-debt.groupby(rows).last().sum())


def rfm_summary(
    orders: pd.DataFrame,
    as_of: Any,
    *,
    returns: Returns = "refuse",
    missing_customers: Missing = "refuse",
) -> pd.DataFrame:
    """Reduce each customer's orders before a date to frequency, recency, age and mean value.

    Explained in chapter ``lifetime-value``.

    Parameters
    ----------
    orders : DataFrame
        ``customer_id``, ``ordered_at`` and ``amount`` (dollars), in any order; other columns are
        not read. Times with a zone count on the days of that zone, which is the shop's.
    as_of : date-like
        The day to look from, without a time. Orders dated at its midnight or later do not count.
    returns : {"refuse", "net", "drop"}
        What to do with amounts below 0. A return is never a day with an order. ``"net"`` takes it
        off the customer's purchases until that day, the latest first and none below 0; a day of
        which nothing is left is no day with an order, as if it had not been. ``"drop"`` leaves
        the return out.
    missing_customers : {"refuse", "drop"}
        What to do with rows that name no customer.

    Returns
    -------
    DataFrame
        Indexed by ``customer_id``, ascending, one row per customer with an order before the date:

        - ``frequency``: days with an order after the first such day; orders of one day are one;
        - ``recency``: weeks from the first to the last of these days, 0 if there is but one;
        - ``age``: weeks from the first day to the last day that counts, the one before `as_of`;
        - ``value``: mean dollars of a day with an order, the first one left out; 0 without any.

        Where a policy is not to refuse, ``attrs["left_out"]`` counts the rows that it concerned.

    Raises
    ------
    ValueError
        When no order is that early, a row before the date is a return or names no customer and
        the policy is to refuse, an amount is not finite, a time is missing, or `as_of` has a time
        of day or a zone that is not that of the orders.
    KeyError
        When a column is missing.
    TypeError
        When ``ordered_at`` holds no datetimes, or ids are of types that have no order.

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
    >>> rfm_summary(orders, "2017-02-12").round(1).reset_index()
       customer_id  frequency  recency  age  value
    0            3          0      0.0  3.9    0.0
    1            7          2      3.0  5.9   15.0

    What is brought back is no order, and by ``"net"`` brings less:

    >>> back = pd.DataFrame({"customer_id": [7], "amount": [-4.0]})
    >>> orders = pd.concat([orders, back.assign(ordered_at=pd.Timestamp("2017-02-01"))])
    >>> net = rfm_summary(orders, "2017-02-12", returns="net")
    >>> net.loc[7, ["frequency", "value"]].tolist(), net.attrs["left_out"]["returns"]
    ([2.0, 13.0], 1)
    """
    held = _days(orders, None, as_of, returns=returns, missing=missing_customers, dollars=True)
    who, when, dollars = held.customer, held.day, held.dollars
    if not len(who):
        raise ValueError(f"no order is dated before {as_of}: give a later date")
    first = np.append(True, who[1:] != who[:-1]).nonzero()[0]
    days = np.diff(first, append=len(who))
    repeat = np.add.reduceat(dollars, first) - dollars[first]
    last = when[first + days - 1]
    table = {
        "frequency": days - 1,
        "recency": (last - when[first]) / 7,
        "age": (_last_day(as_of, orders) - when[first]) / 7,
        "value": repeat / np.maximum(days - 1, 1),
    }
    summary = pd.DataFrame(table, index=pd.Index(held.ids[who[first]], name="customer_id"))
    if held.left_out:
        summary.attrs["left_out"] = held.left_out
    return summary


def _last_day(as_of: Any, orders: pd.DataFrame) -> int:
    """The last day that counts, in days since 1970."""
    day = pd.Series([shop_day(as_of, "as_of", orders["ordered_at"])])
    return int(day_numbers(day)[0]) - 1


def days_with_order(
    orders: pd.DataFrame,
    customers: pd.Index,
    start: Any,
    end: Any,
    *,
    returns: Returns = "refuse",
    missing_customers: Missing = "refuse",
) -> pd.Series:
    """Count each customer's days with an order from `start` to before `end`.

    Explained in chapter ``lifetime-value``.

    Parameters
    ----------
    orders : DataFrame
        As in `rfm_summary`; ``amount`` may be missing.
    customers : Index
        Whom to count for.
    start, end : date-like
        Days, without a time; the first counts, the last does not.
    returns, missing_customers
        As in `rfm_summary`, among the rows of the span; a day with nothing but returns is none
        with an order.

    Returns
    -------
    Series of int64
        By customer, in the order of `customers`; 0 for those without an order, also before.

    Raises
    ------
    ValueError, KeyError, TypeError
        As in `rfm_summary`, and when the span does not end after it starts, or the customers' ids
        are of a type that no id of the orders is, such as text beside numbers.

    Examples
    --------
    Two orders of one day count once, those of the end not at all, and who has none gets 0.

    >>> import pandas as pd
    >>> from pm_utils.lifetime.rfm import days_with_order
    >>> days = pd.to_datetime(["2017-01-08", "2017-01-08", "2017-01-22"])
    >>> orders = pd.DataFrame({"customer_id": [7, 7, 7], "ordered_at": days})
    >>> days_with_order(orders, pd.Index([3, 7]), "2017-01-01", "2017-01-22").to_dict()
    {3: 0, 7: 1}
    """
    if not shop_day(start, "start", orders["ordered_at"]) < shop_day(
        end, "end", orders["ordered_at"]
    ):
        raise ValueError(f"the span is {start} to {end}: let it end after it starts")
    held = _days(orders, start, end, returns=returns, missing=missing_customers, dollars=False)
    theirs, known = (_kind(ids) for ids in (customers, orders["customer_id"]))
    if theirs and known and theirs != known:
        raise TypeError(
            f"customers holds {theirs}, customer_id {known}: give ids of one type, since none of "
            "these would be found"
        )
    count = pd.Series(np.bincount(held.customer, minlength=len(held.ids)), held.ids)
    return count.reindex(customers, fill_value=0)


def _kind(ids: pd.Index | pd.Series) -> str:
    """What the ids are, numbers or something else; empty where there is none."""
    kind = pd.api.types.infer_dtype(ids, skipna=True)
    if kind == "categorical":
        kind = pd.api.types.infer_dtype(pd.Index(ids).categories, skipna=True)
    names = dict.fromkeys(("integer", "floating", "mixed-integer-float", "decimal"), "numbers")
    return (names | {"empty": "", "string": "text"}).get(kind, kind)


def weekly_dispersion(
    orders: pd.DataFrame,
    as_of: Any,
    *,
    min_weeks: int = 8,
    returns: Returns = "refuse",
    missing_customers: Missing = "refuse",
) -> pd.Series:
    """Return the variance of each customer's days with an order per week over their mean.

    Low for regular buyers, high for those who come in bouts. In between lies a Poisson process: as
    a week has seven days, of one with a mean of m days a week the figure is 1 - m / 7.

    Explained in chapter ``lifetime-value``.

    Parameters
    ----------
    orders : DataFrame
        As in `rfm_summary`; ``amount`` may be missing.
    as_of : date-like
        Weeks are counted back from this day, as many as are whole since the first order.
    min_weeks : int
        Customers with fewer weeks are left out; at least 2, since one week has no variance.
    returns, missing_customers
        As in `rfm_summary`; a day with nothing but returns is none with an order.

    Returns
    -------
    Series
        By ``customer_id``; who has no order in the whole weeks is left out too.

    Raises
    ------
    ValueError, KeyError, TypeError
        As in `rfm_summary`, and when `min_weeks` is below 2.

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
    min_weeks = int(inputs.whole_numbers(min_weeks, "min_weeks"))
    if min_weeks < 2:
        raise ValueError(f"min_weeks is {min_weeks}: give at least 2, one week has no variance")
    held = _days(orders, None, as_of, returns=returns, missing=missing_customers, dollars=False)
    if not len(held.day):
        raise ValueError(f"no order is dated before {as_of}: give a later date")
    known, customer = np.unique(held.customer, return_inverse=True)  # a day counts once
    ids, ago = held.ids[known], _last_day(as_of, orders) - held.day
    first = np.zeros(len(ids), dtype=np.int64)
    np.maximum.at(first, customer, ago)
    weeks = (first + 1) // 7
    counts = np.zeros((len(ids), ago.max(initial=0) // 7 + 1))
    np.add.at(counts, (customer, ago // 7), 1)
    counts[np.arange(counts.shape[1]) >= weeks[:, None]] = np.nan
    kept = (weeks >= min_weeks) & (np.nansum(counts, axis=1) > 0)
    spread = np.nanvar(counts[kept], axis=1, ddof=1) / np.nanmean(counts[kept], axis=1)
    return pd.Series(spread, pd.Index(ids[kept], name="customer_id"))
