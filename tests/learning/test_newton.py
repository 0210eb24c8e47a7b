"""Newton's method finds the optimum that scikit-learn finds."""

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from pm_utils.learning.newton import newton_logistic


def test_newton_finds_what_scikit_learn_finds():
    rng = np.random.default_rng(0)
    x = np.column_stack([np.ones(3000), rng.normal(size=(3000, 4))]).astype(np.float32)
    trials = rng.integers(1, 5, 3000).astype(np.float32)
    hits = rng.binomial(trials.astype(int), 1 / (1 + np.exp(1 - x[:, 1]))).astype(np.float32)
    prior = np.zeros(5), np.diag([1e-6, 5, 5, 5, 5])

    def part(some: slice):
        return x[some], hits[some], trials[some], 0 * hits[some]

    coef, hessian = newton_logistic(part, 3000, *prior, strides=(4, *7 * [1]), block=700)
    both, weight = np.vstack([x, x])[:, 1:], np.concatenate([hits, trials - hits])
    label = np.repeat([1, 0], 3000)
    model = LogisticRegression(C=1 / 5, tol=1e-8).fit(both, label, sample_weight=weight)
    assert coef == pytest.approx(np.r_[model.intercept_, model.coef_[0]], abs=2e-3)
    same, _ = newton_logistic(part, 0, coef, hessian, strides=(1,))
    assert np.array_equal(same, coef)  # nothing new


def test_what_was_learned_before_is_a_prior():
    rng = np.random.default_rng(1)
    x = np.column_stack([np.ones(4000), rng.normal(size=(4000, 2))]).astype(np.float32)
    hits, one = (rng.random(4000) < 1 / (1 + np.exp(1 - x[:, 1]))).astype(np.float32), np.ones(4000)
    prior = np.zeros(3), np.eye(3)

    def fit(first: int, last: int, mean, precision):
        def part(some: slice):
            rows = slice(first, last)
            return x[rows][some], hits[rows][some], one[rows][some], 0 * hits[rows][some]

        return newton_logistic(part, last - first, mean, precision, strides=(1, 1, 1, 1))

    whole, parts = fit(0, 4000, *prior)[0], fit(3000, 4000, *fit(0, 3000, *prior))[0]
    assert parts == pytest.approx(whole, abs=0.01)


def test_what_is_known_beforehand_is_not_learned_again():
    """Half a unit that is added to every logit leaves the intercept, a slope's part the slope."""
    rng = np.random.default_rng(2)
    x = np.column_stack([np.ones(5000), rng.normal(size=5000)]).astype(np.float32)
    hits = (rng.random(5000) < 1 / (1 + np.exp(1 - x[:, 1]))).astype(np.float32)

    def fit(known: np.ndarray) -> np.ndarray:
        def part(some: slice):
            return x[some], hits[some], np.ones(5000, np.float32)[some], known[some]

        return newton_logistic(part, 5000, np.zeros(2), 1e-4 * np.eye(2), strides=8 * [1])[0]

    alone, beside = fit(np.zeros(5000)), fit(0.5 - 0.4 * x[:, 1])
    assert beside - alone == pytest.approx([-0.5, 0.4], abs=1e-3)


def test_coefficients_that_are_no_numbers_are_refused():
    x, y = np.array([[1.0], [np.nan]]), np.array([1, 0])
    with pytest.raises(FloatingPointError, match="1 of 1 coefficients are not finite"):
        newton_logistic(
            lambda rows: (x[rows], y[rows], 1, 0), 2, np.zeros(1), np.eye(1), strides=[1]
        )
