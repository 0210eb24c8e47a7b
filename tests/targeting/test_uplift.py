"""Learners of uplift on planted effects, and curves by hand."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.dummy import DummyRegressor
from sklearn.linear_model import LinearRegression, Ridge

from pm_utils.targeting import uplift


def experiment(n: int = 4000, seed: int = 0, share: float = 0.5):
    """Effects grow with the first number; the level with the second, far more strongly."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, 3))
    effect = 0.5 + x[:, 0]
    treated = rng.random(n) < share
    outcome = 5 * x[:, 1] + effect * treated + 0.5 * rng.normal(size=n)
    return x, treated, outcome, effect


def binary_experiment(n: int = 20_000, seed: int = 0):
    rng = np.random.default_rng(seed)
    x = rng.random(n)
    effect = 0.4 * x - 0.1
    treated = rng.random(n) < 0.5
    return x, treated, (rng.random(n) < 0.3 + effect * treated).astype(int), effect


class Constant(BaseEstimator, RegressorMixin):
    """A wrong model: the same number for everybody."""

    def __init__(self, value: float = 0.0) -> None:
        self.value = value

    def fit(self, x, y):
        return self

    def predict(self, x):
        return np.full(len(x), self.value)


# --- Learners -------------------------------------------------------------------------------


def test_t_learner_subtracts_two_regressions():
    x, treated, outcome, effect = experiment()
    learner = uplift.TLearner(LinearRegression()).fit(x, treated, outcome)
    by_hand = [LinearRegression().fit(x[g], outcome[g]).predict(x) for g in (treated, ~treated)]
    assert learner.predict(x) == pytest.approx(by_hand[0] - by_hand[1])
    assert learner.predict(x) == pytest.approx(effect, abs=0.2)


def test_t_learner_takes_treatment_as_bool_or_number():
    x, treated, outcome, _ = experiment(300)
    one = uplift.TLearner(Ridge()).fit(x, treated, outcome).predict(x)
    other = uplift.TLearner(Ridge()).fit(x, treated.astype(float), outcome).predict(x)
    assert np.array_equal(one, other)


def test_dr_learner_finds_the_effect_with_a_wrong_outcome_model():
    x, treated, outcome, effect = experiment(40_000)
    learner = uplift.DRLearner(DummyRegressor(), LinearRegression())
    found = learner.fit(x, treated, outcome).predict(x)
    assert np.corrcoef(found, effect)[0, 1] > 0.97
    assert found.mean() == pytest.approx(effect.mean(), abs=0.2)


@pytest.mark.parametrize("share", [0.5, 0.2])
def test_the_mean_guess_is_the_average_effect(share):
    x, treated, outcome, effect = experiment(share=share)
    learner = uplift.DRLearner(LinearRegression(), Ridge(), propensity=share)
    guess = learner.pseudo_outcomes(x, treated, outcome)
    error = guess.std() / np.sqrt(len(x))
    assert abs(guess.mean() - effect.mean()) < 3.5 * error
    naive = outcome[treated].var() / treated.sum() + outcome[~treated].var() / (~treated).sum()
    assert error < np.sqrt(naive) / 3  # the model takes away what is known of the level


def test_guesses_are_unbiased_over_the_assignment_whatever_the_model():
    """Exactly: over all assignments of a customer with known potential outcomes."""
    x, e, with_ad, without = np.zeros((4, 1)), 0.3, 2.0, -1.0
    for wrong in (0.0, 7.0):
        learner = uplift.DRLearner(Constant(wrong), Constant(), propensity=e)
        guesses = [
            learner.pseudo_outcomes(x, np.full(4, t), np.full(4, with_ad if t else without))[0]
            for t in (0, 1)
        ]
        assert (1 - e) * guesses[0] + e * guesses[1] == pytest.approx(with_ad - without)


def test_guesses_do_not_see_their_own_outcome():
    x, treated, outcome, _ = experiment(400)
    learner = uplift.DRLearner(LinearRegression(), Ridge(), seed=3)
    before = learner.pseudo_outcomes(x, treated, outcome)
    half = np.random.default_rng(3).permutation(400) % 2
    row = np.flatnonzero(half == 0)[0]
    changed = outcome.copy()
    changed[row] += 1000
    after = learner.pseudo_outcomes(x, treated, changed)
    others = np.flatnonzero((half == 0) & (np.arange(400) != row))
    assert after[others] == pytest.approx(before[others])
    weight = 2.0 if treated[row] else -2.0
    assert after[row] - before[row] == pytest.approx(1000 * weight)


# --- Curves ---------------------------------------------------------------------------------------


def test_the_gain_curve_by_hand():
    effect, score = np.array([1.0, -1.0, 3.0, 1.0]), np.array([2.0, 0.0, 3.0, 1.0])
    assert uplift.gain_curve(score, effect, points=5).tolist() == [0, 0.75, 1, 1.25, 1]


def test_no_order_gains_more_than_that_of_the_truth():
    rng = np.random.default_rng(0)
    effect = rng.normal(size=500)
    best = uplift.gain_curve(effect, effect)
    for _ in range(20):
        other = uplift.gain_curve(rng.normal(size=500), effect)
        assert (other <= best + 1e-12).all()
        assert other[-1] == pytest.approx(best[-1])


# Best-scored first. Y_t - Y_c N_t / N_c is 1 after one and two customers, 2 after three,
# 2 - 1 · 2 / 2 = 1 after four, 2 - 1 · 3 / 2 = 0.5 after five, 2 - 1 · 3 / 3 = 1 after six,
# 3 - 1 · 4 / 3 after seven and 3 - 2 · 4 / 4 = 1 after all.
TREATED = np.array([1, 0, 1, 0, 1, 0, 1, 0])
BOUGHT = np.array([1, 0, 1, 1, 0, 0, 1, 1])


