"""What behaviour tells: profiles, rows without tomorrow's news, response models and their nulls."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from pm_utils.chapters import closed_loop
from pm_utils.loop import customer_profiles, response_data
from pm_utils.loop.campaign import Campaign, Log
from pm_utils.loop.customer_profiles import Profile, summarise_purchases
from pm_utils.loop.response_data import ResponseLog, from_campaign, shuffled, subsample_negatives
from pm_utils.loop.response_models import (
    DeepResponse,
    LogisticResponse,
    RandomEffects,
    ResponseNets,
    fit_side_by_side,
    response_loss,
)
from pm_utils.market import TruthParameters, Uniform
from tests.support.loop_world import MENU, N, campaign_log, fixed
from tests.support.market_world import small_market


@pytest.fixture(scope="module")
def market():
    truth = TruthParameters(examination=(1.0,), click_base=-2.5, order_base=-2.0)
    return small_market(N, creatives=MENU.creatives(), truth=truth)


@pytest.fixture(scope="module")
def orders(market):
    return market.orders(60)


@pytest.fixture(scope="module")
def past(orders):
    return summarise_purchases(orders, N, 60)


@pytest.fixture(scope="module")
def banners(market):
    log = market.impressions(Uniform(len(MENU)), 120 * N)
    return subsample_negatives(log, (N, len(MENU)))


# --- Order histories -----------------------------------------------------------------------------


def test_a_history_is_summarised(orders, past):
    assert past.counts.sum() == len(orders)
    mine = orders[orders["customer"] == 5]
    assert past.counts[5].sum() == len(mine)
    assert past.recency[5] == pytest.approx(60 - mine["day"].max() / 7)
    middle = (mine["order_value"].mean(), orders["order_value"].mean())
    assert min(middle) <= past.value[5] <= max(middle)


def test_shrunk_rates_are_nearer_to_the_truth_than_counts(market, orders):
    short = summarise_purchases(orders[orders["week"] < 6], N, 6)
    true = market.truth_of_customers.order_rate
    plain = short.counts.sum(1) / 6
    assert ((short.rate - true) ** 2).mean() < 0.97 * ((plain - true) ** 2).mean()
    assert short.rate.mean() == pytest.approx(plain.mean(), rel=1e-6)


def test_a_learned_profile_knows_interest_better_than_its_null(market, orders, past):
    early = summarise_purchases(orders[orders["week"] < 45], N, 45)
    late, true = past.counts - early.counts, market.truth_of_customers.interest
    found = []
    for target in (late, np.random.default_rng(0).permutation(late)):
        net, _ = customer_profiles.learn_profile(early, target, epochs=6, seed=0)
        affinity = customer_profiles.learned_profile(net, past).affinity
        found.append(np.corrcoef(np.tanh(affinity).ravel(), true.ravel())[0, 1])
    assert found[0] > 0.5
    assert found[1] < 0.4


def test_profiles_are_standard_and_the_blind_one_knows_nothing_of_what_was_bought(past):
    plain, blind = customer_profiles.plain_profile(past), customer_profiles.no_profile(past)
    assert plain.traits.mean(0) == pytest.approx(0, abs=1e-4)
    assert plain.traits.std(0) == pytest.approx(1, abs=1e-3)
    assert plain.traits.shape == (N, 9)
    assert blind.traits.shape == (N, 2)
    assert not blind.affinity.any()
    other = customer_profiles.PurchaseSummary(
        past.rate, past.value, past.coupons, past.recency, past.counts[::-1], 60
    )
    assert np.array_equal(customer_profiles.no_profile(other).traits, blind.traits)


# --- Rows ----------------------------------------------------------------------------------------


def test_a_thin_log_counts_as_much_as_the_long_one(market, banners):
    log = market.impressions(Uniform(len(MENU)), 120 * N)
    rows, record = banners.rows, banners.record
    assert rows.clicks.sum() == log.click.sum()
    assert rows.impressions.sum() == pytest.approx(len(log), rel=1e-4)
    assert rows.orders.sum() == log.conversion.sum()
    assert len(rows.ad) == 2 * rows.clicks.sum()  # one without for each with
    assert len(subsample_negatives(log, (N, len(MENU)), per_click=2).rows.ad) == 3 * log.click.sum()
    assert record.shape == (2, 2, N, len(MENU))
    mine = (log.customer == 7) & (log.creative == 11)
    want = [
        [mine.sum(), log.click[mine].sum()],
        [log.click[mine].sum(), log.conversion[mine].sum()],
    ]
    assert record[:, :, 7, 11].tolist() == want
    assert record.sum((2, 3))[:, 1].tolist() == [log.click.sum(), log.conversion.sum()]


def test_rows_of_a_campaign_join_the_record_of_the_banners(banners):
    rows = from_campaign(campaign_log())
    assert len(rows.ad) == 300
    assert rows.fatigue == pytest.approx(3.0)  # 2 before, and the week's own
    more = banners.with_rows(rows, 0.1) - banners.record
    assert more[0, 0].sum() == pytest.approx(3 * 300 * np.exp(-0.3), rel=1e-3)
    worn_out = banners.with_rows(rows, 9.0)[0]
    assert (worn_out[1] <= worn_out[0]).all()  # never more clicks than impressions
    assert more[0, 1].sum() == rows.clicks.sum()
    assert more[1, 0].sum() == rows.clicks[rows.mature].sum()
    assert more[1, 1].sum() == rows.orders[rows.mature].sum()
    nothing = from_campaign(Log(np.ones(N, bool), 2))
    assert len(nothing.ad) == 0
    assert np.array_equal(banners.with_rows(nothing, 0.1), banners.record)


def test_shuffling_keeps_the_outcomes_and_breaks_who_and_what(banners):
    rows = banners.rows
    dealt = shuffled(rows, np.random.default_rng(0))
    assert np.array_equal(dealt.ad, rows.ad)
    assert np.array_equal(np.sort(dealt.clicks), np.sort(rows.clicks))
    assert dealt.impressions.sum() == pytest.approx(rows.impressions.sum())
    assert (dealt.orders <= dealt.clicks).all()
    assert abs(np.corrcoef(dealt.clicks, rows.clicks)[0, 1]) < 0.05
    record = response_data.shuffled_exploration(banners, np.random.default_rng(0)).record
    assert record.sum((2, 3)) == pytest.approx(banners.record.sum((2, 3)))
    assert (record[:, 1] <= record[:, 0]).all()
    assert abs(np.corrcoef(record[0, 1].sum(1), banners.record[0, 1].sum(1))[0, 1]) < 0.15


def test_networks_read_rows_beside_what_is_known(past, banners):
    """With a large logit known beforehand, the network's own must come out lower by it."""
    plain, rows = customer_profiles.plain_profile(past), banners.rows
    own = []
    for known in (0.0, 3.0):
        offset = np.column_stack([np.full(len(rows.ad), known), np.zeros(len(rows.ad))])
        net = DeepResponse(plain, MENU, first_steps=300)
        net.fit(replace(rows, offset=offset.astype(np.float32)), ResponseLog.empty())
        own.append(net.logits().mean((1, 2)))
    assert own[1][0] - own[0][0] == pytest.approx(-3, abs=0.5)
    assert own[1][1] - own[0][1] == pytest.approx(0, abs=0.5)


