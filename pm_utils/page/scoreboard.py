"""The scoreboard that ends every chapter: each contender beside its null and its limit.

A chapter opens a contest (`pm_utils.page.contest`) for each of its tasks; each contest adds the
rows of its contenders. What may be said of deep against classical follows from the paired interval
of the run and from the seeds in ``evidence/``.
"""

import json
import math
import os
import statistics
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from IPython.display import Markdown
from matplotlib.figure import Figure

from pm_utils.page import artifacts
from pm_utils.page.contest import Contender, Contest
from pm_utils.page.evidence import DOUBLED, HALVED, Evidence, RowEvidence, read_evidence, verdict
from pm_utils.page.scoreboard_figure import draw_scoreboard
from pm_utils.page.scoreboard_row import COLUMNS, Row

FILE = "scoreboard.json"
LARGE = "full"  # the profile whose evidence is *published*
_COUNTS = ("steps", "rows")  # of a record of training
_SAID = {
    "beats": "the deep model **beats** the classical one",
    "loses": "the deep model **loses to** the classical one",
    "tie": "the deep model and the classical one **cannot be told apart**",
    "undertrained": "the deep model is **undertrained**, so nothing is said of it",
}


class Scoreboard:
    """Collect a chapter's contenders and rows, draw them and save them.

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
    >>> clicks = board.contest("clicks", chosen_by="log loss, held out", better="lower")
    >>> clicks.enter("mean", "naive", test={"log loss": 0.5}, validation=0.51)
    >>> clicks.enter("logistic", "classical", test={"log loss": 0.42}, validation=0.41)
    >>> clicks.enter("network", "deep", test={"log loss": 0.4}, validation=0.4)
    >>> clicks.add("log loss", unit="nats", better="lower", limit=0.39, limit_is="exact")
    >>> board.rows[0].deep, board.rows[0].names["classical"]
    (0.4, 'logistic')
    """

    def __init__(self, chapter: str, *, seed: int) -> None:
        self.chapter = chapter
        self.seed = int(seed)
        self.contenders: list[Contender] = []
        self.rows: list[Row] = []
        self.claims: list[dict[str, Any]] = []
        self._evidence = read_evidence(chapter, self.profile)

    @property
    def profile(self) -> str:
        """The profile of this run."""
        return os.environ.get("PM_PROFILE", "quick")

    def contest(self, name: str, *, chosen_by: str, better: str) -> Contest:
        """Open a contest; see `Contest` for what each argument means."""
        return Contest(self, name, chosen_by=chosen_by, better=better)

    def add(self, row: Row) -> None:
        """Add a row; chapters do so by `Contest.add`, which fills it with contenders.

        Raises
        ------
        ValueError
            When the metric is there already.
        """
        if any(one.metric == row.metric for one in self.rows):
            raise ValueError(
                f"{self.chapter} already has a row {row.metric!r}: give each its own name"
            )
        self.rows.append(row)

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

    def evidence(self, metric: str) -> RowEvidence | None:
        """Return what the seeds say of a metric, None where they were not run."""
        return self._evidence.rows.get(metric) if self._evidence else None

    def claim(self, metric: str, interval: tuple[float, float], *, level: float = 0.95) -> Markdown:
        """Say in one sentence how deep compares with classical; the evidence chooses the sentence.

        Parameters
        ----------
        metric : str
            A row that has been added.
        interval : (float, float)
            A paired interval for deep minus classical, in the metric's unit.
        level : float
            The confidence level that the interval was made at.

        Returns
        -------
        IPython.display.Markdown
            "…beats…" or "…loses to…" only where the interval excludes zero and the seeds bear it
            out (`pm_utils.page.evidence.verdict`). A second claim on a metric replaces the first.

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
        found = self.evidence(metric)
        said = verdict(gain, found)
        self.claims = [claim for claim in self.claims if claim["metric"] != metric]
        fact = {"metric": metric, "verdict": said, "interval": [low, high], "level": level}
        self.claims.append(fact)
        difference, least, most = _same_decimals(row.deep - row.classical, low, high)
        facts = (
            f"{_number(row.deep)} against {_number(row.classical)}, difference {difference}, "
            f"{level:.0%} interval {least} to {most}"
        )
        if said == "tie":
            zero = low <= 0 <= high
            why = "the interval holds zero" if zero else "the seeds do not bear it out"
            facts += f": {why}"
        return Markdown(f"On {metric}, {_SAID[said]} ({facts}{_seeds_said(found)}).")

    def verdict(self, metric: str) -> str:
        """Return the verdict of a claim that was made: what a computed conclusion turns on.

        Returns
        -------
        {"beats", "loses", "tie", "undertrained"}

        Raises
        ------
        KeyError
            When nothing was claimed of the metric.
        """
        for claim in self.claims:
            if claim["metric"] == metric:
                return claim["verdict"]
        raise KeyError(f"nothing was claimed of {metric!r} in {self.chapter}: call claim first")

    def as_dict(self) -> dict[str, Any]:
        """Return what `save` writes."""
        return {
            "chapter": self.chapter,
            "profile": self.profile,
            "seed": self.seed,
            "claims": self.claims,
            "rows": [asdict(row) for row in self.rows],
            "contenders": [asdict(one) for one in self.contenders],
        }

    def table(self) -> Markdown:
        """Return the rows as one table, the winner bold where evidence supports one.

        Below it stands how the networks of the headline rows were trained, where they say so.
        """
        trained = self._training_table()
        shown = markdown_table([self.as_dict()], headline_only=False)
        return Markdown(f"{shown}\n{trained}" if trained else shown)

    def _trained(self) -> list[tuple[Row, Contender]]:
        """Return each headline row with the network that stands in it, where that has a record."""
        by_name = {(one.contest, one.name): one for one in self.contenders if one.training}
        found = [(row, by_name.get((row.contest, row.names.get("deep")))) for row in self.rows]
        return [(row, one) for row, one in found if row.headline and one]

    def _training_table(self) -> str:
        """Return one line per headline row: what its network was given, and whether it sufficed."""
        header = ["headline row", "network", "steps", "rows seen", "units that switch"]
        header += ["against naive", "twice the steps", "half the data"]
        lines = [header, ["---", "---", *["---:"] * 6]]
        for row, one in self._trained():
            facts, found = one.training, self.evidence(row.metric)
            steps, rows = (f"{facts[name]:,}" if name in facts else "–" for name in _COUNTS)
            units = f"{facts['switching']:.0%}" if "switching" in facts else "–"
            sign = 1 if row.better == "higher" else -1
            better = row.naive is not None and sign * (row.deep - row.naive) > 0
            naive = "–" if row.naive is None else "better" if better else "**not better**"
            changes = [_change(found, variant) for variant in (DOUBLED, HALVED)]
            lines.append([row.metric, one.name, steps, rows, units, naive, *changes])
        if len(lines) == 2:
            return ""
        return "\n".join("| " + " | ".join(line) + " |" for line in lines) + "\n"

    def figure(self) -> Figure:
        """Draw the rows, the gain of deep over classical beside each, and how networks learned.

        The left strip shows every model: by its distance to the limit where there is one that
        nobody passes, on a logarithmic scale, so that good models can be told apart. The right one
        shows by how much deep is better than classical in this run (filled) and under each seed of
        the evidence (rings); left of the line it is worse. Below stand the learning curves of the
        networks in the headline rows.

        Raises
        ------
        ValueError
            When there are no rows.
        """
        if not self.rows:
            raise ValueError(f"{self.chapter} has no row to draw: add one first")
        learned = {(one.contest, one.name): one.training for _, one in self._trained()}
        curves = {
            f"{name}, {contest}": (facts["curve"], facts.get("curve_of", ""))
            for (contest, name), facts in learned.items()
            if len(facts.get("curve", [])) > 1
        }
        return draw_scoreboard(self.rows, [self.evidence(row.metric) for row in self.rows], curves)

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


def _seeds_said(found: RowEvidence | None) -> str:
    """Return what the seeds add to a claim, empty where there is nothing."""
    if found is None or found.gains() is None:
        return ""
    untried = "" if found.variants.get(DOUBLED) else "; twice the steps were not tried"
    return f"; ahead in {found.ahead()} of {len(found.seeds)} seeds{untried}"


def read_scoreboard(path: Path) -> dict[str, Any]:
    """Read a saved scoreboard and check its rows.

    Parameters
    ----------
    path : pathlib.Path
        A file that `Scoreboard.save` wrote.

    Returns
    -------
    dict
        ``chapter``, ``profile``, ``seed``, ``claims``, ``rows`` and ``contenders``.

    Raises
    ------
    ValueError
        When the file is no JSON, or a field is missing or unknown, with the file's name.
    """
    try:
        board = json.loads(Path(path).read_text(encoding="utf-8"))
        for row in board["rows"]:
            Row(**row)
        for field_name in ("chapter", "profile", "seed", "claims"):
            board[field_name]
        for one in board.setdefault("contenders", []):
            Contender(**one)
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
        A table; a dash stands where a value is not known, an arrow says which direction is better.
        Below each figure stands the contender's name, below the null its range over the seeds,
        below the limit what it is. A model is bold where a claim and the seeds call it the winner.
        *Seeds* is deep minus classical over the seeds, 95 % interval of the mean, and in how many
        deep is ahead; *published*, where the profile ``full`` has evidence, its means of both. One
        sentence where there is no row.

    Examples
    --------
    >>> from pm_utils.page.scoreboard import Scoreboard, markdown_table
    >>> from pm_utils.page.scoreboard_row import Row
    >>> board = Scoreboard("01-formulas", seed=0)
    >>> board.add(Row("log loss", "nats", "lower", naive=0.5, deep=0.4, limit=0.39))
    >>> print(markdown_table([board.as_dict() | {"chapter": "none"}], headline_only=False), end="")
    | metric | unit | null | naive | classical | deep | limit | seeds |
    | --- | --- | ---: | ---: | ---: | ---: | ---: | ---: |
    | log loss ↓ | nats | – | 0.5000 | – | 0.4000 | 0.3900 | – |
    """
    rows = [
        (board, Row(**row))
        for board in boards
        for row in board["rows"]
        if row["headline"] or not headline_only
    ]
    if not rows:
        return "No chapter has recorded a result yet.\n"
    first = ["chapter"] if headline_only else []
    large = {board["chapter"]: read_evidence(board["chapter"], LARGE) for board, _ in rows}
    last = ["published"] if any(large.values()) else []
    header = [*first, "metric", "unit", *COLUMNS, "seeds", *last]
    align = ["---"] * (len(first) + 2) + ["---:"] * (len(COLUMNS) + 1 + len(last))
    lines = [header, align]
    for board, row in rows:
        chapter = board["chapter"]
        link = [f"[{chapter}](chapters/{chapter}.ipynb)"] if headline_only else []
        known = read_evidence(chapter, board["profile"])
        found = known.rows.get(row.metric) if known else None
        verdicts = {claim["metric"]: claim["verdict"] for claim in board["claims"]}
        cells = _cells(row, found, verdicts.get(row.metric))
        cells += [_published(large[chapter], row.metric)] if last else []
        lines.append([*link, f"{row.metric} {_ARROW[row.better]}", row.unit, *cells])
    return "\n".join("| " + " | ".join(line) + " |" for line in lines) + "\n"


