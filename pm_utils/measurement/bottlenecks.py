"""Where a funnel leaks profit: stages of segments against what they once attained."""

from collections.abc import Sequence
from functools import lru_cache

import numpy as np
import pandas as pd
from scipy.stats import norm

from pm_utils.evaluation.bootstrap import bootstrap_weights
from pm_utils.inputs import aligned, columns, like, numbered, numbers, policy, share, whole_numbers
from pm_utils.market import ImpressionLog
from pm_utils.measurement.funnel import MARKET_STAGES, market_funnel

# What leaks, in dollars


def stage_sums(
    log: ImpressionLog,
    profit: np.ndarray,
    segment: np.ndarray,
    *,
    weight: np.ndarray | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """Sum up each customer's funnel by segment, ready for resampling.

    Explained in chapter ``funnel``.

    Parameters
    ----------
    log : ImpressionLog
    profit : array of shape (n,)
        Dollars that each impression's order brought; 0 without one.
    segment : array of shape (N,), integers from 0
        Of each customer. The log calls impressions and customers by number: the index of a Series
        must hold the numbers from 0.
    weight : array of shape (n,), optional
        How much each impression counts, as from `weights_for_the_ads_of`; by default 1.

    Returns
    -------
    array of shape (N, 5)
        Impressions, clicks, visits, orders, dollars.
    array of shape (N, G)
        1 in the column of the customer's segment.

    Raises
    ------
    ValueError
        When a profit is not finite, a segment is no whole number from 0, an index holds other
        labels than the numbers from 0, a weight is negative, or `market_funnel` raises.
    """
    segment = whole_numbers(numbered(segment, "segment"), "segment")
    profit = numbers(numbered(profit, "profit"), "profit", ndim=1)
    if len(profit) != len(log):
        raise ValueError(f"profit has {len(profit):,} rows for {len(log):,} impressions: give each")
    groups, size = np.eye(segment.max() + 1)[segment], len(segment)
    if weight is None:
        funnel = market_funnel(log, size).to_numpy(float)
        dollars = np.bincount(log.customer, profit, minlength=size)
        return np.column_stack([funnel, dollars]), groups
    weight = numbers(numbered(weight, "weight"), "weight", low=0, ndim=1)
    if len(weight) != len(log):
        raise ValueError(f"weight has {len(weight):,} rows for {len(log):,} impressions: give each")
    customer = whole_numbers(log.customer, "customer", high=size - 1)
    counted = 1.0, log.click, log.visit, log.conversion, profit
    sums = [np.bincount(customer, weight * each, minlength=size) for each in counted]
    return np.column_stack(sums), groups


def weights_for_the_ads_of(now: ImpressionLog, before: ImpressionLog) -> np.ndarray:
    """Return weights for an earlier log that give each ad the share that it has in a later one.

    A log that shows other ads than before has other rates, though no stage is broken. Weighted so,
    the earlier log says what its rates would have been with the ads of the later one
    (standardisation).

    Parameters
    ----------
    now, before : ImpressionLog
        The weights are for `before`.

    Returns
    -------
    array of shape (n,)
        One for each impression of `before`, 1 on average where each ad of `now` is in it.

    Raises
    ------
    ValueError
        When an ad of `now` is not in `before`.

    Examples
    --------
    Now the second ad has three quarters of the impressions, where it had one half:

    >>> import numpy as np
    >>> from pm_utils.market import ImpressionLog
    >>> from pm_utils.measurement.bottlenecks import weights_for_the_ads_of
    >>> def shown(ads):
    ...     n = len(ads)
    ...     none, zero = np.zeros(n, bool), np.zeros(n)
    ...     who = np.zeros(n, int)
    ...     return ImpressionLog(who, np.array(ads), zero, zero + 0.5, none, none, none, zero, zero)
    >>> weights_for_the_ads_of(shown([0, 1, 1, 1]), shown([0, 0, 1, 1]))
    array([0.5, 0.5, 1.5, 1.5])
    """
    ads = [whole_numbers(log.creative, "creative") for log in (now, before)]
    size = max(each.max(initial=0) for each in ads) + 1
    share_now, share_before = (np.bincount(each, minlength=size) / len(each) for each in ads)
    if (missing := np.flatnonzero((share_before == 0) & (share_now > 0))).size:
        raise ValueError(f"ad {missing[0]} is not in the earlier log: its rates are not known")
    return _ratio(share_now, share_before)[ads[1]]


def order_profit(log: ImpressionLog, discount: np.ndarray, margin: float) -> np.ndarray:
    """Return the margin of each impression's order less its discount, in dollars → (n,).

    Parameters
    ----------
    log : ImpressionLog
    discount : array of shape (M,)
        Share of an order's list price that each ad's discount takes off; the index of a Series
        must hold the ads' numbers from 0.
    margin : float
        Share of the list price.

    Raises
    ------
    ValueError
        When a discount is not from 0 to below 1, an ad has none, the margin is no share, or an
        order's value is negative or not finite.
    """
    discount = numbers(numbered(discount, "discount"), "discount", low=0, ndim=1)
    if (discount >= 1).any():
        raise ValueError(f"discount is {discount.max():g}: an ad that takes off all has no price")
    margin = float(numbers(margin, "margin", low=-1, high=1, ndim=0))
    off = discount[whole_numbers(log.creative, "creative", high=len(discount) - 1)]
    return numbers(log.order_value, "order_value", low=0) * (margin - off) / (1 - off)


def lost_profit(now: np.ndarray, before: np.ndarray) -> np.ndarray:
    r"""Return the dollars that each stage misses at its present rate.

    With R the present rates, A the attainable ones, n the impressions and v the profit per order,
    stage s of a segment loses :math:`n \, v \, (A_s - R_s) \prod_{t \ne s} R_t`: one stage is
    mended and the others stay as they are.

    Parameters
    ----------
    now, before : arrays of shape (..., 5)
        Impressions, clicks, visits, orders and dollars, now and when the funnel was healthy.

    Returns
    -------
    array of shape (..., 3)
        Negative where the present rate is the higher; 0 where a rate has nobody to count. The
        later stages of one that nobody passes any more count at their attainable rates.

    Raises
    ------
    ValueError
        When a number is not finite, a count is negative, or the rows cannot be matched.

    Examples
    --------
    Clicks have halved; all else is as it was, and an order still brings 30 dollars:

    >>> import numpy as np
    >>> from pm_utils.measurement.bottlenecks import lost_profit
    >>> before = np.array([1_000, 40, 36, 4, 120])
    >>> lost_profit(np.array([1_000, 20, 18, 2, 60]), before).round(2)
    array([60.,  0.,  0.])
    """
    given = now, before
    now, before = aligned(now=now, before=before)
    now, before = (numbers(each, name) for name, each in (("now", now), ("before", before)))
    for name, each in (("now", now), ("before", before)):
        numbers(each[..., :4], name, low=0)
    both = now + before
    value = _ratio(both[..., 4], both[..., 3])
    rate, attainable = (_ratio(each[..., 1:4], each[..., 0:3]) for each in (now, before))
    rate = np.where(now[..., 0:3] > 0, rate, attainable)
    others = np.stack([np.delete(rate, stage, axis=-1).prod(-1) for stage in range(3)], axis=-1)
    lost = (now[..., 0] * value)[..., None] * (attainable - rate) * others
    return like(np.where(before[..., 0:3] > 0, lost, 0.0), *given)


def _ratio(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    return np.divide(part, whole, out=np.zeros_like(part, dtype=float), where=whole > 0)


def bottlenecks(
    now: np.ndarray,
    before: np.ndarray,
    groups: np.ndarray,
    names: Sequence[str],
    *,
    repeats: int,
    seed: int,
    alpha: float = 0.05,
) -> pd.DataFrame:
    """Rank stages of segments by the profit that they lose against what they once attained.

    Whether a rate has fallen is tested as well, without dollars: by the difference of two
    proportions of the same customers, its variance under one common rate taken from the customers'
    residuals (`pm_utils.measurement.rates`), with Holm's correction for all cells.

    Parameters
    ----------
    now, before : arrays of shape (N, 5)
        From `stage_sums`, of a present and of a healthy log.
    groups : array of shape (N, G)
        1 in the column of each customer's segment.
    names : sequence of G str
    repeats, seed : int
        Resamples of customers, both logs of one together.
    alpha : float
        Probability that a healthy funnel is blamed anywhere: for losses divided among all cells
        (Bonferroni), for falls by Holm's method.

    Returns
    -------
    DataFrame
        One row per segment and stage, the largest proven loss first: ``stage``, ``segment``,
        ``rate``, ``attainable``, ``lost`` (dollars), its interval ``low`` and ``high`` at the
        divided level, ``proven``, whether that excludes zero from above, and ``fell``, whether the
        test finds that the rate has fallen.

    Raises
    ------
    ValueError
        When the shapes differ, a number is not finite, a count is negative, there are fewer than
        two customers or resamples, or a customer is not in exactly one segment.

    Examples
    --------
    >>> import numpy as np
    >>> from pm_utils.measurement.bottlenecks import bottlenecks, largest_proven_loss
    >>> before = np.tile([100, 10, 8, 4, 80], (20, 1))
    >>> now = before.copy()
    >>> now[:10, 1:] //= 2  # ten new customers click half as often
    >>> segments = np.repeat(np.eye(2), 10, axis=0)
    >>> report = bottlenecks(now, before, segments, ["new", "old"], repeats=50, seed=0)
    >>> report[["stage", "segment", "rate", "attainable", "lost", "proven"]].head(2)
       stage segment  rate  attainable   lost  proven
    0  click     new  0.05         0.1  400.0    True
    1  visit     new  0.80         0.8    0.0   False
    >>> largest_proven_loss(report)
    ('click', 'new')
    """
    now, before, groups = aligned(now=now, before=before, groups=groups)
    groups = policy(groups, "groups", options=len(names))
    now, before = (numbers(each, name, ndim=2) for name, each in (("now", now), ("before", before)))
    if now.shape != before.shape or now.shape[1] != 5 or len(now) < 2 or repeats < 2:
        raise ValueError(
            f"now is {now.shape}, before {before.shape}, {repeats} repeats: give (N, 5) for the "
            "same two customers or more, and two repeats or more"
        )
    alpha = share(alpha, "alpha")
    size, count = len(now), groups.shape[1]
    stages = list(MARKET_STAGES[1:])
    logs = (now, before)
    by_segment = [(groups[:, :, None] * each[:, None, :]).reshape(size, -1) for each in logs]
    sums = [each.sum(0).reshape(count, 5) for each in by_segment]
    weight = _resamples(size, repeats, seed)
    drawn = [(weight @ each).reshape(repeats, count, 5) for each in by_segment]
    lost = lost_profit(*sums)
    error = lost_profit(*drawn).std(axis=0, ddof=1)
    half = norm.ppf(1 - alpha / lost.size) * error
    rate, attainable = (_ratio(each[:, 1:4], each[:, 0:3]) for each in sums)
    table = pd.DataFrame(
        {
            "stage": np.tile(stages, count),
            "segment": np.repeat(list(names), len(stages)),
            "rate": rate.ravel(),
            "attainable": attainable.ravel(),
            "lost": lost.ravel(),
            "low": (lost - half).ravel(),
            "high": (lost + half).ravel(),
        }
    )
    table["proven"] = table["low"] > 0
    falls = _p_values_of_falls(*(each.reshape(size, count, 5) for each in by_segment))
    table["fell"] = _holm(falls.ravel(), alpha)
    return table.sort_values(["proven", "lost"], ascending=False, ignore_index=True)


@lru_cache(maxsize=1)
def _resamples(size: int, repeats: int, seed: int) -> np.ndarray:
    """The weights of customers in each resample, drawn once for all reports on the same ones."""
    return bootstrap_weights(size, repeats, seed).astype(float)


def _p_values_of_falls(now: np.ndarray, before: np.ndarray) -> np.ndarray:
    """One-sided p-value that each cell's rate was no higher before, counts (N, G, 5) → (G, 3)."""
    logs = [(each[..., 1:4], each[..., 0:3]) for each in (now, before)]
    (passed, reached), (once_passed, once_reached) = logs
    total, once = reached.sum(0), once_reached.sum(0)
    common = _ratio(passed.sum(0) + once_passed.sum(0), total + once)
    # what each customer adds to the rate before less the rate now
    part = _ratio(once_passed - common * once_reached, np.broadcast_to(once, reached.shape))
    part -= _ratio(passed - common * reached, np.broadcast_to(total, reached.shape))
    spread = np.sqrt(len(now) * part.var(axis=0, ddof=1))
    score = _ratio(part.sum(0), spread)
    return np.where((total > 0) & (once > 0), norm.sf(score), 1.0)


def _holm(p: np.ndarray, alpha: float) -> np.ndarray:
    """Which of m hypotheses Holm's method rejects; statsmodels' collects garbage at each call."""
    order = np.argsort(p)
    below = p[order] <= alpha / np.arange(len(p), 0, -1)
    rejected = np.zeros(len(p), bool)
    rejected[order] = np.logical_and.accumulate(below)
    return rejected


def largest_proven_fall(report: pd.DataFrame) -> tuple[str, str] | None:
    """Return stage and segment of the largest relative fall that the test finds, or None.

    Examples
    --------
    >>> import pandas as pd
    >>> from pm_utils.measurement.bottlenecks import largest_proven_fall
    >>> rows = [("visit", "often", 0.6, 0.9, True), ("click", "rare", 0.05, 0.1, False)]
    >>> columns = ["stage", "segment", "rate", "attainable", "fell"]
    >>> largest_proven_fall(pd.DataFrame(rows, columns=columns))
    ('visit', 'often')
    """
    fell = report[report["fell"]]
    if fell.empty:
        return None
    first = fell.loc[(fell["rate"] / fell["attainable"]).idxmin()]
    return first["stage"], first["segment"]


def largest_proven_loss(report: pd.DataFrame) -> tuple[str, str] | None:
    """Return stage and segment of the largest proven loss, None where nothing is proven.

    Explained in chapter ``funnel``.
    """
    first = report.iloc[0]
    return (first["stage"], first["segment"]) if first["proven"] else None


def market_segments(customers: pd.DataFrame) -> tuple[np.ndarray, list[str]]:
    """Cut customers by how often they order, in three, and by how much they save, in two.

    Customers with equal numbers stay together, in the lowest part that any of them would fall into.

    Explained in chapter ``funnel``.

    Parameters
    ----------
    customers : DataFrame
        `Market.customers`.

    Returns
    -------
    array of shape (N,), integers from 0 to 5
    list of six str

    Raises
    ------
    KeyError
        When a column is missing.
    ValueError
        When there is no customer, or a number is not finite.

    Examples
    --------
    >>> import pandas as pd
    >>> from pm_utils.measurement.bottlenecks import market_segments
    >>> orders, discounts = [0.1, 0.2, 1.0, 1.1, 3.0, 4.0], [0.0, 0.3, 0.1, 0.2, 0.0, 0.4]
    >>> customers = pd.DataFrame({"orders_per_week": orders, "discount_share": discounts})
    >>> segment, names = market_segments(customers)
    >>> segment
    array([0, 1, 2, 3, 4, 5])
    >>> names[5]
    'orders often, bargains'
    """
    customers = columns(customers, ["orders_per_week", "discount_share"], "customers")
    often, saves = (_parts(customers[name], n) for name, n in zip(customers, (3, 2), strict=True))
    rows = ("orders seldom", "orders at times", "orders often")
    names = [f"{row}, {column}" for row in rows for column in ("full price", "bargains")]
    return 2 * often + saves, names


def _parts(values: pd.Series, count: int) -> np.ndarray:
    """Cut customers into parts of about one size by their numbers; equal ones share a part."""
    array = numbers(values, str(values.name))
    if not len(array):
        raise ValueError("customers: no rows; give at least one")
    cuts = np.quantile(np.arange(1, len(array) + 1), np.arange(1, count) / count)
    return np.searchsorted(cuts, pd.Series(array).rank(method="min"), side="left")
