r"""The closed loop on the market's side: rounds of a campaign, what they earn, how that is seen.

A campaign has rounds of some weeks. At its start a random part of the customers is held out for
good. Every week a strategy says whom to show which ad how often, within a budget of impressions
that is the same for all strategies; before each round it learns from the log. `Strategy` says
what a strategy has to have, and shows how to write one.

**Incremental profit** of a week, against never sending anything, in the symbols of
`pm_utils.market.truth`: a customer with fatigue F gets k impressions of ad c, so that
:math:`G = F + k`, and

.. math::
    \underbrace{V (m r - \pi d_c) \sum_{j < k} e^{-\phi (F + j)} P_{ic}(\text{order})}_{
      \text{margin of incremental orders less discounts}}
    - \underbrace{m V \lambda (1 - e^{-a G})}_{\text{organic orders lost}}
    - \underbrace{(h(G) - h(0)) \, W}_{\text{customers who leave because of ads}}
    - \underbrace{k \, \text{cost}}_{\text{contacts}}, \qquad
    r = 1 - \chi (1 - e^{-\lambda e^{-a G}}).

h is the chance to leave at the end of the week, W the organic profit of the weeks of the campaign
that are left. It is an expectation: the luck of clicks and orders is not in it, but the state that
earlier luck led to is. Orders that come late are booked in the week of their ad.
"""

from dataclasses import dataclass, field
from typing import Protocol, runtime_checkable

import numpy as np

from pm_utils.inputs import aligned, booleans, like, numbers, probabilities, whole_numbers
from pm_utils.market import Market, WeekOutcome
from pm_utils.market.dynamics import MarketState
from pm_utils.measurement.ab_tests import Comparison, cuped, two_means

ASSIGN_STREAM = 1301


@dataclass(frozen=True)
class Campaign:
    """What all strategies have in common.

    Explained in chapter ``closed-loop``.

    Attributes
    ----------
    rounds, weeks : int
        Rounds, and weeks in each.
    budget : float
        Impressions per customer who is not held out, and week.
    frequency_cap : int
        Impressions that one customer may get in a week.
    holdout : float
        Share of the customers who never get an ad.

    Raises
    ------
    ValueError
        When there is no round, week or impression, a number is not whole or not finite, or the
        holdout is no share between 0 and 1.

    Examples
    --------
    With 80 of 100 customers treated, a round of three weeks has 480 impressions to give.

    >>> from pm_utils.loop.campaign import Campaign
    >>> campaign = Campaign(weeks=3, budget=2.0, holdout=0.2)
    >>> campaign.budget * campaign.weeks * 80
    480.0
    >>> Campaign(holdout=1.0)
    Traceback (most recent call last):
        ...
    ValueError: holdout is 1.0: give a share between 0 and 1
    """

    rounds: int = 5
    weeks: int = 3
    budget: float = 2.0
    frequency_cap: int = 6
    holdout: float = 0.2

    def __post_init__(self) -> None:
        """Check that there is something to do and somebody on either side."""
        for name in ("rounds", "weeks", "frequency_cap"):
            whole_numbers(getattr(self, name), name, low=None)
        numbers(self.budget, "budget")
        if min(self.rounds, self.weeks, self.frequency_cap) < 1 or self.budget <= 0:
            raise ValueError(f"{self}: give at least one round, week and impression, and a budget")
        if not 0 < self.holdout < 1:
            raise ValueError(f"holdout is {self.holdout}: give a share between 0 and 1")


