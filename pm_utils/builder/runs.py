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
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Generator, Iterable
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

from pm_utils.builder import code, execute, isolation, key, seen
from pm_utils.builder.chapters import Chapter, upstream
from pm_utils.builder.interruption import quietly
from pm_utils.builder.limits import Limits
from pm_utils.builder.progress import Lines
from pm_utils.builder.project import Project, explain
from pm_utils.builder.signals import SIGNALS

SCOREBOARD = "scoreboard.json"
NOTEBOOK = "notebook.ipynb"
RECORD = "record.json"
RECORD_FIELDS = {
    *("chapter", "profile", "status", "error", "seconds", "peak_memory_mb", "started", "finished"),
    *("commit", "environment", "files", "parts", "seen", "key"),
}
MAPPINGS = ("environment", "files", "parts", "seen")
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
        What the key is made of besides `inputs`, see `pm_utils.builder.key`.
    folder : pathlib.Path
        Where the finished run goes, under ``_build``.
    root : pathlib.Path
        The checkout.
    inputs : dict
        Where each needed artifact is stored.
    after : frozenset of str
        The labels of the tasks that have to be done first.
    problem : str
        Why it cannot run, the modules that Python cannot read; empty when it can.
    evidence : pathlib.Path or None
        Where the run finds what the seeds say; None for a run that is itself evidence.
    """

    label: str
    chapter: Chapter
    profile: str
    changes: dict[str, Any]
    parts: dict[str, Any]
    folder: Path
    root: Path
    inputs: dict[str, Path]
    after: frozenset[str] = frozenset()
    problem: str = ""
    evidence: Path | None = None


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
    graph, folder, modules = upstream(chapters), project.runs(profile), key.Modules(project.root)
    giver = {name: chapter.name for chapter in chapters.values() for name in chapter.gives}
    return {
        name: Task(
            label=name,
            chapter=chapter,
            profile=profile,
            changes=changes[name],
            parts=key.parts(project, modules, chapter, changes[name]),
            folder=folder / name,
            root=project.root,
            inputs={need: folder / giver[need] / need for need in chapter.needs if need in giver},
            after=frozenset(graph[name]),
            problem="; ".join(modules.problems(key.sources(chapter))),
            evidence=project.root / "evidence",
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
    """Tell whether a record has every field, each of its type, and the key of its parts."""
    return (
        set(record) >= RECORD_FIELDS
        and all(isinstance(record[name], dict) for name in MAPPINGS)
        and all(isinstance(record[name], str) for name in TEXTS)
        and all(type(record[name]) in (int, float) for name in NUMBERS)
        and all(math.isfinite(record[name]) for name in NUMBERS)
        and isinstance(record["error"], str | None)
        and isinstance(record["parts"].get("modules"), dict)
        and record["key"] in ("", code.digest(record["parts"]))
    )


def present_parts(task: Task) -> dict[str, Any]:
    """Return the parts of a task's key, with the content of what it needs as it is now."""
    marks = {name: _mark(path) for name, path in sorted(task.inputs.items())}
    return task.parts | {"upstream": marks}


def _mark(path: Path) -> str | None:
    """Return the fingerprint of a file, None where there is none."""
    if not path.is_file():
        return None
    with open(path, "rb") as file:  # in pieces: an artifact may be larger than memory
        return hashlib.file_digest(file, "sha256").hexdigest()[:16]


def stale_reasons(tasks: dict[str, Task]) -> dict[str, str]:
    """Return for each task why it has to be run, or that what it needs has to be run first."""
    reasons: dict[str, str] = {}
    order = TopologicalSorter({label: task.after for label, task in tasks.items()})
    for label in order.static_order():
        old = sorted(other for other in tasks[label].after if reasons[other])
        waits = f"it needs {', '.join(old)}, which is out of date" if old else ""
        reasons[label] = stale_reason(tasks[label]) or waits
    return reasons


