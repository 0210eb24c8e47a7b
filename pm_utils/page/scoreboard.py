"""The scoreboard that ends every chapter: each model beside its null and its limit."""

import json
import math
import os
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
from IPython.display import Markdown
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from pm_utils.page import artifacts
from pm_utils.page.plots import COLORS, grid

FILE = "scoreboard.json"
COLUMNS = ("null", "naive", "classical", "deep", "limit")
MARKERS = {"null": "X", "naive": "s", "classical": "D", "deep": "o", "limit": "|"}


@dataclass(frozen=True)
class Row:
    """One metric of a chapter; a model that does not exist is None.

    Attributes
    ----------
    metric, unit : str
        What is measured and in what.
    better : {"higher", "lower"}
        Which direction is better.
    naive, classical, deep : float or None
        A predictor without a model, the best well-kept library, the network.
    limit : float or None
        What no model can pass, where it is known.
    null : float or None
        The network trained on shuffled labels.
    headline : bool
        Whether the preface shows the row.

    Examples
    --------
    >>> from pm_utils.page.scoreboard import Row
    >>> Row("log loss", "nats", "lower", naive=0.69, classical=0.41, deep=0.42).best()
    'classical'
    """

    metric: str
    unit: str
    better: str
    naive: float | None = None
    classical: float | None = None
    deep: float | None = None
    limit: float | None = None
    null: float | None = None
    headline: bool = False

    def __post_init__(self) -> None:
        """Check the direction and that every value is a finite number or None."""
        if self.better not in ("higher", "lower"):
            raise ValueError(f"{self.metric}: better is {self.better!r}, give 'higher' or 'lower'")
        for column in COLUMNS:
            value = getattr(self, column)
            if value is not None and not math.isfinite(value):
                raise ValueError(
                    f"{self.metric}: {column} is {value}, give a finite number or None"
                )

    def best(self) -> str | None:
        """Return which of naive, classical and deep is best, None where none is known."""
        known = {name: getattr(self, name) for name in ("naive", "classical", "deep")}
        known = {name: value for name, value in known.items() if value is not None}
        if not known:
            return None
        return (max if self.better == "higher" else min)(known, key=known.__getitem__)


