"""Weeks: fatigue by hand, nobody's luck lost in batches, lifetime value against simulation."""

from dataclasses import replace

import numpy as np
import pytest

from pm_utils.market import EpsilonGreedy, TruthParameters, Uniform
from pm_utils.market.dynamics import ORDER_WEEKS, lateness
from tests.support.market_world import mean_z, small_market, z_score

M = 200
LOUD = replace(
    TruthParameters(),
    click_base=-1.0,
    order_base=-1.5,
    annoyance=0.01,
    fatigue=0.1,
    leaving_base=0.05,
    leaving_bounds=(0.02, 0.2),
    leaving_fatigue=0.05,
)
MARKET = small_market(4000, truth=LOUD)
BEST = MARKET.click_table.argmax(1)
NONE = np.full(4000, -1)


def play(market, plan, impressions=1):
    """Play a week for each row of creatives (weeks, N); return the last state and the outcomes."""
    state, outcomes = market.rested(), []
    for creative in plan:
        state, outcome = market.step(state, creative, impressions)
        outcomes.append(outcome)
    return state, outcomes


def test_fatigue_is_the_printed_recursion():
    state, _ = play(MARKET, [BEST, BEST, NONE], impressions=3)
    rho = LOUD.retention
    np.testing.assert_allclose(state.fatigue[state.alive], rho * rho * (rho * 3 + 3))
    assert state.week == 3


def test_fatigue_lowers_clicks_and_rest_brings_them_back():
    market = small_market(8000, truth=replace(LOUD, leaving_base=0.0, leaving_bounds=(0.0, 0.0)))
    best = market.click_table.argmax(1)
    idle = np.full(8000, -1)
    _, outcomes = play(market, [best] * 6 + [idle] * 12 + [best], impressions=5)
    clicks = [outcome.clicks.sum() for outcome in outcomes]
    assert clicks[0] > 1.1 * clicks[1] > 1.1 * clicks[5]
    assert clicks[6:18] == [0] * 12
    assert clicks[18] == pytest.approx(clicks[0], rel=0.05)


def test_clicks_come_with_the_true_probability_given_fatigue():
    state, _ = play(MARKET, [BEST] * 3, impressions=4)
    _, outcome = MARKET.step(state, BEST, 1)
    assert (outcome.impressions == state.alive).all()
    probability = MARKET.click_probability(np.arange(4000), BEST, fatigue=state.fatigue)[
        state.alive
    ]
    assert abs(z_score(outcome.clicks[state.alive].sum(), probability)) < 4
    rested = MARKET.click_probability(np.arange(4000), BEST)[state.alive]
    assert abs(z_score(outcome.clicks[state.alive].sum(), rested)) > 6


def test_conversions_come_with_the_true_probability():
    _, (outcome,) = play(MARKET, [BEST])
    who = np.arange(4000)
    probability = MARKET.click_probability(who, BEST) * MARKET.conversion_probability(who, BEST)
    assert abs(z_score(outcome.conversions.sum(), probability)) < 4
    assert (outcome.conversions <= outcome.clicks).all()


def test_organic_orders_come_at_the_true_rate():
    state, orders = MARKET.rested(), np.zeros(4000)
    for week in range(12):
        state, outcome = MARKET.step(replace(state, alive=np.ones(4000, bool)), NONE)
        orders += outcome.organic_orders
        assert outcome.cost.sum() == 0 == outcome.clicks.sum(), week
    assert abs(mean_z(orders / 12 - MARKET.truth_of_customers.order_rate, 0)) < 4


def test_ads_annoy_the_price_insensitive():
    state = replace(MARKET.rested(), fatigue=np.full(4000, 60.0))
    calm, tired = (MARKET.step(s, NONE)[1].organic_orders for s in (MARKET.rested(), state))
    assert (tired <= calm).all()  # one luck: only the rate fell
    hidden = MARKET.truth_of_customers
    lost = (calm - tired) / hidden.order_rate.mean()
    sensitive = hidden.price_sensitivity > 0.5
    assert lost[~sensitive].mean() > 3 * lost[sensitive].mean()
    expected = hidden.order_rate * (1 - np.exp(-60 * hidden.annoyance))
    assert abs(mean_z(calm - tired - expected, 0)) < 4


def test_customers_leave_for_good_at_the_true_rate():
    state, outcome = MARKET.step(MARKET.rested(), BEST, 6)
    leaving = MARKET.truth_of_customers.leaving * np.exp(6 * LOUD.leaving_fatigue)
    assert abs(z_score((~state.alive).sum(), leaving)) < 4
    after, outcome = MARKET.step(state, BEST, 6)
    gone = ~state.alive
    assert not after.alive[gone].any()
    nothing = (outcome.impressions, outcome.clicks, outcome.organic_orders, outcome.cost)
    assert all((column[gone] == 0).all() for column in nothing)
    assert outcome.impressions[~gone].min() == 6