def test_the_loss_is_the_log_loss_of_clicks_and_of_orders():
    logits = torch.tensor([[0.3, -1.0]])
    loss = response_loss(logits, torch.tensor([[2.0, 5.0, 1.0, 1.0]]))
    p, q = 1 / (1 + np.exp(-0.3)), 1 / (1 + np.exp(1.0))
    want = -(2 * np.log(p) + 5 * np.log(1 - p) + np.log(q) + np.log(1 - q))
    assert loss.item() == pytest.approx(want, rel=1e-5)


def test_networks_side_by_side_do_not_touch_each_other():
    torch.manual_seed(0)
    nets = ResponseNets(3, 5, 27)
    x, one_hot = torch.randn(3, 10, 6), torch.eye(27)[torch.randint(27, (3, 10))]
    nets(x, one_hot, torch.ones(3, 10))[1].sum().backward()
    grads = nets.inner.weight.grad.abs().sum((1, 2))
    assert grads[1] > 0
    assert grads[0] == grads[2] == 0


def test_products_are_penalised_most_and_biases_and_fatigue_not_at_all(past, banners):
    plain, settings = customer_profiles.plain_profile(past), {"first_steps": 300}
    sizes = []
    for weight_decay, single_decay in ((1.0, 1.0), (1e5, 1.0), (1.0, 1e5)):
        decays = {"weight_decay": weight_decay, "single_decay": single_decay}
        deep = DeepResponse(plain, MENU, **decays, **settings)
        deep.fit(banners.rows, ResponseLog.empty())
        named = deep.nets.named_parameters()
        sizes.append({name: float(part.detach().abs().mean()) for name, part in named})
    free, products, single = sizes
    for name in ("code", "levels"):
        assert products[name] < 0.1 * free[name] < single[name]
    for name in ("inner.weight", "wide.weight", "appeal"):
        assert single[name] < 0.1 * free[name] < products[name]
    for held in (products, single):
        assert held["wide.bias"] > 0.5 * free["wide.bias"]


