"""Intervals from resampled units."""

import numpy as np
from numpy.typing import ArrayLike


def bootstrap_weights(n: int, repeats: int, seed: int) -> np.ndarray:
    """Draw how often each of `n` units enters each of `repeats` resamples.

    Explained in chapter ``data-preparation``.

    Parameters
    ----------
    n, repeats : int
        Units (customers) and resamples.
    seed : int

    Returns
    -------
    array of shape (repeats, n)
        Each row sums to `n`.

    References
    ----------
    Efron & Tibshirani (1993), An introduction to the bootstrap, ch. 6.

    Examples
    --------
    >>> from pm_utils.evaluation.bootstrap import bootstrap_weights
    >>> weight = bootstrap_weights(4, 1000, seed=0)
    >>> weight.shape, set(weight.sum(axis=1).tolist())
    ((1000, 4), {4})
    """
    return np.random.default_rng(seed).multinomial(n, np.full(n, 1 / n), size=repeats)


def percentile_interval(values: ArrayLike, level: float = 0.95) -> tuple[float, float]:
    """Return the percentile interval of bootstrap values.

    Explained in chapter ``formulas``.

    Parameters
    ----------
    values : array of shape (R,)
        Those that are not a number are left out.
    level : float
        The share of values that the interval holds.

    Returns
    -------
    (float, float)
        Its lower and upper end.

    Raises
    ------
    ValueError
        When `level` is not between 0 and 1.

    References
    ----------
    Efron & Tibshirani (1993), An introduction to the bootstrap, ch. 13.

    Examples
    --------
    >>> from pm_utils.evaluation.bootstrap import percentile_interval
    >>> percentile_interval([0, 1, 2, 3, float("nan"), 4], level=0.5)
    (1.0, 3.0)
    """
    if not 0 < level < 1:
        raise ValueError(f"level is {level}: give a share between 0 and 1, such as 0.95")
    tail = (1 - level) / 2
    low, high = np.nanquantile(np.asarray(values, float), [tail, 1 - tail])
    return float(low), float(high)


def paired_interval(
    first: np.ndarray, second: np.ndarray, weight: np.ndarray, level: float = 0.95
) -> tuple[float, float]:
    """Return the bootstrap interval of a mean difference between two scores of the same units.

    Explained in chapter ``customer-profile``.

    Parameters
    ----------
    first, second : arrays of shape (N,)
    weight : array of shape (R, N)
        From `bootstrap_weights`.
    level : float

    Returns
    -------
    (float, float)
        Its lower and upper end, for `first` minus `second`.

    Examples
    --------
    >>> import numpy as np
    >>> from pm_utils.evaluation.bootstrap import bootstrap_weights, paired_interval
    >>> second = np.array([1.0, 5.0, 9.0])  # far apart, but `first` is above by 1 in each
    >>> paired_interval(second + 1, second, bootstrap_weights(3, 100, seed=0))
    (1.0, 1.0)
    """
    return percentile_interval(weight @ (first - second) / weight.sum(axis=1), level)
