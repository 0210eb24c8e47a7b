"""Bounds: the interval's arithmetic, and that the checks fail where they should."""

import copy
import json

import numpy as np
import pytest

from pm_utils.builder import bounds


def row(metric="score", *, better="higher", headline=True, **values):
    known = {"naive": 0.2, "classical": 0.5, "deep": 0.7, "limit": None, "null": 0.1} | values
    return {"metric": metric, "unit": "-", "better": better, "headline": headline, **known}


def board(*rows, seed=0, claims=(), profile="quick"):
    return {
        "chapter": "03-profile",
        "profile": profile,
        "seed": seed,
        "claims": [{"metric": m, "claim": c} for m, c in claims],
        "rows": list(rows) or [row()],
    }


ABOVE, BELOW = bounds.CLAIMS


@pytest.fixture
def entries():
    """Bounds from ten seeds around the rows' values."""
    spread = np.random.default_rng(0).normal(scale=0.01, size=10).tolist()
    boards = [board(row(deep=0.7 + e, classical=0.5 + e), seed=i) for i, e in enumerate(spread)]
    return {"03-profile": bounds.summarise_seeds(boards)}


def test_the_interval_is_worked_by_hand():
    # n = 3, mean 2, s = 1, t(0.995, 2) = 9.92484, sqrt(4/3) = 1.154701: half width 11.4602
    assert bounds.prediction_interval([1.0, 2.0, 3.0]) == pytest.approx(
        [-9.4602, 13.4602], abs=1e-4
    )


def test_equal_runs_leave_room_for_the_last_digits():
    assert bounds.prediction_interval([0.5] * 10) == [0.4995, 0.5005]
    assert bounds.prediction_interval([-2.0, -2.0]) == [-2.002, -1.998]


def test_an_unknown_figure_has_no_interval():
    assert bounds.prediction_interval([None, None]) is None
    with pytest.raises(ValueError, match="only 1 of 2 runs"):
        bounds.prediction_interval([1.0, None])
    with pytest.raises(ValueError, match="needs at least 2"):
        bounds.prediction_interval([1.0])


def test_the_interval_holds_one_more_run_99_times_in_100():
    runs = np.random.default_rng(1).normal(3.0, 2.0, size=(4000, 6))
    inside = 0
    for *known, another in runs.tolist():
        low, high = bounds.prediction_interval(known)
        inside += low <= another <= high
    assert 0.985 < inside / len(runs) < 0.995


def test_a_summary_has_headlines_what_is_claimed_and_what_has_a_null():
    side = {"headline": False}
    rows = row("a"), row("b", null=None, **side), row("c", null=None, **side), row("d", **side)
    entry = bounds.summarise_seeds(
        [board(*rows, seed=1, claims=[("b", ABOVE)]), board(*rows, seed=0)]
    )
    assert list(entry["rows"]) == ["a", "b", "d"]
    assert entry["seeds"] == [0, 1] and entry["profile"] == "quick"
    assert entry["rows"]["a"]["deep_above_classical"] == 2


def test_lower_errors_count_as_above():
    lower = row(better="lower", classical=0.5, deep=0.4)
    equal = row(better="lower", classical=0.5, deep=0.5)
    entry = bounds.summarise_seeds([board(lower), board(lower, seed=1), board(equal, seed=2)])
    assert entry["rows"]["score"]["deep_above_classical"] == 2


def test_a_row_that_only_some_runs_have_is_refused():
    with pytest.raises(ValueError, match="b: not every run has this row"):
        bounds.summarise_seeds([board(row("a"), row("b")), board(row("a"))])
    with pytest.raises(ValueError, match="score, deep: only 1 of 2 runs"):
        bounds.summarise_seeds([board(), board(row(deep=None))])


def test_the_file_is_the_same_whatever_the_order_of_writing(tmp_path, entries):
    one, two = tmp_path / "one.json", tmp_path / "two.json"
    entry = entries["03-profile"]
    for path, chapters in ((one, "ab"), (two, "ba")):
        for chapter in chapters:
            bounds.write_bounds(path, chapter, entry)
    assert one.read_bytes() == two.read_bytes()
    assert list(json.loads(one.read_text())) == ["a", "b"]
    assert bounds.read_bounds(tmp_path / "none.json") == {}


def test_a_build_like_the_seeds_has_no_problem(entries):
    assert bounds.check([board(claims=[("score", ABOVE)])], entries) == []


