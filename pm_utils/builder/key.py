"""The key of a chapter: what its figures depend on, and nothing else.

A key covers the code cells in order, the parameters after the profile, the modules of `pm_utils`
that the code reaches, the data files below them, the lock file, Python's version and the keys of
the chapters upstream. Prose, outputs and display metadata are not in it. Neither are files that a
cell reads from elsewhere, such as ``notebooks/`` or a directory that the environment names: put
data into the package, or force a run with ``pm book --cold``.
"""

import ast
import hashlib
import json
import platform
from graphlib import TopologicalSorter
from pathlib import Path
from typing import Any

from pm_utils.builder.chapters import Chapter, tags, upstream
from pm_utils.builder.project import Project

PACKAGE = "pm_utils"
EXECUTION_TAGS = {"parameters", "skip-execution"}  # all other tags only change how a cell looks


def digest(value: Any) -> str:
    """Return a short fingerprint of bytes or of anything that JSON can hold.

    Examples
    --------
    >>> from pm_utils.builder.key import digest
    >>> digest({"seed": 0, "epochs": 3}) == digest({"epochs": 3, "seed": 0})  # in any order
    True
    >>> len(digest(b""))
    16
    """
    if not isinstance(value, bytes):
        value = json.dumps(plain(value), sort_keys=True, default=repr).encode()
    return hashlib.sha256(value).hexdigest()[:16]


def plain(value: Any) -> Any:
    """Return a value with texts for keys, as JSON writes them, so that keys can be sorted."""
    if isinstance(value, dict):
        texts = {k: k if isinstance(k, str) else json.dumps(k, default=repr) for k in value}
        return {texts[k]: plain(v) for k, v in value.items()}
    return [plain(v) for v in value] if isinstance(value, list | tuple) else value


class Modules:
    """The import graph of the package, read from the source without importing anything.

    Parameters
    ----------
    root : pathlib.Path
        The directory that holds the package.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self._imports: dict[str, set[str]] = {}

    def file(self, module: str) -> Path | None:
        """Return a module's file, None where the name is no module."""
        path = self.root.joinpath(*module.split("."))
        for file in (path / "__init__.py", path.with_suffix(".py")):
            if file.is_file():
                return file
        return None

    def reached(self, sources: list[str]) -> dict[str, str]:
        """Return the fingerprint of each file that code reaches, by its path.

        Parameters
        ----------
        sources : list of str
            Cells of code, which may hold IPython's magics.

        Returns
        -------
        dict
            The modules that are imported, at any depth and in functions too, the packages around
            them, and the data files that lie beside them or in folders below that are no packages.
        """
        waiting = set().union(*(self._cell_imports(source) for source in sources))
        found: set[str] = set()
        while waiting:
            module = waiting.pop()
            if module not in found and self.file(module):
                found.add(module)
                waiting |= self._module_imports(module)
        files = {self.file(module) for module in found}
        files |= {path for folder in {file.parent for file in files} for path in _data(folder)}
        return {
            file.relative_to(self.root).as_posix(): digest(file.read_bytes())
            for file in sorted(files)
        }

    def _module_imports(self, module: str) -> set[str]:
        if module not in self._imports:
            file = self.file(module)
            package = module if file.name == "__init__.py" else module.rpartition(".")[0]
            self._imports[module] = imports(file.read_text(encoding="utf-8"), package)
        return self._imports[module]

    def _cell_imports(self, source: str) -> set[str]:
        lines = ["" if line.lstrip()[:1] in ("%", "!") else line for line in source.splitlines()]
        try:
            return imports("\n".join(lines), "")
        except SyntaxError:  # the run will say what is wrong; until then anything may be reached
            files = (self.root / PACKAGE).rglob("*.py")
            parts = [file.relative_to(self.root).with_suffix("").parts for file in files]
            return {".".join(part).removesuffix(".__init__") for part in parts}


def _data(folder: Path) -> set[Path]:
    """Return the data files in a folder and below, packages of their own left out."""
    found = set()
    for path in folder.iterdir():
        if path.is_file() and path.suffix not in (".py", ".pyc"):
            found.add(path)
        elif path.is_dir() and not (path / "__init__.py").is_file():
            found |= _data(path)
    return found


def imports(source: str, package: str) -> set[str]:
    """Return every name under `pm_utils` that a source may import, with the packages around it.

    Parameters
    ----------
    source : str
        Python code.
    package : str
        The package that relative imports start from.

    Raises
    ------
    SyntaxError
        When the source cannot be parsed.

    Examples
    --------
    >>> from pm_utils.builder.key import imports
    >>> sorted(imports("import numpy\\nfrom pm_utils.page import plots", package=""))
    ['pm_utils', 'pm_utils.page', 'pm_utils.page.plots']
    >>> sorted(imports("from . import plots", package="pm_utils.page"))
    ['pm_utils', 'pm_utils.page', 'pm_utils.page.plots']
    """
    names: set[str] = set()
    for node in ast.walk(ast.parse(source)):
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
    project: Project,
    modules: Modules,
    chapter: Chapter,
    changes: dict[str, Any],
    upstream_keys: dict[str, str],
) -> dict[str, Any]:
    """Return what a chapter's key is made of, so that `difference` can say what changed."""
    cells = chapter.code_cells
    lock = project.root / "requirements.lock"
    return {
        "code cells": digest([[c.source, sorted(EXECUTION_TAGS & set(tags(c)))] for c in cells]),
        "parameters": chapter.parameters | changes,
        "modules": modules.reached([cell.source for cell in cells]),
        "requirements.lock": digest(lock.read_bytes()) if lock.is_file() else None,
        "python": platform.python_version(),
        "upstream": upstream_keys,
    }


def all_parts(
    project: Project, chapters: dict[str, Chapter], changes: dict[str, dict[str, Any]]
) -> dict[str, dict[str, Any]]:
    """Return the parts of every chapter's key, with the keys of its upstream chapters in them."""
    graph, modules = upstream(chapters), Modules(project.root)
    found: dict[str, dict[str, Any]] = {}
    for name in TopologicalSorter(graph).static_order():
        above = {other: digest(found[other]) for other in sorted(graph[name])}
        found[name] = parts(project, modules, chapters[name], changes[name], above)
    return found


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
