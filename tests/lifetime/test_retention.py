"""A budget is spent where it brings most."""

from itertools import product

import numpy as np
import pandas as pd
import pytest

from pm_utils.evaluation.ranking import roc_auc
from pm_utils.formulas import sigmoid
from pm_utils.lifetime import retention
from pm_utils.lifetime.scores import spearman
from tests.support.lifetime_plan import PLAN


def test_a_value_with_effort_by_hand():
    """h = 1/2 becomes 1/4 for two weeks, γ = 1/2: 1 + 3/8 + (3/8)² / (1 − 1/4)."""
    plan = {"scale": 1 / np.log(2), "weeks": 2, "discount_factor": 0.5}
    found = retention.value_with_effort(1.0, 0.5, 1.0, **plan)
    assert found == pytest.approx(1 + 3 / 8 + (9 / 64) / (3 / 4))


def test_every_dollar_helps_and_the_next_one_helps_less():
    worth = retention.value_with_effort(1.0, np.array([[0.001], [0.02]]), np.arange(100), **PLAN)
    more = np.diff(worth, axis=1)
    assert (more > 0).all()
    assert (np.diff(more, axis=1) < 0).all()
    assert (worth < 1 / (1 - PLAN["discount_factor"])).all()


def test_the_gone_and_the_worthless_bring_nothing():
    gain = retention.keeping_gain(
        np.array([0.0, 10.0]), np.array([0.01, 0.01]), 5, value_weeks=52, **PLAN
    )
    assert (gain[0] == 0).all()
    assert (np.diff(gain[1]) > 0).all()


def test_risk_is_worth_as_much_attention_as_value():
    """Of two customers of one value, the one who is likelier to leave gains more."""
    value, risk = np.array([100.0, 100.0]), np.array([0.001, 0.01])
    calm, restless = retention.keeping_gain(value, risk, 20, value_weeks=52, **PLAN)[:, 20]
    assert restless > 2 * calm


def test_planted_risks_are_learned():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(4000, 2))
    weekly = 0.02 * sigmoid(2 * x[:, 0])
    left = rng.random(4000) < 1 - (1 - weekly) ** 30
    same, own = retention.weekly_risk(x[:3000], left[:3000], x[3000:], weeks=30)
    assert same == pytest.approx(1 - (1 - left[:3000].mean()) ** (1 / 30))
    assert own.mean() == pytest.approx(weekly[3000:].mean(), rel=0.15)
    assert spearman(weekly[3000:], own) > 0.98
    mixed = retention.weekly_risk(x[:3000], rng.permutation(left[:3000]), x[3000:], weeks=30)[1]
    assert roc_auc(left[3000:], own) > roc_auc(left[3000:], mixed) + 0.1


def test_the_budget_is_spent_as_well_as_any_plan_could():
    rng = np.random.default_rng(2)
    gain = np.cumsum(2 * np.sort(rng.random((3, 4)), axis=1)[:, ::-1], axis=1)
    gain = np.column_stack([np.zeros(3), gain])
    for budget in range(8):
        plans = [plan for plan in product(range(5), repeat=3) if sum(plan) <= budget]
        best = max(sum(gain[i, c] - c for i, c in enumerate(plan)) for plan in plans)
        dollars = retention.spend_budget(gain, budget)
        assert dollars.sum() <= budget
        assert (gain[np.arange(3), dollars] - dollars).sum() == pytest.approx(best)
    assert retention.spend_budget(gain, 12).sum() < 12  # some dollars would not come back
    assert retention.spend_budget(gain, 7, min_gain=0).sum() == 7


def test_no_dollar_goes_where_it_brings_nothing():
    gain = np.array([[0, 1, 1, 1], [0, 0, 0, 0], [0, 0.5, 0.9, 0.8]])
    assert retention.spend_budget(gain, 100, min_gain=0).tolist() == [1, 0, 2]
    assert retention.spend_budget(gain, 0).tolist() == [0, 0, 0]
    with pytest.raises(ValueError, match="budget is out of range"):
        retention.spend_budget(gain, -1)


def test_a_late_bargain_is_reached_through_an_early_loss():
    """Two dollars on the first bring 9, though the first of them brings next to nothing."""
    gain = np.array([[0.0, 0.1, 9.0], [0.0, 5, 5.3]])
    assert retention.spend_budget(gain, 1).tolist() == [0, 1]
    assert retention.spend_budget(gain, 3).tolist() == [2, 1]


def test_where_many_leave_the_plan_is_as_good_as_any():
    """At 5 % a week later dollars bring more than the first, up to the best one."""
    risk, value = np.array([0.05, 0.05, 0.01]), np.array([60.0, 40.0, 30.0])
    gain = retention.keeping_gain(value, risk, 60, value_weeks=52, **PLAN)
    assert (np.diff(gain[0], n=2) > 0).any()
    assert (np.diff(gain[2], n=2) < 0).all()
    plans = np.stack(np.meshgrid(*[np.arange(61)] * 3, indexing="ij"), -1).reshape(-1, 3)
    brought = gain[np.arange(3), plans].sum(1) - plans.sum(1)
    for budget in (40, 80, 120):
        dollars = retention.spend_budget(gain, budget)
        assert dollars.sum() <= budget
        best = brought[plans.sum(1) <= dollars.sum()].max()
        assert gain[np.arange(3), dollars].sum() - dollars.sum() == pytest.approx(best, rel=0.02)


# --- Units, names, and what is refused ------------------------------------------------------------

