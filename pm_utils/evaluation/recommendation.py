"""Scores of ranked candidates: within a customer's row, and over all pairs of households."""

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from pm_utils.evaluation.bootstrap import percentile_interval, resample_weights
from pm_utils.evaluation.ranking import roc_auc
from pm_utils.inputs import (
    aligned_tables,
    aligned_weights,
    booleans,
    like,
    numbers,
    plain,
    probabilities,
    whole_numbers,
)


def group_auc(target: np.ndarray, score: np.ndarray) -> np.ndarray:
    """Return the AUC inside each row; its mean, weighted by rows' lengths, is known as GAUC.

    Parameters
    ----------
    target, score : arrays of shape (H, C)
        0 or 1, and what the model said; one row per household, one column per candidate. Ties
        count half. Tables of pandas are matched by their rows and columns.

    Returns
    -------
    array of shape (H,), or Series where an input has an index
        Not a number where a row holds one class only.

    Raises
    ------
    ValueError
        When the shapes differ, rows or columns cannot be matched, a target is neither 0 nor 1, or
        a score is not finite.
    KeyError
        When a table lacks a column of the first.

    References
    ----------
    Zhou et al. (2018), Deep interest network, section 6.2.

    Examples
    --------
    >>> import numpy as np
    >>> from pm_utils.evaluation.recommendation import group_auc
    >>> target = np.array([[1, 0, 0], [1, 1, 1]])
    >>> group_auc(target, np.array([[0.2, 0.1, 0.3], [0.2, 0.1, 0.3]])).tolist()
    [0.5, nan]
    """
    given = target, score
    target, score = _pairs(target, score)
    ranks = pd.DataFrame(score.T).rank().to_numpy().T
    positive = target.sum(1)
    negative = target.shape[1] - positive
    with np.errstate(invalid="ignore", divide="ignore"):
        above = (ranks * target).sum(1) - positive * (positive + 1) / 2
        return like(above / (positive * negative), *given)


def recall_at(target: np.ndarray, score: np.ndarray, k: int) -> np.ndarray:
    """Return the share of what was bought that stands among the k best candidates of each row.

    Candidates of the score at which the k best end share the places that are left: the mean over
    all orders among them, as scikit-learn's ``ndcg_score`` averages ties.

    Parameters
    ----------
    target, score : arrays of shape (H, C)
        0 or 1, and what the model said.
    k : int
        At least 1; more than C takes all.

    Returns
    -------
    array of shape (H,), or Series where an input has an index
        Not a number where nothing was bought.

    Raises
    ------
    ValueError
        As `group_auc`; when k is below 1.

    Examples
    --------
    >>> import numpy as np
    >>> from pm_utils.evaluation.recommendation import recall_at
    >>> target, score = np.array([[1, 1, 0, 0]]), np.array([[0.9, 0.1, 0.8, 0.2]])
    >>> [recall_at(target, score, k).tolist() for k in (2, 3, 4)]
    [[0.5], [0.5], [1.0]]
    >>> recall_at(np.array([[1, 0, 0]]), np.zeros((1, 3)), 2).round(3)  # two places for three
    array([0.667])
    """
    given = target, score
    target, score = _pairs(target, score)
    k = min(int(whole_numbers(k, "k", low=1)), score.shape[1])
    last = -np.partition(-score, k - 1, axis=1)[:, k - 1 : k]  # (H, 1), the k-th best score
    above, level = score > last, score == last
    share = (k - above.sum(1)) / level.sum(1)  # of a place for each at the k-th score
    found = (target & above).sum(1) + share * (target & level).sum(1)
    with np.errstate(invalid="ignore"):
        return like(found / target.sum(1), *given)


