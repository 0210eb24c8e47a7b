"""The copy grammar: headlines from attributes, with every probability and entropy exact.

A headline is written in two steps. First two *hidden* choices are made: a hook, which the last
sentence must answer ("knock knock" … "who is there ? apples"), and a product, whose number and use
the verbs and pronouns must match ("apples are selling fast … bake them"). Given category, tone,
discount and the hidden choices, the slots of the tone's template are filled independently.

All of it is compiled into one deterministic automaton: a node is a distribution over the next
word, and each (node, word) leads to one node. Hidden choices are summed out where headlines share
a beginning (weighted determinisation; Mohri, 1997). The probability of a headline is a product
along one path, and its entropy a sum over nodes, so neither is ever estimated.
"""

import re
from collections.abc import Iterable
from functools import cache
from itertools import permutations
from math import log

import numpy as np

from pm_utils.inputs import numbers, whole_numbers
from pm_utils.market.creatives import ATTRIBUTES, Creatives, check_levels, level_counts

PAD, BOS, EOS = 0, 1, 2
SPECIAL = ("<pad>", "<bos>", "<eos>")
MAX_LENGTH = 32

# Per category: adjectives, details, and nouns with what one does with them. A noun that ends in "*"
# takes "it" and "is", the others "them" and "are".
PRODUCTS: dict[str, tuple[str, str, str]] = {
    "drinks": (
        "cold sparkling fruity bitter bold",
        "bottled here|roasted slowly|without sugar",
        "coffee*: brew sip grind, lemonade*: pour chill share, cider*: mull pour toast, "
        "sodas: open chill mix, teas: steep sip blend",
    ),
    "dairy": (
        "creamy rich mild organic fresh",
        "from small farms|from happy cows|without additives",
        "milk*: pour warm froth, cheese*: grate melt slice, butter*: spread melt brown, "
        "yoghurts: stir pack freeze, eggs: boil poach scramble",
    ),
    "bakery": (
        "crusty golden soft seeded airy",
        "warm from the oven|baked before dawn|kneaded by hand",
        "bread*: toast slice break, cake*: cut share frost, pie*: warm cut serve, "
        "rolls: fill butter warm, bagels: toast pack split",
    ),
    "snacks": (
        "crunchy salty spicy sour tangy",
        "seasoned by hand|without palm oil|in a bigger bag",
        "popcorn*: pop toss share, chocolate*: break melt hide, crisps: dip open crush, "
        "nuts: roast crack pack, pretzels: twist dip salt",
    ),
    "meat": (
        "lean tender smoked juicy aged",
        "cut by our butcher|raised near here|marinated overnight",
        "beef*: braise roast sear, ham*: slice glaze cube, bacon*: fry crisp wrap, "
        "sausages: grill fry skewer, burgers: grill stack flip",
    ),
    "produce": (
        "crisp ripe green sunny local",
        "picked by hand|grown around the corner|washed and ready",
        "lettuce*: toss wash shred, spinach*: steam wilt stir, apples: bake core pack, "
        "carrots: roast grate peel, tomatoes: slice roast stew",
    ),
    "frozen": (
        "frosty icy smooth quick chunky",
        "frozen at sea|ready in minutes|in a family box",
        "pizza*: bake cut share, sorbet*: scoop serve swirl, salmon*: thaw sear poach, "
        "peas: steam mash stir, dumplings: fry steam dip",
    ),
    "breakfast": (
        "toasted nutty sweet wholesome fluffy",
        "full of oats|made with whole grain|without sugar",
        "muesli*: soak stir top, honey*: spread drizzle spoon, jam*: spread swirl spoon, "
        "pancakes: stack flip fold, waffles: toast top stack",
    ),
    "household": (
        "strong gentle scented concentrated green",
        "made without bleach|tested on stains|in a refill pack",
        "soap*: lather rinse refill, detergent*: measure pour refill, polish*: rub spray buff, "
        "sponges: soak squeeze rinse, candles: light place lift",
    ),
    "beauty": (
        "silky radiant light velvety pure",
        "made with rose oil|kind to your skin|without perfume",
        "shampoo*: lather rinse massage, lotion*: rub smooth massage, mascara*: brush wear layer, "
        "lipsticks: wear blot match, creams: dab smooth layer",
    ),
    "pets": (
        "meaty chewy hearty natural grainy",
        "approved by good dogs|loved by proud cats|without grain",
        "kibble*: scoop soak serve, litter*: scoop rake change, tuna*: mash serve flake, "
        "treats: hide throw earn, biscuits: crumble throw fetch",
    ),
    "baby": (
        "cosy snug pure mild tiny",
        "tested by midwives|safe for tiny hands|without perfume",
        "porridge*: mash cool spoon, formula*: shake warm measure, puree*: spoon warm freeze, "
        "nappies: stack pack change, wipes: pack pull warm",
    ),
}
SEVERAL = "try mix combine"  # what to do with two products

