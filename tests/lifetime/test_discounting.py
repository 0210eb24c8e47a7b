"""Discounted values by hand and by summation."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pm_utils import formulas
from pm_utils.lifetime import discounting


def test_a_retained_value_by_hand():
    """At γ = 0.5 and s = 0.5: 8 + 2 + 0.5 = 10.5 in three periods, 8 / (1 − 1/4) without end."""
    value = {"margin": 8.0, "discount_factor": 0.5, "retention": 0.5}
    assert discounting.retained_value(**value, periods=3) == pytest.approx(10.5)
    assert discounting.retained_value(**value) == pytest.approx(32 / 3)
    assert discounting.retained_value(8.0, 0.0) == 8
    assert discounting.retained_value(8.0, 1.0, periods=5) == 40


@given(st.floats(0.1, 0.99), st.floats(0, 1), st.integers(1, 40))
def test_it_is_the_books_lifetime_value_of_margins_that_shrink(factor, stays, periods):
    margins = 7 * stays ** np.arange(periods)
    expected = formulas.lifetime_value(margins, np.zeros(periods), factor)
    found = discounting.retained_value(7, factor, retention=stays, periods=periods)
    assert found == pytest.approx(expected, rel=1e-9)


def test_without_discount_and_loss_each_customer_of_many_gets_all_periods():
    found = discounting.retained_value(2.0, 1.0, retention=np.array([1.0, 0.5]), periods=3)
    assert found == pytest.approx([6, 3.5])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"discount_factor": 1.2}, r"discount_factor is out of range \(1.2\): give numbers from 0"),
        ({"retention": -0.1}, r"retention is out of range \(-0.1\): give numbers from 0 to 1"),
        ({"retention": np.nan}, r"retention is not finite \(nan\)"),
        ({"margin": [1.0, np.inf]}, "margin is not finite in 1 of 2 rows, first row 1"),
        ({"periods": -1}, "periods is -1: give a number of at least 0"),
        ({"periods": np.nan}, "periods is nan: give a number of at least 0"),
        ({"discount_factor": 1.0}, "an endless margin has no value: give periods"),
    ],
)
def test_a_value_that_does_not_exist_is_refused(change, message):
    with pytest.raises(ValueError, match=message):
        discounting.retained_value(**({"margin": 1.0, "discount_factor": 0.9} | change))


def test_customers_are_matched_by_their_index():
    margin, stays = pd.Series([1.0, 100.0], ["a", "b"]), pd.Series([0.9, 0.1], ["b", "a"])
    found = discounting.retained_value(margin, 0.99, retention=stays)
    assert found.index.tolist() == ["a", "b"]
    assert found.tolist() == pytest.approx([1 / (1 - 0.099), 100 / (1 - 0.891)])
    periods = pd.Series([1, 3], ["b", "a"])
    shorter = discounting.retained_value(margin, 0.5, periods=periods)
    assert shorter.to_dict() == {"a": 1.75, "b": 100.0}
    plain = discounting.retained_value([[1.0], [2.0]], [0.5, 0.9])  # shapes that broadcast
    assert plain == pytest.approx(np.array([[2, 10], [4, 20]]))
    with pytest.raises(ValueError, match="retention has no row 'b' of margin"):
        discounting.retained_value(margin, 0.99, retention=stays.rename({"b": "c"}))
