"""Rows to learn lifetime value from, the ensemble against its null, and the baselines."""

import numpy as np
import pandas as pd
import pytest
import torch
from scipy.stats import kstest

from pm_utils.chapters import lifetime_value
from pm_utils.customers.features import FEATURES, spend_between
from pm_utils.data import load_shop
from pm_utils.learning.scaling import Scaling
from pm_utils.lifetime import baselines
from pm_utils.lifetime.ensemble import (
    COMPARABLE,
    ValueEnsemble,
    ValueRows,
    against_own_habit,
    scaled,
    shop_rows,
)
from pm_utils.lifetime.networks import LifetimeValueNet
from pm_utils.lifetime.scores import spearman, value_scores

TREES = "boosting, 4 leaves of 20"


def world(n: int = 1500, seed: int = 0) -> ValueRows:
    """Value follows one feature and one number of the profile; a share spends nothing."""
    rng = np.random.default_rng(seed)
    features = pd.DataFrame(rng.normal(5, 3, (n, 3)), columns=["rate", "noise", "silence"])
    profile = pd.DataFrame(rng.normal(size=(n, 2)), columns=["p_0", "p_1"])
    mean = np.exp(2 + 0.3 * (features["rate"] - 5) + 0.5 * profile["p_0"])
    comes = rng.random(n) < 1 / (1 + np.exp(features["silence"] - 7))
    return ValueRows(features, profile, (mean * rng.lognormal(0, 0.5, n) * comes).to_numpy())


@pytest.fixture(scope="module")
def parts() -> tuple[ValueRows, ValueRows]:
    return world(), world(seed=1)


# --- Rows ---------------------------------------------------------------------------------


def test_rows_are_taken_by_mask_and_by_position(parts):
    rows = parts[0]
    some = rows.take(np.array([4, 2]))
    assert len(some) == 2
    assert some.value.tolist() == rows.value[[4, 2]].tolist()
    assert some.features.index.tolist() == some.profile.index.tolist() == [4, 2]
    assert len(rows.take(rows.value > 0)) == (rows.value > 0).sum()
    assert rows.table().columns.tolist() == ["p_0", "p_1", "rate", "noise", "silence"]
    assert rows.without_profile().table().columns.tolist() == ["rate", "noise", "silence"]


def test_what_grows_with_the_record_is_left_out():
    assert not FEATURES.loc[COMPARABLE, "cumulative"].any()
    assert {"spend_per_week", "recency_days", "age_group"} <= set(COMPARABLE)
    assert not {"orders", "tenure_days", "earlier_spend", "trend"} & set(COMPARABLE)


def test_habits_by_hand():
    columns = {
        "orders_per_week": [2.0, 1.0],
        "spend_per_week": [9.0, 20.0],
        "recency_days": [14.0, 0.0],
        "recent_spend": [8 * 19.0, 0.0],
        "recent_orders": [16, 0],
    }
    found = against_own_habit(pd.DataFrame(columns))
    assert found["orders_missed"].tolist() == pytest.approx([np.log(5), 0])
    assert found["recent_spend_ratio"].tolist() == pytest.approx([np.log(2), -np.log(21)])
    assert found["recent_order_ratio"].tolist() == pytest.approx([0, -np.log(11)])


@pytest.fixture(scope="module")
def shop():
    names = ["customers", "products", "order_lines", "campaigns", "contacts", "responses"]
    return load_shop(names)


@pytest.fixture(scope="module")
def profiles(shop):
    ids = shop.customers["customer_id"].to_numpy()
    days = pd.to_datetime(["2017-03-01", "2017-05-01"])
    index = pd.MultiIndex.from_product([ids, days], names=["customer_id", "as_of"])
    numbers = np.arange(2 * len(index)).reshape(-1, 2) + 1.0
    return pd.DataFrame(numbers, index, ["profile_00", "profile_01"])


@pytest.fixture(scope="module")
def real(shop, profiles):
    return shop_rows(shop, ["2017-03-01"], weeks=4, profiles=profiles)


def test_a_value_is_the_spend_of_the_weeks_after_the_date(shop, real):
    spend = spend_between(shop, "2017-03-01", "2017-03-29")
    who = real.features.index.get_level_values("customer_id")
    assert real.value == pytest.approx(spend.loc[who].to_numpy())
    assert 0.05 < (real.value == 0).mean() < 0.3


def test_a_profile_is_that_of_the_row(real, profiles):
    day = pd.Timestamp("2017-03-01")
    own = real.profile.xs(day, level="as_of")
    assert len(own) > 2000
    assert (own == profiles.xs(day, level="as_of").loc[own.index]).all(axis=None)


