"""Chapter 13: the shop's study before the campaign, and the strategies that compete in it."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pandas as pd
import torch
from scipy.stats import norm

from pm_utils.inputs import numbers, whole_numbers
from pm_utils.learning.diagnostics import switching_share
from pm_utils.learning.training import History
from pm_utils.loop.ad_menu import AdCatalogue
from pm_utils.loop.campaign import (
    Campaign,
    Run,
    Strategy,
    exploration_profit,
    run_campaign,
)
from pm_utils.loop.customer_profiles import (
    Profile,
    PurchaseSummary,
    learn_profile,
    learned_profile,
    no_profile,
    plain_profile,
    profile_inputs,
    summarise_purchases,
)
from pm_utils.loop.planner import Prices, cannibalisation_rate, later_cost
from pm_utils.loop.reporting import attributed_profit
from pm_utils.loop.response_data import ResponseLog, shuffled_exploration, subsample_negatives
from pm_utils.loop.response_models import (
    DeepResponse,
    LogisticResponse,
    RandomEffects,
    fit_side_by_side,
)
from pm_utils.loop.strategies import OneAd, ResponseStrategy, RFMRule, ShopKnowledge
from pm_utils.market import Market, TruthParameters, Uniform
from pm_utils.page.evidence import BACKING, RowEvidence
from pm_utils.page.scoreboard import Contest

NETWORK, LOGISTIC, ADS_ALONE = "our loop", "logistic targeting", "ads' own effects"
LEARNED = "logistic on learned profile"
RULES = {"send to all": OneAd, "RFM rule": RFMRule}
PENALTIES = {  # of the penalty that is tuned for each size of the history
    ADS_ALONE: (0.13, 0.4, 1.3, 4.0, 12.0, 36.0, 108.0),  # of all levels
    LOGISTIC: (10.0, 40.0, 160.0, 640.0),  # of products, against single effects
    LEARNED: (10.0, 40.0, 160.0, 640.0),
    NETWORK: (10.0, 20.0, 40.0, 80.0, 160.0, 320.0),  # of all weights of products
}
WITH_VARIANTS = (LOGISTIC, LEARNED, NETWORK)  # those that are also told χ, or learn only χ

ABOUT_NONE = 0.1  # below this share of units that bend, a network is as good as linear


@dataclass(frozen=True)
class Setup:
    """What was chosen for a strategy on other markets: random banners a customer, and a penalty."""

    banners: int
    strength: float = np.nan


# --- Markets -------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class World:
    """A market and what the shop in it knows but for old banners.

    Explained in chapter ``closed-loop``.

    Attributes
    ----------
    market : Market
    past : PurchaseSummary
    profile, plain : Profile
        Learned from the orders, and counted.
    campaign : Campaign
    weeks : int
        Of the order history, over which old banners were shown.
    net : dict
        Settings of every `DeepResponse`.
    profile_training : dict
        What a scoreboard keeps of the profile's training.
    earned : dict
        What `history` has found, which takes long.
    """

    market: Market
    past: PurchaseSummary
    profile: Profile
    plain: Profile
    campaign: Campaign
    weeks: int
    net: dict[str, Any]
    profile_training: dict[str, Any] = field(default_factory=dict)
    earned: dict[int, float] = field(default_factory=dict, repr=False)

    @classmethod
    def open(
        cls, menu: AdCatalogue, campaign: Campaign, *, n_customers: int, seed: int, **study: Any
    ) -> "World":
        """Make a market, and study its customers.

        Parameters
        ----------
        menu : AdCatalogue
        campaign : Campaign
        n_customers, seed : int
        **study
            As in `of`.
        """
        truth = TruthParameters(examination=(1.0,))  # one slot
        market = Market(n_customers, seed, creatives=menu.creatives(), truth=truth)
        return cls.of(market, campaign, **study)

    @classmethod
    def of(
        cls, market: Market, campaign: Campaign, *, weeks: int, epochs: int, net: dict[str, Any]
    ) -> "World":
        """Learn a profile from the orders of a market.

        Parameters
        ----------
        market : Market
        campaign : Campaign
        weeks : int
            Length of the order history. The profile learns to foretell its last quarter.
        epochs : int
            Of the profile's training.
        net : dict
            Settings of `DeepResponse`.
        """
        n, orders, cut = market.n_customers, market.orders(weeks), 3 * weeks // 4
        past = summarise_purchases(orders, n, weeks)
        early = summarise_purchases(orders[orders["week"] < cut], n, cut)
        later = past.counts - early.counts
        trained, history = learn_profile(early, later, epochs=epochs, seed=market.seed)
        inputs = [torch.tensor(profile_inputs(past), dtype=torch.float32)]
        record = history.record(switching=switching_share(trained, inputs))
        profile = learned_profile(trained, past)
        return cls(market, past, profile, plain_profile(past), campaign, weeks, net, record)

    def banners(self, count: int, *, first: int = 0) -> ShopKnowledge:
        """Return what the shop knows with so many random banners per customer."""
        n, ads = self.market.n_customers, len(self.market.creatives)
        log = self.market.impressions(Uniform(ads), count * n, start=first * n)
        old = subsample_negatives(log, (n, ads))
        return ShopKnowledge(self.past, old, Prices.of(self.market), self.campaign)

    def history(self, count: int) -> float:
        """Return what so many random banners earned, as a rule a loss, dollars per customer."""
        if count not in self.earned:
            self.earned[count] = exploration_profit(self.market, count, self.weeks)
        return self.earned[count]

    def play(self, strategy: Strategy) -> Run:
        """Let a strategy run the campaign."""
        return run_campaign(self.market, strategy, self.campaign)


@dataclass(frozen=True, eq=False)
class Lesson:
    """Which model shall learn from which old banners; see `TaughtModel.of`."""

    world: World
    shop: ShopKnowledge
    name: str
    strength: float
    profile: Profile | None = None

    def new_model(self, menu: AdCatalogue) -> DeepResponse | LogisticResponse:
        """Return the model before it has learned."""
        world, strength = self.world, self.strength
        if self.name == NETWORK:
            settings = {"seed": world.market.seed, "weight_decay": strength} | world.net
            return DeepResponse(self.profile or world.profile, menu, **settings)
        if self.name == ADS_ALONE:
            ridge = (strength, 2.5 * strength)
            return LogisticResponse(world.plain, menu, ridge=ridge, personal=False)
        profile = world.profile if self.name == LEARNED else world.plain
        return LogisticResponse(profile, menu, interaction=strength)


@dataclass(frozen=True, eq=False)
class TaughtModel:
    """A response model that has learned from old banners, to be copied for each campaign.

    Attributes
    ----------
    model : RandomEffects
    shop : ShopKnowledge
    menu : AdCatalogue
    """

    model: RandomEffects
    shop: ShopKnowledge
    menu: AdCatalogue

    @classmethod
    def of(
        cls,
        world: World,
        shop: ShopKnowledge,
        menu: AdCatalogue,
        name: str,
        strength: float,
        profile: Profile | None = None,
    ) -> "TaughtModel":
        """Teach a model from the banners of a shop.

        Parameters
        ----------
        world : World
        shop : ShopKnowledge
        menu : AdCatalogue
        name : str
            One of `PENALTIES`.
        strength : float
            Of its penalty.
        profile : Profile, optional
            What a network reads, by default the learned one.
        """
        return cls.all_of([Lesson(world, shop, name, strength, profile)], menu)[0]

    @classmethod
    def all_of(cls, lessons: Sequence["Lesson"], menu: AdCatalogue) -> "list[TaughtModel]":
        """Teach several models, the networks among them side by side."""
        models, nothing = [lesson.new_model(menu) for lesson in lessons], ResponseLog.empty()
        nets: dict[tuple, list[int]] = {}  # those with equal layers can learn together
        for at, model in enumerate(models):
            if isinstance(model, DeepResponse):
                nets.setdefault(model.nets.shape, []).append(at)
        for some in nets.values():
            logs = [(lessons[at].shop.banners.rows, nothing) for at in some]
            fit_side_by_side([models[at] for at in some], logs)
        made = []
        for lesson, model in zip(lessons, models, strict=True):
            effects = RandomEffects(model, menu)
            taught = isinstance(model, DeepResponse)
            effects.fit(lesson.shop.banners, nothing, model_is_fitted=taught)
            made.append(cls(effects, lesson.shop, menu))
        return made

    def strategy(self, menu: AdCatalogue | None = None, **options: Any) -> ResponseStrategy:
        """Return a strategy with a copy of the model; options as in `ResponseStrategy`."""
        return ResponseStrategy(deepcopy(self.model), self.shop, menu or self.menu, **options)

    def alike(self) -> "TaughtModel":
        """Return it without anybody's own record, now or later."""
        model = deepcopy(self.model)
        model.em_steps, model.effects = 0, 0 * model.effects
        return replace(self, model=model)


