"""The experiments of chapter 12: pairs who share a budget, a crowd, and a log.

All policies are handed the true `Forecast` of what a flight brings in its week. The chapter asks
what is left to plan when that is known: which weeks, which customers, what to keep for later.
"""

import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
import torch

from pm_utils.decisions import planning, q_learning
from pm_utils.decisions.budget_env import (
    BudgetCampaign,
    BudgetEnv,
    Episodes,
    Forecast,
    State,
    within_budget,
)
from pm_utils.decisions.networks import DeepQPolicy
from pm_utils.decisions.planning import FlightPolicy
from pm_utils.decisions.q_learning import FlightLog, JointView, PricedView, QLearningConfig
from pm_utils.inputs import whole_numbers
from pm_utils.learning.diagnostics import switching_share
from pm_utils.learning.training import History
from pm_utils.market import Market
from pm_utils.measurement import off_policy
from pm_utils.page.scoreboard import Contest

NETWORK_KINDS = ("network", "cut for an end", "null")  # of the networks that `learn_pairs` trains
POLICY_KINDS = {  # of the policies that are no rules
    **dict.fromkeys(("random", "always send", "highest chance", "the log"), "naive"),
    "shuffled rewards": "null",
}
PACINGS = (0.0, 2.0, 4.0, 8.0, 16.0, 32.0)
WEEKS = (2, 3, 4, 8)  # in which a frequency cap allows one flight


def with_menu(market: Market, campaign: BudgetCampaign, ads: int) -> Market:
    """Return the market with the few ads that are the most profitable one for most customers.

    Explained in chapter ``budget-policy``.

    Parameters
    ----------
    market : Market
    campaign : BudgetCampaign
        One flight of it is what has to pay.
    ads : int
        M, how many stay.
    """
    best = first_flight(Forecast.of(market, campaign.impressions), campaign).argmax(1)
    often = np.bincount(best, minlength=len(market.creatives))
    return market.with_creatives(market.creatives.take(np.sort(np.argsort(-often)[:ads])))


def first_flight(forecast: Forecast, campaign: BudgetCampaign) -> np.ndarray:
    """Return what a flight of each ad gains over none in the first week → (N, M), dollars.

    Explained in chapter ``budget-policy``.
    """
    value = forecast.immediate(np.zeros(len(forecast)), campaign.weeks - 1)
    return value[:, 1:] - value[:, :1]


def market_pays(
    market: Market, campaign: BudgetCampaign, policy: FlightPolicy, runs: int
) -> np.ndarray:
    """Play campaigns in the market itself, each beside its twin without ads.

    Explained in chapter ``budget-policy``.

    Parameters
    ----------
    market : Market
    campaign : BudgetCampaign
    policy : FlightPolicy
    runs : int
        Campaigns; each has random events of its own, shared with its twin.

    Returns
    -------
    array of shape (runs,)
        Booked profit against no ads, dollars a customer.
    """
    env, forecast = BudgetEnv(market, campaign), Forecast.of(market, campaign.impressions)
    episodes, found = Episodes(forecast, campaign), []
    for run in range(runs):
        earned = []
        for rule in (policy, planning.nobody):
            env.reset(seed=run)
            total, over, left = 0.0, False, campaign.flights
            while not over:
                now = env.state
                seen = State(now.week, np.array([left]), now.fatigue[None], now.alive[None])
                wanted, priority = rule(episodes, seen)
                within = within_budget((wanted > 0) & seen.alive, seen.flights_left, priority)
                action = np.where(within, wanted, 0)[0]
                _, reward, over, _, info = env.step(action)
                total, left = total + reward, info["left"]
            earned.append(total / market.n_customers)
        found.append(earned[0] - earned[1])
    return np.array(found)


# Two customers who share a budget


