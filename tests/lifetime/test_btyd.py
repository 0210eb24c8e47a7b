"""Models of buying and Gamma–Gamma against hand-worked values, planted and published parameters."""

import os
import re
import warnings
from dataclasses import astuple
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.integrate import quad
from scipy.special import beta, gamma, gammaln, hyp2f1
from sklearn.exceptions import ConvergenceWarning

from pm_utils.chapters import lifetime_value
from pm_utils.lifetime import btyd, rfm
from pm_utils.lifetime.btyd import BetaGeoNBD, GammaGamma, ModifiedBetaGeoNBD, ParetoNBD

PUBLISHED = BetaGeoNBD(r=0.243, alpha=4.414, a=0.793, b=2.426)
HISTORIES = np.array([[0, 0, 39], [1, 1.7, 38.9], [2, 30.43, 38.86], [29, 35.1, 36], [7, 12, 38]]).T


# --- BG/NBD -------------------------------------------------------------------------------


def likelihood(parameters, *history):
    return np.exp(btyd.bgnbd_log_likelihood(parameters, *np.atleast_2d(history).T)[0])


def test_likelihoods_by_hand():
    """Never again: (α / (α + T))^r. Once: r α^r [b/(a+b) (α+T)^−(r+1) + a/(a+b) (α+t)^−(r+1)]."""
    assert likelihood((1, 2, 1, 1), 0, 0, 2) == pytest.approx(1 / 2)
    assert likelihood((2, 1, 5, 3), 0, 0, 3) == pytest.approx(1 / 16)
    assert likelihood((1, 1, 1, 3), 1, 1, 3) == pytest.approx(0.75 / 16 + 0.25 / 4)


def test_the_likelihood_is_the_papers_formula():
    r, alpha, a, b = astuple(PUBLISHED)
    x, t_x, T = HISTORIES
    first = beta(a, b + x) / beta(a, b) / (alpha + T) ** (r + x)
    second = beta(a + 1, np.maximum(b + x - 1, 1e-9)) / beta(a, b) / (alpha + t_x) ** (r + x)
    printed = gamma(r + x) * alpha**r / gamma(r) * (first + (x > 0) * second)
    assert np.exp(btyd.bgnbd_log_likelihood(astuple(PUBLISHED), *HISTORIES)[0]) == (
        pytest.approx(printed)
    )


def test_a_gradient_by_hand():
    """For one who never came again the log likelihood is r log(α / (α + T)): no a, no b in it."""
    gradients = btyd.bgnbd_log_likelihood((2.0, 1.0, 5.0, 3.0), [0], [0], [3])[1][0]
    assert gradients == pytest.approx([2 * np.log(1 / 4), 2 * (1 - 1 / 4), 0, 0])


def numeric_gradients(function, parameters, step=1e-5):
    logs = np.log(parameters)
    moved = [(logs + step * unit, logs - step * unit) for unit in np.eye(len(logs))]
    return np.column_stack(
        [(function(np.exp(up))[0] - function(np.exp(down))[0]) / (2 * step) for up, down in moved]
    )


@settings(max_examples=20, deadline=None)
@given(st.lists(st.floats(0.05, 20), min_size=4, max_size=4))
def test_gradients_are_those_of_the_likelihood(parameters):
    def function(p):
        return btyd.bgnbd_log_likelihood(p, *HISTORIES)

    numeric = numeric_gradients(function, parameters)
    assert function(parameters)[1] == pytest.approx(numeric, rel=1e-4, abs=1e-5)


def test_hundreds_of_orders_do_not_underflow():
    x, T = np.array([300.0, 900.0]), np.array([50.0, 150.0])
    value, gradients = btyd.bgnbd_log_likelihood((1.4, 1.3, 14.0, 23000.0), x, T - 0.1, T)
    assert np.isfinite(value).all()
    assert np.isfinite(gradients).all()
    model = BetaGeoNBD(1.4, 1.3, 14.0, 23000.0)
    expected = model.expected_orders(10, x, T - 0.1, T)
    assert expected == pytest.approx(10 * x / T, rel=0.05)  # hardly anybody leaves


def simulate(model, n, weeks, *, seed, later=0.0):
    """Draw customers by the model's story: their history until `weeks`, and their orders later."""
    rng = np.random.default_rng(seed)
    rate = rng.gamma(model.r, 1 / model.alpha, n)
    leave = rng.beta(model.a, model.b, n)
    x, t_x, alive, came = np.zeros(n), np.zeros(n), np.ones(n, bool), np.zeros(n)
    now = np.zeros(n)
    there = np.ones(n, bool)
    while there.any():
        now = np.where(there, now + rng.exponential(1, n) / rate, np.inf)
        early = there & (now <= weeks)
        x, t_x = x + early, np.where(early, now, t_x)
        came += there & (now > weeks) & (now <= weeks + later)
        there &= now <= weeks + later
        gone = there & (rng.random(n) < leave)
        alive &= ~(gone & (now <= weeks))
        there &= ~gone
    return x, t_x, np.full(n, float(weeks)), alive, came


