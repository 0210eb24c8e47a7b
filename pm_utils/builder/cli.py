"""The command line: ``pm book``, ``pm run``, ``pm status`` and ``pm seeds``."""

import argparse
import json
import os
import signal
import sys
from dataclasses import replace
from typing import Any

from pm_utils.builder import bounds, chapters, html, key, pages, pins, profiles, runs, seen
from pm_utils.builder.progress import report
from pm_utils.builder.project import BuildError, Project
from pm_utils.builder.runs import Task

INTERRUPTED = 130


def parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    top = argparse.ArgumentParser(prog="pm", description="Run the notebooks and build the book.")
    commands = top.add_subparsers(dest="command", required=True)

    def command(name: str, text: str) -> argparse.ArgumentParser:
        sub = commands.add_parser(name, help=text, description=text)
        sub.add_argument("--profile", default="quick", help="quick (default) or full")
        return sub

    def with_jobs(sub: argparse.ArgumentParser) -> argparse.ArgumentParser:
        cores = os.cpu_count() or 1
        text = "chapters side by side (default: one per core)"
        sub.add_argument("--jobs", type=_positive, default=cores, help=text)
        return sub

    book = with_jobs(command("book", "Run what is out of date and build the HTML."))
    book.add_argument("--cold", action="store_true", help="run every chapter, build every page")
    run = with_jobs(command("run", "Run a chapter, and what it needs, where out of date."))
    run.add_argument("chapter", help="a number or a name")
    status = command("status", "Say which chapters are up to date, and why others are not.")
    status.add_argument("--json", action="store_true", help="for programs")
    seeds = with_jobs(command("seeds", "Run a chapter under many seeds, write tests/bounds.json."))
    seeds.add_argument("chapter", help="a number or a name")
    seeds.add_argument("--runs", type=_several, default=10, help="how many seeds (default: 10)")
    return top


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError("give a number of at least 1")
    return number


def _several(text: str) -> int:
    if int(text) < 2:
        raise argparse.ArgumentTypeError("give at least 2, an interval needs as many")
    return int(text)


