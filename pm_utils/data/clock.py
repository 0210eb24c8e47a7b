"""Times as the shop's own clock shows them, and the day that they fall on.

A time with a zone counts on the day that it is in *that* zone: an order of 23:30 in New York is of
that evening, whatever the day is in UTC. Move times of another zone to the shop's first, by
``tz_convert``. Times without a zone are taken as the shop's own.

A date to look from, or a span's start or end, is a *day*, and means its midnight: `shop_day`
refuses a time of day, which would count a part of a day as one.
"""

from typing import Any

import numpy as np
import pandas as pd

from pm_utils.inputs import refuse


def shop_times(values: pd.Series, name: str) -> pd.Series:
    """Return times without a zone, as the shop's clock shows them, or refuse them.

    Parameters
    ----------
    values : Series of datetimes
        With a zone, which is the shop's, or without.
    name : str
        The argument, for the message.

    Returns
    -------
    Series of datetimes without a zone
        The same one where there was no zone.

    Raises
    ------
    TypeError
        When the values are no datetimes, such as text, or of several zones.
    ValueError
        When a time is missing.

    Examples
    --------
    >>> import pandas as pd
    >>> from pm_utils.data.clock import shop_times
    >>> evening = pd.Series(pd.to_datetime(["2011-01-01 23:30"]).tz_localize("America/New_York"))
    >>> shop_times(evening, "ordered_at").tolist()
    [Timestamp('2011-01-01 23:30:00')]
    >>> shop_times(pd.Series(["2011-01-01"]), "ordered_at")
    Traceback (most recent call last):
    TypeError: ordered_at is of str, first '2011-01-01': give datetimes of one zone, or of none
    """
    if not pd.api.types.is_datetime64_any_dtype(values.dtype):
        first = repr(values.iloc[0]) if len(values) else "none"
        raise TypeError(
            f"{name} is of {values.dtype}, first {first}: give datetimes of one zone, or of none"
        )
    refuse(values.isna(), f"{name} is missing", "give each its time", rows=values)
    return values if values.dt.tz is None else values.dt.tz_localize(None)


def shop_day(date: Any, name: str, like: pd.Series | None = None) -> pd.Timestamp:
    """Return a day as its midnight without a zone, or refuse what is none.

    Parameters
    ----------
    date : date-like
        Its zone, if it has one, must be that of `like`.
    name : str
        The argument, for the message.
    like : Series of datetimes, optional
        The times that it is compared with.

    Raises
    ------
    ValueError
        When there is no such date, it has a time of day, or its zone is another.

    Examples
    --------
    >>> import pandas as pd
    >>> from pm_utils.data.clock import shop_day
    >>> shop_day("2011-02-01", "as_of")
    Timestamp('2011-02-01 00:00:00')
    >>> shop_day("2011-02-01 12:00", "as_of")
    Traceback (most recent call last):
    ValueError: as_of is 2011-02-01 12:00: give a day, without a time
    >>> shop_day(pd.Timestamp("2011-02-01", tz="Asia/Tokyo"), "as_of")
    Traceback (most recent call last):
    ValueError: as_of is of the zone Asia/Tokyo, the times of none: give the shop's own day
    """
    time = pd.Timestamp(date)
    if time is pd.NaT:
        raise ValueError(f"{name} is {date}: give a day")
    if time != time.normalize():
        raise ValueError(f"{name} is {date}: give a day, without a time")
    if time.tzinfo is None:
        return time
    own = None if like is None else getattr(like.dt, "tz", None)
    if str(own) != str(time.tzinfo):
        told = "none" if own is None else own
        raise ValueError(
            f"{name} is of the zone {time.tzinfo}, the times of {told}: give the shop's own day"
        )
    return time.tz_localize(None)


def day_numbers(times: pd.Series) -> np.ndarray:
    """Return the day of each time without a zone, as days since 1 January 1970 → (N,).

    Examples
    --------
    >>> import pandas as pd
    >>> from pm_utils.data.clock import day_numbers
    >>> day_numbers(pd.Series(pd.to_datetime(["1970-01-02 23:59"])))
    array([1])
    """
    return times.to_numpy().astype("datetime64[D]").astype(np.int64)
