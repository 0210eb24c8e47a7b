"""DeepQPolicy: the value of every action by a network, many networks trained side by side."""

import math

import torch
from torch import Tensor, nn

from pm_utils.decisions.planning import IMPOSSIBLE
from pm_utils.inputs import booleans
from pm_utils.learning.stacked import StackedLinear


class DeepQPolicy(nn.Module):
    """Value what can be done in a state (Mnih et al., 2015), for S networks at once.

    Each of the S members has weights of its own. One product of stacked matrices serves all, so
    that ten seeds cost little more time than one.

    Explained in chapter ``budget-policy``.

    Parameters
    ----------
    n_inputs, n_actions : int
        D and A.
    width : int
        Units of each of the two hidden layers.
    members : int
        S.
    forecast : bool
        Whether the last A inputs are a forecast of what each action brings at once. The network
        then adds to it what follows later, which is all that it has to learn.
    seed : int
        Of the first weights.

    Examples
    --------
    >>> import torch
    >>> from pm_utils.decisions.networks import DeepQPolicy
    >>> policy = DeepQPolicy(n_inputs=4, n_actions=3, members=2)
    >>> observation = torch.zeros(2, 5, 4)  # five for each of two members
    >>> policy(observation).shape
    torch.Size([2, 5, 3])
    >>> policy.member(0)(observation[:1]).shape
    torch.Size([1, 5, 3])
    """

    def __init__(
        self,
        n_inputs: int,
        n_actions: int,
        *,
        width: int = 48,
        members: int = 1,
        forecast: bool = False,
        seed: int = 0,
    ) -> None:
        super().__init__()
        self.n_actions, self.forecast, self.members = n_actions, forecast, members
        generator = torch.Generator().manual_seed(seed)
        sizes = [n_inputs, width, width, n_actions]
        self.layers = nn.ModuleList()
        for fan_in, fan_out in zip(sizes, sizes[1:], strict=False):
            bound = 1 / math.sqrt(fan_in)
            drawn = torch.rand(members, fan_in, fan_out, generator=generator) * 2 - 1
            self.layers.append(StackedLinear(drawn * bound))

    def forward(self, observation: Tensor) -> Tensor:
        """Observation (S, B, D) → values (S, B, A)."""
        *inner, last = self.layers
        hidden = observation
        for layer in inner:
            hidden = layer(hidden).relu_()  # (S, B, W), in place: half the memory
        values = last(hidden)
        return values + observation[..., -self.n_actions :] if self.forecast else values

    def member(self, number: int) -> "DeepQPolicy":
        """Return one of the members by itself; it shares its weights with the whole."""
        return self.take(slice(number, number + 1))

    def take(self, numbers: slice | Tensor) -> "DeepQPolicy":
        """Return some members, one as often as it is named."""
        n_inputs, width = self.layers[0].weight.shape[1:]
        some = DeepQPolicy(n_inputs, self.n_actions, width=width, forecast=self.forecast)
        for own, many in zip(some.parameters(), self.parameters(), strict=True):
            own.data = many.data[numbers]
        some.members = len(some.layers[0].weight)
        return some

    @torch.no_grad()
    def act(self, observation: Tensor, action_mask: Tensor) -> Tensor:
        """Observation (S, B, D), action mask (S, B, A) bool → best possible actions (S, B)."""
        return best_action(self(observation), action_mask)


def best_action(values: Tensor, action_mask: Tensor) -> Tensor:
    """Return the action of highest value among the possible: (..., A), (..., A) → (...).

    Of equal values the first action counts as the best.

    Raises
    ------
    ValueError
        When the mask is neither 0 nor 1.

    Examples
    --------
    >>> import torch
    >>> from pm_utils.decisions.networks import best_action
    >>> values = torch.tensor([[1.0, 3.0, 2.0], [0.0, 0.0, -1.0]])
    >>> best_action(values, torch.tensor([[True, False, True], [True, True, True]]))
    tensor([2, 0])
    """
    return values.masked_fill(~truths(action_mask, "action_mask"), IMPOSSIBLE).argmax(-1)


