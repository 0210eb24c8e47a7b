"""The campaign: a profit that adds up, rules that bind, and estimates that hold the truth."""

from dataclasses import replace

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest

from pm_utils.chapters import closed_loop_figures
from pm_utils.loop import campaign
from pm_utils.loop.ad_menu import AdCatalogue
from pm_utils.loop.bound import profit_bound
from pm_utils.loop.campaign import Campaign, Log, assign, estimate, incremental_profit, run_campaign
from pm_utils.loop.strategies import Oracle
from pm_utils.market import Creatives, TruthParameters
from pm_utils.market.dynamics import ORDER_WEEKS
from tests.support.market_world import small_market

ADS = Creatives(*(np.arange(40) % n for n in (12, 4, 5, 6, 4, 5, 2)))
SHORT = Campaign(rounds=2, weeks=2, budget=1.0, frequency_cap=3, holdout=0.25)


class Always:
    """Shows one ad to all that are treated; remembers what it was told."""

    def __init__(self, ad: int = 3, impressions: int = 1) -> None:
        self.ad, self.impressions, self.observations, self.told = ad, impressions, [], []

    def learn(self, log: Log) -> None:
        self.told.append(len(log.shown))

    def send(self, observation: campaign.WeekView) -> tuple[np.ndarray, np.ndarray]:
        self.observations.append(observation)
        eligible = observation.eligible
        return np.full(len(eligible), self.ad), np.where(eligible, self.impressions, 0)


class Nothing(Always):
    """Sends nothing."""

    def send(self, observation: campaign.WeekView) -> tuple[np.ndarray, np.ndarray]:
        return np.full(len(observation.eligible), -1), np.zeros(len(observation.eligible), int)


# --- Incremental profit --------------------------------------------------------------------------


def test_a_first_flight_is_worth_what_the_market_calls_its_uplift():
    at_once = TruthParameters(delay_base=1e-4)  # no order comes after the window
    market = small_market(500, creatives=ADS, truth=at_once)
    who, ad = np.arange(500), np.arange(500) % len(ADS)
    for flight in (1, 5):
        want = market.true_uplift(who, ad, impressions=flight, days=7)
        got = incremental_profit(market, who, ad, np.full(500, flight), np.zeros(500))
        assert got == pytest.approx(want, rel=1e-6, abs=1e-9)


def test_profit_by_hand():
    market = small_market(50, creatives=ADS)
    t, c, i, ad, tired = market.truth, market.truth_of_customers, 7, 12, 2.0
    order = market.click_probability(np.array([i]), np.array([ad]))[0]
    order = float(order) * market.conversion_probability(np.array([i]), np.array([ad]))[0]
    rate, value = c.order_rate[i], c.order_value[i]
    organic = rate * np.exp(-c.annoyance[i] * (tired + 2))
    kept = 1 - t.displacement * (1 - np.exp(-organic))
    orders = order * (np.exp(-t.fatigue * tired) + np.exp(-t.fatigue * (tired + 1)))
    want = orders * value * (t.margin * kept - market.promoted_discount[ad])
    want += t.margin * value * (organic - rate) - 2 * t.impression_cost
    got = incremental_profit(market, *(np.array([x]) for x in (i, ad, 2, tired)))
    assert got[0] == pytest.approx(want)


def test_without_an_ad_only_earlier_ads_cost():
    market = small_market(300, creatives=ADS)
    who, none = np.arange(300), np.full(300, -1)
    rested = incremental_profit(market, who, none, np.full(300, 4), np.zeros(300))
    assert not rested.any()
    tired = incremental_profit(market, who, none, np.zeros(300, int), np.full(300, 10.0))
    assert (tired <= 0).all()
    assert tired.sum() < 0


def test_profit_is_what_the_market_pays_on_average():
    """A flight at market scale, against the same customers without, late orders included."""
    loud = TruthParameters(click_base=-1.0, order_base=-1.0)
    market = small_market(30_000, creatives=ADS, truth=loud)
    ad, three = np.full(30_000, 9), np.full(30_000, 3)
    paid = []
    for creative in (ad, np.full(30_000, -1)):
        state, total = market.rested(), 0.0
        for week in range(ORDER_WEEKS):
            state, out = market.step(state, creative if week == 0 else ad * 0 - 1, three)
            total = total + out.profit
        paid.append(total)
    expected = incremental_profit(market, np.arange(30_000), ad, three, np.zeros(30_000))
    gap = paid[0] - paid[1] - expected
    later = expected.mean() * 0.02  # annoyance in the weeks after
    assert abs(gap.mean()) < 3.5 * gap.std() / np.sqrt(len(gap)) + abs(later)
    assert expected.mean() > 10 * gap.std() / np.sqrt(len(gap))


