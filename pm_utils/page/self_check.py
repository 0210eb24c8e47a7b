"""Tell a reader whether an exercise is solved, without showing the solution.

The solution of the book's notebook runs on copies of what the reader's cells have left, unseen. So
the answer is right for the parameters that the reader has set, not only for those of the book.
"""

import ast
import copy
import inspect
import json
import math
from pathlib import Path
from typing import Any

import pandas as pd

from pm_utils.page import artifacts

RIGHT, NOT_YET = "right", "not yet"


def self_check(exercise: str, answer: Any) -> str:
    """Compare an answer with what the solution of an exercise computes.

    Parameters
    ----------
    exercise : str
        The exercise's label, as in ``"ex-formulas-horizon"``.
    answer : object
        A number or a text; ``...`` as long as there is none.

    Returns
    -------
    str
        ``"right"`` or ``"not yet"``. A number is right up to one unit of the last digit asked for.

    Raises
    ------
    ValueError
        When no chapter has the exercise, or its solution cannot be checked.
    """
    if answer is ...:
        return NOT_YET
    source, spec = find_solution(artifacts.ROOT / "notebooks", exercise)
    names = inspect.currentframe().f_back.f_globals
    expected = _quietly(source, spec["expression"], names)
    return RIGHT if agrees(answer, expected, digits=spec["digits"]) else NOT_YET


def find_solution(notebooks: Path, exercise: str) -> tuple[str, dict[str, Any]]:
    """Return the code of an exercise's solution and what is to be compared.

    Raises
    ------
    ValueError
        When there is none.
    """
    for path in sorted(notebooks.glob("[0-9][0-9]*.ipynb")):
        inside = False
        for cell in json.loads(path.read_text(encoding="utf-8"))["cells"]:
            source = "".join(cell["source"])
            if cell["cell_type"] == "markdown" and "{solution-start}" in source:
                inside = source.splitlines()[0].partition("{solution-start}")[2].strip() == exercise
            spec = cell["metadata"].get("self_check", {})
            if inside and "expression" in spec:
                return source, spec
    raise ValueError(
        f"exercise is {exercise!r}, but no solution in {notebooks} can be checked under this "
        "label: give the label of an exercise that asks for one answer"
    )


def _quietly(source: str, expression: str, names: dict[str, Any]) -> Any:
    """Run a solution on copies and return the value of an expression after it."""
    from IPython.utils.capture import capture_output

    tree = ast.parse(source)
    if isinstance(tree.body[-1], ast.Expr):  # what the cell would show
        tree.body[-1] = ast.Assign([ast.Name("result", ast.Store())], tree.body[-1].value)
    mine = {name: _own(value) for name, value in names.items()}
    with capture_output():
        exec(compile(ast.fix_missing_locations(tree), "solution", "exec"), mine)
        return eval(expression, mine)


def _own(value: Any) -> Any:
    """Return a copy of what a solution may write into."""
    kinds = (dict, list, set, pd.DataFrame, pd.Series)
    return copy.copy(value) if isinstance(value, kinds) else value


def agrees(answer: Any, expected: Any, *, digits: int) -> bool:
    """Tell whether an answer is the expected text, or number up to a unit of the last digit.

    Parameters
    ----------
    answer, expected : object
        Numbers or texts.
    digits : int
        Digits after the point.

    Examples
    --------
    >>> agrees(0.7043, 0.70427, digits=4), agrees(0.71, 0.70427, digits=4)
    (True, False)
    """
    if isinstance(expected, str):
        return isinstance(answer, str) and answer.strip() == expected.strip()
    try:
        return math.isclose(float(answer), float(expected), rel_tol=0, abs_tol=1.001 * 10**-digits)
    except (TypeError, ValueError):  # a text, a table
        return False
