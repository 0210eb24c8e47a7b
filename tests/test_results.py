"""The figures of the last quick build, held against what ten seeds allow."""

from pathlib import Path

import nbformat
import pandas as pd
import pytest
from bs4 import BeautifulSoup

from pm_utils.builder import verify
from pm_utils.page import evidence, scoreboard

ROOT = Path(__file__).resolve().parent.parent
RESULTS = sorted((ROOT / "_build" / "results" / "quick").glob("*.json"))
EVIDENCE = sorted((ROOT / "evidence").glob("*.json"))


@pytest.mark.skipif(not RESULTS, reason="no quick build here to check: run `make book` first")
def test_the_last_build_lies_within_its_evidence():
    boards = [scoreboard.read_scoreboard(path) for path in RESULTS]
    known = {name: evidence.read_evidence(name, "quick", ROOT / "evidence") for name in names()}
    assert verify.check(boards, {name: found for name, found in known.items() if found}) == []


def names():
    return [path.stem for path in sorted((ROOT / "notebooks").glob("*.ipynb"))]


def test_each_file_of_evidence_is_of_a_chapter():
    assert [path.stem for path in EVIDENCE if path.stem not in {n[:2] for n in names()}] == []


LIMITS = {"truth", "oracle", "limit", "bound", "exact", "attainable"}
# Rows that stand among contenders in a table and are none, and why.
NO_CONTENDERS = {
    "03-customer-profile": dict.fromkeys(("15", "16", "32"), "a setting of the contender"),
    "05-ad-images": {
        "copies": "archived ads, repainted",
        "fresh": "real ads that nobody was trained on",
    },
    "06-ad-video": {
        "0.5": "a boldness of the contender above it",
        "1.0": "a boldness of the contender above it",
        "each one's favourite, unspoilt": "knows what nobody can see",
        "real": "clips that were filmed",
    },
    "07-interest": {"topics told": "it is told what nobody can see"},
    "08-conversion": {
        "Platt": "recalibrates a contender",
        "isotonic": "recalibrates a contender",
        "temperature": "recalibrates a contender",
        "intercept per segment": "recalibrates a contender",
    },
    "09-creative-optimisation": {
        "best fixed": "knows which ad is best",
        "null": "the mean of those entered by number",
        "what receipts tell": "knows the truth of what receipts tell",
    },
    "12-budget-policy": {
        "cut for an end": "errs on purpose",
        "exact plan": "the limit",
        "null": "the mean of those entered by number",
    },
}


def left_out(notebook, board):
    """Row labels of the tables in which contenders stand that no contender has.

    A table counts when two of its rows are contenders, whatever its columns are, or one is and a
    column is a figure of the contest.
    """
    entered = {one["name"] for one in board["contenders"]}
    figures = {metric for one in board["contenders"] for metric in one["test"]}
    found = set()
    for table in tables(notebook):
        heads = {cell.get_text() for cell in table.select("thead th")}
        labels = {row.th.get_text() for row in table.select("tbody tr") if row.th}
        if len(labels & entered) > 1 or (heads & figures and labels & entered):
            found |= labels - entered - LIMITS
    return found


def tables(notebook):
    for cell in notebook.cells:
        if "solution" in cell.metadata.get("tags", []):
            continue  # an exercise may try more
        for output in cell.get("outputs", []):
            page = BeautifulSoup(output.get("data", {}).get("text/html", ""), "html.parser")
            yield from page.select("table")


@pytest.mark.parametrize("path", RESULTS, ids=lambda path: path.stem)
def test_no_method_of_a_results_table_is_left_out(path):
    board = scoreboard.read_scoreboard(path)
    run = ROOT / "_build" / "runs" / "quick" / path.stem / "notebook.ipynb"
    known = set(NO_CONTENDERS.get(path.stem, {}))
    assert left_out(nbformat.read(run, as_version=4), board) == known


@pytest.mark.parametrize("path", RESULTS, ids=lambda path: path.stem)
def test_a_number_of_the_prose_is_given_once(path):
    run = ROOT / "_build" / "runs" / "quick" / path.stem / "notebook.ipynb"
    notebook = nbformat.read(run, as_version=4)
    given = [
        output.metadata["scrapbook"]["name"]
        for cell in notebook.cells
        for output in cell.get("outputs", [])
        if "scrapbook" in output.get("metadata", {})
    ]
    assert given and [name for name in set(given) if given.count(name) > 1] == []


def test_a_method_that_was_left_out_is_found():
    html = pd.DataFrame({"AUC": [0.1, 0.2, 0.3]}, index=["net", "trees", "truth"]).to_html()
    output = nbformat.v4.new_output("display_data", {"text/html": html})
    cell = nbformat.v4.new_code_cell("x", outputs=[output])
    notebook = nbformat.v4.new_notebook(cells=[cell])
    net = {"name": "net", "test": {"AUC": 0.1}}
    assert left_out(notebook, {"contenders": [net]}) == {"trees"}
    assert left_out(notebook, {"contenders": [net, net | {"name": "trees"}]}) == set()
    other = {"name": "net", "test": {"AP": 1}}
    assert left_out(notebook, {"contenders": [other]}) == set()  # a table about something else
    assert left_out(notebook, {"contenders": [other, other | {"name": "trees"}]}) == set()
    html = pd.DataFrame({"cost": [1, 2, 3]}, index=["net", "trees", "cut"]).to_html()
    cell.outputs = [nbformat.v4.new_output("display_data", {"text/html": html})]
    assert left_out(notebook, {"contenders": [other, other | {"name": "trees"}]}) == {"cut"}
