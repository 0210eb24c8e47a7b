"""The ladder, the naive table and the scoreboard's row of chapter 08."""

import numpy as np
import pandas as pd

from pm_utils.chapters.conversion import (
    COUPONS,
    naive_probability,
    remedy_claim,
    scoreboard_row,
    train_trials,
)
from pm_utils.evaluation.probabilities import score_table
from pm_utils.formulas import sigmoid
from pm_utils.learning.scaling import Scaling
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


def test_the_rival_is_the_better_baseline_in_the_metrics_own_direction():
    names = ["naive", "logistic", "boosting", "network", "null"]
    values = {"AUC": [0.7, 0.8, 0.9, 0.85, 0.5], "log loss": [0.4, 0.2, 0.3, 0.25, 0.5]}
    points = pd.DataFrame(values, names)
    row, baseline = scoreboard_row("AUC", points)
    assert (baseline, row["classical"], row["better"], row["unit"]) == (
        *("boosting", 0.9, "higher"),
        "share",
    )
    row, baseline = scoreboard_row("log loss", points)
    assert (baseline, row["classical"], row["better"], row["unit"]) == (
        *("logistic", 0.2, "lower"),
        "nats",
    )
    assert (row["naive"], row["deep"], row["null"]) == (0.4, 0.25, 0.5)


def test_the_claim_on_a_remedy_follows_the_result():
    claim = remedy_claim("pre-training", (-0.01, -0.002))
    assert claim.startswith("Pre-training lowers the loss (95 % interval of the change: -0.0100 to")
    assert remedy_claim("the appeal", (0.002, 0.01)).startswith("The appeal raises the loss")
    for unsure in ((-0.01, 0.002), (0.0, 0.01), (-0.01, 0.0)):
        claim = remedy_claim("pre-training", unsure)
        assert claim.startswith("With and without pre-training, the losses cannot be told apart")


def test_trials_hold_both_networks_and_one_that_starts_from_given_weights():
    rows, target = world(300)
    inputs = Ensemble([], Scaling.learn(rows), PROFILE).inputs(rows)
    (taught,) = train_nets("ConversionPredictNet", inputs, target[:, None], epochs=4, seeds=[0])
    start = taught.state_dict()
    settings = {"members": 2, "epochs": 1, "seed": 0}
    more = rows.assign(appeal=rows["match"] + rows["habit"])
    trials = train_trials(more, target, PROFILE, start=start, **settings)
    names = ["one member", "ConversionPredictNet", "DeepCrossing", "pre-trained", COUPONS]
    assert list(trials) == names
    assert [len(trial.nets) for trial in trials.values()] == [1, 2, 2, 2, 2]
    read = [trial.inputs(more)[1].shape[1] for trial in trials.values()]
    assert read == [2, 2, 2, 2, 3]  # the appeal is content of the last alone
    assert trials["one member"].nets[0] is trials["ConversionPredictNet"].nets[0]
    later, outcome = world(1_000, seed=1)
    losses = score_table(
        outcome,
        {name: sigmoid(trial.logit(later)) for name, trial in trials.items() if name != COUPONS},
    )["log loss"]
    assert losses["pre-trained"] < losses["ConversionPredictNet"]
