"""Chapter 10: what of the truth is visible, bias in several markets, and planted defects."""

from collections.abc import Iterable, Sequence
from functools import partial

import numpy as np
import pandas as pd

from pm_utils.evaluation.replications import mean_and_margin
from pm_utils.inputs import columns, numbers, whole_numbers
from pm_utils.inputs import probabilities as known_probabilities
from pm_utils.learning.training import History
from pm_utils.market import ImpressionLog, Market, Uniform
from pm_utils.measurement.bottlenecks import (
    bottlenecks,
    largest_proven_fall,
    largest_proven_loss,
    market_segments,
    order_profit,
    stage_sums,
    weights_for_the_ads_of,
)
from pm_utils.measurement.funnel import MARKET_STAGES
from pm_utils.measurement.post_click import (
    PairCounts,
    boosted_clicks,
    boosted_orders,
    common_pairs,
    pairs_of_counts,
    post_click_probability,
    relative_bias,
    train_post_click_towers,
)
from pm_utils.measurement.post_click_networks import (
    CONVERSION,
    EntireSpaceNet,
    click_stage_loss,
    clicked_loss,
    doubly_robust_loss,
    entire_space_loss,
)
from pm_utils.measurement.rates import clustered_rate, wilson
from pm_utils.page.scoreboard import Contest


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


# What each network of the page is trained by: its loss, its towers, and how many passes it needs
# compared with the others. The one on clicks has fewer rows.
FUNNEL_NETWORKS = {
    "net on clicks": (clicked_loss, 2, 2),
    "entire space": (entire_space_loss, 2, 1),
    "doubly robust": (doubly_robust_loss, 3, 1),
    "click network": (click_stage_loss, 1, 1),
}


def train_network(
    name: str, pairs: PairCounts, later: PairCounts, *, members: int, epochs: int, seed: int
) -> tuple[EntireSpaceNet, History]:
    """Train one of `FUNNEL_NETWORKS`.

    Explained in chapter ``funnel``.

    Parameters
    ----------
    name : str
    pairs, later : PairCounts
        To learn from, and to watch the training on.
    members, epochs, seed : int
        As in `train_post_click_towers`.

    Raises
    ------
    KeyError
        When there is no such network.
    """
    loss, towers, passes = FUNNEL_NETWORKS[name]
    if loss is clicked_loss:
        pairs, later = (each.take(each.counts[:, 1] > 0) for each in (pairs, later))
    settings = {"members": members, "epochs": passes * epochs, "seed": seed}
    return train_post_click_towers(loss, pairs, towers=towers, later=later, **settings)


def null_networks(
    name: str, pairs: PairCounts, later: PairCounts, *, shuffles: int, seed: int, **settings
) -> dict[str, tuple[EntireSpaceNet, History]]:
    """Train one of `FUNNEL_NETWORKS` on the counts of other pairs, once per shuffle, by name.

    The steps and rows are those of `train_network`.

    Explained in chapter ``funnel``.

    Parameters
    ----------
    name, pairs, later, seed
        As in `train_network`.
    shuffles : int
    **settings
        ``members`` and ``epochs``.
    """
    nulls = {}
    for k in range(shuffles):
        mixed, watched = (each.shuffled(seed + 1000 * k) for each in (pairs, later))
        nulls[f"null {k + 1}"] = train_network(name, mixed, watched, seed=seed, **settings)
    return nulls


def post_click_probabilities(
    networks: dict[str, tuple[EntireSpaceNet, History]],
    pairs: PairCounts,
    *,
    tower: int = CONVERSION,
) -> dict[str, np.ndarray]:
    """Return the `post_click_probability` of each of several networks, by name.

    Explained in chapter ``funnel``.
    """
    return {
        name: post_click_probability(net, pairs, tower=tower) for name, (net, _) in networks.items()
    }


def enter_null_networks(
    contest: Contest,
    networks: dict[str, tuple[EntireSpaceNet, History]],
    figures: pd.DataFrame,
    *,
    members: int,
) -> None:
    """Enter `null_networks` for a contest, with a row of figures for each.

    Explained in chapter ``funnel``.
    """
    for name, (_, history) in networks.items():
        record = history.record(members=members)
        contest.enter(name, "null", test=figures.loc[name], training=record)


