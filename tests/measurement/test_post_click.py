"""Conversion after the click: counts of pairs, baselines, and what observed features leave out."""

from functools import cache

import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LogisticRegression

from pm_utils.evaluation.calibration import calibration_error
from pm_utils.evaluation.ranking import roc_auc
from pm_utils.market import Uniform, random_creatives
from pm_utils.measurement import post_click
from pm_utils.measurement.post_click_networks import CLICK, click_stage_loss, entire_space_loss
from tests.support.market_world import small_market


@cache
def world():
    ads = random_creatives(12, np.random.default_rng(0))
    market = small_market(700, creatives=ads)
    log = market.impressions(Uniform(len(market.creatives)), 300_000)
    pairs = post_click.aggregate_log(market, log)
    click, truth = (
        table[pairs.customer, pairs.creative].astype(float)
        for table in (market.click_table, market.conversion_table)
    )
    return market, log, pairs, click, truth


@cache
def another(number: int) -> post_click.PairCounts:
    """The pairs of a later log; the world's log holds all pairs, and so does this one."""
    market, log, pairs, _, _ = world()
    later = market.impressions(Uniform(len(market.creatives)), len(log), start=number * len(log))
    found = post_click.aggregate_log(market, later)
    assert np.array_equal(found.customer, pairs.customer)
    return found


def test_cells_hold_every_impression_once():
    market, log, pairs, _, _ = world()
    assert pairs.counts.sum(0).tolist() == [len(log), log.click.sum(), log.conversion.sum()]
    held = np.unique(np.column_stack([log.customer, log.creative]), axis=0)
    assert np.array_equal(np.column_stack([pairs.customer, pairs.creative]), held)
    row = pairs.rows_of(log.customer[:500].astype(int), log.creative[:500].astype(int))
    assert np.array_equal(pairs.customer[row], log.customer[:500])
    assert np.array_equal(pairs.creative[row], log.creative[:500])
    assert np.array_equal(pairs.codes[row], market.creatives.codes()[log.creative[:500]])


def test_the_last_number_is_the_taste_for_the_ads_category():
    market, _, pairs, _, _ = world()
    category = market.creatives.category[pairs.creative]
    own = pairs.numbers[np.arange(len(category)), 4 + category]
    assert np.array_equal(pairs.numbers[:, -1], own)


def test_receipts_are_scaled_and_show_nothing_hidden():
    market = world()[0]
    about = post_click.observed_features(market.customers)
    assert about.shape == (700, 16)
    assert np.abs(about).max() <= 3
    assert np.allclose(about.mean(0), 0, atol=0.15)
    again = post_click.observed_features(market.customers.drop(columns="customer_id"))
    assert np.array_equal(about, again)


def test_what_is_not_known_is_the_same_for_all():
    pairs = world()[2]
    blind = pairs.hiding(range(4))
    assert not blind.numbers[:, :4].any()
    assert np.array_equal(blind.numbers[:, 4:], pairs.numbers[:, 4:])
    assert np.array_equal(blind.counts, pairs.counts)


def test_a_table_marks_each_code_once():
    pairs = world()[2].take(np.arange(50))
    table = pairs.table()
    width = sum(post_click.ATTRIBUTE_LEVELS)
    assert table.shape == (50, width + 17)
    assert (table[:, :width].sum(1) == 7).all()
    assert len(pairs.counts) == 50


def test_a_coarse_table_has_few_values_close_to_the_numbers():
    pairs = world()[2]
    coarse = pairs.coarse_table()
    assert np.array_equal(coarse[:, :7], pairs.codes)
    assert np.abs(coarse[:, 7:] - pairs.numbers).max() < 0.026
    assert max(len(np.unique(column)) for column in coarse.T) < 255


def test_shuffled_cells_keep_their_totals_and_lose_their_link():
    _, _, pairs, click, _ = world()
    mixed = pairs.shuffled(0)
    assert np.array_equal(mixed.counts.sum(0), pairs.counts.sum(0))
    assert np.array_equal(mixed.numbers, pairs.numbers)
    rate, link = (c.counts[:, 1] / c.counts[:, 0] for c in (mixed, pairs))
    assert np.corrcoef(link, click)[0, 1] > 0.15
    assert abs(np.corrcoef(rate, click)[0, 1]) < 0.03


