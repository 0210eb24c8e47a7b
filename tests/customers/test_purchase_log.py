"""Purchase histories: counts worked by hand, and views of the past that the future cannot move."""

import dataclasses

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pm_utils.customers.purchase_log import (
    CONTEXT_COLUMNS,
    HISTORY_COLUMNS,
    PurchaseLog,
    basket_sequences,
    category_history,
    category_orders,
    customer_context,
    day_number,
    known_customers,
    largest_categories,
    next_purchases,
    purchase_log,
    week_grid,
)
from pm_utils.data import Shop

AS_OF = "2017-03-01"  # day 59
MILK, BREAD, CATEGORIES = 0, 1, ("MILK", "BREAD")
SOLD = {10: "MILK", 11: "MILK", 12: "BREAD", 13: "TOYS", 14: "COUPON/MISC ITEMS", 15: None}

# order, customer, product, dollars, day
HAND = [
    (1, 30, 10, 2.0, "2017-01-01 08:00"),  # day 0: 59 days before
    (2, 10, 12, 1.0, "2017-01-31 09:00"),  # day 30: 29 days before, out of the last 4 weeks
    (3, 10, 10, 1.0, "2017-02-01 00:00"),  # day 31: 28 days before, the first of the last 4 weeks
    (3, 10, 11, 3.0, "2017-02-01 00:00"),  # two kinds of milk, one order
    (3, 10, 12, 4.0, "2017-02-01 00:00"),
    (4, 10, 13, 9.0, "2017-02-20 10:00"),  # day 50: toys are not followed
    (5, 10, 10, 5.0, "2017-02-28 23:59"),  # day 58: the day before
    (6, 10, 12, 7.0, "2017-03-01 00:00"),  # day 59: the day itself, the future
    (7, 20, 10, 1.0, "2017-03-14 10:00"),  # day 72
    (8, 20, 12, 1.0, "2017-03-15 10:00"),  # day 73: 14 days after
    (9, 30, 14, 1.0, "2017-01-02 08:00"),
    (9, 30, 15, 1.0, "2017-01-02 08:00"),
]


def shop_of(rows: list[tuple]) -> Shop:
    """Customers 10 to 40, the last of whom never orders, and the products of `SOLD`."""
    columns = ["order_id", "customer_id", "product_id", "amount", "ordered_at"]
    lines = pd.DataFrame(rows, columns=columns)
    lines["ordered_at"] = pd.to_datetime(lines["ordered_at"], format="ISO8601")
    products = pd.DataFrame({"product_id": list(SOLD), "category": list(SOLD.values())})
    customers = pd.DataFrame({"customer_id": [30, 10, 40, 20]})
    return Shop(customers=customers, products=products, order_lines=lines)


@pytest.fixture(scope="module")
def log():
    return purchase_log(shop_of(HAND), CATEGORIES)


def views(log, as_of) -> dict[str, np.ndarray]:
    """Everything that is known of the customers as of a date."""
    baskets, ages, lengths = basket_sequences(log, as_of, 3)
    return {
        "history": category_history(log, as_of),
        "context": customer_context(log, as_of),
        "grid": week_grid(log, as_of, 6),
        "baskets": baskets,
        "ages": ages,
        "lengths": lengths,
        "known": known_customers(log, as_of),
        "before": category_orders(log, 0, day_number(as_of)),
    }


def test_the_log_holds_one_row_per_order_and_followed_category(log):
    assert log.customers.tolist() == [10, 20, 30, 40]
    rows = sorted(zip(log.day, log.customer, log.category, strict=True))
    expected = [(0, 2, MILK), (30, 0, BREAD), (31, 0, MILK), (31, 0, BREAD), (58, 0, MILK)]
    assert rows == [*expected, (59, 0, BREAD), (72, 1, MILK), (73, 1, BREAD)]


def test_the_log_holds_every_order_once_in_order_of_time(log):
    assert log.order_day.tolist() == [0, 1, 30, 31, 50, 58, 59, 72, 73]
    assert log.order_customer.tolist() == [2, 2, 0, 0, 0, 0, 0, 1, 1]
    assert log.order_spend.tolist() == [2, 2, 1, 8, 9, 5, 7, 1, 1]
    np.testing.assert_array_equal(log.order_day[log.order], log.day)
    np.testing.assert_array_equal(log.order_customer[log.order], log.customer)


def test_the_order_of_the_lines_does_not_matter(log):
    again = purchase_log(
        shop_of([HAND[at] for at in (7, 3, 11, 0, 5, 9, 4, 1, 10, 8, 2, 6)]), CATEGORIES
    )
    for name, view in views(log, AS_OF).items():
        np.testing.assert_array_equal(views(again, AS_OF)[name], view, err_msg=name)


