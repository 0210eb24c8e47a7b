"""What a page's head tells other programs, and what is written only with the site's address."""

import xml.etree.ElementTree as ET

import pytest
from docutils.core import publish_doctree
from sphinx.application import Sphinx

from pm_utils.builder import head
from tests.support.browser import browser
from tests.support.html_elements import elements


@pytest.mark.parametrize(
    ("source", "text"),
    [
        ("A\n=\n\nFirst *words*\nhere.\n\nMore.", "First words here."),
        ("A\n=\n\n.. note:: Beware.\n\nThe page.", "The page."),
        ("A\n=\n\n- an item", ""),
        (f"A\n=\n\n{'word ' * 60}", f"{'word ' * 31}word …"),
    ],
)
def test_the_description_is_the_first_paragraph_cut_at_a_word(source, text):
    assert head.description(publish_doctree(source)) == text


def test_what_a_title_holds_cannot_break_the_tag():
    (tag, *_) = elements(head.head_tags("t", 'a "b" <c> & d', "s", None))
    assert tag.attributes["content"] == 'a "b" <c> & d'


def build(tmp_path, base: str):
    source, out = tmp_path / "source", tmp_path / "out"
    source.mkdir()
    (source / "index.rst").write_text("Start\n=====\n\nThe first page.\n\n.. toctree::\n\n   b\n")
    (source / "b.rst").write_text("A ``b``\n=======\n\nThe second page.\n")
    settings = {"html_title": "Book", "html_baseurl": base, "extensions": ["pm_utils.builder.head"]}
    Sphinx(source, None, out, tmp_path / "trees", "html", settings, status=None).build()
    return out


def meta(path) -> dict[str, str]:
    found = [element.attributes for element in elements(path.read_text(encoding="utf-8"))]
    return {m.get("name", m.get("property")): m["content"] for m in found if "content" in m}


def test_without_an_address_nothing_needs_one(tmp_path):
    out = build(tmp_path, "")
    tags = meta(out / "b.html")
    assert tags["description"] == tags["og:description"] == "The second page."
    assert tags["og:title"] == "A b" and tags["og:site_name"] == "Book"
    assert "og:url" not in tags and not (out / "sitemap.xml").exists()
    assert "canonical" not in (out / "b.html").read_text()
    assert "There is no such page" in (out / "404.html").read_text()


def test_with_an_address_pages_have_theirs(tmp_path):
    out = build(tmp_path, "https://example.org/book/")
    assert meta(out / "b.html")["og:url"] == "https://example.org/book/b.html"
    assert 'rel="canonical" href="https://example.org/book/b.html"' in (out / "b.html").read_text()
    places = [
        place.text for place in ET.parse(out / "sitemap.xml").iter() if (place.text or "").strip()
    ]
    assert places == [f"https://example.org/book/{name}.html" for name in ("b", "index")]
    assert '<base href="https://example.org/book/" />' in (out / "404.html").read_text()


def test_links_within_the_page_that_leads_nowhere_stay_there(tmp_path):
    out = build(tmp_path, "https://example.org/book/")
    page = out / "404.html"
    links = "</h1><a href='#a'>A</a><a href='index.html'>B</a>"
    page.write_text(page.read_text().replace("</h1>", links, 1))
    with browser() as tab:
        tab.show(page.as_uri())
        found = tab.do("[...document.querySelectorAll('h1 ~ a')].map((link) => link.href)")
    assert found == [f"{page.as_uri()}#a", "https://example.org/book/index.html"]
