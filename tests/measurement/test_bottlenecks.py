"""A planted leak is found, and no leak is not."""

import numpy as np
import pytest

from pm_utils.measurement import bottlenecks


def test_lost_profit_by_hand():
    now = np.array([1000.0, 100, 50, 10, 200])
    before = np.array([1000.0, 200, 100, 20, 400])
    # rates 0.1, 0.5, 0.2 now and 0.2, 0.5, 0.2 before; 20 dollars per order
    assert bottlenecks.lost_profit(now, before).tolist() == pytest.approx([200, 0, 0])
    assert bottlenecks.lost_profit(before, now).tolist() == pytest.approx([-200, 0, 0])


def test_a_stage_that_nobody_reached_loses_nothing_known():
    dead = np.array([1000.0, 0, 0, 0, 0])
    before = np.array([1000.0, 200, 100, 20, 400])
    assert bottlenecks.lost_profit(dead, before).tolist() == [
        400,
        0,
        0,
    ]  # the outage is at the click
    assert bottlenecks.lost_profit(before, dead).tolist() == pytest.approx([-400, 0, 0])
