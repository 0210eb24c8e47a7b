r"""Q-learning on campaigns: what the network sees, the replay of what happened, and the loop.

Transitions are (observation, action, reward, terminated, next observation); several networks, the
*members*, learn side by side, each from its own experience, so arrays begin with (S, ...).

Two *views* say what of a state a network observes.

- `JointView`, the small world: one network chooses for all n customers of a campaign at once. It
  sees week, budget left, every fatigue, and who is there; actions are the :math:`(M+1)^n` joint
  ones, and those that cost more than what is left are masked.
- `PricedView`, the large world: one network, shared by all customers, sees one at a time: week,
  fatigue, what each ad is worth, what ads do to organic orders, and the *price* of a flight, which
  stands for the budget. Rewards and values are in units of the best ad's profit plus what a flight
  costs, price included, so that small and large customers look alike to it.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from pm_utils.decisions.budget_env import BudgetCampaign, Episodes, Forecast, State
from pm_utils.decisions.networks import (
    DeepQPolicy,
    conservative_penalty,
    double_q_target,
    truths,
)
from pm_utils.decisions.planning import FlightPolicy, pace
from pm_utils.inputs import booleans, numbered, numbers, whole_numbers
from pm_utils.market import Market


class JointView:
    """What one network sees that chooses for all customers of a campaign; see the module.

    Parameters
    ----------
    forecast : Forecast
        Of the customers, campaign after campaign.
    campaign : BudgetCampaign
    customers : int, optional
        n, of each campaign; by default there is one campaign, of all.

    Examples
    --------
    >>> import numpy as np
    >>> from pm_utils.decisions.budget_env import BudgetCampaign, Episodes, Forecast
    >>> from pm_utils.decisions.q_learning import JointView
    >>> from pm_utils.market import TruthParameters
    >>> truth = TruthParameters()
    >>> forecast = Forecast(
    ...     conversions=np.array([[0.1], [0.2]]), discount=np.zeros(1),
    ...     order_value=np.full(2, 10.0), order_rate=np.zeros(2), annoyance=np.zeros(2),
    ...     leaving=np.full(2, 1e-9), truth=truth, impressions=1,
    ... )
    >>> campaign = BudgetCampaign(weeks=8, impressions=1, flights=5)
    >>> observer = JointView(forecast, campaign)
    >>> observer.actions.tolist()  # an ad or none for each of two customers
    [[0, 0], [0, 1], [1, 0], [1, 1]]
    >>> observer.observation(Episodes(forecast, campaign).start()).shape  # 7 + 5 + 2 + 2
    (1, 16)
    """

    def __init__(
        self, forecast: Forecast, campaign: BudgetCampaign, customers: int | None = None
    ) -> None:
        n, choices = customers or len(forecast), forecast.conversions.shape[1] + 1
        self.campaign, self.n_inputs = campaign, campaign.weeks - 1 + campaign.flights + 2 * n
        self.actions = np.stack(np.unravel_index(np.arange(choices**n), (choices,) * n), axis=1)
        self.flights = (self.actions > 0).sum(1)
        worth = forecast.ad_profit(np.zeros(len(forecast)))
        self.unit = worth.reshape(-1, n * worth.shape[1]).max(1)  # dollars, (E,)

    def observation(self, state: State) -> np.ndarray:
        """Return the network's inputs → (E, D)."""
        left = state.flights_left[:, None] > np.arange(self.campaign.flights)
        week = np.tile(state.week > np.arange(self.campaign.weeks - 1), (len(left), 1))
        each = [state.fatigue / self.campaign.impressions, state.alive]
        return np.concatenate([week, left, *each], axis=1).astype(np.float32)

    def action_mask(self, state: State) -> np.ndarray:
        """Return which joint actions are paid for and reach somebody → (E, A)."""
        reached = ((self.actions == 0) | state.alive[:, None, :]).all(-1)
        return reached & (self.flights <= state.flights_left[:, None])

    def customer_actions(self, action: np.ndarray) -> np.ndarray:
        """Turn joint actions (E,) into one for each customer (E, n)."""
        return self.actions[action]

    def reward(self, reward: np.ndarray, action: np.ndarray) -> np.ndarray:
        """Return dollars of each customer (E, n) as one number in the network's unit → (E,)."""
        return reward.sum(1) / self.unit


