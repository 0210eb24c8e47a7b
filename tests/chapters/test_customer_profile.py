"""Chapter 03 scores its contenders alike and says no more of them than the figures do."""

import numpy as np
import pandas as pd
import pytest
import torch

from pm_utils.chapters import customer_profile
from pm_utils.customers.next_purchase import Inputs, TagSamples
from pm_utils.evaluation.bootstrap import bootstrap_weights
from pm_utils.evaluation.ranking import ranking_scores

RNG = np.random.default_rng(0)
TARGET = (RNG.random((200, 4)) < 0.3).astype(float)
SCORE = TARGET + RNG.normal(0, 1, TARGET.shape)
NEVER = RNG.random(TARGET.shape) < 0.4


def _samples(seed: int, rows: int = 600) -> TagSamples:
    """Customers who buy what they bought of late, and whoever buys the first category, the next."""
    rng = np.random.default_rng(seed)
    history = rng.normal(size=(rows, 40, 5)).astype(np.float32)
    chance = 1 / (1 + np.exp(-2 * history[:, :2, 1] - 2 * history[:, [2, 3], 3]))
    return TagSamples(
        customer=np.arange(rows),
        as_of=np.full(rows, np.datetime64("2017-04-01")),
        history=history,
        context=rng.normal(size=(rows, 8)).astype(np.float32),
        grid=np.zeros((rows, 40, 7), np.float32),
        baskets=np.zeros((rows, 1, 40), np.uint8),
        ages=np.zeros((rows, 1), np.float32),
        lengths=np.ones(rows, np.int64),
        target=(rng.random((rows, 2)) < chance).astype(np.float32),
    )


def test_rivals_learn_and_their_settings_count():
    learned, judged = _samples(0), _samples(1)
    settings = [
        ("logistic", 0, 0.1),
        ("logistic", 0, 0.0001),
        ("logistic + SVD", 32, 0.1),
        ("gradient boosting + SVD", 15, 50),
    ]
    rivals = customer_profile.rival_guesses(
        learned, judged, Inputs.learn(learned), settings, seed=0
    )
    assert list(rivals) == settings
    auc = {}
    for setting, guess in rivals.items():
        assert guess.shape == judged.target.shape
        assert guess.min() >= 0 and guess.max() <= 1
        auc[setting] = ranking_scores(judged.target, guess)["macro_auc"]
    assert min(auc.values()) > 0.7
    # Half of what matters is the rate of another category, which a profile carries.
    assert auc[settings[2]] > auc[settings[0]] + 0.02
    spread = [rivals[setting].std() for setting in settings[:2]]
    assert spread[1] < spread[0] / 2  # a strong penalty keeps probabilities near the mean


def test_trees_do_not_hang_on_what_was_drawn_elsewhere():
    rng = np.random.default_rng(0)
    pairs = rng.normal(size=(200_001, 2)).astype(np.float32)  # so many that bins come from a part
    pairs[:, 1] = np.arange(len(pairs)) % 3  # the tag
    target = (pairs[:, :1] > rng.normal(size=(len(pairs), 1))).astype(float)
    settings = {"leaves": 7, "trees": [2], "seed": 0}
    # The state that scikit-learn falls back on is no Generator.
    np.random.seed(1)  # noqa: NPY002
    found = customer_profile._boosted_pairs(pairs, target, pairs[:900], **settings)[2]
    np.random.seed(2)  # noqa: NPY002
    again = customer_profile._boosted_pairs(pairs, target, pairs[:900], **settings)[2]
    assert np.array_equal(found, again)


def test_an_unknown_rival_is_refused():
    learned = _samples(0)
    with pytest.raises(ValueError, match="forest is no rival"):
        customer_profile.rival_guesses(
            learned, learned, Inputs.learn(learned), [("forest", 1, 1)], seed=0
        )


