"""The interest task: nothing leaks, sampling is put right, metrics by hand, a log with a truth."""

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import log_loss, roc_auc_score

from pm_utils.customers.purchase_log import CONTEXT_COLUMNS, HISTORY_COLUMNS, PurchaseLog
from pm_utils.data import Shop
from pm_utils.evaluation.bootstrap import bootstrap_weights
from pm_utils.evaluation.ranking import roc_auc
from pm_utils.targeting.interest import samples
from pm_utils.targeting.interest.networks import DeepInterestNet, PooledInterestNet

DAY = pd.Timestamp("2017-01-01")
H, C, LAST = 40, 6, 120


pytestmark = pytest.mark.usefixtures("one_thread")


def on(day: int) -> pd.Timestamp:
    return DAY + pd.Timedelta(days=day)


def log_of(orders: list[tuple[int, int, list[int]]], customers: int = 3) -> PurchaseLog:
    """Return a log of (day, customer, candidates) in order of time."""
    orders = sorted(orders, key=lambda order: order[:2])
    rows = [(o, customer, c, day) for o, (day, customer, held) in enumerate(orders) for c in held]
    order, customer, category, day = np.array(rows).T
    return PurchaseLog(
        customers=np.arange(100, 100 + customers),
        categories=tuple("ABCDEF"),
        order=order,
        customer=customer,
        category=category,
        day=day,
        order_customer=np.array([customer for _, customer, _ in orders]),
        order_day=np.array([day for day, _, _ in orders]),
        order_spend=np.ones(len(orders)),
    )


HAND = log_of(
    [
        (0, 0, [0, 1]),
        (10, 0, [0]),
        (20, 0, [2]),
        (30, 0, [3]),
        (31, 0, [0]),
        (33, 0, [4]),
        (40, 0, [5]),
        (5, 1, [1]),
        (90, 1, [2]),
        (50, 2, [3]),
    ]
)


def habits(seed: int = 0) -> PurchaseLog:
    """Return a world in which each household has its own two staples, and some chance buys."""
    rng = np.random.default_rng(seed)
    orders = []
    for customer in range(H):
        staples = rng.permutation(C)[:2]
        for day in np.sort(rng.choice(LAST, 40, replace=False)):
            held = set(staples[rng.random(2) < 0.8]) | set(np.flatnonzero(rng.random(C) < 0.05))
            orders.append((int(day), customer, sorted(held) or [int(staples[0])]))
    return log_of(orders, H)


LOG = habits()
TRAIN = samples.moments(LOG, [on(40), on(60), on(80)], length=4, baskets=2, days=14)
TEST = samples.moments(LOG, [on(100)], length=4, baskets=2, days=14)


# --- What the next baskets hold --------------------------------------------------------------


def test_the_next_baskets_by_hand():
    bought, active = samples.next_baskets(HAND, on(30), baskets=2, days=28)
    assert bought[0].tolist() == [True, False, False, True, False, False]
    assert active.tolist() == [True, False, True]
    assert bought[2].nonzero()[0].tolist() == [3]
    more, _ = samples.next_baskets(HAND, on(30), baskets=9, days=10)
    assert more[0].nonzero()[0].tolist() == [0, 3, 4]  # day 40 is the eleventh day


def test_what_is_known_of_a_pair_by_hand():
    known = np.expm1(samples.pair_history(HAND, on(30)))[0]
    names = samples.PAIR_COLUMNS[: known.shape[1]]
    first = dict(zip(names, known[0], strict=True))
    assert first["days_since"] == pytest.approx(20, rel=1e-4)
    assert first["orders_per_8w"] == pytest.approx(2 * 56 / 30, rel=1e-4)
    assert first["due"] == pytest.approx(20 / 15, rel=1e-4)  # bought every 15 days, 20 ago
    assert first["baskets_since"] == pytest.approx(1, rel=1e-4)
    assert first["share_of_baskets"] == pytest.approx(100 * 2 / 3, rel=1e-4)
    assert first["popularity"] == pytest.approx(100 * 2 / 4, rel=1e-4)  # two of four baskets
    assert first["popularity_4w"] == pytest.approx(100 * 1 / 3, rel=1e-4)
    never = dict(zip(names, known[5], strict=True))
    assert never["baskets_since"] == pytest.approx(3, rel=1e-4)
    assert never["orders_per_8w"] == never["share_of_baskets"] == 0


