"""Readings of the formula by hand; models are chosen before the holdout."""

import numpy as np
import pytest

from pm_utils import formulas
from pm_utils.chapters import lifetime_value


def test_four_readings_of_a_customer():
    table = lifetime_value.readings(40, 12, rate=0.02, leaving=0.05, horizons=(24, np.inf))
    assert table.index.tolist() == ["24", "no end"]
    flows = [np.full(24, 40.0), np.full(24, 12.0)]
    gamma = formulas.discount_factor_from_rate(0.02)
    assert table.loc["24", "corrected"] == pytest.approx(formulas.lifetime_value(*flows, gamma))
    assert table.loc["24", "as printed"] == pytest.approx(
        formulas.lifetime_value_as_printed(*flows, gamma)
    )
    assert table.loc["24", "rate for the factor"] == pytest.approx(
        formulas.lifetime_value(*flows, 0.02)
    )
    assert table.loc["no end", "as printed"] == -np.inf
    assert table.loc["no end", "corrected"] == pytest.approx(28 * 1.02 / 0.02)
    assert table.loc["no end", "with leaving"] == pytest.approx(28 * 1.02 / 0.07)
