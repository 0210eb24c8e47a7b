"""Of every curve, list and learner: order, gaps, labels and indexes."""

import numpy as np
import pytest
from sklearn.linear_model import LinearRegression

from pm_utils.targeting import fairness, lists, uplift
from tests.support.metric_cases import MetricCase, properties

RNG = np.random.default_rng(0)
N = 60
Y = (np.arange(N) % 3 == 0).astype(float)
TREATED = (RNG.random(N) < 0.5).astype(float)
SCORE, RIVAL = np.round(RNG.normal(size=N), 1), np.round(RNG.normal(size=N), 1)  # with ties
CHANCE = np.round(RNG.uniform(0.1, 0.9, N), 1)
EFFECT = np.round(RNG.normal(size=N), 2)
X = RNG.normal(size=(N, 2))
GROUP = np.array(["young", "old", "older"])[np.arange(N) // 20]
WEIGHT = RNG.integers(0, 3, (N, 20))
EXPERIMENT = {"score": SCORE, "treated": TREATED, "outcome": Y}


def case(call, **options):
    labels = options.pop("labels", {"target", "treated"} & options["rows"].keys())
    return MetricCase(call, labels=frozenset(labels), **options)


def best(values, score):
    order, ends = lists.best_first(values, score)
    return [np.asarray(values)[order], ends]


def learner(kind):
    models = (2 if kind == "DRLearner" else 1) * [LinearRegression()]
    return getattr(uplift, kind)(*models)


LEARNERS = ("ResponseRanking", "TLearner", "DRLearner")
LEARNED = {"x": X, "treated": TREATED, "outcome": EFFECT}
CASES = {
    "lists.totals_of_best": case(lists.totals_of_best, rows={"values": EFFECT, "score": SCORE}),
    "lists.best_first": case(best, rows={"values": EFFECT, "score": SCORE}),
    "lists.cumulative_gain": case(lists.cumulative_gain, rows={"target": Y, "score": SCORE}),
    "lists.lift": case(
        lambda **rows: lists.lift(**rows, share=0.3), rows={"target": Y, "score": SCORE}
    ),
    "lists.profit_curve": case(
        lambda **rows: lists.profit_curve(**rows, margin=9, cost=2),
        rows={"outcome": CHANCE, "order_by": SCORE},
    ),
    "lists.number_to_contact": case(
        lambda probability: lists.number_to_contact(probability, margin=9, cost=2),
        rows={"probability": CHANCE},
    ),
    "fairness.group_gaps": case(
        lambda target, probability, group, weight: fairness.group_gaps(
            target, probability, group, weight.T, share=0.3
        ),
        rows={"target": Y, "probability": CHANCE, "group": GROUP, "weight": WEIGHT},
        names=frozenset({"group"}),
    ),
    "uplift.gain_curve": case(uplift.gain_curve, rows={"score": SCORE, "effect": EFFECT}),
    "uplift.qini_curve": case(uplift.qini_curve, rows=EXPERIMENT),
    "uplift.qini_coefficient": case(
        uplift.qini_coefficient, rows=EXPERIMENT, labels={"treated", "outcome"}
    ),
    "uplift.uplift_at": case(
        lambda **rows: uplift.uplift_at(**rows, share=0.5),
        rows=EXPERIMENT,
    ),
    "uplift.share_of_targeting": case(
        uplift.share_of_targeting, rows={"score": SCORE, "effect": EFFECT}
    ),
    "uplift.score_uplift": case(
        lambda treated, outcome, effect, first, second: uplift.score_uplift(
            {"net": first, "trees": second}, treated, outcome, effect
        ),
        rows={"treated": TREATED, "outcome": Y, "effect": EFFECT}
        | {"first": SCORE, "second": RIVAL},
        labels={"treated", "outcome"},
    ),
    **{
        f"uplift.{kind}.fit": case(
            lambda kind=kind, **rows: learner(kind).fit(**rows).predict(X[:5]),
            rows=LEARNED,
            drawn=kind == "DRLearner",  # arrays have no other order than that of their rows
        )
        for kind in LEARNERS
    },
    **{
        f"uplift.{kind}.predict": case(
            lambda x, kind=kind: learner(kind).fit(**LEARNED).predict(x),
            rows={"x": X[::-1]},
            by_row=True,
        )
        for kind in LEARNERS
    },
    "uplift.DRLearner.pseudo_outcomes": case(
        learner("DRLearner").pseudo_outcomes, rows=LEARNED, by_row=True, drawn=True
    ),
}
_TESTS = {
    "fairness.gaps_by_age_and_income": (
        "fairness.py::test_bands_of_age_and_income_come_in_order_and_count_who_told"
    ),
    "fairness.gaps_as_text": "fairness.py::test_intervals_of_gaps_as_text",
    "plotting.campaign_bars": ("plotting.py::test_campaigns_are_bars_from_start_to_end_in_order"),
    "plotting.reliability_lines": (
        "plotting.py::test_reliability_lines_hold_ten_bins_and_a_diagonal_that_reaches_them"
    ),
    "plotting.gain_lines": "plotting.py::test_gain_reaches_everyone_at_half_of_the_list",
    "plotting.profit_lines": "plotting.py::test_profit_lines_and_their_dot",
    "plotting.importance_bars": "plotting.py::test_the_most_important_group_is_at_the_top",
    "uplift.area_over_random": (
        "uplift.py::test_every_curve_refuses_scores_and_outcomes_that_are_unknown"
    ),
}
_INTEREST = {
    "samples.Snapshots": "samples.py::test_snapshots_are_matched_by_index_and_lists_become_arrays",
    "samples.Pairs": "samples.py::test_pairs_take_zeros_and_ones_and_know_their_snapshots",
    "samples.pair_facts": "samples.py::test_pairs_take_zeros_and_ones_and_know_their_snapshots",
    "simulated.ClickLog": "simulated.py::test_sizes_are_whole_and_fit_each_other",
    "training.Reader": (
        "training.py::test_a_reader_scales_by_training_pairs_and_may_be_blind_to_pairs"
    ),
    "networks.Dice": (
        "networks.py::test_dice_scores_one_row_by_its_running_moments_and_learns_from_it"
    ),
    "networks.PooledInterestNet": "networks.py::test_pads_and_unseen_items_are_no_candidates",
    "networks.DeepInterestNet": "networks.py::test_a_batch_with_one_past_item_poisons_nothing",
}
_SHOP = "features.py::test_unknown_customers_campaigns_and_text_are_refused"
_ORDER = "features.py::test_the_order_of_tables_does_not_matter"
_CHOICE = "coupon_choice.py::test_pairs_and_choices_that_cannot_be_are_refused"
_ANSWERS = "baselines.py::test_answers_that_are_none_and_features_that_are_unknown_are_refused"
_NETS = "ensemble.py::test_answers_that_are_not_zero_and_one_are_refused"
_NAMES = "ensemble.py::test_features_are_found_by_name_and_rows_by_index"
_REDEMPTION = {
    "baselines.fitted_logit": "baselines.py::test_logits_match_columns_by_name_and_rows_by_index",
    "baselines.tune_baselines": _ANSWERS,
    "baselines.rate_by_cell": "baselines.py::test_logits_and_rates_keep_the_labels_of_their_rows",
    "contacts.contact_table": _SHOP,
    "contacts.split_parts": "contacts.py::test_parts_follow_one_another_and_campaigns_stay_whole",
    "contacts.CampaignLog": _SHOP,
    "contacts.CampaignLog.start_of": "features.py::test_a_shop_with_a_zone_counts_by_its_own_clock",
    "contacts.CampaignLog.rows_of": _SHOP,
    "contacts.CampaignLog.bought": "contacts.py::test_lines_are_weighed_by_numbers",
    "contacts.CampaignLog.kinds_bought": "contacts.py::test_lines_are_weighed_by_numbers",
    "contacts.CampaignLog.counted": _SHOP,
    "coupon_choice.CouponRows": "coupon_choice.py::test_pairs_are_matched_by_index",
    "coupon_choice.CouponRows.take": "coupon_choice.py::test_contacts_are_called_by_number",
    "coupon_choice.CouponRows.log_sum": "coupon_choice.py::test_contacts_are_called_by_number",
    "coupon_choice.coupon_facts": "coupon_choice.py::test_bad_tables_are_refused_by_name",
    "coupon_choice.coupon_rows": "coupon_choice.py::test_bad_tables_are_refused_by_name",
    "coupon_choice.CouponChoice": "coupon_choice.py::test_the_order_of_contacts_does_not_matter",
    "coupon_choice.CouponChoice.learn": _CHOICE,
    "coupon_choice.CouponChoice.log_loss": _CHOICE,
    "ensemble.train_nets": _NETS,
    "ensemble.choose_strength": _NETS,
    "ensemble.Ensemble": _NAMES,
    "ensemble.Ensemble.train": _NAMES,
    "ensemble.Ensemble.inputs": _NAMES,
    "ensemble.Ensemble.logit": "ensemble.py::test_logits_keep_the_labels_of_their_rows",
    "features.household_features": _ORDER,
    "features.offer_features": _SHOP,
    "features.contact_features": "features.py::test_contacts_of_equal_labels_stay_one_row_each",
    "features.latest_profiles": (
        "features.py::test_profiles_are_the_last_of_the_vintage_that_was_ready"
    ),
}
BESIDES = {name: f"tests/targeting/test_{test}" for name, test in _TESTS.items()}
for _folder, _held in (("interest", _INTEREST), ("redemption", _REDEMPTION)):
    BESIDES |= {
        f"{_folder}.{name}": f"tests/targeting/{_folder}/test_{test}"
        for name, test in _held.items()
    }
BESIDES["redemption.features.bought_types"] = (
    "tests/targeting/redemption/test_features.py"
    "::test_bought_types_are_shares_of_what_was_bought_before"
)
BESIDES |= dict.fromkeys(
    (
        "interest.attention.attention_by_gap",
        "interest.attention.picks",
        "interest.baselines.naive_probabilities",
        "interest.baselines.ClassicalModels",
        "interest.simulated.attainable_probability",
        "interest.networks.ItemRows",
        "interest.networks.segment_softmax",
        "interest.samples.by_product_type",
        "interest.samples.next_baskets",
        "interest.samples.pair_history",
        "interest.samples.snapshots",
        "interest.samples.sample_pairs",
        "interest.samples.all_pairs",
        "interest.simulated.simulated_clicks",
        "interest.training.AtSnapshots",
        "interest.training.train_net",
        "interest.training.network_probabilities",
        "redemption.baselines.logistic_regression",
        "redemption.baselines.gradient_boosting",
        "redemption.baselines.baselines",
        "redemption.contacts.column_name",
        "redemption.ensemble.squared",
        "redemption.ensemble.penalty",
        "redemption.ensemble.new_net",
        "redemption.features.learn_taste",
        "redemption.features.taste_of",
        "redemption.features.coupon_use_after",
        "redemption.features.feature_groups",
        "redemption.networks.ConversionPredictNet",
        "redemption.networks.ResidualUnit",
        "redemption.networks.DeepCrossing",
        "uplift.Learner",
        "uplift.ResponseRanking",
        "uplift.TLearner",
        "uplift.DRLearner",
    ),
    "takes no rows",
)
BESIDES |= dict.fromkeys(("uplift.Learner.fit", "uplift.Learner.predict"), "the package makes it")


@pytest.mark.parametrize(("check", "name"), properties(CASES))
def test_a_curve_or_learner_has_each_property(check, name):
    check(CASES[name])
