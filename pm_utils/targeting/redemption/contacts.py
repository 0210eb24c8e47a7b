"""Campaign contacts of a shop, and what was known of each on the day its campaign started.

One row is a *contact*: a household that a campaign addressed. Everything is counted strictly before
the start: purchases, coupons at the till, redemptions of earlier campaigns. Only what the shop
itself decides, whom it addresses with which offers for how long, is known on the day.
"""

from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import pandas as pd
import scipy.sparse as sp

from pm_utils.customers.features import FEATURES, customer_features
from pm_utils.data import Shop

PARTS = ("learn", "choose", "test")
TYPES = ("Type A", "Type B", "Type C")
LONGEST = 365.0  # days since something that never happened
BASE_RATE, BASE_WEIGHT = 0.12, 2.0  # a household's answers are shrunk towards the shop's usual rate
DAY = np.timedelta64(1, "D")


def contact_table(shop: Shop, *, first: Any, last: Any) -> pd.DataFrame:
    """List the contacts of the campaigns within a period, and whether each redeemed a coupon.

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
    """
    spans = shop.campaigns
    within = (spans["starts_on"] >= pd.Timestamp(first)) & (spans["ends_on"] <= pd.Timestamp(last))
    rows = shop.contacts.merge(spans[within], on="campaign_id")
    rows = rows.sort_values(["starts_on", "campaign_id", "customer_id"], ignore_index=True)
    pair = ["campaign_id", "customer_id"]
    answered = pd.MultiIndex.from_frame(shop.responses[pair])
    rows["days"] = (rows["ends_on"] - rows["starts_on"]).dt.days + 1
    rows["redeemed"] = pd.MultiIndex.from_frame(rows[pair]).isin(answered)
    columns = ["campaign_type", "starts_on", "ends_on", "days", "redeemed"]
    return rows[[*pair, *columns]]


def split_parts(contacts: pd.DataFrame, *, choose_from: Any, test_from: Any) -> pd.Series:
    """Say by the campaign's start what each contact serves for.

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
    """
    start = contacts["starts_on"]
    earlier = [start < pd.Timestamp(choose_from), start < pd.Timestamp(test_from)]
    part = np.select(earlier, PARTS[:2], PARTS[2])
    return pd.Series(part, contacts.index, name="part")


@dataclass(frozen=True)
class CampaignLog:
    """A shop's lines and responses in plain arrays, coded once and cut at a date many times.

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
    """

    shop: Shop
    customers: pd.Index
    products: pd.Index
    customer: np.ndarray
    product: np.ndarray
    day: np.ndarray
    coupon: np.ndarray
    kind: sp.csr_array

    @classmethod
    def of(cls, shop: Shop) -> Self:
        """Code the tables of a shop; all but ``exposures`` are needed."""
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
            customer=customers.get_indexer(lines["customer_id"]),
            product=products.get_indexer(lines["product_id"]),
            day=lines["ordered_at"].to_numpy(),
            coupon=lines["coupon_discount"].to_numpy() > 0,
            kind=sp.csr_array(cells, shape=(len(products), len(kinds))),
        )

    def before(self, date: Any) -> np.ndarray:
        """Return the numbers of the order lines dated before a day."""
        return np.flatnonzero(self.day < pd.Timestamp(date).to_datetime64())

    def bought(self, rows: np.ndarray, weight: np.ndarray | None = None) -> sp.csr_array:
        """Sum order lines by household and product → (H, P).

        Parameters
        ----------
        rows : array of shape (n,), int
            The lines that count.
        weight : array of shape (n,), optional
            How much each of them counts, by default 1.
        """
        value = np.ones(len(rows)) if weight is None else weight
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
        value = np.ones(len(rows)) if weight is None else weight
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
        """Sum rows of a table by household → (H,)."""
        who = self.customers.get_indexer(rows["customer_id"])
        return np.bincount(who, weight, minlength=len(self.customers))