@dataclass(frozen=True, eq=False)
class WeekView:
    """What a strategy knows when it decides: arrays of shape (N,).

    Attributes
    ----------
    round, week : int
        From 0; the week within the round.
    treated, reachable : bool
        Who may be addressed, and who has not left (mail to those comes back).
    fatigue : float64
        Ads lately seen, fading week by week.
    budget : int
        Impressions left in this round.

    Raises
    ------
    ValueError
        When the arrays differ in customers, it is neither 0 nor 1 who is treated or reachable, or
        a fatigue is negative or not finite. Pandas' rows are matched by index.

    Examples
    --------
    The second customer has left, the third is held out.

    >>> import numpy as np
    >>> from pm_utils.loop.campaign import WeekView
    >>> treated, reachable = np.array([True, True, False]), np.array([True, False, True])
    >>> WeekView(0, 0, treated, reachable, fatigue=np.zeros(3), budget=6).eligible.tolist()
    [True, False, False]
    """

    round: int
    week: int
    treated: np.ndarray
    reachable: np.ndarray
    fatigue: np.ndarray
    budget: int

    def __post_init__(self) -> None:
        """Check once what strategies will read."""
        names = ("treated", "reachable", "fatigue")
        given = aligned(**{name: getattr(self, name) for name in names})
        for name, part in zip(names, given, strict=True):
            known = numbers(part, name, low=0) if name == "fatigue" else booleans(part, name)
            object.__setattr__(self, name, known)

    @property
    def eligible(self) -> np.ndarray:
        """Who can be sent an ad → (N,) bool."""
        return self.treated & self.reachable


@dataclass(eq=False)
class Log:
    """A campaign so far; `rows` and `arrivals` give of it what the shop sees by now.

    Attributes
    ----------
    treated : (N,) bool
    shown : list of dict of arrays of shape (n,)
        For each week, a row per customer who saw an ad: ``customer``, ``creative``,
        ``impressions``, ``fatigue`` (before the week), ``clicks``, ``conversions`` (orders that
        follow these clicks, also those still to come) and ``late`` of shape (n, L - 1): how many of
        them come 1, 2, ... weeks after the click. Without ``late``, all come in its week.
    orders, profit : lists of arrays of shape (N,)
        For each week, orders and profit of every customer, be they due to an ad or not.
    weeks : int
        In a round.

    Examples
    --------
    >>> import numpy as np
    >>> from pm_utils.loop.campaign import Log
    >>> log = Log(treated=np.array([True, True, False]), weeks=1)
    >>> log.shown.append({"customer": np.array([0, 1]), "clicks": np.array([1, 0])})
    >>> log.shown.append({"customer": np.array([1]), "clicks": np.array([1])})
    >>> {name: column.tolist() for name, column in log.rows().items()}
    {'customer': [0, 1, 1], 'clicks': [1, 0, 1], 'week': [0, 0, 1]}
    >>> log.rows(first=1)["week"].tolist()  # weeks keep their number
    [1]

    Of two orders after the clicks of a week, one comes a week later: until then nobody knows of it.

    >>> log = Log(treated=np.array([True, False]), weeks=1)
    >>> one, two, none = np.array([0]), np.array([2]), np.zeros(0, int)
    >>> log.shown.append({"customer": one, "conversions": two, "late": np.array([[1, 0, 0]])})
    >>> log.rows()["conversions"].tolist()
    [1]
    >>> log.shown.append({"customer": none, "conversions": none, "late": np.zeros((0, 3), int)})
    >>> log.rows()["conversions"].tolist()
    [2]
    >>> log.arrivals().tolist()  # by week and customer
    [[1.0, 0.0], [1.0, 0.0]]
    """

    treated: np.ndarray
    weeks: int
    shown: list[dict[str, np.ndarray]] = field(default_factory=list)
    orders: list[np.ndarray] = field(default_factory=list)
    profit: list[np.ndarray] = field(default_factory=list)

    def rows(self, first: int = 0, last: int | None = None) -> dict[str, np.ndarray]:
        """Return the rows of some weeks as one table, with their ``week``.

        Orders that have not come by the end of the log are not in ``conversions``.

        Raises
        ------
        ValueError
            When there is no such week, or the columns of one differ in rows.
        """
        parts = self.shown[first:last]
        if not parts:
            raise ValueError(f"the log has {len(self.shown)} weeks, none from {first} to {last}")
        for number, part in enumerate(parts, first):
            if len({len(column) for column in part.values()}) > 1:
                told = ", ".join(f"{name} {len(column):,}" for name, column in part.items())
                raise ValueError(f"week {number}: {told} rows; give as many of each")
        rows = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
        weeks = first + np.arange(len(parts))
        week = np.repeat(weeks, [len(part["customer"]) for part in parts])
        if "late" in rows:
            late = rows.pop("late")
            to_come = week[:, None] + np.arange(1, late.shape[1] + 1) >= len(self.shown)
            rows["conversions"] = rows["conversions"] - (late * to_come).sum(1)
        return rows | {"week": week}

    def until(self, week: int) -> "Log":
        """Return what was known when a week began.

        Raises
        ------
        ValueError
            When the log is shorter.
        """
        week = int(whole_numbers(week, "week", high=len(self.shown)))
        parts = (self.shown[:week], self.orders[:week], self.profit[:week])
        return Log(self.treated, self.weeks, *parts)

    def arrivals(self) -> np.ndarray:
        """Return orders that followed a click, in the week in which they came → (weeks, N)."""
        came = np.zeros((len(self.shown), len(self.treated)))
        for week, part in enumerate(self.shown):
            late = part.get("late", np.zeros((len(part["customer"]), 0)))
            by_week = [part["conversions"] - late.sum(1), *late.T]
            for after, orders in enumerate(by_week[: len(came) - week]):
                np.add.at(came[week + after], part["customer"], orders)
        return came


