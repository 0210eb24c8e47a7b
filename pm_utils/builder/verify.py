"""Whether a build's figures lie within the evidence, and whether each claim is backed by it.

A run under a seed of the evidence, by the same code on the same machine, lies inside by
construction. What is found here is that code or a machine changed the figures.
"""

import math
from typing import Any

from pm_utils.page.evidence import VERDICTS, Evidence, RowEvidence

_JUDGED = ("naive", "classical", "deep", "null")
_SHOWN = ("classical", "deep")

_Board = dict[str, Any]


def check(boards: list[_Board], evidence: dict[str, Evidence]) -> list[str]:
    """Hold a build's scoreboards against the evidence.

    Parameters
    ----------
    boards : list of dict
        The results of a build, as `pm_utils.page.scoreboard.read_scoreboard` returns them.
    evidence : dict
        By chapter.

    Returns
    -------
    list of str
        One sentence for each figure outside what one more run may give or better than its limit,
        each null of a headline that is not clearly worse than the deep model, each claim that too
        few seeds back, each win of a deep model without a null, and each chapter or row on which
        only one side has something to say. Empty when all is well.
    """
    problems = []
    for board in boards:
        known = evidence.get(board["chapter"])
        found = [passed for row in board["rows"] for passed in _check_limit(row)]
        if known is not None:
            found += _check_board(board, known)
        elif board["claims"] or any(row["headline"] for row in board["rows"]):
            found.append(f"no evidence: call pm seeds {board['chapter'][:2]}")
        problems += [f"{board['chapter']}: {problem}" for problem in found]
    missing = sorted(set(evidence) - {board["chapter"] for board in boards})
    return problems + [f"{chapter}: has evidence but no result" for chapter in missing]


def _check_board(board: _Board, known: Evidence) -> list[str]:
    again = f"call pm seeds {board['chapter'][:2]}"
    if board["profile"] != known.profile:
        return [f"evidence is of profile {known.profile}, not {board['profile']}: {again}"]
    rows, problems = {row["metric"]: row for row in board["rows"]}, []
    problems += [f"{name}: has evidence but no row, {again}" for name in known.rows.keys() - rows]
    for metric, row in rows.items():
        found = known.rows.get(metric)
        if found is None:
            problems.append(f"{metric}: no evidence, {again}")
            continue
        told = _check_values(row, found)
        told += _check_null(row, found) if found.headline else []
        problems += [f"{metric}: {problem}" for problem in told]
    for claim in board["claims"]:
        row, found = rows.get(claim["metric"]), known.rows.get(claim["metric"])
        told = _check_claim(claim, row, found)
        problems += [f"{claim['metric']}: {problem}" for problem in told]
    return sorted(problems)


def _check_values(row: dict[str, Any], found: RowEvidence) -> list[str]:
    problems = []
    if row["headline"] != found.headline:
        problems.append(f"headline is {row['headline']}, in the evidence {found.headline}")
    if row["better"] != found.better:
        problems.append(f"{row['better']} is better, in the evidence {found.better}")
    for model in _JUDGED:
        value, ends = row[model], found.span(model)
        if (value is None) != (ends is None):
            problems.append(f"{model} is {value}, its evidence is {ends}")
        elif ends is not None and not ends[0] <= value <= ends[1]:
            problems.append(f"{model} is {value:.6g}, outside {ends[0]:.6g} to {ends[1]:.6g}")
    return problems


def _check_limit(row: dict[str, Any]) -> list[str]:
    """Say which model passed what none can pass."""
    if row["limit"] is None:
        return []
    sign = 1 if row["better"] == "higher" else -1
    known = {model: row[model] for model in _JUDGED if row[model] is not None}
    return [
        f"{row['metric']}: {model} is {value:.6g}, better than its limit {row['limit']:.6g}"
        for model, value in known.items()
        if sign * (value - row["limit"]) > 1e-9 * abs(row["limit"])
    ]


def _check_null(row: dict[str, Any], found: RowEvidence) -> list[str]:
    """Say where a null, of this run or of a seed, is not worse than all that deep may be."""
    deep, null = found.span("deep"), found.range_of_null()
    if deep is None or null is None or row["null"] is None:
        return []
    sign = found.sign
    worst = min(sign * end for end in deep)
    problems, side = [], "below" if sign > 0 else "above"
    ends = f"{deep[0]:.6g} to {deep[1]:.6g}"
    if sign * row["null"] >= worst:
        problems.append(f"null is {row['null']:.6g}, not {side} deep's {ends}")
    if max(sign * end for end in null) >= worst:
        problems.append(f"nulls are {null[0]:.6g} to {null[1]:.6g} and reach deep's {ends}")
    return problems


def _check_claim(
    claim: dict[str, Any], row: dict[str, Any] | None, found: RowEvidence | None
) -> list[str]:
    said = claim["verdict"]
    if said not in VERDICTS:
        return [f"unknown verdict {said!r}: one of {', '.join(VERDICTS)}"]
    if row is None or found is None:
        return [f"{said!r} is claimed without a row or its evidence"]
    problems = []
    if said == "beats" and row["null"] is None:
        problems.append("'beats' is claimed without a null: train one on shuffled labels")
    if found.undertrained() and said != "undertrained":
        problems.append(f"{said!r} is claimed of an undertrained network")
    if said in ("beats", "loses") and not found.backs(said):
        backing = found.ahead() if said == "beats" else found.behind()
        low, high = found.gain_interval() or (math.nan, math.nan)
        problems.append(
            f"{said!r} is claimed, but holds in {backing} of {len(found.seeds)} seeds, whose mean "
            f"gain is {low:.3g} to {high:.3g}"
        )
    return problems


def compare(boards: list[_Board], evidence: dict[str, Evidence]) -> list[dict[str, Any]]:
    """Return each headline figure of a build beside what one more run may give.

    Parameters
    ----------
    boards, evidence
        As in `check`.

    Returns
    -------
    list of dict
        ``chapter``, ``metric``, ``model``, ``figure``, ``low``, ``high`` and ``inside``, which is
        None where there is no evidence.
    """
    found = []
    for board in boards:
        known = evidence.get(board["chapter"])
        for row in [row for row in board["rows"] if row["headline"]]:
            seen = known.rows.get(row["metric"]) if known else None
            for model in [model for model in _SHOWN if row[model] is not None]:
                ends = seen.span(model) if seen else None
                low, high = ends or (None, None)
                inside = None if ends is None else low <= row[model] <= high
                facts = {"chapter": board["chapter"], "metric": row["metric"], "model": model}
                facts |= {"figure": row[model], "low": low, "high": high, "inside": inside}
                found.append(facts)
    return found
