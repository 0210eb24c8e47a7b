"""Working copies: no role and no directive of the book is left, and what they say stays."""

import re
from dataclasses import replace
from pathlib import Path

import nbformat
import pytest
from nbformat.v4 import new_output

from pm_utils.builder import chapters
from pm_utils.builder.editions import all_editions
from pm_utils.builder.project import BuildError, Project
from pm_utils.builder.working_copies import (
    NOT_RUN,
    Words,
    read_numbers,
    read_words,
    readable,
    stored_numbers,
)

PROJECT = Project(Path(__file__).parents[2])
CHAPTERS = chapters.discover(PROJECT, [])
WORDS = Words(
    titles={"02-two": "Two", "concepts": "Concepts"},
    labels={"eq-a": "(2.1)", "fig-b": "Fig. 2.3", "sec-c": "A section", "ex-d": "Exercise 2.1"},
    places={"eq-a": "02-two", "fig-b": "02-two", "sec-c": "03-three"},
    works={
        "kim2014": ("Kim", "2014", "https://doi.org/10.1/x"),
        "ma2018": ("Ma et al.", "2018", ""),
    },
    copies=frozenset({"02-two"}),
    numbers={"share": "0.1234", "method": "'trees'", "count": "1234567"},
)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("{glue:text}`share:.1%`", "12.3%"),
        ("{glue:text}`method`", "trees"),
        ("{glue:text}`count:,`", "1,234,567"),
        ("{glue:}`share`", "0.1234"),
        ("{glue:text}`unknown:.3f`", NOT_RUN),
        ("{cite}`kim2014,ma2018`", "([Kim, 2014](https://doi.org/10.1/x); Ma et al., 2018)"),
        ("{cite:p}`ma2018`", "(Ma et al., 2018)"),
        ("{cite:t}`kim2014`", "[Kim (2014)](https://doi.org/10.1/x)"),
        ("{cite}`unheard`", "(unheard)"),
        ("{term}`uplift`", "uplift"),
        ("{term}`nats <nat>`", "nats"),
        ("{doc}`02-two`", "[Two](02-two.ipynb)"),
        ("{doc}`the second <02-two>`", "[the second](02-two.ipynb)"),
        ("{doc}`Concepts <../concepts>`", "Concepts"),
        ("{doc}`../concepts`", "Concepts"),
        ("{eq}`eq-a`", "[(2.1)](02-two.ipynb)"),
        ("{numref}`fig-b`", "[Fig. 2.3](02-two.ipynb)"),
        ("{numref}`Figure %s <fig-b>`", "[Figure 2.3](02-two.ipynb)"),
        ("{ref}`sec-c`", "A section"),
        ("{ref}`there <sec-c>`", "there"),
        ("{math}`\\chi`", "$\\chi$"),
        ("{sub}`2`", "<sub>2</sub>"),
        ("{abbr}`CTR (click-through rate)`", "CTR (click-through rate)"),
        ("{download}`the table <a.csv>`", "the table"),
        ("{never-heard-of}`words`", "words"),
        ("{term}``a`b``", "a`b"),
        ("{term}`two\nlines <line>`", "two\nlines"),
        ("[two](02-two.ipynb) and [c](../concepts.md)", "[two](02-two.ipynb) and c"),
        ("[out](https://a.org) ![p](b.png)", "[out](https://a.org) ![p](b.png)"),
        ("[](#eq-a)", "[(2.1)](02-two.ipynb)"),
    ],
)
def test_a_role_becomes_words(text, shown):
    assert readable(f"Before {text} after.", WORDS) == f"Before {shown} after."


@pytest.mark.parametrize(
    "text", ["Write `{term}` here.", "``{term}`uplift` ``", "```text\n{eq}`eq-a`\n```", "$\\{a\\}$"]
)
def test_code_and_formulas_are_left_alone(text):
    assert readable(text, WORDS) == text


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("$$\na = 1\n$$ (eq-a)", "$$\na = 1 \\tag{2.1}\n$$"),
        ("$$\nb\n$$\n\nThen\n\n$$ a $$ (eq-a)", "$$\nb\n$$\n\nThen\n\n$$\na \\tag{2.1}\n$$"),
        ("```{math}\n:label: eq-a\na = 1\n```", "$$\na = 1 \\tag{2.1}\n$$"),
        ("```{exercise}\n:label: ex-d\nHow {term}`far <f>`?\n```", "### Exercise 2.1\n\nHow far?"),
        ("```{solution-end}\n```\n\nText", "Text"),
        (":::{note}\nBy {eq}`eq-a`.\n:::", "> **Note.**\n>\n> By [(2.1)](02-two.ipynb)."),
        (":::{admonition} On {term}`x`\n:class: tip\nY\n:::", "> **On x.**\n>\n> Y"),
        (
            "````{tip}\n```{caution}\nZ\n```\n````",
            "> **Tip.**\n>\n> > **Caution.**\n> >\n> > Z",
        ),
        ("```{figure} a.svg\n:alt: A wave\nBy {eq}`eq-a`\n```", "![A wave](a.svg)"),
        ("(sec-c)=\n# Title\n\n% a comment\n+++\nText", "# Title\n\nText"),
        ("```{code-block} python\nx = 1\n```", "````python\nx = 1\n````"),
        ("```{glue:figure} share\n```", "0.1234"),
        ("```{tableofcontents}\n```", ""),
    ],
)
def test_a_directive_becomes_plain_markdown(text, shown):
    found = readable(text, WORDS)
    assert found == shown or (text.startswith("```{figure}") and found.startswith(shown))


