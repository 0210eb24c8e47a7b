"""Rates of customers, real and simulated funnels, and a report that must name what was broken."""

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from scipy.stats import norm
from statsmodels.stats.proportion import proportion_confint

from pm_utils.chapters import funnel
from pm_utils.data import Shop
from pm_utils.data.journey import read_exposures
from pm_utils.market import Uniform
from tests.support.market_world import small_market

# --- Rates -----------------------------------------------------------------------------------


@pytest.mark.parametrize(("hits", "tries"), [(0, 10), (3, 10), (10, 10), (30, 1500)])
def test_wilson_is_that_of_statsmodels(hits, tries):
    low, high = proportion_confint(hits, tries, method="wilson")
    assert funnel.wilson(hits, tries) == pytest.approx((low, high), abs=1e-12)


def test_wilson_takes_a_level_and_knows_nothing_without_tries():
    low, high = proportion_confint(4, 20, method="wilson", alpha=0.2)
    assert funnel.wilson(4, 20, level=0.8) == pytest.approx((low, high))
    assert funnel.wilson(0, 0) == (0.0, 1.0)


@pytest.mark.parametrize(("hits", "tries"), [(3, 2), (-1, 2), (1, 0)])
def test_wilson_rejects_counts_that_cannot_be(hits, tries):
    with pytest.raises(ValueError, match="hits among"):
        funnel.wilson(hits, tries)


def test_a_clustered_rate_by_hand():
    # R = 3 / 8; residuals 1 - 1.5, 2 - 0.75, 0 - 0.75; K / (K - 1) = 1.5
    rate = funnel.clustered_rate([1, 2, 0], [4, 2, 2])
    variance = 1.5 * (0.5**2 + 1.25**2 + 0.75**2) / 64
    free = 3 / 8 * 5 / 8 / 8
    assert rate.value == 3 / 8
    assert rate.design_effect == pytest.approx(variance / free)
    worth = 8 / rate.design_effect
    assert (rate.low, rate.high) == pytest.approx(funnel.wilson(3 / 8 * worth, worth))


def test_one_row_each_is_the_textbooks_interval():
    part = np.repeat([1, 0], [300, 700])
    rate = funnel.clustered_rate(part, np.ones(1000))
    assert rate.design_effect == pytest.approx(1, abs=0.002)  # K / (K - 1)
    assert (rate.low, rate.high) == pytest.approx(funnel.wilson(300, 1000), abs=1e-4)


def test_copies_of_a_row_add_nothing():
    rng = np.random.default_rng(0)
    part = (rng.random(400) < 0.3).astype(float)
    once, tenfold = (funnel.clustered_rate(k * part, np.full(400, k)) for k in (1, 10))
    assert tenfold.value == once.value
    assert tenfold.design_effect == pytest.approx(10 * once.design_effect, rel=0.01)
    assert tenfold.high - tenfold.low == pytest.approx(once.high - once.low, rel=0.01)


def test_customers_who_never_reached_the_stage_change_nothing():
    part, whole = np.array([1, 2, 0]), np.array([4, 2, 2])
    more = [np.append(each, [0, 0, 0]) for each in (part, whole)]
    assert funnel.clustered_rate(*more) == funnel.clustered_rate(part, whole)


def test_nobody_reached_or_nobody_passed():
    nobody = funnel.clustered_rate([0, 0], [0, 0])
    assert np.isnan(nobody.value)
    assert (nobody.low, nobody.high, nobody.design_effect) == (0, 1, 1)
    none = funnel.clustered_rate([0] * 10, [50] * 10)
    assert none.value == none.low == 0
    assert none.high == pytest.approx(funnel.wilson(0, 10)[1])  # ten customers, not 500 rows
    everyone = funnel.clustered_rate([50] * 10, [50] * 10)
    assert everyone.high == pytest.approx(1)
    assert everyone.low == pytest.approx(1 - none.high)


@pytest.mark.parametrize(("part", "whole"), [([2], [1]), ([-1], [1])])
def test_a_rate_rejects_counts_that_cannot_be(part, whole):
    with pytest.raises(ValueError, match="more often"):
        funnel.clustered_rate(part, whole)


def test_intervals_by_customers_cover_where_rows_do_not():
    chances = np.random.default_rng(1).beta(1, 9, size=(5000, 1))
    held = funnel.coverage(
        chances, customers=200, impressions=50, studies=400, rng=np.random.default_rng(2)
    )
    assert held.loc[0, "true rate"] == pytest.approx(chances.mean())
    assert held.loc[0, "by customers"] == pytest.approx(0.95, abs=0.03)
    assert held.loc[0, "by rows"] < 0.7
    assert held.loc[0, "design effect"] > 4


def test_where_all_customers_are_alike_rows_cover_too():
    chances = np.full((10, 2), [0.2, 0.6])
    held = funnel.coverage(
        chances, customers=200, impressions=30, studies=400, rng=np.random.default_rng(3)
    )
    assert np.allclose(held["true rate"], [0.2, 0.6])
    assert (held[["by rows", "by customers"]] > 0.92).all(axis=None)
    assert (held["design effect"] < 1.2).all()


