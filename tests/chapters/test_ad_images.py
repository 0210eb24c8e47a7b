"""What chapter 05 notes and draws while its networks train."""

import numpy as np
import pytest

from pm_utils.chapters import ad_images
from pm_utils.creatives.image.archive import ALL_ADS, image_creatives
from pm_utils.market.renderer import render_images
from tests.support.market_world import small_market


def test_an_interval_chooses_the_words():
    assert ad_images.more_or_fewer((0.01, 0.2)) == "more"
    assert ad_images.more_or_fewer((-0.2, -0.01)) == "fewer"
    assert ad_images.more_or_fewer((-0.1, 0.1)) == "neither clearly more nor fewer"


def test_rows_of_pictures_are_named_and_keep_their_colours():
    rows = {"one": np.zeros((3, 32, 32, 3)), "other": np.full((3, 32, 32, 3), 0.5)}
    (axes,) = ad_images.picture_rows(rows, scale=1).axes
    assert [label.get_text() for label in axes.get_yticklabels()] == ["one", "other"]
    drawn = np.asarray(axes.images[0].get_array())
    assert drawn.shape == (2 * 34, 3 * 34, 3)
    assert (drawn[1:33, 1:33] == 0).all()
    assert (drawn[35:67, 1:33] == 0.5).all()


def test_clicks_follow_what_an_ad_shows_and_garbled_ads_earn_nothing():
    market = small_market(50, creatives=image_creatives(ALL_ADS))
    customers = np.arange(50)
    best = ad_images.best_ads(market, customers)
    drawn = render_images(image_creatives(best), np.random.default_rng(0))
    clicks = ad_images.true_clicks(market, customers, drawn)
    assert clicks == pytest.approx(market.click_table.max(1), rel=1e-5)
    noise = np.random.default_rng(1).random(drawn.shape)
    assert (ad_images.true_clicks(market, customers, noise) == 0).all()
