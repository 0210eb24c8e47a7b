"""The page that maps the package: folder by folder, module by module, with the way to the chapters.

Everything is read from the docstrings, nothing is imported. A docstring that says ``Explained in
chapter ``interest``.`` links to that chapter; `pm_utils.page.listing.show_source` links from the
chapter to the module's place on this page.
"""

import ast
import re
from pathlib import Path

EXPLAINED = re.compile(r"Explained in chapter ``([a-z0-9-]+)``\.")


def chapter_of(docstring: str | None) -> str | None:
    """Return the slug of the chapter that a docstring names, None where it names none.

    Examples
    --------
    >>> chapter_of("Rank.\\n\\nExplained in chapter ``interest``.")
    'interest'
    """
    before_examples = (docstring or "").partition("\nExamples\n")[0]
    named = EXPLAINED.search(before_examples)
    return named[1] if named else None


def package_map(package: Path, chapters: list[str]) -> str:
    """Return the map as Markdown.

    Parameters
    ----------
    package : pathlib.Path
        The directory of the package.
    chapters : list of str
        Names as in ``"07-interest"``, to link to.

    Returns
    -------
    str
        A heading for each folder that says what lives there, and a paragraph for each module,
        with the names that chapters explain. Each paragraph can be referred to by the module's
        dotted name.
    """
    pages = {name[3:]: f"chapters/{name}.ipynb" for name in chapters}
    parts = []
    for folder in sorted({path.parent for path in package.rglob("*.py")}):
        modules = sorted(path for path in folder.glob("*.py") if path.name != "__init__.py")
        parts.append(_heading(folder, package))
        parts += [_paragraph(path, package, pages) for path in modules]
    return "\n\n".join(parts) + "\n"


def _dotted(path: Path, package: Path) -> str:
    return ".".join(path.relative_to(package.parent).with_suffix("").parts)


def _heading(folder: Path, package: Path) -> str:
    init = folder / "__init__.py"
    text = _docstring(init) if init.is_file() else ""
    return f"## `{_dotted(folder, package)}`\n\n{_opening(text)}".rstrip()


def _docstring(path: Path) -> str:
    return ast.get_docstring(_tree(path)) or ""


def _tree(path: Path) -> ast.Module:
    """Parse a module; one that is broken is named by the chapters that need it and empty here."""
    try:
        return ast.parse(path.read_bytes())
    except (SyntaxError, ValueError, RecursionError):
        return ast.Module(body=[], type_ignores=[])


def _opening(text: str) -> str:
    """Return the first two paragraphs: what lives in a folder, and what does not."""
    return "\n\n".join(text.split("\n\n")[:2])


def _paragraph(path: Path, package: Path, pages: dict[str, str]) -> str:
    tree = _tree(path)
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
    explained: dict[str, list[str]] = {}
    for node in tree.body:
        if not isinstance(node, kinds) or node.name.startswith("_"):
            continue
        slug = chapter_of(ast.get_docstring(node))
        if slug in pages:
            explained.setdefault(slug, []).append(f"`{node.name}`")
    summary = (ast.get_docstring(tree) or "").split("\n\n")[0].replace("\n", " ")
    links = [f"[{slug}]({pages[slug]}): {', '.join(names)}." for slug, names in explained.items()]
    name = _dotted(path, package)
    return "\n".join([f"({name})=", f"**`{path.name}`** {summary} {' '.join(links)}".rstrip()])
