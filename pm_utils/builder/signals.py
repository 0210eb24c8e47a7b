"""The signals that end the builder, and what they do before and after it listens to them itself.

It imports nothing that takes long: it is there in the first moment of a call.
"""

import os
import signal
from typing import Any, NoReturn

SIGNALS = [
    getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)
]


def leave_on_signals() -> None:
    """Let each of the signals end this process with a line, unless it is ignored already."""
    for number in SIGNALS:
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, _leave)


def ignore_signals() -> None:
    """Let none of the signals change how a call ended that has done its work."""
    for number in SIGNALS:
        signal.signal(number, signal.SIG_IGN)


def _leave(number: int, _: Any) -> NoReturn:
    os.write(2, b"interrupted: nothing was begun\n")
    os._exit(128 + number)
