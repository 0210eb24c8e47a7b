"""Do predicted probabilities mean what they say? Reliability, error and temperature scaling."""

from collections.abc import Callable

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from scipy.optimize import minimize_scalar

from pm_utils.formulas import log_sigmoid
from pm_utils.inputs import (
    aligned,
    booleans,
    labels,
    numbers,
    plain,
    probabilities,
    whole_numbers,
)

_TABLE_BINS = 10  # of `calibration_table`
_REACH = 3.0  # of one search for a temperature, in units of its logarithm


def reliability(target: np.ndarray, probability: np.ndarray, *, bins: int = 10) -> pd.DataFrame:
    """Compare mean predicted probability and observed rate in bins of equal size.

    Rows of one probability stay in one bin, the lowest that any of them would fall into, whatever
    their order; bins that are left empty drop out. Where `bins` divides the rows, these are the
    bins of scikit-learn's ``calibration_curve(strategy="quantile")``.

    Parameters
    ----------
    target : array of shape (N,), 0 or 1
        Or the true probability, where a simulation knows it.
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
        When the arrays cannot be matched, there are fewer rows than bins, a target is neither 0
        nor 1 nor a probability, or a probability is missing or outside [0, 1].

    Examples
    --------
    >>> from pm_utils.evaluation.calibration import reliability
    >>> reliability([0, 1, 0, 1], [0.1, 0.3, 0.6, 0.8], bins=2).round(2)
       predicted  observed  rows
    0        0.2       0.5     2
    1        0.7       0.5     2
    """
    target, probability = aligned(target=target, probability=probability)
    target, probability = _outcomes(target), _chances(probability)
    parts = _bins(probability, bins)
    rows = [(probability[part].mean(), target[part].mean(), len(part)) for part in parts]
    return pd.DataFrame(rows, columns=["predicted", "observed", "rows"])


def _outcomes(target: ArrayLike) -> np.ndarray:
    """What happened, as 0 and 1, or the probability of it."""
    array = plain(target)
    if array.dtype.kind == "f" and ((array >= 0) & (array <= 1)).all():
        return array.astype(float)
    return booleans(target, "target").astype(float)


def _chances(values: ArrayLike, name: str = "probability") -> np.ndarray:
    """A list of probabilities as 64-bit floats."""
    return numbers(probabilities(values, name), name, ndim=1).astype(float)


def _bins(probability: np.ndarray, bins: int) -> list[np.ndarray]:
    """The rows of each bin, by probability; equal ones share the bin of the first of them."""
    bins = int(whole_numbers(bins, "bins", low=1))
    if len(probability) < bins:
        raise ValueError(f"{len(probability):,} rows make no {bins} bins: ask for fewer bins")
    order = np.argsort(probability, kind="stable")
    ranked = probability[order]
    first = np.flatnonzero(np.r_[True, ranked[1:] != ranked[:-1]])  # of each probability
    cuts = np.cumsum([len(part) for part in np.array_split(order, bins)])[:-1]
    bin_of_first = np.searchsorted(cuts, first, side="right")
    starts = first[np.r_[True, bin_of_first[1:] != bin_of_first[:-1]]]
    return np.split(order, starts[1:])


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

    Raises
    ------
    ValueError
        As `reliability`.

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
        What an error of zero bias looks like with this many rows, in the bins of `reliability`.

    Raises
    ------
    ValueError
        When there are fewer rows than bins, or a probability is missing or outside [0, 1].

    Examples
    --------
    >>> import numpy as np
    >>> from pm_utils.evaluation.calibration import calibration_floor
    >>> one, many = np.full(1, 0.5), np.full(400, 0.5)  # one row is always half off
    >>> [round(calibration_floor(p, bins=1), 2) for p in (one, many)]
    [0.5, 0.02]
    """
    whole_numbers(repeats, "repeats", low=1)
    rng, probability = np.random.default_rng(seed), _chances(probability)
    draws = rng.random((repeats, len(probability))) < probability
    parts = _bins(probability, bins)  # the same for all draws
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
        Above 1 where the model was too sure, below 1 where it was too timid. Logits in another
        unit give the temperature in that unit.

    Raises
    ------
    ValueError
        When the rows cannot be matched, a target is neither 0 nor 1, a logit is not finite, or no
        temperature is best: where every logit has the right sign it would be 0, and where logits
        say the opposite of what happened, or nothing, it would be infinite.

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
    target, logit = aligned(target=target, logit=logit)
    sign = 2 * booleans(target, "target").astype(float) - 1
    logit = numbers(logit, "logit", ndim=1)
    right = sign * logit
    _refuse_endless(right)
    size = np.abs(logit).mean()
    unit = 1.0 if 0.01 < size < 100 else size  # a unit of their own for logits far from 1

    def loss(log_temperature: float) -> float:
        return -float(np.mean(log_sigmoid(right / unit / np.exp(log_temperature))))

    return float(unit * np.exp(_least(loss)))


def _refuse_endless(right: np.ndarray) -> None:
    """Refuse logits, positive where they are right, whose loss falls as T goes to 0 or without end.

    The loss is convex in 1 / T: it has a least value unless all are right, or it rises at once.
    """
    if not right.mean() > 0:
        raise ValueError(
            f"the temperature has no upper bound: logits that say nothing of what happened, or the "
            f"opposite (mean of logit × sign {right.mean():.3g}), have no scale to fit"
        )
    if (right >= 0).all():
        raise ValueError(
            f"the temperature ends at its lower bound 0: all {len(right):,} logits have the right "
            "sign; fit it on more rows"
        )


def _least(loss: Callable[[float], float]) -> float:
    """Where a function with one valley is least; the search moves on from an end it runs into."""
    middle = 0.0
    for _ in range(100):
        ends = middle - _REACH, middle + _REACH
        found = minimize_scalar(loss, bounds=ends, method="bounded", options={"xatol": 1e-6}).x
        if min(found - ends[0], ends[1] - found) > 1e-3:
            return found
        middle = found
    raise ValueError(f"the logarithm of the temperature runs to {middle:.0f}: no temperature fits")


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

    Raises
    ------
    ValueError
        As `reliability`; when a row has no segment, segments are of several types, or one has fewer
        rows than the 10 bins.

    Examples
    --------
    >>> import numpy as np
    >>> from pm_utils.evaluation.calibration import calibration_table
    >>> target, segment = np.tile([0, 1], 10), np.repeat(["mail", "shop"], 10)
    >>> sure, right = np.full(20, 0.9), np.full(20, 0.5)
    >>> calibration_table(target, sure, right, segment).round(2)
          rows  redeemed  predicted  before  after  floor
    all     20       0.5        0.5     0.4    0.0   0.09
    mail    10       0.5        0.5     0.4    0.0   0.12
    shop    10       0.5        0.5     0.4    0.0   0.12
    """
    target, before, after, segment = aligned(
        target=target, before=before, after=after, segment=segment
    )
    target, segment = _outcomes(target), labels(segment, "segment")
    before, after = _chances(before, "before"), _chances(after, "after")
    names, sizes = np.unique(segment, return_counts=True)
    if (sizes < _TABLE_BINS).any():
        small = sizes.argmin()
        raise ValueError(
            f"segment {names[small]!s} has {sizes[small]} rows for {_TABLE_BINS} bins: "
            "join it to another"
        )
    chosen = {"all": np.ones(len(target), bool)}
    chosen |= {str(name): segment == name for name in names}
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
