"""Plans: exact optima against brute force, bounds above them, and what each rule does."""

from dataclasses import replace
from functools import cache
from itertools import product

import numpy as np
import pandas as pd
import pytest

from pm_utils.decisions import planning
from pm_utils.decisions.budget_env import BudgetCampaign, Episodes, State
from tests.support.campaign_world import AMPLE, FLIGHT, TIGHT, WEEKS, forecast, pair

PAIRS = [0, 4, 6, 10]
RULES = {
    "nobody": planning.nobody,
    "random": planning.random_choice(0),
    "everyone": planning.everyone(0),
    "greedy": planning.greedy,
    "threshold": planning.threshold(0.8),
    "paced": planning.threshold(0.5, 2.0),
}


def follow(plan: np.ndarray) -> planning.FlightPolicy:
    """Return the policy that follows a plan (weeks, n) as long as there is money."""

    def policy(episodes, state):
        return np.broadcast_to(plan[state.week], episodes.shape), np.zeros(episodes.shape)

    return policy


def brute_force(known, campaign, price=0.0):
    """Try every ad for every customer in every situation; count who stays one by one."""
    n = len(known)
    everybody = list(product((False, True), repeat=n))

    @cache
    def profit(week, fatigue):
        return known.immediate(np.array(fatigue), campaign.weeks - 1 - week) - price * SENT

    @cache
    def leaves(strain):
        return known.leaving_probability(np.array(strain))

    @cache
    def best(week, left, fatigue, alive):
        if week == campaign.weeks:
            return 0.0
        return max(value(week, left, fatigue, alive, ads) for ads in product(range(4), repeat=n))

    def value(week, left, fatigue, alive, ads):
        sent = tuple(ad > 0 for ad in ads)
        if sum(sent) > left or any(s and not a for s, a in zip(sent, alive, strict=True)):
            return -np.inf
        earned = profit(week, fatigue)
        total = sum(earned[i, ads[i]] for i in range(n) if alive[i])
        strain = tuple(f + FLIGHT * s for f, s in zip(fatigue, sent, strict=True))
        later = tuple(known.truth.retention * g for g in strain)
        gone = leaves(strain)
        for stays in everybody:
            odds = [
                (1 - gone[i] if stays[i] else gone[i]) if alive[i] else float(not stays[i])
                for i in range(n)
            ]
            if np.prod(odds) > 0:
                total += np.prod(odds) * best(week + 1, left - sum(sent), later, stays)
        return total

    return best(0, campaign.flights, (0.0,) * n, (True,) * n)


SENT = np.array([0, 1, 1, 1])

# --- The small world ------------------------------------------------------------------------------


@pytest.mark.parametrize("campaign", [TIGHT, AMPLE, BudgetCampaign(WEEKS, FLIGHT, 1)])
@pytest.mark.parametrize("first", PAIRS)
def test_the_optimum_is_that_of_brute_force(first, campaign):
    optimum, policy = planning.small_optimum(pair(first), campaign)
    assert optimum == pytest.approx(brute_force(pair(first), campaign))
    value, path = planning.exact_value(pair(first), campaign, policy)
    assert value == pytest.approx(optimum)
    assert (path > 0).sum() <= campaign.flights


@pytest.mark.parametrize("first", PAIRS)
def test_no_rule_and_no_fixed_plan_beats_the_optimum(first):
    known = pair(first)
    optimum, policy = planning.small_optimum(known, TIGHT)
    values = [planning.exact_value(known, TIGHT, rule)[0] for rule in RULES.values()]
    assert values[0] == 0
    best = known.immediate(np.zeros(2), 1)[:, 1:].argmax(1) + 1
    plans = np.array(list(product((0, 1), repeat=2 * WEEKS))).reshape(-1, WEEKS, 2)
    fixed = [planning.exact_value(known, TIGHT, follow(plan * best))[0] for plan in plans]
    assert optimum > max(values) - 1e-9
    assert optimum > max(fixed) - 1e-9
    assert optimum < max(fixed) + 0.1 * optimum  # little is gained by watching who leaves
    assert np.quantile(fixed, 0.25) < 0.8 * optimum


