"""Campaigns: the expected profit against the market's own, the budget, and the environment."""

import warnings
from dataclasses import replace

import gymnasium
import numpy as np
import pandas as pd
import pytest
from gymnasium.utils.env_checker import check_env
from hypothesis import given
from hypothesis import strategies as st

from pm_utils.decisions.budget_env import (
    BudgetCampaign,
    BudgetEnv,
    Episodes,
    Forecast,
    State,
    within_budget,
)
from pm_utils.decisions.planning import play_flights
from pm_utils.market import EpsilonGreedy
from tests.support.campaign_world import (
    AMPLE,
    FLIGHT,
    STRONG,
    TIGHT,
    WEEKS,
    campaign_market,
    forecast,
)
from tests.support.market_world import mean_z, z_score

# --- What a flight is expected to bring ---------------------------------------------------------


def test_the_expected_profit_by_hand():
    half = np.log(2)  # every exponential is a power of one half
    truth = replace(
        STRONG, fatigue=half, displacement=0.5, margin=0.3, impression_cost=0.01, retention=0.5
    )
    truth = replace(truth, leaving_fatigue=half / 3)
    one = Forecast(
        conversions=np.array([[0.2, 0.0]]),
        discount=np.array([0.1, 0.5]),
        order_value=np.array([10.0]),
        order_rate=np.array([half]),
        annoyance=np.array([half / 3]),
        leaving=np.array([0.1]),
        truth=truth,
        impressions=2,
    )
    none, shown, useless = one.immediate(np.array([1.0]), 1)[0]
    kept = 1 - 0.5 * (1 - 2**-0.5)  # the organic rate is halved by a strain of 3
    orders = 0.5 * 1.5 * 0.2
    organic = 0.3 * 10 * half
    harm = 0.5 * organic + (0.2 - 0.1) * organic
    assert shown == pytest.approx(orders * 10 * (0.3 * kept - 0.1) - harm - 0.02)
    assert useless == pytest.approx(-harm - 0.02)
    third = 2 ** (-1 / 3)  # nothing shown: a strain of 1
    assert none == pytest.approx(-(1 - third) * organic - 0.1 * (1 / third - 1) * organic)
    assert one.next_fatigue(np.array([1.0]), np.array([1])) == pytest.approx(1.5)
    assert one.remaining(3) == pytest.approx(organic * (1 + 0.9 + 0.81))


@pytest.fixture(scope="module")
def simulated():
    """Play two weeks of many copies; return what the second brought against the same luck idle."""
    known = forecast()
    who = np.repeat(np.arange(40), 3000)
    market, rng = campaign_market().of(who), np.random.default_rng(0)
    first, second = rng.integers(-1, 3, size=(2, len(who)))
    state, _ = market.step(market.rested(), first, FLIGHT)
    idle, _ = market.step(market.rested(), np.full(len(who), -1))
    both = (
        replace(state, alive=np.ones(len(who), bool)),
        replace(idle, alive=np.ones(len(who), bool)),
    )
    gains = []
    for start, shown in zip(both, (second, np.full(len(who), -1)), strict=True):
        later, outcome = market.step(start, shown, FLIGHT)
        due = (later.pending - start.pending)[:, :, 2].sum(1)
        gains.append(outcome.profit + due + later.alive * known.remaining(4)[who])
    return who, state.fatigue, second + 1, gains[0] - gains[1]


def expected_of(known, simulated):
    who, fatigue, action, _ = simulated
    return known.take(who).immediate(fatigue, 4)[np.arange(len(who)), action]


def test_the_expected_profit_is_the_markets_mean(simulated):
    who, fatigue, action, gain = simulated
    off = gain - expected_of(forecast(), simulated)
    parts = [action == choice for choice in range(4)] + [fatigue == 0, fatigue > 0]
    parts += [forecast().order_rate[who] > np.median(forecast().order_rate)]
    for number, part in enumerate(parts):
        assert abs(mean_z(off[part], 0)) < 4, number


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("displacement", 0.2),
        ("fatigue", 0.03),
        ("leaving_fatigue", 0.0),
        ("impression_cost", 0.0),
        ("margin", 0.25),
    ],
)
def test_a_wrong_parameter_would_be_seen(simulated, name, value):
    wrong = replace(forecast(), truth=replace(STRONG, **{name: value}))
    assert_seen(wrong, simulated)


