"""Interest without a deep network: rules, logistic regression, boosted trees."""

from dataclasses import dataclass

import numpy as np
from sklearn.compose import make_column_transformer
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from pm_utils.customers.purchase_log import HISTORY_COLUMNS
from pm_utils.inputs import whole_numbers
from pm_utils.targeting.interest.samples import (
    DAYS_SINCE,
    GAP_BANDS,
    PAIR_COLUMNS,
    Pairs,
    Snapshots,
    pair_facts,
)

_FACTS = len(PAIR_COLUMNS)


def naive_probabilities(
    train: Snapshots, snapshots: Snapshots, pairs: Pairs
) -> dict[str, np.ndarray]:
    """Return what three rules without a model say: how often such pairs were bought in training.

    Explained in chapter ``interest``.

    Parameters
    ----------
    train : Snapshots
        All of its pairs are counted.
    snapshots, pairs
        What to score.

    Returns
    -------
    dict of arrays of shape (N,)
        ``"popularity"``: the candidate's share of households. ``"recency and frequency"``: that of
        all pairs with as many orders in the last 8 weeks (8 and more together) and as long ago.
        ``"habit times popularity"``: the odds of the second, times the square root of those of the
        first over those of any pair; the root, because popularity is in habit already.

    Raises
    ------
    ValueError
        When a pair is none of `snapshots`, or these have other candidates than `train`.

    Examples
    --------
    The first candidate was bought by both households, the second by neither. Nothing is known of
    the pairs, so the second rule takes all four together: (2 + 0.5) / (4 + 1), one more pair being
    added at the overall rate. At even odds, the third rule says what the first says, but never 0
    or 1.

    >>> import numpy as np
    >>> from pm_utils.targeting.interest.baselines import naive_probabilities
    >>> from pm_utils.targeting.interest.samples import Snapshots, all_pairs
    >>> train = Snapshots(
    ...     customer=np.arange(2),
    ...     as_of=np.full(2, np.datetime64("2017-04-01")),
    ...     history=np.zeros((2, 3), np.int32),
    ...     own=np.zeros((2, 2, 10), np.float32),
    ...     context=np.zeros((2, 8), np.float32),
    ...     bought=np.array([[True, False], [True, False]]),
    ... )
    >>> found = naive_probabilities(train, train, all_pairs(train, 1, seed=0))
    >>> for rule, probability in found.items():
    ...     print(rule, probability.round(2).tolist())
    popularity [1.0, 0.0]
    recency and frequency [0.5, 0.5]
    habit times popularity [1.0, 0.0]
    """
    _check_candidates(train, snapshots, pairs)

    def cell(part: Snapshots) -> np.ndarray:
        orders = np.rint(np.expm1(part.own[:, :, HISTORY_COLUMNS.index("orders_8w")]))
        band = np.digitize(np.expm1(part.own[:, :, DAYS_SINCE]), GAP_BANDS)
        return np.minimum(orders, 8).astype(int) * (len(GAP_BANDS) + 1) + band

    counted, size = cell(train).ravel(), 9 * (len(GAP_BANDS) + 1)
    bought = np.bincount(counted, train.bought.ravel(), size)
    probability = (bought + train.bought.mean()) / (np.bincount(counted, minlength=size) + 1)
    popularity = train.bought.mean(0)[pairs.candidate]
    habit = probability[cell(snapshots)[pairs.snapshot, pairs.candidate]]
    odds = _odds(habit) * np.sqrt(_odds(popularity) / _odds(train.bought.mean()))
    return {
        "popularity": popularity,
        "recency and frequency": habit,
        "habit times popularity": odds / (1 + odds),
    }


def _odds(probability: np.ndarray) -> np.ndarray:
    inside = np.clip(probability, 1e-6, 1 - 1e-6)
    return inside / (1 - inside)


