"""Chapter 07: figures of every contender, and a log whose truth is known."""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
import torch
from sklearn.cluster import KMeans
from sklearn.linear_model import LogisticRegression
from torch import nn

from pm_utils.evaluation import bootstrap, ranking, recommendation
from pm_utils.learning.training import History, fit, predict
from pm_utils.targeting.interest.networks import DeepInterestNet, PooledInterestNet
from pm_utils.targeting.interest.simulated import (
    TASTES,
    ClickLog,
    attainable_probability,
    simulated_clicks,
)

NEVER = "AUC never bought before"
USERS = 5000  # of the simulated log


def scores_with_never(
    target: np.ndarray, said: dict[str, np.ndarray], never: np.ndarray, *, weight: np.ndarray
) -> dict[str, pd.DataFrame]:
    """Return the scores of all contenders on the sample and on the same resamples.

    Explained in chapter ``interest``.

    Parameters
    ----------
    target, said, weight
        As in `recommendation.resampled_scores`.
    never : array of shape (H, C), bool
        Pairs that the household had never bought before.

    Returns
    -------
    dict of DataFrames
        One row per resample, the sample itself first. Columns: AUC, GAUC, log loss, recall@20 and
        `NEVER`.
    """
    rows = np.vstack([np.ones(len(target), int), weight])
    tables = recommendation.resampled_scores(target, said, k=20, weight=weight)
    for name, probability in said.items():
        folded = probability.reshape(target.shape)
        tables[name][NEVER] = recommendation.resampled_auc(target, folded, rows, part=never)
    return tables


@dataclass(frozen=True)
class KnownTruth:
    """What every contender says on a simulated log whose truth is known.

    Attributes
    ----------
    choosing, test : tables
        One row per impression of users that are not in training: ``user``, ``click``, and one
        column of probabilities or scores per contender, the attainable limit and the oracle.
    courses : dict of History
        Of the networks' training.
    """

    choosing: pd.DataFrame
    test: pd.DataFrame
    courses: dict[str, History]

    def auc(self, part: pd.DataFrame) -> pd.Series:
        """Return the AUC of each column of probabilities."""
        columns = part.columns.drop(["user", "click"])
        found = {name: ranking.roc_auc(part["click"], part[name]) for name in columns}
        return pd.Series(found, name="AUC")

    def interval(
        self, first: str, second: str, *, n_resamples: int, seed: int
    ) -> tuple[float, float]:
        """Return the 95 % interval of the difference of two AUC, users being resampled."""
        user, row = np.unique(self.test["user"], return_inverse=True)
        gaps = []
        for drawn in bootstrap.bootstrap_weights(len(user), n_resamples, seed):
            weight = drawn[row].astype(float)
            both = [
                ranking.roc_auc(self.test["click"], self.test[name], weight)
                for name in (first, second)
            ]
            gaps.append(both[0] - both[1])
        return bootstrap.percentile_interval(gaps)


def known_truth(
    rows: int, *, items: int = 300, epochs: int = 2, n_nulls: int = 3, seed: int
) -> KnownTruth:
    """Train networks and their rivals on eight users of ten, and let them score the others.

    Explained in chapter ``interest``.

    Parameters
    ----------
    rows : int
        Impressions in all. One user in ten is left for choosing, one for the test.
    items, epochs, seed : int
    n_nulls : int
        Networks that are trained on shuffled clicks, with an eighth of the rows.

    Returns
    -------
    KnownTruth
        Columns: ``"click rate"`` (of the item), ``"cosine"`` (logistic regression on it and the
        mean cosine between the candidate and the history), ``"topics found"`` (on it and the
        smoothed share of the history in the candidate's topic, topics being clusters of items with
        like cosines), ``"topics told"`` (the same with the true topics),
        ``"pooled"``, ``"DIN"``, ``"DIN softmax"``, ``"null 1"`` and so on, ``"attainable"``,
        ``"oracle"``.
    """
    log = simulated_clicks(rows, users=USERS, items=items, seed=seed)
    learn = log.user < 0.8 * USERS
    said = {"user": log.user, "click": log.click.astype(float)}
    said["click rate"] = _click_rate(log, learn, items)
    cosine = _cosines(log, learn, items)
    clusters = _clusters(cosine[1:, 1:], log.topics, seed)
    told = {
        "cosine": _mean_cosine(log, cosine),
        "topics found": _topic_share(replace(log, topic=clusters)),
        "topics told": _topic_share(log),
    }
    rate = np.log(said["click rate"] / (1 - said["click rate"]))
    for name, fact in told.items():
        facts = np.column_stack([rate, fact])
        model = LogisticRegression().fit(facts[learn], log.click[learn])
        said[name] = model.predict_proba(facts)[:, 1]
    courses = {}
    softmax = {"softmax": True, "attention": (16, 8)}
    everyone = np.flatnonzero(learn)
    for name, kind, options in (
        ("pooled", PooledInterestNet, {}),
        ("DIN", DeepInterestNet, {"attention": (16, 8)}),
        ("DIN softmax", DeepInterestNet, softmax),
    ):
        net, courses[name] = _trained(kind, log, everyone, log.click, epochs, seed, options)
        said[name] = _chances(net, log)
    few = np.flatnonzero(learn)[::8]
    for shuffle in range(n_nulls):
        luck = np.random.default_rng([seed, shuffle])
        click = log.click.copy()
        click[few] = luck.permutation(click[few])
        net, _ = _trained(DeepInterestNet, log, few, click, epochs, seed + shuffle, softmax)
        said[f"null {shuffle + 1}"] = _chances(net, log)
    said |= {"attainable": attainable_probability(log), "oracle": log.probability}
    table = pd.DataFrame(said)
    last = log.user >= 0.9 * USERS
    return KnownTruth(table[~learn & ~last], table[last], courses)


