"""Conversion networks: the source's two layers over profile and content, and Deep Crossing."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

EMBED_FROM = 256  # Shan et al. stack narrower features as they are


class ConversionPredictNet(nn.Module):
    """Profile ⊕ content → hidden layer → logit: the source's §4.4, with a linear path beside it.

    Explained in chapter ``conversion``.

    Parameters
    ----------
    profile_dim, content_dim : int
        Numbers that describe the household, and what it is offered.
    hidden_dim : int
    dropout : float
        Share of hidden units dropped while training; of the inputs, three fifths as many.
    linear : bool
        Add a logistic regression of the same inputs to the logit ("wide and deep").

    References
    ----------
    Cheng et al. (2016), Wide & deep learning for recommender systems.

    Examples
    --------
    >>> import torch
    >>> from pm_utils.targeting.redemption.networks import ConversionPredictNet
    >>> net = ConversionPredictNet(profile_dim=3, content_dim=2, hidden_dim=4)
    >>> net(torch.zeros(2, 3), torch.zeros(2, 2)).shape  # logits: take the sigmoid
    torch.Size([2])
    >>> sum(p.numel() for p in net.parameters())  # (5 × 4 + 4) + (4 + 1) + 5 on the linear path
    34
    """

    def __init__(
        self,
        profile_dim: int,
        content_dim: int,
        hidden_dim: int = 64,
        *,
        dropout: float = 0.5,
        linear: bool = True,
    ) -> None:
        super().__init__()
        inputs = profile_dim + content_dim
        self.input_dropout, self.dropout = nn.Dropout(0.6 * dropout), nn.Dropout(dropout)
        self.fc1 = nn.Linear(inputs, hidden_dim)
        self.fc2 = nn.Linear(hidden_dim, 1)
        self.linear = nn.Linear(inputs, 1, bias=False) if linear else None

    def forward(self, profile: Tensor, content: Tensor) -> Tensor:
        """Profile (B, P), content (B, C) → logit of a redemption (B,)."""
        x = self.input_dropout(torch.cat([profile, content], 1))
        logit = self.fc2(self.dropout(torch.relu(self.fc1(x))))
        if self.linear is not None:
            logit = logit + self.linear(x)
        return logit.squeeze(1)


class ResidualUnit(nn.Module):
    """x → ReLU(x + W₁ ReLU(W₀ x + b₀) + b₁): the last ReLU comes after the addition.

    Explained in chapter ``conversion``.

    Parameters
    ----------
    width, hidden : int
        Width of the states, and of the layer within.

    Examples
    --------
    With its outer layer at zero, a unit hands on what is positive.

    >>> import torch
    >>> from pm_utils.targeting.redemption.networks import ResidualUnit
    >>> unit = ResidualUnit(width=3, hidden=2)
    >>> _ = torch.nn.init.zeros_(unit.outer.weight), torch.nn.init.zeros_(unit.outer.bias)
    >>> unit(torch.tensor([[-1.0, 0.0, 2.0]])).detach()
    tensor([[0., 0., 2.]])
    """

    def __init__(self, width: int, hidden: int) -> None:
        super().__init__()
        self.inner, self.outer = nn.Linear(width, hidden), nn.Linear(hidden, width)

    def forward(self, x: Tensor) -> Tensor:
        """States (B, W) → states (B, W)."""
        return torch.relu(x + self.outer(torch.relu(self.inner(x))))


class DeepCrossing(nn.Module):
    """Embed wide features, stack them with the narrow ones, cross them in residual units.

    Explained in chapter ``conversion``.

    Parameters
    ----------
    sizes : sequence of int
        How many numbers each feature has. One of `EMBED_FROM` or more is embedded as
        ReLU(W x + b), a narrower one enters the stack as it is.
    width : int
        Numbers per embedding.
    hidden : int
        Inner width of a residual unit.
    units : int
        Residual units.
    dropout : float
        Share of the stack's numbers dropped while training; the paper had no need of it.

    References
    ----------
    Shan et al. (2016), Deep Crossing: web-scale modeling without manually crafted combinatorial
    features, eqs. 1–3. The paper writes a unit as F(x) + x with F ending before the last ReLU; here
    that ReLU follows the addition.

    Examples
    --------
    The feature of 300 numbers is embedded in 16, that of 4 enters as it is: the stack holds 20.

    >>> import torch
    >>> from pm_utils.targeting.redemption.networks import DeepCrossing
    >>> net = DeepCrossing([300, 4])
    >>> net.score.in_features
    20
    >>> net(torch.zeros(2, 300), torch.zeros(2, 4)).shape
    torch.Size([2])
    """

    def __init__(
        self,
        sizes: Sequence[int],
        *,
        width: int = 16,
        hidden: int = 32,
        units: int = 2,
        dropout: float = 0.3,
    ) -> None:
        super().__init__()
        self.embed = nn.ModuleList(
            nn.Sequential(nn.Linear(n, width), nn.ReLU()) if n >= EMBED_FROM else nn.Identity()
            for n in sizes
        )
        stacked = sum(width if n >= EMBED_FROM else n for n in sizes)
        self.dropout = nn.Dropout(dropout)
        self.units = nn.Sequential(*(ResidualUnit(stacked, hidden) for _ in range(units)))
        self.score = nn.Linear(stacked, 1)

    def forward(self, *features: Tensor) -> Tensor:
        """One (B, n) per feature → logit (B,)."""
        parts = [embed(x) for embed, x in zip(self.embed, features, strict=True)]
        stack = self.dropout(torch.cat(parts, 1))  # (B, S)
        return self.score(self.units(stack)).squeeze(1)