# --- What is chosen on other markets -------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class Trial:
    """What `try_history` found.

    Attributes
    ----------
    table : DataFrame
        One row per strategy: ``strategy``, ``banners``, ``strength``; ``campaign``, ``history`` and
        their sum ``net``, dollars per customer over all rounds, means of the markets.
    models : dict of lists of TaughtModel
        With the best penalty: for each model that learns, one for each market.
    """

    table: pd.DataFrame
    models: dict[str, list[TaughtModel]]


def try_history(worlds: Sequence[World], menu: AdCatalogue, banners: int) -> Trial:
    """Let all strategies play with a history of some size, each with its best penalty.

    The penalty is that which earns most in the first round, in the mean of the markets. From the
    middle of `PENALTIES` on we go where more is earned, until neither neighbour earns more, or the
    grid ends: a local best.

    Explained in chapter ``closed-loop``.

    Parameters
    ----------
    worlds : sequence of World
        To choose on, not to judge on.
    menu : AdCatalogue
    banners : int
        Per customer.

    Returns
    -------
    Trial
    """
    shops = [world.banners(banners) for world in worlds]
    rows, models = [], {}
    for name, rule in RULES.items():
        made = [rule(shop, menu, seed=world.market.seed) for world, shop in _pairs(worlds, shops)]
        rows.append([name, np.nan, _mean_profit(worlds, made)])
    for name in PENALTIES:
        best, models[name] = _best_penalty(worlds, shops, menu, name)
        made = [each.strategy() for each in models[name]]
        rows.append([name, best, _mean_profit(worlds, made)])
    table = pd.DataFrame(rows, columns=["strategy", "strength", "campaign"])
    table["banners"] = banners
    table["history"] = np.mean([world.history(banners) for world in worlds])
    return Trial(table.assign(net=table["campaign"] + table["history"]), models)


