"""Who sees which ad: policies that say with which probability they choose it.

A policy has ``n_creatives``, ``probabilities(customers) -> (B, M)`` and ``choose(customers, u) ->
(creatives, propensities)``, which turns one uniform number per impression into a choice. Any
function from customers (B,) to probabilities (B, M) will do where a policy is asked for.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

import numpy as np
import pandas as pd

from pm_utils.inputs import SUM_TOLERANCE, codes, columns, like, numbers, plain, whole_numbers
from pm_utils.market._checks import by_number, known_codes, rows_by_index

BITS = 24  # of a random number
START_BITS = 8
STARTS = 1 << START_BITS  # of a search, per customer
LINEAR_STEPS = 4  # from there before it is halved instead
ANYBODY = 2**63  # customers, where a policy knows of no number


class Policy(Protocol):
    """Chooses ads for customers; see the module."""

    n_creatives: int

    def probabilities(self, customers: np.ndarray) -> np.ndarray:
        """Return the probability of every ad for each customer → (B, M)."""

    def choose(self, customers: np.ndarray, u: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return an ad for each customer and the probability with which it was chosen."""


def _pick(u: np.ndarray, scale: float, n_creatives: int) -> np.ndarray:
    """Return the whole part of u · scale as an ad; rounding must not make it one too many."""
    return np.minimum((u * np.float32(scale)).astype(np.int32), n_creatives - 1)


def _asked(customers: np.ndarray, u: np.ndarray, count: int) -> tuple:
    """Return whom a policy chooses for and the numbers that decide, or refuse them."""
    customers, u = rows_by_index(customers=customers, u=u)
    who, luck = known_codes(customers, "customers", count), plain(u)
    if who.shape != luck.shape or who.ndim != 1:
        raise ValueError(
            f"customers has shape {who.shape} and u {luck.shape}: give one number per customer"
        )
    if luck.dtype.kind != "f" or (luck.size and not (luck.min() >= 0 and luck.max() <= 1)):
        luck = numbers(u, "u", low=0, high=1)
    return who, luck, (customers, u)


def _answer(chosen: tuple[np.ndarray, np.ndarray], models: tuple) -> tuple[np.ndarray, np.ndarray]:
    """Return ads and propensities by the index of those who were asked about, if they have one."""
    return like(chosen[0], *models), like(chosen[1], *models)


