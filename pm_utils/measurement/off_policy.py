r"""What a new policy would have earned, from the log of an old one.

A log holds n impressions: customer x, ad a, reward r and propensity :math:`\pi_0(a \mid x)`. The
new policy π would have shown a with probability :math:`\pi(a \mid x)`; the weight is :math:`w =
\pi(a \mid x) / \pi_0(a \mid x)`, and :math:`\hat q(x, a)` is a model of the reward. Intervals are
normal, from the sum of each *customer's* contributions: rows of one customer are alike.

Where the old policy has tried all that the new one does, the mean weight is 1 but for luck. Where
it lies below 1 by more than luck, the log says nothing of the rest: `Estimate.support` holds how
much it can say at most. Where it lies above 1 by more than luck, the propensities are not those of
the log, and the support is 1 over the least that the mean weight can be. Estimators of an effective
size that looks sufficient warn of either, and `recommend` refuses. Where every weight is 0, the
log has tried nothing of it, and every estimator that weighs raises.
"""

import warnings
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from scipy.stats import norm
from scipy.stats import t as student

from pm_utils.inputs import (
    aligned,
    aligned_tables,
    booleans,
    codes,
    labels,
    numbers,
    policy,
    whole_numbers,
)
from pm_utils.market import ImpressionLog

LEAST_SUPPORT = 0.9  # share of what the new policy does that the log must have tried
_BELIEVED = 30.0  # effective size below which nobody takes an estimate for sure
_HIGHEST = 1 + 1e-6  # a propensity of 1, as 32 bits may round it


@dataclass(frozen=True)
class Estimate:
    """Mean reward per impression of the new policy, its 95 % interval and sample size.

    Attributes
    ----------
    value, low, high : float
    effective_size : float
        From `effective_sample_size`; n where no weights are used.
    support : float
        The largest share of what the new policy does that the log can have tried: the upper end of
        the one-sided 99.9 % interval of the mean weight over customers (over rows, where there is
        one customer), at most 1; or 1 over the lower end, where that lies above 1.
    """

    value: float
    low: float
    high: float
    effective_size: float
    support: float = 1.0

    def covers(self, truth: float) -> bool:
        """Return whether the interval holds the truth."""
        return self.low <= truth <= self.high


def effective_sample_size(weight: np.ndarray) -> float:
    r"""Return :math:`(\sum w)^2 / \sum w^2`: how many rows of equal weight are as good.

    Explained in chapter ``budget-policy``.

    Raises
    ------
    ValueError
        When a weight is negative or not finite.

    Examples
    --------
    >>> import numpy as np
    >>> from pm_utils.measurement.off_policy import effective_sample_size
    >>> effective_sample_size(np.ones(4)), effective_sample_size(np.array([4.0, 0, 0, 0]))
    (4.0, 1.0)
    """
    weight = numbers(weight, "weight", low=0)
    peak = weight.max(initial=0.0)
    if not 1e-100 < peak < 1e100:  # whose squares are no numbers
        weight = weight / peak if peak else weight
    total = np.square(weight).sum()
    return float(weight.sum() ** 2 / total) if total else 0.0


def direct_method(expected: np.ndarray, customer: np.ndarray) -> Estimate:
    r"""Believe the model: :math:`\frac1n \sum_i \sum_a \pi(a \mid x_i) \hat q(x_i, a)`.

    Parameters
    ----------
    expected : array of shape (n,)
        The inner sum of each row.
    customer : array of shape (n,)
        Numbers or names.

    Raises
    ------
    ValueError
        When rows cannot be matched, a number is not finite, a weight negative or a customer
        missing.

    Examples
    --------
    >>> import numpy as np
    >>> from pm_utils.measurement.off_policy import direct_method
    >>> found = direct_method(np.array([0.2, 0.4]), customer=np.array([0, 1]))
    >>> round(found.value, 2)
    0.3
    """
    expected, customer = _rows(customer, expected=expected)
    value = expected.mean()
    return _interval(value, expected - value, customer, float(len(expected)))


