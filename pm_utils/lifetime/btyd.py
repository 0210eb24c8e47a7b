"""Classical models of buying and spending, of the kind "buy till you die".

`ParetoNBD`, `BetaGeoNBD` and `ModifiedBetaGeoNBD` say how often the customer will order: they
differ in when customers leave. `GammaGamma` says how much an order will bring. All read what
`pm_utils.lifetime.rfm.rfm_summary` leaves of a history.

Times may be in any unit and dollars in any currency: a fit measures them by their own mean, so
that another unit changes alpha (or v) in proportion and nothing else. Arguments that carry an index
are matched by it, and what comes back per customer is a Series of that index.
"""

import warnings
from collections.abc import Callable, Sequence
from dataclasses import astuple, dataclass
from typing import ClassVar, Self

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from scipy.optimize import minimize
from scipy.special import betaincinv, expit, gammaln, hyp2f1, psi, roots_legendre
from sklearn.exceptions import ConvergenceWarning

from pm_utils import inputs
from pm_utils.lifetime._rows import matched

LOG_BOUND = 12.0  # a fit keeps the logarithm of each parameter, in units of its own, within this
MAX_STEPS = 1000  # of each search of a fit
GAIN = 1e-6  # nats; a fit has ended where no point nearby is likelier by more
FLAT = 0.04  # nats; below, a parameter's logarithm has a deviation above 5, a factor of 150
_EXACTLY = ("L-BFGS-B", {"ftol": 1e-15, "gtol": 1e-10, "maxfun": 3 * MAX_STEPS})
_SEARCHES = (_EXACTLY, ("Nelder-Mead", {"xatol": 1e-6, "fatol": 1e-14}), _EXACTLY)
_NODES = 200  # of the quadrature where the hypergeometric function overflows
_LEAVING_NODES = 48  # of the quadrature over the time at which a customer left
_DECAY = 40.0  # a quadrature ends where its integrand has fallen by e^-40


# ------------------------------------------------------------------ how often: BG/NBD