# Per tone: what follows hook and offer, full stop, adjectives, adverbs, claims (singular/plural).
TONES: dict[str, tuple[str, str, str, str, str]] = {
    "plain": (
        ": product detail . use closing .",
        ".",
        "everyday quality standard",
        "today daily often simply well",
        "",
    ),
    "warm": (
        ": product detail . use closing .",
        ".",
        "homely honest lovely",
        "slowly together tenderly gratefully tonight",
        "",
    ),
    "urgent": (
        "! product claim ! use closing !",
        "!",
        "final last scarce",
        "now today fast immediately tonight",
        "is/are almost gone|is/are selling fast|goes/go tonight|ends/end soon",
    ),
    "playful": (
        "! product claim . use closing !",
        ".",
        "cheeky happy silly",
        "twice proudly barefoot loudly backwards",
        "misses/miss you|wants/want a date|has/have a secret|giggles/giggle softly",
    ),
}
# Per tone: what the headline opens with → how it may close; "%" is the product once more.
HOOKS: dict[str, dict[str, str]] = {
    "plain": {
        "today": "until nine|before we close",
        "this weekend": "until Sunday|ends Sunday evening",
        "this week": "until Saturday|Monday to Saturday",
        "this month": "until the thirtieth|all four weeks",
    },
    "warm": {
        "good morning neighbour ,": "lovely day , neighbour|see you , neighbour",
        "good morning friend ,": "lovely day , friend|see you , friend",
        "good morning family ,": "lovely day , family|see you , family",
        "good evening neighbour ,": "quiet night , neighbour|sleep well , neighbour",
        "good evening friend ,": "quiet night , friend|sleep well , friend",
        "good evening family ,": "quiet night , family|sleep well , family",
    },
    "urgent": {
        "hurry :": "do not miss %|do not walk",
        "last chance :": "last call for %|now or never",
        "tick tock :": "time is up for %|time is up",
        "stop :": "go and get %|go",
    },
    "playful": {
        "knock knock :": "who is there ? %|who is there ? dinner",
        "guess what :": "you guessed right : %|you guessed wrong",
        "psst :": "tell no one about %|tell no one",
        "one , two :": "three , four , %|three , four , more",
    },
}
# Per tone: the offer without and with a discount ("%").
OFFERS: dict[str, tuple[str, str]] = {
    "plain": ("same price|fair price|low price", "save %|% off|% less|minus %"),
    "warm": (
        "priced with care|fairly priced|always fair",
        "% off for you|% off from us|enjoy % off|% less to pay",
    ),
    "urgent": (
        "while stocks last|no rain checks|first come",
        "save % now|% off|grab % off|% off right now",
    ),
    "playful": (
        "worth every penny|no strings attached|priceless",
        "% off , pinky promise|a whopping % off|% off , no joke|hop , % off",
    ),
}
DETAIL_SHARE = 0.4  # of headlines, in tones with details, that give one
USE_SHARE = 0.75  # of headlines that say what to do with the product
PAIR_SHARE = 0.2  # of headlines that name two products
MANNER_SHARE = 0.5  # of headlines with an adjective of the tone before that of the category
HALF_PRICE_SHARE = 0.4  # of 50 % offers that say "half price"

_SHAPE = tuple(level_counts("category", "tone", "discount").values())
Options = list[tuple[float, str]]


def _zipf(phrases: Iterable[str], turn: int = 0) -> Options:
    """Weigh phrases 1, 1/2, 1/3, …, the list turned so that attributes change the favourite."""
    phrases = list(phrases)
    turned = [phrases[(i + turn) % len(phrases)] for i in range(len(phrases))]
    total = sum(1 / (i + 1) for i in range(len(phrases)))
    return [(1 / (i + 1) / total, phrase) for i, phrase in enumerate(turned)]


