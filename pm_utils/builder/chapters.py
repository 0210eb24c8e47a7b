"""The chapters under ``notebooks/``: what each is called, needs, gives and can be told."""

import ast
import math
import re
import sys
from dataclasses import dataclass, field
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from typing import Any

import nbformat

from pm_utils.builder.project import Project

NAME = re.compile(r"\d\d-[a-z0-9]+(-[a-z0-9]+)*")
METADATA_FIELDS = {"title", "needs", "gives"}
VARIED = ("doubled", "halved")  # which a chapter with a network has besides


@dataclass(frozen=True)
class Chapter:
    """A notebook that takes part in the book.

    Attributes
    ----------
    name : str
        The file's name without suffix, as in ``"03-customer-profile"``.
    title : str
        What the page is called when it cannot be shown.
    needs, gives : tuple of str
        File names of artifacts.
    parameters : dict
        The values that the parameters cell assigns.
    notebook : nbformat.NotebookNode
        The source.
    doubled, halved : dict
        By what to multiply which parameters for twice the training, and for half of the data.
    """

    name: str
    title: str
    needs: tuple[str, ...]
    gives: tuple[str, ...]
    parameters: dict[str, Any]
    notebook: nbformat.NotebookNode
    doubled: dict[str, float] = field(default_factory=dict)
    halved: dict[str, float] = field(default_factory=dict)

    @property
    def code_cells(self) -> list[nbformat.NotebookNode]:
        """The code cells in order."""
        return [cell for cell in self.notebook.cells if cell.cell_type == "code"]


def tags(cell: nbformat.NotebookNode) -> list[str]:
    """Return the tags of a cell."""
    return cell.metadata.get("tags", [])


def discover(project: Project, problems: list[str]) -> dict[str, Chapter]:
    """Read every notebook of a project whose name starts with two digits; name the others.

    Parameters
    ----------
    project : Project
        The checkout.
    problems : list of str
        Whatever is wrong is appended here, one sentence each.

    Returns
    -------
    dict
        The chapters that could be read, by name, in the order of their numbers.
    """
    chapters: dict[str, Chapter] = {}
    others = sorted(set(project.notebooks.glob("*.ipynb")) - set(project.sources))
    if others:
        names = ", ".join(path.name for path in others)
        print(f"left alone, for a chapter's name starts with two digits: {names}", file=sys.stderr)
    for path in project.sources:
        if chapter := read_chapter(path, problems):
            chapters[chapter.name] = chapter
    numbers = [name[:2] for name in chapters]
    for number in sorted({n for n in numbers if numbers.count(n) > 1}):
        same = ", ".join(name for name in chapters if name.startswith(number))
        problems.append(f"the number {number} is used more than once: {same}")
    check_graph(chapters, problems)
    return chapters


def read_chapter(path: Path, problems: list[str]) -> Chapter | None:
    """Read and check one notebook; None, and a problem, when it is no chapter."""
    found: list[str] = []
    if not NAME.fullmatch(path.stem):
        found.append("name it NN-name.ipynb, in small letters, digits and hyphens")
    try:
        notebook = nbformat.read(path, as_version=4)
        nbformat.validate(notebook)
    except Exception as error:  # nbformat lets through whatever its parsers raise
        problems.append(f"{path.name}: no valid notebook ({str(error).splitlines()[0]})")
        return None
    if any("raises-exception" in tags(cell) for cell in notebook.cells):
        found.append("papermill stops at a cell tagged `raises-exception`: catch the error there")
    if notebook.nbformat_minor < 5:
        found.append("save it in notebook format 4.5, whose cells have identifiers")
    if notebook.metadata.get("kernelspec", {}).get("name") != "python3":
        found.append("its kernel must be python3")
    metadata = _read_metadata(notebook, found)
    parameters = _read_parameters(notebook, found)
    found += _varied_faults(metadata, parameters)
    problems.extend(f"{path.name}: {problem}" for problem in found)
    if found:
        return None
    needs, gives = tuple(metadata["needs"]), tuple(metadata["gives"])
    varied = {name: dict(metadata.get(name, {})) for name in VARIED}
    return Chapter(path.stem, metadata["title"], needs, gives, parameters, notebook, **varied)


def _read_metadata(notebook: nbformat.NotebookNode, problems: list[str]) -> dict[str, Any]:
    metadata = notebook.metadata.get("pm")
    if not isinstance(metadata, dict) or set(metadata) - set(VARIED) != METADATA_FIELDS:
        problems.append(
            "its metadata needs `pm` with title, needs and gives, and may have doubled and halved"
        )
        return {}
    if not isinstance(metadata["title"], str) or not metadata["title"].strip():
        problems.append("`pm.title` must be a text")
    for kind in ("needs", "gives"):
        names = metadata[kind]
        if not isinstance(names, list) or not all(
            isinstance(name, str) and name and Path(name).name == name for name in names
        ):
            problems.append(f"`pm.{kind}` must be a list of file names without directories")
    return metadata


def _varied_faults(metadata: dict[str, Any], parameters: dict[str, Any]) -> list[str]:
    """Return what is wrong with the parameters that evidence doubles or halves."""
    faults = []
    for kind in [kind for kind in VARIED if kind in metadata]:
        factors = metadata[kind]
        if not isinstance(factors, dict):
            faults.append(f"`pm.{kind}` must map parameters to factors")
            continue
        for name, factor in factors.items():
            if type(parameters.get(name)) not in (int, float):
                faults.append(f"`pm.{kind}` names {name}, which is no parameter with a number")
            if type(factor) not in (int, float) or not 0 < factor < math.inf or factor == 1:
                faults.append(f"`pm.{kind}` gives {name} the factor {factor!r}: give 2 or 0.5")
    return faults


