"""Q-learning: what a network sees, what is kept of play, and learning against the exact optimum."""

from dataclasses import replace
from itertools import product

import numpy as np
import pandas as pd
import pytest
import torch

from pm_utils.decisions import planning, q_learning
from pm_utils.decisions.budget_env import BudgetCampaign, Episodes, Forecast, State
from pm_utils.decisions.networks import DeepQPolicy
from pm_utils.decisions.q_learning import (
    FlightLog,
    JointView,
    PricedView,
    QLearningConfig,
    Replay,
    Transitions,
)
from tests.support.campaign_world import (
    FLIGHT,
    STRONG,
    TIGHT,
    WEEKS,
    campaign_market,
    forecast,
    pair,
)
from tests.support.market_world import mean_z, z_score

ALONE = BudgetCampaign(WEEKS, FLIGHT, WEEKS)  # for one customer: money for every week
FIELDS = tuple(Transitions.__dataclass_fields__)


def a_state(week: int = 1) -> State:
    """Return three campaigns of two customers: money for 3, 1 and 0; one customer is gone."""
    fatigue = np.array([[0.0, 2.5], [2.5, 2.5], [1.25, 0.0]])
    alive = np.array([[True, True], [True, False], [True, True]])
    return State(week, np.array([3, 1, 0]), fatigue, alive)


# --- The joint view -------------------------------------------------------------------------------


def test_joint_actions_are_all_combinations():
    observer = JointView(pair(), TIGHT)
    actions = [tuple(row) for row in observer.customer_actions(np.arange(16))]
    assert actions == list(product(range(4), repeat=2))
    assert (observer.flights == [sum(ad > 0 for ad in ads) for ads in actions]).all()


def test_joint_actions_are_possible_where_paid_for_and_seen():
    observer, state = JointView(pair(), TIGHT), a_state()
    action_mask = observer.action_mask(state)
    for e, (number, ads) in product(range(3), enumerate(product(range(4), repeat=2))):
        paid = sum(ad > 0 for ad in ads) <= state.flights_left[e]
        seen = all(alive for ad, alive in zip(ads, state.alive[e], strict=True) if ad > 0)
        assert action_mask[e, number] == (paid and seen), (e, ads)
    assert action_mask.sum(1).tolist() == [16, 4, 1]


def test_what_the_joint_network_sees():
    seen = JointView(pair(), TIGHT).observation(a_state())
    assert seen.dtype == np.float32
    assert seen.tolist() == [
        [1, 0, 1, 1, 1, 0, 0.5, 1, 1],  # week, flights left, fatigue, who is there
        [1, 0, 1, 0, 0, 0.5, 0.5, 1, 0],
        [1, 0, 0, 0, 0, 0.25, 0, 1, 1],
    ]
    assert seen.shape[1] == JointView(pair(), TIGHT).n_inputs


def test_joint_rewards_are_dollars_in_units_of_the_best_ad():
    observer = JointView(pair(), TIGHT)
    assert observer.unit == pytest.approx(pair().ad_profit(np.zeros(2)).max())
    dollars = np.array([[1.0, 2.0], [-1.0, 0.5]])
    assert observer.reward(dollars, np.zeros(2)) * observer.unit == pytest.approx([3, -0.5])


def test_campaigns_have_units_of_their_own():
    both = JointView(forecast().take(np.array([0, 1, 4, 5])), TIGHT, customers=2)
    alone = [JointView(pair(first), TIGHT) for first in (0, 4)]
    assert both.unit == pytest.approx(np.concatenate([observer.unit for observer in alone]))
    assert abs(both.unit[0] / both.unit[1] - 1) > 0.1
    assert (both.actions == alone[0].actions).all()
    assert both.n_inputs == alone[0].n_inputs
    dollars = np.array([[1.0, 2.0], [1.0, 2.0]])
    assert both.reward(dollars, np.zeros(2)) * both.unit == pytest.approx([3, 3])


# --- The priced view ------------------------------------------------------------------------------


def priced(n: int = 40) -> tuple[PricedView, Episodes]:
    known = forecast().take(np.arange(n) % 40)
    observer = PricedView(known, ALONE, np.linspace(0, 1.5, n))
    return observer, Episodes(known, ALONE, episodes=n, seed=2)


