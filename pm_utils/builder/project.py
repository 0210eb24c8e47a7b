"""Where things lie in a checkout, and the lock that keeps two builders apart."""

import contextlib
import errno
import os
import re
import shutil
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

import psutil
from filelock import lock_descriptor

PATIENCE_SECONDS = 1.0
FULL = (errno.ENOSPC, errno.EDQUOT)  # errors of writing, which name no file
PLAIN_NAME = re.compile(r"\w[\w.-]*")
REMEDIES = {
    errno.ENOSPC: "free some space and call again",
    errno.EDQUOT: "free some space and call again",
    errno.EACCES: "make it yours (did another user build here?) and call again",
    errno.EPERM: "make it yours (did another user build here?) and call again",
    errno.EROFS: "make it writable and call again",
    errno.EXDEV: "keep all of _build on one device",
    errno.ENOENT: "it went while it was needed; let nothing but pm remove files of _build",
    errno.ENOTDIR: "a file stands where a folder has to be: remove it",
    errno.EEXIST: "something stands where pm writes: remove it",
    errno.EISDIR: "a folder stands where a file has to be: remove it",
}


LOCK, HOLDER = "pm.lock", "pm.pid"


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


def explain(error: Exception) -> str:
    """Return one sentence on what went wrong with files or memory, with the file and the remedy."""
    if isinstance(error, OSError) and error.errno is not None:
        files = [str(name) for name in (error.filename, error.filename2) if name is not None]
        what = " → ".join(files) or ("the disk" if error.errno in FULL else "a file")
        remedy = REMEDIES.get(error.errno)
        return f"{what}: {error.strerror}" + (f" ({remedy})" if remedy else "")
    if isinstance(error, BuildError):
        return str(error)
    if isinstance(error, MemoryError):
        return "MemoryError: memory ran out (run fewer chapters side by side with --jobs)"
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[0]}" if lines else type(error).__name__


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
        """Return the directory with one folder per finished chapter.

        Raises
        ------
        BuildError
            When the profile's name could lead elsewhere.
        """
        return self.build / "runs" / plain_name(profile, "profile")

    def results(self, profile: str) -> Path:
        """Return the directory with one scoreboard per chapter, see `runs`."""
        return self.build / "results" / plain_name(profile, "profile")

    def aside(self, kind: str, folder: Path) -> Path:
        """Return where the unfinished, replaced or failed run of a folder in `build` lies."""
        return self.build / kind / folder.relative_to(self.build)

    def remove(self, path: Path) -> None:
        """Remove a file or a folder below `build`, if it is there; of a link the link alone.

        Raises
        ------
        BuildError
            When the path leads out of `build`, by its name or by a link on the way.
        """
        build, place = self.build.resolve(), path.parent.resolve()
        if path.name in ("", "..") or not place.is_relative_to(build):
            problem = f"{path} leads out of {self.build}, so it is not removed: "
            raise BuildError([problem + f"is {path.parent} a link? Put a folder in its place"])
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)

    def clean(self) -> None:
        """Remove all that the builder has written but its lock, which the caller holds."""
        for path in sorted(self.build.glob("*")):
            if path.name not in (LOCK, HOLDER):
                self.remove(path)
        for path in (self.pages, self.generated):
            if path.is_symlink():
                path.unlink()
            elif path.exists():
                shutil.rmtree(path)

    @contextlib.contextmanager
    def lock(self) -> Iterator[int]:
        """Hold the checkout and give the lock's file descriptor.

        The lock goes with the process, however that ends, and with the children that inherit the
        descriptor: what a killed builder leaves behind keeps the next one out until it ends. On
        Windows, where children inherit no lock, it goes with this process alone.

        Raises
        ------
        BuildError
            When another process holds it for longer than `PATIENCE_SECONDS`, or `build` cannot
            be written.
        """
        holder = self.build / HOLDER  # apart: nobody else may read a locked file on Windows
        try:
            self.build.mkdir(exist_ok=True)
            file = open(self.build / LOCK, "ab")  # noqa: SIM115 - closed below
        except OSError as error:
            raise BuildError([f"pm keeps all it makes in _build: {explain(error)}"]) from error
        with file:
            if not _locked(file.fileno()):
                pid = holder.read_text("utf-8") if holder.is_file() else "unknown"
                raise BuildError(
                    [f"another pm (process {pid}) works in {self.root}: wait until it ends"]
                )
            with contextlib.suppress(OSError):  # the disk may be full, and `clean` the remedy
                write_whole(holder, str(os.getpid()))
            yield file.fileno()


def plain_name(name: str, what: str) -> str:
    """Return a name that is joined to a path, checked: it cannot lead to another directory.

    Raises
    ------
    BuildError
        When it has other characters than letters, digits, ``_``, ``-`` and ``.``, or starts with
        ``-`` or ``.``.
    """
    if not PLAIN_NAME.fullmatch(name):
        raise BuildError([f"{name!r} is no name of a {what}: use letters, digits, _, - and ."])
    return name


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
    try:
        temporary.write_text(text, encoding="utf-8")
        os.replace(temporary, path)
    except OSError:
        with contextlib.suppress(OSError):  # half a file would take the space of a full disk
            temporary.unlink(missing_ok=True)
        raise
    return True


def end_with_children(*_: Any, status: int = 130) -> NoReturn:
    """End this process and all that it started, at once. It serves as a signal's handler too."""
    for child in psutil.Process().children(recursive=True):
        with contextlib.suppress(psutil.NoSuchProcess):
            child.kill()
    os._exit(status)