def test_the_true_rate_of_a_later_stage_counts_those_who_reach_it():
    chances = np.array([[0.9, 0.1], [0.1, 0.9]])  # mean of the second among those who pass: 0.18
    held = funnel.coverage(
        chances, customers=500, impressions=40, studies=3, rng=np.random.default_rng(0)
    )
    assert held["true rate"].tolist() == pytest.approx([0.5, (0.09 + 0.09) / 1.0])


# --- The simulated funnel --------------------------------------------------------------------


@pytest.fixture(scope="module")
def market():
    return small_market(1500)


@pytest.fixture(scope="module")
def log(market):
    return market.impressions(Uniform(len(market.creatives)), 400_000)


def test_the_markets_funnel_counts_each_row_once(market, log):
    counts = funnel.market_funnel(log, market.n_customers)
    totals = [len(log), log.click.sum(), log.visit.sum(), log.conversion.sum()]
    assert counts.sum().tolist() == totals
    assert (counts.diff(axis=1).iloc[:, 1:] <= 0).all(axis=None)
    assert counts.loc[7, "click"] == log.click[log.customer == 7].sum()


def test_rates_agree_with_the_truth_of_the_market(market, log):
    table = funnel.funnel_rates(funnel.market_funnel(log, market.n_customers))
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


# --- The real funnels, on a shop made by hand ------------------------------------------------


def tiny_shop() -> Shop:
    day = pd.Timestamp
    campaigns = pd.DataFrame(
        {
            "campaign_id": [1],
            "campaign_type": ["Type B"],
            "starts_on": [day("2017-05-01")],
            "ends_on": [day("2017-05-31")],
        }
    )
    lines = [
        (1, 100, 7, "2017-05-31 23:00", 0.0),  # in time, offered
        (2, 200, 7, "2017-05-02 10:00", 0.0),  # in time, not offered
        (3, 100, 7, "2017-06-01 00:00", 0.0),  # a minute late
        (4, 100, 7, "2017-05-10 09:00", 1.0),
        (5, 100, 8, "2017-05-10 09:00", 0.0),  # another store
    ]
    names = ["customer_id", "product_id", "store_id", "ordered_at", "coupon_discount"]
    order_lines = pd.DataFrame(lines, columns=names)
    order_lines["ordered_at"] = pd.to_datetime(order_lines["ordered_at"])
    return Shop(
        customers=pd.DataFrame({"customer_id": [1, 2, 3, 4, 5]}),
        order_lines=order_lines,
        campaigns=campaigns,
        contacts=pd.DataFrame({"campaign_id": 1, "customer_id": [1, 2, 3, 4]}),
        offers=pd.DataFrame({"campaign_id": [1, 1], "coupon_id": [9, 8], "product_id": [100, 100]}),
        responses=pd.DataFrame({"campaign_id": 1, "customer_id": [4, 4, 2], "coupon_id": 9}),
    )


def test_contacts_pass_stages_within_the_campaigns_days():
    rows = funnel.contact_funnel(tiny_shop()).set_index("customer_id")
    steps = rows[["mailed", "visited", "bought", "redeemed", "unmatched"]]
    assert steps.loc[1].tolist() == [1, 1, 1, 0, 0]
    assert steps.loc[2].tolist() == [1, 1, 0, 0, 1]  # redeemed without an offered product
    assert steps.loc[3].tolist() == [1, 0, 0, 0, 0]
    assert steps.loc[4].tolist() == [1, 1, 1, 1, 0]  # two redemptions are one contact


def test_front_pages_are_those_of_the_store_and_week():
    page = pd.DataFrame({"product_id": [100], "store_id": [7], "week": [20]})
    rows = funnel.front_page_funnel(tiny_shop(), page, [20, 21])
    assert len(rows) == 10  # five households in two weeks
    week = rows[rows["week"] == 20].set_index("customer_id")  # 8 to 14 May
    assert week["week open"].sum() == 5
    assert week.loc[4, ["visited", "bought", "with coupon"]].tolist() == [1, 1, 1]
    assert week.loc[5, ["visited", "bought"]].tolist() == [0, 0]  # no page on record there
    assert not rows.loc[rows["week"] == 21, "visited"].any()


def test_a_slice_of_the_exposures_is_that_of_the_whole_file():
    where = [("week", "==", 30), ("mailer_location", "==", "D"), ("store_id", "==", 367)]
    part = read_exposures(filters=where)
    assert set(part["week"]) == {30}
    assert set(part["mailer_location"]) == {"D"}
    assert 100 < len(part) < 2000
    assert not part.duplicated(["product_id", "display_location"]).any()


# --- What leaks ------------------------------------------------------------------------------


