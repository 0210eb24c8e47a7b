"""Chapter 08 around its networks: scaling, scores, baselines, and paired comparisons."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Self

import numpy as np
import pandas as pd
from sklearn.base import ClassifierMixin
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.linear_model import LogisticRegression

from pm_utils.evaluation.calibration import fit_temperature
from pm_utils.evaluation.ranking import average_precision, bootstrap_weights, interval, roc_auc
from pm_utils.formulas import log_loss, sigmoid

FARTHEST = 4.0  # deviations from the mean; what is further off counts as this
METRICS = ("AUC", "average precision", "log loss")


@dataclass(frozen=True)
class Scaling:
    """Means and deviations of training rows; applied, values end at `FARTHEST` deviations.

    Attributes
    ----------
    mean, deviation : Series
        One entry per feature.
    """

    mean: pd.Series
    deviation: pd.Series

    @classmethod
    def learn(cls, features: pd.DataFrame) -> Self:
        """Take both from training rows; a constant keeps its scale."""
        spread = features.std(ddof=0)
        return cls(features.mean(), spread.where(spread > 1e-3, 1.0))

    def apply(self, features: pd.DataFrame) -> pd.DataFrame:
        """Return the features in deviations from the training mean."""
        return ((features - self.mean) / self.deviation).clip(-FARTHEST, FARTHEST)


def score_table(target: np.ndarray, chances: dict[str, np.ndarray]) -> pd.DataFrame:
    """Score predicted chances by AUC, average precision and log loss.

    Parameters
    ----------
    target : array of shape (N,), 0 or 1
    chances : dict of arrays of shape (N,) or (K, N)
        Probabilities strictly between 0 and 1, of K networks one row each.

    Returns
    -------
    DataFrame
        One row per model, the columns `METRICS`; of K networks the mean of their scores.
    """
    target = np.asarray(target, float)

    def scores(p: np.ndarray) -> tuple[float, ...]:
        return roc_auc(target, p), average_precision(target, p), log_loss(p, target).mean()

    rows = {
        name: np.mean([scores(one) for one in np.atleast_2d(p)], axis=0)
        for name, p in chances.items()
    }
    return pd.DataFrame(rows, index=METRICS).T


def household_weights(
    customers: np.ndarray, repeats: int, seed: int, *, among: np.ndarray | None = None
) -> np.ndarray:
    """Draw how often each row enters resamples of households, all rows of one together.

    Parameters
    ----------
    customers : array of shape (N,)
        The household of each row.
    repeats, seed : int
    among : array, optional
        The households to draw from, by default those of the rows.

    Returns
    -------
    array of shape (repeats, N), int
    """
    homes = np.unique(customers if among is None else among)
    return bootstrap_weights(len(homes), repeats, seed)[:, np.searchsorted(homes, customers)]


def paired_gain(
    metric: str,
    target: np.ndarray,
    first: np.ndarray,
    second: np.ndarray,
    weight: np.ndarray,
) -> tuple[float, float]:
    """Return the 95 % interval of a metric of `first` minus that of `second`.

    Parameters
    ----------
    metric : {"AUC", "average precision", "log loss"}
    target, first, second : arrays of shape (N,)
        Outcomes and two models' chances.
    weight : array of shape (R, N)
        From `household_weights`: both models are scored on the same resamples.

    Returns
    -------
    (float, float)

    Raises
    ------
    ValueError
        When the metric is unknown.
    """
    if metric not in METRICS:
        raise ValueError(f"{metric!r} is no metric: give one of {METRICS}")
    if metric == "log loss":
        target = np.asarray(target, float)
        each = [-np.log(np.where(target > 0, p, 1 - p)) for p in (first, second)]
        return interval(weight @ (each[0] - each[1]) / weight.sum(1))
    measure = roc_auc if metric == "AUC" else average_precision
    return interval(measure(target, first, weight) - measure(target, second, weight))


def score_intervals(
    target: np.ndarray, chance: np.ndarray, weight: np.ndarray
) -> dict[str, tuple[float, float]]:
    """Return the 95 % bootstrap interval of each of `METRICS`.

    Parameters
    ----------
    target, chance : arrays of shape (N,)
    weight : array of shape (R, N)
        From `household_weights`.

    Returns
    -------
    dict of (float, float)
    """
    surprise = -np.log(np.where(np.asarray(target) > 0, chance, 1 - chance))
    values = (
        roc_auc(target, chance, weight),
        average_precision(target, chance, weight),
        weight @ surprise / weight.sum(1),
    )
    return {name: interval(each) for name, each in zip(METRICS, values, strict=True)}


def logistic_regression(strength: float) -> LogisticRegression:
    """Return logistic regression; `strength` is scikit-learn's C, larger trusts the data more."""
    return LogisticRegression(C=strength, max_iter=1000)