PLANTED = BetaGeoNBD(r=1.2, alpha=3.0, a=0.8, b=4.0)


@pytest.fixture(scope="module")
def drawn():
    return simulate(PLANTED, 6000, 40, seed=3, later=20)


def test_planted_parameters_are_recovered(drawn):
    found = BetaGeoNBD.fit(*drawn[:3])
    assert np.log(astuple(found)) == pytest.approx(np.log(astuple(PLANTED)), abs=0.25)
    assert found.r / found.alpha == pytest.approx(PLANTED.r / PLANTED.alpha, rel=0.06)
    assert found.a / (found.a + found.b) == pytest.approx(0.8 / 4.8, rel=0.06)
    assert found.log_likelihood(*drawn[:3]) > PLANTED.log_likelihood(*drawn[:3])


def test_the_fit_is_where_no_gradient_is_left(drawn):
    found = BetaGeoNBD.fit(*(part[:500] for part in drawn[:3]))
    gradients = btyd.bgnbd_log_likelihood(astuple(found), *(part[:500] for part in drawn[:3]))[1]
    assert gradients.sum(0) == pytest.approx(np.zeros(4), abs=0.01)


def test_copies_of_customers_do_not_move_the_fit(drawn):
    some = [part[:300] for part in drawn[:3]]
    once, thrice = BetaGeoNBD.fit(*some), BetaGeoNBD.fit(*(np.tile(part, 3) for part in some))
    assert astuple(once) == pytest.approx(astuple(thrice), rel=1e-4)


def test_a_fit_to_histories_without_leaving_finds_none():
    rng = np.random.default_rng(0)
    rate, T = rng.gamma(2, 0.5, 2000), np.full(2000, 40.0)
    x = rng.poisson(rate * T)
    t_x = np.where(x > 0, T * rng.random(2000) ** (1 / np.maximum(x, 1)), 0)
    with pytest.warns(ConvergenceWarning, match="a ended at its bound"):
        found = BetaGeoNBD.fit(x, t_x, T)
    assert found.a / (found.a + found.b) < 1e-3
    assert found.probability_alive(x, t_x, T).mean() > 0.99


def test_the_probability_to_be_there_is_calibrated(drawn):
    x, t_x, T, alive, _ = drawn
    probability = PLANTED.probability_alive(x, t_x, T)
    for low, high in ((0, 0.2), (0.2, 0.6), (0.6, 0.9), (0.9, 1.01)):
        part = (probability >= low) & (probability < high)
        error = np.sqrt(probability[part] @ (1 - probability[part])) / part.sum()
        assert part.sum() > 100
        assert abs(alive[part].mean() - probability[part].mean()) < 4 * error + 1e-3


def test_expected_orders_are_the_mean_of_what_comes(drawn):
    x, t_x, T, _, came = drawn
    expected = PLANTED.expected_orders(20, x, t_x, T)
    for part in (x == 0, (x > 0) & (t_x < 20), (x > 3) & (t_x > 30)):
        gap = came[part] - expected[part]
        assert part.sum() > 200
        assert abs(gap.mean()) < 4 * gap.std() / np.sqrt(part.sum())


def test_silence_is_as_frequent_as_expected(drawn):
    x, t_x, T, _, came = drawn
    probability = PLANTED.probability_no_order(20, x, t_x, T)
    assert (came == 0).mean() == pytest.approx(probability.mean(), abs=0.02)
    recent = t_x > 35
    assert (came[recent] == 0).mean() == pytest.approx(probability[recent].mean(), abs=0.03)
    assert PLANTED.probability_no_order(0, x, t_x, T) == pytest.approx(np.ones(len(x)))


def test_the_expectation_is_the_papers_formula():
    r, alpha, a, b = astuple(PUBLISHED)
    x, t_x, T = HISTORIES
    t = 39
    power = ((alpha + T) / (alpha + T + t)) ** (r + x)
    top = 1 - power * hyp2f1(r + x, b + x, a + b + x - 1, t / (alpha + T + t))
    odds = (x > 0) * a / (b + x - 1) * ((alpha + T) / (alpha + t_x)) ** (r + x)
    printed = (a + b + x - 1) / (a - 1) * top / (1 + odds)
    assert PUBLISHED.expected_orders(t, *HISTORIES) == pytest.approx(printed)


def test_an_a_of_one_is_the_limit_of_its_neighbours():
    one, near = (BetaGeoNBD(0.3, 4.0, a, 2.0) for a in (1.0, 1.0001))
    expected = one.expected_orders(20, *HISTORIES)
    assert np.isfinite(expected).all()
    assert expected == pytest.approx(near.expected_orders(20, *HISTORIES), rel=1e-3)