def test_the_optimum_beats_every_rule_somewhere():
    for name, rule in RULES.items():
        lost = [
            planning.small_optimum(pair(first), TIGHT)[0]
            - planning.exact_value(pair(first), TIGHT, rule)[0]
            for first in PAIRS
        ]
        assert max(lost) > 0.05, name


def test_the_optimum_takes_a_leaver_into_account():
    known = pair(0)
    eager = replace(known, leaving=np.array([0.5, 0.02]))
    campaign = BudgetCampaign(WEEKS, FLIGHT, 1)
    optimum, policy = planning.small_optimum(eager, campaign)
    assert optimum == pytest.approx(brute_force(eager, campaign))
    state = State(1, np.ones(1, int), np.zeros((1, 2)), np.array([[True, False]]))
    action, _ = policy(Episodes(eager, campaign), state)
    assert action[0, 1] == 0  # nothing to who is gone


def test_exact_value_is_the_mean_over_who_leaves():
    known, many = pair(0), 4000
    worlds = Episodes(known.take(np.tile([0, 1], many)), TIGHT, episodes=many, seed=3)
    for name in ("greedy", "paced"):
        exact, _ = planning.exact_value(known, TIGHT, RULES[name])
        earned = 2 * planning.play_flights(worlds, RULES[name]).total
        spread = earned.std() / np.sqrt(many)
        assert abs(earned.mean() - exact) < 4 * spread, name
        stays, _ = planning.exact_value(
            replace(known, leaving=np.full(2, 1e-9)), TIGHT, RULES[name]
        )
        assert abs(earned.mean() - stays) > 8 * spread, name


def test_exact_value_reports_what_was_paid_for():
    plan = np.array([[1, 2], [3, 3], [1, 0]])
    _, path = planning.exact_value(pair(), TIGHT, follow(plan))
    assert path.tolist() == [[1, 2], [3, 0], [0, 0]]  # three flights, the first customer first
    _, path = planning.exact_value(pair(), AMPLE, follow(plan))
    assert path.tolist() == plan.tolist()


def test_the_optimum_is_for_two():
    with pytest.raises(ValueError, match="40 customers"):
        planning.small_optimum(forecast(), TIGHT)


# --- One customer at a price ----------------------------------------------------------------------


def test_lattice_rows_are_histories():
    levels = planning.lattice(forecast(), 4)
    assert [len(level) for level in levels] == [1, 2, 4, 8]
    for week, level in enumerate(levels):
        for row, found in enumerate(level):
            fatigue = 0.0
            for bit in f"{row:0{week}b}" if week else "":  # the first week is the highest bit
                fatigue = forecast().truth.retention * (fatigue + FLIGHT * int(bit))
            assert found == pytest.approx(fatigue)


@pytest.mark.parametrize("price", [0.0, 0.6])
@pytest.mark.parametrize("customer", [0, 5, 17])
def test_a_priced_plan_is_that_of_brute_force(price, customer):
    one = forecast().take(np.array([customer]))
    value, _ = planning.LagrangianPlans(one, WEEKS).solve(price)
    assert value[0] == pytest.approx(brute_force(one, BudgetCampaign(WEEKS, FLIGHT, WEEKS), price))


def test_customers_are_planned_one_by_one():
    value, gains = planning.LagrangianPlans(forecast(), WEEKS).solve(0.3)
    alone, _ = planning.LagrangianPlans(forecast().take(np.array([23])), WEEKS).solve(0.3)
    assert value[23] == pytest.approx(alone[0])
    assert [gain.shape for gain in gains] == [(1, 40), (2, 40), (4, 40)]


