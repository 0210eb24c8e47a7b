"""Train the towers that learn who likes which ad, and the writer of headlines."""

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from pm_utils.creatives.text.evaluation import ADS, SHAPE
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
from pm_utils.market.headlines import PAD, copy_grammar


def train_response_towers(
    profile: Tensor,
    counts: Tensor,
    learn: np.ndarray,
    choose: np.ndarray,
    *,
    epochs: int,
    seed: int,
) -> tuple[ResponseModel, float]:
    """Train code and embeddings on the log of some customers and score them on that of others.

    Explained in chapter ``ad-text``.

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
    held_out = [profile[choose]], counts[choose]
    inputs, settings["weight_decay"] = [profile[learn]], 0.01
    fit(model, inputs, counts[learn], loss=click_loss, validation=held_out, **settings)
    return model, click_loss(predict(model, held_out[0]), held_out[1]).item()


def logistic_liking(
    profile: np.ndarray, counts: Tensor, *, inverse_penalty: float = 0.03
) -> np.ndarray:
    r"""Rank ads for everyone by a logistic regression on products of profile and attribute level.

    With profile x (a one included) and levels z of an ad, the logit is :math:`x^\top W z` plus that
    of the mean rate. W is found by Newton's method: over all customers and ads, the Hessian's part
    of ad a is the Kronecker product of :math:`\sum_x w_{xa} x x^\top` and :math:`z_a z_a^\top`, so
    no product of profile and level is ever written down.

    Explained in chapter ``ad-text``.

    Parameters
    ----------
    profile : array of shape (N, P)
    counts : Tensor of shape (N, 240, 2)
        From `pm_utils.creatives.text.networks.response_counts`.
    inverse_penalty : float
        Of the ridge, `C` in scikit-learn: more fits the log more closely.

    Returns
    -------
    array of shape (N, 240)
        Logits up to a constant.

    Examples
    --------
    The first of two customers clicks on all ads of category 0 and no others, the second on all
    the others: the best ad of the one is of category 0, and so is the worst ad of the other.

    >>> import numpy as np
    >>> import torch
    >>> from pm_utils.creatives.text.evaluation import ADS
    >>> from pm_utils.creatives.text.training import logistic_liking
    >>> clicks = torch.tensor(np.array([ADS[:, 0] == 0, ADS[:, 0] != 0]))  # (2, 240)
    >>> counts = torch.stack([clicks, ~clicks], 2).float()
    >>> liking = logistic_liking(np.array([[1.0], [-1.0]]), counts)
    >>> ADS[[liking[0].argmax(), liking[1].argmin()], 0].tolist()
    [0, 0]
    """
    x = np.column_stack([np.ones(len(profile)), profile]).astype(np.float32)
    z = np.hstack([np.eye(n, dtype=np.float32)[ADS[:, i]] for i, n in enumerate(SHAPE)])
    clicks, impressions = counts[..., 0].numpy(), counts.sum(2).numpy()
    xx, zz = ((v[:, :, None] * v[:, None]).reshape(len(v), -1) for v in (x, z))
    p, k = x.shape[1], z.shape[1]
    weights, offset = np.zeros((p, k)), np.log(clicks.sum() / (impressions - clicks).sum())
    for _ in range(6):
        probability = sigmoid(offset + x @ weights.astype(np.float32) @ z.T)  # (N, 240)
        gradient = x.T @ (clicks - impressions * probability) @ z - weights / inverse_penalty
        hessian = xx.T @ (impressions * probability * (1 - probability)) @ zz  # (P P, K K)
        hessian = hessian.reshape(p, p, k, k).transpose(0, 2, 1, 3).reshape(p * k, p * k)
        step = np.linalg.solve(hessian + np.eye(p * k) / inverse_penalty, gradient.ravel())
        weights += step.reshape(p, k)
    return x @ weights @ z.T


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

    Explained in chapter ``ad-text``.

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
    """Return the surprise of each token after ``<bos>`` → (N, T - 1), nats, 0 at pads.

    Explained in chapter ``ad-text``.

    Examples
    --------
    A writer without weights finds all five words equally likely: log 5 nats each, 0 at the pad.

    >>> import numpy as np
    >>> import torch
    >>> from pm_utils.creatives.text.networks import AdCopyGPT, GPTConfig
    >>> from pm_utils.creatives.text.training import token_nats
    >>> gpt = AdCopyGPT(GPTConfig(5, code_dim=3, layers=1, heads=2, width=8))
    >>> _ = torch.nn.init.zeros_(gpt.words.weight)
    >>> token_nats(gpt, torch.zeros(1, 3), np.array([[1, 4, 2, 0]])).round(2)
    array([[1.61, 1.61, 0.  ]], dtype=float32)
    """
    target, parts = torch.tensor(tokens), []
    for rows in torch.arange(len(target)).split(500):
        logits = predict(model, [codes[rows], target[rows, :-1]])
        following = target[rows, 1:]
        each = cross_entropy(logits.mT, following, ignore_index=PAD, reduction="none")
        parts.append(each.numpy())
    return np.concatenate(parts)
