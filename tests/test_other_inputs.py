"""Every public name of the package is held to the properties of `tests.support.metric_cases`.

A folder's cases stand in ``tests/<folder>/test_other_inputs.py``: the keys of ``CASES`` begin with
the name, as in "ranking.roc_auc, weighed", and ``BESIDES`` tells of the others either the test that
holds them, as "tests/lifetime/test_rfm.py::test_one", or that they take no rows, or that the
package alone makes what they are given. Names are those below the folder:
"module.function", "module.Class" for what a class is made of, and "module.Class.method" where a
method takes rows; other methods may be held too, and folders between may be left out where only one
name can be meant. Rows are arrays and tables; a tensor is none,
since `pm_utils.learning.training` checks what networks read.
"""

import ast
import importlib
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "pm_utils"
OUTSIDE = {"builder", "chapters"}
FOLDERS = sorted(
    {path.name for path in PACKAGE.iterdir() if path.is_dir() and (path / "__init__.py").exists()}
    - OUTSIDE
)
ROWS = re.compile(r"\b(ArrayLike|ndarray|Series|DataFrame)\b")
NONE = "takes no rows"
MADE = "the package makes it"


def parameters_of(function: ast.FunctionDef) -> list[ast.arg]:
    """All parameters of a function."""
    given = function.args
    rest = [one for one in (given.vararg, given.kwarg) if one]
    return [*given.posonlyargs, *given.args, *given.kwonlyargs, *rest]


def takes_rows(annotations: list[ast.expr | None]) -> bool:
    """Whether one of the annotations names arrays or tables."""
    return any(ROWS.search(ast.unparse(one)) for one in annotations if one)


def optional(name: str, rows: bool) -> bool:
    """Whether nothing need be said of a name: a method that takes no rows."""
    return not rows and bool(re.search(r"(^|\.)[A-Z]\w*\.\w+$", name))


def names_in(source: str) -> dict[str, bool]:
    """The public names of a module, and whether each takes rows."""
    found = {}
    for node in ast.parse(source).body:
        if getattr(node, "name", "_").startswith("_"):
            continue
        if isinstance(node, ast.FunctionDef):
            found[node.name] = takes_rows([one.annotation for one in parameters_of(node)])
        elif isinstance(node, ast.ClassDef):
            methods = {one.name: one for one in node.body if isinstance(one, ast.FunctionDef)}
            rows = {
                name: takes_rows([one.annotation for one in parameters_of(method)])
                for name, method in methods.items()
            }
            fields = [one.annotation for one in node.body if isinstance(one, ast.AnnAssign)]
            found[node.name] = takes_rows(fields) or rows.get("__init__", False)
            found |= {
                f"{node.name}.{name}": some
                for name, some in rows.items()
                if not name.startswith("_")
            }
    return found


def public_names(folder: str) -> dict[str, bool]:
    """The public names of a folder, or of a module in the root, by name below it."""
    found = {}
    home = PACKAGE / folder
    for path in sorted(home.rglob("*.py")) if home.is_dir() else [home.with_suffix(".py")]:
        parts = path.relative_to(home if home.is_dir() else PACKAGE).with_suffix("").parts
        if any(part.startswith("_") for part in parts):
            continue
        names = names_in(path.read_text(encoding="utf-8"))
        found |= {".".join([*parts, name]): rows for name, rows in names.items()}
    return found


def faults(names: dict[str, bool], cases: list[str], besides: dict[str, str]) -> list[str]:
    """One sentence for each name without a case, and for each case or test of none."""
    held = {case.split(",")[0] for case in cases}
    held -= {name for name in held if name.startswith("_")}  # of a private module, held besides
    unheld = [name for name in names if name not in held | besides.keys()]
    found = [f"{name} has no case" for name in unheld if not optional(name, names[name])]
    found += [f"there is no {name}" for name in sorted((held | besides.keys()) - names.keys())]
    found += [f"{name} has a case and stands beside" for name in sorted(held & besides.keys())]
    for name, why in besides.items():
        if why == NONE:
            if names.get(name):
                found.append(f"{name} takes rows")
        elif why != MADE and not exists(why):
            found.append(f"{name}: there is no test {why}")
    return found


