"""Baselines are tuned on later rows than they learn from."""

import numpy as np
import pandas as pd
import pytest
from sklearn import metrics as reference
from sklearn.ensemble import RandomForestClassifier

from pm_utils.chapters.conversion import information_ladder
from pm_utils.evaluation.probabilities import score_table
from pm_utils.formulas import sigmoid
from pm_utils.targeting.redemption.baselines import (
    baselines,
    fitted_logit,
    gradient_boosting,
    logistic_regression,
    rate_by_cell,
    tune_baselines,
)
from tests.support.calibration_world import world


def test_tuning_puts_the_least_log_loss_on_later_rows_first():
    learn, choose = world(300), world(2_000, seed=1)
    strengths = (1e-5, 0.1, 1e4)
    models = {str(c): lambda c=c: logistic_regression(c) for c in strengths}
    table = tune_baselines(models, learn, choose)
    assert table["log loss"].is_monotonic_increasing
    assert table.index[-1] == "1e-05"
    by_hand = models["0.1"]().fit(learn[0].to_numpy(), learn[1]).predict_proba(choose[0].to_numpy())
    assert table.loc["0.1", "log loss"] == pytest.approx(
        reference.log_loss(choose[1], by_hand[:, 1])
    )


def test_logits_of_a_classifier_are_those_of_its_chances():
    rows, target = world(400)
    later, _ = world(50, seed=1)
    model = gradient_boosting(20, 4)
    first, again = fitted_logit(model, rows, target, [later, rows])
    assert sigmoid(first).to_numpy() == pytest.approx(model.predict_proba(later.to_numpy())[:, 1])
    assert len(again) == 400


def test_rates_of_cells_by_hand():
    train = pd.DataFrame({"kind": list("aaab"), "n": [0, 0, 1, 0], "redeemed": [1, 0, 1, 0]})
    rows = pd.DataFrame({"kind": list("aabb"), "n": [0, 1, 0, 1]})
    assert rate_by_cell(train, rows, ["kind", "n"]).tolist() == [0.5, 0.99, 0.01, 0.5]


def test_each_rung_of_the_ladder_knows_more():
    learn, choose = world(), world(2_000, seed=1)
    groups = {"first": ["price"], "second": ["habit"], "third": ["match"]}
    table = information_ladder(logistic_regression(1.0), groups, learn, choose)
    assert table.index.tolist() == ["+ first", "+ second", "+ third"]
    assert table["AUC"].diff()[1:].min() > 0.03
    last = logistic_regression(1.0).fit(learn[0][["price", "habit", "match"]].to_numpy(), learn[1])
    probability = last.predict_proba(choose[0][["price", "habit", "match"]].to_numpy())[:, 1]
    assert table["AUC"].iloc[-1] == pytest.approx(reference.roc_auc_score(choose[1], probability))


def test_baselines_differ_by_their_settings():
    ridge, trees = baselines(seed=7)
    assert [model().C for model in ridge.values()] == [0.001, 0.003, 0.01, 0.03, 0.1]
    sizes = [(model().max_iter, model().max_leaf_nodes) for model in trees.values()]
    assert sizes == [(100, 4), (200, 4), (300, 4), (300, 3), (200, 6)]
    assert {model().random_state for model in trees.values()} == {7}
    for name, model in trees.items():
        assert name == f"boosting, {model().max_iter} trees of {model().max_leaf_nodes} leaves"


def test_boosting_sees_a_product_that_logistic_regression_does_not():
    rows, target = world(3_000)
    later, outcome = world(2_000, seed=1)
    pair = ["rhythm", "price"]
    predicted = {
        name: sigmoid(fitted_logit(model, rows[pair], target, [later[pair]])[0])
        for name, model in {
            "trees": gradient_boosting(60, 4),
            "line": logistic_regression(1.0),
        }.items()
    }
    table = score_table(outcome, predicted)
    assert table.loc["trees", "AUC"] > table.loc["line", "AUC"] + 0.05
    assert table.loc["line", "AUC"] == pytest.approx(0.5, abs=0.06)


# --- Inputs ---------------------------------------------------------------------------------------


def labelled(n: int = 80) -> tuple[pd.DataFrame, pd.Series]:
    rng = np.random.default_rng(0)
    rows = [f"c{i}" for i in range(n)]
    table = pd.DataFrame(rng.normal(size=(n, 3)), rows, list("abc"))
    return table, pd.Series(rng.integers(2, size=n), rows)


def test_logits_match_columns_by_name_and_rows_by_index():
    table, target = labelled()
    order = np.random.default_rng(1).permutation(len(table))
    (expected,) = fitted_logit(logistic_regression(1.0), table, target.to_numpy(), [table])
    (found,) = fitted_logit(
        logistic_regression(1.0), table, target.iloc[order], [table[["c", "a", "b"]]]
    )
    assert found.to_numpy() == pytest.approx(expected)
    with pytest.raises(KeyError, match="others has no column 'b'"):
        fitted_logit(logistic_regression(1.0), table, target, [table[["c", "a"]]])


def test_answers_that_are_none_and_features_that_are_unknown_are_refused():
    table, target = labelled()
    for wrong, told in (
        (2 * target - 1, "target holds -1, 1"),
        (target.map({0: "no", 1: "yes"}), "target holds 'no', 'yes'"),
        (target.where(target > 0), "target is missing"),
        (0 * target, "target is 0 in all 80 rows"),
        (target[:-1], "target 79"),
    ):
        with pytest.raises(ValueError, match=told):
            fitted_logit(logistic_regression(1.0), table, wrong, [table])
    with pytest.raises(ValueError, match=r"rows is not finite in .* first row 'c0', column 'a'"):
        fitted_logit(
            gradient_boosting(5, 3), table.drop("c0").reindex(table.index), target, [table]
        )
    train = pd.DataFrame({"type": ["A", "B"], "redeemed": [1, 2]})
    with pytest.raises(ValueError, match="redeemed holds 1, 2"):
        rate_by_cell(train, train, ["type"])
    with pytest.raises(KeyError, match="rows has no column 'days'"):
        rate_by_cell(train.assign(days=1, redeemed=0), train, ["days"])


def test_logits_and_rates_keep_the_labels_of_their_rows():
    rows = pd.DataFrame({"kind": [0, 0, 1, 1]}, index=[3, 2, 1, 0])
    (logit,) = fitted_logit(logistic_regression(1.0), rows, [0, 1, 1, 1], [rows[::-1]])
    assert logit.index.tolist() == [0, 1, 2, 3] and logit[0] > logit[3]
    rate = rate_by_cell(rows.assign(redeemed=[0, 0, 1, 0]), rows, ["kind"])
    assert rate.loc[[3, 0]].tolist() == [0.01, 0.5]


def test_a_forest_that_is_sure_has_a_finite_logit():
    rows = pd.DataFrame({"kind": [0.0, 0.0, 1.0, 1.0] * 10})
    forest = RandomForestClassifier(5, random_state=0)
    (logit,) = fitted_logit(forest, rows, rows["kind"], [rows])
    assert np.isfinite(logit).all() and (logit > 30).tolist() == (rows["kind"] > 0).tolist()
