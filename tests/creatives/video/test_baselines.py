"""Chapter 06's steps: codes and clips, rivals on planted dynamics, faults caught, a player."""

import base64
import io
import re

import numpy as np
import pytest
import torch
from PIL import Image

from pm_utils.creatives.video import baselines
from pm_utils.creatives.video.baselines import CATALOGUE, STEPS
from pm_utils.creatives.video.networks import AdVideoGAN, AdVideoVAE, gaussian_nats
from pm_utils.market.renderer import FRAMES, NOISE, SIZE
from tests.support.html_elements import elements


@pytest.fixture(scope="module")
def real() -> tuple[torch.Tensor, np.ndarray]:
    """Sixty clips of known ads."""
    return baselines.archive(60, np.random.default_rng(0))


def rng() -> np.random.Generator:
    return np.random.default_rng(1)


# --- Codes and clips -----------------------------------------------------------------------------


def test_codes_and_creatives_are_the_same_ads():
    creatives = baselines.as_creatives(CATALOGUE)
    assert len(creatives) == len(np.unique(CATALOGUE, axis=0)) == 12 * 6 * 4 * 9
    assert (baselines.as_codes(creatives) == CATALOGUE).all()
    assert (creatives.tone == 0).all() and (creatives.discount == 0).all()
    moved = set(zip(creatives.motion.tolist(), creatives.speed.tolist(), strict=True))
    assert moved == {(0, 0), *((m, s) for m in range(1, 5) for s in range(2))}


def test_requests_name_one_level_of_each():
    request = baselines.as_request([[11, 0, 3, 8], [0, 5, 0, 0]])
    assert request.shape == (2, 31)
    assert np.flatnonzero(request[0]).tolist() == [11, 12, 21, 30]
    assert np.flatnonzero(request[1]).tolist() == [0, 17, 18, 22]


def test_an_ad_is_described_in_words():
    assert baselines.describe(np.array([10, 3, 1, 6])) == "pets, blue, left, up fast"
    assert baselines.describe(np.array([0, 0, 0, 0])) == "drinks, red, centre, still"


def test_the_archive_is_seeded():
    clips, codes = baselines.archive(20, rng())
    again, _ = baselines.archive(20, rng())
    assert torch.equal(clips, again)
    assert clips.shape == (20, FRAMES, 3, SIZE, SIZE)
    assert codes.shape == (20, 4)


def test_still_ads_are_one_in_five(monkeypatch):
    monkeypatch.setattr(baselines, "shoot", lambda codes, _: torch.zeros(len(codes)))
    _, codes = baselines.archive(20_000, rng())
    counts = np.bincount(codes[:, 3], minlength=9) / 20_000
    assert counts[0] == pytest.approx(0.2, abs=0.015)
    assert counts[1:] == pytest.approx(np.full(8, 0.1), abs=0.01)
    assert (codes.max(0) == np.array(STEPS) - 1).all()


def test_pictures_have_channels_last_and_no_excess():
    clips = torch.zeros(1, FRAMES, 3, SIZE, SIZE)
    clips[0, 2, 1, 4, 5], clips[0, 3, 0, 0, 0] = 0.5, 7.0
    pictures = baselines.as_pictures(clips)
    assert pictures[0, 2, 4, 5].tolist() == [0, 0.5, 0]
    assert pictures.max() == 1


# --- Judges --------------------------------------------------------------------------------------


def test_real_clips_do_what_was_asked_and_only_that(real):
    clips, codes = real
    assert baselines.judge(clips, codes)[["motion", "counts", "valid"]].mean().min() >= 0.98
    other = codes.copy()
    other[:, 0] = (codes[:, 0] + 1) % 12
    assert baselines.judge(clips, other)["motion"].mean() >= 0.98
    assert not baselines.judge(clips, other)["counts"].any()
    other = codes.copy()
    other[:, 3] = (codes[:, 3] + 1) % 9
    assert not baselines.judge(clips, other)[["motion", "counts"]].any(axis=None)


