"""What ten seeds say of a chapter's figures, and the verdict that follows from them.

``evidence/NN.json`` holds, for each row of a chapter's scoreboard, what every model reached under
each seed, and what became of the deep model when its training was doubled or its data were halved.
`pm seeds` writes the files; the scoreboard, the tests and `pm verify` read them.
"""

import json
import math
import os
import statistics
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

_ROOT = Path(__file__).resolve().parents[2]
EVIDENT = ("null", "naive", "classical", "deep", "limit")
BACKING = 0.9  # share of the seeds that a verdict needs on its side
ONE_MORE_RUN, MEAN = 0.99, 0.95  # confidence levels
FLOOR = 1e-3  # of a figure's size: room for the last digits, in which machines differ
VERDICTS = ("beats", "loses", "tie", "undertrained")
DOUBLED, HALVED = "doubled", "halved"
OF_THIS_CODE, NO_EVIDENCE = "of this code", "there is none"  # how old evidence is


@dataclass(frozen=True)
class RowEvidence:
    """One row of a scoreboard under several seeds.

    Attributes
    ----------
    metric, unit : str
        As in the scoreboard.
    better : {"higher", "lower"}
        Which direction is better.
    headline : bool
        Whether the chapter is known by this row.
    seeds : tuple of int
        Those that the figures belong to, in order.
    figures : dict
        For each of `EVIDENT` one figure per seed, None where the chapter has no such model.
    names : dict
        What was the naive, the classical and the deep model under each seed.
    variants : dict
        ``"doubled"`` and ``"halved"``: the deep figure under the first seeds when the training
        took twice the steps, and when half of the data were there.
    nulls : tuple of float
        Every network on shuffled labels, of all seeds; their mean per seed is among `figures`.
    """

    metric: str
    unit: str
    better: str
    headline: bool
    seeds: tuple[int, ...]
    figures: dict[str, list[float] | None]
    names: dict[str, list[str]] = field(default_factory=dict)
    variants: dict[str, list[float]] = field(default_factory=dict)
    nulls: tuple[float, ...] = ()

    @property
    def sign(self) -> int:
        """1 where more is better, -1 where less is."""
        return 1 if self.better == "higher" else -1

    def gains(self) -> list[float] | None:
        """Return by how much deep was better than classical under each seed; None without both."""
        deep, classical = self.figures["deep"], self.figures["classical"]
        if deep is None or classical is None:
            return None
        return [self.sign * (d - c) for d, c in zip(deep, classical, strict=True)]

    def ahead(self) -> int:
        """Return under how many seeds deep was better than classical."""
        return sum(gain > 0 for gain in self.gains() or [])

    def behind(self) -> int:
        """Return under how many seeds deep was worse than classical."""
        return sum(gain < 0 for gain in self.gains() or [])

    def backs(self, said: str) -> bool:
        """Tell whether the seeds bear a verdict out: nine in ten of them, and their mean."""
        agreeing = self.ahead() if said == "beats" else self.behind()
        low, high = self.gain_interval() or (0.0, 0.0)
        mean = low > 0 if said == "beats" else high < 0
        return mean and agreeing >= BACKING * len(self.seeds)

    def gain_interval(self) -> tuple[float, float] | None:
        """Return the 95 % interval of the mean gain over seeds, by Student's t."""
        gains = self.gains()
        if gains is None or len(gains) < 2:
            return None
        half = _quantile(MEAN, len(gains)) * statistics.stdev(gains) / math.sqrt(len(gains))
        mean = statistics.fmean(gains)
        return mean - half, mean + half

    def span(self, model: str) -> tuple[float, float] | None:
        """Return the interval that holds one more run of a model with 99 % confidence.

        See `one_more_run`, whose floor leaves room for the last digits.
        """
        known = self.figures[model]
        return None if known is None else one_more_run(known)

    def range_of_null(self) -> tuple[float, float] | None:
        """Return the least and the greatest null of all shuffles, None without a null."""
        known = self.nulls or self.figures["null"]
        return (min(known), max(known)) if known else None

    def naive_is_chance(self) -> bool:
        """Tell whether the naive figure lies among the nulls."""
        span, naive = self.range_of_null(), self.figures["naive"]
        if span is None or naive is None:
            return False
        return span[0] <= statistics.fmean(naive) <= span[1]

    def change(self, variant: str) -> float | None:
        """Return by how much deep got better on average in a variant; None where it was not run."""
        found, deep = self.variants.get(variant), self.figures["deep"]
        if not found or deep is None:
            return None
        pairs = zip(found, deep, strict=False)  # the variants have the first seeds
        return statistics.fmean(self.sign * (v - d) for v, d in pairs)

    def room(self, variant: str) -> float | None:
        """Return how far a variant may move deep by the luck of its seeds alone.

        Half the width of the 95 % interval of a mean of as many runs as the variant has. The
        standard deviation is that of deep or of its gain over classical, whichever is less: what
        both share, such as an easier test, says nothing of the training.
        """
        deep, found = self.figures["deep"], self.variants.get(variant)
        if deep is None or len(deep) < 2 or not found:
            return None
        least = min(statistics.stdev(values) for values in (deep, self.gains()) if values)
        rounding = 1e-6 * abs(statistics.fmean(deep))
        return max(_quantile(MEAN, len(deep)) * least / math.sqrt(len(found)), rounding)

    def undertrained(self) -> bool:
        """Tell whether twice the steps make deep better than the luck of the seeds would.

        Or, where deep is behind classical, whether they help in every run and make up for it.
        """
        change, room = self.change(DOUBLED), self.room(DOUBLED)
        if change is None or room is None:
            return False
        if change > room:
            return True
        pairs = zip(self.variants[DOUBLED], self.figures["deep"], strict=False)
        behind = -statistics.fmean(self.gains() or [0.0])
        return 0 < behind <= change and all(self.sign * (v - d) > 0 for v, d in pairs)