@runtime_checkable
class Strategy(Protocol):
    """Who gets which ad how often: whatever has these two methods can run a campaign.

    Nothing needs to be inherited. In a campaign, `learn` is called before each round and `send` in
    each of its weeks, always for all N customers.

    Examples
    --------
    In the first round this one shows the ads in turn, later the one with most clicks so far.

    >>> import numpy as np
    >>> from pm_utils.loop.campaign import Campaign, run_campaign
    >>> from pm_utils.market import Market, random_creatives
    >>> class MostClicked:
    ...     def __init__(self, n_ads):
    ...         self.n_ads, self.best = n_ads, None
    ...
    ...     def learn(self, log):
    ...         if log.shown:  # not before the first round
    ...             rows = log.rows()
    ...             clicks = np.bincount(rows["creative"], rows["clicks"], minlength=self.n_ads)
    ...             self.best = clicks.argmax()
    ...
    ...     def send(self, observation):
    ...         eligible = observation.eligible
    ...         everybody = np.arange(len(eligible))
    ...         ads = everybody % self.n_ads if self.best is None else 0 * everybody + self.best
    ...         once = eligible & (np.cumsum(eligible) <= observation.budget)
    ...         return ads, once.astype(int)
    >>> market = Market(60, seed=0, creatives=random_creatives(3, np.random.default_rng(0)))
    >>> done = run_campaign(market, MostClicked(3), Campaign(rounds=2, weeks=2))
    >>> done.true_profit.shape  # dollars per treated customer, a number for each round
    (2,)
    >>> len(done.log.shown)  # weeks
    4
    """

    def learn(self, log: Log) -> None:
        """Take in all that happened so far; called before each round.

        Parameters
        ----------
        log : Log
            Without any week before the first round.
        """

    def send(self, observation: WeekView) -> tuple[np.ndarray, np.ndarray]:
        """Decide about a week; called in each week of a round.

        Parameters
        ----------
        observation : WeekView

        Returns
        -------
        ads : array of shape (N,), int
            From 0 to M - 1, -1 for none.
        impressions : array of shape (N,), int
            How often each customer sees the ad this week: at most ``Campaign.frequency_cap``, 0
            for those held out, ``observation.budget`` in all. Those who have left see nothing and
            cost nothing.
        """


@dataclass(frozen=True, eq=False)
class Run:
    """What a campaign brought.

    Attributes
    ----------
    true_profit : (rounds,)
        True incremental profit per treated customer, dollars.
    impressions : (rounds,)
        Shown per treated customer.
    log : Log
    """

    true_profit: np.ndarray
    impressions: np.ndarray
    log: Log


def assign(n_customers: int, seed: int, share: float) -> np.ndarray:
    """Return who is treated, all but a random share of exactly that size → (N,) bool.

    Raises
    ------
    ValueError
        When there is no customer, or the share lies outside [0, 1].

    Examples
    --------
    The same seed holds out the same customers.

    >>> from pm_utils.loop.campaign import assign
    >>> treated = assign(10, seed=0, share=0.2)
    >>> int(treated.sum())
    8
    >>> bool((treated == assign(10, seed=0, share=0.2)).all())
    True
    """
    whole_numbers(n_customers, "n_customers", low=1), numbers(share, "share", low=0, high=1)
    order = np.random.default_rng([seed, ASSIGN_STREAM]).permutation(n_customers)
    return order >= round(share * n_customers)