def test_who_never_came_again_cannot_have_left():
    assert PUBLISHED.probability_alive([0, 1], [0, 0.1], [30, 30]).tolist()[0] == 1
    assert PUBLISHED.probability_alive([0, 1], [0, 0.1], [30, 30])[1] < 1


def test_the_longer_the_silence_the_less_likely_is_a_return():
    last = np.linspace(1, 38, 20)
    probability = PUBLISHED.probability_alive(np.full(20, 6), last, np.full(20, 39))
    assert (np.diff(probability) > 0).all()


def test_facts_of_a_holdout(drawn):
    *history, _, came = drawn
    facts = lifetime_value.holdout_facts(PLANTED, history, came, 20)
    assert facts["rate"] == pytest.approx(1.2 / 3)
    assert facts["leaving"] == pytest.approx(0.8 / 4.8)
    assert facts["orders_ratio"] == pytest.approx(1, abs=0.05)
    assert facts["naive_ratio"] > 1.3  # the past rate does not know that customers leave
    assert facts["silent"] == (came == 0).sum()
    assert facts["silent_expected"] == pytest.approx(facts["silent"], rel=0.02)
    assert facts["long"] == (history[2] - history[1] > 8).sum()
    assert facts["long_ratio"] == pytest.approx(1, abs=0.1)


PARETO = ParetoNBD(r=0.553, alpha=10.578, s=0.606, beta=11.669)
LONG_HISTORIES = np.array(
    [[0, 0, 39], [2, 30.43, 38.86], [29, 35.1, 36], [7, 12, 38], [300, 20, 39]]
).T
PARETO_PARAMETERS = [
    astuple(PARETO),
    (2.0, 0.3, 0.05, 90.0),  # hardly anybody leaves
    (1.0, 50.0, 14.0, 0.01),  # many leave at once
    (3.0, 1.0, 1000.0, 1e6),  # all leave at one rate
]


# --- Pareto/NBD and MBG/NBD: the likelihood ----------------------------------------


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


@pytest.mark.parametrize("parameters", PARETO_PARAMETERS)
def test_the_likelihood_is_the_integral_over_when_one_left(parameters):
    value, _ = btyd.pareto_nbd_log_likelihood(parameters, *LONG_HISTORIES)
    wanted = [integrated(parameters, *history) for history in LONG_HISTORIES.T]
    assert value == pytest.approx(wanted, abs=1e-9)


def test_pareto_likelihoods_by_hand():
    """All parameters 1. x = 0: 1/4 + ∫(1+y)^-3 = 5/8. Seen on the last day, x = 1: 1/2² · 1/2."""
    value, _ = btyd.pareto_nbd_log_likelihood((1, 1, 1, 1), [0, 1], [0, 1], [1, 1])
    assert np.exp(value) == pytest.approx([5 / 8, 1 / 8])


@pytest.mark.parametrize("parameters", PARETO_PARAMETERS)
def test_gradients_of_the_pareto_likelihood(parameters):
    logs, step = np.log(parameters), 1e-5

    def value(log_parameters):
        return btyd.pareto_nbd_log_likelihood(np.exp(log_parameters), *LONG_HISTORIES)[0]

    numeric = [(value(logs + step * e) - value(logs - step * e)) / (2 * step) for e in np.eye(4)]
    _, gradients = btyd.pareto_nbd_log_likelihood(parameters, *LONG_HISTORIES)
    assert gradients == pytest.approx(np.column_stack(numeric), rel=1e-4, abs=1e-5)


def test_mbg_is_the_papers_formula():
    """Batislam and others (2007): BG/NBD with one more chance to leave, before any repeat order."""
    r, alpha, a, b = parameters = (0.525, 6.183, 0.891, 1.614)
    x, t_x, T = LONG_HISTORIES[:, :4]
    stays = beta(a, b + x + 1) / beta(a, b) / (alpha + T) ** (r + x)
    gone = beta(a + 1, b + x) / beta(a, b) / (alpha + t_x) ** (r + x)
    printed = gammaln(r + x) - gammaln(r) + r * np.log(alpha) + np.log(stays + gone)
    value, _ = btyd.bgnbd_log_likelihood(parameters, x, t_x, T, chances_at_first=1)
    assert value == pytest.approx(printed)
    alive = ModifiedBetaGeoNBD(*parameters).probability_alive(x, t_x, T)
    assert alive == pytest.approx(stays / (stays + gone))


# --- Pareto/NBD and MBG/NBD: planted parameters ------------------------------------


def simulate_leaving(n, weeks, rate, leaves_after, leaves_at_order, *, seed, later):
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


PLANTED_PARETO = ParetoNBD(r=1.2, alpha=3.0, s=0.8, beta=15.0)
PLANTED_MBG = ModifiedBetaGeoNBD(r=1.2, alpha=3.0, a=0.8, b=4.0)


