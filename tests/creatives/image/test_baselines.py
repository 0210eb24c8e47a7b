"""Rivals without a network draw what they should."""

import numpy as np
import pytest
import torch

from pm_utils.creatives.image import baselines
from pm_utils.creatives.image.baselines import (
    AdditiveGaussian,
    MovedArchive,
    PCAGaussian,
    closest_request,
)
from pm_utils.creatives.image.networks import IMAGE_LEVELS, Strokes


def test_the_additive_gaussian_has_the_archives_mean_and_deviation():
    rng = np.random.default_rng(0)
    attributes = np.stack([rng.integers(n, size=3000) for n in IMAGE_LEVELS], axis=1)
    light = 0.3 + 0.05 * attributes[:, 3]  # brightness follows the palette
    images = light[:, None, None, None] + 0.02 * rng.normal(size=(3000, 32, 32, 3))
    images = torch.tensor(images, dtype=torch.float32)
    asked = np.zeros((400, 5), int)
    asked[200:, 3] = 5
    drawn = AdditiveGaussian(images, attributes).sample(asked)
    assert drawn[:200].mean() == pytest.approx(0.30, abs=0.003)
    assert drawn[200:].mean() == pytest.approx(0.55, abs=0.003)
    assert drawn[:200].std() == pytest.approx(0.02, rel=0.1)
    pixels = drawn[:200].reshape(200, -1)[:, :40]
    between = np.corrcoef(pixels.T)[np.triu_indices(40, 1)]
    assert np.abs(between).mean() < 0.1  # each pixel by itself


def test_the_closest_request_by_hand():
    attributes = np.array([[0, 0, 0, 0, 0], [1, 1, 1, 0, 0], [1, 1, 1, 1, 1], [1, 1, 1, 1, 1]])
    asked = np.array([[1, 1, 1, 1, 1], [0, 0, 0, 1, 0], [1, 1, 1, 0, 1], [2, 2, 2, 2, 2]])
    which, agree = baselines.closest_request(attributes, asked)
    assert which.tolist() == [2, 0, 1, 0]  # the first of equals
    assert agree.tolist() == [5, 4, 4, 0]


def test_of_equals_that_ad_is_taken_that_differs_in_what_gives_way():
    attributes = np.array([[0, 1, 1], [1, 0, 1], [1, 1, 0], [0, 0, 1]])
    asked = np.array([[1, 1, 1], [0, 0, 1], [0, 0, 0]])
    for column in range(3):
        which, agree = closest_request(attributes, asked, gives_way=column)
        assert which[:2].tolist() == [column, 3]  # what agrees in all comes before what gives way
        assert agree.tolist() == [2, 3, 2]
    with pytest.raises(ValueError, match="gives_way is out of range"):
        closest_request(attributes, asked, gives_way=3)


def test_an_archived_ad_is_moved_by_the_difference_of_means():
    """A background that adds its own brightness is changed; what is no mean of it stays."""
    rng, levels = np.random.default_rng(0), (2, 3)
    attributes = np.stack([rng.integers(n, size=600) for n in levels], axis=1)
    own = rng.normal(size=(600, 1, 1, 1)) * np.linspace(-0.05, 0.05, 8)[:, None, None]
    light = np.array([0.3, 0.5, 0.7])[attributes[:, 1]][:, None, None, None]
    images = torch.tensor(light + own + np.zeros((600, 8, 8, 1)), dtype=torch.float32)
    strokes = Strokes(images, count=2, seed=0)
    weights = strokes.weigh(images)
    gaussian = PCAGaussian(strokes, weights, attributes, levels)
    lacking = attributes[:, 1] != 2  # the archive holds no bright ad
    moved = MovedArchive(gaussian, weights[lacking], attributes[lacking], gives_way=1)
    asked = np.array([[0, 2], [1, 2], [0, 1]])
    found = moved.sample(asked)
    which, agree = closest_request(attributes[lacking], asked, gives_way=1)
    assert agree.tolist() == [1, 1, 2]
    expected = images[lacking][which].numpy()
    expected[:2] += (0.7 - light[lacking][which[:2]]).astype(np.float32)
    assert found == pytest.approx(expected, abs=0.02)


def test_baselines_draw_pictures_and_attributes_of_ones_own():
    rng = np.random.default_rng(0)
    attributes, levels = rng.integers(2, size=(40, 2)), (2, 2)
    images = torch.tensor(rng.random((40, 9, 7, 1)), dtype=torch.float32)
    drawn = AdditiveGaussian(images, attributes, levels).sample(attributes[:3])
    assert drawn.shape == (3, 9, 7, 1)
    strokes = Strokes(images, count=4, seed=0)
    model = PCAGaussian(strokes, strokes.weigh(images), attributes, levels)
    assert model.sample(attributes[:3]).shape == (3, 9, 7, 1)
    with pytest.raises(ValueError, match="column 1 is out of range"):
        model.sample(np.array([[0, 2]]))
    with pytest.raises(ValueError, match="attributes 39 rows"):
        AdditiveGaussian(images, attributes[1:], levels)
    with pytest.raises(ValueError, match=r"give \(N, A\) and \(M, A\)"):
        closest_request(attributes, attributes[:, :1])
    with pytest.raises(ValueError, match="spread is nan"):
        model.sample(attributes[:3], spread=np.nan)
