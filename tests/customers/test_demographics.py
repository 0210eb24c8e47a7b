"""Bands merge levels as told; guesses beat the majority where there is something to find."""

import numpy as np
import pandas as pd
import pytest

from pm_utils.customers import demographics


@pytest.fixture(scope="module")
def guessed():
    rng = np.random.default_rng(0)
    told = np.where(rng.random(300) < 0.2, None, np.where(rng.random(300) < 0.6, "no", "yes"))
    answer = pd.Series(told, dtype="category")
    signal = (answer == "yes").to_numpy(float)[:, None] + rng.normal(0, 0.7, (300, 1))
    views = {"classical": rng.normal(size=(300, 3)), "deep": signal}
    return answer, *demographics.cross_validated_probabilities(views, answer, seed=1)


def test_only_those_who_told_are_scored(guessed):
    answer, truth, probabilities = guessed
    assert truth.shape == (answer.notna().sum(), 2)
    assert (truth.sum(1) == 1).all()
    assert {
        name: probability.shape for name, probability in probabilities.items()
    } == dict.fromkeys(("naive", "classical", "deep"), truth.shape)
    for probability in probabilities.values():
        assert probability.sum(1) == pytest.approx(np.ones(len(truth)))


def test_signal_is_found_and_noise_is_not(guessed):
    _, truth, probabilities = guessed
    table, (low, high) = demographics.guess_table(truth, probabilities, resamples=200, seed=0)
    assert table.loc["deep", "auc"] > 0.75
    assert 0.4 < table.loc["classical", "auc"] < 0.6
    assert table.loc["naive", "auc"] == 0.5
    assert table.loc["naive", "accuracy"] == pytest.approx(truth.mean(0).max())
    assert 0 < low < table.loc["deep", "auc"] - table.loc["classical", "auc"] < high


def test_the_silent_are_expected_to_be_as_their_signal_says():
    rng = np.random.default_rng(3)
    answer = pd.Series(np.repeat(["no", "yes", None, None], 100), dtype="category")
    mean = np.repeat([-2.0, 2.0, 2.0, 2.0], 100)  # the silent look like those who said yes
    mix = demographics.expected_mix((mean + rng.normal(size=400))[:, None], answer)
    assert mix.sum().to_numpy() == pytest.approx([1, 1])
    assert mix["told"].to_dict() == {"no": 0.5, "yes": 0.5}
    assert mix.loc["yes", "never told"] > 0.75  # of those who told: 0.5
