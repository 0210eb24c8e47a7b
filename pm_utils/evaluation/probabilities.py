"""Scores of predicted probabilities, and paired comparisons between models."""

import numpy as np
import pandas as pd

from pm_utils.evaluation.bootstrap import bootstrap_weights, percentile_interval
from pm_utils.evaluation.calibration import fit_temperature
from pm_utils.evaluation.ranking import average_precision, roc_auc
from pm_utils.formulas import log_loss, sigmoid

METRICS = ("AUC", "average precision", "log loss")


def score_table(target: np.ndarray, probabilities: dict[str, np.ndarray]) -> pd.DataFrame:
    """Score predicted chances by AUC, average precision and log loss.

    Explained in chapter ``conversion``.

    Parameters
    ----------
    target : array of shape (N,), 0 or 1
    probabilities : dict of arrays of shape (N,) or (K, N)
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
        for name, p in probabilities.items()
    }
    return pd.DataFrame(rows, index=METRICS).T


def household_weights(
    customers: np.ndarray, repeats: int, seed: int, *, among: np.ndarray | None = None
) -> np.ndarray:
    """Draw how often each row enters resamples of households, all rows of one together.

    Explained in chapter ``conversion``.

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

    Explained in chapter ``conversion``.

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
        return percentile_interval(weight @ (each[0] - each[1]) / weight.sum(1))
    measure = roc_auc if metric == "AUC" else average_precision
    return percentile_interval(measure(target, first, weight) - measure(target, second, weight))


def score_intervals(
    target: np.ndarray, probability: np.ndarray, weight: np.ndarray
) -> dict[str, tuple[float, float]]:
    """Return the 95 % bootstrap interval of each of `METRICS`.

    Explained in chapter ``conversion``.

    Parameters
    ----------
    target, probability : arrays of shape (N,)
    weight : array of shape (R, N)
        From `household_weights`.

    Returns
    -------
    dict of (float, float)
    """
    surprise = -np.log(np.where(np.asarray(target) > 0, probability, 1 - probability))
    values = (
        roc_auc(target, probability, weight),
        average_precision(target, probability, weight),
        weight @ surprise / weight.sum(1),
    )
    return {name: percentile_interval(each) for name, each in zip(METRICS, values, strict=True)}


def calibrated(
    target: np.ndarray, logits: dict[str, np.ndarray]
) -> tuple[dict[str, float], pd.DataFrame]:
    """Fit a temperature to each model's logits and score the chances.

    Explained in chapter ``conversion``.

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
    probabilities = {name: sigmoid(logit / temperature[name]) for name, logit in logits.items()}
    return temperature, score_table(target, probabilities)
