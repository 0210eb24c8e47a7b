"""Evidence: the intervals by hand, the verdict that follows, and files that are no evidence."""

import json

import numpy as np
import pytest

from pm_utils.page import evidence
from pm_utils.page.evidence import RowEvidence, verdict


def row(deep, classical=None, *, better="higher", null=None, naive=None, **variants):
    seeds = tuple(range(len(deep)))
    figures = {"deep": list(deep), "classical": classical, "null": null, "naive": naive}
    return RowEvidence("m", "u", better, True, seeds, {"limit": None} | figures, {}, variants)


def test_the_interval_of_one_more_run_is_worked_by_hand():
    # n = 3, mean 2, s = 1, t(0.995, 2) = 9.92484, sqrt(4/3) = 1.154701: half width 11.4602
    assert evidence.one_more_run([1.0, 2.0, 3.0]) == pytest.approx((-9.4602, 13.4602), abs=1e-4)


def test_equal_runs_leave_room_for_the_last_digits():
    assert evidence.one_more_run([0.5] * 10) == pytest.approx((0.4995, 0.5005))
    assert evidence.one_more_run([-2.0, -2.0]) == pytest.approx((-2.002, -1.998))
    with pytest.raises(ValueError, match="figures holds 1 run: an interval needs at least 2"):
        evidence.one_more_run([0.5])
    with pytest.raises(ValueError, match="figures holds nan: give finite numbers"):
        evidence.one_more_run([0.5, float("nan")])


def test_the_interval_holds_one_more_run_99_times_in_100():
    runs = np.random.default_rng(1).normal(3.0, 2.0, size=(4000, 6))
    inside = 0
    for *known, another in runs.tolist():
        low, high = evidence.one_more_run(known)
        inside += low <= another <= high
    assert 0.985 < inside / len(runs) < 0.995


def test_the_gain_over_seeds_is_worked_by_hand():
    # gains 1, 2, 3: mean 2, s = 1, t(0.975, 2) = 4.30265, half width 4.30265 / sqrt(3) = 2.48414
    for better, sign in (("higher", 1), ("lower", -1)):
        found = row(
            [sign * d for d in (2.0, 4.0, 6.0)], [sign * c for c in (1.0, 2.0, 3.0)], better=better
        )
        assert found.gains() == [1.0, 2.0, 3.0]
        assert found.gain_interval() == pytest.approx((-0.48414, 4.48414), abs=1e-4)
        assert (found.ahead(), found.behind()) == (3, 0)
    alone = row([1.0, 2.0])
    assert (alone.gains(), alone.gain_interval(), alone.ahead()) == (None, None, 0)


def test_a_naive_figure_among_the_nulls_is_chance():
    nulls = [0.4, 0.6]
    assert row([1.0, 1.0], null=nulls, naive=[0.5, 0.5]).naive_is_chance()
    assert not row([1.0, 1.0], null=nulls, naive=[0.7, 0.7]).naive_is_chance()
    assert not row([1.0, 1.0], null=nulls).naive_is_chance()
    assert row([1.0, 1.0], null=nulls).range_of_null() == (0.4, 0.6)


@pytest.mark.parametrize(
    ("better", "doubled", "expected"),
    [
        ("higher", [0.9, 0.9], True),
        ("higher", [0.7015, 0.7035], False),  # by less than seeds differ
        ("higher", [0.1, 0.1], False),  # worse: it had had enough
        ("lower", [0.1, 0.1], True),
        ("lower", [0.9, 0.9], False),
    ],
)
def test_a_network_that_twice_the_steps_help_is_undertrained(better, doubled, expected):
    deep = [0.70, 0.702, 0.698, 0.701]
    assert row(deep, better=better, doubled=doubled).undertrained() is expected


def test_the_luck_of_three_runs_is_that_of_their_mean():
    # s = 0.1, t(0.975, 4) = 2.776445, sqrt(3): 0.160298
    deep = [0.5, 0.5, 0.6, 0.7, 0.7]
    found = row(deep, doubled=[0.5, 0.6, 0.9])
    assert found.room("doubled") == pytest.approx(0.160298, abs=1e-6)
    assert found.change("doubled") == pytest.approx(0.4 / 3)
    assert not found.undertrained()
    assert row(deep, doubled=[0.5, 0.6, 1.1]).undertrained()
    assert found.room("halved") is None


def test_a_network_that_twice_the_steps_carry_past_its_rival_is_undertrained():
    deep, classical = [0.5, 0.6, 0.7], [0.55, 0.6, 0.72]  # behind by 0.0233 on average
    assert row(deep, classical, doubled=[0.53, 0.63, 0.72]).undertrained()
    assert not row(deep, classical, doubled=[0.51, 0.61, 0.71]).undertrained()
    assert not row(deep, classical, doubled=[0.60, 0.59, 0.71]).undertrained()  # not in each run
    ahead = [value - 0.1 for value in classical]
    assert not row(deep, ahead, doubled=[0.51, 0.61, 0.71]).undertrained()


