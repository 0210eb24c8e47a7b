"""Colours that can be told apart on both pages, drawings that repeat, figures that show data."""

import io
import itertools

import matplotlib as mpl
import matplotlib.pyplot as plt
import matplotlib_inline.backend_inline as inline
import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from IPython.core.interactiveshell import InteractiveShell
from matplotlib.colors import to_hex, to_rgb
from matplotlib.dates import date2num
from matplotlib.figure import Figure

from pm_utils.page import plots
from pm_utils.page.plots import COLORS, CYCLE, DARK_PAGE, INK, contrast

HEX = st.integers(0, 0xFFFFFF).map("#{:06x}".format)
# Machado, Oliveira & Fernandes (2009), severity 1, on linear RGB
DEUTERANOPIA = np.array(
    [
        [0.367322, 0.860646, -0.227968],
        [0.280085, 0.672501, 0.047413],
        [-0.011820, 0.042940, 0.968881],
    ]
)
TO_XYZ = np.array(
    [
        [0.4124564, 0.3575761, 0.1804375],
        [0.2126729, 0.7151522, 0.0721750],
        [0.0193339, 0.1191920, 0.9503041],
    ]
)


@pytest.fixture(autouse=True)
def style():
    """The book's style for one test only, and no figure left open."""
    with mpl.rc_context():
        plots.use_style()
        yield
    plt.close("all")


def seen(color: str, eye: np.ndarray) -> np.ndarray:
    """The colour in CIE Lab as an eye sees it that mixes linear RGB by a matrix."""
    rgb = np.array(to_rgb(color))
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    xyz = TO_XYZ @ np.clip(eye @ linear, 0, 1) / TO_XYZ.sum(axis=1)
    f = np.where(xyz > (6 / 29) ** 3, np.cbrt(xyz), xyz / (3 * (6 / 29) ** 2) + 4 / 29)
    return np.array([116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])])


def closest(colors: list[str], eye: np.ndarray) -> float:
    """The least distance between two colours; 2.3 is just noticeable."""
    labs = [seen(color, eye) for color in colors]
    return min(np.linalg.norm(a - b) for a, b in itertools.combinations(labs, 2))


def svg(figure: Figure, **options) -> bytes:
    file = io.BytesIO()
    figure.savefig(file, format="svg", **options)
    return file.getvalue()


@pytest.mark.parametrize(
    ("color", "background", "ratio"),
    [
        ("black", "white", 21.0),
        ("white", "white", 1.0),
        ("#767676", "white", 4.54),  # the lightest grey that the guidelines allow for text
        ("#777777", "white", 4.48),
        ("red", "white", 4.00),
        ("blue", "white", 8.59),
        ("lime", "black", 15.30),
    ],
)
def test_contrast_equals_published_values(color, background, ratio):
    assert contrast(color, background) == pytest.approx(ratio, abs=0.006)


@given(HEX, HEX)
def test_contrast_is_symmetric_and_between_1_and_21(one, other):
    assert contrast(one, other) == contrast(other, one)
    assert 1 <= contrast(one, other) <= 21 + 1e-9
    assert contrast(one, one) == 1


@pytest.mark.parametrize("page", ["white", DARK_PAGE])
def test_every_colour_is_visible_on_the_page(page):
    faint = {c: contrast(c, page) for c in [*COLORS.values(), *CYCLE] if contrast(c, page) < 3}
    assert faint == {}


@pytest.mark.parametrize(("page", "least"), [("white", 4.5), (DARK_PAGE, 4)])
def test_ink_can_be_read_in_a_notebook(page, least):
    """On the book's pages it is drawn in two inks; in JupyterLab, white at first, it is one."""
    assert contrast(INK, page) >= least


def test_the_dark_page_is_dark_and_ink_is_one_colour():
    assert contrast(DARK_PAGE, "black") < 1.3
    assert COLORS["ink"] == INK
    assert set(COLORS) == {"naive", "classical", "deep", "limit", "null", "ink"}


def test_models_are_told_apart_with_and_without_deuteranopia():
    models = [color for name, color in COLORS.items() if name != "ink"]
    assert closest(models, np.eye(3)) > 40
    assert closest(models, DEUTERANOPIA) > 10
    red_and_green = ["#d62728", "#2ca02c"]  # matplotlib's own, which are not
    assert closest(red_and_green, DEUTERANOPIA) < closest(red_and_green, np.eye(3)) / 3


def test_no_two_colours_of_the_cycle_look_the_same():
    assert closest(CYCLE, np.eye(3)) > 10
    assert closest(CYCLE, DEUTERANOPIA) > 2.3
    assert {COLORS[name] for name in ("classical", "deep", "limit", "null")} < set(CYCLE)


def test_the_style_draws_on_nothing_with_the_books_colours():
    figure, axes = plt.subplots()
    lines = [axes.plot([0, 1], [at, at])[0] for at in range(len(CYCLE))]
    assert [to_hex(line.get_color()) for line in lines] == CYCLE
    assert figure.get_facecolor()[3] == axes.get_facecolor()[3] == 0
    text = [axes.xaxis.label, axes.title, *axes.get_xticklabels(), axes.text(0, 0, "x")]
    assert {to_hex(part.get_color()) for part in text} == {INK}
    assert b"white" not in svg(figure)
    assert b"#ffffff" not in svg(figure)


def drawing() -> Figure:
    """A figure whose SVG needs ids: a clip path and a marker."""
    figure, axes = plt.subplots()
    axes.plot([0, 1, 2], [3, 1, 2], "o-")
    axes.set_title("a title")
    return figure


