"""Logs become rows without losing an impression."""

import numpy as np
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
    expected = read(banners(), (2, 2))
    found = read(banners(click=np.array([1, 0, 0, 0])), (2, 2))
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
