"""Estimators over many logs are scored against a known value."""

import numpy as np
import pandas as pd
import pytest

from pm_utils.chapters import creative_optimisation
from pm_utils.market import EpsilonGreedy, Uniform, random_creatives
from tests.support.market_world import small_market


@pytest.fixture(scope="module")
def world():
    market = small_market(800, creatives=random_creatives(6, np.random.default_rng(0)))
    best = market.click_table.argmax(1)
    new = EpsilonGreedy(best, 6, 0.1)
    target = new.probabilities(np.arange(800)).astype(float)
    value = market.policy_value(new, market.click_table) * np.mean(market.truth.examination)
    context = market.customers.filter(like="share_").to_numpy()
    found = creative_optimisation.repeat(market, Uniform(6), target, context, logs=60, size=8000)
    return market, target, context, value, found


def test_weighted_estimators_are_right_on_average_and_cover(world):
    *_, value, found = world
    table = creative_optimisation.score(found, value)
    for name in ("IPS", "SNIPS", "DR"):
        each = np.array([one.value for one in found[name]])
        assert abs(each.mean() - value) < 3.5 * each.std() / np.sqrt(len(each)), name
        assert 0.84 <= table.loc[name, "95 % interval holds"] <= 1, name
    assert table.loc["DR", "relative error"] < table.loc["IPS", "relative error"] * 1.05
    assert table.loc["DM", "bias"] < -0.1
    assert table.loc["DM", "95 % interval holds"] < 0.5


def test_misses_part_ips_from_the_others(world):
    market, target, context, value, found = world
    few = {"logs": 20, "size": 8000}
    misses = creative_optimisation.repeat(market, Uniform(6), target, context, misses=True, **few)
    for name in ("DM", "SNIPS", "DR"):
        pairs = zip(found[name][:20], misses[name], strict=True)
        assert all(a.value + b.value == pytest.approx(1) for a, b in pairs), name
    off = {k: np.mean([abs(e.value - 1 + value) for e in v]) for k, v in misses.items()}
    assert off["IPS"] > 2 * off["SNIPS"]


def test_slopes_by_ad_change_what_uses_the_model_and_nothing_else(world):
    market, target, context, value, found = world
    few = {"logs": 20, "size": 8000}
    rich = creative_optimisation.repeat(
        market, Uniform(6), target, context, interactions=True, **few
    )
    assert rich["IPS"] == found["IPS"][:20]
    assert rich["SNIPS"] == found["SNIPS"][:20]
    bias = {
        k: np.mean([e.value for e in v[:20]]) / value - 1
        for k, v in {"plain": found["DM"], "rich": rich["DM"]}.items()
    }
    assert abs(bias["rich"]) < abs(bias["plain"])


def test_logs_are_different_ones_and_the_first_are_those_of_few(world):
    market, target, context, _, found = world
    few = creative_optimisation.repeat(market, Uniform(6), target, context, logs=3, size=8000)
    assert [one.value for one in few["IPS"]] == [one.value for one in found["IPS"][:3]]
    assert len({one.value for one in found["IPS"]}) > 50


def test_a_verdict_needs_an_interval_without_zero():
    rng = np.random.default_rng(0)
    small = rng.random(200)
    error = pd.DataFrame({"small": small, "large": small + 0.1, "twin": rng.permutation(small)})
    pairs = [("large", "small"), ("small", "large"), ("twin", "small")]
    table = creative_optimisation.compare_errors(error, pairs, repeats=500, seed=0)
    assert table["verdict"].tolist() == ["better", "worse", "cannot be told apart"]
    assert list(table.index) == ["small against large", "large against small", "small against twin"]
    assert table["saved"].astype(float).to_numpy() == pytest.approx([0.1, -0.1, 0], abs=1e-9)
    assert table.loc["small against twin", "from"] < 0 < table.loc["small against twin", "to"]
