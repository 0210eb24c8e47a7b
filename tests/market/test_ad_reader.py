"""The reader on rendered truth, and on what no customer could read."""

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from pm_utils.market import ad_reader, renderer
from pm_utils.market.ad_reader import read_clips, read_images, read_text
from pm_utils.market.creatives import ATTRIBUTES, Creatives, random_creatives
from pm_utils.market.headlines import EOS, PAD, copy_grammar
from pm_utils.market.renderer import FRAMES, SIZE, Scene, render_clips, render_images

SHOWN = ("category", "tone", "discount", "palette", "layout")
SAID = ("category", "tone", "discount")


@pytest.fixture(scope="module")
def headlines() -> tuple[Creatives, np.ndarray]:
    rng = np.random.default_rng(11)
    creatives = random_creatives(1500, rng)
    return creatives, copy_grammar().sample(creatives, rng)


@pytest.fixture(scope="module")
def pictures() -> tuple[Creatives, np.ndarray]:
    rng = np.random.default_rng(12)
    creatives = random_creatives(1500, rng)
    return creatives, render_images(creatives, rng)


@pytest.fixture(scope="module")
def image_reading(pictures) -> ad_reader.ImageReading:
    return read_images(pictures[1])


@pytest.fixture(scope="module")
def clips() -> tuple[Creatives, np.ndarray]:
    rng = np.random.default_rng(13)
    creatives = random_creatives(240, rng)
    return creatives, render_clips(creatives, rng)


@pytest.fixture(scope="module")
def moving(clips) -> np.ndarray:
    creatives, drawn = clips
    return drawn[creatives.motion > 0][:100]


# Text


def test_every_headline_is_read_as_it_was_meant(headlines):
    creatives, tokens = headlines
    reading = read_text(tokens)
    for name in SAID:
        assert (getattr(reading, name) == getattr(creatives, name)).all(), name
    assert reading.valid.all()


def test_shuffled_words_keep_their_attributes_but_earn_nothing(headlines):
    creatives, tokens = (headlines[0].take(np.arange(500)), headlines[1][:500].copy())
    rng = np.random.default_rng(0)
    for row in tokens:
        end = int(np.argmax(row == EOS))
        row[1:end] = rng.permutation(row[1:end])
    reading = read_text(tokens)
    assert not reading.valid.any()
    for name in SAID:
        assert (getattr(reading, name) == getattr(creatives, name)).all(), name


@pytest.mark.parametrize("kind", ["one word changed", "one word lost", "random words", "no end"])
def test_garbled_text_is_not_valid(headlines, kind):
    tokens = headlines[1][:1000].copy()
    rng = np.random.default_rng(1)
    end = np.argmax(tokens == EOS, axis=1)
    at = rng.integers(1, end)
    n_words = len(copy_grammar().words)
    rows = np.arange(len(tokens))
    if kind == "one word changed":
        tokens[rows, at] = 3 + (tokens[rows, at] - 3 + rng.integers(1, n_words - 3, 1000)) % (
            n_words - 3
        )
    elif kind == "one word lost":
        for row, start in zip(tokens, at, strict=True):
            row[start:] = [*row[start + 1 :], PAD]
    elif kind == "random words":
        words = (tokens > EOS) & (tokens != PAD)
        tokens[words] = rng.integers(3, n_words, words.sum())
    else:
        tokens[rows, end] = PAD
    share = read_text(tokens).valid.mean()
    allowed = {"one word changed": 0.03, "one word lost": 0.05}.get(kind, 0)  # "lovely" may go
    assert share <= allowed


def test_text_outside_the_vocabulary_is_read_without_fail():
    tokens = np.array([[1, 9999, 7, 2, 0], [1, -5, 7, 2, 0], [0, 0, 0, 0, 0], [2, 2, 2, 2, 2]])
    assert not read_text(tokens).valid.any()


