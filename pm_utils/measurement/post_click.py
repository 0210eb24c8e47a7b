"""Conversion after the click, learned where only clicks are seen."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import islice

import numpy as np
import pandas as pd
import torch
from numpy.typing import ArrayLike
from sklearn.base import ClassifierMixin
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
from sklearn.linear_model import LogisticRegression
from torch import Tensor

from pm_utils.evaluation.bootstrap import bootstrap_weights, percentile_interval
from pm_utils.evaluation.calibration import calibration_error
from pm_utils.evaluation.ranking import roc_auc
from pm_utils.formulas import sigmoid
from pm_utils.inputs import (
    aligned,
    aligned_weights,
    booleans,
    columns,
    like,
    numbered,
    numbers,
    plain,
    probabilities,
    whole_numbers,
)
from pm_utils.learning.training import History, fit, predict
from pm_utils.market import ImpressionLog, Market
from pm_utils.market.creatives import level_counts
from pm_utils.measurement.post_click_networks import CONVERSION, EntireSpaceNet

ATTRIBUTE_LEVELS = tuple(level_counts().values())
POST_CLICK_METRICS = ("log loss", "AUC off the clicks", "calibration error", "bias")
_ROUNDING = 1e-6  # of expected counts in 32 bits
ORDER_LEAVES = (3, 6)  # of the trees that are tried for orders, which are few
CLICK_LEAVES = (31,)  # for clicks; smaller trees do as well and take more of them
LOGISTIC_STRENGTHS = (0.01, 0.1, 1.0)  # of logistic regression, the inverse of the penalty
LEAST_PROPENSITY = 0.003  # least P(click) that a weight divides by


@dataclass(frozen=True, eq=False, repr=False)
class PairCounts:
    """What a marketer sees of C pairs of customer and ad; arrays of C rows.

    Attributes
    ----------
    customer, creative : arrays of shape (C,), int64
    codes : array of shape (C, 7), int64
        The ad's attributes.
    numbers : array of shape (C, 17), float32
        The customer's `observed_features`, and how far the customer's share of the ad's category
        exceeds the average one.
    counts : array of shape (C, 3), float32
        Impressions, clicks, and clicks with an order.

    Raises
    ------
    ValueError
        When the arrays have not one row per pair, a number is not finite, or counts are negative or
        rise from impressions to clicks to orders.

    Examples
    --------
    >>> import numpy as np
    >>> from pm_utils.measurement.post_click import PairCounts
    >>> pairs = PairCounts(
    ...     customer=np.array([0, 1]),
    ...     creative=np.array([0, 0]),
    ...     codes=np.zeros((2, 7), int),
    ...     numbers=np.zeros((2, 17), np.float32),
    ...     counts=np.array([[10, 2, 1], [5, 0, 0]], np.float32),
    ... )
    >>> pairs.table().shape, pairs.coarse_table().shape  # attributes as indicators, and as codes
    ((2, 55), (2, 24))
    >>> pairs.rows_of(customer=np.array([1]), creative=np.array([0]))
    array([1])
    """

    customer: np.ndarray
    creative: np.ndarray
    codes: np.ndarray
    numbers: np.ndarray
    counts: np.ndarray

    def __post_init__(self) -> None:
        """Check that every pair has a row everywhere, and counts that can be."""
        names = list(self.__dataclass_fields__)
        for name, each in zip(names, aligned(**{n: getattr(self, n) for n in names}), strict=True):
            object.__setattr__(self, name, plain(each))
        numbers(self.numbers, "numbers", ndim=2)
        counts = numbers(self.counts, "counts", ndim=2, low=0)
        if counts.shape[1] != 3 or (np.diff(counts, axis=1) > _ROUNDING * counts[:, :1]).any():
            raise ValueError(
                f"counts is {counts.shape}: give impressions, clicks and clicks with an order, "
                "none larger than the one before"
            )

    def inputs(self) -> tuple[Tensor]:
        """Return the `table` as a tensor: what a network reads."""
        return (torch.from_numpy(self.table()),)

    def targets(self) -> Tensor:
        """Return the counts as a tensor (C, 1, 3), the same for all members of a network."""
        return torch.tensor(self.counts)[:, None]

    def table(self) -> np.ndarray:
        """Return codes as indicators, and numbers → (C, 55)."""
        one_hot = [
            np.eye(n, dtype=np.float32)[whole_numbers(code, "codes", high=n - 1)]
            for n, code in zip(ATTRIBUTE_LEVELS, self.codes.T, strict=True)
        ]
        return np.hstack([*one_hot, self.numbers], dtype=np.float32)

    def coarse_table(self) -> np.ndarray:
        """Return codes, and numbers rounded to twentieths → (C, 24), for boosted trees.

        The codes are categories, in no order. With fewer values than bins, trees need not search
        for weighted percentiles of the numbers.
        """
        return np.column_stack([self.codes, np.round(20 * self.numbers) / 20])

    def rows_of(self, customer: np.ndarray, creative: np.ndarray) -> np.ndarray:
        """Return the row of each pair of customer and ad, or raise KeyError for one not here."""
        customer, creative = aligned(customer=customer, creative=creative)
        pairs = [
            (whole_numbers(who, "customer"), whole_numbers(ad, "creative"))
            for who, ad in ((self.customer, self.creative), (customer, creative))
        ]
        ads = max(ad.max() for _, ad in pairs) + 1
        held, asked = (who * ads + ad for who, ad in pairs)
        order = np.argsort(held, kind="stable")
        rows = order[np.minimum(np.searchsorted(held, asked, sorter=order), len(held) - 1)]
        if (wrong := held[rows] != asked).any():
            pair = tuple(
                int(each[wrong][0]) for each in (np.asarray(customer), np.asarray(creative))
            )
            raise KeyError(f"{wrong.sum():,} pairs of customer and ad are unknown, first {pair}")
        return rows

    def take(self, rows: np.ndarray) -> "PairCounts":
        """Return some of the pairs, by a mask or by position; they have no other labels."""
        if plain(rows).dtype == bool:
            rows = numbered(rows, "rows")
        rows = plain(rows)
        return PairCounts(*(getattr(self, name)[rows] for name in self.__dataclass_fields__))

    def hiding(self, columns: Sequence[int]) -> "PairCounts":
        """Return the pairs with some of the numbers, by column, set to their mean."""
        numbers = self.numbers.copy()
        numbers[:, columns] = 0
        return replace(self, numbers=numbers)

    def expected(self, click: np.ndarray, conversion: np.ndarray) -> "PairCounts":
        """Return the pairs with their expected counts, free of sampling noise.

        Parameters
        ----------
        click, conversion : arrays of shape (C,)
            True P(click) and P(order | click): only a simulation knows them.

        Raises
        ------
        ValueError
            When a probability is none, or there is not one of each for every pair.
        """
        click, conversion = aligned(
            click=numbered(click, "click"), conversion=numbered(conversion, "conversion")
        )
        click, conversion = (
            probabilities(each, name)
            for name, each in (("click", click), ("conversion", conversion))
        )
        shown = self.counts[:, 0]
        counts = np.column_stack([shown, shown * click, shown * click * conversion])
        return replace(self, counts=counts.astype(np.float32))

    def shuffled(self, seed: int) -> "PairCounts":
        """Return the pairs with the counts of others: nothing to learn but the mean rates."""
        order = np.random.default_rng(seed).permutation(len(self.counts))
        return replace(self, counts=self.counts[order])


def observed_features(customers: pd.DataFrame) -> np.ndarray:
    """Describe customers by activity, order value, use of discounts and tastes.

    Parameters
    ----------
    customers : DataFrame
        `Market.customers`.

    Returns
    -------
    array of shape (N, 16), float32
        In deviations from the mean, at most 3; 0 where all customers are alike.

    Raises
    ------
    KeyError
        When a column is missing.
    ValueError
        When a number is not finite or negative, or an order value is 0.

    Examples
    --------
    >>> import pandas as pd
    >>> from pm_utils.measurement.post_click import observed_features
    >>> customers = pd.DataFrame(
    ...     {
    ...         "orders_per_week": [0.5, 2.0],
    ...         "average_order_value": [40.0, 20.0],
    ...         "discount_share": [0.1, 0.2],
    ...         "coupon_order_share": [0.0, 0.1],
    ...         "share_drinks": [0.5, 0.3],
    ...     }
    ... )
    >>> observed_features(customers).round(2)  # a column for each
    array([[-1.,  1., -1., -1.,  1.],
           [ 1., -1.,  1.,  1., -1.]], dtype=float32)
    """
    names = ["orders_per_week", "average_order_value", "discount_share", "coupon_order_share"]
    numbers(columns(customers, names, "customers"), "customers", low=0)
    numbers(customers["average_order_value"], "average_order_value", above=0)
    shares = numbers(customers.filter(like="share_"), "shares", low=0)
    about = [
        np.log(customers["orders_per_week"] + 0.05),
        np.log(customers["average_order_value"]),
        np.sqrt(customers["discount_share"]),
        np.sqrt(customers["coupon_order_share"]),
        np.log((shares + 0.01) / (shares.mean(0) + 0.01)),
    ]
    table = np.column_stack(about)
    spread = np.where(np.ptp(table, axis=0) > 0, table.std(0), 1.0)
    return ((table - table.mean(0)) / spread).clip(-3, 3).astype(np.float32)


def aggregate_log(market: Market, log: ImpressionLog) -> PairCounts:
    """Add up a log by customer and ad.

    Explained in chapter ``funnel``.

    Parameters
    ----------
    market : Market
    log : ImpressionLog

    Returns
    -------
    PairCounts
        Those pairs that the log holds.

    Raises
    ------
    ValueError
        When a customer or an ad is not of the market, or a step is neither 0 nor 1.

    Examples
    --------
    >>> from pm_utils.market import Market, Uniform
    >>> from pm_utils.measurement.post_click import aggregate_log
    >>> market = Market(20, seed=0)
    >>> log = market.impressions(Uniform(200), 1_000)
    >>> pairs = aggregate_log(market, log)
    >>> len(pairs.counts) < 1_000  # some pairs have met more than once
    True
    >>> bool(pairs.counts[:, 0].sum() == 1_000), bool(pairs.counts[:, 1].sum() == log.click.sum())
    (True, True)
    """
    ads = len(market.creatives)
    customer = whole_numbers(log.customer, "customer", high=market.n_customers - 1)
    pair = customer * np.int64(ads) + whole_numbers(log.creative, "creative", high=ads - 1)
    size = market.n_customers * ads
    steps = pair, *(pair[booleans(getattr(log, s), s)] for s in ("click", "conversion"))
    counts = np.column_stack([np.bincount(step, minlength=size) for step in steps])
    return pairs_of_counts(market, counts.reshape(market.n_customers, ads, 3))


def pairs_of_counts(market: Market, counts: np.ndarray) -> PairCounts:
    """Return the pairs of customer and ad that were shown, with what is known of them.

    Parameters
    ----------
    market : Market
    counts : array of shape (N, M, 3)
        Impressions, clicks, and clicks with an order, of each customer and ad of the market.

    Raises
    ------
    ValueError
        When the shape is another, or the counts cannot be, as in `PairCounts`.
    """
    counts, shape = np.asarray(counts), (market.n_customers, len(market.creatives), 3)
    if counts.shape != shape:
        raise ValueError(f"counts has shape {counts.shape}: give {shape}")
    about = observed_features(market.customers)
    customer, creative = np.nonzero(counts[..., 0])
    tastes = about[:, -level_counts("category")["category"] :]  # the last of the features
    fit_to = tastes[customer, market.creatives.category[creative]]
    return PairCounts(
        customer=customer,
        creative=creative,
        codes=market.creatives.codes()[creative],
        numbers=np.column_stack([about[customer], fit_to]),
        counts=counts[customer, creative].astype(np.float32),
    )


def train_post_click_towers(
    loss: Callable[[Tensor, Tensor], Tensor],
    pairs: PairCounts,
    *,
    epochs: int,
    seed: int,
    towers: int = 2,
    hidden: int = 32,
    members: int = 1,
    later: PairCounts | None = None,
) -> tuple[EntireSpaceNet, History]:
    """Train the towers by one of the losses of `pm_utils.measurement.post_click_networks`.

    Parameters
    ----------
    loss : callable
    pairs : PairCounts
    epochs, seed : int
    towers, hidden : int
        One tower for clicks alone, three for the doubly robust loss.
    members : int
        Networks that start from other weights and learn from the same batches, side by side; their
        probabilities are averaged.
    later : PairCounts, optional
        Of a later log. With it the history has their loss after each epoch, and the weights of the
        best epoch are kept.

    Returns
    -------
    EntireSpaceNet
    History
        Its losses are the members' means.

    Raises
    ------
    ValueError
        When nothing was shown, clicked or ordered: there is nothing to learn.

    Examples
    --------
    >>> import numpy as np
    >>> from pm_utils.measurement.post_click import PairCounts, train_post_click_towers
    >>> from pm_utils.measurement.post_click_networks import entire_space_loss
    >>> pairs = PairCounts(
    ...     customer=np.arange(8),
    ...     creative=np.zeros(8, int),
    ...     codes=np.zeros((8, 7), int),
    ...     numbers=np.zeros((8, 17), np.float32),
    ...     counts=np.tile(np.array([10, 4, 1], np.float32), (8, 1)),
    ... )
    >>> net, history = train_post_click_towers(entire_space_loss, pairs, epochs=3, seed=0)
    >>> net(*pairs.inputs()).shape  # of one member: logits of P(click) and P(order | click)
    torch.Size([8, 1, 2])
    >>> history.steps, history.validation
    (3, [])
    """
    shown, clicks, orders = _sums(pairs)
    rates = [clicks / shown, *[orders / clicks] * (towers - 1)]
    whole_numbers(members, "members", low=1)
    torch.manual_seed(seed)
    shape = {"hidden": hidden, "rates": rates, "members": members}
    net = EntireSpaceNet(ATTRIBUTE_LEVELS, pairs.numbers.shape[1], **shape)
    history = fit(
        net,
        pairs.inputs(),
        pairs.targets(),
        loss=loss,
        epochs=epochs,
        batch_size=2048,
        learning_rate=0.01,
        weight_decay=0.3,
        seed=seed,
        validation=None if later is None else (later.inputs(), later.targets()),
    )
    return net, history


def _sums(pairs: PairCounts) -> np.ndarray:
    """Impressions, clicks and orders of all pairs, none of which may be missing."""
    sums = pairs.counts.sum(0)
    for name, count in zip(("impressions", "clicks", "orders"), sums, strict=True):
        if not count > 0:
            raise ValueError(f"the pairs hold no {name}: there is nothing to learn")
    return sums


def post_click_probability(
    net: EntireSpaceNet, pairs: PairCounts, *, tower: int = CONVERSION
) -> np.ndarray:
    """Return the members' mean P(order | click) of every pair → (C,).

    Explained in chapter ``funnel``.

    Parameters
    ----------
    net : EntireSpaceNet
        From `train_post_click_towers`.
    pairs : PairCounts
    tower : int
        Whose probability: that of an order after a click, or ``CLICK``.

    Examples
    --------
    >>> import numpy as np
    >>> import torch
    >>> from pm_utils.measurement.post_click import PairCounts, post_click_probability
    >>> from pm_utils.measurement.post_click_networks import EntireSpaceNet
    >>> pairs = PairCounts(
    ...     customer=np.arange(2),
    ...     creative=np.zeros(2, int),
    ...     codes=np.zeros((2, 7), int),
    ...     numbers=np.zeros((2, 17), np.float32),
    ...     counts=np.ones((2, 3), np.float32),
    ... )
    >>> net = EntireSpaceNet([12, 4, 5, 6, 4, 5, 2], 17, rates=(0.05, 0.2))
    >>> probability = post_click_probability(net, pairs)
    >>> probability.shape, bool(((probability > 0) & (probability < 1)).all())
    ((2,), True)
    """
    return sigmoid(predict(net, pairs.inputs())[..., tower].double().numpy()).mean(1)


def common_pairs(first: PairCounts, second: PairCounts) -> tuple[PairCounts, PairCounts]:
    """Return the pairs of customer and ad that two logs both hold, in the same order.

    Explained in chapter ``funnel``.

    Examples
    --------
    >>> import numpy as np
    >>> from pm_utils.measurement.post_click import PairCounts, common_pairs
    >>> def shown(customers):
    ...     rows = len(customers)
    ...     codes, numbers = np.zeros((rows, 7), int), np.zeros((rows, 17), np.float32)
    ...     counts = np.ones((rows, 3), np.float32)
    ...     return PairCounts(np.array(customers), np.zeros(rows, int), codes, numbers, counts)
    >>> [each.customer.tolist() for each in common_pairs(shown([2, 0, 1]), shown([0, 2, 3]))]
    [[0, 2], [0, 2]]
    """
    ads = 1 + max(int(each.creative.max(initial=0)) for each in (first, second))
    keys = [each.customer * np.int64(ads) + each.creative for each in (first, second)]
    _, rows, others = np.intersect1d(*keys, assume_unique=True, return_indices=True)
    return first.take(rows), second.take(others)


def rate_by_ad(pairs: PairCounts) -> np.ndarray:
    """Return orders over clicks of the pair's ad, as a dashboard shows it → (C,).

    Explained in chapter ``funnel``.

    Raises
    ------
    ValueError
        When nothing was clicked.

    Examples
    --------
    An ad without clicks gets the rate of all ads, here one order of four clicks:

    >>> import numpy as np
    >>> from pm_utils.measurement.post_click import PairCounts, rate_by_ad
    >>> pairs = PairCounts(
    ...     customer=np.array([0, 0]),
    ...     creative=np.array([0, 1]),
    ...     codes=np.zeros((2, 7), int),
    ...     numbers=np.zeros((2, 17), np.float32),
    ...     counts=np.array([[9, 4, 1], [9, 0, 0]], np.float32),
    ... )
    >>> rate_by_ad(pairs)
    array([0.25, 0.25])
    """
    clicks, orders = (np.bincount(pairs.creative, pairs.counts[:, k]) for k in (1, 2))
    if not clicks.sum() > 0:
        raise ValueError("the pairs hold no clicks: there is no rate of orders")
    overall = orders.sum() / clicks.sum()
    rate = np.divide(orders, clicks, out=np.full(len(clicks), overall), where=clicks > 0)
    return rate[pairs.creative]


def fit_counts(
    model: ClassifierMixin, table: np.ndarray, hits: np.ndarray, tries: np.ndarray
) -> np.ndarray:
    """Fit a classifier to hits among tries and return its probability for every row.

    Parameters
    ----------
    model : scikit-learn classifier that takes ``sample_weight``
    table : array of shape (C, F)
    hits, tries : arrays of shape (C,)
        Need not be whole: weights may be in them.

    Returns
    -------
    array of shape (C,), or Series where an input has an index

    Raises
    ------
    ValueError
        When rows cannot be matched, a number is not finite, hits are not between 0 and tries, or
        all tries were hits, or none.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.linear_model import LogisticRegression
    >>> from pm_utils.measurement.post_click import fit_counts
    >>> hits, tries = np.array([1, 3]), np.array([4, 4])
    >>> fit_counts(LogisticRegression(C=1e6), np.array([[0.0], [1.0]]), hits, tries).round(2)
    array([0.25, 0.75])
    """
    given = table, hits, tries
    table, hits, tries = aligned(table=table, hits=hits, tries=tries)
    table = numbers(table, "table", ndim=2).astype(float, copy=False)
    hits, tries = (numbers(x, name, low=0) for name, x in (("hits", hits), ("tries", tries)))
    if not 0 < hits.sum() < tries.sum() or (hits > tries).any():
        raise ValueError(
            f"{hits.sum():g} hits of {tries.sum():g} tries, {(hits > tries).sum():,} rows with "
            "more hits than tries: give some hits and some misses, and no such row"
        )
    rows = _by_outcome(table, hits, tries)
    model.fit(*rows[:2], sample_weight=rows[2])
    return like(model.predict_proba(table)[:, 1], *given)


def _by_outcome(table: np.ndarray, hits: np.ndarray, tries: np.ndarray) -> tuple[np.ndarray, ...]:
    """Rows, labels and weights: a row for the hits among the tries, and one for the misses."""
    weight = np.concatenate([hits, tries - hits])
    row, label = np.tile(np.arange(len(table)), 2), np.repeat([1, 0], len(table))
    return tuple(each[weight > 0] for each in (table[row], label, weight))


def _boost(
    model: type,
    table: np.ndarray,
    rows: tuple[np.ndarray, ...],
    watched: tuple[np.ndarray, ...],
    *,
    leaves: Sequence[int],
    trees: int,
    seed: int,
    **settings,
) -> np.ndarray:
    """Boost trees of each size, as many as do best on the watched rows → (C,).

    `rows` and `watched` are features, target and weight. Attributes are categories.
    """
    shape = {"max_iter": trees, "learning_rate": 0.1, "min_samples_leaf": 30}
    stop = {"early_stopping": True, "scoring": "loss", "n_iter_no_change": 20, "tol": 0.0}
    codes = range(len(ATTRIBUTE_LEVELS))
    more = {"categorical_features": codes, "random_state": seed} | settings
    found = []
    for size in leaves:
        trained = model(max_leaf_nodes=size, **shape, **stop, **more)
        seen = dict(zip(("X_val", "y_val", "sample_weight_val"), watched, strict=True))
        trained.fit(*rows[:2], sample_weight=rows[2], **seen)
        found.append((trained.validation_score_.max(), trained))
    _, best = max(found, key=lambda each: each[0])
    count = max(int(best.validation_score_.argmax()), 1)  # the first score is that of no tree
    stages = getattr(best, "staged_predict_proba", best.staged_predict)(table)
    last = next(islice(stages, count - 1, None))
    return last[:, 1] if last.ndim == 2 else last


def boosted_clicks(pairs: PairCounts, later: PairCounts, *, trees: int, seed: int) -> np.ndarray:
    """Boost the clicks of all impressions → (C,), P(click) of each pair.

    Clicks are rare, so that their counts are taken for Poisson. There are as many trees as do best
    on a later log.

    Parameters
    ----------
    pairs, later : PairCounts
        To learn from, and to choose on.
    trees, seed : int
        How many trees at most.

    Raises
    ------
    ValueError
        When nothing was shown, clicked or ordered.
    """
    _sums(pairs)
    return _boosted_rate(pairs, later, 1, leaves=CLICK_LEAVES, trees=trees, seed=seed)


def _boosted_rate(
    pairs: PairCounts, later: PairCounts, step: int, *, trees: int, seed: int, leaves: Sequence[int]
) -> np.ndarray:
    """Boost clicks (step 1) or orders (2) per impression, taken for Poisson → (C,), below 1."""
    rows, watched = (
        (each.coarse_table(), each.counts[:, step] / each.counts[:, 0], each.counts[:, 0])
        for each in (pairs, later)
    )
    settings = {"leaves": leaves, "trees": trees, "seed": seed, "loss": "poisson"}
    found = _boost(HistGradientBoostingRegressor, rows[0], rows, watched, **settings)
    return np.minimum(found, 1 - _ROUNDING)


def boosted_orders(
    pairs: PairCounts,
    later: PairCounts,
    click: np.ndarray,
    *,
    weighted: bool,
    trees: int,
    seed: int,
) -> np.ndarray:
    r"""Boost the orders among clicks → (C,), P(order | click) of each pair.

    Size and number of the trees are those with the least `weighted_order_loss` on a later log.

    Parameters
    ----------
    pairs, later : PairCounts
        To learn from, and to choose on: the same pairs.
    click : array of shape (C,)
        Estimated P(click) of each pair.
    weighted : bool
        Let a click that had the probability :math:`\hat o` count :math:`1 / \hat o`.
    trees, seed : int
        How many trees at most.

    Raises
    ------
    ValueError
        When nothing was shown, clicked or ordered, or a probability is none.
    """
    _sums(pairs)
    inverse = _inverse(click)
    scaled = inverse / np.average(inverse, weights=pairs.counts[:, 1]) if weighted else 1.0
    rows, watched = (
        _by_outcome(each.coarse_table(), each.counts[:, 2] * weight, each.counts[:, 1] * weight)
        for each, weight in ((pairs, scaled), (later, inverse))
    )
    table, settings = pairs.coarse_table(), {"leaves": ORDER_LEAVES, "trees": trees, "seed": seed}
    return _boost(HistGradientBoostingClassifier, table, rows, watched, **settings)


def _inverse(click: np.ndarray) -> np.ndarray:
    """One over estimated probabilities of a click, checked and kept off 0."""
    chance = probabilities(numbered(click, "click"), "click")
    return 1 / np.maximum(chance, LEAST_PROPENSITY)


def _logistic(
    pairs: PairCounts,
    hits: np.ndarray,
    tries: np.ndarray,
    loss: Callable[[np.ndarray], float],
) -> np.ndarray:
    """Logistic regression by the penalty with the least loss of its probabilities → (C,)."""
    models = [LogisticRegression(C=c, solver="newton-cholesky") for c in LOGISTIC_STRENGTHS]
    found = [fit_counts(model, pairs.table(), hits, tries) for model in models]
    return min(found, key=loss)


def click_baselines(
    pairs: PairCounts, later: PairCounts, *, trees: int, seed: int
) -> dict[str, np.ndarray]:
    """Fit logistic regression and boosting to the clicks of all impressions.

    The penalty of the first, and what `boosted_clicks` says, are chosen on a later log.

    Explained in chapter ``funnel``.

    Parameters
    ----------
    pairs, later : PairCounts
        To learn from, and to choose on: the same pairs.
    trees, seed : int
        How many trees at most.

    Returns
    -------
    dict of arrays of shape (C,)
        P(click) by each.

    Raises
    ------
    ValueError
        When nothing was shown, clicked or ordered.

    Examples
    --------
    >>> import numpy as np
    >>> from pm_utils.measurement.post_click import PairCounts, click_baselines
    >>> pairs = PairCounts(
    ...     customer=np.arange(8),
    ...     creative=np.zeros(8, int),
    ...     codes=np.zeros((8, 7), int),
    ...     numbers=np.zeros((8, 17), np.float32),
    ...     counts=np.tile(np.array([10, 4, 1], np.float32), (8, 1)),
    ... )
    >>> for name, probability in click_baselines(pairs, pairs, trees=2, seed=0).items():
    ...     print(name, probability[:2].round(2))  # nothing tells the pairs apart: 4 of 10
    logistic [0.4 0.4]
    boosting [0.4 0.4]
    """
    boosted = boosted_clicks(pairs, later, trees=trees, seed=seed)
    shown, clicks, _ = pairs.counts.T.astype(float)
    share = later.counts[:, 1] / later.counts[:, 0]

    def loss(probability: np.ndarray) -> float:
        return _log_loss(probability, share, later.counts[:, 0])

    return {"logistic": _logistic(pairs, clicks, shown, loss), "boosting": boosted}


def post_click_baselines(
    pairs: PairCounts, later: PairCounts, click: np.ndarray, *, trees: int, seed: int
) -> dict[str, np.ndarray]:
    r"""Fit models of orders after clicks without deep learning.

    Logistic regression and boosting learn from the clicks, plain and weighted: a click that had the
    probability :math:`\hat o` counts :math:`1 / \hat o`, so that the clicked stand for everybody
    who was shown an ad. The *quotient* divides boosted orders per impression by :math:`\hat o`. The
    *doubly robust* one boosts the targets of `doubly_robust_loss`, with weighted boosting for the
    imputed chance. Penalties, and size and number of trees, are chosen on a later log.

    Explained in chapter ``funnel``.

    Parameters
    ----------
    pairs, later : PairCounts
        To learn from, and to choose on: the same pairs.
    click : array of shape (C,)
        Estimated P(click) of each pair, as from `boosted_clicks`.
    trees, seed : int
        How many trees at most.

    Returns
    -------
    dict of arrays of shape (C,)
        P(order | click) by each.

    Raises
    ------
    ValueError
        When nothing was shown, clicked or ordered, or a probability is none.

    Examples
    --------
    >>> import numpy as np
    >>> from pm_utils.measurement.post_click import PairCounts, post_click_baselines
    >>> pairs = PairCounts(
    ...     customer=np.arange(8),
    ...     creative=np.zeros(8, int),
    ...     codes=np.zeros((8, 7), int),
    ...     numbers=np.zeros((8, 17), np.float32),
    ...     counts=np.tile(np.array([10, 4, 1], np.float32), (8, 1)),
    ... )
    >>> found = post_click_baselines(pairs, pairs, np.full(8, 0.4), trees=2, seed=0)
    >>> for name, probability in found.items():
    ...     print(name, probability[:2].round(2))  # nothing tells the pairs apart: 1 of 4
    logistic [0.25 0.25]
    boosting [0.25 0.25]
    logistic, weighted [0.25 0.25]
    boosting, weighted [0.25 0.25]
    boosting, quotient [0.25 0.25]
    boosting, doubly robust [0.25 0.25]
    """
    _sums(pairs)
    _, clicks, orders = pairs.counts.T.astype(float)
    inverse, settings = _inverse(click), {"trees": trees, "seed": seed}

    def loss(probability: np.ndarray) -> float:
        return weighted_order_loss(probability, later, click)

    found, scaled = {}, inverse / np.average(inverse, weights=clicks)
    for name, weight in (("", 1.0), (", weighted", scaled)):
        found[f"logistic{name}"] = _logistic(pairs, orders * weight, clicks * weight, loss)
        found[f"boosting{name}"] = boosted_orders(
            pairs, later, click, weighted=name != "", **settings
        )
    settings["leaves"] = ORDER_LEAVES
    both = _boosted_rate(pairs, later, 2, **settings)
    found["boosting, quotient"] = np.minimum(both * inverse, 1 - _ROUNDING)
    imputed, table = found["boosting, weighted"], pairs.coarse_table()
    rows, watched = (
        (table, imputed + (bought - clicked * imputed) * inverse / seen, seen)
        for seen, clicked, bought in (each.counts.T.astype(float) for each in (pairs, later))
    )
    robust = _boost(HistGradientBoostingRegressor, table, rows, watched, **settings)
    found["boosting, doubly robust"] = robust.clip(_ROUNDING, 1 - _ROUNDING)
    return found


def weighted_order_loss(probability: np.ndarray, later: PairCounts, click: np.ndarray) -> float:
    """Return the log loss of orders among a later log's clicks, each for those like it.

    A click counts as the inverse of its estimated probability, so that the clicked stand for
    everybody who was shown an ad. A shop can compute it; what no feature shows it cannot weigh.

    Explained in chapter ``funnel``.

    Parameters
    ----------
    probability : array of shape (C,)
        P(order | click) of each pair of `later`, by a model that did not learn from it.
    later : PairCounts
    click : array of shape (C,)
        Estimated P(click).

    Returns
    -------
    float
        Nats per click; lower is better.

    Raises
    ------
    ValueError
        When there is no click, rows cannot be matched or a probability is none.

    Examples
    --------
    >>> import numpy as np
    >>> from pm_utils.measurement.post_click import PairCounts, weighted_order_loss
    >>> later = PairCounts(
    ...     customer=np.arange(2),
    ...     creative=np.zeros(2, int),
    ...     codes=np.zeros((2, 7), int),
    ...     numbers=np.zeros((2, 17), np.float32),
    ...     counts=np.array([[50, 5, 5], [50, 1, 0]], np.float32),
    ... )
    >>> click = np.array([0.1, 0.02])  # the single click of the second pair counts as five
    >>> round(weighted_order_loss(np.full(2, 0.5), later, click), 3)
    0.693
    >>> round(weighted_order_loss(np.array([0.5, 0.1]), later, click), 3)
    0.399
    """
    probability, click = aligned(
        probability=numbered(probability, "probability"), click=numbered(click, "click")
    )
    probability, click = probabilities(probability, "probability"), probabilities(click, "click")
    _, clicks, orders = later.counts.T.astype(float)
    if len(probability) != len(clicks):
        raise ValueError(f"probability has {len(probability):,} rows for {len(clicks):,} pairs")
    weight = clicks / np.maximum(click, LEAST_PROPENSITY)
    if not weight.sum() > 0:
        raise ValueError("the pairs hold no clicks: there is no loss")
    share = np.divide(orders, clicks, out=np.zeros_like(orders), where=clicks > 0)
    return float(np.average(_expected_loss(share, probability), weights=weight))


def _expected_loss(target: np.ndarray, probability: np.ndarray) -> np.ndarray:
    """Log loss in nats of probabilities where `target` is the true share, kept off 0 and 1."""
    p = np.clip(probability, _ROUNDING, 1 - _ROUNDING)
    return -(target * np.log(p) + (1 - target) * np.log1p(-p))


def _log_loss(probability: np.ndarray, truth: np.ndarray, weight: np.ndarray) -> float:
    """The log loss expected over outcomes drawn from the truth, nats per unit of weight."""
    probability, truth, weight = _matched(probability, truth, weight)
    return float(np.average(_expected_loss(truth, probability), weights=weight))


def score_clicks(
    probabilities: dict[str, np.ndarray], truth: np.ndarray, pairs: PairCounts
) -> pd.DataFrame:
    """Score models of clicks over all impressions.

    Explained in chapter ``funnel``.

    Parameters
    ----------
    probabilities : dict of arrays of shape (C,)
        P(click) by each model.
    truth : array of shape (C,)
        The true P(click), or the share of clicks that a later log has.
    pairs : PairCounts
        Its impressions weigh the rows.

    Returns
    -------
    DataFrame
        One row per model: ``click AUC`` and ``click log loss`` (nats per impression), both expected
        over outcomes drawn from the truth.

    Raises
    ------
    ValueError
        When rows cannot be matched or a probability is none.

    Examples
    --------
    >>> import numpy as np
    >>> from pm_utils.measurement.post_click import PairCounts, score_clicks
    >>> pairs = PairCounts(
    ...     customer=np.arange(2),
    ...     creative=np.zeros(2, int),
    ...     codes=np.zeros((2, 7), int),
    ...     numbers=np.zeros((2, 17), np.float32),
    ...     counts=np.array([[10, 2, 0], [10, 8, 0]], np.float32),
    ... )
    >>> models = {"truth": np.array([0.2, 0.8]), "mean": np.full(2, 0.5)}
    >>> score_clicks(models, np.array([0.2, 0.8]), pairs).round(3)
           click AUC  click log loss
    truth        0.8           0.500
    mean         0.5           0.693
    """
    shown = pairs.counts[:, 0].astype(float)
    told = {f"{name!r}": each for name, each in probabilities.items()}
    truth, *tables = aligned(truth=truth, **told)
    rows = {
        name: (
            expected_auc(each, truth, shown),
            _log_loss(each, truth, shown),
        )
        for name, each in zip(probabilities, tables, strict=True)
    }
    return pd.DataFrame(rows, index=["click AUC", "click log loss"]).T


def expected_auc(
    score: np.ndarray, probability: np.ndarray, weight: np.ndarray
) -> float | np.ndarray:
    """Return the AUC that a score has on average over outcomes drawn from true probabilities.

    Parameters
    ----------
    score, probability : arrays of shape (C,)
    weight : array of shape (C,) or (R, C)
        How many draws each row stands for.

    Returns
    -------
    float, or array of shape (R,)
        Ties count half.

    Raises
    ------
    ValueError
        When rows cannot be matched, a number is not finite, a probability is none or a weight
        negative.

    Examples
    --------
    >>> import numpy as np
    >>> from pm_utils.measurement.post_click import expected_auc
    >>> probability, once = np.array([0.2, 0.8]), np.ones(2)
    >>> round(expected_auc(probability, probability, once), 2)  # the truth itself does not reach 1
    0.8
    >>> round(expected_auc(once, probability, once), 2)  # ties count half
    0.5
    """
    score, probability, weight = _matched(score, probability, weight)
    target = np.repeat([1, 0], len(score))
    both = np.concatenate([weight * probability, weight * (1 - probability)], axis=-1)
    return roc_auc(target, np.tile(score, 2), both)


def _matched(
    values: ArrayLike, probability: ArrayLike, weight: ArrayLike
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Values of pairs, true probabilities and weights (..., C), checked."""
    weight, values, probability = aligned_weights(weight, score=values, probability=probability)
    values = numbers(values, "score", ndim=1)
    probability, weight = (
        probabilities(probability, "probability"),
        numbers(weight, "weight", low=0),
    )
    if weight.shape[-1:] != values.shape:
        raise ValueError(f"weight is {weight.shape}: give one column per row, {len(values):,}")
    return values, probability, weight


