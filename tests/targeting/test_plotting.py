"""What the drawings show is what was computed."""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest

from pm_utils.page.plots import COLORS
from pm_utils.targeting import plotting as figures

TARGET = np.array([0, 1] * 10)
GOOD = np.where(TARGET, 0.8, 0.1) + np.linspace(0, 0.1, 20)
COLOR = {"model": "#0077bb"}


@pytest.fixture(autouse=True)
def close_figures():
    yield
    plt.close("all")


def lines(figure: plt.Figure) -> dict[str, np.ndarray]:
    return {line.get_label(): np.array(line.get_xydata()) for line in figure.axes[0].lines}


def test_campaigns_are_bars_from_start_to_end_in_order():
    contacts = pd.DataFrame(
        {
            "campaign_id": [2, 2, 1],
            "starts_on": pd.to_datetime(["2017-03-01", "2017-03-01", "2017-02-01"]),
            "ends_on": pd.to_datetime(["2017-03-31", "2017-03-31", "2017-02-11"]),
            "campaign_type": ["Type A", "Type A", "Type B"],
            "part": ["test", "test", "learn"],
            "redeemed": [True, False, False],
        }
    )
    axes = figures.campaign_bars(contacts).axes[0]
    assert [bar.get_width() for bar in axes.patches] == [30, 10]  # the first start at the top
    assert [text.get_text() for text in axes.texts] == [" A, 2", " B, 1"]
    assert axes.patches[0].get_facecolor() != axes.patches[1].get_facecolor()


def test_reliability_lines_hold_ten_bins_and_a_diagonal_that_reaches_them():
    drawn = lines(figures.reliability_lines(TARGET, {"model": GOOD}, ["deep"]))
    assert drawn["model"].shape == (10, 2)
    assert drawn["model"][:, 1].tolist() == [0] * 5 + [1] * 5
    assert drawn["predicted = observed"].max() == 1


def test_a_second_line_of_a_kind_is_dashed_and_keeps_its_colour():
    models = {"now": GOOD, "rival": GOOD**2, "before": np.sqrt(GOOD)}
    figure = figures.reliability_lines(TARGET, models, ["deep", "classical", "deep"])
    drawn = {line.get_label(): line for line in figure.axes[0].lines}
    assert [drawn[name].get_linestyle() for name in models] == ["-", "-", "--"]
    assert drawn["before"].get_color() == drawn["now"].get_color() == COLORS["deep"]
    assert drawn["before"].get_markerfacecolor() == "none"
    assert {line.get_color() for line in drawn.values()}.isdisjoint({COLORS["null"]})


def test_gain_reaches_everyone_at_half_of_the_list():
    drawn = lines(figures.gain_lines(TARGET, {"model": GOOD}, COLOR))
    x, y = drawn["model"].T
    assert y[x == 0.5] == 1
    assert (x[-1], y[-1]) == (1, 1)


def test_profit_lines_and_their_dot():
    figure = figures.profit_lines(TARGET, {"model": GOOD}, COLOR, margin=2.0, cost=1.0)
    drawn = lines(figure)
    assert drawn["model, came"][10, 1] == 10
    assert drawn["model, came"][-1, 1] == 0
    assert drawn["model, expected"][10, 1] == pytest.approx(2 * GOOD[TARGET > 0].sum() - 10)
    (dot,) = [line for line in figure.axes[0].lines if line.get_marker() == "o"]
    assert dot.get_xydata().tolist() == [[10, 10]]


def test_the_most_important_group_is_at_the_top():
    table = pd.DataFrame({"loss": [0.2, 0.1], "low": [0.1, 0.1], "high": [0.3, 0.1]}, ["a", "b"])
    axes = figures.importance_bars(table).axes[0]
    assert [bar.get_width() for bar in axes.patches] == [0.1, 0.2]
    assert [label.get_text() for label in axes.get_yticklabels()] == ["b", "a"]
    assert axes.patches[0].get_facecolor()[:3] == plt.matplotlib.colors.to_rgb(COLORS["deep"])
