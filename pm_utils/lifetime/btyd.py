"""Two classical models of buying and spending, of the kind "buy till you die".

`BetaGeoNBD` says how often the customer will order, `GammaGamma` how much an order will bring. Both
read what `pm_utils.lifetime.rfm.rfm_summary` leaves of a history."""

from collections.abc import Callable
from dataclasses import astuple, dataclass
from typing import Self

import numpy as np
from numpy.typing import ArrayLike
from scipy.optimize import minimize
from scipy.special import expit, gammaln, hyp2f1, psi

LOG_BOUND = 12.0  # the fit keeps the logarithm of each parameter within this of zero


# ------------------------------------------------------------------ how often: BG/NBD


def bgnbd_log_likelihood(
    parameters: ArrayLike, frequency: ArrayLike, recency: ArrayLike, age: ArrayLike
) -> tuple[np.ndarray, np.ndarray]:
    r"""Return each customer's log likelihood and its gradient.

    .. math::
        L = \frac{\Gamma(r+x)\,\alpha^r}{\Gamma(r)} \left[
          \frac{B(a, b+x)}{B(a, b)} (\alpha+T)^{-(r+x)}
          + \mathbb 1_{x>0} \frac{B(a+1, b+x-1)}{B(a, b)} (\alpha+t_x)^{-(r+x)} \right]

    The bracket is a sum of two terms that may both be far below the smallest number that a
    computer knows; their logarithms are added by log-sum-exp.

    Explained in chapter ``lifetime-value``.

    Parameters
    ----------
    parameters : (r, alpha, a, b), above 0
    frequency, recency, age : arrays of shape (N,)
        x, t_x and T.

    Returns
    -------
    value : array of shape (N,)
    gradients : array of shape (N, 4)
        With respect to the logarithm of each parameter.

    References
    ----------
    Fader, Hardie & Lee (2005), "Counting your customers" the easy way.

    Examples
    --------
    Of a customer who never came again the likelihood is :math:`(\alpha / (\alpha + T))^r`: a and b
    have no part in it.

    >>> import numpy as np
    >>> from pm_utils.lifetime.btyd import bgnbd_log_likelihood
    >>> value, gradients = bgnbd_log_likelihood((1, 2, 1, 1), [0], [0], [2])
    >>> np.exp(value).round(3)
    array([0.5])
    >>> gradients.round(3).tolist()
    [[-0.693, 0.5, 0.0, 0.0]]
    """
    r, alpha, a, b = np.asarray(parameters, dtype=float)
    x, t_x, T = (np.asarray(part, dtype=float) for part in (frequency, recency, age))
    repeats = x > 0
    common = gammaln(r + x) - gammaln(r) + r * np.log(alpha)
    common += gammaln(a + b) - gammaln(a + b + x) - gammaln(b)
    log_stays = gammaln(b + x) - (r + x) * np.log(alpha + T)
    before = np.where(repeats, b + x - 1, 1.0)  # where x = 0 the second term is left out
    log_gone = np.log(a) + gammaln(before) - (r + x) * np.log(alpha + t_x)
    log_gone = np.where(repeats, log_gone, -np.inf)
    log_bracket = np.logaddexp(log_stays, log_gone)
    value = common + log_bracket
    gone_share = np.exp(log_gone - log_bracket)  # the second term's share of the bracket
    alive_share = 1 - gone_share
    either = psi(a + b) - psi(a + b + x)
    log_rate = alive_share * np.log(alpha + T) + gone_share * np.log(alpha + t_x)
    by_r = psi(r + x) - psi(r) + np.log(alpha) - log_rate
    by_alpha = r / alpha - (r + x) * (alive_share / (alpha + T) + gone_share / (alpha + t_x))
    by_a = either + gone_share / a
    by_b = either - psi(b) + alive_share * psi(b + x) + gone_share * psi(before)
    return value, np.column_stack([by_r * r, by_alpha * alpha, by_a * a, by_b * b])