def gradient_boosting(trees: int, leaves: int, *, seed: int = 0) -> HistGradientBoostingClassifier:
    """Return boosted trees that see half of the features at each split."""
    return HistGradientBoostingClassifier(
        max_iter=trees,
        max_leaf_nodes=leaves,
        learning_rate=0.05,
        l2_regularization=5.0,
        min_samples_leaf=30,
        max_features=0.5,
        random_state=seed,
    )


def baselines(seed: int) -> tuple[dict, dict]:
    """Return the candidates among which `tune` chooses.

    Parameters
    ----------
    seed : int
        Of the boosted trees.

    Returns
    -------
    ridge, trees : dicts of callables
        Each gives a fresh classifier, under a name that says its settings.
    """
    ridge = {
        f"logistic, C = {c}": partial(logistic_regression, c) for c in (0.001, 0.003, 0.01, 0.1)
    }
    trees = {
        f"boosting, {n} trees of {k} leaves": partial(gradient_boosting, n, k, seed=seed)
        for n, k in ((100, 4), (200, 4), (300, 4), (300, 3), (200, 6))
    }
    return ridge, trees


def fitted_logit(
    model: ClassifierMixin, rows: pd.DataFrame, target: np.ndarray, others: list[pd.DataFrame]
) -> list[np.ndarray]:
    """Fit a classifier on some rows and return its logits on others, one array per table."""
    model.fit(rows.to_numpy(), target)
    chances = [model.predict_proba(part.to_numpy())[:, 1] for part in others]
    return [np.log(p) - np.log1p(-p) for p in chances]


def tune(
    models: dict[str, Callable[[], ClassifierMixin]],
    learn: tuple[pd.DataFrame, np.ndarray],
    choose: tuple[pd.DataFrame, np.ndarray],
) -> pd.DataFrame:
    """Fit each candidate on one slice and score it on a later one.

    Parameters
    ----------
    models : dict of callables
        Each returns a fresh classifier.
    learn, choose : (features, target)

    Returns
    -------
    DataFrame
        As `score_table`, the least log loss first.
    """
    chances = {
        name: sigmoid(fitted_logit(make(), *learn, [choose[0]])[0]) for name, make in models.items()
    }
    return score_table(choose[1], chances).sort_values("log loss")


def information_ladder(
    model: ClassifierMixin,
    groups: dict[str, list[str]],
    learn: tuple[pd.DataFrame, np.ndarray],
    choose: tuple[pd.DataFrame, np.ndarray],
) -> pd.DataFrame:
    """Score one classifier with the first group of features, then the first two, and so on.

    Parameters
    ----------
    model : scikit-learn classifier
        Fitted anew at each step.
    groups : dict of lists
        From `feature_groups`.
    learn, choose : (features, target)

    Returns
    -------
    DataFrame
        As `score_table`, one row per group that was added.
    """
    columns, chances = [], {}
    for name, group in groups.items():
        columns += group
        (logit,) = fitted_logit(model, learn[0][columns], learn[1], [choose[0][columns]])
        chances["+ " + name] = sigmoid(logit)
    return score_table(choose[1], chances)


