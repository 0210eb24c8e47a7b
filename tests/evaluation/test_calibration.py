"""Reliability and temperature: by hand, against the truth, and against a null."""

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.calibration import calibration_curve

from pm_utils.evaluation.calibration import (
    calibration_error,
    calibration_floor,
    calibration_table,
    fit_temperature,
    reliability,
)
from pm_utils.formulas import log_loss, sigmoid


def world(n: int = 20_000, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Return targets and the logits that they were drawn from."""
    rng = np.random.default_rng(seed)
    logit = rng.normal(-2, 1.5, n)
    return (rng.random(n) < sigmoid(logit)).astype(float), logit


def test_reliability_and_its_error_by_hand():
    probability = np.array([0.4, 0.1, 0.2, 0.3])
    target = np.array([1, 0, 0, 1])
    table = reliability(target, probability, bins=2)
    assert table["predicted"].tolist() == pytest.approx([0.15, 0.35])
    assert table["observed"].tolist() == [0, 1]
    assert table["rows"].tolist() == [2, 2]
    assert calibration_error(target, probability, bins=2) == pytest.approx((0.15 + 0.65) / 2)


def test_bins_of_unequal_size_count_by_their_rows():
    probability, target = np.array([0.0, 0.0, 0.9]), np.array([0, 0, 0])
    table = reliability(target, probability, bins=2)
    assert table["rows"].tolist() == [2, 1]
    assert calibration_error(target, probability, bins=2) == pytest.approx(0.9 / 3)


def test_right_chances_have_the_error_of_the_floor_and_wrong_ones_more():
    target, logit = world()
    floor = calibration_floor(sigmoid(logit), repeats=50)
    right = calibration_error(target, sigmoid(logit))
    wrong = calibration_error(target, sigmoid(3 * logit))
    assert 0 < floor < 0.01
    assert right < 2 * floor
    assert wrong > 5 * floor


def test_the_floor_falls_with_the_root_of_the_rows():
    probability = np.full(10_000, 0.2)
    few, many = (calibration_floor(probability[:n], repeats=100) for n in (400, 10_000))
    assert few / many == pytest.approx(5, rel=0.15)


def test_logits_multiplied_by_three_return_a_temperature_of_three():
    target, logit = world()
    assert fit_temperature(target, logit) == pytest.approx(1, abs=0.03)
    assert fit_temperature(target, 3 * logit) == pytest.approx(3, abs=0.1)
    assert fit_temperature(target, logit / 4) == pytest.approx(1 / 4, abs=0.01)


@given(st.floats(0.2, 5))
@settings(max_examples=20, deadline=None)
def test_a_temperature_undoes_any_scale(scale):
    target, logit = world(2_000)
    assert fit_temperature(target, scale * logit) == pytest.approx(
        scale * fit_temperature(target, logit), rel=1e-3
    )


def test_the_temperature_has_the_least_log_loss():
    target, logit = world(3_000)
    best = fit_temperature(target, 2 * logit)

    def loss(temperature: float) -> float:
        return float(log_loss(sigmoid(2 * logit / temperature), target).mean())

    assert loss(best) < min(loss(0.95 * best), loss(1.05 * best))


def test_what_cannot_be_binned_is_refused():
    with pytest.raises(ValueError, match="target 3, probability 2 rows"):
        reliability(np.zeros(3), np.zeros(2), bins=1)
    with pytest.raises(ValueError, match="10 bins"):
        calibration_error(np.zeros(3), np.zeros(3))


def test_a_segment_that_is_predicted_too_low_shows():
    target, logit = world(6_000)
    right = sigmoid(logit)
    segment = np.where(np.arange(6_000) % 2, "odd", "even")
    after = np.where(segment == "odd", right / 2, right)
    table = calibration_table(target, right, after, segment)
    assert table.index.tolist() == ["all", "even", "odd"]
    assert table["rows"].tolist() == [6_000, 3_000, 3_000]
    assert table["rows"].dtype.kind == "i"  # printed as 6000, not 6000.0
    assert table.loc["odd", "predicted"] == pytest.approx(right[segment == "odd"].mean() / 2)
    assert table.loc["even", "before"] == table.loc["even", "after"]
    assert table.loc["even", "after"] < 2.5 * table.loc["even", "floor"]
    assert table.loc["odd", "after"] > 4 * table.loc["odd", "floor"]


# --- Equal chances, and fits that have no end ------------------------------------------------


@pytest.mark.parametrize("seed", range(5))
def test_bins_are_those_of_scikit_learn(seed):
    rng = np.random.default_rng(seed)
    probability = rng.random(200) if seed % 2 else rng.integers(1, 12, 200) / 12  # many ties
    target = (rng.random(200) < probability).astype(int)
    observed, predicted = calibration_curve(target, probability, n_bins=10, strategy="quantile")
    table = reliability(target, probability)
    assert table["observed"].to_numpy() == pytest.approx(observed)
    assert table["predicted"].to_numpy() == pytest.approx(predicted)
    assert table["rows"].sum() == 200


def test_equal_chances_are_one_bin_in_whatever_order_they_stand():
    """Rules of one and of two chances that are exactly right, in a table sorted by outcome."""
    one = np.repeat([0, 1], [700, 300])
    assert calibration_error(one, np.full(1000, 0.3)) == pytest.approx(0, abs=1e-12)
    two = np.concatenate([np.repeat([1, 0], [50, 450]), np.repeat([1, 0], [200, 300])])
    assert calibration_error(two, np.repeat([0.1, 0.4], 500)) == pytest.approx(0, abs=1e-12)


@pytest.mark.parametrize("unit", [1e-9, 1e-3, 1e4, 1e12])
def test_logits_in_another_unit_give_the_temperature_in_it(unit):
    target, logit = world(2_000)
    expected = unit * fit_temperature(target, logit)
    assert fit_temperature(target, unit * logit) == pytest.approx(expected, rel=1e-4)


def test_a_temperature_far_from_1_is_found():
    target, logit = world(2_000)
    outlier = np.append(logit, 1e-5)  # one row more, and the mean size stays what it was
    found = fit_temperature(np.append(target, 1), outlier)
    assert found == pytest.approx(fit_temperature(target, logit), rel=1e-3)
    assert fit_temperature([1, 0, 1, 1], [5000, 4999, 5000, 5000]) == pytest.approx(
        5000 / np.log(3), rel=1e-3
    )


def test_a_temperature_without_end_is_said():
    target, logit = world(500)
    with pytest.raises(ValueError, match="temperature has no upper bound"):
        fit_temperature(target, -logit)
    with pytest.raises(ValueError, match="temperature has no upper bound"):
        fit_temperature(target, np.zeros(500))
    with pytest.raises(ValueError, match="ends at its lower bound 0: all 500 logits"):
        fit_temperature(target, 2 * target - 1)


def test_a_logit_that_is_missing_is_named():
    target, logit = world(1000)
    logit[7] = np.nan
    with pytest.raises(ValueError, match="logit is not finite in 1 of 1,000 rows, first row 7"):
        fit_temperature(target, logit)


def test_a_segment_too_small_for_the_bins_is_named():
    target, logit = world(100)
    segment = np.where(np.arange(100) < 7, "web", "shop")
    with pytest.raises(ValueError, match="segment web has 7 rows for 10 bins: join it"):
        calibration_table(target, sigmoid(logit), sigmoid(logit), segment)


def test_segments_of_several_types_are_named():
    half = np.full(20, 0.5)
    with pytest.raises(ValueError, match="segment holds .*, of several types"):
        calibration_table(np.tile([0, 1], 10), half, half, ["mail"] * 10 + [1] * 10)


def test_tensors_are_arrays():
    target = torch.tensor([0.0, 1, 0, 1], requires_grad=True)
    said = torch.tensor([0.1, 0.3, 0.6, 0.8], requires_grad=True)
    expected = reliability(target.detach().numpy(), said.detach().numpy(), bins=2)
    pd.testing.assert_frame_equal(reliability(target, said, bins=2), expected)
