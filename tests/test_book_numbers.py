"""The profiles and the evidence of the book itself agree with its notebooks and with each other."""

import ast
from pathlib import Path

import nbformat
import pytest
import yaml

from pm_utils.page.evidence import DOUBLED, HALVED, read_evidence

ROOT = Path(__file__).parents[1]
NOTEBOOKS = {path.stem: path for path in sorted((ROOT / "notebooks").glob("[0-9][0-9]*.ipynb"))}
QUICK, FULL = (
    yaml.safe_load((ROOT / "notebooks" / f"{name}.yml").read_text(encoding="utf-8"))
    for name in ("quick", "full")
)
FOUND = {name: read_evidence(name, "quick", ROOT / "evidence") for name in NOTEBOOKS}
EVIDENCE = {name: found for name, found in FOUND.items() if found is not None}
FEWEST = 5  # seeds
# whose networks were never given twice the steps; a chapter leaves this list and none enters it
NEVER_DOUBLED = set(NOTEBOOKS) - {"01-formulas"}
each_chapter = pytest.mark.parametrize("name", NOTEBOOKS)
each_row = pytest.mark.parametrize(
    ("name", "metric"), [(name, metric) for name in EVIDENCE for metric in EVIDENCE[name].rows]
)


def parameters(name: str) -> dict:
    """Return what the parameters cell of a chapter assigns."""
    notebook = nbformat.read(NOTEBOOKS[name], as_version=4)
    (cell,) = [c for c in notebook.cells if "parameters" in c.metadata.get("tags", [])]
    assigned = ast.parse(cell.source).body
    return {line.targets[0].id: ast.literal_eval(line.value) for line in assigned}


def test_both_profiles_keep_the_order_of_the_chapters():
    assert list(QUICK) == list(NOTEBOOKS)
    assert list(FULL) == [name for name in NOTEBOOKS if name in FULL]


@each_chapter
def test_quick_repeats_the_parameters_cell(name):
    assert list(QUICK[name].items()) == list(parameters(name).items())


@pytest.mark.parametrize("name", FULL)
def test_full_changes_what_it_names_and_never_the_seed(name):
    known = parameters(name)
    assert set(FULL[name]) <= set(known) - {"seed"}
    assert {key for key, value in FULL[name].items() if value == known[key]} == set()


@each_chapter
def test_every_chapter_has_evidence(name):
    found = EVIDENCE[name]
    assert found.profile == "quick"
    assert found.seeds == tuple(range(len(found.seeds))) and len(found.seeds) >= FEWEST
    assert any(row.headline for row in found.rows.values())


@each_chapter
def test_training_was_doubled_and_data_halved(name):
    rows = [row for row in EVIDENCE[name].rows.values() if row.headline and row.figures["deep"]]
    tried = [all(len(row.variants.get(v, [])) >= 3 for v in (DOUBLED, HALVED)) for row in rows]
    assert all(tried) == (name not in NEVER_DOUBLED)


@each_chapter
def test_no_headline_is_undertrained(name):
    rows = EVIDENCE[name].rows.values()
    assert [row.metric for row in rows if row.headline and row.undertrained()] == []


@each_row
def test_no_null_reaches_the_network_in_any_seed(name, metric):
    row = EVIDENCE[name].rows[metric]
    if not row.headline:
        return  # of some figures, as an error of calibration, a null may be good
    if (deep := row.figures["deep"]) is None or (null := row.figures["null"]) is None:
        return
    assert max(row.sign * one for one in null) < min(row.sign * one for one in deep)


@each_row
def test_a_row_says_what_it_counts(name, metric):
    row = EVIDENCE[name].rows[metric]
    assert row.better in ("higher", "lower")
    assert row.unit.strip()
    if row.unit == "share":  # no percentages where shares are meant
        known = [row.figures[model] for model in ("deep", "naive") if row.figures[model]]
        assert all(-2 < figure < 2 for figures in known for figure in figures)
