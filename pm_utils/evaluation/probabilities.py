"""Scores of predicted probabilities, and paired comparisons between models."""

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from pm_utils.evaluation.bootstrap import (
    bootstrap_weights,
    percentile_interval,
    resample_weights,
    weighted_means,
)
from pm_utils.evaluation.calibration import fit_temperature
from pm_utils.evaluation.ranking import average_precision, roc_auc
from pm_utils.formulas import log_loss, sigmoid
from pm_utils.inputs import aligned, aligned_weights, booleans, codes, labels, plain
from pm_utils.inputs import probabilities as checked_probabilities

METRICS = ("AUC", "average precision", "log loss")
_SUREST = 1e-6  # how near to 0 or 1 a probability counts in a log loss


def score_table(target: np.ndarray, probabilities: dict[str, np.ndarray]) -> pd.DataFrame:
    """Score predicted probabilities by AUC, average precision and log loss.

    Explained in chapter ``conversion``.

    Parameters
    ----------
    target : array of shape (N,), 0 or 1
    probabilities : dict of arrays of shape (N,) or (K, N)
        Of K networks one row each. In the log loss they are clipped to [10⁻⁶, 1 − 10⁻⁶], so that
        forests that say 0 or 1 have one.

    Returns
    -------
    DataFrame
        One row per model, the columns `METRICS`; of K networks the mean of their scores.

    Raises
    ------
    ValueError
        When rows cannot be matched, a target is neither 0 nor 1, or a probability lies outside
        [0, 1].

    Examples
    --------
    >>> from pm_utils.evaluation.probabilities import score_table
    >>> models = {"base rate": [0.5, 0.5, 0.5, 0.5], "network": [0.8, 0.6, 0.4, 0.2]}
    >>> score_table([1, 1, 0, 0], models).round(3)
               AUC  average precision  log loss
    base rate  0.5                0.5     0.693
    network    1.0                1.0     0.367
    """

    def scores(p: ArrayLike, name: str) -> np.ndarray:
        p, y = aligned_weights(p, target=target)  # the columns of several networks are its rows
        many = checked_probabilities(p, f"probability of {name!s}")
        each = [_outcomes_and_chances(y, one, name) for one in np.atleast_2d(many)]
        return np.mean([scores_of(*one) for one in each], axis=0)

    def scores_of(y: np.ndarray, p: np.ndarray) -> tuple[float, ...]:
        return roc_auc(y, p), average_precision(y, p), log_loss(_clipped(p), y).mean()

    rows = {name: scores(p, name) for name, p in probabilities.items()}
    return pd.DataFrame(rows, index=METRICS).T


def _outcomes_and_chances(
    target: ArrayLike, p: ArrayLike, name: str = ""
) -> tuple[np.ndarray, np.ndarray]:
    """What happened, 0 or 1, and the probability that a model gave it."""
    target, p = aligned(target=target, probability=p)
    name = f"probability of {name!s}" if name else "probability"
    return booleans(target, "target").astype(float), checked_probabilities(p, name)


def _clipped(p: np.ndarray) -> np.ndarray:
    """Probabilities whose logarithms are finite."""
    return np.clip(p, _SUREST, 1 - _SUREST)


