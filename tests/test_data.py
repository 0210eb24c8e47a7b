"""The shop: publisher's counts, documented cleaning, and errors that name every broken rule."""

import os
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest

from pm_utils.data import Shop, ShopError, load_shop
from pm_utils.data.journey import CLEANING, PERIOD, UNLISTED_PRODUCTS, redemptions_on_visits
from pm_utils.data.schema import CROSS_RULES, KEYS, MODELS

TABLES = [name for name in MODELS if name != "exposures"]


def small_frames() -> dict[str, pd.DataFrame]:
    """Return two customers, three products, three orders and one campaign, all in order."""
    day = pd.to_datetime
    demographics = [c for c in MODELS["customers"].to_schema().columns if c != "customer_id"]
    return {
        "customers": pd.DataFrame({"customer_id": [1, 2]} | dict.fromkeys(demographics, "told")),
        "products": pd.DataFrame(
            {
                "product_id": [10, 11, 12],
                "manufacturer_id": [5, 5, 6],
                "department": ["GROCERY", "GROCERY", "FUEL"],
                "brand": ["National", "Private", "National"],
                "category": ["A", None, "B"],
                "product_type": ["a", "b", "c"],
                "package_size": [None, "1 OZ", "2 OZ"],
            }
        ),
        "order_lines": pd.DataFrame(
            {
                "order_id": [100, 100, 101, 102],
                "customer_id": [1, 1, 2, 1],
                "store_id": [7, 7, 7, 8],
                "product_id": [10, 11, 12, 10],
                "quantity": [1, 2, 1, 1],
                "amount": [1.5, 2.5, 30.0, 1.5],
                "retail_discount": [0.0, 0.5, 0.0, 0.0],
                "coupon_discount": [0.0, 0.0, 0.0, 1.0],
                "coupon_match_discount": 0.0,
                "ordered_at": day(["2017-01-02", "2017-01-02", "2017-02-01", "2017-03-05"]),
            }
        ),
        "campaigns": pd.DataFrame(
            {
                "campaign_id": [1],
                "campaign_type": ["Type A"],
                "starts_on": day(["2017-03-01"]),
                "ends_on": day(["2017-03-05"]),
            }
        ),
        "contacts": pd.DataFrame({"campaign_id": [1, 1], "customer_id": [1, 2]}),
        "offers": pd.DataFrame({"campaign_id": [1], "coupon_id": [900], "product_id": [10]}),
        "responses": pd.DataFrame(
            {
                "customer_id": [1],
                "coupon_id": [900],
                "campaign_id": [1],
                "responded_at": day(["2017-03-05 18:00"]),
            }
        ),
    }


def violations_of(frames: dict[str, pd.DataFrame], **options) -> list:
    with pytest.raises(ShopError) as caught:
        Shop.from_frames(frames, **options)
    return caught.value.violations


@pytest.fixture(scope="module")
def shop() -> Shop:
    return load_shop()


def test_the_counts_are_the_publishers(shop):
    lines, responses = shop.order_lines, shop.responses
    assert len(shop.customers) == lines["customer_id"].nunique() == 2_469
    assert shop.customers["age_group"].notna().sum() == 801
    assert lines["order_id"].nunique() == 155_848
    assert len(lines) == 1_469_307
    assert len(shop.products) == shop.products["product_id"].nunique() == 92_331
    assert len(shop.campaigns) == 27
    assert len(shop.contacts) == 6_589
    assert len(responses[["campaign_id", "customer_id"]].drop_duplicates()) == 792
    assert responses["customer_id"].nunique() == 410


def test_the_columns_are_those_of_the_models(shop):
    for name in TABLES:
        assert list(getattr(shop, name)) == list(MODELS[name].to_schema().columns), name


def test_ids_are_integers_money_is_float_and_times_are_timestamps(shop):
    for name in TABLES:
        for column, dtype in getattr(shop, name).dtypes.items():
            if column.endswith("_id"):
                assert pd.api.types.is_integer_dtype(dtype), (name, column)
            if column.endswith(("_at", "_on")):
                assert pd.api.types.is_datetime64_dtype(dtype), (name, column)
            if column.endswith(("amount", "discount")):
                assert dtype == np.float64, (name, column)


