"""Networks of one kind that learn side by side."""

import torch
from torch import Tensor, nn


class StackedLinear(nn.Module):
    """K linear layers side by side, each with weights of its own.

    Explained in chapter ``creative-optimisation``.

    Parameters
    ----------
    weight : Tensor of shape (K, D, H)
        First weights.
    bias : Tensor of shape (K, 1, H), optional
        By default zeros.

    Examples
    --------
    >>> import torch
    >>> from pm_utils.learning.stacked import StackedLinear
    >>> doubles_and_triples = StackedLinear(torch.tensor([[[2.0]], [[3.0]]]))
    >>> doubles_and_triples(torch.ones(2, 1, 1)).flatten().tolist()
    [2.0, 3.0]
    """

    def __init__(self, weight: Tensor, bias: Tensor | None = None) -> None:
        super().__init__()
        self.weight = nn.Parameter(weight)
        zeros = torch.zeros(len(weight), 1, weight.shape[2])
        self.bias = nn.Parameter(zeros if bias is None else bias)

    def forward(self, x: Tensor) -> Tensor:
        """Inputs (K, B, D), rows for each network → (K, B, H)."""
        return torch.baddbmm(self.bias, x, self.weight)