class PricedView:
    """What one network sees that all customers share; see the module.

    Explained in chapter ``budget-policy``.

    Parameters
    ----------
    forecast : Forecast
        Of E customers, each a campaign of its own.
    campaign : BudgetCampaign
        Its budget is never in the way.
    price : array of shape (E,)
        Dollars a flight, on top of what it costs.

    Raises
    ------
    ValueError
        When a price is not finite, or customers, who are called by number, have none.

    Examples
    --------
    >>> import numpy as np
    >>> from pm_utils.decisions.budget_env import BudgetCampaign, Episodes, Forecast
    >>> from pm_utils.decisions.q_learning import PricedView
    >>> from pm_utils.market import TruthParameters
    >>> truth = TruthParameters()
    >>> forecast = Forecast(
    ...     conversions=np.array([[0.1], [0.2]]), discount=np.zeros(1),
    ...     order_value=np.full(2, 10.0), order_rate=np.zeros(2), annoyance=np.zeros(2),
    ...     leaving=np.full(2, 1e-9), truth=truth, impressions=1,
    ... )
    >>> campaign = BudgetCampaign(weeks=8, impressions=1, flights=5)
    >>> observer = PricedView(forecast, campaign, price=np.full(2, 0.5))
    >>> start = Episodes(forecast, campaign, episodes=2).start()
    >>> observer.observation(start).shape  # week 7, fatigue 1, customer 2, actions 2
    (2, 12)
    >>> observer.action_mask(start).shape
    (2, 2)
    """

    def __init__(self, forecast: Forecast, campaign: BudgetCampaign, price: np.ndarray) -> None:
        price = numbers(numbered(price, "price"), "price", ndim=1)
        if len(price) != len(forecast):
            raise ValueError(
                f"price has {len(price)} rows for {len(forecast)} customers: give each"
            )
        self.forecast, self.campaign, self.price = forecast, campaign, price
        self.unit = forecast.best_rested + price + forecast.cost
        harm = -forecast.side_effect(np.full(len(forecast), campaign.impressions), 0)
        self.known = np.stack([price + forecast.cost, 10 * harm], axis=1) / self.unit[:, None]
        self.n_actions = forecast.conversions.shape[1] + 1
        self.n_inputs = campaign.weeks + 2 + self.n_actions

    def observation(self, state: State) -> np.ndarray:
        """Return the network's inputs → (E, D), a forecast of the week last; 0 for who has left."""
        fatigue = state.fatigue.reshape(-1, 1)
        week = np.tile(state.week > np.arange(self.campaign.weeks - 1), (len(fatigue), 1))
        now = self.forecast.immediate(fatigue[:, 0], self.campaign.weeks - 1 - state.week)
        now[:, 1:] -= self.price[:, None]
        seen = [week, fatigue / self.campaign.impressions, self.known, now / self.unit[:, None]]
        return (np.concatenate(seen, axis=1) * state.alive.reshape(-1, 1)).astype(np.float32)

    def action_mask(self, state: State) -> np.ndarray:
        """Return which actions reach somebody → (E, A)."""
        action_mask = np.repeat(state.alive.reshape(-1, 1), self.n_actions, axis=1)
        action_mask[:, 0] = True
        return action_mask

    def customer_actions(self, action: np.ndarray) -> np.ndarray:
        """Turn actions (E,) into those of campaigns with one customer (E, 1)."""
        return action[:, None]

    def reward(self, reward: np.ndarray, action: np.ndarray) -> np.ndarray:
        """Return dollars (E, 1), less the price, in the network's unit → (E,)."""
        return (reward[:, 0] - self.price * (action > 0)) / self.unit


