"""The archive shows the attributes that it says."""

import numpy as np
import torch

from pm_utils.creatives.image import archive, baselines
from pm_utils.creatives.image.archive import ALL_ADS, image_creatives


def test_all_ads_are_all_that_a_still_picture_can_show():
    assert ALL_ADS.shape == (12 * 4 * 5 * 6 * 4, 5)
    assert len(np.unique(ALL_ADS, axis=0)) == len(ALL_ADS)
    creatives = image_creatives(ALL_ADS)
    assert (creatives.codes()[:, :5] == ALL_ADS).all()
    assert (creatives.codes()[:, 5:] == 0).all()


def test_the_archive_repeats_with_its_generator():
    first, again, other = (archive.image_archive(20, np.random.default_rng(k)) for k in (3, 3, 4))
    assert torch.equal(first[0], again[0])
    assert (first[1] == again[1]).all()
    assert (first[1] != other[1]).any()


def test_the_best_spread_is_the_one_with_most_complete_ads():
    pictures, asked = archive.image_archive(6, np.random.default_rng(2))

    def draw(requests, spread):
        assert requests is asked
        return pictures.numpy() if spread == 0.5 else pictures.numpy()[::-1]

    assert baselines.best_spread(draw, asked) == 0.5


def test_requests_are_those_of_an_archive():
    shown = archive.image_archive(5, np.random.default_rng(3))[1]
    assert (archive.requests(5, np.random.default_rng(3)) == shown).all()
