"""Chapter 10: planted defects, what of the truth is visible, and what every inspection finds."""

from collections.abc import Callable, Iterable

import numpy as np
import pandas as pd

from pm_utils.inputs import columns, numbers, whole_numbers
from pm_utils.inputs import probabilities as known_probabilities
from pm_utils.market import Market, Policy, Uniform
from pm_utils.measurement.bottlenecks import (
    bottlenecks,
    largest_proven_loss,
    market_segments,
    sums_of_log,
)
from pm_utils.measurement.funnel import MARKET_STAGES
from pm_utils.measurement.rates import clustered_rate, wilson


def true_rates(market: Market) -> np.ndarray:
    """Return each customer's true rates of click, visit and order when ads are random → (N, 3).

    Explained in chapter ``funnel``.
    """
    who, ads = np.arange(market.n_customers)[:, None], np.arange(len(market.creatives))
    click = market.click_table.astype(float) * np.mean(market.truth.examination)
    visit = click * market.visit_probability(who, ads)
    order = visit * market.order_probability(who, ads)
    reach = [step.mean(1) for step in (click, visit, order)]
    return np.column_stack([reach[0], reach[1] / reach[0], reach[2] / reach[1]])


def interval_coverage(
    probabilities: np.ndarray,
    *,
    customers: int,
    impressions: float,
    studies: int,
    rng: np.random.Generator,
) -> pd.DataFrame:
    """Count how often intervals of many simulated studies hold the true rate.

    Explained in chapter ``funnel``.

    Parameters
    ----------
    probabilities : array of shape (N, S)
        Each customer's true probability to pass each stage, given that they reached it.
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

    Raises
    ------
    ValueError
        When a probability lies outside [0, 1], or a number is too small.

    Examples
    --------
    Where half of the customers always click and half never do, rows are no independent draws: ten
    impressions of a customer say what one says.

    >>> import numpy as np
    >>> from pm_utils.chapters.funnel import interval_coverage
    >>> sizes = {"customers": 40, "impressions": 10, "studies": 50}
    >>> probability = np.array([[0.0], [1.0]])
    >>> table = interval_coverage(probability, **sizes, rng=np.random.default_rng(0))
    >>> bool(table.loc[0, "by customers"] > table.loc[0, "by rows"])
    True
    """
    probabilities = known_probabilities(probabilities, "probabilities")
    whole_numbers(customers, "customers", low=2), whole_numbers(studies, "studies", low=1)
    numbers(impressions, "impressions", low=1)
    reach = np.cumprod(np.column_stack([np.ones(len(probabilities)), probabilities]), axis=1).mean(
        0
    )
    truth = reach[1:] / reach[:-1]
    held = np.zeros((3, probabilities.shape[1]))
    for _ in range(studies):
        who = probabilities[rng.integers(len(probabilities), size=customers)]
        reached = rng.geometric(1 / impressions, size=customers)
        for stage in range(probabilities.shape[1]):
            passed = rng.binomial(reached, who[:, stage])
            rate = clustered_rate(passed, reached)
            low, high = wilson(passed.sum(), reached.sum())
            held[0, stage] += low <= truth[stage] <= high
            held[1, stage] += rate.low <= truth[stage] <= rate.high
            held[2, stage] += rate.design_effect
            reached = passed
    names = ["by rows", "by customers", "design effect"]
    return pd.DataFrame(held.T / studies, columns=names).assign(**{"true rate": truth})


def true_profit(market: Market, impressions: int) -> np.ndarray:
    """Return what each customer's part of a log of random ads is expected to bring.

    Explained in chapter ``funnel``.

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
    """Choose each customer's ad by the true P(order | click), and by true profit.

    Explained in chapter ``funnel``.

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

    Explained in chapter ``funnel``.

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

    Raises
    ------
    KeyError
        When a column is missing.
    ValueError
        When a rate is not finite.

    Examples
    --------
    The order rate is the lowest, as ever; clicks fell by half; only the visits' loss is proven.

    >>> import pandas as pd
    >>> from pm_utils.chapters.funnel import blame
    >>> columns = ["stage", "segment", "rate", "attainable", "proven"]
    >>> rows = [("visit", "often", 0.6, 0.9, True), ("click", "rare", 0.05, 0.1, False)]
    >>> report = pd.DataFrame([*rows, ("order", "rare", 0.01, 0.01, False)], columns=columns)
    >>> for reading, cell in blame(report).items():
    ...     print(reading, cell)
    lowest rate ('order', 'rare')
    largest fall ('click', 'rare')
    largest proven loss ('visit', 'often')
    """
    numbers(columns(report, ["rate", "attainable"], "report"), "report", low=0)
    fall = report["rate"] / report["attainable"].where(report["attainable"] > 0)
    rows = {"lowest rate": report["rate"].idxmin(), "largest fall": fall.idxmin()}
    found = {name: tuple(report.loc[row, ["stage", "segment"]]) for name, row in rows.items()}
    return found | {"largest proven loss": largest_proven_loss(report)}


def trials(
    markets: Iterable[Market], impressions: int, *, factor: float, rng: np.random.Generator
) -> pd.DataFrame:
    """Plant a defect at each stage of several markets, and none, and see who names it.

    Explained in chapter ``funnel``.

    Parameters
    ----------
    markets : iterable of Market
    impressions : int
        Of each log, with ads at random.
    factor : float
        Multiplies the stage's probability for one segment, drawn anew for each trial.
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
            correct = {reading: cell == truth for reading, cell in found.items()}
            rows.append({"planted": stage or "nothing"} | correct)
    return pd.DataFrame(rows)
