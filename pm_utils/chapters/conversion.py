"""Chapter 08: what information is worth, the contenders, and their chances held out."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from sklearn.base import ClassifierMixin
from torch import Tensor

from pm_utils.evaluation.bootstrap import percentile_interval, weighted_means
from pm_utils.evaluation.calibration import calibration_error
from pm_utils.evaluation.calibrators import fit_calibrators
from pm_utils.evaluation.probabilities import score_table
from pm_utils.formulas import sigmoid
from pm_utils.inputs import aligned, booleans, numbers
from pm_utils.learning.scaling import Scaling
from pm_utils.learning.training import predict
from pm_utils.targeting.redemption.baselines import (
    baselines,
    fitted_logit,
    rate_by_cell,
    tune_baselines,
)
from pm_utils.targeting.redemption.ensemble import (
    Ensemble,
    choose_strength,
    train_nets,
)


def information_ladder(
    model: ClassifierMixin,
    groups: dict[str, list[str]],
    learn: tuple[pd.DataFrame, np.ndarray],
    choose: tuple[pd.DataFrame, np.ndarray],
) -> pd.DataFrame:
    """Score one classifier with the first group of features, then the first two, and so on.

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


def group_worth(
    model: ClassifierMixin,
    groups: dict[str, list[str]],
    learn: tuple[pd.DataFrame, np.ndarray],
    choose: tuple[pd.DataFrame, np.ndarray],
) -> pd.DataFrame:
    """Show what each group of features adds in its place, and what is lost without it alone.

    Explained in chapter ``conversion``.

    Parameters
    ----------
    model, groups, learn, choose
        As in `information_ladder`.

    Returns
    -------
    DataFrame
        One row per group: ``AUC``, ``average precision`` and ``log loss`` with it and all before
        it, ``step`` (the AUC's rise, from 0.5) and ``lost without`` (what the AUC of all groups
        falls by when it alone is left out).
    """
    table = information_ladder(model, groups, learn, choose).set_axis(list(groups))
    table["step"] = table["AUC"].diff().fillna(table["AUC"].iloc[0] - 0.5)
    predicted = {}
    for left_out in groups:
        columns = [one for name, group in groups.items() if name != left_out for one in group]
        (logit,) = fitted_logit(model, learn[0][columns], learn[1], [choose[0][columns]])
        predicted[left_out] = sigmoid(logit)
    table["lost without"] = table["AUC"].iloc[-1] - score_table(choose[1], predicted)["AUC"]
    return table


def classical_reads(groups: dict[str, list[str]], types: list[str]) -> dict[str, list[str]]:
    """Return what each contender without a network reads.

    Explained in chapter ``conversion``.

    Parameters
    ----------
    groups : dict of lists
        From `feature_groups`.
    types : list of str
        Columns of `pm_utils.targeting.redemption.features.bought_types`.

    Returns
    -------
    dict of lists
        Columns by contender. The last two read what `CONTENDERS` of the same ending do.
    """
    everything = [one for group in groups.values() for one in group]
    taste = [one for one in everything if one.startswith(("taste_", "profile_"))]
    return {
        "logistic, offers that fit": groups["offers that fit"],
        "logistic, no taste": [one for one in everything if one not in taste],
        "logistic": everything,
        "boosting": everything,
        "logistic, product types": everything + types,
        "logistic, coupon by coupon": [*everything, "appeal"],
    }


def tune_classical(
    reads: dict[str, list[str]],
    learn: tuple[pd.DataFrame, np.ndarray],
    choose: tuple[pd.DataFrame, np.ndarray],
    *,
    seed: int,
) -> tuple[dict[str, Callable[[], ClassifierMixin]], pd.DataFrame]:
    """Choose the setting of each contender without a network.

    Explained in chapter ``conversion``.

    Parameters
    ----------
    reads : dict of lists
        From `classical_reads`; what is called boosting is boosting.
    learn, choose : (features, target)
    seed : int
        Of the boosted trees.

    Returns
    -------
    models : dict of callables
        Each gives a fresh classifier of the setting with the least log loss on `choose`.
    table : DataFrame
        One row per contender: ``setting`` and the columns of `score_table`.
    """
    ridge, trees = baselines(seed)
    models, rows = {}, {}
    for name, columns in reads.items():
        candidates = trees if name.startswith("boosting") else ridge
        tables = [(features[columns], target) for features, target in (learn, choose)]
        found = tune_baselines(candidates, *tables)
        models[name] = candidates[found.index[0]]
        rows[name] = {"setting": found.index[0].split(", ", 1)[1], **found.iloc[0]}
    return models, pd.DataFrame.from_dict(rows, orient="index")


