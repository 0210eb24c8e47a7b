"""How much a reader has to take in at once: the density of a notebook's code cells.

`python -m tests.support.density` prints the figures of every chapter.
"""

import ast
import io
import math
import re
import tokenize
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, fields
from functools import cached_property
from pathlib import Path

import nbformat

ROOT = Path(__file__).parents[2]
NOTEBOOKS = {path.stem: path for path in sorted((ROOT / "notebooks").glob("[0-9][0-9]*.ipynb"))}

HIDING_TAGS = {"hide-input", "hide-cell", "remove-input", "remove-cell"}
LONG = 88  # characters
IMPORTS = (ast.Import, ast.ImportFrom)
COMPREHENSIONS = (ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)
MARKUP = re.compile(r"^ *(?:`{3,}|:|#|\([\w-]+\)=$).*$", re.MULTILINE)  # fences, options, titles


@dataclass(frozen=True)
class Density:
    """Figures of one notebook.

    A code cell counts if it does more than import. Imports at its top level are left out of its
    statements and nodes, but their lines are lines of code.

    Attributes
    ----------
    cells, statements : int
        Code cells that count, and their statements, those inside of definitions included.
    nodes : float
        Nodes of the syntax tree per statement.
    packs, merges, comprehensions : float
        Assignments of a literal tuple to a tuple of names; `|` beside a literal dict, `|=` and
        `**` splats; comprehensions and generators. Each per 100 statements.
    comments : float
        Comments per 100 lines of code that are not empty.
    long_lines : float
        Share of these lines that have more than 88 characters.
    names : float
        Names that an assignment mentions on its left for the first time in the notebook, per cell.
    words : float
        Words of all Markdown cells per statement.
    plumbing : float
        Share of the lines that the page shows which stand in a cell that glues a number or fills
        the scoreboard.
    explained : bool
        Whether a sentence stands right before every code cell that the page shows.
    """

    cells: int
    statements: int
    nodes: float
    packs: float
    merges: float
    comprehensions: float
    comments: float
    long_lines: float
    names: float
    words: float
    plumbing: float
    explained: bool


@dataclass(frozen=True)
class Code:
    """A code cell, read once.

    Attributes
    ----------
    source : str
        Its text, with empty lines for what only IPython understands.
    shown : bool
        Whether the page shows the code.
    explained : bool
        Whether the last thing that the page shows before it is a sentence.
    """

    source: str
    shown: bool
    explained: bool

    @cached_property
    def body(self) -> list[ast.stmt]:
        """Its statements, without imports at the top level."""
        return [line for line in ast.parse(self.source).body if not isinstance(line, IMPORTS)]

    @cached_property
    def nodes(self) -> list[ast.AST]:
        """All nodes of the syntax trees of its body."""
        return [node for statement in self.body for node in ast.walk(statement)]

    @cached_property
    def lines(self) -> list[str]:
        """Its lines that are not empty."""
        return [line for line in self.source.splitlines() if line.strip()]

    @property
    def comments(self) -> int:
        """Comments, those behind code included."""
        tokens = tokenize.generate_tokens(io.StringIO(self.source + "\n").readline)
        return sum(token.type == tokenize.COMMENT for token in tokens)

    @property
    def keeps_books(self) -> bool:
        """Whether it glues a number or fills the scoreboard."""
        return any(is_bookkeeping(node) for node in self.nodes)


# --- What is counted ---------------------------------------------------------------------


def is_pack(node: ast.AST) -> bool:
    """Whether this is an assignment such as `a, b = 1, 2`."""
    match node:
        case ast.Assign(value=ast.Tuple(), targets=[ast.Tuple(), *_]):
            return True
    return False


