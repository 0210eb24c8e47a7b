"""Clips play in the page without another file."""

import numpy as np

from pm_utils.creatives.video import player


def test_an_ad_is_described_in_words():
    assert player.describe(np.array([10, 3, 1, 6])) == "pets, blue, left, up fast"
    assert player.describe(np.array([0, 0, 0, 0])) == "drinks, red, centre, still"
