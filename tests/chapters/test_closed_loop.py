"""Chapter 13: its study, its planner, its reports and its strategies."""

import numpy as np
import pytest

from pm_utils.chapters import closed_loop
from pm_utils.creatives.text.evaluation import ADS
from pm_utils.loop import reporting
from pm_utils.loop.ad_menu import AdCatalogue
from pm_utils.loop.campaign import Campaign, Log, Strategy, WeekView, run_campaign
from pm_utils.loop.customer_profiles import (
    learn_profile,
    learned_profile,
    plain_profile,
    summarise_purchases,
)
from pm_utils.loop.planner import Prices, order_worth
from pm_utils.loop.reporting import attributed_profit
from pm_utils.loop.response_data import ResponseLog, subsample_negatives
from pm_utils.loop.response_models import DeepResponse, LogisticResponse, RandomEffects
from pm_utils.loop.strategies import OneAd, Oracle, ResponseStrategy, RFMRule, ShopKnowledge
from pm_utils.market import DISCOUNT_RATES, Market, TruthParameters, Uniform
from tests.support.market_world import made_up_households

CAMPAIGN = Campaign(rounds=3, weeks=2, budget=2.0, frequency_cap=5)
N = 1200


@pytest.fixture(scope="module")
def world() -> closed_loop.World:
    """A small world on made-up households; ads work better than in the book's."""
    menu = AdCatalogue.of(2)
    truth = TruthParameters(examination=(1.0,), click_base=-2.5, order_base=-2.0)
    market = Market(N, 0, creatives=menu.creatives(), truth=truth, households=made_up_households())
    past = summarise_purchases(market.orders(60), N, 60)
    log = market.impressions(Uniform(len(menu)), 100 * N)
    net = learn_profile(past, past.counts, epochs=3, seed=0)
    banners = subsample_negatives(log, (N, len(menu)))
    shop = ShopKnowledge(past, banners, Prices.of(market), CAMPAIGN)
    settings = {"first_steps": 200, "steps": 30}
    profile = learned_profile(net, past)
    base = RandomEffects(DeepResponse(profile, menu, seed=0, **settings), menu)
    base.fit(banners, ResponseLog.empty())
    return closed_loop.World(market, shop, profile, settings, base)


def test_all_strategies_of_the_book_are_strategies(world):
    menu = AdCatalogue.of(2)
    made = closed_loop.competing_strategies(world, menu) | closed_loop.ablations(
        world, menu, archive=7
    )
    made |= closed_loop.privileged(world, menu)
    assert len(made) == 14
    assert all(isinstance(each, Strategy) for each in made.values())


@pytest.fixture(scope="module")
def runs(world) -> dict:
    made = closed_loop.competing_strategies(world, AdCatalogue.of(2))
    return {name: run_campaign(world.market, each, CAMPAIGN) for name, each in made.items()}


# --- Money ---------------------------------------------------------------------------------------


def test_an_order_is_worth_its_margin_less_what_came_anyway_less_the_discount(world):
    past, prices = world.shop.past, world.shop.prices
    assert prices == Prices(margin=0.3, promoted_share=0.3, cost=0.005)
    worth = order_worth(past, prices, 0.5)
    kept = 1 - 0.5 * (1 - np.exp(-past.rate[4]))
    want = past.value[4] * (0.3 * kept - 0.3 * DISCOUNT_RATES)
    assert worth[4] == pytest.approx(want)
    assert (order_worth(past, prices, 0.0) >= worth).all()


