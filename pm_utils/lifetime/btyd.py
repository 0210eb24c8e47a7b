r"""What a customer will be worth: closed formulas, and two classical models of buying and spending.

A customer's history is reduced to three numbers. ``frequency`` x counts the days with an order
after the first one, ``recency`` t_x is the time from the first to the last order, ``age`` T the
time from the first order until now; times are in weeks. `BetaGeoNBD` says how often the customer
will order, `GammaGamma` how much an order will bring.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import astuple, dataclass
from typing import Any, Self

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from scipy.optimize import minimize
from scipy.special import expit, gammaln, hyp2f1, psi

from pm_utils.formulas import discount_factor_from_rate

WEEK = np.timedelta64(7, "D")
FARTHEST = 12.0  # the fit keeps the logarithm of each parameter within this of zero


# ------------------------------------------------------------------ a margin that comes again


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

    Raises
    ------
    ValueError
        When a factor is out of range, or the sum has no end and no limit.

    References
    ----------
    Gupta et al. (2006), Modeling customer lifetime value.
    """
    for name, value in {"discount_factor": discount_factor, "retention": retention}.items():
        if not np.all((np.asarray(value) >= 0) & (np.asarray(value) <= 1)):
            raise ValueError(f"{name} is {value}: give a number from 0 to 1")
    ratio = np.asarray(discount_factor, dtype=float) * retention
    if np.isinf(periods) and np.any(ratio == 1):
        raise ValueError("without discount or loss, an endless margin has no value: give periods")
    below = np.where(ratio < 1, ratio, 0.0)
    paid = np.where(ratio < 1, (1 - below**periods) / (1 - below), periods)
    return np.asarray(margin, dtype=float) * paid


def readings(
    revenue: float, cost: float, *, rate: float, leaving: float, horizons: Iterable[float]
) -> pd.DataFrame:
    """Work out four readings of the lifetime value of one customer of constant cash flows.

    Parameters
    ----------
    revenue, cost : float
        Dollars per period.
    rate, leaving : float
        Discount rate, and the share of customers who leave, per period.
    horizons : iterable of float
        Periods; infinity for no end.

    Returns
    -------
    DataFrame
        Indexed by horizon: ``as printed`` in the source (costs not discounted), ``rate for the
        factor`` (γ taken for a rate), ``corrected``, and ``with leaving``, in dollars.
    """
    factor, margin, rows = discount_factor_from_rate(rate), revenue - cost, {}
    for periods in horizons:
        name = "no end" if np.isinf(periods) else f"{periods:g}"
        rows[name] = {
            "as printed": retained_value(revenue, factor, periods=periods) - cost * periods,
            "rate for the factor": retained_value(margin, rate, periods=periods),
            "corrected": retained_value(margin, factor, periods=periods),
            "with leaving": retained_value(margin, factor, retention=1 - leaving, periods=periods),
        }
    return pd.DataFrame(rows).T.astype(float).rename_axis("periods")


# ------------------------------------------------------------------ a history in three numbers


def rfm_summary(orders: pd.DataFrame, as_of: Any) -> pd.DataFrame:
    """Reduce each customer's orders before a date to frequency, recency, age and mean value.

    Parameters
    ----------
    orders : DataFrame
        ``customer_id``, ``ordered_at`` and ``amount`` (dollars), in any order.
    as_of : date-like
        The day to look from. Orders dated at its midnight or later do not count.

    Returns
    -------
    DataFrame
        Indexed by ``customer_id``, ascending, one row per customer with an order before the date:

        - ``frequency``: days with an order after the first such day; orders of one day are one;
        - ``recency``: weeks from the first to the last of these days, 0 if there is but one;
        - ``age``: weeks from the first day to `as_of`;
        - ``value``: mean dollars of a day with an order, the first one left out; 0 without any.

    Raises
    ------
    ValueError
        When no order is that early.

    References
    ----------
    Fader, Hardie & Lee (2005), "Counting your customers" the easy way.
    """
    moment = np.datetime64(pd.Timestamp(as_of), "D")
    day = orders["ordered_at"].to_numpy().astype("datetime64[D]")
    early = day < moment
    ids, customer = np.unique(orders["customer_id"].to_numpy()[early], return_inverse=True)
    if not len(ids):
        raise ValueError(f"no order is dated before {as_of}: give a later date")
    number = day[early].astype(np.int64)
    span = int(moment.astype(np.int64)) + 1
    cells, cell = np.unique(customer * span + number, return_inverse=True)  # a customer's day
    dollars = np.bincount(cell, orders["amount"].to_numpy()[early], minlength=len(cells))
    who, when = cells // span, cells % span
    first = np.append(True, who[1:] != who[:-1]).nonzero()[0]
    days = np.diff(first, append=len(cells))
    repeat = np.add.reduceat(dollars, first) - dollars[first]
    last = when[first + days - 1]
    table = {
        "frequency": days - 1,
        "recency": (last - when[first]) / 7,
        "age": (span - 1 - when[first]) / 7,
        "value": repeat / np.maximum(days - 1, 1),
    }
    return pd.DataFrame(table, index=pd.Index(ids, name="customer_id"))


