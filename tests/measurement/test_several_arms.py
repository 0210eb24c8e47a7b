"""Several variants: against scipy and statsmodels, by hand, and where there is nothing to find."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.oneway import anova_oneway

from pm_utils.measurement import ab_tests
from pm_utils.measurement.several_arms import (
    several_means,
    several_means_from_moments,
    several_proportions,
)

CLICKS, CUSTOMERS = {"a": 30, "b": 45, "c": 70}, {"a": 900, "b": 1000, "c": 1100}


def test_shares_are_compared_by_chi_square_and_pairs_by_holm():
    found = several_proportions(CLICKS, CUSTOMERS)
    hits, tries = np.array(list(CLICKS.values())), np.array(list(CUSTOMERS.values()))
    table = np.array([hits, tries - hits])
    assert found.p_value == pytest.approx(stats.chi2_contingency(table, correction=False).pvalue)
    pairs = [("a", "b"), ("a", "c"), ("b", "c")]
    assert list(zip(found.pairs["first"], found.pairs["second"], strict=True)) == pairs
    alone = [
        ab_tests.two_proportions((CLICKS[i], CLICKS[j]), (CUSTOMERS[i], CUSTOMERS[j]))
        for i, j in pairs
    ]
    assert found.pairs["p_value"].tolist() == [one.p_value for one in alone]
    assert found.pairs["difference"].tolist() == [one.difference for one in alone]
    order = np.argsort(found.pairs["p_value"])  # Holm by hand: times 3, 2, 1, never falling
    by_hand = np.maximum.accumulate(found.pairs["p_value"].to_numpy()[order] * [3, 2, 1])
    assert found.pairs["corrected"].to_numpy()[order] == pytest.approx(np.minimum(by_hand, 1))


@pytest.mark.parametrize("correction", ["bonferroni", "sidak", "fdr_bh"])
def test_other_corrections_are_those_of_statsmodels(correction):
    pairs = several_proportions(CLICKS, CUSTOMERS, correction=correction).pairs
    expected = multipletests(pairs["p_value"], method=correction)[1]
    assert pairs["corrected"].to_numpy() == pytest.approx(expected)


def test_two_arms_are_the_test_of_two():
    two = several_proportions({"a": 50, "b": 80}, {"a": 1000, "b": 1000})
    alone = ab_tests.two_proportions((50, 80), (1000, 1000))
    assert two.p_value == pytest.approx(alone.p_value)
    assert two.pairs["corrected"].tolist() == [alone.p_value]


def test_means_are_compared_by_welchs_analysis_of_variance():
    rng = np.random.default_rng(0)
    groups = [rng.normal(m, s, n) for m, s, n in ((0, 1, 12), (0.5, 3, 20), (1, 2, 9))]
    outcome, arm = np.concatenate(groups), np.repeat(["x", "y", "z"], [12, 20, 9])
    found = several_means(outcome, arm)
    expected = anova_oneway(groups, use_var="unequal", welch_correction=True)
    assert found.p_value == pytest.approx(expected.pvalue)
    alone = stats.ttest_ind(groups[2], groups[0], equal_var=False)
    assert found.pairs["p_value"].iloc[1] == pytest.approx(alone.pvalue)
    table = pd.DataFrame({"outcome": outcome}).groupby(arm)["outcome"].agg(["mean", "var", "size"])
    moments = several_means_from_moments(table["mean"], table["var"], table["size"])
    assert moments.p_value == pytest.approx(found.p_value)
    pd.testing.assert_frame_equal(moments.pairs, found.pairs)


def test_an_arm_without_variance_is_compared_as_by_two_means():
    outcome, arm = [0.1, 0.1, 0.1, 2, 3, 5], np.repeat([0, 1], 3)
    alone = ab_tests.two_means(outcome, arm)
    found = several_means(outcome, arm)
    assert found.p_value == pytest.approx(alone.p_value)
    assert found.pairs["p_value"].tolist() == [alone.p_value]
    three = several_means([*outcome, 0.0, 1.0, 4.0], np.repeat([0, 1, 2], 3))
    nearly = several_means([*outcome[1:], 0.1 + 1e-6, 0.0, 1.0, 4.0], [0, 0, 1, 1, 1, 0, 2, 2, 2])
    assert three.p_value == pytest.approx(nearly.p_value, rel=1e-4)
    same = several_means([0.1] * 6, arm)
    assert (same.p_value, same.pairs["p_value"].tolist()) == (1, [1])


def test_the_best_pair_of_equal_arms_is_seldom_proven():
    """Of five equal arms some pair often looks different; corrected it seldom does."""
    rng, names = np.random.default_rng(0), list("abcde")
    alarms = []
    for clicks in rng.binomial(2000, 0.1, size=(60, 5)).tolist():
        pairs = several_proportions(
            dict(zip(names, clicks, strict=True)), dict.fromkeys(names, 2000)
        ).pairs
        alarms.append([pairs["p_value"].min() < 0.05, pairs["corrected"].min() < 0.05])
    raw, corrected = np.mean(alarms, axis=0)
    assert raw > 0.15
    assert corrected < 0.12


def test_where_nobody_clicked_nothing_differs():
    found = several_proportions(dict.fromkeys("abc", 0), dict.fromkeys("abc", 10))
    assert found.p_value == 1
    assert (found.pairs["corrected"] == 1).all()


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: several_proportions({"a": 1}, {"a": 2}), r"1 variant\(s\): give two"),
        (lambda: several_proportions(CLICKS, {"a": 9, "b": 9}), "other variants, such as 'c'"),
        (lambda: several_proportions(CLICKS, CUSTOMERS | {"b": 0}), "nobody got variant 1"),
        (lambda: several_proportions(CLICKS, CUSTOMERS, correction="none"), "correction is 'none'"),
        (lambda: several_means([1, 2, 3], ["a", "a", "b"]), "arm 'b' has one customer"),
        (lambda: several_means([1, 2, 3], ["a", None, "b"]), "arm is missing in 1 of 3 rows"),
        (lambda: several_means([1, 1, 2, 2], ["a", "a", "b", "b"]), "there is no variance"),
        (lambda: several_means([1, 1, 2, 3], ["a", "a", 1, 1]), "arm holds .*, of several types"),
    ],
)
def test_what_cannot_be_compared_is_named(call, said):
    with pytest.raises(ValueError, match=said):
        call()
