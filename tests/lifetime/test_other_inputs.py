"""Of every model and score: order, gaps, labels and indexes."""

import numpy as np
import pandas as pd
import pytest

from pm_utils.lifetime import btyd, discounting, ensemble, retention, rfm, scores
from tests.support.metric_cases import MetricCase, properties

RNG = np.random.default_rng(0)
N = 60
AGE = 39.0 + np.arange(N) // 20
FREQUENCY = np.array([0, 1, 2, 8, 5, 0, 3, 1, 0, 12] * 6)
RECENCY = np.array([0, 2, 30, 35, 12, 0, 8, 20, 0, 38.0] * 6)
MEAN = np.round(RNG.gamma(6 * FREQUENCY + 1e-9) * RNG.gamma(4, 1, N) / np.maximum(FREQUENCY, 1), 1)
MEAN[FREQUENCY > 0] += 0.1
HISTORY = {"frequency": FREQUENCY, "recency": RECENCY, "age": AGE}
SPENDING = {"frequency": FREQUENCY, "value": MEAN}
DOLLARS = np.round(RNG.exponential(30, N)) + 1
SAID, RIVAL = np.round(RNG.exponential(30, N), -1), np.round(RNG.exponential(30, N), -1)
SCORED = {"actual": DOLLARS, "predicted": SAID}
WEIGHT = RNG.integers(0, 3, (N, 20))
CHANCE = np.round(RNG.uniform(0.01, 0.3, N), 2)
FEATURES = np.c_[SAID, RIVAL]
CHURNED = (RNG.random(N) < 0.3).astype(float)
GAIN = np.c_[np.zeros(N), np.cumsum(-np.sort(-RNG.exponential(3, (N, 4)), axis=1), axis=1)]
WHO, DAY = RNG.integers(0, 8, N), RNG.integers(0, 200, N)

pareto = btyd.ParetoNBD(0.553, 10.578, 0.606, 11.669)
model, spender = btyd.BetaGeoNBD(0.243, 4.414, 0.793, 2.426), btyd.GammaGamma(6.25, 3.74, 15.44)
plan = {"scale": 20, "weeks": 52, "discount_factor": 0.998}


def case(call, **options):
    return MetricCase(call, labels=frozenset({"churned"} & options["rows"].keys()), **options)


def orders(customer, day, amount):
    when = pd.Timestamp("2020-01-01") + pd.to_timedelta(np.asarray(day), unit="D")
    columns = {"customer_id": customer, "ordered_at": when, "amount": amount}
    return pd.DataFrame({name: np.asarray(column) for name, column in columns.items()})


def order_case(call):
    """A function of a table of orders: its columns carry no index of their own."""
    return case(
        lambda customer, day, amount: call(orders(customer, day, amount)),
        rows={"customer": WHO, "day": DAY, "amount": DOLLARS},
        names=frozenset({"customer", "day"}),
        apart=frozenset({"customer", "day", "amount"}),
    )