def test_a_history_holds_distinct_items_the_latest_first():
    got = samples.moments(HAND, [on(32)], length=5, baskets=2, days=28)
    assert got.customer.tolist() == [0]  # the others have no basket ahead, or none before
    assert got.history[0].tolist() == [1, 4, 3, 2, 0]
    short = samples.moments(HAND, [on(32)], length=2)
    assert short.history[0].tolist() == [1, 4]
    assert got.bought[0].nonzero()[0].tolist() == [4, 5]


def test_nothing_from_the_target_baskets_on_is_read():
    now = 60
    past = LOG.day < now
    future = np.where(past, LOG.category, (LOG.category + 1) % C)
    changed = PurchaseLog(**(vars(LOG) | {"category": future}))
    before, after = (samples.moments(log, [on(now)], length=4) for log in (LOG, changed))
    for name in ("customer", "history", "own", "context"):
        assert np.array_equal(getattr(before, name), getattr(after, name)), name
    assert (before.bought != after.bought).any()


def test_a_candidate_first_bought_in_the_target_is_not_in_its_own_history():
    got = samples.moments(HAND, [on(30), on(33)], length=6, baskets=1)
    for row in range(len(got.customer)):
        for item in got.bought[row].nonzero()[0]:
            earlier = (HAND.customer == got.customer[row]) & (HAND.category == item)
            when = (pd.Timestamp(got.as_of[row]) - DAY).days
            was_bought = (HAND.day[earlier] < when).any()
            assert (item + 1 in got.history[row]) == was_bought


def slow_facts(log: PurchaseLog, now: int, customer: int, item: int) -> dict[str, float]:
    """What is known of a pair, counted order by order."""
    own = [o for o in range(len(log.order_day)) if log.order_customer[o] == customer]
    own = [o for o in own if log.order_day[o] < now]
    held = {int(o) for o, c in zip(log.order, log.category, strict=True) if c == item}
    mine = [o for o in own if o in held]
    early = [o for o in range(len(log.order_day)) if log.order_day[o] < now]
    late = [o for o in early if log.order_day[o] >= now - 28]
    gap = min((now - log.order_day[o] for o in mine), default=180)
    rate = len(mine) * 56 / now
    return {
        "orders_4w": sum(log.order_day[o] >= now - 28 for o in mine),
        "orders_8w": sum(log.order_day[o] >= now - 56 for o in mine),
        "orders_per_8w": rate,
        "days_since": gap,
        "due": gap * rate / 56,
        "baskets_since": sum(o > max(mine, default=-1) for o in own),
        "share_of_baskets": 100 * len(mine) / max(len(own), 1),
        "popularity": 100 * len(held & set(early)) / len(early),
        "popularity_4w": 100 * len(held & set(late)) / max(len(late), 1),
    }


@pytest.mark.parametrize("now", [30, 77])
def test_what_is_known_of_pairs_is_what_slow_counting_finds(now):
    assert LOG.first_day == 0
    known = np.expm1(samples.pair_history(LOG, on(now)))
    names = samples.PAIR_COLUMNS[: known.shape[2]]
    for customer in range(0, H, 7):
        for item in range(C):
            got = dict(zip(names, known[customer, item], strict=True))
            wanted = slow_facts(LOG, now, customer, item)
            assert {name: got[name] for name in wanted} == pytest.approx(wanted, rel=1e-4, abs=1e-4)