def draw_pairs(
    forecast: Forecast, campaign: BudgetCampaign, pairs: int, seed: int
) -> list[Forecast]:
    """Draw pairs of customers from the third for whom a first flight gains most.

    Explained in chapter ``budget-policy``.

    Parameters
    ----------
    forecast : Forecast
    campaign : BudgetCampaign
    pairs : int
    seed : int

    Returns
    -------
    list of Forecasts of two customers each
    """
    gain = first_flight(forecast, campaign).max(1)
    third = np.flatnonzero(gain >= np.quantile(gain, 2 / 3))
    drawn = np.random.default_rng([seed, 12]).choice(third, (pairs, 2), replace=False)
    return [forecast.take(pair) for pair in drawn]


def best_threshold(pair: Forecast, campaign: BudgetCampaign, levels: int = 16) -> FlightPolicy:
    """Return the threshold with pacing that earns most from these very customers.

    No shop could tune as well: it would have to know the customers and how each plan ends.

    Parameters
    ----------
    pair : Forecast
    campaign : BudgetCampaign
    levels : int
        Thresholds to try, from none to the largest gain of a first flight; each with all `PACINGS`.
    """
    thresholds = np.linspace(0, first_flight(pair, campaign).max(), levels)
    level, pacing = _every_combination(thresholds, PACINGS)

    def rule(plan: np.ndarray) -> FlightPolicy:
        return planning.threshold(level[plan], pacing[plan])

    best = _best_plan(pair, campaign, rule, len(level))
    return planning.threshold(level[best], pacing[best])


def best_cap(pair: Forecast, campaign: BudgetCampaign, levels: int = 8) -> FlightPolicy:
    """Return the frequency cap, with threshold and pacing, that earns most from these customers.

    Parameters
    ----------
    pair : Forecast
    campaign : BudgetCampaign
    levels : int
        As in `best_threshold`; each with all `PACINGS` and one flight in each number of `WEEKS`.
    """
    thresholds = np.linspace(0, first_flight(pair, campaign).max(), levels)
    every, level, pacing = _every_combination(WEEKS, thresholds, PACINGS)

    def rule(plan: np.ndarray) -> FlightPolicy:
        return planning.frequency_cap(every[plan], level[plan], pacing[plan])

    best = _best_plan(pair, campaign, rule, len(level))
    return planning.frequency_cap(every[best], level[best], pacing[best])


def best_plans(pair: Forecast, campaign: BudgetCampaign, prices: int = 16) -> FlightPolicy:
    """Return each customer's own plan at the one price, and with the pacing, that earn most.

    Parameters
    ----------
    pair : Forecast
    campaign : BudgetCampaign
    prices : int
        To try, from none to the largest gain of a first flight; each with all `PACINGS`.
    """
    tried = np.linspace(0, first_flight(pair, campaign).max(), prices)
    price, pacing = _every_combination(tried, PACINGS)
    n = len(pair)
    many = planning.LagrangianPlans(_copies(pair, len(price)), campaign.weeks)

    def rule(plan: np.ndarray) -> FlightPolicy:
        customers = n * plan[:, None] + np.arange(n)
        return many.policy(np.repeat(price, n), pacing[plan], customers=customers)

    best = _best_plan(pair, campaign, rule, len(price))
    return planning.LagrangianPlans(pair, campaign.weeks).policy(price[best], pacing[best])


def _every_combination(*values: Sequence[float]) -> list[np.ndarray]:
    return [each.ravel() for each in np.meshgrid(*values, indexing="ij")]


def _copies(pair: Forecast, count: int) -> Forecast:
    return pair.take(np.tile(np.arange(len(pair)), count))


def _best_plan(
    pair: Forecast,
    campaign: BudgetCampaign,
    rule: Callable[[np.ndarray], FlightPolicy],
    count: int,
) -> int:
    """Return which of so many policies earns most from these very customers."""
    earned = planning.exact_values(_copies(pair, count), campaign, rule, plans=count)[0]
    return int(earned.argmax())


