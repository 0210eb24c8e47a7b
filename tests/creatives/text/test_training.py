"""Chapter 04's steps: towers that beat their null, shares by hand, headlines judged by hand."""

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression
from torch import Tensor

from pm_utils.creatives.text import training
from pm_utils.creatives.text.networks import response_counts
from pm_utils.creatives.text.training import ADS, ads_said, judge, share_of_gain, standard_scores
from pm_utils.market.creatives import Creatives
from pm_utils.market.headlines import EOS, PAD, copy_grammar


def archive_of(ads: np.ndarray, seed: int = 0) -> np.ndarray:
    creatives = Creatives(*ADS[ads].T, *np.zeros((4, len(ads)), dtype=int))
    return copy_grammar().sample(creatives, np.random.default_rng(seed))


def test_ads_are_all_combinations_in_the_order_of_their_number():
    assert ADS.shape == (240, 3)
    assert len(np.unique(ADS, axis=0)) == 240
    assert (np.ravel_multi_index(tuple(ADS.T), training.SHAPE) == np.arange(240)).all()


def test_standard_scores_by_hand():
    view = np.array([[1.0, 5.0], [3.0, 5.0], [np.nan, 5.0]])
    assert standard_scores(view).tolist() == [[-1.0, 0.0], [1.0, 0.0], [0.0, 0.0]]


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
    assert (ads_said(tokens) == ads).mean() >= 0.99
    garbled = tokens.copy()
    garbled[:, 1:4] = tokens[:, 3:0:-1]
    assert (ads_said(garbled) == -1).all()
    assert (ads_said(np.where(tokens == EOS, PAD, tokens)) == -1).all()


def test_headlines_stand_below_what_was_asked_for():
    asked = np.array([239, 0])
    page = archive_of(asked)
    drafts = {"greedy": torch.tensor(page), "drawn": torch.tensor(page[::-1].copy())}
    table = training.side_by_side(drafts, asked, ["Mia", "Noah"])
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
    found = judge(broken, asked, archive=tokens[:1])
    assert found["grammatical"] == 3 / 4
    assert found["right"] == 2 / 4
    assert found["novel"] == 1 / 4  # two are in the archive, one does not parse
    assert found["distinct"] == 2 / 4


def planted_counts(n: int = 60_000, seed: int = 0) -> tuple[np.ndarray, Tensor, np.ndarray]:
    """Return profiles, a uniform log's counts and the true logits: number j likes category j."""
    rng = np.random.default_rng(seed)
    profile = rng.normal(size=(300, 12)).astype(np.float32)
    logit = 1.5 * profile[:, ADS[:, 0]] + 0.3 * ADS[:, 2] - 3
    customer, creative = rng.integers(300, size=n), rng.integers(240, size=n)
    click = rng.random(n) < 1 / (1 + np.exp(-logit[customer, creative]))
    return profile, response_counts(customer, creative, click, (300, 240)), logit


def test_logistic_liking_finds_planted_tastes():
    profile, counts, logit = planted_counts()
    liking = training.logistic_liking(profile, counts)
    assert liking.shape == (300, 240)
    rows = np.arange(300)
    assert logit[rows, liking.argmax(1)].mean() > 0.9 * logit.max(1).mean()
    slope = np.polyfit(logit.ravel(), liking.ravel(), 1)[0]
    assert 0.7 < slope < 1.1
    apart = np.corrcoef(logit.ravel(), liking.ravel())[0, 1]
    assert apart > 0.95


def test_logistic_liking_is_scikit_learns_regression_on_the_products():
    profile, counts, _ = planted_counts()
    liking = training.logistic_liking(profile, counts, strength=0.3)
    level = np.hstack([np.eye(n)[ADS[:, i]] for i, n in enumerate(training.SHAPE)])
    x = np.column_stack([np.ones(300), profile])
    products = (x[:, None, :, None] * level[None, :, None, :]).reshape(300 * 240, -1)
    table = np.repeat(products, 2, axis=0)
    weight = counts.numpy().ravel()
    model = LogisticRegression(C=0.3, tol=1e-8, solver="newton-cholesky")
    model.fit(table[weight > 0], np.tile([1, 0], 300 * 240)[weight > 0], weight[weight > 0])
    theirs = model.decision_function(products).reshape(300, 240)
    apart = (liking - liking.mean()) - (theirs - theirs.mean())
    assert np.abs(apart).max() < 0.05  # theirs fits the intercept, ours holds it at the mean rate


def test_towers_beat_their_null_on_held_out_customers():
    profile, counts, logit = planted_counts()
    learn, choose = np.arange(200), np.arange(200, 300)
    rng = np.random.default_rng(1)
    shuffled = counts[np.r_[rng.permutation(learn), rng.permutation(choose)]]
    losses, gains = {}, {}
    single = logit[:, logit[learn].mean(0).argmax()]
    for name, log_counts in {"real": counts, "null": shuffled}.items():
        model, losses[name] = training.train_towers(
            torch.tensor(profile), log_counts, learn, choose, epochs=25, seed=0
        )
        best = model.nearest(torch.tensor(profile[choose]))[:, 0].numpy()
        held = logit[choose]
        gains[name] = share_of_gain(held[np.arange(100), best], single[choose], held.max(1))
    assert losses["real"] < losses["null"] - 0.02
    assert gains["real"] > 0.5
    assert gains["null"] < 0.2


def test_the_writer_learns_what_to_say_and_its_surprise_is_the_loss():
    ads = np.random.default_rng(0).choice([0, 239], size=600)
    tokens = archive_of(ads)
    codes = torch.eye(2)[(ads == 239).astype(int)] * 3
    settings = {"layers": 1, "width": 32, "batch_size": 16, "seed": 0}
    model = training.train_writer(codes, tokens, **settings)
    nats = training.token_nats(model, codes, tokens)
    assert nats.shape == (600, 31)
    assert (nats[tokens[:, 1:] == PAD] == 0).all()
    swapped = training.token_nats(model, codes.flip(1), tokens)
    assert nats.sum() < swapped.sum() - 600 * 0.6  # a good part of log 2 per headline and more
    tone = {"first": (ads == 0), "last": (ads == 239)}
    for rows in tone.values():
        assert nats[rows, 0].mean() < np.log(440) / 2
    again = training.train_writer(codes, tokens, **settings)
    assert np.array_equal(training.token_nats(again, codes, tokens), nats)
