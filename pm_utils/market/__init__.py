"""A simulated market with known truth, fed by the real shop.

Here is what happens and why. What a shop may learn from it is elsewhere, and reads no truth."""

from pm_utils.market.creatives import ATTRIBUTES, DISCOUNT_RATES, Creatives, random_creatives
from pm_utils.market.dynamics import MarketState, WeekOutcome
from pm_utils.market.impressions import ImpressionLog
from pm_utils.market.logging_policies import Computed, EpsilonGreedy, Policy, Table, Uniform, fixed
from pm_utils.market.market import Market
from pm_utils.market.realism import compare_moments
from pm_utils.market.truth import TruthParameters

__all__ = [
    "ATTRIBUTES",
    "DISCOUNT_RATES",
    "Computed",
    "Creatives",
    "EpsilonGreedy",
    "ImpressionLog",
    "Market",
    "MarketState",
    "Policy",
    "Table",
    "TruthParameters",
    "Uniform",
    "WeekOutcome",
    "compare_moments",
    "fixed",
    "random_creatives",
]
