"""Random numbers that depend on a key and a counter alone, so that batches cannot matter.

The number for counter i is SplitMix64's output function at ``key + i * GOLDEN``. Whoever asks for
counters 0..999 at once, or one by one, or in any order, gets the same numbers.

References
----------
Steele, Lea & Flood (2014), Fast splittable pseudorandom number generators.
"""

import numpy as np
from scipy.special import ndtri

from pm_utils.inputs import like, numbers, plain, whole_numbers
from pm_utils.market._checks import rows_by_index

GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_MIX = (
    (np.uint64(30), np.uint64(0xBF58476D1CE4E5B9)),
    (np.uint64(27), np.uint64(0x94D049BB133111EB)),
)
_LAST = np.uint64(31)
LARGEST_RATE = 700  # above it, the probability of no event is 0 to a computer


def stream_key(seed: int, *name: int) -> np.uint64:
    """Return the key of a stream of numbers; streams with different names are unrelated.

    Examples
    --------
    >>> from pm_utils.market.randomness import stream_key
    >>> bool(stream_key(0, 1) == stream_key(0, 1)), bool(stream_key(0, 1) == stream_key(0, 2))
    (True, False)
    """
    return np.random.SeedSequence(seed, spawn_key=name).generate_state(1, np.uint64)[0]


def random_bits(key: np.uint64, counter: np.ndarray) -> np.ndarray:
    """Return 64 random bits for each counter.

    Parameters
    ----------
    key : uint64
        From `stream_key`.
    counter : array of integers of at least 0

    Returns
    -------
    array of the same shape, uint64

    Raises
    ------
    ValueError
        When a counter is negative or not whole.

    Examples
    --------
    >>> import numpy as np
    >>> from pm_utils.market.randomness import random_bits, stream_key
    >>> key = stream_key(0, 1)
    >>> whole, half = random_bits(key, np.arange(1_000)), random_bits(key, np.arange(500, 1_000))
    >>> bool((whole[500:] == half).all())  # batches do not matter
    True
    """
    given = plain(counter)
    if given.dtype.kind != "u" and not (given.dtype.kind == "i" and given.min(initial=0) >= 0):
        given = whole_numbers(counter, "counter")
    bits = given.astype(np.uint64)  # a copy, mixed in place
    bits *= GOLDEN
    bits += key
    for shift, factor in _MIX:
        bits ^= bits >> shift
        bits *= factor
    bits ^= bits >> _LAST
    return bits


def uniform(key: np.uint64, counter: np.ndarray) -> np.ndarray:
    """Return a number in (0, 1) for each counter, float64."""
    return ((random_bits(key, counter) >> np.uint64(11)) + 0.5) * 2.0**-53


def normal(key: np.uint64, counter: np.ndarray) -> np.ndarray:
    """Return a standard normal number for each counter, float64."""
    return ndtri(uniform(key, counter))


def exponential(key: np.uint64, counter: np.ndarray) -> np.ndarray:
    """Return an exponential number of mean one for each counter, float64."""
    return -np.log(uniform(key, counter))


def poisson(rate: np.ndarray, u: np.ndarray) -> np.ndarray:
    """Return the count at which the Poisson distribution function first exceeds `u`.

    Parameters
    ----------
    rate : array of floats from 0 to `LARGEST_RATE`
    u : array of the same shape
        Numbers in (0, 1). With one `u`, a higher rate never gives a lower count.

    Returns
    -------
    array of int64

    Raises
    ------
    ValueError
        When a rate or a number is not finite or out of range.

    Examples
    --------
    >>> import numpy as np
    >>> from pm_utils.market.randomness import poisson
    >>> poisson(np.array([0.1, 1.0, 4.0]), np.array([0.5, 0.5, 0.5]))  # the medians
    array([0, 1, 4])
    """
    given = rate, u = rows_by_index(rate=rate, u=u)
    rate = numbers(rate, "rate", low=0, high=LARGEST_RATE)
    rate, u = np.broadcast_arrays(
        rate.astype(np.float64, copy=False), numbers(u, "u", low=0, high=1)
    )
    count = np.zeros(rate.shape, np.int64)
    term = np.exp(-rate)
    below = term.copy()
    for k in range(1, int(10 * (rate.max(initial=0.0) + 10))):
        more = u >= below
        if not more.any():
            break
        count += more
        term = term * rate / k
        below = np.where(more, below + term, np.inf)
    return like(count, *given)
