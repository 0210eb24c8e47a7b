"""Gaps between groups are found where they are planted, and not elsewhere."""

import numpy as np
import pandas as pd
import pytest

from pm_utils.evaluation.bootstrap import bootstrap_weights
from pm_utils.targeting.fairness import gaps_as_text, gaps_by_age_and_income, group_gaps


def test_gaps_by_hand():
    target = np.array([1, 0, 1, 0, 1])
    probability = np.array([0.9, 0.1, 0.2, 0.3, 0.8])
    group = pd.Series(["old", "old", "young", "young", pd.NA])
    weight = bootstrap_weights(5, 200, 0)
    table = group_gaps(
        target, probability, group, weight, share=0.4
    )  # lists the first and the last
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
    probability = rng.uniform(0.05, 0.5, 6_000)
    group = pd.Series(np.where(rng.random(6_000) < 0.5, "a", "b"))
    target = rng.random(6_000) < probability * np.where(group == "a", 1.0, 0.7)
    table = group_gaps(target, probability, group, bootstrap_weights(6_000, 300, 0), share=0.3)
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
    probability = rng.random(900)
    target = (rng.random(900) < probability).astype(float)
    weight = bootstrap_weights(900, 50, 0)
    table = gaps_by_age_and_income(target, probability, told, weight, share=0.3)
    bands = ["under 35", "35-54", "55 and over", "under 35K", "35-74K", "75K and more"]
    assert [band for _, band in table.index] == bands
    young = told["age_group"].isin(["19-24", "25-34"])
    assert table.loc[("age_group", "under 35"), "contacts"] == young.sum()
    rich = told["income"].cat.codes >= INCOMES.index("75-99K")
    assert table.loc[("income", "75K and more"), "redeemed"] == pytest.approx(target[rich].mean())
    assert table["contacts"].groupby(level=0).sum().tolist() == told.notna().sum().tolist()


def test_gaps_do_not_depend_on_the_order_of_rows_nor_of_equal_chances():
    rng = np.random.default_rng(3)
    target, probability = rng.integers(2, size=80), rng.integers(1, 4, size=80) / 4
    group, weight = pd.Series(rng.choice(["a", "b"], 80)), bootstrap_weights(80, 50, 0)
    expected = group_gaps(target, probability, group, weight, share=0.3)
    order = rng.permutation(80)
    rows = target[order], probability[order], group[order], weight[:, order]
    assert group_gaps(*rows, share=0.3).to_numpy() == pytest.approx(expected.to_numpy())
    again = group_gaps(pd.Series(target), probability, group[order], weight, share=0.3)
    assert again.to_numpy() == pytest.approx(expected.to_numpy())  # by index
    flat = group_gaps(target, np.full(80, 0.5), group, weight, share=0.25)
    assert flat["reached"].to_numpy() == pytest.approx(0.25)


def test_gaps_refuse_what_is_no_chance_no_answer_and_no_share():
    good = [np.array([0, 1]), np.array([0.2, 0.3]), pd.Series(["a", "b"]), np.ones((1, 2))]
    for place, wrong, told in (
        (0, np.array([1, 2]), "target holds 1, 2"),
        (1, np.array([0.2, 30]), "probability is out of range"),
        (1, np.array([0.2, np.nan]), "probability is not finite"),
        (2, pd.Series(["a"]), "group 1 rows"),
        (3, np.ones((1, 3)), "weight has shape"),
    ):
        rows = good[:place] + [wrong] + good[place + 1 :]
        with pytest.raises(ValueError, match=told):
            group_gaps(*rows, share=0.5)
    with pytest.raises(ValueError, match="share is out of range"):
        group_gaps(*good, share=50)
    with pytest.raises(KeyError, match="demographics has no column 'income'"):
        gaps_by_age_and_income(*good[:2], pd.DataFrame({"age_group": ["x"]}), good[3], share=0.5)


def test_a_group_without_a_positive_is_named():
    group = pd.Series(["a", "a", "b", "b"])
    with pytest.raises(ValueError, match="group 'b' has no positive among its 2 rows"):
        group_gaps(np.array([1, 0, 0, 0]), np.full(4, 0.5), group, np.ones((1, 4)), share=0.5)
