r"""Stages, rates and leaks of a marketing funnel, where the unit is the customer.

The rate of a stage is a ratio of sums over customers, :math:`R = \sum_i y_i / \sum_i n_i`. Rows of
one customer are alike, so the variance comes from the customers' residuals (delta method):

.. math::
    \widehat{\operatorname{var}}(R) = \frac{K}{K - 1}
      \frac{\sum_i (y_i - R n_i)^2}{(\sum_i n_i)^2}

with K customers who reached the stage. The *design effect* is this variance over that of
independent rows, :math:`R (1 - R) / \sum n_i`, and :math:`\sum n_i` over it is how many independent
rows the data are worth. Wilson's interval with that number stays within 0 and 1.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy.stats import norm

from pm_utils.data import Shop
from pm_utils.evaluation.bootstrap import bootstrap_weights
from pm_utils.market import ImpressionLog, Market, Policy, Uniform

MARKET_STAGES = ("impression", "click", "visit", "order")
PERIOD_START = pd.Timestamp("2016-12-26")  # Monday of the exposures' week 1


@dataclass(frozen=True)
class Rate:
    """A rate, its 95 % interval, and how many times its variance exceeds that of free rows.

    Attributes
    ----------
    value, low, high : float
        The value is not a number, and the interval 0 to 1, where nobody reached the stage.
    design_effect : float
        At least 1; 1 where every outcome is the same.
    """

    value: float
    low: float
    high: float
    design_effect: float


def wilson(hits: float, tries: float, *, level: float = 0.95) -> tuple[float, float]:
    """Return Wilson's interval of a share; 0 to 1 where nobody tried.

    Parameters
    ----------
    hits, tries : float
        Need not be whole: `tries` may be an effective number.
    level : float

    References
    ----------
    Wilson (1927); Brown, Cai & DasGupta (2001), Interval estimation for a binomial proportion.
    """
    if not 0 <= hits <= tries:
        raise ValueError(f"{hits} hits among {tries} tries: give 0 <= hits <= tries")
    if tries == 0:
        return 0.0, 1.0
    z = norm.ppf((1 + level) / 2)
    share, shrink = hits / tries, 1 + z**2 / tries
    middle = (share + z**2 / (2 * tries)) / shrink
    half = z * np.sqrt(share * (1 - share) / tries + z**2 / (4 * tries**2)) / shrink
    return float(max(0.0, middle - half)), float(min(1.0, middle + half))


def clustered_rate(part: np.ndarray, whole: np.ndarray, *, level: float = 0.95) -> Rate:
    """Estimate a rate from each customer's counts by the module's formula.

    Parameters
    ----------
    part, whole : arrays of shape (N,)
        How often each customer passed the stage, and how often they reached it.
    level : float

    Raises
    ------
    ValueError
        When a customer passed more often than they reached, or a count is negative.

    References
    ----------
    Deng, Knoblich & Lu (2018), Applying the delta method in metric analytics.
    """
    part, whole = np.asarray(part, float), np.asarray(whole, float)
    if (part < 0).any() or (part > whole).any():
        raise ValueError("a customer passed the stage more often than they reached it")
    reached, total = int((whole > 0).sum()), whole.sum()
    if reached == 0:
        return Rate(np.nan, 0.0, 1.0, 1.0)
    rate = part.sum() / total
    free = rate * (1 - rate) / total
    excess = 1.0
    if free > 0 and reached > 1:
        variance = ((part - rate * whole) ** 2).sum() / total**2 * reached / (reached - 1)
        excess = max(1.0, variance / free)
    worth = reached if free == 0 else total / excess  # no variance seen: count customers, not rows
    return Rate(float(rate), *wilson(rate * worth, worth, level=level), float(excess))


def market_funnel(log: ImpressionLog, n_customers: int) -> pd.DataFrame:
    """Count each customer's impressions, clicks, visits and orders → (N, 4)."""
    steps = (log.customer, *(log.customer[step] for step in (log.click, log.visit, log.conversion)))
    counts = [np.bincount(step, minlength=n_customers) for step in steps]
    return pd.DataFrame(dict(zip(MARKET_STAGES, counts, strict=True)))


