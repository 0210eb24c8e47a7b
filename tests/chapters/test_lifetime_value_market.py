"""Histories from the market, the chance that somebody is still there, and money to keep people."""

import numpy as np
import pandas as pd
import pytest

from pm_utils.chapters import lifetime_value_market
from pm_utils.chapters.lifetime_value import BuyingFits
from pm_utils.chapters.lifetime_value_market import (
    keeping_plans,
    predict_market,
    shares_by_scale,
)
from pm_utils.evaluation.bootstrap import bootstrap_weights
from pm_utils.lifetime import retention, rfm
from pm_utils.lifetime.scores import spearman
from tests.support.lifetime_plan import PLAN
from tests.support.market_world import small_market

ORDERS = np.array([[0, 2, 0, 1, 0], [1, 0, 0, 0, 0], [0, 0, 0, 0, 0], [0, 0, 0, 0, 8]])
SPEND = np.array([[0, 9.0, 0, 5, 0], [3.0, 0, 0, 0, 0], [0.0] * 5, [0, 0, 0, 0, 80.0]])


@pytest.fixture(scope="module")
def market():
    return small_market(3000, seed=4)


@pytest.fixture(scope="module")
def lived(market):
    return lifetime_value_market.quiet_weeks(market, 40)


# --- Histories ----------------------------------------------------------------------------


def test_who_has_left_orders_nothing_and_stays_away(lived):
    assert lived.alive.shape == lived.orders.shape == lived.spend.shape == (3000, 40)
    assert lived.alive[:, 0].all()
    assert 0.6 < lived.alive[:, -1].mean() < 0.99
    assert not (lived.alive[:, 1:] & ~lived.alive[:, :-1]).any()
    assert lived.orders[~lived.alive].sum() == 0
    assert ((lived.orders > 0) == (lived.spend > 0)).all()


def test_customers_leave_at_their_own_chance(market, lived):
    expected = (1 - market.truth_of_customers.leaving) ** 39
    error = np.sqrt((expected * (1 - expected)).sum()) / 3000
    assert abs(lived.alive[:, 39].mean() - expected.mean()) < 4 * error


def test_a_shorter_play_is_the_beginning_of_a_longer_one(market, lived):
    few = lifetime_value_market.quiet_weeks(market, 3)
    assert (few.orders == lived.orders[:, :3]).all()
    assert (few.spend == lived.spend[:, :3]).all()


def test_an_order_table_by_hand():
    table = lifetime_value_market.order_table(ORDERS, SPEND)
    first = table[table["customer_id"] == 0]
    assert first["amount"].tolist() == [4.5, 4.5, 5]
    days = (first["ordered_at"] - pd.Timestamp("2017-01-01")).dt.days
    assert days.tolist() == [7 + 1, 7 + 5, 21 + 3]
    last = table[table["customer_id"] == 3]
    days = (last["ordered_at"] - pd.Timestamp("2017-01-01")).dt.days
    assert len(last) == 8
    assert days.between(28, 34).all()
    assert days.nunique() == 7
    assert 2 not in table["customer_id"].to_numpy()


def test_an_order_table_keeps_every_order_and_dollar(lived):
    table = lifetime_value_market.order_table(lived.orders, lived.spend)
    assert len(table) == lived.orders.sum()
    assert table["amount"].sum() == pytest.approx(lived.spend.sum())
    end = lifetime_value_market.START + 40 * rfm.WEEK
    assert table["ordered_at"].between(lifetime_value_market.START, end, inclusive="left").all()
    assert (rfm.rfm_summary(table, end)["age"] <= 40).all()


def test_features_by_hand():
    found = np.expm1(lifetime_value_market.cohort_features(ORDERS, SPEND))
    wanted = {
        "orders": [3, 1, 0, 8],
        "spend": [14, 3, 0, 80],
        "order_value": [14 / 3, 3, 0, 10],
        "active_weeks": [2, 1, 0, 1],
        "silence": [1, 4, 5, 0],
        "longest_gap": [2, 1, 0, 5],
        "expected_in_silence": [3 / 4, 4, 0, 0],
        "most_in_a_week": [9, 3, 0, 80],
        "orders_4w": [3, 0, 0, 8],
        "spend_13w": [14, 3, 0, 80],
    }
    for name, values in wanted.items():
        assert found[name].tolist() == pytest.approx(values), name
    assert len(found.columns) == 12


# --- Still there? --------------------------------------------------------------------------


