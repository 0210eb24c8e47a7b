"""The benchmark of interest networks: our side learns, the report divides, a peer is beside it."""

import importlib.util
from pathlib import Path

import numpy as np
import pytest

from pm_utils.evaluation.ranking import roc_auc
from pm_utils.targeting.interest.simulated import simulated_clicks

FILE = Path(__file__).parents[1] / "bench" / "din.py"


@pytest.fixture(scope="module")
def din():
    spec = importlib.util.spec_from_file_location("bench_din", FILE)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


pytestmark = pytest.mark.usefixtures("one_thread")


def small_log(rows: int):
    return simulated_clicks(rows, users=500, items=40, length=20, seed=0)


def test_our_epochs_learn_and_scores_do_not_depend_on_the_batch(din):
    log = small_log(12_000)
    ours = din.OurContender(log, 10_000)
    click, before = log.click[10_000:], ours.score(1024)
    for epoch in range(6):
        ours.api_epoch(epoch)
    after = ours.score(1024)
    assert roc_auc(click, after) > max(0.6, roc_auc(click, before))
    assert din.loss(click, after.astype(float)) < din.loss(click, before.astype(float))
    assert np.allclose(ours.score(100), after, atol=1e-6)


def test_the_report_gives_the_best_rates_and_their_ratio(din, capsys):
    taken = {
        (din.OurContender.name, "train API"): [(4.0, 8.0), (2.0, 5.0)],
        (din.Peer.name, "train API"): [(10.0, 20.0), (12.0, 15.0)],
        (din.OurContender.name, "score 1024"): [(1.0, 1.0)],
        (din.Peer.name, "score 1024"): [(3.0, 2.0)],
    }
    din.report(taken, {"train API": 1000}, 50)
    lines = [line.split() for line in capsys.readouterr().out.splitlines()[2:]]
    assert [line[-3:] for line in lines] == [
        ["500", "100", "5.00"],
        ["200", "67", "3.00"],
        ["50", "17", "3.00"],
        ["50", "25", "2.00"],
    ]


def test_both_start_from_the_same_sizes_and_the_peer_trains(din):
    pytest.importorskip("deepctr_torch", reason="it comes with the extra bench")
    log = small_log(1_200)
    ours, peer = din.OurContender(log, 1024), din.Peer(log, 1024)
    table = {"item": ours.model.net.items, "user": ours.model.users}
    for name, mine in table.items():
        assert mine.weight.shape == peer.model.embedding_dict[name].weight.shape
    before = peer.score(1024)
    for who in (ours, peer):
        who.api_epoch(0)
        assert who.score(1024).shape == (176,)
    assert not np.allclose(peer.score(1024), before)
