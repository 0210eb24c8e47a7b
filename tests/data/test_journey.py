"""The shop: publisher's counts, documented cleaning, and errors that name every broken rule."""

import os
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest

from pm_utils.data import Shop, ShopError, load_shop
from pm_utils.data.journey import CLEANING, PERIOD, UNLISTED_PRODUCTS, redemptions_on_visits
from pm_utils.data.schema import MODELS
from tests.support.shop_tables import exposures, small_frames, violations_of

TABLES = [name for name in MODELS if name != "exposures"]


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


def test_frames_of_your_own_make_a_shop():
    frames = small_frames()
    shop = Shop.from_frames(frames, period=("2017-01-01", "2018-01-01"))
    assert shop.order_lines is frames["order_lines"]
    assert shop.exposures is None and shop.cleaning.empty


def test_the_shops_own_tables_pass_their_own_rules(shop):
    frames = {name: getattr(shop, name) for name in TABLES if name != "order_lines"}
    assert len(Shop.from_frames(frames, unlisted_products=UNLISTED_PRODUCTS).offers) == 111_332


def test_visits_are_matched_by_line_and_never_by_position():
    lines = pd.DataFrame({"customer_id": [1, 2]}, ["a", "b"])
    responses = pd.DataFrame({"customer_id": [1], "responded_at": pd.to_datetime(["2017-03-05"])})
    shop = Shop(order_lines=lines, responses=responses)
    times = pd.Series(pd.to_datetime(["2017-03-05 18:00", "2017-03-07 09:00"]), ["a", "b"])
    assert redemptions_on_visits(shop, times) == redemptions_on_visits(shop, times[::-1]) == 1
    with pytest.raises(ValueError, match="ordered_at has no row 'b' of order_lines"):
        redemptions_on_visits(shop, times.rename({"b": "c"}))
    with pytest.raises(ValueError, match="ordered_at is missing in 1 of 2 rows"):
        redemptions_on_visits(shop, times.where(times.index == "a"))