def test_a_chance_by_hand():
    """No orders at all, h = 1/2: gone after 0, 1 or 2 further weeks, or there: 1/8."""
    assert lifetime_value_market.probability_alive(
        np.array([2]), np.array([0.0]), np.array([0.5])
    ) == (pytest.approx([1 / 8]))
    assert lifetime_value_market.probability_alive(
        np.array([0]), np.array([9.0]), np.array([0.1])
    ) == (pytest.approx([0.9]))


def test_silence_says_more_of_those_who_came_often():
    silence = np.arange(12)
    often, seldom = (
        lifetime_value_market.probability_alive(silence, rate, 0.01) for rate in (2.0, 0.2)
    )
    assert (np.diff(often) < 0).all()
    assert (np.diff(seldom) < 0).all()
    assert often[4] < 0.05
    assert seldom[4] > 0.9


def test_the_chance_is_calibrated_in_the_market(market, lived):
    seen = lived.orders[:, :39]
    known = seen.sum(1) > 0
    silence = np.expm1(
        lifetime_value_market.cohort_features(seen, seen)["silence"].to_numpy()
    ).round()
    truth = market.truth_of_customers
    probability = lifetime_value_market.probability_alive(silence, truth.order_rate, truth.leaving)[
        known
    ]
    alive = lived.alive[known, 39]
    for low, high in ((0, 0.1), (0.1, 0.5), (0.5, 0.9), (0.9, 1)):
        part = (probability > low) & (probability <= high)
        error = np.sqrt(probability[part] @ (1 - probability[part])) / part.sum()
        assert part.sum() > 50
        assert abs(alive[part].mean() - probability[part].mean()) < 4 * error + 0.005


# --- What effort is worth ------------------------------------------------------------------


def test_without_effort_the_value_is_the_markets(market):
    truth = market.truth_of_customers
    weekly = market.truth.margin * truth.order_value * truth.order_rate
    found = retention.value_with_effort(weekly, truth.leaving, 0, **PLAN)
    assert found == pytest.approx(market.lifetime_value(None))


def test_a_gain_is_what_effort_adds_to_the_market_value(market):
    truth, who = market.truth_of_customers, np.arange(50)
    weekly = (market.truth.margin * truth.order_value * truth.order_rate)[who]
    year = market.lifetime_value(None, discount_factor=0.998, weeks=52, customers=who)
    gain = retention.keeping_gain(year, truth.leaving[who], 30, value_weeks=52, **PLAN)
    assert gain.shape == (50, 31)
    worth = retention.value_with_effort(
        weekly[:, None], truth.leaving[who, None], np.arange(31), **PLAN
    )
    assert gain == pytest.approx(worth - worth[:, :1])
    assert (gain[:, 0] == 0).all()


def test_the_true_gains_earn_at_least_what_any_belief_earns(market, lived):
    truth, who = market.truth_of_customers, np.flatnonzero(lived.orders[:, :39].sum(1) > 0)
    value = market.lifetime_value(None, weeks=52, customers=who) * lived.alive[who, 39]
    risk = truth.leaving[who]
    real = retention.keeping_gain(value, risk, 60, value_weeks=52, **PLAN)

    def earned(belief):
        dollars = retention.spend_budget(belief, 3 * len(who), min_gain=0)
        return real[np.arange(len(who)), dollars].sum()

    past = lived.spend[who, :39].sum(1)
    beliefs = [
        retention.keeping_gain(guess, np.full(len(who), risk.mean()), 60, value_weeks=52, **PLAN)
        for guess in (past, value, np.ones(len(who)))
    ]
    naive, wise, blind = map(earned, beliefs)
    assert earned(real) > wise > naive > 1.5 * blind


# --- Chapter 11's market --------------------------------------------------------------------


@pytest.fixture(scope="module")
def world():
    return lifetime_value_market.CohortStudy.play(small_market(3000, seed=7), seed=1)


def test_households_are_followed_as_a_whole(world):
    home = world.market.truth_of_customers.household
    assert not set(home[world.followed]) & set(home[world.others])
    assert len(world.followed) + len(world.others) == (world.seen[0].sum(1) > 0).sum()
    assert 0.35 < len(world.followed) / 3000 < 0.65


def test_rows_see_the_watched_weeks_and_are_paid_in_the_year(world):
    rows = world.rows(world.others)
    lived, who = world.lived, world.others
    alone = lifetime_value_market.cohort_features(lived.orders[who, :39], lived.spend[who, :39])
    assert rows.features.to_numpy() == pytest.approx(alone.to_numpy())
    discounts = 0.998 ** np.arange(52)
    assert rows.value == pytest.approx(0.3 * (lived.spend[who, 39:] * discounts).sum(1))
    assert rows.profile.shape == (len(who), 0)


