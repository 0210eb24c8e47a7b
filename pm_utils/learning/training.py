"""One training loop for every network of the book."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from pm_utils.inputs import refuse

Loss = Callable[[Tensor, Tensor], Tensor]


@dataclass
class History:
    """What became of a training.

    Attributes
    ----------
    train, validation : list of float
        Mean loss per example after each epoch; of the validation rows, after each check.
    best_epoch : int
        The epoch, counted from 0, whose weights were kept; -1 without validation rows.
    steps, rows : int
        How often the weights were changed, and how many rows were read for it, repeats counted.
    """

    train: list[float] = field(default_factory=list)
    validation: list[float] = field(default_factory=list)
    best_epoch: int = -1
    steps: int = 0
    rows: int = 0

    def record(self, **more: float) -> dict[str, Any]:
        """Return what a scoreboard keeps of the training.

        Parameters
        ----------
        **more : float
            Further facts, as the share of `pm_utils.learning.diagnostics.switching_share`.
        """
        curve = self.validation or self.train
        facts = {"steps": self.steps, "rows": self.rows, "curve": [float(loss) for loss in curve]}
        facts["curve_of"] = "validation" if self.validation else "training"
        return facts | {name: float(value) for name, value in more.items()}


def fit(
    model: nn.Module,
    inputs: Sequence[Tensor],
    target: Tensor,
    *,
    loss: Loss,
    epochs: int,
    batch_size: int = 256,
    learning_rate: float = 1e-3,
    weight_decay: float = 0.0,
    seed: int = 0,
    validation: tuple[Sequence[Tensor], Tensor] | None = None,
    patience: int | None = None,
    checks: int = 1,
) -> History:
    """Train a network by Adam on shuffled mini-batches and keep its best weights.

    The step size follows one cycle: it rises to `learning_rate` over the first three tenths of
    the steps and falls to nothing at the end, so that the last epochs settle.

    Explained in chapter ``data-preparation``.

    Parameters
    ----------
    model : torch.nn.Module
        Called as ``model(*inputs)``; trained in place, left in evaluation mode.
    inputs : sequence of Tensor, each (N, ...)
        What the network reads; rows belong together.
    target : Tensor of shape (N, ...)
        What it shall predict.
    loss : callable
        ``loss(output, target)`` → scalar, a mean over the batch.
    epochs : int
        Passes over the rows, at most.
    batch_size : int
        Rows per step.
    learning_rate, weight_decay : float
        Adam's largest step and its decoupled weight decay (AdamW).
    seed : int
        Orders the batches and drives dropout; the weights are drawn where the model is made.
    validation : (inputs, target), optional
        Rows held out. With them, the weights with the least validation loss are restored.
    patience : int, optional
        Stop after so many epochs without a lower validation loss.
    checks : int
        How often within each epoch the validation rows are looked at: more points of the curve.

    Returns
    -------
    History

    Raises
    ------
    ValueError
        When inputs and target differ in rows or have none, a number in them is not finite, there
        is no epoch, or `patience` is given without `validation`.
    FloatingPointError
        When a training loss, or every validation loss, is not finite though all numbers are.

    Notes
    -----
    Where a layer learns from the statistics of its batch, as batch normalisation does, a last batch
    of a single row joins the one before it.

    References
    ----------
    Loshchilov & Hutter (2019), Decoupled weight decay regularization.
    Smith & Topin (2019), Super-convergence (the one-cycle schedule).

    Examples
    --------
    >>> import torch
    >>> from torch import nn
    >>> from pm_utils.learning.training import fit
    >>> _ = torch.manual_seed(0)  # of the first weights
    >>> x, model = torch.tensor([[-1.0], [0.0], [1.0]]), nn.Linear(1, 1)
    >>> settings = {"loss": nn.functional.mse_loss, "epochs": 100, "learning_rate": 0.2}
    >>> history = fit(model, [x], 2 * x + 1, **settings)
    >>> round(model.weight.item(), 1), round(model.bias.item(), 1)
    (2.0, 1.0)
    >>> len(history.train), history.best_epoch  # without validation rows no epoch is the best
    (100, -1)
    """
    _check_rows(inputs, target)
    if validation is not None:
        _check_rows(*validation, name="validation")
    for name, count in (("epochs", epochs), ("batch_size", batch_size), ("checks", checks)):
        if count < 1:
            raise ValueError(f"{name} is {count}: give at least 1")
    if patience is not None and validation is None:
        raise ValueError("patience needs validation rows to watch")
    torch.manual_seed(seed)
    generator = torch.Generator().manual_seed(seed)
    optimizer = torch.optim.AdamW(
        model.parameters(), lr=learning_rate, weight_decay=weight_decay, fused=True
    )
    joined = len(target) % batch_size == 1 < len(target) and _reads_batches(model)
    steps = epochs * (math.ceil(len(target) / batch_size) - joined)
    scheduler = torch.optim.lr_scheduler.OneCycleLR(optimizer, learning_rate, total_steps=steps)
    history, best_weights, best_loss = History(), None, math.inf
    for epoch in range(epochs):
        batches = torch.randperm(len(target), generator=generator).split(batch_size)
        if joined:
            batches = (*batches[:-2], torch.cat(batches[-2:]))
        total = 0.0
        for part in _parts(batches, checks):
            total += _some_steps(model, inputs, target, loss, scheduler, part)
            if validation is None:
                continue
            history.validation.append(_loss_of_rows(model, *validation, loss))
            if history.validation[-1] < best_loss:
                history.best_epoch, best_loss = epoch, history.validation[-1]
                best_weights = {name: value.clone() for name, value in model.state_dict().items()}
        history.train.append(total / len(target))
        history.steps += len(batches)
        history.rows += len(target)
        if patience is not None and epoch - history.best_epoch >= patience:
            break
    if validation is not None and best_weights is None:
        raise FloatingPointError(
            f"the validation loss is {history.validation[-1]} in every epoch: lower the learning "
            "rate, or look for rows that the loss cannot take"
        )
    if best_weights is not None:
        model.load_state_dict(best_weights)
    model.eval()
    return history


def _parts(batches: Sequence[Tensor], count: int) -> list[Sequence[Tensor]]:
    """Cut the batches of an epoch into `count` runs of about one length, none of them empty."""
    ends = [len(batches) * part // count for part in range(count + 1)]
    return [batches[a:b] for a, b in zip(ends, ends[1:], strict=False) if a < b]


def _some_steps(
    model: nn.Module,
    inputs: Sequence[Tensor],
    target: Tensor,
    loss: Loss,
    scheduler: torch.optim.lr_scheduler.LRScheduler,
    batches: Sequence[Tensor],
) -> float:
    """Take a step for each batch → the sum of the rows' losses."""
    model.train()
    total = 0.0
    for rows in batches:
        scheduler.optimizer.zero_grad()
        value = loss(model(*(part[rows] for part in inputs)), target[rows])
        number = value.item()
        if not math.isfinite(number):
            raise FloatingPointError(
                f"the training loss is {number}: lower the learning rate or scale the inputs"
            )
        value.backward()
        scheduler.optimizer.step()
        scheduler.step()
        total += number * len(rows)
    return total


