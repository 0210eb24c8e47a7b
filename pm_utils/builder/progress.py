"""What a run shows: live bars on a terminal, plain lines elsewhere."""

import contextlib
import os
import sys
from typing import Any


def say(text: str) -> None:
    """Print a line at once; that nobody reads it or the disk is full stops no build."""
    try:
        print(text, flush=True)
    except BrokenPipeError:
        go_deaf()
    except OSError:  # the line is lost, what is built is not
        pass


def go_deaf() -> None:
    """Lead standard output nowhere: its reader has gone."""
    with contextlib.suppress(OSError, ValueError):  # a test's has no descriptor
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


class Lines:
    """One line when a chapter starts, finishes, fails or is left out.

    Examples
    --------
    >>> from pm_utils.builder.progress import Lines
    >>> with Lines() as shown:
    ...     shown.start("07-interest", cells=12)
    ...     shown.cell("07-interest", 1)
    ...     shown.finish("07-interest", seconds=3.21, peak_memory_mb=410.4)
    07-interest: started, 12 code cells
    07-interest: done in 3.2 s, peak memory 410 MB
    """

    def __enter__(self) -> "Lines":
        """Do nothing; bars begin here."""
        return self

    def __exit__(self, *exception: Any) -> None:
        """Do nothing; bars end here."""

    def say(self, text: str) -> None:
        """Print a line at once."""
        say(text)

    def start(self, label: str, cells: int) -> None:
        """Say that a chapter with this many code cells starts."""
        self.say(f"{label}: started, {cells} code cells")

    def cell(self, label: str, number: int) -> None:
        """Note that a code cell starts; plain lines leave this out."""

    def long(self, label: str, cell: str, seconds: float) -> None:
        """Say which code cell has been running for long."""
        self.say(f"{label}: still in {cell}, for {seconds:.0f} s")

    def finish(self, label: str, seconds: float, peak_memory_mb: float) -> None:
        """Say that a chapter is done."""
        self.say(f"{label}: done in {seconds:.1f} s, peak memory {peak_memory_mb:.0f} MB")

    def fail(self, label: str, text: str) -> None:
        """Say that a chapter failed or was left out, and why."""
        self.say(f"{label}: {text}")


class Bars(Lines):
    """The same lines above one live bar per running chapter: cell i of n and seconds."""

    def __init__(self) -> None:
        from rich import progress

        self.progress = progress.Progress(
            progress.TextColumn("{task.description}", markup=False),
            progress.BarColumn(),
            progress.TextColumn("cell", markup=False),
            progress.MofNCompleteColumn(),
            progress.TimeElapsedColumn(),
            transient=True,
        )
        self.tasks: dict[str, Any] = {}

    def __enter__(self) -> "Bars":
        """Begin to draw."""
        self.progress.start()
        return self

    def __exit__(self, *exception: Any) -> None:
        """Wipe the bars."""
        self.progress.stop()

    def say(self, text: str) -> None:
        """Print a line above the bars."""
        self.progress.console.print(text, markup=False, highlight=False, soft_wrap=True)

    def start(self, label: str, cells: int) -> None:
        """Add a chapter's bar."""
        self.tasks[label] = self.progress.add_task(label, total=cells)

    def cell(self, label: str, number: int) -> None:
        """Move a chapter's bar to the code cell that runs."""
        self.progress.update(self.tasks[label], completed=number)

    def long(self, label: str, cell: str, seconds: float) -> None:
        """Say nothing: the bar shows it."""

    def finish(self, label: str, seconds: float, peak_memory_mb: float) -> None:
        """Replace the bar by a line."""
        self._remove(label)
        super().finish(label, seconds, peak_memory_mb)

    def fail(self, label: str, text: str) -> None:
        """Replace the bar, if there is one, by a line."""
        self._remove(label)
        super().fail(label, text)

    def _remove(self, label: str) -> None:
        if label in self.tasks:
            self.progress.remove_task(self.tasks.pop(label))


def report() -> Lines:
    """Return bars when the output is a terminal, lines otherwise."""
    return Bars() if sys.stdout.isatty() else Lines()
