"""Chapter 11 around its network: rows to learn from, the network several times over, its rivals."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np
import pandas as pd
import torch
from sklearn.base import RegressorMixin
from sklearn.ensemble import HistGradientBoostingRegressor
from sklearn.linear_model import PoissonRegressor
from torch import Tensor

from pm_utils.customers.features import FEATURES, DatedPipeline, features_on, next_spend
from pm_utils.data import Shop
from pm_utils.learning.scaling import Scaling
from pm_utils.learning.training import fit, predict
from pm_utils.lifetime.networks import LifetimeValueNet, ziln_loss, ziln_mean
from pm_utils.lifetime.scores import score_table

# Cumulative features grow with the record, and these two want sixteen weeks of it
COMPARABLE = [
    name
    for name in FEATURES.index
    if not FEATURES.loc[name, "cumulative"] and name not in ("earlier_spend", "trend")
]
STRENGTHS, LEAVES = (0.01, 0.03), (4, 8)


@dataclass(frozen=True)
class ValueRows:
    """Customers on a date, and what they were worth afterwards.

    Attributes
    ----------
    features, profile : DataFrame
        Numbers; the profile may have no column.
    value : array of shape (N,)
        Dollars, at least 0.
    """

    features: pd.DataFrame
    profile: pd.DataFrame
    value: np.ndarray

    def __len__(self) -> int:
        """Return the number of rows."""
        return len(self.value)

    def take(self, rows: np.ndarray) -> Self:
        """Return some rows, by a mask or by position."""
        rows = np.arange(len(self))[rows]
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

    Parameters
    ----------
    shop : Shop
        As in `features.customer_features`.
    dates : iterable of date-like
        Each with an `as_of` among the profiles.
    weeks : int
        How long spend counts.
    profiles : DataFrame
        One vintage of ``customer_profiles.parquet``, indexed by ``customer_id`` and ``as_of``.

    Returns
    -------
    ValueRows
        Indexed by ``as_of`` and ``customer_id``; features unscaled, zeros where a customer has no
        profile.

    Raises
    ------
    ValueError
        When a date has no profiles.
    """
    days = [pd.Timestamp(day) for day in dates]
    known = profiles.index.unique("as_of")
    if missing := [f"{day:%Y-%m-%d}" for day in days if day not in known]:
        raise ValueError(f"no profiles as of {missing}: give dates among {list(known)}")
    features = features_on(shop, days)[COMPARABLE]
    value = next_spend(shop, features, window=np.timedelta64(7 * weeks, "D")).to_numpy()
    own = profiles.reorder_levels(["as_of", "customer_id"]).reindex(features.index).fillna(0.0)
    return ValueRows(features, own, value)


def against_own_habit(features: pd.DataFrame) -> pd.DataFrame:
    """Compare what customers did lately with what is usual for them.

    Parameters
    ----------
    features : DataFrame
        From `features.customer_features`.

    Returns
    -------
    DataFrame
        ``orders_missed``, log(1 + orders expected since the last one), and ``recent_spend_ratio``
        and ``recent_order_ratio``, logarithms of the last eight weeks' rate over the usual one.
    """
    orders, spend = features["orders_per_week"], features["spend_per_week"]
    missed = features["recency_days"] / 7 * orders
    recent = features["recent_spend"] / 8, features["recent_orders"] / 8
    columns = {
        "orders_missed": np.log1p(missed),
        "recent_spend_ratio": np.log((recent[0] + 1) / (spend + 1)),
        "recent_order_ratio": np.log((recent[1] + 0.1) / (orders + 0.1)),
    }
    return pd.DataFrame(columns)


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


@dataclass(frozen=True)
class ValueEnsemble:
    """Several `LifetimeValueNet` of different seeds; the mean of their expected dollars.

    Attributes
    ----------
    nets : list of LifetimeValueNet
    scaling : Scaling
        Learned on the training rows.
    """

    nets: list[LifetimeValueNet]
    scaling: Scaling

    @classmethod
    def train(
        cls,
        rows: ValueRows,
        *,
        members: int = 3,
        epochs: int = 8,
        hidden: int = 64,
        dropout: float = 0.1,
        learning_rate: float = 2e-2,
        batch_size: int = 512,
        seed: int = 0,
    ) -> Self:
        """Train `members` networks that differ in their seed; see `training.fit`."""
        ensemble = cls([], Scaling.learn(rows.features))
        inputs, value = ensemble.inputs(rows), torch.tensor(rows.value, dtype=torch.float32)
        sizes = rows.profile.shape[1], rows.features.shape[1], hidden
        settings = {"epochs": epochs, "batch_size": batch_size, "learning_rate": learning_rate}
        for member in range(members):
            torch.manual_seed(1000 * seed + member)
            net = LifetimeValueNet(*sizes, dropout=dropout)
            net.start_at(value)
            settings |= {"weight_decay": 0.01, "seed": 1000 * seed + member}
            fit(net, inputs, value, loss=ziln_loss, **settings)
            ensemble.nets.append(net)
        return ensemble

    def inputs(self, rows: ValueRows) -> list[Tensor]:
        """Return what a network reads: profile (N, P) and scaled features (N, F)."""
        tables = rows.profile, self.scaling.apply(rows.features)
        return [torch.tensor(table.to_numpy(dtype=np.float32)) for table in tables]

    def outputs(self, rows: ValueRows) -> list[Tensor]:
        """Return each network's three numbers (N, 3)."""
        inputs = self.inputs(rows)
        return [predict(net, inputs) for net in self.nets]

    def dollars(self, rows: ValueRows) -> np.ndarray:
        """Return the expected value of each customer → (N,)."""
        return np.mean([ziln_mean(output).numpy() for output in self.outputs(rows)], axis=0)


