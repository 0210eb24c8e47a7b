"""Of every drawing of rows: order, gaps and indexes."""

import numpy as np
import pytest

from pm_utils.page import plots
from tests.support.metric_cases import MetricCase, properties

RNG = np.random.default_rng(0)
DOTS, GROUP = RNG.normal(size=(30, 2)), np.arange(30) % 3


def drawn_clusters(dots, group):
    (axes,) = plots.clusters(dots, group, {2: "two", 0: "none", 1: "one"}).axes
    parts = [np.asarray(part.get_offsets()) for part in axes.collections]
    return [part[np.lexsort(part.T)] for part in parts]


CASES = {
    "plots.clusters": MetricCase(
        drawn_clusters, rows={"dots": DOTS, "group": GROUP}, names=frozenset({"group"})
    )
}
_TESTS = {
    "listing.show_lines": "listing.py::test_lines_wrap_and_only_an_index_with_names_is_shown",
    "plots.intervals": "plots.py::test_intervals_draw_each_value_between_its_ends",
    "plots.heatmap": "plots.py::test_a_heatmap_has_one_cell_per_number_and_a_name_per_row",
}
BESIDES = {name: f"tests/page/test_{test}" for name, test in _TESTS.items()}
BESIDES |= dict.fromkeys(
    (
        "artifacts.StoreError",
        "artifacts.output_dir",
        "artifacts.input_dirs",
        "artifacts.save",
        "artifacts.load",
        "artifacts.remedy",
        "artifacts.giver_of",
        "excerpt.shorten",
        "listing.show_source",
        "plots.use_style",
        "plots.contrast",
        "plots.grid",
        "plots.timeline",
        "plots.learning_curves",
        "reproducibility.set_seed",
        "reproducibility.processor",
        "reproducibility.environment",
        *("evidence.RowEvidence", "evidence.Evidence", "evidence.one_more_run"),
        *("evidence.verdict", "evidence.place", "evidence.read_evidence"),
        *("contest.Board", "contest.Contender", "contest.Contest", "scoreboard.examples"),
        *("scoreboard_row.Row", "scoreboard_figure.draw_scoreboard"),
        "scoreboard.Scoreboard",
        "scoreboard.read_scoreboard",
        "scoreboard.markdown_table",
        "self_check.self_check",
        "self_check.find_solution",
        "self_check.agrees",
    ),
    "takes no rows",
)


@pytest.mark.parametrize(("check", "name"), properties(CASES))
def test_a_drawing_has_each_property(check, name):
    check(CASES[name])
