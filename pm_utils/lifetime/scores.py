"""Scores of predicted dollars: order, concentration and level, vectorised over resamples.

Each is a function of the predictions, never of the order of the rows: customers with the same
prediction share their ranks, their dollars and their parts. Inputs that carry an index are matched
by it.
"""

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from pm_utils import inputs
from pm_utils.evaluation.bootstrap import percentile_interval

SCORES = {"Spearman": "higher", "normalised Gini": "higher", "RMSE": "lower", "total": "near 1"}


def _checked(actual: ArrayLike, predicted: ArrayLike, weight: ArrayLike | None) -> tuple:
    """Return two lists (N,) and the weights (R, N), matched by their index, or refuse them."""
    weight, actual, predicted = inputs.aligned_weights(weight, actual=actual, predicted=predicted)
    actual = inputs.numbers(actual, "actual", ndim=1).astype(float, copy=False)
    predicted = inputs.numbers(predicted, "predicted", ndim=1).astype(float, copy=False)
    if weight is None:
        return actual, predicted, np.ones((1, len(actual)))
    weight = inputs.numbers(weight, "weight", low=0).astype(float, copy=False)
    weight = np.atleast_2d(weight)
    if weight.ndim != 2 or weight.shape[1] != len(actual) or not weight.sum(1).all():
        raise ValueError(
            f"weight has shape {weight.shape}: give one per customer, {len(actual):,} in each "
            "resample, and none of 0 for all"
        )
    return actual, predicted, weight


def _models(
    actual: ArrayLike, predicted: dict[str, ArrayLike], weight: ArrayLike | None = None
) -> tuple[ArrayLike, dict[str, ArrayLike], ArrayLike | None]:
    """Return actual dollars, all predictions and the weights, matched by one index."""
    told = {f"{name!r}": dollars for name, dollars in predicted.items()}
    weight, actual, *rows = inputs.aligned_weights(weight, actual=actual, **told)
    return actual, dict(zip(predicted, rows, strict=True)), weight


def _by_value(values: np.ndarray, *amounts: np.ndarray) -> tuple[np.ndarray, ...]:
    """Sum amounts (R, N) over equal values, ascending → each value's code (N,), sums (R, K)."""
    order = np.argsort(values, kind="stable")
    new = np.append(True, np.diff(values[order]) > 0)
    code = np.empty(len(values), dtype=np.int64)
    code[order] = np.cumsum(new) - 1
    starts = np.flatnonzero(new)
    return code, *(np.add.reduceat(part[:, order], starts, axis=1) for part in amounts)


def _float_if_single(scores: np.ndarray, weight: ArrayLike | None) -> float | np.ndarray:
    single = weight is None or np.ndim(weight) == 1
    return float(scores[0]) if single else scores


def spearman(
    actual: ArrayLike, predicted: ArrayLike, weight: ArrayLike | None = None
) -> float | np.ndarray:
    """Return Spearman's rank correlation; ties share their mean rank.

    Explained in chapter ``lifetime-value``.

    Parameters
    ----------
    actual, predicted : arrays of shape (N,)
    weight : array of shape (N,) or (R, N), optional
        How often each customer counts, as from `pm_utils.evaluation.bootstrap.bootstrap_weights`;
        the columns of a table of pandas are matched with the customers.

    Returns
    -------
    float, or array of shape (R,)
        Not a number where either side is the same for all.

    Raises
    ------
    ValueError
        When the lists differ in length or in the rows of their index, are empty, a value is not
        finite, or a weight is below 0.

    Examples
    --------
    Only the order counts, not the level. Here the last two are in the wrong order, or tied.

    >>> from pm_utils.lifetime.scores import spearman
    >>> round(spearman([0, 5, 20, 30], [1, 2, 900, 800]), 3)
    0.8
    >>> round(spearman([0, 5, 20, 30], [1, 2, 800, 800]), 3)
    0.949
    """
    checked = _checked(actual, predicted, weight)
    return _float_if_single(_resampled("Spearman", *checked), weight)


def _spearman(actual: np.ndarray, predicted: np.ndarray, w: np.ndarray) -> np.ndarray:
    ranks = []
    for values in (actual, predicted):
        code, held = _by_value(values, w)
        rank = (np.cumsum(held, axis=1) - held / 2)[:, code]
        ranks.append(rank - (w * rank).sum(1, keepdims=True) / w.sum(1, keepdims=True))
    first, second = ranks
    with np.errstate(invalid="ignore", divide="ignore"):
        return (w * first * second).sum(1) / np.sqrt((w * first**2).sum(1) * (w * second**2).sum(1))


