"""Copies of the chapters for readers: to work in, without solutions, with them, or as executed.

All are written from the notebooks under git, which nobody needs to open to read or to try them.
"""

import copy
import itertools
import re
from dataclasses import replace
from pathlib import Path

import nbformat
from nbformat import NotebookNode
from nbformat.v4 import new_code_cell, new_markdown_cell

from pm_utils.builder.chapters import Chapter, tags
from pm_utils.builder.project import BuildError, Project, write_whole
from pm_utils.builder.runs import NOTEBOOK
from pm_utils.builder.working_copies import (
    EXERCISE,
    Words,
    read_numbers,
    read_words,
    readable,
    stored_numbers,
)

FOLDED = {"source_hidden": True, "outputs_hidden": True}
NOTE = {
    "play": "A working copy: change what you like. `pm play --renew` brings the original back. ",
    "student": "The student edition: exercises without solutions. ",
    "solutions": "The edition with solutions. ",
    "executed": "The executed chapter. ",
}
STORED = "Numbers in the text are those of the book's last run; what you run may give others."


def edition(chapter: Chapter, words: Words, *, kind: str) -> NotebookNode:
    """Return a chapter as one of its editions.

    Parameters
    ----------
    chapter : Chapter
        The source; for the executed edition, with the page of a run as its notebook.
    words : Words
        What its roles stand for.
    kind : {"play", "student", "solutions", "executed"}
        To work in, with solutions folded away; without solutions; with open solutions; or with the
        outputs of a run, solutions folded.

    Returns
    -------
    nbformat.NotebookNode
    """
    cells: list[NotebookNode] = []
    specs = _self_checks(chapter.notebook)
    for cell in chapter.notebook.cells:
        if "solution" in tags(cell):
            cells += [] if kind == "student" else _solution(cell, words, folded=kind != "solutions")
            continue
        cells += _plain(cell, words)
        if "exercise" in tags(cell) and kind in ("play", "student"):
            cells += _answer(cell, specs)
        if len(cells) == 1:
            cells.append(new_markdown_cell(f"*{NOTE[kind]}{STORED}*", id="edition-note"))
    _announce_folded(cells)
    made = nbformat.v4.new_notebook(cells=cells)
    kept = ("kernelspec", "language_info", "widgets")
    made.metadata = {
        k: chapter.notebook.metadata[k] for k in kept if k in chapter.notebook.metadata
    }
    made.nbformat_minor = chapter.notebook.nbformat_minor
    return made


def _plain(cell: NotebookNode, words: Words) -> list[NotebookNode]:
    """Return a cell with readable text, and the caption of the figure that it draws."""
    made = copy.deepcopy(cell)
    if cell.cell_type == "markdown":
        made.source = readable(cell.source, words)
        return [made] if made.source else []
    figure = made.metadata.pop("mystnb", {}).get("figure", {})
    made.metadata.pop("self_check", None)
    if "caption" not in figure:
        return [made]
    number = words.labels.get(figure.get("name", cell.id), "Figure")
    caption = f"**{number}.** {readable(figure['caption'], words)}"
    return [made, new_markdown_cell(caption, id=f"{cell.id}-caption")]


def _solution(cell: NotebookNode, words: Words, *, folded: bool) -> list[NotebookNode]:
    """Return a cell of a solution, folded away or open."""
    made = _plain(cell, words)
    if not folded:
        return made
    for part in made:
        if part.cell_type == "code":
            part.metadata["jupyter"] = dict(FOLDED)
        else:
            part.source = _details(part.source)
    return made


def _details(text: str) -> str:
    """Fold text as every notebook program can: in HTML's own element."""
    title, _, rest = text.partition("\n")
    if not title.startswith("**Solution of"):
        title, rest = "What it says", text
    if not rest.strip():
        return title
    summary = title.strip("*")
    return f"<details><summary>{summary}</summary>\n\n{rest.strip()}\n\n</details>"


def _announce_folded(cells: list[NotebookNode]) -> None:
    """Say, in each text of a solution before a folded cell, that it is there."""
    for cell, following in itertools.pairwise(cells):
        told = cell.cell_type == "markdown" and "solution" in tags(cell)
        if told and following.metadata.get("jupyter") == FOLDED:
            cell.source += "\n\nThe code" if cell.source.endswith("</details>") else ""
            cell.source += ", folded: open the next cell by a click on its dots."