@dataclass(frozen=True)
class Evidence:
    """A chapter's rows under several seeds, and the code that made them.

    Attributes
    ----------
    chapter, profile : str
        As in the scoreboards.
    seeds : tuple of int
        Under which the chapter was run.
    made_of : dict
        Fingerprints of the code and the parameters, see `pm_utils.builder.seeds.made_of`.
    variants : dict
        For each variant the parameters that it changed.
    rows : dict
        `RowEvidence` by metric.
    """

    chapter: str
    profile: str
    seeds: tuple[int, ...]
    made_of: dict[str, Any]
    variants: dict[str, dict[str, Any]]
    rows: dict[str, RowEvidence]

    def as_dict(self) -> dict[str, Any]:
        """Return what the file holds."""
        rows = {
            metric: {
                "unit": row.unit,
                "better": row.better,
                "headline": row.headline,
                **row.figures,
                "difference": row.gains(),
                "names": row.names,
                "variants": row.variants,
                "nulls": list(row.nulls),
            }
            for metric, row in self.rows.items()
        }
        return {
            "chapter": self.chapter,
            "profile": self.profile,
            "seeds": list(self.seeds),
            "variants": self.variants,
            "rows": rows,
            "made_of": self.made_of,
        }


def one_more_run(figures: list[float]) -> tuple[float, float]:
    """Return the interval that holds the figure of one more run with 99 % confidence.

    With n runs of mean m and standard deviation s (n - 1 in the denominator) it is
    m ± max(t · s · √(1 + 1/n), FLOOR · \\|m\\|), t being the 99.5 % point of Student's t with n - 1
    degrees of freedom.

    Parameters
    ----------
    figures : list of float
        One per run, at least two.

    Returns
    -------
    (float, float)

    Raises
    ------
    ValueError
        When there are fewer than two runs, or a figure is not finite.

    References
    ----------
    Hahn, G. J. and Meeker, W. Q. (1991). Statistical Intervals. Wiley. Section 4.7.

    Examples
    --------
    Two runs say little about a third; four that agree still leave the floor of a thousandth.

    >>> from pm_utils.page.evidence import one_more_run
    >>> [round(end, 3) for end in one_more_run([0.80, 0.82])]
    [-0.293, 1.913]
    >>> [round(end, 4) for end in one_more_run([0.8, 0.8, 0.8, 0.8])]
    [0.7992, 0.8008]
    """
    if len(figures) < 2:
        raise ValueError(f"figures holds {len(figures)} run: an interval needs at least 2")
    if wrong := [figure for figure in figures if not math.isfinite(figure)]:
        raise ValueError(f"figures holds {wrong[0]}: give finite numbers")
    mean, n = statistics.fmean(figures), len(figures)
    width = _quantile(ONE_MORE_RUN, n) * statistics.stdev(figures) * math.sqrt(1 + 1 / n)
    width = max(width, FLOOR * abs(mean))
    return mean - width, mean + width


