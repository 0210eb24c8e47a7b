"""Every page for every reader: axe-core finds nothing, paper cuts nothing, ticks are kept."""

import re
from pathlib import Path

import pytest

from tests.support.browser import OPEN_SOLUTIONS, browser, violations

HTML = Path(__file__).parents[1] / "_build" / "html"
PAGES = sorted(p for p in HTML.rglob("*.html") if "_static" not in p.parts)
NAMES = [path.relative_to(HTML).with_suffix("").as_posix() for path in PAGES]
PAPER = 718  # an A4 page without its margins, in the browser's pixels

# What is wider than its box and can neither scroll nor wrap, and what a scroll bar would hide.
CUT = """
[...document.querySelectorAll(".bd-article *")].filter((box) => {
  if (box.closest("svg, mjx-assistive-mml, .MathJax_Preview") || !box.getClientRects().length)
    return false;
  const style = getComputedStyle(box), edge = box.getBoundingClientRect().right;
  if (style.position === "absolute" || style.display === "inline") return false;
  const wider = style.overflowX !== "visible" && box.scrollWidth > box.clientWidth + 1;
  const hides = wider && !box.closest(".math, mjx-container"); // MathJax hides on purpose
  return hides || edge > window.innerWidth + 1;
}).map((box) => `${box.tagName} ${box.className}: ${box.textContent.trim().slice(0, 80)}`)
"""


@pytest.fixture(scope="module")
def tab():
    if not PAGES:
        pytest.skip("the book is not built here: make book")
    with browser() as tab:
        yield tab


def page(tmp_path, body: str, css: str = "") -> str:
    path = tmp_path / "page.html"
    path.write_text(
        f'<!DOCTYPE html><html lang="en"><head><title>A page</title><style>{css}</style></head>'
        f'<body><main class="bd-article"><h1>A page</h1>{body}</main></body></html>',
        encoding="utf-8",
    )
    return path.as_uri()


@pytest.mark.parametrize(
    ("body", "rule"),
    [
        ("<input type='checkbox'>", "label"),
        ("<p style='color:#aaa;background:#fff'>too faint</p>", "color-contrast"),
        ("<button aria-label='Find'>Search</button>", "label-content-name-mismatch"),
        ("<div role='list'><p role='article'>x</p></div>", "aria-required-children"),
    ],
)
def test_the_finder_finds_a_fault(tab, tmp_path, body, rule):
    tab.show(page(tmp_path, body))
    assert rule in {line.split(" ")[0] for line in violations(tab)}


@pytest.mark.parametrize("width", [1400, 390])
@pytest.mark.parametrize("name", NAMES)
def test_no_page_breaks_a_rule(tab, name, width):
    """Solutions are opened. Between the themes only colours differ."""
    tab.show((HTML / f"{name}.html").as_uri(), width=width)
    tab.do(OPEN_SOLUTIONS)
    assert violations(tab) == []
    tab.do("document.documentElement.dataset.theme = 'dark'")
    assert violations(tab, only="color-contrast") == []


def test_the_finder_finds_what_paper_would_cut(tab, tmp_path):
    line = f"<pre>{'long ' * 100}</pre>"
    tab.show(page(tmp_path, line, "pre {overflow: auto}"), width=PAPER, media="print")
    assert len(tab.do(CUT)) == 1
    tab.show(page(tmp_path, line, "pre {white-space: pre-wrap}"), width=PAPER, media="print")
    assert tab.do(CUT) == []


@pytest.mark.parametrize("name", NAMES)
def test_paper_cuts_nothing(tab, name):
    tab.show((HTML / f"{name}.html").as_uri(), width=PAPER, media="print")
    tab.do(OPEN_SOLUTIONS)
    assert tab.do(CUT) == []


def test_a_tick_is_remembered(tab):
    url = (HTML / "best-practice.html").as_uri()
    box = "document.querySelectorAll('.task-list-item-checkbox')[1]"
    tab.show(url)
    tab.do(f"localStorage.clear(); {box}.click()")
    tab.show(f"{url}?again")
    ticked = "[...document.querySelectorAll('.task-list-item-checkbox')].map((one) => one.checked)"
    assert [n for n, on in enumerate(tab.do(ticked)) if on] == [1]
    tab.do(f"{box}.click()")
    tab.show(f"{url}?once-more")
    assert not any(tab.do(ticked))


@pytest.mark.parametrize("name", NAMES)
def test_ids_are_unique_headers_have_words_and_chinese_is_marked(tab, name):
    tab.show((HTML / f"{name}.html").as_uri())
    twice = """
    [...document.querySelectorAll("[id]")].map((one) => one.id)
      .filter((id, n, all) => all.indexOf(id) !== n && !/^MJX|^mjx/.test(id))
    """
    assert tab.do(twice) == []
    # axe-core leaves this one to a person.
    wordless = (
        "[...document.querySelectorAll('th')].filter((one) => !one.textContent.trim()).length"
    )
    assert tab.do(wordless) == 0
    unmarked = """
    (() => {
      const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT), found = [];
      while (texts.nextNode()) {
        const text = texts.currentNode;
        const marked = text.parentElement.closest("[lang=zh], svg, script");
        if (/[\\u4e00-\\u9fff]/.test(text.data) && !marked) found.push(text.data.trim());
      }
      return found;
    })()
    """
    assert tab.do(unmarked) == []


def test_the_pages_together_hold_chinese_and_tasks():
    texts = [path.read_text(encoding="utf-8") for path in PAGES] or pytest.skip("make book")
    assert sum(text.count('<span lang="zh">') for text in texts) > 100
    assert sum(len(re.findall("task-list-item-checkbox", text)) for text in texts) > 10