def test_a_wrong_speed_has_the_right_direction(real):
    clips, codes = real
    rows = codes[:, 3] > 0
    other = codes[rows].copy()
    other[:, 3] = (other[:, 3] - 1 ^ 1) + 1  # the other speed of the same direction
    verdict = baselines.judge(clips[torch.tensor(rows)], other)
    assert verdict["direction"].mean() >= 0.98
    assert not verdict["motion"].any()


def test_ads_are_named_and_rubbish_is_none(real):
    clips, codes = real
    number = np.ravel_multi_index(tuple(codes.T), STEPS)
    assert (baselines.ads_said(clips) == number).mean() >= 0.98
    assert (baselines.ads_said(torch.rand(4, FRAMES, 3, SIZE, SIZE)) == -1).all()


def test_planted_faults_are_caught(real):
    clips, codes = real
    rows = torch.tensor(codes[:, 3] > 0)
    clips, codes = clips[rows], codes[rows.numpy()]
    frozen, looping = baselines.freeze(clips, rng()), baselines.loop(clips, rng())
    assert baselines.judge(frozen, codes)["frozen"].mean() >= 0.98
    assert baselines.judge(looping, codes)["looping"].mean() >= 0.98
    assert not baselines.judge(frozen, codes)[["motion", "counts"]].any(axis=None)
    flags = baselines.judge(clips, codes)[["frozen", "looping"]]
    assert flags.mean().max() <= 0.02
    assert (
        np.abs(baselines.change_energy(frozen)).max() < 3e-4 < baselines.change_energy(clips).min()
    )
    lags = {
        k: baselines.change_autocorrelation(v).mean(0)
        for k, v in {"l": looping, "r": clips}.items()
    }
    assert lags["l"][[2, 6]].min() > 0.7  # lags 4 and 8
    assert lags["l"][[0, 1, 3, 4, 5]].max() < 0.1
    assert lags["r"].max() < 0.2


def test_energy_by_hand():
    clips = torch.zeros(2, FRAMES, 3, SIZE, SIZE)
    clips[0, ::2] = 0.3
    noise = 2 * NOISE**2
    assert baselines.change_energy(clips) == pytest.approx([0.09 - noise, -noise], abs=1e-6)


def test_autocorrelation_by_hand():
    clips = torch.zeros(1, FRAMES, 3, SIZE, SIZE)
    clips[0, ::2] = 1  # every change undoes the one before
    assert baselines.change_autocorrelation(clips)[0] == pytest.approx([1, -1, 1, -1, 1, -1, 1])


def test_filming_adds_the_noise_of_the_renderer():
    grey = torch.full((2, FRAMES, 3, SIZE, SIZE), 0.5)
    filmed = baselines.as_filmed(grey, rng())
    assert (filmed - grey).std().item() == pytest.approx(NOISE, rel=0.02)
    assert (filmed - grey).mean().item() == pytest.approx(0, abs=1e-3)
    assert baselines.as_filmed(grey + 5, rng()).max() == 1


# --- Rivals without a network --------------------------------------------------------------------


def test_the_best_still_is_the_frame_with_the_least_error():
    clips = torch.arange(FRAMES).float().view(1, -1, 1, 1, 1).repeat(2, 1, 3, SIZE, SIZE) / 100
    clips[1, 3:] = 0.9
    best = baselines.best_still(clips)
    assert best.shape == clips.shape
    assert best[0].unique().tolist() == pytest.approx([0.05])  # 5 or 6, the earlier of the middle
    assert best[1].unique().tolist() == pytest.approx([0.9])
    squared = baselines.squared_errors(clips, best)
    assert squared[0].item() == pytest.approx(np.mean((np.arange(12) - 5) ** 2) / 1e4, rel=1e-4)


def test_the_noise_left_is_that_of_still_clips_less_what_was_clipped():
    grain = 0.02 * torch.randn(
        20, FRAMES, 3, SIZE, SIZE, generator=torch.Generator().manual_seed(0)
    )
    assert baselines.noise_left(0.5 + grain) == pytest.approx(0.02, rel=0.01)
    half = (1 + grain).clamp(max=1)  # deviation of min(0, normal): (1/2 - 1/2π)^½
    assert baselines.noise_left(half) == pytest.approx(0.02 * (0.5 - 0.5 / np.pi) ** 0.5, rel=0.01)
    codes = CATALOGUE[CATALOGUE[:, 3] == 0][::6]
    assert 0.018 < baselines.noise_left(baselines.shoot(codes, rng())) < 0.02