def _self_checks(notebook: NotebookNode) -> dict[str, dict]:
    """Return what each solution says about its check, by the label of the exercise."""
    specs, label = {}, ""
    for cell in notebook.cells:
        if found := re.match(r"[`:]{3,}\{solution-start\} *(\S+)", cell.source):
            label = found[1]
        if "self_check" in cell.metadata:
            specs[label] = cell.metadata["self_check"]
    return specs


def _answer(cell: NotebookNode, specs: dict[str, dict]) -> list[NotebookNode]:
    """Return the cells below an exercise: for the reader's answer, and for its check."""
    found = EXERCISE.search(cell.source)
    label = found[1] if found else cell.id
    spec, slug = specs.get(label, {}), re.sub(r"[^a-z0-9]+", "-", label.lower()).strip("-")
    if "expression" not in spec:
        why = spec.get("none", "its answer is not one number")
        text = f"*No self-check: {why}. Compare with the solution.*"
        answer = new_code_cell("# Your answer\n", id=f"answer-{slug}")
        return [answer, new_markdown_cell(text, id=f"check-{slug}")]
    name = "answer_" + slug.replace("-", "_").removeprefix("ex_")
    code = f"# Your answer: put {spec['answer']} in place of the dots.\n{name} = ..."
    check = "from pm_utils.page.self_check import self_check\n\n"
    check += f'print(self_check("{label}", {name}))'
    return [
        new_code_cell(code, id=f"answer-{slug}"),
        new_code_cell(check, id=f"check-{slug}"),
    ]


def all_editions(
    project: Project, chapters: dict[str, Chapter], names: list[str], *, kind: str, profile: str
) -> dict[str, NotebookNode]:
    """Return editions of some chapters, with the numbers of their last runs.

    Parameters
    ----------
    project : Project
        The checkout.
    chapters : dict
        All its chapters.
    names : list of str
        Those that are wanted. Links lead to these and to those that lie in ``play/``.
    kind : {"play", "student", "solutions"}
        See `edition`.
    profile : str
        Whose runs give the numbers.

    Returns
    -------
    dict
        The editions by the names of their chapters.
    """
    words, made = read_words(project, chapters), {}
    beside = {path.stem for path in project.play.glob("*.ipynb")} if kind == "play" else set()
    for name in names:
        numbers = read_numbers(project.runs(profile) / name / NOTEBOOK)
        copies = frozenset(beside.union(names) - {name})
        own = replace(words, copies=copies, numbers=numbers)
        made[name] = edition(chapters[name], own, kind=kind)
    return made


def executed_edition(chapter: Chapter, page: NotebookNode, words: Words) -> NotebookNode:
    """Return a chapter's page as a notebook to be read anywhere, numbers in place.

    Parameters
    ----------
    chapter : Chapter
        The source.
    page : nbformat.NotebookNode
        The source with the outputs of its run, see `pm_utils.builder.pages.assemble`.
    words : Words
        Of the book.
    """
    own = replace(words, numbers=stored_numbers(page))
    return edition(replace(chapter, notebook=page), own, kind="executed")


def write_editions(
    project: Project, notebooks: dict[str, NotebookNode], folder: Path, *, renew: bool
) -> dict[str, bool]:
    """Write editions into a folder and keep those that are there already.

    Parameters
    ----------
    project : Project
        The checkout.
    notebooks : dict
        The editions by the names of their chapters.
    folder : pathlib.Path
        Where they go; it is made.
    renew : bool
        Whether to replace those that are there.

    Returns
    -------
    dict
        Whether each was written. False: it was there and is kept.

    Raises
    ------
    BuildError
        When the folder holds the sources, or is no folder.
    """
    folder = check_folder(project, folder)
    written = {}
    for name, notebook in notebooks.items():
        path = folder / f"{name}.ipynb"
        written[name] = renew or not path.exists()
        if written[name]:
            write_whole(path, nbformat.writes(notebook) + "\n")
    return written


def check_folder(project: Project, folder: Path) -> Path:
    """Return a folder as an absolute path.

    Raises
    ------
    BuildError
        When it lies among the sources or the built pages, or is a file.
    """
    folder = folder.resolve()
    kept = (project.notebooks, project.book, project.build, project.root / "pm_utils")
    inside = [place.name for place in kept if folder.is_relative_to(place.resolve())]
    if inside or folder == project.root.resolve():
        where = inside[0] if inside else "the checkout itself"
        raise BuildError([f"DIR is {folder}, in {where}: give a folder apart, such as play"])
    blocking = [path for path in (folder, *folder.parents) if path.exists() and not path.is_dir()]
    if blocking:
        raise BuildError([f"DIR is {folder}, but {blocking[0]} is a file: give a folder"])
    return folder