@dataclass(frozen=True)
class BetaGeoNBD:
    """Customers who order at a rate of their own until, after some order, they are gone.

    While active, a customer's orders are a Poisson process; the rates vary between customers by a
    gamma distribution (shape r, rate alpha). After each order the customer leaves for good with a
    probability that varies by a beta distribution (a, b).

    Explained in chapter ``lifetime-value``.

    Attributes
    ----------
    r, alpha, a, b : float
        Above 0; alpha in weeks.

    References
    ----------
    Fader, Hardie & Lee (2005), "Counting your customers" the easy way: an alternative to the
    Pareto/NBD model.

    Examples
    --------
    With the parameters of the paper: two customers with two repeat orders in 39 weeks. The second
    has been silent for longer, so is less likely to be there, and fewer orders are expected.

    >>> from pm_utils.lifetime.btyd import BetaGeoNBD
    >>> model = BetaGeoNBD(r=0.243, alpha=4.414, a=0.793, b=2.426)
    >>> history = [2, 2], [30.43, 10], [38.86, 38.86]
    >>> model.probability_alive(*history).round(3)
    array([0.727, 0.268])
    >>> model.expected_orders(39, *history).round(3)
    array([1.226, 0.453])
    """

    r: float
    alpha: float
    a: float
    b: float

    @classmethod
    def fit(cls, frequency: ArrayLike, recency: ArrayLike, age: ArrayLike) -> Self:
        """Return the model of maximum likelihood; arguments as in `rfm_summary`.

        Parameters
        ----------
        frequency, recency, age : arrays of shape (N,)
            Repeat orders, and weeks; the same as for all other methods.

        Examples
        --------
        >>> from pm_utils.lifetime.btyd import BetaGeoNBD
        >>> history = [0, 1, 2, 8, 5], [0, 2, 30, 35, 12], [39, 39, 39, 36, 38]
        >>> fitted, guess = BetaGeoNBD.fit(*history), BetaGeoNBD(1, 1, 1, 1)
        >>> fitted.log_likelihood(*history) > guess.log_likelihood(*history)
        True
        """
        histories = np.column_stack([frequency, recency, age]).astype(float)
        rows, count = np.unique(histories, axis=0, return_counts=True)  # equal rows count once

        def log_likelihood(parameters: np.ndarray) -> tuple[float, np.ndarray]:
            value, gradients = bgnbd_log_likelihood(parameters, *rows.T)
            return count @ value, count @ gradients

        return cls(*_maximise_likelihood(log_likelihood, 4))

    def log_likelihood(self, frequency: ArrayLike, recency: ArrayLike, age: ArrayLike) -> float:
        """Return the total log likelihood of some customers, in nats.

        Examples
        --------
        Two customers of likelihood 1 / 2 each:

        >>> from pm_utils.lifetime.btyd import BetaGeoNBD
        >>> round(BetaGeoNBD(1, 2, 1, 1).log_likelihood([0, 0], [0, 0], [2, 2]), 3)
        -1.386
        """
        return float(bgnbd_log_likelihood(astuple(self), frequency, recency, age)[0].sum())

    def probability_alive(
        self, frequency: ArrayLike, recency: ArrayLike, age: ArrayLike
    ) -> np.ndarray:
        """Return the probability that each customer has not left yet → (N,).

        References
        ----------
        Fader, Hardie & Lee (2008), Computing P(alive) using the BG/NBD model.

        Examples
        --------
        Customers leave after a repeat order only, so who has none is still there.

        >>> from pm_utils.lifetime.btyd import BetaGeoNBD
        >>> model = BetaGeoNBD(r=0.243, alpha=4.414, a=0.793, b=2.426)
        >>> model.probability_alive([0, 1], [0, 1], [30, 30]).round(3)
        array([1.   , 0.235])
        """
        x, t_x, T = (np.asarray(part, dtype=float) for part in (frequency, recency, age))
        before = np.where(x > 0, self.b + x - 1, 1.0)
        odds = np.log(self.a / before)
        odds += (self.r + x) * (np.log(self.alpha + T) - np.log(self.alpha + t_x))
        return np.where(x > 0, expit(-odds), 1.0)

    def probability_no_order(
        self, weeks: float, frequency: ArrayLike, recency: ArrayLike, age: ArrayLike
    ) -> np.ndarray:
        """Return the probability of no order at all in the weeks to come → (N,).

        Whoever is still there has a rate that is gamma distributed with shape r + x and rate
        alpha + T, so orders nothing with probability ((alpha + T) / (alpha + T + weeks))^(r + x).

        Examples
        --------
        >>> from pm_utils.lifetime.btyd import BetaGeoNBD
        >>> model = BetaGeoNBD(r=0.243, alpha=4.414, a=0.793, b=2.426)
        >>> [round(float(model.probability_no_order(w, 2, 30, 39)), 3) for w in (0, 13, 52)]
        [1.0, 0.68, 0.403]
        """
        x, T = np.asarray(frequency, dtype=float), np.asarray(age, dtype=float)
        alive = self.probability_alive(frequency, recency, age)
        quiet = ((self.alpha + T) / (self.alpha + T + weeks)) ** (self.r + x)
        return 1 - alive + alive * quiet

    def expected_orders(
        self, weeks: float, frequency: ArrayLike, recency: ArrayLike, age: ArrayLike
    ) -> np.ndarray:
        """Return the expected days with an order in the weeks to come.

        Euler's transformation of the paper's hypergeometric function keeps every factor below
        one: with hundreds of orders the printed form multiplies a huge number by a tiny one.

        Parameters
        ----------
        weeks : float
            How far to look ahead.
        frequency, recency, age : arrays of shape (N,)

        Returns
        -------
        array of shape (N,)

        References
        ----------
        Fader, Hardie & Lee (2005), "Counting your customers" the easy way.

        Examples
        --------
        Twice the weeks bring less than twice the orders, since customers leave.

        >>> from pm_utils.lifetime.btyd import BetaGeoNBD
        >>> model = BetaGeoNBD(r=0.243, alpha=4.414, a=0.793, b=2.426)
        >>> [round(float(model.expected_orders(w, 2, 30.43, 38.86)), 3) for w in (39, 78)]
        [1.226, 2.151]
        """
        x, T = np.asarray(frequency, dtype=float), np.asarray(age, dtype=float)
        r, alpha, b = self.r, self.alpha, self.b
        a = self.a + 1e-6 * (abs(self.a - 1) < 1e-6)  # at 1 the formula is 0 / 0, with a limit
        z = weeks / (alpha + T + weeks)
        never = (1 - z) ** (a - 1) * hyp2f1(a + b - 1 - r, a - 1, a + b + x - 1, z)
        alive = self.probability_alive(frequency, recency, age)
        return (a + b + x - 1) / (a - 1) * (1 - never) * alive