@pytest.fixture(scope="module")
def drawn_pareto():
    rng, n = np.random.default_rng(5), 6000
    rate = rng.gamma(PLANTED_PARETO.r, 1 / PLANTED_PARETO.alpha, n)
    leaves = rng.exponential(1, n) / rng.gamma(PLANTED_PARETO.s, 1 / PLANTED_PARETO.beta, n)
    return simulate_leaving(n, 40, rate, leaves, np.zeros(n), seed=6, later=20)


@pytest.fixture(scope="module")
def drawn_mbg():
    rng, n = np.random.default_rng(7), 6000
    rate = rng.gamma(PLANTED_MBG.r, 1 / PLANTED_MBG.alpha, n)
    chance = rng.beta(PLANTED_MBG.a, PLANTED_MBG.b, n)
    return simulate_leaving(n, 40, rate, np.full(n, np.inf), chance, seed=8, later=20)


def test_planted_parameters_of_the_relatives_are_recovered(drawn_pareto, drawn_mbg):
    for planted, (*history, _, _) in ((PLANTED_PARETO, drawn_pareto), (PLANTED_MBG, drawn_mbg)):
        found = type(planted).fit(*history)
        assert np.log(astuple(found)) == pytest.approx(np.log(astuple(planted)), abs=0.25)
        assert found.log_likelihood(*history) > planted.log_likelihood(*history)


def test_the_right_story_is_likelier(drawn_pareto, drawn_mbg):
    for right, wrong, (*history, _, _) in (
        (ParetoNBD, BetaGeoNBD, drawn_pareto),
        (ModifiedBetaGeoNBD, BetaGeoNBD, drawn_mbg),
    ):
        fits = [model.fit(*history).log_likelihood(*history) for model in (right, wrong)]
        assert fits[0] > fits[1] + 5


@pytest.mark.parametrize("which", ["Pareto/NBD", "MBG/NBD"])
def test_expectations_are_the_means_of_what_comes(which, drawn_pareto, drawn_mbg):
    model, rows = {
        "Pareto/NBD": (PLANTED_PARETO, drawn_pareto),
        "MBG/NBD": (PLANTED_MBG, drawn_mbg),
    }[which]
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
    expected = one.expected_orders(20, *LONG_HISTORIES)
    assert expected == pytest.approx(near.expected_orders(20, *LONG_HISTORIES), rel=1e-3)


@pytest.mark.parametrize("unit", [1 / 52, 7])
def test_the_unit_of_time_does_not_matter_to_pareto(drawn_pareto, unit):
    x, t_x, T = (part[:800] for part in drawn_pareto[:3])
    weeks, other = ParetoNBD.fit(x, t_x, T), ParetoNBD.fit(x, unit * t_x, unit * T)
    assert [other.r, other.alpha / unit, other.s, other.beta / unit] == pytest.approx(
        astuple(weeks), rel=1e-4
    )


def test_a_pareto_fit_to_histories_without_leaving_finds_none():
    rng = np.random.default_rng(0)
    rate, T = rng.gamma(2, 0.5, 2000), np.full(2000, 40.0)
    x = rng.poisson(rate * T)
    t_x = np.where(x > 0, T * rng.random(2000) ** (1 / np.maximum(x, 1)), 0)
    with pytest.warns(ConvergenceWarning, match="s ended at its bound|many times"):
        found = ParetoNBD.fit(x, t_x, T)
    assert found.probability_alive(x, t_x, T).mean() > 0.99


def test_pareto_parameters_are_above_0():
    for wrong in (0.0, -1.0, np.nan, np.inf):
        with pytest.raises(ValueError, match="r, alpha, s, beta"):
            ParetoNBD(1, wrong, 1, 1)


# --- Gamma–Gamma --------------------------------------------------------------------------


def test_a_spend_likelihood_by_hand():
    """One order at p = q = v = 1: 1 / (1 + m)²."""
    value = btyd.gamma_gamma_log_likelihood((1, 1, 1), [1, 1], [1.0, 3.0])[0]
    assert np.exp(value) == pytest.approx([1 / 4, 1 / 16])


@settings(max_examples=20, deadline=None)
@given(st.lists(st.floats(0.2, 20), min_size=3, max_size=3))
def test_gradients_of_the_spend_likelihood(parameters):
    def function(p):
        return btyd.gamma_gamma_log_likelihood(p, [1, 4, 40], [3.0, 30.0, 11.0])

    numeric = numeric_gradients(function, parameters)
    assert function(parameters)[1] == pytest.approx(numeric, rel=1e-4, abs=1e-5)


