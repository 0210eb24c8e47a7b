"""The n-gram model: hand-worked counts, probabilities that sum to one, a language it can learn."""

import numpy as np
import pytest

from pm_utils.creatives.text.ngram import BackoffNGram, cross_entropy
from pm_utils.market.headlines import BOS, EOS, PAD

A, B, C = 3, 4, 5
V = 6
TEXTS = np.array(
    [
        [BOS, A, B, EOS, PAD],
        [BOS, A, B, A, EOS],
        [BOS, A, C, EOS, PAD],
    ]
)
KIND = np.array([[0], [1], [0]])


def probability(
    model: BackoffNGram, before: int, last: int, word: int, kind: int | None = None
) -> float:
    given = None if kind is None else np.array([[kind]])
    return model.distribution(np.array([[before, last]]), given)[0, word]


def test_unigram_by_hand():
    # Ten words: A 4, B 2, C 1, <eos> 3; four kinds; four words can be said at all.
    model = BackoffNGram(V, order=1).fit(TEXTS)
    uniform = 1 / 4
    for word, count in {A: 4, B: 2, C: 1, EOS: 3}.items():
        by_hand = (count + 4 * uniform) / (10 + 4)
        assert probability(model, PAD, BOS, word) == pytest.approx(by_hand)
    assert probability(model, A, B, A) == probability(model, PAD, BOS, A)  # it looks at nothing


def test_trigram_backs_off_by_hand():
    model = BackoffNGram(V, order=3).fit(TEXTS)
    of_a = (4 + 4 / 4) / 14
    of_b = (2 + 4 / 4) / 14
    # After A: B twice, C once, <eos> once; three kinds in four.
    b_after_a = (2 + 3 * of_b) / (4 + 3)
    # After <bos> A: B twice, C once; two kinds in three.
    assert probability(model, BOS, A, B) == pytest.approx((2 + 2 * b_after_a) / (3 + 2))
    # After B, A only <eos>, once: the pair was seen with one kind.
    eos_after_a = (1 + 3 * (3 + 1) / 14) / 7
    assert probability(model, B, A, EOS) == pytest.approx((1 + 1 * eos_after_a) / 2)
    # C, A was never seen: what follows A decides. Nor was C after C: <eos> follows C once.
    assert probability(model, C, A, B) == pytest.approx(b_after_a)
    assert probability(model, C, C, A) == pytest.approx((0 + 1 * of_a) / 2)


def test_attributes_lengthen_the_context_by_hand():
    model = BackoffNGram(V, order=3, given=((0,),)).fit(TEXTS, KIND)
    plain = BackoffNGram(V, order=3).fit(TEXTS)
    without = probability(plain, BOS, A, C)
    # Kind 0: after <bos> A came B once and C once. Kind 1: B once.
    assert probability(model, BOS, A, C, kind=0) == pytest.approx((1 + 2 * without) / 4)
    assert probability(model, BOS, A, C, kind=1) == pytest.approx((0 + 1 * without) / 2)
    assert probability(model, BOS, A, C, kind=7) == pytest.approx(without)


@pytest.mark.parametrize("strength", [0.1, 1.0, 5.0])
def test_strength_scales_the_lean(strength):
    model = BackoffNGram(V, order=1, strength=strength).fit(TEXTS)
    by_hand = (2 + strength * 4 / 4) / (10 + strength * 4)
    assert probability(model, PAD, BOS, B) == pytest.approx(by_hand)


@pytest.mark.parametrize("order", [1, 2, 3])
def test_probabilities_sum_to_one_and_pads_get_none(order):
    rng = np.random.default_rng(order)
    last, kind = rng.integers(0, V, size=(50, 2)), rng.integers(0, 3, size=(50, 1))
    model = BackoffNGram(V, order=order, given=((0,),)).fit(TEXTS, KIND)
    probabilities = model.distribution(last, kind)
    assert np.allclose(probabilities.sum(axis=1), 1)
    assert (probabilities[:, [PAD, BOS]] == 0).all()
    assert (probabilities[:, [EOS, A, B, C]] > 0).all()


def test_a_headlines_log_probability_is_the_sum_over_its_words():
    model = BackoffNGram(V, order=3, given=((0,),)).fit(TEXTS, KIND)
    steps = [(PAD, BOS, A), (BOS, A, B), (A, B, EOS)]
    by_hand = sum(np.log(probability(model, *step, kind=1)) for step in steps)
    found = model.log_prob(TEXTS, KIND[[1, 0, 0]])
    assert found[0] == pytest.approx(by_hand)
    assert found.shape == (3,)
    assert cross_entropy(found, TEXTS) == pytest.approx(-found.sum() / 10)


def test_pads_do_not_change_the_log_probability():
    model = BackoffNGram(V, order=3).fit(TEXTS)
    longer = np.pad(TEXTS, ((0, 0), (0, 4)), constant_values=PAD)
    assert np.allclose(model.log_prob(longer), model.log_prob(TEXTS))
    again = BackoffNGram(V, order=3).fit(longer)
    assert np.allclose(again.log_prob(TEXTS), model.log_prob(TEXTS))


def chains(n: int, rng: np.random.Generator) -> np.ndarray:
    """Return headlines "A C A" and "B C B": what follows C depends on the word before it."""
    first = rng.choice([A, B], size=n)
    fixed = [np.full(n, word) for word in (BOS, C, EOS)]
    return np.stack([fixed[0], first, fixed[1], first, fixed[2]], axis=1)


def test_it_learns_chains_that_need_two_words_and_shorter_orders_do_not():
    rng = np.random.default_rng(0)
    train, held = chains(2000, rng), chains(500, rng)
    nats = {
        order: cross_entropy(BackoffNGram(V, order=order).fit(train).log_prob(held), held)
        for order in (1, 2, 3)
    }
    entropy = np.log(2) / 4  # one coin in four tokens
    assert nats[3] == pytest.approx(entropy, abs=0.01)
    assert nats[2] == pytest.approx(4 * entropy, abs=0.02)  # after C and twice after A or B as well
    assert nats[1] > nats[2] + 0.3


def test_writing_follows_the_counts_and_ends():
    rng = np.random.default_rng(0)
    model = BackoffNGram(V, order=3, strength=1e-6).fit(chains(300, rng))
    tokens = model.sample(400, 7, rng)
    assert (tokens[:, :6] == np.pad(chains(400, rng), ((0, 0), (0, 1))))[:, [0, 2, 4, 5]].all()
    assert (tokens[:, 1] == tokens[:, 3]).all()
    assert (tokens[:, 1] == A).mean() == pytest.approx(0.5, abs=0.1)
    again = model.sample(400, 7, np.random.default_rng(5))
    assert np.array_equal(again, model.sample(400, 7, np.random.default_rng(5)))
    assert not np.array_equal(again, tokens)


def test_attributes_steer_what_is_written():
    tokens = chains(600, np.random.default_rng(0))
    model = BackoffNGram(V, order=3, given=((0,),), strength=1e-6).fit(tokens, tokens[:, [1]] - A)
    kind = np.arange(100)[:, None] % 2
    written = model.sample(100, 6, np.random.default_rng(1), kind)
    assert (written[:, 1] == A + kind[:, 0]).all()


def test_wrong_orders_and_strengths_are_refused():
    with pytest.raises(ValueError, match="order is 4"):
        BackoffNGram(V, order=4)
    with pytest.raises(ValueError, match="strength is 0"):
        BackoffNGram(V, strength=0)
