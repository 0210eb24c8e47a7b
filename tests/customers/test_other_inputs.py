"""Of what is known of customers: order, gaps, labels and indexes."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.linear_model import LogisticRegression

from pm_utils.customers import demographics, features, next_purchase, segments
from pm_utils.customers.networks import (
    BasketRNN,
    ProfileTagger,
    PurchaseCNN,
    UserProfileNet,
    WideHead,
)
from pm_utils.customers.purchase_log import (
    PurchaseLog,
    basket_sequences,
    category_history,
    category_orders,
    customer_context,
    known_customers,
    largest_categories,
    next_purchases,
    week_grid,
)
from tests.support.metric_cases import MetricCase, properties
from tests.support.tensor_cases import TensorCase, tensor_properties

RNG = np.random.default_rng(0)
N = 40
BOUGHT = (RNG.random((N, 3)) < 0.5).astype(float)
VIEW = np.round(RNG.normal(size=(N, 4)), 2)
KNOWN = np.round(RNG.normal(size=(N, 6)), 2)
SAID = RNG.dirichlet(np.ones(3), N)
TOLD = np.eye(3)[np.arange(N) % 3]
NAMES = ["orders", "trend"]
LOG = PurchaseLog(
    customers=np.array([11, 12, 13]),
    categories=("MILK", "BREAD"),
    order=np.array([0, 1, 1, 2, 3]),
    customer=np.array([0, 1, 1, 0, 2]),
    category=np.array([0, 0, 1, 1, 0]),
    day=np.array([0, 7, 7, 9, 30]),
    order_customer=np.array([0, 1, 0, 2]),
    order_day=np.array([0, 7, 9, 30]),
    order_spend=np.array([2.0, 5.0, 1.0, 4.0]),
)
DAY = "2017-02-15"
ROWS = {name: getattr(LOG, name) for name in ("order", "customer", "category", "day")}
ORDERS = {name: getattr(LOG, name) for name in ("order_customer", "order_day", "order_spend")}


def views(log):
    """All that is read of a log."""
    return [
        category_orders(log, 0, 40),
        category_history(log, DAY),
        customer_context(log, DAY),
        known_customers(log, DAY),
        week_grid(log, DAY, 3),
        *basket_sequences(log, DAY, 2),
        next_purchases(log, "2017-01-05", 40, 2),
    ]


def view_of(view):
    """A view of a log whose rows are given in any order; orders stand in order of time."""
    return MetricCase(lambda **rows: view(replace(LOG, **rows)), ROWS)


def samples_of(**changed):
    parts = {
        "customer": np.arange(N),
        "as_of": np.full(N, np.datetime64("2017-04-01")),
        "history": RNG.random((N, 15)),
        "context": RNG.random((N, 8)),
        "grid": RNG.random((N, 24)),
        "baskets": np.zeros((N, 4, 3)),
        "ages": RNG.random((N, 4)),
        "lengths": np.ones(N, int),
        "target": BOUGHT,
    }
    parts |= changed
    for name, shape in {"history": (3, 5), "grid": (3, 8)}.items():  # rows of tables come flat
        parts[name] = np.asarray(parts[name]).reshape(-1, *shape)
    return next_purchase.TagSamples(**parts)


SAMPLE = {
    name: getattr(samples_of(), name).reshape(N, -1)
    for name in ("history", "context", "grid", "ages")
}
SAMPLE |= {"target": BOUGHT, "lengths": np.arange(N) % 4}
INPUTS = next_purchase.Inputs.learn(samples_of())


def scaled(table):
    """Scaled by name; the pipeline keeps the index."""
    known = pd.DataFrame(table)
    known = known if isinstance(table, pd.DataFrame) else known.set_axis(NAMES, axis=1)
    return features.feature_pipeline(NAMES).fit_transform(known)


def portraits(segment, spend):
    who = pd.RangeIndex(N)
    dollars = pd.DataFrame(0.1, who, list(segments.THEMES)).assign(bakers=np.linspace(0, 0.5, N))
    activity = pd.DataFrame({"orders_per_8w": 3.0, "spend_per_8w": np.asarray(spend)}, who)
    return segments.segment_portraits(
        pd.Series(np.asarray(segment)), activity, dollars.assign(all=2.0)
    )


ROW_CASES = {
    "demographics.cross_validated_probabilities": MetricCase(
        lambda view: demographics.cross_validated_probabilities(
            {"view": view}, pd.Series(np.arange(N) % 2).astype(str), seed=0, folds=2
        )[1]["view"],
        {"view": VIEW},
        apart=frozenset({"view"}),
        drawn=True,
    ),
    "demographics.auc_interval": MetricCase(
        lambda truth, first: demographics.auc_interval(
            truth,
            [{"first": first, "second": SAID}],
            "first",
            "second",
            judged=np.ones(N, bool),
            resamples=5,
            seed=0,
        ),
        {"truth": TOLD, "first": SAID[::-1]},
        labels=frozenset({"truth"}),
        drawn=True,
        apart=frozenset({"truth", "first"}),
        ends=True,
    ),
    "demographics.guess_table": MetricCase(
        lambda truth, deep, choosing: demographics.guess_table(
            truth, {"naive": SAID, "classical": SAID, "deep": deep}, choosing=choosing
        ),
        {"truth": TOLD, "deep": SAID, "choosing": np.arange(N) % 5 < 2},
        labels=frozenset({"truth", "choosing"}),
        drawn=True,
        apart=frozenset({"truth", "deep", "choosing"}),
    ),
    "demographics.guesses_over_deals": MetricCase(
        lambda view: demographics.guesses_over_deals(
            {"view": view},
            pd.Series(np.arange(N) % 2).astype(str),
            np.arange(N) % 5 < 2,
            deals=1,
            seed=0,
        )[1][0]["view"],
        {"view": VIEW},
        apart=frozenset({"view"}),
        drawn=True,
    ),
    "demographics.mean_guess_table": MetricCase(
        lambda truth, deep, choosing: demographics.mean_guess_table(
            truth, [{"naive": SAID, "deep": deep}], choosing=choosing
        ).drop(columns="spread"),
        {"truth": TOLD, "deep": SAID, "choosing": np.arange(N) % 5 < 2},
        labels=frozenset({"truth", "choosing"}),
        drawn=True,
        apart=frozenset({"truth", "deep", "choosing"}),
    ),
    "demographics.expected_mix": MetricCase(
        lambda view: demographics.expected_mix(
            view,
            pd.Series(np.where(np.arange(N) < 30, np.array(["a", "b"])[np.arange(N) % 2], None)),
        ),
        {"view": VIEW},
        drawn=True,
    ),
    "features.feature_pipeline": MetricCase(scaled, {"table": np.abs(VIEW[:, :2])}, by_row=True),
    "next_purchase.TagSamples": MetricCase(
        lambda **rows: vars(samples_of(**rows)),
        SAMPLE,
        labels=frozenset({"target"}),
        drawn=True,
        apart=frozenset(SAMPLE),
    ),
    **{
        f"next_purchase.Inputs.{name}": MetricCase(
            lambda history, context, name=name: getattr(INPUTS, name)(
                samples_of(history=history, context=context)
            ).reshape(N, -1),
            {name: SAMPLE[name] for name in ("history", "context")},
            by_row=True,
            apart=frozenset({"history", "context"}),
        )
        for name in ("wide", "features", "histories")
    },
    "next_purchase.Inputs.view": MetricCase(
        lambda grid: INPUTS.view("PurchaseCNN", samples_of(grid=grid))[0].reshape(N, -1),
        {"grid": SAMPLE["grid"]},
        by_row=True,
    ),
    **{
        name: MetricCase(
            lambda history, context: vars(
                next_purchase.Inputs.learn(samples_of(history=history, context=context))
            ),
            {name: SAMPLE[name] for name in ("history", "context")},
            apart=frozenset({"history", "context"}),
        )
        for name in ("next_purchase.Inputs", "next_purchase.Inputs.learn")
    },
    "next_purchase.per_tag_probabilities": MetricCase(
        lambda train, target: next_purchase.per_tag_probabilities(
            LogisticRegression(tol=1e-12, max_iter=1000),
            train.reshape(-1, 3, 2),
            target,
            KNOWN[:5].reshape(-1, 3, 2),
        ),
        {"train": KNOWN, "target": BOUGHT},
        labels=frozenset({"target"}),
        apart=frozenset({"train", "target"}),
    ),
    "next_purchase.own_and_profile": MetricCase(
        lambda own, profile: next_purchase.own_and_profile(own.reshape(-1, 3, 2), profile).reshape(
            N, -1
        ),
        {"own": KNOWN, "profile": VIEW},
        by_row=True,
        apart=frozenset({"own", "profile"}),
    ),
    "purchase_log.PurchaseLog": MetricCase(lambda **rows: views(replace(LOG, **rows)), ROWS),
    "purchase_log.PurchaseLog, its orders": MetricCase(
        lambda **rows: views(replace(LOG, **rows)), ORDERS, drawn=True, apart=frozenset(ORDERS)
    ),
    "purchase_log.category_orders": view_of(lambda log: category_orders(log, 0, 40)),
    "purchase_log.category_history": view_of(lambda log: category_history(log, DAY)),
    "purchase_log.customer_context": view_of(lambda log: customer_context(log, DAY)),
    "purchase_log.known_customers": view_of(lambda log: known_customers(log, DAY)),
    "purchase_log.week_grid": view_of(lambda log: week_grid(log, DAY, 3)),
    "purchase_log.basket_sequences": view_of(lambda log: basket_sequences(log, DAY, 2)),
    "purchase_log.next_purchases": view_of(lambda log: next_purchases(log, "2017-01-05", 40, 2)),
    "segments.nearest_customers": MetricCase(
        lambda vectors: segments.nearest_customers(vectors, 0, 3), {"vectors": VIEW}, drawn=True
    ),
    "segments.neighbour_overlap": MetricCase(
        lambda vectors, target: segments.neighbour_overlap(vectors, target, 3),
        {"vectors": VIEW, "target": BOUGHT},
        labels=frozenset({"target"}),
        by_row=True,
    ),
    "segments.stability": MetricCase(
        lambda vectors: segments.stability(vectors, [3], splits=2), {"vectors": VIEW}, drawn=True
    ),
    "segments.segment_portraits": MetricCase(
        portraits,
        {"segment": np.arange(N) % 3, "spend": np.abs(VIEW[:, 0])},
        gaps=frozenset({"segment"}),  # who has none is left out
        apart=frozenset({"segment", "spend"}),
        drawn=True,
    ),
}


def net(kind, *sizes):
    torch.manual_seed(0)
    return kind(*sizes).eval()


FEATURES, GRID = torch.rand(9, 5), torch.rand(9, 4, 8)
BASKETS = torch.rand(9, 6, 4), torch.rand(9, 6), torch.arange(9) % 6 + 1
OWN, PROFILE = torch.rand(9, 3, 2), torch.rand(9, 32)
TENSOR_CASES = {
    **{
        f"networks.{kind.__name__}{method}": TensorCase(
            lambda *x, kind=kind, sizes=sizes, method=method: (
                net(kind, *sizes).profile(*x) if method == ".profile" else net(kind, *sizes)(*x)
            ),
            tensors,
        )
        for kind, sizes, tensors in (
            (UserProfileNet, (5, 8, 3), (FEATURES,)),
            (PurchaseCNN, (4, 3), (GRID,)),
            (BasketRNN, (4, 3), BASKETS),
        )
        for method in ("", ".forward", ".profile")
    },
    "networks.WideHead": TensorCase(lambda *x: net(WideHead, 3, 2)(*x), (PROFILE, OWN)),
    "networks.WideHead.forward": TensorCase(lambda *x: net(WideHead, 3, 2)(*x), (PROFILE, OWN)),
    **{
        name: TensorCase(
            lambda *x: net(ProfileTagger, net(UserProfileNet, 5, 8, 3), 3, 2)(*x), (OWN, FEATURES)
        )
        for name in ("networks.ProfileTagger", "networks.ProfileTagger.forward")
    },
    "networks.ProfileTagger.profile": TensorCase(
        lambda x: net(ProfileTagger, net(UserProfileNet, 5, 8, 3), 3, 2).profile(x), (FEATURES,)
    ),
}
CASES = ROW_CASES | TENSOR_CASES
FEATURE, NEXT, NOTHING = (
    "tests/customers/test_features.py::",
    "tests/customers/test_next_purchase.py::",
    "takes no rows",
)
BESIDES = {
    "features.customer_features": FEATURE + "test_lines_that_cannot_count_are_no_neighbours",
    "features.everyone_of": FEATURE + "test_a_customer_listed_twice_is_named",
    "features.features_on": FEATURE + "test_no_dates_and_a_date_given_twice_are_refused",
    "features.spend_between": FEATURE + "test_returns_are_refused_as_features_and_netted_as_spend",
    "features.next_spend": FEATURE + "test_next_spend_follows_each_date",
    "features.orders_of": FEATURE + "test_lines_without_a_customer_are_counted",
    "features.DatedPipeline": FEATURE + "test_a_pipeline_scales_no_gaps",
    "features.DatedPipeline.learn": FEATURE + "test_a_pipeline_scales_no_gaps",
    "features.DatedPipeline.transform": FEATURE + "test_a_pipeline_scales_no_gaps",
    "next_purchase.TagSamples.on": NEXT + "test_a_sample_date_is_a_day",
    "next_purchase.tag_samples": NEXT + "test_the_target_begins_where_the_past_ends",
    "next_purchase.profile_frame": NEXT + "test_profiles_come_as_a_table_by_customer_and_date",
    "purchase_log.largest_categories": (
        "tests/customers/test_purchase_log.py::"
        "test_the_largest_categories_are_those_with_most_customers_before_the_date"
    ),
    "purchase_log.purchase_log": (
        "tests/customers/test_purchase_log.py::test_the_order_of_the_lines_does_not_matter"
    ),
    "segments.theme_spend": (
        "tests/customers/test_segments.py::test_spend_is_by_theme_and_before_the_date"
    ),
    **dict.fromkeys(
        [
            *("features.DatedPipeline.as_artifact", "features.DatedPipeline.from_artifact"),
            *("next_purchase.as_of_dates", "next_purchase.new_tagger"),
            "next_purchase.Inputs.as_tensors",
            *("purchase_log.PurchaseLog.first_day", "purchase_log.day_number"),
            # of `TagSamples`, which are checked when they are made
            *("next_purchase.train_tagger", "next_purchase.tag_probabilities"),
            "next_purchase.profiles",
        ],
        NOTHING,
    ),
}


@pytest.mark.parametrize(("check", "name"), properties(ROW_CASES))
def test_what_is_known_of_customers_has_each_property(check, name):
    check(ROW_CASES[name])


@pytest.mark.parametrize(("check", "name"), tensor_properties(TENSOR_CASES))
def test_a_network_has_each_property(check, name):
    check(TENSOR_CASES[name])


def test_logs_that_cannot_be_are_refused():
    for changes, told in (
        ({"order_day": LOG.order_day[::-1]}, "order_day goes back in 3 of 4 rows, first row 1"),
        ({"customers": np.array([11, 11, 13])}, "one is listed twice"),
        ({"category": LOG.category + 1}, "category is out of range .* 0 to 1"),
        ({"order": LOG.order - 1}, "order is out of range"),
        ({"order_spend": -LOG.order_spend}, "order_spend is out of range in 4 of 4"),
        ({"day": LOG.day[:3]}, "day 3 rows"),
    ):
        with pytest.raises(ValueError, match=told):
            replace(LOG, **changes)
    for call, told in (
        (lambda: week_grid(LOG, DAY, 0), "weeks is out of range"),
        (lambda: basket_sequences(LOG, DAY, -1), "length is out of range"),
        (lambda: category_orders(LOG, 9, 3), "first_day is 9, last_day 3"),
        (lambda: category_orders(LOG, 0, np.nan), "last_day is not finite"),
        (lambda: next_purchases(LOG, DAY, 7, 3), "tags is out of range"),
        (lambda: next_purchases(LOG, DAY, 0, 1), "days is out of range"),
        (lambda: largest_categories(None, DAY, 0), "count is out of range"),
    ):
        with pytest.raises(ValueError, match=told):
            call()


def test_a_bare_pipeline_names_the_column_that_has_a_gap():
    table = pd.DataFrame(np.abs(VIEW[:, :2]), columns=NAMES)
    pipeline = features.feature_pipeline(NAMES).fit(table)
    pd.testing.assert_frame_equal(
        pipeline.transform(table.iloc[:, ::-1]), pipeline.transform(table)
    )
    for value, told in ((np.nan, "row 3, column 'orders'"), (-1.0, "out of range .* 'orders'")):
        broken = table.copy()
        broken.loc[3, "orders"] = value
        for call in (pipeline.transform, pipeline.fit, pipeline.fit_transform):
            with pytest.raises(ValueError, match=told):
                call(broken)


def test_networks_name_the_sizes_that_they_read():
    with pytest.raises(ValueError, match=r"give \(B, 4, W\), at least 7 weeks"):
        net(PurchaseCNN, 4, 3)(torch.zeros(2, 4, 6))
    with pytest.raises(ValueError, match=r"features has shape \(2, 4\): give \(B, 5\)"):
        net(UserProfileNet, 5, 8, 3)(torch.zeros(2, 4))
    with pytest.raises(ValueError, match="lengths is out of range"):
        net(BasketRNN, 4, 3)(torch.zeros(2, 5, 4), torch.zeros(2, 5), torch.tensor([5, 6]))
    with pytest.raises(ValueError, match=r"give \(B, T, 4\)"):
        net(BasketRNN, 4, 3)(torch.zeros(2, 5, 3), torch.zeros(2, 5), torch.tensor([5, 5]))
