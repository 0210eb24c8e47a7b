"""Chapter 13: the shop's study before the campaign, and the strategies that compete in it."""

from copy import deepcopy
from dataclasses import dataclass, replace

import numpy as np

from pm_utils.loop.ad_menu import AdCatalogue
from pm_utils.loop.campaign import Campaign, Strategy
from pm_utils.loop.customer_profiles import (
    Profile,
    PurchaseSummary,
    learn_profile,
    learned_profile,
    no_profile,
    plain_profile,
    summarise_purchases,
)
from pm_utils.loop.planner import Prices, annoyance_cost
from pm_utils.loop.response_data import (
    ExplorationLog,
    ResponseLog,
    shuffled_exploration,
    subsample_negatives,
)
from pm_utils.loop.response_models import DeepResponse, LogisticResponse, RandomEffects
from pm_utils.loop.strategies import OneAd, Oracle, ResponseStrategy, RFMRule, ShopKnowledge
from pm_utils.market import Market, TruthParameters, Uniform

# --- Everything before the first round -----------------------------------------------------------


def study_customers(
    market: Market, *, weeks: int, banners: int, epochs: int, seed: int
) -> tuple[PurchaseSummary, ExplorationLog, Profile]:
    """Collect orders and random banners, and learn a profile from the orders.

    Parameters
    ----------
    market : Market
    weeks : int
        Length of the order history. The profile learns to foretell its last quarter.
    banners : int
        Random banners per customer.
    epochs, seed : int
        Of the profile's training.

    Returns
    -------
    PurchaseSummary, ExplorationLog, Profile
    """
    n, orders = market.n_customers, market.orders(weeks)
    past, cut = summarise_purchases(orders, n, weeks), 3 * weeks // 4
    early = summarise_purchases(orders[orders["week"] < cut], n, cut)
    net = learn_profile(early, past.counts - early.counts, epochs=epochs, seed=seed)
    log = market.impressions(Uniform(len(market.creatives)), banners * n)
    return past, subsample_negatives(log, (n, len(market.creatives))), learned_profile(net, past)


# --- Worlds and who plays in them ----------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class World:
    """A market and the shop that works in it.

    Explained in chapter ``closed-loop``.

    Attributes
    ----------
    market : Market
    shop : ShopKnowledge
    profile : Profile
        Learned from the orders.
    net : dict
        Settings of every `DeepResponse`.
    base : RandomEffects
        Around a `DeepResponse`, trained on the banners, to be copied.
    """

    market: Market
    shop: ShopKnowledge
    profile: Profile
    net: dict
    base: RandomEffects

    @classmethod
    def open(
        cls,
        menu: AdCatalogue,
        campaign: Campaign,
        *,
        n_customers: int,
        seed: int,
        study: dict,
        net: dict,
    ) -> "World":
        """Make a market, and study its customers.

        Parameters
        ----------
        menu : AdCatalogue
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
        shop = ShopKnowledge(past, banners, Prices.of(market), campaign)
        base = RandomEffects(DeepResponse(profile, menu, seed=seed, **net), menu)
        base.fit(banners, ResponseLog.empty())
        return cls(market, shop, profile, net, base)

    def deep(self, profile: Profile, menu: AdCatalogue) -> RandomEffects:
        """Return an untrained response model on another profile."""
        seed = self.market.seed
        return RandomEffects(DeepResponse(profile, menu, seed=seed, **self.net), menu)


def competing_strategies(world: World, menu: AdCatalogue) -> dict[str, Strategy]:
    """Return the strategies that compete, our loop among them.

    Explained in chapter ``closed-loop``.
    """
    shop, seed = world.shop, world.market.seed
    shuffled = replace(
        shop, banners=shuffled_exploration(shop.banners, np.random.default_rng([seed, 13]))
    )
    logistic = RandomEffects(LogisticResponse(plain_profile(shop.past), menu), menu)
    return {
        "send to all": OneAd(shop, menu, seed=seed),
        "RFM rule": RFMRule(shop, menu, seed=seed),
        "logistic targeting": ResponseStrategy(logistic, shop, menu),
        "our loop": ResponseStrategy(deepcopy(world.base), shop, menu),
        "null": ResponseStrategy(world.deep(world.profile, menu), shuffled, menu, null=True),
        "oracle": Oracle(world.market, shop.campaign, menu),
    }


def ablations(world: World, menu: AdCatalogue, *, archive: int = 30) -> dict[str, ResponseStrategy]:
    """Return our loop without one of its parts at a time.

    Explained in chapter ``closed-loop``.
    """
    shop, rng = world.shop, np.random.default_rng([world.market.seed, 30])
    no_features = world.deep(no_profile(shop.past), menu)
    same_for_all = deepcopy(world.base)  # one of whom nobody departs, now or later
    same_for_all.em_steps, same_for_all.effects = 0, 0 * same_for_all.effects

    def ours(menu: AdCatalogue = menu, **options) -> ResponseStrategy:
        return ResponseStrategy(deepcopy(world.base), shop, menu, **options)

    return {
        "profile": ResponseStrategy(no_features, shop, menu),
        "own record": ResponseStrategy(same_for_all, shop, menu),
        "studio (old ads only)": ours(menu.archive(archive, rng)),
        "uplift (all orders count)": ours(incremental=False),
        "pacing": ours(paced=False),
        "learning again": ours(relearn=False),
    }


def privileged(world: World, menu: AdCatalogue) -> dict[str, ResponseStrategy]:
    """Return our loop with something that no shop knows: what ads cost later, and tastes too.

    Explained in chapter ``closed-loop``.
    """
    market, shop = world.market, world.shop
    hidden, weeks = market.truth_of_customers, shop.campaign.rounds * shop.campaign.weeks
    later = annoyance_cost(market, weeks // 2)
    known = np.column_stack([hidden.price_sensitivity, hidden.engagement])
    traits = np.hstack([world.profile.traits, (known - known.mean(0)) / known.std(0)])
    affinity = np.arctanh(np.clip(hidden.interest, -0.98, 0.98))
    all_known = Profile(traits.astype(np.float32), affinity)
    knows_later = ResponseStrategy(deepcopy(world.base), shop, menu, annoyance=later)
    knows_tastes = ResponseStrategy(world.deep(all_known, menu), shop, menu, annoyance=later)
    return {"told what ads cost later": knows_later, "told tastes as well": knows_tastes}


def interest_found(affinity: np.ndarray, world: World) -> float:
    """Return the correlation of tanh(affinity) with the market's true interest.

    Explained in chapter ``closed-loop``.
    """
    true = world.market.truth_of_customers.interest
    return float(np.corrcoef(np.tanh(affinity).ravel(), true.ravel())[0, 1])
