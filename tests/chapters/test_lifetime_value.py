"""Readings of the formula by hand; models are chosen before the holdout."""

import numpy as np
import pandas as pd
import pytest

from pm_utils import formulas
from pm_utils.chapters import lifetime_value
from pm_utils.evaluation.bootstrap import bootstrap_weights
from pm_utils.lifetime.ensemble import ValueEnsemble, ValueRows
from pm_utils.lifetime.scores import spearman, value_score_table
from pm_utils.page.scoreboard import Scoreboard


def test_four_readings_of_a_customer():
    table = lifetime_value.readings(40, 12, rate=0.02, leaving=0.05, horizons=(24, np.inf))
    assert table.index.tolist() == ["24", "no end"]
    flows = [np.full(24, 40.0), np.full(24, 12.0)]
    gamma = formulas.discount_factor_from_rate(0.02)
    assert table.loc["24", "corrected"] == pytest.approx(formulas.lifetime_value(*flows, gamma))
    assert table.loc["24", "as printed"] == pytest.approx(
        formulas.lifetime_value_as_printed(*flows, gamma)
    )
    assert table.loc["24", "rate for the factor"] == pytest.approx(
        formulas.lifetime_value(*flows, 0.02)
    )
    assert table.loc["no end", "as printed"] == -np.inf
    assert table.loc["no end", "corrected"] == pytest.approx(28 * 1.02 / 0.02)
    assert table.loc["no end", "with leaving"] == pytest.approx(28 * 1.02 / 0.07)


@pytest.fixture(scope="module")
def loyal():
    """Customers of whom nobody ever leaves, and of whom the frequent spend no more an order."""
    rng, n = np.random.default_rng(0), 600
    rate, age = rng.gamma(2, 0.5, n), np.full(n, 40.0)
    x = rng.poisson(rate * age)
    last = np.where(x > 0, age * rng.random(n) ** (1 / np.maximum(x, 1)), 0)
    own = rng.gamma(6 * np.maximum(x, 1)) / rng.gamma(4, 1 / 15, n) / np.maximum(x, 1)
    columns = {"frequency": x, "recency": last, "age": age, "value": np.where(x > 0, own, 0)}
    return pd.DataFrame(columns, [f"c{k}" for k in range(n)])


def test_fits_that_the_data_do_not_tell_are_said(loyal):
    fits = lifetime_value.BuyingFits.fit(loyal)
    table = fits.table(loyal)
    assert (table["leave"] < 0.01).all()
    assert table.loc["Pareto/NBD", "remark"] != "–"
    assert table["orders"].to_numpy() == pytest.approx(np.full(3, 1.0), rel=0.1)
    for name, model in fits.models.items():
        history = [loyal[column] for column in ("frequency", "recency", "age")]
        assert table.loc[name, "log likelihood"] == pytest.approx(model.log_likelihood(*history))


def test_dollars_are_orders_times_what_an_order_brings(loyal):
    fits = lifetime_value.BuyingFits.fit(loyal)
    dollars = fits.dollars(10, loyal)["BG/NBD"]
    assert dollars.index.equals(loyal.index)
    history = [loyal[column] for column in ("frequency", "recency", "age")]
    orders = fits.models["BG/NBD"].expected_orders(10, *history)
    mean = fits.spending.expected_value(loyal["frequency"], loyal["value"])
    assert dollars.to_numpy() == pytest.approx(orders * mean)


def test_a_part_counts_the_orders_that_came(loyal):
    came = loyal["frequency"].to_numpy() // 4
    table = lifetime_value.value_by_frequency(loyal, loyal["value"], came, came * loyal["value"])
    assert table["frequency"].is_monotonic_increasing
    assert table["expected"].to_numpy() == pytest.approx(table["after"].to_numpy())
    assert table["expected / after"].tolist() == pytest.approx([1.0] * 5)


