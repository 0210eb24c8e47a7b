"""The n-gram model: hand-worked counts, probabilities that sum to one, a language it can learn."""

import numpy as np
import pytest

from pm_utils.creatives.text.ngram import BackoffNGram, cross_entropy, tuned_ngram
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
    with pytest.raises(ValueError, match="order is out of range"):
        BackoffNGram(V, order=0)
    with pytest.raises(ValueError, match="order is not whole"):
        BackoffNGram(V, order=2.5)
    with pytest.raises(ValueError, match="strength is 0"):
        BackoffNGram(V, strength=0)


# --- Any order, any attribute ---------------------------------------------------------------------


def brute_force(texts, kinds, order, given, word, before, kind):
    """Witten and Bell's formula with plain counts, context by context."""
    probability = 1 / (V - 2)
    contexts = [(back, ()) for back in range(order)] + [(order - 1, part) for part in given]
    for back, part in contexts:
        following = []
        for text, own in zip(texts, kinds, strict=True):
            padded = [PAD] * order + [one for one in text if one != PAD]
            for place in range(order + 1, len(padded)):
                same = padded[place - back : place] == before[len(before) - back :]
                if same and all(own[column] == kind[column] for column in part):
                    following.append(padded[place])
        if following:
            lean = len(set(following))
            probability = (following.count(word) + lean * probability) / (len(following) + lean)
    return probability


@pytest.mark.parametrize("order", [1, 2, 3, 4, 5, 9])
def test_every_order_is_the_formula_by_brute_force(order):
    rng = np.random.default_rng(order)
    texts = np.full((30, 8), PAD)
    for row in texts:
        length = rng.integers(1, 6)
        row[: length + 2] = [BOS, *rng.integers(3, V, length), EOS]
    kinds = rng.choice([0, 137, 10**12], size=(30, 2))
    given = ((0,), (0, 1))
    model = BackoffNGram(V, order=order, given=given).fit(texts, kinds)
    for row, kind in zip(texts[:6], kinds[:6], strict=True):
        words = [one for one in row if one != PAD]
        padded = [PAD] * order + words
        logs = [
            np.log(brute_force(texts, kinds, order, given, word, padded[: order + place], kind))
            for place, word in enumerate(words)
            if place
        ]
        assert model.log_prob(row[None], kind[None])[0] == pytest.approx(sum(logs))
    last = rng.integers(0, V, size=(20, max(order - 1, 1)))
    assert np.allclose(model.distribution(last, kinds[:20]).sum(1), 1)


def test_attributes_beyond_any_base_are_told_apart():
    """137 kinds of article: the second column's number must not run into the first one's."""
    texts = np.array([[BOS, A, EOS], [BOS, B, EOS]])
    for one, other in (([0, 100], [1, 0]), ([10**12, 0], [10**12 + 1, 0]), ([-1, 5], [0, 5])):
        model = BackoffNGram(V, order=1, given=((0, 1),)).fit(texts, np.array([one, other]))
        found = model.distribution(np.array([[PAD, BOS]] * 2), np.array([one, other]))
        assert found[0, A] > found[0, B]
        assert found[1, B] > found[1, A]


def test_a_long_order_learns_a_song_that_short_ones_cannot():
    song = np.array([BOS, A, A, A, B, A, A, A, C, A, A, A, EOS])
    texts, rng = np.tile(song, (50, 1)), np.random.default_rng(0)
    model = BackoffNGram(V, order=6, strength=1e-9).fit(texts)
    assert (model.sample(5, len(song), rng) == song).all()
    assert cross_entropy(model.log_prob(texts), texts) < 0.01
    short = BackoffNGram(V, order=4, strength=1e-9).fit(texts)
    assert cross_entropy(short.log_prob(texts), texts) > 0.1


