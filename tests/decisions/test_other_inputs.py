"""Of what plans and learners of decisions take: order, gaps, labels and indexes."""

import numpy as np
import pytest

from pm_utils.decisions import bandits, budget_env
from tests.support.metric_cases import MetricCase, properties

RNG = np.random.default_rng(0)
N = 40
WANTED, PRIORITY = (RNG.random((N, 5)) < 0.6).astype(float), np.round(RNG.random((N, 5)), 1)
EARNED, BEST = RNG.random((N, 3)), 1 + RNG.random((N, 3))  # of N replications in 3 rounds

CASES = {
    "budget_env.within_budget": MetricCase(
        budget_env.within_budget,
        rows={"wanted": WANTED, "left": RNG.integers(0, 4, N), "priority": PRIORITY},
        labels=frozenset({"wanted"}),
        by_row=True,
    ),
    "bandits.total_regret": MetricCase(
        lambda earned, oracle: bandits.total_regret(earned.T, oracle.T, 5).T,
        rows={"earned": EARNED, "oracle": BEST},
        by_row=True,
    ),
}
_LUCK = "bandits.py::test_every_policy_meets_the_same_customers_and_the_same_luck"
_BY_NUMBER = "bandits.py::test_contexts_and_truths_are_called_by_number"
_CLICKS = "bandits.py::test_every_policy_learns_from_clicks_of_0_and_1"
_COUNTED = "bandits.py::test_clicks_of_0_and_1_are_counted_as_booleans"
_NEIGHBOURS = "bandits.py::test_customers_and_ads_that_are_none_are_no_neighbours"
_GAMES = "bandits.py::test_games_that_cannot_be_are_refused"
_FORECAST = "budget_env.py::test_forecasts_know_their_customers_and_take_numbers_that_can_be"
_STRAIN = "budget_env.py::test_a_strain_that_is_not_known_brings_no_number"
_STARTS = "bandits.py::test_starts_and_strangers_that_cannot_be_are_refused"
_START = "bandits.py::test_a_start_refuses_what_its_policy_refuses_and_is_not_over"
_STRANGERS = "bandits.py::test_strangers_stand_for_customers_that_are_known"
_NUMBERS = "planning.py::test_prices_and_paces_that_are_no_number_are_refused"
_PLANS = "planning.py::test_customers_and_campaigns_of_plans_are_called_by_number"
_TESTS = {
    "bandits.BanditPolicy.choose": _NEIGHBOURS,
    "bandits.BanditPolicy.learn": _CLICKS,
    "bandits.play_bandit": _BY_NUMBER,
    "bandits.tournament": _GAMES,
    "bandits.shares_of_gain": _GAMES,
    "bandits.bandit_standings": _GAMES,
    "bandits.Known": _BY_NUMBER,
    "bandits.Known.choose": _NEIGHBOURS,
    "bandits.Known.learn": _NEIGHBOURS,
    "bandits.TestThenCommit.choose": "bandits.py::test_a_test_too_short_for_all_ads_is_refused",
    "bandits.TestThenCommit.learn": _COUNTED,
    "bandits.click_counts": _COUNTED,
    "bandits.rows_by_ad": _NEIGHBOURS,
    "bandits.Thompson.choose": _LUCK,
    "bandits.Thompson.learn": _CLICKS,
    "bandits.LinUCB": _BY_NUMBER,
    "bandits.LinUCB.choose": _NEIGHBOURS,
    "bandits.LinUCB.learn": _CLICKS,
    "bandits.DeepThompson": _BY_NUMBER,
    "bandits.DeepThompson.choose": _NEIGHBOURS,
    "bandits.DeepThompson.learn": _CLICKS,
    "bandits.UniformStart": _STARTS,
    "bandits.UniformStart.choose": _START,
    "bandits.UniformStart.learn": _START,
    "bandits.starting": _STARTS,
    "bandits.Strangers": _STARTS,
    "bandits.Strangers.choose": _STRANGERS,
    "bandits.Strangers.learn": _STRANGERS,
    "budget_env.BudgetCampaign": "budget_env.py::test_a_campaign_of_parts_is_refused",
    "budget_env.Forecast": "budget_env.py::test_customers_of_a_forecast_are_matched_by_index",
    "budget_env.Forecast.take": _FORECAST,
    "budget_env.Forecast.ad_profit": _FORECAST,
    "budget_env.Forecast.immediate": _FORECAST,
    "budget_env.Forecast.side_effect": _STRAIN,
    "budget_env.Forecast.leaving_probability": _STRAIN,
    "budget_env.Forecast.next_fatigue": _STRAIN,
    "budget_env.State": _STRAIN,
    "budget_env.Step": "budget_env.py::test_the_budget_goes_to_the_highest_priority",
    "budget_env.Episodes.step": "budget_env.py::test_a_priority_that_is_no_number_is_refused",
    "budget_env.BudgetEnv.step": (
        "budget_env.py::test_an_action_of_the_environment_is_an_ad_or_none"
    ),
    "networks.truths": "networks.py::test_ends_and_masks_of_0_and_1_are_booleans",
    "networks.best_action": "networks.py::test_ends_and_masks_of_0_and_1_are_booleans",
    "planning.Played": "planning.py::test_exact_value_reports_what_was_paid_for",
    "planning.threshold": "planning.py::test_settings_that_cannot_be_are_refused",
    "planning.tune_policy": "planning.py::test_settings_that_cannot_be_are_refused",
    "planning.frequency_cap": _PLANS,
    "planning.LagrangianPlans.solve": _PLANS,
    "planning.LagrangianPlans.policy": _PLANS,
    "planning.each_alone": _NUMBERS,
    "planning.tune_plans": _NUMBERS,
    "planning.pace": "planning.py::test_the_pace_by_hand",
    "planning.exact_values": (
        "planning.py::test_policies_side_by_side_are_worth_what_they_are_alone"
    ),
    "q_learning.JointView.customer_actions": (
        "q_learning.py::test_joint_actions_are_all_combinations"
    ),
    "q_learning.JointView.reward": "q_learning.py::test_campaigns_have_units_of_their_own",
    "q_learning.PricedView": "q_learning.py::test_a_price_is_that_of_its_customer",
    "q_learning.PricedView.customer_actions": (
        "q_learning.py::test_priced_rewards_pay_the_price_of_a_flight"
    ),
    "q_learning.PricedView.reward": "q_learning.py::test_priced_rewards_pay_the_price_of_a_flight",
    "q_learning.priced_policy": "q_learning.py::test_a_network_that_adds_nothing_is_a_threshold",
    "q_learning.FlightLog": "q_learning.py::test_a_log_that_cannot_be_is_refused",
    "q_learning.Replay": "q_learning.py::test_of_more_than_a_replay_holds_the_last_are_kept",
    "q_learning.next_choices": "q_learning.py::test_what_follows_is_what_the_policy_does_next",
    "q_learning.first_value": "q_learning.py::test_a_log_tells_the_value_of_another_policy",
}
BESIDES = {name: f"tests/decisions/test_{test}" for name, test in _TESTS.items()}
BESIDES |= dict.fromkeys(
    (
        "bandits.BanditPolicy",
        "bandits.TestThenCommit",
        "bandits.Thompson",
        "bandits.ClickNets",
        "budget_env.Episodes",
        "budget_env.BudgetEnv",
        "networks.DeepQPolicy",
        "networks.double_q_target",
        "networks.conservative_penalty",
        "planning.play_flights",
        "planning.nobody",
        "planning.random_choice",
        "planning.everyone",
        "planning.greedy",
        "planning.likeliest",
        "planning.LagrangianPlans",
        "planning.lattice",
        "planning.small_optimum",
        "planning.exact_value",
        "q_learning.JointView",
        "q_learning.Transitions",
        "q_learning.collect",
        "q_learning.QLearningConfig",
        "q_learning.learn",
        "q_learning.td_loss",
        "q_learning.joint_policy",
        "q_learning.record",
        "q_learning.transitions_of",
        "q_learning.learn_from_log",
    ),
    "takes no rows",
)


@pytest.mark.parametrize(("check", "name"), properties(CASES))
def test_a_decision_has_each_property(check, name):
    check(CASES[name])