def relative_bias(
    predicted: np.ndarray, truth: np.ndarray, weight: np.ndarray
) -> float | np.ndarray:
    """Return by how much a mean prediction exceeds the mean truth, as a share of it.

    Explained in chapter ``funnel``.

    Parameters
    ----------
    predicted, truth : arrays of shape (C,)
    weight : array of shape (C,) or (R, C)

    Raises
    ------
    ValueError
        As `expected_auc`; when the mean truth is 0.

    Examples
    --------
    >>> import numpy as np
    >>> from pm_utils.measurement.post_click import relative_bias
    >>> bias = relative_bias(np.array([0.2, 0.4]), np.array([0.1, 0.4]), np.ones(2))
    >>> round(float(bias), 2)  # 0.3 on average instead of 0.25
    0.2
    """
    predicted, truth, weight = _matched(predicted, truth, weight)
    mean = weight @ truth
    if not np.all(mean > 0):
        raise ValueError("the mean truth is 0: no bias is relative to it")
    return (weight @ predicted) / mean - 1


def score_against_truth(
    probabilities: dict[str, np.ndarray], truth: np.ndarray, pairs: PairCounts
) -> pd.DataFrame:
    """Score conversion models against the true probabilities, where only a simulation can.

    Explained in chapter ``funnel``.

    Parameters
    ----------
    probabilities : dict of arrays of shape (C,)
    truth : array of shape (C,)
        The true P(order | click).
    pairs : PairCounts

    Returns
    -------
    DataFrame
        One row per model: ``log loss`` (nats per impression) and ``AUC off the clicks`` are those
        expected over outcomes drawn from the truth, as if all impressions, or those that were not
        clicked, were; ``calibration error`` against the truth, over pairs; ``bias`` of the mean
        over all impressions, relative to the true mean. The log loss is least for the truth alone.

    Raises
    ------
    ValueError
        When rows cannot be matched or a probability is none.

    Examples
    --------
    >>> import numpy as np
    >>> from pm_utils.measurement.post_click import PairCounts, score_against_truth
    >>> pairs = PairCounts(
    ...     customer=np.arange(20),
    ...     creative=np.zeros(20, int),
    ...     codes=np.zeros((20, 7), int),
    ...     numbers=np.zeros((20, 17), np.float32),
    ...     counts=np.repeat(np.array([[10, 0, 0], [10, 5, 4]], np.float32), 10, axis=0),
    ... )
    >>> truth = np.repeat([0.2, 0.8], 10)  # P(order | click)
    >>> models = {"truth": truth, "rate of the clicked": np.full(20, 0.8)}
    >>> score_against_truth(models, truth, pairs).round(2)
                         log loss  AUC off the clicks  calibration error  bias
    truth                    0.50                0.78                0.0   0.0
    rate of the clicked      0.92                0.50                0.3   0.6
    """
    shown, clicks = pairs.counts[:, 0].astype(float), pairs.counts[:, 1].astype(float)
    told = {f"{name!r}": each for name, each in probabilities.items()}
    truth, *tables = aligned(truth=truth, **told)
    probabilities = dict(zip(probabilities, tables, strict=True))
    rows = {
        name: (
            _log_loss(probability, truth, shown),
            expected_auc(probability, truth, shown - clicks),
            calibration_error(truth, probability),
            relative_bias(probability, truth, shown),
        )
        for name, probability in probabilities.items()
    }
    return pd.DataFrame(rows, index=POST_CLICK_METRICS).T


