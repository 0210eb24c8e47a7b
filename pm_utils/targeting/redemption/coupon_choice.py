"""Coupon by coupon: one row per contact and coupon of its campaign, and a model of the choice.

A contact that redeems says more than yes: it says which coupons of its campaign it took. The others
it left or, in campaigns of type A, never got; the shop did not record which, so all count as left.
A conditional logit learns from that what makes a coupon attractive; the log-sum of its scores is
the appeal of all coupons to a contact. Everything is counted strictly before a campaign's start;
only the coupons themselves are known on the day.
"""

from dataclasses import dataclass
from typing import Self

import numpy as np
import pandas as pd
import scipy.sparse as sp
from scipy.optimize import minimize

from pm_utils.customers.features import DAY
from pm_utils.inputs import aligned, booleans, numbered, numbers, whole_numbers
from pm_utils.targeting.redemption.contacts import CampaignLog

FACTS = (
    "bought",  # lines of the coupon's products that the household bought
    "bought_lately",  # the same, each line fading by exp(-days / 30)
    "by_coupon",  # the same, only lines bought with a coupon
    "type_bought",  # lines of the coupon's product types, averaged over its products
    "type_lately",
    "products",  # how many the coupon covers
    "popular",  # lines of these products in eight weeks, by all households
    "popular_by_coupon",  # lines bought with a coupon, by all households at any time
    "redeemed_before",  # times that earlier campaigns' coupons of this number were redeemed
)  # all as log(1 + x)


@dataclass(frozen=True)
class CouponRows:
    """All pairs of a contact and a coupon of its campaign; pairs of one contact stand together.

    Attributes
    ----------
    contact : array of shape (M,), int
        The place of the contact among the N contacts.
    facts : array of shape (M, F)
        `FACTS` of the pair.
    redeemed : array of shape (M,), bool
        Whether the contact redeemed this coupon.

    Raises
    ------
    ValueError
        When the arrays differ in rows, pairs of one contact do not stand together, a fact is not
        finite, or an answer is neither 0 nor 1.

    Examples
    --------
    Contact 0 redeems one of two coupons, contact 1 two of three.

    >>> import numpy as np
    >>> from pm_utils.targeting.redemption.coupon_choice import CouponRows
    >>> redeemed = np.array([True, False, True, True, False])
    >>> rows = CouponRows(np.array([0, 0, 1, 1, 1]), np.zeros((5, 9)), redeemed)
    >>> rows.starts
    array([0, 2])
    >>> rows.share()
    array([1. , 0. , 0.5, 0.5, 0. ])
    >>> np.exp(rows.log_sum(np.zeros(5))).round(2)  # equal scores count the coupons
    array([2., 3.])
    """

    contact: np.ndarray
    facts: np.ndarray
    redeemed: np.ndarray

    def __post_init__(self) -> None:
        """Check once what the model will read."""
        given = dict(vars(self))
        if any(len(part) for part in given.values()):
            given = dict(zip(given, aligned(**given), strict=True))
            given["facts"] = numbers(given["facts"], "facts", ndim=2)
        given["contact"] = whole_numbers(given["contact"], "contact")
        given["redeemed"] = booleans(given["redeemed"], "redeemed")
        for name, array in given.items():
            object.__setattr__(self, name, array)
        first = self.contact[self.starts]
        if len(np.unique(first)) < len(first):
            raise ValueError("contact: pairs of one contact lie apart; let them stand together")

    @property
    def starts(self) -> np.ndarray:
        """Where each contact's pairs begin."""
        return np.flatnonzero(np.diff(self.contact, prepend=-1))

    def take(self, chosen: np.ndarray) -> Self:
        """Return the pairs of some contacts, given as a boolean array of shape (N,).

        Contacts are called by number: the index of a Series must hold the numbers from 0.
        """
        keep = self._of(chosen, "chosen")[self.contact]
        return type(self)(self.contact[keep], self.facts[keep], self.redeemed[keep])

    def _of(self, chosen: np.ndarray, name: str) -> np.ndarray:
        """Return contacts (N,) as booleans, or say that there are more of them."""
        chosen = booleans(numbered(chosen, name), name)
        if len(self.contact) and self.contact.max() >= len(chosen):
            count = self.contact.max() + 1
            raise ValueError(
                f"{name} has {len(chosen):,} rows for {count:,} contacts: give one each"
            )
        return chosen

    def share(self) -> np.ndarray:
        """Return 1 / k where a contact redeemed k coupons, this one among them, else 0 → (M,)."""
        count = np.bincount(self.contact, self.redeemed)
        return self.redeemed / np.maximum(count, 1)[self.contact]

    def log_sum(self, score: np.ndarray) -> np.ndarray:
        """Return log Σ exp of each contact's scores, one number per entry of `starts`."""
        score = numbers(numbered(score, "score"), "score", ndim=1)
        most = np.maximum.reduceat(score, self.starts)
        each = np.exp(score - np.repeat(most, np.diff(self.starts, append=len(score))))
        return most + np.log(np.add.reduceat(each, self.starts))


