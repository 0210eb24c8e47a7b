"""Who gets which ad when: the strategies that compete in the closed loop.

Only `Oracle` reads the market's truth. All others know the order history, old banners, the log of
their own campaign, and the shop's own prices."""

from dataclasses import dataclass

import numpy as np
from scipy.special import expit
from scipy.stats import rankdata

from pm_utils.creatives.text.evaluation import ADS
from pm_utils.loop.ad_menu import AdCatalogue
from pm_utils.loop.campaign import Campaign, Log, WeekView
from pm_utils.loop.customer_profiles import PurchaseSummary, no_profile, plain_profile
from pm_utils.loop.planner import (
    Prices,
    allocate_impressions,
    cannibalisation_rate,
    later_cost,
    order_worth,
    spread_evenly,
)
from pm_utils.loop.response_data import ExplorationLog, from_campaign, shuffled
from pm_utils.loop.response_models import LogisticResponse, RandomEffects
from pm_utils.market import DISCOUNT_RATES, Market


@dataclass(frozen=True, eq=False)
class ShopKnowledge:
    """Everything that is known before a campaign, the same for all strategies.

    Attributes
    ----------
    past : PurchaseSummary
    banners : ExplorationLog
    prices : Prices
    campaign : Campaign
    """

    past: PurchaseSummary
    banners: ExplorationLog
    prices: Prices
    campaign: Campaign