def funnel_rates(counts: pd.DataFrame, *, level: float = 0.95) -> pd.DataFrame:
    """Estimate every stage's rate, and that of the last stage over the first.

    Parameters
    ----------
    counts : DataFrame of shape (N, S)
        One row per customer, one column per stage in order.
    level : float

    Returns
    -------
    DataFrame
        Per pair of stages ``reached``, ``passed``, ``rate``, its interval ``low`` and ``high``
        by customers, ``design effect``, and ``row low`` and ``row high``, the interval that takes
        rows for independent.
    """
    stages = list(counts)
    pairs = [*zip(stages, stages[1:], strict=False), (stages[0], stages[-1])]
    table = {}
    for whole, part in pairs:
        rate = clustered_rate(counts[part].to_numpy(), counts[whole].to_numpy(), level=level)
        reached, passed = int(counts[whole].sum()), int(counts[part].sum())
        ends = (rate.low, rate.high, rate.design_effect)
        row = (reached, passed, rate.value, *ends, *wilson(passed, reached, level=level))
        table[f"{whole} → {part}"] = row
    columns = ["reached", "passed", "rate", "low", "high", "design effect", "row low", "row high"]
    return pd.DataFrame(table, index=columns).T.astype({"reached": int, "passed": int})


def true_rates(market: Market) -> np.ndarray:
    """Return each customer's true rates of click, visit and order when ads are random → (N, 3)."""
    who, ads = np.arange(market.n_customers)[:, None], np.arange(len(market.creatives))
    click = market.click_table.astype(float) * np.mean(market.truth.examination)
    visit = click * market.visit_probability(who, ads)
    order = visit * market.order_probability(who, ads)
    reach = [step.mean(1) for step in (click, visit, order)]
    return np.column_stack([reach[0], reach[1] / reach[0], reach[2] / reach[1]])


def coverage(
    chances: np.ndarray,
    *,
    customers: int,
    impressions: float,
    studies: int,
    rng: np.random.Generator,
) -> pd.DataFrame:
    """Count how often intervals of many simulated studies hold the true rate.

    Parameters
    ----------
    chances : array of shape (N, S)
        Each customer's true chance to pass each stage, given that they reached it.
    customers : int
        Drawn with replacement for each study.
    impressions : float
        Mean number per customer; the numbers are geometric, as some see far more ads than others.
    studies : int
    rng : numpy Generator

    Returns
    -------
    DataFrame
        Per stage ``true rate``, the shares of 95 % intervals ``by rows`` and ``by customers``
        that hold it, and the mean ``design effect``.
    """
    reach = np.cumprod(np.column_stack([np.ones(len(chances)), chances]), axis=1).mean(0)
    truth = reach[1:] / reach[:-1]
    held = np.zeros((3, chances.shape[1]))
    for _ in range(studies):
        who = chances[rng.integers(len(chances), size=customers)]
        whole = rng.geometric(1 / impressions, size=customers)
        for stage in range(chances.shape[1]):
            part = rng.binomial(whole, who[:, stage])
            rate = clustered_rate(part, whole)
            low, high = wilson(part.sum(), whole.sum())
            held[0, stage] += low <= truth[stage] <= high
            held[1, stage] += rate.low <= truth[stage] <= rate.high
            held[2, stage] += rate.design_effect
            whole = part
    names = ["by rows", "by customers", "design effect"]
    return pd.DataFrame(held.T / studies, columns=names).assign(**{"true rate": truth})


# The real shop


