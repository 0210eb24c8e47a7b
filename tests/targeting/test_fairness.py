"""Gain, profit, importance and gaps by hand, and against models that know nothing."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pm_utils.evaluation.bootstrap import bootstrap_weights
from pm_utils.targeting.fairness import (
    cumulative_gain,
    gaps_as_text,
    gaps_by_age_and_income,
    group_gaps,
    lift,
    number_to_contact,
    permutation_importance,
    profit_curve,
)

TARGET = np.array([0, 1, 0, 1])
SCORE = np.array([0.1, 0.9, 0.8, 0.3])


def test_gain_and_lift_by_hand():
    assert cumulative_gain(TARGET, SCORE).tolist() == [0, 0.5, 0.5, 1, 1]
    assert lift(TARGET, SCORE, 0.25) == 2
    assert lift(TARGET, SCORE, 0.5) == 1
    assert lift(TARGET, SCORE, 1.0) == 1


def test_profit_by_hand():
    came = profit_curve(TARGET, SCORE, margin=10, cost=4)
    assert came.tolist() == [0, 6, 2, 8, 4]
    expected = profit_curve(SCORE, SCORE, margin=10, cost=4)
    assert expected == pytest.approx([0, 5, 9, 8, 5])
    assert number_to_contact(SCORE, margin=10, cost=4) == 2


@given(
    st.lists(st.floats(0.01, 0.99), min_size=1, max_size=30), st.floats(1, 50), st.floats(0.1, 9)
)
def test_contacting_those_above_cost_over_margin_is_the_best_expected(chances, margin, cost):
    chance = np.array(chances)
    curve = profit_curve(chance, chance, margin=margin, cost=cost)
    assert curve[number_to_contact(chance, margin=margin, cost=cost)] == pytest.approx(
        curve.max(), abs=1e-9
    )


def test_money_must_be_positive_and_somebody_must_redeem():
    with pytest.raises(ValueError, match="cost 0"):
        profit_curve(TARGET, SCORE, margin=1, cost=0)
    with pytest.raises(ValueError, match="margin is -1"):
        profit_curve(TARGET, SCORE, margin=-1, cost=1)
    with pytest.raises(ValueError, match="no positive"):
        cumulative_gain(np.zeros(3), np.ones(3))


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


def test_gaps_by_hand():
    target = np.array([1, 0, 1, 0, 1])
    chance = np.array([0.9, 0.1, 0.2, 0.3, 0.8])
    group = pd.Series(["old", "old", "young", "young", pd.NA])
    weight = bootstrap_weights(5, 200, 0)
    table = group_gaps(target, chance, group, weight, share=0.4)  # lists the first and the last
    assert table.index.tolist() == ["old", "young"]
    assert table.loc["old", ["contacts", "redeemed", "predicted"]].tolist() == [2, 0.5, 0.5]
    assert table.loc["young", "gap"] == pytest.approx(-0.25)
    assert table["reached"].tolist() == [1, 0]
    assert (table["gap_low"] <= table["gap"]).all()
    assert (table["gap"] <= table["gap_high"]).all()


def test_intervals_of_gaps_as_text():
    row = {"contacts": 1234.0, "redeemed": 0.2, "predicted": 0.25, "gap": 0.054}
    row |= {"gap_low": -0.011, "gap_high": 0.12, "reached": 0.5}
    row |= {"reached_low": 0.404, "reached_high": 0.596}
    text = gaps_as_text(pd.DataFrame({"young": row}).T)
    assert text.loc["young"].to_dict() == {
        "contacts": "1,234",
        "gap": "+0.05",
        "gap: interval": "-0.01 to +0.12",
        "reached": "0.50",
        "reached: interval": "0.40 to 0.60",
    }


def test_a_planted_bias_is_found_and_its_absence_too():
    rng = np.random.default_rng(2)
    chance = rng.uniform(0.05, 0.5, 6_000)
    group = pd.Series(np.where(rng.random(6_000) < 0.5, "a", "b"))
    target = rng.random(6_000) < chance * np.where(group == "a", 1.0, 0.7)
    table = group_gaps(target, chance, group, bootstrap_weights(6_000, 300, 0), share=0.3)
    assert abs(table.loc["a", "gap"]) < 0.02
    assert table.loc["b", "gap_low"] > 0.04
    assert table.loc["b", "gap"] == pytest.approx(0.3 * 0.275, abs=0.02)


def test_bands_of_age_and_income_come_in_order_and_count_who_told():
    from pm_utils.data.journey import AGES, INCOMES

    rng = np.random.default_rng(0)
    levels = {"age_group": AGES, "income": INCOMES}
    told = pd.DataFrame(
        {
            name: pd.Categorical.from_codes(rng.integers(-1, len(names), 900), names, ordered=True)
            for name, names in levels.items()
        }
    )
    chance = rng.random(900)
    target = (rng.random(900) < chance).astype(float)
    weight = bootstrap_weights(900, 50, 0)
    table = gaps_by_age_and_income(target, chance, told, weight, share=0.3)
    bands = ["under 35", "35-54", "55 and over", "under 35K", "35-74K", "75K and more"]
    assert [band for _, band in table.index] == bands
    young = told["age_group"].isin(["19-24", "25-34"])
    assert table.loc[("age_group", "under 35"), "contacts"] == young.sum()
    rich = told["income"].cat.codes >= INCOMES.index("75-99K")
    assert table.loc[("income", "75K and more"), "redeemed"] == pytest.approx(target[rich].mean())
    assert table["contacts"].groupby(level=0).sum().tolist() == told.notna().sum().tolist()


@given(st.integers(1, 40), st.integers(0, 1_000))
def test_gain_never_falls_and_a_perfect_order_is_never_beaten(n, seed):
    rng = np.random.default_rng(seed)
    target = rng.integers(0, 2, n)
    target[0] = 1
    gain, best = cumulative_gain(target, rng.random(n)), cumulative_gain(target, target)
    assert (np.diff(gain) >= 0).all()
    assert (gain <= best + 1e-12).all()
    assert lift(target, target, 1 / n) == pytest.approx(n / target.sum())
