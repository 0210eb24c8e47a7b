"""A log of clicks whose probabilities are known."""

from dataclasses import dataclass

import numpy as np
from scipy import stats

from pm_utils.inputs import whole_numbers

TASTES = 0.15  # of each topic in the Dirichlet law of tastes: most users like one or two
SLOPE, BASE = 1.8, -2.4  # of the logit of a click


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
    topic, appeal : arrays of shape (items,)
        Of item 1, 2 and so on. Topics count from 0.
    topics : int
    """

    user: np.ndarray
    item: np.ndarray
    history: np.ndarray
    probability: np.ndarray
    click: np.ndarray
    topic: np.ndarray
    appeal: np.ndarray
    topics: int

    def items_of_topic(self) -> tuple[np.ndarray, np.ndarray]:
        """How many past items share the candidate's topic (N,), and how many there are (N,)."""
        past = self.topic[np.maximum(self.history - 1, 0)]
        same = (past == self.topic[self.item - 1][:, None]) & (self.history > 0)
        return same.sum(1), (self.history > 0).sum(1)


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
    taste = rng.dirichlet(np.full(topics, TASTES), users)
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
    logit = SLOPE * np.log1p(topics * taste[user, topic[item]]) + appeal[item] + BASE
    probability = 1 / (1 + np.exp(-logit))
    click = (rng.random(rows) < probability).astype(np.float32)
    return ClickLog(user, item + 1, history[user], probability, click, topic, appeal, topics)


def attainable_probability(log: ClickLog, *, points: int = 200) -> np.ndarray:
    """Return the chance of a click given the history, the topics and the appeals → (N,).

    Tastes follow a Dirichlet law and past items are drawn by taste, so what a history says of a
    taste is a Dirichlet law again, with one more for each past item of a topic. The taste for one
    topic then follows a Beta law, over which the formula of a click is averaged. Nobody who sees
    histories alone can do better; the oracle, who knows the taste, can.

    Explained in chapter ``interest``.

    Parameters
    ----------
    log : ClickLog
    points : int
        Quantiles of the Beta law that are averaged.

    Examples
    --------
    >>> from pm_utils.targeting.interest.simulated import attainable_probability, simulated_clicks
    >>> log = simulated_clicks(6, users=5, items=20, length=4, seed=0)
    >>> attainable_probability(log).round(2)  # log.probability is .75, .09, .36, .07, .07, .07
    array([0.76, 0.14, 0.37, 0.1 , 0.1 , 0.11])
    """
    same, known = log.items_of_topic()
    counts, row = np.unique(np.stack([same, known], 1), axis=0, return_inverse=True)
    alpha = TASTES + counts[:, 0]
    beta = TASTES * (log.topics - 1) + counts[:, 1] - counts[:, 0]
    levels = (np.arange(points) + 0.5) / points
    taste = stats.beta.ppf(levels, alpha[:, None], beta[:, None])  # (kinds, points)
    liking = SLOPE * np.log1p(log.topics * taste) + BASE
    appeal = log.appeal[log.item - 1]
    expected = np.empty(len(appeal))
    for kind in range(len(counts)):
        rows = np.flatnonzero(row.ravel() == kind)
        logit = liking[kind] + appeal[rows, None]
        expected[rows] = (1 / (1 + np.exp(-logit))).mean(1)
    return expected
