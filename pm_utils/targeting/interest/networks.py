"""Interest networks: score a candidate item against what a customer bought before.

Both networks read a candidate and a history of items in which 0 pads. They share one shape: gather
the items that are there, pool them into a vector of interest, and let a head read interest and
candidate. `PooledInterestNet` takes the mean, whatever the candidate; `DeepInterestNet` asks of
each past item how much it matters to this candidate.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from pm_utils.inputs import whole_numbers


@dataclass(frozen=True)
class ItemRows:
    """Which row of a batch each of N items belongs to, those of one row standing together.

    Attributes
    ----------
    size, start : Tensor of shape (B,)
        How many items each row has, and where they begin.
    row : Tensor of shape (N,)

    Examples
    --------
    Three items: the first two belong to row 0, the last to row 2; row 1 has none.

    >>> import torch
    >>> from pm_utils.targeting.interest.networks import ItemRows
    >>> rows = ItemRows.count(torch.tensor([2, 0, 1]), 3)
    >>> rows.row
    tensor([0, 0, 2])
    >>> rows.total(torch.tensor([[1.0], [10.0], [5.0]])).squeeze(1)
    tensor([11.,  0.,  5.])
    >>> rows.spread(torch.tensor([[7.0], [8.0], [9.0]])).squeeze(1)
    tensor([7., 7., 9.])
    """

    size: Tensor
    start: Tensor
    row: Tensor

    @classmethod
    def count(cls, size: Tensor, items: int) -> "ItemRows":
        """Take the first `size[0]` of so many items for row 0, the next `size[1]` for row 1 ..."""
        return cls(size, size.cumsum(0) - size, torch.repeat_interleave(size, output_size=items))

    def spread(self, values: Tensor) -> Tensor:
        """Values of the rows (B, W) → of their items (N, W)."""
        return _Spread.apply(values, self)

    def total(self, values: Tensor) -> Tensor:
        """Values of the items (N, W) → their sum in each row (B, W), 0 where there are none."""
        return _Total.apply(values, self)


class _Spread(torch.autograd.Function):
    """Rows to items. The derivative is `_Total`, which runs faster than that of an index."""

    @staticmethod
    def forward(ctx, values, rows):
        ctx.rows = rows
        return values.index_select(0, rows.row)

    @staticmethod
    def backward(ctx, gradient):
        return _Total.apply(gradient, ctx.rows), None


class _Total(torch.autograd.Function):
    """Items to rows. The derivative is `_Spread`."""

    @staticmethod
    def forward(ctx, values, rows):
        ctx.rows = rows
        order = torch.arange(len(values))
        return nn.functional.embedding_bag(order, values, rows.start, mode="sum")

    @staticmethod
    def backward(ctx, gradient):
        return _Spread.apply(gradient, ctx.rows), None


class PooledInterestNet(nn.Module):
    """Items → embeddings → their mean, beside the candidate's → logit: one interest for all.

    Explained in chapter ``interest``.

    Parameters
    ----------
    n_items : int
        Items are numbered from 1; 0 pads.
    width : int
        Numbers per item.
    facts : int
        Numbers known about customer and candidate, which the head reads too.
    events : int
        Numbers known about each past item, such as how long ago it was.
    hidden : (int, int)
        Widths of the head's layers.

    References
    ----------
    Covington, Adams & Sargin (2016), Deep neural networks for YouTube recommendations.

    Examples
    --------
    Pads, 0, do not count, wherever they stand; nor does the order of the items.

    >>> import torch
    >>> from pm_utils.targeting.interest.networks import PooledInterestNet
    >>> net = PooledInterestNet(n_items=5)
    >>> candidate, history = torch.tensor([1, 1]), torch.tensor([[2, 3, 0], [0, 3, 2]])
    >>> logit = net(candidate, history)
    >>> logit.shape
    torch.Size([2])
    >>> bool(torch.isclose(logit[0], logit[1]))
    True
    """

    def __init__(
        self,
        n_items: int,
        *,
        width: int = 16,
        facts: int = 0,
        events: int = 0,
        hidden: tuple[int, int] = (256, 128),
    ) -> None:
        super().__init__()
        self.items = nn.Embedding(n_items + 1, width, padding_idx=0)
        self.items.weight.data.mul_(0.6)  # chance likenesses of items shall not drown true ones
        self.event = nn.Linear(events, width) if events else None
        inner = [
            nn.Linear(3 * width + facts, hidden[0]),
            nn.ReLU(inplace=True),
            nn.Linear(*hidden),
            nn.ReLU(inplace=True),
        ]
        self.head = nn.Sequential(*inner, nn.Linear(hidden[1], 1))
        self.wide = nn.Linear(facts, 1, bias=False) if facts else None

    def forward(
        self,
        candidate: Tensor,
        history: Tensor,
        facts: Tensor | None = None,
        events: Tensor | None = None,
    ) -> Tensor:
        """Candidate (B,), history (B, T), facts (B, F), events (B, T, G) → logit (B,).

        A row without a history, or with pads alone, has an interest of 0.

        Raises
        ------
        ValueError
            When a candidate is a pad or no item, or a past item is not one of `n_items`.
        """
        query = self.query(candidate)  # (B, W)
        interest = self.interest(query, *self.gather(history, events))  # (B, W)
        inputs = torch.cat([interest, query, interest * query], 1)
        if facts is None:
            return self.head(inputs).squeeze(1)
        deep = self.head(torch.cat([inputs, facts], 1))
        return (deep + self.wide(facts)).squeeze(1)

    def query(self, candidate: Tensor) -> Tensor:
        """Candidates (B,) → (B, W); pads and items that it does not know are refused."""
        _check_items(candidate, "candidate", 1, self.items.num_embeddings - 1)
        return self.look_up(candidate)

    def look_up(self, items: Tensor) -> Tensor:
        """Items (N,), none of them a pad → (N, W). `self.items` is slower to learn from."""
        return self.items.weight.index_select(0, items)

    def gather(
        self, history: Tensor, events: Tensor | None
    ) -> tuple[Tensor, ItemRows, Tensor | None]:
        """History (B, T) → keys (N, W) of the N items that are no pads, their rows and events."""
        _check_items(history, "history", 0, self.items.num_embeddings - 1)
        real = history != 0
        slot = real.flatten().nonzero().squeeze(1)
        keys = self.look_up(history.flatten().index_select(0, slot).long())
        if events is not None:
            events = events.flatten(0, 1).index_select(0, slot)
        return keys, ItemRows.count(real.sum(1), len(slot)), events

    def interest(
        self, query: Tensor, keys: Tensor, rows: ItemRows, events: Tensor | None
    ) -> Tensor:
        """Query (B, W), keys (N, W), events (N, G) → mean of each row's keys (B, W)."""
        items = rows.size.unsqueeze(1)
        total = rows.total(keys)
        if events is not None:  # the sum of a linear function is that of the sum
            weighed = nn.functional.linear(rows.total(events), self.event.weight)
            total = total + torch.addcmul(weighed, items, self.event.bias)
        return total / items.clamp(min=1)