def test_one_wrong_word_does_not_outvote_the_others():
    grammar = copy_grammar()
    text = "Hurry: grab 20% off! Crisp carrots are almost gone! Grate them now! Do not miss apples!"
    mixed = read_text(grammar.encode([text, text.replace("Hurry", "today")]))
    assert [ATTRIBUTES["category"][code] for code in mixed.category] == ["produce"] * 2
    assert [ATTRIBUTES["tone"][code] for code in mixed.tone] == ["urgent"] * 2
    assert [ATTRIBUTES["discount"][code] for code in mixed.discount] == ["20%"] * 2
    assert not mixed.valid.any()


# Pictures


@pytest.mark.parametrize("name", SHOWN)
def test_attributes_of_pictures_are_recovered(pictures, image_reading, name):
    creatives, _ = pictures
    right = getattr(image_reading, name) == getattr(creatives, name)
    assert right.mean() >= 0.998
    for code, level in enumerate(ATTRIBUTES[name]):
        assert right[getattr(creatives, name) == code].mean() >= 0.99, level


def test_rendered_pictures_are_valid(image_reading):
    assert image_reading.valid.mean() >= 0.998
    assert ((image_reading.quality >= 0) & (image_reading.quality <= 1)).all()
    assert (image_reading.valid == (image_reading.quality >= ad_reader.VALID_QUALITY)).all()


def test_a_picture_from_the_bank_without_noise_is_read_almost_perfectly():
    creatives = random_creatives(200, np.random.default_rng(0))
    scene = Scene.from_uniform(np.full((200, 8), 0.5))
    scene = Scene(**{**vars(scene), "size": np.full(200, ad_reader._SIZES[0])})
    reading = read_images(renderer.compose(creatives, scene))
    assert reading.quality.min() > 0.8 and reading.quality.mean() > 0.98
    for name in SHOWN:
        assert (getattr(reading, name) == getattr(creatives, name)).all()


def blurred(images: np.ndarray, width: float) -> np.ndarray:
    return gaussian_filter(images, (0, width, width, 0))


def spoilt(kind: str, images: np.ndarray) -> np.ndarray:
    """400 pictures that no one should pay for."""
    rng = np.random.default_rng(2)
    one, other = images[:400], images[400:800]
    background = renderer.background_sheets().reshape(-1, SIZE, SIZE, 3)
    return {
        "noise": lambda: rng.random((400, SIZE, SIZE, 3)),
        "grey noise": lambda: np.clip(0.5 + 0.2 * rng.standard_normal((400, SIZE, SIZE, 3)), 0, 1),
        "blank": lambda: np.broadcast_to(rng.random((400, 1, 1, 3)), (400, SIZE, SIZE, 3)),
        "black": lambda: np.zeros((400, SIZE, SIZE, 3)),
        "white": lambda: np.ones((400, SIZE, SIZE, 3)),
        "text only": lambda: background[rng.integers(len(background), size=400)],
        "two ads at once": lambda: (one + other) / 2,
        "two halves": lambda: np.concatenate([one[:, :16], other[:, 16:]], axis=1),
        "upside down": lambda: one[:, ::-1],
        "negative": lambda: 1 - one,
        "shuffled": lambda: rng.permuted(one.reshape(400, -1, 3), axis=1).reshape(one.shape),
        "mush": lambda: blurred(one, 2.0),
        "the mean ad": lambda: np.broadcast_to(images.mean(axis=0), one.shape),
    }[kind]()


KINDS = "noise|grey noise|blank|black|white|text only|two ads at once|two halves|upside down"
KINDS += "|negative|shuffled|mush|the mean ad"


@pytest.mark.parametrize("kind", KINDS.split("|"))
def test_what_is_no_ad_is_rejected(pictures, kind):
    assert read_images(spoilt(kind, pictures[1])).valid.mean() <= 0.01


def test_blur_degrades_gracefully(pictures):
    creatives, images = (pictures[0].take(np.arange(250)), pictures[1][:250])
    readings = [read_images(blurred(images, width)) for width in (0, 0.6, 0.8, 1.2, 2)]
    quality = [reading.quality.mean() for reading in readings]
    assert (np.diff(quality) < -0.05).all()
    light = readings[1]
    for name in SHOWN:
        assert (getattr(light, name) == getattr(creatives, name)).mean() > 0.95, name
    for name in ("category", "palette", "layout"):
        assert (getattr(readings[2], name) == getattr(creatives, name)).mean() > 0.98, name
    assert light.valid.mean() > 0.8 > 0.5 > readings[2].valid.mean() > readings[4].valid.mean()