def main(arguments: list[str] | None = None) -> int:
    """Run the command line.

    Parameters
    ----------
    arguments : list of str, optional
        The words after ``pm``.

    Returns
    -------
    int
        0 when all is well, 1 when something failed, 2 for a wrong call or a wrong repository,
        130 when interrupted.
    """
    options = parser().parse_args(arguments)
    handler = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        return COMMANDS[options.command](Project.find(), options)
    except BuildError as error:
        for problem in error.problems:
            print(f"error: {problem}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("interrupted: finished chapters are kept, call again to go on", file=sys.stderr)
        return INTERRUPTED
    finally:
        signal.signal(signal.SIGTERM, handler)


def load_tasks(project: Project, options: argparse.Namespace) -> tuple[dict[str, Task], str | None]:
    """Read chapters, profile and table of contents; report all that is wrong together.

    Returns
    -------
    dict, str or None
        The task of every chapter and the name of the chapter that the call asks for, if any.

    Raises
    ------
    BuildError
        When anything is wrong.
    """
    problems: list[str] = []
    found = chapters.discover(project, problems)
    changes = profiles.load_profile(project, options.profile, found, problems)
    wish = getattr(options, "chapter", None)
    name = chapters.select(found, wish, problems) if wish else None
    if options.command == "book":
        html.check_toc(project, list(found), problems)
    if options.command != "status":
        pins.check_pins(project, problems)
    if problems:
        raise BuildError(problems)
    return runs.chapter_tasks(project, options.profile, found, changes), name


def _chapters(tasks: dict[str, Task]) -> dict[str, chapters.Chapter]:
    return {name: task.chapter for name, task in tasks.items()}


def book(project: Project, options: argparse.Namespace) -> int:
    """Run every chapter that is out of date, write the pages and build the HTML."""
    tasks, _ = load_tasks(project, options)
    with project.lock() as lock, html.renderer(project, lock=lock) as renderer:
        pages.forget_pages(project, options.profile, set(tasks))
        with report() as shown:
            outcomes = runs.run_all(
                project, tasks, jobs=options.jobs, report=shown, cold=options.cold
            )
        pages.publish(project, tasks, outcomes)
        pages.write_pages(project, tasks, outcomes)
        counts = [outcome.status for outcome in outcomes.values()]
        told = {
            "executed": "done",
            "unchanged": "current",
            "failed": "failed",
            "left out": "skipped",
        }
        print("chapters: " + ", ".join(f"{counts.count(s)} {t}" for t, s in told.items()))
        good = all(outcome.good for outcome in outcomes.values())
        if options.cold:
            html.forget_html(project)
        try:
            changed = html.build(project, renderer, strict=good)
        except html.HtmlError as error:
            print(f"the HTML has warnings or errors:\n{error}", file=sys.stderr)
            return 1
    print("HTML: built" if changed else "HTML: unchanged")
    print(f"open {project.build / 'html' / 'index.html'}")
    return 0 if good else 1


def run(project: Project, options: argparse.Namespace) -> int:
    """Run one chapter, and what it needs, where they are out of date."""
    tasks, name = load_tasks(project, options)
    wanted = chapters.with_upstream(_chapters(tasks), [name])
    tasks = {name: task for name, task in tasks.items() if name in wanted}
    with project.lock(), report() as shown:
        outcomes = runs.run_all(project, tasks, jobs=options.jobs, report=shown)
        pages.publish(project, tasks, outcomes)
    for label, outcome in outcomes.items():
        if outcome.status == "current":
            print(f"{label}: unchanged")
    return 0 if all(outcome.good for outcome in outcomes.values()) else 1


def status(project: Project, options: argparse.Namespace) -> int:
    """Print the state of every chapter."""
    tasks, _ = load_tasks(project, options)
    reasons = runs.stale_reasons(tasks)
    facts = {name: _state(project, task, reasons[name]) for name, task in tasks.items()}
    if options.json:
        print(json.dumps(facts, indent=2))
        return 0
    for name, fact in facts.items():
        note = fact["reason"] or f"{fact['seconds']:.1f} s, {fact['peak_memory_mb']:.0f} MB"
        if fact["read_besides"]:
            note += f"; it read besides: {', '.join(fact['read_besides'])}"
        print(f"{name:32} {fact['state']:12} {note}")
    return 0


def _state(project: Project, task: Task, reason: str) -> dict[str, Any]:
    record = runs.read_record(task.folder)
    failure = runs.read_record(project.aside("failed", task.folder))
    state = "out of date" if reason else "up to date"
    parts = key.digest(runs.present_parts(task))
    if task.problem:
        state, reason = "failed", task.problem
    elif reason and failure and key.digest(failure["parts"]) == parts:
        state, reason = "failed", failure["error"]
    fields = ("seconds", "peak_memory_mb", "finished")
    shown = {field: record[field] if record else None for field in fields}
    besides = {"read_besides": seen.missed(record) if record else []}
    return {"state": state, "reason": reason, **shown, **besides, "title": task.chapter.title}


def seeds(project: Project, options: argparse.Namespace) -> int:
    """Run a chapter under seeds 0, 1, … and write its bounds."""
    from pm_utils.page import scoreboard

    tasks, name = load_tasks(project, options)
    above = chapters.with_upstream(_chapters(tasks), [name]) - {name}
    tasks_above = {other: tasks[other] for other in above}
    seeded = {task.label: task for task in _seeded(project, tasks[name], options.runs)}
    with project.lock(), report() as shown:
        todo = tasks_above | seeded
        outcomes = runs.run_all(project, todo, jobs=options.jobs, report=shown)
        pages.publish(project, tasks_above, {other: outcomes[other] for other in tasks_above})
    if not all(outcome.good for outcome in outcomes.values()):
        print("tests/bounds.json is left as it was: not every run succeeded", file=sys.stderr)
        return 1
    try:
        boards = [
            scoreboard.read_scoreboard(task.folder / runs.SCOREBOARD) for task in seeded.values()
        ]
        entry = bounds.summarise_seeds(boards)
        bounds.write_bounds(project.root / "tests" / "bounds.json", name, entry)
    except (FileNotFoundError, ValueError) as error:
        print(f"tests/bounds.json is left as it was: {error}", file=sys.stderr)
        return 1
    print(f"tests/bounds.json: {len(entry['rows'])} rows of {name} from {len(boards)} seeds")
    return 0


def _seeded(project: Project, task: Task, number: int) -> list[Task]:
    """Return a chapter's task under each of the first seeds, stored apart from the book's runs."""
    folder = project.build / "seeds" / task.profile / task.chapter.name
    tasks = []
    for seed in range(number):
        changes = {k: v for k, v in task.changes.items() if k != "seed"}
        if seed != task.chapter.parameters["seed"]:
            changes["seed"] = seed
        parts = task.parts | {"parameters": task.chapter.parameters | changes}
        label, place = f"{task.label} seed {seed}", folder / f"{seed:03d}"
        tasks.append(replace(task, label=label, changes=changes, parts=parts, folder=place))
    return tasks


COMMANDS = {"book": book, "run": run, "status": status, "seeds": seeds}

if __name__ == "__main__":
    sys.exit(main())
