"""A planted world for networks that are trained side by side."""

import numpy as np
import pandas as pd

from pm_utils.formulas import sigmoid

PROFILE = ["habit", "rhythm"]


def world(n: int = 1_500, seed: int = 0) -> tuple[pd.DataFrame, np.ndarray]:
    """Redemption depends on one profile column, one content column and on one of each together."""
    rng = np.random.default_rng(seed)
    names = ["habit", "rhythm", "match", "price"]
    features = pd.DataFrame(rng.normal(size=(n, 4)), columns=names)
    x = features["habit"] + 0.7 * features["match"] + features["rhythm"] * features["price"]
    return features, (rng.random(n) < sigmoid(1.5 * x - 1).to_numpy()).astype(float)
