"""What profiles give away about customers who did not tell, scored on those who did."""

import numpy as np
import pandas as pd
from sklearn.linear_model import LogisticRegressionCV
from sklearn.model_selection import StratifiedKFold, cross_val_predict

from pm_utils.metrics import bootstrap_weights, interval

STRENGTHS = (0.001, 0.003, 0.01, 0.03, 0.1)


def merge_levels(column: pd.Series, bands: dict[str, int]) -> pd.Series:
    """Merge the levels of an ordered categorical column into wider bands.

    Parameters
    ----------
    column : Series of ordered categories
    bands : dict
        The name of each band, in order, with the number of levels up to and including it.

    Returns
    -------
    Series of ordered categories
        Missing values stay missing.

    Raises
    ------
    ValueError
        When the column is not an ordered categorical, or the last band does not end at the last
        level.
    """
    if not isinstance(column.dtype, pd.CategoricalDtype) or not column.cat.ordered:
        raise ValueError(f"{column.name} has no ordered categories: merge only ordered levels")
    levels, ends = column.cat.categories, list(bands.values())
    if ends != sorted(set(ends)) or ends[-1] != len(levels):
        raise ValueError(f"{column.name} has {len(levels)} levels, the bands end at {ends}")
    band = np.searchsorted(ends, column.cat.codes, side="right")
    codes = np.where(column.isna(), -1, band)
    merged = pd.Categorical.from_codes(codes, list(bands), ordered=True)
    return pd.Series(merged, index=column.index, name=column.name)


def cross_validated_guesses(
    views: dict[str, np.ndarray], answer: pd.Series, *, seed: int, folds: int = 5
) -> pd.DataFrame:
    """Guess each known answer from customers whose answer was in other folds.

    Parameters
    ----------
    views : dict of arrays of shape (N, D)
        What is known about each customer, scaled, by the name of the view.
    answer : Series of length N
        A category, missing where the customer did not tell.
    seed : int
        Deals customers to folds.
    folds : int

    Returns
    -------
    DataFrame
        One row per customer who told: ``answer``, ``naive`` (the most frequent answer of the other
        folds) and one column per view (multinomial logistic
        regression, its strength of regularisation chosen within the other folds).
    """
    told = answer.notna().to_numpy()
    known = answer[told].astype(str)
    deal = StratifiedKFold(folds, shuffle=True, random_state=seed)
    guesses = pd.DataFrame({"answer": known, "naive": ""})
    for train, test in deal.split(known, known):
        guesses.iloc[test, 1] = known.iloc[train].mode()[0]
    for name, view in views.items():
        model = LogisticRegressionCV(
            Cs=STRENGTHS, cv=3, l1_ratios=(0,), use_legacy_attributes=False, max_iter=500
        )
        guesses[name] = cross_val_predict(model, np.asarray(view)[told], known, cv=deal)
    return guesses


def accuracy_row(guesses: pd.DataFrame, *, resamples: int, seed: int) -> dict[str, float]:
    """Score guesses by accuracy, with an interval for deep minus classical over customers.

    Parameters
    ----------
    guesses : DataFrame
        From `cross_validated_guesses`, with the views ``classical`` and ``deep``.
    resamples, seed : int
        Of the bootstrap.

    Returns
    -------
    dict
        ``naive``, ``classical`` and ``deep`` (shares that are right), and ``low`` and ``high``, a
        95 % interval for deep minus classical.
    """
    right = guesses.drop(columns="answer").eq(guesses["answer"], axis=0).astype(float)
    weight = bootstrap_weights(len(right), resamples, seed) / len(right)
    low, high = interval(weight @ (right["deep"] - right["classical"]))
    return right.mean().to_dict() | {"low": low, "high": high}