def examples(boards: Iterable[dict[str, Any]]) -> str:
    """Return one headline row that deep wins, one that it loses and one that nobody wins.

    Parameters
    ----------
    boards : iterable of dict
        As `read_scoreboard` returns them, in the order of the chapters.

    Returns
    -------
    str
        A Markdown list of at most three items: of each verdict the first headline row that has
        it. What was never the verdict has no item. One sentence where nothing was claimed.

    Examples
    --------
    >>> from pm_utils.page.scoreboard import Scoreboard, examples
    >>> from pm_utils.page.scoreboard_row import Row
    >>> board = Scoreboard("98-none", seed=0)
    >>> row = {"naive": 0.5, "classical": 0.45, "deep": 0.4, "headline": True}
    >>> board.add(Row("log loss", "nats", "lower", **row))
    >>> _ = board.claim("log loss", (-0.07, -0.03))
    >>> print(examples([board.as_dict()]), end="")  # doctest: +NORMALIZE_WHITESPACE
    - {doc}`98-none <chapters/98-none>`: log loss (lower is better) is 0.5000 for naive, 0.4500 for
      classical and 0.4000 for deep, which **beats** the classical one.
    """
    found: dict[str, str] = {}
    for board in boards:
        verdicts = {claim["metric"]: claim["verdict"] for claim in board["claims"]}
        for row in [Row(**row) for row in board["rows"] if row["headline"]]:
            if (said := verdicts.get(row.metric)) in _IN_SHORT:
                found.setdefault(said, _example(board, row, _IN_SHORT[said]))
    return (
        "".join(found[said] for said in _IN_SHORT if said in found) or "Nothing is claimed yet.\n"
    )