def coupon_facts(log: CampaignLog, contacts: pd.DataFrame) -> np.ndarray:
    """Describe each pair of a contact and a coupon of one campaign, on the day of the start.

    Parameters
    ----------
    log : CampaignLog
    contacts : DataFrame
        Rows of `pm_utils.targeting.redemption.contacts.contact_table`, all of one campaign.

    Returns
    -------
    array of shape (n, C, F)
        `FACTS` of every contact and coupon, the coupons in the order of `CampaignLog.offered`.

    Raises
    ------
    ValueError
        When the contacts are of several campaigns or the campaign offers nothing.
    """
    campaigns = contacts["campaign_id"].unique()
    if len(campaigns) != 1:
        raise ValueError(f"contacts, column campaign_id: {campaigns.tolist()}: give one campaign")
    now = log.start_of(contacts).to_datetime64()
    coupons, offer = log.offered(campaigns[0])  # offer (C, P)
    who = log.rows_of(contacts["customer_id"], "contacts, customer_id")
    addressed = np.zeros(len(log.customers), bool)
    addressed[who] = True
    before = log.day < now
    past = np.flatnonzero(before & addressed[log.customer])
    fading = np.exp(-(now - log.day[past]) / DAY / 30)
    met = offer.sum(0)[log.product[past]] > 0
    weights = {"bought": np.ones(len(past)), "lately": fading, "coupon": log.coupon[past]}
    own = [log.bought(past[met], w[met])[who] @ offer.T for w in weights.values()]  # (n, C) each
    size = offer.sum(1)
    mix = sp.csr_array((offer @ log.kind).multiply(1 / size[:, None])).T  # (K, C)
    own += [log.kinds_bought(past, weights[name])[who] @ mix for name in ("bought", "lately")]
    lately = before & (log.day >= now - np.timedelta64(56, "D"))
    sold = [
        np.bincount(log.product[r], minlength=offer.shape[1]) for r in (lately, _used(log, now))
    ]
    earlier = log.shop.responses[log.shop.responses["responded_at"] < pd.Timestamp(now)]
    again = earlier["coupon_id"].value_counts().reindex(coupons, fill_value=0).to_numpy()
    facts = np.empty((len(who), len(coupons), len(FACTS)), np.float32)
    for place, table in enumerate(own):
        facts[:, :, place] = table.toarray()
    for place, row in enumerate([size, *(offer @ count for count in sold), again], len(own)):
        facts[:, :, place] = row
    return np.log1p(facts)


def _used(log: CampaignLog, now: np.datetime64) -> np.ndarray:
    return log.coupon & (log.day < now)


def coupon_rows(log: CampaignLog, contacts: pd.DataFrame) -> CouponRows:
    """Pair every contact with every coupon of its campaign.

    Explained in chapter ``conversion``.

    Parameters
    ----------
    log : CampaignLog
    contacts : DataFrame
        From `pm_utils.targeting.redemption.contacts.contact_table`. Whether a coupon was
        redeemed is known as far as its column ``redeemed`` is: by the end of the campaign.

    Returns
    -------
    CouponRows

    Raises
    ------
    ValueError
        When a contact is listed twice, its household is unknown, or a response names a coupon that
        its campaign does not offer; table, column and row are named.
    """
    _refuse(
        contacts["customer_id"].isin(log.customers), contacts, "customer_id", "no such customer"
    )
    once = ~contacts.duplicated(["campaign_id", "customer_id"])
    _refuse(once, contacts, "customer_id", "listed twice for its campaign")
    parts, place = [], np.arange(len(contacts))
    for campaign, at in contacts.groupby("campaign_id").indices.items():
        rows, (coupons, _) = contacts.iloc[at], log.offered(campaign)
        answers = log.shop.responses[log.shop.responses["campaign_id"] == campaign]
        known = answers["coupon_id"].isin(coupons)
        _refuse(known, answers, "coupon_id", f"no coupon of campaign {campaign}", "responses")
        answers = answers[answers["customer_id"].isin(rows["customer_id"])]
        redeemed = np.zeros((len(rows), len(coupons)), bool)
        household = pd.Index(rows["customer_id"]).get_indexer(answers["customer_id"])
        redeemed[household, coupons.get_indexer(answers["coupon_id"])] = True
        facts = coupon_facts(log, rows).reshape(-1, len(FACTS))
        parts.append((np.repeat(place[at], len(coupons)), facts, redeemed.ravel()))
    return CouponRows(*(np.concatenate(part) for part in zip(*parts, strict=True)))


def _refuse(
    good: pd.Series, table: pd.DataFrame, column: str, reason: str, name: str = "contacts"
) -> None:
    if not good.all():
        row = good.index[~good.to_numpy()][0]
        raise ValueError(f"{name}, column {column}, row {row}: {table.loc[row, column]}: {reason}")