def test_side_by_side_is_as_one_by_one(past, banners):
    plain, nothing = customer_profiles.plain_profile(past), ResponseLog.empty()
    fewer = replace(banners.rows, **{name: part[::2] for name, part in vars(banners.rows).items()})

    def new_models():
        settings = {"first_steps": 20, "steps": 5}
        weak = DeepResponse(plain, MENU, weight_decay=5.0, seed=1, **settings)
        strong = DeepResponse(plain, MENU, weight_decay=500.0, seed=2, **settings)
        return [weak, strong]

    logs = [(banners.rows, nothing), (fewer, nothing)]
    together, alone = new_models(), new_models()
    for _ in range(2):  # the first lesson, and a later one
        fit_side_by_side(together, logs)
        for model, log in zip(alone, logs, strict=True):
            model.fit(*log)
    for one, other in zip(together, alone, strict=True):
        assert one.logits() == pytest.approx(other.logits(), abs=1e-3)
        assert one.history.steps == other.history.steps == 25
    assert np.abs(together[0].logits() - together[1].logits()).max() > 0.1


def test_only_equal_models_learn_side_by_side(past, banners):
    plain, log = customer_profiles.plain_profile(past), (banners.rows, ResponseLog.empty())
    pair = [DeepResponse(plain, MENU, first_steps=steps) for steps in (2, 3)]
    with pytest.raises(ValueError, match="models differ"):
        fit_side_by_side(pair, [log, log])
    with pytest.raises(ValueError):
        fit_side_by_side(pair[:1], [log, log])
    wide = DeepResponse(plain, MENU, first_steps=2, hidden=9)
    with pytest.raises(ValueError, match="models differ"):
        fit_side_by_side([pair[0], wide], [log, log])
    with pytest.raises(ValueError, match="models is empty"):
        fit_side_by_side([], [])


def test_models_of_different_menus_do_not_learn_side_by_side(past, banners):
    plain, log = customer_profiles.plain_profile(past), (banners.rows, ResponseLog.empty())
    one, other = (DeepResponse(plain, MENU, first_steps=2) for _ in range(2))
    fit_side_by_side([one, other], [log, log])
    other.one_hot = other.one_hot.flip(0)  # as many ads of as many levels, but others
    with pytest.raises(ValueError, match="different menus"):
        fit_side_by_side([one, other], [log, log])


def test_the_history_counts_steps_and_a_callback_hears_of_each(past, banners):
    deep, heard = DeepResponse(customer_profiles.plain_profile(past), MENU, first_steps=5), []
    deep.fit(banners.rows, ResponseLog.empty(), callback=heard.append)
    assert heard == [1, 2, 3, 4, 5]
    assert (deep.history.steps, deep.history.rows) == (5, 5 * deep.batch_size)


def test_the_loss_of_rows_is_that_of_the_logits(past, banners):
    deep = DeepResponse(customer_profiles.plain_profile(past), MENU, first_steps=5)
    deep.fit(banners.rows, ResponseLog.empty())
    rows = banners.rows
    click, order = 1 / (1 + np.exp(-deep.logits()[:, rows.customer, rows.ad].astype(float)))
    said = rows.clicks * np.log(click) + (rows.impressions - rows.clicks) * np.log(1 - click)
    said += rows.orders * np.log(order) + (rows.clicks - rows.orders) * np.log(1 - order)
    assert deep.loss(rows) == pytest.approx(-said.sum() / rows.impressions.sum(), rel=1e-4)


def test_products_of_traits_and_levels_are_held_back_by_their_own_penalty(past, banners):
    plain, moved = customer_profiles.plain_profile(past), []
    for interaction in (1.0, 1e6):
        model = LogisticResponse(plain, MENU, interaction=interaction)
        model.fit(banners.rows, ResponseLog.empty())
        traits, levels = 1 + plain.traits.shape[1], MENU.one_hot().shape[1]
        other, coef = model.one_hot.shape[1] - model.other_levels.start, model.coef[0][:-1]
        single = np.r_[coef[1 : traits + 2], coef[traits + 2 + other :][:levels]]
        products = np.r_[coef[traits + 2 :][:other], coef[traits + 2 + other + levels :]]
        assert len(coef) == 1 + len(single) + len(products)
        moved.append((np.abs(single).max(), np.abs(products).max()))
    assert moved[0][1] > 0.01 > 1e-3 > moved[1][1]
    assert moved[1][0] > 0.1


