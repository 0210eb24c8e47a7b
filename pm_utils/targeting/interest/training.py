"""Feed pairs to a network and train it."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from pm_utils.customers.purchase_log import CONTEXT_COLUMNS
from pm_utils.inputs import numbers
from pm_utils.learning.training import History, fit, predict
from pm_utils.targeting.interest.networks import DeepInterestNet, PooledInterestNet
from pm_utils.targeting.interest.samples import (
    EVENTS,
    PAIR_COLUMNS,
    Pairs,
    Snapshots,
    pair_facts,
)


@dataclass(frozen=True)
class Reader:
    """Turns pairs into a network's inputs, on scales learned from training pairs.

    Explained in chapter ``interest``.

    Attributes
    ----------
    mean, std : arrays of shape (18,)
        Of the columns of `PAIR_COLUMNS`.
    own : bool
        Whether the network is told about pairs. If not, it has to find that in the history.

    Examples
    --------
    >>> from dataclasses import replace
    >>> import numpy as np
    >>> from pm_utils.targeting.interest.training import Reader
    >>> reader = Reader(mean=np.zeros(18), std=np.ones(18))
    >>> reader.facts  # about the pair, and about the household
    18
    >>> replace(reader, own=False).facts  # about the household only
    8
    """

    mean: np.ndarray
    std: np.ndarray
    own: bool = True

    @classmethod
    def learn(cls, snapshots: Snapshots, pairs: Pairs) -> "Reader":
        """Take means and deviations from training pairs; a constant keeps its scale."""
        facts = pair_facts(snapshots, pairs)
        return cls(facts.mean(0), np.where(np.ptp(facts, axis=0) > 0, facts.std(0), 1.0))

    @property
    def facts(self) -> int:
        """How many numbers the network's head is told."""
        return len(PAIR_COLUMNS) if self.own else len(CONTEXT_COLUMNS)

    def inputs(self, snapshots: Snapshots, pairs: Pairs) -> list[Tensor]:
        """Return candidate (N,), snapshot (N,), facts (N, F)."""
        facts = ((pair_facts(snapshots, pairs) - self.mean) / self.std)[:, -self.facts :]
        parts = pairs.candidate + 1, pairs.snapshot, facts.astype(np.float32)
        return [torch.from_numpy(part) for part in parts]

    def histories(self, snapshots: Snapshots) -> tuple[Tensor, Tensor]:
        """Return history (M, T) and what is known of its items (M, T, 5)."""
        at = np.maximum(snapshots.history - 1, 0)[:, :, None]
        events = np.take_along_axis(snapshots.own[:, :, :EVENTS], at, 1)
        scaled = (events - self.mean[:EVENTS]) / self.std[:EVENTS]
        return torch.from_numpy(snapshots.history), torch.from_numpy(scaled.astype(np.float32))


class AtSnapshots(nn.Module):
    """Look each pair's history up by its snapshot, so that no history is stored twice.

    Explained in chapter ``interest``.

    Parameters
    ----------
    net : PooledInterestNet
        Or its heir.
    history, events : Tensor of shape (M, T) and (M, T, G)

    Examples
    --------
    Two histories, three pairs: the last two share a history.

    >>> import torch
    >>> from pm_utils.targeting.interest.networks import PooledInterestNet
    >>> from pm_utils.targeting.interest.training import AtSnapshots
    >>> net = PooledInterestNet(n_items=4, facts=1, events=2)
    >>> lookup = AtSnapshots(net, torch.tensor([[1, 2, 0], [3, 0, 0]]), torch.zeros(2, 3, 2))
    >>> lookup(torch.tensor([1, 2, 4]), torch.tensor([0, 1, 1]), torch.zeros(3, 1)).shape
    torch.Size([3])
    """

    def __init__(self, net: PooledInterestNet, history: Tensor, events: Tensor) -> None:
        super().__init__()
        self.net, self.history, self.events = net, history, events

    def forward(self, candidate: Tensor, snapshot: Tensor, facts: Tensor) -> Tensor:
        """Candidate (B,), snapshot (B,), facts (B, F) → logit (B,)."""
        history, events = (part.index_select(0, snapshot) for part in (self.history, self.events))
        return self.net(candidate, history, facts, events)