def test_a_null_is_every_shuffle_and_not_their_means():
    found = row([1.0, 1.0], null=[0.4, 0.6])
    every = RowEvidence(*list(vars(found).values())[:-1], nulls=(0.3, 0.5, 0.5, 0.7))
    assert every.range_of_null() == (0.3, 0.7)


def test_without_a_variant_nothing_is_said_of_training():
    found = row([0.7, 0.7])
    assert not found.undertrained() and found.change("doubled") is None
    assert not row([0.7, 0.7], doubled=[0.7, 0.7]).undertrained()  # equal to the last digit
    assert row([0.7, 0.8], halved=[0.6]).change("halved") == pytest.approx(-0.1)


@pytest.mark.parametrize(
    ("gain", "gains", "expected"),
    [
        ((0.1, 0.2), [1] * 9 + [-1], "beats"),
        ((0.1, 0.2), [1] * 8 + [-1] * 2, "tie"),
        ((-0.1, 0.2), [1] * 10, "tie"),
        ((-0.2, -0.1), [-1] * 9 + [1], "loses"),
        ((-0.2, -0.1), [-1] * 8 + [1] * 2, "tie"),
        ((-0.2, -0.1), [1] * 10, "tie"),
        ((0.0, 0.2), [1] * 10, "tie"),
        ((0.1, 0.2), [0.01] * 9 + [-1], "tie"),  # their mean may be anything
        ((-0.2, -0.1), [-0.01] * 9 + [1], "tie"),
    ],
)
def test_a_verdict_needs_its_interval_and_its_seeds(gain, gains, expected):
    for better, sign in (("higher", 1.0), ("lower", -1.0)):
        found = row([sign * g for g in gains], [0.0] * 10, better=better)
        assert verdict(gain, found) == expected


def test_an_undertrained_network_gets_no_verdict():
    assert verdict((1.0, 2.0), row([1.0, 1.001], [0.0, 0.0], doubled=[5.0, 5.0])) == "undertrained"


def whole():
    figures = {"null": None, "naive": [1.0, 2.0], "classical": [1.0, 2.0], "deep": [2.0, 3.0]}
    head = {"unit": "u", "better": "higher", "headline": True, "names": {}, "variants": {}}
    return {
        "chapter": "01-a",
        "profile": "quick",
        "seeds": [0, 1],
        "made_of": {},
        "variants": {},
        "rows": {"m": {**head, **figures, "limit": None, "nulls": [0.1, 0.2]}},
    }


def test_what_is_written_is_read_back(tmp_path):
    path = evidence.place("01-a", "quick", tmp_path)
    assert path == tmp_path / "01.json"
    path.write_text(json.dumps(whole()))
    found = evidence.read_evidence("01-a", "quick", tmp_path)
    assert json.loads(json.dumps(found.as_dict())) == whole() | {
        "rows": {"m": whole()["rows"]["m"] | {"difference": [1.0, 1.0]}}
    }
    assert evidence.read_evidence("02-b", "quick", tmp_path) is None
    assert evidence.place("01-a", "full", tmp_path) == tmp_path / "full" / "01.json"


def test_the_environment_names_the_folder_or_none(tmp_path, monkeypatch):
    (tmp_path / "01.json").write_text(json.dumps(whole()))
    monkeypatch.setenv("PM_EVIDENCE", str(tmp_path))
    assert evidence.read_evidence("01-a", "quick").seeds == (0, 1)
    monkeypatch.setenv("PM_EVIDENCE", "none")
    assert evidence.read_evidence("01-a", "quick") is None


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda e: e.pop("seeds"), "seeds"),
        (lambda e: e.update(chapter="09-z"), "it is of 09-z"),
        (lambda e: e["rows"]["m"].update(deep=[1.0]), "m, deep: give one finite number per seed"),
        (lambda e: e["rows"]["m"].update(deep=[1.0, float("nan")]), "one finite number"),
        (lambda e: e["rows"]["m"].pop("better"), "better"),
        (lambda e: e.update(rows=3), "no attribute"),
    ],
)
def test_a_file_that_is_no_evidence_is_named(tmp_path, change, told):
    content = whole()
    change(content)
    (tmp_path / "01.json").write_text(json.dumps(content))
    with pytest.raises(ValueError, match=f"01.json is no evidence: .*{told}.*call pm seeds 01"):
        evidence.read_evidence("01-a", "quick", tmp_path)
    (tmp_path / "01.json").write_text("{")
    with pytest.raises(ValueError, match="01.json is no evidence"):
        evidence.read_evidence("01-a", "quick", tmp_path)


def test_what_deep_and_classical_share_is_no_excuse_for_too_few_steps():
    deep = [0.5, 0.6, 0.7, 0.8]
    doubled = [value + 0.05 for value in deep[:3]]
    assert not row(deep, doubled=doubled).undertrained()
    classical = [0.4, 0.501, 0.6, 0.699]
    assert row(deep, classical, doubled=doubled).undertrained()
