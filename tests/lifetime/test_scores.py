"""Scores of predicted dollars against scipy, against hand-worked values and against repetition."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import spearmanr

from pm_utils.evaluation.bootstrap import bootstrap_weights
from pm_utils.lifetime import scores as scoring
from pm_utils.lifetime.scores import decile_error, decile_table, normalised_gini, spearman

RNG = np.random.default_rng(0)
ACTUAL = np.round(RNG.gamma(1, 3, 300))  # many ties, some zeros
GUESS = (ACTUAL + RNG.normal(0, 2, 300)).round(1)


def test_spearman_is_scipys_with_ties():
    assert spearman(ACTUAL, GUESS) == pytest.approx(spearmanr(ACTUAL, GUESS)[0])
    assert spearman(ACTUAL, -GUESS) == pytest.approx(-spearmanr(ACTUAL, GUESS)[0])


def test_a_constant_has_no_rank_correlation():
    assert np.isnan(spearman(ACTUAL, np.ones(300)))


def test_a_gini_by_hand():
    """Dollars 3, 1, 0. Best line: shares 3/4, 1, 1, area (3/8 + 7/8 + 1)/3 − 1/2 = 1/4.

    With the 1 first: 1/4, 1, 1, area (1/8 + 5/8 + 1)/3 − 1/2 = 1/12.
    """
    assert normalised_gini([3, 1, 0], [9, 8, 7]) == pytest.approx(1)
    assert normalised_gini([3, 1, 0], [8, 9, 7]) == pytest.approx(1 / 3)
    assert normalised_gini([3, 1, 0], [1, 1, 1]) == pytest.approx(0)


def test_a_gini_is_one_for_the_true_order_and_minus_one_for_its_reverse():
    assert normalised_gini(ACTUAL, ACTUAL) == pytest.approx(1)
    assert normalised_gini(ACTUAL, -ACTUAL) == pytest.approx(-1)
    random_orders = [
        normalised_gini(ACTUAL, np.random.default_rng(k).random(300)) for k in range(40)
    ]
    assert abs(np.mean(random_orders)) < 0.05


def test_order_scores_do_not_see_the_level():
    for measure in (spearman, normalised_gini):
        assert measure(ACTUAL, np.exp(GUESS / 9)) == pytest.approx(measure(ACTUAL, GUESS))
        assert measure(7 * ACTUAL, GUESS) == pytest.approx(measure(ACTUAL, GUESS))


def test_customers_with_one_prediction_share_their_dollars():
    """The mean over both orders of a tie is the tie's own score."""
    actual = [5.0, 2.0, 1.0]
    orders = normalised_gini(actual, [2.1, 2.0, 3.0]), normalised_gini(actual, [2.0, 2.1, 3.0])
    assert normalised_gini(actual, [2.0, 2.0, 3.0]) == pytest.approx(np.mean(orders))


@given(st.integers(0, 10_000))
def test_weights_count_customers(seed):
    weight = bootstrap_weights(300, 3, seed)
    scores = scoring.value_scores(ACTUAL, GUESS, weight)
    repeated = np.repeat(np.arange(300), weight[1])
    again = scoring.value_scores(ACTUAL[repeated], GUESS[repeated])
    for name, values in scores.items():
        assert values.shape == (3,)
        assert values[1] == pytest.approx(again[name]), name


def test_one_row_of_weights_gives_one_number():
    weight = bootstrap_weights(300, 2, 0)
    rows = scoring.value_scores(ACTUAL, GUESS, weight)
    one = scoring.value_scores(ACTUAL, GUESS, weight[1])
    assert {name: float(values[1]) for name, values in rows.items()} == pytest.approx(one)


def test_levels_by_hand():
    scores = scoring.value_scores([0.0, 4.0], [1.0, 5.0])
    assert list(scores) == list(scoring.SCORES)
    assert scores["RMSE"] == 1
    assert scores["total"] == 1.5


def test_the_mean_wins_by_the_squared_error_and_not_the_median():
    """Dollars of 0, 0 and 9: the mean is 3 and the median 0."""
    rmse = {said: scoring.value_scores([0, 0, 9], [said] * 3)["RMSE"] for said in (0, 2, 3, 4)}
    assert min(rmse, key=rmse.get) == 3
    assert rmse[3] == pytest.approx(18**0.5)
    assert scoring.value_scores([0, 0, 9], [3] * 3, [1, 1, 0])["RMSE"] == pytest.approx(3)