def null_dollars(
    rows: ValueRows, later: ValueRows, *, shuffles: int, seed: int, **settings: Any
) -> list[np.ndarray]:
    """Train one network per shuffle of the targets, and return what each predicts → (N,) each."""
    rng, found = np.random.default_rng([seed, 11]), []
    for shuffle in range(shuffles):
        mixed = replace(rows, value=rng.permutation(rows.value))
        net = ValueEnsemble.train(mixed, members=1, seed=seed + 100 + shuffle, **settings)
        found.append(net.dollars(later))
    return found


def rivals(seed: int) -> dict[str, RegressorMixin]:
    """Return classical models of the same table, unfitted; each predicts a mean above 0."""
    trees = {"loss": "poisson", "learning_rate": 0.05, "min_samples_leaf": 60, "max_iter": 120}
    trees |= {"early_stopping": False}  # else it depends on the number of rows
    found = {
        f"Poisson regression, {a:g}": PoissonRegressor(alpha=a, max_iter=300) for a in STRENGTHS
    }
    for leaves in LEAVES:
        model = HistGradientBoostingRegressor(max_leaf_nodes=leaves, random_state=seed, **trees)
        found[f"boosting, {leaves} leaves"] = model
    return found


def fitted_dollars(model: RegressorMixin, rows: ValueRows, later: ValueRows) -> np.ndarray:
    """Fit a classical model on some rows and predict the dollars of others → (N,)."""
    scaling, unit = Scaling.learn(rows.features), rows.value.mean()
    tables = [
        replace(part, features=scaling.apply(part.features)).table() for part in (rows, later)
    ]
    return model.fit(tables[0].to_numpy(), rows.value / unit).predict(tables[1].to_numpy()) * unit


Views = dict[str, tuple[ValueRows, ValueRows]]
PROFILE = ", profile"
KINDS = ("network", "Poisson", "boosting")


def shop_views(train: ValueRows, later: ValueRows) -> Views:
    """Scale two sets of the shop's rows and give them without (""), and with (", profile")."""
    both = scaled(train, later)
    return {"": tuple(rows.without_profile() for rows in both), PROFILE: both}


def try_models(views: Views, *, seed: int, **settings: Any) -> tuple[pd.DataFrame, dict[str, str]]:
    """Train every candidate on the first rows of each view and judge it on the second.

    Parameters
    ----------
    views : dict
        From `shop_views`.
    seed : int
    **settings
        As in `ValueEnsemble.train`.

    Returns
    -------
    table : DataFrame
        Scores; rows named by model and view.
    best : dict of str
        For each of `KINDS` the row with the largest normalised Gini.
    """
    dollars = {}
    for view, (train, later) in views.items():
        for name, model in rivals(seed).items():
            dollars[name + view] = fitted_dollars(model, train, later)
        ensemble = ValueEnsemble.train(train, seed=seed, **settings)
        dollars["network" + view] = ensemble.dollars(later)
    table = score_table(next(iter(views.values()))[1].value, dollars)
    gini = table["normalised Gini"]
    return table, {kind: gini[gini.index.str.startswith(kind)].idxmax() for kind in KINDS}


def chosen_view(views: Views, name: str) -> tuple[ValueRows, ValueRows]:
    """Return the rows that a model of `try_models` reads, by its name."""
    return views[PROFILE if name.endswith(PROFILE) else ""]


def chosen_rivals(views: Views, best: dict[str, str], *, seed: int) -> dict[str, np.ndarray]:
    """Fit the chosen classical models again and return their dollars for the second rows."""
    models = rivals(seed)
    return {
        kind: fitted_dollars(
            models[best[kind].removesuffix(PROFILE)], *chosen_view(views, best[kind])
        )
        for kind in KINDS[1:]
    }
