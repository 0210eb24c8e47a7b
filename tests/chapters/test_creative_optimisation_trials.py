"""The settings tried for chapter 09: as many for each, those of the file, played as said."""

import numpy as np
import pandas as pd
import pytest

from pm_utils.chapters import creative_optimisation_trials as bandit_trials
from pm_utils.decisions import bandits


def test_every_policy_is_tried_with_as_many_settings():
    tried = bandit_trials.draw_trials()
    assert {len(some) for some in tried.values()} == {bandit_trials.TRIALS}
    for name, some in tried.items():
        assert len({tuple(one.items()) for one in some}) == bandit_trials.TRIALS, name


def test_the_file_holds_the_settings_that_are_drawn():
    trials = bandit_trials.read_trials()
    for name, some in bandit_trials.draw_trials().items():
        assert trials.loc[trials["policy"] == name, "setting"].tolist() == some


def test_a_game_played_again_gives_the_share_of_the_file():
    name, number = "Thompson", 3
    tried = {name: bandit_trials.draw_trials()[name][number : number + 1]}
    again = [bandit_trials.play_trials(tried, seed)[name][0] for seed in bandit_trials.SEEDS]
    trials = bandit_trials.read_trials()
    share = trials.loc[trials["policy"] == name, "share"].iloc[number]
    assert np.mean(again) == pytest.approx(share, abs=1e-3)


def test_the_best_setting_has_the_largest_share_of_its_policy():
    trials = bandit_trials.read_trials()
    best = bandit_trials.best_trials(trials)
    assert (best["share"] == trials.groupby("policy", sort=False)["share"].max()).all()
    assert list(best.index) == list(bandit_trials.draw_trials())


def test_learners_get_their_settings_and_start_as_told():
    context, setting = np.eye(4), {"hidden": 5, "doubt": 0.3, "uniform": 2}
    policy = bandit_trials.learner("deep", setting, context, 3, steps=7)(2)
    assert isinstance(policy, bandits.UniformStart)
    assert (policy.rounds_left, policy.policy.steps, policy.policy.hidden) == (2, 7, 5)
    logistic = bandit_trials.learner("logistic Thompson", {}, context, 3, steps=7)(1)
    assert (logistic.rounds_left, logistic.policy.hidden) == (0, 0)
    for rounds, tested in ((20, 8), (40, 16), (1, 1)):  # a share of the game, whatever its length
        tester = bandit_trials.learner(
            "test, then commit", {"test_share": 0.4}, context, 3, rounds=rounds
        )
        assert tester(2).policy.rounds_left == tested
    with pytest.raises(ValueError, match="give one of test, then commit, Thompson"):
        bandit_trials.learner("luck", {}, context, 3)


def test_the_table_tells_the_best_in_words_and_all_shares_in_figures():
    rows = [("a", {"x": 1}, 0.2), ("a", {"x": 2, "y": 3}, 0.4), ("b", {"x": 5}, 0.1)]
    trials = pd.DataFrame(rows, columns=["policy", "setting", "share"])
    table = bandit_trials.trial_table(trials)
    assert table.loc["a"].tolist() == ["x 2, y 3", 0.4, 2, pytest.approx(0.3), 0.2]
    assert table.loc["b", "best setting"] == "x 5"