def test_more_noise_means_less_quality_but_the_same_reading(pictures):
    creatives, images = (pictures[0].take(np.arange(250)), pictures[1][:250])
    rng = np.random.default_rng(3)
    noisy = [read_images(images + s * rng.standard_normal(images.shape)) for s in (0.05, 0.2)]
    assert noisy[0].valid.mean() > 0.98 and noisy[1].valid.mean() < 0.02
    for name in SHOWN:
        assert (getattr(noisy[0], name) == getattr(creatives, name)).mean() > 0.99


def test_each_part_of_a_picture_can_spoil_it(pictures, image_reading):
    creatives, images = (pictures[0].take(np.arange(250)), pictures[1][:250])
    with_badge = creatives.discount > 0
    rng = np.random.default_rng(4)
    parts = {"frame": ~ad_reader._interior(), "icon": np.zeros((SIZE, SIZE), dtype=bool)}
    parts["icon"][8:22, 4:28] = True
    for name, where in parts.items():
        broken = images.copy()
        broken[:, where] = rng.random((250, where.sum(), 3))
        assert read_images(broken).valid.mean() < 0.02, name
    broken = images.copy()
    for picture, layout in zip(broken, creatives.layout, strict=True):
        left, top = renderer.BADGE_PLACE[layout] + 1
        picture[top + 1 : top + 7, left : left + 12] = rng.random((6, 12, 3))
    reading = read_images(broken)
    assert reading.valid[with_badge].mean() < 0.05
    assert (reading.quality[with_badge] < image_reading.quality[:250][with_badge]).all()


def test_a_painted_over_badge_changes_what_is_read(pictures):
    """Exchange the badge for another: the reader must follow the picture, not the request."""
    creatives = random_creatives(300, np.random.default_rng(5))
    scene = Scene.from_uniform(np.random.default_rng(6).random((300, 8)))
    images = renderer.compose(creatives, scene)
    other = (creatives.discount % 4) + 1
    plate = renderer.badge_sheets()[creatives.layout, other, scene.badge]
    gain = scene.gain[:, None, None, None]
    changed = read_images(renderer.over(images, plate * np.where(np.arange(4) < 3, gain, 1)))
    assert (changed.discount == other).mean() > 0.99 and changed.valid.mean() > 0.99


def test_reading_does_not_depend_on_the_batch(pictures, image_reading):
    part = read_images(pictures[1][250:270])
    np.testing.assert_allclose(part.quality, image_reading.quality[250:270], atol=1e-4)
    assert (part.category == image_reading.category[250:270]).all()
    assert len(read_images(pictures[1][:0]).category) == 0


@pytest.mark.parametrize(
    ("images", "reason"),
    [
        (np.zeros((2, 16, 16, 3)), r"shape \(2, 16, 16, 3\)"),
        (np.zeros((32, 32, 3)), r"shape \(32, 32, 3\)"),
        (np.full((1, 32, 32, 3), np.nan), "not finite"),
        (np.full((1, 32, 32, 3), 200), "up to 200"),
    ],
)
def test_what_is_no_picture_says_why(images, reason):
    with pytest.raises(ValueError, match=reason):
        read_images(images)


@pytest.fixture(scope="module")
def scenes() -> tuple[Creatives, Scene, np.ndarray]:
    """Pictures with the scenes that they were drawn in, but without noise."""
    creatives = random_creatives(400, np.random.default_rng(14))
    scene = Scene.from_uniform(np.random.default_rng(15).random((400, 8)))
    return creatives, scene, renderer.compose(creatives, scene)


def test_brightness_is_measured_within_half_a_per_cent_on_average(scenes):
    creatives, scene, images = scenes
    palette, gain = ad_reader._read_palette(images)
    assert (palette == creatives.palette).all()
    error = np.abs(gain / scene.gain - 1)
    assert error.mean() < 0.005 and error.max() < 0.05