def test_planted_spend_is_recovered_without_those_who_never_came_again():
    rng, truth = np.random.default_rng(1), GammaGamma(p=6.0, q=4.0, v=15.0)
    x = rng.integers(0, 12, 4000)
    own = rng.gamma(truth.q, 1 / truth.v, 4000)
    value = np.where(x > 0, rng.gamma(truth.p * np.maximum(x, 1)) / own / np.maximum(x, 1), 0)
    found = GammaGamma.fit(x, value)
    assert np.log(astuple(found)) == pytest.approx(np.log(astuple(truth)), abs=0.2)
    gap = found.expected_value(x, value) - truth.p / own
    assert abs(gap.mean()) < 4 * gap.std() / np.sqrt(4000)


def test_an_expected_value_lies_between_ones_own_and_everybodys():
    model = GammaGamma(p=6.0, q=4.0, v=15.0)
    everybody = 6 * 15 / 3
    assert model.expected_value([0], [0.0]) == pytest.approx([everybody])
    few, many = model.expected_value([1, 1000], [90.0, 90.0])
    assert everybody < few < many < 90
    assert many == pytest.approx(90, rel=0.01)


def test_a_mean_that_does_not_exist_is_refused():
    with pytest.raises(ValueError, match="q is 0.9: the mean of an order has no finite value"):
        GammaGamma(1.0, 0.9, 2.0).expected_value([1], [2.0])


# --- The published table --------------------------------------------------------------------

CDNOW = Path(os.environ.get("PM_DATA", "")) / "cdnow" / "CDNOW_sample.txt"


@pytest.fixture(scope="module")
def cdnow():
    if not (os.environ.get("PM_DATA") and CDNOW.is_file()):
        pytest.skip("PM_DATA names no folder with cdnow/CDNOW_sample.txt")
    table = pd.read_csv(CDNOW, sep=r"\s+", header=None, dtype={2: str})
    table = table.rename(columns={1: "customer_id", 2: "ordered_at", 4: "amount"})
    table["ordered_at"] = pd.to_datetime(table["ordered_at"])
    return rfm.rfm_summary(table, "1997-10-01"), table


COLUMNS = ["frequency", "recency", "age"]


def test_bgnbd_gives_the_published_parameters(cdnow):
    """Fader, Hardie & Lee (2005), table 2, to the digits of their spreadsheet."""
    past, _ = cdnow
    history = [past[name] for name in COLUMNS]
    found = BetaGeoNBD.fit(*history)
    assert len(past) == 2357
    assert astuple(found) == pytest.approx((0.2426, 4.4135, 0.7929, 2.4258), abs=2e-4)
    assert found.log_likelihood(*history) == pytest.approx(-9582.43, abs=0.01)
    assert found.expected_orders(39, 2, 30.43, 38.86) == pytest.approx(1.2259, abs=1e-4)


def test_pareto_and_mbg_give_the_published_parameters(cdnow):
    """Fader, Hardie & Lee (2005), table 2; for MBG/NBD, the R package BTYDplus."""
    past, _ = cdnow
    history = [past[name] for name in COLUMNS]
    pareto, mbg = ParetoNBD.fit(*history), ModifiedBetaGeoNBD.fit(*history)
    assert astuple(pareto) == pytest.approx((0.553, 10.578, 0.606, 11.669), abs=1e-3)
    assert pareto.log_likelihood(*history) == pytest.approx(-9594.98, abs=0.01)
    assert astuple(mbg) == pytest.approx((0.525, 6.183, 0.891, 1.614), abs=1e-3)
    assert mbg.log_likelihood(*history) == pytest.approx(-9582.1, abs=0.05)


def test_gamma_gamma_gives_the_published_parameters(cdnow):
    """Fader & Hardie (2013), The Gamma-Gamma model of monetary value: 946 repeat buyers."""
    past, _ = cdnow
    assert (past["frequency"] > 0).sum() == 946
    found = GammaGamma.fit(past["frequency"], past["value"])
    assert astuple(found) == pytest.approx((6.25, 3.74, 15.44), abs=0.01)


def test_the_holdout_of_39_weeks(cdnow):
    """Figure 3 of the paper, by orders before; totals and errors from the reference run of 2026."""
    past, table = cdnow
    history = [past[name] for name in COLUMNS]
    expected = BetaGeoNBD.fit(*history).expected_orders(39, *history)
    came = rfm.days_with_order(table, past.index, "1997-10-01", "1998-07-01")
    assert came.sum() == 1882
    assert expected.sum() == pytest.approx(1653.4, abs=0.1)
    assert np.corrcoef(expected, came)[0, 1] == pytest.approx(0.6256, abs=1e-4)
    assert np.abs(expected - came).mean() == pytest.approx(0.7855, abs=1e-4)
    assert np.sqrt(((expected - came) ** 2).mean()) == pytest.approx(1.608, abs=1e-3)
    naive = 39 * past["frequency"] / past["age"]
    assert np.corrcoef(naive, came)[0, 1] == pytest.approx(0.5839, abs=1e-4)
    assert np.abs(naive - came).mean() == pytest.approx(1.0237, abs=1e-4)
    means = pd.DataFrame({"actual": came, "model": expected}).groupby(
        past["frequency"].clip(upper=7).to_numpy()
    )
    rows = means.mean().round(3)
    assert rows["actual"].tolist() == [0.237, 0.697, 1.393, 1.560, 2.532, 2.947, 3.862, 6.359]
    assert rows["model"].tolist() == pytest.approx(
        [0.225, 0.523, 1.044, 1.520, 2.164, 2.654, 3.504, 6.157], abs=2e-3
    )


