"""Steps of the chapter on clips: codes, rivals without a network, judges, training, the player."""

import base64
import re

import numpy as np
import pytest
import torch
from html_elements import elements
from PIL import Image

from pm_utils import video
from pm_utils.market.render import FRAMES, NOISE
from pm_utils.models.advideo import PIXELS, AdVideoGAN, AdVideoVAE
from pm_utils.video import CATALOGUE, LinearClips


@pytest.fixture(scope="module")
def world():
    """240 real clips and their codes."""
    clips, codes = video.archive(240, np.random.default_rng(0))
    return clips, codes


@pytest.fixture(scope="module")
def linear(world):
    return LinearClips(40).fit(*world)


def test_codes_and_ads_undo_each_other():
    assert len(CATALOGUE) == 12 * 6 * 4 * 9
    ads = video.as_creatives(CATALOGUE)
    np.testing.assert_array_equal(video.as_codes(ads), CATALOGUE)
    assert len(np.unique(ads.codes(), axis=0)) == len(CATALOGUE)
    assert (ads.speed[ads.motion == 0] == 0).all()


def test_a_request_has_one_number_per_attribute_at_its_level():
    request = video.as_request(np.array([[11, 0, 3, 8], [0, 5, 0, 0]]))
    np.testing.assert_array_equal(request.sum(1), [4, 4])
    assert request[0].nonzero().ravel().tolist() == [11, 12, 21, 30]
    assert request[1].nonzero().ravel().tolist() == [0, 17, 18, 22]


def test_the_market_reads_real_clips_as_asked(world):
    clips, codes = world
    verdict = video.judge(clips, codes).mean()
    assert verdict["counts"] >= 0.98
    assert verdict["looping"] <= 0.01
    assert verdict["frozen"] == pytest.approx((codes[:, 3] == 0).mean(), abs=0.02)
    said = video.ads_said(clips)
    assert (CATALOGUE[said] == codes).all(axis=1).mean() >= 0.98


