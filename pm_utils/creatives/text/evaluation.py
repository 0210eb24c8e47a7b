"""What generated headlines are worth: grammar, attributes, novelty, and the share of the gain."""

import numpy as np
import pandas as pd
from torch import Tensor

from pm_utils.inputs import aligned, numbers, whole_numbers
from pm_utils.market.ad_reader import read_text
from pm_utils.market.creatives import ATTRIBUTES, level_counts
from pm_utils.market.headlines import copy_grammar

SHAPE = tuple(level_counts("category", "tone", "discount").values())  # (12, 4, 5)
ADS = np.array(list(np.ndindex(SHAPE)))  # (240, 3): all that a headline can be about


def share_of_gain(
    value: np.ndarray, single: np.ndarray, oracle: np.ndarray, weight: np.ndarray | None = None
) -> float:
    """Return (value - best single) / (oracle - best single), each a mean over customers.

    Explained in chapter ``ad-text``.

    Parameters
    ----------
    value, single, oracle : arrays of shape (N,)
        Probability of a click of each customer.
    weight : array of shape (N,), optional
        How much each customer counts. Pandas' rows are matched by index.

    Raises
    ------
    ValueError
        When a number is not finite, a weight is negative, the rows do not belong together, or the
        best ad for each is worth no more than the best single one.

    Examples
    --------
    0 is the best single ad for everybody, 1 the best ad for each; a worse choice is below 0.

    >>> import numpy as np
    >>> from pm_utils.creatives.text.evaluation import share_of_gain
    >>> single, oracle = np.array([0.02, 0.02, 0.02]), np.array([0.02, 0.03, 0.07])
    >>> round(share_of_gain(np.array([0.02, 0.01, 0.06]), single, oracle), 3)
    0.5
    >>> round(share_of_gain(np.array([0.02, 0.01, 0.02]), single, oracle), 3)
    -0.167
    """
    value, single, oracle, weight = aligned(
        value=value, single=single, oracle=oracle, weight=weight
    )
    named = {"value": value, "single": single, "oracle": oracle}
    checked = [numbers(one, name, ndim=1) for name, one in named.items()]
    weight = None if weight is None else numbers(weight, "weight", low=0, ndim=1)
    got, least, most = (np.average(v, weights=weight) for v in checked)
    if not most > least:
        raise ValueError(
            f"oracle is worth {most:.6g}, single {least:.6g}: there is nothing to gain"
        )
    return float((got - least) / (most - least))


def ads_in_headlines(tokens: np.ndarray) -> np.ndarray:
    """Return which of the 240 ads each headline is → (N,), -1 where it does not parse.

    Explained in chapter ``ad-text``.
    """
    read = read_text(np.asarray(tokens))
    ad = np.ravel_multi_index((read.category, read.tone, read.discount), SHAPE)
    return np.where(read.valid, ad, -1)


def side_by_side(drafts: dict[str, Tensor], asked: np.ndarray, readers: list[str]) -> pd.DataFrame:
    """Lay out headlines by draft and reader, below what was asked for.

    Explained in chapter ``ad-text``.

    Parameters
    ----------
    drafts : dict of Tensor of shape (N, T), int64
        What was written, by the name of the draft.
    asked : array of shape (N,), int
        The ads, 0 to 239, that were asked for.
    readers : list of N str
        Whom they are for.

    Returns
    -------
    DataFrame
        The row of what was asked for, then a row per draft; a column per reader.

    Raises
    ------
    ValueError
        When an ad is none of the 240, or there is not one headline and one reader for each.
    """
    asked = whole_numbers(asked, "asked", high=len(ADS) - 1)
    aligned(asked=asked, readers=readers, **drafts)
    levels = [
        ATTRIBUTES["category"],
        ATTRIBUTES["tone"],
        ("full price", *ATTRIBUTES["discount"][1:]),
    ]
    names = [", ".join(level[i] for level, i in zip(levels, ad, strict=True)) for ad in ADS[asked]]
    lines = {draft: copy_grammar().decode(tokens) for draft, tokens in drafts.items()}
    return pd.DataFrame({"asked for": names} | lines, index=readers).T


def evaluate_headlines(tokens: np.ndarray, asked: np.ndarray, archive: np.ndarray) -> pd.Series:
    """Return what share of headlines is grammatical, right, novel and distinct.

    Explained in chapter ``ad-text``.

    Parameters
    ----------
    tokens : array of shape (N, T), int
        What was written.
    asked : array of shape (N,), int
        The ads, 0 to 239, that were asked for.
    archive : array of shape (M, T), int
        Headlines that are not novel.

    Returns
    -------
    Series
        *Right* headlines parse and say what was asked. Only what parses can be *novel* or
        *distinct*.

    Raises
    ------
    ValueError
        When an ad is none of the 240, or there is not one headline for each.
    """
    tokens, asked = (np.asarray(part) for part in aligned(tokens=tokens, asked=asked))
    asked = whole_numbers(asked, "asked", high=len(ADS) - 1)
    said = ads_in_headlines(tokens)
    lines = [row.tobytes() for row in np.asarray(tokens, np.int64)[said >= 0]]
    known = {row.tobytes() for row in np.asarray(archive, np.int64)}
    shares = {
        "grammatical": np.mean(said >= 0),
        "right": np.mean(said == asked),
        "novel": sum(line not in known for line in lines) / len(said),
        "distinct": len(set(lines)) / len(said),
    }
    return pd.Series(shares)
