"""Put columns on one scale, learned from training rows."""

from dataclasses import dataclass
from typing import Self

import pandas as pd

FARTHEST = 4.0  # deviations from the mean; what is further off counts as this


@dataclass(frozen=True)
class Scaling:
    """Means and deviations of training rows; applied, values end at `FARTHEST` deviations.

    Attributes
    ----------
    mean, deviation : Series
        One entry per feature.
    """

    mean: pd.Series
    deviation: pd.Series

    @classmethod
    def learn(cls, features: pd.DataFrame) -> Self:
        """Take both from training rows; a constant keeps its scale."""
        spread = features.std(ddof=0)
        return cls(features.mean(), spread.where(spread > 1e-3, 1.0))

    def apply(self, features: pd.DataFrame) -> pd.DataFrame:
        """Return the features in deviations from the training mean."""
        return ((features - self.mean) / self.deviation).clip(-FARTHEST, FARTHEST)