def test_parts_are_equal_and_sorted_by_prediction():
    table = decile_table(np.arange(20.0), np.arange(20.0)[::-1], bins=4)
    assert table.index.tolist() == [1, 2, 3, 4]
    assert table["predicted"].tolist() == [2, 7, 12, 17]
    assert table["actual"].tolist() == [17, 12, 7, 2]
    assert table["error"].tolist() == pytest.approx([np.sqrt(2.5 / 5)] * 4)


def test_a_decile_error_by_hand():
    """Two parts: 3 predicted for 2, 8 for 10."""
    actual, predicted = [1.0, 3.0, 9.0, 11.0], [3.0, 3.0, 8.0, 8.0]
    assert decile_error(actual, predicted, bins=2) == pytest.approx((0.5 + 0.2) / 2)
    assert decile_error(actual, [2.0, 2.0, 10.0, 10.0], bins=2) == 0


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: spearman([1, 2], [1]), "actual 2, predicted 1 rows: give as many of each"),
        (lambda: spearman([1.0], [np.nan]), "predicted is not finite in 1 of 1 rows"),
        (lambda: spearman([], []), "actual and predicted: no rows"),
        (lambda: spearman([[1, 2]], [[1, 2]]), "actual has shape"),
        (lambda: spearman([1, 2], [1, 2], [1, -1]), "weight is out of range in 1 of 2 rows"),
        (lambda: spearman([1, 2], [1, 2], [0, 0]), "none of 0 for all"),
        (lambda: spearman([1, 2], [1, 2], np.ones((3, 3))), r"weight has shape \(3, 3\)"),
        (lambda: normalised_gini([2, 2], [1, 2]), "actual is 2 for all: there is no order to find"),
        (lambda: decile_error(4 * [0] + 4 * [1], range(8), bins=4), "part 1, 2 of 4 brought noth"),
        (lambda: normalised_gini([-1, 2], [1, 2]), "dollars of at least 0"),
        (lambda: normalised_gini([0, 0], [1, 2]), "and some above it"),
        (lambda: decile_table(np.ones(9), np.ones(9), bins=5), "9 customers in 5 parts"),
    ],
)
def test_what_cannot_be_scored_is_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_an_interval_over_customers_covers_the_score_of_all():
    """Ninety-five in a hundred samples of a population should; at least eighty of ninety do."""
    population = np.random.default_rng(1).gamma(1, 3, (40_000, 1))
    noise = np.random.default_rng(2).normal(0, 2, (40_000, 1))
    truth, hits = spearman(population[:, 0], (population + noise)[:, 0]), 0
    for k in range(90):
        rows = np.random.default_rng(100 + k).integers(0, 40_000, 150)
        actual, guess = population[rows, 0], (population + noise)[rows, 0]
        low, high = np.quantile(
            spearman(actual, guess, bootstrap_weights(150, 200, k)), [0.025, 0.975]
        )
        hits += low <= truth <= high
    assert hits >= 80


