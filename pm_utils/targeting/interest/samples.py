"""The interest task: will a household buy a candidate in its next baskets?

`snapshots` stacks what is known of every household on several dates with what its next baskets
held. `sample_pairs` draws candidates from it, `pair_facts` says what is known about each pair."""

from collections.abc import Iterable
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from pm_utils.customers import purchase_log
from pm_utils.customers.purchase_log import (
    CONTEXT_COLUMNS,
    HISTORY_COLUMNS,
    PurchaseLog,
    day_number,
)
from pm_utils.data import Shop
from pm_utils.inputs import aligned, booleans, numbers, whole_numbers

PAIR_COLUMNS = (
    *HISTORY_COLUMNS,
    "due",
    "baskets_since",
    "share_of_baskets",
    "popularity",
    "popularity_4w",
    *(f"household_{name}" for name in CONTEXT_COLUMNS),
)
EVENTS = len(HISTORY_COLUMNS)  # what is known of a past item: its own first columns
GAP_BANDS = (7, 14, 28, 56, 112)  # days
_RATE, DAYS_SINCE = HISTORY_COLUMNS.index("orders_per_8w"), HISTORY_COLUMNS.index("days_since")


@dataclass(frozen=True)
class Snapshots:
    """What is known of households on dates, and what their next baskets held.

    Attributes
    ----------
    customer : array of shape (M,)
        Codes into ``PurchaseLog.customers``; a household stands here once per date.
    as_of : array of shape (M,), datetime64
    history : array of shape (M, T), int32
        The distinct candidates bought before, the latest first, numbered from 1; 0 pads.
    own : array of shape (M, C, 10), float32
        What is known about each pair: the first ten of `PAIR_COLUMNS`.
    context : array of shape (M, 8), float32
        See `purchase_log.customer_context`.
    bought : array of shape (M, C), bool
        Whether one of the next baskets held the candidate.

    Raises
    ------
    ValueError
        When the arrays differ in rows, a past item is no candidate, a number is not finite, or an
        answer is neither 0 nor 1. Pandas' rows are matched by index; lists become arrays.
    """

    customer: np.ndarray
    as_of: np.ndarray
    history: np.ndarray
    own: np.ndarray
    context: np.ndarray
    bought: np.ndarray

    def __post_init__(self) -> None:
        """Check once what every model will read."""
        given = dict(zip(vars(self), aligned(**vars(self)), strict=True))
        given["bought"] = booleans(given["bought"], "bought")
        if given["bought"].ndim != 2 or np.shape(given["own"])[:2] != given["bought"].shape:
            shapes = f"own has shape {np.shape(given['own'])}, bought {given['bought'].shape}"
            raise ValueError(f"{shapes}: give a row per snapshot and a column per candidate")
        candidates = given["bought"].shape[1]
        given["customer"] = np.asarray(given["customer"])
        given["as_of"] = np.asarray(given["as_of"])
        given["history"] = whole_numbers(
            given["history"], "history", low=0, high=candidates
        ).astype(np.int32, copy=False)
        given["own"] = numbers(given["own"], "own", ndim=3).astype(np.float32, copy=False)
        given["context"] = numbers(given["context"], "context", ndim=2).astype(
            np.float32, copy=False
        )
        for name, array in given.items():
            object.__setattr__(self, name, array)


def by_product_type(shop: Shop) -> Shop:
    """Return the shop with product types in the place of categories: the harder task.

    A type is named ``category|product type``, for several categories may hold types of one name.
    What the catch-all holds (fuel, coupons, unknown sales) are no products, and stay without one.

    Explained in chapter ``interest``.

    Examples
    --------
    >>> import pandas as pd
    >>> from pm_utils.data import Shop
    >>> from pm_utils.targeting.interest.samples import by_product_type
    >>> products = pd.DataFrame({"category": ["BEEF", "COUPON/MISC ITEMS"],
    ...                          "product_type": ["PRIMAL", "GASOLINE"]})
    >>> by_product_type(Shop(products=products)).products["category"].tolist()
    ['BEEF|PRIMAL', nan]
    """
    category, kind = (shop.products[c].astype("object") for c in ("category", "product_type"))
    named = (category + "|" + kind).mask(category.isin(purchase_log.MISCELLANEOUS))
    return replace(shop, products=shop.products.assign(category=named.astype("category")))


