"""Gain, lift and profit by hand."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

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
