r"""Orders that have not come yet: conversion rate and delay learned together.

At the cut-off a click is e days old. With p the probability that it ever converts and an
exponential delay of rate λ (mean 1 / λ days), a click whose order came after d days has the
likelihood :math:`p \lambda e^{-\lambda d}`, and one without an order

.. math::
    1 - p + p e^{-\lambda e}

: it never will, or it is still to come. Both p and λ depend on features.

References
----------
Chapelle (2014), Modeling delayed feedback in display advertising.
"""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch
from scipy.stats import CensoredData, ecdf
from torch import Tensor, nn
from torch.nn.functional import logsigmoid, softplus

from pm_utils.evaluation.bootstrap import bootstrap_weights, percentile_interval
from pm_utils.inputs import (
    aligned,
    booleans,
    labels,
    like,
    numbers,
    plain,
    probabilities,
    refuse,
    whole_numbers,
)
from pm_utils.learning.training import History, fit, predict

SHORTEST = 1e-3  # of the unit of time; a delay of nothing has no logarithm
_ROUNDING = 1e-5  # of times in 32 bits
DELAY_UNITS = 16  # units of the network
RIDGES = (1e-4, 1e-3, 1e-2)  # penalties that are tried, nats per click
_LONGEST = 10.0  # ages of the oldest click: a mean delay beyond is not learned from the clicks


@dataclass(frozen=True, eq=False, repr=False)
class SeenClicks:
    """What a marketer knows of K clicks at the cut-off; arrays of shape (K,), or Series.

    Attributes
    ----------
    converted : bool
        An order has come.
    days : float
        From click to order where it has come, else from click to cut-off.
    age : float
        Days from click to cut-off.

    Raises
    ------
    ValueError
        When rows cannot be matched, `converted` is neither 0 nor 1, a time is negative or not
        finite, an order has come after the cut-off, or the days of a click without one are not its
        age.
    """

    converted: np.ndarray
    days: np.ndarray
    age: np.ndarray

    def __post_init__(self) -> None:
        """Check and keep what is known, by the first index where there is one."""
        given = aligned(converted=self.converted, days=self.days, age=self.age)
        converted = booleans(given[0], "converted")
        days, age = (
            numbers(each, name, low=0, ndim=1)
            for name, each in zip(("days", "age"), given[1:], strict=True)
        )
        beyond = ~np.isclose(days, age, rtol=_ROUNDING, atol=0) & ((days > age) | ~converted)
        if beyond.any():
            first = beyond.argmax()
            told = f"{days[first]:g} at an age of {age[first]:g}"
            remedy = "give at most the age where an order has come, and the age where none has"
            refuse(beyond, "days is not possible", remedy, rows=given[0], shown=told)
        for name, each in (("converted", converted), ("days", days), ("age", age)):
            object.__setattr__(self, name, like(each, *given))

    def counts(self) -> Tensor:
        """Return converted and days → (K, 2), the target of `delayed_feedback_loss`."""
        return torch.tensor(np.column_stack([self.converted, self.days]), dtype=torch.float32)


def seen_by(cut_off: float, clicked_at: np.ndarray, delay: np.ndarray) -> SeenClicks:
    """Return what is known of clicks on a day, given when their orders will come.

    Explained in chapter ``funnel``.

    Parameters
    ----------
    cut_off : float
        Days since the start.
    clicked_at : array of shape (K,)
        Days since the start, at most `cut_off`.
    delay : array of shape (K,)
        Days from click to order; not a number where there will be none.

    Raises
    ------
    ValueError
        When a click lies after the cut-off, rows cannot be matched, the time of a click is not
        finite, or a delay is negative or infinite.

    Examples
    --------
    On day 10, of three clicks one has brought an order, one will bring it four days later, and one
    never will. The last two look alike.

    >>> import numpy as np
    >>> from pm_utils.measurement.delayed_feedback import seen_by
    >>> seen = seen_by(10, np.array([0, 9, 4]), np.array([2, 5, np.nan]))
    >>> seen.converted, seen.days
    (array([ True, False, False]), array([2., 1., 6.]))
    """
    given = aligned(clicked_at=clicked_at, delay=delay)
    clicked_at, delay = given
    age = float(numbers(cut_off, "cut_off")) - numbers(clicked_at, "clicked_at", ndim=1)
    delay = np.asarray(plain(delay), float)
    numbers(np.where(np.isnan(delay), 0.0, delay), "delay", low=0)
    if (age < 0).any():
        raise ValueError(f"{int((age < 0).sum())} clicks lie after day {cut_off}: leave them out")
    converted = delay <= age  # False where there is no order
    days = np.where(converted, delay, age)
    return SeenClicks(*(like(each, *given) for each in (converted, days, age)))


