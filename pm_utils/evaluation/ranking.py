"""Ranking metrics, vectorised over resamples.

Metrics take weights of shape (R, N): one row of weights per bootstrap resample. A
resample of customers is then nothing but a row of counts, and R resamples cost one sort.

Every metric is a function of the scores, not of the order of rows: equal scores are one step, and
count half in pairs, as in scikit-learn."""

from dataclasses import dataclass
from typing import Self

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from pm_utils.inputs import aligned_tables, aligned_weights, booleans, numbers, plain

RANKING_NAMES = {
    "macro_ap": "macro average precision",
    "macro_auc": "macro AUC",
    "micro_ap": "micro average precision",
    "micro_auc": "micro AUC",
}
_LARGEST = 2**29  # sum of weights that 32-bit integers hold in all that is made of it
_CHUNK = 100_000  # numbers per temporary array, to bound the memory


def average_precision(
    target: ArrayLike, score: ArrayLike, weight: ArrayLike | None = None
) -> float | np.ndarray:
    """Return the average precision, the area under the precision–recall steps.

    Parameters
    ----------
    target : array of shape (N,), 0 or 1
    score : array of shape (N,)
        Higher means more likely; ties are taken as one step, as by scikit-learn.
    weight : array of shape (N,) or (R, N), optional
        How much each row counts, at least 0. The columns of a table of pandas are matched with the
        rows.

    Returns
    -------
    float, or array of shape (R,)
        Between 0 and 1, higher is better; not a number where no positive has any weight.

    Raises
    ------
    ValueError
        When the arrays cannot be matched or are empty, a target is neither 0 nor 1, a score is not
        finite, or the weights are negative, not finite, or have not one column per row.

    References
    ----------
    Davis & Goadrich (2006), The relationship between precision-recall and ROC curves.

    Examples
    --------
    >>> from pm_utils.evaluation.ranking import average_precision
    >>> round(average_precision([1, 0, 1, 0], [0.9, 0.8, 0.7, 0.1]), 4)  # (1/1 + 2/3) / 2
    0.8333
    >>> average_precision([1, 0, 0, 0], [0.5, 0.5, 0.5, 0.5])  # all tied: the share of positives
    0.25
    """
    return _ap_and_auc(*_checked(target, score, weight))[0]


def roc_auc(
    target: ArrayLike, score: ArrayLike, weight: ArrayLike | None = None
) -> float | np.ndarray:
    """Return the probability that a positive outranks a negative, ties counting half.

    Parameters, returns and errors are those of `average_precision`; not a number where one class
    has no weight.

    Explained in chapter ``formulas``.

    References
    ----------
    Hanley & McNeil (1982), The meaning and use of the area under a receiver operating
    characteristic (ROC) curve.

    Examples
    --------
    >>> from pm_utils.evaluation.ranking import roc_auc
    >>> roc_auc([1, 0, 1, 0], [0.9, 0.8, 0.7, 0.1])  # 3 of 4 pairs stand in the right order
    0.75
    >>> roc_auc([1, 0], [0.5, 0.5])
    0.5
    >>> roc_auc([1, 0, 1, 0], [0.9, 0.8, 0.7, 0.1], weight=[[1, 1, 1, 1], [1, 0, 1, 2]]).tolist()
    [0.75, 1.0]
    """
    return _ap_and_auc(*_checked(target, score, weight))[1]


