"""Chapter 06: the settings that are chosen, who is judged, and what clips earn."""

import dataclasses

import numpy as np
import pandas as pd
import pytest
import torch

from pm_utils.chapters import ad_video
from pm_utils.creatives.video import archive
from pm_utils.evaluation.bootstrap import bootstrap_weights
from pm_utils.market import Market, Uniform
from pm_utils.page.scoreboard import Scoreboard


@pytest.fixture(scope="module")
def market() -> Market:
    ads = archive.clip_creatives(archive.CLIP_CATALOGUE)
    return Market(300, seed=0, creatives=ads)


def test_of_settings_with_as_many_clips_that_count_the_closest_in_look_is_chosen():
    rows = pd.MultiIndex.from_product([["a", "b"], [0.0, 0.5, 1.0]], names=["maker", "boldness"])
    scores = {"counts": [0.9, 0.9, 0.8, 0.2, 0.4, 0.3], "Fréchet": [1.0, 0.9, 0.1, 0.1, 50, 0.1]}
    table = pd.DataFrame(scores, rows)
    assert ad_video.chosen_boldness(table) == {"a": 0.5, "b": 0.5}
    assert ad_video.chosen_boldness(table.assign(Fréchet=[0.9, 1.0, 0.1, 0.1, 50, 0.1]))["a"] == 0
    assert ad_video.choosing_score(table).nunique() == len(table)


def test_what_never_failed_may_still_fail_with_the_probability_that_is_said():
    possible = ad_video.failures_possible(160)
    assert (1 - possible) ** 160 == pytest.approx(0.05)
    with pytest.raises(ValueError, match="n is out of range"):
        ad_video.failures_possible(0)


def test_at_the_ceiling_the_interval_is_what_remains_possible_and_else_resampled():
    draws = bootstrap_weights(50, 200, 0) / 50
    both = np.ones(50)
    low, high = ad_video.share_interval(both, both, draws)
    assert high == -low
    assert (1 - high) ** 50 == pytest.approx(0.025)  # on either side
    failed = np.where(np.arange(50) < 10, 0.0, 1.0)
    low, high = ad_video.share_interval(failed, both, draws)
    assert -0.4 < low < -0.2 < high < 0


def test_clicks_are_drawn_by_ads_for_clips_of_an_ad_fail_together():
    ads, planned = np.repeat(np.arange(12), 40), np.full(480, 0.07)
    low, high = ad_video.clicks_interval(planned, planned, ads, repeats=50, seed=0)
    assert high == -low
    assert (1 - high / 0.07) ** 12 == pytest.approx(0.025)  # 12 ads, not 480 customers
    failed = np.where(ads == 3, 0.0, planned)
    low, high = ad_video.clicks_interval(failed, planned, ads, repeats=500, seed=0)
    assert high == 0  # an interval over customers would exclude it
    assert low < -0.07 / 12
    low, high = ad_video.clicks_interval(planned + 0.01, planned, ads, repeats=50, seed=0)
    assert low == pytest.approx(0.01) and high == pytest.approx(0.01)


def test_the_basic_interval_goes_down_by_as_much_as_resamples_go_up():
    drawn = np.linspace(0.0, 1.0, 1001)
    assert ad_video.basic_interval(0.5, drawn) == pytest.approx((0.025, 0.975))
    assert ad_video.basic_interval(0.3, drawn) == pytest.approx((-0.375, 0.575))


def test_a_generator_pays_only_if_every_rival_is_beaten_and_it_is_trained():
    assert "pays" in ad_video.clicks_advice("beats", [])
    assert "templates" in ad_video.clicks_advice("beats", ["templates"])
    assert "no advice" in ad_video.clicks_advice("undertrained", [])


def test_what_is_said_of_the_ceiling_and_of_the_last_steps_follows_the_figures():
    good, bad = pd.Series([True] * 160), pd.Series([True] * 159 + [False])
    assert "2.3%" in ad_video.ceiling_said(good, good)
    assert "not both" in ad_video.ceiling_said(good, bad)
    said = {ad_video.settled_said(change) for change in (-0.1, 0.0, 0.1)}
    assert len(said) == 3 and "falling" in ad_video.settled_said(-0.1)


def test_players_enter_with_their_maker_s_kind_and_record_and_what_has_no_kind_as_naive():
    verdict = pd.DataFrame({k: [True] for k in ("motion", "counts", "valid", "frozen", "looping")})
    one = ad_video.Judged(verdict, np.zeros((1, 1)), 0.0, 0.25)
    players = ad_video.players({("VAE", 0.5): one, ("VAE", 1.0): one}, {"stills": one})
    contest = Scoreboard("06-ad-video", seed=0).contest("look", chosen_by="it", better="lower")
    ad_video.enter_players(
        contest,
        {"look": "Fréchet"},
        ad_video.boldest(players),
        ad_video.player_scores(players)["Fréchet"],
        {"VAE": "deep"},
        {"VAE": {"steps": 3}},
    )
    found = [(c.name, c.kind, c.validation, c.test, c.training) for c in contest.contenders]
    assert found == [
        ("VAE, boldness 1", "deep", 0.25, {"look": 0.25}, {"steps": 3}),
        ("stills", "naive", 0.25, {"look": 0.25}, None),
    ]


