"""The profile task: from a customer's past, which categories will they buy in the weeks to come?

`tag_samples` stacks what is known on several dates with what happened next. `Inputs` turns the
samples into tensors for each network, scaled by numbers learned on the training samples alone.
"""

from collections.abc import Iterable
from dataclasses import dataclass, fields
from typing import Self

import numpy as np
import pandas as pd
import torch
from sklearn.base import ClassifierMixin, clone
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits

from pm_utils.customers import purchase_log
from pm_utils.customers.networks import BasketRNN, ProfileTagger, PurchaseCNN, UserProfileNet
from pm_utils.customers.purchase_log import HISTORY_COLUMNS, PurchaseLog
from pm_utils.data.clock import shop_day
from pm_utils.inputs import aligned, booleans, numbers, whole_numbers
from pm_utils.learning.training import History, fit, predict

RATE = HISTORY_COLUMNS.index("orders_per_8w")
RECENT = HISTORY_COLUMNS.index("orders_8w")
# What the source's network may read instead of one rate per category: all that is known of each.
HISTORIES = "UserProfileNet on histories"
# How networks are trained with the wide head and with the encoder's own, and where the encoder has
# to read all histories: chosen on the date of validation of chapter 3.
WIDE = {"dropout": 0.5, "learning_rate": 8e-3, "weight_decay": 0.3}
PLAIN = {"dropout": 0.2, "learning_rate": 4e-3, "weight_decay": 0.1}
PLAIN_ON_HISTORIES = {"dropout": 0.2, "learning_rate": 4e-3, "weight_decay": 1.0}


@dataclass(frozen=True)
class TagSamples:
    """One row per customer and as-of date, in plain arrays that share their first axis.

    Attributes
    ----------
    customer : array of shape (N,)
        Codes into ``PurchaseLog.customers``.
    as_of : array of shape (N,), datetime64
    history : array of shape (N, C, 5)
        See `purchase_log.category_history`.
    context : array of shape (N, 8)
        See `purchase_log.customer_context`.
    grid : array of shape (N, C, W)
        See `purchase_log.week_grid`.
    baskets, ages, lengths : arrays of shape (N, T, C), (N, T), (N,)
        See `purchase_log.basket_sequences`.
    target : array of shape (N, K)
        1 where the category is bought in the days that follow.

    Raises
    ------
    ValueError
        When the arrays differ in rows, or carry indexes of different rows, a number is not finite,
        a target is neither 0 nor 1, or a sequence has more baskets than places.

    Examples
    --------
    >>> import numpy as np
    >>> import pandas as pd
    >>> from pm_utils.customers.next_purchase import TagSamples
    >>> samples = TagSamples(
    ...     customer=np.array([0, 1, 0]),
    ...     as_of=np.array(["2017-04-01", "2017-04-01", "2017-05-01"], "datetime64[D]"),
    ...     history=np.zeros((3, 4, 5), np.float32),
    ...     context=np.zeros((3, 8), np.float32),
    ...     grid=np.zeros((3, 4, 26), np.float32),
    ...     baskets=np.zeros((3, 6, 4), np.uint8),
    ...     ages=np.zeros((3, 6), np.float32),
    ...     lengths=np.ones(3, np.int64),
    ...     target=np.zeros((3, 2), np.float32),
    ... )
    >>> samples.on([pd.Timestamp("2017-04-01")]).customer
    array([0, 1])
    """

    customer: np.ndarray
    as_of: np.ndarray
    history: np.ndarray
    context: np.ndarray
    grid: np.ndarray
    baskets: np.ndarray
    ages: np.ndarray
    lengths: np.ndarray
    target: np.ndarray

    def __post_init__(self) -> None:
        """Match rows by their index where there is one, or refuse those that do not belong."""
        names = [f.name for f in fields(self)]
        given = {name: getattr(self, name) for name in names}
        if len({len(part) for part in given.values()}) > 1 or len(self.customer):
            given = dict(zip(names, aligned(**given), strict=True))
        for name in ("history", "context", "grid", "ages"):
            numbers(given[name], name)
        whole_numbers(given["lengths"], "lengths", high=np.shape(given["ages"])[1])
        booleans(given["target"], "target"), booleans(given["baskets"], "baskets")
        for name, part in given.items():
            object.__setattr__(self, name, np.asarray(part))

    def on(self, dates: Iterable[pd.Timestamp]) -> Self:
        """Return the samples of some of the dates, in the order in which they are."""
        days = [shop_day(date, "dates").to_datetime64().astype("datetime64[D]") for date in dates]
        rows = np.isin(self.as_of, np.array(days, "datetime64[D]"))
        return type(self)(*(getattr(self, f.name)[rows] for f in fields(self)))


