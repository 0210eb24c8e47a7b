"""Numbers by counter: the published generator, no trace of batches, the right distributions."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from pm_utils.market import randomness

KEY = randomness.stream_key(0, 1)


def test_the_numbers_are_splitmix64():
    # the first outputs of the reference implementation seeded with 1234567
    published = [6457827717110365317, 3203168211198807973, 9817491932198370423]
    after = np.uint64(1234567)
    assert randomness.random_bits(after, np.array([1, 2, 3])).tolist() == published


@given(st.integers(0, 2**40), st.integers(1, 50), st.integers(0, 49))
def test_a_number_depends_on_its_counter_alone(start, n, pick):
    counters = start + np.arange(n)
    at_once = randomness.random_bits(KEY, counters)
    pick = pick % n
    assert at_once[pick] == randomness.random_bits(KEY, counters[pick : pick + 1])[0]


def test_counters_are_not_changed():
    counters = np.arange(5, dtype=np.uint64)
    randomness.random_bits(KEY, counters)
    assert counters.tolist() == [0, 1, 2, 3, 4]


def test_streams_with_other_names_share_no_numbers():
    counters = np.arange(20_000)
    names = [(0, 1), (0, 2), (1, 1), (0, 1, 0), (0, 1, 1)]
    drawn = [randomness.random_bits(randomness.stream_key(*name), counters) for name in names]
    assert len(np.unique(np.concatenate(drawn))) == len(names) * len(counters)


def test_uniform_numbers_are_uniform_and_unrelated_to_their_neighbours():
    u = randomness.uniform(KEY, np.arange(100_000))
    assert 0 < u.min() < u.max() < 1
    assert stats.kstest(u, "uniform").pvalue > 1e-4
    assert abs(np.corrcoef(u[:-1], u[1:])[0, 1]) < 0.015
    other = randomness.uniform(randomness.stream_key(0, 2), np.arange(100_000))
    assert abs(np.corrcoef(u, other)[0, 1]) < 0.015


def test_counters_far_apart_are_as_unrelated_as_neighbours():
    u = randomness.uniform(KEY, np.arange(50_000) * 4096)
    assert stats.kstest(u, "uniform").pvalue > 1e-4
    assert abs(np.corrcoef(u[:-1], u[1:])[0, 1]) < 0.02


def test_every_bit_is_set_half_of_the_time():
    bits = randomness.random_bits(KEY, np.arange(20_000))
    ones = [(bits >> np.uint64(k) & np.uint64(1)).mean() for k in range(64)]
    assert np.abs(np.array(ones) - 0.5).max() < 5 * 0.5 / np.sqrt(20_000)


@pytest.mark.parametrize(
    ("draw", "distribution"), [(randomness.normal, "norm"), (randomness.exponential, "expon")]
)
def test_normal_and_exponential_numbers_have_their_distribution(draw, distribution):
    assert stats.kstest(draw(KEY, np.arange(50_000)), distribution).pvalue > 1e-4


@pytest.mark.parametrize("rate", [0.0, 0.03, 1.0, 4.2, 40.0])
def test_poisson_counts_invert_the_distribution_function(rate):
    u = np.linspace(0.0005, 0.9995, 400)
    counts = randomness.poisson(np.full(400, rate), u)
    assert (counts == stats.poisson.ppf(u, rate)).all()


def test_poisson_counts_never_fall_when_the_rate_rises():
    u = randomness.uniform(KEY, np.arange(5000))
    rates = np.array([0.1, 0.5, 0.9, 3.0, 9.0])[:, None]
    counts = randomness.poisson(np.broadcast_to(rates, (5, 5000)), np.broadcast_to(u, (5, 5000)))
    assert (np.diff(counts, axis=0) >= 0).all()
    assert (np.diff(counts, axis=0) > 0).any()


def test_poisson_takes_rates_of_nobody():
    assert randomness.poisson(np.empty(0), np.empty(0)).shape == (0,)