def test_real_and_made_clips_of_a_request_are_drawn_together():
    rng = np.random.default_rng(0)
    real, asked = archive.clip_archive(30, rng)
    torch.manual_seed(0)
    jury = ad_video.Jury(ad_video.ClipClassifier(features=2), real, asked)
    same, other = jury.judge(real), jury.judge(real.flip(1) / 2)
    gaps = jury.gaps(other, same, repeats=20, seed=0)
    assert gaps.shape == (20,)
    assert (gaps > 0).all()
    # Drawn together, real clips are at no distance from themselves: the gap is the other's alone.
    rows = np.random.default_rng(0).integers(30, size=30)
    alone = ad_video.frechet_distance(other.look[rows], jury.look[rows])
    assert gaps[0] == pytest.approx(alone, abs=1e-6)


def test_no_household_is_on_two_sides(market):
    parts = ad_video.split_customers(market, 60, 30)
    assert [len(part) for part in parts[:2]] == [60, 30]
    households = [set(market.customers["customer_id"].iloc[part]) for part in parts]
    for i, j in ((0, 1), (0, 2), (1, 2)):
        assert not households[i] & households[j]
    with pytest.raises(ValueError, match="too few to judge 200"):
        ad_video.split_customers(market, 200, 30)


def test_the_click_model_beats_one_chance_for_all_and_reads_no_truth(market):
    judged, _, in_log = ad_video.split_customers(market, 60, 30)
    log = market.impressions(Uniform(len(archive.CLIP_CATALOGUE)), 60_000, customers=in_log)
    model = ad_video.ClickModel(market, log)
    predicted = model.predict(judged[:20])
    truth = market.of(judged[:20]).click_table
    assert predicted.shape == truth.shape
    chosen = truth[np.arange(20), predicted.argmax(1)].mean()
    assert chosen > 1.5 * truth.mean()
    assert model.predict(judged[:20]) == pytest.approx(predicted)


def test_the_click_model_reads_a_style_that_follows_what_is_bought(market):
    everyone = np.arange(market.n_customers)
    log = market.impressions(Uniform(len(archive.CLIP_CATALOGUE)), 60_000, customers=everyone)
    pets = market.customers["share_pets"].to_numpy()
    likes = np.where(pets > np.median(pets), 2, 4)  # a palette
    chance = np.where(archive.CLIP_CATALOGUE[log.creative, 1] == likes[log.customer], 0.2, 0.02)
    click = (np.random.default_rng(0).random(len(chance)) < chance).astype(log.click.dtype)
    model = ad_video.ClickModel(market, dataclasses.replace(log, click=click))
    assert model.weight > 0
    asked = archive.CLIP_CATALOGUE[model.predict(everyone[:60]).argmax(1), 1]
    assert (asked == likes[:60]).mean() > 0.8


def test_a_real_clip_earns_what_its_ad_earns_and_noise_earns_nothing():
    codes = archive.CLIP_CATALOGUE[[0, 700]]
    clips = archive.shoot(codes, np.random.default_rng(0))
    truth = np.random.default_rng(1).uniform(0.01, 0.1, (3, len(archive.CLIP_CATALOGUE)))
    shown = torch.cat([clips, torch.full_like(clips[:1], 0.5)])
    earned = ad_video.clicks_of_clips(truth, shown)
    assert earned == pytest.approx([truth[0, 0], truth[1, 700], 0])


def test_what_filming_costs_is_split_by_product():
    ads = np.array([[0, 0, 0, 0], [0, 1, 0, 0], [3, 0, 0, 0], [3, 0, 0, 1]])
    planned, earned = np.array([0.1, 0.1, 0.2, 0.2]), np.array([0.1, 0.06, 0.2, 0.0])
    found = ad_video.lost_by_product(planned, earned, ads)
    assert len(found) == 12
    assert found["asked for"].sum() == 4
    assert found.loc["drinks", "lost"] == pytest.approx(10)
    assert found["lost"].sum() == pytest.approx(1000 * (planned - earned).mean())


def test_the_nearest_clip_has_most_right_and_then_the_direction():
    codes = np.array([[0, 0, 0, 1], [0, 0, 0, 3], [5, 0, 0, 2]])
    clips = torch.arange(3.0).view(3, 1, 1, 1, 1)
    asked = np.array([[0, 0, 0, 2], [0, 0, 0, 4], [5, 1, 0, 2]])
    assert ad_video.nearest_clips(clips, codes, asked).flatten().tolist() == [0, 1, 2]


def test_a_maker_is_judged_at_every_boldness():
    rng = np.random.default_rng(0)
    real, asked = archive.clip_archive(30, rng)
    torch.manual_seed(0)
    jury = ad_video.Jury(ad_video.ClipClassifier(features=4), real, asked)

    def fade(codes, rng, *, boldness):
        return real * (1 - boldness)

    judged = jury.try_all({"fade": fade}, rng)
    table = ad_video.maker_scores(judged)
    assert list(table.index) == [("fade", bold) for bold in ad_video.BOLDNESS]
    assert table["counts"].iloc[0] == 1 and table["counts"].iloc[-1] == 0
    assert table["Fréchet"].iloc[0] == pytest.approx(0, abs=1e-6)
    assert ad_video.chosen_boldness(table)["fade"] == 0