def test_the_last_weeks_gain_is_that_of_the_flight_alone():
    plans = planning.LagrangianPlans(forecast(), WEEKS)
    _, gains = plans.solve(0.3)
    for row, fatigue in enumerate(plans.fatigue[-1]):
        now = forecast().immediate(np.full(40, fatigue), 0)
        assert gains[-1][row] == pytest.approx(now[:, 1:].max(1) - now[:, 0] - 0.3)


@pytest.mark.parametrize("first", PAIRS)
@pytest.mark.parametrize("campaign", [TIGHT, BudgetCampaign(WEEKS, FLIGHT, 1)])
def test_the_bound_is_above_the_optimum(first, campaign):
    bound, price = planning.LagrangianPlans(pair(first), WEEKS).bound(campaign.flights)
    optimum, _ = planning.small_optimum(pair(first), campaign)
    assert bound * 2 > optimum - 1e-9
    assert bound * 2 < 1.5 * optimum
    assert price >= 0


@pytest.mark.parametrize("first", PAIRS)
def test_the_bound_is_the_optimum_where_money_is_no_matter(first):
    plans = planning.LagrangianPlans(pair(first), WEEKS)
    bound, price = plans.bound(AMPLE.flights)
    optimum, _ = planning.small_optimum(pair(first), AMPLE)
    assert price < 1e-3
    assert bound * 2 == pytest.approx(optimum, abs=1e-3)
    free, _ = planning.exact_value(pair(first), AMPLE, plans.policy(0.0))
    assert free == pytest.approx(optimum)


def test_the_bound_is_the_least_over_prices():
    plans = planning.LagrangianPlans(forecast(), WEEKS)
    bound, price = plans.bound(30)
    grid = np.linspace(0, 3, 121)
    bounds = [plans.solve(at)[0].mean() + at * 30 / 40 for at in grid]
    assert bound == pytest.approx(min(bounds), abs=1e-3)
    assert bound <= min(bounds) + 1e-6
    assert abs(price - grid[np.argmin(bounds)]) <= 0.05
    assert bounds[0] > 1.05 * bound


def test_a_bound_where_only_the_last_week_pays():
    # those who leave take with them what they would have bought: flights pay at the end alone
    loyal = replace(pair(0), truth=replace(forecast().truth, leaving_fatigue=0.3))
    first, last = (loyal.immediate(np.zeros(2), after)[:, 1:].max() for after in (2, 0))
    assert first < 0 < last
    bound, price = planning.LagrangianPlans(loyal, WEEKS).bound(1)
    optimum, _ = planning.small_optimum(loyal, BudgetCampaign(WEEKS, FLIGHT, 1))
    assert bound * 2 >= optimum > 0
    assert price > 0


@pytest.fixture(scope="module")
def large():
    """Return 20 campaigns of 200 customers, their plans, the bound and its price."""
    known = forecast().take(np.tile(np.arange(40), 5))
    campaign = BudgetCampaign(WEEKS, FLIGHT, 200)
    worlds = Episodes(known.take(np.tile(np.arange(200), 20)), campaign, episodes=20, seed=1)
    plans = planning.LagrangianPlans(known, WEEKS)
    return worlds, plans, *plans.bound(campaign.flights)


def test_the_bound_is_above_all_that_is_played_and_the_priced_plan_is_near(large):
    worlds, plans, bound, price = large
    rules = RULES | {"plan": plans.policy(price), "paced plan": plans.policy(price, 1.0)}
    earned = {name: planning.play_flights(worlds, rule).total for name, rule in rules.items()}
    for name, total in earned.items():
        assert total.mean() < bound + 4 * total.std() / np.sqrt(len(total)), name
    assert earned["plan"].mean() > 0.97 * bound
    assert max(earned[name].mean() for name in RULES) < 0.97 * bound


