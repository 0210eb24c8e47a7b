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
from pm_utils.inputs import aligned, booleans, columns, like, numbers


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

    Examples
    --------
    >>> from pm_utils.targeting.redemption.baselines import baselines
    >>> ridge, trees = baselines(seed=0)
    >>> list(ridge)[0], list(trees)[0]
    ('logistic, C = 0.001', 'boosting, 100 trees of 4 leaves')
    >>> ridge["logistic, C = 0.01"]().C
    0.01
    """
    ridge = {
        f"logistic, C = {c}": partial(logistic_regression, c)
        for c in (0.001, 0.003, 0.01, 0.03, 0.1)
    }
    trees = {
        f"boosting, {n} trees of {k} leaves": partial(gradient_boosting, n, k, seed=seed)
        for n, k in ((100, 4), (200, 4), (300, 4), (300, 3), (200, 6))
    }
    return ridge, trees


def fitted_logit(
    model: ClassifierMixin, rows: pd.DataFrame, target: np.ndarray, others: list[pd.DataFrame]
) -> list[pd.Series]:
    """Fit a classifier on some rows and return its logits on others, one Series per table.

    Explained in chapter ``conversion``.

    Parameters
    ----------
    model : scikit-learn classifier with ``predict_proba``
        Fitted in place.
    rows : DataFrame of shape (N, F)
    target : array of shape (N,), 0 or 1
        Matched by index, if it carries one.
    others : list of DataFrames with the columns of `rows`
        In any order: columns are found by name.

    Returns
    -------
    list of Series
        log(p / (1 - p)) of each row of each table, with the table's index. A forest may say that p
        is 0 or 1: at most the machine's precision from there is believed, a logit of ±36.

    Raises
    ------
    KeyError
        When a table lacks a column of `rows`.
    ValueError
        When a target is neither 0 nor 1, all targets are alike, a number is not finite, or the
        rows do not belong together.

    Examples
    --------
    >>> import numpy as np
    >>> import pandas as pd
    >>> from sklearn.dummy import DummyClassifier
    >>> from pm_utils.targeting.redemption.baselines import fitted_logit
    >>> rows, target = pd.DataFrame({"orders": [1, 2, 3, 4]}), np.array([1, 0, 0, 0])
    >>> model = DummyClassifier(strategy="prior")  # a quarter redeems: log(1 / 3)
    >>> logits = fitted_logit(model, rows, target, [rows[:2], rows[:1]])
    >>> [logit.round(3).tolist() for logit in logits]
    [[-1.099, -1.099], [-1.099]]
    """
    rows, target = aligned(rows=rows, target=target)
    target = booleans(target, "target").astype(float)
    if target.min() == target.max():
        raise ValueError(f"target is {target[0]:g} in all {len(target):,} rows: nothing to learn")
    names = list(rows.columns)
    model.fit(numbers(rows, "rows"), target)
    same = [
        part if list(part.columns) == names else columns(part, names, "others") for part in others
    ]
    tables = [numbers(part, "others") for part in same]
    least = np.finfo(float).eps
    predicted = [model.predict_proba(table)[:, 1].clip(least, 1 - least) for table in tables]
    logits = [np.log(p) - np.log1p(-p) for p in predicted]
    return [like(logit, part) for logit, part in zip(logits, others, strict=True)]


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

    Raises
    ------
    KeyError, ValueError
        As `fitted_logit`.

    Examples
    --------
    The feature tells the answer in both slices, so the candidate that trusts it more wins.

    >>> from functools import partial
    >>> import numpy as np
    >>> import pandas as pd
    >>> from pm_utils.targeting.redemption.baselines import logistic_regression, tune_baselines
    >>> rows, target = pd.DataFrame({"answers": [0.0, 1.0] * 10}), np.array([0, 1] * 10)
    >>> models = {f"C = {c}": partial(logistic_regression, c) for c in (0.01, 1.0)}
    >>> tune_baselines(models, (rows, target), (rows[:4], target[:4]))["log loss"].round(2)
    C = 1.0     0.27
    C = 0.01    0.68
    Name: log loss, dtype: float64
    """
    predicted = {
        name: sigmoid(fitted_logit(make(), *learn, [choose[0]])[0]) for name, make in models.items()
    }
    return score_table(choose[1], predicted).sort_values("log loss")


def rate_by_cell(train: pd.DataFrame, rows: pd.DataFrame, keys: list[str]) -> pd.Series:
    """Predict by the share of redemptions among training contacts that look the same.

    Parameters
    ----------
    train, rows : DataFrames with the columns `keys`, the first also with ``redeemed``
    keys : list of str
        What must be equal.

    Returns
    -------
    Series of length N
        With the index of `rows`. At least 0.01, so that no log loss is infinite; the overall share
        for a new combination.

    Raises
    ------
    KeyError
        When a column is missing.
    ValueError
        When ``redeemed`` is neither 0 nor 1.

    Examples
    --------
    Half of the training contacts of type A redeemed, none of type B. No contact of type C was seen,
    so the overall share stands in.

    >>> import pandas as pd
    >>> from pm_utils.targeting.redemption.baselines import rate_by_cell
    >>> train = pd.DataFrame({"type": ["A", "A", "B", "B"], "redeemed": [1, 0, 0, 0]})
    >>> rate_by_cell(train, pd.DataFrame({"type": ["A", "B", "C"]}), ["type"]).tolist()
    [0.5, 0.01, 0.25]
    """
    columns(rows, keys, "rows")
    redeemed = booleans(columns(train, [*keys, "redeemed"], "train")["redeemed"], "redeemed")
    train = train.assign(redeemed=redeemed.astype(float))
    share = train.groupby(keys, observed=True)["redeemed"].mean()
    found = share.reindex(pd.MultiIndex.from_frame(rows[keys])).to_numpy()
    rate = np.where(np.isnan(found), train["redeemed"].mean(), found).clip(0.01, 0.99)
    return like(rate, rows)
