"""Likeness facts: item-item and factor models against slow and closed-form ones."""

import numpy as np
import pytest
from sklearn.linear_model import Ridge

from pm_utils.targeting.interest import likeness

RNG = np.random.default_rng(0)
TASTE = RNG.random((60, 2)) @ RNG.random((2, 7))
HELD = RNG.poisson(3 * TASTE).astype(float)


def test_cosines_are_those_of_columns_and_an_item_is_not_like_itself():
    got = likeness.item_cosines(HELD)
    for i in range(7):
        for j in range(7):
            a, b = HELD[:, i], HELD[:, j]
            wanted = 0 if i == j else a @ b / np.linalg.norm(a) / np.linalg.norm(b)
            assert got[i, j] == pytest.approx(wanted)
    assert np.isfinite(likeness.item_cosines(np.zeros((3, 2)))).all()


def test_the_item_regression_is_one_ridge_regression_per_item():
    got = likeness.item_regression(HELD, penalty=5.0)
    for item in range(7):
        others = np.delete(HELD, item, axis=1)
        ridge = Ridge(alpha=5.0, fit_intercept=False).fit(others, HELD[:, item])
        assert got[:, item] == pytest.approx(ridge.predict(others), abs=1e-6)


def test_vectors_of_one_side_are_the_weighted_ridge_regressions_on_the_other():
    other = RNG.normal(size=(7, 3))
    got = likeness._least_squares(HELD, other, confidence=2.0, penalty=1.5)
    assert got.shape == (60, 3)
    for vector, held in zip(got, HELD, strict=True):
        weight = np.diag(1 + 2.0 * held)
        normal = other.T @ weight @ other + 1.5 * np.eye(3)
        assert vector == pytest.approx(np.linalg.inv(normal) @ other.T @ weight @ (held > 0))


def penalised_loss(product: np.ndarray, width: int, confidence: float, penalty: float) -> float:
    """Loss of a product of two sides, each as short as it can be: the nuclear norm penalises it."""
    misfit = ((1 + confidence * HELD) * ((HELD > 0) - product) ** 2).sum()
    return misfit + 2 * penalty * np.linalg.svd(product, compute_uv=False)[:width].sum()


def test_turns_lower_the_loss_until_they_stand_still():
    settings = {"width": 2, "confidence": 2.0, "penalty": 1.0}
    said = [likeness.implicit_factors(HELD, rounds=rounds, **settings) for rounds in (1, 300, 301)]
    assert said[1] == pytest.approx(said[2], abs=1e-3)
    first, last, _ = (penalised_loss(product, **settings) for product in said)
    assert last < first
    rng = np.random.default_rng(0)
    left, size, right = np.linalg.svd(said[1], full_matrices=False)
    sides = left[:, :2] * np.sqrt(size[:2]), right[:2].T * np.sqrt(size[:2])
    for _ in range(20):  # no step to a side makes it better
        moved = [side + 0.01 * rng.normal(size=side.shape) for side in sides]
        assert penalised_loss(moved[0] @ moved[1].T, **settings) > last


def test_a_customer_who_bought_nothing_has_no_factors():
    held = np.vstack([HELD, np.zeros(7)])
    assert np.abs(likeness.implicit_factors(held, width=2)[-1]).max() == 0
    assert np.abs(likeness.item_regression(held)[-1]).max() == 0


def test_likeness_facts_by_hand():
    held = np.array([[3.0, 1.0, 0.0], [0.0, 2.0, 2.0], [1.0, 1.0, 0.0]])
    days = np.array([[5.0, 9.0, 180.0], [180.0, 3.0, 4.0], [7.0, 2.0, 180.0]])
    facts = likeness.likeness_facts(held, days)
    assert facts.shape == (3, 3, 6)
    rank, share, alike, cosine, regression, factors = np.moveaxis(facts, 2, 0)
    assert np.exp(rank) == pytest.approx(np.array([[1, 2, 3], [3, 1, 2], [2, 1, 3]]), rel=1e-5)
    assert np.expm1(share[0]) == pytest.approx([75, 25, 0], rel=1e-4)
    assert alike[0].tolist() == [9, 5, 5]  # of three items, both others are alike
    known = np.log1p(held[0])
    wanted = known @ likeness.item_cosines(held > 0) / known.sum()
    assert cosine[0] == pytest.approx(wanted, rel=1e-5)
    assert regression == pytest.approx(likeness.item_regression(held > 0), rel=1e-4)
    assert factors == pytest.approx(likeness.implicit_factors(np.log1p(held), width=3), rel=1e-4)


@pytest.mark.parametrize(
    "act",
    [likeness.item_cosines, likeness.item_regression, likeness.implicit_factors],
)
def test_purchases_that_cannot_be_are_refused(act):
    with pytest.raises(ValueError, match="held"):
        act(-HELD)
    with pytest.raises(ValueError, match="held"):
        act(np.where(HELD > 2, np.nan, HELD))


def test_settings_that_cannot_be_are_refused():
    with pytest.raises(ValueError, match="penalty"):
        likeness.item_regression(HELD, penalty=0)
    for name in ("width", "rounds", "penalty"):
        with pytest.raises(ValueError, match=name):
            likeness.implicit_factors(HELD, **{name: 0})
    with pytest.raises(ValueError, match="days_since"):
        likeness.likeness_facts(HELD, np.full(HELD.shape, np.inf))