def test_priced_plans_tire_customers_as_they_are(large):
    worlds, plans, _, price = large
    policy, (_, gains) = plans.policy(price), plans.solve(price)
    state, history = worlds.start(), np.zeros(worlds.shape, int)
    for week in range(WEEKS):
        action, gain = policy(worlds, state)
        customer = np.broadcast_to(np.arange(200), worlds.shape)
        assert (gain == gains[week][history, customer]).all()
        assert ((action > 0) == (gain > 0)).all()
        state, step = worlds.step(state, action, gain)
        history = 2 * history + step.sent


# --- Rules ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", RULES)
def test_rules_keep_the_budget_and_repeat(large, name):
    worlds, *_ = large
    one, two = (
        planning.play_flights(worlds, RULES[name]),
        planning.play_flights(worlds, RULES[name]),
    )
    assert (one.profit == two.profit).all()
    assert (one.sent.sum(1) <= 200).all()
    assert one.profit.shape == one.sent.shape == one.refused.shape == (20, WEEKS)
    assert one.total == pytest.approx(one.profit.sum(1))
    if name in ("everyone", "random"):
        assert (one.sent.sum(1) == 200).all()
        assert (one.refused[:, -1] > 0).all()
    if name == "nobody":
        assert not one.sent.any()
        assert not one.refused.any()


def test_a_random_choice_is_uniform():
    worlds = Episodes(forecast().take(np.tile(np.arange(40), 200)), TIGHT, episodes=200)
    action, priority = planning.random_choice(1)(worlds, worlds.start())
    counts = np.bincount(action.ravel(), minlength=4)
    assert np.abs(counts - 2000).max() < 4 * np.sqrt(8000 * 3 / 16)
    other, _ = planning.random_choice(2)(worlds, worlds.start())
    assert 0.2 < (action == other).mean() < 0.3
    assert len(np.unique(priority)) == 8000


def test_everyone_gets_the_ad_that_pays_most():
    worlds = Episodes(forecast(), TIGHT)
    action, priority = planning.everyone(0)(worlds, worlds.start())
    profit = forecast().immediate(np.zeros(40), WEEKS - 1)
    assert (action[0] == profit[:, 1:].argmax(1) + 1).all()
    assert abs(np.corrcoef(priority[0], profit.max(1))[0, 1]) < 0.4


def test_greed_sends_what_pays_the_best_first():
    worlds = Episodes(forecast(), TIGHT)
    profit = forecast().immediate(np.zeros(40), WEEKS - 1)
    _, step = worlds.step(worlds.start(), *planning.greedy(worlds, worlds.start()))
    best = np.argsort(-profit.max(1))[: TIGHT.flights]
    assert np.flatnonzero(step.sent[0]).tolist() == sorted(best)
    assert step.refused[0] == (profit[:, 1:].max(1) > 0).sum() - TIGHT.flights
    assert (profit[:, 1:].max(1) <= 0).sum() > 0


def test_greed_weighs_a_flight_against_none():
    tired = State(1, np.array([3]), np.full((1, 40), 12.0), np.ones((1, 40), bool))
    worlds = Episodes(forecast(), TIGHT)
    profit = worlds.immediate(tired)[0]
    action, gain = planning.greedy(worlds, tired)
    assert gain[0] == pytest.approx(profit[:, 1:].max(1) - profit[:, 0])
    assert ((action[0] > 0) == (gain[0] > 0)).all()
    assert ((gain[0] > 0) & (profit[:, 1:].max(1) < 0)).any()  # a loss, but less than none brings


def test_a_bar_lets_through_what_is_above_it():
    worlds = Episodes(forecast(), BudgetCampaign(WEEKS, FLIGHT, 100))
    profit = forecast().immediate(np.zeros(40), WEEKS - 1)[:, 1:].max(1)
    for level in (0.0, 0.7, 2.0):
        action, _ = planning.threshold(level)(worlds, worlds.start())
        assert ((action[0] > 0) == (profit > level)).all()
    assert (action > 0).any()