def _pairs(
    target: ArrayLike, score: ArrayLike, name: str = "score"
) -> tuple[np.ndarray, np.ndarray]:
    """What happened, as booleans, and what a model said of it, both (H, C)."""
    if np.shape(target) != np.shape(score) or np.ndim(target) != 2:
        raise ValueError(
            f"target is {np.shape(target)} and {name} {np.shape(score)}: "
            "give one row per household and one column per candidate"
        )
    target, score = aligned_tables(target=target, **{name: score})
    return booleans(target, "target"), numbers(score, name)


def _weights(weight: ArrayLike, *households: ArrayLike) -> np.ndarray:
    """Weights of resamples (R, H), in the order of the households' first index."""
    known = next((one for one in households if isinstance(one, pd.DataFrame)), households[0])
    weight, known = aligned_weights(weight, target=known)
    return resample_weights(weight, len(known))


def log_losses(target: np.ndarray, probability: np.ndarray) -> np.ndarray:
    """Return the mean log loss of each row in nats, probabilities clipped to [10⁻⁶, 1 − 10⁻⁶].

    Explained in chapter ``interest``.

    Parameters
    ----------
    target, probability : arrays of shape (H, C)

    Returns
    -------
    array of shape (H,), or Series where an input has an index

    Raises
    ------
    ValueError
        As `group_auc`; when a probability lies outside [0, 1].

    Examples
    --------
    >>> import numpy as np
    >>> from pm_utils.evaluation.recommendation import log_losses
    >>> target = np.array([[1, 0], [1, 0]])
    >>> probability = np.array([[0.5, 0.5], [0.0, 0.0]])
    >>> log_losses(target, probability).round(4).tolist()  # log 2; −log 10⁻⁶ / 2, not infinite
    [0.6931, 6.9078]
    """
    given = target, probability
    target, probability = _pairs(target, probability, "probability")
    safe = np.clip(probabilities(probability, "probability"), 1e-6, 1 - 1e-6)
    return like(-np.where(target > 0, np.log(safe), np.log1p(-safe)).mean(1), *given)


def interest_scores(
    target: np.ndarray, probability: np.ndarray, *, k: int, weight: np.ndarray
) -> dict[str, np.ndarray]:
    """Score probabilities on the whole sample and on resamples of households.

    Parameters
    ----------
    target, probability : arrays of shape (H, C)
    k : int
        For the recall.
    weight : array of shape (R, H)
        Bootstrap weights; a first row of ones gives the sample itself. The columns of a table of
        pandas are matched with the households.

    Returns
    -------
    dict of arrays of shape (R,)
        ``AUC``, ``GAUC``, ``log loss`` and ``recall@k``; households that have no GAUC or no recall
        are left out of its mean.

    Raises
    ------
    ValueError
        As `recall_at` and `log_losses`; when the weights are not those of so many households.

    Examples
    --------
    >>> import numpy as np
    >>> from pm_utils.evaluation.recommendation import interest_scores
    >>> target, probability = np.array([[1, 0], [0, 1]]), np.array([[0.9, 0.2], [0.4, 0.3]])
    >>> weight = np.array([[1, 1], [2, 0]])  # the sample; the first household twice
    >>> scores = interest_scores(target, probability, k=1, weight=weight)
    >>> {name: values.round(3).tolist() for name, values in scores.items()}
    {'AUC': [0.75, 1.0], 'GAUC': [0.5, 1.0], 'log loss': [0.511, 0.164], 'recall@1': [0.5, 1.0]}
    """
    weight = _weights(weight, target, probability)
    target, probability = _pairs(target, probability, "probability")
    rows = {
        "GAUC": group_auc(target, probability),
        "log loss": log_losses(target, probability),
        f"recall@{k}": recall_at(target, probability, k),
    }
    means = {name: _weighted_mean(values, weight) for name, values in rows.items()}
    return {"AUC": resampled_auc(target, probability, weight)} | means


