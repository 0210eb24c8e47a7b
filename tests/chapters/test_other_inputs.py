"""Of what chapters hand to their helpers by row: order, gaps and indexes."""

import numpy as np
import pandas as pd
import pytest

from pm_utils.chapters import (
    ad_images,
    ad_text,
    closed_loop_figures,
    conversion,
    creative_optimisation,
    data_preparation,
    funnel,
    lifetime_value_market,
)
from pm_utils.market import random_creatives
from tests.support.market_world import small_market
from tests.support.metric_cases import MetricCase, properties

RNG = np.random.default_rng(0)
N = 24
MARKET = small_market(N, creatives=random_creatives(4, np.random.default_rng(1)))
WHO, SEEN = RNG.permutation(N), RNG.integers(0, 3, N)
MONEY, CHANCE = np.round(RNG.uniform(5, 50, N), 1), np.round(RNG.uniform(0.01, 0.2, N), 2)
ORDERS = RNG.integers(0, 3, (N, 4))
SPEND = ORDERS * MONEY[:, None]
TRAIN = (np.arange(N) % 2).astype(float)
EARNED = np.round(RNG.uniform(1, 9, (N, 3)), 1)


def guessed(redemptions, train):
    index = getattr(redemptions, "index", None)
    contacts = pd.DataFrame({"campaign_id": 1, "campaign_type": "A", "redeemed": TRAIN}, index)
    contacts["redeemed"] = 1.0
    return conversion.naive_probability(contacts, redemptions, train)


def money_of(user, amount):
    table = pd.DataFrame({"user_id": np.asarray(user), "order_amount": np.asarray(amount)})
    return data_preparation.recipe(table)