def normalised_gini(
    actual: ArrayLike, predicted: ArrayLike, weight: ArrayLike | None = None
) -> float | np.ndarray:
    """Return the Gini coefficient by predicted order over that by true order.

    Customers line up, the most promising first; the Gini coefficient is the area between the share
    of all dollars that the first ones bring and the diagonal. Customers with the same prediction
    share their dollars.

    Parameters
    ----------
    actual : array of shape (N,), dollars, at least 0 and not all the same
    predicted : array of shape (N,)
    weight : array of shape (N,) or (R, N), optional
        As in `spearman`.

    Returns
    -------
    float, or array of shape (R,)
        1 for the true order, near 0 for a random one, -1 for the reverse. Not a number for a
        resample in which all customers brought the same, since then there is no order to find.

    Raises
    ------
    ValueError
        As in `spearman`, and when dollars are below 0, all 0 or all the same.

    References
    ----------
    Wang, Liu & Miao (2019), A deep probabilistic model for customer lifetime value prediction.

    Examples
    --------
    Who brings much should stand first; a prediction that is equal for all is worth nothing.

    >>> from pm_utils.lifetime.scores import normalised_gini
    >>> round(normalised_gini([3, 1, 0], [8, 9, 7]), 3)
    0.333
    >>> abs(round(normalised_gini([3, 1, 0], [5, 5, 5]), 3))
    0.0
    """
    checked = _checked(actual, predicted, weight)
    return _float_if_single(_resampled("normalised Gini", *checked), weight)


def _gini(actual: np.ndarray, predicted: np.ndarray, w: np.ndarray) -> np.ndarray:
    if actual.min() < 0 or not actual.any():
        raise ValueError("a Gini coefficient needs dollars of at least 0, and some above it")
    if actual.min() == actual.max():
        raise ValueError(f"actual is {actual[0]:g} for all: there is no order to find")

    def area(score: np.ndarray) -> np.ndarray:
        _, count, dollars = _by_value(-score, w, w * actual)
        count, dollars = count / w.sum(1, keepdims=True), np.cumsum(dollars, axis=1)
        dollars /= dollars[:, -1:]
        return (count * (dollars + np.diff(dollars, axis=1, prepend=0) * -0.5)).sum(1) - 0.5

    least = np.where(w > 0, actual, np.inf).min(1)
    differ = np.where(w > 0, actual, -np.inf).max(1) > least
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(differ, area(predicted) / area(actual), np.nan)


def value_scores(
    actual: ArrayLike, predicted: ArrayLike, weight: ArrayLike | None = None
) -> dict[str, float | np.ndarray]:
    """Score predicted dollars in all four ways.

    Parameters
    ----------
    actual, predicted : arrays of shape (N,), dollars
    weight : array of shape (N,) or (R, N), optional
        As in `spearman`.

    Returns
    -------
    dict
        By `SCORES`: Spearman and normalised Gini judge the order, RMSE (root mean squared error in
        dollars) and total (predicted over actual) the level. Total is not a number for a resample
        in which nobody spent.

    Raises
    ------
    ValueError
        As in `normalised_gini`.

    Examples
    --------
    The order is right, the level twice too high.

    >>> from pm_utils.lifetime.scores import value_scores
    >>> scores = value_scores([0.0, 2.0, 10.0], [1.0, 3.0, 20.0])
    >>> {name: round(score, 3) for name, score in scores.items()}
    {'Spearman': 1.0, 'normalised Gini': 1.0, 'RMSE': 5.831, 'total': 2.0}
    """
    checked = _checked(actual, predicted, weight)
    return {name: _float_if_single(_resampled(name, *checked), weight) for name in SCORES}


def _rmse(actual: np.ndarray, predicted: np.ndarray, w: np.ndarray) -> np.ndarray:
    return np.sqrt(w @ (actual - predicted) ** 2 / w.sum(1))


def _total(actual: np.ndarray, predicted: np.ndarray, w: np.ndarray) -> np.ndarray:
    spent = w @ actual
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(spent > 0, (w @ predicted) / spent, np.nan)


_FUNCTIONS = dict(zip(SCORES, (_spearman, _gini, _rmse, _total), strict=True))
_AT_ONCE = 50  # resamples: few enough to stay in the processor's cache


