"""The floor plan of `pm_utils`: who may import whom, no circles, one meaning for each name."""

import ast
import re
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "pm_utils"
FILES = sorted(PACKAGE.rglob("*.py"))

# What each folder may import, besides itself. CONTRIBUTING shows the same table.
MAY_IMPORT = {
    "inputs": set(),
    "page": set(),
    "formulas": set(),
    "learning": set(),
    "data": set(),
    "evaluation": {"formulas"},
    "market": {"data"},
    "builder": {"page"},
    "customers": {"data", "learning", "evaluation"},
    "creatives": {"market", "learning", "evaluation", "formulas"},
    "measurement": {"market", "data", "learning", "evaluation", "formulas"},
    "decisions": {"market", "evaluation", "learning"},
    "targeting": {"customers", "data", "learning", "evaluation", "formulas"},
    "lifetime": {"customers", "data", "learning", "evaluation", "formulas"},
    "loop": {"creatives", "customers", "measurement", "market", "learning"},
}
EVERYWHERE = {"inputs"}  # what any module may import
PLOTTING = {"targeting", "lifetime"}  # their modules `plotting` may import `page` too
FREE = "chapters"  # imports anything but `builder`, and nothing imports it
ENTRY_POINTS = {"main", "setup"}  # what a module does when it is run, or when Sphinx joins it


def plan_in(page: str) -> dict[str, set[str]]:
    """The table of CONTRIBUTING: each folder and what it may import."""
    rows = re.findall(r"^\| `(\w+)` \|[^|]*\|([^|]*)\|$", page, re.M)
    return {folder: set(re.findall(r"`(\w+)`", allowed)) for folder, allowed in rows}


def module_name(path: Path, root: Path = ROOT) -> str:
    """The dotted name of a file of the package."""
    return ".".join(path.relative_to(root).with_suffix("").parts).removesuffix(".__init__")


def imported_modules(source: str, modules: set[str]) -> set[str]:
    """The modules of the package that a source imports, anywhere in it."""
    found = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, "imports are absolute"
            for alias in node.names:
                whole = f"{node.module}.{alias.name}"
                found.add(whole if whole in modules else node.module)
    return {name for name in found if name.split(".")[0] == PACKAGE.name}


def import_graph(sources: dict[str, str]) -> dict[str, set[str]]:
    """What each module imports, by name."""
    return {name: imported_modules(text, set(sources)) - {name} for name, text in sources.items()}


def floor(module: str) -> str:
    """The folder of a module, or the module itself where it lies in the root."""
    return module.split(".")[1]


def subject(module: str) -> str:
    """The chapter that a module of `chapters` belongs to; figures or trials lie in another file."""
    name = module.split(".")[-1]
    for part in ("_figures", "_market", "_trials"):
        name = name.removesuffix(part)
    return name


def forbidden(importer: str, imported: str) -> bool:
    """Whether the floor plan forbids that one module imports another."""
    if imported == PACKAGE.name:
        return False
    here, there = floor(importer), floor(imported)
    if here == there:
        return here == FREE and subject(importer) != subject(imported)
    if there in (FREE, "builder"):
        return True
    if here == FREE:
        return False
    allowed = MAY_IMPORT[here] | EVERYWHERE
    if here in PLOTTING and importer.endswith(".plotting"):
        allowed.add("page")
    return there not in allowed


def trespasses(sources: dict[str, str]) -> list[str]:
    """One sentence for each import against the floors."""
    graph = import_graph(sources)
    return [
        f"{importer} must not import {imported}"
        for importer in sorted(graph)
        if importer != PACKAGE.name
        for imported in sorted(graph[importer])
        if forbidden(importer, imported)
    ]


@pytest.fixture(scope="module")
def sources() -> dict[str, str]:
    return {module_name(path): path.read_text(encoding="utf-8") for path in FILES}


def test_the_root_holds_the_formulas_and_the_inputs():
    assert {path.name for path in PACKAGE.glob("*.py")} == {
        "__init__.py",
        "formulas.py",
        "inputs.py",
    }


