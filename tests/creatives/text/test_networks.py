"""Content code, click loss and the small GPT: causality, cache, pads, hand-worked losses."""

import math

import numpy as np
import pandas as pd
import pytest
import torch
from torch.nn.functional import binary_cross_entropy_with_logits

from pm_utils.creatives.text.networks import (
    AdCopyGPT,
    AdGenerator,
    GPTConfig,
    ResponseModel,
    click_loss,
    next_word_loss,
    pick,
    response_counts,
)
from pm_utils.learning.training import fit, predict
from pm_utils.market.headlines import BOS, EOS, PAD

V, D, T = 11, 6, 8  # words, width of the code, positions
CONFIG = GPTConfig(V, code_dim=D, length=T, layers=2, heads=2, width=16)
ADS = torch.tensor([[k, t] for k in range(3) for t in range(2)])  # six ads of two attributes


def gpt(config: GPTConfig = CONFIG, *, scale: float = 10.0) -> AdCopyGPT:
    """Return a network whose weights are large enough for its words to differ."""
    torch.manual_seed(0)
    model = AdCopyGPT(config).eval()
    with torch.no_grad():
        for weight in model.parameters():
            weight.mul_(scale if weight.dim() > 1 else 1)
    return model


def batch(rows: int = 5) -> tuple[torch.Tensor, torch.Tensor]:
    """Return codes (B, D) and full headlines (B, T) without an end."""
    draw = torch.Generator().manual_seed(1)
    tokens = torch.randint(3, V, (rows, T), generator=draw)
    tokens[:, 0] = BOS
    return torch.randn(rows, D, generator=draw), tokens


# --- From profile to code --------------------------------------------------------------------


def test_the_generator_is_the_sources_two_layers():
    model = AdGenerator(profile_dim=32, output_dim=128)
    shapes = [tuple(weight.shape) for weight in model.parameters()]
    assert shapes == [(256, 32), (256,), (128, 256), (128,)]
    profile = torch.randn(4, 32)
    by_hand = (profile @ model.fc1.weight.T + model.fc1.bias).clamp(min=0)
    by_hand = by_hand @ model.fc2.weight.T + model.fc2.bias
    assert torch.allclose(model(profile), by_hand, atol=1e-6)


def test_click_loss_is_the_logistic_loss_of_every_impression():
    customer, creative = np.array([0, 0, 0, 1, 1]), np.array([2, 2, 0, 1, 1])
    click = np.array([True, False, True, False, False])
    counts = response_counts(customer, creative, click, (2, 3))
    assert counts[0].tolist() == [[1, 0], [0, 0], [1, 1]]
    assert counts[1].tolist() == [[0, 0], [0, 2], [0, 0]]
    logits = torch.tensor([[0.3, 9.0, -1.0], [9.0, -2.0, 9.0]])
    each = binary_cross_entropy_with_logits(
        logits[customer, creative], torch.tensor(click, dtype=torch.float32)
    )
    assert click_loss(logits, counts).item() == pytest.approx(each.item(), abs=1e-6)


def test_click_loss_by_hand():
    counts = torch.tensor(
        [[[1.0, 3.0]]]
    )  # one click in four; at the logit of 1/4 it is the entropy
    logit = torch.tensor([[math.log(1 / 3)]])
    entropy = -(0.25 * math.log(0.25) + 0.75 * math.log(0.75))
    assert click_loss(logit, counts).item() == pytest.approx(entropy, abs=1e-6)
    assert click_loss(logit + 0.3, counts) > click_loss(logit, counts)
    assert click_loss(logit - 0.3, counts) > click_loss(logit, counts)


def liking_of(profile) -> np.ndarray:
    """Return what each customer thinks of each ad: the first number is for the first attribute."""
    sign = np.sign(np.asarray(profile))
    by_kind = 2 * np.outer(sign[:, 0], [1, 0, -1])[:, ADS[:, 0].numpy()]
    return by_kind + np.outer(sign[:, 1], [1, -1])[:, ADS[:, 1].numpy()]


def planted(n: int = 300) -> tuple[torch.Tensor, torch.Tensor]:
    """Return profiles and counts of a world where the sign of two numbers says who likes what."""
    draw = np.random.default_rng(0)
    profile = draw.normal(size=(n, 4)).astype(np.float32)
    liking = liking_of(profile)
    shown = np.full((n, len(ADS)), 20)
    clicks = draw.binomial(shown, 1 / (1 + np.exp(2 - liking)))
    counts = np.stack([clicks, shown - clicks], 2).astype(np.float32)
    return torch.tensor(profile), torch.tensor(counts)


