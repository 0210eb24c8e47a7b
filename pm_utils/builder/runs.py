"""Runs: what is stored of a finished chapter, and how chapters that are out of date are run.

A run is a directory with the executed ``notebook.ipynb``, ``scoreboard.json``, the artifacts and
``record.json``. It is made aside and moved to its place in one step, so it is there whole or not.
"""

import asyncio
import contextlib
import hashlib
import importlib
import json
import math
import multiprocessing
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Generator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from graphlib import TopologicalSorter
from multiprocessing import forkserver
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import nbformat

from pm_utils.builder import execute, key
from pm_utils.builder.chapters import Chapter, upstream
from pm_utils.builder.limits import Limits
from pm_utils.builder.progress import Lines
from pm_utils.builder.project import Project, explain

SCOREBOARD = "scoreboard.json"
NOTEBOOK = "notebook.ipynb"
RECORD = "record.json"
RECORD_FIELDS = {
    *("chapter", "profile", "status", "error", "seconds", "peak_memory_mb", "started", "finished"),
    *("commit", "environment", "files", "parts", "key"),
}
MAPPINGS = ("environment", "files", "parts")
NUMBERS = ("seconds", "peak_memory_mb")
TEXTS = ("chapter", "profile", "status", "started", "finished", "commit", "key")
LONG_SECONDS = 30
ONE_THREAD = {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
INLINE = {"MPLBACKEND": "module://matplotlib_inline.backend_inline"}
KEEP_MEMORY = {  # glibc would give it back and ask again, a quarter of a training step
    "MALLOC_MMAP_THRESHOLD_": str(2**25),
    "MALLOC_TRIM_THRESHOLD_": str(2**30),
}
_GRACE_SECONDS = 5
SERVERS = "forkserver" in multiprocessing.get_all_start_methods()  # everywhere but on Windows
SERVER = multiprocessing.get_context("forkserver" if SERVERS else "spawn")


@dataclass(frozen=True)
class Task:
    """One chapter to be run in one way.

    Attributes
    ----------
    label : str
        What the reader sees, unique among the tasks of a call.
    chapter : Chapter
        What to run.
    profile : str
        The profile's name.
    changes : dict
        The parameters that differ from the notebook's.
    parts : dict
        What the key is made of, see `pm_utils.builder.key`.
    folder : pathlib.Path
        Where the finished run goes, under ``_build``.
    inputs : tuple of pathlib.Path
        Where needed artifacts are.
    after : frozenset of str
        The labels of the tasks that have to be done first.
    """

    label: str
    chapter: Chapter
    profile: str
    changes: dict[str, Any]
    parts: dict[str, Any]
    folder: Path
    inputs: tuple[Path, ...]
    after: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Outcome:
    """How a task ended: ``current`` (nothing to do), ``done``, ``failed`` or ``skipped``.

    Examples
    --------
    >>> from pm_utils.builder.runs import Outcome
    >>> Outcome("current").good, Outcome("skipped", "left out, because it needs 02-two").good
    (True, False)
    """

    status: str
    reason: str = ""

    @property
    def good(self) -> bool:
        """Whether the stored run is that of the present sources."""
        return self.status in ("current", "done")


def chapter_tasks(
    project: Project,
    profile: str,
    chapters: dict[str, Chapter],
    changes: dict[str, dict[str, Any]],
) -> dict[str, Task]:
    """Return the task of every chapter under a profile, by the chapter's name."""
    graph, parts = upstream(chapters), key.all_parts(project, chapters, changes)
    folder = project.runs(profile)
    return {
        name: Task(
            label=name,
            chapter=chapter,
            profile=profile,
            changes=changes[name],
            parts=parts[name],
            folder=folder / name,
            inputs=tuple(folder / other for other in sorted(graph[name])),
            after=frozenset(graph[name]),
        )
        for name, chapter in chapters.items()
    }


def read_record(folder: Path) -> dict[str, Any] | None:
    """Return the record of a stored run, None where there is none or it is damaged."""
    try:
        record = json.loads((folder / RECORD).read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return None
    return record if isinstance(record, dict) and _whole(record) else None


def _whole(record: dict[str, Any]) -> bool:
    """Tell whether a record has every field, each of its type."""
    return (
        set(record) >= RECORD_FIELDS
        and all(isinstance(record[name], dict) for name in MAPPINGS)
        and all(isinstance(record[name], str) for name in TEXTS)
        and all(type(record[name]) in (int, float) for name in NUMBERS)
        and all(math.isfinite(record[name]) for name in NUMBERS)
        and isinstance(record["error"], str | None)
    )


def stale_reason(task: Task) -> str:
    """Return in words why a task has to be run, an empty text when its stored run is current."""
    record = read_record(task.folder)
    if record is None:
        return "its record is damaged or of an older pm" if task.folder.is_dir() else "never run"
    if record["key"] != key.digest(task.parts):
        return key.difference(record["parts"], task.parts) or "changed while it ran"
    try:
        stored = fingerprints(task.folder)
    except OSError as error:
        return f"its stored run cannot be read, {explain(error)}"
    missing = sorted({NOTEBOOK, *task.chapter.gives, *record["files"]} - set(stored))
    if missing:
        return f"{', '.join(missing)} missing from its stored run"
    damaged = [name for name, mark in record["files"].items() if stored[name] != mark]
    return f"{', '.join(damaged)} changed in its stored run" if damaged else ""


def fingerprints(folder: Path) -> dict[str, str]:
    """Return the fingerprint of each file of a run but its record and its log, by name."""
    found = {}
    for path in sorted(folder.glob("*")):
        if path.is_file() and path.name not in (RECORD, "log.txt"):
            with open(path, "rb") as file:  # in pieces: an artifact may be larger than memory
                found[path.name] = hashlib.file_digest(file, "sha256").hexdigest()[:16]
    return found


def run_environment() -> dict[str, Any]:
    """Return what a run's record says of the machine, the versions and the commit."""
    from pm_utils.page import reproducibility

    return reproducibility.environment() | {"threads": 1}


def commit(root: Path) -> str:
    """Return the commit of a checkout, and whether files differ from it."""
    git = ["git", "-C", str(root)]
    try:
        name = subprocess.run(
            [*git, "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=True
        ).stdout.strip()
        changed = subprocess.run(
            [*git, "status", "--porcelain"], capture_output=True, text=True, check=True
        ).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return f"{name} with uncommitted changes" if changed else name


def run_all(
    project: Project,
    tasks: dict[str, Task],
    *,
    jobs: int,
    report: Lines,
    cold: bool = False,
    limits: Limits | None = None,
    ended: Callable[[str, Outcome], None] | None = None,
) -> dict[str, Outcome]:
    """Run the tasks that are out of date, independent ones side by side.

    Parameters
    ----------
    project : Project
        The checkout, locked by the caller.
    tasks : dict
        Tasks by label, with every task that one of them comes after.
    jobs : int
        How many run at a time.
    report : Lines
        Where progress goes.
    cold : bool
        Run them all.
    limits : Limits, optional
        What one cell may take.
    ended : callable, optional
        Takes a task's label and outcome as soon as it has ended, so that what is done is published
        even when the others are interrupted. When it raises an error the task has failed.

    Returns
    -------
    dict
        The outcome of every task. A failed task does not stop those that do not need it.
    """
    clean(project)  # what a builder that was killed left
    try:
        settings = {"report": report, "limits": limits or Limits(), "ended": ended}
        return asyncio.run(_run_all(project, tasks, jobs=jobs, cold=cold, **settings))
    finally:
        clean(project)


def clean(project: Project) -> None:
    """Remove every run that did not come to its end."""
    for kind in ("unfinished", "replaced"):
        with contextlib.suppress(OSError):  # the chapter that wants its place will say so
            project.remove(project.build / kind)


async def _run_all(
    project: Project,
    tasks: dict[str, Task],
    *,
    jobs: int,
    report: Lines,
    cold: bool,
    limits: Limits,
    ended: Callable[[str, Outcome], None] | None,
) -> dict[str, Outcome]:
    outcomes: dict[str, Outcome] = {}
    stale = {label: task for label, task in tasks.items() if cold or stale_reason(task)}
    needed = set().union(*(task.after for task in stale.values()))
    threads = ThreadPoolExecutor(jobs + 1)  # one waits for each, one imports
    asyncio.get_running_loop().set_default_executor(threads)
    sorter = TopologicalSorter({label: task.after for label, task in tasks.items()})
    sorter.prepare()

    def settled(task: Task) -> Outcome | None:
        """Return the outcome of a task that is not to be run."""
        bad = sorted(label for label in task.after if not outcomes[label].good)
        if not bad:
            return None if task.label in stale else Outcome("current")
        outcome = Outcome("skipped", f"left out, because it needs {bad[0]}")
        report.fail(task.label, outcome.reason)
        return outcome

    def urgency(label: str) -> tuple[bool, float]:
        """What others wait for goes first, then what takes longest."""
        return label in needed, _expected_seconds(tasks[label])

    def settle(label: str, outcome: Outcome) -> None:
        """Note how a task ended and let those begin that wait for it."""
        try:
            if ended:
                ended(label, outcome)
        except (OSError, ValueError) as error:
            outcome = _failure(report, label, f"at its end: {explain(error)}")
        outcomes[label] = outcome
        sorter.done(label)

    if stale and SERVERS:
        _start_server(project, stale)
    ready: list[str] = []
    async with asyncio.TaskGroup() as group:
        # A signal while the main thread loads NumPy would abort the process.
        group.create_task(asyncio.to_thread(importlib.import_module, "pm_utils.page.scoreboard"))
        running: dict[asyncio.Task[Outcome], str] = {}
        while sorter.is_active():
            for label in sorter.get_ready():
                if outcome := settled(tasks[label]):
                    settle(label, outcome)
                else:
                    ready.append(label)
            ready.sort(key=urgency)
            while ready and len(running) < jobs:
                label = ready.pop()
                running[group.create_task(_run(project, tasks[label], report, limits))] = label
            if running:
                over, _ = await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED)
                for task in over:
                    settle(running.pop(task), task.result())
    return outcomes


def _expected_seconds(task: Task) -> float:
    record = read_record(task.folder)
    return record["seconds"] if record else float("inf")


def _failure(report: Lines, label: str, error: str, log: Path | None = None) -> Outcome:
    """Tell that a task failed and why."""
    reason = f"failed {error}"
    report.fail(label, f"{reason}\n  log: {log}" if log else reason)
    return Outcome("failed", reason)


async def _run(project: Project, task: Task, report: Lines, limits: Limits) -> Outcome:
    """Run a task and store its run; whatever goes wrong on the way is the failure of this one."""
    try:
        return await _run_and_store(project, task, report, limits)
    except Exception as error:  # the others go on
        return _failure(report, task.label, f"outside of its cells: {explain(error)}")


async def _run_and_store(project: Project, task: Task, report: Lines, limits: Limits) -> Outcome:
    work = project.aside("unfinished", task.folder)
    work.mkdir(parents=True)
    started, clock = datetime.now(UTC), time.perf_counter()
    commit_before = commit(project.root)
    report.start(task.label, len(task.chapter.code_cells))
    end = await _execute(project, task, work, report, limits)
    if not work.is_dir():
        error = "a cell removed the folder PM_OUTPUT or one above it: remove single files only"
        return _failure(report, task.label, f"at its end: {error}")
    await asyncio.to_thread(importlib.import_module, "pm_utils.page.scoreboard")
    error = end["error"] or _missing(task, work)
    record = {
        "chapter": task.chapter.name,
        "profile": task.profile,
        "status": "failed" if error else "ok",
        "error": error,
        "seconds": round(time.perf_counter() - clock, 1),
        "peak_memory_mb": end["peak_memory_mb"],
        "started": started.isoformat(timespec="seconds"),
        "finished": datetime.now(UTC).isoformat(timespec="seconds"),
        "commit": commit_before,
        "environment": run_environment(),
        "files": await asyncio.to_thread(fingerprints, work),  # an artifact may be large
        "parts": task.parts,
        "key": "" if error or _changed_meanwhile(project, task) else key.digest(task.parts),
    }
    text = json.dumps(key.plain(record), indent=2, ensure_ascii=False, default=repr)
    (work / RECORD).write_text(text + "\n", encoding="utf-8")
    target = project.aside("failed", task.folder) if error else task.folder
    _replace(project, work, target)
    if error:
        return _failure(report, task.label, error, target / "log.txt")
    with contextlib.suppress(OSError):  # a failed run that stays is in nobody's way
        project.remove(project.aside("failed", task.folder))
    report.finish(task.label, record["seconds"], record["peak_memory_mb"])
    return Outcome("done")


async def _execute(
    project: Project, task: Task, work: Path, report: Lines, limits: Limits
) -> dict[str, Any]:
    """Execute a chapter in a process of its own and return its last event."""
    cells = task.chapter.code_cells
    nbformat.write(task.chapter.notebook, work / NOTEBOOK)
    job = {
        "notebook": str(work / NOTEBOOK),
        "parameters": task.changes,
        "cells": [cell.id for cell in cells],
        "limits": asdict(limits),
        "root": str(project.root),
        "folder": str(project.notebooks),
        "log": str(work / "log.txt"),
        "environment": _environment(project, task, work),
    }
    receiver, sender = SERVER.Pipe(duplex=False)
    process = SERVER.Process(target=execute.main, args=(job, sender))
    process.start()  # the first one waits until the server has its libraries
    sender.close()
    number, end = 0, None

    def where() -> str:
        return f"code cell {number} of {len(cells)} ({cells[number - 1].id})"

    def remind(seconds: float) -> None:
        report.long(task.label, where() if number else "the start of its kernel", seconds)

    try:
        while event := await _patiently(receiver, remind):
            if "cell" in event:
                number = event["cell"]
                report.cell(task.label, number)
            else:
                end = event
                break
        await asyncio.to_thread(process.join)
    finally:
        _stop(process)
    if end is None:
        end = {"error": f"process ended with {process.exitcode}", "peak_memory_mb": 0.0}
    if end["error"]:
        place = f"in {where()}" if number else "before its first cell"
        end["error"] = f"{place}: {end['error']}"
    return end


def _start_server(project: Project, tasks: dict[str, Task]) -> None:
    """Start what processes are forked from; it reads the environment as it does so."""
    if execute.FORKS:
        files = {file for task in tasks.values() for file in task.parts["modules"]}
        files = [project.root / file for file in files if file.endswith(".py")]
        sources = [file.read_text("utf-8", errors="replace") for file in files]
        cells = [cell.source for task in tasks.values() for cell in task.chapter.code_cells]
        SERVER.set_forkserver_preload(execute.libraries([*sources, *cells]))
    before = dict(os.environ)
    os.environ.update(ONE_THREAD | INLINE | KEEP_MEMORY)
    try:
        with _ignoring_ctrl_c():  # it is the builder's alone, also while the server loads
            forkserver.ensure_running()
    finally:
        os.environ.clear()
        os.environ.update(before)


async def _patiently(
    receiver: Connection, remind: Callable[[float], None]
) -> dict[str, Any] | None:
    """Return the next event; call `remind` after `LONG_SECONDS`, then after twice as many …"""
    event = asyncio.ensure_future(asyncio.to_thread(_next, receiver))
    waited, patience = 0.0, LONG_SECONDS
    while not (await asyncio.wait({event}, timeout=patience))[0]:
        waited += patience
        patience = waited
        remind(waited)
    return event.result()


def _next(receiver: Connection) -> dict[str, Any] | None:
    """Return the next event, None when the process has closed its end."""
    try:
        return receiver.recv()
    except (EOFError, OSError):
        return None


def _stop(process: BaseProcess) -> None:
    """End a process that still runs; asked to, it ends its kernel first."""
    if process.is_alive():
        process.terminate()
        process.join(_GRACE_SECONDS)
        process.kill()
        process.join()


def _environment(project: Project, task: Task, work: Path) -> dict[str, str]:
    path = [str(project.root), *filter(None, [os.environ.get("PYTHONPATH")])]
    return (
        os.environ
        | ONE_THREAD
        | {
            "PM_OUTPUT": str(work),
            "PM_INPUTS": _join(task.inputs),
            "PM_PROFILE": task.profile,
            "PYTHONPATH": os.pathsep.join(path),  # this checkout's package, whatever is installed
            "IPYTHONDIR": str(project.build / "ipython"),  # not the reader's start-up files
        }
    )


def open_lab(project: Project, folder: Path) -> int:
    """Open JupyterLab on a folder, in the environment of a run: one thread, the same figures."""
    command = [sys.executable, "-m", "jupyterlab", f"--notebook-dir={folder}"]
    path = [str(project.root), *filter(None, [os.environ.get("PYTHONPATH")])]
    threads = ONE_THREAD | KEEP_MEMORY | {"PYTHONPATH": os.pathsep.join(path)}
    return subprocess.run(command, cwd=project.root, env=os.environ | threads).returncode


def _join(folders: tuple[Path, ...]) -> str:
    """Return folders as one text: a line for each where a path has the usual separator in it."""
    paths = list(map(str, folders))
    if any(os.pathsep in path for path in paths):
        return "".join(f"{path}\n" for path in paths)
    return os.pathsep.join(paths)


@contextlib.contextmanager
def _ignoring_ctrl_c() -> Generator[None, None, None]:
    """Ignore Ctrl-C; a process that starts meanwhile ignores it for good."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    handler = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, handler)


def _missing(task: Task, work: Path) -> str | None:
    missing = [name for name in task.chapter.gives if not (work / name).is_file()]
    if missing:
        return f"at its end: it did not write {', '.join(missing)}"
    try:
        check_scoreboard(work)
    except ValueError as error:
        return f"at its end: {execute.last_line(error)}"
    return None


def check_scoreboard(folder: Path) -> None:
    """Check that the scoreboard of a run, where it has one, can be shown.

    Raises
    ------
    ValueError
        When it cannot.
    """
    from pm_utils.page import scoreboard

    path = folder / SCOREBOARD
    if path.is_file():
        board = scoreboard.read_scoreboard(path)
        try:
            scoreboard.markdown_table([board])
        except (TypeError, KeyError, AttributeError) as error:
            raise ValueError(f"{path} is no scoreboard: {error}") from error


def _changed_meanwhile(project: Project, task: Task) -> bool:
    """Tell whether a module or the lock file was edited after the key was taken."""
    now = key.parts(
        project, key.Modules(project.root), task.chapter, task.changes, task.parts["upstream"]
    )
    return now != task.parts


def _replace(project: Project, work: Path, target: Path) -> None:
    """Move a finished directory to its place; a kill in between leaves none there."""
    if target.exists():
        old = project.aside("replaced", target)
        old.parent.mkdir(parents=True, exist_ok=True)
        project.remove(old)
        os.replace(target, old)
    target.parent.mkdir(parents=True, exist_ok=True)
    os.replace(work, target)
    with contextlib.suppress(OSError):  # the next call tries again
        project.remove(project.build / "replaced")
