"""The pages of prose point to what the book shows, cite what it does not, and type no result."""

import re

import pytest

from tests.test_book import BOOK, NOTEBOOKS, PAGES, bibliography_keys, cells, prose

OWN = ("best-practice", "outlook", "questions")
CHAPTERS = {path.stem: path for path in NOTEBOOKS}
LABEL = re.compile(r"^\(([\w-]+)\)=$|^:(?:label|name): *(\S+)$|^\$\$ *\(([\w-]+)\)$", re.MULTILINE)
# 12 %, .81, 0.5 or 12.3, but no version, no number of a section, no part of a name
RESULT = re.compile(r"(?<![\w.§])(?:\d[\d,]*(?:\.\d+)?(?: ?%| per ?cent)|[\d,]*\.\d+(?![\w.]*\d))")
own_page = pytest.mark.parametrize("name", OWN)


def page(name: str) -> str:
    return (BOOK / f"{name}.md").read_text(encoding="utf-8")


def roles(text: str, *names: str) -> list[str]:
    """Targets of the roles of these names, without their titles."""
    found = re.findall(rf"\{{(?:{'|'.join(names)})\}}`([^`]+)`", text)
    return [re.sub(r"^.*<(.+)>$", r"\1", target, flags=re.S) for target in found]


def keys(text: str) -> list[str]:
    return [
        key.strip() for group in roles(text, "cite", "cite:t", "cite:p") for key in group.split(",")
    ]


def rules(text: str) -> list[str]:
    """The items of a checklist, each with its continuation lines."""
    return re.findall(r"^- \[[ x]\] (.+\n(?: +\S.*\n?)*)", text, re.MULTILINE)


def paragraphs(text: str) -> list[str]:
    """Paragraphs and items of lists, without headings, labels and fenced blocks."""
    plain = re.sub(r"^ *(`{3,}|:{3,}).*?^ *\1 *$", "", text, flags=re.M | re.S)
    plain = re.sub(r"^(#.*|\([\w-]+\)=)$", "", plain, flags=re.M)
    return [part.strip() for part in re.split(r"\n\s*\n|\n(?=[-*] )", plain) if part.strip()]


def labels(path) -> set[str]:
    """Labels of sections, equations and figures of a page or notebook."""
    found = {name for groups in LABEL.findall(prose(path)) for name in groups if name}
    if path.suffix == ".ipynb":
        figures = [c.metadata.get("mystnb", {}).get("figure", {}) for c in cells(path, "code")]
        found |= {figure["name"] for figure in figures if "name" in figure}
    return found


def linked_chapters(text: str) -> set[str]:
    targets = roles(text, "doc")
    return {target.removeprefix("chapters/") for target in targets if "chapters/" in target}


def lost(text: str) -> list[str]:
    """Labels that stand in no chapter or page which the text links to."""
    linked = [CHAPTERS[name] for name in linked_chapters(text) & set(CHAPTERS)]
    linked += [BOOK / f"{name}.md" for name in roles(text, "doc") if "/" not in name]
    there = set().union(*(labels(path) for path in linked))
    return [label for label in roles(text, "ref", "numref", "eq") if label not in there]


def typed_results(text: str) -> list[str]:
    """Numbers that look like results, in paragraphs that cite nothing."""
    found = []
    for paragraph in paragraphs(text):
        if not keys(paragraph):
            plain = re.sub(r"\{[\w:]+\}`[^`]*`|`[^`]*`|\]\([^)]*\)|\$[^$]*\$", " ", paragraph)
            found += RESULT.findall(plain)
    return found


# --- The finders find ----------------------------------------------------------------------


def test_the_finder_of_rules_keeps_continuation_lines_together():
    text = "- [ ] **A.** one\n  two {doc}`chapters/a`\n- [x] **B.** three\n\nNo rule.\n- no rule\n"
    assert rules(text) == ["**A.** one\n  two {doc}`chapters/a`\n", "**B.** three\n"]
    assert linked_chapters(rules(text)[0]) == {"a"}
    assert linked_chapters("{doc}`B <chapters/b>` {doc}`glossary`") == {"b"}


