r"""Plans for a campaign under a budget: rules of thumb, and the exact optimum where one can be had.

A *policy* is a function from `Episodes` and `State` to an action for each customer and a priority,
both (E, n). Profit is what `pm_utils.decisions.budget_env` expects, against no ads at all.

All flights have the same length, so what a customer has seen is a string of bits, one a week, and
at week t fatigue takes at most :math:`2^t` values: the *lattice*. On it

- the **small** world, two customers that share B flights, is solved exactly (`small_optimum`): the
  state is (week, budget left, both fatigues, who is still there), and the budget left follows from
  the bits;
- the **large** world cannot be, since its states multiply over customers. Charge every flight a
  price μ instead of counting it, and customers fall apart. With V the value of one customer's own
  problem, every μ ≥ 0 gives an upper bound (`LagrangianPlans.bound`),

.. math::
    \text{optimum} \le \mu B + \sum_i V_i(\mu) ,

  the *Lagrangian relaxation*; its least value is the limit of the large world.

References
----------
Bellman (1957), Dynamic Programming. Hawkins (2003), A Lagrangian decomposition approach to weakly
coupled dynamic optimization problems and its applications.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np
from scipy.optimize import minimize_scalar

from pm_utils.decisions.budget_env import BudgetCampaign, Episodes, Forecast, State
from pm_utils.inputs import numbered, numbers, whole_numbers

FlightPolicy = Callable[[Episodes, State], tuple[np.ndarray, np.ndarray]]


@dataclass(frozen=True, eq=False)
class Played:
    """What E campaigns brought; arrays of shape (E, weeks).

    Attributes
    ----------
    profit : array of floats
        Dollars a customer against no ads, expected at each week's choice.
    sent, refused : arrays of int
        Flights.
    """

    profit: np.ndarray
    sent: np.ndarray
    refused: np.ndarray

    @property
    def total(self) -> np.ndarray:
        """Profit a customer of each campaign → (E,)."""
        return self.profit.sum(1)


def play_flights(episodes: Episodes, policy: FlightPolicy) -> Played:
    """Play campaigns to their end.

    Explained in chapter ``budget-policy``.

    Examples
    --------
    A flight to the first customer earns 0.50 dollars, to the second 1.00, in either week. Two are
    paid for. Greedy sends both at once; a threshold keeps the second for who brings more.

    >>> import numpy as np
    >>> from pm_utils.decisions.budget_env import BudgetCampaign, Episodes, Forecast
    >>> from pm_utils.decisions.planning import greedy, play_flights, threshold
    >>> from pm_utils.market import TruthParameters
    >>> truth = TruthParameters(margin=0.5, impression_cost=0.0, fatigue=1e-9)
    >>> forecast = Forecast(
    ...     conversions=np.array([[0.1], [0.2]]), discount=np.zeros(1),
    ...     order_value=np.full(2, 10.0), order_rate=np.zeros(2), annoyance=np.zeros(2),
    ...     leaving=np.full(2, 1e-9), truth=truth, impressions=1,
    ... )
    >>> episodes = Episodes(forecast, BudgetCampaign(weeks=2, impressions=1, flights=2))
    >>> play_flights(episodes, greedy).profit  # a customer, by week
    array([[0.75, 0.  ]])
    >>> play_flights(episodes, threshold(0.75)).profit
    array([[0.5, 0.5]])
    """
    state, weeks = episodes.start(), []
    for _ in range(episodes.campaign.weeks):
        state, step = episodes.step(state, *policy(episodes, state))
        weeks.append((step.reward.mean(1), step.sent.sum(1), step.refused))
    return Played(*(np.stack(each, axis=1) for each in zip(*weeks, strict=True)))


# Rules of thumb


def nobody(episodes: Episodes, state: State) -> tuple[np.ndarray, np.ndarray]:
    """Show nothing."""
    return np.zeros(episodes.shape, int), np.zeros(episodes.shape)


def random_choice(seed: int) -> FlightPolicy:
    """Return the policy that draws none or any ad for everybody."""

    def policy(episodes: Episodes, state: State) -> tuple[np.ndarray, np.ndarray]:
        rng = np.random.default_rng([seed, state.week])
        choices = episodes.forecast.conversions.shape[1] + 1
        return rng.integers(choices, size=episodes.shape), rng.random(episodes.shape)

    return policy


def everyone(seed: int) -> FlightPolicy:
    """Return the policy that sends everybody their most profitable ad until the money is gone.

    Examples
    --------
    >>> import numpy as np
    >>> from pm_utils.decisions.budget_env import BudgetCampaign, Episodes, Forecast
    >>> from pm_utils.decisions.planning import everyone
    >>> from pm_utils.market import TruthParameters
    >>> truth = TruthParameters(margin=0.5, impression_cost=0.0, fatigue=1e-9)
    >>> forecast = Forecast(
    ...     conversions=np.array([[0.1], [0.2]]), discount=np.zeros(1),
    ...     order_value=np.full(2, 10.0), order_rate=np.zeros(2), annoyance=np.zeros(2),
    ...     leaving=np.full(2, 1e-9), truth=truth, impressions=1,
    ... )
    >>> episodes = Episodes(forecast, BudgetCampaign(weeks=2, impressions=1, flights=1))
    >>> action, priority = everyone(seed=0)(episodes, episodes.start())
    >>> action  # more than can be paid for: the priority, which is random, decides
    array([[1, 1]])
    """

    def policy(episodes: Episodes, state: State) -> tuple[np.ndarray, np.ndarray]:
        best = episodes.immediate(state)[..., 1:].argmax(-1) + 1
        return best, np.random.default_rng([seed, state.week]).random(episodes.shape)

    return policy


def greedy(episodes: Episodes, state: State) -> tuple[np.ndarray, np.ndarray]:
    """Send what gains this week, the largest gains first.

    Explained in chapter ``budget-policy``.
    """
    return _actions_above(episodes.immediate(state), 0.0)


def likeliest(episodes: Episodes, state: State) -> tuple[np.ndarray, np.ndarray]:
    """Send everybody the ad that they most probably order from, the likeliest first.

    Explained in chapter ``budget-policy``.
    """
    probability = episodes.forecast.conversions.reshape(*episodes.shape, -1)
    return probability.argmax(-1) + 1, probability.max(-1)


def threshold(level: float | np.ndarray, pacing: float | np.ndarray = 0.0) -> FlightPolicy:
    r"""Return the policy that sends what earns more than a threshold that follows the spending.

    The threshold is :math:`\theta e^{\kappa (b - t)}` dollars a flight, with b the share of the
    budget that is spent and t that of the weeks that are over: a proportional pacing controller.

    Explained in chapter ``budget-policy``.

    Parameters
    ----------
    level : float or array of shape (E,)
        θ.
    pacing : float or array of shape (E,)
        κ; 0 leaves the threshold where it is.

    Raises
    ------
    ValueError
        When a number is not finite.
    """
    level = numbers(numbered(level, "level"), "level")
    pacing = numbers(numbered(pacing, "pacing"), "pacing")

    def policy(episodes: Episodes, state: State) -> tuple[np.ndarray, np.ndarray]:
        least_gain = level * pace(episodes.campaign, state, pacing)
        return _actions_above(episodes.immediate(state), least_gain[:, None])

    return policy


def frequency_cap(
    every: int | np.ndarray, level: float | np.ndarray = 0.0, pacing: float | np.ndarray = 0.0
) -> FlightPolicy:
    """Return `threshold` with a cap: a customer gets at most one flight in so many weeks.

    What was sent is read from fatigue, which tells all histories of flights apart.

    Parameters
    ----------
    every : int or array of shape (E,)
        Weeks from one flight to the next, at least; 1 caps nothing.
    level, pacing : float or array of shape (E,)
        As in `threshold`.

    Raises
    ------
    ValueError
        When `every` is not whole or below 1, a number is not finite, or, by the policy, nothing of
        fatigue stays until the next week.

    Examples
    --------
    The second customer had a flight last week, the first one the week before.

    >>> import numpy as np
    >>> from pm_utils.decisions.budget_env import BudgetCampaign, Episodes, Forecast, State
    >>> from pm_utils.decisions.planning import frequency_cap
    >>> from pm_utils.market import TruthParameters
    >>> truth = TruthParameters(margin=0.5, impression_cost=0.0, fatigue=1e-9, retention=0.5)
    >>> forecast = Forecast(
    ...     conversions=np.array([[0.1], [0.2]]), discount=np.zeros(1),
    ...     order_value=np.full(2, 10.0), order_rate=np.zeros(2), annoyance=np.zeros(2),
    ...     leaving=np.full(2, 1e-9), truth=truth, impressions=1,
    ... )
    >>> episodes = Episodes(forecast, BudgetCampaign(weeks=3, impressions=1, flights=4))
    >>> state = State(2, np.array([2]), np.array([[0.25, 0.5]]), np.ones((1, 2), bool))
    >>> frequency_cap(every=2)(episodes, state)[0]
    array([[1, 0]])
    """
    every = whole_numbers(numbered(every, "every"), "every", low=1)
    ruled = threshold(level, pacing)

    def policy(episodes: Episodes, state: State) -> tuple[np.ndarray, np.ndarray]:
        if not episodes.forecast.truth.retention:
            raise ValueError("retention is 0: fatigue does not say when the last flight was")
        levels = lattice(episodes.forecast, episodes.campaign.weeks)
        history = _nearest_history(levels[state.week], state.fatigue)
        recent = 2 ** (np.minimum(every, episodes.campaign.weeks) - 1)  # the bits that must be 0
        action, gain = ruled(episodes, state)
        return np.where(history % np.reshape(recent, (-1, 1)) == 0, action, 0), gain

    return policy


def pace(campaign: BudgetCampaign, state: State, pacing: float | np.ndarray) -> np.ndarray:
    """Return by how much a controller multiplies its threshold or its price → (E,).

    Examples
    --------
    Half of the money is gone after a quarter of the weeks: the threshold is multiplied by e.

    >>> import numpy as np
    >>> from pm_utils.decisions.budget_env import BudgetCampaign, State
    >>> from pm_utils.decisions.planning import pace
    >>> campaign = BudgetCampaign(weeks=4, impressions=20, flights=8)
    >>> state = State(1, np.array([4]), fatigue=np.zeros((1, 2)), alive=np.ones((1, 2), bool))
    >>> pace(campaign, state, pacing=4.0).round(2)
    array([2.72])
    """
    ahead = 1 - state.flights_left / campaign.flights - state.week / campaign.weeks
    return np.exp(pacing * ahead)


def _actions_above(
    value: np.ndarray, least_gain: np.ndarray | float
) -> tuple[np.ndarray, np.ndarray]:
    """Turn values of choices (E, n, M + 1) into actions and priorities by what they gain."""
    gain = value[..., 1:].max(-1) - value[..., 0]
    return np.where(gain > least_gain, value[..., 1:].argmax(-1) + 1, 0), gain


def tune_policy(
    family: Callable[..., FlightPolicy],
    grid: dict[str, Iterable[float]],
    worlds: Iterable[Episodes],
) -> tuple[dict[str, float], float]:
    """Return the settings of a family of policies that earn most over some worlds, and how much.

    Parameters
    ----------
    family : callable
        Takes one of each setting, or an array with one for each campaign, and returns a policy.
    grid : dict
        The values to try of each setting; every combination is played, all side by side.
    worlds : iterable of Episodes
        For tuning only: never those that the policy is judged on.

    Returns
    -------
    settings : dict of float
        Of equal ones the first of the grid.
    profit : float
        Dollars a customer.

    Raises
    ------
    ValueError
        When there is nothing to try, no world, or a profit is not finite.

    Examples
    --------
    Two flights over two weeks, which earn 0.50 dollars with the first customer and 1.00 with the
    second: only a threshold between the two keeps both for the second.

    >>> import numpy as np
    >>> from pm_utils.decisions.budget_env import BudgetCampaign, Episodes, Forecast
    >>> from pm_utils.decisions.planning import threshold, tune_policy
    >>> from pm_utils.market import TruthParameters
    >>> truth = TruthParameters(margin=0.5, impression_cost=0.0, fatigue=1e-9)
    >>> forecast = Forecast(
    ...     conversions=np.array([[0.1], [0.2]]), discount=np.zeros(1),
    ...     order_value=np.full(2, 10.0), order_rate=np.zeros(2), annoyance=np.zeros(2),
    ...     leaving=np.full(2, 1e-9), truth=truth, impressions=1,
    ... )
    >>> worlds = [Episodes(forecast, BudgetCampaign(weeks=2, impressions=1, flights=2))]
    >>> best, profit = tune_policy(threshold, {"level": [0.0, 0.75, 2.0]}, worlds)
    >>> best, round(profit, 2)  # dollars a customer
    ({'level': 0.75}, 1.0)
    """
    grid = {name: numbers(list(values), name, ndim=1).tolist() for name, values in grid.items()}
    tried, earned = np.array(list(product(*grid.values()))), []  # (K, settings)
    if not tried.size:
        raise ValueError(f"grid {grid} holds nothing to try: give one value or more of each")
    for world in worlds:
        each = np.repeat(tried, world.shape[0], axis=0)
        policy = family(**dict(zip(grid, each.T, strict=True)))
        total = play_flights(world.repeated(len(tried)), policy).total
        earned.append(total.reshape(len(tried), -1).mean(1))
    if not earned:
        raise ValueError("worlds: none; give one or more to tune on")
    earned = numbers(np.mean(earned, axis=0), "profit")
    best = earned.argmax()
    return dict(zip(grid, tried[best].tolist(), strict=True)), float(earned[best])


# One customer at a price


class LagrangianPlans:
    """The exact plan of each customer alone, when every flight costs an additional price.

    Explained in chapter ``budget-policy``.

    Parameters
    ----------
    forecast : Forecast
        Of N customers.
    weeks : int
        T, from 1 to 20; tables have :math:`2^{T - 1}` rows of N.

    Raises
    ------
    ValueError
        When the weeks are no such number; by `bound`, when the flights are not whole or negative;
        by `solve` and `policy`, when a price or a pacing is not finite, the prices are not one for
        all or one each, or a customer is not among the N.

    Examples
    --------
    Of two weeks; a flight earns 0.50 dollars with the first customer and 1.00 with the second.

    >>> import numpy as np
    >>> from pm_utils.decisions.budget_env import Forecast
    >>> from pm_utils.decisions.planning import LagrangianPlans
    >>> from pm_utils.market import TruthParameters
    >>> truth = TruthParameters(margin=0.5, impression_cost=0.0, fatigue=1e-9)
    >>> forecast = Forecast(
    ...     conversions=np.array([[0.1], [0.2]]), discount=np.zeros(1),
    ...     order_value=np.full(2, 10.0), order_rate=np.zeros(2), annoyance=np.zeros(2),
    ...     leaving=np.full(2, 1e-9), truth=truth, impressions=1,
    ... )
    >>> plans = LagrangianPlans(forecast, weeks=2)
    >>> plans.solve(price=0.75)[0]  # dollars: only the second is worth it, twice
    array([0. , 0.5])
    >>> bound, price = plans.bound(flights=2)
    >>> round(bound, 2)  # dollars a customer: both flights to the second
    1.0
    """

    def __init__(self, forecast: Forecast, weeks: int) -> None:
        weeks = int(whole_numbers(weeks, "weeks", low=1, high=20))
        self.forecast, self.weeks = forecast, weeks
        self.fatigue = lattice(forecast, weeks)
        self._tables = []
        for week, fatigue in enumerate(self.fatigue):
            tired = np.broadcast_to(fatigue[:, None], (len(fatigue), len(forecast)))
            value = forecast.immediate(tired, weeks - 1 - week)
            stays = (
                1 - forecast.leaving_probability(tired),
                1 - forecast.leaving_probability(tired + forecast.impressions),
            )
            self._tables.append((value[..., 0], value[..., 1:].max(-1), *stays))

    def solve(self, price: float | np.ndarray) -> tuple[np.ndarray, list[np.ndarray]]:
        """Return each customer's value and, by week, what a flight gains over none.

        Parameters
        ----------
        price : float or array of shape (N,)
            Dollars a flight, on top of what it costs; finite.

        Returns
        -------
        value : array of shape (N,)
            Dollars, the price taken off.
        gains : list of arrays of shape (2**t, N)
            In the order of `fatigue`.
        """
        price = numbers(numbered(price, "price"), "price")
        if price.shape not in ((), (len(self.forecast),)):
            told = f"price has shape {price.shape} for {len(self.forecast):,} customers"
            raise ValueError(f"{told}: give one for all or one for each")
        value, gains = np.zeros((2**self.weeks, len(self.forecast))), []
        for none, shown, stays, stays_shown in reversed(self._tables):
            rest = none + stays * value[0::2]
            send = shown - price + stays_shown * value[1::2]
            gains.append(send - rest)
            value = np.maximum(rest, send)
        return value[0], gains[::-1]

    def bound(self, flights: int) -> tuple[float, float]:
        """Return the least upper bound on the profit a customer under a budget, and its price.

        Parameters
        ----------
        flights : int
            B, for all N together.
        """
        n, flights = len(self.forecast), int(whole_numbers(flights, "flights"))
        highest = max(float((shown - none).max()) for none, shown, *_ in self._tables)
        worth = minimize_scalar(
            lambda price: self.solve(price)[0].mean() + price * flights / n,
            bounds=(0.0, max(highest, 0.0)),
            method="bounded",
            options={"xatol": 1e-4},
        )
        return float(worth.fun), float(worth.x)

    def policy(
        self,
        price: float | np.ndarray,
        pacing: float | np.ndarray = 0.0,
        *,
        customers: np.ndarray | None = None,
    ) -> FlightPolicy:
        """Return the policy that follows these plans; a price tuned by `pace` if asked for.

        The plans are solved for one price; pacing moves the threshold that a gain has to pass.

        Parameters
        ----------
        price : float or array of shape (N,)
            As in `solve`.
        pacing : float or array of shape (E,)
        customers : integer array of shape (E, n), optional
            Which of the N those of the E campaigns are; by default all in turn.
        """
        _, gains = self.solve(price)
        prices = np.broadcast_to(numbered(price, "price"), len(self.forecast))
        pacing = numbers(numbered(pacing, "pacing"), "pacing")
        if customers is not None:
            named = numbered(customers, "customers")
            customers = whole_numbers(named, "customers", high=len(self.forecast) - 1)

        def policy(episodes: Episodes, state: State) -> tuple[np.ndarray, np.ndarray]:
            who = customers
            if who is None:
                who = np.arange(np.prod(episodes.shape)).reshape(episodes.shape)
                who = who % len(self.forecast)
            elif who.shape != episodes.shape:
                raise ValueError(
                    f"customers is {who.shape}: give {episodes.shape}, one in each place"
                )
            cell = _nearest_history(self.fatigue[state.week], state.fatigue)
            gain = gains[state.week][cell, who]
            least_gain = prices[who] * (pace(episodes.campaign, state, pacing)[:, None] - 1)
            best = episodes.immediate(state)[..., 1:].argmax(-1) + 1
            return np.where(gain > least_gain, best, 0), gain

        return policy


def each_alone(price: float, pacing: float = 0.0) -> FlightPolicy:
    """Return the policy that plans for every customer alone, whoever they are, at a price.

    The plans are those of `LagrangianPlans`, solved when the policy first meets a forecast.

    Parameters
    ----------
    price, pacing : float
        As in `LagrangianPlans.policy`; both can be tuned on other customers.

    Raises
    ------
    ValueError
        When one is not one finite number.

    Examples
    --------
    Two flights over two weeks, which earn 0.50 dollars with the first customer and 1.00 with the
    second: at a price between the two, both go to the second.

    >>> import numpy as np
    >>> from pm_utils.decisions.budget_env import BudgetCampaign, Episodes, Forecast
    >>> from pm_utils.decisions.planning import each_alone, play_flights
    >>> from pm_utils.market import TruthParameters
    >>> truth = TruthParameters(margin=0.5, impression_cost=0.0, fatigue=1e-9)
    >>> forecast = Forecast(
    ...     conversions=np.array([[0.1], [0.2]]), discount=np.zeros(1),
    ...     order_value=np.full(2, 10.0), order_rate=np.zeros(2), annoyance=np.zeros(2),
    ...     leaving=np.full(2, 1e-9), truth=truth, impressions=1,
    ... )
    >>> episodes = Episodes(forecast, BudgetCampaign(weeks=2, impressions=1, flights=2))
    >>> play_flights(episodes, each_alone(price=0.75)).sent
    array([[1, 1]])
    """
    numbers(price, "price", ndim=0)
    numbers(pacing, "pacing", ndim=0)
    known: list[tuple[Forecast, FlightPolicy]] = []

    def policy(episodes: Episodes, state: State) -> tuple[np.ndarray, np.ndarray]:
        if not known or known[-1][0] is not episodes.forecast:
            plans = LagrangianPlans(episodes.forecast, episodes.campaign.weeks)
            known[:] = [(episodes.forecast, plans.policy(price, pacing))]
        return known[-1][1](episodes, state)

    return policy


def tune_plans(
    worlds: Sequence[Episodes], prices: Iterable[float], pacings: Iterable[float]
) -> dict[str, float]:
    """Return the price and the pacing of `each_alone` that earn most over some worlds.

    Parameters
    ----------
    worlds : sequence of Episodes
        For tuning only.
    prices, pacings : iterable of float
        What to try, every combination.

    Raises
    ------
    ValueError
        When there is no world or nothing to try, or a price, a pacing or a profit is not finite.

    Examples
    --------
    >>> import numpy as np
    >>> from pm_utils.decisions.budget_env import BudgetCampaign, Episodes, Forecast
    >>> from pm_utils.decisions.planning import tune_plans
    >>> from pm_utils.market import TruthParameters
    >>> truth = TruthParameters(margin=0.5, impression_cost=0.0, fatigue=1e-9)
    >>> forecast = Forecast(
    ...     conversions=np.array([[0.1], [0.2]]), discount=np.zeros(1),
    ...     order_value=np.full(2, 10.0), order_rate=np.zeros(2), annoyance=np.zeros(2),
    ...     leaving=np.full(2, 1e-9), truth=truth, impressions=1,
    ... )
    >>> worlds = [Episodes(forecast, BudgetCampaign(weeks=2, impressions=1, flights=2))]
    >>> tune_plans(worlds, prices=[0.0, 0.75, 2.0], pacings=[0.0])  # free flights go out at once
    {'price': 0.75, 'pacing': 0.0}
    """
    grid = {"prices": prices, "pacings": pacings}
    grid = [numbers(list(values), name, ndim=1).tolist() for name, values in grid.items()]
    tried = list(product(*grid))
    if not (tried and worlds):
        raise ValueError(f"{len(worlds)} worlds, {len(tried)} settings: give one or more of each")
    earned = np.zeros(len(tried))
    for world in worlds:
        plans = LagrangianPlans(world.forecast, world.campaign.weeks)
        for number, (price, pacing) in enumerate(tried):
            earned[number] += play_flights(world, plans.policy(price, pacing)).total.mean()
    price, pacing = tried[numbers(earned, "profit").argmax()]
    return {"price": price, "pacing": pacing}


def _nearest_history(levels: np.ndarray, fatigue: np.ndarray) -> np.ndarray:
    """Return the row of `lattice` whose fatigue (2**t,) is nearest to each fatigue (E, n)."""
    order = np.argsort(levels)
    middle = levels[order]
    return order[np.searchsorted((middle[1:] + middle[:-1]) / 2, fatigue)]


def lattice(forecast: Forecast, weeks: int) -> list[np.ndarray]:
    """Return the fatigue after every history of so many weeks: arrays of shape (2**t,).

    The row of a history is its bits, the latest week lowest; row j has the sequels 2 j, nothing
    shown, and 2 j + 1.

    Examples
    --------
    Flights have ten impressions, and a week keeps 70 % of the fatigue.

    >>> import numpy as np
    >>> from pm_utils.decisions.budget_env import Forecast
    >>> from pm_utils.decisions.planning import lattice
    >>> from pm_utils.market import TruthParameters
    >>> truth = TruthParameters(retention=0.7)
    >>> forecast = Forecast(
    ...     conversions=np.array([[0.1], [0.2]]), discount=np.zeros(1),
    ...     order_value=np.full(2, 10.0), order_rate=np.zeros(2), annoyance=np.zeros(2),
    ...     leaving=np.full(2, 1e-9), truth=truth, impressions=10,
    ... )
    >>> [fatigue.round(1).tolist() for fatigue in lattice(forecast, weeks=3)]
    [[0.0], [0.0, 7.0], [0.0, 7.0, 4.9, 11.9]]
    """
    levels = [np.zeros(1)]
    for _ in range(weeks - 1):
        both = np.stack([forecast.next_fatigue(levels[-1], sent) for sent in (0, 1)], axis=1)
        levels.append(both.ravel())
    return levels


# The small world, exactly


def small_optimum(forecast: Forecast, campaign: BudgetCampaign) -> tuple[float, FlightPolicy]:
    """Return the best expected profit of two customers who share a budget, and the policy.

    Backward over (week, both histories, who is there); the budget left is what the histories have
    not spent. For every state, all four choices of whom to send a flight; each gets their best ad.

    Explained in chapter ``budget-policy``.

    Parameters
    ----------
    forecast : Forecast
        Of two customers.
    campaign : BudgetCampaign

    Returns
    -------
    float
        Dollars, both customers together.
    FlightPolicy

    Raises
    ------
    ValueError
        When there are not two customers.

    Examples
    --------
    A flight earns 0.50 dollars with the first customer and 1.00 with the second, in either week:
    the best plan for two sends both to the second.

    >>> import numpy as np
    >>> from pm_utils.decisions.budget_env import BudgetCampaign, Forecast
    >>> from pm_utils.decisions.planning import exact_value, small_optimum
    >>> from pm_utils.market import TruthParameters
    >>> truth = TruthParameters(margin=0.5, impression_cost=0.0, fatigue=1e-9)
    >>> forecast = Forecast(
    ...     conversions=np.array([[0.1], [0.2]]), discount=np.zeros(1),
    ...     order_value=np.full(2, 10.0), order_rate=np.zeros(2), annoyance=np.zeros(2),
    ...     leaving=np.full(2, 1e-9), truth=truth, impressions=1,
    ... )
    >>> campaign = BudgetCampaign(weeks=2, impressions=1, flights=2)
    >>> optimum, policy = small_optimum(forecast, campaign)
    >>> round(optimum, 2)
    2.0
    >>> exact_value(forecast, campaign, policy)[1]  # the ad of each week and customer
    array([[0, 1],
           [0, 1]])
    """
    if len(forecast) != 2:
        raise ValueError(f"{len(forecast)} customers: the exact plan is for two")
    levels = lattice(forecast, campaign.weeks)
    value = {there: np.zeros((2**campaign.weeks,) * 2) for there in _SUBSETS}
    plans = []
    for week in reversed(range(campaign.weeks)):
        fatigue = levels[week]
        after = campaign.weeks - 1 - week
        now = forecast.immediate(np.repeat(fatigue[:, None], 2, axis=1), after)
        earned = np.stack([now[..., 0], now[..., 1:].max(-1)], axis=-1)  # (2**t, n, send)
        leaves = [
            forecast.leaving_probability(np.repeat(f[:, None], 2, axis=1))
            for f in (fatigue, fatigue + campaign.impressions)
        ]
        spent = _flights_sent(week)
        left = campaign.flights - spent[:, None] - spent[None, :]
        values = {there: _choice_values(there, earned, leaves, left, value) for there in _SUBSETS}
        value = {there: each.max(0) for there, each in values.items()}
        plans.append({there: each.argmax(0) for there, each in values.items()})
    plans = plans[::-1]

    def policy(episodes: Episodes, state: State) -> tuple[np.ndarray, np.ndarray]:
        if forecast.truth.retention:
            cell = np.abs(state.fatigue[..., None] - levels[state.week]).argmin(-1)  # (E, 2)
        else:  # nothing tells the histories apart: take any that have spent as much
            spent = campaign.flights - state.flights_left
            first = np.minimum(spent, state.week)
            cell = 2 ** np.stack([first, spent - first], axis=1) - 1
        tables = np.stack([plans[state.week][there] for there in _SUBSETS])
        choice = tables[state.alive @ [2, 1], cell[:, 0], cell[:, 1]]
        best = episodes.immediate(state)[..., 1:].argmax(-1) + 1
        return best * np.array(_SUBSETS)[choice], np.zeros(episodes.shape)

    return float(value[True, True][0, 0]), policy


_SUBSETS = tuple(product((False, True), repeat=2))
IMPOSSIBLE = -1e9  # dollars, the value of what cannot be done


def _flights_sent(week: int) -> np.ndarray:
    """Return the number of flights in every history of so many weeks → (2**week,)."""
    histories = np.arange(2**week)
    return sum((histories >> bit & 1 for bit in range(week)), np.zeros_like(histories))


def _choice_values(
    there: tuple[bool, bool],
    earned: np.ndarray,
    leaves: list[np.ndarray],
    left: np.ndarray,
    value: dict[tuple[bool, bool], np.ndarray],
) -> np.ndarray:
    """Return the value of sending nobody, the second, the first, both → (4, 2**t, 2**t)."""
    found = []
    for send in _SUBSETS:
        action_mask = (left >= sum(send)) & all(np.array(there) | ~np.array(send))
        total = sum(
            there[i] * earned[:, i, int(send[i])].reshape((-1, 1) if i == 0 else (1, -1))
            for i in range(2)
        )
        total = total + np.zeros_like(left)
        for stays in _SUBSETS:
            probability = 1.0
            for i in range(2):
                gone = leaves[int(send[i])][:, i].reshape((-1, 1) if i == 0 else (1, -1))
                kept = (1 - gone if stays[i] else gone) if there[i] else float(not stays[i])
                probability = probability * kept
            sequel = value[stays][int(send[0]) :: 2, int(send[1]) :: 2]
            total = total + probability * sequel
        found.append(np.where(action_mask, total, IMPOSSIBLE))
    return np.stack(found)


def exact_value(
    forecast: Forecast, campaign: BudgetCampaign, policy: FlightPolicy
) -> tuple[float, np.ndarray]:
    """Return a deterministic policy's expected profit over all ways in which customers may leave.

    Explained in chapter ``budget-policy``.

    Parameters
    ----------
    forecast : Forecast
        Of the few customers of one campaign.
    campaign : BudgetCampaign
    policy : FlightPolicy

    Returns
    -------
    float
        Dollars, all customers together.
    array of shape (weeks, n)
        The action of each week if nobody leaves.

    Examples
    --------
    Greedy spends both flights in the first week: 0.50 dollars from one customer, 1.00 from the
    other.

    >>> import numpy as np
    >>> from pm_utils.decisions.budget_env import BudgetCampaign, Forecast
    >>> from pm_utils.decisions.planning import exact_value, greedy
    >>> from pm_utils.market import TruthParameters
    >>> truth = TruthParameters(margin=0.5, impression_cost=0.0, fatigue=1e-9)
    >>> forecast = Forecast(
    ...     conversions=np.array([[0.1], [0.2]]), discount=np.zeros(1),
    ...     order_value=np.full(2, 10.0), order_rate=np.zeros(2), annoyance=np.zeros(2),
    ...     leaving=np.full(2, 1e-9), truth=truth, impressions=1,
    ... )
    >>> campaign = BudgetCampaign(weeks=2, impressions=1, flights=2)
    >>> profit, actions = exact_value(forecast, campaign, greedy)
    >>> round(profit, 2)
    1.5
    >>> actions
    array([[1, 1],
           [0, 0]])
    """
    value, path = exact_values(forecast, campaign, lambda plan: policy, plans=1)
    return float(value[0]), path[:, 0]


def exact_values(
    forecast: Forecast,
    campaign: BudgetCampaign,
    policy_of: Callable[[np.ndarray], FlightPolicy],
    *,
    plans: int,
) -> tuple[np.ndarray, np.ndarray]:
    """Return `exact_value` of many policies side by side, each with customers of its own.

    Parameters
    ----------
    forecast : Forecast
        Of P times n customers, plan after plan.
    campaign : BudgetCampaign
    policy_of : callable
        From the plan that each of E campaigns belongs to, an array (E,), to a policy for them all.
    plans : int
        P.

    Raises
    ------
    ValueError
        When the customers cannot be divided into so many plans.

    Returns
    -------
    array of shape (P,)
        Dollars, all n customers together.
    array of shape (weeks, P, n)
        The actions if nobody leaves.
    """
    whole_numbers(plans, "plans", low=1)
    if not len(forecast) or len(forecast) % plans:
        raise ValueError(f"{len(forecast)} customers for {plans} plans: give each as many")
    n, plan = len(forecast) // plans, np.arange(plans)
    probability, total, path = np.ones(plans), np.zeros(plans), []
    state = Episodes(forecast, campaign, episodes=plans).start()
    stays = np.array(list(product((True, False), repeat=n)))  # all stay first
    for _ in range(campaign.weeks):
        known = forecast.take((plan[:, None] * n + np.arange(n)).ravel())
        episodes = Episodes(known, campaign, episodes=len(plan))
        action, priority = policy_of(plan)(episodes, state)
        later, step = episodes.step(state, action, priority)
        total += np.bincount(plan, probability * step.reward.sum(1), minlength=plans)
        first = np.searchsorted(plan, np.arange(plans))
        path.append(np.where(step.sent, action, 0)[first])
        strain = state.fatigue + campaign.impressions * step.sent
        leaves = known.leaving_probability(strain.ravel()).reshape(strain.shape)
        branch = np.where(stays, 1 - leaves[:, None], leaves[:, None])  # (E, branches, n)
        branch = np.where(state.alive[:, None], branch, ~stays).prod(-1) * probability[:, None]
        kept, which = np.nonzero(branch)
        probability, plan = branch[kept, which], plan[kept]
        state = State(
            later.week,
            later.flights_left[kept],
            later.fatigue[kept],
            state.alive[kept] & stays[which],
        )
    return total, np.array(path)
