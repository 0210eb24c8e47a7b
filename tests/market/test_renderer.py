"""The pictures: every attribute shows, nothing else does, and clips move as they are asked to."""

from dataclasses import replace

import numpy as np
import pytest

from pm_utils.market import renderer
from pm_utils.market.creatives import ATTRIBUTES, Creatives, random_creatives
from pm_utils.market.renderer import (
    DIRECTIONS,
    FRAMES,
    ICON_PLACE,
    N_UNIFORM,
    PALETTE,
    SIZE,
    Scene,
    compose,
    compose_clips,
    render_clips,
    render_images,
)

VISIBLE = ("category", "tone", "discount", "palette", "layout")
DRAWN = {"category": "bakery", "tone": "plain", "discount": "20%", "palette": "blue"}
DRAWN |= {"layout": "centre", "motion": "left", "speed": "slow"}


def ads(n: int = 1, **changes) -> Creatives:
    """Repeat one ad, named by its levels."""
    codes = {name: ATTRIBUTES[name].index(level) for name, level in (DRAWN | changes).items()}
    return Creatives(**{name: np.full(n, code) for name, code in codes.items()})


def middle(n: int = 1, **changes) -> Scene:
    """The scene in the middle of all ranges, unshifted."""
    scene = Scene.from_uniform(np.full((n, N_UNIFORM), 0.5))
    zero = {name: np.zeros(n, dtype=int) for name in ("frame", "lines", "badge")}
    return replace(scene, **zero, **{k: np.full(n, v) for k, v in changes.items()})


def centre(pictures: np.ndarray) -> np.ndarray:
    """Where the icon is in plain blue pictures of layout left, (..., 32, 32, 3) → (..., 2)."""
    background = renderer.background_sheets()[ATTRIBUTES["palette"].index("blue"), 1, 0]
    gain = Scene.from_uniform(np.full((1, N_UNIFORM), 0.5)).gain
    weight = np.abs(pictures - background * gain[0]).sum(axis=-1)
    total = weight.sum((-1, -2))
    x = (weight.sum(-2) * np.arange(SIZE)).sum(-1) / total
    y = (weight.sum(-1) * np.arange(SIZE)).sum(-1) / total
    return np.stack([x, y], axis=-1)


@pytest.mark.parametrize("render_ads", [render_images, render_clips])
def test_pictures_have_the_promised_shape_and_range(render_ads):
    creatives = random_creatives(30, np.random.default_rng(0))
    drawn = render_ads(creatives, np.random.default_rng(1))
    frames = (FRAMES,) if render_ads is render_clips else ()
    assert drawn.shape == (30, *frames, SIZE, SIZE, 3) and drawn.dtype == np.float32
    assert drawn.min() >= 0 and drawn.max() <= 1 and drawn.std() > 0.15


@pytest.mark.parametrize("render_ads", [render_images, render_clips])
def test_same_seed_same_pictures_whatever_the_batch(render_ads):
    creatives = random_creatives(
        300 if render_ads is render_images else 30, np.random.default_rng(0)
    )
    whole = render_ads(creatives, np.random.default_rng(7))
    rng = np.random.default_rng(7)
    thirds = np.split(np.arange(len(creatives)), 3)
    parts = np.concatenate([render_ads(creatives.take(rows), rng) for rows in thirds])
    np.testing.assert_allclose(parts, whole, atol=1e-6)
    again = render_ads(creatives, np.random.default_rng(8))
    assert (np.abs(again - whole).mean(axis=tuple(range(1, whole.ndim))) > 0.01).all()


@pytest.mark.parametrize("name", VISIBLE)
def test_every_level_shows(name):
    pictures = [compose(ads(**{name: level}), middle())[0] for level in ATTRIBUTES[name]]
    for i, one in enumerate(pictures):
        for other in pictures[:i]:
            changed = (np.abs(one - other).max(axis=-1) > 0.15).sum()
            assert changed >= (4 if name == "discount" else 25)


