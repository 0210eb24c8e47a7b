"""Ensembles of conversion networks: penalties by hand, nulls, starts, averages."""

import numpy as np
import pandas as pd
import pytest
import torch

from pm_utils.evaluation.probabilities import score_table
from pm_utils.formulas import sigmoid
from pm_utils.learning.members import Members
from pm_utils.learning.scaling import Scaling
from pm_utils.targeting.redemption.ensemble import (
    FACTORS,
    Ensemble,
    choose_strength,
    new_net,
    penalty,
    squared,
    train_nets,
)
from tests.support.redemption_world import PROFILE, world


def test_the_penalty_by_hand():
    net = new_net("ConversionPredictNet", 2, 1)
    for weight in net.parameters():
        torch.nn.init.ones_(weight)
    squares = 0.06 * (64 * 3 + 64) + 0.03 * 3
    assert penalty(net.named_parameters()).item() == pytest.approx(squares, rel=1e-5)
    crossing = new_net("DeepCrossing", 2, 1)
    for weight in crossing.parameters():
        torch.nn.init.ones_(weight)
    assert penalty(crossing.named_parameters()).item() == pytest.approx(
        0.01 * (3 + 2 * 2 * 3 * 32), rel=1e-5
    )
    with pytest.raises(ValueError, match="Perceptron"):
        new_net("Perceptron", 2, 1)


@pytest.mark.parametrize("name", ["ConversionPredictNet", "DeepCrossing"])
def test_an_ensemble_beats_its_null_on_later_rows(name):
    rows, target = world()
    later, outcome = world(1_000, seed=1)
    settings = {"members": 2, "epochs": 8, "seed": 0}
    real = Ensemble.train(name, rows, target, PROFILE, **settings)
    shuffled = np.random.default_rng(0).permutation(target)
    null = Ensemble.train(name, rows, shuffled, PROFILE, strength=real.strength, **settings)
    predicted = {"real": sigmoid(real.logit(later)), "null": sigmoid(null.logit(later))}
    table = score_table(outcome, predicted)
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
    (taught,), _ = train_nets("ConversionPredictNet", inputs, target[:, None], epochs=6, seeds=[0])
    start = {name: value.clone() for name, value in taught.state_dict().items()}
    (after,), _ = train_nets(
        "ConversionPredictNet", inputs, target[:, None], epochs=1, seeds=[1], start=start
    )
    (fresh,), _ = train_nets("ConversionPredictNet", inputs, target[:, None], epochs=1, seeds=[1])

    def distance(net: torch.nn.Module) -> float:
        return float((net.fc1.weight - start["fc1.weight"]).norm().detach())

    assert distance(after) < 0.7 * distance(fresh)


@pytest.mark.parametrize("name", ["ConversionPredictNet", "DeepCrossing"])
def test_networks_side_by_side_learn_what_each_would_learn_alone(name):
    rows, target = world(300)
    nets = [new_net(name, 2, 2) for _ in range(3)]
    members = Members(nets).eval()  # nothing is dropped
    inputs = Ensemble([], Scaling.learn(rows), PROFILE).inputs(rows)
    stacked = [part[:, None].expand(-1, 3, -1) for part in inputs]
    alone = torch.stack([net.eval()(*inputs) for net in nets], 1)
    assert torch.allclose(members(*stacked), alone, atol=1e-6)
    total = members(*stacked).square().sum() + penalty(members.named_weights())
    total.backward()
    for k, net in enumerate(nets):
        (net(*inputs).square().sum() + penalty(net.named_parameters())).backward()
        for value, own in zip(members.weights, net.parameters(), strict=True):
            assert torch.allclose(value.grad[k], own.grad, rtol=1e-4, atol=1e-4)


def test_networks_side_by_side_drop_units_of_their_own_and_read_their_own_rows():
    (one,) = [new_net("ConversionPredictNet", 2, 2)]
    members = Members([one, one]).train()
    first, second = members(torch.ones(64, 2, 2), torch.ones(64, 2, 2)).T
    assert not torch.allclose(first, second)
    rows = torch.stack([torch.zeros(5, 2), torch.ones(5, 2)], 1)
    first, second = members.eval()(rows, rows).T
    assert torch.allclose(first, one.eval()(torch.zeros(5, 2), torch.zeros(5, 2)))
    assert not torch.allclose(first, second)


def test_targets_need_one_column_per_seed():
    rows, target = world(50)
    inputs = Ensemble([], Scaling.learn(rows), PROFILE).inputs(rows)
    with pytest.raises(ValueError, match=r"\(50,\) for 1 seeds: give one column per seed"):
        train_nets("DeepCrossing", inputs, target, epochs=1, seeds=[0])


def test_columns_that_an_ensemble_never_saw_change_nothing():
    rows, target = world(100)
    ensemble = Ensemble.train("DeepCrossing", rows, target, PROFILE, members=1, epochs=1, seed=0)
    assert np.array_equal(ensemble.logit(rows.assign(appeal=9.0)), ensemble.logit(rows))