def other_markets(market: Market, count: int, *, first: int = 0) -> list[Market]:
    """Return markets of as many other customers with the same ads, none of them of another seed.

    Explained in chapter ``funnel``.

    Parameters
    ----------
    market : Market
        Their seeds are spawned from its own, so that those of neighbouring seeds differ.
    count : int
    first : int
        How many of them to leave out.
    """
    spawned = np.random.SeedSequence(market.seed).generate_state(first + count)[first:]
    more = {"creatives": market.creatives, "households": market.households}
    return [Market(market.n_customers, int(seed), **more) for seed in spawned]


def draw_counts(
    market: Market,
    impressions: int,
    rng: np.random.Generator,
    *,
    chances: np.ndarray | None = None,
    share: np.ndarray | None = None,
) -> np.ndarray:
    """Draw what a log adds up to by customer and ad, without its rows.

    The counts have the distribution of those of `Market.impressions`: customers and slots are
    random, and each impression is a draw of its own.

    Parameters
    ----------
    market : Market
    impressions : int
    rng : numpy Generator
    chances : array of shape (3, N, M), optional
        From `stage_chances`, changed where a stage is broken.
    share : array of shape (N, M), optional
        Of the impressions that each customer and ad gets, in proportion; by default the same.

    Returns
    -------
    array of shape (N, M, 5)
        Impressions, clicks, visits, orders, and the dollars that those bring: margin less
        discounts.

    Examples
    --------
    >>> import numpy as np
    >>> from pm_utils.chapters.funnel import draw_counts
    >>> from pm_utils.market import Market
    >>> counts = draw_counts(Market(20, seed=0), 50_000, np.random.default_rng(0))
    >>> counts.shape, int(counts[..., 0].sum())
    ((20, 200, 5), 50000)
    """
    chances = stage_chances(market) if chances is None else chances
    shape = chances.shape[1:]
    share = np.ones(shape) if share is None else np.broadcast_to(share, shape)
    steps = [rng.multinomial(impressions, (share / share.sum()).ravel()).reshape(shape)]
    for chance in chances:
        steps.append(rng.binomial(steps[-1], chance))
    who, ad = (np.repeat(each.ravel(), steps[-1].ravel()) for each in np.indices(shape))
    hidden, margin = market.truth_of_customers, market.truth.margin - market.promoted_discount
    price = np.exp(hidden.log_value[who] + hidden.value_spread[who] * rng.standard_normal(len(who)))
    pair = who * shape[1] + ad
    dollars = np.bincount(pair, price * margin[ad], minlength=share.size).reshape(shape)
    return np.stack([*steps, dollars], axis=-1)


def stage_chances(market: Market) -> np.ndarray:
    """Return P(click) in a random slot, P(visit | click) and P(order | visit) → (3, N, M)."""
    who, ads = np.arange(market.n_customers)[:, None], np.arange(len(market.creatives))
    click = market.click_table.astype(float) * np.mean(market.truth.examination)
    later = market.visit_probability(who, ads), market.order_probability(who, ads)
    return np.stack([click, *later])


def endless_probability(market: Market, pairs: PairCounts, *, epochs: int, seed: int) -> np.ndarray:
    """Return P(order | click) by an entire space network trained on expected counts → (C,).

    No luck of the draw is in them: it stands for endlessly many customers with each set of
    features. What it still lacks is what no receipt shows.

    Explained in chapter ``funnel``.
    """
    index = pairs.customer, pairs.creative
    click, truth = (t[index].astype(float) for t in (market.click_table, market.conversion_table))
    expected = pairs.expected(click, truth)
    net, _ = train_post_click_towers(entire_space_loss, expected, epochs=epochs, seed=seed)
    return post_click_probability(net, pairs)


