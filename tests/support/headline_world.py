"""A small archive of headlines and planted responses."""

import numpy as np
from torch import Tensor

from pm_utils.creatives.text.evaluation import ADS
from pm_utils.creatives.text.networks import response_counts
from pm_utils.market.creatives import Creatives
from pm_utils.market.headlines import copy_grammar


def archive_of(ads: np.ndarray, seed: int = 0) -> np.ndarray:
    creatives = Creatives(*ADS[ads].T, *np.zeros((4, len(ads)), dtype=int))
    return copy_grammar().sample(creatives, np.random.default_rng(seed))


def planted_counts(n: int = 60_000, seed: int = 0) -> tuple[np.ndarray, Tensor, np.ndarray]:
    """Return profiles, a uniform log's counts and the true logits: number j likes category j."""
    rng = np.random.default_rng(seed)
    profile = rng.normal(size=(300, 12)).astype(np.float32)
    logit = 1.5 * profile[:, ADS[:, 0]] + 0.3 * ADS[:, 2] - 3
    customer, creative = rng.integers(300, size=n), rng.integers(240, size=n)
    click = rng.random(n) < 1 / (1 + np.exp(-logit[customer, creative]))
    return profile, response_counts(customer, creative, click, (300, 240)), logit