def test_a_customer_without_a_profile_is_refused(shop, real, profiles):
    day, customer = real.features.index[3]
    with pytest.raises(KeyError, match=f"1 of .* first customer {customer} as of 2017-03-01"):
        shop_rows(shop, [day], weeks=4, profiles=profiles.drop((customer, day)))
    with pytest.raises(ValueError, match="twice: give one vintage"):
        shop_rows(shop, [day], weeks=4, profiles=pd.concat([profiles, profiles]))


def test_a_date_without_profiles_is_refused(shop, profiles):
    with pytest.raises(ValueError, match=r"no profiles as of \['2017-04-01'\]"):
        shop_rows(shop, ["2017-03-01", "2017-04-01"], weeks=4, profiles=profiles)


def test_scaling_learns_from_the_training_rows_only(shop, real, profiles):
    later = shop_rows(shop, ["2017-05-01"], weeks=4, profiles=profiles)
    train, test = scaled(real, later)
    alone = scaled(real, real)[0]
    pd.testing.assert_frame_equal(train.features, alone.features)
    assert train.features["spend_per_week"].mean() == pytest.approx(0, abs=1e-9)
    assert abs(test.features["spend_per_week"].mean()) > 1e-3
    assert list(train.features) == list(test.features)
    assert {"orders_missed", "recent_spend_ratio"} <= set(train.features)
    assert np.isfinite(test.features.to_numpy()).all()
    assert (test.value == later.value).all()


# --- The network --------------------------------------------------------------------------


@pytest.fixture(scope="module")
def ensemble(parts):
    return ValueEnsemble.train(parts[0], members=2, epochs=30, batch_size=128)


def test_it_learns_order_and_level(parts, ensemble):
    scores = value_scores(parts[1].value, ensemble.predict(parts[1]))
    assert scores["Spearman"] > 0.65
    assert scores["normalised Gini"] > 0.7
    assert 0.85 < scores["total"] < 1.15


def test_shuffled_targets_teach_nothing(parts, ensemble):
    settings = {"shuffles": 3, "members": 3, "seed": 0, "epochs": 30, "batch_size": 128}
    views = {lifetime_value.PROFILE: parts}
    nulls = lifetime_value.null_dollars(views, "network of 64, profile", **settings)
    assert len(nulls) == 3
    assert not np.allclose(nulls[0], nulls[1])
    real = np.abs(ensemble.predict(parts[1]) - parts[1].value).mean()
    assert min(np.abs(null - parts[1].value).mean() for null in nulls) > 1.2 * real
    assert np.mean([spearman(parts[1].value, null) for null in nulls]) < 0.4


def test_the_profile_is_read(parts, ensemble):
    blind = ValueEnsemble.train(parts[0].without_profile(), members=1, epochs=30, batch_size=128)
    dollars = blind.predict(parts[1].without_profile())
    with_it = spearman(parts[1].value, ensemble.predict(parts[1]))
    assert with_it > spearman(parts[1].value, dollars) + 0.03


def test_members_differ_and_their_mean_is_given(parts, ensemble):
    first, second = (
        ValueEnsemble([net], ensemble.scaling).predict(parts[1]) for net in ensemble.nets
    )
    assert not np.allclose(first, second)
    found = ensemble.predict(parts[1])
    assert found.index.equals(parts[1].features.index)
    assert found.to_numpy() == pytest.approx((first + second) / 2)
    assert [len(output) for output in ensemble.outputs(parts[1])] == [1500, 1500]


def test_the_same_seed_gives_the_same_network(parts):
    few = parts[0].take(np.arange(200))
    once, again, other = (
        ValueEnsemble.train(few, members=1, epochs=2, seed=seed).predict(parts[1])
        for seed in (3, 3, 4)
    )
    assert (once == again).all()
    assert not np.allclose(once, other)


def test_ensembles_side_by_side_learn_their_own_values(parts):
    rows = parts[0]
    values = [rows.value, rows.value.max() - rows.value]
    right, reverse = ValueEnsemble.train_each(
        rows, values, members=2, epochs=20, batch_size=128, hidden=16, seed=5
    )
    assert len(right.nets) == len(reverse.nets) == 2
    assert spearman(parts[1].value, right.predict(parts[1])) > 0.5
    assert spearman(parts[1].value, reverse.predict(parts[1])) < -0.5
    alone = ValueEnsemble.train(rows, members=2, epochs=20, batch_size=128, hidden=16, seed=5)
    assert alone.histories[0].steps == right.histories[0].steps == 20 * 12
    assert alone.histories[0].rows == right.histories[0].rows == 20 * 1500


def test_later_rows_do_not_move_the_scaling(parts, ensemble):
    shifted = parts[1].take(np.arange(10))
    shifted.features["rate"] += 1000
    profile, features = ensemble.inputs(shifted)
    assert profile.shape == (10, 2)
    assert (features[:, 0] == 4).all()  # the scaling ends there


