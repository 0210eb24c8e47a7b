"""Redemption without a network: rates by cell, logistic regression, boosted trees."""

from collections.abc import Callable
from functools import partial

import numpy as np
import pandas as pd
from sklearn.base import ClassifierMixin
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.linear_model import LogisticRegression

from pm_utils.evaluation.probabilities import score_table
from pm_utils.formulas import sigmoid


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
    """Return the candidates among which `tune_baselines` chooses.

    Explained in chapter ``conversion``.

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
    """Fit a classifier on some rows and return its logits on others, one array per table.

    Explained in chapter ``conversion``.
    """
    model.fit(rows.to_numpy(), target)
    predicted = [model.predict_proba(part.to_numpy())[:, 1] for part in others]
    return [np.log(p) - np.log1p(-p) for p in predicted]


def tune_baselines(
    models: dict[str, Callable[[], ClassifierMixin]],
    learn: tuple[pd.DataFrame, np.ndarray],
    choose: tuple[pd.DataFrame, np.ndarray],
) -> pd.DataFrame:
    """Fit each candidate on one slice and score it on a later one.

    Explained in chapter ``conversion``.

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
    predicted = {
        name: sigmoid(fitted_logit(make(), *learn, [choose[0]])[0]) for name, make in models.items()
    }
    return score_table(choose[1], predicted).sort_values("log loss")


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
