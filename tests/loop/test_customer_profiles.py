"""Profiles learned from orders say more than activity."""

import numpy as np
import pytest

from pm_utils.loop.customer_profiles import smoothed_shares


def test_shares_start_from_everybodys():
    counts = np.zeros((3, 12))
    counts[0, 2], counts[1, 5] = 30, 10
    shares = smoothed_shares(counts, 10)
    assert shares.sum(1) == pytest.approx(1)
    assert shares[2] == pytest.approx(counts.sum(0) / 40)
    assert shares[0, 2] == pytest.approx((30 + 7.5) / 40)