def test_days_count_from_the_first_of_january():
    assert [day_number(d) for d in ("2017-01-01", "2017-02-01", "2018-01-01")] == [0, 31, 365]
    for moment in ("2017-01-02 23:59", pd.Timestamp("2017-01-02", tz="Asia/Tokyo")):
        with pytest.raises(ValueError, match="the date is .*: give (a day|the shop's own day)"):
            day_number(moment)


def test_orders_are_counted_from_the_first_day_to_before_the_last(log):
    assert category_orders(log, 30, 58).tolist() == [[1, 2], [0, 0], [0, 0], [0, 0]]
    assert category_orders(log, 31, 59).tolist()[0] == [2, 1]
    assert category_orders(log, 59, 59).sum() == 0


def test_the_history_with_a_category_by_hand(log):
    history = np.expm1(category_history(log, AS_OF))
    assert history.shape == (4, 2, len(HISTORY_COLUMNS))
    # orders in 4, 8 and 16 weeks; per 8 weeks of the 59 days; days since the last
    np.testing.assert_allclose(history[0, MILK], [2, 2, 2, 2 * 56 / 59, 1], rtol=1e-5)
    np.testing.assert_allclose(history[0, BREAD], [1, 2, 2, 2 * 56 / 59, 28], rtol=1e-5)
    np.testing.assert_allclose(history[2, MILK], [0, 0, 1, 56 / 59, 59], rtol=1e-5)
    np.testing.assert_allclose(history[1, MILK], [0, 0, 0, 0, 180], rtol=1e-5)


def test_a_long_gap_is_cut_at_180_days(log):
    gap = HISTORY_COLUMNS.index("days_since")
    on_day = {
        as_of: np.expm1(category_history(log, as_of)[2, MILK, gap])
        for as_of in ("2017-06-29", "2017-06-30", "2017-07-01", "2018-01-01")
    }
    np.testing.assert_allclose(list(on_day.values()), [179, 180, 180, 180], rtol=1e-5)


def test_the_context_by_hand(log):
    context = np.expm1(customer_context(log, AS_OF))
    assert context.shape == (4, len(CONTEXT_COLUMNS))
    share = 56 / 59
    first = [3, 4, 4 * share, 22, 23, 23 * share, 1, 2]
    np.testing.assert_allclose(context[0], first, rtol=1e-5)
    np.testing.assert_allclose(context[1], [0, 0, 0, 0, 0, 0, 180, 0], rtol=1e-5)
    # orders on days 0 and 1 are 59 and 58 days old, out of the last 8 weeks
    third = [0, 0, 2 * share, 0, 0, 4 * share, 58, 1]
    np.testing.assert_allclose(context[2], third, rtol=1e-5)


def test_the_grid_by_hand(log):
    grid = np.expm1(week_grid(log, AS_OF, 5))
    assert grid.shape == (4, 2, 5)
    # days 24-30, 31-37, 38-44, 45-51 and 52-58
    np.testing.assert_allclose(grid[0], [[0, 1, 0, 0, 1], [1, 1, 0, 0, 0]], rtol=1e-6)
    assert grid[1:].sum() == 0
    early = np.expm1(week_grid(log, "2017-01-08", 5))
    np.testing.assert_allclose(early[2, MILK], [0, 0, 0, 0, 1], rtol=1e-6)


def test_baskets_are_the_last_ones_oldest_first_and_padded_on_the_right(log):
    baskets, ages, lengths = basket_sequences(log, AS_OF, 3)
    assert lengths.tolist() == [3, 0, 2, 0]
    # customer 10 has four orders; the oldest is dropped; toys make an empty basket
    assert baskets[0].tolist() == [[1, 1], [0, 0], [1, 0]]
    assert baskets[2].tolist() == [[1, 0], [0, 0], [0, 0]]
    np.testing.assert_allclose(np.expm1(ages[0]), [28, 9, 1], rtol=1e-5)
    np.testing.assert_allclose(np.expm1(ages[2]), [59, 58, 0], rtol=1e-5)
    assert baskets[[1, 3]].sum() == ages[[1, 3]].sum() == 0
    assert (baskets.dtype, ages.dtype, lengths.dtype) == (np.uint8, np.float32, np.int64)


def test_targets_are_what_is_bought_from_the_date_on_and_before_the_end(log):
    assert next_purchases(log, AS_OF, 14, 2).tolist() == [[0, 1], [1, 0], [0, 0], [0, 0]]
    assert next_purchases(log, AS_OF, 15, 2).tolist()[1] == [1, 1]
    assert next_purchases(log, "2017-03-02", 13, 2).tolist()[0] == [0, 0]
    assert next_purchases(log, "2017-02-28", 1, 1).tolist() == [[1], [0], [0], [0]]
    assert next_purchases(log, "2017-02-01", 28, 1).max() == 1  # two orders are still one


