"""Of all that the market takes by row: order, gaps, labels and indexes."""

from functools import partial

import numpy as np
import pandas as pd
import pytest

from pm_utils.market import (
    Computed,
    Creatives,
    EpsilonGreedy,
    ImpressionLog,
    MarketState,
    Table,
    Uniform,
    _checks,
    ad_reader,
    creatives,
    dynamics,
    experiments,
    headlines,
    impressions,
    logging_policies,
    orders,
    population,
    random_creatives,
    randomness,
    renderer,
    truth,
)
from tests.support.market_world import made_up_households, small_market
from tests.support.metric_cases import MetricCase, properties

RNG = np.random.default_rng(0)
N, M = 60, 5
MARKET = small_market(N, creatives=random_creatives(M, np.random.default_rng(1)))
PARAMETERS, HIDDEN = MARKET.truth, MARKET.truth_of_customers
WHO, AD = RNG.permutation(N), RNG.integers(0, M, N)
U, DAYS = np.round(RNG.uniform(0.01, 0.99, N), 2), np.round(RNG.uniform(1, 9, N), 1)
PAIRS = {"customer": WHO, "creative": AD}
CHOSEN = RNG.dirichlet(np.ones(M), N)
EPSILON = EpsilonGreedy(AD, M, 0.3)
COMPUTED = Computed(lambda customers: CHOSEN[np.asarray(customers)], M)
SOME = random_creatives(6, np.random.default_rng(2))
SAME = SOME.take(np.zeros(6, int))
SCENES = RNG.random((6, renderer.N_UNIFORM))
PICTURES = renderer.render_images(SOME, np.random.default_rng(3)).reshape(6, -1)
CLIPS = renderer.render_clips(SOME, np.random.default_rng(3)).reshape(6, -1)
HOUSEHOLDS = made_up_households(N)
GRAMMAR = headlines.copy_grammar()
TOKENS = GRAMMAR.sample(SOME, np.random.default_rng(4))
KEY = randomness.stream_key(0, 1)


def case(call, *labels, rows, **options):
    return MetricCase(call, labels=frozenset(labels), rows=rows, **options)


def by_customer(call, name="customers"):
    return case(call, rows={name: WHO}, by_row=True)


def of_pairs(formula):
    """A formula of customers and ads, whose index is that of the customers."""
    return case(
        lambda customer, ad: formula(customer, MARKET.creatives.take(ad)),
        rows={"customer": WHO, "ad": AD},
        by_row=True,
        apart=frozenset({"ad"}),
    )


def numbers_of(draw):
    return case(
        lambda counter: draw(KEY, counter).astype(float), rows={"counter": WHO}, by_row=True
    )


def chosen_by(policy, method="choose"):
    return case(getattr(policy, method), rows={"customers": WHO, "u": U}, by_row=True)


def drawn(scene):
    """Pictures of one ad in several scenes, flat."""
    return case(
        lambda uniform: scene(renderer.Scene.from_uniform(uniform)).reshape(len(uniform), -1),
        rows={"uniform": SCENES},
        by_row=True,
    )


def log_of(**rows):
    return ImpressionLog(**rows).frame().astype(float)


def households_of(**rows):
    return population.Households(record=pd.DataFrame(index=range(N)), **rows).taste


LOG = {
    "customer": WHO,
    "creative": AD,
    "position": AD % 4,
    "propensity": U,
    "click": 1.0 * (U > 0.5),
    "visit": 1.0 * (U > 0.6),
    "conversion": 1.0 * (U > 0.7),
    "delay": np.where(U > 0.7, DAYS, np.nan),
    "order_value": np.where(U > 0.7, 10 * DAYS, 0),
}
PARTS = ("mixture", "taste", "price_sensitivity", "order_rate", "order_mean", "order_variation")
STATE = {"alive": 1.0 * (U > 0.1), "fatigue": DAYS, "pending": RNG.random((N, 12))}
LOOKS = dict(zip(creatives.ATTRIBUTES, random_creatives(N, RNG).codes().T, strict=True))

