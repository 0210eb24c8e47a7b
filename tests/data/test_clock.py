"""Times as the shop's clock shows them."""

import pandas as pd
import pytest

from pm_utils.data import clock


def test_a_zone_is_the_shops_and_its_day_counts():
    utc = pd.Series(pd.to_datetime(["2011-01-02 04:30"]).tz_localize("UTC"))
    assert clock.day_numbers(clock.shop_times(utc, "t")) - 14975 == [1]
    home = utc.dt.tz_convert("America/New_York")
    assert clock.day_numbers(clock.shop_times(home, "t")) - 14975 == [0]


def test_times_without_a_zone_stay_the_same_object():
    times = pd.Series(pd.to_datetime(["1997-01-01"]))
    assert clock.shop_times(times, "t") is times


def test_several_zones_are_refused():
    mixed = pd.Series([pd.Timestamp("2011", tz="UTC"), pd.Timestamp("2011", tz="Asia/Tokyo")])
    with pytest.raises(TypeError, match="give datetimes of one zone"):
        clock.shop_times(mixed.astype(object), "t")


def test_a_day_has_no_time():
    for moment in ("2011-02-01 12:00", pd.Timestamp("2011-02-01 00:00:00.000000001")):
        with pytest.raises(ValueError, match="end is 2011-02-01 .*: give a day, without a time"):
            clock.shop_day(moment, "end")
