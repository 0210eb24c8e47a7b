"""The profiles and the bounds of the book itself agree with its notebooks and with each other."""

import ast
import json
from pathlib import Path

import nbformat
import pytest
import yaml

from pm_utils.builder.bounds import BOUNDED_MODELS

ROOT = Path(__file__).parents[1]
NOTEBOOKS = {path.stem: path for path in sorted((ROOT / "notebooks").glob("[0-9][0-9]*.ipynb"))}
QUICK, FULL = (
    yaml.safe_load((ROOT / "notebooks" / f"{name}.yml").read_text(encoding="utf-8"))
    for name in ("quick", "full")
)
BOUNDS = json.loads((ROOT / "tests" / "bounds.json").read_text(encoding="utf-8"))
each_chapter = pytest.mark.parametrize("name", NOTEBOOKS)
each_bounded_row = pytest.mark.parametrize(
    ("name", "metric"), [(name, metric) for name in BOUNDS for metric in BOUNDS[name]["rows"]]
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
def test_every_chapter_has_bounds_of_ten_seeds(name):
    assert BOUNDS[name]["profile"] == "quick"
    assert BOUNDS[name]["seeds"] == list(range(10))
    assert BOUNDS[name]["rows"]


def test_no_chapter_has_bounds_that_does_not_exist():
    assert set(BOUNDS) == set(NOTEBOOKS)


@each_bounded_row
def test_no_null_reaches_the_network_in_any_seed(name, metric):
    row = BOUNDS[name]["rows"][metric]
    for model in BOUNDED_MODELS:
        assert row[model] is None or row[model][0] <= row[model][1], model
    if row["deep"] is None or row["null"] is None:
        return
    if row["better"] == "higher":
        assert max(row["null"]) < min(row["deep"])
    else:
        assert min(row["null"]) > max(row["deep"])


@each_bounded_row
def test_a_bounded_row_says_what_it_counts(name, metric):
    row = BOUNDS[name]["rows"][metric]
    assert row["better"] in ("higher", "lower")
    assert row["unit"].strip()
    assert 0 <= row["deep_above_classical"] <= len(BOUNDS[name]["seeds"])
    if row["unit"] == "share" and row["deep"] is not None and row["naive"] is not None:
        ends = [*row["deep"], *row["naive"]]
        assert min(ends) > -2 and max(ends) < 2  # no percentages where shares are meant