def inverse_propensity(reward: np.ndarray, weight: np.ndarray, customer: np.ndarray) -> Estimate:
    r"""Weight the log (IPS): :math:`\frac1n \sum_i w_i r_i`.

    Unbiased where the old policy shows all that the new one does; see `Estimate.support`.

    Parameters
    ----------
    reward, weight, customer : arrays of shape (n,)

    Raises
    ------
    ValueError
        When rows cannot be matched, a number is not finite, a weight negative or a customer
        missing; when all weights are 0.

    References
    ----------
    Horvitz & Thompson (1952).

    Examples
    --------
    The old policy showed two ads alike, the new one always shows the first, which paid twice:

    >>> import numpy as np
    >>> from pm_utils.measurement.off_policy import inverse_propensity
    >>> reward, weight = np.array([1.0, 0, 1, 0]), np.array([2.0, 0, 2, 0])
    >>> found = inverse_propensity(reward, weight, customer=np.arange(4))
    >>> found.value, found.effective_size
    (1.0, 2.0)
    >>> found.covers(0.5)
    True
    """
    reward, weight, customer = _rows(customer, reward=reward, weight=weight)
    value = (weight * reward).mean()
    found = _interval(value, weight * reward - value, customer, effective_sample_size(weight))
    return _with_support(found, weight, customer)


def self_normalised(reward: np.ndarray, weight: np.ndarray, customer: np.ndarray) -> Estimate:
    r"""Weight and divide by the weights (SNIPS): :math:`\sum_i w_i r_i / \sum_i w_i`.

    Parameters
    ----------
    reward, weight, customer : arrays of shape (n,)
        Some weight above 0.

    Raises
    ------
    ValueError
        When rows cannot be matched, a number is not finite, a weight negative or a customer
        missing; when all weights are 0.

    References
    ----------
    Swaminathan & Joachims (2015), The self-normalized estimator for counterfactual learning.

    Examples
    --------
    The new policy's ad, which always pays 1, came up three times of four instead of twice. IPS
    puts its value too high; the weights' own sum corrects that:

    >>> import numpy as np
    >>> from pm_utils.measurement.off_policy import inverse_propensity, self_normalised
    >>> reward, weight = np.array([1.0, 1, 1, 0]), np.array([2.0, 2, 2, 0])
    >>> inverse_propensity(reward, weight, np.arange(4)).value
    1.5
    >>> self_normalised(reward, weight, np.arange(4)).value
    1.0
    """
    reward, weight, customer = _rows(customer, reward=reward, weight=weight)
    value = (weight * reward).sum() / weight.sum()
    influence = weight * (reward - value) / weight.mean()
    found = _interval(value, influence, customer, effective_sample_size(weight))
    return _with_support(found, weight, customer)


def doubly_robust(
    reward: np.ndarray,
    weight: np.ndarray,
    customer: np.ndarray,
    expected: np.ndarray,
    predicted: np.ndarray,
) -> Estimate:
    r"""Correct the model by the weighted log (DR).

    .. math::
        \frac1n \sum_i \Bigl[ \sum_a \pi(a \mid x_i) \hat q(x_i, a)
          + w_i \bigl(r_i - \hat q(x_i, a_i)\bigr) \Bigr]

    Right on average if the propensities are, whatever the model; and if the model is, whatever
    the propensities.

    Parameters
    ----------
    reward, weight, customer, expected : arrays of shape (n,)
    predicted : array of shape (n,)
        :math:`\hat q(x_i, a_i)`, from a model that has not seen row i.

    Raises
    ------
    ValueError
        When rows cannot be matched, a number is not finite, a weight negative or a customer
        missing; when all weights are 0.

    References
    ----------
    Dudík, Langford & Li (2011), Doubly robust policy evaluation and learning.

    Examples
    --------
    The model expects half of the true reward everywhere; the log corrects it:

    >>> import numpy as np
    >>> from pm_utils.measurement.off_policy import doubly_robust
    >>> reward, weight = np.array([1.0, 0, 1, 0]), np.array([2.0, 0, 2, 0])
    >>> model = np.full(4, 0.5)
    >>> doubly_robust(reward, weight, np.arange(4), expected=model, predicted=model).value
    1.0
    """
    reward, weight, expected, predicted, customer = _rows(
        customer, reward=reward, weight=weight, expected=expected, predicted=predicted
    )
    each = expected + weight * (reward - predicted)
    value = each.mean()
    found = _interval(value, each - value, customer, effective_sample_size(weight))
    return _with_support(found, weight, customer)


