"""The ladder, the naive table and the scoreboard's row of chapter 08."""

import numpy as np
import pandas as pd

from pm_utils.chapters.conversion import naive_chance, scoreboard_row


def test_the_naive_rule_knows_type_and_none_one_or_more_redemptions():
    contacts = pd.DataFrame(
        {
            "campaign_type": ["A"] * 6 + ["B"] * 2,
            "redeemed": [False, True, True, True, False, False, False, True],
        }
    )
    redemptions = np.log1p(pd.Series([0, 0, 2, 7, 1, 1, 0, 0]))
    train = np.array([1, 1, 1, 0, 1, 0, 1, 0], bool)
    chance = naive_chance(contacts, redemptions, train)
    # A: none earlier one of two, two or more always, one never; B: none earlier never
    assert chance.tolist() == [0.5, 0.5, 0.99, 0.99, 0.01, 0.01, 0.01, 0.01]


def test_the_rival_is_the_better_baseline_in_the_metrics_own_direction():
    names = ["naive", "logistic", "boosting", "network", "null"]
    values = {"AUC": [0.7, 0.8, 0.9, 0.85, 0.5], "log loss": [0.4, 0.2, 0.3, 0.25, 0.5]}
    points = pd.DataFrame(values, names)
    row, rival = scoreboard_row("AUC", points)
    assert (rival, row["classical"], row["better"], row["unit"]) == (
        *("boosting", 0.9, "higher"),
        "share",
    )
    row, rival = scoreboard_row("log loss", points)
    assert (rival, row["classical"], row["better"], row["unit"]) == (
        *("logistic", 0.2, "lower"),
        "nats",
    )
    assert (row["naive"], row["deep"], row["null"]) == (0.4, 0.25, 0.5)
