"""Markdown tables whose cells may hold any text."""

import re
from collections.abc import Iterable

MARKUP = re.compile(r"([\\`*_\[\]<>{}$&#~])")


def as_shown(text: object) -> str:
    r"""Return a text as Markdown that shows just its characters, in one line.

    Examples
    --------
    >>> from pm_utils.builder.tables import as_shown
    >>> print(as_shown("a *b*"))
    a \*b\*
    """
    return MARKUP.sub(r"\\\1", " ".join(str(text).split()))


def code_span(text: str) -> str:
    """Return a text as code, between more backticks than it has in a row, in one line.

    Examples
    --------
    >>> from pm_utils.builder.tables import code_span
    >>> code_span("seed = 0"), code_span("a ` b")
    ('`seed = 0`', '`` a ` b ``')
    """
    line = text.replace("\r", " ").replace("\n", " ")
    runs = [len(run) for run in re.findall("`+", line)]
    if not runs:
        return f"`{line}`"
    fence = "`" * (max(runs) + 1)
    return f"{fence} {line} {fence}"


def table(rows: Iterable[Iterable[str]]) -> str:
    """Return a Markdown table, a line for each row; a bar inside of a cell ends none.

    Parameters
    ----------
    rows : iterable of iterable of str
        Head, rule and body, each cell in Markdown.

    Examples
    --------
    >>> from pm_utils.builder.tables import table
    >>> print(table([["Name"], ["---"], ["`a|b`"]]), end="")
    | Name |
    | --- |
    | `a\\|b` |
    """
    lines = [" | ".join(cell.replace("|", "\\|") for cell in row) for row in rows]
    return "".join(f"| {line} |\n" for line in lines)