def test_what_the_priced_network_sees():
    observer, episodes = priced()
    state = replace(episodes.start(), week=1, fatigue=np.full((40, 1), 2.5))
    seen = observer.observation(state)
    assert seen.shape == (40, observer.n_inputs)
    assert (seen[:, :3] == [1, 0, 0.5]).all()  # the week, and fatigue in flights
    unit = observer.unit[:, None]
    assert observer.unit == pytest.approx(
        forecast().ad_profit(np.zeros(40)).max(1) + observer.price + forecast().cost
    )
    assert seen[:, 3] * observer.unit == pytest.approx(observer.price + forecast().cost, rel=1e-5)
    now = forecast().immediate(np.full(40, 2.5), 1)
    now[:, 1:] -= observer.price[:, None]
    assert seen[:, -4:] * unit == pytest.approx(now, rel=1e-4, abs=1e-5)


def test_who_has_left_is_seen_as_nothing_and_gets_nothing():
    observer, episodes = priced()
    alive = np.arange(40)[:, None] % 3 > 0
    state = replace(episodes.start(), alive=alive)
    gone = ~alive[:, 0]
    assert (observer.observation(state)[gone] == 0).all()
    assert (observer.observation(state)[~gone] != 0).any(1).all()
    action_mask = observer.action_mask(state)
    assert (action_mask[gone] == [True, False, False, False]).all()
    assert action_mask[~gone].all()


def test_priced_rewards_pay_the_price_of_a_flight():
    observer, _ = priced()
    dollars = np.ones((40, 1))
    action = np.arange(40) % 2 * 3
    paid = observer.reward(dollars, action) * observer.unit
    assert paid == pytest.approx(1 - observer.price * (action > 0))
    assert (observer.customer_actions(action) == action[:, None]).all()


@pytest.mark.parametrize("pacing", [0.0, 3.0])
def test_a_network_that_adds_nothing_is_a_threshold(pacing):
    zero = DeepQPolicy(priced()[0].n_inputs, 4, forecast=True)
    with torch.no_grad():
        for parameter in zero.parameters():
            parameter.zero_()
    worlds = Episodes(forecast().take(np.tile(np.arange(40), 3)), TIGHT, episodes=3)
    state = replace(worlds.start(), week=1, flights_left=np.array([0, 2, 3]))
    state = replace(state, fatigue=np.random.default_rng(0).random((3, 40)) * 5)
    action, gain = q_learning.priced_policy(zero, 0.6, pacing)(worlds, state)
    expected, profit = planning.threshold(0.6, pacing)(worlds, state)
    assert (action == expected).all()
    bar = 0.6 * planning.pace(TIGHT, state, pacing)[:, None]
    assert gain == pytest.approx(profit - bar, abs=1e-5)
    assert 0 < (action > 0).mean() < 1


# --- Transitions ----------------------------------------------------------------------------------


def numbered(first: int, count: int, members: int = 2) -> Transitions:
    """Return transitions that carry their number in every field."""
    each = torch.arange(first, first + count).float() + 1000 * torch.arange(members)[:, None]
    wide = each[..., None].expand(-1, -1, 3)
    flags = torch.zeros_like(each, dtype=torch.bool)
    return Transitions(wide, wide > 0, each.long(), each, flags, flags, wide, wide > 0)


def test_rows_are_those_of_each_member():
    rows = numbered(0, 5).rows(torch.tensor([[0, 4], [3, 3]]))
    assert rows.reward.tolist() == [[0, 4], [1003, 1003]]
    assert rows.observation[..., 0].tolist() == rows.reward.tolist()


def test_one_log_serves_all_members():
    index = torch.tensor([[0, 4], [3, 3]])
    rows = numbered(0, 5, members=1).shared(2).rows(index)
    assert rows.reward.tolist() == index.tolist()
    assert rows.observation[..., 0].tolist() == index.tolist()


def test_the_oldest_make_room_for_the_latest():
    replay = Replay(5)
    generator = torch.Generator().manual_seed(0)
    held = []
    for first in (0, 3, 6):
        replay.add(numbered(first, 3))
        drawn, other = replay.sample(400, generator, batches=2)
        assert not torch.equal(drawn.reward, other.reward)
        assert (drawn.reward[1] >= 1000).all()
        assert (drawn.reward[0] < 1000).all()
        assert torch.equal(drawn.action.float(), drawn.reward)
        held.append(sorted(set(drawn.reward[0].tolist())))
    assert held == [[0, 1, 2], [1, 2, 3, 4, 5], [4, 5, 6, 7, 8]]