CASES = {
    "_checks.known_codes": by_customer(
        lambda codes: _checks.known_codes(codes, "codes", N), "codes"
    ),
    "ad_reader.read_text": case(ad_reader.read_text, rows={"tokens": TOKENS}, by_row=True),
    "ad_reader.read_images": case(
        lambda images: ad_reader.read_images(images.reshape(-1, 32, 32, 3)),
        rows={"images": PICTURES},
        by_row=True,
    ),
    "ad_reader.read_clips": case(
        lambda clips: ad_reader.read_clips(clips.reshape(-1, 12, 32, 32, 3)).velocity,
        rows={"clips": CLIPS},
        by_row=True,
    ),
    "creatives.Creatives": case(lambda **rows: Creatives(**rows).codes(), rows=LOOKS, drawn=True),
    "creatives.Creatives.take": case(
        lambda rows: MARKET.creatives.take(rows).codes(), rows={"rows": AD}, by_row=True
    ),
    "dynamics.MarketState": case(
        lambda alive, fatigue, pending: list(
            vars(MarketState(0, alive, fatigue, pending.reshape(-1, 4, 3))).values()
        )[2],
        "alive",
        rows=STATE,
        by_row=True,
        apart=frozenset(STATE),
    ),
    "dynamics.advance": case(
        lambda creative, impressions: dynamics.advance(
            MARKET, MARKET.rested(), creative, impressions
        )[1],
        rows={"creative": AD, "impressions": AD},
        drawn=True,
        apart=frozenset({"creative", "impressions"}),  # by the numbers of customers, see below
    ),
    "dynamics.expected_lifetime_value": by_customer(
        lambda customers: dynamics.expected_lifetime_value(
            MARKET, Uniform(M), impressions=2, discount_factor=0.9, weeks=3, customers=customers
        )
    ),
    "dynamics.lateness": case(
        lambda delay: dynamics.lateness(delay, 0.9), rows={"delay": DAYS}, by_row=True
    ),
    "experiments.expected_uplift": case(
        lambda customer, creative: experiments.expected_uplift(
            MARKET, customer, creative, impressions=2, days=7
        ),
        rows=PAIRS,
        by_row=True,
    ),
    "experiments.run_experiment": by_customer(
        lambda customers: experiments.run_experiment(
            MARKET, COMPUTED, treated=0.5, impressions=2, days=7, trial=0, customers=customers
        )
    ),
    "headlines.CopyGrammar.token_log_prob": case(
        lambda tokens: np.exp(GRAMMAR.token_log_prob(tokens, SAME)),
        rows={"tokens": TOKENS},
        by_row=True,
    ),
    "headlines.CopyGrammar.log_prob": case(
        lambda tokens: np.exp(GRAMMAR.log_prob(tokens, SAME)), rows={"tokens": TOKENS}, by_row=True
    ),
    "headlines.CopyGrammar.decode": case(
        lambda tokens: np.array([len(text) for text in GRAMMAR.decode(tokens)]),
        rows={"tokens": TOKENS},
        by_row=True,
    ),
    "headlines.CopyGrammar.entropy_per_token": case(
        lambda weights: GRAMMAR.entropy_per_token(weights.reshape(12, 4, 5)),
        rows={"weights": RNG.random((12, 20))},
        drawn=True,  # its rows are the categories
    ),
    "impressions.ImpressionLog": case(
        log_of,
        "click",
        "visit",
        "conversion",
        rows=LOG,
        gaps=frozenset({"delay"}),  # where there was no order
        drawn=True,
    ),
    "impressions.ImpressionLog.frame": case(
        log_of, rows=LOG, gaps=frozenset(LOG) - {"propensity"}, by_row=True, apart=frozenset(LOG)
    ),
    "impressions.simulate_impressions": case(
        lambda customers: (
            impressions.simulate_impressions(MARKET, EPSILON, 30, customers=customers).order_value
        ),
        rows={"customers": WHO},
        drawn=True,
    ),
    "logging_policies.EpsilonGreedy": case(
        lambda best: EpsilonGreedy(best, M, 0.3).probabilities(np.arange(N)),
        rows={"best": AD},
        by_row=True,
    ),
    "logging_policies.Table": case(
        lambda table: Table(table).probabilities(np.arange(N)), rows={"table": CHOSEN}, by_row=True
    ),
    "logging_policies.as_policy": case(
        lambda table: logging_policies.as_policy(lambda who: table[who], M).probabilities(
            np.arange(N)
        ),
        rows={"table": CHOSEN},
        by_row=True,
    ),
    **{
        f"logging_policies.{type(policy).__name__}.{method}": (
            by_customer(policy.probabilities)
            if method == "probabilities"
            else chosen_by(policy, method)
        )
        for policy in (Uniform(M), EPSILON, Table(CHOSEN), COMPUTED)
        for method in ("probabilities", "choose", "search")
        if hasattr(policy, method)
    },
    "market.Market.of": by_customer(
        lambda customers: MARKET.of(customers).truth_of_customers.order_rate
    ),
    "market.Market.with_defect": case(
        lambda who: MARKET.with_defect("visit", who, 0.5).truth_of_customers.stages,
        rows={"who": WHO[:9]},
    ),
    "market.Market.click_probability": case(
        MARKET.click_probability,
        rows=PAIRS | {"position": AD % 4, "fatigue": DAYS},
        by_row=True,
    ),
    **{
        f"market.Market.{name}": case(getattr(MARKET, name), rows=PAIRS, by_row=True)
        for name in (
            *("visit_probability", "order_probability", "conversion_probability"),
            *("mean_delay", "true_uplift"),
        )
    },
    "market.Market.policy_value": case(
        lambda reward: MARKET.policy_value(Uniform(M), reward), rows={"reward": CHOSEN}
    ),
    "market.Market.impressions": case(
        lambda customers: MARKET.impressions(EPSILON, 30, customers=customers).order_value,
        rows={"customers": WHO},
        drawn=True,
    ),
    "market.Market.orders": case(
        lambda customers: MARKET.orders(2, customers=customers)["order_value"].sum(),
        rows={"customers": WHO},
    ),
    "market.Market.experiment": by_customer(
        lambda customers: MARKET.experiment(COMPUTED, customers=customers)
    ),
    "market.Market.step": case(
        lambda creative: MARKET.step(MARKET.rested(), creative)[1],
        rows={"creative": AD},
        drawn=True,
    ),
    "market.Market.lifetime_value": by_customer(
        lambda customers: MARKET.lifetime_value(COMPUTED, weeks=3, customers=customers)
    ),
    "orders.simulate_orders": case(
        lambda customers: orders.simulate_orders(MARKET, 2, customers=customers)[
            "order_value"
        ].sum(),
        rows={"customers": WHO},
    ),
    "population.Households": case(
        households_of,
        rows={name: getattr(HOUSEHOLDS, name) for name in PARTS},
        by_row=True,
        apart=frozenset(PARTS),  # by the record's index, see below
    ),
    "population.factorise": case(
        population.factorise, rows={"spend": RNG.gamma(0.5, 40, (30, 12))}, drawn=True
    ),
    **{
        f"randomness.{name}": numbers_of(getattr(randomness, name))
        for name in ("random_bits", "uniform", "normal", "exponential")
    },
    "randomness.poisson": case(randomness.poisson, rows={"rate": DAYS, "u": U}, by_row=True),
    "renderer.Scene": case(
        lambda **rows: renderer.Scene(**rows),
        rows=vars(renderer.Scene.from_uniform(RNG.random((N, renderer.N_UNIFORM)))),
        by_row=True,
        apart=frozenset(vars(renderer.Scene.from_uniform(SCENES))),
    ),
    "renderer.Scene.from_uniform": case(
        renderer.Scene.from_uniform, rows={"uniform": SCENES}, by_row=True
    ),
    "renderer.compose": drawn(lambda scene: renderer.compose(SAME, scene)),
    "renderer.compose_clips": drawn(lambda scene: renderer.compose_clips(SAME, scene, 2)),
    "renderer.velocity": drawn(lambda scene: renderer.velocity(SAME, scene)),
    "renderer.draw_icons": case(
        lambda layout, rows: renderer.draw_icons(
            3, layout, renderer.Scene.from_uniform(SCENES), rows
        ).reshape(len(rows), -1),
        rows={"layout": np.arange(6) % 4, "rows": np.arange(6)},
        by_row=True,
        apart=frozenset({"layout", "rows"}),
    ),
    "renderer.contact_sheet": case(
        lambda images: renderer.contact_sheet(images.reshape(-1, 32, 32, 3), columns=3).sum(),
        rows={"images": PICTURES.astype(float)},
    ),
    **{
        f"truth.{name}": of_pairs(partial(getattr(truth, name), PARAMETERS, HIDDEN))
        for name in ("click_probability", "visit_probability", "order_probability", "mean_delay")
    },
    "truth.style_liking": of_pairs(lambda who, ads: truth.style_liking(HIDDEN, who, ads)),
    "truth.plant_defect": case(
        lambda who: truth.plant_defect(HIDDEN, "click", who, 0.5).stages, rows={"who": WHO[:9]}
    ),
    "truth.CustomerTruth": case(
        lambda interest, delay: (
            truth.CustomerTruth(
                **(vars(HIDDEN) | {"interest": interest, "delay": delay})
            ).order_value
        ),
        rows={"interest": HIDDEN.interest, "delay": HIDDEN.delay},
        drawn=True,
        apart=frozenset({"interest", "delay"}),
    ),
}

