"""Fréchet distance beside closed forms, scipy's matrix root, and what sampling does to it."""

import numpy as np
import pytest
from scipy.linalg import sqrtm

from pm_utils.evaluation.frechet import frechet_distance, frechet_floor, frechet_gaps


def sample(mean, covariance, n: int, seed: int = 0) -> np.ndarray:
    """Draw rows whose mean and covariance are exactly as asked for."""
    mean, covariance = np.asarray(mean, float), np.asarray(covariance, float)
    rows = np.random.default_rng(seed).normal(size=(n, len(mean)))
    rows -= rows.mean(0)
    whiten = np.linalg.inv(np.linalg.cholesky(np.cov(rows, rowvar=False)))
    return rows @ whiten.T @ np.linalg.cholesky(covariance).T + mean


def random_covariance(d: int, seed: int) -> np.ndarray:
    factor = np.random.default_rng(seed).normal(size=(d, d))
    return factor @ factor.T + 0.1 * np.eye(d)


def test_diagonal_gaussians_by_hand():
    first = sample([0, 0], np.diag([1.0, 4.0]), 50)
    second = sample([3, 4], np.diag([9.0, 1.0]), 70, seed=1)
    # |mean gap|² = 25; (1 - 3)² + (2 - 1)² = 5
    assert frechet_distance(first, second) == pytest.approx(30, rel=1e-10)


@pytest.mark.parametrize("d", [2, 8, 40])
def test_any_gaussians_beside_scipys_matrix_root(d):
    one, other = random_covariance(d, 1), random_covariance(d, 2)
    mean = np.random.default_rng(3).normal(size=d)
    root = sqrtm(one @ other)
    expected = mean @ mean + np.trace(one + other - 2 * np.real(root))
    found = frechet_distance(sample(np.zeros(d), one, 300), sample(mean, other, 400, seed=1))
    assert found == pytest.approx(expected, rel=1e-8)


def test_it_is_a_squared_distance():
    one, other = random_covariance(5, 4), random_covariance(5, 5)
    first, second = sample(np.zeros(5), one, 60), sample(np.ones(5), other, 60, seed=1)
    gap = frechet_distance(first, second)
    assert gap == pytest.approx(frechet_distance(second, first), rel=1e-10)
    assert frechet_distance(first, first) == pytest.approx(0, abs=1e-9)
    assert frechet_distance(10 * first, 10 * second) == pytest.approx(100 * gap, rel=1e-9)
    turn, _ = np.linalg.qr(np.random.default_rng(6).normal(size=(5, 5)))
    assert frechet_distance(first @ turn + 7, second @ turn + 7) == pytest.approx(gap, rel=1e-9)


def test_a_feature_that_never_varies_does_no_harm():
    first = np.c_[sample([0, 0], np.eye(2), 50), np.zeros(50)]
    second = np.c_[sample([0, 0], np.eye(2), 50), np.full(50, 2.0)]
    assert frechet_distance(first, second) == pytest.approx(4, rel=1e-9)


@pytest.mark.parametrize(
    ("first", "second", "message"),
    [
        (np.ones((9, 3)), np.ones((9, 4)), "first has 3 features and second 4"),
        (np.ones((4, 4)), np.ones((9, 4)), r"first has shape \(4, 4\)"),
        (np.ones((9, 4)), np.ones((3, 4)), r"second has shape \(3, 4\)"),
        (np.ones(9), np.ones((9, 4)), r"first has shape \(9,\)"),
        (np.full((9, 2), np.nan), np.ones((9, 2)), "not finite"),
    ],
)
def test_samples_that_have_no_distance_are_refused(first, second, message):
    with pytest.raises(ValueError, match=message):
        frechet_distance(first, second)


def test_the_floor_shrinks_with_the_sample_and_bounds_another_distribution():
    rng = np.random.default_rng(0)
    real, other = rng.normal(size=(4000, 8)), rng.normal(size=(500, 8)) * 1.5
    small, large = (frechet_floor(real, n, repeats=5, seed=0) for n in (100, 1000))
    assert small > 5 * large > 0  # of order d² / n
    assert frechet_distance(real[:500], other) > 10 * frechet_floor(real, 500, repeats=5, seed=0)
    assert frechet_floor(real, 100, repeats=5, seed=0) == small
    with pytest.raises(ValueError, match="4000 rows make no two samples of 2001"):
        frechet_floor(real, 2001, repeats=1, seed=0)


def test_gaps_have_the_sign_of_the_truth_and_vanish_between_equals():
    rng = np.random.default_rng(1)
    real, near, far = (
        rng.normal(size=(600, 4)),
        rng.normal(size=(300, 4)),
        rng.normal(size=(300, 4)),
    )
    gaps = frechet_gaps(real, near, far + 1, repeats=40, seed=0)
    assert gaps.shape == (40,)
    assert gaps.max() < 0
    point = frechet_distance(real, near) - frechet_distance(real, far + 1)
    assert gaps.mean() == pytest.approx(point, abs=4 * gaps.std())
    assert np.abs(frechet_gaps(real, near, near, repeats=5, seed=0)).max() == 0
