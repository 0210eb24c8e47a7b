"""Ways to mend probabilities, against what each of them solves."""

import numpy as np
import pytest
from sklearn import metrics as reference

from pm_utils.evaluation.calibration import fit_temperature
from pm_utils.evaluation.calibrators import CALIBRATORS, fit_calibrators
from pm_utils.formulas import sigmoid


def world(n: int = 4_000) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Logits twice as large as they should be; in segment A fewer come."""
    rng = np.random.default_rng(0)
    logit, segment = rng.normal(size=n), rng.choice(["A", "B"], n)
    true = sigmoid(0.5 * logit - np.where(segment == "A", 1.0, 0.0))
    return (rng.random(n) < true).astype(float), logit, segment


def test_each_way_solves_its_equation():
    came, logit, segment = world()
    mend = fit_calibrators(came, logit, segment)
    assert tuple(mend) == CALIBRATORS
    chance = {name: way(logit, segment) for name, way in mend.items()}
    assert np.allclose(chance["as it is"], sigmoid(logit))
    assert np.allclose(chance["temperature"], sigmoid(logit / fit_temperature(came, logit)))
    # where the loss of a line is least, its residuals add up to nothing and say nothing of z
    residual = came - chance["Platt"]
    assert residual.mean() == pytest.approx(0, abs=1e-4)
    assert (residual * logit).mean() == pytest.approx(0, abs=1e-4)
    assert np.diff(chance["isotonic"][np.argsort(logit)]).min() >= 0
    for name in ("A", "B"):
        own = segment == name
        assert chance["intercept per segment"][own].mean() == pytest.approx(came[own].mean())


def test_what_can_move_the_mean_loses_less_where_the_mean_is_off():
    came, logit, segment = world()
    losses = {
        name: reference.log_loss(came, way(logit, segment))
        for name, way in fit_calibrators(came, logit, segment).items()
        if name != "isotonic"
    }
    assert losses["Platt"] < losses["temperature"] <= losses["as it is"]


def test_a_segment_that_is_new_or_says_nothing_gets_no_intercept():
    came, logit, segment = world(400)
    segment[:5], came[:5] = "C", 0.0  # none of five came
    way = fit_calibrators(came, logit, segment)["intercept per segment"]
    for name in ("C", "D"):
        assert np.allclose(way(logit[:3], np.array([name] * 3)), sigmoid(logit[:3]))


def test_wrong_rows_are_refused():
    came, logit, segment = world(40)
    with pytest.raises(ValueError, match="target holds"):
        fit_calibrators(came + 1, logit, segment)
    with pytest.raises(ValueError, match="logit is not finite"):
        fit_calibrators(came, np.where(came > 0, np.nan, logit), segment)
