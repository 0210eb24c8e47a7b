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
    assert found.loc[3].tolist() == [0, 0, 4, 0]
    assert found.loc[7].tolist() == [2, 3, 6, 15]  # two receipts of a day are one order


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
    assert 0.5 < random < 1.3
    assert bouts > 1.8