def test_known_customers_have_ordered_before(log):
    assert known_customers(log, AS_OF).tolist() == [0, 2]
    assert known_customers(log, "2017-01-01").tolist() == []
    assert known_customers(log, "2017-03-15").tolist() == [0, 1, 2]


def test_the_largest_categories_are_those_with_most_customers_before_the_date():
    shop = shop_of(HAND)
    assert largest_categories(shop, "2017-02-25", 1) == ("MILK",)  # two customers against one
    assert sorted(largest_categories(shop, "2017-02-25", 3)) == ["BREAD", "MILK", "TOYS"]
    with pytest.raises(ValueError, match="count is 4: only 3 categories were bought"):
        largest_categories(shop, "2018-01-01", 4)  # neither the catch-all nor the nameless one
    with pytest.raises(ValueError, match="only 2"):
        largest_categories(shop, "2017-02-20", 3)  # the toys are bought on that very day


LINES = st.lists(
    st.tuples(
        st.integers(0, 1),  # orders of one customer in one hour, see `lines_of`
        st.sampled_from([10, 20, 30]),
        st.sampled_from(sorted(SOLD)),
        st.floats(0, 50),
        st.integers(0, 365 * 24 - 1),
    ),
    max_size=25,
)


def lines_of(drawn: list[tuple]) -> list[tuple]:
    """Rows for `shop_of`, one order per number, customer and hour, and one order of toys."""
    times = pd.Timestamp("2017-01-01") + pd.to_timedelta([line[-1] for line in drawn], unit="h")
    orders: dict = {}
    rows = [(10**6, 10, 13, 1.0, pd.Timestamp("2017-01-01"))]
    for (n, who, what, dollars, hour), time in zip(drawn, times, strict=True):
        order = orders.setdefault((n, who, hour), len(orders))
        rows.append((order, who, what, dollars, time))
    return rows


def log_of(drawn: list[tuple]) -> PurchaseLog:
    return purchase_log(shop_of(lines_of(drawn)), CATEGORIES)


@settings(max_examples=40, deadline=None)
@given(LINES, LINES, st.integers(1, 364))
def test_no_view_of_the_past_moves_when_the_future_does(drawn, other, day):
    as_of = pd.Timestamp("2017-01-01") + pd.Timedelta(days=day)
    past = [line for line in drawn if line[-1] < 24 * day]
    future = [line for line in drawn if line[-1] >= 24 * day]
    another = [line for line in other if line[-1] >= 24 * day]
    worlds = (past + future, past + another, past)
    one, *others = [views(log_of(lines), as_of) for lines in worlds]
    for view in others:
        for name in one:
            np.testing.assert_array_equal(view[name], one[name], err_msg=name)
    assert len({largest_categories(shop_of(lines_of(lines)), as_of, 1) for lines in worlds}) == 1


@settings(max_examples=40, deadline=None)
@given(LINES, LINES, st.integers(1, 300), st.integers(1, 60))
def test_no_target_moves_when_the_past_or_the_time_after_it_does(drawn, other, day, days):
    as_of = pd.Timestamp("2017-01-01") + pd.Timedelta(days=day)

    def within(line: tuple) -> bool:
        return 24 * day <= line[-1] < 24 * (day + days)

    kept = [line for line in drawn if within(line)]
    changed = kept + [line for line in other if not within(line)]
    logs = [log_of(lines) for lines in (drawn, changed)]
    np.testing.assert_array_equal(*(next_purchases(log, as_of, days, 2) for log in logs))


@settings(max_examples=40, deadline=None)
@given(LINES, st.integers(1, 365), st.integers(1, 60))
def test_the_views_agree_with_one_another(drawn, day, weeks):
    log = log_of(drawn)
    as_of = pd.Timestamp("2017-01-01") + pd.Timedelta(days=day)
    grid = np.expm1(week_grid(log, as_of, weeks)).round()
    counted = category_orders(log, day - 7 * weeks, day)
    np.testing.assert_array_equal(grid.sum(axis=2), counted)
    baskets, _, lengths = basket_sequences(log, as_of, 30)
    np.testing.assert_array_equal(baskets.sum(axis=1), category_orders(log, 0, day))
    np.testing.assert_array_equal(np.flatnonzero(lengths), known_customers(log, as_of))
    history = np.expm1(category_history(log, as_of)).round()
    for column, days in enumerate((28, 56, 112)):
        np.testing.assert_array_equal(history[..., column], category_orders(log, day - days, day))
    spend = np.expm1(customer_context(log, as_of)[:, CONTEXT_COLUMNS.index("spend_per_8w")])
    assert spend.sum() * day / 56 == pytest.approx(
        log.order_spend[log.order_day < day].sum(), rel=1e-3, abs=1e-3
    )


