"""Means over replications: the margin by hand, and how often it holds."""

import numpy as np
import pytest

from pm_utils.evaluation.replications import mean_and_margin


def test_the_summary_is_a_mean_and_half_its_interval():
    mean, half = mean_and_margin([1.0, 2.0, 3.0, 6.0])
    assert mean == 3
    assert half == pytest.approx(3.182446 * np.std([1, 2, 3, 6], ddof=1) / 2)  # t, 3 degrees


def test_the_interval_of_a_few_replications_holds_at_its_level():
    draws = np.random.default_rng(0).normal(size=(4000, 5))
    mean, half = np.array([mean_and_margin(each) for each in draws]).T
    assert np.mean(np.abs(mean) < half) == pytest.approx(0.95, abs=0.012)  # 1.96 gives 0.88


def test_splits_of_the_same_rows_have_the_wider_interval_of_nadeau_and_bengio():
    values = [1.0, 2.0, 3.0, 6.0]
    mean, half = mean_and_margin(values, overlap=1.0)
    assert mean == 3
    assert half == pytest.approx(3.182446 * np.std(values, ddof=1) * np.sqrt(1 / 4 + 1))
    with pytest.raises(ValueError, match="overlap"):
        mean_and_margin(values, overlap=-0.5)


def test_one_replication_has_no_margin():
    with pytest.raises(ValueError, match=r"1 value\(s\) have no margin"):
        mean_and_margin([1.0])
