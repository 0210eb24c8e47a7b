"""Conversion networks trained on few labels: penalised, from any start, averaged over seeds."""

from dataclasses import dataclass
from typing import Self

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits

from pm_utils.conversion import Scaling
from pm_utils.models.conversion import ConversionPredictNet, DeepCrossing
from pm_utils.training import fit, predict

NETWORKS = ("ConversionPredictNet", "DeepCrossing")


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
        return self.member_logits(features).mean(axis=0)

    def member_logits(self, features: pd.DataFrame) -> np.ndarray:
        """Return each network's logit → (members, N)."""
        inputs = self.inputs(features)
        return np.array([predict(net, inputs).numpy() for net in self.nets], float)


def train_trials(
    features: pd.DataFrame,
    target: np.ndarray,
    profile: list[str],
    *,
    start: dict[str, Tensor],
    **settings: int,
) -> dict[str, Ensemble]:
    """Train both networks, and `ConversionPredictNet` again from pre-trained weights.

    Parameters
    ----------
    features, target, profile
        As in `Ensemble.train`.
    start : dict
        Pre-trained weights.
    **settings : int
        ``members``, ``epochs`` and ``seed``.

    Returns
    -------
    dict of Ensemble
        By name; ``"one member"`` is the first network of the first ensemble.
    """
    rows = features, target, profile
    trials = {name: Ensemble.train(name, *rows, **settings) for name in NETWORKS}
    trials["pre-trained"] = Ensemble.train(NETWORKS[0], *rows, start=start, **settings)
    whole = trials[NETWORKS[0]]
    return {"one member": Ensemble(whole.nets[:1], whole.scaling, profile)} | trials


def train_final(
    name: str,
    features: pd.DataFrame,
    target: np.ndarray,
    profile: list[str],
    *,
    null_members: int,
    start: dict[str, Tensor],
    **settings: int,
) -> dict[str, Ensemble]:
    """Train the chosen network on all training contacts, and on shuffled labels.

    Parameters
    ----------
    name : str
        One of `NETWORKS`, or ``"pre-trained"``.
    features, target, profile, start
        As in `train_trials`; `start` is used by ``"pre-trained"`` only.
    null_members : int
        Networks that learn from shuffled labels.
    **settings : int
        ``members``, ``epochs`` and ``seed``.

    Returns
    -------
    dict of Ensemble
        ``"network"`` and ``"null"``.
    """
    kind, begin = (NETWORKS[0], start) if name == "pre-trained" else (name, None)
    rows = kind, features, target, profile
    null = settings | {"members": null_members, "shuffle_labels": True}
    return {
        "network": Ensemble.train(*rows, start=begin, **settings),
        "null": Ensemble.train(*rows, start=begin, **null),
    }


def pretraining_claim(change: tuple[float, float]) -> str:
    """Say what pre-training did to the loss on held-out contacts; the result chooses the sentence.

    Parameters
    ----------
    change : (float, float)
        The 95 % interval, in nats, of the log loss with pre-training minus that without, from
        `pm_utils.conversion.paired_gain`.

    Returns
    -------
    str
        With and without *cannot be told apart* where the interval holds zero.
    """
    low, high = change
    facts = f"(95 % interval of the change: {low:+.4f} to {high:+.4f} nats)"
    if high < 0:
        return f"Pre-training lowers the loss {facts}."
    if low > 0:
        return f"Pre-training raises the loss {facts}."
    return f"With and without pre-training, the losses cannot be told apart {facts}."
