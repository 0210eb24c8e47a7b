"""Of every metric: order, ties, gaps, labels and indexes."""

import numpy as np
import pandas as pd
import pytest

from pm_utils.evaluation import (
    bootstrap,
    calibration,
    frechet,
    importance,
    probabilities,
    ranking,
    recommendation,
    replications,
)
from tests.support.metric_cases import (
    MetricCase,
    properties,
)

RNG = np.random.default_rng(0)
N = 60
Y = (np.arange(N) % 3 == 0).astype(float)
P = np.round(0.1 + 0.8 * RNG.random(N), 1).clip(0.1, 0.9)  # with many ties
Q = np.round(0.1 + 0.8 * RNG.random(N), 1).clip(0.1, 0.9)
LOGIT = np.round(RNG.normal(size=N) + Y, 1)
PAIRS, SAID = (RNG.random((N, 5)) < 0.4).astype(float), np.round(RNG.random((N, 5)), 1)
WEIGHT = RNG.integers(0, 3, (N, 20))  # of 20 resamples
SEGMENT = np.repeat(["mail", "shop", "web"], 20)
KEEP = RNG.random((N, 5)) < 0.7


def case(call, **options):
    labels = frozenset({"target", "mask"} & options["rows"].keys())
    tables = {name for name, each in options["rows"].items() if each.shape == PAIRS.shape}
    tables = frozenset(tables if "target" in tables else ())
    return MetricCase(call, labels=labels, tables=tables, **options)


