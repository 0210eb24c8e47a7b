"""Tests of two variants: how many customers, which of the two, when one may look, how to see more.

statsmodels does the textbook parts. Intervals of clicks per impression count customers, not
impressions, where customers were assigned. Means and ratios of means are compared by Welch's test:
each variant has a variance of its own, and few customers have Student's distribution. Everything is
two-sided. `pm_utils.measurement.several_arms` compares more than two variants,
`pm_utils.measurement.sequential` has the boundaries of tests with a few planned looks.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from scipy.stats import chisquare, fisher_exact, norm
from scipy.stats import t as student
from statsmodels.stats.power import NormalIndPower
from statsmodels.stats.proportion import (
    confint_proportions_2indep,
    proportion_effectsize,
    proportions_ztest,
)

from pm_utils.inputs import (
    SUM_TOLERANCE,
    aligned,
    booleans,
    like,
    numbers,
    share,
    whole_numbers,
)
from pm_utils.measurement.sequential import SHAPES, boundaries

_FEWEST = 5  # expected clicks and misses from which the normal distribution will do
_ROUNDING = 1e-12  # of ratios that are the same
_LARGEST_EXPONENT = 700.0  # e to this is a number still


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

    Raises
    ------
    ValueError
        When the first or the second rate is not strictly between 0 and 1, there is no lift, or
        alpha is not below power.

    Examples
    --------
    >>> from pm_utils.measurement.ab_tests import sample_size
    >>> round(sample_size(0.05, 0.1))  # to see 5.5 % instead of 5 %
    31217
    >>> round(sample_size(0.05, 0.05))  # half the lift takes about four times as many
    122107
    """
    effect = _effect(rate, lift)
    if effect == 0:
        raise ValueError("lift is 0: no number of customers finds what is not there")
    numbers([alpha, power], "alpha and power")
    if not 0 < alpha < power < 1:
        raise ValueError(f"alpha is {alpha} and power {power}: give 0 < alpha < power < 1")
    return float(NormalIndPower().solve_power(effect, power=power, alpha=alpha))


def power(rate: float, lift: float, customers: np.ndarray, *, alpha: float = 0.05) -> np.ndarray:
    """Return P(found if there) for numbers of customers per variant; see `sample_size`.

    Explained in chapter ``creative-optimisation``.

    Raises
    ------
    ValueError
        When a rate or alpha is not strictly between 0 and 1, or a number of customers is not
        positive.

    Examples
    --------
    >>> import numpy as np
    >>> from pm_utils.measurement.ab_tests import power
    >>> power(0.05, 0.1, np.array([3_000, 31_217])).round(2)
    array([0.14, 0.8 ])
    """
    customers = numbers(customers, "customers", above=0).astype(float)
    several = numbers(customers, "customers", above=0)
    found = NormalIndPower().power(_effect(rate, lift), several, share(alpha, "alpha"))
    return like(found, customers)


def _effect(rate: float, lift: float) -> float:
    """Cohen's effect size of two rates, the second larger by a relative lift."""
    rate, lift = share(rate, "rate"), float(numbers(lift, "lift"))
    if not 0 < rate * (1 + lift) < 1:
        raise ValueError(
            f"a lift of {lift:g} takes the rate from {rate:g} to {rate * (1 + lift):g}: "
            "give one that leaves it between 0 and 1"
        )
    return proportion_effectsize(rate * (1 + lift), rate)


def simulated_power(
    rate: float, lift: float, customers: int, *, runs: int, rng: np.random.Generator
) -> float:
    """Return the share of simulated tests of two proportions with \\|z\\| above 1.96.

    Explained in chapter ``creative-optimisation``.

    Raises
    ------
    ValueError
        When a rate is not strictly between 0 and 1, or there are no customers or runs.

    Examples
    --------
    >>> import numpy as np
    >>> from pm_utils.measurement.ab_tests import simulated_power
    >>> rng = np.random.default_rng(0)
    >>> share = simulated_power(0.05, 0.1, 31_217, runs=1_000, rng=rng)
    >>> bool(abs(share - 0.8) < 0.05)  # as `power` says
    True
    """
    _effect(rate, lift)
    customers = int(whole_numbers(customers, "customers", low=1))
    whole_numbers(runs, "runs", low=1)
    clicks = rng.binomial(customers, [rate, rate * (1 + lift)], size=(runs, 2)) / customers
    pooled = clicks.mean(1)
    error = np.sqrt(np.maximum(2 * pooled * (1 - pooled) / customers, 1e-300))
    return float((np.abs(np.diff(clicks)[:, 0]) / error > norm.ppf(0.975)).mean())