HERE, NOTHING = "tests/market/test_other_inputs.py::", "takes no rows"
BESIDES = {
    "headlines.CopyGrammar.encode": (
        "tests/market/test_headlines.py::test_what_cannot_be_encoded_says_why"
    ),
    "population.category_codes": HERE + "test_codes_of_products_keep_their_index",
    "population.estimate_households": HERE + "test_orders_of_a_shop_in_any_order",
    "renderer.over": "tests/market/test_renderer.py::test_layers_are_laid_by_opacity",
    "logging_policies.Computed": HERE + "test_rows_by_the_numbers_of_customers_are_found_by_them",
    "renderer.badge": HERE + "test_badges_and_scenes_that_cannot_be_drawn_are_refused",
    "renderer.check_drawable": (
        "tests/market/test_renderer.py::test_levels_that_nothing_is_drawn_for_are_named"
    ),
    **dict.fromkeys(
        [
            *("creatives.Creatives.codes", "creatives.check_levels", "creatives.level_columns"),
            *("creatives.level_counts", "creatives.random_creatives", "dynamics.rested_state"),
            "experiments.check_flight",
            *(f"headlines.Automaton.{name}" for name in ("node", "phrase", "mix", "choose")),
            *("headlines.Automaton", "headlines.CopyGrammar", "headlines.CopyGrammar.sample"),
            "headlines.copy_grammar",
            *(f"logging_policies.{name}" for name in ("Policy", "Uniform", "fixed")),
            "logging_policies.Table.n_creatives",
            *(f"market.Market.{name}" for name in ("click_table", "conversion_table", "rested")),
            *("market.Market", "market.Market.promoted_discount", "market.Market.with_creatives"),
            *("market.Market.with_event_seed", "population.real_households"),
            *("randomness.stream_key", "realism.compare_moments", "truth.draw_customers"),
            *("truth.CustomerTruth.order_value", "truth.TruthParameters"),
            *(f"renderer.{name}_sheets" for name in ("text", "background", "badge", "frame")),
            "renderer.icon_atlas",
            *("renderer.render_images", "renderer.render_clips"),
        ],
        NOTHING,
    ),
    **dict.fromkeys(
        [
            "dynamics.WeekOutcome",
            *(f"ad_reader.{name}Reading" for name in ("Text", "Image", "Clip")),
            *(f"logging_policies.Policy.{name}" for name in ("choose", "probabilities")),
        ],
        "the package makes it",
    ),
}