def rules_of(pair: Forecast, campaign: BudgetCampaign, seed: int) -> dict[str, FlightPolicy]:
    """Return the rules that need no network, and the exact plan, for two customers.

    Explained in chapter ``budget-policy``.
    """
    return {
        "random": planning.random_choice(seed),
        "always send": planning.everyone(seed),
        "greedy": planning.greedy,
        "tuned threshold": best_threshold(pair, campaign),
        "frequency cap": best_cap(pair, campaign),
        "each alone": best_plans(pair, campaign),
        "exact plan": planning.small_optimum(pair, campaign)[1],
    }


def exact_shares(
    pairs: Sequence[Forecast],
    rules: Sequence[dict[str, FlightPolicy]],
    campaign: BudgetCampaign,
    optimum: np.ndarray,
) -> pd.DataFrame:
    """Return each rule's exact profit with each pair, as a share of the optimum → (P, rules).

    Explained in chapter ``budget-policy``.
    """
    earned = [
        {name: planning.exact_value(pair, campaign, policy)[0] for name, policy in some.items()}
        for pair, some in zip(pairs, rules, strict=True)
    ]
    return pd.DataFrame(earned).div(optimum, axis=0)


def learn_pairs(
    pairs: Sequence[Forecast],
    campaign: BudgetCampaign,
    config: QLearningConfig,
    *,
    seed: int,
    copies: int = 8,
    callback: Callable[[int, DeepQPolicy], None] | None = None,
) -> DeepQPolicy:
    """Train a network for every pair, and for every second one a mistaken one and a null.

    Explained in chapter ``budget-policy``.

    Parameters
    ----------
    pairs : sequence of P Forecasts
    campaign : BudgetCampaign
    config : QLearningConfig
    seed : int
    copies : int
        Campaigns of each network in a rollout.
    callback : callable, optional
        See `pm_utils.decisions.q_learning.learn`.

    Returns
    -------
    DeepQPolicy
        Its members are those of `member_table`.
    """
    table = member_table(len(pairs))
    rows = np.repeat(table["pair"].to_numpy(), copies)
    many = stacked(pairs, rows)
    observer = JointView(many, campaign, customers=2)
    net = DeepQPolicy(observer.n_inputs, len(observer.actions), members=len(table), seed=seed)

    def sample_episodes(rng: np.random.Generator) -> tuple[Episodes, JointView]:
        campaign_seed = int(rng.integers(2**31))
        return Episodes(many, campaign, episodes=len(rows), seed=campaign_seed), observer

    flags = [torch.tensor((table["kind"] == kind).to_numpy()) for kind in NETWORK_KINDS[1:]]
    q_learning.learn(
        net,
        sample_episodes,
        config,
        seed=seed,
        truncated_as_terminated=flags[0],
        shuffled=flags[1],
        callback=callback,
    )
    return net


def stacked(pairs: Sequence[Forecast], rows: np.ndarray) -> Forecast:
    """Return one forecast of the pairs that are named, pair after pair."""
    names = ("conversions", "order_value", "order_rate", "annoyance", "leaving")
    every = {name: np.concatenate([getattr(one, name) for one in pairs]) for name in names}
    return replace(pairs[0], **every).take((2 * rows[:, None] + [0, 1]).ravel())


def member_table(pairs: int) -> pd.DataFrame:
    """Return the kind and the pair of each network that `learn_pairs` trains, a row each.

    Examples
    --------
    >>> from pm_utils.chapters.budget_policy import member_table
    >>> member_table(2)
                 kind  pair
    0         network     0
    1         network     1
    2  cut for an end     0
    3            null     0
    """
    second = range(0, pairs, 2)
    kinds = [(NETWORK_KINDS[0], pair) for pair in range(pairs)]
    kinds += [(kind, pair) for kind in NETWORK_KINDS[1:] for pair in second]
    return pd.DataFrame(kinds, columns=["kind", "pair"])


def shares_of_optimum(
    net: DeepQPolicy, pairs: Sequence[Forecast], campaign: BudgetCampaign, optimum: np.ndarray
) -> pd.DataFrame:
    """Return `member_table` with each network's exact profit as a ``share`` of the optimum.

    Explained in chapter ``budget-policy``.
    """
    table, observer = member_table(len(pairs)), JointView(pairs[0], campaign)

    def policy(member: np.ndarray) -> FlightPolicy:
        return q_learning.joint_policy(net.take(torch.from_numpy(member)), observer)

    known = stacked(pairs, table["pair"].to_numpy())
    earned = planning.exact_values(known, campaign, policy, plans=len(table))[0]
    return table.assign(share=earned / optimum[table["pair"]])