def taught(counts: torch.Tensor, profile: torch.Tensor) -> ResponseModel:
    torch.manual_seed(0)
    model = ResponseModel(AdGenerator(4, 16), ADS)
    fit(model, [profile], counts, loss=click_loss, epochs=15, batch_size=50, learning_rate=1e-2)
    return model


def test_nearest_ads_are_liked_and_those_of_shuffled_clicks_are_not():
    profile, counts = planted()
    truth = liking_of(profile)
    shuffled = counts[torch.randperm(len(counts), generator=torch.Generator().manual_seed(0))]
    rows = np.arange(len(profile))
    gain = {}
    for name, log in {"real": counts, "null": shuffled}.items():
        best = taught(log, profile).nearest(profile)[:, 0].numpy()
        gain[name] = truth[rows, best].mean() / truth.max(1).mean()
    assert gain["real"] > 0.85
    assert gain["null"] < 0.5


def test_nearest_ads_come_best_first_and_dropout_is_off():
    profile, _ = planted(7)
    torch.manual_seed(0)
    model = ResponseModel(AdGenerator(4, 16), ADS, dropout=0.5).train()
    order = model.nearest(profile, k=6)
    logits = predict(model, [profile])
    assert order.shape == (7, 6)
    ranked = logits.gather(1, order)
    assert (ranked.diff(dim=1) <= 0).all()
    assert torch.equal(order[:, 0], logits.argmax(1))


def test_an_ads_logit_is_the_inner_product_of_code_and_embedding_and_its_appeal():
    profile, _ = planted(3)
    torch.manual_seed(0)
    model = ResponseModel(AdGenerator(4, 16), ADS).eval()
    code, ads = model.generator(profile), model.embeddings()
    by_hand = (code[1] * ads[4]).sum() / 4 + model.appeal(ads[4])[0]
    assert model(profile)[1, 4].item() == pytest.approx(by_hand.item(), abs=1e-5)
    assert ads.shape == (6, 16)


# --- The Transformer -------------------------------------------------------------------------


def test_changing_a_token_changes_no_logits_before_it():
    model, (code, tokens) = gpt(), batch()
    before = model(code, tokens)
    for t in range(1, T):
        changed = tokens.clone()
        changed[:, t] = 3 + (tokens[:, t] - 2) % (V - 3)
        after = model(code, changed)
        assert torch.allclose(after[:, :t], before[:, :t], atol=1e-6), t
        assert (after[:, t:] - before[:, t:]).abs().amax(2).min() > 1e-4, t


def test_the_code_reaches_every_place():
    model, (code, tokens) = gpt(), batch()
    change = (model(code + 1, tokens) - model(code, tokens)).abs().amax(2)
    assert change.shape == (5, T)
    assert change.min() > 1e-4


def test_the_cache_gives_what_the_full_pass_gives():
    model, (code, tokens) = gpt(), batch()
    full, cache, steps = model(code, tokens), [None] * 2, []
    x = model.prefix(code).unsqueeze(1)
    for t in range(T):
        logits, cache = model._run(x, t, cache)
        steps.append(logits)
        if t + 1 < T:
            x = model.words(tokens[:, t + 1 : t + 2])
    assert torch.allclose(torch.cat(steps, 1), full, atol=1e-5)
    assert cache[0][0].shape == (5, 2, T, 8)


def test_greedy_writing_is_the_likeliest_word_of_the_full_pass_each_time():
    model, (code, _) = gpt(), batch()
    written = model.generate(code)
    assert written.shape == (5, T)
    for row, said in zip(code, written, strict=True):
        for t in range(1, T):
            if said[t - 1] == EOS:
                assert (said[t:] == PAD).all()
                break
            logits = model(row[None], said[None, :t])
            assert logits[0, -1].argmax() == said[t]


def test_pads_have_no_effect():
    model, (code, tokens) = gpt(), batch()
    tokens[:, 5] = EOS
    short, longer = tokens[:, :6], tokens.clone()
    longer[:, 6:] = PAD
    assert torch.allclose(model(code, longer)[:, :6], model(code, short), atol=1e-6)
    losses = [next_word_loss(model(code, rows[:, :-1]), rows).item() for rows in (short, longer)]
    assert losses[0] == pytest.approx(losses[1], abs=1e-6)