@pytest.mark.parametrize("name", ["annoyance", "discount"])
def test_a_missing_effect_would_be_seen(simulated, name):
    assert_seen(replace(forecast(), **{name: 0 * getattr(forecast(), name)}), simulated)


def assert_seen(wrong, simulated):
    """Weigh by where the two forecasts differ, and hold both against what happened."""
    right, other = expected_of(forecast(), simulated), expected_of(wrong, simulated)
    assert abs(mean_z((simulated[-1] - right) * (other - right), 0)) < 4
    assert abs(mean_z((simulated[-1] - other) * (other - right), 0)) > 5


@pytest.mark.parametrize("ad", [0, 2])
def test_a_plan_that_never_changes_is_the_lifetime_value_of_its_weeks(ad):
    market, known, weeks = campaign_market(), forecast(), 5
    total, stays, fatigue = np.zeros(40), np.ones(40), np.zeros(40)
    for week in range(weeks):
        total += stays * known.immediate(fatigue, weeks - 1 - week)[:, ad + 1]
        stays = stays * (1 - known.leaving_probability(fatigue + FLIGHT))
        fatigue = known.next_fatigue(fatigue, 1)
    always = EpsilonGreedy(np.full(40, ad), 3)
    options = {"weeks": weeks, "discount_factor": 1.0}
    exact = market.lifetime_value(always, impressions=FLIGHT, **options)
    without = market.lifetime_value(None, **options)
    np.testing.assert_allclose(total, exact - without, atol=1e-5)
    np.testing.assert_allclose(known.remaining(weeks), without)


def test_a_forecast_of_some_customers_is_theirs():
    some = np.array([7, 3, 7])
    taken, rested = forecast().take(some), np.zeros(40)
    assert len(taken) == 3
    whole = forecast().immediate(rested, 2)
    assert (taken.immediate(rested[:3], 2) == whole[some]).all()
    assert taken.cost == pytest.approx(FLIGHT * STRONG.impression_cost)


# --- Who is paid for ----------------------------------------------------------------------------


@given(st.integers(1, 4), st.integers(1, 7), st.integers(0, 2**31))
def test_the_budget_goes_to_the_highest_priority(campaigns, n, seed):
    rng = np.random.default_rng(seed)
    wanted = rng.random((campaigns, n)) < 0.6
    left = rng.integers(0, n + 2, campaigns)
    priority = rng.integers(-2, 3, (campaigns, n)).astype(float)  # many ties
    expected = np.zeros_like(wanted)
    for e in range(campaigns):
        queue = sorted(np.flatnonzero(wanted[e]), key=lambda i: (-priority[e, i], i))
        expected[e, queue[: left[e]]] = True
    assert (within_budget(wanted, left, priority) == expected).all()


@given(st.integers(0, 2**31), st.integers(1, 9))
def test_no_campaign_spends_more_than_it_has(seed, flights):
    rng = np.random.default_rng(seed)
    campaign = BudgetCampaign(WEEKS, FLIGHT, flights)
    episodes = Episodes(forecast(), campaign, episodes=8, seed=seed)
    state = episodes.start()
    for _ in range(WEEKS):
        action = rng.integers(0, 4, episodes.shape)
        before, earns = state, episodes.immediate(state)
        state, step = episodes.step(state, action, rng.random(episodes.shape))
        asked = ((action > 0) & before.alive).sum(1)
        assert (step.sent.sum(1) == np.minimum(asked, before.flights_left)).all()
        assert (step.refused == asked - step.sent.sum(1)).all()
        assert (state.flights_left == before.flights_left - step.sent.sum(1)).all()
        idle = ~step.sent  # refused, gone or not asked for: paid as if nothing had been asked
        assert (step.reward[idle] == earns[..., 0][idle]).all()
    assert (state.flights_left >= 0).all()


# --- Episodes -----------------------------------------------------------------------------------


