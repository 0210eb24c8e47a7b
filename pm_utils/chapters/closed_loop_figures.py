"""Tables and figures of chapter 13."""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from pm_utils.evaluation.replications import mean_and_margin
from pm_utils.inputs import aligned, numbers
from pm_utils.page import plots

STYLES = {
    "oracle": ("limit", "-"),
    "our loop": ("deep", "-"),
    "logistic on learned profile": ("deep", "--"),
    "logistic targeting": ("classical", "-"),
    "ads' own effects": ("classical", ":"),
    "RFM rule": ("naive", "-"),
    "send to all": ("naive", ":"),
    "null": ("null", "--"),
}


def history_figure(trials: pd.DataFrame, bound: float) -> Figure:
    """Draw what each strategy earns by the size of its history, with and without its cost.

    Explained in chapter ``closed-loop``.

    Parameters
    ----------
    trials : DataFrame
        Rows of `pm_utils.chapters.closed_loop.try_history`.
    bound : float
        Of the profit of the campaign, dollars per customer.
    """
    figure, panels = plt.subplots(1, 2, figsize=(7, 3.6), sharey=True)
    for panel, column, title in zip(
        panels, ("campaign", "net"), ("campaign alone", "history paid for"), strict=True
    ):
        for name, rows in trials.groupby("strategy", sort=False):
            kind, line = STYLES[name]
            label = name if column == "campaign" else None
            style = {"color": plots.COLORS[kind], "marker": "o", "markersize": 4, "label": label}
            panel.plot(rows["banners"], rows[column], line, **style)
        label = "bound" if column == "campaign" else None
        panel.axhline(bound, color=plots.COLORS["limit"], label=label)
        panel.axhline(0, color=plots.INK, linewidth=0.8)
        plots.grid(panel).set(xscale="log", title=title, xlabel="random banners a customer")
        panel.set_xticks(sorted(trials["banners"].unique()), minor=False)
        panel.set_xticks([], minor=True)
        panel.xaxis.set_major_formatter("{x:,.0f}")
    panels[0].set(ylabel="$ per customer", ylim=(-1.2 * bound, 1.2 * bound))
    figure.legend(loc="outside upper center", ncols=3)
    return figure


def loss_figure(curves: dict[str, pd.Series]) -> Figure:
    """Draw the loss on other banners while networks learn.

    Explained in chapter ``closed-loop``.

    Parameters
    ----------
    curves : dict of Series
        From `pm_utils.chapters.closed_loop.learning_curve`, by name.
    """
    figure, axes = plt.subplots(figsize=(7, 2.8))
    lines = ("-", "--", ":")
    for line, (name, curve) in zip(lines, curves.items(), strict=False):
        late = curve.iloc[1:]  # without the start, which is far above
        axes.plot(late.index, late, line, color=plots.COLORS["deep"], label=name)
    plots.grid(axes).set(xlabel="steps", ylabel="nats per impression")
    figure.legend(loc="outside upper center", ncols=2)
    return figure