@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        (board(row(deep=0.8)), "score: deep is 0.8, outside"),
        (board(row(deep=0.6)), "score: deep is 0.6, outside"),
        (board(row(classical=0.6)), "score: classical is 0.6, outside"),
        (board(row(naive=0.25)), "score: naive is 0.25, outside 0.1998 to 0.2002"),
        (board(row(deep=None)), "score: deep is None, its bounds are ["),
        (board(row(null=0.71)), "score: null is 0.71, not below deep's"),
        (board(row(null=0.9)), "score: null is 0.9, not below deep's"),
        (board(row(better="lower")), "score: lower is better, in the bounds higher"),
        (board(row("other")), "score: has bounds but no row, run pm seeds 03"),
        (board(row("other"), row()), "other: no bounds, run pm seeds 03"),
        (board(row(), row("b", headline=False)), "b: no bounds, run pm seeds 03"),
        (board(claims=[("lost", ABOVE)]), "lost: 'deep above classical' is claimed without a row"),
        (board(profile="full"), "bounds are of profile quick, not full"),
        (board(claims=[("score", BELOW)]), "'deep below classical' is claimed, but holds in 0 of"),
        (board(row(), row("b", headline=False), claims=[("b", ABOVE)]), "claimed without bounds"),
        (board(claims=[("score", "best of all")]), "unknown claim 'best of all'"),
    ],
)
def test_each_departure_is_told(entries, changed, expected):
    problems = bounds.check([changed], entries)
    assert any(problem.startswith("03-profile: ") and expected in problem for problem in problems)


def test_a_null_that_may_reach_the_deep_model_is_no_null():
    spread = [0.6, 0.65, 0.7, 0.72, 0.68]
    for better, sign in (("higher", 1), ("lower", -1)):
        rows = [row(better=better, deep=sign * d, null=sign * (d - 0.1)) for d in spread]
        boards = [board(r, seed=i) for i, r in enumerate(rows)]
        problems = bounds.check(boards[:1], {"03-profile": bounds.summarise_seeds(boards)})
        assert any("bounds of null" in problem and "reach" in problem for problem in problems)


@pytest.mark.parametrize(("better", "sign"), [("higher", 1), ("lower", -1)])
def test_a_limit_that_a_model_passes_is_no_limit(better, sign):
    values = {"naive": 0.2, "classical": 0.5, "deep": 0.7, "null": 0.1}
    values = {name: sign * value for name, value in values.items()}
    good, bad = (row(better=better, **values, limit=sign * limit) for limit in (0.7, 0.69))
    entries = {"03-profile": bounds.summarise_seeds([board(good), board(good, seed=1)])}
    assert bounds.check([board(good)], entries) == []
    (problem,) = bounds.check([board(bad)], entries)
    assert problem.endswith(f"deep is {sign * 0.7:.6g}, better than its limit {sign * 0.69:.6g}")


def test_a_claim_for_the_deep_model_needs_a_null():
    rows = row(null=None)
    entries = {"03-profile": bounds.summarise_seeds([board(rows), board(rows, seed=1)])}
    (problem,) = bounds.check([board(rows, claims=[("score", ABOVE)])], entries)
    assert "claimed without a null: train it on shuffled labels and give null=" in problem
    behind = row(null=None, deep=0.4)
    entries = {"03-profile": bounds.summarise_seeds([board(behind), board(behind, seed=1)])}
    assert bounds.check([board(behind, claims=[("score", BELOW)])], entries) == []


def test_the_null_of_a_row_that_is_no_headline_is_held_too():
    rows = row("a"), row("b", headline=False, null=0.69)
    entries = {"03-profile": bounds.summarise_seeds([board(*rows), board(*rows, seed=1)])}
    assert bounds.check([board(*rows)], entries) == []
    worse = row("a"), row("b", headline=False, null=0.71)
    problems = bounds.check([board(*worse)], entries)
    assert any("b: null is 0.71, not below deep's" in problem for problem in problems)


def test_a_null_is_held_on_the_worse_side_of_an_error():
    boards = [board(row(better="lower", deep=0.3, null=0.9), seed=seed) for seed in range(3)]
    entries = {"03-profile": bounds.summarise_seeds(boards)}
    assert bounds.check(boards, entries) == []
    better_null = board(row(better="lower", deep=0.3, null=0.2))
    assert any("not above deep's" in problem for problem in bounds.check([better_null], entries))


@pytest.mark.parametrize(("backing", "accepted"), [(10, True), (9, True), (8, False)])
def test_a_claim_needs_nine_seeds_of_ten(entries, backing, accepted):
    entries = copy.deepcopy(entries)
    entries["03-profile"]["rows"]["score"]["deep_above_classical"] = backing
    problems = bounds.check([board(claims=[("score", ABOVE)])], entries)
    assert problems == [] if accepted else f"holds in {backing} of 10 seeds" in problems[0]


def test_a_row_without_a_deep_model_is_held_by_the_classical_one():
    rows = row(deep=None, null=None)
    entries = {"03-profile": bounds.summarise_seeds([board(rows), board(rows, seed=1)])}
    assert bounds.check([board(rows)], entries) == []
    assert bounds.check([board(row(deep=None, null=None, classical=0.6))], entries)


def test_chapters_on_one_side_only_are_told(entries):
    assert bounds.check([], entries) == ["03-profile: has bounds but no result"]
    assert bounds.check([board()], {}) == ["03-profile: no bounds: run pm seeds 03"]
    assert bounds.check([board(row(headline=False))], {}) == [
        "03-profile: no bounds: run pm seeds 03"
    ]
    assert bounds.check([board(row(headline=False, null=None))], {}) == []
