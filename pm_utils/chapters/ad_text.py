"""Chapter 04: what a log says of a choice of ads, how much log that takes, and what is said of it."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from scipy.stats import mode
from torch import Tensor

from pm_utils.creatives.text.evaluation import ADS, ads_in_headlines, share_of_gain
from pm_utils.creatives.text.networks import response_counts
from pm_utils.creatives.text.training import train_response_towers, tuned_logistic
from pm_utils.evaluation.bootstrap import bootstrap_weights, percentile_interval, weighted_means
from pm_utils.inputs import aligned, whole_numbers
from pm_utils.market import Creatives, ImpressionLog, Market
from pm_utils.market.headlines import CopyGrammar
from pm_utils.page.evidence import verdict


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
    of the one, and on the penalty and the pairs of levels of the other. The best single ad is the
    one with the largest observed rate.

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
        tower, _ = train_response_towers(profile, counts, learn, choose, epochs=epochs, seed=seed)
        tried = [
            tuned_logistic(profile.numpy(), counts, learn, choose, pairs=pairs)
            for pairs in (False, True)
        ]
        liking = min(tried, key=lambda one: one[1])[0]
        chosen = {
            "best single": np.full(len(test), observed_best(counts)),
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


def observed_best(counts: Tensor) -> int:
    """Return the ad with the largest observed click rate.

    Explained in chapter ``ad-text``.

    Parameters
    ----------
    counts : Tensor of shape (N, M, 2)
        From `pm_utils.creatives.text.networks.response_counts`.

    Examples
    --------
    >>> import torch
    >>> from pm_utils.chapters.ad_text import observed_best
    >>> observed_best(torch.tensor([[[1.0, 9.0], [1.0, 1.0]]]))
    1
    """
    clicks, others = counts.sum(0).T
    return int((clicks / (clicks + others).clamp(min=1)).argmax())


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


def household_weights(household: np.ndarray, repeats: int, seed: int) -> np.ndarray:
    """Draw households with all their customers → (repeats, N).

    Explained in chapter ``ad-text``.

    Parameters
    ----------
    household : array of shape (N,)
        Of each customer.
    repeats, seed : int

    Examples
    --------
    >>> from pm_utils.chapters.ad_text import household_weights
    >>> weight = household_weights(["a", "b", "b"], 100, seed=0)
    >>> weight.shape, bool((weight[:, 1] == weight[:, 2]).all())
    ((100, 3), True)
    """
    known, row = np.unique(household, return_inverse=True)
    return bootstrap_weights(len(known), repeats, seed)[:, row]


def null_table(
    logits: Mapping[str, np.ndarray], truth: np.ndarray, single: int
) -> pd.DataFrame:
    """Say why choices that learned nothing of customers earn less than one ad for all.

    Explained in chapter ``ad-text``.

    Parameters
    ----------
    logits : dict of arrays of shape (N, M)
        What each model predicts.
    truth : array of shape (N, M)
        P(click).
    single : int
        The best single ad.

    Returns
    -------
    DataFrame
        Clicks per thousand of the ad chosen for each customer, of the ad with the largest mean
        logit shown to all, and of the best single ad; how many ads were chosen.

    Examples
    --------
    The model prefers the second ad on average, but gives the first customer the first, in vain.

    >>> import numpy as np
    >>> from pm_utils.chapters.ad_text import null_table
    >>> truth = np.array([[0.01, 0.02], [0.01, 0.02]])
    >>> logits = np.array([[1.0, 0.0], [0.0, 3.0]])
    >>> null_table({"null": logits}, truth, 1).loc["null"].tolist()
    [15.0, 20.0, 20.0, 2.0]
    """
    rows = {}
    for name, logit in logits.items():
        chosen = logit.argmax(1)
        rows[name] = {
            "an ad for each": 1000 * truth[np.arange(len(truth)), chosen].mean(),
            "its favourite for all": 1000 * truth[:, logit.mean(0).argmax()].mean(),
            "best single": 1000 * truth[:, single].mean(),
            "ads chosen": len(np.unique(chosen)),
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


def one_hot_regression(profile: np.ndarray, tokens: np.ndarray, n_words: int) -> np.ndarray:
    """Regress one-hot words on the profile → the likeliest word at each place (N, T).

    Least squares in closed form: no other linear map has a lower squared error.

    Explained in chapter ``ad-text``.

    Parameters
    ----------
    profile : array of shape (N, P)
    tokens : array of shape (N, T), int
    n_words : int

    Examples
    --------
    Who has a 1 read "3", who has a 0 read "4".

    >>> import numpy as np
    >>> from pm_utils.chapters.ad_text import one_hot_regression
    >>> one_hot_regression(np.array([[1.0], [0.0]]), np.array([[1, 3], [1, 4]]), 5).tolist()
    [[1, 3], [1, 4]]
    """
    profile, tokens = (np.asarray(part) for part in aligned(profile=profile, tokens=tokens))
    x = np.column_stack([np.ones(len(profile)), profile])
    words = np.eye(n_words, dtype=np.float32)[tokens].reshape(len(tokens), -1)  # (N, T V)
    slopes = np.linalg.lstsq(x, words, rcond=None)[0]
    return (x @ slopes).reshape(*tokens.shape, n_words).argmax(2)


def parsing_and_right(tokens: np.ndarray, asked: np.ndarray | None = None) -> dict[str, float]:
    """Return what share of headlines parses, and what share says what was asked.

    Explained in chapter ``ad-text``.
    """
    said = ads_in_headlines(tokens)
    shares = {"grammatical": float((said >= 0).mean())}
    return shares if asked is None else shares | {"right": float((said == asked).mean())}
