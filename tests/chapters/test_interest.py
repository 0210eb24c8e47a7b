"""On a log with a truth: networks below the limit, the limit below the oracle; scores by part."""

import numpy as np
import pandas as pd
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


def test_nulls_are_made_as_the_best_network_is_but_for_the_clicks(monkeypatch):
    train, made = interest._trained, []

    def spied(*given):
        made.append(given)
        return train(*given)

    monkeypatch.setattr(interest, "_trained", spied)
    found = interest.known_truth(6000, items=40, epochs=1, n_nulls=2, seed=0)
    auc = found.auc(found.choosing)
    best = made[list(found.courses).index(auc[list(found.courses)].idxmax())]
    nulls = made[len(found.courses) :]
    assert len(nulls) == 2
    for null in nulls:
        kind, log, rows, click, epochs, _, options = null
        assert (kind, epochs, options) == (best[0], best[4], best[6])
        assert log is best[1] and np.array_equal(rows, best[2])
        assert click.sum() == best[3].sum()
        agreeing = (click == best[3]).mean()
        by_chance = best[3].mean() ** 2 + (1 - best[3].mean()) ** 2
        assert agreeing == pytest.approx(by_chance, abs=0.03)
    assert (nulls[0][3] != nulls[1][3]).any() and nulls[0][5] != nulls[1][5]


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


def test_mean_losses_are_those_of_all_pairs():
    rng = np.random.default_rng(0)
    target, said = rng.random((5, 4)) < 0.5, rng.random(20)
    found = interest.mean_losses(target.astype(float), {"some": said})
    by_hand = -np.log(np.where(target.ravel(), said, 1 - said)).mean()
    assert found.to_dict() == pytest.approx({"some": by_hand})
    with pytest.raises(ValueError, match="probability"):
        interest.mean_losses(target.astype(float), {"some": said + 1})


def test_an_interval_lies_on_a_side_of_zero_or_holds_it():
    draws = np.linspace(0.01, 0.2, 100)
    for shift, wanted in ((0.0, 1), (-0.1, 0), (-0.3, -1)):
        table = pd.DataFrame({"AUC": [99.0, *(draws + shift)]})  # the sample itself does not count
        assert interest.side_of_zero(table, "AUC") == wanted