def train_net(
    kind: type[PooledInterestNet],
    snapshots: Snapshots,
    pairs: Pairs,
    reader: Reader,
    *,
    epochs: int,
    seed: int,
    watched: tuple[Snapshots, Pairs] | None = None,
    shuffle_labels: bool = False,
    **options: bool,
) -> tuple[PooledInterestNet, History]:
    """Train a network on pairs, at the sizes that the book uses.

    Explained in chapter ``interest``.

    Parameters
    ----------
    kind : PooledInterestNet or DeepInterestNet
    snapshots : Snapshots
    pairs : Pairs
        From `sample_pairs`.
    reader : Reader
    epochs, seed : int
    watched : (Snapshots, Pairs), optional
        Pairs of a later date, sampled as those in training. Their loss is taken four times in
        every epoch, and the weights with the least are kept.
    shuffle_labels : bool
        Deal the answers of each date to other pairs of that date first: the null, which has
        nothing to learn from.
    **options
        Passed on to the network.

    Returns
    -------
    net : PooledInterestNet
        In evaluation mode.
    history : History
        Of the training; its validation losses are those of the pairs that were watched.

    Raises
    ------
    ValueError
        When a pair is none of its snapshots.

    Examples
    --------
    >>> import numpy as np
    >>> from pm_utils.targeting.interest.networks import DeepInterestNet
    >>> from pm_utils.targeting.interest.samples import Snapshots, all_pairs
    >>> from pm_utils.targeting.interest.training import Reader, network_probabilities, train_net
    >>> known = Snapshots(
    ...     customer=np.arange(2),
    ...     as_of=np.full(2, np.datetime64("2017-04-01")),
    ...     history=np.array([[1, 0], [2, 3]], np.int32),
    ...     own=np.zeros((2, 3, 10), np.float32),
    ...     context=np.zeros((2, 8), np.float32),
    ...     bought=np.array([[True, False, False], [False, True, True]]),
    ... )
    >>> pairs = all_pairs(known, 2, seed=0)
    >>> reader = Reader.learn(known, pairs)
    >>> net, history = train_net(DeepInterestNet, known, pairs, reader, epochs=2, seed=0)
    >>> history.rows  # six pairs, twice
    12
    >>> network_probabilities(net, known, pairs, reader, pairs.shift).shape
    (6,)
    """
    torch.manual_seed(seed)
    if kind is DeepInterestNet:
        options = {"attention": (16, 8)} | options
    sizes = {"facts": reader.facts, "events": EVENTS, "hidden": (64, 32)}
    net = kind(snapshots.bought.shape[1], **(sizes | options))
    bought = _dealt_within_dates(snapshots, pairs, seed) if shuffle_labels else pairs.bought
    history, events = reader.histories(snapshots)
    watch = None
    if watched is not None:  # their histories stand behind those in training
        more = reader.histories(watched[0])
        candidate, snapshot, facts = reader.inputs(*watched)
        watch = [candidate, snapshot + len(history), facts], torch.from_numpy(watched[1].bought)
        history, events = torch.cat([history, more[0]]), torch.cat([events, more[1]])
    course = fit(
        AtSnapshots(net, history, events),
        reader.inputs(snapshots, pairs),
        torch.from_numpy(bought),
        loss=nn.functional.binary_cross_entropy_with_logits,
        epochs=epochs,
        batch_size=512,
        learning_rate=2e-2,
        weight_decay=0.1,
        seed=seed,
        validation=watch,
        checks=4,
    )
    return net, course


def _dealt_within_dates(snapshots: Snapshots, pairs: Pairs, seed: int) -> np.ndarray:
    """The pairs' answers, those of each date in random order."""
    date = snapshots.as_of[pairs.snapshot]
    luck = np.random.default_rng(seed).random(len(date))
    dealt = np.empty_like(pairs.bought)
    dealt[np.argsort(date, kind="stable")] = pairs.bought[np.lexsort((luck, date))]
    return dealt


def network_probabilities(
    net: PooledInterestNet, snapshots: Snapshots, pairs: Pairs, reader: Reader, shift: float
) -> np.ndarray:
    """Return a trained network's probability of each pair.

    Explained in chapter ``interest``.

    Parameters
    ----------
    net, reader
        As in `train_net`.
    snapshots, pairs
        What to score.
    shift : float
        Of the pairs that it was trained on.

    Returns
    -------
    array of shape (N,)

    Raises
    ------
    ValueError
        When a pair is none of the snapshots, the network does not know an item, or the shift is
        not finite.
    """
    numbers(shift, "shift")
    at = AtSnapshots(net, *reader.histories(snapshots))
    return (predict(at, reader.inputs(snapshots, pairs), batch_size=512) + shift).sigmoid().numpy()
