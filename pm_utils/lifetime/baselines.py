"""Classical models of the lifetime table: Poisson regression and boosted trees."""

from dataclasses import replace

import numpy as np
from sklearn.base import RegressorMixin
from sklearn.ensemble import HistGradientBoostingRegressor
from sklearn.linear_model import PoissonRegressor

from pm_utils.learning.scaling import Scaling
from pm_utils.lifetime.ensemble import ValueRows

STRENGTHS, LEAVES = (0.01, 0.03), (4, 8)


def lifetime_baselines(seed: int) -> dict[str, RegressorMixin]:
    """Return classical models of the same table, unfitted; each predicts a mean above 0.

    Explained in chapter ``lifetime-value``.
    """
    trees = {"loss": "poisson", "learning_rate": 0.05, "min_samples_leaf": 60, "max_iter": 120}
    trees |= {"early_stopping": False}  # else it depends on the number of rows
    models = {
        f"Poisson regression, {a:g}": PoissonRegressor(alpha=a, max_iter=300) for a in STRENGTHS
    }
    for leaves in LEAVES:
        model = HistGradientBoostingRegressor(max_leaf_nodes=leaves, random_state=seed, **trees)
        models[f"boosting, {leaves} leaves"] = model
    return models


def fitted_dollars(model: RegressorMixin, rows: ValueRows, later: ValueRows) -> np.ndarray:
    """Fit a classical model on some rows and predict the dollars of others → (N,).

    Explained in chapter ``lifetime-value``.
    """
    scaling, unit = Scaling.learn(rows.features), rows.value.mean()
    tables = [
        replace(part, features=scaling.apply(part.features)).table() for part in (rows, later)
    ]
    return model.fit(tables[0].to_numpy(), rows.value / unit).predict(tables[1].to_numpy()) * unit
