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
