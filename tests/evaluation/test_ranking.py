"""Ranking metrics against scikit-learn, with ties, weights and resamples."""

import warnings

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from sklearn.metrics import average_precision_score, roc_auc_score

from pm_utils.evaluation import ranking as metrics
from pm_utils.evaluation.bootstrap import bootstrap_weights
from pm_utils.evaluation.ranking import (
    RANKING_NAMES,
    average_precision,
    ranking_scores,
    ranking_table,
    roc_auc,
)

FEW = settings(max_examples=40, deadline=None)


@st.composite
def rankings(draw):
    """Targets of both classes, scores with many ties, and weights that leave neither class out."""
    n = draw(st.integers(2, 30))
    target = draw(arrays(np.int64, n, elements=st.integers(0, 1)))
    target[:2] = 0, 1
    score = draw(arrays(np.float64, n, elements=st.sampled_from([-1.5, 0.0, 0.1, 0.3, 2.0])))
    weight = draw(arrays(np.float64, n, elements=st.sampled_from([0.0, 0.5, 1.0, 3.0])))
    weight[:2] = np.maximum(weight[:2], 0.5)
    shuffle = np.random.default_rng(draw(st.integers(0, 99))).permutation(n)
    return target[shuffle], score[shuffle], weight[shuffle]


def random_tags(seed: int = 0, n: int = 40, k: int = 3) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    return (rng.random((n, k)) < 0.4).astype(float), rng.integers(0, 6, (n, k)) / 5


@FEW
@given(rankings())
def test_both_metrics_equal_scikit_learn(ranking):
    target, score, weight = ranking
    assert average_precision(target, score) == pytest.approx(average_precision_score(target, score))
    assert roc_auc(target, score) == pytest.approx(roc_auc_score(target, score))
    weighed = {"sample_weight": weight}
    expected = average_precision_score(target, score, **weighed)
    assert average_precision(target, score, weight) == pytest.approx(expected)
    expected = roc_auc_score(target, score, **weighed)
    assert roc_auc(target, score, weight) == pytest.approx(expected)


@FEW
@given(rankings())
def test_a_count_as_weight_equals_the_row_repeated(ranking):
    target, score, weight = ranking
    counts = (2 * weight).astype(int)
    again = np.repeat(np.arange(len(target)), counts)
    for metric in (average_precision, roc_auc):
        assert metric(target, score, counts) == pytest.approx(metric(target[again], score[again]))


@FEW
@given(rankings(), st.floats(0.1, 10), st.floats(-5, 5))
def test_only_the_order_of_the_scores_matters(ranking, slope, shift):
    target, score, weight = ranking
    moved = slope * score + shift
    for metric in (average_precision, roc_auc):
        assert metric(target, moved, weight) == pytest.approx(metric(target, score, weight))
    assert roc_auc(target, -score, weight) == pytest.approx(1 - roc_auc(target, score, weight))


def test_values_worked_by_hand():
    target, score = [1, 0, 1, 0], [0.9, 0.8, 0.7, 0.1]
    assert average_precision(target, score) == pytest.approx((1 + 2 / 3) / 2)
    assert roc_auc(target, score) == pytest.approx(3 / 4)
    assert average_precision(target, [0.5] * 4) == pytest.approx(0.5)  # one step: the base rate
    assert roc_auc(target, [0.5] * 4) == pytest.approx(0.5)
    # the first negative counts three times: precision at the second positive is 2 of 5
    assert average_precision(target, score, [1, 3, 1, 1]) == pytest.approx((1 + 2 / 5) / 2)
    assert roc_auc(target, score, [1, 3, 1, 1]) == pytest.approx((4 + 1) / 8)


def test_a_class_without_weight_gives_not_a_number():
    target, score = np.array([1, 0, 1, 0]), np.array([0.9, 0.8, 0.7, 0.1])
    without_positives, without_negatives = np.array([[0, 1, 0, 1], [1, 0, 0.1, 0]])
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # a resample without a class is no reason to warn
        assert np.isnan(average_precision(target, score, without_positives))
        assert np.isnan(roc_auc(target, score, without_positives))
        assert average_precision(target, score, without_negatives) == 1
        assert np.isnan(roc_auc(target, score, without_negatives))
    assert np.isnan(roc_auc([1, 1, 1], [0.3, 0.2, 0.1], [0.1, 0.2, 0.3]))  # no crumb of rounding


@pytest.mark.parametrize("metric", [average_precision, roc_auc])
@pytest.mark.parametrize("chunk", [1, 90, 2_000_000])
def test_many_rows_of_weights_equal_one_at_a_time(metric, chunk, monkeypatch):
    monkeypatch.setattr(metrics, "_CHUNK", chunk)
    (target,), (score,) = (part.T for part in random_tags(k=1))
    weight = bootstrap_weights(len(target), 7, seed=3)
    together = metric(target, score, weight)
    assert together.shape == (7,)
    np.testing.assert_allclose(together, [metric(target, score, row) for row in weight])


@pytest.mark.parametrize("metric", [average_precision, roc_auc])
def test_mismatched_shapes_are_refused(metric):
    with pytest.raises(ValueError, match=r"target is \(3,\) and score \(2,\)"):
        metric([1, 0, 1], [0.1, 0.2])
    with pytest.raises(ValueError, match="two lists of one length"):
        metric(np.eye(2), np.eye(2))
    with pytest.raises(ValueError, match=r"weight is \(2,\): give one column per row, 3"):
        metric([1, 0, 1], [0.1, 0.2, 0.3], [1, 1])
    with pytest.raises(ValueError, match=r"weight is \(3, 2\)"):
        metric([1, 0, 1], [0.1, 0.2, 0.3], np.ones((3, 2)))