def test_loss_by_hand():
    # Three words. Logits 0 make each likely by a third; log 2 for one word makes it a half.
    logits = torch.zeros(2, 3, 3)
    logits[0, 0, 1] = math.log(2)
    tokens = torch.tensor([[BOS, 1, 2, PAD], [BOS, 2, PAD, PAD]])
    by_hand = (math.log(2) + math.log(3) + math.log(3)) / 3
    assert next_word_loss(logits, tokens).item() == pytest.approx(by_hand, abs=1e-6)
    logits[:, 2] = torch.tensor([5.0, -5.0, 1.0])  # what stands after the end does not count
    assert next_word_loss(logits, tokens).item() == pytest.approx(by_hand, abs=1e-6)


def test_writing_is_repeated_by_a_seed_and_changes_with_it():
    model, (code, _) = gpt(scale=5.0), batch(40)
    first = model.generate(code, temperature=1.0, seed=3)
    assert torch.equal(first, model.generate(code, temperature=1.0, seed=3))
    assert not torch.equal(first, model.generate(code, temperature=1.0, seed=4))
    assert torch.equal(model.generate(code), model.generate(code, seed=4))


def test_temperature_draws_words_in_proportion():
    logits = torch.log(torch.tensor([[0.1, 0.2, 0.7]])).expand(20_000, 3)
    draw = torch.Generator().manual_seed(0)
    shares = torch.bincount(pick(logits, 1.0, draw), minlength=3) / 20_000
    assert torch.allclose(shares, torch.tensor([0.1, 0.2, 0.7]), atol=0.01)
    sharp = torch.tensor([0.01, 0.04, 0.49]) / 0.54  # squares, at half the temperature
    shares = torch.bincount(pick(logits, 0.5, draw), minlength=3) / 20_000
    assert torch.allclose(shares, sharp, atol=0.01)
    assert (pick(logits, 0.0, draw) == 2).all()


@pytest.mark.parametrize(("luck", "word"), [(0.0, 1), (1 - 2**-24, 2)])
def test_an_impossible_word_is_never_drawn(luck, word, monkeypatch):
    monkeypatch.setattr(torch, "rand", lambda *shape, generator: torch.full(shape, luck))
    logits = torch.tensor([[-torch.inf, 0.0, 0.0, -torch.inf]]).expand(5, 4)
    assert (pick(logits, 1.0, torch.Generator()) == word).all()


@pytest.mark.parametrize(
    ("logit", "temperature"), [(torch.nan, 1.0), (torch.inf, 1.0), (1.0, 1e-45)]
)
def test_words_are_not_drawn_from_what_is_not_finite(logit, temperature):
    with pytest.raises(ValueError, match="not finite"):
        pick(torch.tensor([[logit, 0.0, 1.0]]), temperature, torch.Generator())


def test_gradients_reach_every_parameter():
    torch.manual_seed(0)
    model, (code, tokens) = AdCopyGPT(CONFIG), batch()
    next_word_loss(model(code, tokens[:, :-1]), tokens).backward()
    for name, weight in model.named_parameters():
        reached = weight.grad if name != "positions.weight" else weight.grad[:-1]
        assert reached.abs().max() > 0, name
    assert model.positions.weight.grad[-1].abs().max() == 0  # no input stands there
    towers = ResponseModel(AdGenerator(4, 16), ADS)
    profile, counts = planted(20)
    click_loss(towers(profile), counts).backward()
    assert all(weight.grad.abs().max() > 0 for weight in towers.parameters())


def test_weights_start_as_gpt_2_does_and_the_embedding_serves_both_ends():
    torch.manual_seed(0)
    config = GPTConfig(400, layers=4, width=64)
    model = AdCopyGPT(config)
    residual = 0.02 / math.sqrt(8)
    for name, weight in model.named_parameters():
        if weight.dim() > 1:
            last = name.endswith(("out.weight", "down.weight"))
            wanted = residual if last else 0.02
            assert weight.std().item() == pytest.approx(wanted, rel=0.05), name
    n_words = sum(1 for weight in model.parameters() if weight.shape == (400, 64))
    assert n_words == 1
    assert next_word_loss(
        model(torch.zeros(2, 128), torch.tensor([[1, 3]] * 2)), torch.tensor([[1, 3, 5]] * 2)
    ).item() == pytest.approx(math.log(400), abs=0.1)


def test_too_many_tokens_are_refused():
    with pytest.raises(ValueError, match="9 tokens, 8 positions"):
        gpt()(torch.zeros(1, D), torch.ones(1, T + 1, dtype=torch.long))


