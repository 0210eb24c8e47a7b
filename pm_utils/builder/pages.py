"""The pages that come from runs: executed chapters, and the tables that prose pages include."""

import copy
from typing import Any

import nbformat
from nbformat import NotebookNode

from pm_utils.builder import isolation, provenance, runs, seeds
from pm_utils.builder.chapters import Chapter, tags
from pm_utils.builder.code import digest
from pm_utils.builder.editions import executed_edition
from pm_utils.builder.key import PACKAGE
from pm_utils.builder.package_map import package_map
from pm_utils.builder.progress import say
from pm_utils.builder.project import BuildError, Project, explain, write_whole
from pm_utils.builder.runs import SCOREBOARD, Outcome, Task
from pm_utils.builder.tables import as_shown, table
from pm_utils.builder.working_copies import read_words
from pm_utils.page import evidence

INJECTED = "injected-parameters"
DOWNLOADS = "downloads"


def publish(project: Project, tasks: dict[str, Task], outcomes: dict[str, Outcome]) -> None:
    """Copy the scoreboards of good runs to the results and remove those of the others.

    Parameters
    ----------
    project : Project
        The checkout.
    tasks, outcomes : dict
        What was run and how it ended, by chapter.
    """
    for name, outcome in outcomes.items():
        if name not in tasks:
            continue
        target = project.results(tasks[name].profile) / f"{name}.json"
        scoreboard = tasks[name].folder / SCOREBOARD
        if outcome.good and scoreboard.is_file():
            write_whole(target, scoreboard.read_text(encoding="utf-8"))
        else:
            target.unlink(missing_ok=True)


def forget_pages(project: Project, profile: str, names: set[str]) -> None:
    """Remove the runs and results of chapters that no longer exist, `names` being those that do."""
    folders = [project.runs(profile), project.build / "failed" / "runs" / profile]
    for path in [path for folder in folders for path in folder.glob("*")]:
        if path.name not in names:
            project.remove(path)
    for path in project.results(profile).glob("*.json"):
        if path.stem not in names:
            project.remove(path)


def assemble(chapter: Chapter, executed: NotebookNode) -> NotebookNode:
    """Return the source's cells with the outputs of an executed notebook in them.

    Parameters
    ----------
    chapter : Chapter
        The present source. Its code cells are those that were executed, its prose may differ.
    executed : nbformat.NotebookNode
        The stored run. Parameters that papermill injected stay visible after the cell that they
        override; the builder injects only values that differ.

    Returns
    -------
    nbformat.NotebookNode
    """
    page = copy.deepcopy(chapter.notebook)
    for field in ("language_info", "widgets"):
        if field in executed.metadata:
            page.metadata[field] = executed.metadata[field]
    ran = [cell for cell in executed.cells if cell.cell_type == "code"]
    injected = [cell for cell in ran if INJECTED in tags(cell)]
    outputs = iter(cell for cell in ran if INJECTED not in tags(cell))
    cells = []
    for cell in page.cells:
        cells.append(cell)
        if cell.cell_type == "code":
            done = next(outputs)
            cell.outputs, cell.execution_count = done.outputs, done.execution_count
            if "parameters" in tags(cell):
                cells.extend(_clean(other) for other in injected)
    page.cells = cells
    provenance.settle_outputs(page)
    return page


def _clean(injected: NotebookNode) -> NotebookNode:
    """Return the injected cell with an identifier that is the same in every run."""
    cell = nbformat.v4.new_code_cell(injected.source, id=INJECTED)
    cell.outputs, cell.execution_count = injected.outputs, injected.execution_count
    return cell


def substitute(chapter: Chapter, reason: str) -> NotebookNode:
    """Return the page of a chapter that has no current run: its title and the reason."""
    text = f"# {chapter.title}\n\n`````{{error}}\nThis build has no figures for this chapter.\n\n"
    text += f"````text\n{chapter.name}: {reason}\n````\n`````\n"
    page = nbformat.v4.new_notebook(cells=[nbformat.v4.new_markdown_cell(text, id="failed")])
    page.metadata = {key: chapter.notebook.metadata[key] for key in ("kernelspec",)}
    return page


