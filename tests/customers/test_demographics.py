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
    choosing = np.arange(len(truth)) % 2 == 0
    table = demographics.guess_table(truth, probabilities, choosing=choosing)
    for column in ("AUC", "AUC, choosing"):
        assert table.loc["deep", column] > 0.75
        assert 0.35 < table.loc["classical", column] < 0.65
        assert table.loc["naive", column] == 0.5
    assert table.loc["naive", "accuracy"] == pytest.approx(truth[~choosing].mean(0).max())


def test_the_two_parts_of_those_who_told_are_scored_apart(guessed):
    _, truth, probabilities = guessed
    choosing = np.arange(len(truth)) < 100
    spoilt = {name: np.where(choosing[:, None], each, 0.5) for name, each in probabilities.items()}
    whole, half = (
        demographics.guess_table(truth, each, choosing=choosing) for each in (probabilities, spoilt)
    )
    assert half.loc["deep", "AUC"] == 0.5
    assert half["AUC, choosing"].equals(whole["AUC, choosing"])
    with pytest.raises(ValueError, match="0 of 5 choose: some must, not all"):
        demographics.guess_table(truth[:5], {}, choosing=np.zeros(5, bool))


def test_the_interval_of_a_gain_holds_it(guessed):
    _, truth, probabilities = guessed
    settings = {"judged": np.arange(len(truth)) > 40, "resamples": 200, "seed": 0}
    low, high = demographics.auc_interval(truth, [probabilities], "deep", "classical", **settings)
    who = settings["judged"]
    auc = {name: demographics._auc(truth[who], each[who]) for name, each in probabilities.items()}
    assert 0 < low < auc["deep"] - auc["classical"] < high
    assert demographics.auc_interval(truth, [probabilities], "deep", "deep", **settings) == (0, 0)
    # Who is not judged may be guessed in any way.
    spoilt = {name: np.where(who[:, None], each, 0.5) for name, each in probabilities.items()}
    again = demographics.auc_interval(truth, [spoilt], "deep", "classical", **settings)
    assert again == (low, high)


def test_the_interval_covers_the_deals_too(guessed):
    _, truth, good = guessed
    bad = good | {"deep": good["classical"]}  # a deal in which the better guess is no better
    settings = {"judged": np.ones(len(truth), bool), "resamples": 200, "seed": 0}
    low, high = demographics.auc_interval(truth, [good, good], "deep", "classical", **settings)
    least, most = demographics.auc_interval(truth, [good, bad], "deep", "classical", **settings)
    assert least == 0 < low < high  # of four draws of two deals, one has nothing but the bad
    assert most > 0.5 * high
    with pytest.raises(ValueError, match="there is no deal"):
        demographics.auc_interval(truth, [], "deep", "classical", **settings)


def test_deals_differ_and_their_table_is_the_mean():
    rng = np.random.default_rng(2)
    answer = pd.Series(rng.choice(["no", "yes"], 90))
    view = (answer == "yes").to_numpy(float)[:, None] + rng.normal(0, 2, (90, 1))
    choosing = np.arange(90) % 3 == 0
    truth, guesses = demographics.guesses_over_deals(
        {"view": view}, answer, choosing, deals=3, seed=4
    )
    assert len(guesses) == 3
    assert not np.array_equal(guesses[0]["view"], guesses[1]["view"])
    table = demographics.mean_guess_table(truth, guesses, choosing=choosing)
    each = [demographics.guess_table(truth, one, choosing=choosing) for one in guesses]
    assert list(table.index) == ["naive", "view"]
    for column in each[0]:
        assert table.loc["view", column] == pytest.approx(
            np.mean([one.loc["view", column] for one in each])
        )
    assert table.loc["naive", "spread"] == 0 < table.loc["view", "spread"]
    once = demographics.mean_guess_table(truth, guesses[:1], choosing=choosing)
    assert (once["spread"] == 0).all()
    with pytest.raises(ValueError, match="deals"):
        demographics.guesses_over_deals({"view": view}, answer, choosing, deals=0, seed=4)
    with pytest.raises(ValueError, match="there is no deal"):
        demographics.mean_guess_table(truth, [], choosing=choosing)


def test_the_silent_are_expected_to_be_as_their_signal_says():
    rng = np.random.default_rng(3)
    answer = pd.Series(np.repeat(["no", "yes", None, None], 100), dtype="category")
    mean = np.repeat([-2.0, 2.0, 2.0, 2.0], 100)  # the silent look like those who said yes
    mix = demographics.expected_mix((mean + rng.normal(size=400))[:, None], answer)
    assert mix.sum().to_numpy() == pytest.approx([1, 1])
    assert mix["told"].to_dict() == {"no": 0.5, "yes": 0.5}
    assert mix.loc["yes", "never told"] > 0.75  # of those who told: 0.5