def _rows(customer: ArrayLike, **given: ArrayLike) -> list[np.ndarray]:
    """What a log says, row by row, as finite numbers; the customer last, as a number from 0."""
    *given_rows, customer = aligned(**given, customer=customer)
    found = [
        numbers(each, name, ndim=1, low=0 if name == "weight" else None).astype(float, copy=False)
        for name, each in zip(given, given_rows, strict=True)
    ]
    if "weight" in given and not found[list(given).index("weight")].any():
        raise ValueError("all weights are 0: the old policy never showed what the new one would")
    return [*found, _numbered(customer)]


def _numbered(customer: ArrayLike) -> np.ndarray:
    """Customers as numbers from 0, so that tables of them are no longer than the log needs."""
    array = labels(customer, "customer")
    small = array.dtype.kind in "iu" and array.min() >= 0 and array.max() < 10 * len(array) + 10**6
    return array if small else np.unique(array, return_inverse=True)[1]


def _with_support(found: Estimate, weight: np.ndarray, customer: np.ndarray) -> Estimate:
    """Add how much of the new policy the log can have tried.

    Warn where that is too little and the effective size does not say so itself.
    """
    support, mean = _support(weight, customer), weight.mean()
    if support < LEAST_SUPPORT and found.effective_size >= _BELIEVED:
        why = (
            f"the log has tried at most {support:.0%} of what the new policy does, and the "
            "estimate says nothing of the rest"
            if mean < 1
            else "the propensities are not those that the log was drawn by"
        )
        warnings.warn(f"the mean weight is {mean:.3g} where 1 is due: {why}", stacklevel=3)
    return replace(found, support=min(found.support, support))


def _support(weight: np.ndarray, customer: np.ndarray) -> float:
    """How near to 1 the mean weight can be, from its one-sided 99.9 % intervals over customers.

    The rows of one customer alone are its units: each weight is 1 on average, whatever came before.
    """
    n, mean = len(weight), weight.mean()
    customers = int(np.count_nonzero(np.bincount(customer)))
    if customers < 2:
        customer, customers = np.arange(n), n
    if customers < 2:
        return 1.0  # one row tells nothing of a mean
    total = np.bincount(customer, weight - mean)
    error = np.sqrt(np.square(total).sum() * customers / (customers - 1)) / n
    reach = student.ppf(0.999, customers - 1) * error
    return float(min(1.0, mean + reach) / max(1.0, mean - reach))


def _interval(
    value: float, influence: np.ndarray, customer: np.ndarray, effective: float
) -> Estimate:
    total = np.bincount(customer, influence)
    half = norm.ppf(0.975) * np.sqrt(np.square(total).sum()) / len(influence)
    return Estimate(float(value), float(value - half), float(value + half), effective)


