"""Contacts as counted by the publisher's tables, and features that know nothing of the future."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from pm_utils.campaigns import (
    CampaignLog,
    contact_features,
    contact_table,
    coupon_use_after,
    household_features,
    latest_profiles,
    learn_taste,
    offer_features,
    split_parts,
    taste_of,
)
from pm_utils.data import Shop, load_shop

TABLES = ["customers", "products", "order_lines", "campaigns", "contacts", "offers", "responses"]
START = pd.Timestamp("2017-07-12")  # campaigns 11 and 12


@pytest.fixture(scope="module")
def shop() -> Shop:
    return load_shop(TABLES)


@pytest.fixture(scope="module")
def contacts(shop) -> pd.DataFrame:
    return contact_table(shop, first="2017-01-01", last="2018-01-08")


@pytest.fixture(scope="module")
def log(shop) -> CampaignLog:
    return CampaignLog.of(shop)


@pytest.fixture(scope="module")
def taste(log):
    return learn_taste(log, "2017-07-07")


def test_contacts_and_redemptions_before_and_from_september_on(contacts):
    test = contacts["starts_on"] >= "2017-09-01"
    assert (~test).sum() == 3_780
    assert test.sum() == 2_218
    assert contacts.loc[~test, "redeemed"].mean() == pytest.approx(0.122, abs=5e-4)
    assert contacts.loc[test, "redeemed"].mean() == pytest.approx(0.136, abs=5e-4)
    assert not contacts.duplicated(["campaign_id", "customer_id"]).any()
    assert (contacts["ends_on"] <= "2018-01-08").all()


def test_parts_follow_one_another_and_campaigns_stay_whole(contacts):
    part = split_parts(contacts, choose_from="2017-07-07", test_from="2017-09-01")
    counts = part.value_counts()
    assert (counts["learn"], counts["choose"], counts["test"]) == (2_319, 1_461, 2_218)
    start = contacts["starts_on"].groupby(part)
    assert start.max()["learn"] < pd.Timestamp("2017-07-07") <= start.min()["choose"]
    assert start.max()["choose"] < pd.Timestamp("2017-09-01") <= start.min()["test"]
    assert (part.groupby(contacts["campaign_id"]).nunique() == 1).all()


def test_redeemed_is_what_the_responses_say(shop, contacts):
    said = shop.responses.groupby("campaign_id")["customer_id"].nunique()
    ours = contacts.groupby("campaign_id")["redeemed"].sum()
    assert (ours == said.reindex(ours.index).fillna(0)).all()
    large = contacts[contacts["campaign_id"] == 18]
    assert (large["days"].iloc[0], len(large)) == (56, 1_133)


def test_answers_are_counted_as_they_were_known(shop, log):
    state = household_features(log, START)
    past = shop.responses[shop.responses["responded_at"] < START]
    counts = past["customer_id"].value_counts()
    some = counts.index[:20]
    assert np.expm1(state.loc[some, "redemptions"]).to_numpy() == pytest.approx(counts[some])
    never = state.index.difference(past["customer_id"])
    assert (state.loc[never, ["redemptions", "redemptions_faded", "answers_a"]] == 0).all(axis=None)
    assert (state.loc[never, "days_since_redemption"] == np.log1p(365)).all()
    household = counts.index[0]
    last = past.loc[past["customer_id"] == household, "responded_at"].max()
    since = np.expm1(state.loc[household, "days_since_redemption"])
    assert since == pytest.approx((START - last).days)


def test_answer_rates_are_shrunk_by_hand(shop, log):
    state = household_features(log, START)
    of_a = shop.campaigns.loc[shop.campaigns["campaign_type"] == "Type A"]
    of_a = of_a.loc[of_a["starts_on"] < START, "campaign_id"]
    addressed = shop.contacts[shop.contacts["campaign_id"].isin(of_a)]["customer_id"]
    past = shop.responses[shop.responses["responded_at"] < START]
    came = past[past["campaign_id"].isin(of_a)].drop_duplicates(["customer_id", "campaign_id"])
    household = came["customer_id"].iloc[0]
    n, k = (addressed == household).sum(), (came["customer_id"] == household).sum()
    assert state.loc[household, "answers_a"] == k
    assert state.loc[household, "answer_rate_a"] == pytest.approx((k + 0.24) / (n + 2))


def without_future(shop: Shop) -> Shop:
    """Drop what happened from the start on; whom campaigns address and how is decided before."""
    lines, responses = shop.order_lines, shop.responses
    return replace(
        shop,
        order_lines=lines[lines["ordered_at"] < START],
        responses=responses[responses["responded_at"] < START],
    )


def test_no_feature_knows_the_future(shop, log, contacts, taste):
    rows = contacts[contacts["starts_on"] == START]
    cut = CampaignLog.of(without_future(shop))
    kept = learn_taste(cut, "2017-07-07")
    now = contact_features(log, rows, taste)
    then = contact_features(cut, rows, kept)
    for ours, theirs in zip(now[:1], then[:1], strict=True):
        plain = [c for c in ours if not c.startswith("taste")]
        pd.testing.assert_frame_equal(ours[plain], theirs[plain])
    plain = [c for c in now[1] if not c.startswith("taste")]
    pd.testing.assert_frame_equal(now[1][plain], then[1][plain])
    assert now[0].index.equals(rows.index)
    assert not np.isnan(now[0].to_numpy()).any()
    assert not np.isnan(now[1].to_numpy()).any()


def test_taste_learns_and_looks_before_its_date_only(shop, log, taste):
    cut = CampaignLog.of(without_future(shop))
    again = learn_taste(cut, "2017-07-07")
    assert np.allclose(np.sort(again.singular_values_), np.sort(taste.singular_values_))
    own = taste_of(log, START, taste)
    assert own.shape == (2_469, 16)
    assert np.abs(own.to_numpy()).max() <= 1 + 1e-6  # rows have length 1
    later = taste_of(log, "2017-12-01", taste)
    assert not np.allclose(own, later, atol=0.05)


def test_offers_meet_purchases_by_hand(shop, log, contacts, taste):
    rows = contacts[contacts["campaign_id"] == 12]
    found = offer_features(log, rows, taste)
    offers = shop.offers[shop.offers["campaign_id"] == 12]
    lines = shop.order_lines[shop.order_lines["ordered_at"] < START]
    bought = lines[lines["product_id"].isin(offers["product_id"])]
    counts = bought["customer_id"].value_counts()
    expected = rows["customer_id"].map(counts).fillna(0)
    assert np.expm1(found["offered_ever"]).to_numpy() == pytest.approx(expected.to_numpy())
    household = counts.index[counts.index.isin(rows["customer_id"])][0]
    (row,) = rows.index[rows["customer_id"] == household]
    own = bought[bought["customer_id"] == household]
    assert np.expm1(found.loc[row, "offered_products"]) == pytest.approx(
        own["product_id"].nunique()
    )
    assert np.expm1(found.loc[row, "coupons"]) == pytest.approx(offers["coupon_id"].nunique())
    assert found.loc[row, "offered_share"] == pytest.approx(
        len(own) / (lines["customer_id"] == household).sum()
    )
    few = offers[offers.groupby("coupon_id")["product_id"].transform("size") <= 200]
    met = few[few["product_id"].isin(own["product_id"])]["coupon_id"].nunique()
    assert np.expm1(found.loc[row, "coupons_ever"]) == pytest.approx(met)


def test_other_campaigns_are_those_that_run_on_the_day(shop, log, contacts, taste):
    rows = contacts[contacts["campaign_id"] == 12]
    found = offer_features(log, rows, taste)
    open_ = shop.campaigns[
        (shop.campaigns["starts_on"] <= START) & (shop.campaigns["ends_on"] >= START)
    ]
    others = set(open_["campaign_id"]) - {12}
    assert 11 in others  # starts on the same day
    assert 13 not in others  # starts later
    addressed = shop.contacts[shop.contacts["campaign_id"].isin(others)]
    expected = rows["customer_id"].map(addressed["customer_id"].value_counts()).fillna(0)
    assert (found["other_campaigns"] == expected).all()
    assert (found["type_b"] == 1).all()
    assert (found[["type_a", "type_c"]] == 0).all(axis=None)


def test_profiles_are_the_last_of_the_vintage_that_was_ready():
    months = pd.to_datetime(["2017-06-01", "2017-07-01", "2017-08-01"])
    keys = [pd.to_datetime(["2017-07-07", "2017-09-01"]), [1, 2], months]
    names = ["trained_until", "customer_id", "as_of"]
    index = pd.MultiIndex.from_product(keys, names=names)
    profiles = pd.DataFrame({"profile_00": np.arange(12.0)}, index)
    contacts = pd.DataFrame(
        {
            "customer_id": [2, 1, 9, 1],
            "starts_on": pd.to_datetime(["2017-07-31", "2017-08-01", "2017-08-05", "2017-05-08"]),
        },
        index=[7, 3, 5, 4],
    )
    found = latest_profiles(profiles, contacts, trained_until="2017-07-07")
    assert found["profile_00"].to_dict() == {7: 4.0, 3: 2.0, 5: 0.0, 4: 0.0}


def test_coupon_use_counts_lines_of_the_days_that_follow(shop, log, taste):
    known, used = coupon_use_after(log, ["2017-05-03"], taste, days=42)
    lines = shop.order_lines
    rows = lines[(lines["coupon_discount"] > 0) & (lines["ordered_at"] >= "2017-05-03")]
    rows = rows[rows["ordered_at"] < "2017-06-14"]
    assert used["coupons"].sum() == len(rows)
    assert known.index.equals(used.index)
    assert (used["coupons"] > 0).sum() == rows["customer_id"].nunique()