def count_merges(node: ast.AST) -> int:
    """Count the merges of dicts and the `**` splats at this very node."""
    match node:
        case ast.BinOp(op=ast.BitOr(), left=left, right=right):
            return int(any(isinstance(side, (ast.Dict, ast.DictComp)) for side in (left, right)))
        case ast.AugAssign(op=ast.BitOr()) | ast.keyword(arg=None):
            return 1
        case ast.Dict(keys=keys):
            return keys.count(None)
    return 0


def is_bookkeeping(node: ast.AST) -> bool:
    """Whether this is a call that glues a number or fills the scoreboard."""
    match node:
        case ast.Call(func=ast.Name(id="glue") | ast.Attribute(attr="glue")):
            return True
        case ast.Call(func=ast.Attribute(value=ast.Name(id="board"), attr="add" | "claim")):
            return True
    return False


def assigned_names(nodes: Iterable[ast.AST]) -> set[str]:
    """Names on the left of assignments, that of `table` in `table["rate"] = 1` included."""
    targets = [target for node in nodes if isinstance(node, ast.Assign) for target in node.targets]
    found = (name for target in targets for name in ast.walk(target))
    return {name.id for name in found if isinstance(name, ast.Name)}


def says_something(text: str) -> bool:
    """Whether a Markdown cell holds more than titles, labels and marks of directives."""
    return bool(re.search(r"\w\S*[.:?!]", MARKUP.sub("", text)))


# --- A notebook --------------------------------------------------------------------------


def _python(source: str) -> str:
    """Empty the lines of a cell that call IPython's magics or a shell."""
    return re.sub(r"^[ \t]*[%!].*$", "", source, flags=re.MULTILINE)


def code_cells(notebook: nbformat.NotebookNode) -> Iterator[Code]:
    """Yield the code cells that do more than import, in order."""
    explained = False
    for cell in notebook.cells:
        if cell.cell_type == "markdown":
            explained = says_something(cell.source)
        elif cell.cell_type == "code":
            shown = not HIDING_TAGS & set(cell.metadata.get("tags", []))
            code = Code(_python(cell.source), shown, explained)
            if code.body:
                yield code
            explained = explained and not shown  # nobody sees that a hidden cell stands between


def measure(notebook: nbformat.NotebookNode) -> Density:
    """Measure the density of a notebook.

    Parameters
    ----------
    notebook : nbformat.NotebookNode
        Its outputs do not matter.

    Returns
    -------
    Density
        The figures of the notebook.

    Raises
    ------
    ValueError
        If no code cell does more than import: there is nothing to measure.
    SyntaxError
        If a code cell is not Python.
    """
    codes = list(code_cells(notebook))
    if not codes:
        raise ValueError("the notebook has no code cell that does more than import")
    nodes = [node for code in codes for node in code.nodes]
    lines = [line for code in codes for line in code.lines]
    shown = [code for code in codes if code.shown]
    statements = sum(isinstance(node, ast.stmt) for node in nodes)
    prose = [cell.source for cell in notebook.cells if cell.cell_type == "markdown"]
    comprehensions = sum(isinstance(node, COMPREHENSIONS) for node in nodes)
    return Density(
        cells=len(codes),
        statements=statements,
        nodes=len(nodes) / statements,
        packs=100 * sum(map(is_pack, nodes)) / statements,
        merges=100 * sum(map(count_merges, nodes)) / statements,
        comprehensions=100 * comprehensions / statements,
        comments=100 * sum(code.comments for code in codes) / len(lines),
        long_lines=sum(len(line) > LONG for line in lines) / len(lines),
        names=len(assigned_names(nodes)) / len(codes),
        words=sum(len(text.split()) for text in prose) / statements,
        plumbing=_plumbing(shown),
        explained=all(code.explained for code in shown),
    )


def _plumbing(shown: list[Code]) -> float:
    """Return the share of lines in cells that keep books, 0 where no code is shown."""
    lines = sum(len(code.lines) for code in shown)
    return sum(len(code.lines) for code in shown if code.keeps_books) / max(lines, 1)


# --- Aims and ceilings -------------------------------------------------------------------