def stale_reason(task: Task) -> str:
    """Return in words why a task has to be run, an empty text when its stored run is current."""
    record = read_record(task.folder)
    if record is None:
        return "its record is damaged or of an older pm" if task.folder.is_dir() else "never run"
    parts = present_parts(task)
    if record["key"] != code.digest(parts):
        return key.difference(record["parts"], parts) or "changed while it ran"
    now = seen.marks(task.root, key.Modules(task.root), task.chapter, set(record["seen"]))
    if now != record["seen"]:
        return key.difference({"modules": record["seen"]}, {"modules": now})
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
    paths = sorted(path for path in folder.glob("*") if path.name not in (RECORD, "log.txt"))
    return {path.name: _mark(path) for path in paths if path.is_file()}


def run_environment() -> dict[str, Any]:
    """Return what a run's record says of the machine, the versions and the commit."""
    from pm_utils.page import reproducibility

    return reproducibility.environment() | {"threads": 1}


def commit(root: Path) -> str:
    """Return the commit of a checkout, and whether files differ from it.

    Parameters
    ----------
    root : pathlib.Path
        The checkout. A repository around it is another's, and so is one that variables name.

    Returns
    -------
    str
        ``"no repository"`` where the checkout is none, ``"unknown"`` where git cannot tell.
    """
    if not (root / ".git").exists():
        return "no repository"
    try:
        name = _git(root, "rev-parse", "--short", "HEAD")
        changed = _git(root, "status", "--porcelain", "--untracked-files=normal")
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return f"{name} with uncommitted changes" if changed else name


def _git(root: Path, *words: str) -> str:
    own = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    own["GIT_CEILING_DIRECTORIES"] = str(root.parent)
    command = ["git", "-C", str(root), *words]
    done = subprocess.run(command, capture_output=True, env=own, check=True)
    return done.stdout.decode("utf-8", "replace").strip()


