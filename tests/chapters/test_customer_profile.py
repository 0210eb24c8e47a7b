"""Chapter 03 scores its contenders alike and says no more of them than the figures do."""

import numpy as np
import pandas as pd
import pytest
import torch

from pm_utils.chapters import customer_profile
from pm_utils.evaluation.bootstrap import bootstrap_weights
from pm_utils.evaluation.ranking import ranking_scores

RNG = np.random.default_rng(0)
TARGET = (RNG.random((200, 4)) < 0.3).astype(float)
SCORE = TARGET + RNG.normal(0, 1, TARGET.shape)
NEVER = RNG.random(TARGET.shape) < 0.4


def test_first_purchases_are_scored_among_the_pairs_never_bought():
    table = customer_profile.tag_scores(TARGET, {"net": SCORE}, NEVER)
    alone = ranking_scores(TARGET, SCORE, mask=NEVER)["macro_ap"]
    assert table.loc["net", customer_profile.FIRST] == pytest.approx(alone)
    assert table.loc["net", "macro AUC"] == pytest.approx(
        ranking_scores(TARGET, SCORE)["macro_auc"]
    )


def test_a_resample_of_everybody_once_has_the_scores_of_the_table():
    table = customer_profile.tag_scores(TARGET, {"net": SCORE}, NEVER)
    once = np.ones((1, len(TARGET)), int)
    found = customer_profile.resampled_tag_scores(TARGET, SCORE, NEVER, once, micro=True)
    assert found.loc[0, table.columns].to_numpy() == pytest.approx(table.loc["net"].to_numpy())
    draws = bootstrap_weights(len(TARGET), 3, seed=0)
    assert "micro AUC" not in customer_profile.resampled_tag_scores(TARGET, SCORE, NEVER, draws)


def test_losses_are_those_before_each_step_and_after_the_last():
    torch.manual_seed(0)
    net = torch.nn.Linear(2, 1)
    rows = torch.randn(50, 2), torch.ones(50, 1)
    start = torch.nn.functional.binary_cross_entropy_with_logits(net(rows[0]), rows[1]).item()
    losses = customer_profile.full_batch_losses(net, rows, rows, steps=20, learning_rate=0.1)
    end = torch.nn.functional.binary_cross_entropy_with_logits(net(rows[0]), rows[1]).item()
    assert losses["train"].iloc[0] == pytest.approx(start)
    assert losses["held out"].iloc[-1] == pytest.approx(end)
    assert end < start / 2
    with pytest.raises(ValueError, match="steps is 0: give at least 1"):
        customer_profile.full_batch_losses(net, rows, rows, steps=0, learning_rate=0.1)


def test_a_training_is_judged_by_where_its_loss_is_least():
    losses = pd.Series([9.0, 5, 3, 2, 1, 2, 3, 4, 5, 6, 7])
    found = [customer_profile.state_of_training(losses, step) for step in (0, 3, 4, 5, 10)]
    in_between = "stopped in time"
    assert found == ["under-trained", "under-trained", in_between, "over-fitted", "over-fitted"]


def test_a_small_win_buys_nothing_and_a_large_one_does():
    verdicts = {"tags": "beats", "age": "tie", "income": "undertrained", "likes": "loses"}
    small = customer_profile.worth_of_profile(verdicts, ["tags", "age"])
    assert "bought nothing" in small and "too small to matter at tags," in small
    assert "loses at likes and is undertrained at income. So start with those" in small
    large = customer_profile.worth_of_profile(verdicts)
    assert "bought something" in large and "it wins at tags, cannot be told apart at age," in large


def test_a_difference_of_less_than_five_in_a_thousand_is_small():
    said = customer_profile.said_of_size
    assert said(0.7, 0.7049) == said(0.7, 0.6951) == "indistinguishable in practice"
    assert said(0.7, 0.7051) == said(0.7, 0.6949) == "far enough apart to matter"


def test_epochs_that_do_as_well_are_taken_and_those_that_do_worse_are_not():
    curve = pd.Series({3: 0.69, 6: 0.696, 12: 0.6957})
    assert customer_profile.longest_as_good(curve) == 12
    assert customer_profile.longest_as_good(curve, leeway=0.0001) == 6