@dataclass(frozen=True)
class Aim:
    """What a figure should reach, and how its ceiling is stored.

    Attributes
    ----------
    value : float
        The aim.
    least : bool
        Whether the figure should be at least the aim, not at most. Its ceiling is a floor.
    digits : int
        Decimals of a stored ceiling. Two steps of the last one are its slack.
    """

    value: float
    least: bool = False
    digits: int = 1

    def __str__(self) -> str:
        """Return the aim in words."""
        return f"{'at least' if self.least else 'at most'} {self.value:g}"

    def is_met_by(self, value: float) -> bool:
        """Whether a measured value meets the aim."""
        return value >= self.value if self.least else value <= self.value

    def steps(self, value: float) -> int:
        """Return a value in steps of the last stored decimal, rounded to the worse side."""
        scaled = round(value * 10**self.digits, 6)
        return math.floor(scaled) if self.least else math.ceil(scaled)


AIMS = {
    "nodes": Aim(12.5),
    "packs": Aim(1),
    "merges": Aim(1),
    "comprehensions": Aim(4),
    "comments": Aim(6, least=True),
    "names": Aim(2),
    "plumbing": Aim(0.1, digits=2),
}
SLACK = 2  # steps


def faults(chapter: str, density: Density, ceilings: Mapping[str, float]) -> list[str]:
    """Say which figures of a chapter are worse than they may be, and which ceilings are stale.

    Parameters
    ----------
    chapter : str
        Its name, for the messages.
    density : Density
        What was measured.
    ceilings : mapping of str to float
        The figures that do not meet their aims yet, and how far they may be off.

    Returns
    -------
    list of str
        One message per fault.
    """
    found = [f"{chapter}: {name} is no figure with an aim" for name in ceilings.keys() - AIMS]
    for figure, aim in AIMS.items():
        value = getattr(density, figure)
        met = aim.is_met_by(value) or (figure == "comments" and density.explained)
        advice = _advice(aim, value, met=met, ceiling=ceilings.get(figure))
        if advice:
            found.append(f"{chapter}: {figure} is {value:.2f}, the aim is {aim}; {advice}")
    return found


def _advice(aim: Aim, value: float, *, met: bool, ceiling: float | None) -> str:
    """Say what to do about a figure, an empty text when nothing."""
    if ceiling is None:
        return "" if met else "make the code plainer, do not add a ceiling"
    word, change = ("floor", "raise") if aim.least else ("ceiling", "lower")
    if met:
        return f"the aim is met: remove the {word}"
    stored = aim.steps(ceiling)
    if stored != round(ceiling * 10**aim.digits, 6):
        return f"round the {word} {ceiling} to steps of {10**-aim.digits:g}"
    gained = (aim.steps(value) - stored) * (1 if aim.least else -1)
    if gained < 0:
        return f"it is worse than its {word} {ceiling}"
    if gained > SLACK:
        return (
            f"it got better: {change} its {word} {ceiling} to {aim.steps(value) / 10**aim.digits}"
        )
    return ""


# --- All chapters ------------------------------------------------------------------------


def measure_file(path: Path) -> Density:
    """Measure the density of a notebook's file."""
    return measure(nbformat.read(path, as_version=nbformat.NO_CONVERT))


def table(chapters: Mapping[str, Density]) -> str:
    """Return the figures of chapters as text, a line each."""
    names = [field.name for field in fields(Density)]
    lines = [f"{'':26}" + "".join(f"{name:>15}" for name in names)]
    for chapter, density in chapters.items():
        values = [getattr(density, name) for name in names]
        shown = [f"{x:.2f}" if isinstance(x, float) else str(x) for x in values]
        lines.append(f"{chapter:26}" + "".join(f"{text:>15}" for text in shown))
    return "\n".join(lines)


if __name__ == "__main__":
    print(table({name: measure_file(path) for name, path in NOTEBOOKS.items()}))