def tiny_language(n: int, seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Return codes and headlines: two of four first words by the code, the first word once more."""
    draw = np.random.default_rng(seed)
    kind, coin = draw.integers(2, size=n), draw.integers(2, size=n)
    first = 3 + 2 * kind + coin
    tokens = np.zeros((n, 6), dtype=np.int64)
    tokens[:, 0], tokens[:, 1], tokens[:, 2] = BOS, first, 7 + draw.integers(2, size=n)
    tokens[:, 3], tokens[:, 4] = first, EOS
    code = 3 * np.eye(2, dtype=np.float32)[kind]
    return torch.tensor(code), torch.tensor(tokens)


def test_it_learns_a_tiny_grammar_to_its_entropy_and_a_null_does_not():
    config = GPTConfig(9, code_dim=2, length=6, layers=2, heads=2, width=32)
    code, tokens = tiny_language(2000, seed=0)
    held = tiny_language(300, seed=1)
    losses = {}
    for name, prefix in {"real": code, "null": code.roll(1, 0)}.items():
        torch.manual_seed(0)
        model = AdCopyGPT(config)
        fit(
            model,
            [prefix, tokens[:, :-1]],
            tokens,
            loss=next_word_loss,
            epochs=12,
            batch_size=50,
            learning_rate=1e-2,
        )
        with torch.no_grad():
            losses[name] = next_word_loss(model(held[0], held[1][:, :-1]), held[1]).item()
    entropy = 2 * math.log(2) / 4  # two coins in four tokens
    assert losses["real"] == pytest.approx(entropy, abs=0.02)
    assert losses["null"] > entropy + 0.9 * math.log(2) / 4  # it cannot know the kind


# --- Inputs ---------------------------------------------------------------------------------------


def test_a_log_is_counted_by_index_and_refused_where_an_id_is_unknown():
    customer, creative, click = np.array([0, 0, 1]), np.array([1, 1, 0]), np.array([1, 0, 0])
    expected = response_counts(customer, creative, click, (2, 2))
    order, rows = [2, 0, 1], pd.Index(["a", "b", "c"])
    answer = pd.Series(click, rows).iloc[order]
    assert torch.equal(
        response_counts(pd.Series(customer, rows), creative, answer, (2, 2)), expected
    )
    mixed = (part[order] for part in (customer, creative, click))
    assert torch.equal(response_counts(*mixed, (2, 2)), expected)
    for parts, told in (
        ((customer, creative, click + 1), "click holds 1, 2"),
        ((customer, creative, 2 * click - 1), "click holds -1, 1"),
        ((customer, creative, np.array(["no", "yes", "no"])), "click holds 'no', 'yes'"),
        ((customer, creative, np.array([1, np.nan, 0])), "click is missing in 1 of 3"),
        ((customer, np.array([1, 2, 0]), click), r"creative is out of range .* 0 to 1"),
        ((np.array([0, 0, 10**12]), creative, click), r"customer is out of range .* 0 to 1"),
        ((customer, creative, click[:2]), "click 2 rows"),
    ):
        with pytest.raises(ValueError, match=told):
            response_counts(*parts, (2, 2))


def test_a_batch_without_impressions_loses_nothing():
    logits = torch.zeros(3, 4, requires_grad=True)
    loss = click_loss(logits, torch.zeros(3, 4, 2))
    loss.backward()
    assert loss.item() == 0
    assert (logits.grad == 0).all()


def test_unknown_words_and_wrong_temperatures_are_refused():
    gpt = AdCopyGPT(GPTConfig(n_words=10, code_dim=3, length=6, layers=1, heads=2, width=8))
    for word in (10, -1, 10**12):
        with pytest.raises(ValueError, match="tokens is out of range .* 0 to 9"):
            gpt(torch.zeros(1, 3), torch.tensor([[1, word]]))
    with pytest.raises(ValueError, match="temperature is out of range"):
        gpt.generate(torch.zeros(1, 3), temperature=-1.0)


def test_towers_refuse_profiles_that_are_unknown_and_more_ads_than_there_are():
    attributes = torch.tensor([[0, 0], [0, 1], [1, 0]])
    model = ResponseModel(AdGenerator(3, 8), attributes)
    with pytest.raises(ValueError, match="profile is not finite"):
        model.nearest(torch.full((1, 3), torch.nan))
    with pytest.raises(ValueError, match="k is out of range .* 1 to 3"):
        model.nearest(torch.zeros(1, 3), k=4)
    with pytest.raises(ValueError, match="attributes is out of range"):
        ResponseModel(AdGenerator(3, 8), attributes - 1)
