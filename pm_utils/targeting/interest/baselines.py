"""Interest without a deep network: rules, logistic regression, boosted trees."""

import numpy as np
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from pm_utils.customers.purchase_log import HISTORY_COLUMNS
from pm_utils.inputs import whole_numbers
from pm_utils.targeting.interest.samples import DAYS_SINCE, GAP_BANDS, Pairs, Snapshots, pair_facts


def naive_probabilities(
    train: Snapshots, snapshots: Snapshots, pairs: Pairs
) -> dict[str, np.ndarray]:
    """Return what two rules without a model say: how often such pairs were bought in training.

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

    Raises
    ------
    ValueError
        When a pair is none of `snapshots`, or these have other candidates than `train`.

    Examples
    --------
    The first candidate was bought by both households, the second by neither. Nothing is known of
    the pairs, so the second rule takes all four together: (2 + 0.5) / (4 + 1), one more pair being
    added at the overall rate.

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
    >>> {rule: probability.round(2).tolist() for rule, probability in found.items()}
    {'popularity': [1.0, 0.0], 'recency and frequency': [0.5, 0.5]}
    """
    _check_candidates(train, snapshots, pairs)

    def cell(part: Snapshots) -> np.ndarray:
        orders = np.rint(np.expm1(part.own[:, :, HISTORY_COLUMNS.index("orders_8w")]))
        band = np.digitize(np.expm1(part.own[:, :, DAYS_SINCE]), GAP_BANDS)
        return np.minimum(orders, 8).astype(int) * (len(GAP_BANDS) + 1) + band

    counted, size = cell(train).ravel(), 9 * (len(GAP_BANDS) + 1)
    bought = np.bincount(counted, train.bought.ravel(), size)
    probability = (bought + train.bought.mean()) / (np.bincount(counted, minlength=size) + 1)
    return {
        "popularity": train.bought.mean(0)[pairs.candidate],
        "recency and frequency": probability[cell(snapshots)[pairs.snapshot, pairs.candidate]],
    }


def classical_probabilities(
    train: Snapshots, pairs: Pairs, test: Snapshots, test_pairs: Pairs, *, seed: int
) -> dict[str, np.ndarray]:
    """Fit logistic regression and gradient boosting on the facts of pairs, and score others.

    Explained in chapter ``interest``.

    Parameters
    ----------
    train, pairs
        What to learn from.
    test, test_pairs
        What to score.
    seed : int

    Returns
    -------
    dict of arrays of shape (N,)
        ``"logistic"`` and ``"gradient boosting"``: probabilities, put right by the pairs' shift.

    Raises
    ------
    ValueError
        As `naive_probabilities`, or when the training pairs hold one answer only.

    References
    ----------
    Friedman (2001), Greedy function approximation: a gradient boosting machine.
    """
    _check_candidates(train, test, test_pairs)
    if pairs.bought.min() == pairs.bought.max():
        raise ValueError(f"bought is {pairs.bought[0]:g} in all pairs: there is nothing to learn")
    trees = HistGradientBoostingClassifier(
        max_iter=100,
        learning_rate=0.1,
        max_leaf_nodes=8,
        min_samples_leaf=100,
        early_stopping=False,
        random_state=seed,
    )
    regression = make_pipeline(StandardScaler(), LogisticRegression(max_iter=300))
    facts, unseen = pair_facts(train, pairs), pair_facts(test, test_pairs)
    probabilities = {}
    for name, model in {"logistic": regression, "gradient boosting": trees}.items():
        odds = model.fit(facts, pairs.bought).decision_function(unseen) + pairs.shift
        probabilities[name] = 1 / (1 + np.exp(-odds))
    return probabilities


def _check_candidates(train: Snapshots, snapshots: Snapshots, pairs: Pairs) -> None:
    """Refuse snapshots of other candidates, and pairs that are none of them."""
    known, given = train.bought.shape[1], snapshots.bought.shape[1]
    if known != given:
        raise ValueError(f"{given} candidates, {known} in training: give the same ones")
    whole_numbers(pairs.snapshot, "snapshot", low=0, high=len(snapshots.bought) - 1)
    whole_numbers(pairs.candidate, "candidate", low=0, high=given - 1)