def rise_and_fall(steps: int, warm_up: int) -> Callable[[int], float]:
    """Return the schedule of a learning rate, for `torch.optim.lr_scheduler.LambdaLR`.

    Parameters
    ----------
    steps : int
        In all; over the second half the rate falls to nothing.
    warm_up : int
        Steps over which it rises.

    Returns
    -------
    callable
        From a step, counted from 0, to a share of the largest rate.

    Examples
    --------
    >>> from pm_utils.learning.training import rise_and_fall
    >>> share = rise_and_fall(steps=8, warm_up=2)
    >>> [share(step) for step in range(9)]
    [0.5, 1.0, 1.0, 1.0, 1.0, 0.75, 0.5, 0.25, 0.0]
    """
    return lambda step: min(1.0, (step + 1) / warm_up, 2 * (1 - step / steps))


def evaluate_loss(
    model: nn.Module,
    inputs: Sequence[Tensor],
    target: Tensor,
    *,
    loss: Loss,
    batch_size: int = 4096,
) -> float:
    """Return the mean loss per row without training.

    Parameters
    ----------
    model, inputs, target, loss
        As in `fit`.
    batch_size : int
        Rows per call of the network.

    Returns
    -------
    float

    Raises
    ------
    ValueError
        When inputs and target differ in rows or have none, or a number in them is not finite.

    Examples
    --------
    >>> import torch
    >>> from torch import nn
    >>> from pm_utils.learning.training import evaluate_loss
    >>> x, target = torch.tensor([1.0, 2.0]), torch.tensor([1.0, 4.0])
    >>> evaluate_loss(nn.Identity(), [x], target, loss=nn.functional.mse_loss)
    2.0
    """
    _check_rows(inputs, target)
    return _loss_of_rows(model, inputs, target, loss, batch_size)