@dataclass(frozen=True)
class Recipe:
    """What a contender with a network is made of.

    Attributes
    ----------
    network : str
        One of `NETWORKS`.
    reads : str
        What it reads beyond the features of all: ``""``, ``"appeal"`` or ``"types"``.
    pretrained : bool
        Whether it starts from pre-trained weights.
    """

    network: str
    reads: str = ""
    pretrained: bool = False


COUPONS = "coupon by coupon"  # reads the appeal of `CouponChoice`
CONTENDERS = {
    "ConversionPredictNet": Recipe("ConversionPredictNet"),
    "the source's two layers": Recipe("two layers"),
    "Deep Crossing": Recipe("DeepCrossing"),
    "Deep Crossing, product types": Recipe("DeepCrossing", "types"),
    "pre-trained": Recipe("ConversionPredictNet", pretrained=True),
    COUPONS: Recipe("ConversionPredictNet", "appeal"),
}


def inputs_of(
    recipe: Recipe, features: pd.DataFrame, types: list[str]
) -> tuple[pd.DataFrame, list[str]]:
    """Return the columns that a contender may read, and which of them are the wide feature.

    Explained in chapter ``conversion``.

    Parameters
    ----------
    recipe : Recipe
    features : DataFrame
        With the column ``appeal`` and those of `types`.
    types : list of str
    """
    unread = [] if recipe.reads == "appeal" else ["appeal"]
    unread += [] if recipe.reads == "types" else types
    return features.drop(columns=unread), types if recipe.reads == "types" else []


def choose_strengths(
    learn: tuple[pd.DataFrame, np.ndarray],
    choose: tuple[pd.DataFrame, np.ndarray],
    profile: list[str],
    types: list[str],
    *,
    epochs: int,
    seed: int,
) -> pd.DataFrame:
    """Score every contender with a network under each strength of the penalty on later rows.

    The two remedies of `ConversionPredictNet` are not tried alone: they take its strength.

    Explained in chapter ``conversion``.

    Parameters
    ----------
    learn, choose : (features, target)
    profile, types : list of str
        Columns that make the profile, and the wide feature.
    epochs, seed : int

    Returns
    -------
    DataFrame
        Log loss on `choose`, one row per strength of `FACTORS` for as many rows as there are, one
        column per contender; ``idxmin()`` is what each takes.
    """
    found = {}
    for name, recipe in CONTENDERS.items():
        if recipe.network == "ConversionPredictNet" and name != "ConversionPredictNet":
            continue  # a remedy: all but it stays as it was
        table, wide = inputs_of(recipe, learn[0], types)
        later, _ = inputs_of(recipe, choose[0], types)
        reader = Ensemble([], Scaling.learn(table), profile, wide=tuple(wide))
        validation = reader.inputs(later), choose[1]
        settings = {"epochs": epochs, "seed": seed, "validation": validation}
        found[name] = choose_strength(recipe.network, reader.inputs(table), learn[1], **settings)
    plain = found["ConversionPredictNet"]
    return pd.DataFrame({name: found.get(name, plain) for name in CONTENDERS})