def contact_funnel(shop: Shop) -> pd.DataFrame:
    """Follow every mailed campaign: visit in its days, an offered product, a redeemed coupon.

    Parameters
    ----------
    shop : Shop
        All tables but ``customers``, ``products`` and ``exposures``.

    Returns
    -------
    DataFrame
        One row per contact: ``customer_id``, ``campaign_type`` and 0 or 1 for ``mailed``,
        ``visited`` (any order while the campaign lasts), ``bought`` (one of its products) and
        ``redeemed`` (a coupon of it; counted only after a purchase, see `unmatched`).
        ``unmatched`` marks a redemption without one.
    """
    pair = ["campaign_id", "customer_id"]
    contacts = shop.contacts.merge(shop.campaigns, on="campaign_id")
    contacts["contact"] = np.arange(len(contacts))
    lines = shop.order_lines[["customer_id", "product_id", "ordered_at"]]
    last = contacts["ends_on"] + pd.Timedelta(days=1)
    spans = contacts[["contact", *pair, "starts_on"]].assign(last=last)
    orders = lines.assign(day=lines["ordered_at"].dt.normalize())
    trips = orders[["customer_id", "day"]].drop_duplicates()
    visited = _within(trips, spans, "day")["contact"].unique()
    offered = shop.offers[["campaign_id", "product_id"]].drop_duplicates()
    mailed = lines[lines["product_id"].isin(offered["product_id"])]
    mailed = mailed[mailed["customer_id"].isin(contacts["customer_id"])]
    bought = mailed.assign(day=mailed["ordered_at"].dt.normalize()).drop(columns="ordered_at")
    bought = _within(bought.drop_duplicates(), spans, "day").merge(
        offered, on=["campaign_id", "product_id"]
    )
    answered = pd.MultiIndex.from_frame(contacts[pair]).isin(
        pd.MultiIndex.from_frame(shop.responses[pair])
    )
    steps = {"mailed": True, "visited": contacts["contact"].isin(visited)}
    steps["bought"] = contacts["contact"].isin(bought["contact"].unique())
    steps["redeemed"] = answered & steps["bought"]
    steps["unmatched"] = answered & ~steps["bought"]
    steps = {name: np.asarray(step, int) for name, step in steps.items()}
    return contacts[["customer_id", "campaign_type"]].assign(**steps)


def _within(events: pd.DataFrame, spans: pd.DataFrame, day: str) -> pd.DataFrame:
    """Join events to the spans of the same customer that hold their day."""
    rows = events.merge(spans, on="customer_id")
    return rows[(rows[day] >= rows["starts_on"]) & (rows[day] < rows["last"])]


def front_page_funnel(shop: Shop, front_page: pd.DataFrame, weeks: Sequence[int]) -> pd.DataFrame:
    """Follow households through some weeks: visit, a product on the front page, a coupon on it.

    Parameters
    ----------
    shop : Shop
        With ``customers`` and ``order_lines``.
    front_page : DataFrame
        ``product_id, store_id, week`` of products on the front page of a store's mailer.
    weeks : sequence of int
        Numbers of full weeks, from 2 on.

    Returns
    -------
    DataFrame
        One row per household and week: ``customer_id``, ``week`` and 0 or 1 for ``week open``,
        ``visited`` (a store whose front page is on record), ``bought`` (a product on that store's
        front page) and ``with coupon``.
    """
    lines = shop.order_lines[["customer_id", "store_id", "product_id", "ordered_at"]]
    lines = lines.assign(coupon=shop.order_lines["coupon_discount"] > 0)
    lines = lines[lines["store_id"].isin(front_page["store_id"].unique())]
    lines["week"] = (lines["ordered_at"] - PERIOD_START).dt.days // 7 + 1
    lines = lines[lines["week"].isin(list(weeks))]
    on_page = pd.MultiIndex.from_frame(front_page[["store_id", "week", "product_id"]])
    of_line = pd.MultiIndex.from_frame(lines[["store_id", "week", "product_id"]])
    lines["bought"] = of_line.isin(on_page)
    lines["with coupon"] = lines["bought"] & lines["coupon"]
    key = ["customer_id", "week"]
    passed = lines.assign(visited=True).groupby(key)[["visited", "bought", "with coupon"]].any()
    everyone = [np.sort(shop.customers["customer_id"].to_numpy()), list(weeks)]
    rows = passed.reindex(pd.MultiIndex.from_product(everyone, names=key), fill_value=False)
    rows.insert(0, "week open", True)
    return rows.astype(int).reset_index()


# What leaks, in dollars


