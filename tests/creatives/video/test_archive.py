"""Clips: codes that come back, faults of motion that are caught, baselines, a player."""

import base64
import io
import re

import numpy as np
import pytest
import torch
from PIL import Image

from pm_utils.creatives.video import archive, baselines, evaluation, player, training
from pm_utils.creatives.video.archive import CLIP_CATALOGUE, CODE_COUNTS
from pm_utils.creatives.video.networks import ClipClassifier
from pm_utils.market.renderer import FRAMES, NOISE, SIZE
from tests.support.clip_world import rng
from tests.support.html_elements import elements


@pytest.fixture(scope="module")
def real() -> tuple[torch.Tensor, np.ndarray]:
    """Sixty clips of known ads."""
    return archive.clip_archive(60, np.random.default_rng(0))


# --- Codes and clips -----------------------------------------------------------------------------


def test_codes_and_creatives_are_the_same_ads():
    creatives = archive.clip_creatives(CLIP_CATALOGUE)
    assert len(creatives) == len(np.unique(CLIP_CATALOGUE, axis=0)) == 12 * 6 * 4 * 9
    assert (archive.as_codes(creatives) == CLIP_CATALOGUE).all()
    assert (creatives.tone == 0).all() and (creatives.discount == 0).all()
    moved = set(zip(creatives.motion.tolist(), creatives.speed.tolist(), strict=True))
    assert moved == {(0, 0), *((m, s) for m in range(1, 5) for s in range(2))}


def test_requests_name_one_level_of_each():
    request = archive.clip_request([[11, 0, 3, 8], [0, 5, 0, 0]])
    assert request.shape == (2, 31)
    assert np.flatnonzero(request[0]).tolist() == [11, 12, 21, 30]
    assert np.flatnonzero(request[1]).tolist() == [0, 17, 18, 22]


def test_the_archive_is_seeded():
    clips, codes = archive.clip_archive(20, rng())
    again, _ = archive.clip_archive(20, rng())
    assert torch.equal(clips, again)
    assert clips.shape == (20, FRAMES, 3, SIZE, SIZE)
    assert codes.shape == (20, 4)


def test_still_ads_are_one_in_five(monkeypatch):
    monkeypatch.setattr(archive, "shoot", lambda codes, _: torch.zeros(len(codes)))
    _, codes = archive.clip_archive(20_000, rng())
    counts = np.bincount(codes[:, 3], minlength=9) / 20_000
    assert counts[0] == pytest.approx(0.2, abs=0.015)
    assert counts[1:] == pytest.approx(np.full(8, 0.1), abs=0.01)
    assert (codes.max(0) == np.array(CODE_COUNTS) - 1).all()


def test_pictures_have_channels_last_and_no_excess():
    clips = torch.zeros(1, FRAMES, 3, SIZE, SIZE)
    clips[0, 2, 1, 4, 5], clips[0, 3, 0, 0, 0] = 0.5, 7.0
    pictures = archive.as_pictures(clips)
    assert pictures[0, 2, 4, 5].tolist() == [0, 0.5, 0]
    assert pictures.max() == 1


# --- Judges --------------------------------------------------------------------------------------


def test_real_clips_do_what_was_asked_and_only_that(real):
    clips, codes = real
    assert (
        evaluation.evaluate_clips(clips, codes)[["motion", "counts", "valid"]].mean().min() >= 0.98
    )
    other = codes.copy()
    other[:, 0] = (codes[:, 0] + 1) % 12
    assert evaluation.evaluate_clips(clips, other)["motion"].mean() >= 0.98
    assert not evaluation.evaluate_clips(clips, other)["counts"].any()
    other = codes.copy()
    other[:, 3] = (codes[:, 3] + 1) % 9
    assert not evaluation.evaluate_clips(clips, other)[["motion", "counts"]].any(axis=None)


def test_a_wrong_speed_has_the_right_direction(real):
    clips, codes = real
    rows = codes[:, 3] > 0
    other = codes[rows].copy()
    other[:, 3] = (other[:, 3] - 1 ^ 1) + 1  # the other speed of the same direction
    verdict = evaluation.evaluate_clips(clips[torch.tensor(rows)], other)
    assert verdict["direction"].mean() >= 0.98
    assert not verdict["motion"].any()