# ------------------------------------------------------------------ how much: Gamma–Gamma


def gamma_gamma_log_likelihood(
    parameters: ArrayLike, frequency: ArrayLike, value: ArrayLike
) -> tuple[np.ndarray, np.ndarray]:
    r"""Return each customer's log likelihood of a mean order value, and its gradient.

    .. math::
        L = \frac{\Gamma(px+q)}{\Gamma(px)\,\Gamma(q)} \,
          \frac{v^q \, \bar m^{px-1} x^{px}}{(v + x \bar m)^{px+q}}

    Parameters
    ----------
    parameters : (p, q, v), above 0
    frequency, value : arrays of shape (N,)
        x > 0 orders, and their mean in dollars, above 0.

    Returns
    -------
    value : array of shape (N,)
    gradients : array of shape (N, 3)
        With respect to the logarithm of each parameter.

    References
    ----------
    Fader & Hardie (2013), The Gamma-Gamma model of monetary value.

    Examples
    --------
    With all parameters 1, one order of one dollar: L = 1 / (1 + 1)².

    >>> import numpy as np
    >>> from pm_utils.lifetime.btyd import gamma_gamma_log_likelihood
    >>> value, gradients = gamma_gamma_log_likelihood((1, 1, 1), [1], [1.0])
    >>> np.exp(value).round(3), gradients.shape
    (array([0.25]), (1, 3))
    """
    p, q, v = np.asarray(parameters, dtype=float)
    x, mean = np.asarray(frequency, dtype=float), np.asarray(value, dtype=float)
    total, n = v + x * mean, p * x
    likelihood = gammaln(n + q) - gammaln(n) - gammaln(q) + q * np.log(v) - np.log(mean)
    likelihood += n * np.log(x * mean) - (n + q) * np.log(total)
    by_p = x * (psi(n + q) - psi(n) + np.log(x * mean) - np.log(total))
    by_q = psi(n + q) - psi(q) + np.log(v) - np.log(total)
    by_v = q / v - (n + q) / total
    return likelihood, np.column_stack([by_p * p, by_q * q, by_v * v])


