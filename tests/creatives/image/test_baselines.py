"""Rivals without a network draw what they should."""

import numpy as np
import pytest
import torch

from pm_utils.creatives.image import baselines
from pm_utils.creatives.image.baselines import PCAGaussian, additive_gaussian, closest_request
from pm_utils.creatives.image.networks import IMAGE_LEVELS, Strokes


def test_the_additive_gaussian_has_the_archives_mean_and_deviation():
    rng = np.random.default_rng(0)
    attributes = np.stack([rng.integers(n, size=3000) for n in IMAGE_LEVELS], axis=1)
    light = 0.3 + 0.05 * attributes[:, 3]  # brightness follows the palette
    images = light[:, None, None, None] + 0.02 * rng.normal(size=(3000, 32, 32, 3))
    images = torch.tensor(images, dtype=torch.float32)
    asked = np.zeros((400, 5), int)
    asked[200:, 3] = 5
    drawn = baselines.additive_gaussian(images, attributes, asked, rng)
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


def test_baselines_draw_pictures_and_attributes_of_ones_own():
    rng = np.random.default_rng(0)
    attributes, levels = rng.integers(2, size=(40, 2)), (2, 2)
    images = torch.tensor(rng.random((40, 9, 7, 1)), dtype=torch.float32)
    drawn = additive_gaussian(images, attributes, attributes[:3], rng, levels)
    assert drawn.shape == (3, 9, 7, 1)
    strokes = Strokes(images, count=4, seed=0)
    model = PCAGaussian(strokes, strokes.weigh(images), attributes, levels)
    assert model.sample(attributes[:3]).shape == (3, 9, 7, 1)
    with pytest.raises(ValueError, match="column 1 is out of range"):
        model.sample(np.array([[0, 2]]))
    with pytest.raises(ValueError, match="attributes 39 rows"):
        additive_gaussian(images, attributes[1:], attributes[:3], rng, levels)
    with pytest.raises(ValueError, match=r"give \(N, A\) and \(M, A\)"):
        closest_request(attributes, attributes[:, :1])
    with pytest.raises(ValueError, match="spread is nan"):
        model.sample(attributes[:3], spread=np.nan)
