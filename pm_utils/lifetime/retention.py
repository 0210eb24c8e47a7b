"""Who is about to leave, and whom to spend money on so that they stay."""

import numpy as np
from sklearn.linear_model import LogisticRegression

from pm_utils.lifetime.discounting import retained_value


def value_with_effort(
    margin: np.ndarray,
    churn_probability: np.ndarray,
    dollars: np.ndarray,
    *,
    scale: float,
    weeks: int,
    discount_factor: float,
) -> np.ndarray:
    r"""Return the value without end of customers on whose staying some dollars are spent now.

    The assumption: c dollars multiply the probability of leaving by
    :math:`e^{-c / \text{scale}}` for some weeks, then it is what it was.

    Explained in chapter ``lifetime-value``.

    Parameters
    ----------
    margin, churn_probability : arrays that broadcast
        Dollars per week and h, of customers who are there.
    dollars : array that broadcasts
        c, at least 0.
    scale : float
        Dollars that cut the probability to 1 / e.
    weeks : int
        How long the effect lasts.
    discount_factor : float
        Of a week.

    Returns
    -------
    array, broadcast
    """
    kept = discount_factor * (1 - churn_probability * np.exp(-np.asarray(dollars) / scale))
    usual = discount_factor * (1 - churn_probability)
    return margin * ((1 - kept**weeks) / (1 - kept) + kept**weeks / (1 - usual))


def keeping_gain(
    value: np.ndarray,
    churn_probability: np.ndarray,
    max_dollars: int,
    *,
    value_weeks: int,
    scale: float,
    weeks: int,
    discount_factor: float,
) -> np.ndarray:
    """Return what 0, 1, … dollars on each customer bring, by `value_with_effort`.

    Explained in chapter ``lifetime-value``.

    Parameters
    ----------
    value : array of shape (N,)
        Expected discounted margin of the next `value_weeks` weeks; for those who may have left,
        already times the probability that they have not.
    churn_probability : array of shape (N,)
        The probability that one who is there leaves at a week's end.
    max_dollars : int
        Dollars to look at, K.
    value_weeks, scale, weeks, discount_factor
        As in `value_with_effort`, which this turns `value` into.

    Returns
    -------
    array of shape (N, K + 1), dollars; the first column is 0
    """
    paid = retained_value(
        1.0, discount_factor, retention=1 - churn_probability, periods=value_weeks
    )
    effect = {"scale": scale, "weeks": weeks, "discount_factor": discount_factor}
    worth = value_with_effort(1.0, churn_probability[:, None], np.arange(max_dollars + 1), **effect)
    return (value / paid)[:, None] * (worth - worth[:, :1])


def weekly_risk(
    features: np.ndarray, churned: np.ndarray, others: np.ndarray, *, weeks: int
) -> tuple[float, np.ndarray]:
    """Learn from who left how likely each customer is to leave in a week.

    Parameters
    ----------
    features, others : arrays of shape (M, F) and (N, F)
        Of customers whose fate is known, and of those to predict.
    churned : array of shape (M,), bool
        Who left within `weeks` weeks.
    weeks : int

    Returns
    -------
    same : float
        The probability per week if it were the same for all.
    own : array of shape (N,)
        By logistic regression.
    """
    model = LogisticRegression(C=0.1, max_iter=500).fit(features, churned)
    probabilities = churned.mean(), model.predict_proba(others)[:, 1]
    same, own = (1 - (1 - probability) ** (1 / weeks) for probability in probabilities)
    return float(same), own


def spend_budget(gain: np.ndarray, budget: int, *, min_gain: float = 1.0) -> np.ndarray:
    """Spend a budget dollar by dollar, each where it brings most and more than it costs.

    Explained in chapter ``lifetime-value``.

    Parameters
    ----------
    gain : array of shape (N, K + 1)
        What 0, 1, … K dollars on each customer bring; later dollars must not bring more than
        earlier ones, or they are taken to bring as little as the least before.
    budget : int
        Dollars; at most N K are spent.
    min_gain : float
        A dollar that brings no more than this stays in the till; 0 spends whatever helps at all.

    Returns
    -------
    array of shape (N,), int64
        Dollars for each customer.

    Raises
    ------
    ValueError
        When the budget is below 0.
    """
    if budget < 0:
        raise ValueError(f"budget is {budget}: give at least 0 dollars")
    marginal = np.minimum.accumulate(np.diff(gain, axis=1), axis=1)  # (N, K)
    best = np.argsort(-marginal, axis=None, kind="stable")[:budget]
    best = best[marginal.ravel()[best] > min_gain]
    return np.bincount(best // marginal.shape[1], minlength=len(gain))
