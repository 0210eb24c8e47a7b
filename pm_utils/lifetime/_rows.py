"""Rows of several inputs: matched by their index, and given back with it."""

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from pm_utils import inputs


def matched(**given: ArrayLike) -> list[Any]:
    """Match lists by their index; a single number stands for every row, a table is left as it is.

    Raises
    ------
    ValueError
        When lists differ in length, or an index lacks a row of another.
    """
    lists = {name: one for name, one in given.items() if np.ndim(one) == 1}
    given |= dict(zip(lists, inputs.aligned(**lists), strict=True)) if lists else {}
    return list(given.values())


def broadcast(**given: ArrayLike) -> list[Any]:
    """Match lists by their index where one of them has one; else any shapes that broadcast do."""
    indexed = any(isinstance(one, pd.Series) for one in given.values())
    return matched(**given) if indexed else list(given.values())


def like(values: np.ndarray, *models: Any) -> Any:
    """Return values with the index of the first model that has one, if there is one for each.

    Examples
    --------
    >>> import numpy as np
    >>> import pandas as pd
    >>> from pm_utils.lifetime._rows import like
    >>> like(np.array([1.0, 2.0]), 7, pd.Series([0, 0], ["a", "b"])).to_dict()
    {'a': 1.0, 'b': 2.0}
    """
    for model in models:
        if isinstance(model, pd.Series | pd.DataFrame) and np.shape(values)[:1] == (len(model),):
            kind = pd.Series if np.ndim(values) == 1 else pd.DataFrame
            return kind(values, index=model.index)
    return values
