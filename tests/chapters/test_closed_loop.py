"""Chapter 13: its study, its planner, its reports and its strategies."""

from copy import deepcopy

import numpy as np
import pandas as pd
import pytest
import torch

from pm_utils.chapters import closed_loop
from pm_utils.creatives.text.evaluation import ADS
from pm_utils.loop import reporting
from pm_utils.loop.ad_menu import AdCatalogue
from pm_utils.loop.bound import profit_bound
from pm_utils.loop.campaign import Campaign, Log, Strategy, WeekView
from pm_utils.loop.customer_profiles import (
    learn_profile,
    learned_profile,
    plain_profile,
    summarise_purchases,
)
from pm_utils.loop.planner import Prices, cannibalisation_rate, order_worth
from pm_utils.loop.reporting import attributed_profit
from pm_utils.loop.strategies import OneAd, Oracle, ResponseStrategy, RFMRule, ShopKnowledge
from pm_utils.market import DISCOUNT_RATES, Market, TruthParameters
from pm_utils.page.evidence import RowEvidence
from pm_utils.page.scoreboard import Scoreboard
from tests.support.market_world import made_up_households

CAMPAIGN = Campaign(rounds=3, weeks=2, budget=2.0, frequency_cap=5)
N = 1200


SETUPS = {name: closed_loop.Setup(100) for name in closed_loop.RULES} | {
    name: closed_loop.Setup(100, strengths[len(strengths) // 2])
    for name, strengths in closed_loop.PENALTIES.items()
}
NETWORK = closed_loop.NETWORK


@pytest.fixture(scope="module")
def world() -> closed_loop.World:
    """A small world on made-up households; ads work better than in the book's."""
    menu = AdCatalogue.of(2)
    truth = TruthParameters(examination=(1.0,), click_base=-2.5, order_base=-2.0)
    market = Market(N, 0, creatives=menu.creatives(), truth=truth, households=made_up_households())
    past = summarise_purchases(market.orders(60), N, 60)
    profile = learned_profile(learn_profile(past, past.counts, epochs=3, seed=0)[0], past)
    net = {"first_steps": 200, "steps": 30}
    return closed_loop.World(market, past, profile, plain_profile(past), CAMPAIGN, 60, net)


@pytest.fixture(scope="module")
def taught(world) -> dict[str, closed_loop.TaughtModel]:
    return closed_loop.learners([world], AdCatalogue.of(2), SETUPS)[world]


@pytest.fixture(scope="module")
def shop(taught) -> ShopKnowledge:
    return taught[NETWORK].shop


def steps_of_build_up(world, taught) -> dict[str, ResponseStrategy]:
    menu, templates = AdCatalogue.of(2), AdCatalogue.of(2)
    menu.open_texts[:40] = False
    blind = reads(world, taught, closed_loop.blind_profile)
    return closed_loop.build_up(world, menu, templates, taught[NETWORK], blind, archive=7)


def reads(world, taught, profile_of) -> closed_loop.TaughtModel:
    menu, setup = AdCatalogue.of(2), SETUPS[NETWORK]
    return closed_loop.loops_that_read([world], menu, setup, {world: taught}, profile_of)[world]


def nulls(world, taught, count, name=NETWORK) -> dict[str, ResponseStrategy]:
    menu = AdCatalogue.of(2)
    return closed_loop.nulls([world], menu, SETUPS, {world: taught}, count, name=name)[world]


def test_all_strategies_of_the_book_are_strategies(world, taught):
    menu = AdCatalogue.of(2)
    made = closed_loop.competing_strategies(world, menu, SETUPS, taught)
    made |= closed_loop.told_displacement(world, taught)
    made |= nulls(world, taught, 2)
    made |= steps_of_build_up(world, taught)
    wiser = reads(world, taught, closed_loop.true_profile)
    made |= closed_loop.privileged(world, taught[NETWORK], wiser)
    assert len(made) == 9 + 6 + 2 + 8 + 2
    assert all(isinstance(each, Strategy) for each in made.values())


@pytest.fixture(scope="module")
def runs(world, taught) -> dict:
    menu = AdCatalogue.of(2)
    made = closed_loop.competing_strategies(world, menu, SETUPS, taught)
    made |= nulls(world, taught, 1)
    made["oracle"] = Oracle(world.market, CAMPAIGN, menu)
    return {name: world.play(each) for name, each in made.items()}


# --- Money ---------------------------------------------------------------------------------------


def test_an_order_is_worth_its_margin_less_what_came_anyway_less_the_discount(shop):
    past, prices = shop.past, shop.prices
    assert prices == Prices(margin=0.3, promoted_share=0.3, cost=0.005)
    worth = order_worth(past, prices, 0.5)
    kept = 1 - 0.5 * (1 - np.exp(-past.rate[4]))
    want = past.value[4] * (0.3 * kept - 0.3 * DISCOUNT_RATES)
    assert worth[4] == pytest.approx(want)
    assert (order_worth(past, prices, 0.0) >= worth).all()


def test_the_books_count_orders_after_clicks(shop, runs):
    menu, log = AdCatalogue.of(2), runs["our loop"].log
    rows = log.rows()
    all_orders = sum(part["conversions"].sum() for part in log.shown)
    assert 0 < rows["conversions"].sum() < all_orders  # some are still to come
    discount = ADS[rows["creative"] // 2, 2]
    value = shop.past.value[rows["customer"]] * (0.3 - 0.3 * DISCOUNT_RATES[discount])
    want = (rows["conversions"] * value).sum() - 0.005 * rows["impressions"].sum()
    assert attributed_profit(log, shop, menu) == pytest.approx(want / log.treated.sum())
    rounds = [attributed_profit(log, shop, menu, weeks=slice(w, w + 2)) for w in (0, 2, 4)]
    assert sum(rounds) == pytest.approx(attributed_profit(log, shop, menu))
    less = attributed_profit(log, shop, menu, cannibalisation=0.5)
    assert less < attributed_profit(log, shop, menu)


def test_what_is_measured_stands_beside_the_truth(shop, runs):
    table = reporting.measurement_report(runs["our loop"], shop, AdCatalogue.of(2))
    assert list(table.index) == [1, 2, 3, "all"]
    assert table["truth"].iloc[:3].sum() == pytest.approx(table.loc["all", "truth"])
    assert (table["low"] < table["holdout"]).all()
    assert (table["books, displaced off"] < table["books"]).all()


# --- Strategies ----------------------------------------------------------------------------------


def test_nobody_beats_the_bound_and_learning_beats_rules(world, runs):
    whole = {name: done.true_profit.sum() for name, done in runs.items()}
    best, bound = whole.pop("oracle"), profit_bound(world.market, CAMPAIGN)
    assert max(whole.values()) < best <= bound < 1.1 * best
    for learner in closed_loop.WITH_VARIANTS:
        assert whole[learner] > 0.35 * best
        assert whole[learner] > max(whole["send to all"], whole["RFM rule"])


def test_the_null_is_far_below(runs):
    assert runs["null 1"].true_profit.sum() < 0.6 * runs["our loop"].true_profit.sum()


def test_the_null_is_made_as_the_loop_is_from_outcomes_dealt_out_anew(world, taught, monkeypatch):
    made, ours = nulls(world, taught, 1)["null 1"], taught[NETWORK].strategy()
    read, fit = [], type(made.model).fit

    def spy(model, banners, rows, **options):
        read.append(rows)
        fit(model, banners, rows, **options)

    monkeypatch.setattr(type(made.model), "fit", spy)
    done = world.play(made)
    world.play(ours)
    assert made.model.model.history.steps == ours.model.model.history.steps == 200 + 2 * 30
    record = taught[NETWORK].shop.banners.record
    assert made.shop.banners.record.sum((2, 3)) == pytest.approx(record.sum((2, 3)))
    of_null, of_ours = read[1], read[3]  # before the last round
    assert len(of_null.ad) > 0.5 * len(of_ours.ad)
    own = done.log.until(4).rows()
    assert of_null.clicks.sum() == own["clicks"].sum() and len(of_null.ad) == len(own["creative"])
    assert (of_null.clicks != own["clicks"]).any()


def test_a_null_is_made_of_whichever_loop_is_judged(world, taught):
    made = nulls(world, taught, 2, closed_loop.LEARNED)
    kind = type(taught[closed_loop.LEARNED].model.model)
    assert [type(each.model.model) for each in made.values()] == [kind] * 2


@pytest.mark.parametrize("name", [NETWORK, closed_loop.LEARNED])
@pytest.mark.parametrize("variant", ["", ", χ only"])
def test_a_null_learns_responses_again_only_if_the_loop_that_is_judged_does(
    world, taught, name, variant
):
    judged = closed_loop.competing_strategies(world, AdCatalogue.of(2), SETUPS, taught)
    judged = judged[name + variant]
    null = nulls(world, taught, 1, name + variant)["null 1"]
    lessons = []
    for each in (judged, null):
        assert type(each.model.model) is type(taught[name].model.model)
        fits, fit = [], each.model.fit
        each.model.fit = lambda *given, fits=fits, fit=fit: fits.append(given) or fit(*given)
        world.play(each)
        assert len(each.cannibalisation_rates) == 3  # χ is measured by all
        lessons.append(len(fits))
    assert lessons == [0 if variant else 2] * 2


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


def test_one_ad_is_one_ad_and_the_rule_serves_the_better_half(shop):
    menu, able = AdCatalogue.of(2), np.arange(N) % 5 > 0
    empty = Log(able, 2)
    for make, share in ((OneAd, 1.0), (RFMRule, 0.5)):
        strategy = make(shop, menu, seed=0)
        strategy.learn(empty)
        ads, impressions = strategy.send(observation(able, 3 * N))
        assert impressions.sum() == 3 * N // 2
        assert (impressions > 0).sum() == pytest.approx(share * able.sum(), abs=2)
        kinds = len(np.unique(ads))
        assert kinds == 1 if make is OneAd else kinds > 3
    served = impressions > 0
    assert shop.past.rate[served].mean() > shop.past.rate[able & ~served].mean()


def test_a_learner_sends_what_is_on_the_menu_and_paces(taught):
    menu = AdCatalogue.of(2).archive(12, np.random.default_rng(0))
    able = np.arange(N) % 5 > 0
    spent = {}
    for paced in (True, False):
        learner = taught[NETWORK].strategy(menu, paced=paced)
        learner.learn(Log(able, 2))
        ads, impressions = learner.send(observation(able))
        assert set(ads[impressions > 0]) <= set(menu.open_ads)
        assert not impressions[~able].any()
        spent[paced] = impressions.sum()
    assert spent[False] > 1.5 * spent[True]


def test_without_uplift_discounts_are_deeper(taught):
    log, learner = Log(np.ones(N, bool), 2), taught[NETWORK].strategy()
    learner.learn(log)
    click, order = learner.model.probabilities()
    best = [learner._best(click * order, share)[0] for share in (0.0, 0.5)]
    deep = [DISCOUNT_RATES[ADS[ads // 2, 2]] for ads in best]
    assert deep[0].mean() > deep[1].mean()


@pytest.mark.parametrize(
    ("options", "lessons", "shares"),
    [
        ({}, 2, "measured"),
        ({"relearn": False}, 0, "measured"),
        ({"relearn": False, "displacement": 0.0}, 0, [0.0] * 3),
        ({"displacement": 0.5}, 2, [0.5] * 3),
    ],
)
def test_responses_and_displacement_are_learned_apart(world, taught, options, lessons, shares):
    learner = taught[NETWORK].strategy(**options)
    world.play(learner)
    assert learner.model.model.rounds == 1 + lessons
    found = learner.cannibalisation_rates
    assert len(found) == 3
    if shares == "measured":
        assert found[0] == 0 < found[-1]
    else:
        assert found == shares


def test_each_step_of_the_build_up_adds_what_it_is_named_for(world, taught):
    made = steps_of_build_up(world, taught)
    open_ads = [len(each.menu.open_ads) for each in made.values()]
    assert open_ads == [7, *[480] * 6, 400]
    blind = [each.model.model.traits.shape[1] == 2 for each in made.values()]
    assert blind == [True] * 2 + [False] * 6
    assert [each.model.em_steps > 0 for each in made.values()] == [False] * 3 + [True] * 5
    assert [each.paced for each in made.values()] == [False] * 4 + [True] * 4
    assert [each.displacement for each in made.values()] == [0.0] * 5 + [None] * 3
    assert [each.relearn for each in made.values()] == [False] * 6 + [True] * 2
    assert len({id(each.model) for each in made.values()}) == len(made)  # none teaches another


def test_what_a_history_brings_is_tried_with_the_penalty_that_earns_most(world):
    menu = AdCatalogue.of(2)
    trial = closed_loop.try_history([world], menu, 4)
    few = trial.table
    assert list(few["strategy"]) == list(SETUPS)
    assert (few["net"] == few["campaign"] + few["history"]).all()
    assert few["history"].nunique() == 1
    for row in few.itertuples():
        if row.strategy in closed_loop.PENALTIES:
            assert row.strength in closed_loop.PENALTIES[row.strategy]
    row = few.set_index("strategy").loc[closed_loop.LOGISTIC]
    learner = closed_loop.TaughtModel.of(
        world, world.banners(4), menu, closed_loop.LOGISTIC, row["strength"]
    )
    assert world.play(learner.strategy()).true_profit.sum() == pytest.approx(row["campaign"])
    setups = closed_loop.best_setups(few)
    again = closed_loop.learners_tried([world], [trial], setups)[world]
    assert list(again) == list(closed_loop.PENALTIES)
    assert again[closed_loop.LOGISTIC].model.effects == pytest.approx(learner.model.effects)


@pytest.mark.parametrize(("best", "looks"), [(0, 4), (1, 4), (2, 3), (4, 4)])
def test_the_best_penalty_has_its_neighbours_beside_it(best, looks):
    seen = []

    def earned(strength):
        seen.append(strength)
        return -abs(strength - best)

    assert closed_loop._climb(earned, [0, 1, 2, 3, 4]) == best
    assert len(seen) == len(set(seen)) == looks
    assert {best - 1, best + 1} & set(range(5)) <= set(seen)


def test_a_climb_stays_on_level_ground_and_says_where_a_profit_is_none():
    assert closed_loop._climb(lambda x: 1.0, [1, 2, 3, 4, 5]) == 3
    assert closed_loop._climb({1: 2.0, 2: 2.0, 3: 1.0, 4: 0.0, 5: 9.0}.get, [1, 2, 3, 4, 5]) == 2
    with pytest.raises(ValueError, match="strength 2 earns nan"):
        closed_loop._climb(lambda x: np.nan, [1, 2, 3, 4, 5])


def test_variants_pay_for_the_history_of_their_kind(world):
    setups = SETUPS | {NETWORK: closed_loop.Setup(7, 1.0)}
    names = ["RFM rule", "our loop, χ only", "null 2", "logistic targeting, told χ"]
    other = closed_loop.paid_histories([world], setups, ["null 1"], null_of=closed_loop.LEARNED)
    assert other.loc[0, "null 1"] == world.history(100)
    variant = closed_loop.paid_histories([world], setups, ["null 1"], null_of="our loop, χ only")
    assert variant.loc[0, "null 1"] == world.history(7)
    paid = closed_loop.paid_histories([world], setups, names).loc[0]
    assert paid[names[0]] == paid[names[3]] == world.history(100)
    assert paid[names[1]] == paid[names[2]] == world.history(7)


def test_all_enter_as_what_they_are(world, runs):
    earned = closed_loop.totals([runs, runs]).drop(columns="oracle")
    contest = Scoreboard("98-none", seed=0).contest("all", chosen_by="$", better="higher")
    record = {"steps": 1, "rows": 1, "curve": [1.0]}
    records = dict.fromkeys((NETWORK, closed_loop.LEARNED), record)
    closed_loop.enter_strategies(contest, {"$": earned}, earned.mean(), records)
    kinds = {one.name: one.kind for one in contest.contenders}
    assert kinds["RFM rule"] == "naive" and kinds["null 1"] == "null"
    assert kinds["ads' own effects"] == kinds["logistic targeting, χ only"] == "classical"
    assert kinds["our loop"] == kinds["our loop, χ only"] == "deep"
    assert kinds["logistic on learned profile"] == "deep"  # its profile is a network's
    assert earned["our loop"].iloc[0] == pytest.approx(runs["our loop"].true_profit.sum())


def test_a_curve_falls_and_ends_where_the_training_ends(world):
    curve, record = closed_loop.learning_curve(
        world, SETUPS[NETWORK], AdCatalogue.of(2), steps=64, fresh=20
    )
    assert curve.index[0] == 0 and curve.index[-1] == 64 == record["steps"]
    assert curve.iloc[-1] < 0.9 * curve.iloc[0]
    assert record["curve"] == curve.iloc[1:].tolist()
    assert 0 < record["switching"] <= 1


@pytest.mark.parametrize("verdict", ["beats", "loses", "tie", "undertrained"])
def test_every_verdict_has_its_sentence(verdict):
    said = closed_loop.said_of_loop(verdict, "the rival")
    assert verdict == "undertrained" or "the rival" in said


def over_seeds(*gains: float) -> RowEvidence:
    """A row on which deep is ahead of classical by these dollars."""
    figures = dict.fromkeys(("null", "naive", "limit"))
    figures |= {"deep": [2 + gain for gain in gains], "classical": [2.0] * len(gains)}
    return RowEvidence("profit", "$", "higher", True, tuple(range(len(gains))), figures)


def test_what_one_run_cannot_show_seeds_may():
    less = over_seeds(-0.04, -0.05, -0.03, -0.06, -0.05)
    said = closed_loop.said_of_loop("tie", "the rival", less)
    assert "a little less than with the rival in 5 of 5 seeds" in said
    low, high = less.gain_interval()
    assert f"by {-high:.2f} to {-low:.2f} dollars" in said and "too few" in said
    more = over_seeds(0.04, 0.05, 0.03, 0.06, 0.05)
    assert "a little more" in closed_loop.said_of_loop("tie", "the rival", more)


@pytest.mark.parametrize(
    "gains",
    [
        (-0.1, 0.1, -0.05, 0.06, 0.0),  # the interval holds zero
        (0.5, 0.5, 0.6, 0.5, 0.5, 0.6, 0.5, -0.01, -0.01, 0.5),  # eight of ten agree
    ],
)
def test_seeds_that_do_not_agree_leave_a_tie(gains):
    seeds = over_seeds(*gains)
    said = closed_loop.said_of_loop("tie", "the rival", seeds)
    assert said.startswith(closed_loop.said_of_loop("tie", "the rival"))
    assert f"more in {seeds.ahead()} of {len(gains)} seeds" in said


@pytest.mark.parametrize("verdict", ["beats", "loses", "undertrained"])
def test_a_verdict_that_is_no_tie_stands_without_seeds(verdict):
    said = [closed_loop.said_of_loop(verdict, "it", seeds) for seeds in (None, over_seeds(1, 1))]
    assert said[0] == said[1]


def test_units_that_see_next_to_nothing_do_not_bend(taught):
    model = deepcopy(taught[NETWORK].model.model)
    inner = model.nets.inner
    inner.bias.data.zero_()
    inner.weight.data.normal_(generator=torch.Generator().manual_seed(0))
    assert closed_loop._bending_share(model) > 0.9
    inner.weight.data[:, :, ::2] *= 1e-3  # half of the units stay where a tanh is straight
    assert closed_loop._bending_share(model) == pytest.approx(0.5, abs=0.05)
    inner.bias.data += 40  # nor do those bend that are flat for everybody
    assert closed_loop._bending_share(model) == 0


def test_a_network_without_bends_is_called_linear():
    assert "made it linear" in closed_loop.said_of_bends(0.08)
    assert "linear" not in closed_loop.said_of_bends(0.3)


def test_penalties_at_the_edge_are_named_with_what_was_tried():
    smallest, *_ = closed_loop.PENALTIES[closed_loop.LOGISTIC]
    largest = closed_loop.PENALTIES[NETWORK][-1]
    setups = SETUPS | {closed_loop.LOGISTIC: closed_loop.Setup(100, smallest)}
    assert "logistic targeting (10 of 10 to 640)" in closed_loop.said_of_edges(setups)
    setups |= {NETWORK: closed_loop.Setup(100, largest)}
    assert "our loop (320 of 10 to 320)" in closed_loop.said_of_edges(setups)
    assert "Beyond" not in closed_loop.said_of_edges(SETUPS)


def test_the_books_err_by_the_mean_over_strategies_and_markets(world, taught, shop, runs):
    menu, names = AdCatalogue.of(2), ("our loop", "RFM rule")
    share = world.market.truth.displacement
    want = [
        attributed_profit(runs[name].log, shop, menu, cannibalisation=share)
        - runs[name].true_profit.sum()
        for name in names
    ]
    found = closed_loop.books_error([(runs, world)] * 2, {world: taught}, names, menu)
    assert found == pytest.approx(np.mean(np.abs(want)))


def test_displacement_is_told_for_every_round(world, runs):
    table = closed_loop.displacement_by_round([(runs, world)] * 2)
    assert table.shape == (2, 3)
    log = runs["our loop"].log
    assert table.loc["known", "χ after round 2"] == cannibalisation_rate(
        log.until(4), world.past.rate
    )
    assert (table.loc["known"] != table.loc["foresight"]).any()


def test_gains_are_taken_round_by_round_within_a_market(runs):
    gains = closed_loop.gains_by_round([runs] * 2, [{"open loop": runs["our loop"]}] * 2)
    assert (gains["closed − open"] == np.zeros((2, 3))).all()
    want = runs["our loop"].true_profit - runs["our loop, χ only"].true_profit
    assert gains["closed − χ only"] == pytest.approx(np.array([want] * 2))


@pytest.mark.parametrize(
    "best", [f"{name}{end}" for name in (NETWORK, closed_loop.LEARNED) for end in ("", ", χ only")]
)
def test_the_network_that_is_judged_is_the_one_that_stands_as_deep(runs, best):
    earned = closed_loop.totals([runs] * 2).drop(columns=["oracle", "null 1"])
    validation = earned.mean() * 0 + pd.Series({best: 1.0}).reindex(earned.columns, fill_value=0.5)
    validation[closed_loop.LOGISTIC] = 3.0
    assert closed_loop.best_network(validation) == best
    contest = Scoreboard("98-none", seed=0).contest("all", chosen_by="$", better="higher")
    records = dict.fromkeys((NETWORK, closed_loop.LEARNED), {"steps": 1, "rows": 1, "curve": [1.0]})
    closed_loop.enter_strategies(contest, {"$": earned}, validation, records)
    assert contest.chosen("deep") == best


def test_a_part_pays_only_where_its_interval_says_so():
    said = [closed_loop.said_of_part(*ends) for ends in ((0.1, 0.2), (-0.2, -0.1), (-0.1, 0.1))]
    assert said == ["pays", "costs", "cannot be told from nothing"]


def test_power_of_four_fifths_takes_twice_the_customers_of_one_half():
    needed = [closed_loop.customers_needed(1200, 1.8, 9.9, power=power) for power in (0.5, 0.8)]
    assert needed[0] == pytest.approx(1200 * 5.5**2)
    assert needed[1] / needed[0] == pytest.approx((1.96 + 0.8416) ** 2 / 1.96**2, rel=1e-3)


def test_who_is_told_more_reads_more(world, taught):
    wiser = reads(world, taught, closed_loop.true_profile)
    made = closed_loop.privileged(world, taught[NETWORK], wiser)
    cost, all_ = made.values()
    assert (cost.annoyance >= 0).all()
    knows, guesses = all_.model.model, cost.model.model
    assert knows.traits.shape[1] == guesses.traits.shape[1] + 2
    assert closed_loop.interest_found(knows.affinity.numpy(), world) > 0.999
    assert closed_loop.interest_found(world.profile.affinity, world) > 0.4
