"""Chapter 11: readings of the formula, the holdout, and the models tried on the shop."""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd

from pm_utils.formulas import discount_factor_from_rate
from pm_utils.lifetime.baselines import fitted_dollars, lifetime_baselines
from pm_utils.lifetime.btyd import BetaGeoNBD
from pm_utils.lifetime.discounting import retained_value
from pm_utils.lifetime.ensemble import ValueEnsemble, ValueRows, scaled
from pm_utils.lifetime.scores import value_score_table


def readings(
    revenue: float, cost: float, *, rate: float, leaving: float, horizons: Iterable[float]
) -> pd.DataFrame:
    """Work out four readings of the lifetime value of one customer of constant cash flows.

    Explained in chapter ``lifetime-value``.

    Parameters
    ----------
    revenue, cost : float
        Dollars per period.
    rate, leaving : float
        Discount rate, and the share of customers who leave, per period.
    horizons : iterable of float
        Periods; infinity for no end.

    Returns
    -------
    DataFrame
        Indexed by horizon: ``as printed`` in the source (costs not discounted), ``rate for the
        factor`` (γ taken for a rate), ``corrected``, and ``with leaving``, in dollars.

    Examples
    --------
    A margin of 10 dollars a period without end: at a rate of 25 %, γ is 0.8 and the sum is
    10 / (1 - 0.8); if a quarter leaves each period, it is 10 / (1 - 0.6).

    >>> import numpy as np
    >>> from pm_utils.chapters.lifetime_value import readings
    >>> table = readings(30, 20, rate=0.25, leaving=0.25, horizons=[np.inf])
    >>> table.loc["no end", ["corrected", "with leaving"]].round(2).tolist()
    [50.0, 25.0]
    """
    factor, margin, rows = discount_factor_from_rate(rate), revenue - cost, {}
    for periods in horizons:
        name = "no end" if np.isinf(periods) else f"{periods:g}"
        rows[name] = {
            "as printed": retained_value(revenue, factor, periods=periods) - cost * periods,
            "rate for the factor": retained_value(margin, rate, periods=periods),
            "corrected": retained_value(margin, factor, periods=periods),
            "with leaving": retained_value(margin, factor, retention=1 - leaving, periods=periods),
        }
    return pd.DataFrame(rows).T.astype(float).rename_axis("periods")


def holdout_facts(
    model: BetaGeoNBD, history: Sequence[np.ndarray], came: np.ndarray, weeks: float
) -> dict[str, float]:
    """Hold a fitted model against the orders that came.

    Explained in chapter ``lifetime-value``.

    Parameters
    ----------
    model : BetaGeoNBD
    history : (frequency, recency, age), arrays of shape (N,)
    came : array of shape (N,)
        Days with an order in the weeks after.
    weeks : float

    Returns
    -------
    dict
        ``rate`` (mean orders per week) and ``leaving`` (mean probability after an order) as fitted;
        ``orders_ratio`` and ``naive_ratio``, orders expected by the model and by the past rate over
        those that came; ``silent`` and ``silent_expected``, customers without any; ``long``,
        customers silent for more than eight weeks before, and ``long_ratio``, orders that came from
        them over those expected.
    """
    x, t_x, T = history
    expected, long = model.expected_orders(weeks, *history), T - t_x > 8
    return {
        "rate": model.r / model.alpha,
        "leaving": model.a / (model.a + model.b),
        "orders_ratio": expected.sum() / came.sum(),
        "naive_ratio": (weeks * x / np.maximum(T, 1 / 7)).sum() / came.sum(),
        "silent": (came == 0).sum(),
        "silent_expected": model.probability_no_order(weeks, *history).sum(),
        "long": long.sum(),
        "long_ratio": came[long].sum() / expected[long].sum(),
    }


def null_dollars(
    rows: ValueRows, later: ValueRows, *, shuffles: int, seed: int, **settings: Any
) -> list[np.ndarray]:
    """Train one network per shuffle of the targets, and return what each predicts → (N,) each.

    Explained in chapter ``lifetime-value``.
    """
    rng, found = np.random.default_rng([seed, 11]), []
    for shuffle in range(shuffles):
        shuffled = replace(rows, value=rng.permutation(rows.value))
        net = ValueEnsemble.train(shuffled, members=1, seed=seed + 100 + shuffle, **settings)
        found.append(net.predict(later))
    return found


Views = dict[str, tuple[ValueRows, ValueRows]]
PROFILE = ", profile"
MODEL_KINDS = ("network", "Poisson", "boosting")


def shop_views(train: ValueRows, later: ValueRows) -> Views:
    """Scale two sets of the shop's rows and give them without (""), and with (", profile").

    Explained in chapter ``lifetime-value``.
    """
    both = scaled(train, later)
    return {"": tuple(rows.without_profile() for rows in both), PROFILE: both}


def try_models(views: Views, *, seed: int, **settings: Any) -> tuple[pd.DataFrame, dict[str, str]]:
    """Train every candidate on the first rows of each view and judge it on the second.

    Explained in chapter ``lifetime-value``.

    Parameters
    ----------
    views : dict
        From `shop_views`.
    seed : int
    **settings
        As in `ValueEnsemble.train`.

    Returns
    -------
    table : DataFrame
        Scores; rows named by model and view.
    best : dict of str
        For each of `MODEL_KINDS` the row with the largest normalised Gini.
    """
    dollars = {}
    for view, (train, later) in views.items():
        for name, model in lifetime_baselines(seed).items():
            dollars[name + view] = fitted_dollars(model, train, later)
        ensemble = ValueEnsemble.train(train, seed=seed, **settings)
        dollars["network" + view] = ensemble.predict(later)
    table = value_score_table(next(iter(views.values()))[1].value, dollars)
    gini = table["normalised Gini"]
    return table, {kind: gini[gini.index.str.startswith(kind)].idxmax() for kind in MODEL_KINDS}


def chosen_view(views: Views, name: str) -> tuple[ValueRows, ValueRows]:
    """Return the rows that a model of `try_models` reads, by its name.

    Explained in chapter ``lifetime-value``.
    """
    return views[PROFILE if name.endswith(PROFILE) else ""]


def chosen_baselines(views: Views, best: dict[str, str], *, seed: int) -> dict[str, np.ndarray]:
    """Fit the chosen classical models again and return their dollars for the second rows.

    Explained in chapter ``lifetime-value``.
    """
    models = lifetime_baselines(seed)
    return {
        kind: fitted_dollars(
            models[best[kind].removesuffix(PROFILE)], *chosen_view(views, best[kind])
        )
        for kind in MODEL_KINDS[1:]
    }