# --- The campaign --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "wrong", [{"rounds": 0}, {"weeks": 0}, {"frequency_cap": 0}, {"budget": 0}, {"holdout": 0}]
)
def test_a_campaign_needs_something_to_do_and_somebody_on_either_side(wrong):
    with pytest.raises(ValueError, match="give"):
        Campaign(**wrong)


def test_the_holdout_has_its_size_and_depends_on_the_seed_alone():
    treated = assign(1000, 3, 0.2)
    assert (~treated).sum() == 200
    assert np.array_equal(treated, assign(1000, 3, 0.2))
    assert not np.array_equal(treated, assign(1000, 4, 0.2))


def test_a_strategy_of_ones_own_needs_two_methods_and_nothing_to_inherit():
    class Silent:
        def learn(self, log):
            pass

        def send(self, observation):
            return np.full(len(observation.eligible), -1), np.zeros(len(observation.eligible), int)

    silent, market = Silent(), small_market(200, creatives=ADS)
    assert isinstance(silent, campaign.Strategy)
    done = run_campaign(market, silent, SHORT)
    assert len(done.log.shown) == SHORT.rounds * SHORT.weeks
    assert not done.impressions.any()
    assert not done.true_profit.any()  # against never sending anything


def test_what_cannot_both_learn_and_send_is_no_strategy():
    class OnlySends:
        def send(self, observation):
            return observation.eligible - 1, observation.eligible.astype(int)

    assert not isinstance(OnlySends(), campaign.Strategy)


def test_a_strategy_learns_before_each_round_and_sees_the_budget_shrink():
    market, spy = small_market(400, creatives=ADS), Always()
    done = run_campaign(market, spy, SHORT)
    assert spy.told == [0, 2]
    assert [(m.round, m.week) for m in spy.observations] == [(0, 0), (0, 1), (1, 0), (1, 1)]
    first, second, third, _ = (m.budget for m in spy.observations)
    assert first == third == 2 * 300
    assert second == first - spy.observations[0].eligible.sum()
    assert done.impressions == pytest.approx([2, 2], abs=0.1)  # some have left
    assert not spy.observations[0].eligible[~done.log.treated].any()


def test_what_a_run_earned_is_the_sum_of_its_weeks():
    market, spy = small_market(400, creatives=ADS), Always(ad=5)
    done = run_campaign(market, spy, SHORT)
    first = spy.observations[0]
    who = np.flatnonzero(first.treated)
    ads, once = np.full(len(who), 5), np.ones(len(who), int)
    rested = np.zeros(len(who))
    week = [incremental_profit(market, who, ads, once, rested, weeks_after=3).sum() / 300]
    alive = who[spy.observations[1].reachable[who]]
    tired = spy.observations[1].fatigue[alive]
    assert tired == pytest.approx(market.truth.retention)
    ads, once = ads[: len(alive)], once[: len(alive)]
    second = incremental_profit(market, alive, ads, once, tired, weeks_after=2)
    week.append(second.sum() / 300)
    assert done.true_profit[0] == pytest.approx(sum(week))


def test_nothing_earns_nothing():
    done = run_campaign(small_market(400, creatives=ADS), Nothing(), SHORT)
    assert not done.true_profit.any()
    assert not done.impressions.any()


def test_the_rules_bind():
    market = small_market(400, creatives=ADS)

    class Cheat(Always):
        def send(self, observation):
            return np.full(len(observation.eligible), 1), np.ones(len(observation.eligible), int)

    with pytest.raises(ValueError, match="held-out"):
        run_campaign(market, Cheat(), SHORT)
    with pytest.raises(ValueError, match="budget"):
        run_campaign(market, Always(impressions=3), SHORT)
    with pytest.raises(ValueError, match="budget"):
        run_campaign(market, Always(impressions=4), Campaign(budget=100, frequency_cap=3))