def test_counts_fit_as_their_rows_do():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(40, 2))
    tries = rng.integers(0, 6, 40)
    hits = rng.binomial(tries, 0.4)
    probability = post_click.fit_counts(LogisticRegression(), x, hits, tries)
    rows = np.repeat(np.arange(40), tries)
    label = np.concatenate([np.arange(t) < h for h, t in zip(hits, tries, strict=True)])
    by_row = LogisticRegression().fit(x[rows], label).predict_proba(x)[:, 1]
    assert np.allclose(probability, by_row, atol=1e-4)


def test_the_rate_by_ad_is_orders_over_clicks():
    _, log, pairs, _, _ = world()
    rate = post_click.rate_by_ad(pairs)
    of = log.creative == 5
    expected = log.conversion[of].sum() / log.click[of].sum()
    assert rate[pairs.creative == 5] == pytest.approx(expected)


def test_an_ad_without_clicks_gets_the_overall_rate():
    counts = np.array([[9, 4, 1], [9, 0, 0]], np.float32)
    codes, numbers = np.zeros((2, 7), int), np.zeros((2, 17), np.float32)
    pairs = post_click.PairCounts(np.arange(2), np.arange(2), codes, numbers, counts)
    assert post_click.rate_by_ad(pairs).tolist() == [0.25, 0.25]


def test_expected_auc_is_the_mean_over_drawn_outcomes():
    rng = np.random.default_rng(0)
    probability = rng.uniform(0.05, 0.6, 400)
    score, weight = probability + rng.normal(0, 0.2, 400), rng.uniform(0, 3, 400)
    drawn = [roc_auc(rng.random(400) < probability, score, weight) for _ in range(300)]
    assert post_click.expected_auc(score, probability, weight) == pytest.approx(
        np.mean(drawn), abs=0.01
    )
    two = post_click.expected_auc(score, probability, np.vstack([weight, np.ones(400)]))
    assert two[0] == pytest.approx(post_click.expected_auc(score, probability, weight))


def test_no_score_ranks_better_than_the_truth():
    rng = np.random.default_rng(1)
    probability, ones = rng.uniform(0, 0.5, 500), np.ones(500)
    best = post_click.expected_auc(probability, probability, ones)
    for noise in (0.05, 0.2):
        assert (
            post_click.expected_auc(probability + rng.normal(0, noise, 500), probability, ones)
            < best
        )
    assert post_click.expected_auc(ones, probability, ones) == pytest.approx(0.5)


def test_relative_bias_weights_both_means():
    predicted, truth = np.array([0.2, 0.4]), np.array([0.1, 0.4])
    assert post_click.relative_bias(predicted, truth, np.array([3.0, 1])) == pytest.approx(3 / 7)
    both = post_click.relative_bias(predicted, truth, np.array([[1.0, 0], [0, 1]]))
    assert both.tolist() == pytest.approx([1, 0])


def test_the_truth_is_judged_right_and_the_clicked_rate_is_not():
    _, _, pairs, click, truth = world()
    rate = np.full(len(truth), pairs.counts[:, 2].sum() / pairs.counts[:, 1].sum())
    table = post_click.score_against_truth({"truth": truth, "clicked rate": rate}, truth, pairs)
    assert table.loc["truth", "bias"] == 0
    assert table.loc["truth", "calibration error"] == pytest.approx(0, abs=1e-12)
    assert table.loc["truth", "AUC off the clicks"] > 0.6
    assert table.loc["clicked rate", "bias"] > 0.25
    assert table.loc["clicked rate", "AUC off the clicks"] == 0.5
    by_truth = np.average(truth, weights=click) / truth.mean() - 1
    assert table.loc["clicked rate", "bias"] == pytest.approx(by_truth, abs=0.15)


