"""Who is about to leave, and whom to spend money on so that they stay."""

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from scipy.optimize import isotonic_regression
from sklearn.linear_model import LogisticRegression

from pm_utils import inputs
from pm_utils.lifetime._rows import broadcast
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
        Dollars per week, and h, the probability of leaving at a week's end, of customers who are
        there.
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
        Dollars; those that are spent are not taken off. A Series where a list came with an index,
        by which lists of customers are matched.

    Raises
    ------
    ValueError
        When a probability or the factor lies outside [0, 1], dollars or weeks are below 0, the
        scale is not above 0, a number is not finite, or nobody leaves and nothing is discounted.

    Examples
    --------
    With γ = h = 1 / 2, a dollar a week is worth 1 / (1 - 1/4). One dollar halves h for two weeks:
    1 + 3/8 + (3/8)² / (1 - 1/4).

    >>> import numpy as np
    >>> from pm_utils.lifetime.retention import value_with_effort
    >>> plan = {"scale": 1 / np.log(2), "weeks": 2, "discount_factor": 0.5}
    >>> value_with_effort(1.0, 0.5, np.array([0, 1]), **plan).round(4)
    array([1.3333, 1.5625])
    """
    models = margin, churn_probability, dollars
    margin, churn_probability, dollars = broadcast(
        margin=margin, churn_probability=churn_probability, dollars=dollars
    )
    margin = inputs.numbers(margin, "margin")
    churn_probability = inputs.probabilities(churn_probability, "churn_probability")
    dollars, scale = inputs.numbers(dollars, "dollars", low=0), _scale(scale)
    weeks = inputs.whole_numbers(weeks, "weeks")
    discount_factor = inputs.probabilities(discount_factor, "discount_factor")
    kept = discount_factor * (1 - churn_probability * np.exp(-dollars / scale))
    usual = discount_factor * (1 - churn_probability)
    if (usual == 1).any() or (kept == 1).any():
        raise ValueError("without discount or loss, an endless margin has no value: discount it")
    value = margin * ((1 - kept**weeks) / (1 - kept) + kept**weeks / (1 - usual))
    return inputs.like(value, *models)


def _scale(scale: float) -> np.ndarray:
    return inputs.numbers(scale, "scale", above=0)


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
    value_weeks : int
        The weeks that `value` adds up.
    scale, weeks, discount_factor
        As in `value_with_effort`.

    Returns
    -------
    array of shape (N, K + 1), dollars; the first column is 0
        A DataFrame of the customers' index where they came with one.

    Raises
    ------
    ValueError
        As in `value_with_effort`, when a value is below 0, or the rows do not match.

    Examples
    --------
    Three customers. A dollar brings most where there is value *and* a risk to lose it.

    >>> import numpy as np
    >>> from pm_utils.lifetime.retention import keeping_gain
    >>> plan = {"value_weeks": 52, "scale": 20, "weeks": 52, "discount_factor": 0.998}
    >>> value, churn_probability = np.array([100, 100, 0]), np.array([0.001, 0.02, 0.02])
    >>> keeping_gain(value, churn_probability, 2, **plan).round(1)
    array([[0. , 1.6, 3.2],
           [0. , 4.5, 9. ],
           [0. , 0. , 0. ]])
    """
    models = value, churn_probability
    value, churn_probability = inputs.aligned(value=value, churn_probability=churn_probability)
    value = inputs.numbers(value, "value", low=0)
    churn_probability = inputs.probabilities(churn_probability, "churn_probability")
    paid = retained_value(
        1.0, discount_factor, retention=1 - churn_probability, periods=value_weeks
    )
    effect = {"scale": scale, "weeks": weeks, "discount_factor": discount_factor}
    worth = value_with_effort(1.0, churn_probability[:, None], np.arange(max_dollars + 1), **effect)
    return inputs.like((value / paid)[:, None] * (worth - worth[:, :1]), *models)


