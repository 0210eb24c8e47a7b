"""Profiles of a campaign's customers, learned from their orders.

Nothing here reads the market's truth."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch
from torch import Tensor
from torch.nn.functional import log_softmax

from pm_utils.customers.networks import UserProfileNet
from pm_utils.inputs import aligned, booleans, columns, numbers, probabilities, whole_numbers
from pm_utils.learning.standardise import standard_scores
from pm_utils.learning.training import History, fit, predict


@dataclass(frozen=True, eq=False)
class PurchaseSummary:
    """What a shop knows of N customers before the campaign.

    Attributes
    ----------
    rate, value : (N,)
        Orders per week and dollars per order, shrunk towards all customers'.
    coupons : (N,)
        Share of orders with a coupon, shrunk likewise.
    recency : (N,)
        Weeks since the last order.
    counts : (N, 12)
        Orders by category.
    weeks : int

    Raises
    ------
    ValueError
        When the arrays differ in customers, a number is not finite, a rate or value is not above 0
        or a count is negative. Pandas' rows are matched by index; lists become arrays.
    """

    rate: np.ndarray
    value: np.ndarray
    coupons: np.ndarray
    recency: np.ndarray
    counts: np.ndarray
    weeks: int

    def __post_init__(self) -> None:
        """Check once what profiles and plans will read."""
        names = ("rate", "value", "coupons", "recency", "counts")
        given = dict(
            zip(names, aligned(**{name: getattr(self, name) for name in names}), strict=True)
        )
        for name in ("rate", "value"):
            given[name] = numbers(given[name], name, above=0, ndim=1)
        for name in ("coupons", "recency"):
            given[name] = numbers(given[name], name, low=0, ndim=1)
        checked = numbers(given["counts"], "counts", low=0, ndim=2)
        counts = np.asarray(given["counts"])
        given["counts"] = counts if counts.dtype.kind in "iu" else checked
        whole_numbers(self.weeks, "weeks", low=1)
        for name, array in given.items():
            object.__setattr__(self, name, array)


def summarise_purchases(orders: pd.DataFrame, n_customers: int, weeks: int) -> PurchaseSummary:
    """Summarise an order history.

    Parameters
    ----------
    orders : DataFrame
        From `Market.orders`.
    n_customers, weeks : int

    Returns
    -------
    PurchaseSummary

    Raises
    ------
    KeyError
        When a column is missing.
    TypeError
        When ``category`` is no categorical column.
    ValueError
        When there is no order, one is of no customer or of no category, its value is negative or
        not finite, or its day lies outside of the weeks.

    Examples
    --------
    The second customer has bought once, for 30 dollars; the mean of all orders counts like three.

    >>> import pandas as pd
    >>> from pm_utils.loop.customer_profiles import summarise_purchases
    >>> orders = pd.DataFrame(
    ...     {
    ...         "customer": [0, 0, 1],
    ...         "day": [3, 7, 14],
    ...         "category": pd.Categorical(["dairy", "pets", "pets"]),
    ...         "order_value": [10.0, 20.0, 30.0],
    ...         "coupon": [False, True, False],
    ...     }
    ... )
    >>> past = summarise_purchases(orders, n_customers=2, weeks=4)
    >>> past.counts.tolist()
    [[1, 1], [0, 1]]
    >>> past.value.tolist()
    [18.0, 22.5]
    >>> past.recency.tolist()
    [3.0, 2.0]
    """
    orders = columns(orders, ["customer", "day", "category", "order_value", "coupon"], "orders")
    if not len(orders):
        raise ValueError("orders: no rows; give at least one")
    if not isinstance(orders["category"].dtype, pd.CategoricalDtype):
        raise TypeError(
            f"orders, category is of {orders['category'].dtype}: give a categorical column, "
            "as by astype('category')"
        )
    weeks = int(whole_numbers(weeks, "weeks", low=1))
    who = whole_numbers(orders["customer"], "orders, customer", high=n_customers - 1)
    code = whole_numbers(orders["category"].cat.codes, "orders, code of category")
    numbers(orders["day"], "orders, day", low=0, high=7 * weeks)
    numbers(orders["order_value"], "orders, order_value", low=0)
    size = len(orders["category"].cat.categories)
    counts = np.bincount(who * size + code, minlength=n_customers * size).reshape(-1, size)
    number = counts.sum(1)
    spend = np.bincount(who, orders["order_value"], minlength=n_customers)
    coupons = np.bincount(who, booleans(orders["coupon"], "orders, coupon"), minlength=n_customers)
    last = np.full(n_customers, 0.0)
    np.maximum.at(last, who, orders["day"].to_numpy() / 7)
    rate = number / weeks
    spread = max(rate.var() - rate.mean() / weeks, 1e-6)
    prior = rate.mean() / spread  # weeks that the gamma prior of all customers counts for
    return PurchaseSummary(
        rate=(number + prior * rate.mean()) / (weeks + prior),
        value=(spend + 3 * spend.sum() / number.sum()) / (number + 3),
        coupons=(coupons + 10 * coupons.sum() / number.sum()) / (number + 10),
        recency=weeks - last,
        counts=counts,
        weeks=weeks,
    )


def smoothed_shares(counts: np.ndarray, strength: float) -> np.ndarray:
    """Return shares by category, starting from `strength` orders at everybody's → (N, 12).

    Raises
    ------
    ValueError
        When a count is negative or not finite, nobody has ordered, or the strength is not above 0.

    Examples
    --------
    Who has bought nothing is like everybody.

    >>> import numpy as np
    >>> from pm_utils.loop.customer_profiles import smoothed_shares
    >>> smoothed_shares(np.array([[4, 0], [0, 4], [0, 0]]), strength=4).tolist()
    [[0.75, 0.25], [0.25, 0.75], [0.5, 0.5]]
    """
    counts = numbers(counts, "counts", low=0, ndim=2)
    numbers(strength, "strength", above=0)
    if not counts.sum():
        raise ValueError("counts are all 0: nobody has ordered anything")
    overall = counts.sum(0) / counts.sum()
    total = counts + strength * overall
    return total / total.sum(1, keepdims=True)


def against_all(shares: np.ndarray) -> np.ndarray:
    """Return shares (N, C) over everybody's mean share; 1 where nobody bought of a category.

    Raises
    ------
    ValueError
        When a share lies outside [0, 1].

    Examples
    --------
    >>> import numpy as np
    >>> from pm_utils.loop.customer_profiles import against_all
    >>> against_all(np.array([[0.75, 0.25, 0.0], [0.25, 0.75, 0.0]])).tolist()
    [[1.5, 0.5, 1.0], [0.5, 1.5, 1.0]]
    """
    shares = probabilities(shares, "shares")
    mean = np.broadcast_to(shares.mean(0), shares.shape)
    return np.divide(shares, mean, out=np.ones_like(shares), where=mean > 0)


def profile_inputs(past: PurchaseSummary) -> np.ndarray:
    """Return what the profile network reads → (N, 15), about standard scores.

    Examples
    --------
    Three customers, 12 categories, and order rate, order value and coupon use.

    >>> import numpy as np
    >>> from pm_utils.loop.customer_profiles import PurchaseSummary, profile_inputs
    >>> rate, value = np.array([0.5, 1.0, 2.0]), np.array([20.0, 40.0, 10.0])
    >>> coupons, weeks_ago = np.array([0.0, 0.1, 0.2]), np.ones(3)
    >>> counts = 1 + 5 * np.eye(3, 12, dtype=int)  # each likes one category
    >>> past = PurchaseSummary(rate, value, coupons, weeks_ago, counts, weeks=10)
    >>> profile_inputs(past).shape
    (3, 15)
    """
    shares = smoothed_shares(past.counts, 10)
    lift = np.sqrt(against_all(shares)) - 1
    rest = np.column_stack([np.log(past.rate), np.log(past.value), past.coupons])
    deviation = np.where(np.ptp(rest, axis=0) > 0, rest.std(0), 1.0)  # a constant says nothing
    return np.hstack([3 * lift, (rest - rest.mean(0)) / deviation])


def category_loss(logits: Tensor, counts: Tensor) -> Tensor:
    """Return nats per order of the orders that came later, by category; 0 where none came.

    Examples
    --------
    Four equal logits are a guess among four: log 4 nats, for each order alike.

    >>> import torch
    >>> from pm_utils.loop.customer_profiles import category_loss
    >>> orders = torch.tensor([[3.0, 0, 0, 0], [0, 1, 1, 0]])
    >>> round(category_loss(torch.zeros(2, 4), orders).item(), 4)
    1.3863
    """
    return -(log_softmax(logits, 1) * counts).sum() / counts.sum().clamp(min=1)


def learn_profile(
    early: PurchaseSummary, late: np.ndarray, *, epochs: int, seed: int
) -> tuple[UserProfileNet, History]:
    """Train a profile to foretell the categories of later orders.

    Parameters
    ----------
    early : PurchaseSummary
        The first part of the history.
    late : array of shape (N, 12)
        Orders by category in the rest.
    epochs, seed : int

    Returns
    -------
    UserProfileNet, History

    Raises
    ------
    ValueError
        When the customers differ in number, or a count is negative or not finite.

    Examples
    --------
    >>> import numpy as np
    >>> from pm_utils.loop.customer_profiles import PurchaseSummary, learn_profile, learned_profile
    >>> rate, value = np.array([0.5, 1.0, 2.0]), np.array([20.0, 40.0, 10.0])
    >>> coupons, weeks_ago = np.array([0.0, 0.1, 0.2]), np.ones(3)
    >>> counts = 1 + 5 * np.eye(3, 12, dtype=int)  # each likes one category
    >>> past = PurchaseSummary(rate, value, coupons, weeks_ago, counts, weeks=10)
    >>> net, history = learn_profile(past, counts, epochs=1, seed=0)
    >>> learned_profile(net, past).traits.shape  # the plain profile's 6, and 3 components
    (3, 9)
    """
    aligned(early=early.counts, late=late)  # the history carries no index: rows by place
    late = numbers(late, "late", low=0, ndim=2)
    torch.manual_seed(seed)
    inputs = [torch.tensor(profile_inputs(early), dtype=torch.float32)]
    net = UserProfileNet(inputs[0].shape[1], 64, late.shape[1], dropout=0.1)
    target = torch.tensor(late, dtype=torch.float32)
    settings = {"epochs": epochs, "learning_rate": 1e-2, "seed": seed}
    return net, fit(net, inputs, target, loss=category_loss, **settings)


@dataclass(frozen=True, eq=False)
class Profile:
    """What response models read of N customers.

    Attributes
    ----------
    traits : (N, P) float32
        Standard scores.
    affinity : (N, 12) float32
        log (share of a category / everybody's share).

    Raises
    ------
    ValueError
        When the arrays differ in customers, or a number is not finite. Pandas' rows are matched by
        index.
    """

    traits: np.ndarray
    affinity: np.ndarray

    def __post_init__(self) -> None:
        """Check once what models will read."""
        names = ("traits", "affinity")
        for name, part in zip(names, aligned(**vars(self)), strict=True):
            checked = numbers(part, name, ndim=2).astype(np.float32, copy=False)
            object.__setattr__(self, name, checked)


def _basics(past: PurchaseSummary) -> np.ndarray:
    return np.column_stack([np.log(past.rate), np.log(past.value), past.coupons])


def plain_profile(past: PurchaseSummary, *, components: int = 6, strength: float = 10) -> Profile:
    """Return activity, order value, coupon use, and principal components of smoothed shares.

    Raises
    ------
    ValueError
        When nobody has ordered anything, or a size is not above 0.

    Examples
    --------
    >>> import numpy as np
    >>> from pm_utils.loop.customer_profiles import PurchaseSummary, plain_profile
    >>> rate, value = np.array([0.5, 1.0, 2.0]), np.array([20.0, 40.0, 10.0])
    >>> coupons, weeks_ago = np.array([0.0, 0.1, 0.2]), np.ones(3)
    >>> counts = 1 + 5 * np.eye(3, 12, dtype=int)  # each likes one category
    >>> past = PurchaseSummary(rate, value, coupons, weeks_ago, counts, weeks=10)
    >>> profile = plain_profile(past, components=2)
    >>> profile.traits.shape
    (3, 5)
    >>> np.sign(profile.affinity[:, :3]).astype(int).tolist()  # above 0: more than others buy
    [[1, -1, -1], [-1, 1, -1], [-1, -1, 1]]
    """
    shares = smoothed_shares(past.counts, strength)
    whole_numbers(components, "components", low=1)
    affinity = np.log(against_all(shares))
    apart = np.sqrt(against_all(shares)) - 1
    traits = standard_scores(
        np.column_stack([_basics(past), _main_components(apart, components)])
    ).numpy()
    return Profile(traits, affinity.astype(np.float32))


def _main_components(values: np.ndarray, count: int) -> np.ndarray:
    return np.linalg.svd(values - values.mean(0), full_matrices=False)[0][:, :count]


def learned_profile(net: UserProfileNet, past: PurchaseSummary, *, components: int = 6) -> Profile:
    """Return what a network has learned beside the plain profile, and the shares it foretells.

    Of its 32 hidden units we take principal components: few clicks cannot tell 32 traits apart.
    """
    whole_numbers(components, "components", low=1)
    inputs = [torch.tensor(profile_inputs(past), dtype=torch.float32)]
    shares = torch.softmax(predict(net, inputs), 1).numpy()
    hidden = _main_components(predict(net.profile, inputs).numpy(), components)
    traits = np.hstack([plain_profile(past).traits, standard_scores(hidden).numpy()])
    return Profile(traits, np.log(shares / shares.mean(0)).astype(np.float32))


def no_profile(past: PurchaseSummary) -> Profile:
    """Return only what the till knows: activity and order value, nothing of what was bought."""
    return Profile(
        standard_scores(_basics(past)[:, :2]).numpy(), np.zeros(past.counts.shape, np.float32)
    )