def train_contenders(
    strengths: Mapping[str, float],
    features: pd.DataFrame,
    target: np.ndarray,
    profile: list[str],
    types: list[str],
    *,
    start: dict[str, Tensor],
    members: int,
    epochs: int,
    seed: int,
) -> dict[str, Ensemble]:
    """Train the contenders with a network, each under its strength of the penalty.

    Explained in chapter ``conversion``.

    Parameters
    ----------
    strengths : mapping of str to float
        By name in `CONTENDERS`: these are trained.
    features, target, profile, types, epochs, seed
        As in `choose_strengths`.
    start : dict
        Pre-trained weights.
    members : int
        Networks of each ensemble.

    Returns
    -------
    dict of Ensemble
    """
    trained = {}
    for name, strength in strengths.items():
        recipe = CONTENDERS[name]
        table, wide = inputs_of(recipe, features, types)
        begin = start if recipe.pretrained else None
        settings = {"members": members, "epochs": epochs, "seed": seed, "start": begin}
        settings |= {"strength": strength, "wide": wide}
        trained[name] = Ensemble.train(recipe.network, table, target, profile, **settings)
    return trained


def train_nulls(
    recipe: Recipe,
    strength: float,
    features: pd.DataFrame,
    target: np.ndarray,
    profile: list[str],
    types: list[str],
    *,
    nulls: int,
    members: int,
    epochs: int,
    seed: int,
) -> list[Ensemble]:
    """Train a contender again on shuffled labels, several times: each shuffle gets an ensemble.

    All networks learn side by side. They start from random weights also where the contender does
    not: pre-trained weights have seen true answers, and a null knows none.

    Explained in chapter ``conversion``.

    Parameters
    ----------
    recipe, strength, features, target, profile, types, epochs, seed
        As in `train_contenders`, of one contender.
    nulls : int
        Shuffles.
    members : int
        Networks of each ensemble, as many as the contender has.

    Returns
    -------
    list of Ensemble
    """
    table, wide = inputs_of(recipe, features, types)
    reader = Ensemble([], Scaling.learn(table), profile, strength, tuple(wide))
    rng = np.random.default_rng(seed)
    shuffled = np.stack([rng.permutation(np.asarray(target)) for _ in range(nulls)], 1)
    targets = np.repeat(shuffled, members, axis=1)  # (N, nulls · members)
    seeds = [1000 * seed + k for k in range(nulls * members)]
    settings = {"epochs": epochs, "seeds": seeds, "strength": strength}
    nets, history = train_nets(recipe.network, reader.inputs(table), targets, **settings)
    return [
        replace(reader, nets=nets[first : first + members], history=history)
        for first in range(0, len(nets), members)
    ]


def held_out_logits(
    recipe: Recipe,
    strength: float,
    features: pd.DataFrame,
    target: np.ndarray,
    profile: list[str],
    types: list[str],
    fold: np.ndarray,
    *,
    start: dict[str, Tensor],
    members: int,
    epochs: int,
    seed: int,
) -> np.ndarray:
    """Return logits of every row by an ensemble that did not learn from its fold.

    Explained in chapter ``conversion``.

    Parameters
    ----------
    recipe, strength, features, target, profile, types, start, members, epochs, seed
        As in `train_contenders`, of one contender: what is mended later is an ensemble, too.
    fold : array of shape (N,), int
        0 to K - 1; the rows of one household share a fold.

    Returns
    -------
    array of shape (N,)
    """
    table, wide = inputs_of(recipe, features, types)
    inputs = Ensemble([], Scaling.learn(table), profile, wide=tuple(wide)).inputs(table)
    own = np.repeat(np.arange(int(fold.max()) + 1), members)  # the fold that a network leaves out
    targets = np.repeat(np.asarray(target)[:, None], len(own), 1)
    begin = start if recipe.pretrained else None
    settings = {"epochs": epochs, "seeds": [seed + k for k in range(len(own))], "start": begin}
    left_out = fold[:, None] == own
    nets, _ = train_nets(
        recipe.network, inputs, targets, strength=strength, left_out=left_out, **settings
    )
    logits = np.stack([predict(net, inputs).numpy() for net in nets], 1)  # (N, folds · members)
    by_fold = logits.reshape(len(fold), -1, members).mean(2)
    return by_fold[np.arange(len(fold)), fold].astype(float)


