"""Layers learned without a network: what they find, and what they draw."""

import numpy as np
import pytest
import torch

from pm_utils.creatives.video import archive, evaluation, sprites
from pm_utils.market.renderer import DIRECTIONS, FRAMES, SPEEDS
from tests.support.clip_world import rng


@pytest.fixture(scope="module")
def lesson() -> tuple[torch.Tensor, np.ndarray]:
    """Clips of one product in one layout, in all palettes and motions."""
    draw = np.random.default_rng(2)
    codes = archive.CLIP_CATALOGUE[draw.integers(len(archive.CLIP_CATALOGUE), size=240)]
    codes[:, 0], codes[:, 2] = 5, 0
    return archive.shoot(codes, draw), codes


@pytest.fixture(scope="module")
def layers(lesson) -> sprites.SpriteClips:
    return sprites.SpriteClips().fit(*lesson)


def test_paces_are_those_of_the_renderer(layers):
    assert layers.pace[0] == 0
    assert layers.pace[1::2] == pytest.approx(SPEEDS[0])
    assert layers.pace[2::2] == pytest.approx(SPEEDS[1])


def test_the_icon_is_opaque_in_its_middle_and_absent_in_the_corners(layers):
    opacity = layers.icons[5, 0, 3]
    assert opacity[16, 16] > 0.8
    assert opacity[:3, :3].max() < 0.3


def test_what_is_the_same_in_all_palettes_stays_in_the_background():
    """Nothing tells whether the white banner lies before or behind an icon: it is no icon."""
    draw = np.random.default_rng(2)
    codes = archive.CLIP_CATALOGUE[draw.integers(len(archive.CLIP_CATALOGUE), size=240)]
    codes[:, 0], codes[:, 2] = 5, 3
    layers = sprites.SpriteClips().fit(archive.shoot(codes, draw), codes)
    alike = layers.backgrounds[:, 3].std(0).mean(0) < 0.02
    alike[:, 8:24], alike[8:24] = False, False  # near the icon
    assert alike.sum() > 20
    assert layers.icons[5, 3, 3][alike].mean() < 0.1


def test_the_middle_scene_is_a_clip_that_counts(layers, lesson):
    asked = np.unique(lesson[1], axis=0)[::3]
    clips = archive.as_filmed(layers.sample(asked, rng()), rng())
    assert evaluation.evaluate_clips(clips, asked)["counts"].mean() > 0.9


def test_a_scene_that_was_drawn_is_found_again(layers, lesson):
    codes = lesson[1][:6].copy()
    codes[:, 3] = [1, 2, 4, 6, 8, 2]
    right, down = np.tile([0.75, -0.75], 3), np.tile([0.0, 1.5], 3)
    size, tempo = np.repeat([0.92, 1.0, 1.08], 2), np.repeat([1.1, 0.9, 1.0], 2)
    scenes = np.column_stack([right, down, size, tempo, np.full(6, 0.95)])
    drawn = layers.draw(codes, scenes)
    found = layers.find(drawn / 0.95, codes)
    assert found[:, :4] == pytest.approx(scenes[:, :4])
    assert found[:, 4] == pytest.approx(np.ones(6), abs=1e-4)


def test_the_icon_ends_in_its_place_and_comes_from_the_other_side(layers):
    codes = np.array([[5, 0, 0, motion] for motion in range(9)])
    path = layers._paths(codes, np.zeros((9, 2)))
    assert path.shape == (9, FRAMES, 2)
    assert np.abs(path[:, -1]).max() == 0
    direction = DIRECTIONS[(codes[:, 3] + 1) // 2]
    assert path[:, 0] == pytest.approx(-11 * direction * layers.pace[:, None])


def test_only_bold_clips_depend_on_the_draw(layers):
    codes = np.array([[5, 0, 0, 2], [5, 1, 0, 0]])
    timid = [layers.sample(codes, np.random.default_rng(s)) for s in (0, 1)]
    bold = [layers.sample(codes, np.random.default_rng(s), boldness=1.0) for s in (0, 1)]
    assert torch.equal(*timid)
    assert not torch.allclose(*bold)


def test_scenes_of_another_width_and_a_negative_boldness_are_refused(layers):
    codes = np.array([[5, 0, 0, 2]])
    with pytest.raises(ValueError, match=r"scenes has shape \(1, 2\): give \(N, 5\)"):
        layers.draw(codes, np.ones((1, 2)))
    with pytest.raises(ValueError, match="boldness"):
        layers.sample(codes, rng(), boldness=-0.1)