def _best_penalty(
    worlds: Sequence[World], shops: Sequence[ShopKnowledge], menu: AdCatalogue, name: str
) -> tuple[float, list[TaughtModel]]:
    """Return the penalty that earns most in the first round, and the models taught with it."""
    start = [replace(world, campaign=replace(world.campaign, rounds=1)) for world in worlds]
    taught: dict[float, list[TaughtModel]] = {}

    def first_round(strength: float) -> float:
        if strength not in taught:  # networks learn all at once, side by side
            some = PENALTIES[name] if name == NETWORK else [strength]
            pairs = [(each, *pair) for each in some for pair in _pairs(worlds, shops)]
            lessons = [Lesson(world, shop, name, each) for each, world, shop in pairs]
            for lesson, model in zip(lessons, TaughtModel.all_of(lessons, menu), strict=True):
                taught.setdefault(lesson.strength, []).append(model)
        return _mean_profit(start, [each.strategy() for each in taught[strength]])

    best = _climb(first_round, PENALTIES[name])
    return best, taught[best]


def _climb(earned: Callable[[float], float], strengths: Sequence[float]) -> float:
    """Return a strength beside which neither earns more, looking at as few as will do.

    Raises
    ------
    ValueError
        When what a strength earns is no finite number.
    """
    found, at = {}, len(strengths) // 2
    while True:
        around = range(max(at - 1, 0), min(at + 2, len(strengths)))
        for k in around:
            if k not in found:
                found[k] = earned(strengths[k])
                if not np.isfinite(found[k]):
                    raise ValueError(
                        f"strength {strengths[k]} earns {found[k]}: profits must be finite"
                    )
        best = max(around, key=found.__getitem__)
        if found[best] == found[at]:  # of equals we stay where we are
            return strengths[at]
        at = best


def _pairs(worlds: Sequence[World], shops: Sequence[ShopKnowledge]) -> zip:
    return zip(worlds, shops, strict=True)


def _mean_profit(worlds: Sequence[World], made: Sequence[Strategy]) -> float:
    earned = [w.play(one).true_profit.sum() for w, one in zip(worlds, made, strict=True)]
    return float(np.mean(earned))


def best_setups(trials: pd.DataFrame) -> dict[str, Setup]:
    """Return for each strategy the history that pays best, and its penalty.

    Explained in chapter ``closed-loop``.

    Parameters
    ----------
    trials : DataFrame
        Tables of `try_history`.

    Examples
    --------
    >>> import pandas as pd
    >>> from pm_utils.chapters.closed_loop import best_setups
    >>> few = pd.DataFrame({"strategy": ["a"], "banners": [25], "strength": [1.0], "net": [0.4]})
    >>> many = few.assign(banners=80, net=0.1)
    >>> best_setups(pd.concat([few, many]))
    {'a': Setup(banners=25, strength=1.0)}
    """
    trials = trials.reset_index(drop=True)  # tables laid below each other count from 0 each
    best = trials.loc[trials.groupby("strategy", sort=False)["net"].idxmax()]
    return {row.strategy: Setup(int(row.banners), float(row.strength)) for row in best.itertuples()}