def run_all(
    project: Project,
    tasks: dict[str, Task],
    *,
    jobs: int,
    report: Lines,
    reasons: dict[str, str] | None = None,
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
    reasons : dict, optional
        What `stale_reasons` says of the tasks, where the caller has asked already.
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
        settings["reasons"] = stale_reasons(tasks) if reasons is None else reasons
        return asyncio.run(_run_all(project, tasks, jobs=jobs, cold=cold, **settings))
    finally:
        clean(project)


def clean(project: Project) -> None:
    """Remove every run that did not come to its end."""
    for kind in ("unfinished", "replaced", "inputs", "home"):
        with contextlib.suppress(OSError):  # the chapter that wants its place will say so
            project.remove(project.build / kind)


async def _run_all(
    project: Project,
    tasks: dict[str, Task],
    *,
    jobs: int,
    report: Lines,
    reasons: dict[str, str],
    cold: bool,
    limits: Limits,
    ended: Callable[[str, Outcome], None] | None,
) -> dict[str, Outcome]:
    outcomes: dict[str, Outcome] = {}
    stale = {label: task for label, task in tasks.items() if cold or reasons[label]}
    needed = set().union(*(task.after for task in stale.values()))
    threads = ThreadPoolExecutor(jobs + 1)  # one waits for each, one imports
    asyncio.get_running_loop().set_default_executor(threads)
    asyncio.get_running_loop().set_exception_handler(quietly)
    sorter = TopologicalSorter({label: task.after for label, task in tasks.items()})
    sorter.prepare()

    def settled(task: Task) -> Outcome | None:
        """Return the outcome of a task that is not to be run."""
        bad = sorted(label for label in task.after if not outcomes[label].good)
        if not bad and not task.problem:
            waited = any(reasons[label] for label in task.after)  # inputs may be as they were
            reason = stale_reason(task) if waited else reasons[task.label]
            return None if cold or reason else Outcome("current")
        outcome = Outcome("failed", f"failed before its first cell: {task.problem}")
        if bad:
            outcome = Outcome("skipped", f"left out, because it needs {bad[0]}")
        report.fail(task.label, outcome.reason)
        return outcome

    def urgency(label: str) -> tuple[bool, float]:
        """What others wait for goes first, then what takes longest."""
        return label in needed, _expected_seconds(tasks[label])

    def publish(label: str, outcome: Outcome) -> Outcome:
        """Publish what a task gave, before anybody hears that it is done."""
        try:
            if ended:
                ended(label, outcome)
        except (OSError, ValueError) as error:
            return _failure(report, label, f"at its end: {explain(error)}")
        if outcome.status == "done" and (record := read_record(tasks[label].folder)):
            report.finish(label, record["seconds"], record["peak_memory_mb"])
        return outcome

    async def complete(label: str) -> Outcome:
        return publish(label, await _run(project, tasks[label], report, limits))

    def settle(label: str, outcome: Outcome) -> None:
        """Note how a task ended and let those begin that wait for it."""
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
                    settle(label, publish(label, outcome))
                else:
                    ready.append(label)
            ready.sort(key=urgency)
            while ready and len(running) < jobs:
                label = ready.pop()
                running[group.create_task(complete(label))] = label
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
    handed, refused = hand_over(project, task)
    parts = task.parts | {"upstream": handed}
    end = {"error": refused, "peak_memory_mb": 0.0}
    if not refused:
        end = await _execute(project, task, work, report, limits)
    if not work.is_dir():
        error = "a cell removed the folder PM_OUTPUT or one above it: remove single files only"
        return _failure(report, task.label, f"at its end: {error}")
    await asyncio.to_thread(importlib.import_module, "pm_utils.page.scoreboard")
    error = end["error"] or _missing(task, work) or _tampered(project, task, handed)
    found, changed = _look_back(project, task, parts, since=started)
    if changed and not error:  # the next call runs it again
        report.say(f"{task.label}: {changed} while it ran: call pm again")
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
        "parts": parts,
        "seen": found,
        "key": "" if error or changed else code.digest(parts),
    }
    text = json.dumps(record, indent=2, ensure_ascii=False, default=repr)
    (work / RECORD).write_text(text + "\n", encoding="utf-8")
    target = project.aside("failed", task.folder) if error else task.folder
    _replace(project, work, target)
    if error:
        return _failure(report, task.label, error, target / "log.txt")
    with contextlib.suppress(OSError):  # a failed run that stays is in nobody's way
        project.remove(project.aside("failed", task.folder))
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
        "path": isolation.isolated_path(),
        "first": seen.begin(project, _log(project, task)),
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
    settings = ONE_THREAD | INLINE | KEEP_MEMORY
    with isolation.as_of_a_chapter(project, settings), _signals_wait():
        forkserver.ensure_running()


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
    places = dict.fromkeys(_handed(project, task, name).parent for name in sorted(task.inputs))
    return (
        isolation.clean_environment(project.aside("home", task.folder))
        | ONE_THREAD
        | {
            "PM_OUTPUT": str(work),
            "PM_INPUTS": _join(places),
            "PM_PROFILE": task.profile,
            "PM_EVIDENCE": str(task.evidence) if task.evidence else "none",
            "PYTHONPATH": str(project.root),  # this checkout's package, whatever is installed
        }
    )


def open_lab(project: Project, folder: Path) -> int:
    """Open JupyterLab on a folder, in the environment of a run: one thread, the same figures."""
    command = [sys.executable, "-m", "jupyterlab", f"--notebook-dir={folder}"]
    path = [str(project.root), *filter(None, [os.environ.get("PYTHONPATH")])]
    settings = isolation.FIXED | ONE_THREAD | KEEP_MEMORY | {"PYTHONPATH": os.pathsep.join(path)}
    return subprocess.run(command, cwd=project.root, env=os.environ | settings).returncode


def _join(folders: Iterable[Path]) -> str:
    """Return folders as one text: a line for each where a path has the usual separator in it."""
    paths = list(map(str, folders))
    if any(os.pathsep in path for path in paths):
        return "".join(f"{path}\n" for path in paths)
    return os.pathsep.join(paths)