def verdict(gain: tuple[float, float], row: RowEvidence | None) -> str:
    """Return what may be said of deep against classical.

    Parameters
    ----------
    gain : (float, float)
        The paired interval of this run for how much better deep is, in the metric's unit.
    row : RowEvidence or None
        What the seeds say. Without it the interval decides alone.

    Returns
    -------
    {"beats", "loses", "tie", "undertrained"}
        ``"beats"`` and ``"loses"`` need an interval that excludes zero and, on the same side, nine
        seeds of ten and the interval of their mean. Of a network that is still learning nothing is
        said.

    Examples
    --------
    >>> from pm_utils.page.evidence import verdict
    >>> verdict((0.1, 0.3), None), verdict((-0.1, 0.3), None), verdict((-0.3, -0.1), None)
    ('beats', 'tie', 'loses')
    """
    if row is not None and row.undertrained():
        return "undertrained"
    low, high = gain
    said = "beats" if low > 0 else "loses" if high < 0 else "tie"
    if row is None or said == "tie":
        return said
    return said if row.backs(said) else "tie"


def place(chapter: str, profile: str, folder: Path) -> Path:
    """Return the file of a chapter's evidence: ``NN.json``, of other profiles in their folder."""
    return (folder if profile == "quick" else folder / profile) / f"{chapter[:2]}.json"


def read_evidence(chapter: str, profile: str, folder: Path | None = None) -> Evidence | None:
    """Return what the seeds say of a chapter, None where they were not run.

    Parameters
    ----------
    chapter : str
        The notebook's name, as in ``"03-customer-profile"``.
    profile : str
        As in ``"quick"``.
    folder : pathlib.Path, optional
        Where the files are. Without it what ``PM_EVIDENCE`` names, ``evidence/`` of the checkout
        where nothing is named; ``none`` stands for no evidence at all, as under `pm seeds`.

    Raises
    ------
    ValueError
        When the file is no evidence or of another chapter, with its name and what is wrong.
    """
    if folder is None:
        named = os.environ.get("PM_EVIDENCE", "")
        if named == "none":
            return None
        folder = Path(named) if named else _ROOT / "evidence"
    path = place(chapter, profile, folder)
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except ValueError as error:
        raise ValueError(f"{path} is no evidence: {error}: call pm seeds {chapter[:2]}") from error
    try:
        return _evidence(found, chapter)
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise ValueError(
            f"{path} is no evidence: {error!r}: call pm seeds {chapter[:2]}"
        ) from error


def _evidence(found: Mapping[str, Any], chapter: str) -> Evidence:
    if found["chapter"] != chapter:
        raise ValueError(f"it is of {found['chapter']}")
    seeds = tuple(found["seeds"])
    rows = {}
    for metric, row in found["rows"].items():
        figures = {model: row[model] for model in EVIDENT}
        for model, values in figures.items():
            if values is not None and not (
                len(values) == len(seeds) and all(map(math.isfinite, values))
            ):
                raise ValueError(f"{metric}, {model}: give one finite number per seed")
        head = row["unit"], row["better"], row["headline"]
        more = row["names"], row["variants"], tuple(row.get("nulls", ()))
        rows[metric] = RowEvidence(metric, *head, seeds, figures, *more)
    fields = found["profile"], seeds, found["made_of"], found["variants"]
    return Evidence(chapter, *fields, rows)


def _quantile(level: float, n: int) -> float:
    from scipy import stats

    return float(stats.t.ppf((1 + level) / 2, n - 1))
