"""Chapter 04 around its networks: teach the towers, train the writer, judge what it says."""

import numpy as np
import pandas as pd
import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from pm_utils.creatives.text.networks import (
    AdCopyGPT,
    AdGenerator,
    GPTConfig,
    ResponseModel,
    click_loss,
    next_word_loss,
)
from pm_utils.formulas import sigmoid
from pm_utils.learning.training import fit, predict
from pm_utils.market.ad_reader import read_text
from pm_utils.market.creatives import ATTRIBUTES, level_counts
from pm_utils.market.headlines import PAD, copy_grammar

SHAPE = tuple(level_counts("category", "tone", "discount").values())  # (12, 4, 5)
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
        From `pm_utils.creatives.text.networks.response_counts`.
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
    settings = {"epochs": epochs, "batch_size": 64, "learning_rate": 1.4e-2, "seed": seed}
    watch = [profile[choose]], counts[choose]
    inputs, settings["weight_decay"] = [profile[learn]], 0.01
    fit(model, inputs, counts[learn], loss=click_loss, validation=watch, **settings)
    return model, click_loss(predict(model, watch[0]), watch[1]).item()


def logistic_liking(profile: np.ndarray, counts: Tensor, *, strength: float = 0.03) -> np.ndarray:
    r"""Rank ads for everyone by a logistic regression on products of profile and attribute level.

    With profile x (a one included) and levels z of an ad, the logit is :math:`x^\top W z` plus that
    of the mean rate. W is found by Newton's method: over all customers and ads, the Hessian's part
    of ad a is the Kronecker product of :math:`\sum_x w_{xa} x x^\top` and :math:`z_a z_a^\top`, so
    no product of profile and level is ever written down.

    Parameters
    ----------
    profile : array of shape (N, P)
    counts : Tensor of shape (N, 240, 2)
        From `pm_utils.creatives.text.networks.response_counts`.
    strength : float
        Inverse of the ridge penalty.

    Returns
    -------
    array of shape (N, 240)
        Logits up to a constant.
    """
    x = np.column_stack([np.ones(len(profile)), profile]).astype(np.float32)
    z = np.hstack([np.eye(n, dtype=np.float32)[ADS[:, i]] for i, n in enumerate(SHAPE)])
    clicks, shown = counts[..., 0].numpy(), counts.sum(2).numpy()
    xx, zz = ((v[:, :, None] * v[:, None]).reshape(len(v), -1) for v in (x, z))
    p, k = x.shape[1], z.shape[1]
    weights, base = np.zeros((p, k)), np.log(clicks.sum() / (shown - clicks).sum())
    for _ in range(6):
        chance = sigmoid(base + x @ weights.astype(np.float32) @ z.T)  # (N, 240)
        slope = x.T @ (clicks - shown * chance) @ z - weights / strength
        bend = xx.T @ (shown * chance * (1 - chance)) @ zz  # (P P, K K)
        bend = bend.reshape(p, p, k, k).transpose(0, 2, 1, 3).reshape(p * k, p * k)
        step = np.linalg.solve(bend + np.eye(p * k) / strength, slope.ravel())
        weights += step.reshape(p, k)
    return x @ weights @ z.T


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
    codes: Tensor,
    tokens: np.ndarray,
    *,
    layers: int,
    width: int,
    batch_size: int,
    learning_rate: float = 1e-2,
    seed: int,
) -> AdCopyGPT:
    """Train a GPT on headlines, each seen once, after their codes.

    Parameters
    ----------
    codes : Tensor of shape (N, D)
    tokens : array of shape (N, T), int
        As the copy grammar writes them.
    layers, width, batch_size : int
    learning_rate : float
    seed : int

    Returns
    -------
    AdCopyGPT
    """
    torch.manual_seed(seed)
    words = len(copy_grammar().words)
    model = AdCopyGPT(GPTConfig(words, code_dim=codes.shape[1], layers=layers, width=width))
    target = torch.tensor(tokens)[:, : (tokens != PAD).sum(1).max()]  # no column of mere pads
    settings = {"batch_size": batch_size, "learning_rate": learning_rate, "seed": seed}
    inputs = [codes, target[:, :-1]]
    fit(model, inputs, target, loss=next_word_loss, epochs=1, weight_decay=0.01, **settings)
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


def side_by_side(pages: dict[str, Tensor], asked: np.ndarray, readers: list[str]) -> pd.DataFrame:
    """Lay out headlines by draft and reader, below what was asked for.

    Parameters
    ----------
    pages : dict of Tensor of shape (N, T), int64
        What was written, by the name of the draft.
    asked : array of shape (N,), int
        The ads, 0 to 239, that were asked for.
    readers : list of N str
        Whom they are for.

    Returns
    -------
    DataFrame
        The row of what was asked for, then a row per draft; a column per reader.
    """
    levels = [
        ATTRIBUTES["category"],
        ATTRIBUTES["tone"],
        ("full price", *ATTRIBUTES["discount"][1:]),
    ]
    names = [", ".join(level[i] for level, i in zip(levels, ad, strict=True)) for ad in ADS[asked]]
    lines = {draft: copy_grammar().decode(page) for draft, page in pages.items()}
    return pd.DataFrame({"asked for": names} | lines, index=readers).T


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