def as_of_dates(last: str, first: str, days: int) -> pd.DatetimeIndex:
    """Return dates at equal distance.

    Explained in chapter ``customer-profile``.

    Parameters
    ----------
    last, first : date
        The last date is `last`; none lies before `first`.
    days : int
        Days from one date to the next.

    Returns
    -------
    DatetimeIndex
        In order of time.

    Raises
    ------
    ValueError
        When a date is none, or has a time of day, or the distance is below one day.

    Examples
    --------
    The last date is always among them, the first only if it falls on the distance.

    >>> from pm_utils.customers.next_purchase import as_of_dates
    >>> [f"{date:%d %b}" for date in as_of_dates("2017-03-31", "2017-03-01", 14)]
    ['03 Mar', '17 Mar', '31 Mar']
    """
    days = int(whole_numbers(days, "days", low=1))
    between = pd.date_range(shop_day(first, "first"), shop_day(last, "last"), freq="D")
    return between[::-1][::days][::-1]


def tag_samples(
    log: PurchaseLog,
    dates: Iterable[pd.Timestamp],
    *,
    tags: int,
    days: int = 56,
    weeks: int = 26,
    baskets: int = 30,
) -> TagSamples:
    """Stack the customers known on each date: their past, and what they bought next.

    Explained in chapter ``customer-profile``.

    Parameters
    ----------
    log : PurchaseLog
    dates : iterable of dates
        A customer enters on every date before which they have ordered.
    tags : int
        K, how many of the log's categories are predicted.
    days : int
        How long after each date purchases count.
    weeks, baskets : int
        How far the grid and the basket sequence reach back.

    Returns
    -------
    TagSamples

    Raises
    ------
    ValueError
        When there is no date, or more tags than categories.

    Examples
    --------
    Customer 12 orders for the first time after the date: no row. Both tags are scored for 11, who
    buys bread next.

    >>> import numpy as np
    >>> import pandas as pd
    >>> from pm_utils.customers.next_purchase import tag_samples
    >>> from pm_utils.customers.purchase_log import PurchaseLog
    >>> log = PurchaseLog(
    ...     customers=np.array([11, 12]),
    ...     categories=("MILK", "BREAD"),
    ...     order=np.array([0, 1, 2]),
    ...     customer=np.array([0, 0, 1]),
    ...     category=np.array([0, 1, 0]),
    ...     day=np.array([0, 35, 40]),
    ...     order_customer=np.array([0, 0, 1]),
    ...     order_day=np.array([0, 35, 40]),
    ...     order_spend=np.array([2.0, 3.0, 2.0]),
    ... )
    >>> samples = tag_samples(log, [pd.Timestamp("2017-01-31")], tags=2, weeks=8, baskets=3)
    >>> log.customers[samples.customer]
    array([11])
    >>> samples.target
    array([[0., 1.]], dtype=float32)
    >>> samples.grid.shape, samples.baskets.shape
    ((1, 2, 8), (1, 3, 2))
    """
    if not 0 < tags <= len(log.categories):
        raise ValueError(f"tags is {tags}: give 1 to {len(log.categories)}, the log's categories")
    parts = []
    for date in dates:
        known = purchase_log.known_customers(log, date)
        views = (
            purchase_log.category_history(log, date),
            purchase_log.customer_context(log, date),
            purchase_log.week_grid(log, date, weeks),
            *purchase_log.basket_sequences(log, date, baskets),
            purchase_log.next_purchases(log, date, days, tags),
        )
        when = np.full(len(known), np.datetime64(date, "D"))
        parts.append((known, when, *(view[known] for view in views)))
    if not parts:
        raise ValueError("there is no date: give at least one")
    return TagSamples(*(np.concatenate(column) for column in zip(*parts, strict=True)))