class DelayedFeedbackNet(nn.Module):
    """Features → logit of P(converts ever) and log of the delay's rate per day.

    Parameters
    ----------
    features : int
    hidden : int
        Hidden units that both share; 0 leaves the linear model of the paper.
    rate, mean_delay : float
        What the output biases start from; the rate strictly between 0 and 1, the delay above 0.

    Raises
    ------
    ValueError
        When the rate or the delay is out of its range.

    Examples
    --------
    >>> import torch
    >>> from pm_utils.measurement.delayed_feedback import DelayedFeedbackNet
    >>> net = DelayedFeedbackNet(3, rate=0.2, mean_delay=5.0)
    >>> output = net(torch.zeros(2, 3))
    >>> output.shape
    torch.Size([2, 2])
    >>> output[:, 0].sigmoid().tolist(), output[:, 1].neg().exp().tolist()  # P(converts), mean days
    ([0.20000000298023224, 0.20000000298023224], [5.0, 5.0])
    """

    def __init__(
        self, features: int, *, hidden: int = 0, rate: float = 0.1, mean_delay: float = 3.0
    ) -> None:
        super().__init__()
        if not (0 < rate < 1 and 0 < mean_delay < np.inf):
            raise ValueError(
                f"rate is {rate} and mean_delay {mean_delay}: give 0 < rate < 1 and a delay above 0"
            )
        self.shared = (
            nn.Sequential(nn.Linear(features, hidden), nn.ReLU()) if hidden else nn.Identity()
        )
        self.head = nn.Linear(hidden or features, 2)
        nn.init.zeros_(self.head.weight)
        start = [np.log(rate / (1 - rate)), -np.log(mean_delay)]
        self.head.bias.data = torch.tensor(start, dtype=torch.float32)

    def forward(self, x: Tensor) -> Tensor:
        """Features (B, F) → logit and log rate (B, 2)."""
        return self.head(self.shared(x))


def delayed_feedback_loss(output: Tensor, seen: Tensor) -> Tensor:
    """Return the mean negative log likelihood by the module's formula.

    Parameters
    ----------
    output : Tensor of shape (B, 2)
        Logit of p and log λ.
    seen : Tensor of shape (B, 2)
        Converted (0 or 1), and days as in `SeenClicks`, or any unit of time that λ has too.

    Returns
    -------
    Tensor
        Scalar, nats per click.

    Examples
    --------
    With p = 1/2 and a mean delay of one day, a click of today that has not converted costs next to
    nothing, an old one :math:`-\\log(1 - p)`:

    >>> import torch
    >>> from pm_utils.measurement.delayed_feedback import delayed_feedback_loss
    >>> for seen in ([0.0, 0.0], [0.0, 100.0], [1.0, 1.0]):  # converted, days
    ...     loss = delayed_feedback_loss(torch.zeros(1, 2), torch.tensor([seen]))
    ...     print(round(float(loss), 2))
    0.0
    0.69
    1.69
    """
    logit, log_rate = output.unbind(1)
    converted, days = seen.unbind(1)
    decay = log_rate.exp() * days.clamp(min=SHORTEST)
    came = logsigmoid(logit) + log_rate - decay
    # 1 - p + p exp(-decay) = σ(-logit) (1 + exp(logit - decay))
    missing = softplus(logit - decay) - softplus(logit)
    return -(converted * came + (1 - converted) * missing).mean()