def page_sources(project: Project) -> dict[str, str]:
    """Return the fingerprints of what `write_pages` shows besides the runs and ``book/``.

    These are the notebooks, the evidence and the package, whose code writes the pages and whose
    docstrings they show. Take them before the notebooks are read: what is edited later is then
    seen as changed.
    """
    paths = [*project.sources, *sorted((project.root / PACKAGE).rglob("*.py"))]
    paths += sorted(seeds.folder(project).rglob("*.json"))
    return {str(path): digest(path.read_bytes()) for path in paths if path.is_file()}


def records(tasks: dict[str, Task]) -> dict[str, str]:
    """Return the fingerprints of the records of stored runs, which hold those of their files."""
    paths = [task.folder / runs.RECORD for task in tasks.values()]
    return {str(path): digest(path.read_bytes()) for path in paths if path.is_file()}


def executed_pages(
    project: Project, tasks: dict[str, Task], outcomes: dict[str, Outcome]
) -> dict[str, NotebookNode]:
    """Return the page of each good chapter with the outputs of its stored run.

    A chapter whose run cannot be shown becomes a failed one in `outcomes`, and it is said why.
    """
    found = {}
    for name, task in tasks.items():
        if outcomes[name].good:
            try:
                executed = nbformat.read(task.folder / runs.NOTEBOOK, as_version=4)
                runs.check_scoreboard(task.folder)
                found[name] = assemble(task.chapter, executed)
            except Exception as error:  # whatever is wrong with one run, the others are shown
                reason = f"failed at its page: {explain(error)}"
                outcomes[name] = Outcome(
                    "failed", f"{reason} (remove {task.folder} to run it again)"
                )
                publish(project, tasks, {name: outcomes[name]})
                say(f"{name}: {outcomes[name].reason}")
    return found


def write_pages(project: Project, tasks: dict[str, Task], outcomes: dict[str, Outcome]) -> None:
    """Write every chapter's page and the included tables, touching only what changes.

    A chapter whose stored run cannot be shown becomes a failed one in `outcomes`.
    """
    if project.pages.is_symlink():
        raise BuildError([f"{project.pages} is a link: remove it, pm removes old pages there"])
    executed = executed_pages(project, tasks, outcomes)
    words = read_words(project, {name: task.chapter for name, task in tasks.items()})
    origins = {}
    for name, task in tasks.items():
        download = project.generated / DOWNLOADS / f"{name}.ipynb"
        if page := executed.get(name):
            origins[name] = provenance.read_provenance(task, page)
            write_whole(
                download, nbformat.writes(executed_edition(task.chapter, page, words)) + "\n"
            )
            if note := _evidence_note(project, task, tasks):
                page.cells.append(note)
            page.cells.append(_download(name))
        else:
            download.unlink(missing_ok=True)
            page = substitute(task.chapter, outcomes[name].reason)
        write_whole(project.pages / f"{name}.ipynb", nbformat.writes(page) + "\n")
    for path in [*project.pages.glob("*"), *(project.generated / DOWNLOADS).glob("*")]:
        if path.stem not in tasks and path.is_file():
            path.unlink()
    origins = {name: facts for name, facts in origins.items() if facts}
    provenance.publish_results(project, tasks, outcomes, origins)
    write_whole(project.generated / "provenance.md", provenance.provenance_table(origins))
    for file, text in scoreboard_texts(project, tasks).items():
        write_whole(project.generated / file, text)
    write_whole(project.generated / "built.md", built_table(project, tasks, outcomes))
    write_whole(project.generated / "package.md", package_map(project.root / PACKAGE, list(tasks)))


def evidence_age(project: Project, task: Task, tasks: dict[str, Task]) -> str:
    """Return in words how old a chapter's evidence is, an empty text where none is wanted."""
    board = task.folder / SCOREBOARD
    known = evidence.read_evidence(task.chapter.name, task.profile, seeds.folder(project))
    if known is None and not board.is_file():
        return ""
    return seeds.age(known, task, tasks) or f"{len(known.seeds)} seeds {evidence.OF_THIS_CODE}"


