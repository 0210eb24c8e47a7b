"""Stages are counted per customer, by hand."""

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from pm_utils.data import Shop
from pm_utils.measurement.funnel import (
    contact_funnel,
    front_page_funnel,
    funnel_rates,
    market_funnel,
)


def tiny_shop() -> Shop:
    day = pd.Timestamp
    campaigns = pd.DataFrame(
        {
            "campaign_id": [1],
            "campaign_type": ["Type B"],
            "starts_on": [day("2017-05-01")],
            "ends_on": [day("2017-05-31")],
        }
    )
    lines = [
        (1, 100, 7, "2017-05-31 23:00", 0.0),  # in time, offered
        (2, 200, 7, "2017-05-02 10:00", 0.0),  # in time, not offered
        (3, 100, 7, "2017-06-01 00:00", 0.0),  # a minute late
        (4, 100, 7, "2017-05-10 09:00", 1.0),
        (5, 100, 8, "2017-05-10 09:00", 0.0),  # another store
    ]
    names = ["customer_id", "product_id", "store_id", "ordered_at", "coupon_discount"]
    order_lines = pd.DataFrame(lines, columns=names)
    order_lines["ordered_at"] = pd.to_datetime(order_lines["ordered_at"])
    return Shop(
        customers=pd.DataFrame({"customer_id": [1, 2, 3, 4, 5]}),
        order_lines=order_lines,
        campaigns=campaigns,
        contacts=pd.DataFrame({"campaign_id": 1, "customer_id": [1, 2, 3, 4]}),
        offers=pd.DataFrame({"campaign_id": [1, 1], "coupon_id": [9, 8], "product_id": [100, 100]}),
        responses=pd.DataFrame({"campaign_id": 1, "customer_id": [4, 4, 2], "coupon_id": 9}),
    )


def test_contacts_pass_stages_within_the_campaigns_days():
    rows = contact_funnel(tiny_shop()).set_index("customer_id")
    steps = rows[["mailed", "visited", "bought", "redeemed", "unmatched"]]
    assert steps.loc[1].tolist() == [1, 1, 1, 0, 0]
    assert steps.loc[2].tolist() == [1, 1, 0, 0, 1]  # redeemed without an offered product
    assert steps.loc[3].tolist() == [1, 0, 0, 0, 0]
    assert steps.loc[4].tolist() == [1, 1, 1, 1, 0]  # two redemptions are one contact


def test_front_pages_are_those_of_the_store_and_week():
    page = pd.DataFrame({"product_id": [100], "store_id": [7], "week": [20]})
    rows = front_page_funnel(tiny_shop(), page, [20, 21])
    assert len(rows) == 10  # five households in two weeks
    week = rows[rows["week"] == 20].set_index("customer_id")  # 8 to 14 May
    assert week["week open"].sum() == 5
    assert week.loc[4, ["visited", "bought", "with coupon"]].tolist() == [1, 1, 1]
    assert week.loc[5, ["visited", "bought"]].tolist() == [0, 0]  # no page on record there
    assert not rows.loc[rows["week"] == 21, "visited"].any()


def test_lines_without_a_customer_and_returns_are_refused():
    page = pd.DataFrame({"product_id": [100], "store_id": [7], "week": [20]})
    for change, said in (
        ({"customer_id": [1, 2, None, 4, 5]}, "customer_id of order_lines is missing in 1 of 5"),
        ({"amount": [1.0, 2, 3, -4, 5]}, "amount is out of range in 1 of 5 rows, first row 3"),
        ({"ordered_at": [pd.NaT] * 5}, "ordered_at is missing in 5 of 5"),
    ):
        shop = tiny_shop()
        for name, values in change.items():
            shop.order_lines[name] = pd.Series(values)
        with pytest.raises(ValueError, match=said):
            contact_funnel(shop)
        with pytest.raises(ValueError, match=said):
            front_page_funnel(shop, page, [20])


def test_days_are_those_of_the_shops_zone():
    shop, page = tiny_shop(), pd.DataFrame({"product_id": [100], "store_id": [7], "week": [20]})
    expected = contact_funnel(shop), front_page_funnel(shop, page, [20])
    zone = "America/New_York"
    shop.order_lines["ordered_at"] = shop.order_lines["ordered_at"].dt.tz_localize(zone)
    for name in ("starts_on", "ends_on"):
        shop.campaigns[name] = shop.campaigns[name].dt.tz_localize(zone)
    pd.testing.assert_frame_equal(contact_funnel(shop), expected[0])
    monday = pd.Timestamp("2016-12-26", tz=zone)
    found = front_page_funnel(shop, page, [20], first_monday=monday)
    pd.testing.assert_frame_equal(found, expected[1])


def test_the_first_monday_is_a_monday():
    page = pd.DataFrame({"product_id": [100], "store_id": [7], "week": [20]})
    for wrong, said in (("2016-12-28", "Wednesday 2016-12-28"), ("2016-12-26 09:00", "09:00")):
        with pytest.raises(ValueError, match=f"first_monday is .*{said}"):
            front_page_funnel(tiny_shop(), page, [20], first_monday=pd.Timestamp(wrong))


def test_clicks_of_0_and_1_count_as_booleans():
    log = SimpleNamespace(
        customer=np.array([2, 2, 1]),
        click=np.array([1, 0, 1]),
        visit=np.array([1.0, 0, 0]),
        conversion=np.array([False, False, False]),
    )
    assert market_funnel(log, 3).to_numpy().tolist() == [[0] * 4, [1, 1, 0, 0], [2, 1, 1, 0]]
    with pytest.raises(ValueError, match="customer is out of range in 2 of 3 rows, first row 0"):
        market_funnel(log, 2)
    log.click = np.array([1, 2, 1])
    with pytest.raises(ValueError, match="click holds 1, 2"):
        market_funnel(log, 3)


def test_weeks_without_an_order_are_said_and_other_years_count_from_their_own_monday():
    shop = tiny_shop()
    page = pd.DataFrame({"product_id": [1], "store_id": [1], "week": [2]})
    page = page.assign(store_id=shop.order_lines["store_id"].iloc[0])
    with pytest.raises(ValueError, match="no order of a store with a front page .* 1990-01-01 on"):
        front_page_funnel(shop, page, [2], first_monday=pd.Timestamp("1990-01-01"))


def test_stages_that_cannot_be_counted_are_refused():
    counts = pd.DataFrame({"shown": [10, 10], "clicked": [1, 11]})
    with pytest.raises(ValueError, match="above whole in 1 of 2 rows, first row 1"):
        funnel_rates(counts)
    with pytest.raises(ValueError, match="counts of clicked is not whole"):
        funnel_rates(counts.assign(clicked=[0.5, 1]))
    with pytest.raises(ValueError, match=r"counts has 1 stage\(s\)"):
        funnel_rates(counts[["shown"]])
