"""What a run read beyond what its source tells: noted in the kernel, held by the next key check.

An entry is a kind and a path: ``code`` (a module, without comments), ``text`` (any file, or a
module whose text was read), ``lines`` (a definition that the chapter prints), ``names`` (a folder
that was listed), ``glob`` (a pattern, by the files that it matches) and ``cells`` (the chapter's
own text, where something printed lines of it).
"""

import glob
import json
import os
import re
import sys
from pathlib import Path
from typing import Any

from pm_utils.builder import recording
from pm_utils.builder.chapters import Chapter
from pm_utils.builder.code import counts, definition, digest
from pm_utils.builder.key import PACKAGE, Modules, sources
from pm_utils.builder.project import Project
from pm_utils.page.excerpt import shorten

PYTHONS = re.compile(r"(python|ipython|jupyter|pytest|pm\b)", re.IGNORECASE)
WORDS = re.compile(r"[\s\"'`;|&<>()=,]+")


def begin(project: Project, log: Path) -> str:
    """Return the line of Python with which a kernel begins to record, and make the log.

    Parameters
    ----------
    project : Project
        The checkout.
    log : pathlib.Path
        Where the kernel writes, below ``_build``.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    log.write_bytes(b"")
    apart = [*_apart(project), Path(sys.prefix)]
    given = {"root": str(project.root), "apart": list(map(str, apart)), "log": str(log)}
    file = recording.__file__
    scope = {"__name__": "__recording__", "__file__": file, "ARGUMENTS": given}
    return f"exec(compile(open({file!r}, 'rb').read(), {file!r}, 'exec'), {scope!r})"


def _apart(project: Project) -> list[Path]:
    """Return the folders below the checkout whose files are no source."""
    return [project.build, project.root / ".git", project.pages, project.generated]


def read_log(log: Path) -> list[list[str]]:
    """Return what a kernel wrote down, in order; empty where it did not even begin."""
    try:
        lines = log.read_text("utf-8").splitlines()
        return [json.loads(line) for line in lines]
    except (OSError, ValueError):
        return []


def entries(
    project: Project, modules: Modules, chapter: Chapter, notes: list[list[str]]
) -> set[str]:
    """Return what the notes of a run mean for the chapter's key.

    Parameters
    ----------
    project : Project
        The checkout.
    modules : Modules
        Read after the run.
    chapter : Chapter
        What ran.
    notes : list
        As `read_log` returns them.
    """
    found, own = set(), set()  # what a chapter wrote itself is no input
    for kind, path, *more in notes:
        if kind == "written":
            own.add(path)
        elif kind == "program":
            found |= _program(project, json.loads(path), Path(more[0]))
        elif kind == "shown":
            found.add(f"lines {path}:{more[0]}")
        elif kind == "listed":
            found.add(f"names {path}")
        elif kind == "sought":
            found.add(f"glob {path}")
        elif kind == "cells":
            found.add("cells ")
        elif kind in ("read", "imported") and path not in own and _works(path):
            found.add(f"{'text' if kind == 'read' else 'code'} {path}")
    return _with_docstrings(project, modules, chapter, found)


def _works(path: str) -> bool:
    return all(counts(part) for part in path.split("/"))


def _program(project: Project, words: list[str], folder: Path) -> set[str]:
    """Return what a program's words name: files, those that a pattern matches, folders.

    Another Python may import all modules.
    """
    single = [part for word in words for part in WORDS.split(word) if part and "\0" not in part]
    paths = {os.path.realpath(folder / part) for part in single}
    patterns = {path for path in paths if glob.has_magic(path) and not os.path.exists(path)}
    paths |= {os.path.realpath(path) for pattern in patterns for path in glob.iglob(pattern)}
    kinds = {path: _kind(path) for path in sorted(paths)}
    found = {
        f"{kind} {'' if path == str(project.root) else os.path.relpath(path, project.root)}"
        for path, kind in kinds.items()
        if kind and _is_source(project, path)
    }
    if any(PYTHONS.match(Path(part).name) for part in single):
        files = (project.root / PACKAGE).rglob("*.py")
        found |= {f"code {file.relative_to(project.root).as_posix()}" for file in files}
    return {entry for entry in found if _works(entry.partition(" ")[2])}


def _kind(path: str) -> str:
    """Return the kind of entry that a path named by a program is, "" where it names nothing."""
    if os.path.isdir(path):
        return "names"
    return "text" if os.path.isfile(path) else "glob" if glob.has_magic(path) else ""


def _is_source(project: Project, path: str) -> bool:
    """Tell whether a path lies in the checkout, and not in a folder apart."""
    inside = Path(path).is_relative_to(project.root)
    return inside and not any(Path(path).is_relative_to(folder) for folder in _apart(project))


def _with_docstrings(
    project: Project, modules: Modules, chapter: Chapter, found: set[str]
) -> set[str]:
    """Let modules count with their text where any code of the run may read docstrings."""
    paths = {project.root / entry[5:] for entry in found if entry.startswith("code ")}
    files = {path for path in paths if path.is_file()} | modules.files(sources(chapter))
    if not modules.docstrings_count(sources(chapter), files):
        return found
    return {re.sub("^code ", "text ", entry) for entry in found} | {"cells "}


def marks(root: Path, modules: Modules, chapter: Chapter, names: set[str]) -> dict[str, str | None]:
    """Return the present fingerprint of each entry, None for what is not there."""
    found: dict[str, str | None] = {}
    for entry in sorted(names):
        kind, _, path = entry.partition(" ")
        try:
            found[entry] = (
                digest(sources(chapter)) if kind == "cells" else _mark(root, modules, kind, path)
            )
        except OSError:  # gone, a folder, or not ours to read
            found[entry] = None
    return found


def _mark(root: Path, modules: Modules, kind: str, path: str) -> str:
    if kind == "code":
        return modules.code(root / path).code
    if kind == "names":
        return digest(sorted(p.name for p in (root / path).iterdir() if counts(p.name)))
    if kind == "glob":
        project, pattern = Project(root), os.path.join(glob.escape(str(root)), path)
        paths = [path for path in glob.iglob(pattern, recursive=True) if _is_source(project, path)]
        names = [os.path.relpath(path, root) for path in paths]
        return digest(sorted(name for name in names if _works(name.replace(os.sep, "/"))))
    if kind == "lines":
        path, _, name = path.rpartition(":")
        text = (root / path).read_bytes()
        try:
            shown = definition(text.decode("utf-8-sig"), name)
        except (SyntaxError, ValueError):
            shown = None
        return digest(shorten(shown)) if shown else digest(text)
    return digest((root / path).read_bytes())


def missed(record: dict[str, Any]) -> list[str]:
    """Return the files that a run read and that reading the chapter's code had not shown."""
    known = set(record["parts"].get("modules", ()))
    paths = [entry.partition(" ")[2] for entry in record["seen"] if entry[:5] in ("code ", "text ")]
    return sorted(set(paths) - known)