def rounds_figure(true: dict[str, np.ndarray]) -> Figure:
    """Draw dollars per round, and shares of the oracle's: means, and the span of all markets.

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


def relearning_figure(gains: dict[str, np.ndarray]) -> Figure:
    """Draw what strategies earn more than another, round by round: means, 95 % intervals, markets.

    Explained in chapter ``closed-loop``.

    Parameters
    ----------
    gains : dict of arrays of shape (R, rounds)
        Dollars per customer, each market's less that of the other strategy in the same market.
    """
    figure, panels = plt.subplots(1, len(gains), figsize=(7, 2.8), sharey=True, squeeze=False)
    for panel, (name, gain) in zip(panels[0], gains.items(), strict=True):
        gain = numbers(gain, name, ndim=2)
        rounds, hue = np.arange(1, gain.shape[1] + 1), plots.COLORS["deep"]
        mean, half = np.array([mean_and_margin(each) for each in gain.T]).T
        panel.plot(rounds, gain.T, color=plots.INK, alpha=0.25, linewidth=0.8)
        panel.errorbar(rounds, mean, half, fmt="o-", color=hue, capsize=3, markersize=4)
        panel.axhline(0, color=plots.INK, linewidth=0.8)
        plots.grid(panel).set(title=name, xlabel="round", xticks=rounds)
    panels[0, 0].set(ylabel="$ per customer")
    return figure


def strategy_standings(
    campaign: pd.DataFrame, history: pd.DataFrame, bound: np.ndarray
) -> pd.DataFrame:
    """Return dollars over all rounds, what the history cost, and the share of the bound.

    Explained in chapter ``closed-loop``.

    Parameters
    ----------
    campaign, history : DataFrame
        Dollars per customer: a column for each strategy, a row for each of R markets.
    bound : array of shape (R,)

    Returns
    -------
    DataFrame
        Means over markets, and ± half of a 95 % interval of Student's t over markets.

    Raises
    ------
    ValueError
        When dollars are not finite, or the tables differ in strategies or markets.

    Examples
    --------
    >>> import numpy as np
    >>> import pandas as pd
    >>> from pm_utils.chapters.closed_loop_figures import strategy_standings
    >>> campaign = pd.DataFrame({"our loop": [2.0, 4.0]})  # dollars in two markets
    >>> history = pd.DataFrame({"our loop": [-1.0, -1.0]})
    >>> table = strategy_standings(campaign, history, np.array([4.0, 4.0])).loc["our loop"]
    >>> table[["campaign ($)", "history ($)", "net ($)", "share of bound"]].tolist()
    [3.0, -1.0, 2.0, 0.5]
    """
    if list(campaign) != list(history) or not campaign.index.equals(history.index):
        raise ValueError(
            f"campaign has {', '.join(campaign)}, history {', '.join(history)}, in "
            f"{len(campaign)} and {len(history)} markets: give equal columns and rows"
        )
    _, bound = aligned(campaign=campaign, bound=bound)
    bound, rows = numbers(bound, "bound", above=0, ndim=1), {}
    for name in campaign:
        earned = numbers(campaign[name], name, ndim=1)
        net = earned + numbers(history[name], name, ndim=1)
        before = [earned.mean(), history[name].mean()]
        rows[name] = [*before, *mean_and_margin(net), *mean_and_margin(net / bound)]
    columns = ["campaign ($)", "history ($)", "net ($)", "±", "share of bound", "± "]
    return pd.DataFrame(rows, index=columns).T


def build_up_table(totals: pd.DataFrame) -> pd.DataFrame:
    """Return what each part adds to those before it, paired by market.

    Explained in chapter ``closed-loop``.

    Parameters
    ----------
    totals : DataFrame
        Dollars per customer: a column for each strategy, each with one part more than the one
        before; a row for each market.

    Returns
    -------
    DataFrame
        ``adds`` (mean over markets), ``low`` and ``high`` (95 % interval of Student's t over
        markets), then each market's, ``market 1`` and on. The first row is the strategy that the
        others build on; all rows of a column add up to the last strategy's profit.

    Raises
    ------
    ValueError
        When dollars are not finite, or there are fewer than two markets.

    Examples
    --------
    >>> import pandas as pd
    >>> from pm_utils.chapters.closed_loop_figures import build_up_table
    >>> totals = pd.DataFrame({"old ads": [1.0, 2.0], "studio": [2.0, 4.0], "profile": [2.0, 4.5]})
    >>> build_up_table(totals)[["adds", "market 1", "market 2"]]
             adds  market 1  market 2
    old ads  1.50       1.0       2.0
    studio   1.50       1.0       2.0
    profile  0.25       0.0       0.5
    """
    earned = numbers(totals, "totals", ndim=2)
    steps = np.diff(earned, axis=1, prepend=0.0).T  # (strategies, markets)
    means = [mean_and_margin(step) for step in steps]
    table = pd.DataFrame([[m, m - half, m + half] for m, half in means], totals.columns)
    table.columns = ["adds", "low", "high"]
    for number, of_market in enumerate(steps.T, 1):
        table[f"market {number}"] = of_market
    return table


def worth_figure(table: pd.DataFrame) -> Figure:
    """Draw what `build_up_table` found: means as bars with intervals, every market as a dot.

    Explained in chapter ``closed-loop``.
    """
    figure, axes = plt.subplots(figsize=(7, 0.8 + 0.36 * len(table)))
    ends = [table["adds"] - table["low"], table["high"] - table["adds"]]
    hue = plots.COLORS["deep"]
    axes.barh(table.index, table["adds"], xerr=ends, color=hue, alpha=0.6, ecolor=plots.INK)
    for _, one in table.drop(columns=["adds", "low", "high"]).items():
        axes.plot(one, table.index, "o", color=plots.INK, markersize=3)
    axes.axvline(0, color=plots.INK, linewidth=0.8)
    axes.invert_yaxis()
    plots.grid(axes, "x").set(xlabel="profit that it adds ($ per customer over all rounds)")
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