def test_ads_are_named_and_rubbish_is_none(real):
    clips, codes = real
    number = np.ravel_multi_index(tuple(codes.T), CODE_COUNTS)
    assert (evaluation.ads_in_clips(clips) == number).mean() >= 0.98
    assert (evaluation.ads_in_clips(torch.rand(4, FRAMES, 3, SIZE, SIZE)) == -1).all()


def test_planted_faults_are_caught(real):
    clips, codes = real
    rows = torch.tensor(codes[:, 3] > 0)
    clips, codes = clips[rows], codes[rows.numpy()]
    frozen, looping = evaluation.freeze(clips, rng()), evaluation.loop(clips, rng())
    assert evaluation.evaluate_clips(frozen, codes)["frozen"].mean() >= 0.98
    assert evaluation.evaluate_clips(looping, codes)["looping"].mean() >= 0.98
    assert not evaluation.evaluate_clips(frozen, codes)[["motion", "counts"]].any(axis=None)
    flags = evaluation.evaluate_clips(clips, codes)[["frozen", "looping"]]
    assert flags.mean().max() <= 0.02
    assert (
        np.abs(evaluation.change_energy(frozen)).max()
        < 3e-4
        < evaluation.change_energy(clips).min()
    )
    lags = {
        k: evaluation.change_autocorrelation(v).mean(0)
        for k, v in {"l": looping, "r": clips}.items()
    }
    assert lags["l"][[2, 6]].min() > 0.7  # lags 4 and 8
    assert lags["l"][[0, 1, 3, 4, 5]].max() < 0.1
    assert lags["r"].max() < 0.2


def test_filming_adds_the_noise_of_the_renderer():
    grey = torch.full((2, FRAMES, 3, SIZE, SIZE), 0.5)
    filmed = archive.as_filmed(grey, rng())
    assert (filmed - grey).std().item() == pytest.approx(NOISE, rel=0.02)
    assert (filmed - grey).mean().item() == pytest.approx(0, abs=1e-3)
    assert archive.as_filmed(grey + 5, rng()).max() == 1


def test_stills_have_the_content_asked_for_and_do_not_move(real):
    clips, codes = real
    asked = codes[:20].copy()
    asked[:, 3] = 5
    made = baselines.stills(clips, codes, asked, rng())
    assert made.shape == (20, FRAMES, 3, SIZE, SIZE)
    assert (made == made[:, :1]).all()
    read, _ = evaluation.read_attributes(made)
    assert (archive.as_codes(read)[:, :3] == asked[:, :3]).mean() >= 0.98
    assert (archive.as_codes(read)[:, 3] == 0).all()


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
    asked = CLIP_CATALOGUE[::700]
    timid = [linear.sample(asked, np.random.default_rng(s), boldness=0.0) for s in (0, 1)]
    bold = [linear.sample(asked, np.random.default_rng(s)) for s in (0, 1)]
    assert torch.equal(*timid)
    assert not torch.allclose(*bold)


# --- Showing -------------------------------------------------------------------------------------


def test_an_animation_repeats_exactly_and_rests_at_its_end(real):
    clip = archive.as_pictures(real[0])[0]
    packed = Image.open(io.BytesIO(player.animation(clip)))
    assert packed.format == "WEBP" and packed.n_frames == FRAMES and packed.info["loop"] == 0
    times = []
    for number, frame in enumerate(clip):
        packed.seek(number)
        packed.load()
        times.append(packed.info["duration"])
        assert (np.asarray(packed.convert("RGB")) == np.round(frame * 255)).mean() > 0.999
    assert times == [120] * 11 + [900]