class Scoreboard:
    """Collect a chapter's rows, draw them and save them.

    Explained in chapter ``formulas``.

    Parameters
    ----------
    chapter : str
        The notebook's name without its suffix, as in ``"03-customer-profile"``.
    seed : int
        The seed that the figures were made with.

    Examples
    --------
    >>> from pm_utils.page.scoreboard import Scoreboard
    >>> board = Scoreboard("01-formulas", seed=0)
    >>> board.add("log loss", unit="nats", better="lower", naive=0.5, deep=0.4, limit=0.39)
    >>> board.rows[0].best()
    'deep'
    """

    def __init__(self, chapter: str, *, seed: int) -> None:
        self.chapter = chapter
        self.seed = int(seed)
        self.rows: list[Row] = []
        self.claims: list[dict[str, str]] = []

    def add(
        self,
        metric: str,
        *,
        unit: str,
        better: str,
        naive: float | None = None,
        classical: float | None = None,
        deep: float | None = None,
        limit: float | None = None,
        null: float | None = None,
        headline: bool = False,
    ) -> None:
        """Record a metric; see `Row` for what each argument means.

        Raises
        ------
        ValueError
            When the metric is there already, the direction is unknown or a value is not finite.
        """
        if any(row.metric == metric for row in self.rows):
            raise ValueError(f"{self.chapter} already has a row {metric!r}: give each its own name")
        values = {"naive": naive, "classical": classical, "deep": deep, "limit": limit}
        numbers = {
            name: None if value is None else float(value)
            for name, value in (values | {"null": null}).items()
        }
        self.rows.append(Row(metric, unit, better, **numbers, headline=bool(headline)))

    def row(self, metric: str) -> Row:
        """Return the row of a metric.

        Raises
        ------
        KeyError
            When there is none.
        """
        for row in self.rows:
            if row.metric == metric:
                return row
        raise KeyError(f"{metric!r} is no row of {self.chapter}: {[r.metric for r in self.rows]}")

    def claim(self, metric: str, interval: tuple[float, float], *, level: float = 0.95) -> Markdown:
        """Say in one sentence how deep compares with classical; the result chooses the sentence.

        Parameters
        ----------
        metric : str
            A row that has been added.
        interval : (float, float)
            An interval for deep minus classical, in the metric's unit.
        level : float
            The confidence level that the interval was made at.

        Returns
        -------
        IPython.display.Markdown
            "…beats…" or "…loses to…" only where the interval excludes zero. What is claimed is
            saved with the rows, "above" meaning better in either direction; the tests hold it
            against ten seeds (``pm seeds``). A second claim on a metric replaces the first.

        Raises
        ------
        ValueError
            When deep or classical is missing, or the interval is upside down.
        """
        row = self.row(metric)
        if row.deep is None or row.classical is None:
            raise ValueError(f"{metric}: a claim compares deep with classical, and one is missing")
        low, high = map(float, interval)
        if not low <= high:
            raise ValueError(f"{metric}: the interval is ({low}, {high}), give the lower end first")
        rounding = 1e-9 * max(abs(low), abs(high))  # what sums of rounded numbers leave of a zero
        low, high = (0.0 if abs(end) < rounding else end for end in (low, high))
        gain = (low, high) if row.better == "higher" else (-high, -low)
        self.claims = [claim for claim in self.claims if claim["metric"] != metric]
        difference, least, most = _same_decimals(row.deep - row.classical, low, high)
        facts = (
            f"{_number(row.deep)} against {_number(row.classical)}, difference {difference}, "
            f"{level:.0%} interval {least} to {most}"
        )
        if gain[0] > 0:
            self.claims.append({"metric": metric, "claim": "deep above classical"})
            text = f"On {metric}, the deep model **beats** the classical one ({facts})."
        elif gain[1] < 0:
            self.claims.append({"metric": metric, "claim": "deep below classical"})
            text = f"On {metric}, the deep model **loses to** the classical one ({facts})."
        else:
            text = (
                f"On {metric}, the deep model and the classical one **cannot be told apart** "
                f"({facts}: the interval holds zero)."
            )
        return Markdown(text)

    def as_dict(self) -> dict[str, Any]:
        """Return what `save` writes."""
        return {
            "chapter": self.chapter,
            "profile": os.environ.get("PM_PROFILE", "quick"),
            "seed": self.seed,
            "claims": self.claims,
            "rows": [asdict(row) for row in self.rows],
        }

    def table(self) -> Markdown:
        """Return the rows as one table, the best of naive, classical and deep in bold."""
        return Markdown(markdown_table([self.as_dict()], headline_only=False))

    def figure(self) -> Figure:
        """Draw one strip per row with every model on the metric's own scale.

        Raises
        ------
        ValueError
            When there are no rows.
        """
        if not self.rows:
            raise ValueError(f"{self.chapter} has no row to draw: add one first")
        count = len(self.rows)
        height = 0.55 + 0.85 * count  # inches: a strip of 0.3, its title above, its scale below
        size = {"figsize": (7, height), "squeeze": False, "layout": "none"}
        figure, axes = plt.subplots(count, 1, **size)
        edges = {"left": 0.03, "right": 0.97, "bottom": 0.3 / height, "top": 1 - 0.8 / height}
        figure.subplots_adjust(**edges, hspace=0.55 / 0.3)
        for strip, row in zip(axes[:, 0], self.rows, strict=True):
            _draw_strip(strip, row)
        shown = [c for c in COLUMNS if any(getattr(r, c) is not None for r in self.rows)]
        handles = [_marker(axes[0, 0], [], [], name) for name in shown]
        figure.legend(handles, shown, loc="upper center", ncols=len(shown))
        return figure

    def save(self) -> Path:
        """Write the scoreboard as JSON into the chapter's output directory.

        Raises
        ------
        ValueError
            When there are no rows.
        """
        if not self.rows:
            raise ValueError(f"{self.chapter} has no row to save: add one first")
        return artifacts.save(FILE, self.as_dict())


