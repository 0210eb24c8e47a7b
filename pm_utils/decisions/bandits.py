"""Which ad for whom, learned while showing: Thompson sampling, LinUCB and a network that doubts.

Everything runs in R replications at once, in rounds of B customers each. A policy sees who comes,
chooses an ad for each, and learns from the clicks of a round when the round is over, as a shop
that updates once a week does; `BanditPolicy` says how to write one. Among M ads; D numbers describe
a customer. Thompson sampling draws anew for every `SHARING` customers in a row, who then share the
draw.
"""

from collections.abc import Callable, Sequence
from typing import Protocol, runtime_checkable

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits, pad

from pm_utils.evaluation.replications import mean_and_margin
from pm_utils.inputs import (
    aligned_tables,
    booleans,
    codes,
    like,
    numbered,
    numbers,
    probabilities,
    whole_numbers,
)
from pm_utils.learning.stacked import StackedLinear

SHARING = 16
NEWTON_STEPS, SMALL_STEP = 10, 0.02  # at most so many, until no weight moves by more


@runtime_checkable
class BanditPolicy(Protocol):
    """Which ad for whom: whatever has these two methods can `play_bandit`.

    Nothing needs to be inherited. In every round `choose` is called once and then `learn` once, for
    B customers in each of R replications that must not learn from each other. Customers are rows of
    the truth, whom a policy may look up in what it knows of them.

    Examples
    --------
    This one mostly shows the ad with the best click rate so far, sometimes any other.

    >>> import numpy as np
    >>> from pm_utils.decisions.bandits import click_counts, play_bandit
    >>> class EpsilonGreedyAds:
    ...     def __init__(self, n_ads, replications, *, epsilon=0.1, seed=0):
    ...         self.epsilon, self.rng = epsilon, np.random.default_rng(seed)
    ...         self.counts = np.ones((replications, n_ads, 2))  # clicks and misses
    ...
    ...     def choose(self, customers):
    ...         best = (self.counts[..., 0] / self.counts.sum(2)).argmax(1)[:, None]
    ...         other = self.rng.integers(self.counts.shape[1], size=customers.shape)
    ...         return np.where(self.rng.random(customers.shape) < self.epsilon, other, best)
    ...
    ...     def learn(self, customers, ads, clicks):
    ...         self.counts += click_counts(ads, clicks, self.counts.shape[1])
    >>> truth = np.tile([0.1, 0.5, 0.2], (100, 1))  # P(click) of 100 customers on 3 ads
    >>> game = {"rounds": 20, "batch": 50, "replications": 4, "seed": 0}
    >>> earned = play_bandit(EpsilonGreedyAds(3, 4), truth, **game)
    >>> earned.shape
    (20, 4)
    >>> bool(earned[-1].min() > 0.4)  # in every replication it has found the second ad
    True
    """

    def choose(self, customers: np.ndarray) -> np.ndarray:
        """Choose an ad for everyone who comes in a round.

        Parameters
        ----------
        customers : array of shape (R, B), int
            From 0 to N - 1.

        Returns
        -------
        array of shape (R, B), int
            From 0 to M - 1.
        """

    def learn(self, customers: np.ndarray, ads: np.ndarray, clicks: np.ndarray) -> None:
        """Take in what came of a round.

        Parameters
        ----------
        customers, ads : arrays of shape (R, B), int
            Who came, and what `choose` returned.
        clicks : array of shape (R, B), bool
        """


def play_bandit(
    policy: BanditPolicy,
    truth: np.ndarray,
    *,
    rounds: int,
    batch: int,
    replications: int,
    seed: int,
) -> np.ndarray:
    """Let a policy choose, click by the truth, and let it learn, round by round.

    Customers and the luck of clicks depend on `seed` alone: every policy meets the same, and the
    first replications of many are those of few.

    Explained in chapter ``creative-optimisation``.

    Parameters
    ----------
    policy : BanditPolicy
    truth : array of shape (N, M)
        P(click) of each customer on each ad.
    rounds, batch, replications : int
        Rounds, customers per round, and independent histories.
    seed : int

    Returns
    -------
    array of shape (rounds, replications)
        Mean true P(click) of the ads shown in each round: the reward without the luck of clicks.

    Raises
    ------
    ValueError
        When a P(click) lies outside [0, 1], a number of the game is below 1, or the policy chooses
        what is no ad, or not one for everyone.

    Examples
    --------
    A policy that always shows the better ad earns its click rate, whatever was clicked.

    >>> import numpy as np
    >>> from pm_utils.decisions.bandits import Known, play_bandit
    >>> truth = np.array([[0.1, 0.5]])  # one customer, two ads
    >>> play_bandit(Known(truth.argmax(1)), truth, rounds=3, batch=4, replications=2, seed=0)
    array([[0.5, 0.5],
           [0.5, 0.5],
           [0.5, 0.5]])
    """
    truth = probabilities(numbered(truth, "truth"), "truth")
    if truth.ndim != 2 or not truth.size:
        raise ValueError(f"truth has shape {truth.shape}: give (N, M), a row for each customer")
    for name, count in (("rounds", rounds), ("batch", batch), ("replications", replications)):
        whole_numbers(count, name, low=1)
    earned = np.empty((rounds, replications))
    for t in range(rounds):
        customer_rng, click_rng = (np.random.default_rng([seed, t, part]) for part in range(2))
        customers = customer_rng.integers(len(truth), size=(replications, batch))
        ads = policy.choose(customers)
        if np.shape(ads) != customers.shape:
            raise ValueError(
                f"the policy chose {np.shape(ads)} ads for {customers.shape} customers: one each"
            )
        if np.asarray(ads).dtype.kind != "i" or ads.min() < 0 or ads.max() >= truth.shape[1]:
            ads = whole_numbers(ads, "ads", high=truth.shape[1] - 1)
        probability = truth[customers, ads]
        policy.learn(customers, ads, click_rng.random(probability.shape) < probability)
        earned[t] = probability.mean(1)
    return earned


