"""How alike the simulated shop and the real one are, moment by moment."""

from dataclasses import replace

import numpy as np
import pandas as pd
from scipy.stats import spearmanr

from pm_utils.data import Shop
from pm_utils.market.creatives import ATTRIBUTES, random_creatives
from pm_utils.market.logging_policies import EpsilonGreedy
from pm_utils.market.market import Market
from pm_utils.market.population import CATEGORIES, WEEKS_OBSERVED, category_codes

CAMPAIGN_IMPRESSIONS, CAMPAIGN_DAYS = 40, 35  # eight a week for as long as the shop's campaigns
CAMPAIGN_DISCOUNT = ATTRIBUTES["discount"].index("30%")
LOOKS_PER_CATEGORY = 50  # ads per category that differ in all but the discount


def compare_moments(market: Market, shop: Shop, *, weeks: int = 52) -> pd.DataFrame:
    """Hold the simulated shop's moments against the real one's.

    Explained in chapter ``ad-text``.

    Parameters
    ----------
    market : Market
        A few thousand customers or more.
    shop : Shop
        With ``products``, ``order_lines``, ``contacts`` and ``responses``.
    weeks : int
        How many weeks of organic orders are simulated.

    Returns
    -------
    DataFrame
        Indexed by ``group`` and ``moment``: ``real``, ``simulated`` and ``unit``. The response to
        coupons is, in the shop, redeeming any in a campaign that addressed the household; in the
        market, ordering in a window of five weeks with forty impressions of a 30 % discount on
        the customer's favourite category, in a random tone and look.
    """
    real, simulated = _real_orders(shop), market.orders(weeks)
    size, households = market.n_customers, shop.order_lines["customer_id"].nunique()
    moments = {}
    for side, orders, n, length in (
        ("real", real, households, WEEKS_OBSERVED),
        ("simulated", simulated, size, weeks),
    ):
        moments[side] = _order_moments(orders, n, length)
    moments["real"] |= _category_shares_real(shop)
    spend = simulated.groupby("category", observed=False)["order_value"].sum()
    shares = (spend / spend.sum()).reindex(list(CATEGORIES))
    moments["simulated"] |= {("share of spend", k, "share"): v for k, v in shares.items()}
    moments["real"] |= _real_response(shop, market)
    moments["simulated"] |= _simulated_response(market)
    table = pd.DataFrame(moments)
    table.index = pd.MultiIndex.from_tuples(table.index, names=["group", "moment", "unit"])
    return table.reset_index("unit")


def _real_orders(shop: Shop) -> pd.DataFrame:
    orders = shop.order_lines.groupby("order_id").agg(
        customer=("customer_id", "first"),
        order_value=("amount", "sum"),
        coupon_dollars=("coupon_discount", "sum"),
        ordered_at=("ordered_at", "first"),
    )
    days = (orders["ordered_at"] - orders["ordered_at"].min()).dt.days
    return orders.assign(coupon=orders["coupon_dollars"] > 0, week=days // 7)


def _order_moments(orders: pd.DataFrame, n: int, weeks: float) -> dict:
    """Return moments of orders, by customer where the spread between customers matters."""
    by = orders.groupby("customer")["order_value"].agg(["size", "mean", "std"])
    rate = np.concatenate([by["size"] / weeks, np.zeros(n - len(by))])
    whole = np.floor(weeks)
    cells = orders.loc[orders["week"] < whole, ["customer", "week"]].drop_duplicates()
    often = by[by["size"] >= 10]
    return {
        ("orders", "mean", "per week"): rate.mean(),
        ("orders", "first quartile", "per week"): np.quantile(rate, 0.25),
        ("orders", "median", "per week"): np.median(rate),
        ("orders", "third quartile", "per week"): np.quantile(rate, 0.75),
        ("orders", "weeks without", "share"): 1 - len(cells) / (n * whole),
        ("order value", "mean", "dollars"): orders["order_value"].mean(),
        ("order value", "median", "dollars"): orders["order_value"].median(),
        ("order value", "spread of customers", "ratio"): often["mean"].std() / often["mean"].mean(),
        ("order value", "spread within", "ratio"): (often["std"] / often["mean"]).median(),
        ("order value", "with orders", "rank corr."): spearmanr(often["size"], often["mean"])[0],
        ("coupons", "orders with one", "share"): orders["coupon"].mean(),
    }


def _category_shares_real(shop: Shop) -> dict:
    codes = category_codes(shop.products).set_axis(shop.products["product_id"])
    code = codes.reindex(shop.order_lines["product_id"], fill_value=-1).to_numpy()
    amount, size = shop.order_lines["amount"].to_numpy()[code >= 0], len(CATEGORIES)
    spend = np.bincount(code[code >= 0], amount, minlength=size)
    shares = spend / spend.sum()
    return {("share of spend", name, "share"): shares[k] for k, name in enumerate(CATEGORIES)}


def _responses(answered: np.ndarray, sensitivity: np.ndarray) -> dict:
    sensitive = sensitivity > np.median(sensitivity)
    ratio = answered[sensitive].mean() / answered[~sensitive].mean()
    return {
        ("coupons", "response", "share"): answered.mean(),
        ("coupons", "response of the price sensitive", "ratio"): ratio,
    }


def _real_response(shop: Shop, market: Market) -> dict:
    redeemed = shop.responses[["customer_id", "campaign_id"]].drop_duplicates().assign(yes=True)
    contacts = shop.contacts.merge(redeemed, how="left", on=["customer_id", "campaign_id"])
    row = market.households.record.index.get_indexer(contacts["customer_id"])
    sensitivity = market.households.price_sensitivity[row]
    return _responses(contacts["yes"].notna().to_numpy(), sensitivity)


def _simulated_response(market: Market) -> dict:
    n = len(CATEGORIES) * LOOKS_PER_CATEGORY
    ads = random_creatives(n, np.random.default_rng(market.seed))
    category, discount = np.arange(n) // LOOKS_PER_CATEGORY, np.full(n, CAMPAIGN_DISCOUNT)
    coupons = market.with_creatives(replace(ads, category=category, discount=discount))
    favourite = market.truth_of_customers.interest.argmax(1)
    looks = np.arange(market.n_customers) % LOOKS_PER_CATEGORY
    trial = coupons.experiment(
        EpsilonGreedy(favourite * LOOKS_PER_CATEGORY + looks, n),
        treated=1.0,
        impressions=CAMPAIGN_IMPRESSIONS,
        days=CAMPAIGN_DAYS,
    )
    sensitivity = market.truth_of_customers.price_sensitivity
    return _responses((trial["conversions"] > 0).to_numpy(), sensitivity)
