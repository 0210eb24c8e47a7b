"""Networks of one kind, each from a seed of its own, that learn side by side."""

from collections.abc import Iterable

from torch import Tensor, nn
from torch.func import functional_call, stack_module_state, vmap


class Members(nn.Module):
    """Networks of one kind that learn side by side: each weight stacked, one call for all.

    Parameters
    ----------
    nets : list of K torch.nn.Module
        Of one architecture, each (B, F) → (B,); `write_back` gives them what was learned.

    Examples
    --------
    >>> import torch
    >>> from torch import nn
    >>> from pm_utils.learning.members import Members
    >>> members = Members([nn.Sequential(nn.Linear(4, 1), nn.Flatten(0)) for _ in range(3)])
    >>> members(torch.ones(2, 3, 4)).shape  # two rows for each of three networks that read 4 inputs
    torch.Size([2, 3])
    >>> [len(part) for part in members.weights]
    [3, 3]
    """

    def __init__(self, nets: list[nn.Module]) -> None:
        super().__init__()
        self.nets = tuple(nets)  # a tuple: their own weights are not trained
        self.names = [name for name, _ in nets[0].named_parameters()]
        stacked, _ = stack_module_state(nets)
        self.weights = nn.ParameterList([stacked[name].detach() for name in self.names])  # (K, ...)

    def named_weights(self) -> Iterable[tuple[str, Tensor]]:
        """Return each layer's name with the stacked weights."""
        return zip(self.names, self.weights, strict=True)

    def forward(self, *inputs: Tensor) -> Tensor:
        """Inputs (B, K, F), rows for each network → logits (B, K); each drops units of its own."""
        net = self.nets[0].train(self.training)

        def one(weights: list[Tensor], *rows: Tensor) -> Tensor:
            return functional_call(net, dict(zip(self.names, weights, strict=True)), rows)

        dims = (0, *(1 for _ in inputs))
        return vmap(one, dims, 1, randomness="different")(list(self.weights), *inputs)

    def write_back(self) -> list[nn.Module]:
        """Copy the weights to the networks and return these, in evaluation mode."""
        for k, net in enumerate(self.nets):
            net.load_state_dict({name: weight[k].detach() for name, weight in self.named_weights()})
            net.eval()
        return list(self.nets)
