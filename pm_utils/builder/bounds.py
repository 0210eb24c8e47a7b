"""Bounds: what a chapter's figures may be, learned from runs under several seeds.

For each headline row, each row that has a null and each row that a claim is about,
``tests/bounds.json`` holds an interval per model. With n runs of mean m and standard deviation s
(n - 1 in the denominator) it is the 99 % prediction interval for one more run,

    m ± max(t · s · √(1 + 1/n), FLOOR · |m|),

where t is the 99.5 % point of Student's t with n - 1 degrees of freedom. The floor leaves room for
the last digits, in which machines and builds of libraries differ.

References
----------
Hahn, G. J. and Meeker, W. Q. (1991). Statistical Intervals. Wiley. Section 4.7.
"""

import json
import math
import statistics
from pathlib import Path
from typing import Any

from pm_utils.builder.project import write_whole

LEVEL = 0.99
FLOOR = 1e-3
BACKING = 0.9
BOUNDED_MODELS = ("naive", "classical", "deep", "null")
CLAIMS = ("deep above classical", "deep below classical")

Board = dict[str, Any]


def prediction_interval(values: list[float | None]) -> list[float] | None:
    """Return the prediction interval for one more run.

    Parameters
    ----------
    values : list of float or None
        A figure in each run, in the figure's own unit.

    Returns
    -------
    list of float or None
        The lower and the upper end, None where no run has the figure.

    Raises
    ------
    ValueError
        When there are fewer than two runs, or only some have the figure.

    Examples
    --------
    Two runs say little about a third; four that agree still leave the floor of a thousandth.

    >>> from pm_utils.builder.bounds import prediction_interval
    >>> prediction_interval([0.80, 0.82])
    [-0.292567, 1.91257]
    >>> prediction_interval([0.8, 0.8, 0.8, 0.8])
    [0.7992, 0.8008]
    >>> prediction_interval([None, None]) is None  # a model that the chapter does not have
    True
    """
    from scipy import stats

    known = [value for value in values if value is not None]
    if len(values) < 2:
        raise ValueError(f"{len(values)} run: an interval needs at least 2")
    if not known:
        return None
    if len(known) < len(values):
        raise ValueError(f"only {len(known)} of {len(values)} runs have the figure")
    mean, n = statistics.fmean(known), len(known)
    quantile = stats.t.ppf((1 + LEVEL) / 2, n - 1)
    width = float(quantile) * statistics.stdev(known) * math.sqrt(1 + 1 / n)
    width = max(width, FLOOR * abs(mean))
    return [float(f"{mean - width:.6g}"), float(f"{mean + width:.6g}")]


def summarise_seeds(boards: list[Board]) -> dict[str, Any]:
    """Return a chapter's entry from its scoreboards under different seeds.

    Parameters
    ----------
    boards : list of dict
        As `pm_utils.page.scoreboard.read_scoreboard` returns them, of one chapter and profile.

    Returns
    -------
    dict
        ``profile``, ``seeds`` and ``rows``: metric → ``better``, ``unit``, an interval per model
        and ``deep_above_classical``, the number of seeds in which the deep model is better.

    Raises
    ------
    ValueError
        When the runs do not have the same rows.
    """
    tables = [{row["metric"]: row for row in board["rows"]} for board in boards]
    claimed = {claim["metric"] for board in boards for claim in board["claims"]}
    rows = {}
    for metric, first in tables[0].items():
        if not _is_bounded(first) and metric not in claimed:
            continue
        if any(metric not in table for table in tables):
            raise ValueError(f"{metric}: not every run has this row")
        same = [table[metric] for table in tables]
        rows[metric] = {"better": first["better"], "unit": first["unit"]}
        for model in BOUNDED_MODELS:
            try:
                rows[metric][model] = prediction_interval([row[model] for row in same])
            except ValueError as error:
                raise ValueError(f"{metric}, {model}: {error}") from error
        rows[metric]["deep_above_classical"] = sum(_deep_is_better(row) for row in same)
    return {
        "profile": boards[0]["profile"],
        "seeds": sorted(board["seed"] for board in boards),
        "rows": rows,
    }


def _is_bounded(row: dict[str, Any]) -> bool:
    return row["headline"] or row["null"] is not None


def _deep_is_better(row: dict[str, Any]) -> bool:
    if row["deep"] is None or row["classical"] is None:
        return False
    gain = row["deep"] - row["classical"]
    return (gain if row["better"] == "higher" else -gain) > 0


def read_bounds(path: Path) -> dict[str, Any]:
    """Return the entries of a bounds file by chapter, none where there is no file."""
    return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}


def write_bounds(path: Path, chapter: str, entry: dict[str, Any]) -> None:
    """Replace one chapter's entry and keep the others."""
    entries = dict(sorted((read_bounds(path) | {chapter: entry}).items()))
    write_whole(path, json.dumps(entries, indent=2, ensure_ascii=False, allow_nan=False) + "\n")


