"""Logs of ads as rows that response models read.

Nothing here reads the market's truth."""

from dataclasses import dataclass, replace

import numpy as np

from pm_utils.inputs import aligned, booleans, numbers, whole_numbers
from pm_utils.loop.campaign import Log
from pm_utils.market import ImpressionLog
from pm_utils.market.dynamics import ORDER_WEEKS


@dataclass(frozen=True, eq=False)
class ResponseLog:
    """A log as models read it; arrays of shape (n,).

    Attributes
    ----------
    customer, ad : int
    fatigue : float32
        Mean over the row's impressions.
    impressions, clicks, orders : float32
    mature : bool
        Where `orders` may be learned from.
    offset : (n, 2) float32
        What is known to be added to the logits of click and order.

    Raises
    ------
    ValueError
        When the arrays differ in rows, a customer or an ad is negative, a count is negative, there
        are more clicks than impressions or more orders than clicks, a number is not finite, or
        `mature` is neither 0 nor 1. Pandas' rows are matched by index; lists become arrays.

    Examples
    --------
    >>> from pm_utils.loop.response_data import ResponseLog
    >>> nothing = ResponseLog.empty()  # before the first round
    >>> nothing.ad.shape, nothing.offset.shape
    ((0,), (0, 2))
    """

    customer: np.ndarray
    ad: np.ndarray
    fatigue: np.ndarray
    impressions: np.ndarray
    clicks: np.ndarray
    orders: np.ndarray
    mature: np.ndarray
    offset: np.ndarray

    def __post_init__(self) -> None:
        """Check once what models will read."""
        given = dict(vars(self))
        if any(len(part) for part in given.values()):
            given = dict(zip(given, aligned(**given), strict=True))
        for name in ("customer", "ad"):
            given[name] = whole_numbers(given[name], name)
        for name in ("fatigue", "impressions", "clicks", "orders"):
            given[name] = numbers(given[name], name, low=0, ndim=1).astype(np.float32, copy=False)
        given["mature"] = booleans(given["mature"], "mature")
        offset = np.reshape(given["offset"], (-1, 2)) if not len(self.ad) else given["offset"]
        given["offset"] = numbers(offset, "offset", ndim=2).astype(np.float32, copy=False)
        if given["offset"].shape[1] != 2:
            raise ValueError(f"offset has shape {given['offset'].shape}: give (n, 2)")
        for part, whole in (("clicks", "impressions"), ("orders", "clicks")):
            if (more := given[part] > given[whole]).any():
                row = int(more.argmax())
                raise ValueError(
                    f"{part} are above {whole} in {more.sum():,} of {len(more):,} rows, first row "
                    f"{row} ({given[part][row]:g} of {given[whole][row]:g}): give each its own"
                )
        for name, array in given.items():
            object.__setattr__(self, name, array)

    def within(self, customers: int, ads: int) -> "ResponseLog":
        """Return the rows themselves, or name one of another customer or ad.

        Raises
        ------
        ValueError
            When a row's customer or ad is not known.
        """
        whole_numbers(self.customer, "customer", high=customers - 1)
        whole_numbers(self.ad, "ad", high=ads - 1)
        return self

    @classmethod
    def empty(cls) -> "ResponseLog":
        """Return no rows."""
        no = np.zeros(0, np.float32)
        return cls(
            no.astype(int), no.astype(int), no, no, no, no, no.astype(bool), no.reshape(0, 2)
        )