def two_proportions(clicks: tuple[int, int], customers: tuple[int, int]) -> Comparison:
    """Compare two shares: pooled z-test and Wald interval, both by statsmodels.

    Both are for many customers. Where either variant would have fewer than five clicks or misses if
    both had the same rate, the p-value is that of Fisher's exact test, and the interval is
    Newcombe's, from Wilson's intervals of both shares; the two need not agree at their edge. Where
    nobody or everybody clicked the p-value is 1.

    Explained in chapter ``creative-optimisation``.

    Parameters
    ----------
    clicks, customers : (int, int)
        Of the first and the second variant.

    Raises
    ------
    ValueError
        When there are not two variants, a count is not whole or negative, nobody got a variant, or
        more clicked than got it.

    References
    ----------
    Newcombe (1998), Interval estimation for the difference between independent proportions,
    method 10.

    Examples
    --------
    >>> from pm_utils.measurement.ab_tests import two_proportions
    >>> found = two_proportions((50, 80), (1_000, 1_000))
    >>> round(found.difference, 3), round(found.low, 3), round(found.high, 3)  # second less first
    (0.03, 0.008, 0.052)
    >>> round(found.p_value, 4)
    0.0065
    >>> few = two_proportions((1, 5), (8, 8))
    >>> round(few.p_value, 3), round(few.low, 2), round(few.high, 2)
    (0.119, 0.03, 0.76)
    """
    clicks, customers = checked_counts(clicks, customers)
    if len(clicks) != 2:
        raise ValueError(f"{len(clicks)} variants: give two, or use `several_proportions`")
    rarer = min(sum(clicks), sum(customers) - sum(clicks))
    few = rarer * min(customers) < _FEWEST * sum(customers)
    if not rarer:
        p_value = 1.0
    elif few:
        misses = [tries - hits for hits, tries in zip(clicks, customers, strict=True)]
        p_value = fisher_exact([clicks, misses]).pvalue
    else:
        p_value = proportions_ztest(clicks, customers)[1]
    pairs = clicks[1], customers[1], clicks[0], customers[0]
    method = "newcomb" if few else "wald"
    low, high = confint_proportions_2indep(*pairs, method=method, compare="diff")
    difference = clicks[1] / customers[1] - clicks[0] / customers[0]
    return Comparison(float(difference), float(low), float(high), float(p_value))


def checked_counts(clicks: ArrayLike, customers: ArrayLike) -> tuple[list[int], list[int]]:
    """Return how many clicked and how many there were, for each variant, or refuse them.

    Raises
    ------
    ValueError
        When a count is not whole or negative, nobody got a variant, or more clicked than got it.

    Examples
    --------
    >>> from pm_utils.measurement.ab_tests import checked_counts
    >>> checked_counts((150, 100), (100, 100))
    Traceback (most recent call last):
    ValueError: 150 clicks of 100 customers in variant 0: count each customer at most once
    """
    clicks, customers = aligned(clicks=clicks, customers=customers)
    clicks = whole_numbers(clicks, "clicks").ravel().tolist()
    customers = whole_numbers(customers, "customers").ravel().tolist()
    for variant, (hits, tries) in enumerate(zip(clicks, customers, strict=True)):
        if not tries:
            raise ValueError(f"nobody got variant {variant}: leave it out")
        if hits > tries:
            raise ValueError(
                f"{hits} clicks of {tries} customers in variant {variant}: "
                "count each customer at most once"
            )
    return clicks, customers


