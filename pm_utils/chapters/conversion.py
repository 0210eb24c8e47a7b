"""Chapter 08: the ladder of information, the networks tried, and what the scoreboard is told."""

import numpy as np
import pandas as pd
from sklearn.base import ClassifierMixin
from torch import Tensor

from pm_utils.evaluation.probabilities import score_table
from pm_utils.formulas import sigmoid
from pm_utils.inputs import aligned, booleans, numbers
from pm_utils.targeting.redemption.baselines import fitted_logit, rate_by_cell
from pm_utils.targeting.redemption.ensemble import NETWORKS, Ensemble


def information_ladder(
    model: ClassifierMixin,
    groups: dict[str, list[str]],
    learn: tuple[pd.DataFrame, np.ndarray],
    choose: tuple[pd.DataFrame, np.ndarray],
) -> pd.DataFrame:
    """Score one classifier with the first group of features, then the first two, and so on.

    Explained in chapter ``conversion``.

    Parameters
    ----------
    model : scikit-learn classifier
        Fitted anew at each step.
    groups : dict of lists
        From `feature_groups`.
    learn, choose : (features, target)

    Returns
    -------
    DataFrame
        As `score_table`, one row per group that was added.
    """
    columns, predicted = [], {}
    for name, group in groups.items():
        columns += group
        (logit,) = fitted_logit(model, learn[0][columns], learn[1], [choose[0][columns]])
        predicted["+ " + name] = sigmoid(logit)
    return score_table(choose[1], predicted)


def naive_probability(
    contacts: pd.DataFrame, redemptions: pd.Series, train: np.ndarray
) -> pd.Series:
    """Predict by campaign type and by none, one or more earlier redemptions.

    Explained in chapter ``conversion``.

    Parameters
    ----------
    contacts : DataFrame
        From `pm_utils.targeting.redemption.contacts.contact_table`.
    redemptions : Series of length N
        log(1 + earlier redemptions).
    train : boolean array of shape (N,)
        The contacts whose answers are known.

    Returns
    -------
    Series of length N
        With the index of `contacts`, by which the others' rows are matched.

    Raises
    ------
    ValueError
        When redemptions are negative or not finite, an answer is neither known nor not, or the rows
        do not match.

    Examples
    --------
    >>> import numpy as np
    >>> import pandas as pd
    >>> from pm_utils.chapters.conversion import naive_probability
    >>> contacts = pd.DataFrame({"campaign_type": ["A"] * 4, "redeemed": [0, 1, 1, 0]})
    >>> earlier = pd.Series(np.log1p([0, 0, 3, 0]))
    >>> naive_probability(contacts, earlier, np.array([True, True, True, False])).tolist()
    [0.5, 0.5, 0.99, 0.5]
    """
    contacts, redemptions, train = aligned(contacts=contacts, redemptions=redemptions, train=train)
    known = numbers(redemptions, "redemptions", low=0)
    rows, train = (
        contacts.assign(earlier=np.expm1(known).round().clip(max=2)),
        booleans(train, "train"),
    )
    return rate_by_cell(rows[train], rows, ["campaign_type", "earlier"])


def scoreboard_row(metric: str, points: pd.DataFrame) -> tuple[dict, str]:
    """Return what `Scoreboard.add` takes, and the name of the better baseline.

    Explained in chapter ``conversion``.

    Parameters
    ----------
    metric : {"AUC", "average precision", "log loss"}
    points : DataFrame
        From `score_table`, with rows naive, logistic, boosting, network and null.

    Returns
    -------
    row : dict
    baseline : {"logistic", "boosting"}

    Examples
    --------
    >>> import pandas as pd
    >>> from pm_utils.chapters.conversion import scoreboard_row
    >>> loss = [0.30, 0.22, 0.21, 0.20, 0.31]
    >>> models = ["naive", "logistic", "boosting", "network", "null"]
    >>> row, baseline = scoreboard_row("log loss", pd.DataFrame({"log loss": loss}, index=models))
    >>> baseline, float(row["classical"]), row["better"]
    ('boosting', 0.21, 'lower')
    """
    column, down = points[metric], metric == "log loss"
    baseline = str(column[["logistic", "boosting"]].sort_values(ascending=down).index[0])
    names = {"naive": "naive", "classical": baseline, "deep": "network", "null": "null"}
    row = {"unit": "nats" if down else "share", "better": "lower" if down else "higher"}
    return row | {kind: column[name] for kind, name in names.items()}, baseline


