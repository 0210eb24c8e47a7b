"""Coupons paired with contacts: facts by hand, none of the future, a choice that is recovered."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from pm_utils.targeting.redemption.contacts import CampaignLog, contact_table
from pm_utils.targeting.redemption.coupon_choice import (
    FACTS,
    CouponChoice,
    CouponRows,
    coupon_facts,
    coupon_rows,
)
from tests.conftest import START


@pytest.fixture(scope="module")
def contacts(contacts) -> pd.DataFrame:
    """Those of the campaigns from `START` on."""
    return contacts[contacts["starts_on"] == START]


@pytest.fixture(scope="module")
def rows(log, contacts) -> CouponRows:
    return coupon_rows(log, contacts)


def fact(facts: np.ndarray, name: str) -> np.ndarray:
    return np.expm1(facts[..., FACTS.index(name)])


def test_every_contact_meets_every_coupon_of_its_campaign_once(shop, contacts, rows):
    count = shop.offers.groupby("campaign_id")["coupon_id"].nunique()
    expected = contacts["campaign_id"].map(count)
    assert (np.bincount(rows.contact) == expected).all()
    assert rows.facts.shape == (expected.sum(), len(FACTS))
    assert len(rows.starts) == len(contacts)
    came = np.bincount(rows.contact, rows.redeemed) > 0
    assert (came == contacts["redeemed"]).all()  # the contact's label is that of any coupon
    answers = shop.responses[shop.responses["campaign_id"].isin(contacts["campaign_id"])]
    pairs = answers.drop_duplicates(["campaign_id", "customer_id", "coupon_id"])
    assert rows.redeemed.sum() == len(pairs)


def test_the_facts_of_a_pair_by_hand(shop, log, contacts):
    ours = contacts[contacts["campaign_id"] == 12]
    facts = coupon_facts(log, ours)
    coupons, _ = log.offered(12)
    lines = shop.order_lines[shop.order_lines["ordered_at"] < START]
    offers = shop.offers[shop.offers["campaign_id"] == 12]
    person, coupon = np.argwhere(fact(facts, "bought") > 2)[0]
    products = offers.loc[offers["coupon_id"] == coupons[coupon], "product_id"]
    mine = lines[lines["customer_id"] == ours["customer_id"].iloc[person]]
    met = mine[mine["product_id"].isin(products)]
    ago = (START - met["ordered_at"]) / pd.Timedelta(days=1)
    pair = facts[person, coupon]
    assert fact(pair, "bought") == pytest.approx(len(met), rel=1e-4)
    assert fact(pair, "bought_lately") == pytest.approx(np.exp(-ago / 30).sum(), rel=1e-3)
    assert fact(pair, "by_coupon") == pytest.approx((met["coupon_discount"] > 0).sum(), abs=1e-4)
    assert fact(pair, "products") == pytest.approx(len(products), rel=1e-4)
    everyone = lines[lines["product_id"].isin(products)]
    lately = everyone[everyone["ordered_at"] >= START - pd.Timedelta(weeks=8)]
    assert fact(pair, "popular") == pytest.approx(len(lately), rel=1e-4)
    used = (everyone["coupon_discount"] > 0).sum()
    assert fact(pair, "popular_by_coupon") == pytest.approx(used, rel=1e-4)
    past = shop.responses[shop.responses["responded_at"] < START]
    again = (past["coupon_id"] == coupons[coupon]).sum()
    assert fact(pair, "redeemed_before") == pytest.approx(again, abs=1e-4)
    kinds = shop.products.set_index("product_id")[["category", "product_type"]].astype("object")
    name = kinds.fillna("").agg("|".join, axis=1)
    of = mine["product_id"].map(name).fillna("|").value_counts()
    mean = products.map(name).fillna("|").map(of).fillna(0).mean()
    assert fact(pair, "type_bought") == pytest.approx(mean, rel=1e-3)


def test_no_fact_knows_the_future(shop, log, contacts, rows):
    lines, responses = shop.order_lines, shop.responses
    past = replace(
        shop,
        order_lines=lines[lines["ordered_at"] < START],
        responses=responses[responses["responded_at"] < START],
    )
    cut = coupon_rows(CampaignLog.of(past), contacts)
    assert np.array_equal(cut.contact, rows.contact)
    assert np.allclose(cut.facts, rows.facts, atol=1e-5)
    assert not cut.redeemed.any()  # what the campaigns brought came later


def test_answers_after_those_to_learn_from_do_not_move_the_choice(rows):
    known = np.arange(rows.contact.max() + 1) % 2 == 0
    later = replace(rows, redeemed=np.where(known[rows.contact], rows.redeemed, True))
    first, second = (CouponChoice.learn(table, known) for table in (rows, later))
    assert np.array_equal(first.weight, second.weight)
    assert np.array_equal(first.appeal(rows), second.appeal(later))


def small() -> CouponRows:
    """Three contacts: two coupons, three, and one; the first redeemed one, the second two."""
    contact = np.array([1, 1, 0, 0, 0, 2])
    facts = np.array([[1.0], [0.0], [1.0], [0.0], [2.0], [5.0]])
    return CouponRows(contact, facts, np.array([True, False, True, False, True, False]))


def test_shares_log_sums_and_appeal_by_hand():
    rows = small()
    assert rows.starts.tolist() == [0, 2, 5]
    assert rows.share().tolist() == [1, 0, 0.5, 0, 0.5, 0]
    score = np.log([1.0, 2.0, 1.0, 1.0, 2.0, 7.0])
    assert np.exp(rows.log_sum(score)) == pytest.approx([3, 4, 7])
    assert rows.log_sum(score + 1_000) == pytest.approx(np.log([3, 4, 7]) + 1_000)  # no overflow
    choice = CouponChoice(np.array([np.log(2)]), np.zeros(1), np.ones(1))
    assert np.exp(choice.appeal(rows)) == pytest.approx([2 + 1 + 4, 2 + 1, 32])  # contact 0 first
    model, even = choice.log_loss(rows, np.ones(3, bool))
    assert even == pytest.approx(np.log([2, 3]).mean())
    assert model == pytest.approx(-(np.log(2 / 3) + np.log([2 / 7, 4 / 7]).mean()) / 2)
    part = rows.take(np.array([False, True, True]))
    assert part.contact.tolist() == [1, 1, 2]


def drawn(weight: np.ndarray, n: int = 800) -> CouponRows:
    """Contacts with 2 to 12 coupons, each of which takes one by a known conditional logit."""
    rng = np.random.default_rng(0)
    contact = np.repeat(np.arange(n), rng.integers(2, 13, n))
    facts = rng.normal(size=(len(contact), len(weight)))
    score = facts @ weight + rng.gumbel(size=len(contact))  # the largest is the logit's choice
    best = pd.Series(score).groupby(contact).transform("max").to_numpy()
    return CouponRows(contact, facts, score == best)


def test_a_known_choice_is_recovered():
    truth = np.array([1.5, -0.7, 0.0])
    rows = drawn(truth)
    choice = CouponChoice.learn(rows, np.ones(800, bool), penalty=0.0)
    assert choice.weight / choice.deviation == pytest.approx(truth, abs=0.15)
    model, even = choice.log_loss(rows, np.ones(800, bool))
    assert model < even - 0.4
    shuffled = replace(rows, facts=np.random.default_rng(1).permutation(rows.facts))
    null = CouponChoice.learn(shuffled, np.ones(800, bool), penalty=0.0)
    assert np.abs(null.weight).max() < 0.2
    held = CouponChoice.learn(rows, np.ones(800, bool), penalty=1.0)
    assert np.linalg.norm(held.weight) < 0.5 * np.linalg.norm(choice.weight)


def test_the_choice_foretells_later_campaigns_better_than_even_chances(shop, log):
    contacts = contact_table(shop, first="2017-05-08", last="2017-09-24")
    rows = coupon_rows(log, contacts)
    later = (contacts["starts_on"] >= "2017-07-07").to_numpy()
    model, even = CouponChoice.learn(rows, ~later).log_loss(rows, later)
    assert model < even - 0.5


def test_bad_tables_are_refused_by_name(shop, log, contacts):
    with pytest.raises(ValueError, match=r"contacts, column campaign_id: \[11, 12\]"):
        coupon_facts(log, contacts)
    twice = pd.concat([contacts, contacts.iloc[[3]]], ignore_index=True)
    with pytest.raises(ValueError, match=rf"customer_id, row {len(contacts)}: .* listed twice"):
        coupon_rows(log, twice)
    stranger = contacts.assign(customer_id=contacts["customer_id"].where(contacts.index > 0, -5))
    row = contacts.index[0]
    stranger.loc[row, "customer_id"] = -5
    with pytest.raises(ValueError, match=rf"customer_id, row {row}: -5: no such customer"):
        coupon_rows(log, stranger)
    with pytest.raises(ValueError, match="offers: no row has campaign_id 99"):
        coupon_rows(log, contacts.assign(campaign_id=99))
    answers = shop.responses.copy()
    row = answers.index[answers["campaign_id"] == 12][0]
    answers.loc[row, "coupon_id"] = 7
    wrong = replace(log, shop=replace(shop, responses=answers))
    with pytest.raises(ValueError, match=f"responses, column coupon_id, row {row}: 7: no coupon"):
        coupon_rows(wrong, contacts)


def test_a_choice_needs_someone_who_chose():
    rows = replace(small(), redeemed=np.zeros(6, bool))
    with pytest.raises(ValueError, match="no contact to learn from redeemed a coupon"):
        CouponChoice.learn(rows, np.ones(3, bool))


def test_appeal_comes_in_the_order_of_the_contacts(log, contacts, rows):
    choice = CouponChoice.learn(rows, np.ones(len(contacts), bool))
    order = np.random.default_rng(0).permutation(len(contacts))
    mixed = coupon_rows(log, contacts.iloc[order])
    assert choice.appeal(mixed) == pytest.approx(choice.appeal(rows)[order])
    came = contacts["redeemed"].to_numpy()
    assert (np.bincount(mixed.contact, mixed.redeemed) > 0).tolist() == came[order].tolist()


def test_parts_of_what_was_bought_are_no_more_than_all(rows):
    bought = fact(rows.facts, "bought")
    for part in ("bought_lately", "by_coupon"):
        assert (fact(rows.facts, part) <= bought + 1e-3).all()
    assert (fact(rows.facts, "type_lately") <= fact(rows.facts, "type_bought") + 1e-2).all()
    assert (fact(rows.facts, "products") >= 1 - 1e-3).all()
    assert np.isfinite(rows.facts).all()


def test_a_fact_that_never_varies_has_no_weight():
    rows = drawn(np.array([1.0]), 200)
    flat = replace(rows, facts=np.column_stack([rows.facts, np.full(len(rows.facts), 3.0)]))
    alone, both = (CouponChoice.learn(table, np.ones(200, bool)) for table in (rows, flat))
    assert both.weight == pytest.approx([alone.weight[0], 0], abs=1e-3)


# --- Inputs ---------------------------------------------------------------------------------------


def test_pairs_and_choices_that_cannot_be_are_refused():
    contact, facts = np.array([0, 0, 1, 1]), np.eye(4)[:, :2]
    for changes, told in (
        ({"redeemed": [1, 2, 1, 2]}, "redeemed holds 1, 2"),
        ({"redeemed": [0, 1, 0]}, "redeemed 3 rows"),
        ({"facts": np.where(facts > 0, np.nan, facts)}, "facts is not finite in 2 of 4 rows"),
        ({"contact": [0, 1, 0, 1]}, "pairs of one contact lie apart"),
        ({"contact": [0, 0, -1, -1]}, "contact is out of range"),
    ):
        parts = {"contact": contact, "facts": facts, "redeemed": [1, 0, 0, 1]} | changes
        with pytest.raises(ValueError, match=told):
            CouponRows(**parts)
    rows = CouponRows(contact, facts, np.array([1, 0, 0, 1]))
    for known, told in (
        (np.array([1, 2]), "known holds 1, 2"),
        (np.array([True]), "known has 1 rows for 2 contacts"),
        (np.zeros(2), "no contact to learn from"),
    ):
        with pytest.raises(ValueError, match=told):
            CouponChoice.learn(rows, known)
    choice = CouponChoice.learn(rows, np.ones(2))
    with pytest.raises(ValueError, match="no choice to foretell"):
        choice.log_loss(rows, np.zeros(2))


def test_the_order_of_contacts_does_not_matter():
    rng = np.random.default_rng(0)
    facts, taken = rng.normal(size=(30, 3)), rng.random(30) < 0.4
    rows = CouponRows(np.repeat(np.arange(10), 3), facts, taken)
    mixed = np.concatenate([np.arange(3 * k, 3 * k + 3) for k in rng.permutation(10)])
    other = CouponRows(rows.contact[mixed], facts[mixed], taken[mixed])
    found = [CouponChoice.learn(part, np.ones(10)).weight for part in (rows, other)]
    assert found[0] == pytest.approx(found[1], abs=1e-4)


def test_the_scale_of_a_fact_makes_no_difference():
    rows = drawn(np.array([1.0]), 200)
    small = replace(rows, facts=5e-4 * rows.facts)
    one, other = (CouponChoice.learn(part, np.ones(200)).weight for part in (rows, small))
    assert other == pytest.approx(one, rel=1e-3)


def test_pairs_are_matched_by_index():
    taken = pd.Series([False, True, False, True], list("dcba"))
    rows = CouponRows(pd.Series([0, 0, 1, 1], list("abcd")), np.eye(4), taken)
    assert rows.redeemed.tolist() == [True, False, True, False]


def test_contacts_are_called_by_number():
    rows, chosen = small(), pd.Series([False, True, True])
    expected = rows.take(chosen.to_numpy()).contact.tolist()
    assert rows.take(chosen[::-1]).contact.tolist() == expected
    score = pd.Series(np.arange(6.0))
    assert rows.log_sum(score[::-1]).tolist() == rows.log_sum(score.to_numpy()).tolist()
    for call in (
        lambda: rows.take(chosen.set_axis(list("abc"))),
        lambda: rows.log_sum(score.add_prefix("c")),
    ):
        with pytest.raises(ValueError, match="has no row 0"):
            call()
    with pytest.raises(ValueError, match="score is not finite"):
        rows.log_sum(np.full(6, np.nan))
