"""The copy grammar against brute force: probabilities, entropies, and what a headline may say."""

import re

import numpy as np
import pytest

from pm_utils.market import headlines
from pm_utils.market.creatives import ATTRIBUTES, Creatives, random_creatives
from pm_utils.market.headlines import BOS, EOS, MAX_LENGTH, PAD, Automaton, copy_grammar

CATEGORIES, TONES, DISCOUNTS = (ATTRIBUTES[name] for name in ("category", "tone", "discount"))
EVERY = list(np.ndindex(len(CATEGORIES), len(TONES), len(DISCOUNTS)))


def ads(category="produce", tone="urgent", discount="20%", n: int = 1) -> Creatives:
    """Repeat one ad; what the text does not depend on is 0."""
    codes = (CATEGORIES.index(category), TONES.index(tone), DISCOUNTS.index(discount))
    return Creatives(*(np.full(n, code) for code in (*codes, 0, 0, 0, 0)))


def every_ad() -> Creatives:
    codes = np.array(EVERY)
    return Creatives(*codes.T, *(np.zeros(len(codes), dtype=int) for _ in range(4)))


@pytest.fixture(scope="module")
def grammar() -> headlines.CopyGrammar:
    return copy_grammar()


@pytest.fixture(scope="module")
def written(grammar) -> tuple[Creatives, np.ndarray]:
    rng = np.random.default_rng(3)
    creatives = random_creatives(20_000, rng)
    return creatives, grammar.sample(creatives, rng)


def paths(grammar, creatives: Creatives):
    """Every headline of one ad as (log probability, length), walking the edges side by side."""
    start = grammar._key // len(grammar.words)
    node, log = grammar._first(creatives), np.zeros(1)
    ended, steps = [], 0
    while len(node):
        first, last = (np.searchsorted(start, node, side) for side in ("left", "right"))
        out = last - first
        edge = np.repeat(first - np.r_[0, np.cumsum(out)[:-1]], out) + np.arange(out.sum())
        log, node = np.repeat(log, out) + grammar._log[edge], grammar._child[edge]
        steps += 1
        ended.append(np.stack([log[node == 0], np.full((node == 0).sum(), steps)]))
        log, node = log[node != 0], node[node != 0]
    return np.concatenate(ended, axis=1)


def brute_force(text: str, category: int, tone: int, discount: int) -> float:
    """P(text | attributes) from the tables: every hidden choice, every way to cut the text."""

    def fill(rest: str, slots: list) -> float:
        if not slots:
            return float(rest == "")
        said = ((w, phrase + " " if phrase else "") for w, phrase in slots[0])
        return sum(w * fill(rest[len(p) :], slots[1:]) for w, p in said if rest.startswith(p))

    manner = TONES[tone]
    nouns = headlines._zipf(headlines._nouns(category), turn=tone)
    chosen = [(0.8 * w, noun) for w, noun in nouns] + [(0.2, None)]
    total = 0.0
    for a, hook in headlines._zipf(headlines.HOOKS[manner], turn=category):
        for b, noun in chosen:
            options = headlines._slots(category, tone, hook, noun)
            options["manner"] = [(0.5 * w, word) for w, word in options["manner"]] + [(0.5, "")]
            names = headlines.TONES[manner][0].replace("product", "manner adjective noun").split()
            slots = [options.get(name, [(1.0, name)]) for name in names]
            total += (
                a * b * fill(text, [[(1.0, hook)], headlines._offers(manner, discount), *slots])
            )
    return total


def test_a_mix_sums_out_choices_that_share_words():
    graph = Automaton()
    options = [(0.2, "a b"), (0.5, "a c"), (0.1, "a b"), (0.2, "")]
    root = graph.choose(options, graph.phrase("d <eos>", Automaton.END))
    word = graph.words
    edges = {w: (p, child) for w, p, child in graph.nodes[root]}
    assert {w: p for w, (p, _) in edges.items()} == pytest.approx({word["a"]: 0.8, word["d"]: 0.2})
    after = {w: p for w, p, _ in graph.nodes[edges[word["a"]][1]]}
    assert after == pytest.approx({word["b"]: 0.3 / 0.8, word["c"]: 0.5 / 0.8})