def test_the_tracking_plot(cdnow):
    """Figure 2 of the paper: repeat orders of all, added up, against E[X(t)] of each cohort."""
    past, table = cdnow
    model = BetaGeoNBD.fit(*(past[name] for name in COLUMNS))
    first = table.groupby("customer_id")["ordered_at"].min()
    for day, most in (("1997-10-01", 0.03), ("1998-07-01", 0.1)):
        since = ((pd.Timestamp(day) - first).dt.days - 1) / 7
        repeats = rfm.rfm_summary(table, day)["frequency"].sum()
        assert model.unconditional_orders(since).sum() == pytest.approx(repeats, rel=most)


# --- What is no history, and fits that fail ---------------------------------------------------


def test_the_unconditional_expectation_is_the_mean_of_what_a_newcomer_orders():
    for weeks in (5, 40):
        x, *_ = simulate(PLANTED, 20_000, weeks, seed=weeks)
        gap = x.mean() - PLANTED.unconditional_orders(weeks)
        assert abs(gap) < 4 * x.std() / np.sqrt(len(x))


def test_the_unconditional_expectation_is_the_papers_equation():
    r, alpha, a, b = astuple(PUBLISHED)
    t = np.array([1.0, 39.0, 78.0])
    power = (alpha / (alpha + t)) ** r * hyp2f1(r, b, a + b - 1, t / (alpha + t))
    printed = (a + b - 1) / (a - 1) * (1 - power)
    assert PUBLISHED.unconditional_orders(t) == pytest.approx(printed)
    assert PUBLISHED.unconditional_orders(0).tolist() == 0


def test_the_unconditional_expectation_of_the_papers_spreadsheet():
    """Hardie's spreadsheet for CDNOW, from its first day to its last week."""
    model = BetaGeoNBD(0.2426, 4.4135, 0.7929, 2.4258)
    weeks = [0.1429, 1, 3, 31.8571, 32, 78]
    printed = [0.0078, 0.0532, 0.1506, 1.0405, 1.0437, 1.8576]
    assert model.unconditional_orders(weeks) == pytest.approx(
        printed, abs=5e-4
    )  # rounded parameters


@pytest.mark.parametrize("a", [1e3, 1e5])
def test_expectations_are_finite_where_the_hypergeometric_function_is_not(a):
    """With a and b in the thousands everybody leaves with a probability near p."""
    r, alpha, b = 1.4, 1.3, 2 * a
    x, t_x, T = np.array([0.0, 2, 300]), np.array([0.0, 30, 38.9]), np.array([39.0, 39, 39])
    model, p = BetaGeoNBD(r, alpha, a, b), a / (a + b + x)
    expected = model.expected_orders(1000, x, t_x, T)
    one = (1 - (1 + p * 1000 / (alpha + T)) ** -(r + x)) / p * model.probability_alive(x, t_x, T)
    assert expected == pytest.approx(one, rel=10 / a)


@pytest.mark.parametrize("unit", [1 / 52, 7, 604_800])
def test_the_unit_of_time_does_not_matter(drawn, unit):
    x, t_x, T = (part[:800] for part in drawn[:3])
    weeks, other = BetaGeoNBD.fit(x, t_x, T), BetaGeoNBD.fit(x, unit * t_x, unit * T)
    assert [other.r, other.alpha / unit, other.a, other.b] == pytest.approx(
        astuple(weeks), rel=1e-4
    )


@pytest.mark.parametrize("unit", [1e-3, 16_000, 1e9])
def test_the_currency_does_not_matter(unit):
    rng = np.random.default_rng(0)
    x = 1 + rng.poisson(2, 2000)
    mean = rng.gamma(6.25 * x) / rng.gamma(3.74, 1 / 15.44, 2000) / x
    dollars, other = GammaGamma.fit(x, mean), GammaGamma.fit(x, unit * mean)
    assert [other.p, other.q, other.v / unit] == pytest.approx(astuple(dollars), rel=1e-4)
    assert other.expected_value(x, unit * mean) == pytest.approx(
        unit * dollars.expected_value(x, mean)
    )


def test_a_parameter_at_its_bound_is_named():
    x, T = np.array([3, 4, 5, 6, 2, 7] * 20), np.full(120, 40.0)
    with pytest.warns(ConvergenceWarning, match="a ended at its bound, 6.1"):
        BetaGeoNBD.fit(x, T - 0.1, T)
    with pytest.warns(ConvergenceWarning, match="q ended at its bound, 1.6"):
        GammaGamma.fit([3, 4, 5], [10.0, 10.0, 10.0])  # no two customers differ