def test_demographics_are_ordered_where_they_have_an_order(shop):
    ages, incomes = shop.customers["age_group"], shop.customers["income"]
    assert ages.cat.ordered and ages.min() == "19-24" and ages.max() == "65+"
    assert incomes.min() == "Under 15K" and incomes.max() == "250K+"
    assert not shop.customers["marital_status"].cat.ordered
    assert shop.customers["home_ownership"].notna().sum() == 801 - 233
    assert shop.customers["marital_status"].notna().sum() == 801 - 137


def test_the_clock_is_the_stores(shop):
    """In UTC, one redemption in nine falls on a day on which its customer did not shop."""
    local = shop.order_lines["ordered_at"]
    store = local.dt.tz_localize("America/New_York", ambiguous=True)
    assert redemptions_on_visits(shop, local) == 1
    assert redemptions_on_visits(shop, store.dt.tz_convert(None)) == pytest.approx(0.889, abs=5e-4)
    assert shop.order_lines["ordered_at"].min() >= PERIOD[0]
    assert shop.order_lines["ordered_at"].max() < PERIOD[1]
    assert "2017-12-25" not in set(local.dt.date.astype(str).unique())


def test_the_cleaning_report_gives_counts_before_and_after(shop):
    report = shop.cleaning.set_index(["table", "issue"])
    expected = {
        ("order_lines", "store time"): (1_469_307, 1_469_307, 1_469_307),
        ("order_lines", "fuel in gallons"): (13_509, 1_469_307, 1_469_307),
        ("order_lines", "zero amount"): (11_226, 1_469_307, 1_469_307),
        ("order_lines", "unlisted product"): (4_836, 1_469_307, 1_469_307),
        ("order_lines", "match above coupon"): (4, 1_469_307, 1_469_307),
        ("offers", "duplicate rows"): (4_872, 116_204, 111_332),
        ("offers", "unlisted product"): (16, 111_332, 111_332),
        ("customers", "no demographics"): (1_668, 801, 2_469),
    }
    assert {
        key: tuple(report.loc[key, ["rows", "before", "after"]]) for key in expected
    } == expected
    assert len(report) == len(expected) == len(CLEANING)


def test_fuel_costs_what_a_gallon_costs(shop):
    fuel = shop.products.loc[shop.products["product_type"] == "GASOLINE-REG UNLEADED", "product_id"]
    lines = shop.order_lines[shop.order_lines["product_id"].isin(fuel)]
    metered = lines[lines["quantity"] != 1]
    assert (metered["amount"] / metered["quantity"]).median() == pytest.approx(2.36, abs=0.01)
    assert shop.order_lines["quantity"].max() < 200


def test_the_unlisted_products_are_exactly_those_that_the_catalogue_lacks(shop):
    used = set(shop.order_lines["product_id"]) | set(shop.offers["product_id"])
    assert used - set(shop.products["product_id"]) == set(UNLISTED_PRODUCTS)


def test_only_the_tables_asked_for_are_read():
    shop = load_shop(["campaigns", "contacts"])
    assert len(shop.contacts) == 6_589
    assert shop.order_lines is None and shop.exposures is None and shop.cleaning.empty
    assert repr(shop).split() == ["Shop", "campaigns", "27", "contacts", "6,589"]


def test_exposures_are_read_when_first_touched():
    calls = []

    def read():
        calls.append(1)
        return pd.DataFrame({"week": [1]})

    shop = Shop(read_exposures=read)
    assert "not read" in repr(shop) and not calls
    assert shop.exposures is shop.exposures
    assert calls == [1] and repr(shop).split() == ["Shop", "exposures", "1"]


def test_a_shop_cannot_be_changed(shop):
    with pytest.raises(AttributeError):
        shop.customers = None


LOAD = """
import pathlib, time
import pm_utils.data as data
start = time.process_time()
data.load_shop()
print(time.process_time() - start)
status = pathlib.Path("/proc/self/status")  # a child's ru_maxrss would start at its parent's peak
if status.exists():
    print(status.read_text().split("VmHWM:")[1].split()[0])
"""


def test_loading_takes_three_seconds_and_a_gigabyte_at_most():
    """Processor seconds, as other tests share the machine; the imports are left out."""
    options = {"capture_output": True, "text": True, "check": True}
    run = subprocess.run([sys.executable, "-c", LOAD], env=_one_thread(), **options)
    seconds, *kibibytes = map(float, run.stdout.split())
    assert seconds <= 3
    assert all(peak <= 1024**2 for peak in kibibytes)


