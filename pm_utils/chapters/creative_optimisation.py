"""Chapter 09: off-policy estimators over many logs, held against the true value."""

from collections.abc import Callable

import numpy as np
import pandas as pd

from pm_utils.evaluation.bootstrap import bootstrap_weights, paired_interval
from pm_utils.inputs import columns, numbers
from pm_utils.market import Market, Policy
from pm_utils.measurement.off_policy import Estimate, evaluate_policy, reward_table


def repeat(
    market: Market,
    old: Policy | Callable,
    target: np.ndarray,
    context: np.ndarray,
    *,
    logs: int,
    size: int,
    misses: bool = False,
    interactions: bool = False,
) -> dict[str, list[Estimate]]:
    """Draw one log of the old policy after the other and evaluate the new policy on each.

    Explained in chapter ``creative-optimisation``.

    Parameters
    ----------
    market : Market
    old : Policy or callable
        As in `Market.impressions`.
    target : array of shape (N, M)
        The new policy's probabilities.
    context : array of shape (N, D)
        What the reward model sees.
    logs, size : int
        Number of logs and impressions in each.
    misses : bool
        Let the reward be 1 where nobody clicks, rather than where somebody does.
    interactions : bool
        Whether the reward model gives every ad its own coefficients, as in `reward_table`.

    Returns
    -------
    dict of str to list of Estimate
        For each estimator, one per log.
    """
    found = {name: [] for name in ("DM", "IPS", "SNIPS", "DR")}
    for number in range(logs):
        log = market.impressions(old, size, start=number * size)
        reward = (log.click != misses).astype(float)
        rows = log.customer, log.creative, reward
        table = reward_table(context, target.shape[1], *rows, interactions=interactions)
        for name, estimate in evaluate_policy(log, target, table, reward=reward).items():
            found[name].append(estimate)
    return found


def score(found: dict[str, list[Estimate]], truth: float) -> pd.DataFrame:
    """Hold the estimates of many logs against the true value.

    Explained in chapter ``creative-optimisation``.

    Returns
    -------
    DataFrame
        For each estimator: mean ``relative error``, relative ``bias``, the share of logs whose
        ``95 % interval holds`` the truth, and the mean ``effective size``.

    Examples
    --------
    Two logs: one estimate is 10 % too low, but its interval holds the truth; one is 20 % too high.

    >>> from pm_utils.chapters.creative_optimisation import score
    >>> from pm_utils.measurement.off_policy import Estimate
    >>> found = {"IPS": [Estimate(0.9, 0.8, 1.0, 50.0), Estimate(1.2, 1.1, 1.3, 50.0)]}
    >>> score(found, truth=1.0).round(2)
         relative error  bias  95 % interval holds  effective size
    IPS            0.15  0.05                  0.5            50.0
    """
    rows = {}
    for name, many in found.items():
        error = np.array([one.value for one in many]) / truth - 1
        holds = np.mean([one.covers(truth) for one in many])
        effective = np.mean([one.effective_size for one in many])
        rows[name] = [np.abs(error).mean(), error.mean(), holds, effective]
    columns = ["relative error", "bias", "95 % interval holds", "effective size"]
    return pd.DataFrame(rows, index=columns).T


def compare_errors(
    error: pd.DataFrame, pairs: list[tuple[str, str]], *, repeats: int, seed: int
) -> pd.DataFrame:
    """Say which of two estimators errs less, by intervals over logs.

    Explained in chapter ``creative-optimisation``.

    Parameters
    ----------
    error : DataFrame
        One row per log, one column per estimator.
    pairs : list of (str, str)
        A baseline, and the estimator that is compared with it.
    repeats, seed : int
        Resamples of the logs.

    Returns
    -------
    DataFrame
        Mean error ``saved``, the 95 % interval ``from`` … ``to``, and the ``verdict``, which is
        *better* or *worse* only where the interval excludes zero.

    Raises
    ------
    KeyError
        When an estimator is missing.
    ValueError
        When an error is not finite.

    Examples
    --------
    >>> import pandas as pd
    >>> from pm_utils.chapters.creative_optimisation import compare_errors
    >>> error = pd.DataFrame({"IPS": [0.25, 0.5, 0.75], "DR": [0.125, 0.375, 0.625]})  # three logs
    >>> table = compare_errors(error, [("IPS", "DR")], repeats=10, seed=0)
    >>> table.loc["DR against IPS", ["saved", "verdict"]].astype(str).tolist()
    ['0.125', 'better']
    """
    numbers(columns(error, list(dict.fromkeys(sum(map(tuple, pairs), ()))), "error"), "error")
    weights, rows = bootstrap_weights(len(error), repeats, seed), {}
    for baseline, name in pairs:
        first, second = error[baseline].to_numpy(), error[name].to_numpy()
        low, high = paired_interval(first, second, weights)
        verdict = "better" if low > 0 else "worse" if high < 0 else "cannot be told apart"
        rows[f"{name} against {baseline}"] = [(first - second).mean(), low, high, verdict]
    return pd.DataFrame(rows, index=["saved", "from", "to", "verdict"]).T