def test_every_folder_stands_in_the_plan():
    folders = {path.parent.name for path in PACKAGE.glob("*/__init__.py")}
    assert folders | {"formulas", "inputs"} == set(MAY_IMPORT) | {FREE}


def test_contributing_shows_the_plan():
    shown = plan_in((ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8"))
    assert {name: shown.get(name) for name in MAY_IMPORT} == MAY_IMPORT


def test_no_import_goes_against_the_floors(sources):
    assert trespasses(sources) == []


@pytest.mark.parametrize(
    ("importer", "line"),
    [
        ("pm_utils.evaluation.ranking", "from pm_utils.market import Market"),
        ("pm_utils.market.truth", "from pm_utils import loop"),
        ("pm_utils.loop.planner", "import pm_utils.targeting.lists"),
        ("pm_utils.customers.features", "from pm_utils.page import artifacts"),
        ("pm_utils.targeting.lists", "from pm_utils.chapters.funnel import trials"),
        ("pm_utils.chapters.funnel", "from pm_utils.builder import key"),
        ("pm_utils.chapters.funnel", "from pm_utils.chapters import conversion"),
        ("pm_utils.formulas", "def f():\n    from pm_utils.data import load_shop"),
    ],
)
def test_an_import_against_the_floors_is_named(sources, importer, line):
    added = sources | {importer: f"{sources[importer]}\n{line}\n"}
    assert [problem.split()[0] for problem in trespasses(added)] == [importer]


def test_plots_of_lists_may_use_the_pages_colours(sources):
    line = "from pm_utils.page import plots"
    for name, bad in (("plotting", 0), ("lists", 1)):
        module = f"pm_utils.targeting.{name}"
        assert len(trespasses({**sources, module: line})) == bad


def test_no_circle_of_imports(sources):
    graph = import_graph(sources)
    assert set(TopologicalSorter(graph).static_order()) >= set(graph)


def test_a_circle_would_be_found():
    graph = import_graph({f"pm_utils.{a}": f"import pm_utils.{b}" for a, b in ("ab", "bc", "ca")})
    with pytest.raises(CycleError):
        list(TopologicalSorter(graph).static_order())


def test_nothing_imports_a_chapters_experiments(sources):
    importers = {
        importer
        for importer, imported in import_graph(sources).items()
        if any(floor(name) == FREE for name in imported if name != PACKAGE.name)
    }
    assert {floor(name) for name in importers} <= {FREE}


@pytest.mark.parametrize("path", sorted(PACKAGE.rglob("__init__.py")), ids=module_name)
def test_every_folder_says_what_lives_there(path):
    said = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
    summary, _, rest = said.partition("\n\n")
    assert summary.endswith((".", "!"))
    if path.parent.parent == PACKAGE:
        assert rest.endswith("."), "say what does not live there"


def public_names(source: str) -> list[str]:
    """What a module defines at its top level without an underscore."""
    names = []
    for node in ast.parse(source).body:
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            names.append(node.name)
        elif isinstance(node, (ast.Assign, ast.AnnAssign)):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            names += [n.id for t in targets for n in ast.walk(t) if isinstance(n, ast.Name)]
    return [name for name in names if not name.startswith("_")]


def test_a_public_name_means_one_thing(sources):
    homes: dict[str, list[str]] = {}
    for module, source in sources.items():
        for name in public_names(source):
            homes.setdefault(name, []).append(module)
    homonyms = {name: where for name, where in homes.items() if len(where) > 1}
    assert {name: where for name, where in homonyms.items() if name not in ENTRY_POINTS} == {}


def test_tests_mirror_the_folders():
    """A test file in a folder is called after a module in the folder of that name."""
    tests = ROOT / "tests"
    strays = [
        path.relative_to(tests).as_posix()
        for path in tests.rglob("test_*.py")
        if path.parent != tests and not path.name.startswith("test_other_")
        if not (
            PACKAGE / path.parent.relative_to(tests) / path.name.removeprefix("test_")
        ).is_file()
    ]
    assert strays == []