def reward_table(
    context: np.ndarray,
    n_ads: int,
    customer: np.ndarray,
    ad: np.ndarray,
    reward: np.ndarray,
    *,
    interactions: bool = False,
    ridge: float = 10.0,
) -> np.ndarray:
    """Predict each customer's reward on each ad by a ridge regression on the *other* half's log.

    Parameters
    ----------
    context : array of shape (N, D)
        Customers are the numbers of its rows, or the labels of its index where it has one.
    n_ads : int
    customer, ad, reward : arrays of shape (n,)
        The log.
    interactions : bool
        Give every ad its own slopes; else an ad shifts everybody's reward alike.
    ridge : float

    Returns
    -------
    array of shape (N, M), or DataFrame where the context has an index
        Customers of odd number are predicted from those of even number and vice versa; where they
        have labels, by their place in the order of the labels.

    Raises
    ------
    ValueError
        When rows cannot be matched, a number is not finite, a customer is no row of the context, an
        ad is not from 0 to M - 1, or the log holds customers of even or of odd number only.
    KeyError
        When a customer is none of the labels of the context.

    Examples
    --------
    >>> import numpy as np
    >>> from pm_utils.measurement.off_policy import reward_table
    >>> customer, ad, reward = np.arange(4), np.array([0, 0, 1, 1]), np.array([1.0, 1, 0, 0])
    >>> table = reward_table(np.zeros((4, 1)), 2, customer, ad, reward, ridge=0.01)
    >>> table.round(1)  # the first ad pays, also for those who have not seen it
    array([[1., 0.],
           [1., 0.],
           [1., 0.],
           [1., 0.]])
    """
    if isinstance(context, pd.DataFrame):
        order = np.argsort(labels(context.index, "index of context"), kind="stable")
        known = context.iloc[order]
        rows = codes(customer, known.index, "customer")
        rows = pd.Series(rows, customer.index) if isinstance(customer, pd.Series) else rows
        options = {"interactions": interactions, "ridge": ridge}
        table = reward_table(known.to_numpy(), n_ads, rows, ad, reward, **options)
        return pd.DataFrame(table, known.index).reindex(context.index)
    customer, ad, reward = aligned(customer=customer, ad=ad, reward=reward)
    context = numbers(context, "context", ndim=2).astype(float, copy=False)
    numbers(ridge, "ridge", low=0)
    customer = whole_numbers(customer, "customer", high=len(context) - 1)
    ad = whole_numbers(ad, "ad", high=n_ads - 1)
    reward = numbers(reward, "reward", ndim=1).astype(float, copy=False)
    if len(np.unique(customer % 2)) < 2:
        raise ValueError(
            "customer: all numbers of the log are even, or all odd, so one half has no other to be "
            "predicted from; number the customers anew"
        )
    table = np.empty((len(context), n_ads))
    for fold in range(2):
        rows, held_out = customer % 2 != fold, np.arange(fold, len(context), 2)
        seen = context[customer[rows]], ad[rows], reward[rows]
        fit = _slopes_by_ad if interactions else _main_effects
        table[held_out] = fit(*seen, context[held_out], n_ads, ridge)
    return table


def _main_effects(
    x: np.ndarray, ad: np.ndarray, reward: np.ndarray, x_new: np.ndarray, n_ads: int, ridge: float
) -> np.ndarray:
    coefficients, intercept = _ridge(np.hstack([x, np.eye(n_ads)[ad]]), reward, ridge)
    slopes, shifts = np.split(coefficients, [x.shape[1]])
    return (x_new @ slopes)[:, None] + shifts + intercept


def _slopes_by_ad(
    x: np.ndarray, ad: np.ndarray, reward: np.ndarray, x_new: np.ndarray, n_ads: int, ridge: float
) -> np.ndarray:
    table = np.full((len(x_new), n_ads), reward.mean())
    for m in np.unique(ad):
        rows = np.flatnonzero(ad == m)
        slopes, intercept = _ridge(x[rows], reward[rows], ridge)
        table[:, m] = x_new @ slopes + intercept
    return table


def _ridge(x: np.ndarray, target: np.ndarray, strength: float) -> tuple[np.ndarray, float]:
    """Solve the normal equations of a ridge regression → slopes (D,) and a free intercept."""
    x_mean, target_mean = x.mean(0), target.mean()
    square = x.T @ x - len(x) * np.outer(x_mean, x_mean) + strength * np.eye(x.shape[1])
    slopes = np.linalg.solve(square, x.T @ target - len(x) * x_mean * target_mean)
    return slopes, target_mean - x_mean @ slopes


