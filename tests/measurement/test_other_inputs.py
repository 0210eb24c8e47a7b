"""Of every test and estimator: order, gaps, labels and indexes."""

import warnings
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LogisticRegression

from pm_utils.market import ImpressionLog
from pm_utils.measurement import (
    ab_tests,
    bottlenecks,
    delayed_feedback,
    funnel,
    off_policy,
    post_click,
    rates,
    several_arms,
)
from tests.support.metric_cases import (
    MetricCase,
    properties,
)

RNG = np.random.default_rng(0)
N = 60
SECOND = (np.arange(N) % 2).astype(float)
SPENT, BEFORE = np.round(RNG.exponential(20, N), 1), np.round(RNG.exponential(20, N), 1)
SHOWN, CLICKED = RNG.integers(5, 20, N), RNG.integers(0, 6, N)
CHANCE, TRUTH = np.round(RNG.uniform(0.1, 0.6, N), 1), np.round(RNG.uniform(0.1, 0.6, N), 1)
WEIGHT, WHO = 2.0 * (RNG.random(N) < 0.5), RNG.integers(0, 20, N) * 10**12
ARM = np.array(["a", "b", "c"])[np.arange(N) % 3]
AGE = np.round(RNG.uniform(1, 10, N), 1)
CAME = (RNG.random(N) < 0.4).astype(float)
CUSTOMER = frozenset({"customer"})
FUNNEL = np.c_[SHOWN + 9, SHOWN, SHOWN // 2, SHOWN // 4, SPENT]


def rng():
    return np.random.default_rng(0)


def case(call, *labels, **options):
    return MetricCase(call, labels=frozenset(labels), **options)


def ripe(converted, days, age):
    seen = delayed_feedback.SeenClicks(converted, days, age)
    return delayed_feedback.from_ripe_clicks(seen, 3)


def curve(converted, days, age):
    return delayed_feedback.kaplan_meier(delayed_feedback.SeenClicks(converted, days, age))


def segments(orders, saved):
    orders = pd.DataFrame({"orders_per_week": np.asarray(orders), "discount_share": saved})
    return bottlenecks.market_segments(orders)[0]


def _log(customer, click):
    clicked = np.asarray(click)
    none, zero = np.zeros(N, bool), np.zeros(N)
    return ImpressionLog(
        customer, zero.astype(int), zero, zero + 0.5, clicked, none, none, zero, zero
    )


def _pairs(**rows):
    pairs = post_click.PairCounts(**rows)
    return pairs.customer, pairs.creative, pairs.numbers, pairs.counts


def _some_pairs():
    counts = np.c_[SHOWN, np.minimum(CLICKED, SHOWN), 0 * SHOWN].astype(np.float32)
    codes, numbers = np.zeros((N, 7), int), np.zeros((N, 17), np.float32)
    return post_click.PairCounts(np.arange(N), np.arange(N) % 3, codes, numbers, counts)


CASES = {
    "ab_tests.two_means": case(
        ab_tests.two_means, "second", rows={"outcome": SPENT, "second": SECOND}
    ),
    "ab_tests.two_ratios": case(
        ab_tests.two_ratios, "second", rows={"part": CLICKED, "whole": SHOWN, "second": SECOND}
    ),
    "ab_tests.cuped": case(
        ab_tests.cuped, rows={"outcome": SPENT, "covariate": BEFORE}, by_row=True
    ),
    "ab_tests.false_alarms": case(
        lambda **rows: ab_tests.false_alarms(**rows, runs=20, rng=rng()),
        rows={"part": np.minimum(CLICKED, SHOWN), "whole": SHOWN},
        drawn=True,
    ),
    "ab_tests.placebo_effects": case(
        lambda outcome: ab_tests.placebo_effects(outcome, draws=5, rng=rng()),
        rows={"outcome": SPENT},
        drawn=True,
    ),
    "ab_tests.variance_ratios": case(
        lambda outcome, before: ab_tests.variance_ratios(
            outcome, {"before": before}, draws=5, rng=rng()
        ),
        rows={"outcome": SPENT, "before": BEFORE},
        drawn=True,
    ),
    "ab_tests.power": case(
        lambda customers: ab_tests.power(0.1, 0.1, customers),
        rows={"customers": 1.0 * SHOWN},
        by_row=True,
    ),
    "ab_tests.checked_counts": case(
        lambda clicks, customers: np.array(ab_tests.checked_counts(clicks, customers)).T,
        rows={"clicks": np.minimum(CLICKED, SHOWN), "customers": SHOWN},
        by_row=True,
        index=False,  # lists, in the order of the first
    ),
    "ab_tests.mean_of": case(ab_tests.mean_of, rows={"values": SPENT}),
    "ab_tests.variance_of": case(ab_tests.variance_of, rows={"values": SPENT}),
    "ab_tests.mixture_sprt": case(
        ab_tests.mixture_sprt, rows={"total": SPENT, "n": SHOWN}, by_row=True
    ),
    "ab_tests.always_valid_p": case(
        lambda ratio: ab_tests.always_valid_p(np.atleast_2d(ratio.T).T),
        rows={"ratio": np.c_[SPENT, BEFORE]},  # each row is a test
        by_row=True,
    ),
    "bottlenecks.stage_sums": case(
        lambda customer, click, profit: bottlenecks.stage_sums(
            _log(customer, click), profit, np.arange(20) % 3
        ),
        rows={"customer": WHO // 10**12, "click": CAME, "profit": SPENT},
        apart=frozenset({"customer", "click", "profit"}),  # a log calls its rows by number
    ),
    "bottlenecks.order_profit": case(
        lambda creative, order_value: bottlenecks.order_profit(
            SimpleNamespace(creative=creative, order_value=order_value), [0.1, 0.2, 0.0], 0.3
        ),
        rows={"creative": np.arange(N) % 3, "order_value": SPENT},
        apart=frozenset({"creative", "order_value"}),
        by_row=True,
    ),
    "bottlenecks.lost_profit": case(
        bottlenecks.lost_profit,
        rows={"now": FUNNEL, "before": FUNNEL[::-1]},
        by_row=True,
    ),
    "bottlenecks.bottlenecks": case(
        lambda now, before, groups: bottlenecks.bottlenecks(
            now, before, groups, ["new", "old"], repeats=5, seed=0
        ),
        rows={"now": FUNNEL, "before": FUNNEL[::-1], "groups": np.eye(2)[np.arange(N) % 2]},
        drawn=True,
    ),
    "delayed_feedback.SeenClicks": case(
        delayed_feedback.SeenClicks,
        "converted",
        rows={"converted": CAME, "days": np.where(CAME > 0, AGE / 2, AGE), "age": AGE},
        by_row=True,
    ),
    "delayed_feedback.compare_delay_estimates": case(
        lambda chance, days: delayed_feedback.compare_delay_estimates(
            {"net": (chance, days)},
            (TRUTH, AGE),
            delayed_feedback.SeenClicks(CAME, np.where(CAME > 0, 2.0, 9.0), np.full(N, 9.0)),
            ahead=5,
        ),
        rows={"chance": CHANCE, "days": AGE},
        drawn=True,  # the clicks that were seen stand still
    ),
    "off_policy.reward_table": case(
        lambda customer, ad, reward: off_policy.reward_table(
            np.c_[np.arange(20.0), np.arange(20) % 3], 3, customer, ad, reward
        ),
        rows={"customer": WHO // 10**12, "ad": np.arange(N) % 3, "reward": SPENT},
    ),
    "post_click.PairCounts": case(
        _pairs,
        rows={
            "customer": np.arange(N),
            "creative": np.arange(N) % 3,
            "codes": np.zeros((N, 7), int),
            "numbers": np.c_[tuple(np.outer(SPENT, range(17)).T)],
            "counts": np.c_[SHOWN, np.minimum(CLICKED, SHOWN), 0 * SHOWN],
        },
        gaps=frozenset({"customer", "creative", "codes"}),  # whole numbers
        by_row=True,
        index=False,  # arrays, in the order of the first
    ),
    "post_click.PairCounts.rows_of": case(
        lambda customer, creative: _some_pairs().rows_of(customer, creative),
        rows={"customer": np.arange(N), "creative": np.arange(N) % 3},
        by_row=True,
        index=False,
    ),
    "post_click.PairCounts.expected": case(
        lambda click, conversion: _some_pairs().expected(click, conversion).counts.sum(0),
        rows={"click": CHANCE, "conversion": TRUTH},
        apart=frozenset({"click", "conversion"}),  # of the pairs, by number
        drawn=True,
    ),
    "post_click.observed_features": case(
        lambda weekly, value, share: post_click.observed_features(
            pd.DataFrame(
                {
                    "orders_per_week": np.asarray(weekly),
                    "average_order_value": np.asarray(value),
                    "discount_share": np.asarray(share),
                    "coupon_order_share": np.asarray(share),
                    "share_tea": np.asarray(share),
                }
            )
        ),
        rows={"weekly": CHANCE, "value": AGE, "share": TRUTH},
        apart=frozenset({"weekly", "value", "share"}),  # the columns of one table
        by_row=True,
    ),
    "post_click.fit_counts": case(
        lambda **rows: post_click.fit_counts(LogisticRegression(tol=1e-10), **rows),
        rows={
            "table": np.c_[CHANCE, TRUTH],
            "hits": np.minimum(CLICKED, SHOWN),
            "tries": SHOWN,
        },
        by_row=True,
        rounding=1e-6,
    ),
    "post_click.score_against_truth": case(
        lambda net, truth: post_click.score_against_truth({"net": net}, truth, _some_pairs()),
        rows={"truth": TRUTH, "net": CHANCE},
        drawn=True,  # the pairs stand still
    ),
    "post_click.compare_estimates": case(
        lambda truth, first, second: post_click.compare_estimates(
            "calibration error", first, second, truth, _some_pairs(), repeats=5, seed=0
        ),
        rows={"truth": TRUTH, "first": CHANCE, "second": CHANCE[::-1]},
        drawn=True,
        ends=True,
    ),
    "several_arms.several_means": case(
        several_arms.several_means,
        rows={"outcome": SPENT, "arm": ARM},
        names=frozenset({"arm"}),
    ),
    "rates.clustered_rate": case(
        rates.clustered_rate, rows={"part": np.minimum(CLICKED, SHOWN), "whole": SHOWN}
    ),
    "funnel.funnel_rates": case(
        lambda shown, clicked: funnel.funnel_rates(
            pd.DataFrame({"shown": np.asarray(shown), "clicked": np.asarray(clicked)})
        ),
        rows={"shown": SHOWN, "clicked": np.minimum(CLICKED, SHOWN)},
        apart=frozenset({"shown", "clicked"}),  # the columns of one table
    ),
    "bottlenecks.market_segments": case(
        segments,
        rows={"orders": CHANCE, "saved": TRUTH},
        by_row=True,
        apart=frozenset({"orders", "saved"}),
    ),
    "off_policy.effective_sample_size": case(
        off_policy.effective_sample_size, rows={"weight": WEIGHT}
    ),
    "off_policy.direct_method": case(
        off_policy.direct_method, rows={"expected": CHANCE, "customer": WHO}, names=CUSTOMER
    ),
    "off_policy.inverse_propensity": case(
        off_policy.inverse_propensity,
        rows={"reward": SPENT, "weight": WEIGHT, "customer": WHO},
        names=CUSTOMER,
    ),
    "off_policy.self_normalised": case(
        off_policy.self_normalised,
        rows={"reward": SPENT, "weight": WEIGHT, "customer": WHO},
        names=CUSTOMER,
    ),
    "off_policy.doubly_robust": case(
        off_policy.doubly_robust,
        rows={
            "reward": SPENT,
            "weight": WEIGHT,
            "customer": WHO,
            "expected": CHANCE,
            "predicted": TRUTH,
        },
        names=CUSTOMER,
    ),
    "off_policy.per_decision": case(
        lambda reward, weight: off_policy.per_decision(reward.T, weight.T),  # columns are customers
        rows={"reward": np.c_[SPENT, BEFORE], "weight": np.c_[WEIGHT, WEIGHT]},
        tables=frozenset({"reward", "weight"}),
    ),
    "off_policy.trajectory_weights": case(
        lambda agrees, propensity: off_policy.trajectory_weights(agrees.T, propensity.T).T,
        "agrees",
        rows={
            "agrees": 1.0 * (RNG.random((N, 3)) < 0.8),
            "propensity": RNG.uniform(0.2, 1, (N, 3)),
        },
        by_row=True,
    ),
    "delayed_feedback.kaplan_meier": case(
        curve,
        "converted",
        rows={"converted": CAME, "days": np.where(CAME > 0, AGE / 2, AGE), "age": AGE},
    ),
    "delayed_feedback.next_orders_loss": case(
        lambda probability, mean_delay: delayed_feedback.next_orders_loss(
            probability,
            mean_delay,
            delayed_feedback.SeenClicks(np.zeros(N), np.ones(N), np.ones(N)),
            delayed_feedback.SeenClicks(CAME, np.where(CAME > 0, 2.0, 9.0), np.full(N, 9.0)),
        ),
        rows={"probability": CHANCE, "mean_delay": AGE},
        drawn=True,  # the clicks that were seen stand still
    ),
    "delayed_feedback.coming_orders_losses": case(
        lambda probability, mean_delay: delayed_feedback.coming_orders_losses(
            probability,
            mean_delay,
            (CHANCE, AGE),
            delayed_feedback.SeenClicks(CAME, np.where(CAME > 0, 2.0, 9.0), np.full(N, 9.0)),
            ahead=5,
        ),
        rows={"probability": CHANCE, "mean_delay": AGE},
        drawn=True,  # the clicks that were seen stand still
    ),
    "post_click.score_clicks": case(
        lambda net, truth: post_click.score_clicks({"net": net}, truth, _some_pairs()),
        rows={"truth": TRUTH, "net": CHANCE},
        drawn=True,  # the pairs stand still
    ),
    "post_click.weighted_order_loss": case(
        lambda probability, click: post_click.weighted_order_loss(
            probability, _some_pairs(), click
        ),
        rows={"probability": CHANCE, "click": TRUTH},
        apart=frozenset({"probability", "click"}),  # of the pairs, by number
        drawn=True,
    ),
    "post_click.compare_aucs": case(
        lambda first, second, probability: post_click.compare_aucs(
            first, second, probability, _some_pairs(), repeats=5, seed=0
        ),
        rows={"probability": TRUTH, "first": CHANCE, "second": CHANCE[::-1]},
        drawn=True,
        ends=True,
    ),
    "delayed_feedback.seen_by": case(
        lambda **rows: delayed_feedback.seen_by(12, **rows),
        rows={"clicked_at": AGE, "delay": np.where(CAME > 0, AGE, np.nan)},
        gaps=frozenset({"delay"}),  # where there will be no order
        by_row=True,
    ),
    "delayed_feedback.from_ripe_clicks": case(
        ripe,
        "converted",
        rows={"converted": CAME, "days": np.where(CAME > 0, AGE / 2, AGE), "age": AGE},
    ),
    "delayed_feedback.delay_summary": case(
        delayed_feedback.delay_summary, rows={"probability": CHANCE, "mean_delay": AGE}
    ),
    "delayed_feedback.delay_by": case(
        delayed_feedback.delay_by,
        rows={"group": ARM, "probability": CHANCE, "mean_delay": AGE},
        names=frozenset({"group"}),
    ),
    "post_click.expected_auc": case(
        post_click.expected_auc,
        rows={"score": CHANCE, "probability": TRUTH, "weight": AGE},
    ),
    "post_click.relative_bias": case(
        post_click.relative_bias,
        rows={"predicted": CHANCE, "truth": TRUTH, "weight": AGE},
    ),
}

BESIDES = dict.fromkeys(
    (
        "ab_tests.Comparison",
        "ab_tests.sample_size",
        "ab_tests.simulated_power",
        "ab_tests.two_proportions",
        "ab_tests.two_means_from_moments",
        "ab_tests.sample_ratio",
        "ab_tests.peeking",
        "ab_tests.random_halves",
        "delayed_feedback.DelayedFeedbackNet",
        "delayed_feedback.delayed_feedback_loss",
        "funnel.market_funnel",
        "funnel.contact_funnel",
        "off_policy.Estimate",
        "off_policy.recommend",
        "post_click.aggregate_log",
        "post_click.train_post_click_towers",
        "post_click.post_click_probability",
        "post_click.rate_by_ad",
        "post_click_networks.EntireSpaceNet",
        "post_click_networks.log_complement",
        "post_click_networks.entire_space_loss",
        "post_click_networks.click_stage_loss",
        "post_click_networks.clicked_loss",
        "post_click.click_baselines",
        "post_click.boosted_clicks",
        "post_click.common_pairs",
        "bottlenecks.weights_for_the_ads_of",
        "post_click_networks.doubly_robust_loss",
        "rates.Rate",
        "rates.wilson",
        "sequential.boundaries",
        "several_arms.several_proportions",
        "several_arms.several_means_from_moments",
    ),
    "takes no rows",
)
_TESTS = {
    "bottlenecks.largest_proven_loss": "test_a_report_that_cannot_be_is_refused",
    "bottlenecks.largest_proven_fall": "test_falls_without_a_cause_are_seldom_found",
    "delayed_feedback.fit_guarded_delays": (
        "test_held_out_customers_guard_a_network_against_features_that_say_nothing"
    ),
    "delayed_feedback.compare_coming_orders": "test_coming_orders_are_compared_over_customers",
    "delayed_feedback.fit_delays": "test_clicks_meet_their_features_by_the_index",
    "funnel.front_page_funnel": "test_lines_without_a_customer_and_returns_are_refused",
    "off_policy.evaluate_policy": "test_tables_of_a_policy_meet_by_their_labels",
    "post_click.pairs_of_counts": "test_where_nothing_was_ordered_there_is_nothing_to_learn",
    "post_click.boosted_orders": "test_where_nothing_was_ordered_there_is_nothing_to_learn",
    "post_click.post_click_baselines": "test_where_nothing_was_ordered_there_is_nothing_to_learn",
    "delayed_feedback.backtest_delays": "test_the_right_way_wins_the_backtest",
    "delayed_feedback.delay_methods": "test_a_reading_holds_every_way_against_the_truth",
    "post_click.PairCounts.take": "test_some_pairs_are_taken_by_number",
    "sequential.crossing_probabilities": "test_looks_are_called_by_number",
    "several_arms.SeveralArms": "test_what_cannot_be_compared_is_named",
}
BESIDES |= {
    name: f"tests/measurement/test_{name.split('.')[0]}.py::{test}" for name, test in _TESTS.items()
}


@pytest.mark.parametrize(("check", "name"), properties(CASES))
def test_a_metric_has_each_property(check, name):
    check(CASES[name])


def test_ids_of_any_size_take_no_more_memory_than_rows():
    small = off_policy.inverse_propensity(SPENT, WEIGHT, WHO // 10**12)
    for names in (WHO, [f"customer {who}" for who in WHO], WHO - 10**15):
        found = off_policy.inverse_propensity(SPENT, WEIGHT, names)
        assert vars(found) == pytest.approx(vars(small))
    with pytest.raises(ValueError, match="name one for each row"):
        off_policy.inverse_propensity(SPENT, WEIGHT, np.where(WHO > 0, WHO, np.nan))


def test_a_shuffled_index_of_a_test_meets_again():
    outcome = pd.Series(SPENT, index=[f"c{i}" for i in range(N)])
    second = pd.Series(SECOND, index=outcome.index).sample(frac=1, random_state=0)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert ab_tests.two_means(outcome, second) == ab_tests.two_means(SPENT, SECOND)
