"""Conversion after the click, learned where only clicks are seen."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
import torch
from sklearn.base import ClassifierMixin
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
from sklearn.linear_model import LogisticRegression
from torch import Tensor

from pm_utils.evaluation.bootstrap import bootstrap_weights, percentile_interval
from pm_utils.evaluation.calibration import calibration_error
from pm_utils.evaluation.ranking import roc_auc
from pm_utils.formulas import sigmoid
from pm_utils.learning.training import fit, predict
from pm_utils.market import ImpressionLog, Market
from pm_utils.market.creatives import level_counts
from pm_utils.measurement.post_click_networks import CONVERSION, EntireSpaceNet

ATTRIBUTE_LEVELS = tuple(level_counts().values())
POST_CLICK_METRICS = ("bias", "AUC off the clicks", "calibration error")
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
        The customer's receipts in deviations from the mean, and how far the customer's share of
        the ad's category exceeds the average one.
    counts : array of shape (C, 3), float32
        Impressions, clicks, and clicks with an order.
    """

    customer: np.ndarray
    creative: np.ndarray
    codes: np.ndarray
    numbers: np.ndarray
    counts: np.ndarray

    def inputs(self) -> tuple[Tensor, Tensor]:
        """Return codes and numbers as tensors."""
        return torch.tensor(self.codes), torch.tensor(self.numbers)

    def table(self) -> np.ndarray:
        """Return codes as indicators, and numbers → (C, 55), for logistic regression."""
        marks = [
            np.eye(n, dtype=np.float32)[code]
            for n, code in zip(ATTRIBUTE_LEVELS, self.codes.T, strict=True)
        ]
        return np.hstack([*marks, self.numbers])

    def coarse_table(self) -> np.ndarray:
        """Return codes, and numbers rounded to twentieths → (C, 24), for boosted trees.

        With fewer values than bins, trees need not search for weighted percentiles.
        """
        return np.column_stack([self.codes, np.round(20 * self.numbers) / 20])

    def rows_of(self, customer: np.ndarray, creative: np.ndarray) -> np.ndarray:
        """Return the row of each pair of customer and ad, all of which must be here."""
        ads = int(self.creative.max()) + 1
        return np.searchsorted(self.customer * ads + self.creative, customer * ads + creative)

    def take(self, rows: np.ndarray) -> "PairCounts":
        """Return some of the pairs."""
        return PairCounts(*(getattr(self, name)[rows] for name in self.__dataclass_fields__))

    def hiding(self, columns: Sequence[int]) -> "PairCounts":
        """Return the pairs with some of the receipts, by number, set to their mean."""
        numbers = self.numbers.copy()
        numbers[:, columns] = 0
        return replace(self, numbers=numbers)

    def expected(self, click: np.ndarray, conversion: np.ndarray) -> "PairCounts":
        """Return the pairs with the counts that they have on average, which luck cannot touch.

        Parameters
        ----------
        click, conversion : arrays of shape (C,)
            True chances of a click, and of an order after one: only a simulation knows them.
        """
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
        In deviations from the mean, at most 3.
    """
    shares = customers.filter(like="share_").to_numpy()
    columns = [
        np.log(customers["orders_per_week"] + 0.05),
        np.log(customers["average_order_value"]),
        np.sqrt(customers["discount_share"]),
        np.sqrt(customers["coupon_order_share"]),
        np.log((shares + 0.01) / (shares.mean(0) + 0.01)),
    ]
    table = np.column_stack(columns)
    return ((table - table.mean(0)) / table.std(0)).clip(-3, 3).astype(np.float32)


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
    """
    ads, about = len(market.creatives), observed_features(market.customers)
    pair = log.customer * np.int64(ads) + log.creative
    size = market.n_customers * ads
    steps = (pair, pair[log.click], pair[log.conversion])
    counts = np.column_stack([np.bincount(step, minlength=size) for step in steps])
    held = np.flatnonzero(counts[:, 0])
    customer, creative = np.divmod(held, ads)
    tastes = about[:, -level_counts("category")["category"] :]  # the last of the receipts
    fit_to = tastes[customer, market.creatives.category[creative]]
    return PairCounts(
        customer=customer,
        creative=creative,
        codes=market.creatives.codes()[creative],
        numbers=np.column_stack([about[customer], fit_to]),
        counts=counts[held].astype(np.float32),
    )