def test_a_picture_does_not_depend_on_motion():
    creatives = random_creatives(20, np.random.default_rng(0))
    scene = Scene.from_uniform(np.random.default_rng(1).random((20, N_UNIFORM)))
    other = replace(creatives, motion=(creatives.motion + 1) % 5, speed=1 - creatives.speed)
    assert (compose(creatives, scene) == compose(other, scene)).all()
    last = compose_clips(creatives, scene)[:, -1]  # sums in another order: the last bit may differ
    assert np.abs(last - compose(creatives, scene)).max() < 1e-6
    assert np.abs(compose_clips(creatives, scene)[:, 0] - last).max() > 1e-2


def test_scenes_cover_their_ranges():
    uniform = np.random.default_rng(0).random((4000, N_UNIFORM))
    scene = Scene.from_uniform(uniform)
    assert -1.5 <= scene.x.min() < -1.45 and 1.45 < scene.y.max() <= 1.5
    assert scene.gain.min() < 0.88 and scene.gain.max() > 1.06
    for name, n in (("frame", 8), ("lines", 8), ("badge", 4)):
        assert np.bincount(getattr(scene, name)).min() > 0.8 * 4000 / n
    top = Scene.from_uniform(np.ones((1, N_UNIFORM)))
    assert (top.frame, top.lines, top.badge) == (7, 7, 3)


def test_one_ad_is_drawn_in_many_ways():
    pictures = render_images(ads(n=200), np.random.default_rng(0))
    spread = pictures.std(axis=0).mean(axis=-1)
    assert spread.min() > renderer.NOISE / 2  # brightness and noise everywhere
    assert spread[8:24, 8:24].max() > 0.15  # edges of the icon move


def test_noise_has_the_stated_size():
    creatives = ads(n=300, palette="grey", layout="right")
    corner = render_images(creatives, np.random.default_rng(0))[:, 26:30, 20:30]
    flat = corner - corner.mean(axis=2, keepdims=True)
    assert flat.std() * np.sqrt(10 / 9) == pytest.approx(renderer.NOISE, rel=0.03)


def test_gain_scales_brightness():
    dim, bright = (compose(ads(), middle(gain=gain)) for gain in (0.4, 0.8))
    np.testing.assert_allclose(bright, 2 * dim, rtol=1e-5)


@pytest.mark.parametrize(("x", "y"), [(1.0, 0.0), (0.0, -1.0), (0.37, 0.61)])
def test_the_icon_moves_by_fractions_of_a_pixel(x, y):
    ad = ads(discount="none", category="pets", layout="left")
    before, after = (
        centre(compose(ad, scene))[0] for scene in (middle(size=0.6), middle(size=0.6, x=x, y=y))
    )
    assert after - before == pytest.approx((x, y), abs=0.05)
    assert before == pytest.approx(ICON_PLACE[1], abs=0.7)


def test_the_icon_covers_area_in_proportion_to_its_size_squared():
    layout = np.zeros(2, dtype=int)
    scene = middle(2, x=0.0)
    scene = replace(scene, size=np.array([0.5, 1.0]))
    opacity = renderer.draw_icons(3, layout, scene, np.arange(2))[..., 3]
    assert opacity.max() == pytest.approx(1, abs=1e-3) and opacity.min() >= 0
    assert opacity[1].sum() / opacity[0].sum() == pytest.approx(4, rel=0.02)


def test_no_two_icons_look_alike():
    atlas = renderer.icon_atlas().reshape(12, -1)
    alike = np.corrcoef(atlas) - np.eye(12)
    assert alike.max() < 0.9
    opacity = renderer.icon_atlas()[..., 3]
    assert (opacity.mean(axis=(1, 2)) > 0.15).all() and opacity[:, 0].max() < 0.6
    assert (renderer.icon_atlas()[..., :3] <= opacity[..., None] + 1e-6).all()


def test_shapes_have_their_area():
    pixel = (2 * renderer._REACH / renderer._FINE) ** 2
    assert renderer._shape("oval", 0, 0, 0.5, 0.25).sum() * pixel == pytest.approx(
        np.pi / 8, rel=0.02
    )
    line = renderer._shape("line", -0.5, 0, 0.5, 0, 0.1).sum() * pixel
    assert line == pytest.approx(0.2 + np.pi * 0.01, rel=0.05)
    triangle = renderer._shape("area", 0, -0.5, 0.5, 0.5, -0.5, 0.5).sum() * pixel
    assert triangle == pytest.approx(0.5, rel=0.03)