def test_the_pace_by_hand():
    campaign = BudgetCampaign(4, FLIGHT, 10)
    state = State(2, np.array([10, 5, 0]), np.zeros((3, 1)), np.ones((3, 1), bool))
    expected = np.exp(np.array([-0.5, 0.0, 0.5]) * 3.0)  # late, in time, early
    assert planning.pace(campaign, state, 3.0) == pytest.approx(expected)
    assert (planning.pace(campaign, state, 0.0) == 1).all()


@pytest.mark.parametrize("policy", ["threshold", "plan"])
def test_who_spends_too_fast_becomes_choosy(large, policy):
    worlds, plans, _, price = large
    family = planning.threshold if policy == "threshold" else plans.policy
    paced, plain = family(price, 4.0), family(price)
    start = worlds.start()
    sent = {}
    for left in (20, 200):
        state = State(1, np.full(20, left), start.fatigue, start.alive)
        sent[left] = (paced(worlds, state)[0] > 0).sum()
        sent["plain"] = (plain(worlds, state)[0] > 0).sum()
    assert sent[20] < sent["plain"] < sent[200]


def test_tuning_finds_the_best_setting(large):
    worlds, plans, *_ = large
    grid = {"level": (0.0, 0.6, 1.2, 3.0), "pacing": (0.0, 2.0)}
    setting, earned = planning.tune_policy(planning.threshold, grid, iter([worlds, worlds]))
    tried = {
        (level, pacing): planning.play_flights(
            worlds, planning.threshold(level, pacing)
        ).total.mean()
        for level, pacing in product(*grid.values())
    }
    assert earned == pytest.approx(max(tried.values()))
    assert tried[setting["level"], setting["pacing"]] == earned
    assert earned > 1.02 * sorted(tried.values())[-3]
    assert earned > tried[0.0, 0.0]


def test_policies_side_by_side_are_worth_what_they_are_alone():
    level = np.array([0.0, 4.0, 8.0])
    known = pair(0).take(np.tile([0, 1], 3))
    rule = planning.threshold
    values, paths = planning.exact_values(
        known, TIGHT, lambda plan: rule(level[plan], 2.0), plans=3
    )
    for i, (value, path) in enumerate(
        planning.exact_value(pair(0), TIGHT, rule(x, 2.0)) for x in level
    ):
        assert values[i] == pytest.approx(value)
        assert np.array_equal(paths[:, i], path)
    assert len(set(values.round(6))) > 1


# --- Ends of the scale, and what cannot be -----------------------------------------------------


@pytest.mark.parametrize("flights", [2, 3])
def test_where_nothing_is_remembered_the_optimum_is_that_of_brute_force(flights):
    known = pair()
    known = replace(known, truth=replace(known.truth, retention=0.0))
    campaign = BudgetCampaign(WEEKS, FLIGHT, flights)
    optimum, policy = planning.small_optimum(known, campaign)
    assert optimum == pytest.approx(brute_force(known, campaign))
    assert planning.exact_value(known, campaign, policy)[0] == pytest.approx(optimum)
    assert planning.exact_value(known, campaign, planning.greedy)[0] <= optimum + 1e-9


def test_settings_that_cannot_be_are_refused():
    worlds = [Episodes(pair(), TIGHT)]
    with pytest.raises(ValueError, match="level is not finite in 1 of 2 rows"):
        planning.tune_policy(planning.threshold, {"level": [0.0, np.nan]}, worlds)
    with pytest.raises(ValueError, match="nothing to try"):
        planning.tune_policy(planning.threshold, {"level": []}, worlds)
    with pytest.raises(ValueError, match="worlds: none"):
        planning.tune_policy(planning.threshold, {"level": [1.0]}, [])
    with pytest.raises(ValueError, match="price is not finite"):
        planning.LagrangianPlans(pair(), 2).solve(np.nan)
    with pytest.raises(ValueError, match="2 customers for 3 plans"):
        planning.exact_values(pair(), TIGHT, lambda plan: planning.greedy, plans=3)


