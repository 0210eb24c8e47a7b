"""The key of a chapter: what its figures depend on, and nothing else.

A key covers the code cells in order, the parameters after the profile, the modules of `pm_utils`
that the code reaches, the data files below them, the pins of the lock file, Python's version and
the content of the artifacts that the chapter needs. Prose, outputs, display metadata, comments and
docstrings that no code reads are not in it. What a run reads beyond that is recorded while it runs,
see `pm_utils.builder.seen`.
"""

import ast
import platform
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from pm_utils.builder.chapters import Chapter, tags
from pm_utils.builder.code import Code, counts, digest, read_code
from pm_utils.builder.pins import lock_digest
from pm_utils.builder.project import Project

PACKAGE = "pm_utils"
EXECUTION_TAGS = {"parameters", "skip-execution"}  # all other tags only change how a cell looks


class Modules:
    """The import graph of the package, read from the source without importing anything.

    Parameters
    ----------
    root : pathlib.Path
        The directory that holds the package.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self._code: dict[Path, Code] = {}
        self._imports: dict[str, set[str]] = {}

    def file(self, module: str) -> Path | None:
        """Return a module's file, None where the name is no module."""
        path = self.root.joinpath(*module.split("."))
        for file in (path / "__init__.py", path.with_suffix(".py")):
            if file.is_file():
                return file
        return None

    def code(self, file: Path) -> Code:
        """Return what was read from a Python file, once."""
        if file not in self._code:
            self._code[file] = read_code(file.read_bytes())
        return self._code[file]

    def files(self, sources: list[str]) -> set[Path]:
        """Return the files of the modules that code imports, at any depth and in functions too."""
        waiting = set().union(*(self._cell_imports(source) for source in sources))
        found: set[str] = set()
        while waiting:
            module = waiting.pop()
            if module not in found and self.file(module):
                found.add(module)
                waiting |= self._module_imports(module)
        return {self.file(module) for module in found}

    def reached(self, sources: list[str]) -> dict[str, str]:
        """Return the fingerprint of each file that code reaches, by its path.

        Parameters
        ----------
        sources : list of str
            Cells of code, which may hold IPython's magics.

        Returns
        -------
        dict
            The modules that are imported, the packages around them, and the data files that lie
            beside them or in folders below that are no packages. A module counts with its code,
            and with all of its text where a cell or a module may read docstrings.
        """
        files = self.files(sources)
        docstrings = self.docstrings_count(sources, files)
        marks = {file: self.mark(file, docstrings) for file in files}
        data = {path for folder in {file.parent for file in files} for path in _data(folder)}
        marks |= {path: data_mark(path) for path in data}
        return {file.relative_to(self.root).as_posix(): marks[file] for file in sorted(marks)}

    def mark(self, file: Path, docstrings: bool) -> str:
        """Return the fingerprint of a Python file, with or without its docstrings and comments."""
        return self.code(file).text if docstrings else self.code(file).code

    def docstrings_count(self, sources: list[str], files: set[Path]) -> bool:
        """Tell whether cells or modules may read docstrings."""
        cells = (read_cell(source).reads_docstrings for source in sources)
        return any(cells) or any(self.code(file).reads_docstrings for file in files)

    def problems(self, sources: list[str]) -> list[str]:
        """Return a sentence for each module that code reaches and Python cannot read."""
        return [
            f"{file.relative_to(self.root).as_posix()}, {self.code(file).problem}"
            for file in sorted(self.files(sources))
            if self.code(file).problem
        ]

    def _module_imports(self, module: str) -> set[str]:
        if module not in self._imports:
            file = self.file(module)
            package = module if file.name == "__init__.py" else module.rpartition(".")[0]
            self._imports[module] = imported(self.code(file).imports, package)
        return self._imports[module]

    def _cell_imports(self, source: str) -> set[str]:
        cell = read_cell(source)
        if not cell.problem:
            return imported(cell.imports, "")
        # The run will say what is wrong; until then anything may be reached.
        files = (self.root / PACKAGE).rglob("*.py")
        parts = [file.relative_to(self.root).with_suffix("").parts for file in files]
        return {".".join(part).removesuffix(".__init__") for part in parts}