@dataclass(frozen=True)
class CouponChoice:
    """Which coupon does a redeeming contact take? A conditional logit.

    Explained in chapter ``conversion``.

    Attributes
    ----------
    weight : array of shape (F,)
        What one deviation of each of `FACTS` adds to a coupon's score.
    mean, deviation : arrays of shape (F,)
        Of the pairs it was learned on.

    References
    ----------
    McFadden (1974), Conditional logit analysis of qualitative choice behavior; the log-sum as an
    input of the decision above is his nested logit (1978).

    Examples
    --------
    Three contacts choose between two coupons; each takes the one whose products it bought before.

    >>> import numpy as np
    >>> from pm_utils.targeting.redemption.coupon_choice import CouponChoice, CouponRows
    >>> facts = np.array([[1.0], [0.0], [0.0], [1.0], [1.0], [0.0]])  # only "bought"
    >>> rows = CouponRows(np.array([0, 0, 1, 1, 2, 2]), facts, facts[:, 0] > 0)
    >>> everyone = np.ones(3, bool)
    >>> choice = CouponChoice.learn(rows, everyone, penalty=0.1)
    >>> bool(choice.weight[0] > 0)
    True
    >>> choice.appeal(rows).shape  # one per contact
    (3,)
    >>> model, even = choice.log_loss(rows, everyone)
    >>> model < even, round(even, 3)  # lower is better; log 2 for two equal chances
    (True, 0.693)
    """

    weight: np.ndarray
    mean: np.ndarray
    deviation: np.ndarray

    @classmethod
    def learn(cls, rows: CouponRows, known: np.ndarray, *, penalty: float = 0.003) -> Self:
        """Maximise the mean log probability of what redeeming contacts took.

        Parameters
        ----------
        rows : CouponRows
        known : boolean array of shape (N,)
            The contacts to learn from; those that redeemed nothing say nothing about the choice.
            Of k coupons redeemed each counts 1 / k.
        penalty : float
            Nats per squared weight.

        Raises
        ------
        ValueError
            When no contact to learn from redeemed a coupon, a contact is neither known nor not,
            or the penalty is negative.
        RuntimeError
            When the fit does not converge.
        """
        numbers(penalty, "penalty", low=0)
        known = rows._of(known, "known")
        count = np.bincount(rows.contact, rows.redeemed, minlength=len(known))
        rows = rows.take(known & (count > 0))
        if not len(rows.contact):
            raise ValueError("no contact to learn from redeemed a coupon: there is no choice")
        mean, deviation = rows.facts.mean(0, dtype=float), rows.facts.std(0, dtype=float)
        deviation = np.where(np.ptp(rows.facts, axis=0) > 0, deviation, 1.0)  # a constant
        x, share, contacts = (rows.facts - mean) / deviation, rows.share(), len(rows.starts)
        lengths = np.diff(rows.starts, append=len(x))

        def loss(weight: np.ndarray) -> tuple[float, np.ndarray]:
            score = x @ weight
            total = rows.log_sum(score)
            probability = np.exp(score - np.repeat(total, lengths))
            value = (total.sum() - share @ score) / contacts + penalty * weight @ weight
            return value, (probability - share) @ x / contacts + 2 * penalty * weight

        found = minimize(loss, np.zeros(x.shape[1]), jac=True, method="BFGS")
        if not found.success and not np.abs(found.jac).max() < 1e-4:
            raise RuntimeError(f"the choice of coupons was not learned: {found.message}")
        return cls(found.x, mean, deviation)

    def score(self, rows: CouponRows) -> np.ndarray:
        """Return how attractive each coupon is to its contact → (M,)."""
        return ((rows.facts - self.mean) / self.deviation) @ self.weight

    def appeal(self, rows: CouponRows) -> np.ndarray:
        """Return log Σ exp(score) over the coupons of each contact → (N,), one per contact."""
        return rows.log_sum(self.score(rows))[np.argsort(rows.contact[rows.starts])]

    def log_loss(self, rows: CouponRows, chosen: np.ndarray) -> tuple[float, float]:
        """Say how well the choices of some contacts are foretold.

        Parameters
        ----------
        rows : CouponRows
        chosen : boolean array of shape (N,)

        Returns
        -------
        model, even : float
            Mean nats per redeeming contact, of this model and of equal probabilities for all
            coupons. Less is better.

        Raises
        ------
        ValueError
            When none of them redeemed a coupon.
        """
        chosen = rows._of(chosen, "chosen")
        count = np.bincount(rows.contact, rows.redeemed, minlength=len(chosen))
        rows = rows.take(chosen & (count > 0))
        if not len(rows.contact):
            raise ValueError("no contact chosen redeemed a coupon: there is no choice to foretell")
        score, n = self.score(rows), len(rows.starts)
        even = np.log(np.diff(rows.starts, append=len(score))).mean()
        return float((rows.log_sum(score).sum() - rows.share() @ score) / n), float(even)
