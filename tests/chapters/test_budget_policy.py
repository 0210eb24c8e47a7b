"""The experiments of chapter 12: who takes part, what is learned, and what a log says of it."""

from functools import cache

import numpy as np
import pytest
import torch

from pm_utils.chapters import budget_policy
from pm_utils.decisions import planning, q_learning
from pm_utils.decisions.budget_env import BudgetCampaign, Episodes, Forecast
from pm_utils.decisions.networks import DeepQPolicy
from pm_utils.decisions.q_learning import PricedView, QLearningConfig
from pm_utils.measurement import off_policy
from pm_utils.page.scoreboard import Scoreboard
from tests.support.campaign_world import (
    AMPLE,
    FLIGHT,
    TIGHT,
    WEEKS,
    campaign_market,
    forecast,
    pair,
)
from tests.support.market_world import mean_z, small_market

ALONE = BudgetCampaign(WEEKS, FLIGHT, WEEKS)
PAIRS = [pair(first) for first in (4, 6, 10, 0)]


@cache
def optimum() -> np.ndarray:
    return np.array([planning.small_optimum(each, TIGHT)[0] for each in PAIRS])


# --- The crowd and its menu -----------------------------------------------------------------------


def test_the_menu_holds_the_ads_that_are_best_most_often():
    market = small_market(300)
    campaign = BudgetCampaign(4, 10, 100)
    gain = budget_policy.first_flight(Forecast.of(market, 10), campaign)
    often = np.bincount(gain.argmax(1), minlength=len(market.creatives))
    kept = budget_policy.with_menu(market, campaign, 4)
    wanted = market.creatives.take(np.sort(np.argsort(-often)[:4])).codes()
    assert kept.creatives.codes().tolist() == wanted.tolist()
    assert often[np.argsort(-often)[:4]].sum() > often.sum() * 4 / len(often)


def test_a_first_flight_gains_the_difference_to_no_flight():
    known = forecast()
    gain = budget_policy.first_flight(known, TIGHT)
    value = known.immediate(np.zeros(40), WEEKS - 1)
    assert gain.shape == (40, 3)
    assert gain[7, 1] == pytest.approx(value[7, 2] - value[7, 0])


def test_the_market_pays_what_is_promised():
    market, known = campaign_market(), forecast()
    campaign = BudgetCampaign(WEEKS, FLIGHT, 60)
    paid = budget_policy.market_pays(market, campaign, planning.greedy, 150)
    worlds = [Episodes(known, campaign, seed=s) for s in range(150)]
    promised = np.array(
        [planning.play_flights(world, planning.greedy).total.mean() for world in worlds]
    )
    assert abs(mean_z(paid, promised.mean())) < 4
    assert mean_z(paid, 0.5 * promised.mean()) > 4  # half of it would be noticed
    assert (budget_policy.market_pays(market, campaign, planning.nobody, 3) == 0).all()


# --- Pairs ----------------------------------------------------------------------------------------


def test_pairs_are_drawn_from_the_best_third_and_nobody_twice():
    gain = budget_policy.first_flight(forecast(), TIGHT).max(1)
    pairs = budget_policy.draw_pairs(forecast(), TIGHT, 5, 3)
    assert [len(each) for each in pairs] == [2] * 5
    drawn = np.concatenate([each.order_rate for each in pairs])
    best = forecast().order_rate[gain >= np.quantile(gain, 2 / 3)]
    assert len(set(drawn)) == 10
    assert set(drawn) <= set(best)
    again = budget_policy.draw_pairs(forecast(), TIGHT, 5, 4)
    assert set(np.concatenate([each.order_rate for each in again])) != set(drawn)


def test_the_best_bar_is_no_worse_than_any_of_its_grid():
    for each in PAIRS[:2]:
        earned = planning.exact_value(each, TIGHT, budget_policy.best_threshold(each, TIGHT))[0]
        most = budget_policy.first_flight(each, TIGHT).max()
        for bar in np.linspace(0, most, 12):
            rule = planning.threshold(bar, 1.0)
            assert earned >= planning.exact_value(each, TIGHT, rule)[0] - 1e-9
        assert earned > planning.exact_value(each, TIGHT, planning.greedy)[0]


