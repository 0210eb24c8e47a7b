"""Chapter 08: the ladder of information, the networks tried, and what the scoreboard is told."""

import numpy as np
import pandas as pd
from sklearn.base import ClassifierMixin

from pm_utils.evaluation.probabilities import score_table
from pm_utils.formulas import sigmoid
from pm_utils.targeting.redemption.baselines import fitted_logit, rate_by_cell


def information_ladder(
    model: ClassifierMixin,
    groups: dict[str, list[str]],
    learn: tuple[pd.DataFrame, np.ndarray],
    choose: tuple[pd.DataFrame, np.ndarray],
) -> pd.DataFrame:
    """Score one classifier with the first group of features, then the first two, and so on.

    Parameters
    ----------
    model : scikit-learn classifier
        Fitted anew at each step.
    groups : dict of lists
        From `feature_groups`.
    learn, choose : (features, target)

    Returns
    -------
    DataFrame
        As `score_table`, one row per group that was added.
    """
    columns, chances = [], {}
    for name, group in groups.items():
        columns += group
        (logit,) = fitted_logit(model, learn[0][columns], learn[1], [choose[0][columns]])
        chances["+ " + name] = sigmoid(logit)
    return score_table(choose[1], chances)


def naive_chance(contacts: pd.DataFrame, redemptions: pd.Series, train: np.ndarray) -> np.ndarray:
    """Predict by campaign type and by none, one or more earlier redemptions.

    Parameters
    ----------
    contacts : DataFrame
        From `pm_utils.targeting.redemption.contacts.contact_table`.
    redemptions : Series of length N
        log(1 + earlier redemptions).
    train : boolean array of shape (N,)
        The contacts whose answers are known.

    Returns
    -------
    array of shape (N,)
    """
    rows = contacts.assign(earlier=np.expm1(redemptions).round().clip(upper=2))
    return rate_by_cell(rows[train], rows, ["campaign_type", "earlier"])


def scoreboard_row(metric: str, points: pd.DataFrame) -> tuple[dict, str]:
    """Return what `Scoreboard.add` takes, and the name of the better baseline.

    Parameters
    ----------
    metric : {"AUC", "average precision", "log loss"}
    points : DataFrame
        From `score_table`, with rows naive, logistic, boosting, network and null.

    Returns
    -------
    row : dict
    rival : {"logistic", "boosting"}
    """
    column, down = points[metric], metric == "log loss"
    rival = str(column[["logistic", "boosting"]].sort_values(ascending=down).index[0])
    names = {"naive": "naive", "classical": rival, "deep": "network", "null": "null"}
    row = {"unit": "nats" if down else "share", "better": "lower" if down else "higher"}
    return row | {kind: column[name] for kind, name in names.items()}, rival
