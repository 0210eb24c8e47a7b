"""Columns with mean 0 and deviation 1, by their own values."""

import numpy as np
import torch
from torch import Tensor

from pm_utils import inputs


def standard_scores(values: np.ndarray) -> Tensor:
    """Return columns with mean 0 and deviation 1, unknown values as the mean → (N, P).

    Explained in chapter ``ad-text``.

    Parameters
    ----------
    values : array of shape (N, P)
        Unknown ones are NaN; a constant column comes out as 0.

    Returns
    -------
    Tensor of shape (N, P), float32

    Raises
    ------
    ValueError
        When there are no rows or no two dimensions, a value is infinite, or nothing is known of a
        column.

    Examples
    --------
    >>> import numpy as np
    >>> from pm_utils.learning.standardise import standard_scores
    >>> standard_scores(np.array([[1.0, 5.0], [3.0, np.nan]])).tolist()
    [[-1.0, 0.0], [1.0, 0.0]]
    """
    values = np.asarray(values, dtype=float) if np.ndim(values) else np.empty(0)
    if values.ndim != 2 or not len(values):
        raise ValueError(f"values has shape {values.shape}: give (N, P), at least one row")
    unknown = np.isnan(values)
    inputs.numbers(np.where(unknown, 0.0, values), "values")
    if unknown.all(0).any():
        raise ValueError(f"nothing is known of column {unknown.all(0).argmax()}: leave it out")
    differ = np.nanmax(values, axis=0) > np.nanmin(values, axis=0)
    deviation = np.where(differ, np.nanstd(values, axis=0), 1.0)
    scaled = (values - np.nanmean(values, axis=0)) / deviation
    return torch.tensor(np.nan_to_num(scaled), dtype=torch.float32)