def test_variants_of_frame_and_lines_are_found(scenes):
    creatives, scene, images = scenes
    lit = images / scene.gain[:, None, None, None].astype(np.float32)
    tone, variant = ad_reader._read_frame(lit, creatives.palette)
    frames = renderer.frame_sheets()
    assert (tone == creatives.tone).all()
    assert np.allclose(frames[tone, variant], frames[tone, scene.frame])
    assert (ad_reader._read_layout(lit) == creatives.layout).all()
    lines = ad_reader._read_lines(lit, creatives.palette, creatives.layout)
    text = renderer.text_sheets()
    assert (
        np.isclose(text[creatives.layout, lines], text[creatives.layout, scene.lines]).mean() > 0.99
    )


def test_the_icon_is_found_within_its_grid(scenes):
    creatives, scene, images = scenes
    lit = images / scene.gain[:, None, None, None].astype(np.float32)
    known = (creatives.palette, creatives.layout, scene.lines)
    category, icons = ad_reader._read_icon(lit, *known)
    assert (category == creatives.category).all()
    drawn = np.empty_like(icons)
    for code in range(12):
        rows = np.flatnonzero(creatives.category == code)
        full = renderer.draw_icons(code, creatives.layout[rows], scene, rows)
        drawn[rows] = full[:, ad_reader._INSIDE, ad_reader._INSIDE]
    error = np.sqrt(((icons - drawn) ** 2).mean(axis=(1, 2, 3)))
    assert error.max() < 0.13 and error.mean() < 0.07  # the nearest of a grid, not the exact place
    wrong = np.roll(icons, 1, axis=0)
    assert np.sqrt(((wrong - drawn) ** 2).mean(axis=(1, 2, 3))).mean() > 0.25


def test_least_squares_over_the_bank_is_the_squared_error():
    """The expanded square, without |y-b|², against the sum over pixels for every icon."""
    rng = np.random.default_rng(16)
    seen = rng.random((1, 28, 28, 3)).astype(np.float32)
    below = renderer.background_sheets()[2, 1, 5][ad_reader._INSIDE, ad_reader._INSIDE]
    colour, opacity, own = ad_reader._icon_terms(1)
    apart = (seen - below).reshape(1, -1)
    expanded = own[2, 5] - 2 * apart @ colour.T
    expanded += 2 * ((seen - below) * below).sum(-1).reshape(1, -1) @ opacity.T
    bank = ad_reader._icon_bank(1).copy()
    bank[:, ad_reader._badge_places()[1, ad_reader._INSIDE, ad_reader._INSIDE]] = 0
    direct = ((renderer.over(below, bank[::97]) - seen) ** 2).sum(axis=(1, 2, 3))
    np.testing.assert_allclose(expanded[0, ::97] + (apart**2).sum(), direct, rtol=1e-3)


def test_layout_is_not_taken_from_a_white_icon():
    creatives = random_creatives(150, np.random.default_rng(17))
    milk = Creatives(*np.c_[np.ones(150, dtype=int), creatives.codes()[:, 1:]].T)
    assert (read_images(render_images(milk, np.random.default_rng(18))).layout == milk.layout).all()


# Clips


def test_the_vertex_of_a_parabola():
    at = np.array([-1.0, 0.0, 1.0])
    for vertex in (-0.4, 0.0, 0.25):
        before, peak, after = (np.array([3 - 2 * (x - vertex) ** 2]) for x in at)
        assert ad_reader._vertex(before, peak, after) == pytest.approx(vertex)
    flat = ad_reader._vertex(np.array([1.0]), np.array([1.0]), np.array([1.0]))
    assert flat == 0


def test_a_return_is_a_loop_and_a_drift_is_not():
    ramp = np.arange(FRAMES) / FRAMES
    wave = 0.5 + 0.5 * np.sin(2 * np.pi * np.arange(FRAMES) / 5)
    clips = np.stack([ramp, wave])[:, :, None, None, None] * np.ones((1, 1, 4, 4, 3))
    assert ad_reader._loops(clips).tolist() == [False, True]