@given(now=st.integers(0, 45), baskets=st.integers(1, 4), days=st.integers(1, 40))
@settings(max_examples=40, deadline=None, derandomize=True)
def test_the_next_baskets_are_those_that_slow_counting_finds(now, baskets, days):
    bought, active = samples.next_baskets(HAND, on(now), baskets=baskets, days=days)
    for customer in range(3):
        own = np.flatnonzero(HAND.order_customer == customer)
        own = [o for o in own if now <= HAND.order_day[o] < now + days][:baskets]
        wanted = set(HAND.category[np.isin(HAND.order, own)].tolist())
        assert set(bought[customer].nonzero()[0].tolist()) == wanted
        assert active[customer] == bool(own)


def test_moments_are_the_same_one_date_at_a_time():
    dates = [on(40), on(60), on(80)]
    single = [samples.moments(LOG, [date], length=4, baskets=2, days=14) for date in dates]
    for name in vars(TRAIN):
        stacked = np.concatenate([getattr(part, name) for part in single])
        assert np.array_equal(stacked, getattr(TRAIN, name)), name
    assert TRAIN.history.shape[1] == 4
    assert TRAIN.own.shape == (len(TRAIN.customer), C, 10)
    assert len(samples.PAIR_COLUMNS) == 10 + TRAIN.context.shape[1]


def test_every_history_lists_what_was_bought_by_recency():
    gap = np.expm1(TRAIN.own[:, :, HISTORY_COLUMNS.index("days_since")])
    ever = TRAIN.own[:, :, HISTORY_COLUMNS.index("orders_per_8w")] > 0
    for row, history in enumerate(TRAIN.history):
        items = history[history > 0] - 1
        assert len(set(items.tolist())) == len(items) == min(4, ever[row].sum())
        assert (np.diff(gap[row, items]) >= -1e-3).all()
        assert ever[row, items].all()
        left = np.setdiff1d(ever[row].nonzero()[0], items)
        assert len(left) == 0 or gap[row, left].min() >= gap[row, items].max() - 1e-3


def test_product_types_take_the_place_of_categories():
    rows = [
        ("CHEESE", "SLICED"),
        ("HAM", "SLICED"),
        ("COUPON/MISC ITEMS", "GASOLINE-REG UNLEADED"),
        ("EGGS", None),
        (None, "SLICED"),
    ]
    products = pd.DataFrame(rows, columns=["category", "product_type"]).astype("category")
    got = samples.by_product_type(Shop(products=products.assign(product_id=range(5)))).products
    assert got["category"].tolist()[:2] == ["CHEESE|SLICED", "HAM|SLICED"]
    assert got["category"].isna().tolist() == [False, False, True, True, True]
    assert products["category"].tolist()[0] == "CHEESE"


# --- Pairs -----------------------------------------------------------------------------------


