"""The truth's formulas by hand-worked cases and monotonicities; defects and bad input named."""

import re
from dataclasses import fields, replace

import numpy as np
import pytest
from scipy.special import expit
from sklearn.linear_model import LinearRegression

from pm_utils.market import (
    ATTRIBUTES,
    DISCOUNT_RATES,
    Creatives,
    EpsilonGreedy,
    Market,
    TruthParameters,
)
from pm_utils.market import truth as formulas
from pm_utils.market._draws import order_values
from tests.support.market_world import made_up_households, small_market

MARKET = small_market()
WHO = np.arange(MARKET.n_customers)


def ads(n: int = 1, **codes) -> Creatives:
    """Return n ads that are alike but for the given codes."""
    columns = {name: np.zeros(n, np.int64) for name in ATTRIBUTES}
    return Creatives(**columns | {name: np.broadcast_to(c, n) for name, c in codes.items()})


def ladder() -> Creatives:
    """Return five ads that differ in their discount alone."""
    return ads(5, discount=np.arange(5))


def test_a_click_is_the_printed_formula():
    truth, hidden = MARKET.truth, MARKET.truth_of_customers
    ad = ads(category=3, tone=2, discount=4, palette=1, layout=2, motion=4, speed=1)
    i = 17
    u, s, z = hidden.interest[i, 3], hidden.price_sensitivity[i], hidden.engagement[i]
    v = hidden.tone[i, 2] + hidden.palette[i, 1] + hidden.layout[i, 2] + hidden.motion[i, 4, 1]
    logit = (
        truth.click_base
        + truth.click_interest * u
        + truth.click_style * expit(truth.style_gate * u) * v
        + truth.click_discount * (s - truth.discount_threshold) * np.sqrt(0.5)
        + truth.click_urgent_discount * s
        + truth.click_engagement * z
    )
    shown = MARKET.click_probability(np.array([i]), ad, position=2, fatigue=3.0)
    expected = expit(logit) * truth.examination[2] * np.exp(-3 * truth.fatigue)
    assert shown[0] == pytest.approx(expected, rel=1e-5)


def test_visit_order_and_delay_are_the_printed_formulas():
    truth, hidden = MARKET.truth, MARKET.truth_of_customers
    urgent, moving = ads(category=5, tone=2, discount=2), ads(motion=1)
    i = np.array([40])
    u, s, z = hidden.interest[40, 5], hidden.price_sensitivity[40], hidden.engagement[40]
    logit = (
        truth.order_base
        + truth.order_interest * u
        + truth.order_discount * s * 0.2
        - truth.order_urgent * (1 - s)
        + truth.order_engagement * z
    )
    assert MARKET.order_probability(i, urgent)[0] == pytest.approx(expit(logit), rel=1e-5)
    assert MARKET.visit_probability(i, urgent)[0] == pytest.approx(truth.visit_base)
    slower = truth.visit_base * (1 - truth.visit_moving)
    assert MARKET.visit_probability(i, moving)[0] == pytest.approx(slower)
    both = MARKET.conversion_probability(i, urgent)[0]
    assert both == pytest.approx(truth.visit_base * expit(logit), rel=1e-5)
    hurry = np.exp(-truth.delay_urgent)
    assert MARKET.mean_delay(i, urgent)[0] == pytest.approx(hidden.delay[40] * hurry)
    assert MARKET.mean_delay(i, moving)[0] == pytest.approx(hidden.delay[40])


def test_rates_are_those_of_advertising():
    click, convert = MARKET.click_table, MARKET.conversion_table
    assert 0.015 < click.mean() < 0.06
    assert 0.03 < (click * convert).sum() / click.sum() < 0.15
    assert click.min() > 0
    assert click.max() < 1


def test_the_tables_are_the_formulas():
    rng = np.random.default_rng(0)
    who, what = rng.integers(2000, size=500), rng.integers(200, size=500)
    click, convert = MARKET.click_probability, MARKET.conversion_probability
    np.testing.assert_allclose(MARKET.click_table[who, what], click(who, what), rtol=1e-5)
    np.testing.assert_allclose(MARKET.conversion_table[who, what], convert(who, what), rtol=1e-5)
    own_ads = MARKET.creatives.take(what)
    np.testing.assert_allclose(click(who, own_ads), click(who, what), rtol=1e-6)