def next_baskets(
    log: PurchaseLog, as_of: str | pd.Timestamp, *, baskets: int = 3, days: int = 28
) -> tuple[np.ndarray, np.ndarray]:
    """Return what each customer's next baskets hold, and who has any.

    Explained in chapter ``interest``.

    Parameters
    ----------
    log : PurchaseLog
    as_of : date
        Baskets on this day count, earlier ones do not.
    baskets, days : int
        At most so many baskets, in at most so many days.

    Returns
    -------
    bought : array of shape (H, C), bool
    active : array of shape (H,), bool
        Whether there is a basket at all.

    Examples
    --------
    Customer 11 buys milk before the date, then bread and milk; only the next basket is asked for.

    >>> import numpy as np
    >>> from pm_utils.customers.purchase_log import PurchaseLog
    >>> from pm_utils.targeting.interest.samples import next_baskets
    >>> log = PurchaseLog(
    ...     customers=np.array([11, 12]),
    ...     categories=("MILK", "BREAD"),
    ...     order=np.array([0, 1, 2]),
    ...     customer=np.array([0, 0, 0]),
    ...     category=np.array([0, 1, 0]),
    ...     day=np.array([0, 9, 12]),
    ...     order_customer=np.array([0, 0, 0]),
    ...     order_day=np.array([0, 9, 12]),
    ...     order_spend=np.array([2.0, 3.0, 2.0]),
    ... )
    >>> bought, active = next_baskets(log, "2017-01-08", baskets=1)
    >>> bought
    array([[False,  True],
           [False, False]])
    >>> active
    array([ True, False])
    """
    now = day_number(as_of)
    ahead = np.flatnonzero((log.order_day >= now) & (log.order_day < now + days))
    ahead = ahead[np.argsort(log.order_customer[ahead], kind="stable")]
    owner = log.order_customer[ahead]
    rank = np.arange(len(ahead)) - np.searchsorted(owner, owner)
    chosen = np.zeros(len(log.order_day), bool)
    chosen[ahead[rank < baskets]] = True
    bought = np.zeros((len(log.customers), len(log.categories)), bool)
    rows = chosen[log.order]
    bought[log.customer[rows], log.category[rows]] = True
    return bought, np.isin(np.arange(len(log.customers)), owner)


def pair_history(log: PurchaseLog, as_of: str | pd.Timestamp) -> np.ndarray:
    """Return what is known about every customer and candidate before a date.

    Parameters
    ----------
    log : PurchaseLog
    as_of : date
        Nothing dated on or after it is read.

    Returns
    -------
    array of shape (H, C, 10), float32
        The first ten of `PAIR_COLUMNS`: those of `purchase_log.category_history`; days since the
        last purchase over the mean gap between purchases; baskets since it; the share of all
        baskets that held the candidate; the candidate's share of the shop's baskets, ever and in
        the last 4 weeks. All as log(1 + x), shares times 100.
    """
    now, shape = day_number(as_of), (len(log.customers), len(log.categories))
    past = purchase_log.category_history(log, as_of)
    lately, rate, gap = (
        np.expm1(past[:, :, HISTORY_COLUMNS.index(name)])
        for name in ("orders_4w", "orders_per_8w", "days_since")
    )
    held = np.rint(rate * (max(now - log.first_day, 1) / 56))  # orders with it, ever
    before = log.order_day < now
    orders = np.bincount(log.order_customer[before], minlength=shape[0])[:, None]
    since = _baskets_since(log, now, shape)
    popular = [
        np.broadcast_to(np.rint(count).sum(0) / max(of.sum(), 1), shape)
        for count, of in ((held, before), (lately, before & (log.order_day >= now - 28)))
    ]
    columns = [
        gap * rate / 56,
        since,
        100 * held / np.maximum(orders, 1),
        *(100 * p for p in popular),
    ]
    return np.concatenate([past, np.log1p(np.stack(columns, -1, dtype=np.float32))], axis=2)


def _baskets_since(log: PurchaseLog, now: int, shape: tuple[int, int]) -> np.ndarray:
    """Baskets of the customer after the last that held the candidate; all, where none did."""
    early = np.flatnonzero(log.order_day < now)
    early = early[np.argsort(log.order_customer[early], kind="stable")]
    total = np.bincount(log.order_customer[early], minlength=shape[0])
    number = np.zeros(len(log.order_day), np.int64)  # 1 for a customer's first basket
    number[early] = np.arange(len(early)) - np.repeat(np.cumsum(total) - total, total) + 1
    last = np.zeros(shape, np.int64)
    rows = log.day < now
    np.maximum.at(last, (log.customer[rows], log.category[rows]), number[log.order[rows]])
    return total[:, None] - last