def truths(values: Tensor, name: str) -> Tensor:
    """Return a tensor of 0 and 1 as booleans, or refuse it; one of booleans is returned as it is.

    Raises
    ------
    ValueError
        When a value is neither 0 nor 1.

    Examples
    --------
    >>> import torch
    >>> from pm_utils.decisions.networks import truths
    >>> truths(torch.tensor([0.0, 1.0]), "terminated")
    tensor([False,  True])
    """
    if values.dtype == torch.bool:
        return values
    return torch.from_numpy(booleans(values, name)).to(values.device)


def double_q_target(
    reward: Tensor,
    terminated: Tensor,
    next_online: Tensor,
    next_target: Tensor,
    action_mask: Tensor,
    *,
    discount_factor: float = 1.0,
) -> Tensor:
    r"""Return what a value should have been: :math:`r + \gamma \bar Q(s', \arg\max_a Q(s', a))`.

    The network that is learning picks the next action, its older copy values it. Nothing follows
    an end (`terminated`). A cut (*truncated*) is no end, so it does not appear here: the
    observation after it counts as any other.

    Explained in chapter ``budget-policy``.

    Parameters
    ----------
    reward : Tensor of shape (...)
    terminated : bool Tensor of shape (...)
    next_online, next_target : Tensors of shape (..., A)
        Values of the next observation by the learning network and by its older copy, the target
        network.
    action_mask : bool Tensor of shape (..., A)
        What can be done there.
    discount_factor : float

    Raises
    ------
    ValueError
        When `terminated` or the mask is neither 0 nor 1.

    References
    ----------
    van Hasselt, Guez and Silver (2016), Deep reinforcement learning with double Q-learning. AAAI.

    Examples
    --------
    The learning network would take the second action next, the older copy says that it brings 3;
    nothing follows in the second row, which is an end.

    >>> import torch
    >>> from pm_utils.decisions.networks import double_q_target
    >>> ends, every = torch.tensor([False, True]), torch.ones(2, 2, dtype=torch.bool)
    >>> online, target = torch.tensor([[0.0, 2.0]] * 2), torch.tensor([[5.0, 3.0]] * 2)
    >>> double_q_target(torch.ones(2), ends, online, target, every)
    tensor([4., 1.])
    """
    chosen = best_action(next_online, action_mask).unsqueeze(-1)
    follows = next_target.gather(-1, chosen).squeeze(-1)
    return reward + discount_factor * follows * ~truths(terminated, "terminated")


def conservative_penalty(values: Tensor, action: Tensor, action_mask: Tensor) -> Tensor:
    r"""Return :math:`\log \sum_a e^{Q(s, a)} - Q(s, a_\text{log})` → (...).

    It pulls down what the log never tried and holds up what it did.

    Parameters
    ----------
    values : Tensor of shape (..., A)
    action : integer Tensor of shape (...)
        What the log did.
    action_mask : bool Tensor of shape (..., A)

    References
    ----------
    Kumar, Zhou, Tucker and Levine (2020), Conservative Q-learning for offline RL. NeurIPS.

    Examples
    --------
    Two actions of equal value cost log 2; where only one is possible, nothing is pulled down.

    >>> import torch
    >>> from pm_utils.decisions.networks import conservative_penalty
    >>> mask = torch.tensor([[True, True], [True, False]])
    >>> conservative_penalty(torch.zeros(2, 2), torch.tensor([0, 0]), mask)
    tensor([0.6931, 0.0000])
    """
    action_mask = truths(action_mask, "action_mask")
    total = values.masked_fill(~action_mask, IMPOSSIBLE).logsumexp(-1)
    return total - values.gather(-1, action.unsqueeze(-1)).squeeze(-1)
