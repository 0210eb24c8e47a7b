"""What information is worth, the contenders, held-out logits and sentences of chapter 08."""

import numpy as np
import pandas as pd
import pytest
from sklearn import metrics as reference

from pm_utils.chapters.conversion import (
    CONTENDERS,
    COUPONS,
    as_numbers,
    bending_claim,
    choose_strengths,
    classical_reads,
    group_worth,
    held_out_baseline,
    held_out_logits,
    household_folds,
    information_ladder,
    inputs_of,
    mended,
    naive_probability,
    paired_change,
    promised_and_came,
    remedy_claim,
    sampled_households,
    train_contenders,
    train_nulls,
    tune_classical,
)
from pm_utils.evaluation.calibration import calibration_error
from pm_utils.evaluation.calibrators import CALIBRATORS, fit_calibrators
from pm_utils.formulas import sigmoid
from pm_utils.learning.scaling import Scaling
from pm_utils.learning.training import predict
from pm_utils.targeting.redemption.baselines import fitted_logit, logistic_regression
from pm_utils.targeting.redemption.ensemble import Ensemble, train_nets
from tests.support.redemption_world import PROFILE, world


def test_the_naive_rule_knows_type_and_none_one_or_more_redemptions():
    contacts = pd.DataFrame(
        {
            "campaign_type": ["A"] * 6 + ["B"] * 2,
            "redeemed": [False, True, True, True, False, False, False, True],
        }
    )
    redemptions = np.log1p(pd.Series([0, 0, 2, 7, 1, 1, 0, 0]))
    train = np.array([1, 1, 1, 0, 1, 0, 1, 0], bool)
    probability = naive_probability(contacts, redemptions, train)
    # A: none earlier one of two, two or more always, one never; B: none earlier never
    assert probability.tolist() == [0.5, 0.5, 0.99, 0.99, 0.01, 0.01, 0.01, 0.01]


def test_the_claim_on_a_remedy_follows_the_result():
    claim = remedy_claim("pre-training", (-0.01, -0.002))
    assert claim.startswith("Pre-training lowers the loss (95 % interval of the change: -0.0100 to")
    assert remedy_claim("the appeal", (0.002, 0.01)).startswith("The appeal raises the loss")
    for unsure in ((-0.01, 0.002), (0.0, 0.01), (-0.01, 0.0)):
        claim = remedy_claim("pre-training", unsure)
        assert claim.startswith("With and without pre-training, the losses cannot be told apart")


TYPES = [f"taste_type_{k}" for k in range(260)]


def contacts(n: int, seed: int = 0) -> tuple[pd.DataFrame, np.ndarray]:
    """The planted world with an appeal and product types that say nothing."""
    rows, target = world(n, seed)
    noise = np.random.default_rng(seed).normal(size=(n, len(TYPES)))
    types = pd.DataFrame(noise, rows.index, TYPES)
    return rows.assign(appeal=rows["match"] + rows["habit"]).join(types), target


@pytest.fixture(scope="module")
def start() -> dict:
    rows, target = world(300)
    inputs = Ensemble([], Scaling.learn(rows), PROFILE).inputs(rows)
    (net,), _ = train_nets("ConversionPredictNet", inputs, target[:, None], epochs=4, seeds=[0])
    return net.state_dict()


def test_each_contender_reads_what_its_recipe_says(start):
    rows, target = contacts(200)
    settings = {"start": start, "members": 2, "epochs": 1, "seed": 0}
    strengths = dict.fromkeys(CONTENDERS, 1.0)
    trained = train_contenders(strengths, rows, target, PROFILE, TYPES, **settings)
    assert list(trained) == list(CONTENDERS)
    widths = {name: [x.shape[1] for x in one.inputs(rows)] for name, one in trained.items()}
    assert widths.pop(COUPONS) == [2, 3]
    assert widths.pop("Deep Crossing, product types") == [2, 2, 260]
    assert set(map(tuple, widths.values())) == {(2, 2)}
    assert trained["the source's two layers"].nets[0].linear is None
    assert not np.allclose(
        trained["pre-trained"].logit(rows), trained["ConversionPredictNet"].logit(rows)
    )


