r"""Weeks of a campaign as a decision problem: whom to show which ad under a hard budget.

Each week every customer gets a *flight* of k impressions of one ad, or none. A flight costs k times
``impression_cost``; a campaign of T weeks can pay for B flights in all. What is asked beyond that
is *refused*: nothing is shown, nothing is paid, and the refusal is counted, never priced into a
reward.

`BudgetEnv` plays the market itself, with all its luck. `Episodes` plays many campaigns at once and
pays each week's *expectation*, so that a learner is not drowned in the luck of single orders. With
the symbols of `TruthParameters` and `pm_utils.market.dynamics`, a flight to a customer with
fatigue F, so that ``G = F + k``, is expected to bring over time

.. math::
    e^{-\phi F} \frac{1 - e^{-\phi k}}{1 - e^{-\phi}} P_{ic} V_i (m r_i(G) - \pi d_c)
      + m V_i \lambda_i (e^{-a_i G} - 1) - (h_i(G) - h_i(0)) W_{i,t+1} - k \, \text{cost}

against what the customer brings without any ads, with P the conversions per rested impression and
:math:`W_{i,t}` the organic profit from week t to the campaign's end of a customer who gets none.
That is the profit booked when it comes in plus the change of the potential :math:`\Phi =
\text{orders due} + \text{alive} \cdot W`, which leaves every policy's advantage over another as
it is.

References
----------
Ng, Harada and Russell (1999), Policy invariance under reward transformations. ICML.
Towers et al. (2024), Gymnasium: a standard interface for reinforcement learning environments.
"""

from dataclasses import dataclass, field, replace
from functools import cached_property

import gymnasium
import numpy as np
from gymnasium import spaces

from pm_utils.inputs import aligned, booleans, like, numbers, probabilities, whole_numbers
from pm_utils.market.dynamics import MarketState
from pm_utils.market.market import Market
from pm_utils.market.truth import TruthParameters

OBSERVED = 3  # numbers that `BudgetEnv` shows of each customer


@dataclass(frozen=True)
class BudgetCampaign:
    """The rules of a campaign.

    Explained in chapter ``budget-policy``.

    Attributes
    ----------
    weeks : int
        T.
    impressions : int
        k, of one ad to one customer in one week.
    flights : int
        B: how many flights the budget pays for.

    Raises
    ------
    ValueError
        When a number is not whole or below 1.

    Examples
    --------
    >>> from pm_utils.decisions.budget_env import BudgetCampaign
    >>> BudgetCampaign(weeks=8, impressions=20, flights=0)
    Traceback (most recent call last):
    ValueError: flights is 0: give at least 1
    """

    weeks: int
    impressions: int
    flights: int

    def __post_init__(self) -> None:
        """Check that every number is positive."""
        for name in ("weeks", "impressions", "flights"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} is {getattr(self, name)}: give at least 1")
            whole_numbers(getattr(self, name), name, low=1)


def within_budget(wanted: np.ndarray, left: np.ndarray, priority: np.ndarray) -> np.ndarray:
    """Return which flights are paid for, those of highest priority first.

    Parameters
    ----------
    wanted : boolean array of shape (E, n)
    left : integer array of shape (E,)
        Flights that each campaign can still pay for.
    priority : array of shape (E, n)
        Ties go to the customer of lower number.

    Returns
    -------
    boolean array of shape (E, n)

    Raises
    ------
    ValueError
        When `wanted` is neither 0 nor 1, a priority is not finite, what is left is no number of
        flights, or the rows cannot be matched.

    Examples
    --------
    >>> import numpy as np
    >>> from pm_utils.decisions.budget_env import within_budget
    >>> wanted = np.array([[True, True, True, False]])
    >>> within_budget(wanted, left=np.array([2]), priority=np.array([[1, 3, 2, 9]]))
    array([[False,  True,  True, False]])
    >>> within_budget(wanted, left=np.array([2]), priority=np.zeros((1, 4)))
    array([[ True,  True, False, False]])
    """
    given = wanted, left, priority
    wanted, left, priority = aligned(wanted=wanted, left=left, priority=priority)
    wanted, priority = booleans(wanted, "wanted"), numbers(priority, "priority")
    left = whole_numbers(left, "left")
    order = np.argsort(np.where(wanted, -priority, np.inf), axis=1, kind="stable")
    place = np.empty_like(order)
    np.put_along_axis(place, order, np.arange(wanted.shape[1])[None], axis=1)
    return like(wanted & (place < left[:, None]), *given)