CASES = {
    "ranking.average_precision": case(ranking.average_precision, rows={"target": Y, "score": P}),
    "ranking.roc_auc": case(ranking.roc_auc, rows={"target": Y, "score": P}),
    "ranking.roc_auc, weighed": case(
        lambda target, score, weight: ranking.roc_auc(target, score, weight.T),
        rows={"target": Y, "score": P, "weight": WEIGHT},
    ),
    "ranking.ranking_scores": case(ranking.ranking_scores, rows={"target": PAIRS, "score": SAID}),
    "ranking.ranking_scores, weighed and masked": case(
        lambda target, score, mask, weight: ranking.ranking_scores(
            target, score, mask=mask, weight=weight.T
        ),
        rows={"target": PAIRS, "score": SAID, "mask": KEEP, "weight": WEIGHT},
    ),
    "ranking.ranking_scores, weighed once": case(
        lambda target, score, weight: ranking.ranking_scores(target, score, weight=weight),
        rows={"target": PAIRS, "score": SAID, "weight": WEIGHT[:, 0]},
    ),
    "ranking.ranking_table": case(
        lambda target, score: ranking.ranking_table(target, {"net": score}),
        rows={"target": PAIRS, "score": SAID},
    ),
    "calibration.reliability": case(calibration.reliability, rows={"target": Y, "probability": P}),
    "calibration.calibration_error": case(
        calibration.calibration_error, rows={"target": Y, "probability": P}
    ),
    "calibration.calibration_floor": case(
        calibration.calibration_floor, rows={"probability": P}, drawn=True
    ),
    "calibration.fit_temperature": case(
        calibration.fit_temperature, rows={"target": Y, "logit": LOGIT}
    ),
    "calibration.calibration_table": case(
        lambda **rows: calibration.calibration_table(**rows).drop(columns="floor"),
        rows={"target": Y, "before": P, "after": Q, "segment": SEGMENT},
        names=frozenset({"segment"}),
    ),
    "probabilities.score_table": case(
        lambda target, p: probabilities.score_table(target, {"net": p}), rows={"target": Y, "p": P}
    ),
    **{
        f"probabilities.paired_gain, {metric}": case(
            lambda target, first, second, weight, metric=metric: probabilities.paired_gain(
                metric, target, first, second, weight.T
            ),
            rows={"target": Y, "first": P, "second": Q, "weight": WEIGHT},
            ends=True,
        )
        for metric in probabilities.METRICS
    },
    "probabilities.score_intervals": case(
        lambda target, p, weight: probabilities.score_intervals(target, p, weight.T),
        rows={"target": Y, "p": P, "weight": WEIGHT},
        ends=True,
    ),
    "probabilities.calibrated": case(
        lambda target, logit: probabilities.calibrated(target, {"net": logit}),
        rows={"target": Y, "logit": LOGIT},
    ),
    "recommendation.group_auc": case(
        recommendation.group_auc, rows={"target": PAIRS, "score": SAID}, by_row=True
    ),
    "recommendation.recall_at": case(
        lambda **rows: recommendation.recall_at(**rows, k=2),
        rows={"target": PAIRS, "score": SAID},
        by_row=True,
    ),
    "recommendation.log_losses": case(
        recommendation.log_losses, rows={"target": PAIRS, "probability": SAID}, by_row=True
    ),
    "recommendation.interest_scores": case(
        lambda target, probability, weight: recommendation.interest_scores(
            target, probability, k=2, weight=weight.T
        ),
        rows={"target": PAIRS, "probability": SAID, "weight": WEIGHT},
    ),
    "recommendation.resampled_auc": case(
        lambda target, score, weight: recommendation.resampled_auc(target, score, weight.T),
        rows={"target": PAIRS, "score": SAID, "weight": WEIGHT},
    ),
    "recommendation.resampled_scores": case(
        lambda target, p, weight: recommendation.resampled_scores(
            target, {"net": p}, k=2, weight=weight.T
        ),
        rows={"target": PAIRS, "p": SAID, "weight": WEIGHT},
    ),
    "recommendation.auc_by_part": case(
        lambda target, p, mask: recommendation.auc_by_part(target, {"net": p}, {"some": mask}),
        rows={"target": PAIRS, "p": SAID, "mask": KEEP},
    ),
    "bootstrap.paired_interval": case(
        lambda first, second, weight: bootstrap.paired_interval(first, second, weight.T),
        rows={"first": P, "second": Q, "weight": WEIGHT},
        ends=True,
    ),
    "bootstrap.percentile_interval": case(
        bootstrap.percentile_interval,
        rows={"values": P},
        gaps=frozenset({"values"}),  # resamples without a score are left out, with a warning
        ends=True,
    ),
    "bootstrap.weighted_means": case(
        lambda values, weight: bootstrap.weighted_means(values, weight.T),
        rows={"values": P, "weight": WEIGHT},
    ),
    "bootstrap.resample_weights": case(
        lambda weight: bootstrap.resample_weights(weight.T, N).T,
        rows={"weight": WEIGHT},
        by_row=True,
    ),
    "probabilities.household_weights": case(
        lambda customers: probabilities.household_weights(customers, 20, seed=0).T,
        rows={"customers": SEGMENT},
        names=frozenset({"customers"}),
        by_row=True,
    ),
    "recommendation.points_and_ends": case(
        lambda drawn: recommendation.points_and_ends(
            {"net": pd.DataFrame({"AUC": np.append(0.6, drawn)})}
        ),
        rows={"drawn": P},
        gaps=frozenset({"drawn"}),  # as percentile_interval
    ),
    "replications.mean_and_margin": case(replications.mean_and_margin, rows={"values": P}),
    "frechet.frechet_distance": case(
        lambda first: frechet.frechet_distance(first, SAID), rows={"first": PAIRS + 1.0}
    ),
    "frechet.frechet_floor": case(
        lambda real: frechet.frechet_floor(real, 20, repeats=2, seed=0),
        rows={"real": SAID},
        drawn=True,
    ),
    "frechet.frechet_gaps": case(
        lambda real, first: frechet.frechet_gaps(real, first, SAID, repeats=2, seed=0),
        rows={"real": SAID + 1, "first": SAID},
        apart=frozenset({"real", "first"}),
        drawn=True,
    ),
    "importance.permutation_importance": case(
        lambda features, target: importance.permutation_importance(
            lambda table: np.asarray(table)[:, 0],
            _frame(features),
            target,
            {"first": ["a"]},
            repeats=2,
            seed=0,
        ),
        rows={"features": SAID, "target": Y},
        drawn=True,
    ),
}
BESIDES = {
    "bootstrap.bootstrap_weights": "takes no rows",
    "calibrators.fit_calibrators": (
        "tests/evaluation/test_calibrators.py::test_wrong_rows_are_refused"
    ),
}


def _frame(values):
    return pd.DataFrame(values).set_axis(list("abcde"), axis=1)


@pytest.mark.parametrize(("check", "name"), properties(CASES))
def test_a_metric_has_each_property(check, name):
    check(CASES[name])


def test_candidates_of_one_score_share_the_places_that_are_left():
    target, score = PAIRS[:20], SAID[:20]
    order = np.random.default_rng(5).permutation(5)
    one, two = (
        recommendation.recall_at(target[:, columns], score[:, columns], 2)
        for columns in (np.arange(5), order)
    )
    np.testing.assert_allclose(one, two)


def test_no_label_is_guessed_where_some_are_unknown():
    """Twenty answers that are not known yet are no purchases."""
    target, score = np.repeat([1.0, 0.0], 50), RNG.normal(size=100)
    target[60:80] = np.nan
    with pytest.raises(ValueError, match="target is missing in 20 of 100 rows, first row 60"):
        ranking.roc_auc(target, score)