def world(households: int = 3000, seed: int = 0) -> samples.Moments:
    """Return moments whose chance of a purchase follows from one number by a known formula."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(households, C, 10)).astype(np.float32)
    chance = 1 / (1 + np.exp(3 - x[:, :, 0]))
    zeros = np.zeros((households, 8), np.float32)
    history = np.zeros((households, 2), np.int32)
    who, when = np.arange(households), np.full(households, np.datetime64("2017-05-01"))
    return samples.Moments(who, when, history, x, zeros, rng.random((households, C)) < chance)


def test_sampled_pairs_have_the_asked_number_and_mix_and_are_what_they_say():
    pairs = samples.sample_pairs(TRAIN, 300, negatives=2, seed=0)
    assert len(pairs.bought) == pytest.approx(300, abs=60)
    assert pairs.bought.mean() == pytest.approx(1 / 3, abs=0.08)
    assert (TRAIN.bought[pairs.moment, pairs.candidate] == pairs.bought).all()
    assert len(set(zip(pairs.moment.tolist(), pairs.candidate.tolist(), strict=True))) == len(
        pairs.bought
    )
    again = samples.sample_pairs(TRAIN, 300, negatives=2, seed=0)
    assert np.array_equal(again.moment, pairs.moment)
    with pytest.raises(ValueError, match="too many"):
        samples.sample_pairs(TRAIN, 10**6, seed=0)


def test_the_shift_puts_a_models_chances_right():
    whole = world()
    rate = whole.bought.mean()
    pairs = samples.sample_pairs(whole, 3000, seed=0)
    assert pairs.shift == pytest.approx(np.log(3 * rate / (1 - rate)))
    every = samples.all_pairs(whole, 3000, seed=0)
    said = samples.classical_chances(whole, pairs, whole, every, seed=0)
    truth = 1 / (1 + np.exp(3 - whole.own[:, :, 0]))
    for name, chance in said.items():
        assert chance.mean() == pytest.approx(rate, rel=0.1), name
        assert np.abs(chance.reshape(truth.shape) - truth).mean() < 0.03, name


def test_all_pairs_fold_to_households_and_candidates():
    every = samples.all_pairs(TEST, 10, seed=1)
    chosen = np.unique(every.moment)
    assert len(chosen) == 10
    assert np.array_equal(every.bought.reshape(10, C), TEST.bought[chosen])
    assert np.array_equal(every.candidate.reshape(10, C)[3], np.arange(C))
    assert every.shift == 0


def test_facts_are_those_of_the_pair_and_its_household():
    every = samples.all_pairs(TEST, 5, seed=0)
    facts = samples.pair_facts(TEST, every)
    assert facts.shape == (5 * C, len(samples.PAIR_COLUMNS))
    row = 2 * C + 3
    assert np.array_equal(facts[row, :10], TEST.own[every.moment[row], 3])
    assert np.array_equal(facts[row, 10:], TEST.context[every.moment[row]])


# --- Models ----------------------------------------------------------------------------------


def test_the_naive_rules_are_shares_of_training_pairs():
    every = samples.all_pairs(TEST, 99, seed=0)
    said = samples.naive_chances(TRAIN, TEST, every)
    popular = said["popularity"].reshape(-1, C)
    assert np.allclose(popular, TRAIN.bought.mean(0))
    orders = np.rint(np.expm1(TRAIN.own[:, :, HISTORY_COLUMNS.index("orders_8w")]))
    many, recent = orders >= 8, np.expm1(TRAIN.own[:, :, HISTORY_COLUMNS.index("days_since")]) < 7
    share = TRAIN.bought[many & recent].mean()
    mine = np.expm1(TEST.own[np.unique(every.moment)])
    same = (np.rint(mine[:, :, HISTORY_COLUMNS.index("orders_8w")]) >= 8) & (
        mine[:, :, HISTORY_COLUMNS.index("days_since")] < 7
    )
    got = said["recency and frequency"].reshape(-1, C)[same]
    assert np.allclose(got, got[0])
    assert got[0] == pytest.approx(share, abs=0.02)


def test_a_reader_scales_by_training_pairs_and_may_be_blind_to_pairs():
    pairs = samples.sample_pairs(TRAIN, 300, seed=0)
    reader = samples.Reader.learn(TRAIN, pairs)
    candidate, moment, facts = reader.inputs(TRAIN, pairs)
    assert torch.equal(candidate, torch.from_numpy(pairs.candidate + 1))
    assert torch.equal(moment, torch.from_numpy(pairs.moment))
    varied = reader.std > 1e-3
    assert np.allclose(facts.mean(0), 0, atol=1e-4)
    assert np.allclose(facts.std(0, correction=0).numpy()[varied], 1, atol=1e-3)
    blind = samples.Reader(reader.mean, reader.std, own=False)
    assert torch.equal(blind.inputs(TRAIN, pairs)[2], facts[:, -len(CONTEXT_COLUMNS) :])
    history, events = reader.histories(TRAIN)
    row, slot = 7, 1
    item = history[row, slot].item() - 1
    wanted = (TRAIN.own[row, item, :5] - reader.mean[:5]) / reader.std[:5]
    assert np.allclose(events[row, slot], wanted, atol=1e-5)


@pytest.fixture(scope="module")
def trained() -> SimpleNamespace:
    torch.set_num_threads(1)
    pairs = samples.sample_pairs(TRAIN, 500, negatives=2, seed=0)
    reader = samples.Reader.learn(TRAIN, pairs)
    blind = samples.Reader(reader.mean, reader.std, own=False)
    every = samples.all_pairs(TEST, 99, seed=0)
    made = {}
    for name, kind, by, options in (
        ("DIN", DeepInterestNet, reader, {}),
        ("alone", DeepInterestNet, blind, {"softmax": True}),
        ("pooled", PooledInterestNet, reader, {}),
        ("null", DeepInterestNet, reader, {"shuffle_labels": True}),
    ):
        net = samples.train_net(kind, TRAIN, pairs, by, epochs=25, seed=0, **options)
        made[name] = net, samples.net_chances(net, TEST, every, by, pairs.shift)
    return SimpleNamespace(made=made, every=every, reader=reader, blind=blind, pairs=pairs)


def test_networks_find_habits_and_the_null_does_not(trained):
    auc = {k: roc_auc(trained.every.bought, said) for k, (_, said) in trained.made.items()}
    assert min(auc["DIN"], auc["pooled"], auc["alone"]) > 0.8
    assert auc["null"] < 0.7


def test_chances_are_shifted_logits_and_training_is_repeated_by_its_seed(trained):
    net, said = trained.made["DIN"]
    raw = samples.net_chances(net, TEST, trained.every, trained.reader, 0.0)
    odds = np.log(said / (1 - said)) - np.log(raw / (1 - raw))
    assert np.allclose(odds, trained.pairs.shift, atol=1e-3)
    settings = {"epochs": 1, "seed": 3}
    twice = [
        samples.train_net(DeepInterestNet, TRAIN, trained.pairs, trained.reader, **settings)
        for _ in range(2)
    ]
    first, second = (list(net.parameters()) for net in twice)
    assert all(torch.equal(a, b) for a, b in zip(first, second, strict=True))


def test_attention_by_gap_is_the_mean_weight_of_each_kind(trained):
    net, _ = trained.made["alone"]
    table = samples.attention_by_gap(net, TEST, trained.every, trained.blind)
    assert table.shape == (6, 2)
    candidate, moment, _ = trained.blind.inputs(TEST, trained.every)
    history, events = (part[moment] for part in trained.blind.histories(TEST))
    with torch.no_grad():
        weight = net.attend(candidate, history, events).numpy()
    past = TEST.history[trained.every.moment]
    days = np.expm1(TEST.own[trained.every.moment, :, HISTORY_COLUMNS.index("days_since")])
    days = np.take_along_axis(days, np.maximum(past - 1, 0), 1)
    recent = (past == trained.every.candidate[:, None] + 1) & (days < 7)
    assert table.iloc[0, 0] == pytest.approx(weight[recent].mean(), rel=1e-4)
    other = (past > 0) & (past != trained.every.candidate[:, None] + 1) & (days < 7)
    assert table.iloc[0, 1] == pytest.approx(weight[other].mean(), rel=1e-4)


def test_picks_name_the_heaviest_past_items_with_their_share_and_days(trained):
    net, _ = trained.made["alone"]
    shown = samples.picks(net, TEST, trained.blind, "ABCDEF", moment=3, candidates=[0, 5], top=2)
    assert shown.shape == (2, 2)
    assert list(shown.index) == ["a", "f"]
    history, events = (part[[3]] for part in trained.blind.histories(TEST))
    with torch.no_grad():
        weight = net.attend(torch.tensor([6]), history, events)[0].abs()
    item = TEST.history[3][weight.argmax()] - 1
    days = np.expm1(TEST.own[3, item, HISTORY_COLUMNS.index("days_since")])
    share = (weight.max() / weight.sum()).item()
    assert shown.loc["f", "1."] == f"{'abcdef'[item]} ({share:.0%}, {days:.0f} days)"


def test_histories_are_looked_up_by_moment(trained):
    net, _ = trained.made["DIN"]
    candidate, moment, facts = trained.reader.inputs(TEST, trained.every)
    history, events = trained.reader.histories(TEST)
    with torch.no_grad():
        plain = net(candidate, history[moment], facts, events[moment])
        looked_up = samples.AtMoments(net, history, events)(candidate, moment, facts)
    assert torch.equal(plain, looked_up)


def test_the_future_of_the_training_dates_changes_no_chance_of_the_naive_rules():
    every = samples.all_pairs(TEST, 99, seed=0)
    other = samples.Moments(**(vars(TEST) | {"bought": ~TEST.bought}))
    for name, chance in samples.naive_chances(TRAIN, TEST, every).items():
        assert np.array_equal(chance, samples.naive_chances(TRAIN, other, every)[name]), name


def test_classical_models_rank_habits_and_do_not_read_the_answers():
    pairs = samples.sample_pairs(TRAIN, 600, negatives=2, seed=0)
    every = samples.all_pairs(TEST, 99, seed=0)
    said = samples.classical_chances(TRAIN, pairs, TEST, every, seed=0)
    blinded = samples.Pairs(every.moment, every.candidate, 1 - every.bought, 0.0)
    again = samples.classical_chances(TRAIN, pairs, TEST, blinded, seed=0)
    for name, chance in said.items():
        assert roc_auc(every.bought, chance) > 0.85, name
        assert np.array_equal(chance, again[name]), name
    dealt = np.random.default_rng(0).permutation(pairs.bought)
    null = samples.Pairs(pairs.moment, pairs.candidate, dealt, pairs.shift)
    for name, chance in samples.classical_chances(TRAIN, null, TEST, every, seed=0).items():
        assert roc_auc(every.bought, chance) < 0.75, name


# --- Metrics ---------------------------------------------------------------------------------


RNG = np.random.default_rng(0)
TARGET = (RNG.random((30, C)) < 0.4).astype(float)
TARGET[0], TARGET[1] = 0, 1
CHANCE = np.round(np.clip(0.3 * TARGET + 0.7 * RNG.random((30, C)), 0.01, 0.99), 1)


def test_group_auc_is_scikit_learns_inside_each_row():
    got = samples.group_auc(TARGET, CHANCE)
    assert np.isnan(got[:2]).all()
    for row in range(2, 30):
        if 0 < TARGET[row].sum() < C:
            assert got[row] == pytest.approx(roc_auc_score(TARGET[row], CHANCE[row]))


def test_a_resamples_auc_is_scikit_learns_on_the_households_drawn():
    weight = np.random.default_rng(1).multinomial(30, np.full(30, 1 / 30), size=8)
    got = samples.resampled_auc(TARGET, CHANCE, weight)
    for row, drawn in enumerate(weight):
        part = np.repeat(np.arange(30), drawn)
        assert got[row] == pytest.approx(roc_auc_score(TARGET[part].ravel(), CHANCE[part].ravel()))
    nobody_bought = np.eye(30, dtype=int)[:1]
    assert np.isnan(samples.resampled_auc(TARGET, CHANCE, nobody_bought)).all()


def test_recall_by_hand():
    target = np.array([[1.0, 0, 1, 1], [0, 0, 0, 0], [0, 1, 0, 0]])
    score = np.array([[0.9, 0.8, 0.7, 0.1], [1, 2, 3, 4], [0.5, 0.1, 0.6, 0.2]])
    got = samples.recall_at(target, score, 2)
    assert got[0] == pytest.approx(1 / 3)
    assert np.isnan(got[1])
    assert got[2] == 0
    assert samples.recall_at(target, score, 4)[2] == 1


def test_log_loss_is_scikit_learns_and_certain_errors_stay_finite():
    got = samples.log_losses(TARGET, CHANCE)
    assert got.mean() == pytest.approx(log_loss(TARGET.ravel(), CHANCE.ravel()))
    assert samples.log_losses(np.array([[1.0]]), np.array([[0.0]]))[0] == pytest.approx(13.8, 0.01)


def test_resampled_scores_begin_with_the_sample_and_follow_the_weights():
    weight = bootstrap_weights(30, 50, 0)
    weight[0] = np.arange(30) % 2  # every second household
    tables = samples.resampled_scores(TARGET, {"m": CHANCE.ravel()}, k=3, weight=weight)
    table = tables["m"]
    assert list(table) == ["AUC", "GAUC", "log loss", "recall@3"]
    assert len(table) == 51
    for row, part in ((0, slice(None)), (1, slice(1, None, 2))):
        wanted = {
            "AUC": roc_auc_score(TARGET[part].ravel(), CHANCE[part].ravel()),
            "GAUC": np.nanmean(samples.group_auc(TARGET[part], CHANCE[part])),
            "log loss": samples.log_losses(TARGET[part], CHANCE[part]).mean(),
            "recall@3": np.nanmean(samples.recall_at(TARGET[part], CHANCE[part], 3)),
        }
        assert table.iloc[row].to_dict() == pytest.approx(wanted)
    points, low, high = samples.points_and_ends(tables)
    assert points.loc["m"].equals(table.iloc[0].rename("m"))
    inside = table.iloc[1:].ge(low.loc["m"]) & table.iloc[1:].le(high.loc["m"])
    assert (inside.mean() >= 0.9).all()


def test_auc_by_part_looks_at_one_part_at_a_time():
    part = np.arange(C) < 3
    parts = {"left": np.tile(part, (30, 1)), "all": np.ones((30, C), bool)}
    got = samples.auc_by_part(TARGET, {"m": CHANCE.ravel()}, parts)
    assert got.loc["m", "left"] == pytest.approx(
        roc_auc_score(TARGET[:, :3].ravel(), CHANCE[:, :3].ravel())
    )
    assert got.loc["m", "all"] == pytest.approx(roc_auc_score(TARGET.ravel(), CHANCE.ravel()))


# --- A log with a truth ----------------------------------------------------------------------


def test_simulated_clicks_happen_with_their_chances_and_histories_show_tastes():
    log = samples.simulated_clicks(60_000, users=500, items=50, length=10, seed=1)
    assert log.click.mean() == pytest.approx(log.probability.mean(), abs=0.006)
    for low, high in ((0.0, 0.1), (0.3, 0.5), (0.6, 1.0)):
        rows = (log.probability > low) & (log.probability <= high)
        assert log.click[rows].mean() == pytest.approx(log.probability[rows].mean(), abs=0.02)
    length = (log.history > 0).sum(1)
    assert (length.min(), length.max()) == (1, 10)
    assert (log.history[np.arange(len(length)), length - 1] > 0).all()  # pads stand at the end
    assert 1 <= log.item.min() <= log.item.max() <= 50
    inside = (log.history == log.item[:, None]).any(1)
    assert log.probability[inside].mean() > 1.5 * log.probability[~inside].mean()


def test_a_simulated_log_without_pads_and_its_seed():
    settings = {"users": 50, "items": 20, "length": 5, "shortest": 5}
    first, same, other = (samples.simulated_clicks(500, **settings, seed=s) for s in (0, 0, 1))
    assert (first.history > 0).all()
    assert np.array_equal(first.click, same.click)
    assert np.array_equal(first.history, same.history)
    assert not np.array_equal(first.item, other.item)


def test_networks_stand_between_the_click_rate_and_the_oracle():
    click, said = samples.known_truth(8000, 4000, items=40, epochs=2, seed=0)
    auc = {name: roc_auc(click, chance) for name, chance in said.items()}
    assert auc["null"] < 0.55
    assert auc["click rate"] + 0.02 < auc["DIN"] < auc["oracle"]
    assert auc["pooled"] < auc["oracle"]
    loss = {name: samples.log_losses(click[None], c[None])[0] for name, c in said.items()}
    assert min(loss, key=loss.get) == "oracle"