@dataclass(frozen=True)
class ClassicalModels:
    """Regressions and boosted trees on the facts of pairs, each as a specialist would set it.

    ``"logistic"`` reads the facts, ``"logistic with candidate"`` also which candidate is asked
    about, one coefficient for each. ``"trees"`` are small and few, ``"bigger trees"`` deep and
    many; both know the candidate by its popularity.

    Explained in chapter ``interest``.

    Attributes
    ----------
    models : dict
        Fitted models of scikit-learn, by name.
    train : Snapshots
    shift : float
        Of the pairs that they were trained on.

    References
    ----------
    Friedman (2001), Greedy function approximation: a gradient boosting machine.

    Examples
    --------
    >>> import numpy as np
    >>> from pm_utils.targeting.interest.baselines import ClassicalModels
    >>> from pm_utils.targeting.interest.samples import Snapshots, all_pairs
    >>> train = Snapshots(
    ...     customer=np.arange(2),
    ...     as_of=np.full(2, np.datetime64("2017-04-01")),
    ...     history=np.zeros((2, 3), np.int32),
    ...     own=np.zeros((2, 2, 10), np.float32),
    ...     context=np.zeros((2, 8), np.float32),
    ...     bought=np.array([[True, False], [True, False]]),
    ... )
    >>> pairs = all_pairs(train, 2, seed=0)
    >>> said = ClassicalModels.learn(train, pairs, seed=0).probabilities(train, pairs)
    >>> said["logistic"].round(2).tolist()  # no fact tells the pairs apart
    [0.5, 0.5, 0.5, 0.5]
    >>> (said["logistic with candidate"] > 0.5).tolist()
    [True, False, True, False]
    """

    models: dict[str, Pipeline | HistGradientBoostingClassifier]
    train: Snapshots
    shift: float

    @classmethod
    def learn(cls, train: Snapshots, pairs: Pairs, *, seed: int) -> "ClassicalModels":
        """Fit all of them on the same pairs.

        Raises
        ------
        ValueError
            When a pair is none of the snapshots, or all pairs hold the same answer.
        """
        if pairs.bought.min() == pairs.bought.max():
            told = f"bought is {pairs.bought[0]:g} in all pairs"
            raise ValueError(f"{told}: there is nothing to learn")
        scaled = StandardScaler(), slice(0, _FACTS)
        candidate = OneHotEncoder(), [_FACTS]
        same = {"min_samples_leaf": 100, "early_stopping": False, "random_state": seed}
        models = {
            "logistic": make_pipeline(
                make_column_transformer(scaled), LogisticRegression(max_iter=300)
            ),
            "logistic with candidate": make_pipeline(
                make_column_transformer(scaled, candidate), LogisticRegression(max_iter=300)
            ),
            "trees": HistGradientBoostingClassifier(
                max_iter=100, learning_rate=0.1, max_leaf_nodes=8, **same
            ),
            "bigger trees": HistGradientBoostingClassifier(
                max_iter=300, learning_rate=0.05, max_leaf_nodes=16, **same
            ),
        }
        columns = _facts_and_candidate(train, pairs)
        for name, model in models.items():
            model.fit(_read_by(name, columns), pairs.bought)
        return cls(models, train, pairs.shift)

    def probabilities(self, snapshots: Snapshots, pairs: Pairs) -> dict[str, np.ndarray]:
        """Return each model's probabilities (N,), put right by the training pairs' shift.

        Raises
        ------
        ValueError
            When a pair is none of `snapshots`, or these have other candidates than in training.
        """
        _check_candidates(self.train, snapshots, pairs)
        columns = _facts_and_candidate(snapshots, pairs)
        said = {}
        for name, model in self.models.items():
            logit = model.decision_function(_read_by(name, columns)) + self.shift
            said[name] = 1 / (1 + np.exp(-logit))
        return said


def _facts_and_candidate(snapshots: Snapshots, pairs: Pairs) -> np.ndarray:
    return np.column_stack([pair_facts(snapshots, pairs), pairs.candidate])


def _read_by(name: str, columns: np.ndarray) -> np.ndarray:
    """What a model reads: trees take no number of a candidate, it has no order."""
    return columns[:, :_FACTS] if name.endswith("trees") else columns


def _check_candidates(train: Snapshots, snapshots: Snapshots, pairs: Pairs) -> None:
    """Refuse snapshots of other candidates, and pairs that are none of them."""
    known, given = train.bought.shape[1], snapshots.bought.shape[1]
    if known != given:
        raise ValueError(f"{given} candidates, {known} in training: give the same ones")
    whole_numbers(pairs.snapshot, "snapshot", low=0, high=len(snapshots.bought) - 1)
    whole_numbers(pairs.candidate, "candidate", low=0, high=given - 1)
