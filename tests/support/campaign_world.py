"""A small world for tests of campaigns: effects are strong, so that a wrong formula shows."""

from dataclasses import replace
from functools import cache

import numpy as np

from pm_utils.decisions.budget_env import BudgetCampaign, Forecast
from pm_utils.market import Market, TruthParameters, random_creatives
from tests.support.market_world import small_market

STRONG = replace(
    TruthParameters(),
    click_base=-1.0,
    order_base=-1.5,
    annoyance=0.01,
    fatigue=0.1,
    retention=0.5,
    impression_cost=0.02,
    leaving_base=0.05,
    leaving_bounds=(0.02, 0.2),
    leaving_fatigue=0.01,
)
WEEKS, FLIGHT = 3, 5
TIGHT, AMPLE = (BudgetCampaign(WEEKS, FLIGHT, flights) for flights in (3, 6))  # for two customers


@cache
def campaign_market() -> Market:
    """Return 40 customers and 3 ads."""
    return small_market(40, truth=STRONG, creatives=random_creatives(3, np.random.default_rng(5)))


@cache
def forecast() -> Forecast:
    """Return the forecast of all 40."""
    return Forecast.of(campaign_market(), FLIGHT)


def pair(first: int = 0) -> Forecast:
    """Return the forecast of two customers."""
    return forecast().take(np.array([first, first + 1]))