def evaluate_policy(
    old_log: ImpressionLog,
    target: np.ndarray,
    table: np.ndarray,
    *,
    reward: np.ndarray | None = None,
) -> dict[str, Estimate]:
    """Apply all four estimators to a log.

    Parameters
    ----------
    old_log : ImpressionLog
        With its propensities.
    target : array of shape (N, M)
        The new policy's probabilities.
    table : array of shape (N, M)
        Predicted rewards, from `reward_table`.
    reward : array of shape (n,), optional
        By default the clicks.

    Tables of pandas are matched by their rows and columns, and the log's customers and ads are
    found among those; without labels, they are numbers of rows and columns.

    Returns
    -------
    dict of str to Estimate
        ``DM``, ``IPS``, ``SNIPS`` and ``DR``, all with the support that the weights tell.

    Raises
    ------
    ValueError
        When a row of `target` does not sum to 1, the tables differ in shape, a customer or an ad of
        the log is none of theirs, a reward is not finite or missing, a propensity is not above 0
        and at most 1, or the log has tried nothing of what the new policy does.
    KeyError
        When a customer or an ad of the log is none of the tables' labels.

    Warns
    -----
    UserWarning
        When the log has not tried what the new policy does, or its propensities are not its own.

    Examples
    --------
    A log of two ads, shown alike; a new policy always shows the second:

    >>> import numpy as np
    >>> from pm_utils.market import ImpressionLog
    >>> from pm_utils.measurement.off_policy import evaluate_policy
    >>> no = np.zeros(4, bool)
    >>> log = ImpressionLog(
    ...     customer=np.arange(4),
    ...     creative=np.array([0, 1, 0, 1]),
    ...     position=np.zeros(4, int),
    ...     propensity=np.full(4, 0.5),
    ...     click=np.array([False, True, False, False]),
    ...     visit=no,
    ...     conversion=no,
    ...     delay=np.full(4, np.nan),
    ...     order_value=np.zeros(4),
    ... )
    >>> always_second, model = np.tile([0.0, 1.0], (4, 1)), np.full((4, 2), 0.25)
    >>> estimates = evaluate_policy(log, always_second, model)
    >>> {name: estimate.value for name, estimate in estimates.items()}
    {'DM': 0.25, 'IPS': 0.5, 'SNIPS': 0.5, 'DR': 0.5}
    """
    target, table = aligned_tables(target=target, table=table)
    named = next((one for one in (target, table) if isinstance(one, pd.DataFrame)), None)
    table = numbers(table, "table", ndim=2)
    checked = policy(target, "target", options=table.shape[1])
    if named is None:
        who = whole_numbers(old_log.customer, "customer", high=len(table) - 1)
        ad = whole_numbers(old_log.creative, "creative", high=table.shape[1] - 1)
    else:
        who = codes(old_log.customer, named.index, "customer")
        ad = codes(old_log.creative, named.columns, "creative")
    reward = booleans(old_log.click, "click") if reward is None else reward
    reward = numbers(reward, "reward", ndim=1).astype(float)
    propensity = numbers(old_log.propensity, "propensity", above=0, high=_HIGHEST)
    target = checked
    weight = target[who, ad] / propensity.astype(float)
    expected = (target * table).sum(1)[who]
    support = _support(weight.astype(float), _numbered(who))
    return {
        "DM": replace(direct_method(expected, who), support=support),
        "IPS": inverse_propensity(reward, weight, who),
        "SNIPS": self_normalised(reward, weight, who),
        "DR": doubly_robust(reward, weight, who, expected, table[who, ad]),
    }


# Sequences of decisions


def trajectory_weights(agrees: np.ndarray, propensity: np.ndarray) -> np.ndarray:
    r"""Return the weight of each customer's history up to each week → (T, N).

    A policy that always decides the same way has probability one for its own action and zero for
    any other, so :math:`w_t = \prod_{u \le t} [\pi(s_u) = a_u] / \pi_0(a_u \mid s_u)`.

    Explained in chapter ``budget-policy``.

    Parameters
    ----------
    agrees : boolean array of shape (T, N)
        Where the new policy would have done what the log did.
    propensity : array of shape (T, N)
        Probability with which the log did it.

    Returns
    -------
    array of shape (T, N), or DataFrame where an input is one

    Raises
    ------
    ValueError
        When the shapes differ, `agrees` is neither 0 nor 1, or a propensity is not above 0 and at
        most 1.

    Examples
    --------
    The second customer's history parts with the new policy in week 2 and counts no more:

    >>> import numpy as np
    >>> from pm_utils.measurement.off_policy import trajectory_weights
    >>> trajectory_weights(np.array([[True, True], [True, False]]), np.full((2, 2), 0.5))
    array([[2., 2.],
           [4., 0.]])
    """
    if np.shape(agrees) != np.shape(propensity):
        shapes = np.shape(agrees), np.shape(propensity)
        raise ValueError("agrees is {} and propensity {}: give equal shapes".format(*shapes))
    given = agrees, propensity
    agrees, propensity = aligned_tables(agrees=agrees, propensity=propensity)
    propensity = numbers(propensity, "propensity", above=0, high=_HIGHEST)
    weight = np.cumprod(booleans(agrees, "agrees") / propensity, axis=0)
    framed = [one for one in given if isinstance(one, pd.DataFrame)]
    return pd.DataFrame(weight, framed[0].index, framed[0].columns) if framed else weight


