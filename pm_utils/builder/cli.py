"""The command line: ``pm book``, ``run``, ``status``, ``seeds``, ``verify``, ``doctor`` and more.

What takes long to import is imported in functions, once signals are listened to.
"""

import argparse
import json
import os
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pm_utils.builder import doctor
from pm_utils.builder.interruption import Interruption
from pm_utils.builder.limits import Limits
from pm_utils.builder.progress import go_deaf, report, say
from pm_utils.builder.project import BuildError, Project, explain

if TYPE_CHECKING:
    from pm_utils.builder.chapters import Chapter
    from pm_utils.builder.runs import Outcome, Task
    from pm_utils.page.evidence import Evidence

NOBODY_READS = 141


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
        text = f"how long one cell may run (default: {Limits.seconds:g}; 0: no limit)"
        sub.add_argument("--cell-seconds", type=_seconds, default=Limits.seconds, help=text)
        return sub

    book = with_jobs(command("book", "Run what is out of date and build the HTML."))
    book.add_argument("--cold", action="store_true", help="run every chapter, build every page")
    run = with_jobs(command("run", "Run a chapter, and what it needs, where out of date."))
    run.add_argument("chapter", help="a number or a name")
    status = command("status", "Say which chapters are up to date, and why others are not.")
    status.add_argument("--json", action="store_true", help="for programs")
    seeds = with_jobs(command("seeds", "Run chapters under many seeds and write evidence/."))
    seeds.add_argument("chapter", nargs="?", help="a number or a name (default: all)")
    text = "how many seeds (default: 10, 3 under another profile than quick)"
    seeds.add_argument("--runs", type=_several, help=text)
    verify = command("verify", "Compare the last build's figures with the evidence.")
    verify.add_argument("--json", action="store_true", help="for programs")
    text = "Remove all that is built, unless another pm works."
    commands.add_parser("clean", help=text, description=text)
    text = "Say whether this machine has what the book needs, and what to do where not."
    doctor.add_options(commands.add_parser("doctor", help=text, description=text))
    play = command("play", "Write working copies of the chapters into play/.")
    play.add_argument("chapter", nargs="?", help="a number or a name (default: all)")
    play.add_argument("--lab", action="store_true", help="then open JupyterLab there")
    student = command("student", "Write the chapters without solutions into a folder.")
    solutions = command("solutions", "Write the chapters with solutions into a folder.")
    for sub in (student, solutions):
        sub.add_argument("folder", metavar="DIR", help="where to write")
    for sub in (play, student, solutions):
        sub.add_argument("--renew", action="store_true", help="replace the copies that are there")
    return top


