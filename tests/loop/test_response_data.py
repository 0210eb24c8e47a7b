"""Logs become rows without losing an impression."""

import numpy as np

from pm_utils.loop import response_data
from pm_utils.loop.response_data import ResponseLog, from_campaign
from pm_utils.loop.response_models import RandomEffects
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
