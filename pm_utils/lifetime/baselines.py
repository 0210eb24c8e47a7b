"""Classical models of the lifetime table: Poisson regression and boosted trees."""

from dataclasses import replace

import pandas as pd
from sklearn.base import RegressorMixin
from sklearn.ensemble import HistGradientBoostingRegressor
from sklearn.linear_model import PoissonRegressor

from pm_utils import inputs
from pm_utils.learning.scaling import Scaling
from pm_utils.lifetime.ensemble import ValueRows

STRENGTHS, LEAVES = (0.001, 0.01, 0.1), (4, 8)


def lifetime_baselines(seed: int) -> dict[str, RegressorMixin]:
    """Return classical models of the same table, unfitted; each predicts a mean above 0.

    Parameters
    ----------
    seed : int
        Of the boosted trees.

    Returns
    -------
    dict of RegressorMixin
        By a name that tells the strength of the penalty, or the number of leaves.

    Examples
    --------
    >>> from pm_utils.lifetime.baselines import lifetime_baselines
    >>> for name in lifetime_baselines(seed=0):
    ...     print(name)
    Poisson regression, 0.001
    Poisson regression, 0.01
    Poisson regression, 0.1
    boosting, 4 leaves
    boosting, 8 leaves
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


def fitted_dollars(model: RegressorMixin, rows: ValueRows, later: ValueRows) -> pd.Series:
    """Fit a classical model on some rows and predict the dollars of others, by their index.

    Parameters
    ----------
    model : RegressorMixin
        One of `lifetime_baselines`; it is fitted in place, to values in units of their mean.
    rows, later : ValueRows
        What to learn from, and what to predict; columns are found by name.

    Raises
    ------
    KeyError
        When the later rows lack a column.
    ValueError
        When a number is not finite, with its column, or nobody spent.

    Examples
    --------
    Dollars grow threefold with each order; a Poisson regression predicts their logarithm by a line.

    >>> import numpy as np
    >>> import pandas as pd
    >>> from pm_utils.lifetime.baselines import fitted_dollars, lifetime_baselines
    >>> from pm_utils.lifetime.ensemble import ValueRows
    >>> features = pd.DataFrame({"orders": [0.0, 1.0, 2.0, 3.0]})
    >>> rows = ValueRows(features, features.iloc[:, :0], np.array([1.0, 3.0, 9.0, 27.0]))
    >>> model = lifetime_baselines(seed=0)["Poisson regression, 0.01"]
    >>> fitted_dollars(model, rows, rows).round().tolist()
    [1.0, 3.0, 9.0, 27.0]
    """
    scaling, unit = Scaling.learn(rows.features), rows.value.mean()
    if not unit > 0:
        raise ValueError(f"none of {len(rows):,} customers spent: nothing to learn from")
    names, tables = list(rows.profile), []
    for part in (rows, later):
        profile = inputs.columns(part.profile, names, "profile")
        tables.append(replace(part, features=scaling.apply(part.features), profile=profile).table())
    for table in tables:
        inputs.numbers(table, "profile and features")
    dollars = model.fit(tables[0].to_numpy(), rows.value / unit).predict(tables[1].to_numpy())
    return inputs.like(dollars * unit, later.features)
