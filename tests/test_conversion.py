"""Steps of chapter 08: scores against scikit-learn, resampled households, ensembles, nulls."""

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn import metrics as reference

from pm_utils.conversion import (
    FARTHEST,
    METRICS,
    Ensemble,
    Scaling,
    fitted_logit,
    gradient_boosting,
    household_weights,
    logistic_regression,
    new_net,
    paired_gain,
    penalty,
    score_table,
    train_net,
    tune,
)
from pm_utils.formulas import sigmoid


def world(n: int = 1_500, seed: int = 0) -> tuple[pd.DataFrame, np.ndarray]:
    """Redemption depends on one profile column, one content column and on one of each together."""
    rng = np.random.default_rng(seed)
    names = ["habit", "rhythm", "match", "price"]
    features = pd.DataFrame(rng.normal(size=(n, 4)), columns=names)
    x = features["habit"] + 0.7 * features["match"] + features["rhythm"] * features["price"]
    return features, (rng.random(n) < sigmoid(1.5 * x - 1)).astype(float)


PROFILE = ["habit", "rhythm"]


def test_scaling_learns_on_its_rows_and_bounds_others():
    rows = pd.DataFrame({"a": [1.0, 3.0], "b": [5.0, 5.0]})
    scaling = Scaling.learn(rows)
    assert scaling.apply(rows).to_numpy().tolist() == [[-1, 0], [1, 0]]
    far = scaling.apply(pd.DataFrame({"a": [1e6, -1e6], "b": [5.5, 5.0]}))
    assert far["a"].tolist() == [FARTHEST, -FARTHEST]
    assert far["b"].tolist() == [0.5, 0]


def test_scores_are_those_of_scikit_learn():
    features, target = world()
    chance = sigmoid(features["habit"].to_numpy())
    row = score_table(target, {"model": chance}).loc["model"]
    assert row["AUC"] == pytest.approx(reference.roc_auc_score(target, chance))
    assert row["average precision"] == pytest.approx(
        reference.average_precision_score(target, chance)
    )
    assert row["log loss"] == pytest.approx(reference.log_loss(target, chance))


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


def test_tuning_puts_the_least_log_loss_on_later_rows_first():
    learn, choose = world(300), world(2_000, seed=1)
    strengths = (1e-5, 0.1, 1e4)
    models = {str(c): lambda c=c: logistic_regression(c) for c in strengths}
    table = tune(models, learn, choose)
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
    assert sigmoid(first) == pytest.approx(model.predict_proba(later.to_numpy())[:, 1])
    assert len(again) == 400


def test_the_penalty_by_hand():
    net = new_net("ConversionPredictNet", 2, 1)
    for weight in net.parameters():
        torch.nn.init.ones_(weight)
    squares = 0.06 * (64 * 3 + 64) + 0.03 * 3
    assert penalty(net).item() == pytest.approx(squares, rel=1e-5)
    crossing = new_net("DeepCrossing", 2, 1)
    for weight in crossing.parameters():
        torch.nn.init.ones_(weight)
    assert penalty(crossing).item() == pytest.approx(0.01 * (3 + 2 * 2 * 3 * 32), rel=1e-5)
    with pytest.raises(ValueError, match="Perceptron"):
        new_net("Perceptron", 2, 1)


@pytest.mark.parametrize("name", ["ConversionPredictNet", "DeepCrossing"])
def test_an_ensemble_beats_its_null_on_later_rows(name):
    rows, target = world()
    later, outcome = world(1_000, seed=1)
    settings = {"members": 2, "epochs": 8, "seed": 0}
    real = Ensemble.train(name, rows, target, PROFILE, **settings)
    null = Ensemble.train(name, rows, target, PROFILE, shuffle_labels=True, **settings)
    chances = {"real": sigmoid(real.logit(later)), "null": sigmoid(null.logit(later))}
    table = score_table(outcome, chances)
    assert table.loc["real", "AUC"] > 0.75
    assert table.loc["real", "log loss"] < table.loc["null", "log loss"] - 0.05
    assert sigmoid(null.logit(later)).std() < 0.5 * sigmoid(real.logit(later)).std()


def test_an_ensemble_averages_logits_of_members_that_differ():
    rows, target = world(400)
    whole = Ensemble.train("DeepCrossing", rows, target, PROFILE, members=3, epochs=2, seed=4)
    again = Ensemble.train("DeepCrossing", rows, target, PROFILE, members=3, epochs=2, seed=4)
    single = [Ensemble([net], whole.scaling, PROFILE).logit(rows) for net in whole.nets]
    assert np.allclose(whole.logit(rows), np.mean(single, 0), atol=1e-6)
    assert np.array_equal(whole.logit(rows), again.logit(rows))
    assert not np.allclose(single[0], single[1])
    profile, content = whole.inputs(rows)
    assert (profile.shape, content.shape) == ((400, 2), (400, 2))


def test_training_starts_from_given_weights():
    rows, target = world(300)
    inputs = Ensemble([], Scaling.learn(rows), PROFILE).inputs(rows)
    taught = train_net("ConversionPredictNet", inputs, target, epochs=6, seed=0)
    start = {name: value.clone() for name, value in taught.state_dict().items()}
    after = train_net("ConversionPredictNet", inputs, target, epochs=1, seed=1, start=start)
    fresh = train_net("ConversionPredictNet", inputs, target, epochs=1, seed=1)

    def distance(net: torch.nn.Module) -> float:
        return float((net.fc1.weight - start["fc1.weight"]).norm().detach())

    assert distance(after) < 0.7 * distance(fresh)