@dataclass(frozen=True, eq=False)
class Transitions:
    """What happened, for S members: tensors of shape (S, B, ...).

    Raises
    ------
    ValueError
        When a mask, an end or a cut is neither 0 nor 1.
    """

    observation: Tensor
    action_mask: Tensor
    action: Tensor
    reward: Tensor
    terminated: Tensor
    truncated: Tensor
    next_observation: Tensor
    next_action_mask: Tensor

    def __post_init__(self) -> None:
        """Keep masks, ends and cuts as booleans."""
        for name in ("action_mask", "terminated", "truncated", "next_action_mask"):
            if (given := getattr(self, name)).dtype != torch.bool:
                object.__setattr__(self, name, truths(given, name))

    def rows(self, index: Tensor) -> "Transitions":
        """Return the rows (..., S, b) of each member."""
        return Transitions(*(_picked(getattr(self, name), index) for name in _FIELDS))

    def shared(self, members: int) -> "Transitions":
        """Return the transitions of one member as those of many; nothing is copied."""
        every = (getattr(self, name) for name in _FIELDS)
        return Transitions(*(each.expand(members, *each.shape[1:]) for each in every))

    def unbind(self) -> list["Transitions"]:
        """Return what `rows` of an index (K, S, b) found as K batches."""
        return [
            Transitions(*each)
            for each in zip(*(getattr(self, name) for name in _FIELDS), strict=True)
        ]


def _picked(part: Tensor, index: Tensor) -> Tensor:
    """Return rows (..., S, b) of a tensor (S, B, ...); whole rows are copied, which is fast."""
    members, count = part.shape[:2]
    if part.stride(0):
        part, index = part.flatten(0, 1), index + count * torch.arange(members)[:, None]
    elif not index.stride(0):  # all members share one member's rows, and look at the same ones
        return part[0].index_select(0, index[0]).expand(members, *index.shape[1:], *part.shape[2:])
    else:
        part = part[0]
    return part.index_select(0, index.flatten()).unflatten(0, index.shape)


_FIELDS = tuple(Transitions.__dataclass_fields__)


class Replay:
    """The last transitions of each member, overwritten in a ring.

    Parameters
    ----------
    capacity : int
        Transitions of each member.

    Raises
    ------
    ValueError
        When the capacity is below 1; by `sample`, when nothing was added.

    Examples
    --------
    >>> import torch
    >>> from pm_utils.decisions.q_learning import Replay, Transitions
    >>> replay, one, yes = Replay(capacity=2), torch.ones(1, 1), torch.tensor([[True]])
    >>> for reward in (1.0, 2.0, 3.0):
    ...     replay.add(Transitions(one, yes, one, reward * one, yes, ~yes, one, yes))
    >>> (batch,) = replay.sample(100, torch.Generator().manual_seed(0), batches=1)
    >>> batch.reward.unique()  # the first was overwritten
    tensor([2., 3.])
    """

    def __init__(self, capacity: int) -> None:
        self.capacity = int(whole_numbers(capacity, "capacity", low=1))
        self.size, self._next, self._held = 0, 0, None

    def add(self, new: Transitions) -> None:
        """Add transitions; the oldest make room, also among them."""
        members, count = new.reward.shape
        if self._held is None:
            empty = [
                getattr(new, name).new_zeros(members, self.capacity, *getattr(new, name).shape[2:])
                for name in _FIELDS
            ]
            self._held = Transitions(*empty)
        kept = min(count, self.capacity)  # of more, the last ones
        place = (self._next + torch.arange(count - kept, count)) % self.capacity
        for name in _FIELDS:
            getattr(self._held, name)[:, place] = getattr(new, name)[:, count - kept :]
        self._next = (self._next + count) % self.capacity
        self.size = min(self.size + count, self.capacity)

    def sample(self, rows: int, generator: torch.Generator, batches: int) -> list[Transitions]:
        """Draw some batches with so many rows of each member, with replacement."""
        if self._held is None:
            raise ValueError("nothing was added: there is nothing to draw")
        whole_numbers(rows, "rows", low=1), whole_numbers(batches, "batches", low=1)
        shape = batches, len(self._held.reward), rows
        return self._held.rows(torch.randint(self.size, shape, generator=generator)).unbind()


