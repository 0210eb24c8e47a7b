"""What profiles give away about customers who did not tell, scored on those who did."""

from itertools import count

import numpy as np
import pandas as pd
from sklearn.dummy import DummyClassifier
from sklearn.linear_model import LogisticRegressionCV
from sklearn.model_selection import StratifiedKFold, cross_val_predict
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler

from pm_utils import inputs
from pm_utils.evaluation.bootstrap import bootstrap_weights, percentile_interval
from pm_utils.evaluation.ranking import ranking_scores

REGRESSION = {
    "Cs": (0.001, 0.01, 0.1),
    "cv": 3,
    "l1_ratios": (0,),
    "scoring": "neg_log_loss",
    "use_legacy_attributes": False,
    "solver": "newton-cholesky",
}


def _regression() -> Pipeline:
    """Scaling is part of the model, so that it is learned within each fold."""
    return make_pipeline(StandardScaler(), LogisticRegressionCV(**REGRESSION))


def cross_validated_probabilities(
    views: dict[str, np.ndarray], answer: pd.Series, *, seed: int, folds: int = 5
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
    folds : int

    Returns
    -------
    truth : array of shape (M, A), 0 or 1
        One row per customer who told, one column per possible answer.
    probabilities : dict of arrays of shape (M, A)
        ``naive``: how frequent each answer is in the other folds. Per view: multinomial logistic
        regression, its strength of regularisation chosen within the other folds.

    Raises
    ------
    ValueError
        When a view is not finite or is called "naive", its rows are not those of the answer, there
        are not two answers, or one was given by too few customers: each fold needs one, and three
        must be left in the others, among which the regularisation is chosen.

    Examples
    --------
    The view tells the answer. The third customer did not tell, and is not scored.

    >>> import numpy as np
    >>> import pandas as pd
    >>> from pm_utils.customers.demographics import cross_validated_probabilities
    >>> answer = pd.Series(["no", "yes", None] + ["no", "yes"] * 40)
    >>> view = (answer == "yes").to_numpy(float)[:, None]
    >>> truth, probabilities = cross_validated_probabilities(
    ...     {"view": view}, answer, seed=0, folds=2
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
    told = answer.notna().to_numpy()
    known = answer[told].astype(str).to_numpy()
    kinds, size = np.unique(known, return_counts=True)
    least = _least(folds)
    if len(kinds) < 2 or size.min() < least:
        told_so = ", ".join(f"{kind!r} {n}" for kind, n in zip(kinds, size, strict=True))
        raise ValueError(
            f"answers: {told_so or 'none'}; give two or more, of at least {least} customers each"
        )
    splitter = StratifiedKFold(folds, shuffle=True, random_state=seed)
    models = {"naive": (DummyClassifier(strategy="prior"), np.zeros((told.sum(), 1)))}
    for name, view in views.items():
        models[name] = (_regression(), view[told])
    probabilities = {
        name: cross_val_predict(model, view, known, cv=splitter, method="predict_proba")
        for name, (model, view) in models.items()
    }
    return (known[:, None] == np.unique(known)).astype(float), probabilities


def _least(folds: int) -> int:
    """How many customers must give an answer: one per fold, and three in all folds but one."""
    return next(n for n in count(folds) if n - -(-n // folds) >= REGRESSION["cv"])


def guess_table(
    truth: np.ndarray, probabilities: dict[str, np.ndarray], *, resamples: int, seed: int
) -> tuple[pd.DataFrame, tuple[float, float]]:
    """Score guesses by accuracy and by AUC averaged over the answers.

    Parameters
    ----------
    truth, probabilities
        From `cross_validated_probabilities`, with the views ``classical`` and ``deep``.
    resamples, seed : int
        Of the bootstrap over customers.

    Returns
    -------
    table : DataFrame
        One row per view, columns ``accuracy`` and ``auc`` (shares).
    interval : (float, float)
        95 % interval for the AUC of deep minus that of classical.

    Raises
    ------
    ValueError
        When the truth is not 0 or 1, a probability lies outside [0, 1], or a view is missing.

    Examples
    --------
    Twenty customers told; *deep* puts all of them right, *classical* half of each kind.

    >>> import numpy as np
    >>> from pm_utils.customers.demographics import guess_table
    >>> yes = np.tile([1.0, 1.0, 0.0, 0.0], 5)
    >>> guess = {"naive": np.full(20, 0.5), "classical": np.tile([0.8, 0.2, 0.8, 0.2], 5)}
    >>> guess["deep"] = np.tile([0.9, 0.8, 0.2, 0.1], 5)
    >>> probabilities = {name: np.stack([1 - p, p], 1) for name, p in guess.items()}
    >>> truth = np.stack([1 - yes, yes], 1)
    >>> table, interval = guess_table(truth, probabilities, resamples=20, seed=0)
    >>> table
               accuracy  auc
    naive           0.5  0.5
    classical       0.5  0.5
    deep            1.0  1.0
    """
    if lacking := {"naive", "classical", "deep"} - set(probabilities):
        raise ValueError(f"probabilities lack {', '.join(sorted(lacking))}: give all three views")
    truth = inputs.booleans(truth, "truth").astype(float)
    for name, probability in probabilities.items():
        inputs.probabilities(probability, name)
    weight = bootstrap_weights(len(truth), resamples, seed)
    auc = {
        name: ranking_scores(truth, probability, weight=weight, micro=False)["macro_auc"]
        for name, probability in probabilities.items()
        if name != "naive"
    }
    table = pd.DataFrame(
        {
            name: {
                "accuracy": (probability.argmax(1) == truth.argmax(1)).mean(),
                "auc": 0.5 if name == "naive" else ranking_scores(truth, probability)["macro_auc"],
            }
            for name, probability in probabilities.items()
        }
    ).T
    return table, percentile_interval(auc["deep"] - auc["classical"])


def compare_inputs(
    views: dict[str, np.ndarray], answers: pd.DataFrame, *, resamples: int, seed: int
) -> tuple[dict[str, pd.DataFrame], dict[str, tuple[float, float]]]:
    """Guess every question from every view and score the guesses.

    Explained in chapter ``customer-profile``.

    Parameters
    ----------
    views, resamples, seed
        As in `cross_validated_probabilities` and `guess_table`.
    answers : DataFrame
        One column per question, missing where the customer did not tell.

    Returns
    -------
    tables, intervals : dicts
        What `guess_table` returns, by ``"AUC of <question>"``.
    """
    tables, intervals = {}, {}
    for question in answers:
        truth, probabilities = cross_validated_probabilities(views, answers[question], seed=seed)
        name = "AUC of " + str(question).replace("_", " ")
        tables[name], intervals[name] = guess_table(
            truth, probabilities, resamples=resamples, seed=seed
        )
    return tables, intervals


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