def _example(board: dict[str, Any], row: Row, said: str) -> str:
    """Return the item of a row: its figures, the verdict and what the seeds say."""
    chapter = board["chapter"]
    shown = {}
    for kind in ("naive", "classical", "deep"):
        if (value := getattr(row, kind)) is not None:
            name = f" ({row.names[kind]})" if kind in row.names else ""
            shown[kind] = f"{_number(value)} for {kind}{name}"
    *first, last = shown.values()
    known = read_evidence(chapter, board["profile"])
    row_known = known.rows.get(row.metric) if known else None
    return (
        f"- {{doc}}`{chapter} <chapters/{chapter}>`: {row.metric} ({row.better} is better) is "
        f"{', '.join(first)} and {last}, which {said}{_seeds_said(row_known)}.\n"
    )


_IN_SHORT = {
    "beats": "**beats** the classical one",
    "loses": "**loses to** the classical one",
    "tie": "**cannot be told apart** from the classical one",
}
_ARROW = {"higher": "↑", "lower": "↓"}
_WINNER = {"beats": "deep", "loses": "classical"}


def _cells(row: Row, found: RowEvidence | None, said: str | None) -> list[str]:
    cells = {name: _number(getattr(row, name)) for name in COLUMNS}
    if winner := _WINNER.get(said or ""):
        cells[winner] = f"**{cells[winner]}**"
    below = dict(row.names)
    if row.limit_is:
        below["limit"] = row.limit_is
    if found and (span := found.range_of_null()) and span[0] < span[1]:
        below["null"] = f"{_number(span[0])} to {_number(span[1])}"
    if said == "undertrained":
        below["deep"] = f"{below.get('deep', '')} undertrained".strip()
    if found and found.naive_is_chance():
        below["naive"] = f"{below.get('naive', '')} within the nulls".strip()
    for name, text in below.items():
        if cells[name] != "–":
            cells[name] += f"<br><small>{text}</small>"
    return [*cells.values(), _over_seeds(found)]


def _published(large: Evidence | None, metric: str) -> str:
    """Return what the large profile's seeds gave on average."""
    found = large.rows.get(metric) if large else None
    if found is None:
        return "–"
    means = {
        name: _number(statistics.fmean(found.figures[name]))
        for name in ("deep", "classical")
        if found.figures[name]
    }
    told = "<br>".join(f"{name} {mean}" for name, mean in means.items())
    return f"{told}<br><small>{len(found.seeds)} seeds</small>" if told else "–"


def _over_seeds(found: RowEvidence | None) -> str:
    if found is None or (interval := found.gain_interval()) is None:
        return "–"
    low, high = sorted(found.sign * end for end in interval)  # of deep minus classical
    least, most = _same_decimals(low, high)
    return f"{least} to {most}<br><small>ahead in {found.ahead()} of {len(found.seeds)}</small>"


def _change(found: RowEvidence | None, variant: str) -> str:
    """Return how deep changed in a variant, and by how much seeds alone may move it."""
    if found is None or not found.variants.get(variant) or (room := found.room(variant)) is None:
        return "not run"
    moved, room = _same_decimals(found.sign * found.change(variant), room)
    return f"{moved}<br><small>luck: ±{room[1:]}</small>"


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
