"""Towers learn planted tastes, and the writer what it is asked for."""

import numpy as np
import torch

from pm_utils.creatives.text import training
from pm_utils.creatives.text.evaluation import share_of_gain
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
        model, losses[name] = training.train_response_towers(
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
