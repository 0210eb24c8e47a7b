"""Signals that end the builder: Ctrl-C, SIGTERM, and a terminal that closes."""

import asyncio
import contextlib
import os
import signal
import sys
from types import FrameType
from typing import Any

from pm_utils.builder.project import end_with_children
from pm_utils.builder.signals import SIGNALS


class Interrupted(KeyboardInterrupt):
    """Raised by the first signal; of a class of its own, for Python ends by SIGINT after any code
    made from a text (a namedtuple's, say) has let a plain KeyboardInterrupt through."""


class Interruption:
    """Turns the first signal into an `Interrupted`; the second ends everything at once.

    A signal that is ignored already, as below ``nohup``, stays so. Where Python cannot raise, as
    when it clears away an object, the first signal ends everything at once too.

    Attributes
    ----------
    number : int or None
        The signal that came.
    at_once : bool
        Whether the first signal already ends the process. So it is while libraries load, where an
        exception would abort some of them, and nothing has begun that could be left half done.
    """

    def __init__(self) -> None:
        self.number: int | None = None
        self.at_once = True
        self._before: dict[int, Any] = {}

    def __enter__(self) -> "Interruption":
        """Listen."""
        for number in SIGNALS:
            if signal.getsignal(number) is not signal.SIG_IGN:
                self._before[number] = signal.signal(number, self._end)
        self._hook, sys.unraisablehook = sys.unraisablehook, self._unraisable
        return self

    def __exit__(self, *exception: Any) -> None:
        """Listen no longer."""
        for number, handler in self._before.items():
            signal.signal(number, handler)
        sys.unraisablehook = self._hook

    @property
    def status(self) -> int:
        """The exit status, 130 after Ctrl-C and 143 after SIGTERM."""
        return 128 + (self.number or signal.SIGINT)

    def tell(self) -> None:
        """Say that the builder was interrupted."""
        with contextlib.suppress(OSError):  # the terminal has gone
            print("interrupted: finished chapters are kept, call again to go on", file=sys.stderr)

    def _end(self, number: int, _: FrameType | None) -> None:
        again, self.number = self.number is not None, number
        if again or self.at_once:
            os.write(2, b"interrupted: nothing was begun\n" if self.at_once else b"")
            end_with_children(status=self.status)
        raise Interrupted

    def _unraisable(self, what: Any) -> None:
        if not issubclass(what.exc_type, Interrupted):
            return self._hook(what)
        self.tell()
        end_with_children(status=self.status)


def quietly(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """Handle what a loop of asyncio cannot pass on: an interruption has been told already."""
    if not isinstance(context.get("exception"), Interrupted):
        loop.default_exception_handler(context)
