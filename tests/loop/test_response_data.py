"""Logs become rows without losing an impression."""

import numpy as np
import pandas as pd
import pytest

from pm_utils.loop import response_data
from pm_utils.loop.response_data import ResponseLog, from_campaign
from pm_utils.loop.response_models import RandomEffects
from pm_utils.market import ImpressionLog
from pm_utils.market.dynamics import ORDER_WEEKS
from tests.support.loop_world import MENU, campaign_log, fixed


def test_orders_are_read_only_where_none_can_still_come():
    new = from_campaign(campaign_log(6)).mature.reshape(6, 50)
    assert new.all(1).tolist() == [week + ORDER_WEEKS <= 6 for week in range(6)]
    assert not new[-3:].any()


def test_no_effect_leaps():
    """A click that the model holds for all but impossible would send Newton's step far out."""
    record = np.zeros((2, 2, 5, len(MENU)), np.float32)
    record[0, :, 0] = 1  # one customer, who saw every ad once and clicked on each
    rare = np.full((2, 5, len(MENU)), -9, np.float32)

    found = RandomEffects(fixed(rare), MENU, em_steps=1, variance=100.0)
    found.fit(response_data.ExplorationLog(ResponseLog.empty(), record), ResponseLog.empty())
    assert 1 < np.abs(found.effects).max() <= 2  # the likelihood is made normal twice


# --- Inputs ---------------------------------------------------------------------------------------


def rows_of(**changes) -> ResponseLog:
    one = np.ones(3, np.float32)
    parts = {"customer": np.arange(3), "ad": np.array([0, 1, 0]), "fatigue": 0 * one}
    parts |= {"impressions": one, "clicks": one, "orders": 0 * one}
    return ResponseLog(**(parts | {"mature": one > 0, "offset": np.zeros((3, 2))} | changes))


def test_rows_that_cannot_be_are_refused():
    for changes, told in (
        ({"clicks": np.array([0, np.nan, 1])}, "clicks is not finite in 1 of 3 rows, first row 1"),
        ({"impressions": -np.ones(3)}, "impressions is out of range in 3 of 3"),
        ({"ad": np.array([0, -1, 0])}, "ad is out of range"),
        ({"mature": np.array([1, 2, 1])}, "mature holds 1, 2"),
        ({"orders": np.ones(2)}, "orders 2"),
        ({"offset": np.full((3, 2), np.inf)}, "offset is not finite"),
    ):
        with pytest.raises(ValueError, match=told):
            rows_of(**changes)
    record = np.zeros((2, 2, 2, 2))
    with pytest.raises(ValueError, match="customer is out of range .* 0 to 1"):
        response_data.ExplorationLog(ResponseLog.empty(), record).with_rows(rows_of(), 0.0)


def banners(**changes) -> ImpressionLog:
    none = np.zeros(4)
    parts = {"customer": np.array([0, 0, 1, 1]), "creative": np.array([0, 1, 0, 1])}
    parts |= {"position": none, "propensity": none + 0.5, "click": np.array([1, 0, 0, 0]) > 0}
    parts |= {"visit": none > 0, "conversion": none > 0, "delay": none, "order_value": none}
    return ImpressionLog(**(parts | changes))


def test_banners_are_counted_whatever_kind_of_zero_and_one_a_click_is():
    read = response_data.subsample_negatives
    expected = read(banners(), (2, 2), seed=0)
    found = read(banners(click=np.array([1, 0, 0, 0])), (2, 2), seed=0)
    assert np.array_equal(found.record, expected.record)
    assert np.array_equal(found.rows.impressions, expected.rows.impressions)
    for changes, told in (
        ({"click": np.array([1, 2, 2, 2])}, "click holds 1, 2"),
        ({"conversion": np.array(["no", "no", "no", "yes"])}, "conversion holds 'no', 'yes'"),
        ({"creative": np.array([0, 1, 0, 2])}, "creative is out of range .* 0 to 1"),
        ({"customer": np.array([0, 0, 1, 10**12])}, "customer is out of range"),
    ):
        with pytest.raises(ValueError, match=told):
            read(banners(**changes), (2, 2))


def test_a_log_of_lists_is_a_log_of_arrays():
    rows = ResponseLog(
        [0, 1], [0, 0], [0, 0], [2, 2], [1, 0], [1, 0], np.array([1.0, 0.0]), [[0, 0], [0, 0]]
    )
    assert rows.mature.dtype == bool and rows.impressions.dtype == np.float32
    record = response_data.ExplorationLog(ResponseLog.empty(), np.zeros((2, 2, 2, 1)).tolist())
    assert record.with_rows(rows, 0.0)[1, 1].tolist() == [[1.0], [0.0]]
    assert len(ResponseLog([], [], [], [], [], [], [], []).offset) == 0


def test_rows_of_a_log_are_matched_by_index():
    plain, labels = rows_of(clicks=np.array([1, 0, 1])), ["a", "b", "c"]
    mixed = rows_of(
        customer=pd.Series(range(3), labels), clicks=pd.Series([1, 1, 0], ["c", "a", "b"])
    )
    assert np.array_equal(mixed.clicks, plain.clicks)


def test_more_orders_than_clicks_are_refused():
    with pytest.raises(ValueError, match="orders are above clicks in 1 of 3 rows, first row 2"):
        rows_of(orders=np.array([0, 1, 2]))
    with pytest.raises(ValueError, match="clicks are above impressions in 3 of 3 rows"):
        rows_of(clicks=np.full(3, 2))
    with pytest.raises(ValueError, match="record has shape"):
        response_data.ExplorationLog(ResponseLog.empty(), np.zeros((1, 2, 2, 1)))


def test_which_misses_are_kept_does_not_depend_on_the_order_of_rows():
    rng, n, read = np.random.default_rng(0), 400, response_data.subsample_negatives
    none = np.zeros(n)
    parts = {"customer": rng.integers(20, size=n), "creative": rng.integers(5, size=n)}
    parts |= {"position": none, "propensity": none + 0.2, "click": rng.random(n) < 0.1}
    parts |= {"visit": none > 0, "conversion": none > 0, "delay": none, "order_value": none}
    order = np.lexsort((parts["creative"], parts["customer"]))
    mixed = ImpressionLog(**{name: part[order] for name, part in parts.items()})
    one, other = (read(log, (20, 5), seed=3).rows for log in (ImpressionLog(**parts), mixed))
    for name in ("customer", "ad", "clicks", "impressions"):
        assert np.array_equal(getattr(one, name), getattr(other, name))
    assert len(np.unique(one.customer[one.clicks == 0])) > 10
    with pytest.raises(ValueError, match="the log is sorted by customer.*give a seed"):
        read(mixed, (20, 5))