def test_a_trained_net_beats_its_null_and_the_clicked_rate():
    _, _, pairs, _, truth = world()
    nets = {
        name: post_click.train_post_click_towers(entire_space_loss, rows, epochs=12, seed=0)[0]
        for name, rows in {"net": pairs, "null": pairs.shuffled(1)}.items()
    }
    probability = {
        name: post_click.post_click_probability(net, pairs) for name, net in nets.items()
    }
    table = post_click.score_against_truth(probability, truth, pairs)
    assert abs(table.loc["net", "bias"]) < 0.5 * table.loc["null", "bias"]
    assert table.loc["net", "AUC off the clicks"] > table.loc["null", "AUC off the clicks"] + 0.1
    assert table.loc["null", "AUC off the clicks"] == pytest.approx(0.5, abs=0.08)


def test_rivals_are_biased_less_than_the_clicked_rate_and_rank():
    _, _, pairs, _, truth = world()
    click = post_click.boosted_clicks(pairs, another(1), trees=80, seed=0)
    probability = post_click.post_click_baselines(pairs, another(1), click, trees=80, seed=0)
    plain = ["logistic", "boosting"]
    weighted = [f"{name}, weighted" for name in plain]
    others = ["boosting, quotient", "boosting, doubly robust"]
    assert list(probability) == plain + weighted + others
    table = post_click.score_against_truth(probability, truth, pairs)
    assert (table["bias"].drop("boosting, quotient") < 0.25).all()
    clicked = pairs.counts[:, 2].sum() / pairs.counts[:, 1].sum()
    assert table.loc["boosting, quotient", "bias"] < clicked / truth.mean() - 1
    assert (table["AUC off the clicks"] > 0.6).all()
    for one, other in zip(weighted, plain, strict=True):
        assert table.loc[one, "bias"] < table.loc[other, "bias"]


def test_expected_counts_are_those_of_many_logs():
    market, _, pairs, click, truth = world()
    expected = pairs.expected(click * np.mean(market.truth.examination), truth)
    assert np.array_equal(expected.counts[:, 0], pairs.counts[:, 0])
    gap = expected.counts.sum(0) / pairs.counts.sum(0) - 1
    assert gap == pytest.approx([0, 0, 0], abs=0.12)


def test_without_luck_nothing_is_left_out_where_features_show_all():
    _, _, pairs, _, _ = world()
    taste = np.clip(pairs.numbers[:, 4].astype(float), -2, 2)
    click, conversion = 0.1 + 0.03 * taste, 0.2 + 0.05 * taste
    hidden = np.random.default_rng(0).choice([-0.4, 0.4], pairs.customer.max() + 1)[pairs.customer]
    bias = []
    for cause in (0.0, hidden):
        true = click * np.exp(cause), conversion * np.exp(cause)
        net, _ = post_click.train_post_click_towers(
            entire_space_loss, pairs.expected(*true), epochs=12, seed=0
        )
        bias.append(post_click.post_click_probability(net, pairs).mean() / true[1].mean() - 1)
    assert bias[0] == pytest.approx(0, abs=0.03)
    # E[e^2h] / E[e^h]^2 - 1; the few numbers of so few customers tell some of who is who
    expected = 2 * (np.exp(0.8) + np.exp(-0.8)) / (np.exp(0.4) + np.exp(-0.4)) ** 2 - 1
    assert 0.4 * expected < bias[1] < 1.3 * expected


def test_a_comparison_is_paired_and_zero_for_twins():
    _, _, pairs, _, truth = world()
    settings = {"repeats": 20, "seed": 0}
    for metric in ("log loss", "AUC off the clicks", "calibration error"):
        assert post_click.compare_estimates(metric, truth, truth, truth, pairs, **settings) == (
            0,
            0,
        )
    low, high = post_click.compare_estimates(
        "calibration error", truth, 1.3 * truth, truth, pairs, **settings
    )
    assert low < high < 0
    assert (low + high) / 2 == pytest.approx(-0.3 * truth.mean(), rel=0.1)
    blurred = truth + np.random.default_rng(0).normal(0, 0.1, len(truth))
    low, high = post_click.compare_estimates(
        "AUC off the clicks", truth, blurred, truth, pairs, **settings
    )
    assert 0 < low < high


