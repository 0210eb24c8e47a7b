"""Tables and figures of chapter 13."""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from pm_utils.evaluation.replications import mean_and_margin
from pm_utils.inputs import numbers
from pm_utils.page import plots

STYLES = {
    "oracle": ("limit", "-"),
    "our loop": ("deep", "-"),
    "logistic targeting": ("classical", "-"),
    "RFM rule": ("naive", "-"),
    "send to all": ("naive", ":"),
    "null": ("null", "--"),
}


def rounds_figure(true: dict[str, np.ndarray]) -> Figure:
    """Draw dollars per round, and shares of the oracle's: means, and the span of all replications.

    Explained in chapter ``closed-loop``.

    Parameters
    ----------
    true : dict of arrays of shape (R, rounds)
        Dollars per customer, by strategy; names as in `STYLES`.
    """
    figure, (left, right) = plt.subplots(1, 2, figsize=(7, 3.6))
    for name, earned in true.items():
        kind, line = STYLES[name]
        color, rounds = plots.COLORS[kind], np.arange(1, earned.shape[1] + 1)
        left.plot(rounds, earned.mean(0), line, color=color, label=name)
        shares = earned / true["oracle"]
        right.plot(rounds, shares.mean(0), line, color=color)
        span = {"color": color, "alpha": 0.2, "linewidth": 0}
        right.fill_between(rounds, shares.min(0), shares.max(0), **span)
    for panel, label in ((left, "$ per customer"), (right, "share of the oracle")):
        panel.axhline(0, color=plots.INK, linewidth=0.8)
        plots.grid(panel).set(xlabel="round", ylabel=label, xticks=rounds)
    figure.legend(loc="outside upper center", ncols=3)
    return figure


def strategy_standings(true: dict[str, np.ndarray]) -> pd.DataFrame:
    """Return dollars over all rounds, and shares of the oracle's, each ± half its 95 % interval.

    Explained in chapter ``closed-loop``.

    Parameters
    ----------
    true : dict of arrays of shape (R, rounds)
        With one named ``oracle``.

    Raises
    ------
    ValueError
        When dollars are not finite, or the arrays differ in shape.

    Examples
    --------
    >>> import numpy as np
    >>> from pm_utils.chapters.closed_loop_figures import strategy_standings
    >>> loop = np.array([[1.0, 3.0], [1.0, 3.0]])  # dollars in two replications of two rounds
    >>> true = {"our loop": loop, "oracle": np.full((2, 2), 4.0)}
    >>> table = strategy_standings(true).loc["our loop"]
    >>> table[["$ per customer", "share of oracle", "share, last round"]].tolist()
    [4.0, 0.5, 0.75]
    """
    true = _same_shape(true)
    best, rows = true["oracle"], {}
    for name, earned in true.items():
        whole, last = earned.sum(1) / best.sum(1), earned[:, -1] / best[:, -1]
        rows[name] = [
            *mean_and_margin(earned.sum(1)),
            *mean_and_margin(whole),
            *mean_and_margin(last),
        ]
    columns = ["$ per customer", "±", "share of oracle", "± ", "share, last round", " ±"]
    return pd.DataFrame(rows, index=columns).T


