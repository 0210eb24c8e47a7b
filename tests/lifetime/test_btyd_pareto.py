"""Pareto/NBD and MBG/NBD against integrals, planted parameters and the published table."""

import os
from dataclasses import astuple
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy.integrate import quad
from scipy.special import beta, gammaln
from sklearn.exceptions import ConvergenceWarning

from pm_utils.lifetime import btyd, rfm
from pm_utils.lifetime.btyd import BetaGeoNBD, ModifiedBetaGeoNBD, ParetoNBD

PUBLISHED = ParetoNBD(r=0.553, alpha=10.578, s=0.606, beta=11.669)
HISTORIES = np.array([[0, 0, 39], [2, 30.43, 38.86], [29, 35.1, 36], [7, 12, 38], [300, 20, 39]]).T
PARAMETERS = [
    astuple(PUBLISHED),
    (2.0, 0.3, 0.05, 90.0),  # hardly anybody leaves
    (1.0, 50.0, 14.0, 0.01),  # many leave at once
    (3.0, 1.0, 1000.0, 1e6),  # all leave at one rate
]


# --- The likelihood -------------------------------------------------------------------------


def integrated(parameters, x, t_x, T):
    """The log likelihood by adaptive quadrature over the time at which a customer left."""
    r, alpha, s, b = parameters

    def exponent(y):
        return (r + x) * np.log(alpha + y) + (s + 1) * np.log(b + y)

    ends = np.append(t_x, t_x + (T - t_x) * np.logspace(-8, 0, 60))
    parts = [
        quad(lambda y: s * np.exp(exponent(t_x) - exponent(y)), *pair, epsabs=0, epsrel=1e-10)[0]
        for pair in zip(ends[:-1], ends[1:], strict=True)
    ]
    there = -(r + x) * np.log(alpha + T) - s * np.log(b + T)
    either = np.logaddexp(there, np.log(sum(parts)) - exponent(t_x))
    return gammaln(r + x) - gammaln(r) + r * np.log(alpha) + s * np.log(b) + either


@pytest.mark.parametrize("parameters", PARAMETERS)
def test_the_likelihood_is_the_integral_over_when_one_left(parameters):
    value, _ = btyd.pareto_nbd_log_likelihood(parameters, *HISTORIES)
    wanted = [integrated(parameters, *history) for history in HISTORIES.T]
    assert value == pytest.approx(wanted, abs=1e-9)


def test_likelihoods_by_hand():
    """All parameters 1. x = 0: 1/4 + ∫(1+y)^-3 = 5/8. Seen on the last day, x = 1: 1/2² · 1/2."""
    value, _ = btyd.pareto_nbd_log_likelihood((1, 1, 1, 1), [0, 1], [0, 1], [1, 1])
    assert np.exp(value) == pytest.approx([5 / 8, 1 / 8])


@pytest.mark.parametrize("parameters", PARAMETERS)
def test_gradients_are_those_of_the_likelihood(parameters):
    logs, step = np.log(parameters), 1e-5

    def value(log_parameters):
        return btyd.pareto_nbd_log_likelihood(np.exp(log_parameters), *HISTORIES)[0]

    numeric = [(value(logs + step * e) - value(logs - step * e)) / (2 * step) for e in np.eye(4)]
    _, gradients = btyd.pareto_nbd_log_likelihood(parameters, *HISTORIES)
    assert gradients == pytest.approx(np.column_stack(numeric), rel=1e-4, abs=1e-5)


def test_mbg_is_the_papers_formula():
    """Batislam and others (2007): BG/NBD with one more chance to leave, before any repeat order."""
    r, alpha, a, b = parameters = (0.525, 6.183, 0.891, 1.614)
    x, t_x, T = HISTORIES[:, :4]
    stays = beta(a, b + x + 1) / beta(a, b) / (alpha + T) ** (r + x)
    gone = beta(a + 1, b + x) / beta(a, b) / (alpha + t_x) ** (r + x)
    printed = gammaln(r + x) - gammaln(r) + r * np.log(alpha) + np.log(stays + gone)
    value, _ = btyd.bgnbd_log_likelihood(parameters, x, t_x, T, chances_at_first=1)
    assert value == pytest.approx(printed)
    alive = ModifiedBetaGeoNBD(*parameters).probability_alive(x, t_x, T)
    assert alive == pytest.approx(stays / (stays + gone))


# --- Planted parameters ---------------------------------------------------------------------


def simulate(n, weeks, rate, leaves_after, leaves_at_order, *, seed, later):
    """Draw histories until `weeks`, and orders in the weeks `later`.

    A customer orders at `rate` until the time `leaves_after`; after each order, the first one
    too, they leave with the chance `leaves_at_order`.
    """
    rng = np.random.default_rng(seed)
    last = np.where(rng.random(n) < leaves_at_order, 0.0, leaves_after)
    x, t_x, came, now = np.zeros(n), np.zeros(n), np.zeros(n), np.zeros(n)
    while True:
        now = now + rng.exponential(1, n) / rate
        orders = (now <= last) & (now <= weeks + later)
        if not orders.any():
            return x, t_x, np.full(n, float(weeks)), last > weeks, came
        early = orders & (now <= weeks)
        x, t_x, came = x + early, np.where(early, now, t_x), came + (orders & ~early)
        leaves = orders & (rng.random(n) < leaves_at_order)
        last = np.where(leaves, now, last)


PLANTED = ParetoNBD(r=1.2, alpha=3.0, s=0.8, beta=15.0)
PLANTED_MBG = ModifiedBetaGeoNBD(r=1.2, alpha=3.0, a=0.8, b=4.0)


