"""Figures of chapter 10: funnels, coverage, probabilities against the truth, delays and leaks."""

from collections.abc import Sequence

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from pm_utils.page.plots import COLORS, CYCLE, INK, grid


def funnels(tables: dict[str, pd.DataFrame]) -> Figure:
    """Draw funnels beside each other: a bar per stage, centred, its length on a log scale.

    Explained in chapter ``funnel``.

    Parameters
    ----------
    tables : dict of DataFrames
        From `pm_utils.measurement.funnel.funnel_rates`, under each panel's title; the last row,
        first stage to last, is not drawn.
    """
    figure, panels = plt.subplots(1, len(tables), figsize=(7, 3.3), squeeze=False)
    for panel, (title, table), hue in zip(panels[0], tables.items(), CYCLE, strict=False):
        steps = table.iloc[:-1]
        names = [steps.index[0].split(" → ")[0], *(pair.split(" → ")[1] for pair in steps.index)]
        counts = [steps["reached"].iloc[0], *steps["passed"]]
        width = np.log10(np.maximum(counts, 1)) + 0.25
        panel.barh(range(len(names)), width, left=-width / 2, height=0.62, color=hue, alpha=0.22)
        for row, (name, count) in enumerate(zip(names, counts, strict=True)):
            panel.text(0, row, f"{name}\n{count:,}", ha="center", va="center", fontsize=8)
        for row, rate in enumerate(steps["rate"]):
            panel.text(0, row + 0.5, f"{rate:.1%}", ha="center", va="center", fontsize=8)
        panel.set(title=title, ylim=(len(names) - 0.5, -0.5), xlim=(-width[0] / 2, width[0] / 2))
        panel.set_axis_off()
        panel.title.set_visible(True)
    return figure


def coverage_bars(table: pd.DataFrame, names: Sequence[str]) -> Figure:
    """Draw the share of intervals that hold the truth, by rows and by customers.

    Explained in chapter ``funnel``.

    Parameters
    ----------
    table : DataFrame
        From `pm_utils.chapters.funnel.interval_coverage`.
    names : sequence of str
        Of the stages.
    """
    figure, axes = plt.subplots(figsize=(6, 2.8))
    sides = (("by rows", "naive", -0.18), ("by customers", "classical", 0.18))
    for column, kind, shift in sides:
        place = np.arange(len(names)) + shift
        axes.bar(place, table[column], width=0.34, color=COLORS[kind], label=column, alpha=0.85)
    axes.axhline(0.95, linestyle=":", color=INK)
    axes.set(xticks=range(len(names)), xticklabels=names, ylim=(0, 1.05), ylabel="truth inside")
    figure.legend(loc="outside upper center", ncols=2)
    grid(axes)
    return figure


def probabilities_by_click(click: np.ndarray, conversion: np.ndarray, *, bins: int = 10) -> Figure:
    """Draw the true conversion probability by tenths of the true click probability.

    Explained in chapter ``funnel``.

    Parameters
    ----------
    click, conversion : arrays of shape (C,)
    bins : int
    """
    parts = np.array_split(np.argsort(click), bins)
    height = [conversion[part].mean() for part in parts]
    figure, axes = plt.subplots(figsize=(6, 2.9))
    axes.bar(range(1, bins + 1), height, color=COLORS["limit"], alpha=0.6)
    axes.axhline(conversion.mean(), color=INK, linestyle="--", label="all impressions")
    clicked = np.average(conversion, weights=click)
    axes.axhline(clicked, color=COLORS["naive"], linestyle=":", label="clicked impressions")
    axes.set(xlabel="tenth of impressions by P(click)", ylabel="mean P(order | click)")
    axes.set_xticks(range(1, bins + 1))
    axes.legend()
    grid(axes)
    return figure


def model_dots(
    table: pd.DataFrame, kinds: Sequence[str], marks: dict[str, float | None], *, left_out: float
) -> Figure:
    """Draw a panel per column and a dot per model, with a line where a value is the best known.

    Explained in chapter ``funnel``.

    Parameters
    ----------
    table : DataFrame
        One row per model, the first at the top.
    kinds : sequence of str
        A name in `pm_utils.page.plots.COLORS` for each model.
    marks : dict
        The line of each column that is drawn.
    left_out : float
        A further line in the first panel: what features leave out.
    """
    figure, panels = plt.subplots(
        1, len(marks), figsize=(7, 0.9 + 0.27 * len(table)), sharey=True, squeeze=False
    )
    place = np.arange(len(table))[::-1]
    for panel, (column, mark) in zip(panels[0], marks.items(), strict=True):
        panel.scatter(table[column], place, color=[COLORS[kind] for kind in kinds], zorder=2)
        panel.axvline(mark, color=COLORS["limit"])
        panel.set(xlabel=column, yticks=place, yticklabels=table.index)
        grid(panel, "x")
    panels[0, 0].axvline(left_out, color=COLORS["limit"], linestyle=":")
    return figure