def test_two_drawings_of_one_figure_are_the_same_bytes():
    dateless = {"metadata": {"Date": None}}
    assert svg(drawing(), **dateless) == svg(drawing(), **dateless)
    with mpl.rc_context({"svg.hashsalt": None}):  # what happens without the style
        assert svg(drawing(), **dateless) != svg(drawing(), **dateless)


def test_notebooks_are_asked_for_svg_without_a_date(monkeypatch):
    asked = []
    monkeypatch.setattr(plots, "get_ipython", object)
    monkeypatch.setattr(
        inline, "set_matplotlib_formats", lambda *names, **options: asked.append((names, options))
    )
    plots.use_style()
    [(formats, options)] = asked
    assert formats == ("svg",)
    assert b"<dc:date>" in svg(drawing())
    assert b"<dc:date>" not in svg(drawing(), **options)


def test_outside_a_notebook_no_shell_is_started(monkeypatch):
    def refuse(*args, **kwargs):
        raise AssertionError("a shell was started")

    monkeypatch.setattr(plots, "get_ipython", lambda: None)
    monkeypatch.setattr(InteractiveShell, "instance", refuse)
    plots.use_style()


@pytest.mark.parametrize(("axis", "drawn"), [("x", (True, False)), ("y", (False, True))])
def test_the_grid_lies_behind_the_data_on_one_axis(axis, drawn):
    axes = plt.figure().subplots()
    assert plots.grid(axes, axis) is axes
    lines = [axes.get_xgridlines()[0], axes.get_ygridlines()[0]]
    assert tuple(line.get_visible() for line in lines) == drawn
    assert axes.get_axisbelow() is True


def test_a_timeline_has_a_tick_and_a_bar_per_date_with_the_first_row_on_top():
    days = [pd.Timestamp(day) for day in ("2017-06-01", "2017-07-01", "2017-09-01")]
    figure = plots.timeline({"train": days[:2], "test": days[2:]}, 28, days[1])
    (axes,) = figure.axes
    bars = [(bar.get_x(), bar.get_width(), bar.get_y() + 0.25) for bar in axes.patches]
    starts = date2num(days)
    expected = [(starts[2], 28, 0), (starts[0], 28, 1), (starts[1], 28, 1)]
    np.testing.assert_allclose(sorted(bars, key=lambda bar: bar[2]), expected)
    assert [label.get_text() for label in axes.get_yticklabels()] == ["test", "train"]
    *ticks, mark = axes.lines
    at = [date2num(tick.get_xdata())[0] for tick in ticks]
    assert sorted(at) == starts.tolist()
    assert date2num(mark.get_xdata())[0] == starts[1]
    assert len({to_hex(tick.get_color()) for tick in ticks}) == 2


def test_learning_curves_count_epochs_from_one_and_mark_the_least():
    train, validation = [0.9, 0.5, 0.3, 0.2], [0.8, 0.6, 0.5, 0.7]
    (axes,) = plots.learning_curves(train, validation, unit="bits").axes
    learned, held_out, mark = axes.lines
    assert list(learned.get_xdata()) == list(held_out.get_xdata()) == [1, 2, 3, 4]
    assert list(learned.get_ydata()) == train
    assert list(held_out.get_ydata()) == validation
    assert mark.get_xdata()[0] == 3
    assert axes.get_ylabel() == "loss (bits)"


def test_intervals_draw_each_value_between_its_ends():
    points = pd.DataFrame({"AP": [0.2, 0.4], "AUC": [0.6, 0.8]}, index=["naive", "deep"])
    figure = plots.intervals(points, points - 0.1, points + 0.05, COLORS)
    assert [axes.get_xlabel() for axes in figure.axes] == ["AP", "AUC"]
    for axes, column in zip(figure.axes, points, strict=True):
        for row, name in enumerate(points.index):
            span, dot = axes.lines[2 * row : 2 * row + 2]
            value = points.loc[name, column]
            np.testing.assert_allclose(span.get_xdata(), [value - 0.1, value + 0.05])
            assert (*dot.get_xdata(), *dot.get_ydata()) == (value, row)
            assert to_hex(dot.get_color()) == to_hex(span.get_color()) == COLORS[name]
    names = [label.get_text() for label in figure.axes[0].get_yticklabels()]
    assert names == ["naive", "deep"]


def test_clusters_draw_each_group_with_a_colour_and_a_shape_of_its_own():
    rng = np.random.default_rng(0)
    dots, group = rng.normal(size=(50, 2)), rng.integers(0, 3, 50)
    figure = plots.clusters(dots, group, {2: "two", 0: "none", 1: "one"})
    (axes,), (legend,) = figure.axes, figure.legends
    for drawn, key in zip(axes.collections, (2, 0, 1), strict=True):
        np.testing.assert_array_equal(drawn.get_offsets(), dots[group == key])
    assert [text.get_text() for text in legend.get_texts()] == ["two", "none", "one"]
    looks = {(to_hex(c.get_facecolor()[0]), len(c.get_paths()[0])) for c in axes.collections}
    assert len(looks) == 3
    assert len({len(c.get_paths()[0].vertices) for c in axes.collections}) > 1


def test_a_heatmap_has_one_cell_per_number_and_a_name_per_row():
    values = np.arange(6.0).reshape(2, 3)
    axes, scale = plots.heatmap(values, ["a", "b"], "weeks", unit="orders").axes
    assert scale.get_ylabel() == "orders"
    (image,) = axes.images
    np.testing.assert_array_equal(image.get_array(), values)
    assert [label.get_text() for label in axes.get_yticklabels()] == ["a", "b"]
    assert axes.get_xlabel() == "weeks"
    assert image.get_cmap().name == plots.MAP
    brightness = [sum(np.multiply(image.get_cmap()(at)[:3], TO_XYZ[1])) for at in (0, 0.5, 1.0)]
    assert brightness == sorted(brightness)
