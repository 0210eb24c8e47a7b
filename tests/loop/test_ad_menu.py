"""The catalogue of ads: every text in every look, written, drawn and proof-read."""

import numpy as np
import pytest
import torch

from pm_utils.creatives.text.evaluation import ADS, ads_in_headlines
from pm_utils.loop.ad_menu import LOOKS, AdCatalogue, draw_ads, one_hot_texts, write_texts
from pm_utils.market.headlines import copy_grammar


def test_texts_and_looks_are_all_different_and_a_few_looks_already_differ_in_both():
    assert len({tuple(text) for text in ADS}) == 240
    assert len({tuple(look) for look in LOOKS}) == 24
    assert set(LOOKS[:6, 0]) == set(range(6))
    assert set(LOOKS[:6, 1]) == set(range(4))


def test_an_ad_is_its_text_times_looks_plus_its_look():
    menu = AdCatalogue.of(3)
    ads = menu.creatives()
    assert len(menu) == len(ads) == 720
    ad = 17 * 3 + 2
    codes = [getattr(ads, k)[ad] for k in ("category", "tone", "discount", "palette", "layout")]
    assert codes == [*ADS[17], *LOOKS[2]]
    assert not ads.motion.any()


def test_levels_of_different_attributes_never_share_a_code():
    levels = AdCatalogue.of(6).codes()
    ranges = [set(column) for column in levels.T]
    assert [len(codes) for codes in ranges] == [12, 4, 5, 6]
    assert set.union(*ranges) == set(range(27))


def test_only_texts_and_looks_that_are_open_may_be_sent():
    menu = AdCatalogue(2, np.arange(240) < 3, np.array([False, True]))
    assert menu.open_ads.tolist() == [1, 3, 5]
    assert len(AdCatalogue.of(2).open_ads) == 480


def test_an_archive_has_few_texts_in_one_look_and_none_that_is_closed():
    menu = AdCatalogue.of(4)
    menu.open_texts[:100] = False
    old = menu.archive(10, np.random.default_rng(0))
    assert len(old.open_ads) == 10
    assert (old.open_ads % 4 == 0).all()
    assert (old.open_ads // 4 >= 100).all()
    assert len(menu.open_ads) == 140 * 4  # the menu stays


def test_prefixes_name_every_text():
    prefix = one_hot_texts()
    assert prefix.shape == (240, 21)
    assert (prefix.sum(1) == 3).all()
    assert len(torch.unique(prefix, dim=0)) == 240


class Scribe:
    """Writes what is asked, but gets some texts wrong a number of times."""

    def __init__(self, wrong: dict[int, int]) -> None:
        grammar, asked = copy_grammar(), AdCatalogue.of(1).creatives()
        self.page = torch.tensor(grammar.sample(asked, np.random.default_rng(0)))
        self.wrong, self.asked = dict(wrong), []

    def generate(self, code, *, temperature=0.0, seed=0):
        text = (code @ one_hot_texts().T).argmax(1)
        self.asked.append((text.tolist(), temperature, seed))
        page = self.page[text].clone()
        for row, which in enumerate(text.tolist()):
            if self.wrong.get(which, 0) > 0:
                self.wrong[which] -= 1
                page[row] = page[row].flip(0)
        return page


def test_what_reads_wrong_is_written_again_and_nothing_else():
    scribe = Scribe({5: 1, 7: 3, 9: 99})
    page, right = write_texts(scribe, tries=4, seed=10)
    assert [row for row, _, _ in scribe.asked[1:]] == [[5, 7, 9], [7, 9], [7, 9]]
    assert scribe.asked[0][1] == 0
    assert all(temperature > 0 for _, temperature, _ in scribe.asked[1:])
    assert len({seed for _, _, seed in scribe.asked[1:]}) == 3
    assert right.sum(1).tolist() == [237, 238, 238, 239]
    said = ads_in_headlines(page)
    assert said[9] == -1
    assert np.array_equal(np.delete(said, 9), np.delete(np.arange(240), 9))


def test_a_writer_without_faults_is_asked_once():
    scribe = Scribe({})
    _, right = write_texts(scribe, tries=3, seed=0)
    assert len(scribe.asked) == 1
    assert right.shape == (3, 240)
    assert right.all()


@pytest.fixture(scope="module")
def drawn():
    menu = AdCatalogue.of(1)
    return menu, *draw_ads(menu, np.random.default_rng(0))


def test_pictures_read_as_they_were_asked_for(drawn):
    menu, pictures, right = drawn
    assert pictures.shape == (240, 32, 32, 3)
    assert right.mean() > 0.98


def test_a_garbled_picture_does_not_pass(drawn, monkeypatch):
    menu, pictures, _ = drawn
    noise = np.random.default_rng(1).random(pictures.shape, dtype=np.float32)
    monkeypatch.setattr("pm_utils.loop.ad_menu.render_images", lambda asked, rng: noise)
    assert draw_ads(menu, np.random.default_rng(0))[1].mean() < 0.02
    swapped = pictures[::-1].copy()  # fine pictures of other ads
    monkeypatch.setattr("pm_utils.loop.ad_menu.render_images", lambda asked, rng: swapped)
    assert draw_ads(menu, np.random.default_rng(0))[1].mean() < 0.02


def test_the_one_hot_table_has_ones_at_the_codes():
    menu = AdCatalogue.of(2)
    one_hot = menu.one_hot()
    assert one_hot.shape == (480, 23)
    assert (one_hot.sum(1) == 4).all()
    assert np.array_equal(np.nonzero(one_hot)[1].reshape(-1, 4), menu.codes())