@pytest.fixture(scope="module")
def play():
    """Return a function that plays pieces of two members' campaigns of two customers."""
    known = pair(4)
    observer = JointView(known, TIGHT)
    policy = DeepQPolicy(observer.n_inputs, 16, members=2, width=8, seed=3)

    def piece(*, first, weeks, epsilon, each=50, seed=1):
        worlds = Episodes(known.take(np.tile([0, 1], 2 * each)), TIGHT, episodes=2 * each, seed=4)
        options = {"first": first, "weeks": weeks, "epsilon": epsilon}
        rng = np.random.default_rng(seed)
        return (
            q_learning.collect(worlds, observer, policy, rng=rng, **options),
            policy,
            observer,
            worlds,
        )

    return piece


@pytest.mark.parametrize(("first", "weeks"), [(0, 1), (0, 2), (0, 3), (1, 1), (1, 5), (2, 4)])
def test_an_end_is_told_from_a_cut(play, first, weeks):
    new, *_ = play(first=first, weeks=weeks, epsilon=1.0)
    played = min(weeks, WEEKS - first)
    shape = (2, played, 50)
    assert new.reward.shape == (2, played * 50)
    there = new.next_observation[..., -2:].any(-1)  # anybody left?
    over, cut = new.terminated.reshape(shape), new.truncated.reshape(shape)
    last_week = first + torch.arange(played) + 1 == WEEKS
    assert torch.equal(over, ~there.reshape(shape) | last_week[:, None])
    assert torch.equal(cut[:, -1], ~over[:, -1])
    assert not cut[:, :-1].any()
    if first + weeks < WEEKS:
        assert cut.any()


def test_a_situation_follows_the_one_before(play):
    new, *_ = play(first=0, weeks=3, epsilon=0.5)
    here, there = (
        x.reshape(2, 3, 50, -1) for x in (new.observation, new.next_observation)
    )  # (S, T, E, D)
    assert torch.equal(here[:, 1:], there[:, :-1])
    before, after = (x.reshape(2, 3, 50, -1) for x in (new.action_mask, new.next_action_mask))
    assert torch.equal(before[:, 1:], after[:, :-1])
    assert new.action_mask.gather(-1, new.action[..., None]).all()


def test_before_a_later_piece_flights_go_out_at_random(play):
    new, *_ = play(first=2, weeks=1, epsilon=0.0)
    left, fatigue = new.observation[..., 2:5].sum(-1), new.observation[..., [5, 6]]
    assert set(left.unique().tolist()) == {0.0, 1.0, 2.0, 3.0}
    assert fatigue.unique().tolist() == [0, 0.25, 0.5, 0.75]  # every history


def test_without_exploring_members_play_their_own_policy(play):
    new, policy, observer, worlds = play(first=0, weeks=3, epsilon=0.0)
    rewards = new.reward.reshape(2, 3, 50) * observer.unit.item()
    for s in range(2):
        part = Episodes(worlds.forecast, TIGHT, episodes=100, seed=4)
        played = planning.play_flights(part, q_learning.joint_policy(policy.member(s), observer))
        mine = slice(50 * s, 50 * s + 50)
        expected = torch.from_numpy(2 * played.profit[mine].T).float()
        torch.testing.assert_close(rewards[s], expected, rtol=1e-4, atol=1e-5)
        assert played.refused.sum() == 0


def test_exploring_draws_from_what_is_possible(play):
    new, *_ = play(first=0, weeks=1, epsilon=1.0, each=2000)
    counts = torch.bincount(new.action.flatten(), minlength=16)
    assert (counts - 250).abs().max() < 4.5 * np.sqrt(250)
    some, *_ = play(first=0, weeks=1, epsilon=0.4, each=2000)
    greedy, *_ = play(first=0, weeks=1, epsilon=0.0, each=2000)
    changed = (some.action != greedy.action).float().mean().item()
    assert changed == pytest.approx(0.4 * 15 / 16, abs=0.03)


# --- The loss -------------------------------------------------------------------------------------


