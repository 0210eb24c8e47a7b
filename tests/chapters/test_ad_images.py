"""What chapter 05 notes and draws while its networks train."""

import numpy as np
import pandas as pd
import pytest
import torch

from pm_utils.chapters import ad_images
from pm_utils.creatives.image.archive import ALL_ADS, image_archive, image_creatives
from pm_utils.creatives.image.evaluation import noise_spread
from pm_utils.creatives.image.networks import AdImageFlow, AdImageGAN, Strokes
from pm_utils.learning.training import History
from pm_utils.market.renderer import render_images
from pm_utils.page.scoreboard import Scoreboard
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


class Painter:
    """Draws what it was given, whatever is asked."""

    def __init__(self, ads):
        self.ads = ads

    def sample(self, attributes):
        return self.ads[: len(attributes)]


def test_a_trace_reads_the_ads_and_records_what_is_not_complete():
    images, attributes = image_archive(4, np.random.default_rng(0))
    asked = attributes.copy()
    asked[3, 3] = (asked[3, 3] + 1) % 6
    trace = ad_images.DrawingTrace(asked)
    trace(Painter(np.zeros((4, 32, 32, 3))), 0)
    trace(Painter(images.numpy()), 10)
    assert trace.steps == [0, 10]
    assert trace.complete == [0.0, 0.75]
    record = trace.record(History(steps=10, rows=40), switching=0.5)
    expected = {"steps": 10, "rows": 40, "curve": [1.0, 0.25], "curve_of": "validation"}
    assert record == expected | {"switching": 0.5}


def test_the_spread_is_noted_for_groups_of_one_request():
    ads = np.zeros((4, 32, 32, 3))
    ads[1] = 1.0
    trace = ad_images.SpreadTrace(np.zeros((4, 5), int), repeats=2)
    trace(Painter(ads), 7)
    assert (trace.steps, trace.spread) == ([7], [noise_spread(ads, 2)])


def test_methods_are_entered_as_what_they_are():
    board = Scoreboard("none", seed=0)
    contest = board.contest("ads", chosen_by="share", better="higher")
    names = ["archive", "templates", "flow", "null 1"]
    test = pd.DataFrame({"complete ads": [0.5, 1.0, 0.7, 0.0]}, index=names)
    validation = {"archive": 0.4, "templates": 0.9, "flow": 0.6}
    ad_images.enter_makers(contest, test, validation, {"flow": {"steps": 3}})
    kinds = {one.name: one.kind for one in contest.contenders}
    assert list(kinds.values()) == ["naive", "classical", "deep", "null"]
    assert contest.contenders[2].training == {"steps": 3}
    assert [one.validation for one in contest.contenders] == [0.4, 0.9, 0.6, None]


@pytest.mark.parametrize(
    ("collapsed", "words"),
    [
        (("hasty with R1", "hasty"), "it is the rates"),
        (("no penalty", "hasty"), "it is the missing penalty"),
        (("hasty",), "have to meet"),
        (("no penalty", "hasty with R1", "hasty"), "either"),
        ((), "nothing collapsed"),
        (("no penalty", "hasty with R1"), "no single cause"),
        (("hasty with R1",), "no single cause"),
        (("no penalty",), "no single cause"),
        (("as before",), "no single cause"),
        (("as before", "hasty with R1", "hasty"), "no single cause"),
        (("as before", "no penalty", "hasty with R1", "hasty"), "no single cause"),
    ],
)
def test_what_collapses_a_game_follows_from_those_that_did(collapsed, words):
    assert words in ad_images.said_of_collapse(collapsed)


def test_units_that_hear_nothing_do_not_switch():
    images, attributes = image_archive(40, np.random.default_rng(0))
    strokes = Strokes(images, 8, seed=0)
    for model in (AdImageGAN(strokes, width=8), AdImageFlow(strokes, width=8)):
        body = model.body if isinstance(model, AdImageFlow) else model.generator.body
        assert ad_images.units_switching(model, attributes) > 0.3
        for weight in body.parameters():
            torch.nn.init.zeros_(weight)
        assert ad_images.units_switching(model, attributes) == 0


@pytest.mark.parametrize(
    ("verdict", "words"),
    [
        ("loses", "take the moved archive."),
        ("tie", "cannot be told apart: take the moved archive, which needs no network."),
        ("beats", "generate."),
        ("undertrained", "train the network longer"),
    ],
)
def test_the_advice_follows_the_clicks(verdict, words):
    first, second = ad_images.advice(verdict, "moved archive").split(". ")
    assert first == "Where the archive holds the request, take the archived ad"
    assert words in second


@pytest.mark.parametrize(
    ("spread", "collapsed"),
    [
        ([0.01, 0.02], False),  # it has never had more: a game that has just begun
        ([0.8, 0.9, 0.3], True),
        ([0.8, 0.9, 0.5], False),
        ([0.8, 0.1, 0.7], False),  # it came back
    ],
)
def test_a_game_collapses_only_from_its_own_height(spread, collapsed):
    trace = ad_images.SpreadTrace(np.zeros((4, 5), int), repeats=2, spread=spread)
    assert trace.collapsed is collapsed


def test_contrasting_customers_want_different_categories():
    traits = pd.DataFrame({"a": [3, 2, 1, 0], "b": [3, 2, 1, 0], "c": [0, 0, 9, 1]})
    wanted = np.array([[5, 0], [5, 1], [2, 0], [7, 0]])
    assert ad_images.contrasting_customers(traits, wanted) == [0, 2, 3]
    with pytest.raises(ValueError, match="no customer is left for 'b'"):
        ad_images.contrasting_customers(traits[["a", "b"]], np.zeros((4, 2), int))


def test_more_than_half_nearer_to_the_archive_is_told():
    assert "no copies" in ad_images.said_of_copies(0.53, 0.04)
    assert "lean to the archive" in ad_images.said_of_copies(0.55, 0.04)


@pytest.mark.parametrize("wrong", [(np.nan, 0.04), (0.55, np.nan), (55.0, 0.04), (0.55, -0.04)])
def test_copies_are_not_told_from_what_is_no_share(wrong):
    with pytest.raises(ValueError, match="share is|error is"):
        ad_images.said_of_copies(*wrong)


@pytest.mark.parametrize("gap", [(np.nan, 0.2), (0.01, np.nan)])
def test_an_interval_without_an_end_has_no_words(gap):
    with pytest.raises(ValueError, match="gap is not finite"):
        ad_images.more_or_fewer(gap)