def test_no_colour_cuts_a_hole():
    full = [(("oval", 0.0, 0.0, 0.9, 0.9), (1.0, 0.0, 0.0))]
    bitten = renderer._icon([*full, (("oval", 0.0, 0.0, 0.6, 0.6), None)])
    middle_ = renderer._ATLAS // 2
    assert bitten[middle_, middle_, 3] == 0 and renderer._icon(full)[middle_, middle_, 3] == 1


def test_the_background_is_the_palette():
    for code, name in enumerate(ATTRIBUTES["palette"]):
        corner = compose(ads(palette=name, layout="left"), middle(gain=1.0))[0, 18, 28]
        np.testing.assert_allclose(corner, PALETTE[code], atol=0.03)


def test_the_badge_is_the_discount_in_print():
    plate = renderer.badge(ATTRIBUTES["discount"].index("20%"))
    ink = np.abs(plate[..., :3] - renderer.CRIMSON).max(axis=-1) < 0.01
    printed = ["".join(".#"[int(dot)] for dot in row[1:12]) for row in ink[2:7]]
    assert printed == ["###.###.#.#", "..#.#.#...#", "###.#.#..#.", "#...#.#.#..", "###.###.#.#"]
    assert not np.any(renderer.badge_sheets()[:, 0])  # no discount, no badge
    shifted = renderer.badge_sheets()[2, 3]
    assert (np.roll(shifted[0], (1, 1), axis=(0, 1)) == shifted[3]).all()


def test_frames_tell_the_tone():
    frames = renderer.frame_sheets()
    edge = frames[:, :, 0]  # (tone, variant, 32, 4)
    assert not frames[:, :, 2:30, 2:30].any() and not frames[0].any()
    assert (edge[1, ..., 3] == 1).all() and np.ptp(edge[1], axis=1).max() == 0
    stripes = edge[2, ..., :3].mean(axis=-1)
    assert ((stripes > 0.5).mean(axis=1) == 0.5).all()
    assert (edge[3, ..., 3].mean(axis=1) == 0.5).all()
    assert len(np.unique(edge[3, 0][edge[3, 0, :, 3] == 1], axis=0)) == 4


@pytest.mark.parametrize("motion", ATTRIBUTES["motion"])
@pytest.mark.parametrize("speed", ATTRIBUTES["speed"])
def test_the_icon_slides_as_asked(motion, speed):
    ad = ads(discount="none", layout="left", category="pets", motion=motion, speed=speed)
    clip = compose_clips(ad, middle(size=0.6))[0]
    steps = np.diff(centre(clip[-3:]), axis=0)
    asked = DIRECTIONS[ad.motion[0]] * {"slow": 0.5, "fast": 1.5}[speed]
    np.testing.assert_allclose(renderer.velocity(ad, middle())[0], asked)
    np.testing.assert_allclose(steps, np.tile(asked, (2, 1)), atol=0.05)


def test_pace_changes_speed_by_a_tenth_at_most():
    creatives = random_creatives(2000, np.random.default_rng(0))
    scene = Scene.from_uniform(np.random.default_rng(1).random((2000, N_UNIFORM)))
    moved = np.abs(renderer.velocity(creatives, scene)).sum(axis=1)
    for speed, low, high in ((0, 0.45, 0.55), (1, 1.35, 1.65)):
        moving = moved[(creatives.motion > 0) & (creatives.speed == speed)]
        assert low <= moving.min() < low * 1.02 and high * 0.98 < moving.max() <= high
    assert (moved[creatives.motion == 0] == 0).all()


def test_a_contact_sheet_keeps_every_picture():
    images = render_images(random_creatives(6, np.random.default_rng(0)), np.random.default_rng(0))
    sheet = renderer.contact_sheet(images, columns=3, scale=2)
    assert sheet.shape == (2 * 34 * 2, 3 * 34 * 2, 3)
    fifth = sheet[34 * 2 + 2 : 34 * 2 + 66 : 2, 34 * 2 + 2 : 34 * 2 + 66 : 2]
    assert (fifth == images[4]).all() and (sheet[0] == 1).all()
    with pytest.raises(ValueError, match="6 pictures do not fill rows of 4"):
        renderer.contact_sheet(images, columns=4)