CASES = {
    "ad_images.best_ads": MetricCase(
        lambda customers: ad_images.best_ads(MARKET, customers), {"customers": WHO}, by_row=True
    ),
    "ad_text.replayed_clicks": MetricCase(
        lambda ads: ad_text.replayed_clicks(np.ones((N, 3, 2)), ads), {"ads": SEEN}
    ),
    "closed_loop_figures.strategy_standings": MetricCase(
        lambda campaign, bound: closed_loop_figures.strategy_standings(
            pd.DataFrame({"our loop": campaign}), pd.DataFrame({"our loop": campaign}), bound
        ),
        {"campaign": EARNED[:, 0], "bound": EARNED[:, 0] + 9},
        apart=frozenset({"campaign", "bound"}),
    ),
    "closed_loop_figures.build_up_table": MetricCase(
        lambda totals: closed_loop_figures.build_up_table(
            pd.DataFrame(totals, columns=list("abc"[: np.shape(totals)[1]]))
        )[["adds", "low", "high"]],
        {"totals": EARNED},
    ),
    "conversion.naive_probability": MetricCase(
        guessed,
        {"redemptions": np.log1p(SEEN), "train": TRAIN},
        labels=frozenset({"train"}),
        apart=frozenset({"redemptions", "train"}),
        drawn=True,
    ),
    "creative_optimisation.compare_errors": MetricCase(
        lambda error: creative_optimisation.compare_errors(
            pd.DataFrame(np.asarray(error), columns=["a", "b", "c"]),
            [("a", "b")],
            repeats=5,
            seed=0,
        )["saved"],
        {"error": EARNED},
    ),
    "data_preparation.recipe": MetricCase(
        money_of,
        {"user": SEEN, "amount": MONEY},
        names=frozenset({"user"}),
        by_row=True,
        apart=frozenset({"user", "amount"}),
    ),
    "funnel.interval_coverage": MetricCase(
        lambda probabilities: funnel.interval_coverage(
            probabilities, customers=9, impressions=5, studies=2, rng=np.random.default_rng(0)
        ),
        {"probabilities": np.stack([CHANCE, 4 * CHANCE], 1)},
        drawn=True,
    ),
    "lifetime_value_market.cohort_features": MetricCase(
        lifetime_value_market.cohort_features,
        {"orders": ORDERS, "spend": SPEND},
        by_row=True,
    ),
    "lifetime_value_market.order_table": MetricCase(
        lambda **rows: lifetime_value_market.order_table(**rows)["amount"].sum(),
        {"orders": ORDERS, "spend": SPEND},
    ),
    "lifetime_value_market.probability_alive": MetricCase(
        lifetime_value_market.probability_alive,
        {"silence": SEEN, "order_rate": MONEY / 10, "leaving": CHANCE},
        by_row=True,
    ),
}
HERE, NOTHING = "tests/chapters/test_other_inputs.py::", "takes no rows"
DRAWN, FIGURES = "tests/chapters/test_funnel_figures.py::", "tests/loop/test_campaign.py::"
BUDGET = "tests/chapters/test_budget_policy.py::"
PLANS = "tests/chapters/test_budget_policy_figures.py::"
TEXT = "tests/chapters/test_ad_text.py::"
BESIDES = {
    "ad_text.by_log_size": (
        TEXT + "test_a_shorter_log_is_a_part_of_the_longer_and_every_size_gets_its_verdict"
    ),
    "ad_text.gain_interval": (
        TEXT + "test_the_interval_of_a_gain_holds_zero_for_equals_and_not_for_others"
    ),
    "ad_text.one_hot_regression": (
        TEXT + "test_one_hot_words_are_those_of_scikit_learns_regression"
    ),
    "ad_images.true_clicks": (
        "tests/chapters/test_ad_images.py::"
        "test_clicks_follow_what_an_ad_shows_and_garbled_ads_earn_nothing"
    ),
    "ad_images.contrasting_customers": (
        "tests/chapters/test_ad_images.py::test_contrasting_customers_want_different_categories"
    ),
    "ad_images.said_of_copies": (
        "tests/chapters/test_ad_images.py::test_copies_are_not_told_from_what_is_no_share"
    ),
    "ad_images.more_or_fewer": (
        "tests/chapters/test_ad_images.py::test_an_interval_without_an_end_has_no_words"
    ),
    "ad_images.picture_rows": (
        "tests/chapters/test_ad_images.py::test_rows_of_pictures_are_named_and_keep_their_colours"
    ),
    "budget_policy.decisions": (
        BUDGET + "test_decisions_are_those_of_the_policy_in_the_situations_of_the_log"
    ),
    "budget_policy.exact_shares": (BUDGET + "test_rules_are_shares_of_what_the_exact_plan_earns"),
    "budget_policy.shares_of_optimum": (
        BUDGET + "test_networks_learn_their_pair_and_the_null_does_not"
    ),
    **{
        f"budget_policy.{name}": BUDGET + "test_a_log_tells_what_its_policy_and_its_rule_earn"
        for name in ("from_log", "log_estimates", "log_value", "log_row")
    },
    **{
        f"budget_policy.{name}": (
            BUDGET + "test_a_test_values_every_arm_by_all_histories_that_agree_with_it"
        )
        for name in ("by_arm", "values_by_test")
    },
    "creative_optimisation.repeat": (
        "tests/chapters/test_creative_optimisation.py::"
        "test_weighted_estimators_are_right_on_average_and_cover"
    ),
    "conversion.scoreboard_row": (
        "tests/chapters/test_conversion.py::"
        "test_the_rival_is_the_better_baseline_in_the_metrics_own_direction"
    ),
    **{
        f"conversion.{name}": (
            "tests/chapters/test_conversion.py::"
            "test_trials_hold_both_networks_and_one_that_starts_from_given_weights"
        )
        for name in ("train_trials", "train_final")
    },
    "funnel.blame": HERE + "test_reports_and_gifts_that_cannot_be_are_refused",
    "lifetime_value_market.RetentionBudget.profit": (
        "tests/chapters/test_lifetime_value_market.py::"
        "test_no_plan_beats_the_oracle_and_the_budget_is_kept"
    ),
    "funnel_figures.funnels": DRAWN + "test_funnels_write_counts_and_rates_and_draw_logarithms",
    "funnel_figures.coverage_bars": DRAWN + "test_coverage_bars_stand_side_by_side",
    "funnel_figures.probabilities_by_click": DRAWN
    + "test_chances_rise_by_tenths_of_clicks_and_the_clicked_lie_above_all",
    "funnel_figures.model_dots": DRAWN + "test_models_are_dots_from_the_top_beside_the_truth",
    "funnel_figures.probabilities_against_truth": DRAWN
    + "test_right_chances_lie_on_the_diagonal_and_doubled_ones_below",
    "funnel_figures.delay_dots": DRAWN + "test_delays_are_a_marker_per_group_and_estimator",
    "funnel.above_the_floor": (
        "tests/chapters/test_funnel.py::test_bias_is_measured_against_endless_data_in_each_market"
    ),
    "funnel_figures.floor_dots": DRAWN + "test_dots_stand_off_the_floor_of_their_market",
    "funnel_figures.power_lines": DRAWN + "test_power_is_a_line_per_reading",
    "funnel_figures.leaks": DRAWN + "test_leaks_are_drawn_from_the_top_and_the_proven_stand_out",
    "budget_policy_figures.flight_figure": PLANS
    + "test_a_flight_is_drawn_for_its_week_and_for_all",
    "budget_policy_figures.plans_figure": PLANS + "test_flights_are_marked_in_their_weeks",
    "budget_policy_figures.learning_figure": PLANS
    + "test_learning_is_drawn_as_means_over_networks",
    "budget_policy_figures.crowd_figure": PLANS + "test_the_crowd_is_drawn_by_policy_and_by_week",
    "budget_policy_figures.size_figure": PLANS + "test_sizes_are_drawn_above_or_below_the_floor",
    "closed_loop_figures.history_figure": FIGURES
    + "test_figures_show_every_history_and_every_curve",
    "closed_loop_figures.loss_figure": FIGURES + "test_figures_show_every_history_and_every_curve",
    "closed_loop_figures.relearning_figure": FIGURES + "test_figures_show_every_strategy_and_round",
    "closed_loop_figures.rounds_figure": FIGURES + "test_figures_show_every_strategy_and_round",
    "closed_loop_figures.worth_figure": FIGURES + "test_figures_show_every_strategy_and_round",
    "closed_loop_figures.measured_figure": FIGURES + "test_figures_show_every_strategy_and_round",
    **dict.fromkeys(  # of markets, models and settings that were checked when they were made
        [
            *(
                f"ad_images.{name}"
                for name in (
                    "DrawingTrace",
                    "DrawingTrace.record",
                    "GanTrace",
                    "GanTrace.frame",
                    "SpreadTrace",
                    "enter_makers",
                    "advice",
                    "said_of_collapse",
                    "units_switching",
                    "fake_logits",
                    "gradient_norm",
                )
            ),
            *(
                f"budget_policy.{name}"
                for name in (
                    "with_menu",
                    "first_flight",
                    "market_pays",
                    "draw_pairs",
                    "best_threshold",
                    "rules_of",
                    "learn_pairs",
                    "stacked",
                    "member_table",
                    "learn_prices",
                    "tune_rule",
                    "crowd_policies",
                    "play_crowd",
                    "with_probability",
                    "priced_profit",
                )
            ),
            *(
                f"closed_loop.{name}"
                for name in (
                    "Setup",
                    "World",
                    "World.open",
                    "World.of",
                    "World.banners",
                    "World.history",
                    "World.play",
                    "TaughtModel",
                    "TaughtModel.of",
                    "TaughtModel.all_of",
                    "Lesson",
                    "Lesson.new_model",
                    "Trial",
                    "learners_tried",
                    "loops_that_read",
                    "blind_profile",
                    "true_profile",
                    "best_network",
                    "displacement_by_round",
                    "gains_by_round",
                    "chi_only",
                    "TaughtModel.strategy",
                    "TaughtModel.alike",
                    "try_history",
                    "best_setups",
                    "learners",
                    "competing_strategies",
                    "told_displacement",
                    "nulls",
                    "build_up",
                    "privileged",
                    "learning_curve",
                    "totals",
                    "paid_histories",
                    "enter_strategies",
                    "books_error",
                    "said_of_bends",
                    "said_of_edges",
                    "said_of_loop",
                    "said_of_part",
                    "said_of_history",
                    "said_of_count",
                    "said_of_error",
                    "customers_needed",
                    "interest_found",
                )
            ),
            *(
                f"conversion.{name}"
                for name in (
                    "information_ladder",
                    "remedy_claim",
                )
            ),
            *(f"creative_optimisation.{name}" for name in ("score",)),
            *(
                f"customer_profile.{name}"
                for name in (
                    "rival_guesses",
                    "what_matters",
                    "at_the_cap",
                    "full_batch_losses",
                    "state_of_training",
                    "longest_as_good",
                    "tag_scores",
                    "resampled_tag_scores",
                    "said_of_size",
                    "worth_of_profile",
                )
            ),
            *(f"data_preparation.{name}" for name in ("leak_ladder",)),
            *(
                f"funnel.{name}"
                for name in (
                    "true_rates",
                    "true_profit",
                    "ads_by",
                    "later_log",
                    "inspect",
                    "trials",
                    "train_network",
                    "null_networks",
                    "post_click_probabilities",
                    "enter_null_networks",
                    "other_markets",
                    "draw_counts",
                    "stage_chances",
                    "least_clicked_more",
                    "endless_probability",
                    "bias_study",
                    "biases",
                    "shares_right",
                    "said_of_floor",
                    "said_of_headlines",
                    "click_share_by_ad",
                )
            ),
            *(f"interest.{name}" for name in ("known_truth",)),
            *(
                f"lifetime_value.{name}"
                for name in (
                    "readings",
                    "holdout_facts",
                    "null_dollars",
                    "shop_views",
                    "BuyingFits",
                    "BuyingFits.fit",
                    "BuyingFits.dollars",
                    "BuyingFits.table",
                    "panel_facts",
                    "value_by_frequency",
                    "Tried",
                    "try_models",
                    "predict_shop",
                    "hidden_units",
                    "chosen_view",
                    "enter_scores",
                    "enter_nulls",
                    "best_of",
                    "best_with_profile_and_without",
                    "profile_facts",
                    "claim_scores",
                    "coverage",
                    "said_of_coverage",
                    "said_of_totals",
                    "said_of_models",
                )
            ),
            *(
                f"lifetime_value_market.{name}"
                for name in (
                    "Weeks",
                    "quiet_weeks",
                    "CohortStudy",
                    "CohortStudy.play",
                    "CohortStudy.seen",
                    "CohortStudy.rows",
                    "CohortStudy.alive",
                    "CohortStudy.true_value",
                    "CohortStudy.past_rate",
                    "CohortStudy.histories",
                    "CohortStudy.by_buying",
                    "CohortStudy.oracle",
                    "CohortStudy.attainable",
                    "CohortStudy.true_risk",
                    "RetentionBudget",
                    "RetentionBudget.gain",
                    "RetentionBudget.gifts",
                    "RetentionBudget.true_gain",
                    "RetentionBudget.spend",
                    "RetentionBudget.oracle",
                    "plan_of_true_risk",
                    "Predicted",
                    "predict_market",
                    "keeping_plans",
                    "keeping_shares",
                    "null_shares",
                    "shares_by_scale",
                    "said_of_keeping",
                )
            ),
        ],
        NOTHING,
    ),
}


@pytest.mark.parametrize(("check", "name"), properties(CASES))
def test_what_chapters_hand_over_has_each_property(check, name):
    check(CASES[name])


def test_reports_and_gifts_that_cannot_be_are_refused():
    report = pd.DataFrame({"rate": [0.1, np.nan], "attainable": [0.2, 0.2]})
    with pytest.raises(ValueError, match="report is not finite in 1 of 2 rows, first row 1"):
        funnel.blame(report)
    with pytest.raises(KeyError, match="report has no column 'attainable'"):
        funnel.blame(report[["rate"]])