def snapshots(
    log: PurchaseLog,
    dates: Iterable[pd.Timestamp],
    *,
    length: int = 40,
    baskets: int = 3,
    days: int = 28,
) -> Snapshots:
    """Stack the customers who were known on each date and have baskets ahead.

    Explained in chapter ``interest``.

    Parameters
    ----------
    log : PurchaseLog
    dates : iterable of dates
    length : int
        T, how many distinct past candidates a history holds at most.
    baskets, days : int
        As in `next_baskets`.

    Returns
    -------
    Snapshots

    Examples
    --------
    Customer 11 has bought bread and then, later, milk: histories name the latest first, numbered
    from 1. Customer 12 has no baskets ahead and is left out.

    >>> import numpy as np
    >>> import pandas as pd
    >>> from pm_utils.customers.purchase_log import PurchaseLog
    >>> from pm_utils.targeting.interest.samples import snapshots
    >>> log = PurchaseLog(
    ...     customers=np.array([11, 12]),
    ...     categories=("MILK", "BREAD", "BEER"),
    ...     order=np.array([0, 1, 2, 3]),
    ...     customer=np.array([0, 1, 0, 0]),
    ...     category=np.array([1, 2, 0, 2]),
    ...     day=np.array([0, 2, 5, 9]),
    ...     order_customer=np.array([0, 1, 0, 0]),
    ...     order_day=np.array([0, 2, 5, 9]),
    ...     order_spend=np.array([2.0, 8.0, 3.0, 8.0]),
    ... )
    >>> known = snapshots(log, [pd.Timestamp("2017-01-08")], length=3)
    >>> log.customers[known.customer]
    array([11])
    >>> known.history
    array([[1, 2, 0]], dtype=int32)
    >>> known.bought
    array([[False, False,  True]])
    >>> known.own.shape
    (1, 3, 10)
    """
    parts = []
    for date in dates:
        bought, active = next_baskets(log, date, baskets=baskets, days=days)
        who = purchase_log.known_customers(log, date)
        who = who[active[who]]
        own = pair_history(log, date)[who]
        gap = np.where(own[:, :, _RATE] > 0, own[:, :, DAYS_SINCE], np.inf)
        latest = np.argsort(gap, axis=1, kind="stable")[:, :length]
        known = np.isfinite(np.take_along_axis(gap, latest, 1))
        context = purchase_log.customer_context(log, date)[who]
        when = np.full(len(who), np.datetime64(date, "D"))
        parts.append(
            (who, when, ((latest + 1) * known).astype(np.int32), own, context, bought[who])
        )
    if not parts:
        raise ValueError("dates holds no date: give at least one")
    return Snapshots(*(np.concatenate(column) for column in zip(*parts, strict=True)))


@dataclass(frozen=True)
class Pairs:
    """Snapshots and candidates that are put to the models.

    Attributes
    ----------
    snapshot, candidate : arrays of shape (N,)
        Rows of `Snapshots`, and candidates counted from 0.
    bought : array of shape (N,), float32
    shift : float
        What to add to a logit learned on these pairs, because not all negatives were kept: the
        logarithm of the share that was.

    Raises
    ------
    ValueError
        When the arrays differ in rows, a number is negative or not whole, or an answer is neither
        0 nor 1.
    """

    snapshot: np.ndarray
    candidate: np.ndarray
    bought: np.ndarray
    shift: float

    def __post_init__(self) -> None:
        """Check once what every model will read."""
        snapshot, candidate, bought = aligned(
            snapshot=self.snapshot, candidate=self.candidate, bought=self.bought
        )
        numbers(self.shift, "shift")
        checked = {
            "snapshot": whole_numbers(snapshot, "snapshot"),
            "candidate": whole_numbers(candidate, "candidate"),
            "bought": booleans(bought, "bought").astype(np.float32),
        }
        for name, array in checked.items():
            object.__setattr__(self, name, array)


