"""Boundaries of group-sequential tests: published constants, and chances by other ways."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from scipy.optimize import brentq

from pm_utils.measurement import sequential

# Jennison & Turnbull (2000), tables 2.1 and 2.3: the constant of two-sided tests, by alpha.
POCOCK = {
    0.10: {2: 1.875, 3: 1.992, 4: 2.067, 5: 2.122, 10: 2.270},
    0.05: {1: 1.960, 2: 2.178, 3: 2.289, 4: 2.361, 5: 2.413, 10: 2.555, 20: 2.672},
    0.01: {2: 2.772, 3: 2.873, 4: 2.939, 5: 2.986, 10: 3.117},
}
OBRIEN_FLEMING = {
    0.10: {2: 1.678, 3: 1.710, 4: 1.733, 5: 1.751, 10: 1.801},
    0.05: {1: 1.960, 2: 1.977, 3: 2.004, 4: 2.024, 5: 2.040, 10: 2.087, 20: 2.126},
    0.01: {2: 2.580, 3: 2.595, 4: 2.609, 5: 2.621, 10: 2.660},
}


@pytest.mark.parametrize(
    ("shape", "published"), [("Pocock", POCOCK), ("O'Brien-Fleming", OBRIEN_FLEMING)]
)
def test_published_constants(shape, published):
    for alpha, constants in published.items():
        for looks, constant in constants.items():
            found = sequential.boundaries(looks, shape=shape, alpha=alpha)
            assert found[-1] == pytest.approx(constant, abs=6e-4), (alpha, looks)


def test_pococks_boundary_is_level_and_obriens_and_flemings_falls():
    assert np.ptp(sequential.boundaries(5, shape="Pocock")) == 0
    falling = sequential.boundaries(5)
    assert falling * np.sqrt(np.arange(1, 6)) == pytest.approx(np.full(5, falling[0]))


@pytest.mark.parametrize(("looks", "published"), [(1, 0.05), (2, 0.083), (5, 0.142), (20, 0.248)])
def test_published_false_alarms_of_repeated_tests(looks, published):
    """Armitage, McPherson & Rowe (1969), table 2."""
    called = sequential.crossing_probabilities(np.full(looks, stats.norm.ppf(0.975)))
    assert called[-1] == pytest.approx(published, abs=6e-4)


@pytest.mark.parametrize("drift", [0.0, 0.7, -1.3])
def test_the_chance_is_the_normal_integral_over_the_box(drift):
    """The sums of three looks are normal with covariance min(j, k)."""
    bounds = np.array([2.5, 2.0, 1.8])
    looks = np.arange(1, 4)
    box = bounds * np.sqrt(looks)
    law = {"mean": drift * looks, "cov": np.minimum.outer(looks, looks)}
    luck = {"abseps": 1e-7, "releps": 1e-7, "rng": np.random.default_rng(0)}
    inside = stats.multivariate_normal.cdf(box, lower_limit=-box, **law, **luck)
    found = sequential.crossing_probabilities(bounds, drift=drift)
    assert found[-1] == pytest.approx(1 - inside, abs=2e-5)
    assert (np.diff(found) > 0).all()


@pytest.mark.parametrize(
    ("shape", "power", "published"),
    [("O'Brien-Fleming", 0.8, 1.028), ("O'Brien-Fleming", 0.9, 1.026), ("Pocock", 0.9, 1.207)],
)
def test_published_inflation_of_the_sample(shape, power, published):
    """Jennison & Turnbull (2000), tables 2.2 and 2.4: how many more customers at most."""
    bounds = sequential.boundaries(5, shape=shape)

    def lacks(drift: float) -> float:
        return sequential.crossing_probabilities(bounds, drift=drift)[-1] - power

    once = stats.norm.ppf(0.975) + stats.norm.ppf(power)  # mean of z that one look needs
    assert 5 * brentq(lacks, 0.5, 3) ** 2 / once**2 == pytest.approx(published, abs=1.2e-3)


def test_the_sign_of_an_effect_does_not_matter():
    bounds = sequential.boundaries(4)
    up, down = (sequential.crossing_probabilities(bounds, drift=d) for d in (0.9, -0.9))
    assert up == pytest.approx(down)


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: sequential.boundaries(0), "looks"),
        (lambda: sequential.boundaries(5, shape="Haybittle"), "shape is 'Haybittle'"),
        (lambda: sequential.boundaries(5, alpha=5), "alpha"),
        (lambda: sequential.crossing_probabilities(np.array([2.0, 0.0])), "bounds"),
        (
            lambda: sequential.crossing_probabilities(np.array([2.0, np.nan])),
            "bounds is not finite",
        ),
        (lambda: sequential.crossing_probabilities(np.ones((2, 2))), "bounds has shape"),
        (lambda: sequential.crossing_probabilities(np.array([2.0]), drift=np.nan), "drift"),
    ],
)
def test_plans_that_cannot_be_are_named(call, said):
    with pytest.raises(ValueError, match=said):
        call()


def test_looks_are_called_by_number():
    bounds = pd.Series([2.9, 2.4, 2.0])
    expected = sequential.crossing_probabilities(bounds.to_numpy())
    assert sequential.crossing_probabilities(bounds[::-1]).tolist() == expected.tolist()
    with pytest.raises(ValueError, match="bounds has no row 0: .*label them 0 to 2"):
        sequential.crossing_probabilities(bounds.set_axis(list("abc")))
