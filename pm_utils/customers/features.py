"""One row per customer from what was known before a date, and their scaling, learned once.

`customer_features` looks at nothing dated on or after ``as_of``. Demographics and the catalogue are
undated and taken as known. `DatedPipeline` scales features and remembers on which dates it learned.

Times with a zone count in that zone, which is the shop's. An order of a customer whom the shop does
not know is an error; a product without a row in the catalogue is "other".
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pandas as pd
from sklearn.compose import ColumnTransformer
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import FunctionTransformer, OneHotEncoder, StandardScaler

from pm_utils import inputs
from pm_utils.data import Shop
from pm_utils.data.clock import shop_day, shop_times

WINDOW = np.timedelta64(56, "D")
DAY = np.timedelta64(1, "D")
DEPARTMENTS = (
    *("GROCERY", "DRUG GM", "PRODUCE", "MEAT", "MEAT-PCKGD", "DELI", "PASTRY", "NUTRITION"),
    *("SEAFOOD-PCKGD", "COSMETICS", "FLORAL", "FUEL"),
)
OTHER = "other"


def _share(department: str) -> str:
    words = department.lower().replace(" ", "_").replace("-", "_")
    return f"share_{words}"


SHARES = [_share(department) for department in (*DEPARTMENTS, OTHER)]
FEATURES = pd.DataFrame(
    [
        ("age_group", "category", False, "age of the householder; 'unknown' where not told"),
        ("total_purchase", "dollars", True, "sum of amounts"),
        ("average_order_value", "dollars", False, "amount per order"),
        ("recency_days", "days", False, "since the last order"),
        ("orders", "count", True, "orders (frequency)"),
        ("spend_per_week", "dollars", False, "amount per week since the first order (monetary)"),
        ("orders_per_week", "count", False, "orders per week since the first order"),
        ("tenure_days", "days", True, "since the first order"),
        ("active_weeks", "count", True, "weeks, counted back from the date, with an order"),
        ("recent_spend", "dollars", False, "amount in the last 8 weeks"),
        (
            "earlier_spend",
            "dollars",
            False,
            "amount in the 8 weeks before those (wants 16 weeks of record)",
        ),
        ("recent_orders", "count", False, "orders in the last 8 weeks"),
        ("trend", "ratio", False, "(recent - earlier) / (recent + earlier), -1 to 1 (the same)"),
        ("lines_per_order", "count", False, "order lines per order"),
        ("weekend_share", "ratio", False, "orders on Saturday or Sunday / orders"),
        ("discount_share", "ratio", False, "retail discount / (amount + retail discount)"),
        ("coupon_dollars", "dollars", True, "coupon discount and its match by the shop"),
        ("coupon_order_share", "ratio", False, "orders with a coupon / orders"),
        ("private_label_share", "ratio", False, "amount on private labels / amount"),
        ("contacts", "count", True, "campaigns that addressed the customer and had started"),
        ("campaigns_answered", "count", True, "of these, campaigns with a redemption"),
        ("redemptions", "count", True, "coupons of a campaign redeemed"),
        *((name, "ratio", False, "amount in the department / amount") for name in SHARES),
    ],
    columns=["feature", "unit", "cumulative", "meaning"],
).set_index("feature")


def customer_features(shop: Shop, as_of: Any) -> pd.DataFrame:
    """Describe every customer by what was known before a date.

    Explained in chapter ``data-preparation``.

    Parameters
    ----------
    shop : Shop
        With ``customers``, ``products``, ``order_lines``, ``campaigns``, ``contacts`` and
        ``responses``.
    as_of : date-like
        A day. Rows dated at its midnight or later do not count; a campaign counts from the day
        after its start. Redemptions are dated by day, so a time of day would let them leak.

    Returns
    -------
    DataFrame
        Indexed by ``customer_id`` in the order of ``shop.customers``, one row per customer with
        an order before `as_of`; the columns of `FEATURES`, in its order and units. Cumulative
        features grow with the length of the record: compare them within one date only.

    Raises
    ------
    ValueError
        When `as_of` has a time of day or another zone than the orders, the shop lacks a table or
        lists a customer twice, no order is that early, an amount or a discount is not finite or
        below 0, as of a return, or a time is missing.
    KeyError
        When an order, a contact or a response is of a customer whom the shop does not know.

    Examples
    --------
    The order of 1 March lies on the date and does not count. Customer 8 has not ordered yet and is
    left out.

    >>> import pandas as pd
    >>> from pm_utils.customers.features import customer_features
    >>> from pm_utils.data import Shop
    >>> day = pd.to_datetime
    >>> lines = pd.DataFrame({"order_id": [1, 2, 3], "customer_id": 7, "product_id": [10, 11, 10],
    ...                       "amount": [6.0, 2.0, 9.0], "retail_discount": 0.0,
    ...                       "coupon_discount": [0.0, 1.0, 0.0], "coupon_match_discount": 0.0,
    ...                       "ordered_at": day(["2017-02-01", "2017-02-22", "2017-03-01"])})
    >>> shop = Shop(
    ...     customers=pd.DataFrame({"customer_id": [7, 8], "age_group": ["25-34", None]}),
    ...     products=pd.DataFrame({"product_id": [10, 11], "department": ["GROCERY", "MEAT"],
    ...                            "brand": ["National", "Private"]}),
    ...     order_lines=lines,
    ...     campaigns=pd.DataFrame({"campaign_id": [1], "starts_on": day(["2017-02-20"])}),
    ...     contacts=pd.DataFrame({"campaign_id": [1], "customer_id": [7]}),
    ...     responses=pd.DataFrame({"campaign_id": [1], "customer_id": [7],
    ...                             "responded_at": day(["2017-02-22"])}),
    ... )
    >>> known = customer_features(shop, "2017-03-01")
    >>> columns = ["orders", "total_purchase", "recency_days", "share_meat", "campaigns_answered"]
    >>> known[columns].T
    customer_id            7
    orders              2.00
    total_purchase      8.00
    recency_days        7.00
    share_meat          0.25
    campaigns_answered  1.00
    """
    _require(shop, "customers", "products", "order_lines", "campaigns", "contacts", "responses")
    cutoff = shop_day(as_of, "as_of", shop.order_lines["ordered_at"]).to_datetime64()
    lines = _before(shop.order_lines, "ordered_at", cutoff)
    if len(lines) == 0:
        raise ValueError(f"no order is dated before {as_of}: give a later date")
    everyone = everyone_of(shop)
    n = len(everyone)
    for column in ("amount", "retail_discount", "coupon_discount", "coupon_match_discount"):
        inputs.numbers(lines[column], column, low=0)
    order_id = lines["order_id"].to_numpy()
    runs = np.append(True, order_id[1:] != order_id[:-1]).nonzero()[0]  # where an order starts
    who = lines["customer_id"].iloc[runs]
    customer = inputs.codes(who, everyone, "order_lines.customer_id")  # one per run of lines
    columns = _spend(lines, runs, customer, n)
    columns |= _orders(lines, runs, customer, n, cutoff)
    columns |= _assortment(lines, shop.products, runs, customer, n)
    columns |= _marketing(shop, everyone, cutoff)
    age = shop.customers["age_group"].astype("object").fillna("unknown").to_numpy()
    levels = [*_levels(shop.customers["age_group"]), "unknown"]
    columns["age_group"] = pd.Categorical(age, categories=levels)
    frame = pd.DataFrame(columns, index=everyone)[list(FEATURES.index)]
    return frame[np.bincount(customer, minlength=n) > 0]


def _require(shop: Shop, *tables: str) -> None:
    if missing := [table for table in tables if getattr(shop, table) is None]:
        raise ValueError(
            f"the shop has no {', '.join(missing)}: give them to Shop.from_frames, or name them in "
            "load_shop([...])"
        )


def everyone_of(shop: Shop) -> pd.Index:
    """Return the ids of the shop's customers in the order of its table, each of them once.

    Raises
    ------
    ValueError
        When an id is missing, or stands in two rows.

    Examples
    --------
    >>> import pandas as pd
    >>> from pm_utils.customers.features import everyone_of
    >>> from pm_utils.data import Shop
    >>> everyone_of(Shop(customers=pd.DataFrame({"customer_id": [7, 8, 7]})))
    Traceback (most recent call last):
    ValueError: customers has the customer_id 7 in two rows or more: give each customer one row
    """
    ids = pd.Index(shop.customers["customer_id"])
    if ids.hasnans:
        raise ValueError(
            f"customers lacks the customer_id in {ids.isna().sum():,} of {len(ids):,} rows: give "
            "each customer one"
        )
    if not ids.is_unique:
        raise ValueError(
            f"customers has the customer_id {ids[ids.duplicated()].tolist()[0]!r} in two rows or "
            "more: give each customer one row"
        )
    return ids


def _levels(column: pd.Series) -> list[str]:
    if isinstance(column.dtype, pd.CategoricalDtype):
        return list(column.cat.categories)
    return sorted(column.dropna().unique())


def _ratio(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    """Divide, and give 0 where there is nothing to divide by."""
    return np.divide(part, whole, out=np.zeros(len(whole)), where=whole != 0)


def _before(table: pd.DataFrame, column: str, cutoff: np.datetime64) -> pd.DataFrame:
    """Return the rows dated before a cutoff; of a table sorted by time, without a copy."""
    times = shop_times(table[column], column)
    if table[column].dt.tz is not None:
        table = table.assign(**{column: times})
    early = times.to_numpy() < cutoff
    count = int(early.sum())
    return table.iloc[:count] if early[:count].all() else table[early]


def _spend(lines: pd.DataFrame, runs: np.ndarray, customer: np.ndarray, n: int) -> dict:
    def total(column: str) -> np.ndarray:
        return np.bincount(customer, np.add.reduceat(lines[column].to_numpy(), runs), n)

    amount, discount = total("amount"), total("retail_discount")
    return {
        "total_purchase": amount,
        "discount_share": _ratio(discount, amount + discount),
        "coupon_dollars": total("coupon_discount") + total("coupon_match_discount"),
    }


def _orders(
    lines: pd.DataFrame, runs: np.ndarray, customer: np.ndarray, n: int, cutoff: np.datetime64
) -> dict:
    """Count orders: runs of lines are summed to orders, orders to customers."""
    code, ids = pd.factorize(lines["order_id"].to_numpy()[runs])
    first = np.zeros(len(ids), dtype=np.int64)
    first[code[::-1]] = np.arange(len(runs))[::-1]  # the first run of an order is written last
    who, when = customer[first], lines["ordered_at"].to_numpy()[runs[first]]

    def per_order(column: str) -> np.ndarray:
        return np.bincount(code, np.add.reduceat(lines[column].to_numpy(), runs))

    value, coupon = per_order("amount"), per_order("coupon_discount") > 0
    orders = np.bincount(who, minlength=n)
    ago = cutoff - when
    recent, earlier = ago <= WINDOW, (ago > WINDOW) & (ago <= 2 * WINDOW)
    spent = [np.bincount(who[part], value[part], n) for part in (recent, earlier)]
    age_days = ago / DAY
    last, tenure = np.full(n, np.inf), np.zeros(n)
    np.minimum.at(last, who, age_days)
    np.maximum.at(tenure, who, age_days)
    weeks = np.maximum(tenure / 7, 1.0)  # a first week that is not over counts as one
    week = (age_days // 7).astype(np.int64)
    visited = np.unique(who * (week.max() + 1) + week) // (week.max() + 1)
    weekend = (when.astype("datetime64[D]").astype(np.int64) + 3) % 7 >= 5  # 1970-01-01: Thursday
    return {
        "orders": orders,
        "average_order_value": _ratio(np.bincount(who, value, n), orders),
        "recency_days": last,
        "tenure_days": tenure,
        "spend_per_week": np.bincount(who, value, n) / weeks,
        "orders_per_week": orders / weeks,
        "active_weeks": np.bincount(visited, minlength=n),
        "recent_spend": spent[0],
        "earlier_spend": spent[1],
        "recent_orders": np.bincount(who[recent], minlength=n),
        "trend": _ratio(spent[0] - spent[1], spent[0] + spent[1]),
        "lines_per_order": _ratio(
            np.bincount(customer, np.diff(runs, append=len(lines)), n), orders
        ),
        "weekend_share": _ratio(np.bincount(who, weekend, n), orders),
        "coupon_order_share": _ratio(np.bincount(who, coupon, n), orders),
    }


def _assortment(
    lines: pd.DataFrame, products: pd.DataFrame, runs: np.ndarray, customer: np.ndarray, n: int
) -> dict:
    """Sum amounts by department and brand; a product without a catalogue row is 'other'."""
    amount = lines["amount"].to_numpy()
    who = np.repeat(customer, np.diff(runs, append=len(lines)))
    row = pd.Index(products["product_id"]).get_indexer(lines["product_id"])  # -1: not listed
    group = pd.Index(DEPARTMENTS).get_indexer(products["department"].astype("object"))
    group = np.append(np.where(group < 0, len(DEPARTMENTS), group), len(DEPARTMENTS))
    width = len(DEPARTMENTS) + 1
    cells = np.bincount(who * width + group[row], amount, n * width).reshape(n, width)
    total = cells.sum(axis=1)
    private = np.append(products["brand"].eq("Private").to_numpy(dtype=float), 0.0)
    shares = {name: _ratio(cells[:, k], total) for k, name in enumerate(SHARES)}
    return shares | {
        "private_label_share": _ratio(np.bincount(who, amount * private[row], n), total),
    }


def _marketing(shop: Shop, everyone: pd.Index, cutoff: np.datetime64) -> dict:
    """Count contacts of campaigns that have started, and what they brought."""
    started = _before(shop.campaigns, "starts_on", cutoff)["campaign_id"]
    contacts = shop.contacts[shop.contacts["campaign_id"].isin(started)]
    responses = _before(shop.responses, "responded_at", cutoff)
    answered = responses.drop_duplicates(["customer_id", "campaign_id"])

    def count(rows: pd.DataFrame) -> np.ndarray:
        who = inputs.codes(rows["customer_id"], everyone, "customer_id")
        return np.bincount(who, minlength=len(everyone))

    counted = {"contacts": contacts, "campaigns_answered": answered, "redemptions": responses}
    return {name: count(rows) for name, rows in counted.items()}


def features_on(shop: Shop, dates: Iterable[Any]) -> pd.DataFrame:
    """Stack `customer_features` of several dates.

    Explained in chapter ``data-preparation``.

    Parameters
    ----------
    shop : Shop
        As in `customer_features`.
    dates : iterable of date-like
        The days to look from.

    Returns
    -------
    DataFrame
        Indexed by ``as_of`` and ``customer_id``.

    Raises
    ------
    ValueError
        As in `customer_features`, and when no date is given or one is given twice.
    """
    _require(shop, "order_lines")
    days = [shop_day(day, "as_of", shop.order_lines["ordered_at"]) for day in dates]
    if not days or len(set(days)) < len(days):
        raise ValueError(f"the dates are {[str(day) for day in days]}: give some, each once")
    return pd.concat({day: customer_features(shop, day) for day in days}, names=["as_of"])


def spend_between(shop: Shop, start: Any, end: Any) -> pd.Series:
    """Sum every customer's amounts from `start` to before `end`.

    Explained in chapter ``data-preparation``.

    Parameters
    ----------
    shop : Shop
        With ``customers`` and ``order_lines``.
    start, end : date-like
        The window, whole days.

    Returns
    -------
    Series
        Dollars by ``customer_id``, 0 for who bought nothing; returns within the window are netted.

    Raises
    ------
    ValueError
        When the shop lacks a table or lists a customer twice, the window does not start before it
        ends, or one of them has a time of day, an amount is not finite, a time is missing, or the
        zone of the window is not that of the orders.
    KeyError
        When an order in the window is of a customer whom the shop does not know.

    Examples
    --------
    >>> import pandas as pd
    >>> from pm_utils.customers.features import spend_between
    >>> from pm_utils.data import Shop
    >>> lines = pd.DataFrame({"customer_id": [7, 7], "amount": [3.0, 4.0],
    ...                       "ordered_at": pd.to_datetime(["2017-01-31", "2017-02-01"])})
    >>> shop = Shop(customers=pd.DataFrame({"customer_id": [7, 8]}), order_lines=lines)
    >>> spend_between(shop, "2017-01-01", "2017-02-01")  # the last day does not count
    customer_id
    7    3.0
    8    0.0
    Name: spend, dtype: float64
    """
    _require(shop, "customers", "order_lines")
    ordered_at = shop.order_lines["ordered_at"]
    first, last = (
        shop_day(day, name, ordered_at) for name, day in (("start", start), ("end", end))
    )
    if not first < last:
        raise ValueError(f"the window is {start} to {end}: let it end after it starts")
    when = shop_times(ordered_at, "ordered_at")
    lines = shop.order_lines[(when >= first) & (when < last)]
    inputs.numbers(lines["amount"], "amount")
    everyone = everyone_of(shop)
    inputs.codes(lines["customer_id"].unique(), everyone, "customer_id")
    total = lines.groupby("customer_id")["amount"].sum()
    return total.reindex(everyone, fill_value=0.0).rename("spend")


def next_spend(shop: Shop, features: pd.DataFrame, *, window: Any = WINDOW) -> pd.Series:
    """Sum what each customer spends in the weeks that follow each date.

    Explained in chapter ``data-preparation``.

    Parameters
    ----------
    shop : Shop
        With ``customers`` and ``order_lines``.
    features : DataFrame
        From `features_on`; only its index is read.
    window : timedelta
        How long to look ahead, by default eight weeks.

    Returns
    -------
    Series
        Dollars, in the order of `features`.

    Examples
    --------
    The window opens on the date itself: eight weeks from 1 February on.

    >>> import pandas as pd
    >>> from pm_utils.customers.features import next_spend
    >>> from pm_utils.data import Shop
    >>> lines = pd.DataFrame({"customer_id": 7, "amount": [3.0, 4.0, 5.0],
    ...                       "ordered_at": pd.to_datetime(["2017-01-31", "2017-02-01",
    ...                                                     "2017-04-01"])})
    >>> shop = Shop(customers=pd.DataFrame({"customer_id": [7]}), order_lines=lines)
    >>> index = pd.MultiIndex.from_tuples([(pd.Timestamp("2017-02-01"), 7)],
    ...                                   names=["as_of", "customer_id"])
    >>> next_spend(shop, pd.DataFrame(index=index)).tolist()
    [4.0]
    """
    days = features.index.unique("as_of")
    spend = {day: spend_between(shop, day, day + pd.Timedelta(window)) for day in days}
    return pd.concat(spend, names=["as_of"])[features.index]


def orders_of(
    shop: Shop, *, missing_customers: Literal["refuse", "drop"] = "refuse"
) -> pd.DataFrame:
    """Sum the lines of each order.

    Explained in chapter ``data-preparation``.

    Parameters
    ----------
    shop : Shop
        With ``order_lines``.
    missing_customers : {"refuse", "drop"}
        What to do with lines that name no customer.

    Returns
    -------
    DataFrame
        ``order_id, customer_id, amount, ordered_at``, one row per order; returns keep their sign.
        With ``"drop"``, ``attrs["left_out"]`` counts the lines without a customer.

    Raises
    ------
    ValueError
        When the shop has no order lines, a line names no customer and is not dropped, an amount is
        not finite, or a time is missing.

    Examples
    --------
    >>> import pandas as pd
    >>> from pm_utils.customers.features import orders_of
    >>> from pm_utils.data import Shop
    >>> lines = pd.DataFrame({"order_id": [1, 1, 2], "customer_id": 7, "amount": [3.0, 4.0, 5.0],
    ...                       "ordered_at": pd.to_datetime(["2017-01-31", "2017-01-31",
    ...                                                     "2017-02-01"])})
    >>> orders_of(Shop(order_lines=lines))
       order_id  customer_id  amount ordered_at
    0         1            7     7.0 2017-01-31
    1         2            7     5.0 2017-02-01
    """
    _require(shop, "order_lines")
    if missing_customers not in ("refuse", "drop"):
        raise ValueError(f"missing_customers is {missing_customers!r}: give refuse or drop")
    lines = shop.order_lines
    nobody = lines["customer_id"].isna().to_numpy()
    if nobody.any() and missing_customers == "refuse":
        raise ValueError(
            f"customer_id is missing in {nobody.sum():,} of {len(nobody):,} rows, first row "
            f"{lines.index[nobody.argmax()]!r}: name the customers, or leave those lines out by "
            "missing_customers='drop'"
        )
    inputs.numbers(lines["amount"], "amount")
    shop_times(lines["ordered_at"], "ordered_at")
    groups = lines.groupby(["order_id", "customer_id"], as_index=False)  # leaves out who is missing
    orders = groups.agg(amount=("amount", "sum"), ordered_at=("ordered_at", "first"))
    if missing_customers == "drop":
        orders.attrs["left_out"] = {"lines without a customer": int(nobody.sum())}
    return orders


def feature_pipeline(columns: Iterable[str] | None = None) -> Pipeline:
    """Return an unfitted pipeline that turns features into numbers of like size.

    Dollars, counts and days are long-tailed: their logarithm is taken (``log1p``) before they are
    brought to mean 0 and deviation 1. Ratios are only standardised. Categories become 0/1 columns.

    Explained in chapter ``customer-profile``.

    Parameters
    ----------
    columns : iterable of str, optional
        Some of `FEATURES`; by default all.

    Returns
    -------
    sklearn.pipeline.Pipeline
        Gives a DataFrame with the index of its input. Its columns are found by name; it refuses
        features that are not finite, and dollars, days or counts below 0, with their column.

    Raises
    ------
    ValueError
        When a column is none of `FEATURES`.

    Examples
    --------
    >>> import pandas as pd
    >>> from pm_utils.customers.features import feature_pipeline
    >>> pipeline = feature_pipeline(["orders", "trend", "age_group"])
    >>> known = pd.DataFrame({"orders": [0, 3], "trend": [-0.5, 0.5],
    ...                       "age_group": ["25-34", "65+"]})
    >>> pipeline.fit_transform(known)
       orders  trend  age_group_25-34  age_group_65+
    0    -1.0   -1.0              1.0            0.0
    1     1.0    1.0              0.0            1.0
    >>> pipeline.transform(known.assign(age_group="19-24")).iloc[:, 2:]  # unknown: all zero
       age_group_25-34  age_group_65+
    0              0.0            0.0
    1              0.0            0.0
    """
    return _CheckedPipeline(_scaling(columns).steps)


class _CheckedPipeline(Pipeline):
    """The pipeline for use by itself: a `DatedPipeline` checks, and stores, what is within."""

    def _check(self, features: pd.DataFrame) -> None:
        _check_features(features, [name for *_, held in self[0].transformers for name in held])

    def fit(self, X: pd.DataFrame, y: Any = None, **params: Any) -> Pipeline:
        self._check(X)
        return super().fit(X, y, **params)

    def fit_transform(self, X: pd.DataFrame, y: Any = None, **params: Any) -> pd.DataFrame:
        self._check(X)
        return super().fit_transform(X, y, **params)

    def transform(self, X: pd.DataFrame, **params: Any) -> pd.DataFrame:
        self._check(X)
        return super().transform(X, **params)


def _scaling(columns: Iterable[str] | None) -> Pipeline:
    """The steps of `feature_pipeline`, without checks."""
    chosen = list(FEATURES.index if columns is None else columns)
    if unknown := [column for column in chosen if column not in FEATURES.index]:
        raise ValueError(f"{unknown} are no features: choose from {list(FEATURES.index)}")
    unit = FEATURES.loc[chosen, "unit"]
    long_tailed = list(unit.index[unit.isin(["dollars", "count", "days"])])
    logarithm = FunctionTransformer(np.log1p, feature_names_out="one-to-one")
    steps = ColumnTransformer(
        [
            (
                "long_tailed",
                Pipeline([("log", logarithm), ("scale", StandardScaler())]),
                long_tailed,
            ),
            ("ratio", StandardScaler(), list(unit.index[unit == "ratio"])),
            (
                "category",
                OneHotEncoder(handle_unknown="ignore", sparse_output=False),
                list(unit.index[unit == "category"]),
            ),
        ],
        verbose_feature_names_out=False,
    )
    return Pipeline([("scale", steps)]).set_output(transform="pandas")


def _check_features(features: pd.DataFrame, names: list[str]) -> None:
    """Refuse numbers that are none, and negative ones whose logarithm is to be taken."""
    table = inputs.columns(features, names, "features")
    unit = FEATURES.loc[names, "unit"]
    for units, low in ((["ratio"], None), (["dollars", "count", "days"], 0)):
        inputs.numbers(table[list(unit.index[unit.isin(units)])], "features", low=low)


@dataclass(frozen=True)
class DatedPipeline:
    """A fitted pipeline and the dates that it learned on.

    Explained in chapter ``data-preparation``.

    Attributes
    ----------
    pipeline : sklearn.pipeline.Pipeline
        Fitted by `learn`.
    learned_on : tuple of Timestamp
        The dates of the features that it saw, ascending.

    Examples
    --------
    What was learned until February may scale March, but never a January that it was not shown.

    >>> import pandas as pd
    >>> from pm_utils.customers.features import DatedPipeline
    >>> def on(date):
    ...     index = pd.MultiIndex.from_product([[pd.Timestamp(date)], [7, 8]],
    ...                                        names=["as_of", "customer_id"])
    ...     return pd.DataFrame({"trend": [-0.5, 0.5]}, index)
    >>> pipeline = DatedPipeline.learn(on("2017-02-01"), columns=["trend"])
    >>> pipeline.transform(on("2017-03-01"))["trend"].tolist()
    [-1.0, 1.0]
    >>> pipeline.transform(on("2017-01-01"))  # doctest: +ELLIPSIS
    Traceback (most recent call last):
        ...
    ValueError: the scaling learned until 2017-02-01, after 2017-01-01: ...
    """

    pipeline: Pipeline
    learned_on: tuple[pd.Timestamp, ...]

    @classmethod
    def learn(
        cls, features: pd.DataFrame, *, columns: Iterable[str] | None = None
    ) -> "DatedPipeline":
        """Fit `feature_pipeline` on the training dates.

        Parameters
        ----------
        features : DataFrame
            From `features_on`, of the training dates only.
        columns : iterable of str, optional
            The features to use; by default all.

        Returns
        -------
        DatedPipeline

        Raises
        ------
        ValueError
            When a feature is not finite, or dollars, days or a count are below 0, with its column.
        KeyError
            When a feature is missing.
        """
        columns = list(FEATURES.index if columns is None else columns)
        pipeline = _scaling(columns)
        _check_features(features, columns)
        days = features.index.get_level_values("as_of").unique().sort_values()
        return cls(pipeline.fit(features), tuple(days))

    def transform(self, features: pd.DataFrame) -> pd.DataFrame:
        """Scale features of the training dates, or of later ones.

        Parameters
        ----------
        features : DataFrame
            From `features_on`.

        Returns
        -------
        DataFrame
            The same rows; every column a number.

        Raises
        ------
        ValueError
            When a date is earlier than the last training date and no training date itself: the
            scaling has seen that date's future, so a score on it would be too good. Also as in
            `learn`.
        KeyError
            When a feature is missing; they are found by name.
        """
        names = self.pipeline.feature_names_in_
        _check_features(features, [name for name in FEATURES.index if name in names])
        days = features.index.get_level_values("as_of").unique()
        seen = [day for day in days if day < self.learned_on[-1] and day not in self.learned_on]
        if seen:
            raise ValueError(
                f"the scaling learned until {self.learned_on[-1]:%Y-%m-%d}, after "
                f"{', '.join(f'{day:%Y-%m-%d}' for day in seen)}: "
                "learn it on earlier dates or look from later ones"
            )
        return self.pipeline.transform(features)

    def as_artifact(self) -> dict[str, Any]:
        """Return pipeline and dates, as a ``.skops`` file can hold; `from_artifact` undoes it."""
        dates = [f"{day:%Y-%m-%d}" for day in self.learned_on]
        return {"pipeline": self.pipeline, "learned_on": dates}

    @classmethod
    def from_artifact(cls, saved: dict[str, Any]) -> "DatedPipeline":
        """Return what `as_artifact` took apart."""
        return cls(saved["pipeline"], tuple(map(pd.Timestamp, saved["learned_on"])))
