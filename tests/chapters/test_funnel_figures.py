"""What the drawings of chapter 10 show is what was computed."""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import to_rgba

from pm_utils.chapters import funnel_figures as figures
from pm_utils.measurement.funnel import funnel_rates
from pm_utils.page.plots import COLORS


@pytest.fixture(autouse=True)
def close_figures():
    yield
    plt.close("all")


def test_funnels_write_counts_and_rates_and_draw_logarithms():
    counts = pd.DataFrame({"mailed": [60, 40], "came": [9, 1], "bought": [0, 0]})
    figure = figures.funnels({"left": funnel_rates(counts), "right": funnel_rates(counts)})
    assert [panel.get_title(loc="left") or panel.get_title() for panel in figure.axes] == [
        "left",
        "right",
    ]
    texts = [text.get_text() for text in figure.axes[0].texts]
    assert {"mailed\n100", "came\n10", "bought\n0", "10.0%", "0.0%"} == set(texts)
    widths = [bar.get_width() for bar in figure.axes[0].patches]
    assert widths == pytest.approx([2.25, 1.25, 0.25])


def test_coverage_bars_stand_side_by_side():
    table = pd.DataFrame({"by rows": [0.6, 0.9], "by customers": [0.95, 0.94]})
    axes = figures.coverage_bars(table, ["click", "visit"]).axes[0]
    assert [bar.get_height() for bar in axes.patches] == [0.6, 0.9, 0.95, 0.94]
    assert axes.lines[0].get_ydata()[0] == 0.95


def test_chances_rise_by_tenths_of_clicks_and_the_clicked_lie_above_all():
    click = np.linspace(0.01, 0.1, 100)
    axes = figures.probabilities_by_click(click, 2 * click).axes[0]
    height = [bar.get_height() for bar in axes.patches]
    assert height == pytest.approx(2 * click.reshape(10, 10).mean(1))
    everyone, clicked = (line.get_ydata()[0] for line in axes.lines)
    assert everyone == pytest.approx(0.11)
    assert clicked == pytest.approx(2 * (click**2).sum() / click.sum())


def test_models_are_dots_from_the_top_beside_the_truth():
    table = pd.DataFrame({"bias": [0.5, 0.1], "AUC": [0.6, 0.7]}, index=["rate", "net"])
    marks = {"bias": 0.0, "AUC": 0.8}
    figure = figures.model_dots(table, ["naive", "deep"], marks, left_out=0.06)
    first, second = figure.axes
    dots = first.collections[0]
    assert dots.get_offsets().tolist() == [[0.5, 1], [0.1, 0]]
    assert dots.get_facecolor()[1].tolist() == pytest.approx(list(to_rgba(COLORS["deep"])))
    assert [line.get_xdata()[0] for line in first.lines] == [0.0, 0.06]
    assert [line.get_xdata()[0] for line in second.lines] == [0.8]


def test_right_chances_lie_on_the_diagonal_and_doubled_ones_below():
    truth = np.linspace(0.01, 0.2, 50)
    drawn = {"right": truth, "double": 2 * truth}
    figure = figures.probabilities_against_truth(
        drawn, truth, dict.fromkeys(drawn, "#0077bb"), bins=5
    )
    right, double, diagonal = (np.array(line.get_xydata()) for line in figure.axes[0].lines)
    assert np.allclose(right[:, 0], right[:, 1])
    assert np.allclose(double[:, 1], double[:, 0] / 2)
    assert diagonal[1].tolist() == pytest.approx([double[-1, 0]] * 2)


def test_delays_are_a_marker_per_group_and_estimator():
    truth = pd.Series([1.0, 4.0])
    estimates = {"seen": pd.Series([0.9, 2.0]), "model": pd.Series([1.1, 3.9])}
    colors = {"seen": "#8c8c8c", "model": "#0077bb"}
    axes = figures.delay_dots(truth, estimates, colors, unit="days").axes[0]
    assert axes.lines[1].get_xydata().tolist() == [[1, 0.9], [4, 2]]
    assert axes.get_ylabel() == "estimated days"


def test_leaks_are_drawn_from_the_top_and_the_proven_stand_out():
    report = pd.DataFrame(
        {
            "stage": ["visit", "order", "click"],
            "segment": ["a", "b", "a"],
            "lost": [9.0, 2.0, 1.0],
            "low": [5.0, -1.0, -2.0],
            "high": [13.0, 5.0, 4.0],
            "proven": [True, False, False],
        }
    )
    axes = figures.leaks(report, rows=2).axes[0]
    assert [tick.get_text() for tick in axes.get_yticklabels()] == ["order: b", "visit: a"]
    lines, dots = axes.collections
    assert dots.get_offsets().tolist() == [[2, 0], [9, 1]]
    hue = [list(to_rgba(COLORS[kind])) for kind in ("naive", "classical")]
    assert dots.get_facecolor().tolist() == hue
    assert lines.get_segments()[1].tolist() == [[5, 1], [13, 1]]


def test_dots_stand_off_the_floor_of_their_market():
    study = pd.DataFrame({"net": [0.1, 0.2], "trees": [0.3, 0.3], "endless data": [0.1, 0.1]})
    colors = {"trees": "#c77c02", "net": "#0077bb"}
    trees, net, floor = figures.floor_dots(study, colors).axes[0].lines
    assert np.allclose(trees.get_xydata(), [[0.2, 0], [0.2, 0]])
    assert np.allclose(net.get_xydata(), [[0, 1], [0.1, 1]])
    assert floor.get_xdata()[0] == 0


def test_power_is_a_line_per_reading():
    shares = pd.DataFrame({"fall": [0.2, 0.9], "proven": [0.1, 1.0]}, index=[0.1, 0.4])
    axes = figures.power_lines(shares, {"proven": "#c77c02"}).axes[0]
    assert axes.lines[0].get_xydata().tolist() == [[0.1, 0.1], [0.4, 1.0]]
    assert len(axes.lines) == 1
