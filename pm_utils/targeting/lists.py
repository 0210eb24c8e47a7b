"""From scores to a list of households: gain, lift, profit, and where to stop."""

import numpy as np


def cumulative_gain(target: np.ndarray, score: np.ndarray) -> np.ndarray:
    """Return the share of all positives among the k highest scores, for every k.

    Parameters
    ----------
    target : array of shape (N,), 0 or 1
    score : array of shape (N,)
        Ties keep their order.

    Returns
    -------
    array of shape (N + 1,)
        From 0 (nobody) to 1 (everybody).

    Raises
    ------
    ValueError
        When there is no positive.

    Examples
    --------
    Four customers, two of whom buy; the best-scored is one of them.

    >>> import numpy as np
    >>> from pm_utils.targeting.lists import cumulative_gain
    >>> cumulative_gain(np.array([0, 1, 0, 1]), np.array([0.2, 0.9, 0.5, 0.3]))
    array([0. , 0.5, 0.5, 1. , 1. ])
    """
    ordered = np.asarray(target, float)[np.argsort(-np.asarray(score), kind="stable")]
    if not ordered.sum():
        raise ValueError("no positive: there is nothing to gain")
    return np.concatenate([[0.0], np.cumsum(ordered) / ordered.sum()])


def lift(target: np.ndarray, score: np.ndarray, share: float) -> float:
    """Return the rate among the best `share` of the rows over the rate of all.

    Explained in chapter ``conversion``.

    Parameters
    ----------
    target, score
        As in `cumulative_gain`.
    share : float
        Between 0 and 1.

    Returns
    -------
    float
        1 for a random order.

    Examples
    --------
    >>> import numpy as np
    >>> from pm_utils.targeting.lists import lift
    >>> target, score = np.array([0, 1, 0, 1]), np.array([0.2, 0.9, 0.5, 0.3])
    >>> lift(target, score, 0.25)  # the best customer buys, and half of all do
    2.0
    >>> lift(target, score, 0.5)
    1.0
    """
    k = max(1, round(share * len(target)))
    return float(cumulative_gain(target, score)[k] * len(target) / k)


def profit_curve(
    outcome: np.ndarray, order_by: np.ndarray, *, margin: float, cost: float
) -> np.ndarray:
    """Return the profit of contacting the k best rows, for every k.

    Explained in chapter ``conversion``.

    Parameters
    ----------
    outcome : array of shape (N,)
        Redeemed (0 or 1), which gives what came, or probabilities, which give what is expected.
    order_by : array of shape (N,)
        Contacts are made in descending order.
    margin, cost : float
        Dollars earned by a redeemed contact and paid for any contact.

    Returns
    -------
    array of shape (N + 1,)
        Dollars; 0 for nobody.

    Raises
    ------
    ValueError
        When margin or cost is not positive.

    Examples
    --------
    >>> import numpy as np
    >>> from pm_utils.targeting.lists import profit_curve
    >>> probability, redeemed = np.array([0.1, 0.8, 0.5]), np.array([0, 1, 0])
    >>> profit_curve(probability, probability, margin=10, cost=2)  # expected
    array([0., 6., 9., 8.])
    >>> profit_curve(redeemed, probability, margin=10, cost=2)  # realised, in the same order
    array([0., 8., 6., 4.])
    """
    if margin <= 0 or cost <= 0:
        raise ValueError(f"margin is {margin} and cost {cost}: give dollars above zero")
    ordered = np.asarray(outcome, float)[np.argsort(-np.asarray(order_by), kind="stable")]
    return np.concatenate([[0.0], np.cumsum(ordered * margin - cost)])


def number_to_contact(probability: np.ndarray, *, margin: float, cost: float) -> int:
    """Return how many to contact: those whose expected margin exceeds the cost.

    Explained in chapter ``conversion``.

    Parameters
    ----------
    probability : array of shape (N,)
        Calibrated probabilities.
    margin, cost : float
        As in `profit_curve`.

    Returns
    -------
    int

    Examples
    --------
    Break-even is at cost / margin = 0.2, where a contact earns nothing and is not made.

    >>> from pm_utils.targeting.lists import number_to_contact
    >>> number_to_contact([0.1, 0.8, 0.5, 0.2], margin=10, cost=2)
    2
    """
    return int((np.asarray(probability) * margin > cost).sum())