def test_a_panel_is_told_from_a_customer_base():
    day = pd.Timestamp("2017-01-01") + pd.to_timedelta(np.arange(365), unit="D")
    panel = pd.DataFrame({"customer_id": np.arange(365) % 5, "ordered_at": day})
    base = panel.assign(customer_id=np.arange(365))  # everybody comes once, on a day of their own
    assert lifetime_value.panel_facts(panel) == {
        "first_two": 1.0,
        "first_four": 1.0,
        "last_four": 1.0,
    }
    once = lifetime_value.panel_facts(base)
    assert once["first_two"] == pytest.approx(14 / 365)
    assert once["last_four"] == 0


# --- Nulls, contests, sentences ------------------------------------------------------------


def planted(n: int, seed: int) -> ValueRows:
    """Customers of whom a fifth spends nothing and the others a log-normal amount of one number."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=n)
    value = np.where(rng.random(n) < 0.2, 0.0, np.exp(2 + x + 0.5 * rng.normal(size=n)))
    features = pd.DataFrame({"x": x, "noise": rng.normal(size=n)})
    return ValueRows(features, features.iloc[:, :0], value)


@pytest.fixture(scope="module")
def views():
    return {"": (planted(2000, 0), planted(2000, 1))}


def test_nulls_learn_nothing_and_are_made_as_the_network_of_the_name(views, monkeypatch):
    later = views[""][1]
    settings = {"shuffles": 3, "members": 2, "seed": 0, "epochs": 4}
    trained, train_each = [], ValueEnsemble.train_each

    def watched(rows, values, **how):
        trained.append((values, how))
        return train_each(rows, values, **how)

    monkeypatch.setattr(ValueEnsemble, "train_each", watched)
    nulls = lifetime_value.null_dollars(views, "network of 16, one member", **settings)
    (values, how), rows = trained[0], views[""][0]
    assert (how["members"], how["hidden"], how["epochs"]) == (1, 16, 4)
    assert len(values) == len(nulls) == 3
    for value in values:
        assert sorted(value) == sorted(rows.value)
        assert abs(spearman(value, rows.value)) < 0.1
    learned = ValueEnsemble.train(rows, members=1, hidden=16, seed=0, epochs=4).predict(later)
    best = spearman(later.value, learned)
    assert all(spearman(later.value, each) < best - 0.1 for each in nulls)
    lifetime_value.null_dollars(views, "network of 64", **settings)
    assert (trained[-1][1]["members"], trained[-1][1]["hidden"]) == (2, 64)


def test_a_table_of_scores_and_its_nulls_are_entered_under_the_names_of_the_rows():
    contest = Scoreboard("11-lifetime-value", seed=0).contest("c", chosen_by="s", better="higher")
    table = pd.DataFrame({"Spearman": [0.5, 0.6, 0.7], "RMSE": [9.0, 8, 7]})
    table.index = ["naive", "Pareto/NBD", "network of 16"]
    lifetime_value.enter_scores(
        contest,
        table,
        {"Spearman": "order"},
        validation=table["Spearman"],
        training={"network of 16": {"steps": 3}},
    )
    lifetime_value.enter_nulls(contest, [[1.0, 2, 3]], np.array([2.0, 1, 3]), {"Spearman": "order"})
    assert [one.kind for one in contest.contenders] == ["naive", "classical", "deep", "null"]
    assert [one.test for one in contest.contenders[:2]] == [{"order": 0.5}, {"order": 0.6}]
    assert contest.contenders[2].training == {"steps": 3}
    assert contest.contenders[3].test["order"] == pytest.approx(0.5)


def test_the_best_with_and_without_a_profile():
    names = ["network of 16", "network of 64", "network of 16, profile", "network of 64, profile"]
    scores = pd.Series([0.1, 0.2, 0.4, 0.3], names)
    found = lifetime_value.best_with_profile_and_without(names, scores)
    assert found == ("network of 16, profile", "network of 64")


def test_what_a_profile_adds_is_told_with_its_interval():
    rng = np.random.default_rng(0)
    value = rng.lognormal(size=400)
    noise = rng.normal(size=(2, 400))
    near, far = np.exp(np.log(value) + 0.3 * noise[0]), np.exp(np.log(value) + noise[1])
    redraw = bootstrap_weights(400, 200, seed=0)
    names, found = ["network of 16, profile", "network of 16"], []
    for dollars in ((near, far), (far, near), (near, near)):
        tried = lifetime_value.Tried(
            dict(zip(names, dollars, strict=True)), dict.fromkeys(names), {}
        )
        scores = pd.Series(1.0, names)
        found.append(lifetime_value.profile_facts(tried, scores, value, redraw))
    assert found[0]["low"] > 0 > found[1]["high"]
    assert found[0]["low"] < found[0]["change"] < found[0]["high"]
    assert [facts["said"].split()[0] for facts in found] == ["the", "with", "no"]
    assert found[2]["said"] == "no difference can be told"  # which is not: none there is


def test_rows_are_claimed_between_those_who_stand_for_their_kind():
    rng = np.random.default_rng(0)
    value = rng.lognormal(size=400)
    dollars = {"naive": rng.lognormal(size=400), "network of 16": value * rng.lognormal(size=400)}
    board, rows = Scoreboard("11-lifetime-value", seed=0), {"Spearman": "order", "RMSE": "level"}
    contest = board.contest("c", chosen_by="s", better="higher")
    table = value_score_table(value, dollars)
    training = {"network of 16": {}}
    lifetime_value.enter_scores(
        contest, table, rows, validation=table["Spearman"], training=training
    )
    contest.enter("regression", "classical", test={"order": 0.0, "level": 9.0}, validation=-1)
    redraw = bootstrap_weights(400, 200, seed=0)
    limits = {"Spearman": 1.0, "RMSE": 0.0}
    said = lifetime_value.claim_scores(
        contest, rows, value, dollars, redraw, limits=limits, limit_is="exact"
    )
    assert board.row("order").headline
    assert not board.row("level").headline
    assert board.row("order").names["classical"] == "naive"  # it is better than the regression
    assert (board.row("level").limit, board.row("level").limit_is) == (0.0, "exact")
    low, high = board.claims[0]["interval"]
    assert low < board.row("order").deep - board.row("order").classical < high
    assert said.data.count("On ") == 2


def test_coverage_is_right_where_the_distribution_is_and_told_where_it_is_not(views):
    train, later = views[""]
    net = ValueEnsemble.train(train, members=1, hidden=16, seed=0, epochs=30)
    right = lifetime_value.coverage(net, later, seed=0)
    assert right["no dollars, expected"] == pytest.approx(right["no dollars, actual"], abs=0.03)
    for name, wanted in {"within 50%": 0.5, "within 95%": 0.95, "below the median": 0.5}.items():
        assert right[name] == pytest.approx(wanted, abs=0.05)
    richer = ValueRows(later.features, later.profile, 2 * later.value)
    said = lifetime_value.said_of_coverage(lifetime_value.coverage(net, richer, seed=0), 2000)
    assert "lie below their median (it is too low)" in said
    even = {"within 50%": 0.51, "within 80%": 0.79, "within 95%": 0.95, "below the median": 0.49}
    assert lifetime_value.said_of_coverage(even, 2000) == "as far as can be told, yes"
    narrow = even | {"within 80%": 0.7, "below the median": 0.6}
    said = lifetime_value.said_of_coverage(narrow, 2000)
    assert said == "no: 60 % lie below their median (it is too high); 70 % within 80 % (too narrow)"


def test_totals_are_compared_with_one():
    totals = {"network": 0.98, "trees": 1.03, "regression": 0.99, "naive": 1.0}
    assert lifetime_value.said_of_totals(totals, "network") == "further off than 2 of the 3 others"
    assert lifetime_value.said_of_totals(totals, "naive") == "further off than none of the 3 others"


@pytest.mark.parametrize("verdict", ["beats", "loses", "tie", "undertrained"])
def test_each_verdict_has_its_sentence(verdict):
    said = lifetime_value.said_of_models(verdict, "network of 64, one member", "trees")
    assert "“network of 64, one member”" in said
    assert said.startswith("“trees”") == (verdict == "loses")
    assert ("cannot be told" in said) == (verdict == "tie")
