"""Evidence against a build: that the checks fail where they should."""

import numpy as np
import pytest

from pm_utils.builder import seeds, verify


def row(metric="score", *, better="higher", headline=True, **values):
    known = {"naive": 0.2, "classical": 0.5, "deep": 0.7, "limit": None, "null": 0.1} | values
    names = {"naive": "mean", "classical": "trees", "deep": "net"}
    head = {"metric": metric, "unit": "-", "better": better, "headline": headline}
    return {**head, **known, "limit_is": "", "names": names}


def board(*rows, seed=0, claims=(), profile="quick"):
    return {
        "chapter": "03-profile",
        "profile": profile,
        "seed": seed,
        "claims": [{"metric": m, "verdict": c} for m, c in claims],
        "rows": list(rows) or [row()],
    }


def evidence_of(boards, **varied):
    """Evidence by chapter, from the boards of several seeds."""
    return {"03-profile": seeds.summarise_seeds(boards, varied, made_of={}, changed={})}


@pytest.fixture
def known():
    """Evidence of ten seeds around the rows' values."""
    spread = np.random.default_rng(0).normal(scale=0.01, size=10).tolist()
    boards = [board(row(deep=0.7 + e, classical=0.5 + e), seed=i) for i, e in enumerate(spread)]
    return evidence_of(boards)


def test_a_build_like_the_seeds_has_no_problem(known):
    assert verify.check([board(claims=[("score", "beats")])], known) == []


@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        (board(row(deep=0.8)), "score: deep is 0.8, outside"),
        (board(row(deep=0.6)), "score: deep is 0.6, outside"),
        (board(row(classical=0.6)), "score: classical is 0.6, outside"),
        (board(row(naive=0.25)), "score: naive is 0.25, outside 0.1998 to 0.2002"),
        (board(row(deep=None)), "score: deep is None, its evidence is ("),
        (board(row(null=0.71)), "score: null is 0.71, not below deep's"),
        (board(row(null=0.9)), "score: null is 0.9, not below deep's"),
        (board(row(better="lower")), "score: lower is better, in the evidence higher"),
        (board(row("other")), "score: has evidence but no row, call pm seeds 03"),
        (board(row("other"), row()), "other: no evidence, call pm seeds 03"),
        (board(row(), row("b", headline=False)), "b: no evidence, call pm seeds 03"),
        (board(claims=[("lost", "beats")]), "lost: 'beats' is claimed without a row"),
        (board(profile="full"), "evidence is of profile quick, not full"),
        (board(claims=[("score", "loses")]), "'loses' is claimed, but holds in 0 of"),
        (
            board(row(), row("b", headline=False), claims=[("b", "beats")]),
            "without a row or its evidence",
        ),
        (board(claims=[("score", "best of all")]), "unknown verdict 'best of all'"),
    ],
)
def test_each_departure_is_told(known, changed, expected):
    problems = verify.check([changed], known)
    assert any(problem.startswith("03-profile: ") and expected in problem for problem in problems)


def test_a_null_that_may_reach_the_deep_model_is_no_null():
    spread = [0.6, 0.65, 0.7, 0.72, 0.68]
    for better, sign in (("higher", 1), ("lower", -1)):
        rows = [row(better=better, deep=sign * d, null=sign * (d - 0.1)) for d in spread]
        boards = [board(r, seed=i) for i, r in enumerate(rows)]
        problems = verify.check(boards[:1], evidence_of(boards))
        assert any("nulls are" in problem and "reach" in problem for problem in problems)


@pytest.mark.parametrize(("better", "sign"), [("higher", 1), ("lower", -1)])
def test_a_limit_that_a_model_passes_is_no_limit(better, sign):
    values = {"naive": 0.2, "classical": 0.5, "deep": 0.7, "null": 0.1}
    values = {name: sign * value for name, value in values.items()}
    good, bad = (row(better=better, **values, limit=sign * limit) for limit in (0.7, 0.69))
    known = evidence_of([board(good), board(good, seed=1)])
    assert verify.check([board(good)], known) == []
    (problem,) = verify.check([board(bad)], known)
    assert problem.endswith(f"deep is {sign * 0.7:.6g}, better than its limit {sign * 0.69:.6g}")


