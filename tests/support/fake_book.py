"""A tiny repository to build in a temporary directory: short notebooks and a small package."""

import time
from importlib.metadata import version
from pathlib import Path

import nbformat
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

from pm_utils.builder import chapters, profiles, runs
from pm_utils.builder.project import Project

WRITE = """import json, os, pathlib
out = pathlib.Path(os.environ["PM_OUTPUT"])
"""
PACKAGE = {
    "__init__.py": "",
    "plain.py": "VALUE = 1\n",
    "deep/__init__.py": "from .inner import VALUE\n",
    "deep/inner.py": "def later():\n    from pm_utils.lazy import thing\nVALUE = 2\n",
    "lazy.py": "thing = 3\n",
    "unreached.py": "",
}


def give(name):
    """Code that writes an artifact."""
    return f'(out / "{name}").write_text("made");'


def score(chapter, *, deep="0.9", null="0.1"):
    """Code that saves a scoreboard of one headline row."""
    row = '"metric": "m", "unit": "-", "better": "higher", "naive": 0.2, "classical": 0.5'
    row += f', "deep": {deep}, "limit": None, "null": {null}, "headline": True'
    row += ', "limit_is": "", "names": {"classical": "trees", "deep": "net"}'
    claim = '"claims": [{"metric": "m", "verdict": "beats", "interval": [0.1, 0.5], "level": 0.95}]'
    board = f'{{"chapter": "{chapter}", "profile": os.environ["PM_PROFILE"], "seed": seed, '
    board += f'{claim}, "rows": [{{{row}}}]}}'
    return f'(out / "scoreboard.json").write_text(json.dumps({board}));'


def wait_for(condition, seconds=30):
    """Wait until a condition holds."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited too long"
        time.sleep(0.05)


class FakeBook:
    """Write chapters into a directory and look at what the builder makes of them."""

    def __init__(self, root: Path):
        self.root = root
        self.project = Project(root)
        for name in ("notebooks", "book", "tests"):
            (root / name).mkdir()
        (root / "pyproject.toml").write_text("")
        (root / "requirements.lock").write_text(f"numpy=={version('numpy')}\n")
        (root / "_config.yml").write_text('title: t\nexecute: {execute_notebooks: "off"}\n')
        for name in ("quick", "full"):
            self.profile(name, "{}")
        for name, text in PACKAGE.items():
            path = root / "pm_utils" / name
            path.parent.mkdir(exist_ok=True)
            path.write_text(text)
        self.toc()

    def profile(self, name, text):
        (self.root / "notebooks" / f"{name}.yml").write_text(text)

    def toc(self, *names):
        lines = ["format: jb-book", "root: index", "chapters:"] + [
            f"  - file: chapters/{name}" for name in names
        ]
        (self.root / "_toc.yml").write_text("\n".join(lines if names else lines[:2]) + "\n")
        (self.root / "book" / "index.md").write_text("# The book\n")

    def chapter(
        self, name, *code, needs=(), gives=(), parameters="seed = 0", prose="Some prose.", **varied
    ):
        """Write a chapter: title, imports, parameters, prose and then one cell per text of code."""
        cells = [
            new_markdown_cell(f"# Title of {name}", id="title"),
            new_code_cell(WRITE, id="imports"),
            new_code_cell(parameters, id="parameters", metadata={"tags": ["parameters"]}),
            new_markdown_cell(prose, id="prose"),
            *(new_code_cell(text, id=f"code-{i}") for i, text in enumerate(code)),
        ]
        metadata = {
            "kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"},
            "pm": {"title": f"Title of {name}", "needs": list(needs), "gives": list(gives)}
            | varied,
        }
        self.write(name, new_notebook(cells=cells, metadata=metadata))

    def path(self, name):
        return self.root / "notebooks" / f"{name}.ipynb"

    def read(self, name):
        return nbformat.read(self.path(name), as_version=4)

    def write(self, name, notebook):
        nbformat.write(notebook, self.path(name))

    def problems(self, profile="quick"):
        """Everything that is wrong with the chapters and a profile."""
        found = []
        profiles.load_profile(self.project, profile, chapters.discover(self.project, found), found)
        return found

    def tasks(self, profile="quick"):
        found = []
        names = chapters.discover(self.project, found)
        changes = profiles.load_profile(self.project, profile, names, found)
        assert found == []
        return runs.chapter_tasks(self.project, profile, names, changes)

    def page(self, name):
        return nbformat.read(self.root / "book" / "chapters" / f"{name}.ipynb", as_version=4)

    def folder(self, name, profile="quick"):
        return self.project.runs(profile) / name
