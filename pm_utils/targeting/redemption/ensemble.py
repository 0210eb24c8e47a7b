"""Conversion networks trained on few labels: penalised, from any start, averaged over seeds."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits

from pm_utils.inputs import aligned, booleans, columns, like, numbers, whole_numbers
from pm_utils.learning.members import Members
from pm_utils.learning.scaling import Scaling
from pm_utils.learning.training import History, fit, predict
from pm_utils.targeting.redemption.networks import ConversionPredictNet, DeepCrossing

NETWORKS = ("ConversionPredictNet", "two layers", "DeepCrossing")


def squared(*weights: Tensor) -> Tensor:
    """Return the sum of squares of all weights."""
    return sum((weight**2).sum() for weight in weights)


COST = {"fc1": 0.06, "fc2": 0.06, "linear": 0.03, "inner": 0.01, "outer": 0.01, "score": 0.01}
COST |= {"embed": 0.01}
COST_ROWS = 3_780  # `COST` was chosen for so many rows
FACTORS = (0.01, 0.1, 0.3, 1.0, 3.0)  # of the strength that as many rows would want
FEWEST = 100  # rows of either answer from which a strength is chosen


def penalty(
    parameters: Iterable[tuple[str, Tensor]], strength: float | Sequence[float] = 1.0
) -> Tensor:
    """Return what networks pay for their weights, in nats; `COST` weighs the layers.

    Parameters
    ----------
    parameters : iterable of (str, Tensor)
        As ``named_parameters`` gives them: by layer, a layer's ``bias`` is free. Stacked weights of
        several networks pay the sum of what each would.
    strength : float or sequence of K floats
        Multiplies `COST`; a sequence has one for each of K stacked networks.

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
    costs = (
        (COST["embed" if path[0] == "embed" else path[-2]], value)
        for path, value in layers
        if path[-1] == "weight"
    )
    if np.ndim(strength) == 0:
        return sum(cost * strength * squared(value) for cost, value in costs)
    each = torch.as_tensor(strength, dtype=torch.float32)
    return sum(cost * (each * (value**2).flatten(1).sum(1)).sum() for cost, value in costs)


def new_net(name: str, profile: int, content: int, *wide: int) -> nn.Module:
    """Return an untrained network at the sizes of the book.

    Parameters
    ----------
    name : {"ConversionPredictNet", "two layers", "DeepCrossing"}
        ``"two layers"`` is the source's network: without the linear path.
    profile, content : int
        Numbers about the household and about what it is offered.
    *wide : int
        Numbers of further features, for ``"DeepCrossing"`` alone.

    Raises
    ------
    ValueError
        When the name is none of these, or a network of two inputs is given a third.
    """
    if name == "DeepCrossing":
        return DeepCrossing([profile, content, *wide], dropout=0.3)
    if name not in NETWORKS:
        raise ValueError(f"{name} is no network: give one of {', '.join(NETWORKS)}")
    if wide:
        raise ValueError(f"{name} reads profile and content: give wide features to DeepCrossing")
    return ConversionPredictNet(profile, content, dropout=0.3, linear=name != "two layers")