# The trial that reads the appeal of `pm_utils.targeting.redemption.coupon_choice`.
COUPONS = "coupon by coupon"
BOOK = {"strength": 1.0}  # of the penalties, which were chosen for this table


def train_trials(
    features: pd.DataFrame,
    target: np.ndarray,
    profile: list[str],
    *,
    start: dict[str, Tensor],
    **settings: int,
) -> dict[str, Ensemble]:
    """Train both networks, then `ConversionPredictNet` pre-trained and with the coupons' appeal.

    Explained in chapter ``conversion``.

    Parameters
    ----------
    features, target, profile
        As in `Ensemble.train`. Only the last trial reads the column ``appeal``.
    start : dict
        Pre-trained weights.
    **settings : int
        ``members``, ``epochs`` and ``seed``.

    Returns
    -------
    dict of Ensemble
        By name; ``"one member"`` is the first network of the first ensemble.
    """
    rows, settings = (features.drop(columns="appeal"), target, profile), BOOK | settings
    trials = {name: Ensemble.train(name, *rows, **settings) for name in NETWORKS}
    trials["pre-trained"] = Ensemble.train(NETWORKS[0], *rows, start=start, **settings)
    trials[COUPONS] = Ensemble.train(NETWORKS[0], features, *rows[1:], **settings)
    whole = trials[NETWORKS[0]]
    return {"one member": Ensemble(whole.nets[:1], whole.scaling, profile)} | trials


def train_final(
    name: str,
    features: pd.DataFrame,
    target: np.ndarray,
    profile: list[str],
    *,
    null_members: int,
    start: dict[str, Tensor],
    **settings: int,
) -> dict[str, Ensemble]:
    """Train the chosen network on all training contacts, and on shuffled labels.

    Explained in chapter ``conversion``.

    Parameters
    ----------
    name : str
        One of `NETWORKS`, ``"pre-trained"`` or `COUPONS`.
    features, target, profile, start
        As in `train_trials`; `start` is used by ``"pre-trained"`` only.
    null_members : int
        Networks that learn from shuffled labels. They start from random weights also where the
        chosen one does not: pre-trained weights have seen true answers, and a null knows none.
    **settings : int
        ``members``, ``epochs`` and ``seed``.

    Returns
    -------
    dict of Ensemble
        ``"network"`` and ``"null"``.
    """
    kind, begin = name if name in NETWORKS else NETWORKS[0], None
    settings = BOOK | settings
    if name == "pre-trained":
        begin = start
    table = features if name == COUPONS else features.drop(columns="appeal")
    rows = kind, table, target, profile
    null = settings | {"members": null_members, "shuffle_labels": True}
    return {
        "network": Ensemble.train(*rows, start=begin, **settings),
        "null": Ensemble.train(*rows, **null),
    }


def remedy_claim(remedy: str, change: tuple[float, float]) -> str:
    """Say what a remedy did to the loss on held-out contacts; the result chooses the sentence.

    Explained in chapter ``conversion``.

    Parameters
    ----------
    remedy : str
        Its name inside a sentence, such as "pre-training".
    change : (float, float)
        The 95 % interval, in nats, of the log loss with the remedy minus that without, from
        `pm_utils.evaluation.probabilities.paired_gain`.

    Returns
    -------
    str
        With and without *cannot be told apart* where the interval holds zero.

    Examples
    --------
    >>> from pm_utils.chapters.conversion import remedy_claim
    >>> remedy_claim("pre-training", (-0.004, -0.001))
    'Pre-training lowers the loss (95 % interval of the change: -0.0040 to -0.0010 nats).'
    """
    low, high = change
    facts = f"(95 % interval of the change: {low:+.4f} to {high:+.4f} nats)"
    if low <= 0 <= high:
        return f"With and without {remedy}, the losses cannot be told apart {facts}."
    verb = "lowers" if high < 0 else "raises"
    return f"{remedy[0].upper()}{remedy[1:]} {verb} the loss {facts}."