def test_orders_come_late_by_the_true_delay():
    state, outcome = MARKET.step(MARKET.rested(), BEST, 3)
    landed = [outcome.ad_orders.sum()] + state.pending[:, :, 0].sum(0).tolist()
    assert landed[ORDER_WEEKS] == 0  # the window moved on: nothing is due after the last week
    hidden = MARKET.truth_of_customers
    probability = MARKET.click_probability(np.arange(4000), BEST)
    weight = probability * MARKET.conversion_probability(np.arange(4000), BEST)
    weight = weight * (1 - 0.5 * (1 - np.exp(-hidden.order_rate * np.exp(-3 * hidden.annoyance))))
    delay = MARKET.mean_delay(np.arange(4000), BEST)
    for week in range(ORDER_WEEKS):
        tail = np.exp(-7 * (week + 1) / delay) if week < ORDER_WEEKS - 1 else 0
        share = (weight * (np.exp(-7 * week / delay) - tail)).sum() / weight.sum()
        total = sum(landed)
        assert abs(landed[week] - total * share) < 4 * np.sqrt(total * share)
    later = [MARKET.step(state, NONE)[1]]
    for _ in range(ORDER_WEEKS):
        state, outcome = MARKET.step(state, NONE)
        later.append(outcome)
    assert sum(o.ad_orders.sum() for o in later[1:]) == pytest.approx(sum(landed[1:]))


