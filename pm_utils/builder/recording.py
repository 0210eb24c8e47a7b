"""Note what a kernel reads of the checkout. This file runs in the kernel, on its own.

An audit hook sees every file and database that Python opens, every folder it lists, every pattern
it looks for and every program it starts, and `linecache` is asked for lines by what shows a source:
a traceback, a warning, `inspect`. Each is written to a log at once and once, as a line of JSON, by
forked children too: a chapter may end its process in any way. Files that compiled code opens by
itself, as pyarrow can, go unseen.
"""

import importlib.util
import json
import linecache
import os
import sys
from collections.abc import Callable
from typing import Any
from urllib.parse import unquote

IMPORTER = "<frozen importlib._bootstrap_external>"
LISTING = "_short_source", "listing.py"  # it tells by an event of its own what it reads
PRINTING = "pm_utils.page.listing"


class Recorder:
    """Write down what happens inside a folder.

    Parameters
    ----------
    root : str
        The checkout.
    apart : list of str
        Folders that do not count.
    log : str
        An existing file, in one of the folders apart.
    """

    def __init__(self, root: str, apart: list[str], log: str) -> None:
        self.root, self.log = os.path.join(os.path.realpath(root), ""), log
        self.apart = tuple(os.path.join(os.path.realpath(path), "") for path in apart)
        self.known: set[tuple[str, ...]] = set()
        self.handlers: dict[str, Callable[..., None]] = {
            "open": self.opened,
            "os.listdir": self.listed,
            "os.scandir": self.listed,
            "glob.glob/2": lambda pattern, _, folder, __: self.sought(folder, pattern),
            "pathlib.Path.glob": self.sought,
            "pathlib.Path.rglob": lambda path, pattern: self.sought(path, f"**/{pattern}"),
            "sqlite3.connect": self.connected,
            "subprocess.Popen": lambda program, words, folder, _: self.program(words, folder),
            "os.system": self.program,
            "os.posix_spawn": lambda program, words, *_: self.program(words),
            "os.exec": lambda program, words, *_: self.program(words),
            PRINTING: lambda file, name: self.note("shown", self.inside(file), name),
        }

    def start(self) -> None:
        """Begin, for as long as this process lives."""
        self.note("begun", "")
        lines = linecache.getlines

        def getlines(filename: str, module_globals: Any = None) -> list[str]:
            self.asked(filename)
            return lines(filename, module_globals)

        linecache.getlines = getlines
        sys.addaudithook(self.hear)

    def hear(self, event: str, arguments: tuple[Any, ...]) -> None:
        """Take an audit event; what goes wrong here must not stop the chapter."""
        handler = self.handlers.get(event)
        if handler:
            try:
                handler(*arguments)
            except Exception as error:
                self.note("unclear", f"{event}: {error!r}")

    def note(self, kind: str, path: str | None, *more: str) -> None:
        """Write a line, unless it has been written or the path does not count."""
        entry = (kind, path, *more)
        if path is None or entry in self.known:
            return
        self.known.add(entry)
        descriptor = os.open(self.log, os.O_WRONLY | os.O_APPEND)
        try:
            os.write(descriptor, json.dumps(entry).encode() + b"\n")
        finally:
            os.close(descriptor)

    def inside(self, path: Any) -> str | None:
        """Return a path from the root on, None where it does not count."""
        named = os.path.abspath(os.fsdecode(path))
        for whole in (named, os.path.realpath(named)):  # a link leads in, or out of, the checkout
            apart = os.path.join(whole, "").startswith(self.apart)  # a folder apart is in itself
            if whole.startswith(self.root) and not apart:
                return whole[len(self.root) :].replace(os.sep, "/")
        return None

    def opened(self, path: Any, mode: str | None, flags: int) -> None:
        """Note a file that is read, or emptied and written."""
        place = None if isinstance(path, int) else self.inside(path)
        if place is None:
            return
        frames = callers()
        if IMPORTER in {file for _, file in frames[:1]}:
            if place.endswith(".pyc"):
                place = self.inside(importlib.util.source_from_cache(os.fsdecode(path)))
            self.note("imported", place)
        elif (mode or "")[:1] in ("w", "x") or flags & os.O_TRUNC:
            self.note("written", place)
        elif not in_listing(frames) and not in_library(frames):
            self.note("read", place)

    def asked(self, filename: str) -> None:
        """Note that something wants to show the lines of a file or a cell."""
        is_cell = f"{os.sep}ipykernel_" in filename or filename.startswith("<ipython")
        frames = callers() if is_cell or self.inside(filename) else []
        if not frames or in_library(frames):
            return
        if is_cell:
            self.note("cells", "")
        elif os.path.isfile(filename) and not in_listing(frames):
            self.note("read", self.inside(filename))

    def listed(self, path: Any) -> None:
        """Note a folder whose names are read, though not by an import."""
        if isinstance(path, int) or any("importlib" in file for _, file in callers()[:3]):
            return
        whole = os.path.join(os.path.realpath(path or "."), "")
        self.note("listed", "" if whole == self.root else self.inside(whole))

    def sought(self, folder: Any, pattern: Any) -> None:
        """Note a pattern of paths that is looked for in a folder, here by default."""
        self.note("sought", self.inside(os.path.join(os.fsdecode(folder or "."), str(pattern))))

    def connected(self, database: Any) -> None:
        """Note a database of SQLite that is there already; one that is made is no input."""
        name = os.fsdecode(database)
        if name.startswith("file:"):
            name = unquote(name.removeprefix("file:").split("?")[0])
        if name not in ("", ":memory:"):
            self.note("read" if os.path.isfile(name) else "written", self.inside(name))

    def program(self, words: Any, folder: Any = None) -> None:
        """Note a program that is started, with which words and where."""
        words = [words] if isinstance(words, str | bytes | os.PathLike) else words
        where = os.path.abspath(os.fsdecode(folder or "."))
        self.note("program", json.dumps([os.fsdecode(word) for word in words]), where)


def callers() -> list[tuple[str, str]]:
    """Return function and file of each frame above the recorder's own, the nearest first."""
    frame, found = sys._getframe(1), []
    while frame:
        found.append((frame.f_code.co_name, frame.f_code.co_filename))
        frame = frame.f_back
    return [entry for entry in found if entry[1] != __file__]


def in_listing(frames: list[tuple[str, str]]) -> bool:
    """Tell whether `show_source` is what reads."""
    function, file = LISTING
    return any(name == function and os.path.basename(path) == file for name, path in frames)


def in_library(frames: list[tuple[str, str]]) -> bool:
    """Tell whether an installed library looks at the stack for itself, as torch does if seeded."""
    walkers = {("extract_stack", "traceback.py"), ("format_stack", "traceback.py")}
    walkers |= {("stack", "inspect.py"), ("getouterframes", "inspect.py")}
    found = [(name, os.path.basename(path)) in walkers for name, path in frames]
    asker = frames[len(found) - found[::-1].index(True) :][:1] if any(found) else []
    return any("site-packages" in path for _, path in asker)


if __name__ == "__recording__":
    Recorder(**ARGUMENTS).start()  # noqa: F821 - given by `pm_utils.builder.seen.begin`