def test_a_headline_that_begins_another_is_refused():
    graph = Automaton()
    with pytest.raises(ValueError, match="beginning of another"):
        graph.mix([(0.5, Automaton.END), (0.5, graph.phrase("a", Automaton.END))])


def test_every_choice_sums_to_one_and_no_word_leads_two_ways(grammar):
    start = grammar._key // len(grammar.words)
    total = np.bincount(start, weights=np.exp(grammar._log))
    assert np.abs(total[total > 0] - 1).max() < 1e-9
    assert (np.diff(grammar._key) > 0).all()


@pytest.mark.parametrize("which", [("drinks", "plain", "none"), ("baby", "urgent", "50%")])
def test_entropy_equals_the_sum_over_all_headlines(grammar, which):
    log, length = paths(grammar, ads(*which))
    codes = tuple(ads(*which).codes()[0, :3])
    probability = np.exp(log)
    assert probability.sum() == pytest.approx(1, abs=1e-9)
    assert grammar.entropy[codes] == pytest.approx(-(probability * log).sum(), rel=1e-9)
    assert grammar.n_tokens[codes] == pytest.approx((probability * length).sum(), rel=1e-9)
    assert grammar.n_headlines[codes] == len(log)
    assert grammar.entropy[codes] < np.log(len(log)) - 1  # far from uniform over its headlines


def test_probability_equals_brute_force_over_hidden_choices(grammar, written):
    creatives, tokens = (written[0].take(np.arange(150)), written[1][:150])
    exact = grammar.log_prob(tokens, creatives)
    for row, log, codes in zip(tokens, exact, creatives.codes()[:, :3], strict=True):
        text = "".join(grammar.words[i] + " " for i in row[1 : np.argmax(row == EOS)])
        assert np.log(brute_force(text, *codes)) == pytest.approx(log, abs=1e-9)


def test_entropy_and_length_agree_with_samples(grammar, written):
    creatives, tokens = written
    cell = (creatives.category, creatives.tone, creatives.discount)
    surprise = -grammar.log_prob(tokens, creatives) - grammar.entropy[cell]
    assert abs(surprise.mean()) < 4 * surprise.std() / np.sqrt(len(tokens))
    longer = (tokens != PAD).sum(axis=1) - 1 - grammar.n_tokens[cell]
    assert abs(longer.mean()) < 4 * longer.std() / np.sqrt(len(tokens))
    assert surprise.std() / np.sqrt(len(tokens)) < 0.02 and surprise.std() > 0.5


def test_samples_follow_the_stated_probabilities(grammar):
    tokens = grammar.sample(ads("pets", "playful", "none", n=20_000), np.random.default_rng(0))
    hooks = {hook.split()[0]: w for w, hook in headlines._zipf(headlines.HOOKS["playful"], turn=10)}
    for word, share in hooks.items():
        found = (tokens[:, 1] == grammar.words.index(word)).mean()
        assert abs(found - share) < 4 * np.sqrt(share * (1 - share) / len(tokens))


def test_the_rate_over_a_mix_weighs_headlines_and_not_rates(grammar):
    weights = np.zeros(grammar.entropy.shape)
    weights[0, 0, 0], weights[0, 1, 1] = 3, 1
    nats = 3 * grammar.entropy[0, 0, 0] + grammar.entropy[0, 1, 1]
    tokens = 3 * grammar.n_tokens[0, 0, 0] + grammar.n_tokens[0, 1, 1]
    assert grammar.entropy_per_token(weights) == pytest.approx(nats / tokens)
    mean = grammar.entropy.mean() / grammar.n_tokens.mean()
    assert grammar.entropy_per_token() == pytest.approx(mean)
    assert mean != pytest.approx((grammar.entropy / grammar.n_tokens).mean(), rel=1e-3)