def test_customers_leave_at_the_true_rate_and_for_good():
    many = forecast().take(np.repeat(np.arange(40), 400))
    many = replace(many, truth=replace(STRONG, leaving_fatigue=0.05))
    episodes = Episodes(many, BudgetCampaign(4, FLIGHT, 4), episodes=len(many), seed=1)
    always = np.ones(episodes.shape, int)
    state, step = episodes.step(episodes.start(), always)
    probability = many.leaving * np.exp(0.05 * FLIGHT)
    assert abs(z_score((~state.alive).sum(), probability)) < 4
    assert abs(z_score((~state.alive).sum(), many.leaving)) > 4
    gone = ~state.alive
    state, step = episodes.step(state, always)
    assert (step.reward[gone] == 0).all()
    assert not step.sent[gone].any()
    assert not state.alive[gone].any()
    assert (episodes.immediate(state)[~state.alive] == 0).all()
    assert (state.flights_left == 4 - 2 + gone[:, 0]).all()


def test_an_episode_repeats_with_its_seed_alone():
    def leavers(seed):
        episodes = Episodes(forecast(), AMPLE, episodes=20, seed=seed)
        state = episodes.start()
        for _ in range(WEEKS):
            state, _ = episodes.step(state, np.ones(episodes.shape, int))
        return state.alive

    assert (leavers(0) == leavers(0)).all()
    assert (leavers(0) != leavers(1)).any()


@pytest.mark.parametrize("name", ["weeks", "impressions", "flights"])
def test_a_campaign_of_nothing_is_refused(name):
    with pytest.raises(ValueError, match=f"{name} is 0"):
        BudgetCampaign(**{"weeks": 1, "impressions": 1, "flights": 1, name: 0})


def test_repeated_campaigns_meet_the_same_luck():
    episodes = Episodes(forecast(), AMPLE, episodes=20, seed=3)
    again = episodes.repeated(3)
    assert again.shape == (60, episodes.shape[1])
    rng = np.random.default_rng(0)
    action = rng.integers(3, size=episodes.shape)
    one, _ = episodes.step(episodes.start(), action)
    three, step = again.step(again.start(), np.tile(action, (3, 1)))
    assert np.array_equal(three.alive, np.tile(one.alive, (3, 1)))
    assert step.reward.shape == again.shape


def test_campaigns_have_equally_many_customers_and_flights_as_forecast():
    with pytest.raises(ValueError, match="40 customers in 3 campaigns"):
        Episodes(forecast(), TIGHT, episodes=3)
    with pytest.raises(ValueError, match="flights of 4"):
        Episodes(forecast(), BudgetCampaign(3, 4, 3))


# --- The environment ----------------------------------------------------------------------------


N = 200
CROWD = campaign_market().of(np.tile(np.arange(40), 5))


def env_of(flights: int = 150) -> BudgetEnv:
    return BudgetEnv(CROWD, BudgetCampaign(WEEKS, FLIGHT, flights))


def luck_of(seed: int):
    """Return the market with the luck that `BudgetEnv.reset` draws from a seed."""
    generator, _ = gymnasium.utils.seeding.np_random(seed)
    return CROWD.with_event_seed(int(generator.integers(2**31)))


def played(env: BudgetEnv, plan: np.ndarray, seed: int) -> list[tuple]:
    """Follow a plan (weeks, n); return what `reset` and each step gave."""
    return [env.reset(seed=seed), *(env.step(action) for action in plan)]


PLANS = np.random.default_rng(5).integers(0, 4, size=(3, WEEKS, N))


def test_gymnasium_finds_nothing_wrong():
    with warnings.catch_warnings(record=True) as found:
        warnings.simplefilter("always")
        check_env(env_of(), skip_render_check=True)
    said = [str(warning.message) for warning in found]
    assert [text for text in said if "infinity" not in text and "spec" not in text] == []


def test_only_the_last_week_ends_a_campaign_and_nothing_cuts_it():
    _, *steps = played(env_of(), PLANS[0], seed=0)
    assert [terminated for _, _, terminated, _, _ in steps] == [False, False, True]
    assert not any(truncated for *_, truncated, _ in steps)


def test_a_campaign_earns_the_markets_profit_and_what_is_still_due():
    plan = PLANS[0]
    _, *steps = played(env_of(1000), plan, seed=4)
    market, profits = luck_of(4), []
    state = market.rested()
    for action in plan:
        state, outcome = market.step(state, action - 1, FLIGHT)
        profits.append(outcome.profit.sum())
    due = state.pending[:, :, 2].sum()
    assert abs(due) > 1
    assert [reward for _, reward, *_ in steps[:-1]] == pytest.approx(profits[:-1])
    assert steps[-1][1] == pytest.approx(profits[-1] + due)