def test_a_metric_without_a_comparison_is_rejected():
    _, _, pairs, _, truth = world()
    with pytest.raises(ValueError, match="'accuracy' cannot be compared"):
        post_click.compare_estimates("accuracy", truth, truth, truth, pairs, repeats=2, seed=0)


def test_resampled_metrics_are_those_of_the_resamples():
    _, _, pairs, _, truth = world()
    rng = np.random.default_rng(3)
    # coarse, so that there are ties
    said = np.round(np.clip(truth * np.exp(rng.normal(0, 0.4, len(truth))), 0.01, 0.9), 2)
    shown, clicks = pairs.counts[:, :2].T.astype(float)
    customers, row = np.unique(pairs.customer, return_inverse=True)
    weight = np.vstack([np.ones(len(customers), int), rng.integers(0, 3, (4, len(customers)))])
    off = shown - clicks
    aucs = post_click._aucs(said, truth, off, row, weight)
    assert aucs == pytest.approx(post_click.expected_auc(said, truth, weight[:, row] * off))
    errors = post_click._calibration_errors(said, truth, np.ones(len(row)), row, weight)
    assert errors[0] == pytest.approx(calibration_error(truth, said))
    losses = post_click._log_losses(said, truth, shown, row, weight)
    models = {"said": said}
    assert losses[0] == pytest.approx(
        post_click.score_against_truth(models, truth, pairs).loc["said", "log loss"]
    )
    drawn = weight[1][row] * shown
    lost = -(truth * np.log(said) + (1 - truth) * np.log(1 - said))
    assert losses[1] == pytest.approx(np.average(lost, weights=drawn))
    # a customer drawn twice is two customers in the same bins
    first = np.searchsorted(np.sort(said), said)
    cuts = np.cumsum([len(part) for part in np.array_split(first, 10)])[:-1]
    bins = np.searchsorted(cuts, first, side="right")
    times = weight[1][row]
    gap = np.bincount(bins, times * (truth - said))
    assert errors[1] == pytest.approx(np.abs(gap).sum() / times.sum())


def test_the_clicks_of_a_later_log_stand_for_everybody():
    pairs = pairs_of([[100, 10, 5], [100, 2, 0]], customer=(0, 1), creative=(0, 0))
    said, click = np.array([0.4, 0.1]), np.array([0.1, 0.02])
    plain = [np.mean([-np.log(0.4), -np.log(0.6)]), -np.log(0.9)]
    found = post_click.weighted_order_loss(said, pairs, click)
    assert found == pytest.approx(np.mean(plain))  # both pairs were shown as often
    alike = post_click.weighted_order_loss(said, pairs, np.full(2, 0.05))
    assert alike == pytest.approx((10 * plain[0] + 2 * plain[1]) / 12)
    with pytest.raises(ValueError, match="the pairs hold no clicks"):
        post_click.weighted_order_loss(said, pairs_of([[9, 0, 0], [9, 0, 0]]), click)
    with pytest.raises(ValueError, match="probability has 1 rows for 2 pairs"):
        post_click.weighted_order_loss(said[:1], pairs, click[:1])


def test_click_models_rank_the_clicks_and_the_truth_wins():
    _, _, pairs, click, _ = world()
    models = post_click.click_baselines(pairs, another(1), trees=40, seed=0)
    net, history = post_click.train_post_click_towers(
        click_stage_loss, pairs, towers=1, epochs=8, seed=0, later=pairs
    )
    assert len(history.validation) == 8
    models["network"] = post_click.post_click_probability(net, pairs, tower=CLICK)
    models["mean"] = np.full(len(click), click.mean())
    table = post_click.score_clicks({**models, "truth": click}, click, pairs)
    assert (table.loc["truth", "click AUC"] >= table["click AUC"]).all()
    assert (table.loc[["logistic", "boosting", "network"], "click AUC"] > 0.6).all()
    assert table["click log loss"].idxmin() == "truth"


