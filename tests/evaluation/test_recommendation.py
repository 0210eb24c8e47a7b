"""Scores of ranked candidates by hand and against scikit-learn."""

import numpy as np
import pytest
from sklearn.metrics import log_loss, roc_auc_score

from pm_utils.evaluation import recommendation
from pm_utils.evaluation.bootstrap import bootstrap_weights
from tests.support.interest_world import C

pytestmark = pytest.mark.usefixtures("one_thread")


RNG = np.random.default_rng(0)
TARGET = (RNG.random((30, C)) < 0.4).astype(float)
TARGET[0], TARGET[1] = 0, 1
PROBABILITY = np.round(np.clip(0.3 * TARGET + 0.7 * RNG.random((30, C)), 0.01, 0.99), 1)


def test_group_auc_is_scikit_learns_inside_each_row():
    got = recommendation.group_auc(TARGET, PROBABILITY)
    assert np.isnan(got[:2]).all()
    for row in range(2, 30):
        if 0 < TARGET[row].sum() < C:
            assert got[row] == pytest.approx(roc_auc_score(TARGET[row], PROBABILITY[row]))


def test_a_resamples_auc_is_scikit_learns_on_the_households_drawn():
    weight = np.random.default_rng(1).multinomial(30, np.full(30, 1 / 30), size=8)
    got = recommendation.resampled_auc(TARGET, PROBABILITY, weight)
    for row, drawn in enumerate(weight):
        part = np.repeat(np.arange(30), drawn)
        assert got[row] == pytest.approx(
            roc_auc_score(TARGET[part].ravel(), PROBABILITY[part].ravel())
        )
    nobody_bought = np.eye(30, dtype=int)[:1]
    assert np.isnan(recommendation.resampled_auc(TARGET, PROBABILITY, nobody_bought)).all()


def test_recall_by_hand():
    target = np.array([[1.0, 0, 1, 1], [0, 0, 0, 0], [0, 1, 0, 0]])
    score = np.array([[0.9, 0.8, 0.7, 0.1], [1, 2, 3, 4], [0.5, 0.1, 0.6, 0.2]])
    got = recommendation.recall_at(target, score, 2)
    assert got[0] == pytest.approx(1 / 3)
    assert np.isnan(got[1])
    assert got[2] == 0
    assert recommendation.recall_at(target, score, 4)[2] == 1


def test_log_loss_is_scikit_learns_and_certain_errors_stay_finite():
    got = recommendation.log_losses(TARGET, PROBABILITY)
    assert got.mean() == pytest.approx(log_loss(TARGET.ravel(), PROBABILITY.ravel()))
    assert recommendation.log_losses(np.array([[1.0]]), np.array([[0.0]]))[0] == pytest.approx(
        13.8, 0.01
    )


def test_resampled_scores_begin_with_the_sample_and_follow_the_weights():
    weight = bootstrap_weights(30, 50, 0)
    weight[0] = np.arange(30) % 2  # every second household
    tables = recommendation.resampled_scores(TARGET, {"m": PROBABILITY.ravel()}, k=3, weight=weight)
    table = tables["m"]
    assert list(table) == ["AUC", "GAUC", "log loss", "recall@3"]
    assert len(table) == 51
    for row, part in ((0, slice(None)), (1, slice(1, None, 2))):
        wanted = {
            "AUC": roc_auc_score(TARGET[part].ravel(), PROBABILITY[part].ravel()),
            "GAUC": np.nanmean(recommendation.group_auc(TARGET[part], PROBABILITY[part])),
            "log loss": recommendation.log_losses(TARGET[part], PROBABILITY[part]).mean(),
            "recall@3": np.nanmean(recommendation.recall_at(TARGET[part], PROBABILITY[part], 3)),
        }
        assert table.iloc[row].to_dict() == pytest.approx(wanted)
    points, low, high = recommendation.points_and_ends(tables)
    assert points.loc["m"].equals(table.iloc[0].rename("m"))
    inside = table.iloc[1:].ge(low.loc["m"]) & table.iloc[1:].le(high.loc["m"])
    assert (inside.mean() >= 0.9).all()


def test_auc_by_part_looks_at_one_part_at_a_time():
    part = np.arange(C) < 3
    parts = {"left": np.tile(part, (30, 1)), "all": np.ones((30, C), bool)}
    got = recommendation.auc_by_part(TARGET, {"m": PROBABILITY.ravel()}, parts)
    assert got.loc["m", "left"] == pytest.approx(
        roc_auc_score(TARGET[:, :3].ravel(), PROBABILITY[:, :3].ravel())
    )
    assert got.loc["m", "all"] == pytest.approx(roc_auc_score(TARGET.ravel(), PROBABILITY.ravel()))