def _resampled(metric: str, actual: np.ndarray, predicted: np.ndarray, w: np.ndarray) -> np.ndarray:
    """One of `SCORES` on each row of the weights (R, N) → (R,)."""
    parts = (w[start : start + _AT_ONCE] for start in range(0, len(w), _AT_ONCE))
    return np.concatenate([_FUNCTIONS[metric](actual, predicted, part) for part in parts])


def decile_table(actual: np.ndarray, predicted: np.ndarray, *, bins: int = 10) -> pd.DataFrame:
    """Compare predicted with actual dollars among customers of like predictions.

    Explained in chapter ``lifetime-value``.

    Parameters
    ----------
    actual, predicted : arrays of shape (N,)
    bins : int
        Parts of equal size, by rising prediction. Customers with the same prediction whom a cut
        divides count in each part for a share of one, the same for all of them.

    Returns
    -------
    DataFrame
        Indexed by part from 1: ``predicted`` and ``actual``, mean dollars, and ``error``, the
        standard error of the latter.

    Raises
    ------
    ValueError
        As in `spearman`, when `bins` is not whole, or there are fewer than two customers per part.

    Examples
    --------
    >>> from pm_utils.lifetime.scores import decile_table
    >>> decile_table([1.0, 3.0, 9.0, 11.0], [3.0, 3.0, 8.0, 8.0], bins=2).reset_index()
       part  predicted  actual  error
    0     1        3.0     2.0    1.0
    1     2        8.0    10.0    1.0
    """
    actual, predicted, _ = _checked(actual, predicted, None)
    bins = int(inputs.whole_numbers(bins, "bins"))
    if bins < 1 or len(actual) < 2 * bins:
        raise ValueError(f"{len(actual)} customers in {bins} parts: give at least two in each")
    order = np.argsort(predicted, kind="stable")
    actual, predicted = actual[order], predicted[order]
    new = np.append(True, np.diff(predicted) > 0)
    tie = np.cumsum(new) - 1
    start = np.append(np.flatnonzero(new), len(actual))  # of each group of ties, and the end
    ends = np.append(0, np.cumsum([len(part) for part in np.array_split(actual, bins)]))
    rows = []
    for low, high in zip(ends[:-1], ends[1:], strict=True):
        part = slice(start[tie[low]], start[tie[high - 1] + 1])  # with all of the groups it cuts
        group = tie[part]
        inside = np.minimum(start[group + 1], high) - np.maximum(start[group], low)
        share = inside / (start[group + 1] - start[group])
        rows.append((predicted[low:high].mean(), *_mean_and_error(actual[part], share)))
    index = pd.RangeIndex(1, bins + 1, name="part")
    return pd.DataFrame(rows, index, ["predicted", "actual", "error"])


def _mean_and_error(values: np.ndarray, share: np.ndarray) -> tuple[float, float]:
    """Mean and its standard error, of rows that count for shares of one."""
    if (share == 1).all():
        return values.mean(), values.std(ddof=1) / len(values) ** 0.5
    count = share.sum()
    mean = share @ values / count
    return mean, np.sqrt(share @ (values - mean) ** 2 / (count - 1) / count)


def decile_error(actual: np.ndarray, predicted: np.ndarray, *, bins: int = 10) -> float:
    """Return the mean over parts of |predicted - actual| / actual; see `decile_table`.

    Lower is better.

    Raises
    ------
    ValueError
        As in `decile_table`, and when a part brought nothing: an error relative to 0 has no value.

    Examples
    --------
    Two parts: 3 predicted for 2, and 8 for 10, so half of (1/2 + 1/5).

    >>> from pm_utils.lifetime.scores import decile_error
    >>> round(decile_error([1.0, 3.0, 9.0, 11.0], [3.0, 3.0, 8.0, 8.0], bins=2), 3)
    0.35
    """
    table = decile_table(actual, predicted, bins=bins)
    if (nothing := table["actual"] <= 0).any():
        parts = ", ".join(map(str, table.index[nothing]))
        raise ValueError(
            f"part {parts} of {bins} brought nothing, so has no relative error: give fewer bins, "
            "or compare dollars by decile_table"
        )
    return float(((table["predicted"] - table["actual"]).abs() / table["actual"]).mean())


