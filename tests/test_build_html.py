"""HTML: built when a page changed, warnings as errors, the navigation never stale."""

import pytest
from fake_book import FakeBook

from pm_utils.build import html
from pm_utils.build.html import HtmlError


@pytest.fixture
def book(tmp_path):
    book = FakeBook(tmp_path)
    book.project.build.mkdir()
    return book


@pytest.fixture
def sphinx(book, monkeypatch):
    """Stands in for Sphinx and notes whether it found earlier pages."""
    calls = []

    def build(project, *, strict):
        page = project.build / "html" / "index.html"
        calls.append("again" if page.exists() else "afresh")
        page.parent.mkdir(parents=True, exist_ok=True)
        page.write_text("")
        if "bad" in (project.book / "index.md").read_text() and strict:
            raise HtmlError("index.md: WARNING: bad")

    monkeypatch.setattr(html, "_sphinx", build)
    return calls


def test_sphinx_is_called_only_for_a_change(book, sphinx):
    index = book.root / "book" / "index.md"
    assert html.build(book.project, strict=True)
    assert not html.build(book.project, strict=True)
    index.write_text("# The book\n\nMore.\n")
    assert html.build(book.project, strict=True)
    assert not html.build(book.project, strict=True)
    assert sphinx == ["afresh", "again"]


@pytest.mark.parametrize(
    ("file", "text"),
    [
        ("_config.yml", "title: another\n"),
        ("requirements.lock", "numpy==3\n"),
        ("book/index.md", "# Another title\n"),
        ("book/second.md", "# A second page\n"),
    ],
)
def test_what_all_pages_share_builds_them_all(book, sphinx, file, text):
    html.build(book.project, strict=True)
    (book.root / file).write_text(text)
    html.build(book.project, strict=True)
    assert sphinx == ["afresh", "afresh"]


def test_a_page_that_goes_takes_its_html_along(book, sphinx):
    second = book.root / "book" / "second.md"
    second.write_text("# Second\n")
    html.build(book.project, strict=True)
    stale = book.project.build / "html" / "second.html"
    stale.write_text("")
    second.unlink()
    html.build(book.project, strict=True)
    assert not stale.exists()


def test_a_warning_does_not_vanish_in_the_next_call(book, sphinx):
    (book.root / "book" / "index.md").write_text("# The book\n\nbad\n")
    for _ in range(2):
        with pytest.raises(HtmlError, match="bad"):
            html.build(book.project, strict=True)
    assert sphinx == ["afresh", "afresh"]


def test_a_lenient_build_is_not_taken_for_a_good_one(book, sphinx):
    assert html.build(book.project, strict=False)
    assert html.build(book.project, strict=True)
    assert sphinx == ["afresh", "afresh"]


def test_a_cold_call_builds_every_page(book, sphinx):
    html.build(book.project, strict=True)
    html.forget(book.project)
    assert html.build(book.project, strict=True)
    assert sphinx == ["afresh", "afresh"]


def test_jupyter_book_tells_a_warning_and_builds_without(book):
    index = book.root / "book" / "index.md"
    index.write_text("# The book\n\nSee {ref}`nowhere`.\n")
    with pytest.raises(HtmlError, match=r"index.md:3: WARNING: undefined label: 'nowhere'"):
        html.build(book.project, strict=True)
    index.write_text("# The book\n\nSee [itself](index.md).\n")
    assert html.build(book.project, strict=True)
    assert "See" in (book.project.build / "html" / "index.html").read_text()