def test_pairs_broadcast_in_any_shape():
    who, what = np.arange(4), np.arange(3)
    crossed = MARKET.click_probability(who[:, None], what)
    assert crossed.shape == (4, 3)
    turned = MARKET.click_probability(who, what[:, None])
    np.testing.assert_allclose(turned, crossed.T, rtol=1e-6)
    one = MARKET.click_probability(2, np.array([1]))
    np.testing.assert_allclose(one, crossed[2, 1], rtol=1e-6)
    assert MARKET.click_probability(np.array(2), np.array(1)).shape == ()


def test_an_ad_that_says_nothing_earns_nothing():
    shown = MARKET.click_probability(np.array([3, 3]), np.array([-1, 7]))
    assert shown[0] == 0
    assert shown[1] == pytest.approx(MARKET.click_table[3, 7])


def test_later_positions_and_tired_customers_click_less():
    who, what = WHO[:, None], np.array([11])
    by_slot = MARKET.click_probability(who, what, position=np.arange(4))
    assert (np.diff(by_slot, axis=1) < 0).all()
    by_fatigue = MARKET.click_probability(who, what, fatigue=np.array([0.0, 1.0, 5.0, 20.0]))
    assert (np.diff(by_fatigue, axis=1) < 0).all()


def test_discounts_draw_the_price_sensitive_and_put_off_the_others():
    click = MARKET.click_probability(WHO[:, None], ladder())
    sensitive = MARKET.truth_of_customers.price_sensitivity > MARKET.truth.discount_threshold
    assert (np.diff(click[sensitive], axis=1) > 0).all()
    assert (np.diff(click[~sensitive], axis=1) < 0).all()
    order = MARKET.order_probability(WHO[:, None], ladder())
    assert (np.diff(order, axis=1) > 0).all()  # nobody minds paying less
    gain = order[:, 4] / order[:, 0]
    assert gain[sensitive].mean() > 1.5 * gain[~sensitive].mean()


def test_liking_a_category_raises_clicks_and_orders():
    hidden, truth = MARKET.truth_of_customers, MARKET.truth
    cold, warm = (replace(hidden, interest=np.full_like(hidden.interest, u)) for u in (-0.8, 0.8))
    who = WHO[:, None]
    more = formulas.click_probability(truth, warm, who, MARKET.creatives)
    less = formulas.click_probability(truth, cold, who, MARKET.creatives)
    gate = expit(0.8 * truth.style_gate) - expit(-0.8 * truth.style_gate)
    turning = -1.6 * truth.click_interest / (truth.click_style * gate)
    looks = formulas.style_liking(hidden, who, MARKET.creatives)
    assert ((more > less) == (looks > turning)).mean() > 0.9999  # who looks closer may dislike it
    assert (more > less).mean() > 0.85
    more = formulas.order_probability(truth, warm, who, MARKET.creatives)
    assert (more > formulas.order_probability(truth, cold, who, MARKET.creatives)).all()


def test_speed_means_nothing_where_nothing_moves():
    still = formulas.STILL
    slow, fast = ads(2000, motion=still), ads(2000, motion=still, speed=1)
    assert (MARKET.click_probability(WHO, slow) == MARKET.click_probability(WHO, fast)).all()
    slow, fast = ads(2000, motion=2), ads(2000, motion=2, speed=1)
    assert (MARKET.click_probability(WHO, slow) != MARKET.click_probability(WHO, fast)).all()


def test_clicks_and_orders_share_causes_so_clickers_convert_better():
    click, convert = MARKET.click_table, MARKET.conversion_table
    among_clicks = (click * convert).sum() / click.sum()
    assert among_clicks > 1.2 * convert.mean()
    rng = np.random.default_rng(1)  # no such gap where the causes are torn apart
    torn = convert[rng.permutation(len(convert))][:, rng.permutation(convert.shape[1])]
    assert abs((click * torn).sum() / click.sum() / convert.mean() - 1) < 0.1


def test_the_best_ad_is_not_the_same_for_all():
    click = MARKET.click_table
    random, single, oracle = click.mean(), click.mean(0).max(), click.max(1).mean()
    assert single > 1.3 * random
    assert oracle > 1.5 * single
    shares = np.bincount(click.argmax(1), minlength=200) / len(click)
    assert shares.max() < 0.3
    assert (shares > 0.002).sum() > 40


def test_a_model_without_interactions_misses_much_of_the_truth():
    logit = np.log(MARKET.click_table / (1 - MARKET.click_table))
    additive = logit.mean(1, keepdims=True) + logit.mean(0) - logit.mean()
    left = ((logit - additive) ** 2).sum() / ((logit - logit.mean()) ** 2).sum()
    assert left > 0.2


