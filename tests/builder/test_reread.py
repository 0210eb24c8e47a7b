"""Incremental equals from nothing: pages, exit and warnings, whatever was edited before."""

import os
import random
import sys
from types import SimpleNamespace

import pytest
import yaml
from docutils import nodes
from sphinx.util import FilenameUniqDict

from pm_utils.builder import render, reread
from pm_utils.builder.project import Project
from tests.support.page_book import CONFIG, EDITS, PageBook

LINUX = pytest.mark.skipif(sys.platform != "linux", reason="builds in forks, for speed")
STEPS = int(os.environ.get("PM_PAGE_EDITS", "11"))
SEED = int(os.environ.get("PM_PAGE_SEED", "0"))


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """A book that was built once."""
    book = PageBook(tmp_path_factory.mktemp("pages") / "book")
    assert book.build() == "built"
    return book


def same_as_fresh(book, place):
    """Build and hold the outcome against a build from nothing; tell how it ended."""
    ended, fresh = book.build(), book.fresh(place / "fresh")
    assert fresh.build() == ("built" if ended == "unchanged" else ended)
    here, there = book.pages(), fresh.pages()
    assert [n for n in sorted({*here, *there}) if here.get(n) != there.get(n)] == []
    return ended


@LINUX
def test_a_sentence_is_written_alone_and_all_else_is_as_from_nothing(built, tmp_path):
    before = (built.root / "_build/html/q.html").stat().st_mtime_ns
    built.edit("sentence", random.Random(0))
    assert same_as_fresh(built, tmp_path) == "built"
    assert (built.root / "_build/html/q.html").stat().st_mtime_ns == before
    assert built.build() == "unchanged"


@LINUX
def test_a_drawing_is_written_into_its_page_anew(built, tmp_path):
    built.edit("drawing", random.Random(0))
    assert same_as_fresh(built, tmp_path) == "built"
    page = built.pages()["chapters/01-a.html"].decode()
    drawn = page[page.index('class="pm-figure') :].partition("</svg>")[0]
    assert f"<text>{built.words['drawing']}</text>" in drawn and "currentColor" in drawn


@LINUX
@pytest.mark.parametrize("kind", ["download", "result", "no result"])
def test_files_that_are_copied_need_no_other_page(built, tmp_path, kind):
    before = (built.root / "_build/html/q.html").stat().st_mtime_ns
    built.edit("sentence", random.Random(0))  # Sphinx copies nothing where no page is written
    built.edit(kind, random.Random(0))
    assert same_as_fresh(built, tmp_path) == "built"
    kept = (built.root / "_build/html/q.html").stat().st_mtime_ns == before
    assert kept == (kind != "no result")  # one that is gone would stay on the site
    built.edit("result", random.Random(0))
    assert built.build() == "built"


@LINUX
def test_random_edits_end_as_a_build_from_nothing(built, tmp_path):
    chance = random.Random(SEED)
    deck: list[str] = []
    for _ in range(STEPS):
        if len(deck) < 2:  # every kind comes before any comes again
            deck = chance.sample(EDITS, len(EDITS))
        kinds = [deck.pop(), deck.pop()]
        for kind in kinds:
            built.edit(kind, chance)
        ended = same_as_fresh(built, tmp_path)
        if isinstance(ended, list):  # warnings: they come again, and go with their cause
            built.repair()
            assert same_as_fresh(built, tmp_path) == "built", kinds
        assert built.build() == "unchanged", kinds


def test_what_pages_share_is_told_from_where_it_stands():
    title = nodes.title("", "Heading")
    facts = {"labels": {"b": title, "a": {"y", "x"}}, "line": 3}
    title.line = 5
    other = {"line": 7, "labels": {"a": {"x", "y"}, "b": nodes.title("", "Heading")}}
    assert reread.comparable(facts) == reread.comparable(other)
    other["labels"]["b"] = nodes.title("", "Another")
    assert reread.comparable(facts) != reread.comparable(other)
    assert reread.comparable(SimpleNamespace(number=1)) != reread.comparable(
        SimpleNamespace(number=2)
    )


def test_a_label_may_be_called_as_a_number_that_nobody_shows():
    """Sphinx keeps labels by their names, beside lines and times."""
    labels = {"line": ("p", "line", "Text"), "mtime": ("p", "mtime", "Text")}
    assert reread.comparable(labels) != reread.comparable({})
    assert reread.comparable({"line": 3, "wordcount": {"words": 5}}) == reread.comparable({})
    assert reread.comparable({"wordcount": ("p", "w", "Text")}) != reread.comparable({})


@LINUX
def test_a_hidden_file_that_a_page_includes_counts(tmp_path):
    book = PageBook(tmp_path / "book")
    hidden = book.root / "book" / ".shown.py"
    hidden.write_text("one = 1")
    page = book.root / "book" / "index.md"
    page.write_text(page.read_text() + "\n\n```{literalinclude} .shown.py\n```\n")
    assert book.build() == "built"
    assert book.build() == "unchanged"
    hidden.write_text("two = 2")
    assert book.build() == "built"
    assert b"two" in book.pages()["index.html"]


def test_the_order_of_reading_leaves_no_trace():
    def read(pages):
        images = FilenameUniqDict()
        for page in pages:
            images.add_file(page, f"{page}/pic.svg")
        refs = [SimpleNamespace(docname=page, number=i) for page in pages for i in (2, 1)]
        data = {"index": {"entries": dict.fromkeys(pages, ())}, "cite": {"citation_refs": refs}}
        env = SimpleNamespace(domaindata=data, images=images)
        if pages == ["a", "b"]:  # one after the other; side by side, children keep it
            env.sphinx_exercise_gated_registry = {"a": {"start": [1]}}
        reread._order(None, env)
        return env

    one, other = read(["a", "b"]), read(["b", "a"])
    assert one == other and dict(one.images) == dict(other.images)
    assert [(ref.docname, ref.number) for ref in one.domaindata["cite"]["citation_refs"]] == [
        *(("a", 2), ("a", 1), ("b", 2), ("b", 1))
    ]
    assert list(one.domaindata["index"]["entries"]) == list(other.domaindata["index"]["entries"])


def test_the_book_is_built_with_it():
    config = yaml.safe_load(CONFIG.read_text("utf-8"))
    assert reread.__name__ in config["sphinx"]["config"]["extensions"]


def test_nothing_of_an_earlier_build_outlives_a_build_from_nothing(tmp_path):
    project = Project(tmp_path)
    for name in ("html", ".doctrees", "jupyter_execute", "runs"):
        (project.build / name).mkdir(parents=True)
    render.clear(project.build)
    assert [path.name for path in project.build.iterdir()] == ["runs"]
