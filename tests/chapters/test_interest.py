"""On a log with a truth: networks below the limit, the limit below the oracle; scores by part."""

import numpy as np
import pytest

from pm_utils.chapters import interest
from pm_utils.evaluation.ranking import roc_auc

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def truth():
    return interest.known_truth(20_000, items=40, epochs=2, n_nulls=2, seed=0)


def test_contenders_stand_between_the_click_rate_and_the_attainable_limit(truth):
    auc = truth.auc(truth.test)
    assert max(auc["null 1"], auc["null 2"]) < 0.6
    assert auc["click rate"] + 0.02 < auc["DIN softmax"] < auc["attainable"] < auc["oracle"]
    assert auc["cosine"] + 0.02 < auc["topics found"] < auc["topics told"] + 0.01
    assert auc["topics told"] < auc["attainable"] + 0.01
    low, high = truth.interval("oracle", "click rate", n_resamples=50, seed=0)
    assert 0 < low < auc["oracle"] - auc["click rate"] < high


def test_users_are_in_one_part_and_networks_read_the_rest(truth):
    choosing, test = truth.choosing["user"], truth.test["user"]
    assert not set(choosing) & set(test)
    assert len(choosing) == pytest.approx(2000, abs=200)
    read = {course.rows for course in truth.courses.values()}
    assert read == {2 * (20_000 - len(choosing) - len(test))}


def test_scores_have_the_auc_of_pairs_never_bought():
    rng = np.random.default_rng(0)
    target = (rng.random((30, 8)) < 0.4).astype(float)
    said = {"some": rng.random(240)}
    never = rng.random((30, 8)) < 0.5
    weight = np.ones((1, 30), int)
    weight[0, 3] = 2
    table = interest.scores_with_never(target, said, never, weight=weight)["some"]
    folded = said["some"].reshape(30, 8)
    assert table[interest.NEVER].iloc[0] == pytest.approx(roc_auc(target[never], folded[never]))
    counted = np.repeat(weight[0], 8).reshape(30, 8).astype(float)
    weighted = roc_auc(target[never], folded[never], counted[never])
    assert table[interest.NEVER].iloc[1] == pytest.approx(weighted)