def test_lost_profit_by_hand():
    now = np.array([1000.0, 100, 50, 10, 200])
    before = np.array([1000.0, 200, 100, 20, 400])
    # rates 0.1, 0.5, 0.2 now and 0.2, 0.5, 0.2 before; 20 dollars per order
    assert funnel.lost_profit(now, before).tolist() == pytest.approx([200, 0, 0])
    assert funnel.lost_profit(before, now).tolist() == pytest.approx([-200, 0, 0])


def test_a_stage_that_nobody_reached_loses_nothing_known():
    dead = np.array([1000.0, 0, 0, 0, 0])
    before = np.array([1000.0, 200, 100, 20, 400])
    assert funnel.lost_profit(dead, before).tolist() == [400, 0, 0]  # the outage is at the click
    assert funnel.lost_profit(before, dead).tolist() == pytest.approx([-400, 0, 0])


def test_order_profit_takes_the_discount_off_margin_and_price(market, log):
    profit = funnel.order_profit(log, market.promoted_discount, 0.3)
    assert not profit[~log.conversion].any()
    row = np.flatnonzero(log.conversion)[0]
    off = market.promoted_discount[log.creative[row]]
    assert profit[row] / (0.3 - off) == pytest.approx(log.order_value[row] / (1 - off))


def test_expected_profit_is_what_logs_bring(market, log):
    brought = funnel.order_profit(log, market.promoted_discount, market.truth.margin).sum()
    expected = funnel.true_profit(market, len(log))
    assert brought == pytest.approx(expected.sum(), rel=0.15)
    assert expected.shape == (1500,)


def test_segments_split_customers_evenly_and_by_what_is_seen(market):
    segment, names = funnel.market_segments(market.customers)
    assert len(names) == len(set(names)) == 6
    assert (np.bincount(segment // 2) == 500).all()
    rate = market.customers["orders_per_week"].groupby(segment // 2).agg(["min", "max"])
    assert (rate["max"].to_numpy()[:-1] <= rate["min"].to_numpy()[1:]).all()


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("stage", ["click", "visit", "order"])
def test_the_report_names_what_was_planted(seed, stage):
    market = small_market(1500, seed)
    segment, names = funnel.market_segments(market.customers)
    where = (seed + ("click", "visit", "order").index(stage)) % 6
    broken = market.with_defect(stage, segment == where, 0.5)
    policy = Uniform(len(market.creatives))
    report = funnel.inspect(market, broken, policy, 1_500_000, seed=seed)
    assert funnel.named(report) == (stage, names[where])
    lost = 0.5 * funnel.true_profit(market, 1_500_000)[segment == where].sum()
    first = report.iloc[0]
    assert first["low"] < lost < first["high"]
    assert first["rate"] == pytest.approx(first["attainable"] / 2, rel=0.25)


def test_a_healthy_funnel_is_seldom_blamed():
    blamed = 0
    for seed in range(20):
        market = small_market(800, seed)
        policy = Uniform(len(market.creatives))
        blamed += (
            funnel.named(funnel.inspect(market, market, policy, 300_000, seed=seed)) is not None
        )
    assert blamed <= 4  # 1 is expected; more than 4 has a chance of 0.3 %


def test_the_level_is_divided_among_all_cells(market):
    segment, names = funnel.market_segments(market.customers)
    rng = np.random.default_rng(0)
    shown = rng.poisson(200, 1500)
    clicks = rng.binomial(shown, 0.1)
    visits = rng.binomial(clicks, 0.5)
    orders = rng.binomial(visits, 0.3)
    sums = np.column_stack([shown, clicks, visits, orders, 9.0 * orders]).astype(float)
    groups = np.eye(6)[segment]
    wide = funnel.bottlenecks(sums, sums, groups, names, repeats=50, seed=0)
    narrow = funnel.bottlenecks(sums, sums, groups, names, repeats=50, seed=0, alpha=0.5)
    assert not wide["lost"].any()
    assert not wide["proven"].any()
    assert wide["high"].max() == 0  # each log is its own past: no noise between the two
    assert len(wide) == len(narrow) == 18
    later = sums * [1, 0.5, 0.5, 0.5, 0.5]
    both = [
        funnel.bottlenecks(later, sums, groups, names, repeats=50, seed=0, alpha=alpha)
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
        }
    )
    found = funnel.blame(report)
    assert found["lowest rate"] == ("click", "b")
    assert found["largest fall"] == ("order", "a")
    assert found["largest proven loss"] == ("visit", "a")
    assert funnel.named(report.assign(proven=False)) is None


def test_trials_plant_every_stage_and_nothing():
    markets = [small_market(600, seed) for seed in (0, 1)]
    rng = np.random.default_rng(0)
    tried = funnel.trials(markets, 600_000, factor=0.0, rng=rng)
    assert tried["planted"].tolist() == ["nothing", "click", "visit", "order"] * 2
    nothing = tried["planted"] == "nothing"
    assert not tried.loc[nothing, ["lowest rate", "largest fall"]].any(axis=None)
    assert tried.loc[~nothing, "largest proven loss"].mean() >= 0.8


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
