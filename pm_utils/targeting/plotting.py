"""Figures of contacts and lists: campaigns, calibration, profit, importance."""

from collections.abc import Sequence

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.dates import ConciseDateFormatter
from matplotlib.figure import Figure

from pm_utils.evaluation.calibration import reliability
from pm_utils.page.plots import COLORS, CYCLE, INK, grid
from pm_utils.targeting.lists import cumulative_gain, number_to_contact, profit_curve


def campaign_bars(contacts: pd.DataFrame) -> Figure:
    """Draw each campaign as a bar from start to end, with its type and number of contacts.

    Explained in chapter ``conversion``.

    Parameters
    ----------
    contacts : DataFrame
        From `pm_utils.targeting.redemption.contacts.contact_table`, with a column ``part``.
    """
    spans = contacts.groupby(["starts_on", "campaign_id"]).agg(
        end=("ends_on", "first"),
        part=("part", "first"),
        type=("campaign_type", "first"),
        size=("redeemed", "size"),
    )
    spans = spans.reset_index()
    figure, axes = plt.subplots(figsize=(7, 4))
    parts = list(dict.fromkeys(contacts["part"]))
    for place, one in enumerate(spans[::-1].itertuples()):
        color = CYCLE[parts.index(one.part)]
        axes.barh(place, one.end - one.starts_on, left=one.starts_on, color=color, alpha=0.8)
        label = f" {str(one.type).removeprefix('Type ')}, {one.size:,}"
        axes.text(one.end, place, label, va="center", fontsize=8)
    axes.set(yticks=[], ylabel="campaigns", xlim=(None, spans["end"].max() + pd.Timedelta("50D")))
    axes.xaxis.set_major_formatter(ConciseDateFormatter(axes.xaxis.get_major_locator()))
    patches = [plt.Rectangle((0, 0), 1, 1, color=CYCLE[k], alpha=0.8) for k in range(len(parts))]
    figure.legend(patches, parts, ncols=len(parts), loc="outside upper center")
    grid(axes, "x")
    return figure


def reliability_lines(
    target: np.ndarray, probabilities: dict[str, np.ndarray], kinds: Sequence[str]
) -> Figure:
    """Draw observed rates over predicted probabilities in ten bins, a line per model.

    Explained in chapter ``conversion``.

    Parameters
    ----------
    target : array of shape (N,), 0 or 1
    probabilities : dict of arrays of shape (N,)
    kinds : sequence of str
        A name in `pm_utils.page.plots.COLORS` for each model. Where one comes again, its line is
        dashed and its dots are hollow.
    """
    figure, axes = plt.subplots(figsize=(5.5, 4.2))
    tables = [reliability(target, probability) for probability in probabilities.values()]
    end = max(table[["predicted", "observed"]].to_numpy().max() for table in tables)
    axes.plot([0, end], [0, end], ":", color=INK, label="predicted = observed")
    for place, (name, table, kind) in enumerate(zip(probabilities, tables, kinds, strict=True)):
        again = {"linestyle": "--", "markerfacecolor": "none"} if kind in kinds[:place] else {}
        ends = table["predicted"], table["observed"]
        axes.plot(*ends, marker="o", color=COLORS[kind], label=name, **again)
    axes.set(xlabel="predicted chance", ylabel="share that redeemed")
    axes.legend()
    grid(axes)
    return figure


def gain_lines(target: np.ndarray, scores: dict[str, np.ndarray], colors: dict[str, str]) -> Figure:
    """Draw the share of redeemers reached over the share of contacts made, a line per model.

    Explained in chapter ``conversion``.

    Parameters
    ----------
    target : array of shape (N,), 0 or 1
    scores : dict of arrays of shape (N,)
    colors : dict
        A colour for each model.
    """
    figure, axes = plt.subplots(figsize=(5.5, 3.8))
    share = np.linspace(0, 1, len(target) + 1)
    axes.plot([0, 1], [0, 1], ":", color=INK, label="at random")
    for name, score in scores.items():
        axes.plot(share, cumulative_gain(target, score), color=colors[name], label=name)
    axes.set(xlabel="share of contacts", ylabel="share of redeemers reached")
    axes.legend()
    grid(axes)
    return figure


def profit_lines(
    target: np.ndarray,
    probabilities: dict[str, np.ndarray],
    colors: dict[str, str],
    *,
    margin: float,
    cost: float,
) -> Figure:
    """Draw expected (dashed) and realised profit over the number of contacts, a pair per model.

    Explained in chapter ``conversion``.

    Parameters
    ----------
    target : array of shape (N,), 0 or 1
    probabilities : dict of arrays of shape (N,)
    colors : dict
        A colour for each model.
    margin, cost : float
        Dollars, as in `pm_utils.targeting.lists.profit_curve`. A dot marks where each list ends.
    """
    figure, axes = plt.subplots(figsize=(6, 3.8))
    for name, probability in probabilities.items():
        for outcome, style, label in ((probability, "--", "expected"), (target, "-", "came")):
            curve = profit_curve(outcome, probability, margin=margin, cost=cost)
            axes.plot(curve, style, color=colors[name], label=f"{name}, {label}")
        count = number_to_contact(probability, margin=margin, cost=cost)
        axes.plot(count, curve[count], "o", markersize=8, color=colors[name])
    axes.set(xlabel="contacts, best first", ylabel="profit (dollars)")
    axes.legend()
    grid(axes)
    return figure


def importance_bars(table: pd.DataFrame) -> Figure:
    """Draw the AUC lost per group of features, the most important at the top.

    Explained in chapter ``conversion``.

    Parameters
    ----------
    table : DataFrame
        From `pm_utils.evaluation.importance.permutation_importance`.
    """
    figure, axes = plt.subplots(figsize=(6.5, 0.7 + 0.32 * len(table)))
    upward = table[::-1]
    axes.barh(upward.index, upward["loss"], color=COLORS["deep"], alpha=0.7)
    axes.hlines(upward.index, upward["low"], upward["high"], color=INK)
    axes.axvline(0, color=INK, linewidth=0.8)
    axes.set_xlabel("AUC lost")
    grid(axes, "x")
    return figure