CASES = {
    "btyd.bgnbd_log_likelihood": case(
        lambda **rows: btyd.bgnbd_log_likelihood((0.2, 4, 0.8, 2), **rows),
        rows=HISTORY,
        by_row=True,
    ),
    "btyd.BetaGeoNBD.fit": case(btyd.BetaGeoNBD.fit, rows=HISTORY),
    "btyd.BetaGeoNBD.log_likelihood": case(model.log_likelihood, rows=HISTORY),
    "btyd.BetaGeoNBD.probability_alive": case(model.probability_alive, rows=HISTORY, by_row=True),
    "btyd.BetaGeoNBD.probability_no_order": case(
        lambda **rows: model.probability_no_order(9, **rows), rows=HISTORY, by_row=True
    ),
    "btyd.BetaGeoNBD.expected_orders": case(
        lambda **rows: model.expected_orders(9, **rows), rows=HISTORY, by_row=True
    ),
    "btyd.BetaGeoNBD.expected_orders, of weeks of their own": case(
        model.expected_orders, rows={"weeks": AGE} | HISTORY, by_row=True
    ),
    "btyd.BetaGeoNBD.unconditional_orders": case(
        model.unconditional_orders, rows={"weeks": AGE}, by_row=True
    ),
    "btyd.pareto_nbd_log_likelihood": case(
        lambda **rows: btyd.pareto_nbd_log_likelihood((0.5, 10, 0.6, 12), **rows),
        rows=HISTORY,
        by_row=True,
    ),
    "btyd.ParetoNBD.fit": case(btyd.ParetoNBD.fit, rows=HISTORY),
    "btyd.ParetoNBD.log_likelihood": case(pareto.log_likelihood, rows=HISTORY),
    "btyd.ParetoNBD.probability_alive": case(pareto.probability_alive, rows=HISTORY, by_row=True),
    "btyd.ParetoNBD.probability_no_order": case(
        lambda **rows: pareto.probability_no_order(9, **rows), rows=HISTORY, by_row=True
    ),
    "btyd.ParetoNBD.expected_orders": case(
        lambda **rows: pareto.expected_orders(9, **rows), rows=HISTORY, by_row=True
    ),
    "btyd.ParetoNBD.expected_orders, of weeks of their own": case(
        pareto.expected_orders, rows={"weeks": AGE} | HISTORY, by_row=True
    ),
    "btyd.ParetoNBD.unconditional_orders": case(
        pareto.unconditional_orders, rows={"weeks": AGE}, by_row=True
    ),
    "btyd.gamma_gamma_log_likelihood": case(
        lambda **rows: btyd.gamma_gamma_log_likelihood((6, 4, 15), **rows),
        rows={"frequency": FREQUENCY + 1, "value": MEAN + 1},
        by_row=True,
    ),
    "btyd.GammaGamma.fit": case(btyd.GammaGamma.fit, rows=SPENDING),
    "btyd.GammaGamma.expected_value": case(spender.expected_value, rows=SPENDING, by_row=True),
    "discounting.retained_value": case(
        discounting.retained_value,
        rows={"margin": DOLLARS, "discount_factor": 1 - CHANCE, "retention": 1 - CHANCE[::-1]},
        by_row=True,
    ),
    "ensemble.against_own_habit": case(
        lambda orders, spend: ensemble.against_own_habit(
            pd.DataFrame(
                {
                    "orders_per_week": np.asarray(orders),
                    "spend_per_week": np.asarray(spend),
                    "recency_days": 7.0,
                    "recent_spend": np.asarray(spend),
                    "recent_orders": 3.0,
                }
            )
        ),
        rows={"orders": CHANCE, "spend": DOLLARS},
        apart=frozenset({"orders", "spend"}),  # the columns of one table
        by_row=True,
    ),
    "retention.value_with_effort": case(
        lambda **rows: retention.value_with_effort(**rows, **plan),
        rows={"margin": DOLLARS, "churn_probability": CHANCE, "dollars": SAID},
        by_row=True,
    ),
    "retention.keeping_gain": case(
        lambda **rows: retention.keeping_gain(**rows, max_dollars=3, value_weeks=52, **plan),
        rows={"value": DOLLARS, "churn_probability": CHANCE},
        by_row=True,
    ),
    "retention.weekly_risk": case(
        lambda features, churned: retention.weekly_risk(
            features, churned, np.asarray(FEATURES[:5]), weeks=2
        ),
        rows={"features": FEATURES, "churned": CHURNED},
        rounding=1e-4,  # of the optimiser
    ),
    "retention.spend_budget": case(
        lambda gain: retention.spend_budget(gain, 40), rows={"gain": GAIN}, by_row=True
    ),
    "rfm.rfm_summary": order_case(lambda table: rfm.rfm_summary(table, "2020-06-01")),
    "rfm.days_with_order": order_case(
        lambda table: rfm.days_with_order(table, pd.Index(range(9)), "2020-01-01", "2020-12-01")
    ),
    "rfm.weekly_dispersion": order_case(
        lambda table: rfm.weekly_dispersion(table, "2020-06-01", min_weeks=2)
    ),
    **{
        f"scores.{name}{said}": case(
            lambda actual, predicted, weight=None, name=name: getattr(scores, name)(
                actual, predicted, None if weight is None else weight.T
            ),
            rows=SCORED | weight,
        )
        for name in ("spearman", "normalised_gini", "value_scores")
        for said, weight in (
            ("", {}),
            (", weighed once", {"weight": WEIGHT[:, 0]}),
            (", weighed", {"weight": WEIGHT}),
        )
    },
    "scores.decile_table": case(lambda **rows: scores.decile_table(**rows, bins=7), rows=SCORED),
    "scores.decile_error": case(lambda **rows: scores.decile_error(**rows, bins=7), rows=SCORED),
    "scores.value_score_table": case(
        lambda actual, predicted, rival: scores.value_score_table(
            actual, {"net": predicted, "trees": rival}
        ),
        rows=SCORED | {"rival": RIVAL},
    ),
    "scores.value_score_intervals": case(
        lambda actual, predicted, weight: scores.value_score_intervals(
            actual, {"net": predicted}, weight.T
        ),
        rows=SCORED | {"weight": WEIGHT},
    ),
    **{
        f"scores.paired_value_gain, {metric}": case(
            lambda actual, first, second, weight, metric=metric: scores.paired_value_gain(
                metric, actual, first, second, weight.T
            ),
            rows={"actual": DOLLARS, "first": SAID, "second": RIVAL, "weight": WEIGHT},
            ends=True,
        )
        for metric in scores.SCORES
    },
}
_TESTS = {
    "baselines.recalibrated": (
        "baselines.py::test_recalibration_matches_customers_and_refuses_what_is_no_dollars"
    ),
    "baselines.fitted_dollars": "ensemble.py::test_columns_in_another_order_give_the_same_dollars",
    "ensemble.ValueEnsemble": "ensemble.py::test_columns_in_another_order_give_the_same_dollars",
    "ensemble.ValueRows": "ensemble.py::test_rows_meet_by_their_index",
    "ensemble.ValueRows.take": "ensemble.py::test_a_mask_meets_the_rows_by_its_index",
    "ensemble.shop_rows": "ensemble.py::test_a_customer_without_a_profile_is_refused",
    "ensemble.ValueEnsemble.train_each": (
        "ensemble.py::test_numbers_that_are_none_are_named_with_their_column"
    ),
    "ensemble.ValueEnsemble.first": (
        "ensemble.py::test_watched_rows_are_told_and_the_least_loss_is_kept"
    ),
    "ensemble.ValueEnsemble.places": (
        "ensemble.py::test_places_are_even_where_the_distribution_is_right_and_not_where_it_is_narrow"
    ),
    "networks.ziln_below": "networks.py::test_values_that_are_no_dollars_are_refused",
    "networks.ziln_loss": "networks.py::test_values_that_are_no_dollars_are_refused",
    "plotting.silence_lines": "plotting.py::test_silences_that_are_not_known_are_not_drawn_around",
    "plotting.decile_lines": "plotting.py::test_parts_are_drawn_with_a_diagonal",
    "plotting.keeping_bars": (
        "plotting.py::test_bars_are_sorted_and_labelled_where_there_is_a_number"
    ),
}
BESIDES = {name: f"tests/lifetime/test_{test}" for name, test in _TESTS.items()}
BESIDES |= dict.fromkeys(
    (
        "baselines.lifetime_baselines",
        "btyd.BetaGeoNBD",
        "btyd.GammaGamma",
        "btyd.ModifiedBetaGeoNBD",
        "btyd.ParetoNBD",
        "ensemble.scaled",
        "networks.LifetimeValueNet",
        "networks.SideBySide",
        "networks.ziln_mean",
    ),
    "takes no rows",
)


@pytest.mark.parametrize(("check", "name"), properties(CASES))
def test_a_model_or_score_has_each_property(check, name):
    check(CASES[name])
