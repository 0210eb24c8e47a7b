r"""What a new policy would have earned, from the log of an old one.

A log holds n impressions: customer x, ad a, reward r and propensity :math:`\pi_0(a \mid x)`. The
new policy π would have shown a with probability :math:`\pi(a \mid x)`; the weight is :math:`w =
\pi(a \mid x) / \pi_0(a \mid x)`, and :math:`\hat q(x, a)` is a model of the reward. Intervals are
normal, from the sum of each *customer's* contributions: rows of one customer are alike.
"""

from dataclasses import dataclass

import numpy as np
from scipy.stats import norm

from pm_utils.market import ImpressionLog


@dataclass(frozen=True)
class Estimate:
    """Mean reward per impression of the new policy, its 95 % interval and sample size.

    Attributes
    ----------
    value, low, high : float
    effective_size : float
        From `effective_sample_size`; n where no weights are used.
    """

    value: float
    low: float
    high: float
    effective_size: float

    def covers(self, truth: float) -> bool:
        """Return whether the interval holds the truth."""
        return self.low <= truth <= self.high


def effective_sample_size(weight: np.ndarray) -> float:
    r"""Return :math:`(\sum w)^2 / \sum w^2`: how many rows of equal weight are as good.

    Explained in chapter ``budget-policy``.

    Examples
    --------
    >>> import numpy as np
    >>> from pm_utils.measurement.off_policy import effective_sample_size
    >>> effective_sample_size(np.ones(4)), effective_sample_size(np.array([4.0, 0, 0, 0]))
    (4.0, 1.0)
    """
    total = np.square(weight).sum()
    return float(weight.sum() ** 2 / total) if total else 0.0


def direct_method(expected: np.ndarray, customer: np.ndarray) -> Estimate:
    r"""Believe the model: :math:`\frac1n \sum_i \sum_a \pi(a \mid x_i) \hat q(x_i, a)`.

    Parameters
    ----------
    expected : array of shape (n,)
        The inner sum of each row.
    customer : array of shape (n,), integers

    Examples
    --------
    >>> import numpy as np
    >>> from pm_utils.measurement.off_policy import direct_method
    >>> found = direct_method(np.array([0.2, 0.4]), customer=np.array([0, 1]))
    >>> round(found.value, 2)
    0.3
    """
    value = expected.mean()
    return _interval(value, expected - value, customer, float(len(expected)))


def inverse_propensity(reward: np.ndarray, weight: np.ndarray, customer: np.ndarray) -> Estimate:
    r"""Weight the log (IPS): :math:`\frac1n \sum_i w_i r_i`.

    Unbiased where the old policy shows all that the new one does.

    Parameters
    ----------
    reward, weight, customer : arrays of shape (n,)

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
    value = (weight * reward).mean()
    return _interval(value, weight * reward - value, customer, effective_sample_size(weight))


def self_normalised(reward: np.ndarray, weight: np.ndarray, customer: np.ndarray) -> Estimate:
    r"""Weight and divide by the weights (SNIPS): :math:`\sum_i w_i r_i / \sum_i w_i`.

    Parameters
    ----------
    reward, weight, customer : arrays of shape (n,)
        Some weight above 0.

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
    if not weight.sum() > 0:
        raise ValueError("all weights are 0: the old policy never showed what the new one would")
    value = (weight * reward).sum() / weight.sum()
    influence = weight * (reward - value) / weight.mean()
    return _interval(value, influence, customer, effective_sample_size(weight))


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
    each = expected + weight * (reward - predicted)
    value = each.mean()
    return _interval(value, each - value, customer, effective_sample_size(weight))


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
    n_ads : int
    customer, ad, reward : arrays of shape (n,)
        The log.
    interactions : bool
        Give every ad its own slopes; else an ad shifts everybody's reward alike.
    ridge : float

    Returns
    -------
    array of shape (N, M)
        Customers of odd number are predicted from those of even number and vice versa.

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

    Returns
    -------
    dict of str to Estimate
        ``DM``, ``IPS``, ``SNIPS`` and ``DR``.

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
    who, ad = old_log.customer, old_log.creative
    reward = np.asarray(old_log.click if reward is None else reward, float)
    weight = target[who, ad] / old_log.propensity.astype(float)
    expected = (target * table).sum(1)[who]
    return {
        "DM": direct_method(expected, who),
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

    Examples
    --------
    The second customer's history parts with the new policy in week 2 and counts no more:

    >>> import numpy as np
    >>> from pm_utils.measurement.off_policy import trajectory_weights
    >>> trajectory_weights(np.array([[True, True], [True, False]]), np.full((2, 2), 0.5))
    array([[2., 2.],
           [4., 0.]])
    """
    return np.cumprod(agrees / propensity, axis=0)


def per_decision(reward: np.ndarray, weight: np.ndarray, *, normalised: bool = True) -> Estimate:
    r"""Value a policy by weighting each reward by its history so far.

    .. math::
        \sum_t \frac{\sum_i w_{it} r_{it}}{\sum_i w_{it}}

    or over N instead of the sum of weights where not `normalised`. A later decision does not
    dilute an earlier reward. Columns are customers. The effective size is that of the thinnest
    week, for the sum is no surer than its least sure part.

    Parameters
    ----------
    reward, weight : arrays of shape (T, N)
        Weights from `trajectory_weights`.
    normalised : bool

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
    if not (weight.sum(1) > 0).all():
        raise ValueError("some week has no weight: nobody's history agrees with the new policy")
    total = weight.sum(1, keepdims=True) if normalised else reward.shape[1]
    level = (weight * reward).sum(1, keepdims=True) / total
    scale = weight * reward.shape[1] / total
    each = (scale * (reward - level) if normalised else scale * reward - level).sum(0)
    size = min(effective_sample_size(week) for week in weight)
    return _interval(level.sum(), each, np.arange(reward.shape[1]), size)


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
        *refuse* where the effective size is below `least_size`, whatever the estimate says;
        *recommend* where the interval lies above the old policy's whole interval; *keep* else.

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
    """
    if not new.effective_size >= least_size:
        return "refuse"
    return "recommend" if new.low > old.high else "keep"