def train_nets(
    name: str,
    inputs: list[Tensor],
    targets: np.ndarray,
    *,
    epochs: int,
    seeds: Sequence[int],
    start: dict[str, Tensor] | None = None,
    strength: float | Sequence[float] = 1.0,
    left_out: np.ndarray | None = None,
) -> tuple[list[nn.Module], History]:
    """Train networks side by side, each by log loss and `penalty`.

    Each has its own first weights, unless `start` is given, its own order of the rows, and drops
    its own units.

    Explained in chapter ``conversion``.

    Parameters
    ----------
    name : str
        One of `NETWORKS`.
    inputs : list of two or more Tensors, (N, P), (N, C), ...
        Profile and content, scaled; for ``"DeepCrossing"`` wide features, too.
    targets : array of shape (N, K), 0 or 1
        What each network shall predict.
    epochs : int
    seeds : sequence of K int
        Of first weights and orders; the first one also drops units.
    start : dict, optional
        Weights to start from, as ``state_dict`` gives them.
    strength : float or sequence of K floats
        As in `penalty`; `choose_strength` finds one.
    left_out : boolean array of shape (N, K), optional
        Rows that a network does not learn from. All learn from as many rows as the one with the
        fewest, so some leave out a few more.

    Returns
    -------
    nets : list of K torch.nn.Module
        In evaluation mode.
    history : History
        Its losses are sums over the networks, their penalties included.

    Raises
    ------
    ValueError
        When there is not one column of targets per seed, a target is neither 0 nor 1, an input is
        not finite, the rows differ in number, or a strength is negative.

    Examples
    --------
    >>> import numpy as np
    >>> import torch
    >>> from pm_utils.targeting.redemption.ensemble import train_nets
    >>> inputs = [torch.zeros(8, 3), torch.ones(8, 2)]  # profile, content
    >>> target = np.array([0, 0, 0, 0, 0, 0, 1, 1])
    >>> targets = np.stack([target, target], 1)  # one column per network
    >>> nets, history = train_nets("ConversionPredictNet", inputs, targets, epochs=1, seeds=(0, 1))
    >>> [net(*inputs).shape for net in nets], history.steps
    ([torch.Size([8]), torch.Size([8])], 1)
    """
    if np.shape(targets)[1:] != (len(seeds),):
        shape = np.shape(targets)
        raise ValueError(f"targets are {shape} for {len(seeds)} seeds: give one column per seed")
    told = dict(zip(("profile", "content", "wide"), inputs, strict=False))
    targets = aligned(**told, targets=targets)[-1]  # tensors: by place
    for key, part in told.items():
        numbers(part, key, ndim=2)
    numbers(strength, "strength", low=0)
    goal, nets, orders = torch.tensor(booleans(targets, "targets"), dtype=torch.float32), [], []
    kept = np.ones(goal.shape, bool) if left_out is None else ~booleans(left_out, "left_out")
    for seed, own in zip(seeds, kept.T, strict=True):
        torch.manual_seed(seed)
        nets.append(new_net(name, *(part.shape[1] for part in inputs)))
        rows = torch.from_numpy(np.flatnonzero(own))
        orders.append(rows[torch.randperm(len(rows))][: kept.sum(0).min()])
        if start is not None:
            nets[-1].load_state_dict(start)
    members, order = Members(nets), torch.stack(orders, 1)  # (rows that each learns from, K)

    def loss(logit: Tensor, answer: Tensor) -> Tensor:
        log_loss = binary_cross_entropy_with_logits(logit, answer) * len(seeds)
        return log_loss + penalty(members.named_weights(), strength)

    settings = {"epochs": epochs, "batch_size": 128, "learning_rate": 5e-3, "seed": seeds[0]}
    rows = [part[order] for part in inputs]
    history = fit(members, rows, goal.gather(0, order), loss=loss, **settings)
    return members.write_back(), history