def stage_sums(
    log: ImpressionLog, profit: np.ndarray, segment: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Sum up each customer's funnel by segment, ready for resampling.

    Parameters
    ----------
    log : ImpressionLog
    profit : array of shape (n,)
        Dollars that each impression's order brought; 0 without one.
    segment : array of shape (N,), integers from 0
        Of each customer.

    Returns
    -------
    array of shape (N, 5)
        Impressions, clicks, visits, orders, dollars.
    array of shape (N, G)
        1 in the column of the customer's segment.
    """
    funnel = market_funnel(log, len(segment)).to_numpy(float)
    dollars = np.bincount(log.customer, profit, minlength=len(segment))
    return np.column_stack([funnel, dollars]), np.eye(segment.max() + 1)[segment]


def order_profit(log: ImpressionLog, discount: np.ndarray, margin: float) -> np.ndarray:
    """Return the margin of each impression's order less its discount, in dollars → (n,).

    Parameters
    ----------
    log : ImpressionLog
    discount : array of shape (M,)
        Share of an order's list price that each ad's discount takes off.
    margin : float
        Share of the list price.
    """
    off = discount[log.creative]
    return log.order_value * (margin - off) / (1 - off)


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
    """
    both = now + before
    value = _ratio(both[..., 4], both[..., 3])
    rate, attainable = (_ratio(each[..., 1:4], each[..., 0:3]) for each in (now, before))
    rate = np.where(now[..., 0:3] > 0, rate, attainable)
    others = np.stack([np.delete(rate, stage, axis=-1).prod(-1) for stage in range(3)], axis=-1)
    lost = (now[..., 0] * value)[..., None] * (attainable - rate) * others
    return np.where(before[..., 0:3] > 0, lost, 0.0)


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
        Chance that a healthy funnel is blamed anywhere: divided among all cells (Bonferroni).

    Returns
    -------
    DataFrame
        One row per segment and stage, the largest proven loss first: ``stage``, ``segment``,
        ``rate``, ``attainable``, ``lost`` (dollars), its interval ``low`` and ``high`` at the
        divided level, and ``proven``, whether that excludes zero from above.
    """
    size, count = len(now), groups.shape[1]
    stages = list(MARKET_STAGES[1:])
    spread = [(groups[:, :, None] * each[:, None, :]).reshape(size, -1) for each in (now, before)]
    sums = [each.sum(0).reshape(count, 5) for each in spread]
    weight = bootstrap_weights(size, repeats, seed).astype(float)
    drawn = [(weight @ each).reshape(repeats, count, 5) for each in spread]
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
    return table.sort_values(["proven", "lost"], ascending=False, ignore_index=True)


def named(report: pd.DataFrame) -> tuple[str, str] | None:
    """Return stage and segment of the largest proven loss, None where nothing is proven."""
    first = report.iloc[0]
    return (first["stage"], first["segment"]) if first["proven"] else None


def market_segments(customers: pd.DataFrame) -> tuple[np.ndarray, list[str]]:
    """Cut customers by how often they order, in three, and by how much they save, in two.

    Parameters
    ----------
    customers : DataFrame
        `Market.customers`.

    Returns
    -------
    array of shape (N,), integers from 0 to 5
    list of six str
    """
    often = pd.qcut(customers["orders_per_week"].rank(method="first"), 3, labels=False)
    saves = pd.qcut(customers["discount_share"].rank(method="first"), 2, labels=False)
    rows = ("orders seldom", "orders at times", "orders often")
    names = [f"{row}, {column}" for row in rows for column in ("full price", "bargains")]
    return (2 * often + saves).to_numpy(), names


def true_profit(market: Market, impressions: int) -> np.ndarray:
    """Return what each customer's part of a log of random ads is expected to bring.

    Parameters
    ----------
    market : Market
    impressions : int
        Of the whole log.

    Returns
    -------
    array of shape (N,)
        Dollars, margin less discounts; orders that would have come anyway are in them.
    """
    orders = market.click_table.astype(float) * market.conversion_table
    margin = market.truth.margin - market.promoted_discount
    each = (orders * margin).mean(1) * market.truth_of_customers.order_value
    return each * np.mean(market.truth.examination) * impressions / market.n_customers


def ads_by(market: Market) -> pd.DataFrame:
    """Choose each customer's ad by the true chance of an order after a click, and by true profit.

    Returns
    -------
    DataFrame
        Two rows of means over customers, in the first slot: ``CTR``, ``CVR`` (orders per click)
        and ``profit per 1,000 impressions ($)``.
    """
    click, conversion = (t.astype(float) for t in (market.click_table, market.conversion_table))
    margin = market.truth.margin - market.promoted_discount
    value = market.truth_of_customers.order_value[:, None] * margin  # dollars, (N, M)
    profit = 1000 * click * conversion * value
    chosen = {"highest CVR": conversion.argmax(1), "most profit": profit.argmax(1)}
    tables, who = (click, conversion, profit), np.arange(len(click))
    rows = {name: [t[who, ad].mean() for t in tables] for name, ad in chosen.items()}
    return pd.DataFrame(rows, index=["CTR", "CVR", "profit per 1,000 impressions ($)"]).T


def inspect(
    market: Market,
    changed: Market,
    policy: Policy | Callable,
    impressions: int,
    *,
    repeats: int = 200,
    seed: int = 0,
) -> pd.DataFrame:
    """Run one log on a healthy market and a later one on a changed one, and report what leaks.

    Parameters
    ----------
    market, changed : Market
        The second from `Market.with_defect`, or the first again.
    policy : Policy or callable
        As in `Market.impressions`.
    impressions : int
        Of each log.
    repeats, seed : int
        As in `bottlenecks`.

    Returns
    -------
    DataFrame
        From `bottlenecks`, by `market_segments`.
    """
    segment, names = market_segments(market.customers)
    before, groups = sums_of_log(market, policy, impressions, segment)
    now, _ = sums_of_log(changed, policy, impressions, segment, start=impressions)
    return bottlenecks(now, before, groups, names, repeats=repeats, seed=seed)


def sums_of_log(
    market: Market,
    policy: Policy | Callable,
    impressions: int,
    segment: np.ndarray,
    *,
    start: int = 0,
) -> tuple[np.ndarray, np.ndarray]:
    """Run one log and return its `stage_sums`."""
    log = market.impressions(policy, impressions, start=start)
    profit = order_profit(log, market.promoted_discount, market.truth.margin)
    return stage_sums(log, profit, segment)


def blame(report: pd.DataFrame) -> dict[str, tuple[str, str] | None]:
    """Return whom three readings of a report blame, as (stage, segment).

    Parameters
    ----------
    report : DataFrame
        From `bottlenecks`.

    Returns
    -------
    dict
        ``lowest rate`` among all cells; ``largest fall`` of a rate, relative to what it was; and
        ``largest proven loss`` in dollars, None where none is proven.
    """
    fall = report["rate"] / report["attainable"].where(report["attainable"] > 0)
    rows = {"lowest rate": report["rate"].idxmin(), "largest fall": fall.idxmin()}
    found = {name: tuple(report.loc[row, ["stage", "segment"]]) for name, row in rows.items()}
    return found | {"largest proven loss": named(report)}


def trials(
    markets: Iterable[Market], impressions: int, *, factor: float, rng: np.random.Generator
) -> pd.DataFrame:
    """Plant a defect at each stage of several markets, and none, and see who names it.

    Parameters
    ----------
    markets : iterable of Market
    impressions : int
        Of each log, with ads at random.
    factor : float
        Multiplies the stage's chance for one segment, drawn anew for each trial.
    rng : numpy Generator

    Returns
    -------
    DataFrame
        One row per trial: ``planted`` (the stage or "nothing") and for each reading of `blame`
        whether it named stage and segment; where nothing was planted, whether it named nothing.
    """
    rows = []
    for market in markets:
        segment, names = market_segments(market.customers)
        policy = Uniform(len(market.creatives))
        before, groups = sums_of_log(market, policy, impressions, segment)
        for stage in (None, *MARKET_STAGES[1:]):
            where, truth, changed = int(rng.integers(len(names))), None, market
            if stage is not None:
                changed = market.with_defect(stage, segment == where, factor)
                truth = (stage, names[where])
            now, _ = sums_of_log(changed, policy, impressions, segment, start=impressions)
            found = blame(bottlenecks(now, before, groups, names, repeats=200, seed=0))
            right = {reading: cell == truth for reading, cell in found.items()}
            rows.append({"planted": stage or "nothing"} | right)
    return pd.DataFrame(rows)