def best_network(validation: pd.Series) -> str:
    """Return which loop with a network earns most, its history paid, on other markets.

    Of all that compete, variants too: it is the one that a contest picks as deep.

    Explained in chapter ``closed-loop``.

    Parameters
    ----------
    validation : Series
        Dollars per customer, by strategy, of those that compete.

    Examples
    --------
    >>> import pandas as pd
    >>> from pm_utils.chapters.closed_loop import best_network
    >>> earned = {"logistic targeting": 0.9, "our loop": 0.5, "our loop, χ only": 0.7}
    >>> best_network(pd.Series(earned))
    'our loop, χ only'
    """
    deep = [name for name in validation.index if _kind(name) == "deep"]
    return str(validation[deep].idxmax())


# --- Who plays -----------------------------------------------------------------------------------


def learners(
    worlds: Sequence[World], menu: AdCatalogue, setups: Mapping[str, Setup]
) -> dict[World, dict[str, TaughtModel]]:
    """Return for each market every model that competes, taught by the history that pays for it.

    Explained in chapter ``closed-loop``.
    """
    lessons = []
    for world in worlds:
        counts = {setups[name].banners for name in PENALTIES}
        shops = {count: world.banners(count) for count in counts}
        for name in PENALTIES:
            lessons.append(Lesson(world, shops[setups[name].banners], name, setups[name].strength))
    taught: dict[World, dict[str, TaughtModel]] = {world: {} for world in worlds}
    for lesson, model in zip(lessons, TaughtModel.all_of(lessons, menu), strict=True):
        taught[lesson.world][lesson.name] = model
    return taught


def learners_tried(
    worlds: Sequence[World], trials: Sequence[Trial], setups: Mapping[str, Setup]
) -> dict[World, dict[str, TaughtModel]]:
    """Return what `learners` would for the markets that histories were tried on, not fitted again.

    Explained in chapter ``closed-loop``.
    """
    by_size = {int(trial.table["banners"].iloc[0]): trial.models for trial in trials}
    return {
        world: {name: by_size[setups[name].banners][name][at] for name in PENALTIES}
        for at, world in enumerate(worlds)
    }


def competing_strategies(
    world: World, menu: AdCatalogue, setups: Mapping[str, Setup], taught: Mapping[str, TaughtModel]
) -> dict[str, Strategy]:
    """Return the strategies that compete, our loop among them.

    Explained in chapter ``closed-loop``.
    """
    seed, made = world.market.seed, {}
    shops = {setups[name].banners: learner.shop for name, learner in taught.items()}
    for name, rule in RULES.items():
        count = setups[name].banners
        made[name] = rule(shops.get(count) or world.banners(count), menu, seed=seed)
    for name, learner in taught.items():
        made[name] = learner.strategy()
    return made | chi_only(taught)


def chi_only(taught: Mapping[str, TaughtModel]) -> dict[str, Strategy]:
    """Return the learners that learn responses once, and before each round only χ again.

    Explained in chapter ``closed-loop``.
    """
    return {f"{name}, χ only": taught[name].strategy(relearn=False) for name in WITH_VARIANTS}


def told_displacement(world: World, taught: Mapping[str, TaughtModel]) -> dict[str, Strategy]:
    """Return the learners with the true share of displaced orders told, learning on or not.

    Explained in chapter ``closed-loop``.
    """
    truth, made = world.market.truth.displacement, {}
    for name in WITH_VARIANTS:
        made[f"{name}, told χ"] = taught[name].strategy(displacement=truth)
        made[f"{name}, told χ, learns no more"] = taught[name].strategy(
            displacement=truth, relearn=False
        )
    return made


def nulls(
    worlds: Sequence[World],
    menu: AdCatalogue,
    setups: Mapping[str, Setup],
    taught: Mapping[World, Mapping[str, TaughtModel]],
    count: int,
    *,
    name: str = NETWORK,
) -> dict[World, dict[str, Strategy]]:
    """Return a loop taught by outcomes that were dealt out anew, `count` times in each market.

    It learns as the loop that is judged does: from as many banners and, if that one learns
    responses again before each round, from its own campaign; who saw what says nothing in either.

    Explained in chapter ``closed-loop``.

    Parameters
    ----------
    worlds : sequence of World
    menu : AdCatalogue
    setups : mapping
        Of the strategies that were tuned.
    taught : mapping
        From `learners`, by market.
    count : int
        In each market.
    name : str
        The loop that is judged; a variant is made as ``χ only`` says.
    """
    relearn = not name.endswith("χ only")
    name = name.split(",")[0]  # a variant is taught as what it varies
    lessons, dealers = [], []
    for world in worlds:
        shop = taught[world][name].shop
        for number in range(1, count + 1):
            rng = np.random.default_rng([world.market.seed, 13, number])
            dealt = replace(shop, banners=shuffled_exploration(shop.banners, rng))
            lessons.append(Lesson(world, dealt, name, setups[name].strength))
            dealers.append(rng)
    learned = TaughtModel.all_of(lessons, menu)
    made: dict[World, dict[str, Strategy]] = {world: {} for world in worlds}
    for lesson, learner, rng in zip(lessons, learned, dealers, strict=True):
        number = len(made[lesson.world]) + 1
        made[lesson.world][f"null {number}"] = learner.strategy(shuffle=rng, relearn=relearn)
    return made


