"""Steps of chapter 08: scores against scikit-learn, resampled households, tuned baselines."""

import numpy as np
import pandas as pd
import pytest
from sklearn import metrics as reference

from pm_utils.evaluation.probabilities import (
    FARTHEST,
    METRICS,
    Scaling,
    baselines,
    calibrated,
    feature_groups,
    fitted_logit,
    gradient_boosting,
    household_weights,
    information_ladder,
    logistic_regression,
    naive_chance,
    paired_gain,
    rate_by_cell,
    score_intervals,
    score_table,
    scoreboard_row,
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


def test_baselines_differ_by_their_settings():
    ridge, trees = baselines(seed=7)
    assert [model().C for model in ridge.values()] == [0.001, 0.003, 0.01, 0.1]
    sizes = [(model().max_iter, model().max_leaf_nodes) for model in trees.values()]
    assert sizes == [(100, 4), (200, 4), (300, 4), (300, 3), (200, 6)]
    assert {model().random_state for model in trees.values()} == {7}
    for name, model in trees.items():
        assert name == f"boosting, {model().max_iter} trees of {model().max_leaf_nodes} leaves"


def test_the_naive_rule_knows_type_and_none_one_or_more_redemptions():
    contacts = pd.DataFrame(
        {
            "campaign_type": ["A"] * 6 + ["B"] * 2,
            "redeemed": [False, True, True, True, False, False, False, True],
        }
    )
    redemptions = np.log1p(pd.Series([0, 0, 2, 7, 1, 1, 0, 0]))
    train = np.array([1, 1, 1, 0, 1, 0, 1, 0], bool)
    chance = naive_chance(contacts, redemptions, train)
    # A: none earlier one of two, two or more always, one never; B: none earlier never
    assert chance.tolist() == [0.5, 0.5, 0.99, 0.99, 0.01, 0.01, 0.01, 0.01]


def test_the_rival_is_the_better_baseline_in_the_metrics_own_direction():
    names = ["naive", "logistic", "boosting", "network", "null"]
    values = {"AUC": [0.7, 0.8, 0.9, 0.85, 0.5], "log loss": [0.4, 0.2, 0.3, 0.25, 0.5]}
    points = pd.DataFrame(values, names)
    row, rival = scoreboard_row("AUC", points)
    assert (rival, row["classical"], row["better"], row["unit"]) == (
        *("boosting", 0.9, "higher"),
        "share",
    )
    row, rival = scoreboard_row("log loss", points)
    assert (rival, row["classical"], row["better"], row["unit"]) == (
        *("logistic", 0.2, "lower"),
        "nats",
    )
    assert (row["naive"], row["deep"], row["null"]) == (0.4, 0.25, 0.5)


def test_the_paired_interval_of_the_log_loss_by_hand():
    target = np.array([1.0, 0.0])
    first, second = np.array([0.5, 0.5]), np.array([0.25, 0.5])
    weight = np.array([[2, 0], [1, 1], [0, 2]])  # the resamples' means: -log 2, half of it, 0
    low, high = paired_gain("log loss", target, first, second, weight)
    assert low == pytest.approx(-np.log(2), rel=0.06)
    assert high == pytest.approx(0, abs=0.06)


def test_a_constant_feature_never_moves_the_scaled_rows():
    rows = pd.DataFrame({"a": np.full(5, 3.0), "b": np.arange(5.0)})
    scaled = Scaling.learn(rows).apply(rows)
    assert (scaled["a"] == 0).all()
    assert scaled["b"].mean() == pytest.approx(0)
    assert scaled["b"].std(ddof=0) == pytest.approx(1)


def test_boosting_sees_a_product_that_logistic_regression_does_not():
    rows, target = world(3_000)
    later, outcome = world(2_000, seed=1)
    pair = ["rhythm", "price"]
    chances = {
        name: sigmoid(fitted_logit(model, rows[pair], target, [later[pair]])[0])
        for name, model in {
            "trees": gradient_boosting(60, 4),
            "line": logistic_regression(1.0),
        }.items()
    }
    table = score_table(outcome, chances)
    assert table.loc["trees", "AUC"] > table.loc["line", "AUC"] + 0.05
    assert table.loc["line", "AUC"] == pytest.approx(0.5, abs=0.06)


def test_several_networks_are_scored_one_by_one():
    target, rng = np.array([0, 1, 1, 0, 1.0]), np.random.default_rng(0)
    chances = rng.uniform(0.1, 0.9, (3, 5))
    together = score_table(target, {"null": chances}).loc["null"]
    single = score_table(target, dict(enumerate(chances)))
    assert np.allclose(together, single.mean())
    assert not np.allclose(together, score_table(target, {"mean": chances.mean(0)}).loc["mean"])