def test_caps_and_prices_are_the_best_of_their_grids():
    each, most = PAIRS[0], budget_policy.first_flight(PAIRS[0], TIGHT).max()
    cap = planning.exact_value(each, TIGHT, budget_policy.best_cap(each, TIGHT))[0]
    plans = planning.exact_value(each, TIGHT, budget_policy.best_plans(each, TIGHT))[0]
    known = planning.LagrangianPlans(each, WEEKS)
    for pacing in (0.0, 4.0):
        for level in np.linspace(0, most, 8):
            rule = planning.frequency_cap(2, level, pacing)
            assert cap >= planning.exact_value(each, TIGHT, rule)[0] - 1e-9
        for price in np.linspace(0, most, 16):
            rule = known.policy(price, pacing)
            assert plans >= planning.exact_value(each, TIGHT, rule)[0] - 1e-9
    assert plans > planning.exact_value(each, TIGHT, planning.greedy)[0]


def test_rules_are_shares_of_what_the_exact_plan_earns():
    rules = [budget_policy.rules_of(each, TIGHT, 0) for each in PAIRS]
    shares = budget_policy.exact_shares(PAIRS, rules, TIGHT, optimum())
    assert list(shares) == [
        "random", "always send", "greedy", "tuned threshold", "frequency cap", "each alone",
        "exact plan",
    ]  # fmt: skip
    assert shares["exact plan"].to_numpy() == pytest.approx(1)
    assert (shares.drop(columns="exact plan") < 1 + 1e-9).all(axis=None)
    assert shares["greedy"].mean() < shares["tuned threshold"].mean() - 0.01


def test_members_are_named_in_the_order_in_which_they_learn():
    table = budget_policy.member_table(4)
    assert table["kind"].tolist() == ["network"] * 4 + ["cut for an end"] * 2 + ["null"] * 2
    assert table["pair"].tolist() == [0, 1, 2, 3, 0, 2, 0, 2]


def test_networks_learn_their_pair_and_the_null_does_not():
    seen = []
    net = budget_policy.learn_pairs(
        PAIRS,
        TIGHT,
        QLearningConfig(steps=500, rollout_weeks=2),
        seed=1,
        callback=lambda s, n: seen.append(s),
    )
    table = budget_policy.shares_of_optimum(net, PAIRS, TIGHT, optimum())
    mean = table.groupby("kind")["share"].mean()
    assert seen == list(range(0, 500, 10))
    assert (table["share"] <= 1 + 1e-9).all()
    assert mean["network"] > 0.93
    assert mean["null"] < mean["network"] - 0.15
    # the pairs are no strangers to their networks: another pair's network does worse
    swapped = [PAIRS[1], PAIRS[0], PAIRS[3], PAIRS[2]]
    wrong = budget_policy.shares_of_optimum(net, swapped, TIGHT, optimum()[[1, 0, 3, 2]])
    assert wrong[wrong["kind"] == "network"]["share"].mean() < mean["network"]


# --- The crowd ------------------------------------------------------------------------------------


def test_the_crowd_is_played_by_turns_and_networks_beat_their_null():
    known, campaign = forecast(), BudgetCampaign(WEEKS, FLIGHT, 30)
    config = {"members": 2, "nulls": 2, "highest": 1.0, "seed": 0, "customers": 24}
    net = budget_policy.learn_prices(
        known, campaign, QLearningConfig(steps=250, rollout_weeks=2), **config
    )
    assert net.members == 4
    tuning = [Episodes(known, campaign, seed=s) for s in (7, 8)]
    policies = budget_policy.crowd_policies(net, 0.3, tuning, seed=0)
    assert {name: len(some) for name, some in policies.items()} == {
        "random": 1, "always send": 1, "highest chance": 1, "greedy": 1, "tuned threshold": 1,
        "frequency cap": 1, "each alone": 1, "network": 4,
    }  # fmt: skip
    policies["null"], policies["network"] = policies["network"][2:], policies["network"][:2]
    worlds = [Episodes(known, campaign, seed=20 + s) for s in range(4)]
    played = budget_policy.play_crowd(policies, worlds)
    earned = {name: np.mean([one.total.mean() for one in some]) for name, some in played.items()}
    bound, _ = planning.LagrangianPlans(known, WEEKS).bound(campaign.flights)
    assert max(earned.values()) < 1.1 * bound
    assert earned["network"] > earned["greedy"]
    assert earned["each alone"] > earned["greedy"]
    shares = budget_policy.shares_of_bound(played, [bound] * 4)
    assert shares.mean().to_dict() == pytest.approx({k: v / bound for k, v in earned.items()})
    assert earned["network"] > earned["null"] + 0.1 * bound
    for some in played.values():
        assert all((one.sent.sum(1) <= campaign.flights).all() for one in some)