def compare_estimates(
    metric: str,
    first: np.ndarray,
    second: np.ndarray,
    truth: np.ndarray,
    pairs: PairCounts,
    *,
    repeats: int,
    seed: int,
) -> tuple[float, float]:
    """Return a 95 % interval of a metric of `first` minus that of `second`, over customers.

    Explained in chapter ``funnel``.

    Parameters
    ----------
    metric : {"log loss", "AUC off the clicks", "calibration error"}
        The bins of the calibration error are those of all customers.
    first, second, truth : arrays of shape (C,)
    pairs : PairCounts
    repeats, seed : int
        Resamples of customers; both models are scored on the same ones.

    Returns
    -------
    (float, float)

    Raises
    ------
    ValueError
        When the metric is none of these, rows cannot be matched or a probability is none.

    Examples
    --------
    >>> import numpy as np
    >>> from pm_utils.measurement.post_click import PairCounts, compare_estimates
    >>> pairs = PairCounts(
    ...     customer=np.arange(4),
    ...     creative=np.zeros(4, int),
    ...     codes=np.zeros((4, 7), int),
    ...     numbers=np.zeros((4, 17), np.float32),
    ...     counts=np.tile(np.array([10, 4, 1], np.float32), (4, 1)),
    ... )
    >>> truth = np.full(4, 0.25)
    >>> drawing = {"repeats": 50, "seed": 0}
    >>> compare_estimates("calibration error", truth, 2 * truth, truth, pairs, **drawing)
    (-0.25, -0.25)

    Below 0: the first errs less.
    """
    if metric not in _RESAMPLED:
        raise ValueError(f"{metric!r} cannot be compared: give one of {tuple(_RESAMPLED)}")
    truth, first, second = aligned(truth=truth, first=first, second=second)
    customers, row = np.unique(pairs.customer, return_inverse=True)
    shown, clicks = pairs.counts[:, :2].T.astype(float)
    weight = bootstrap_weights(len(customers), repeats, seed)
    of_pairs = {"calibration error": np.ones(len(row)), "log loss": shown}
    scores = []
    for each in (first, second):
        predicted, true, every = _matched(each, truth, of_pairs.get(metric, shown - clicks))
        score = _RESAMPLED[metric]
        scores.append(score(predicted, true, every, row, weight))
    return percentile_interval(scores[0] - scores[1])