def test_style_preferences_follow_from_the_mixture_up_to_quirks():
    market = small_market(seed=3)
    hidden, types = market.truth_of_customers, market.households.mixture
    scores = formulas.ndtri((formulas.rankdata(types, axis=0) - 0.5) / len(types))
    x = scores[hidden.household]
    for name in ("tone", "palette", "layout"):
        liking = getattr(hidden, name)
        residual = liking - LinearRegression().fit(x, liking).predict(x)
        assert residual.std() == pytest.approx(market.truth.quirk, rel=0.1)
        assert liking.std(0).mean() > 3 * market.truth.quirk


def test_engagement_is_mostly_activity():
    hidden = MARKET.truth_of_customers
    log_rate = np.log(MARKET.households.order_rate[hidden.household])
    correlation = np.corrcoef(hidden.engagement, log_rate)[0, 1]
    assert correlation == pytest.approx(MARKET.truth.engagement_activity, abs=0.05)
    assert hidden.engagement.std() == pytest.approx(1, abs=0.08)


def test_customers_are_drawn_from_households():
    hidden, record = MARKET.truth_of_customers, MARKET.households.record
    assert (MARKET.customers["customer_id"] == record.index[hidden.household]).all()
    shown = MARKET.customers.drop(columns="customer_id").to_numpy()
    assert (shown == record.to_numpy()[hidden.household]).all()
    times = np.bincount(hidden.household[:300], minlength=300)
    assert 0.3 < (times == 0).mean() < 0.44  # with replacement: 1/e are never drawn
    ratio = hidden.order_rate / MARKET.households.order_rate[hidden.household]
    assert ratio.mean() == pytest.approx(1, abs=0.02)
    assert np.log(ratio).std() == pytest.approx(MARKET.truth.individuality, rel=0.06)


def test_order_values_keep_mean_and_spread_of_the_household():
    hidden = MARKET.truth_of_customers
    mean = MARKET.households.order_mean[hidden.household]
    np.testing.assert_allclose(hidden.order_value, mean)
    u = (np.arange(20_000) + 0.5) / 20_000
    drawn = order_values(hidden, np.full(20_000, 8), u)
    variation = MARKET.households.order_variation[hidden.household[8]]
    assert drawn.mean() == pytest.approx(mean[8], rel=0.01)
    assert drawn.std() / drawn.mean() == pytest.approx(variation, rel=0.05)


def test_the_same_seed_gives_the_same_customers_and_another_does_not():
    again, other = small_market(), small_market(seed=1)
    for name in ("household", "tone", "motion", "engagement", "order_rate", "leaving"):
        mine = getattr(MARKET.truth_of_customers, name)
        assert (mine == getattr(again.truth_of_customers, name)).all()
        assert (mine != getattr(other.truth_of_customers, name)).mean() > 0.5
    assert (MARKET.creatives.codes() == again.creatives.codes()).all()
    assert (MARKET.creatives.codes() != other.creatives.codes()).any()


def test_a_larger_market_begins_with_the_smaller():
    larger = small_market(3000).truth_of_customers
    for name in ("household", "palette", "motion", "engagement", "order_rate"):
        mine = getattr(MARKET.truth_of_customers, name)
        assert (mine == getattr(larger, name)[:2000]).all()


def test_a_defect_lowers_one_stage_for_those_concerned():
    broken = MARKET.with_defect("visit", np.arange(100), 0.3)
    visit, was = (m.visit_probability(WHO, ads(2000)) for m in (broken, MARKET))
    np.testing.assert_allclose(visit[:100], 0.3 * was[:100], rtol=1e-6)
    assert (visit[100:] == was[100:]).all()
    assert (broken.click_table == MARKET.click_table).all()
    ratio = broken.conversion_table[:100] / MARKET.conversion_table[:100]
    np.testing.assert_allclose(ratio, 0.3, rtol=1e-5)
    assert (MARKET.truth_of_customers.stages == 1).all()  # the market itself is whole


def test_a_defect_does_not_meet_stale_tables():
    market = small_market(50)
    before = market.click_table.copy()
    broken = market.with_defect("click", np.arange(50) < 10, 0.5)
    np.testing.assert_allclose(broken.click_table[:10], before[:10] / 2, rtol=1e-6)
    assert (market.click_table == before).all()