def _nouns(category: int) -> dict[str, str]:
    """Return the nouns of a category → what one does with each."""
    entries = PRODUCTS[ATTRIBUTES["category"][category]][2].split(", ")
    return dict(entry.split(": ") for entry in entries)


def _maybe(share: float, options: Options) -> Options:
    """Say one of the options in the given share of cases, otherwise nothing."""
    return [(share * weight, phrase) for weight, phrase in options if share] + [(1 - share, "")]


class Automaton:
    """Weighted, acyclic and deterministic; equal nodes are stored once, children before parents.

    A node is a tuple of edges (word, probability, child), sorted by word. Node 0 is the end.

    Examples
    --------
    "Big sale" and "big offer" share their first word, so that it is said for sure:

    >>> from pm_utils.market.headlines import Automaton
    >>> graph = Automaton()
    >>> end = graph.phrase("<eos>", Automaton.END)
    >>> start = graph.choose([(0.25, "big sale"), (0.75, "big offer")], end)
    >>> words = list(graph.words)
    >>> [(words[word], probability) for word, probability, _ in graph.nodes[start]]
    [('big', 1.0)]
    >>> after = graph.nodes[start][0][2]
    >>> [(words[word], probability) for word, probability, _ in graph.nodes[after]]
    [('sale', 0.25), ('offer', 0.75)]
    """

    END = 0

    def __init__(self) -> None:
        """Start with the end and the special words."""
        self.words: dict[str, int] = {word: i for i, word in enumerate(SPECIAL)}
        self.nodes: list[tuple[tuple[int, float, int], ...]] = [()]
        self._index = {(): self.END}

    def node(self, edges: dict[int, tuple[float, int]]) -> int:
        """Return the node with these edges: word → (probability, child)."""
        key = tuple((word, *edges[word]) for word in sorted(edges))
        if key not in self._index:
            self._index[key] = len(self.nodes)
            self.nodes.append(key)
        return self._index[key]

    def phrase(self, text: str, then: int) -> int:
        """Say the words of a text, then go on at a node."""
        for word in reversed(text.split()):
            then = self.node({self.words.setdefault(word, len(self.words)): (1.0, then)})
        return then

    def mix(self, parts: list[tuple[float, int]]) -> int:
        """Go on at one of several nodes; the choice is summed out where their words agree."""
        if len({child for _, child in parts}) == 1:
            return parts[0][1]
        total = sum(weight for weight, _ in parts)
        merged: dict[int, list[tuple[float, int]]] = {}
        for weight, start in parts:
            if start == self.END:
                raise ValueError("a headline would be the beginning of another: end both in <eos>")
            for word, probability, child in self.nodes[start]:
                part = weight * probability / total, child
                if word in merged:
                    merged[word].append(part)
                else:
                    merged[word] = [part]
        return self.node({w: self._merge(to) for w, to in merged.items()})

    def _merge(self, parts: list[tuple[float, int]]) -> tuple[float, int]:
        """Return the probability of all parts together and the node that mixes them."""
        return parts[0] if len(parts) == 1 else (sum(p for p, _ in parts), self.mix(parts))

    def choose(self, options: Options, then: int) -> int:
        """Say one of several weighted phrases, then go on at a node."""
        return self.mix([(weight, self.phrase(text, then)) for weight, text in options])


def _slots(category: int, tone: int, hook: str, noun: str | None) -> dict[str, Options]:
    """Return the options of each slot after the offer, given the hidden choices; None: a pair."""
    adjectives, details, _ = PRODUCTS[ATTRIBUTES["category"][category]]
    nouns = _nouns(category)
    manner = ATTRIBUTES["tone"][tone]
    _, stop, manners, adverbs, claims = TONES[manner]
    verb, pronoun = (1, "it") if noun and noun.endswith("*") else (2, "them")
    echo = noun.rstrip("*") if noun else "both"
    forms = [re.match(r"(\w+)/(\w+)(.*)", claim) for claim in claims.split("|") if claim]
    uses = [
        (a * b, f"{use} {pronoun} {adverb} {stop}")
        for a, use in _zipf((nouns[noun] if noun else SEVERAL).split(), turn=tone)
        for b, adverb in _zipf(adverbs.split(), turn=category)
    ]
    pairs = [f"{a} and {b}" for a, b in permutations([word.rstrip("*") for word in nouns], 2)]
    return {
        "manner": _zipf(manners.split(), turn=category),
        "adjective": _zipf(adjectives.split(), turn=tone),
        "noun": [(1.0, echo)] if noun else _zipf(pairs, turn=tone),
        "claim": _zipf([form[verb] + form[3] for form in forms], turn=category),
        "detail": _maybe(DETAIL_SHARE, _zipf([f", {d}" for d in details.split("|")], turn=tone)),
        "use": _maybe(USE_SHARE, uses),
        "closing": _zipf(HOOKS[manner][hook].replace("%", echo).split("|"), turn=category),
    }