def _whole(values: np.ndarray, name: str, count: int) -> np.ndarray:
    """Return whole numbers from 0 to below a count, or name the first that is none."""
    values = np.asarray(values)
    if values.dtype.kind == "i" and values.size and values.min() >= 0 and values.max() < count:
        return values
    return whole_numbers(values, name, high=count - 1)


def _played(
    customers: np.ndarray, ads: np.ndarray, clicks: np.ndarray, known: tuple[int, int]
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return a round among so many customers and ads, or say what does not belong together."""
    customers, ads = _whole(customers, "customers", known[0]), _whole(ads, "ads", known[1])
    clicks = booleans(clicks, "clicks")
    if not customers.shape == ads.shape == clicks.shape or ads.ndim != 2:
        told = f"customers is {customers.shape}, ads {ads.shape} and clicks {clicks.shape}"
        raise ValueError(f"{told}: give (R, B) of each")
    return customers, ads, clicks


class Known:
    """Each customer's ad is written down; nothing is learned.

    Explained in chapter ``creative-optimisation``.

    Parameters
    ----------
    ads : array of shape (N,)

    Raises
    ------
    ValueError
        When an ad is no whole number from 0.

    Examples
    --------
    >>> import numpy as np
    >>> from pm_utils.decisions.bandits import Known
    >>> oracle = Known(np.array([2, 0, 1]))  # the best ad of three customers
    >>> oracle.choose(np.array([[1, 1, 2]]))
    array([[0, 0, 1]])
    """

    def __init__(self, ads: np.ndarray) -> None:
        self.ads = whole_numbers(numbered(ads, "ads"), "ads")

    def choose(self, customers: np.ndarray) -> np.ndarray:
        """Return the ads that are written down."""
        return self.ads[_whole(customers, "customers", len(self.ads))]

    def learn(self, customers: np.ndarray, ads: np.ndarray, clicks: np.ndarray) -> None:
        """Learn nothing."""


class TestThenCommit:
    """Show every ad equally often for some rounds, then the one with most clicks to everybody.

    A round goes on where the one before ended, so that fewer customers than ads are no matter as
    long as the test has one for every ad. Of ads with the same rate the first wins.

    Explained in chapter ``creative-optimisation``.

    Parameters
    ----------
    n_ads, replications, rounds : int
        Ads, replications, and rounds of the test.

    Raises
    ------
    ValueError
        When a number is below 1; by `choose`, when the test was too short to show every ad.

    Examples
    --------
    >>> import numpy as np
    >>> from pm_utils.decisions.bandits import TestThenCommit
    >>> policy = TestThenCommit(2, 1, rounds=1)
    >>> customers = np.zeros((1, 4), int)
    >>> policy.choose(customers)
    array([[0, 1, 0, 1]])
    >>> policy.learn(customers, policy.choose(customers), np.array([[False, True, False, False]]))
    >>> policy.choose(customers)
    array([[1, 1, 1, 1]])
    """

    __test__ = False  # pytest takes the name for a test's

    def __init__(self, n_ads: int, replications: int, *, rounds: int) -> None:
        for name, count in (("n_ads", n_ads), ("replications", replications), ("rounds", rounds)):
            whole_numbers(count, name, low=1)
        self.counts, self.rounds_left = np.zeros((replications, n_ads, 2)), rounds

    def choose(self, customers: np.ndarray) -> np.ndarray:
        """Return ads in turn while the test lasts, then the winner."""
        if self.rounds_left > 0:
            shown = int(self.counts[0].sum())
            turn = (shown + np.arange(customers.shape[1])) % self.counts.shape[1]
            return np.broadcast_to(turn, customers.shape)
        if not (seen := self.counts.sum(2)).all():
            raise ValueError(
                f"the test had {int(seen[0].sum())} customers for {seen.shape[1]} ads, so some "
                "were never shown: test for more rounds"
            )
        rate = self.counts[..., 0] / np.maximum(self.counts.sum(2), 1)
        return np.repeat(rate.argmax(1)[:, None], customers.shape[1], axis=1)

    def learn(self, customers: np.ndarray, ads: np.ndarray, clicks: np.ndarray) -> None:
        """Count, while the test lasts."""
        if self.rounds_left > 0:
            self.counts += click_counts(ads, clicks, self.counts.shape[1])
            self.rounds_left -= 1


def click_counts(ads: np.ndarray, clicks: np.ndarray, n_ads: int) -> np.ndarray:
    """Count clicks and misses of each ad in each replication → (R, M, 2).

    Raises
    ------
    ValueError
        When the shapes differ, an ad is not from 0 to M - 1, or a click is neither 0 nor 1.

    Examples
    --------
    >>> import numpy as np
    >>> from pm_utils.decisions.bandits import click_counts
    >>> click_counts(np.array([[0, 1, 1]]), np.array([[True, False, True]]), n_ads=2).tolist()
    [[[1, 0], [1, 1]]]
    """
    ads, clicks = whole_numbers(ads, "ads", high=n_ads - 1), booleans(clicks, "clicks")
    if ads.shape != clicks.shape or ads.ndim != 2:
        raise ValueError(f"ads is {ads.shape} and clicks {clicks.shape}: give (R, B) of both")
    rows = np.arange(len(ads))[:, None] * n_ads + ads
    cells = np.bincount((2 * rows + ~clicks).ravel(), minlength=2 * len(ads) * n_ads)
    return cells.reshape(len(ads), n_ads, 2)


def rows_by_ad(ads: np.ndarray, n_ads: int) -> list[np.ndarray]:
    """Return for each ad the places where it was shown, in order; ads of shape (B,).

    Raises
    ------
    ValueError
        When an ad is not from 0 to M - 1.

    Examples
    --------
    >>> import numpy as np
    >>> from pm_utils.decisions.bandits import rows_by_ad
    >>> [rows.tolist() for rows in rows_by_ad(np.array([1, 0, 1]), n_ads=3)]
    [[1], [0, 2], []]
    """
    ads = _whole(ads, "ads", n_ads)
    ends = np.cumsum(np.bincount(ads, minlength=n_ads))
    return np.split(np.argsort(ads, kind="stable"), ends[:-1])


class Thompson:
    r"""Thompson sampling for click rates without context.

    Each ad's rate has the posterior :math:`\text{Beta}(a + \text{clicks}, b + \text{misses})`. One
    rate is drawn for each ad, and the ad with the largest draw is shown.

    Explained in chapter ``creative-optimisation``.

    Parameters
    ----------
    n_ads, replications : int
    prior : (float, float)
        a and b, above 0.
    seed : int

    Raises
    ------
    ValueError
        When a number is not positive.

    References
    ----------
    Thompson (1933); Russo et al. (2018), A tutorial on Thompson sampling.

    Examples
    --------
    Three impressions of the second ad, two of them clicked, are added to its prior.

    >>> import numpy as np
    >>> from pm_utils.decisions.bandits import Thompson
    >>> policy, customers = Thompson(2, 1, prior=(1, 1)), np.zeros((1, 3), int)
    >>> policy.learn(customers, np.array([[1, 1, 1]]), np.array([[True, False, True]]))
    >>> policy.posterior.tolist()
    [[[1.0, 1.0], [3.0, 2.0]]]
    >>> policy.choose(customers).shape
    (1, 3)
    """

    def __init__(
        self, n_ads: int, replications: int, *, prior: tuple[float, float] = (1, 30), seed: int = 0
    ) -> None:
        for name, count in (("n_ads", n_ads), ("replications", replications)):
            whole_numbers(count, name, low=1)
        self.rng, prior = np.random.default_rng(seed), numbers(prior, "prior", above=0)
        self.posterior = np.tile(np.array(prior, float), (replications, n_ads, 1))

    def choose(self, customers: np.ndarray) -> np.ndarray:
        """Draw rates (R, B / SHARING, M) and return the ad with the largest."""
        clicks, misses = np.moveaxis(self.posterior[:, None], -1, 0)
        (replications, batch), n_ads = customers.shape, self.posterior.shape[1]
        size = replications, -(-batch // SHARING), n_ads
        best = self.rng.beta(clicks, misses, size=size).argmax(2)
        return np.repeat(best, SHARING, axis=1)[:, :batch]

    def learn(self, customers: np.ndarray, ads: np.ndarray, clicks: np.ndarray) -> None:
        """Add clicks and misses to the posterior."""
        self.posterior += click_counts(ads, clicks, self.posterior.shape[1])


class LinUCB:
    r"""A ridge regression of clicks on the context for each ad, and optimism about what is unknown.

    With :math:`A_c = \lambda I + \sum x x^\top` and :math:`b_c = \sum r x` over the customers who
    were shown ad c, the ad shown to x has the largest

    .. math:: x^\top A_c^{-1} b_c + \alpha \sqrt{x^\top A_c^{-1} x}.

    Explained in chapter ``creative-optimisation``.

    Parameters
    ----------
    context : array of shape (N, D)
        What is known of each customer, a constant included.
    n_ads, replications : int
    alpha : float
        Weight of the doubt, in units of the reward; 0 is greedy.
    ridge : float
        λ, above 0.

    Raises
    ------
    ValueError
        When a number of the context is not finite, `alpha` is negative or `ridge` not positive.

    References
    ----------
    Li, Chu, Langford & Schapire (2010), algorithm 1.

    Examples
    --------
    Of a constant context, ad 0 was shown four times and clicked once: its mean is 1 / 5 and its
    width :math:`\sqrt{1 / 5}`. Ad 1 is unknown: its mean is 0 and its width 1.

    >>> import numpy as np
    >>> from pm_utils.decisions.bandits import LinUCB
    >>> shown = np.zeros((1, 4), int)  # customer 0 four times, and ad 0 each time
    >>> for alpha in (0.0, 1.0):
    ...     policy = LinUCB(np.ones((1, 1)), 2, 1, alpha=alpha)
    ...     policy.learn(shown, shown, np.array([[True, False, False, False]]))
    ...     print(alpha, policy.choose(np.zeros((1, 1), int)))
    0.0 [[0]]
    1.0 [[1]]
    """

    def __init__(
        self, context: np.ndarray, n_ads: int, replications: int, *, alpha: float, ridge: float = 1
    ) -> None:
        self.context = numbers(numbered(context, "context"), "context", ndim=2).astype(float)
        numbers(ridge, "ridge", above=0)
        self.alpha = np.float32(numbers(alpha, "alpha", low=0))
        self.context32 = self.context.astype(np.float32)
        width = self.context.shape[1]
        self.upper_triangle = i, j = np.triu_indices(width)
        pairs = self.context[:, i] * self.context[:, j] * np.where(i < j, 2, 1)
        self.pairs = pairs.astype(np.float32)  # x xᵀ of every customer, above the diagonal twice
        self.a = np.tile(ridge * np.eye(width), (replications, n_ads, 1, 1))
        self.b = np.zeros((replications, n_ads, width))

    def choose(self, customers: np.ndarray) -> np.ndarray:
        """Return the ad with the largest upper bound."""
        customers = _whole(customers, "customers", len(self.context))
        inverse, (i, j) = np.linalg.inv(self.a), self.upper_triangle
        ads = np.empty(customers.shape, np.int64)
        for r, who in enumerate(customers):
            weights = np.einsum("mde,me->dm", inverse[r], self.b[r]).astype(np.float32)
            mean = self.context32 @ weights  # (N, M)
            variance = self.pairs @ inverse[r][:, i, j].T.astype(np.float32)
            ads[r] = (mean + self.alpha * np.sqrt(variance)).argmax(1)[who]
        return ads

    def learn(self, customers: np.ndarray, ads: np.ndarray, clicks: np.ndarray) -> None:
        """Add the round to A and b."""
        known = len(self.context), self.a.shape[1]
        customers, ads, clicks = _played(customers, ads, clicks, known)
        for r, who in enumerate(customers):
            for m, shown in enumerate(rows_by_ad(ads[r], self.a.shape[1])):
                x = self.context[who[shown]]
                self.a[r, m] += x.T @ x
                self.b[r, m] += x.T @ clicks[r, shown]


class ClickNets(nn.Module):
    """R networks side by side: context (wide) and hidden units (deep) → logit of each of M ads.

    Explained in chapter ``creative-optimisation``.

    Parameters
    ----------
    replications, width_in, hidden, n_ads : int
    base_rate : float
        P(click) before anything is learned.

    References
    ----------
    Cheng et al. (2016), Wide & deep learning for recommender systems.

    Examples
    --------
    >>> import torch
    >>> from pm_utils.decisions.bandits import ClickNets
    >>> nets = ClickNets(replications=2, width_in=3, hidden=4, n_ads=5, base_rate=0.03)
    >>> logit = nets(torch.zeros(2, 7, 3), torch.zeros(2, 7, dtype=torch.int64))
    >>> logit.shape
    torch.Size([2, 7])
    >>> round(logit[0, 0].sigmoid().item(), 2)  # an untrained network says the base rate
    0.03
    """

    def __init__(
        self, replications: int, width_in: int, hidden: int, n_ads: int, *, base_rate: float
    ) -> None:
        super().__init__()
        self.inner = StackedLinear(torch.randn(replications, width_in, hidden) / width_in**0.5)
        self.ads = nn.Parameter(torch.zeros(replications, n_ads, width_in + hidden + 1))
        start = float(np.log(base_rate / (1 - base_rate)))
        self.register_buffer("base", torch.full((replications, 1), start))

    def features(self, x: Tensor) -> Tensor:
        """Context (R, B, D) → context, hidden units and a constant (R, B, F = D + H + 1)."""
        hidden = torch.relu(self.inner(x))
        return torch.cat([x, hidden, torch.ones_like(x[..., :1])], dim=2)

    def forward(self, x: Tensor, ads: Tensor) -> Tensor:
        """Context (R, B, D), ads (R, B) → logit of a click on each (R, B)."""
        every = torch.bmm(self.features(x), self.ads.mT)  # (R, B, M)
        return every.gather(2, ads[..., None]).squeeze(2) + self.base


class DeepThompson:
    r"""Thompson sampling with a network whose last layer has a posterior (neural-linear).

    :math:`\phi(x)` are the context, the hidden units and a constant, :math:`w_c` the last layer's
    weights for ad c. After every round the network trains on batches from all that was seen. Then
    the last layer is fitted anew to all of it, by Newton's method, with the penalty
    :math:`\frac{\lambda}{2} \lVert w \rVert^2`, and :math:`w_c \sim N(\hat w_c, P_c^{-1})` with
    the precision of Laplace's approximation,

    .. math:: P_c = \lambda I + \sum p (1 - p) \, \phi(x) \phi(x)^\top,

    summed over the customers who were shown c. Weights are drawn for each ad, and the ad with the
    largest logit is shown. Without hidden units this is Thompson sampling by logistic regression,
    and nothing is left for the batches to learn.

    Explained in chapter ``creative-optimisation``.

    Parameters
    ----------
    context : array of shape (N, D)
    n_ads, replications : int
    hidden : int
    steps, batch_size : int
        Steps of Adam after each round and rows in each, per replication.
    learning_rate, prior_precision : float
        λ is `prior_precision`.
    doubt : float, or sequence of R floats
        Multiplies the standard deviation of what is drawn; 1 is Thompson's rule, 0 greedy.
    base_rate : float
        P(click) before anything is learned, strictly between 0 and 1.
    seed : int

    Raises
    ------
    ValueError
        When a number of the context is not finite, `doubt` is negative, `prior_precision` is not
        positive or `base_rate` is not strictly between 0 and 1.

    References
    ----------
    Riquelme, Tucker & Snoek (2018), Deep Bayesian bandits showdown.
    Chapelle & Li (2011), An empirical evaluation of Thompson sampling, algorithm 3.

    Examples
    --------
    Two kinds of customers, each with an ad of its own: three rounds of 64 find out which.

    >>> import numpy as np
    >>> from pm_utils.decisions.bandits import DeepThompson, play_bandit
    >>> context, truth = np.eye(2), np.array([[0.8, 0.1], [0.1, 0.8]])
    >>> policy = DeepThompson(context, 2, 1, hidden=0, prior_precision=1.0, base_rate=0.5)
    >>> earned = play_bandit(policy, truth, rounds=3, batch=64, replications=1, seed=0)
    >>> policy.expected().argmax(1)
    array([0, 1])
    """

    def __init__(
        self,
        context: np.ndarray,
        n_ads: int,
        replications: int,
        *,
        hidden: int = 8,
        steps: int = 40,
        batch_size: int = 384,
        learning_rate: float = 1e-3,
        prior_precision: float = 10.0,
        doubt: float | Sequence[float] = 0.1,
        base_rate: float = 0.03,
        seed: int = 0,
    ) -> None:
        context = numbers(numbered(context, "context"), "context", ndim=2)
        numbers(doubt, "doubt", low=0)
        numbers(prior_precision, "prior_precision", above=0)
        if not 0 < base_rate < 1:
            raise ValueError(f"base_rate is {base_rate}: give a share between 0 and 1")
        torch.manual_seed(seed)
        self.context = torch.tensor(context, dtype=torch.float32)
        size = (replications, self.context.shape[1], hidden, n_ads)
        self.nets = ClickNets(*size, base_rate=base_rate)
        self.optimizer = torch.optim.Adam(self.nets.parameters(), lr=learning_rate, fused=True)
        self.hidden, self.steps, self.batch_size = hidden, steps, batch_size
        self.prior, self.doubt = prior_precision, torch.tensor(doubt).reshape(-1, 1, 1, 1)
        self.base_rate, self.generator = base_rate, torch.Generator().manual_seed(seed)
        self.seen: list[tuple[Tensor, ...]] = []
        self.shown, self.clicked = torch.zeros(2, replications, len(context), n_ads)
        precision = prior_precision * torch.eye(self.nets.ads.shape[2])
        self.precision = precision.repeat(replications, n_ads, 1, 1)

    @torch.no_grad()
    def choose(self, customers: np.ndarray) -> np.ndarray:
        """Draw weights (R, M, F, B / SHARING) and return the ad with the largest logit."""
        customers = _whole(customers, "customers", len(self.context))
        phi = self.nets.features(self.context[torch.as_tensor(customers)])  # (R, B, F)
        phi = pad(phi, (0, 0, 0, -phi.shape[1] % SHARING)).unflatten(1, (-1, SHARING))
        scale = self.doubt * torch.linalg.cholesky(torch.linalg.inv(self.precision))
        noise = torch.randn(*scale.shape[:3], phi.shape[1], generator=self.generator)
        drawn = self.nets.ads[..., None] + scale @ noise
        logit = phi @ drawn.permute(0, 3, 2, 1)  # (R, B / SHARING, SHARING, M)
        return logit.argmax(3).flatten(1)[:, : customers.shape[1]].numpy()

    def learn(self, customers: np.ndarray, ads: np.ndarray, clicks: np.ndarray) -> None:
        """Remember the round, train the hidden units, and fit the last layer to everything."""
        known = len(self.context), self.precision.shape[1]
        customers, ads, clicks = _played(customers, ads, clicks, known)
        parts = customers, ads, clicks.astype(np.float32)
        self.seen.append(tuple(torch.tensor(np.array(part)) for part in parts))
        self._count(*self.seen[-1])
        if self.hidden:
            self._train()
        self._fit_last_layer()

    def _count(self, customers: Tensor, ads: Tensor, clicks: Tensor) -> None:
        """Add the round to who saw what how often (R, N, M), and to who clicked."""
        places = customers * self.shown.shape[2] + ads
        self.shown.flatten(1).scatter_add_(1, places, torch.ones_like(clicks))
        self.clicked.flatten(1).scatter_add_(1, places, clicks)
        rate = (self.clicked.sum((1, 2)) + 1) / (self.shown.sum((1, 2)) + 1 / self.base_rate)
        self.nets.base.copy_(rate.logit()[:, None])

    def _train(self) -> None:
        """Take Adam's steps on batches from all rounds."""
        past = [torch.cat(parts, dim=1) for parts in zip(*self.seen, strict=True)]
        size, n = (self.steps, len(past[0]), self.batch_size), past[0].shape[1]
        drawn = torch.randint(n, size, generator=self.generator)
        rows = drawn.transpose(0, 1).flatten(1)  # (R, steps · rows)
        batches = [part.gather(1, rows).split(self.batch_size, 1) for part in past]
        for customers, ads, clicks in zip(*batches, strict=True):
            self.optimizer.zero_grad()
            logit = self.nets(self.context[customers], ads)
            log_loss = binary_cross_entropy_with_logits(logit, clicks) * len(logit)
            (log_loss + self.prior / (2 * n) * self.nets.ads.square().sum()).backward()
            self.optimizer.step()

    @torch.no_grad()
    def _fit_last_layer(self) -> None:
        """Climb by Newton's steps to the likeliest last layer; its curvature is the precision."""
        every = self.nets.features(self.context.expand(len(self.shown), -1, -1))  # (R, N, F)
        i, j = torch.triu_indices(every.shape[2], every.shape[2])
        prior = self.prior * torch.eye(every.shape[2])
        for r, phi in enumerate(every):
            if self.hidden or r == 0:  # without hidden units all replications have the same
                pairs = _pairs(phi)
            w, shown, clicked = self.nets.ads[r], self.shown[r], self.clicked[r]
            for _ in range(NEWTON_STEPS):
                p = (phi @ w.T + self.nets.base[r]).sigmoid()  # (N, M)
                expected = shown * p
                curvature = (expected - expected * p).T @ pairs.T
                self.precision[r][:, i, j] = self.precision[r][:, j, i] = curvature
                self.precision[r] += prior
                uphill = (clicked - expected).T @ phi - self.prior * w  # (M, F)
                step = torch.linalg.solve(self.precision[r], uphill)
                w += step
                if step.abs().max() < SMALL_STEP:
                    break

    @torch.no_grad()
    def expected(self, replication: int = 0) -> np.ndarray:
        """Return P(click) of all customers on all ads as one replication believes → (N, M)."""
        size = (len(self.nets.ads), *self.context.shape)
        phi = self.nets.features(self.context.expand(size))[replication]
        logit = phi @ self.nets.ads[replication].T + self.nets.base[replication]
        return logit.sigmoid().double().numpy()


def _pairs(phi: Tensor) -> Tensor:
    """Return φ φᵀ of each customer, above the diagonal: (N, F) → (F (F + 1) / 2, N)."""
    rows, n = phi.T.contiguous(), phi.shape[1]
    return torch.cat([rows[f] * rows[f:] for f in range(n)])


class UniformStart:
    """Show all ads equally often for some rounds, and only then what a policy chooses.

    The policy learns from these rounds as from any other. One that always does the same where it
    knows the same, as `LinUCB`, shows a whole first round of customers one ad without them.

    Parameters
    ----------
    policy : BanditPolicy
    n_ads : int
    rounds : int
        How many; with 0 the policy starts as it comes.

    Raises
    ------
    ValueError
        When there is no ad or `rounds` is negative.

    References
    ----------
    Chapelle & Li (2011), An empirical evaluation of Thompson sampling, section 3, on delays.

    Examples
    --------
    >>> import numpy as np
    >>> from pm_utils.decisions.bandits import LinUCB, UniformStart
    >>> customers = np.zeros((1, 4), int)
    >>> LinUCB(np.ones((1, 1)), 2, 1, alpha=1.0).choose(customers)  # nothing known: the first ad
    array([[0, 0, 0, 0]])
    >>> policy = UniformStart(LinUCB(np.ones((1, 1)), 2, 1, alpha=0.0), 2)
    >>> policy.choose(customers)
    array([[0, 1, 0, 1]])
    >>> policy.learn(customers, policy.choose(customers), np.array([[False, True, False, False]]))
    >>> policy.choose(customers)
    array([[1, 1, 1, 1]])
    """

    def __init__(self, policy: BanditPolicy, n_ads: int, *, rounds: int = 1) -> None:
        whole_numbers(n_ads, "n_ads", low=1)
        whole_numbers(rounds, "rounds")
        self.policy, self.n_ads, self.rounds_left = policy, n_ads, rounds

    def choose(self, customers: np.ndarray) -> np.ndarray:
        """Return ads in turn in the first rounds, then the policy's choice."""
        if not self.rounds_left:
            return self.policy.choose(customers)
        return np.broadcast_to(np.arange(customers.shape[1]) % self.n_ads, customers.shape)

    def learn(self, customers: np.ndarray, ads: np.ndarray, clicks: np.ndarray) -> None:
        """Hand the round to the policy."""
        self.policy.learn(customers, ads, clicks)
        self.rounds_left = max(self.rounds_left - 1, 0)


def starting(
    make: Callable[[int], BanditPolicy], n_ads: int, *, rounds: int
) -> Callable[[int], BanditPolicy]:
    """Return a maker of policies that start with uniform rounds; see `UniformStart`.

    Parameters
    ----------
    make : callable
        A number of replications → a policy, as in `tournament`.
    n_ads, rounds : int

    Raises
    ------
    ValueError
        When there is no ad or `rounds` is negative.

    Examples
    --------
    >>> from pm_utils.decisions.bandits import Thompson, starting
    >>> starting(lambda n: Thompson(4, n), 4, rounds=1)(2).rounds_left
    1
    """
    whole_numbers(n_ads, "n_ads", low=1)
    whole_numbers(rounds, "rounds")
    return lambda n: UniformStart(make(n), n_ads, rounds=rounds)


class Strangers:
    """A null: a policy that takes each customer for another one, drawn anew per replication.

    Whatever it learns of ads is right, whatever it learns of customers is not theirs.

    Explained in chapter ``creative-optimisation``.

    Parameters
    ----------
    policy : BanditPolicy
    n_customers, replications : int
    seed : int
        Draws a shuffle of the customers for each replication.

    Raises
    ------
    ValueError
        When a number is below 1; by `choose` and `learn`, when a customer is not from 0 to N - 1 or
        there are other replications.

    Examples
    --------
    >>> import numpy as np
    >>> from pm_utils.decisions.bandits import Known, Strangers
    >>> null = Strangers(Known(np.arange(5)), 5, 2, seed=0)
    >>> shown = null.choose(np.tile(np.arange(5), (2, 1)))  # each customer's own ad is their number
    >>> shown.tolist()
    [[2, 4, 3, 0, 1], [4, 1, 2, 0, 3]]
    """

    def __init__(
        self, policy: BanditPolicy, n_customers: int, replications: int, *, seed: int
    ) -> None:
        for name, count in (("n_customers", n_customers), ("replications", replications)):
            whole_numbers(count, name, low=1)
        everyone = np.tile(np.arange(n_customers), (replications, 1))
        self.policy = policy
        self.other = np.random.default_rng(seed).permuted(everyone, axis=1)  # (R, N)

    def choose(self, customers: np.ndarray) -> np.ndarray:
        """Return what the policy would show to the others."""
        return self.policy.choose(self._others(customers))

    def learn(self, customers: np.ndarray, ads: np.ndarray, clicks: np.ndarray) -> None:
        """Let the policy believe that the others clicked."""
        self.policy.learn(self._others(customers), ads, clicks)

    def _others(self, customers: np.ndarray) -> np.ndarray:
        """Return whom customers are taken for, replication by replication → (R, B)."""
        replications, n_customers = self.other.shape
        customers = _whole(customers, "customers", n_customers)
        if customers.ndim != 2 or len(customers) != replications:
            raise ValueError(f"customers is {customers.shape}: give ({replications}, B)")
        return np.take_along_axis(self.other, customers, 1)


def tournament(
    players: dict[str, Callable[[int], BanditPolicy]],
    truth: np.ndarray,
    replications: dict[str, int],
    **game: int,
) -> tuple[dict[str, BanditPolicy], dict[str, np.ndarray]]:
    """Let each policy play the same game.

    Explained in chapter ``creative-optimisation``.

    Parameters
    ----------
    players : dict of callables
        A number of replications → a policy.
    truth : array of shape (N, M)
    replications : dict of int
        How many for each player.
    **game : int
        ``rounds``, ``batch`` and ``seed`` of `play_bandit`.

    Returns
    -------
    policies : dict of BanditPolicy
        As they are after the last round.
    earned : dict of arrays of shape (rounds, R)

    Examples
    --------
    >>> import numpy as np
    >>> from pm_utils.decisions.bandits import Known, tournament
    >>> truth = np.array([[0.1, 0.5]])
    >>> players = {"first": lambda n: Known(np.zeros(1, int))}
    >>> players["oracle"] = lambda n: Known(truth.argmax(1))
    >>> sizes = {"first": 2, "oracle": 3}  # replications
    >>> policies, earned = tournament(players, truth, sizes, rounds=4, batch=5, seed=0)
    >>> {name: each.shape for name, each in earned.items()}
    {'first': (4, 2), 'oracle': (4, 3)}
    """
    policies = {name: make(replications[name]) for name, make in players.items()}
    earned = {
        name: play_bandit(policy, truth, replications=replications[name], **game)
        for name, policy in policies.items()
    }
    return policies, earned


def shares_of_gain(
    earned: dict[str, np.ndarray], baseline: str, oracle: str, *, rounds: slice = slice(None)
) -> dict[str, np.ndarray]:
    """Return (earned - baseline) / (oracle - baseline) of every player and replication → (R,).

    Explained in chapter ``creative-optimisation``.

    Parameters
    ----------
    earned : dict of arrays of shape (rounds, R)
        From `tournament`; a player of fewer replications played the first of them.
    baseline, oracle : str
        Players who define 0 and 1.
    rounds : slice
        Those that count.

    Raises
    ------
    KeyError
        When `baseline` or `oracle` has not played.
    ValueError
        When a player played more often than they did, a reward is not finite, or the oracle earned
        what the baseline earned, so that there is no gain to share.

    Examples
    --------
    >>> import numpy as np
    >>> from pm_utils.decisions.bandits import shares_of_gain
    >>> earned = {"fixed": np.full((1, 1), 0.25), "ours": np.full((1, 1), 0.5)}
    >>> earned["oracle"] = np.full((1, 1), 0.75)
    >>> {name: each.item() for name, each in shares_of_gain(earned, "fixed", "oracle").items()}
    {'fixed': 0.0, 'ours': 0.5, 'oracle': 1.0}
    """
    codes([baseline, oracle], list(earned), "player")
    total = {n: numbers(clicks, n, ndim=2)[rounds].sum(0) for n, clicks in earned.items()}
    low, high = total[baseline], total[oracle]
    most = max(map(len, total.values()))
    if len(low) < most or len(high) < most:
        raise ValueError(
            f"{baseline} played {len(low)} and {oracle} {len(high)} times, another {most}: "
            "let both play most often"
        )
    if (high == low).any():
        raise ValueError(f"{oracle} earned what {baseline} earned: there is no gain to share")
    return {
        name: (each - low[: len(each)]) / (high - low)[: len(each)] for name, each in total.items()
    }


def bandit_standings(earned: dict[str, np.ndarray], baseline: str, oracle: str) -> pd.DataFrame:
    """Return each player's regret with half its 95 % interval, and shares of the gain.

    Parameters are those of `shares_of_gain`.

    Explained in chapter ``creative-optimisation``.

    Examples
    --------
    One player learns only in the last quarter: before, it loses half a click a customer.

    >>> import numpy as np
    >>> from pm_utils.decisions.bandits import bandit_standings
    >>> earned = {"fixed": np.full((4, 2), 0.25), "oracle": np.full((4, 2), 0.75)}  # (rounds, R)
    >>> earned["late"] = np.array([[0.25, 0.25]] * 3 + [[0.75, 0.75]])
    >>> bandit_standings(earned, "fixed", "oracle").loc["late"].tolist()
    [375.0, 0.0, 0.25, 1.0]
    """
    quarter = slice(-(len(earned[oracle]) // 4), None)
    whole = shares_of_gain(earned, baseline, oracle)
    late = shares_of_gain(earned, baseline, oracle, rounds=quarter)
    rows = {}
    for name, clicks in earned.items():
        lost = 1000 * (earned[oracle][:, : clicks.shape[1]] - clicks).mean(0)
        rows[name] = [*mean_and_margin(lost), whole[name].mean(), late[name].mean()]
    columns = ["clicks lost per 1,000", "±", "share of oracle gain", "the same, last quarter"]
    return pd.DataFrame(rows, index=columns).T


def total_regret(earned: np.ndarray, oracle: np.ndarray, batch: int) -> np.ndarray:
    """Return the clicks lost against the oracle up to each round → (rounds, R).

    Explained in chapter ``creative-optimisation``.

    Raises
    ------
    ValueError
        When the shapes differ or a number is not finite.

    Examples
    --------
    >>> import numpy as np
    >>> from pm_utils.decisions.bandits import total_regret
    >>> total_regret(np.array([[0.25], [0.5]]), oracle=np.array([[0.5], [0.5]]), batch=100)
    array([[25.],
           [25.]])
    """
    given = earned, oracle
    earned, oracle = aligned_tables(earned=earned, oracle=oracle)
    earned, oracle = numbers(earned, "earned", ndim=2), numbers(oracle, "oracle", ndim=2)
    return like(np.cumsum(oracle - earned, axis=0) * batch, *given)