def test_another_catalogue_leaves_the_customers():
    market = MARKET.with_creatives(ladder())
    assert market.click_table.shape == (2000, 5)
    assert market.promoted_discount == pytest.approx(0.3 * DISCOUNT_RATES)
    assert market.truth_of_customers is MARKET.truth_of_customers
    assert len(MARKET.creatives) == 200


def test_another_catalogue_does_not_meet_stale_tables():
    market = small_market(50)
    old = market.click_table, market.conversion_table, market.promoted_discount
    new = market.with_creatives(ladder())
    assert [len(new.promoted_discount), new.click_table.shape[1]] == [5, 5]
    assert new.conversion_table.shape == (50, 5)
    assert market.click_table is old[0]  # and the old market keeps its own


def test_every_parameter_is_documented():
    text = TruthParameters.__doc__
    for field in fields(TruthParameters):
        assert re.search(rf"\b{field.name}\b", text), field.name


def fingerprint(market: Market) -> list[float]:
    """Return numbers that tell one truth from another."""
    who, ad = np.arange(60), np.full(60, 7)
    policy = EpsilonGreedy(np.full(60, 7), 200, 0.5)
    life = market.lifetime_value(policy, impressions=3, discount_factor=0.99)
    tired = market.click_probability(who, ad, position=1, fatigue=2.0)
    bought = market.true_uplift(who, ad, outcome="bought", impressions=2, days=5)
    return [float(v.sum()) for v in (life, tired, bought, market.mean_delay(who, ad))]


@pytest.mark.parametrize("name", [field.name for field in fields(TruthParameters)])
def test_every_parameter_matters(name):
    usual = TruthParameters(leaving_bounds=(0.003, 0.02))
    value = getattr(usual, name)
    other = tuple(v * 0.5 for v in value) if isinstance(value, tuple) else value * 0.5
    catalogue = ads(200, tone=formulas.URGENT, discount=2, motion=1)
    markets = [
        small_market(60, truth=truth, creatives=catalogue)
        for truth in (usual, replace(usual, **{name: other}))
    ]
    assert fingerprint(markets[0]) != fingerprint(markets[1])


def test_parameters_rule_the_market():
    dull = small_market(truth=replace(TruthParameters(), click_style=0.0, quirk=0.0))
    pair = ads(2, palette=np.array([0, 5]))
    same = dull.click_probability(WHO[:, None], pair)
    np.testing.assert_allclose(same[:, 0], same[:, 1], rtol=1e-6)
    loved = MARKET.click_probability(WHO[:, None], pair)
    assert np.abs(loved[:, 0] / loved[:, 1] - 1).mean() > 0.1


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: Market(0, 0, households=made_up_households()), "n_customers is 0"),
        (lambda: Market(5, -1, households=made_up_households()), "seed is -1"),
        (lambda: MARKET.click_probability([2000], [0]), "customer is out of range"),
        (lambda: MARKET.click_probability([-1], [0]), "customer is out of range"),
        (lambda: MARKET.click_probability([0], [200]), "creative is out of range"),
        (lambda: MARKET.click_probability([0], [0], position=4), "position is out of range"),
        (lambda: MARKET.click_probability([0.5], [0]), "customer is not whole"),
        (lambda: MARKET.with_defect("checkout", [0], 0.5), "stage is 'checkout'"),
        (lambda: MARKET.with_defect("click", [0], 1.5), "factor is 1.5"),
    ],
)
def test_bad_input_is_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_parameters_and_codes_that_cannot_be_are_refused():
    for settings, told in (
        ({"fatigue": float("nan")}, "fatigue is not finite"),
        ({"margin": float("inf")}, "margin is not finite"),
        ({"retention": 1.2}, "retention is out of range"),
        ({"examination": (1.0, 30.0)}, "examination is out of range"),
        ({"annoyance": -1.0}, "annoyance is out of range"),
    ):
        with pytest.raises(ValueError, match=told):
            TruthParameters(**settings)
    zero = np.zeros(2)
    for palette, told in (
        ([0.7, 1], "palette is not whole in 1 of 2 rows"),
        ([np.nan, 1], "palette is not finite"),
        ([6, 1], "palette of ad 0 is 6: give a code from 0 to 5"),
        ([10**12, 1], "palette of ad 0 is 1000000000000"),
    ):
        with pytest.raises(ValueError, match=told):
            Creatives(zero, zero, zero, palette, zero, zero, zero)
