"""The interest task: nothing leaks, and sampling is put right."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pm_utils.customers.purchase_log import HISTORY_COLUMNS, PurchaseLog
from pm_utils.data import Shop
from pm_utils.evaluation.ranking import roc_auc
from pm_utils.targeting.interest import baselines, samples
from tests.support.interest_world import DAY, LOG, TEST, TRAIN, C, H, log_of, on

pytestmark = pytest.mark.usefixtures("one_thread")


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
    got = samples.snapshots(HAND, [on(32)], length=5, baskets=2, days=28)
    assert got.customer.tolist() == [0]  # the others have no basket ahead, or none before
    assert got.history[0].tolist() == [1, 4, 3, 2, 0]
    short = samples.snapshots(HAND, [on(32)], length=2)
    assert short.history[0].tolist() == [1, 4]
    assert got.bought[0].nonzero()[0].tolist() == [4, 5]


def test_nothing_from_the_target_baskets_on_is_read():
    now = 60
    past = LOG.day < now
    future = np.where(past, LOG.category, (LOG.category + 1) % C)
    changed = PurchaseLog(**(vars(LOG) | {"category": future}))
    before, after = (samples.snapshots(log, [on(now)], length=4) for log in (LOG, changed))
    for name in ("customer", "history", "own", "context"):
        assert np.array_equal(getattr(before, name), getattr(after, name)), name
    assert (before.bought != after.bought).any()


def test_a_candidate_first_bought_in_the_target_is_not_in_its_own_history():
    got = samples.snapshots(HAND, [on(30), on(33)], length=6, baskets=1)
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
    single = [samples.snapshots(LOG, [date], length=4, baskets=2, days=14) for date in dates]
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


def world(households: int = 3000, seed: int = 0) -> samples.Snapshots:
    """Return snapshots whose chance of a purchase follows from one number by a known formula."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(households, C, 10)).astype(np.float32)
    probability = 1 / (1 + np.exp(3 - x[:, :, 0]))
    zeros = np.zeros((households, 8), np.float32)
    history = np.zeros((households, 2), np.int32)
    who, when = np.arange(households), np.full(households, np.datetime64("2017-05-01"))
    return samples.Snapshots(
        who, when, history, x, zeros, rng.random((households, C)) < probability
    )


def test_sampled_pairs_have_the_asked_number_and_mix_and_are_what_they_say():
    pairs = samples.sample_pairs(TRAIN, 300, negatives=2, seed=0)
    assert len(pairs.bought) == pytest.approx(300, abs=60)
    assert pairs.bought.mean() == pytest.approx(1 / 3, abs=0.08)
    assert (TRAIN.bought[pairs.snapshot, pairs.candidate] == pairs.bought).all()
    assert len(set(zip(pairs.snapshot.tolist(), pairs.candidate.tolist(), strict=True))) == len(
        pairs.bought
    )
    again = samples.sample_pairs(TRAIN, 300, negatives=2, seed=0)
    assert np.array_equal(again.snapshot, pairs.snapshot)
    with pytest.raises(ValueError, match="too many"):
        samples.sample_pairs(TRAIN, 10**6, seed=0)


def test_the_shift_puts_a_models_chances_right():
    whole = world()
    rate = whole.bought.mean()
    pairs = samples.sample_pairs(whole, 3000, seed=0)
    assert pairs.shift == pytest.approx(np.log(3 * rate / (1 - rate)))
    every = samples.all_pairs(whole, 3000, seed=0)
    said = baselines.ClassicalModels.learn(whole, pairs, seed=0).probabilities(whole, every)
    truth = 1 / (1 + np.exp(3 - whole.own[:, :, 0]))
    for name, probability in said.items():
        assert probability.mean() == pytest.approx(rate, rel=0.1), name
        assert np.abs(probability.reshape(truth.shape) - truth).mean() < 0.05, name


def test_all_pairs_fold_to_households_and_candidates():
    every = samples.all_pairs(TEST, 10, seed=1)
    chosen = np.unique(every.snapshot)
    assert len(chosen) == 10
    assert np.array_equal(every.bought.reshape(10, C), TEST.bought[chosen])
    assert np.array_equal(every.candidate.reshape(10, C)[3], np.arange(C))
    assert every.shift == 0


