"""The source's recipe of §4.1, to the letter, and what each of its leaks is worth.

References
----------
Kaufman, Rosset, Perlich & Stitelman (2012), Leakage in data mining.
"""

from typing import Any

import numpy as np
import pandas as pd
from sklearn.base import BaseEstimator, clone
from sklearn.model_selection import KFold, cross_val_predict
from sklearn.neighbors import KNeighborsRegressor
from sklearn.preprocessing import MinMaxScaler

from pm_utils.customers.features import WINDOW, customer_features, orders_of, spend_between
from pm_utils.data import Shop
from pm_utils.inputs import columns, labels, numbers

LADDER_STEPS = (
    "the recipe, rows split at random",
    "one row per customer",
    "totals of the past only",
    "trained on an earlier date",
    "scaler of the earlier date",
)


def recipe(raw_data: pd.DataFrame) -> pd.DataFrame:
    """Add the source's features to orders, as its section 4.1 does; kept wrong on purpose.

    Explained in chapter ``data-preparation``.

    Parameters
    ----------
    raw_data : DataFrame
        One row per order with ``user_id`` and ``order_amount`` (dollars).

    Returns
    -------
    DataFrame
        The same rows with ``total_purchase`` and ``avg_order_value``, both scaled to 0..1.

    Raises
    ------
    KeyError
        When a column is missing.
    ValueError
        When an amount is not finite, or an order is of nobody.

    Examples
    --------
    The total of a customer stands in each of their rows, the first order included: a leak.

    >>> import pandas as pd
    >>> from pm_utils.chapters.data_preparation import recipe
    >>> orders = pd.DataFrame({"user_id": [1, 1, 2], "order_amount": [10.0, 30.0, 20.0]})
    >>> recipe(orders)
       user_id  order_amount  total_purchase  avg_order_value
    0        1          10.0             1.0              0.0
    1        1          30.0             1.0              0.0
    2        2          20.0             0.0              0.0
    """
    known = columns(raw_data, ["user_id", "order_amount"], "raw_data")
    numbers(known["order_amount"], "order_amount"), labels(known["user_id"], "user_id")
    raw_data = raw_data.copy()
    amount = raw_data["order_amount"].groupby(raw_data["user_id"])
    raw_data["total_purchase"] = amount.transform("sum")
    raw_data["avg_order_value"] = amount.transform("mean")
    added = ["total_purchase", "avg_order_value"]
    raw_data[added] = MinMaxScaler().fit_transform(raw_data[added])
    return raw_data


def leak_ladder(
    shop: Shop, earlier: Any, day: Any, *, model: BaseEstimator | None = None, seed: int = 0
) -> pd.Series:
    """Forecast the spend of the eight weeks after `day`, closing one leak after the other.

    Explained in chapter ``data-preparation``.

    Parameters
    ----------
    shop : Shop
        All tables but ``offers`` and ``exposures``.
    earlier : date-like
        The date to train on once training may not see `day`; eight weeks before it, or more.
    day : date-like
        The date to forecast from.
    model : regressor of scikit-learn, optional
        What forecasts; without it the mean of the 25 nearest customers.
    seed : int
        Of the random splits.

    Returns
    -------
    Series
        Mean absolute error per customer in dollars, one entry per element of `LADDER_STEPS`.
    """
    earlier, day = pd.Timestamp(earlier), pd.Timestamp(day)
    spend = spend_between(shop, day, day + WINDOW)
    model = KNeighborsRegressor(25) if model is None else clone(model)

    def cross_validated(rows: np.ndarray, customers: pd.Index) -> float:
        """Five random folds; the error is averaged by customer first."""
        folds = KFold(5, shuffle=True, random_state=seed)
        target = spend[customers]
        error = (target - cross_val_predict(model, rows, target, cv=folds)).abs()
        return float(error.groupby(level=0).mean().mean())

    now, before = (_totals(shop, date) for date in (day, earlier))
    orders = orders_of(shop).rename(columns={"customer_id": "user_id", "amount": "order_amount"})
    raw = recipe(orders)
    raw = raw[raw["user_id"].isin(now.index)].set_index("user_id")
    raw = raw[["total_purchase", "avg_order_value"]]
    single = raw[~raw.index.duplicated()]

    def trained_earlier(seen: pd.DataFrame) -> float:
        """Train on the earlier date, with a scaler that has seen some rows."""
        scaler = MinMaxScaler().fit(seen)
        past = spend_between(shop, earlier, earlier + WINDOW)[before.index]
        forecast = model.fit(scaler.transform(before), past).predict(scaler.transform(now))
        return float((spend[now.index] - forecast).abs().mean())

    errors = [
        cross_validated(raw.to_numpy(), raw.index),
        cross_validated(single.to_numpy(), single.index),
        cross_validated(MinMaxScaler().fit_transform(now), now.index),
        trained_earlier(pd.concat([before, now])),
        trained_earlier(before),
    ]
    return pd.Series(errors, index=LADDER_STEPS, name="error")


def _totals(shop: Shop, day: pd.Timestamp) -> pd.DataFrame:
    return customer_features(shop, day)[["total_purchase", "average_order_value"]]