def incremental_profit(
    market: Market,
    customer: np.ndarray,
    creative: np.ndarray,
    impressions: np.ndarray,
    fatigue: np.ndarray,
    *,
    weeks_after: int = 0,
) -> np.ndarray:
    """Return the expected incremental profit of a week by the module's formula.

    Explained in chapter ``closed-loop``.

    Parameters
    ----------
    market : Market
    customer, creative, impressions : arrays of shape (n,), int
        Ad -1 and no impressions are nothing: what remains is the cost of earlier ads.
    fatigue : array of shape (n,)
        At the start of the week.
    weeks_after : int
        Weeks that are left, in which a customer who leaves because of ads orders nothing.

    Returns
    -------
    array of shape (n,), dollars

    Raises
    ------
    ValueError
        When a customer or an ad is none of the market's, impressions or weeks are negative or not
        whole, a fatigue is negative or not finite, or the arrays differ in rows.

    Examples
    --------
    Nothing sent to the rested changes nothing. Five ads in a week earn less than five times one.

    >>> import numpy as np
    >>> from pm_utils.loop.campaign import incremental_profit
    >>> from pm_utils.market import Market, random_creatives
    >>> market = Market(2, seed=0, creatives=random_creatives(3, np.random.default_rng(0)))
    >>> who, rested = np.arange(2), np.zeros(2)
    >>> bool(incremental_profit(market, who, np.full(2, -1), np.zeros(2, int), rested).any())
    False
    >>> one, five = (incremental_profit(market, who, who, np.full(2, k), rested) for k in (1, 5))
    >>> bool((five < 5 * one).all())
    True
    """
    truth, hidden = market.truth, market.truth_of_customers
    customer, creative, impressions, fatigue = aligned(
        customer=customer, creative=creative, impressions=impressions, fatigue=fatigue
    )
    customer = whole_numbers(customer, "customer", high=market.n_customers - 1)
    creative = whole_numbers(creative, "creative", low=-1, high=len(market.creatives) - 1)
    impressions = whole_numbers(impressions, "impressions")
    fatigue = numbers(fatigue, "fatigue", low=0, ndim=1)
    weeks_after = int(whole_numbers(weeks_after, "weeks_after"))
    k = np.where(creative >= 0, impressions, 0)
    rate, value = hidden.order_rate[customer], hidden.order_value[customer]
    organic = rate * np.exp(-hidden.annoyance[customer] * (fatigue + k))
    kept = 1 - truth.displacement * (1 - np.exp(-organic))
    profit = truth.margin * value * (organic - rate) - truth.impression_cost * k
    base = hidden.leaving[customer]
    leaving = np.minimum(base * np.exp(truth.leaving_fatigue * (fatigue + k)), 1) - base
    profit -= leaving * truth.margin * value * rate * weeks_there(base, weeks_after)
    rows = np.flatnonzero(k)
    who, ad = customer[rows], creative[rows]
    order = market.click_probability(who, ad).astype(float) * market.conversion_probability(who, ad)
    decay = np.exp(-truth.fatigue)
    seen = k[rows]  # as many as are shown, where ads do not tire
    if decay < 1:
        seen = decay ** fatigue[rows] * (1 - decay ** k[rows]) / (1 - decay)
    per_order = value[rows] * (truth.margin * kept[rows] - market.promoted_discount[ad])
    profit[rows] += seen * order * per_order
    return profit


def weeks_there(leaving: np.ndarray, weeks: int) -> np.ndarray:
    """Return how many of so many weeks customers are expected to be there, the first included.

    Parameters
    ----------
    leaving : array of shape (n,)
        Chance to leave at the end of a week.
    weeks : int

    Raises
    ------
    ValueError
        When a chance lies outside [0, 1], or the weeks are negative or not whole.

    Examples
    --------
    >>> import numpy as np
    >>> from pm_utils.loop.campaign import weeks_there
    >>> weeks_there(np.array([0.0, 0.5, 1.0]), weeks=3).tolist()  # 1 + 1/2 + 1/4
    [3.0, 1.75, 1.0]
    """
    given, weeks = probabilities(leaving, "leaving"), int(whole_numbers(weeks, "weeks"))
    there = np.full(np.shape(given), float(weeks))  # of who never leaves
    np.divide(1 - (1 - given) ** weeks, given, out=there, where=given > 0)
    return like(there, leaving)