def test_a_tuned_rule_is_the_best_of_its_grid():
    worlds = [Episodes(forecast(), BudgetCampaign(WEEKS, FLIGHT, 30), seed=s) for s in (1, 2)]
    grid = {"level": [0.0, 0.2, 0.4, 99.0], "pacing": [0.0, 2.0]}
    tuned = budget_policy.tune_rule(planning.threshold, worlds, grid)
    earned = np.mean([planning.play_flights(world, tuned).total.mean() for world in worlds])
    for level in grid["level"]:
        for pacing in grid["pacing"]:
            rule = planning.threshold(level, pacing)
            tried = np.mean([planning.play_flights(world, rule).total.mean() for world in worlds])
            assert earned >= tried - 1e-12


# --- A log ----------------------------------------------------------------------------------------


@cache
def logged(n: int = 3000, price: float = 0.2):
    """Return a log of copies of the 40 customers, its view, and its customers one by one."""
    market = campaign_market().of(np.arange(n) % 40)
    known = Forecast.of(market, FLIGHT)
    rule = planning.threshold(0.4)
    log = q_learning.record(market, known, ALONE, rule, epsilon=0.4, seed=3)
    observer = PricedView(known, ALONE, np.full(n, price))
    return log, observer, Episodes(known, ALONE, episodes=n, seed=3), rule


def test_decisions_are_those_of_the_policy_in_the_situations_of_the_log():
    log, _, alone, rule = logged()
    chosen = budget_policy.decisions(log, alone, rule)
    by_rule = log.propensity > 0.4 / 4 + 1e-9  # chance gives each of four actions a tenth
    assert (chosen == log.action)[by_rule & log.alive].all()
    assert (chosen[~log.alive] == 0).all()
    agreed = (chosen == log.action)[log.alive].mean()
    assert agreed == pytest.approx(0.7, abs=0.02)


def test_a_log_tells_what_its_policy_and_its_rule_earn():
    log, observer, alone, rule = logged()
    chosen = {"rule": budget_policy.decisions(log, alone, rule), "none": np.zeros_like(log.action)}
    config = QLearningConfig(steps=600, batch_size=256, learning_rate=3e-3)
    found = budget_policy.log_estimates(log, observer, chosen, config, seed=0)
    truth = budget_policy.priced_profit(alone, rule, 0.2).mean()
    weighted, fitted = found["rule"]
    half = (weighted.high - weighted.low) / 2
    assert abs(weighted.value - truth) < 2 * half
    assert half < 0.5 * truth
    assert fitted == pytest.approx(truth, rel=0.25)
    for told in (found["none"][0].value, found["none"][1]):  # no ads bring nothing, and pass for
        assert (
            abs(told) < 0.25 * truth
        )  # nothing: the same fit does not say the rule's value of all
    old = budget_policy.log_value(log, observer)
    assert old.value < truth
    value, interval, also_fitted, size, advice = budget_policy.log_row(weighted, fitted, old, 1e6)
    assert (value, also_fitted, size) == (weighted.value, fitted, weighted.effective_size)
    assert interval == f"{weighted.low:+.2f} to {weighted.high:+.2f}"
    assert advice == off_policy.recommend(weighted, old, least_size=1e6) == "refuse"