def test_squares_are_summed_over_all_weights():
    total = squared(torch.tensor([1.0, 2.0]), torch.tensor([[3.0], [-1.0]]))
    assert total.item() == 15


def test_the_penalty_keeps_weights_small():
    rows, target = world(300)
    inputs = Ensemble([], Scaling.learn(rows), PROFILE).inputs(rows)
    (net,), _ = train_nets("ConversionPredictNet", inputs, target[:, None], epochs=30, seeds=[0])
    torch.manual_seed(0)
    untrained = new_net("ConversionPredictNet", 2, 2)
    assert penalty(net.named_parameters()) < 0.5 * penalty(untrained.named_parameters())
    assert net.linear.weight.abs().max() > 0.05  # and yet it has learned


def test_the_sources_network_has_no_linear_path_and_reads_no_third_input():
    assert new_net("two layers", 2, 1).linear is None
    assert new_net("ConversionPredictNet", 2, 1).linear is not None
    with pytest.raises(ValueError, match="give wide features to DeepCrossing"):
        new_net("two layers", 2, 1, 300)
    assert new_net("DeepCrossing", 2, 1, 300).score.in_features == 2 + 1 + 16


def test_what_is_left_out_teaches_nothing():
    rows, target = world(300)
    inputs = Ensemble([], Scaling.learn(rows), PROFILE).inputs(rows)
    left_out = np.zeros((300, 2), bool)
    left_out[:100, 0] = left_out[100:200, 1] = True
    targets = np.stack([target, target], 1)
    changed = np.where(left_out, 1 - targets, targets)
    settings = {"epochs": 2, "seeds": [0, 1], "left_out": left_out}
    (first, second), history = train_nets("DeepCrossing", inputs, targets, **settings)
    again, _ = train_nets("DeepCrossing", inputs, changed, **settings)
    for one, other in zip((first, second), again, strict=True):
        assert torch.equal(one(*inputs), other(*inputs))
    assert history.rows == 2 * 200
    whole, _ = train_nets("DeepCrossing", inputs, changed, epochs=2, seeds=[0, 1])
    assert not torch.equal(first(*inputs), whole[0](*inputs))


def test_an_ensemble_keeps_a_wide_feature_apart():
    rows, target = world(60)
    wide = pd.DataFrame(np.random.default_rng(0).normal(size=(60, 260))).add_prefix("w")
    table = rows.join(wide)
    settings = {"members": 1, "epochs": 1, "seed": 0, "strength": 1.0}
    one = Ensemble.train("DeepCrossing", table, target, PROFILE, wide=list(wide), **settings)
    assert [part.shape[1] for part in one.inputs(table)] == [2, 2, 260]
    assert np.allclose(one.inputs(table)[2].numpy(), wide.to_numpy(), atol=1e-6)  # not scaled
    assert one.nets[0].score.in_features == 2 + 2 + 16
    assert one.history.steps == 1
    assert not np.allclose(one.logit(table), one.logit(table.assign(w0=3.0)))


def test_rows_are_scored_one_by_one():
    rows, target = world(300)
    ensemble = Ensemble.train("DeepCrossing", rows, target, PROFILE, members=1, epochs=2, seed=0)
    whole = ensemble.logit(rows)
    assert np.allclose(ensemble.logit(rows[10:20]), whole[10:20], atol=1e-5)
    assert np.allclose(ensemble.logit(rows[::-1]), whole[::-1], atol=1e-5)
    moved = rows[["price", "habit", "match", "rhythm"]]  # columns go by name
    assert np.allclose(ensemble.logit(moved[list(rows.columns)]), whole)


# --- The penalty for the size at hand -------------------------------------------------------------


def interacting(n: int, seed: int = 0) -> tuple[pd.DataFrame, np.ndarray]:
    """Rows of which only the product of two columns tells anything."""
    rng = np.random.default_rng(seed)
    rows = pd.DataFrame(rng.normal(size=(n, 4)), columns=list("abcd"))
    return rows, (rng.random(n) < sigmoid(2 * rows["a"] * rows["c"]).to_numpy()).astype(float)


def test_many_rows_want_a_smaller_penalty_than_the_books():
    rows, target = interacting(12_000)
    later, outcome = interacting(4_000, seed=1)
    settings = {"members": 1, "epochs": 6, "seed": 0}
    chosen = Ensemble.train("ConversionPredictNet", rows, target, ["a", "b"], **settings)
    fixed = Ensemble.train(
        "ConversionPredictNet", rows, target, ["a", "b"], strength=1.0, **settings
    )
    assert chosen.strength < 0.2
    assert fixed.strength == 1
    predicted = {"chosen": sigmoid(chosen.logit(later)), "fixed": sigmoid(fixed.logit(later))}
    table = score_table(outcome, predicted)
    assert table.loc["chosen", "log loss"] < table.loc["fixed", "log loss"] - 0.02


