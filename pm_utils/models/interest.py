"""Interest networks: score a candidate item against what a customer bought before.

Both networks read a candidate and a history of items in which 0 pads. They share one shape: gather
the items that are there, pool them into a vector of interest, and let a head read interest and
candidate. `PooledInterestNet` takes the mean, whatever the candidate; `DeepInterestNet` asks of
each past item how much it matters to this candidate.
"""

import torch
from torch import Tensor, nn


class PooledInterestNet(nn.Module):
    """Items → embeddings → their mean, beside the candidate's → logit: one interest for all.

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
        """Candidate (B,), history (B, T), facts (B, F), events (B, T, G) → logit (B,)."""
        query = self.items(candidate)  # (B, W)
        interest = self.interest(query, *self.gather(history, events))  # (B, W)
        inputs = torch.cat([interest, query, interest * query], 1)
        if facts is None:
            return self.head(inputs).squeeze(1)
        deep = self.head(torch.cat([inputs, facts], 1))
        return (deep + self.wide(facts)).squeeze(1)

    def gather(self, history: Tensor, events: Tensor | None) -> tuple[Tensor, Tensor, Tensor]:
        """History (B, T) → keys (N, W) of the N items that are no pads, their rows and events."""
        slot = history.flatten().nonzero().squeeze(1)
        keys = self.items(history.flatten()[slot])
        row = slot.div(history.shape[1], rounding_mode="floor")
        return keys, row, None if events is None else events.flatten(0, 1)[slot]

    def interest(self, query: Tensor, keys: Tensor, row: Tensor, events: Tensor | None) -> Tensor:
        """Query (B, W), keys (N, W), row (N,), events (N, G) → mean of each row's keys (B, W)."""
        if events is not None:
            keys = keys + self.event(events)
        total = torch.zeros_like(query).index_add(0, row, keys)
        return total / torch.bincount(row, minlength=len(query)).clamp(min=1).unsqueeze(1)


class DeepInterestNet(PooledInterestNet):
    """Weigh each past item by what it says about this candidate (Zhou et al., 2018, eq. 3).

    The activation unit's first layer acts on [q; k; q - k; q ⊙ k]. Its weight W = [W1 W2 W3 W4] is
    applied as (W1 + W3) q + (W2 - W3) k + W4 (q ⊙ k), the first term once per row: half the work.

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

    def weigh(self, query: Tensor, keys: Tensor, row: Tensor, events: Tensor | None) -> Tensor:
        """Query (B, W), keys (N, W), row (N,), events (N, G) → weight of each item (N, 1)."""
        w1, w2, w3, w4 = self.first.weight.chunk(4, 1)  # (A, W) each
        asked = nn.functional.linear(query, w1 + w3, self.first.bias).index_select(0, row)  # (N, A)
        inputs, weight = [keys, query.index_select(0, row) * keys], [w2 - w3, w4]
        if events is not None:
            inputs, weight = [*inputs, events], [*weight, self.event.weight]
        hidden = torch.addmm(asked, torch.cat(inputs, 1), torch.cat(weight, 1).t())  # (N, A)
        score = self.rest(hidden)
        return segment_softmax(score, row, len(query)) if self.softmax else score

    def interest(self, query: Tensor, keys: Tensor, row: Tensor, events: Tensor | None) -> Tensor:
        """Query (B, W), keys (N, W), row (N,), events (N, G) → weighted sum of keys (B, W)."""
        weighted = self.weigh(query, keys, row, events) * keys
        return torch.zeros_like(query).index_add(0, row, weighted)

    def attend(self, candidate: Tensor, history: Tensor, events: Tensor | None = None) -> Tensor:
        """Candidate (B,), history (B, T), events (B, T, G) → weights (B, T), 0 at pads."""
        weight = self.weigh(self.items(candidate), *self.gather(history, events)).squeeze(1)
        return weight.new_zeros(history.shape).masked_scatter(history != 0, weight)


def segment_softmax(score: Tensor, row: Tensor, rows: int) -> Tensor:
    """Scores (N, 1) of the items of each row → weights (N, 1) that sum to 1 in each row.

    Parameters
    ----------
    score : Tensor of shape (N, 1)
    row : Tensor of shape (N,)
        Which row each score belongs to.
    rows : int

    Returns
    -------
    Tensor of shape (N, 1)
    """
    at = row.unsqueeze(1)
    top = score.new_zeros(rows, 1)
    top = top.scatter_reduce(0, at, score.detach(), "amax", include_self=False)
    share = (score - top[row]).exp()
    return share / torch.zeros_like(top).index_add(0, row, share)[row]


class Dice(nn.Module):
    """f(s) = p s + (1 - p) α s with p = σ((s - E[s]) / √(Var[s] + ε)), unit by unit.

    The moments are the mini-batch's while training, running ones afterwards.

    Parameters
    ----------
    units : int

    References
    ----------
    Zhou et al. (2018), section 5.3. Their ε is 1e-8.
    """

    def __init__(self, units: int) -> None:
        super().__init__()
        self.alpha = nn.Parameter(torch.zeros(units))
        self.moments = nn.BatchNorm1d(units, affine=False, eps=1e-8)

    def forward(self, s: Tensor) -> Tensor:
        """S (N, units) → (N, units)."""
        if self.training:
            running = self.moments.running_mean, self.moments.running_var
            return _DiceStep.apply(s, self.alpha, *running)
        p = self.moments(s).sigmoid_()
        room = None if torch.is_grad_enabled() else p  # a derivative will need p
        return torch.addcmul(self.alpha, p, 1 - self.alpha, out=room).mul_(s)


class _DiceStep(torch.autograd.Function):
    """Dice with the mini-batch's moments, and its derivative by hand: a quarter less time."""

    @staticmethod
    def forward(ctx, s, alpha, running_mean, running_var):
        z, mean, scale = torch.native_batch_norm(
            s, None, None, running_mean, running_var, True, 0.1, 1e-8
        )
        p = z.sigmoid_()
        slope = torch.addcmul(alpha, p, 1 - alpha)
        ctx.save_for_backward(s, alpha, mean, scale, p, slope)
        return s * slope

    @staticmethod
    def backward(ctx, gradient):
        s, alpha, mean, scale, p, slope = ctx.saved_tensors
        ones = gradient.new_full((len(s),), 1 / len(s))  # ones @ x is the mean of each column
        bend = gradient * s
        to_alpha = ones @ bend
        bend *= p
        to_alpha -= ones @ bend
        bend.addcmul_(bend, p, value=-1)  # g s p (1 - p), what reaches the standardised s
        centred, reach = s - mean, (1 - alpha) * scale
        tilt = scale * scale * (ones @ (bend * centred))
        to_s = (gradient * slope).addcmul_(bend, reach).addcmul_(centred, -reach * tilt)
        return to_s.sub_(reach * (ones @ bend)), to_alpha * len(s), None, None
