"""What chapter 12 draws is what was computed."""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest

from pm_utils.chapters import budget_policy_figures as figures
from pm_utils.decisions.planning import LagrangianPlans
from pm_utils.evaluation.replications import mean_and_margin
from tests.support.campaign_world import WEEKS, pair


@pytest.fixture(autouse=True)
def close_figures():
    yield
    plt.close("all")


def test_a_flight_is_drawn_for_its_week_and_for_all():
    figure = figures.flight_figure(pair(4), ["one", "two"], WEEKS)
    plans = LagrangianPlans(pair(4), WEEKS)
    order = np.argsort(plans.fatigue[1])
    for number, (panel, title) in enumerate(zip(figure.axes, ("one", "two"), strict=True)):
        now, whole = (line.get_ydata() for line in panel.lines[:2])
        assert title in (panel.get_title(), panel.get_title(loc="left"))
        assert whole == pytest.approx(plans.solve(0.0)[1][1][order, number])
        assert (now > whole).all()  # a flight always costs later weeks something here


def test_flights_are_marked_in_their_weeks():
    path = np.array([[1, 0], [0, 2], [3, 0]])
    axes = figures.plans_figure({"exact plan": path, "greedy": 0 * path}).axes[0]
    marks = [line for line in axes.lines if line.get_marker() in "os"]
    drawn = [line.get_xdata().tolist() for line in marks]
    assert drawn == [[], [], [1, 3], [2]]  # the first policy is drawn last, on top
    assert [label.get_text() for label in axes.get_yticklabels()] == ["greedy", "exact plan"]


def test_learning_is_drawn_as_means_over_networks():
    rng = np.random.default_rng(0)
    curves = pd.DataFrame(
        [
            {"step": step, "kind": kind, "share": rng.random()}
            for step in (0, 10) for kind in ("network", "null") for _ in range(4)
        ]
    )  # fmt: skip
    axes = figures.learning_figure(curves, 0.9).axes[0]
    part = curves[(curves["kind"] == "null") & (curves["step"] == 10)]["share"]
    assert axes.lines[1].get_ydata()[1] == pytest.approx(part.mean())
    assert axes.lines[3].get_ydata()[0] == 0.9
    assert axes.collections[1].get_paths()[0].vertices[:, 1].max() == pytest.approx(
        max(
            sum(mean_and_margin(p["share"]))
            for _, p in curves[curves["kind"] == "null"].groupby("step")
        )
    )


def test_the_crowd_is_drawn_by_policy_and_by_week():
    shares = {"greedy": np.array([0.4, 0.6]), "network": np.array([0.9, 1.0])}
    sent = {"network": np.array([3.0, 2.0, 1.0])}
    left, right = figures.crowd_figure(shares, sent).axes
    assert [line.get_xdata()[0] for line in left.lines[1::2][:2]] == [0.5, 0.95]
    assert right.lines[0].get_ydata().tolist() == [3, 2, 1]


def test_sizes_are_drawn_above_or_below_the_floor():
    axes = figures.size_figure({"a": np.array([90.0, 40.0])}, 50.0).axes[0]
    assert axes.lines[0].get_ydata().tolist() == [90, 40]
    assert axes.lines[1].get_ydata()[0] == 50
    assert axes.get_yscale() == "log"