def read_cell(source: str) -> Code:
    """Return what was read from a code cell."""
    return read_code(source.encode("utf-8", "surrogatepass"), is_cell=True)


def data_mark(path: Path) -> str:
    """Return the fingerprint of a file's bytes, a word where they may not be read."""
    try:
        return digest(path.read_bytes())
    except OSError:
        return "unreadable"


def _data(folder: Path) -> set[Path]:
    """Return the data files in a folder and below, packages of their own left out."""
    found = set()
    for path in folder.iterdir():
        if not counts(path.name):
            continue
        if path.is_file() and path.suffix != ".py":
            found.add(path)
        elif path.is_dir() and not (path / "__init__.py").is_file():
            found |= _data(path)
    return found


def imported(imports: Iterable[ast.Import | ast.ImportFrom], package: str) -> set[str]:
    """Return every name under `pm_utils` that a source may import, with the packages around it.

    Parameters
    ----------
    imports : iterable of ast.Import and ast.ImportFrom
        As `pm_utils.builder.code.read_code` finds them.
    package : str
        The package that relative imports start from.

    Examples
    --------
    >>> from pm_utils.builder.code import read_code
    >>> from pm_utils.builder.key import imported
    >>> sorted(imported(read_code(b"import numpy\\nfrom pm_utils.page import plots").imports, ""))
    ['pm_utils', 'pm_utils.page', 'pm_utils.page.plots']
    >>> sorted(imported(read_code(b"from . import plots").imports, package="pm_utils.page"))
    ['pm_utils', 'pm_utils.page', 'pm_utils.page.plots']
    """
    names: set[str] = set()
    for node in imports:
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package.split(".")[: len(package.split(".")) + 1 - node.level]
            base = base if node.level else []
            module = ".".join([*base, *filter(None, [node.module])])
            names.update({module}, (f"{module}.{alias.name}" for alias in node.names))
    parts = [name.split(".") for name in names if name.split(".")[0] == PACKAGE]
    return {".".join(part[:depth]) for part in parts for depth in range(1, len(part) + 1)}


def parts(
    project: Project, modules: Modules, chapter: Chapter, changes: dict[str, Any]
) -> dict[str, Any]:
    """Return what a chapter's key is made of, so that `difference` can say what changed.

    The artifacts that it needs are added when it is its turn, see `pm_utils.builder.runs`.
    """
    cells, texts = chapter.code_cells, sources(chapter)
    docstrings = modules.docstrings_count(texts, modules.files(texts))
    codes = [read_cell(cell.source) for cell in cells]
    marks = [code.text if docstrings else code.code for code in codes]
    steps = [sorted(EXECUTION_TAGS & set(tags(cell))) for cell in cells]
    return {
        "code cells": digest([list(step) for step in zip(marks, steps, strict=True)]),
        "parameters": chapter.parameters | changes,
        "modules": modules.reached(texts),
        "requirements.lock": lock_digest(project),
        "python": platform.python_version(),
    }


def sources(chapter: Chapter) -> list[str]:
    """Return the source of each code cell."""
    return [cell.source for cell in chapter.code_cells]


def difference(old: dict[str, Any], new: dict[str, Any]) -> str:
    """Return in words what differs between the parts of two keys.

    Examples
    --------
    >>> from pm_utils.builder.key import difference
    >>> old = {"code cells": "1f", "parameters": {"seed": 0, "epochs": 3}}
    >>> difference(old, old | {"parameters": {"seed": 1, "epochs": 3}})
    'parameters: seed'
    >>> difference(old, {"code cells": "2a", "parameters": {"seed": 0}})
    'code cells; parameters: epochs'
    """
    changed = []
    for field, value in new.items():
        before = old.get(field)
        if before == value:
            continue
        if isinstance(value, dict) and isinstance(before, dict):
            names = sorted(n for n in before | value if before.get(n) != value.get(n))
            changed.append(
                f"{field}: {', '.join(names)}" if field != "modules" else ", ".join(names)
            )
        else:
            changed.append(field)
    return "; ".join(changed)