def test_the_books_count_orders_after_clicks(world, runs):
    menu, shop, log = AdCatalogue.of(2), world.shop, runs["our loop"].log
    rows = log.rows()
    discount = ADS[rows["creative"] // 2, 2]
    value = shop.past.value[rows["customer"]] * (0.3 - 0.3 * DISCOUNT_RATES[discount])
    want = (rows["conversions"] * value).sum() - 0.005 * rows["impressions"].sum()
    assert attributed_profit(log, shop, menu) == pytest.approx(want / log.treated.sum())
    rounds = [attributed_profit(log, shop, menu, weeks=slice(w, w + 2)) for w in (0, 2, 4)]
    assert sum(rounds) == pytest.approx(attributed_profit(log, shop, menu))
    less = attributed_profit(log, shop, menu, cannibalisation=0.5)
    assert less < attributed_profit(log, shop, menu)


def test_what_is_measured_stands_beside_the_truth(world, runs):
    table = reporting.measurement_report(runs["our loop"], world.shop, AdCatalogue.of(2))
    assert list(table.index) == [1, 2, 3, "all"]
    assert table["truth"].iloc[:3].sum() == pytest.approx(table.loc["all", "truth"])
    assert (table["low"] < table["holdout"]).all()
    assert (table["books, displaced off"] < table["books"]).all()


# --- Strategies ----------------------------------------------------------------------------------


def test_nobody_beats_the_oracle_and_learning_beats_rules(runs):
    whole = {name: done.true_profit.sum() for name, done in runs.items()}
    best = whole.pop("oracle")
    assert max(whole.values()) < best
    for learner in ("our loop", "logistic targeting"):
        assert whole[learner] > 0.35 * best
        assert whole[learner] > max(whole["send to all"], whole["RFM rule"])


def test_the_null_is_far_below(runs):
    assert runs["null"].true_profit.sum() < 0.6 * runs["our loop"].true_profit.sum()


def test_all_spend_the_same_budget_on_the_same_customers(runs):
    held = [tuple(np.flatnonzero(~done.log.treated)) for done in runs.values()]
    assert len(set(held)) == 1
    for done in runs.values():
        assert (done.impressions <= CAMPAIGN.budget * CAMPAIGN.weeks).all()
    assert runs["our loop"].impressions == pytest.approx(runs["oracle"].impressions, rel=0.05)


def test_the_oracle_picks_the_best_ad_of_the_whole_menu(world):
    menu = AdCatalogue.of(2)
    menu.open_texts[::3] = False
    oracle, market = Oracle(world.market, CAMPAIGN, menu), world.market
    who, ads = np.arange(60)[:, None], menu.open_ads
    t, c = market.truth, market.truth_of_customers
    order = market.click_probability(who, ads) * market.conversion_probability(who, ads)
    kept = 1 - t.displacement * (1 - np.exp(-c.order_rate[:60]))
    profit = t.margin * kept[:, None] - market.promoted_discount[ads]
    gain = order * c.order_value[:60, None] * profit
    assert oracle.gain[:60] == pytest.approx(gain.max(1), rel=1e-5)
    assert np.array_equal(ads[gain.argmax(1)], oracle.ad[:60])


def test_a_cautious_oracle_spreads_its_impressions(world):
    menu, state = (
        AdCatalogue.of(2),
        WeekView(0, 0, np.ones(N, bool), np.ones(N, bool), np.zeros(N), 2 * N),
    )
    served = [
        (Oracle(world.market, CAMPAIGN, menu, caution=caution).send(state)[1] > 0).sum()
        for caution in (1.0, 6.0)
    ]
    assert served[1] > served[0]


def observation(treated: np.ndarray, budget: int = 1000) -> WeekView:
    return WeekView(1, 0, treated, np.ones(len(treated), bool), np.zeros(len(treated)), budget)


def test_one_ad_is_one_ad_and_the_rule_serves_the_better_half(world):
    menu, able = AdCatalogue.of(2), np.arange(N) % 5 > 0
    empty = Log(able, 2)
    for make, share in ((OneAd, 1.0), (RFMRule, 0.5)):
        strategy = make(world.shop, menu, seed=0)
        strategy.learn(empty)
        ads, impressions = strategy.send(observation(able, 3 * N))
        assert impressions.sum() == 3 * N // 2
        assert (impressions > 0).sum() == pytest.approx(share * able.sum(), abs=2)
        kinds = len(np.unique(ads))
        assert kinds == 1 if make is OneAd else kinds > 3
    served = impressions > 0
    assert world.shop.past.rate[served].mean() > world.shop.past.rate[able & ~served].mean()


def test_a_learner_sends_what_is_on_the_menu_and_paces(world):
    menu = AdCatalogue.of(2).archive(12, np.random.default_rng(0))
    able = np.arange(N) % 5 > 0
    spent = {}
    for paced in (True, False):
        learner = ResponseStrategy(world.base, world.shop, menu, paced=paced)
        learner.learn(Log(able, 2))
        ads, impressions = learner.send(observation(able))
        assert set(ads[impressions > 0]) <= set(menu.open_ads)
        assert not impressions[~able].any()
        spent[paced] = impressions.sum()
    assert spent[False] > 1.5 * spent[True]


def test_without_uplift_discounts_are_deeper(world):
    menu, log = AdCatalogue.of(2), Log(np.ones(N, bool), 2)
    learner = ResponseStrategy(world.base, world.shop, menu)
    learner.learn(log)
    click, order = learner.model.probabilities()
    best = [learner._best(click * order, share)[0] for share in (0.0, 0.5)]
    deep = [DISCOUNT_RATES[ADS[ads // 2, 2]] for ads in best]
    assert deep[0].mean() > deep[1].mean()


def test_an_open_loop_learns_once(world):
    for relearn, lessons in ((False, 1), (True, 3)):
        model = LogisticResponse(plain_profile(world.shop.past), AdCatalogue.of(2))
        learner = ResponseStrategy(
            RandomEffects(model, AdCatalogue.of(2)), world.shop, AdCatalogue.of(2), relearn=relearn
        )
        run_campaign(world.market, learner, CAMPAIGN)
        assert len(learner.cannibalisation_rates) == lessons


def test_variants_lack_what_they_are_named_for(world):
    made = closed_loop.ablations(world, AdCatalogue.of(2), archive=7)
    assert len(made["studio (old ads only)"].menu.open_ads) == 7
    assert made["profile"].model.model.traits.shape[1] == 2
    assert not made["profile"].model.model.affinity.any()
    assert made["own record"].model.em_steps == 0
    assert not made["uplift (all orders count)"].incremental
    assert not made["pacing"].paced
    assert not made["learning again"].relearn
    assert len({id(each.model) for each in made.values()}) == len(made)  # none teaches another


def test_who_is_told_more_reads_more(world):
    made = closed_loop.privileged(world, AdCatalogue.of(2))
    cost, all_ = made.values()
    assert (cost.annoyance >= 0).all()
    knows, guesses = all_.model.model, cost.model.model
    assert knows.traits.shape[1] == guesses.traits.shape[1] + 2
    assert closed_loop.interest_found(knows.affinity.numpy(), world) > 0.999
    assert closed_loop.interest_found(world.profile.affinity, world) > 0.4
