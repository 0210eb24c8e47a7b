"""Put columns on one scale, learned from training rows."""

from dataclasses import dataclass
from typing import Self

import pandas as pd

from pm_utils import inputs

FARTHEST = 4.0  # deviations from the mean; what is further off counts as this


@dataclass(frozen=True)
class Scaling:
    """Means and deviations of training rows; applied, values end at `FARTHEST` deviations.

    A feature's unit makes no difference, and neither does the order of the columns: they are found
    by name. Further columns are not read.

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
        """Take both from training rows; a constant keeps its scale.

        Raises
        ------
        ValueError
            When there is no row, or a value is not finite, with its column.
        """
        if not len(features):
            raise ValueError("features has no rows: give at least one")
        inputs.numbers(inputs.columns(features, list(features), "features"), "features")
        deviation = features.std(ddof=0)
        return cls(features.mean(), deviation.where(features.max() > features.min(), 1.0))

    def apply(self, features: pd.DataFrame) -> pd.DataFrame:
        """Return the features in deviations from the training mean, in the training order.

        Raises
        ------
        KeyError
            When a feature of the training rows is missing.
        ValueError
            When a value is not finite, with its column, or two columns have one name.
        """
        features = inputs.columns(features, list(self.mean.index), "features")
        inputs.numbers(features, "features")
        return ((features - self.mean) / self.deviation).clip(-FARTHEST, FARTHEST)