def _offers(manner: str, discount: int) -> Options:
    rate = ATTRIBUTES["discount"][discount]
    bare, reduced = OFFERS[manner]
    said = reduced.replace("%", rate) if discount else bare
    offers = _zipf(said.split("|"), turn=discount)
    if rate != "50%":
        return offers
    spelt = [(weight * (1 - HALF_PRICE_SHARE), text) for weight, text in offers]
    return [*spelt, (HALF_PRICE_SHARE, "half price")]


def _body(graph: Automaton, category: int, tone: int, hook: str) -> int:
    """Compile all that may follow the offer, whatever the product → first node."""
    nouns = _zipf(_nouns(category), turn=tone)
    single = [((1 - PAIR_SHARE) * weight, noun) for weight, noun in nouns]
    parts = []
    for weight, noun in [*single, (PAIR_SHARE, None)]:
        slots = _slots(category, tone, hook, noun)
        then = graph.phrase(SPECIAL[EOS], Automaton.END)
        for name in reversed(TONES[ATTRIBUTES["tone"][tone]][0].split()):
            if name == "product":
                short = graph.choose(slots["adjective"], graph.choose(slots["noun"], then))
                long = graph.choose(slots["manner"], short)
                then = graph.mix([(1 - MANNER_SHARE, short), (MANNER_SHARE, long)])
            else:
                then = graph.choose(slots.get(name, [(1.0, name)]), then)
        parts.append((weight, then))
    return graph.mix(parts)


def _roots(graph: Automaton, category: int, tone: int) -> list[int]:
    """Compile hook, offer and body → first node of each discount."""
    manner = ATTRIBUTES["tone"][tone]
    hooks = _zipf(HOOKS[manner], turn=category)
    body = {hook: _body(graph, category, tone, hook) for _, hook in hooks}
    roots = []
    for discount in range(_SHAPE[2]):
        offers = _offers(manner, discount)
        after = [(w, graph.phrase(hook, graph.choose(offers, body[hook]))) for w, hook in hooks]
        roots.append(graph.mix(after))
    return roots


def _check_tables() -> None:
    """Check that there are words for every category and every tone."""
    check_levels("category", PRODUCTS, "pm_utils.market.headlines.PRODUCTS")
    for name, table in {"TONES": TONES, "HOOKS": HOOKS, "OFFERS": OFFERS}.items():
        check_levels("tone", table, f"pm_utils.market.headlines.{name}")


