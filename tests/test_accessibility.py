"""Every page for every reader: axe-core finds nothing, paper cuts nothing, ticks are kept."""

import re
from pathlib import Path

import pytest

from tests.support.browser import OPEN_SOLUTIONS, browser, violations

HTML = Path(__file__).parents[1] / "_build" / "html"
STATIC = Path(__file__).parents[1] / "book" / "_static"
PAGES = sorted(p for p in HTML.rglob("*.html") if "_static" not in p.parts)
NAMES = [path.relative_to(HTML).with_suffix("").as_posix() for path in PAGES]
PAPER = 718  # an A4 page without its margins, in the browser's pixels
VIEWPORT = '<meta name="viewport" content="width=device-width">'

# What is wider than its box and can neither scroll nor wrap, and what a scroll bar would hide.
CUT = """
[...document.querySelectorAll(".bd-article *")].filter((box) => {
  if (box.closest("svg, mjx-assistive-mml, .MathJax_Preview") || !box.getClientRects().length)
    return false;
  const style = getComputedStyle(box), edge = box.getBoundingClientRect().right;
  if (style.position === "absolute" || style.display === "inline") return false;
  const wider = style.overflowX !== "visible" && box.scrollWidth > box.clientWidth + 1;
  const hides = wider && !box.closest("mjx-ext"); // MathJax cuts what it stretches, on purpose
  return hides || edge > window.innerWidth + 1;
}).map((box) => `${box.tagName} ${box.className}: ${box.textContent.trim().slice(0, 80)}`)
"""

# The letters of each figure: their contrast with what lies behind the figure, and their height.
# Matplotlib draws letters upside down, in hundredths of their height.
LETTERS = """
(() => {
  const numbers = (color) => color.match(/[\\d.]+/g).map(Number);
  const luminance = (rgb) => rgb.slice(0, 3).map((one) => one / 255)
    .map((one) => one <= 0.04045 ? one / 12.92 : ((one + 0.055) / 1.055) ** 2.4)
    .reduce((sum, one, n) => sum + one * [0.2126, 0.7152, 0.0722][n], 0);
  const paint = (box) => numbers(getComputedStyle(box).backgroundColor);
  return [...document.querySelectorAll(".pm-figure g[transform*='scale(']")].map((text) => {
    let box = text.closest("svg");
    while (box && !(paint(box)[3] ?? 1)) box = box.parentElement;
    const style = getComputedStyle(text), place = text.getScreenCTM();
    const back = box ? paint(box) : [255, 255, 255];
    const part = (numbers(style.fill)[3] ?? 1) * style.fillOpacity * style.opacity;
    const ink = numbers(style.fill).map((one, n) => part * one + (1 - part) * back[n]);
    const [dark, light] = [luminance(ink), luminance(back)].sort((a, b) => a - b);
    return {
      contrast: (light + 0.05) / (dark + 0.05),
      pixels: 100 * Math.sqrt(Math.abs(place.a * place.d - place.b * place.c)),
    };
  });
})()
"""

