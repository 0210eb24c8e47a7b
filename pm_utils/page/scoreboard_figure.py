"""The scoreboard's figure: models on their own scales, seeds beside them, learning curves below."""

import textwrap
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, MaxNLocator, NullFormatter

from pm_utils.page.evidence import RowEvidence
from pm_utils.page.plots import COLORS, grid
from pm_utils.page.scoreboard_row import Row

MARKERS = {"null": "X", "naive": "s", "classical": "D", "deep": "o", "limit": "|"}


def draw_scoreboard(
    rows: Sequence[Row],
    evidence: Sequence[RowEvidence | None],
    curves: Mapping[str, tuple[Sequence[float], str]],
) -> Figure:
    """Draw rows, each on its own scale, with their seeds, and learning curves.

    Parameters
    ----------
    rows : sequence of Row
        At least one.
    evidence : sequence of RowEvidence or None
        What the seeds say of each.
    curves : mapping
        By the network's name its loss after each check of its training, and on which rows that
        is: ``"validation"`` or ``"training"``.

    Returns
    -------
    matplotlib.figure.Figure
        Two strips for each row, then the curves, two beside each other.

    Examples
    --------
    >>> from pm_utils.page.scoreboard_row import Row
    >>> from pm_utils.page.scoreboard_figure import draw_scoreboard
    >>> row = Row("log loss", "nats", "lower", naive=0.69, classical=0.41, deep=0.42)
    >>> len(draw_scoreboard([row], [None], {"network": ([0.6, 0.5, 0.42], "validation")}).axes)
    4
    """
    strips, below = len(rows), -(-len(curves) // 2)
    height = 0.55 + 1.0 * strips + 1.6 * below  # inches: a strip of 0.3, its title, its scale
    figure = plt.figure(figsize=(7, height), layout="none")
    edges = {"left": 0.03, "right": 0.97, "top": 1 - 0.8 / height}
    bottom = (0.3 + 1.6 * below) / height
    shape = {"width_ratios": [3, 2], "hspace": 0.7 / 0.3, "wspace": 0.1}
    grid_of_strips = figure.add_gridspec(strips, 2, **edges, bottom=bottom, **shape)
    for at, (row, found) in enumerate(zip(rows, evidence, strict=True)):
        _draw_strip(figure.add_subplot(grid_of_strips[at, 0]), row)
        _draw_gains(figure.add_subplot(grid_of_strips[at, 1]), row, found)
    first = figure.axes[0]
    if below:
        edges = {"left": 0.08, "right": 0.97, "bottom": 0.45 / height}
        top = (1.6 * below - 0.55) / height
        shape = {"hspace": 0.85 / 0.75, "wspace": 0.25}
        grid_of_curves = figure.add_gridspec(below, 2, **edges, top=top, **shape)
        for at, (name, (losses, of)) in enumerate(curves.items()):
            _draw_curve(figure.add_subplot(grid_of_curves[at // 2, at % 2]), name, losses, of)
        if len(curves) % 2:
            figure.add_subplot(grid_of_curves[below - 1, 1]).set_axis_off()
    shown = [name for name in MARKERS if any(name in _shown(row) for row in rows)]
    handles = [_marker(first, [], [], name) for name in shown]
    figure.legend(handles, shown, loc="upper center", ncols=len(shown))
    return figure


def _marker(axes: Axes, x: list[float], y: list[float], name: str) -> Any:
    style = {"markersize": 22, "markeredgewidth": 2.5} if name == "limit" else {"markersize": 8}
    marker = MARKERS[name]
    (handle,) = axes.plot(x, y, marker=marker, linestyle="", color=COLORS[name], **style)
    return handle


def _draw_strip(axes: Axes, row: Row) -> None:
    title = f"{row.metric} ({row.unit}, {row.better} is better)"
    if _distances(row):
        title = f"{row.metric}: {row.unit} short of the limit, {row.limit:.4g}"
        _log_scale(axes, _shown(row).values())
    for name, value in _shown(row).items():
        _marker(axes, [value], [0], name)
    axes.set_title(textwrap.fill(title, 52), fontsize=9)
    axes.set_yticks([])
    axes.spines["left"].set_visible(False)
    axes.margins(x=0.08)
    grid(axes, "x")


def _log_scale(axes: Axes, values: Iterable[float]) -> None:
    """Make the axis logarithmic, with as many plain labels as it has room for."""
    decades = np.ptp(np.log10(list(values)))
    axes.set_xscale("log")
    axes.xaxis.set_major_locator(LogLocator(subs=(1.0,) if decades > 1.5 else (1.0, 2.0, 5.0)))
    axes.xaxis.set_major_formatter("{x:g}")
    axes.xaxis.set_minor_formatter(NullFormatter())


def _shown(row: Row) -> dict[str, float]:
    """Return where each model's mark stands."""
    known = {name: getattr(row, name) for name in MARKERS if getattr(row, name) is not None}
    return _distances(row) or known


def _distances(row: Row) -> dict[str, float]:
    """Return how far each model is from the limit; nothing without a limit, or where one passes."""
    if row.limit is None:
        return {}
    sign = 1 if row.better == "higher" else -1
    known = {name: getattr(row, name) for name in MARKERS if name != "limit"}
    found = {name: sign * (row.limit - value) for name, value in known.items() if value is not None}
    return found if found and min(found.values()) > 0 else {}


def _draw_gains(axes: Axes, row: Row, found: RowEvidence | None) -> None:
    """Draw by how much deep is better than classical: this run and, as rings, each seed."""
    axes.set_yticks([])
    axes.spines["left"].set_visible(False)
    if row.deep is None or row.classical is None:
        axes.set_axis_off()
        return
    sign = 1 if row.better == "higher" else -1
    gains = (found.gains() if found else None) or []
    ring = {"marker": "o", "linestyle": "", "markerfacecolor": "none", "markersize": 8}
    axes.plot(gains, [0.0] * len(gains), color=COLORS["deep"], **ring)
    axes.plot(sign * (row.deep - row.classical), 0, "o", color=COLORS["deep"], markersize=5)
    axes.axvline(0, color=COLORS["classical"], linewidth=1)
    axes.set_title("gain of deep over classical", fontsize=9)
    axes.margins(x=0.12)
    axes.xaxis.set_major_locator(MaxNLocator(3))  # more labels than that run into each other
    grid(axes, "x")


def _draw_curve(axes: Axes, name: str, losses: Sequence[float], of: str) -> None:
    """Draw a network's loss over the share of its training that is done."""
    done = np.arange(1, len(losses) + 1) / len(losses)
    axes.plot(done, losses, color=COLORS["deep"])
    axes.set_title(textwrap.fill(f"{name} ({of} rows)" if of else name, 40), fontsize=9)
    axes.set_xlabel("share of the training")
    axes.set_xlim(0, 1)
    axes.yaxis.set_major_locator(MaxNLocator(3))
    grid(axes)