def test_the_log_holds_what_happened_and_nothing_hidden():
    market, spy = small_market(400, creatives=ADS), Always()
    log = run_campaign(market, spy, SHORT).log
    assert set(log.rows()) == {
        *("customer", "creative", "impressions", "fatigue", "clicks", "conversions", "week"),
    }
    rows = log.rows()
    assert len(rows["customer"]) == sum(len(part["customer"]) for part in log.shown)
    assert set(rows["week"]) == {0, 1, 2, 3}
    later = log.rows(2)
    assert set(later["week"]) == {2, 3}
    assert np.array_equal(log.rows(2, 3)["customer"], log.shown[2]["customer"])
    assert log.treated[rows["customer"]].all()
    assert log.shown[0]["late"].shape == (len(log.shown[0]["customer"]), ORDER_WEEKS - 1)
    quiet = run_campaign(market, Nothing(), SHORT).log
    held = ~log.treated
    for week in range(4):  # who is held out lives as if there were no campaign
        assert np.array_equal(log.orders[week][held], quiet.orders[week][held])
        assert np.array_equal(log.profit[week][held], quiet.profit[week][held])


def test_orders_to_come_are_not_known_yet():
    late = TruthParameters(click_base=-1.0, order_base=-1.0, delay_base=10.0)
    market = small_market(2000, creatives=ADS, truth=late)
    plan = Campaign(rounds=3, weeks=2, budget=1.0, frequency_cap=3)
    log = run_campaign(market, Always(), plan).log
    in_all = sum(part["conversions"].sum() for part in log.shown)
    known = [log.until(week).rows()["conversions"].sum() for week in range(1, 7)]
    assert np.all(np.diff(known) > 0) and known[0] < log.shown[0]["conversions"].sum()
    assert known[-1] == log.rows()["conversions"].sum() < in_all
    came = log.arrivals()
    assert came.sum(1).cumsum() == pytest.approx(known)
    assert (came <= np.array(log.orders)).all()  # an order after a click is an order
    first = log.until(ORDER_WEEKS).rows()
    all_there = first["week"] == 0
    assert first["conversions"][all_there].sum() == log.shown[0]["conversions"].sum()
    with pytest.raises(ValueError, match="week is out of range"):
        log.until(7)


# --- Estimates -----------------------------------------------------------------------------------


def made_up_log(effect: float, n: int = 4000, seed: int = 0) -> tuple[Log, np.ndarray]:
    rng = np.random.default_rng(seed)
    treated, usual = assign(n, seed, 0.3), rng.gamma(2, 5, n)
    log = Log(treated, 2)
    for _ in range(4):
        log.profit.append(usual + rng.normal(0, 1, n) + effect * treated)
        log.orders.append(np.zeros(n))
    return log, usual


def test_the_estimate_finds_a_planted_effect_and_cuped_narrows_it():
    log, usual = made_up_log(0.5)
    found = estimate(log, usual)
    assert found.low < 2.0 < found.high
    blunt = estimate(log, np.random.default_rng(1).normal(size=len(usual)))
    assert (found.high - found.low) < 0.2 * (blunt.high - blunt.low)


def test_the_interval_holds_the_truth_as_often_as_it_says():
    holds = [estimate(*made_up_log(0.1, 400, seed)) for seed in range(300)]
    share = np.mean([each.low <= 0.4 <= each.high for each in holds])
    assert 0.91 < share < 0.985


def test_rounds_are_estimated_by_their_own_weeks():
    log, usual = made_up_log(0.0)
    log.profit[2] = log.profit[2] + 5 * log.treated  # in the second round
    done = campaign.Run(np.zeros(2), np.zeros(2), log)
    first, second, whole = campaign.impact_estimates(done, usual)
    assert first.low < 0 < first.high
    assert second.low < 5 < second.high
    assert whole.difference == pytest.approx(first.difference + second.difference, rel=1e-6)


# --- Tables and figures --------------------------------------------------------------------------


@pytest.fixture
def true() -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    best = 1 + rng.random((3, 4))
    shares = (1, 0.6, 0.55, 0.5, 0.3, 0.2, 0.1, 0)
    named = zip(closed_loop_figures.STYLES, shares, strict=True)
    return {name: best * share for name, share in named}


def test_standings_pay_for_the_history_and_are_shares_of_the_bound(true):
    campaign = pd.DataFrame({name: earned.sum(1) for name, earned in true.items()})
    history = pd.DataFrame(-0.25, campaign.index, campaign.columns)
    bound = campaign["oracle"].to_numpy()
    table = closed_loop_figures.strategy_standings(campaign, history, bound)
    ours = table.loc["our loop"]
    assert ours["campaign ($)"] - ours["net ($)"] == pytest.approx(0.25)
    assert ours["share of bound"] == pytest.approx(0.6 - (0.25 / bound).mean())
    share = (campaign["our loop"] - 0.25) / bound
    assert ours["± "] == pytest.approx(4.303 * share.std() / 3**0.5, rel=1e-3)
    with pytest.raises(ValueError, match="3 and 2 markets: give equal columns and rows"):
        closed_loop_figures.strategy_standings(campaign, history[:2], bound)