def a_batch(seed: int = 0, members: int = 2, rows: int = 6) -> Transitions:
    generator = torch.Generator().manual_seed(seed)
    observation, later = torch.randn(2, members, rows, 5, generator=generator)
    action = torch.randint(3, (members, rows), generator=generator)
    reward = torch.randn(members, rows, generator=generator)
    over = torch.arange(rows).expand(members, -1) % 3 == 0
    cut = torch.arange(rows).expand(members, -1) % 3 == 1
    every = torch.ones(members, rows, 3, dtype=torch.bool)
    return Transitions(observation, every, action, reward, over, cut, later, every)


def slow_loss(policy, target_network, batch, alpha=0.0, ends=(False, False), squared=False):
    values, online, target = (
        f(x).detach().numpy()
        for f, x in (
            (policy, batch.observation),
            (policy, batch.next_observation),
            (target_network, batch.next_observation),
        )
    )
    total = 0.0
    for s, i in product(*map(range, batch.reward.shape)):
        aim = float(batch.reward[s, i])
        if not batch.terminated[s, i] and not (ends[s] and batch.truncated[s, i]):
            aim += target[s, i, online[s, i].argmax()]
        chosen = values[s, i, int(batch.action[s, i])]
        off = abs(chosen - aim)
        loss = off**2 if squared else (off**2 / 2 if off < 1 else off - 0.5)
        loss += alpha * (np.log(np.exp(values[s, i]).sum()) - chosen)
        total += loss / batch.reward.shape[1]
    return total


@pytest.mark.parametrize("squared", [False, True])
@pytest.mark.parametrize("alpha", [0.0, 0.7])
@pytest.mark.parametrize("ends", [(False, False), (False, True)])
def test_the_loss_is_the_sum_of_the_formula(squared, alpha, ends):
    policy, target_network = (DeepQPolicy(5, 3, width=8, members=2, seed=seed) for seed in (1, 2))
    options = {
        "conservative": torch.full((2,), alpha),
        "squared": squared,
        "truncated_as_terminated": torch.tensor(ends),
    }
    found = q_learning.td_loss(policy, target_network, a_batch(), **options)
    expected = slow_loss(policy, target_network, a_batch(), alpha, ends, squared)
    assert found.item() == pytest.approx(expected, rel=1e-4)


def test_a_member_learns_from_its_own_rows_alone():
    policy, target_network = (DeepQPolicy(5, 3, width=8, members=2, seed=seed) for seed in (1, 2))
    other = a_batch()
    other.reward[0] += 1
    gradients = []
    for batch in (a_batch(), other):
        policy.zero_grad()
        q_learning.td_loss(policy, target_network, batch).backward()
        gradients.append(policy.layers[0].weight.grad.clone())
    assert torch.equal(gradients[0][1], gradients[1][1])
    assert not torch.equal(gradients[0][0], gradients[1][0])


# --- Learning by play -----------------------------------------------------------------------------

CONFIG = QLearningConfig(
    steps=400,
    batch_size=48,
    learning_rate=0.01,
    target_update_interval=50,
    rollout_interval=10,
    rollout_weeks=1,
    capacity=2000,
)


@pytest.fixture(scope="module")
def learned():
    """Train two members each: as they should, on shuffled rewards, taking cuts for ends."""
    known, members = pair(4), 6
    observer = JointView(known, TIGHT)

    def draw(rng):
        campaigns = members * 16
        many = known.take(np.tile([0, 1], campaigns))
        return Episodes(many, TIGHT, episodes=campaigns, seed=int(rng.integers(2**31))), observer

    policy = DeepQPolicy(observer.n_inputs, 16, width=32, members=members, seed=0)
    kind, watched = torch.arange(members) // 2, []
    options = {"shuffled": kind == 1, "truncated_as_terminated": kind == 2}
    q_learning.learn(
        policy, draw, CONFIG, seed=0, callback=lambda step, _: watched.append(step), **options
    )
    values = [
        planning.exact_value(known, TIGHT, q_learning.joint_policy(policy.member(s), observer))[0]
        for s in range(members)
    ]
    return np.array(values), watched, policy, observer


def test_learning_gets_near_the_optimum_and_its_nulls_do_not(learned):
    values, *_ = learned
    optimum, _ = planning.small_optimum(pair(4), TIGHT)
    assert values.max() <= optimum + 1e-9
    assert values[:2].min() > 0.9 * optimum
    assert values[2:].max() < 0.8 * optimum


