"""Each rule of the schema refuses the rows that break it."""

import numpy as np
import pandas as pd
import pytest

from pm_utils.data import Shop, ShopError
from pm_utils.data.schema import CROSS_RULES, KEYS, check_tables
from tests.support.shop_tables import exposures, small_frames, violations_of


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
        "order_lines.ordered_at: below 1971-01-01",
        1,
        2,
        "at least 1971",
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


# --- The row that offends is the one that is shown ------------------------------------------------


def violation_of(table: str, **columns):
    frames = small_frames()
    frames[table] = frames[table].assign(**columns)
    (violation,) = [v for v in violations_of(frames) if v.column in columns]
    return violation


def test_ids_of_two_types_show_the_rarer_one():
    found = violation_of("order_lines", order_id=pd.Series([100, 100, 101, "C101"], dtype=object))
    assert found.rule == "wrong type object: 3 int, 1 str"
    assert (found.rows, found.first_index, found.first_row["order_id"]) == (1, 3, "C101")
    assert found.expected == "integers or strings, not both: astype(str) makes them strings"


@pytest.mark.parametrize("ids", [[1.0, np.nan, 2.0, np.nan], ["1", None, "2", None]])
def test_ids_that_are_empty_are_counted_and_the_first_is_shown(ids):
    kind = "float64" if ids[0] == 1 else "object: 2 str"
    found = violation_of("order_lines", customer_id=pd.Series(ids, dtype=kind.split(":")[0]))
    assert found.rule == f"wrong type {kind}, 2 of 4 empty"
    assert (found.rows, found.first_index) == (2, 1)
    assert found.expected == "integers or strings; name or leave out the empty ones"


def test_what_is_no_id_no_number_and_no_text_is_shown():
    found = violation_of("order_lines", order_id=pd.Series([100, 100, 101, 1.5], dtype=object))
    assert (found.rows, found.first_row["order_id"]) == (1, 1.5)
    assert violation_of("order_lines", order_id=[1.0, 1.0, 2.5, 2.5]).first_index == 2
    found = violation_of("order_lines", amount=pd.Series([1.0, 2, "3,50", 4], dtype=object))
    assert (found.rows, found.first_row["amount"]) == (1, "3,50")
    found = violation_of("customers", age_group=pd.Series([None, None], dtype=object))
    assert found.rule == "wrong type object, all of it empty"


def test_an_empty_table_may_be_left_out_and_that_is_the_advice():
    frames = small_frames() | {"offers": small_frames()["offers"].iloc[:0]}
    (violation,) = violations_of(frames)
    assert violation.expected == "at least one row, or to leave the table out"


@pytest.mark.parametrize("year", [1975, 1997, 2017, 2060])
def test_a_shop_of_any_year_is_a_shop(year):
    frames = small_frames()
    shift = pd.Timestamp(f"{year}-01-01") - pd.Timestamp("2017-01-01")
    for table in frames.values():
        for column in table.select_dtypes("datetime"):
            table[column] = table[column] + shift
    assert len(Shop.from_frames(frames).customers) == 2


def test_returns_are_refused_with_their_number():
    frames = small_frames()
    frames["order_lines"].loc[[1, 3], "amount"] = -5.0
    (violation,) = violations_of(frames)
    assert str(violation).startswith("order_lines.amount: below 0 (2 rows)\nfirst: index 1")


def test_ids_of_twelve_digits_stay_apart():
    frames = small_frames()
    for table in frames.values():
        for column in [c for c in table if c.endswith("_id")]:
            table[column] = table[column] + 10**12
    assert len(Shop.from_frames(frames).customers) == 2