def test_what_a_part_adds_is_paired_and_adds_up():
    base = np.array([1.0, 5.0, 9.0])
    totals = pd.DataFrame({"bare": base, "a": base + 0.5, "b": base + 0.4})
    table = closed_loop_figures.build_up_table(totals)
    assert list(table.index) == ["bare", "a", "b"]
    assert table["adds"].tolist() == pytest.approx([5.0, 0.5, -0.1])
    assert table.loc["a", ["low", "high"]].tolist() == pytest.approx([0.5, 0.5])  # no luck in pairs
    assert table["market 2"].sum() == pytest.approx(5.4)


def test_figures_show_every_strategy_and_round(true):
    figure = closed_loop_figures.rounds_figure(true)
    left, right = figure.axes
    assert len([line for line in left.lines if len(line.get_xdata()) == 4]) == len(true)
    assert len(right.collections) == len(true)
    totals = pd.DataFrame({"a": true["null"].sum(1), "b": true["our loop"].sum(1)})
    table = closed_loop_figures.build_up_table(totals)
    assert len(closed_loop_figures.worth_figure(table).axes[0].patches) == 2
    gains = {"a": true["our loop"] - true["null"], "b": 0 * true["null"]}
    first, second = closed_loop_figures.relearning_figure(gains).axes
    assert [first.lines[at].get_ydata().tolist() for at in range(3)] == gains["a"].tolist()
    means = [line.get_ydata() for line in first.lines if len(line.get_ydata()) == 4][3]
    assert means == pytest.approx(gains["a"].mean(0))
    assert len(second.lines) == len(first.lines)
    names = ["truth", "holdout", "low", "high", "books", "books, displaced off"]
    numbers = pd.DataFrame([[1.0, 2, 0, 4, 3, 2]] * 3, [1, 2, "all"], names)
    panel = closed_loop_figures.measured_figure(numbers).axes[0]
    assert list(panel.get_xticks()) == [1, 2]
    plt.close("all")


def test_figures_show_every_history_and_every_curve():
    trials = pd.DataFrame(
        [["our loop", 25, 0.5, 0.4], ["our loop", 80, 1.0, 0.7], ["RFM rule", 25, 0.2, 0.1]],
        columns=["strategy", "banners", "campaign", "net"],
    )
    left, right = closed_loop_figures.history_figure(trials, 2.0).axes
    assert [line.get_ydata()[-1] for line in left.lines[:2]] == [1.0, 0.2]
    assert [line.get_ydata()[-1] for line in right.lines[:2]] == [0.7, 0.1]
    assert left.get_xticks().tolist() == [25, 80]
    curve = pd.Series([3.0, 2.0, 1.0], [0, 4, 8])
    axes = closed_loop_figures.loss_figure({"a": curve, "b": curve}).axes[0]
    assert [line.get_xdata().tolist() for line in axes.lines] == [[4, 8]] * 2
    plt.close("all")


# --- A history, and customers who leave ----------------------------------------------------------


def test_banners_by_hand():
    market = small_market(40, creatives=ADS)
    t, c, k, weeks = market.truth, market.truth_of_customers, 2, 3
    who = np.arange(40)
    fatigue, total = 0.0, 0.0
    for _ in range(weeks):
        for ad in range(len(ADS)):
            each = (who, np.full(40, ad), np.full(40, k), np.full(40, fatigue))
            total += incremental_profit(market, *each).mean() / len(ADS)
        fatigue = t.retention * (fatigue + k)
    assert campaign.exploration_profit(market, k * weeks, weeks) == pytest.approx(total, rel=1e-5)
    assert (c.order_rate > 0).all()


def test_who_leaves_because_of_ads_takes_the_weeks_that_are_left():
    market = small_market(60, creatives=ADS, truth=TruthParameters(leaving_fatigue=0.5))
    t, c, who = market.truth, market.truth_of_customers, np.arange(60)
    flight = (who, who % len(ADS), np.full(60, 3), np.zeros(60))
    now = incremental_profit(market, *flight)
    before = incremental_profit(market, *flight, weeks_after=2)
    more = c.leaving * (np.exp(0.5 * 3) - 1)  # chances of this size stay below one
    lost = t.margin * c.order_value * c.order_rate * (1 + (1 - c.leaving))
    assert now - before == pytest.approx(more * lost)