def _losses(target: np.ndarray, p: np.ndarray) -> np.ndarray:
    """The log loss of each row."""
    p = _clipped(p)
    return -np.log(np.where(target > 0, p, 1 - p))


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

    Raises
    ------
    KeyError
        When a row's household is not among those to draw from.
    ValueError
        When a household is missing, or they are of several types.

    Examples
    --------
    >>> from pm_utils.evaluation.probabilities import household_weights
    >>> weight = household_weights([7, 7, 9], 100, seed=0)  # rows of two households
    >>> weight.shape, bool((weight[:, 0] == weight[:, 1]).all())
    ((100, 3), True)
    """
    if among is None:
        households = np.unique(labels(customers, "customers"))
    else:
        households = np.unique(labels(among, "among"))
    row = codes(customers, households, "customers")
    return bootstrap_weights(len(households), repeats, seed)[:, row]


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
        Outcomes and two models' predicted probabilities.
    weight : array of shape (R, N)
        From `household_weights`: both models are scored on the same resamples.

    Returns
    -------
    (float, float)

    Raises
    ------
    ValueError
        When the metric is unknown, rows cannot be matched, a target is neither 0 nor 1, a
        probability lies outside [0, 1], or a resample weighs nothing.

    Examples
    --------
    >>> import numpy as np
    >>> from pm_utils.evaluation.probabilities import household_weights, paired_gain
    >>> target = np.array([1, 0, 1, 0])
    >>> first, second = np.where(target, 0.8, 0.2), np.where(target, 0.6, 0.4)
    >>> weight = household_weights(range(4), 50, seed=0)
    >>> low, high = paired_gain("log loss", target, first, second, weight)
    >>> round(low, 4), round(high, 4)  # log 0.6 − log 0.8: the first costs less
    (-0.2877, -0.2877)
    """
    if metric not in METRICS:
        raise ValueError(f"{metric!r} is no metric: give one of {METRICS}")
    weight, target, first, second = aligned_weights(
        weight, target=target, first=first, second=second
    )
    (y, first), (_, second) = (
        _outcomes_and_chances(target, p, name) for name, p in (("first", first), ("second", second))
    )
    if metric == "log loss":
        weight = resample_weights(weight, len(y))
        gap = _losses(y, first) - _losses(y, second)
        return percentile_interval(weighted_means(gap, weight))
    weight = plain(weight)
    measure = roc_auc if metric == "AUC" else average_precision
    return percentile_interval(measure(y, first, weight) - measure(y, second, weight))


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

    Raises
    ------
    ValueError
        As `paired_gain`.

    Examples
    --------
    >>> import numpy as np
    >>> from pm_utils.evaluation.probabilities import household_weights, score_intervals
    >>> target, probability = np.array([1, 0, 1, 0]), np.array([0.8, 0.2, 0.8, 0.2])
    >>> ends = score_intervals(target, probability, household_weights(range(4), 50, seed=0))
    >>> {name: (round(low, 4), round(high, 4)) for name, (low, high) in ends.items()}
    {'AUC': (1.0, 1.0), 'average precision': (1.0, 1.0), 'log loss': (0.2231, 0.2231)}
    """
    weight, target, probability = aligned_weights(weight, target=target, probability=probability)
    target, probability = _outcomes_and_chances(target, probability)
    weight = resample_weights(weight, len(target))
    values = (
        roc_auc(target, probability, weight),
        average_precision(target, probability, weight),
        weighted_means(_losses(target, probability), weight),
    )
    return {name: percentile_interval(each) for name, each in zip(METRICS, values, strict=True)}


def calibrated(
    target: np.ndarray, logits: dict[str, np.ndarray]
) -> tuple[dict[str, float], pd.DataFrame]:
    """Fit a temperature to each model's logits and score the probabilities.

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

    Raises
    ------
    ValueError
        As `pm_utils.evaluation.calibration.fit_temperature`, with the model's name.

    Examples
    --------
    >>> import numpy as np
    >>> from pm_utils.evaluation.probabilities import calibrated
    >>> logit = np.array([1.0, 1.0, 1.0, -1.0]) * np.log(3)
    >>> logits = {"network": logit, "twice as sure": 2 * logit}
    >>> temperature, table = calibrated([1, 1, 0, 0], logits)
    >>> {name: round(value, 2) for name, value in temperature.items()}
    {'network': 1.0, 'twice as sure': 2.0}
    >>> table.round(3)  # a temperature moves the log loss, not the ranking
                    AUC  average precision  log loss
    network        0.75              0.667     0.562
    twice as sure  0.75              0.667     0.562
    """
    told = {f"{name!r}": logit for name, logit in logits.items()}
    target, *rows = aligned(target=target, **told)
    logits = dict(zip(logits, rows, strict=True))
    temperature = {}
    for name, logit in logits.items():
        try:
            temperature[name] = fit_temperature(target, logit)
        except ValueError as error:
            raise ValueError(f"{name}: {error}") from error
    probabilities = {
        name: sigmoid(plain(logit) / temperature[name]) for name, logit in logits.items()
    }
    return temperature, score_table(target, probabilities)
