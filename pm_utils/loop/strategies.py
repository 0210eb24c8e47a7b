"""Who gets which ad when: prices, a planner for the week, and the strategies of the closed loop.

Only `Oracle` reads the market's truth. All others know the order history, old banners, the log of
their own campaign, and the shop's own prices.
"""

from copy import deepcopy
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from scipy.special import expit
from scipy.stats import rankdata

from pm_utils.loop.ad_menu import TEXTS, Menu
from pm_utils.loop.campaign import Campaign, Log, Moment, Run, Strategy, estimates
from pm_utils.loop.response_models import (
    Banners,
    DeepResponse,
    LogisticResponse,
    Past,
    Profile,
    RandomEffects,
    Rows,
    as_rows,
    no_profile,
    plain_profile,
    shuffled_banners,
    study_customers,
)
from pm_utils.market import DISCOUNT_RATES, Market, TruthParameters

# --- From chances to dollars, and from dollars to a plan -----------------------------------------


@dataclass(frozen=True)
class Prices:
    """What the shop knows about its own money.

    Attributes
    ----------
    margin, promoted_share, cost : float
        Of an order at list price; share of an order that a discount is for; dollars a contact.
    """

    margin: float
    promoted_share: float
    cost: float

    @classmethod
    def of(cls, market: Market) -> "Prices":
        """Return the prices of a market."""
        truth = market.truth
        return cls(truth.margin, truth.promoted_share, truth.impression_cost)