def ranking_scores(
    target: np.ndarray,
    score: np.ndarray,
    *,
    weight: np.ndarray | None = None,
    mask: np.ndarray | None = None,
    micro: bool = True,
) -> dict[str, float | np.ndarray]:
    """Score predicted tags: macro (mean over tags) and micro (all pairs in one list).

    Explained in chapter ``customer-profile``.

    Parameters
    ----------
    target, score : arrays of shape (N, K)
        What happened (0 or 1) and the predicted probability, per customer and tag. Tables of
        pandas are matched by their rows and columns.
    weight : array of shape (N,) or (R, N), optional
        Bootstrap weights over customers, matched by the index of a Series or the columns of
        a table.
    mask : boolean array of shape (N, K), optional
        Which pairs count, the others may hold anything; tags without a positive among them are
        left out of the macro mean.
    micro : bool
        Leave out the micro scores, which take most of the time, by giving False.

    Returns
    -------
    dict
        ``macro_ap``, ``macro_auc``, ``micro_ap``, ``micro_auc``: floats, or arrays of shape (R,).

    Raises
    ------
    ValueError
        When the shapes differ, rows cannot be matched, no pair that counts is positive, or one has
        a target that is neither 0 nor 1 or a score that is not finite.
    KeyError
        When a table lacks a column of the target.

    Examples
    --------
    >>> import numpy as np
    >>> from pm_utils.evaluation.ranking import ranking_scores
    >>> target = np.array([[1, 0], [0, 1], [0, 0]])  # three customers, two tags
    >>> score = np.array([[0.9, 0.1], [0.2, 0.3], [0.1, 0.6]])
    >>> {name: round(float(value), 4) for name, value in ranking_scores(target, score).items()}
    {'macro_ap': 0.75, 'macro_auc': 0.75, 'micro_ap': 0.8333, 'micro_auc': 0.875}
    """
    weight = _of_customers(weight, target, score, mask)
    target, score, keep = _checked_tags(target, score, mask)
    if not target[keep].any():
        raise ValueError("no pair that counts is positive: there is nothing to rank")
    rows = [np.flatnonzero(keep[:, tag]) for tag in range(target.shape[1])]
    per_tag = [
        _ap_and_auc(target[r, tag], score[r, tag], weight, r)
        for tag, r in enumerate(rows)
        if target[r, tag].any()
    ]
    macro = np.nanmean(np.array(per_tag), axis=0)
    scores = {"macro_ap": macro[0], "macro_auc": macro[1]}
    if micro:
        pooled = _ap_and_auc(target[keep], score[keep], weight, np.nonzero(keep)[0])
        scores |= {"micro_ap": pooled[0], "micro_auc": pooled[1]}
    return scores


def ranking_table(
    target: np.ndarray, scores: dict[str, np.ndarray], *, mask: np.ndarray | None = None
) -> pd.DataFrame:
    """Score several models by `ranking_scores`.

    Explained in chapter ``customer-profile``.

    Parameters
    ----------
    target, mask
        As in `ranking_scores`.
    scores : dict of arrays of shape (N, K)
        The predicted probabilities of each model.

    Returns
    -------
    DataFrame
        One row per model, one column per score under its full name.

    Raises
    ------
    ValueError, KeyError
        As `ranking_scores`.

    Examples
    --------
    >>> import numpy as np
    >>> from pm_utils.evaluation.ranking import ranking_table
    >>> target = np.array([[1, 0], [0, 1], [0, 0]])
    >>> network = np.array([[0.9, 0.1], [0.2, 0.3], [0.1, 0.6]])
    >>> table = ranking_table(target, {"network": network, "flipped": 1 - network})
    >>> table["macro AUC"].to_dict()
    {'network': 0.75, 'flipped': 0.25}
    """
    told = {f"{name!r}": score for name, score in scores.items()}
    target, mask, *tables = aligned_tables(target=target, mask=mask, **told)
    told = dict(zip(scores, tables, strict=True))
    rows = {name: ranking_scores(target, score, mask=mask) for name, score in told.items()}
    return pd.DataFrame(rows).T.rename(columns=RANKING_NAMES)[list(RANKING_NAMES.values())]


def _checked(
    target: ArrayLike, score: ArrayLike, weight: ArrayLike | None
) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
    """What a metric of one list takes, as arrays."""
    if np.shape(target) != np.shape(score) or np.ndim(target) != 1:
        raise ValueError(
            f"target is {np.shape(target)} and score {np.shape(score)}: "
            "give two lists of one length"
        )
    weight, target, score = aligned_weights(weight, target=target, score=score)
    weight = None if weight is None else _weights(weight, len(target))
    return booleans(target, "target"), numbers(score, "score").astype(float), weight


