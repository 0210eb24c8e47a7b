"""Profiles learned from orders say more than activity."""

import numpy as np
import pandas as pd
import pytest
import torch

from pm_utils.loop.customer_profiles import (
    PurchaseSummary,
    category_loss,
    learn_profile,
    learned_profile,
    plain_profile,
    profile_inputs,
    smoothed_shares,
    summarise_purchases,
)


def test_shares_start_from_everybodys():
    counts = np.zeros((3, 12))
    counts[0, 2], counts[1, 5] = 30, 10
    shares = smoothed_shares(counts, 10)
    assert shares.sum(1) == pytest.approx(1)
    assert shares[2] == pytest.approx(counts.sum(0) / 40)
    assert shares[0, 2] == pytest.approx((30 + 7.5) / 40)


# --- Shops of one's own ---------------------------------------------------------------------------


def orders_of(n: int = 40, seed: int = 0) -> pd.DataFrame:
    """Orders of ten customers in four categories, the last of which nobody buys."""
    rng = np.random.default_rng(seed)
    kinds = ["dairy", "meat", "pets", "baby"]
    return pd.DataFrame(
        {
            "customer": rng.integers(10, size=n),
            "day": rng.uniform(0, 70, n),
            "category": pd.Categorical.from_codes(rng.integers(3, size=n), kinds),
            "order_value": rng.uniform(5, 50, n),
            "coupon": rng.random(n) < 0.3,
        }
    )


def test_a_category_that_nobody_bought_says_nothing():
    past = summarise_purchases(orders_of(), 10, 10)
    assert (past.counts[:, 3] == 0).all()
    profile = plain_profile(past)
    assert np.isfinite(profile.traits).all()
    assert np.isfinite(profile.affinity).all()
    assert (profile.affinity[:, 3] == 0).all()
    assert np.isfinite(profile_inputs(past)).all()
    learned = learned_profile(learn_profile(past, past.counts, epochs=1, seed=0)[0], past)
    assert np.isfinite(learned.traits).all()


def test_constant_habits_say_nothing():
    past = summarise_purchases(orders_of().assign(coupon=False), 10, 10)
    assert np.isfinite(profile_inputs(past)).all()
    assert (profile_inputs(past)[:, -1] == 0).all()


def test_the_order_of_orders_does_not_matter():
    orders = orders_of()
    one = summarise_purchases(orders, 10, 10)
    other = summarise_purchases(orders.sample(frac=1, random_state=0), 10, 10)
    for name in ("rate", "value", "coupons", "recency", "counts"):
        assert getattr(one, name) == pytest.approx(getattr(other, name))
    again = summarise_purchases(
        orders[orders.columns[::-1]].assign(coupon=1 * orders.coupon), 10, 10
    )
    assert np.array_equal(again.coupons, one.coupons)


def test_orders_that_cannot_be_are_refused():
    orders = orders_of()
    for change, told in (
        ({"customer": 10}, r"orders, customer is out of range in 40 of 40 .* 0 to 9"),
        ({"customer": -1}, "orders, customer is out of range"),
        ({"order_value": np.nan}, "orders, order_value is not finite"),
        ({"order_value": -3.0}, "orders, order_value is out of range"),
        ({"day": 80.0}, "orders, day is out of range .* 0 to 70"),
        ({"coupon": 2}, "orders, coupon holds 2"),
        ({"category": orders["category"].where(orders.index > 0)}, "code of category"),
    ):
        with pytest.raises(ValueError, match=told):
            summarise_purchases(orders.assign(**change), 10, 10)
    with pytest.raises(KeyError, match="orders has no column 'coupon'"):
        summarise_purchases(orders.drop(columns="coupon"), 10, 10)
    with pytest.raises(ValueError, match="no rows"):
        summarise_purchases(orders[:0], 10, 10)
    with pytest.raises(ValueError, match="nobody has ordered"):
        smoothed_shares(np.zeros((3, 2)), 10)
    one = np.ones(3)
    with pytest.raises(ValueError, match="rate is out of range in 1 of 3 rows, first row 1"):
        PurchaseSummary(np.array([1.0, 0.0, 1.0]), one, one, one, np.ones((3, 2)), 10)
    with pytest.raises(ValueError, match="value is not finite"):
        PurchaseSummary(one, np.nan * one, one, one, np.ones((3, 2)), 10)
    with pytest.raises(ValueError, match="late 2 rows"):
        learn_profile(
            PurchaseSummary(one, one, one, one, np.ones((3, 2)), 10),
            np.ones((2, 2)),
            epochs=1,
            seed=0,
        )
    assert category_loss(torch.zeros(2, 4), torch.zeros(2, 4)).item() == 0


def test_customers_of_a_summary_are_matched_by_index():
    rate, labels = pd.Series([1.0, 2.0], ["a", "b"]), ["b", "a"]
    past = PurchaseSummary(
        rate, pd.Series([20.0, 10.0], labels), [0, 0], [1, 1], pd.DataFrame(np.eye(2), labels), 10
    )
    assert past.value.tolist() == [10.0, 20.0] and past.rate.tolist() == [1.0, 2.0]
    assert past.counts.tolist() == [[0.0, 1.0], [1.0, 0.0]]


def test_categories_as_text_are_named():
    orders = orders_of()
    with pytest.raises(TypeError, match="orders, category is of .*: give a categorical column"):
        summarise_purchases(orders.astype({"category": str}), 10, 10)
