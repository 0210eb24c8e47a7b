"""What a chapter prints or calls says which chapter explains it."""

import ast
import re
from pathlib import Path

import nbformat
import pytest

from pm_utils.builder.package_map import EXPLAINED, chapter_of
from tests.support.density import NOTEBOOKS

ROOT = Path(__file__).parents[1]
SLUGS = {name[3:] for name in NOTEBOOKS}
MODULES = {
    ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): path
    for path in (ROOT / "pm_utils").rglob("*.py")
}
TREES = {name: ast.parse(path.read_text(encoding="utf-8")) for name, path in MODULES.items()}
DEFINED = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)


def definition(module: str, name: str) -> tuple[str, ast.AST] | None:
    """Where a name of a module is defined, through the facades that import it."""
    for node in TREES.get(module, ast.Module([], [])).body:
        if isinstance(node, DEFINED) and node.name == name:
            return module, node
        if isinstance(node, ast.ImportFrom):
            for alias in node.names:
                if (alias.asname or alias.name) == name:
                    return definition(node.module, alias.name)
    return None


def used(source: str) -> dict[str, ast.AST]:
    """The definitions of the package that code names, by dotted name."""
    tree, names, aliases = ast.parse(source), {}, {}
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("pm_utils"):
            for alias in node.names:
                whole, local = f"{node.module}.{alias.name}", alias.asname or alias.name
                if whole in MODULES:
                    aliases[local] = whole
                else:
                    names[local] = (node.module, alias.name)
    asked = [names[n.id] for n in ast.walk(tree) if isinstance(n, ast.Name) and n.id in names]
    asked += [
        (aliases[n.value.id], n.attr)
        for n in ast.walk(tree)
        if isinstance(n, ast.Attribute) and isinstance(n.value, ast.Name) and n.value.id in aliases
    ]
    found = [place for place in (definition(*pair) for pair in asked) if place]
    return {f"{module}.{node.name}": node for module, node in found}


def code(path: Path) -> str:
    cells = nbformat.read(path, as_version=4).cells
    return "\n".join(cell.source for cell in cells if cell.cell_type == "code")


@pytest.mark.parametrize("path", NOTEBOOKS.values(), ids=NOTEBOOKS)
def test_what_a_chapter_uses_says_which_chapter_explains_it(path):
    named = {name: chapter_of(ast.get_docstring(node)) for name, node in used(code(path)).items()}
    assert len(named) > 3
    assert {name: slug for name, slug in named.items() if slug not in SLUGS} == {}


def text(path: Path) -> str:
    """All that a notebook says and does."""
    return "\n".join(cell.source for cell in nbformat.read(path, as_version=4).cells)


def test_the_chapter_that_is_named_speaks_of_it():
    chapters = {name[3:]: text(path) for name, path in NOTEBOOKS.items()}
    silent = [
        f"{module}.{node.name}: {slug}"
        for module, tree in TREES.items()
        for node in tree.body
        if isinstance(node, DEFINED)
        if (slug := chapter_of(ast.get_docstring(node))) in chapters
        if not re.search(rf"\b{node.name}\b", chapters[slug])
    ]
    assert silent == []


def test_no_chapter_explains_the_builder():
    builder = {name: tree for name, tree in TREES.items() if ".builder." in name}
    nodes = [n for tree in builder.values() for n in tree.body if isinstance(n, DEFINED)]
    assert len(nodes) > 50
    assert {chapter_of(ast.get_docstring(node)) for node in nodes} == {None}


def test_every_chapter_that_is_named_exists():
    named = {
        (name, slug)
        for name, path in MODULES.items()
        for slug in EXPLAINED.findall(path.read_text(encoding="utf-8"))
    }
    assert {pair for pair in named if pair[1] not in SLUGS} == set()


def test_a_name_is_found_through_a_facade_and_through_a_module():
    source = (
        "from pm_utils.market import Market\nfrom pm_utils.page import plots\nplots.grid(Market)"
    )
    assert set(used(source)) == {"pm_utils.market.market.Market", "pm_utils.page.plots.grid"}
