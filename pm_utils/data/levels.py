"""Levels of categorical columns."""

import numpy as np
import pandas as pd


def merge_levels(column: pd.Series, bands: dict[str, int]) -> pd.Series:
    """Merge the levels of an ordered categorical column into wider bands.

    Explained in chapter ``customer-profile``.

    Parameters
    ----------
    column : Series of ordered categories
    bands : dict
        The name of each band, in order, with the number of levels up to and including it.

    Returns
    -------
    Series of ordered categories
        Missing values stay missing.

    Raises
    ------
    ValueError
        When the column is not an ordered categorical, or the bands do not rise to the last level.

    Examples
    --------
    The first level is "low", those up to the third are "middle", and so on.

    >>> import pandas as pd
    >>> from pm_utils.data.levels import merge_levels
    >>> ages = pd.CategoricalDtype(["19-24", "25-34", "35-44", "45-54"], ordered=True)
    >>> column = pd.Series(["19-24", "35-44", "45-54", None], dtype=ages)
    >>> merge_levels(column, {"low": 1, "middle": 3, "high": 4}).tolist()
    ['low', 'middle', 'high', nan]
    """
    if not isinstance(column.dtype, pd.CategoricalDtype) or not column.cat.ordered:
        raise ValueError(f"{column.name} has no ordered categories: merge only ordered levels")
    levels, ends = column.cat.categories, list(bands.values())
    if ends != sorted(set(ends)) or ends[-1] != len(levels):
        raise ValueError(f"{column.name} has {len(levels)} levels, the bands end at {ends}")
    band = np.searchsorted(ends, column.cat.codes, side="right")
    codes = np.where(column.isna(), -1, band)
    merged = pd.Categorical.from_codes(codes, list(bands), ordered=True)
    return pd.Series(merged, index=column.index, name=column.name)
