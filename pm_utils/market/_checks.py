"""What all parts of the market take as customers, ads, and rows that belong together."""

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from pm_utils.inputs import aligned, codes, columns, plain, whole_numbers


def known_codes(values: ArrayLike, name: str, size: int, *, low: int = 0) -> np.ndarray:
    """Return codes from `low` to ``size - 1`` as they are, or refuse them; cheap where all is well.

    Raises
    ------
    ValueError
        When a code is none of those, or the codes are booleans, which say whether and not who.

    Examples
    --------
    >>> from pm_utils.market._checks import known_codes
    >>> known_codes([0, 3], "customers", 3)
    Traceback (most recent call last):
    ValueError: customers is out of range in 1 of 2 rows, first row 1 (3): give numbers from 0 to 2
    """
    array = values if type(values) is np.ndarray else plain(values)
    if array.dtype == bool:
        raise ValueError(f"{name} is of type bool: give whole numbers, as by np.flatnonzero")
    if array.dtype.kind in "iu" and (not array.size or (array.min() >= low and array.max() < size)):
        return array
    return whole_numbers(values, name, low=low, high=size - 1)


def by_number(values: ArrayLike, name: str) -> ArrayLike:
    """Return pandas' rows, and a table's columns, in the order of customers and ads.

    Examples
    --------
    >>> import pandas as pd
    >>> from pm_utils.market._checks import by_number
    >>> by_number(pd.Series({1: "second", 0: "first"}), "names").tolist()
    ['first', 'second']
    """
    if isinstance(values, pd.DataFrame):
        values = columns(values, range(values.shape[1]), name)
    if isinstance(values, pd.Series | pd.DataFrame):
        return values.iloc[codes(np.arange(len(values)), values.index, f"{name}: a customer")]
    return values


def rows_by_index(**rows: Any) -> list[Any]:
    """Return rows of which those with an index are matched by it; others may broadcast.

    Examples
    --------
    >>> import pandas as pd
    >>> from pm_utils.market._checks import rows_by_index
    >>> customer, fatigue = pd.Series({"a": 0, "b": 1}), pd.Series({"b": 2.0, "a": 0.0})
    >>> rows_by_index(customer=customer, fatigue=fatigue, position=0)[1].tolist()
    [0.0, 2.0]
    """
    indexed = {name: one for name, one in rows.items() if isinstance(one, pd.Series)}
    if len(indexed) > 1:
        rows |= zip(indexed, aligned(**indexed), strict=True)
    return list(rows.values())