def _same_shape(true: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Refuse dollars by strategy that are not of the same markets and rounds."""
    checked = {name: numbers(earned, name, ndim=2) for name, earned in true.items()}
    shapes = {name: earned.shape for name, earned in checked.items()}
    if len(set(shapes.values())) > 1:
        told = ", ".join(f"{name} {shape}" for name, shape in shapes.items())
        raise ValueError(f"{told}: give equal shapes")
    return checked


def ablation_table(true: dict[str, np.ndarray], full: str = "our loop") -> pd.DataFrame:
    """Return what each variant loses against the full loop, paired by replication.

    Explained in chapter ``closed-loop``.

    Returns
    -------
    DataFrame
        ``lost`` ($ per customer over all rounds, mean of the markets), then each market's,
        ``market 1`` and on; the variant that loses most comes last.

    Raises
    ------
    ValueError
        As `strategy_standings`.

    Examples
    --------
    >>> import numpy as np
    >>> from pm_utils.chapters.closed_loop_figures import ablation_table
    >>> true = {"our loop": np.array([[2.0, 3.0], [2.0, 4.0]])}  # dollars, (markets, rounds)
    >>> true |= {"pacing": np.array([[2.0, 3.0], [2.0, 3.0]]), "profile": np.ones((2, 2))}
    >>> ablation_table(true)
             lost  market 1  market 2
    pacing    0.5       0.0       1.0
    profile   3.5       3.0       4.0
    """
    true = _same_shape(true)
    whole = true[full].sum(1)
    table = pd.DataFrame({k: whole - v.sum(1) for k, v in true.items() if k != full}).T
    table.columns = [f"market {r + 1}" for r in table.columns]
    table.insert(0, "lost", table.mean(axis=1))
    return table.sort_values("lost")


def worth_figure(table: pd.DataFrame) -> Figure:
    """Draw what `ablation_table` found: the mean as a bar, every market as a dot.

    Explained in chapter ``closed-loop``.
    """
    figure, axes = plt.subplots(figsize=(7, 0.8 + 0.36 * len(table)))
    axes.barh(table.index, table["lost"], color=plots.COLORS["deep"], alpha=0.6)
    for _, lost in table.drop(columns="lost").items():
        axes.plot(lost, table.index, "o", color=plots.INK, markersize=4)
    axes.axvline(0, color=plots.INK, linewidth=0.8)
    plots.grid(axes, "x").set(xlabel="profit lost without it ($ per customer over all rounds)")
    return figure


def measured_figure(table: pd.DataFrame) -> Figure:
    """Draw for every round what is true, what the holdout says, and what the books say.

    Explained in chapter ``closed-loop``.

    Parameters
    ----------
    table : DataFrame
        From `pm_utils.loop.reporting.measurement_report`.
    """
    figure, axes = plt.subplots(figsize=(7, 3.2))
    table, hue = table.drop(index="all"), plots.COLORS
    ends = [table["holdout"] - table["low"], table["high"] - table["holdout"]]
    rounds = np.arange(1, len(table) + 1)
    bars = {"fmt": "o", "color": hue["classical"], "capsize": 3, "label": "holdout"}
    axes.errorbar(rounds, table["holdout"], ends, **bars)
    shapes = {
        "books": ("s", "naive"),
        "books, displaced off": ("o", "deep"),
        "truth": ("_", "limit"),
    }
    for shift, (name, (marker, kind)) in zip((0.1, 0.2, 0.15), shapes.items(), strict=True):
        size = 18 if name == "truth" else 6
        style = {"markersize": size, "markeredgewidth": 2 if name == "truth" else 1}
        axes.plot(rounds + shift, table[name], marker, color=hue[kind], label=name, **style)
    axes.axhline(0, color=plots.INK, linewidth=0.8)
    plots.grid(axes).set(xlabel="round", ylabel="$ per customer", xticks=rounds)
    figure.legend(loc="outside upper center", ncols=4)
    return figure


def compare_in_words(low: float, high: float, first: str, second: str) -> str:
    """Say in words which of two is ahead, given an interval for first minus second.

    Explained in chapter ``closed-loop``.

    Examples
    --------
    >>> from pm_utils.chapters.closed_loop_figures import compare_in_words
    >>> compare_in_words(0.1, 0.3, "the network", "the rule")
    'the network is ahead of the rule'
    >>> compare_in_words(-0.1, 0.3, "the network", "the rule")
    'the network and the rule cannot be told apart'
    """
    if low > 0:
        return f"{first} is ahead of {second}"
    if high < 0:
        return f"{first} is behind {second}"
    return f"{first} and {second} cannot be told apart"