def bias_study(
    markets: Iterable[Market],
    impressions: int,
    *,
    members: int,
    epochs: int,
    trees: int,
    seed: int,
) -> pd.DataFrame:
    """Measure in several markets how far conversion models are off on average.

    Explained in chapter ``funnel``.

    Parameters
    ----------
    markets : iterable of Market
    impressions : int
        Of each log, with ads at random; drawn as counts, see `draw_counts`.
    members, epochs, trees, seed : int
        As in `train_post_click_towers` and `post_click_baselines`.

    Returns
    -------
    DataFrame
        One row per market: the `relative_bias` of the entire space network, of boosting, plain and
        weighted, and of ``endless data``, see `endless_probability`.
    """
    rows, settings = [], {"epochs": epochs, "seed": seed}
    for market in markets:
        rng, chances = np.random.default_rng(market.seed), stage_chances(market)
        drawn = [draw_counts(market, impressions, rng, chances=chances) for _ in range(2)]
        logs = [pairs_of_counts(market, each[..., [0, 1, 3]]) for each in drawn]
        pairs, later = common_pairs(*logs)
        net, _ = train_network("entire space", pairs, later, members=members, **settings)
        click = boosted_clicks(pairs, later, trees=trees, seed=seed)
        boost = partial(boosted_orders, pairs, later, click, trees=trees, seed=seed)
        found = {"entire space": post_click_probability(net, pairs)}
        found |= {"boosting": boost(weighted=False), "boosting, weighted": boost(weighted=True)}
        found["endless data"] = endless_probability(market, pairs, epochs=2 * epochs, seed=seed)
        rows.append(biases(found, market, pairs))
    return pd.DataFrame(rows)


def biases(
    probabilities: dict[str, np.ndarray], market: Market, pairs: PairCounts
) -> dict[str, float]:
    """Return the `relative_bias` over all impressions of what `bias_study` compares.

    Explained in chapter ``funnel``.
    """
    truth = market.conversion_table[pairs.customer, pairs.creative].astype(float)
    names = ("entire space", "boosting", "boosting, weighted", "endless data")
    shown = pairs.counts[:, 0]
    return {name: float(relative_bias(probabilities[name], truth, shown)) for name in names}


def above_the_floor(study: pd.DataFrame) -> pd.DataFrame:
    """Summarise by how much models are more biased than endless data leave them.

    Explained in chapter ``funnel``.

    Parameters
    ----------
    study : DataFrame
        From `bias_study`, two markets or more.

    Returns
    -------
    DataFrame
        One row per model: mean ``bias``, mean distance ``above the floor``, half its 95 % interval
        ``±``, and the number of ``markets above``.

    Raises
    ------
    ValueError
        When there are fewer than two markets, or a bias is not finite.

    Examples
    --------
    >>> import pandas as pd
    >>> from pm_utils.chapters.funnel import above_the_floor
    >>> above_the_floor(pd.DataFrame({"net": [0.08, 0.04], "endless data": [0.05, 0.05]})).round(2)
         bias  above the floor     ±  markets above
    net  0.06             0.01  0.25              1
    """
    rows = {}
    for name in study.columns.drop("endless data"):
        gap = study[name] - study["endless data"]
        rows[name] = [study[name].mean(), *mean_and_margin(gap), int((gap > 0).sum())]
    names = ["bias", "above the floor", "±", "markets above"]
    return pd.DataFrame.from_dict(rows, orient="index", columns=names).astype({names[3]: int})


def said_of_floor(row: pd.Series) -> str:
    """Say in words where a model of `above_the_floor` stands.

    Explained in chapter ``funnel``.

    Examples
    --------
    >>> import pandas as pd
    >>> from pm_utils.chapters.funnel import said_of_floor
    >>> said_of_floor(pd.Series({"above the floor": 0.03, "±": 0.01}))
    'lies above it'
    """
    if abs(row["above the floor"]) <= row["±"]:
        return "cannot be told from it"
    return "lies above it" if row["above the floor"] > 0 else "lies below it"


