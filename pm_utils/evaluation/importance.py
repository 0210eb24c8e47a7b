"""Which inputs a score rests on."""

from collections.abc import Callable

import numpy as np
import pandas as pd

from pm_utils.evaluation.ranking import roc_auc
from pm_utils.inputs import aligned, booleans, codes, numbers


def permutation_importance(
    score: Callable[[pd.DataFrame], np.ndarray],
    features: pd.DataFrame,
    target: np.ndarray,
    groups: dict[str, list[str]],
    *,
    repeats: int,
    seed: int,
) -> pd.DataFrame:
    """Measure how much AUC is lost when the columns of a group change rows together.

    Explained in chapter ``conversion``.

    Parameters
    ----------
    score : callable
        ``score(features)`` → array of shape (N,).
    features : DataFrame of shape (N, F)
    target : array of shape (N,), 0 or 1
    groups : dict
        Names of columns by the name of their group; correlated columns belong together.
    repeats, seed : int
        Permutations per group, and what draws them.

    Returns
    -------
    DataFrame
        Per group ``loss`` (mean), ``low`` and ``high`` (least and most over permutations), the
        most important first.

    Raises
    ------
    ValueError
        When rows cannot be matched, a target is neither 0 nor 1, or a feature is not finite.
    KeyError
        When a group names a column that the features have not.

    References
    ----------
    Breiman (2001), Random forests, §10.

    Examples
    --------
    >>> import pandas as pd
    >>> from pm_utils.evaluation.importance import permutation_importance
    >>> features = pd.DataFrame({"visits": [0, 1, 2, 3], "age": [40, 20, 30, 50]})
    >>> groups = {"who": ["age"], "visits": ["visits"]}
    >>> score = lambda table: table["visits"].to_numpy()  # a model that reads one column
    >>> permutation_importance(score, features, [0, 0, 1, 1], groups, repeats=20, seed=0).round(2)
            loss  low  high
    visits   0.5  0.0   1.0
    who      0.0  0.0   0.0
    """
    rng = np.random.default_rng(seed)
    features, target = aligned(features=features, target=target)
    target, values = booleans(target, "target"), numbers(features, "features").astype(float)
    baseline = roc_auc(target, score(features))
    losses = {}
    for name, columns in groups.items():
        lost, positions = [], codes(columns, features.columns, f"a column of {name!r}")
        for _ in range(repeats):
            permuted = values.copy()
            permuted[:, positions] = values[rng.permutation(len(values))][:, positions]
            table = pd.DataFrame(permuted, features.index, features.columns)
            lost.append(baseline - roc_auc(target, score(table)))
        losses[name] = {"loss": np.mean(lost), "low": np.min(lost), "high": np.max(lost)}
    return pd.DataFrame(losses).T.sort_values("loss", ascending=False)