def test_the_true_value_is_the_mean_of_what_is_paid(world):
    value, paid = world.true_value(52), world.rows(world.others).value
    assert (value[~world.alive()] == 0).all()
    assert (paid[~world.alive()] == 0).all()
    gap = paid - value
    assert abs(gap.mean()) < 4 * gap.std() / np.sqrt(len(gap))
    assert (world.true_value(None) >= value).all()


@pytest.fixture(scope="module")
def by_buying(world):
    return world.by_buying(BuyingFits.fit(world.histories()), world.others)


def test_the_oracle_is_right_on_average_and_nobody_passes_it(world, by_buying):
    value, (oracle, there) = world.true_value(52), world.oracle()
    assert oracle.sum() == pytest.approx(value.sum(), rel=0.03)
    assert there.mean() == pytest.approx(world.alive().mean(), abs=0.02)
    told = (oracle, by_buying[0]["Pareto/NBD"], world.past_rate())
    errors = [np.abs(each - value).mean() for each in told]
    assert errors == sorted(errors)


def test_the_past_rate_is_a_year_of_the_watched_weeks(world):
    paid = 0.3 * (1 - 0.998**52) / (1 - 0.998)
    assert world.past_rate() == pytest.approx(paid * world.seen[1][world.others].mean(1))


def test_models_of_buying_know_that_some_have_left(world, by_buying):
    dollars, alive = by_buying
    assert list(dollars) == list(alive) == ["BG/NBD", "MBG/NBD", "Pareto/NBD"]
    for name in dollars:
        assert dollars[name].shape == alive[name].shape == world.past_rate().shape
        assert (alive[name] <= 1).all()
        assert dollars[name].sum() < world.past_rate().sum()
    gaps = {name: abs(alive[name].mean() - world.alive().mean()) for name in alive}
    assert gaps["Pareto/NBD"] < gaps["BG/NBD"]  # customers leave by the week, not by the order


def test_the_attainable_beats_the_past_and_not_the_oracle(world):
    endless = world.true_value(None)
    told = world.past_rate(), world.attainable(seed=9, n_customers=6000), world.oracle()[0]
    ranks = [spearman(endless, each) for each in told]
    assert ranks == sorted(ranks)
    assert told[1].sum() == pytest.approx(endless.sum(), rel=0.1)


@pytest.fixture(scope="module")
def predicted(world):
    return predict_market(world, seed=0, members=1, epochs=2)


def test_every_model_predicts_the_market(world, predicted):
    names = {"naive", "BG/NBD", "Pareto/NBD, recalibrated", "boosting, 8 leaves of 20"}
    assert names <= set(predicted.tried.dollars)
    for dollars in predicted.tried.dollars.values():
        assert dollars.shape == (len(world.others),)
        assert spearman(world.true_value(52), dollars) > 0.5


def test_own_risks_follow_the_true_ones(world):
    same, own = world.risks
    true = world.market.truth_of_customers.leaving[world.others]
    assert len(set(same)) == 1
    assert same[0] == pytest.approx(true.mean(), rel=0.5)
    assert spearman(true, own) > 0.6


def test_no_plan_beats_the_oracle_and_the_budget_is_kept(world):
    plan, (same, own) = lifetime_value_market.RetentionBudget(world, 100.0, 5), world.risks
    oracle = plan.oracle()
    best = plan.profit(oracle).mean()
    assert oracle.sum() <= 5 * len(world.others)
    assert (oracle[~world.alive()] == 0).all()
    for value, risk in ((world.past_rate(), same), (world.true_value(52), same), (own, own)):
        gifts = plan.gifts(value, risk)
        assert gifts.sum() <= 5 * len(world.others)
        assert plan.profit(gifts).mean() < best
    nothing = np.zeros(len(world.others), dtype=int)
    assert (plan.profit(nothing) == 0).all()