def collect(
    episodes: Episodes,
    observer: JointView | PricedView,
    policy: DeepQPolicy,
    *,
    first: int,
    weeks: int,
    epsilon: float,
    rng: np.random.Generator,
) -> Transitions:
    """Play a piece of many campaigns and return its transitions.

    Before the week `first`, flights go out at random, each campaign at a rate of its own; then the
    members play, with a random action now and then. After `weeks` the rollout is cut. The campaigns
    whose last week was reached, or whose customers have all left, are *terminated*; the others are
    *truncated*.

    Parameters
    ----------
    episodes : Episodes
        S times E campaigns, member after member.
    observer : JointView or PricedView
    policy : DeepQPolicy
        Of S members.
    first, weeks : int
    epsilon : float
        How often an action is random.
    rng : numpy.random.Generator
    """
    state, members = episodes.start(), policy.members
    rate, parts = rng.random((episodes.shape[0], 1)), []
    for _ in range(first):
        choice = rng.integers(1, episodes.forecast.conversions.shape[1] + 1, episodes.shape)
        sent = rng.random(episodes.shape) < rate
        state, _ = episodes.step(state, choice * sent, rng.random(episodes.shape))
    last = min(first + weeks, episodes.campaign.weeks)
    seen, action_mask = observer.observation(state), observer.action_mask(state)
    for week in range(first, last):
        action = _explore(policy, seen, action_mask, members, epsilon, rng)
        later, step = episodes.step(state, observer.customer_actions(action))
        terminated = ~later.alive.any(1) | (later.week == episodes.campaign.weeks)
        truncated = ~terminated & (week == last - 1)
        then = observer.observation(later), observer.action_mask(later)
        reward = observer.reward(step.reward, action).astype(np.float32)
        row = [seen, action_mask, action, reward, terminated, truncated, *then]
        played = [torch.from_numpy(each).unflatten(0, (members, -1)) for each in row]
        parts.append(played)
        state, (seen, action_mask) = later, then
    return Transitions(*(torch.cat(each, dim=1) for each in zip(*parts, strict=True)))


def _explore(
    policy: DeepQPolicy,
    observation: np.ndarray,
    action_mask: np.ndarray,
    members: int,
    epsilon: float,
    rng: np.random.Generator,
) -> np.ndarray:
    shape = (members, -1)
    seen = torch.from_numpy(observation).unflatten(0, shape)
    best = policy.act(seen, torch.from_numpy(action_mask).unflatten(0, shape)).flatten().numpy()
    any_allowed = np.where(action_mask, rng.random(action_mask.shape), -1).argmax(1)
    return np.where(rng.random(len(best)) < epsilon, any_allowed, best)


@dataclass(frozen=True)
class QLearningConfig:
    """How to learn.

    Explained in chapter ``budget-policy``.

    Attributes
    ----------
    steps : int
        Steps of Adam.
    batch_size : int
        Transitions of each member in a step.
    learning_rate : float
        At first; it falls to a tenth along a cosine.
    target_update_interval : int
        Steps between copies of the learning network to the older one.
    rollout_interval : int
        Steps between rollouts.
    rollout_weeks : int
        Weeks of a rollout.
    capacity : int
        Of the replay.
    epsilon : float
        How often a played action is random.
    """

    steps: int = 1500
    batch_size: int = 128
    learning_rate: float = 3e-3
    target_update_interval: int = 100
    rollout_interval: int = 10
    rollout_weeks: int = 4
    capacity: int = 20_000
    epsilon: float = 0.3


