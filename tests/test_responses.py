"""What behaviour tells: profiles, rows without tomorrow's news, response models and their nulls."""

import numpy as np
import pytest
import torch
from market_world import small_market
from sklearn.linear_model import LogisticRegression

from pm_utils import responses
from pm_utils.loop import Log
from pm_utils.market import DISCOUNT_RATES, TruthParameters, Uniform
from pm_utils.market.weeks import LATEST
from pm_utils.responses import (
    DeepResponse,
    LogisticResponse,
    Profile,
    ResponseNets,
    Rows,
    Tally,
    as_rows,
    response_loss,
    ridge_logistic,
    shuffled,
    smoothed_shares,
    summarise,
    thin,
)
from pm_utils.studio import Menu

MENU = Menu.of(2)
N = 800


@pytest.fixture(scope="module")
def market():
    truth = TruthParameters(examination=(1.0,), click_base=-2.5, order_base=-2.0)
    return small_market(N, creatives=MENU.creatives(), truth=truth)


@pytest.fixture(scope="module")
def orders(market):
    return market.orders(60)


@pytest.fixture(scope="module")
def past(orders):
    return summarise(orders, N, 60)


@pytest.fixture(scope="module")
def banners(market):
    log = market.impressions(Uniform(len(MENU)), 120 * N)
    return thin(log, N, market.creatives.discount)


# --- Order histories -----------------------------------------------------------------------------


def test_a_history_is_summarised(orders, past):
    assert past.counts.sum() == len(orders)
    mine = orders[orders["customer"] == 5]
    assert past.counts[5].sum() == len(mine)
    assert past.recency[5] == pytest.approx(60 - mine["day"].max() / 7)
    middle = (mine["order_value"].mean(), orders["order_value"].mean())
    assert min(middle) <= past.value[5] <= max(middle)


def test_shrunk_rates_are_nearer_to_the_truth_than_counts(market, orders):
    short = summarise(orders[orders["week"] < 6], N, 6)
    true = market.truth_of_customers.order_rate
    plain = short.counts.sum(1) / 6
    assert ((short.rate - true) ** 2).mean() < 0.97 * ((plain - true) ** 2).mean()
    assert short.rate.mean() == pytest.approx(plain.mean(), rel=1e-6)


def test_shares_start_from_everybodys():
    counts = np.zeros((3, 12))
    counts[0, 2], counts[1, 5] = 30, 10
    shares = smoothed_shares(counts, 10)
    assert shares.sum(1) == pytest.approx(1)
    assert shares[2] == pytest.approx(counts.sum(0) / 40)
    assert shares[0, 2] == pytest.approx((30 + 7.5) / 40)


def test_a_learned_profile_knows_interest_better_than_its_null(market, orders, past):
    early = summarise(orders[orders["week"] < 45], N, 45)
    late, true = past.counts - early.counts, market.truth_of_customers.interest
    found = []
    for target in (late, np.random.default_rng(0).permutation(late)):
        net = responses.learn_profile(early, target, epochs=6, seed=0)
        affinity = responses.learned_profile(net, past).affinity
        found.append(np.corrcoef(np.tanh(affinity).ravel(), true.ravel())[0, 1])
    assert found[0] > 0.5
    assert found[1] < 0.4


def test_profiles_are_standard_and_the_blind_one_knows_nothing_of_what_was_bought(past):
    plain, blind = responses.plain_profile(past), responses.no_profile(past)
    assert plain.traits.mean(0) == pytest.approx(0, abs=1e-4)
    assert plain.traits.std(0) == pytest.approx(1, abs=1e-3)
    assert plain.traits.shape == (N, 9)
    assert blind.traits.shape == (N, 2)
    assert not blind.affinity.any()
    other = responses.Past(past.rate, past.value, past.coupons, past.recency, past.counts[::-1], 60)
    assert np.array_equal(responses.no_profile(other).traits, blind.traits)


# --- Rows ----------------------------------------------------------------------------------------


def test_habit_is_zero_for_the_usual_and_cautious_about_little():
    tally = Tally(4)
    tally.sums[:2] = [[3.0, 0.0, 30.0, 3.0], [3.0, 0.0, 10.0, 1.0]]  # clicks, usual ones
    habit = tally.habits()
    assert habit[:2, 0] == pytest.approx(0)
    assert habit[2, 0] == pytest.approx(np.log(31 / 11))
    assert 0 < habit[3, 0] < np.log(3)
    assert not habit[:, 1].any()