def household_features(log: CampaignLog, as_of: Any) -> pd.DataFrame:
    """Describe every household by activity, coupon use, earlier answers and what it told.

    Parameters
    ----------
    log : CampaignLog
    as_of : date-like
        Nothing dated on or after it is read.

    Returns
    -------
    DataFrame of shape (H, F)
        Indexed by ``customer_id``. Amounts, counts and days as log(1 + x); 0 where a household
        has not ordered yet.
    """
    as_of = pd.Timestamp(as_of)
    now = as_of.to_datetime64()
    known = customer_features(log.shop, as_of)
    known = known.drop(columns=["age_group", "contacts", "campaigns_answered", "redemptions"])
    long_tailed = [c for c in known if FEATURES.loc[c, "unit"] in ("dollars", "count", "days")]
    known[long_tailed] = np.log1p(known[long_tailed].clip(lower=0))
    columns = known.reindex(log.customers, fill_value=0.0).to_dict("series")
    columns |= _coupons_at_the_till(log, now) | _answers(log, as_of) | _told(log)
    return pd.DataFrame(columns, index=log.customers).astype(float)


def _days_since(log: CampaignLog, who: np.ndarray, days: np.ndarray) -> np.ndarray:
    """Logarithm of the days since each household's last event → (H,)."""
    last = np.full(len(log.customers), LONGEST)
    np.minimum.at(last, who, days)
    return np.log1p(last)


def _coupons_at_the_till(log: CampaignLog, now: np.datetime64) -> dict[str, np.ndarray]:
    rows = log.coupon & (log.day < now)
    who, ago = log.customer[rows], (now - log.day[rows]) / DAY
    windows = {"coupon_lines_28d": 28, "coupon_lines_90d": 90, "coupon_lines": np.inf}
    columns = {
        name: np.log1p(np.bincount(who[ago <= days], minlength=len(log.customers)))
        for name, days in windows.items()
    }
    return columns | {"days_since_coupon": _days_since(log, who, ago)}


def _answers(log: CampaignLog, as_of: pd.Timestamp) -> dict[str, np.ndarray]:
    """Count what earlier campaigns brought, as it was known on the day."""
    shop = log.shop
    span = shop.campaigns.set_index("campaign_id")
    past = shop.responses[shop.responses["responded_at"] < as_of]
    ago = (as_of - past["responded_at"]).dt.days.to_numpy(float)
    who = log.customers.get_indexer(past["customer_id"])
    columns = {
        "redemptions": np.log1p(log.counted(past)),
        "redemptions_faded": np.log1p(log.counted(past, np.exp(-ago / 60))),
        "days_since_redemption": _days_since(log, who, ago),
    }
    earlier = shop.contacts[shop.contacts["campaign_id"].map(span["starts_on"]) < as_of]
    answered = past.drop_duplicates(["customer_id", "campaign_id"])
    for name, types in (("a", TYPES[:1]), ("bc", TYPES[1:])):
        addressed, came = (
            log.counted(rows[rows["campaign_id"].map(span["campaign_type"]).isin(types)])
            for rows in (earlier, answered)
        )
        columns[f"contacts_{name}"] = np.log1p(addressed)
        columns[f"answers_{name}"] = came.astype(float)
        columns[f"answer_rate_{name}"] = (came + BASE_WEIGHT * BASE_RATE) / (
            addressed + BASE_WEIGHT
        )
    return columns


def _told(log: CampaignLog) -> dict[str, np.ndarray]:
    customers = log.shop.customers
    told = customers["age_group"].notna().to_numpy(float)
    columns = {"told": told}
    for name in ("age_group", "income", "household_size", "kids"):
        columns[name] = customers[name].cat.codes.to_numpy().clip(0) * told
    for name, level in (("marital_status", "Married"), ("home_ownership", "Homeowner")):
        columns[level.lower()] = customers[name].eq(level).fillna(False).to_numpy(float)
    return columns
