"""Chapter 08 around its networks: examples, baselines, ensembles, and paired comparisons."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Self

import numpy as np
import pandas as pd
import torch
from sklearn.base import ClassifierMixin
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.linear_model import LogisticRegression
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits

from pm_utils.formulas import log_loss, sigmoid
from pm_utils.metrics import average_precision, bootstrap_weights, interval, roc_auc
from pm_utils.models.conversion import ConversionPredictNet, DeepCrossing
from pm_utils.training import fit, predict

FARTHEST = 4.0  # deviations from the mean; what is further off counts as this
METRICS = ("AUC", "average precision", "log loss")


@dataclass(frozen=True)
class Scaling:
    """Means and deviations of training rows; applied, values end at `FARTHEST` deviations.

    Attributes
    ----------
    mean, deviation : Series
        One entry per feature.
    """

    mean: pd.Series
    deviation: pd.Series

    @classmethod
    def learn(cls, features: pd.DataFrame) -> Self:
        """Take both from training rows; a constant keeps its scale."""
        spread = features.std(ddof=0)
        return cls(features.mean(), spread.where(spread > 1e-3, 1.0))

    def apply(self, features: pd.DataFrame) -> pd.DataFrame:
        """Return the features in deviations from the training mean."""
        return ((features - self.mean) / self.deviation).clip(-FARTHEST, FARTHEST)


def score_table(target: np.ndarray, chances: dict[str, np.ndarray]) -> pd.DataFrame:
    """Score predicted chances by AUC, average precision and log loss.

    Parameters
    ----------
    target : array of shape (N,), 0 or 1
    chances : dict of arrays of shape (N,)
        Probabilities strictly between 0 and 1.

    Returns
    -------
    DataFrame
        One row per model, the columns `METRICS`.
    """
    target = np.asarray(target, float)
    rows = {
        name: (roc_auc(target, p), average_precision(target, p), log_loss(p, target).mean())
        for name, p in chances.items()
    }
    return pd.DataFrame(rows, index=METRICS).T


def household_weights(
    customers: np.ndarray, repeats: int, seed: int, *, among: np.ndarray | None = None
) -> np.ndarray:
    """Draw how often each row enters resamples of households, all rows of one together.

    Parameters
    ----------
    customers : array of shape (N,)
        The household of each row.
    repeats, seed : int
    among : array, optional
        The households to draw from, by default those of the rows.

    Returns
    -------
    array of shape (repeats, N), int
    """
    homes = np.unique(customers if among is None else among)
    return bootstrap_weights(len(homes), repeats, seed)[:, np.searchsorted(homes, customers)]


def paired_gain(
    metric: str,
    target: np.ndarray,
    first: np.ndarray,
    second: np.ndarray,
    weight: np.ndarray,
) -> tuple[float, float]:
    """Return the 95 % interval of a metric of `first` minus that of `second`.

    Parameters
    ----------
    metric : {"AUC", "average precision", "log loss"}
    target, first, second : arrays of shape (N,)
        Outcomes and two models' chances.
    weight : array of shape (R, N)
        From `household_weights`: both models are scored on the same resamples.

    Returns
    -------
    (float, float)

    Raises
    ------
    ValueError
        When the metric is unknown.
    """
    if metric not in METRICS:
        raise ValueError(f"{metric!r} is no metric: give one of {METRICS}")
    if metric == "log loss":
        target = np.asarray(target, float)
        each = [-np.log(np.where(target > 0, p, 1 - p)) for p in (first, second)]
        return interval(weight @ (each[0] - each[1]) / weight.sum(1))
    measure = roc_auc if metric == "AUC" else average_precision
    return interval(measure(target, first, weight) - measure(target, second, weight))


def logistic_regression(strength: float) -> LogisticRegression:
    """Return logistic regression; `strength` is scikit-learn's C, larger trusts the data more."""
    return LogisticRegression(C=strength, max_iter=1000)


def gradient_boosting(trees: int, leaves: int, *, seed: int = 0) -> HistGradientBoostingClassifier:
    """Return boosted trees that see half of the features at each split."""
    return HistGradientBoostingClassifier(
        max_iter=trees,
        max_leaf_nodes=leaves,
        learning_rate=0.05,
        l2_regularization=5.0,
        min_samples_leaf=30,
        max_features=0.5,
        random_state=seed,
    )


def fitted_logit(
    model: ClassifierMixin, rows: pd.DataFrame, target: np.ndarray, others: list[pd.DataFrame]
) -> list[np.ndarray]:
    """Fit a classifier on some rows and return its logits on others, one array per table."""
    model.fit(rows.to_numpy(), target)
    chances = [model.predict_proba(part.to_numpy())[:, 1] for part in others]
    return [np.log(p) - np.log1p(-p) for p in chances]


