"""What a run reads counts, however it is reached."""

import contextlib
import json
import shutil
import sqlite3
from pathlib import Path

import pytest

from pm_utils.builder import cli, html, runs
from tests.support.fake_book import FakeBook, give

PAGE = Path(runs.__file__).parents[1] / "page"


@pytest.fixture
def book(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(html.Renderer, "start", lambda _: None)
    monkeypatch.setattr(html, "render", lambda *_, **__: None)
    return FakeBook(tmp_path)


def reason(book, name="01-a"):
    return runs.stale_reasons(book.tasks())[name]


READERS = {
    "by_name.py": "import importlib; importlib.import_module('pm_utils.' + 'by_name')",
    "by_exec.py": "exec('from pm_utils ' + 'import by_exec')",
    "by_text.py": "exec(open('../pm_utils/by_text.py').read())",
    "by_magic.py": "%time from pm_utils import by_magic",
    "by_child.py": "!{sys.executable} -c 'import pm_utils.by_child'",
    "by_source.py": "import inspect, pm_utils.by_source as m; inspect.getsource(m);",
}
FILES = {
    "notebooks/run.py": "%run run.py",
    "notebooks/table.csv": "import pandas; pandas.read_csv('table.csv');",
    "notebooks/other.ipynb": "json.load(open('other.ipynb'));",
    "data/words.txt": "(pathlib.Path('..') / 'data' / 'words.txt').read_text();",
    "data/told.txt": "!cat ../data/told.txt",
}


def test_whatever_a_run_reads_counts_and_status_names_it(book, capsys):
    for name in READERS:
        (book.root / "pm_utils" / name).write_text("V = 1\n")
    (book.root / "data").mkdir()
    for name in FILES:
        (book.root / name).write_text("{}\n")
    listing = "sorted(p.name for p in pathlib.Path('../data').iterdir());"
    own = "pathlib.Path('own.txt').write_text('1'); pathlib.Path('own.txt').read_text();"
    book.chapter("01-a", "import sys", *READERS.values(), *FILES.values(), listing, own)
    assert cli.main(["run", "1"]) == 0
    assert reason(book) == ""
    capsys.readouterr()
    cli.main(["status", "--json"])
    told = json.loads(capsys.readouterr().out)["01-a"]["read_besides"]
    assert {f"pm_utils/{name}" for name in READERS} - {"pm_utils/by_source.py"} <= set(told)
    assert set(FILES) <= set(told) and "notebooks/own.txt" not in told
    for name in [*(f"pm_utils/{name}" for name in READERS), *FILES]:
        path = book.root / name
        before = path.read_text()
        path.write_text("V = 2\n")
        assert name in reason(book), name
        path.write_text(before)
        assert reason(book) == ""
    (book.root / "data" / ".words.txt.swp").write_text("")
    assert reason(book) == ""
    (book.root / "data" / "new.txt").write_text("")
    assert "data" in reason(book)


SOUGHT = {
    "glob": "import glob; glob.glob('../data/*/x.csv');",
    "iglob": "import glob; list(glob.iglob('*/x.csv', root_dir='../data'));",
    "path": "list(pathlib.Path('../data').glob('*/x.csv'));",
    "rglob": "list(pathlib.Path('../data').rglob('x.csv'));",
    "pattern of a shell": "!cat ../data/*/x.csv",
    "folder of a shell": "!ls ../data/two",
}


@pytest.mark.parametrize("name", SOUGHT)
def test_a_file_that_a_pattern_or_a_folder_would_show_now_counts(book, name):
    for folder in ("one", "two"):
        (book.root / "data" / folder).mkdir(parents=True)
    (book.root / "data" / "one" / "x.csv").write_text("1")
    book.chapter("01-a", SOUGHT[name])
    assert cli.main(["run", "1"]) == 0
    assert reason(book) == ""
    (book.root / "data" / "two" / "x.csv~").write_text("2")
    assert reason(book) == ""
    (book.root / "data" / "two" / "x.csv").write_text("2")
    assert "data" in reason(book)


def test_files_that_a_pattern_of_a_shell_matches_count_and_those_of_builds_do_not(book):
    (book.root / "data").mkdir()
    (book.root / "data" / "x.csv").write_text("1")
    own = "!echo 1 > {out}/x.txt; cat {out}/x.txt {out}/*.txt; ls {out} .."
    book.chapter(
        "01-a", "!cat ../data/*.csv", own, "import glob; glob.glob('../**', recursive=True);"
    )
    assert cli.main(["run", "1"]) == 0
    assert reason(book) == ""
    assert cli.main(["status"]) == 0 and reason(book) == ""
    (book.root / "data" / "x.csv").write_text("2")
    assert reason(book) == "text data/x.csv"


@pytest.mark.parametrize("place", ["'../data/x.db'", "'file:../data/x.db?mode=ro', uri=True"])
def test_a_database_counts_unless_the_chapter_makes_it(book, place):
    (book.root / "data").mkdir()
    there = book.root / "data" / "x.db"
    with contextlib.closing(sqlite3.connect(there)) as base:
        base.execute("create table t (a)")
    memory = "sqlite3.connect(':memory:'); sqlite3.connect('own.db').execute('create table t (a)');"
    read = f"sqlite3.connect({place}).execute('select * from t').fetchall();"
    book.chapter("01-a", "import sqlite3", read, memory)
    assert cli.main(["run", "1"]) == 0
    assert reason(book) == ""
    (book.root / "notebooks" / "own.db").unlink()
    assert reason(book) == ""
    with contextlib.closing(sqlite3.connect(there)) as base:
        base.execute("create table u (a)")
    assert reason(book) == "text data/x.db"


PRINTED = '''"""A module."""


def shown(x):
    """Double it.

    More.
    """
    return 2 * x  # twice


def hidden(x):
    """Triple it."""
    return 3 * x  # thrice
'''


def test_only_the_text_that_a_page_prints_counts(book):
    shutil.copytree(PAGE, book.root / "pm_utils" / "page")
    printed = book.root / "pm_utils" / "printed.py"
    printed.write_text(PRINTED)
    cell = "import pm_utils.printed as m; from pm_utils.page.listing import show_source"
    book.chapter("01-a", cell, "# a comment\ndisplay(show_source(m.shown)); m.hidden(1)")
    assert cli.main(["run", "1"]) == 0
    for old, new, counts in (
        ("A module.", "Another.", False),
        ("More.", "Less.", False),
        ("Triple it.", "Thrice.", False),
        ("# thrice", "# three times", False),
        ("\n\n\ndef hidden", "\n\n\n# here\ndef hidden", False),
        ("Double it.", "Twice.", True),
        ("# twice", "# two times", True),
        ("3 * x", "4 * x", True),
    ):
        printed.write_text(PRINTED.replace(old, new))
        assert bool(reason(book)) == counts, new
    printed.write_text(PRINTED)
    notebook = book.read("01-a")
    notebook.cells[-1].source = notebook.cells[-1].source.replace("# a comment", "# another\n")
    book.write("01-a", notebook)
    assert reason(book) == ""


def test_the_text_of_cells_counts_where_their_lines_are_printed(book):
    book.chapter("01-a", "import warnings", "warnings.warn('careful')  # a comment")
    assert cli.main(["run", "1"]) == 0
    book.chapter("01-a", "import warnings", "warnings.warn('careful')  # another")
    assert "cells" in reason(book)


def test_docstrings_count_where_code_may_read_them(book):
    plain = book.root / "pm_utils" / "plain.py"
    plain.write_text("def f():\n    'Help.'\n")
    book.chapter("01-a", "from pm_utils import plain", "plain.f.__doc__")
    book.chapter("02-b", "from pm_utils import plain")
    before = {name: task.parts for name, task in book.tasks().items()}
    plain.write_text("def f():\n    'More help.'\n")
    after = {name: task.parts for name, task in book.tasks().items()}
    assert before["01-a"] != after["01-a"] and before["02-b"] == after["02-b"]


@pytest.mark.parametrize("content", [b"V = (1\n", b"V = '\xe9'\n", b"V = 1\0\n"])
def test_a_broken_module_fails_the_chapters_that_reach_it(book, capsys, content):
    (book.root / "pm_utils" / "lazy.py").write_bytes(content)
    book.chapter("01-a", "import pm_utils.deep")
    book.chapter("02-b")
    book.toc("01-a", "02-b")
    assert cli.main(["status"]) == 0
    assert "pm_utils/lazy.py, " in capsys.readouterr().out
    assert cli.main(["book"]) == 1
    told = capsys.readouterr().out
    assert "01-a: failed before its first cell: pm_utils/lazy.py, " in told
    assert "02-b: done in" in told


def test_a_module_edited_and_put_back_during_a_run_is_noticed(book, capsys):
    edit = (
        "p = pathlib.Path('../pm_utils/plain.py'); old = p.read_text(); p.write_text('VALUE = 9')"
    )
    back = "from pm_utils import plain; p.write_text(old); print(plain.VALUE)"
    book.chapter("01-a", edit, back)
    assert cli.main(["run", "1"]) == 0
    assert "01-a: pm_utils/plain.py changed while it ran: call pm again" in capsys.readouterr().out
    assert reason(book) == "changed while it ran"


def test_what_upstream_gave_counts_by_its_content(book, capsys):
    book.chapter("01-a", give("x.json"), gives=["x.json"])
    book.chapter("02-b", "print((pathlib.Path(os.environ['PM_INPUTS']) / 'x.json').read_text())",
                 needs=["x.json"])  # fmt: skip
    assert cli.main(["run", "2"]) == 0
    book.chapter("01-a", "more = 1", give("x.json"), gives=["x.json"])
    assert reason(book, "02-b") == "it needs 01-a, which is out of date"
    capsys.readouterr()
    assert cli.main(["run", "2"]) == 0
    told = capsys.readouterr().out
    assert "01-a: done" in told and "02-b: unchanged" in told, "01-a gave the same again"
    (book.folder("01-a") / "x.json").write_text("tampered")
    assert reason(book, "02-b") == "upstream: x.json"
    assert cli.main(["run", "2"]) == 0
    assert (book.folder("01-a") / "x.json").read_text() == "made"


@pytest.mark.parametrize("cell", ["p.chmod(0o644); p.write_text('TAMPERED')", "p.unlink()"])
def test_a_chapter_cannot_change_what_another_gave(book, capsys, cell):
    book.chapter("01-a", give("x.json"), gives=["x.json"])
    find = "p = pathlib.Path(os.environ['PM_INPUTS']) / 'x.json'"
    book.chapter("02-b", find, cell, needs=["x.json"])
    assert cli.main(["run", "2"]) == 1
    assert (
        "02-b: failed at its end: x.json, which 01-a gives, was changed" in capsys.readouterr().out
    )
    assert (book.folder("01-a") / "x.json").read_text() == "made"
    assert reason(book) == ""


def test_a_stored_artifact_that_a_third_chapter_changed_is_not_used(book, capsys):
    book.chapter("01-a", give("x.json"), gives=["x.json"])
    spoil = "(out.parents[3] / 'runs' / 'quick' / '01-a' / 'x.json').write_text('SPOILT');"
    book.chapter("02-b", spoil, give("y.json"), gives=["y.json"])
    book.chapter("03-c", needs=["x.json", "y.json"])
    book.toc("01-a", "02-b", "03-c")
    assert cli.main(["run", "1"]) == 0
    assert cli.main(["book"]) == 1
    assert (
        "03-c: failed before its first cell: x.json of 01-a was changed" in capsys.readouterr().out
    )
    book.chapter("02-b", give("y.json"), gives=["y.json"])
    assert cli.main(["book"]) == 0
    assert (book.folder("01-a") / "x.json").read_text() == "made"


def test_an_artifact_that_is_a_link_is_refused(book, capsys):
    link = "(out / 'real').write_text('1'); (out / 'x.json').symlink_to(out / 'real')"
    book.chapter("01-a", link, gives=["x.json"])
    assert cli.main(["run", "1"]) == 1
    assert "x.json is a link: write the file itself" in capsys.readouterr().out
