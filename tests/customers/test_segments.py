"""Segments get readable, unlike names from the data; neighbours are scored by hand-worked cases."""

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from pm_utils.customers import segments
from pm_utils.data import load_shop


@pytest.fixture(scope="module")
def shop() -> SimpleNamespace:
    products = pd.DataFrame(
        {
            "product_id": [1, 2, 3, 4],
            "category": ["BEERS/ALES", "BEEF", "COUPON/MISC ITEMS", "SHAMPOO FOR YAKS"],
            "department": ["GROCERY", "MEAT", "FUEL", "DRUG GM"],
        }
    )
    lines = pd.DataFrame(
        {
            "customer_id": [5, 5, 5, 6, 6, 7],
            "product_id": [1, 2, 1, 3, 4, 2],
            "amount": [6.0, 2.0, 99.0, 3.0, 1.0, 0.0],
            "ordered_at": pd.to_datetime(
                ["2017-01-02", "2017-02-01", "2017-03-01", "2017-01-05", "2017-01-06", "2017-01-07"]
            ),
        }
    )
    return SimpleNamespace(products=products, order_lines=lines)


def test_spend_is_by_theme_and_before_the_date(shop):
    spend = segments.theme_spend(shop, "2017-03-01")
    assert list(spend.index) == [5, 6]  # 7 spent nothing
    assert spend.loc[5, "wine and beer drinkers"] == 6
    assert spend.loc[5, "meat eaters"] == 2
    assert spend.loc[6, "drivers who fill up"] == 3
    assert spend["all"].tolist() == [8, 4]  # one dollar of 6 has no theme


def test_no_category_belongs_to_two_themes():
    held = [category for theme in segments.THEMES.values() for category in theme]
    assert len(held) == len(set(held))


def test_every_theme_names_categories_that_the_shop_sells():
    products = load_shop(["products"]).products
    sold = {*products["category"].dropna().unique(), *products["department"].unique()}
    assert not {c for theme in segments.THEMES.values() for c in theme} - sold


def portraits_of(first: str, second: str, orders: tuple[float, float]) -> pd.DataFrame:
    rng = np.random.default_rng(0)
    spend = pd.DataFrame(rng.uniform(0, 5, (60, len(segments.THEMES))), range(60))
    spend.columns = list(segments.THEMES)
    spend.loc[:29, first] += 40
    spend.loc[30:, second] += 40
    spend["all"] = 100.0
    segment = pd.Series([0] * 30 + [1] * 30, range(60))
    activity = pd.DataFrame(
        {"orders_per_8w": np.repeat(orders, 30), "spend_per_8w": np.repeat([50.0, 80.0], 30)}
    )
    return segments.segment_portraits(segment, activity, spend)


def test_a_planted_theme_names_its_segment():
    portraits = portraits_of("pet owners", "bakers", (9.0, 3.0))
    assert list(portraits["name"]) == ["Fortnightly bakers", "Weekly pet owners"]  # by spend
    assert portraits["households"].tolist() == [30, 30]
    assert portraits["share"].sum() == pytest.approx(1)
    assert portraits.loc[0, "buys_more"].startswith("pet owners ×1.9")


def test_no_two_segments_share_a_name_and_none_is_named_by_chance():
    rng = np.random.default_rng(1)
    spend = pd.DataFrame(rng.uniform(size=(400, len(segments.THEMES))), range(400))
    spend.columns = list(segments.THEMES)
    spend["all"] = 20.0
    activity = pd.DataFrame({"orders_per_8w": 5.0, "spend_per_8w": np.arange(400) % 4})
    names = segments.segment_portraits(pd.Series(np.arange(400) % 4), activity, spend)["name"]
    alike = f"Fortnightly {segments.MIXED}"
    assert names.tolist() == [alike, f"{alike} 2", f"{alike} 3", f"{alike} 4"]