def test_plans_and_their_shares(world, by_buying):
    dollars, alive = by_buying
    there = alive["Pareto/NBD"]
    plan = lifetime_value_market.RetentionBudget(world, 100.0, 5)
    gifts = keeping_plans(plan, {"Pareto/NBD": dollars["Pareto/NBD"]}, there)
    assert len(gifts) == 4
    assert all(each.sum() <= 5 * len(there) for each in gifts.values())
    own = world.risks[1]
    alone = gifts["risk alone", "own risk"]
    sure = there > 0.9  # among whom nothing but the risk differs
    assert spearman(own[sure], alone[sure]) > 0.3
    assert (alone[there < 0.02] == 0).all()  # who is gone gets nothing, however much at risk
    redraw = bootstrap_weights(len(there), 200, seed=0)
    settings = {"per_customer": 5, "redraw": redraw}
    shares = shares_by_scale(world, dollars["Pareto/NBD"], there, (50, 100), **settings)
    best = plan.profit(plan.oracle()).mean()
    assert shares.loc[100, "oracle ($)"] == pytest.approx(best)
    for key, column in (
        (("Pareto/NBD", "same risk for all"), "value alone"),
        (("Pareto/NBD", "own risk"), "value and own risk"),
        (("risk alone", "own risk"), "risk alone"),
    ):
        assert shares.loc[100, column] == pytest.approx(plan.profit(gifts[key]).mean() / best)
    assert (shares.drop(columns="oracle ($)") < 1).all(axis=None)
    added = shares["value and own risk"] - shares["value alone"]
    assert ((shares["adds, from"] < added) & (added < shares["adds, to"])).all()
    assert shares["oracle ($)"].is_monotonic_decreasing  # a weaker gift is worth less


@pytest.mark.parametrize("risk", ["same risk for all", "own risk"])
def test_nulls_spend_by_the_risk_of_the_plan_that_is_judged(world, predicted, risk):
    plan = lifetime_value_market.RetentionBudget(world, 100.0, 5)
    dollars = {name: predicted.tried.dollars[name] for name in ("BG/NBD", "Pareto/NBD")}
    gifts = keeping_plans(plan, dollars, predicted.alive["Pareto/NBD"])
    judged = lifetime_value_market.keeping_shares(plan, gifts)
    found = lifetime_value_market.null_shares(plan, dollars.values(), risk)
    assert found == pytest.approx([judged[name, risk] for name in dollars])
    with pytest.raises(ValueError, match="give one of same risk for all, own risk"):
        lifetime_value_market.null_shares(plan, [], "true risk")


def test_the_sentence_follows_the_shares():
    shares = pd.DataFrame({"value alone": [0.2, 0.9, 0.1], "risk alone": [0.5, 0.5, 0.5]})
    shares["adds, from"], shares["adds, to"] = [0.1, -0.1, -0.1], [0.3, 0.1, -0.05]
    said = lifetime_value_market.said_of_keeping(shares)
    assert said == (
        "risk alone takes more than value alone at 2 of 3 strengths; own risk adds to value at 1 of"
        " 3 strengths and takes from it at 1 of 3 strengths"
    )
    harm = shares.assign(**{"adds, from": -0.3, "adds, to": [-0.1, 0.1, -0.1]})
    said = lifetime_value_market.said_of_keeping(harm)
    assert said.endswith("; own risk takes from value at 2 of 3 strengths")
    luck = shares.assign(**{"adds, from": -0.1, "adds, to": 0.1})
    said = lifetime_value_market.said_of_keeping(luck)
    assert said.endswith("own risk adds nothing to value that can be told from luck")


def test_true_risk_goes_to_the_living_most_at_risk_who_buy_least(world):
    plan = lifetime_value_market.RetentionBudget(world, 100.0, 5)
    gifts, alive = lifetime_value_market.plan_of_true_risk(plan), world.alive()
    assert (gifts[~alive] == 0).all()
    risk, rate = world.true_risk(), world.market.truth_of_customers.order_rate[world.others]
    assert risk[gifts > 0].min() >= risk[alive & (gifts == 0)].max()
    assert spearman(rate, risk) < -0.99
    assert plan.profit(gifts).mean() < plan.profit(plan.gifts(world.true_value(52), risk)).mean()


def test_recalibrated_models_keep_their_order_and_get_their_level_right(predicted, world):
    dollars, year = predicted.tried.dollars, world.true_value(52)
    for name in ("BG/NBD", "Pareto/NBD"):
        set_right = dollars[name + lifetime_value_market.RECALIBRATED]
        assert spearman(dollars[name], set_right) > 0.9999  # less than a cent counts as a cent
        assert abs(set_right.sum() / year.sum() - 1) < 0.1
    gaps = [abs(each.sum() / year.sum() - 1) for each in (dollars["BG/NBD"], set_right)]
    assert gaps[1] < gaps[0]


def test_a_gift_to_the_gone_is_lost(world):
    plan = lifetime_value_market.RetentionBudget(world, 100.0, 5)
    profit = plan.profit(np.full(len(world.others), 7))
    assert (profit[~world.alive()] == -7).all()
    assert profit[world.alive()].mean() > 0