def loops_that_read(
    worlds: Sequence[World],
    menu: AdCatalogue,
    setup: Setup,
    taught: Mapping[World, Mapping[str, TaughtModel]],
    profile_of: Callable[[World], Profile],
) -> dict[World, TaughtModel]:
    """Return our loop with other knowledge of the customers, taught by its old banners.

    Explained in chapter ``closed-loop``.

    Parameters
    ----------
    worlds : sequence of World
    menu : AdCatalogue
    setup : Setup
        Of our loop.
    taught : mapping
        From `learners`, by market.
    profile_of : callable
        Gives what it reads in a market, as `blind_profile` or `true_profile`.
    """
    lessons = [
        Lesson(world, taught[world][NETWORK].shop, NETWORK, setup.strength, profile_of(world))
        for world in worlds
    ]
    return dict(zip(worlds, TaughtModel.all_of(lessons, menu), strict=True))


def blind_profile(world: World) -> Profile:
    """Return what the till knows, nothing of what was bought.

    Explained in chapter ``closed-loop``.
    """
    return no_profile(world.past)


def true_profile(world: World) -> Profile:
    """Return what no shop knows: true interest, price sensitivity and engagement.

    Explained in chapter ``closed-loop``.
    """
    hidden = world.market.truth_of_customers
    known = np.column_stack([hidden.price_sensitivity, hidden.engagement])
    traits = np.hstack([world.profile.traits, (known - known.mean(0)) / known.std(0)])
    affinity = np.arctanh(np.clip(hidden.interest, -0.98, 0.98))
    return Profile(traits.astype(np.float32), affinity)


def build_up(
    world: World,
    menu: AdCatalogue,
    templates: AdCatalogue,
    learner: TaughtModel,
    blind: TaughtModel,
    *,
    archive: int = 30,
) -> dict[str, ResponseStrategy]:
    """Return our loop part by part, each strategy with one part more than the one before.

    Explained in chapter ``closed-loop``.

    Parameters
    ----------
    world : World
    menu, templates : AdCatalogue
        Ads written by the network, and by templates.
    learner, blind : TaughtModel
        The network of our loop, and one that reads `blind_profile`.
    archive : int
        Ads that a shop without a studio has.

    Returns
    -------
    dict
        Named by what is added; the last is our loop.
    """
    few = templates.archive(archive, np.random.default_rng([world.market.seed, 30]))
    unknown, alike = blind.alike(), learner.alike()
    once = {"relearn": False, "displacement": 0.0}
    return {
        "30 old ads": unknown.strategy(few, paced=False, **once),
        "more ads (templates)": unknown.strategy(templates, paced=False, **once),
        "profile": alike.strategy(templates, paced=False, **once),
        "own record": learner.strategy(templates, paced=False, **once),
        "pacing": learner.strategy(templates, **once),
        "χ measured": learner.strategy(templates, relearn=False),
        "learning again": learner.strategy(templates),
        "the GPT's words": learner.strategy(menu),
    }


