"""What one cell may take: seconds, and megabytes of output on its page."""

import json
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from nbformat import NotebookNode


class LimitError(Exception):
    """A cell took more than it may."""


@dataclass(frozen=True)
class Limits:
    """What one cell may take; 0 means no limit.

    Attributes
    ----------
    seconds : float
        How long it may run.
    output_mb : float
        How much it may print and draw, in MB.
    """

    seconds: float = 3600
    output_mb: float = 10

    def of(self, cell: "NotebookNode") -> "Limits":
        """Return a cell's own limits: ``{"pm": {"seconds": …, "output_mb": …}}`` in its metadata.

        Raises
        ------
        LimitError
            When they are no numbers of at least 0, or others are named.
        """
        own = cell.metadata.get("pm", {})
        known = isinstance(own, dict) and set(own) <= {"seconds", "output_mb"}
        if not known or not all(map(_fits, own.values())):
            raise LimitError(
                f"its metadata has `pm`: {json.dumps(own)}; give `seconds` and `output_mb`, "
                "numbers of at least 0"
            )
        return replace(self, **own)


def _fits(value: Any) -> bool:
    return type(value) in (int, float) and 0 <= value < float("inf")
