"""Classical models of the lifetime table predict means above 0."""

import numpy as np
import pandas as pd
import pytest

from pm_utils.lifetime import baselines


def test_baselines_are_one_regression_per_strength_and_trees_per_size():
    names = list(baselines.lifetime_baselines(0))
    trees = len(baselines.LEAVES) * len(baselines.LEAST_ROWS)
    assert len(names) == len(baselines.STRENGTHS) + trees
    assert names[0] == "Poisson regression, 0.001"
    assert names[-1] == "boosting, 8 leaves of 60"


def test_recalibration_finds_a_planted_power_of_the_dollars():
    rng = np.random.default_rng(0)
    guessed = rng.lognormal(2, 1, 4000)
    value = rng.poisson(3 * guessed**0.5)
    found = baselines.recalibrated(guessed, value, np.array([1.0, 4.0, 100.0]))
    assert found == pytest.approx([3, 6, 30], rel=0.05)


def test_recalibration_keeps_the_order_but_under_a_cent():
    rng = np.random.default_rng(1)
    guessed, others = rng.lognormal(2, 1, 500), np.array([50.0, 0.002, 0.004, 0.02, 7.0])
    found = baselines.recalibrated(guessed, rng.poisson(guessed**0.3), others)
    assert found[1] == found[2] < found[3] < found[4] < found[0]


def test_recalibration_matches_customers_and_refuses_what_is_no_dollars():
    guessed, value = pd.Series({"a": 2.0, "b": 20.0}), pd.Series({"b": 10.0, "a": 1.0})
    found = baselines.recalibrated(guessed, value, pd.Series({"c": 8.0, "d": 0.0}))
    assert found.index.tolist() == ["c", "d"]
    assert found["c"] == pytest.approx(4, rel=1e-3)
    assert found["d"] == pytest.approx(0.005, rel=1e-2)  # as for a cent
    for wrong, message in (
        ({"value": [0.0, 0.0]}, "none of 2 customers spent"),
        ({"guessed": [-1.0, 2.0]}, "guessed is out of range"),
        ({"others": [np.nan]}, "others is not finite"),
        ({"value": [10.0, 1.0]}, "value falls as guessed rises"),
    ):
        given = {"guessed": [2.0, 20.0], "value": [1.0, 10.0], "others": [8.0]} | wrong
        with pytest.raises(ValueError, match=message):
            baselines.recalibrated(**given)
