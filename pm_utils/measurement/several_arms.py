"""Tests of several variants: is any of them different, and which pairs?

One test over all variants comes first. Then every pair is compared, and its p-value corrected for
the number of pairs, by Holm's method unless another of statsmodels' `multipletests` is named:
without a correction, the best against the worst of ten equal variants differs "significantly" in
most tests. Intervals of pairs are those of one comparison, not corrected.
"""

from collections.abc import Hashable, Mapping
from dataclasses import dataclass
from itertools import combinations

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from scipy.stats import chi2_contingency
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.oneway import anova_generic

from pm_utils.inputs import aligned, labels, numbers, whole_numbers
from pm_utils.measurement.ab_tests import (
    Comparison,
    checked_counts,
    mean_of,
    two_means_from_moments,
    two_proportions,
    variance_of,
)

_METHODS = ("bonferroni", "sidak", "holm", "holm-sidak", "fdr_bh", "fdr_by")


@dataclass(frozen=True)
class SeveralArms:
    """What a test of several variants found.

    Attributes
    ----------
    p_value : float
        That no variant differs from any other.
    pairs : DataFrame
        One row per pair: ``first``, ``second``, ``difference`` (second less first), ``low`` and
        ``high`` (95 %, of this pair alone), ``p_value`` and ``corrected`` (p-value).
    """

    p_value: float
    pairs: pd.DataFrame


def several_proportions(
    clicks: Mapping[Hashable, int], customers: Mapping[Hashable, int], *, correction: str = "holm"
) -> SeveralArms:
    """Compare the shares of several variants: chi-square without continuity correction, and pairs.

    Parameters
    ----------
    clicks, customers : dict of int
        By the variants' names; a Series will do.
    correction : str
        Of the pairs' p-values (`two_proportions`), by its name in statsmodels.

    Returns
    -------
    SeveralArms
        Where nobody or everybody clicked, all p-values are 1.

    Raises
    ------
    ValueError
        When the variants are not the same or fewer than two, the correction is unknown, or
        `two_proportions` raises.

    References
    ----------
    Holm (1979), A simple sequentially rejective multiple test procedure.

    Examples
    --------
    >>> from pm_utils.measurement.several_arms import several_proportions
    >>> clicks, customers = {"a": 50, "b": 52, "c": 80}, {"a": 1_000, "b": 1_000, "c": 1_000}
    >>> found = several_proportions(clicks, customers)
    >>> round(found.p_value, 4)
    0.0072
    >>> found.pairs[["first", "second", "p_value", "corrected"]].round(4)
      first second  p_value  corrected
    0     a      b   0.8389     0.8389
    1     a      c   0.0065     0.0195
    2     b      c   0.0117     0.0234
    """
    names = _names(clicks, customers=customers)
    hits, tries = checked_counts([clicks[n] for n in names], [customers[n] for n in names])
    missed = np.array(tries) - np.array(hits)
    varies = sum(hits) and missed.any()
    p_value = chi2_contingency([hits, missed], correction=False).pvalue if varies else 1.0
    found = [
        two_proportions((hits[i], hits[j]), (tries[i], tries[j])) for i, j in _pairs(len(names))
    ]
    return SeveralArms(float(p_value), _pair_table(names, found, correction))


def several_means(outcome: ArrayLike, arm: ArrayLike, *, correction: str = "holm") -> SeveralArms:
    """Compare the means of several variants by Welch's analysis of variance, and pairs.

    Parameters
    ----------
    outcome, arm : arrays of shape (N,)
        What came of each customer, and the name of the variant that they got.
    correction : str
        Of the pairs' p-values (`two_means`), by its name in statsmodels.

    Returns
    -------
    SeveralArms

    Raises
    ------
    ValueError
        When the rows cannot be matched, an outcome is not finite, a customer has no variant, or
        `several_means_from_moments` raises.

    Examples
    --------
    >>> from pm_utils.measurement.several_arms import several_means
    >>> found = several_means([1, 3, 2, 4, 6, 5, 3, 4, 2], ["a"] * 3 + ["b"] * 3 + ["c"] * 3)
    >>> round(found.p_value, 3)
    0.062
    >>> found.pairs["corrected"].round(3).tolist()
    [0.064, 0.288, 0.141]
    """
    outcome, arm = aligned(outcome=outcome, arm=arm)
    outcome, arm = numbers(outcome, "outcome", ndim=1).astype(float), labels(arm, "arm")
    names = sorted(pd.unique(pd.Series(arm)).tolist(), key=str)
    groups = {name: outcome[arm == name] for name in names}
    if alone := [name for name, group in groups.items() if len(group) < 2]:
        raise ValueError(f"arm {alone[0]!r} has one customer: a test needs at least two in each")
    return several_means_from_moments(
        {name: mean_of(group) for name, group in groups.items()},
        {name: variance_of(group) for name, group in groups.items()},
        {name: len(group) for name, group in groups.items()},
        correction=correction,
    )