@contextlib.contextmanager
def _signals_wait() -> Generator[None, None, None]:
    """Let signals wait: an exception amid the start of a server leaves half of it, and a traceback.

    Ctrl-C alone is ignored, for good by a process that starts meanwhile: it is the builder's.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    came: list[int] = []
    before = {number: signal.getsignal(number) for number in SIGNALS}
    for number, handler in before.items():
        if handler is not signal.SIG_IGN:
            signal.signal(number, lambda number, _: came.append(number))
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        for number in came:
            signal.raise_signal(number)


def _log(project: Project, task: Task) -> Path:
    """Return where a chapter's kernel notes what it reads."""
    return project.aside("inputs", task.folder) / "log"


def _handed(project: Project, task: Task, name: str) -> Path:
    """Return where a chapter finds an artifact that it needs, in a folder named for its giver."""
    return project.aside("inputs", task.folder) / task.inputs[name].parent.name / name


def hand_over(project: Project, task: Task) -> tuple[dict[str, str], str | None]:
    """Copy what a chapter needs, for it alone to read.

    Returns
    -------
    dict, str or None
        The fingerprint of each copy, and why the chapter cannot run. The copies leave the stored
        runs as they are, whatever the chapter does.
    """
    marks = {}
    for name, stored in sorted(task.inputs.items()):
        copy, record = _handed(project, task, name), read_record(stored.parent)
        copy.parent.mkdir(parents=True, exist_ok=True)
        try:
            copy.unlink(missing_ok=True)
            shutil.copyfile(stored, copy)
            copy.chmod(0o444)
            marks[name] = _mark(copy)
        except OSError as error:
            return marks, f"before its first cell: {name} cannot be read: {error}"
        if record is None or record["files"].get(name) != marks[name]:
            giver = stored.parent.name
            return marks, f"before its first cell: {name} of {giver} was changed: call pm again"
    return marks, None


def _tampered(project: Project, task: Task, marks: dict[str, str]) -> str | None:
    """Say which artifact of another chapter a chapter changed, in its copy or where it is kept."""
    for name, mark in marks.items():
        for path in (_handed(project, task, name), task.inputs[name]):
            if path.is_symlink() or _mark(path) != mark:
                giver = task.inputs[name].parent.name
                return (
                    f"at its end: {name}, which {giver} gives, was changed: a chapter may only "
                    "read what it needs, so write to another name"
                )
    return None


def _missing(task: Task, work: Path) -> str | None:
    links = sorted(path.name for path in work.iterdir() if path.is_symlink())
    if links:  # they would lead nowhere once the run is in its place
        return f"at its end: {', '.join(links)} is a link: write the file itself"
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
            with isolation.evidence_from(None):
                scoreboard.markdown_table([board])
        except (TypeError, KeyError, AttributeError) as error:
            raise ValueError(f"{path} is no scoreboard: {error}") from error


def _look_back(
    project: Project, task: Task, parts: dict[str, Any], *, since: datetime
) -> tuple[dict[str, str | None], str]:
    """Return what a run read beyond what its source tells, and what was edited meanwhile."""
    notes, modules = seen.read_log(_log(project, task)), key.Modules(project.root)
    if not notes:  # its kernel did not come up, or nothing can be held of this run
        return {}, "the log of what it reads was lost"
    now = key.parts(project, modules, task.chapter, task.changes)
    names = seen.entries(project, modules, task.chapter, notes)
    names -= {f"code {path}" for path in parts["modules"]}
    edited = key.difference(task.parts, now)
    if not edited:
        files = {*now["modules"], *(entry.partition(" ")[2].split(":")[0] for entry in names)}
        touched = sorted(path for path in files if _touched(project.root / path, since))
        edited = ", ".join(touched)
    marks = seen.marks(project.root, modules, task.chapter, names)
    return marks, f"{edited} changed" if edited else ""


def _touched(path: Path, since: datetime) -> bool:
    """Tell whether a file was written after a moment, even if it is as it was before."""
    try:
        state = path.stat()
    except OSError:
        return False
    return since.timestamp() <= max(state.st_mtime, state.st_ctime) <= time.time()


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