def _evidence_note(project: Project, task: Task, tasks: dict[str, Task]) -> NotebookNode | None:
    """Return the cell that says why the evidence of a page is not of its code."""
    age = evidence_age(project, task, tasks)
    if not age or age.endswith(evidence.OF_THIS_CODE):
        return None
    text = "No seeds were run for this page: its verdicts rest on one run."
    if age != evidence.NO_EVIDENCE:
        text = f"What the seeds say is older than this page. Changed since: {age}."
    return nbformat.v4.new_markdown_cell(f":::{{note}}\n{text}\n:::", id="evidence")


def _download(name: str) -> NotebookNode:
    """Return the cell that ends a page: the way to the executed notebook."""
    link = f"{{download}}`{name}.ipynb <../_generated/{DOWNLOADS}/{name}.ipynb>`"
    text = f"---\n\nThis chapter as an executed notebook, numbers in place: {link}."
    return nbformat.v4.new_markdown_cell(text, id="download")


def scoreboard_texts(project: Project, tasks: dict[str, Task]) -> dict[str, str]:
    """Return what prose pages include of all published results, by file.

    These are the table of all headline rows, and three of them as sentences.
    """
    from pm_utils.page import scoreboard

    profiles = {task.profile for task in tasks.values()}
    paths = [path for p in sorted(profiles) for path in sorted(project.results(p).glob("*.json"))]
    boards = [scoreboard.read_scoreboard(path) for path in paths]
    texts = {"scoreboard.md": scoreboard.markdown_table, "examples.md": scoreboard.examples}
    with isolation.evidence_from(seeds.folder(project)):
        return {file: write(boards) for file, write in texts.items()}


def built_table(project: Project, tasks: dict[str, Task], outcomes: dict[str, Outcome]) -> str:
    """Return how the book was built as Markdown, from the records of the runs alone.

    A call that runs nothing therefore writes the same text again, whatever the day or the commit.
    """
    head = ["Chapter", "Status", "Seconds", "Peak memory (MB)", "Seed", "Finished (UTC)"]
    head += ["Commit", "Evidence"]
    rows = [head, ["---", "---", "---:", "---:", "---:", "---", "---", "---"]]
    records = []
    for name, task in tasks.items():
        page, outcome = f"[{name}](chapters/{name}.ipynb)", outcomes[name]
        record = runs.read_record(task.folder)
        if not outcome.good or record is None:
            rows.append([page, outcome.status, *["–"] * 6])
            continue
        records.append(record)
        age = evidence_age(project, task, tasks)
        said = age if age.endswith(evidence.OF_THIS_CODE) or not age else "older than this code"
        said = "none" if age == evidence.NO_EVIDENCE else said
        rows.append([page, "executed", *_figures(record, task), said])
    return f"{table(rows)}\n{_facts(tasks, records)}"


def _figures(record: dict[str, Any], task: Task) -> list[str]:
    seed = task.parts["parameters"]["seed"]
    finished = record["finished"][:16].replace("T", " ")
    seconds, memory = record["seconds"], record["peak_memory_mb"]
    return [
        f"{seconds:.1f}",
        f"{memory:.0f}",
        str(seed),
        as_shown(finished),
        as_shown(record["commit"]),
    ]


def _facts(tasks: dict[str, Task], records: list[dict[str, Any]]) -> str:
    facts = {"profile": ", ".join(sorted({task.profile for task in tasks.values()}))}
    if records:
        facts["seconds in all chapters"] = f"{sum(r['seconds'] for r in records):.1f}"
        newest = max(records, key=lambda record: record["finished"])
        facts |= newest["environment"]
        facts["pins of requirements.lock (SHA-256, first digits)"] = newest["parts"].get(
            "requirements.lock"
        )
    rows = [[as_shown(name), as_shown(value)] for name, value in facts.items()]
    return table([["", ""], ["---", "---"], *rows])