def test_who_takes_a_cut_for_an_end_sees_this_week_alone(learned):
    # pieces of one week: nothing seems to follow a flight
    *_, policy, observer = learned
    start = Episodes(pair(4), TIGHT).start()
    here = torch.from_numpy(observer.observation(start)).expand(6, 1, -1)
    values = policy(here)[:, 0].detach().numpy() * observer.unit
    now = pair(4).immediate(np.zeros(2), WEEKS - 1)
    at_once = now[np.arange(2), observer.actions].sum(1)
    optimum, _ = planning.small_optimum(pair(4), TIGHT)
    assert np.abs(values[4:] - at_once).max() < 0.2 * optimum
    assert np.abs(values[:2] - at_once).max(1).min() > 0.4 * optimum
    assert values[:2].max(1) == pytest.approx(optimum, rel=0.15)


def test_learning_is_watched_before_each_piece(learned):
    assert learned[1] == list(range(0, CONFIG.steps, CONFIG.rollout_interval))


def test_a_seed_is_a_training():
    def trained(seed):
        observer = PricedView(forecast(), ALONE, np.full(40, 0.5))
        worlds = Episodes(forecast(), ALONE, episodes=40, seed=1)
        policy = DeepQPolicy(observer.n_inputs, 4, width=8, members=2, forecast=True)
        config = QLearningConfig(steps=12, batch_size=16, rollout_interval=4, capacity=200)
        q_learning.learn(policy, lambda rng: (worlds, observer), config, seed=seed)
        return policy.layers[0].weight.detach()

    assert torch.equal(trained(0), trained(0))
    assert not torch.equal(trained(0), trained(1))
    untrained = DeepQPolicy(trained(0).shape[1], 4, width=8, members=2, forecast=True)
    assert not torch.equal(trained(0), untrained.layers[0].weight)


# --- A log ----------------------------------------------------------------------------------------

RULE = planning.threshold(1.0)
TOUCHY = replace(STRONG, leaving_fatigue=0.15)  # ads drive customers away


def a_log(n: int = 8000, *, truth=STRONG, seed: int = 1, epsilon: float = 0.5):
    market = campaign_market().of(np.arange(n) % 40)._changed(truth=truth)
    known = Forecast.of(market, FLIGHT)
    return q_learning.record(market, known, ALONE, RULE, epsilon=epsilon, seed=seed), known


def each_week(log, known, rule) -> np.ndarray:
    """Return what a rule does in every situation of a log → (T, N)."""
    n, chosen = len(known), []
    worlds = Episodes(known, ALONE, episodes=n)
    for week in range(WEEKS):
        where = log.fatigue[week][:, None], log.alive[week][:, None]
        action, _ = rule(worlds, State(week, np.full(n, WEEKS), *where))
        chosen.append(np.where(log.alive[week], action[:, 0], 0))
    return np.stack(chosen)


@pytest.fixture(scope="module")
def touchy():
    return a_log(truth=TOUCHY)


def test_a_log_knows_its_chances(touchy):
    log, known = touchy
    ruled, alive = each_week(log, known, RULE), log.alive
    assert set(np.unique(log.propensity[alive])) == {0.125, 0.625}
    agrees = (log.action == ruled)[alive]
    assert ((log.propensity[alive] == 0.625) == agrees).all()
    assert abs(z_score(agrees.sum(), np.full(agrees.size, 0.625))) < 4
    for ruled_out in range(4):  # where chance decides, it treats all other choices alike
        counts = np.bincount(log.action[alive & (ruled == ruled_out)], minlength=4)
        counts = np.delete(counts, ruled_out)
        assert np.abs(counts - counts.mean()).max() < 4 * np.sqrt(counts.mean())
    assert (log.action[~alive] == 0).all()
    assert (log.propensity[~alive] == 1).all()


def test_a_log_follows_the_market(touchy):
    log, _ = touchy
    strain = log.fatigue + FLIGHT * (log.action > 0)
    assert log.fatigue[1:] == pytest.approx(0.5 * strain[:-1])
    assert log.alive[0].all()
    assert (log.alive[1:] <= log.alive[:-1]).all()
    assert not log.alive[-1].all()
    again, other = a_log(truth=TOUCHY)[0], a_log(truth=TOUCHY, seed=2)[0]
    assert (again.reward == log.reward).all()
    assert (again.action == log.action).all()
    assert (other.action != log.action).any()


