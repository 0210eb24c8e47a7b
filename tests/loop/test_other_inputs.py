"""Of what a campaign's loop takes by row: order, gaps, labels and indexes."""

import numpy as np
import pandas as pd
import pytest
import torch

from pm_utils.loop import campaign, customer_profiles, planner, response_data, response_models
from pm_utils.loop.campaign import Log, WeekView
from pm_utils.loop.response_data import ExplorationLog, ResponseLog
from pm_utils.market import ImpressionLog, random_creatives
from tests.support.loop_world import MENU, fixed
from tests.support.market_world import small_market
from tests.support.metric_cases import MetricCase, properties
from tests.support.tensor_cases import TensorCase, tensor_properties

RNG = np.random.default_rng(0)
N = 30
MARKET = small_market(N, creatives=random_creatives(4, np.random.default_rng(1)))
WHO, AD = RNG.permutation(N), RNG.integers(0, 4, N)
TREATED = (np.arange(N) % 3 > 0).astype(float)
RATE, VALUE = np.round(RNG.uniform(0.2, 2, N), 1), np.round(RNG.uniform(5, 50, N), 1)
COUNTS = RNG.integers(0, 6, (N, 12))
PAST = {"rate": RATE, "value": VALUE, "coupons": RATE / 4, "recency": RATE, "counts": COUNTS}
LATER = RNG.integers(0, 3, (N, 12))
TRAITS = np.round(RNG.normal(size=(N, 3)), 1)
ROWS = {
    "customer": WHO,
    "ad": AD,
    "fatigue": RATE,
    "impressions": COUNTS[:, 0] + 3.0,
    "clicks": np.minimum(COUNTS[:, 1], COUNTS[:, 0] + 3.0),
    "orders": np.zeros(N),
    "mature": TREATED,
    "offset": TRAITS[:, :2],
}
BANNERS = {
    "customer": WHO,
    "creative": AD,
    "click": TREATED,
    "conversion": TREATED * (AD > 1),
}
VIEW = {"treated": TREATED, "reachable": 1.0 * (RATE > 0.5), "fatigue": VALUE}


def case(call, *labels, rows, **options):
    return MetricCase(call, rows, labels=frozenset(labels), **options)


def past(**rows):
    return customer_profiles.PurchaseSummary(**(PAST | rows), weeks=10)


def of_past(call, **options):
    """What is made of a summary, whose rows are matched when it is made."""
    return case(lambda **rows: call(past(**rows)), rows=PAST, apart=frozenset(PAST), **options)