def test_members_are_averaged_and_start_apart():
    _, _, pairs, _, _ = world()
    some = pairs.take(np.arange(2000))
    settings = {"epochs": 1, "seed": 0, "members": 2}
    net, _ = post_click.train_post_click_towers(entire_space_loss, some, **settings)
    each = net(*some.inputs())[..., 1].sigmoid().double().detach().numpy()
    assert np.abs(each[:, 0] - each[:, 1]).max() > 1e-4
    assert np.allclose(post_click.post_click_probability(net, some), each.mean(1), atol=1e-6)


def test_boosting_reads_attributes_as_categories_and_stops_where_the_later_log_is_told_best():
    rng = np.random.default_rng(0)
    kind, rows = rng.integers(0, 12, 4000), 4000
    chance = np.where(kind % 2 == 0, 0.1, 0.4)  # every second level: no order of levels shows it

    def counts() -> post_click.PairCounts:
        clicks = np.full(rows, 8)
        codes = np.column_stack([kind, np.zeros((rows, 6), int)])
        both = np.column_stack([10 * clicks, clicks, rng.binomial(clicks, chance)])
        numbers = rng.normal(size=(rows, 17)).astype(np.float32)
        return post_click.PairCounts(
            np.arange(rows), np.zeros(rows, int), codes, numbers, both.astype(np.float32)
        )

    pairs, later = counts(), counts()
    settings = {"weighted": False, "seed": 0}
    click = np.full(rows, 0.1)
    few = post_click.boosted_orders(pairs, later, click, trees=25, **settings)
    assert np.corrcoef(few, chance)[0, 1] > 0.99
    many = post_click.boosted_orders(pairs, later, click, trees=400, **settings)
    assert np.abs(many - chance).mean() < 0.02  # more trees would fit the luck of the draw
    blind = post_click.boosted_orders(pairs, later.shuffled(0), click, trees=400, **settings)
    assert blind.std() < few.std()  # where the later log says otherwise, few trees are kept


def test_a_network_without_signal_decays_to_the_rates():
    _, _, pairs, _, _ = world()
    net, _ = post_click.train_post_click_towers(
        entire_space_loss, pairs.shuffled(0), epochs=10, seed=0
    )
    shown, clicks, orders = pairs.counts.sum(0)
    found = [post_click.post_click_probability(net, pairs, tower=k).mean() for k in (0, 1)]
    assert found == pytest.approx([clicks / shown, orders / clicks], rel=0.15)


# --- Pairs and customers that cannot be ---------------------------------------------------------


def pairs_of(counts, customer=(0, 2), creative=(1, 0)) -> post_click.PairCounts:
    rows = len(counts)
    return post_click.PairCounts(
        customer=np.array(customer),
        creative=np.array(creative),
        codes=np.zeros((rows, 7), int),
        numbers=np.zeros((rows, 17), np.float32),
        counts=np.array(counts, np.float32),
    )


def test_an_unknown_pair_is_no_neighbour():
    pairs = pairs_of([[5, 2, 1], [5, 2, 1]])
    assert pairs.rows_of(np.array([2, 0]), np.array([0, 1])).tolist() == [1, 0]
    for customer, creative in ((0, 0), (1, 1), (3, 0), (0, 2)):
        with pytest.raises(KeyError, match="1 pairs of customer and ad are unknown"):
            pairs.rows_of(np.array([customer]), np.array([creative]))


@pytest.mark.parametrize(
    ("counts", "said"),
    [
        ([[5, 2, 3], [1, 0, 0]], "none larger than the one before"),
        ([[5, -1, 0], [1, 0, 0]], "counts is out of range"),
        ([[5, np.nan, 0], [1, 0, 0]], "counts is not finite"),
        ([[5, 2], [1, 0]], "give impressions, clicks"),
    ],
)
def test_counts_that_cannot_be_are_refused(counts, said):
    with pytest.raises(ValueError, match=said):
        pairs_of(counts)