def test_a_log_earns_what_is_expected_of_its_policy(touchy):
    log, known = touchy
    n = len(known)

    def soft(episodes, state):
        rng = np.random.default_rng([7, state.week])
        probability = rng.random(episodes.shape) < 0.5
        drawn = rng.integers(4, size=episodes.shape)
        return np.where(probability, drawn, RULE(episodes, state)[0]), np.zeros(episodes.shape)

    expected = planning.play_flights(Episodes(known, ALONE, episodes=n, seed=3), soft).total
    assert abs(mean_z(log.reward.sum(0) - expected, 0)) < 4
    stayed = (log.reward * log.alive).sum(0)  # forgets what the leavers would have bought
    assert abs(mean_z(stayed - expected, 0)) > 5


def test_transitions_of_a_log(touchy):
    log, known = touchy
    n = len(known)
    observer = PricedView(known, ALONE, np.full(n, 0.4))
    rows = q_learning.transitions_of(log, observer)
    assert rows.reward.shape == (1, WEEKS * n)
    over, alive = rows.terminated.reshape(WEEKS, n).numpy(), log.alive
    assert over[-1].all()
    assert (over[:-1] == ~alive[1:]).all()
    assert not rows.truncated.any()
    assert (rows.action.reshape(WEEKS, n).numpy() == log.action).all()
    assert rows.action_mask.gather(-1, rows.action[..., None]).all()
    here, there = (x.reshape(WEEKS, n, -1) for x in (rows.observation, rows.next_observation))
    assert torch.equal(here[1:], there[:-1])
    start = Episodes(known, ALONE, episodes=n).start()
    assert (here[0].numpy() == observer.observation(start)).all()


def test_leaving_costs_what_is_no_longer_bought(touchy):
    log, known = touchy
    observer = PricedView(known, ALONE, np.zeros(len(known)))
    reward = q_learning.transitions_of(log, observer).reward[0].numpy().reshape(WEEKS, -1)
    earned = (reward * observer.unit * log.alive).sum(0)
    assert earned == pytest.approx(log.reward.sum(0), abs=1e-3)
    assert earned.mean() < 0.9 * (log.reward * log.alive).sum(0).mean()


# --- Learning from a log --------------------------------------------------------------------------


def two_armed(rows: int = 4000) -> Transitions:
    """Return a log of one week: an ad that brings 10 to one in ten, and an ad never tried."""
    rng = np.random.default_rng(0)
    action = torch.from_numpy(rng.integers(2, size=(1, rows)))
    reward = torch.from_numpy(10.0 * (rng.random((1, rows)) < 0.1)).float() * action
    observation, every = torch.ones(1, rows, 2), torch.ones(1, rows, 3, dtype=torch.bool)
    end = torch.ones(1, rows, dtype=torch.bool)
    return Transitions(observation, every, action, reward, end, ~end, observation, every)


def values_of(log: Transitions, **options) -> list[float]:
    policy = DeepQPolicy(2, 3, width=8, seed=1)
    with torch.no_grad():
        policy.layers[-1].bias[..., 2] = 2  # by chance, the untried looks best
    config = QLearningConfig(steps=150, batch_size=128, learning_rate=0.03)
    q_learning.learn_from_log(policy, log, config, seed=0, **options)
    return policy(torch.ones(1, 1, 2))[0, 0].tolist()


def test_a_value_is_the_mean_of_rewards_full_of_luck():
    log = two_armed()
    tried = log.action == 1
    mean = log.reward[tried].mean().item()
    assert log.reward[tried].median() == 0
    none, ad, untried = values_of(log)
    assert ad == pytest.approx(mean, abs=0.25)
    assert none == pytest.approx(0, abs=0.25)
    assert mean > 0.9


def test_caution_pulls_down_what_was_never_tried():
    bold, careful = values_of(two_armed()), values_of(two_armed(), conservative=torch.ones(1))
    assert np.argmax(bold) == 2
    assert np.argmax(careful) == 1
    assert careful[2] < min(bold[2], careful[1]) - 1


@pytest.fixture(scope="module")
def calm():
    """Return a log that pays expectations, what it is seen as, and its transitions."""
    log, known = a_log(2000, epsilon=1.0)
    expected = [
        np.take_along_axis(
            known.immediate(log.fatigue[week], WEEKS - 1 - week), log.action[week][:, None], 1
        )[:, 0]
        for week in range(WEEKS)
    ]
    log = replace(log, reward=np.stack(expected) * log.alive)
    observer = PricedView(known, ALONE, np.zeros(len(known)))
    return log, known, observer, q_learning.transitions_of(log, observer)