def test_a_leaning_to_discounts_is_told_from_clicking_more():
    rng, n = np.random.default_rng(0), 400_000
    who, level = rng.integers(1000, size=n), rng.integers(5, size=n)
    slope, height = rng.normal(0, 1, 1000), rng.normal(0, 0.5, 1000)
    x = np.sqrt(DISCOUNT_RATES[level])
    clicks = rng.random(n) < np.exp(-3 + height[who] + slope[who] * (x - x.mean()))
    tally = Tally(1000)
    for part in (slice(n // 3), slice(n // 3, None)):
        tally.add(who[part], level[part], np.ones(len(who[part])), clicks[part])
    found = np.corrcoef(np.column_stack([tally.habits(), height, slope]).T)
    assert found[0, 2] > 0.8
    assert found[1, 3] > 0.5
    assert abs(found[0, 3]) < 0.15
    assert abs(found[1, 2]) < 0.15


def test_a_thin_log_counts_as_much_as_the_long_one(market, banners):
    log = market.impressions(Uniform(len(MENU)), 120 * N)
    half, discount = len(log) // 2, market.creatives.discount[log.creative]
    rows = banners.rows
    assert rows.clicks.sum() == log.click[half:].sum()
    assert rows.impressions.sum() == pytest.approx(half, rel=1e-4)
    assert rows.orders.sum() == log.conversion[half:].sum()
    assert banners.tally.sums[0].sum() == log.click.sum()
    assert len(rows.ad) == 2 * rows.clicks.sum()  # one without for each with
    first = Tally(N)  # of the first half only
    first.add(log.customer[:half], discount[:half], np.ones(half), log.click[:half])
    assert np.array_equal(rows.habit, first.habits()[rows.customer])


def test_the_end_of_the_log_becomes_rows(market):
    log = market.impressions(Uniform(len(MENU)), 20 * N)
    fifth = thin(log, N, market.creatives.discount, last=0.2, per_click=2).rows
    assert len(fifth.ad) == 3 * fifth.clicks.sum()
    assert fifth.clicks.sum() == log.click[16 * N :].sum()


def campaign_log(weeks: int = 6) -> Log:
    log = Log(np.ones(N, bool), 2)
    for week in range(weeks):
        who = np.arange(week, week + 50)
        part = {"customer": who, "creative": who % len(MENU), "fatigue": np.full(50, 2.0)}
        part |= {"impressions": np.full(50, 3), "clicks": (who % 4 == 0).astype(int)}
        log.shown.append(part | {"conversions": (who % 8 == 0).astype(int)})
    return log


def test_rows_of_a_campaign_join_those_of_the_banners(banners):
    rows, _ = as_rows(campaign_log(), banners)
    old = len(banners.rows.ad)
    assert len(rows.ad) == old + 300
    assert np.array_equal(rows.customer[:old], banners.rows.customer)
    assert rows.fatigue[old:] == pytest.approx(3.0)  # 2 before, and the week's own
    alone, habit = as_rows(Log(np.ones(N, bool), 2), banners)
    assert len(alone.ad) == old
    assert np.array_equal(habit, banners.tally.habits())


def test_orders_are_read_only_where_none_can_still_come(banners):
    rows, _ = as_rows(campaign_log(6), banners)
    new = rows.mature[len(banners.rows.ad) :].reshape(6, 50)
    assert new.all(1).tolist() == [week + LATEST <= 6 for week in range(6)]
    assert not new[-3:].any()


def test_habit_does_not_know_its_own_round(banners):
    log = campaign_log(4)
    before, _ = as_rows(log, banners)
    for part in log.shown[2:]:
        part["clicks"] = part["impressions"]  # the second round changes
    after, habit = as_rows(log, banners)
    assert np.array_equal(before.habit, after.habit)
    assert not np.array_equal(habit, as_rows(campaign_log(4), banners)[1])


def test_shuffling_keeps_the_outcomes_and_breaks_who_and_what(banners):
    rows = banners.rows
    dealt = shuffled(rows, np.random.default_rng(0))
    assert np.array_equal(dealt.ad, rows.ad)
    assert np.array_equal(np.sort(dealt.clicks), np.sort(rows.clicks))
    assert dealt.impressions.sum() == pytest.approx(rows.impressions.sum())
    assert (dealt.orders <= dealt.clicks).all()
    assert abs(np.corrcoef(dealt.clicks, rows.clicks)[0, 1]) < 0.05


# --- Models --------------------------------------------------------------------------------------


def test_newton_finds_what_scikit_learn_finds():
    rng = np.random.default_rng(0)
    x = np.column_stack([np.ones(3000), rng.normal(size=(3000, 4))]).astype(np.float32)
    trials = rng.integers(1, 5, 3000).astype(np.float32)
    hits = rng.binomial(trials.astype(int), 1 / (1 + np.exp(1 - x[:, 1]))).astype(np.float32)
    coef = ridge_logistic(x, hits, trials, 5.0, steps=8)
    both, weight = np.vstack([x, x])[:, 1:], np.concatenate([hits, trials - hits])
    label = np.repeat([1, 0], 3000)
    model = LogisticRegression(C=1 / 5, tol=1e-8).fit(both, label, sample_weight=weight)
    assert coef == pytest.approx(np.r_[model.intercept_, model.coef_[0]], abs=2e-3)
    warm = ridge_logistic(x, hits, trials, 5.0, start=coef, steps=1)
    assert warm == pytest.approx(coef, abs=1e-6)


def test_the_loss_is_the_log_loss_of_clicks_and_of_orders():
    logits = torch.tensor([[0.3, -1.0]])
    loss = response_loss(logits, torch.tensor([[2.0, 5.0, 1.0, 1.0]]))
    p, q = 1 / (1 + np.exp(-0.3)), 1 / (1 + np.exp(1.0))
    want = -(2 * np.log(p) + 5 * np.log(1 - p) + np.log(q) + np.log(1 - q))
    assert loss.item() == pytest.approx(want, rel=1e-5)


def test_networks_side_by_side_do_not_touch_each_other():
    torch.manual_seed(0)
    nets = ResponseNets(3, 5, 27)
    x, marks = torch.randn(3, 10, 8), torch.eye(27)[torch.randint(27, (3, 10))]
    nets(x, marks, torch.ones(3, 10))[1].sum().backward()
    grads = nets.inner.grad.abs().sum((1, 2))
    assert grads[1] > 0
    assert grads[0] == grads[2] == 0


def test_fatigue_lowers_clicks_and_not_orders():
    torch.manual_seed(0)
    nets = ResponseNets(1, 5, 27)
    x, marks = torch.randn(1, 4, 8), torch.eye(27)[torch.randint(27, (1, 4))]
    fresh, tired = (nets(x, marks, torch.full((1, 4), f)) for f in (0.0, 10.0))
    assert (fresh - tired)[..., 0].detach().numpy() == pytest.approx(0.2, abs=1e-5)
    assert torch.equal(fresh[..., 1], tired[..., 1])


def test_codes_by_category_are_the_codes():
    torch.manual_seed(0)
    nets = ResponseNets(2, 5, 27)
    torch.nn.init.normal_(nets.wide)
    known, affinity = torch.randn(4, 7), torch.randn(4, 12)
    code, wide = nets.codes_by_category(known, affinity, [0, 1])
    x = torch.cat([known[:, None].expand(-1, 12, -1), affinity[..., None]], 2).flatten(0, 1)
    slow, same = nets.codes(x.expand(2, -1, -1), [0, 1])
    assert torch.allclose(code.flatten(1, 2), slow, atol=1e-5)
    assert torch.allclose(wide.flatten(1, 2), same, atol=1e-5)


@pytest.fixture(scope="module")
def models(past, banners):
    plain = responses.plain_profile(past)
    deep = DeepResponse(plain, MENU, first=400, decay=10.0)
    logistic = LogisticResponse(plain, MENU)
    average = LogisticResponse(plain, MENU, personal=False)
    null = DeepResponse(plain, MENU, first=400, decay=10.0)
    for model in (deep, logistic, average):
        model.fit(banners.rows)
    null.fit(shuffled(banners.rows, np.random.default_rng(0)))
    return {"deep": deep, "logistic": logistic, "average": average, "null": null}


def habit_of(banners):
    return as_rows(Log(np.ones(N, bool), 2), banners)[1]


@pytest.mark.parametrize("name", ["deep", "logistic"])
def test_one_pair_has_the_same_chances_by_either_way(models, banners, name):
    model, who = models[name], np.array([3, 77, 500])
    habit = habit_of(banners)
    table = model.text_chances(habit, who, -1)
    for text in (0, 100, 239):
        pairs = model.chances(habit, who, np.full(3, text * MENU.looks), -1)
        for whole, some in zip(table, pairs, strict=True):
            assert whole.shape == (3, 240)
            assert whole[:, text] == pytest.approx(some, rel=1e-4)


def test_members_are_drawn_for_as_many_as_asked(models):
    deep = models["deep"]
    assert (deep.choose_members(0.0) == -1).all()
    drawn = deep.choose_members(0.25)
    assert (drawn >= 0).mean() == pytest.approx(0.25, abs=0.06)
    assert set(drawn) == {-1, 0, 1}
    assert (models["logistic"].choose_members(0.5) == -1).all()
    one, two = (deep.text_chances(np.zeros((N, 2), np.float32), np.arange(5), m)[0] for m in (0, 1))
    assert not np.allclose(one, two)


def test_models_rank_true_clicks_and_orders_and_the_null_does_not(market, models, banners):
    habit, rng = habit_of(banners), np.random.default_rng(1)
    who, ads = rng.integers(N, size=4000), rng.integers(len(MENU), size=4000)
    truth = market.click_probability(who, ads), market.conversion_probability(who, ads)
    found = {
        name: [
            np.corrcoef(np.log(guess), np.log(true))[0, 1]
            for guess, true in zip(model.chances(habit, who, ads, -1), truth, strict=True)
        ]
        for name, model in models.items()
        if name != "average"
    }
    for name in ("deep", "logistic"):
        assert found[name][0] > 0.5
        assert found[name][1] > 0.4
    assert found["null"][0] < 0.4
    guess = models["deep"].chances(habit, who, ads, -1)[0]
    assert guess.mean() == pytest.approx(truth[0].mean(), rel=0.1)  # calibrated on average


def test_effects_that_are_the_same_for_all_are(models):
    click, order = models["average"].text_chances(np.zeros((N, 2), np.float32), np.arange(4), -1)
    assert np.ptp(click, axis=0).max() == 0
    assert np.ptp(order[0]) > 0.01


def test_a_tiring_audience_is_noticed(past):
    rng, n = np.random.default_rng(0), 40_000
    fatigue = rng.uniform(0, 20, n).astype(np.float32)
    clicks = (rng.random(n) < 0.2 * np.exp(-0.05 * fatigue)).astype(np.float32)
    who, ad = rng.integers(N, size=n), rng.integers(len(MENU), size=n)
    zero, one = np.zeros(n, np.float32), np.ones(n, np.float32)
    habit = np.zeros((n, 2), np.float32)
    rows = Rows(who, ad, habit, fatigue, one, clicks, zero, np.ones(n, bool))
    plain = responses.plain_profile(past)
    for model in (DeepResponse(plain, MENU, first=300), LogisticResponse(plain, MENU)):
        model.fit(rows)
        assert model.fatigue == pytest.approx(0.055, abs=0.02)


def test_the_same_seed_learns_the_same(past, banners):
    small = Profile(*(part[:N] for part in vars(responses.plain_profile(past)).values()))
    nets = [DeepResponse(small, MENU, first=5, seed=3) for _ in range(2)]
    for net in nets:
        net.fit(banners.rows)
    guesses = [net.text_chances(habit_of(banners), np.arange(9), -1)[0] for net in nets]
    assert np.array_equal(*guesses)


def test_studying_customers_reads_orders_and_banners_only(market):
    past, banners, profile = responses.study_customers(
        market, weeks=20, banners=30, epochs=1, seed=0
    )
    assert past.weeks == 20
    assert banners.tally.sums[1].sum() == pytest.approx(banners.tally.sums[0].sum())
    assert profile.traits.shape == (N, 9 + 32)
    assert np.isfinite(profile.affinity).all()