@pytest.mark.parametrize("delay", [2.0, 4.0, 15.0])
def test_the_discount_for_lateness_is_the_mean_over_delays(delay):
    rng = np.random.default_rng(0)
    late = np.minimum(rng.exponential(delay, 200_000) // 7, ORDER_WEEKS - 1)
    exact = lateness(np.array([delay]), 0.8)
    assert abs(mean_z(0.8**late, exact)) < 4
    assert lateness(np.array([delay]), 1.0) == pytest.approx(1)


def test_slow_orders_come_late_week_by_week():
    market = small_market(20_000, truth=replace(LOUD, delay_base=15.0, displacement=0.0))
    best = market.click_table.argmax(1)
    state, outcome = market.step(market.rested(), best, 2)
    landed = np.array([outcome.ad_orders.sum(), *state.pending[:, : ORDER_WEEKS - 1, 0].sum(0)])
    who = np.arange(20_000)
    weight = market.click_probability(who, best) * market.conversion_probability(who, best)
    days = 7 * np.arange(ORDER_WEEKS + 1)
    reached = np.exp(-days[:, None] / market.mean_delay(who, best))
    reached[-1] = 0  # the last week takes all that is later still
    share = (-np.diff(reached, axis=0) * weight).sum(1) / weight.sum()
    gap = (landed - landed.sum() * share) / np.sqrt(landed.sum() * share * (1 - share))
    assert np.abs(gap).max() < 4
    assert landed.min() > 100


def test_profit_adds_up():
    _, outcomes = play(MARKET, [BEST] * 3, impressions=2)
    for outcome in outcomes:
        np.testing.assert_allclose(outcome.cost, LOUD.impression_cost * outcome.impressions)
    assert (outcomes[0].spend > 0)[outcomes[0].organic_orders > 0].all()
    first = outcomes[0]
    quiet = first.ad_orders == 0
    quiet &= first.conversions == 0
    margin = LOUD.margin * first.spend - first.cost
    np.testing.assert_allclose(first.profit[quiet], margin[quiet])


def test_the_same_seed_gives_the_same_weeks():
    one, two = (play(small_market(500, truth=LOUD), [BEST[:500]] * 3)[1] for _ in range(2))
    assert all((a.profit == b.profit).all() for a, b in zip(one, two, strict=True))
    other = play(small_market(500, seed=1, truth=LOUD), [BEST[:500]] * 3)[1]
    assert (one[0].organic_orders != other[0].organic_orders).any()


def test_a_smaller_market_lives_the_same_weeks():
    small = small_market(700, truth=LOUD)
    mine, theirs = (play(m, [BEST[: m.n_customers]] * 4, 2)[1] for m in (small, MARKET))
    for a, b in zip(mine, theirs, strict=True):
        assert (a.profit == b.profit[:700]).all()
        assert (a.clicks == b.clicks[:700]).all()


def test_one_customers_ads_do_not_touch_another():
    only = NONE.copy()
    only[::2] = BEST[::2]
    with_ads, without = (play(MARKET, [plan] * 3, 4)[1] for plan in (only, [*[NONE]][0]))
    for a, b in zip(with_ads, without, strict=True):
        assert (a.profit[1::2] == b.profit[1::2]).all()
    assert sum(a.clicks.sum() for a in with_ads) > 0


def simulated_value(market, policy, *, weeks, impressions, discount_factor):
    """Return each customer's discounted profit over some weeks, late orders included."""
    state, total, rng = market.rested(), np.zeros(market.n_customers), np.random.default_rng(0)
    who = np.arange(market.n_customers)
    for week in range(weeks):
        creative = policy.choose(who, rng.random(len(who), dtype=np.float32))[0]
        state, outcome = market.step(state, creative, impressions)
        total += discount_factor**week * outcome.profit
    late = discount_factor ** (weeks + np.arange(ORDER_WEEKS))
    return total + state.pending[:, :, 2] @ late


@pytest.mark.parametrize("impressions", [0, 1, 5])
def test_lifetime_value_is_what_simulation_averages_to(impressions):
    market = small_market(12_000, truth=LOUD)
    policy = EpsilonGreedy(market.click_table.argmax(1), M, 0.5)
    options = {"weeks": 15, "impressions": impressions, "discount_factor": 0.97}
    exact = market.lifetime_value(policy, **options)
    simulated = simulated_value(market, policy, **options)
    assert abs(mean_z(simulated - exact, 0)) < 4
    high = exact > np.median(exact)
    assert abs(mean_z((simulated - exact)[high], 0)) < 4
    assert abs(mean_z(simulated, 0.9 * exact)) > 4  # the test would see 10 %


def test_the_gain_by_ads_is_what_simulation_averages_to():
    # the same luck with and without ads takes most of the noise away
    market = small_market(12_000, truth=replace(LOUD, leaving_base=0, leaving_bounds=(0, 0)))
    policy = EpsilonGreedy(market.click_table.argmax(1), M)
    options = {"weeks": 10, "impressions": 3, "discount_factor": 0.95}
    exact = market.lifetime_value(policy, **options) - market.lifetime_value(
        None, weeks=10, discount_factor=0.95
    )
    nothing = options | {"impressions": 0}
    gain = simulated_value(market, policy, **options) - simulated_value(market, policy, **nothing)
    assert abs(mean_z(gain - exact, 0)) < 4
    assert abs(mean_z(gain, 0)) > 8


def test_lifetime_value_without_ads_is_a_geometric_series():
    hidden = MARKET.truth_of_customers
    weekly = LOUD.margin * hidden.order_value * hidden.order_rate
    endless = weekly / (1 - 0.99 * (1 - hidden.leaving))
    np.testing.assert_allclose(MARKET.lifetime_value(None, discount_factor=0.99), endless)
    three = weekly * sum((0.99 * (1 - hidden.leaving)) ** t for t in range(3))
    np.testing.assert_allclose(MARKET.lifetime_value(None, discount_factor=0.99, weeks=3), three)


def test_no_end_is_a_very_late_end():
    endless = MARKET.lifetime_value(Uniform(M), impressions=2, discount_factor=0.98)
    late = MARKET.lifetime_value(Uniform(M), impressions=2, discount_factor=0.98, weeks=600)
    np.testing.assert_allclose(endless, late, rtol=1e-5)
    early = MARKET.lifetime_value(Uniform(M), impressions=2, discount_factor=0.98, weeks=20)
    assert early.mean() < 0.9 * late.mean()


def test_one_week_of_ads_by_hand():
    market, who = MARKET, np.arange(50)
    hidden, ad = market.truth_of_customers, np.full(50, 9)
    rate = hidden.order_rate[:50] * np.exp(-2 * hidden.annoyance[:50])
    shown = market.click_probability(who, ad) * (1 + np.exp(-LOUD.fatigue))
    orders = shown * market.conversion_probability(who, ad)
    kept = 1 - LOUD.displacement * (1 - np.exp(-rate))
    value = hidden.order_value[:50]
    week = LOUD.margin * value * rate - 2 * LOUD.impression_cost
    week = week + orders * value * (LOUD.margin * kept - market.promoted_discount[9])
    policy = EpsilonGreedy(np.full(4000, 9), M)
    exact = market.lifetime_value(
        policy, impressions=2, weeks=1, discount_factor=1.0, customers=who
    )
    np.testing.assert_allclose(exact, week, rtol=1e-5)


def test_good_ads_are_worth_more_than_random_ones():
    market = small_market(1000)
    best = EpsilonGreedy(market.click_table.argmax(1), M)
    random, good = (market.lifetime_value(p, discount_factor=0.99) for p in (Uniform(M), best))
    nothing = market.lifetime_value(None, discount_factor=0.99)
    assert good.mean() > nothing.mean() > random.mean()


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: MARKET.step(MARKET.rested(), np.zeros(3, int)), r"creative has shape \(3,\)"),
        (lambda: MARKET.step(MARKET.rested(), NONE - 1), "creative is out of range"),
        (lambda: MARKET.step(MARKET.rested(), NONE, -1), "impressions is out of range"),
        (lambda: MARKET.lifetime_value(None, discount_factor=0.0), "discount_factor is 0.0"),
        (lambda: MARKET.lifetime_value(None, weeks=0), "weeks is 0"),
        (lambda: MARKET.lifetime_value(None, customers=[-1]), "customers is out of range"),
    ],
)
def test_bad_input_is_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_other_luck_befalls_the_same_customers():
    market = small_market(2000, truth=LOUD)
    plan = [BEST[:2000]] * 3
    other = market.with_event_seed(7)
    assert other.truth_of_customers is market.truth_of_customers
    assert (other.click_table == market.click_table).all()
    (_, mine), (_, theirs) = play(market, plan, 2), play(other, plan, 2)
    for a, b in zip(mine, theirs, strict=True):
        assert (a.organic_orders != b.organic_orders).any()
        assert (a.clicks != b.clicks).any()
    assert abs(mean_z(mine[0].organic_orders - theirs[0].organic_orders, 0)) < 4
    assert market.seed == 0