def test_chance_decides_as_often_as_told():
    _, _, alone, rule = logged()
    state = alone.start()
    ruled = rule(alone, state)[0]
    some = budget_policy.with_probability(rule, 0.4, 1)(alone, state)[0]
    assert (some == ruled).mean() == pytest.approx(0.7, abs=0.03)  # a fourth of chance agrees
    assert (budget_policy.with_probability(rule, 0.0, 1)(alone, state)[0] == ruled).all()
    assert set(np.unique(budget_policy.with_probability(rule, 1.0, 1)(alone, state)[0])) == {
        0,
        1,
        2,
        3,
    }


def test_the_market_gives_no_flight_to_the_gone():
    market, campaign = campaign_market(), BudgetCampaign(WEEKS, FLIGHT, 60)
    paid = budget_policy.market_pays(market, campaign, planning.everyone(0), 100)
    worlds = [Episodes(forecast(), campaign, seed=s) for s in range(100)]
    promised = np.mean(
        [planning.play_flights(w, planning.everyone(0)).total.mean() for w in worlds]
    )
    assert abs(mean_z(paid, promised)) < 4


def test_prices_come_off_each_flight():
    _, _, alone, rule = logged()
    sent = planning.play_flights(alone, rule).sent.sum(1).mean()
    free, dear = (budget_policy.priced_profit(alone, rule, price) for price in (0.0, 0.5))
    assert free.shape == (3000,)
    assert (free - dear).mean() == pytest.approx(0.5 * sent)


def test_a_conservative_network_stays_with_the_log():
    log, observer, alone, _ = logged()
    config, agreed = QLearningConfig(steps=300, batch_size=256), []
    nets = budget_policy.from_log(log, observer, config, seed=0, conservative=(0.0, 3.0))
    for member in range(2):
        policy = q_learning.priced_policy(nets.member(member), 0.2)
        chosen = budget_policy.decisions(log, alone, policy)
        agreed.append((chosen == log.action)[log.alive].mean())
    assert agreed[1] > agreed[0] + 0.05


def test_sights_are_what_each_member_sees_while_it_plays():
    config = QLearningConfig(steps=1)
    net = budget_policy.learn_pairs(PAIRS[:2], TIGHT, config, seed=0)
    sights = budget_policy.pair_sights(net, PAIRS[:2], TIGHT, seed=0)
    assert sights.shape == (2, 64 * WEEKS, 2 + 3 + 4)
    assert (sights[:, :64] == sights[:, :1]).all()  # all start alike
    assert not (sights[:, -64:] == sights[:, -1:]).all()
    crowd = DeepQPolicy(WEEKS + 2 + 4, 4, members=3)
    seen = budget_policy.crowd_sights(crowd, forecast(), TIGHT, 0.3, seed=0)
    assert seen.shape == (3, 64 * WEEKS, WEEKS + 6)


def test_each_policy_is_entered_as_what_it_is():
    contest = Scoreboard("12-budget-policy", seed=0).contest("t", chosen_by="v", better="higher")
    test = {"always send": 0.1, "greedy": 0.2, "deep": 0.3, "null": 0.0}
    validation = {"always send": 1.0, "greedy": 2.0, "deep": 3.0, "null": 4.0}
    record = {"steps": 1}
    budget_policy.enter_all(contest, "share", test, validation, {"deep": record})
    found = {one.name: (one.kind, one.validation, one.training) for one in contest.contenders}
    assert found == {
        "always send": ("naive", 1.0, None), "greedy": ("classical", 2.0, None),
        "deep": ("deep", 3.0, record), "null": ("null", None, None),
    }  # fmt: skip
    assert [one.test["share"] for one in contest.contenders] == [0.1, 0.2, 0.3, 0.0]