# A crowd


def learn_prices(
    forecast: Forecast,
    campaign: BudgetCampaign,
    config: QLearningConfig,
    *,
    members: int,
    nulls: int,
    highest: float,
    seed: int,
    customers: int = 48,
    callback: Callable[[int, DeepQPolicy], None] | None = None,
) -> DeepQPolicy:
    """Train networks that plan for one customer at any price of a flight.

    Explained in chapter ``budget-policy``.

    Parameters
    ----------
    forecast : Forecast
        Of customers to learn on.
    campaign : BudgetCampaign
        Its weeks and impressions; its budget is not in the way.
    config : QLearningConfig
    members, nulls : int
        Networks, and further ones that get each other customers' rewards.
    highest : float
        Prices are uniform from 0 to this, dollars.
    seed : int
    customers : int
        Customers of each network in a rollout.
    callback : callable, optional
        See `pm_utils.decisions.q_learning.learn`.

    Returns
    -------
    DeepQPolicy
        The nulls come last.
    """
    free, size = replace(campaign, flights=campaign.weeks), (members + nulls) * customers

    def sample_episodes(rng: np.random.Generator) -> tuple[Episodes, PricedView]:
        drawn = forecast.take(rng.integers(len(forecast), size=size))
        observer = PricedView(drawn, free, rng.uniform(0, highest, size))
        return Episodes(drawn, free, episodes=size, seed=int(rng.integers(2**31))), observer

    observer = sample_episodes(np.random.default_rng(0))[1]
    options = {"members": members + nulls, "forecast": True, "seed": seed}
    net = DeepQPolicy(observer.n_inputs, observer.n_actions, **options)
    shuffled = torch.arange(members + nulls) >= members
    options = {"shuffled": shuffled, "callback": callback}
    q_learning.learn(net, sample_episodes, config, seed=seed, **options)
    return net


def tune_rule(
    family: Callable[..., FlightPolicy],
    worlds: Sequence[Episodes],
    grid: dict[str, Sequence[float]],
) -> FlightPolicy:
    """Return the policy of a family whose settings earn most on some worlds.

    Parameters
    ----------
    family : callable
        Takes one of each setting, or one for each campaign.
    worlds : sequence of Episodes
        For tuning only.
    grid : dict
        The values of each setting to try.
    """
    return family(**planning.tune_policy(family, grid, worlds)[0])


def crowd_policies(
    net: DeepQPolicy, price: float, worlds: Sequence[Episodes], *, seed: int
) -> dict[str, list[FlightPolicy]]:
    """Return the policies of the crowd, each tuned on worlds that nobody is judged on.

    Explained in chapter ``budget-policy``.

    Parameters
    ----------
    net : DeepQPolicy
        From `learn_prices`.
    price : float
        Dollars a flight; what is tried lies around it.
    worlds : sequence of Episodes
        For tuning only. Every policy is tuned on all of them.
    seed : int

    Returns
    -------
    dict of lists
        One policy of each kind, and one for each member of the network.
    """
    levels = price * np.geomspace(0.25, 3, 12)
    thresholds = {"level": levels, "pacing": PACINGS}
    caps = {"every": WEEKS, "level": levels, "pacing": PACINGS[::2]}
    prices = {"price": price * np.geomspace(0.6, 1.7, 4), "pacing": PACINGS[:4]}
    alone = planning.tune_plans(worlds, prices["price"], prices["pacing"])
    members = [partial(q_learning.priced_policy, net.member(i)) for i in range(net.members)]
    return {
        "random": [planning.random_choice(seed)],
        "always send": [planning.everyone(seed)],
        "highest chance": [planning.likeliest],
        "greedy": [planning.greedy],
        "tuned threshold": [tune_rule(planning.threshold, worlds, thresholds)],
        "frequency cap": [tune_rule(planning.frequency_cap, worlds, caps)],
        "each alone": [planning.each_alone(**alone)],
        "network": [tune_rule(member, worlds, prices) for member in members],
    }


