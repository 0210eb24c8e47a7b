"""What chapter 11 draws is what was computed."""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest

from pm_utils.lifetime import plotting as figures
from pm_utils.lifetime.scores import decile_table

COLORS = {"a": "#0077bb", "b": "#c77c02"}


@pytest.fixture(autouse=True)
def close_figures():
    yield
    plt.close("all")


def test_orders_are_averaged_by_silence():
    silence = np.array([0.0, 0.5, 1.5, 3, 5, 9, 30, 99])
    orders = {"actual": np.array([4.0, 2, 5, 6, 7, 8, 1, 3]), "a": np.arange(8.0)}
    axes = figures.silence_lines(silence, orders, COLORS).axes[0]
    assert [bar.get_height() for bar in axes.patches] == [3, 5, 6, 7, 8, 2]
    assert axes.lines[0].get_ydata().tolist() == [0.5, 2, 3, 4, 5, 6.5]
    assert axes.lines[0].get_color() == COLORS["a"]
    assert [label.get_text() for label in axes.get_legend().get_texts()] == ["a", "actual"]


@pytest.mark.parametrize("scale", ["linear", "log"])
def test_parts_are_drawn_with_a_diagonal(scale):
    rng = np.random.default_rng(0)
    value = rng.gamma(3, 2, 100)
    tables = {
        name: decile_table(value, value * factor) for name, factor in {"a": 1, "b": 2}.items()
    }
    axes = figures.decile_lines(tables, COLORS, unit="dollars", scale=scale).axes[0]
    assert axes.get_xscale() == axes.get_yscale() == scale
    diagonal, first, second = (line for line in axes.lines if line.get_linestyle() in (":", "-"))
    assert list(diagonal.get_xdata()) == list(diagonal.get_ydata())
    assert first.get_xdata() == pytest.approx(tables["a"]["predicted"])
    assert second.get_ydata() == pytest.approx(tables["b"]["actual"])
    assert axes.get_xlabel() == "predicted (dollars)"
    labels = [text.get_text() for text in axes.get_legend().get_texts()]
    assert labels == ["a", "b"]


def test_bars_are_sorted_and_labelled_where_there_is_a_number():
    profit = pd.DataFrame(
        {"same risk for all": [1.0, -2.0, np.nan], "own risk": [3.0, np.nan, 9.0]},
        index=["a", "b", "c"],
    )
    hues = COLORS | {"c": "#123456"}
    axes = figures.keeping_bars(profit, hues).axes[0]
    assert [label.get_text() for label in axes.get_yticklabels()] == ["b", "a", "c"]  # best on top
    labels = [text.get_text() for text in axes.texts if text.get_text()]
    assert sorted(labels) == ["-2.0", "1.0", "3.0", "9.0"]
    longest = max(axes.patches, key=lambda bar: np.nan_to_num(bar.get_width()))
    assert longest.get_width() == 9
    assert longest.get_y() > 1.5


def test_silences_that_are_not_known_are_not_drawn_around():
    orders = {"actual": np.ones(3), "a": np.ones(3)}
    with pytest.raises(ValueError, match="silence is not finite in 1 of 3 rows"):
        figures.silence_lines(np.array([1, np.nan, 2]), orders, COLORS)
    with pytest.raises(ValueError, match="a is not finite in 1 of 3 rows"):
        figures.silence_lines(np.ones(3), orders | {"a": np.array([1, 1, np.inf])}, COLORS)
    with pytest.raises(ValueError, match="silence 2, actual 3, a 3 rows"):
        figures.silence_lines(np.ones(2), orders, COLORS)
