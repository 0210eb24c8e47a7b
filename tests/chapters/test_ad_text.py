"""What chapter 04 says of choices of ads follows from the log and from the truth."""

import numpy as np
import pandas as pd
import pytest
import torch

from pm_utils.chapters import ad_text
from pm_utils.creatives.text.evaluation import ADS, ads_in_headlines
from pm_utils.creatives.text.networks import response_counts
from pm_utils.evaluation.probabilities import household_weights
from pm_utils.market import Creatives, Uniform
from pm_utils.market.headlines import copy_grammar
from tests.support.market_world import small_market

CATALOGUE = Creatives(*ADS.T, *np.zeros((4, 240), dtype=int))


def market_and_log(n: int = 40, impressions: int = 60000):
    market = small_market(n, creatives=CATALOGUE)
    return market, market.impressions(Uniform(240), impressions)


def test_the_replay_comes_out_at_what_the_choice_earns():
    market, log = market_and_log(impressions=400000)
    counts = response_counts(log.customer, log.creative, log.click, (40, 240))
    ads = market.click_table.argmax(1)
    looked = np.mean(market.truth.examination)  # slots are drawn uniformly
    true = looked * market.click_table[np.arange(40), ads].mean()
    error = np.sqrt(true * 240 / 400000)
    assert abs(ad_text.replayed_clicks(counts, ads) - true) < 4 * error
    half = np.where(np.arange(40) < 20, ads, -1)
    rest = np.where(np.arange(40) < 20, -1, ads)
    parts = [ad_text.replayed_clicks(counts, each) for each in (half, rest)]
    assert sum(parts) == pytest.approx(ad_text.replayed_clicks(counts, ads))


def test_a_replay_without_impressions_or_of_unknown_ads_is_refused():
    counts = torch.ones(2, 3, 2)
    with pytest.raises(ValueError, match="no impression"):
        ad_text.replayed_clicks(0 * counts, np.zeros(2, int))
    with pytest.raises(ValueError, match="ads"):
        ad_text.replayed_clicks(counts, np.array([0, 3]))
    with pytest.raises(ValueError, match="ads"):
        ad_text.replayed_clicks(counts, np.array([0]))


def test_a_shorter_log_is_a_part_of_the_longer_and_every_size_gets_its_verdict():
    market, log = market_and_log()
    profile = torch.tensor(np.random.default_rng(0).normal(size=(40, 3)), dtype=torch.float32)
    parts = {"learn": np.arange(20), "choose": np.arange(20, 30), "test": np.arange(30, 40)}
    weight = household_weights(np.arange(10), 50, seed=0)
    settings = {"epochs": 1, "weight": weight, "seed": 0}
    curve = ad_text.by_log_size(market, log, profile, parts, shares=(1, 0.5), **settings)
    sizes = curve.index.to_numpy()
    assert sizes[0] == len(log) / 30
    assert 0.45 < sizes[1] / sizes[0] < 0.55
    assert (curve[["best single", "logistic", "content code"]] <= 1).all(axis=None)
    ahead = curve["content code"] - curve["logistic"]
    assert ((curve["low"] <= ahead) & (ahead <= curve["high"])).all()
    expected = np.where(curve["low"] > 0, "beats", np.where(curve["high"] < 0, "loses", "tie"))
    assert curve["verdict"].tolist() == expected.tolist()


def test_the_interval_of_a_gain_holds_zero_for_equals_and_not_for_others():
    rng = np.random.default_rng(0)
    single, oracle = np.full(200, 0.02), rng.uniform(0.05, 0.09, 200)
    weight = household_weights(np.arange(200), 400, seed=0)
    better = 0.6 * oracle
    assert ad_text.gain_interval(oracle, oracle, single, oracle, weight) == (0, 0)
    low, high = ad_text.gain_interval(oracle, better, single, oracle, weight)
    exact = (oracle - better).mean() / (oracle - single).mean()
    assert 0 < low < exact < high


def test_one_hot_words_are_those_of_scikit_learns_regression():
    from sklearn.linear_model import LinearRegression

    rng = np.random.default_rng(0)
    profile, tokens = rng.normal(size=(60, 2)), rng.integers(0, 4, (60, 3))
    asked = rng.normal(size=(5, 2))
    words = np.eye(4)[tokens].reshape(60, -1)
    theirs = LinearRegression().fit(profile, words).predict(asked).reshape(5, 3, 4).argmax(2)
    ours = ad_text.one_hot_regression(profile, tokens, asked, 4)
    assert (ours == theirs).all()
    with pytest.raises(ValueError, match="tokens"):
        ad_text.one_hot_regression(profile, tokens + 1, asked, 4)


def test_the_least_squared_error_is_known_by_place():
    grammar, rng = copy_grammar(), np.random.default_rng(0)
    pages = ad_text.least_squares_headlines(grammar, CATALOGUE.take([3, 150]), 50, rng)
    assert {page.shape for page in pages.values()} == {(2, 32)}
    assert all((page[:, 0] == 1).all() for page in pages.values())  # all begin with <bos>
    again = grammar.sample(CATALOGUE.take(np.repeat([3, 150], 50)), np.random.default_rng(0))
    assert pages["numbers"][0].tolist() == again[:50].mean(0).round().astype(int).tolist()
    words, often = np.unique(again[50:, 1], return_counts=True)
    assert pages["one-hot"][1, 1] == words[often.argmax()]
    assert ads_in_headlines(again).min() >= 0


def test_what_is_said_follows_the_verdict():
    curve = pd.DataFrame({"verdict": ["beats", "tie", "tie"]}, index=[1000.0, 50.0, 10.0])
    said = ad_text.said_of_sizes(curve)
    assert said == "beats it at 1,000, cannot be told from it at 50; 10 impressions a customer"
    for verdict, words in {
        "beats": "more", "loses": "less", "tie": "cannot be told", "undertrained": "more training",
    }.items():  # fmt: skip
        assert words in ad_text.said_of_gain(verdict, "a", "b")
    assert ad_text.said_of_lines(0.1, 0.2) == "clicks"
    assert ad_text.said_of_lines(-0.1, 0.2) == "nothing"
