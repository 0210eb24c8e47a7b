"""Whom an ad changes: learners of heterogeneous effects, and curves that score them.

Every curve is a function of the scores, not of the order of rows: it is straight between distinct
scores, as scikit-uplift's `qini_curve` is, because rows of equal score are addressed together.
"""

from typing import Protocol

import numpy as np
import pandas as pd
from sklearn.base import RegressorMixin, clone
from sklearn.metrics import auc

from pm_utils.inputs import aligned, booleans, columns, labels, like, numbers, whole_numbers
from pm_utils.targeting.lists import best_first, totals_of_best


class Learner(Protocol):
    """Whatever says whom to address first, having seen an experiment.

    Nothing needs to be inherited.

    Examples
    --------
    >>> import numpy as np
    >>> from pm_utils.targeting.uplift import Learner
    >>> class FirstColumn:
    ...     def fit(self, x, treated, outcome):
    ...         return self
    ...
    ...     def predict(self, x):
    ...         return x[:, 0]
    >>> learner: Learner = FirstColumn()
    >>> learner.predict(np.array([[3.0, 1.0], [4.0, 1.0]]))
    array([3., 4.])
    """

    def fit(self, x: np.ndarray, treated: np.ndarray, outcome: np.ndarray) -> "Learner":
        """Learn from x (N, D), treated (N,) and outcome (N,)."""

    def predict(self, x: np.ndarray) -> np.ndarray:
        """Return a score per customer (N,): the highest are addressed first."""


class ResponseRanking:
    """Who buys when treated, which is not whom the treatment changes.

    Explained in chapter ``creative-optimisation``.

    Parameters
    ----------
    model : scikit-learn regressor
        Cloned and fitted on the treated.
    least_likely_first : bool
        Turn the score upside down.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.linear_model import LinearRegression
    >>> from pm_utils.targeting.uplift import ResponseRanking
    >>> x = np.array([[0.0], [1.0], [0.0], [1.0]])
    >>> treated, outcome = np.array([0, 0, 1, 1]), np.array([1.0, 1.0, 1.0, 3.0])
    >>> ResponseRanking(LinearRegression()).fit(x, treated, outcome).predict(x[:2]).round(2)
    array([1., 3.])
    """

    def __init__(self, model: RegressorMixin, *, least_likely_first: bool = False) -> None:
        self.model, self.sign = model, -1 if least_likely_first else 1

    def fit(self, x: np.ndarray, treated: np.ndarray, outcome: np.ndarray) -> "ResponseRanking":
        """Fit on the treated of x (N, D), treated (N,), outcome (N,).

        Raises
        ------
        ValueError
            As `TLearner.fit`.
        """
        x, treated, outcome, self.names, _ = _experiment(x, treated, outcome)
        self.fitted = clone(self.model).fit(x[treated], outcome[treated])
        return self

    def predict(self, x: np.ndarray) -> np.ndarray:
        """Return the score → (N,); a table's columns are found by name."""
        return like(self.sign * self.fitted.predict(_features(x, self.names)), x)