def test_a_headline_is_possible_under_its_own_attributes_only(grammar, written):
    creatives, tokens = written
    everything = every_ad()
    for row, codes in zip(tokens[:80], creatives.codes()[:80, :3], strict=True):
        possible = np.isfinite(grammar.log_prob(np.tile(row, (len(everything), 1)), everything))
        assert [EVERY[i] for i in np.flatnonzero(possible)] == [tuple(codes)]


def test_what_agrees_must_agree(grammar):
    good = "Hurry: grab 20% off! Crisp apples are almost gone! Bake them now! Do not miss apples!"
    ad = ads()
    assert np.isfinite(grammar.log_prob(grammar.encode([good]), ad))
    for right, wrong in [
        ("are", "is"),  # number of the verb
        ("them", "it"),  # number of the pronoun
        ("Bake", "Shred"),  # what one does with lettuce
        ("miss apples", "miss carrots"),  # the echo of the product
        ("Do not miss apples", "Now or never"),  # the answer to "last chance"
        ("20%", "30%"),  # the discount
        ("Crisp", "Crusty"),  # an adjective of bread
        ("almost gone", "gone almost"),
        (" off!", "!"),
    ]:
        bad = good.replace(right, wrong)
        assert bad != good and grammar.log_prob(grammar.encode([bad]), ad) == -np.inf, bad


def test_malformed_tokens_are_impossible(grammar):
    ad = ads()
    good = grammar.sample(ad, np.random.default_rng(1))[0]
    end = int(np.argmax(good == EOS))
    spoilt = {name: good.copy() for name in ("no bos", "no eos", "more", "cut", "swapped", "pad")}
    spoilt["no bos"][0] = EOS
    spoilt["no eos"][end] = PAD
    spoilt["more"][end + 1] = good[1]
    spoilt["cut"] = np.where(np.arange(MAX_LENGTH) < end - 2, good, PAD)
    spoilt["swapped"][[2, 4]] = good[[4, 2]]
    spoilt["pad"][3] = PAD
    for name, row in spoilt.items():
        assert grammar.log_prob(row[None], ad) == -np.inf, name
    steps = grammar.token_log_prob(good[None], ad)
    assert np.isfinite(steps).all() and (steps[0, end:] == 0).all() and (steps <= 1e-12).all()
    assert np.isfinite(grammar.log_prob(good[None, : end + 1], ad))
    assert grammar.log_prob(good[None, :end], ad) == -np.inf


def test_same_seed_same_headlines_whatever_the_batch(grammar):
    creatives = random_creatives(300, np.random.default_rng(2))
    whole = grammar.sample(creatives, np.random.default_rng(9))
    rng = np.random.default_rng(9)
    parts = [grammar.sample(creatives.take(rows), rng) for rows in np.split(np.arange(300), 3)]
    assert (np.concatenate(parts) == whole).all()
    assert (grammar.sample(creatives, np.random.default_rng(10)) != whole).any(axis=1).mean() > 0.95


def test_tokens_have_the_promised_shape(grammar, written):
    _, tokens = written
    assert grammar.words[:3] == ("<pad>", "<bos>", "<eos>") and tokens.shape[1] == MAX_LENGTH
    assert len(set(grammar.words)) == len(grammar.words) == tokens.max() + 1
    assert (tokens[:, 0] == BOS).all() and ((tokens == EOS).sum(axis=1) == 1).all()
    end = np.argmax(tokens == EOS, axis=1)
    assert ((tokens == PAD) == (np.arange(MAX_LENGTH) > end[:, None])).all()
    assert (tokens != PAD).sum(axis=1).max() > MAX_LENGTH - 4  # the length is used up


def test_there_is_room_for_novelty(grammar, written):
    assert grammar.n_headlines.min() > 1e5
    assert len(np.unique(written[1], axis=0)) > 0.98 * len(written[1])