def sample_pairs(snapshots: Snapshots, count: int, *, negatives: float = 3.0, seed: int) -> Pairs:
    """Draw pairs for training, all positives being as likely as each other, and all negatives.

    Keeping a share `r` of the negatives multiplies the odds of a purchase by 1 / r, whatever the
    pair. So the model's logits are put right by adding log r.

    Explained in chapter ``interest``.

    Parameters
    ----------
    snapshots : Snapshots
    count : int
        About how many pairs.
    negatives : float
        Pairs that were not bought, per pair that was.
    seed : int

    Returns
    -------
    Pairs
        In random order.

    Raises
    ------
    ValueError
        When there are fewer pairs of either kind than asked for, or none of one kind.

    Examples
    --------
    One pair in four was bought, and for each such pair one other is wanted: a third of the
    negatives is kept, so log(1 / 3) puts logits right.

    >>> import numpy as np
    >>> from pm_utils.targeting.interest.samples import Snapshots, sample_pairs
    >>> known = Snapshots(
    ...     customer=np.arange(50),
    ...     as_of=np.full(50, np.datetime64("2017-04-01")),
    ...     history=np.zeros((50, 3), np.int32),
    ...     own=np.zeros((50, 4, 10), np.float32),
    ...     context=np.zeros((50, 8), np.float32),
    ...     bought=np.tile([True, False, False, False], (50, 1)),
    ... )
    >>> pairs = sample_pairs(known, 100, negatives=1, seed=0)
    >>> int(pairs.bought.sum())
    50
    >>> round(float(np.exp(pairs.shift)), 4)
    0.3333
    """
    whole_numbers(count, "count", low=1), numbers(negatives, "negatives", above=0)
    rate = snapshots.bought.mean()
    if rate in (0, 1):
        told = "bought" if rate else "not bought"
        raise ValueError(
            f"all {snapshots.bought.size:,} pairs are {told}: there is none to compare"
        )
    keep = count / (1 + negatives) / (snapshots.bought.size * rate)
    share = negatives * rate / (1 - rate)
    if max(keep, keep * share) > 1:
        raise ValueError(f"count is {count}: too many for {snapshots.bought.size} pairs")
    rng = np.random.default_rng(seed)
    probability = np.where(snapshots.bought, keep, keep * share)
    flat = rng.permutation(np.flatnonzero(rng.random(snapshots.bought.shape) < probability))
    snapshot, candidate = np.divmod(flat, snapshots.bought.shape[1])
    bought = snapshots.bought[snapshot, candidate].astype(np.float32)
    return Pairs(snapshot, candidate, bought, float(np.log(share)))


def all_pairs(snapshots: Snapshots, households: int, *, seed: int) -> Pairs:
    """Return every candidate for some snapshots drawn at random: no negative is left out.

    Metrics on sampled negatives may rank models otherwise than those on all of them do.

    Explained in chapter ``interest``.

    Parameters
    ----------
    snapshots : Snapshots
    households : int
        How many snapshots; all of them, where there are fewer.
    seed : int

    Returns
    -------
    Pairs
        Snapshot by snapshot, the candidates in order, so that scores can be folded to
        (households, C).

    References
    ----------
    Krichene & Rendle (2020), On sampled metrics for item recommendation.

    Examples
    --------
    >>> import numpy as np
    >>> from pm_utils.targeting.interest.samples import Snapshots, all_pairs
    >>> known = Snapshots(
    ...     customer=np.arange(2),
    ...     as_of=np.full(2, np.datetime64("2017-04-01")),
    ...     history=np.zeros((2, 3), np.int32),
    ...     own=np.zeros((2, 3, 10), np.float32),
    ...     context=np.zeros((2, 8), np.float32),
    ...     bought=np.array([[True, False, False], [False, True, True]]),
    ... )
    >>> pairs = all_pairs(known, 2, seed=0)
    >>> pairs.candidate
    array([0, 1, 2, 0, 1, 2])
    >>> pairs.bought.reshape(2, 3)
    array([[1., 0., 0.],
           [0., 1., 1.]], dtype=float32)
    """
    households = int(whole_numbers(households, "households", low=1))
    order = np.random.default_rng(seed).permutation(len(snapshots.customer))
    chosen, width = np.sort(order[:households]), snapshots.bought.shape[1]
    snapshot, candidate = np.repeat(chosen, width), np.tile(np.arange(width), len(chosen))
    return Pairs(snapshot, candidate, snapshots.bought[snapshot, candidate].astype(np.float32), 0.0)


def pair_facts(snapshots: Snapshots, pairs: Pairs) -> np.ndarray:
    """Return what is known about each pair → (N, 18), the columns of `PAIR_COLUMNS`.

    Raises
    ------
    ValueError
        When a pair's snapshot or candidate is none of the snapshots'.
    """
    for name, count in zip(("snapshot", "candidate"), snapshots.bought.shape, strict=True):
        whole_numbers(getattr(pairs, name), name, low=0, high=count - 1)
    own = snapshots.own[pairs.snapshot, pairs.candidate]
    return np.concatenate([own, snapshots.context[pairs.snapshot]], axis=1)