RESAMPLES = bootstrap_weights(300, 20, 0)
METRICS = {
    "spearman": spearman,
    "gini": normalised_gini,
    "scores": lambda a, p: list(scoring.value_scores(a, p).values()),
    "decile table": lambda a, p: decile_table(a, p).to_numpy(),
    "decile error": decile_error,
    "score table": lambda a, p: scoring.value_score_table(a, {"one": p}).to_numpy(),
    "one resample": lambda a, p: list(scoring.value_scores(a, p, np.ones(len(a))).values()),
}
COARSE = pd.Series(GUESS.round() // 3, [f"c{k}" for k in range(300)])  # most predictions are ties
TRUTH = pd.Series(ACTUAL + 1, COARSE.index)


@pytest.mark.parametrize("metric", METRICS.values(), ids=METRICS)
def test_the_order_of_the_rows_never_counts(metric):
    wanted = metric(TRUTH, COARSE)
    for rows in (np.arange(300)[::-1], np.lexsort((TRUTH, COARSE)), np.lexsort((-TRUTH, COARSE))):
        assert metric(TRUTH.to_numpy()[rows], COARSE.to_numpy()[rows]) == pytest.approx(wanted)
        assert metric(TRUTH, COARSE.iloc[rows]) == pytest.approx(wanted)  # met by their index


@pytest.mark.parametrize("metric", METRICS.values(), ids=METRICS)
def test_what_is_missing_is_never_ranked(metric):
    for wrong in (np.nan, np.inf):
        gap = TRUTH.astype(float).where(TRUTH.index != "c7", wrong)
        with pytest.raises(ValueError, match="actual is not finite in 1 of 300 rows, first row 'c"):
            metric(gap, COARSE)
        with pytest.raises(ValueError, match="predicted is not finite in 1 of 300 rows"):
            metric(TRUTH.to_numpy(), gap.to_numpy())
    with pytest.raises(ValueError, match="has no row 'c0' of actual"):
        metric(TRUTH, COARSE.rename({"c0": "someone else"}))


def test_customers_with_one_prediction_share_the_parts_that_divide_them():
    """Two parts of three customers; the middle two tie, so each counts half in either part."""
    for middle in ([2.0, 6.0], [6.0, 2.0]):
        table = decile_table([1.0, 3.0, *middle, 8.0, 9.0], [1, 2, 5, 5, 8, 9], bins=2)
        assert table["actual"].tolist() == pytest.approx([8 / 3, 7])
        assert table["predicted"].tolist() == pytest.approx([8 / 3, 22 / 3])
    constant = decile_table(ACTUAL, np.ones(300))
    assert constant["actual"].to_numpy() == pytest.approx(np.full(10, ACTUAL.mean()))


def test_a_resample_without_spend_has_no_total():
    weight = np.array([[1, 0, 0], [1, 1, 1]])
    found = scoring.value_scores([0.0, 2.0, 4.0], [1.0, 2.0, 9.0], weight)["total"]
    assert np.isnan(found[0]) and found[1] == 2


def test_the_number_of_parts_is_whole():
    for wrong in (2.5, np.nan):
        with pytest.raises(ValueError, match="bins is not"):
            decile_table(np.arange(20.0), np.arange(20.0), bins=wrong)


def test_a_resample_of_equals_has_no_gini():
    both = normalised_gini([1, 1, 5], [1, 2, 3], [[1, 1, 0], [1, 1, 1]])
    assert np.isnan(both[0])
    assert both[1] == pytest.approx(1)


def test_a_tenth_that_brought_nothing_is_said_beside_the_other_scores():
    actual = np.r_[np.zeros(10), np.arange(30)]
    table = scoring.value_score_table(actual, {"oracle": actual})
    assert np.isnan(table.loc["oracle", "decile error"])
    assert table.loc["oracle", "Spearman"] == pytest.approx(1)


def test_an_unknown_metric_is_refused():
    with pytest.raises(KeyError, match="metric is 'AUC': give one of Spearman"):
        scoring.paired_value_gain("AUC", ACTUAL, GUESS, GUESS, RESAMPLES)


def test_tables_hold_every_score_of_every_model():
    guesses = {"good": GUESS - GUESS.min(), "bad": RNG.random(300)}
    table = scoring.value_score_table(ACTUAL, guesses)
    assert table.columns.tolist() == [*scoring.SCORES, "decile error"]
    assert table.loc["good", "Spearman"] == spearman(ACTUAL, GUESS)
    assert table.loc["bad", "decile error"] == decile_error(ACTUAL, guesses["bad"])
    assert table.loc["bad", "RMSE"] < table.loc["good", "RMSE"]


def test_intervals_hold_the_scores_and_pairs_are_tighter():
    guesses = {"first": GUESS, "second": GUESS + 0.01 * RNG.random(300)}
    weight = bootstrap_weights(300, 200, 3)
    low, high = scoring.value_score_intervals(ACTUAL, guesses, weight)
    table = scoring.value_score_table(ACTUAL, guesses)[list(scoring.SCORES)]
    assert ((low < table) & (table < high)).all(axis=None)
    least, most = scoring.paired_value_gain("Spearman", ACTUAL, *guesses.values(), weight)
    assert most - least < 0.1 * (high - low).loc["first", "Spearman"]
    assert scoring.paired_value_gain("RMSE", ACTUAL, GUESS, GUESS, weight) == (0, 0)
    least, _ = scoring.paired_value_gain("RMSE", ACTUAL, GUESS + 100, GUESS, weight)
    assert least > 90