# What no reader at a desk should have to scroll for, and what one with a phone could not even.
TOO_WIDE = """
(() => {
  const desk = innerWidth > 600, found = [];
  const page = document.documentElement.scrollWidth;
  if (page > WIDTH) found.push(`the page is ${page} wide`);
  for (const one of document.querySelectorAll("mjx-container")) {
    const shown = one.getAttribute("display") === "true";
    let box = one.parentElement;
    while (getComputedStyle(box).display === "inline") box = box.parentElement;
    const cut = one.getBoundingClientRect().right > box.getBoundingClientRect().right + 1;
    const scrolls = shown && one.scrollWidth > one.clientWidth + 1;
    const canScroll = getComputedStyle(one).overflowX === "auto";
    if (cut || (scrolls && (desk || !canScroll)))
      found.push(one.querySelector("mjx-assistive-mml").textContent);
  }
  return found;
})()
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
        f'<!DOCTYPE html><html lang="en"><head><title>A page</title>{VIEWPORT}'
        f"<style>{css}</style></head>"
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


def test_a_page_is_judged_when_it_has_faded_in(tab, tmp_path):
    css = "@keyframes in {{from {{opacity: 0.1}} to {{opacity: {}}}}} p {{animation: in 2s both}}"
    for last, expected in ((1, set()), (0.3, {"color-contrast"})):
        tab.show(page(tmp_path, "<p>Words</p>", css.format(last)))
        tab.do("document.getAnimations().forEach((one) => { one.currentTime = 0 })")
        found = violations(tab, only="color-contrast")
        assert {line.split(" ")[0] for line in found} == expected


@pytest.mark.parametrize("width", [1400, 390])
@pytest.mark.parametrize("name", NAMES)
def test_no_page_breaks_a_rule(tab, name, width):
    """Solutions are opened. Between the themes only colours differ."""
    tab.show((HTML / f"{name}.html").as_uri(), width=width)
    tab.do(OPEN_SOLUTIONS)
    assert violations(tab) == []
    tab.do("document.documentElement.dataset.theme = 'dark'")
    assert violations(tab, only="color-contrast") == []


def letters(tab) -> list[dict[str, float]]:
    return tab.do(LETTERS)


def test_faint_and_small_letters_are_found(tab, tmp_path):
    body = "<svg class='pm-figure' width='200' height='100' viewBox='0 0 100 50'>{}</svg>".format(
        "".join(
            f"<g style='fill: {ink}' transform='translate(9 20) scale({size} -{size})'></g>"
            for ink, size in (("#7b7b7b", 0.09), ("#000; opacity: 0.5", 0.02))
        )
    )
    tab.show(page(tmp_path, body))
    found = letters(tab)
    assert [one["contrast"] for one in found] == pytest.approx([4.23, 3.98], abs=0.01)
    assert [one["pixels"] for one in found] == pytest.approx([18, 4])
    tab.show(page(tmp_path, body, "body {background: #121212}"))
    assert letters(tab)[0]["contrast"] == pytest.approx(4.43, abs=0.01)


@pytest.mark.parametrize("name", NAMES)
def test_letters_in_figures_can_be_read_in_both_themes_and_on_a_phone(tab, name):
    text = (HTML / f"{name}.html").read_text(encoding="utf-8")
    assert not re.search(r'<img [^>]*src="[^"]*_images/[^"]*\.svg"', text)
    if "pm-figure" not in text:
        return
    for width in (1400, 390):
        tab.show((HTML / f"{name}.html").as_uri(), width=width)
        for theme in ("light", "dark"):
            tab.do(f"document.documentElement.dataset.theme = '{theme}'")
            found = letters(tab)
            assert found
            assert min(one["contrast"] for one in found) >= 4.5
            assert min(one["pixels"] for one in found) >= 8.99


def test_what_is_too_wide_is_found(tab, tmp_path):
    css = "div {overflow: hidden; width: 99px} mjx-container {display: block; overflow: auto}"
    formula = "<mjx-container {}><p style='width: {}px'>x</p>{}</mjx-container>"
    assistive = "<mjx-assistive-mml>y</mjx-assistive-mml>"
    shown, said = "display='true'", ["y"]
    for width, kind, size, expected in (
        (1400, shown, 200, said),
        (390, shown, 200, []),
        (1400, shown, 90, []),
        (390, "style='width: 200px'", 90, said),
    ):
        tab.show(
            page(tmp_path, f"<div>{formula.format(kind, size, assistive)}</div>", css), width=width
        )
        assert tab.do(TOO_WIDE.replace("WIDTH", str(width))) == expected
    tab.show(page(tmp_path, "<p style='width: 1500px'>x</p>"), width=390)
    assert len(tab.do(TOO_WIDE.replace("WIDTH", "390"))) == 1


@pytest.mark.parametrize("width", [1400, 390])
@pytest.mark.parametrize("name", NAMES)
def test_neither_page_nor_formula_is_too_wide(tab, name, width):
    tab.show((HTML / f"{name}.html").as_uri(), width=width)
    tab.do(OPEN_SOLUTIONS)
    assert tab.do(TOO_WIDE.replace("WIDTH", str(width))) == []


def test_the_finder_finds_what_paper_would_cut(tab, tmp_path):
    line = f"<pre>{'long ' * 100}</pre>"
    tab.show(page(tmp_path, line, "pre {overflow: auto}"), width=PAPER, media="print")
    assert len(tab.do(CUT)) == 1
    tab.show(page(tmp_path, line, "pre {white-space: pre-wrap}"), width=PAPER, media="print")
    assert tab.do(CUT) == []
    formula = "<div class='math'><mjx-container><p style='width: 900px'>x</p></mjx-container></div>"
    for cutter, expected in (("div", 1), ("mjx-container", 1), ("mjx-ext", 0)):
        css = f"{cutter} {{display: block; overflow: hidden; width: 9px}}"
        wide = formula.replace("mjx-container", "mjx-ext") if cutter == "mjx-ext" else formula
        tab.show(page(tmp_path, wide, f"mjx-ext {{position: absolute}} {css}"), width=PAPER)
        assert len([line for line in tab.do(CUT) if not line.startswith("P ")]) == expected


def test_a_box_is_reached_by_keyboard_while_it_scrolls(tab, tmp_path):
    boxes = "<figure><p style='width: 600px'>x</p></figure><figure tabindex='-1'>y</figure>"
    body = f"{boxes}<script>{(STATIC / 'page.js').read_text(encoding='utf-8')}</script>"
    address, asked = page(tmp_path, body, "figure {overflow-x: auto}"), "getAttribute('tabindex')"
    found = f"[...document.querySelectorAll('figure')].map((box) => box.{asked})"
    tab.show(address, width=390)
    assert tab.do(found) == ["0", "-1"]
    size = {"height": 900, "deviceScaleFactor": 1, "mobile": False}
    tab.call("Emulation.setDeviceMetricsOverride", width=1400, **size)
    tab.do("new Promise((done) => setTimeout(done, 250))")
    assert tab.do(found) == [None, "-1"]


def test_a_narrow_figure_is_not_enlarged_on_a_phone(tab, tmp_path):
    figure = "<figure><svg class='pm-figure' width='200' height='99' {}></svg></figure>"
    figures = [figure.format(own) for own in ("", "style='width: 100%'")]
    css = (STATIC / "custom.css").read_text(encoding="utf-8")
    tab.show(page(tmp_path, f"<div class='bd-content'>{''.join(figures)}</div>", css), width=390)
    widths = "[...document.querySelectorAll('svg')].map((one) => one.clientWidth)"
    assert tab.do(widths) == [200, 504]


@pytest.mark.parametrize("name", NAMES)
def test_paper_cuts_nothing(tab, name):
    tab.show((HTML / f"{name}.html").as_uri(), width=PAPER, media="print")
    tab.do(OPEN_SOLUTIONS)
    assert tab.do(CUT) == []


def test_a_dark_page_is_printed_light_and_stays_dark(tab):
    tab.show((HTML / "index.html").as_uri())
    tab.do("document.documentElement.dataset.theme = 'dark'")
    tab.do("addEventListener('beforeprint', () => print = document.documentElement.dataset.theme)")
    tab.call("Page.printToPDF", pageRanges="1")
    assert tab.do("print") == "light"
    assert tab.do("document.documentElement.dataset.theme") == "dark"


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