def test_fatigue_lowers_clicks_and_not_orders():
    torch.manual_seed(0)
    nets = ResponseNets(1, 5, 27)
    x, one_hot = torch.randn(1, 4, 6), torch.eye(27)[torch.randint(27, (1, 4))]
    fresh, tired = (nets(x, one_hot, torch.full((1, 4), f)) for f in (0.0, 10.0))
    assert (fresh - tired)[..., 0].detach().numpy() == pytest.approx(0.2, abs=1e-5)
    assert torch.equal(fresh[..., 1], tired[..., 1])


@pytest.fixture(scope="module")
def models(past, banners):
    plain = customer_profiles.plain_profile(past)
    deep = DeepResponse(plain, MENU, first_steps=400, weight_decay=10.0)
    logistic = LogisticResponse(plain, MENU)
    average = LogisticResponse(plain, MENU, personal=False)
    null = DeepResponse(plain, MENU, first_steps=400, weight_decay=10.0)
    for model in (deep, logistic, average):
        model.fit(banners.rows, ResponseLog.empty())
    null.fit(shuffled(banners.rows, np.random.default_rng(0)), ResponseLog.empty())
    return {"deep": deep, "logistic": logistic, "average": average, "null": null}


def pairs(model) -> np.ndarray:
    """What a model says of some customers and ads, pair by pair as it was trained."""
    who, ads = np.array([3, 77, 500]), np.array([0, 200, len(MENU) - 1])
    if isinstance(model, LogisticResponse):
        z = model._products(who, ads)
        return np.array([z @ model.coef[0][:-1], z @ model.coef[1]])
    near = model.affinity[who, model.category[ads]][:, None]
    x = torch.cat([model.traits[who], near], 1).expand(model.members, -1, -1)
    one_hot = model.one_hot[ads].expand(model.members, -1, -1)
    with torch.no_grad():
        return model.nets(x, one_hot, torch.zeros(model.members, 3)).mean(0).T.numpy()


@pytest.mark.parametrize("name", ["deep", "logistic", "average"])
def test_the_table_of_logits_is_that_of_the_pairs(models, name):
    table = models[name].logits()
    assert table.shape == (2, N, len(MENU))
    who, ads = [3, 77, 500], [0, 200, len(MENU) - 1]
    assert table[:, who, ads] == pytest.approx(pairs(models[name]), abs=1e-4)


def ranking(logits, market, which: int) -> float:
    """Correlation of logits with the true log chances of a click, 0, or of an order, 1."""
    who, ads = np.arange(N)[:, None], np.arange(len(MENU))
    true = (market.click_probability, market.conversion_probability)[which](who, ads)
    return float(np.corrcoef(logits[which].ravel(), np.log(true).ravel())[0, 1])


def test_models_rank_true_clicks_and_orders_and_the_null_does_not(market, models):
    for name in ("deep", "logistic"):
        assert ranking(models[name].logits(), market, 0) > 0.5
        assert ranking(models[name].logits(), market, 1) > 0.4
    assert ranking(models["null"].logits(), market, 0) < 0.4
    guess = 1 / (1 + np.exp(-models["deep"].logits()[0]))
    assert guess.mean() == pytest.approx(market.click_table.mean(), rel=0.1)  # calibrated


def test_effects_that_are_the_same_for_all_are(models):
    click, order = models["average"].logits()
    assert np.ptp(click, axis=0).max() == 0
    assert np.ptp(order[0]) > 0.01


# --- Random effects ------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def effects(past, banners) -> RandomEffects:
    made = RandomEffects(LogisticResponse(customer_profiles.plain_profile(past), MENU), MENU)
    made.fit(banners, ResponseLog.empty())
    return made


def test_own_records_improve_on_the_model_and_shuffled_ones_do_not(market, effects, banners):
    dealt = RandomEffects(effects.model, MENU)
    dealt.fit(
        response_data.shuffled_exploration(banners, np.random.default_rng(0)), ResponseLog.empty()
    )
    with_own, shuffled_own = (
        [np.log(x / (1 - x)) for x in e.probabilities()] for e in (effects, dealt)
    )
    for which, least in ((0, 0.02), (1, 0.0)):
        usual = ranking(effects.logits, market, which)
        assert ranking(with_own, market, which) > usual + least
        assert ranking(shuffled_own, market, which) < usual + 0.01