def probabilities_against_truth(
    probabilities: dict[str, np.ndarray],
    truth: np.ndarray,
    colors: dict[str, str],
    *,
    bins: int = 10,
) -> Figure:
    """Draw the true mean probability over the predicted one, in bins of equal size, by model.

    Explained in chapter ``funnel``.
    """
    figure, axes = plt.subplots(figsize=(5.5, 4))
    end = 0.0
    for name, probability in probabilities.items():
        parts = np.array_split(np.argsort(probability, kind="stable"), bins)
        x, y = ([each[part].mean() for part in parts] for each in (probability, truth))
        axes.plot(x, y, "o-", color=colors[name], label=name)
        end = max(end, *x, *y)
    axes.plot([0, end], [0, end], ":", color=INK, label="predicted = true")
    axes.set(xlabel="predicted P(order | click)", ylabel="true P(order | click)")
    axes.legend()
    grid(axes)
    return figure


def floor_dots(study: pd.DataFrame, colors: dict[str, str]) -> Figure:
    """Draw each model's bias in each market over what endless data leave there.

    Explained in chapter ``funnel``.

    Parameters
    ----------
    study : DataFrame
        From `pm_utils.chapters.funnel.bias_study`.
    colors : dict
        Of the models that are drawn.
    """
    figure, axes = plt.subplots(figsize=(6, 0.9 + 0.4 * len(colors)))
    for place, (name, color) in enumerate(colors.items()):
        gap = study[name] - study["endless data"]
        axes.plot(gap, np.full(len(gap), place), "o", color=color, alpha=0.7)
    axes.axvline(0, color=COLORS["limit"], linestyle=":")
    axes.set(yticks=range(len(colors)), yticklabels=list(colors), ylim=(len(colors) - 0.5, -0.5))
    axes.set_xlabel("bias less that of endless data")
    grid(axes, "x")
    return figure


def power_lines(shares: pd.DataFrame, colors: dict[str, str]) -> Figure:
    """Draw the share of defects that each reading names, over the part that a defect takes.

    Explained in chapter ``funnel``.

    Parameters
    ----------
    shares : DataFrame
        One row per size of the defect, its index, one column per reading.
    colors : dict
        Of the readings that are drawn.
    """
    figure, axes = plt.subplots(figsize=(6, 2.8))
    for (name, color), marker in zip(colors.items(), "svDo", strict=False):
        axes.plot(shares.index, shares[name], f"{marker}-", color=color, label=name)
    axes.set(xlabel="part of the rate that the defect takes", ylabel="defects named")
    axes.set_ylim(-0.03, 1.03)
    axes.legend()
    grid(axes)
    return figure


def delay_dots(
    truth: pd.Series, estimates: dict[str, pd.Series], colors: dict[str, str], *, unit: str
) -> Figure:
    """Draw each group's estimates over the true value, a marker per estimator.

    Explained in chapter ``funnel``.
    """
    figure, axes = plt.subplots(figsize=(5.5, 3.6))
    ends = [0, 1.05 * truth.max()]
    axes.plot(ends, ends, ":", color=INK, label="estimate = truth")
    for (name, values), marker in zip(estimates.items(), "sDo^", strict=False):
        axes.plot(truth, values, marker, color=colors[name], label=name, alpha=0.85)
    axes.set(xlabel=f"true {unit}", ylabel=f"estimated {unit}", xlim=ends)
    axes.set_ylim(0, None)
    axes.legend()
    grid(axes)
    return figure


def leaks(report: pd.DataFrame, *, rows: int) -> Figure:
    """Draw the first rows of a bottleneck report: dollars lost, with intervals.

    Explained in chapter ``funnel``.

    Parameters
    ----------
    report : DataFrame
        From `pm_utils.measurement.bottlenecks.bottlenecks`; what is proven is drawn in the
        colour of classical methods.
    rows : int
    """
    top = report.head(rows)[::-1]
    figure, axes = plt.subplots(figsize=(7, 0.9 + 0.32 * rows))
    labels = top["stage"] + ": " + top["segment"]
    hues = np.where(top["proven"], COLORS["classical"], COLORS["naive"])
    axes.hlines(range(len(top)), top["low"], top["high"], color=hues)
    axes.scatter(top["lost"], range(len(top)), color=hues, zorder=2)
    axes.axvline(0, color=INK, linewidth=0.8)
    axes.set(yticks=range(len(top)), yticklabels=labels, xlabel="profit lost (dollars)")
    grid(axes, "x")
    return figure