def test_answers_and_views_meet_by_customer():
    rng = np.random.default_rng(5)
    answer = pd.Series(rng.choice(["no", "yes", None], 120), [f"c{k}" for k in range(120)])
    view = pd.DataFrame({"one": rng.normal(size=120), "two": rng.normal(size=120)}, answer.index)
    mixed = view.sample(frac=1, random_state=1)
    pd.testing.assert_frame_equal(
        demographics.expected_mix(mixed, answer), demographics.expected_mix(view, answer)
    )
    both = [
        demographics.cross_validated_probabilities({"view": one}, answer, seed=0)[1]["view"]
        for one in (view, mixed)
    ]
    assert (both[0] == both[1]).all()
    gaps = view.replace(view.iloc[3, 1], np.nan)
    with pytest.raises(ValueError, match="view is not finite in 1 of 120 rows, first row 'c3'"):
        demographics.cross_validated_probabilities({"view": gaps}, answer, seed=0)
    with pytest.raises(ValueError, match="view is not finite in 1 of 120"):
        demographics.expected_mix(gaps, answer)
    with pytest.raises(ValueError, match="answer 120, view 5 rows"):
        demographics.expected_mix(view.to_numpy()[:5], answer)


def test_a_question_that_tells_nothing_is_refused():
    view = np.zeros((6, 1))
    with pytest.raises(ValueError, match="answers: 'no' 6; give two or more"):
        demographics.cross_validated_probabilities({"view": view}, pd.Series(["no"] * 6), seed=0)
    with pytest.raises(ValueError, match="6 of 6 told: some must, and some must not"):
        demographics.expected_mix(view, pd.Series(["no", "yes"] * 3))
    half = np.full((4, 2), 0.5)
    views = {"naive": half, "classical": half, "deep": half}
    with pytest.raises(ValueError, match="truth holds 1.0, 2.0"):
        demographics.guess_table(half * [2, 4], views, choosing=np.arange(4) < 2)


def test_answers_of_few_customers_are_named():
    view = np.random.default_rng(0).normal(size=(104, 2))
    few = pd.Series(["x"] * 100 + ["y"] * 4)
    with pytest.raises(ValueError, match="'x' 100, 'y' 4; give two or more, of at least 5 custom"):
        demographics.cross_validated_probabilities({"view": view}, few, seed=0)
    with pytest.raises(ValueError, match="of at least 6 customers each"):
        demographics.cross_validated_probabilities({"view": view}, few, seed=0, folds=6)
    with pytest.raises(ValueError, match="strength"):
        demographics.cross_validated_probabilities({"view": view}, few, seed=0, strength=0, folds=2)
    enough = pd.Series(["x"] * 99 + ["y"] * 5)
    _, found = demographics.cross_validated_probabilities({"view": view}, enough, seed=0)
    assert np.isfinite(found["view"]).all()
    with pytest.raises(ValueError, match="'x' 100, 'y' 2; give two or more, of at least 3"):
        demographics.expected_mix(view, pd.Series(["x"] * 100 + ["y"] * 2 + [None] * 2))


def test_a_view_may_have_any_name_but_the_guess_without_one():
    view, answer = np.eye(2)[[0, 1] * 20], pd.Series(["x", "y"] * 20)
    _, found = demographics.cross_validated_probabilities({"answer": view}, answer, seed=0)
    assert list(found) == ["naive", "answer"]
    with pytest.raises(ValueError, match="a view is called 'naive'"):
        demographics.cross_validated_probabilities({"naive": view}, answer, seed=0)


def test_those_who_choose_decide_the_strength_of_each_view():
    rng = np.random.default_rng(6)
    answer = pd.Series(rng.choice(["no", "yes"], 120))
    views = {"many": rng.normal(size=(120, 60)) + 0.3 * (answer == "yes").to_numpy()[:, None]}
    choosing = np.arange(120) < 60
    truth, (found,) = demographics.guesses_over_deals(views, answer, choosing, deals=1, seed=0)
    auc = {}
    for strength in demographics.REGRESSION_STRENGTHS:
        _, guess = demographics.cross_validated_probabilities(
            views, answer, seed=0, strength=strength
        )
        table = demographics.guess_table(truth, guess, choosing=choosing)
        auc[table.loc["many", "AUC, choosing"]] = guess["many"]
    assert len(auc) > 1
    assert np.array_equal(found["many"], auc[max(auc)])
