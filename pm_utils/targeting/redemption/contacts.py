"""Campaign contacts of a shop: who was addressed when, who redeemed, and the log behind it.

One row is a *contact*: a household that a campaign addressed.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import tzinfo
from typing import Any, Self

import numpy as np
import pandas as pd
import scipy.sparse as sp

from pm_utils.data import Shop
from pm_utils.data.clock import shop_day, shop_times
from pm_utils.inputs import codes, numbers

PARTS = ("learn", "choose", "test")
CAMPAIGN_TYPES = ("Type A", "Type B", "Type C")


def contact_table(shop: Shop, *, first: Any, last: Any) -> pd.DataFrame:
    """List the contacts of the campaigns within a period, and whether each redeemed a coupon.

    Explained in chapter ``conversion``.

    Parameters
    ----------
    shop : Shop
        With ``campaigns``, ``contacts`` and ``responses``.
    first, last : date-like
        A campaign counts if it starts on `first` or later and ends on `last` or earlier.

    Returns
    -------
    DataFrame
        ``campaign_id, customer_id, campaign_type, starts_on, ends_on, days`` (its length) and
        ``redeemed``, sorted by start, campaign and customer.

    Raises
    ------
    KeyError
        When a contact or a response is of no campaign.
    ValueError
        When a campaign is listed twice, a response is of somebody whom its campaign did not
        address, or a date of a campaign is missing. Dates with a zone count on the shop's own day.

    Examples
    --------
    Campaign 2 ends after the period and does not count.

    >>> import pandas as pd
    >>> from pm_utils.data import Shop
    >>> from pm_utils.targeting.redemption.contacts import contact_table
    >>> campaigns = pd.DataFrame({"campaign_id": [1, 2], "campaign_type": ["Type A", "Type B"],
    ...                           "starts_on": pd.to_datetime(["2017-03-01", "2017-03-20"]),
    ...                           "ends_on": pd.to_datetime(["2017-03-05", "2017-04-10"])})
    >>> contacts = pd.DataFrame({"campaign_id": [1, 1, 2], "customer_id": [7, 8, 7]})
    >>> responses = pd.DataFrame({"campaign_id": [1], "customer_id": [8]})
    >>> shop = Shop(campaigns=campaigns, contacts=contacts, responses=responses)
    >>> table = contact_table(shop, first="2017-03-01", last="2017-03-31")
    >>> table[["campaign_id", "customer_id", "days", "redeemed"]]
       campaign_id  customer_id  days  redeemed
    0            1            7     5     False
    1            1            8     5      True
    """
    spans = shop.campaigns
    known = _campaign_ids(spans)
    codes(shop.contacts["campaign_id"], known, "contacts, campaign_id")
    codes(shop.responses["campaign_id"], known, "responses, campaign_id")
    first, last = (
        shop_day(day, name, spans[column])
        for day, name, column in ((first, "first", "starts_on"), (last, "last", "ends_on"))
    )
    spans = _own_clock(spans, "campaigns")
    within = (spans["starts_on"] >= first) & (spans["ends_on"] <= last)
    rows = shop.contacts.merge(spans[within], on="campaign_id")
    rows = rows.sort_values(["starts_on", "campaign_id", "customer_id"], ignore_index=True)
    pair = ["campaign_id", "customer_id"]
    answered = pd.MultiIndex.from_frame(shop.responses[pair])
    stray = ~answered.isin(pd.MultiIndex.from_frame(shop.contacts[pair]))
    if stray.any():
        row = shop.responses.iloc[stray.argmax()]
        raise ValueError(
            f"responses: {stray.sum():,} of {len(stray):,} are of nobody whom their campaign "
            f"addressed, first customer_id {row['customer_id']} of campaign {row['campaign_id']}: "
            "leave them out, or list who was addressed in contacts"
        )
    spans = [pd.to_datetime(rows[name]) for name in ("starts_on", "ends_on")]
    rows["days"] = (spans[1] - spans[0]).dt.days + 1
    rows["redeemed"] = pd.MultiIndex.from_frame(rows[pair]).isin(answered)
    columns = ["campaign_type", "starts_on", "ends_on", "days", "redeemed"]
    return rows[[*pair, *columns]]


TIMES = {  # columns of a shop's tables that hold times
    "campaigns": ("starts_on", "ends_on"),
    "order_lines": ("ordered_at",),
    "responses": ("responded_at",),
}


def _own_clock(table: pd.DataFrame, name: str) -> pd.DataFrame:
    """Return a table of a shop with times as the shop's clock shows them."""
    read = shop_times if len(table) else lambda values, _: pd.to_datetime(values)
    times = {
        column: read(table[column], f"{name}, {column}")
        for column in TIMES[name]
        if column in table
    }
    same = all(times[column] is table[column] for column in times)
    return table if same else table.assign(**times)