def _one_thread() -> dict[str, str]:
    return os.environ | {"OMP_NUM_THREADS": "1"}


def test_a_name_that_is_no_table_is_an_error():
    with pytest.raises(ShopError, match=r"orders.*unknown table(.|\n)*order_lines"):
        load_shop(["orders"])


def test_frames_of_your_own_make_a_shop():
    frames = small_frames()
    shop = Shop.from_frames(frames, period=("2017-01-01", "2018-01-01"))
    assert shop.order_lines is frames["order_lines"]
    assert shop.exposures is None and shop.cleaning.empty


def test_ids_may_be_strings():
    frames = small_frames()
    for table in frames.values():
        for column in [c for c in table if c.endswith("_id")]:
            table[column] = "id" + table[column].astype(str)
    assert len(Shop.from_frames(frames).customers) == 2


def _set(table: str, row: int, column: str, value):
    def change(frames):
        frames[table] = frames[table].copy()
        frames[table].loc[row, column] = value

    return change


def _assign(table: str, **columns):
    def change(frames):
        frames[table] = frames[table].assign(**columns)

    return change


def _repeat(table: str):
    def change(frames):
        frames[table] = pd.concat([frames[table], frames[table].iloc[[0]]], ignore_index=True)

    return change


def _keep(table: str, rows: slice):
    def change(frames):
        frames[table] = frames[table].iloc[rows]

    return change


CASES = [
    # change, rule, rows that break it, index of the first, part of what is expected
    (
        _assign("order_lines", amount=["1", "2", "3", "4"]),
        "order_lines.amount: wrong type str",
        4,
        0,
        "floats or integers",
    ),
    (
        _assign("customers", customer_id=[1.0, 2.0]),
        "customers.customer_id: wrong type float64",
        2,
        0,
        "integers or strings",
    ),
    (
        _assign("products", brand=[1, 2, 3]),
        "products.brand: wrong type int64",
        3,
        0,
        "strings or a categorical",
    ),
    (
        _assign("campaigns", starts_on="2017-03-01"),
        "campaigns.starts_on: wrong type str",
        1,
        0,
        "datetime64",
    ),
    (_set("order_lines", 2, "amount", -1.0), "order_lines.amount: below 0", 1, 2, "at least 0"),
    (
        _set("order_lines", 1, "retail_discount", -0.5),
        "order_lines.retail_discount: below 0",
        1,
        1,
        "at least 0",
    ),
    (
        _set("order_lines", 3, "amount", np.nan),
        "order_lines.amount: missing value",
        1,
        3,
        "a value",
    ),
    (
        _set("order_lines", 2, "ordered_at", pd.Timestamp(0)),
        "order_lines.ordered_at: below 2000-01-01",
        1,
        2,
        "at least 2000",
    ),
    (
        _set("order_lines", 2, "ordered_at", pd.Timestamp("2199-01-01")),
        "order_lines.ordered_at: not before 2100-01-01",
        1,
        2,
        "before 2100",
    ),
    (
        _set("order_lines", 2, "customer_id", 9),
        "order_lines.customer_id: unknown customer",
        1,
        2,
        "customers",
    ),
    (
        _set("order_lines", 2, "product_id", 9),
        "order_lines.product_id: unknown product",
        1,
        2,
        "products",
    ),
    (_set("offers", 0, "product_id", 9), "offers.product_id: unknown product", 1, 0, "products"),
    (
        _set("contacts", 1, "customer_id", 9),
        "contacts.customer_id: unknown customer",
        1,
        1,
        "customers",
    ),
    (
        _set("responses", 0, "responded_at", pd.Timestamp("2017-03-06")),
        "responses.campaign_id, responded_at: outside its campaign",
        1,
        0,
        "starts_on to ends_on",
    ),
    (
        _set("responses", 0, "coupon_id", 9),
        "responses.campaign_id, coupon_id: not among the offers",
        1,
        0,
        "offered",
    ),
    (
        _keep("contacts", slice(1, None)),
        "responses.campaign_id, customer_id: not among the contacts",
        1,
        0,
        "addressed",
    ),
    (
        _set("campaigns", 0, "ends_on", pd.Timestamp("2017-02-01")),
        "campaigns.starts_on, ends_on: ends before it starts",
        1,
        0,
        "not before",
    ),
    (
        _set("order_lines", 1, "customer_id", 2),
        "order_lines.order_id, customer_id, ordered_at: an order with two customers or two times",
        1,
        1,
        "one customer",
    ),
    (_repeat("customers"), "customers.customer_id: duplicate key", 1, 2, "one row per key"),
    (
        _repeat("order_lines"),
        "order_lines.order_id, product_id: duplicate key",
        1,
        4,
        "one row per key",
    ),
]


