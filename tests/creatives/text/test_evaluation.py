"""Headlines are judged by the grammar, and gains by hand."""

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.linear_model import LogisticRegression

from pm_utils.creatives.text import evaluation, training
from pm_utils.creatives.text.evaluation import (
    ADS,
    ads_in_headlines,
    evaluate_headlines,
    share_of_gain,
)
from pm_utils.market import random_creatives
from pm_utils.market.headlines import EOS, PAD, copy_grammar
from tests.support.headline_world import archive_of, planted_counts


def test_ads_are_all_combinations_in_the_order_of_their_number():
    assert ADS.shape == (240, 3)
    assert len(np.unique(ADS, axis=0)) == 240
    assert (np.ravel_multi_index(tuple(ADS.T), evaluation.SHAPE) == np.arange(240)).all()


def test_share_of_gain_by_hand():
    single, oracle = np.array([1.0, 1.0]), np.array([2.0, 4.0])
    assert share_of_gain(np.array([1.0, 3.0]), single, oracle) == pytest.approx(2 / 4)
    assert share_of_gain(np.array([1.0, 3.0]), single, oracle, np.array([3, 1])) == pytest.approx(
        (6 / 4 - 1) / (10 / 4 - 1)
    )
    assert share_of_gain(single, single, oracle) == 0
    assert share_of_gain(oracle, single, oracle) == 1
    assert share_of_gain(np.zeros(2), single, oracle) == pytest.approx(-1 / 2)


def test_headlines_say_their_ads_and_garbled_ones_say_nothing():
    ads = np.arange(0, 240, 7)
    tokens = archive_of(ads)
    assert (ads_in_headlines(tokens) == ads).mean() >= 0.99
    garbled = tokens.copy()
    garbled[:, 1:4] = tokens[:, 3:0:-1]
    assert (ads_in_headlines(garbled) == -1).all()
    assert (ads_in_headlines(np.where(tokens == EOS, PAD, tokens)) == -1).all()


def test_headlines_stand_below_what_was_asked_for():
    asked = np.array([239, 0])
    page = archive_of(asked)
    drafts = {"greedy": torch.tensor(page), "drawn": torch.tensor(page[::-1].copy())}
    table = evaluation.side_by_side(drafts, asked, ["Mia", "Noah"])
    assert list(table.index) == ["asked for", "greedy", "drawn"]
    assert list(table.columns) == ["Mia", "Noah"]
    assert table.loc["asked for"].tolist() == ["baby, playful, 50%", "drinks, plain, full price"]
    assert table.loc["greedy"].tolist() == copy_grammar().decode(page)
    assert table.loc["drawn"].tolist() == table.loc["greedy"].tolist()[::-1]


def test_judging_counts_by_hand():
    ads = np.array([3, 3, 100, 200])
    tokens = archive_of(ads)
    tokens[1] = tokens[0]
    asked = np.array([3, 4, 100, 200])  # the second says another discount
    broken = tokens.copy()
    broken[3, 2:5] = tokens[3, 4:1:-1]
    found = evaluate_headlines(broken, asked, archive=tokens[:1])
    assert found["grammatical"] == 3 / 4
    assert found["right"] == 2 / 4
    assert found["novel"] == 1 / 4  # two are in the archive, one does not parse
    assert found["distinct"] == 2 / 4


def test_logistic_liking_is_scikit_learns_regression_on_the_products():
    profile, counts, _ = planted_counts()
    liking = training.logistic_liking(profile, counts, inverse_penalty=0.3)
    level = np.hstack([np.eye(n)[ADS[:, i]] for i, n in enumerate(evaluation.SHAPE)])
    x = np.column_stack([np.ones(300), profile])
    products = (x[:, None, :, None] * level[None, :, None, :]).reshape(300 * 240, -1)
    table = np.repeat(products, 2, axis=0)
    weight = counts.numpy().ravel()
    model = LogisticRegression(C=0.3, tol=1e-8, solver="newton-cholesky")
    model.fit(table[weight > 0], np.tile([1, 0], 300 * 240)[weight > 0], weight[weight > 0])
    theirs = model.decision_function(products).reshape(300, 240)
    apart = (liking - liking.mean()) - (theirs - theirs.mean())
    assert np.abs(apart).max() < 0.05  # theirs fits the intercept, ours holds it at the mean rate


# --- Inputs ---------------------------------------------------------------------------------------


def test_the_share_of_the_gain_is_by_index_and_of_known_numbers():
    value, single, oracle = np.array([0.2, 0.1]), np.array([0.1, 0.1]), np.array([0.3, 0.2])
    expected = share_of_gain(value, single, oracle)
    rows = [pd.Series(part, ["a", "b"]) for part in (value, single, oracle)]
    assert share_of_gain(rows[0][::-1], *rows[1:]) == pytest.approx(expected)
    with pytest.raises(ValueError, match="oracle is not finite in 1 of 2 rows"):
        share_of_gain(value, single, np.array([0.3, np.nan]))
    with pytest.raises(ValueError, match="weight is out of range"):
        share_of_gain(value, single, oracle, np.array([1, -1]))
    with pytest.raises(ValueError, match="nothing to gain"):
        share_of_gain(value, single, single)


def test_headlines_are_judged_against_ads_that_exist():
    page = copy_grammar().sample(
        random_creatives(2, np.random.default_rng(0)), np.random.default_rng(1)
    )
    for asked, told in (([0, 240], "asked is out of range .* 0 to 239"), ([0], "asked 1 rows")):
        with pytest.raises(ValueError, match=told):
            evaluate_headlines(page, np.array(asked), page)