def value_score_table(actual: np.ndarray, predicted: dict[str, np.ndarray]) -> pd.DataFrame:
    """Score several models: one row each, the columns of `SCORES` and ``decile error``.

    Explained in chapter ``lifetime-value``.

    Parameters
    ----------
    actual : array of shape (N,), dollars
    predicted : dict of arrays of shape (N,)
        By model; at least 20 customers, for ten parts.

    Returns
    -------
    DataFrame
        ``decile error`` is not a number where a tenth brought nothing, see `decile_error`.

    Raises
    ------
    ValueError
        As in `value_scores` and `decile_table`.

    Examples
    --------
    >>> import numpy as np
    >>> from pm_utils.lifetime.scores import value_score_table
    >>> dollars = np.arange(1.0, 21.0)
    >>> value_score_table(dollars, {"oracle": dollars, "twice": 2 * dollars}).round(2)
            Spearman  normalised Gini   RMSE  total  decile error
    oracle       1.0              1.0   0.00    1.0           0.0
    twice        1.0              1.0  11.98    2.0           1.0
    """
    rows = {}
    actual, predicted, _ = _models(actual, predicted)
    for name, dollars in predicted.items():
        some = (decile_table(actual, dollars)["actual"] > 0).all()
        error = decile_error(actual, dollars) if some else np.nan
        rows[name] = value_scores(actual, dollars) | {"decile error": error}
    return pd.DataFrame(rows).T


def value_score_intervals(
    actual: np.ndarray, predicted: dict[str, np.ndarray], weight: np.ndarray
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return the lower and upper ends of the 95 % bootstrap intervals of `SCORES`.

    Explained in chapter ``lifetime-value``.

    Parameters
    ----------
    actual : array of shape (N,)
    predicted : dict of arrays of shape (N,)
    weight : array of shape (R, N)
        How often each customer counts in each resample.

    Returns
    -------
    low, high : DataFrame
        One row per model.

    Examples
    --------
    >>> import numpy as np
    >>> from pm_utils.evaluation.bootstrap import bootstrap_weights
    >>> from pm_utils.lifetime.scores import value_score_intervals
    >>> dollars, weight = np.arange(1.0, 21.0), bootstrap_weights(20, 50, seed=0)
    >>> low, high = value_score_intervals(dollars, {"a dollar more": dollars + 1}, weight)
    >>> low["RMSE"].tolist(), high["RMSE"].tolist()  # off by one dollar in every resample
    ([1.0], [1.0])
    >>> (low["total"] < high["total"]).tolist()
    [True]
    """
    actual, predicted, weight = _models(actual, predicted, weight)
    resampled = {k: value_scores(actual, dollars, weight) for k, dollars in predicted.items()}
    ends = pd.DataFrame(resampled).T.map(percentile_interval)
    return tuple(ends.map(lambda pair, end=end: pair[end]) for end in (0, 1))


def paired_value_gain(
    metric: str, actual: np.ndarray, first: np.ndarray, second: np.ndarray, weight: np.ndarray
) -> tuple[float, float]:
    """Return the 95 % interval of a score of `first` minus that of `second`, on equal resamples.

    Explained in chapter ``lifetime-value``.

    Parameters
    ----------
    metric : str
        One of `SCORES`.
    actual, first, second : arrays of shape (N,)
    weight : array of shape (R, N)

    Returns
    -------
    (float, float)
        For an error such as RMSE, an interval below 0 speaks for `first`.

    Raises
    ------
    KeyError
        When the metric is none of `SCORES`.
    ValueError
        As in `value_scores`.

    Examples
    --------
    The first model is off by one dollar everywhere, the second by three.

    >>> import numpy as np
    >>> from pm_utils.evaluation.bootstrap import bootstrap_weights
    >>> from pm_utils.lifetime.scores import paired_value_gain
    >>> dollars, weight = np.arange(1.0, 21.0), bootstrap_weights(20, 50, seed=0)
    >>> paired_value_gain("RMSE", dollars, dollars + 1, dollars + 3, weight)
    (-2.0, -2.0)
    """
    if metric not in SCORES:
        raise KeyError(f"metric is {metric!r}: give one of {', '.join(SCORES)}")
    actual, both, weight = _models(actual, {"first": first, "second": second}, weight)
    checked = [_checked(actual, dollars, weight) for dollars in both.values()]
    resampled = [_resampled(metric, *one) for one in checked]
    return percentile_interval(resampled[0] - resampled[1])
