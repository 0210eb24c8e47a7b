"""From chances to a list of households: gain, profit, what drives a score, gaps between groups."""

from collections.abc import Callable

import numpy as np
import pandas as pd

from pm_utils.data.levels import merge_levels
from pm_utils.evaluation.bootstrap import interval
from pm_utils.evaluation.ranking import roc_auc


def cumulative_gain(target: np.ndarray, score: np.ndarray) -> np.ndarray:
    """Return the share of all positives among the k highest scores, for every k.

    Parameters
    ----------
    target : array of shape (N,), 0 or 1
    score : array of shape (N,)
        Ties keep their order.

    Returns
    -------
    array of shape (N + 1,)
        From 0 (nobody) to 1 (everybody).

    Raises
    ------
    ValueError
        When there is no positive.
    """
    ordered = np.asarray(target, float)[np.argsort(-np.asarray(score), kind="stable")]
    if not ordered.sum():
        raise ValueError("no positive: there is nothing to gain")
    return np.concatenate([[0.0], np.cumsum(ordered) / ordered.sum()])


def lift(target: np.ndarray, score: np.ndarray, share: float) -> float:
    """Return the rate among the best `share` of the rows over the rate of all.

    Parameters
    ----------
    target, score
        As in `cumulative_gain`.
    share : float
        Between 0 and 1.

    Returns
    -------
    float
        1 for a random order.
    """
    k = max(1, round(share * len(target)))
    return float(cumulative_gain(target, score)[k] * len(target) / k)


def profit_curve(
    outcome: np.ndarray, order_by: np.ndarray, *, margin: float, cost: float
) -> np.ndarray:
    """Return the profit of contacting the k best rows, for every k.

    Parameters
    ----------
    outcome : array of shape (N,)
        Redeemed (0 or 1), which gives what came, or chances, which give what is expected.
    order_by : array of shape (N,)
        Contacts are made in descending order.
    margin, cost : float
        Dollars earned by a redeemed contact and paid for any contact.

    Returns
    -------
    array of shape (N + 1,)
        Dollars; 0 for nobody.

    Raises
    ------
    ValueError
        When margin or cost is not positive.
    """
    if margin <= 0 or cost <= 0:
        raise ValueError(f"margin is {margin} and cost {cost}: give dollars above zero")
    ordered = np.asarray(outcome, float)[np.argsort(-np.asarray(order_by), kind="stable")]
    return np.concatenate([[0.0], np.cumsum(ordered * margin - cost)])


def number_to_contact(chance: np.ndarray, *, margin: float, cost: float) -> int:
    """Return how many to contact: those whose expected margin exceeds the cost.

    Parameters
    ----------
    chance : array of shape (N,)
        Calibrated probabilities.
    margin, cost : float
        As in `profit_curve`.

    Returns
    -------
    int
    """
    return int((np.asarray(chance) * margin > cost).sum())


def permutation_importance(
    score: Callable[[pd.DataFrame], np.ndarray],
    features: pd.DataFrame,
    target: np.ndarray,
    groups: dict[str, list[str]],
    *,
    repeats: int,
    seed: int,
) -> pd.DataFrame:
    """Measure how much AUC is lost when the columns of a group change rows together.

    Parameters
    ----------
    score : callable
        ``score(features)`` → array of shape (N,).
    features : DataFrame of shape (N, F)
    target : array of shape (N,), 0 or 1
    groups : dict
        Names of columns by the name of their group; correlated columns belong together.
    repeats, seed : int
        Permutations per group.

    Returns
    -------
    DataFrame
        Per group ``loss`` (mean), ``low`` and ``high`` (least and most over permutations), the
        most important first.

    References
    ----------
    Breiman (2001), Random forests, §10.
    """
    rng = np.random.default_rng(seed)
    whole, values = roc_auc(target, score(features)), features.to_numpy(float)
    losses = {}
    for name, columns in groups.items():
        lost, place = [], features.columns.get_indexer(columns)
        for _ in range(repeats):
            mixed = values.copy()
            mixed[:, place] = values[rng.permutation(len(values))][:, place]
            table = pd.DataFrame(mixed, features.index, features.columns)
            lost.append(whole - roc_auc(target, score(table)))
        losses[name] = {"loss": np.mean(lost), "low": np.min(lost), "high": np.max(lost)}
    return pd.DataFrame(losses).T.sort_values("loss", ascending=False)


