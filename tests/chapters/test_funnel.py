"""Rates of customers, real and simulated funnels, and a report that must name what was broken."""

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from scipy.stats import norm

from pm_utils.chapters import funnel
from pm_utils.data.journey import read_exposures
from pm_utils.market import Uniform, random_creatives
from pm_utils.measurement import bottlenecks
from pm_utils.measurement.funnel import funnel_rates, market_funnel
from tests.support.market_world import small_market


def test_intervals_by_customers_cover_where_rows_do_not():
    probabilities = np.random.default_rng(1).beta(1, 9, size=(5000, 1))
    held = funnel.interval_coverage(
        probabilities, customers=200, impressions=50, studies=400, rng=np.random.default_rng(2)
    )
    assert held.loc[0, "true rate"] == pytest.approx(probabilities.mean())
    assert held.loc[0, "by customers"] == pytest.approx(0.95, abs=0.03)
    assert held.loc[0, "by rows"] < 0.7
    assert held.loc[0, "design effect"] > 4


def test_where_all_customers_are_alike_rows_cover_too():
    probabilities = np.full((10, 2), [0.2, 0.6])
    held = funnel.interval_coverage(
        probabilities, customers=200, impressions=30, studies=400, rng=np.random.default_rng(3)
    )
    assert np.allclose(held["true rate"], [0.2, 0.6])
    assert (held[["by rows", "by customers"]] > 0.92).all(axis=None)
    assert (held["design effect"] < 1.2).all()


def test_the_true_rate_of_a_later_stage_counts_those_who_reach_it():
    probabilities = np.array(
        [[0.9, 0.1], [0.1, 0.9]]
    )  # mean of the second among those who pass: 0.18
    held = funnel.interval_coverage(
        probabilities, customers=500, impressions=40, studies=3, rng=np.random.default_rng(0)
    )
    assert held["true rate"].tolist() == pytest.approx([0.5, (0.09 + 0.09) / 1.0])


@pytest.fixture(scope="module")
def market():
    return small_market(1500)


@pytest.fixture(scope="module")
def log(market):
    return market.impressions(Uniform(len(market.creatives)), 400_000)


def test_the_markets_funnel_counts_each_row_once(market, log):
    counts = market_funnel(log, market.n_customers)
    totals = [len(log), log.click.sum(), log.visit.sum(), log.conversion.sum()]
    assert counts.sum().tolist() == totals
    assert (counts.diff(axis=1).iloc[:, 1:] <= 0).all(axis=None)
    assert counts.loc[7, "click"] == log.click[log.customer == 7].sum()


def test_rates_agree_with_the_truth_of_the_market(market, log):
    table = funnel_rates(market_funnel(log, market.n_customers))
    names = ["impression → click", "click → visit", "visit → order", "impression → order"]
    assert table.index.tolist() == names
    reach = np.cumprod(np.column_stack([np.ones(1500), funnel.true_rates(market)]), 1).mean(0)
    truth = [*(reach[1:] / reach[:-1]), reach[-1]]
    assert np.allclose(table["rate"], truth, rtol=0.1)
    wide = table["high"] - table["low"]
    assert (wide >= 0.999 * (table["row high"] - table["row low"])).all()
    assert table["passed"].iloc[:-2].tolist() == table["reached"].iloc[1:-1].tolist()


def test_true_rates_are_those_of_random_ads_in_random_slots(market):
    click, visit, order = funnel.true_rates(market)[3]
    ads = np.arange(len(market.creatives))
    slots = np.arange(4)[:, None]
    assert click == pytest.approx(market.click_probability(3 + 0 * ads, ads, position=slots).mean())
    both = market.click_table[3].astype(float) * market.conversion_table[3]
    assert visit * order == pytest.approx(both.sum() / market.click_table[3].sum(), rel=1e-5)


def test_a_slice_of_the_exposures_is_that_of_the_whole_file():
    where = [("week", "==", 30), ("mailer_location", "==", "D"), ("store_id", "==", 367)]
    part = read_exposures(filters=where)
    assert set(part["week"]) == {30}
    assert set(part["mailer_location"]) == {"D"}
    assert 100 < len(part) < 2000
    assert not part.duplicated(["product_id", "display_location"]).any()


def test_order_profit_takes_the_discount_off_margin_and_price(market, log):
    profit = bottlenecks.order_profit(log, market.promoted_discount, 0.3)
    assert not profit[~log.conversion].any()
    row = np.flatnonzero(log.conversion)[0]
    off = market.promoted_discount[log.creative[row]]
    assert profit[row] / (0.3 - off) == pytest.approx(log.order_value[row] / (1 - off))


def test_expected_profit_is_what_logs_bring(market, log):
    brought = bottlenecks.order_profit(log, market.promoted_discount, market.truth.margin).sum()
    expected = funnel.true_profit(market, len(log))
    assert brought == pytest.approx(expected.sum(), rel=0.15)
    assert expected.shape == (1500,)


