r"""Click and conversion on all impressions: the entire space model and a doubly robust one.

Of an impression with features x, o says whether it was clicked and y whether a click was followed
by an order, which is known only where o = 1. All networks return *logits*: of P(click | x), of
P(order | click, x), and, in the doubly robust one, of an imputed P(order | click, x).
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn.functional import logsigmoid, softplus

CLICK, CONVERSION, IMPUTED = range(3)


class EntireSpaceNet(nn.Module):
    """Towers for click and conversion on shared embeddings, each with an output bias of its own.

    Several members, networks that start from other weights, are trained side by side. An attribute
    comes as indicators of its levels, so that a level's vector times the first layer is a row of
    that layer's weights: one product serves all rows, and no vector is looked up.

    Explained in chapter ``funnel``.

    Parameters
    ----------
    levels : sequence of int
        How many levels each attribute has.
    numbers : int
        Numeric features per impression.
    width : int
        Numbers per embedding.
    hidden : int
        Hidden units of each tower.
    rates : sequence of float
        Each tower's share of positives, which its output bias is added to, strictly between 0 and
        1; one tower each.
    members : int

    Raises
    ------
    ValueError
        When a rate is not strictly between 0 and 1.

    References
    ----------
    Ma et al. (2018), Entire space multi-task model.

    Examples
    --------
    >>> import torch
    >>> from pm_utils.measurement.post_click_networks import EntireSpaceNet
    >>> net = EntireSpaceNet([3, 2], numbers=4, rates=(0.02, 0.1), members=5)
    >>> rows = torch.zeros(2, 3 + 2 + 4)  # a batch of two: indicators, then numbers
    >>> rows[[0, 1], [2, 0]] = 1.0  # the third level of the first attribute, and its first level
    >>> net(rows).shape  # each member's logits of P(click) and P(order | click)
    torch.Size([2, 5, 2])
    """

    def __init__(
        self,
        levels: Sequence[int],
        numbers: int,
        *,
        width: int = 4,
        hidden: int = 32,
        rates: Sequence[float] = (0.5, 0.5),
        members: int = 1,
    ) -> None:
        super().__init__()
        if not all(0 < float(rate) < 1 for rate in rates):
            told = [float(rate) for rate in rates]
            raise ValueError(f"rates are {told}: give shares strictly between 0 and 1")
        towers, shared = len(rates), width * len(levels) + numbers
        self.embed = nn.Parameter(torch.randn(members, sum(levels), width))  # a vector per level
        attribute = torch.arange(len(levels)).repeat_interleave(torch.tensor(levels))
        own = attribute[:, None] == torch.arange(len(levels)).repeat_interleave(width)
        self.register_buffer("own", own.float())  # where a level's vector stands among the shared
        self.first = _uniform(members, shared, towers * hidden, fan_in=shared)
        self.first_bias = _uniform(members, 1, towers * hidden, fan_in=shared)
        self.second = _uniform(members, towers * hidden, 1, fan_in=hidden)
        tower = torch.arange(towers).repeat_interleave(hidden)
        self.register_buffer("tower", (tower[:, None] == torch.arange(towers)).float())
        self.second_bias = nn.Parameter(torch.zeros(members, 1, towers))
        # apart from the output bias, so that weight decay pulls to these rates, not to one half
        self.register_buffer("base", torch.logit(torch.tensor(rates, dtype=torch.float32)))

    def forward(self, rows: Tensor) -> Tensor:
        """Indicators and numbers (B, levels + numbers) → logits (B, members, towers)."""
        vectors = self.embed.repeat(1, 1, self.own.shape[1] // self.embed.shape[2]) * self.own
        size = vectors.shape[2]
        weights = torch.cat([vectors @ self.first[:, :size], self.first[:, size:]], 1)
        rows = rows.expand(len(weights), *rows.shape)
        hidden = torch.baddbmm(self.first_bias, rows, weights).relu()  # (members, B, all units)
        logits = torch.baddbmm(self.second_bias + self.base, hidden, self.second * self.tower)
        return logits.transpose(0, 1)


def _uniform(*shape: int, fan_in: int) -> nn.Parameter:
    """Weights as `torch.nn.Linear` draws them."""
    return nn.Parameter((2 * torch.rand(shape) - 1) / fan_in**0.5)


def log_complement(log_p: Tensor) -> Tensor:
    """Return log(1 - p) from log p < 0 without cancellation.

    Examples
    --------
    >>> import torch
    >>> from pm_utils.measurement.post_click_networks import log_complement
    >>> log_complement(torch.log(torch.tensor([0.25, 0.5]))).exp()
    tensor([0.7500, 0.5000])
    """
    log_p = log_p.clamp(max=-1e-7)
    near_one = log_p > -0.6931
    safe = torch.where(near_one, log_p, torch.full_like(log_p, -1.0))
    return torch.where(near_one, torch.log(-torch.expm1(safe)), torch.log1p(-torch.exp(log_p)))


def _cross_entropy(logit: Tensor, hits: Tensor, tries: Tensor) -> Tensor:
    """Return the negative log likelihood of each row's hits among its tries."""
    return tries * softplus(logit) - hits * logit


def _per_impression(total: Tensor, shown: Tensor) -> Tensor:
    """Return the rows' losses, (B,) or of each member (B, members), per impression → scalar."""
    return (total.sum(0) / shown.sum(0)).mean()