def test_stills_have_the_content_asked_for_and_do_not_move(real):
    clips, codes = real
    asked = codes[:20].copy()
    asked[:, 3] = 5
    made = baselines.stills(clips, codes, asked, rng())
    assert made.shape == (20, FRAMES, 3, SIZE, SIZE)
    assert (made == made[:, :1]).all()
    read, _ = baselines.read(made)
    assert (baselines.as_codes(read)[:, :3] == asked[:, :3]).mean() >= 0.98
    assert (baselines.as_codes(read)[:, 3] == 0).all()


def planted(n: int) -> tuple[torch.Tensor, np.ndarray]:
    """Clips of a point that turns in a plane of pictures, a twelfth per frame, by motion."""
    draw = np.random.default_rng(0)
    plane = np.linalg.qr(draw.normal(size=(3 * SIZE**2, 2)))[0].T
    codes = np.zeros((n, 4), dtype=int)
    codes[:, 3] = np.arange(n) % 2
    start = draw.uniform(0, 2 * np.pi, size=n)
    turn = np.where(codes[:, 3] == 0, 1, -1)[:, None] * np.arange(FRAMES) * np.pi / 6
    angle = start[:, None] + turn
    flat = np.stack([np.cos(angle), np.sin(angle)], -1) @ plane
    return torch.tensor(flat.reshape(n, FRAMES, 3, SIZE, SIZE), dtype=torch.float32), codes


def test_linear_dynamics_find_planted_ones_and_each_motion_has_its_own():
    clips, codes = planted(80)
    model = baselines.LinearClips(2, strength=1e-3).fit(clips, codes)
    again = model.unroll(model.states(clips)[:, -1], codes)
    assert baselines.squared_errors(again, clips).max() < 1e-3 * clips.square().mean()
    wrong = codes.copy()
    wrong[:, 3] = 1 - codes[:, 3]
    turned = model.unroll(model.states(clips)[:, -1], wrong)
    assert baselines.squared_errors(turned, clips).mean() > 0.3 * clips.square().mean()


def test_more_numbers_reconstruct_better(real):
    clips, codes = real
    model = baselines.LinearClips(30).fit(clips, codes)
    last = model.states(clips)[:, -1]
    kept = [model.squeeze(last, codes, k) for k in (1, 5, 30)]
    misses = [np.square(part - last).mean() for part in kept]
    assert misses[0] > misses[1] > misses[2]
    assert misses[2] < 1e-9
    mean = model.last.predict(model._pairs(codes))
    assert np.linalg.matrix_rank(kept[1] - mean, tol=1e-6) == 5
    drawn = model.sample(codes, rng())
    assert drawn.shape == clips.shape
    assert torch.equal(drawn, model.sample(codes, rng()))


@pytest.fixture(scope="module")
def linear(real) -> baselines.LinearClips:
    return baselines.LinearClips(40).fit(*real)


def test_timid_linear_clips_do_not_depend_on_the_draw(linear):
    asked = CATALOGUE[::700]
    timid = [linear.sample(asked, np.random.default_rng(s), boldness=0.0) for s in (0, 1)]
    bold = [linear.sample(asked, np.random.default_rng(s)) for s in (0, 1)]
    assert torch.equal(*timid)
    assert not torch.allclose(*bold)