def days_with_order(orders: pd.DataFrame, customers: pd.Index, start: Any, end: Any) -> np.ndarray:
    """Count each customer's days with an order from `start` to before `end`.

    Parameters
    ----------
    orders : DataFrame
        As in `rfm_summary`.
    customers : Index
        Whom to count for.
    start, end : date-like

    Returns
    -------
    array of shape (N,), int64
    """
    when = orders["ordered_at"]
    rows = orders[(when >= pd.Timestamp(start)) & (when < pd.Timestamp(end))]
    day = rows["ordered_at"].dt.normalize()
    count = day.groupby(rows["customer_id"]).nunique()
    return count.reindex(customers, fill_value=0).to_numpy()


def weekly_dispersion(orders: pd.DataFrame, as_of: Any, *, least: int = 8) -> pd.Series:
    """Return the variance of each customer's days with an order per week over their mean.

    One for a Poisson process, below it for regular buyers, above it for those who come in bouts.

    Parameters
    ----------
    orders : DataFrame
        As in `rfm_summary`.
    as_of : date-like
        Weeks are counted back from this day, as many as are whole since the first order.
    least : int
        Customers with fewer weeks are left out.

    Returns
    -------
    Series
        By ``customer_id``; who has no order in the whole weeks is left out too.
    """
    moment = np.datetime64(pd.Timestamp(as_of), "D")
    day = orders["ordered_at"].to_numpy().astype("datetime64[D]")
    ids, customer = np.unique(orders["customer_id"].to_numpy()[day < moment], return_inverse=True)
    ago = (moment - day[day < moment]).astype(np.int64) - 1
    customer, ago = np.unique(np.column_stack([customer, ago]), axis=0).T  # a day counts once
    first = np.zeros(len(ids), dtype=np.int64)
    np.maximum.at(first, customer, ago)
    weeks = (first + 1) // 7
    counts = np.zeros((len(ids), ago.max(initial=0) // 7 + 1))
    np.add.at(counts, (customer, ago // 7), 1)
    counts[np.arange(counts.shape[1]) >= weeks[:, None]] = np.nan
    kept = (weeks >= least) & (np.nansum(counts, axis=1) > 0)
    spread = np.nanvar(counts[kept], axis=1, ddof=1) / np.nanmean(counts[kept], axis=1)
    return pd.Series(spread, pd.Index(ids[kept], name="customer_id"))


# ------------------------------------------------------------------ how often: BG/NBD


def bgnbd_log_likelihood(
    parameters: ArrayLike, frequency: ArrayLike, recency: ArrayLike, age: ArrayLike
) -> tuple[np.ndarray, np.ndarray]:
    r"""Return each customer's log likelihood and its slopes.

    .. math::
        L = \frac{\Gamma(r+x)\,\alpha^r}{\Gamma(r)} \left[
          \frac{B(a, b+x)}{B(a, b)} (\alpha+T)^{-(r+x)}
          + \mathbb 1_{x>0} \frac{B(a+1, b+x-1)}{B(a, b)} (\alpha+t_x)^{-(r+x)} \right]

    The bracket is a sum of two terms that may both be far below the smallest number that a
    computer knows; their logarithms are added by log-sum-exp.

    Parameters
    ----------
    parameters : (r, alpha, a, b), above 0
    frequency, recency, age : arrays of shape (N,)
        x, t_x and T.

    Returns
    -------
    value : array of shape (N,)
    slopes : array of shape (N, 4)
        With respect to the logarithm of each parameter.

    References
    ----------
    Fader, Hardie & Lee (2005), "Counting your customers" the easy way.
    """
    r, alpha, a, b = np.asarray(parameters, dtype=float)
    x, t_x, T = (np.asarray(part, dtype=float) for part in (frequency, recency, age))
    again = x > 0
    common = gammaln(r + x) - gammaln(r) + r * np.log(alpha)
    common += gammaln(a + b) - gammaln(a + b + x) - gammaln(b)
    stays = gammaln(b + x) - (r + x) * np.log(alpha + T)
    before = np.where(again, b + x - 1, 1.0)  # where x = 0 the second term is left out
    gone = np.log(a) + gammaln(before) - (r + x) * np.log(alpha + t_x)
    gone = np.where(again, gone, -np.inf)
    value = common + np.logaddexp(stays, gone)
    left = np.exp(gone - np.logaddexp(stays, gone))  # the second term's share of the bracket
    here = 1 - left
    either = psi(a + b) - psi(a + b + x)
    log_rate = here * np.log(alpha + T) + left * np.log(alpha + t_x)
    by_r = psi(r + x) - psi(r) + np.log(alpha) - log_rate
    by_alpha = r / alpha - (r + x) * (here / (alpha + T) + left / (alpha + t_x))
    by_a = either + left / a
    by_b = either - psi(b) + here * psi(b + x) + left * psi(before)
    return value, np.column_stack([by_r * r, by_alpha * alpha, by_a * a, by_b * b])


@dataclass(frozen=True)
class BetaGeoNBD:
    """Customers who order at a rate of their own until, after some order, they are gone.

    While active, a customer's orders are a Poisson process; the rates vary between customers by a
    gamma distribution (shape r, rate alpha). After each order the customer leaves for good with a
    probability that varies by a beta distribution (a, b).

    Attributes
    ----------
    r, alpha, a, b : float
        Above 0; alpha in weeks.

    References
    ----------
    Fader, Hardie & Lee (2005), "Counting your customers" the easy way: an alternative to the
    Pareto/NBD model.
    """

    r: float
    alpha: float
    a: float
    b: float

    @classmethod
    def fit(cls, frequency: ArrayLike, recency: ArrayLike, age: ArrayLike) -> Self:
        """Return the model of maximum likelihood; arguments as in `rfm_summary`."""
        histories = np.column_stack([frequency, recency, age]).astype(float)
        rows, count = np.unique(histories, axis=0, return_counts=True)  # equal rows count once

        def log_likelihood(parameters: np.ndarray) -> tuple[float, np.ndarray]:
            value, slopes = bgnbd_log_likelihood(parameters, *rows.T)
            return count @ value, count @ slopes

        return cls(*_most_likely(log_likelihood, 4))

    def log_likelihood(self, frequency: ArrayLike, recency: ArrayLike, age: ArrayLike) -> float:
        """Return the total log likelihood of some customers, in nats."""
        return float(bgnbd_log_likelihood(astuple(self), frequency, recency, age)[0].sum())

    def alive(self, frequency: ArrayLike, recency: ArrayLike, age: ArrayLike) -> np.ndarray:
        """Return the probability that each customer has not left yet → (N,)."""
        x, t_x, T = (np.asarray(part, dtype=float) for part in (frequency, recency, age))
        before = np.where(x > 0, self.b + x - 1, 1.0)
        odds = np.log(self.a / before)
        odds += (self.r + x) * (np.log(self.alpha + T) - np.log(self.alpha + t_x))
        return np.where(x > 0, expit(-odds), 1.0)

    def silent(
        self, weeks: float, frequency: ArrayLike, recency: ArrayLike, age: ArrayLike
    ) -> np.ndarray:
        """Return the probability of no order at all in the weeks to come → (N,).

        Whoever is still there has a rate that is gamma distributed with shape r + x and rate
        alpha + T, so stays silent with chance ((alpha + T) / (alpha + T + weeks))^(r + x).
        """
        x, T = np.asarray(frequency, dtype=float), np.asarray(age, dtype=float)
        alive = self.alive(frequency, recency, age)
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
        """
        x, T = np.asarray(frequency, dtype=float), np.asarray(age, dtype=float)
        r, alpha, b = self.r, self.alpha, self.b
        a = self.a + 1e-6 * (abs(self.a - 1) < 1e-6)  # at 1 the formula is 0 / 0, with a limit
        z = weeks / (alpha + T + weeks)
        never = (1 - z) ** (a - 1) * hyp2f1(a + b - 1 - r, a - 1, a + b + x - 1, z)
        return (a + b + x - 1) / (a - 1) * (1 - never) * self.alive(frequency, recency, age)


def holdout_facts(
    model: BetaGeoNBD, history: Sequence[np.ndarray], came: np.ndarray, weeks: float
) -> dict[str, float]:
    """Hold a fitted model against the orders that came.

    Parameters
    ----------
    model : BetaGeoNBD
    history : (frequency, recency, age), arrays of shape (N,)
    came : array of shape (N,)
        Days with an order in the weeks after.
    weeks : float

    Returns
    -------
    dict
        ``rate`` (mean orders per week) and ``leaving`` (mean chance after an order) as fitted;
        ``orders_ratio`` and ``naive_ratio``, orders expected by the model and by the past rate over
        those that came; ``silent`` and ``silent_expected``, customers without any; ``long``,
        customers silent for more than eight weeks before, and ``long_ratio``, orders that came from
        them over those expected.
    """
    x, t_x, T = history
    expected, long = model.expected_orders(weeks, *history), T - t_x > 8
    return {
        "rate": model.r / model.alpha,
        "leaving": model.a / (model.a + model.b),
        "orders_ratio": expected.sum() / came.sum(),
        "naive_ratio": (weeks * x / T).sum() / came.sum(),
        "silent": (came == 0).sum(),
        "silent_expected": model.silent(weeks, *history).sum(),
        "long": long.sum(),
        "long_ratio": came[long].sum() / expected[long].sum(),
    }


# ------------------------------------------------------------------ how much: Gamma–Gamma


def gamma_gamma_log_likelihood(
    parameters: ArrayLike, frequency: ArrayLike, value: ArrayLike
) -> tuple[np.ndarray, np.ndarray]:
    r"""Return each customer's log likelihood of a mean order value, and its slopes.

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
    slopes : array of shape (N, 3)
        With respect to the logarithm of each parameter.

    References
    ----------
    Fader & Hardie (2013), The Gamma-Gamma model of monetary value.
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

    Attributes
    ----------
    p, q, v : float
        Above 0; v in dollars.

    References
    ----------
    Fader & Hardie (2013), The Gamma-Gamma model of monetary value.
    """

    p: float
    q: float
    v: float

    @classmethod
    def fit(cls, frequency: ArrayLike, value: ArrayLike) -> Self:
        """Return the model of maximum likelihood; who has no repeat order or value is left out."""
        x, mean = np.asarray(frequency, dtype=float), np.asarray(value, dtype=float)
        known = (x > 0) & (mean > 0)

        def log_likelihood(parameters: np.ndarray) -> tuple[float, np.ndarray]:
            likelihood, slopes = gamma_gamma_log_likelihood(parameters, x[known], mean[known])
            return likelihood.sum(), slopes.sum(0)

        return cls(*_most_likely(log_likelihood, 3))

    def expected_value(self, frequency: ArrayLike, value: ArrayLike) -> np.ndarray:
        """Return each customer's expected order value in dollars, shrunk towards all → (N,).

        Raises
        ------
        ValueError
            When q is at most 1: then the mean over customers is infinite.
        """
        if self.q <= 1:
            raise ValueError(f"q is {self.q}: the mean of an order has no finite value")
        x, mean = np.asarray(frequency, dtype=float), np.asarray(value, dtype=float)
        return self.p * (self.v + x * mean) / (self.p * x + self.q - 1)


def _most_likely(log_likelihood: Callable, count: int) -> np.ndarray:
    """Return the `count` parameters above 0 that maximise a log likelihood, by their logarithms."""
    scale = max(abs(log_likelihood(np.ones(count))[0]), 1.0)

    def loss(log_parameters: np.ndarray) -> tuple[float, np.ndarray]:
        value, slopes = log_likelihood(np.exp(log_parameters))
        return -value / scale, -slopes / scale

    bounds = [(-FARTHEST, FARTHEST)] * count
    options = {"ftol": 1e-15, "gtol": 1e-10, "maxiter": 1000, "maxfun": 3000}
    found = minimize(
        loss, np.zeros(count), jac=True, method="L-BFGS-B", bounds=bounds, options=options
    )
    return np.exp(found.x)