@pytest.mark.parametrize(("check", "name"), properties(CASES))
def test_the_market_has_each_property(check, name):
    check(CASES[name])


def test_rows_by_the_numbers_of_customers_are_found_by_them():
    order = np.random.default_rng(5).permutation(N)
    ads, reward = pd.Series(AD), pd.DataFrame(CHOSEN)
    one = MARKET.step(MARKET.rested(), AD, AD)[1].profit
    for given in ((ads.iloc[order], AD), (ads, ads.iloc[order])):
        np.testing.assert_array_equal(MARKET.step(MARKET.rested(), *given)[1].profit, one)
    value = MARKET.policy_value(EPSILON, CHOSEN)
    assert MARKET.policy_value(EPSILON, reward.iloc[order, ::-1]) == pytest.approx(value)
    mask = pd.Series(U > 0.5)
    for who in (mask, mask.iloc[order], np.flatnonzero(mask)):
        found = truth.plant_defect(HIDDEN, "click", who, 0.5).stages[:, 0]
        np.testing.assert_array_equal(found, np.where(mask, 0.5, 1))
    shown = Computed(lambda customers: reward.loc[np.sort(customers)], M)
    np.testing.assert_array_equal(shown.probabilities(WHO[:9]), CHOSEN[WHO[:9]])
    with pytest.raises(KeyError, match="creative: a customer is not known"):
        MARKET.step(MARKET.rested(), ads.rename({3: 99}))
    with pytest.raises(ValueError, match=r"who has shape \(9,\)"):
        truth.plant_defect(HIDDEN, "click", np.ones(9, bool), 0.5)
    with pytest.raises(ValueError, match=r"who is out of range .*\(-1\)"):
        truth.plant_defect(HIDDEN, "click", [-1], 0.5)