def test_segments_split_customers_evenly_and_by_what_is_seen(market):
    segment, names = bottlenecks.market_segments(market.customers)
    assert len(names) == len(set(names)) == 6
    # copies of one household stay together, so that parts are of about one size
    assert np.bincount(segment // 2) == pytest.approx(500, abs=5)
    rate = market.customers["orders_per_week"].groupby(segment // 2).agg(["min", "max"])
    assert (rate["max"].to_numpy()[:-1] <= rate["min"].to_numpy()[1:]).all()


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("stage", ["click", "visit", "order"])
def test_the_report_names_what_was_planted(seed, stage):
    market = small_market(1500, seed)
    segment, names = bottlenecks.market_segments(market.customers)
    where = (seed + ("click", "visit", "order").index(stage)) % 6
    broken = market.with_defect(stage, segment == where, 0.5)
    before = funnel.later_log(market, 1_500_000, number=0)
    now = funnel.later_log(broken, 1_500_000)
    report = funnel.inspect(market, before, now, seed=seed)
    assert bottlenecks.largest_proven_loss(report) == (stage, names[where])
    lost = 0.5 * funnel.true_profit(market, 1_500_000)[segment == where].sum()
    first = report.iloc[0]
    assert first["low"] < lost < first["high"]
    assert first["rate"] == pytest.approx(first["attainable"] / 2, rel=0.25)


def test_a_healthy_funnel_is_seldom_blamed():
    blamed = 0
    for seed in range(20):
        market = small_market(800, seed)
        logs = [funnel.later_log(market, 300_000, number=k) for k in (0, 1)]
        report = funnel.inspect(market, *logs, seed=seed)
        blamed += bottlenecks.largest_proven_loss(report) is not None
    assert blamed <= 4  # 1 is expected; more than 4 has a chance of 0.3 %


def test_the_level_is_divided_among_all_cells(market):
    segment, names = bottlenecks.market_segments(market.customers)
    rng = np.random.default_rng(0)
    shown = rng.poisson(200, 1500)
    clicks = rng.binomial(shown, 0.1)
    visits = rng.binomial(clicks, 0.5)
    orders = rng.binomial(visits, 0.3)
    sums = np.column_stack([shown, clicks, visits, orders, 9.0 * orders]).astype(float)
    groups = np.eye(6)[segment]
    wide = bottlenecks.bottlenecks(sums, sums, groups, names, repeats=50, seed=0)
    narrow = bottlenecks.bottlenecks(sums, sums, groups, names, repeats=50, seed=0, alpha=0.5)
    assert not wide["lost"].any()
    assert not wide["proven"].any()
    assert wide["high"].max() == 0  # each log is its own past: no noise between the two
    assert len(wide) == len(narrow) == 18
    later = sums * [1, 0.5, 0.5, 0.5, 0.5]
    both = [
        bottlenecks.bottlenecks(later, sums, groups, names, repeats=50, seed=0, alpha=alpha)
        for alpha in (0.05, 0.5)
    ]
    half = [(each["high"] - each["lost"]).sum() for each in both]
    assert half[0] / half[1] == pytest.approx(norm.isf(0.05 / 18) / norm.isf(0.5 / 18))
    assert (both[0]["stage"][:6] == "click").all()
    assert both[0]["lost"][:6].is_monotonic_decreasing


def test_readings_of_a_report():
    report = pd.DataFrame(
        {
            "stage": ["visit", "click", "order"],
            "segment": ["a", "b", "a"],
            "rate": [0.6, 0.01, 0.1],
            "attainable": [0.9, 0.011, 0.3],
            "lost": [50.0, 1.0, 40.0],
            "proven": [True, False, False],
            "fell": [True, False, True],
        }
    )
    found = funnel.blame(report)
    assert found["lowest rate"] == ("click", "b")
    assert found["largest fall"] == ("order", "a")
    assert found["largest proven fall"] == ("order", "a")
    assert found["largest proven loss"] == ("visit", "a")
    assert bottlenecks.largest_proven_loss(report.assign(proven=False)) is None
    assert bottlenecks.largest_proven_fall(report.assign(fell=False)) is None


def test_trials_plant_every_stage_and_nothing():
    markets = [small_market(600, seed) for seed in (0, 1)]
    rng = np.random.default_rng(0)
    tried = funnel.trials(markets, 600_000, left=[0.0], healthy=1, rng=rng)
    kinds = ["nothing", "click", "visit", "order", "other customers", "other ads"]
    assert tried["planted"].tolist() == kinds * 2
    assert tried["market"].tolist() == [0] * 6 + [1] * 6
    healthy = tried["left"] == 1
    assert (tried["planted"][healthy].isin(["nothing", "other customers", "other ads"])).all()
    assert not tried.loc[healthy, ["lowest rate", "largest fall"]].any(axis=None)
    for reading in ("largest proven fall", "largest proven loss"):
        for told in (reading, f"{reading}, same ads"):
            assert tried.loc[~healthy, told].mean() >= 0.8
    again = funnel.trials(markets, 600_000, left=[0.0], healthy=1, rng=np.random.default_rng(0))
    assert again.equals(tried)


def test_drawn_counts_are_those_of_logs():
    market = small_market(600)
    rng, logs = np.random.default_rng(0), []
    for number in range(8):
        log = funnel.later_log(market, 200_000, number=number)
        profit = bottlenecks.order_profit(log, market.promoted_discount, market.truth.margin)
        steps = market_funnel(log, 600).to_numpy(float)
        dollars = np.bincount(log.customer, profit, minlength=600)
        logs.append(np.column_stack([steps, dollars]))
    drawn = [funnel.draw_counts(market, 200_000, rng) for _ in range(8)]
    assert all((np.diff(each[..., :4], axis=2) <= 0).all() for each in drawn)
    by_customer = np.array([each.sum(1) for each in drawn])
    for stage, part in ((0, 0.01), (1, 0.04), (2, 0.04), (3, 0.12), (4, 0.2)):
        both = np.sum(logs, 0)[:, stage], by_customer.sum(0)[:, stage]
        assert both[0].sum() == pytest.approx(both[1].sum(), rel=part)
    # clicks of a customer vary from log to log as they do in logs of single impressions
    spread = [np.var(each, axis=0, ddof=1).mean() for each in (np.array(logs), by_customer)]
    assert spread[0] == pytest.approx(spread[1], rel=0.2)


def test_counts_drawn_of_a_changed_plan_and_a_broken_stage():
    market, rng = small_market(600), np.random.default_rng(0)
    chances = funnel.stage_chances(market)
    chances[1, :300] = 0
    counts = funnel.draw_counts(market, 100_000, rng, chances=chances)
    assert not counts[:300, :, 2:].any()
    assert counts[300:, :, 2].any()
    few = funnel.draw_counts(market, 100_000, rng, share=funnel.least_clicked_more(market))
    shown, rate = few[..., 0].sum(0), market.click_table.mean(0)
    low = rate < np.median(rate)
    assert shown[low].mean() / shown[~low].mean() == pytest.approx(3, rel=0.05)


def test_markets_of_neighbouring_seeds_are_not_the_same():
    seeds = {
        seed: [one.seed for one in funnel.other_markets(small_market(60, seed), 9)]
        for seed in range(10)
    }
    drawn = [one for each in seeds.values() for one in each]
    assert len(set(drawn)) == len(drawn) == 90
    assert not set(drawn) & set(range(10))
    apart = funnel.other_markets(small_market(60, 0), 4, first=5)
    assert [one.seed for one in apart] == seeds[0][5:]


def test_other_ads_are_blamed_unless_the_earlier_log_is_weighted_to_them():
    blamed = {True: 0, False: 0}
    for seed in range(6):
        market = small_market(800, seed)
        before = funnel.later_log(market, 600_000, number=0)
        share = funnel.least_clicked_more(market)
        policy = {"policy": lambda who, share=share: np.tile(share, (len(who), 1))}
        now = funnel.later_log(market, 600_000, **policy)
        for same_ads in blamed:
            report = funnel.inspect(market, before, now, same_ads=same_ads)
            blamed[same_ads] += bottlenecks.largest_proven_loss(report) is not None
    assert blamed[False] == 6
    assert blamed[True] <= 2


def test_bias_is_measured_against_endless_data_in_each_market():
    study = funnel.bias_study(
        [
            small_market(300, seed, creatives=random_creatives(6, np.random.default_rng(0)))
            for seed in (0, 1)
        ],
        150_000,
        members=1,
        epochs=4,
        trees=20,
        seed=0,
    )
    assert list(study) == ["entire space", "boosting", "boosting, weighted", "endless data"]
    assert len(study) == 2
    table = funnel.above_the_floor(study)
    gap = study["boosting"] - study["endless data"]
    assert table.loc["boosting", "above the floor"] == pytest.approx(gap.mean())
    assert table.loc["boosting", "markets above"] == (gap > 0).sum()
    with pytest.raises(ValueError):
        funnel.above_the_floor(study.iloc[:1])


def test_a_floor_and_headlines_are_said_by_their_figures():
    for gap, half, said in ((0.02, 0.03, "cannot be told from it"), (-0.05, 0.02, "lies below it")):
        assert funnel.said_of_floor(pd.Series({"above the floor": gap, "±": half})) == said
    assert "network wins" in funnel.said_of_headlines("beats", "loses")
    assert "undertrained" in funnel.said_of_headlines("undertrained", "tie")


def test_the_best_conversion_rate_may_earn_less_by_hand():
    world = SimpleNamespace(
        click_table=np.array([[0.02, 0.10], [0.05, 0.05]]),
        conversion_table=np.array([[0.5, 0.2], [0.1, 0.4]]),
        promoted_discount=np.array([0.1, 0.0]),
        truth=SimpleNamespace(margin=0.3),
        truth_of_customers=SimpleNamespace(order_value=np.array([50.0, 10.0])),
    )
    choice = funnel.ads_by(world)
    # the first customer's ads bring 1000 * 0.01 * 50 * 0.2 = 100 and 1000 * 0.02 * 50 * 0.3 = 300
    # dollars; the second's best is the second by either: 1000 * 0.02 * 10 * 0.3 = 60
    assert choice.loc["highest CVR"].tolist() == pytest.approx([0.035, 0.45, 80])
    assert choice.loc["most profit"].tolist() == pytest.approx([0.075, 0.3, 180])
