"""Contacts as counted by the publisher's tables, and features that know nothing of the future."""

import numpy as np
import pandas as pd
import pytest

from pm_utils.targeting.redemption.contacts import contact_table, split_parts
from pm_utils.targeting.redemption.features import household_features
from tests.conftest import START


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


def test_a_log_counts_lines_by_household_and_product(shop, log):
    rows = log.before("2017-02-01")
    lines = shop.order_lines[shop.order_lines["ordered_at"] < "2017-02-01"]
    assert len(rows) == len(lines)
    table = log.bought(rows)
    assert table.shape == (2_469, len(log.products))
    assert table.sum() == len(lines)
    pair = lines.value_counts(["customer_id", "product_id"]).index[0]
    count = ((lines["customer_id"] == pair[0]) & (lines["product_id"] == pair[1])).sum()
    cell = log.customers.get_loc(pair[0]), log.products.get_loc(pair[1])
    assert table[cell] == count
    halved = log.bought(rows, np.full(len(rows), 0.5))
    assert halved[cell] == count / 2
    assert log.bought(rows, np.zeros(len(rows))).nnz == 0  # nothing counts, nothing is stored


def test_each_product_is_of_one_kind_and_offered_ones_have_a_code(shop, log):
    assert (np.asarray(log.kind.sum(1)).ravel() == 1).all()
    assert (log.products.get_indexer(shop.offers["product_id"]) >= 0).all()
    assert (log.product >= 0).all()
    assert (log.customer >= 0).all()
    types = shop.products[["category", "product_type"]].drop_duplicates()
    assert 0.9 * len(types) < log.kind.shape[1] <= len(types) + 1


def test_coupons_at_the_till_are_counted_back_from_the_day(shop, log):
    state = household_features(log, START)
    lines = shop.order_lines
    used = lines[(lines["coupon_discount"] > 0) & (lines["ordered_at"] < START)]
    counts = used["customer_id"].value_counts()
    ours = np.expm1(state["coupon_lines"])
    assert ours[counts.index].to_numpy() == pytest.approx(counts.to_numpy())
    assert ours.drop(counts.index).max() == 0
    lately = used[used["ordered_at"] >= START - pd.Timedelta(days=28)]
    assert np.expm1(state["coupon_lines_28d"]).sum() == pytest.approx(len(lately))
    household = counts.index[0]
    last = used.loc[used["customer_id"] == household, "ordered_at"].max()
    since = np.expm1(state.loc[household, "days_since_coupon"])
    assert since == pytest.approx((START - last) / pd.Timedelta(days=1))


def test_what_households_told_is_zero_where_they_told_nothing(shop, log):
    state = household_features(log, START)
    silent = shop.customers.set_index("customer_id")["age_group"].isna()
    assert state["told"].sum() == 801
    columns = ["told", "age_group", "income", "household_size", "kids", "married"]
    assert (state.loc[silent, columns] == 0).all(axis=None)
    assert state.loc[~silent, "age_group"].max() == 5


def test_a_household_without_an_order_has_zeros_and_no_gaps(shop, log):
    early = household_features(log, "2017-01-10")
    ordered = shop.order_lines[shop.order_lines["ordered_at"] < "2017-01-10"]["customer_id"]
    new = early.index.difference(ordered)
    assert len(new) > 100
    assert (early.loc[new, ["orders", "total_purchase", "recent_orders"]] == 0).all(axis=None)
    assert early.notna().all(axis=None)


def test_faded_redemptions_weigh_the_latest_most(shop, log):
    before, after = (household_features(log, day) for day in ("2017-07-12", "2017-09-10"))
    past = shop.responses[shop.responses["responded_at"] < "2017-07-12"]
    later = shop.responses[shop.responses["responded_at"] < "2017-09-10"]
    quiet = (
        past["customer_id"]
        .value_counts()
        .index.difference(later.loc[later["responded_at"] >= "2017-07-12", "customer_id"])
    )
    ratio = np.expm1(after.loc[quiet, "redemptions_faded"]) / np.expm1(
        before.loc[quiet, "redemptions_faded"]
    )
    assert ratio.to_numpy() == pytest.approx(np.full(len(quiet), np.exp(-60 / 60)))


def test_answers_of_running_campaigns_count_only_so_far(shop, log):
    rows = shop.responses[shop.responses["campaign_id"] == 8]
    day = pd.Timestamp("2017-06-01")  # campaign 8 runs from 8 May to 25 June
    state = household_features(log, day)
    late = set(rows.loc[rows["responded_at"] >= day, "customer_id"])
    late -= set(shop.responses.loc[shop.responses["responded_at"] < day, "customer_id"])
    assert len(late) > 20
    assert (state.loc[sorted(late), ["redemptions", "answers_a"]] == 0).all(axis=None)
    addressed = shop.contacts[shop.contacts["campaign_id"] == 8]["customer_id"]
    assert (state.loc[addressed, "contacts_a"] > 0).all()  # whom it addressed is known


def test_a_campaign_on_the_border_of_the_period_counts_and_beyond_it_does_not(shop):
    exact = contact_table(shop, first="2017-08-08", last="2017-09-24")
    assert exact["campaign_id"].unique().tolist() == [13]
    assert exact["customer_id"].is_monotonic_increasing
    assert len(contact_table(shop, first="2017-08-09", last="2017-09-24")) == 0
    assert len(contact_table(shop, first="2017-08-08", last="2017-09-23")) == 0


def test_lines_are_weighed_by_numbers(log):
    rows = log.before("2017-02-01")[:9]
    for table in (log.bought, log.kinds_bought):
        assert table(rows, np.full(9, 2.0)).sum() == 18
        for wrong in (np.nan, np.inf):
            with pytest.raises(
                ValueError, match="weight is not finite in 1 of 9 rows, first row 4"
            ):
                table(rows, np.where(np.arange(9) == 4, wrong, 1.0))