@dataclass(frozen=True, eq=False)
class ExplorationLog:
    """What is left of an old log of random banners.

    Attributes
    ----------
    rows : ResponseLog
        Every click, and some of the impressions without, which count for all of them.
    record : (2, 2, N, M) float32
        Of every customer with every ad: impressions and clicks, then clicks and orders.

    Raises
    ------
    ValueError
        When the record has another shape, or a number in it is negative or not finite.
    """

    rows: ResponseLog
    record: np.ndarray

    def __post_init__(self) -> None:
        """Check once what models will read."""
        record = numbers(self.record, "record", low=0, ndim=4)
        if record.shape[:2] != (2, 2):
            raise ValueError(f"record has shape {record.shape}: give (2, 2, N, M)")
        object.__setattr__(self, "record", record)

    def with_rows(self, rows: ResponseLog, fatigue_effect: float) -> np.ndarray:
        """Return the record with a campaign's rows; tired impressions count for less.

        Parameters
        ----------
        rows : ResponseLog
        fatigue_effect : float
            By how much a logit falls with each ad lately seen.

        Returns
        -------
        array of shape (2, 2, N, M), float32

        Raises
        ------
        ValueError
            When a row's customer or ad is none of the record's.

        Examples
        --------
        Two tired impressions count for less than two, but never for less than their clicks.

        >>> import numpy as np
        >>> from pm_utils.loop.campaign import Log
        >>> from pm_utils.loop.response_data import ExplorationLog, ResponseLog, from_campaign
        >>> log, two = Log(np.ones(2, bool), weeks=1), np.array([2, 2])
        >>> week = {"customer": np.array([0, 1]), "creative": np.array([0, 0]), "impressions": two}
        >>> week |= {"fatigue": np.array([19.5, 19.5]), "clicks": np.array([0, 1])}
        >>> log.shown.append(week | {"conversions": np.zeros(2)})
        >>> banners = ExplorationLog(ResponseLog.empty(), np.zeros((2, 2, 2, 1)))
        >>> impressions, clicks = banners.with_rows(from_campaign(log), np.log(2) / 10)[0]
        >>> impressions[:, 0].round(3).tolist(), clicks[:, 0].tolist()
        ([0.5, 1.0], [0.0, 1.0])
        """
        rows.within(*self.record.shape[2:])
        record = self.record.copy()
        fresh = np.maximum(rows.impressions * np.exp(-fatigue_effect * rows.fatigue), rows.clicks)
        counts = [fresh, rows.clicks, rows.clicks * rows.mature, rows.orders * rows.mature]
        for total, count in zip(record.reshape(4, *record.shape[2:]), counts, strict=True):
            np.add.at(total, (rows.customer, rows.ad), count)
        return record


def subsample_negatives(
    log: ImpressionLog, shape: tuple[int, int], *, per_click: int = 1, seed: int | None = None
) -> ExplorationLog:
    """Turn a long log of random impressions in one slot into few rows, and a record.

    Parameters
    ----------
    log : ImpressionLog
        By a uniform policy.
    shape : (int, int)
        N customers, M ads.
    per_click : int
        Impressions without a click to keep for each with one.
    seed : int, optional
        Draws those that are kept from the sorted log, so that the order of its rows makes no
        difference. Without a seed the first of the log are kept, which is a random choice only
        because the market's own logs stand in random order; a sorted one is refused.

    Returns
    -------
    ExplorationLog

    Raises
    ------
    ValueError
        When a customer or an ad is none of `shape`, a click or an order is neither 0 nor 1, or the
        log is sorted by customer or ad and there is no seed.

    Examples
    --------
    Of four impressions without a click one is kept, as there was one click, and counts for four.

    >>> import numpy as np
    >>> from pm_utils.loop.response_data import subsample_negatives
    >>> from pm_utils.market import ImpressionLog
    >>> customer, ad, zero = np.array([0, 0, 0, 1, 1]), np.array([0, 0, 1, 1, 1]), np.zeros(5)
    >>> click, none = np.array([True, False, False, False, False]), np.zeros(5, bool)
    >>> log = ImpressionLog(customer, ad, zero, zero + 0.5, click, click, none, zero, zero)
    >>> banners = subsample_negatives(log, (2, 2), seed=0)
    >>> banners.rows.clicks.tolist(), banners.rows.impressions.tolist()
    ([1.0, 0.0], [1.0, 4.0])
    >>> banners.record[0, 0].tolist()  # impressions by customer and ad: the record has all
    [[2.0, 1.0], [0.0, 2.0]]
    """
    whole_numbers(log.customer, "customer", high=shape[0] - 1)
    whole_numbers(log.creative, "creative", high=shape[1] - 1)
    whole_numbers(per_click, "per_click", low=1)
    clicked = booleans(log.click, "click")
    ordered = booleans(log.conversion, "conversion")
    hit, miss = np.flatnonzero(clicked), np.flatnonzero(~clicked)
    count = min(per_click * len(hit), len(miss))
    if seed is not None:
        hit, miss = (
            rows[np.lexsort((ordered[rows], log.creative[rows], log.customer[rows]))]
            for rows in (hit, miss)
        )
        kept = miss[np.sort(np.random.default_rng(seed).permutation(len(miss))[:count])]
    else:
        for name, values in (("customer", log.customer[miss]), ("creative", log.creative[miss])):
            if 0 < count < len(miss) and values[0] < values[-1] and (np.diff(values) >= 0).all():
                raise ValueError(
                    f"the log is sorted by {name}, so that its first rows are not like the others: "
                    "give a seed to draw them"
                )
        kept = miss[:count]
    at, size = np.concatenate([hit, kept]), len(hit)
    impressions = np.repeat([1, len(miss) / max(len(kept), 1)], [size, len(kept)])
    zero, mature = np.zeros(len(at), np.float32), np.ones(len(at), bool)
    counted = [x.astype(np.float32) for x in (impressions, clicked[at], ordered[at])]
    customer, ad = log.customer[at].astype(int), log.creative[at].astype(int)
    cell = log.customer * np.int64(shape[1]) + log.creative
    counts = [
        np.bincount(some, minlength=shape[0] * shape[1]).astype(np.float32).reshape(shape)
        for some in (cell, cell[hit], cell[hit], cell[ordered])
    ]
    record, offset = np.stack(counts).reshape(2, 2, *shape), np.zeros((len(at), 2), np.float32)
    return ExplorationLog(ResponseLog(customer, ad, zero, *counted, mature, offset), record)


