"""Evidence: a chapter under many seeds, and with its training doubled or its data halved.

The runs are stored like any other, under ``_build/seeds``: what is done stays, and a call that was
stopped goes on where it was. Which parameters double the training and which halve the data the
notebook's metadata say (``pm.doubled``, ``pm.halved``).
"""

import json
from dataclasses import replace
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

from pm_utils.builder import code, key
from pm_utils.builder.chapters import Chapter
from pm_utils.builder.project import Project, write_whole
from pm_utils.builder.runs import SCOREBOARD, Task
from pm_utils.page.evidence import (
    DOUBLED,
    EVIDENT,
    HALVED,
    NO_EVIDENCE,
    Evidence,
    RowEvidence,
    place,
)

RUNS = {"quick": 10}  # seeds by profile
RUNS_OTHERWISE = 3
VARIANT_RUNS = 3
# Modules that draw, print or judge figures and make none: evidence does not depend on them.
SHOWING = (
    "pm_utils/page/evidence.py",
    "pm_utils/page/excerpt.py",
    "pm_utils/page/listing.py",
    "pm_utils/page/plots.py",
    "pm_utils/page/scoreboard.py",
    "pm_utils/page/scoreboard_figure.py",
    "pm_utils/*_figures.py",
    "pm_utils/*/plotting.py",
)

_Board = dict[str, Any]


def folder(project: Project) -> Path:
    """Return where the evidence of a checkout lies."""
    return project.root / "evidence"