@dataclass(frozen=True)
class Inputs:
    """Scale samples for the networks; the means and deviations come from training samples.

    Explained in chapter ``customer-profile``.

    Attributes
    ----------
    history_mean, history_std : arrays of shape (C, 5)
    context_mean, context_std : arrays of shape (8,)
    """

    history_mean: np.ndarray
    history_std: np.ndarray
    context_mean: np.ndarray
    context_std: np.ndarray

    @classmethod
    def learn(cls, samples: TagSamples) -> Self:
        """Take means and standard deviations from training samples; a constant keeps its scale.

        Raises
        ------
        ValueError
            When there is no sample, or a number is not finite.
        """
        if not len(samples.target):
            raise ValueError("there is no sample: give at least one")
        scales = []
        for name, part in (("history", samples.history), ("context", samples.context)):
            numbers(part, name)
            spread = part.std(0, dtype=np.float64)
            mean = part.mean(0, dtype=np.float64)
            scales += [mean, np.where(part.max(0) > part.min(0), spread, 1.0)]
        return cls(*(array.astype(np.float32) for array in scales))

    def wide(self, samples: TagSamples) -> Tensor:
        """Return each tag's own history, with the context beside it → (N, K, 13)."""
        tags = samples.target.shape[1]
        history = (samples.history - self.history_mean) / self.history_std
        context = np.repeat(self._context(samples)[:, None], tags, axis=1)
        return torch.from_numpy(np.concatenate([history[:, :tags], context], axis=2))

    def features(self, samples: TagSamples) -> Tensor:
        """Return one row of numbers per sample: a purchase rate per category, and the context."""
        rate = samples.history[:, :, RATE] - self.history_mean[:, RATE]
        rate = rate / self.history_std[:, RATE]
        return torch.from_numpy(np.concatenate([rate, self._context(samples)], axis=1))

    def histories(self, samples: TagSamples) -> Tensor:
        """Return one row of numbers per sample: all of each category's history, and the context."""
        history = (samples.history - self.history_mean) / self.history_std
        flat = history.reshape(len(history), -1)
        return torch.from_numpy(np.concatenate([flat, self._context(samples)], axis=1))

    def view(self, name: str, samples: TagSamples) -> tuple[Tensor, ...]:
        """Return what an encoder reads, by its name in `new_tagger`."""
        if name == "UserProfileNet":
            return (self.features(samples),)
        if name == HISTORIES:
            return (self.histories(samples),)
        if name == "PurchaseCNN":
            return (torch.from_numpy(samples.grid),)
        if name == "BasketRNN":
            return tuple(map(torch.from_numpy, (samples.baskets, samples.ages, samples.lengths)))
        raise ValueError(_no_encoder(name))

    def as_tensors(self) -> dict[str, Tensor]:
        """Return the four arrays under their names, to be saved beside the weights."""
        return {f.name: torch.from_numpy(getattr(self, f.name)) for f in fields(self)}

    def _context(self, samples: TagSamples) -> np.ndarray:
        return (samples.context - self.context_mean) / self.context_std


def per_tag_probabilities(
    estimator: ClassifierMixin, train: np.ndarray, target: np.ndarray, test: np.ndarray
) -> np.ndarray:
    """Fit a fresh copy of a classifier for each tag and predict.

    Parameters
    ----------
    estimator : scikit-learn classifier with ``predict_proba``
    train, test : arrays of shape (N, K, F) and (M, K, F)
        What is known about each tag.
    target : array of shape (N, K)
        0 or 1.

    Returns
    -------
    array of shape (M, K)
        The predicted probability of each tag.

    Raises
    ------
    ValueError
        When a tag is always or never bought in the training rows, with its number; when a target is
        not 0 or 1, a number is not finite, or the rows do not match.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.dummy import DummyClassifier
    >>> from pm_utils.customers.next_purchase import per_tag_probabilities
    >>> train, test = np.zeros((4, 2, 1)), np.zeros((1, 2, 1))
    >>> target = np.array([[1, 0], [1, 0], [1, 0], [0, 1]])
    >>> per_tag_probabilities(DummyClassifier(strategy="prior"), train, target, test)
    array([[0.75, 0.25]])
    """
    train, target = aligned(train=train, target=target)
    train, test = numbers(train, "train", ndim=3), numbers(test, "test", ndim=3)
    kind = np.asarray(target).dtype
    target = booleans(target, "target").astype(kind if kind.kind in "biuf" else int, copy=False)
    probability = np.empty(test.shape[:2])
    for tag in range(target.shape[1]):
        if len(np.unique(target[:, tag])) < 2:
            raise ValueError(f"tag {tag} has only one outcome in the training rows: leave it out")
        model = clone(estimator).fit(train[:, tag], target[:, tag])
        probability[:, tag] = model.predict_proba(test[:, tag])[:, 1]
    return probability