def play_crowd(
    policies: dict[str, list[FlightPolicy]], worlds: Sequence[Episodes]
) -> dict[str, list[planning.Played]]:
    """Play every world once by each kind of policy; networks take turns.

    Explained in chapter ``budget-policy``.
    """
    return {
        name: [planning.play_flights(world, some[i % len(some)]) for i, world in enumerate(worlds)]
        for name, some in policies.items()
    }


def shares_of_bound(
    played: dict[str, list[planning.Played]], bounds: Sequence[float]
) -> pd.DataFrame:
    """Return what each kind of policy earned in each world, as a share of its bound → (R, kinds).

    Explained in chapter ``budget-policy``.

    Parameters
    ----------
    played : dict of lists of length R
        From `play_crowd`.
    bounds : sequence of R floats
        From `pm_utils.decisions.planning.LagrangianPlans.bound`, dollars a customer.
    """
    earned = {name: [one.total.mean() for one in some] for name, some in played.items()}
    return pd.DataFrame(earned).div(bounds, axis=0)


def training_record(
    net: DeepQPolicy, observation: torch.Tensor, config: QLearningConfig, curve: Sequence[float]
) -> dict[str, Any]:
    """Return what the scoreboard keeps of a training.

    Explained in chapter ``budget-policy``.

    Parameters
    ----------
    net : DeepQPolicy
        Of S members.
    observation : Tensor of shape (S, B, D)
        What they see where they are judged.
    config : QLearningConfig
        What they learned by.
    curve : sequence of float
        Their score while they learned.

    Returns
    -------
    dict
        Of one member, the share of units that switch being the mean over members; see
        `pm_utils.learning.training.History.record`.
    """
    switching = [
        switching_share(lambda rows, i=i: net.member(i)(rows[None]), [observation[i]])
        for i in range(net.members)
    ]
    rows = config.steps * config.batch_size
    history = History(train=list(curve), steps=config.steps, rows=rows)
    return history.record(switching=np.mean(switching))


def pair_sights(
    net: DeepQPolicy, pairs: Sequence[Forecast], campaign: BudgetCampaign, *, seed: int
) -> torch.Tensor:
    """Return what each pair's network sees when it plays, now and then by chance → (S, B, D).

    Explained in chapter ``budget-policy``.
    """
    many = stacked(pairs, np.repeat(np.arange(len(pairs)), 64))
    observer = JointView(many, campaign, customers=2)
    return _sights(net.take(slice(len(pairs))), many, campaign, observer, seed=seed)


def crowd_sights(
    net: DeepQPolicy, forecast: Forecast, campaign: BudgetCampaign, price: float, *, seed: int
) -> torch.Tensor:
    """Return what the members of a network see of 64 customers each → (S, B, D).

    Explained in chapter ``budget-policy``.
    """
    size, free = 64 * net.members, replace(campaign, flights=campaign.weeks)
    many = forecast.take(np.arange(size) % len(forecast))
    observer = PricedView(many, free, np.full(size, price))
    return _sights(net, many, free, observer, seed=seed)


def _sights(
    net: DeepQPolicy,
    many: Forecast,
    campaign: BudgetCampaign,
    observer: JointView | PricedView,
    *,
    seed: int,
) -> torch.Tensor:
    episodes = Episodes(many, campaign, episodes=64 * net.members, seed=seed)
    play = {"first": 0, "weeks": campaign.weeks, "epsilon": QLearningConfig.epsilon}
    rng = np.random.default_rng(seed)
    return q_learning.collect(episodes, observer, net, rng=rng, **play).observation