def learn(
    policy: DeepQPolicy,
    sample_episodes: Callable[[np.random.Generator], tuple[Episodes, JointView | PricedView]],
    config: QLearningConfig,
    *,
    seed: int,
    shuffled: Tensor | None = None,
    truncated_as_terminated: Tensor | None = None,
    callback: Callable[[int, DeepQPolicy], None] | None = None,
) -> None:
    """Train the members of a policy in place by double Q-learning with replay.

    Parameters
    ----------
    policy : DeepQPolicy
    sample_episodes : callable
        From a generator to fresh campaigns, S times E, and what the network sees of them.
    config : QLearningConfig
    seed : int
    shuffled : bool Tensor of shape (S,), optional
        Members that get each other campaigns' rewards: the null.
    truncated_as_terminated : bool Tensor of shape (S,), optional
        Members that make the mistake to take a truncated rollout for the campaign's end.
    callback : callable, optional
        Called with the number of steps and the policy before each rollout.
    """
    generator, rng = torch.Generator().manual_seed(seed), np.random.default_rng([seed, 1])
    target_network = _network_like(policy)
    optimizer, scheduler = _optimizer_and_scheduler(policy, config)
    replay = Replay(config.capacity)
    for step in range(config.steps):
        if step % config.rollout_interval == 0:
            if callback:
                callback(step, policy)
            episodes, observer = sample_episodes(rng)
            options = {"weeks": config.rollout_weeks, "epsilon": config.epsilon, "rng": rng}
            options["first"] = int(rng.integers(episodes.campaign.weeks))
            replay.add(
                _with_nulls(collect(episodes, observer, policy, **options), shuffled, generator)
            )
            batches = replay.sample(config.batch_size, generator, config.rollout_interval)
        if step % config.target_update_interval == 0:
            target_network.load_state_dict(policy.state_dict())
        optimizer.zero_grad()
        batch = batches[step % config.rollout_interval]
        td_loss(
            policy, target_network, batch, truncated_as_terminated=truncated_as_terminated
        ).backward()
        optimizer.step()
        scheduler.step()


def _optimizer_and_scheduler(
    policy: DeepQPolicy, config: QLearningConfig
) -> tuple[torch.optim.Adam, torch.optim.lr_scheduler.CosineAnnealingLR]:
    adam = torch.optim.Adam(policy.parameters(), lr=config.learning_rate, fused=True)
    least = config.learning_rate / 10
    return adam, torch.optim.lr_scheduler.CosineAnnealingLR(adam, config.steps, least)


def _network_like(policy: DeepQPolicy) -> DeepQPolicy:
    members, n_inputs, width = policy.layers[0].weight.shape
    options = {"width": width, "members": members, "forecast": policy.forecast}
    return DeepQPolicy(n_inputs, policy.n_actions, **options)


def _with_nulls(
    new: Transitions, shuffled: Tensor | None, generator: torch.Generator
) -> Transitions:
    if shuffled is not None:
        order = torch.randperm(new.reward.shape[1], generator=generator)
        new.reward[shuffled] = new.reward[shuffled][:, order]
    return new


