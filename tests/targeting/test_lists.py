"""Gain, lift and profit by hand."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pm_utils.targeting import lists
from pm_utils.targeting.lists import cumulative_gain, lift, number_to_contact, profit_curve

TARGET = np.array([0, 1, 0, 1])
SCORE = np.array([0.1, 0.9, 0.8, 0.3])


def test_gain_and_lift_by_hand():
    assert cumulative_gain(TARGET, SCORE).tolist() == [0, 0.5, 0.5, 1, 1]
    assert lift(TARGET, SCORE, 0.25) == 2
    assert lift(TARGET, SCORE, 0.5) == 1
    assert lift(TARGET, SCORE, 1.0) == 1


def test_profit_by_hand():
    came = profit_curve(TARGET, SCORE, margin=10, cost=4)
    assert came.tolist() == [0, 6, 2, 8, 4]
    expected = profit_curve(SCORE, SCORE, margin=10, cost=4)
    assert expected == pytest.approx([0, 5, 9, 8, 5])
    assert number_to_contact(SCORE, margin=10, cost=4) == 2


@given(
    st.lists(st.floats(0.01, 0.99), min_size=1, max_size=30), st.floats(1, 50), st.floats(0.1, 9)
)
def test_contacting_those_above_cost_over_margin_is_the_best_expected(probabilities, margin, cost):
    probability = np.array(probabilities)
    curve = profit_curve(probability, probability, margin=margin, cost=cost)
    assert curve[number_to_contact(probability, margin=margin, cost=cost)] == pytest.approx(
        curve.max(), abs=1e-9
    )


def test_money_must_be_positive_and_somebody_must_redeem():
    with pytest.raises(ValueError, match="cost 0"):
        profit_curve(TARGET, SCORE, margin=1, cost=0)
    with pytest.raises(ValueError, match="margin is -1"):
        profit_curve(TARGET, SCORE, margin=-1, cost=1)
    with pytest.raises(ValueError, match="no positive"):
        cumulative_gain(np.zeros(3), np.ones(3))


@given(st.integers(1, 40), st.integers(0, 1_000))
def test_gain_never_falls_and_a_perfect_order_is_never_beaten(n, seed):
    rng = np.random.default_rng(seed)
    target = rng.integers(0, 2, n)
    target[0] = 1
    gain, best = cumulative_gain(target, rng.random(n)), cumulative_gain(target, target)
    assert (np.diff(gain) >= 0).all()
    assert (gain <= best + 1e-12).all()
    assert lift(target, target, 1 / n) == pytest.approx(n / target.sum())


# --- Inputs ---------------------------------------------------------------------------------------

CURVES = {
    "cumulative_gain": cumulative_gain,
    "lift": lambda target, score: lift(target, score, 0.3),
    "profit_curve": lambda target, score: profit_curve(target, score, margin=4, cost=1),
}


def test_equal_scores_share_what_they_bring():
    """Two of the three rows at 0.5 are positive: each brings two thirds of one."""
    target, score = np.array([1, 1, 0, 1]), np.array([0.5, 0.5, 0.5, 0.9])
    assert cumulative_gain(target, score) == pytest.approx(np.array([0, 1, 5 / 3, 7 / 3, 3]) / 3)
    curve = profit_curve(target, score, margin=3, cost=1)
    assert curve == pytest.approx([0, 2, 3, 4, 5])
    bought = np.sort(np.arange(2000) % 7 == 0)[::-1]
    for share in (0.05, 0.1, 0.5):
        assert lift(bought, np.zeros(2000), share) == pytest.approx(1)


@pytest.mark.parametrize("name", CURVES)
@given(st.integers(0, 1_000))
def test_the_order_of_rows_does_not_matter(name, seed):
    rng = np.random.default_rng(0)
    rows = pd.DataFrame({"target": rng.integers(2, size=50), "score": rng.integers(5, size=50)})
    order = np.random.default_rng(seed).permutation(50)
    expected = CURVES[name](rows.target, rows.score)
    mixed = rows.iloc[order]
    assert np.array_equal(expected, CURVES[name](mixed.target.to_numpy(), mixed.score.to_numpy()))
    assert np.array_equal(expected, CURVES[name](rows.target, mixed.score))  # by index


@pytest.mark.parametrize("name", CURVES)
def test_unknown_scores_and_targets_are_refused(name):
    target, score = np.r_[np.ones(10), np.zeros(90)], np.linspace(0, 1, 100)
    hole = np.where(target > 0, np.nan, score)
    with pytest.raises(ValueError, match="not finite in 10 of 100 rows, first row 0"):
        CURVES[name](target, hole)
    with pytest.raises(ValueError, match=r"give 0 and 1|out of range"):
        CURVES[name](2 * target - 1, score)
    with pytest.raises((TypeError, ValueError), match="holds 'no', 'yes'"):
        CURVES[name](np.where(target > 0, "yes", "no"), score)
    with pytest.raises(ValueError, match=r"missing in 20 of 100|not finite in 20 of 100"):
        CURVES[name](np.where(np.arange(100) < 20, np.nan, target), score)
    with pytest.raises(ValueError, match="99"):
        CURVES[name](target[1:], score)


def test_shares_and_chances_out_of_range_are_refused():
    for share in (0, -0.1, 30, np.nan):
        with pytest.raises(ValueError, match="share is"):
            lift(TARGET, SCORE, share)
    with pytest.raises(ValueError, match="probability is out of range in 2 of 3 rows"):
        number_to_contact([0.1, 50, 80], margin=10, cost=2)
    with pytest.raises(ValueError, match="cost nan"):
        number_to_contact([0.1], margin=10, cost=float("nan"))


def test_sums_of_the_best_are_checked_and_do_not_depend_on_the_order_of_rows():
    with pytest.raises(ValueError, match="score is not finite"):
        lists.totals_of_best([1.0, 2.0], [0.1, np.nan])
    with pytest.raises(ValueError, match="values 2"):
        lists.best_first([1.0, 2.0], [0.1])
    rng = np.random.default_rng(0)
    for score in (rng.random(1000), rng.integers(20, size=1000), np.zeros(1000)):
        values, mixed = rng.normal(size=1000), rng.permutation(1000)
        order, ends = lists.best_first(values, score)
        assert np.array_equal(order, np.lexsort((values, -score)))
        assert ends[-1] == 1000 and len(ends) == 1 + len(np.unique(score))
        total = lists.totals_of_best(values, score)
        assert np.array_equal(total, lists.totals_of_best(values[mixed], score[mixed]))