@dataclass(frozen=True)
class Uniform:
    """Every ad with the same probability.

    Explained in chapter ``ad-text``.

    Examples
    --------
    >>> import numpy as np
    >>> from pm_utils.market import Uniform
    >>> creative, propensity = Uniform(4).choose(np.array([0, 1, 2]), np.array([0.0, 0.3, 0.99]))
    >>> creative, propensity
    (array([0, 1, 3], dtype=int32), array([0.25, 0.25, 0.25], dtype=float32))
    """

    n_creatives: int

    def __post_init__(self) -> None:
        """Check that there is an ad."""
        whole_numbers(self.n_creatives, "n_creatives", low=1)

    def probabilities(self, customers: np.ndarray) -> np.ndarray:
        """Return 1 / M throughout → (B, M)."""
        shape = (len(known_codes(customers, "customers", ANYBODY)), self.n_creatives)
        return like(np.full(shape, 1 / self.n_creatives, np.float32), customers)

    def choose(self, customers: np.ndarray, u: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return ads and propensities → (B,), (B,)."""
        _, u, models = _asked(customers, u, ANYBODY)
        creative = _pick(u, self.n_creatives, self.n_creatives)
        return _answer((creative, np.full(len(u), 1 / self.n_creatives, np.float32)), models)


@dataclass(frozen=True, eq=False)
class EpsilonGreedy:
    """The ad of one's own most of the time, a random one otherwise; ε = 0 is a fixed policy.

    Explained in chapter ``creative-optimisation``.

    Attributes
    ----------
    best : array of shape (N,), integers
        Each customer's ad.
    n_creatives : int
    epsilon : float
        How often any ad is drawn uniformly, from 0 to 1.

    Examples
    --------
    >>> import numpy as np
    >>> from pm_utils.market import EpsilonGreedy
    >>> policy = EpsilonGreedy(best=[2, 0, 1], n_creatives=4, epsilon=0.2)
    >>> policy.probabilities(np.array([0, 1]))
    array([[0.05, 0.05, 0.85, 0.05],
           [0.85, 0.05, 0.05, 0.05]], dtype=float32)
    >>> creative, propensity = policy.choose(np.array([0, 0]), np.array([0.02, 0.9]))
    >>> creative, propensity.round(2)  # below 0.2 any ad, else the customer's own
    (array([0, 2], dtype=int32), array([0.05, 0.85], dtype=float32))
    """

    best: np.ndarray
    n_creatives: int
    epsilon: float = 0.0

    def __post_init__(self) -> None:
        """Check the ads and epsilon."""
        whole_numbers(self.n_creatives, "n_creatives", low=1)
        best = whole_numbers(by_number(self.best, "best"), "best", low=None)
        if best.ndim == 1 and best.size and 0 <= best.min() <= best.max() < 2**31:
            best = best.astype(np.int32)
        object.__setattr__(self, "best", best)
        if best.ndim != 1 or not best.size or not 0 <= best.min() <= best.max() < self.n_creatives:
            raise ValueError(f"best must be one ad per customer, from 0 to {self.n_creatives - 1}")
        if not 0 <= self.epsilon <= 1:
            raise ValueError(f"epsilon is {self.epsilon}: give a number from 0 to 1")

    def probabilities(self, customers: np.ndarray) -> np.ndarray:
        """Return ε / M, and 1 - ε more for the customer's own ad → (B, M)."""
        who = known_codes(customers, "customers", len(self.best))
        shape = (len(who), self.n_creatives)
        table = np.full(shape, self.epsilon / self.n_creatives, np.float32)
        table[np.arange(shape[0]), self.best[who]] += 1 - self.epsilon
        return like(table, customers)

    def choose(self, customers: np.ndarray, u: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return ads and propensities → (B,), (B,)."""
        who, u, models = _asked(customers, u, len(self.best))
        own = self.best[who]
        if self.epsilon == 0:
            return _answer((own, np.ones(len(u), np.float32)), models)
        share = np.float32(self.epsilon)
        drawn = _pick(u, self.n_creatives / self.epsilon, self.n_creatives)
        creative = np.where(u < share, drawn, own)
        floor = np.float32(self.epsilon / self.n_creatives)
        return _answer((creative, floor + (creative == own) * np.float32(1 - self.epsilon)), models)


def fixed(creative: int, n_customers: int, n_creatives: int) -> EpsilonGreedy:
    """Return the policy that shows one ad to all.

    Explained in chapter ``creative-optimisation``.

    Examples
    --------
    >>> import numpy as np
    >>> from pm_utils.market import fixed
    >>> fixed(1, n_customers=3, n_creatives=2).probabilities(np.array([0, 2]))
    array([[0., 1.],
           [0., 1.]], dtype=float32)
    """
    return EpsilonGreedy(np.full(n_customers, creative), n_creatives)


@dataclass(frozen=True, eq=False)
class Table:
    """Any probabilities, written down for every customer.

    Attributes
    ----------
    table : array of shape (N, M)
        Probabilities at least 0; rows sum to one. Of a DataFrame, rows and columns are found by the
        numbers of customers and ads.

    Examples
    --------
    >>> import numpy as np
    >>> from pm_utils.market import Table
    >>> policy = Table(np.array([[0.25, 0.75], [1.0, 0.0]]))
    >>> creative, propensity = policy.choose(np.array([0, 0, 1]), np.array([0.2, 0.3, 0.99]))
    >>> creative, propensity
    (array([0, 1, 0], dtype=int32), array([0.25, 0.75, 1.  ], dtype=float32))
    """

    table: np.ndarray

    def __post_init__(self) -> None:
        """Check the probabilities and add them up for the search."""
        table = np.asarray(by_number(self.table, "table"), dtype=np.float64)
        object.__setattr__(self, "table", _checked(table, table.shape))
        cumulative = np.minimum(np.cumsum(table, axis=1), 1.0)
        cumulative[:, -1] = 1.0
        in_units = np.ceil(cumulative * 2**BITS).astype(np.int32)
        object.__setattr__(self, "_cumulative", in_units.ravel())
        object.__setattr__(self, "_propensity", table.astype(np.float32).ravel())

    @property
    def n_creatives(self) -> int:
        """Return M."""
        return self.table.shape[1]

    def probabilities(self, customers: np.ndarray) -> np.ndarray:
        """Return the customers' rows → (B, M)."""
        return like(self.table[known_codes(customers, "customers", len(self.table))], customers)

    @cached_property
    def _line(self) -> np.ndarray:
        """Where each ad ends: the cumulative probabilities of all customers, one ascending line."""
        row = np.arange(len(self.table), dtype=np.int64)
        return (row << BITS).repeat(self.n_creatives) + self._cumulative

    @cached_property
    def _guide(self) -> np.ndarray:
        """Where on the line the search begins: for each customer and 1 / STARTS of the way."""
        ways = np.arange(len(self.table) * STARTS, dtype=np.int64) << (BITS - START_BITS)
        return np.searchsorted(self._line, ways, side="right").astype(np.int32)

    def choose(self, customers: np.ndarray, u: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return ads and propensities → (B,), (B,), as `search` does but by a guide table.

        References
        ----------
        Chen & Asau (1974), On generating random variates from an empirical distribution.
        """
        customers, u, models = _asked(customers, u, len(self.table))
        goal = _fixed_point(u)
        cell = self._guide[customers * np.int64(STARTS) + (goal >> (BITS - START_BITS))]
        cell += self._cumulative[cell] <= goal
        late = np.flatnonzero(self._cumulative[cell] <= goal)
        for _ in range(LINEAR_STEPS):
            cell[late] += 1
            late = late[self._cumulative[cell[late]] <= goal[late]]
        cell[late] = self._find(customers[late], goal[late])  # a crowded stretch
        return _answer(self._ads(customers, cell), models)

    def search(self, customers: np.ndarray, u: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return what `choose` returns, without a guide: for tables that are asked once."""
        customers, u, models = _asked(customers, u, len(self.table))
        return _answer(self._ads(customers, self._find(customers, _fixed_point(u))), models)

    def _find(self, customers: np.ndarray, goal: np.ndarray) -> np.ndarray:
        place = (customers.astype(np.int64) << BITS) + goal
        return np.searchsorted(self._line, place, side="right")

    def _ads(self, customers: np.ndarray, cell: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        at = customers * np.int64(self.n_creatives)
        return (cell - at).astype(np.int32), self._propensity[cell]


def _fixed_point(u: np.ndarray) -> np.ndarray:
    """Write numbers from 0 to 1 in whole units of 2⁻²⁴, the largest one being the last below 1."""
    return np.minimum((u * np.float32(2**BITS)).astype(np.int32), 2**BITS - 1)


@dataclass(frozen=True, eq=False)
class Computed:
    """Any probabilities, computed for those who are asked about.

    Attributes
    ----------
    function : callable
        Customers (B,) → probabilities (B, M); rows sum to one.
    n_creatives : int

    Examples
    --------
    >>> import numpy as np
    >>> from pm_utils.market import Computed
    >>> policy = Computed(lambda customers: np.tile([0.25, 0.75], (len(customers), 1)), 2)
    >>> creative, propensity = policy.choose(np.array([0, 7]), np.array([0.2, 0.3]))
    >>> creative, propensity
    (array([0, 1], dtype=int32), array([0.25, 0.75], dtype=float32))
    """

    function: Callable[[np.ndarray], np.ndarray]
    n_creatives: int

    def __post_init__(self) -> None:
        """Check that there is an ad."""
        whole_numbers(self.n_creatives, "n_creatives", low=1)

    def probabilities(self, customers: np.ndarray) -> np.ndarray:
        """Return the function's probabilities, checked → (B, M).

        A DataFrame's columns are found by the numbers of ads, its rows by those of customers; rows
        that are merely counted stand in the order of the customers.
        """
        who = known_codes(customers, "customers", ANYBODY)
        table = self.function(customers)
        if isinstance(table, pd.DataFrame):
            table, place = columns(table, range(self.n_creatives), "the probabilities"), table.index
            if not any(place.equals(one) for one in (pd.RangeIndex(len(who)), pd.Index(who))):
                at = codes(who, place, "the probabilities: a customer")
                table = table.iloc[at]
        return like(_checked(np.asarray(table), (len(who), self.n_creatives)), customers)

    def choose(self, customers: np.ndarray, u: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return ads and propensities → (B,), (B,)."""
        who, u, models = _asked(customers, u, ANYBODY)
        table = self.probabilities(who)
        return _answer(Table(table).search(np.arange(len(table)), u), models)


def _checked(table: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    if table.ndim != 2 or table.shape != shape:
        raise ValueError(f"the probabilities have shape {table.shape}: give one row per customer")
    total = table.sum(1)
    if table.min(initial=0) < 0 or not np.allclose(total, 1, atol=SUM_TOLERANCE):
        numbers(table, "the probabilities", low=0)
        row = int(np.flatnonzero(~np.isclose(total, 1, atol=SUM_TOLERANCE))[0])
        raise ValueError(
            "the probabilities must be at least 0 and sum to 1 in every row; "
            f"those of row {row} sum to {total[row]:.6g}"
        )
    return table


def as_policy(policy: Policy | Callable, n_creatives: int) -> Policy:
    """Return a policy over a catalogue of M ads from a policy or a function.

    Raises
    ------
    ValueError
        When the policy is for a different number of ads.

    Examples
    --------
    >>> import numpy as np
    >>> from pm_utils.market.logging_policies import as_policy
    >>> policy = as_policy(lambda customers: np.tile([0.5, 0.5], (len(customers), 1)), 2)
    >>> policy.probabilities(np.array([3]))
    array([[0.5, 0.5]])
    """
    if not hasattr(policy, "choose"):
        return Computed(policy, n_creatives)
    if policy.n_creatives != n_creatives:
        raise ValueError(
            f"the policy chooses among {policy.n_creatives} ads, the market has {n_creatives}"
        )
    return policy
