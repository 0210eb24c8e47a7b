"""The simulated log has the probabilities that it says."""

import numpy as np
import pytest

from pm_utils.targeting.interest import simulated

pytestmark = pytest.mark.usefixtures("one_thread")


def test_simulated_clicks_happen_with_their_chances_and_histories_show_tastes():
    log = simulated.simulated_clicks(60_000, users=500, items=50, length=10, seed=1)
    assert log.click.mean() == pytest.approx(log.probability.mean(), abs=0.006)
    for low, high in ((0.0, 0.1), (0.3, 0.5), (0.6, 1.0)):
        rows = (log.probability > low) & (log.probability <= high)
        assert log.click[rows].mean() == pytest.approx(log.probability[rows].mean(), abs=0.02)
    length = (log.history > 0).sum(1)
    assert (length.min(), length.max()) == (1, 10)
    assert (log.history[np.arange(len(length)), length - 1] > 0).all()  # pads stand at the end
    assert 1 <= log.item.min() <= log.item.max() <= 50
    inside = (log.history == log.item[:, None]).any(1)
    assert log.probability[inside].mean() > 1.5 * log.probability[~inside].mean()


def test_a_simulated_log_without_pads_and_its_seed():
    settings = {"users": 50, "items": 20, "length": 5, "shortest": 5}
    first, same, other = (simulated.simulated_clicks(500, **settings, seed=s) for s in (0, 0, 1))
    assert (first.history > 0).all()
    assert np.array_equal(first.click, same.click)
    assert np.array_equal(first.history, same.history)
    assert not np.array_equal(first.item, other.item)


def test_the_attainable_chance_is_the_mean_of_true_chances_among_like_histories():
    log = simulated.simulated_clicks(300_000, users=60_000, items=40, length=6, seed=2)
    expected = simulated.attainable_probability(log)
    for low, high in ((0.0, 0.1), (0.1, 0.2), (0.3, 0.5), (0.6, 1.0)):
        rows = (expected > low) & (expected <= high)
        assert log.probability[rows].mean() == pytest.approx(expected[rows].mean(), abs=0.01)
    error = log.probability - expected
    same, known = log.items_of_topic()
    for share in (same / known == 0, same / known == 1):
        assert error[share].mean() == pytest.approx(0, abs=0.01)
    assert np.abs(error).mean() > 0.02  # the oracle knows more


def test_without_a_history_the_attainable_chance_differs_by_appeal_alone():
    log = simulated.simulated_clicks(2000, users=50, items=5, length=3, shortest=0, seed=0)
    empty = (log.history == 0).all(1)
    expected = simulated.attainable_probability(log)[empty]
    for item in range(1, 6):
        of_item = expected[log.item[empty] == item]
        assert np.allclose(of_item, of_item[0])


def test_sizes_are_whole_and_fit_each_other():
    with pytest.raises(ValueError, match="shortest is out of range .*0 to 4"):
        simulated.simulated_clicks(5, length=4, shortest=5, seed=0)
    with pytest.raises(ValueError, match="rows is out of range"):
        simulated.simulated_clicks(0, seed=0)
