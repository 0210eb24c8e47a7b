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
    baselines,
    calibrated,
    feature_groups,
    fitted_logit,
    gradient_boosting,
    household_weights,
    information_ladder,
    logistic_regression,
    new_net,
    paired_gain,
    penalty,
    pretraining_claim,
    rate_by_cell,
    score_intervals,
    score_table,
    train_net,
    train_trials,
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


def test_intervals_of_scores_hold_the_scores():
    features, target = world()
    chance = sigmoid(features["habit"].to_numpy())
    weight = household_weights(np.arange(len(target)), 200, 0)
    found = score_intervals(target, chance, weight)
    table = score_table(target, {"model": chance}).loc["model"]
    assert tuple(found) == METRICS
    for metric, (low, high) in found.items():
        assert low < table[metric] < high
        assert high - low < 0.12


def test_features_are_sorted_by_subject_each_once():
    columns = [
        *("redemptions_faded", "answer_rate_a", "coupon_lines_28d", "coupons", "coupons_8w"),
        *("coupon_order_share", "told", "taste_00", "taste_match", "profile_07", "orders"),
        *("products", "offered_products", "type_a", "income", "homeowner", "orders_expected"),
    ]
    groups = feature_groups(columns)
    assert sorted(sum(groups.values(), [])) == sorted(columns)
    assert groups["earlier answers"] == ["redemptions_faded", "answer_rate_a"]
    assert groups["coupons at the till"] == ["coupon_lines_28d", "coupon_order_share"]
    assert groups["campaign"] == ["coupons", "products", "type_a"]
    fits = ["coupons_8w", "taste_match", "offered_products", "orders_expected"]
    assert groups["offers that fit"] == fits
    assert groups["taste and profile"] == ["taste_00", "profile_07"]
    assert groups["activity"] == ["orders"]
    assert list(feature_groups(["orders"])) == ["activity"]


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
    chance = last.predict_proba(choose[0][["price", "habit", "match"]].to_numpy())[:, 1]
    assert table["AUC"].iloc[-1] == pytest.approx(reference.roc_auc_score(choose[1], chance))


def test_calibrated_logits_forget_their_scale_and_keep_their_rank():
    features, target = world()
    logit = 0.8 * (features["habit"] + 0.7 * features["match"]).to_numpy() - 0.6
    temperature, table = calibrated(target, {"once": logit, "thrice": 3 * logit})
    assert temperature["thrice"] == pytest.approx(3 * temperature["once"], rel=1e-3)
    assert table.loc["once"].to_numpy() == pytest.approx(table.loc["thrice"].to_numpy(), rel=1e-4)
    raw = score_table(target, {"thrice": sigmoid(3 * logit)}).loc["thrice"]
    assert table.loc["thrice", "AUC"] == raw["AUC"]
    assert table.loc["thrice", "log loss"] < raw["log loss"]


def test_the_claim_on_pretraining_follows_the_result():
    def say(loss: float) -> str:
        return pretraining_claim(pd.Series({"ConversionPredictNet": 0.3, "pre-trained": loss}))

    assert "lowers the loss by 0.0100" in say(0.29)
    assert "raises the loss by 0.0100" in say(0.31)
    assert "less than 0.001" in say(0.3005)


def test_baselines_differ_by_their_settings():
    ridge, trees = baselines(seed=7)
    assert [model().C for model in ridge.values()] == [0.001, 0.003, 0.01, 0.1]
    assert [model().max_iter for model in trees.values()] == [60, 100, 200, 200]
    assert {model().random_state for model in trees.values()} == {7}
    for name, model in trees.items():
        assert name == f"boosting, {model().max_iter} trees of {model().max_leaf_nodes} leaves"


def test_trials_hold_both_networks_and_one_that_starts_from_given_weights():
    rows, target = world(300)
    inputs = Ensemble([], Scaling.learn(rows), PROFILE).inputs(rows)
    start = train_net("ConversionPredictNet", inputs, target, epochs=4, seed=0).state_dict()
    settings = {"members": 2, "epochs": 1, "seed": 0}
    trials = train_trials(rows, target, PROFILE, start=start, **settings)
    names = ["one member", "ConversionPredictNet", "DeepCrossing", "pre-trained"]
    assert list(trials) == names
    assert [len(trial.nets) for trial in trials.values()] == [1, 2, 2, 2]
    assert trials["one member"].nets[0] is trials["ConversionPredictNet"].nets[0]
    later, outcome = world(1_000, seed=1)
    losses = score_table(
        outcome, {name: sigmoid(trial.logit(later)) for name, trial in trials.items()}
    )["log loss"]
    assert losses["pre-trained"] < losses["ConversionPredictNet"]