def test_a_claim_for_the_deep_model_needs_a_null():
    rows = row(null=None)
    known = evidence_of([board(rows), board(rows, seed=1)])
    (problem,) = verify.check([board(rows, claims=[("score", "beats")])], known)
    assert "claimed without a null: train one on shuffled labels" in problem
    behind = row(null=None, deep=0.4)
    known = evidence_of([board(behind), board(behind, seed=1)])
    assert verify.check([board(behind, claims=[("score", "loses")])], known) == []


def test_the_null_of_a_row_that_is_no_headline_may_be_good():
    rows = row("a"), row("b", headline=False, null=0.71)
    known = evidence_of([board(*rows), board(*rows, seed=1)])
    assert verify.check([board(*rows)], known) == []
    promoted = row("a"), row("b", null=0.71)
    problems = verify.check([board(*promoted)], known)
    assert problems == ["03-profile: b: headline is True, in the evidence False"]


def test_a_null_is_held_on_the_worse_side_of_an_error():
    boards = [board(row(better="lower", deep=0.3, null=0.9), seed=seed) for seed in range(3)]
    known = evidence_of(boards)
    assert verify.check(boards, known) == []
    better_null = board(row(better="lower", deep=0.3, null=0.2))
    assert any("not above deep's" in problem for problem in verify.check([better_null], known))


@pytest.mark.parametrize(("backing", "accepted"), [(10, True), (9, True), (8, False)])
def test_a_claim_needs_nine_seeds_of_ten(backing, accepted):
    deep = [0.7] * backing + [0.499] * (10 - backing)
    boards = [board(row(deep=value, null=-9.0), seed=seed) for seed, value in enumerate(deep)]
    problems = verify.check(
        [board(row(null=-9.0), claims=[("score", "beats")])], evidence_of(boards)
    )
    assert problems == [] if accepted else f"holds in {backing} of 10 seeds" in problems[0]


def test_a_claim_needs_the_mean_of_the_seeds():
    deep = [0.501] * 9 + [0.1]  # ahead of .5 in nine of ten, and behind on average
    boards = [board(row(deep=value, null=-9.0), seed=seed) for seed, value in enumerate(deep)]
    claimed = board(row(deep=0.501, null=-9.0), claims=[("score", "beats")])
    (problem,) = verify.check([claimed], evidence_of(boards))
    assert "holds in 9 of 10 seeds, whose mean gain is -0.13" in problem


def test_a_row_without_a_deep_model_is_held_by_the_classical_one():
    rows = row(deep=None, null=None)
    known = evidence_of([board(rows), board(rows, seed=1)])
    assert verify.check([board(rows)], known) == []
    assert verify.check([board(row(deep=None, null=None, classical=0.6))], known)


def test_chapters_on_one_side_only_are_told(known):
    assert verify.check([], known) == ["03-profile: has evidence but no result"]
    assert verify.check([board()], {}) == ["03-profile: no evidence: call pm seeds 03"]
    assert verify.check([board(row(headline=False))], {}) == []
    assert verify.check([board(row(headline=False), claims=[("score", "tie")])], {}) != []


def test_nothing_is_claimed_of_an_undertrained_network():
    boards = [board(row(deep=0.7 + seed / 1000), seed=seed) for seed in range(10)]
    better = [board(row(deep=0.8), seed=seed) for seed in range(3)]
    same = [board(row(deep=0.7 + seed / 1000), seed=seed) for seed in range(3)]
    claimed = [board(claims=[("score", "beats")])]
    assert verify.check(claimed, evidence_of(boards, doubled=same)) == []
    (problem,) = verify.check(claimed, evidence_of(boards, doubled=better))
    assert problem.endswith("score: 'beats' is claimed of an undertrained network")
    said = [board(claims=[("score", "undertrained")])]
    assert verify.check(said, evidence_of(boards, doubled=better)) == []


def test_a_build_is_compared_figure_by_figure(known):
    inside, outside = board(), board(row(deep=0.9), row("b", headline=False))
    facts = verify.compare([inside], known)
    assert [(fact["model"], fact["inside"]) for fact in facts] == [
        ("classical", True),
        ("deep", True),
    ]
    assert all(fact["low"] < fact["figure"] < fact["high"] for fact in facts)
    facts = verify.compare([outside], known)
    assert [(fact["metric"], fact["inside"]) for fact in facts] == [
        ("score", True),
        ("score", False),
    ]
    assert [fact["inside"] for fact in verify.compare([inside], {})] == [None, None]