class TLearner:
    r"""Two models: :math:`\hat\tau(x) = \hat\mu_1(x) - \hat\mu_0(x)`.

    Explained in chapter ``creative-optimisation``.

    Parameters
    ----------
    model : scikit-learn regressor
        Cloned for the treated and for the others.

    References
    ----------
    Künzel, Sekhon, Bickel & Yu (2019), Metalearners for estimating heterogeneous effects.

    Examples
    --------
    The ad does nothing where x is 0, and adds 2 where x is 1.

    >>> import numpy as np
    >>> from sklearn.linear_model import LinearRegression
    >>> from pm_utils.targeting.uplift import TLearner
    >>> x = np.array([[0.0], [1.0], [0.0], [1.0]])
    >>> treated, outcome = np.array([0, 0, 1, 1]), np.array([1.0, 1.0, 1.0, 3.0])
    >>> learner = TLearner(LinearRegression()).fit(x, treated, outcome)
    >>> learner.predict(np.array([[1.0], [2.0]])).round(2)
    array([2., 4.])
    """

    def __init__(self, model: RegressorMixin) -> None:
        self.model = model

    def fit(self, x: np.ndarray, treated: np.ndarray, outcome: np.ndarray) -> "TLearner":
        """Fit on x (N, D), treated (N,), outcome (N,).

        Raises
        ------
        ValueError
            When a treatment is neither 0 nor 1, an arm is empty, a number is not finite, or the
            rows do not belong together; pandas' rows are matched by index.
        """
        x, treated, outcome, self.names, _ = _experiment(x, treated, outcome)
        self.models = [clone(self.model).fit(x[g], outcome[g]) for g in (~treated, treated)]
        return self

    def predict(self, x: np.ndarray) -> np.ndarray:
        """Return the predicted uplift → (N,); a table's columns are found by name.

        Of a table it is a Series with the table's index.

        Raises
        ------
        KeyError
            When a table lacks a column that `fit` saw.
        ValueError
            When a number is not finite.
        """
        features = _features(x, self.names)
        without, with_ad = (model.predict(features) for model in self.models)
        return like(with_ad - without, x)


def _experiment(
    x: np.ndarray, treated: np.ndarray, outcome: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray, list | None, list]:
    """Return features, treatments and outcomes as arrays, names of features, and the rows."""
    rows = x, treated, outcome = aligned(x=x, treated=treated, outcome=outcome)
    names = list(x.columns) if isinstance(x, pd.DataFrame) else None
    treated = _two_arms(treated)
    return _features(x, names), treated, numbers(outcome, "outcome", ndim=1), names, rows


def _features(x: np.ndarray, names: list | None) -> np.ndarray:
    """Return finite features (N, D), those of a table in the order of the names."""
    if names is not None and isinstance(x, pd.DataFrame):
        x = columns(x, names, "x")
    return numbers(x, "x", ndim=2)


def _two_arms(treated: np.ndarray) -> np.ndarray:
    """Return treatments as booleans, or say that an arm is empty."""
    treated = booleans(treated, "treated")
    if treated.all() or not treated.any():
        arm, other = ("treated", "not treated") if treated.all() else ("not treated", "treated")
        raise ValueError(
            f"treated is {bool(treated.all())} in all of {treated.size:,} rows: all are {arm} and "
            f"nobody is {other}; give rows of both arms"
        )
    return treated