def said_of_headlines(loss: str, ranking: str) -> str:
    """Say in a sentence how the network does in both headlines, from `Scoreboard.verdict`.

    Explained in chapter ``funnel``.

    Examples
    --------
    >>> from pm_utils.chapters.funnel import said_of_headlines
    >>> said_of_headlines("tie", "tie")
    'Neither in log loss nor in ranking can the network be told from the classical method.'
    >>> said_of_headlines("loses", "tie")
    'In log loss the network loses; in ranking neither can be told from the other.'
    """
    if loss == ranking == "tie":
        told = "can the network be told from the classical method."
        return f"Neither in log loss nor in ranking {told}"
    words = {
        "beats": "the network wins",
        "loses": "the network loses",
        "tie": "neither can be told from the other",
        "undertrained": "the network is undertrained, so nothing is said",
    }
    return f"In log loss {words[loss]}; in ranking {words[ranking]}."


def said_of_bias(bias: pd.Series) -> str:
    """Say which models keep more than half of the clicked rate's bias, and what weights change.

    Explained in chapter ``funnel``.

    Parameters
    ----------
    bias : Series
        From `score_against_truth`, by model; that of the ``clicked rate`` is among them.

    Examples
    --------
    >>> import pandas as pd
    >>> from pm_utils.chapters.funnel import said_of_bias
    >>> bias = {"clicked rate": 0.5, "logistic": 0.3, "logistic, weighted": -0.1, "net": 0.1}
    >>> said_of_bias(pd.Series(bias)).split(": ")[1]
    'logistic. With weights, 1 of 1 keep less than without.'
    """
    size = bias.abs()
    models = size.drop("clicked rate")
    keeping = models.index[models > size["clicked rate"] / 2]
    weighted = models.filter(like=", weighted")
    plain = models[weighted.index.str.removesuffix(", weighted")]
    less = int((weighted.to_numpy() < plain.to_numpy()).sum())
    named = "; ".join(keeping) or "none"
    return (
        f"Of {len(models)} models, these keep more than half of the clicked rate's bias: {named}. "
        f"With weights, {less} of {len(weighted)} keep less than without."
    )


def said_of_power(study: pd.DataFrame, floor: pd.DataFrame) -> str:
    """Say whether a study would show a difference as large as the mean bias of endless data.

    A difference is found with 80 % power when it is about 1.3 times as large as half the 95 %
    interval: with four markets, (t₀.₉₇₅ + t₀.₈) / t₀.₉₇₅ of 3 degrees of freedom.

    Explained in chapter ``funnel``.

    Parameters
    ----------
    study : DataFrame
        From `bias_study`.
    floor : DataFrame
        From `above_the_floor`; the longest ``±`` counts.

    Examples
    --------
    >>> import pandas as pd
    >>> from pm_utils.chapters.funnel import said_of_power
    >>> study, floor = pd.DataFrame({"endless data": [0.05, 0.05]}), pd.DataFrame({"±": [0.04]})
    >>> said_of_power(study, floor), said_of_power(study, floor / 2)
    ('would not show', 'would show')
    """
    shows = abs(study["endless data"].mean()) >= 1.3 * floor["±"].max()
    return "would show" if shows else "would not show"


def said_of_least(error: pd.Series, chosen: str) -> str:
    """Say in a sentence who errs least among the methods without deep learning.

    Explained in chapter ``funnel``.

    Parameters
    ----------
    error : Series
        Calibration errors, by method.
    chosen : str
        Which of them the later log chose.

    Examples
    --------
    >>> import pandas as pd
    >>> from pm_utils.chapters.funnel import said_of_least
    >>> print(said_of_least(pd.Series({"logistic": 0.02, "boosting": 0.01}), "logistic"))
    The least calibration error without deep learning is 0.01, by boosting; it was not chosen.
    """
    least = error.idxmin()
    was = "was the one chosen" if least == chosen else "was not chosen"
    return (
        f"The least calibration error without deep learning is {error[least]:.3g}, by {least}; "
        f"it {was}."
    )


def click_share_by_ad(pairs: PairCounts) -> np.ndarray:
    """Return clicks over impressions of the pair's ad, as a dashboard shows it → (C,).

    Explained in chapter ``funnel``.
    """
    shown, clicks = (np.bincount(pairs.creative, pairs.counts[:, k]) for k in (0, 1))
    return (clicks / np.maximum(shown, 1))[pairs.creative]


