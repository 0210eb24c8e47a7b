"""Towers learn planted tastes, and the writer what it is asked for."""

import numpy as np
import pytest
import torch

from pm_utils.creatives.text import training
from pm_utils.creatives.text.evaluation import ADS, share_of_gain
from pm_utils.market.headlines import PAD
from tests.support.headline_world import archive_of, planted_counts


def test_logistic_liking_finds_planted_tastes():
    profile, counts, logit = planted_counts()
    liking = training.logistic_liking(profile, counts)
    assert liking.shape == (300, 240)
    rows = np.arange(300)
    assert logit[rows, liking.argmax(1)].mean() > 0.9 * logit.max(1).mean()
    gradient = np.polyfit(logit.ravel(), liking.ravel(), 1)[0]
    assert 0.7 < gradient < 1.1
    apart = np.corrcoef(logit.ravel(), liking.ravel())[0, 1]
    assert apart > 0.95


def test_towers_beat_their_null_on_held_out_customers():
    profile, counts, logit = planted_counts()
    learn, choose = np.arange(200), np.arange(200, 300)
    rng = np.random.default_rng(1)
    shuffled = counts[np.r_[rng.permutation(learn), rng.permutation(choose)]]
    losses, gains = {}, {}
    single = logit[:, logit[learn].mean(0).argmax()]
    for name, log_counts in {"real": counts, "null": shuffled}.items():
        model, history = training.train_response_towers(
            torch.tensor(profile), log_counts, learn, choose, epochs=25, seed=0
        )
        losses[name] = min(history.validation)
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
    model, _ = training.train_writer(codes, tokens, **settings)
    nats = training.token_nats(model, codes, tokens)
    assert nats.shape == (600, 31)
    assert (nats[tokens[:, 1:] == PAD] == 0).all()
    swapped = training.token_nats(model, codes.flip(1), tokens)
    assert nats.sum() < swapped.sum() - 600 * 0.6  # a good part of log 2 per headline and more
    tone = {"first": (ads == 0), "last": (ads == 239)}
    for rows in tone.values():
        assert nats[rows, 0].mean() < np.log(440) / 2
    again, _ = training.train_writer(codes, tokens, **settings)
    assert np.array_equal(training.token_nats(again, codes, tokens), nats)


# --- Vocabularies of one's own, and inputs --------------------------------------------------------


def letters(n: int, seed: int = 0) -> tuple[np.ndarray, torch.Tensor]:
    """Texts of 40 letters, longer than any headline: the code says which letter repeats."""
    rng = np.random.default_rng(seed)
    kind = rng.integers(2, size=n)
    body = np.repeat(3 + kind[:, None], 40, axis=1)
    tokens = np.hstack([np.full((n, 1), 1), body, np.full((n, 1), 2)])
    return tokens, torch.eye(2)[kind]


def test_a_vocabulary_of_ones_own_is_learned_and_written():
    tokens, codes = letters(400)
    settings = {"layers": 1, "width": 16, "batch_size": 8, "seed": 0}
    words = ["<pad>", "<bos>", "<eos>", "a", "b"]
    model, _ = training.train_writer(codes, tokens, vocabulary=words, **settings)
    assert model.config.n_words == 5
    assert training.token_nats(model, codes, tokens).mean() < 0.3
    assert model.generate(torch.eye(2))[:, 1].tolist() == [3, 4]
    again, _ = training.train_writer(codes, tokens, vocabulary=5, **settings)
    assert all(
        torch.equal(one, other)
        for one, other in zip(model.parameters(), again.parameters(), strict=True)
    )


def test_texts_that_the_vocabulary_does_not_know_are_refused():
    tokens, codes = letters(8)
    settings = {"layers": 1, "width": 16, "batch_size": 8, "seed": 0, "vocabulary": 5}
    empty = np.tile([1, 0, 0], (8, 1))
    hole = codes.clone()
    hole[2, 1] = torch.nan
    for changed, told in (
        ({"tokens": tokens + 1}, "tokens is out of range|begin each text"),
        ({"tokens": tokens[:, 1:]}, "begin each text"),
        ({"tokens": empty}, "holds nothing after <bos>"),
        ({"codes": hole}, "codes is not finite in 1 of 8 rows, first row 2"),
        ({"codes": codes[1:]}, "codes 7, tokens 8 rows"),
    ):
        parts = {"codes": codes, "tokens": tokens} | changed
        with pytest.raises(ValueError, match=told):
            training.train_writer(*parts.values(), **settings)


