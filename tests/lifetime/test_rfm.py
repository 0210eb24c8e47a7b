"""Frequency, recency and age by hand."""

import numpy as np
import pandas as pd
import pytest

from pm_utils.lifetime import rfm


def orders(*rows):
    table = pd.DataFrame(rows, columns=["customer_id", "ordered_at", "amount"])
    return table.assign(ordered_at=pd.to_datetime(table["ordered_at"], format="ISO8601"))


LOG = orders(
    (7, "2017-01-22 20:00", 9.0),
    (7, "2017-01-01 08:00", 5.0),
    (7, "2017-01-22 08:00", 1.0),
    (7, "2017-02-12", 100.0),
    (3, "2017-01-15", 4.0),
    (7, "2017-01-08", 20.0),
)


def test_a_summary_by_hand():
    found = rfm.rfm_summary(LOG, "2017-02-12")
    assert found.index.tolist() == [3, 7]
    assert found.loc[3].tolist() == [0, 0, 27 / 7, 0]  # from 15 January to 11 February
    assert found.loc[7].tolist() == [2, 3, 41 / 7, 15]  # two receipts of a day are one order


def test_an_order_of_the_date_itself_is_the_future():
    assert rfm.rfm_summary(LOG, "2017-02-13").loc[7, "frequency"] == 3
    assert rfm.rfm_summary(LOG, "2017-01-10").index.tolist() == [7]
    with pytest.raises(ValueError, match="no order is dated before 2016-12-31"):
        rfm.rfm_summary(LOG, "2016-12-31")


def test_days_with_an_order_by_hand():
    count = rfm.days_with_order(LOG, pd.Index([3, 5, 7]), "2017-01-08", "2017-02-12")
    assert count.tolist() == [1, 0, 2]  # two receipts of a day are one, the last day is outside


def test_the_order_of_the_rows_does_not_matter():
    mixed = LOG.sample(frac=1, random_state=1)
    pd.testing.assert_frame_equal(
        rfm.rfm_summary(mixed, "2017-03-01"), rfm.rfm_summary(LOG, "2017-03-01")
    )


def test_dispersion_by_hand():
    """Days in the four weeks counted back: 1, 1, 1, 3 → mean 1.5, variance 1; twice is once."""
    days = ["2017-01-02", "2017-01-03", "2017-01-04", "2017-01-10", "2017-01-18", "2017-01-24"]
    rows = [(1, day, 1.0) for day in [*days, "2017-01-24 09:00"]]
    late = (2, "2017-01-20", 1.0)
    found = rfm.weekly_dispersion(orders(*rows, late), "2017-01-30", min_weeks=4)
    assert found.index.tolist() == [1]
    assert found.loc[1] == pytest.approx(1 / 1.5)


