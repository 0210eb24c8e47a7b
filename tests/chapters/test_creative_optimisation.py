"""Estimators over many logs are scored against a known value."""

import numpy as np
import pandas as pd
import pytest

from pm_utils.chapters import creative_optimisation
from pm_utils.decisions import bandits
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


def test_slopes_by_ad_leave_less_bias_in_the_model(world):
    *_, value, found = world
    bias = {k: np.mean([e.value for e in found[k]]) / value - 1 for k in ("DM", "DM, slopes by ad")}
    assert abs(bias["DM, slopes by ad"]) < abs(bias["DM"])
    of_dr = [np.mean([e.value for e in found[k]]) for k in ("DR", "DR, slopes by ad")]
    assert of_dr == pytest.approx([value, value], rel=0.05)  # whatever the model


def test_logs_are_different_ones_and_the_first_are_those_of_few(world):
    market, target, context, _, found = world
    few = creative_optimisation.repeat(market, Uniform(6), target, context, logs=3, size=8000)
    assert [one.value for one in few["IPS"]] == [one.value for one in found["IPS"][:3]]
    assert len({one.value for one in found["IPS"]}) > 50


def test_what_receipts_tell_lies_between_the_best_ad_and_the_best_for_each(world):
    market, *_ = world
    truth = market.click_table
    ads = creative_optimisation.best_by_receipts(market, others=3000)
    reached = truth[np.arange(800), ads].mean()
    assert truth.mean(0).max() < reached < truth.max(1).mean()
    assert (ads == truth.argmax(1)).mean() > 0.5


def test_a_varied_start_is_worth_more_to_linucb_than_to_thompson_sampling(world):
    market, _, context, *_ = world
    with_one = np.column_stack([np.ones(800), context])
    makers = {
        "LinUCB": lambda n: bandits.LinUCB(with_one, 6, n, alpha=0.05, ridge=10),
        "Thompson": lambda n: bandits.Thompson(6, n),
    }
    truth = 5 * market.click_table
    players = {
        "fixed": lambda n: bandits.Known(np.full(800, truth.mean(0).argmax())),
        "oracle": lambda n: bandits.Known(truth.argmax(1)),
    }
    for name, make in makers.items():
        for weeks in (0, 1):
            players[name, weeks] = bandits.starting(make, 6, rounds=weeks)
    sizes = dict.fromkeys(players, 4)
    _, earned = bandits.tournament(players, truth, sizes, rounds=4, batch=2000, seed=0)
    share = bandits.shares_of_gain(earned, "fixed", "oracle", rounds=slice(-1, None))
    worth = {name: (share[name, 1] - share[name, 0]).mean() for name in makers}
    assert worth["LinUCB"] > max(worth["Thompson"], 0.05)


def test_learners_are_judged_on_households_that_taught_nothing():
    """One that remembers households is worth nothing elsewhere."""
    rng = np.random.default_rng(0)
    home = np.repeat(np.arange(300), 4)
    x, effect = home[:, None].astype(float), rng.normal(size=300)[home]
    treated = rng.random(1200) < 0.5
    outcome = (rng.random(1200) < 0.5 + 0.2 * treated * effect).astype(float)

    class Memory:
        def fit(self, x, treated, outcome):
            self.known = set(x[:, 0])
            return self

        def predict(self, x):
            assert not self.known & set(x[:, 0])
            return x[:, 0]

    trial = x, treated, outcome
    _, gain = creative_optimisation.judge_over_splits(
        {"memory": Memory()}, trial, effect, home, splits=4, seed=0
    )
    assert len(gain) == 4
    assert abs(gain["memory"].mean()) < 0.4


def test_learners_are_compared_split_by_split():
    luck = np.random.default_rng(0).normal(size=10)
    gain = pd.DataFrame({"T": luck, "DR": luck + 0.1, "twin": luck[::-1]})
    found = creative_optimisation.learner_standings(gain, gain, against={"DR": "T", "twin": "T"})
    assert found.loc["DR", ["by", "from", "to"]].tolist() == pytest.approx([0.1, 0.1, 0.1])
    assert found.loc["twin", "from"] < 0 < found.loc["twin", "to"]
    said = creative_optimisation.learner_verdicts(found)
    assert "The DR gains **more** than the T" in said
    assert "The twin and the T **cannot be told apart**" in said


def test_a_step_helps_only_where_the_interval_excludes_zero():
    luck = np.random.default_rng(0).normal(size=20)
    share = {"a": luck, "b": luck + 0.1, "c": luck - 0.1, "d": luck[::-1]}
    pairs = {name: (name, "a") for name in "bcd"}
    found = creative_optimisation.paired_gains(share, pairs)
    assert found["verdict"].tolist() == ["helps", "harms", "cannot be told"]


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