class CopyGrammar:
    """The compiled grammar: sample headlines, give their probability, know their entropy.

    Attributes
    ----------
    words : tuple of str
        The vocabulary; ``<pad>``, ``<bos>`` and ``<eos>`` come first.
    entropy : array of shape (12, 4, 5), nats
        H(headline | category, tone, discount), exact.
    n_tokens : array of shape (12, 4, 5)
        Expected number of predicted tokens (words, marks and ``<eos>``), exact.
    n_headlines : array of shape (12, 4, 5)
        Number of different headlines.
    reachable : array of shape (12, 4, 5, V), bool
        Which words some headline with these attributes contains.

    Examples
    --------
    >>> import numpy as np
    >>> from pm_utils.market import random_creatives
    >>> from pm_utils.market.headlines import copy_grammar
    >>> grammar, ads = copy_grammar(), random_creatives(2, np.random.default_rng(0))
    >>> tokens = grammar.sample(ads, np.random.default_rng(0))
    >>> grammar.decode(tokens)[0]
    'Tick tock: 10% off right now! Meaty biscuits end soon! Time is up!'
    >>> grammar.log_prob(tokens, ads).round(1)
    array([-11.5, -12.9])
    >>> grammar.log_prob(tokens[::-1], ads)  # each headline with the other's ad
    array([-inf, -inf])
    """

    def __init__(self) -> None:
        """Compile the tables of this module."""
        _check_tables()
        graph = Automaton()
        roots = np.array([_roots(graph, *pair) for pair in np.ndindex(_SHAPE[:2])])
        self.words = tuple(graph.words)
        self._roots = roots.reshape(_SHAPE)
        edges = [(node, *edge) for node, out in enumerate(graph.nodes) for edge in out]
        start, word, probability, child = (np.array(column) for column in zip(*edges, strict=True))
        self._child, self._word, self._log = child, word, np.log(probability)
        self._key = start * len(self.words) + word  # ascending: nodes in order, words sorted
        total = np.cumsum(probability)
        before = np.searchsorted(start, np.arange(len(graph.nodes)))
        self._cumulative = start + np.minimum(total - np.r_[0.0, total][before][start], 1.0)
        self._cumulative[np.r_[np.diff(start) > 0, True]] = np.unique(start) + 1.0
        self.entropy, self.n_tokens, self.n_headlines, longest = self._sums(graph)
        if longest.max() + 1 > MAX_LENGTH:
            raise ValueError(f"{longest.max():.0f} tokens and <bos> exceed MAX_LENGTH {MAX_LENGTH}")
        self.reachable = self._reachable(graph)

    def _sums(self, graph: Automaton) -> list[np.ndarray]:
        """Carry surprise, length, number and greatest length from the end to the roots."""
        entropy, length, count, longest = np.zeros((4, len(graph.nodes))).tolist()
        count[Automaton.END] = 1.0
        for i, edges in enumerate(graph.nodes[1:], start=1):
            for _, probability, child in edges:
                entropy[i] += probability * (entropy[child] - log(probability))
                length[i] += probability * (length[child] + 1)
                count[i] += count[child]
                longest[i] = max(longest[i], longest[child] + 1)
        return [np.array(value)[self._roots] for value in (entropy, length, count, longest)]

    def _reachable(self, graph: Automaton) -> np.ndarray:
        """Collect the words below every node as bits of an integer."""
        below = [0] * len(graph.nodes)
        for i, edges in enumerate(graph.nodes):
            for word, _, child in edges:
                below[i] |= 1 << word | below[child]
        bits = [
            [below[root] >> word & 1 for word in range(len(self.words))]
            for root in self._roots.ravel()
        ]
        return np.array(bits, dtype=bool).reshape(*_SHAPE, -1)

    def _first(self, creatives: Creatives) -> np.ndarray:
        return self._roots[creatives.category, creatives.tone, creatives.discount]

    def sample(self, creatives: Creatives, rng: np.random.Generator) -> np.ndarray:
        """Write one headline per ad.

        Parameters
        ----------
        creatives : Creatives of N ads
            Only category, tone and discount matter.
        rng : Generator
            Drawn from in the same way whatever the batch size.

        Returns
        -------
        array of shape (N, MAX_LENGTH), int64
            ``<bos>``, words, ``<eos>``, then ``<pad>``.
        """
        tokens = np.full((len(creatives), MAX_LENGTH), PAD)
        tokens[:, 0] = BOS
        uniform = rng.random((len(creatives), MAX_LENGTH - 1))
        node = self._first(creatives)
        for t in range(1, MAX_LENGTH):
            open_ = np.flatnonzero(node != Automaton.END)
            edge = np.searchsorted(self._cumulative, node[open_] + uniform[open_, t - 1], "right")
            tokens[open_, t] = self._word[edge]
            node[open_] = self._child[edge]
        return tokens

    def _tokens(self, tokens: np.ndarray) -> np.ndarray:
        """Return tokens (N, T) as integers, or refuse them; what is no word becomes -1."""
        tokens = whole_numbers(tokens, "tokens", low=None)
        tokens = np.where((tokens >= 0) & (tokens < len(self.words)), tokens, -1)
        if tokens.ndim != 2 or not tokens.shape[1]:
            raise ValueError(f"tokens has shape {tokens.shape}: give (N, T), a row per headline")
        return tokens

    def token_log_prob(self, tokens: np.ndarray, creatives: Creatives) -> np.ndarray:
        """Return the exact log probability of each token given those before it.

        Parameters
        ----------
        tokens : array of shape (N, T), int
            As `sample` returns them.
        creatives : Creatives of N ads

        Returns
        -------
        array of shape (N, T - 1), nats
            For tokens 1 to T - 1; 0 at pads, -inf where the grammar cannot go on, as with what is
            no word of its, and -inf in the last place of a headline that does not end.

        Raises
        ------
        ValueError
            When a token is not whole, or there is not one headline per ad.
        """
        tokens = self._tokens(tokens)
        if len(tokens) != len(creatives):
            raise ValueError(f"{len(tokens)} headlines and {len(creatives)} ads: give one for each")
        node = np.where(tokens[:, 0] == BOS, self._first(creatives), -1)
        out = np.zeros((len(tokens), tokens.shape[1] - 1))
        for t in range(1, tokens.shape[1]):
            key = node * len(self.words) + tokens[:, t]
            edge = np.minimum(np.searchsorted(self._key, key), len(self._key) - 1)
            known = (self._key[edge] == key) & (node > Automaton.END) & (tokens[:, t] >= 0)
            rest = (node == Automaton.END) & (tokens[:, t] == PAD)
            out[:, t - 1] = np.where(known, self._log[edge], np.where(rest, 0.0, -np.inf))
            node = np.where(known, self._child[edge], np.where(rest, Automaton.END, -1))
        out[node != Automaton.END, -1] = -np.inf
        return out

    def log_prob(self, tokens: np.ndarray, creatives: Creatives) -> np.ndarray:
        """Return the exact log P(headline | attributes) → (N,), nats; -inf if impossible."""
        return self.token_log_prob(tokens, creatives).sum(axis=1)

    def entropy_per_token(self, weights: np.ndarray | None = None) -> float:
        """Return the entropy rate in nats per predicted token over a mix of attributes.

        Parameters
        ----------
        weights : array of shape (12, 4, 5), optional
            Share of each combination of category, tone and discount; uniform by default.

        Raises
        ------
        ValueError
            When the shape is another, a share is negative or not finite, or all are 0.
        """
        weights = np.ones(_SHAPE) if weights is None else numbers(weights, "weights", low=0)
        if weights.shape != _SHAPE or not weights.any():
            raise ValueError(f"weights has shape {weights.shape}: give {_SHAPE}, not all of them 0")
        return float((weights * self.entropy).sum() / (weights * self.n_tokens).sum())

    def encode(self, texts: list[str]) -> np.ndarray:
        """Turn headlines, in any case, into tokens → (N, MAX_LENGTH).

        Raises
        ------
        ValueError
            For a word outside the vocabulary and for a headline that is too long.
        """
        lower = {word.lower(): i for i, word in enumerate(self.words)}
        tokens = np.full((len(texts), MAX_LENGTH), PAD)
        for row, text in zip(tokens, texts, strict=True):
            words = re.findall(r"[\w%-]+|[^\w\s]", text.lower())
            unknown = [word for word in words if word not in lower]
            if unknown or len(words) > MAX_LENGTH - 2:
                reason = f"unknown words {unknown}" if unknown else f"{len(words)} words"
                raise ValueError(f"{text!r}: {reason}; give at most {MAX_LENGTH - 2} known words")
            row[: len(words) + 2] = BOS, *(lower[word] for word in words), EOS
        return tokens

    def decode(self, tokens: np.ndarray) -> list[str]:
        """Turn tokens (N, T) into headlines as one would print them, up to ``<eos>``.

        Raises
        ------
        ValueError
            When a token is not whole or none of the words.
        """
        tokens = whole_numbers(tokens, "tokens", high=len(self.words) - 1)
        return [self._print(row) for row in tokens]

    def _print(self, row: np.ndarray) -> str:
        end = np.flatnonzero(row == EOS)
        words = [self.words[i] for i in row[: end[0] if len(end) else None] if i not in (PAD, BOS)]
        text = re.sub(r" ([.,:!?])", r"\1", " ".join(words))
        return re.sub(r"(^|[.!?] )(\w)", lambda m: m[1] + m[2].upper(), text)


@cache
def copy_grammar() -> CopyGrammar:
    """Return the compiled grammar; the first call takes about a second.

    Explained in chapter ``ad-text``.
    """
    return CopyGrammar()