def per_decision(reward: np.ndarray, weight: np.ndarray, *, normalised: bool = True) -> Estimate:
    r"""Value a policy by weighting each reward by its history so far.

    .. math::
        \sum_t \frac{\sum_i w_{it} r_{it}}{\sum_i w_{it}}

    or over N instead of the sum of weights where not `normalised`. A later decision does not
    dilute an earlier reward. Columns are customers. The effective size and the support are those
    of the thinnest week, for the sum is no surer than its least sure part.

    Parameters
    ----------
    reward, weight : arrays of shape (T, N)
        Weights from `trajectory_weights`.
    normalised : bool

    Raises
    ------
    ValueError
        When the shapes differ, a number is not finite, a weight negative, or a week has no weight.

    References
    ----------
    Precup, Sutton and Singh (2000), Eligibility traces for off-policy policy evaluation. ICML.

    Examples
    --------
    >>> import numpy as np
    >>> from pm_utils.measurement.off_policy import per_decision
    >>> reward = np.array([[1.0, 3.0], [5.0, 0.0]])  # (T, N): two weeks of two customers
    >>> weight = np.array([[2.0, 2.0], [4.0, 0.0]])
    >>> found = per_decision(reward, weight)
    >>> found.value, found.effective_size  # (1 + 3) / 2 in week 1, 5 in week 2
    (7.0, 1.0)
    """
    if np.shape(reward) != np.shape(weight):
        shapes = np.shape(reward), np.shape(weight)
        raise ValueError("reward is {} and weight {}: give equal shapes".format(*shapes))
    reward, weight = aligned_tables(reward=reward, weight=weight)
    reward = numbers(reward, "reward", ndim=2).astype(float, copy=False)
    weight = numbers(weight, "weight", ndim=2, low=0).astype(float, copy=False)
    if not (weight.sum(1) > 0).all():
        raise ValueError("some week has no weight: nobody's history agrees with the new policy")
    total = weight.sum(1, keepdims=True) if normalised else reward.shape[1]
    level = (weight * reward).sum(1, keepdims=True) / total
    scale = weight * reward.shape[1] / total
    each = (scale * (reward - level) if normalised else scale * reward - level).sum(0)
    size, customer = min(effective_sample_size(week) for week in weight), np.arange(len(each))
    found, mean = _interval(level.sum(), each, customer, size), weight.mean(1)
    for week in dict.fromkeys((int(mean.argmin()), int(mean.argmax()))):
        found = _with_support(found, weight[week], customer)
    return found


def recommend(new: Estimate, old: Estimate, *, least_size: float) -> str:
    """Say what a log allows to say of a new policy.

    Parameters
    ----------
    new, old : Estimate
        The new policy's value from the log, and the old one's.
    least_size : float
        The effective sample size below which no estimate is believed.

    Returns
    -------
    {'refuse', 'keep', 'recommend'}
        *refuse* where the effective size is below `least_size`, which must be a number, or the
        support below `LEAST_SUPPORT`, whatever the estimate says; *recommend* where the interval
        lies above the old policy's whole interval; *keep* else.

    Examples
    --------
    >>> from pm_utils.measurement.off_policy import Estimate, recommend
    >>> old = Estimate(0.10, 0.09, 0.11, 5_000)
    >>> recommend(Estimate(0.15, 0.12, 0.18, 800), old, least_size=100)
    'recommend'
    >>> recommend(Estimate(0.15, 0.10, 0.20, 800), old, least_size=100)  # the intervals overlap
    'keep'
    >>> recommend(Estimate(0.50, 0.40, 0.60, 20), old, least_size=100)
    'refuse'
    >>> recommend(Estimate(0.50, 0.40, 0.60, 800, support=0.2), old, least_size=100)
    'refuse'
    """
    numbers(least_size, "least_size", low=0)
    for name, one in (("new", new), ("old", old)):
        numbers([one.value, one.low, one.high, one.support], f"the {name} estimate")
    if not (new.effective_size >= least_size and new.support >= LEAST_SUPPORT):
        return "refuse"
    return "recommend" if new.low > old.high else "keep"