@dataclass(frozen=True, eq=False)
class Forecast:
    """What the truth says of N customers and M ads, as far as a campaign needs it.

    Explained in chapter ``budget-policy``.

    Attributes
    ----------
    conversions : (N, M) float64
        P(click and order) of a rested impression.
    discount : (M,) float64
        Share of an order that the ad takes off.
    order_value, order_rate, annoyance, leaving : (N,) float64
        Mean order value in dollars, organic orders per week, a and h.
    truth : TruthParameters
    impressions : int
        k.

    Raises
    ------
    ValueError
        When the shapes differ, a number is not finite or negative, or a probability or discount is
        none. Pandas' customers are matched by index; lists become arrays.

    Examples
    --------
    Two customers who order for 10 dollars, half of it margin, on one impression in ten or in five.
    Nobody orders without ads, and nobody tires of them.

    >>> import numpy as np
    >>> from pm_utils.decisions.budget_env import Forecast
    >>> from pm_utils.market import TruthParameters
    >>> truth = TruthParameters(margin=0.5, impression_cost=0.0, fatigue=1e-9)
    >>> forecast = Forecast(
    ...     conversions=np.array([[0.1], [0.2]]), discount=np.zeros(1),
    ...     order_value=np.full(2, 10.0), order_rate=np.zeros(2), annoyance=np.zeros(2),
    ...     leaving=np.full(2, 1e-9), truth=truth, impressions=1,
    ... )
    >>> forecast.immediate(np.zeros(2), weeks_after=0)  # nothing shown, and the ad
    array([[0. , 0.5],
           [0. , 1. ]])
    """

    conversions: np.ndarray
    discount: np.ndarray
    order_value: np.ndarray
    order_rate: np.ndarray
    annoyance: np.ndarray
    leaving: np.ndarray
    truth: TruthParameters = field(repr=False)
    impressions: int

    def __post_init__(self) -> None:
        """Check that there is one number for each customer and ad, and that it can be."""
        names = ("conversions", "order_value", "order_rate", "annoyance", "leaving")
        given = aligned(**{name: getattr(self, name) for name in names})
        for name, part in [*zip(names, given, strict=True), ("discount", self.discount)]:
            chance = name in ("conversions", "discount", "leaving")
            checked = probabilities(part, name) if chance else numbers(part, name, low=0)
            object.__setattr__(self, name, checked)
        shape = len(self.order_value), len(self.discount)
        each = self.order_value, self.order_rate, self.annoyance, self.leaving
        if self.conversions.shape != shape or any(one.shape != shape[:1] for one in each):
            sizes = [one.shape for one in (self.conversions, *each)]
            raise ValueError(f"{sizes} for {shape} customers and ads: give (N, M), and (N,) each")
        whole_numbers(self.impressions, "impressions", low=1)

    @classmethod
    def of(cls, market: Market, impressions: int) -> "Forecast":
        """Return the forecast of a market's customers and ads."""
        hidden = market.truth_of_customers
        return cls(
            conversions=market.click_table.astype(float) * market.conversion_table,
            discount=market.promoted_discount,
            order_value=hidden.order_value,
            order_rate=hidden.order_rate,
            annoyance=hidden.annoyance,
            leaving=hidden.leaving,
            truth=market.truth,
            impressions=impressions,
        )

    def take(self, customers: np.ndarray) -> "Forecast":
        """Return the forecast of some customers, one as often as it is named.

        Raises
        ------
        ValueError
            When a customer is not from 0 to N - 1.
        """
        customers = whole_numbers(customers, "customers", high=len(self) - 1)
        names = ("conversions", "order_value", "order_rate", "annoyance", "leaving")
        return replace(self, **{name: getattr(self, name)[customers] for name in names})

    def __len__(self) -> int:
        """Return the number of customers."""
        return len(self.order_value)

    @property
    def cost(self) -> float:
        """Dollars of one flight."""
        return self.impressions * self.truth.impression_cost

    @property
    def organic(self) -> np.ndarray:
        """Dollars of profit a week from a customer who gets no ads → (N,)."""
        return self.truth.margin * self.order_value * self.order_rate

    @cached_property
    def best_rested(self) -> np.ndarray:
        """What the best ad's orders are expected to bring from the rested → (N,)."""
        return self.ad_profit(np.zeros(len(self))).max(1)

    def remaining(self, weeks: int) -> np.ndarray:
        """Return W: organic profit of so many weeks without ads → (N,).

        Raises
        ------
        ValueError
            When the weeks are not whole, or below 0.
        """
        return self._remaining(int(whole_numbers(weeks, "weeks")))

    def _remaining(self, weeks: int) -> np.ndarray:
        """As `remaining`; after the last week, where nobody reads it, also for -1."""
        stay, leaves = 1 - self.leaving, self.leaving > 0
        there = np.full(len(self), float(weeks))  # of who never leaves
        np.divide(1 - stay**weeks, self.leaving, out=there, where=leaves)
        return self.organic * there

    def ad_profit(self, fatigue: np.ndarray) -> np.ndarray:
        """Return the profit that each ad's orders are expected to bring → (..., N, M).

        Parameters
        ----------
        fatigue : array of shape (..., N)
            At the start of the week.

        Raises
        ------
        ValueError
            When a fatigue is negative or not finite, or there is not one for each customer.
        """
        fatigue = numbers(fatigue, "fatigue", low=0)
        if fatigue.shape[-1:] != (len(self),):
            raise ValueError(
                f"fatigue has shape {fatigue.shape} for {len(self):,} customers: give (..., N)"
            )
        truth, k = self.truth, self.impressions
        kept = 1 - truth.displacement * (1 - np.exp(-self._organic_rate(fatigue + k)))
        decay = np.exp(-truth.fatigue)
        fresh = (1 - decay**k, 1 - decay) if truth.fatigue else (k, 1)  # nobody tires
        seen = np.exp(-truth.fatigue * fatigue) * fresh[0] / fresh[1]
        margin = truth.margin * kept[..., None] - self.discount
        return (seen * self.order_value)[..., None] * self.conversions * margin

    def side_effect(self, strain: np.ndarray, weeks_after: int) -> np.ndarray:
        """Return what a strain G does this week to organic orders and to leaving → (..., N)."""
        annoyed = self.truth.margin * self.order_value * self._organic_rate(strain) - self.organic
        return annoyed - (self.leaving_probability(strain) - self.leaving) * self._remaining(
            weeks_after
        )

    def leaving_probability(self, strain: np.ndarray) -> np.ndarray:
        """Return the probability to leave at the end of a week with strain G → (..., N)."""
        return np.minimum(self.leaving * np.exp(self.truth.leaving_fatigue * strain), 1)

    def immediate(self, fatigue: np.ndarray, weeks_after: int) -> np.ndarray:
        """Return the expected profit of this week's choice: none first, then each ad.

        Parameters
        ----------
        fatigue : array of shape (..., N)
        weeks_after : int
            Weeks of the campaign that follow.

        Returns
        -------
        array of shape (..., N, M + 1)
            Dollars by the module's formula; what the choice does to later weeks is not in it.
        """
        none = self.side_effect(fatigue, weeks_after)[..., None]
        shown = self.side_effect(fatigue + self.impressions, weeks_after)[..., None]
        return np.concatenate([none, self.ad_profit(fatigue) + shown - self.cost], axis=-1)

    def next_fatigue(self, fatigue: np.ndarray, sent: np.ndarray) -> np.ndarray:
        """Return the fatigue at the start of the next week."""
        return self.truth.retention * (fatigue + self.impressions * sent)

    def _organic_rate(self, strain: np.ndarray) -> np.ndarray:
        return self.order_rate * np.exp(-self.annoyance * strain)