@settings(max_examples=30, deadline=None)
@given(LINES, st.integers(1, 365), st.integers(1, 6))
def test_a_shorter_sequence_is_the_end_of_a_longer_one(drawn, day, length):
    log = log_of(drawn)
    as_of = pd.Timestamp("2017-01-01") + pd.Timedelta(days=day)
    short, short_ages, short_lengths = basket_sequences(log, as_of, length)
    whole, ages, lengths = basket_sequences(log, as_of, 30)
    np.testing.assert_array_equal(short_lengths, np.minimum(lengths, length))
    for who in range(len(lengths)):
        real = slice(lengths[who] - short_lengths[who], lengths[who])
        np.testing.assert_array_equal(short[who, : short_lengths[who]], whole[who, real])
        np.testing.assert_array_equal(short_ages[who, : short_lengths[who]], ages[who, real])
        assert short[who, short_lengths[who] :].sum() == 0
        assert (np.diff(ages[who, : lengths[who]]) <= 0).all()  # nearer and nearer


def test_a_view_that_read_the_day_itself_would_be_seen(log):
    """The property above can fail: a log that is one day early gives other views."""
    early = dataclasses.replace(log, day=log.day - 1, order_day=log.order_day - 1)
    now, moved = views(log, AS_OF), views(early, AS_OF)
    changed = {name for name in now if not np.array_equal(now[name], moved[name])}
    assert changed >= {"history", "context", "grid", "baskets", "ages", "before"}


# --- Any year, any zone, any id -------------------------------------------------------------------


@pytest.mark.parametrize("year", [1997, 2010, 2017, 2018, 2024])
def test_rates_count_from_the_shops_first_order_in_whatever_year(year):
    """One order of 10 dollars a week for eight weeks."""
    day = pd.Timestamp(f"{year}-01-01")
    rows = [(k, 10, 10, 10.0, day + pd.Timedelta(weeks=k)) for k in range(8)]
    log, as_of = purchase_log(shop_of(rows), ("MILK",)), day + pd.Timedelta(weeks=8)
    context, history = np.expm1(customer_context(log, as_of))[0], category_history(log, as_of)
    assert context[CONTEXT_COLUMNS.index("orders_per_8w")] == pytest.approx(8, rel=1e-5)
    assert context[CONTEXT_COLUMNS.index("spend_per_8w")] == pytest.approx(80, rel=1e-5)
    rate = np.expm1(history[0, 0, HISTORY_COLUMNS.index("orders_per_8w")])
    assert rate == pytest.approx(8, rel=1e-5)


def test_days_are_those_of_the_shops_zone(log):
    shop = shop_of(HAND)
    times = shop.order_lines["ordered_at"].dt.tz_localize("America/New_York")
    shop = dataclasses.replace(shop, order_lines=shop.order_lines.assign(ordered_at=times))
    local = purchase_log(shop, CATEGORIES)
    assert local.order_day.tolist() == log.order_day.tolist()
    as_of = pd.Timestamp(AS_OF, tz="America/New_York")
    assert (category_history(local, AS_OF) == category_history(log, AS_OF)).all()
    assert largest_categories(shop, as_of, 2) == largest_categories(shop_of(HAND), AS_OF, 2)
    with pytest.raises(ValueError, match="before is of the zone UTC"):
        largest_categories(shop, pd.Timestamp(AS_OF, tz="UTC"), 2)
    with pytest.raises(ValueError, match="the date is NaT"):
        day_number(pd.NaT)


def test_an_unknown_customer_is_no_neighbour():
    with pytest.raises(KeyError, match="customer_id is not known in 1 of 10 rows, .* \\(25\\)"):
        purchase_log(shop_of([*HAND, (99, 25, 10, 1.0, "2017-02-01")]), CATEGORIES)
    with pytest.raises(ValueError, match="amount is out of range in 1 of 13 rows"):
        purchase_log(shop_of([*HAND, (99, 20, 10, -1.0, "2017-02-01")]), CATEGORIES)
    with pytest.raises(ValueError, match="amount is not finite in 1 of 13 rows"):
        purchase_log(shop_of([*HAND, (99, 20, 10, np.nan, "2017-02-01")]), CATEGORIES)


def test_ids_of_twelve_digits(log):
    shop, far = shop_of(HAND), 10**12
    lines = shop.order_lines.assign(customer_id=shop.order_lines["customer_id"] + far)
    customers = shop.customers + far
    found = purchase_log(
        Shop(customers=customers, products=shop.products, order_lines=lines), CATEGORIES
    )
    assert (found.customers - far).tolist() == log.customers.tolist()
    assert (customer_context(found, AS_OF) == customer_context(log, AS_OF)).all()