def two_ratios(part: np.ndarray, whole: np.ndarray, second: np.ndarray) -> Comparison:
    r"""Compare clicks per impression of two groups of customers by the delta method.

    With ratio :math:`R = \sum y_i / \sum n_i` over a group of K customers, its variance is
    :math:`\frac{K}{K - 1} \sum (y_i - R n_i)^2 / (\sum n_i)^2`. It is compared as by `two_means`:
    with one impression each, both are the same.

    Explained in chapter ``creative-optimisation``.

    Parameters
    ----------
    part, whole : arrays of shape (N,)
        Clicks and impressions of each customer.
    second : array of shape (N,), False and True or 0 and 1
        Who got the second variant; at least two customers in each group.

    Raises
    ------
    ValueError
        When the rows cannot be matched, a group is not 0 or 1 or has fewer than two customers, a
        number is not finite, an impression negative, a group has seen none, or the ratio varies in
        neither group but differs between them.

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
    (0.1, 0.293)
    """
    part, whole, second = aligned(part=part, whole=whole, second=second)
    part = numbers(part, "part", ndim=1).astype(float)
    whole = numbers(whole, "whole", ndim=1, low=0).astype(float)
    ratio, variance, sizes = [], [], []
    for name, group in _two_groups(second).items():
        y, n = part[group], whole[group]
        if not n.sum() > 0:
            raise ValueError(f"whole is 0 for all of the {name} variant: there is no ratio")
        ratio.append(y.sum() / n.sum())
        sizes.append(len(y))
        each = y[n > 0] / n[n > 0]
        alike = np.ptp(each) <= _ROUNDING * np.abs(each).max() and not y[n == 0].any()
        square = 0.0 if alike else ((y - ratio[-1] * n) ** 2).sum() / n.sum() ** 2
        variance.append(square * len(y) / (len(y) - 1))
    return _welch(ratio, variance, sizes)


def two_means(outcome: np.ndarray, second: np.ndarray) -> Comparison:
    """Compare two means with unequal variances and Student's distribution (Welch).

    Parameters
    ----------
    outcome : array of shape (N,)
    second : array of shape (N,), False and True or 0 and 1
        Who got the second variant; at least two customers in each group.

    Raises
    ------
    ValueError
        When the rows cannot be matched, a group is not 0 or 1 or has fewer than two customers, an
        outcome is not finite, or the outcome varies in neither group but differs between them.

    References
    ----------
    Welch (1947), The generalization of Student's problem when several different population
    variances are involved.

    Examples
    --------
    >>> import numpy as np
    >>> from pm_utils.measurement.ab_tests import two_means
    >>> dollars, second = np.array([1.0, 3, 4, 6]), np.array([False, False, True, True])
    >>> found = two_means(dollars, second)
    >>> round(found.difference, 2), round(found.low, 2), round(found.high, 2)
    (3.0, -3.08, 9.08)
    """
    outcome, second = aligned(outcome=outcome, second=second)
    outcome = numbers(outcome, "outcome", ndim=1)
    groups = [outcome[group] for group in _two_groups(second).values()]
    variance = [variance_of(group) / len(group) for group in groups]
    return _welch([mean_of(group) for group in groups], variance, [len(group) for group in groups])


def mean_of(values: np.ndarray) -> float:
    """Return the mean, of equal numbers that number itself.

    Examples
    --------
    >>> import numpy as np
    >>> from pm_utils.measurement.ab_tests import mean_of
    >>> float(np.full(3, 0.1).mean()), float(mean_of(np.full(3, 0.1)))
    (0.10000000000000002, 0.1)
    """
    values = numbers(values, "values", ndim=1)
    return values.mean() if np.ptp(values) else values[0]


def variance_of(values: np.ndarray) -> float:
    """Return the variance with the divisor n - 1, of equal numbers 0 whatever their rounding.

    Examples
    --------
    >>> import numpy as np
    >>> from pm_utils.measurement.ab_tests import variance_of
    >>> bool(np.full(3, 0.1).var(ddof=1) > 0), variance_of(np.full(3, 0.1))
    (True, 0.0)
    """
    values = numbers(values, "values", ndim=1)
    return values.var(ddof=1) if np.ptp(values) else 0.0


def two_means_from_moments(
    mean: tuple[float, float], variance: tuple[float, float], customers: tuple[int, int]
) -> Comparison:
    """Compare two means as `two_means` does, from a published table of moments.

    Parameters
    ----------
    mean, variance : (float, float)
        Of the first and the second variant; variances have the divisor n - 1.
    customers : (int, int)
        At least two each.

    Raises
    ------
    ValueError
        When there are not two variants, a number is not finite, a variance negative, a variant has
        fewer than two customers, or both variances are 0 and the means differ.

    Examples
    --------
    The four customers of `two_means`, by their moments:

    >>> from pm_utils.measurement.ab_tests import two_means_from_moments
    >>> found = two_means_from_moments((2.0, 5.0), (2.0, 2.0), (2, 2))
    >>> round(found.difference, 2), round(found.low, 2), round(found.high, 2)
    (3.0, -3.08, 9.08)
    """
    mean = numbers(mean, "mean", ndim=1)
    variance = numbers(variance, "variance", ndim=1, low=0)
    customers = whole_numbers(customers, "customers", low=2)
    if not mean.shape == variance.shape == customers.shape == (2,):
        raise ValueError(
            f"{mean.size} means, {variance.size} variances, {customers.size} counts: "
            "give two of each, the first variant first"
        )
    return _welch(mean.tolist(), (variance / customers).tolist(), customers.tolist())


