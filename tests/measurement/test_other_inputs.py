"""Of every test and estimator: order, gaps, labels and indexes."""

import warnings

import numpy as np
import pandas as pd
import pytest

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


def rng():
    return np.random.default_rng(0)


def case(call, *labels, **options):
    return MetricCase(call, labels=frozenset(labels), **options)


def ripe(converted, days, age):
    seen = delayed_feedback.SeenClicks(converted, days, age)
    return delayed_feedback.from_ripe_clicks(seen, 3)


def segments(orders, saved):
    orders = pd.DataFrame({"orders_per_week": np.asarray(orders), "discount_share": saved})
    return bottlenecks.market_segments(orders)[0]


CASES = {
    "two_means": case(ab_tests.two_means, "second", rows={"outcome": SPENT, "second": SECOND}),
    "two_ratios": case(
        ab_tests.two_ratios, "second", rows={"part": CLICKED, "whole": SHOWN, "second": SECOND}
    ),
    "cuped": case(ab_tests.cuped, rows={"outcome": SPENT, "covariate": BEFORE}, by_row=True),
    "false_alarms": case(
        lambda **rows: ab_tests.false_alarms(**rows, runs=20, rng=rng()),
        rows={"part": np.minimum(CLICKED, SHOWN), "whole": SHOWN},
        drawn=True,
    ),
    "placebo_effects": case(
        lambda outcome: ab_tests.placebo_effects(outcome, draws=5, rng=rng()),
        rows={"outcome": SPENT},
        drawn=True,
    ),
    "variance_ratios": case(
        lambda outcome, before: ab_tests.variance_ratios(
            outcome, {"before": before}, draws=5, rng=rng()
        ),
        rows={"outcome": SPENT, "before": BEFORE},
        drawn=True,
    ),
    "several_means": case(
        several_arms.several_means,
        rows={"outcome": SPENT, "arm": ARM},
        names=frozenset({"arm"}),
    ),
    "clustered_rate": case(
        rates.clustered_rate, rows={"part": np.minimum(CLICKED, SHOWN), "whole": SHOWN}
    ),
    "funnel_rates": case(
        lambda shown, clicked: funnel.funnel_rates(
            pd.DataFrame({"shown": np.asarray(shown), "clicked": np.asarray(clicked)})
        ),
        rows={"shown": SHOWN, "clicked": np.minimum(CLICKED, SHOWN)},
        apart=frozenset({"shown", "clicked"}),  # the columns of one table
    ),
    "market_segments": case(
        segments,
        rows={"orders": CHANCE, "saved": TRUTH},
        by_row=True,
        apart=frozenset({"orders", "saved"}),
    ),
    "effective_sample_size": case(off_policy.effective_sample_size, rows={"weight": WEIGHT}),
    "direct_method": case(
        off_policy.direct_method, rows={"expected": CHANCE, "customer": WHO}, names=CUSTOMER
    ),
    "inverse_propensity": case(
        off_policy.inverse_propensity,
        rows={"reward": SPENT, "weight": WEIGHT, "customer": WHO},
        names=CUSTOMER,
    ),
    "self_normalised": case(
        off_policy.self_normalised,
        rows={"reward": SPENT, "weight": WEIGHT, "customer": WHO},
        names=CUSTOMER,
    ),
    "doubly_robust": case(
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
    "per_decision": case(
        lambda reward, weight: off_policy.per_decision(reward.T, weight.T),  # columns are customers
        rows={"reward": np.c_[SPENT, BEFORE], "weight": np.c_[WEIGHT, WEIGHT]},
        tables=frozenset({"reward", "weight"}),
    ),
    "trajectory_weights": case(
        lambda agrees, propensity: off_policy.trajectory_weights(agrees.T, propensity.T).T,
        "agrees",
        rows={
            "agrees": 1.0 * (RNG.random((N, 3)) < 0.8),
            "propensity": RNG.uniform(0.2, 1, (N, 3)),
        },
        by_row=True,
    ),
    "seen_by": case(
        lambda **rows: delayed_feedback.seen_by(12, **rows),
        rows={"clicked_at": AGE, "delay": np.where(CAME > 0, AGE, np.nan)},
        gaps=frozenset({"delay"}),  # where there will be no order
        by_row=True,
    ),
    "from_ripe_clicks": case(
        ripe,
        "converted",
        rows={"converted": CAME, "days": np.where(CAME > 0, AGE / 2, AGE), "age": AGE},
    ),
    "delay_summary": case(
        delayed_feedback.delay_summary, rows={"probability": CHANCE, "mean_delay": AGE}
    ),
    "delay_by": case(
        delayed_feedback.delay_by,
        rows={"group": ARM, "probability": CHANCE, "mean_delay": AGE},
        names=frozenset({"group"}),
    ),
    "expected_auc": case(
        post_click.expected_auc,
        rows={"score": CHANCE, "probability": TRUTH, "weight": AGE},
    ),
    "relative_bias": case(
        post_click.relative_bias,
        rows={"predicted": CHANCE, "truth": TRUTH, "weight": AGE},
    ),
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