class ResponseStrategy:
    """Learn responses, value ads in dollars, plan the week: our loop, and the logistic baseline.

    Explained in chapter ``closed-loop``.

    Parameters
    ----------
    model : RandomEffects
    shop : ShopKnowledge
    menu : AdCatalogue
    displacement : float, optional
        The share of ads' orders that would have come anyway, where it is told; 0 counts every
        order. By default it is measured before each round (`cannibalisation_rate`).
    paced : bool
        Spread the round's budget over its weeks.
    relearn : bool
        Learn responses from the campaign, not only from the banners before it.
    shuffle : numpy.random.Generator, optional
        Deals out the outcomes of the campaign's rows anew before each lesson, for a null. The
        caller does the same with the banners'.
    annoyance : array of shape (N,), optional
        Dollars of later orders that an impression costs. No shop knows them; see `later_cost`.

    Examples
    --------
    Nobody has clicked on anything yet, so what an order is worth decides: the third customer gets
    the most that a week allows, and the rest goes to the next two.

    >>> import numpy as np
    >>> from pm_utils.loop.ad_menu import AdCatalogue
    >>> from pm_utils.loop.campaign import Campaign, Log, WeekView
    >>> from pm_utils.loop.customer_profiles import PurchaseSummary, no_profile
    >>> from pm_utils.loop.planner import Prices
    >>> from pm_utils.loop.response_data import ExplorationLog, ResponseLog
    >>> from pm_utils.loop.response_models import LogisticResponse, RandomEffects
    >>> from pm_utils.loop.strategies import ResponseStrategy, ShopKnowledge
    >>> rate, value = np.array([2.0, 0.5, 1.0, 0.2]), np.array([20.0, 20.0, 40.0, 10.0])
    >>> counts = 1 + 9 * np.eye(4, 12, dtype=int)  # the fourth likes the fourth category
    >>> past = PurchaseSummary(rate, value, np.zeros(4), 1 / rate, counts, weeks=10)
    >>> banners = ExplorationLog(ResponseLog.empty(), np.zeros((2, 2, 4, 240)))
    >>> prices, campaign = Prices(margin=0.3, promoted_share=0.3, cost=0.005), Campaign(weeks=1)
    >>> shop, everybody = ShopKnowledge(past, banners, prices, campaign), np.ones(4, bool)
    >>> menu = AdCatalogue.of(1)
    >>> logistic = LogisticResponse(no_profile(past), menu, personal=False)
    >>> strategy = ResponseStrategy(RandomEffects(logistic, menu), shop, menu)
    >>> strategy.learn(Log(everybody, weeks=1))  # before the first round
    >>> view = WeekView(0, 0, everybody, everybody, fatigue=np.zeros(4), budget=8)
    >>> ads, impressions = strategy.send(view)
    >>> ads.tolist(), impressions.tolist()
    ([0, 0, 0, 0], [1, 1, 6, 0])
    """

    def __init__(
        self,
        model: RandomEffects,
        shop: ShopKnowledge,
        menu: AdCatalogue,
        *,
        displacement: float | None = None,
        paced: bool = True,
        relearn: bool = True,
        shuffle: np.random.Generator | None = None,
        annoyance: np.ndarray | None = None,
    ) -> None:
        self.model, self.shop, self.menu = model, shop, menu
        self.displacement, self.paced = displacement, paced
        self.relearn, self.shuffle = relearn, shuffle
        self.annoyance = 0.0 if annoyance is None else annoyance
        self.cannibalisation_rates: list[float] = []

    def learn(self, log: Log) -> None:
        """Fit the model to the log, and value every customer's best ad."""
        if not self.model.fitted or (log.shown and self.relearn):
            rows = from_campaign(log)
            if self.shuffle is not None:
                rows = shuffled(rows, self.shuffle)
            self.model.fit(self.shop.banners, rows)
        share = self.displacement
        if share is None:
            share = cannibalisation_rate(log, self.shop.past.rate)
        self.cannibalisation_rates.append(share)
        click, order = self.model.probabilities()
        self.ad, self.gain = self._best(click * order, share)

    def _best(self, probability: np.ndarray, share: float) -> tuple[np.ndarray, np.ndarray]:
        """Return each customer's best ad and its gain in dollars, given probabilities (N, M)."""
        worth, ads = order_worth(self.shop.past, self.shop.prices, share), self.menu.open_ads
        discount = ADS[ads // self.menu.n_looks, 2]
        gain = probability[:, ads] * worth.astype(np.float32)[:, discount]
        best = gain.argmax(1)
        return ads[best], gain[np.arange(len(gain)), best].astype(float)

    def send(self, observation: WeekView) -> tuple[np.ndarray, np.ndarray]:
        """Return the plan of the week."""
        campaign, gain = self.shop.campaign, np.where(observation.eligible, self.gain, -np.inf)
        weeks = campaign.weeks - observation.week if self.paced else 1
        cost = self.shop.prices.cost + self.annoyance
        settings = {"fatigue_effect": self.model.fatigue_effect, "cost": cost}
        settings |= {"frequency_cap": campaign.frequency_cap, "budget": observation.budget // weeks}
        return self.ad, allocate_impressions(gain, observation.fatigue, **settings)


class OneAd:
    """The same for everybody: the ad that does best on average, as often as the budget allows.

    Parameters
    ----------
    shop : ShopKnowledge
    menu : AdCatalogue
    seed : int
        Decides who gets the impressions that are left over.

    Examples
    --------
    >>> import numpy as np
    >>> from pm_utils.loop.ad_menu import AdCatalogue
    >>> from pm_utils.loop.campaign import Campaign, Log, WeekView
    >>> from pm_utils.loop.customer_profiles import PurchaseSummary
    >>> from pm_utils.loop.planner import Prices
    >>> from pm_utils.loop.response_data import ExplorationLog, ResponseLog
    >>> from pm_utils.loop.strategies import OneAd, ShopKnowledge
    >>> rate, value = np.array([2.0, 0.5, 1.0, 0.2]), np.array([20.0, 20.0, 40.0, 10.0])
    >>> counts = 1 + 9 * np.eye(4, 12, dtype=int)  # the fourth likes the fourth category
    >>> past = PurchaseSummary(rate, value, np.zeros(4), 1 / rate, counts, weeks=10)
    >>> banners = ExplorationLog(ResponseLog.empty(), np.zeros((2, 2, 4, 240)))
    >>> prices, campaign = Prices(margin=0.3, promoted_share=0.3, cost=0.005), Campaign(weeks=1)
    >>> shop, everybody = ShopKnowledge(past, banners, prices, campaign), np.ones(4, bool)
    >>> strategy = OneAd(shop, AdCatalogue.of(1), seed=0)
    >>> strategy.learn(Log(everybody, weeks=1))  # before the first round
    >>> view = WeekView(0, 0, everybody, everybody, fatigue=np.zeros(4), budget=8)
    >>> ads, impressions = strategy.send(view)
    >>> ads.tolist(), impressions.tolist()  # without any log, the ad without discount
    ([0, 0, 0, 0], [2, 2, 2, 2])
    """

    def __init__(self, shop: ShopKnowledge, menu: AdCatalogue, *, seed: int) -> None:
        self.model = LogisticResponse(no_profile(shop.past), menu, personal=False)
        self.shop, self.menu, self.rng = shop, menu, np.random.default_rng([seed, 13])

    def learn(self, log: Log) -> None:
        """Find the best ad by the sum of its parts' effects on clicks and orders."""
        self.model.fit(self.shop.banners.rows, from_campaign(log))
        probability = expit(self.model.logits()[:, 0]).prod(0)  # (M,), for everybody
        ads = self.menu.open_ads
        worth = order_worth(self.shop.past, self.shop.prices, 0.0).mean(0)
        self.value = np.full(len(self.menu), -np.inf)
        self.value[ads] = probability[ads] * worth[ADS[ads // self.menu.n_looks, 2]]
        self.ad = np.full(len(log.treated), self.value.argmax())

    def send(self, observation: WeekView) -> tuple[np.ndarray, np.ndarray]:
        """Return the ad and equally many impressions for all who are chosen."""
        budget = observation.budget // (self.shop.campaign.weeks - observation.week)
        return self.ad, spread_evenly(self.chosen(observation.eligible), budget, self.rng)

    def chosen(self, eligible: np.ndarray) -> np.ndarray:
        """Return who is addressed."""
        return eligible


class RFMRule(OneAd):
    """The better half by recency, frequency and money; their favourite category, else as `OneAd`.

    Each of the three is ranked, and the ranks are added up.

    Examples
    --------
    >>> import numpy as np
    >>> from pm_utils.loop.ad_menu import AdCatalogue
    >>> from pm_utils.loop.campaign import Campaign, Log, WeekView
    >>> from pm_utils.loop.customer_profiles import PurchaseSummary
    >>> from pm_utils.loop.planner import Prices
    >>> from pm_utils.loop.response_data import ExplorationLog, ResponseLog
    >>> from pm_utils.loop.strategies import RFMRule, ShopKnowledge
    >>> rate, value = np.array([2.0, 0.5, 1.0, 0.2]), np.array([20.0, 20.0, 40.0, 10.0])
    >>> counts = 1 + 9 * np.eye(4, 12, dtype=int)  # the fourth likes the fourth category
    >>> past = PurchaseSummary(rate, value, np.zeros(4), 1 / rate, counts, weeks=10)
    >>> banners = ExplorationLog(ResponseLog.empty(), np.zeros((2, 2, 4, 240)))
    >>> prices, campaign = Prices(margin=0.3, promoted_share=0.3, cost=0.005), Campaign(weeks=1)
    >>> shop, everybody = ShopKnowledge(past, banners, prices, campaign), np.ones(4, bool)
    >>> strategy = RFMRule(shop, AdCatalogue.of(1), seed=0)
    >>> strategy.learn(Log(everybody, weeks=1))  # before the first round
    >>> view = WeekView(0, 0, everybody, everybody, fatigue=np.zeros(4), budget=8)
    >>> ads, impressions = strategy.send(view)
    >>> ads.tolist(), impressions.tolist()  # 20 ads of each category
    ([0, 20, 40, 60], [4, 0, 4, 0])
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

    def chosen(self, eligible: np.ndarray) -> np.ndarray:
        """Return the better half of those who can be addressed."""
        return eligible & (self.score >= np.median(self.score[eligible]))


class Oracle:
    """Knows every probability, order rate and order value, and what ads cost later; not the luck.

    Every week it takes the impressions that are worth most: this week's expected incremental profit
    with true fatigue, less the organic orders that the annoyance will cost in the weeks that
    are left. It does not save customers' attention for later weeks (myopic), it pays for no test.

    Explained in chapter ``closed-loop``.

    Parameters
    ----------
    market : Market
    campaign : Campaign
    menu : AdCatalogue
    caution : float
        Above 1, it plans as if ads tired more than they do, and so spreads them.

    Examples
    --------
    >>> from pm_utils.loop.ad_menu import AdCatalogue
    >>> from pm_utils.loop.campaign import Campaign, run_campaign
    >>> from pm_utils.loop.strategies import Oracle
    >>> from pm_utils.market import Market
    >>> menu, campaign = AdCatalogue.of(1), Campaign(rounds=1, weeks=2)
    >>> market = Market(10, seed=0, creatives=menu.creatives())
    >>> done = run_campaign(market, Oracle(market, campaign, menu), campaign)
    >>> bool(done.true_profit[0] > 0)  # dollars per treated customer, above sending nothing
    True
    """

    def __init__(
        self, market: Market, campaign: Campaign, menu: AdCatalogue, *, caution: float = 1.0
    ) -> None:
        self.caution = caution
        truth, hidden = market.truth, market.truth_of_customers
        self.campaign, self.market, everyone = campaign, market, np.arange(market.n_customers)
        looks = np.flatnonzero(menu.open_looks)
        look = looks[market.click_probability(everyone[:, None], looks).argmax(1)]
        ads = np.arange(len(ADS)) * menu.n_looks + look[:, None]  # (N, 240)
        who = np.broadcast_to(everyone[:, None], ads.shape)
        order = market.click_probability(who, ads) * market.conversion_probability(who, ads)
        kept = 1 - truth.displacement * (1 - np.exp(-hidden.order_rate))[:, None]
        profit = truth.margin * kept - truth.promoted_share * DISCOUNT_RATES[ADS[:, 2]]
        gain = np.where(menu.open_texts, order * hidden.order_value[:, None] * profit, -np.inf)
        best = gain.argmax(1)
        self.ad, self.gain = ads[everyone, best], gain[everyone, best]

    def learn(self, log: Log) -> None:
        """Learn nothing."""

    def send(self, observation: WeekView) -> tuple[np.ndarray, np.ndarray]:
        """Return the plan of the week."""
        campaign, truth = self.campaign, self.market.truth
        weeks = campaign.weeks - observation.week
        left = (campaign.rounds - observation.round - 1) * campaign.weeks + weeks
        gain = np.where(observation.eligible, self.gain, -np.inf)
        cost = truth.impression_cost + later_cost(self.market, left)
        settings = {"fatigue_effect": self.caution * truth.fatigue, "cost": cost}
        settings |= {"frequency_cap": campaign.frequency_cap, "budget": observation.budget // weeks}
        return self.ad, allocate_impressions(gain, observation.fatigue, **settings)
