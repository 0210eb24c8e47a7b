"""Lifetime value: a network for a customer's probability to spend at all, and how much if so."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn.functional import softplus
from torch.special import ndtr

from pm_utils.inputs import refuse
from pm_utils.learning.stacked import StackedLinear

SIGMA = (0.05, 2.0)  # exp(σ²/2) explodes above; below, one surprising customer rules the loss


class LifetimeValueNet(nn.Module):
    """Profile ⊕ features → the three numbers of a zero-inflated log-normal.

    A hidden layer and a linear path beside it ("wide and deep") share the three outputs.

    Explained in chapter ``lifetime-value``.

    Parameters
    ----------
    profile_dim, feature_dim : int
        Numbers of the learned profile (may be 0), and of the features.
    hidden_dim : int
    dropout : float
        Share of hidden units dropped while training.

    References
    ----------
    Wang, Liu & Miao (2019), A deep probabilistic model for customer lifetime value prediction.

    Examples
    --------
    Two customers, with a profile of two numbers and three features each. Before training, the
    biases are set to what fits all customers alike: half of these spend.

    >>> import torch
    >>> from pm_utils.lifetime.networks import LifetimeValueNet
    >>> net = LifetimeValueNet(profile_dim=2, feature_dim=3)
    >>> net(torch.zeros(2, 2), torch.zeros(2, 3)).shape
    torch.Size([2, 3])
    >>> net.initialise_biases(torch.tensor([0.0, 10.0, 0.0, 1000.0]))
    >>> logit, mu, _ = net.deep.bias.tolist()
    >>> round(logit, 3), round(mu, 3)  # log 1, log 100
    (0.0, 4.605)
    """

    def __init__(
        self, profile_dim: int, feature_dim: int, hidden_dim: int = 32, *, dropout: float = 0.2
    ) -> None:
        super().__init__()
        inputs = profile_dim + feature_dim
        self.hidden = nn.Sequential(nn.Linear(inputs, hidden_dim), nn.ReLU(), nn.Dropout(dropout))
        self.deep = nn.Linear(hidden_dim, 3)
        self.wide = nn.Linear(inputs, 3, bias=False)
        nn.init.zeros_(self.wide.weight)

    def forward(self, profile: Tensor, features: Tensor) -> Tensor:
        """Profile (B, P), features (B, F) → logit of spending, μ and raw σ (B, 3)."""
        x = torch.cat([profile, features], 1)
        return self.deep(self.hidden(x)) + self.wide(x)

    @torch.no_grad()
    def initialise_biases(self, value: Tensor) -> None:
        """Set the biases to what fits all customers alike; value (N,) in dollars, some above 0.

        A single customer above 0 shows no spread, so σ starts at 1.

        Raises
        ------
        ValueError
            When a value is below 0 or not finite, or none is above 0.
        """
        _check_value(value)
        if not (value > 0).any():
            raise ValueError(f"none of {len(value):,} customers spent: nothing to learn from")
        log = value[value > 0].log()
        share = (value > 0).double().mean().clamp(0.01, 0.99)
        spread = float(log.std().clamp(*SIGMA)) if len(log) > 1 else 1.0
        raw = math.log(math.expm1(spread))
        self.deep.bias.copy_(torch.tensor([float(share.logit()), float(log.mean()), raw]))


class SideBySide(nn.Module):
    """Several networks of one shape that read the same rows, as one that is faster to train.

    Parameters
    ----------
    nets : sequence of LifetimeValueNet
        Whose weights it starts from.

    Examples
    --------
    >>> import torch
    >>> from pm_utils.lifetime.networks import LifetimeValueNet, SideBySide
    >>> nets = [LifetimeValueNet(profile_dim=2, feature_dim=3).eval() for _ in range(4)]
    >>> rows = torch.ones(5, 2), torch.ones(5, 3)
    >>> output = SideBySide(nets)(*rows)
    >>> output.shape
    torch.Size([5, 4, 3])
    >>> torch.allclose(output[:, 1], nets[1](*rows), atol=1e-6)
    True
    """

    def __init__(self, nets: Sequence[LifetimeValueNet]) -> None:
        super().__init__()
        inner, self.shape = [net.hidden[0] for net in nets], (len(nets), nets[0].deep.in_features)
        self.inner = nn.Linear(inner[0].in_features, len(nets) * self.shape[1])
        self.wide = nn.Linear(inner[0].in_features, 3 * len(nets), bias=False)
        with torch.no_grad():
            self.inner.weight.copy_(torch.cat([layer.weight for layer in inner]))
            self.inner.bias.copy_(torch.cat([layer.bias for layer in inner]))
            self.wide.weight.copy_(torch.cat([net.wide.weight for net in nets]))
            deep = torch.stack([net.deep.weight.T for net in nets])
            self.deep = StackedLinear(deep, torch.stack([net.deep.bias[None] for net in nets]))
        self.dropout = nets[0].hidden[2]
        self.train(nets[0].training)

    def forward(self, profile: Tensor, features: Tensor) -> Tensor:
        """Profile (B, P), features (B, F) → what each network puts out (B, K, 3)."""
        x = torch.cat([profile, features], 1)
        hidden = self.dropout(self.inner(x).relu()).unflatten(1, self.shape)
        deep = self.deep(hidden.transpose(0, 1)).transpose(0, 1)
        return deep + self.wide(x).unflatten(1, (-1, 3))

    @torch.no_grad()
    def copy_to(self, nets: Sequence[LifetimeValueNet]) -> None:
        """Give each network its weights."""
        inner = zip(
            self.inner.weight.chunk(len(nets)), self.inner.bias.chunk(len(nets)), strict=True
        )
        rest = zip(self.deep.weight, self.deep.bias, self.wide.weight.chunk(len(nets)), strict=True)
        for net, (weight, bias), (deep, deep_bias, wide) in zip(nets, inner, rest, strict=True):
            net.hidden[0].weight.copy_(weight)
            net.hidden[0].bias.copy_(bias)
            net.deep.weight.copy_(deep.T)
            net.deep.bias.copy_(deep_bias[0])
            net.wide.weight.copy_(wide)


def _check_value(value: Tensor) -> None:
    wrong = ~((value >= 0) & value.isfinite())
    refuse(wrong, "value is below 0 or not finite", "give dollars of at least 0", shown=value)


def _sigma(raw: Tensor) -> Tensor:
    return softplus(raw).clamp(*SIGMA)


def ziln_loss(output: Tensor, value: Tensor) -> Tensor:
    r"""Return the mean negative log likelihood of a zero-inflated log-normal.

    .. math::
        -\log(1 - p) \;\text{ if } y = 0, \qquad
        -\log p + \log(y \sigma \sqrt{2 \pi}) + \frac{(\log y - \mu)^2}{2 \sigma^2}
        \;\text{ otherwise.}

    Explained in chapter ``lifetime-value``.

    Parameters
    ----------
    output : Tensor of shape (B, 3)
        Logit of p, μ, and σ before softplus and clamp to `SIGMA`.
    value : Tensor of shape (B,)
        y, dollars, at least 0.

    Returns
    -------
    Tensor, a scalar in nats

    Raises
    ------
    ValueError
        When a value is below 0 or not finite.

    References
    ----------
    Wang, Liu & Miao (2019), A deep probabilistic model for customer lifetime value prediction.

    Examples
    --------
    Who is thought to spend with p = 1 / 2 and does not costs log 2, whatever μ and σ.

    >>> import torch
    >>> from pm_utils.lifetime.networks import ziln_loss
    >>> output = torch.tensor([[0.0, 5.0, 1.0]])
    >>> round(ziln_loss(output, torch.tensor([0.0])).item(), 3)
    0.693
    """
    _check_value(value)
    logit, mu, raw = output.unbind(1)
    spent = value > 0
    sign = spent.to(output.dtype) * 2 - 1
    zero_or_not = softplus(-sign * logit)
    sigma, log = _sigma(raw), torch.where(spent, value, 1.0).log()
    amount = log + sigma.log() + 0.5 * math.log(2 * math.pi) + (log - mu) ** 2 / (2 * sigma**2)
    return (zero_or_not + torch.where(spent, amount, 0.0)).mean()


def ziln_below(output: Tensor, value: Tensor) -> tuple[Tensor, Tensor]:
    """Return the probabilities of less than each value, and of that or less.

    They differ at 0 only, where the distribution has an atom.

    Parameters
    ----------
    output : Tensor of shape (B, 3)
        As in `ziln_loss`.
    value : Tensor of shape (B,)
        Dollars, at least 0.

    Returns
    -------
    less, at_most : Tensors of shape (B,)

    Raises
    ------
    ValueError
        When a value is below 0 or not finite.

    Examples
    --------
    Half spend nothing; of the others, half spend less than exp(μ) = 10 dollars.

    >>> import math
    >>> import torch
    >>> from pm_utils.lifetime.networks import ziln_below
    >>> output = torch.tensor([[0.0, math.log(10), 1.0]]).expand(2, 3)
    >>> less, at_most = ziln_below(output, torch.tensor([0.0, 10.0]))
    >>> less.tolist(), at_most.tolist()
    ([0.0, 0.75], [0.5, 0.75])
    """
    _check_value(value)
    logit, mu, raw = output.unbind(1)
    spends, spent = logit.sigmoid(), value > 0
    log = torch.where(spent, value, 1.0).log()
    at_most = 1 - spends + torch.where(spent, spends * ndtr((log - mu) / _sigma(raw)), 0.0)
    return torch.where(spent, at_most, 0.0), at_most


def ziln_mean(output: Tensor) -> Tensor:
    """Return the expected dollars, p exp(μ + σ²/2), from the three numbers (B, 3) → (B,).

    Explained in chapter ``lifetime-value``.

    Examples
    --------
    With p = 1 / 2, μ = log 10 and σ = 1: more than half of exp(μ) = 10 dollars, since the tail is
    long.

    >>> import math
    >>> import torch
    >>> from pm_utils.lifetime.networks import ziln_mean
    >>> raw = math.log(math.e - 1)  # softplus makes it 1
    >>> round(ziln_mean(torch.tensor([[0.0, math.log(10), raw]])).item(), 2)
    8.24
    """
    logit, mu, raw = output.unbind(1)
    return logit.sigmoid() * (mu + _sigma(raw) ** 2 / 2).exp()
