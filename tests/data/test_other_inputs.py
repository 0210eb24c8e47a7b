"""Of the shop's tables by row: order, gaps and indexes."""

import numpy as np
import pandas as pd
import pytest

from pm_utils.data import Shop, clock, journey, levels
from tests.support.metric_cases import MetricCase, properties
from tests.support.shop_tables import small_frames

N = 24
DAY = np.arange(N)[::-1] % 9
CODE = np.arange(N) % 4


def times(days):
    """Days of January as a Series that keeps the index of the days."""
    index = getattr(days, "index", None)
    return pd.Series(pd.Timestamp("2017-01-01") + pd.to_timedelta(np.asarray(days), "D"), index)


def numbers_of(days):
    known = clock.shop_times(times(days), "ordered_at")
    return pd.Series(clock.day_numbers(known), known.index)


def merged(codes):
    known = np.where(np.isnan(codes), -1, codes).astype(int)
    column = pd.Series(pd.Categorical.from_codes(known, list("abcd"), ordered=True))
    return levels.merge_levels(column, {"low": 2, "high": 4}).cat.codes


def share_on_visits(customer, day):
    """Visits of the order lines, of which two redemptions look for theirs."""
    redeemed = pd.DataFrame({"customer_id": [1, 3], "responded_at": times(np.array([1, 1]))})
    lines = pd.DataFrame({"customer_id": customer})
    return journey.redemptions_on_visits(Shop(order_lines=lines, responses=redeemed), times(day))


CASES = {
    "clock.shop_times": MetricCase(numbers_of, {"days": DAY}, by_row=True),
    "clock.day_numbers": MetricCase(numbers_of, {"days": DAY}, by_row=True),
    "journey.redemptions_on_visits": MetricCase(
        share_on_visits, {"customer": CODE, "day": DAY}, gaps=frozenset({"customer"})
    ),
    "levels.merge_levels": MetricCase(
        merged, {"codes": CODE}, gaps=frozenset({"codes"}), by_row=True
    ),
}
SCHEMA, NOTHING = "tests/data/test_schema.py::", "takes no rows"
BESIDES = {
    "clock.shop_day": "tests/data/test_clock.py::test_a_zone_is_the_shops_and_its_day_counts",
    "journey.Shop": "tests/data/test_journey.py::test_frames_of_your_own_make_a_shop",
    "journey.Shop.from_frames": SCHEMA + "test_each_broken_rule_is_named",
    "journey.Shop.exposures": (
        "tests/data/test_journey.py::test_exposures_are_checked_when_they_are_read"
    ),
    "schema.check_tables": "tests/data/test_other_inputs.py::test_tables_are_checked_in_any_order",
    **{
        f"schema.{model}": SCHEMA + "test_each_broken_rule_is_named"
        for model in (
            *("Customers", "Products", "OrderLines", "Campaigns", "Contacts", "Offers"),
            *("Responses", "Exposures", "Rule", "Rule.applies", "Rule.columns", "Rule.violations"),
        )
    },
    **dict.fromkeys(
        [
            *("journey.load_shop", "journey.read_exposures"),
            *(f"schema.{name}" for name in ("Id", "Text", "Number", "NaiveTime", "number")),
            *("schema.moment", "schema.unknown", "schema.Violation", "schema.ShopError"),
            "schema.name_violations",
        ],
        NOTHING,
    ),
}


@pytest.mark.parametrize(("check", "name"), properties(CASES))
def test_rows_of_a_shop_have_each_property(check, name):
    check(CASES[name])


@pytest.mark.parametrize("table", sorted(small_frames()))
def test_tables_are_checked_in_any_order(table):
    frames = small_frames()
    frames[table] = frames[table].sample(frac=1, random_state=1)
    Shop.from_frames(frames)
    frames[table] = frames[table].iloc[:, ::-1]
    Shop.from_frames(frames)
    gap = frames[table].astype(object)
    key = next(name for name in frames[table] if name.endswith("_id"))
    gap.loc[gap.index[0], key] = np.nan
    with pytest.raises(ValueError, match=f"{table}.{key}"):
        Shop.from_frames(frames | {table: gap})
