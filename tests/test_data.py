"""The shop: publisher's counts, documented cleaning, and errors that name every broken rule."""

import os
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest

from pm_utils.data import Shop, ShopError, load_shop
from pm_utils.data.journey import CLEANING, PERIOD, UNLISTED_PRODUCTS, redemptions_on_visits
from pm_utils.data.schema import CROSS_RULES, KEYS, MODELS, check_tables

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


def exposures(**columns) -> pd.DataFrame:
    """Return three displays of small_frames' products, two of them in one store and week."""
    rows = {
        "product_id": [10, 10, 11],
        "store_id": 7,
        "week": [1, 1, 2],
        "display_location": ["0", "6", "0"],
        "mailer_location": "A",
    }
    return pd.DataFrame(rows | columns)


def test_exposures_are_read_when_first_touched():
    calls = []

    def read():
        calls.append(1)
        return exposures()

    shop = Shop(read_exposures=read)
    assert "not read" in repr(shop) and not calls
    assert shop.exposures is shop.exposures
    assert calls == [1] and repr(shop).split() == ["Shop", "exposures", "3"]


def test_exposures_are_checked_when_they_are_read():
    shop = Shop(read_exposures=lambda: exposures(week=[1, 0, 2], mailer_location=[None, "A", "A"]))
    with pytest.raises(ShopError) as caught:
        shop.exposures  # noqa: B018
    found = {(v.column, v.rule, v.first_index) for v in caught.value.violations}
    assert found == {("week", "below 1", 1), ("mailer_location", "missing value", 0)}


def test_a_product_may_be_displayed_twice_in_a_week_but_not_at_one_place():
    assert len(Shop.from_frames({"exposures": exposures()}).exposures) == 3
    (violation,) = violations_of({"exposures": exposures(display_location=["6", "6", "0"])})
    assert (violation.rule, violation.rows, violation.first_index) == ("duplicate key", 1, 1)


def test_the_publishers_exposures_pass(shop):
    """Every 53rd row suffices for the products; the rules see all 20.9 million."""
    read = load_shop("exposures")
    assert "not read" in repr(read)
    assert len(read.exposures) == 20_940_529
    assert read.exposures["week"].agg(["min", "max"]).tolist() == [1, 53]
    assert read.exposures["product_id"].iloc[::53].isin(shop.products["product_id"]).all()
    week = read.exposures[read.exposures["week"] == 19]
    assert week.duplicated(["product_id", "store_id"]).any()  # on two displays


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
    for names in ("orders", ["orders"], ["contacts", "orders"]):
        with pytest.raises(ShopError, match=r"orders: unknown table\n(.|\n)*order_lines") as caught:
            load_shop(names)
        assert len(caught.value.violations) == 1


def test_a_single_table_may_be_named_alone():
    shop = load_shop("contacts")
    assert len(shop.contacts) == 6_589 and shop.campaigns is None and shop.exposures is None


@pytest.mark.parametrize("call", [lambda: load_shop([]), lambda: Shop.from_frames({})])
def test_a_shop_has_at_least_one_table(call):
    with pytest.raises(ShopError, match=r"shop: no tables\n   expected: at least one of customers"):
        call()


@pytest.mark.parametrize("tables", [None, [], small_frames()["contacts"], "contacts"])
def test_what_is_no_mapping_of_tables_is_an_error(tables):
    with pytest.raises(ShopError, match="no tables"):
        check_tables(tables)


@pytest.mark.parametrize(
    ("frame", "kind"),
    [
        (None, "NoneType"),
        ({"campaign_id": [1], "customer_id": [1]}, "dict"),
        ([1, 2], "list"),
        (pd.Series([1, 2], name="customer_id"), "Series"),
        (np.ones((2, 2)), "ndarray"),
        ("contacts.csv", "str"),
    ],
)
def test_a_table_that_is_no_dataframe_is_named(frame, kind):
    frames = small_frames() | {"contacts": frame}
    (violation,) = violations_of(frames)
    assert (violation.table, violation.column) == ("contacts", "*")
    assert violation.rule == f"a {kind}, not a DataFrame"
    assert violation.expected == "a pandas DataFrame"
    assert str(violation).startswith(f"contacts: a {kind}, not a DataFrame\nexpected")