RNG = np.random.default_rng(3)
TABLE = pd.DataFrame(
    {"spend": RNG.gamma(2, 10, 300), "share": RNG.random(300)}, [f"c{k}" for k in range(300)]
)
LEFT = pd.Series(RNG.random(300) < 0.2 + 0.5 * TABLE["share"], TABLE.index)


@pytest.mark.parametrize("unit", [1e-6, 16_000])
def test_a_risk_does_not_depend_on_a_unit(unit):
    wanted = retention.weekly_risk(TABLE, LEFT, TABLE, weeks=4)[1].to_numpy()
    other = TABLE.assign(spend=unit * TABLE["spend"])
    found = retention.weekly_risk(other, LEFT, other, weeks=4)[1]
    assert found.to_numpy() == pytest.approx(wanted, rel=1e-4)
    assert np.corrcoef(wanted, TABLE["share"])[0, 1] > 0.9


def test_a_risk_is_matched_by_customer_and_by_column():
    wanted = retention.weekly_risk(TABLE, LEFT, TABLE, weeks=4)[1].to_numpy()
    mixed = LEFT.sample(frac=1, random_state=1).astype(int)
    found = retention.weekly_risk(TABLE, mixed, TABLE[["share", "spend"]], weeks=4)[1]
    assert found.to_numpy() == pytest.approx(wanted)
    rows = RNG.permutation(300)
    permuted = retention.weekly_risk(TABLE.iloc[rows], LEFT.iloc[rows], TABLE, weeks=4)[1]
    assert permuted.to_numpy() == pytest.approx(wanted, rel=1e-4)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"churned": LEFT.map({True: "yes", False: "no"})}, "churned holds 'no', 'yes'"),
        ({"churned": LEFT.astype(float).where(LEFT.index != "c7")}, "churned is missing in 1"),
        ({"churned": LEFT | True}, "churned is True for all of 300 customers"),
        ({"features": TABLE.replace(TABLE.iloc[5, 0], np.nan)}, "row 'c5', column 'spend'"),
        ({"others": TABLE.replace(TABLE.iloc[5, 1], np.inf)}, "others is not finite in 1 of 300"),
        ({"others": TABLE[["share"]]}, "others has no column 'spend'"),
        ({"churned": LEFT.rename({"c0": "c"})}, "churned has no row 'c0' of features"),
        ({"weeks": 0}, "weeks is out of range"),
    ],
)
def test_a_risk_of_what_is_not_known_is_refused(change, message):
    given = {"features": TABLE, "churned": LEFT, "others": TABLE, "weeks": 4} | change
    with pytest.raises((ValueError, KeyError), match=message):
        retention.weekly_risk(**given)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"margin": np.nan}, "margin is not finite"),
        ({"churn_probability": 1.5}, "churn_probability is out of range"),
        ({"dollars": -1}, "dollars is out of range"),
        ({"scale": 0}, "scale is out of range"),
        ({"weeks": -2}, "weeks is out of range"),
        ({"discount_factor": 1.01}, "discount_factor is out of range"),
        ({"discount_factor": 1, "churn_probability": 0}, "an endless margin has no value"),
    ],
)
def test_an_effort_that_cannot_be_is_refused(change, message):
    given = {"margin": 1.0, "churn_probability": 0.1, "dollars": 1.0} | PLAN | change
    with pytest.raises(ValueError, match=message):
        retention.value_with_effort(**given)


def test_gains_are_matched_and_checked():
    value = pd.Series({"a": 100.0, "b": 10.0})
    risk = pd.Series({"b": 0.02, "a": 0.001})
    found = retention.keeping_gain(value, risk, 3, value_weeks=52, **PLAN)
    wanted = retention.keeping_gain([100.0, 10.0], [0.001, 0.02], 3, value_weeks=52, **PLAN)
    assert (found.to_numpy() == wanted).all()
    with pytest.raises(ValueError, match="value is out of range in 1 of 2 rows"):
        retention.keeping_gain([1.0, -1.0], [0.1, 0.1], 3, value_weeks=52, **PLAN)
    with pytest.raises(ValueError, match="gain is not finite in 1 of 1 rows"):
        retention.spend_budget([[0, np.nan]], 3)
    with pytest.raises(ValueError, match="let the first column be 0"):
        retention.spend_budget([[1.0, 2.0]], 3)


def test_efforts_are_matched_by_customer_and_come_back_by_customer():
    margin, risk = pd.Series([1.0, 9.0], ["a", "b"]), pd.Series([0.1, 0.4], ["b", "a"])
    plan = {"scale": 20, "weeks": 52, "discount_factor": 0.99}
    found = retention.value_with_effort(margin, risk, 0, **plan)
    assert found.index.tolist() == ["a", "b"]
    plain = retention.value_with_effort([1.0, 9.0], [0.4, 0.1], 0, **plan)
    assert found.tolist() == plain.tolist()
    gain = retention.keeping_gain(margin, risk, 3, value_weeks=52, **plan)
    dollars = retention.spend_budget(gain, 4, min_gain=0)
    assert gain.index.tolist() == dollars.index.tolist() == ["a", "b"]
    assert dollars.to_dict() == {"a": 1, "b": 3}


def test_a_budget_and_its_least_gain_are_numbers():
    for wrong, message in (
        ({"min_gain": np.nan}, "min_gain is not finite"),
        ({"budget": 1.5}, "budget is not whole"),
        ({"budget": np.nan}, "budget is not finite"),
    ):
        with pytest.raises(ValueError, match=message):
            retention.spend_budget([[0, 5, 7]], **({"budget": 2} | wrong))
