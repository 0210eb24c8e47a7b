"""Fréchet distance between two sets of feature vectors, each taken as a Gaussian.

The features are those of a classifier of our own, so a value says nothing beside one from other
features. It also grows as samples shrink: compare values at one sample size, and put the distance
between two halves of the real thing, `frechet_floor`, beside them.
"""

import numpy as np
from numpy.typing import ArrayLike

from pm_utils.inputs import numbers, whole_numbers


def frechet_distance(first: ArrayLike, second: ArrayLike) -> float:
    """Return |μ₁ - μ₂|² + tr(Σ₁ + Σ₂ - 2 (Σ₁Σ₂)^½) of two samples.

    Parameters
    ----------
    first, second : arrays of shape (N, d) and (M, d)
        One feature vector per row; N and M above d.

    Returns
    -------
    float
        In squared units of the features, at least 0.

    Raises
    ------
    ValueError
        When the widths differ, a value is not finite, or a sample has no more rows than columns,
        which makes its covariance singular and the distance meaningless.

    References
    ----------
    Dowson & Landau (1982), The Fréchet distance between multivariate normal distributions.
    Heusel et al. (2017), GANs trained by a two time-scale update rule.

    Examples
    --------
    >>> from pm_utils.evaluation.frechet import frechet_distance
    >>> round(frechet_distance([[0.0], [2.0]], [[3.0], [5.0]]), 6)  # equal spread, means 3 apart
    9.0
    """
    first, second = _sample("first", first), _sample("second", second)
    if first.shape[1] != second.shape[1]:
        raise ValueError(
            f"first has {first.shape[1]} features and second {second.shape[1]}: give the same ones"
        )
    difference = first.mean(axis=0) - second.mean(axis=0)
    cov_first, cov_second = _covariance(first), _covariance(second)
    root = _square_root(cov_first)
    # The eigenvalues of Σ₁Σ₂, from a symmetric matrix.
    eigenvalues = np.linalg.eigvalsh(root @ cov_second @ root)
    overlap = np.sqrt(np.maximum(eigenvalues, 0)).sum()
    distance = difference @ difference + np.trace(cov_first) + np.trace(cov_second) - 2 * overlap
    return max(0.0, float(distance))


def frechet_floor(real: ArrayLike, size: int, *, repeats: int, seed: int) -> float:
    """Return the mean distance between two disjoint random samples of the real thing.

    No generator can be expected to come closer at this sample size.

    Explained in chapter ``ad-images``.

    Parameters
    ----------
    real : array of shape (N, d)
    size : int
        Rows of each sample, at most N / 2.
    repeats : int
        Pairs of samples to average over.
    seed : int

    Returns
    -------
    float

    Raises
    ------
    ValueError
        When there are fewer than 2 · size rows, no repeats, or `frechet_distance` raises.

    Examples
    --------
    >>> import numpy as np
    >>> from pm_utils.evaluation.frechet import frechet_floor
    >>> real = np.random.default_rng(0).normal(size=(400, 2))
    >>> [round(frechet_floor(real, size, repeats=10, seed=0), 2) for size in (10, 200)]
    [0.72, 0.04]
    """
    real, rng = numbers(real, "real").astype(float), np.random.default_rng(seed)
    whole_numbers(repeats, "repeats", low=1)
    if len(real) < 2 * size:
        raise ValueError(f"{len(real)} rows make no two samples of {size}: ask for fewer")
    orders = (rng.permutation(len(real)) for _ in range(repeats))
    pairs = [(real[order[:size]], real[order[size : 2 * size]]) for order in orders]
    return float(np.mean([frechet_distance(*pair) for pair in pairs]))


def frechet_gaps(
    real: np.ndarray, first: np.ndarray, second: np.ndarray, *, repeats: int, seed: int
) -> np.ndarray:
    """Return how much further `first` is from the real thing than `second`, resampled.

    Rows are drawn with replacement. Row i of both generated samples answers the same request, so
    they are drawn together; real rows are drawn by themselves.

    Explained in chapter ``ad-images``.

    Parameters
    ----------
    real : array of shape (N, d)
    first, second : arrays of shape (M, d)
    repeats, seed : int

    Returns
    -------
    array of shape (repeats,)
        Distance of `first` minus that of `second`, one per resample.

    Raises
    ------
    ValueError
        When the samples of one request are not alike in number, or as `frechet_distance`.

    Examples
    --------
    >>> import numpy as np
    >>> from pm_utils.evaluation.frechet import frechet_gaps
    >>> real = np.random.default_rng(0).normal(size=(50, 1))
    >>> gaps = frechet_gaps(real, real + 3, real, repeats=20, seed=0)
    >>> gaps.shape, bool((gaps > 0).all())  # positive: the second sample is closer
    ((20,), True)
    """
    real, first, second = (
        _sample(name, each) for name, each in (("real", real), ("first", first), ("second", second))
    )
    if len(first) != len(second):
        raise ValueError(
            f"first has {len(first):,} rows and second {len(second):,}: row i of both answers one "
            "request"
        )
    rng, gaps = np.random.default_rng(seed), []
    for _ in range(repeats):
        sample = real[rng.integers(len(real), size=len(real))]
        rows = rng.integers(len(first), size=len(first))
        gaps.append(frechet_distance(sample, first[rows]) - frechet_distance(sample, second[rows]))
    return np.array(gaps)


def _sample(name: str, values: ArrayLike) -> np.ndarray:
    values = numbers(values, name).astype(float)
    if values.ndim != 2 or len(values) <= values.shape[1]:
        raise ValueError(
            f"{name} has shape {values.shape}: give (N, d) with more rows than columns"
        )
    return values


def _covariance(sample: np.ndarray) -> np.ndarray:
    return np.atleast_2d(np.cov(sample, rowvar=False))


def _square_root(matrix: np.ndarray) -> np.ndarray:
    """Return the symmetric root of a covariance."""
    values, vectors = np.linalg.eigh(matrix)
    return (vectors * np.sqrt(np.maximum(values, 0))) @ vectors.T