def tune(
    models: dict[str, Callable[[], ClassifierMixin]],
    learn: tuple[pd.DataFrame, np.ndarray],
    choose: tuple[pd.DataFrame, np.ndarray],
) -> pd.DataFrame:
    """Fit each candidate on one slice and score it on a later one.

    Parameters
    ----------
    models : dict of callables
        Each returns a fresh classifier.
    learn, choose : (features, target)

    Returns
    -------
    DataFrame
        As `score_table`, the least log loss first.
    """
    chances = {
        name: sigmoid(fitted_logit(make(), *learn, [choose[0]])[0]) for name, make in models.items()
    }
    return score_table(choose[1], chances).sort_values("log loss")


def squared(*weights: Tensor) -> Tensor:
    """Return the sum of squares of all weights."""
    return sum((weight**2).sum() for weight in weights)


def penalty(net: nn.Module) -> Tensor:
    """Return what a network pays for its weights, in nats; constants were chosen on *choose*."""
    if isinstance(net, ConversionPredictNet):
        cost = 0.06 * squared(net.fc1.weight, net.fc2.weight)
        return cost if net.linear is None else cost + 0.03 * squared(net.linear.weight)
    units = [layer.weight for unit in net.units for layer in (unit.inner, unit.outer)]
    return 0.01 * squared(net.score.weight, *units)


def new_net(name: str, profile: int, content: int) -> nn.Module:
    """Return an untrained network at the sizes of the book.

    Parameters
    ----------
    name : {"ConversionPredictNet", "DeepCrossing"}
    profile, content : int
        Numbers about the household and about what it is offered.

    Raises
    ------
    ValueError
        When the name is neither.
    """
    if name == "ConversionPredictNet":
        return ConversionPredictNet(profile, content, dropout=0.3)
    if name == "DeepCrossing":
        return DeepCrossing([profile, content], dropout=0.3)
    raise ValueError(f"{name} is no network: give ConversionPredictNet or DeepCrossing")


def train_net(
    name: str,
    inputs: list[Tensor],
    target: np.ndarray,
    *,
    epochs: int,
    seed: int,
    start: dict[str, Tensor] | None = None,
) -> nn.Module:
    """Train one network on contacts by log loss and `penalty`.

    Parameters
    ----------
    name : {"ConversionPredictNet", "DeepCrossing"}
    inputs : list of two Tensors, (N, P) and (N, C)
        Profile and content, scaled.
    target : array of shape (N,), 0 or 1
    epochs, seed : int
    start : dict, optional
        Weights to start from, as ``state_dict`` gives them.

    Returns
    -------
    torch.nn.Module
        In evaluation mode.
    """
    torch.manual_seed(seed)
    net = new_net(name, inputs[0].shape[1], inputs[1].shape[1])
    if start is not None:
        net.load_state_dict(start)

    def loss(logit: Tensor, answer: Tensor) -> Tensor:
        return binary_cross_entropy_with_logits(logit, answer) + penalty(net)

    goal = torch.tensor(np.asarray(target), dtype=torch.float32)
    settings = {"epochs": epochs, "batch_size": 128, "learning_rate": 5e-3, "seed": seed}
    fit(net, inputs, goal, loss=loss, **settings)
    return net


@dataclass(frozen=True)
class Ensemble:
    """Networks of different seeds whose logits are averaged.

    Attributes
    ----------
    nets : list of torch.nn.Module
    scaling : Scaling
    profile : list of str
        Which columns make the profile; the others are content.
    """

    nets: list[nn.Module]
    scaling: Scaling
    profile: list[str]

    @classmethod
    def train(
        cls,
        name: str,
        features: pd.DataFrame,
        target: np.ndarray,
        profile: list[str],
        *,
        members: int,
        epochs: int,
        seed: int,
        shuffle_labels: bool = False,
        start: dict[str, Tensor] | None = None,
    ) -> Self:
        """Train `members` networks on the same rows.

        Parameters
        ----------
        name : str
            As in `new_net`.
        features : DataFrame of shape (N, F)
        target : array of shape (N,), 0 or 1
        profile : list of str
        members, epochs, seed : int
        shuffle_labels : bool
            Deal the targets to other rows, anew for each member: the null.
        start : dict, optional
            As in `train_net`.
        """
        ensemble = cls([], Scaling.learn(features), profile)
        inputs, rng = ensemble.inputs(features), np.random.default_rng(seed)
        for member in range(members):
            answer = rng.permutation(target) if shuffle_labels else target
            settings = {"epochs": epochs, "seed": 1000 * seed + member, "start": start}
            ensemble.nets.append(train_net(name, inputs, answer, **settings))
        return ensemble

    def inputs(self, features: pd.DataFrame) -> list[Tensor]:
        """Return profile (N, P) and content (N, C), scaled."""
        scaled = self.scaling.apply(features)
        parts = scaled[self.profile], scaled.drop(columns=self.profile)
        return [torch.tensor(part.to_numpy(), dtype=torch.float32) for part in parts]

    def logit(self, features: pd.DataFrame) -> np.ndarray:
        """Return the mean logit → (N,)."""
        inputs = self.inputs(features)
        return np.mean([predict(net, inputs).numpy() for net in self.nets], axis=0).astype(float)
