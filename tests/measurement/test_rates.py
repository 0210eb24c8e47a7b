"""Rates of alike rows have wider intervals; Wilson's by hand."""

import numpy as np
import pytest
from statsmodels.stats.proportion import proportion_confint

from pm_utils.measurement import rates


@pytest.mark.parametrize(("hits", "tries"), [(0, 10), (3, 10), (10, 10), (30, 1500)])
def test_wilson_is_that_of_statsmodels(hits, tries):
    low, high = proportion_confint(hits, tries, method="wilson")
    assert rates.wilson(hits, tries) == pytest.approx((low, high), abs=1e-12)


def test_wilson_takes_a_level_and_knows_nothing_without_tries():
    low, high = proportion_confint(4, 20, method="wilson", alpha=0.2)
    assert rates.wilson(4, 20, level=0.8) == pytest.approx((low, high))
    assert rates.wilson(0, 0) == (0.0, 1.0)


@pytest.mark.parametrize(("hits", "tries"), [(3, 2), (-1, 2), (1, 0)])
def test_wilson_rejects_counts_that_cannot_be(hits, tries):
    with pytest.raises(ValueError, match="hits among"):
        rates.wilson(hits, tries)


def test_a_clustered_rate_by_hand():
    # R = 3 / 8; residuals 1 - 1.5, 2 - 0.75, 0 - 0.75; K / (K - 1) = 1.5
    rate = rates.clustered_rate([1, 2, 0], [4, 2, 2])
    variance = 1.5 * (0.5**2 + 1.25**2 + 0.75**2) / 64
    free = 3 / 8 * 5 / 8 / 8
    assert rate.value == 3 / 8
    assert rate.design_effect == pytest.approx(variance / free)
    worth = 8 / rate.design_effect
    assert (rate.low, rate.high) == pytest.approx(rates.wilson(3 / 8 * worth, worth))


def test_one_row_each_is_the_textbooks_interval():
    part = np.repeat([1, 0], [300, 700])
    rate = rates.clustered_rate(part, np.ones(1000))
    assert rate.design_effect == pytest.approx(1, abs=0.002)  # K / (K - 1)
    assert (rate.low, rate.high) == pytest.approx(rates.wilson(300, 1000), abs=1e-4)


def test_copies_of_a_row_add_nothing():
    rng = np.random.default_rng(0)
    part = (rng.random(400) < 0.3).astype(float)
    once, tenfold = (rates.clustered_rate(k * part, np.full(400, k)) for k in (1, 10))
    assert tenfold.value == once.value
    assert tenfold.design_effect == pytest.approx(10 * once.design_effect, rel=0.01)
    assert tenfold.high - tenfold.low == pytest.approx(once.high - once.low, rel=0.01)


def test_customers_who_never_reached_the_stage_change_nothing():
    part, whole = np.array([1, 2, 0]), np.array([4, 2, 2])
    more = [np.append(each, [0, 0, 0]) for each in (part, whole)]
    assert rates.clustered_rate(*more) == rates.clustered_rate(part, whole)


def test_nobody_reached_or_nobody_passed():
    nobody = rates.clustered_rate([0, 0], [0, 0])
    assert np.isnan(nobody.value)
    assert (nobody.low, nobody.high, nobody.design_effect) == (0, 1, 1)
    none = rates.clustered_rate([0] * 10, [50] * 10)
    assert none.value == none.low == 0
    assert none.high == pytest.approx(rates.wilson(0, 10)[1])  # ten customers, not 500 rows
    everyone = rates.clustered_rate([50] * 10, [50] * 10)
    assert everyone.high == pytest.approx(1)
    assert everyone.low == pytest.approx(1 - none.high)


@pytest.mark.parametrize(
    ("part", "whole", "said"),
    [([2], [1], "part is above whole"), ([-1], [1], "part is out of range")],
)
def test_a_rate_rejects_counts_that_cannot_be(part, whole, said):
    with pytest.raises(ValueError, match=said):
        rates.clustered_rate(part, whole)


def test_a_rate_of_what_is_no_number_is_refused():
    for call, said in (
        (lambda: rates.wilson(np.nan, 10), "give 0 <= hits <= tries"),
        (lambda: rates.wilson(1, np.inf), "not finite"),
        (lambda: rates.wilson(1, 2, level=95), "level is 95"),
        (lambda: rates.clustered_rate([np.nan, 1], [1, 1]), "part is not finite in 1 of 2 rows"),
        (
            lambda: rates.clustered_rate([3, 1], [2, 1]),
            r"part is above whole in 1 of 2 rows, first row 0 \(3 of 2\)",
        ),
    ):
        with pytest.raises(ValueError, match=said):
            call()
