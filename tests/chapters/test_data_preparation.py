"""The recipe is the source's, and each leak that is closed shows in the error."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from sklearn.neighbors import KNeighborsRegressor
from sklearn.preprocessing import MinMaxScaler

from pm_utils.chapters.data_preparation import LADDER_STEPS, leak_ladder, recipe
from pm_utils.customers.features import customer_features, spend_between
from pm_utils.data import load_shop


@pytest.fixture(scope="module")
def shop():
    return load_shop()


@pytest.fixture(scope="module")
def errors(shop) -> pd.Series:
    return leak_ladder(shop, "2017-07-07", "2017-09-01")


def test_the_recipe_repeats_each_user_on_every_order():
    orders = pd.DataFrame({"user_id": [1, 2, 1, 3], "order_amount": [10.0, 4.0, 30.0, 2.0]})
    rows = recipe(orders)
    assert rows["total_purchase"].tolist() == pytest.approx([1, 2 / 38, 1, 0])
    assert rows["avg_order_value"].tolist() == pytest.approx([1, 2 / 18, 1, 0])
    assert list(orders) == ["user_id", "order_amount"]


def test_the_recipe_equals_the_sources_own_lines():
    raw_data = pd.DataFrame({"user_id": [5, 5, 6, 7, 7], "order_amount": [1.0, 2.0, 3.0, 4.0, 9.0]})
    expected = raw_data.copy()
    groups = expected["order_amount"].groupby(expected["user_id"])
    expected["total_purchase"] = groups.transform("sum")
    expected["avg_order_value"] = groups.transform("mean")
    columns = ["total_purchase", "avg_order_value"]
    expected[columns] = MinMaxScaler().fit_transform(expected[columns])
    pd.testing.assert_frame_equal(recipe(raw_data), expected)


def test_the_recipe_looks_almost_perfect_and_is_worse_than_no_model(shop, errors):
    day = pd.Timestamp("2017-09-01")
    now = customer_features(shop, day)
    spend = spend_between(shop, day, day + pd.Timedelta(weeks=8))[now.index]
    naive = (spend - now["recent_spend"]).abs().mean()
    assert errors[LADDER_STEPS[0]] < 0.15 * naive
    assert errors[LADDER_STEPS[-1]] > naive


def test_copies_totals_and_time_each_hide_error(errors):
    assert tuple(errors.index) == LADDER_STEPS
    assert (np.diff(errors.iloc[:4]) > 3).all()


def test_the_scaler_changes_something_but_less_than_every_other_step(errors):
    *others, scaler = np.abs(np.diff(errors))
    assert 0.01 < scaler < min(others)


def test_without_copies_totals_hide_more_than_time(errors):
    copies, totals, time, _ = np.diff(errors)
    assert copies > totals > time


def test_the_ladder_depends_on_the_seed_only_where_it_splits(shop, errors):
    again = leak_ladder(shop, "2017-07-07", "2017-09-01", seed=1)
    np.testing.assert_array_equal(again.iloc[3:], errors.iloc[3:])
    assert (again.iloc[:3] != errors.iloc[:3]).all()


def test_the_last_step_is_a_nearest_neighbour_forecast_by_hand(shop, errors):
    """Trained on July, scaled by July, asked in September; distances and means in NumPy."""
    columns = ["total_purchase", "average_order_value"]
    then, now = (customer_features(shop, day)[columns] for day in ("2017-07-07", "2017-09-01"))
    low, high = then.min(), then.max()
    then_scaled, now_scaled = ((x - low) / (high - low) for x in (then, now))
    past = spend_between(shop, "2017-07-07", "2017-09-01")[then.index].to_numpy()
    squares = [np.subtract.outer(now_scaled[c].to_numpy(), then_scaled[c].to_numpy()) for c in now]
    nearest = np.argpartition(squares[0] ** 2 + squares[1] ** 2, 25, axis=1)[:, :25]
    truth = spend_between(shop, "2017-09-01", "2017-10-27")[now.index].to_numpy()
    by_hand = np.abs(truth - past[nearest].mean(axis=1)).mean()
    assert errors.iloc[-1] == pytest.approx(by_hand, rel=1e-3)  # ties may fall otherwise


def test_the_recipe_reports_less_error_the_more_it_may_copy(shop, errors):
    """With one neighbour, a row's copy in another fold gives the answer itself."""
    one = leak_ladder(shop, "2017-07-07", "2017-09-01", model=KNeighborsRegressor(1))
    assert one.iloc[0] < errors.iloc[0]
    assert one.iloc[-1] > errors.iloc[-1]


def test_later_orders_move_the_leaky_steps_and_not_the_honest_features(shop):
    """Orders after the target window enter the recipe's totals, and nothing else."""
    late = shop.order_lines["ordered_at"] >= "2017-10-27"
    amount = shop.order_lines["amount"].where(~late, 3 * shop.order_lines["amount"])
    other = replace(shop, order_lines=shop.order_lines.assign(amount=amount))
    days = ("2017-07-07", "2017-09-01")
    before, after = (
        leak_ladder(each, *days, model=KNeighborsRegressor(5)) for each in (shop, other)
    )
    assert (before.iloc[:2] != after.iloc[:2]).all()
    np.testing.assert_array_equal(before.iloc[2:], after.iloc[2:])