def _campaign_ids(spans: pd.DataFrame) -> pd.Index:
    """Return the numbers of the campaigns, each once."""
    known = pd.Index(spans["campaign_id"])
    if not known.is_unique:
        twice = known[known.duplicated()][0]
        raise ValueError(f"campaigns has campaign_id {twice} twice: give each campaign one row")
    return known


def column_name(campaign_type: str) -> str:
    """Return a campaign type as part of a column's name.

    Raises
    ------
    ValueError
        When it holds neither a letter nor a number.

    Examples
    --------
    >>> from pm_utils.targeting.redemption.contacts import column_name
    >>> column_name("Type A"), column_name("post card")
    ('type_a', 'post_card')
    """
    name = re.sub(r"\W+", "_", str(campaign_type).lower()).strip("_")
    if not name:
        raise ValueError(f"campaign_type is {campaign_type!r}: give it a letter or a number")
    return name


def split_parts(contacts: pd.DataFrame, *, choose_from: Any, test_from: Any) -> pd.Series:
    """Say by the campaign's start what each contact serves for.

    Explained in chapter ``conversion``.

    Parameters
    ----------
    contacts : DataFrame
        From `contact_table`.
    choose_from, test_from : date-like
        The first days of *choose* and *test*.

    Returns
    -------
    Series of str
        ``"learn"``, ``"choose"`` or ``"test"``.

    Raises
    ------
    ValueError
        When a start is missing, or *test* begins before *choose*.

    Examples
    --------
    >>> import pandas as pd
    >>> from pm_utils.targeting.redemption.contacts import split_parts
    >>> contacts = pd.DataFrame({"starts_on": pd.to_datetime(["2017-03-01", "2017-06-01",
    ...                                                       "2017-09-01"])})
    >>> split_parts(contacts, choose_from="2017-06-01", test_from="2017-08-01").tolist()
    ['learn', 'choose', 'test']
    """
    start = shop_times(contacts["starts_on"], "contacts, starts_on")
    choose, test = (
        shop_day(day, name, contacts["starts_on"])
        for day, name in ((choose_from, "choose_from"), (test_from, "test_from"))
    )
    if choose > test:
        raise ValueError(f"choose_from is {choose_from}, test_from {test_from}: give them in order")
    earlier = [start < choose, start < test]
    part = np.select(earlier, PARTS[:2], PARTS[2])
    return pd.Series(part, contacts.index, name="part")


