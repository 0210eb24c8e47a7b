"""One look for every figure: vector output, colour-blind safe, legible on light and dark pages.

Figures are transparent. Every colour has a contrast of at least 3 : 1 against both a white page and
the dark theme's background, so one drawing serves both (`contrast` computes it, a test holds it).
The hues are drawn from the palette of Okabe and Ito, darkened where needed. Text needs 4.5 : 1,
which no grey has on both: ink has it on white, as in a notebook, and the book's pages draw ink in
the colour of their theme.
"""

from collections.abc import Sequence

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from IPython import get_ipython
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.dates import ConciseDateFormatter
from matplotlib.figure import Figure

from pm_utils import inputs

INK = "#767676"
COLORS = {
    "naive": "#8c8c8c",
    "classical": "#c77c02",
    "deep": "#0077bb",
    "limit": "#0f8f6a",
    "null": "#b8659a",
    "ink": INK,
}
CYCLE = ["#0077bb", "#c77c02", "#0f8f6a", "#cf5c1d", "#b8659a", "#3b93c4", "#8a7d00", "#8c8c8c"]
MAP = "cividis"
DARK_PAGE = "#121212"


def use_style() -> None:
    """Set matplotlib up for the book: SVG in notebooks, transparent, the book's colours.

    Explained in chapter ``formulas``.
    """
    mpl.rcParams.update(
        {
            "figure.figsize": (7.0, 3.4),
            "figure.facecolor": "none",
            "figure.constrained_layout.use": True,
            "savefig.facecolor": "none",
            "savefig.dpi": 160,
            "savefig.transparent": True,
            "svg.fonttype": "path",
            "svg.hashsalt": "precision-marketing",
            "axes.facecolor": "none",
            "axes.edgecolor": INK,
            "axes.labelcolor": INK,
            "axes.titlecolor": INK,
            "axes.titlesize": 11,
            "axes.titlelocation": "left",
            "axes.labelsize": 10,
            "axes.spines.top": False,
            "axes.spines.right": False,
            "axes.axisbelow": True,
            "axes.prop_cycle": mpl.cycler(color=CYCLE),
            "text.color": INK,
            "xtick.color": INK,
            "ytick.color": INK,
            "xtick.labelsize": 9,
            "ytick.labelsize": 9,
            "legend.frameon": False,
            "legend.fontsize": 9,
            "lines.linewidth": 1.8,
            "image.cmap": MAP,
            "font.size": 10,
        }
    )
    if get_ipython() is not None:  # in a notebook
        from matplotlib_inline.backend_inline import set_matplotlib_formats

        # Without a date one figure gives the same bytes. The layout fills the figure: no cropping,
        # for which every figure would be drawn twice.
        set_matplotlib_formats("svg", metadata={"Date": None}, bbox_inches=None)