def _history(
    frequency: ArrayLike, recency: ArrayLike, age: ArrayLike
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return x, t_x and T as floats, matched by their index, or refuse what is no history."""
    x, t_x, T = matched(frequency=frequency, recency=recency, age=age)
    rows = next((one for one in (x, t_x, T) if isinstance(one, pd.Series)), None)
    x = inputs.whole_numbers(x, "frequency").astype(float)
    t_x, T = inputs.numbers(t_x, "recency", low=0), inputs.numbers(T, "age", low=0)
    rounding = 1e-9 if t_x.dtype == T.dtype == float else 4 * float(np.finfo(np.float32).eps)
    t_x, T = t_x.astype(float), T.astype(float)
    late, remedy = t_x > T * (1 + rounding) + rounding, "give both in one unit, until one day"
    inputs.refuse(late, "recency is beyond age", remedy, rows=rows)
    fault = "recency is above 0 without a repeat order"
    inputs.refuse((x == 0) & (t_x > 0), fault, "count it from the first order", rows=rows)
    return x, np.minimum(t_x, T), T


def _to_fit(
    frequency: ArrayLike, recency: ArrayLike, age: ArrayLike
) -> tuple[np.ndarray, np.ndarray, float]:
    """Return the histories that differ (K, 3), how often each occurs, and the mean age."""
    histories = np.column_stack(_history(frequency, recency, age))
    rows, count = np.unique(histories, axis=0, return_counts=True)
    if not rows[:, 0].any():
        raise ValueError(f"none of {len(histories):,} customers ordered again: nothing to fit")
    if not rows[:, 2].any():
        raise ValueError(f"age is 0 for all of {len(histories):,} customers: nothing to fit")
    return rows, count, float(count @ rows[:, 2] / count.sum())


def _ahead(weeks: ArrayLike, *history: ArrayLike) -> tuple[np.ndarray, ...]:
    """Return weeks to look ahead, and the history, matched where the weeks are many."""
    names = "weeks", "frequency", "recency", "age"
    if isinstance(weeks, pd.Series):
        weeks, *history = matched(**dict(zip(names, (weeks, *history), strict=True)))
    return inputs.numbers(weeks, "weeks", low=0), *_history(*history)


def bgnbd_log_likelihood(
    parameters: ArrayLike,
    frequency: ArrayLike,
    recency: ArrayLike,
    age: ArrayLike,
    *,
    chances_at_first: int = 0,
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
    chances_at_first : {0, 1}
        With 1 the first order, too, is a chance to leave, as in MBG/NBD: B(a, b + x) becomes
        B(a, b + x + 1), and B(a + 1, b + x - 1) becomes B(a + 1, b + x), for every customer.

    Returns
    -------
    value : array of shape (N,)
    gradients : array of shape (N, 4)
        With respect to the logarithm of each parameter. Both carry the customers' index where they
        came with one.

    Raises
    ------
    ValueError
        When a parameter is not above 0, a number is not finite or below 0, a frequency is not
        whole, a recency lies beyond its age, or is above 0 without a repeat order.

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
    r, alpha, a, b = inputs.numbers(parameters, "parameters", above=0)
    x, t_x, T = _history(frequency, recency, age)
    chances = x + chances_at_first  # how often a customer could have left
    common = gammaln(r + x) - gammaln(r) + r * np.log(alpha)
    common += gammaln(a + b) - gammaln(a + b + chances) - gammaln(b)
    log_stays = gammaln(b + chances) - (r + x) * np.log(alpha + T)
    before = np.where(chances > 0, b + chances - 1, 1.0)  # without a chance no second term
    log_gone = np.log(a) + gammaln(before) - (r + x) * np.log(alpha + t_x)
    log_gone = np.where(chances > 0, log_gone, -np.inf)
    log_bracket = np.logaddexp(log_stays, log_gone)
    value = common + log_bracket
    gone_share = np.exp(log_gone - log_bracket)  # the second term's share of the bracket
    alive_share = 1 - gone_share
    either = psi(a + b) - psi(a + b + chances)
    log_rate = alive_share * np.log(alpha + T) + gone_share * np.log(alpha + t_x)
    by_r = psi(r + x) - psi(r) + np.log(alpha) - log_rate
    by_alpha = r / alpha - (r + x) * (alive_share / (alpha + T) + gone_share / (alpha + t_x))
    by_a = either + gone_share / a
    by_b = either - psi(b) + alive_share * psi(b + chances) + gone_share * psi(before)
    gradients = np.column_stack([by_r * r, by_alpha * alpha, by_a * a, by_b * b])
    return tuple(inputs.like(one, frequency, recency, age) for one in (value, gradients))


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
        Above 0; alpha in weeks, or what else the times are in.

    Raises
    ------
    ValueError
        When a parameter is not above 0, and by each method when a history is none: see
        `bgnbd_log_likelihood`.

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

    chances_at_first: ClassVar[int] = 0

    r: float
    alpha: float
    a: float
    b: float

    def __post_init__(self) -> None:
        """Refuse parameters that are none."""
        inputs.numbers(list(astuple(self)), "r, alpha, a, b", above=0)

    @classmethod
    def fit(cls, frequency: ArrayLike, recency: ArrayLike, age: ArrayLike) -> Self:
        """Return the model of maximum likelihood; arguments as in `rfm_summary`.

        Parameters
        ----------
        frequency, recency, age : arrays of shape (N,)
            Repeat orders, and weeks; the same as for all other methods.

        Raises
        ------
        ValueError
            When nobody ordered again, or a history is none: see `bgnbd_log_likelihood`.
        RuntimeError
            When the search for the maximum did not end.

        Warns
        -----
        ConvergenceWarning
            When a parameter ended at its bound, or could be many times larger or smaller with
            hardly a difference to the likelihood: the data do not tell it, such as how customers
            leave where nobody seems to.

        Examples
        --------
        >>> from pm_utils.lifetime.btyd import BetaGeoNBD
        >>> frequency = [0, 1, 2, 8, 5, 0, 3, 1, 0, 12]
        >>> history = frequency, [0, 2, 30, 35, 12, 0, 8, 20, 0, 38], [39] * 10
        >>> fitted, guess = BetaGeoNBD.fit(*history), BetaGeoNBD(1, 1, 1, 1)
        >>> fitted.log_likelihood(*history) > guess.log_likelihood(*history)
        True
        """
        rows, count, unit = _to_fit(frequency, recency, age)

        def log_likelihood(parameters: np.ndarray) -> tuple[float, np.ndarray]:
            x, t_x, T = rows.T
            value, gradients = bgnbd_log_likelihood(
                parameters, x, t_x / unit, T / unit, chances_at_first=cls.chances_at_first
            )
            return count @ value, count @ gradients

        return cls(*_maximise_likelihood(log_likelihood, {"r": 1, "alpha": unit, "a": 1, "b": 1}))

    def log_likelihood(self, frequency: ArrayLike, recency: ArrayLike, age: ArrayLike) -> float:
        """Return the total log likelihood of some customers, in nats.

        Examples
        --------
        Two customers of likelihood 1 / 2 each:

        >>> from pm_utils.lifetime.btyd import BetaGeoNBD
        >>> round(BetaGeoNBD(1, 2, 1, 1).log_likelihood([0, 0], [0, 0], [2, 2]), 3)
        -1.386
        """
        value, _ = bgnbd_log_likelihood(
            astuple(self), frequency, recency, age, chances_at_first=self.chances_at_first
        )
        return float(value.sum())

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
        x, t_x, T = _history(frequency, recency, age)
        chances = x + self.chances_at_first
        before = np.where(chances > 0, self.b + chances - 1, 1.0)
        odds = np.log(self.a / before)
        odds += (self.r + x) * (np.log(self.alpha + T) - np.log(self.alpha + t_x))
        return inputs.like(np.where(chances > 0, expit(-odds), 1.0), frequency, recency, age)

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
        ahead, x, t_x, T = _ahead(weeks, frequency, recency, age)
        alive = self.probability_alive(x, t_x, T)
        quiet = ((self.alpha + T) / (self.alpha + T + ahead)) ** (self.r + x)
        return inputs.like(1 - alive + alive * quiet, weeks, frequency, recency, age)

    def expected_orders(
        self, weeks: float, frequency: ArrayLike, recency: ArrayLike, age: ArrayLike
    ) -> np.ndarray:
        """Return the expected days with an order in the weeks to come.

        Euler's transformation of the paper's hypergeometric function keeps every factor below
        one: with hundreds of orders the printed form multiplies a huge number by a tiny one. Where
        even that overflows, as with a and b in the thousands, the expectation is integrated over
        the probability to leave.

        Parameters
        ----------
        weeks : float
            How far to look ahead, at least 0.
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
        ahead, x, t_x, T = _ahead(weeks, frequency, recency, age)
        r, alpha, first = self.r, self.alpha, self.chances_at_first
        a = self.a + 1e-6 * (abs(self.a - 1) < 1e-6)  # at 1 the formula is 0 / 0, with a limit
        total = a + self.b + first - 1
        z = ahead / (alpha + T + ahead)
        with np.errstate(all="ignore"):
            never = (1 - z) ** (a - 1) * hyp2f1(total - r, a - 1, total + x, z)
            orders = (total + x) / (a - 1) * (1 - never) + 0.0  # no -0
        if not np.isfinite(orders).all():
            orders = np.where(np.isfinite(orders), orders, self._integrated_orders(ahead, x, T))
        orders = orders * self.probability_alive(x, t_x, T)
        return inputs.like(orders, weeks, frequency, recency, age)

    def _integrated_orders(self, weeks: np.ndarray, x: np.ndarray, T: np.ndarray) -> np.ndarray:
        """The orders of customers who are there, as a mean over the probability to leave, p.

        Given p, they are (1 - (1 + p weeks / (alpha + T))^-(r + x)) / p.
        """
        nodes, share = roots_legendre(_NODES)
        x, T, weeks = (part[..., None] for part in np.broadcast_arrays(x, T, weeks))
        p = betaincinv(self.a, self.b + self.chances_at_first + x, (nodes + 1) / 2)
        longer = weeks / (self.alpha + T)
        with np.errstate(all="ignore"):
            given = -np.expm1(-(self.r + x) * np.log1p(p * longer)) / p
        return np.where(p > 1e-300, given, (self.r + x) * longer) @ (share / 2)

    def unconditional_orders(self, weeks: ArrayLike) -> np.ndarray:
        """Return E[X(t)]: expected days with a repeat order of a customer drawn at random.

        Parameters
        ----------
        weeks : array of any shape
            t, weeks since the customer's first order.

        Returns
        -------
        array of the same shape

        References
        ----------
        Fader, Hardie & Lee (2005), equation 9; their figure 2 adds it up over customers.

        Examples
        --------
        >>> from pm_utils.lifetime.btyd import BetaGeoNBD
        >>> model = BetaGeoNBD(r=0.243, alpha=4.414, a=0.793, b=2.426)
        >>> model.unconditional_orders([0, 39, 78]).round(3)
        array([0.   , 1.197, 1.861])
        """
        return self.expected_orders(weeks, 0, 0, 0)


@dataclass(frozen=True)
class ModifiedBetaGeoNBD(BetaGeoNBD):
    """BG/NBD in which the first order, too, is a chance to leave: MBG/NBD.

    In BG/NBD who never ordered again cannot have left. Parameters and methods are those of
    `BetaGeoNBD`.

    References
    ----------
    Batislam, Denizel & Filiztekin (2007), Empirical validation and comparison of models for
    customer base analysis.

    Examples
    --------
    Two customers with one order each, silent for a week and for 38. There is no repeat order to
    leave after, and yet they may be gone, after the first one.

    >>> from pm_utils.lifetime.btyd import ModifiedBetaGeoNBD
    >>> model = ModifiedBetaGeoNBD(r=0.525, alpha=6.183, a=0.891, b=1.614)
    >>> model.probability_alive([0, 0], [0, 0], [1, 38]).round(3)
    array([0.626, 0.392])
    """

    chances_at_first: ClassVar[int] = 1


# ------------------------------------------------------------------ how often: Pareto/NBD


def _there_and_gone(
    r: ArrayLike,
    alpha: ArrayLike,
    s: ArrayLike,
    beta: ArrayLike,
    x: np.ndarray,
    t_x: np.ndarray,
    T: np.ndarray,
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    r"""Return the logarithms of the two terms of the Pareto/NBD likelihood, and where one left.

    The second is :math:`\int_{t_x}^T s\,(\alpha+y)^{-(r+x)} (\beta+y)^{-(s+1)}\,dy`, over the time
    y at which the customer left. By Gauss–Legendre in u, with y + m = (t_x + m) e^u and m the
    lesser of alpha and beta, until the integrand is next to nothing.

    Returns
    -------
    log_there, log_gone : arrays of shape (N,)
    time, weight : arrays of shape (N, Q)
        Nodes y, and how likely each is for one who left.
    """
    log_there = -(r + x) * np.log(alpha + T) - s * np.log(beta + T)
    least = np.minimum(alpha, beta)
    longest = np.log1p((T - t_x) / (least + t_x))
    decay = (least + t_x) * ((r + x) / (alpha + t_x) + s / (beta + t_x))
    end = np.minimum(longest, _DECAY / decay)
    nodes, share = roots_legendre(_LEAVING_NODES)
    u = end[..., None] * (nodes + 1) / 2
    time = (t_x + least)[..., None] * np.exp(u) - np.asarray(least)[..., None]
    parts = (np.asarray(part)[..., None] for part in (r + x, alpha, s, beta, least))
    orders, alpha, s, beta, least = parts
    with np.errstate(divide="ignore"):  # of nobody who left: recency is age
        log_weight = (
            np.log(s * share / 2 * end[..., None] * (time + least))
            - orders * np.log(alpha + time)
            - (s + 1) * np.log(beta + time)
        )
    log_gone = np.logaddexp.reduce(log_weight, axis=-1)
    known = np.isfinite(log_gone)[..., None]
    weight = np.where(known, np.exp(log_weight - np.where(known, log_gone[..., None], 0)), 0)
    return log_there, log_gone, time, weight


def pareto_nbd_log_likelihood(
    parameters: ArrayLike, frequency: ArrayLike, recency: ArrayLike, age: ArrayLike
) -> tuple[np.ndarray, np.ndarray]:
    r"""Return each customer's log likelihood by Pareto/NBD and its gradient.

    .. math::
        L = \frac{\Gamma(r+x)\,\alpha^r \beta^s}{\Gamma(r)} \left[
          \frac{1}{(\alpha+T)^{r+x} (\beta+T)^s}
          + \int_{t_x}^T \frac{s \, dy}{(\alpha+y)^{r+x} (\beta+y)^{s+1}} \right]

    The customer is still there, or left at a time y after the last order. The papers write the
    integral as a difference of two hypergeometric functions; summed over y it does not underflow,
    and its slopes are sums over the same y.

    Parameters
    ----------
    parameters : (r, alpha, s, beta), above 0
    frequency, recency, age : arrays of shape (N,)
        x, t_x and T.

    Returns
    -------
    value : array of shape (N,)
    gradients : array of shape (N, 4)
        With respect to the logarithm of each parameter. Both carry the customers' index where they
        came with one.

    Raises
    ------
    ValueError
        As `bgnbd_log_likelihood`.

    References
    ----------
    Schmittlein, Morrison & Colombo (1987), Counting your customers: who are they and what will
    they do next?
    Fader & Hardie (2005), A note on deriving the Pareto/NBD model and related expressions.

    Examples
    --------
    With all parameters 1, no repeat order in a week: 1/4 is there still; the integral of
    (1 + y)^-3 adds 3/8.

    >>> import numpy as np
    >>> from pm_utils.lifetime.btyd import pareto_nbd_log_likelihood
    >>> value, gradients = pareto_nbd_log_likelihood((1, 1, 1, 1), [0], [0], [1])
    >>> np.exp(value).round(3), gradients.shape
    (array([0.625]), (1, 4))
    """
    r, alpha, s, beta = inputs.numbers(parameters, "parameters", above=0)
    x, t_x, T = _history(frequency, recency, age)
    log_there, log_gone, time, weight = _there_and_gone(r, alpha, s, beta, x, t_x, T)
    either = np.logaddexp(log_there, log_gone)
    value = gammaln(r + x) - gammaln(r) + r * np.log(alpha) + s * np.log(beta) + either
    gone = np.exp(log_gone - either)
    there = 1 - gone

    def mean(of_there: np.ndarray, of_time: np.ndarray) -> np.ndarray:
        return there * of_there + gone * (weight * of_time).sum(-1)

    by_r = psi(r + x) - psi(r) + np.log(alpha) - mean(np.log(alpha + T), np.log(alpha + time))
    by_alpha = r / alpha - (r + x) * mean(1 / (alpha + T), 1 / (alpha + time))
    by_s = np.log(beta) + gone / s - mean(np.log(beta + T), np.log(beta + time))
    by_beta = s / beta - mean(s / (beta + T), (s + 1) / (beta + time))
    gradients = np.column_stack([by_r * r, by_alpha * alpha, by_s * s, by_beta * beta])
    return tuple(inputs.like(one, frequency, recency, age) for one in (value, gradients))


@dataclass(frozen=True)
class ParetoNBD:
    """Customers who order at a rate of their own until, at any time, they are gone.

    While active, a customer's orders are a Poisson process; the rates vary between customers by a
    gamma distribution (shape r, rate alpha). Each customer leaves for good at a rate of their own,
    whether they order or not; these rates vary by another gamma distribution (shape s, rate beta).

    Attributes
    ----------
    r, alpha, s, beta : float
        Above 0; alpha and beta in weeks, or what else the times are in.

    Raises
    ------
    ValueError
        When a parameter is not above 0, and by each method when a history is none: see
        `bgnbd_log_likelihood`.

    References
    ----------
    Schmittlein, Morrison & Colombo (1987), Counting your customers: who are they and what will
    they do next?
    Fader & Hardie (2005), A note on deriving the Pareto/NBD model and related expressions.

    Examples
    --------
    With the published parameters of CDNOW: two customers with two repeat orders in 39 weeks. The
    second has been silent for longer, so is less likely to be there.

    >>> from pm_utils.lifetime.btyd import ParetoNBD
    >>> model = ParetoNBD(r=0.553, alpha=10.578, s=0.606, beta=11.669)
    >>> history = [2, 2], [30.43, 10], [38.86, 38.86]
    >>> model.probability_alive(*history).round(3)
    array([0.869, 0.269])
    """

    r: float
    alpha: float
    s: float
    beta: float

    def __post_init__(self) -> None:
        """Refuse parameters that are none."""
        inputs.numbers(list(astuple(self)), "r, alpha, s, beta", above=0)

    @classmethod
    def fit(cls, frequency: ArrayLike, recency: ArrayLike, age: ArrayLike) -> Self:
        """Return the model of maximum likelihood; arguments, errors and warnings as `BetaGeoNBD`.

        Examples
        --------
        >>> from pm_utils.lifetime.btyd import ParetoNBD
        >>> frequency = [0, 1, 2, 8, 5, 0, 3, 1, 0, 12]
        >>> history = frequency, [0, 2, 30, 35, 12, 0, 8, 20, 0, 38], [39] * 10
        >>> fitted, guess = ParetoNBD.fit(*history), ParetoNBD(1, 10, 1, 10)
        >>> fitted.log_likelihood(*history) > guess.log_likelihood(*history)
        True
        """
        rows, count, unit = _to_fit(frequency, recency, age)

        def log_likelihood(parameters: np.ndarray) -> tuple[float, np.ndarray]:
            x, t_x, T = rows.T
            value, gradients = pareto_nbd_log_likelihood(parameters, x, t_x / unit, T / unit)
            return count @ value, count @ gradients

        units = {"r": 1, "alpha": unit, "s": 1, "beta": unit}
        return cls(*_maximise_likelihood(log_likelihood, units))

    def log_likelihood(self, frequency: ArrayLike, recency: ArrayLike, age: ArrayLike) -> float:
        """Return the total log likelihood of some customers, in nats.

        Examples
        --------
        >>> from pm_utils.lifetime.btyd import ParetoNBD
        >>> round(ParetoNBD(1, 1, 1, 1).log_likelihood([0, 0], [0, 0], [1, 1]), 3)  # 2 log 5/8
        -0.94
        """
        return float(pareto_nbd_log_likelihood(astuple(self), frequency, recency, age)[0].sum())

    def probability_alive(
        self, frequency: ArrayLike, recency: ArrayLike, age: ArrayLike
    ) -> np.ndarray:
        """Return the probability that each customer has not left yet → (N,).

        Examples
        --------
        Here customers may leave without an order, so of one who never came again nobody is sure.

        >>> from pm_utils.lifetime.btyd import ParetoNBD
        >>> model = ParetoNBD(r=0.553, alpha=10.578, s=0.606, beta=11.669)
        >>> model.probability_alive([0, 0], [0, 0], [1, 38]).round(3)
        array([0.95, 0.3 ])
        """
        x, t_x, T = _history(frequency, recency, age)
        log_there, log_gone, *_ = _there_and_gone(*astuple(self), x, t_x, T)
        return inputs.like(expit(log_there - log_gone), frequency, recency, age)

    def probability_no_order(
        self, weeks: float, frequency: ArrayLike, recency: ArrayLike, age: ArrayLike
    ) -> np.ndarray:
        """Return the probability of no order at all in the weeks to come → (N,).

        Whoever is still there is as a newcomer with r + x, alpha + T, s and beta + T.

        Examples
        --------
        >>> from pm_utils.lifetime.btyd import ParetoNBD
        >>> model = ParetoNBD(r=0.553, alpha=10.578, s=0.606, beta=11.669)
        >>> [round(float(model.probability_no_order(w, 2, 30, 39)), 3) for w in (0, 13, 52)]
        [1.0, 0.638, 0.377]
        """
        ahead, x, t_x, T = _ahead(weeks, frequency, recency, age)
        r, alpha, s, beta = self.r + x, self.alpha + T, self.s, self.beta + T
        none = np.zeros(np.broadcast_shapes(np.shape(ahead), np.shape(T)))
        there, gone, *_ = _there_and_gone(r, alpha, s, beta, none, none, none + ahead)
        quiet = np.exp(r * np.log(alpha) + s * np.log(beta) + np.logaddexp(there, gone))
        alive = self.probability_alive(x, t_x, T)
        return inputs.like(1 - alive + alive * quiet, weeks, frequency, recency, age)

    def expected_orders(
        self, weeks: float, frequency: ArrayLike, recency: ArrayLike, age: ArrayLike
    ) -> np.ndarray:
        """Return the expected days with an order in the weeks to come → (N,).

        Parameters
        ----------
        weeks : float
            How far to look ahead, at least 0.
        frequency, recency, age : arrays of shape (N,)

        Examples
        --------
        Twice the weeks bring less than twice the orders, since customers leave.

        >>> from pm_utils.lifetime.btyd import ParetoNBD
        >>> model = ParetoNBD(r=0.553, alpha=10.578, s=0.606, beta=11.669)
        >>> [round(float(model.expected_orders(w, 2, 30.43, 38.86)), 3) for w in (39, 78)]
        [1.455, 2.559]
        """
        ahead, x, t_x, T = _ahead(weeks, frequency, recency, age)
        longer, power = np.log1p(ahead / (self.beta + T)), self.s - 1
        weeks_there = longer if power == 0 else -np.expm1(-power * longer) / power
        rate = (self.r + x) / (self.alpha + T)
        orders = rate * (self.beta + T) * weeks_there * self.probability_alive(x, t_x, T)
        return inputs.like(orders, weeks, frequency, recency, age)

    def unconditional_orders(self, weeks: ArrayLike) -> np.ndarray:
        """Return E[X(t)]: expected days with a repeat order of a customer drawn at random.

        Parameters
        ----------
        weeks : array of any shape
            t, weeks since the customer's first order.

        Examples
        --------
        >>> from pm_utils.lifetime.btyd import ParetoNBD
        >>> model = ParetoNBD(r=0.553, alpha=10.578, s=0.606, beta=11.669)
        >>> model.unconditional_orders([0, 39, 78]).round(3)
        array([0.   , 1.213, 1.909])
        """
        return self.expected_orders(weeks, 0, 0, 0)


BuyingModel = BetaGeoNBD | ParetoNBD


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
        With respect to the logarithm of each parameter. Both carry the customers' index where they
        came with one.

    Raises
    ------
    ValueError
        When a number is not finite or not above 0.

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
    p, q, v = inputs.numbers(parameters, "parameters", above=0)
    given = frequency, value
    x, mean = matched(frequency=frequency, value=value)
    x, mean = inputs.numbers(x, "frequency", above=0), inputs.numbers(mean, "value", above=0)
    total, n = v + x * mean, p * x
    likelihood = gammaln(n + q) - gammaln(n) - gammaln(q) + q * np.log(v) - np.log(mean)
    likelihood += n * np.log(x * mean) - (n + q) * np.log(total)
    by_p = x * (psi(n + q) - psi(n) + np.log(x * mean) - np.log(total))
    by_q = psi(n + q) - psi(q) + np.log(v) - np.log(total)
    by_v = q / v - (n + q) / total
    gradients = np.column_stack([by_p * p, by_q * q, by_v * v])
    return tuple(inputs.like(one, *given) for one in (likelihood, gradients))


@dataclass(frozen=True)
class GammaGamma:
    """Order values that vary around a mean of the customer's own, whatever the number of orders.

    An order's value is gamma distributed (shape p) and so is, over customers, its rate (shape q,
    rate v).

    Attributes
    ----------
    p, q, v : float
        Above 0; v in dollars.

    Raises
    ------
    ValueError
        When a parameter is not above 0.

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

    def __post_init__(self) -> None:
        """Refuse parameters that are none."""
        inputs.numbers(list(astuple(self)), "p, q, v", above=0)

    @classmethod
    def fit(cls, frequency: ArrayLike, value: ArrayLike) -> Self:
        """Return the model of maximum likelihood; who has no repeat order or value is left out.

        Parameters
        ----------
        frequency, value : arrays of shape (N,)
            Repeat orders, and their mean in dollars, at least 0.

        Raises
        ------
        ValueError
            When nobody has a repeat order of some value, or a number is below 0 or not finite: a
            mean below 0 comes from returns, see `pm_utils.lifetime.rfm.rfm_summary`.
        RuntimeError
            When the search for the maximum did not end.

        Warns
        -----
        ConvergenceWarning
            When a parameter ended at its bound, or could be many times larger or smaller.

        Examples
        --------
        >>> import numpy as np
        >>> from pm_utils.lifetime.btyd import GammaGamma
        >>> rng = np.random.default_rng(0)
        >>> x, rate = rng.integers(0, 9, 300), rng.gamma(4, 1 / 15, 300)
        >>> value = rng.gamma(6 * x + 1e-9) / rate / np.maximum(x, 1)  # 0 where x is
        >>> GammaGamma.fit(x, value) == GammaGamma.fit(x[x > 0], value[x > 0])
        True
        """
        x, mean = _spending(frequency, value)
        known = (x > 0) & (mean > 0)
        if not known.any():
            raise ValueError(
                f"none of {known.size:,} customers has a repeat order of some value: nothing to fit"
            )
        rows, count = np.unique(np.column_stack([x, mean])[known], axis=0, return_counts=True)
        unit = count @ rows[:, 1] / count.sum()

        def log_likelihood(parameters: np.ndarray) -> tuple[float, np.ndarray]:
            value, gradients = gamma_gamma_log_likelihood(parameters, rows[:, 0], rows[:, 1] / unit)
            return count @ value, count @ gradients

        return cls(*_maximise_likelihood(log_likelihood, {"p": 1, "q": 1, "v": unit}))

    def expected_value(self, frequency: ArrayLike, value: ArrayLike) -> np.ndarray:
        """Return each customer's expected order value in dollars, shrunk towards all → (N,).

        Raises
        ------
        ValueError
            When q is at most 1: then the mean over customers is infinite; or when a number is
            below 0 or not finite.

        Examples
        --------
        With p = v = 1 and q = 2 this is (1 + x m) / (x + 1).

        >>> from pm_utils.lifetime.btyd import GammaGamma
        >>> GammaGamma(p=1, q=2, v=1).expected_value([0, 1, 3], [0.0, 9.0, 9.0])
        array([1., 5., 7.])
        """
        if self.q <= 1:
            raise ValueError(f"q is {self.q}: the mean of an order has no finite value")
        x, mean = _spending(frequency, value)
        return inputs.like(
            self.p * (self.v + x * mean) / (self.p * x + self.q - 1), frequency, value
        )


def _spending(frequency: ArrayLike, value: ArrayLike) -> tuple[np.ndarray, np.ndarray]:
    """Return orders and mean values as floats, matched by their index, or refuse them."""
    x, mean = matched(frequency=frequency, value=value)
    x = inputs.whole_numbers(x, "frequency").astype(float)
    return x, inputs.numbers(mean, "value", low=0)


def _maximise_likelihood(
    log_likelihood: Callable[[np.ndarray], tuple[float, np.ndarray]], units: dict[str, float]
) -> Sequence[float]:
    """Return the parameters above 0 that maximise a log likelihood, sought by their logarithms.

    `units` names the parameters and tells what each is measured in; the log likelihood reads
    them without it. The search has ended where another step would gain next to nothing, whatever
    stopped it; where it has not, it goes on from there by another method.
    """
    names, scale = np.array(list(units)), max(abs(log_likelihood(np.ones(len(units)))[0]), 1.0)

    def loss(log_parameters: np.ndarray) -> tuple[float, np.ndarray]:
        value, gradients = log_likelihood(np.exp(log_parameters))
        return -value / scale, -gradients / scale

    found, steps = np.zeros(len(units)), 0
    for method, options in _SEARCHES:
        by_slope = method == "L-BFGS-B"
        result = minimize(
            loss if by_slope else lambda where: loss(where)[0],
            found,
            jac=by_slope,
            method=method,
            bounds=[(-LOG_BOUND, LOG_BOUND)] * len(units),
            options={"maxiter": MAX_STEPS} | options,
        )
        steps, found = steps + result.nit, result.x
        at_bound = np.abs(found) > LOG_BOUND - 1e-3
        gain, unclear = _peak(lambda where: scale * loss(where)[1], found, at_bound)
        if gain < GAIN:
            break
    ended = dict(zip(names, np.exp(found) * list(units.values()), strict=True))
    if not gain < GAIN:
        told = ", ".join(f"{name} {value:.4g}" for name, value in ended.items())
        raise RuntimeError(f"the fit did not end after {steps} steps, at {told}")
    for name in names[at_bound]:
        told = f"{name} ended at its bound, {ended[name]:.4g}: the data do not tell it"
        warnings.warn(told, ConvergenceWarning, stacklevel=3)
    if vague := [f"{name} {ended[name]:.4g}" for name in names[unclear & ~at_bound]]:
        told = f"{' and '.join(vague)} could be many times larger or smaller"
        warnings.warn(f"{told}: the data hardly tell", ConvergenceWarning, stacklevel=3)
    return list(map(float, ended.values()))


def _peak(
    slope: Callable[[np.ndarray], np.ndarray], found: np.ndarray, at_bound: np.ndarray
) -> tuple[float, np.ndarray]:
    """Look at a loss in nats around a point.

    Returns
    -------
    gain : float
        About how much likelier, in nats, a point nearby would be.
    unclear : boolean array
        Parameters that may change, alone or together, with hardly a loss.
    """
    step = 1e-4 * np.eye(len(found))
    curvature = np.array([(slope(found + one) - slope(found - one)) / 2e-4 for one in step])
    if not np.isfinite(curvature).all():
        return np.inf, at_bound
    curvature = (curvature + curvature.T) / 2
    bent, direction = np.linalg.eigh(curvature)
    unclear = (np.abs(direction[:, bent < FLAT]) > 0.3).any(axis=1)
    downhill = -slope(found)
    free = ~(at_bound & (downhill * found > 0))  # a slope beyond the bound gains nothing
    bent, direction = np.linalg.eigh(curvature[np.ix_(free, free)])
    gain = (direction.T @ downhill[free]) ** 2 / (2 * np.maximum(bent, FLAT))
    return float(gain.sum()), unclear