def test_the_boldness_is_the_one_with_most_clips_that_count(linear):
    asked = CATALOGUE[:: len(CATALOGUE) // 40]
    best, tried = baselines.tune_boldness(linear, asked, rng())
    assert list(tried.index) == [0.0, 0.3, 0.6, 1.0]
    assert tried[best] == tried.max()
    assert tried.between(0, 1).all()


# --- Training ------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def lesson() -> tuple[torch.Tensor, torch.Tensor]:
    """Clips of one product, still or not, and their requests."""
    draw = np.random.default_rng(3)
    codes = CATALOGUE[draw.integers(len(CATALOGUE), size=256)]
    codes[:, 0], codes[:, 2] = 5, 0
    return baselines.shoot(codes, draw), baselines.as_request(codes)


def test_the_vae_learns_from_its_requests_and_the_null_cannot(lesson):
    clips, request = lesson
    settings = {"epochs": 9, "seed": 0, "width": 24}
    vae = baselines.train_vae(clips[:200], request[:200], **settings)
    turned = request[:200].roll(1, 0)
    null = baselines.train_vae(clips[:200], turned, **settings)
    nats = [baselines.held_out_nats(net, clips[200:], request[200:]) for net in (vae, null)]
    assert nats[0]["negative ELBO"] < nats[1]["negative ELBO"] - 1000
    assert nats[0].iloc[:2].sum() == pytest.approx(nats[0]["negative ELBO"])
    state = torch.get_rng_state()
    baselines.held_out_nats(vae, clips[200:], request[200:])
    assert torch.equal(state, torch.get_rng_state())  # to measure changes nothing that comes later


def test_training_repeats_itself(lesson):
    clips, request = lesson
    one, other = (
        baselines.train_vae(clips[:64], request[:64], epochs=1, seed=5, width=8) for _ in range(2)
    )
    for mine, theirs in zip(one.parameters(), other.parameters(), strict=True):
        assert torch.equal(mine, theirs)


def test_mean_error_is_a_gaussian_with_an_absurd_deviation():
    sigma = baselines.mean_error_sigma()
    assert sigma == pytest.approx(135.76, abs=0.01)
    error, log_sigma = torch.tensor([0.0, 368.64]).double(), torch.tensor(sigma).double().log()
    nats = gaussian_nats(error, log_sigma)
    assert (nats[1] - nats[0]).item() == pytest.approx(368.64 / 36_864)  # the mean, not the sum


def test_with_mean_error_the_code_falls_silent(lesson):
    clips, request = lesson
    kl = {}
    for name, sigma in {"tutorial": baselines.mean_error_sigma(), "learned": None}.items():
        settings = {"epochs": 6, "seed": 0, "width": 8, "sigma": sigma}
        model = baselines.train_vae(clips, request, **settings)
        kl[name] = baselines.held_out_nats(model, clips[:50], request[:50])["KL"]
    assert kl["tutorial"] < 0.01
    assert kl["learned"] > 3


def test_the_classifier_learns_palettes_first(lesson):
    clips, request = lesson
    labels = np.zeros((len(clips), 4), dtype=int)
    labels[:, 1] = request[:, 12:18].argmax(1).numpy()
    labels[:, 3] = request[:, 22:].argmax(1).numpy()
    model = baselines.train_classifier(clips, labels, epochs=6, seed=0)
    accuracy = baselines.classifier_accuracy(model, clips, labels)
    assert accuracy["palette"] > 0.9
    assert accuracy["motion"] > 0.5
    assert baselines.clip_features(model, clips).shape == (256, 24)


def test_the_gan_trains_both_sides_and_reports_in_time(lesson):
    clips, request = lesson
    seen, results = [], []
    for _ in range(2):
        torch.manual_seed(0)
        gan = AdVideoGAN(width=8)
        before = {name: weight.clone() for name, weight in gan.named_parameters()}
        baselines.train_gan(
            gan, clips, request, steps=5, seed=0, watch=lambda _, s: seen.append(s), watch_every=2
        )
        results.append(gan)
    assert seen == [0, 2, 4, 5] * 2
    for name, weight in results[1].named_parameters():
        assert not torch.equal(weight, before[name]), name
        assert torch.equal(weight, dict(results[0].named_parameters())[name]), name
    assert all(weight.requires_grad for weight in gan.critics())


def test_the_penalty_is_the_squared_slope():
    weight = torch.rand(5, 3, SIZE, SIZE)

    class Linear(torch.nn.Module):
        def forward(self, frames, request):
            return (frames * weight).sum((1, 2, 3, 4)) + request.sum(1)

    frames, request = torch.rand(4, 5, 3, SIZE, SIZE), torch.rand(4, 9)
    penalty = baselines.frame_penalty(Linear(), frames, request)
    assert penalty.item() == pytest.approx(weight.square().sum().item(), rel=1e-5)


def test_film_is_seeded_and_in_the_order_of_requests():
    torch.manual_seed(0)
    model, asked = AdVideoVAE(width=8), CATALOGUE[::40]
    assert len(asked) > 50  # more than one part
    clips = baselines.film(model, asked, rng())
    assert clips.shape == (len(asked), FRAMES, 3, SIZE, SIZE)
    assert torch.equal(clips, baselines.film(model, asked, rng()))
    assert not clips.requires_grad


# --- Showing -------------------------------------------------------------------------------------


def test_an_animation_repeats_exactly_and_rests_at_its_end(real):
    clip = baselines.as_pictures(real[0])[0]
    packed = Image.open(io.BytesIO(baselines.animation(clip)))
    assert packed.format == "WEBP" and packed.n_frames == FRAMES and packed.info["loop"] == 0
    times = []
    for number, frame in enumerate(clip):
        packed.seek(number)
        packed.load()
        times.append(packed.info["duration"])
        assert (np.asarray(packed.convert("RGB")) == np.round(frame * 255)).mean() > 0.999
    assert times == [120] * 11 + [900]


def test_the_player_needs_nothing_but_the_page(real):
    pictures = baselines.as_pictures(real[0])
    page = baselines.play(
        {"one": pictures[0], 'a "quick" <b>': pictures[1]}, "Clip of", scale=2
    ).data
    found = elements(page)
    images = [e.attributes for e in found if e.tag == "img"]
    assert [image["alt"] for image in images] == ["Clip of: one", 'Clip of: a "quick" <b>']
    assert {(image["width"], image["height"]) for image in images} == {("64", "64")}
    assert all("pixelated" in image["style"] for image in images)
    assert not {"script", "video", "object", "embed", "iframe", "b"} & {e.tag for e in found}
    assert "http" not in re.sub(r"base64,[A-Za-z0-9+/=]+", "", page)
    for image in images:
        kind, data = image["src"].split(";base64,")
        assert kind == "data:image/webp"
        assert Image.open(io.BytesIO(base64.b64decode(data))).n_frames == FRAMES
    assert len(page) < 120_000


def test_readers_who_want_less_motion_see_a_still_and_all_can_stop_it(real):
    picture = baselines.as_pictures(real[0])[0]
    found = elements(baselines.play({"one": picture}, "Clip").data)
    (source,) = [e.attributes for e in found if e.tag == "source"]
    assert source["media"] == "(prefers-reduced-motion: reduce)"
    still = Image.open(io.BytesIO(base64.b64decode(source["srcset"].split("base64,")[1])))
    assert (np.asarray(still) == np.round(picture[-1] * 255)).mean() > 0.999
    assert [e.tag for e in found][:2] == ["details", "summary"]
    assert "open" in found[0].attributes
    order = [e.tag for e in found if e.tag in ("picture", "source", "img")]
    assert order == ["picture", "source", "img"]  # a source counts only before its image


def test_strips_show_every_second_frame_with_its_number(real):
    figure = baselines.film_strips(baselines.as_pictures(real[0])[:3], ["a", "b", "c"])
    (axes,) = figure.axes
    assert [label.get_text() for label in axes.get_yticklabels()] == ["a", "b", "c"]
    assert [label.get_text() for label in axes.get_xticklabels()] == list("2468") + ["10", "12"]
    sheet = axes.images[0].get_array()
    assert sheet.shape[0] / sheet.shape[1] == 3 / 6
    middle = np.asarray(sheet)[4 * 17, 4 * (5 * 34 + 17)]  # of the last frame in the first row
    assert middle == pytest.approx(baselines.as_pictures(real[0])[0, 11, 16, 16])


def test_noise_needs_a_still_clip():
    with pytest.raises(ValueError, match="no still clip"):
        baselines.noise_left(torch.zeros(0, 12, 3, 32, 32))