def test_the_bound_is_reached_where_nothing_is_scarce_and_nobody_tires():
    """With a budget for the cap of all and ads that leave no trace, greed is the best plan."""
    truth = TruthParameters(fatigue=0.0, annoyance=0.0, leaving_fatigue=0.0, leaving_base=0.0)
    truth = replace(truth, leaving_bounds=(0.0, 0.0), impression_cost=0.0)
    menu = AdCatalogue.of(1)
    market = small_market(50, creatives=menu.creatives(), truth=truth)
    plan = Campaign(rounds=2, weeks=2, budget=3.0, frequency_cap=3, holdout=0.2)
    greedy = run_campaign(market, Oracle(market, plan, menu), plan).true_profit.sum()
    assert profit_bound(market, plan) == pytest.approx(greedy, rel=1e-4)


def test_a_finer_grid_gives_a_tighter_bound_that_still_holds():
    menu = AdCatalogue.of(1)
    market = small_market(80, creatives=menu.creatives())
    plan = Campaign(rounds=2, weeks=3, budget=2.0)
    best = run_campaign(market, Oracle(market, plan, menu), plan).true_profit.sum()
    rough, fine = (profit_bound(market, plan, step=step) for step in (1.0, 0.1))
    assert best <= fine <= rough
    with pytest.raises(ValueError, match="step"):
        profit_bound(market, plan, step=0)


# --- Inputs ---------------------------------------------------------------------------------------


def test_ads_that_do_not_tire_earn_the_limit_of_those_that_hardly_do():
    who, ads, times, none = np.arange(30), np.arange(30) % 5, np.arange(30) % 4, np.zeros(30)
    found = [
        incremental_profit(
            small_market(30, truth=TruthParameters(fatigue=effect)), who, ads, times, none
        )
        for effect in (0.0, 1e-9)
    ]
    assert np.isfinite(found[0]).all()
    assert found[0] == pytest.approx(found[1], abs=1e-6)


def test_profits_of_unknown_customers_and_ads_are_refused():
    market, one = small_market(5), np.zeros(1, int)
    for parts, told in (
        ((one + 5, one, one, one), "customer is out of range .* 0 to 4"),
        ((one - 1, one, one, one), "customer is out of range"),
        ((one, one + len(market.creatives), one, one), "creative is out of range"),
        ((one, one, one - 1, one), "impressions is out of range"),
        ((one, one, one, one + np.nan), "fatigue is not finite"),
        ((one, one, np.zeros(2, int), one), "impressions 2"),
    ):
        with pytest.raises(ValueError, match=told):
            incremental_profit(market, *parts)


class Sends:
    """A strategy that always says the same."""

    def __init__(self, ads, impressions):
        self.said = ads, impressions

    def learn(self, log):
        pass

    def send(self, observation):
        return self.said


@pytest.mark.parametrize(
    ("ads", "impressions", "told"),
    [
        (np.zeros(20), np.full(20, -1), "impressions is out of range in 20 of 20"),
        (np.zeros(20), np.full(20, 0.5), "impressions is not whole"),
        (np.full(20, 10**12), np.zeros(20), "ads is out of range"),
        (np.full(20, np.nan), np.zeros(20), "ads is not finite"),
        (np.zeros(19), np.zeros(19), "customers 20, ads 19"),
    ],
)
def test_a_strategy_that_says_what_cannot_be_is_refused(ads, impressions, told):
    with pytest.raises(ValueError, match=told):
        run_campaign(small_market(20), Sends(ads, impressions), Campaign(rounds=1, weeks=1))


def test_campaigns_of_no_numbers_are_refused():
    for settings, told in (
        ({"budget": float("nan")}, "budget is not finite"),
        ({"weeks": 1.5}, "weeks is not whole"),
        ({"holdout": float("nan")}, "holdout is nan"),
    ):
        with pytest.raises(ValueError, match=told):
            Campaign(**settings)
    log = Log(np.array([True, True, False, False]), weeks=1)
    with pytest.raises(ValueError, match="0 weeks, none of them"):
        estimate(log, np.ones(4))
    log.profit.append(np.array([1.0, 2, 3, 4]))
    with pytest.raises(ValueError, match="before is not finite in 1 of 4"):
        estimate(log, np.array([1, np.nan, 1, 2]))
    with pytest.raises(ValueError, match="before 3"):
        estimate(log, np.ones(3))
