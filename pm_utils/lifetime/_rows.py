"""Rows of several inputs, some of which are one number for all."""

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