def check(boards: list[Board], entries: dict[str, Any]) -> list[str]:
    """Hold a build's scoreboards against the bounds.

    Parameters
    ----------
    boards : list of dict
        The results of a build.
    entries : dict
        The bounds, by chapter.

    Returns
    -------
    list of str
        One sentence for each figure outside its interval or better than its limit, each null that
        is not clearly worse than the deep model, each claim that too few seeds back, each claim
        for a deep model without a null, and each chapter or row on which only one side has
        something to say. Empty when all is well.
    """
    problems = []
    for board in boards:
        entry, found = entries.get(board["chapter"]), []
        if entry is not None:
            found = _check_board(board, entry)
        elif board["claims"] or any(map(_is_bounded, board["rows"])):
            found = [f"no bounds: run pm seeds {board['chapter'][:2]}"]
        found += [passed for row in board["rows"] for passed in _check_limit(row)]
        problems += [f"{board['chapter']}: {problem}" for problem in found]
    missing = sorted(set(entries) - {board["chapter"] for board in boards})
    return problems + [f"{chapter}: has bounds but no result" for chapter in missing]


def _check_board(board: Board, entry: dict[str, Any]) -> list[str]:
    again = f"run pm seeds {board['chapter'][:2]}"
    if board["profile"] != entry["profile"]:
        return [f"bounds are of profile {entry['profile']}, not {board['profile']}: {again}"]
    rows, problems = {row["metric"]: row for row in board["rows"]}, []
    for metric, row in rows.items():
        if _is_bounded(row) and metric not in entry["rows"]:
            problems.append(f"{metric}: no bounds, {again}")
    for metric, bounds in entry["rows"].items():
        if metric not in rows:
            problems.append(f"{metric}: has bounds but no row, {again}")
            continue
        found = _check_values(rows[metric], bounds) + _check_null(rows[metric], bounds)
        problems += [f"{metric}: {problem}" for problem in found]
    for claim in board["claims"]:
        found = _check_claim(claim, rows.get(claim["metric"]), entry)
        problems += [f"{claim['metric']}: {problem}" for problem in found]
    return problems


def _check_values(row: dict[str, Any], bounds: dict[str, Any]) -> list[str]:
    problems = []
    if row["better"] != bounds["better"]:
        problems.append(f"{row['better']} is better, in the bounds {bounds['better']}")
    for model in BOUNDED_MODELS:
        value, ends = row[model], bounds[model]
        if (value is None) != (ends is None):
            problems.append(f"{model} is {value}, its bounds are {ends}")
        elif ends is not None and not ends[0] <= value <= ends[1]:
            problems.append(f"{model} is {value:.6g}, outside {ends[0]:.6g} to {ends[1]:.6g}")
    return problems


def _check_limit(row: dict[str, Any]) -> list[str]:
    """Say which model passed what none can pass."""
    if row["limit"] is None:
        return []
    sign = 1 if row["better"] == "higher" else -1
    known = {model: row[model] for model in BOUNDED_MODELS if row[model] is not None}
    return [
        f"{row['metric']}: {model} is {value:.6g}, better than its limit {row['limit']:.6g}"
        for model, value in known.items()
        if sign * (value - row["limit"]) > 1e-9 * abs(row["limit"])
    ]


def _check_null(row: dict[str, Any], bounds: dict[str, Any]) -> list[str]:
    """Say where the null, or what it may be, is not worse than all that the deep model may be."""
    if bounds["deep"] is None or bounds["null"] is None or row["null"] is None:
        return []
    sign = 1 if bounds["better"] == "higher" else -1
    worst = min(sign * end for end in bounds["deep"])
    low, high = bounds["deep"]
    problems = []
    if sign * row["null"] >= worst:
        problems.append(f"null is {row['null']:.6g}, not below deep's {low:.6g} to {high:.6g}")
    if max(sign * end for end in bounds["null"]) >= worst:
        problems.append(f"bounds of null {bounds['null']} reach those of deep {bounds['deep']}")
    return [p.replace("not below", "not above") if sign < 0 else p for p in problems]


def _check_claim(
    claim: dict[str, str], row: dict[str, Any] | None, entry: dict[str, Any]
) -> list[str]:
    said, problems = claim["claim"], []
    if said not in CLAIMS:
        return [f"unknown claim {said!r}: one of {', '.join(CLAIMS)}"]
    if row is None:
        return [f"{said!r} is claimed without a row"]
    if said == "deep above classical" and row["null"] is None:
        problems.append(
            f"{said!r} is claimed without a null: train it on shuffled labels and give null="
        )
    bounds = entry["rows"].get(claim["metric"])
    if bounds is None:
        return [*problems, f"{said!r} is claimed without bounds"]
    seeds, backing = len(entry["seeds"]), bounds["deep_above_classical"]
    if said == "deep below classical":
        backing = seeds - backing
    if backing < BACKING * seeds:
        problems.append(f"{said!r} is claimed, but holds in {backing} of {seeds} seeds only")
    return problems