def held_out_baseline(
    model: ClassifierMixin, features: pd.DataFrame, target: np.ndarray, fold: np.ndarray
) -> np.ndarray:
    """Return logits of every row by a classifier that did not learn from its fold.

    Explained in chapter ``conversion``.

    Parameters
    ----------
    model, features, target, fold
        As in `held_out_logits`; the features are scaled.

    Returns
    -------
    array of shape (N,)
    """
    logits = np.zeros(len(fold))
    for k in np.unique(fold):
        rows = fold != k
        (own,) = fitted_logit(model, features[rows], target[rows], [features[~rows]])
        logits[~rows] = own
    return logits


def mended(
    known: tuple[np.ndarray, np.ndarray, np.ndarray], others: tuple[np.ndarray, np.ndarray]
) -> pd.DataFrame:
    """Return the chances of some rows under each of `CALIBRATORS`.

    Explained in chapter ``conversion``.

    Parameters
    ----------
    known : (target, logit, segment)
        Of rows held out, for `fit_calibrators`.
    others : (logit, segment)
        Of the rows to mend.

    Returns
    -------
    DataFrame
        One row for each of the others, one column per calibrator.
    """
    logit, segment = np.asarray(others[0]), np.asarray(others[1])
    return pd.DataFrame(
        {name: mend(logit, segment) for name, mend in fit_calibrators(*known).items()}
    )


def as_numbers(
    target: np.ndarray, probability: np.ndarray, *, margin: float, cost: float
) -> tuple[dict[str, float], np.ndarray]:
    """Score chances by what they are as numbers: their error, and the list that follows from them.

    Explained in chapter ``conversion``.

    Parameters
    ----------
    target, probability : arrays of shape (N,)
    margin, cost : float
        Dollars of a redemption and of a contact; whose chance times margin exceeds the cost is
        contacted.

    Returns
    -------
    figures : dict of float
        ``calibration error`` and ``profit per test contact``.
    earned : array of shape (N,)
        Dollars that each row brought, 0 where nobody was contacted.

    Examples
    --------
    >>> import numpy as np
    >>> from pm_utils.chapters.conversion import as_numbers
    >>> y, p = np.array([1, 0] * 5), np.array([0.5, 0.1] * 5)
    >>> figures, earned = as_numbers(y, p, margin=8.0, cost=1.0)
    >>> round(figures["profit per test contact"], 2), earned[:2].tolist()
    (3.5, [7.0, 0.0])
    """
    pays = np.asarray(probability) * margin > cost
    earned = np.where(pays, margin * np.asarray(target) - cost, 0.0)
    error = calibration_error(target, probability)
    return {"calibration error": error, "profit per test contact": float(earned.mean())}, earned


def household_folds(customers: np.ndarray, count: int, seed: int) -> np.ndarray:
    """Deal households to folds → one fold per row, as near to equal in households as can be.

    Explained in chapter ``conversion``.

    Examples
    --------
    >>> from pm_utils.chapters.conversion import household_folds
    >>> fold = household_folds([7, 7, 8, 9], 3, seed=0)
    >>> bool(fold[0] == fold[1]), sorted(set(fold.tolist()))
    (True, [0, 1, 2])
    """
    homes, row = np.unique(customers, return_inverse=True)
    dealt = np.random.default_rng(seed).permutation(np.arange(len(homes)) % count)
    return dealt[row]


def sampled_households(customers: np.ndarray, share: float, seed: int) -> np.ndarray:
    """Return which rows are of a random share of the households.

    Explained in chapter ``conversion``.

    Parameters
    ----------
    customers : array of shape (N,)
    share : float
        1 takes all, 0.5 every second household.
    seed : int

    Returns
    -------
    boolean array of shape (N,)

    Examples
    --------
    >>> from pm_utils.chapters.conversion import sampled_households
    >>> sampled_households([7, 7, 8, 8], 0.5, seed=0).sum()
    np.int64(2)
    """
    homes, row = np.unique(customers, return_inverse=True)
    place = np.random.default_rng(seed).permutation(len(homes))
    return (place < round(share * len(homes)))[row]