def group_gaps(
    target: np.ndarray,
    chance: np.ndarray,
    group: pd.Series,
    weight: np.ndarray,
    *,
    share: float,
) -> pd.DataFrame:
    """Compare groups: how often they redeem, what is predicted, and which redeemers are reached.

    Parameters
    ----------
    target, chance : arrays of shape (N,)
    group : Series of length N
        Missing where a household did not tell; such rows are left out.
    weight : array of shape (R, N)
        How often each row enters each resample.
    share : float
        The best `share` of all N rows are contacted.

    Returns
    -------
    DataFrame
        Per group ``contacts``, ``redeemed``, ``predicted``, ``gap`` (predicted minus redeemed) with
        its 95 % interval ``gap_low, gap_high``, and ``reached``, the share of the group's redeemers
        who are contacted, with ``reached_low, reached_high``.

    References
    ----------
    Hardt, Price & Srebro (2016), Equality of opportunity in supervised learning.
    """
    target, chance = np.asarray(target, float), np.asarray(chance, float)
    listed = np.zeros(len(chance), bool)
    listed[np.argsort(-chance, kind="stable")[: round(share * len(chance))]] = True
    rows = {}
    for level in group.dropna().unique():
        of = (group == level).to_numpy(bool, na_value=False)
        t, c, came, w = target[of], chance[of], listed[of], weight[:, of]
        with np.errstate(invalid="ignore", divide="ignore"):
            gaps = w @ (c - t) / w.sum(1)
            reached = w @ (t * came) / (w @ t)
        rows[level] = {
            "contacts": len(t),
            "redeemed": t.mean(),
            "predicted": c.mean(),
            "gap": (c - t).mean(),
            **dict(zip(("gap_low", "gap_high"), interval(gaps), strict=True)),
            "reached": came[t > 0].mean() if t.any() else np.nan,
            **dict(zip(("reached_low", "reached_high"), interval(reached), strict=True)),
        }
    return pd.DataFrame(rows).T.sort_index()


AGES = {"under 35": 2, "35-54": 4, "55 and over": 6}  # with the number of levels up to each
INCOMES = {"under 35K": 3, "35-74K": 5, "75K and more": 12}


def gaps_by_age_and_income(
    target: np.ndarray,
    chance: np.ndarray,
    told: pd.DataFrame,
    weight: np.ndarray,
    *,
    share: float,
) -> pd.DataFrame:
    """Compare three bands of age and three of income by `group_gaps`.

    Parameters
    ----------
    target, chance, weight, share
        As in `group_gaps`.
    told : DataFrame of length N
        ``age_group`` and ``income`` of each row's household, missing where not told.

    Returns
    -------
    DataFrame
        Indexed by question and band, the bands in order.
    """
    parts = {}
    for name, bands in {"age_group": AGES, "income": INCOMES}.items():
        band = merge_levels(told[name], bands).astype(object)
        table = group_gaps(target, chance, band, weight, share=share)
        parts[name] = table.reindex([level for level in bands if level in table.index])
    return pd.concat(parts)


def gaps_as_text(gaps: pd.DataFrame) -> pd.DataFrame:
    """Write a table of `group_gaps` for a page: each interval in one cell, as "low to high".

    Parameters
    ----------
    gaps : DataFrame
        From `group_gaps` or `gaps_by_age_and_income`.

    Returns
    -------
    DataFrame
        ``contacts``, ``gap`` and ``reached`` with their intervals, all as text.
    """
    columns = {"contacts": gaps["contacts"].map("{:,.0f}".format)}
    for name, form in {"gap": "{:+.2f}", "reached": "{:.2f}"}.items():
        low, high = (gaps[f"{name}_{end}"].map(form.format) for end in ("low", "high"))
        columns |= {name: gaps[name].map(form.format), f"{name}: interval": low + " to " + high}
    return pd.DataFrame(columns)
