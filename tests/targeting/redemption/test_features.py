"""Offers, tastes and their meeting, by hand and without any knowledge of the future."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from pm_utils.data import Shop
from pm_utils.targeting.redemption.contacts import TIMES, CampaignLog, contact_table
from pm_utils.targeting.redemption.features import (
    FEW,
    LENGTH,
    bought_types,
    contact_features,
    coupon_use_after,
    feature_groups,
    household_features,
    latest_profiles,
    learn_taste,
    offer_features,
    taste_of,
)
from tests.conftest import START


def test_features_are_sorted_by_subject_each_once():
    columns = [
        *("redemptions_faded", "answer_rate_a", "coupon_lines_28d", "coupons", "coupons_8w"),
        *("coupon_order_share", "told", "taste_00", "taste_match", "profile_07", "orders"),
        *("products", "offered_products", "type_a", "income", "homeowner", "orders_expected"),
    ]
    groups = feature_groups(columns)
    assert sorted(sum(groups.values(), [])) == sorted(columns)
    assert groups["earlier answers"] == ["redemptions_faded", "answer_rate_a"]
    assert groups["coupons at the till"] == ["coupon_lines_28d", "coupon_order_share"]
    assert groups["campaign"] == ["coupons", "products", "type_a"]
    fits = ["coupons_8w", "taste_match", "offered_products", "orders_expected"]
    assert groups["offers that fit"] == fits
    assert groups["taste and profile"] == ["taste_00", "profile_07"]
    assert groups["activity"] == ["orders"]
    assert list(feature_groups(["orders"])) == ["activity"]


@pytest.fixture(scope="module")
def taste(log):
    return learn_taste(log, "2017-07-07")


def without_future(shop: Shop) -> Shop:
    """Drop what happened after the start, later campaigns included."""
    lines, responses, spans = shop.order_lines, shop.responses, shop.campaigns
    begun = spans.loc[spans["starts_on"] <= START, "campaign_id"]
    contacts, offers = shop.contacts, shop.offers
    return replace(
        shop,
        order_lines=lines[lines["ordered_at"] < START],
        responses=responses[responses["responded_at"] < START],
        campaigns=spans[spans["campaign_id"].isin(begun)],
        contacts=contacts[contacts["campaign_id"].isin(begun)],
        offers=offers[offers["campaign_id"].isin(begun)],
    )


def test_no_feature_knows_the_future(shop, log, contacts, taste):
    rows = contacts[contacts["starts_on"] == START]
    cut = CampaignLog.of(without_future(shop))
    kept = learn_taste(cut, "2017-07-07")
    now = contact_features(log, rows, taste)
    then = contact_features(cut, rows, kept)
    assert len(cut.shop.campaigns) < len(shop.campaigns)
    assert len(cut.shop.offers) < len(shop.offers)
    for ours, theirs in zip(now, then, strict=True):
        plain = [c for c in ours if not c.startswith("taste_0") and not c.startswith("taste_1")]
        pd.testing.assert_frame_equal(ours[plain], theirs[plain], atol=1e-4)
        axes = ours.columns.difference(plain)  # a component may come back with its sign turned
        assert np.allclose(ours[axes].abs(), theirs[axes].abs(), atol=1e-3)
    assert now[0].filter(regex=r"^taste_\d").shape[1] == 16
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


def test_taste_rows_have_length_one_before_the_decomposition(log, taste):
    assert taste.components_.shape == (16, log.kind.shape[1])
    share = taste.explained_variance_ratio_
    assert share[1] > share[5] > share[15]
    assert 0.1 < share.sum() < 0.9
    own = taste_of(log, START, taste)
    length = np.linalg.norm(own, axis=1)
    assert np.median(length) > 0.5  # sixteen numbers keep a good part of a basket
    assert taste_of(log, START, taste).equals(own)


def test_a_household_likes_offers_made_of_its_own_basket(shop, log, taste):
    lines = shop.order_lines[shop.order_lines["ordered_at"] < START]
    household = lines["customer_id"].value_counts().index[50]
    own = lines.loc[lines["customer_id"] == household, "product_id"].unique()
    rare = shop.products.loc[shop.products["department"].eq("FLORAL"), "product_id"]
    rare = rare[rare.isin(log.products)]
    row = {"campaign_id": [99], "customer_id": [household], "campaign_type": ["Type B"]}
    row |= {"starts_on": [START], "ends_on": [START + pd.Timedelta(days=30)], "days": [31]}
    contact = pd.DataFrame(row)
    found = {}
    for name, products in {"own": own, "rare": rare.to_numpy()[:40]}.items():
        offers = pd.DataFrame({"campaign_id": 99, "coupon_id": 1, "product_id": products})
        changed = replace(log, shop=replace(shop, offers=offers))
        found[name] = offer_features(changed, contact, taste).iloc[0]
    assert found["own"]["taste_match"] > 0.8
    assert found["own"]["taste_match"] > found["rare"]["taste_match"] + 0.2
    assert found["own"]["offered_share"] == pytest.approx(1)
    assert np.expm1(found["own"]["offered_products"]) == pytest.approx(len(own))
    assert len(own) > FEW  # so no coupon is narrow enough to say what it is about
    assert found["own"]["coupons_ever"] == found["own"]["coupons_share"] == 0


def test_recent_purchases_and_those_by_coupon_are_parts_of_all(contacts, log, taste):
    rows = contacts[contacts["campaign_id"] == 13]
    found = offer_features(log, rows, taste)
    for name in ("offered", "coupons"):
        for part in ("8w", "by_coupon"):
            assert (found[f"{name}_{part}"] <= found[f"{name}_ever"] + 1e-9).all()
        assert (found[f"{name}_8w"] < found[f"{name}_ever"]).mean() > 0.3
    assert (np.expm1(found["offered_faded"]) <= np.expm1(found["offered_ever"]) + 1e-6).all()
    assert (np.expm1(found["coupons_expected"]) <= np.expm1(found["coupons_ever"]) + 1e-6).all()
    assert found["coupons_share"].between(0, 1).all()
    assert found["taste_match"].between(-1, 1).all()


def test_expected_orders_grow_with_the_campaign(contacts, log, taste):
    rows = contacts[contacts["campaign_id"] == 12]
    longer = rows.assign(days=2 * rows["days"])
    once, twice = (offer_features(log, part, taste)["orders_expected"] for part in (rows, longer))
    assert np.expm1(twice).to_numpy() == pytest.approx(2 * np.expm1(once).to_numpy())
    assert (once > 0).mean() > 0.8


def test_features_come_in_the_order_of_the_contacts(contacts, log, taste):
    rows = contacts[contacts["starts_on"].isin([START, pd.Timestamp("2017-06-28")])]
    mixed = rows.sample(frac=1, random_state=0)
    household, content = contact_features(log, mixed, taste)
    assert household.index.equals(mixed.index)
    assert content.index.equals(mixed.index)
    straight = contact_features(log, rows, taste)
    pd.testing.assert_frame_equal(household.loc[rows.index], straight[0])
    pd.testing.assert_frame_equal(content.loc[rows.index], straight[1])
    assert not set(household) & set(content)


def test_offers_that_fit_come_before_redemptions(contacts, log, taste):
    rows = contacts[contacts["campaign_id"] == 13]
    found = offer_features(log, rows, taste)
    came = rows["redeemed"].to_numpy()
    for name in ("coupons_8w", "kinds_faded", "offered_by_coupon"):
        assert found[name][came].mean() > found[name][~came].mean() + 0.2, name
    shuffled = np.random.default_rng(0).permutation(came)
    assert abs(found["kinds_faded"][shuffled].mean() - found["kinds_faded"].mean()) < 0.1


# --- Shops of one's own ---------------------------------------------------------------------------


def own_shop(kind: str, **changes) -> Shop:
    """Six customers, one campaign that addresses all of them, three of whom redeem."""
    told = ("age_group", "income", "home_ownership", "marital_status", "household_size")
    told = (*told, "household_composition", "kids")
    day = pd.Timestamp
    names = ["order_id", "customer_id", "store_id", "product_id", "quantity", "amount"]
    cells = {name: np.arange(60) % 6 if name == "customer_id" else 1 for name in names}
    lines = pd.DataFrame(cells | {"order_id": np.arange(60)})
    for name in ("retail_discount", "coupon_discount", "coupon_match_discount"):
        lines[name] = 0.0
    lines["product_id"] = 1 + lines["customer_id"] % 2
    lines["amount"], lines["ordered_at"] = 10.0, pd.date_range("2019-01-01", periods=60)
    levels = {"home_ownership": "Renter", "marital_status": "Married"}
    customers = {n: pd.Categorical([levels.get(n, "x")] * 6, ordered=True) for n in told}
    kinds = {"department": "Toys", "brand": "own", "category": "Toys", "product_type": ["T", "U"]}
    product = {"product_id": [1, 2], "manufacturer_id": 1, "package_size": "1"}
    span = {"starts_on": [day("2019-01-10")], "ends_on": [day("2019-01-20")]}
    tables = {
        "order_lines": lines,
        "customers": pd.DataFrame({"customer_id": np.arange(6), **customers}),
        "products": pd.DataFrame(product | kinds),
        "campaigns": pd.DataFrame({"campaign_id": [1], "campaign_type": [kind], **span}),
        "contacts": pd.DataFrame({"campaign_id": [1] * 6, "customer_id": np.arange(6)}),
        "offers": pd.DataFrame({"campaign_id": [1], "coupon_id": [7], "product_id": [1]}),
        "responses": pd.DataFrame(
            {
                "customer_id": [0, 1, 2],
                "coupon_id": 7,
                "campaign_id": 1,
                "responded_at": day("2019-01-12"),
            }
        ),
    }
    return Shop(**(tables | changes))


def test_campaign_types_of_ones_own_are_counted_once_they_are_named():
    known = household_features(CampaignLog.of(own_shop("Type B")), "2019-02-15")
    with pytest.raises(
        KeyError, match=r"'newsletter', known are 'Type A', .*types=\['newsletter'\]"
    ):
        CampaignLog.of(own_shop("newsletter"))
    log = CampaignLog.of(own_shop("newsletter"), types=["newsletter", "post card"])
    found = household_features(log, "2019-02-15")
    for name in ("contacts", "answers", "answer_rate"):
        assert found[f"{name}_newsletter"].tolist() == known[f"{name}_bc"].tolist()
    assert found["answers_newsletter"].tolist() == [1, 1, 1, 0, 0, 0]
    assert (found["contacts_post_card"] == 0).all()
    contacts = contact_table(log.shop, first="2019-01-01", last="2019-02-01")
    offer = offer_features(log, contacts, learn_taste(log, "2019-02-01", width=1))
    assert (offer["type_newsletter"] == 1).all()
    assert (offer["type_post_card"] == 0).all()
    columns = [*found, *offer]
    assert len(set(columns)) == len(columns)
    groups = feature_groups(columns)
    assert {"contacts_newsletter", "answers_post_card"} <= set(groups["earlier answers"])
    assert {"type_newsletter", "other_campaigns_post_card"} <= set(groups["campaign"])


def test_a_shop_without_campaigns_has_nothing_counted():
    shop = own_shop("Type A")
    none = {name: getattr(shop, name)[:0] for name in ("campaigns", "contacts", "responses")}
    for empty in (none, {name: table.astype(object) for name, table in none.items()}):
        log = CampaignLog.of(replace(shop, **empty))
        found = household_features(log, "2019-02-15")
        assert (found[["contacts_a", "answers_bc", "redemptions"]] == 0).all(axis=None)
        assert not len(contact_table(log.shop, first="2019-01-01", last="2019-02-01"))


def test_unknown_customers_campaigns_and_text_are_refused():
    shop = own_shop("Type A")
    for changes, told in (
        ({"order_lines": shop.order_lines.assign(customer_id=9)}, "order_lines, customer_id"),
        ({"responses": shop.responses.assign(customer_id=9)}, "responses, customer_id"),
        ({"responses": shop.responses.assign(campaign_id=9)}, "campaign_id is not known"),
        ({"contacts": shop.contacts.assign(campaign_id=9)}, "contacts, campaign_id is not known"),
        ({"contacts": shop.contacts.assign(customer_id=9)}, "customer_id is not known"),
    ):
        with pytest.raises(KeyError, match=told):
            household_features(CampaignLog.of(replace(shop, **changes)), "2019-02-15")
    with pytest.raises(KeyError, match="responses, campaign_id is not known"):
        contact_table(
            own_shop("a", responses=shop.responses.assign(campaign_id=9)), first="2019", last="2020"
        )
    twice = pd.concat([shop.campaigns] * 2)
    with pytest.raises(ValueError, match="campaign_id 1 twice"):
        contact_table(replace(shop, campaigns=twice), first="2019", last="2020")
    text = replace(shop, customers=shop.customers.assign(income="50K"))
    with pytest.raises(TypeError, match="column income is .*give ordered categories"):
        household_features(CampaignLog.of(text), "2019-02-15")
    for column, told in (("marital_status", "ledig"), ("home_ownership", "Owner")):
        other = shop.customers.assign(**{column: ["Married", None, told, None, None, told]})
        other.loc[0, column] = None
        with pytest.raises(KeyError, match=f"{column} is not known in 2 of 6 .*'{told}'.*give '"):
            household_features(CampaignLog.of(replace(shop, customers=other)), "2019-02-15")
    log = CampaignLog.of(shop)
    contacts = contact_table(shop, first="2019-01-01", last="2019-02-01")
    taste = learn_taste(log, "2019-02-01", width=1)
    with pytest.raises(KeyError, match="contacts, customer_id is not known in 6 of 6 rows"):
        offer_features(log, contacts.assign(customer_id=9), taste)
    with pytest.raises(KeyError, match="contacts, campaign_type is not known"):
        offer_features(log, contacts.assign(campaign_type="letter"), taste)


def test_the_order_of_tables_does_not_matter():
    shop = own_shop("Type C")
    mixed = {
        name: getattr(shop, name).sample(frac=1, random_state=0)
        for name in ("order_lines", "contacts", "responses")
    }
    one = household_features(CampaignLog.of(shop), "2019-02-15")
    other = household_features(CampaignLog.of(replace(shop, **mixed)), "2019-02-15")
    pd.testing.assert_frame_equal(one, other)


def test_contacts_of_equal_labels_stay_one_row_each():
    log = CampaignLog.of(own_shop("Type A"))
    contacts = contact_table(log.shop, first="2019-01-01", last="2019-02-01")
    taste = learn_taste(log, "2019-02-01", width=1)
    for index in ([0, 1, 2, 0, 1, 2], [5, 4, 3, 2, 1, 0]):
        named = contacts.set_axis(index)
        for found, expected in zip(
            contact_features(log, named, taste), contact_features(log, contacts, taste), strict=True
        ):
            pd.testing.assert_frame_equal(found, expected.set_axis(index))
    january = pd.Timestamp("2019-01-01")
    keys = pd.MultiIndex.from_product(
        [[january], range(6), [january]], names=["trained_until", "customer_id", "as_of"]
    )
    profiles = pd.DataFrame({"profile_00": np.arange(6.0)}, keys)
    named = contacts.set_axis([0, 1, 2, 0, 1, 2])
    found = latest_profiles(profiles, named, trained_until=january)
    assert found["profile_00"].tolist() == contacts["customer_id"].tolist()
    with pytest.raises(ValueError, match="contacts: no rows"):
        contact_features(log, contacts[:0], taste)


def test_a_shop_with_a_zone_counts_by_its_own_clock():
    shop = own_shop("Type A")
    local = {
        name: getattr(shop, name).assign(
            **{one: getattr(shop, name)[one].dt.tz_localize("Asia/Tokyo") for one in columns}
        )
        for name, columns in TIMES.items()
    }
    found = []
    for one in (shop, replace(shop, **local)):
        log = CampaignLog.of(one)
        contacts = contact_table(one, first="2019-01-01", last="2019-02-01")
        taste = learn_taste(log, "2019-02-01", width=1)
        found.append((contacts, *contact_features(log, contacts, taste)))
        found[-1] += (household_features(log, "2019-02-15"),)
    for expected, other in zip(*found, strict=True):
        pd.testing.assert_frame_equal(expected, other)
    day = pd.Timestamp("2019-01-20", tz="Asia/Tokyo")
    assert len(log.before(day)) == len(CampaignLog.of(shop).before("2019-01-20")) == 19
    with pytest.raises(ValueError, match="zone UTC"):
        log.before(pd.Timestamp("2019-01-20", tz="UTC"))


def test_returns_strangers_and_types_without_a_name_are_refused():
    shop = own_shop("Type A")
    back = replace(shop, order_lines=shop.order_lines.assign(amount=-10.0))
    with pytest.raises(ValueError, match="order_lines, amount is out of range in 60 of 60"):
        CampaignLog.of(back)
    with pytest.raises(ValueError, match="1 of 3 are of nobody .* first customer_id 2 of campaign"):
        contact_table(replace(shop, contacts=shop.contacts[:2]), first="2019", last="2020")
    with pytest.raises(ValueError, match="campaign_type is '!'"):
        CampaignLog.of(own_shop("!"), types=["!", "letter"])


# --- Product types as they are --------------------------------------------------------------------


def test_bought_types_are_shares_of_what_was_bought_before(log, contacts):
    everybody = np.ones(len(contacts), bool)
    types = bought_types(log, contacts, everybody, least=0.0)
    assert types.shape == (len(contacts), log.kind.shape[1])
    length = (types.to_numpy() ** 2).sum(1)
    assert np.allclose(length[length > 0], LENGTH**2, atol=1e-3)
    row = contacts.iloc[0]
    who = log.rows_of(contacts["customer_id"].iloc[:1], "customer_id")[0]
    before = log.before(row["starts_on"])
    lines = np.log1p(log.kinds_bought(before)[[who]].toarray()[0])
    assert np.allclose(types.iloc[0], LENGTH * lines / np.linalg.norm(lines), atol=1e-4)


def test_types_are_kept_by_those_who_may_decide(log, contacts):
    first = contacts["starts_on"].eq(contacts["starts_on"].min()).to_numpy()
    everything = bought_types(log, contacts, first, least=0.0)
    kept = bought_types(log, contacts, first, least=0.3)
    share = everything[first].gt(0).mean()
    assert list(kept) == share.index[share >= 0.3].tolist()
    with pytest.raises(ValueError, match="lower least"):
        bought_types(log, contacts, first, least=1.1)
