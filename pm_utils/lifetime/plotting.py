"""Figures of lifetime value."""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullFormatter

from pm_utils import inputs
from pm_utils.page.plots import INK, grid

CURVE_MARKERS = "osD^vP"


def silence_lines(
    silence: np.ndarray, orders: dict[str, np.ndarray], colors: dict[str, str]
) -> Figure:
    """Draw mean orders to come by the weeks since the last one; "actual" is drawn as bars.

    Explained in chapter ``lifetime-value``.

    Parameters
    ----------
    silence : array of shape (N,)
        Weeks.
    orders : dict of arrays of shape (N,)
        ``actual`` and each model's expectation.
    colors : dict
        One per model.

    Raises
    ------
    ValueError
        When a silence is below 0, a number is not finite, or the rows do not match.
    """
    silence, *columns = inputs.aligned(silence=silence, **orders)
    silence = inputs.numbers(silence, "silence", low=0)
    orders = {name: inputs.numbers(one, name) for name, one in zip(orders, columns, strict=True)}
    edges = [0, 1, 2, 4, 8, 16, np.inf]
    names = ["up to 1", "1–2", "2–4", "4–8", "8–16", "longer"]
    part = pd.cut(silence, edges, labels=names, include_lowest=True)
    means = pd.DataFrame(orders).groupby(part, observed=False).mean()
    figure, axes = plt.subplots(figsize=(7, 3.2))
    axes.bar(names, means["actual"], color=INK, alpha=0.3, width=0.6, label="actual")
    for name, marker in zip([n for n in means if n != "actual"], CURVE_MARKERS, strict=False):
        axes.plot(names, means[name], marker=marker, color=colors[name], label=name)
    grid(axes).set(xlabel="weeks since the last order", ylabel="orders per household")
    axes.legend()
    return figure


def decile_lines(
    tables: dict[str, pd.DataFrame], colors: dict[str, str], *, unit: str, scale: str = "linear"
) -> Figure:
    """Draw predicted against actual means of equal parts; a right level lies on the diagonal.

    Explained in chapter ``lifetime-value``.

    Parameters
    ----------
    tables : dict of DataFrame
        From `scores.decile_table`; bars are 95 % intervals of the actual mean.
    colors : dict
        One colour per table.
    unit : str
        Of both axes.
    scale : str
        ``linear`` or ``log``, for both axes.
    """
    figure, axes = plt.subplots(figsize=(7, 3.6))
    most = max(table[["predicted", "actual"]].to_numpy().max() for table in tables.values())
    axes.plot([0, most], [0, most], ":", color=INK, linewidth=1)
    for (name, table), marker in zip(tables.items(), CURVE_MARKERS, strict=False):
        axes.errorbar(
            table["predicted"],
            table["actual"],
            1.96 * table["error"],
            marker=marker,
            markersize=5,
            linewidth=1.2,
            color=colors[name],
            label=name,
        )
    grid(axes, "both").set(xlabel=f"predicted ({unit})", ylabel=f"actual ({unit})")
    axes.set(xscale=scale, yscale=scale)
    if scale == "log":
        for axis in (axes.xaxis, axes.yaxis):
            axis.set_major_locator(LogLocator(subs=(1, 2, 5)))
            axis.set_major_formatter("{x:,.0f}")
            axis.set_minor_formatter(NullFormatter())
    axes.legend()
    return figure


def keeping_bars(profit: pd.DataFrame, colors: dict[str, str]) -> Figure:
    """Draw what each way to spend the budget earns, by what it believes of the risk to leave.

    Explained in chapter ``lifetime-value``.

    Parameters
    ----------
    profit : DataFrame
        Dollars; one row per model, the best drawn at the top, columns ``same risk for all`` and
        ``own risk``; not a number where there is none.
    colors : dict
        A colour for each row.
    """
    profit = profit.loc[profit.max(axis=1).sort_values(ascending=False).index]
    figure, axes = plt.subplots(figsize=(7, 0.8 + 0.42 * len(profit)))
    hues = [colors[name] for name in profit.index[::-1]]
    for column, shift, alpha in zip(profit, (0.2, -0.2), (0.45, 1.0), strict=True):
        values = profit[column].to_numpy()[::-1]
        bars = axes.barh(np.arange(len(profit)) + shift, values, 0.36, color=hues, alpha=alpha)
        labels = ["" if np.isnan(value) else f"{value:.1f}" for value in values]
        axes.bar_label(bars, labels, padding=3, fontsize=8)
        axes.bar(0, 0, color=INK, alpha=alpha, label=column)
    axes.axvline(0, color=INK, linewidth=0.8)
    axes.margins(x=0.1)
    axes.set_yticks(range(len(profit)), profit.index[::-1])
    grid(axes, "x").set(xlabel="true profit of the budget (dollars per customer)")
    figure.legend(loc="outside upper center", ncols=2)
    return figure