def displaced_share(log: Log, rate: np.ndarray, *, prior: float = 0.5) -> float:
    r"""Estimate which share of ads' orders takes the place of an order that came anyway, χ.

    Per round, a customer with baseline λ̂ has orders y of any kind and c that followed a click. If
    an ad's order displaces one that comes anyway with probability χ,
    :math:`E[y - w b \hatλ - c] = -χ (1 - e^{-b \hatλ}) c` over w weeks; the holdout measures b, how
    far the baseline has moved for all. χ is the least-squares slope, shrunk to 0.

    Parameters
    ----------
    log : Log
    rate : array of shape (N,)
        λ̂ from the history.
    prior : float
        Standard deviation of χ around 0 before any data.
    """
    rounds, w = len(log.orders) // log.weeks, log.weeks
    if not rounds:
        return 0.0
    conversions = np.zeros((rounds, len(rate)))
    for week, part in enumerate(log.shown):
        np.add.at(conversions[week // w], part["customer"], part["conversions"])
    orders = np.array([np.sum(log.orders[t * w : (t + 1) * w], axis=0) for t in range(rounds)])
    held = ~log.treated
    moved = orders[:, held].sum() / (rounds * w * rate[held].sum())
    gap = orders - w * moved * rate - conversions
    x = conversions * (1 - np.exp(-moved * rate))
    noise = gap[x > 0].var() if (x > 0).any() else 1.0
    slope = -(x * gap).sum() / ((x**2).sum() + noise / prior**2)
    return float(np.clip(slope, 0, 1))


def plan(
    gain: np.ndarray,
    fatigue: np.ndarray,
    *,
    decay: float,
    cost: np.ndarray | float,
    most: int,
    budget: int,
) -> np.ndarray:
    r"""Spend impressions where the next one is worth most.

    The (j + 1)-th impression of the week to a customer is worth :math:`g e^{-\phi (F + j)} - c`.
    That falls with j, so taking the largest first, down to nothing or the end of the budget, is
    the best that a week can do.

    Parameters
    ----------
    gain, fatigue : arrays of shape (N,)
        g, dollars of a first impression to a rested customer; F. A gain of -inf forbids.
    decay : float
        φ.
    cost : float or array of shape (N,)
        c, dollars.
    most, budget : int
        Impressions per customer, and in all.

    Returns
    -------
    array of shape (N,), int
    """
    j = np.arange(most)
    worth = gain[:, None] * np.exp(-decay * (fatigue[:, None] + j)) - np.reshape(cost, (-1, 1))
    good = worth > 0
    if good.sum() > budget:
        bar = np.partition(worth[good], -budget)[-budget] if budget else np.inf
        good &= worth >= bar
        if (extra := good.sum() - budget) > 0:  # ties
            tied = np.flatnonzero((good & (worth == bar)).ravel())
            good.ravel()[tied[len(tied) - extra :]] = False
    return good.sum(1)


@dataclass(frozen=True, eq=False)
class Shopkeeper:
    """Everything that is known before a campaign, the same for all strategies.

    Attributes
    ----------
    past : Past
    banners : Banners
    prices : Prices
    campaign : Campaign
    """

    past: Past
    banners: Banners
    prices: Prices
    campaign: Campaign


# --- Strategies ----------------------------------------------------------------------------------


class Learner:
    """Learn responses, value ads in dollars, plan the week: our loop, and the logistic rival.

    Parameters
    ----------
    model : RandomEffects
    shop : Shopkeeper
    menu : Menu
    incremental : bool
        Count only orders that would not have come anyway (`displaced_share`).
    paced : bool
        Spread the round's budget over its weeks.
    again : bool
        Learn from the campaign, not only from the banners before it.
    null : bool
        Learn responses from the banners only, whose outcomes the caller has dealt out anew.
    annoyance : array of shape (N,), optional
        Dollars of later orders that an impression costs. No shop knows them; see `annoyance_cost`.
    """

    def __init__(
        self,
        model: RandomEffects,
        shop: Shopkeeper,
        menu: Menu,
        *,
        incremental: bool = True,
        paced: bool = True,
        again: bool = True,
        null: bool = False,
        annoyance: np.ndarray | None = None,
    ) -> None:
        self.model, self.shop, self.menu = model, shop, menu
        self.incremental, self.paced, self.again = incremental, paced, again
        self.null = null
        self.annoyance = 0.0 if annoyance is None else annoyance
        self.displaced: list[float] = []

    def learn(self, log: Log) -> None:
        """Fit the model to the log, and value every customer's best ad."""
        if self.displaced and not self.again:
            return
        news = log.shown and not self.null  # none before the first round
        if news or not self.model.fitted:
            self.model.fit(self.shop.banners, as_rows(log))
        share = displaced_share(log, self.shop.past.rate) if self.incremental else 0.0
        self.displaced.append(share)
        click, order = self.model.chances()
        self.ad, self.gain = self._best(click * order, share)

    def _best(self, chance: np.ndarray, share: float) -> tuple[np.ndarray, np.ndarray]:
        """Return each customer's best ad and its gain in dollars, given chances (N, M)."""
        worth, ads = order_worth(self.shop.past, self.shop.prices, share), self.menu.open_ads
        discount = TEXTS[ads // self.menu.looks, 2]
        gain = chance[:, ads] * worth.astype(np.float32)[:, discount]
        best = gain.argmax(1)
        return ads[best], gain[np.arange(len(gain)), best].astype(float)

    def send(self, moment: Moment) -> tuple[np.ndarray, np.ndarray]:
        """Return the plan of the week."""
        campaign, gain = self.shop.campaign, np.where(moment.able, self.gain, -np.inf)
        weeks = campaign.weeks - moment.week if self.paced else 1
        cost = self.shop.prices.cost + self.annoyance
        settings = {"decay": self.model.fatigue, "cost": cost}
        settings |= {"most": campaign.most, "budget": moment.budget // weeks}
        return self.ad, plan(gain, moment.fatigue, **settings)


def order_worth(past: Past, prices: Prices, displaced: float) -> np.ndarray:
    """Return the profit of one order at each discount, dollars, per customer → (N, 5)."""
    kept = 1 - displaced * (1 - np.exp(-past.rate))
    discount = prices.promoted_share * DISCOUNT_RATES
    return past.value[:, None] * (prices.margin * kept[:, None] - discount)


def spread(able: np.ndarray, budget: int, rng: np.random.Generator) -> np.ndarray:
    """Give everyone who is able the same number of impressions; lots decide about the rest."""
    impressions, who = np.zeros(len(able), int), np.flatnonzero(able)
    each, rest = divmod(budget, max(len(who), 1))
    impressions[who] = each
    impressions[rng.choice(who, rest, replace=False)] += 1
    return impressions


class OneAd:
    """The same for everybody: the ad that does best on average, as often as the budget allows.

    Parameters
    ----------
    shop : Shopkeeper
    menu : Menu
    seed : int
        Lots for the impressions that are left over.
    """

    def __init__(self, shop: Shopkeeper, menu: Menu, *, seed: int) -> None:
        self.model = LogisticResponse(no_profile(shop.past), menu, personal=False)
        self.shop, self.menu, self.rng = shop, menu, np.random.default_rng([seed, 13])

    def learn(self, log: Log) -> None:
        """Find the best ad by the sum of its parts' effects on clicks and orders."""
        self.model.fit(self.shop.banners.rows, as_rows(log))
        chance = expit(self.model.logits()[:, 0]).prod(0)  # (M,), for everybody
        ads = self.menu.open_ads
        worth = order_worth(self.shop.past, self.shop.prices, 0.0).mean(0)
        self.value = np.full(len(self.menu), -np.inf)
        self.value[ads] = chance[ads] * worth[TEXTS[ads // self.menu.looks, 2]]
        self.ad = np.full(len(log.treated), self.value.argmax())

    def send(self, moment: Moment) -> tuple[np.ndarray, np.ndarray]:
        """Return the ad and equally many impressions for all who are chosen."""
        budget = moment.budget // (self.shop.campaign.weeks - moment.week)
        return self.ad, spread(self.chosen(moment.able), budget, self.rng)

    def chosen(self, able: np.ndarray) -> np.ndarray:
        """Return who is addressed."""
        return able


class RFMRule(OneAd):
    """The better half by recency, frequency and money; their favourite category, else as `OneAd`.

    Each of the three is ranked, and the ranks are added up.
    """

    def learn(self, log: Log) -> None:
        """Choose the best ad within each customer's favourite category."""
        super().learn(log)
        past, by_category = self.shop.past, self.value.reshape(self.menu.categories, -1)
        first = np.arange(len(by_category)) * by_category.shape[1]  # ad of each category
        best = first + by_category.argmax(1)
        known = np.where(np.isfinite(by_category.max(1)), plain_profile(past).affinity, -np.inf)
        self.ad = best[known.argmax(1)]
        self.score = sum(rankdata(x) for x in (-past.recency, past.rate, past.value))

    def chosen(self, able: np.ndarray) -> np.ndarray:
        """Return the better half of those who can be addressed."""
        return able & (self.score >= np.median(self.score[able]))


class Oracle:
    """Knows every probability, order rate and order value, and what ads cost later; not the luck.

    Every week it takes the impressions that are worth most: this week's expected incremental profit
    with true fatigue, less the organic orders that the annoyance will cost in the weeks that
    are left. It does not save customers' attention for later weeks (myopic), it pays for no test.

    Parameters
    ----------
    market : Market
    campaign : Campaign
    menu : Menu
    caution : float
        Above 1, it plans as if ads tired more than they do, and so spreads them.
    """

    def __init__(
        self, market: Market, campaign: Campaign, menu: Menu, *, caution: float = 1.0
    ) -> None:
        self.caution = caution
        truth, hidden = market.truth, market.truth_of_customers
        self.campaign, self.market, everyone = campaign, market, np.arange(market.n_customers)
        looks = np.flatnonzero(menu.open_looks)
        look = looks[market.click_probability(everyone[:, None], looks).argmax(1)]
        ads = np.arange(len(TEXTS)) * menu.looks + look[:, None]  # (N, 240)
        who = np.broadcast_to(everyone[:, None], ads.shape)
        order = market.click_probability(who, ads) * market.conversion_probability(who, ads)
        kept = 1 - truth.displacement * (1 - np.exp(-hidden.order_rate))[:, None]
        profit = truth.margin * kept - truth.promoted_share * DISCOUNT_RATES[TEXTS[:, 2]]
        gain = np.where(menu.texts, order * hidden.order_value[:, None] * profit, -np.inf)
        best = gain.argmax(1)
        self.ad, self.gain = ads[everyone, best], gain[everyone, best]

    def learn(self, log: Log) -> None:
        """Learn nothing."""

    def send(self, moment: Moment) -> tuple[np.ndarray, np.ndarray]:
        """Return the plan of the week."""
        c, truth = self.campaign, self.market.truth
        left = (c.rounds - moment.round) * c.weeks - moment.week
        gain = np.where(moment.able, self.gain, -np.inf)
        cost = truth.impression_cost + annoyance_cost(self.market, left)
        settings = {"decay": self.caution * truth.fatigue, "cost": cost, "most": c.most}
        return self.ad, plan(
            gain, moment.fatigue, **settings, budget=moment.budget // (c.weeks - moment.week)
        )


def annoyance_cost(market: Market, weeks: int) -> np.ndarray:
    """Return the organic profit that an impression costs over some weeks, to first order → (N,)."""
    truth, hidden = market.truth, market.truth_of_customers
    lasts = (1 - truth.retention**weeks) / (1 - truth.retention)
    return truth.margin * hidden.order_value * hidden.order_rate * hidden.annoyance * lasts


def attributed_profit(
    log: Log, shop: Shopkeeper, menu: Menu, *, displaced: float = 0.0, weeks: slice = slice(None)
) -> float:
    """Return what the shop's books say ads earned per treated customer, dollars.

    Every order that followed a click counts, at the customer's usual value, less its discount;
    `displaced` takes off the share that came in place of another order. Contacts are paid.
    """
    rows, worth = (
        log.rows(weeks.start or 0, weeks.stop),
        order_worth(shop.past, shop.prices, displaced),
    )
    discount = TEXTS[rows["creative"] // menu.looks, 2]
    earned = (rows["conversions"] * worth[rows["customer"], discount]).sum()
    spent = shop.prices.cost * rows["impressions"].sum()
    return float((earned - spent) / log.treated.sum())


def measured(done: Run, shop: Shopkeeper, menu: Menu) -> pd.DataFrame:
    """Set what a shop can say about a campaign beside the truth.

    Returns
    -------
    DataFrame
        One row per round, and one for ``all``; dollars per treated customer: ``truth``; the
        ``holdout``'s estimate with ``low`` and ``high``; by the ``books``, orders after a click;
        and ``books, displaced off``, less the share that `displaced_share` finds.
    """
    log, past, rounds = done.log, shop.past, len(done.true)
    found = estimates(done, past.rate * past.value * shop.prices.margin)
    share = displaced_share(log, past.rate)
    parts = [slice(t * log.weeks, (t + 1) * log.weeks) for t in range(rounds)] + [slice(None)]
    table = {
        "truth": [*done.true, done.true.sum()],
        "holdout": [each.difference for each in found],
        "low": [each.low for each in found],
        "high": [each.high for each in found],
        "books": [attributed_profit(log, shop, menu, weeks=part) for part in parts],
    }
    table["books, displaced off"] = [
        attributed_profit(log, shop, menu, displaced=share, weeks=part) for part in parts
    ]
    return pd.DataFrame(table, index=[*range(1, rounds + 1), "all"])


# --- Worlds and who plays in them ----------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class World:
    """A market and the shop that works in it.

    Attributes
    ----------
    market : Market
    shop : Shopkeeper
    profile : Profile
        Learned from the orders.
    net : dict
        Settings of every `DeepResponse`.
    base : RandomEffects
        Around a `DeepResponse`, trained on the banners, to be copied.
    """

    market: Market
    shop: Shopkeeper
    profile: Profile
    net: dict
    base: RandomEffects

    @classmethod
    def open(
        cls, menu: Menu, campaign: Campaign, *, n_customers: int, seed: int, study: dict, net: dict
    ) -> "World":
        """Make a market, and study its customers.

        Parameters
        ----------
        menu : Menu
        campaign : Campaign
        n_customers, seed : int
        study : dict
            ``weeks``, ``banners``, ``epochs`` of `study_customers`.
        net : dict
            Settings of `DeepResponse`.
        """
        truth = TruthParameters(examination=(1.0,))  # one slot
        market = Market(n_customers, seed, creatives=menu.creatives(), truth=truth)
        past, banners, profile = study_customers(market, seed=seed, **study)
        shop = Shopkeeper(past, banners, Prices.of(market), campaign)
        base = RandomEffects(DeepResponse(profile, menu, seed=seed, **net), menu)
        base.fit(banners, Rows.none())
        return cls(market, shop, profile, net, base)

    def deep(self, profile: Profile, menu: Menu) -> RandomEffects:
        """Return an untrained response model on another profile."""
        seed = self.market.seed
        return RandomEffects(DeepResponse(profile, menu, seed=seed, **self.net), menu)


def contestants(world: World, menu: Menu) -> dict[str, Strategy]:
    """Return the strategies that compete, our loop among them."""
    shop, seed = world.shop, world.market.seed
    dealt = replace(shop, banners=shuffled_banners(shop.banners, np.random.default_rng([seed, 13])))
    logistic = RandomEffects(LogisticResponse(plain_profile(shop.past), menu), menu)
    return {
        "send to all": OneAd(shop, menu, seed=seed),
        "RFM rule": RFMRule(shop, menu, seed=seed),
        "logistic targeting": Learner(logistic, shop, menu),
        "our loop": Learner(deepcopy(world.base), shop, menu),
        "null": Learner(world.deep(world.profile, menu), dealt, menu, null=True),
        "oracle": Oracle(world.market, shop.campaign, menu),
    }


def variants(world: World, menu: Menu, *, archive: int = 30) -> dict[str, Learner]:
    """Return our loop without one of its parts at a time."""
    shop, lots = world.shop, np.random.default_rng([world.market.seed, 30])
    blind = world.deep(no_profile(shop.past), menu)
    usual = deepcopy(world.base)  # one of whom nobody departs, now or later
    usual.sweeps, usual.effects = 0, 0 * usual.effects

    def ours(menu: Menu = menu, **options) -> Learner:
        return Learner(deepcopy(world.base), shop, menu, **options)

    return {
        "profile": Learner(blind, shop, menu),
        "own record": Learner(usual, shop, menu),
        "studio (old ads only)": ours(menu.archive(archive, lots)),
        "uplift (all orders count)": ours(incremental=False),
        "pacing": ours(paced=False),
        "learning again": ours(again=False),
    }


def told(world: World, menu: Menu) -> dict[str, Learner]:
    """Return our loop with something that no shop knows: what ads cost later, and tastes too."""
    market, shop = world.market, world.shop
    hidden, weeks = market.truth_of_customers, shop.campaign.rounds * shop.campaign.weeks
    later = annoyance_cost(market, weeks // 2)
    known = np.column_stack([hidden.price_sensitivity, hidden.engagement])
    traits = np.hstack([world.profile.traits, (known - known.mean(0)) / known.std(0)])
    affinity = np.arctanh(np.clip(hidden.interest, -0.98, 0.98))
    all_known = Profile(traits.astype(np.float32), affinity)
    ours = Learner(deepcopy(world.base), shop, menu, annoyance=later)
    wise = Learner(world.deep(all_known, menu), shop, menu, annoyance=later)
    return {"told what ads cost later": ours, "told tastes as well": wise}


def interest_found(affinity: np.ndarray, world: World) -> float:
    """Return the correlation of tanh(affinity) with the market's true interest."""
    true = world.market.truth_of_customers.interest
    return float(np.corrcoef(np.tanh(affinity).ravel(), true.ravel())[0, 1])