def test_words_say_which_attributes_they_allow(grammar, written):
    creatives, tokens = written
    cell = (creatives.category, creatives.tone, creatives.discount)
    allowed = grammar.reachable[cell]
    assert np.take_along_axis(allowed, np.where(tokens > EOS, tokens, EOS), axis=1).all()
    apples, hurry, rate = (grammar.words.index(word) for word in ("apples", "hurry", "30%"))
    everywhere = grammar.reachable
    assert everywhere[..., apples].any((1, 2)).tolist() == [c == "produce" for c in CATEGORIES]
    assert everywhere[..., hurry].any((0, 2)).tolist() == [tone == "urgent" for tone in TONES]
    assert everywhere[..., rate].any((0, 1)).tolist() == [d == "30%" for d in DISCOUNTS]


def test_attributes_change_the_favourite_word(grammar):
    words = {}
    for tone in ("plain", "warm"):
        tokens = grammar.sample(ads("bakery", tone, n=4000), np.random.default_rng(0))
        words[tone] = np.bincount(tokens.ravel(), minlength=len(grammar.words))
    crusty, golden = grammar.words.index("crusty"), grammar.words.index("golden")
    assert words["plain"][crusty] > 1.5 * words["plain"][golden]
    assert words["warm"][golden] > 1.5 * words["warm"][crusty]


def test_three_words_of_memory_are_not_enough(grammar):
    """The best trigram for one ad, fitted and scored on the same headlines, stays far above."""
    ad = ads("dairy", "playful", "30%", n=30_000)
    tokens = grammar.sample(ad, np.random.default_rng(4))
    said = tokens[:, 1:] != PAD
    before = np.c_[np.zeros(len(tokens), dtype=int), tokens[:, :-2]]
    context = (before * 1000 + tokens[:, :-1])[said]
    _, pair = np.unique(context * 1000 + tokens[:, 1:][said], return_inverse=True)
    _, context = np.unique(context, return_inverse=True)
    chance = np.bincount(pair)[pair] / np.bincount(context)[context]
    trigram = -np.log(chance).sum() / len(tokens)
    truth = grammar.entropy[CATEGORIES.index("dairy"), TONES.index("playful"), 3]
    assert truth * 1.2 < trigram < truth * 2


def test_headlines_read_and_print_alike(grammar, written):
    _, tokens = written
    printed = grammar.decode(tokens[:500])
    assert (grammar.encode(printed) == tokens[:500]).all()
    text = "This week save 20%: crusty rolls, warm from the oven. Fill them well. Until Saturday."
    assert grammar.decode(grammar.encode([text.upper()])) == [text]
    assert grammar.decode(np.array([[BOS, EOS, 7, 7]])) == [""]


@pytest.mark.parametrize(
    ("text", "reason"),
    [("Hurry: buy zeppelins!", "unknown words .*zeppelins"), ("today " * 31, "31 words")],
)
def test_what_cannot_be_encoded_says_why(grammar, text, reason):
    with pytest.raises(ValueError, match=reason):
        grammar.encode([text])


def test_weights_fall_as_one_over_rank_from_the_favourite():
    weights, letters = zip(*headlines._zipf("abc", turn=1), strict=True)
    assert weights == pytest.approx((6 / 11, 3 / 11, 2 / 11)) and letters == ("b", "c", "a")
    assert headlines._zipf("abc", turn=4) == headlines._zipf("abc", turn=1)
    assert headlines._maybe(0.25, [(1.0, "a")]) == [(0.25, "a"), (0.75, "")]


def test_equal_endings_are_stored_once():
    graph = Automaton()
    end = graph.phrase("now <eos>", Automaton.END)
    size = len(graph.nodes)
    assert graph.phrase("now <eos>", Automaton.END) == end and len(graph.nodes) == size
    assert graph.mix([(0.3, end), (0.7, end)]) == end