def privileged(
    world: World, learner: TaughtModel, wiser: TaughtModel
) -> dict[str, ResponseStrategy]:
    """Return our loop with something that no shop knows: what ads cost later, and tastes too.

    Explained in chapter ``closed-loop``.

    Parameters
    ----------
    world : World
    learner, wiser : TaughtModel
        The network of our loop, and one that reads `true_profile`.
    """
    later = later_cost(world.market, world.campaign.rounds * world.campaign.weeks // 2)
    return {
        "told what ads cost later": learner.strategy(annoyance=later),
        "told tastes as well": wiser.strategy(annoyance=later),
    }


# --- What is read from the runs ------------------------------------------------------------------


def learning_curve(
    world: World, setup: Setup, menu: AdCatalogue, *, steps: int, fresh: int = 100
) -> tuple[pd.Series, dict[str, Any]]:
    """Train a network on old banners, and judge it on others while it learns.

    Explained in chapter ``closed-loop``.

    Parameters
    ----------
    world : World
    setup : Setup
    menu : AdCatalogue
    steps : int
        Of Adam before the first round.
    fresh : int
        Banners per customer to judge it on, drawn after those that it learns from.

    Returns
    -------
    Series
        Nats per impression of the others, by step.
    dict
        What a scoreboard keeps of the training; see
        `pm_utils.learning.training.History.record`.
    """
    settings = world.net | {"first_steps": steps, "weight_decay": setup.strength}
    model = DeepResponse(world.profile, menu, seed=world.market.seed, **settings)
    others = world.banners(fresh, first=setup.banners).banners.rows
    found = {}

    def watch(step: int) -> None:
        if step % max(steps // 16, 1) == 0:
            found[step] = model.loss(others)

    watch(0)
    model.fit(world.banners(setup.banners).banners.rows, ResponseLog.empty(), callback=watch)
    curve = pd.Series(found, name="nats per impression")
    done = History(
        validation=curve.iloc[1:].tolist(), steps=model.history.steps, rows=model.history.rows
    )
    return curve, done.record(switching=_bending_share(model))


@torch.no_grad()
def _bending_share(model: DeepResponse) -> float:
    """Return the share of hidden units that bend between customers; a line may stand for the rest.

    A tanh has a slope of 1 where nothing comes in. A unit bends when its slope is above and below
    four fifths for more than 1 % of the pairs of customer and category each.
    """
    shares = []
    for category in range(model.categories):
        x = torch.cat([model.traits, model.affinity[:, [category]]], 1)
        slope = 1 - torch.tanh(model.nets.inner(x.expand(model.members, -1, -1))) ** 2
        shares.append((slope < 0.8).float().mean(1))  # (members, hidden)
    share = torch.stack(shares).mean(0)
    return float(((share > 0.01) & (share < 0.99)).float().mean())


def interest_found(affinity: np.ndarray, world: World) -> float:
    """Return the correlation of tanh(affinity) with the market's true interest.

    Explained in chapter ``closed-loop``.
    """
    true = world.market.truth_of_customers.interest
    return float(np.corrcoef(np.tanh(affinity).ravel(), true.ravel())[0, 1])


def totals(runs: Sequence[Mapping[str, Run]]) -> pd.DataFrame:
    """Return true profit over all rounds, dollars per treated customer: a row for each market.

    Explained in chapter ``closed-loop``.
    """
    return pd.DataFrame(
        [{name: run.true_profit.sum() for name, run in done.items()} for done in runs]
    )


def paid_histories(
    worlds: Sequence[World],
    setups: Mapping[str, Setup],
    names: Sequence[str],
    *,
    null_of: str = NETWORK,
) -> pd.DataFrame:
    """Return what the old banners of each strategy earned, as a rule a loss: a row for each market.

    Explained in chapter ``closed-loop``.

    Parameters
    ----------
    worlds : sequence of World
    setups : mapping
        Of the strategies that were tuned; variants and nulls have the history of theirs.
    names : sequence of str
        Strategies.
    null_of : str
        The loop that the nulls are made as, or its variant.

    Returns
    -------
    DataFrame
        Dollars per customer.
    """
    kinds = {name: null_of if name.startswith("null") else name for name in names}
    counts = {name: setups[kind.split(",")[0]].banners for name, kind in kinds.items()}
    paid = {count: [world.history(count) for world in worlds] for count in set(counts.values())}
    return pd.DataFrame({name: paid[count] for name, count in counts.items()})


def enter_strategies(
    contest: Contest,
    test: Mapping[str, pd.DataFrame],
    validation: Mapping[str, float],
    training: Mapping[str, dict[str, Any]],
) -> None:
    """Enter all strategies of a contest, each as what it is.

    A strategy is deep where a network is part of it, be it only the one that made its profile.

    Explained in chapter ``closed-loop``.

    Parameters
    ----------
    contest : Contest
    test : mapping of DataFrame
        By metric: a column for each strategy, a row for each market.
    validation : mapping
        Figures by name; the nulls need none.
    training : mapping of dict
        By `LEARNED` and `NETWORK`: of the profile, and from `learning_curve`, of the network before
        the first round.
    """
    for name in next(iter(test.values())):
        kind = _kind(name)
        figures = {metric: table[name].mean() for metric, table in test.items()}
        score = None if kind == "null" else validation[name]
        record = training[name.split(",")[0]] if kind == "deep" else None
        contest.enter(name, kind, test=figures, validation=score, training=record)


def _kind(name: str) -> str:
    if name.startswith("null"):
        return "null"
    if name.startswith((NETWORK, LEARNED)):
        return "deep"
    return "naive" if name in RULES else "classical"


def gains_by_round(
    runs: Sequence[Mapping[str, Run]], opened: Sequence[Mapping[str, Run]]
) -> dict[str, np.ndarray]:
    """Return what our loop earns more than the open loop, and more than when it learns χ only.

    Explained in chapter ``closed-loop``.

    Parameters
    ----------
    runs, opened : sequences of dict of Run
        Campaigns by strategy, of the same markets; the second have the ``open loop``.

    Returns
    -------
    dict of arrays of shape (R, rounds)
        Dollars per treated customer.
    """
    gains: dict[str, list[np.ndarray]] = {"closed − open": [], "closed − χ only": []}
    for done, of_open in zip(runs, opened, strict=True):
        ours = done[NETWORK].true_profit
        gains["closed − open"].append(ours - of_open["open loop"].true_profit)
        gains["closed − χ only"].append(ours - done[f"{NETWORK}, χ only"].true_profit)
    return {name: np.array(gain) for name, gain in gains.items()}


def displacement_by_round(pairs: Sequence[tuple[Mapping[str, Run], World]]) -> pd.DataFrame:
    """Return χ as our loop measures it after each round, and what foresight would say.

    Explained in chapter ``closed-loop``.

    Parameters
    ----------
    pairs : sequence of (dict of Run, World)
        Campaigns by strategy, and their market.

    Returns
    -------
    DataFrame
        Means over markets, a column for each round: by the orders that have come (``known``), and
        with those to come, each dated by its click (``foresight``).
    """
    logs = [(done[NETWORK].log, world.past.rate) for done, world in pairs]
    rounds = range(1, len(pairs[0][0][NETWORK].true_profit) + 1)
    table = pd.DataFrame(index=["known", "foresight"])
    for over in rounds:
        for name in table.index:
            rates = [
                cannibalisation_rate(
                    log.until(over * log.weeks), rate, foresight=name == "foresight"
                )
                for log, rate in logs
            ]
            table.loc[name, f"χ after round {over}"] = np.mean(rates)
    return table


def books_error(
    pairs: Sequence[tuple[Mapping[str, Run], World]],
    taught: Mapping[World, Mapping[str, TaughtModel]],
    names: Iterable[str],
    menu: AdCatalogue,
) -> float:
    """Return by how much the books err, less displaced orders by their true share.

    Explained in chapter ``closed-loop``.

    Parameters
    ----------
    pairs : sequence of (dict of Run, World)
        Campaigns by strategy, and their market.
    taught : mapping
        From `learners`, by market.
    names : iterable of str
        Strategies to judge.
    menu : AdCatalogue

    Returns
    -------
    float
        Dollars per treated customer over all rounds, the mean of strategies and markets, no signs.
    """
    names, errors = list(names), []
    for done, world in pairs:
        shop, share = taught[world][NETWORK].shop, world.market.truth.displacement
        for name in names:
            said = attributed_profit(done[name].log, shop, menu, cannibalisation=share)
            errors.append(abs(said - done[name].true_profit.sum()))
    return float(np.mean(errors))


def said_of_error(told: float, measured: float) -> str:
    """Say how much of the corrected books' error goes when the true share is told.

    Explained in chapter ``closed-loop``.

    Examples
    --------
    >>> from pm_utils.chapters.closed_loop import said_of_error
    >>> said_of_error(0.1, 0.4), said_of_error(0.3, 0.4), said_of_error(0.5, 0.4)
    ('mostly', 'only in part', 'not')
    """
    if told >= measured:
        return "not"
    return "mostly" if told < measured / 2 else "only in part"


def said_of_bends(switching: float) -> str:
    """Say what kind of model the penalty that pays has made of the network.

    Explained in chapter ``closed-loop``.

    Parameters
    ----------
    switching : float
        Share of hidden units that bend between customers, from `learning_curve`.

    Examples
    --------
    >>> from pm_utils.chapters.closed_loop import said_of_bends
    >>> said_of_bends(0.5)
    'Of its hidden units 50 % bend between customers; a straight line could stand for the others.'
    """
    share = f"Of its hidden units {switching:.0%} bend between customers".replace("%", " %")
    if switching >= ABOUT_NONE:
        return f"{share}; a straight line could stand for the others."
    return (
        f"{share}: the penalties have made it linear, or nearly so. What is called a network "
        "here is then a regression of low rank on a learned profile, and its comparison with "
        "logistic targeting is one between two nearly linear models."
    )


def said_of_edges(setups: Mapping[str, Setup]) -> str:
    """Say which chosen penalties are the smallest or the largest that was tried.

    Explained in chapter ``closed-loop``.

    Parameters
    ----------
    setups : mapping of Setup
        From `best_setups`.

    Examples
    --------
    >>> from pm_utils.chapters.closed_loop import Setup, said_of_edges
    >>> said_of_edges({"our loop": Setup(80, 80.0)})
    'Every chosen penalty has a smaller and a larger one beside it that were tried.'
    >>> said_of_edges({"our loop": Setup(80, 320.0)})
    'At the edge of the penalties tried: our loop (320 of 10 to 320). Beyond it may be better.'
    """
    edges = [
        f"{name} ({setups[name].strength:g} of {min(tried):g} to {max(tried):g})"
        for name, tried in PENALTIES.items()
        if name in setups and setups[name].strength in (min(tried), max(tried))
    ]
    if not edges:
        return "Every chosen penalty has a smaller and a larger one beside it that were tried."
    return f"At the edge of the penalties tried: {'; '.join(edges)}. Beyond it may be better."


def said_of_loop(verdict: str, rival: str, seeds: RowEvidence | None = None) -> str:
    """Say what the verdict of the campaign means, the rival being the best without a network.

    Explained in chapter ``closed-loop``.

    Parameters
    ----------
    verdict : {"beats", "loses", "tie", "undertrained"}
        From `Scoreboard.verdict`.
    rival : str
    seeds : RowEvidence, optional
        What several seeds say, in dollars, from `Scoreboard.evidence`. Where one run ends in a tie,
        they may tell more.

    Examples
    --------
    >>> from pm_utils.chapters.closed_loop import said_of_loop
    >>> said_of_loop("tie", "logistic targeting")
    'with networks the loop earns what it earns with logistic targeting, as far as can be told'
    """
    said = {
        "beats": f"with networks the loop earns more than with {rival}",
        "loses": f"with networks the loop earns less than with {rival}",
        "tie": f"with networks the loop earns what it earns with {rival}, as far as can be told",
        "undertrained": "the networks need more training before anything can be said",
    }[verdict]
    ends = seeds.gain_interval() if seeds else None
    if verdict != "tie" or ends is None:
        return said
    (low, high), runs = ends, len(seeds.seeds)
    for side, agree in (("more", seeds.ahead()), ("less", seeds.behind())):
        clear = low > 0 if side == "more" else high < 0
        if clear and agree >= BACKING * runs:
            least, most = sorted((abs(low), abs(high)))
            return (
                f"with networks the loop earns a little {side} than with {rival} in {agree} of "
                f"{runs} seeds, on average by {least:.2f} to {most:.2f} dollars; the markets of "
                "one run are too few to show it"
            )
    return (
        f"{said}: it earns more in {seeds.ahead()} of {runs} seeds, on average by {low:+.2f} to "
        f"{high:+.2f} dollars"
    )


def said_of_part(low: float, high: float) -> str:
    """Say in words what a part adds, by an interval for what it adds.

    Explained in chapter ``closed-loop``.

    Examples
    --------
    >>> from pm_utils.chapters.closed_loop import said_of_part
    >>> said_of_part(-0.1, 0.2)
    'cannot be told from nothing'
    """
    if low > 0:
        return "pays"
    return "costs" if high < 0 else "cannot be told from nothing"


def said_of_history(earned: float) -> str:
    """Say in dollars what old banners cost, or earn.

    Explained in chapter ``closed-loop``.

    Examples
    --------
    >>> from pm_utils.chapters.closed_loop import said_of_history
    >>> said_of_history(-0.446), said_of_history(0.02)
    ('cost 0.45', 'earn 0.02')
    """
    return f"{'earn' if earned > 0 else 'cost'} {abs(earned):.2f}"


def said_of_count(count: int, rival: int) -> str:
    """Say which of two counts is larger.

    Explained in chapter ``closed-loop``.

    Examples
    --------
    >>> from pm_utils.chapters.closed_loop import said_of_count
    >>> [said_of_count(count, 5) for count in (4, 5, 6)]
    ['fewer than', 'as many as', 'more than']
    """
    if count == rival:
        return "as many as"
    return "fewer than" if count < rival else "more than"


def customers_needed(customers: int, effect: float, half: float, *, power: float) -> float:
    """Return how many customers find a profit, given half of a 95 % interval with fewer of them.

    Explained in chapter ``closed-loop``.

    Parameters
    ----------
    customers : int
        With whom the interval was made, held out or not.
    effect : float
        The true profit per customer, dollars.
    half : float
        Half of the interval, dollars.
    power : float
        P(the interval excludes zero).

    Raises
    ------
    ValueError
        When there is no effect, a number is not finite, half an interval is not above 0, or the
        power is not strictly between 0 and 1.

    Examples
    --------
    For a power of one half the interval has to be as wide as the effect, for four fifths narrower.

    >>> from pm_utils.chapters.closed_loop import customers_needed
    >>> round(customers_needed(100, effect=1.0, half=2.0, power=0.5))
    400
    >>> round(customers_needed(100, effect=1.0, half=2.0, power=0.8))
    817
    """
    customers = int(whole_numbers(customers, "customers", low=1))
    numbers(half, "half", above=0), numbers(effect, "effect"), numbers(power, "power")
    if effect == 0 or not 0 < power < 1:
        raise ValueError(f"effect is {effect}, power {power}: give an effect, and 0 < power < 1")
    ends = norm.ppf(0.975)
    return float(customers * ((ends + norm.ppf(power)) / ends * half / effect) ** 2)
