r"""Rates whose unit is the customer.

The rate of a stage is a ratio of sums over customers, :math:`R = \sum_i y_i / \sum_i n_i`. Rows of
one customer are alike, so the variance comes from the customers' residuals (delta method):

.. math::
    \widehat{\operatorname{var}}(R) = \frac{K}{K - 1}
      \frac{\sum_i (y_i - R n_i)^2}{(\sum_i n_i)^2}

with K customers who reached the stage. The *design effect* is this variance over that of
independent rows, :math:`R (1 - R) / \sum n_i`, or 1 where that is less, and :math:`\sum n_i` over
it is how many independent rows the data are worth. Wilson's interval with that number stays within
0 and 1."""

from dataclasses import dataclass

import numpy as np
from scipy.stats import norm

from pm_utils.inputs import aligned, numbers, refuse, share


@dataclass(frozen=True)
class Rate:
    """A rate, its 95 % interval, and its variance over that of independent rows.

    Attributes
    ----------
    value, low, high : float
        The value is not a number, and the interval 0 to 1, where nobody reached the stage.
    design_effect : float
        At least 1; 1 where every outcome is the same.
    """

    value: float
    low: float
    high: float
    design_effect: float


def wilson(hits: float, tries: float, *, level: float = 0.95) -> tuple[float, float]:
    """Return Wilson's interval of a share; 0 to 1 where nobody tried.

    Parameters
    ----------
    hits, tries : float
        Need not be whole: `tries` may be an effective number.
    level : float
        Between 0 and 1.

    Raises
    ------
    ValueError
        When there are more hits than tries, a number is negative or not finite, or the level is
        not between 0 and 1.

    References
    ----------
    Wilson (1927); Brown, Cai & DasGupta (2001), Interval estimation for a binomial proportion.

    Examples
    --------
    >>> from pm_utils.measurement.rates import wilson
    >>> low, high = wilson(0, 10)  # no hit is no proof of a rate of 0
    >>> round(low, 2), round(high, 2)
    (0.0, 0.28)
    """
    if not 0 <= hits <= tries:
        raise ValueError(f"{hits} hits among {tries} tries: give 0 <= hits <= tries")
    numbers([hits, tries], "hits and tries")
    level = share(level, "level")
    if tries == 0:
        return 0.0, 1.0
    z = norm.ppf((1 + level) / 2)
    rate, shrink = hits / tries, 1 + z**2 / tries
    middle = (rate + z**2 / (2 * tries)) / shrink
    half = z * np.sqrt(rate * (1 - rate) / tries + z**2 / (4 * tries**2)) / shrink
    return float(max(0.0, middle - half)), float(min(1.0, middle + half))


def clustered_rate(part: np.ndarray, whole: np.ndarray, *, level: float = 0.95) -> Rate:
    """Estimate a rate from each customer's counts by the module's formula.

    Explained in chapter ``funnel``.

    Parameters
    ----------
    part, whole : arrays of shape (N,)
        How often each customer passed the stage, and how often they reached it.
    level : float

    Raises
    ------
    ValueError
        When a customer passed more often than they reached, a count is negative or not finite, or
        the customers cannot be matched.

    References
    ----------
    Deng, Knoblich & Lu (2018), Applying the delta method in metric analytics.

    Examples
    --------
    Ten of twenty impressions were clicked, by one of two customers or by both alike:

    >>> import numpy as np
    >>> from pm_utils.measurement.rates import clustered_rate
    >>> shown = np.array([10, 10])
    >>> one = clustered_rate(np.array([0, 10]), shown)
    >>> both = clustered_rate(np.array([5, 5]), shown)
    >>> round(one.low, 2), round(one.high, 2), round(one.design_effect)  # as good as one row
    (0.05, 0.95, 20)
    >>> round(both.low, 2), round(both.high, 2), round(both.design_effect)
    (0.3, 0.7, 1)
    """
    rows, whole = aligned(part=part, whole=whole)
    part = numbers(rows, "part", low=0, ndim=1).astype(float)
    whole = numbers(whole, "whole", low=0, ndim=1).astype(float)
    if (over := part > whole).any():
        told = f"{part[over][0]:g} of {whole[over][0]:g}"
        remedy = "a stage is passed at most as often as it is reached"
        refuse(over, "part is above whole", remedy, rows=rows, shown=told)
    reached, total = int((whole > 0).sum()), whole.sum()
    if reached == 0:
        return Rate(np.nan, 0.0, 1.0, 1.0)
    rate = part.sum() / total
    independent = rate * (1 - rate) / total  # the variance if rows were
    design_effect = 1.0
    if independent > 0 and reached > 1:
        variance = ((part - rate * whole) ** 2).sum() / total**2 * reached / (reached - 1)
        design_effect = max(1.0, variance / independent)
    # where no variance is seen, count customers, not rows
    effective_size = reached if independent == 0 else total / design_effect
    low, high = wilson(rate * effective_size, effective_size, level=level)
    return Rate(float(rate), low, high, float(design_effect))
