"""Figures of chapter 12."""

from collections.abc import Sequence

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from pm_utils.decisions.budget_env import Forecast
from pm_utils.decisions.planning import LagrangianPlans
from pm_utils.evaluation.replications import mean_and_margin
from pm_utils.page.plots import COLORS, CYCLE, INK, grid

HUES = {
    "random": CYCLE[4],
    "always send": COLORS["naive"],
    "greedy": CYCLE[3],
    "highest chance": CYCLE[4],
    "tuned threshold": CYCLE[6],
    "frequency cap": CYCLE[5],
    "network": COLORS["deep"],
    "each alone": COLORS["classical"],
    "exact plan": COLORS["limit"],
    "cut for an end": CYCLE[7],
    "null": COLORS["null"],
}


def flight_figure(forecast: Forecast, names: Sequence[str], weeks: int) -> Figure:
    """Draw what a flight gains by the fatigue it meets: in its week, and over the campaign.

    Explained in chapter ``budget-policy``.

    Parameters
    ----------
    forecast : Forecast
        Of a few customers, a panel each.
    names : sequence of str
        Their titles.
    weeks : int
        Of the campaign; the figure shows its middle.
    """
    plans, middle = LagrangianPlans(forecast, weeks), weeks // 2
    _, gains = plans.solve(0.0)
    fatigue, order = plans.fatigue[middle], np.argsort(plans.fatigue[middle])
    tired = np.broadcast_to(fatigue[:, None], (len(fatigue), len(forecast)))
    value = forecast.immediate(tired, weeks - 1 - middle)
    now = value[..., 1:].max(-1) - value[..., 0]
    figure, panels = plt.subplots(1, len(names), figsize=(7, 2.8), squeeze=False)
    for number, (panel, name) in enumerate(zip(panels[0], names, strict=True)):
        panel.plot(fatigue[order], now[order, number], "--", color=HUES["greedy"], label="its week")
        whole = gains[middle][order, number]
        panel.plot(fatigue[order], whole, color=COLORS["limit"], label="all weeks")
        panel.axhline(0, color=INK, linewidth=0.8)
        grid(panel).set(title=name, xlabel="fatigue (impressions)")
    panels[0, 0].set_ylabel("gain of a flight ($)")
    handles = panels[0, 0].get_legend_handles_labels()
    figure.legend(*handles, loc="outside upper center", ncols=2)
    return figure


def plans_figure(paths: dict[str, np.ndarray]) -> Figure:
    """Draw who gets a flight in which week.

    Explained in chapter ``budget-policy``.

    Parameters
    ----------
    paths : dict of arrays of shape (weeks, 2)
        The ad of each week by policy, 0 for none; the first policy is drawn on top.
    """
    figure, axes = plt.subplots(figsize=(7, 0.9 + 0.42 * len(paths)))
    for row, (name, path) in enumerate(reversed(paths.items())):
        for customer, marker in enumerate("os"):
            height = row + (0.14, -0.14)[customer]
            sent = np.flatnonzero(path[:, customer])
            axes.plot(sent + 1, np.full(len(sent), height), marker, color=HUES[name])
            axes.plot(1 + np.arange(len(path)), np.full(len(path), height), ",", color=INK)
    axes.set_yticks(range(len(paths)), list(reversed(paths)))
    axes.set(xlabel="week (circles: one customer, squares: the other)")
    axes.set_xticks(1 + np.arange(len(path)))
    return figure


def learning_figure(curves: pd.DataFrame, threshold: float) -> Figure:
    """Draw mean shares of the optimum while networks learn, with 95 % intervals over networks.

    Explained in chapter ``budget-policy``.

    Parameters
    ----------
    curves : DataFrame
        Columns ``step``, ``kind`` and ``share``, a row for each network and step.
    threshold : float
        Mean share of the tuned threshold.
    """
    figure, axes = plt.subplots(figsize=(7, 3.2))
    for kind, part in curves.groupby("kind", sort=False):
        ends = np.array(
            [[s, *mean_and_margin(each["share"])] for s, each in part.groupby("step")]
        ).T
        step, mean, half = ends
        axes.plot(step, mean, color=HUES[kind], label=kind)
        axes.fill_between(step, mean - half, mean + half, color=HUES[kind], alpha=0.2, linewidth=0)
    axes.axhline(1, color=COLORS["limit"], label="exact plan")
    axes.axhline(threshold, color=HUES["tuned threshold"], linestyle="--", label="tuned threshold")
    grid(axes).set(xlabel="steps of learning", ylabel="share of the optimum", ylim=(-0.5, 1.08))
    axes.legend(ncols=2, loc="lower right")
    return figure


def crowd_figure(shares: dict[str, np.ndarray], sent: dict[str, np.ndarray]) -> Figure:
    """Draw profit as a share of the bound with 95 % intervals, and flights by week.

    Explained in chapter ``budget-policy``.

    Parameters
    ----------
    shares : dict of arrays of shape (R,)
        By policy.
    sent : dict of arrays of shape (weeks,)
        Mean flights, of those policies that are to be drawn.
    """
    figure, (left, right) = plt.subplots(1, 2, figsize=(7, 3.2))
    for row, (name, each) in enumerate(shares.items()):
        mean, half = mean_and_margin(each)
        hue = HUES[name.rstrip(" 0123456789")]  # nulls are numbered
        left.plot([mean - half, mean + half], [row, row], color=hue)
        left.plot(mean, row, "o", color=hue)
    left.set_yticks(range(len(shares)), list(shares))
    left.axvline(1, color=COLORS["limit"], linestyle=":")
    grid(left, "x").set(xlabel="share of the bound")
    for (name, flights), style in zip(sent.items(), ("-", "--", "-.", ":"), strict=False):
        weeks = np.arange(1, len(flights) + 1)
        right.plot(weeks, flights, style, color=HUES[name], label=name)
    grid(right).set(xlabel="week", ylabel="flights", ylim=(0, None))
    right.legend()
    return figure


def size_figure(sizes: dict[str, np.ndarray], least: float) -> Figure:
    """Draw the effective size of a log, week by week, for each policy that is to be valued.

    Explained in chapter ``budget-policy``.

    Parameters
    ----------
    sizes : dict of arrays of shape (weeks,)
    least : float
        Drawn as a dotted line.
    """
    figure, axes = plt.subplots(figsize=(7, 3))
    for (name, size), marker, hue in zip(sizes.items(), "osD^vPX", CYCLE, strict=False):
        axes.plot(np.arange(1, len(size) + 1), size, color=hue, marker=marker, label=name)
    axes.axhline(least, linestyle=":", color=INK)
    grid(axes).set(xlabel="weeks that have to agree", ylabel="effective customers", yscale="log")
    axes.legend(ncols=2)
    return figure