def variants(chapter: Chapter, changes: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Return the parameters of each variant that a chapter names, after the profile's changes."""
    values = chapter.parameters | changes
    factors = {DOUBLED: chapter.doubled, HALVED: chapter.halved}
    return {
        kind: {name: _times(values[name], factor) for name, factor in by_name.items()}
        for kind, by_name in factors.items()
        if by_name
    }


def _times(value: float, factor: float) -> float:
    """Multiply; whole numbers stay whole."""
    return max(1, round(value * factor)) if isinstance(value, int) else value * factor


def seeded(project: Project, task: Task, number: int) -> dict[str, list[Task]]:
    """Return a chapter's tasks under the first seeds, stored apart from the book's runs.

    Parameters
    ----------
    project : Project
        The checkout.
    task : Task
        The chapter's task of the book.
    number : int
        How many seeds; a variant has at most `VARIANT_RUNS`.

    Returns
    -------
    dict
        Under ``""`` the chapter as it is, under each variant's name the variant.
    """
    kinds = {"": {}} | variants(task.chapter, task.changes)
    return {
        kind: [
            _seeded(project, task, seed, kind, changed)
            for seed in range(min(number, VARIANT_RUNS) if kind else number)
        ]
        for kind, changed in kinds.items()
    }


def _seeded(project: Project, task: Task, seed: int, kind: str, changed: dict[str, Any]) -> Task:
    changes = {name: value for name, value in task.changes.items() if name != "seed"} | changed
    if seed != task.chapter.parameters["seed"]:
        changes["seed"] = seed
    stored = project.build / "seeds" / task.profile / task.chapter.name / kind / f"{seed:03d}"
    return replace(
        task,
        label=" ".join(filter(None, [task.label, kind, f"seed {seed}"])),
        changes=changes,
        parts=task.parts | {"parameters": task.chapter.parameters | changes},
        folder=stored,
        evidence=None,
    )


def made_of(task: Task, tasks: dict[str, Task]) -> dict[str, Any]:
    """Return fingerprints of the code and parameters that evidence is made by.

    Python, libraries and the seed are not among them: evidence holds wherever the book is built.
    Neither are the modules of `SHOWING`.
    """
    parts = task.parts
    parameters = {name: v for name, v in parts["parameters"].items() if name != "seed"}
    above = {name: code.digest(made_of(tasks[name], tasks)) for name in sorted(task.after)}
    facts = {"code cells": parts["code cells"], "parameters": parameters}
    making = {
        path: mark
        for path, mark in parts["modules"].items()
        if not any(fnmatch(path, pattern) for pattern in SHOWING)
    }
    return facts | {"modules": making, "chapters that it needs": above}


def age(evidence: Evidence | None, task: Task, tasks: dict[str, Task]) -> str:
    """Return in words what changed since evidence was made; an empty text when nothing did."""
    if evidence is None:
        return NO_EVIDENCE
    now = json.loads(json.dumps(made_of(task, tasks)))
    return key.difference(evidence.made_of, now)


def read_boards(tasks: list[Task]) -> list[_Board]:
    """Return the scoreboards of finished runs."""
    from pm_utils.page.scoreboard import read_scoreboard

    return [read_scoreboard(task.folder / SCOREBOARD) for task in tasks]


def summarise_seeds(
    boards: list[_Board],
    varied: dict[str, list[_Board]],
    *,
    made_of: dict[str, Any],
    changed: dict[str, dict[str, Any]],
) -> Evidence:
    """Return a chapter's evidence from its scoreboards.

    Parameters
    ----------
    boards : list of dict
        As `pm_utils.page.scoreboard.read_scoreboard` returns them, one per seed.
    varied : dict
        Those of each variant, under the first of the seeds.
    made_of : dict
        As `made_of` returns it.
    changed : dict
        The parameters of each variant.

    Raises
    ------
    ValueError
        When there are fewer than two runs, they do not have the same rows, or only some of them
        have a figure.
    """
    if len(boards) < 2:
        raise ValueError(f"boards holds {len(boards)} run: evidence needs at least 2")
    tables = [{row["metric"]: row for row in board["rows"]} for board in boards]
    others = {
        kind: [{row["metric"]: row for row in board["rows"]} for board in found]
        for kind, found in varied.items()
    }
    for metric in set().union(*tables):
        if any(metric not in table for table in tables):
            raise ValueError(f"{metric}: not every run has this row")
    seeds = tuple(board["seed"] for board in boards)
    rows = {}
    for metric, first in tables[0].items():
        same = [table[metric] for table in tables]
        figures = {model: _figures(metric, model, same) for model in EVIDENT}
        columns = [name for name in ("naive", "classical", "deep") if name in first["names"]]
        names = {name: [row["names"].get(name, "") for row in same] for name in columns}
        deep = {
            kind: _figures(f"{metric}, {kind}", "deep", [table[metric] for table in found])
            for kind, found in others.items()
        }
        deep = {kind: values for kind, values in deep.items() if values}
        head = first["unit"], first["better"], first["headline"]
        more = names, deep, _nulls(metric, boards, first.get("contest", ""))
        rows[metric] = RowEvidence(metric, *head, seeds, figures, *more)
    return Evidence(boards[0]["chapter"], boards[0]["profile"], seeds, made_of, changed, rows)


def _figures(metric: str, model: str, rows: list[dict[str, Any]]) -> list[float] | None:
    known = [row[model] for row in rows if row[model] is not None]
    if not known:
        return None
    if len(known) < len(rows):
        raise ValueError(
            f"{metric}, {model}: only {len(known)} of {len(rows)} runs have the figure"
        )
    return [float(f"{value:.7g}") for value in known]


def _nulls(metric: str, boards: list[_Board], contest: str) -> tuple[float, ...]:
    """Return the figure of every shuffle, of the seeds one after another."""
    entered = [one for board in boards for one in board.get("contenders", [])]
    nulls = [
        one["test"][metric]
        for one in entered
        if one["kind"] == "null" and one["contest"] == contest and metric in one["test"]
    ]
    return tuple(float(f"{value:.7g}") for value in nulls)


def write_evidence(project: Project, evidence: Evidence) -> Path:
    """Write a chapter's evidence and return the file."""
    path = place(evidence.chapter, evidence.profile, folder(project))
    text = json.dumps(evidence.as_dict(), indent=1, ensure_ascii=False, allow_nan=False)
    write_whole(path, text + "\n")
    return path
