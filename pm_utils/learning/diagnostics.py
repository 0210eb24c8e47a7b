"""Whether a network's hidden units bend on the data that it is judged on, or it is a line."""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from pm_utils.learning.training import predict

ALMOST = 0.99  # on or off in as many rows: such a unit is a straight line, or nothing
BENDING = {
    *(torch.relu, torch.relu_, nn.functional.relu, Tensor.relu, Tensor.relu_),
    *(nn.functional.leaky_relu, nn.functional.gelu, nn.functional.silu, nn.functional.elu),
    *(nn.functional.prelu, torch.prelu, nn.functional.softplus, nn.functional.mish),
}


def switching_share(
    model: Callable[..., Tensor], inputs: Sequence[Tensor], *, batch_size: int = 4096
) -> float:
    """Return the share of hidden units that switch between the rows.

    Explained in chapter ``data-preparation``.

    A unit switches when what comes into its activation is above zero in more than 1 % and in less
    than 99 % of the rows. One that is always on passes a straight line through and one that is
    always off nothing: a network of such units is a linear model, whatever it is called. That units
    switch does not show that the network was trained: those of a new one do so too.

    Parameters
    ----------
    model : torch.nn.Module or a function
        Its activations are those of `BENDING`, as modules or as functions. A module is put in
        evaluation mode.
    inputs : sequence of Tensor, each (N, ...)
        What it is judged on.
    batch_size : int
        Rows per call.

    Returns
    -------
    float
        Between 0 and 1, over all units of all activations; a channel of a convolution is a unit.

    Raises
    ------
    ValueError
        When there are no rows, the inputs differ in rows, a number is not finite, or the model
        calls no such activation.

    Examples
    --------
    >>> import torch
    >>> from torch import nn
    >>> from pm_utils.learning.diagnostics import switching_share
    >>> layer, x = nn.Linear(1, 3), torch.linspace(-1, 1, 101)[:, None]
    >>> _ = layer.weight.data.fill_(1.0), layer.bias.data.copy_(torch.tensor([0.0, 5.0, -5.0]))
    >>> round(switching_share(nn.Sequential(layer, nn.ReLU()), [x]), 2)  # one of three
    0.33
    """
    if isinstance(model, nn.Module):
        model.eval()
    counted: list[list[Tensor]] = []

    def counting(*rows: Tensor) -> Tensor:
        with _Count(counted):
            model(*rows)
        return torch.zeros(1)  # what the model says, in whatever shape, is of no interest here

    predict(counting, inputs, batch_size=batch_size)
    if not counted:
        raise ValueError("model calls no activation that bends: there is no unit to look at")
    shares = torch.cat([on / seen for on, seen in counted])
    return float(((shares > 1 - ALMOST) & (shares < ALMOST)).float().mean())


class _Count(TorchFunctionMode):
    """Add up, for each activation in the order of its calls, where its units are on."""

    def __init__(self, counted: list[list[Tensor]]) -> None:
        super().__init__()
        self.counted, self.call, self.inside = counted, 0, False

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        if func in BENDING and not self.inside:
            self._add(args[0])
        outer, self.inside = self.inside, self.inside or func in BENDING
        try:
            return func(*args, **(kwargs or {}))
        finally:
            self.inside = outer

    def _add(self, before: Tensor) -> None:
        units = before.movedim(1, -1) if before.ndim >= 4 else before  # channels of pictures
        on = (units > 0).reshape(-1, units.shape[-1]).double()
        found = [on.sum(0), torch.tensor(float(len(on)))]
        if self.call == len(self.counted):
            self.counted.append(found)
        else:
            self.counted[self.call][0] += found[0]
            self.counted[self.call][1] += found[1]
        self.call += 1
