"""Gaps between groups of customers in what a list does."""

import numpy as np
import pandas as pd

from pm_utils.data.levels import merge_levels
from pm_utils.evaluation.bootstrap import percentile_interval
from pm_utils.inputs import aligned_weights, booleans, columns, numbers, probabilities


def group_gaps(
    target: np.ndarray,
    probability: np.ndarray,
    group: pd.Series,
    weight: np.ndarray,
    *,
    share: float,
) -> pd.DataFrame:
    """Compare groups: how often they redeem, what is predicted, and which redeemers are reached.

    Parameters
    ----------
    target : array of shape (N,), 0 or 1
    probability : array of shape (N,)
    group : Series of length N
        Missing where a household did not tell; such rows are left out. Matched by index with
        those of `target` and `probability` that carry one.
    weight : array of shape (R, N)
        How often each row enters each resample, in the order of the first input with an index; the
        columns of a table of pandas are matched with the rows.
    share : float
        The best `share` of all N rows are contacted. Where rows of equal probability meet the end
        of the list, each of them is contacted in part.

    Returns
    -------
    DataFrame
        Per group ``contacts``, ``redeemed``, ``predicted``, ``gap`` (predicted minus redeemed) with
        its 95 % interval ``gap_low, gap_high``, and ``reached``, the share of the group's redeemers
        who are contacted, with ``reached_low, reached_high``.

    Raises
    ------
    ValueError
        When a target is neither 0 nor 1, a probability or the share lies outside [0, 1], a weight
        is negative or not finite, a group has no positive, or the rows do not belong together.

    References
    ----------
    Hardt, Price & Srebro (2016), Equality of opportunity in supervised learning.

    Examples
    --------
    A weight of 1 for every row is the sample itself, so each interval is a point. The best half is
    contacted: both are of group b, so no redeemer of group a is reached.

    >>> import numpy as np
    >>> import pandas as pd
    >>> from pm_utils.targeting.fairness import group_gaps
    >>> target, probability = np.array([1, 0, 1, 0]), np.array([0.25, 0.25, 0.75, 0.5])
    >>> group = pd.Series(["a", "a", "b", "b"])
    >>> gaps = group_gaps(target, probability, group, np.ones((1, 4)), share=0.5)
    >>> gaps[["redeemed", "predicted", "gap", "reached"]]
       redeemed  predicted    gap  reached
    a       0.5      0.250 -0.250      0.0
    b       0.5      0.625  0.125      1.0
    """
    weight, target, probability, group = aligned_weights(
        weight, target=target, probability=probability, group=group
    )
    target = booleans(target, "target").astype(float)
    probability = probabilities(probability, "probability").astype(float)
    weight = numbers(weight, "weight", low=0, ndim=2)
    if weight.shape[1] != len(target):
        raise ValueError(f"weight has shape {weight.shape}: give a column for each of the rows")
    contacted = _contacted(probability, round(float(probabilities(share, "share")) * len(target)))
    group, rows = pd.Series(group), {}
    for level in group.dropna().unique():
        of = (group == level).to_numpy(bool, na_value=False)
        t, p, reach, w = target[of], probability[of], contacted[of], weight[:, of]
        if not t.any():
            raise ValueError(
                f"group {level!r} has no positive among its {len(t):,} rows: none could be "
                "reached; join it with another group or leave it out"
            )
        with np.errstate(invalid="ignore", divide="ignore"):
            gaps = w @ (p - t) / w.sum(1)
            reached = w @ (t * reach) / (w @ t)
        rows[level] = {
            "contacts": len(t),
            "redeemed": t.mean(),
            "predicted": p.mean(),
            "gap": (p - t).mean(),
            **dict(zip(("gap_low", "gap_high"), percentile_interval(gaps), strict=True)),
            "reached": reach[t > 0].mean(),
            **dict(zip(("reached_low", "reached_high"), percentile_interval(reached), strict=True)),
        }
    return pd.DataFrame(rows).T.sort_index()


def _contacted(score: np.ndarray, count: int) -> np.ndarray:
    """Return how much of each row is among the best → (N,); equal scores share what is left."""
    if not count:
        return np.zeros(len(score))
    last = np.sort(score)[-count]
    above, at = score > last, score == last
    return above + at * (count - above.sum()) / at.sum()


AGE_BANDS = {"under 35": 2, "35-54": 4, "55 and over": 6}  # with the number of levels up to each
INCOME_BANDS = {"under 35K": 3, "35-74K": 5, "75K and more": 12}


def gaps_by_age_and_income(
    target: np.ndarray,
    probability: np.ndarray,
    demographics: pd.DataFrame,
    weight: np.ndarray,
    *,
    share: float,
) -> pd.DataFrame:
    """Compare three bands of age and three of income by `group_gaps`.

    Explained in chapter ``conversion``.

    Parameters
    ----------
    target, probability, weight, share
        As in `group_gaps`.
    demographics : DataFrame of length N
        ``age_group`` and ``income`` of each row's household, missing where not told.

    Returns
    -------
    DataFrame
        Indexed by question and band, the bands in order.

    Raises
    ------
    KeyError
        When a column is missing.
    ValueError
        As `group_gaps` and `pm_utils.data.levels.merge_levels`.
    """
    demographics = columns(demographics, ["age_group", "income"], "demographics")
    parts = {}
    for name, bands in {"age_group": AGE_BANDS, "income": INCOME_BANDS}.items():
        band = merge_levels(demographics[name], bands).astype(object)
        table = group_gaps(target, probability, band, weight, share=share)
        parts[name] = table.reindex([level for level in bands if level in table.index])
    return pd.concat(parts)


def gaps_as_text(gaps: pd.DataFrame) -> pd.DataFrame:
    """Write a table of `group_gaps` for a page: each interval in one cell, as "low to high".

    Explained in chapter ``conversion``.

    Parameters
    ----------
    gaps : DataFrame
        From `group_gaps` or `gaps_by_age_and_income`.

    Returns
    -------
    DataFrame
        ``contacts``, ``gap`` and ``reached`` with their intervals, all as text.

    Examples
    --------
    >>> import pandas as pd
    >>> from pm_utils.targeting.fairness import gaps_as_text
    >>> row = {"contacts": 1200, "gap": -0.1, "gap_low": -0.15, "gap_high": -0.05}
    >>> row |= {"reached": 0.5, "reached_low": 0.4, "reached_high": 0.6}
    >>> gaps_as_text(pd.DataFrame([row], ["a"])).T
                                    a
    contacts                    1,200
    gap                         -0.10
    gap: interval      -0.15 to -0.05
    reached                      0.50
    reached: interval    0.40 to 0.60
    """
    told = {"contacts": gaps["contacts"].map("{:,.0f}".format)}
    for name, form in {"gap": "{:+.2f}", "reached": "{:.2f}"}.items():
        low, high = (gaps[f"{name}_{end}"].map(form.format) for end in ("low", "high"))
        told |= {name: gaps[name].map(form.format), f"{name}: interval": low + " to " + high}
    return pd.DataFrame(told)