class DRLearner:
    r"""Regress a doubly robust guess at each customer's uplift on the context.

    .. math::
        \varphi = \hat\mu_1(x) - \hat\mu_0(x) + \frac{t}{e} \bigl(y - \hat\mu_1(x)\bigr)
          - \frac{1 - t}{1 - e} \bigl(y - \hat\mu_0(x)\bigr)

    with the propensity e, the probability of treatment, known from the design, and
    :math:`\hat\mu` fitted on the other half of the customers. φ is called the pseudo-outcome.

    Explained in chapter ``creative-optimisation``.

    Parameters
    ----------
    outcome_model, effect_model : scikit-learn regressors
        For :math:`\hat\mu`, and for φ given x.
    propensity : float
        e, between 0 and 1, neither of them.
    seed : int
        Halves the customers, in the order of their index, so that the order of a table's rows does
        not count; arrays have no other order than that of their rows.

    Raises
    ------
    ValueError
        When the propensity does not lie between 0 and 1.

    References
    ----------
    Kennedy (2023), Towards optimal doubly robust estimation of heterogeneous causal effects.

    Examples
    --------
    The ad adds 1 where x is 0, and 3 where x is 1.

    >>> import numpy as np
    >>> from sklearn.linear_model import LinearRegression
    >>> from pm_utils.targeting.uplift import DRLearner
    >>> x, treated = np.tile([[0.0], [1.0]], (10, 1)), np.repeat([0, 1], 10)
    >>> outcome = 5 + treated * (1 + 2 * x[:, 0])
    >>> learner = DRLearner(LinearRegression(), LinearRegression(), seed=0)
    >>> learner.fit(x, treated, outcome).predict(np.array([[0.0], [1.0]])).round(2)
    array([1., 3.])
    >>> round(float(learner.pseudo_outcomes(x, treated, outcome).mean()), 2)  # the average uplift
    2.0
    """

    def __init__(
        self,
        outcome_model: RegressorMixin,
        effect_model: RegressorMixin,
        *,
        propensity: float = 0.5,
        seed: int = 0,
    ) -> None:
        if not 0 < propensity < 1:
            raise ValueError(f"propensity is {propensity}: give a number between 0 and 1")
        self.outcome_model, self.effect_model = outcome_model, effect_model
        self.propensity, self.seed = propensity, seed

    def pseudo_outcomes(
        self, x: np.ndarray, treated: np.ndarray, outcome: np.ndarray
    ) -> np.ndarray:
        """Return φ → (N,); its mean estimates the average uplift.

        A Series with the index of the first input that carries one, else an array.

        Raises
        ------
        ValueError
            As `TLearner.fit`, also when one of the halves lacks an arm.
        """
        x, treated, outcome, _, rows = _experiment(x, treated, outcome)
        return like(self._guesses(x, treated, outcome, self._halves(*rows)), *rows)

    def _halves(self, *rows: np.ndarray) -> np.ndarray:
        """Return the half of each row, 0 or 1, by the first index → (N,)."""
        half = np.random.default_rng(self.seed).permutation(len(rows[0])) % 2
        index = next((one.index for one in rows if hasattr(one, "iloc")), None)
        if index is None:
            return half
        names = labels(index, "the index")
        return half[np.argsort(np.argsort(names, kind="stable"))]

    def _guesses(
        self, x: np.ndarray, treated: np.ndarray, outcome: np.ndarray, half: np.ndarray
    ) -> np.ndarray:
        t, e = treated.astype(float), self.propensity
        phi = np.empty(len(x))
        for fold in range(2):
            others, own = half != fold, half == fold
            if t[others].min() == t[others].max():
                raise ValueError(
                    f"treated is {bool(t[others][0])} in all of {others.sum():,} rows of one half "
                    f"of the {len(x):,}: each half needs rows of both arms; give more rows, or "
                    "another seed"
                )
            outcome_models = TLearner(self.outcome_model).fit(x[others], t[others], outcome[others])
            mu_0, mu_1 = (model.predict(x[own]) for model in outcome_models.models)
            y, given = outcome[own], t[own]
            phi[own] = mu_1 - mu_0 + given / e * (y - mu_1)
            phi[own] -= (1 - given) / (1 - e) * (y - mu_0)
        return phi

    def fit(self, x: np.ndarray, treated: np.ndarray, outcome: np.ndarray) -> "DRLearner":
        """Fit on x (N, D), treated (N,), outcome (N,).

        Raises
        ------
        ValueError
            As `pseudo_outcomes`.
        """
        x, treated, outcome, self.names, rows = _experiment(x, treated, outcome)
        phi = self._guesses(x, treated, outcome, self._halves(*rows))
        self.model = clone(self.effect_model).fit(x, phi)
        return self

    def predict(self, x: np.ndarray) -> np.ndarray:
        """Return the predicted uplift → (N,); a table's columns are found by name.

        Of a table it is a Series with the table's index.

        Raises
        ------
        KeyError
            When a table lacks a column that `fit` saw.
        ValueError
            When a number is not finite.
        """
        return like(self.model.predict(_features(x, self.names)), x)


