"""Resampled intervals cover what they should."""

import numpy as np
import pytest

from pm_utils.evaluation.bootstrap import bootstrap_weights, paired_interval, percentile_interval


@pytest.mark.parametrize("n", [1, 2, 7, 2469])
def test_each_resample_holds_as_many_customers_as_there_are(n):
    weight = bootstrap_weights(n, 11, seed=0)
    assert weight.shape == (11, n)
    assert (weight.sum(axis=1) == n).all()
    assert (weight >= 0).all()


def test_resamples_differ_by_row_and_by_seed_only():
    first = bootstrap_weights(50, 2000, seed=1)
    np.testing.assert_array_equal(first, bootstrap_weights(50, 2000, seed=1))
    assert (first != bootstrap_weights(50, 2000, seed=2)).any()
    assert len(np.unique(first, axis=0)) == 2000
    # a customer is left out of a resample with chance (1 - 1/n)^n
    assert (first == 0).mean() == pytest.approx((1 - 1 / 50) ** 50, abs=0.01)


def test_interval_cuts_equal_tails_and_skips_what_is_not_a_number():
    values = np.arange(101.0)
    assert percentile_interval(values, 0.9) == pytest.approx((5, 95))
    assert percentile_interval(values) == pytest.approx((2.5, 97.5))
    with pytest.warns(RuntimeWarning, match="2 of 103 values are not a number"):
        assert percentile_interval([*values, np.nan, np.nan], 0.9) == pytest.approx((5, 95))
    assert all(type(end) is float for end in percentile_interval(values))


@pytest.mark.parametrize("level", [0, 1, 95, -0.5])
def test_a_level_that_is_no_share_is_refused(level):
    with pytest.raises(ValueError, match="share between 0 and 1"):
        percentile_interval([1.0, 2.0], level)


def test_a_percentile_interval_of_the_mean_covers_about_as_often_as_it_says():
    rng = np.random.default_rng(0)
    sums = [bootstrap_weights(60, 300, seed) @ rng.normal(size=60) / 60 for seed in range(150)]
    covered = [low <= 0 <= high for low, high in (percentile_interval(s, 0.8) for s in sums)]
    assert 0.70 <= np.mean(covered) <= 0.90  # 0.8, give or take three standard errors


def test_a_paired_interval_is_that_of_the_mean_difference():
    rng = np.random.default_rng(4)
    shared, gain = rng.normal(0, 10, 400), rng.normal(0.5, 1, 400)
    low, high = paired_interval(shared + gain, shared, bootstrap_weights(400, 2000, seed=1))
    half = 1.96 * gain.std() / np.sqrt(400)
    assert (low, high) == pytest.approx((gain.mean() - half, gain.mean() + half), abs=0.02)


def test_an_interval_of_nothing_is_refused():
    with pytest.raises(ValueError, match="none of 3 values is a number"):
        percentile_interval([np.nan] * 3)
    with pytest.raises(ValueError, match="values is not finite in 1 of 2 rows"):
        percentile_interval([1.0, np.inf])
    with pytest.raises(ValueError, match="n is out of range"):
        bootstrap_weights(0, 10, seed=0)
    with pytest.raises(ValueError, match=r"weight is \(2, 3\)"):
        paired_interval(np.ones(4), np.zeros(4), np.ones((2, 3)))


def test_a_resample_that_weighs_nothing_is_named():
    with pytest.raises(ValueError, match="weight is 0 throughout in 1 of 2 rows, first row 1"):
        paired_interval([1.0, 2.0], [0.0, 1.0], [[1, 1], [0, 0]])