@pytest.mark.parametrize(
    ("design", "inputs", "said"),
    [
        (0.06, 0.02, "both matter, and the design the more"),
        (0.01, 0.02, "both matter, and what it reads the more"),
        (0.06, 0.001, "the design matters, and more numbers alone bring nothing"),
        (0.06, -0.02, "the design matters, and more numbers alone make it worse"),
        (-0.01, 0.02, "what it reads matters, and the design makes it worse"),
        (0.001, 0.001, "neither matters alone"),
        (-0.004, 0.001, "neither matters alone"),
        (-0.02, 0.001, "neither helps, and the design makes it worse"),
        (0.001, -0.02, "neither helps, and what it reads makes it worse"),
        (-0.02, -0.02, "neither helps, and both make it worse"),
    ],
)
def test_what_matters_follows_from_both_gains(design, inputs, said):
    assert customer_profile.what_matters(design, inputs) == said


@pytest.mark.parametrize(("design", "inputs"), [(np.nan, 0.1), (0.1, np.nan), (np.inf, 0.1)])
def test_of_a_gain_that_is_not_known_nothing_is_said(design, inputs):
    with pytest.raises(ValueError, match="design, inputs is not finite"):
        customer_profile.what_matters(design, inputs)


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


ALIKE, APART, UNCLEAR = customer_profile.ALIKE, customer_profile.APART, customer_profile.UNCLEAR


def test_only_a_win_that_matters_buys_something():
    verdicts = {"tags": "beats", "age": "tie", "income": "undertrained", "likes": "loses"}
    sizes = {"tags": APART, "age": UNCLEAR, "income": APART, "likes": ALIKE}
    large = customer_profile.worth_of_profile(verdicts, sizes)
    assert "bought something" in large and "it wins at tags, cannot be told apart at age," in large
    assert "loses by an amount too small to matter at likes and is undertrained at income." in large
    for size, words in ((ALIKE, "too small to matter"), (UNCLEAR, "that may be too small")):
        small = customer_profile.worth_of_profile(verdicts, sizes | {"tags": size})
        assert "was not shown to buy anything" in small and f"wins by an amount {words}" in small
        assert small.endswith("So start with those.")


def test_nothing_is_bought_only_where_every_task_is_decided():
    said = customer_profile.worth_of_profile
    verdicts = {"tags": "beats", "age": "tie", "likes": "loses"}
    decided = {"tags": ALIKE, "age": ALIKE, "likes": UNCLEAR}
    assert "bought nothing" in said(verdicts, decided)
    assert "does as well in practice at age" in said(verdicts, decided)
    for task in ("tags", "age"):
        assert "was not shown to buy" in said(verdicts, decided | {task: UNCLEAR})
    assert "was not shown to buy" in said(verdicts | {"likes": "undertrained"}, decided)


def test_of_networks_that_are_all_undertrained_nothing_is_said():
    verdicts = dict.fromkeys(("tags", "age"), "undertrained")
    said = customer_profile.worth_of_profile(verdicts, {"tags": APART, "age": ALIKE})
    assert "undecided" in said and "bought" not in said and "start with" not in said


def test_each_verdict_needs_its_size():
    with pytest.raises(ValueError, match="verdicts are of .'tags'., sizes of ..: give both"):
        customer_profile.worth_of_profile({"tags": "beats"}, {})


@pytest.mark.parametrize(
    ("low", "high", "said"),
    [
        (-0.0049, 0.0049, ALIKE),
        (0.001, 0.0049, ALIKE),  # clear of zero and yet small
        (0.0051, 0.02, APART),
        (-0.02, -0.0051, APART),
        (0.001, 0.0051, UNCLEAR),
        (0.0049, 0.02, UNCLEAR),
        (-0.0051, -0.001, UNCLEAR),
        (-0.02, 0.02, UNCLEAR),  # its middle is zero, which says nothing of its ends
    ],
)
def test_a_difference_is_small_or_large_only_if_its_whole_interval_is(low, high, said):
    assert customer_profile.said_of_size(low, high) == said


@pytest.mark.parametrize(("low", "high"), [(0.1, 0.0), (np.nan, 0.1), (0.0, np.inf)])
def test_ends_that_are_no_interval_are_refused(low, high):
    with pytest.raises(ValueError, match="low and high are"):
        customer_profile.said_of_size(low, high)


def test_epochs_that_do_as_well_are_taken_and_those_that_do_worse_are_not():
    curve = pd.Series({3: 0.69, 6: 0.696, 12: 0.6957})
    assert customer_profile.longest_as_good(curve) == 12
    assert customer_profile.longest_as_good(curve, leeway=0.0001) == 6