def test_a_test_values_every_arm_by_all_histories_that_agree_with_it():
    _, _, alone, rule = logged()
    arms = {"none": planning.nobody, "rule": rule, "higher": planning.threshold(0.8)}
    n = alone.shape[0]
    arm = np.random.default_rng(0).integers(3, size=n)
    market = campaign_market().of(np.arange(n) % 40)
    dealt = budget_policy.by_arm(arms, arm)
    assert (dealt(alone, alone.start())[0][arm == 0] == 0).all()
    for wrong in (arm[1:], np.append(arm, 0)):
        with pytest.raises(ValueError, match=f"give one for each of {n}"):
            budget_policy.by_arm(arms, wrong)(alone, alone.start())
    own = rule(alone, alone.start())[0][arm == 1]
    assert (dealt(alone, alone.start())[0][arm == 1] == own).all()
    log = q_learning.record(market, alone.forecast, ALONE, dealt, epsilon=0.0, seed=5)
    found = budget_policy.values_by_test(log, alone, arms, 0.2)
    for name, policy in arms.items():
        truth, half = (
            budget_policy.priced_profit(alone, policy, 0.2).mean(),
            (found[name].high - found[name].low) / 2,
        )
        assert abs(found[name].value - truth) < 1.5 * half + 1e-9
        assert found[name].effective_size > 0.9 * n / 3
    # customers of two arms count for both while these agree, so more of them than of one arm
    assert found["higher"].effective_size > 1.2 * n / 3
    with pytest.raises(ValueError, match="histories are of no policy"):
        budget_policy.values_by_test(log, alone, {"rule": rule}, 0.2)


def test_a_test_values_arms_whose_coins_are_fixed_by_their_seed():
    _, _, alone, rule = logged()
    arms = {"rule": rule, "coins": budget_policy.with_probability(rule, 0.5, 3)}
    n = alone.shape[0]
    dealt = budget_policy.by_arm(arms, np.random.default_rng(1).integers(2, size=n))
    market = campaign_market().of(np.arange(n) % 40)
    log = q_learning.record(market, alone.forecast, ALONE, dealt, epsilon=0.0, seed=6)
    found = budget_policy.values_by_test(log, alone, arms, 0.2)["coins"]
    truth = budget_policy.priced_profit(alone, arms["coins"], 0.2).mean()
    assert abs(found.value - truth) < 0.75 * (found.high - found.low)
    other = {"rule": rule, "coins": budget_policy.with_probability(rule, 0.5, 4)}
    with pytest.raises(ValueError, match="histories are of no policy"):
        budget_policy.values_by_test(log, alone, other, 0.2)


def test_a_network_on_other_rows_rewards_plans_worse():
    log, observer, alone, _ = logged()
    config, seen = QLearningConfig(steps=300, batch_size=256), []
    nets = budget_policy.from_log(
        log, observer, config, seed=0, conservative=(0.0,), nulls=1,
        callback=lambda step, _: seen.append(step),
    )  # fmt: skip
    earned = [
        budget_policy.priced_profit(
            alone, q_learning.priced_policy(nets.member(member), 0.2), 0.2
        ).mean()
        for member in range(2)
    ]
    assert seen == [0, 100, 200]
    assert earned[1] < earned[0] - 0.1


def test_a_training_is_recorded_with_the_units_that_switch():
    net = DeepQPolicy(1, 2, width=3, members=2)
    for layer in net.layers[:2]:
        layer.weight.data[:] = 0.0
        layer.bias.data[:] = 1.0
    net.layers[0].weight.data[0] = 1.0
    net.layers[0].bias.data[0, 0] = torch.tensor([0.0, 5.0, -5.0])
    rows = torch.linspace(-1, 1, 101)[:, None].expand(2, -1, 1)
    config = QLearningConfig(steps=7, batch_size=10)
    record = budget_policy.training_record(net, rows, config, [0.1, 0.9])
    assert record["switching"] == pytest.approx((1 / 6 + 0) / 2)
    assert (record["steps"], record["rows"], record["curve"]) == (7, 70, [0.1, 0.9])


def test_ample_money_leaves_nothing_to_share():
    each = PAIRS[0]
    apart = planning.LagrangianPlans(each, WEEKS).solve(0.0)[0].sum()
    assert planning.small_optimum(each, AMPLE)[0] == pytest.approx(apart)