def from_campaign(log: Log) -> ResponseLog:
    """Return a campaign as models read it: a row per customer and week.

    Examples
    --------
    In five weeks only the first two are old enough for all their orders to have come.

    >>> import numpy as np
    >>> from pm_utils.loop.campaign import Log
    >>> from pm_utils.loop.response_data import from_campaign
    >>> log, one = Log(np.ones(1, bool), weeks=5), np.ones(1, int)
    >>> names = ("customer", "creative", "impressions", "fatigue", "clicks", "conversions")
    >>> log.shown += [dict.fromkeys(names, one)] * 5
    >>> from_campaign(log).mature.tolist()
    [True, True, False, False, False]
    """
    if not log.shown:
        return ResponseLog.empty()
    raw = log.rows()
    numbers = [raw[k].astype(np.float32) for k in ("impressions", "clicks", "conversions")]
    seen = (raw["fatigue"] + (raw["impressions"] - 1) / 2).astype(np.float32)
    mature = raw["week"] + ORDER_WEEKS <= len(log.shown)
    offset = np.zeros((len(seen), 2), np.float32)
    return ResponseLog(raw["customer"], raw["creative"], seen, *numbers, mature, offset)


def shuffled(rows: ResponseLog, rng: np.random.Generator) -> ResponseLog:
    """Return rows whose outcomes were dealt out anew: who saw what says nothing any more."""
    order = rng.permutation(len(rows.ad))
    names = ("impressions", "clicks", "orders", "mature")
    return replace(rows, **{name: getattr(rows, name)[order] for name in names})


def shuffled_exploration(banners: ExplorationLog, rng: np.random.Generator) -> ExplorationLog:
    """Return banners whose outcomes were dealt out anew among all customers and ads.

    Examples
    --------
    A null model learns from this: as many clicks as before, but of anybody on anything.

    >>> import numpy as np
    >>> from pm_utils.loop.response_data import ExplorationLog, ResponseLog, shuffled_exploration
    >>> banners = ExplorationLog(ResponseLog.empty(), np.arange(16.0).reshape(2, 2, 2, 2))
    >>> dealt = shuffled_exploration(banners, np.random.default_rng(0))
    >>> bool((dealt.record.sum((2, 3)) == banners.record.sum((2, 3))).all())
    True
    >>> (dealt.record[0, 1] - dealt.record[0, 0]).tolist()  # impressions keep their clicks
    [[4.0, 4.0], [4.0, 4.0]]
    """
    record = banners.record.reshape(4, -1)
    order = rng.permutation(record.shape[1])
    dealt = np.stack([part[order] for part in record]).reshape(banners.record.shape)
    return ExplorationLog(shuffled(banners.rows, rng), dealt)