def test_a_big_vocabulary_and_order_do_not_overflow():
    rng = np.random.default_rng(0)
    texts = np.hstack(
        [np.full((40, 1), BOS), rng.integers(3, 50_000, (40, 8)), np.full((40, 1), EOS)]
    )
    model = BackoffNGram(50_000, order=8, strength=1e-9).fit(texts)
    assert cross_entropy(model.log_prob(texts), texts) < 1  # only the first word is a surprise


def test_the_order_of_texts_does_not_matter():
    order = [2, 0, 1]
    model = BackoffNGram(V, order=4, given=((0,),)).fit(TEXTS, KIND)
    again = BackoffNGram(V, order=4, given=((0,),)).fit(TEXTS[order], KIND[order])
    assert np.array_equal(model.log_prob(TEXTS, KIND), again.log_prob(TEXTS, KIND))


def test_the_strength_is_the_one_that_texts_held_out_find_best():
    rng = np.random.default_rng(0)
    texts = np.column_stack([np.full(60, BOS), rng.integers(3, V, (60, 3)), np.full(60, EOS)])
    kind = np.zeros((60, 1), int)
    held_out = texts[40:], kind[40:]
    tuned = tuned_ngram(texts[:40], kind[:40], held_out, n_words=V, order=4, strengths=(0.1, 50))
    assert tuned.strength == 50  # there is nothing to learn from what came before
    other = BackoffNGram(V, order=4, strength=0.1).fit(texts[:40], kind[:40])
    assert tuned.log_prob(*held_out).sum() > other.log_prob(*held_out).sum()
    by_token = tuned.token_log_prob(*held_out)
    assert by_token.shape == (20, 4)
    assert np.allclose(by_token.sum(1), tuned.log_prob(*held_out))


def test_wrong_texts_and_attributes_are_named():
    model = BackoffNGram(V, order=3, given=((0,),))
    with pytest.raises(
        ValueError, match=r"attributes is None, and the model is given columns \[0\]"
    ):
        model.fit(TEXTS)
    model.fit(TEXTS, KIND)
    for call in (
        lambda: model.log_prob(TEXTS),
        lambda: model.distribution(np.array([[PAD, BOS]])),
        lambda: model.sample(2, 5, np.random.default_rng(0)),
    ):
        with pytest.raises(ValueError, match="attributes is None"):
            call()
    with pytest.raises(ValueError, match="attributes has shape"):
        model.log_prob(TEXTS, KIND[:2])
    with pytest.raises(ValueError, match="column 1, counted from 0"):
        BackoffNGram(V, given=((1,),)).fit(TEXTS, KIND)
    with pytest.raises(ValueError, match="attributes is not finite"):
        model.fit(TEXTS, np.where(KIND > 0, np.nan, KIND))
    with pytest.raises(ValueError, match=r"tokens is out of range in 1 of 3 rows, .*0 to 5"):
        model.fit(np.where(TEXTS == C, V, TEXTS), KIND)
    with pytest.raises(ValueError, match="begin each text with 1"):
        model.fit(TEXTS[:, 1:], KIND)
    with pytest.raises(ValueError, match="no word after"):
        model.fit(np.array([[BOS, PAD]]), KIND[:1])
    with pytest.raises(ValueError, match="call fit first"):
        BackoffNGram(V).log_prob(TEXTS)
    for texts, strengths, told in ((TEXTS[:, 1:], [1], "begin each"), (TEXTS, [], "is empty")):
        with pytest.raises(ValueError, match=told):
            tuned_ngram(
                texts, KIND, (TEXTS, KIND), n_words=V, order=2, given=((0,),), strengths=strengths
            )
    with pytest.raises(ValueError, match="give 3 words per row"):
        BackoffNGram(V, order=4).fit(TEXTS).distribution(np.array([[PAD, BOS]]))
    with pytest.raises(ValueError, match="log_prob, row 1 is nan"):
        cross_entropy(np.array([-1.0, np.nan, -2.0]), TEXTS)
