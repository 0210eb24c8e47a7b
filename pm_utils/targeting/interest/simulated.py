"""A log of clicks whose probabilities are known."""

from dataclasses import dataclass

import numpy as np

from pm_utils.inputs import whole_numbers


@dataclass(frozen=True)
class ClickLog:
    """A simulated log whose click probabilities are known.

    Attributes
    ----------
    user, item : arrays of shape (N,)
        Who was shown what; users count from 0, items from 1.
    history : array of shape (N, T)
        Items that the user clicked on before the log begins; 0 pads.
    probability : array of shape (N,)
        The true probability of a click.
    click : array of shape (N,), float32
    """

    user: np.ndarray
    item: np.ndarray
    history: np.ndarray
    probability: np.ndarray
    click: np.ndarray


def simulated_clicks(
    rows: int,
    *,
    users: int = 5000,
    items: int = 10_000,
    length: int = 20,
    shortest: int = 1,
    topics: int = 8,
    seed: int,
) -> ClickLog:
    """Draw a log of impressions in which users have tastes for topics, and items have one topic.

    Histories are drawn by taste and popularity (a power law), candidates by popularity alone. The
    logit of a click is linear in log(1 + topics × taste for the item's topic) and the item's
    appeal. Nothing but the history tells a user's taste.

    Explained in chapter ``interest``.

    Parameters
    ----------
    rows : int
        Impressions.
    users, items, topics : int
    length, shortest : int
        Histories hold so many items at most and at least, each number being as likely.
    seed : int

    Returns
    -------
    ClickLog

    Raises
    ------
    ValueError
        When a number is not whole or below 1, or `shortest` exceeds `length`.

    Examples
    --------
    >>> from pm_utils.targeting.interest.simulated import simulated_clicks
    >>> log = simulated_clicks(6, users=5, items=20, length=4, seed=0)
    >>> log.history.shape
    (6, 4)
    >>> log.probability.round(2)  # what a model should find
    array([0.75, 0.09, 0.36, 0.07, 0.07, 0.07])
    >>> log.click
    array([1., 0., 1., 0., 0., 1.], dtype=float32)
    """
    sizes = {"rows": rows, "users": users, "items": items, "length": length, "topics": topics}
    for name, size in sizes.items():
        whole_numbers(size, name, low=1)
    whole_numbers(shortest, "shortest", low=0, high=length)
    rng = np.random.default_rng(seed)
    topic, appeal = rng.integers(topics, size=items), 0.4 * rng.normal(size=items)
    popularity = (1.0 + rng.permutation(items)) ** -1.3
    taste = rng.dirichlet(np.full(topics, 0.15), users)
    order = np.argsort(topic, kind="stable")
    mass = np.bincount(topic, popularity, topics)
    ends = np.cumsum(popularity[order])

    def draw(of: np.ndarray) -> np.ndarray:
        """One item of each topic in `of`, by popularity."""
        at = np.cumsum(mass)[of] - rng.random(len(of)) * mass[of]
        return order[np.minimum(np.searchsorted(ends, at), items - 1)]

    liked = (rng.random((users, length, 1)) > taste.cumsum(1)[:, None]).sum(2)
    history = 1 + draw(np.minimum(liked, topics - 1).ravel()).reshape(users, length)
    lengths = rng.integers(shortest, length + 1, users)
    history[np.arange(length) >= lengths[:, None]] = 0
    user, item = rng.integers(users, size=rows), draw(rng.integers(topics, size=rows))
    logit = 1.8 * np.log1p(topics * taste[user, topic[item]]) + appeal[item] - 2.4
    probability = 1 / (1 + np.exp(-logit))
    click = (rng.random(rows) < probability).astype(np.float32)
    return ClickLog(user, item + 1, history[user], probability, click)
