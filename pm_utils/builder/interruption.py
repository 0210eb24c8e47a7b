"""Signals that end the builder: Ctrl-C, SIGTERM, and a terminal that closes."""

import contextlib
import os
import signal
import sys
from types import FrameType
from typing import Any

from pm_utils.builder.project import end_with_children

SIGNALS = [
    getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)
]


class Interruption:
    """Turns the first signal into a KeyboardInterrupt; the second ends everything at once.

    A signal that is ignored already, as below ``nohup``, stays so.

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
        return self

    def __exit__(self, *exception: Any) -> None:
        """Listen no longer."""
        for number, handler in self._before.items():
            signal.signal(number, handler)

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
        raise KeyboardInterrupt