def _two_groups(second: ArrayLike) -> dict[str, np.ndarray]:
    """Who got the first and who the second variant, at least two customers each."""
    second = booleans(second, "second")
    groups = {"first": ~second, "second": second}
    for name, group in groups.items():
        if group.sum() < 2:
            raise ValueError(
                f"{group.sum()} of {len(group):,} customers got the {name} variant: "
                "a test needs at least two in each"
            )
    return groups


def _welch(mean: list[float], variance: list[float], customers: list[int]) -> Comparison:
    """Compare two means, given the squares of their standard errors."""
    difference, error = mean[1] - mean[0], np.sqrt(sum(variance))
    if error == 0:
        if abs(difference) > _ROUNDING * max(map(abs, mean)):
            raise ValueError(
                "the outcome is the same for everybody in each group: there is no variance to hold "
                "the difference against"
            )
        return Comparison(0.0, 0.0, 0.0, 1.0)
    degrees = _degrees(np.array(variance), np.array(customers))
    half = student.ppf(0.975, degrees) * error
    p_value = 2 * student.sf(abs(difference) / error, degrees)
    return Comparison(*map(float, (difference, difference - half, difference + half, p_value)))


def _degrees(variance: np.ndarray, customers: np.ndarray) -> np.ndarray:
    """Welch's degrees of freedom, from squared standard errors and sizes; groups along axis 0."""
    share = variance / variance.sum(0)  # of a scale of their own: squares of small ones vanish
    return 1 / (share**2 / (customers - 1)).sum(0)


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

    Raises
    ------
    ValueError
        When the rows cannot be matched, there are fewer than four customers, a count is negative or
        not finite, a customer clicked more than they saw, or a half saw nothing.

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
    y, n = aligned(part=part, whole=whole)
    y, n = (
        numbers(one, name, ndim=1, low=0).astype(float) for name, one in (("part", y), ("whole", n))
    )
    if len(y) < 4 or (y > n).any():
        raise ValueError(
            f"{len(y):,} customers, {(y > n).sum():,} with more clicks than impressions: "
            "give at least four, without such"
        )
    size = np.array([[len(y) - len(y) // 2], [len(y) // 2]])  # of the halves
    whole_numbers(runs, "runs", low=1)
    each = np.column_stack([y, n, y * y, y * n, n * n])
    second = random_halves(len(y), draws=runs, rng=rng) @ each
    y, n, yy, yn, nn = np.stack([each.sum(0) - second, second]).transpose(2, 0, 1)  # (2, runs)
    if not (n > 0).all():
        raise ValueError("a half of the customers saw nothing: too few have impressions")
    rate, pooled = y / n, y.sum(0) / n.sum(0)
    squares = np.maximum(yy - 2 * rate * yn + rate**2 * nn, 0)
    by_customer = squares / n**2 * size / (size - 1)  # (2, runs)
    gap, some = np.abs(rate[1] - rate[0]), by_customer.sum(0) > 0
    beyond = np.full(runs, norm.ppf(0.975))
    beyond[some] = student.ppf(0.975, _degrees(by_customer[:, some], size))
    variance = pooled * (1 - pooled) * (1 / n).sum(0), by_customer.sum(0)
    found = zip(("impressions", "customers"), (norm.ppf(0.975), beyond), variance, strict=True)
    return {unit: float((gap > times * v**0.5).mean()) for unit, times, v in found}


def sample_ratio(customers: tuple[int, ...], planned: tuple[float, ...]) -> float:
    """Return the p-value of group sizes under the planned shares (chi-square).

    Explained in chapter ``creative-optimisation``.

    Parameters
    ----------
    customers : tuple of int
        How many each variant got.
    planned : tuple of float
        Their planned shares, above 0; they sum to one.

    Returns
    -------
    float

    Raises
    ------
    ValueError
        When there are not as many sizes as shares or fewer than two, a size is not whole or
        negative, nobody was assigned, or the shares do not sum to one, as those in per cent.

    Examples
    --------
    >>> from pm_utils.measurement.ab_tests import sample_ratio
    >>> sample_ratio((500, 500), (0.5, 0.5))
    1.0
    >>> round(sample_ratio((5_000, 5_300), (0.5, 0.5)), 4)  # look for the fault before the effect
    0.0031
    """
    customers, planned = aligned(customers=customers, planned=planned)
    customers = whole_numbers(customers, "customers").ravel()
    planned = numbers(planned, "planned", ndim=1, above=0)
    if abs(planned.sum() - 1) > SUM_TOLERANCE:
        raise ValueError(
            f"planned sums to {planned.sum():g}: give shares that sum to 1, not per cent or counts"
        )
    if len(customers) < 2 or not customers.any():
        raise ValueError(
            f"{customers.sum()} customers in {len(customers)} variant(s): there is no ratio to test"
        )
    expected = planned * customers.sum()
    if abs(planned.sum() - 1) > 1e-9:
        expected /= planned.sum()
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
        At least 0.
    tau2 : float
        Above 0, in the unit of the increments.

    Returns
    -------
    array
        At most e⁷⁰⁰.

    Raises
    ------
    ValueError
        When a number is not finite, n is negative or `tau2` is not positive.

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
    numbers(tau2, "tau2", above=0)
    given = total, n
    if np.ndim(total) and np.shape(total) == np.shape(n):
        total, n = aligned(total=total, n=n)
    total, n = numbers(total, "total"), numbers(n, "n", low=0).astype(float)
    variance = 1 + n * tau2  # of S_n / sqrt(n) over all effects
    exponent = np.minimum(tau2 * np.square(total) / (2 * variance), _LARGEST_EXPONENT)
    return like(np.exp(exponent) / np.sqrt(variance), *given)


def always_valid_p(ratio: np.ndarray) -> np.ndarray:
    """Return min(1, 1 / the largest likelihood ratio so far) along the last axis.

    Raises
    ------
    ValueError
        When a ratio is negative or not finite.

    Examples
    --------
    >>> import numpy as np
    >>> from pm_utils.measurement.ab_tests import always_valid_p
    >>> always_valid_p(np.array([0.5, 40, 2]))  # it never rises again
    array([1.   , 0.025, 0.025])
    """
    ratios = numbers(ratio, "ratio", low=0)
    return like(1 / np.maximum(np.maximum.accumulate(ratios, axis=-1), 1), ratio)


def peeking(
    looks: int,
    *,
    runs: int,
    seed: int,
    effect: float = 0.0,
    tau2: float = 1.0,
    planned: Sequence[int] = (),
    chunk: int = 2000,
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
    planned : sequence of int
        The looks at which the group-sequential tests are read, equally spaced from the start:
        13, 26 and 39 are a plan of three. They end at the last of them.
    chunk : int
        Runs held in memory at a time.

    Returns
    -------
    dict of str to array of shape (looks,)
        The share of runs that have called a winner at that look or before: ``fixed`` by
        \\|z\\| > 1.96 at any look, ``always valid`` by the mixture SPRT, and ``once`` by \\|z\\| >
        1.96 at that look alone. Where looks are planned, each of `sequential.SHAPES` too.

    Raises
    ------
    ValueError
        When there is no look or run, a number is not finite, or the planned looks are not equally
        spaced or not among the looks.

    Examples
    --------
    >>> from pm_utils.measurement.ab_tests import peeking
    >>> called = peeking(20, runs=2_000, seed=0)  # twenty looks where there is no effect
    >>> {name: round(float(share[-1]), 1) for name, share in called.items()}
    {'once': 0.1, 'fixed': 0.2, 'always valid': 0.0}
    """
    for name, count in (("looks", looks), ("runs", runs), ("chunk", chunk)):
        whole_numbers(count, name, low=1)
    numbers(effect, "effect")
    rng, n = np.random.default_rng(seed), np.arange(1, looks + 1)
    bounds = {"fixed": np.full(looks, norm.ppf(0.975))} | _planned_bounds(looks, planned)
    found = {name: np.zeros(looks) for name in ("once", "fixed", "always valid", *bounds)}
    for first in range(0, runs, chunk):
        size = min(chunk, runs - first), looks
        total = np.cumsum(rng.normal(effect, size=size), axis=1)
        z = np.abs(total) / np.sqrt(n)
        found["once"] += (z > norm.ppf(0.975)).sum(0)
        for name, bound in bounds.items():
            found[name] += np.maximum.accumulate(z > bound, axis=1).sum(0)
        found["always valid"] += (always_valid_p(mixture_sprt(total, n, tau2=tau2)) <= 0.05).sum(0)
    return {name: count / runs for name, count in found.items()}


def _planned_bounds(looks: int, planned: Sequence[int]) -> dict[str, np.ndarray]:
    """What a group-sequential test of each shape asks of \\|z\\| at each look, ∞ between plans."""
    if not len(planned):
        return {}
    at = whole_numbers(planned, "planned", low=1, high=looks)
    if not np.array_equal(at, at[0] * np.arange(1, len(at) + 1)):
        raise ValueError(
            f"planned is {at.tolist()}: give looks that are equally spaced from the start, as 13, "
            "26, 39"
        )
    bounds = {shape: np.full(looks, np.inf) for shape in SHAPES}
    for shape, each in bounds.items():
        each[at - 1] = boundaries(len(at), shape=shape)
    return bounds


def cuped(outcome: np.ndarray, covariate: np.ndarray) -> np.ndarray:
    r"""Take from an outcome what was known before the experiment: :math:`Y - \theta (X - \bar X)`.

    :math:`\theta = \operatorname{cov}(X, Y) / \operatorname{var}(X)` over both groups. The mean
    stays, the variance is multiplied by :math:`1 - \rho^2`. A covariate that is the same for all
    takes nothing.

    Parameters
    ----------
    outcome, covariate : arrays of shape (N,)
        The covariate must be measured before treatment.

    Returns
    -------
    array of shape (N,), or Series where an input has an index

    Raises
    ------
    ValueError
        When the rows cannot be matched or a number is not finite: say what the covariate is of a
        customer who is new, such as 0 dollars.

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
    given = outcome, covariate
    outcome, covariate = aligned(outcome=outcome, covariate=covariate)
    outcome = numbers(outcome, "outcome", ndim=1)
    covariate = numbers(covariate, "covariate", ndim=1)
    if np.ptp(covariate) == 0:
        return like(outcome.copy(), *given)
    centred = covariate - covariate.mean()
    return like(outcome - centred * (centred @ outcome / (centred @ centred)), *given)


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

    Raises
    ------
    ValueError
        When an outcome is not finite, or there are fewer than two customers.

    Examples
    --------
    >>> import numpy as np
    >>> from pm_utils.measurement.ab_tests import placebo_effects
    >>> effects = placebo_effects(np.arange(10.0), draws=500, rng=np.random.default_rng(0))
    >>> effects.shape, bool(abs(effects.mean()) < 0.3)
    ((500,), True)
    """
    outcome = numbers(outcome, "outcome")
    second = random_halves(len(outcome), draws=draws, rng=rng)
    inside = second.sum(1)[0]
    weight = second / inside - (1 - second) / (len(outcome) - inside)
    centred = outcome.astype(float) - outcome.mean(0)  # which 32 bits hold at any level
    return weight @ centred.astype(np.float32)


def random_halves(size: int, *, draws: int, rng: np.random.Generator) -> np.ndarray:
    """Return 1 for half of the customers, drawn anew in each row, and 0 else → (draws, N).

    Raises
    ------
    ValueError
        When there are fewer than two customers or no draws.

    Examples
    --------
    >>> import numpy as np
    >>> from pm_utils.measurement.ab_tests import random_halves
    >>> random_halves(5, draws=3, rng=np.random.default_rng(0)).sum(1)  # two of five
    array([2., 2., 2.], dtype=float32)
    """
    whole_numbers(size, "size", low=2)
    whole_numbers(draws, "draws", low=1)
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
        One row per covariate: ``promised``, 1 - ρ² (1 of a covariate that is the same for all), and
        ``measured`` over the splits.

    Raises
    ------
    ValueError
        When the rows cannot be matched, a number is not finite or the outcome is the same for all.

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
    names = [f"covariate {name}" for name in covariates]
    outcome, *given = aligned(outcome=outcome, **dict(zip(names, covariates.values(), strict=True)))
    outcome = numbers(outcome, "outcome", ndim=1)
    given = [numbers(x, name, ndim=1) for x, name in zip(given, names, strict=True)]
    if np.ptp(outcome) == 0:
        raise ValueError("the outcome is the same for all: it has no variance to reduce")
    promised = [1 - np.corrcoef(x, outcome)[0, 1] ** 2 if np.ptp(x) else 1.0 for x in given]
    columns = [outcome, *(cuped(outcome, x) for x in given)]
    variance = placebo_effects(np.column_stack(columns), draws=draws, rng=rng).var(0)
    found = {"promised": promised, "measured": variance[1:] / variance[0]}
    return pd.DataFrame(found, index=list(covariates))
