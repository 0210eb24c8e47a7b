"""From scores to a list of households: gain, lift, profit, and where to stop.

Every curve is a function of the scores, not of the order of rows: where rows of equal score meet
the end of a list, each counts in part, as it does on average over all orders of such rows. So
curves are straight between distinct scores, as scikit-learn's and scikit-uplift's are.
"""

import numpy as np

from pm_utils.inputs import aligned, booleans, numbers, probabilities


def totals_of_best(values: np.ndarray, score: np.ndarray) -> np.ndarray:
    """Return the sum of the values of the k highest scores, for every k.

    Parameters
    ----------
    values, score : arrays of shape (N,)
        Rows of equal score count alike: each for their mean. Matched by index, where both carry
        one.

    Returns
    -------
    array of shape (N + 1,)

    Raises
    ------
    ValueError
        When a number is not finite, or the rows do not belong together.

    Examples
    --------
    The last two rows have one score: half of their 4 comes with the first of them.

    >>> import numpy as np
    >>> from pm_utils.targeting.lists import totals_of_best
    >>> totals_of_best(np.array([1.0, 4.0, 0.0]), np.array([0.9, 0.5, 0.5]))
    array([0., 1., 3., 5.])
    """
    values, score = _numbers_and_scores(values, score)
    order, ends = _best_first(values, score)
    total = np.concatenate([[0.0], np.cumsum(values[order])])
    if len(ends) == len(total):
        return total
    return np.interp(np.arange(len(total)), ends, total[ends])


def best_first(values: np.ndarray, score: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the order by falling score, and how many rows reach down to each distinct score.

    Parameters
    ----------
    values, score : arrays of shape (N,)
        Rows of equal score are ordered by value, so that no sum depends on the order of rows.

    Returns
    -------
    order : array of shape (N,), int
    ends : array of shape (D + 1,), int
        From 0 to N.

    Raises
    ------
    ValueError
        As `totals_of_best`.

    Examples
    --------
    >>> import numpy as np
    >>> from pm_utils.targeting.lists import best_first
    >>> best_first(np.array([1.0, 4.0, 0.0]), np.array([0.9, 0.5, 0.5]))
    (array([0, 2, 1]), array([0, 1, 3]))
    """
    return _best_first(*_numbers_and_scores(values, score))


def _numbers_and_scores(values: np.ndarray, score: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return finite values and scores of the same rows."""
    values, score = aligned(values=values, score=score)
    return numbers(values, "values", ndim=1), numbers(score, "score", ndim=1)


def _best_first(values: np.ndarray, score: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Sort by score alone, then by value only where scores are equal."""
    order = np.argsort(-score)
    falls = np.diff(score[order]) != 0
    if not falls.all():
        tied = np.flatnonzero(np.r_[False, ~falls] | np.r_[~falls, False])
        group, rows = np.r_[0, np.cumsum(falls)][tied], order[tied]
        order[tied] = rows[np.lexsort((values[rows], group))]
    return order, np.r_[0, 1 + np.flatnonzero(falls), len(score)]


def cumulative_gain(target: np.ndarray, score: np.ndarray) -> np.ndarray:
    """Return the share of all positives among the k highest scores, for every k.

    Parameters
    ----------
    target : array of shape (N,), 0 or 1
    score : array of shape (N,)
        Positives among equal scores are spread evenly over them. Matched by index, where both
        arrays carry one.

    Returns
    -------
    array of shape (N + 1,)
        From 0 (nobody) to 1 (everybody).

    Raises
    ------
    ValueError
        When a target is neither 0 nor 1, a score is not finite, the rows do not belong together or
        there is no positive.

    Examples
    --------
    Four customers, two of whom buy; the best-scored is one of them.

    >>> import numpy as np
    >>> from pm_utils.targeting.lists import cumulative_gain
    >>> cumulative_gain(np.array([0, 1, 0, 1]), np.array([0.2, 0.9, 0.5, 0.3]))
    array([0. , 0.5, 0.5, 1. , 1. ])
    """
    target, score = aligned(target=target, score=score)
    positive = booleans(target, "target").astype(float)
    if not positive.any():
        raise ValueError("target holds no positive: there is nothing to gain")
    return totals_of_best(positive, numbers(score, "score", ndim=1)) / positive.sum()


def lift(target: np.ndarray, score: np.ndarray, share: float) -> float:
    """Return the rate among the best `share` of the rows over the rate of all.

    Explained in chapter ``conversion``.

    Parameters
    ----------
    target, score
        As in `cumulative_gain`.
    share : float
        Above 0 and at most 1; at least one row is taken.

    Returns
    -------
    float
        1 for a random order, and for a score that is the same for all.

    Raises
    ------
    ValueError
        As `cumulative_gain`, or when the share is no share.

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
    share = float(numbers(share, "share", above=0, high=1))
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
        Contacts are made in descending order; those of equal rank bring their mean. Matched by
        index, where both arrays carry one.
    margin, cost : float
        Dollars earned by a redeemed contact and paid for any contact.

    Returns
    -------
    array of shape (N + 1,)
        Dollars; 0 for nobody.

    Raises
    ------
    ValueError
        When margin or cost is not above zero, an outcome lies outside [0, 1], an order is not
        finite or the rows do not belong together.

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
    _check_dollars(margin, cost)
    outcome, order_by = aligned(outcome=outcome, order_by=order_by)
    outcome = probabilities(outcome, "outcome").astype(float)
    return totals_of_best(outcome * margin - cost, numbers(order_by, "order_by", ndim=1))


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

    Raises
    ------
    ValueError
        When a probability lies outside [0, 1], or margin or cost is not above zero.

    Examples
    --------
    Break-even is at cost / margin = 0.2, where a contact earns nothing and is not made.

    >>> from pm_utils.targeting.lists import number_to_contact
    >>> number_to_contact([0.1, 0.8, 0.5, 0.2], margin=10, cost=2)
    2
    """
    _check_dollars(margin, cost)
    return int((probabilities(probability, "probability") * margin > cost).sum())


def _check_dollars(margin: float, cost: float) -> None:
    if not (0 < margin < np.inf and 0 < cost < np.inf):
        raise ValueError(f"margin is {margin} and cost {cost}: give dollars above zero")