@pytest.mark.parametrize("wrong", [np.nan, np.inf, [0.1, np.nan]])
def test_prices_and_paces_that_are_no_number_are_refused(wrong):
    plans = planning.LagrangianPlans(pair(), 2)
    worlds = [Episodes(pair(), TIGHT)]
    for call, said in (
        (lambda: planning.frequency_cap(wrong), "every"),
        (lambda: planning.frequency_cap(2, wrong), "level"),
        (lambda: planning.frequency_cap(2, 0.1, wrong), "pacing"),
        (lambda: plans.solve(wrong), "price"),
        (lambda: plans.policy(wrong), "price"),
        (lambda: plans.policy(0.1, wrong), "pacing"),
        (lambda: planning.each_alone(wrong), "price"),
        (lambda: planning.each_alone(0.1, wrong), "pacing"),
        (lambda: planning.tune_plans(worlds, np.ravel(wrong), [0.0]), "prices"),
        (lambda: planning.tune_plans(worlds, [0.1], np.ravel(wrong)), "pacings"),
    ):
        with pytest.raises(ValueError, match=f"{said} (is|has shape)"):
            call()


def test_customers_and_campaigns_of_plans_are_called_by_number():
    plans, price = planning.LagrangianPlans(forecast(), WEEKS), pd.Series(np.linspace(0.1, 0.5, 40))
    value, _ = plans.solve(price.to_numpy())
    assert plans.solve(price[::-1])[0].tolist() == value.tolist()
    episodes = Episodes(forecast(), BudgetCampaign(WEEKS, FLIGHT, 30), episodes=2)
    start, level, every = episodes.start(), pd.Series([0.1, 0.4]), pd.Series([1, 2])
    who = pd.DataFrame(np.arange(40).reshape(2, 20))
    for make, given in (
        (plans.policy, {"price": price, "pacing": level, "customers": who}),
        (planning.frequency_cap, {"every": every, "level": level, "pacing": level}),
    ):
        plain = {name: each.to_numpy() for name, each in given.items()}
        expected = make(**plain)(episodes, start)
        for name, each in given.items():
            found = make(**plain | {name: each[::-1]})(episodes, start)
            assert all(np.array_equal(*both) for both in zip(found, expected, strict=True))
            with pytest.raises(ValueError, match=f"{name} has no row 0"):
                make(**plain | {name: each.add_prefix("c", axis=0)})


def test_customers_and_prices_that_no_plan_knows_are_refused():
    plans = planning.LagrangianPlans(pair(), 2)
    for customers in ([[-1, 0]], [[0, 2]], [[0.5, 1]]):
        with pytest.raises(ValueError, match="customers is"):
            plans.policy(0.1, customers=np.array(customers))
    with pytest.raises(ValueError, match=r"price has shape \(3,\) for 2 customers"):
        plans.policy(np.full(3, 0.1))
    episodes = Episodes(pair(), TIGHT)
    with pytest.raises(ValueError, match=r"customers is \(1, 1\): give \(1, 2\)"):
        plans.policy(0.1, customers=np.array([[0]]))(episodes, episodes.start())


def test_plans_want_weeks_and_flights_that_can_be():
    for weeks in (0, -1, 1.5, 40):
        with pytest.raises(ValueError, match="weeks is"):
            planning.LagrangianPlans(pair(), weeks)
    with pytest.raises(ValueError, match="flights is out of range"):
        planning.LagrangianPlans(pair(), 2).bound(-1)


# --- Frequency caps, and plans at a price that others were tuned for ------------------------------


def flights_of(policy, campaign):
    """Return who gets a flight in which week, nobody leaving early → (T, n)."""
    known = forecast()
    episodes = Episodes(known, campaign)
    state, sent = episodes.start(), []
    for _ in range(campaign.weeks):
        wanted, priority = policy(episodes, state)
        state, step = episodes.step(state, wanted, priority)
        sent.append(step.sent[0])
    return np.array(sent)