def enter_all(
    contest: Contest,
    metric: str,
    test: Mapping[str, float],
    validation: Mapping[str, float],
    training: Mapping[str, dict[str, Any]],
) -> None:
    """Enter all policies of a contest, each as what it is.

    Explained in chapter ``budget-policy``.

    Parameters
    ----------
    contest : Contest
    metric : str
        What `test` is.
    test, validation : mapping
        Figures by name; the nulls need no validation.
    training : mapping
        From `training_record`, of the networks.
    """
    for name, figure in test.items():
        kind = "deep" if name in training else POLICY_KINDS.get(name, "classical")
        kind = "null" if name.startswith("null") else kind
        score = None if kind == "null" else validation.get(name)
        record = training.get(name)
        contest.enter(name, kind, test={metric: figure}, validation=score, training=record)


def said_of_crowd(verdict: str, rival: str) -> str:
    """Say what the crowd's verdict means, the rival being the best without a network.

    Explained in chapter ``budget-policy``.

    Examples
    --------
    >>> from pm_utils.chapters.budget_policy import said_of_crowd
    >>> said_of_crowd("loses", "each alone")
    'each alone does better without a network: where the model is known, plan'
    """
    return {
        "beats": f"the network learned something by play that {rival} does not know",
        "loses": f"{rival} does better without a network: where the model is known, plan",
        "tie": f"the network cannot be told from {rival}, which needs no training",
        "undertrained": "the network needs more training before anything can be said",
    }[verdict]


# A log


def said_of_log(verdict: str, network: str) -> str:
    """Say what the log's verdict means for the network that the test chose.

    Explained in chapter ``budget-policy``.

    Examples
    --------
    >>> from pm_utils.chapters.budget_policy import said_of_log
    >>> said_of_log("loses", "plain network")
    'the plain network, chosen by the test, earns less than the best rule of the test'
    """
    chosen = f"the {network}, chosen by the test,"
    return {
        "beats": f"{chosen} earns more than the best rule of the test",
        "loses": f"{chosen} earns less than the best rule of the test",
        "tie": f"{chosen} cannot be told from the best rule of the test",
        "undertrained": "the network needs more training before anything can be said",
    }[verdict]


def said_of_caution(low: float, high: float) -> str:
    """Say what caution brought, by an interval for cautious less plain, dollars a customer.

    Explained in chapter ``budget-policy``.

    Examples
    --------
    >>> from pm_utils.chapters.budget_policy import said_of_caution
    >>> said_of_caution(-0.1, 0.2)
    'cannot be told from the plain one'
    """
    if low > 0:
        return "earns more than the plain one"
    return "earns less than the plain one" if high < 0 else "cannot be told from the plain one"


def by_arm(policies: Mapping[str, FlightPolicy], arm: np.ndarray) -> FlightPolicy:
    """Return the policy of a test: each customer is treated as the policy of their arm says.

    Explained in chapter ``budget-policy``.

    Parameters
    ----------
    policies : mapping of K FlightPolicies
    arm : integer array of shape (E,)
        Of each campaign, from 0 to K - 1.

    Raises
    ------
    ValueError
        When an arm is none of the K, or the policy is asked about another number of campaigns.

    Examples
    --------
    >>> import numpy as np
    >>> from pm_utils.chapters.budget_policy import by_arm
    >>> from pm_utils.decisions import planning
    >>> arms = {"none": planning.nobody, "all": planning.everyone(0)}
    >>> test = by_arm(arms, arm=np.array([0, 1, 1]))
    """
    arm = whole_numbers(arm, "arm", high=len(policies) - 1)

    def policy(episodes: Episodes, state: State) -> tuple[np.ndarray, np.ndarray]:
        if len(arm) != episodes.shape[0]:
            raise ValueError(
                f"arm has {len(arm)} entries: give one for each of {episodes.shape[0]}"
            )
        each = [one(episodes, state) for one in policies.values()]
        return tuple(np.stack(part)[arm, np.arange(len(arm))] for part in zip(*each, strict=True))

    return policy


