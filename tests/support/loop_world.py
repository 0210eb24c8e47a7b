"""A small market with orders and banners for the tests of response models."""

from types import SimpleNamespace

import numpy as np

from pm_utils.loop.ad_menu import AdCatalogue
from pm_utils.loop.campaign import Log

MENU = AdCatalogue.of(2)
N = 800


def campaign_log(weeks: int = 6) -> Log:
    log = Log(np.ones(N, bool), 2)
    for week in range(weeks):
        who = np.arange(week, week + 50)
        part = {"customer": who, "creative": who % len(MENU), "fatigue": np.full(50, 2.0)}
        part |= {"impressions": np.full(50, 3), "clicks": (who % 4 == 0).astype(int)}
        log.shown.append(part | {"conversions": (who % 8 == 0).astype(int)})
    return log


def fixed(logits: np.ndarray) -> SimpleNamespace:
    """A model that has nothing to learn."""
    traits = np.zeros((logits.shape[1], 1))
    return SimpleNamespace(
        traits=traits, fatigue_effect=0.0, fit=lambda *_: None, logits=lambda: logits
    )