@dataclass(frozen=True)
class CampaignLog:
    """A shop's lines and responses in plain arrays, coded once and cut at a date many times.

    Explained in chapter ``conversion``.

    Attributes
    ----------
    shop : Shop
    customers, products : Index
        What the codes stand for; products include offered ones that were never sold.
    customer, product : arrays of shape (L,)
        Codes of each order line.
    day, coupon : arrays of shape (L,)
        When it was bought (datetime64), and whether with a coupon.
    kind : sparse array of shape (P, K)
        1 where a product is of a product type.
    types : tuple of str
        The types of campaigns, `CAMPAIGN_TYPES` unless others were given to `of`.
    zone : tzinfo or None
        Of the order lines of the shop that was given; those of `shop` have none.

    Examples
    --------
    Households 7 and 8 buy products 10 and 11; product 12 is on offer, but was never sold.

    >>> import pandas as pd
    >>> from pm_utils.data import Shop
    >>> from pm_utils.targeting.redemption.contacts import CampaignLog
    >>> lines = pd.DataFrame({"customer_id": [7, 7, 8], "product_id": [10, 11, 10],
    ...                       "coupon_discount": [0.0, 1.0, 0.0],
    ...                       "ordered_at": pd.to_datetime(["2017-01-02", "2017-01-09",
    ...                                                     "2017-02-01"])})
    >>> products = pd.DataFrame({"product_id": [10, 11, 12], "category": ["BEEF", "PORK", "PORK"],
    ...                          "product_type": ["STEAK", "CHOPS", "CHOPS"]})
    >>> offers = pd.DataFrame({"campaign_id": [1, 1], "coupon_id": [900, 900],
    ...                        "product_id": [10, 12]})
    >>> customers = pd.DataFrame({"customer_id": [7, 8]})
    >>> shop = Shop(customers=customers, products=products, order_lines=lines, offers=offers)
    >>> log = CampaignLog.of(shop)
    >>> rows = log.before("2017-02-01")  # the line of that day is not read
    >>> log.bought(rows).toarray()  # households by products
    array([[1., 1., 0.],
           [0., 0., 0.]], dtype=float32)
    >>> coupons, covers = log.offered(1)
    >>> covers.toarray()  # coupons by products
    array([[1., 0., 1.]])
    """

    shop: Shop
    customers: pd.Index
    products: pd.Index
    customer: np.ndarray
    product: np.ndarray
    day: np.ndarray
    coupon: np.ndarray
    kind: sp.csr_array
    types: tuple[str, ...] = CAMPAIGN_TYPES
    zone: tzinfo | None = None

    @classmethod
    def of(cls, shop: Shop, *, types: Sequence[str] = CAMPAIGN_TYPES) -> Self:
        """Code the tables of a shop; all but ``exposures`` are needed.

        Parameters
        ----------
        shop : Shop
        types : sequence of str
            The shop's types of campaigns. Each of those given gets features of its own; of the
            book's three, B and C share theirs.

        Raises
        ------
        KeyError
            When a campaign is of another type, or an order line of no customer.
        ValueError
            When two types make one column, a customer is listed twice, an amount or a discount is
            below 0, as of a return, or a time is missing.
        """
        types = _checked_types(shop, types)
        for column in ("amount", "coupon_discount"):
            if column in shop.order_lines:
                numbers(shop.order_lines[column], f"order_lines, {column}", low=0)
        zone = getattr(shop.order_lines["ordered_at"].dt, "tz", None)
        tables = {name: getattr(shop, name, None) for name in TIMES}
        tables = {name: table for name, table in tables.items() if table is not None}
        clocked = {name: _own_clock(table, name) for name, table in tables.items()}
        if any(clocked[name] is not tables[name] for name in tables):
            shop = replace(shop, **clocked)
        lines = shop.order_lines
        customers = pd.Index(shop.customers["customer_id"])
        sold = pd.unique(lines["product_id"])
        products = pd.Index(np.union1d(sold, pd.unique(shop.offers["product_id"])))
        catalogue = shop.products.set_index("product_id").reindex(products)
        names = catalogue["category"].astype("object").fillna("") + "|"
        code, kinds = pd.factorize(names + catalogue["product_type"].astype("object").fillna(""))
        cells = (np.ones(len(code), np.float32), (np.arange(len(code)), code))
        return cls(
            shop=shop,
            customers=customers,
            products=products,
            customer=codes(lines["customer_id"], customers, "order_lines, customer_id"),
            product=products.get_indexer(lines["product_id"]),
            day=lines["ordered_at"].to_numpy(),
            coupon=lines["coupon_discount"].to_numpy() > 0,
            kind=sp.csr_array(cells, shape=(len(products), len(kinds))),
            types=types,
            zone=zone,
        )

    def day_of(self, date: Any, name: str) -> pd.Timestamp:
        """Return a date on the shop's clock, without a zone, or refuse one of another zone."""
        return shop_day(date, name, pd.Series(dtype="datetime64[ns]").dt.tz_localize(self.zone))

    def start_of(self, contacts: pd.DataFrame) -> pd.Timestamp:
        """Return when the campaign of some contacts starts, on the shop's clock."""
        return self.day_of(contacts["starts_on"].iloc[0], "contacts, starts_on")

    @property
    def type_groups(self) -> dict[str, tuple[str, ...]]:
        """Which types of campaigns are counted together, by the end of their columns' names."""
        if self.types == CAMPAIGN_TYPES:
            return {"a": CAMPAIGN_TYPES[:1], "bc": CAMPAIGN_TYPES[1:]}
        return {column_name(one): (one,) for one in self.types}

    def rows_of(self, customer: pd.Series, name: str) -> np.ndarray:
        """Return the codes of customers, or name one that is unknown; `name` tells the column."""
        return codes(customer, self.customers, name)

    def before(self, date: Any) -> np.ndarray:
        """Return the numbers of the order lines dated before a day."""
        return np.flatnonzero(self.day < self.day_of(date, "date").to_datetime64())

    def bought(self, rows: np.ndarray, weight: np.ndarray | None = None) -> sp.csr_array:
        """Sum order lines by household and product → (H, P).

        Parameters
        ----------
        rows : array of shape (n,), int
            The lines that count.
        weight : array of shape (n,), optional
            How much each of them counts, by default 1.
        """
        value = np.ones(len(rows)) if weight is None else numbers(weight, "weight", ndim=1)
        cells = (value.astype(np.float32), (self.customer[rows], self.product[rows]))
        table = sp.csr_array(cells, shape=(len(self.customers), len(self.products)))
        table.eliminate_zeros()
        return table

    def kinds_bought(self, rows: np.ndarray, weight: np.ndarray | None = None) -> sp.csr_array:
        """Sum order lines by household and product type; as `bought`, times `kind`.

        Parameters
        ----------
        rows : array of shape (n,), integers
            Order lines.
        weight : array of shape (n,), optional
            What each counts, 1 by default.

        Returns
        -------
        sparse array of shape (H, K)
        """
        value = np.ones(len(rows)) if weight is None else numbers(weight, "weight", ndim=1)
        kind = self.kind.indices[self.product[rows]]  # one per product
        cells = (value.astype(np.float32), (self.customer[rows], kind))
        table = sp.csr_array(cells, shape=(len(self.customers), self.kind.shape[1]))
        table.eliminate_zeros()
        return table

    def offered(self, campaign: int) -> tuple[pd.Index, sp.csr_array]:
        """Return a campaign's coupons and a table of 1 where one covers a product → (C, P).

        Raises
        ------
        ValueError
            When the table ``offers`` has no row of the campaign.
        """
        offers = self.shop.offers[self.shop.offers["campaign_id"] == campaign]
        if not len(offers):
            raise ValueError(f"offers: no row has campaign_id {campaign}: it offers no coupon")
        row, coupons = pd.factorize(offers["coupon_id"])
        cells = (np.ones(len(offers)), (row, self.products.get_indexer(offers["product_id"])))
        return coupons, sp.csr_array(cells, shape=(len(coupons), len(self.products)))

    def counted(self, rows: pd.DataFrame, weight: np.ndarray | None = None) -> np.ndarray:
        """Sum rows of a table by household → (H,).

        Raises
        ------
        KeyError
            When a row is of no customer.
        """
        who = self.rows_of(rows["customer_id"], "customer_id")
        return np.bincount(who, weight, minlength=len(self.customers))


def _checked_types(shop: Shop, types: Sequence[str]) -> tuple[str, ...]:
    """Return the types of campaigns, or refuse a shop that has others."""
    types = tuple(types)
    if len({column_name(one) for one in types}) < len(types):
        raise ValueError(f"types {types} make one column of two: give types of distinct names")
    customers = pd.Index(shop.customers["customer_id"])
    if not customers.is_unique:
        raise ValueError(f"customers has {customers[customers.duplicated()][0]} twice")
    campaigns = getattr(shop, "campaigns", None)
    if campaigns is not None and "campaign_type" in campaigns:
        seen = pd.Series(campaigns["campaign_type"].to_numpy(object))
        if not seen.isin(types).all():
            own = ", ".join(repr(one) for one in pd.unique(seen))
            raise KeyError(
                f"campaigns, campaign_type holds {own}, known are {', '.join(map(repr, types))}: "
                f"name yours in CampaignLog.of(shop, types=[{own}])"
            )
    return types