def own_and_profile(own: np.ndarray, profile: np.ndarray) -> np.ndarray:
    """Put a profile beside what is known about each tag.

    Parameters
    ----------
    own : array of shape (N, K, F)
    profile : array of shape (N, D)

    Returns
    -------
    array of shape (N, K, F + D)

    Raises
    ------
    ValueError
        When they differ in rows, or a number is not finite.

    Examples
    --------
    >>> import numpy as np
    >>> from pm_utils.customers.next_purchase import own_and_profile
    >>> own_and_profile(np.array([[[1.0], [2.0]]]), np.array([[7.0, 8.0]]))
    array([[[1., 7., 8.],
            [2., 7., 8.]]])
    """
    own, profile = aligned(own=own, profile=profile)
    own, profile = numbers(own, "own", ndim=3), numbers(profile, "profile", ndim=2)
    repeated = np.repeat(profile[:, None], own.shape[1], axis=1)
    return np.concatenate([own, repeated], axis=2)


def new_tagger(
    name: str, inputs: Inputs, tags: int, wide: int, *, wide_head: bool = True
) -> nn.Module:
    """Return an untrained network by its encoder's name, at the sizes that the book uses.

    Parameters
    ----------
    name : {"UserProfileNet", "UserProfileNet on histories", "PurchaseCNN", "BasketRNN"}
        The second is the first, reading all of each category's history instead of its rate.
    inputs : Inputs
        Tells how many categories and context numbers there are.
    tags, wide : int
        Tags, and numbers that are known about each.
    wide_head : bool
        Read the profile with a `WideHead`; without, with the encoder's own head.

    Returns
    -------
    ProfileTagger, or the encoder itself without the wide head

    Raises
    ------
    ValueError
        When the name is none of the four.
    """
    categories = len(inputs.history_mean)
    context = len(inputs.context_mean)
    dropout = _settings(name, wide_head)["dropout"]
    if name == "UserProfileNet":
        encoder: nn.Module = UserProfileNet(categories + context, 128, tags, dropout=dropout)
    elif name == HISTORIES:
        features = inputs.history_mean.size + context
        encoder = UserProfileNet(features, 128, tags, dropout=dropout)
    elif name == "PurchaseCNN":
        encoder = PurchaseCNN(categories, tags, channels=32, dropout=dropout)
    elif name == "BasketRNN":
        encoder = BasketRNN(categories, tags, dropout=dropout)
    else:
        raise ValueError(_no_encoder(name))
    return ProfileTagger(encoder, tags, wide) if wide_head else encoder


def _no_encoder(name: str) -> str:
    return f"{name} is no encoder: give UserProfileNet, {HISTORIES}, PurchaseCNN or BasketRNN"


def _settings(name: str, wide_head: bool) -> dict[str, float]:
    """How a network is regularised and how fast it learns."""
    if wide_head:
        return WIDE
    return PLAIN_ON_HISTORIES if name == HISTORIES else PLAIN