def test_the_qini_curve_by_hand():
    won = np.array([0, 1, 1, 2, 1, 0.5, 1, 5 / 3, 1])
    found = uplift.qini_curve(np.arange(8, 0, -1), TREATED, BOUGHT, points=9)
    assert found == pytest.approx(won / 4)  # four are treated


def test_the_qini_coefficient_by_hand_with_equal_scores():
    """Equal scores join as one step: the curve is 0, 1, 0.5, 1, 1 after 0, 2, 5, 6, 8 customers.

    Its area is 1 + 2.25 + 0.75 + 2 = 6. The best order has 0, 3, 3, 1 after 0, 3, 6, 8 with the
    area 4.5 + 9 + 4 = 17.5, and the straight line to its end 4.
    """
    score = np.array([4.0, 4, 3, 3, 3, 2, 1, 1])
    expected = (6 - 4) / (17.5 - 4)
    assert uplift.qini_coefficient(score, TREATED, BOUGHT) == pytest.approx(expected)
    mixed = np.random.default_rng(0).permutation(8)
    again = uplift.qini_coefficient(score[mixed], TREATED[mixed], BOUGHT[mixed])
    assert again == pytest.approx(expected)


@pytest.mark.parametrize(
    ("seed", "tied", "noise"),
    [
        (0, 0.22884831570665765, -0.05531155409865302),
        (1, 0.1799010057351508, 0.0005624653879619444),
        (2, 0.15886469881373286, 0.018051563789963625),
    ],
)
def test_the_qini_coefficient_is_what_scikit_uplift_returned(seed, tied, noise):
    """Recorded from `qini_auc_score` of its last release, 0.5.1."""
    rng = np.random.default_rng(seed)
    x, treated = rng.integers(0, 20, 300), (rng.random(300) < 0.4).astype(int)
    bought = (rng.random(300) < 0.2 + 0.03 * x * treated).astype(int)
    assert uplift.qini_coefficient(x, treated, bought) == pytest.approx(tied, rel=1e-12)
    other = uplift.qini_coefficient(rng.random(300), treated, bought)
    assert other == pytest.approx(noise, rel=1e-9)


def test_the_best_order_has_the_qini_coefficient_one():
    best = BOUGHT * TREATED - BOUGHT * (1 - TREATED)
    assert uplift.qini_coefficient(best, TREATED, BOUGHT) == 1


def test_the_qini_curve_estimates_the_gain_curve():
    x, treated, outcome, effect = binary_experiment(200_000)
    assert uplift.qini_curve(x, treated, outcome)[5:] == pytest.approx(
        uplift.gain_curve(x, effect)[5:], abs=0.006
    )


def test_the_qini_of_a_random_score_is_zero():
    areas = []
    for seed in range(40):
        _, treated, outcome, _ = binary_experiment(3000, seed)
        score = np.random.default_rng(100 + seed).random(3000)
        areas.append(uplift.area_over_random(uplift.qini_curve(score, treated, outcome)))
    error = np.std(areas) / np.sqrt(40)
    assert abs(np.mean(areas)) < 3 * error
    x, treated, outcome, _ = binary_experiment(3000)
    assert uplift.area_over_random(uplift.qini_curve(x, treated, outcome)) > 5 * error


def test_the_area_over_a_straight_line_is_zero_and_of_a_triangle_by_hand():
    assert uplift.area_over_random(np.linspace(0, 3, 11)) == pytest.approx(0)
    assert uplift.area_over_random(np.array([0.0, 1.0, 1.0])) == pytest.approx(0.25)


def test_the_share_is_one_for_the_truth_and_minus_for_its_opposite():
    *_, effect = binary_experiment(1000)
    assert uplift.share_of_targeting(effect, effect) == 1
    assert uplift.share_of_targeting(-effect, effect) == pytest.approx(-1, abs=0.01)
    shares = [
        uplift.share_of_targeting(np.random.default_rng(s).random(1000), effect) for s in range(50)
    ]
    assert abs(np.mean(shares)) < 0.03


@given(st.floats(0.1, 10), st.floats(-5, 5))
def test_only_the_order_of_a_score_matters(scale, shift):
    rng = np.random.default_rng(0)
    score, effect = rng.integers(1000, size=200).astype(float), rng.normal(size=200)
    assert uplift.share_of_targeting(scale * score + shift, effect) == pytest.approx(
        uplift.share_of_targeting(score, effect)
    )


def test_who_buys_is_not_whom_the_ad_changes():
    x, treated, outcome, effect = experiment(6000)
    response = LinearRegression().fit(x[treated], outcome[treated]).predict(x)
    learned = uplift.TLearner(LinearRegression()).fit(x, treated, outcome).predict(x)
    assert uplift.share_of_targeting(response, effect) < 0.4
    assert uplift.share_of_targeting(learned, effect) > 0.95


def test_judged_scores_stand_in_order():
    x, treated, outcome, effect = binary_experiment(8000)
    noise = np.random.default_rng(1).random(8000)
    table = uplift.score_uplift({"good": x, "noise": noise, "bad": -x}, treated, outcome, effect)
    assert table["Qini"]["good"] > table["Qini"]["noise"] > table["Qini"]["bad"]
    assert table["share of true gain"].to_numpy() == pytest.approx([1, 0, -1], abs=0.05)