def test_the_environment_pays_for_no_more_than_its_budget():
    env = env_of(25)
    (_, info), *steps = played(env, np.ones((WEEKS, N), int), seed=1)
    assert info["left"] == 25
    infos = [step[-1] for step in steps]
    assert [info["sent"] for info in infos] == [25, 0, 0]
    assert infos[0]["refused"] == N - 25
    assert infos[0]["left"] == 0
    assert (env.state.fatigue[25:] == 0).all()  # the first customers were served
    assert (env.state.fatigue[:25] > 0).all()


def test_the_mask_allows_what_would_be_sent():
    env = env_of(300)
    _, info = env.reset(seed=2)
    assert (info["action_mask"] == 1).all()
    *_, info = env.step(np.ones(N, int))
    alive = env.state.alive
    assert not alive.all()
    assert (info["action_mask"][:, 1:] == alive[:, None]).all()
    *_, info = env.step(np.ones(N, int))
    assert info["sent"] == 100
    assert (info["action_mask"][:, 0] == 1).all()
    assert (info["action_mask"][:, 1:] == 0).all()


def test_what_is_observed():
    env = env_of(150)
    observation, _ = env.reset(seed=0)
    assert observation[:2].tolist() == [1, 1]
    observation, *_, info = env.step(np.repeat([1, 0], N // 2))
    assert observation[:2] == pytest.approx([2 / 3, 50 / 150])
    alive, fatigue, due = observation[2:].reshape(N, 3).T
    assert (alive == env.state.alive).all()
    assert fatigue == pytest.approx(np.repeat([FLIGHT / 2, 0], N // 2))
    assert due == pytest.approx(env.state.pending[:, :, 2].sum(1))
    assert np.abs(due[:100]).max() > 0 == np.abs(due[100:]).max()


def test_a_seed_is_an_episode():
    one, two, other = (played(env_of(), PLANS[1], seed) for seed in (3, 3, 4))
    for a, b in zip(one, two, strict=True):
        assert (a[0] == b[0]).all()
        assert a[1:-1] == b[1:-1]
    assert one[1][1] != other[1][1]
    assert (one[0][0] == other[0][0]).all()  # all campaigns begin alike
    env = env_of()
    unseeded = [played(env, PLANS[1], None)[1][1] for _ in range(3)]
    assert len(set(unseeded)) == 3


def test_the_environment_and_the_expectation_value_plans_alike():
    # the same luck for every plan takes most of the noise away
    n, campaign = 4000, BudgetCampaign(WEEKS, FLIGHT, 5000)
    who, rng = np.tile(np.arange(40), n // 40), np.random.default_rng(0)
    plans = [np.zeros((WEEKS, n), int), *rng.integers(0, 4, (2, WEEKS, n))]
    plans[1][:, : n // 2] = 0
    env = BudgetEnv(campaign_market().of(who), campaign)
    earned = np.array(
        [[sum(s[1] for s in played(env, plan, seed)[1:]) for plan in plans] for seed in range(20)]
    )
    many = Episodes(forecast().take(np.tile(who, 20)), campaign, episodes=20)
    values = [play_flights(many, follow(plan)) for plan in plans]
    assert values[2].refused.sum(1).min() > 0 == values[0].profit.max()
    for first, second in ((1, 0), (2, 0), (2, 1)):
        gap = (earned[:, first] - earned[:, second]) / n
        expected = values[first].total - values[second].total
        spread = np.hypot(gap.std(ddof=1), expected.std(ddof=1)) / np.sqrt(20)
        assert abs(gap.mean() - expected.mean()) < 4 * spread, (first, second)
        if second == 0:  # a fifth less would be seen
            assert abs(gap.mean() - 0.8 * expected.mean()) > 5 * spread


def follow(plan: np.ndarray):
    """Return the policy that follows a plan (weeks, n) in every campaign."""

    def policy(episodes: Episodes, state: State):
        action = np.broadcast_to(plan[state.week], episodes.shape)
        return action, np.zeros(episodes.shape)

    return policy


# --- Ends of the scale, and what cannot be -----------------------------------------------------


def test_who_never_tires_or_leaves_is_the_limit_of_who_hardly_does():
    known = forecast()
    still = replace(known, truth=replace(known.truth, fatigue=0.0), leaving=np.zeros(len(known)))
    nearly = replace(
        known, truth=replace(known.truth, fatigue=1e-9), leaving=np.full(len(known), 1e-9)
    )
    tired = np.linspace(0, 9, len(known))
    assert still.immediate(tired, 3) == pytest.approx(nearly.immediate(tired, 3), abs=1e-5)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"conversions": lambda a: a + 1}, "conversions is out of range"),
        ({"order_value": lambda a: a * np.nan}, "order_value is not finite"),
        ({"leaving": lambda a: -a}, "leaving is out of range"),
        ({"annoyance": lambda a: a[:-1]}, "annoyance 39, .* as many of each"),
        ({"discount": lambda a: a[:-1]}, "customers and ads"),
    ],
)
def test_a_forecast_that_cannot_be_is_refused(change, said):
    known = forecast()
    with pytest.raises(ValueError, match=said):
        replace(known, **{name: to(getattr(known, name)) for name, to in change.items()})


def test_a_campaign_of_parts_is_refused():
    for wrong in (2.5, np.nan):
        with pytest.raises(ValueError, match="flights is"):
            BudgetCampaign(weeks=8, impressions=20, flights=wrong)


def test_a_priority_that_is_no_number_is_refused():
    wanted, left = np.array([[True, True]]), np.array([1])
    with pytest.raises(ValueError, match="priority is not finite"):
        within_budget(wanted, left, np.array([[np.nan, 1.0]]))
    found = within_budget(wanted.astype(int), left, np.array([[0.0, 1.0]]))
    assert found.tolist() == [[False, True]]


def test_forecasts_know_their_customers_and_take_numbers_that_can_be():
    known = forecast()
    for call, told in (
        (lambda: known.take([-1]), "customers is out of range"),
        (lambda: known.take([40]), "customers is out of range"),
        (lambda: known.remaining(-1), "weeks is out of range"),
        (lambda: known.ad_profit(np.zeros(1)), "fatigue has shape"),
        (lambda: known.ad_profit(np.full(40, np.nan)), "fatigue is not finite"),
        (lambda: Episodes(known, TIGHT, episodes=0), "episodes is out of range"),
        (lambda: Episodes(known, TIGHT, episodes=20, copies=3), "20 episodes in 3 runs"),
    ):
        with pytest.raises(ValueError, match=told):
            call()
    worlds = Episodes(known, TIGHT, episodes=20)
    for action in (-1, 4):
        with pytest.raises(ValueError, match="action is out of range .* 0 to 3"):
            worlds.step(worlds.start(), np.full((20, 2), action))


def test_a_strain_that_is_not_known_brings_no_number():
    known = forecast()
    gap = np.where(np.arange(40) == 7, np.nan, 1.0)
    assert np.isnan(known.side_effect(gap, 2)[7])
    assert np.isnan(known.leaving_probability(gap)[7])
    assert np.isnan(known.next_fatigue(gap, np.ones(40))[7])
    worlds = Episodes(known, TIGHT, episodes=20)
    state = replace(worlds.start(), fatigue=gap.reshape(20, 2))
    with pytest.raises(ValueError, match="fatigue is not finite in 1 of 40 rows, first row 7"):
        worlds.step(state, np.ones((20, 2), int))


def test_an_action_of_the_environment_is_an_ad_or_none():
    env = env_of(25)
    env.reset(seed=0)
    for action, told in (
        (np.full(N, np.nan), "action is not finite"),
        (np.full(N, -1), "action is out of range"),
        (np.full(N, 99), "action is out of range"),
        (np.ones(3, int), f"give one for each of {N} customers"),
    ):
        with pytest.raises(ValueError, match=told):
            env.step(action)


def test_customers_of_a_forecast_are_matched_by_index():
    known = forecast().take([0, 1])
    value, leaving = (pd.Series(part, list("ab")) for part in (known.order_value, known.leaving))
    mixed = replace(known, order_value=value, leaving=leaving[::-1])
    assert np.array_equal(mixed.leaving, known.leaving)
    assert np.array_equal(mixed.immediate(np.zeros(2), 1), known.immediate(np.zeros(2), 1))
