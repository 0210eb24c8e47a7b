"""Bands of an ordered column are merged as asked, or refused."""

import pandas as pd
import pytest

from pm_utils.data import levels

LEVELS = ["a", "b", "c", "d"]
COLUMN = pd.Series(
    pd.Categorical(["a", "d", None, "b", "c"], LEVELS, ordered=True), [9, 8, 7, 6, 5], name="x"
)


def test_bands_hold_the_levels_up_to_their_end():
    merged = levels.merge_levels(COLUMN, {"low": 1, "middle": 3, "high": 4})
    assert merged.astype(object).where(merged.notna(), None).tolist() == [
        *("low", "high", None, "middle", "middle")
    ]
    assert list(merged.index) == [9, 8, 7, 6, 5]
    assert list(merged.cat.categories) == ["low", "middle", "high"]
    assert merged.name == "x"


@pytest.mark.parametrize("bands", [{"low": 2}, {"low": 3, "high": 2, "top": 4}, {"low": 2, "h": 5}])
def test_bands_that_do_not_cover_the_levels_are_refused(bands):
    with pytest.raises(ValueError, match="x has 4 levels"):
        levels.merge_levels(COLUMN, bands)


def test_only_ordered_categories_are_merged():
    with pytest.raises(ValueError, match="no ordered categories"):
        levels.merge_levels(pd.Series(["a", "b"], name="x"), {"low": 1})