def fit_delays(
    features: np.ndarray,
    seen: SeenClicks,
    *,
    hidden: int,
    epochs: int,
    seed: int,
    ridge: float = 0.0,
    history: History | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """Fit the delayed feedback model and return each click's probability and mean delay.

    Times are measured in the mean delay of the conversions seen, so that hours or seconds for days
    give the same answer in hours or seconds.

    Parameters
    ----------
    features : array of shape (K, F)
    seen : SeenClicks
    hidden : int
        As in `DelayedFeedbackNet`.
    epochs, seed : int
    ridge : float
        Times the weights' sum of squares, biases left out, it is added to the loss.
    history : History, optional
        Is told what became of the training.

    Returns
    -------
    probability, mean_delay : arrays of shape (K,), or Series where an input has an index
        P(converts ever), and days.

    Raises
    ------
    ValueError
        When rows cannot be matched, a feature is not finite, or no click has converted, or all at
        once, so that there is no delay to learn.

    Warns
    -----
    UserWarning
        When every click has converted, which leaves the probability at its bound 1, or the mean
        delay runs far beyond the oldest click.

    Examples
    --------
    Half of the clicks convert, on average three days later; on day 10 orders are still to come:

    >>> import numpy as np
    >>> from pm_utils.measurement.delayed_feedback import fit_delays, seen_by
    >>> rng = np.random.default_rng(0)
    >>> delay = np.where(rng.random(500) < 0.5, rng.exponential(3, 500), np.nan)
    >>> seen = seen_by(10, rng.uniform(0, 10, 500), delay)
    >>> probability, _ = fit_delays(np.zeros((500, 1)), seen, hidden=0, epochs=120, seed=0)
    >>> will_convert = np.isfinite(delay).mean()
    >>> bool(seen.converted.mean() < 0.8 * will_convert)
    True
    >>> bool(abs(probability[0] - will_convert) < 0.02)
    True
    """
    features, *known = aligned(
        features=features, converted=seen.converted, days=seen.days, age=seen.age
    )
    given = features, *known
    seen = SeenClicks(*(plain(each) for each in known))
    features = numbers(features, "features", ndim=2)
    whole_numbers(hidden, "hidden"), whole_numbers(epochs, "epochs", low=1)
    steps = {"hidden": hidden, "epochs": epochs, "seed": seed}
    net, unit, found = _train(features, seen, ridge=float(numbers(ridge, "ridge", low=0)), **steps)
    if history is not None:
        vars(history).update(vars(found))
    output = predict(net, (torch.tensor(features, dtype=torch.float32),)).double().numpy()
    logit, log_rate = output.T
    mean_delay = unit * np.exp(-log_rate)
    _warn_of_bounds(seen, mean_delay)
    return like(1 / (1 + np.exp(-logit)), *given), like(mean_delay, *given)


def _train(
    features: np.ndarray,
    seen: SeenClicks,
    *,
    hidden: int,
    epochs: int,
    seed: int,
    ridge: float,
    held: np.ndarray | None = None,
) -> tuple[DelayedFeedbackNet, float, History]:
    """Train the network on all clicks but those held out, on which the history then looks.

    Returns also the unit of its times, in that of `seen`.
    """
    learn = np.ones(len(features), bool) if held is None else ~held
    came = seen.converted & learn
    unit = float(seen.days[came].mean()) if came.any() else 0.0
    if unit == 0:
        raise ValueError(
            f"{came.sum()} of {learn.sum():,} clicks have converted by the cut-off, "
            "none after any time: there is no delay to learn"
        )
    torch.manual_seed(seed)
    rate = float(np.clip(seen.converted[learn].mean(), 1e-3, 1 - 1e-3))
    net = DelayedFeedbackNet(features.shape[1], hidden=hidden, rate=rate, mean_delay=1.0)
    weights = [each for each in net.parameters() if each.ndim == 2]

    def penalised(output: Tensor, target: Tensor) -> Tensor:
        loss = delayed_feedback_loss(output, target)
        return loss + ridge * sum(each.square().sum() for each in weights) if net.training else loss

    x = torch.tensor(features, dtype=torch.float32)
    y = SeenClicks(seen.converted, seen.days / unit, seen.age / unit).counts()
    steps = {"epochs": epochs, "batch_size": 1024, "learning_rate": 0.02, "seed": seed}
    watched = None if held is None else ((x[held],), y[held])
    found = fit(net, (x[learn],), y[learn], loss=penalised, validation=watched, **steps)
    return net, unit, found


def fit_guarded_delays(
    features: np.ndarray,
    seen: SeenClicks,
    customer: np.ndarray,
    *,
    hidden: int,
    epochs: int,
    seed: int,
    history: History | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """Choose the penalty of `fit_delays` on held-out customers, then fit all clicks with it.

    Of the `RIDGES` that one is taken that leaves the clicks of a fifth of the customers, drawn by
    the seed, the least loss at the end of a training on the others.

    Parameters
    ----------
    features : array of shape (K, F)
    seen : SeenClicks
    customer : array of shape (K,)
        Whose click it is.
    hidden, epochs, seed, history
        As in `fit_delays`; the history is that of the last fit, its validation losses are those of
        the held-out customers under the chosen penalty.

    Returns
    -------
    probability, mean_delay : arrays of shape (K,), or Series where an input has an index

    Raises
    ------
    ValueError
        As `fit_delays`; when there are fewer than five customers.

    Examples
    --------
    >>> import numpy as np
    >>> from pm_utils.measurement.delayed_feedback import fit_guarded_delays, seen_by
    >>> rng = np.random.default_rng(0)
    >>> delay = np.where(rng.random(500) < 0.5, rng.exponential(3, 500), np.nan)
    >>> seen = seen_by(10, rng.uniform(0, 10, 500), delay)
    >>> settings = {"hidden": 8, "epochs": 40, "seed": 0}
    >>> noise = rng.normal(size=(500, 20))
    >>> probability, _ = fit_guarded_delays(noise, seen, np.arange(500) % 50, **settings)
    >>> bool(probability.std() < 0.1)  # noise is not taken for features
    True
    """
    features, customer, *known = aligned(
        features=features,
        customer=customer,
        converted=seen.converted,
        days=seen.days,
        age=seen.age,
    )
    given = features, *known
    plainly = SeenClicks(*(plain(each) for each in known))
    array = numbers(features, "features", ndim=2)
    _, who = np.unique(labels(customer, "customer"), return_inverse=True)
    people = who.max(initial=-1) + 1
    if people < 5:
        raise ValueError(f"customer names {people}: give five or more, a fifth is held out")
    apart = np.random.default_rng(seed).permutation(people) < people // 5
    steps = {"hidden": hidden, "epochs": epochs, "seed": seed}
    tried = {
        ridge: _train(array, plainly, ridge=ridge, held=apart[who], **steps)[2].validation
        for ridge in RIDGES
    }
    best = min(tried, key=lambda ridge: tried[ridge][-1])
    told = History() if history is None else history
    found = fit_delays(array, plainly, ridge=best, history=told, **steps)
    told.validation = tried[best]
    return tuple(like(each, *given) for each in found)


def _warn_of_bounds(seen: SeenClicks, mean_delay: np.ndarray) -> None:
    """Say where the clicks do not tell one of the parameters."""
    if seen.converted.all():
        warnings.warn("every click has converted: P(converts) ends at its bound 1", stacklevel=3)
    middle, oldest = float(np.median(mean_delay)), float(seen.age.max())
    if middle > _LONGEST * oldest:
        warnings.warn(
            f"the mean delay runs to {middle:.3g} where the oldest click is {oldest:.3g} old: "
            "wait longer, or take the rate for a lower bound",
            stacklevel=3,
        )


def delay_summary(probability: np.ndarray, mean_delay: np.ndarray) -> tuple[float, float]:
    """Return the mean conversion rate, and the mean delay of a conversion in days.

    Raises
    ------
    ValueError
        When rows cannot be matched, a probability is none, all are 0, or a delay is negative or not
        finite.

    Examples
    --------
    >>> import numpy as np
    >>> from pm_utils.measurement.delayed_feedback import delay_summary
    >>> rate, days = delay_summary(np.array([0.2, 0.6]), np.array([4.0, 8.0]))
    >>> round(rate, 1), round(days, 1)  # who converts more often counts more
    (0.4, 7.0)
    """
    probability, mean_delay = _chances_and_delays(probability, mean_delay)
    return float(probability.mean()), float(np.average(mean_delay, weights=probability))


def _chances_and_delays(
    probability: np.ndarray, mean_delay: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    probability, mean_delay = aligned(probability=probability, mean_delay=mean_delay)
    probability = probabilities(probability, "probability")
    if not probability.any():
        raise ValueError("probability is 0 for all clicks: no conversion has a delay")
    return probability, numbers(mean_delay, "mean_delay", low=0)


def compare_delay_estimates(
    fits: dict[str, tuple[np.ndarray, np.ndarray]],
    truth: tuple[np.ndarray, np.ndarray],
    seen: SeenClicks,
    *,
    ahead: float,
) -> pd.DataFrame:
    """Compare what methods read at the cut-off with the truth.

    Explained in chapter ``funnel``.

    Parameters
    ----------
    fits : dict of pairs
        Probability and mean delay of every click, by the method's name, as from `delay_methods`.
    truth : pair of arrays of shape (K,)
    seen : SeenClicks
        What is known at the cut-off.
    ahead : float
        Days to come.

    Returns
    -------
    DataFrame
        ``rate`` and ``delay`` (days), ``rate error`` and ``delay error`` relative to the truth, and
        ``coming orders``, the mean of `coming_orders_losses` over the clicks without an order.
    """
    rows = {}
    for name, found in (fits | {"truth": truth}).items():
        loss = coming_orders_losses(*found, truth, seen, ahead=ahead)
        rows[name] = *delay_summary(*found), plain(loss)[~plain(seen.converted)].mean()
    table = pd.DataFrame(rows, index=["rate", "delay", "coming orders"]).T
    means = table[["rate", "delay"]]
    errors = (means / means.loc["truth"] - 1).add_suffix(" error")
    return pd.concat([means, errors, table[["coming orders"]]], axis=1)


def delay_methods(
    features: np.ndarray,
    seen: SeenClicks,
    customer: np.ndarray,
    *,
    waits: Sequence[float],
    epochs: int,
    seed: int,
    shuffles: int = 0,
) -> tuple[dict[str, tuple[np.ndarray, np.ndarray]], dict[str, History]]:
    """Read rate and delay in every way of the chapter, from what is known of clicks on a day.

    Explained in chapter ``funnel``.

    Parameters
    ----------
    features : array of shape (K, F)
    seen : SeenClicks
    customer : array of shape (K,)
        As in `fit_guarded_delays`.
    waits : sequence of float
        Days, as in `from_ripe_clicks`.
    epochs, seed : int
        As in `fit_delays`.
    shuffles : int
        How many nulls there are: networks that read the features of other clicks, each in an order
        of its own, and are guarded and trained as the one with a hidden layer.

    Returns
    -------
    dict of pairs of arrays of shape (K,)
        Probability and mean delay of every click: the same for all of them from ripe clicks, the
        Kaplan-Meier curve and the *cure model*, which is the delayed feedback model without
        features; by features from the linear model and from the one with a hidden layer, both
        guarded by `fit_guarded_delays`; by ``null 1`` and so on.
    dict of History
        Of the one with a hidden layer, and of the nulls.

    Raises
    ------
    ValueError
        As `from_ripe_clicks` and `fit_delays`.

    Examples
    --------
    >>> import numpy as np
    >>> from pm_utils.measurement.delayed_feedback import delay_methods, seen_by
    >>> rng = np.random.default_rng(0)
    >>> delay = np.where(rng.random(500) < 0.5, rng.exponential(3, 500), np.nan)
    >>> seen = seen_by(20, rng.uniform(0, 20, 500), delay)
    >>> who, ways = np.arange(500) % 50, {"waits": [0, 9], "epochs": 2, "seed": 0}
    >>> found, histories = delay_methods(np.zeros((500, 1)), seen, who, **ways)
    >>> for name, (probability, days) in found.items():
    ...     print(name, probability.shape)
    clicks of 0 days or more (500,)
    clicks of 9 days or more (500,)
    Kaplan-Meier (500,)
    cure model (500,)
    delayed feedback (500,)
    … with a hidden layer (500,)
    """
    size, histories = len(seen.days), {}
    alike = {f"clicks of {wait} days or more": from_ripe_clicks(seen, wait) for wait in waits}
    alike["Kaplan-Meier"] = kaplan_meier(seen)
    found = {name: (np.full(size, p), np.full(size, days)) for name, (p, days) in alike.items()}
    steps = {"epochs": epochs, "seed": seed}
    found["cure model"] = fit_delays(np.zeros((size, 1)), seen, hidden=0, **steps)
    found["delayed feedback"] = fit_guarded_delays(features, seen, customer, hidden=0, **steps)
    shown_to = {"… with a hidden layer": features}
    for k in range(shuffles):
        shown_to[f"null {k + 1}"] = np.random.default_rng([seed, k]).permutation(features)
    for name, rows in shown_to.items():
        histories[name] = History()
        deep = {"hidden": DELAY_UNITS, "history": histories[name]}
        found[name] = fit_guarded_delays(rows, seen, customer, **deep, **steps)
    return found, histories


def delay_by(group: np.ndarray, probability: np.ndarray, mean_delay: np.ndarray) -> pd.Series:
    """Return the mean delay of a conversion in each group of clicks, in days.

    Explained in chapter ``funnel``.

    Raises
    ------
    ValueError
        As `delay_summary`; when a click has no group, groups are of several types, or one has only
        probabilities of 0.

    Examples
    --------
    >>> import numpy as np
    >>> from pm_utils.measurement.delayed_feedback import delay_by
    >>> device = np.array(["phone", "phone", "desktop"])
    >>> delay_by(device, np.array([0.1, 0.3, 0.2]), np.array([2.0, 6.0, 3.0])).round(1).to_dict()
    {'desktop': 3.0, 'phone': 5.0}
    """
    group, probability, mean_delay = aligned(
        group=group, probability=probability, mean_delay=mean_delay
    )
    group = labels(group, "group")
    probability, mean_delay = _chances_and_delays(probability, mean_delay)
    parts = pd.DataFrame({"probability": probability, "days": probability * mean_delay})
    sums = parts.groupby(group).sum()
    if not (sums["probability"] > 0).all():
        none = sums.index[~(sums["probability"] > 0)][0]
        raise ValueError(f"group {none!r} has no click that may convert: leave it out")
    return sums["days"] / sums["probability"]


def from_ripe_clicks(seen: SeenClicks, wait: float) -> tuple[float, float]:
    """Return rate and mean delay from clicks that are at least `wait` days old, by their shares.

    Parameters
    ----------
    seen : SeenClicks
    wait : float
        Days; 0 takes every click, whatever its age.

    Raises
    ------
    ValueError
        When no click is that old, or none of those has converted.

    Examples
    --------
    >>> import numpy as np
    >>> from pm_utils.measurement.delayed_feedback import from_ripe_clicks, seen_by
    >>> clicked_at, delay = np.array([0, 2, 9, 9]), np.array([3, np.nan, 4, np.nan])
    >>> seen = seen_by(10, clicked_at, delay)
    >>> from_ripe_clicks(seen, 0), from_ripe_clicks(seen, 5)  # fresh clicks pull the rate down
    ((0.25, 3.0), (0.5, 3.0))
    """
    ripe = seen.age >= float(numbers(wait, "wait", low=0))
    came = ripe & seen.converted
    if not came.any():
        raise ValueError(f"no conversion of a click that is {wait} days old: wait less")
    return float(came.sum() / ripe.sum()), float(seen.days[came].mean())


def kaplan_meier(seen: SeenClicks) -> tuple[float, float]:
    """Return rate and mean delay by the Kaplan-Meier curve of the orders, all clicks alike.

    Each day of age is judged by the clicks that reached it. The rate is where the curve ends, at
    the oldest click, and the mean delay that of the orders up to there: what comes later is not
    known.

    Parameters
    ----------
    seen : SeenClicks

    Returns
    -------
    (float, float)

    Raises
    ------
    ValueError
        When no click has converted.

    References
    ----------
    Kaplan & Meier (1958), Nonparametric estimation from incomplete observations.

    Examples
    --------
    Of four old clicks two brought an order within the day, and so did one of two fresh ones; the
    other old ones never did:

    >>> import numpy as np
    >>> from pm_utils.measurement.delayed_feedback import SeenClicks, kaplan_meier
    >>> converted = np.array([1, 1, 0, 0, 1, 0])
    >>> days, age = np.array([1, 1, 9, 9, 1, 0.5]), np.array([9, 9, 9, 9, 1, 0.5])
    >>> kaplan_meier(SeenClicks(converted, days, age))  # three of the five that were a day old
    (0.6, 1.0)
    """
    converted, days = plain(seen.converted), plain(seen.days)
    if not converted.any():
        raise ValueError("no click has converted: there is no curve")
    curve = ecdf(CensoredData.right_censored(days, ~converted)).cdf
    came = np.diff(curve.probabilities, prepend=0.0)  # at each of the curve's times
    return float(curve.probabilities[-1]), float(np.average(curve.quantiles, weights=came))


def next_orders_loss(
    probability: np.ndarray, mean_delay: np.ndarray, then: SeenClicks, now: SeenClicks
) -> float:
    r"""Return how badly a model of an earlier day tells whose order comes until today.

    Of a click without an order at age e, with p the probability that it ever converts and an
    exponential delay of rate λ, an order comes within the next w days with probability
    :math:`p (e^{-\lambda e} - e^{-\lambda (e + w)}) / (1 - p + p e^{-\lambda e})`. Anybody who
    keeps a log can judge a model of delays so, without knowing the truth.

    Parameters
    ----------
    probability, mean_delay : arrays of shape (K,)
        Of each click, by a model that knew `then` only.
    then, now : SeenClicks
        The same K clicks on the earlier day and today.

    Returns
    -------
    float
        Log loss in nats per click that was without an order; lower is better.

    Raises
    ------
    ValueError
        When rows cannot be matched, a probability is none, a delay is not above 0, time has gone
        back, or every click had its order.

    Examples
    --------
    Two fresh clicks with a chance of one half and a mean delay of a day; after a long time one has
    brought an order:

    >>> import numpy as np
    >>> from pm_utils.measurement.delayed_feedback import SeenClicks, next_orders_loss
    >>> then = SeenClicks(np.array([0, 0]), np.zeros(2), np.zeros(2))
    >>> now = SeenClicks(np.array([1, 0]), np.array([1.0, 99.0]), np.array([99.0, 99.0]))
    >>> round(next_orders_loss(np.full(2, 0.5), np.ones(2), then, now), 3)
    0.693
    """
    parts = aligned(
        probability=probability,
        mean_delay=mean_delay,
        before=then.converted,
        age=then.age,
        after=now.converted,
        later=now.age,
    )
    probability = probabilities(parts[0], "probability")
    rate = 1 / numbers(parts[1], "mean_delay", above=0)
    before, age, after, later = (plain(part) for part in parts[2:])
    refuse(later < age, "now is before then", "give the later day second", rows=parts[0])
    if before.all():
        raise ValueError("every click had its order already: there is none to foretell")
    chance = _coming(probability, rate, age, later)[~before]
    came = after[~before]
    hit = np.where(came, chance, 1 - chance)
    return float(-np.log(np.maximum(hit, np.finfo(float).tiny)).mean())


def _coming(
    probability: np.ndarray, rate: np.ndarray, age: np.ndarray, later: np.ndarray
) -> np.ndarray:
    """P(order between two ages | none before), by the formula of `next_orders_loss`."""
    left, right = np.exp(-rate * age), np.exp(-rate * later)
    return probability * (left - right) / (1 - probability + probability * left)


def coming_orders_losses(
    probability: np.ndarray,
    mean_delay: np.ndarray,
    truth: tuple[np.ndarray, np.ndarray],
    seen: SeenClicks,
    *,
    ahead: float,
) -> np.ndarray:
    """Return how badly a model tells which open clicks bring an order soon, expected by the truth.

    It is the `next_orders_loss` of the days to come, on average over what may happen in them, and
    least for the truth. Only a simulation can compute it.

    Parameters
    ----------
    probability, mean_delay : arrays of shape (K,)
        Of each click, by a model.
    truth : pair of arrays of shape (K,)
        The true ones.
    seen : SeenClicks
        What is known today.
    ahead : float
        How many days are to come.

    Returns
    -------
    array of shape (K,)
        Nats; 0 for clicks that have had their order.

    Raises
    ------
    ValueError
        When rows cannot be matched, a probability is none, or a delay is not above 0.

    Examples
    --------
    Of two open clicks of today each will bring an order, or never, and soon if so. Who holds both
    for sure pays more than the truth:

    >>> import numpy as np
    >>> from pm_utils.measurement.delayed_feedback import SeenClicks, coming_orders_losses
    >>> seen = SeenClicks(np.array([0, 0]), np.zeros(2), np.zeros(2))
    >>> half, soon = np.full(2, 0.5), np.ones(2)
    >>> for said in (half, np.full(2, 0.9)):
    ...     print(coming_orders_losses(said, soon, (half, soon), seen, ahead=99).round(3))
    [0.693 0.693]
    [1.204 1.204]
    """
    parts = aligned(
        probability=probability,
        mean_delay=mean_delay,
        true_probability=truth[0],
        true_delay=truth[1],
        converted=seen.converted,
        age=seen.age,
    )
    age, later = plain(parts[5]), plain(parts[5]) + float(numbers(ahead, "ahead", above=0))
    said, true = (
        _coming(
            probabilities(parts[k], "probability"),
            1 / numbers(parts[k + 1], "mean_delay", above=0),
            age,
            later,
        )
        for k in (0, 2)
    )
    comes, stays = (np.log(np.maximum(p, np.finfo(float).tiny)) for p in (said, 1 - said))
    loss = -(true * comes + (1 - true) * stays)
    return like(np.where(plain(parts[4]), 0.0, loss), *parts)


def compare_coming_orders(
    first: tuple[np.ndarray, np.ndarray],
    second: tuple[np.ndarray, np.ndarray],
    truth: tuple[np.ndarray, np.ndarray],
    seen: SeenClicks,
    customer: np.ndarray,
    *,
    ahead: float,
    repeats: int,
    seed: int,
) -> tuple[float, float]:
    """Return a 95 % interval of the mean loss of coming orders of `first` minus that of `second`.

    Explained in chapter ``funnel``.

    Parameters
    ----------
    first, second, truth : pairs of arrays of shape (K,)
        Probability and mean delay of each click.
    seen, ahead
        As in `coming_orders_losses`; the mean is over the clicks without an order.
    customer : array of shape (K,)
        Whose click it is.
    repeats, seed : int
        Resamples of customers; both are scored on the same ones.

    Raises
    ------
    ValueError
        As `coming_orders_losses`, or when every click has had its order.

    Examples
    --------
    >>> import numpy as np
    >>> from pm_utils.measurement.delayed_feedback import SeenClicks, compare_coming_orders
    >>> seen = SeenClicks(np.zeros(4), np.ones(4), np.ones(4))
    >>> truth, wrong = (np.full(4, 0.5), np.ones(4)), (np.full(4, 0.9), np.ones(4))
    >>> drawing = {"ahead": 9, "repeats": 50, "seed": 0}
    >>> low, high = compare_coming_orders(truth, wrong, truth, seen, np.arange(4), **drawing)
    >>> high < 0  # the truth errs less
    True
    """
    lost = [coming_orders_losses(*each, truth, seen, ahead=ahead) for each in (first, second)]
    parts = aligned(first=lost[0], second=lost[1], converted=seen.converted, customer=customer)
    still_open = ~booleans(parts[2], "converted")
    if not still_open.any():
        raise ValueError("every click had its order already: there is none to foretell")
    _, who = np.unique(labels(parts[3], "customer")[still_open], return_inverse=True)
    weight = bootstrap_weights(who.max() + 1, repeats, seed)
    gap = (plain(parts[0]) - plain(parts[1]))[still_open]
    return percentile_interval((weight @ np.bincount(who, gap)) / (weight @ np.bincount(who)))


def backtest_delays(
    features: np.ndarray,
    clicked_at: np.ndarray,
    delay: np.ndarray,
    customer: np.ndarray,
    *,
    today: float,
    back: float,
    waits: Sequence[float],
    epochs: int,
    seed: int,
) -> pd.Series:
    """Return the `next_orders_loss` of every way of `delay_methods`, fitted on an earlier day.

    Explained in chapter ``funnel``.

    Parameters
    ----------
    features : array of shape (K, F)
    clicked_at, delay : arrays of shape (K,)
        As in `seen_by`.
    customer : array of shape (K,)
        As in `fit_guarded_delays`.
    today, back : float
        Days since the start, and how many days earlier the methods are fitted: on the clicks and
        the orders that there were.
    waits, epochs, seed
        As in `delay_methods`.

    Returns
    -------
    Series
        Nats per click that was without an order, by the method's name.

    Raises
    ------
    ValueError
        When rows cannot be matched, or as `delay_methods`.

    Examples
    --------
    >>> import numpy as np
    >>> from pm_utils.measurement.delayed_feedback import backtest_delays
    >>> rng = np.random.default_rng(0)
    >>> delay = np.where(rng.random(500) < 0.5, rng.exponential(3, 500), np.nan)
    >>> ways = {"today": 20, "back": 5, "waits": [0], "epochs": 2, "seed": 0}
    >>> clicked_at, who = rng.uniform(0, 20, 500), np.arange(500) % 50
    >>> found = backtest_delays(np.zeros((500, 1)), clicked_at, delay, who, **ways)
    >>> bool((found > 0).all())
    True
    """
    given = aligned(features=features, clicked_at=clicked_at, delay=delay, customer=customer)
    features, clicked_at, delay, customer = (plain(each) for each in given)
    old = clicked_at <= today - back
    then, now = (seen_by(day, clicked_at[old], delay[old]) for day in (today - back, today))
    ways = {"waits": waits, "epochs": epochs, "seed": seed}
    fits, _ = delay_methods(features[old], then, customer[old], **ways)
    return pd.Series({name: next_orders_loss(*fit, then, now) for name, fit in fits.items()})
