"""The classical language model: word counts after the last words, smoothed by backing off."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
from scipy.sparse import csr_array

from pm_utils.inputs import aligned, whole_numbers
from pm_utils.market.headlines import BOS, EOS, PAD


class _Context(NamedTuple):
    """Contexts that lengthen those of a parent by one word or one attribute.

    They are numbered as they were seen: the pair of the parent's number and the value's is looked
    up in sorted `keys`, so that no length of context and no size of attribute is too large.
    """

    parent: int  # place among the contexts; -1 for the empty one
    back: int  # which of the last words joins, 0 for none
    column: int  # which attribute joins, -1 for none
    values: np.ndarray  # sorted
    keys: np.ndarray  # sorted
    table: "_Table | None"  # none on the way to several attributes


class _Table(NamedTuple):
    """What followed the contexts of one length: counts (K, V), sums, distinct words."""

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
        1 counts words, 2 pairs, 3 triples, and so on.
    given : tuple of tuples of int
        Columns of the attributes that join the last words, from coarse to fine.
    strength : float
        s: how much new contexts lean on shorter ones; 1 is Witten and Bell's.

    Raises
    ------
    ValueError
        When a size is not whole or too small, or the strength is not above 0.

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
        self.n_words = int(whole_numbers(n_words, "n_words", low=3))
        self.order = int(whole_numbers(order, "order", low=1))
        if not 0 < strength < np.inf:
            raise ValueError(f"strength is {strength}: give more than 0")
        self.given = tuple(
            tuple(whole_numbers(part, "given").tolist()) for part in given if len(part)
        )
        self.strength = strength
        self._contexts: list[_Context] = []

    @property
    def reach(self) -> int:
        """How many words back it looks, at least one."""
        return max(self.order - 1, 1)

    def fit(self, tokens: np.ndarray, attributes: np.ndarray | None = None) -> "BackoffNGram":
        """Count words in every context.

        Parameters
        ----------
        tokens : array of shape (N, T), int
            ``<bos>``, words, ``<eos>``, ``<pad>`` to the end.
        attributes : array of shape (N, A), int, optional
            Numbers of any size. Needed where columns are `given`.

        Returns
        -------
        BackoffNGram
            Itself.

        Raises
        ------
        ValueError
            When a text does not begin with ``<bos>`` or holds a word that is none of the
            vocabulary, no word follows at all, or attributes are missing or not whole.
        """
        word, last, given = self._positions(tokens, attributes)
        if not len(word):
            raise ValueError("tokens hold no word after <bos>: give texts with words or <eos>")
        self._contexts = []
        nothing = np.zeros(1, np.int64)
        self._add(_Context(-1, 0, -1, nothing, nothing, None), np.zeros(len(word), int), word)
        place = np.zeros(len(word), np.int64)
        for back in range(1, self.order):
            place = self._lengthen(len(self._contexts) - 1, place, last[:, -back], word, back=back)
        parent = len(self._contexts) - 1
        for part in self.given:
            at, longer = place, parent
            for column in part:
                counted = word if column == part[-1] else None
                at = self._lengthen(longer, at, given[:, column], counted, column=column)
                longer = len(self._contexts) - 1
        return self

    def _lengthen(
        self,
        parent: int,
        place: np.ndarray,
        value: np.ndarray,
        word: np.ndarray | None,
        *,
        back: int = 0,
        column: int = -1,
    ) -> np.ndarray:
        """Number the contexts that so many values make of the parent's, and count what followed."""
        values, code = np.unique(value, return_inverse=True)
        keys, place = np.unique(place * len(values) + code, return_inverse=True)
        self._add(_Context(parent, back, column, values, keys, None), place, word)
        return place

    def _add(self, context: _Context, place: np.ndarray, word: np.ndarray | None) -> None:
        if word is not None:
            shape = len(context.keys), self.n_words
            counts = csr_array((np.ones(len(word)), (place, word)), shape=shape)
            counts.sum_duplicates()
            table = _Table(counts, counts.sum(axis=1), np.diff(counts.indptr))
            context = context._replace(table=table)
        self._contexts.append(context)

    def _known(self, last: np.ndarray, given: np.ndarray) -> Iterator[tuple]:
        """Yield, from short contexts to long ones, which were seen, where, and the table."""
        if not self._contexts:
            raise ValueError("nothing was counted yet: call fit first")
        places = [np.zeros(len(last), np.int64)]  # of each context; -1 where it was never seen
        for context in self._contexts[1:]:
            value = last[:, -context.back] if context.back else given[:, context.column]
            code, parent = _find(context.values, value), places[context.parent]
            place = _find(context.keys, parent * len(context.values) + code)
            places.append(np.where((parent < 0) | (code < 0), -1, place))
        for context, place in zip(self._contexts, places, strict=True):
            if context.table is not None:
                seen = np.flatnonzero(place >= 0)
                yield seen, place[seen], context.table

    def distribution(self, last: np.ndarray, attributes: np.ndarray | None = None) -> np.ndarray:
        """Return the probability of every word.

        Parameters
        ----------
        last : array of shape (n, order - 1) or wider, int
            The words before, the latest last; ``<pad>`` before ``<bos>``.
        attributes : array of shape (n, A), int, optional

        Returns
        -------
        array of shape (n, V)
            Rows sum to one; nothing for ``<pad>`` and ``<bos>``.

        Raises
        ------
        ValueError
            When there are fewer words than the order reads, a word is none of the vocabulary, or
            attributes are missing.
        """
        last = whole_numbers(last, "last", low=0, high=self.n_words - 1)
        if last.ndim != 2 or last.shape[1] < self.order - 1:
            raise ValueError(f"last has shape {last.shape}: give {self.order - 1} words per row")
        attributes = self._attributes(attributes, len(last))
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
        """Return the log probability of each headline → (N,), nats.

        Raises
        ------
        ValueError
            As `fit`.
        """
        return self.token_log_prob(tokens, attributes).sum(1)

    def token_log_prob(
        self, tokens: np.ndarray, attributes: np.ndarray | None = None
    ) -> np.ndarray:
        """Return the log probability of each token after ``<bos>`` → (N, T - 1), nats, 0 at pads.

        Raises
        ------
        ValueError
            As `fit`.
        """
        word, last, given = self._positions(tokens, attributes)
        probability = np.full(len(word), 1 / (self.n_words - 2))  # of all but <pad> and <bos>
        for seen, row, table in self._known(last, given):
            count = np.asarray(table.counts[row, word[seen]]).ravel()
            backoff = self.strength * table.distinct[row]
            probability[seen] = (count + backoff * probability[seen]) / (table.total[row] + backoff)
        following = np.asarray(tokens)[:, 1:]
        out = np.zeros(following.shape)
        out[following != PAD] = np.log(probability)
        return out

    def sample(
        self, n: int, length: int, rng: np.random.Generator, attributes: np.ndarray | None = None
    ) -> np.ndarray:
        """Write n headlines of at most `length` tokens → (n, length), int64.

        Raises
        ------
        ValueError
            When a size is not whole and above 0, or attributes are missing.
        """
        n, length = (int(whole_numbers(*size, low=1)) for size in ((n, "n"), (length, "length")))
        reach = self.reach
        tokens = np.full((n, reach - 1 + length), PAD)  # pads stand before <bos>
        tokens[:, reach - 1] = BOS
        for t in range(reach, reach - 1 + length):
            unfinished = (tokens[:, t - 1] != EOS) & (tokens[:, t - 1] != PAD)
            last = tokens[:, t - reach : t]
            cumulative = self.distribution(last, attributes).cumsum(axis=1)
            word = (cumulative < rng.random((n, 1)) * cumulative[:, -1:]).sum(axis=1)
            tokens[:, t] = np.where(unfinished, word, PAD)
        return tokens[:, reach - 1 :]

    def _positions(
        self, tokens: np.ndarray, attributes: np.ndarray | None
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return each predicted word (n,), those before it (n, reach) and its text's attributes."""
        tokens = check_tokens(tokens, self.n_words)
        attributes = self._attributes(attributes, len(tokens))
        padded = np.pad(tokens, ((0, 0), (self.reach - 1, 0)), constant_values=PAD)
        row, position = np.nonzero(padded[:, self.reach :] != PAD)
        last = np.stack([padded[row, position + back] for back in range(self.reach)], axis=1)
        return padded[row, position + self.reach], last, attributes[row]

    def _attributes(self, attributes: np.ndarray | None, rows: int) -> np.ndarray:
        """Return attributes (rows, A), or say which are missing."""
        wanted = sorted({column for part in self.given for column in part})
        if attributes is None:
            if wanted:
                raise ValueError(
                    f"attributes is None, and the model is given columns {wanted} of them: give "
                    "an array of shape (N, A)"
                )
            return np.zeros((rows, 0), np.int64)
        attributes = whole_numbers(attributes, "attributes", low=None)
        if attributes.ndim != 2 or len(attributes) != rows:
            raise ValueError(f"attributes has shape {attributes.shape}: give {rows:,} rows")
        if wanted and wanted[-1] >= attributes.shape[1]:
            raise ValueError(
                f"attributes has {attributes.shape[1]} columns, and the model is given column "
                f"{wanted[-1]}, counted from 0: give that many"
            )
        return attributes


def tuned_ngram(
    tokens: np.ndarray,
    attributes: np.ndarray,
    held_out: tuple[np.ndarray, np.ndarray],
    *,
    n_words: int,
    order: int,
    given: tuple[tuple[int, ...], ...] = (),
    strengths: Sequence[float] = (1, 3, 10),
) -> BackoffNGram:
    """Count words, and choose on other texts how strongly long contexts lean on short ones.

    Explained in chapter ``ad-text``.

    Parameters
    ----------
    tokens : array of shape (N, T), int
    attributes : array of shape (N, A), int
    held_out : (array of shape (M, T), array of shape (M, A))
        Texts that are not counted, and their attributes.
    n_words, order, given
        As in `BackoffNGram`.
    strengths : sequence of float
        To try.

    Returns
    -------
    BackoffNGram
        The one that finds the texts held out likeliest.

    Raises
    ------
    ValueError
        As `BackoffNGram` and its `fit`, or when there is no strength to try.

    Examples
    --------
    What is always the same needs no shorter contexts.

    >>> import numpy as np
    >>> from pm_utils.creatives.text.ngram import tuned_ngram
    >>> texts, ads = np.array([[1, 3, 4, 2]] * 9), np.zeros((9, 1), int)
    >>> tuned_ngram(texts, ads, (texts, ads), n_words=5, order=2).strength
    1
    """
    if not len(strengths):
        raise ValueError("strengths is empty: give one or more")
    settings = {"order": order, "given": given}
    tried = [
        BackoffNGram(n_words, strength=strength, **settings).fit(tokens, attributes)
        for strength in strengths
    ]
    return max(tried, key=lambda model: model.log_prob(*held_out).sum())


def _find(known: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Return where values stand among sorted known ones, -1 for those that are not there."""
    place = np.minimum(np.searchsorted(known, values), len(known) - 1)
    return np.where(known[place] == values, place, -1)


def check_tokens(tokens: np.ndarray, n_words: int) -> np.ndarray:
    """Return texts as integers (N, T), or refuse them.

    Parameters
    ----------
    tokens : array of shape (N, T)
        ``<bos>``, words, ``<eos>``, ``<pad>`` to the end.
    n_words : int
        Size of the vocabulary.

    Raises
    ------
    ValueError
        When a word is none of the vocabulary, or a text does not begin with its only ``<bos>``.

    Examples
    --------
    >>> from pm_utils.creatives.text.ngram import check_tokens
    >>> check_tokens([[1, 3, 2], [3, 3, 2]], 5)
    Traceback (most recent call last):
    ValueError: tokens, row 1 (1 of 2): [3, 3, 2]; begin each text with 1, <bos>, and have no other
    """
    tokens = whole_numbers(tokens, "tokens", low=0, high=n_words - 1)
    if tokens.ndim != 2 or not tokens.size:
        raise ValueError(f"tokens has shape {tokens.shape}: give (N, T), a row per text")
    wrong = (tokens[:, 0] != BOS) | (tokens[:, 1:] == BOS).any(1)
    if wrong.any():
        first = int(np.flatnonzero(wrong)[0])
        raise ValueError(
            f"tokens, row {first} ({wrong.sum():,} of {len(wrong):,}): {tokens[first].tolist()}; "
            f"begin each text with {BOS}, <bos>, and have no other"
        )
    return tokens


def cross_entropy(log_prob: np.ndarray, tokens: np.ndarray) -> float:
    """Return nats per predicted token from the log probabilities of headlines (N,).

    Raises
    ------
    ValueError
        When there is not one log probability per headline, one is unknown or above 0, or no token
        is predicted.

    Examples
    --------
    Two headlines of two and one predicted tokens; the pads (0) do not count.

    >>> import numpy as np
    >>> from pm_utils.creatives.text.ngram import cross_entropy
    >>> cross_entropy(np.array([-4.0, -2.0]), np.array([[1, 3, 2], [1, 2, 0]]))
    2.0
    """
    log_prob, tokens = (np.asarray(part) for part in aligned(log_prob=log_prob, tokens=tokens))
    predicted = (tokens[:, 1:] != PAD).sum()
    if not (log_prob <= 1e-9).all():  # minus infinity is what cannot be said
        wrong = int(np.flatnonzero(~(log_prob <= 1e-9))[0])
        raise ValueError(f"log_prob, row {wrong} is {log_prob[wrong]}: give numbers up to 0")
    if not predicted:
        raise ValueError("tokens hold no word after <bos>: nothing is predicted")
    return float(-log_prob.sum() / predicted)
