"""Interest without a deep network: rules, logistic regression, boosted trees."""

from dataclasses import dataclass
from itertools import islice

import numpy as np
from sklearn.compose import make_column_transformer
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from pm_utils.customers.purchase_log import HISTORY_COLUMNS
from pm_utils.inputs import whole_numbers
from pm_utils.targeting.interest.samples import (
    DAYS_SINCE,
    GAP_BANDS,
    LIKENESS,
    PAIR_COLUMNS,
    Pairs,
    Snapshots,
    pair_facts,
)

_CANDIDATE = len(PAIR_COLUMNS)  # its column stands behind the facts; trees take no such number
_ALL = list(range(_CANDIDATE))
_WITHOUT = _ALL[: LIKENESS.start] + _ALL[LIKENESS.stop :]  # the pair's own past, and the household
_POPULAR = PAIR_COLUMNS.index("popularity")

# Which columns each model reads.
REGRESSIONS = {
    "item-item": [_POPULAR, *map(PAIR_COLUMNS.index, ("item_cosines", "item_regression"))],
    "factorisation": [_POPULAR, PAIR_COLUMNS.index("factors")],
    "logistic": _WITHOUT,
    "logistic with likeness": _ALL,
    "logistic with candidate": [*_ALL, _CANDIDATE],
}
TREES = {"trees": _WITHOUT, "trees with likeness": _ALL}
TREE_COUNTS = 16  # to choose among, as many as a network of the book has checks


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
    ...     own=np.zeros((2, 2, 16), np.float32),
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

    ``"item-item"`` and ``"factorisation"`` are the usual recommenders without a network: logistic
    regressions on popularity and what items alike, or the factors of the household and the
    candidate, say. ``"logistic"`` reads the facts of the pair and the household, ``"logistic with
    likeness"`` those of likeness too, ``"logistic with candidate"`` also which candidate is asked
    about, one coefficient for each. ``"trees"`` read what ``"logistic"`` does, ``"trees with
    likeness"`` all facts. Both know the candidate by its popularity.

    Explained in chapter ``interest``.

    Attributes
    ----------
    models : dict
        Fitted models of scikit-learn, by name.
    n_trees : dict of int
        How many trees of each boosted model are used.
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
    ...     own=np.zeros((2, 2, 16), np.float32),
    ...     context=np.zeros((2, 8), np.float32),
    ...     bought=np.array([[True, False], [True, False]]),
    ... )
    >>> pairs = all_pairs(train, 2, seed=0)
    >>> models = ClassicalModels.learn(train, pairs, watched=(train, pairs), seed=0)
    >>> said = models.probabilities(train, pairs)
    >>> said["logistic"].round(2).tolist()  # no fact tells the pairs apart
    [0.5, 0.5, 0.5, 0.5]
    >>> (said["logistic with candidate"] > 0.5).tolist()
    [True, False, True, False]
    """

    models: dict[str, Pipeline | HistGradientBoostingClassifier]
    n_trees: dict[str, int]
    train: Snapshots
    shift: float

    @classmethod
    def learn(
        cls, train: Snapshots, pairs: Pairs, *, watched: tuple[Snapshots, Pairs], seed: int
    ) -> "ClassicalModels":
        """Fit all of them on the same pairs.

        Pairs of a later date are watched as those of a network are: of sixteen numbers of
        trees, in equal steps, that with the least log loss is kept.

        Raises
        ------
        ValueError
            When a pair is none of the snapshots, or all pairs hold the same answer.
        """
        if pairs.bought.min() == pairs.bought.max():
            told = f"bought is {pairs.bought[0]:g} in all pairs"
            raise ValueError(f"{told}: there is nothing to learn")
        same = {"min_samples_leaf": 100, "early_stopping": False, "random_state": seed}
        size = {"max_iter": 13 * TREE_COUNTS, "learning_rate": 0.1, "max_leaf_nodes": 16}
        models = {name: _regression(name) for name in REGRESSIONS}
        for name in TREES:
            models[name] = HistGradientBoostingClassifier(**size, **same)
        columns, later = _facts_and_candidate(train, pairs), _facts_and_candidate(*watched)
        n_trees = {}
        for name, model in models.items():
            model.fit(_read_by(name, columns), pairs.bought)
            if name in TREES:
                n_trees[name] = _best_stage(model, _read_by(name, later), watched[1].bought)
        return cls(models, n_trees, train, pairs.shift)

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
            facts = _read_by(name, columns)
            if name in TREES:  # as many trees as were best on the pairs that were watched
                stages = model.staged_decision_function(facts)
                logit = next(islice(stages, self.n_trees[name] - 1, None)).ravel()
            else:
                logit = model.decision_function(facts)
            said[name] = 1 / (1 + np.exp(-logit - self.shift))
        return said


def _regression(name: str) -> Pipeline:
    """Logistic regression on scaled facts, with a coefficient per candidate where it is read."""
    known = len(REGRESSIONS[name])
    steps = [(StandardScaler(), slice(0, known - 1 if _CANDIDATE in REGRESSIONS[name] else known))]
    if _CANDIDATE in REGRESSIONS[name]:
        steps.append((OneHotEncoder(), [known - 1]))
    return make_pipeline(make_column_transformer(*steps), LogisticRegression(max_iter=300))


def _best_stage(
    model: HistGradientBoostingClassifier, facts: np.ndarray, bought: np.ndarray
) -> int:
    """Of `TREE_COUNTS` numbers of trees the one with the least log loss."""
    step = model.n_iter_ // TREE_COUNTS
    stages = islice(model.staged_predict_proba(facts), step - 1, None, step)
    return step * (1 + int(np.argmin([log_loss(bought, chance) for chance in stages])))


def _facts_and_candidate(snapshots: Snapshots, pairs: Pairs) -> np.ndarray:
    return np.column_stack([pair_facts(snapshots, pairs), pairs.candidate])


def _read_by(name: str, columns: np.ndarray) -> np.ndarray:
    return columns[:, (REGRESSIONS | TREES)[name]]


def _check_candidates(train: Snapshots, snapshots: Snapshots, pairs: Pairs) -> None:
    """Refuse snapshots of other candidates, and pairs that are none of them."""
    known, given = train.bought.shape[1], snapshots.bought.shape[1]
    if known != given:
        raise ValueError(f"{given} candidates, {known} in training: give the same ones")
    whole_numbers(pairs.snapshot, "snapshot", low=0, high=len(snapshots.bought) - 1)
    whole_numbers(pairs.candidate, "candidate", low=0, high=given - 1)
