"""Scores of ranked candidates: within a customer's row, and over all pairs of households."""

import numpy as np
import pandas as pd

from pm_utils.evaluation.ranking import roc_auc


def group_auc(target: np.ndarray, score: np.ndarray) -> np.ndarray:
    """Return the AUC inside each row; its mean, weighted by rows' lengths, is known as GAUC.

    Parameters
    ----------
    target, score : arrays of shape (H, C)
        0 or 1, and what the model said; one row per household, one column per candidate. Ties
        count half.

    Returns
    -------
    array of shape (H,)
        Not a number where a row holds one class only.

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
    ranks = pd.DataFrame(score.T).rank().to_numpy().T
    positive = target.sum(1)
    negative = target.shape[1] - positive
    with np.errstate(invalid="ignore", divide="ignore"):
        above = (ranks * target).sum(1) - positive * (positive + 1) / 2
        return above / (positive * negative)


def recall_at(target: np.ndarray, score: np.ndarray, k: int) -> np.ndarray:
    """Return the share of what was bought that stands among the k best candidates of each row.

    Parameters
    ----------
    target, score : arrays of shape (H, C)
        0 or 1, and what the model said; of equal scores the first candidate counts as the best.
    k : int

    Returns
    -------
    array of shape (H,)
        Not a number where nothing was bought.

    Examples
    --------
    >>> import numpy as np
    >>> from pm_utils.evaluation.recommendation import recall_at
    >>> target, score = np.array([[1, 1, 0, 0]]), np.array([[0.9, 0.1, 0.8, 0.2]])
    >>> [recall_at(target, score, k).tolist() for k in (2, 3, 4)]
    [[0.5], [0.5], [1.0]]
    """
    best = np.argsort(-score, axis=1, kind="stable")[:, :k]
    with np.errstate(invalid="ignore"):
        return np.take_along_axis(target, best, 1).sum(1) / target.sum(1)


def log_losses(target: np.ndarray, probability: np.ndarray) -> np.ndarray:
    """Return the mean log loss of each row in nats, probabilities clipped to [10⁻⁶, 1 − 10⁻⁶].

    Parameters
    ----------
    target, probability : arrays of shape (H, C)

    Returns
    -------
    array of shape (H,)

    Examples
    --------
    >>> import numpy as np
    >>> from pm_utils.evaluation.recommendation import log_losses
    >>> target = np.array([[1, 0], [1, 0]])
    >>> probability = np.array([[0.5, 0.5], [0.0, 0.0]])
    >>> log_losses(target, probability).round(4).tolist()  # log 2; −log 10⁻⁶ / 2, not infinite
    [0.6931, 6.9078]
    """
    safe = np.clip(probability, 1e-6, 1 - 1e-6)
    return -np.where(target > 0, np.log(safe), np.log1p(-safe)).mean(1)


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
        Bootstrap weights; a first row of ones gives the sample itself.

    Returns
    -------
    dict of arrays of shape (R,)
        ``AUC``, ``GAUC``, ``log loss`` and ``recall@k``.

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
    rows = {
        "GAUC": group_auc(target, probability),
        "log loss": log_losses(target, probability),
        f"recall@{k}": recall_at(target, probability, k),
    }
    means = {name: _weighted_mean(values, weight) for name, values in rows.items()}
    return {"AUC": resampled_auc(target, probability, weight)} | means


def resampled_auc(target: np.ndarray, score: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """Return the AUC over the pairs of all households, each counted as often as it was drawn.

    How many pairs of household g each purchase of household h outranks is counted once, in a matrix
    A of H × H. With weights w the AUC is wᵀ A w / (wᵀ p · wᵀ n), where p and n count what each
    household bought and did not; a resample costs a product with A, not a pass over all pairs.

    Parameters
    ----------
    target, score : arrays of shape (H, C)
        0 or 1, and what the model said; ties count half.
    weight : array of shape (R, H)

    Returns
    -------
    array of shape (R,)
        Not a number where one class has no weight.

    Examples
    --------
    >>> import numpy as np
    >>> from pm_utils.evaluation.recommendation import resampled_auc
    >>> target, score = np.array([[1, 0], [0, 1]]), np.array([[0.9, 0.2], [0.4, 0.3]])
    >>> weight = np.array([[1, 1], [2, 0]])  # the sample; the first household twice
    >>> resampled_auc(target, score, weight).tolist()  # 3 of 4 pairs, then all
    [0.75, 1.0]
    """
    bought = target > 0
    order = np.argsort(score[bought])
    household, positives = np.nonzero(bought)[0][order], score[bought][order]
    above = np.empty((len(target), len(target)))
    for other in range(len(target)):
        negatives = np.sort(score[other, ~bought[other]])
        sides = [np.searchsorted(negatives, positives, side=side) for side in ("left", "right")]
        above[:, other] = np.bincount(household, sum(sides) / 2, len(target))  # ties count half
    n_positive, n_negative = weight @ bought.sum(1), weight @ (~bought).sum(1)
    with np.errstate(invalid="ignore", divide="ignore"):
        return ((weight @ above) * weight).sum(1) / (n_positive * n_negative)


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
    rows = np.vstack([np.ones(len(target), int), weight])
    return {
        name: pd.DataFrame(
            interest_scores(target, probability.reshape(target.shape), k=k, weight=rows)
        )
        for name, probability in probabilities.items()
    }


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
    low, high = (
        pd.DataFrame({name: table.iloc[1:].quantile(q) for name, table in resamples.items()}).T
        for q in (0.025, 0.975)
    )
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
    return pd.DataFrame(
        {
            part: {
                name: roc_auc(target[mask], probability.reshape(target.shape)[mask])
                for name, probability in probabilities.items()
            }
            for part, mask in parts.items()
        }
    )


def _weighted_mean(values: np.ndarray, weight: np.ndarray) -> np.ndarray:
    known = np.isfinite(values)
    return weight[:, known] @ values[known] / weight[:, known].sum(1)