GROUPS = {
    "earlier answers": ("redemptions", "days_since_redemption", "contacts_", "answer"),
    "coupons at the till": ("coupon_lines", "days_since_coupon", "coupon_dollars", "coupon_order"),
    "what was told": ("told", "age_group", "income", "household_size", "kids", "married", "home"),
    "offers that fit": (
        "offered_",
        "coupons_",
        "kinds_",
        "taste_match",
        "orders_expected",
        "appeal",
    ),
    "campaign": ("coupons", "products", "days", "type_", "other_campaigns"),
    "taste and profile": ("taste_", "profile_"),
}


def feature_groups(columns: list[str]) -> dict[str, list[str]]:
    """Sort features by subject; what none of `GROUPS` claims is the household's activity.

    Parameters
    ----------
    columns : list of str
        Names from `pm_utils.targeting.redemption.features.contact_features` and `latest_profiles`.

    Returns
    -------
    dict of lists
        Each column once, in the first group with a prefix of its name.
    """
    found: dict[str, list[str]] = {name: [] for name in [*GROUPS, "activity"]}
    for column in columns:
        claims = [name for name, starts in GROUPS.items() if column.startswith(starts)]
        found[claims[0] if claims else "activity"].append(column)
    return {name: group for name, group in found.items() if group}


def rate_by_cell(train: pd.DataFrame, rows: pd.DataFrame, keys: list[str]) -> np.ndarray:
    """Predict by the share of redemptions among training contacts that look the same.

    Parameters
    ----------
    train, rows : DataFrames with the columns `keys`, the first also with ``redeemed``
    keys : list of str
        What must be equal.

    Returns
    -------
    array of shape (N,)
        At least 0.01, so that no log loss is infinite; the overall share for a new combination.
    """
    share = train.groupby(keys, observed=True)["redeemed"].mean()
    found = share.reindex(pd.MultiIndex.from_frame(rows[keys])).to_numpy()
    return np.where(np.isnan(found), train["redeemed"].mean(), found).clip(0.01, 0.99)


def calibrated(
    target: np.ndarray, logits: dict[str, np.ndarray]
) -> tuple[dict[str, float], pd.DataFrame]:
    """Fit a temperature to each model's logits and score the chances.

    Parameters
    ----------
    target : array of shape (N,), 0 or 1
    logits : dict of arrays of shape (N,)
        On rows that the models were not trained on.

    Returns
    -------
    temperature : dict of float
    table : DataFrame
        As `score_table`.
    """
    temperature = {name: fit_temperature(target, logit) for name, logit in logits.items()}
    chances = {name: sigmoid(logit / temperature[name]) for name, logit in logits.items()}
    return temperature, score_table(target, chances)


def naive_chance(contacts: pd.DataFrame, redemptions: pd.Series, train: np.ndarray) -> np.ndarray:
    """Predict by campaign type and by none, one or more earlier redemptions.

    Parameters
    ----------
    contacts : DataFrame
        From `pm_utils.targeting.redemption.contacts.contact_table`.
    redemptions : Series of length N
        log(1 + earlier redemptions).
    train : boolean array of shape (N,)
        The contacts whose answers are known.

    Returns
    -------
    array of shape (N,)
    """
    rows = contacts.assign(earlier=np.expm1(redemptions).round().clip(upper=2))
    return rate_by_cell(rows[train], rows, ["campaign_type", "earlier"])


def scoreboard_row(metric: str, points: pd.DataFrame) -> tuple[dict, str]:
    """Return what `Scoreboard.add` takes, and the name of the better baseline.

    Parameters
    ----------
    metric : {"AUC", "average precision", "log loss"}
    points : DataFrame
        From `score_table`, with rows naive, logistic, boosting, network and null.

    Returns
    -------
    row : dict
    rival : {"logistic", "boosting"}
    """
    column, down = points[metric], metric == "log loss"
    rival = str(column[["logistic", "boosting"]].sort_values(ascending=down).index[0])
    names = {"naive": "naive", "classical": rival, "deep": "network", "null": "null"}
    row = {"unit": "nats" if down else "share", "better": "lower" if down else "higher"}
    return row | {kind: column[name] for kind, name in names.items()}, rival
