"""Readings of the formula by hand; models are chosen before the holdout."""

import numpy as np
import pandas as pd
import pytest

from pm_utils import formulas
from pm_utils.chapters import lifetime_value


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