def test_macro_and_micro_equal_scikit_learn():
    target, score = random_tags()
    found = ranking_scores(target, score)
    for kind in ("macro", "micro"):
        expected = average_precision_score(target, score, average=kind)
        assert found[f"{kind}_ap"] == pytest.approx(expected)
        assert found[f"{kind}_auc"] == pytest.approx(roc_auc_score(target, score, average=kind))


def test_macro_is_the_mean_over_tags_that_occur():
    target, score = random_tags()
    silent = np.c_[target, np.zeros(len(target))]  # a tag that nobody buys
    ranked = np.c_[score, score[:, 0]]
    assert ranking_scores(silent, ranked)["macro_ap"] == ranking_scores(target, score)["macro_ap"]
    assert ranking_scores(silent, ranked)["micro_ap"] < ranking_scores(target, score)["micro_ap"]


def test_a_mask_leaves_pairs_out():
    target, score = random_tags(seed=1)
    mask = np.random.default_rng(2).random(target.shape) < 0.7
    found = ranking_scores(target, score, mask=mask)
    kept = [(target[mask[:, k], k], score[mask[:, k], k]) for k in range(target.shape[1])]
    each = [average_precision_score(*pair) for pair in kept]
    assert found["macro_ap"] == pytest.approx(np.mean(each))
    assert found["micro_auc"] == pytest.approx(roc_auc_score(target[mask], score[mask]))
    changed = np.where(mask, score, 9.0)  # what is masked out may be anything
    assert ranking_scores(target, changed, mask=mask) == found
    assert ranking_scores(np.where(mask, target, 1), score, mask=mask) == found


@pytest.mark.parametrize("masked", [False, True])
def test_a_resample_of_customers_equals_their_rows_repeated(masked):
    target, score = random_tags(seed=4)
    mask = np.random.default_rng(5).random(target.shape) < 0.8 if masked else None
    weight = bootstrap_weights(len(target), 5, seed=6)
    found = ranking_scores(target, score, weight=weight, mask=mask)
    for at, counts in enumerate(weight):
        rows = np.repeat(np.arange(len(target)), counts)
        again = None if mask is None else mask[rows]
        expected = ranking_scores(target[rows], score[rows], mask=again)
        assert {name: values[at] for name, values in found.items()} == pytest.approx(expected)


def test_scores_of_another_shape_are_refused():
    with pytest.raises(ValueError, match=r"target \(2, 2\) and score \(2, 3\)"):
        ranking_scores(np.eye(2), np.ones((2, 3)))


def test_a_table_names_each_models_scores_in_full():
    target = np.array([[1, 0], [0, 1], [0, 0]])
    good, bad = target + 0.0, 1.0 - target
    table = ranking_table(target, {"good": good, "bad": bad})
    assert list(table.columns) == list(RANKING_NAMES.values())
    assert table.loc["good"].tolist() == [1.0] * 4
    assert table.loc["bad", "macro AUC"] == 0.0
    mask = np.array([[True, False], [True, False], [True, False]])
    masked = ranking_table(target, {"good": good}, mask=mask)
    assert masked.loc["good", "micro AUC"] == 1.0


def test_micro_scores_can_be_left_out():
    target = np.array([[1, 0], [0, 1]])
    assert set(ranking_scores(target, target + 0.0, micro=False)) == {"macro_ap", "macro_auc"}


@pytest.mark.parametrize("columns", [4, 6])
def test_ranking_scores_need_a_weight_per_customer(columns):
    target = np.eye(5, 3, dtype=bool)
    with pytest.raises(
        ValueError, match=rf"weight is \(2, {columns}\): give one column per row, 5"
    ):
        metrics.ranking_scores(target, np.ones((5, 3)), weight=np.ones((2, columns)))


@pytest.mark.parametrize("each", [1, 50_000_000, 100_000_000, 3_000_000_000, 10**16])
@pytest.mark.parametrize("kind", [np.int64, np.uint64, float])
def test_weights_of_billions_of_impressions_are_summed_right(each, kind):
    rng = np.random.default_rng(0)
    target = np.repeat([1, 0], 50)
    score = rng.normal(size=100) + target
    expected = average_precision_score(target, score), roc_auc_score(target, score)
    for weight in (np.full(100, each, kind), np.full((2, 100), each, kind)):
        assert np.ravel(average_precision(target, score, weight)) == pytest.approx(expected[0])
        assert np.ravel(roc_auc(target, score, weight)) == pytest.approx(expected[1])


def test_weights_that_cannot_be_are_refused():
    for wrong in ([1, -1, 1], [1, np.nan, 1], [1, np.inf, 1]):
        with pytest.raises(ValueError, match="weight is"):
            roc_auc([1, 0, 1], [0.1, 0.2, 0.3], wrong)


def test_tags_meet_by_the_rows_and_columns_of_their_tables():
    target, score = random_tags()
    target, score = (
        pd.DataFrame(target, columns=list("abc")),
        pd.DataFrame(score, columns=list("abc")),
    )
    found = ranking_scores(target, score)
    turned = score[["c", "a", "b"]].sample(frac=1, random_state=0)
    assert ranking_scores(target, turned) == found
    with pytest.raises(KeyError, match="score has no column 'b'"):
        ranking_scores(target, score.drop(columns="b"))