def test_the_strength_chosen_loses_least_on_the_rows_that_judge():
    rows, target = interacting(2_000)
    inputs = Ensemble([], Scaling.learn(rows), ["a", "b"]).inputs(rows)
    later = [part[:500] for part in inputs], target[:500]
    settings = {"epochs": 3, "seed": 0, "validation": later}
    losses = choose_strength("DeepCrossing", inputs, target, **settings)
    assert losses.index.to_numpy() == pytest.approx(np.array(FACTORS) * 3_780 / 2_000)
    alone, _ = train_nets(
        "DeepCrossing", inputs, target[:, None], epochs=3, seeds=[0], strength=losses.index[2]
    )
    logit = torch.tensor(alone[0](*later[0]).detach().numpy())
    by_hand = torch.nn.functional.binary_cross_entropy_with_logits(
        logit, torch.tensor(later[1], dtype=torch.float32)
    )
    assert losses.iloc[2] == pytest.approx(by_hand.item(), abs=0.02)  # it drops other units
    table = rows.assign(target=target)
    ensemble = Ensemble.train(
        *("DeepCrossing", rows, target, ["a", "b"]),
        **{"members": 1, "epochs": 3, "seed": 0},
        validation=(table[:500][list("dcba")], target[:500]),
    )
    assert ensemble.strength == losses.idxmin()


def test_few_answers_of_a_kind_choose_nothing():
    rows, target = interacting(150)
    few = Ensemble.train("DeepCrossing", rows, target, ["a"], members=1, epochs=1, seed=0)
    assert few.strength == 3_780 / 150  # as strong as the book's, whatever the number of rows


def test_logits_keep_the_labels_of_their_rows():
    rows, target = interacting(60)
    rows.index = np.arange(60)[::-1]
    net = Ensemble.train(
        "DeepCrossing", rows, target, ["a"], members=1, epochs=1, seed=0, strength=1.0
    )
    assert net.logit(rows).index.equals(rows.index)


def test_each_of_several_networks_pays_by_its_own_strength():
    stacked = [("fc1.weight", torch.ones(2, 3, 3)), ("fc1.bias", torch.ones(2, 3))]
    assert penalty(stacked, [1.0, 10.0]).item() == pytest.approx(0.06 * 9 * 11)
    assert penalty(stacked, 2.0).item() == pytest.approx(0.06 * 18 * 2)


def test_wide_features_are_embedded_and_pay():
    rng = np.random.default_rng(0)
    rows = pd.DataFrame(rng.normal(size=(40, 300))).add_prefix("f")
    ensemble = Ensemble.train(
        "DeepCrossing", rows, np.arange(40) % 2, ["f299"], members=2, epochs=1, seed=0
    )
    assert np.isfinite(ensemble.logit(rows)).all()


# --- Inputs ---------------------------------------------------------------------------------------

ROWS = {"members": 1, "epochs": 1, "seed": 0, "strength": 1.0}


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda y: 2 * y - 1, r"target holds -1.0, 1.0: give 0 and 1"),
        (lambda y: y + 1, r"target holds 1.0, 2.0"),
        (lambda y: np.where(y > 0, "yes", "no"), "target holds 'no', 'yes'"),
        (lambda y: np.where(np.arange(len(y)) < 3, np.nan, y), "target is missing in 3 of 200"),
        (lambda y: y[1:], "target 199 rows"),
        (lambda y: pd.Series(y, [f"c{i}" for i in range(200)]), "target has no row 0"),
    ],
)
def test_answers_that_are_not_zero_and_one_are_refused(change, told):
    rows, target = world(200)
    with pytest.raises(ValueError, match=told):
        Ensemble.train("DeepCrossing", rows, change(target.astype(float)), PROFILE, **ROWS)


def test_features_are_found_by_name_and_rows_by_index():
    rows, target = world(200)
    answer = pd.Series(target, rows.index)
    order = np.random.default_rng(0).permutation(200)
    one = Ensemble.train("DeepCrossing", rows, answer, PROFILE, **ROWS)
    other = Ensemble.train("DeepCrossing", rows, answer.iloc[order], PROFILE, **ROWS)
    assert np.array_equal(one.logit(rows), other.logit(rows[rows.columns[::-1]]))
    hole = rows.copy()
    hole.iloc[3, 1] = np.nan
    with pytest.raises(ValueError, match=r"features is not finite in 1 of 200 rows, first row 3"):
        Ensemble.train("DeepCrossing", hole, target, PROFILE, **ROWS)
    with pytest.raises(ValueError, match="features is not finite"):
        one.logit(hole)
    with pytest.raises(KeyError, match="features has no column 'price'"):
        one.logit(rows.drop(columns="price"))
    with pytest.raises(KeyError, match="features has no column 'nothing'"):
        Ensemble.train("DeepCrossing", rows, target, ["nothing"], **ROWS)
