"""Chapter 04 around its networks: teach the towers, train the writer, judge what it says."""

import numpy as np
import pandas as pd
import torch
from sklearn.linear_model import LogisticRegression
from torch import Tensor
from torch.nn.functional import cross_entropy

from pm_utils.market import ImpressionLog
from pm_utils.market.copy import PAD, copy_grammar
from pm_utils.market.reader import read_text
from pm_utils.models.adtext import (
    AdCopyGPT,
    AdGenerator,
    GPTConfig,
    ResponseModel,
    click_loss,
    next_word_loss,
)
from pm_utils.training import fit, predict

SHAPE = (12, 4, 5)  # categories, tones, discounts
ADS = np.array(list(np.ndindex(SHAPE)))  # (240, 3): all that a headline can be about


def standard_scores(view: np.ndarray) -> Tensor:
    """Return columns with mean 0 and deviation 1, unknown values as the mean → (N, P)."""
    scaled = (view - np.nanmean(view, axis=0)) / np.maximum(np.nanstd(view, axis=0), 1e-9)
    return torch.tensor(np.nan_to_num(scaled), dtype=torch.float32)


def train_towers(
    profile: Tensor,
    counts: Tensor,
    learn: np.ndarray,
    choose: np.ndarray,
    *,
    epochs: int,
    seed: int,
) -> tuple[ResponseModel, float]:
    """Train code and embeddings on the log of some customers and score them on that of others.

    Parameters
    ----------
    profile : Tensor of shape (N, P)
    counts : Tensor of shape (N, 240, 2)
        From `pm_utils.models.adtext.response_counts`.
    learn, choose : arrays of int
        Customers to learn from, and those whose loss picks the epoch.
    epochs, seed : int

    Returns
    -------
    ResponseModel
    float
        Loss on *choose*, nats per impression.
    """
    torch.manual_seed(seed)
    model = ResponseModel(AdGenerator(profile.shape[1], 128), torch.tensor(ADS))
    settings = {"epochs": epochs, "batch_size": 128, "learning_rate": 1e-2, "seed": seed}
    watch = [profile[choose]], counts[choose]
    inputs, settings["weight_decay"] = [profile[learn]], 0.01
    fit(model, inputs, counts[learn], loss=click_loss, validation=watch, **settings)
    return model, click_loss(predict(model, watch[0]), watch[1]).item()


def logistic_liking(
    profile: np.ndarray, log: ImpressionLog, *, per_click: int = 2, strength: float = 0.03
) -> np.ndarray:
    """Rank ads for everyone by a logistic regression on products of profile and attribute level.

    Ranking needs no calibrated probability, so a few impressions without a click are enough.

    Parameters
    ----------
    profile : array of shape (N, P)
    log : ImpressionLog
        On the 240 ads, by a uniform policy.
    per_click : int
        Impressions without a click that are kept per click.
    strength : float
        Inverse of the ridge penalty.

    Returns
    -------
    array of shape (N, 240)
        Logits up to a constant.
    """
    profile = np.column_stack([np.ones(len(profile)), profile]).astype(np.float32)
    level = np.hstack([np.eye(n, dtype=np.float32)[ADS[:, i]] for i, n in enumerate(SHAPE)])
    clicked, missed = np.flatnonzero(log.click), np.flatnonzero(~log.click)
    rows = np.concatenate([clicked, missed[: per_click * len(clicked)]])
    products = profile[log.customer[rows], :, None] * level[log.creative[rows], None]
    model = LogisticRegression(C=strength, solver="newton-cholesky")
    model.fit(products.reshape(len(rows), -1), log.click[rows])
    return profile @ model.coef_.reshape(profile.shape[1], -1) @ level.T


def share_of_gain(
    value: np.ndarray, single: np.ndarray, oracle: np.ndarray, weight: np.ndarray | None = None
) -> float:
    """Return (value - best single) / (oracle - best single), each a mean over customers.

    Parameters
    ----------
    value, single, oracle : arrays of shape (N,)
        Probability of a click of each customer.
    weight : array of shape (N,), optional
        How much each customer counts.
    """
    got, least, most = (np.average(v, weights=weight) for v in (value, single, oracle))
    return float((got - least) / (most - least))


def train_writer(
    codes: Tensor, tokens: np.ndarray, *, layers: int, width: int, batch_size: int, seed: int
) -> AdCopyGPT:
    """Train a GPT on headlines, each seen once, after their codes.

    Parameters
    ----------
    codes : Tensor of shape (N, D)
    tokens : array of shape (N, T), int
        As the copy grammar writes them.
    layers, width, batch_size, seed : int

    Returns
    -------
    AdCopyGPT
    """
    torch.manual_seed(seed)
    words = len(copy_grammar().words)
    model = AdCopyGPT(GPTConfig(words, code_dim=codes.shape[1], layers=layers, width=width))
    target = torch.tensor(tokens)[:, : (tokens != PAD).sum(1).max()]  # no column of mere pads
    settings = {"epochs": 1, "batch_size": batch_size, "learning_rate": 1e-2, "seed": seed}
    inputs = [codes, target[:, :-1]]
    fit(model, inputs, target, loss=next_word_loss, weight_decay=0.01, **settings)
    return model


def token_nats(model: AdCopyGPT, codes: Tensor, tokens: np.ndarray) -> np.ndarray:
    """Return the surprise of each token after ``<bos>`` → (N, T - 1), nats, 0 at pads."""
    target, parts = torch.tensor(tokens), []
    for rows in torch.arange(len(target)).split(500):
        logits = predict(model, [codes[rows], target[rows, :-1]])
        following = target[rows, 1:]
        each = cross_entropy(logits.mT, following, ignore_index=PAD, reduction="none")
        parts.append(each.numpy())
    return np.concatenate(parts)


def ads_said(tokens: np.ndarray) -> np.ndarray:
    """Return which of the 240 ads each headline is → (N,), -1 where it does not parse."""
    read = read_text(np.asarray(tokens))
    ad = np.ravel_multi_index((read.category, read.tone, read.discount), SHAPE)
    return np.where(read.valid, ad, -1)


def judge(tokens: np.ndarray, asked: np.ndarray, archive: np.ndarray) -> pd.Series:
    """Return what share of headlines is grammatical, right, novel and distinct.

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
    """
    said = ads_said(tokens)
    lines = [row.tobytes() for row in np.asarray(tokens, np.int64)[said >= 0]]
    known = {row.tobytes() for row in np.asarray(archive, np.int64)}
    shares = {
        "grammatical": np.mean(said >= 0),
        "right": np.mean(said == asked),
        "novel": sum(line not in known for line in lines) / len(said),
        "distinct": len(set(lines)) / len(said),
    }
    return pd.Series(shares)