def _checked_tags(
    target: ArrayLike, score: ArrayLike, mask: ArrayLike | None
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Targets, scores and which pairs count, as arrays (N, K)."""
    target, score, mask = aligned_tables(target=target, score=score, mask=mask)
    if mask is None:
        keep = np.ones(np.shape(target), bool)
    else:
        keep = booleans(mask, "mask")
        target, score = (_where(keep, each) for each in (target, score))
    return booleans(target, "target"), numbers(score, "score", ndim=2), keep


def _where(keep: np.ndarray, values: ArrayLike) -> ArrayLike:
    """The values with 0 for those that do not count."""
    if isinstance(values, pd.DataFrame):
        return values.where(keep, 0)
    return np.where(keep, plain(values), 0)


def _of_customers(weight: ArrayLike | None, *tables: ArrayLike | None) -> np.ndarray | None:
    """Weights of customers, in the order of the first table that has an index."""
    if weight is None:
        return None
    known = next((one for one in tables if isinstance(one, pd.DataFrame)), tables[0])
    weight, known = aligned_weights(weight, target=known)
    return _weights(weight, len(known))


def _ap_and_auc(
    target: np.ndarray,
    score: np.ndarray,
    weight: np.ndarray | None,
    units: np.ndarray | None = None,
) -> tuple[float, float] | tuple[np.ndarray, np.ndarray]:
    """Both metrics; `units` says which column of the weights belongs to each row of the list."""
    if weight is None:
        weight, units = np.ones(len(target), np.int32), None
    units = np.arange(len(target)) if units is None else units
    order = np.argsort(-score, kind="stable")
    steps = _Steps.of(target[order], score[order])
    if weight.ndim == 1:
        ap, auc = steps.score(weight[None, units[order]])
        return float(ap[0]), float(auc[0])
    chunk = max(1, _CHUNK // len(target))
    parts = [
        steps.score(weight[at : at + chunk].take(units[order], axis=1))
        for at in range(0, len(weight), chunk)
    ]
    return np.concatenate([ap for ap, _ in parts]), np.concatenate([auc for _, auc in parts])


def _weights(weight: ArrayLike, rows: int) -> np.ndarray:
    """Return counts as 32-bit integers, which sum fastest, and other weights as floats.

    Counts whose sums those cannot hold become floats, too.
    """
    array = plain(weight)
    if array.ndim not in (1, 2) or array.shape[-1] != rows:
        raise ValueError(f"weight is {array.shape}: give one column per row, {rows}")
    if array.dtype.kind == "b" or (
        array.dtype.kind in "iu" and (array >= 0).all() and int(array.max()) * rows <= _LARGEST
    ):
        return array.astype(np.int32, copy=False)
    if array.dtype.kind == "i" and (array >= 0).all():
        small = array.sum(-1, dtype=float).max() <= _LARGEST
        return array.astype(np.int32 if small else float, copy=False)
    return numbers(weight, "weight", low=0).astype(float, copy=False)


@dataclass(frozen=True)
class _Steps:
    """Where the positives of a sorted list stand; equal scores make one step.

    Attributes
    ----------
    positives : array of shape (P,)
        Places of the positives.
    begin, end : arrays of shape (P,)
        For each, how many rows stand before its step, and up to its end.
    begin_positives, end_positives : arrays of shape (P,)
        The same for positive rows.
    """

    positives: np.ndarray
    begin: np.ndarray
    end: np.ndarray
    begin_positives: np.ndarray
    end_positives: np.ndarray

    @classmethod
    def of(cls, target: np.ndarray, score: np.ndarray) -> Self:
        """Find the steps of a list whose highest score comes first."""
        positives = np.flatnonzero(target)
        edges = np.flatnonzero(np.r_[True, score[1:] != score[:-1], True])
        step = np.searchsorted(edges, positives, side="right")
        begin, end = edges[step - 1], edges[step]
        return cls(positives, begin, end, *np.searchsorted(positives, (begin, end)))

    def score(self, weight: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return both metrics for every row of weights (R, N), sorted as the list is."""
        gained = weight.take(self.positives, axis=1)
        rows, positives = _summed(weight), _summed(gained)  # (R, N + 1), (R, P + 1)
        total, found = rows.take(self.end, axis=1), positives.take(self.end_positives, axis=1)
        before = rows.take(self.begin, axis=1) - positives.take(self.begin_positives, axis=1)
        negatives = rows[:, -1] - positives[:, -1]
        with np.errstate(invalid="ignore", divide="ignore"):
            precision = np.where(total > 0, found / total, 0)
            ap = np.einsum("rp,rp->r", gained, precision) / positives[:, -1]
            above = (total - found + before) / (2 * negatives[:, None])
            auc = 1 - np.einsum("rp,rp->r", gained, above) / positives[:, -1]
        return ap, auc


def _summed(weight: np.ndarray) -> np.ndarray:
    """Cumulate along the rows, from 0."""
    total = np.zeros((len(weight), weight.shape[1] + 1), weight.dtype)
    np.cumsum(weight, axis=1, out=total[:, 1:])
    return total
