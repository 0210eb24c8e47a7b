"""Scores of probabilities and paired comparisons, by hand and against scikit-learn."""

import numpy as np
import pandas as pd
import pytest
from sklearn import metrics as reference

from pm_utils.evaluation.probabilities import (
    METRICS,
    calibrated,
    household_weights,
    paired_gain,
    score_intervals,
    score_table,
)
from pm_utils.evaluation.recommendation import log_losses
from pm_utils.formulas import sigmoid
from tests.support.calibration_world import world


def test_scores_are_those_of_scikit_learn():
    features, target = world()
    probability = sigmoid(features["habit"].to_numpy())
    row = score_table(target, {"model": probability}).loc["model"]
    assert row["AUC"] == pytest.approx(reference.roc_auc_score(target, probability))
    assert row["average precision"] == pytest.approx(
        reference.average_precision_score(target, probability)
    )
    assert row["log loss"] == pytest.approx(reference.log_loss(target, probability))


def test_rows_of_one_household_are_drawn_together():
    customers = np.array([5, 2, 5, 9])
    weight = household_weights(customers, 400, 0)
    assert weight.shape == (400, 4)
    assert (weight[:, 0] == weight[:, 2]).all()
    assert (weight[:, [0, 1, 3]].sum(1) == 3).all()  # three households a resample
    assert weight.mean(0) == pytest.approx(np.ones(4), abs=0.15)
    among = household_weights(customers, 400, 0, among=np.array([2, 5, 7, 9]))
    assert among.mean(0) == pytest.approx(np.ones(4), abs=0.15)
    assert (among[:, [0, 1, 3]].sum(1) < 4).any()


@pytest.mark.parametrize("metric", METRICS)
def test_a_paired_interval_holds_the_difference_and_excludes_zero_where_it_is_large(metric):
    features, target = world()
    good = sigmoid((features["habit"] + 0.7 * features["match"]).to_numpy())
    poor = sigmoid(0.5 * features["match"].to_numpy())
    weight = household_weights(np.arange(len(target)) // 2, 200, 0)
    low, high = paired_gain(metric, target, good, poor, weight)
    table = score_table(target, {"good": good, "poor": poor})[metric]
    assert low < table["good"] - table["poor"] < high
    assert (high < 0) if metric == "log loss" else (low > 0)
    assert paired_gain(metric, target, good, good, weight) == (0, 0)


def test_an_unknown_metric_is_refused():
    with pytest.raises(ValueError, match="accuracy"):
        paired_gain("accuracy", *np.ones((3, 2)), np.ones((1, 2)))


def test_intervals_of_scores_hold_the_scores():
    features, target = world()
    probability = sigmoid(features["habit"].to_numpy())
    weight = household_weights(np.arange(len(target)), 200, 0)
    found = score_intervals(target, probability, weight)
    table = score_table(target, {"model": probability}).loc["model"]
    assert tuple(found) == METRICS
    for metric, (low, high) in found.items():
        assert low < table[metric] < high
        assert high - low < 0.12


def test_calibrated_logits_forget_their_scale_and_keep_their_rank():
    features, target = world()
    logit = 0.8 * (features["habit"] + 0.7 * features["match"]).to_numpy() - 0.6
    temperature, table = calibrated(target, {"once": logit, "thrice": 3 * logit})
    assert temperature["thrice"] == pytest.approx(3 * temperature["once"], rel=1e-3)
    assert table.loc["once"].to_numpy() == pytest.approx(table.loc["thrice"].to_numpy(), rel=1e-4)
    raw = score_table(target, {"thrice": sigmoid(3 * logit)}).loc["thrice"]
    assert table.loc["thrice", "AUC"] == raw["AUC"]
    assert table.loc["thrice", "log loss"] < raw["log loss"]


def test_the_paired_interval_of_the_log_loss_by_hand():
    target = np.array([1.0, 0.0])
    first, second = np.array([0.5, 0.5]), np.array([0.25, 0.5])
    weight = np.array([[2, 0], [1, 1], [0, 2]])  # the resamples' means: -log 2, half of it, 0
    low, high = paired_gain("log loss", target, first, second, weight)
    assert low == pytest.approx(-np.log(2), rel=0.06)
    assert high == pytest.approx(0, abs=0.06)


def test_several_networks_are_scored_one_by_one():
    target, rng = np.array([0, 1, 1, 0, 1.0]), np.random.default_rng(0)
    predicted = rng.uniform(0.1, 0.9, (3, 5))
    together = score_table(target, {"null": predicted}).loc["null"]
    single = score_table(target, dict(enumerate(predicted)))
    assert np.allclose(together, single.mean())
    assert not np.allclose(together, score_table(target, {"mean": predicted.mean(0)}).loc["mean"])


def test_a_household_that_is_not_among_those_drawn_is_named():
    with pytest.raises(KeyError, match="customers is not known in 1 of 3 rows, first row 1"):
        household_weights([7, 8, 9], 5, 0, among=[7, 9])


def test_logits_of_a_table_meet_their_targets():
    target = pd.Series([1, 1, 0, 0, 1], index=list("abcde"))
    logit = pd.Series([1.0, -0.5, 0.5, -1.0, 2.0], index=target.index)
    expected = calibrated(target.to_numpy(), {"net": logit.to_numpy()})
    found = calibrated(target, {"net": logit.iloc[::-1]})
    assert found[0] == pytest.approx(expected[0])
    assert found[1].loc["net"].to_list() == pytest.approx(expected[1].loc["net"].to_list())


def test_a_chance_of_0_or_1_is_clipped_in_the_log_loss_alone():
    """Forests say 0 and 1; their ranking is taken as it is."""
    target, sure = np.array([0, 1, 1, 0]), np.array([0.0, 1.0, 0.0, 0.5])
    row = score_table(target, {"forest": sure}).loc["forest"]
    assert row["log loss"] == pytest.approx(log_losses(target[None], sure[None])[0])
    assert row["AUC"] == 0.625
    weight = np.ones((2, 4), int)
    assert score_intervals(target, sure, weight)["log loss"][0] == pytest.approx(row["log loss"])
    assert paired_gain("log loss", target, sure, sure, weight) == (0, 0)
    with pytest.raises(ValueError, match="probability of net is out of range in 1 of 2 rows"):
        score_table([0, 1], {"net": [-0.1, 0.5]})


def test_networks_of_a_table_meet_the_rows_by_its_columns():
    target = pd.Series([1, 1, 0, 0], index=list("abcd"))
    many = pd.DataFrame([[0.9, 0.7, 0.2, 0.1], [0.6, 0.8, 0.3, 0.7]], columns=list("abcd"))
    expected = score_table(target.to_numpy(), {"null": many.to_numpy()})
    pd.testing.assert_frame_equal(score_table(target, {"null": many[list("dbca")]}), expected)


def test_a_household_that_is_not_known_is_no_household():
    with pytest.raises(ValueError, match="customers is missing in 2 of 4 rows, first row 2"):
        household_weights([1, 1, np.nan, np.nan], 5, 0)
    with pytest.raises(ValueError, match="customers holds 1, 'a', of several types"):
        household_weights([1, "a"], 5, 0)