def third_ad(episodes, state):
    return np.full(episodes.shape, 3), np.zeros(episodes.shape)


def test_a_log_tells_the_value_of_another_policy(calm):
    log, known, observer, rows = calm
    rules = [planning.greedy, third_ad]
    chosen = [each_week(log, known, rule) for rule in rules]
    order = torch.randperm(6000, generator=torch.Generator().manual_seed(0))
    mixed = replace(rows, reward=rows.reward[:, order])
    four = Transitions(
        *(torch.cat([getattr(x, name) for x in (rows, rows, mixed, mixed)]) for name in FIELDS)
    )
    following = torch.cat([q_learning.next_choices(each) for each in 2 * chosen])
    policy = DeepQPolicy(observer.n_inputs, 4, width=32, members=4, forecast=True, seed=0)
    config = QLearningConfig(
        steps=500, batch_size=192, learning_rate=0.01, target_update_interval=50
    )
    q_learning.learn_from_log(policy, four, config, seed=0, next_action=following)
    start = Episodes(known, ALONE, episodes=2000).start()
    found = [
        q_learning.first_value(policy.member(s), observer, start, chosen[s % 2][0])
        for s in range(4)
    ]
    many = Episodes(known.take(np.arange(20_000) % 2000), ALONE, episodes=20_000, seed=0)
    values = np.array([planning.play_flights(many, rule).total.mean() for rule in rules])
    assert found[:2] == pytest.approx(values, rel=0.12)
    assert np.abs(found[2:] / values - 1).min() > 0.3  # the null is told apart
    assert values[1] < 0.75 * values[0]


def test_what_follows_is_what_the_policy_does_next():
    chosen = np.array([[1, 2], [3, 0], [2, 1]])  # (T, N)
    assert q_learning.next_choices(chosen).tolist() == [[3, 0, 2, 1, 2, 1]]


def test_of_more_than_a_replay_holds_the_last_are_kept():
    one, yes = torch.ones(1, 7), torch.ones(1, 7, dtype=torch.bool)
    reward = torch.arange(7.0)[None]
    replay = Replay(3)
    for first in (reward, reward + 7):  # the ring is in the middle when the second comes
        seen = one[..., None], yes[..., None]
        replay.add(Transitions(*seen, one, first, yes, ~yes, *seen))
        (batch,) = replay.sample(200, torch.Generator().manual_seed(0), batches=1)
        assert batch.reward.unique().tolist() == first[0, -3:].tolist()
    assert replay.size == 3


def test_an_empty_replay_is_told():
    with pytest.raises(ValueError, match="capacity is out of range"):
        Replay(0)
    with pytest.raises(ValueError, match="nothing was added"):
        Replay(2).sample(1, torch.Generator(), 1)


def test_a_price_is_that_of_its_customer():
    known, price = forecast(), pd.Series(np.linspace(0, 1.5, 40))
    expected = PricedView(known, ALONE, price.to_numpy())
    assert (PricedView(known, ALONE, price[::-1]).unit == expected.unit).all()
    for wrong, told in (
        (price.add_prefix("c"), "price has no row 0"),
        (price.mask(price > 1), "price is not finite in"),
        (price[:3], "price has 3 rows for 40 customers"),
    ):
        with pytest.raises(ValueError, match=told):
            PricedView(known, ALONE, wrong)


def test_a_log_that_cannot_be_is_refused():
    one = np.ones((2, 3))
    given = dict.fromkeys(FlightLog.__dataclass_fields__, one)
    FlightLog(**given)
    for name, wrong, told in (
        ("alive", 2 * one, "alive holds 2"),
        ("action", -one, "action is out of range"),
        ("propensity", 0 * one, "propensity is out of range"),
        ("propensity", 50 * one, "propensity is out of range"),
        ("reward", np.nan * one, "reward is not finite"),
        ("fatigue", np.nan * one, "fatigue is not finite"),
        ("reward", one[:1], r"give \(T, N\) of each"),
    ):
        with pytest.raises(ValueError, match=told):
            FlightLog(**(given | {name: wrong}))
