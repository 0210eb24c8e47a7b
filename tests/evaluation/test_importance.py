"""A column that carries the score matters, another does not."""

import numpy as np
import pandas as pd
import pytest

from pm_utils.evaluation.importance import permutation_importance


def planted(n: int = 4_000) -> tuple[pd.DataFrame, np.ndarray]:
    """Return three columns, of which only the first and half as much the second matter."""
    rng = np.random.default_rng(0)
    features = pd.DataFrame(rng.normal(size=(n, 3)), columns=["strong", "weak", "idle"])
    logit = 2 * features["strong"] + features["weak"]
    return features, (rng.random(n) < 1 / (1 + np.exp(-logit))).astype(float)


def test_importance_ranks_what_matters_and_gives_nothing_to_what_does_not():
    features, target = planted()
    groups = {"idle": ["idle"], "weak": ["weak"], "strong": ["strong"], "two": ["strong", "weak"]}

    def score(rows: pd.DataFrame) -> np.ndarray:
        return (2 * rows["strong"] + rows["weak"]).to_numpy()

    table = permutation_importance(score, features, target, groups, repeats=3, seed=0)
    assert table.index.tolist() == ["two", "strong", "weak", "idle"]
    assert table.loc["idle", "loss"] == 0
    assert table.loc["two", "loss"] == pytest.approx(score_above_half(features, target), abs=0.03)
    assert (table["low"] <= table["loss"]).all()
    assert (table["loss"] <= table["high"]).all()


def score_above_half(features: pd.DataFrame, target: np.ndarray) -> float:
    from sklearn.metrics import roc_auc_score

    return roc_auc_score(target, 2 * features["strong"] + features["weak"]) - 0.5


def test_columns_of_a_group_move_together():
    features, target = planted()
    features["copy"] = -features["strong"]
    seen = []

    def score(rows: pd.DataFrame) -> np.ndarray:
        seen.append(np.corrcoef(rows["strong"], rows["copy"])[0, 1])
        return rows["strong"].to_numpy()

    permutation_importance(score, features, target, {"both": ["strong", "copy"]}, repeats=2, seed=0)
    assert seen == pytest.approx([-1, -1, -1])


def test_a_column_that_is_not_there_is_no_other_column():
    features = pd.DataFrame({"a": [0.0, 1, 2, 3]})
    with pytest.raises(KeyError, match="a column of 'group' is not known"):
        permutation_importance(
            lambda table: table["a"].to_numpy(),
            features,
            [0, 1, 0, 1],
            {"group": ["b"]},
            repeats=1,
            seed=0,
        )