def test_nulls_are_ensembles_as_the_contender_is_each_on_one_shuffle():
    rows, target = contacts(200)
    settings = {"nulls": 2, "members": 3, "epochs": 30, "seed": 0}
    known = 0.1, rows, target, PROFILE, TYPES
    nulls = train_nulls(CONTENDERS["ConversionPredictNet"], *known, **settings)
    assert [len(one.nets) for one in nulls] == [3, 3]
    within, across = (
        np.corrcoef(*(predict(net, one.inputs(rows)) for net, one in pair))[0, 1]
        for pair in (
            [(nulls[0].nets[0], nulls[0]), (nulls[0].nets[1], nulls[0])],
            [(nulls[0].nets[0], nulls[0]), (nulls[1].nets[0], nulls[1])],
        )
    )
    assert within > across + 0.3  # the members of one learned the same shuffle
    pretrained = train_nulls(CONTENDERS["pre-trained"], *known, **settings)
    # true answers taught the pre-trained weights: the null does without them
    assert np.array_equal(*(some[0].logit(rows) for some in (nulls, pretrained)))


def test_a_strength_is_chosen_on_later_rows_and_remedies_take_that_of_their_network():
    learn, choose = contacts(400), contacts(300, seed=1)
    tried = choose_strengths(learn, choose, PROFILE, TYPES, epochs=1, seed=0)
    assert list(tried) == list(CONTENDERS)
    for remedy in ("pre-trained", COUPONS):
        assert tried[remedy].equals(tried["ConversionPredictNet"])
    assert tried.nunique().min() > 1


def test_classical_contenders_read_what_networks_do():
    rows, target = contacts(300)
    groups = {"offers that fit": ["match"], "activity": ["habit", "rhythm"]}
    groups["taste and profile"] = ["taste_00"]
    rows["taste_00"] = 0.5 * rows["price"]
    reads = classical_reads(groups, TYPES)
    assert reads["logistic, no taste"] == ["match", "habit", "rhythm"]
    assert reads["logistic"] == reads["boosting"] == ["match", "habit", "rhythm", "taste_00"]
    assert set(reads["logistic, product types"]) - set(reads["logistic"]) == set(TYPES)
    assert set(reads["logistic, coupon by coupon"]) - set(reads["logistic"]) == {"appeal"}
    models, table = tune_classical(
        {name: reads[name] for name in ("logistic", "logistic, offers that fit")},
        *((rows[:200], target[:200]), (rows[200:], target[200:])),
        seed=0,
    )
    for name in models:
        by_hand = models[name]().fit(rows[reads[name]][:200].to_numpy(), target[:200])
        chance = by_hand.predict_proba(rows[reads[name]][200:].to_numpy())[:, 1]
        loss = reference.log_loss(target[200:], chance)
        assert table.loc[name, "log loss"] == pytest.approx(loss)


def test_what_is_lost_without_a_group_is_not_what_it_adds_in_its_place():
    rows, target = world(1_000)
    rows["copy"] = rows["habit"]
    groups = {"first": ["habit"], "second": ["copy"], "third": ["match"]}
    learn, choose = (rows[:600], target[:600]), (rows[600:], target[600:])
    table = group_worth(logistic_regression(1.0), groups, learn, choose)
    ladder = information_ladder(logistic_regression(1.0), groups, learn, choose)
    assert table["AUC"].to_numpy() == pytest.approx(ladder["AUC"].to_numpy())
    assert table.loc["first", "step"] == pytest.approx(table.loc["first", "AUC"] - 0.5)
    assert table.loc["first", "step"] > 0.1
    assert abs(table.loc["first", "lost without"]) < 0.005  # its copy is still there
    assert table.loc["third", "lost without"] > 0.03


