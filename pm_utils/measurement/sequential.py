r"""Group-sequential tests: a few planned looks, each with a boundary of its own.

A test of two variants is read at K equally spaced looks. With :math:`S_k` the sum of k increments
of unit variance, each of mean θ, the z-statistic of look k is :math:`Z_k = S_k / \sqrt k`; the test
ends with a winner at the first look where :math:`|Z_k| \ge c_k`, at the latest at look K. The
boundaries :math:`c_k` are such that without an effect that ever happens with a chance of α. How
likely it is follows exactly from the density of :math:`S_k` among the tests that still go on, which
each look passes on to the next (Armitage, McPherson & Rowe, 1969).
"""

import numpy as np
from scipy.optimize import brentq
from scipy.stats import norm

from pm_utils.inputs import numbered, numbers, share, whole_numbers

# How a boundary falls with the share of the planned customers that have come: c_k is a constant
# times this power of k / K.
SHAPES = {"Pocock": 0.0, "O'Brien-Fleming": -0.5}
_NODES = 200  # of Gauss and Legendre, between the boundaries: the error is below 1e-9


def boundaries(looks: int, *, shape: str = "O'Brien-Fleming", alpha: float = 0.05) -> np.ndarray:
    r"""Return :math:`c_k`, what \|z\| must reach at each of K equally spaced looks.

    Pocock's is the same at every look, :math:`c_k = C`. O'Brien and Fleming's,
    :math:`c_k = C \sqrt{K / k}`, asks much of the first looks and leaves almost the whole α for
    the last one.

    Explained in chapter ``creative-optimisation``.

    Parameters
    ----------
    looks : int
        K, at least 1.
    shape : {"O'Brien-Fleming", "Pocock"}
    alpha : float
        P(a winner is called though there is none), two-sided.

    Returns
    -------
    array of shape (K,)

    Raises
    ------
    ValueError
        When there is no look, the shape is unknown or alpha is not between 0 and 1.

    References
    ----------
    Pocock (1977), Group sequential methods in the design and analysis of clinical trials.
    O'Brien & Fleming (1979), A multiple testing procedure for clinical trials.
    Jennison & Turnbull (2000), Group sequential methods, tables 2.1 and 2.3.

    Examples
    --------
    >>> from pm_utils.measurement.sequential import boundaries
    >>> boundaries(5, shape="Pocock").round(3)
    array([2.413, 2.413, 2.413, 2.413, 2.413])
    >>> boundaries(5, shape="O'Brien-Fleming").round(2)
    array([4.56, 3.23, 2.63, 2.28, 2.04])
    >>> boundaries(1).round(2)  # one look is the common test
    array([1.96])
    """
    looks, alpha = int(whole_numbers(looks, "looks", low=1)), share(alpha, "alpha")
    if shape not in SHAPES:
        raise ValueError(f"shape is {shape!r}: give one of {', '.join(map(repr, SHAPES))}")
    falling = (np.arange(1, looks + 1) / looks) ** SHAPES[shape]

    def too_many(constant: float) -> float:
        return crossing_probabilities(constant * falling)[-1] - alpha

    least, most = norm.ppf(1 - alpha / 2), norm.ppf(1 - alpha / (2 * looks))  # Bonferroni's
    return falling * (least if looks == 1 else brentq(too_many, least, most, xtol=1e-10))


def crossing_probabilities(bounds: np.ndarray, *, drift: float = 0.0) -> np.ndarray:
    r"""Return how likely a winner has been called at each look or before.

    .. math::
        f_k(s) = \int_{|u| < c_{k-1} \sqrt{k-1}} f_{k-1}(u) \, \phi(s - u - \theta) \, du

    is the density of :math:`S_k` among tests that went on, integrated by Gauss and Legendre.

    Parameters
    ----------
    bounds : array of shape (K,)
        :math:`c_k`, above 0, as from `boundaries`; looks are called by number, from 0.
    drift : float
        θ. A test planned for 80 % power at one look has :math:`\theta \sqrt K = 2.80` at K looks.

    Returns
    -------
    array of shape (K,)
        The last is the false-alarm rate where `drift` is 0, and the power where it is not.

    Raises
    ------
    ValueError
        When a number is not finite, or a boundary not positive.

    References
    ----------
    Armitage, McPherson & Rowe (1969), Repeated significance tests on accumulating data.

    Examples
    --------
    Reading \|z\| > 1.96 at each of five looks calls a winner in 14 % of tests without any:

    >>> import numpy as np
    >>> from pm_utils.measurement.sequential import boundaries, crossing_probabilities
    >>> crossing_probabilities(np.full(5, 1.96)).round(3)
    array([0.05 , 0.083, 0.107, 0.126, 0.142])
    >>> planned = 2.8 / 5**0.5  # what one look at the end would find in 80 % of tests
    >>> crossing_probabilities(boundaries(5), drift=planned).round(2)[-1]
    np.float64(0.79)
    """
    bounds = numbers(numbered(bounds, "bounds"), "bounds", ndim=1, above=0)
    drift = float(numbers(drift, "drift", ndim=0))
    nodes, weights = np.polynomial.legendre.leggauss(_NODES)
    sums, chance = np.zeros(1), np.ones(1)  # where tests that go on stand, and how likely
    called = np.zeros(len(bounds))
    for k, edge in enumerate(bounds * np.sqrt(np.arange(1, len(bounds) + 1))):
        beyond = norm.sf(edge - sums - drift) + norm.cdf(-edge - sums - drift)
        called[k] = chance @ beyond
        inside = edge * nodes
        chance = chance @ norm.pdf(inside - sums[:, None] - drift) * edge * weights
        sums = inside
    return called.cumsum()