def test_a_fit_that_does_not_end_or_has_nothing_to_fit_is_refused(drawn, monkeypatch):
    with pytest.raises(ValueError, match="none of 3 customers ordered again: nothing to fit"):
        BetaGeoNBD.fit([0, 0, 0], [0, 0, 0], [4, 5, 6])
    with pytest.raises(ValueError, match="none of 2 customers has a repeat order of some value"):
        GammaGamma.fit([0, 3], [0.0, 0.0])
    monkeypatch.setattr(btyd, "MAX_STEPS", 2)
    with pytest.raises(RuntimeError, match="the fit did not end after 6 steps, at r "):
        BetaGeoNBD.fit(*(part[:200] for part in drawn[:3]))


def warned(fit, *columns):
    """The fitted parameters, and the names that warnings begin with."""
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        found = astuple(fit(*columns))
    assert {one.category for one in told} <= {ConvergenceWarning}
    return found, " | ".join(str(one.message) for one in told)


def test_a_shop_that_nobody_leaves_is_told():
    """Poisson orders: r and alpha grow together, a vanishes; the search stops on the flat."""
    rng = np.random.default_rng(0)
    T, x = np.full(40, 39.0), rng.poisson(1, 40)
    t_x = np.where(x > 0, T * rng.random(40) ** 0.2, 0)
    _, told = warned(BetaGeoNBD.fit, x, t_x, T)
    assert re.match("r .* and alpha .* and a .* and b .* could be many times larger", told)


@pytest.mark.parametrize("size", [300, 3000])
def test_how_customers_leave_is_not_told_where_none_does(size):
    rng = np.random.default_rng(1)
    T = rng.uniform(20, 60, size)
    x = rng.poisson(3 / 40 * T)
    t_x = np.where(x > 0, T * rng.random(size) ** (1 / np.maximum(x, 1)), 0)
    _, told = warned(BetaGeoNBD.fit, x, t_x, T)  # with 3,000, the line search gives up: no error
    assert {"a", "b"} <= set(re.findall(r"\b(?:r|alpha|a|b)\b(?= [\de]| ended)", told))


def test_neither_the_order_of_rows_nor_the_currency_decides_what_is_told():
    x, value = np.array([2, 4, 3, 3, 3, 2, 3, 3]), np.array([28, 24, 7, 15, 22, 21, 38, 36.0])
    first, told = warned(GammaGamma.fit, x, value)
    assert re.match("q ended at its bound.* v .* could be many times larger", told)
    for seed in range(5):
        order = np.random.default_rng(seed).permutation(8)
        assert warned(GammaGamma.fit, x[order], value[order]) == (first, told)
    for unit in (0.01, 7.3, 1e4):
        (p, q, v), said = warned(GammaGamma.fit, x, value * unit)
        assert (p, q, v / unit) == pytest.approx(first, rel=1e-3)
        assert said[:20] == told[:20]
        assert said.count("could be") == told.count("could be") == 1


def test_a_clean_fit_says_nothing_and_knows_no_order(drawn):
    history = np.stack(drawn[:3])
    found, told = warned(BetaGeoNBD.fit, *history)
    assert told == ""
    assert warned(BetaGeoNBD.fit, *history[:, ::-1]) == (found, told)


@pytest.mark.parametrize("seed", [14, 49])
def test_a_line_search_that_gives_up_at_the_top_is_no_failure(seed):
    """Thirty customers whose own orders hardly vary: p ends at its bound."""
    rng = np.random.default_rng(seed)
    x = 1 + rng.poisson(2, 30)
    value = rng.gamma(40 * x) / rng.gamma(3, 1 / 15, 30) / x
    for unit in (1, 3, 11):
        warned(GammaGamma.fit, x, unit * value)


def test_a_search_that_stops_early_goes_on_by_another_method(drawn, monkeypatch):
    history = [part[:400] for part in drawn[:3]]
    whole = BetaGeoNBD.fit(*history)
    short = ("L-BFGS-B", {"maxiter": 2})
    monkeypatch.setattr(btyd, "_SEARCHES", (short, *btyd._SEARCHES[1:]))
    assert astuple(BetaGeoNBD.fit(*history)) == pytest.approx(astuple(whole), rel=1e-3)


def test_customers_of_no_age_are_named():
    with pytest.raises(ValueError, match="age is 0 for all of 2 customers"):
        BetaGeoNBD.fit([1, 0], [0, 0], [0, 0])


def test_a_recency_in_single_precision_is_not_beyond_its_age():
    recency = np.array([30.43], np.float32)
    assert recency.astype(float) > 30.43
    assert PUBLISHED.probability_alive([2], recency, [30.43]) == pytest.approx(
        PUBLISHED.probability_alive([2], [30.43], [30.43])
    )
    BetaGeoNBD.fit([2, 0, 1], np.array([30.43, 0, 3], np.float32), [30.43, 30, 20])