def test_variances_of_effects_are_found():
    """Customers differ in how often they click and in nothing else; a flat model."""
    rng, n = np.random.default_rng(0), 600
    height = rng.normal(0.3, 0.5, n)
    shown = np.full((n, len(MENU)), 2.0, np.float32)
    probability = np.broadcast_to(1 / (1 + np.exp(3 - height[:, None])), shown.shape)
    clicks = rng.binomial(2, probability).astype(np.float32)
    record = np.stack([[shown, clicks], [clicks, np.zeros_like(clicks)]])
    flat = np.full((2, n, len(MENU)), -3, np.float32)

    found = RandomEffects(fixed(flat), MENU, em_steps=20)
    found.fit(response_data.ExplorationLog(ResponseLog.empty(), record), ResponseLog.empty())
    clicks, orders = np.split(found.effects, [found.x[0].shape[1]], axis=1)
    level = clicks @ found.x[0].mean(0)
    assert np.corrcoef(level, height)[0, 1] > 0.95
    assert level.mean() == pytest.approx(0.3, abs=0.06)
    assert level.std() == pytest.approx(0.5, abs=0.06)
    assert (orders @ found.x[1].mean(0)).mean() < -0.5  # nobody ordered


def test_rows_are_read_beside_the_effects_that_chose_them(effects, banners):
    who, ad = np.array([3, 77, 500]), np.array([0, 200, len(MENU) - 1])
    zero = np.zeros(3, np.float32)
    rows = ResponseLog(
        who, ad, zero, zero, zero, zero, zero.astype(bool), np.zeros((3, 2), np.float32)
    )
    offset = effects._with_offset(rows).offset
    for k, probability in enumerate(effects.probabilities()):
        own = np.log(probability / (1 - probability)) - effects.logits[k]
        assert offset[:, k] == pytest.approx(own[who, ad], abs=1e-4)
    assert np.abs(offset).max() > 0.01


def test_without_em_steps_nobody_departs_from_the_model(effects, banners):
    usual = RandomEffects(effects.model, MENU, em_steps=0)
    usual.fit(banners, ResponseLog.empty())
    assert not usual.effects.any()
    probability = usual.probabilities()[0]
    assert probability == pytest.approx(1 / (1 + np.exp(-usual.logits[0])), rel=1e-4)


def test_a_tiring_audience_is_noticed(past):
    rng, n = np.random.default_rng(0), 40_000
    fatigue = rng.uniform(0, 20, n).astype(np.float32)
    clicks = (rng.random(n) < 0.2 * np.exp(-0.05 * fatigue)).astype(np.float32)
    who, ad = rng.integers(N, size=n), rng.integers(len(MENU), size=n)
    zero, one = np.zeros(n, np.float32), np.ones(n, np.float32)
    rows = ResponseLog(
        who, ad, fatigue, one, clicks, zero, np.ones(n, bool), np.zeros((n, 2), np.float32)
    )
    plain = customer_profiles.plain_profile(past)
    for model in (DeepResponse(plain, MENU, first_steps=300), LogisticResponse(plain, MENU)):
        model.fit(rows, ResponseLog.empty())
        assert model.fatigue_effect == pytest.approx(0.055, abs=0.02)


def test_the_same_seed_learns_the_same(past, banners):
    small = Profile(*(part[:N] for part in vars(customer_profiles.plain_profile(past)).values()))
    nets = [DeepResponse(small, MENU, first_steps=5, seed=3) for _ in range(2)]
    for net in nets:
        net.fit(banners.rows, ResponseLog.empty())
    assert np.array_equal(*(net.logits() for net in nets))


def test_studying_customers_reads_orders_and_banners_only(market):
    study = {"weeks": 20, "epochs": 1, "net": {}}
    world = closed_loop.World.of(market, Campaign(), **study)
    assert world.past.weeks == 20
    assert world.banners(30).banners.record[0, 0].sum() == 30 * N
    assert world.profile.traits.shape == (N, 9 + 6)
    assert np.isfinite(world.profile.affinity).all()


def test_more_banners_hold_the_fewer_and_later_ones_are_others(market):
    world = closed_loop.World.of(market, Campaign(), weeks=20, epochs=1, net={})
    few, more, later = (
        world.banners(count, first=first).banners.record[0, 0]
        for count, first in ((3, 0), (5, 0), (2, 3))
    )
    assert np.array_equal(more, few + later)