def read_scoreboard(path: Path) -> dict[str, Any]:
    """Read a saved scoreboard and check its rows.

    Parameters
    ----------
    path : pathlib.Path
        A file that `Scoreboard.save` wrote.

    Returns
    -------
    dict
        ``chapter``, ``profile``, ``seed``, ``claims`` and ``rows``.

    Raises
    ------
    ValueError
        When the file is no JSON, or a field is missing or unknown, with the file's name.
    """
    try:
        board = json.loads(Path(path).read_text(encoding="utf-8"))
        for row in board["rows"]:
            Row(**row)
        for field in ("chapter", "profile", "seed", "claims"):
            board[field]
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(f"{path} is no scoreboard: {error}") from error
    return board


def markdown_table(boards: Iterable[dict[str, Any]], *, headline_only: bool = True) -> str:
    """Return the rows of scoreboards as one Markdown table.

    Parameters
    ----------
    boards : iterable of dict
        As `read_scoreboard` returns them. With more than one, a first column names the chapter.
    headline_only : bool
        Leave out the rows that are not headlines.

    Returns
    -------
    str
        A table; a dash stands where a value is not known, the best model is bold, an arrow
        says which direction is better. One sentence where there is no row.

    Examples
    --------
    >>> from pm_utils.page.scoreboard import Scoreboard, markdown_table
    >>> board = Scoreboard("01-formulas", seed=0)
    >>> board.add("log loss", unit="nats", better="lower", naive=0.5, deep=0.4, limit=0.39)
    >>> print(markdown_table([board.as_dict()], headline_only=False), end="")
    | metric | unit | null | naive | classical | deep | limit |
    | --- | --- | ---: | ---: | ---: | ---: | ---: |
    | log loss ↓ | nats | – | 0.5000 | – | **0.4000** | 0.3900 |
    """
    boards = list(boards)
    rows = [
        (board["chapter"], Row(**row))
        for board in boards
        for row in board["rows"]
        if row["headline"] or not headline_only
    ]
    if not rows:
        return "No chapter has recorded a result yet.\n"
    first = ["chapter"] if headline_only else []
    header = [*first, "metric", "unit", *COLUMNS]
    align = ["---"] * (len(first) + 2) + ["---:"] * len(COLUMNS)
    lines = [header, align]
    for chapter, row in rows:
        link = [f"[{chapter}](chapters/{chapter}.ipynb)"] if headline_only else []
        lines.append([*link, f"{row.metric} {_ARROW[row.better]}", row.unit, *_cells(row)])
    return "\n".join("| " + " | ".join(line) + " |" for line in lines) + "\n"


_ARROW = {"higher": "↑", "lower": "↓"}


def _cells(row: Row) -> list[str]:
    cells = {name: _number(getattr(row, name)) for name in COLUMNS}
    if best := row.best():
        cells[best] = f"**{cells[best]}**"
    return list(cells.values())


def _same_decimals(*values: float) -> list[str]:
    """Write signed values with equally many decimals: three digits of the largest.

    Up to three more are shown where a value would otherwise read as zero without being it.
    """
    largest = max(map(abs, values))
    plain = max(2 - math.floor(math.log10(largest)), 0) if 0 < largest < math.inf else 2
    decimals = plain
    while decimals < plain + 3 and any(value and not round(value, decimals) for value in values):
        decimals += 1
    return [f"{value + 0.0:+,.{decimals}f}" for value in values]


def _number(value: float | None) -> str:
    if value is None:
        return "–"
    if value != 0 and not 1e-3 <= abs(value) < 1e6:
        return f"{value:.2e}"
    if 0 < abs(value) < 0.01:
        return f"{value:.3g}"
    return f"{value:,.2f}" if abs(value) >= 10 else f"{value:.4f}"


def _marker(axes: Axes, x: list[float], y: list[float], name: str) -> Any:
    style = {"markersize": 22, "markeredgewidth": 2.5} if name == "limit" else {"markersize": 8}
    marker = MARKERS[name]
    (handle,) = axes.plot(x, y, marker=marker, linestyle="", color=COLORS[name], **style)
    return handle


def _draw_strip(axes: Axes, row: Row) -> None:
    for name in COLUMNS:
        if (value := getattr(row, name)) is not None:
            _marker(axes, [value], [0], name)
    axes.set_title(f"{row.metric} ({row.unit}, {row.better} is better)", fontsize=10)
    axes.set_yticks([])
    axes.spines["left"].set_visible(False)
    axes.margins(x=0.08)
    grid(axes, "x")
