"""A market with a thirteenth category and a fifth tone; `test_other_market` runs this file.

Levels are read while the package is imported. So this needs a process of its own, where they are
added first, as if the table in `pm_utils.market.creatives` had them.
"""
# ruff: noqa: E402

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pandas as pd
import pytest
import torch

import pm_utils


def add_levels(**more: str) -> dict[str, tuple[str, ...]]:
    """Load the table of attributes before all that reads it, and add levels to it."""
    name = "pm_utils.market.creatives"
    assert "pm_utils.market" not in sys.modules, "run this file in a process of its own"
    folder = Path(pm_utils.__file__).parent / "market"
    stub = ModuleType("pm_utils.market")  # the package without what its own file imports
    stub.__path__ = [str(folder)]
    sys.modules["pm_utils.market"] = stub
    spec = importlib.util.spec_from_file_location(name, folder / "creatives.py")
    sys.modules[name] = table = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(table)
    del sys.modules["pm_utils.market"]
    for attribute, level in more.items():
        table.ATTRIBUTES[attribute] += (level,)
    return table.ATTRIBUTES


ATTRIBUTES = add_levels(category="garden", tone="solemn")
CATEGORIES, TONES = ATTRIBUTES["category"], ATTRIBUTES["tone"]
GARDEN, SOLEMN = 12, 4

from pm_utils import market
from pm_utils.chapters import closed_loop
from pm_utils.chapters.closed_loop import NETWORK
from pm_utils.creatives.image import networks
from pm_utils.creatives.text import evaluation
from pm_utils.creatives.text.evaluation import ADS
from pm_utils.loop import strategies
from pm_utils.loop.ad_menu import LOOKS, AdCatalogue, one_hot_texts
from pm_utils.loop.campaign import Campaign, Log, incremental_profit, run_campaign
from pm_utils.loop.customer_profiles import no_profile, plain_profile
from pm_utils.loop.response_data import ResponseLog
from pm_utils.loop.response_models import LogisticResponse
from pm_utils.market import Market, TruthParameters, Uniform, headlines, population, renderer
from pm_utils.measurement import post_click
from tests.support.market_world import made_up_households, small_market