def test_codes_of_products_keep_their_index():
    products = pd.DataFrame({"category": ["CHEESE", "FUEL", "COFFEE"]}, index=[7, 9, 8])
    assert population.category_codes(products).to_dict() == {7: 1, 9: -1, 8: 0}
    with pytest.raises(KeyError, match="products has no column 'category'"):
        population.category_codes(products.rename(columns=str.upper))


def test_households_are_matched_to_their_record():
    households = made_up_households(N)
    parts = {name: getattr(households, name) for name in PARTS}
    rate = pd.Series(households.order_rate, households.record.index)
    again = population.Households(
        record=households.record, **(parts | {"order_rate": rate.sample(frac=1, random_state=0)})
    )
    np.testing.assert_array_equal(again.order_rate, households.order_rate)
    with pytest.raises(ValueError, match="order_rate has no row .*1000.* of record"):
        population.Households(
            record=households.record, **(parts | {"order_rate": rate.set_axis(range(N))})
        )


def test_orders_of_a_shop_in_any_order():
    from pm_utils.data import Shop

    draw = np.random.default_rng(6)
    customers = pd.DataFrame({"customer_id": np.arange(12) + 10**12})
    products = pd.DataFrame({"product_id": [1, 2, 3], "category": ["COFFEE", "CHEESE", "DIAPERS"]})
    lines = pd.DataFrame({"order_id": np.arange(90) // 2, "product_id": draw.integers(1, 4, 90)})
    lines["customer_id"] = customers["customer_id"].to_numpy()[lines["order_id"] % 12]
    lines["amount"] = draw.integers(1, 40, 90).astype(float)
    lines["retail_discount"] = lines["coupon_discount"] = draw.integers(0, 3, 90).astype(float)
    one, two = (
        population.estimate_households(Shop(customers=customers, products=products, order_lines=x))
        for x in (lines, lines.sample(frac=1, random_state=0))
    )
    np.testing.assert_allclose(one.record, two.record)
    np.testing.assert_allclose(one.order_mean, two.order_mean)
    for wrong in (-1.0, np.nan):
        with pytest.raises(ValueError, match="order_lines, amount is"):
            population.estimate_households(
                Shop(
                    customers=customers,
                    products=products,
                    order_lines=lines.assign(amount=lines["amount"].where(lines.index > 3, wrong)),
                )
            )


def test_badges_and_scenes_that_cannot_be_drawn_are_refused(monkeypatch):
    for code in (-1, 0, 5):
        with pytest.raises(ValueError, match="discount is out of range"):
            renderer.badge(code)
    with pytest.raises(ValueError, match="6 ads and 5 scenes"):
        renderer.compose(SOME, renderer.Scene.from_uniform(SCENES[:5]))
    rng = np.random.default_rng(0)
    before = rng.bit_generator.state
    levels = dict(creatives.ATTRIBUTES) | {"discount": ("none", "10%", "70%")}
    monkeypatch.setattr(renderer, "ATTRIBUTES", levels)
    monkeypatch.setattr(creatives, "ATTRIBUTES", levels)
    with pytest.raises(ValueError, match="GLYPHS.* has nothing for discount 70%"):
        renderer.render_images(SOME, rng)
    assert rng.bit_generator.state == before, "nothing was drawn from the generator"


def test_a_rate_beyond_all_numbers_is_refused():
    """The probability of no event is 0 to a computer then, and counts end where the loop does."""
    assert randomness.poisson(np.array([700.0]), np.array([0.5]))[0] == 700
    with pytest.raises(ValueError, match="rate is out of range"):
        randomness.poisson(np.array([800.0]), np.array([0.5]))


def test_what_is_no_word_is_no_word_of_the_next_node():
    tokens = np.tile(TOKENS[0], (len(GRAMMAR.words), 1))
    tokens[:, 2] = np.arange(len(GRAMMAR.words)) + len(GRAMMAR.words)
    alike = SOME.take(np.zeros(len(tokens), int))
    assert (GRAMMAR.log_prob(tokens, alike) == -np.inf).all()
    with pytest.raises(ValueError, match="6 headlines and 1 ads"):
        GRAMMAR.log_prob(TOKENS, SOME.take(np.array([0])))