METHODS = [
    BetaGeoNBD.fit,
    PUBLISHED.log_likelihood,
    PUBLISHED.probability_alive,
    lambda *history: PUBLISHED.probability_no_order(9, *history),
    lambda *history: PUBLISHED.expected_orders(9, *history),
    lambda *history: btyd.bgnbd_log_likelihood((1, 2, 1, 1), *history),
]


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize(
    ("row", "said"),
    [
        ((1.0, 5.0, np.nan), "age is not finite in 1 of 6 rows, first row 5"),
        ((1.0, np.inf, 9.0), "recency is not finite in 1 of 6 rows"),
        ((-1.0, 5.0, 9.0), "frequency is out of range in 1 of 6 rows"),
        ((0.5, 5.0, 9.0), "frequency is not whole"),
        ((1.0, -5.0, 9.0), "recency is out of range"),
        ((1.0, 10.0, 9.0), "recency is beyond age in 1 of 6 rows, first row 5"),
        ((0.0, 3.0, 9.0), "recency is above 0 without a repeat order in 1 of 6 rows, first row 5"),
    ],
)
def test_what_is_no_history_is_refused(method, row, said):
    with pytest.raises(ValueError, match=said):
        method(*np.column_stack([HISTORIES, row]))


@pytest.mark.parametrize("method", METHODS)
def test_histories_are_matched_by_customer_whatever_their_order(method):
    table = pd.DataFrame(HISTORIES.T, columns=COLUMNS, index=list("abcde"))
    mixed = table.sample(frac=1, random_state=1)

    def plain(found):
        found = found[0] if isinstance(found, tuple) else found
        return np.ravel(astuple(found) if isinstance(found, BetaGeoNBD) else found)

    wanted = plain(method(*(table[name] for name in COLUMNS)))
    met = plain(method(table["frequency"], mixed["recency"], mixed["age"]))
    assert met == pytest.approx(wanted, rel=1e-12)
    permuted = plain(method(*(mixed[name] for name in COLUMNS)))
    if len(wanted) == len(table):
        permuted = pd.Series(permuted, mixed.index)[table.index].to_numpy()
    assert permuted == pytest.approx(wanted, rel=1e-6)
    with pytest.raises(ValueError, match="age has no row 'e' of frequency"):
        method(table["frequency"], table["recency"], table["age"].rename({"e": "f"}))


@pytest.mark.parametrize("weeks", [9, pd.Series(range(5), list("edcba"))])
def test_what_comes_back_per_customer_carries_their_index(weeks):
    table = pd.DataFrame(HISTORIES.T, columns=COLUMNS, index=list("abcde"))
    history = [table[name] for name in COLUMNS]
    plain = weeks if np.ndim(weeks) == 0 else weeks[table.index].to_numpy()
    for method in (PUBLISHED.expected_orders, PUBLISHED.probability_no_order):
        found = method(weeks, *history)
        assert sorted(found.index) == list("abcde")
        assert found[table.index].tolist() == method(plain, *HISTORIES).tolist()
        assert isinstance(method(plain, *HISTORIES), np.ndarray)
    alive = PUBLISHED.probability_alive(HISTORIES[0], table["recency"], table["age"])
    assert alive.index.equals(table.index)
    assert isinstance(PUBLISHED.probability_alive(*HISTORIES), np.ndarray)
    value = GammaGamma(6.25, 3.74, 15.44).expected_value(table["frequency"], 20.0)
    assert value.index.equals(table.index)
    assert PUBLISHED.unconditional_orders(table["age"]).index.equals(table.index)


def test_spending_is_checked_and_matched():
    model = GammaGamma(6.25, 3.74, 15.44)
    for call in (GammaGamma.fit, model.expected_value):
        with pytest.raises(ValueError, match="value is out of range in 1 of 2 rows"):
            call([3, 2], [5.0, -40.0])
        with pytest.raises(ValueError, match="value is not finite in 1 of 2 rows"):
            call([3, 2], [5.0, np.nan])
    x, mean = pd.Series({"a": 1, "b": 9}), pd.Series({"b": 90.0, "a": 10.0})
    wanted = model.expected_value([1, 9], [10.0, 90.0])
    assert model.expected_value(x, mean).to_numpy() == pytest.approx(wanted)


def test_parameters_are_above_0():
    for wrong in (0.0, -1.0, np.nan, np.inf):
        with pytest.raises(ValueError, match="r, alpha, a, b"):
            BetaGeoNBD(1, wrong, 1, 1)
        with pytest.raises(ValueError, match="p, q, v"):
            GammaGamma(1, 2, wrong)
    with pytest.raises(ValueError, match="weeks is out of range"):
        PUBLISHED.expected_orders(-1, *HISTORIES)