@pytest.mark.parametrize("name", ["Poisson regression, 0.01", TREES])
def test_a_baseline_learns_and_has_the_mean_right(parts, name):
    train, later = parts
    model = baselines.lifetime_baselines(0)[name]
    dollars = baselines.fitted_dollars(model, train, later)
    assert (dollars > 0).all()
    assert spearman(later.value, dollars) > 0.6
    own = baselines.fitted_dollars(model, train, train)
    assert own.sum() == pytest.approx(train.value.sum(), rel=0.01)


def test_a_baseline_does_not_depend_on_the_currency(parts):
    train, later = parts
    cents = ValueRows(train.features, train.profile, 100 * train.value)
    model = baselines.lifetime_baselines(0)["Poisson regression, 0.01"]
    dollars = baselines.fitted_dollars(model, train, later)
    in_cents = baselines.fitted_dollars(model, cents, later)
    pd.testing.assert_series_equal(in_cents, 100 * dollars, rtol=1e-3)


# --- Names, indexes, and what is no number --------------------------------------------------------


@pytest.mark.parametrize("name", ["network", "Poisson regression, 0.01", TREES])
def test_columns_in_another_order_give_the_same_dollars(parts, ensemble, name):
    train, later = parts
    turned = ValueRows(
        later.features[["silence", "rate", "noise"]], later.profile[["p_1", "p_0"]], later.value
    )
    if name == "network":
        assert (ensemble.predict(turned) == ensemble.predict(later)).all()
        with pytest.raises(KeyError, match="features has no column 'rate'"):
            ensemble.predict(ValueRows(later.profile, later.profile, later.value))
        return
    model = baselines.lifetime_baselines(0)[name]
    wanted = baselines.fitted_dollars(model, train, later)
    assert (baselines.fitted_dollars(model, train, turned) == wanted).all()
    with pytest.raises(KeyError, match="profile has no column 'p_0'"):
        baselines.fitted_dollars(model, train, later.without_profile())


def test_rows_meet_by_their_index():
    features = pd.DataFrame({"rate": [1.0, 2.0]}, ["a", "b"])
    value = pd.Series([5.0, 9.0], ["b", "a"])
    rows = ValueRows(features, features[::-1].add_prefix("p_"), value)
    assert rows.value.tolist() == [9, 5]
    assert rows.table().index.tolist() == ["a", "b"]
    assert (rows.table()["p_rate"] == rows.table()["rate"]).all()
    with pytest.raises(ValueError, match="value has no row 'b' of features"):
        ValueRows(features, features, value.rename({"b": "c"}))
    with pytest.raises(ValueError, match="features 2, profile 2, value 3 rows"):
        ValueRows(features, features, np.ones(3))


def test_a_mask_meets_the_rows_by_its_index():
    features = pd.DataFrame({"orders": [1.0, 2.0, 3.0]}, index=list("abc"))
    rows = ValueRows(features, features.iloc[:, :0], np.array([1.0, 2.0, 3.0]))
    mask = pd.Series([True, False, True], index=list("abc"))
    for chosen in (mask, mask[::-1], mask.iloc[[1, 2, 0]], mask.to_numpy(), [0, 2]):
        assert rows.take(chosen).value.tolist() == [1, 3]
    with pytest.raises(ValueError, match="rows has no row 'a'"):
        rows.take(mask.set_axis(list("xyz")))


@pytest.mark.parametrize("wrong", [np.nan, np.inf])
def test_numbers_that_are_none_are_named_with_their_column(parts, ensemble, wrong):
    rows = parts[0].take(np.arange(40))
    features, profile = rows.features.copy(), rows.profile.copy()
    features.loc[3, "noise"], profile.loc[4, "p_1"] = wrong, wrong
    model = baselines.lifetime_baselines(0)[TREES]
    for part, said in (
        (ValueRows(features, rows.profile, rows.value), "row 3, column 'noise'"),
        (ValueRows(rows.features, profile, rows.value), "row 4, column 'p_1'"),
    ):
        for call in (
            lambda part=part: ValueEnsemble.train(part, members=1, epochs=1),
            lambda part=part: ensemble.predict(part),
            lambda part=part: baselines.fitted_dollars(model, part, rows),
            lambda part=part: baselines.fitted_dollars(model, rows, part),
        ):
            with pytest.raises(ValueError, match=said):
                call()
    with pytest.raises(ValueError, match="value is not finite in 1 of 40 rows, first row 1"):
        ValueRows(rows.features, rows.profile, np.r_[1.0, wrong, np.ones(38)])
    with pytest.raises(ValueError, match="value is out of range in 1 of 40 rows, first row 1"):
        ValueRows(rows.features, rows.profile, np.r_[1.0, -5.0, np.ones(38)])