def td_loss(
    policy: DeepQPolicy,
    target_network: DeepQPolicy,
    batch: Transitions,
    *,
    conservative: Tensor | None = None,
    truncated_as_terminated: Tensor | None = None,
    next_action: Tensor | None = None,
    squared: bool = False,
) -> Tensor:
    """Return the loss of a batch: a mean over its rows, summed over the members.

    Parameters
    ----------
    policy, target_network : DeepQPolicy
        The one that learns, and its copy from a while ago.
    batch : Transitions
    conservative : Tensor of shape (S,), optional
        α, how much `conservative_penalty` counts.
    truncated_as_terminated : bool Tensor of shape (S,), optional
        As in `learn`.
    next_action : integer Tensor of shape (S, b), optional
        What is done next, by default what the learning network thinks best.
    squared : bool
        Whether errors count by their squares, which aim at the mean of a reward full of noise. The
        Huber loss, used otherwise, aims below it: most flights bring nothing, a few a lot.

    Examples
    --------
    A network that values everything at 0 is off by 1 where an end brought 1.

    >>> import torch
    >>> from pm_utils.decisions.networks import DeepQPolicy
    >>> from pm_utils.decisions.q_learning import Transitions, td_loss
    >>> policy = DeepQPolicy(n_inputs=1, n_actions=2)
    >>> for weight in policy.parameters():
    ...     weight.data *= 0
    >>> seen, mask = torch.ones(1, 1, 1), torch.ones(1, 1, 2, dtype=torch.bool)
    >>> action, reward, yes = torch.tensor([[0]]), torch.ones(1, 1), torch.tensor([[True]])
    >>> batch = Transitions(seen, mask, action, reward, yes, ~yes, seen, mask)
    >>> [td_loss(policy, policy, batch, squared=squared).item() for squared in (False, True)]
    [0.5, 1.0]
    """
    values = policy(batch.observation)
    with torch.no_grad():
        end, follows = batch.terminated, target_network(batch.next_observation)
        if truncated_as_terminated is not None:
            end = end | (batch.truncated & truncated_as_terminated[:, None])
        if next_action is None:
            online = policy(batch.next_observation)
            target = double_q_target(batch.reward, end, online, follows, batch.next_action_mask)
        else:
            target = batch.reward + follows.gather(-1, next_action[..., None])[..., 0] * ~end
    chosen = values.gather(-1, batch.action.unsqueeze(-1)).squeeze(-1)
    error = torch.nn.functional.mse_loss if squared else torch.nn.functional.smooth_l1_loss
    loss = error(chosen, target, reduction="none")
    if conservative is not None:
        penalty = conservative_penalty(values, batch.action, batch.action_mask)
        loss = loss + conservative[:, None] * penalty
    return loss.mean(1).sum()


def joint_policy(policy: DeepQPolicy, observer: JointView) -> FlightPolicy:
    """Return a network as a policy of the small world: one member for all, or for each campaign."""

    def chosen(episodes: Episodes, state: State) -> tuple[np.ndarray, np.ndarray]:
        shape = (policy.members, -1)
        here = map(torch.from_numpy, (observer.observation(state), observer.action_mask(state)))
        action = policy.act(*(each.unflatten(0, shape) for each in here)).flatten().numpy()
        return observer.customer_actions(action), np.zeros(episodes.shape)

    return chosen


def priced_policy(
    policy: DeepQPolicy, price: float | np.ndarray, pacing: float | np.ndarray = 0.0
) -> FlightPolicy:
    """Return a network of one member as a policy of the large world.

    Explained in chapter ``budget-policy``.

    Parameters
    ----------
    policy : DeepQPolicy
        Trained on a `PricedView`.
    price, pacing : float or array of shape (E,)
        Dollars a flight; it is multiplied by `pm_utils.decisions.planning.pace`.
    """

    @torch.no_grad()
    def chosen(episodes: Episodes, state: State) -> tuple[np.ndarray, np.ndarray]:
        now = np.repeat(price * pace(episodes.campaign, state, pacing), episodes.shape[1])
        observer = PricedView(episodes.forecast, episodes.campaign, now)
        values = policy(torch.from_numpy(observer.observation(state)[None]))[0].numpy()
        gain = (values[:, 1:].max(1) - values[:, 0]) * observer.unit
        best = np.where(gain > 0, values[:, 1:].argmax(1) + 1, 0)
        return best.reshape(episodes.shape), gain.reshape(episodes.shape)

    return chosen


# A log, and learning from it alone


@dataclass(frozen=True, eq=False)
class FlightLog:
    """What a campaign with known propensities did to N customers in T weeks; arrays (T, N).

    Attributes
    ----------
    fatigue : array of float64
        At the start of the week.
    alive : array of bool
    action : array of int64
        0 for none, 1 + the ad otherwise; nothing is left to choose for who has gone.
    propensity : array of float64
        Probability with which the action was chosen.
    reward : array of float64
        Dollars against the same customer without any ads, orders booked in the week of the click.
        Only a market knows that; a shop estimates it with a holdout group.

    Raises
    ------
    ValueError
        When the shapes differ, a number is not finite, `alive` is neither 0 nor 1, or a propensity
        is not above 0 and at most 1.
    """

    fatigue: np.ndarray
    alive: np.ndarray
    action: np.ndarray
    propensity: np.ndarray
    reward: np.ndarray

    def __post_init__(self) -> None:
        """Check what a log must hold."""
        shapes = {name: np.shape(getattr(self, name)) for name in self.__dataclass_fields__}
        if len(set(shapes.values())) > 1 or len(shapes["reward"]) != 2:
            raise ValueError(f"{shapes}: give (T, N) of each")
        object.__setattr__(self, "alive", booleans(self.alive, "alive"))
        whole_numbers(self.action, "action")
        numbers(self.fatigue, "fatigue", low=0)
        numbers(self.reward, "reward")
        numbers(self.propensity, "propensity", above=0, high=1 + 1e-6)


