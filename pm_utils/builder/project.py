"""Where things lie in a checkout, and the lock that keeps two builders apart."""

import contextlib
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

import psutil
from filelock import lock_descriptor

PATIENCE_SECONDS = 1.0


class BuildError(Exception):
    """Everything that was found wrong before anything ran.

    Parameters
    ----------
    problems : list of str
        One sentence each.
    """

    def __init__(self, problems: list[str]) -> None:
        self.problems = problems
        super().__init__("\n".join(problems))


@dataclass(frozen=True)
class Project:
    """A checkout of the book.

    Attributes
    ----------
    root : pathlib.Path
        The directory that holds ``pyproject.toml`` and ``notebooks/``.
    """

    root: Path

    @classmethod
    def find(cls, start: Path | None = None) -> "Project":
        """Return the project around a directory (the working directory by default).

        Raises
        ------
        BuildError
            When no directory above holds ``pyproject.toml`` and ``notebooks/``.
        """
        start = (start or Path.cwd()).resolve()
        for folder in (start, *start.parents):
            if (folder / "pyproject.toml").is_file() and (folder / "notebooks").is_dir():
                return cls(folder)
        raise BuildError([f"{start} is not inside the book's repository: call pm from within it"])

    @property
    def notebooks(self) -> Path:
        """The sources of the chapters and the profiles."""
        return self.root / "notebooks"

    @property
    def sources(self) -> list[Path]:
        """The notebooks whose names start with two digits, in order; others are scratch."""
        return sorted(self.notebooks.glob("[0-9][0-9]*.ipynb"))

    @property
    def book(self) -> Path:
        """The prose pages."""
        return self.root / "book"

    @property
    def pages(self) -> Path:
        """The assembled chapters that Sphinx reads."""
        return self.book / "chapters"

    @property
    def generated(self) -> Path:
        """The generated text that prose pages include."""
        return self.book / "_generated"

    @property
    def play(self) -> Path:
        """The reader's working copies."""
        return self.root / "play"

    @property
    def build(self) -> Path:
        """All that the builder keeps."""
        return self.root / "_build"

    def runs(self, profile: str) -> Path:
        """Return the directory with one folder per finished chapter."""
        return self.build / "runs" / profile

    def results(self, profile: str) -> Path:
        """Return the directory with one scoreboard per chapter."""
        return self.build / "results" / profile

    def aside(self, kind: str, folder: Path) -> Path:
        """Return where the unfinished, replaced or failed run of a folder in `build` lies."""
        return self.build / kind / folder.relative_to(self.build)

    @contextlib.contextmanager
    def lock(self) -> Iterator[int]:
        """Hold the checkout and give the lock's file descriptor.

        The lock goes with the process, however that ends, and with the children that inherit the
        descriptor: what a killed builder leaves behind keeps the next one out until it ends. On
        Windows, where children inherit no lock, it goes with this process alone.

        Raises
        ------
        BuildError
            When another process holds it for longer than `PATIENCE_SECONDS`.
        """
        self.build.mkdir(exist_ok=True)
        holder = self.build / "pm.pid"  # apart: nobody else may read a locked file on Windows
        with open(self.build / "pm.lock", "ab") as file:
            if not _locked(file.fileno()):
                pid = holder.read_text("utf-8") if holder.is_file() else "unknown"
                raise BuildError(
                    [f"another pm (process {pid}) works in {self.root}: wait until it ends"]
                )
            write_whole(holder, str(os.getpid()))
            yield file.fileno()


def _locked(descriptor: int) -> bool:
    """Lock a file, waiting a little for the last breath of a builder that was killed."""
    end = time.monotonic() + PATIENCE_SECONDS
    while not lock_descriptor(descriptor, blocking=False):
        if time.monotonic() > end:
            return False
        time.sleep(0.05)
    return True


def write_whole(path: Path, text: str) -> bool:
    """Write a text file whole or not at all, and only when it changes.

    Parameters
    ----------
    path : pathlib.Path
        The file; its directory is made.
    text : str
        The content.

    Returns
    -------
    bool
        Whether the file had another content before.

    Examples
    --------
    >>> from pathlib import Path
    >>> from tempfile import TemporaryDirectory
    >>> from pm_utils.builder.project import write_whole
    >>> with TemporaryDirectory() as folder:
    ...     page = Path(folder) / "pages" / "one.md"
    ...     [write_whole(page, text) for text in ("# One", "# One", "# Two")]
    [True, False, True]
    """
    if path.is_file() and path.read_bytes() == text.encode():
        return False
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.tmp")
    temporary.write_text(text, encoding="utf-8")
    os.replace(temporary, path)
    return True


def end_with_children(*_: Any) -> NoReturn:
    """End this process and all that it started, at once. It serves as a signal's handler too."""
    for child in psutil.Process().children(recursive=True):
        with contextlib.suppress(psutil.NoSuchProcess):
            child.kill()
    os._exit(130)