def later_log(market: Market, impressions: int, *, number: int = 1, **changes) -> ImpressionLog:
    """Return a log of random ads that comes after another of the same size.

    Parameters
    ----------
    market : Market
    impressions : int
    number : int
        How many logs came before.
    **changes
        ``policy`` or ``customers``, as in `Market.impressions`, where the plan has changed.

    Explained in chapter ``funnel``.
    """
    policy = changes.pop("policy", Uniform(len(market.creatives)))
    return market.impressions(policy, impressions, start=number * impressions, **changes)


def inspect(
    market: Market,
    before: ImpressionLog,
    now: ImpressionLog,
    *,
    same_ads: bool = True,
    repeats: int = 200,
    seed: int = 0,
) -> pd.DataFrame:
    """Report what a later log lost against an earlier one, by `market_segments`.

    Explained in chapter ``funnel``.

    Parameters
    ----------
    market : Market
    before, now : ImpressionLog
        Of the healthy market, and of today.
    same_ads : bool
        Weight the earlier log by `weights_for_the_ads_of` the later one.
    repeats, seed : int
        As in `bottlenecks`.

    Returns
    -------
    DataFrame
        From `bottlenecks`.
    """
    weight = weights_for_the_ads_of(now, before) if same_ads else None
    (old, groups, names), (new, _, _) = _sums(market, before, weight), _sums(market, now)
    return bottlenecks(new, old, groups, names, repeats=repeats, seed=seed)


def _sums(
    market: Market, log: ImpressionLog, weight: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray, list[str]]:
    """Return the `stage_sums` of a log by `market_segments`, and the segments' names."""
    segment, names = market_segments(market.customers)
    profit = order_profit(log, market.promoted_discount, market.truth.margin)
    return *stage_sums(log, profit, segment, weight=weight), names


def blame(report: pd.DataFrame) -> dict[str, tuple[str, str] | None]:
    """Return whom four readings of a report blame, as (stage, segment).

    Parameters
    ----------
    report : DataFrame
        From `bottlenecks`.

    Returns
    -------
    dict
        ``lowest rate`` among all cells; ``largest fall`` of a rate, relative to what it was;
        ``largest proven fall``, of those that the test finds; and ``largest proven loss`` in
        dollars; the last two are None where nothing is proven.

    Raises
    ------
    KeyError
        When a column is missing.
    ValueError
        When a rate is not finite.

    Examples
    --------
    The order rate is the lowest, as ever; clicks fell by half; only what visits lost is proven.

    >>> import pandas as pd
    >>> from pm_utils.chapters.funnel import blame
    >>> columns = ["stage", "segment", "rate", "attainable", "proven", "fell"]
    >>> rows = [("visit", "often", 0.6, 0.9, True, True)]
    >>> rows += [("click", "rare", 0.05, 0.1, False, False)]
    >>> rows += [("order", "rare", 0.01, 0.01, False, False)]
    >>> report = pd.DataFrame(rows, columns=columns)
    >>> for reading, cell in blame(report).items():
    ...     print(reading, cell)
    lowest rate ('order', 'rare')
    largest fall ('click', 'rare')
    largest proven fall ('visit', 'often')
    largest proven loss ('visit', 'often')
    """
    numbers(columns(report, ["rate", "attainable"], "report"), "report", low=0)
    fall = report["rate"] / report["attainable"].where(report["attainable"] > 0)
    rows = {"lowest rate": report["rate"].idxmin(), "largest fall": fall.idxmin()}
    found = {name: tuple(report.loc[row, ["stage", "segment"]]) for name, row in rows.items()}
    proven = largest_proven_fall(report), largest_proven_loss(report)
    return found | dict(zip(_PROVEN, proven, strict=True))


