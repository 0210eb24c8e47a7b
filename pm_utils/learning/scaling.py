"""Put columns on one scale, learned from training rows."""

from dataclasses import dataclass
from typing import Self

import pandas as pd

FARTHEST = 4.0  # deviations from the mean; what is further off counts as this


@dataclass(frozen=True)
class Scaling:
    """Means and deviations of training rows; applied, values end at `FARTHEST` deviations.

    Explained in chapter ``conversion``.

    Attributes
    ----------
    mean, deviation : Series
        One entry per feature.

    Examples
    --------
    >>> import pandas as pd
    >>> from pm_utils.learning.scaling import Scaling
    >>> scaling = Scaling.learn(pd.DataFrame({"visits": [0, 2], "stores": [5, 5]}))
    >>> scaling.apply(pd.DataFrame({"visits": [3, 99], "stores": [5, 6]}))
       visits  stores
    0     2.0     0.0
    1     4.0     1.0
    """

    mean: pd.Series
    deviation: pd.Series

    @classmethod
    def learn(cls, features: pd.DataFrame) -> Self:
        """Take both from training rows; a constant keeps its scale."""
        deviation = features.std(ddof=0)
        return cls(features.mean(), deviation.where(deviation > 1e-3, 1.0))

    def apply(self, features: pd.DataFrame) -> pd.DataFrame:
        """Return the features in deviations from the training mean."""
        return ((features - self.mean) / self.deviation).clip(-FARTHEST, FARTHEST)
