"""The key: what makes a chapter run again, and what does not."""

import pytest
from nbformat.v4 import new_output

from pm_utils.builder import code, key
from tests.support.fake_book import FakeBook


@pytest.fixture
def book(tmp_path):
    book = FakeBook(tmp_path)
    book.chapter("01-a", "from pm_utils.deep import VALUE", gives=["x.json"])
    book.chapter("02-b", "%matplotlib inline\nimport pm_utils.plain as p", needs=["x.json"])
    book.chapter("03-c", "import json")
    return book


def keys(book, profile="quick"):
    return {name: code.digest(task.parts) for name, task in book.tasks(profile).items()}


def changed(before, after):
    return {name for name in before if before[name] != after[name]}


def test_prose_outputs_and_metadata_do_not_count(book):
    before = keys(book)
    notebook = book.read("01-a")
    notebook.cells[0].source = "# Another title"
    notebook.cells.insert(1, notebook.cells[3])
    del notebook.cells[4]
    code = notebook.cells[-1]
    code.outputs = [new_output("stream", text="hello")]
    code.execution_count, code.id = 9, "renamed"
    code.metadata = {"tags": ["hide-input"], "mystnb": {"image": {"alt": "A line."}}}
    book.write("01-a", notebook)
    assert keys(book) == before


@pytest.mark.parametrize(
    ("file", "expected"),
    [
        ("pm_utils/__init__.py", {"01-a", "02-b"}),
        ("pm_utils/plain.py", {"02-b"}),
        ("pm_utils/deep/__init__.py", {"01-a"}),
        ("pm_utils/deep/inner.py", {"01-a"}),  # imported relatively
        ("pm_utils/lazy.py", {"01-a"}),  # imported in a function
        ("pm_utils/deep/style.txt", {"01-a"}),  # data beside a module
        ("pm_utils/deep/words/en/x.json", {"01-a"}),  # data in a folder below
        ("pm_utils/deep/words/__pycache__/x.pyc", set()),
        ("pm_utils/deep/.inner.py.swp", set()),
        ("pm_utils/deep/inner.py~", set()),
        ("pm_utils/deep/#inner.py#", set()),
        ("pm_utils/deep/.DS_Store", set()),
        ("pm_utils/deep/.mypy_cache/3.11/x.json", set()),
        ("pm_utils/deep/words/x.json.bak", set()),
        ("pm_utils/other/words/x.json", set()),  # data of a package that nobody reaches
        ("pm_utils/unreached.py", set()),
        ("tests/test_plain.py", set()),
        ("requirements.lock", {"01-a", "02-b", "03-c"}),
    ],
)
def test_a_file_counts_only_where_it_is_reached(book, file, expected):
    (book.root / "pm_utils" / "other").mkdir()
    (book.root / "pm_utils" / "other" / "__init__.py").write_text("")
    before = keys(book)
    path = book.root / file
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text((path.read_text() if path.exists() else "") + "changed = 1\n")
    assert changed(before, keys(book)) == expected


def test_code_counts_for_its_chapter(book):
    before = keys(book)
    book.chapter("01-a", "from pm_utils.deep import VALUE as v", gives=["x.json"])
    assert changed(before, keys(book)) == {"01-a"}


def test_the_order_of_code_counts(book):
    before = keys(book)
    notebook = book.read("03-c")
    notebook.cells[-1], notebook.cells[-4] = notebook.cells[-4], notebook.cells[-1]
    book.write("03-c", notebook)
    assert changed(before, keys(book)) == {"03-c"}


def test_a_profile_counts_by_its_values(book):
    before = keys(book)
    book.profile("full", "03-c: {seed: 0}")
    assert keys(book, "full") == before
    book.profile("full", "03-c: {seed: 1}")
    assert changed(before, keys(book, "full")) == {"03-c"}


def test_a_comment_in_the_lock_does_not_count(book):
    lock, before = book.root / "requirements.lock", keys(book)
    lock.write_text("# why\n" + lock.read_text())
    assert keys(book) == before


def test_the_version_of_python_counts(book, monkeypatch):
    before = keys(book)
    monkeypatch.setattr(key.platform, "python_version", lambda: "3.99.0")
    assert changed(before, keys(book)) == {"01-a", "02-b", "03-c"}


def test_code_that_cannot_be_parsed_may_reach_everything(book):
    book.chapter("03-c", "import pm_utils.plain (")
    reached = book.tasks()["03-c"].parts["modules"]
    assert {"pm_utils/plain.py", "pm_utils/deep/inner.py", "pm_utils/unreached.py"} <= set(reached)


@pytest.mark.parametrize(
    ("source", "package", "expected"),
    [
        ("import numpy, pm_utils.a.b", "", {"pm_utils", "pm_utils.a", "pm_utils.a.b"}),
        ("from pm_utils import a", "", {"pm_utils", "pm_utils.a"}),
        ("from . import b", "pm_utils.a", {"pm_utils", "pm_utils.a", "pm_utils.a.b"}),
        ("from ..c import d", "pm_utils.a", {"pm_utils", "pm_utils.c", "pm_utils.c.d"}),
        ("import pm_utilities", "", set()),
    ],
)
def test_imports_of_every_form_are_seen(source, package, expected):
    assert key.imported(code.read_code(source.encode()).imports, package) == expected


def test_what_changed_is_told_in_words(book):
    old = book.tasks()["02-b"].parts
    (book.root / "pm_utils" / "plain.py").write_text("VALUE = 9\n")
    (book.root / "requirements.lock").write_text("numpy==3\n")
    new = book.tasks()["02-b"].parts
    assert key.difference(old, new) == "pm_utils/plain.py; requirements.lock"
    assert key.difference(new, new) == ""