def test_where_nothing_was_ordered_there_is_nothing_to_learn():
    pairs = pairs_of([[5, 2, 0], [5, 2, 0]])
    with pytest.raises(ValueError, match="the pairs hold no orders"):
        post_click.train_post_click_towers(entire_space_loss, pairs, epochs=1, seed=0)
    with pytest.raises(ValueError, match="the pairs hold no orders"):
        post_click.post_click_baselines(pairs, pairs, np.full(2, 0.1), trees=2, seed=0)
    with pytest.raises(ValueError, match="the pairs hold no orders"):
        post_click.click_baselines(pairs, pairs, trees=2, seed=0)
    settings = {"weighted": True, "trees": 2, "seed": 0}
    with pytest.raises(ValueError, match="the pairs hold no orders"):
        post_click.boosted_orders(pairs, pairs, np.full(2, 0.1), **settings)
    with pytest.raises(ValueError, match="click is out of range"):
        some = pairs_of([[5, 2, 1], [5, 2, 1]])
        post_click.boosted_orders(some, some, np.array([0.1, 1.2]), **settings)
    with pytest.raises(ValueError, match=r"counts has shape \(2, 3\): give \(700, 12, 3\)"):
        post_click.pairs_of_counts(world()[0], np.ones((2, 3)))
    with pytest.raises(ValueError, match="the pairs hold no clicks"):
        post_click.rate_by_ad(pairs_of([[5, 0, 0], [5, 0, 0]]))


def test_customers_who_are_alike_have_no_deviation():
    names = ["orders_per_week", "average_order_value", "discount_share", "coupon_order_share"]
    customers = pd.DataFrame({name: [0.5, 0.5] for name in names} | {"share_a": [0.2, 0.4]})
    found = post_click.observed_features(customers)
    assert (found[:, :4] == 0).all()
    with pytest.raises(ValueError, match="average_order_value is out of range"):
        post_click.observed_features(customers.assign(average_order_value=0.0))
    with pytest.raises(KeyError, match="customers has no column 'discount_share'"):
        post_click.observed_features(customers.drop(columns="discount_share"))


def test_hits_and_tries_that_cannot_be_fitted_are_refused():
    table = np.zeros((2, 1))
    for hits, tries in (([0, 0], [1, 1]), ([1, 1], [1, 1]), ([2, 0], [1, 5])):
        with pytest.raises(ValueError, match="give some hits and some misses"):
            post_click.fit_counts(LogisticRegression(), table, np.array(hits), np.array(tries))


def test_pairs_and_models_meet_by_their_index():
    pairs = world()[2]
    rng, labels = np.random.default_rng(0), pd.RangeIndex(len(pairs.customer))
    order = rng.permutation(len(labels))
    parts = {name: getattr(pairs, name) for name in pairs.__dataclass_fields__}
    creative = pd.Series(pairs.creative, labels).iloc[order]
    again = post_click.PairCounts(
        **(parts | {"customer": pd.Series(pairs.customer, labels), "creative": creative})
    )
    assert np.array_equal(again.creative, pairs.creative)
    truth, said = rng.uniform(0.1, 0.9, (2, len(labels)))
    expected = post_click.score_against_truth({"net": said}, truth, pairs)
    shuffled = {"net": pd.Series(said, labels).iloc[order]}
    found = post_click.score_against_truth(shuffled, pd.Series(truth, labels), pairs)
    pd.testing.assert_frame_equal(found, expected)


def test_some_pairs_are_taken_by_number():
    pairs = pairs_of([[5, 2, 1], [6, 2, 1]])
    mask = pd.Series([True, False])
    for rows in (mask, mask[::-1], [0], pd.Series([0], index=["b"]), np.array([True, False])):
        assert pairs.take(rows).counts[:, 0].tolist() == [5]
    with pytest.raises(ValueError, match="rows has no row 0"):
        pairs.take(mask.set_axis(["a", "b"]))
