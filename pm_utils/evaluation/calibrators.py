"""Ways to mend probabilities: temperature, Platt, isotonic, an intercept per segment."""

from collections.abc import Callable

import numpy as np
import pandas as pd
from scipy.optimize import brentq
from sklearn.isotonic import IsotonicRegression
from sklearn.linear_model import LogisticRegression

from pm_utils.evaluation.calibration import fit_temperature
from pm_utils.formulas import sigmoid
from pm_utils.inputs import aligned, booleans, labels, numbers

CALIBRATORS = ("as it is", "temperature", "Platt", "isotonic", "intercept per segment")
Calibrator = Callable[[np.ndarray, np.ndarray], np.ndarray]


def fit_calibrators(
    target: np.ndarray, logit: np.ndarray, segment: np.ndarray
) -> dict[str, Calibrator]:
    """Fit each of `CALIBRATORS` to logits of rows that the model was not trained on.

    With z the logit they say σ(z), σ(z / T), σ(a z + b), a step function that never falls, and
    σ(z + b_s) with one b for each segment, for which the mean of the probabilities is the rate.

    Parameters
    ----------
    target : array of shape (N,), 0 or 1
    logit : array of shape (N,)
    segment : array of shape (N,)
        A name for each row.

    Returns
    -------
    dict of callables
        ``calibrator(logit, segment)`` → probabilities. A segment that was not seen, or in which all
        rows or none came, gets no intercept.

    Raises
    ------
    ValueError
        When rows cannot be matched, a target is neither 0 nor 1 or a logit is not finite; as
        `fit_temperature`.

    References
    ----------
    Platt (1999), Probabilistic outputs for support vector machines. Zadrozny & Elkan (2002),
    Transforming classifier scores into accurate multiclass probability estimates.

    Examples
    --------
    The model says 0.5 to all four; one in four came.

    >>> import numpy as np
    >>> from pm_utils.evaluation.calibrators import fit_calibrators
    >>> logit, segment = np.array([0.1, -0.1, 0.1, -0.1]), np.array(["A"] * 4)
    >>> mend = fit_calibrators([1, 0, 0, 0], logit, segment)
    >>> [float(mend[name](logit, segment).mean().round(2)) for name in ("as it is", "Platt")]
    [0.5, 0.25]
    """
    target, logit, segment = aligned(target=target, logit=logit, segment=segment)
    came = booleans(target, "target").astype(float)
    logit, segment = numbers(logit, "logit", ndim=1).astype(float), labels(segment, "segment")
    temperature = fit_temperature(came, logit)
    line = LogisticRegression(C=np.inf, max_iter=1000).fit(logit[:, None], came)
    steps = IsotonicRegression(y_min=0, y_max=1, out_of_bounds="clip").fit(logit, came)
    rates = {name: came[segment == name].mean() for name in np.unique(segment)}
    shift = {
        name: _intercept(logit[segment == name], rate)
        for name, rate in rates.items()
        if 0 < rate < 1
    }
    return {
        "as it is": lambda z, s: sigmoid(z),
        "temperature": lambda z, s: sigmoid(np.asarray(z) / temperature),
        "Platt": lambda z, s: line.predict_proba(np.asarray(z)[:, None])[:, 1],
        "isotonic": lambda z, s: steps.predict(np.asarray(z)),
        "intercept per segment": lambda z, s: sigmoid(
            np.asarray(z) + pd.Series(s).map(shift).fillna(0.0).to_numpy()
        ),
    }


def _intercept(logit: np.ndarray, rate: float) -> float:
    """Return b for which the mean of σ(logit + b) is the rate."""
    far = np.abs(logit).max() + 40.0
    return float(brentq(lambda b: sigmoid(logit + b).mean() - rate, -far, far))