@pytest.fixture(scope="module")
def drawn():
    rng, n = np.random.default_rng(5), 6000
    rate = rng.gamma(PLANTED.r, 1 / PLANTED.alpha, n)
    leaves = rng.exponential(1, n) / rng.gamma(PLANTED.s, 1 / PLANTED.beta, n)
    return simulate(n, 40, rate, leaves, np.zeros(n), seed=6, later=20)


@pytest.fixture(scope="module")
def drawn_mbg():
    rng, n = np.random.default_rng(7), 6000
    rate = rng.gamma(PLANTED_MBG.r, 1 / PLANTED_MBG.alpha, n)
    chance = rng.beta(PLANTED_MBG.a, PLANTED_MBG.b, n)
    return simulate(n, 40, rate, np.full(n, np.inf), chance, seed=8, later=20)


def test_planted_parameters_are_recovered(drawn, drawn_mbg):
    for planted, (*history, _, _) in ((PLANTED, drawn), (PLANTED_MBG, drawn_mbg)):
        found = type(planted).fit(*history)
        assert np.log(astuple(found)) == pytest.approx(np.log(astuple(planted)), abs=0.25)
        assert found.log_likelihood(*history) > planted.log_likelihood(*history)


def test_the_right_story_is_likelier(drawn, drawn_mbg):
    for right, wrong, (*history, _, _) in (
        (ParetoNBD, BetaGeoNBD, drawn),
        (ModifiedBetaGeoNBD, BetaGeoNBD, drawn_mbg),
    ):
        fits = [model.fit(*history).log_likelihood(*history) for model in (right, wrong)]
        assert fits[0] > fits[1] + 5


@pytest.mark.parametrize("which", ["Pareto/NBD", "MBG/NBD"])
def test_expectations_are_the_means_of_what_comes(which, drawn, drawn_mbg):
    model, rows = {"Pareto/NBD": (PLANTED, drawn), "MBG/NBD": (PLANTED_MBG, drawn_mbg)}[which]
    *history, alive, came = rows
    x, t_x, _ = history
    told = {
        "orders": (came, model.expected_orders(20, *history)),
        "alive": (alive, model.probability_alive(*history)),
        "silent": (came == 0, model.probability_no_order(20, *history)),
    }
    for happened, expected in told.values():
        for part in (x == 0, (x > 0) & (t_x < 20), (x > 3) & (t_x > 30)):
            gap = happened[part] - expected[part]
            assert part.sum() > 200
            assert abs(gap.mean()) < 4 * gap.std() / np.sqrt(part.sum())
    gap = x.mean() - model.unconditional_orders(40)
    assert abs(gap) < 4 * x.std() / np.sqrt(len(x))


def test_an_s_of_one_is_the_limit_of_its_neighbours():
    one, near = (ParetoNBD(0.3, 4.0, s, 2.0) for s in (1.0, 1.0001))
    expected = one.expected_orders(20, *HISTORIES)
    assert expected == pytest.approx(near.expected_orders(20, *HISTORIES), rel=1e-3)


@pytest.mark.parametrize("unit", [1 / 52, 7])
def test_the_unit_of_time_does_not_matter(drawn, unit):
    x, t_x, T = (part[:800] for part in drawn[:3])
    weeks, other = ParetoNBD.fit(x, t_x, T), ParetoNBD.fit(x, unit * t_x, unit * T)
    assert [other.r, other.alpha / unit, other.s, other.beta / unit] == pytest.approx(
        astuple(weeks), rel=1e-4
    )


def test_a_fit_to_histories_without_leaving_finds_none():
    rng = np.random.default_rng(0)
    rate, T = rng.gamma(2, 0.5, 2000), np.full(2000, 40.0)
    x = rng.poisson(rate * T)
    t_x = np.where(x > 0, T * rng.random(2000) ** (1 / np.maximum(x, 1)), 0)
    with pytest.warns(ConvergenceWarning, match="s ended at its bound|many times"):
        found = ParetoNBD.fit(x, t_x, T)
    assert found.probability_alive(x, t_x, T).mean() > 0.99


def test_parameters_are_above_0():
    for wrong in (0.0, -1.0, np.nan, np.inf):
        with pytest.raises(ValueError, match="r, alpha, s, beta"):
            ParetoNBD(1, wrong, 1, 1)


# --- The published table --------------------------------------------------------------------

CDNOW = Path(os.environ.get("PM_DATA", "")) / "cdnow" / "CDNOW_sample.txt"


@pytest.fixture(scope="module")
def cdnow():
    if not (os.environ.get("PM_DATA") and CDNOW.is_file()):
        pytest.skip("PM_DATA names no folder with cdnow/CDNOW_sample.txt")
    table = pd.read_csv(CDNOW, sep=r"\s+", header=None, dtype={2: str})
    table = table.rename(columns={1: "customer_id", 2: "ordered_at", 4: "amount"})
    table["ordered_at"] = pd.to_datetime(table["ordered_at"])
    past = rfm.rfm_summary(table, "1997-10-01")
    return [past[name] for name in ("frequency", "recency", "age")]


def test_the_fits_give_the_published_parameters(cdnow):
    """Fader, Hardie & Lee (2005), table 2; for MBG/NBD, the R package BTYDplus."""
    pareto, mbg = ParetoNBD.fit(*cdnow), ModifiedBetaGeoNBD.fit(*cdnow)
    assert astuple(pareto) == pytest.approx((0.553, 10.578, 0.606, 11.669), abs=1e-3)
    assert pareto.log_likelihood(*cdnow) == pytest.approx(-9594.98, abs=0.01)
    assert astuple(mbg) == pytest.approx((0.525, 6.183, 0.891, 1.614), abs=1e-3)
    assert mbg.log_likelihood(*cdnow) == pytest.approx(-9582.1, abs=0.05)
