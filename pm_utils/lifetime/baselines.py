"""Classical models of lifetime value: Poisson regression, boosted trees, a model set right."""

from dataclasses import replace
from itertools import product

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from sklearn.base import RegressorMixin
from sklearn.ensemble import HistGradientBoostingRegressor
from sklearn.linear_model import PoissonRegressor

from pm_utils import inputs
from pm_utils.learning.scaling import Scaling
from pm_utils.lifetime.ensemble import ValueRows

STRENGTHS = (0.001, 0.01, 0.1)  # of the penalty
LEAVES, LEAST_ROWS = (4, 8), (5, 20, 60)  # of a tree, and of a leaf
CENT = 0.01


def lifetime_baselines(seed: int) -> dict[str, RegressorMixin]:
    """Return classical models of the same table, unfitted; each predicts a mean above 0.

    Parameters
    ----------
    seed : int
        Of the boosted trees.

    Returns
    -------
    dict of RegressorMixin
        By a name that tells the strength of the penalty, or the number of leaves and the least
        number of rows in each.

    Examples
    --------
    >>> from pm_utils.lifetime.baselines import lifetime_baselines
    >>> for name in lifetime_baselines(seed=0):
    ...     print(name)
    Poisson regression, 0.001
    Poisson regression, 0.01
    Poisson regression, 0.1
    boosting, 4 leaves of 5
    boosting, 4 leaves of 20
    boosting, 4 leaves of 60
    boosting, 8 leaves of 5
    boosting, 8 leaves of 20
    boosting, 8 leaves of 60
    """
    trees = {"loss": "poisson", "learning_rate": 0.05, "max_iter": 120, "random_state": seed}
    trees |= {"early_stopping": False}  # else it depends on the number of rows
    models = {
        f"Poisson regression, {a:g}": PoissonRegressor(alpha=a, max_iter=300) for a in STRENGTHS
    }
    for leaves, least in product(LEAVES, LEAST_ROWS):
        shape = {"max_leaf_nodes": leaves, "min_samples_leaf": least}
        model = HistGradientBoostingRegressor(**shape, **trees)
        models[f"boosting, {leaves} leaves of {least}"] = model
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


def recalibrated(guessed: ArrayLike, value: ArrayLike, others: ArrayLike) -> ArrayLike:
    """Set a model's dollars right by customers whose dollars are known, and keep their order.

    A Poisson regression of the dollars on the logarithm of the model's: a d^b for its d. The order
    stays but for values under a cent, which count as a cent.

    Parameters
    ----------
    guessed, value : arrays of shape (M,)
        A model's dollars and those that came; at least 0, some above it.
    others : array of shape (N,)
        The model's dollars for customers to predict.

    Returns
    -------
    array of shape (N,)
        Dollars; a Series where `others` is one.

    Raises
    ------
    ValueError
        When dollars are below 0 or not finite, the rows do not match, nobody spent, or dollars fall
        as the model's rise.

    Examples
    --------
    The model promised twice what came.

    >>> from pm_utils.lifetime.baselines import recalibrated
    >>> recalibrated([2.0, 20.0, 60.0], [1.0, 10.0, 30.0], [8.0, 40.0]).round(2)
    array([ 4., 20.])
    """
    guessed, value = inputs.aligned(guessed=guessed, value=value)
    value = inputs.numbers(value, "value", low=0, ndim=1)
    if not value.any():
        raise ValueError(f"none of {len(value):,} customers spent: nothing to learn from")
    logs = [
        np.log(np.maximum(inputs.numbers(dollars, name, low=0, ndim=1), CENT))[:, None]
        for name, dollars in {"guessed": guessed, "others": others}.items()
    ]
    model = PoissonRegressor(alpha=0, max_iter=300, tol=1e-8).fit(logs[0], value / value.mean())
    if model.coef_[0] < 0:
        raise ValueError(
            f"value falls as guessed rises (power {model.coef_[0]:.2g}): set right, guessed would "
            "lose its order; give a model whose dollars rise with those that came"
        )
    return inputs.like(value.mean() * model.predict(logs[1]), others)
