"""What profiles give away about customers who did not tell, scored on those who did."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from sklearn.dummy import DummyClassifier
from sklearn.linear_model import LogisticRegression, LogisticRegressionCV
from sklearn.model_selection import StratifiedKFold, cross_val_predict
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler

from pm_utils import inputs
from pm_utils.evaluation.bootstrap import bootstrap_weights, percentile_interval
from pm_utils.evaluation.ranking import ranking_scores

REGRESSION_STRENGTHS = (
    0.001,
    0.01,
    0.1,
)  # C of logistic regression: the smaller, the stronger its penalty
REGRESSION = {
    "Cs": REGRESSION_STRENGTHS,
    "cv": 3,
    "l1_ratios": (0,),
    "scoring": "neg_log_loss",
    "use_legacy_attributes": False,
}


def _regression(strength: float | None = None) -> Pipeline:
    """Scaling is part of the model, so that it is learned within each fold."""
    if strength is None:
        return make_pipeline(StandardScaler(), LogisticRegressionCV(**REGRESSION))
    return make_pipeline(StandardScaler(), LogisticRegression(C=strength))


def cross_validated_probabilities(
    views: dict[str, np.ndarray],
    answer: pd.Series,
    *,
    seed: int,
    strength: float = 0.01,
    folds: int = 5,
) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """Predict each known answer from customers whose answer was in other folds.

    Parameters
    ----------
    views : dict of arrays of shape (N, D)
        What is known about each customer, by the name of the view; scaled within each fold.
    answer : Series of length N
        A category, missing where the customer did not tell.
    seed : int
        Deals customers to folds.
    strength : float
        C of the regression: the smaller, the stronger its penalty.
    folds : int

    Returns
    -------
    truth : array of shape (M, A), 0 or 1
        One row per customer who told, one column per possible answer.
    probabilities : dict of arrays of shape (M, A)
        ``naive``: how frequent each answer is in the other folds. Per view: multinomial logistic
        regression.

    Raises
    ------
    ValueError
        When a view is not finite or is called "naive", its rows are not those of the answer, the
        strength is not above 0, there are not two answers, or one was given by too few customers:
        each fold needs one.

    Examples
    --------
    The view tells the answer. The third customer did not tell, and is not scored.

    >>> import numpy as np
    >>> import pandas as pd
    >>> from pm_utils.customers.demographics import cross_validated_probabilities
    >>> answer = pd.Series(["no", "yes", None] + ["no", "yes"] * 40)
    >>> view = (answer == "yes").to_numpy(float)[:, None]
    >>> truth, probabilities = cross_validated_probabilities(
    ...     {"view": view}, answer, seed=0, folds=2, strength=0.1
    ... )
    >>> truth.shape  # columns "no" and "yes"
    (82, 2)
    >>> {name: each[1].round(1).tolist() for name, each in probabilities.items()}  # who said yes
    {'naive': [0.5, 0.5], 'view': [0.3, 0.7]}
    """
    if "naive" in views:
        raise ValueError("a view is called 'naive', as the guess without a view is: rename it")
    views = dict(views)
    own = {"the view 'answer'" if name == "answer" else str(name): name for name in views}
    answer, *tables = inputs.aligned(
        answer=answer, **{called: views[name] for called, name in own.items()}
    )
    for (called, name), view in zip(own.items(), tables, strict=True):
        views[name] = inputs.numbers(view, called, ndim=2)
    folds = int(inputs.whole_numbers(folds, "folds", low=2))
    strength = float(inputs.numbers(strength, "strength", above=0))
    told = answer.notna().to_numpy()
    known = answer[told].astype(str).to_numpy()
    kinds, size = np.unique(known, return_counts=True)
    if len(kinds) < 2 or size.min() < folds:
        told_so = ", ".join(f"{kind!r} {n}" for kind, n in zip(kinds, size, strict=True))
        raise ValueError(
            f"answers: {told_so or 'none'}; give two or more, of at least {folds} customers each"
        )
    splitter = StratifiedKFold(folds, shuffle=True, random_state=seed)
    models = {"naive": (DummyClassifier(strategy="prior"), np.zeros((told.sum(), 1)))}
    for name, view in views.items():
        models[name] = (_regression(strength), view[told])
    probabilities = {
        name: cross_val_predict(model, view, known, cv=splitter, method="predict_proba")
        for name, (model, view) in models.items()
    }
    return (known[:, None] == np.unique(known)).astype(float), probabilities


def guess_table(
    truth: np.ndarray, probabilities: dict[str, np.ndarray], *, choosing: np.ndarray
) -> pd.DataFrame:
    """Score guesses, apart for the customers who decide which view stands and for those judged.

    Parameters
    ----------
    truth, probabilities
        From `cross_validated_probabilities`.
    choosing : boolean array of shape (M,)
        Who decides; all others are judged.

    Returns
    -------
    DataFrame
        One row per view; columns ``AUC, choosing``, ``AUC`` and ``accuracy`` (shares). AUC is the
        mean over the answers, and one half for ``naive``, which tells nobody from anybody.

    Raises
    ------
    ValueError
        When the truth is not 0 or 1, a probability lies outside [0, 1], the rows do not match, or
        all or none are judged.

    Examples
    --------
    Twenty customers told; *profile* puts all of them right, *receipts* half of each kind.

    >>> import numpy as np
    >>> from pm_utils.customers.demographics import guess_table
    >>> yes = np.tile([1.0, 1.0, 0.0, 0.0], 5)
    >>> guess = {"naive": np.full(20, 0.5), "receipts": np.tile([0.8, 0.2, 0.8, 0.2], 5)}
    >>> guess["profile"] = np.tile([0.9, 0.8, 0.2, 0.1], 5)
    >>> probabilities = {name: np.stack([1 - p, p], 1) for name, p in guess.items()}
    >>> truth = np.stack([1 - yes, yes], 1)
    >>> guess_table(truth, probabilities, choosing=np.arange(20) < 8)
              AUC, choosing  AUC  accuracy
    naive               0.5  0.5       0.5
    receipts            0.5  0.5       0.5
    profile             1.0  1.0       1.0
    """
    told = {f"{name!r}": probability for name, probability in probabilities.items()}
    truth, choosing, *tables = inputs.aligned(truth=truth, choosing=choosing, **told)
    truth = inputs.booleans(truth, "truth").astype(float)
    choosing = inputs.booleans(choosing, "choosing")
    if choosing.all() or not choosing.any():
        raise ValueError(f"{choosing.sum():,} of {len(choosing):,} choose: some must, not all")
    rows = {}
    for name, table in zip(probabilities, tables, strict=True):
        probability = inputs.probabilities(table, name)
        auc = {
            part: 0.5 if name == "naive" else _auc(truth[who], probability[who])
            for part, who in (("AUC, choosing", choosing), ("AUC", ~choosing))
        }
        right = probability.argmax(1) == truth.argmax(1)
        rows[name] = {**auc, "accuracy": right[~choosing].mean()}
    return pd.DataFrame(rows).T


def _auc(truth: np.ndarray, probability: np.ndarray) -> float:
    return float(ranking_scores(truth, probability, micro=False)["macro_auc"])


def guesses_over_deals(
    views: dict[str, np.ndarray],
    answer: pd.Series,
    choosing: np.ndarray,
    *,
    deals: int,
    seed: int,
) -> tuple[np.ndarray, list[dict[str, np.ndarray]]]:
    """Repeat the cross-validation, the customers dealt to folds anew each time.

    Explained in chapter ``customer-profile``.

    Parameters
    ----------
    views, answer
        As in `cross_validated_probabilities`.
    choosing : boolean array of shape (M,)
        Of the customers who told, those whose AUC, on average over the deals, decides how strongly
        the regression on a view is regularised.
    deals, seed : int
        How often customers are dealt to folds, and the luck of the deals.

    Returns
    -------
    truth : array of shape (M, A), 0 or 1
    guesses : list of dict of arrays of shape (M, A)
        Of each deal, what `cross_validated_probabilities` returns.

    Raises
    ------
    ValueError
        When there is no deal, or as `cross_validated_probabilities` and `guess_table`.

    Examples
    --------
    >>> import numpy as np
    >>> import pandas as pd
    >>> from pm_utils.customers.demographics import guesses_over_deals
    >>> views, answer = {"view": np.eye(2)[[0, 1] * 10]}, pd.Series(["no", "yes"] * 10)
    >>> truth, guesses = guesses_over_deals(views, answer, np.arange(20) < 6, deals=2, seed=0)
    >>> truth.shape, [list(each) for each in guesses]
    ((20, 2), [['naive', 'view'], ['naive', 'view']])
    """
    deals = int(inputs.whole_numbers(deals, "deals", low=1))
    tried, scores = {}, {}
    for strength in REGRESSION_STRENGTHS:
        parts = [
            cross_validated_probabilities(
                views, answer, seed=deals * seed + deal, strength=strength
            )
            for deal in range(deals)
        ]
        truth = parts[0][0]
        tried[strength] = [probabilities for _, probabilities in parts]
        table = mean_guess_table(truth, tried[strength], choosing=choosing)
        scores[strength] = table["AUC, choosing"]
    best = pd.DataFrame(scores).idxmax(axis=1)
    return truth, [
        {name: tried[strength][deal][name] for name, strength in best.items()}
        for deal in range(deals)
    ]


def mean_guess_table(
    truth: np.ndarray, guesses: Sequence[dict[str, np.ndarray]], *, choosing: np.ndarray
) -> pd.DataFrame:
    """Return the mean of `guess_table` over several deals of folds.

    Explained in chapter ``customer-profile``.

    Parameters
    ----------
    truth, guesses
        From `guesses_over_deals`.
    choosing : boolean array of shape (M,)

    Returns
    -------
    DataFrame
        As `guess_table`, and column ``spread``: the standard deviation of AUC over the deals, 0
        where there is only one.

    Raises
    ------
    ValueError
        When there is no deal, or as `guess_table`.

    Examples
    --------
    >>> import numpy as np
    >>> from pm_utils.customers.demographics import mean_guess_table
    >>> yes = np.tile([1.0, 1.0, 0.0, 0.0], 5)
    >>> deals = [{"profile": np.stack([1 - p, p], 1)} for p in (0.2 + 0.6 * yes, np.full(20, 0.5))]
    >>> mean_guess_table(np.stack([1 - yes, yes], 1), deals, choosing=np.arange(20) < 8)["AUC"]
    profile    0.75
    Name: AUC, dtype: float64
    """
    if not guesses:
        raise ValueError("there is no deal: give at least one")
    tables = [guess_table(truth, each, choosing=choosing) for each in guesses]
    stacked = pd.concat(tables, keys=range(len(tables)))
    mean = stacked.groupby(level=1, sort=False).mean()
    return mean.assign(spread=stacked["AUC"].groupby(level=1).std().fillna(0))


def auc_interval(
    truth: np.ndarray,
    guesses: Sequence[dict[str, np.ndarray]],
    first: str,
    second: str,
    *,
    judged: np.ndarray,
    resamples: int,
    seed: int,
) -> tuple[float, float]:
    """Return the 95 % bootstrap interval for a difference in AUC, over customers and deals.

    Explained in chapter ``customer-profile``.

    Parameters
    ----------
    truth, guesses
        From `guesses_over_deals`.
    first, second : str
        Two views.
    judged : boolean array of shape (M,)
        Which customers count.
    resamples, seed : int

    Returns
    -------
    (float, float)
        Its ends, for `first` minus `second`. Each resample draws customers, and as many deals as
        there are, both with replacement, and takes the mean over those deals.

    Raises
    ------
    ValueError
        When there is no deal, the rows do not match, or as `ranking_scores`.

    Examples
    --------
    >>> import numpy as np
    >>> from pm_utils.customers.demographics import auc_interval
    >>> truth = np.eye(2)[np.arange(20) % 2]
    >>> guesses = [{"profile": truth, "naive": np.full((20, 2), 0.5)}]
    >>> settings = {"judged": np.arange(20) > 3, "resamples": 50, "seed": 0}
    >>> low, high = auc_interval(truth, guesses, "profile", "naive", **settings)
    >>> low, high  # one is always right, the other always undecided
    (0.5, 0.5)
    """
    if not guesses:
        raise ValueError("there is no deal: give at least one")
    gains = []
    for deal in guesses:
        told = {f"first, {first!r}": deal[first], f"second, {second!r}": deal[second]}
        known, who, *pair = inputs.aligned(truth=truth, judged=judged, **told)
        who = inputs.booleans(who, "judged")
        weight = bootstrap_weights(int(who.sum()), resamples, seed)
        auc = [
            ranking_scores(
                np.asarray(known)[who], np.asarray(guess)[who], weight=weight, micro=False
            )["macro_auc"]
            for guess in pair
        ]
        gains.append(auc[0] - auc[1])
    drawn = np.random.default_rng([seed, 1]).integers(len(gains), size=np.shape(gains))
    return percentile_interval(np.take_along_axis(np.array(gains), drawn, axis=0).mean(0))


def expected_mix(view: np.ndarray, answer: pd.Series) -> pd.DataFrame:
    """Return how often each answer was given, and is to be expected of those who gave none.

    Explained in chapter ``customer-profile``.

    Parameters
    ----------
    view : array of shape (N, D)
        What is known about each customer.
    answer : Series of length N
        A category, missing where the customer did not tell.

    Returns
    -------
    DataFrame
        One row per answer; columns ``told`` and ``never told`` are shares that sum to 1. The
        second is the mean predicted probability, which is fairer than counting the likeliest
        answer. It is right only if customers with equal views answer alike, whether they told or
        not.

    Raises
    ------
    ValueError
        When the view is not finite, its rows are not those of the answer, all or none told,
        or there are not two answers, each of three customers or more.

    Examples
    --------
    Half of those who told said yes; all who did not tell look like those.

    >>> import numpy as np
    >>> import pandas as pd
    >>> from pm_utils.customers.demographics import expected_mix
    >>> answer = pd.Series(["no", "yes"] * 40 + [None] * 4)
    >>> view = np.array([[0.0], [1.0]] * 40 + [[1.0]] * 4)
    >>> expected_mix(view, answer).round(1)
         told  never told
    no    0.5         0.2
    yes   0.5         0.8
    """
    answer, view = inputs.aligned(answer=answer, view=view)
    view, told = inputs.numbers(view, "view", ndim=2), answer.notna().to_numpy()
    if told.all() or not told.any():
        raise ValueError(f"{told.sum():,} of {len(told):,} told: some must, and some must not")
    known = answer[told].astype(str)
    size = known.value_counts()
    if len(size) < 2 or size.min() < REGRESSION["cv"]:
        told_so = ", ".join(f"{kind!r} {n}" for kind, n in size.items())
        raise ValueError(
            f"answers: {told_so}; give two or more, of at least {REGRESSION['cv']} customers each"
        )
    model = _regression().fit(view[told], known)
    silent = pd.Series(model.predict_proba(view[~told]).mean(0), model.classes_)
    return pd.DataFrame({"told": known.value_counts(normalize=True), "never told": silent})