def test_one_headline_worked_by_hand(grammar):
    """Plain drinks at 10 %: each factor read off the tables, favourites turned."""
    text = "This week minus 10%: bold teas. Steep them often. Until Saturday."
    hook = (1 / 3) / (1 + 1 / 2 + 1 / 3 + 1 / 4)  # third of four
    offer = (1 / 3) / (1 + 1 / 2 + 1 / 3 + 1 / 4)  # turned by one: third of four
    bare, adjective, no_detail = 0.5, (1 / 5) / (137 / 60), 0.6  # no "everyday", last of five
    noun = 0.8 * (1 / 5) / (137 / 60)
    use = 0.75 * (1 / (11 / 6)) * (1 / 3) / (137 / 60)  # first verb, third adverb
    closing = 2 / 3
    worked = hook * offer * bare * adjective * noun * no_detail * use * closing
    found = grammar.log_prob(grammar.encode([text]), ads("drinks", "plain", "10%"))
    assert found == pytest.approx(np.log(worked))


def test_what_may_follow_a_beginning_sums_to_one(grammar):
    creatives, n_words = ads("pets", "warm", "30%"), len(grammar.words)
    row = grammar.sample(creatives, np.random.default_rng(6))[0]
    for length in (1, 4, 9, int(np.argmax(row == EOS))):
        continued = np.tile(row, (n_words, 1))
        continued[:, length] = np.arange(n_words)
        repeated = creatives.take(np.zeros(n_words, dtype=int))
        step = grammar.token_log_prob(continued, repeated)[:, length - 1]
        assert np.exp(step).sum() == pytest.approx(1)
        assert step[row[length]] == pytest.approx(
            grammar.token_log_prob(row[None], creatives)[0, length - 1]
        )


def test_shares_are_as_the_tables_say(grammar):
    n = 20_000
    text = grammar.decode(
        grammar.sample(ads("snacks", "plain", "50%", n=n), np.random.default_rng(5))
    )
    shares = {
        "half price": headlines.HALF_PRICE_SHARE,
        " and ": headlines.PAIR_SHARE,
        r"\. \w+ (it|them) ": headlines.USE_SHARE,
        "(seasoned|palm|bigger)": headlines.DETAIL_SHARE,
        "(everyday|quality|standard)": headlines.MANNER_SHARE,
    }
    for pattern, share in shares.items():
        found = np.mean([re.search(pattern, line) is not None for line in text])
        assert abs(found - share) < 4 * np.sqrt(share * (1 - share) / n), pattern


def test_pairs_name_two_products(grammar, written):
    pairs = [re.search(r"(\w+) and (\w+)", line) for line in grammar.decode(written[1][:4000])]
    pairs = [pair.groups() for pair in pairs if pair and pair[1] != "washed"]
    assert len(pairs) > 500 and all(one != other for one, other in pairs)


def test_the_tables_name_every_category_and_tone_in_words_of_their_own():
    assert tuple(headlines.PRODUCTS) == CATEGORIES and tuple(headlines.TONES) == TONES
    assert tuple(headlines.HOOKS) == tuple(headlines.OFFERS) == TONES
    nouns = [noun for category in range(12) for noun in headlines._nouns(category)]
    assert len(nouns) == len(set(nouns)) == 60
    assert {len(uses.split()) for c in range(12) for uses in headlines._nouns(c).values()} == {3}
    hooks = [hook for hooks in headlines.HOOKS.values() for hook in hooks]
    assert len(hooks) == len(set(hooks))


def test_a_headline_too_long_is_refused_when_the_grammar_is_built(monkeypatch):
    def of_length(n: int):
        text = "a " * (n - 2) + "<eos>"
        return lambda graph, *_: [graph.phrase(text, Automaton.END)] * len(DISCOUNTS)

    monkeypatch.setattr(headlines, "_roots", of_length(MAX_LENGTH))
    assert (headlines.CopyGrammar().n_tokens == MAX_LENGTH - 1).all()
    monkeypatch.setattr(headlines, "_roots", of_length(MAX_LENGTH + 1))
    with pytest.raises(ValueError, match="32 tokens and <bos> exceed MAX_LENGTH 32"):
        headlines.CopyGrammar()


def test_every_word_survives_printing(grammar):
    for i, word in enumerate(grammar.words[3:], start=3):
        assert grammar.encode([word])[0, :3].tolist() == [BOS, i, EOS]