def record(
    market: Market,
    forecast: Forecast,
    campaign: BudgetCampaign,
    rule: FlightPolicy,
    *,
    epsilon: float,
    seed: int,
) -> FlightLog:
    """Run a campaign in the market that follows a rule, except when chance decides.

    Explained in chapter ``budget-policy``.

    Parameters
    ----------
    market : Market
    forecast : Forecast
        Of its customers.
    campaign : BudgetCampaign
        Its budget is never in the way.
    rule : FlightPolicy
        Sees each customer as a campaign of its own.
    epsilon : float
        How often the action is drawn uniformly.
    seed : int
        Of everything random.
    """
    market, rng, rows = market.with_event_seed(seed), np.random.default_rng([seed, 2]), []
    choices, n = len(market.creatives) + 1, market.n_customers
    each, probability = Episodes(forecast, campaign, episodes=n), epsilon / choices
    state, twin = market.rested(), market.rested()
    for week in range(campaign.weeks):
        here = State(
            week, np.full(n, campaign.flights), state.fatigue[:, None], state.alive[:, None]
        )
        rule_action = rule(each, here)[0][:, 0]
        random_action = rng.integers(choices, size=n)
        action = np.where(rng.random(n) < epsilon, random_action, rule_action) * state.alive
        later, outcome = market.step(state, action - 1, campaign.impressions)
        twin, without = market.step(twin, np.full(n, -1))
        booked = (later.pending - state.pending)[:, :, 2].sum(1)
        reward = outcome.profit + booked - without.profit
        propensity = np.where(state.alive, probability + (1 - epsilon) * (action == rule_action), 1)
        rows.append((state.fatigue, state.alive, action, propensity, reward))
        state = later
    return FlightLog(*(np.stack(each) for each in zip(*rows, strict=True)))


def transitions_of(log: FlightLog, observer: PricedView) -> Transitions:
    """Return a log as transitions of one member: tensors of shape (1, T N, ...).

    Explained in chapter ``budget-policy``.

    Nothing follows the week in which a customer leaves, so it is charged with all that the leaver
    no longer buys.
    """
    weeks, parts = len(log.action), []
    stays = np.append(log.alive[1:], [np.zeros(log.alive.shape[1], bool)], axis=0)
    for week in range(weeks):
        seen, then = (_seen_at(log, observer, at) for at in (week, min(week + 1, weeks - 1)))
        terminated = ~stays[week]
        earned = log.reward[week] + terminated * log.reward[week + 1 :].sum(0)
        reward = observer.reward(earned[:, None], log.action[week])
        ends = terminated, np.zeros_like(terminated)  # nothing is truncated
        row = [*seen, log.action[week], reward.astype(np.float32), *ends, *then]
        parts.append([torch.from_numpy(each)[None] for each in row])
    return Transitions(*(torch.cat(each, dim=1) for each in zip(*parts, strict=True)))


def _seen_at(log: FlightLog, observer: PricedView, week: int) -> tuple[np.ndarray, np.ndarray]:
    left = np.full(log.action.shape[1], observer.campaign.flights)
    state = State(week, left, log.fatigue[week][:, None], log.alive[week][:, None])
    return observer.observation(state), observer.action_mask(state)