def resampled_auc(
    target: np.ndarray,
    score: np.ndarray,
    weight: np.ndarray,
    *,
    part: np.ndarray | None = None,
) -> np.ndarray:
    """Return the AUC over the pairs of all households, each counted as often as it was drawn.

    The pairs are sorted once. A resample then adds up, along that order, the weight of the pairs
    that were not bought: what stands below a purchase is the sum up to its place.

    Parameters
    ----------
    target, score : arrays of shape (H, C)
        0 or 1, and what the model said; ties count half.
    weight : array of shape (R, H)
    part : array of shape (H, C), bool, optional
        Which pairs to look at; all, where it is not given.

    Returns
    -------
    array of shape (R,)
        Not a number where one class has no weight.

    Raises
    ------
    ValueError
        As `group_auc`; when the weights are not those of so many households, or the part has
        another shape.

    Examples
    --------
    >>> import numpy as np
    >>> from pm_utils.evaluation.recommendation import resampled_auc
    >>> target, score = np.array([[1, 0], [0, 1]]), np.array([[0.9, 0.2], [0.4, 0.3]])
    >>> weight = np.array([[1, 1], [2, 0]])  # the sample; the first household twice
    >>> resampled_auc(target, score, weight).tolist()  # 3 of 4 pairs, then all
    [0.75, 1.0]
    >>> first = np.array([[True, True], [False, False]])
    >>> resampled_auc(target, score, weight, part=first).tolist()
    [1.0, 1.0]
    """
    weight = _weights(weight, target, score).astype(float)
    bought, score = _pairs(target, score)
    part = np.ones(bought.shape, bool) if part is None else _pairs(part, score)[0]
    sold, unsold = bought & part, ~bought & part
    households, negatives = np.nonzero(unsold)[0], score[unsold]
    order = np.argsort(negatives)
    households, negatives = households[order], negatives[order]
    below, upto = (np.searchsorted(negatives, score[sold], side) for side in ("left", "right"))
    buyer, total = np.nonzero(sold)[0], np.zeros(len(negatives) + 1)
    auc = np.empty(len(weight))
    with np.errstate(invalid="ignore", divide="ignore"):
        for resample, drawn in enumerate(weight):
            np.cumsum(drawn[households], out=total[1:])
            outranked = (total[below] + total[upto]) / 2  # ties count half
            auc[resample] = drawn[buyer] @ outranked / (drawn[buyer].sum() * total[-1])
    return auc


def resampled_scores(
    target: np.ndarray, probabilities: dict[str, np.ndarray], *, k: int, weight: np.ndarray
) -> dict[str, pd.DataFrame]:
    """Score several models by `interest_scores` on the sample and on the same resamples.

    Explained in chapter ``interest``.

    Parameters
    ----------
    target, k, weight
        As in `interest_scores`; `weight` without the row of ones.
    probabilities : dict of arrays that fold to (H, C)

    Returns
    -------
    dict of DataFrames
        One row per resample, the sample itself first; one column per score.

    Raises
    ------
    ValueError
        As `interest_scores`.

    Examples
    --------
    >>> import numpy as np
    >>> from pm_utils.evaluation.recommendation import resampled_scores
    >>> target, probability = np.array([[1, 0], [0, 1]]), np.array([[0.9, 0.2], [0.4, 0.3]])
    >>> weight = np.array([[2, 0], [0, 2]])
    >>> resampled_scores(target, {"network": probability}, k=1, weight=weight)["network"].round(3)
        AUC  GAUC  log loss  recall@1
    0  0.75   0.5     0.511       0.5
    1  1.00   1.0     0.164       1.0
    2  0.00   0.0     0.857       0.0
    """
    target, told = _models(target, probabilities)
    rows = _weights(weight, target, *told.values())
    rows = np.vstack([np.ones(len(target), int), rows])
    return {
        name: pd.DataFrame(interest_scores(target, probability, k=k, weight=rows))
        for name, probability in told.items()
    }