def test_the_finder_of_lost_labels_finds_them():
    here = "{numref}`fig-data-leaks` in {doc}`chapters/02-data-preparation`"
    assert lost(here) == []
    assert lost("{eq}`eq-pays` in {doc}`concepts`") == []
    assert lost(here.replace("02-data-preparation", "04-ad-text")) == ["fig-data-leaks"]
    assert lost("{eq}`eq-nowhere` in {doc}`chapters/02-data-preparation`") == ["eq-nowhere"]


def test_the_finder_of_typed_results_finds_them():
    for typed in (
        "an AUC of .81",
        "an AUC of 0.81.",
        "12.3 % more",
        "12%",
        "a gain of 6 %",
        "1,200.5",
        "(0.81)",
        "-.5",
        "5 percent",
    ):
        assert typed_results(f"We found {typed} there."), typed
    for fine in (
        "version 0.1.0", "{glue:text}`auc:.3f`", "`x = 0.5`", "§3.4", "10,000 rows", "two thirds",
        "of 0.81 {cite}`a2020`", "[a](b-1.5.html)", "$p = 0.5$", "Article 5(1)(c)", "R 1.2.3",
    ):  # fmt: skip
        assert typed_results(f"We found {fine} there.") == [], fine
    assert typed_results("Cited {cite}`a2020`.\n\nNot cited: .81") == [".81"]


# --- The pages -------------------------------------------------------------------------------


@pytest.mark.parametrize("rule", rules(page("best-practice")), ids=lambda rule: rule[2:40])
def test_a_rule_leads_to_a_chapter_and_its_figures_stand_there(rule):
    assert rule.startswith("**"), "the rule itself comes first and is bold"
    assert linked_chapters(rule) & set(CHAPTERS), "a rule that no chapter showed"
    assert lost(rule) == []


def test_the_checklist_covers_what_it_promises():
    text = " ".join(page("best-practice").lower().split())
    assert len(rules(page("best-practice"))) >= 25
    for topic in (
        "split by time", "leak", "calibrate", "holdout group", "always-valid", "clustered",
        "selection bias", "delayed feedback", "budget", "off-policy", "abstain", "baseline", "seed",
        "null", "identifiers", "data minimisation", "storage limitation", "consent",
        "gaps between groups",
    ):  # fmt: skip
        assert topic in text, topic


@own_page
def test_every_label_stands_in_a_chapter_that_its_paragraph_names(name):
    found = [lost(part) for part in re.split(r"\n\s*\n|\n(?=- \[)", page(name))]
    assert sum(found, []) == []


def test_every_answer_leads_somewhere():
    answers = re.findall(r"^\*\*(.+)\*\*\n: (.+\n(?: +\S.*\n?)*)", page("questions"), re.MULTILINE)
    assert len(answers) >= 15
    assert all(question.endswith("?") for question, _ in answers)
    assert [question for question, answer in answers if not roles(answer, "doc")] == []


def test_every_paragraph_of_the_outlook_cites_a_known_work():
    _, *sections = re.split(r"^## ", page("outlook"), flags=re.MULTILINE)
    found = [part for section in sections for part in paragraphs(section.partition("\n")[2])]
    assert len(found) >= 10
    known = set(bibliography_keys())
    for part in found:
        assert keys(part), part
        assert set(keys(part)) <= known, part


@own_page
def test_whoever_names_an_article_cites_the_law(name):
    for part in paragraphs(page(name)):
        if re.search(r"\bArticles? \d", part):
            assert [key for key in keys(part) if re.fullmatch(r"eu\d{4}\w+", key)], part


# The page on how to cite names licences by their versions, which look like results.
@pytest.mark.parametrize(
    "path", [path for path in PAGES if path.stem != "cite"], ids=lambda path: path.stem
)
def test_no_page_of_prose_types_a_result(path):
    assert typed_results(prose(path)) == []
