"""The lifetime network several times over, and the rows that it learns from."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Self

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from pm_utils.customers.features import FEATURES, DatedPipeline, features_on, next_spend
from pm_utils.data import Shop
from pm_utils.data.clock import shop_day
from pm_utils.inputs import aligned, columns, like, numbers, plain
from pm_utils.learning.scaling import Scaling
from pm_utils.learning.training import History, fit, predict
from pm_utils.lifetime.networks import (
    LifetimeValueNet,
    SideBySide,
    ziln_below,
    ziln_loss,
    ziln_mean,
)

# Cumulative features grow with the record, and these two want sixteen weeks of it
COMPARABLE = [
    name
    for name in FEATURES.index
    if not FEATURES.loc[name, "cumulative"] and name not in ("earlier_spend", "trend")
]


@dataclass(frozen=True)
class ValueRows:
    """Customers on a date, and what they were worth afterwards.

    Attributes
    ----------
    features, profile : DataFrame
        Numbers; the profile may have no column.
    value : array of shape (N,)
        Dollars, at least 0.

    Raises
    ------
    ValueError
        When the rows of the three cannot be matched by their index, or a value is below 0 or not
        finite.

    Examples
    --------
    >>> import numpy as np
    >>> import pandas as pd
    >>> from pm_utils.lifetime.ensemble import ValueRows
    >>> features = pd.DataFrame({"orders": [1.0, 4.0, 2.0]})
    >>> profile = pd.DataFrame({"profile_00": [0.5, -0.5, 0.0]})
    >>> rows = ValueRows(features, profile, np.array([0.0, 30.0, 12.0]))
    >>> rows.take(rows.value > 0).table()
       profile_00  orders
    1        -0.5     4.0
    2         0.0     2.0
    """

    features: pd.DataFrame
    profile: pd.DataFrame
    value: np.ndarray

    def __post_init__(self) -> None:
        """Match the rows by their index; what comes from returns belongs elsewhere."""
        if not len(self.features):
            return  # of no rows nothing needs to match
        features, profile, value = aligned(
            features=self.features, profile=self.profile, value=self.value
        )
        value = numbers(value, "value", low=0, ndim=1)
        for name, part in {"features": features, "profile": profile, "value": value}.items():
            object.__setattr__(self, name, part)

    def __len__(self) -> int:
        """Return the number of rows."""
        return len(self.value)

    def take(self, rows: np.ndarray) -> Self:
        """Return some rows, by a mask, matched by its index if it has one, or by position."""
        if plain(rows).dtype == bool:
            rows = aligned(features=self.features, rows=rows)[1]
        rows = np.arange(len(self))[plain(rows)]
        return replace(
            self,
            features=self.features.iloc[rows],
            profile=self.profile.iloc[rows],
            value=self.value[rows],
        )

    def without_profile(self) -> Self:
        """Return the same rows with no profile."""
        return replace(self, profile=self.profile.iloc[:, :0])

    def table(self) -> pd.DataFrame:
        """Return profile and features side by side."""
        return pd.concat([self.profile, self.features], axis=1)


def shop_rows(shop: Shop, dates: Iterable[Any], *, weeks: int, profiles: pd.DataFrame) -> ValueRows:
    """Describe the shop's customers on some dates and add up what they spend afterwards.

    Explained in chapter ``lifetime-value``.

    Parameters
    ----------
    shop : Shop
        As in `pm_utils.customers.features.customer_features`.
    dates : iterable of date-like
        Each with an `as_of` among the profiles.
    weeks : int
        How long spend counts.
    profiles : DataFrame
        One vintage of ``customer_profiles.parquet``, indexed by ``customer_id`` and ``as_of``.

    Returns
    -------
    ValueRows
        Indexed by ``as_of`` and ``customer_id``; features unscaled.

    Raises
    ------
    ValueError
        When a date has no profiles, or a customer two, or a number in them is not finite.
    KeyError
        When a customer who ordered before a date has no profile of it.
    """
    days = [shop_day(day, "dates") for day in dates]
    known = profiles.index.unique("as_of")
    if missing := [f"{day:%Y-%m-%d}" for day in days if day not in known]:
        raise ValueError(f"no profiles as of {missing}: give dates among {list(known)}")
    features = features_on(shop, days)[COMPARABLE]
    value = next_spend(shop, features, window=np.timedelta64(7 * weeks, "D")).to_numpy()
    own = profiles.reorder_levels(["as_of", "customer_id"])
    if not own.index.is_unique:
        twice = own.index[own.index.duplicated()][0]
        raise ValueError(f"profiles has the row {twice} twice: give one vintage")
    place = own.index.get_indexer(features.index)
    if (place < 0).any():
        day, customer = features.index[place < 0][0]
        raise KeyError(
            f"profiles has no row of {(place < 0).sum():,} of {len(place):,} customers and dates, "
            f"first customer {customer} as of {day:%Y-%m-%d}: give everybody a profile"
        )
    own = own.iloc[place].set_axis(features.index)
    numbers(own, "profiles")
    return ValueRows(features, own, value)


def against_own_habit(features: pd.DataFrame) -> pd.DataFrame:
    """Compare what customers did lately with what is usual for them.

    Parameters
    ----------
    features : DataFrame
        From `pm_utils.customers.features.customer_features`, unscaled.

    Returns
    -------
    DataFrame
        ``orders_missed``, log(1 + orders expected since the last one), and ``recent_spend_ratio``
        and ``recent_order_ratio``, logarithms of the last eight weeks' rate over the usual one.

    Raises
    ------
    KeyError
        When a column is missing.
    ValueError
        When a number is below 0 or not finite.

    Examples
    --------
    Both order once a week. The first ordered seven days ago and spends as usual; the second has
    been away for eight weeks.

    >>> import pandas as pd
    >>> from pm_utils.lifetime.ensemble import against_own_habit
    >>> columns = {"orders_per_week": [1.0, 1.0], "spend_per_week": [20.0, 20.0]}
    >>> columns |= {"recency_days": [7.0, 56.0]}
    >>> columns |= {"recent_spend": [160.0, 0.0], "recent_orders": [8.0, 0.0]}
    >>> against_own_habit(pd.DataFrame(columns)).round(2)
       orders_missed  recent_spend_ratio  recent_order_ratio
    0           0.69                0.00                 0.0
    1           2.20               -3.04                -2.4
    """
    names = "orders_per_week", "spend_per_week", "recency_days", "recent_spend", "recent_orders"
    numbers(columns(features, names, "features"), "features", low=0)
    orders, spend = features["orders_per_week"], features["spend_per_week"]
    missed = features["recency_days"] / 7 * orders
    recent = features["recent_spend"] / 8, features["recent_orders"] / 8
    compared = {
        "orders_missed": np.log1p(missed),
        "recent_spend_ratio": np.log((recent[0] + 1) / (spend + 1)),
        "recent_order_ratio": np.log((recent[1] + 0.1) / (orders + 0.1)),
    }
    return pd.DataFrame(compared)


def scaled(train: ValueRows, later: ValueRows) -> tuple[ValueRows, ValueRows]:
    """Turn the shop's features into numbers of like size, by what the training rows show.

    `against_own_habit` joins them: it saves a network the search for ratios.
    """
    pipeline = DatedPipeline.learn(train.features, columns=COMPARABLE)
    parts = train, later
    tables = [(pipeline.transform(p.features), against_own_habit(p.features)) for p in parts]
    return tuple(
        replace(part, features=pd.concat(table, axis=1))
        for part, table in zip(parts, tables, strict=True)
    )


def _mean_loss(output: Tensor, value: Tensor) -> Tensor:
    """Mean loss of K networks, (B, K, 3) and (B, K)."""
    return ziln_loss(output.flatten(0, 1), value.flatten())


@dataclass(frozen=True)
class ValueEnsemble:
    """Several `LifetimeValueNet` of different seeds; the mean of their expected dollars.

    Explained in chapter ``lifetime-value``.

    Attributes
    ----------
    nets : list of LifetimeValueNet
    scaling : Scaling
        Learned on the training rows.
    profile : tuple of str, optional
        The columns of the profile, in the order of training; by default as they stand.
    histories : list of History
        What became of each network's training; the losses are the mean of all that learned with it.

    Examples
    --------
    >>> import numpy as np
    >>> import pandas as pd
    >>> from pm_utils.lifetime.ensemble import ValueEnsemble, ValueRows
    >>> features = pd.DataFrame({"orders": [0.0, 1.0, 2.0, 3.0]})
    >>> rows = ValueRows(features, features.iloc[:, :0], np.array([0.0, 3.0, 9.0, 27.0]))
    >>> ensemble = ValueEnsemble.train(rows, members=2, epochs=1, hidden=4, seed=0)
    >>> [tuple(output.shape) for output in ensemble.outputs(rows)]  # one per network
    [(4, 3), (4, 3)]
    >>> ensemble.predict(rows).shape  # their mean
    (4,)
    """

    nets: list[LifetimeValueNet]
    scaling: Scaling
    profile: tuple[str, ...] | None = None
    histories: list[History] = field(default_factory=list)

    @classmethod
    def train(cls, rows: ValueRows, **settings: Any) -> Self:
        """Train networks that differ in their seed; see `train_each`."""
        return cls.train_each(rows, [rows.value], **settings)[0]

    @classmethod
    def train_each(
        cls,
        rows: ValueRows,
        values: Sequence[np.ndarray],
        *,
        members: int = 3,
        epochs: int = 8,
        hidden: int = 64,
        dropout: float = 0.1,
        learning_rate: float = 2e-2,
        batch_size: int = 512,
        weight_decay: float = 0.01,
        seed: int = 0,
        watched: ValueRows | None = None,
    ) -> list[Self]:
        """Train an ensemble for each list of values, all side by side; see `training.fit`.

        All see the same batches; first weights and dropout are each network's own.

        Parameters
        ----------
        rows : ValueRows
            Customers to learn from.
        values : sequence of arrays of shape (N,)
            What they are worth, some of it above 0, for each ensemble.
        members, epochs, hidden, batch_size : int
            Networks of an ensemble, passes over the rows, hidden units, and rows per step.
        dropout : float
            Share of hidden units dropped while training.
        learning_rate, weight_decay : float
        seed : int
            Network k of ensemble e starts from seed 1000 (`seed` + e) + k.
        watched : ValueRows, optional
            Rows whose loss the histories tell after each epoch; the weights of its least mean over
            all networks are kept.

        Raises
        ------
        ValueError
            When a number is not finite, with its column, or nobody spent.
        """
        found = [cls([], Scaling.learn(rows.features), tuple(rows.profile)) for _ in values]
        inputs, sizes = found[0].inputs(rows), (rows.profile.shape[1], rows.features.shape[1])
        targets = [torch.tensor(value, dtype=torch.float32) for value in values]
        for number, (ensemble, value) in enumerate(zip(found, targets, strict=True)):
            for member in range(members):
                torch.manual_seed(1000 * (seed + number) + member)
                net = LifetimeValueNet(*sizes, hidden, dropout=dropout)
                net.initialise_biases(value)
                ensemble.nets.append(net)
        nets = [net for ensemble in found for net in ensemble.nets]
        held = None
        if watched is not None:
            value = torch.tensor(watched.value, dtype=torch.float32)
            held = found[0].inputs(watched), value[:, None].expand(-1, len(nets))
        together = SideBySide(nets)
        history = fit(
            together,
            inputs,
            torch.stack(targets, 1).repeat_interleave(members, 1),
            loss=_mean_loss,
            validation=held,
            epochs=epochs,
            batch_size=batch_size,
            learning_rate=learning_rate,
            weight_decay=weight_decay,
            seed=1000 * seed,
        )
        together.copy_to(nets)
        for ensemble in found:
            ensemble.histories.extend([history] * members)
        return found

    def first(self) -> Self:
        """Return the first network alone: what a single member does."""
        return replace(self, nets=self.nets[:1], histories=self.histories[:1])

    def inputs(self, rows: ValueRows) -> list[Tensor]:
        """Return what a network reads: profile (N, P) and scaled features (N, F).

        Raises
        ------
        KeyError
            When a column of the training rows is missing; columns are found by name.
        ValueError
            When a number is not finite, with its column.
        """
        names = rows.profile if self.profile is None else self.profile
        profile = columns(rows.profile, list(names), "profile")
        numbers(profile, "profile")
        tables = profile, self.scaling.apply(rows.features)
        return [torch.tensor(table.to_numpy(dtype=np.float32)) for table in tables]

    def outputs(self, rows: ValueRows) -> list[Tensor]:
        """Return each network's three numbers (N, 3)."""
        inputs = self.inputs(rows)
        return [predict(net, inputs) for net in self.nets]

    def predict(self, rows: ValueRows) -> pd.Series:
        """Return the expected value of each customer, by the index of the features."""
        dollars = [ziln_mean(output).numpy() for output in self.outputs(rows)]
        return like(np.mean(dollars, axis=0), rows.features)

    def places(self, rows: ValueRows, *, seed: int) -> np.ndarray:
        """Return where each actual value lies in its predicted distribution → (N,), in [0, 1].

        The distribution is the mixture of the networks'. Where it is right, places are spread
        evenly; a value of 0 gets a place at random within the probability of 0.

        Parameters
        ----------
        rows : ValueRows
        seed : int
            Of the places of zeros.

        References
        ----------
        Czado, Gneiting & Held (2009), Predictive model assessment for count data.
        """
        value = torch.tensor(rows.value, dtype=torch.float32)
        ends = [torch.stack(ziln_below(output, value)) for output in self.outputs(rows)]
        less, at_most = torch.stack(ends).mean(0).double().numpy()
        return less + np.random.default_rng(seed).random(len(value)) * (at_most - less)
