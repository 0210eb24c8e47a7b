"""Chapter 03: its contenders, how they are scored, and what may be said of a learned profile."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
import torch
from sklearn.decomposition import TruncatedSVD
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.linear_model import LogisticRegression
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits

from pm_utils.customers.next_purchase import (
    HISTORIES,
    RATE,
    RECENT,
    Inputs,
    TagSamples,
    own_and_profile,
    per_tag_probabilities,
)
from pm_utils.evaluation.ranking import RANKING_NAMES, ranking_scores, ranking_table
from pm_utils.inputs import numbers

# By its name on the page, each network's encoder and whether the wide head reads its profile.
TAGGERS = {
    "UserProfileNet": ("UserProfileNet", False),
    "UserProfileNet on histories": (HISTORIES, False),
    "UserProfileNet + wide": ("UserProfileNet", True),
    "PurchaseCNN + wide": ("PurchaseCNN", True),
    "BasketRNN + wide": ("BasketRNN", True),
}
# The scores that need no model: a column of each tag's own history.
NAIVE_TAGS = {"last eight weeks": RECENT, "rate": RATE}
BOOSTING = "gradient boosting + SVD"
# What each classical rival may be set to, chosen on the date of validation: see `rival_guesses`.
RIVAL_STRENGTHS = (0.003, 0.01, 0.03, 0.1)
RANKS = (8, 16, 32)
SVD_RANK = 16  # of the profile that trees read
RIVAL_SETTINGS = (
    *(("logistic", 0, strength) for strength in RIVAL_STRENGTHS),
    *(("logistic + SVD", rank, strength) for rank in RANKS for strength in RIVAL_STRENGTHS),
    (BOOSTING, 7, 100),
    (BOOSTING, 7, 200),
    (BOOSTING, 15, 50),
)
FIRST = "macro AP of first purchases"
SMALL = 0.005  # of a precision, an AUC or an overlap: less is too little to act on
# What an interval says of the size of a difference.
ALIKE = "indistinguishable in practice"
APART = "far enough apart to matter"
UNCLEAR = "not told apart finely enough to say whether it matters"


def rival_guesses(
    learned: TagSamples,
    judged: TagSamples,
    inputs: Inputs,
    settings: Sequence[tuple[str, int, float]],
    *,
    seed: int,
) -> dict[tuple[str, int, float], np.ndarray]:
    """Fit classical methods at the settings given and let them guess other samples.

    Explained in chapter ``customer-profile``.

    Parameters
    ----------
    learned, judged : TagSamples
    inputs : Inputs
        Learned on `learned`.
    settings : sequence of (str, int, float)
        As in `RIVAL_SETTINGS`. Of ``"logistic"``, a model per tag: 0 and the strength C. Of
        ``"logistic + SVD"``: how many numbers of the singular value decomposition it reads, and C.
        Of ``"gradient boosting + SVD"``, one model of all pairs: leaves per tree, and trees.
    seed : int
        Of the singular value decomposition, and of the pairs that set the bins of the trees.

    Returns
    -------
    dict of arrays of shape (N, K)
        The probability of each tag, by setting.

    Raises
    ------
    ValueError
        When a rival is unknown.
    """
    own, own_judged = inputs.wide(learned).numpy(), inputs.wide(judged).numpy()
    widest = max(RANKS)
    svd = TruncatedSVD(widest, random_state=seed).fit(inputs.features(learned))
    profile = svd.transform(inputs.features(learned))
    profile_judged = svd.transform(inputs.features(judged))
    # Its first number spreads most: as wide as the standardised history beside it, as the penalty
    # is one for both.
    spread = profile.std(axis=0).max()
    guesses = {}
    for setting in settings:
        name, size, strength = setting
        if name in ("logistic", "logistic + SVD"):
            guesses[setting] = per_tag_probabilities(
                LogisticRegression(C=strength, solver="newton-cholesky"),
                own_and_profile(own, profile[:, :size] / spread),
                learned.target,
                own_and_profile(own_judged, profile_judged[:, :size] / spread),
            )
        elif name != BOOSTING:
            raise ValueError(f"{name} is no rival: give one of RIVAL_SETTINGS")
    boosted = [(leaves, int(trees)) for name, leaves, trees in settings if name == BOOSTING]
    if boosted:
        pairs, pairs_judged = _pairs(learned, profile), _pairs(judged, profile_judged)
    for leaves in {leaves for leaves, _ in boosted}:
        trees = [count for own_leaves, count in boosted if own_leaves == leaves]
        found = _boosted_pairs(
            pairs, learned.target, pairs_judged, leaves=leaves, trees=trees, seed=seed
        )
        guesses |= {(BOOSTING, leaves, count): guess for count, guess in found.items()}
    return {setting: guesses[setting] for setting in settings}


def _pairs(samples: TagSamples, profile: np.ndarray) -> np.ndarray:
    """One row per pair of a customer and a tag: its history, activity, the profile, the tag."""
    rows, tags = samples.target.shape
    of_customer = np.concatenate([samples.context, profile[:, :SVD_RANK]], axis=1)
    tag = np.broadcast_to(np.arange(tags)[None, :, None], (rows, tags, 1))
    parts = [samples.history[:, :tags], np.repeat(of_customer[:, None], tags, axis=1), tag]
    return np.concatenate(parts, axis=2, dtype=np.float32).reshape(rows * tags, -1)


def _boosted_pairs(
    pairs: np.ndarray,
    target: np.ndarray,
    judged: np.ndarray,
    *,
    leaves: int,
    trees: list[int],
    seed: int,
) -> dict[int, np.ndarray]:
    """Boost once and guess with the first so many trees, for each number asked for."""
    model = HistGradientBoostingClassifier(
        max_iter=max(trees),
        max_leaf_nodes=leaves,
        min_samples_leaf=100,
        max_bins=63,
        categorical_features=[pairs.shape[1] - 1],
        early_stopping=False,  # it would hold out rows of customers it learns from
        random_state=seed,  # of many pairs it draws those that set the bins
    )
    model.fit(pairs, target.reshape(-1))
    stages = enumerate(model.staged_predict_proba(judged), start=1)
    return {
        count: chance[:, 1].reshape(-1, target.shape[1])
        for count, chance in stages
        if count in trees
    }


def what_matters(design: float, inputs: float, *, leeway: float = SMALL) -> str:
    """Say which of two changes made a network better, its design or what it reads.

    Explained in chapter ``customer-profile``.

    Parameters
    ----------
    design, inputs : float
        What each brought, in macro AP.
    leeway : float
        What is too little to act on.

    Returns
    -------
    str

    Raises
    ------
    ValueError
        When what a change brought is not finite.

    Examples
    --------
    >>> from pm_utils.chapters.customer_profile import what_matters
    >>> what_matters(0.06, -0.01)
    'the design matters, and more numbers alone make it worse'
    >>> what_matters(0.001, 0.03)
    'what it reads matters, and the design brings nothing'
    >>> what_matters(-0.02, 0.001)
    'neither helps, and the design makes it worse'
    """
    numbers([design, inputs], "design, inputs")
    parts = {"the design": design, "what it reads": inputs}
    helps = [name for name, brought in parts.items() if brought > leeway]
    if len(helps) == 2:
        most = max(parts, key=parts.get)
        return f"both matter, and {most} the more"
    hurts = [name for name, brought in parts.items() if brought < -leeway]
    if not helps and not hurts:
        return "neither matters alone"
    if not helps:
        worse = f"{hurts[0]} makes it worse" if len(hurts) == 1 else "both make it worse"
        return f"neither helps, and {worse}"
    if helps == ["the design"]:
        less = "make it worse" if inputs < -leeway else "bring nothing"
        return f"the design matters, and more numbers alone {less}"
    less = "makes it worse" if design < -leeway else "brings nothing"
    return f"what it reads matters, and the design {less}"


def full_batch_losses(
    net: nn.Module,
    rows: tuple[Tensor, Tensor],
    held_out: tuple[Tensor, Tensor],
    *,
    steps: int,
    learning_rate: float,
) -> pd.DataFrame:
    """Train as the source does: each step reads all rows, and nothing stops it.

    Explained in chapter ``customer-profile``.

    Parameters
    ----------
    net : Module
        Trained in place.
    rows, held_out : (features, target)
    steps : int
        An epoch is one step.
    learning_rate : float
        Of Adam.

    Returns
    -------
    DataFrame
        The log loss before each step and after the last: columns ``train`` and ``held out``.

    Raises
    ------
    ValueError
        When there is no step.

    Examples
    --------
    >>> import torch
    >>> from pm_utils.chapters.customer_profile import full_batch_losses
    >>> _ = torch.manual_seed(0)
    >>> rows = torch.tensor([[1.0], [-1.0]]), torch.tensor([[1.0], [0.0]])
    >>> net = torch.nn.Linear(1, 1)
    >>> losses = full_batch_losses(net, rows, rows, steps=3, learning_rate=0.1)
    >>> len(losses), bool(losses["train"].is_monotonic_decreasing)
    (4, True)
    """
    if steps < 1:
        raise ValueError(f"steps is {steps}: give at least 1")
    optimizer = torch.optim.Adam(net.parameters(), lr=learning_rate)
    losses = []
    for step in range(steps + 1):
        loss = binary_cross_entropy_with_logits(net(rows[0]), rows[1])
        with torch.no_grad():
            held = binary_cross_entropy_with_logits(net(held_out[0]), held_out[1])
        losses.append((loss.item(), held.item()))
        if step < steps:
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    return pd.DataFrame(losses, columns=["train", "held out"]).rename_axis("steps")


def state_of_training(losses: pd.Series, step: int, *, leeway: float = 0.1) -> str:
    """Say whether a training that stops at a step stops too early or too late.

    Explained in chapter ``customer-profile``.

    Parameters
    ----------
    losses : Series
        On held-out rows, by step.
    step : int
        Where it stops.
    leeway : float
        The share of the steps by which the best may be missed.

    Returns
    -------
    {"under-trained", "over-fitted", "stopped in time"}

    Examples
    --------
    >>> import pandas as pd
    >>> from pm_utils.chapters.customer_profile import state_of_training
    >>> losses = pd.Series([0.7, 0.6, 0.5, 0.6, 0.8])
    >>> [state_of_training(losses, step) for step in (1, 2, 4)]
    ['under-trained', 'stopped in time', 'over-fitted']
    """
    best = losses.idxmin()
    if step < (1 - leeway) * best:
        return "under-trained"
    return "over-fitted" if step > (1 + leeway) * best else "stopped in time"


def longest_as_good(curve: pd.Series, *, leeway: float = 0.0005) -> int:
    """Return the largest number of epochs whose score is as good as the best.

    Explained in chapter ``customer-profile``.

    Parameters
    ----------
    curve : Series
        A score on held-out rows, higher is better, by number of epochs.
    leeway : float
        By how much a score that is as good may fall short of the best.

    Examples
    --------
    >>> import pandas as pd
    >>> from pm_utils.chapters.customer_profile import longest_as_good
    >>> longest_as_good(pd.Series({6: 0.690, 12: 0.695, 24: 0.6949, 48: 0.692}))
    24
    """
    return int(curve.index[curve >= curve.max() - leeway].max())


def at_the_cap(best: Mapping[str, int], most: Mapping[str, int]) -> str:
    """Name the networks that took all the epochs they were allowed.

    Explained in chapter ``customer-profile``.

    Parameters
    ----------
    best, most : dict
        Epochs that each network takes, and that it may take.

    Returns
    -------
    str
        Their names, or ``"none"``.

    Examples
    --------
    >>> from pm_utils.chapters.customer_profile import at_the_cap
    >>> at_the_cap({"CNN": 12, "RNN": 6, "net": 48}, {"CNN": 12, "RNN": 12, "net": 48})
    'CNN and net'
    """
    return _listed([name for name in best if best[name] == most[name]] or ["none"])


def tag_scores(
    target: np.ndarray, scores: Mapping[str, np.ndarray], never: np.ndarray
) -> pd.DataFrame:
    """Score guesses of tags over all pairs, and over the pairs of first purchases.

    Explained in chapter ``customer-profile``.

    Parameters
    ----------
    target : array of shape (N, K)
        0 or 1.
    scores : dict of arrays of shape (N, K)
        By the name of the method.
    never : boolean array of shape (N, K)
        Pairs of a household and a category that it had not bought before.

    Returns
    -------
    DataFrame
        One row per method: the columns of `ranking_table`, and macro AP among the pairs of `never`.
    """
    table = ranking_table(target, dict(scores))
    first = ranking_table(target, dict(scores), mask=never)
    return table.assign(**{FIRST: first["macro average precision"]})


def resampled_tag_scores(
    target: np.ndarray,
    score: np.ndarray,
    never: np.ndarray,
    weight: np.ndarray,
    *,
    micro: bool = False,
) -> pd.DataFrame:
    """Score the guesses of one method on each resample of households.

    Explained in chapter ``customer-profile``.

    Parameters
    ----------
    target, score, never : arrays of shape (N, K)
        As in `tag_scores`.
    weight : array of shape (R, N)
        From `bootstrap_weights`.
    micro : bool
        Score all pairs in one list, too.

    Returns
    -------
    DataFrame of shape (R, columns of `tag_scores`)
        Without the two micro columns unless asked for.
    """
    found = ranking_scores(target, score, weight=weight, micro=micro)
    first = ranking_scores(target, score, weight=weight, mask=never, micro=False)
    table = pd.DataFrame(found).rename(columns=RANKING_NAMES)
    return table.assign(**{FIRST: first["macro_ap"]})


def said_of_size(low: float, high: float) -> str:
    """Say whether a difference between two shares matters, by its whole interval.

    Explained in chapter ``customer-profile``.

    Parameters
    ----------
    low, high : float
        Ends of the interval for deep minus classical, as in a claim of the scoreboard.

    Returns
    -------
    str
        `ALIKE` where the interval lies within `SMALL` of zero, `APART` where all of it lies beyond
        on one side, else `UNCLEAR`.

    Raises
    ------
    ValueError
        When an end is not finite, or the interval is upside down.

    Examples
    --------
    >>> from pm_utils.chapters.customer_profile import said_of_size
    >>> said_of_size(0.002, 0.004)  # on a list of 1,000 households, two to four buyers more
    'indistinguishable in practice'
    >>> said_of_size(-0.03, -0.01)
    'far enough apart to matter'
    >>> said_of_size(-0.001, 0.006)
    'not told apart finely enough to say whether it matters'
    """
    if not -np.inf < low <= high < np.inf:
        raise ValueError(
            f"low and high are {low} and {high}: give finite ends, the lower one first"
        )
    if low > -SMALL and high < SMALL:
        return ALIKE
    return APART if low > SMALL or high < -SMALL else UNCLEAR


def worth_of_profile(verdicts: Mapping[str, str], sizes: Mapping[str, str]) -> str:
    """Say in two sentences what a learned profile bought that other methods did not.

    Explained in chapter ``customer-profile``.

    Parameters
    ----------
    verdicts : dict
        ``"beats"``, ``"loses"``, ``"tie"`` or ``"undertrained"`` by task.
    sizes : dict
        What `said_of_size` says of each task's interval.

    Returns
    -------
    str
        "Something" needs a win that matters; "nothing" needs every task to be decided, so that
        neither an undertrained network nor a wide interval counts as a loss.

    Raises
    ------
    ValueError
        When a task has a verdict and no size, or the other way round.

    Examples
    --------
    >>> from pm_utils.chapters.customer_profile import ALIKE, APART, UNCLEAR, worth_of_profile
    >>> verdicts = {"tags": "beats", "age": "tie", "income": "loses"}
    >>> said = worth_of_profile(verdicts, {"tags": ALIKE, "age": UNCLEAR, "income": APART})
    >>> print(said)  # doctest: +NORMALIZE_WHITESPACE
    On this page the learned profile was not shown to buy anything that matters beyond SVD and
    receipts: it wins by an amount too small to matter at tags, cannot be told apart at age and
    loses at income. So start with those.
    """
    if set(verdicts) != set(sizes):
        raise ValueError(f"verdicts are of {[*verdicts]}, sizes of {[*sizes]}: give both of each")
    if set(verdicts.values()) <= {"undertrained"}:
        return (
            "On this page what the learned profile buys is undecided: its networks are "
            "undertrained at every task. So train them longer before you judge them."
        )
    said = {
        ("beats", APART): "wins at",
        ("beats", UNCLEAR): "wins by an amount that may be too small to matter at",
        ("beats", ALIKE): "wins by an amount too small to matter at",
        ("tie", APART): "cannot be told apart at",  # the seeds disagree
        ("tie", UNCLEAR): "cannot be told apart at",
        ("tie", ALIKE): "does as well in practice at",
        ("loses", ALIKE): "loses by an amount too small to matter at",
        ("loses", UNCLEAR): "loses by an amount that may be too small to matter at",
        ("loses", APART): "loses at",
    }
    groups: dict[str, list[str]] = {words: [] for words in [*said.values(), "is undertrained at"]}
    for task, verdict in verdicts.items():
        groups[said.get((verdict, sizes[task]), "is undertrained at")].append(task)
    undecided = (
        "wins by an amount that may be too small to matter at",
        "cannot be told apart at",
        "is undertrained at",
    )
    found, advice = "bought nothing that matters beyond SVD and receipts", "So start with those."
    if groups["wins at"]:
        found = "bought something that SVD and receipts did not"
        advice = "So try both on your own task before you settle for one."
    elif any(groups[words] for words in undecided):
        found = "was not shown to buy anything that matters beyond SVD and receipts"
    each = _listed([f"{words} {_listed(tasks)}" for words, tasks in groups.items() if tasks])
    return f"On this page the learned profile {found}: it {each}. {advice}"


def _listed(words: list[str]) -> str:
    return " and ".join([", ".join(words[:-1]), words[-1]] if len(words) > 1 else words)