def test_facts_are_those_of_the_pair_and_its_household():
    every = samples.all_pairs(TEST, 5, seed=0)
    facts = samples.pair_facts(TEST, every)
    assert facts.shape == (5 * C, len(samples.PAIR_COLUMNS))
    row = 2 * C + 3
    assert np.array_equal(facts[row, :10], TEST.own[every.snapshot[row], 3])
    assert np.array_equal(facts[row, 10:], TEST.context[every.snapshot[row]])


# --- Models ----------------------------------------------------------------------------------


def test_the_naive_rules_are_shares_of_training_pairs():
    every = samples.all_pairs(TEST, 99, seed=0)
    said = baselines.naive_probabilities(TRAIN, TEST, every)
    popular = said["popularity"].reshape(-1, C)
    assert np.allclose(popular, TRAIN.bought.mean(0))
    orders = np.rint(np.expm1(TRAIN.own[:, :, HISTORY_COLUMNS.index("orders_8w")]))
    many, recent = orders >= 8, np.expm1(TRAIN.own[:, :, HISTORY_COLUMNS.index("days_since")]) < 7
    share = TRAIN.bought[many & recent].mean()
    mine = np.expm1(TEST.own[np.unique(every.snapshot)])
    same = (np.rint(mine[:, :, HISTORY_COLUMNS.index("orders_8w")]) >= 8) & (
        mine[:, :, HISTORY_COLUMNS.index("days_since")] < 7
    )
    got = said["recency and frequency"].reshape(-1, C)[same]
    assert np.allclose(got, got[0])
    assert got[0] == pytest.approx(share, abs=0.02)


def test_habit_times_popularity_multiplies_odds():
    every = samples.all_pairs(TEST, 99, seed=0)
    said = baselines.naive_probabilities(TRAIN, TEST, every)
    popular, habit, both = (probability / (1 - probability) for probability in said.values())
    rate = TRAIN.bought.mean()
    assert np.allclose(both, habit * np.sqrt(popular * (1 - rate) / rate), rtol=1e-3)


def test_only_the_model_with_candidates_tells_pairs_of_the_same_facts_apart():
    alike = np.zeros((200, 3, 10), np.float32)
    bought = np.zeros((200, 3), bool)
    bought[:, 0] = np.arange(200) % 4 > 0  # three households of four
    bought[:, 1] = np.arange(200) % 4 == 0
    parts = {"own": alike, "context": np.zeros((200, 8)), "bought": bought}
    when = np.full(200, np.datetime64("2017-04-01"))
    history = np.zeros((200, 2), np.int32)
    known = samples.Snapshots(customer=np.arange(200), as_of=when, history=history, **parts)
    pairs = samples.all_pairs(known, 200, seed=0)
    said = baselines.ClassicalModels.learn(known, pairs, seed=0).probabilities(known, pairs)
    folded = {name: probability.reshape(200, 3) for name, probability in said.items()}
    assert folded["logistic with candidate"][0] == pytest.approx([0.75, 0.25, 0], abs=0.05)
    for name in ("logistic", "trees", "bigger trees"):
        assert folded[name] == pytest.approx(1 / 3, abs=0.01), name


def test_the_future_of_the_training_dates_changes_no_chance_of_the_naive_rules():
    every = samples.all_pairs(TEST, 99, seed=0)
    other = samples.Snapshots(**(vars(TEST) | {"bought": ~TEST.bought}))
    for name, probability in baselines.naive_probabilities(TRAIN, TEST, every).items():
        assert np.array_equal(
            probability, baselines.naive_probabilities(TRAIN, other, every)[name]
        ), name