def learn_from_log(
    policy: DeepQPolicy,
    log: Transitions,
    config: QLearningConfig,
    *,
    seed: int,
    conservative: Tensor | None = None,
    next_action: Tensor | None = None,
    callback: Callable[[int, DeepQPolicy], None] | None = None,
) -> None:
    """Train a policy in place on a log, without playing; all members learn from the same rows.

    Parameters
    ----------
    policy : DeepQPolicy
        Of S members.
    log : Transitions
        Of S members.
    config : QLearningConfig
        `rollout_interval`, `rollout_weeks`, `capacity` and `epsilon` have no use here.
    seed : int
    conservative : Tensor of shape (S,), optional
        α of `pm_utils.decisions.networks.conservative_penalty`.
    next_action : integer Tensor of shape (S, B), optional
        What a policy does next: with it, the network learns the value of that
        policy (*fitted Q evaluation*) instead of the best one.
    callback : callable, optional
        Called with the number of steps and the policy before each copy to the older network.

    Raises
    ------
    ValueError
        When a reward or an observation is not finite.

    References
    ----------
    Le, Voloshin and Yue (2019), Batch policy learning under constraints. ICML.

    Examples
    --------
    A log of two campaigns of one week: the first action brought nothing, the second brought 1.

    >>> import torch
    >>> from pm_utils.decisions.networks import DeepQPolicy
    >>> from pm_utils.decisions.q_learning import QLearningConfig, Transitions, learn_from_log
    >>> seen, mask = torch.ones(1, 2, 1), torch.ones(1, 2, 2, dtype=torch.bool)
    >>> action, ends = torch.tensor([[0, 1]]), torch.tensor([[True, True]])
    >>> log = Transitions(seen, mask, action, action.float(), ends, ~ends, seen, mask)
    >>> policy = DeepQPolicy(n_inputs=1, n_actions=2, width=8)
    >>> config = QLearningConfig(steps=40, batch_size=16, learning_rate=0.03)
    >>> learn_from_log(policy, log, config, seed=0)
    >>> [round(value, 1) for value in policy(seen)[0, 0].abs().tolist()]
    [0.0, 1.0]
    """
    generator, target_network = torch.Generator().manual_seed(seed), _network_like(policy)
    optimizer, scheduler = _optimizer_and_scheduler(policy, config)
    members, size = log.reward.shape
    for name in ("reward", "observation", "next_observation"):
        numbers(getattr(log, name), name)
    for step in range(config.steps):
        if step % config.target_update_interval == 0:
            if callback:
                callback(step, policy)
            target_network.load_state_dict(policy.state_dict())
        drawn = torch.randint(size, (1, config.batch_size), generator=generator)
        index = drawn.expand(members, -1)  # all learn from the same rows
        options = {"conservative": conservative, "squared": True}
        if next_action is not None:
            options["next_action"] = next_action.gather(1, index)
        optimizer.zero_grad()
        td_loss(policy, target_network, log.rows(index), **options).backward()
        optimizer.step()
        scheduler.step()


def next_choices(chosen: np.ndarray) -> Tensor:
    """Return what follows each row of `transitions_of`, from choices (T, N) → (1, T N).

    Examples
    --------
    >>> import numpy as np
    >>> from pm_utils.decisions.q_learning import next_choices
    >>> next_choices(np.array([[1, 2], [3, 4]]))  # two weeks, two customers
    tensor([[3, 4, 3, 4]])
    """
    return torch.from_numpy(np.concatenate([chosen[1:], chosen[-1:]]).reshape(1, -1))


def first_value(
    policy: DeepQPolicy, observer: PricedView, start: State, chosen: np.ndarray
) -> float:
    """Return what a network of one member expects of a campaign: dollars a customer.

    Parameters
    ----------
    policy : DeepQPolicy
        From `learn_from_log` with `next_action`.
    observer : PricedView
    start : State
        Of N campaigns with one customer each.
    chosen : array of shape (N,)
        What is done in the first week.
    """
    with torch.no_grad():
        values = policy(torch.from_numpy(observer.observation(start)[None]))[0].numpy()
    return float((values[np.arange(len(chosen)), chosen] * observer.unit).mean())