def entire_space_loss(logits: Tensor, counts: Tensor) -> Tensor:
    """Return the log loss of clicks plus that of orders, both over all impressions.

    Explained in chapter ``funnel``.

    Parameters
    ----------
    logits : Tensor of shape (B, 2) or (B, members, 2)
    counts : Tensor of shape (B, 3) or (B, 1, 3)
        Impressions that share these features, clicks, and clicks with an order.

    Returns
    -------
    Tensor
        Scalar, nats per impression; of several members, the mean.

    References
    ----------
    Ma et al. (2018), eq. 3.

    Examples
    --------
    With P(click) and P(order | click) of 1/2, an impression without a click also teaches the
    conversion tower: both did not come together, :math:`-\\log(1/2) - \\log(3/4)`.

    >>> import torch
    >>> from pm_utils.measurement.post_click_networks import entire_space_loss
    >>> loss = entire_space_loss(torch.zeros(1, 2), torch.tensor([[1.0, 0.0, 0.0]]))
    >>> round(float(loss), 3)
    0.981
    """
    shown, clicks, orders = counts.unbind(-1)
    log_both = logsigmoid(logits[..., CLICK]) + logsigmoid(logits[..., CONVERSION])
    both = -(orders * log_both + (shown - orders) * log_complement(log_both))
    return _per_impression(_cross_entropy(logits[..., CLICK], clicks, shown) + both, shown)


def click_stage_loss(logits: Tensor, counts: Tensor) -> Tensor:
    """Return the log loss of clicks alone, over all impressions: the first stage of the funnel.

    Examples
    --------
    With P(click) of 1/2 each of four impressions costs :math:`-\\log(1/2)`:

    >>> import torch
    >>> from pm_utils.measurement.post_click_networks import click_stage_loss
    >>> loss = click_stage_loss(torch.zeros(1, 1), torch.tensor([[4.0, 1.0, 0.0]]))
    >>> round(float(loss), 3)
    0.693
    """
    shown, clicks, _ = counts.unbind(-1)
    return _per_impression(_cross_entropy(logits[..., CLICK], clicks, shown), shown)


def clicked_loss(logits: Tensor, counts: Tensor) -> Tensor:
    """Return the log loss of clicks, and that of orders among the clicked: the naive pair.

    Examples
    --------
    An impression without a click says nothing of conversion, and costs :math:`-\\log(1/2)` here:

    >>> import torch
    >>> from pm_utils.measurement.post_click_networks import clicked_loss
    >>> loss = clicked_loss(torch.zeros(1, 2), torch.tensor([[1.0, 0.0, 0.0]]))
    >>> round(float(loss), 3)
    0.693
    """
    shown, clicks, orders = counts.unbind(-1)
    click = _cross_entropy(logits[..., CLICK], clicks, shown)
    return _per_impression(click + _cross_entropy(logits[..., CONVERSION], orders, clicks), shown)


def doubly_robust_loss(logits: Tensor, counts: Tensor, *, floor: float = 0.003) -> Tensor:
    r"""Return the click loss, a doubly robust conversion loss, and that of its imputer.

    With :math:`\hat o` the predicted P(click), detached and at least `floor`, and r the imputed
    P(order | click), detached, the conversion tower p learns over all impressions from

    .. math::
        \frac1n \sum_i \text{CE}(\varphi_i, p_i), \qquad
        \varphi_i = r_i + \frac{o_i}{\hat o_i} (y_i - r_i),

    which is right on average if either :math:`\hat o` or r is. The imputer learns from clicks
    weighted alike. An imputed *loss* that does not depend on p, as of a tower of its own for the
    error, would leave p with the gradient of inverse propensity weighting alone.

    Explained in chapter ``funnel``.

    Parameters
    ----------
    logits : Tensor of shape (B, 3) or (B, members, 3)
    counts : Tensor of shape (B, 3) or (B, 1, 3)
        As in `entire_space_loss`.
    floor : float
        Weights end at its inverse.

    References
    ----------
    Wang et al. (2019), Doubly robust joint learning for recommendation on data missing not at
    random. Wang et al. (2022), ESCM2: entire space counterfactual multi-task model.

    Examples
    --------
    The imputer expects a conversion of 0.88, the conversion tower one of 0.5. An impression that
    was not clicked draws the tower to the imputer:

    >>> import torch
    >>> from pm_utils.measurement.post_click_networks import CONVERSION, doubly_robust_loss
    >>> logits = torch.tensor([[0.0, 0.0, 2.0], [0.0, 0.0, 2.0]], requires_grad=True)
    >>> counts = torch.tensor([[1.0, 1.0, 1.0], [1.0, 0.0, 0.0]])  # clicked and ordered; nothing
    >>> doubly_robust_loss(logits, counts).backward()
    >>> bool(logits.grad[1, CONVERSION] < 0)
    True
    """
    shown, clicks, orders = counts.unbind(-1)
    seen = _cross_entropy(logits[..., CLICK], clicks, shown)
    weight = 1 / torch.sigmoid(logits[..., CLICK].detach()).clamp(min=floor)
    imputed = torch.sigmoid(logits[..., IMPUTED].detach())
    target = shown * imputed + weight * (orders - clicks * imputed)  # the sum of φ
    robust = _cross_entropy(logits[..., CONVERSION], target, shown)
    error = weight * _cross_entropy(logits[..., IMPUTED], orders, clicks)
    scale = clicks.sum() / shown.sum()  # as many as there are answers
    return _per_impression(seen + scale * (robust + error), shown)