def _models(
    target: ArrayLike, probabilities: dict[str, ArrayLike]
) -> tuple[ArrayLike, dict[str, ArrayLike]]:
    """What happened and what each model said of it, all in the order of the first table."""
    told = {f"{name!r}": _folded(p, target, name) for name, p in probabilities.items()}
    target, *tables = aligned_tables(target=target, **told)
    return target, dict(zip(probabilities, tables, strict=True))


def _folded(values: ArrayLike, target: ArrayLike, name: str) -> ArrayLike:
    """One model's values of shape (H, C), also where they come as one list."""
    if np.shape(values) == np.shape(target):
        return values
    if np.size(values) != np.size(target):
        raise ValueError(f"{name!r} has {np.size(values):,} values for {np.size(target):,} pairs")
    return np.reshape(plain(values), np.shape(target))


def points_and_ends(
    resamples: dict[str, pd.DataFrame],
) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    """Return the scores of `resampled_scores` and the ends of their 95 % intervals.

    Explained in chapter ``interest``.

    Parameters
    ----------
    resamples : dict of DataFrames
        From `resampled_scores`.

    Returns
    -------
    points, low, high : DataFrame
        One row per model, one column per score.

    Raises
    ------
    ValueError
        As `pm_utils.evaluation.bootstrap.percentile_interval`.

    Examples
    --------
    >>> import pandas as pd
    >>> from pm_utils.evaluation.recommendation import points_and_ends
    >>> resamples = pd.DataFrame({"AUC": [0.8, 0.7, 0.7, 0.9, 0.9]})  # the sample comes first
    >>> points, low, high = points_and_ends({"network": resamples})
    >>> [table.loc["network", "AUC"].round(3).item() for table in (points, low, high)]
    [0.8, 0.7, 0.9]
    """
    points = pd.DataFrame({name: table.iloc[0] for name, table in resamples.items()}).T
    ends = {
        name: {score: percentile_interval(table[score].iloc[1:]) for score in table}
        for name, table in resamples.items()
    }
    table = pd.DataFrame(ends).T
    low, high = (table.map(lambda pair, end=end: pair[end]) for end in (0, 1))
    return points, low, high


def auc_by_part(
    target: np.ndarray, probabilities: dict[str, np.ndarray], parts: dict[str, np.ndarray]
) -> pd.DataFrame:
    """Return each model's AUC over parts of the pairs.

    Explained in chapter ``interest``.

    Parameters
    ----------
    target : array of shape (H, C)
    probabilities : dict of arrays that fold to (H, C)
    parts : dict of boolean arrays of shape (H, C)

    Returns
    -------
    DataFrame
        One row per model, one column per part.

    Raises
    ------
    ValueError
        As `pm_utils.evaluation.ranking.roc_auc`; when a shape is another.

    Examples
    --------
    >>> import numpy as np
    >>> from pm_utils.evaluation.recommendation import auc_by_part
    >>> target, probability = np.array([[1, 0], [0, 1]]), np.array([[0.9, 0.2], [0.4, 0.3]])
    >>> parts = {"all": target >= 0, "first row": np.array([[True, True], [False, False]])}
    >>> auc_by_part(target, {"network": probability}, parts)
              all  first row
    network  0.75        1.0
    """
    target, told = _models(target, probabilities)
    model = next((one for one in (target, *told.values()) if isinstance(one, pd.DataFrame)), target)
    masks = {
        part: booleans(aligned_tables(target=model, mask=mask)[1], part)
        for part, mask in parts.items()
    }
    told = {name: _pairs(target, each) for name, each in told.items()}
    return pd.DataFrame(
        {
            part: {name: roc_auc(*(each[mask] for each in pair)) for name, pair in told.items()}
            for part, mask in masks.items()
        }
    )


def _weighted_mean(values: np.ndarray, weight: np.ndarray) -> np.ndarray:
    known = np.isfinite(values)
    return weight[:, known] @ values[known] / weight[:, known].sum(1)