N, WEEKS, BANNERS = 500, 40, 120
CAMPAIGN = Campaign(rounds=2, weeks=2, budget=2.0, frequency_cap=6)
MENU = AdCatalogue.of(2)
SETUPS = {name: closed_loop.Setup(BANNERS) for name in closed_loop.RULES} | {
    name: closed_loop.Setup(BANNERS, strengths[len(strengths) // 2])
    for name, strengths in closed_loop.PENALTIES.items()
}
FANS = np.arange(N) % 2 == 0  # of the new tone


@pytest.fixture(scope="module")
def world() -> closed_loop.World:
    """Every second customer likes the new tone, the others dislike it; no other tone matters."""
    truth = TruthParameters(examination=(1.0,), click_base=-2.5, order_base=-2.0)
    households = made_up_households()
    made = Market(N, 0, creatives=MENU.creatives(), truth=truth, households=households)
    made.truth_of_customers.tone[:] = 0
    made.truth_of_customers.tone[:, SOLEMN] = np.where(FANS, 7, -3)
    net = {"first_steps": 100, "steps": 20}
    return closed_loop.World.of(made, CAMPAIGN, weeks=WEEKS, epochs=2, net=net)


@pytest.fixture(scope="module")
def taught(world) -> dict[str, closed_loop.TaughtModel]:
    return closed_loop.learners([world], MENU, SETUPS)[world]


@pytest.fixture(scope="module")
def players(world, taught) -> dict[str, object]:
    ours = taught[NETWORK]
    made = closed_loop.competing_strategies(world, MENU, SETUPS, taught)
    made |= closed_loop.nulls([world], MENU, SETUPS, {world: taught}, 1)[world]
    blind, wiser = (
        closed_loop.loops_that_read([world], MENU, SETUPS[NETWORK], {world: taught}, reads)[world]
        for reads in (closed_loop.blind_profile, closed_loop.true_profile)
    )
    made |= closed_loop.build_up(world, MENU, MENU, ours, blind)
    made |= closed_loop.privileged(world, ours, wiser)
    return made | {"oracle": strategies.Oracle(world.market, CAMPAIGN, MENU)}


@pytest.fixture(scope="module")
def runs(world, players) -> dict:
    return {name: run_campaign(world.market, each, CAMPAIGN) for name, each in players.items()}


@pytest.fixture(scope="module")
def logistic(world, taught) -> LogisticResponse:
    model = LogisticResponse(world.plain, MENU)
    model.fit(taught[NETWORK].shop.banners.rows, ResponseLog.empty())
    return model


def ad_of(category: str, tone: str, discount: str, look: int) -> int:
    """Return the ad that says and shows this, by going through all texts."""
    names = [
        tuple(ATTRIBUTES[k][i] for k, i in zip(("category", "tone", "discount"), text, strict=True))
        for text in ADS
    ]
    return names.index((category, tone, discount)) * MENU.n_looks + look


# --- Ads -----------------------------------------------------------------------------------------


def test_the_package_reads_the_longer_table():
    assert market.ATTRIBUTES is ATTRIBUTES
    assert (len(CATEGORIES), len(TONES)) == (13, 5)
    assert CATEGORIES[GARDEN] == "garden"
    assert TONES[SOLEMN] == "solemn"
    assert population.CATEGORIES == CATEGORIES
    assert len(ADS) == 13 * 5 * 5
    assert len(LOOKS) == 24


@pytest.mark.parametrize("category", ["drinks", "baby", "garden"])
@pytest.mark.parametrize("tone", ["plain", "playful", "solemn"])
def test_an_ad_is_marked_at_its_own_levels(category, tone):
    ad = ad_of(category, tone, "50%", 1)
    at = [CATEGORIES.index(category), 13 + TONES.index(tone), 13 + 5 + 4, 13 + 5 + 5 + 1]
    assert np.flatnonzero(MENU.one_hot()[ad]).tolist() == at
    assert MENU.one_hot().shape == (len(MENU), 13 + 5 + 5 + 2)
    assert np.flatnonzero(one_hot_texts()[ad // MENU.n_looks]).tolist() == at[:3]
    said = MENU.creatives().take(np.array([ad]))
    assert said.codes()[0, :3].tolist() == [CATEGORIES.index(category), TONES.index(tone), 4]


def test_a_request_for_a_picture_has_the_new_levels_in_their_places():
    request = networks.image_request(np.array([[GARDEN, SOLEMN, 2, 3, 1]]))[0]
    single = np.flatnonzero(request[: 13 + 5 + 5 + 6 + 4]).tolist()
    assert single == [GARDEN, 13 + SOLEMN, 18 + 2, 23 + 3, 29 + 1]
    assert request.shape == (networks.REQUEST_DIM,) == (33 + 29 * 4,)


# --- What the shop knows -------------------------------------------------------------------------


def test_orders_are_counted_under_their_own_category(world):
    orders = world.market.orders(WEEKS)
    want = pd.crosstab(orders["customer"], orders["category"], dropna=False)
    want = want.reindex(index=range(N), columns=CATEGORIES, fill_value=0)
    assert np.array_equal(world.past.counts, want)
    assert want["garden"].sum() > 100
    assert world.profile.affinity.shape == no_profile(world.past).affinity.shape == (N, 13)


def test_receipts_fit_to_the_category_of_the_ad():
    small = small_market(200)
    pairs = post_click.aggregate_log(
        small, small.impressions(Uniform(len(small.creatives)), 20_000)
    )
    garden = pairs.codes[:, 0] == GARDEN
    shares = small.customers["share_garden"].to_numpy()
    lift = np.log((shares + 0.01) / (shares.mean() + 0.01))
    want = ((lift - lift.mean()) / lift.std()).clip(-3, 3)[pairs.customer[garden]]
    assert garden.any()
    assert pairs.numbers[garden, -1] == pytest.approx(want, abs=1e-5)
    assert pairs.numbers.shape[1] == 4 + 13 + 1


# --- What it learns ------------------------------------------------------------------------------


def some_pairs(size: int = 300) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    ads = np.r_[rng.integers(len(MENU), size=size - 3), 0, len(MENU) - 1, ad_of(*NEWEST)]
    return rng.integers(N, size=size), ads


NEWEST = ("garden", "solemn", "none", 0)


def test_networks_say_the_same_of_a_pair_alone_and_among_all(world, taught):
    model, (customer, ad) = taught[NETWORK].model.model, some_pairs()
    levels = MENU.codes()[ad]
    near = world.profile.affinity[customer, levels[:, 0]]
    x = torch.as_tensor(np.column_stack([world.profile.traits[customer], near]))
    inputs = [each.expand(model.members, *each.shape) for each in (x, model.one_hot[ad])]
    with torch.no_grad():
        alone = model.nets(*inputs, torch.zeros(model.members, len(ad))).mean(0).T
    assert model.logits()[:, customer, ad] == pytest.approx(alone.numpy(), abs=1e-4)


def test_the_regression_says_the_same_of_a_pair_alone_and_among_all(logistic):
    customer, ad = some_pairs()
    x = logistic._products(customer, ad)
    alone = [x @ logistic.coef[0][:-1], x @ logistic.coef[1]]
    assert logistic.logits()[:, customer, ad] == pytest.approx(np.array(alone), abs=1e-3)
    p = 1 + logistic.traits.shape[1]
    assert x.shape[1] == p + 2 + (5 + 5 + 2) + p * (13 + 5 + 5 + 2)


def test_the_liking_of_the_new_tone_reaches_its_coefficient(world, taught):
    """On average over all customers, more like it than dislike it."""
    model = LogisticResponse(no_profile(world.past), MENU, personal=False)
    model.fit(taught[NETWORK].shop.banners.rows, ResponseLog.empty())
    tones = model.coef[0][1 + 13 : 1 + 13 + 5]
    assert tones.argmax() == SOLEMN
    assert tones[SOLEMN] - tones.mean() > 3 * np.delete(tones, SOLEMN).std()
    assert tones[SOLEMN] - np.delete(tones, SOLEMN).mean() > 0.3


def test_fans_of_the_new_tone_are_told_from_the_others_by_their_own_effects(taught):
    """Each customer's effects hold constant, categories, tones, looks and discount."""
    base = taught[NETWORK].model
    assert base.x[0].shape == (len(MENU), 1 + 13 + 5 + 2 + 1)
    assert base.effects.shape == (N, 22 + 2)
    ad = ad_of(*NEWEST)
    assert np.flatnonzero(base.x[0][ad, :-1]).tolist() == [0, 1 + GARDEN, 1 + 13 + SOLEMN, 1 + 18]
    gap = base.effects[FANS].mean(0) - base.effects[~FANS].mean(0)
    gap[0] = 0  # the constant says that fans click more
    assert gap.argmax() == 1 + 13 + SOLEMN
    assert gap.max() > 2 * np.sort(gap)[-2]


# --- The whole loop ------------------------------------------------------------------------------


def test_everybody_plays(players, runs):
    assert {"our loop", "logistic targeting", "RFM rule", "oracle"} < set(players)
    for done in runs.values():
        assert np.isfinite(done.true_profit).all()
        assert (done.impressions > 0).all()
        assert (done.impressions <= CAMPAIGN.budget * CAMPAIGN.weeks).all()
    total = {name: done.true_profit.sum() for name, done in runs.items()}
    assert max(total, key=total.get) == "oracle"
    assert max(total["our loop"], total["logistic targeting"]) > total["null 1"]


def test_favourites_are_sent_in_their_own_category(world, runs):
    favourite = plain_profile(world.past).affinity.argmax(1)
    sent = runs["RFM rule"].log.rows()
    category = MENU.creatives().category[sent["creative"]]
    assert np.array_equal(category, favourite[sent["customer"]])
    assert (category == GARDEN).any()


def test_no_ad_is_worth_more_than_the_oracles(world, players, runs):
    """Compared with every ad, one impression each."""
    who, one = np.arange(40), np.ones(40, int)
    profits = [
        incremental_profit(world.market, who, np.full(40, ad), one, np.zeros(40))
        for ad in range(len(MENU))
    ]
    got = incremental_profit(world.market, who, players["oracle"].ad[:40], one, np.zeros(40))
    assert got == pytest.approx(np.max(profits, axis=0), rel=1e-4, abs=1e-6)


@pytest.mark.parametrize("name", ["our loop", "logistic targeting", "oracle"])
def test_fans_get_the_new_tone(runs, name):
    sent = runs[name].log.rows()
    solemn = MENU.creatives().tone[sent["creative"]] == SOLEMN
    fan = FANS[sent["customer"]]
    assert solemn[fan].mean() > 0.5
    assert solemn[fan].mean() > solemn[~fan].mean() + 0.2


def test_one_ad_for_all_is_in_the_new_tone(taught):
    """It is the best on average, and the shop can find that."""
    player = strategies.OneAd(taught[NETWORK].shop, MENU, seed=0)
    player.learn(Log(np.ones(N, bool), CAMPAIGN.weeks))
    assert MENU.creatives().tone[player.ad[0]] == SOLEMN


# --- Words and drawings --------------------------------------------------------------------------


def test_what_has_no_words_and_no_drawing_yet_is_named():
    with pytest.raises(ValueError, match="PRODUCTS has nothing for category garden"):
        headlines.copy_grammar()
    with pytest.raises(ValueError, match="ICONS has nothing for category garden"):
        renderer.icon_atlas()
    with pytest.raises(ValueError, match="frame_sheets has nothing for tone solemn"):
        renderer.frame_sheets()
    with pytest.raises(ValueError, match="SOLD_AS has nothing for category garden"):
        population.category_codes(pd.DataFrame({"category": ["SEED"]}))


def bring_words(monkeypatch) -> None:
    """Give the grammar what it says of gardens, and how it says it solemnly."""
    garden = ("leafy sturdy", "from our nursery", "soil*: dig sift turn, roses: plant prune water")
    monkeypatch.setitem(headlines.PRODUCTS, "garden", garden)
    solemn = (": product detail . use closing .", ".", "stately grave", "duly humbly", "")
    monkeypatch.setitem(headlines.TONES, "solemn", solemn)
    monkeypatch.setitem(headlines.HOOKS, "solemn", {"hear ye": "so be it", "behold": "farewell"})
    monkeypatch.setitem(headlines.OFFERS, "solemn", ("at its due price", "% is forgiven"))


def test_a_grammar_with_the_missing_words_is_read_as_it_was_meant(monkeypatch):
    bring_words(monkeypatch)
    try:
        tokens = headlines.copy_grammar().sample(
            AdCatalogue.of(1).creatives(), np.random.default_rng(0)
        )
        assert np.array_equal(evaluation.ads_in_headlines(tokens), np.arange(13 * 5 * 5))
    finally:
        headlines.copy_grammar.cache_clear()


def test_what_a_new_category_is_sold_as_and_drawn_as_gets_its_code(monkeypatch):
    monkeypatch.setitem(population.SOLD_AS, "garden", ("SEED",))
    products = pd.DataFrame({"category": ["SEED", "BABYFOOD", "FUEL"]})
    assert population.category_codes(products).tolist() == [GARDEN, GARDEN - 1, -1]
    monkeypatch.setitem(renderer.ICONS, "garden", renderer.ICONS["produce"])
    atlas = renderer.icon_atlas()
    renderer.icon_atlas.cache_clear()
    assert len(atlas) == 13
    assert np.array_equal(atlas[GARDEN], atlas[CATEGORIES.index("produce")])