def train_tagger(
    name: str,
    samples: TagSamples,
    inputs: Inputs,
    *,
    epochs: int,
    seed: int,
    wide_head: bool = True,
    shuffle_labels: bool = False,
) -> tuple[nn.Module, History]:
    """Train a network on samples.

    Explained in chapter ``customer-profile``.

    Parameters
    ----------
    name : str
        As in `new_tagger`.
    samples : TagSamples
    inputs : Inputs
        Learned on these samples.
    epochs, seed : int
    wide_head : bool
        As in `new_tagger`; each kind has the regularisation that suits it.
    shuffle_labels : bool
        Deal the targets to other rows first: the null, which has nothing to learn from.

    Returns
    -------
    net : ProfileTagger, or the encoder itself without the wide head
        In evaluation mode.
    history : History

    Examples
    --------
    >>> import numpy as np
    >>> from pm_utils.customers.next_purchase import (
    ...     Inputs,
    ...     TagSamples,
    ...     tag_probabilities,
    ...     train_tagger,
    ... )
    >>> samples = TagSamples(
    ...     customer=np.arange(4),
    ...     as_of=np.full(4, np.datetime64("2017-04-01")),
    ...     history=np.zeros((4, 3, 5), np.float32),
    ...     context=np.zeros((4, 8), np.float32),
    ...     grid=np.zeros((4, 3, 26), np.float32),
    ...     baskets=np.zeros((4, 6, 3), np.uint8),
    ...     ages=np.zeros((4, 6), np.float32),
    ...     lengths=np.ones(4, np.int64),
    ...     target=np.array([[1, 0], [1, 0], [0, 0], [0, 1]], np.float32),
    ... )
    >>> inputs = Inputs.learn(samples)
    >>> net, history = train_tagger("PurchaseCNN", samples, inputs, epochs=3, seed=0)
    >>> history.steps  # four rows are one batch
    3
    >>> tag_probabilities(net, "PurchaseCNN", samples, inputs).shape  # customers by tags
    (4, 2)
    """
    target, wide = torch.from_numpy(samples.target), inputs.wide(samples)
    settings = _settings(name, wide_head)
    torch.manual_seed(seed)
    net = new_tagger(name, inputs, target.shape[1], wide.shape[2], wide_head=wide_head)
    if shuffle_labels:
        target = target[torch.randperm(len(target))]
    history = fit(
        net,
        _read_by(net, name, samples, inputs),
        target,
        loss=binary_cross_entropy_with_logits,
        epochs=epochs,
        batch_size=128,
        learning_rate=settings["learning_rate"],
        weight_decay=settings["weight_decay"],
        seed=seed,
    )
    return net, history


def tag_probabilities(net: nn.Module, name: str, samples: TagSamples, inputs: Inputs) -> np.ndarray:
    """Return a trained network's probability of each tag.

    Explained in chapter ``customer-profile``.

    Parameters
    ----------
    net, name, inputs
        As in `train_tagger`.
    samples : TagSamples

    Returns
    -------
    array of shape (N, K)
        Between 0 and 1.
    """
    return predict(net, _read_by(net, name, samples, inputs)).sigmoid().numpy()


def profiles(net: nn.Module, name: str, samples: TagSamples, inputs: Inputs) -> np.ndarray:
    """Return a trained network's profiles.

    Explained in chapter ``customer-profile``.

    Parameters
    ----------
    net, name, inputs
        As in `train_tagger`.
    samples : TagSamples

    Returns
    -------
    array of shape (N, 32)
        Between -1 and 1.
    """
    return predict(net.profile, inputs.view(name, samples)).numpy()


def _read_by(net: nn.Module, name: str, samples: TagSamples, inputs: Inputs) -> tuple[Tensor, ...]:
    """What a network reads: each tag's own history first, if it has the wide head."""
    read = inputs.view(name, samples)
    return (inputs.wide(samples), *read) if isinstance(net, ProfileTagger) else read


def profile_frame(
    net: nn.Module, name: str, samples: TagSamples, inputs: Inputs, log: PurchaseLog
) -> pd.DataFrame:
    """Return the profiles as a table that later chapters can join.

    Explained in chapter ``customer-profile``.

    Parameters
    ----------
    net, name, inputs
        As in `train_tagger`.
    samples : TagSamples
    log : PurchaseLog
        Where the samples come from; it knows the customers' ids.

    Returns
    -------
    DataFrame of shape (N, 32)
        Indexed by ``customer_id`` and ``as_of``; columns ``profile_00`` to ``profile_31``.

    Raises
    ------
    ValueError
        When a sample is of a customer whom the log does not know.
    """
    customer = whole_numbers(samples.customer, "customer", high=len(log.customers) - 1)
    vectors = profiles(net, name, samples, inputs)
    keys = [log.customers[customer], pd.DatetimeIndex(samples.as_of)]
    index = pd.MultiIndex.from_arrays(keys, names=["customer_id", "as_of"])
    return pd.DataFrame(vectors, index, [f"profile_{i:02d}" for i in range(vectors.shape[1])])
