"""The recipe is the source's, and each leak that is closed shows in the error."""

import numpy as np
import pandas as pd
import pytest
from sklearn.preprocessing import MinMaxScaler

from pm_utils.data import load_shop
from pm_utils.features import customer_features, spend_between
from pm_utils.leakage import STEPS, leak_ladder, recipe


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
    assert errors[STEPS[0]] < 0.15 * naive
    assert errors[STEPS[-1]] > naive


def test_copies_totals_and_time_each_hide_error(errors):
    assert tuple(errors.index) == STEPS
    assert (np.diff(errors.iloc[:4]) > 3).all()
    assert abs(errors.iloc[4] - errors.iloc[3]) < 5  # the scaler matters least


def test_the_ladder_depends_on_the_seed_only_where_it_splits(shop, errors):
    again = leak_ladder(shop, "2017-07-07", "2017-09-01", seed=1)
    np.testing.assert_array_equal(again.iloc[3:], errors.iloc[3:])
    assert (again.iloc[:3] != errors.iloc[:3]).all()