def gain_curve(score: np.ndarray, effect: np.ndarray, points: int = 101) -> np.ndarray:
    """Return the gain per customer from addressing the best-scored share → (points,).

    Explained in chapter ``creative-optimisation``.

    Parameters
    ----------
    score, effect : arrays of shape (N,)
        Predicted and true uplift. Customers of equal score each gain their mean. Matched by index,
        where both arrays carry one.
    points : int
        Shares from 0 to 1, equally spaced; at least 2.

    Raises
    ------
    ValueError
        When a score or an effect is not finite, or the rows do not belong together.

    Examples
    --------
    Addressing one customer in three gains 2 / 3 per customer, addressing all of them only 1 / 3:
    the last is harmed.

    >>> import numpy as np
    >>> from pm_utils.targeting.uplift import gain_curve
    >>> score, effect = np.array([0.9, 0.5, 0.1]), np.array([2.0, 0.0, -1.0])
    >>> gain_curve(score, effect, points=4).round(2)
    array([0.  , 0.67, 0.67, 0.33])
    """
    score, effect = aligned(score=score, effect=effect)
    score, effect = numbers(score, "score", ndim=1), numbers(effect, "effect", ndim=1)
    points = int(whole_numbers(points, "points", low=2))
    gained = totals_of_best(effect, score) / len(effect)
    return np.interp(np.linspace(0, len(effect), points), np.arange(len(effect) + 1), gained)


def qini_curve(
    score: np.ndarray, treated: np.ndarray, outcome: np.ndarray, points: int = 101
) -> np.ndarray:
    r"""Return the same from an experiment, where no effect is known (Radcliffe's Qini) → (points,).

    Among the best-scored share, :math:`Y_t - Y_c N_t / N_c`: outcomes of the treated less those of
    the others, brought to the number of the treated; here divided by the number of all treated.
    This is scikit-uplift's `qini_curve` over the number of the treated, read at equally spaced
    shares: straight between distinct scores, 0 while nobody untreated is among the best.
    `qini_coefficient` is its normalised area, in scikit-uplift's unit.

    Explained in chapter ``creative-optimisation``.

    Parameters
    ----------
    score : array of shape (N,)
        Customers of equal score are addressed together.
    treated : array of shape (N,), 0 or 1
    outcome : array of shape (N,)
        Purchases or dollars. Pandas' rows are matched by index.
    points : int
        Shares from 0 to 1, equally spaced; at least 2.

    Raises
    ------
    ValueError
        When a treatment is neither 0 nor 1, an arm is empty, a number is not finite, or the rows
        do not belong together.

    References
    ----------
    Radcliffe (2007), Using control groups to target on predicted lift.

    Examples
    --------
    Among the best half, one was treated and bought, the other was not treated and did not. The
    curve ends at the difference of the two groups' means, whatever the score.

    >>> import numpy as np
    >>> from pm_utils.targeting.uplift import qini_curve
    >>> treated, outcome = np.array([1, 0, 1, 0]), np.array([1, 0, 1, 1])
    >>> qini_curve(np.array([4, 3, 2, 1]), treated, outcome, points=5)
    array([0. , 0.5, 0.5, 1. , 0.5])
    """
    score, treated, outcome = _scored_experiment(score, treated, outcome)
    points = int(whole_numbers(points, "points", low=2))
    ends, won = _won(score, treated, outcome)
    return np.interp(np.linspace(0, len(score), points), ends, won / treated.sum())


