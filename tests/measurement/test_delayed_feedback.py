"""The delayed feedback model: its likelihood, and rate and delay recovered from early counts."""

import numpy as np
import pandas as pd
import pytest
import torch
from scipy.integrate import quad
from scipy.special import expit

from pm_utils.measurement import delayed_feedback


def test_what_is_seen_by_a_day():
    seen = delayed_feedback.seen_by(10, np.array([0.0, 4, 9, 10]), np.array([3.0, np.nan, 2, 0]))
    assert seen.converted.tolist() == [True, False, False, True]  # the third comes a day later
    assert seen.days.tolist() == [3, 6, 1, 0]
    assert seen.age.tolist() == [10, 6, 1, 0]
    assert seen.counts().tolist() == [[1, 3], [0, 6], [0, 1], [1, 0]]


def test_clicks_after_the_cut_off_are_rejected():
    with pytest.raises(ValueError, match="2 clicks lie after day 5"):
        delayed_feedback.seen_by(5, np.array([1.0, 6, 7]), np.full(3, np.nan))


@pytest.mark.parametrize(("logit", "rate", "days"), [(0.3, 0.5, 2.0), (-3, 2, 0.1), (4, 0.2, 30)])
def test_the_loss_is_the_likelihood_of_the_paper(logit, rate, days):
    p, output = expit(logit), torch.tensor([[logit, np.log(rate)]], dtype=torch.float64)
    came, missing = (
        delayed_feedback.delayed_feedback_loss(
            output, torch.tensor([[c, days]], dtype=torch.float64)
        ).item()
        for c in (1.0, 0.0)
    )
    assert came == pytest.approx(-np.log(p) - np.log(rate) + rate * days)
    assert missing == pytest.approx(-np.log(1 - p + p * np.exp(-rate * days)))


def test_the_likelihoods_of_all_that_may_be_seen_sum_to_one():
    output = torch.tensor([[-1.0, np.log(0.4)]], dtype=torch.float64)

    def likelihood(converted: float, days: float) -> float:
        seen = torch.tensor([[converted, days]], dtype=torch.float64)
        return float(np.exp(-delayed_feedback.delayed_feedback_loss(output, seen).item()))

    total = quad(lambda d: likelihood(1, d), delayed_feedback.SHORTEST, 7)[0] + likelihood(0, 7)
    assert total == pytest.approx(1, abs=1e-3)


def test_the_loss_is_finite_where_chances_are_extreme():
    output = torch.tensor([[-60.0, -8], [60, 8], [60, -8]], requires_grad=True)
    seen = torch.tensor([[1.0, 0], [0, 500], [0, 0]])
    loss = delayed_feedback.delayed_feedback_loss(output, seen)
    loss.backward()
    assert torch.isfinite(loss)
    assert torch.isfinite(output.grad).all()


def test_the_net_starts_from_rate_and_delay_and_is_linear_without_a_hidden_layer():
    net = delayed_feedback.DelayedFeedbackNet(3, rate=0.2, mean_delay=5)
    logit, log_rate = net(torch.randn(4, 3)).unbind(1)
    assert torch.allclose(logit.sigmoid(), torch.full((4,), 0.2))
    assert torch.allclose(log_rate.exp(), torch.full((4,), 0.2))
    assert [tuple(w.shape) for w in net.parameters()] == [(2, 3), (2,)]
    deep = delayed_feedback.DelayedFeedbackNet(3, hidden=7)
    assert [tuple(w.shape) for w in deep.parameters()] == [(7, 3), (7,), (2, 7), (2,)]


