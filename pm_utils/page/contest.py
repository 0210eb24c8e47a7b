"""Contests: every method that a chapter tries at a task, and which of them stands for its kind.

A chapter enters all of them. Which stand in the columns naive, classical and deep is chosen by
code, by their validation scores, once for all rows of the contest.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import pandas as pd

from pm_utils.page.scoreboard_row import LIMITS, Row

KINDS = ("naive", "classical", "deep", "null")


@dataclass(frozen=True)
class Contender:
    """A method that a chapter tries.

    Attributes
    ----------
    contest : str
        What it was entered for.
    name : str
        As the page calls it.
    kind : {"naive", "classical", "deep", "null"}
        No model; any method without deep learning; a network; a network on shuffled labels.
    test : dict
        Its figures on the judged data, by metric.
    validation : float or None
        Its score on data that are not judged, which decides who stands for its kind.
    training : dict or None
        Of a network: `pm_utils.learning.training.History.record`.
    """

    contest: str
    name: str
    kind: str
    test: dict[str, float]
    validation: float | None = None
    training: dict[str, Any] | None = None


class Board(Protocol):
    """Where contenders and rows are kept: `pm_utils.page.scoreboard.Scoreboard`."""

    contenders: list[Contender]

    def add(self, row: Row) -> None:
        """Add a row."""


class Contest:
    """All methods that a chapter tries at one task; made by `Scoreboard.contest`.

    Parameters
    ----------
    board : Board
        Where its rows go.
    name : str
        The task, in words.
    chosen_by : str
        What `validation` measures, in words, as in ``"log loss of the dates of June"``.
    better : {"higher", "lower"}
        Which direction of it is better.
    """

    def __init__(self, board: Board, name: str, *, chosen_by: str, better: str) -> None:
        if better not in ("higher", "lower"):
            raise ValueError(f"{name}: better is {better!r}, give 'higher' or 'lower'")
        self.board, self.name, self.chosen_by, self.better = board, name, chosen_by, better

    @property
    def contenders(self) -> list[Contender]:
        """Those entered, in order."""
        return [one for one in self.board.contenders if one.contest == self.name]

    def enter(
        self,
        name: str,
        kind: str,
        *,
        test: Mapping[str, float],
        validation: float | None = None,
        training: dict[str, Any] | None = None,
    ) -> None:
        """Enter a method; see `Contender` for what each argument means.

        Several nulls may be entered, one for each shuffle; their mean stands in the rows.

        Raises
        ------
        ValueError
            When the kind is unknown, the name is there already, a figure is not finite, or a
            record of training comes with something that is no network.
        """
        if kind not in KINDS:
            raise ValueError(f"{name}: kind is {kind!r}, give one of {', '.join(KINDS)}")
        if any(one.name == name for one in self.contenders):
            raise ValueError(f"{name} is entered for {self.name!r} already")
        if training is not None and kind not in ("deep", "null"):
            raise ValueError(f"{name}: training is given, but its kind is {kind!r}")
        figures = {metric: float(value) for metric, value in dict(test).items()}
        score = None if validation is None else float(validation)
        for told, value in {**figures, "validation": score}.items():
            if value is not None and not math.isfinite(value):
                raise ValueError(f"{name}: {told} is {value}, give a finite number")
        self.board.contenders.append(Contender(self.name, name, kind, figures, score, training))

    def chosen(self, kind: str) -> str:
        """Return which contender stands for a kind: the best on validation.

        For ``"classical"`` all that is not deep is looked at, naive methods too. Of equals stands
        the one entered first: enter the simpler one first.

        Raises
        ------
        ValueError
            When there is none, or several of which one has no validation score.
        """
        kinds = ("naive", "classical") if kind == "classical" else (kind,)
        found = [one for one in self.contenders if one.kind in kinds]
        if not any(one.kind == kind for one in found):
            raise ValueError(f"{self.name!r} has no contender of kind {kind!r}")
        if len(found) == 1:
            return found[0].name
        if unknown := [one.name for one in found if one.validation is None]:
            raise ValueError(
                f"{', '.join(unknown)}: give validation, it decides who stands as {kind} "
                f"for {self.name!r}"
            )
        best = max if self.better == "higher" else min
        return best(found, key=lambda one: one.validation).name

    def add(
        self,
        metric: str,
        *,
        unit: str,
        better: str,
        limit: float | None = None,
        limit_is: str = "",
        headline: bool = False,
    ) -> None:
        """Add a row of the scoreboard: a metric that the contenders were entered with.

        Parameters
        ----------
        metric, unit, better, limit, limit_is, headline
            As in `Row`. A limit needs its label.

        Raises
        ------
        ValueError
            When a contender that stands in the row has no such figure, or a limit has no label.
        """
        if limit is not None and not limit_is:
            raise ValueError(f"{metric}: say what the limit is, one of {', '.join(LIMITS)}")
        by_name = {one.name: one for one in self.contenders}
        names = {
            kind: self.chosen(kind)
            for kind in ("naive", "classical", "deep")
            if any(one.kind == kind for one in self.contenders)
        }
        values = {kind: self._figure(by_name[name], metric) for kind, name in names.items()}
        nulls = [self._figure(one, metric) for one in self.contenders if one.kind == "null"]
        if nulls:
            values["null"] = sum(nulls) / len(nulls)
        more = {"limit": limit, "limit_is": limit_is, "headline": headline, "names": names}
        self.board.add(Row(metric, unit, better, **values, **more, contest=self.name))

    def table(self) -> pd.DataFrame:
        """Return every contender with its kind, validation score and test figures."""
        rows = {
            one.name: {"kind": one.kind, self.chosen_by: one.validation, **one.test}
            for one in self.contenders
        }
        table = pd.DataFrame.from_dict(rows, orient="index").rename_axis(self.name)
        return table.dropna(axis="columns", how="all")  # nobody may need a validation score

    def _figure(self, one: Contender, metric: str) -> float:
        if metric not in one.test:
            raise ValueError(f"{one.name} was entered for {self.name!r} without {metric!r}")
        return one.test[metric]