def test_a_directive_in_a_list_stays_in_it():
    assert readable("- one\n\n  ```{note}\n  Two\n  ```\n- three", WORDS).splitlines()[-1] == (
        "- three"
    )


ROLE = re.compile(r"\{[A-Za-z][\w:.+-]*\}`")
DIRECTIVE = re.compile(r"^ *[`:]{3,}\{", re.M)
LABEL = re.compile(r"^\([\w:.-]+\)=|\$\$ *\([\w:-]+\) *$|\b(?:eq|fig|sec|ex)-[a-z]+-[a-z]", re.M)


@pytest.mark.parametrize("name", CHAPTERS)
def test_no_chapter_keeps_a_role_a_directive_or_a_label(name):
    (copy,) = all_editions(PROJECT, CHAPTERS, [name], kind="play", profile="quick").values()
    nbformat.validate(copy)
    text = "\n\n".join(cell.source for cell in copy.cells if cell.cell_type == "markdown")
    code = re.sub(r"^```.*?^```|`[^`\n]*`", "", text, flags=re.M | re.S)
    assert ROLE.findall(text) + DIRECTIVE.findall(text) + LABEL.findall(code) == []


def test_every_work_that_a_chapter_cites_is_shown_with_its_year():
    words = read_words(PROJECT, CHAPTERS)
    assert words.works["zhou2018din"][:2] == ("Zhou et al.", "2018")
    assert words.works["dudik2011doubly"][0].startswith("Dudík")
    assert all(re.fullmatch(r"\d{4}", year) for _, year, _ in words.works.values())


def test_equations_figures_and_exercises_bear_the_numbers_of_the_pages():
    pages = {name: PROJECT.build / "html" / "chapters" / f"{name}.html" for name in CHAPTERS}
    if not all(page.is_file() for page in pages.values()):
        pytest.skip("the book is not built here: make book")
    words = read_words(PROJECT, CHAPTERS)
    for name, page in pages.items():
        text = page.read_text(encoding="utf-8")
        own = {words.labels[label] for label, place in words.places.items() if place == name}
        shown = re.findall(r'class="eqno">(\(\d+\.\d+\))', text)
        assert {label for label in own if label.startswith("(")} == set(shown), name
        figures = re.findall(r'caption-number">(Fig\. \d+\.\d+)', text)
        assert {label for label in own if label.startswith("Fig.")} == set(figures), name


def test_numbers_come_from_what_a_run_glued(tmp_path):
    glued = new_output(
        "display_data",
        {"application/papermill.record/text/plain": "0.5"},
        metadata={"scrapbook": {"name": "half"}},
    )
    cells = [nbformat.v4.new_code_cell("", outputs=[glued, new_output("stream", text="x")])]
    notebook = nbformat.v4.new_notebook(cells=cells)
    assert stored_numbers(notebook) == {"half": "0.5"}
    nbformat.write(notebook, tmp_path / "a.ipynb")
    assert read_numbers(tmp_path / "a.ipynb") == {"half": "0.5"}
    (tmp_path / "a.ipynb").write_text("{")
    assert read_numbers(tmp_path / "a.ipynb") == read_numbers(tmp_path / "b.ipynb") == {}


def test_a_link_leads_only_to_a_copy_that_is_there():
    alone = replace(WORDS, copies=frozenset())
    assert readable("{doc}`02-two`, {eq}`eq-a`", alone) == "Two, (2.1)"


def test_a_bibliography_that_cannot_be_read_is_named(tmp_path):
    (tmp_path / "book").mkdir()
    (tmp_path / "book" / "references.bib").write_text("@book{a, title = ")
    with pytest.raises(BuildError, match=r"references\.bib is no valid bibliography"):
        read_words(Project(tmp_path), {})