def contrast(color: str, background: str) -> float:
    """Return the contrast ratio of two colours, 1 (equal) to 21 (black on white).

    Parameters
    ----------
    color, background : str
        Any colour that matplotlib knows.

    Returns
    -------
    float

    References
    ----------
    Web Content Accessibility Guidelines 2.2, "contrast ratio" and "relative luminance".

    Examples
    --------
    >>> from pm_utils.page.plots import contrast
    >>> contrast("white", "black")
    21.0
    """

    def luminance(name: str) -> float:
        rgb = np.array(to_rgb(name))
        linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
        return float(linear @ [0.2126, 0.7152, 0.0722])

    light, dark = sorted((luminance(color), luminance(background)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def grid(axes: Axes, axis: str = "y") -> Axes:
    """Draw faint grid lines behind the data and return the axes.

    Explained in chapter ``formulas``.
    """
    axes.grid(True, axis=axis, color=INK, alpha=0.25, linewidth=0.6)
    return axes


def timeline(spans: dict[str, Sequence[pd.Timestamp]], days: int, mark: pd.Timestamp) -> Figure:
    """Draw dates as ticks, the days that each looks ahead as bars, and one marked day.

    Explained in chapter ``data-preparation``.

    Parameters
    ----------
    spans : dict
        The dates of each row, the top row first.
    days : int
        How far each date looks ahead.
    mark : date
        Drawn as a dotted line.
    """
    figure, axes = plt.subplots(figsize=(7, 0.6 + 0.4 * len(spans)))
    for row, dates in enumerate(reversed(spans.values())):
        color = CYCLE[row % len(CYCLE)]
        for date in dates:
            axes.barh(row, pd.Timedelta(days=days), left=date, height=0.5, alpha=0.45, color=color)
            axes.plot(date, row, "|", markersize=14, color=color)
    axes.set_yticks(range(len(spans)), list(reversed(spans)))
    axes.axvline(mark, linestyle=":", color=INK)
    axes.xaxis.set_major_formatter(ConciseDateFormatter(axes.xaxis.get_major_locator()))
    return figure


def learning_curves(
    train: Sequence[float], validation: Sequence[float], *, unit: str = "nats"
) -> Figure:
    """Draw the loss after each epoch on learned and on held-out rows, and mark the least.

    Explained in chapter ``customer-profile``.
    """
    figure, axes = plt.subplots(figsize=(7, 2.6))
    epochs = np.arange(1, len(train) + 1)
    axes.plot(epochs, train, label="rows it learns from", color=COLORS["naive"])
    axes.plot(epochs, validation, label="held-out rows", color=COLORS["deep"])
    axes.axvline(epochs[int(np.argmin(validation))], linestyle=":", color=INK)
    axes.set(xlabel="epoch", ylabel=f"loss ({unit})")
    axes.legend()
    return figure


def intervals(
    points: pd.DataFrame, low: pd.DataFrame, high: pd.DataFrame, colors: dict[str, str]
) -> Figure:
    """Draw one panel per column, two beside each other, and one dot with its interval per row.

    Explained in chapter ``customer-profile``.

    Parameters
    ----------
    points, low, high : DataFrames of one shape
        Values and the ends of their intervals; the first row is drawn at the bottom.
    colors : dict
        A colour for each row.
    """
    across = min(2, points.shape[1])
    down = -(-points.shape[1] // across)
    height = down * (0.6 + 0.28 * len(points))
    figure, axes = plt.subplots(down, across, figsize=(7, height), sharey=True, squeeze=False)
    for panel, column in zip(axes.flat, points, strict=False):
        for row, name in enumerate(points.index):
            ends = [low.loc[name, column], high.loc[name, column]]
            panel.plot(ends, [row, row], color=colors[name])
            panel.plot(points.loc[name, column], row, "o", color=colors[name])
        panel.set(yticks=range(len(points)), yticklabels=points.index, xlabel=column)
        grid(panel, "x")
    return figure


def clusters(dots: np.ndarray, group: np.ndarray, names: dict[int, str]) -> Figure:
    """Draw dots on a plane, coloured and marked by group, with the groups' names below.

    Explained in chapter ``customer-profile``.

    Parameters
    ----------
    dots : array of shape (N, 2)
    group : array of shape (N,)
        Each dot's group.
    names : dict
        The name of each group, in the order of the legend.

    Raises
    ------
    ValueError
        When a dot is not finite, or dots and groups cannot be matched by their index.
    """
    dots, group = inputs.aligned(dots=dots, group=group)
    dots, group = inputs.numbers(dots, "dots", ndim=2), inputs.plain(group)
    figure, axes = plt.subplots(figsize=(7, 4.8))
    for number, (key, name) in enumerate(names.items()):
        color, marker = CYCLE[number % len(CYCLE)], "osD^vPX*"[number % 8]
        held = dots[group == key]
        axes.scatter(*held.T, s=9, marker=marker, linewidths=0, color=color, label=name)
        axes.collections[-1].set_rasterized(True)
    axes.set_axis_off()
    figure.legend(loc="outside lower center", ncols=2, markerscale=2.5)
    return figure


def heatmap(values: np.ndarray, rows: Sequence[str], label: str, *, unit: str) -> Figure:
    """Draw a table of numbers as cells: names for its rows, one label below, a scale beside.

    Explained in chapter ``customer-profile``.
    """
    figure, axes = plt.subplots(figsize=(7, 0.8 + 0.2 * len(rows)))
    cells = axes.imshow(values, aspect="auto", interpolation="nearest")
    axes.set_yticks(range(len(rows)), rows)
    axes.set_xlabel(label)
    figure.colorbar(cells, label=unit).outline.set_visible(False)
    return figure