def train_post_click_towers(
    loss: Callable[[Tensor, Tensor], Tensor],
    cells: PairCounts,
    *,
    epochs: int,
    seed: int,
    towers: int = 2,
    hidden: int = 32,
) -> EntireSpaceNet:
    """Train the towers by one of the losses of `pm_utils.measurement.post_click_networks`.

    Explained in chapter ``funnel``.

    Parameters
    ----------
    loss : callable
    cells : PairCounts
    epochs, seed : int
    towers, hidden : int
        Three towers for the doubly robust loss.

    Returns
    -------
    EntireSpaceNet
    """
    shown, clicks, orders = cells.counts.sum(0)
    rates = [clicks / shown, *[orders / clicks] * (towers - 1)]
    torch.manual_seed(seed)
    net = EntireSpaceNet(ATTRIBUTE_LEVELS, cells.numbers.shape[1], hidden=hidden, rates=rates)
    fit(
        net,
        cells.inputs(),
        torch.tensor(cells.counts),
        loss=loss,
        epochs=epochs,
        batch_size=2048,
        learning_rate=0.01,
        weight_decay=0.01,
        seed=seed,
    )
    return net


def post_click_probability(net: EntireSpaceNet, cells: PairCounts) -> np.ndarray:
    """Return P(order | click) of every pair → (C,).

    Explained in chapter ``funnel``.
    """
    return sigmoid(predict(net, cells.inputs())[:, CONVERSION].double().numpy())


def rate_by_ad(cells: PairCounts) -> np.ndarray:
    """Return orders over clicks of the pair's ad, as a dashboard shows it → (C,).

    Explained in chapter ``funnel``.
    """
    clicks, orders = (np.bincount(cells.creative, cells.counts[:, k]) for k in (1, 2))
    overall = orders.sum() / clicks.sum()
    rate = np.divide(orders, clicks, out=np.full(len(clicks), overall), where=clicks > 0)
    return rate[cells.creative]


def fit_counts(
    model: ClassifierMixin, table: np.ndarray, hits: np.ndarray, tries: np.ndarray
) -> np.ndarray:
    """Fit a classifier to hits among tries and return its chance for every row.

    Parameters
    ----------
    model : scikit-learn classifier that takes ``sample_weight``
    table : array of shape (C, F)
    hits, tries : arrays of shape (C,)
        Need not be whole: weights may be in them.

    Returns
    -------
    array of shape (C,)
    """
    weight = np.concatenate([hits, tries - hits])
    row = np.tile(np.arange(len(table)), 2)[weight > 0]
    target = np.repeat([1, 0], len(table))[weight > 0]
    model.fit(table[row], target, sample_weight=weight[weight > 0])
    return model.predict_proba(table)[:, 1]


def _boosting(trees: int, leaves: int, seed: int) -> HistGradientBoostingClassifier:
    return HistGradientBoostingClassifier(
        max_iter=trees,
        max_leaf_nodes=leaves,
        learning_rate=0.1,
        l2_regularization=5.0,
        min_samples_leaf=30,
        early_stopping=False,
        random_state=seed,
    )