def test_segments_of_one_theme_are_told_apart_by_the_next():
    spend = pd.DataFrame(1.0, range(60), list(segments.THEMES)).assign(all=100.0)
    spend.loc[:39, "bakers"] = 30.0  # in two of three segments
    spend.loc[20:39, "pet owners"] = 10.0
    spend += np.random.default_rng(0).uniform(0, 0.1, spend.shape)
    activity = pd.DataFrame({"orders_per_8w": 8.0, "spend_per_8w": np.repeat([3.0, 2, 1], 20)})
    portraits = segments.segment_portraits(pd.Series(np.repeat([0, 1, 2], 20)), activity, spend)
    names = portraits["name"].tolist()
    assert names[0] == "Weekly bakers"
    assert names[1] in ("Weekly pet owners", "Weekly bakers and pet owners")
    assert portraits.loc[1, "buys_more"].count("×") == 2


def test_the_name_is_the_theme_that_stands_out_most():
    """A bigger spender has the theme already: the name gets longer, not another theme's."""
    assert segments._names(["Weekly", "Weekly"], [["bakers"], ["bakers", "snackers"]]) == [
        "Weekly bakers",
        "Weekly bakers and snackers",
    ]


def test_many_small_baskets_do_not_outvote_the_dollars():
    spend = pd.DataFrame(0.0, range(60), list(segments.THEMES)).assign(all=100.0)
    spend["snackers"] = np.random.default_rng(0).uniform(19, 21, 60)
    spend.loc[30:49, ["snackers", "wine and beer drinkers"]] = [0.0, 1.0]  # a bottle, no more
    spend.loc[30:49, "all"] = 1.0
    activity = pd.DataFrame({"orders_per_8w": 2.0, "spend_per_8w": 1.0}, range(60))
    segment = pd.Series(np.repeat([0, 1], 30), range(60))
    portraits = segments.segment_portraits(segment, activity, spend)
    assert (spend["wine and beer drinkers"] / spend["all"])[30:].mean() > 0.6
    assert portraits.loc[1, "name"].startswith("Monthly ")
    assert "wine" not in portraits.loc[1, "buys_more"]  # 20 of 1,020 dollars, with a wide error


@pytest.mark.parametrize(
    ("orders", "word"),
    [
        *((17.1, "Twice-weekly"), (12, "Twice-weekly"), (11, "Weekly"), (6.9, "Weekly")),
        *((5, "Fortnightly"), (2.3, "Monthly"), (1.2, "Rare"), (0, "Rare")),
    ],
)
def test_a_rhythm_has_the_word_whose_rate_is_nearest(orders, word):
    assert segments._rhythm(orders) == word


def test_clouds_are_found_again_and_one_cloud_is_not():
    rng = np.random.default_rng(0)
    cloud = rng.normal(size=(300, 8))
    three = cloud + 30 * np.eye(8)[np.arange(300) % 3]
    assert segments.stability(three, [3]).loc[3] == 1
    assert segments.stability(cloud, [6]).loc[6] < 0.6
    with pytest.raises(ValueError, match="groups is 151: give at most 150"):
        segments.stability(cloud, [151])


def test_overlap_of_the_nearest_is_worked_by_hand():
    vectors = np.array([[1.0, 0.0], [1.0, 0.1], [0.0, 1.0], [0.1, 1.0]])
    target = np.array([[1, 1, 0], [1, 0, 0], [0, 0, 1], [0, 0, 0]])
    assert segments.neighbour_overlap(vectors, target, 1).tolist() == [0.5, 0.5, 0.0, 0.0]


def test_twins_never_count_themselves():
    vectors = np.ones((6, 2))
    target = np.eye(6)
    assert segments.neighbour_overlap(vectors, target, 3).tolist() == [0.0] * 6


def test_the_nearest_come_in_order_and_leave_out_the_customer():
    vectors = np.array([[1.0, 0.0], [1.0, 1.0], [1.0, 0.1], [-1.0, 0.0], [5.0, 0.0]])
    assert segments.nearest_customers(vectors, 0, 3).tolist() == [4, 2, 1]


# --- What is refused ------------------------------------------------------------------------------