def test_wrong_tables_do_not_hide_broken_rows():
    frames = small_frames() | {"customers": None, "orders": None}
    frames["order_lines"].loc[0, "amount"] = np.inf
    rules = [(v.table, v.rule) for v in violations_of(frames)]
    assert rules == [
        ("orders", "unknown table"),
        ("customers", "a NoneType, not a DataFrame"),
        ("order_lines", "infinite"),
    ]


@pytest.mark.parametrize("column", ["customer_id", "amount", "ordered_at"])
def test_a_column_name_that_is_there_twice_is_named(column):
    frames = small_frames()
    lines = frames["order_lines"]
    frames["order_lines"] = pd.concat([lines, lines[[column]]], axis=1)
    (violation,) = violations_of(frames, period=("2017-01-01", "2018-01-01"))
    assert (violation.table, violation.column) == ("order_lines", column)
    assert (violation.rule, violation.rows) == ("duplicate column", len(lines))
    assert violation.expected == "one column of each name"


def test_a_second_column_does_not_hide_other_rules():
    frames = small_frames()
    frames["order_lines"].loc[2, "product_id"] = 9
    lines = frames["order_lines"]
    frames["order_lines"] = pd.concat([lines, lines[["amount", "amount"]]], axis=1)
    rules = [v.rule for v in violations_of(frames)]
    assert rules == ["duplicate column", "unknown product"]


@pytest.mark.parametrize("column", ["amount", "retail_discount", "coupon_discount", "quantity"])
def test_infinite_numbers_are_refused(column):
    frames = small_frames()
    values = frames["order_lines"][column].astype(float)
    frames["order_lines"][column] = values.where(frames["order_lines"].index != 2, np.inf)
    (violation,) = violations_of(frames)
    assert (violation.column, violation.rule, violation.rows) == (column, "infinite", 1)
    assert (violation.first_index, violation.expected) == (2, "a finite number")
    frames["order_lines"][column] *= -1
    assert (column, "below 0") in [(v.column, v.rule) for v in violations_of(frames)]


def test_integer_and_string_ids_are_told_apart():
    frames = small_frames()
    frames["order_lines"]["customer_id"] = frames["order_lines"]["customer_id"].astype(str)
    (violation,) = violations_of(frames)
    assert violation.rule == "wrong type str, but customers.customer_id is int64"
    assert (violation.table, violation.rows) == ("order_lines", 4)
    assert violation.expected == "integers, as in customers"
    assert violation.first_row["customer_id"] == "1"


def test_ids_that_clash_without_the_table_of_their_own_are_named_too():
    frames = {name: small_frames()[name] for name in ("offers", "responses")}
    frames["offers"]["coupon_id"] = "900"
    (violation,) = violations_of(frames)
    assert (violation.table, violation.column) == ("responses", "coupon_id")
    assert violation.expected == "strings, as in offers"


def test_integers_of_two_widths_do_not_clash():
    frames = small_frames()
    frames["order_lines"]["customer_id"] = frames["order_lines"]["customer_id"].astype("int32")
    frames["contacts"]["customer_id"] = frames["contacts"]["customer_id"].astype("Int64")
    assert len(Shop.from_frames(frames).contacts) == 2


@pytest.mark.parametrize("shift", [0, 2**62, -(2**62)])
@pytest.mark.parametrize("kind", [int, str])
def test_repeated_keys_are_found_whatever_the_ids(shift, kind):
    """Small integers are packed into one; large ones and strings take the slow way."""
    lines = small_frames()["order_lines"]
    lines["product_id"] = [10, 11, 10, 10]
    lines["order_id"] = [100, 100, 101, 102]
    lines[["order_id", "product_id"]] += [shift, -shift]
    lines[["order_id", "product_id"]] = lines[["order_id", "product_id"]].astype(kind)
    assert len(Shop.from_frames({"order_lines": lines}).order_lines) == 4
    again = pd.concat([lines, lines.iloc[[3, 1]]], ignore_index=True)
    (violation,) = violations_of({"order_lines": again})
    assert (violation.rule, violation.rows, violation.first_index) == ("duplicate key", 2, 4)


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
    (
        _assign("exposures", product_id=[10, 11, 99]),
        "exposures.product_id: unknown product",
        1,
        2,
        "products",
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
    frames = small_frames() | {"exposures": exposures()}
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
