"""Scales come from training rows alone, and far values end at a bound."""

import numpy as np
import pandas as pd
import pytest

from pm_utils.learning.scaling import FARTHEST, Scaling
from pm_utils.learning.standardise import standard_scores


def test_scaling_learns_on_its_rows_and_bounds_others():
    rows = pd.DataFrame({"a": [1.0, 3.0], "b": [5.0, 5.0]})
    scaling = Scaling.learn(rows)
    assert scaling.apply(rows).to_numpy().tolist() == [[-1, 0], [1, 0]]
    far = scaling.apply(pd.DataFrame({"a": [1e6, -1e6], "b": [5.5, 5.0]}))
    assert far["a"].tolist() == [FARTHEST, -FARTHEST]
    assert far["b"].tolist() == [0.5, 0]


def test_a_constant_feature_never_moves_the_scaled_rows():
    rows = pd.DataFrame({"a": np.full(5, 3.0), "b": np.arange(5.0)})
    scaled = Scaling.learn(rows).apply(rows)
    assert (scaled["a"] == 0).all()
    assert scaled["b"].mean() == pytest.approx(0)
    assert scaled["b"].std(ddof=0) == pytest.approx(1)


def test_standard_scores_by_hand():
    view = np.array([[1.0, 5.0], [3.0, 5.0], [np.nan, 5.0]])
    assert standard_scores(view).tolist() == [[-1.0, 0.0], [1.0, 0.0], [0.0, 0.0]]


@pytest.mark.parametrize("unit", [1e-9, 1e-3, 1e6])
def test_a_unit_carries_no_information(unit):
    """A click rate as a share, in per mille or in parts of a billion comes out the same."""
    rate = pd.DataFrame({"rate": np.random.default_rng(0).gamma(1, 2e-4, 100)})
    wanted = Scaling.learn(rate).apply(rate)
    found = Scaling.learn(unit * rate).apply(unit * rate)
    np.testing.assert_allclose(found, wanted, rtol=1e-9)
    assert wanted["rate"].std(ddof=0) > 0.9
    np.testing.assert_allclose(standard_scores(unit * rate), standard_scores(rate), rtol=1e-5)


def test_columns_are_found_by_name_and_rows_keep_theirs():
    table = pd.DataFrame({"spend": [1.0, 5.0], "age": [30.0, 50.0]}, index=["b", "a"])
    scaling = Scaling.learn(table)
    other = table[["age", "spend"]].assign(more=1.0)
    pd.testing.assert_frame_equal(scaling.apply(other), scaling.apply(table))
    pd.testing.assert_frame_equal(scaling.apply(table[::-1]), scaling.apply(table)[::-1])
    permuted = Scaling.learn(table[::-1])
    pd.testing.assert_series_equal(permuted.deviation, scaling.deviation)
    with pytest.raises(KeyError, match="features has no column 'age'"):
        scaling.apply(table[["spend"]])
    with pytest.raises(ValueError, match="two columns of the name 'spend'"):
        Scaling.learn(table.set_axis(["spend", "spend"], axis=1))


@pytest.mark.parametrize("wrong", [np.nan, np.inf])
def test_a_feature_that_is_not_finite_is_named(wrong):
    table = pd.DataFrame({"spend": [1.0, 5.0], "age": [30.0, wrong]}, index=["b", "a"])
    for call in (Scaling.learn, Scaling.learn(table.fillna(1).clip(upper=99)).apply):
        with pytest.raises(ValueError, match="1 of 2 rows, first row 'a', column 'age'"):
            call(table)
    with pytest.raises(ValueError, match="no rows"):
        Scaling.learn(table.head(0))


def test_standard_scores_refuse_what_has_no_mean():
    with pytest.raises(ValueError, match="nothing is known of column 1"):
        standard_scores(np.array([[1.0, np.nan], [2.0, np.nan]]))
    with pytest.raises(ValueError, match="values is not finite in 1 of 2 rows"):
        standard_scores(np.array([[1.0], [np.inf]]))
    with pytest.raises(ValueError, match=r"shape \(0, 2\)"):
        standard_scores(np.zeros((0, 2)))
    assert standard_scores(np.full((3, 1), 0.1)).abs().max() < 1e-12
    assert standard_scores(np.array([[2.0]])).tolist() == [[0.0]]  # of one row, too
