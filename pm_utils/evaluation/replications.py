"""Means over replications of an experiment, with their margins."""

from collections.abc import Sequence

from scipy.stats import t as student

from pm_utils.inputs import numbers


def mean_and_margin(values: Sequence[float], *, overlap: float = 0.0) -> tuple[float, float]:
    """Return the mean over replications and half of its 95 % interval (Student's t).

    Explained in chapter ``creative-optimisation``.

    Parameters
    ----------
    values : sequence of float
        One per replication, two or more.
    overlap : float
        Where replications are random splits of the same rows: how many rows were judged for each
        that was learned from. Then the variance of the mean is that of Nadeau and Bengio,
        :math:`(1/n + \\text{overlap}) s^2`, as splits share rows.

    Returns
    -------
    (float, float)
        The interval is the first number, give or take the second.

    Raises
    ------
    ValueError
        When there are fewer than two values, one is not finite, or `overlap` is negative.

    References
    ----------
    Nadeau & Bengio (2003), Inference for the generalization error.

    Examples
    --------
    >>> from pm_utils.evaluation.replications import mean_and_margin
    >>> mean, margin = mean_and_margin([1.0, 2.0, 3.0])
    >>> mean, round(margin, 3)  # 4.303 · 1 / √3
    (2.0, 2.484)
    >>> round(mean_and_margin([1.0, 2.0, 3.0], overlap=0.5)[1], 3)  # three splits of the same rows
    3.928
    """
    values, n = numbers(values, "values", ndim=1), len(values)
    if n < 2:
        raise ValueError(f"{n} value(s) have no margin: give one per replication, two or more")
    share = 1 / n + float(numbers(overlap, "overlap", low=0))
    return float(values.mean()), float(student.ppf(0.975, n - 1) * values.std(ddof=1) * share**0.5)