def _check_items(items: Tensor, name: str, low: int, high: int) -> None:
    """Refuse numbers of items out of range; two numbers are looked at where all is well."""
    if items.numel():
        least, most = (end.item() for end in items.aminmax())
        if least < low or most > high:
            whole_numbers(items, name, low=low, high=high)


class DeepInterestNet(PooledInterestNet):
    """Weigh each past item by what it says about this candidate (Zhou et al., 2018, eq. 3).

    The activation unit's first layer acts on [q; k; q - k; q ⊙ k]. Its weight W = [W1 W2 W3 W4] is
    applied as (W1 + W3) q + (W2 - W3) k + W4 (q ⊙ k), the first term once per row: half the work.

    Explained in chapter ``interest``.

    Parameters
    ----------
    n_items : int
    attention : (int, int)
        Widths of the activation unit's layers.
    softmax : bool
        Make the weights of each history sum to 1. The paper does not: their sum tells how strong
        the interest is.
    **sizes
        As in `PooledInterestNet`.

    References
    ----------
    Zhou et al. (2018), Deep interest network for click-through rate prediction.

    Examples
    --------
    `attend` gives a weight for each past item, 0 at pads. Weights may be negative, and sum to
    anything, unless `softmax` is set.

    >>> import torch
    >>> from pm_utils.targeting.interest.networks import DeepInterestNet
    >>> net = DeepInterestNet(n_items=5, softmax=True).eval()
    >>> candidate, history = torch.tensor([1, 4]), torch.tensor([[1, 2, 3], [5, 0, 0]])
    >>> net(candidate, history).shape
    torch.Size([2])
    >>> net.attend(candidate, history).sum(1).detach().round(decimals=3)
    tensor([1., 1.])
    >>> net.attend(candidate, history)[1].detach().round(decimals=3)  # one real item
    tensor([1., 0., 0.])
    """

    def __init__(
        self,
        n_items: int,
        *,
        attention: tuple[int, int] = (64, 16),
        softmax: bool = False,
        **sizes: int | tuple[int, int],
    ) -> None:
        super().__init__(n_items, **sizes)
        self.first = nn.Linear(4 * self.items.embedding_dim, attention[0])
        self.rest = nn.Sequential(
            Dice(attention[0]),
            nn.Linear(*attention),
            Dice(attention[1]),
            nn.Linear(attention[1], 1),
        )
        if self.event is not None:  # when and how often: one more input of the activation unit
            self.event = nn.Linear(self.event.in_features, attention[0], bias=False)
        self.softmax = softmax

    def weigh(self, query: Tensor, keys: Tensor, rows: ItemRows, events: Tensor | None) -> Tensor:
        """Query (B, W), keys (N, W), events (N, G) → weight of each item (N, 1)."""
        w1, w2, w3, w4 = self.first.weight.chunk(4, 1)  # (A, W) each
        from_query = nn.functional.linear(query, w1 + w3, self.first.bias)  # (B, A), once per row
        inputs, weight = [keys, rows.spread(query) * keys], [w2 - w3, w4]
        if events is not None:
            inputs, weight = [*inputs, events], [*weight, self.event.weight]
        inputs, weight = torch.cat(inputs, 1), torch.cat(weight, 1).t()
        if self.training and len(keys) > 1:  # the same, but its derivative is written by hand
            score = _Unit.apply(
                from_query, rows, inputs, weight, self.rest, *self.rest.parameters()
            )
        else:
            score = self.rest(rows.spread(from_query).addmm_(inputs, weight))  # (N, 1)
        return segment_softmax(score, rows) if self.softmax else score

    def interest(
        self, query: Tensor, keys: Tensor, rows: ItemRows, events: Tensor | None
    ) -> Tensor:
        """Query (B, W), keys (N, W), events (N, G) → weighted sum of each row's keys (B, W)."""
        return rows.total(self.weigh(query, keys, rows, events) * keys)

    def attend(self, candidate: Tensor, history: Tensor, events: Tensor | None = None) -> Tensor:
        """Candidate (B,), history (B, T), events (B, T, G) → weights (B, T), 0 at pads."""
        weight = self.weigh(self.query(candidate), *self.gather(history, events)).squeeze(1)
        return weight.new_zeros(history.shape).masked_scatter(history != 0, weight)