def test_response_counts_of_other_shapes_or_signs_are_refused():
    profile, counts, _ = planted_counts()
    hole = profile.copy()
    hole[3, 0] = np.inf
    for x, seen, told in (
        (hole, counts, "profile is not finite in 1 of 300 rows, first row 3"),
        (profile, -counts, "counts is out of range"),
        (profile[1:], counts, "profile 299, counts 300 rows"),
        (profile, counts[:, :5], r"counts has shape \(300, 5, 2\)"),
        (profile, counts * torch.tensor([0.0, 1.0]), "only clicks or none"),
    ):
        with pytest.raises(ValueError, match=told):
            training.logistic_liking(x, seen)
    with pytest.raises(ValueError, match="choose is out of range .* 0 to 299"):
        training.train_response_towers(
            torch.tensor(profile), counts, np.arange(9), np.array([300]), epochs=1, seed=0
        )


def test_the_penalty_and_the_pairs_are_tuned_on_customers_that_are_not_learned_from():
    profile, counts, logit = planted_counts()
    learn, choose = np.arange(200), np.arange(200, 300)
    tried = {}
    for inverse_penalty in (1e-5, 0.03):
        setting = [inverse_penalty]
        tried[inverse_penalty] = training.tuned_logistic(
            profile, counts, learn, choose, inverse_penalties=setting
        )
    liking, loss = training.tuned_logistic(
        profile, counts, learn, choose, inverse_penalties=[1e-5, 0.03]
    )
    assert loss == min(each for _, each in tried.values()) < max(each for _, each in tried.values())
    assert np.array_equal(liking, tried[0.03][0])
    blind = counts.clone()
    blind[choose] = counts[np.random.default_rng(0).permutation(choose)]
    again = training.logistic_liking(profile, blind, learn=learn)
    assert np.array_equal(again, training.logistic_liking(profile, counts, learn=learn))
    pairs, _ = training.tuned_logistic(profile, counts, learn, choose, pairs=True)
    assert np.corrcoef(pairs[choose].ravel(), logit[choose].ravel())[0, 1] > 0.8
    with pytest.raises(ValueError, match="inverse_penalties is empty"):
        training.tuned_logistic(profile, counts, learn, choose, inverse_penalties=[])
    with pytest.raises(ValueError, match="choose is out of range"):
        training.tuned_logistic(profile, counts, learn, np.array([300]))


def test_without_a_profile_the_logistic_regression_names_one_ad_for_all():
    _, counts, _ = planted_counts()
    liking = training.logistic_liking(np.zeros((300, 0)), counts)
    assert len(np.unique(liking.argmax(1))) == 1
    assert ADS[liking[0].argmax(), 2] == ADS[:, 2].max()  # a larger discount is liked more


def test_a_writer_tells_its_losses_and_keeps_the_best_epoch():
    ads = np.random.default_rng(0).choice([0, 239], size=200)
    tokens, codes = archive_of(ads), torch.eye(2)[(ads == 239).astype(int)]
    settings = {"layers": 1, "width": 16, "batch_size": 16, "seed": 0, "epochs": 2}
    held_out = codes[:40], tokens[:40]
    model, history = training.train_writer(codes, tokens, held_out=held_out, **settings)
    assert len(history.train) == len(history.validation) == 2
    nats = training.token_nats(model, *held_out).sum() / (tokens[:40, 1:] != PAD).sum()
    assert nats == pytest.approx(min(history.validation), rel=1e-4)
    plain, _ = training.train_writer(codes, tokens, **settings)
    assert np.array_equal(plain.generate(codes[:4]), model.generate(codes[:4]))
    with pytest.raises(ValueError, match="codes 1, tokens 2 rows"):
        training.train_writer(codes, tokens, held_out=(codes[:1], tokens[:2]), **settings)