def _calibration_errors(
    predicted: np.ndarray,
    truth: np.ndarray,
    every: np.ndarray,
    row: np.ndarray,
    weight: np.ndarray,
    *,
    bins: int = 10,
) -> np.ndarray:
    """The `calibration_error` in each resample of customers, in the bins of all → (R,)."""
    first = np.searchsorted(np.sort(predicted), predicted)  # equal predictions share a bin
    cuts = np.cumsum([len(part) for part in np.array_split(first, bins)])[:-1]
    cell = row * bins + np.searchsorted(cuts, first, side="right")
    size = (row.max() + 1) * bins
    gap = np.bincount(cell, every * (truth - predicted), minlength=size).reshape(-1, bins)
    return np.abs(weight @ gap).sum(1) / (weight @ np.bincount(row, every))


def _aucs(
    score: np.ndarray, truth: np.ndarray, every: np.ndarray, row: np.ndarray, weight: np.ndarray
) -> np.ndarray:
    """The `expected_auc` in each resample of customers → (R,); rows are sorted only once."""
    order = np.argsort(score, kind="stable")
    ranked, row = score[order], row[order]
    hits, misses = (every * truth)[order], (every * (1 - truth))[order]
    first, last = (np.searchsorted(ranked, ranked, side=side) for side in ("left", "right"))
    found = np.empty(len(weight))
    for k, drawn in enumerate(weight):
        times = drawn[row]
        below = np.concatenate([[0.0], np.cumsum(times * misses)])
        wins = (times * hits) @ (below[first] + below[last]) / 2  # ties count half
        found[k] = wins / (below[-1] * (times @ hits))
    return found