def values_by_test(
    log: FlightLog, episodes: Episodes, policies: Mapping[str, FlightPolicy], price: float
) -> dict[str, off_policy.Estimate]:
    r"""Return what each arm of a test earned: dollars a customer, prices of flights taken off.

    Customers were dealt to K policies with equal chances, as by `by_arm`. A history counts for
    every policy that would have done all of it, not for its own arm alone. Of K policies, k has the
    weight :math:`[k \text{ agrees}] / (\frac1K \sum_j [j \text{ agrees}])`, at most K, so that
    no week is thinner than about N / K customers.

    Explained in chapter ``budget-policy``.

    Parameters
    ----------
    log : FlightLog
        Of the test.
    episodes : Episodes
        Its customers, each a campaign of their own.
    policies : mapping of K FlightPolicies
        The arms: deterministic, or with coins fixed by their seed, as by `with_probability`.
    price : float

    Raises
    ------
    ValueError
        When no policy agrees with some customer's history, so that the log is of no such test.

    References
    ----------
    Veach and Guibas (1995), Optimally combining sampling techniques for Monte Carlo rendering: the
    balance heuristic.
    """
    agrees = np.stack([decisions(log, episodes, one) == log.action for one in policies.values()])
    so_far = np.cumprod(agrees, axis=1)  # (K, T, N)
    share = so_far.mean(0)
    if not share.all():
        count = int((share == 0).any(0).sum())
        raise ValueError(f"{count} histories are of no policy: give the arms of the test")
    profit = log.reward - price * (log.action > 0)
    return {
        name: off_policy.per_decision(profit, own / share)
        for name, own in zip(policies, so_far, strict=True)
    }


def told_by_test(values: Mapping[str, off_policy.Estimate]) -> pd.DataFrame:
    """Return what a test says of each policy: value, interval and effective customers.

    Explained in chapter ``budget-policy``.

    Parameters
    ----------
    values : mapping of Estimates
        From `values_by_test`.
    """
    rows = {name: [e.value, e.low, e.high, e.effective_size] for name, e in values.items()}
    columns = ["by the test ($)", "from", "to", "effective customers"]
    return pd.DataFrame.from_dict(rows, orient="index", columns=columns)


def decisions(log: FlightLog, episodes: Episodes, policy: FlightPolicy) -> np.ndarray:
    """Return what a policy would have done in every state of a log → (T, N).

    Explained in chapter ``budget-policy``.

    Parameters
    ----------
    log : FlightLog
    episodes : Episodes
        Its N customers, each a campaign of their own.
    policy : FlightPolicy
    """
    left, chosen = np.full(episodes.shape[0], episodes.campaign.flights), []
    for week in range(len(log.action)):
        state = State(week, left, log.fatigue[week][:, None], log.alive[week][:, None])
        chosen.append(policy(episodes, state)[0][:, 0] * log.alive[week])
    return np.stack(chosen)


def with_probability(rule: FlightPolicy, epsilon: float, seed: int) -> FlightPolicy:
    """Return the policy that follows a rule, except when chance decides, as a log's does.

    Explained in chapter ``budget-policy``.

    Parameters
    ----------
    rule : FlightPolicy
    epsilon : float
        How often the action is drawn uniformly.
    seed : int
    """

    def policy(episodes: Episodes, state: State) -> tuple[np.ndarray, np.ndarray]:
        rng = np.random.default_rng([seed, state.week, 3])
        rule_action, priority = rule(episodes, state)
        random_action = rng.integers(
            episodes.forecast.conversions.shape[1] + 1, size=episodes.shape
        )
        return np.where(rng.random(episodes.shape) < epsilon, random_action, rule_action), priority

    return policy


def priced_profit(episodes: Episodes, policy: FlightPolicy, price: float) -> np.ndarray:
    """Return what a policy earns of each customer, less the price of its flights → (E,).

    Dollars, expected at each week's choice.

    Explained in chapter ``budget-policy``.
    """
    played = planning.play_flights(episodes, policy)
    return (played.profit - price * played.sent).sum(1)