def weekly_risk(
    features: ArrayLike | pd.DataFrame,
    churned: ArrayLike,
    others: ArrayLike | pd.DataFrame,
    *,
    weeks: int,
) -> tuple[float, np.ndarray]:
    """Learn from who left how likely each customer is to leave in a week.

    Parameters
    ----------
    features, others : arrays or DataFrames of shape (M, F) and (N, F)
        Of customers whose fate is known, and of those to predict. Columns of two DataFrames are
        matched by name. Each is measured in its own deviations, so a unit makes no difference.
    churned : array of shape (M,), bool
        Who left within `weeks` weeks; 0 and 1 will do.
    weeks : int
        At least 1.

    Returns
    -------
    same : float
        The probability per week if it were the same for all.
    own : array of shape (N,)
        By logistic regression; a Series where `others` is a DataFrame.

    Raises
    ------
    ValueError
        When a feature is not finite, with its row and column, a fate is not 0 or 1, all left or
        all stayed, or the rows do not match.
    KeyError
        When the others lack a column.

    Warns
    -----
    ConvergenceWarning
        When the regression did not end, by scikit-learn.

    Examples
    --------
    Three in four left within two weeks: half per week, if the risk is the same for all.

    >>> import numpy as np
    >>> from pm_utils.lifetime.retention import weekly_risk
    >>> features, churned = np.array([[0.0], [1.0], [2.0], [3.0]]), np.array([0, 1, 1, 1]) == 1
    >>> same, own = weekly_risk(features, churned, np.array([[0.0], [3.0]]), weeks=2)
    >>> same
    0.5
    >>> (own < same).tolist()
    [True, False]
    """
    if isinstance(features, pd.DataFrame) and isinstance(others, pd.DataFrame):
        others = inputs.columns(others, list(features), "others")
    features, churned = inputs.aligned(features=features, churned=churned)
    features = inputs.numbers(features, "features", ndim=2)
    model_rows, others = others, inputs.numbers(others, "others", ndim=2)
    churned, weeks = (
        inputs.booleans(churned, "churned"),
        int(inputs.whole_numbers(weeks, "weeks", low=1)),
    )
    if churned.all() or not churned.any():
        raise ValueError(
            f"churned is {bool(churned[0])} for all of {len(churned):,} customers: nothing tells "
            "who leaves"
        )
    centre, differ = features.mean(0), features.max(0) > features.min(0)
    deviation = np.where(differ, features.std(0), 1.0)
    model = LogisticRegression(C=0.1, max_iter=500).fit((features - centre) / deviation, churned)
    probabilities = churned.mean(), model.predict_proba((others - centre) / deviation)[:, 1]
    same, own = (1 - (1 - probability) ** (1 / weeks) for probability in probabilities)
    return float(same), inputs.like(own, model_rows)


def spend_budget(gain: np.ndarray, budget: int, *, min_gain: float = 1.0) -> np.ndarray:
    """Spend a budget dollar by dollar, each where it brings most and more than it costs.

    Explained in chapter ``lifetime-value``.

    Parameters
    ----------
    gain : array of shape (N, K + 1)
        What 0, 1, … K dollars on each customer bring. Where a later dollar brings more than an
        earlier one, as where many leave, the dollars of the stretch are bought together, each for
        the mean of the stretch: along the least concave curve above the gains.
    budget : int
        Dollars; at most N K are spent.
    min_gain : float
        A dollar that brings no more than this stays in the till; 0 spends whatever helps at all.

    Returns
    -------
    array of shape (N,), int64
        Dollars for each customer; a Series where the gain is a DataFrame. No plan of as many
        dollars earns more, unless the budget ends within a stretch: then one customer gets a part
        of it.

    Raises
    ------
    ValueError
        When the budget is below 0 or not whole, a gain or the least is not finite, or the first
        column is not 0.

    Examples
    --------
    The first dollar on the first customer brings 5, the second 2; on the second customer 3 and 0.5.
    The fourth dollar would bring less than it costs, so stays in the till.

    >>> import numpy as np
    >>> from pm_utils.lifetime.retention import spend_budget
    >>> gain = np.array([[0, 5, 7], [0, 3, 3.5]])
    >>> spend_budget(gain, 2), spend_budget(gain, 4), spend_budget(gain, 4, min_gain=0)
    (array([1, 1]), array([2, 1]), array([2, 2]))

    A dollar alone does nothing for the second customer, two together bring 9.

    >>> spend_budget(np.array([[0, 4, 5], [0, 0, 9]]), 3)
    array([1, 2])
    """
    budget = int(inputs.whole_numbers(budget, "budget"))
    min_gain = float(inputs.numbers(min_gain, "min_gain"))
    rows, gain = gain, inputs.numbers(gain, "gain", ndim=2)
    if gain[:, 0].any():
        raise ValueError(f"gain of 0 dollars is {gain[:, 0].max():g}: let the first column be 0")
    marginal = _bought_together(np.diff(gain, axis=1))  # (N, K)
    worth = np.flatnonzero(marginal > min_gain)
    best = worth[np.argsort(-marginal.ravel()[worth], kind="stable")[:budget]]
    return inputs.like(np.bincount(best // marginal.shape[1], minlength=len(gain)), rows)


def _bought_together(marginal: np.ndarray) -> np.ndarray:
    """Give each dollar (N, K) the mean of its stretch wherever a later one brings more."""
    rising = (np.diff(marginal, axis=1) > 0).any(axis=1)
    for row in np.flatnonzero(rising):
        marginal[row] = isotonic_regression(marginal[row], increasing=False).x
    return marginal