def _loss_of_rows(
    model: nn.Module, inputs: Sequence[Tensor], target: Tensor, loss: Loss, batch_size: int = 4096
) -> float:
    model.eval()
    total = 0.0
    with torch.no_grad():
        for rows in torch.arange(len(target)).split(batch_size):
            output = model(*(part[rows] for part in inputs))
            total += loss(output, target[rows]).item() * len(rows)
    return total / len(target)


def predict(
    model: Callable[..., Tensor], inputs: Sequence[Tensor], *, batch_size: int = 4096
) -> Tensor:
    """Return the network's output for every row, in order.

    Explained in chapter ``data-preparation``.

    Parameters
    ----------
    model : torch.nn.Module or a method of one
        A module is put in evaluation mode; of a bound method, its module is.
    inputs : sequence of Tensor, each (N, ...)
        What the network reads.
    batch_size : int
        Rows per call.

    Returns
    -------
    Tensor of shape (N, ...)

    Raises
    ------
    ValueError
        When there are no rows, the inputs differ in rows, or a number is not finite.

    Examples
    --------
    >>> import torch
    >>> from torch import nn
    >>> from pm_utils.learning.training import predict
    >>> predict(nn.Linear(3, 2), [torch.ones(5, 3)], batch_size=2).shape
    torch.Size([5, 2])
    >>> predict(torch.add, [torch.tensor([1.0, 2.0]), torch.tensor([10.0, 20.0])]).tolist()
    [11.0, 22.0]
    """
    _check_rows(inputs)
    module = model if isinstance(model, nn.Module) else getattr(model, "__self__", None)
    if isinstance(module, nn.Module):
        module.eval()
    with torch.no_grad():
        chunks = torch.arange(len(inputs[0])).split(batch_size)
        return torch.cat([model(*(part[rows] for part in inputs)) for rows in chunks])


def _reads_batches(model: Callable[..., Tensor]) -> bool:
    """Whether a layer learns from the statistics of its batch."""
    modules = model.modules() if isinstance(model, nn.Module) else ()
    return any(isinstance(module, nn.modules.batchnorm._NormBase) for module in modules)


def _check_rows(
    inputs: Sequence[Tensor], target: Tensor | None = None, *, name: str = "target"
) -> None:
    """Refuse inputs whose rows are not those of the target, or hold a number that is none."""
    first, told = (inputs[0], "inputs[0]") if target is None else (target, f"the {name}")
    if not len(first):
        raise ValueError(f"{told} has no rows: give at least one")
    for position, part in enumerate(inputs):
        if len(part) != len(first):
            raise ValueError(
                f"inputs[{position}] has {len(part)} rows and {told} {len(first)}: "
                "give one row of each per example"
            )
    for part, called in [(one, f"inputs[{k}]") for k, one in enumerate(inputs)] + (
        [] if target is None else [(target, told)]
    ):
        if not part.is_floating_point() or math.isfinite(part.sum().item()):
            continue  # one pass; a sum that is not finite may be of numbers that are
        remedy = "fill or leave out what is not known"
        refuse(~part.isfinite(), f"{called} is not finite", remedy, shown=part)
