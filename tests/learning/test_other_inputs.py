"""Of what networks learn from: order, gaps and columns."""

from functools import partial

import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn

from pm_utils.learning import newton, scaling, standardise, training
from pm_utils.learning.members import Members
from pm_utils.learning.stacked import StackedLinear
from tests.support.metric_cases import MetricCase, properties
from tests.support.tensor_cases import TensorCase, tensor_properties

RNG = np.random.default_rng(0)
N = 30
X = np.round(RNG.normal(size=(N, 4)), 1)
CAME = (np.arange(N) % 3 == 0).astype(float)
ROWS, TARGET = torch.from_numpy(X).float(), torch.from_numpy(CAME).float()
NAMES = list("abcd")


def net(seed=0):
    torch.manual_seed(seed)
    return nn.Sequential(nn.Linear(4, 1), nn.Flatten(0))


def members():
    return Members([net(seed) for seed in range(3)]).eval()


def scaled(features):
    """Columns in the order of the alphabet, learned and applied."""
    table = pd.DataFrame(features)
    table = table if isinstance(features, pd.DataFrame) else table.set_axis(NAMES, axis=1)
    return scaling.Scaling.learn(table).apply(table)


def newtons(x, hits, trials):
    return newton.newton_logistic(
        lambda some: (x[some], hits[some], trials[some], np.zeros(len(x[some]))),
        len(x),
        np.zeros(4),
        np.eye(4),
        strides=(1, 1),
    )[0]


ROW_CASES = {
    "newton.inverses": MetricCase(
        lambda matrices: newton.inverses(matrices.reshape(-1, 2, 2)).reshape(-1, 4),
        {"matrices": X + [5, 0, 0, 5]},
        by_row=True,
    ),
    "scaling.Scaling": MetricCase(scaled, {"features": X}, by_row=True),
    "scaling.Scaling.learn": MetricCase(scaled, {"features": X}, by_row=True),
    "scaling.Scaling.apply": MetricCase(scaled, {"features": X}, by_row=True),
    "standardise.standard_scores": MetricCase(
        standardise.standard_scores,
        {"values": X},
        gaps=frozenset({"values"}),  # what is not known counts as the mean
        by_row=True,
    ),
}
TENSOR_CASES = {
    "members.Members": TensorCase(lambda x: members()(x.unsqueeze(1).expand(-1, 3, -1)), (ROWS,)),
    "members.Members.forward": TensorCase(
        lambda x: members()(x.unsqueeze(1).expand(-1, 3, -1)), (ROWS,)
    ),
    "stacked.StackedLinear": TensorCase(
        lambda x: StackedLinear(torch.ones(1, 4, 2))(x.unsqueeze(0))[0], (ROWS,)
    ),
    "stacked.StackedLinear.forward": TensorCase(
        lambda x: StackedLinear(torch.ones(1, 4, 2))(x.unsqueeze(0))[0], (ROWS,)
    ),
    "training.evaluate_loss": TensorCase(
        partial(
            lambda x, y: training.evaluate_loss(
                net(), [x], y, loss=nn.functional.mse_loss, batch_size=7
            )
        ),
        (ROWS, TARGET),
        by_row=False,
    ),
    "training.predict": TensorCase(lambda x: training.predict(net(), [x], batch_size=7), (ROWS,)),
}
HERE, NOTHING = "tests/learning/test_other_inputs.py::", "takes no rows"
CASES = ROW_CASES | TENSOR_CASES
BESIDES = {
    "newton.newton_logistic": HERE + "test_newton_s_rows_and_prior",
    "diagnostics.switching_share": (
        "tests/learning/test_diagnostics.py::test_a_model_without_bends_and_no_rows_are_refused"
    ),
    "training.fit": HERE + "test_what_is_fitted_has_no_gaps",
    **dict.fromkeys(
        [
            *("members.Members.named_weights", "members.Members.write_back"),
            *("training.History", "training.rise_and_fall"),
        ],
        NOTHING,
    ),
}


@pytest.mark.parametrize(("check", "name"), properties(ROW_CASES))
def test_what_is_learned_from_has_each_property(check, name):
    check(ROW_CASES[name])


@pytest.mark.parametrize(("check", "name"), tensor_properties(TENSOR_CASES))
def test_networks_side_by_side_have_each_property(check, name):
    check(TENSOR_CASES[name])


def test_features_meet_by_name_and_scores_fill_gaps_alone():
    table = pd.DataFrame(X, columns=NAMES)
    known = scaling.Scaling.learn(table)
    pd.testing.assert_frame_equal(known.apply(table.iloc[:, ::-1]), known.apply(table))
    with pytest.raises(KeyError, match="features has no column 'a'"):
        known.apply(table.drop(columns="a"))
    hole = X.copy()
    hole[3, 1] = np.inf
    with pytest.raises(ValueError, match="values is not finite in 1 of 30 rows, first row 3"):
        standardise.standard_scores(hole)


def test_newton_s_rows_and_prior():
    trials, order = np.ones(N), RNG.permutation(N)
    x = X.astype(np.float32)
    one, two = newtons(x, CAME, trials), newtons(x[order], CAME[order], trials)
    np.testing.assert_allclose(one, two, rtol=1e-5)
    hole = np.where(np.arange(N) == 4, np.nan, CAME)
    with pytest.raises(FloatingPointError, match="coefficients are not finite"):
        newtons(x, hole, trials)
    for mean, precision, said in (
        (np.full(4, np.nan), np.eye(4), "mean is not finite in 4 of 4 rows"),
        (np.zeros(4), np.full((4, 4), np.inf), "precision is not finite"),
        (np.zeros(4), np.eye(3), r"precision has shape \(3, 3\)"),
    ):
        with pytest.raises(ValueError, match=said):
            newton.newton_logistic(lambda some: (), 0, mean, precision, strides=(1,))


@pytest.mark.parametrize("place", ["inputs", "target", "validation"])
def test_what_is_fitted_has_no_gaps(place):
    rows = {"inputs": ROWS.clone(), "target": TARGET.clone()}
    held = {"inputs": ROWS.clone(), "target": TARGET.clone()}
    (held["target"] if place == "validation" else rows[place])[3] = torch.nan
    with pytest.raises(ValueError, match="is not finite in 1 of 30 rows, first row 3"):
        training.fit(
            net(),
            [rows["inputs"]],
            rows["target"],
            loss=nn.functional.mse_loss,
            epochs=1,
            validation=([held["inputs"]], held["target"]),
        )