def choose_strength(
    name: str,
    inputs: list[Tensor],
    target: np.ndarray,
    *,
    epochs: int,
    seed: int,
    start: dict[str, Tensor] | None = None,
    validation: tuple[list[Tensor], np.ndarray] | None = None,
) -> pd.Series:
    """Choose how strongly weights are penalised, for as many rows as there are.

    Networks of several strengths learn side by side and are judged on rows held out. More rows
    want less: the strengths tried are `FACTORS` times 3,780 / N.

    Parameters
    ----------
    name, inputs, epochs, start
        As in `train_nets`.
    target : array of shape (N,), 0 or 1
    seed : int
        Holds out one row in five and gives the first weights.
    validation : (inputs, target), optional
        Rows to judge by, such as later ones, in place of one in five.

    Returns
    -------
    Series
        Mean log loss held out, by strength; ``idxmin`` is the one to take. 3,780 / N alone, without
        a loss, where there are fewer than `FEWEST` rows of either answer.

    Raises
    ------
    ValueError
        As `train_nets`.

    Examples
    --------
    >>> import numpy as np
    >>> import torch
    >>> from pm_utils.targeting.redemption.ensemble import choose_strength
    >>> x = torch.randn(1000, 2, generator=torch.Generator().manual_seed(0))
    >>> inputs, target = [x, x[:, :1]], (x[:, 0] > 0).numpy()
    >>> losses = choose_strength("DeepCrossing", inputs, target, epochs=2, seed=0)
    >>> [round(strength, 2) for strength in losses.index]
    [0.04, 0.38, 1.13, 3.78, 11.34]
    >>> bool(losses.idxmin() < 2)  # what is so clear wants hardly a penalty
    True
    """
    answers = booleans(target, "target")
    if min(answers.sum(), (~answers).sum()) < FEWEST:
        return pd.Series({COST_ROWS / len(answers): np.nan}, name="log loss")
    learn = np.ones(len(answers), bool)
    if validation is None:
        learn[np.random.default_rng(seed).permutation(len(answers))[: len(answers) // 5]] = False
        validation = [part[~learn] for part in inputs], answers[~learn]
    judged = torch.tensor(booleans(validation[1], "validation"), dtype=torch.float32)
    strengths = [factor * COST_ROWS / len(answers) for factor in FACTORS]
    goals = np.repeat(answers[learn, None], len(strengths), 1)
    settings = {"epochs": epochs, "seeds": [seed] * len(strengths), "start": start}
    rows = [part[learn] for part in inputs]
    nets, _ = train_nets(name, rows, goals, strength=strengths, **settings)
    losses = [
        binary_cross_entropy_with_logits(predict(net, validation[0]), judged).item() for net in nets
    ]
    return pd.Series(losses, strengths, name="log loss")


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
    strength : float
        Of the penalty that the networks paid.
    wide : tuple of str
        Columns of a feature that Deep Crossing embeds, neither profile nor content.
    history : History or None
        As in `train_nets`.

    Examples
    --------
    >>> import numpy as np
    >>> import pandas as pd
    >>> from pm_utils.targeting.redemption.ensemble import Ensemble
    >>> features = pd.DataFrame({"orders": [0.0, 1.0, 2.0, 3.0], "coupons": [1.0, 0.0, 1.0, 0.0]})
    >>> settings = {"members": 3, "epochs": 1, "seed": 0}
    >>> target = np.array([0, 0, 1, 1])
    >>> ensemble = Ensemble.train("DeepCrossing", features, target, ["orders"], **settings)
    >>> len(ensemble.nets), ensemble.logit(features).shape  # the mean of three
    (3, (4,))
    """

    nets: list[nn.Module]
    scaling: Scaling
    profile: list[str]
    strength: float = 1.0
    wide: tuple[str, ...] = ()
    history: History | None = None

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
        start: dict[str, Tensor] | None = None,
        strength: float | None = None,
        validation: tuple[pd.DataFrame, np.ndarray] | None = None,
        wide: Sequence[str] = (),
    ) -> Self:
        """Train `members` networks on the same rows.

        Parameters
        ----------
        name : str
            As in `new_net`.
        features : DataFrame of shape (N, F)
        target : array of shape (N,), 0 or 1
            Matched by index, if it carries one.
        profile : list of str
        members, epochs, seed : int
        start : dict, optional
            As in `train_nets`.
        strength : float, optional
            Of the penalty. By default `choose_strength` finds it on rows held out.
        validation : (features, target), optional
            Rows to choose the strength by, such as later ones.
        wide : sequence of str
            Columns that only ``"DeepCrossing"`` can read, as one feature.

        Raises
        ------
        KeyError
            When a column of the profile is missing.
        ValueError
            When a target is neither 0 nor 1, a feature is not finite, or the rows do not belong
            together.
        """
        for key, value in {"members": members, "epochs": epochs}.items():
            whole_numbers(value, key, low=1)
        features, target = _like(features, target)
        columns(features, [*profile, *wide], "features")
        scaling = Scaling.learn(features)
        if strength is None:
            strength = _strength(
                name,
                cls([], scaling, profile, wide=tuple(wide)),
                (features, target),
                validation,
                epochs=epochs,
                seed=seed,
                start=start,
            )
        targets = np.repeat(np.asarray(target)[:, None], members, axis=1)  # (N, members)
        seeds = [1000 * seed + member for member in range(members)]
        inputs = cls([], scaling, profile, wide=tuple(wide)).inputs(features)
        settings = {"epochs": epochs, "seeds": seeds, "start": start, "strength": strength}
        nets, history = train_nets(name, inputs, targets, **settings)
        return cls(nets, scaling, profile, strength, tuple(wide), history)

    def inputs(self, features: pd.DataFrame) -> list[Tensor]:
        """Return profile (N, P) and content (N, C), scaled, and a wide feature where there is one.

        The wide feature stays as it is: scaling would blow up what is rare. Columns that it never
        saw are left out.

        Raises
        ------
        KeyError
            When a column that it was trained on is missing.
        ValueError
            When a feature is not finite.
        """
        known = columns(features, list(self.scaling.mean.index), "features")
        numbers(known, "features")
        scaled = self.scaling.apply(known)
        wide = list(self.wide)
        parts = [scaled[self.profile], scaled.drop(columns=[*self.profile, *wide])]
        parts += [known[wide]] if wide else []
        return [torch.tensor(part.to_numpy(), dtype=torch.float32) for part in parts]

    def logit(self, features: pd.DataFrame) -> pd.Series:
        """Return the mean logit, with the index of the features; columns are found by name."""
        inputs = self.inputs(features)
        logits = np.array([predict(net, inputs).numpy() for net in self.nets], float)
        return like(logits.mean(axis=0), features)


def _like(features: pd.DataFrame, target: np.ndarray) -> tuple[pd.DataFrame, np.ndarray]:
    """Return features and targets of the same rows, or refuse them."""
    features, target = aligned(features=features, target=target)
    numbers(features, "features", ndim=2)
    return features, booleans(target, "target").astype(float)


def _strength(
    name: str,
    untrained: Ensemble,
    known: tuple[pd.DataFrame, np.ndarray],
    validation: tuple[pd.DataFrame, np.ndarray] | None,
    **settings: int | dict | None,
) -> float:
    """Choose a strength for features that are not scaled yet."""
    if validation is not None:
        later = _like(*validation)
        validation = untrained.inputs(later[0]), later[1]
    losses = choose_strength(
        name, untrained.inputs(known[0]), known[1], validation=validation, **settings
    )
    return float(losses.idxmin() if len(losses) > 1 else losses.index[0])