def test_logits_are_of_models_that_did_not_learn_from_the_rows(start):
    rows, target = contacts(300)
    fold = household_folds(np.arange(300), 3, seed=0)
    settings = {"start": start, "members": 2, "epochs": 2, "seed": 0}
    recipe = CONTENDERS["Deep Crossing"]
    everything = (recipe, 1.0, rows, target, PROFILE, TYPES, fold)
    held = held_out_logits(*everything, **settings)
    other = np.where(fold == 1, 1 - target, target)  # answers of one fold turned round
    turned = held_out_logits(*everything[:3], other, *everything[4:], **settings)
    assert np.array_equal(held[fold == 1], turned[fold == 1])
    assert not np.allclose(held[fold == 0], turned[fold == 0])
    table = rows[["habit", "match"]]
    logits = held_out_baseline(logistic_regression(1.0), table, target, fold)
    (alone,) = fitted_logit(
        logistic_regression(1.0), table[fold != 2], target[fold != 2], [table[fold == 2]]
    )
    assert logits[fold == 2] == pytest.approx(alone.to_numpy())


def test_folds_and_samples_keep_households_together():
    customers = np.repeat(np.arange(40), 3)
    fold = household_folds(customers, 4, seed=1)
    assert np.bincount(fold).tolist() == [30] * 4
    assert (fold.reshape(40, 3) == fold.reshape(40, 3)[:, :1]).all()
    half = sampled_households(customers, 0.5, seed=1)
    assert half.reshape(40, 3).all(1).sum() == 20 == half.reshape(40, 3).any(1).sum()
    assert sampled_households(customers, 1.0, seed=1).all()


def test_chances_are_mended_by_what_rows_held_out_say():
    rng = np.random.default_rng(0)
    logit, segment = rng.normal(size=500), np.repeat(["A", "B"], 250)
    came = (rng.random(500) < sigmoid(logit - 1)).astype(float)
    chances = mended((came, logit, segment), (logit[:9], segment[:9]))
    assert list(chances) == list(CALIBRATORS)
    platt = fit_calibrators(came, logit, segment)["Platt"]
    assert np.allclose(chances["Platt"], platt(logit[:9], segment[:9]))
    assert chances["Platt"].mean() < chances["as it is"].mean() - 0.1


def test_the_interval_of_any_score_is_paired():
    rng = np.random.default_rng(0)
    p = rng.random(400)
    y = (rng.random(400) < p).astype(float)
    weight = rng.multinomial(400, np.full(400, 1 / 400), size=60)
    low, high = paired_change(calibration_error, y, np.sqrt(p), p, weight)
    assert 0 < low < calibration_error(y, np.sqrt(p)) - calibration_error(y, p) + 0.05 < high + 0.1
    assert paired_change(calibration_error, y, p, p, weight) == (0.0, 0.0)


def test_promises_by_hand():
    y, p = np.array([1, 0, 1, 1.0]), np.array([0.1, 0.1, 0.9, 1.0])
    table = promised_and_came(y, p, np.array([[1, 1, 1, 1], [2, 0, 1, 1]]), (0, 0.5, 0.8, 1))
    assert table.index.tolist() == ["0 % to 50 %", "80 % to 100 %"]
    assert table["contacts"].tolist() == [2, 2]
    assert table["came"].tolist() == [0.5, 1.0]
    assert table.loc["0 % to 50 %", "low"] < table.loc["0 % to 50 %", "high"] <= 1


def test_profit_counts_those_whose_chance_pays():
    y, p = np.array([1, 0, 0, 1] * 3), np.array([0.5, 0.5, 0.2, 0.2] * 3)
    told, earned = as_numbers(y, p, margin=4.0, cost=1.0)
    assert earned.tolist() == [3.0, -1.0, 0.0, 0.0] * 3
    assert told["profit per test contact"] == pytest.approx(0.5)
    assert told["calibration error"] == pytest.approx(calibration_error(y, p))


def test_the_sentence_on_bends_follows_share_and_verdict():
    assert "straight line under another name" in bending_claim("tie", 0.01)
    said = {verdict: bending_claim(verdict, 0.3) for verdict in ("beats", "loses", "tie")}
    assert len(set(said.values())) == 3
    assert all("30 % switch" in text and "the others are" in text for text in said.values())


def test_unread_columns_are_left_out():
    rows, _ = contacts(5)
    table, wide = inputs_of(CONTENDERS["ConversionPredictNet"], rows, TYPES)
    assert list(table) == ["habit", "rhythm", "match", "price"] and wide == []