def segment_softmax(score: Tensor, rows: ItemRows) -> Tensor:
    """Scores (N, 1) of the items of each row → weights (N, 1) that sum to 1 in each row.

    Parameters
    ----------
    score : Tensor of shape (N, 1)
    rows : ItemRows

    Returns
    -------
    Tensor of shape (N, 1)

    Examples
    --------
    >>> import torch
    >>> from pm_utils.targeting.interest.networks import ItemRows, segment_softmax
    >>> rows = ItemRows.count(torch.tensor([2, 1]), 3)
    >>> segment_softmax(torch.tensor([[0.0], [0.0], [9.0]]), rows).squeeze(1)
    tensor([0.5000, 0.5000, 1.0000])
    """
    at = rows.row.unsqueeze(1)
    top = score.new_zeros(len(rows.size), 1)
    top = top.scatter_reduce(0, at, score.detach(), "amax", include_self=False)
    share = (score - rows.spread(top)).exp()
    return share / rows.spread(rows.total(share))


class Dice(nn.Module):
    """f(s) = p s + (1 - p) α s with p = σ((s - E[s]) / √(Var[s] + ε)), unit by unit.

    The moments are the mini-batch's while training, running ones afterwards. A mini-batch of one
    row has no variance: it is scored by the running moments and leaves them as they are.

    Explained in chapter ``interest``.

    Parameters
    ----------
    units : int

    References
    ----------
    Zhou et al. (2018), section 5.3. Their ε is 1e-8.

    Examples
    --------
    A new unit has α = 0 and running moments 0 and 1: f(s) = s σ(s), a soft ReLU.

    >>> import torch
    >>> from pm_utils.targeting.interest.networks import Dice
    >>> Dice(1).eval()(torch.tensor([[-1.0], [0.0], [1.0]])).detach().squeeze(1).round(decimals=2)
    tensor([-0.2700,  0.0000,  0.7300])
    """

    def __init__(self, units: int) -> None:
        super().__init__()
        self.alpha = nn.Parameter(torch.zeros(units))
        self.moments = nn.BatchNorm1d(units, affine=False, eps=1e-8)

    def forward(self, s: Tensor) -> Tensor:
        """S (N, units) → (N, units)."""
        if self.training and len(s) > 1:
            z = self.moments(s)
        else:  # the same with running moments, several times as fast
            scale = (self.moments.running_var + self.moments.eps).rsqrt()
            z = torch.addcmul(-self.moments.running_mean * scale, s, scale)
        p = z.sigmoid_()
        out = None if torch.is_grad_enabled() else p  # a derivative will need p
        return torch.addcmul(self.alpha, p, 1 - self.alpha, out=out).mul_(s)


