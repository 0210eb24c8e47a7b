"""``pm book``: a call that has little to do ends as a build from nothing would."""

import json
import shutil

import pytest

from pm_utils.builder import cli, html, runs
from tests.support.fake_book import FakeBook, give, score

BUILT = ("_build/html", "_build/results", "book/chapters", "book/_generated")


def render(project, process, *, strict, keep):
    """Stands in for Sphinx: each page is what it was made of, and strict minds a bad word."""
    if strict and any("BAD" in path.read_text() for path in project.book.glob("*.md")):
        raise html.HtmlError("index.md: WARNING: bad")
    for path in [path for path in project.book.rglob("*") if path.is_file()]:
        page = project.build / "html" / path.relative_to(project.book)
        page.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, page)


@pytest.fixture(scope="module")
def template(tmp_path_factory):
    """A book whose chapters have run."""
    with pytest.MonkeyPatch.context() as patch:
        stand_in(patch)
        book = FakeBook(tmp_path_factory.mktemp("template"))
        (book.root / "pm_utils" / "plain.py").write_text('"""Plain values."""\n\nVALUE = 1\n')
        book.chapter("01-a", "from pm_utils import plain", score("01-a"), give("x.json"),
                     gives=["x.json"])  # fmt: skip
        book.chapter("02-b", "print(seed)", needs=["x.json"])
        book.toc("01-a", "02-b")
        patch.chdir(book.root)
        assert cli.main(["book"]) == 0
    return book


def stand_in(patch):
    patch.setattr(html.Renderer, "start", lambda _: None)
    patch.setattr(html, "render", render)


def copied(book, place, *left_out):
    shutil.copytree(book.root, place, ignore=shutil.ignore_patterns(*left_out))
    other = FakeBook.__new__(FakeBook)
    other.root, other.project = place, type(book.project)(place)
    return other


@pytest.fixture
def book(template, tmp_path, monkeypatch):
    """A book with nothing left to do."""
    stand_in(monkeypatch)
    book = copied(template, tmp_path / "book")
    monkeypatch.chdir(book.root)
    assert cli.main(["book"]) == 0
    return book


def found(book):
    """Return every file that a build makes but the stored runs."""
    paths = [path for name in BUILT for path in (book.root / name).rglob("*") if path.is_file()]
    return {path.relative_to(book.root).as_posix(): path.read_bytes() for path in paths}


def text_of(name, old, new):
    def change(book):
        path = book.root / name
        text = path.read_text()
        assert old in text
        path.write_text(text.replace(old, new))

    return change


def gone(*names):
    return lambda book: [
        shutil.rmtree(path) if (path := book.root / name).is_dir() else path.unlink()
        for name in names
    ]


def added(name, text="{}"):
    def change(book):
        (book.root / name).parent.mkdir(parents=True, exist_ok=True)
        (book.root / name).write_text(text)

    return change


RECORD = "_build/runs/quick/01-a/record.json"
CHANGES = {
    "nothing": lambda book: None,
    "prose": text_of("notebooks/02-b.ipynb", "Some prose.", "Other prose."),
    "docstring": text_of("pm_utils/plain.py", "Plain values.", "Simple values."),
    "record": text_of(RECORD, '"no repository"', '"abc1234"'),
    "results": gone("_build/results"),
    "a result": text_of("_build/results/quick/01-a.json", "0.9", "0.8"),
    "a result too many": added("_build/results/quick/09-z.json"),
    "a run too many": added("_build/runs/quick/09-z/record.json"),
    "texts": gone("book/_generated"),
    "a text": text_of("book/_generated/built.md", "executed", "done"),
    "a text gone": gone("book/_generated/package.md"),
    "a published result": text_of("book/_generated/site/results/01-a.json", "0.9", "0.8"),
    "a download": gone("book/_generated/downloads/02-b.ipynb"),
    "pages": gone("book/chapters"),
    "a page": text_of("book/chapters/01-a.ipynb", "Some prose.", "Spoilt."),
    "a page too many": added("book/chapters/09-z.ipynb"),
    "the HTML of a page": text_of("_build/html/index.md", "# The book", "# Spoilt"),
    "all HTML": gone("_build/html"),
    "the stamp": gone("_build/html.json"),
    "prose pages": text_of("book/index.md", "# The book", "# Another book"),
}


@pytest.mark.parametrize("name", CHANGES)
def test_what_changed_since_ends_as_a_build_from_nothing(book, tmp_path, monkeypatch, capsys, name):
    CHANGES[name](book)
    capsys.readouterr()
    assert cli.main(["book"]) == 0
    assert "chapters: 0 executed, 2 unchanged, 0 failed, 0 left out" in capsys.readouterr().out
    made = ("html", "html.json", "results", "chapters", "_generated")
    fresh = copied(book, tmp_path / "fresh", *made)
    monkeypatch.chdir(fresh.root)
    assert cli.main(["book"]) == 0
    here, there = found(book), found(fresh)
    assert [n for n in sorted({*here, *there}) if here.get(n) != there.get(n)] == []
    assert not (book.root / "_build" / "runs" / "quick" / "09-z").exists()


def test_with_nothing_to_do_nothing_is_started_and_leftovers_go(book, monkeypatch):
    asked = []
    reasons = runs.stale_reasons
    monkeypatch.setattr(runs, "stale_reasons", lambda tasks: asked.append(1) or reasons(tasks))
    monkeypatch.setattr(runs, "run_all", None)
    left = [book.root / "_build" / kind for kind in ("unfinished", "replaced", "inputs", "home")]
    for folder in left:
        folder.mkdir()
    assert cli.main(["book"]) == 0
    assert asked == [1] and not any(folder.exists() for folder in left)


def test_a_book_with_a_failed_chapter_is_built_once(book, capsys):
    strict = json.loads((book.root / "_build" / "html.json").read_text())["strict"]
    book.chapter("02-b", "1 / 0", needs=["x.json"])
    (book.root / "book" / "index.md").write_text("# The book\n\nBAD\n")
    told = []
    for _ in range(2):
        assert cli.main(["book"]) == 1
        told.append(capsys.readouterr().out)
    assert strict and "HTML: built" in told[0] and "HTML: unchanged" in told[1]
    assert all("02-b: failed in code cell 3 of 3" in text for text in told)
    book.chapter("02-b", "print(seed)", needs=["x.json"])
    for _ in range(2):  # what was let pass counts again
        assert cli.main(["book"]) == 1
        assert "WARNING: bad" in capsys.readouterr().err