def test_a_markets_own_luck_is_its_seed():
    market = small_market(500, truth=LOUD)
    plan = [BEST[:500]] * 3
    for same in (market.with_event_seed(0), market.with_event_seed(7).with_event_seed(0)):
        for a, b in zip(play(market, plan, 2)[1], play(same, plan, 2)[1], strict=True):
            assert (a.profit == b.profit).all()
    once, twice = (play(market.with_event_seed(7), plan, 2)[1] for _ in range(2))
    assert all((a.profit == b.profit).all() for a, b in zip(once, twice, strict=True))


def test_a_market_of_some_customers_holds_what_is_true_of_them():
    some = np.array([30, 4, 30, 999])
    few = MARKET.of(some)
    assert few.n_customers == len(few.truth_of_customers) == len(few.customers) == 4
    assert (few.click_table == MARKET.click_table[some]).all()
    assert (few.conversion_table == MARKET.conversion_table[some]).all()
    hidden = MARKET.truth_of_customers
    for name in ("order_value", "order_rate", "annoyance", "leaving", "delay", "interest"):
        taken = getattr(few.truth_of_customers, name)
        assert (taken == getattr(hidden, name)[some]).all(), name
    assert (few.customers["customer_id"] == MARKET.customers["customer_id"].to_numpy()[some]).all()
    assert few.customers.index.tolist() == [0, 1, 2, 3]
    assert MARKET.n_customers == len(MARKET.customers) == 4000
    values = few.lifetime_value(Uniform(M), discount_factor=0.99)
    whole = MARKET.lifetime_value(Uniform(M), discount_factor=0.99, customers=some)
    np.testing.assert_allclose(values, whole)


def test_copies_of_a_customer_have_luck_of_their_own():
    busy = int(MARKET.truth_of_customers.order_rate.argmax())
    copies = MARKET.of(np.full(3000, busy))
    _, (outcome,) = play(copies, [np.full(3000, BEST[busy])], 3)
    rate = MARKET.truth_of_customers.order_rate[busy]
    annoyed = rate * np.exp(-3 * MARKET.truth_of_customers.annoyance[busy])
    assert abs(mean_z(outcome.organic_orders, annoyed)) < 4
    assert outcome.organic_orders.var() == pytest.approx(annoyed, rel=0.15)  # Poisson: no copies
    probability = MARKET.click_probability(busy, BEST[busy], fatigue=np.arange(3)).sum()
    assert abs(mean_z(outcome.clicks, probability)) < 4


def test_all_customers_in_order_are_the_market():
    market = small_market(300, truth=LOUD)
    same = market.of(np.arange(300))
    for a, b in zip(
        play(market, [BEST[:300]] * 2)[1], play(same, [BEST[:300]] * 2)[1], strict=True
    ):
        assert (a.profit == b.profit).all()


def test_defects_and_other_ads_go_with_the_customers():
    broken = MARKET.with_defect("click", np.array([5]), 0.5)
    some = np.array([6, 5])
    ratio = broken.of(some).click_table / MARKET.of(some).click_table
    np.testing.assert_allclose(ratio, np.repeat([[1], [0.5]], M, axis=1), rtol=1e-5)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: MARKET.with_event_seed(-1), "seed is -1"),
        (lambda: MARKET.of(np.array([0, 4000])), "customers is out of range"),
        (lambda: MARKET.of(np.array([True, False])), "customers is of type bool"),
    ],
)
def test_luck_and_customers_are_checked(call, message):
    with pytest.raises(ValueError, match=message):
        call()
