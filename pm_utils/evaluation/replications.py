"""Means over replications of an experiment, with their margins."""

from collections.abc import Sequence

from scipy.stats import t as student

from pm_utils.inputs import numbers


def mean_and_margin(values: Sequence[float]) -> tuple[float, float]:
    """Return the mean over replications and half of its 95 % interval (Student's t).

    Explained in chapter ``creative-optimisation``.

    Parameters
    ----------
    values : sequence of float
        One per replication, two or more.

    Returns
    -------
    (float, float)
        The interval is the first number, give or take the second.

    Raises
    ------
    ValueError
        When there are fewer than two values, or one is not finite.

    Examples
    --------
    >>> from pm_utils.evaluation.replications import mean_and_margin
    >>> mean, margin = mean_and_margin([1.0, 2.0, 3.0])
    >>> mean, round(margin, 3)  # 4.303 · 1 / √3
    (2.0, 2.484)
    """
    values, n = numbers(values, "values", ndim=1), len(values)
    if n < 2:
        raise ValueError(f"{n} value(s) have no margin: give one per replication, two or more")
    return float(values.mean()), float(student.ppf(0.975, n - 1) * values.std(ddof=1) / n**0.5)