def _seconds(text: str) -> float:
    number = float(text)
    if not 0 <= number < float("inf"):
        raise argparse.ArgumentTypeError("give a number of seconds of at least 0")
    return number


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
        130 when interrupted, 143 when terminated, 141 when nobody reads what it says.
    """
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")  # whatever the terminal can show
    with Interruption() as interruption:
        options = parser().parse_args(arguments)
        from pm_utils.builder import html, pages, seeds  # noqa: F401 - and all that they import

        interruption.at_once = False
        status = None
        try:
            status = _main(options)
        except BaseException:  # a library may have turned the interruption into its own error
            if interruption.number is None:
                raise
        if interruption.number is None:
            return status
        interruption.tell()
        return interruption.status


def _main(options: argparse.Namespace) -> int:
    """Carry out a command; what it refuses and what the system refuses becomes a sentence."""
    try:
        status = COMMANDS[options.command](Project.find(), options)
        sys.stdout.flush()
        return status
    except BuildError as error:
        for problem in error.problems:
            print(f"error: {problem}", file=sys.stderr)
        return 2
    except BrokenPipeError:  # as with ``pm status | head -1``
        go_deaf()
        return NOBODY_READS
    except OSError as error:
        print(f"error: {explain(error)}", file=sys.stderr)
        return 1


def load_tasks(
    project: Project, options: argparse.Namespace
) -> tuple[dict[str, "Task"], str | None]:
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
    from pm_utils.builder import chapters, html, pins, profiles, runs

    problems: list[str] = []
    found = chapters.discover(project, problems)
    changes = profiles.load_profile(project, options.profile, found, problems)
    requested = getattr(options, "chapter", None)
    name = chapters.select(found, requested, problems) if requested is not None else None
    if options.command == "book":
        html.check_config(project, problems)
        html.check_toc(project, list(found), problems)
    if options.command in ("book", "run", "seeds"):
        pins.check_pins(project, problems)
    if problems:
        raise BuildError(problems)
    return runs.chapter_tasks(project, options.profile, found, changes), name


def _run_all(
    project: Project,
    tasks: dict[str, "Task"],
    options: argparse.Namespace,
    *,
    reasons: dict[str, str] | None = None,
    cold: bool = False,
) -> dict[str, "Outcome"]:
    """Run tasks as the options say and publish the result of each chapter as soon as it ends."""
    from pm_utils.builder import pages, runs

    chapters = {label: task for label, task in tasks.items() if label == task.chapter.name}

    def publish(label: str, outcome: "Outcome") -> None:
        pages.publish(project, chapters, {label: outcome})

    limits = Limits(seconds=options.cell_seconds)
    settings = {"jobs": options.jobs, "cold": cold, "limits": limits, "ended": publish}
    settings["reasons"] = reasons
    with report() as shown:
        return runs.run_all(project, tasks, report=shown, **settings)


def _chapters(tasks: dict[str, "Task"]) -> dict[str, "Chapter"]:
    return {name: task.chapter for name, task in tasks.items()}


def book(project: Project, options: argparse.Namespace) -> int:
    """Run every chapter that is out of date, write the pages and build the HTML."""
    from pm_utils.builder import html, pages, runs

    sources = pages.page_sources(project)
    tasks, _ = load_tasks(project, options)
    with project.lock() as lock, html.Renderer(project, lock=lock) as renderer:
        reasons = runs.stale_reasons(tasks)
        kept = not options.cold and not any(reasons.values())
        kept = kept and html.is_current(project, sources | pages.records(tasks))
        pages.forget_pages(project, options.profile, set(tasks))
        if kept:  # nothing is run or written, so nothing is loaded for it
            runs.clean(project)
            outcomes = dict.fromkeys(tasks, runs.Outcome("current"))
            pages.publish(project, tasks, outcomes)
        else:
            renderer.start()  # it has loaded its libraries when the pages are written
            outcomes = _run_all(project, tasks, options, reasons=reasons, cold=options.cold)
        made_of = sources | pages.records(tasks)
        if not kept:
            pages.write_pages(project, tasks, outcomes)
        counts = [outcome.status for outcome in outcomes.values()]
        labels = {
            "executed": "done",
            "unchanged": "current",
            "failed": "failed",
            "left out": "skipped",
        }
        say("chapters: " + ", ".join(f"{counts.count(s)} {t}" for t, s in labels.items()))
        good = all(outcome.good for outcome in outcomes.values())
        if options.cold:
            html.forget_html(project)
        try:
            changed = html.build(project, renderer, strict=good, sources=made_of)
        except html.HtmlError as error:
            print(f"the HTML has warnings or errors:\n{error}", file=sys.stderr)
            return 1
    say("HTML: built" if changed else "HTML: unchanged")
    say(f"open {project.build / 'html' / 'index.html'}")
    return 0 if good else 1


def run(project: Project, options: argparse.Namespace) -> int:
    """Run one chapter, and what it needs, where they are out of date."""
    from pm_utils.builder import chapters

    tasks, name = load_tasks(project, options)
    wanted = chapters.with_upstream(_chapters(tasks), [name])
    tasks = {name: task for name, task in tasks.items() if name in wanted}
    with project.lock():
        outcomes = _run_all(project, tasks, options)
    for label, outcome in outcomes.items():
        if outcome.status == "current":
            say(f"{label}: unchanged")
    return 0 if all(outcome.good for outcome in outcomes.values()) else 1


def status(project: Project, options: argparse.Namespace) -> int:
    """Print the state of every chapter."""
    from pm_utils.builder import runs, seeds
    from pm_utils.page.evidence import OF_THIS_CODE

    tasks, _ = load_tasks(project, options)
    reasons = runs.stale_reasons(tasks)
    facts = {name: _state(project, task, reasons[name]) for name, task in tasks.items()}
    known = _evidence(project, tasks, options.profile)
    for name, task in tasks.items():
        facts[name]["evidence"] = seeds.age(known.get(name), task, tasks) or OF_THIS_CODE
    if options.json:
        print(json.dumps(facts, indent=2))
        return 0
    for name, fact in facts.items():
        note = fact["reason"] or f"{fact['seconds']:.1f} s, {fact['peak_memory_mb']:.0f} MB"
        if fact["read_besides"]:
            note += f"; it read besides: {', '.join(fact['read_besides'])}"
        print(f"{name:32} {fact['state']:12} {note}; evidence: {_short(fact['evidence'])}")
    return 0


def _short(age: str) -> str:
    """Return how old evidence is in few words; ``--json`` has them all."""
    from pm_utils.page.evidence import NO_EVIDENCE, OF_THIS_CODE

    if age in (NO_EVIDENCE, OF_THIS_CODE):
        return age
    return f"older than {age}" if len(age) < 60 else f"older than {age[:57]}..."


def _state(project: Project, task: "Task", reason: str) -> dict[str, Any]:
    from pm_utils.builder import code, runs, seen

    record = runs.read_record(task.folder)
    failure = runs.read_record(project.aside("failed", task.folder))
    state = "out of date" if reason else "up to date"
    parts = code.digest(runs.present_parts(task))
    if task.problem:
        state, reason = "failed", task.problem
    elif reason and failure and code.digest(failure["parts"]) == parts:
        state, reason = "failed", failure["error"]
    fields = ("seconds", "peak_memory_mb", "finished")
    shown = {field: record[field] if record else None for field in fields}
    besides = {"read_besides": seen.missed(record) if record else []}
    return {"state": state, "reason": reason, **shown, **besides, "title": task.chapter.title}


def seeds(project: Project, options: argparse.Namespace) -> int:
    """Run chapters under seeds 0, 1, … and with their variants, and write their evidence."""
    from pm_utils.builder import chapters

    tasks, name = load_tasks(project, options)
    wanted = [name] if name else list(tasks)
    found = _chapters(tasks)
    above = set().union(*(chapters.with_upstream(found, [one]) - {one} for one in wanted))
    needed = {other: task for other, task in tasks.items() if other in above}
    with project.lock():
        outcomes = _run_all(project, needed, options)
        good = all(outcome.good for outcome in outcomes.values())
        written = [_evidence_of(project, tasks, chapter, options) for chapter in wanted if good]
    return 0 if good and all(written) else 1


def _evidence_of(
    project: Project, tasks: dict[str, "Task"], name: str, options: argparse.Namespace
) -> bool:
    """Run one chapter under the seeds and write its evidence; tell whether that went well."""
    from pm_utils.builder import seeds

    task = tasks[name]
    number = options.runs or seeds.RUNS.get(task.profile, seeds.RUNS_OTHERWISE)
    kinds = seeds.seeded(project, task, number)
    every = {
        one.label: replace(one, after=frozenset()) for found in kinds.values() for one in found
    }
    outcomes = _run_all(project, every, options)
    left = "its evidence is left as it was"
    if not all(outcome.good for outcome in outcomes.values()):
        print(f"{name}: {left}: not every run succeeded", file=sys.stderr)
        return False
    try:
        boards = {kind: seeds.read_boards(found) for kind, found in kinds.items()}
        facts = {"made_of": seeds.made_of(task, tasks)}
        facts["changed"] = seeds.variants(task.chapter, task.changes)
        evidence = seeds.summarise_seeds(boards.pop(""), boards, **facts)
        path = seeds.write_evidence(project, evidence)
    except (FileNotFoundError, ValueError) as error:
        print(f"{name}: {left}: {error}", file=sys.stderr)
        return False
    say(f"{path}: {len(evidence.rows)} rows of {name} from {number} seeds")
    return True


def verify(project: Project, options: argparse.Namespace) -> int:
    """Compare the figures of the last build with the evidence."""
    from pm_utils.builder import verify
    from pm_utils.page import scoreboard

    tasks, _ = load_tasks(project, options)
    paths = {name: project.results(options.profile) / f"{name}.json" for name in tasks}
    boards = [scoreboard.read_scoreboard(path) for path in paths.values() if path.is_file()]
    evidence = _evidence(project, tasks, options.profile)
    figures = verify.compare(boards, evidence)
    missing = [name for name, path in paths.items() if not path.is_file()]
    outside = [figure for figure in figures if not figure["inside"]]
    if options.json:
        print(json.dumps({"figures": figures, "not built": missing}, indent=2))
        return 1 if outside or missing else 0
    for figure in figures:
        print(_verified(figure))
    for name in missing:
        print(f"{name}: not built, `pm book` builds it")
    total = f"{len(figures) - len(outside)} of {len(figures)} headline figures lie inside"
    print(f"{total}, {len(missing)} of {len(paths)} chapters are not built")
    return 1 if outside or missing else 0


def _verified(figure: dict[str, Any]) -> str:
    """Return the line of a figure: inside or outside of what one more run may give."""
    said = "no evidence"
    if figure["inside"] is not None:
        side = "inside" if figure["inside"] else "OUTSIDE"
        said = f"{side} {figure['low']:.5g} to {figure['high']:.5g}"
    return (
        f"{figure['chapter']}, {figure['metric']}, {figure['model']}: {figure['figure']:.5g} {said}"
    )


def _evidence(project: Project, tasks: dict[str, "Task"], profile: str) -> dict[str, "Evidence"]:
    """Return the evidence of all chapters that have some."""
    from pm_utils.builder import seeds
    from pm_utils.page.evidence import read_evidence

    found = {name: read_evidence(name, profile, seeds.folder(project)) for name in tasks}
    return {name: evidence for name, evidence in found.items() if evidence is not None}


def remove_built(project: Project, options: argparse.Namespace) -> int:
    """Remove all that is built but the lock, which keeps other builders out meanwhile."""
    with project.lock():
        project.clean()
    return 0


def examine_machine(project: Project, options: argparse.Namespace) -> int:
    """Say whether this machine has what the book needs."""
    return doctor.report_health(as_json=options.json)


def play(project: Project, options: argparse.Namespace) -> int:
    """Write working copies, keep those that are there, and open JupyterLab if asked to."""
    from pm_utils.builder import runs
    from pm_utils.page import artifacts

    tasks, name = load_tasks(project, options)
    names = [name] if name else list(tasks)
    _write(project, options, names, kind="play", folder=project.play)
    for name in names:
        inputs = tasks[name].inputs
        for file in tasks[name].chapter.needs:
            if file not in inputs or not inputs[file].is_file():
                print(f"{name} needs {file}: {artifacts.remedy(file)}")
    return runs.open_lab(project, project.play) if options.lab else 0


def student(project: Project, options: argparse.Namespace) -> int:
    """Write the edition without solutions."""
    return _edition(project, options, "student")


def solutions(project: Project, options: argparse.Namespace) -> int:
    """Write the edition with solutions."""
    return _edition(project, options, "solutions")


def _edition(project: Project, options: argparse.Namespace, kind: str) -> int:
    tasks, _ = load_tasks(project, options)
    _write(project, options, list(tasks), kind=kind, folder=Path(options.folder))
    return 0


def _write(
    project: Project, options: argparse.Namespace, names: list[str], *, kind: str, folder: Path
) -> None:
    from pm_utils.builder import chapters, editions, runs

    found = chapters.discover(project, [])
    made = editions.all_editions(project, found, names, kind=kind, profile=options.profile)
    written = editions.write_editions(project, made, folder, renew=options.renew)
    print(f"{folder}: {sum(written.values())} written")
    if kept := [name for name, new in written.items() if not new]:
        print(f"kept as they are, --renew replaces them: {', '.join(kept)}")
    unread = [n for n in names if not (project.runs(options.profile) / n / runs.NOTEBOOK).is_file()]
    if unread := [name for name in unread if written[name]]:
        print(
            f"without numbers in the text, for they were never run: {', '.join(unread)}; "
            "`pm run NN`, then this command with --renew puts them in"
        )


COMMANDS: dict[str, Callable[[Project, argparse.Namespace], int]] = {
    "book": book,
    "run": run,
    "status": status,
    "seeds": seeds,
    "verify": verify,
    "clean": remove_built,
    "doctor": examine_machine,
    "play": play,
    "student": student,
    "solutions": solutions,
}

if __name__ == "__main__":
    sys.exit(main())