def several_means_from_moments(
    mean: Mapping[Hashable, float],
    variance: Mapping[Hashable, float],
    customers: Mapping[Hashable, int],
    *,
    correction: str = "holm",
) -> SeveralArms:
    """Compare means as `several_means` does, from a published table of moments.

    Parameters
    ----------
    mean, variance : dict of float
        By the variants' names; variances have the divisor n - 1.
    customers : dict of int
        At least two each.
    correction : str
        Of the pairs' p-values, by its name in statsmodels.

    Raises
    ------
    ValueError
        When the variants are not the same or fewer than two, a number is not finite, a variance is
        negative, a variant has fewer than two customers, the correction is unknown, or two variants
        without variance differ.

    References
    ----------
    Welch (1951), On the comparison of several mean values: an alternative approach.

    Examples
    --------
    >>> from pm_utils.measurement.several_arms import several_means_from_moments
    >>> mean, same = {"a": 2.0, "b": 5.0, "c": 3.0}, dict.fromkeys("abc", 1.0)
    >>> found = several_means_from_moments(mean, same, dict.fromkeys("abc", 3))
    >>> round(found.p_value, 3)  # the nine customers of `several_means`
    0.062
    """
    names = _names(mean, variance=variance, customers=customers)
    means = numbers([mean[name] for name in names], "mean")
    variances = numbers([variance[name] for name in names], "variance", low=0)
    counts = whole_numbers([customers[name] for name in names], "customers", low=2)
    pairs = _pairs(len(names))
    found = [two_means_from_moments(means[[*p]], variances[[*p]], counts[[*p]]) for p in pairs]
    p_value = _over_all(means, variances, counts)
    return SeveralArms(p_value, _pair_table(names, found, correction))


def _over_all(means: np.ndarray, variances: np.ndarray, counts: np.ndarray) -> float:
    """Welch's test over all variants.

    One variant without variance has a known mean, which Welch's weights cannot hold: it gets the
    limit of a variance that vanishes.
    """
    if not variances.any():  # and so no difference, which the pairs would have refused
        return 1.0
    least = 1e-12 * (variances / counts).max() * counts
    variances = np.where(variances > 0, variances, least)
    found = anova_generic(means, variances, counts, use_var="unequal", welch_correction=True)
    return float(found.pvalue)


def _names(first: Mapping[Hashable, float], **others: Mapping[Hashable, float]) -> list[Hashable]:
    """The variants, which all of the arguments must hold."""
    for name, other in others.items():
        if apart := set(first.keys()) ^ set(other.keys()):
            raise ValueError(f"{name} has other variants, such as {min(map(str, apart))!r}")
    if len(first) < 2:
        raise ValueError(f"{len(first)} variant(s): give two or more")
    return list(first.keys())


def _pairs(count: int) -> list[tuple[int, int]]:
    return list(combinations(range(count), 2))


def _pair_table(names: list[Hashable], found: list[Comparison], correction: str) -> pd.DataFrame:
    if correction not in _METHODS:
        raise ValueError(f"correction is {correction!r}: give one of {_METHODS}")
    ends = pd.DataFrame(list(combinations(names, 2)), columns=["first", "second"])
    table = ends.join(pd.DataFrame([vars(one) for one in found]))
    table["corrected"] = multipletests(table["p_value"], method=correction)[1]
    return table