def exploration_profit(market: Market, banners: float, weeks: int) -> float:
    """Return what random banners before a campaign earn per customer: a loss, as a rule, dollars.

    Every week each customer sees banners / weeks of them, ads drawn evenly. Their orders, contacts,
    fatigue and annoyance count as in the module's formula; nobody leaves, as in the order history.

    Explained in chapter ``closed-loop``.

    Parameters
    ----------
    market : Market
    banners : float
        Per customer, over all weeks.
    weeks : int

    Returns
    -------
    float
        Mean over customers.

    Raises
    ------
    ValueError
        When the banners are negative or not finite, or the weeks are not whole or below 1.

    Examples
    --------
    The more a week, the more they tire.

    >>> import numpy as np
    >>> from pm_utils.loop.campaign import exploration_profit
    >>> from pm_utils.market import Market, random_creatives
    >>> market = Market(50, seed=0, creatives=random_creatives(3, np.random.default_rng(0)))
    >>> exploration_profit(market, 0, weeks=52)
    0.0
    >>> few, many = (exploration_profit(market, banners, weeks=52) for banners in (52, 520))
    >>> many < 10 * few
    True
    """
    banners = float(numbers(banners, "banners", low=0))
    weeks = int(whole_numbers(weeks, "weeks", low=1))
    truth, hidden, k = market.truth, market.truth_of_customers, banners / weeks
    who, ads = np.arange(market.n_customers)[:, None], np.arange(len(market.creatives))
    order = market.click_probability(who, ads) * market.conversion_probability(who, ads)
    mean, discount = order.mean(1), order @ market.promoted_discount / len(ads)
    rate, value = hidden.order_rate, hidden.order_value
    decay = np.exp(-truth.fatigue)
    fatigue, total = 0.0, np.zeros(market.n_customers)
    for _ in range(weeks):
        organic = rate * np.exp(-hidden.annoyance * (fatigue + k))
        kept = 1 - truth.displacement * (1 - np.exp(-organic))
        seen = decay**fatigue * (1 - decay**k) / (1 - decay) if decay < 1 else k
        total += seen * value * (truth.margin * kept * mean - discount)
        total += truth.margin * value * (organic - rate) - truth.impression_cost * k
        fatigue = truth.retention * (fatigue + k)
    return float(total.mean())


def run_campaign(market: Market, strategy: Strategy, campaign: Campaign) -> Run:
    """Let a strategy run a campaign.

    Explained in chapter ``closed-loop``.

    Parameters
    ----------
    market : Market
        Its seed decides who is held out, and all luck: strategies meet the same.
    strategy : Strategy
        One of `pm_utils.loop.strategies`, or of one's own.
    campaign : Campaign

    Returns
    -------
    Run

    Raises
    ------
    ValueError
        When a strategy addresses a held-out customer, spends more than there is, or names an ad or
        a number of impressions that cannot be.
    """
    treated = assign(market.n_customers, market.seed, campaign.holdout)
    state, log = market.rested(), Log(treated, campaign.weeks)
    everyone, size = np.arange(market.n_customers), treated.sum()
    true, shown = np.zeros(campaign.rounds), np.zeros(campaign.rounds)
    for t in range(campaign.rounds):
        strategy.learn(log)
        left = int(campaign.budget * campaign.weeks * size)
        for week in range(campaign.weeks):
            observation = WeekView(t, week, treated, state.alive, state.fatigue, left)
            creative, impressions = strategy.send(observation)
            _, creative, impressions = aligned(
                customers=everyone, ads=creative, impressions=impressions
            )
            creative = whole_numbers(creative, "ads", low=-1, high=len(market.creatives) - 1)
            impressions = whole_numbers(impressions, "impressions")
            impressions = np.where(state.alive & (creative >= 0), impressions, 0)
            left -= int(impressions.sum())
            _check(impressions, treated, campaign, left)
            left_over = (campaign.rounds - t) * campaign.weeks - week - 1
            profit = incremental_profit(
                market, everyone, creative, impressions, state.fatigue, weeks_after=left_over
            )
            true[t] += profit[treated & state.alive].sum() / size
            shown[t] += impressions.sum() / size
            before = state
            state, out = market.step(state, creative, impressions)
            _note(log, creative, before, state, out)
    return Run(true, shown, log)


