"""Intervals from resampled units."""

import warnings

import numpy as np
from numpy.typing import ArrayLike

from pm_utils.inputs import aligned_weights, numbers, plain, refuse, share, whole_numbers


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

    Raises
    ------
    ValueError
        When there is no unit or no resample.

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
    n, repeats = (int(whole_numbers(*each, low=1)) for each in ((n, "n"), (repeats, "repeats")))
    return np.random.default_rng(seed).multinomial(n, np.full(n, 1 / n), size=repeats)


def percentile_interval(values: ArrayLike, level: float = 0.95) -> tuple[float, float]:
    """Return the percentile interval of bootstrap values.

    Explained in chapter ``formulas``.

    Parameters
    ----------
    values : array of shape (R,)
        Those that are not a number are left out, with a warning: resamples that miss what a score
        needs, such as one of the two classes.
    level : float
        The share of values that the interval holds.

    Returns
    -------
    (float, float)
        Its lower and upper end.

    Raises
    ------
    ValueError
        When `level` is not between 0 and 1, a value is infinite or none is a number.

    Warns
    -----
    RuntimeWarning
        When some values are not a number: the interval is that of the others.

    References
    ----------
    Efron & Tibshirani (1993), An introduction to the bootstrap, ch. 13.

    Examples
    --------
    >>> from pm_utils.evaluation.bootstrap import percentile_interval
    >>> percentile_interval([0, 1, 2, 3, 4], level=0.5)
    (1.0, 3.0)
    """
    level = share(level, "level")
    values = np.asarray(plain(values), float)
    missing = np.isnan(values)
    if missing.all():
        raise ValueError(f"none of {values.size:,} values is a number: there is no interval")
    numbers(np.where(missing, 0.0, values), "values")
    if missing.any():
        told = f"{missing.sum():,} of {values.size:,} values are not a number"
        warnings.warn(f"{told}: the interval leaves them out", RuntimeWarning, stacklevel=2)
    tail = (1 - level) / 2
    low, high = np.nanquantile(values, [tail, 1 - tail])
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
        From `bootstrap_weights`; the columns of a table of pandas are matched with the units.
    level : float

    Returns
    -------
    (float, float)
        Its lower and upper end, for `first` minus `second`.

    Raises
    ------
    ValueError
        When a score is not finite, the scores cannot be matched, the weights are not those of so
        many units, or a resample weighs nothing.

    Examples
    --------
    >>> import numpy as np
    >>> from pm_utils.evaluation.bootstrap import bootstrap_weights, paired_interval
    >>> second = np.array([1.0, 5.0, 9.0])  # far apart, but `first` is above by 1 in each
    >>> paired_interval(second + 1, second, bootstrap_weights(3, 100, seed=0))
    (1.0, 1.0)
    """
    weight, first, second = aligned_weights(weight, first=first, second=second)
    weight = plain(weight)  # in the order of the scores
    gap = numbers(first, "first", ndim=1) - numbers(second, "second", ndim=1)
    return percentile_interval(weighted_means(gap, weight), level)


def weighted_means(values: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """Return the mean of values (N,) in each resample (R, N) → (R,).

    Raises
    ------
    ValueError
        When a value is not finite, a resample weighs nothing, so has no mean, or as
        `resample_weights`. Tables of pandas are matched as in `paired_interval`.

    Examples
    --------
    >>> import numpy as np
    >>> from pm_utils.evaluation.bootstrap import weighted_means
    >>> weighted_means(np.array([1.0, 5.0]), np.array([[1, 1], [0, 2]]))
    array([3., 5.])
    """
    weight, values = aligned_weights(weight, values=values)
    values = numbers(values, "values", ndim=1)
    weight = resample_weights(weight, len(values))
    total = weight.sum(axis=1)
    refuse(~(total > 0), "weight is 0 throughout", "give each resample some unit")
    return weight @ values / total


def resample_weights(weight: ArrayLike, n: int) -> np.ndarray:
    """Return weights of resamples as they are, or refuse them.

    Parameters
    ----------
    weight : array of shape (R, n)
        How much each of n units counts in each resample.
    n : int

    Raises
    ------
    ValueError
        When the shape is another, or a weight is negative or not finite.

    Examples
    --------
    >>> from pm_utils.evaluation.bootstrap import resample_weights
    >>> resample_weights([[1, 1], [2, 0]], 2).sum()
    np.int64(4)
    >>> resample_weights([[1, 1]], 3)
    Traceback (most recent call last):
    ValueError: weight is (1, 2): give one row per resample and one column per unit, 3
    """
    array = plain(weight)
    if array.ndim != 2 or array.shape[1] != n:
        raise ValueError(
            f"weight is {array.shape}: give one row per resample and one column per unit, {n:,}"
        )
    return array if array.dtype.kind in "bu" else _at_least_zero(array)


def _at_least_zero(array: np.ndarray) -> np.ndarray:
    """The weights, of their own type, where all are finite and none is negative."""
    if array.dtype.kind != "i" or (array < 0).any():
        return numbers(array, "weight", low=0)
    return array
