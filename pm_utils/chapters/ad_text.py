"""Chapter 04: what a log says of a choice of ads, and how much log that takes."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from scipy.stats import mode
from torch import Tensor

from pm_utils.creatives.text.evaluation import share_of_gain
from pm_utils.creatives.text.networks import response_counts
from pm_utils.creatives.text.training import train_response_towers, tuned_logistic
from pm_utils.evaluation.bootstrap import percentile_interval, weighted_means
from pm_utils.inputs import aligned, numbers, whole_numbers
from pm_utils.market import Creatives, ImpressionLog, Market
from pm_utils.market.headlines import CopyGrammar
from pm_utils.page.evidence import verdict

TOWER_SETTINGS = (  # for a long log and for a short one
    {"dropout": 0.0, "weight_decay": 0.01},
    {"dropout": 0.2, "weight_decay": 0.3},
)

NAIVE_WAYS = ("random ad", "best single ad, observed", "best single ad, logistic", "unigram")


def replayed_clicks(counts: Tensor, ads: np.ndarray) -> float:
    """Estimate what a choice of ads earns by the impressions that happened to show them.

    In a log of ads drawn uniformly, each of the M ads had the chance 1/M, so that a click on a
    chosen ad stands for M of them. A choice of -1, a headline that says nothing, earns nothing.

    Explained in chapter ``ad-text``.

    Parameters
    ----------
    counts : Tensor of shape (N, M, 2)
        From `pm_utils.creatives.text.networks.response_counts`.
    ads : array of shape (N,), int
        The ad chosen for each customer, -1 for none.

    Returns
    -------
    float
        Clicks per impression.

    Raises
    ------
    ValueError
        When there is not one ad per customer, an ad is none of the M, or the log is empty.

    Examples
    --------
    One customer, two ads shown twice each. The first was clicked once, the second never.

    >>> import numpy as np
    >>> import torch
    >>> from pm_utils.chapters.ad_text import replayed_clicks
    >>> counts = torch.tensor([[[1.0, 1.0], [0.0, 2.0]]])
    >>> [replayed_clicks(counts, np.array([ad])) for ad in (0, 1, -1)]
    [0.5, 0.0, 0.0]
    """
    counts, ads = (np.asarray(part) for part in aligned(counts=counts, ads=ads))
    ads = whole_numbers(ads, "ads", low=-1, high=counts.shape[1] - 1)
    shown = counts.sum()
    if not shown > 0:
        raise ValueError("counts hold no impression: give a log")
    clicks = counts[np.arange(len(ads)), ads, 0]
    return float(clicks[ads >= 0].sum() * counts.shape[1] / shown)


def by_log_size(
    market: Market,
    log: ImpressionLog,
    profile: Tensor,
    parts: Mapping[str, np.ndarray],
    *,
    shares: Sequence[float],
    epochs: int,
    weight: np.ndarray,
    seed: int,
) -> pd.DataFrame:
    """Teach content code and logistic regression on parts of a log, and score their choices.

    From each part, both learn on the customers *learn*; the loss on *choose* decides on the epoch
    and the setting of `TOWER_SETTINGS` of the one, on the penalty of the other. The best single ad
    is that of a logistic regression on the ad alone.

    Explained in chapter ``ad-text``.

    Parameters
    ----------
    market : Market
    log : ImpressionLog
        Of ads drawn uniformly.
    profile : Tensor of shape (N, P)
    parts : dict of arrays of int
        The customers ``"learn"``, ``"choose"`` and ``"test"``.
    shares : sequence of float
        How much of the log is read, each impression with this chance.
    epochs, seed : int
    weight : array of shape (R, test customers)
        From `pm_utils.evaluation.bootstrap.bootstrap_weights`, for the interval.

    Returns
    -------
    DataFrame
        A row per share, indexed by impressions for each customer: the shares of the possible gain
        of ``best single``, ``logistic`` and ``content code``; ``low`` and ``high`` of the paired
        interval for content code less logistic; its ``verdict`` in this run.
    """
    learn, choose, test = parts["learn"], parts["choose"], parts["test"]
    truth = market.click_table[test].astype(float)
    scale = truth[:, market.click_table[learn].mean(0).argmax()], truth.max(1)
    uniform = np.random.default_rng([seed, 4]).random(len(log.click))
    rows = []
    for share in shares:
        keep = uniform < share
        shape = market.n_customers, len(market.creatives)
        seen = log.customer[keep], log.creative[keep], log.click[keep]
        counts = response_counts(*seen, shape)
        towers = [
            train_response_towers(
                profile, counts, learn, choose, epochs=epochs, seed=seed, **setting
            )
            for setting in TOWER_SETTINGS
        ]
        tower = min(towers, key=lambda trained: min(trained[1].validation))[0]
        liking, _ = tuned_logistic(profile.numpy(), counts, learn, choose)
        alike, _ = tuned_logistic(profile.numpy()[:, :0], counts, learn, choose)  # no profile
        chosen = {
            "best single": alike[test].argmax(1),
            "logistic": liking[test].argmax(1),
            "content code": tower.nearest(profile[test])[:, 0].numpy(),
        }
        value = {name: truth[np.arange(len(test)), ads] for name, ads in chosen.items()}
        gained = {name: share_of_gain(clicks, *scale) for name, clicks in value.items()}
        low, high = gain_interval(value["content code"], value["logistic"], *scale, weight)
        each = int(keep.sum()) / (len(learn) + len(choose))
        said = verdict((low, high), None)
        rows.append({"impressions": each, **gained, "low": low, "high": high, "verdict": said})
    return pd.DataFrame(rows).set_index("impressions")


def gain_interval(
    first: np.ndarray,
    second: np.ndarray,
    single: np.ndarray,
    oracle: np.ndarray,
    weight: np.ndarray,
) -> tuple[float, float]:
    """Return the bootstrap interval for the share of the gain of `first` less that of `second`.

    Explained in chapter ``ad-text``.

    Parameters
    ----------
    first, second, single, oracle : arrays of shape (N,)
        Probability of a click of each customer; see
        `pm_utils.creatives.text.evaluation.share_of_gain`.
    weight : array of shape (R, N)
        From `pm_utils.evaluation.bootstrap.bootstrap_weights`.

    Examples
    --------
    >>> import numpy as np
    >>> from pm_utils.chapters.ad_text import gain_interval
    >>> single, oracle, weight = np.zeros(2), np.ones(2), np.array([[1, 1], [2, 0]])
    >>> gain_interval(np.array([0.5, 0.5]), np.array([0.25, 0.25]), single, oracle, weight)
    (0.25, 0.25)
    """
    ahead = weighted_means(np.asarray(first) - np.asarray(second), weight)
    possible = weighted_means(np.asarray(oracle) - np.asarray(single), weight)
    return percentile_interval(ahead / possible)


def null_table(choices: Mapping[str, np.ndarray], truth: np.ndarray, single: int) -> pd.DataFrame:
    """Say why choices that learned nothing of customers earn less than one ad for all.

    Explained in chapter ``ad-text``.

    Parameters
    ----------
    choices : dict of arrays of shape (N,), int
        Which ad each model chooses for each customer.
    truth : array of shape (N, M)
        P(click).
    single : int
        The best single ad.

    Returns
    -------
    DataFrame
        Clicks per thousand of the ad chosen for each customer, of the ad that the model chooses
        most often shown to all, and of the best single ad; how many ads were chosen.

    Examples
    --------
    The model chooses the better ad for most, but gives the first customer the other, in vain.

    >>> import numpy as np
    >>> from pm_utils.chapters.ad_text import null_table
    >>> truth = np.array([[0.01, 0.04]] * 3)
    >>> null_table({"null": np.array([0, 1, 1])}, truth, 1).loc["null"].round(1).tolist()
    [30.0, 40.0, 40.0, 2.0]
    """
    rows = {}
    for name, ads in choices.items():
        known, often = np.unique(ads, return_counts=True)
        rows[name] = {
            "an ad for each": 1000 * truth[np.arange(len(truth)), ads].mean(),
            "its favourite for all": 1000 * truth[:, known[often.argmax()]].mean(),
            "best single": 1000 * truth[:, single].mean(),
            "ads chosen": len(known),
        }
    return pd.DataFrame.from_dict(rows, orient="index")


def least_squares_headlines(
    grammar: CopyGrammar, catalogue: Creatives, drafts: int, rng: np.random.Generator
) -> dict[str, np.ndarray]:
    """Return what the least squared error asks for once the ad is known, by how words are coded.

    With words as numbers it is their mean at each place, here rounded; with one-hot words the share
    of each word at each place, here its likeliest word.

    Explained in chapter ``ad-text``.

    Parameters
    ----------
    grammar : CopyGrammar
    catalogue : Creatives of M ads
    drafts : int
        Headlines per ad that are averaged.
    rng : Generator

    Returns
    -------
    dict of arrays of shape (M, T), int
        ``"numbers"`` and ``"one-hot"``.
    """
    ads = np.repeat(np.arange(len(catalogue)), drafts)
    tokens = grammar.sample(catalogue.take(ads), rng).reshape(len(catalogue), drafts, -1)
    return {"numbers": tokens.mean(1).round().astype(int), "one-hot": mode(tokens, axis=1).mode}


def one_hot_regression(
    profile: np.ndarray, tokens: np.ndarray, asked: np.ndarray, n_words: int
) -> np.ndarray:
    """Regress one-hot words on the profile → the likeliest word at each place, for others (M, T).

    Least squares in closed form: no other linear map has a lower squared error.

    Explained in chapter ``ad-text``.

    Parameters
    ----------
    profile : array of shape (N, P)
    tokens : array of shape (N, T), int
        What those with these profiles read.
    asked : array of shape (M, P)
        Profiles to predict for.
    n_words : int

    Raises
    ------
    ValueError
        When a profile is not finite, a word is none of `n_words`, or profiles and texts differ in
        rows.

    Examples
    --------
    Who has a 1 read "3", who has a 0 read "4".

    >>> import numpy as np
    >>> from pm_utils.chapters.ad_text import one_hot_regression
    >>> profile, tokens = np.array([[1.0], [0.0]]), np.array([[1, 3], [1, 4]])
    >>> one_hot_regression(profile, tokens, np.array([[0.0]]), 5).tolist()
    [[1, 4]]
    """
    profile, tokens = (np.asarray(part) for part in aligned(profile=profile, tokens=tokens))
    tokens = whole_numbers(tokens, "tokens", low=0, high=n_words - 1)
    x = np.column_stack([np.ones(len(profile)), numbers(profile, "profile", ndim=2)])
    words = np.eye(n_words, dtype=np.float32)[tokens].reshape(len(tokens), -1)  # (N, T V)
    slopes = np.linalg.solve(x.T @ x + 1e-6 * np.eye(x.shape[1]), x.T @ words)
    new = np.column_stack([np.ones(len(asked)), numbers(asked, "asked", ndim=2)])
    places = slopes.reshape(x.shape[1], tokens.shape[1], n_words)
    return np.stack([(new @ places[:, t]).argmax(1) for t in range(tokens.shape[1])], axis=1)


def kind_of(name: str) -> str:
    """Return which column of the scoreboard a method of the chapter stands in.

    Explained in chapter ``ad-text``.

    Examples
    --------
    >>> from pm_utils.chapters.ad_text import kind_of
    >>> [kind_of(name) for name in ("unigram", "trigram", "content code, receipts", "shuffled 2")]
    ['naive', 'classical', 'deep', 'null']
    """
    if name.startswith("shuffled"):
        return "null"
    if name.startswith(("content code", "GPT")):
        return "deep"
    return "naive" if name in NAIVE_WAYS else "classical"


def said_of_gain(said: str, deep: str, classical: str) -> str:
    """Put a verdict on the share of the gain into a sentence's end.

    Explained in chapter ``ad-text``.

    Examples
    --------
    >>> from pm_utils.chapters.ad_text import said_of_gain
    >>> said_of_gain("tie", "content code", "logistic")
    'content code cannot be told from logistic: start with the latter, the simpler way'
    """
    return {
        "beats": f"{deep} earns more than {classical}",
        "loses": f"{deep} earns less than {classical}: take the latter, the simpler way",
        "tie": f"{deep} cannot be told from {classical}: start with the latter, the simpler way",
        "undertrained": f"{deep} needs more training before anything can be said",
    }[said]


def said_of_sizes(curve: pd.DataFrame) -> str:
    """Say at which sizes of the log the content code wins, loses or ties with its rival.

    Explained in chapter ``ad-text``.

    Parameters
    ----------
    curve : DataFrame
        From `by_log_size`.

    Examples
    --------
    >>> import pandas as pd
    >>> from pm_utils.chapters.ad_text import said_of_sizes
    >>> said_of_sizes(pd.DataFrame({"verdict": ["tie", "loses"]}, index=[1111.0, 9.8]))
    'cannot be told from it at 1,111, loses to it at 10 impressions a customer'
    """
    told = {"beats": "beats it", "tie": "cannot be told from it", "loses": "loses to it"}
    parts = []
    for said, words in told.items():
        sizes = [f"{size:,.0f}" for size in curve.index[curve["verdict"] == said]]
        if sizes:
            parts.append(f"{words} at {'; '.join(sizes)}")
    return ", ".join(parts) + " impressions a customer"


def said_of_lines(low: float, high: float) -> str:
    """Say what a writer's lines add to filled templates, by an interval of clicks per thousand.

    Explained in chapter ``ad-text``.

    Examples
    --------
    >>> from pm_utils.chapters.ad_text import said_of_lines
    >>> said_of_lines(0.0, 0.0), said_of_lines(-0.9, -0.2)
    ('nothing', 'no clicks but a loss')
    """
    if low > 0:
        return "clicks"
    return "no clicks but a loss" if high < 0 else "nothing"