@pytest.mark.parametrize(
    ("change", "rule", "rows", "index", "expected"), CASES, ids=[case[1] for case in CASES]
)
def test_each_broken_rule_is_named(change, rule, rows, index, expected):
    frames = small_frames()
    change(frames)
    found = {f"{v.table}.{v.column}: {v.rule}": v for v in violations_of(frames)}
    violation = found[rule]
    assert (violation.rows, violation.first_index) == (rows, index)
    assert expected in violation.expected
    assert set(KEYS[violation.table]) <= set(violation.first_row)
    assert violation.column.split(", ")[-1] in violation.first_row
    assert str(violation).startswith(f"{rule} ({rows} row")


def test_a_missing_column_and_an_empty_table_are_named():
    frames = small_frames()
    del frames["order_lines"]["amount"]
    frames["offers"] = frames["offers"].iloc[:0]
    first, second = violations_of(frames)
    assert (first.table, first.column, first.rule) == ("order_lines", "amount", "missing column")
    assert first.rows == 4 and first.expected == "a column of floats or integers"
    assert (second.table, second.rule) == ("offers", "the table is empty")


def test_one_error_lists_every_violation_with_the_value_that_broke_it():
    frames = small_frames()
    frames["order_lines"].loc[0, "amount"] = -3.0
    frames["order_lines"].loc[2, "customer_id"] = 77
    frames["campaigns"]["campaign_type"] = None
    with pytest.raises(ShopError) as caught:
        Shop.from_frames(frames, period=("2017-01-15", "2018-01-01"))
    text = str(caught.value)
    assert text.startswith("the tables break 4 rules:")
    assert "1. order_lines.amount: below 0 (1 row)\n   first: index 0, order_id=100" in text
    assert "amount=-3.0" in text and "customer_id=77" in text
    assert "campaigns.campaign_type" in text
    assert "order_lines.ordered_at: date out of range (2 rows)\n   first: index 0" in text
    assert "   expected: from 2017-01-15 to before 2018-01-01" in text


def test_rows_are_named_by_the_callers_index_even_if_it_repeats():
    frames = small_frames()
    frames["order_lines"].index = ["x", "x", "y", "y"]
    frames["order_lines"]["amount"] = [1.0, 1.0, -1.0, -2.0]
    (violation,) = violations_of(frames)
    assert (violation.rows, violation.first_index) == (2, "y")
    assert violation.first_row == {"order_id": 101, "product_id": 12, "amount": -1.0}


def test_a_broken_column_is_not_blamed_twice():
    frames = small_frames()
    frames["customers"]["customer_id"] = [1.0, 2.0]
    assert [v.rule for v in violations_of(frames)] == ["wrong type float64"]


def test_unlisted_products_may_be_declared():
    frames = small_frames()
    frames["order_lines"].loc[2, "product_id"] = 9
    Shop.from_frames(frames, unlisted_products=[9])
    assert violations_of(frames, unlisted_products=[8])[0].rule == "unknown product"


def test_every_cross_rule_has_a_case():
    """Campaign ids are checked by the pair rules as well; their own rule needs no case."""
    tested = {case[1].split(":")[0] for case in CASES}
    for rule in CROSS_RULES:
        if f"{rule.table}.{rule.column}" not in tested:
            assert rule.rule in ("unknown campaign", "unknown customer"), rule


def test_the_shops_own_tables_pass_their_own_rules(shop):
    frames = {name: getattr(shop, name) for name in TABLES if name != "order_lines"}
    assert len(Shop.from_frames(frames, unlisted_products=UNLISTED_PRODUCTS).offers) == 111_332