def _log_losses(
    predicted: np.ndarray, truth: np.ndarray, every: np.ndarray, row: np.ndarray, weight: np.ndarray
) -> np.ndarray:
    """The expected log loss in each resample of customers → (R,)."""
    lost = np.bincount(row, every * _expected_loss(truth, predicted))
    return (weight @ lost) / (weight @ np.bincount(row, every))


_RESAMPLED = {
    "log loss": _log_losses,
    "AUC off the clicks": _aucs,
    "calibration error": _calibration_errors,
}


def compare_aucs(
    first: np.ndarray,
    second: np.ndarray,
    probability: np.ndarray,
    pairs: PairCounts,
    *,
    repeats: int,
    seed: int,
) -> tuple[float, float]:
    """Return a 95 % interval of one AUC minus another over all impressions, customers resampled.

    Explained in chapter ``funnel``.

    Parameters
    ----------
    first, second : arrays of shape (C,)
        Scores of the pairs.
    probability : array of shape (C,)
        The true one, from which outcomes are drawn.
    pairs : PairCounts
    repeats, seed : int

    Returns
    -------
    (float, float)

    Raises
    ------
    ValueError
        When rows cannot be matched or a probability is none.

    Examples
    --------
    >>> import numpy as np
    >>> from pm_utils.measurement.post_click import PairCounts, compare_aucs
    >>> pairs = PairCounts(
    ...     customer=np.arange(4),
    ...     creative=np.zeros(4, int),
    ...     codes=np.zeros((4, 7), int),
    ...     numbers=np.zeros((4, 17), np.float32),
    ...     counts=np.tile(np.array([10, 4, 1], np.float32), (4, 1)),
    ... )
    >>> truth = np.array([0.1, 0.2, 0.3, 0.4])
    >>> compare_aucs(truth, 2 * truth, truth, pairs, repeats=50, seed=0)  # the same ranks
    (0.0, 0.0)
    """
    probability, first, second = aligned(probability=probability, first=first, second=second)
    customers, row = np.unique(pairs.customer, return_inverse=True)
    weight, shown = bootstrap_weights(len(customers), repeats, seed), pairs.counts[:, 0]
    scores = [_aucs(*_matched(each, probability, shown), row, weight) for each in (first, second)]
    return percentile_interval(scores[0] - scores[1])