def _scored_experiment(
    score: np.ndarray, treated: np.ndarray, outcome: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return scores (N,), treatments as 0.0 and 1.0, and outcomes."""
    score, treated, outcome = aligned(score=score, treated=treated, outcome=outcome)
    score, outcome = numbers(score, "score", ndim=1), numbers(outcome, "outcome", ndim=1)
    return score, _two_arms(treated).astype(float), outcome


def _won(
    score: np.ndarray, treated: np.ndarray, outcome: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return Radcliffe's curve at each distinct score: how many are addressed, what it wins.

    Customers with equal scores are addressed together, so their order does not count.
    """
    order, ends = best_first(outcome, score)
    t, y = treated[order], outcome[order]
    n_t, n_c, y_t, y_c = (
        np.r_[0, np.cumsum(part)][ends] for part in (t, 1 - t, t * y, (1 - t) * y)
    )
    ratio = np.divide(n_t, n_c, out=np.zeros(len(ends)), where=n_c > 0)
    return ends, y_t - y_c * ratio


def qini_coefficient(score: np.ndarray, treated: np.ndarray, outcome: np.ndarray) -> float:
    r"""Return the Qini coefficient: a score's area over random as a share of the best order's.

    .. math::
        Q = \frac{A(s) - A_0}{A(s^*) - A_0}, \qquad s^* = y t - y (1 - t),
        \qquad A_0 = \tfrac12 N g(N)

    with A the area under :math:`g(n) = Y_t - Y_c N_t / N_c`, the buyers won among the n best-scored
    (see `qini_curve`), by the trapezoidal rule between distinct scores. The best order
    :math:`s^*` puts the treated who bought first and the others who bought last.

    Parameters
    ----------
    score : array of shape (N,)
        Predicted uplift. Customers of equal score are addressed together.
    treated, outcome : arrays of shape (N,), 0 or 1
        Pandas' rows are matched by index.

    Returns
    -------
    float
        At most 1; higher is better. Equal to scikit-uplift's `qini_auc_score`, so that published
        figures can be compared.

    Raises
    ------
    ValueError
        When a treatment or an outcome is neither 0 nor 1, an arm is empty, all outcomes are alike,
        a score is not finite, or the rows do not belong together.

    References
    ----------
    Radcliffe (2007), Using control groups to target on predicted lift.

    Examples
    --------
    1 is the best possible order, 0 as good as random; here the score turned upside down is worse.
    Equal scores are addressed together: a constant score earns nothing by the order of its rows.

    >>> import numpy as np
    >>> from pm_utils.targeting.uplift import qini_coefficient
    >>> treated, outcome = np.array([1, 0, 1, 0]), np.array([1, 0, 0, 1])
    >>> score = np.array([0.9, 0.2, 0.2, -0.5])
    >>> qini = [qini_coefficient(each, treated, outcome) for each in (score, -score, 0 * score)]
    >>> [round(float(q), 2) for q in qini]
    [1.0, -0.25, 0.0]
    """
    score, treated, outcome = aligned(score=score, treated=treated, outcome=outcome)
    score, treated = numbers(score, "score", ndim=1), _two_arms(treated).astype(float)
    outcome = booleans(outcome, "outcome").astype(float)
    if outcome.min() == outcome.max():
        raise ValueError(f"outcome is {outcome[0]:g} for all {len(outcome):,} rows: no order wins")
    best = outcome * treated - outcome * (1 - treated)
    curves = [_won(each, treated, outcome) for each in (score, best)]
    random = auc([0, len(outcome)], [0, curves[1][1][-1]])
    reached, possible = (auc(*curve) - random for curve in curves)
    return reached / possible


def uplift_at(score: np.ndarray, treated: np.ndarray, outcome: np.ndarray, share: float) -> float:
    r"""Return the uplift among the best-scored share: mean of the treated less that of the others.

    Equal to scikit-uplift's `uplift_at_k` with the strategy "overall" where no customers of equal
    score meet the end of the list. Where they do, each of them counts in part; scikit-uplift takes
    those that stand first.

    Parameters
    ----------
    score, treated, outcome
        As in `qini_curve`.
    share : float
        Above 0 and at most 1; the number of customers is rounded down, as scikit-uplift does.

    Returns
    -------
    float

    Raises
    ------
    ValueError
        As `qini_curve`, or when the best-scored share holds one arm only.

    Examples
    --------
    Of the best four, two were treated and both bought; of the two others, one did.

    >>> import numpy as np
    >>> from pm_utils.targeting.uplift import uplift_at
    >>> score, treated = np.array([6, 5, 4, 3, 2, 1]), np.array([1, 0, 1, 0, 1, 0])
    >>> uplift_at(score, treated, np.array([1, 0, 1, 1, 0, 0]), 0.7)
    0.5
    """
    score, treated, outcome = _scored_experiment(score, treated, outcome)
    count = max(1, int(len(score) * float(numbers(share, "share", above=0, high=1))))
    n_t, n_c, y_t, y_c = (
        totals_of_best(part, score)[count]
        for part in (treated, 1 - treated, treated * outcome, (1 - treated) * outcome)
    )
    if not n_t or not n_c:
        raise ValueError(
            f"the best {count:,} rows hold {n_t:g} treated and {n_c:g} others: give a larger share"
        )
    return float(y_t / n_t - y_c / n_c)


def area_over_random(curve: np.ndarray) -> float:
    """Return the area between a curve and the straight line to its end.

    Parameters
    ----------
    curve : array of shape (points,)
        At equally spaced shares, as `gain_curve` and `qini_curve` give it.

    Raises
    ------
    ValueError
        When a point is not finite, or there are fewer than two.

    Examples
    --------
    >>> import numpy as np
    >>> from pm_utils.targeting.uplift import area_over_random
    >>> area_over_random(np.array([0.0, 1.0, 1.0]))  # all is gained with the first half
    0.25
    >>> area_over_random(np.array([0.0, 0.5, 1.0]))  # the straight line
    0.0
    """
    curve = numbers(curve, "curve", ndim=1)
    if len(curve) < 2:
        raise ValueError(f"curve has {len(curve)} points: give at least 2")
    return float(
        np.trapezoid(curve - np.linspace(0, curve[-1], len(curve)), dx=1 / (len(curve) - 1))
    )


def share_of_targeting(score: np.ndarray, effect: np.ndarray) -> float:
    """Return the area over random of a score as a share of that of the true effects.

    Parameters
    ----------
    score, effect : arrays of shape (N,)
        As in `gain_curve`.

    Raises
    ------
    ValueError
        As `gain_curve`, or when all effects are alike, so that no order gains.

    Examples
    --------
    >>> import numpy as np
    >>> from pm_utils.targeting.uplift import share_of_targeting
    >>> effect = np.array([2.0, 1.0, 0.0, -1.0])
    >>> round(share_of_targeting(10 * effect, effect), 2)  # only the order counts
    1.0
    >>> round(share_of_targeting(-effect, effect), 2)
    -1.0
    """
    score, effect = aligned(score=score, effect=effect)
    if np.ptp(numbers(effect, "effect", ndim=1)) == 0:
        raise ValueError("effect is the same for all: no order gains anything over another")
    areas = [area_over_random(gain_curve(each, effect)) for each in (score, effect)]
    return areas[0] / areas[1]


def score_uplift(
    scores: dict[str, np.ndarray], treated: np.ndarray, outcome: np.ndarray, effect: np.ndarray
) -> pd.DataFrame:
    """Judge scores by what an experiment shows, and by the truth.

    Parameters
    ----------
    scores : dict of arrays of shape (N,)
    treated, outcome : arrays of shape (N,), 0 or 1
    effect : array of shape (N,)
        True uplift.

    Returns
    -------
    DataFrame
        For each score, the ``Qini`` coefficient and the ``share of true gain``; higher is better.

    Raises
    ------
    ValueError
        As `qini_coefficient` and `share_of_targeting`; the rows of all are matched by index.

    Examples
    --------
    >>> import numpy as np
    >>> from pm_utils.targeting.uplift import score_uplift
    >>> effect = np.array([1.0, 0.0, 0.0, -1.0])
    >>> treated, outcome = np.array([1, 0, 1, 0]), np.array([1, 0, 0, 1])
    >>> score_uplift({"good": effect, "reversed": -effect}, treated, outcome, effect).round(2)
              Qini  share of true gain
    good      1.00                 1.0
    reversed -0.25                -1.0
    """
    told = {f"{name!r}": score for name, score in scores.items()}
    treated, outcome, effect, *rows = aligned(
        treated=treated, outcome=outcome, effect=effect, **told
    )
    scores = dict(zip(scores, rows, strict=True))
    qini = {name: qini_coefficient(score, treated, outcome) for name, score in scores.items()}
    share = {name: share_of_targeting(score, effect) for name, score in scores.items()}
    return pd.DataFrame({"Qini": qini, "share of true gain": share})