def test_where_nobody_spent_there_is_nothing_to_learn(parts):
    rows = parts[0].take(np.arange(40))
    none = ValueRows(rows.features, rows.profile, np.zeros(40))
    with pytest.raises(ValueError, match="none of 40 customers spent"):
        ValueEnsemble.train(none, members=1, epochs=1)
    with pytest.raises(ValueError, match="none of 40 customers spent"):
        baselines.fitted_dollars(baselines.lifetime_baselines(0)[TREES], none, rows)


# --- Choosing -----------------------------------------------------------------------------


@pytest.fixture(scope="module")
def views(parts):
    return {"": tuple(rows.without_profile() for rows in parts), lifetime_value.PROFILE: parts}


@pytest.fixture(scope="module")
def tried(views):
    return lifetime_value.try_models(views, seed=0, members=2, epochs=20, batch_size=128)


def test_every_candidate_is_tried_on_every_view(parts, tried):
    sizes, views = len(lifetime_value.HIDDEN), 2
    assert len(tried.networks) == 2 * sizes * views  # several members, and one
    assert len(tried.dollars) == views * len(baselines.lifetime_baselines(0)) + len(tried.networks)
    assert list(tried.training) == list(tried.networks)
    scores = pd.DataFrame(
        {name: value_scores(parts[1].value, dollars) for name, dollars in tried.dollars.items()}
    ).T["normalised Gini"]
    for kind in ("network", "Poisson", "boosting"):
        best = lifetime_value.best_of(tried.dollars, scores, kind=kind)
        assert scores[best] == scores[scores.index.str.startswith(kind)].max()
        assert best.endswith(lifetime_value.PROFILE)  # half of the value is in the profile


def test_networks_are_what_their_names_say(views, tried):
    for name, network in tried.networks.items():
        rows = lifetime_value.chosen_view(views, name)
        assert rows is views[lifetime_value.PROFILE if "profile" in name else ""]
        assert network.predict(rows[1]).to_numpy() == pytest.approx(tried.dollars[name])
        assert len(network.nets) == (1 if "one member" in name else 2)
        assert network.nets[0].deep.in_features == lifetime_value.hidden_units(name)
        record = tried.training[name]
        assert record["steps"] == 20 * 12  # passes over 1,500 rows in batches of 128
        assert len(record["curve"]) == 20
        assert 0 < record["switching"] <= 1


# --- The distribution -----------------------------------------------------------------------


def constant(logit: float, mu: float, sigma: float) -> LifetimeValueNet:
    """A network that says the same of everybody."""
    net = LifetimeValueNet(2, 3)
    for weight in net.parameters():
        weight.data.zero_()
    net.deep.bias.data = torch.tensor([logit, mu, float(np.log(np.expm1(sigma)))])
    return net


def test_places_are_even_where_the_distribution_is_right_and_not_where_it_is_narrow():
    rng, n = np.random.default_rng(0), 4000
    value = np.exp(rng.normal(3, 0.8, n)) * (rng.random(n) < 0.7)
    rows = ValueRows(world(n).features, world(n).profile, value)
    logit = float(np.log(0.7 / 0.3))
    scaling = Scaling.learn(rows.features)
    right = ValueEnsemble([constant(logit, 3, 0.8)], scaling)
    narrow = ValueEnsemble([constant(logit, 3, 0.3)], scaling)
    assert kstest(right.places(rows, seed=1), "uniform").pvalue > 0.01
    assert kstest(narrow.places(rows, seed=1), "uniform").pvalue < 1e-6
    told = lifetime_value.coverage(right, rows, seed=1)
    assert told["no dollars, expected"] == pytest.approx(0.3, abs=1e-5)
    assert told["no dollars, actual"] == (value == 0).mean()
    for level in (0.5, 0.8, 0.95):
        assert told[f"within {level:.0%}"] == pytest.approx(level, abs=0.03)
    assert lifetime_value.coverage(narrow, rows, seed=1)["within 80%"] < 0.7


def test_watched_rows_are_told_and_the_least_loss_is_kept(parts):
    network = ValueEnsemble.train(parts[0], members=2, epochs=3, watched=parts[1])
    assert [len(history.validation) for history in network.histories] == [3, 3]
    assert [len(history.train) for history in network.histories] == [3, 3]
    first = network.first()
    assert first.nets == network.nets[:1]
    assert first.histories == network.histories[:1]


def test_views_of_the_shop_differ_in_the_profile_only(real):
    views = lifetime_value.shop_views(real, real)
    (bare, _), (full, _) = views[""], views[lifetime_value.PROFILE]
    assert bare.profile.shape[1] == 0
    assert full.profile.shape[1] == 2
    pd.testing.assert_frame_equal(bare.features, full.features)