def post_click_baselines(cells: PairCounts, *, trees: int, seed: int) -> dict[str, np.ndarray]:
    r"""Fit logistic regression and boosting to the clicks, plain and with inverse propensities.

    A click that had the chance :math:`\hat o` counts :math:`1 / \hat o`, so that the clicked stand
    for everybody who was shown an ad. The chance is boosted over all impressions; clicks are rare,
    so their counts are taken for Poisson.

    Explained in chapter ``funnel``.

    Parameters
    ----------
    cells : PairCounts
    trees, seed : int

    Returns
    -------
    dict of arrays of shape (C,)
        P(order | click) by each.
    """
    wide, narrow = cells.table(), cells.coarse_table()
    shown, clicks, orders = cells.counts.T.astype(float)
    shape = {"max_iter": trees // 2, "max_leaf_nodes": 12, "learning_rate": 0.1}
    model = HistGradientBoostingRegressor(
        loss="poisson", early_stopping=False, random_state=seed, **shape
    )
    click = model.fit(narrow, clicks / shown, sample_weight=shown).predict(narrow)
    inverse = 1 / np.maximum(click, LEAST_PROPENSITY)
    inverse /= np.average(inverse, weights=clicks)
    found = {}
    for name, weight in (("", 1.0), (", weighted", inverse)):
        counts = orders * weight, clicks * weight
        linear = LogisticRegression(C=0.1, max_iter=300)
        found[f"logistic{name}"] = fit_counts(linear, wide, *counts)
        found[f"boosting{name}"] = fit_counts(_boosting(trees, 6, seed), narrow, *counts)
    return found


def expected_auc(
    score: np.ndarray, probability: np.ndarray, weight: np.ndarray
) -> float | np.ndarray:
    """Return the AUC that a score has on average over outcomes drawn from true chances.

    Parameters
    ----------
    score, probability : arrays of shape (C,)
    weight : array of shape (C,) or (R, C)
        How many draws each row stands for.

    Returns
    -------
    float, or array of shape (R,)
    """
    target = np.repeat([1, 0], len(score))
    both = np.concatenate([weight * probability, weight * (1 - probability)], axis=-1)
    return roc_auc(target, np.tile(score, 2), both)


def relative_bias(guess: np.ndarray, truth: np.ndarray, weight: np.ndarray) -> float | np.ndarray:
    """Return by how much a mean guess exceeds the mean truth, as a share of it.

    Explained in chapter ``funnel``.

    Parameters
    ----------
    guess, truth : arrays of shape (C,)
    weight : array of shape (C,) or (R, C)
    """
    return (weight @ guess) / (weight @ truth) - 1


def score_against_truth(
    probabilities: dict[str, np.ndarray], truth: np.ndarray, cells: PairCounts
) -> pd.DataFrame:
    """Score conversion models against the true chances, where only a simulation can.

    Explained in chapter ``funnel``.

    Parameters
    ----------
    probabilities : dict of arrays of shape (C,)
    truth : array of shape (C,)
        The true P(order | click).
    cells : PairCounts

    Returns
    -------
    DataFrame
        One row per model: ``bias`` of the mean over all impressions, relative to the true mean;
        ``AUC off the clicks``, expected, over the impressions that were not clicked;
        ``calibration error`` against the truth, over pairs.
    """
    shown, clicks = cells.counts[:, 0].astype(float), cells.counts[:, 1].astype(float)
    rows = {
        name: (
            relative_bias(probability, truth, shown),
            expected_auc(probability, truth, shown - clicks),
            calibration_error(truth, probability),
        )
        for name, probability in probabilities.items()
    }
    return pd.DataFrame(rows, index=POST_CLICK_METRICS).T


def compare_estimates(
    metric: str,
    first: np.ndarray,
    second: np.ndarray,
    truth: np.ndarray,
    cells: PairCounts,
    *,
    repeats: int,
    seed: int,
) -> tuple[float, float]:
    """Return a 95 % interval of a metric of `first` minus that of `second`, over customers.

    Explained in chapter ``funnel``.

    Parameters
    ----------
    metric : {"bias", "AUC off the clicks"}
        Of a bias, its size.
    first, second, truth : arrays of shape (C,)
    cells : PairCounts
    repeats, seed : int
        Resamples of customers; both models are scored on the same ones.

    Returns
    -------
    (float, float)

    Raises
    ------
    ValueError
        When the metric is neither.
    """
    if metric not in POST_CLICK_METRICS[:2]:
        raise ValueError(f"{metric!r} cannot be compared: give one of {POST_CLICK_METRICS[:2]}")
    homes, row = np.unique(cells.customer, return_inverse=True)
    shown, clicks = cells.counts[:, :2].T.astype(float)
    gaps = []
    for some in np.array_split(bootstrap_weights(len(homes), repeats, seed), -(-repeats // 20)):
        drawn = some[:, row]  # (20, C)
        if metric == "bias":
            pair = [abs(relative_bias(each, truth, drawn * shown)) for each in (first, second)]
        else:
            weight = drawn * (shown - clicks)
            pair = [expected_auc(each, truth, weight) for each in (first, second)]
        gaps.append(pair[0] - pair[1])
    return percentile_interval(np.concatenate(gaps))


def scoreboard_rows(
    scores: pd.DataFrame, *, naive: str, classical: Sequence[str], deep: str
) -> dict[str, dict[str, float]]:
    """Return for each metric the values of a scoreboard's columns; of a bias, its size.

    Explained in chapter ``funnel``.

    Parameters
    ----------
    scores : DataFrame
        From `score_against_truth`, with a row ``truth`` and rows whose names start with ``null``.
    naive, deep : str
        Rows.
    classical : sequence of str
        The rows of which the best counts, metric by metric: only a simulation can tell which.

    Returns
    -------
    dict of dicts
    """
    size = scores.abs()
    null = size[size.index.str.startswith("null")].mean()
    rows = {}
    for metric in POST_CLICK_METRICS:
        of_baselines = size.loc[list(classical), metric]
        best = of_baselines.max() if metric == POST_CLICK_METRICS[1] else of_baselines.min()
        ends = {"naive": size.loc[naive, metric], "classical": best, "deep": size.loc[deep, metric]}
        rows[metric] = ends | {"limit": size.loc["truth", metric], "null": null[metric]}
    return rows
