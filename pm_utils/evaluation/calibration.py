"""Do predicted probabilities mean what they say? Reliability, error and temperature scaling."""

import numpy as np
import pandas as pd
from scipy.optimize import minimize_scalar

from pm_utils.formulas import log_sigmoid


def reliability(target: np.ndarray, probability: np.ndarray, *, bins: int = 10) -> pd.DataFrame:
    """Compare mean predicted probability and observed rate in bins of equal size.

    Parameters
    ----------
    target : array of shape (N,), 0 or 1
    probability : array of shape (N,)
        Predicted probabilities.
    bins : int
        Rows are sorted by probability and cut into so many groups of (almost) equal size.

    Returns
    -------
    DataFrame
        Per bin ``predicted``, ``observed`` (shares) and ``rows``.

    Raises
    ------
    ValueError
        When the arrays differ in length or there are fewer rows than bins.

    Examples
    --------
    >>> from pm_utils.evaluation.calibration import reliability
    >>> reliability([0, 1, 0, 1], [0.1, 0.3, 0.6, 0.8], bins=2).round(2)
       predicted  observed  rows
    0        0.2       0.5     2
    1        0.7       0.5     2
    """
    target, probability = np.asarray(target, float), np.asarray(probability, float)
    if len(target) != len(probability) or len(target) < bins:
        raise ValueError(
            f"{len(target)} targets, {len(probability)} probabilities, {bins} bins: one per row"
        )
    parts = np.array_split(np.argsort(probability, kind="stable"), bins)
    rows = [(probability[part].mean(), target[part].mean(), len(part)) for part in parts]
    return pd.DataFrame(rows, columns=["predicted", "observed", "rows"])


def calibration_error(target: np.ndarray, probability: np.ndarray, *, bins: int = 10) -> float:
    """Return the expected calibration error Σ (n_b / n) |observed_b - predicted_b|.

    Explained in chapter ``conversion``.

    Parameters
    ----------
    target, probability, bins
        As in `reliability`.

    Returns
    -------
    float
        0 where each bin's mean probability is its rate; lower is better. Chance alone makes it
        positive: small bins give a larger error.

    References
    ----------
    Guo et al. (2017), On calibration of modern neural networks, eq. 3.

    Examples
    --------
    >>> from pm_utils.evaluation.calibration import calibration_error
    >>> round(calibration_error([0, 1, 0, 1], [0.1, 0.3, 0.6, 0.8], bins=2), 4)  # (0.3 + 0.2) / 2
    0.25
    """
    table = reliability(target, probability, bins=bins)
    gap = (table["observed"] - table["predicted"]).abs()
    return float((gap * table["rows"]).sum() / table["rows"].sum())


def calibration_floor(
    probability: np.ndarray, *, bins: int = 10, repeats: int = 200, seed: int = 0
) -> float:
    """Return the mean calibration error of probabilities that are exactly right.

    Parameters
    ----------
    probability : array of shape (N,)
    bins : int
    repeats, seed : int
        Targets are drawn from the probabilities so many times.

    Returns
    -------
    float
        What an error of zero bias looks like with this many rows.

    Examples
    --------
    >>> import numpy as np
    >>> from pm_utils.evaluation.calibration import calibration_floor
    >>> one, many = np.full(1, 0.5), np.full(400, 0.5)  # one row is always half off
    >>> [round(calibration_floor(p, bins=1), 2) for p in (one, many)]
    [0.5, 0.02]
    """
    rng, probability = np.random.default_rng(seed), np.asarray(probability, float)
    draws = rng.random((repeats, len(probability))) < probability
    parts = np.array_split(np.argsort(probability, kind="stable"), bins)  # the same for all draws
    gaps = [np.abs(draws[:, part].sum(1) - probability[part].sum()) for part in parts]
    return float(np.mean(np.sum(gaps, 0)) / len(probability))


def fit_temperature(target: np.ndarray, logit: np.ndarray) -> float:
    """Return the temperature T with the least log loss of σ(logit / T).

    Parameters
    ----------
    target : array of shape (N,), 0 or 1
    logit : array of shape (N,)
        Of rows that the model was not trained on.

    Returns
    -------
    float
        Above 1 where the model was too sure, below 1 where it was too timid.

    References
    ----------
    Guo et al. (2017), On calibration of modern neural networks, §4.2.

    Examples
    --------
    >>> import numpy as np
    >>> from pm_utils.evaluation.calibration import fit_temperature
    >>> logit = np.full(4, 2 * np.log(3))  # says 0.9, three of four happen
    >>> round(fit_temperature([1, 1, 1, 0], logit), 3)
    2.0
    """
    sign = 2 * np.asarray(target, float) - 1

    def loss(log_temperature: float) -> float:
        return -float(np.mean(log_sigmoid(sign * logit / np.exp(log_temperature))))

    found = minimize_scalar(loss, bounds=(-3, 3), method="bounded", options={"xatol": 1e-6})
    return float(np.exp(found.x))


def calibration_table(
    target: np.ndarray,
    before: np.ndarray,
    after: np.ndarray,
    segment: np.ndarray,
    *,
    seed: int = 0,
) -> pd.DataFrame:
    """Compare calibration before and after scaling, for all rows and by segment.

    Explained in chapter ``conversion``.

    Parameters
    ----------
    target : array of shape (N,), 0 or 1
    before, after : arrays of shape (N,)
        Predicted probabilities.
    segment : array of shape (N,)
        A name for each row.
    seed : int
        Of the floor.

    Returns
    -------
    DataFrame
        Per segment ``rows`` (a whole number), ``redeemed`` (observed share), ``predicted`` (mean
        of `after`), ``before`` and ``after`` (`calibration_error`) and ``floor``
        (`calibration_floor`).

    Examples
    --------
    >>> import numpy as np
    >>> from pm_utils.evaluation.calibration import calibration_table
    >>> target, segment = np.tile([0, 1], 10), np.repeat(["mail", "shop"], 10)
    >>> sure, right = np.full(20, 0.9), np.full(20, 0.5)
    >>> calibration_table(target, sure, right, segment).round(2)
          rows  redeemed  predicted  before  after  floor
    all     20       0.5        0.5     0.4    0.0   0.24
    mail    10       0.5        0.5     0.5    0.5   0.50
    shop    10       0.5        0.5     0.5    0.5   0.50
    """
    segment = np.asarray(segment)
    chosen = {"all": np.ones(len(target), bool)}
    chosen |= {str(name): segment == name for name in np.unique(segment)}
    table = {
        name: {
            "rows": rows.sum(),
            "redeemed": target[rows].mean(),
            "predicted": after[rows].mean(),
            "before": calibration_error(target[rows], before[rows]),
            "after": calibration_error(target[rows], after[rows]),
            "floor": calibration_floor(after[rows], seed=seed),
        }
        for name, rows in chosen.items()
    }
    return pd.DataFrame.from_dict(table, orient="index")  # counts stay whole numbers