def test_a_clip_of_noise_is_no_ad():
    noise = torch.rand(6, FRAMES, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    assert (video.ads_said(noise) == -1).all()


def test_planted_faults_raise_their_flags_and_no_other(world):
    clips, codes = world
    moving = codes[:, 3] > 0
    clips, codes, rng = clips[moving], codes[moving], np.random.default_rng(1)
    frozen, loop = (fault(clips, rng) for fault in (video.freeze, video.loop))
    of_frozen, of_loop = video.judge(frozen, codes).mean(), video.judge(loop, codes).mean()
    assert of_frozen["frozen"] >= 0.99
    assert of_frozen["looping"] <= 0.01
    assert of_frozen["motion"] == 0
    assert of_loop["looping"] >= 0.95
    assert of_loop["frozen"] <= 0.05


def test_energy_is_what_noise_does_not_explain(world):
    clips, codes = world
    still = codes[:, 3] == 0
    energy = video.change_energy(clips)
    assert abs(energy[still].mean()) < 2e-4
    assert energy[~still].mean() > 3e-3
    fast = (codes[:, 3] > 0) & (codes[:, 3] % 2 == 0)
    assert energy[fast].mean() > 1.2 * energy[~still & ~fast].mean()


def test_changes_of_a_loop_come_back_after_its_period(world):
    clips, codes = world
    loop = video.loop(clips[codes[:, 3] > 0], np.random.default_rng(1), 4)
    lags = video.change_autocorrelation(loop).mean(0)
    assert lags.argmax() + 2 in (4, 8)
    assert lags[2] > 0.7
    assert video.change_autocorrelation(clips[codes[:, 3] > 0]).mean(0)[2] < 0.2


def test_filming_adds_the_renderers_noise():
    grey = torch.full((20, FRAMES, 3, 32, 32), 0.5)
    filmed = video.as_filmed(grey, np.random.default_rng(0))
    assert (filmed - grey).std().item() == pytest.approx(NOISE, rel=0.01)
    assert video.as_filmed(grey + 1, np.random.default_rng(0)).max() == 1


def test_squared_errors_are_means_over_a_clip():
    first = torch.zeros(2, FRAMES, 3, 32, 32)
    second = first.clone()
    second[1, 0] = 2.0  # one frame in twelve is off by two
    np.testing.assert_allclose(video.squared_errors(first, second), [0, 4 / 12], rtol=1e-6)


def test_stills_repeat_a_frame_of_the_content_asked_for(world):
    clips, codes = world
    made = video.stills(clips, codes, codes[:20], np.random.default_rng(0))
    assert torch.equal(made, made[:, :1].expand_as(made))
    said, _ = video.read(made)
    assert (video.as_codes(said)[:, :3] == codes[:20, :3]).mean() >= 0.98


def test_the_best_still_is_a_frame_of_the_clip_and_no_frame_is_better(world):
    clips = world[0][:8]
    best = video.squared_errors(video.best_still(clips), clips)
    for t in range(FRAMES):
        other = video.squared_errors(clips[:, [t]].expand_as(clips), clips)
        assert (best <= other + 1e-7).all()


def test_linear_clips_keep_the_whole_last_state_in_as_many_numbers(world, linear):
    clips, codes = world
    last = linear.states(clips)[:, -1]
    np.testing.assert_allclose(linear.squeeze(last, codes, 40), last, atol=1e-6)
    errors = [np.square(linear.squeeze(last, codes, k) - last).sum() for k in (1, 5, 20)]
    assert errors == sorted(errors, reverse=True)


def test_linear_clips_end_in_the_state_they_start_from_and_move_as_asked(linear):
    clips, codes = video.archive(60, np.random.default_rng(5))
    last = linear.states(clips)[:, -1]
    again = linear.states(linear.unroll(last, codes))[:, -1]
    np.testing.assert_allclose(again, last, atol=1e-4)
    made = video.as_filmed(linear.sample(codes, np.random.default_rng(0)), np.random.default_rng(1))
    assert video.judge(made, codes)["motion"].mean() > 0.8


def test_timid_linear_clips_do_not_depend_on_the_draw(linear):
    asked = CATALOGUE[::700]
    timid = [linear.sample(asked, np.random.default_rng(s), boldness=0.0) for s in (0, 1)]
    bold = [linear.sample(asked, np.random.default_rng(s)) for s in (0, 1)]
    assert torch.equal(*timid)
    assert not torch.allclose(*bold)


def test_the_boldness_is_the_one_with_most_clips_that_count(linear):
    asked = CATALOGUE[:: len(CATALOGUE) // 40]
    best, tried = video.tune_boldness(linear, asked, np.random.default_rng(0))
    assert list(tried.index) == [0.0, 0.3, 0.6, 1.0]
    assert tried[best] == tried.max()
    assert tried.between(0, 1).all()


def test_a_vae_learns_to_say_more_than_its_null(world):
    clips, codes = world
    request = video.as_request(codes)
    settings = {"epochs": 3, "seed": 0, "width": 24}
    vae = video.train_vae(clips, request, **settings)
    shuffled = torch.tensor(np.random.default_rng(0).permutation(len(codes)))
    null = video.train_vae(clips, request[shuffled], **settings)
    held, asked = video.archive(40, np.random.default_rng(9))
    nats = [video.held_out_nats(m, held, video.as_request(asked)) for m in (vae, null)]
    assert nats[0]["negative ELBO"] < nats[1]["negative ELBO"]
    assert nats[0]["KL"] > 0
    total = nats[0]["-E log p"] + nats[0]["KL"]
    assert nats[0]["negative ELBO"] == pytest.approx(total)
    before = torch.get_rng_state()
    video.held_out_nats(vae, held, video.as_request(asked))
    assert torch.equal(before, torch.get_rng_state())


def test_mean_squared_error_is_a_gaussian_with_an_absurd_deviation():
    sigma = video.mean_error_sigma()
    assert 2 * sigma**2 == pytest.approx(PIXELS)


def test_the_classifier_learns_palettes(world):
    model = video.train_classifier(*world, epochs=6, seed=0)
    held, asked = video.archive(60, np.random.default_rng(9))
    accuracy = video.classifier_accuracy(model, held, asked)
    assert accuracy["palette"] > 0.5  # chance is a sixth
    assert video.clip_features(model, held).shape == (60, 24)


def test_the_same_seed_trains_the_same_gan(world):
    clips, codes = world
    request, made, watched = video.as_request(codes), [], []
    for _ in range(2):
        torch.manual_seed(0)
        gan = AdVideoGAN(width=8)
        video.train_gan(
            gan, clips, request, steps=5, seed=3, watch=lambda _, step: watched.append(step)
        )
        made.append(video.film(gan.average, codes[:3], np.random.default_rng(0)))
    assert torch.equal(*made)
    assert watched == [0, 5, 0, 5]
    assert all(p.requires_grad for p in gan.critics())


def test_the_penalty_is_the_squared_slope_at_real_frames():
    def critic(frames: torch.Tensor, request: torch.Tensor) -> torch.Tensor:
        return 3 * frames.flatten(1)[:, 0] + request.sum(1)

    frames, request = torch.rand(4, 2, 3, 32, 32), torch.zeros(4, 1)
    assert video.frame_penalty(critic, frames, request).item() == pytest.approx(9)


def test_networks_film_pictures_that_can_be_shown():
    vae = AdVideoVAE(width=8)
    filmed = video.film(vae, CATALOGUE[:60], np.random.default_rng(0))
    assert filmed.shape == (60, FRAMES, 3, 32, 32)
    assert 0 <= filmed.min() <= filmed.max() <= 1
    assert video.as_pictures(filmed).shape == (60, FRAMES, 32, 32, 3)


def test_an_ad_is_described_by_what_it_shows_and_does():
    assert video.describe(np.array([0, 0, 0, 0])) == "drinks, red, centre, still"
    assert video.describe(np.array([10, 3, 1, 2])) == "pets, blue, left, left fast"
    assert video.describe(np.array([11, 2, 3, 7])) == "baby, green, banner, down slow"


def test_an_animation_keeps_every_frame_and_repeats(tmp_path):
    clip = np.random.default_rng(0).random((FRAMES, 32, 32, 3))
    path = tmp_path / "clip.webp"
    path.write_bytes(video.animation(clip))
    with Image.open(path) as image:
        assert image.n_frames == FRAMES
        assert image.info["loop"] == 0
        image.seek(5)
        seen = np.asarray(image.convert("RGB")) / 255
    np.testing.assert_allclose(seen, clip[5], atol=0.5 / 255 + 1e-9)


def test_a_player_needs_no_script_and_no_other_file_and_says_what_it_shows():
    clip = np.random.default_rng(0).random((FRAMES, 32, 32, 3))
    page = video.play({"left & fast": clip, "still": clip}, 'A "clip"').data
    assert "<script" not in page
    assert re.findall(r"https?:", page) == []
    images = [element.attributes for element in elements(page) if element.tag == "img"]
    assert [image["alt"] for image in images] == ['A "clip": left & fast', 'A "clip": still']
    for image in images:
        kind, data = image["src"].split(";base64,")
        assert kind == "data:image/webp"
        assert base64.b64decode(data)[8:12] == b"WEBP"
    calm = [element.attributes for element in elements(page) if element.tag == "source"]
    assert all(c["media"] == "(prefers-reduced-motion: reduce)" for c in calm)
    assert len(calm) == 2


def test_a_strip_has_a_row_per_clip_and_names_its_frames():
    clips = np.zeros((2, FRAMES, 32, 32, 3))
    (axes,) = video.film_strips(clips, ["a", "b"]).axes
    assert [label.get_text() for label in axes.get_yticklabels()] == ["a", "b"]
    assert [label.get_text() for label in axes.get_xticklabels()] == list("2468") + ["10", "12"]