def trials(
    markets: Iterable[Market],
    impressions: int,
    *,
    left: Sequence[float],
    healthy: int,
    rng: np.random.Generator,
) -> pd.DataFrame:
    """Plant defects in several markets, change the plan, or do nothing, and see who is blamed.

    In each market a defect of each size is planted at each stage, in a segment drawn anew. Later
    logs without one are as the first, or show *other customers* (those who seldom order three times
    as often) or *other ads* (the half that is clicked least, three times as often).

    Explained in chapter ``funnel``.

    Parameters
    ----------
    markets : iterable of Market
    impressions : int
        Of each log, with ads at random; drawn as counts, see `draw_counts`.
    left : sequence of float
        What a defect leaves of the stage's probability, one trial each.
    healthy : int
        Later logs of each market in which nothing has changed.
    rng : numpy Generator

    Returns
    -------
    DataFrame
        One row per trial: ``market`` (its position), ``planted`` (the stage, "nothing", "other
        customers" or "other ads"), ``left``, and for each reading of `blame` whether it named stage
        and segment; where no stage was broken, whether it named nothing. The readings "…, same
        ads" weigh the earlier log as `weights_for_the_ads_of` the later one does.
    """
    rows = []
    for number, market in enumerate(markets):
        segment, names = market_segments(market.customers)
        groups, chances = np.eye(len(names))[segment], stage_chances(market)
        before = draw_counts(market, impressions, rng, chances=chances)
        kinds = [("nothing", 1.0)] * healthy
        kinds += [(stage, part) for stage in MARKET_STAGES[1:] for part in left]
        kinds += [("other customers", 1.0), ("other ads", 1.0)]
        for planted, part in kinds:
            changed, share, truth = chances, None, None
            if planted in MARKET_STAGES:
                where = int(rng.integers(len(names)))
                changed, truth = chances.copy(), (planted, names[where])
                changed[MARKET_STAGES.index(planted) - 1, segment == where] *= part
            elif planted == "other customers":
                share = np.where(segment < 2, 3.0, 1.0)[:, None]  # those who seldom order
            elif planted == "other ads":
                share = least_clicked_more(market)
            now = draw_counts(market, impressions, rng, chances=changed, share=share)
            found = {}
            for told, then in (("", before), (", same ads", _with_the_ads_of(now, before))):
                sums = now.sum(1), then.sum(1)
                report = bottlenecks(*sums, groups, names, repeats=200, seed=0)
                readings = blame(report)
                found |= {f"{name}{told}": readings[name] for name in _READ[told]}
            correct = {reading: cell == truth for reading, cell in found.items()}
            rows.append({"market": number, "planted": planted, "left": part} | correct)
    return pd.DataFrame(rows)


_PROVEN = ["largest proven fall", "largest proven loss"]
_READ = {"": ["lowest rate", "largest fall", *_PROVEN], ", same ads": _PROVEN}


def _with_the_ads_of(now: np.ndarray, before: np.ndarray) -> np.ndarray:
    """Weigh an earlier log's counts (N, M, 5) as `weights_for_the_ads_of` does its rows."""
    shown, once = (each[..., 0].sum(0) for each in (now, before))
    return before * (shown / once * once.sum() / shown.sum())[:, None]


def shares_right(tried: pd.DataFrame) -> pd.DataFrame:
    """Return how often each reading of `trials` was right, where a stage was broken and where not.

    Explained in chapter ``funnel``.

    Examples
    --------
    >>> import pandas as pd
    >>> from pm_utils.chapters.funnel import shares_right
    >>> trial = {"market": 0, "planted": ["click", "nothing"], "left": [0.6, 1.0]}
    >>> shares_right(pd.DataFrame(trial | {"largest fall": [True, False]}))
                  planted defects named  healthy funnels left alone
    largest fall                    1.0                         0.0
    """
    readings = tried.columns.drop(["market", "planted", "left"])
    broken = tried["planted"].isin(MARKET_STAGES)
    shares = {
        "planted defects named": tried.loc[broken, readings].mean(),
        "healthy funnels left alone": tried.loc[~broken, readings].mean(),
    }
    return pd.DataFrame(shares)


def least_clicked_more(market: Market) -> np.ndarray:
    """Return shares of ads (M,) with the less clicked half shown three times as often."""
    rate = market.click_table.mean(0)
    share = np.where(rate < np.median(rate), 3.0, 1.0)
    return share / share.sum()
