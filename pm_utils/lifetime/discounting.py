"""What a stream of margins is worth today while the customer stays."""

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from pm_utils import inputs
from pm_utils.lifetime._rows import broadcast


def retained_value(
    margin: ArrayLike,
    discount_factor: ArrayLike,
    *,
    retention: ArrayLike = 1.0,
    periods: float = np.inf,
) -> np.ndarray:
    r"""Return what a constant margin is worth while the customer stays.

    .. math::
        \sum_{t=1}^{T} (\gamma s)^{t-1} m = m \, \frac{1 - (\gamma s)^T}{1 - \gamma s}

    Explained in chapter ``lifetime-value``.

    Parameters
    ----------
    margin : array of shape (...,)
        m, dollars per period, the first of which is now.
    discount_factor, retention : arrays of shape (...,)
        γ and s: what a dollar of the next period is worth now, and the probability that a customer
        of this period is still one in the next; both from 0 to 1, not both 1 without an end.
    periods : float
        T; infinite by default.

    Returns
    -------
    array of shape (...,), dollars
        A Series where one of a list of customers came with an index, by which they are matched.

    Raises
    ------
    ValueError
        When a factor is out of range, a number is missing, lists cannot be matched, or the sum has
        no end and no limit.

    References
    ----------
    Gupta et al. (2006), Modeling customer lifetime value.

    Examples
    --------
    Eight dollars a period, the first now: 8 + 2 + 0.5 in three periods.

    >>> from pm_utils.lifetime.discounting import retained_value
    >>> float(retained_value(8, 0.5, retention=0.5, periods=3))
    10.5
    >>> retained_value(8, 0.5, retention=[0.0, 0.5, 1.0]).round(2)  # without end
    array([ 8.  , 10.67, 16.  ])
    """
    models = margin, discount_factor, retention, periods
    margin, discount_factor, retention, periods = broadcast(
        margin=margin, discount_factor=discount_factor, retention=retention, periods=periods
    )
    factor = inputs.probabilities(discount_factor, "discount_factor")
    periods = periods.to_numpy() if isinstance(periods, pd.Series) else periods
    ratio = factor * inputs.probabilities(retention, "retention")
    if not np.all(np.asarray(periods) >= 0):
        raise ValueError(f"periods is {periods}: give a number of at least 0, or infinity")
    if np.any(np.isinf(periods) & (ratio == 1)):
        raise ValueError("without discount or loss, an endless margin has no value: give periods")
    below = np.where(ratio < 1, ratio, 0.0)
    paid = np.where(ratio < 1, (1 - below**periods) / (1 - below), periods)
    return inputs.like(inputs.numbers(margin, "margin") * paid, *models)