def _read_parameters(notebook: nbformat.NotebookNode, problems: list[str]) -> dict[str, Any]:
    cells = [c for c in notebook.cells if c.cell_type == "code" and "parameters" in tags(c)]
    if len(cells) != 1:
        problems.append(f"{len(cells)} code cells are tagged `parameters`, there must be one")
        return {}
    try:
        assigned = list(map(_assignment, ast.parse(cells[0].source).body))
    except (SyntaxError, ValueError) as error:
        problems.append(f"the parameters cell may only assign literals to names ({error})")
        return {}
    parameters = dict(assigned)
    for name, value in parameters.items():
        if [other for other, _ in assigned].count(name) > 1:
            problems.append(f"the parameters cell assigns {name} more than once: keep one")
        problems.extend(f"{name} {fault}" for fault in value_faults(value))
    if type(parameters.get("seed")) is not int:
        problems.append("the parameters cell must assign a whole number to `seed`")
    return parameters


def _assignment(statement: ast.stmt) -> tuple[str, Any]:
    if isinstance(statement, ast.Assign) and len(statement.targets) == 1:
        target = statement.targets[0]
    elif isinstance(statement, ast.AnnAssign) and statement.value is not None:
        target = statement.target
    else:
        raise ValueError(f"not so: {ast.unparse(statement)}")
    if not isinstance(target, ast.Name):
        raise ValueError(f"not so: {ast.unparse(statement)}")
    return target.id, ast.literal_eval(statement.value)


def value_faults(value: Any) -> list[str]:
    """Return what a parameter's value holds that no profile can give and no result can rest on.

    Parameters
    ----------
    value : object
        A number, a text, true or false, nothing, or lists and mappings of them.

    Returns
    -------
    list of str
        One end of a sentence for each fault, the parameter's name being its beginning.
    """
    if isinstance(value, float) and not math.isfinite(value):
        return [f"holds {value}: give a finite number"]
    if isinstance(value, list | tuple):
        return [fault for item in value for fault in value_faults(item)]
    if isinstance(value, dict):
        odd = [name for name in value if not isinstance(name, str)]
        faults = [f"has the key {name!r}: a mapping's keys must be texts" for name in odd]
        return faults + [fault for item in value.values() for fault in value_faults(item)]
    if value is None or isinstance(value, bool | int | float | str):
        return []
    kinds = "a number, a text, a truth value, None, or lists and mappings of them"
    return [f"holds {value!r} ({type(value).__name__}): give {kinds}"]


def check_graph(chapters: dict[str, Chapter], problems: list[str]) -> None:
    """Append what is wrong with needs and gives: given twice, given by none, or in a circle."""
    givers: dict[str, list[str]] = {}
    for chapter in chapters.values():
        for name in chapter.gives:
            givers.setdefault(name, []).append(chapter.name)
    for name, names in givers.items():
        if len(names) > 1:
            problems.append(f"{name} is given more than once, by {' and '.join(names)}")
    for chapter in chapters.values():
        for name in chapter.needs:
            if name not in givers:
                problems.append(f"{chapter.name} needs {name}, which no chapter gives")
    try:
        TopologicalSorter(upstream(chapters)).prepare()
    except CycleError as error:
        problems.append(f"these chapters need one another in a circle: {' → '.join(error.args[1])}")


def upstream(chapters: dict[str, Chapter]) -> dict[str, set[str]]:
    """Return for each chapter the chapters that give what it needs."""
    giver = {name: chapter.name for chapter in chapters.values() for name in chapter.gives}
    return {
        chapter.name: {giver[name] for name in chapter.needs if name in giver}
        for chapter in chapters.values()
    }


def with_upstream(chapters: dict[str, Chapter], names: list[str]) -> set[str]:
    """Return the named chapters and all that they need, directly or not.

    Examples
    --------
    >>> from pm_utils.builder.chapters import Chapter, with_upstream
    >>> one = Chapter("01-one", "One", needs=(), gives=("a",), parameters={}, notebook=None)
    >>> two = Chapter("02-two", "Two", needs=("a",), gives=("b",), parameters={}, notebook=None)
    >>> three = Chapter("03-three", "Three", needs=(), gives=(), parameters={}, notebook=None)
    >>> book = {chapter.name: chapter for chapter in (one, two, three)}
    >>> sorted(with_upstream(book, ["02-two"]))
    ['01-one', '02-two']
    """
    graph = upstream(chapters)
    wanted: set[str] = set()
    waiting = list(names)
    while waiting:
        name = waiting.pop()
        if name not in wanted:
            wanted.add(name)
            waiting.extend(graph[name])
    return wanted


def select(chapters: dict[str, Chapter], requested: str, problems: list[str]) -> str | None:
    """Return the name of the chapter that a number or a name means; append a problem if none.

    Examples
    --------
    >>> from pm_utils.builder.chapters import select
    >>> problems = []
    >>> select({"07-interest": None}, "7", problems)
    '07-interest'
    >>> select({"07-interest": None}, "8", problems)
    >>> problems
    ['there is no chapter 8: 07-interest']
    """
    for name in chapters:
        if requested in (name, name[:2], f"{name}.ipynb") or (
            requested.isdecimal() and requested.lstrip("0") == name[:2].lstrip("0")
        ):
            return name
    existing = ", ".join(chapters) or "there are none"
    problems.append(f"there is no chapter {requested or repr(requested)}: {existing}")
    return None