def paired_change(
    score: Callable[[np.ndarray, np.ndarray], float],
    target: np.ndarray,
    first: np.ndarray,
    second: np.ndarray,
    weight: np.ndarray,
) -> tuple[float, float]:
    """Return the 95 % interval of any score of `first` minus that of `second`.

    Explained in chapter ``conversion``.

    Parameters
    ----------
    score : callable
        ``score(target, probability)`` → float. It needs no weights: rows are repeated.
    target, first, second : arrays of shape (N,)
    weight : array of shape (R, N), int
        From `household_weights`.

    Returns
    -------
    (float, float)

    Examples
    --------
    >>> import numpy as np
    >>> from pm_utils.chapters.conversion import paired_change
    >>> mean_gap = lambda y, p: float(np.mean(p - y))
    >>> y, p = np.array([0.0, 1.0]), np.array([0.5, 0.5])
    >>> paired_change(mean_gap, y, p + 0.25, p, np.ones((10, 2), int))
    (0.25, 0.25)
    """
    changes = []
    for counts in weight:
        rows = np.repeat(np.arange(len(target)), counts)
        changes.append(score(target[rows], first[rows]) - score(target[rows], second[rows]))
    return percentile_interval(changes)


def promised_and_came(
    target: np.ndarray, probability: np.ndarray, weight: np.ndarray, bands: Sequence[float]
) -> pd.DataFrame:
    """Compare what contacts of several bands of probability were promised with what came.

    Explained in chapter ``conversion``.

    Parameters
    ----------
    target, probability : arrays of shape (N,)
    weight : array of shape (R, N)
        From `household_weights`.
    bands : sequence of float
        Rising ends of the bands.

    Returns
    -------
    DataFrame
        One row per band with contacts: ``contacts``, ``promised`` and ``came`` (means), ``low`` and
        ``high`` (95 % interval of what came, over households).

    Examples
    --------
    >>> import numpy as np
    >>> from pm_utils.chapters.conversion import promised_and_came
    >>> y, p = np.array([0, 1, 1, 1]), np.array([0.2, 0.2, 0.8, 0.8])
    >>> promised_and_came(y, p, np.ones((10, 4), int), (0, 0.5, 1))
                   contacts  promised  came  low  high
    0 % to 50 %           2       0.2   0.5  0.5   0.5
    50 % to 100 %         2       0.8   1.0  1.0   1.0
    """
    rows = {}
    for low, high in zip(bands[:-1], bands[1:], strict=True):
        inside = (probability >= low) & ((probability < high) | (high >= 1))
        if not inside.any():
            continue
        drawn = weight[:, inside].sum(1) > 0
        ends = percentile_interval(weighted_means(target[inside], weight[drawn][:, inside]))
        means = probability[inside].mean(), target[inside].mean()
        rows[f"{low:.0%} to {high:.0%}".replace("%", " %")] = (inside.sum(), *means, *ends)
    names = ["contacts", "promised", "came", "low", "high"]
    return pd.DataFrame.from_dict(rows, orient="index", columns=names)


def bending_claim(verdict: str, switching: float) -> str:
    """Say what the bends of the chosen network were worth; the verdict chooses the sentence.

    Explained in chapter ``conversion``.

    Parameters
    ----------
    verdict : {"beats", "loses", "tie", "undertrained"}
        Of the log loss, from `Scoreboard.verdict`.
    switching : float
        Share of hidden units that switch on the test contacts.

    Returns
    -------
    str

    Examples
    --------
    >>> from pm_utils.chapters.conversion import bending_claim
    >>> bending_claim("tie", 0.4).split(". ")[-1]
    'What the bends are worth is less than these contacts could show.'
    """
    share = f"Of its hidden units {switching:.0%} switch on the test contacts".replace("%", " %")
    if switching < 0.05:
        return (
            f"{share}: with the penalty that the held-out campaigns prefer, it is a straight line "
            "under another name."
        )
    worth = {
        "beats": "What they add lowers the loss below that of the best classical model.",
        "loses": "What they add costs more than it brings: the best classical model has less loss.",
        "tie": "What the bends are worth is less than these contacts could show.",
        "undertrained": "It was still learning, so what they are worth is open.",
    }
    return f"{share}; the others are straight lines or nothing. {worth[verdict]}"


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
