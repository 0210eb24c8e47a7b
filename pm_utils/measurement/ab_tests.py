"""Tests of two variants: how many customers, which of the two, when one may look, how to see more.

statsmodels does the textbook parts. Intervals of clicks per impression count customers, not
impressions, where customers were assigned.
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy.stats import chisquare, norm
from statsmodels.stats.power import NormalIndPower
from statsmodels.stats.proportion import (
    confint_proportions_2indep,
    proportion_effectsize,
    proportions_ztest,
)


@dataclass(frozen=True)
class Comparison:
    """A difference between two variants, second minus first, with interval and p-value."""

    difference: float
    low: float
    high: float
    p_value: float


def sample_size(rate: float, lift: float, *, power: float = 0.8, alpha: float = 0.05) -> float:
    """Return how many customers each of two variants needs.

    Explained in chapter ``creative-optimisation``.

    Parameters
    ----------
    rate : float
        P(click) of the first variant.
    lift : float
        The least relative difference that shall be found: 0.1 is ten per cent more.
    power, alpha : float
        P(found if there) and P(found if not there), two-sided.

    Returns
    -------
    float
        By statsmodels, with Cohen's effect size :math:`2 \\arcsin \\sqrt p`.

    Examples
    --------
    >>> from pm_utils.measurement.ab_tests import sample_size
    >>> round(sample_size(0.05, 0.1))  # to see 5.5 % instead of 5 %
    31217
    >>> round(sample_size(0.05, 0.05))  # half the lift takes about four times as many
    122107
    """
    effect = proportion_effectsize(rate * (1 + lift), rate)
    return float(NormalIndPower().solve_power(effect, power=power, alpha=alpha))


def power(rate: float, lift: float, customers: np.ndarray, *, alpha: float = 0.05) -> np.ndarray:
    """Return P(found if there) for numbers of customers per variant; see `sample_size`.

    Explained in chapter ``creative-optimisation``.

    Examples
    --------
    >>> import numpy as np
    >>> from pm_utils.measurement.ab_tests import power
    >>> power(0.05, 0.1, np.array([3_000, 31_217])).round(2)
    array([0.14, 0.8 ])
    """
    effect = proportion_effectsize(rate * (1 + lift), rate)
    return NormalIndPower().power(effect, np.asarray(customers, float), alpha)


def simulated_power(
    rate: float, lift: float, customers: int, *, runs: int, rng: np.random.Generator
) -> float:
    """Return the share of simulated tests of two proportions with \\|z\\| above 1.96.

    Explained in chapter ``creative-optimisation``.

    Examples
    --------
    >>> import numpy as np
    >>> from pm_utils.measurement.ab_tests import simulated_power
    >>> rng = np.random.default_rng(0)
    >>> share = simulated_power(0.05, 0.1, 31_217, runs=1_000, rng=rng)
    >>> bool(abs(share - 0.8) < 0.05)  # as `power` says
    True
    """
    clicks = rng.binomial(customers, [rate, rate * (1 + lift)], size=(runs, 2)) / customers
    pooled = clicks.mean(1)
    error = np.sqrt(np.maximum(2 * pooled * (1 - pooled) / customers, 1e-300))
    return float((np.abs(np.diff(clicks)[:, 0]) / error > norm.ppf(0.975)).mean())


def two_proportions(clicks: tuple[int, int], customers: tuple[int, int]) -> Comparison:
    """Compare two shares: pooled z-test and Wald interval, both by statsmodels.

    Explained in chapter ``creative-optimisation``.

    Parameters
    ----------
    clicks, customers : (int, int)
        Of the first and the second variant.

    Examples
    --------
    >>> from pm_utils.measurement.ab_tests import two_proportions
    >>> found = two_proportions((50, 80), (1_000, 1_000))
    >>> round(found.difference, 3), round(found.low, 3), round(found.high, 3)  # second less first
    (0.03, 0.008, 0.052)
    >>> round(found.p_value, 4)
    0.0065
    """
    p_value = proportions_ztest(clicks, customers)[1]
    pairs = clicks[1], customers[1], clicks[0], customers[0]
    low, high = confint_proportions_2indep(*pairs, method="wald", compare="diff")
    difference = clicks[1] / customers[1] - clicks[0] / customers[0]
    return Comparison(float(difference), float(low), float(high), float(p_value))


def two_ratios(part: np.ndarray, whole: np.ndarray, second: np.ndarray) -> Comparison:
    r"""Compare clicks per impression of two groups of customers by the delta method.

    With ratio :math:`R = \sum y_i / \sum n_i` over a group's customers, its variance is
    :math:`\sum (y_i - R n_i)^2 / (\sum n_i)^2`.

    Explained in chapter ``creative-optimisation``.

    Parameters
    ----------
    part, whole : arrays of shape (N,)
        Clicks and impressions of each customer.
    second : boolean array of shape (N,)
        Who got the second variant.

    References
    ----------
    Deng, Knoblich & Lu (2018), Applying the delta method in metric analytics.

    Examples
    --------
    >>> import numpy as np
    >>> from pm_utils.measurement.ab_tests import two_ratios
    >>> clicks, impressions = np.array([0, 1, 2, 1]), np.array([10, 10, 10, 10])
    >>> found = two_ratios(clicks, impressions, np.array([False, False, True, True]))
    >>> round(found.difference, 3), round(found.p_value, 3)  # 3 of 20 against 1 of 20
    (0.1, 0.046)
    """
    ratio, variance = [], []
    for group in (~second, second):
        y, n = part[group].astype(float), whole[group].astype(float)
        ratio.append(y.sum() / n.sum())
        variance.append(((y - ratio[-1] * n) ** 2).sum() / n.sum() ** 2)
    return _normal(ratio[1] - ratio[0], np.sqrt(sum(variance)))


def two_means(outcome: np.ndarray, second: np.ndarray) -> Comparison:
    """Compare two means with unequal variances, large samples (Welch).

    Parameters
    ----------
    outcome : array of shape (N,)
    second : boolean array of shape (N,)
        Who got the second variant; at least two customers in each group.

    Examples
    --------
    >>> import numpy as np
    >>> from pm_utils.measurement.ab_tests import two_means
    >>> dollars, second = np.array([1.0, 3, 4, 6]), np.array([False, False, True, True])
    >>> found = two_means(dollars, second)
    >>> round(found.difference, 2), round(found.low, 2), round(found.high, 2)
    (3.0, 0.23, 5.77)
    """
    groups = outcome[~second], outcome[second]
    error = np.sqrt(sum(group.var(ddof=1) / len(group) for group in groups))
    return _normal(groups[1].mean() - groups[0].mean(), error)


def _normal(difference: float, error: float) -> Comparison:
    half = norm.ppf(0.975) * error
    p_value = 2 * norm.sf(abs(difference) / error)
    return Comparison(*map(float, (difference, difference - half, difference + half, p_value)))


def false_alarms(
    part: np.ndarray, whole: np.ndarray, *, runs: int, rng: np.random.Generator
) -> dict[str, float]:
    """Split customers who were all shown the same and count how often a test finds an effect.

    Explained in chapter ``creative-optimisation``.

    Parameters
    ----------
    part, whole : arrays of shape (N,)
        Clicks and impressions of each customer.
    runs : int
    rng : numpy Generator

    Returns
    -------
    dict of str to float
        Share of p-values below 0.05 by ``impressions`` (`two_proportions`) and by ``customers``
        (`two_ratios`).

    Examples
    --------
    Fifty customers click on all of their ten ads and fifty on none, so that impressions of one
    customer are all alike:

    >>> import numpy as np
    >>> from pm_utils.measurement.ab_tests import false_alarms
    >>> clicks, impressions = np.repeat([0, 10], 50), np.full(100, 10)
    >>> shares = false_alarms(clicks, impressions, runs=400, rng=np.random.default_rng(0))
    >>> shares["impressions"] > 0.4, shares["customers"] < 0.1
    (True, True)
    """
    y, n = np.asarray(part, float), np.asarray(whole, float)
    each = np.column_stack([y, n, y * y, y * n, n * n])
    second = random_halves(len(y), draws=runs, rng=rng) @ each
    y, n, yy, yn, nn = np.stack([each.sum(0) - second, second]).transpose(2, 0, 1)  # (2, runs)
    rate, pooled = y / n, y.sum(0) / n.sum(0)
    by_customer = ((yy - 2 * rate * yn + rate**2 * nn) / n**2).sum(0)
    variance = {"impressions": pooled * (1 - pooled) * (1 / n).sum(0), "customers": by_customer}
    gap = np.abs(rate[1] - rate[0])
    return {unit: float((gap > norm.ppf(0.975) * v**0.5).mean()) for unit, v in variance.items()}


def sample_ratio(customers: tuple[int, ...], planned: tuple[float, ...]) -> float:
    """Return the p-value of group sizes under the planned shares (chi-square).

    Explained in chapter ``creative-optimisation``.

    Parameters
    ----------
    customers : tuple of int
        How many each variant got.
    planned : tuple of float
        Their planned shares; they sum to one.

    Examples
    --------
    >>> from pm_utils.measurement.ab_tests import sample_ratio
    >>> sample_ratio((500, 500), (0.5, 0.5))
    1.0
    >>> round(sample_ratio((5_000, 5_300), (0.5, 0.5)), 4)  # look for the fault before the effect
    0.0031
    """
    expected = np.array(planned) * sum(customers)
    return float(chisquare(customers, expected).pvalue)


def mixture_sprt(total: np.ndarray, n: np.ndarray, *, tau2: float = 1.0) -> np.ndarray:
    r"""Return the likelihood ratio of "some effect" to "none" after n increments.

    .. math::
        \Lambda_n = \sqrt{\frac{1}{1 + n \tau^2}}
          \exp\!\left(\frac{\tau^2 S_n^2}{2 (1 + n \tau^2)}\right)

    where effects are :math:`N(0, \tau^2)` and :math:`S_n` is the sum of increments of unit
    variance. Without an effect it is a martingale of mean one, so it ever reaches
    :math:`1 / \alpha` with probability at most α: one may stop whenever it does.

    Parameters
    ----------
    total : array
        :math:`S_n`.
    n : array that broadcasts
    tau2 : float

    References
    ----------
    Robbins (1970); Johari, Pekelis & Walsh (2015), Always valid inference.

    Examples
    --------
    >>> import numpy as np
    >>> from pm_utils.measurement.ab_tests import mixture_sprt
    >>> mixture_sprt(np.array([0, 20, 36]), 100).round(1)  # stop at 1 / 0.05 = 20 or more
    array([ 0.1,  0.7, 60.8])
    """
    variance = 1 + np.asarray(n, float) * tau2  # of S_n / sqrt(n) over all effects
    return np.exp(tau2 * np.square(total) / (2 * variance)) / np.sqrt(variance)


def always_valid_p(ratio: np.ndarray) -> np.ndarray:
    """Return min(1, 1 / the largest likelihood ratio so far) along the last axis.

    Examples
    --------
    >>> import numpy as np
    >>> from pm_utils.measurement.ab_tests import always_valid_p
    >>> always_valid_p(np.array([0.5, 40, 2]))  # it never rises again
    array([1.   , 0.025, 0.025])
    """
    return np.minimum(1, 1 / np.maximum.accumulate(ratio, axis=-1))


def peeking(
    looks: int, *, runs: int, seed: int, effect: float = 0.0, tau2: float = 1.0, chunk: int = 2000
) -> dict[str, np.ndarray]:
    """Simulate tests that are looked at after each of equally many new customers.

    Explained in chapter ``creative-optimisation``.

    Parameters
    ----------
    looks, runs, seed : int
    effect : float
        Mean increment of the z-statistic's sum between two looks; 0 is no effect.
    tau2 : float
        Of `mixture_sprt`, in the same unit.
    chunk : int
        Runs held in memory at a time.

    Returns
    -------
    dict of str to array of shape (looks,)
        The share of runs that have called a winner at that look or before: ``fixed`` by
        \\|z\\| > 1.96 at any look, ``always valid`` by the mixture SPRT, and ``once`` by \\|z\\| >
        1.96 at that look alone.

    Examples
    --------
    >>> from pm_utils.measurement.ab_tests import peeking
    >>> called = peeking(20, runs=2_000, seed=0)  # twenty looks where there is no effect
    >>> {name: round(float(share[-1]), 1) for name, share in called.items()}
    {'once': 0.1, 'fixed': 0.2, 'always valid': 0.0}
    """
    rng, n = np.random.default_rng(seed), np.arange(1, looks + 1)
    found = {name: np.zeros(looks) for name in ("once", "fixed", "always valid")}
    for first in range(0, runs, chunk):
        size = min(chunk, runs - first), looks
        total = np.cumsum(rng.normal(effect, size=size), axis=1)
        beyond = np.abs(total) > norm.ppf(0.975) * np.sqrt(n)
        found["once"] += beyond.sum(0)
        found["fixed"] += np.maximum.accumulate(beyond, axis=1).sum(0)
        found["always valid"] += (always_valid_p(mixture_sprt(total, n, tau2=tau2)) <= 0.05).sum(0)
    return {name: count / runs for name, count in found.items()}


def cuped(outcome: np.ndarray, covariate: np.ndarray) -> np.ndarray:
    r"""Take from an outcome what was known before the experiment: :math:`Y - \theta (X - \bar X)`.

    :math:`\theta = \operatorname{cov}(X, Y) / \operatorname{var}(X)` over both groups. The mean
    stays, the variance is multiplied by :math:`1 - \rho^2`.

    Parameters
    ----------
    outcome, covariate : arrays of shape (N,)
        The covariate must be measured before treatment.

    Returns
    -------
    array of shape (N,)

    References
    ----------
    Deng, Xu, Kohavi & Walker (2013).

    Examples
    --------
    >>> import numpy as np
    >>> from pm_utils.measurement.ab_tests import cuped
    >>> spend, spend_before = np.array([1.0, 2, 3, 6]), np.array([10.0, 20, 30, 40])
    >>> adjusted = cuped(spend, spend_before)
    >>> adjusted.round(1)
    array([3.4, 2.8, 2.2, 3.6])
    >>> float(adjusted.mean().round(2)), float(spend.mean())  # the mean stays
    (3.0, 3.0)
    >>> float((adjusted.var() / spend.var()).round(2))
    0.09
    """
    centred = covariate - covariate.mean()
    return outcome - centred * (centred @ outcome / (centred @ centred))


def placebo_effects(outcome: np.ndarray, *, draws: int, rng: np.random.Generator) -> np.ndarray:
    """Split the customers into two halves again and again and return the differences of means.

    Parameters
    ----------
    outcome : array of shape (N,) or (N, K)
        Of customers who were all treated alike, so that there is nothing to find.
    draws : int
    rng : numpy Generator

    Returns
    -------
    array of shape (draws,) or (draws, K)
        The same splits for every column.

    Examples
    --------
    >>> import numpy as np
    >>> from pm_utils.measurement.ab_tests import placebo_effects
    >>> effects = placebo_effects(np.arange(10.0), draws=500, rng=np.random.default_rng(0))
    >>> effects.shape, bool(abs(effects.mean()) < 0.3)
    ((500,), True)
    """
    second = random_halves(len(outcome), draws=draws, rng=rng)
    inside = second.sum(1)[0]
    weight = second / inside - (1 - second) / (len(outcome) - inside)
    return weight @ outcome.astype(np.float32)


def random_halves(size: int, *, draws: int, rng: np.random.Generator) -> np.ndarray:
    """Return 1 for half of the customers, drawn anew in each row, and 0 else → (draws, N).

    Examples
    --------
    >>> import numpy as np
    >>> from pm_utils.measurement.ab_tests import random_halves
    >>> random_halves(5, draws=3, rng=np.random.default_rng(0)).sum(1)  # two of five
    array([2., 2., 2.], dtype=float32)
    """
    first = np.tile(np.arange(size) < size // 2, (draws, 1))
    return rng.permuted(first, axis=1).astype(np.float32)


def variance_ratios(
    outcome: np.ndarray,
    covariates: dict[str | int, np.ndarray],
    *,
    draws: int,
    rng: np.random.Generator,
) -> pd.DataFrame:
    """Measure what CUPED leaves of an effect's variance, for each of several covariates.

    Explained in chapter ``creative-optimisation``.

    Parameters
    ----------
    outcome : array of shape (N,)
        Of customers who were all treated alike.
    covariates : dict of arrays of shape (N,)
    draws : int
        Random splits to measure on.
    rng : numpy Generator

    Returns
    -------
    DataFrame
        One row per covariate: ``promised``, 1 - ρ², and ``measured`` over the splits.

    Examples
    --------
    >>> import numpy as np
    >>> from pm_utils.measurement.ab_tests import variance_ratios
    >>> spend = np.arange(40.0)
    >>> covariates = {"itself": spend, "who comes in pairs": np.tile([0.0, 1.0], 20)}
    >>> variance_ratios(spend, covariates, draws=500, rng=np.random.default_rng(0)).round(1)
                        promised  measured
    itself                   0.0       0.0
    who comes in pairs       1.0       1.0
    """
    promised = [1 - np.corrcoef(x, outcome)[0, 1] ** 2 for x in covariates.values()]
    columns = [outcome, *(cuped(outcome, x) for x in covariates.values())]
    variance = placebo_effects(np.column_stack(columns), draws=draws, rng=rng).var(0)
    found = {"promised": promised, "measured": variance[1:] / variance[0]}
    return pd.DataFrame(found, index=list(covariates))
