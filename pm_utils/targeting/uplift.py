"""Whom an ad changes: learners of heterogeneous effects, and curves that score them."""

import numpy as np
import pandas as pd
from sklearn.base import RegressorMixin, clone
from sklearn.metrics import auc


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
        """Fit on x (N, D), treated (N,), outcome (N,)."""
        treated = np.asarray(treated, bool)
        self.models = [clone(self.model).fit(x[g], outcome[g]) for g in (~treated, treated)]
        return self

    def predict(self, x: np.ndarray) -> np.ndarray:
        """Return the predicted uplift → (N,)."""
        without, with_ad = (model.predict(x) for model in self.models)
        return with_ad - without


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
        e, between 0 and 1.
    seed : int
        Halves the customers.

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
        self.outcome_model, self.effect_model = outcome_model, effect_model
        self.propensity, self.seed = propensity, seed

    def pseudo_outcomes(
        self, x: np.ndarray, treated: np.ndarray, outcome: np.ndarray
    ) -> np.ndarray:
        """Return φ → (N,); its mean estimates the average uplift."""
        t, e = np.asarray(treated, float), self.propensity
        half = np.random.default_rng(self.seed).permutation(len(x)) % 2
        phi = np.empty(len(x))
        for fold in range(2):
            others, own = half != fold, half == fold
            outcome_models = TLearner(self.outcome_model).fit(x[others], t[others], outcome[others])
            mu_0, mu_1 = (model.predict(x[own]) for model in outcome_models.models)
            y, given = outcome[own], t[own]
            phi[own] = mu_1 - mu_0 + given / e * (y - mu_1)
            phi[own] -= (1 - given) / (1 - e) * (y - mu_0)
        return phi

    def fit(self, x: np.ndarray, treated: np.ndarray, outcome: np.ndarray) -> "DRLearner":
        """Fit on x (N, D), treated (N,), outcome (N,)."""
        self.model = clone(self.effect_model).fit(x, self.pseudo_outcomes(x, treated, outcome))
        return self

    def predict(self, x: np.ndarray) -> np.ndarray:
        """Return the predicted uplift → (N,)."""
        return self.model.predict(x)


def gain_curve(score: np.ndarray, effect: np.ndarray, points: int = 101) -> np.ndarray:
    """Return the gain per customer from addressing the best-scored share → (points,).

    Explained in chapter ``creative-optimisation``.

    Parameters
    ----------
    score, effect : arrays of shape (N,)
        Predicted and true uplift.
    points : int
        Shares from 0 to 1, equally spaced.

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
    gained = np.r_[0, np.cumsum(effect[np.argsort(-score, kind="stable")])] / len(effect)
    return np.interp(np.linspace(0, len(effect), points), np.arange(len(effect) + 1), gained)


def qini_curve(
    score: np.ndarray, treated: np.ndarray, outcome: np.ndarray, points: int = 101
) -> np.ndarray:
    r"""Return the same from an experiment, where no effect is known (Radcliffe's Qini) → (points,).

    Among the best-scored share, :math:`Y_t - Y_c N_t / N_c`: outcomes of the treated less those of
    the others, brought to the number of the treated; here divided by the number of all treated.

    Explained in chapter ``creative-optimisation``.

    Parameters
    ----------
    score, treated, outcome : arrays of shape (N,)
    points : int

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
    order = np.argsort(-score, kind="stable")
    t, y = np.asarray(treated, float)[order], np.asarray(outcome, float)[order]
    sums = [np.r_[0, np.cumsum(part)] for part in (t, 1 - t, t * y, (1 - t) * y)]
    n_t, n_c, y_t, y_c = sums
    ratio = np.divide(n_t, n_c, out=np.zeros_like(n_t), where=n_c > 0)
    gained = (y_t - y_c * ratio) / n_t[-1]
    return np.interp(np.linspace(0, len(t), points), np.arange(len(t) + 1), gained)


def _buyers_won(
    score: np.ndarray, treated: np.ndarray, outcome: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return Radcliffe's curve at each distinct score: how many are addressed, buyers won by it.

    Customers with equal scores are addressed together, so their order does not count.
    """
    order = np.argsort(-score, kind="stable")
    t, y = treated[order], outcome[order]
    last = np.r_[np.flatnonzero(np.diff(score[order])), len(score) - 1]
    n_t, y_t, y_c = (np.cumsum(part)[last] for part in (t, t * y, (1 - t) * y))
    n_c = last + 1 - n_t
    ratio = np.divide(n_t, n_c, out=np.zeros(len(last)), where=n_c > 0)
    return np.r_[0, last + 1], np.r_[0, y_t - y_c * ratio]


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
        Predicted uplift.
    treated, outcome : arrays of int of shape (N,), 0 or 1

    Returns
    -------
    float
        At most 1; higher is better.

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
    best = outcome * treated - outcome * (1 - treated)
    curves = [_buyers_won(np.asarray(each), treated, outcome) for each in (score, best)]
    random = auc([0, len(outcome)], [0, curves[1][1][-1]])
    reached, possible = (auc(*curve) - random for curve in curves)
    return reached / possible


def area_over_random(curve: np.ndarray) -> float:
    """Return the area between a curve and the straight line to its end.

    Examples
    --------
    >>> import numpy as np
    >>> from pm_utils.targeting.uplift import area_over_random
    >>> area_over_random(np.array([0.0, 1.0, 1.0]))  # all is gained with the first half
    0.25
    >>> area_over_random(np.array([0.0, 0.5, 1.0]))  # the straight line
    0.0
    """
    return float(
        np.trapezoid(curve - np.linspace(0, curve[-1], len(curve)), dx=1 / (len(curve) - 1))
    )


def share_of_targeting(score: np.ndarray, effect: np.ndarray) -> float:
    """Return the area over random of a score as a share of that of the true effects.

    Parameters
    ----------
    score, effect : arrays of shape (N,)

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
    areas = [area_over_random(gain_curve(each, effect)) for each in (score, effect)]
    return areas[0] / areas[1]


def score_uplift(
    scores: dict[str, np.ndarray], treated: np.ndarray, outcome: np.ndarray, effect: np.ndarray
) -> pd.DataFrame:
    """Judge scores by what an experiment shows, and by the truth.

    Explained in chapter ``creative-optimisation``.

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
    treated, outcome = np.asarray(treated, int), np.asarray(outcome, int)
    qini = {name: qini_coefficient(score, treated, outcome) for name, score in scores.items()}
    share = {name: share_of_targeting(score, effect) for name, score in scores.items()}
    return pd.DataFrame({"Qini": qini, "share of true gain": share})