def clicks(n: int, seed: int, *, span: float = 12.0) -> tuple[np.ndarray, ...]:
    """Features (n, 2), true chance, true mean delay, and when clicks and orders come."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, 2))
    probability, mean = expit(-1.5 + 0.8 * x[:, 0]), 4 * np.exp(0.5 * x[:, 1])
    waits = np.where(rng.random(n) < probability, rng.exponential(mean), np.nan)
    return x, probability, mean, rng.uniform(0, span, n), waits


@pytest.mark.parametrize("hidden", [0, 8])
def test_the_model_recovers_rate_and_delay_where_counts_at_the_cut_off_do_not(hidden):
    x, probability, mean, at, waits = clicks(20_000, 0)
    seen = delayed_feedback.seen_by(12, at, waits)
    rate, days = delayed_feedback.delay_summary(probability, mean)
    early = delayed_feedback.from_ripe_clicks(seen, 0)
    assert early[0] / rate < 0.75
    assert early[1] / days < 0.75
    found = delayed_feedback.fit_delays(x, seen, hidden=hidden, epochs=12, seed=0)
    fitted = delayed_feedback.delay_summary(*found)
    assert fitted[0] / rate == pytest.approx(1, abs=0.06)
    assert fitted[1] / days == pytest.approx(1, abs=0.12)
    assert np.corrcoef(np.log(found[1]), np.log(mean))[0, 1] > 0.9


def test_the_linear_model_recovers_the_true_coefficients():
    x, _, _, at, waits = clicks(40_000, 1)
    probability, mean = delayed_feedback.fit_delays(
        x, delayed_feedback.seen_by(12, at, waits), hidden=0, epochs=15, seed=0
    )
    design = np.column_stack([np.ones(len(x)), x])
    logit = np.log(probability / (1 - probability))
    assert np.linalg.lstsq(design, logit)[0] == pytest.approx([-1.5, 0.8, 0], abs=0.12)
    log_mean = np.linalg.lstsq(design, np.log(mean))[0]
    assert log_mean == pytest.approx([np.log(4), 0, 0.5], abs=0.15)


def test_where_features_say_nothing_the_fitted_delays_hardly_differ():
    x, _, _, at, waits = clicks(20_000, 2)
    shuffled = np.random.default_rng(3).permutation(x)
    _, null = delayed_feedback.fit_delays(
        shuffled, delayed_feedback.seen_by(12, at, waits), hidden=0, epochs=12, seed=0
    )
    _, real = delayed_feedback.fit_delays(
        x, delayed_feedback.seen_by(12, at, waits), hidden=0, epochs=12, seed=0
    )
    assert np.log(null).std() < 0.3 * np.log(real).std()


def test_once_every_order_is_in_all_ways_agree():
    x, _, _, at, waits = clicks(20_000, 4)
    seen = delayed_feedback.seen_by(400, at, waits)
    plain = delayed_feedback.from_ripe_clicks(seen, 0)
    came = ~np.isnan(waits)
    assert plain == pytest.approx((came.mean(), waits[came].mean()))
    fitted = delayed_feedback.delay_summary(
        *delayed_feedback.fit_delays(x, seen, hidden=0, epochs=10, seed=0)
    )
    assert fitted[0] == pytest.approx(plain[0], rel=0.03)


def test_clicks_meet_their_features_by_the_index():
    x, _, _, at, waits = clicks(1500, 5)
    who = pd.Index([f"click {i}" for i in range(len(at))])
    at_of, delay_of = pd.Series(at, who), pd.Series(waits, who).sample(frac=1, random_state=0)
    seen = delayed_feedback.seen_by(12, at_of.iloc[::-1], delay_of)
    assert seen.days.index.equals(who[::-1])
    options = {"hidden": 0, "epochs": 2, "seed": 3}
    expected = delayed_feedback.fit_delays(x, delayed_feedback.seen_by(12, at, waits), **options)
    found = delayed_feedback.fit_delays(pd.DataFrame(x, who), seen, **options)
    for one, other in zip(found, expected, strict=True):
        assert one.index.equals(who)
        assert isinstance(other, np.ndarray)
        np.testing.assert_array_equal(one, other)


def test_a_penalty_draws_the_weights_to_nothing_and_leaves_the_means():
    x, probability, mean, at, waits = clicks(6000, 12)
    seen = delayed_feedback.seen_by(12, at, waits)
    steps = {"hidden": 8, "epochs": 12, "seed": 0}
    free, held = (delayed_feedback.fit_delays(x, seen, ridge=r, **steps) for r in (0.0, 10.0))
    assert held[0].std() < 0.01 * free[0].std()
    assert held[1].std() < 0.01 * free[1].std()
    cure = delayed_feedback.fit_delays(np.zeros((6000, 1)), seen, **steps)
    assert held[0].mean() == pytest.approx(cure[0].mean(), rel=0.1)
    with pytest.raises(ValueError, match="ridge is out of range"):
        delayed_feedback.fit_delays(x, seen, ridge=-1.0, **steps)


def test_held_out_customers_guard_a_network_against_features_that_say_nothing():
    _, probability, mean, at, waits = clicks(2000, 13)
    seen = delayed_feedback.seen_by(12, at, waits)
    noise, who = np.random.default_rng(0).normal(size=(2000, 40)), np.arange(2000) % 400
    steps = {"hidden": 16, "epochs": 40, "seed": 0}
    history = delayed_feedback.History()
    free = delayed_feedback.fit_delays(noise, seen, **steps)
    guarded = delayed_feedback.fit_guarded_delays(noise, seen, who, history=history, **steps)
    assert guarded[0].std() < 0.3 * free[0].std()
    truth = probability, mean
    losses = [
        delayed_feedback.coming_orders_losses(*fit, truth, seen, ahead=5)[~seen.converted].mean()
        for fit in (truth, guarded, free)
    ]
    assert losses[0] < losses[1] < losses[2]
    assert len(history.validation) == 40
    assert history.rows == 40 * 2000  # of the last fit, which reads all clicks
    with pytest.raises(ValueError, match="customer names 4: give five or more"):
        delayed_feedback.fit_guarded_delays(noise, seen, np.arange(2000) % 4, **steps)


def test_nulls_read_the_features_of_other_clicks_by_the_same_steps():
    x, probability, mean, at, waits = clicks(6000, 14)
    seen, who = delayed_feedback.seen_by(12, at, waits), np.arange(6000) % 900
    steps = {"epochs": 20, "seed": 0, "shuffles": 2}
    fits, histories = delayed_feedback.delay_methods(x, seen, who, waits=(0,), **steps)
    assert list(histories) == ["… with a hidden layer", "null 1", "null 2"]
    assert len({(told.steps, told.rows) for told in histories.values()}) == 1
    network, *nulls = (fits[name][0] for name in histories)
    assert np.corrcoef(network, probability)[0, 1] > 0.9
    for null in nulls:
        assert abs(np.corrcoef(null, probability)[0, 1]) < 0.1
    assert not np.array_equal(*nulls)


def test_losses_of_coming_orders_are_expected_over_what_comes():
    _, probability, mean, at, waits = clicks(20_000, 15)
    today, later = (delayed_feedback.seen_by(day, at, waits) for day in (12, 17))
    truth, still_open = (probability, mean), ~today.converted
    for said in (truth, (probability / 2, mean)):
        loss = delayed_feedback.coming_orders_losses(*said, truth, today, ahead=5)
        assert not loss[today.converted].any()
        drawn = delayed_feedback.next_orders_loss(*said, today, later)
        assert loss[still_open].mean() == pytest.approx(drawn, rel=0.05)


def test_coming_orders_are_compared_over_customers():
    _, probability, mean, at, waits = clicks(2000, 16)
    seen, who = delayed_feedback.seen_by(12, at, waits), np.arange(2000) % 300
    truth, options = (probability, mean), {"ahead": 5, "repeats": 400, "seed": 0}
    fits = {"half": (probability / 2, mean), "late": (probability, 3 * mean)}
    table = delayed_feedback.compare_delay_estimates(fits, truth, seen, ahead=5)["coming orders"]
    ends = delayed_feedback.compare_coming_orders(*fits.values(), truth, seen, who, **options)
    assert ends[0] < table["half"] - table["late"] < ends[1]
    twins = delayed_feedback.compare_coming_orders(truth, truth, truth, seen, who, **options)
    assert twins == (0, 0)
    names = pd.Series(who, [f"click {i}" for i in range(2000)])
    named = [tuple(pd.Series(each, names.index) for each in fit) for fit in fits.values()]
    mixed = names.sample(frac=1, random_state=0)
    told = delayed_feedback.SeenClicks(
        *(pd.Series(each, names.index) for each in (seen.converted, seen.days, seen.age))
    )
    true = tuple(pd.Series(each, names.index) for each in truth)
    again = delayed_feedback.compare_coming_orders(*named, true, told, mixed, **options)
    assert again == pytest.approx(ends)


def test_the_same_seed_gives_the_same_fit():
    x, _, _, at, waits = clicks(2000, 5)
    seen = delayed_feedback.seen_by(12, at, waits)
    one, two = (delayed_feedback.fit_delays(x, seen, hidden=4, epochs=2, seed=3) for _ in range(2))
    assert np.array_equal(one, two)


def test_ripe_clicks_by_hand_and_none_of_them():
    converted, age = np.array([True, False, True, True]), np.array([20.0, 18, 15, 1])
    seen = delayed_feedback.SeenClicks(converted, np.array([2.0, 18, 8, 0.5]), age)
    assert delayed_feedback.from_ripe_clicks(seen, 14) == pytest.approx((2 / 3, 5))
    assert delayed_feedback.from_ripe_clicks(seen, 0) == pytest.approx((3 / 4, 3.5))
    with pytest.raises(ValueError, match="21 days old"):
        delayed_feedback.from_ripe_clicks(seen, 21)


def test_a_delay_counts_by_the_chance_that_there_is_one():
    probability, days = np.array([0.1, 0.3, 0.5]), np.array([2.0, 6, 1])
    assert delayed_feedback.delay_summary(probability, days) == pytest.approx(
        (0.3, (0.2 + 1.8 + 0.5) / 0.9)
    )
    by = delayed_feedback.delay_by(np.array([0, 0, 1]), probability, days)
    assert by.tolist() == pytest.approx([2.0 / 0.4, 1])


def test_a_reading_holds_every_way_against_the_truth():
    x, probability, mean, at, waits = clicks(3000, 6)
    seen = delayed_feedback.seen_by(12, at, waits)
    who = np.arange(3000) % 600
    steps = {"epochs": 30, "seed": 0}
    ways, histories = delayed_feedback.delay_methods(x, seen, who, waits=(0, 6), **steps)
    assert histories["… with a hidden layer"].steps == 30 * 3
    truth = probability, mean
    table = delayed_feedback.compare_delay_estimates({**ways, "copy": truth}, truth, seen, ahead=3)
    assert (table["coming orders"] >= table.loc["truth", "coming orders"]).all()
    assert table.loc["copy", "coming orders"] == table.loc["truth", "coming orders"]
    assert list(table.index) == [
        "clicks of 0 days or more",
        "clicks of 6 days or more",
        "Kaplan-Meier",
        "cure model",
        "delayed feedback",
        "… with a hidden layer",
        "copy",
        "truth",
    ]
    assert not table.loc[["copy", "truth"], ["rate error", "delay error"]].any(axis=None)
    late, ripe, curve, cure = table["rate error"].iloc[:4]
    assert late < ripe < curve < 0.1
    assert abs(cure) < abs(late)


def test_kaplan_meier_is_the_product_over_ages():
    seen = delayed_feedback.SeenClicks(
        np.array([1, 1, 0, 1, 0, 0]), [1.0, 2, 2, 3, 4, 5], [5.0, 5, 2, 5, 4, 5]
    )
    rate, days = delayed_feedback.kaplan_meier(seen)
    alive = [5 / 6, 5 / 6 * 4 / 5, 5 / 6 * 4 / 5 * 2 / 3]
    assert rate == pytest.approx(1 - alive[-1])
    came = -np.diff([1, *alive])
    assert days == pytest.approx(came @ [1, 2, 3] / rate)
    with pytest.raises(ValueError, match="no click has converted"):
        delayed_feedback.kaplan_meier(delayed_feedback.SeenClicks([0, 0], [1, 1], [1, 1]))


def test_kaplan_meier_sees_through_fresh_clicks():
    _, probability, _, at, waits = clicks(20_000, 8, span=60.0)
    seen = delayed_feedback.seen_by(60, at, waits)
    rate, _ = delayed_feedback.kaplan_meier(seen)
    plain, _ = delayed_feedback.from_ripe_clicks(seen, 0)
    assert rate == pytest.approx(probability.mean(), rel=0.04)
    assert plain < 0.95 * probability.mean()


def test_the_truth_foretells_the_next_orders_best():
    _, probability, mean, at, waits = clicks(20_000, 9)
    then = delayed_feedback.seen_by(12, at, waits)
    now = delayed_feedback.seen_by(20, at, waits)
    best = delayed_feedback.next_orders_loss(probability, mean, then, now)
    for p, days in ((probability / 2, mean), (probability, mean * 3), (probability[::-1], mean)):
        assert delayed_feedback.next_orders_loss(p, days, then, now) > best
    with pytest.raises(ValueError, match="now is before then"):
        delayed_feedback.next_orders_loss(probability, mean, now, then)
    all_came = delayed_feedback.SeenClicks([1, 1], [1.0, 1.0], [2.0, 2.0])
    with pytest.raises(ValueError, match="every click had its order already"):
        delayed_feedback.next_orders_loss(np.full(2, 0.5), np.ones(2), all_came, all_came)


def test_the_right_way_wins_the_backtest():
    x, _, _, at, waits = clicks(6000, 11)
    customer = np.arange(6000) % 900
    found = delayed_feedback.backtest_delays(
        x, at, waits, customer, today=12, back=4, waits=(0, 4), epochs=30, seed=0
    )
    assert found.idxmin() in ("delayed feedback", "… with a hidden layer")
    assert found["cure model"] < found["clicks of 0 days or more"]
    who = np.random.default_rng(0).permutation(6000)
    shuffled = pd.Series(waits, range(6000)).iloc[who]
    again = delayed_feedback.backtest_delays(
        pd.DataFrame(x), at, shuffled, customer, today=12, back=4, waits=(0, 4), epochs=30, seed=0
    )
    assert again.to_numpy() == pytest.approx(found.to_numpy())


# --- Units of time, and clicks that tell nothing ----------------------------------------------


@pytest.mark.parametrize("unit", [24.0, 86_400.0, 1 / 365])
def test_another_unit_of_time_gives_the_same_answer_in_it(unit):
    x, _, _, at, waits = clicks(3000, 7)
    options = {"hidden": 0, "epochs": 4, "seed": 0}
    days = delayed_feedback.fit_delays(x, delayed_feedback.seen_by(12, at, waits), **options)
    seen = delayed_feedback.seen_by(12 * unit, at * unit, waits * unit)
    other = delayed_feedback.fit_delays(x, seen, **options)
    assert other[0] == pytest.approx(days[0], rel=1e-3)
    assert other[1] == pytest.approx(unit * days[1], rel=1e-3)


def test_without_a_conversion_there_is_no_delay():
    seen = delayed_feedback.seen_by(5, [1.0, 2.0], [np.nan, 9.0])
    with pytest.raises(ValueError, match="0 of 2 clicks have converted by the cut-off"):
        delayed_feedback.fit_delays(np.zeros((2, 1)), seen, hidden=0, epochs=1, seed=0)
    at_once = delayed_feedback.seen_by(5, [1.0, 2.0], [0.0, np.nan])
    with pytest.raises(ValueError, match="none after any time"):
        delayed_feedback.fit_delays(np.zeros((2, 1)), at_once, hidden=0, epochs=1, seed=0)


def test_a_probability_at_its_bound_is_said():
    seen = delayed_feedback.seen_by(5, np.ones(50), np.full(50, 2.0))
    with pytest.warns(UserWarning, match="ends at its bound 1"):
        probability, _ = delayed_feedback.fit_delays(
            np.zeros((50, 1)), seen, hidden=0, epochs=1, seed=0
        )
    assert np.isfinite(probability).all()


def test_a_delay_beyond_the_oldest_click_is_said():
    seen = delayed_feedback.SeenClicks([True, False], [1.0, 1.0], [1.0, 1.0])
    with pytest.warns(UserWarning, match="the mean delay runs to 50 where the oldest click is 1"):
        delayed_feedback._warn_of_bounds(seen, np.full(2, 50.0))


def test_clicks_that_cannot_be_are_refused():
    for wrong, said in (
        ({"converted": [-1, 1]}, "converted holds -1, 1"),
        ({"days": [np.nan, 1]}, "days is not finite"),
        ({"age": [1, -1]}, "age is out of range"),
        ({"age": [1, 1, 1]}, "give as many of each"),
        ({"days": [9, 9], "age": [1, 2]}, "days is not possible in 2 of 2 rows, first row 0"),
        ({"days": [0.5, 0.5]}, "days is not possible in 1 of 2 rows"),
    ):
        given = {"converted": [0, 1], "days": [1, 1], "age": [1, 1]} | wrong
        with pytest.raises(ValueError, match=said):
            delayed_feedback.SeenClicks(**given)
    with pytest.raises(ValueError, match="delay is out of range in 1 of 2 rows, first row 1"):
        delayed_feedback.seen_by(5, [1, 2], [np.nan, -1])
    with pytest.raises(ValueError, match="features is not finite"):
        delayed_feedback.fit_delays(
            np.array([[np.nan], [1.0]]),
            delayed_feedback.SeenClicks([0, 1], [1, 1], [1, 1]),
            hidden=0,
            epochs=1,
            seed=0,
        )


@pytest.mark.parametrize("start", [{"rate": 0}, {"rate": 1}, {"mean_delay": 0}])
def test_a_net_starts_from_no_bound(start):
    with pytest.raises(ValueError, match="give 0 < rate < 1 and a delay above 0"):
        delayed_feedback.DelayedFeedbackNet(2, **start)
