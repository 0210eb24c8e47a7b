"""Conversion networks trained on few labels: penalised, from any start, averaged over seeds."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits

from pm_utils.learning.members import Members
from pm_utils.learning.scaling import Scaling
from pm_utils.learning.training import fit, predict
from pm_utils.targeting.redemption.networks import ConversionPredictNet, DeepCrossing

NETWORKS = ("ConversionPredictNet", "DeepCrossing")


def squared(*weights: Tensor) -> Tensor:
    """Return the sum of squares of all weights."""
    return sum((weight**2).sum() for weight in weights)


COST = {"fc1": 0.06, "fc2": 0.06, "linear": 0.03, "inner": 0.01, "outer": 0.01, "score": 0.01}


def penalty(parameters: Iterable[tuple[str, Tensor]]) -> Tensor:
    """Return what networks pay for their weights, in nats; `COST` was chosen on *choose*.

    Parameters
    ----------
    parameters : iterable of (str, Tensor)
        As ``named_parameters`` gives them: by layer, a layer's ``bias`` is free. Stacked weights of
        several networks pay the sum of what each would.

    Examples
    --------
    0.06 times the four squares of the first layer; the bias is free.

    >>> import torch
    >>> from pm_utils.targeting.redemption.ensemble import penalty
    >>> layer = [("fc1.weight", torch.ones(2, 2)), ("fc1.bias", torch.ones(2))]
    >>> penalty(layer)
    tensor(0.2400)
    """
    layers = ((name.split("."), value) for name, value in parameters)
    return sum(COST[path[-2]] * squared(value) for path, value in layers if path[-1] == "weight")


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


def train_nets(
    name: str,
    inputs: list[Tensor],
    targets: np.ndarray,
    *,
    epochs: int,
    seeds: Sequence[int],
    start: dict[str, Tensor] | None = None,
) -> list[nn.Module]:
    """Train networks side by side, each by log loss and `penalty`.

    Each has its own first weights, unless `start` is given, its own order of the rows, and drops
    its own units.

    Explained in chapter ``conversion``.

    Parameters
    ----------
    name : {"ConversionPredictNet", "DeepCrossing"}
    inputs : list of two Tensors, (N, P) and (N, C)
        Profile and content, scaled.
    targets : array of shape (N, K), 0 or 1
        What each network shall predict.
    epochs : int
    seeds : sequence of K int
        Of first weights and orders; the first one also drops units.
    start : dict, optional
        Weights to start from, as ``state_dict`` gives them.

    Returns
    -------
    list of K torch.nn.Module
        In evaluation mode.

    Raises
    ------
    ValueError
        When there is not one column of targets per seed.

    Examples
    --------
    >>> import numpy as np
    >>> import torch
    >>> from pm_utils.targeting.redemption.ensemble import train_nets
    >>> inputs = [torch.zeros(8, 3), torch.ones(8, 2)]  # profile, content
    >>> target = np.array([0, 0, 0, 0, 0, 0, 1, 1])
    >>> targets = np.stack([target, target], 1)  # one column per network
    >>> nets = train_nets("ConversionPredictNet", inputs, targets, epochs=1, seeds=(0, 1))
    >>> [net(*inputs).shape for net in nets]
    [torch.Size([8]), torch.Size([8])]
    """
    if np.shape(targets)[1:] != (len(seeds),):
        shape = np.shape(targets)
        raise ValueError(f"targets are {shape} for {len(seeds)} seeds: give one column per seed")
    goal, nets, orders = torch.tensor(np.asarray(targets), dtype=torch.float32), [], []
    for seed in seeds:
        torch.manual_seed(seed)
        nets.append(new_net(name, inputs[0].shape[1], inputs[1].shape[1]))
        orders.append(torch.randperm(len(goal)))
        if start is not None:
            nets[-1].load_state_dict(start)
    members, order = Members(nets), torch.stack(orders, 1)  # (N, K)

    def loss(logit: Tensor, answer: Tensor) -> Tensor:
        log_loss = binary_cross_entropy_with_logits(logit, answer) * len(seeds)
        return log_loss + penalty(members.named_weights())

    settings = {"epochs": epochs, "batch_size": 128, "learning_rate": 5e-3, "seed": seeds[0]}
    fit(members, [part[order] for part in inputs], goal.gather(0, order), loss=loss, **settings)
    return members.write_back()


@dataclass(frozen=True)
class Ensemble:
    """Networks of different seeds whose logits are averaged.

    Explained in chapter ``conversion``.

    Attributes
    ----------
    nets : list of torch.nn.Module
    scaling : Scaling
    profile : list of str
        Which columns make the profile; the others are content.

    Examples
    --------
    >>> import numpy as np
    >>> import pandas as pd
    >>> from pm_utils.targeting.redemption.ensemble import Ensemble
    >>> features = pd.DataFrame({"orders": [0.0, 1.0, 2.0, 3.0], "coupons": [1.0, 0.0, 1.0, 0.0]})
    >>> settings = {"members": 3, "epochs": 1, "seed": 0}
    >>> target = np.array([0, 0, 1, 1])
    >>> ensemble = Ensemble.train("DeepCrossing", features, target, ["orders"], **settings)
    >>> ensemble.member_logits(features).shape
    (3, 4)
    >>> ensemble.logit(features).shape  # their mean
    (4,)
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
            As in `train_nets`.
        """
        scaling, rng = Scaling.learn(features), np.random.default_rng(seed)
        deal = rng.permutation if shuffle_labels else np.asarray
        targets = np.stack([deal(target) for _ in range(members)], 1)  # (N, members)
        seeds = [1000 * seed + member for member in range(members)]
        inputs = cls([], scaling, profile).inputs(features)
        nets = train_nets(name, inputs, targets, epochs=epochs, seeds=seeds, start=start)
        return cls(nets, scaling, profile)

    def inputs(self, features: pd.DataFrame) -> list[Tensor]:
        """Return profile (N, P) and content (N, C), scaled; columns it never saw are left out."""
        scaled = self.scaling.apply(features[self.scaling.mean.index])
        parts = scaled[self.profile], scaled.drop(columns=self.profile)
        return [torch.tensor(part.to_numpy(), dtype=torch.float32) for part in parts]

    def logit(self, features: pd.DataFrame) -> np.ndarray:
        """Return the mean logit → (N,)."""
        return self.member_logits(features).mean(axis=0)

    def member_logits(self, features: pd.DataFrame) -> np.ndarray:
        """Return each network's logit → (members, N)."""
        inputs = self.inputs(features)
        return np.array([predict(net, inputs).numpy() for net in self.nets], float)