VECTORS = np.random.default_rng(0).normal(size=(12, 3))
BOUGHT = np.random.default_rng(1).random((12, 4)) < 0.5


def test_neighbours_do_not_depend_on_the_order_of_the_rows():
    rows = np.random.default_rng(2).permutation(12)
    overlap = segments.neighbour_overlap(VECTORS, BOUGHT, 3)
    assert segments.neighbour_overlap(VECTORS[rows], BOUGHT[rows], 3) == pytest.approx(
        overlap[rows]
    )
    table, target = pd.DataFrame(VECTORS), pd.DataFrame(BOUGHT.astype(int))
    found = segments.neighbour_overlap(table, target.iloc[rows], 3)
    assert found.to_numpy() == pytest.approx(overlap)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda gaps: segments.nearest_customers(gaps, 0, 3), "vectors is not finite in 1 of 12"),
        (lambda gaps: segments.neighbour_overlap(gaps, BOUGHT, 3), "vectors is not finite"),
        (lambda _: segments.nearest_customers(VECTORS, 0, 12), "12 neighbours of 12 rows"),
        (lambda _: segments.neighbour_overlap(VECTORS, 2 * BOUGHT, 3), "target holds 0, 2"),
        (lambda _: segments.neighbour_overlap(VECTORS, BOUGHT[:5], 3), "vectors 12, target 5"),
    ],
)
def test_neighbours_of_what_is_not_known_are_refused(call, message):
    gaps = VECTORS.copy()
    gaps[4, 1] = np.nan
    with pytest.raises(ValueError, match=message):
        call(gaps)


def test_portraits_meet_by_customer_and_name_columns():
    who = pd.Index([1, 2, 3, 4], name="customer_id")
    spend = pd.DataFrame(np.random.default_rng(0).random((4, 11)), who, list(segments.THEMES))
    spend["all"] = 20.0
    activity = pd.DataFrame(
        {"orders_per_8w": [9.0, 9, 2, 3], "spend_per_8w": [30.0, 20, 4, 6]}, who
    )
    segment = pd.Series([0, 0, 1, 1], who)
    wanted = segments.segment_portraits(segment, activity, spend)
    mixed = segments.segment_portraits(
        segment[::-1], activity.iloc[[2, 0, 3, 1], ::-1], spend.iloc[::-1, ::-1]
    )
    pd.testing.assert_frame_equal(mixed[wanted.columns], wanted)
    with pytest.raises(ValueError, match="row 3, column 'spend_per_8w'"):
        segments.segment_portraits(segment, activity.replace(4.0, np.nan), spend)
    with pytest.raises(KeyError, match="activity has no column 'orders_per_8w'"):
        segments.segment_portraits(segment, activity[["spend_per_8w"]], spend)
    with pytest.raises(ValueError, match="no customer of spend has a segment"):
        segments.segment_portraits(segment.rename(lambda k: k + 9), activity, spend)


def test_neighbours_that_are_equally_near_share_the_last_place():
    """Five twins and two neighbours each: any two of the others, so all of them by halves."""
    vectors = pd.DataFrame(np.vstack([np.ones((5, 3)), [[1.0, 0, 0]]]), list("abcdef"))
    target = pd.DataFrame(np.eye(6, dtype=int), vectors.index)
    target.loc["b", 0] = 1  # what a bought: half in common, with one of four twins
    found = segments.neighbour_overlap(vectors, target, 2)
    assert found.index.tolist() == list("abcdef")
    assert found["a"] == pytest.approx(1 / 2 / 4)
    for seed in range(5):
        mixed = vectors.sample(frac=1, random_state=seed)
        again = segments.neighbour_overlap(mixed, target, 2)
        assert again[vectors.index].to_numpy() == pytest.approx(found.to_numpy(), abs=1e-12)


def test_a_row_that_is_none_has_no_neighbours():
    for row in (-1, 4):
        with pytest.raises(IndexError, match=f"row is {row}: give one of 0 to 3"):
            segments.nearest_customers(np.eye(4), row, 2)