def _click_rate(log: ClickLog, learn: np.ndarray, items: int) -> np.ndarray:
    """The item's share of clicks in training, one impression added at the mean rate."""
    item, click = log.item[learn], log.click[learn]
    clicked = np.bincount(item, click, items + 1) + click.mean()
    return (clicked / (np.bincount(item, minlength=items + 1) + 1))[log.item]


def _cosines(log: ClickLog, learn: np.ndarray, items: int) -> np.ndarray:
    """Cosine of each two items by which users had both (items + 1, items + 1); 0 is no item."""
    _, first = np.unique(log.user[learn], return_index=True)
    held = np.zeros((len(first), items + 1))
    np.put_along_axis(held, log.history[learn][first], 1.0, axis=1)
    held[:, 0] = 0.0  # pads
    both = held.T @ held
    size = np.sqrt(np.maximum(np.diag(both), 1))
    return both / size / size[:, None]


def _clusters(cosine: np.ndarray, count: int, seed: int) -> np.ndarray:
    """Spectral clustering: k-means on the directions of items along the leading eigenvectors."""
    value, vector = np.linalg.eigh(cosine)
    place = vector[:, -count:] * np.sqrt(np.maximum(value[-count:], 0))
    place /= np.maximum(np.linalg.norm(place, axis=1, keepdims=True), 1e-9)
    return KMeans(count, n_init=10, random_state=seed).fit_predict(place)


def _mean_cosine(log: ClickLog, cosine: np.ndarray) -> np.ndarray:
    """Mean over the history of the cosine between the candidate and a past item."""
    known = (log.history > 0).sum(1)
    return cosine[log.item[:, None], log.history].sum(1) / np.maximum(known, 1)


def _topic_share(log: ClickLog) -> np.ndarray:
    same, known = log.items_of_topic()
    share = (same + TASTES) / (known + TASTES * log.topics)
    return np.log1p(log.topics * share)


def _trained(
    kind: type[PooledInterestNet],
    log: ClickLog,
    rows: np.ndarray,
    click: np.ndarray,
    epochs: int,
    seed: int,
    options: dict[str, Any],
) -> tuple[PooledInterestNet, History]:
    torch.manual_seed(seed)
    net = kind(len(log.topic), hidden=(64, 32), **options)
    course = fit(
        net,
        [torch.from_numpy(part[rows]) for part in (log.item, log.history)],
        torch.from_numpy(click[rows]),
        loss=nn.functional.binary_cross_entropy_with_logits,
        epochs=epochs,
        batch_size=512,
        learning_rate=2e-2,
        weight_decay=0.1,
        seed=seed,
    )
    return net, course


def _chances(net: PooledInterestNet, log: ClickLog) -> np.ndarray:
    """Chances of users who are not in training; not a number for the others."""
    rest = np.flatnonzero(log.user >= 0.8 * USERS)
    chances = np.full(len(log.user), np.nan)
    inputs = [torch.from_numpy(part[rest]) for part in (log.item, log.history)]
    chances[rest] = predict(net, inputs, batch_size=2048).sigmoid().double().numpy()
    return chances