def _check(impressions: np.ndarray, treated: np.ndarray, campaign: Campaign, left: int) -> None:
    if impressions[~treated].any():
        raise ValueError("an ad for a held-out customer: send them -1")
    if left < 0 or impressions.max(initial=0) > campaign.frequency_cap:
        raise ValueError("more impressions than the budget or a customer's week allows")


def _note(
    log: Log, creative: np.ndarray, before: MarketState, after: MarketState, out: WeekOutcome
) -> None:
    """Add a week to the log: only what a shop can see, now or once the orders have come.

    What the week has added to the orders due later comes late. An order that an ad displaces would
    have come in the week of the click anyway, and does.
    """
    who = np.flatnonzero(out.impressions)
    row = {"customer": who, "creative": creative[who], "impressions": out.impressions[who]}
    row |= {"fatigue": before.fatigue[who], "clicks": out.clicks[who]}
    late = (after.pending[:, :-1, 0] - before.pending[:, 1:, 0])[who].round().astype(int)
    log.shown.append(row | {"conversions": out.conversions[who], "late": late})
    log.orders.append(out.organic_orders + out.ad_orders)
    log.profit.append(out.profit)


def estimate(log: Log, before: np.ndarray, weeks: slice = slice(None)) -> Comparison:
    """Estimate the incremental profit per treated customer from the holdout.

    Parameters
    ----------
    log : Log
    before : array of shape (N,)
        Each customer's profit per week before the campaign, for CUPED.
    weeks : slice
        Weeks that count, by default all.

    Returns
    -------
    Comparison
        Treated minus held out, dollars, with the 95 % interval of Welch.

    Raises
    ------
    ValueError
        When there is no week, a number is not finite, an arm is empty or the customers differ in
        number.

    Examples
    --------
    Every treated customer earned half a dollar more. Here profit before the campaign explains most
    of how customers differ; where it is of no use, the interval is wider.

    >>> import numpy as np
    >>> from pm_utils.loop.campaign import Log, estimate
    >>> log = Log(treated=np.array([True, True, True, False, False, False]), weeks=1)
    >>> log.profit.append(np.array([1.6, 2.4, 3.5, 1.1, 2.0, 2.9]))
    >>> found = estimate(log, before=np.array([1.0, 2, 3, 1, 2, 3]))
    >>> round(found.difference, 2)
    0.5
    >>> blunt = estimate(log, before=np.array([0.0, 1, 0, 0, 1, 0]))
    >>> found.high - found.low < blunt.high - blunt.low
    True
    """
    if not log.profit[weeks]:
        raise ValueError(f"the log has {len(log.profit)} weeks, none of them in {weeks}")
    profit, before, treated = aligned(
        profit=np.sum(log.profit[weeks], axis=0), before=before, treated=log.treated
    )
    profit, before = numbers(profit, "profit", ndim=1), numbers(before, "before", ndim=1)
    return two_means(cuped(profit, before), booleans(treated, "treated"))


def impact_estimates(done: Run, before: np.ndarray) -> list[Comparison]:
    """Estimate every round of a run, then the whole.

    Examples
    --------
    Two rounds of one week, then both together.

    >>> import numpy as np
    >>> from pm_utils.loop.campaign import Log, Run, impact_estimates
    >>> log = Log(treated=np.array([True, True, False, False]), weeks=1)
    >>> log.profit += [np.array([2.0, 5, 1, 3]), np.array([5.0, 7, 2, 6])]
    >>> done = Run(true_profit=np.zeros(2), impressions=np.zeros(2), log=log)
    >>> found = impact_estimates(done, before=np.array([1.0, 2, 1, 2]))
    >>> [round(each.difference, 2) for each in found]
    [1.5, 2.0, 3.5]
    """
    weeks, rounds = done.log.weeks, len(done.true_profit)
    parts = [slice(t * weeks, (t + 1) * weeks) for t in range(rounds)]
    return [estimate(done.log, before, part) for part in [*parts, slice(None)]]
