"""What else a household that buys these things buys: item-item and factor models of purchases."""

import numpy as np

from pm_utils.inputs import numbers, whole_numbers

NEAREST = 5  # items that count as alike in `days_since_alike`


def item_cosines(held: np.ndarray) -> np.ndarray:
    """Return how alike two items' buyers are: the cosine of their columns, 0 with itself.

    Parameters
    ----------
    held : array of shape (H, C)
        What each customer bought, 0 where nothing.

    Returns
    -------
    array of shape (C, C)

    Raises
    ------
    ValueError
        When a number is negative or not finite.

    References
    ----------
    Sarwar et al. (2001), Item-based collaborative filtering recommendation algorithms.

    Examples
    --------
    Both buyers of the first item also bought the second, which a third customer has too.

    >>> import numpy as np
    >>> from pm_utils.targeting.interest.likeness import item_cosines
    >>> item_cosines(np.array([[1, 1], [1, 1], [0, 1]])).round(2)
    array([[0.  , 0.82],
           [0.82, 0.  ]])
    """
    held = numbers(held, "held", ndim=2, low=0).astype(float)
    both = held.T @ held
    size = np.sqrt(np.diag(both))
    size = np.where(size > 0, size, 1.0)
    cosine = both / size / size[:, None]
    np.fill_diagonal(cosine, 0.0)
    return cosine


def item_regression(held: np.ndarray, *, penalty: float = 200.0) -> np.ndarray:
    """Say how much of each item a customer should have, by a ridge regression on all others.

    Explained in chapter ``interest``.

    Parameters
    ----------
    held : array of shape (H, C)
        As in `item_cosines`.
    penalty : float
        On the squared weights.

    Returns
    -------
    array of shape (H, C)

    Raises
    ------
    ValueError
        When a number is negative or not finite, or the penalty is not above 0.

    Notes
    -----
    All C regressions come from one inverse: with P = (XᵀX + penalty)⁻¹, item i weighs
    -P[i, j] / P[j, j] in what is said of item j, and an item says nothing of itself.

    References
    ----------
    Steck (2019), Embarrassingly shallow autoencoders for sparse data.

    Examples
    --------
    The last customer has the first item only; others who have it have the second, too.

    >>> import numpy as np
    >>> from pm_utils.targeting.interest.likeness import item_regression
    >>> held = np.array([[1, 1, 0], [1, 1, 0], [0, 0, 1], [1, 0, 0]])
    >>> item_regression(held, penalty=1.0)[3].round(2)
    array([0. , 0.5, 0. ])
    """
    held = numbers(held, "held", ndim=2, low=0)
    numbers(penalty, "penalty", above=0)
    inverse = np.linalg.inv(held.T @ held + penalty * np.eye(held.shape[1]))
    weight = -inverse / np.diag(inverse)
    np.fill_diagonal(weight, 0.0)
    return held @ weight


def implicit_factors(
    held: np.ndarray,
    *,
    width: int = 16,
    confidence: float = 2.0,
    penalty: float = 10.0,
    rounds: int = 6,
) -> np.ndarray:
    """Say how likely each item is by a factorisation for counts that tell no dislike.

    Whether a customer has an item, 0 or 1, is fitted by the product of two vectors, by weighted
    least squares in turns. A pair weighs 1 + confidence × what was bought.

    Explained in chapter ``interest``.

    Parameters
    ----------
    held : array of shape (H, C)
        As in `item_cosines`.
    width : int
        Numbers per customer and per item.
    confidence, penalty : float
    rounds : int
        How often customers and items take turns.

    Returns
    -------
    array of shape (H, C)

    Raises
    ------
    ValueError
        When a number is negative or not finite, or width, penalty or rounds are not above 0.

    Notes
    -----
    The first vectors of the items are the leading singular vectors, so nothing is drawn.

    References
    ----------
    Hu, Koren & Volinsky (2008), Collaborative filtering for implicit feedback datasets.

    Examples
    --------
    >>> import numpy as np
    >>> from pm_utils.targeting.interest.likeness import implicit_factors
    >>> held = np.array([[1, 1, 0], [1, 1, 0], [0, 0, 1], [1, 0, 0]])
    >>> implicit_factors(held, width=1, penalty=0.1)[3].round(1)
    array([0.8, 0.7, 0. ])
    """
    held = numbers(held, "held", ndim=2, low=0).astype(float)
    whole_numbers(width, "width", low=1), whole_numbers(rounds, "rounds", low=1)
    numbers(confidence, "confidence", low=0), numbers(penalty, "penalty", above=0)
    value, vector = np.linalg.eigh(held.T @ held)
    items = vector[:, -width:] * np.sqrt(np.sqrt(np.maximum(value[-width:], 0)))
    for _ in range(rounds):
        customers = _least_squares(held, items, confidence, penalty)
        items = _least_squares(held.T, customers, confidence, penalty)
    return customers @ items.T


def _least_squares(
    held: np.ndarray, known: np.ndarray, confidence: float, penalty: float
) -> np.ndarray:
    """Vectors (N, W) of the rows of `held` (N, K), given those of its columns (K, W)."""
    more, width = confidence * held, known.shape[1]
    products = (known[:, :, None] * known[:, None]).reshape(len(known), -1)
    normal = known.T @ known + penalty * np.eye(width) + (more @ products).reshape(-1, width, width)
    wanted = ((1 + more) * (held > 0)) @ known
    return np.linalg.solve(normal, wanted[:, :, None])[:, :, 0]


def likeness_facts(held: np.ndarray, days_since: np.ndarray) -> np.ndarray:
    """Return what the rest of a household's purchases says about each candidate.

    Parameters
    ----------
    held : array of shape (H, C)
        Orders of each customer that held the candidate.
    days_since : array of shape (H, C)
        The last of them, on any increasing scale.

    Returns
    -------
    array of shape (H, C, 6)
        The candidate's rank among the customer's, by orders and then recency, and last where it
        was never bought, as a logarithm; its share of the customer's purchases, as log(1 + 100 x);
        the least `days_since` of the five items most like it; its mean cosine with the customer's
        items, each weighed by log(1 + orders); what `item_regression` says of what was ever bought;
        and `implicit_factors` of log(1 + orders).

    Raises
    ------
    ValueError
        When a number of orders is negative or a number is not finite.
    """
    held = numbers(held, "held", ndim=2, low=0)
    days_since = numbers(days_since, "days_since", ndim=2)
    count = held.shape[1]
    order = np.lexsort((days_since, -held), axis=1)
    rank = np.empty(held.shape)
    np.put_along_axis(rank, order, np.arange(1.0, count + 1)[None], axis=1)
    share = 100 * held / np.maximum(held.sum(1, keepdims=True), 1)
    cosine, known = item_cosines(held > 0), np.log1p(held)
    others = np.where(np.eye(count, dtype=bool), np.inf, -cosine)  # an item is not its own likeness
    alike = np.argsort(others, axis=1, kind="stable")[:, : min(NEAREST, count - 1)]
    columns = [
        np.log(np.where(held > 0, rank, count)),
        np.log1p(share),
        days_since[:, alike].min(axis=2) if count > 1 else days_since,
        known @ cosine / np.maximum(known.sum(1, keepdims=True), 1e-9),
        item_regression(held > 0),
        implicit_factors(known, width=min(16, count)),
    ]
    return np.stack(columns, axis=-1, dtype=np.float32)