def test_dispersion_tells_regular_from_random_and_from_bouts():
    rng = np.random.default_rng(0)
    day = np.arange(364)
    starts = {
        "regular": day % 7 == 3,
        "random": rng.random(364) < 1 / 7,
        "bouts": (day // 28 % 4 == 0) & (rng.random(364) < 4 / 7),
    }
    rows = [
        (k, pd.Timestamp("2017-01-01") + pd.Timedelta(days=int(d)), 1.0)
        for k, on in enumerate(starts.values())
        for d in np.flatnonzero(on)
    ]
    regular, random, bouts = rfm.weekly_dispersion(orders(*rows), "2017-12-31")
    assert regular < 0.1
    assert 0.5 < random < 1.3  # about 1 - 1 / 7
    assert bouts > 1.8


# --- The convention of age, zones, returns, missing customers ------------------------------------


def test_age_ends_with_the_last_day_that_counts():
    """One day before the date, so an order of that day has recency equal to age."""
    last = orders((1, "2017-02-01", 1.0), (1, "2017-02-11 23:59", 1.0))
    found = rfm.rfm_summary(last, "2017-02-12").loc[1]
    assert found["recency"] == found["age"] == 10 / 7
    assert rfm.rfm_summary(last, "2017-02-02").loc[1, "age"] == 0
    weeks = rfm.days_with_order(last, pd.Index([1]), "2017-02-02", "2017-02-12")
    assert weeks.tolist() == [1]  # the days that follow that age


@pytest.mark.parametrize("year", [1970, 1997, 2010, 2024, 2090])
def test_the_year_does_not_matter(year):
    shift = pd.Timestamp(f"{year}-01-01") - pd.Timestamp("2017-01-01")
    moved = LOG.assign(ordered_at=LOG["ordered_at"] + shift)
    as_of = pd.Timestamp("2017-02-12") + shift
    pd.testing.assert_frame_equal(rfm.rfm_summary(moved, as_of), rfm.rfm_summary(LOG, "2017-02-12"))
    pd.testing.assert_series_equal(
        rfm.weekly_dispersion(moved, as_of, min_weeks=3),
        rfm.weekly_dispersion(LOG, "2017-02-12", min_weeks=3),
    )


NEW_YORK = "America/New_York"
LATE = orders(("a", "2011-01-01 23:30", 10.0), ("a", "2011-01-03 00:30", 20.0))


def test_days_are_those_of_the_shops_zone():
    local = LATE.assign(ordered_at=LATE["ordered_at"].dt.tz_localize(NEW_YORK))
    plain = rfm.rfm_summary(LATE, "2011-02-01")
    for as_of in ("2011-02-01", pd.Timestamp("2011-02-01", tz=NEW_YORK)):
        pd.testing.assert_frame_equal(rfm.rfm_summary(local, as_of), plain)
        days = rfm.days_with_order(local, pd.Index(["a"]), "2011-01-01", as_of)
        assert days.tolist() == [2]
    for table in (local, LATE):
        with pytest.raises(ValueError, match="as_of is of the zone Asia/Tokyo"):
            rfm.rfm_summary(table, pd.Timestamp("2011-02-01", tz="Asia/Tokyo"))


def test_times_that_are_none_are_refused():
    with pytest.raises(TypeError, match="ordered_at is of str, first '2011"):
        rfm.rfm_summary(LATE.assign(ordered_at=["2011-01-01", "2011-01-02"]), "2011-02-01")
    with pytest.raises(ValueError, match="ordered_at is missing in 1 of 2 rows, first row 1"):
        rfm.rfm_summary(LATE.assign(ordered_at=[pd.Timestamp("2011"), pd.NaT]), "2011-02-01")
    with pytest.raises(ValueError, match="as_of is NaT: give a day"):
        rfm.rfm_summary(LATE, pd.NaT)
    with pytest.raises(ValueError, match="let it end after it starts"):
        rfm.days_with_order(LATE, pd.Index(["a"]), "2011-02-01", "2011-01-01")


@pytest.mark.parametrize("ids", [[1.0, 1.0, np.nan, np.nan], ["a", "a", None, None]])
def test_rows_without_a_customer_are_counted_and_never_one_ghost(ids):
    days = pd.to_datetime(["2011-01-01", "2011-01-05", "2011-01-02", "2011-01-03"])
    table = pd.DataFrame({"customer_id": ids, "ordered_at": days, "amount": 5.0})
    for call in (
        lambda **how: rfm.rfm_summary(table, "2011-02-01", **how),
        lambda **how: rfm.weekly_dispersion(table, "2011-02-01", min_weeks=3, **how),
        lambda **how: rfm.days_with_order(table, pd.Index(ids[:1]), "2011", "2012", **how),
    ):
        with pytest.raises(ValueError, match="customer_id is missing in 2 of 4 rows, first row 2"):
            call()
        assert len(call(missing_customers="drop")) == 1
    found = rfm.rfm_summary(table, "2011-02-01", missing_customers="drop")
    assert found.attrs["left_out"] == {"rows without a customer": 2}
    with pytest.raises(TypeError, match="customer_id holds int and str: give ids of one type"):
        rfm.rfm_summary(table.assign(customer_id=[1, "a", 2, "b"]), "2011-02-01")


RETURNED = orders(
    ("a", "2011-01-01", 100.0), ("a", "2011-01-08", 100.0), ("a", "2011-01-15", -100.0)
)


def test_returns_are_refused_netted_or_dropped():
    said = r"amount is below 0 in 1 of 3 rows, first row 2 \(-100.0\)"
    with pytest.raises(ValueError, match=said):
        rfm.rfm_summary(RETURNED, "2011-02-01")
    drop = rfm.rfm_summary(RETURNED, "2011-02-01", returns="drop")
    assert drop.loc["a"].tolist() == [1, 1, 30 / 7, 100]
    assert drop.attrs["left_out"] == {"returns": 1}
    net = rfm.rfm_summary(RETURNED, "2011-02-01", returns="net")
    assert net.loc["a"].tolist() == [0, 0, 30 / 7, 0]  # what was all brought back is no order
    assert net.attrs["left_out"]["days returned in full"] == 1
    for how, days in (("net", 0), ("drop", 1)):
        span = pd.Index(["a"]), "2011-01-02", "2011-02-01"
        assert rfm.days_with_order(RETURNED, *span, returns=how).tolist() == [days]
    with pytest.raises(ValueError, match="returns is 'skip': give one of refuse, net, drop"):
        rfm.rfm_summary(RETURNED, "2011-02-01", returns="skip")


def test_what_is_brought_back_was_bought_before_and_most_likely_last():
    """30 of 12 January: 20 of the 8th, then 10 of the 1st; 5 of the 20th: of nothing."""
    table = orders(
        ("a", "2011-01-01", 50.0),
        ("a", "2011-01-08", 20.0),
        ("a", "2011-01-12", -30.0),
        ("a", "2011-01-15", 40.0),
        ("b", "2011-01-20", -5.0),
    )
    found = rfm.rfm_summary(table, "2011-02-01", returns="net")
    assert found.index.tolist() == ["a"]  # who only brought things back has no order
    assert found.loc["a", ["frequency", "value"]].tolist() == [1, 40]  # nothing left of the 8th
    assert found.attrs["left_out"] == {
        "returns": 2,
        "dollars returned of no purchase": 5.0,
        "days returned in full": 1,
    }
    pd.testing.assert_frame_equal(rfm.rfm_summary(table[::-1], "2011-02-01", returns="net"), found)


@pytest.mark.parametrize("seed", range(30))
def test_netting_is_that_of_one_return_after_another(seed):
    rng, start = np.random.default_rng(seed), pd.Timestamp("2011-01-01")
    bought = pd.DataFrame({"customer_id": rng.integers(0, 4, 30), "day": rng.integers(0, 15, 30)})
    bought = bought.drop_duplicates(ignore_index=True)
    bought["amount"] = rng.integers(1, 30, len(bought)).astype(float)
    back = pd.DataFrame({"customer_id": rng.integers(0, 4, 20), "day": rng.integers(0, 15, 20)})
    back["amount"] = -rng.integers(1, 20, 20).astype(float)
    left, homeless = bought.copy(), 0.0
    for _, (who, day, amount) in back.sort_values("day", kind="stable").iterrows():
        own = left[(left["customer_id"] == who) & (left["day"] <= day)].sort_values("day")
        for row in own.index[::-1]:
            taken = min(-amount, left.loc[row, "amount"])
            left.loc[row, "amount"] -= taken
            amount += taken
        homeless -= amount
    orders = pd.concat([bought, back], ignore_index=True).sample(frac=1, random_state=seed)
    dated = orders.assign(ordered_at=start + pd.to_timedelta(orders["day"], unit="D"))
    found = rfm.rfm_summary(dated, "2011-02-01", returns="net")
    whole = left[left["amount"] > 0].assign(
        ordered_at=lambda t: start + pd.to_timedelta(t["day"], unit="D")
    )
    pd.testing.assert_frame_equal(
        found, rfm.rfm_summary(whole, "2011-02-01"), check_exact=False, rtol=1e-12
    )
    assert found.attrs["left_out"]["dollars returned of no purchase"] == pytest.approx(homeless)
    assert found.attrs["left_out"]["days returned in full"] == (left["amount"] == 0).sum()


def test_amounts_and_columns():
    with pytest.raises(ValueError, match="amount is not finite in 1 of 2 rows"):
        rfm.rfm_summary(LATE.assign(amount=[1, np.nan]), "2011-02-01")
    with pytest.raises(KeyError, match="orders has no column 'amount'"):
        rfm.rfm_summary(LATE.drop(columns="amount"), "2011-02-01")
    pd.testing.assert_frame_equal(
        rfm.rfm_summary(LATE[["amount", "ordered_at", "customer_id"]], "2011-02-01"),
        rfm.rfm_summary(LATE, "2011-02-01"),
    )


def test_ids_of_twelve_digits():
    table = LOG.assign(customer_id=LOG["customer_id"] + 10**12)
    found = rfm.rfm_summary(table, "2017-02-12")
    assert found.index.tolist() == [10**12 + 3, 10**12 + 7]
    assert found.to_numpy().tolist() == rfm.rfm_summary(LOG, "2017-02-12").to_numpy().tolist()


def test_cents_that_cancel_leave_nothing():
    table = orders(
        *(("a", "2011-01-01", 1.0), ("a", "2011-01-08", 0.3)),
        *(("a", "2011-01-09", -0.1), ("a", "2011-01-10", -0.2)),
    )
    assert rfm.rfm_summary(table, "2011-02-01", returns="net").loc["a", "frequency"] == 0


@pytest.mark.parametrize("wrong", ["1997-03-01 12:00", pd.Timestamp("1997-03-01 00:00:01")])
def test_a_boundary_is_a_day(wrong):
    """Else an order of that morning falls neither before the date nor after it."""
    table = orders((1, "1997-02-01", 1.0), (1, "1997-03-01 09:00", 1.0))
    for call in (
        lambda: rfm.rfm_summary(table, wrong),
        lambda: rfm.weekly_dispersion(table, wrong),
        lambda: rfm.days_with_order(table, pd.Index([1]), wrong, "1997-04-01"),
        lambda: rfm.days_with_order(table, pd.Index([1]), "1997-01-01", wrong),
    ):
        with pytest.raises(ValueError, match="1997-03-01 .*: give a day, without a time"):
            call()


def test_ids_that_cannot_be_found_are_refused():
    span = "2017-01-08", "2017-02-12"
    for ids in (pd.Index(["3", "7"]), pd.Index(["3", "7"], dtype="category")):
        with pytest.raises(TypeError, match="customers holds text, customer_id numbers"):
            rfm.days_with_order(LOG, ids, *span)
    assert rfm.days_with_order(LOG, pd.Index([3.0, 5.0, 7.0]), *span).tolist() == [1, 0, 2]
    text = LOG.assign(customer_id=LOG["customer_id"].astype(str).astype("category"))
    assert rfm.days_with_order(text, pd.Index(["3", "9"]), *span).tolist() == [1, 0]


def test_one_week_has_no_variance():
    with pytest.raises(ValueError, match="min_weeks is not finite"):
        rfm.weekly_dispersion(LOG, "2017-02-12", min_weeks=np.nan)
    with pytest.raises(ValueError, match="min_weeks is 1: give at least 2"):
        rfm.weekly_dispersion(LOG, "2017-02-12", min_weeks=1)
    with pytest.raises(ValueError, match="no order is dated before 2016"):
        rfm.weekly_dispersion(LOG, "2016-01-01")