@pytest.mark.parametrize("every", [1, 2, 3, 9])
def test_a_cap_leaves_its_weeks_between_flights(every):
    ample = BudgetCampaign(WEEKS, FLIGHT, 40 * WEEKS)
    sent = flights_of(planning.frequency_cap(every, -99.0), ample)
    gaps = [np.diff(np.flatnonzero(each)) for each in sent.T]
    shortest = min((gap.min() for gap in gaps if len(gap)), default=WEEKS)
    assert shortest >= min(every, WEEKS)
    assert sent[0].all()
    assert sent.sum(0).max() == -(-WEEKS // every)


def test_a_cap_of_one_week_is_the_threshold():
    tight = BudgetCampaign(WEEKS, FLIGHT, 30)
    capped = flights_of(planning.frequency_cap(1, 0.2, 2.0), tight)
    assert (capped == flights_of(planning.threshold(0.2, 2.0), tight)).all()


def test_a_cap_needs_fatigue_that_lasts():
    known = forecast()
    forgets = replace(known, truth=replace(known.truth, retention=0.0))
    episodes = Episodes(forgets, BudgetCampaign(WEEKS, FLIGHT, 30))
    with pytest.raises(ValueError, match="retention is 0"):
        planning.frequency_cap(2)(episodes, episodes.start())
    with pytest.raises(ValueError, match="every"):
        planning.frequency_cap(0)


def test_each_alone_plans_for_whom_it_meets():
    tight = BudgetCampaign(WEEKS, FLIGHT, 30)
    policy = planning.each_alone(0.3, 2.0)
    for known in (forecast(), forecast().take(np.arange(20))):
        world = Episodes(known, tight, seed=5)
        plans = planning.LagrangianPlans(known, WEEKS).policy(0.3, 2.0)
        expected = planning.play_flights(world, plans)
        assert (planning.play_flights(world, policy).sent == expected.sent).all()


def test_plans_are_tuned_to_the_best_of_their_grid():
    tight = BudgetCampaign(WEEKS, FLIGHT, 30)
    worlds = [Episodes(forecast(), tight, seed=s) for s in (1, 2)]
    best = planning.tune_plans(worlds, [0.0, 0.3, 99.0], [0.0, 4.0])

    def profit(price, pacing):
        policy = planning.each_alone(price, pacing)
        return sum(planning.play_flights(world, policy).total.mean() for world in worlds)

    tried = [profit(price, pacing) for price in (0.0, 0.3, 99.0) for pacing in (0.0, 4.0)]
    assert profit(**best) == pytest.approx(max(tried))
    assert best["price"] != 99.0
    with pytest.raises(ValueError, match="0 worlds"):
        planning.tune_plans([], [0.3], [0.0])


def test_customers_of_plans_can_be_named():
    plans = planning.LagrangianPlans(forecast(), WEEKS)
    price = np.linspace(0.1, 0.5, 40)
    known = forecast().take(np.array([7, 3]))
    episodes = Episodes(known, BudgetCampaign(WEEKS, FLIGHT, 6))
    named = plans.policy(price, customers=np.array([[7, 3]]))(episodes, episodes.start())[1]
    for place, customer in enumerate((7, 3)):
        alone = plans.policy(price[customer])
        every = Episodes(forecast(), BudgetCampaign(WEEKS, FLIGHT, 6))
        gain = alone(every, every.start())[1][0, customer]
        assert named[0, place] == pytest.approx(gain)


def test_the_likeliest_come_first():
    episodes = Episodes(forecast(), BudgetCampaign(WEEKS, FLIGHT, 30))
    action, priority = planning.likeliest(episodes, episodes.start())
    chance = forecast().conversions
    assert (action[0] == chance.argmax(1) + 1).all()
    assert (priority[0] == chance.max(1)).all()