@dataclass(frozen=True, eq=False)
class State:
    """Where E campaigns of n customers each stand at the start of a week.

    Attributes
    ----------
    week : int
    flights_left : (E,) int64
        Flights that can still be paid for.
    fatigue : (E, n) float64
    alive : (E, n) bool
    """

    week: int
    flights_left: np.ndarray
    fatigue: np.ndarray
    alive: np.ndarray


@dataclass(frozen=True, eq=False)
class Step:
    """What a week brought to E campaigns: dollars, flights and those refused."""

    reward: np.ndarray
    sent: np.ndarray
    refused: np.ndarray


class Episodes:
    """Many campaigns at once, each week paid by its expectation; who leaves is drawn.

    Explained in chapter ``budget-policy``.

    Parameters
    ----------
    forecast : Forecast
        Of E times n customers, campaign after campaign.
    campaign : BudgetCampaign
        Its budget is for each of the E.
    episodes : int
        E.
    seed : int
        Of who leaves.
    copies : int
        How many runs of campaigns, one after the other among the E, meet the same luck.

    Raises
    ------
    ValueError
        When the customers cannot be divided into so many campaigns, or these into so many runs; by
        `step`, when an action is none.

    Examples
    --------
    One campaign of two customers, of whom the second brings more; one flight is paid for.

    >>> import numpy as np
    >>> from pm_utils.decisions.budget_env import BudgetCampaign, Episodes, Forecast
    >>> from pm_utils.market import TruthParameters
    >>> truth = TruthParameters(margin=0.5, impression_cost=0.0, fatigue=1e-9)
    >>> forecast = Forecast(
    ...     conversions=np.array([[0.1], [0.2]]), discount=np.zeros(1),
    ...     order_value=np.full(2, 10.0), order_rate=np.zeros(2), annoyance=np.zeros(2),
    ...     leaving=np.full(2, 1e-9), truth=truth, impressions=1,
    ... )
    >>> episodes = Episodes(forecast, BudgetCampaign(weeks=2, impressions=1, flights=1))
    >>> everybody = np.array([[1, 1]])  # the first ad
    >>> state, step = episodes.step(episodes.start(), everybody, priority=np.array([[0.5, 1.0]]))
    >>> step.reward, step.refused
    (array([[0., 1.]]), array([1]))
    >>> state.flights_left
    array([0])
    """

    def __init__(
        self,
        forecast: Forecast,
        campaign: BudgetCampaign,
        *,
        episodes: int = 1,
        seed: int = 0,
        copies: int = 1,
    ) -> None:
        for name, count in (("episodes", episodes), ("copies", copies)):
            whole_numbers(count, name, low=1)
        if episodes % copies:
            raise ValueError(f"{episodes} episodes in {copies} runs: give each run as many")
        if len(forecast) % episodes or forecast.impressions != campaign.impressions:
            raise ValueError(
                f"{len(forecast)} customers in {episodes} campaigns of flights of "
                f"{campaign.impressions}: give each the same number, and flights as forecast"
            )
        self.forecast, self.campaign, self.seed = forecast, campaign, seed
        self.shape = (episodes, len(forecast) // episodes)
        self.copies, self._latest = copies, (None, None)

    def repeated(self, copies: int) -> "Episodes":
        """Return these campaigns so many times, run after run, with the same luck in each."""
        again = self.forecast.take(np.tile(np.arange(len(self.forecast)), copies))
        options = {"episodes": self.shape[0] * copies, "copies": self.copies * copies}
        return Episodes(again, self.campaign, seed=self.seed, **options)

    def start(self) -> State:
        """Return the beginning: nobody tired, nobody gone, all money there."""
        left = np.full(self.shape[0], self.campaign.flights)
        return State(0, left, np.zeros(self.shape), np.ones(self.shape, bool))

    def immediate(self, state: State) -> np.ndarray:
        """Return the expected profit of every choice now → (E, n, M + 1); 0 for the gone."""
        if self._latest[0] is not state:  # policies ask for what `step` needs again
            after = self.campaign.weeks - 1 - state.week
            profit = self.forecast.immediate(state.fatigue.ravel(), after)
            profit = profit.reshape(*self.shape, -1) * state.alive[..., None]
            self._latest = state, profit
        return self._latest[1]

    def step(
        self, state: State, action: np.ndarray, priority: np.ndarray | None = None
    ) -> tuple[State, Step]:
        """Play one week.

        Parameters
        ----------
        state : State
        action : integer array of shape (E, n)
            0 for none, 1 + the ad otherwise.
        priority : array of shape (E, n), optional
            Who comes first where the money does not suffice for all.

        Returns
        -------
        State, Step
        """
        action = whole_numbers(action, "action", high=self.forecast.conversions.shape[1])
        if action.shape != self.shape:
            raise ValueError(f"action has shape {action.shape}: give {self.shape}, (E, n)")
        wanted = (action > 0) & state.alive
        priority = np.zeros(self.shape) if priority is None else priority
        sent = within_budget(wanted, state.flights_left, priority)
        done = np.where(sent, action, 0)[..., None]
        reward = np.take_along_axis(self.immediate(state), done, axis=-1)[..., 0]
        strain = state.fatigue + self.campaign.impressions * sent
        rng = np.random.default_rng([self.seed, state.week])
        draw = rng.random((self.shape[0] // self.copies, self.shape[1]))
        leaves = self.forecast.leaving_probability(strain.ravel()).reshape(self.shape)
        gone = np.tile(draw, (self.copies, 1)) < leaves
        fatigue = self.forecast.next_fatigue(state.fatigue, sent)
        later = State(
            state.week + 1, state.flights_left - sent.sum(1), fatigue, state.alive & ~gone
        )
        return later, Step(reward, sent, (wanted & ~sent).sum(1))


class BudgetEnv(gymnasium.Env):
    """One campaign in the market itself: orders drawn, late ones paid when they come in.

    An action names an ad for every customer, 0 for none. An observation is a vector: weeks left and
    flights left, each as a share of the campaign's, then for each customer whether they are there,
    their fatigue, and the profit of orders known to be due (dollars). The reward is the week's
    profit (dollars) as the shop books it; orders still due at the end are booked in the last week.

    ``info`` holds ``sent`` and ``refused`` (flights this week), ``left`` (flights), and
    ``action_mask`` (n, M + 1), what is possible for each customer if no other gets anything.

    Explained in chapter ``budget-policy``.

    Parameters
    ----------
    market : Market
        All its customers take part.
    campaign : BudgetCampaign

    Examples
    --------
    >>> from pm_utils.decisions.budget_env import BudgetCampaign, BudgetEnv
    >>> from pm_utils.market import Market
    >>> env = BudgetEnv(Market(3, seed=0), BudgetCampaign(weeks=8, impressions=20, flights=100))
    >>> observation, info = env.reset(seed=0)
    >>> observation, reward, terminated, truncated, info = env.step(env.action_space.sample())
    >>> observation.shape  # weeks left, flights left, and three numbers for each customer
    (11,)
    """

    metadata = {"render_modes": []}

    def __init__(self, market: Market, campaign: BudgetCampaign) -> None:
        self.market, self.campaign = market, campaign
        n, ads = market.n_customers, len(market.creatives)
        self.action_space = spaces.MultiDiscrete(np.full(n, ads + 1))
        size = 2 + OBSERVED * n
        self.observation_space = spaces.Box(-np.inf, np.inf, (size,), np.float64)

    def reset(self, *, seed: int | None = None, options: dict | None = None) -> tuple:
        """Begin a campaign; the seed decides all its luck, the customers stay the same."""
        super().reset(seed=seed)
        draw = int(self.np_random.integers(2**31))
        self._market, self._state = self.market.with_event_seed(draw), self.market.rested()
        self._left = self.campaign.flights
        return self._observation(), self._info(0, 0)

    def step(self, action: np.ndarray) -> tuple:
        """Play one week → observation, reward, terminated, truncated, info.

        Raises
        ------
        ValueError
            When there is not one action for each customer, or one is no ad and not 0.
        """
        action = whole_numbers(action, "action", high=len(self.market.creatives))
        if action.shape != (self.market.n_customers,):
            told = f"action has shape {action.shape}"
            raise ValueError(f"{told}: give one for each of {self.market.n_customers} customers")
        wanted = (action > 0) & self._state.alive
        sent = within_budget(wanted[None], np.array([self._left]), np.zeros((1, len(action))))[0]
        shown = np.where(sent, action - 1, -1)
        self._state, outcome = self._market.step(self._state, shown, self.campaign.impressions)
        self._left -= int(sent.sum())
        terminated = self._state.week == self.campaign.weeks
        reward = outcome.profit.sum()
        if terminated:
            reward += self._due().sum()
        info = self._info(int(sent.sum()), int((wanted & ~sent).sum()))
        return self._observation(), float(reward), terminated, False, info

    @property
    def state(self) -> MarketState:
        """Where the market stands."""
        return self._state

    def _due(self) -> np.ndarray:
        return self._state.pending[:, :, 2].sum(1)

    def _observation(self) -> np.ndarray:
        weeks = 1 - self._state.week / self.campaign.weeks
        each = np.stack([self._state.alive, self._state.fatigue, self._due()], axis=1)
        return np.concatenate([[weeks, self._left / self.campaign.flights], each.ravel()])

    def _info(self, sent: int, refused: int) -> dict:
        mask = np.ones((self.market.n_customers, len(self.market.creatives) + 1), np.int8)
        mask[:, 1:] = (self._state.alive & (self._left > 0))[:, None]
        return {"sent": sent, "refused": refused, "left": self._left, "action_mask": mask}