def test_motion_of_clips_is_recovered(clips):
    creatives, drawn = clips
    reading = read_clips(drawn)
    moves = creatives.motion > 0
    assert (reading.motion == creatives.motion).mean() >= 0.995
    assert (reading.speed == creatives.speed)[moves].mean() >= 0.995
    assert (reading.frozen == ~moves).mean() >= 0.995
    assert reading.valid.mean() >= 0.99 and not reading.looping.any()
    for name in SHOWN:
        assert (getattr(reading.picture, name) == getattr(creatives, name)).mean() >= 0.99


def test_velocity_is_in_pixels_per_frame():
    creatives = random_creatives(80, np.random.default_rng(7))
    scene = Scene.from_uniform(np.random.default_rng(8).random((80, 8)))
    reading = read_clips(renderer.compose_clips(creatives, scene))
    moves = creatives.motion > 0
    error = np.abs(reading.velocity - renderer.velocity(creatives, scene))
    assert error.max() < 0.2 and error[moves].mean() < 0.03
    assert (reading.velocity[~moves] == 0).all()


def wrong(kind: str, clips: np.ndarray) -> np.ndarray:
    """Clips that are no advertisement, though their last frames may be."""
    rng = np.random.default_rng(9)
    n = len(clips)
    fade = np.linspace(0, 1, FRAMES)[:, None, None, None]
    return {
        "shuffled frames": lambda: np.concatenate(
            [clips[:, [3, 7, 0, 10, 5, 1, 8, 2, 9, 4, 6]], clips[:, -1:]], axis=1
        ),
        "noise, then a picture": lambda: np.concatenate(
            [rng.random(clips[:, 1:].shape, dtype=np.float32), clips[:, -1:]], axis=1
        ),
        "one ad after the other": lambda: clips[rng.integers(n, size=(n, FRAMES)), -1],
        "fade in": lambda: fade * clips[:, -1:],
        "cross-fade": lambda: fade * clips[:, -1:] + (1 - fade) * np.roll(clips, 1, axis=0)[:, -1:],
        "mush": lambda: gaussian_filter(clips, (0, 0, 2, 2, 0)),
        "loop of 2": lambda: clips[:, -4:][:, [0, 3]][:, np.arange(FRAMES) % 2],
        "loop of 3": lambda: clips[:, -6::2][:, np.arange(FRAMES) % 3],
        "loop of 4": lambda: clips[:, -4:][:, np.arange(FRAMES) % 4],
        "loop of 6": lambda: clips[:, -6:][:, np.arange(FRAMES) % 6],
    }[kind]()


WRONG = "shuffled frames|noise, then a picture|one ad after the other|fade in|cross-fade|mush"


@pytest.mark.parametrize("kind", WRONG.split("|"))
def test_what_is_no_clip_is_rejected(moving, kind):
    assert read_clips(wrong(kind, moving)).valid.mean() <= 0.02


@pytest.mark.parametrize("period", [2, 3, 4, 6])
def test_loops_are_found_even_if_every_frame_is_good(moving, period):
    reading = read_clips(wrong(f"loop of {period}", moving))
    assert reading.picture.valid.mean() > 0.8
    assert reading.looping.mean() >= 0.99 and reading.valid.mean() <= 0.01


def test_a_frozen_clip_reads_as_still(moving):
    frozen = read_clips(np.repeat(moving[:, -1:], FRAMES, axis=1))
    assert frozen.frozen.all() and (frozen.motion == 0).all() and not frozen.looping.any()
    rng = np.random.default_rng(10)
    grain = renderer.NOISE * rng.standard_normal((100, FRAMES, SIZE, SIZE, 3))
    assert read_clips(np.repeat(moving[:, -1:], FRAMES, axis=1) + grain).frozen.all()


def test_playing_backwards_turns_the_motion_round(clips):
    creatives, drawn = clips
    slow = (creatives.motion > 0) & (creatives.speed == 0)
    reading = read_clips(drawn[slow][:, ::-1])
    back = np.array([0, 2, 1, 4, 3])[creatives.motion[slow]]
    assert (reading.motion == back).mean() > 0.99


@pytest.mark.parametrize("shape", [(2, 32, 32, 3), (2, 6, 32, 32, 3)])
def test_too_few_frames_are_refused(shape):
    with pytest.raises(ValueError, match="at least 7"):
        read_clips(np.zeros(shape))
