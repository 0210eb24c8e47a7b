"""Columns with mean 0 and deviation 1, by their own values."""

import numpy as np
import torch
from torch import Tensor


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

    Examples
    --------
    >>> import numpy as np
    >>> from pm_utils.learning.standardise import standard_scores
    >>> standard_scores(np.array([[1.0, 5.0], [3.0, np.nan]])).tolist()
    [[-1.0, 0.0], [1.0, 0.0]]
    """
    scaled = (values - np.nanmean(values, axis=0)) / np.maximum(np.nanstd(values, axis=0), 1e-9)
    return torch.tensor(np.nan_to_num(scaled), dtype=torch.float32)