def exists(test: str) -> bool:
    """Whether a test named as "file::function" stands in its file."""
    path, _, name = test.partition("::")
    file = ROOT / path
    if not file.is_file():
        return False
    tree = ast.parse(file.read_text(encoding="utf-8"))
    return name.startswith("test_") and name in {getattr(node, "name", None) for node in tree.body}


def in_full(case: str, names: dict[str, bool]) -> str:
    """A case's key with the folders between left in, where only one name can be meant."""
    name, comma, words = case.partition(",")
    ends = [one for one in names if one.endswith(f".{name}")]
    return f"{ends[0]}{comma}{words}" if name not in names and len(ends) == 1 else case


def read(folder: str) -> tuple[list[str], dict[str, str]]:
    """The names of a folder's cases, and what is held beside them."""
    module = importlib.import_module(f"tests.{folder}.test_other_inputs")
    names = public_names(folder)
    besides = {in_full(name, names): why for name, why in module.BESIDES.items()}
    return [in_full(case, names) for case in module.CASES], besides


@pytest.mark.parametrize("folder", FOLDERS)
def test_every_public_name_has_a_case_or_tells_why_not(folder):
    assert faults(public_names(folder), *read(folder)) == []


ROOT_MODULES = {
    "formulas": "tests/test_formulas.py::test_what_is_not_known_is_no_number",
    "inputs": "tests/test_inputs.py::test_rows_that_cannot_meet_are_refused",
}


def test_the_modules_of_the_root_are_held_by_their_own_tests():
    assert {path.stem for path in PACKAGE.glob("[!_]*.py")} == set(ROOT_MODULES)
    assert all(exists(test) for test in ROOT_MODULES.values())


def test_what_takes_rows_is_read_from_annotations():
    source = """
import numpy as np

def score(target: np.ndarray, *, share: float) -> float: ...
def draw(seed: int, **tables: "pd.DataFrame") -> np.ndarray: ...
def size(rows: int) -> np.ndarray: ...
def _own(rows: np.ndarray): ...

class Table:
    def __init__(self, values: dict[str, ArrayLike]) -> None: ...
    def take(self, rows: pd.Series): ...
    def count(self) -> int: ...
    def _look(self, rows: pd.Series): ...

class Record:
    total: float

LIMIT: int = 3
"""
    rows = {"score": True, "draw": True, "size": False, "Table": True, "Table.take": True}
    assert names_in(source) == rows | {"Table.count": False, "Record": False}
    assert [
        name for name in rows | {"Table.count": False} if optional(name, rows.get(name, False))
    ] == ["Table.count"]


def test_a_name_is_completed_where_it_can_be_only_one():
    names = {"text.a.one": True, "image.a.two": True, "text.b.two": True, "text.a.two": True}
    assert in_full("a.one, weighed", names) == "text.a.one, weighed"
    assert in_full("a.two", names) == "a.two"
    assert in_full("text.b.two", names) == "text.b.two"


def test_a_fault_is_told():
    names = {"a.one": True, "a.two": True, "a.three": False, "a.four": False}
    here = "tests/test_other_inputs.py"
    besides = {"a.two": NONE, "a.three": NONE, "a.one": f"{here}::test_a_fault_is_told"}
    assert faults(names, ["a.one, weighed", "a.gone"], besides) == [
        "a.four has no case",
        "there is no a.gone",
        "a.one has a case and stands beside",
        "a.two takes rows",
    ]
    for test in (f"{here}::test_that_is_not", "tests/nowhere.py::test_x", f"{here}::faults"):
        assert faults({"a.one": True}, [], {"a.one": test}) == [f"a.one: there is no test {test}"]
    assert faults({"a.one": True}, ["a.one"], {}) == []