@dataclass(frozen=True)
class GammaGamma:
    """Order values that vary around a mean of the customer's own, whatever the number of orders.

    An order's value is gamma distributed (shape p) and so is, over customers, its rate (shape q,
    rate v).

    Explained in chapter ``lifetime-value``.

    Attributes
    ----------
    p, q, v : float
        Above 0; v in dollars.

    References
    ----------
    Fader & Hardie (2013), The Gamma-Gamma model of monetary value.

    Examples
    --------
    Three customers whose orders brought 100 dollars on average. After one order the expected value
    is drawn towards the mean of all, after ten hardly; who has no repeat order gets that mean.

    >>> from pm_utils.lifetime.btyd import GammaGamma
    >>> GammaGamma(p=6.25, q=3.74, v=15.44).expected_value([1, 10, 0], [100, 100, 0]).round(1)
    array([80.3, 97.3, 35.2])
    """

    p: float
    q: float
    v: float

    @classmethod
    def fit(cls, frequency: ArrayLike, value: ArrayLike) -> Self:
        """Return the model of maximum likelihood; who has no repeat order or value is left out.

        Parameters
        ----------
        frequency, value : arrays of shape (N,)
            Repeat orders, and their mean in dollars.

        Examples
        --------
        >>> from pm_utils.lifetime.btyd import GammaGamma
        >>> all_of_them = GammaGamma.fit([0, 2, 3, 5, 4], [0.0, 20.0, 35.0, 28.0, 90.0])
        >>> all_of_them == GammaGamma.fit([2, 3, 5, 4], [20.0, 35.0, 28.0, 90.0])
        True
        """
        x, mean = np.asarray(frequency, dtype=float), np.asarray(value, dtype=float)
        known = (x > 0) & (mean > 0)

        def log_likelihood(parameters: np.ndarray) -> tuple[float, np.ndarray]:
            likelihood, gradients = gamma_gamma_log_likelihood(parameters, x[known], mean[known])
            return likelihood.sum(), gradients.sum(0)

        return cls(*_maximise_likelihood(log_likelihood, 3))

    def expected_value(self, frequency: ArrayLike, value: ArrayLike) -> np.ndarray:
        """Return each customer's expected order value in dollars, shrunk towards all → (N,).

        Raises
        ------
        ValueError
            When q is at most 1: then the mean over customers is infinite.

        Examples
        --------
        With p = v = 1 and q = 2 this is (1 + x m) / (x + 1).

        >>> from pm_utils.lifetime.btyd import GammaGamma
        >>> GammaGamma(p=1, q=2, v=1).expected_value([0, 1, 3], [0.0, 9.0, 9.0])
        array([1., 5., 7.])
        """
        if self.q <= 1:
            raise ValueError(f"q is {self.q}: the mean of an order has no finite value")
        x, mean = np.asarray(frequency, dtype=float), np.asarray(value, dtype=float)
        return self.p * (self.v + x * mean) / (self.p * x + self.q - 1)


def _maximise_likelihood(log_likelihood: Callable, n_parameters: int) -> list[float]:
    """Return the parameters above 0 that maximise a log likelihood, sought by their logarithms."""
    scale = max(abs(log_likelihood(np.ones(n_parameters))[0]), 1.0)

    def loss(log_parameters: np.ndarray) -> tuple[float, np.ndarray]:
        value, gradients = log_likelihood(np.exp(log_parameters))
        return -value / scale, -gradients / scale

    bounds = [(-LOG_BOUND, LOG_BOUND)] * n_parameters
    options = {"ftol": 1e-15, "gtol": 1e-10, "maxiter": 1000, "maxfun": 3000}
    result = minimize(
        loss, np.zeros(n_parameters), jac=True, method="L-BFGS-B", bounds=bounds, options=options
    )
    return np.exp(result.x).tolist()
