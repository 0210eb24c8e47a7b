"""The classical language model: word counts after the last two words, smoothed by backing off."""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from scipy.sparse import csr_array

from pm_utils.market.headlines import BOS, EOS, PAD

_LEVELS = 100  # more than any attribute has


class _Table(NamedTuple):
    """What followed the contexts of one length: keys (K,), counts (K, V), sums, distinct words."""

    keys: np.ndarray
    counts: csr_array
    total: np.ndarray
    distinct: np.ndarray


class BackoffNGram:
    r"""Interpolate counts in ever longer contexts (Witten and Bell, 1991).

    With c(h, w) how often word w followed context h, n(h) their sum and d(h) how many different
    words did, each context mixes its own shares with the estimate of the next shorter one h':

    .. math::
        P(w \mid h) = \frac{c(h, w) + s\, d(h)\, P(w \mid h')}{n(h) + s\, d(h)}

    The shortest context is empty; below it every word is equally likely. A context that was never
    seen leaves the estimate as it is. Attributes of the text lengthen the context further.

    Explained in chapter ``ad-text``.

    Parameters
    ----------
    n_words : int
        Size of the vocabulary, ``<pad>``, ``<bos>`` and ``<eos>`` included.
    order : int
        1 counts words, 2 pairs, 3 triples.
    given : tuple of tuples of int
        Columns of the attributes that join the last words, from coarse to fine.
    strength : float
        s: how much new contexts lean on shorter ones; 1 is Witten and Bell's.

    References
    ----------
    Witten & Bell (1991), The zero-frequency problem, IEEE Transactions on Information Theory 37.

    Examples
    --------
    In one text, word 3 came twice and the end (2) once: n = 3, d = 2. Below the empty context each
    of 2, 3 and 4 has 1/3, so P(3) = (2 + 2/3) / (3 + 2), and 4, never seen, keeps (2/3) / 5.

    >>> import numpy as np
    >>> from pm_utils.creatives.text.ngram import BackoffNGram
    >>> model = BackoffNGram(5, order=1).fit(np.array([[1, 3, 3, 2]]))
    >>> model.distribution(np.array([[0, 1]])).round(3)
    array([[0.   , 0.   , 0.333, 0.533, 0.133]])
    """

    def __init__(
        self,
        n_words: int,
        *,
        order: int = 3,
        given: tuple[tuple[int, ...], ...] = (),
        strength: float = 1.0,
    ) -> None:
        if order not in (1, 2, 3):
            raise ValueError(f"order is {order}: give 1, 2 or 3")
        if strength <= 0:
            raise ValueError(f"strength is {strength}: give more than 0")
        self.n_words, self.order, self.given, self.strength = n_words, order, given, strength
        self._tables: list[_Table] = []

    def fit(self, tokens: np.ndarray, attributes: np.ndarray | None = None) -> "BackoffNGram":
        """Count words in every context.

        Parameters
        ----------
        tokens : array of shape (N, T), int
            ``<bos>``, words, ``<eos>``, ``<pad>`` to the end.
        attributes : array of shape (N, A), int from 0 to 99, optional

        Returns
        -------
        BackoffNGram
            Itself.
        """
        word, last, given = _positions(tokens, attributes)
        self._tables = []
        for key in self._keys(last, given):
            keys, row = np.unique(key, return_inverse=True)
            counts = csr_array((np.ones(len(word)), (row, word)), shape=(len(keys), self.n_words))
            counts.sum_duplicates()
            total, distinct = counts.sum(axis=1), np.diff(counts.indptr)
            self._tables.append(_Table(keys, counts, total, distinct))
        return self

    def _keys(self, last: np.ndarray, given: np.ndarray) -> list[np.ndarray]:
        """Return a number for each context, the shortest first; last (n, 2), given (n, A)."""
        key = np.zeros(len(last), dtype=np.int64)
        keys = [key]
        for back in range(1, self.order):
            key = key * self.n_words + last[:, -back]
            keys.append(key)
        for columns in self.given:
            longer = key
            for column in columns:
                longer = longer * _LEVELS + given[:, column]
            keys.append(longer)
        return keys

    def _known(self, last: np.ndarray, given: np.ndarray) -> Iterator[tuple]:
        """Yield, from short contexts to long ones, which were seen, where, and the table."""
        for key, table in zip(self._keys(last, given), self._tables, strict=True):
            row = np.minimum(np.searchsorted(table.keys, key), len(table.keys) - 1)
            seen = np.flatnonzero(table.keys[row] == key)
            yield seen, row[seen], table

    def distribution(self, last: np.ndarray, attributes: np.ndarray | None = None) -> np.ndarray:
        """Return the probability of every word.

        Parameters
        ----------
        last : array of shape (n, 2), int
            The two words before; ``<pad>`` before ``<bos>``.
        attributes : array of shape (n, A), int, optional

        Returns
        -------
        array of shape (n, V)
            Rows sum to one; nothing for ``<pad>`` and ``<bos>``.
        """
        probability = np.ones((len(last), self.n_words))
        probability[:, [PAD, BOS]] = 0
        probability /= probability.sum(axis=1, keepdims=True)
        for seen, row, table in self._known(last, attributes):
            backoff = self.strength * table.distinct[row, None]
            count = table.counts[row].toarray()
            probability[seen] = (count + backoff * probability[seen]) / (
                table.total[row, None] + backoff
            )
        return probability

    def log_prob(self, tokens: np.ndarray, attributes: np.ndarray | None = None) -> np.ndarray:
        """Return the log probability of each headline → (N,), nats."""
        tokens = np.asarray(tokens)
        word, last, given = _positions(tokens, attributes)
        probability = np.full(len(word), 1 / (self.n_words - 2))  # of all but <pad> and <bos>
        for seen, row, table in self._known(last, given):
            count = np.asarray(table.counts[row, word[seen]]).ravel()
            backoff = self.strength * table.distinct[row]
            probability[seen] = (count + backoff * probability[seen]) / (table.total[row] + backoff)
        return np.bincount(
            np.nonzero(tokens[:, 1:] != PAD)[0], np.log(probability), minlength=len(tokens)
        )

    def sample(
        self, n: int, length: int, rng: np.random.Generator, attributes: np.ndarray | None = None
    ) -> np.ndarray:
        """Write n headlines of at most `length` tokens → (n, length), int64."""
        tokens = np.full((n, length), PAD)
        tokens[:, 0] = BOS
        before = np.full(n, PAD)
        for t in range(1, length):
            unfinished = (tokens[:, t - 1] != EOS) & (tokens[:, t - 1] != PAD)
            last = np.stack([before, tokens[:, t - 1]], axis=1)
            cumulative = self.distribution(last, attributes).cumsum(axis=1)
            word = (cumulative < rng.random((n, 1)) * cumulative[:, -1:]).sum(axis=1)
            tokens[:, t] = np.where(unfinished, word, PAD)
            before = tokens[:, t - 1]
        return tokens


def cross_entropy(log_prob: np.ndarray, tokens: np.ndarray) -> float:
    """Return nats per predicted token from the log probabilities of headlines (N,).

    Examples
    --------
    Two headlines of two and one predicted tokens; the pads (0) do not count.

    >>> import numpy as np
    >>> from pm_utils.creatives.text.ngram import cross_entropy
    >>> cross_entropy(np.array([-4.0, -2.0]), np.array([[1, 3, 2], [1, 2, 0]]))
    2.0
    """
    return float(-log_prob.sum() / (np.asarray(tokens)[:, 1:] != PAD).sum())


def _positions(
    tokens: np.ndarray, attributes: np.ndarray | None
) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
    """Return each predicted word (n,), the two before it (n, 2) and its text's attributes."""
    padded = np.pad(np.asarray(tokens), ((0, 0), (1, 0)), constant_values=PAD)
    row, position = np.nonzero(padded[:, 2:] != PAD)
    last = np.stack([padded[row, position], padded[row, position + 1]], axis=1)
    given = None if attributes is None else np.asarray(attributes)[row]
    return padded[row, position + 2], last, given