class _Unit(torch.autograd.Function):
    """The activation unit while it trains. One node instead of many, in few passes over memory.

    Its derivative works in place, on what the forward pass kept: it can be taken once.
    """

    @staticmethod
    def forward(ctx, from_query, rows, inputs, weight, rest, alpha1, w2, b2, alpha2, w3, b3):
        ctx.rows, weight = rows, weight.contiguous()
        hidden = from_query.index_select(0, rows.row).addmm_(inputs, weight)  # (N, A)
        first, *kept1 = _dice(hidden, alpha1, rest[0].moments)
        second, *kept2 = _dice(torch.addmm(b2, first, w2.t()), alpha2, rest[2].moments)
        ctx.save_for_backward(inputs, weight, w2, w3, first, second, *kept1, *kept2)
        return torch.addmm(b3, second, w3.t())

    @staticmethod
    @once_differentiable
    def backward(ctx, gradient):
        inputs, weight, w2, w3, first, second, *kept = ctx.saved_tensors
        grad_w3, grad_b3 = gradient.t() @ second, gradient.sum(0)
        grad = gradient @ w3  # (N, A2)
        grad_alpha2 = _dice_derivative(grad, second, *kept[5:])
        grad_w2, grad_b2 = grad.t() @ first, grad.sum(0)
        grad = grad @ w2  # (N, A)
        grad_alpha1 = _dice_derivative(grad, first, *kept[:5])
        grad_from_query = _Total.apply(grad, ctx.rows)
        grad_first = grad_from_query, None, grad @ weight.t(), inputs.t() @ grad, None
        return *grad_first, grad_alpha1, grad_w2, grad_b2, grad_alpha2, grad_w3, grad_b3


def _dice(s, alpha, moments):
    """Dice with the mini-batch's moments, beside what its derivative needs."""
    running = moments.running_mean, moments.running_var, True, moments.momentum, moments.eps
    z, mean, scale = torch.native_batch_norm(s, None, None, *running)
    p = z.sigmoid_()
    return torch.addcmul(alpha, p, 1 - alpha).mul_(s), s, alpha, mean, scale, p


def _dice_derivative(grad, scratch, s, alpha, mean, scale, p):
    """Turn the gradient of Dice's output into that of s, in place → the gradient of α.

    With g the gradient of the output: the moments depend on s too, so the gradient of
    z = (s - mean) · scale loses its mean and its part along z. `scratch` and `p` are overwritten.
    """
    torch.mul(grad, s, out=scratch)
    grad_alpha = scratch.addcmul_(scratch, p, value=-1).sum(0)  # g s (1 - p)
    scratch *= p  # g s (1 - p) p, which times 1 - α reaches z
    grad *= torch.addcmul(alpha, p, 1 - alpha, out=p)
    turn, total = (1 - alpha) * scale, scratch.sum(0) / len(s)
    tilt = turn * scale**2 * (torch.mul(scratch, s, out=p).sum(0) / len(s) - mean * total)
    grad.addcmul_(scratch, turn).addcmul_(s, -tilt).add_(mean * tilt - turn * total)
    return grad_alpha