def test_the_player_needs_nothing_but_the_page(real):
    pictures = archive.as_pictures(real[0])
    page = player.play_clips(
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
    picture = archive.as_pictures(real[0])[0]
    found = elements(player.play_clips({"one": picture}, "Clip").data)
    (source,) = [e.attributes for e in found if e.tag == "source"]
    assert source["media"] == "(prefers-reduced-motion: reduce)"
    still = Image.open(io.BytesIO(base64.b64decode(source["srcset"].split("base64,")[1])))
    assert (np.asarray(still) == np.round(picture[-1] * 255)).mean() > 0.999
    assert [e.tag for e in found][:2] == ["details", "summary"]
    assert "open" in found[0].attributes
    order = [e.tag for e in found if e.tag in ("picture", "source", "img")]
    assert order == ["picture", "source", "img"]  # a source counts only before its image


def test_strips_show_every_second_frame_with_its_number(real):
    figure = player.film_strips(archive.as_pictures(real[0])[:3], ["a", "b", "c"])
    (axes,) = figure.axes
    assert [label.get_text() for label in axes.get_yticklabels()] == ["a", "b", "c"]
    assert [label.get_text() for label in axes.get_xticklabels()] == list("2468") + ["10", "12"]
    sheet = axes.images[0].get_array()
    assert sheet.shape[0] / sheet.shape[1] == 3 / 6
    middle = np.asarray(sheet)[4 * 17, 4 * (5 * 34 + 17)]  # of the last frame in the first row
    assert middle == pytest.approx(archive.as_pictures(real[0])[0, 11, 16, 16])


# --- Inputs ---------------------------------------------------------------------------------------


def clips_of(n: int = 4) -> torch.Tensor:
    return torch.rand(n, 12, 3, 32, 32, generator=torch.Generator().manual_seed(0))


def hole() -> torch.Tensor:
    clips = clips_of()
    clips[2, 3, 0, 4, 5] = torch.nan
    return clips


CODES = np.array([[0, 0, 0, 1], [5, 1, 2, 1], [3, 0, 1, 0], [11, 5, 3, 8]])
TAKERS = {
    "train_vae": lambda clips, codes: training.train_vae(
        clips, archive.clip_request(codes), epochs=1, seed=0, width=4
    ),
    "train_clip_classifier": lambda clips, codes: training.train_clip_classifier(
        clips, codes, epochs=1, seed=0
    ),
    "classifier_accuracy": lambda clips, codes: evaluation.classifier_accuracy(
        ClipClassifier(features=4), clips, codes
    ),
    "evaluate_clips": evaluation.evaluate_clips,
    "LinearClips": lambda clips, codes: baselines.LinearClips(components=2).fit(clips, codes),
    "stills": lambda clips, codes: baselines.stills(clips, codes, CODES, np.random.default_rng(0)),
}


@pytest.mark.parametrize("name", TAKERS)
def test_clips_and_codes_that_cannot_be_are_refused(name):
    take = TAKERS[name]
    for clips, codes, told in (
        (hole(), CODES, "clips is not finite in 1 of 4 rows, first row 2"),
        (clips_of()[:, :6], CODES, r"clips has shape \(4, 6, 3, 32, 32\)"),
        (clips_of(3), CODES, "clips 3, (codes|request|asked) 4 rows"),
        (clips_of(), CODES + [0, 0, 0, 9], "codes, column 3 is out of range in 4 of 4 .* 0 to 8"),
        (clips_of(), CODES - 1, "codes is out of range"),
        (clips_of(), CODES[:, :3], r"codes has shape \(4, 3\)"),
    ):
        with pytest.raises(ValueError, match=told):
            take(clips, codes)


def test_a_motion_that_no_clip_shows_cannot_be_drawn():
    linear = baselines.LinearClips(components=2).fit(clips_of(), CODES)
    with pytest.raises(ValueError, match="motion 4: no clip of the archive"):
        linear.sample(np.array([[0, 0, 0, 4]]), np.random.default_rng(0))


def test_clips_in_which_nothing_changes_correlate_with_nothing():
    still = torch.full((1, 12, 3, 32, 32), 0.5)
    assert (evaluation.change_autocorrelation(still) == 0).all()
    with pytest.raises(ValueError, match="give as many"):
        evaluation.squared_errors(clips_of(1), clips_of(2))