def test_classical_models_rank_habits_and_do_not_read_the_answers():
    pairs = samples.sample_pairs(TRAIN, 600, negatives=2, seed=0)
    every = samples.all_pairs(TEST, 99, seed=0)
    models = baselines.ClassicalModels.learn(TRAIN, pairs, seed=0)
    said = models.probabilities(TEST, every)
    blinded = samples.Pairs(every.snapshot, every.candidate, 1 - every.bought, 0.0)
    again = models.probabilities(TEST, blinded)
    for name, probability in said.items():
        assert roc_auc(every.bought, probability) > 0.85, name
        assert np.array_equal(probability, again[name]), name
    dealt = np.random.default_rng(0).permutation(pairs.bought)
    null = samples.Pairs(pairs.snapshot, pairs.candidate, dealt, pairs.shift)
    shuffled = baselines.ClassicalModels.learn(TRAIN, null, seed=0)
    for name, probability in shuffled.probabilities(TEST, every).items():
        assert roc_auc(every.bought, probability) < 0.75, name


# --- Inputs ---------------------------------------------------------------------------------------


def tiny(**changes) -> samples.Snapshots:
    parts = {
        "customer": np.arange(2),
        "as_of": np.full(2, np.datetime64("2017-04-01")),
        "history": np.array([[1, 0], [3, 2]], np.int32),
        "own": np.zeros((2, 3, 10), np.float32),
        "context": np.zeros((2, 8), np.float32),
        "bought": np.array([[1, 0, 0], [0, 1, 1]]),
    }
    return samples.Snapshots(**(parts | changes))


def test_snapshots_take_zeros_and_ones_and_refuse_what_no_model_can_read():
    assert tiny().bought.dtype == bool
    hole = np.zeros((2, 3, 10), np.float32)
    hole[1, 2, 3] = np.nan
    for changes, told in (
        ({"bought": [[1, 2, 1], [2, 1, 1]]}, "bought holds 1, 2"),
        ({"bought": [["no"] * 3, ["yes"] * 3]}, "bought holds 'no', 'yes'"),
        ({"history": [[4, 0], [1, 0]]}, "history is out of range in 1 of 2 rows, .*0 to 3"),
        ({"history": [[-1, 0], [1, 0]]}, "history is out of range"),
        ({"own": hole}, "own is not finite in 1 of 2 rows, first row 1"),
        ({"context": np.full((2, 8), np.inf)}, "context is not finite in 2 of 2 rows"),
        ({"context": np.zeros((3, 8))}, "context 3"),
        ({"own": np.zeros((2, 4, 10))}, "own has shape"),
    ):
        with pytest.raises(ValueError, match=told):
            tiny(**changes)


def test_pairs_take_zeros_and_ones_and_know_their_snapshots():
    pairs = samples.Pairs(np.array([0, 1]), np.array([2, 0]), [True, False], 0.0)
    assert pairs.bought.dtype == np.float32
    for answers in ([1, 2], [-1, 1], [np.nan, 1]):
        with pytest.raises(ValueError, match=r"bought (holds|is missing)"):
            samples.Pairs(np.array([0, 1]), np.array([2, 0]), answers, 0.0)
    for wrong in ([0.5, 1], [-1, 0]):
        with pytest.raises(ValueError, match="snapshot is"):
            samples.Pairs(wrong, np.array([2, 0]), [0, 1], 0.0)
    with pytest.raises(ValueError, match="candidate is out of range .* 0 to 2"):
        samples.pair_facts(tiny(), samples.Pairs(np.array([0, 1]), np.array([2, 3]), [0, 1], 0.0))
    with pytest.raises(ValueError, match="snapshot is out of range .* 0 to 1"):
        samples.pair_facts(tiny(), samples.Pairs(np.array([0, 2]), np.array([2, 0]), [0, 1], 0.0))


def test_pairs_of_one_answer_cannot_be_drawn():
    with pytest.raises(ValueError, match="all 6 pairs are not bought"):
        samples.sample_pairs(tiny(bought=np.zeros((2, 3))), 2, seed=0)


def test_snapshots_are_matched_by_index_and_lists_become_arrays():
    labels, parts = ["a", "b"], vars(tiny())
    mixed = tiny(
        customer=pd.Series([0, 1], labels),
        history=pd.DataFrame(parts["history"], labels)[::-1],
        context=parts["context"].tolist(),
    )
    assert np.array_equal(mixed.history, parts["history"])
    assert mixed.history.dtype == np.int32 and mixed.context.dtype == np.float32