def from_log(
    log: FlightLog,
    observer: PricedView,
    config: QLearningConfig,
    *,
    seed: int,
    conservative: Sequence[float],
    nulls: int = 0,
    callback: Callable[[int, DeepQPolicy], None] | None = None,
) -> DeepQPolicy:
    """Return networks that have learned from a log alone, side by side.

    Each sees the forecast of the week among its inputs, but has to learn what it is worth.

    Explained in chapter ``budget-policy``.

    Parameters
    ----------
    log : FlightLog
    observer : PricedView
        Of its customers.
    config : QLearningConfig
    seed : int
    conservative : sequence of float
        One for each network; see `pm_utils.decisions.q_learning.learn_from_log`.
    nulls : int
        Further networks, not cautious, that get the rewards of other rows.
    callback : callable, optional
        As there.

    Returns
    -------
    DeepQPolicy
        With one member for each; the nulls come last.
    """
    weight = torch.tensor([*conservative, *[0.0] * nulls])
    net = DeepQPolicy(observer.n_inputs, observer.n_actions, members=len(weight), seed=seed)
    seen = q_learning.transitions_of(log, observer).shared(len(weight))
    reward, rng = seen.reward.clone(), torch.Generator().manual_seed(seed)
    for null in range(len(conservative), len(weight)):
        reward[null] = reward[null, torch.randperm(reward.shape[1], generator=rng)]
    options = {"conservative": weight, "callback": callback}
    mixed = replace(seen, reward=reward)
    q_learning.learn_from_log(net, mixed, config, seed=seed, **options)
    return net


def log_estimates(
    log: FlightLog,
    observer: PricedView,
    chosen: dict[str, np.ndarray],
    config: QLearningConfig,
    *,
    seed: int,
) -> dict[str, tuple[off_policy.Estimate, float]]:
    """Value policies from a log: weighted by week, and by fitted Q evaluation.

    Explained in chapter ``budget-policy``.

    Parameters
    ----------
    log : FlightLog
    observer : PricedView
    chosen : dict of arrays of shape (T, N)
        From `decisions`.
    config : QLearningConfig
    seed : int

    Returns
    -------
    dict of (Estimate, float)
        Dollars a customer, prices of flights taken off.
    """
    profit = log.reward - observer.price * (log.action > 0)
    seen = q_learning.transitions_of(log, observer).shared(len(chosen))
    net = DeepQPolicy(observer.n_inputs, observer.n_actions, members=len(chosen), seed=seed)
    following = torch.cat([q_learning.next_choices(each) for each in chosen.values()])
    q_learning.learn_from_log(net, seen, config, seed=seed, next_action=following)
    start = Episodes(observer.forecast, observer.campaign, episodes=len(observer.forecast)).start()
    found = {}
    for number, (name, each) in enumerate(chosen.items()):
        weight = off_policy.trajectory_weights(each == log.action, log.propensity)
        fitted = q_learning.first_value(net.member(number), observer, start, each[0])
        with warnings.catch_warnings():  # `log_row` gives it as advice
            warnings.filterwarnings("ignore", "the mean weight", UserWarning)
            found[name] = off_policy.per_decision(profit, weight), fitted
    return found


def log_value(log: FlightLog, observer: PricedView) -> off_policy.Estimate:
    """Return what the policy that wrote a log earned: dollars a customer, prices taken off.

    Explained in chapter ``budget-policy``.
    """
    profit = log.reward - observer.price * (log.action > 0)
    return off_policy.per_decision(profit, np.ones_like(profit))


def log_row(
    weighted: off_policy.Estimate, fitted: float, old: off_policy.Estimate, least: float
) -> list:
    """Return what a log says of a policy: value, interval, fitted value, size and advice.

    Explained in chapter ``budget-policy``.

    Parameters
    ----------
    weighted, fitted
        From `log_estimates`.
    old : Estimate
        From `log_value`.
    least : float
        The effective size below which nothing is recommended.
    """
    interval = f"{weighted.low:+.2f} to {weighted.high:+.2f}"
    advice = off_policy.recommend(weighted, old, least_size=least)
    return [weighted.value, interval, fitted, weighted.effective_size, advice]
