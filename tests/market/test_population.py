"""Households by hand-worked orders; the simulated shop's moments against the real one's."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from pm_utils.data import load_shop
from pm_utils.market import ATTRIBUTES, Market, TruthParameters, compare_moments
from pm_utils.market import population as people
from tests.support.market_world import made_up_households, mean_z, small_market

TABLES = ["customers", "products", "order_lines", "contacts", "responses"]
SIZE = 6000


@pytest.fixture(scope="module")
def shop():
    return load_shop(TABLES)


@pytest.fixture(scope="module")
def households(shop):
    return people.estimate_households(shop)


@pytest.fixture(scope="module")
def market(households):
    return Market(SIZE, 0, households=households)


@pytest.fixture(scope="module")
def moments(market, shop):
    return compare_moments(market, shop)


@pytest.fixture(scope="module")
def tiny() -> people.Households:
    """Return the households of a shop with three that matter and eight with one order each."""
    products = pd.DataFrame(
        {
            "product_id": [1, 2, 3, 4],
            "category": ["SOFT DRINKS", "YOGURT", "SPICES FROM MARS", "DOG FOODS"],
        }
    )
    lines = pd.DataFrame(
        [
            (10, 7, 1, 6.0, 2.0, 0.0),
            (10, 7, 2, 2.0, 0.0, 0.5),
            (11, 7, 3, 4.0, 0.0, 0.0),
            (12, 5, 2, 8.0, 0.0, 0.0),
            (13, 5, 9, 3.0, 1.0, 0.0),  # a product that is not listed
            (14, 6, 4, 0.0, 0.0, 0.0),
            (15, 6, 4, 5.0, 5.0, 1.0),
            (16, 6, 1, 5.0, 0.0, 0.0),
            *((20 + k, 20 + k, 1, 5.0, 0.5, 0.0) for k in range(8)),
        ],
        columns=[
            *("order_id", "customer_id", "product_id", "amount", "retail_discount"),
            "coupon_discount",
        ],
    )
    customers = pd.DataFrame({"customer_id": [7, 5, 6, *range(20, 28)]})
    return people.estimate_households(
        SimpleNamespace(customers=customers, products=products, order_lines=lines)
    )


def test_the_record_is_what_the_orders_say(tiny):
    assert list(tiny.record.index) == [5, 6, 7, *range(20, 28)]
    record = tiny.record.head(3)
    weeks = people.WEEKS_OBSERVED
    assert record["orders_per_week"].tolist() == pytest.approx([2 / weeks, 3 / weeks, 2 / weeks])
    assert record["average_order_value"].tolist() == pytest.approx([5.5, 10 / 3, 6.0])
    assert record["discount_share"].tolist() == pytest.approx([1 / 12, 5 / 15, 2 / 14])
    assert record["coupon_order_share"].tolist() == pytest.approx([0, 1 / 3, 1 / 2])
    drinks, dairy = record["share_drinks"], record["share_dairy"]
    assert drinks.tolist() == pytest.approx([0, 0.5, 0.75])
    assert dairy.tolist() == pytest.approx([1, 0, 0.25])
    assert record["share_pets"].tolist() == pytest.approx([0, 0.5, 0])


def test_estimates_start_from_the_average_household(tiny):
    overall, prior = (33 + 8 * 5) / (7 + 8), people.PRIOR_ORDERS
    totals, counts = np.array([11.0, 10.0, 12.0]), np.array([2, 3, 2])
    expected = (totals + prior * overall) / (counts + prior)
    np.testing.assert_allclose(tiny.order_mean[:3], expected)
    assert (tiny.order_variation > 0).all()
    careless, deep, coupons = tiny.price_sensitivity[:3]
    assert careless < 0.5 < min(deep, coupons)  # 5 has little discount and no coupon
    assert tiny.price_sensitivity.mean() == pytest.approx(0.5)


def test_no_product_category_is_sold_as_two():
    sold = [name for names in people.SOLD_AS.values() for name in names]
    assert len(sold) == len(set(sold))
    assert tuple(people.SOLD_AS) == ATTRIBUTES["category"]


def test_the_mapping_names_what_the_shop_sells(shop):
    known = set(shop.products["category"].dropna())
    assert not {name for names in people.SOLD_AS.values() for name in names} - known
    codes = people.category_codes(shop.products).set_axis(shop.products["product_id"])
    line = codes.reindex(shop.order_lines["product_id"], fill_value=-1).to_numpy()
    amount = shop.order_lines["amount"].to_numpy()
    assert amount[line >= 0].sum() / amount.sum() == pytest.approx(0.74, abs=0.01)


def test_no_kind_of_alcohol_is_filed_with_milk(shop):
    codes = people.category_codes(
        pd.DataFrame({"category": ["BEERS/ALES", "FLUID MILK PRODUCTS", "CIGARETTES", None]})
    )
    assert codes.tolist() == [0, 1, -1, -1]


def test_every_household_is_estimated(shop, households):
    ids = np.sort(shop.customers["customer_id"])
    assert (households.record.index == ids).all()
    assert not households.record.isna().any(axis=None)
    for name in ("mixture", "taste"):
        table = getattr(households, name)
        np.testing.assert_allclose(table.sum(1), 1)
        assert table.min() >= 0
    assert households.taste.min() > 0
    assert households.record["orders_per_week"].sum() * people.WEEKS_OBSERVED == pytest.approx(
        shop.order_lines["order_id"].nunique()
    )


def test_tastes_follow_what_households_buy(households):
    record = households.record
    shares = record[[f"share_{name}" for name in people.CATEGORIES]].to_numpy()
    regular = record["orders_per_week"] > 1
    rng, correlation, null = np.random.default_rng(0), [], []
    for k in range(12):
        bought, taste = shares[regular, k], households.taste[regular, k]
        correlation.append(np.corrcoef(bought, taste)[0, 1])
        null.append(np.corrcoef(bought, rng.permutation(taste))[0, 1])
    assert np.mean(correlation) > 0.75
    assert min(correlation) > 0.25
    assert np.abs(null).max() < 0.15


def test_types_are_a_factorisation():
    rng = np.random.default_rng(0)
    pure = rng.dirichlet(np.full(12, 0.5), people.N_TYPES)
    spend = 3000 * rng.dirichlet(np.full(people.N_TYPES, 0.3), 400) @ pure
    mixture, taste = people.factorise(spend)
    shares = spend / spend.sum(1, keepdims=True)
    assert mixture.shape == (400, people.N_TYPES)
    left = ((taste - shares) ** 2).sum() / ((shares - shares.mean(0)) ** 2).sum()
    assert left < 0.1


def test_little_spend_leaves_the_taste_of_the_shop():
    rng = np.random.default_rng(1)
    spend = 500 * rng.dirichlet(np.full(12, 0.5), 300)
    spend[0] = 0
    spend[1], spend[2] = np.eye(12)[3] * 1.0, np.eye(12)[3] * 1000.0
    mean = spend.sum(0) / spend.sum()
    taste = people.factorise(spend)[1]
    distance = np.abs(taste - mean).sum(1)
    assert distance[0] < 0.25
    assert distance[1] < 0.5 * distance[2]
    assert taste[2].argmax() == 3


def test_the_price_sensitive_use_discounts_and_coupons(households):
    record, sensitivity = households.record, households.price_sensitivity
    high = sensitivity > 0.5
    for column in ("discount_share", "coupon_order_share"):
        assert record.loc[high, column].mean() > 1.2 * record.loc[~high, column].mean()
    assert np.sort(sensitivity) == pytest.approx((np.arange(2469) + 0.5) / 2469, abs=2e-3)


# What the simulated shop shares with the real one: relative tolerance, or absolute after "abs"
TOLERANCES = {
    ("orders", "mean"): 0.06,
    ("orders", "first quartile"): 0.2,
    ("orders", "median"): 0.12,
    ("orders", "third quartile"): 0.1,
    ("orders", "weeks without"): 0.05,
    ("order value", "mean"): 0.06,
    ("order value", "median"): 0.15,
    ("order value", "spread of customers"): 0.15,
    ("order value", "spread within"): 0.15,
    ("coupons", "orders with one"): 0.12,
    ("coupons", "response"): 0.3,
    ("coupons", "response of the price sensitive"): 0.45,
}


def misses(moments: pd.DataFrame) -> set:
    """Return the moments that are further apart than their tolerance."""
    tolerance = TOLERANCES | {("share of spend", name): 0.12 for name in people.CATEGORIES}
    found = {
        key
        for key, allowed in tolerance.items()
        if abs(moments.loc[key, "simulated"] / moments.loc[key, "real"] - 1) > allowed
    }
    corner = moments.loc[("order value", "with orders")]
    return found | ({corner.name} if abs(corner["simulated"] - corner["real"]) > 0.1 else set())


def test_the_simulated_shop_has_the_moments_of_the_real_one(moments):
    assert len(moments) == 25
    assert not misses(moments)


def test_another_seed_has_them_too(households, shop):
    assert not misses(compare_moments(Market(SIZE, 7, households=households), shop, weeks=40))


def test_the_real_moments_are_the_publishers_counts(moments, shop):
    real = moments["real"]
    assert real["coupons", "response"] == pytest.approx(792 / 6589)
    orders = shop.order_lines["order_id"].nunique()
    assert real["orders", "mean"] == pytest.approx(orders / 2469 / people.WEEKS_OBSERVED)
    total = shop.order_lines["amount"].sum()
    assert real["order value", "mean"] == pytest.approx(total / orders)
    assert real["share of spend"].sum() == pytest.approx(1)


def null_market(households, change: str) -> Market:
    """Return a market that lacks one thing that the shop has."""
    n, truth = len(households.record), TruthParameters()
    same_order = households.order_rate.argsort(kind="stable").argsort(kind="stable")
    lacking = {
        "rates alike": {"order_rate": np.full(n, households.order_rate.mean())},
        "values alike": {"order_mean": np.full(n, households.order_mean.mean())},
        "orders all of one value": {"order_variation": np.full(n, 0.01)},
        "tastes uniform": {"taste": np.full((n, 12), 1 / 12)},
        "values with rates": {"order_mean": np.sort(households.order_mean)[same_order]},
    }
    if change == "no one minds prices":
        truth = replace(truth, click_discount=0.0, click_urgent_discount=0.0, order_discount=0.0)
    return Market(SIZE, 0, households=replace(households, **lacking.get(change, {})), truth=truth)


@pytest.mark.parametrize(
    ("change", "seen"),
    [
        ("rates alike", {("orders", "first quartile"), ("orders", "weeks without")}),
        ("values alike", {("order value", "spread of customers")}),
        ("orders all of one value", {("order value", "spread within"), ("order value", "median")}),
        ("tastes uniform", {("share of spend", "meat"), ("share of spend", "baby")}),
        ("values with rates", {("order value", "with orders"), ("order value", "mean")}),
        ("no one minds prices", {("coupons", "response of the price sensitive")}),
    ],
)
def test_a_null_world_misses_the_moments(households, shop, change, seen):
    assert seen <= misses(compare_moments(null_market(households, change), shop, weeks=20))


def test_rates_of_the_real_market_are_realistic(market):
    click, convert = market.click_table, market.conversion_table
    random, single, oracle = click.mean(), click.mean(0).max(), click.max(1).mean()
    assert 0.02 < random < 0.05
    assert 1.4 * random < single < 0.6 * oracle
    assert oracle < 0.25
    assert 0.04 < (click * convert).sum() / click.sum() < 0.13


def test_profiles_can_be_joined_by_household(market, households):
    assert market.customers["customer_id"].isin(households.record.index).all()
    assert market.customers.index.name == "customer"
    assert market.customers["customer_id"].nunique() > 0.85 * 2469


def test_what_a_marketer_sees_tells_who_likes_what(market):
    hidden = market.truth_of_customers
    for name, k in (("beauty", 9), ("pets", 10), ("produce", 5)):
        seen = market.customers[f"share_{name}"].rank()
        assert np.corrcoef(seen, hidden.interest[:, k])[0, 1] > 0.7
    seen = market.customers["discount_share"].rank()
    assert np.corrcoef(seen, hidden.price_sensitivity)[0, 1] > 0.5


def test_organic_orders_have_the_hidden_rates_values_and_tastes():
    market = small_market(3000)
    orders, hidden = market.orders(10), market.truth_of_customers
    counts = np.bincount(orders["customer"], minlength=3000)
    assert abs(mean_z(counts / 10 - hidden.order_rate, 0)) < 4
    ratio = orders["order_value"] / hidden.order_value[orders["customer"]]
    assert abs(mean_z(ratio, 1.0)) < 4
    taste = market.households.taste[hidden.household[orders["customer"]]]
    for k in range(12):
        assert abs(mean_z(orders["category"].cat.codes == k, taste[:, k])) < 4
    coupon = market.customers["coupon_order_share"].to_numpy()[orders["customer"]]
    assert abs(mean_z(orders["coupon"], coupon)) < 4
    assert (orders["day"] // 7 == orders["week"]).all()


def test_shares_that_do_not_add_up_are_refused():
    households = made_up_households()
    with pytest.raises(ValueError, match="taste does not sum to 1 in 300 of 300 rows"):
        replace(households, taste=households.taste * 0.9)


def test_a_longer_history_begins_with_the_shorter():
    market = small_market(500)
    short, long = market.orders(3), market.orders(5)
    assert short.equals(long[long["week"] < 3])
    some = market.orders(3, customers=np.array([7, 42]))
    assert some.equals(short[short["customer"].isin([7, 42])].reset_index(drop=True))
    with pytest.raises(ValueError, match="weeks is 0"):
        market.orders(0)


# --- Shops of one's own ---------------------------------------------------------------------------


def lines_of(**changes) -> SimpleNamespace:
    """Twenty households, two orders each, of one product."""
    lines = pd.DataFrame({"order_id": np.arange(40), "customer_id": np.arange(40) % 20})
    lines["product_id"] = 1
    for name, value in {"amount": 10.0, "retail_discount": 1.0, "coupon_discount": 0.0}.items():
        lines[name] = value
    parts = {
        "order_lines": lines,
        "customers": pd.DataFrame({"customer_id": np.arange(20)}),
        "products": pd.DataFrame({"product_id": [1], "category": ["CHEESE"]}),
    }
    return SimpleNamespace(**(parts | changes))


def test_households_of_a_shop_that_cannot_be_estimated_are_named():
    shop = lines_of()
    lines, customers = shop.order_lines, shop.customers
    hole = lines.assign(amount=lines["amount"].where(lines.index > 2))
    more = pd.DataFrame({"customer_id": np.arange(21)})
    for changes, error, told in (
        ({"order_lines": hole}, ValueError, "order_lines, amount is not finite in 3 of 40 rows"),
        ({"order_lines": lines.assign(amount=-1.0)}, ValueError, "amount is out of range"),
        ({"customers": more}, ValueError, "1 of 21 have no order, first customer_id 20"),
        ({"customers": customers[:-1]}, KeyError, "order_lines, customer_id is not known"),
        (
            {"products": pd.DataFrame({"product_id": [1], "category": ["LAMPS"]})},
            ValueError,
            "nothing sold is of a category of ads",
        ),
    ):
        with pytest.raises(error, match=told):
            people.estimate_households(lines_of(**changes))
    with pytest.raises(ValueError, match="give at least 8"):
        people.factorise(np.ones((3, 12)))


def test_the_order_of_lines_does_not_matter():
    rng = np.random.default_rng(0)
    shop = lines_of()
    kinds = pd.DataFrame({"product_id": [1, 2, 3], "category": ["CHEESE", "COFFEE", "BEEF"]})
    lines = shop.order_lines.assign(product_id=rng.integers(1, 4, 40), amount=rng.uniform(1, 9, 40))
    one, other = (
        people.estimate_households(lines_of(order_lines=table, products=kinds))
        for table in (lines, lines.sample(frac=1, random_state=1))
    )
    assert one.order_mean == pytest.approx(other.order_mean)
    assert one.record.to_numpy() == pytest.approx(other.record.to_numpy())