def orders(customer, day, order_value, coupon):
    table = pd.DataFrame({"customer": np.asarray(customer), "day": np.asarray(day)})
    table["category"] = pd.Categorical(["pets", "dairy"] * (N // 2))[np.argsort(WHO) % 2]
    return table.assign(order_value=np.asarray(order_value), coupon=np.asarray(coupon))


def summary(customer, day, order_value, coupon):
    found = customer_profiles.summarise_purchases(orders(customer, day, order_value, coupon), N, 8)
    return [found.rate, found.value, found.coupons, found.recency]


def log_of(orders=RATE, conversions=TREATED, treated=TREATED):
    log = Log(treated, weeks=1, orders=[orders], profit=[orders])
    log.shown.append({"customer": np.arange(N), "conversions": np.asarray(conversions)})
    return log


def banners_of(customer, creative, click, conversion):
    zero, half = np.zeros(N), np.full(N, 0.5)
    log = ImpressionLog(customer, creative, zero, half, click, click, conversion, zero, zero)
    return response_data.subsample_negatives(log, (N, 4), seed=0).record


def gathered(**rows):
    """What models read of rows, whatever their order."""
    log = ResponseLog(**rows)
    total = np.zeros((N, 4))
    np.add.at(total, (log.customer, log.ad), log.impressions + log.fatigue + log.offset.sum(1))
    return total.round(3)


def offers(gain, fatigue, cost):
    settings = {"fatigue_effect": 0.1, "frequency_cap": 3, "budget": 90}
    return planner.allocate_impressions(gain, fatigue, cost=cost, **settings)


ROW_CASES = {
    "campaign.incremental_profit": case(
        lambda **rows: campaign.incremental_profit(MARKET, **rows),
        rows={"customer": WHO, "creative": AD, "impressions": AD, "fatigue": RATE},
        apart=frozenset({"customer", "creative", "impressions", "fatigue"}),
        by_row=True,
    ),
    "campaign.weeks_there": case(
        lambda leaving: campaign.weeks_there(leaving, 3), rows={"leaving": RATE / 4}, by_row=True
    ),
    "campaign.WeekView": case(
        lambda **rows: vars(WeekView(0, 0, **rows, budget=9)),
        "treated",
        "reachable",
        rows=VIEW,
        drawn=True,
    ),
    "campaign.WeekView.eligible": case(
        lambda **rows: WeekView(0, 0, **rows, budget=9).eligible,
        "treated",
        "reachable",
        rows=VIEW,
        by_row=True,
        apart=frozenset(VIEW),
    ),
    "campaign.estimate": case(
        lambda treated, orders, before: campaign.estimate(log_of(orders, treated=treated), before),
        "treated",
        rows={"treated": TREATED, "orders": RATE, "before": VALUE},
        apart=frozenset({"treated", "orders", "before"}),
    ),
    "customer_profiles.PurchaseSummary": case(
        lambda **rows: list(vars(past(**rows)).values())[:4], rows=PAST, drawn=True
    ),
    "customer_profiles.summarise_purchases": case(
        summary,
        "coupon",
        rows={"customer": WHO, "day": WHO, "order_value": VALUE, "coupon": TREATED},
        apart=frozenset({"customer", "day", "order_value", "coupon"}),
        drawn=True,
    ),
    "customer_profiles.smoothed_shares": case(
        lambda counts: customer_profiles.smoothed_shares(counts, 3),
        rows={"counts": COUNTS},
        by_row=True,
    ),
    "customer_profiles.against_all": case(
        customer_profiles.against_all,
        rows={"shares": customer_profiles.smoothed_shares(COUNTS, 3)},
        by_row=True,
    ),
    "customer_profiles.profile_inputs": of_past(customer_profiles.profile_inputs, by_row=True),
    "customer_profiles.plain_profile": of_past(
        lambda one: customer_profiles.plain_profile(one, components=2).affinity, by_row=True
    ),
    "customer_profiles.no_profile": of_past(customer_profiles.no_profile, by_row=True),
    "customer_profiles.learn_profile": case(
        lambda late: (
            customer_profiles.learned_profile(
                customer_profiles.learn_profile(past(), late, epochs=1, seed=0)[0], past()
            ).traits
        ),
        rows={"late": LATER},
        drawn=True,
    ),
    "customer_profiles.Profile": case(
        lambda **rows: customer_profiles.Profile(**rows).traits,
        rows={"traits": TRAITS, "affinity": TRAITS},
        drawn=True,
    ),
    "planner.allocate_impressions": case(
        offers,
        rows={"gain": VALUE, "fatigue": RATE, "cost": RATE},
        gaps=frozenset({"gain"}),  # minus infinity forbids
        apart=frozenset({"gain", "fatigue", "cost"}),
        by_row=True,
    ),
    "planner.cannibalisation_rate": case(
        lambda rate: planner.cannibalisation_rate(log_of(), rate), rows={"rate": RATE}, drawn=True
    ),
    "planner.order_worth": of_past(
        lambda one: planner.order_worth(one, planner.Prices(0.3, 0.3, 0.01), 0.2), by_row=True
    ),
    "planner.spread_evenly": case(
        lambda eligible: planner.spread_evenly(eligible, 40, np.random.default_rng(0)),
        "eligible",
        rows={"eligible": TREATED},
        drawn=True,
    ),
    "response_data.ResponseLog": case(gathered, "mature", rows=ROWS),
    "response_data.ResponseLog.within": case(
        lambda customer, ad: (
            ResponseLog(**(ROWS | {"customer": customer, "ad": ad})).within(N, 4).fatigue
        ),
        rows={"customer": WHO, "ad": AD},
        drawn=True,
    ),
    "response_data.ExplorationLog": case(
        lambda record: ExplorationLog(ResponseLog.empty(), record.reshape(2, 2, N, 2)).record.sum(),
        rows={"record": RNG.random((4, 2 * N))},
    ),
    "response_data.ExplorationLog.with_rows": case(
        lambda **rows: ExplorationLog(ResponseLog.empty(), np.zeros((2, 2, N, 4))).with_rows(
            ResponseLog(**rows), 0.1
        ),
        "mature",
        rows=ROWS,
    ),
    "response_data.subsample_negatives": case(banners_of, "click", "conversion", rows=BANNERS),
}
NETS = response_models.ResponseNets(members=2, traits=3, levels=5)


def for_each(call):
    """Rows (B, ...) for both networks side by side."""
    return lambda *rows: [
        part.transpose(0, 1) for part in call(*(x.unsqueeze(0).expand(2, *x.shape) for x in rows))
    ]


X, LEVELS, TIRED = torch.rand(9, 4), torch.rand(9, 5), torch.rand(9)
FORWARD = TensorCase(for_each(lambda *rows: [NETS(*rows)]), (X, LEVELS, TIRED))
TENSOR_CASES = {
    "customer_profiles.category_loss": TensorCase(
        customer_profiles.category_loss, (torch.rand(9, 12), torch.rand(9, 12)), by_row=False
    ),
    "response_models.response_loss": TensorCase(
        response_models.response_loss, (torch.rand(9, 2), torch.rand(9, 4)), by_row=False
    ),
    "response_models.ResponseNets": FORWARD,
    "response_models.ResponseNets.forward": FORWARD,
    "response_models.ResponseNets.encode_customers": TensorCase(
        for_each(NETS.encode_customers), (X,)
    ),
    "response_models.ResponseNets.embed_ads": TensorCase(for_each(NETS.embed_ads), (LEVELS,)),
}
CASES = ROW_CASES | TENSOR_CASES
HERE, NOTHING = "tests/loop/test_other_inputs.py::", "takes no rows"
MODELS = "tests/loop/test_response_models.py::"
BESIDES = {
    "campaign.Log": HERE + "test_a_log_has_as_many_rows_of_each",
    "campaign.Log.rows": HERE + "test_a_log_has_as_many_rows_of_each",
    "campaign.Log.until": "tests/loop/test_campaign.py::test_orders_to_come_are_not_known_yet",
    "campaign.Log.arrivals": "tests/loop/test_campaign.py::test_orders_to_come_are_not_known_yet",
    "response_models.fit_side_by_side": MODELS + "test_only_equal_models_learn_side_by_side",
    "response_models.DeepResponse.rows_to_read": HERE + "test_models_know_their_customers_and_ads",
    "response_models.ResponseNets.joined": MODELS + "test_side_by_side_is_as_one_by_one",
    "response_models.ResponseNets.write_back": MODELS + "test_side_by_side_is_as_one_by_one",
    "response_models.ResponseNets.shape": MODELS + "test_only_equal_models_learn_side_by_side",
    "campaign.run_campaign": (
        "tests/loop/test_campaign.py::test_a_strategy_that_says_what_cannot_be_is_refused"
    ),
    "campaign.impact_estimates": (
        "tests/loop/test_campaign.py::test_campaigns_of_no_numbers_are_refused"
    ),
    "reporting.attributed_profit": HERE + "test_a_log_has_as_many_rows_of_each",
    "response_data.from_campaign": HERE + "test_a_log_has_as_many_rows_of_each",
    **{
        f"response_models.{name}": HERE + "test_models_know_their_customers_and_ads"
        for name in (
            "RandomEffects",
            "RandomEffects.fit",
            "DeepResponse.fit",
            "DeepResponse.loss",
            "LogisticResponse.fit",
        )
    },
    **dict.fromkeys(
        [
            *(f"ad_menu.AdCatalogue.{name}" for name in ("of", "open_ads", "categories")),
            *(f"ad_menu.AdCatalogue.{name}" for name in ("columns", "creatives", "codes")),
            *("ad_menu.AdCatalogue.one_hot", "ad_menu.AdCatalogue.archive"),
            *("ad_menu.one_hot_texts", "ad_menu.write_texts", "ad_menu.draw_ads"),
            *("campaign.Campaign", "campaign.assign", "campaign.Strategy"),
            *("campaign.exploration_profit", "bound.profit_bound"),
            *("campaign.Strategy.learn", "campaign.Strategy.send"),
            "customer_profiles.learned_profile",  # of a `PurchaseSummary`, which was checked
            *("planner.Prices", "planner.Prices.of", "planner.later_cost"),
            *("reporting.measurement_report", "response_data.ResponseLog.empty"),
            *("response_data.shuffled", "response_data.shuffled_exploration"),
            *(f"response_models.{name}" for name in ("DeepResponse", "LogisticResponse")),
            *(
                f"response_models.{name}.{part}"
                for name in ("DeepResponse", "LogisticResponse")
                for part in ("fatigue_effect", "logits")
            ),
            *(
                f"response_models.RandomEffects.{part}"
                for part in ("fitted", "fatigue_effect", "probabilities")
            ),
            "strategies.ShopKnowledge",
            *(
                f"strategies.{name}{part}"
                for name in ("ResponseStrategy", "OneAd", "Oracle")
                for part in ("", ".learn", ".send")
                if (name, part) != ("ResponseStrategy", "")
            ),
            *("strategies.RFMRule", "strategies.RFMRule.learn"),
        ],
        NOTHING,
    ),
    **dict.fromkeys(
        [
            *("campaign.Run", "ad_menu.AdCatalogue", "strategies.ResponseStrategy"),
            *("strategies.OneAd.chosen", "strategies.RFMRule.chosen"),
        ],
        "the package makes it",
    ),
}


@pytest.mark.parametrize(("check", "name"), properties(ROW_CASES))
def test_the_loop_has_each_property(check, name):
    check(ROW_CASES[name])


@pytest.mark.parametrize(("check", "name"), tensor_properties(TENSOR_CASES))
def test_response_networks_have_each_property(check, name):
    check(TENSOR_CASES[name])


def test_a_log_has_as_many_rows_of_each():
    log = log_of()
    with pytest.raises(ValueError, match="the log has 1 weeks, none from 1 to None"):
        log.rows(first=1)
    log.shown.append({"customer": np.arange(3), "conversions": np.zeros(2)})
    with pytest.raises(ValueError, match="week 1: customer 3, conversions 2 rows"):
        log.rows()
    with pytest.raises(ValueError, match="week 1"):
        response_data.from_campaign(log)


def test_models_know_their_customers_and_ads():
    record = np.zeros((2, 2, 5, len(MENU)), np.float32)
    effects = response_models.RandomEffects(fixed(record[0]), MENU)
    strange = ResponseLog(**(ROWS | {"ad": AD + len(MENU)}))
    for banners, rows, told in (
        (record, strange, "customer is out of range"),
        (record[:, :, :3], ResponseLog.empty(), r"record has shape \(2, 2, 3, 480\)"),
    ):
        with pytest.raises(ValueError, match=told):
            effects.fit(ExplorationLog(ResponseLog.empty(), banners), rows)
    profile = customer_profiles.no_profile(past())
    for model in (
        response_models.DeepResponse(profile, MENU, first_steps=1),
        response_models.LogisticResponse(profile, MENU),
    ):
        with pytest.raises(ValueError, match="ad is out of range in 30 of 30"):
            model.fit(strange, ResponseLog.empty())
    deep = response_models.DeepResponse(profile, MENU, first_steps=1)
    with pytest.raises(ValueError, match="ad is out of range in 30 of 30"):
        deep.loss(strange)
    with pytest.raises(ValueError, match="there is no loss"):
        deep.loss(ResponseLog.empty())
