"""A network learns a planted rule, and shuffled labels teach nothing."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from pm_utils.customers.purchase_log import CONTEXT_COLUMNS, HISTORY_COLUMNS
from pm_utils.evaluation.ranking import roc_auc
from pm_utils.learning.training import evaluate_loss
from pm_utils.targeting.interest import attention, samples, training
from pm_utils.targeting.interest.networks import DeepInterestNet, PooledInterestNet
from tests.support.interest_world import TEST, TRAIN

pytestmark = pytest.mark.usefixtures("one_thread")


def test_a_reader_scales_by_training_pairs_and_may_be_blind_to_pairs():
    pairs = samples.sample_pairs(TRAIN, 300, seed=0)
    reader = training.Reader.learn(TRAIN, pairs)
    candidate, snapshot, facts = reader.inputs(TRAIN, pairs)
    assert torch.equal(candidate, torch.from_numpy(pairs.candidate + 1))
    assert torch.equal(snapshot, torch.from_numpy(pairs.snapshot))
    varied = reader.std > 1e-3
    assert np.allclose(facts.mean(0), 0, atol=1e-4)
    assert np.allclose(facts.std(0, correction=0).numpy()[varied], 1, atol=1e-3)
    blind = training.Reader(reader.mean, reader.std, own=False)
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
    reader = training.Reader.learn(TRAIN, pairs)
    blind = training.Reader(reader.mean, reader.std, own=False)
    every = samples.all_pairs(TEST, 99, seed=0)
    made = {}
    for name, kind, by, options in (
        ("DIN", DeepInterestNet, reader, {}),
        ("alone", DeepInterestNet, blind, {"softmax": True}),
        ("pooled", PooledInterestNet, reader, {}),
        ("null", DeepInterestNet, reader, {"shuffle_labels": True}),
    ):
        net, _ = training.train_net(kind, TRAIN, pairs, by, epochs=25, seed=0, **options)
        made[name] = net, training.network_probabilities(net, TEST, every, by, pairs.shift)
    return SimpleNamespace(made=made, every=every, reader=reader, blind=blind, pairs=pairs)


def test_networks_find_habits_and_the_null_does_not(trained):
    auc = {k: roc_auc(trained.every.bought, said) for k, (_, said) in trained.made.items()}
    assert min(auc["DIN"], auc["pooled"], auc["alone"]) > 0.8
    assert auc["null"] < 0.7


def test_chances_are_shifted_logits_and_training_is_repeated_by_its_seed(trained):
    net, said = trained.made["DIN"]
    raw = training.network_probabilities(net, TEST, trained.every, trained.reader, 0.0)
    odds = np.log(said / (1 - said)) - np.log(raw / (1 - raw))
    assert np.allclose(odds, trained.pairs.shift, atol=1e-3)
    settings = {"epochs": 1, "seed": 3}
    twice = [
        training.train_net(DeepInterestNet, TRAIN, trained.pairs, trained.reader, **settings)
        for _ in range(2)
    ]
    first, second = (list(net.parameters()) for net, _ in twice)
    assert all(torch.equal(a, b) for a, b in zip(first, second, strict=True))


def test_watched_pairs_draw_the_learning_curve(trained):
    later = samples.sample_pairs(TEST, 100, seed=0)
    settings = {"epochs": 2, "seed": 0, "watched": (TEST, later)}
    net, course = training.train_net(
        DeepInterestNet, TRAIN, trained.pairs, trained.reader, **settings
    )
    assert len(course.validation) == 2  # a single batch in each pass
    at = training.AtSnapshots(net, *trained.reader.histories(TEST))
    target = torch.from_numpy(later.bought)
    loss = torch.nn.functional.binary_cross_entropy_with_logits
    now = evaluate_loss(at, trained.reader.inputs(TEST, later), target, loss=loss)
    assert now == pytest.approx(min(course.validation), rel=1e-5)


def test_answers_are_dealt_within_each_date():
    days = np.datetime64("2017-04-01") + np.arange(len(TRAIN.as_of)) % 2
    two_days = replace(TRAIN, as_of=days)
    pairs = samples.sample_pairs(two_days, 500, seed=0)
    dealt = training._dealt_within_dates(two_days, pairs, seed=0)
    assert not np.array_equal(dealt, pairs.bought)
    for day in np.unique(days):
        rows = days[pairs.snapshot] == day
        assert dealt[rows].sum() == pairs.bought[rows].sum()


def test_attention_by_gap_is_the_mean_weight_of_each_kind(trained):
    net, _ = trained.made["alone"]
    table = attention.attention_by_gap(net, TEST, trained.every, trained.blind)
    assert table.shape == (6, 2)
    candidate, snapshot, _ = trained.blind.inputs(TEST, trained.every)
    history, events = (part[snapshot] for part in trained.blind.histories(TEST))
    with torch.no_grad():
        weight = net.attend(candidate, history, events).numpy()
    past = TEST.history[trained.every.snapshot]
    days = np.expm1(TEST.own[trained.every.snapshot, :, HISTORY_COLUMNS.index("days_since")])
    days = np.take_along_axis(days, np.maximum(past - 1, 0), 1)
    recent = (past == trained.every.candidate[:, None] + 1) & (days < 7)
    assert table.iloc[0, 0] == pytest.approx(weight[recent].mean(), rel=1e-4)
    other = (past > 0) & (past != trained.every.candidate[:, None] + 1) & (days < 7)
    assert table.iloc[0, 1] == pytest.approx(weight[other].mean(), rel=1e-4)


def test_picks_name_the_heaviest_past_items_with_their_share_and_days(trained):
    net, _ = trained.made["alone"]
    shown = attention.picks(
        net, TEST, trained.blind, "ABCDEF", snapshot=3, candidates=[0, 5], top=2
    )
    assert shown.shape == (2, 2)
    assert list(shown.index) == ["a", "f"]
    history, events = (part[[3]] for part in trained.blind.histories(TEST))
    with torch.no_grad():
        weight = net.attend(torch.tensor([6]), history, events)[0].abs()
    item = TEST.history[3][weight.argmax()] - 1
    days = np.expm1(TEST.own[3, item, HISTORY_COLUMNS.index("days_since")])
    share = (weight.max() / weight.sum()).item()
    assert shown.loc["f", "1."] == f"{'abcdef'[item]} ({share:.0%}, {days:.0f} days)"


def test_pads_are_not_picked(trained):
    net, _ = trained.made["alone"]
    history = TEST.history.copy()
    history[3, 1:] = 0
    short = replace(TEST, history=history)
    shown = attention.picks(net, short, trained.blind, "ABCDEF", snapshot=3, candidates=[0], top=2)
    assert shown.loc["a", "1."].startswith("abcdef"[history[3, 0] - 1] + " (100%")
    assert shown.loc["a", "2."] == ""


def test_histories_are_looked_up_by_moment(trained):
    net, _ = trained.made["DIN"]
    candidate, snapshot, facts = trained.reader.inputs(TEST, trained.every)
    history, events = trained.reader.histories(TEST)
    with torch.no_grad():
        plain = net(candidate, history[snapshot], facts, events[snapshot])
        looked_up = training.AtSnapshots(net, history, events)(candidate, snapshot, facts)
    assert torch.equal(plain, looked_up)
