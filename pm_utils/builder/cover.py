"""Draw the book's cover, its mark and the closed loop as vector files.

The drawings hold no result, so they are committed in ``book/_static``. Draw them again with
``python -m pm_utils.builder.cover``.
"""

import argparse
from collections.abc import Callable
from pathlib import Path

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Circle, FancyArrowPatch, FancyBboxPatch

from pm_utils.page.plots import COLORS, INK, use_style

STATIC = Path(__file__).parents[2] / "book" / "_static"
TITLE = ("Precision Marketing", "with Deep Learning")
SUBTITLE = ("an executable book: every", "model scored against its limit")
STATIONS = (
    ("Profile", "who is\nthis customer?"),
    ("Create", "what shall\nwe say?"),
    ("Target", "whom do\nwe address?"),
    ("Measure", "what did\nit change?"),
)


def sunflower(count: int, radius: float = 1.0) -> np.ndarray:
    """Spread points evenly over a disc, as the seeds of a sunflower are.

    Parameters
    ----------
    count : int
        How many points.
    radius : float
        The disc's radius.

    Returns
    -------
    array of shape (count, 2)
        Points inside the disc, from the centre outwards.

    References
    ----------
    Vogel (1979), "A better way to construct the sunflower head", Mathematical Biosciences 44.

    Examples
    --------
    >>> import numpy as np
    >>> from pm_utils.builder.cover import sunflower
    >>> points = sunflower(4, radius=2.0)
    >>> np.hypot(*points.T).round(2).tolist()  # rings of equal area
    [0.71, 1.22, 1.58, 1.87]
    """
    k = np.arange(count)
    distance = radius * np.sqrt((k + 0.5) / count)
    angle = k * np.pi * (3 - np.sqrt(5))  # the golden angle
    return distance[:, None] * np.column_stack([np.cos(angle), np.sin(angle)])


def cover() -> Figure:
    """Draw the cover: all customers, the few that we address, and the limit around them.

    Returns
    -------
    matplotlib.figure.Figure
        The disc on the left, the title on the right.
    """
    figure, axes = _canvas(width=9, height=3.6)
    axes.set_xlim(-1.4, 4.6)
    axes.set_ylim(-1.2, 1.2)
    _disc(axes, count=620, dot=9)
    for line, text in enumerate(TITLE):
        axes.text(1.45, 0.38 - 0.42 * line, text, fontsize=26, weight="bold", va="center")
    for line, text in enumerate(SUBTITLE):
        axes.text(1.46, -0.48 - 0.24 * line, text, fontsize=17, va="center")
    return figure


def mark() -> Figure:
    """Draw the small sign that stands in the sidebar and in the browser's tab."""
    figure, axes = _canvas(width=1, height=1)
    axes.set_xlim(-1.2, 1.2)
    axes.set_ylim(-1.2, 1.2)
    _disc(axes, count=37, dot=14)
    return figure


def closed_loop() -> Figure:
    """Draw the four stations of precision marketing and the way back to the first.

    Returns
    -------
    matplotlib.figure.Figure
        Four boxes in a row, arrows between them, and one arrow from the last to the first.
    """
    figure, axes = _canvas(width=7, height=2.6)
    axes.set_xlim(-0.46, 3.46)
    axes.set_ylim(-0.96, 0.496)
    colors = (COLORS["deep"], COLORS["classical"], COLORS["null"], COLORS["limit"])
    for x, ((name, question), color) in enumerate(zip(STATIONS, colors, strict=True)):
        _station(axes, x, name, question, color)
    for x in range(len(STATIONS) - 1):
        _arrow(axes, (x + 0.42, 0), (x + 0.58, 0))
    _arrow(axes, (3, -0.4), (0, -0.4), bend=-0.14)
    axes.text(1.5, -0.8, "what was measured teaches the next round", ha="center", fontsize=10)
    return figure


DRAWINGS: dict[str, Callable[[], Figure]] = {
    "cover.svg": cover,
    "mark.svg": mark,
    "closed-loop.svg": closed_loop,
}


def draw_cover(directory: Path = STATIC) -> list[Path]:
    """Write every drawing as SVG.

    Parameters
    ----------
    directory : pathlib.Path
        An existing directory.

    Returns
    -------
    list of pathlib.Path
        The files, each the same bytes whenever it is drawn.

    Raises
    ------
    FileNotFoundError
        When the directory is not there.
    """
    directory = Path(directory)
    if not directory.is_dir():
        raise FileNotFoundError(f"{directory} is no directory: create it first")
    paths = []
    with mpl.rc_context():
        use_style()
        for name, drawing in DRAWINGS.items():
            paths.append(directory / name)
            drawing().savefig(paths[-1], metadata={"Date": None, "Creator": None})
    return paths


def main(arguments: list[str] | None = None) -> None:
    """Draw from the command line and name what was written."""
    parser = argparse.ArgumentParser(description="Draw the book's cover, mark and closed loop.")
    parser.add_argument("directory", nargs="?", type=Path, default=STATIC)
    for path in draw_cover(parser.parse_args(arguments).directory):
        print(path)


def _canvas(width: float, height: float) -> tuple[Figure, Axes]:
    figure = Figure(figsize=(width, height), layout="none")
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set_axis_off()
    axes.set_aspect("equal")
    return figure, axes


def _disc(axes: Axes, count: int, dot: float) -> None:
    points = sunflower(count)
    angle = np.arctan2(points[:, 1], points[:, 0])
    addressed = (angle > np.pi / 6) & (angle < np.pi / 2)
    axes.scatter(*points[~addressed].T, s=dot, color=INK, alpha=0.7, linewidths=0)
    axes.scatter(*points[addressed].T, s=1.6 * dot, color=COLORS["deep"], linewidths=0)
    axes.add_patch(Circle((0, 0), 1.1, fill=False, color=COLORS["limit"], lw=1.6, ls=(0, (5, 3))))


def _station(axes: Axes, x: float, name: str, question: str, color: str) -> None:
    box = FancyBboxPatch(
        (x - 0.38, -0.32), 0.76, 0.64, boxstyle="round,pad=0,rounding_size=0.08",
        facecolor="none", edgecolor=color, linewidth=2,
    )  # fmt: skip
    axes.add_patch(box)
    axes.text(x, 0.16, name, ha="center", va="center", fontsize=14, weight="bold")
    axes.text(x, -0.12, question, ha="center", va="center", fontsize=10)


def _arrow(
    axes: Axes, start: tuple[float, float], end: tuple[float, float], bend: float = 0.0
) -> None:
    style = {"arrowstyle": "-|>", "mutation_scale": 14, "linewidth": 1.6, "color": INK}
    curve = f"arc3,rad={bend}"
    axes.add_patch(
        FancyArrowPatch(start, end, connectionstyle=curve, shrinkA=0, shrinkB=0, **style)
    )


if __name__ == "__main__":
    main()