def test_drawing_leaves_the_sheets_as_they_are():
    sheets = (renderer.background_sheets(), renderer.badge_sheets(), renderer.frame_sheets())
    before = [sheet.copy() for sheet in (*sheets, renderer.icon_atlas())]
    render_clips(random_creatives(40, np.random.default_rng(0)), np.random.default_rng(0))
    for sheet, copied in zip((*sheets, renderer.icon_atlas()), before, strict=True):
        assert (sheet == copied).all()


def test_badge_lies_over_icon_and_frame_over_all():
    scene = middle(gain=1.0, x=3.0, y=-6.0)  # the icon pushed under the badge and the frame
    drawn = compose(ads(tone="warm", discount="30%", category="snacks"), scene)[0]
    plate = renderer.badge_sheets()[0, 3, 0]
    opaque = plate[..., 3] == 1
    np.testing.assert_allclose(drawn[opaque], plate[opaque, :3], atol=1e-6)
    np.testing.assert_allclose(drawn[0], np.tile(renderer.CREAM, (SIZE, 1)), atol=1e-6)


def test_layers_are_laid_by_opacity():
    rng = np.random.default_rng(0)
    low, mid, top = (np.r_[rng.random(3) * a, a].astype(np.float32) for a in (1.0, 0.4, 0.7))
    result = renderer.over(renderer.over(low, mid), top)
    by_hand = top[:3] + 0.3 * (mid[:3] + 0.6 * low[:3])
    np.testing.assert_allclose(result[:3], by_hand, rtol=1e-5)
    np.testing.assert_allclose(result, renderer.over(low, renderer.over(mid, top)), rtol=1e-5)


def test_resampling_keeps_flat_areas_flat():
    weight = renderer._resample(np.array([15.2, 15.9]), np.array([14.0, 21.5]))
    inside = weight[:, 13:19].sum(axis=2)
    np.testing.assert_allclose(inside, 1, atol=1e-5)
    place = (weight[:, 13:19] * (np.arange(renderer._ATLAS) + 0.5)).sum(axis=2)
    step = np.array([14.0, 21.5]) * renderer._REACH / renderer._ATLAS
    expected = (np.arange(13, 19) - np.array([[15.2], [15.9]])) / step[
        :, None
    ] + renderer._ATLAS / 2
    np.testing.assert_allclose(place, expected, atol=0.2)


def test_text_stands_where_the_layout_says():
    opaque = renderer.text_sheets()[..., 3] > 0  # (4, 8, 32, 32)
    columns = opaque.any(axis=(1, 2))
    rows = opaque.any(axis=(1, 3))
    assert not columns[1, :20].any() and not columns[2, 12:].any()  # beside the icon
    assert np.flatnonzero(rows[0]).tolist() == [27, 28] and columns[3, 2:30].all()
    assert np.flatnonzero(rows[3]).tolist() == list(range(20, 29))
    for layout in range(4):
        lengths = {sheet.tobytes() for sheet in renderer.text_sheets()[layout]}
        assert len(lengths) >= 4, "lines of several lengths"


def test_in_a_clip_only_the_icon_moves():
    ad = ads(layout="left", motion="down", speed="slow", discount="10%", tone="warm")
    clip = compose_clips(ad, middle())[0]
    moved = np.ptp(clip, axis=0).max(axis=-1) > 1e-6
    assert moved[2:30, 2:20].mean() > 0.2 and not moved[:, 21:].any()
    assert not moved[:2].any() and not moved[:, :2].any()


@pytest.mark.parametrize(
    ("name", "level", "place"),
    [
        ("palette", "pink", "PALETTE"),
        ("layout", "corner", "ICON_PLACE"),
        ("motion", "spin", "DIRECTIONS"),
        ("speed", "racing", "SPEEDS"),
    ],
)
def test_levels_that_nothing_is_drawn_for_are_named(monkeypatch, name, level, place):
    ads = random_creatives(2, np.random.default_rng(0))
    monkeypatch.setitem(ATTRIBUTES, name, (*ATTRIBUTES[name], level))
    for draw in (renderer.render_images, renderer.render_clips):
        with pytest.raises(ValueError, match=f"{place}.* has nothing for {name} {level}"):
            draw(ads, np.random.default_rng(0))
