"""Train the towers that learn who likes which ad, and the writer of headlines."""

from collections.abc import Sequence

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
from pm_utils.creatives.text.ngram import check_tokens
from pm_utils.formulas import sigmoid
from pm_utils.inputs import aligned, numbers, whole_numbers
from pm_utils.learning.training import History, fit, predict
from pm_utils.market.headlines import MAX_LENGTH, PAD, copy_grammar


def train_response_towers(
    profile: Tensor,
    counts: Tensor,
    learn: np.ndarray,
    choose: np.ndarray,
    *,
    epochs: int,
    seed: int,
    dropout: float = 0.0,
    weight_decay: float = 0.01,
) -> tuple[ResponseModel, History]:
    """Train code and embeddings on the log of some customers and watch them on that of others.

    Explained in chapter ``ad-text``.

    Parameters
    ----------
    profile : Tensor of shape (N, P)
    counts : Tensor of shape (N, 240, 2)
        From `pm_utils.creatives.text.networks.response_counts`.
    learn, choose : arrays of int
        Customers to learn from, and those whose loss picks the epoch.
    epochs, seed : int
    dropout : float
        Share of the profile's numbers dropped while training.
    weight_decay : float

    Returns
    -------
    ResponseModel
        Of the epoch with the least loss on *choose*.
    History
        `validation` holds the loss on *choose* after each epoch, nats per impression.

    Raises
    ------
    ValueError
        When a profile or a count is not finite, a count is negative, or a customer is none of the
        rows.
    """
    _check_response(profile, counts)
    for name, rows in {"learn": learn, "choose": choose}.items():
        whole_numbers(rows, name, low=0, high=len(profile) - 1)
    torch.manual_seed(seed)
    model = ResponseModel(AdGenerator(profile.shape[1], 128), torch.tensor(ADS), dropout=dropout)
    settings = {"epochs": epochs, "batch_size": 64, "learning_rate": 1.4e-2, "seed": seed}
    held_out = [profile[choose]], counts[choose]
    inputs, settings["weight_decay"] = [profile[learn]], weight_decay
    history = fit(model, inputs, counts[learn], loss=click_loss, validation=held_out, **settings)
    return model, history


def logistic_liking(
    profile: np.ndarray,
    counts: Tensor,
    *,
    learn: np.ndarray | None = None,
    inverse_penalty: float = 0.03,
    pairs: bool = False,
) -> np.ndarray:
    r"""Predict clicks on all ads by a logistic regression on products of profile and ad.

    With profile x (a one included) and levels z of an ad, the logit is :math:`x^\top W z` plus that
    of the mean rate. W is found by Newton's method: over all customers and ads, the Hessian's part
    of ad a is the Kronecker product of :math:`\sum_x w_{xa} x x^\top` and :math:`z_a z_a^\top`, so
    no product of profile and level is ever written down.

    Parameters
    ----------
    profile : array of shape (N, P)
    counts : Tensor of shape (N, 240, 2)
        From `pm_utils.creatives.text.networks.response_counts`.
    learn : array of int, optional
        Customers whose part of the log is read; by default all.
    inverse_penalty : float
        Of the ridge, `C` in scikit-learn: more fits the log more closely.
    pairs : bool
        Whether z holds the pairs of category and tone, and of tone and discount, too.

    Returns
    -------
    array of shape (N, 240)
        Logits.

    Raises
    ------
    ValueError
        When a profile or a count is not finite, a count is negative, the penalty is not above 0, a
        customer is none of the rows, or all impressions ended alike.

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
    _check_response(profile, counts)
    numbers(inverse_penalty, "inverse_penalty", above=0)
    rows = np.arange(len(profile)) if learn is None else np.asarray(learn)
    whole_numbers(rows, "learn", low=0, high=len(profile) - 1)
    everyone = np.column_stack([np.ones(len(profile)), profile]).astype(np.float32)
    x, z = everyone[rows], _levels(pairs)
    clicks, impressions = counts[rows][..., 0].numpy(), counts[rows].sum(2).numpy()
    if not 0 < clicks.sum() < impressions.sum():
        raise ValueError("counts hold only clicks or none: there is no liking to learn")
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
    return offset + everyone @ weights @ z.T


def tuned_logistic(
    profile: np.ndarray,
    counts: Tensor,
    learn: np.ndarray,
    choose: np.ndarray,
    *,
    inverse_penalties: Sequence[float] = (0.001, 0.01, 0.1),
    pairs: bool = False,
) -> tuple[np.ndarray, float]:
    """Fit `logistic_liking` to some customers with the penalty that others' clicks choose.

    Explained in chapter ``ad-text``.

    Parameters
    ----------
    profile, counts, pairs
        As in `logistic_liking`.
    learn, choose : arrays of int
        Customers to learn from, and those whose loss picks the penalty.
    inverse_penalties : sequence of float
        To try.

    Returns
    -------
    array of shape (N, 240)
        Logits.
    float
        Loss on *choose*, nats per impression.

    Raises
    ------
    ValueError
        As `logistic_liking`, or when there is no penalty to try.

    Examples
    --------
    As in `logistic_liking`, with a copy of each customer to choose by.

    >>> import numpy as np
    >>> import torch
    >>> from pm_utils.creatives.text.evaluation import ADS
    >>> from pm_utils.creatives.text.training import tuned_logistic
    >>> clicks = torch.tensor(np.array([ADS[:, 0] == 0, ADS[:, 0] != 0])).repeat(2, 1)
    >>> counts = torch.stack([clicks, ~clicks], 2).float()
    >>> profile = np.array([[1.0], [-1.0], [1.0], [-1.0]])
    >>> liking, loss = tuned_logistic(profile, counts, [0, 1], [2, 3], inverse_penalties=[0.1, 1])
    >>> loss < 0.05
    True
    """
    if not len(inverse_penalties):
        raise ValueError("inverse_penalties is empty: give one or more")
    whole_numbers(choose, "choose", low=0, high=len(profile) - 1)
    best, least = None, np.inf
    for inverse_penalty in inverse_penalties:
        settings = {"learn": learn, "inverse_penalty": inverse_penalty, "pairs": pairs}
        liking = logistic_liking(profile, counts, **settings)
        predicted = torch.tensor(liking[choose], dtype=torch.float32)
        loss = click_loss(predicted, counts[choose]).item()
        if loss < least:
            best, least = liking, loss
    return best, least


def _levels(pairs: bool) -> np.ndarray:
    """Return which levels each ad has, and which pairs of levels → (240, K), 0 or 1."""
    columns = [(ADS[:, i], n) for i, n in enumerate(SHAPE)]
    if pairs:
        for first, second in ((0, 1), (1, 2)):  # category and tone, tone and discount
            both = ADS[:, first] * SHAPE[second] + ADS[:, second]
            columns.append((both, SHAPE[first] * SHAPE[second]))
    return np.hstack([np.eye(n, dtype=np.float32)[codes] for codes, n in columns])


def _check_response(profile: np.ndarray, counts: Tensor) -> None:
    """Refuse profiles and counts that do not belong together or are no numbers."""
    aligned(profile=profile, counts=counts)
    numbers(profile, "profile", ndim=2)
    numbers(counts, "counts", low=0, ndim=3)
    if counts.shape[1:] != (len(ADS), 2):
        raise ValueError(f"counts has shape {tuple(counts.shape)}: give (N, {len(ADS)}, 2)")


def train_writer(
    codes: Tensor,
    tokens: np.ndarray,
    *,
    layers: int,
    width: int,
    batch_size: int,
    learning_rate: float = 1e-2,
    seed: int,
    epochs: int = 1,
    vocabulary: Sequence[str] | int | None = None,
    held_out: tuple[Tensor, np.ndarray] | None = None,
) -> tuple[AdCopyGPT, History]:
    """Train a GPT on headlines, by default each seen once, after their codes.

    Explained in chapter ``ad-text``.

    Parameters
    ----------
    codes : Tensor of shape (N, D)
    tokens : array of shape (N, T), int
        ``<bos>``, words, ``<eos>``, ``<pad>`` to the end.
    layers, width, batch_size : int
    learning_rate : float
    seed : int
    epochs : int
        How often each headline is seen.
    vocabulary : sequence of str, or int, optional
        All words, or how many: ``<pad>`` is 0, ``<bos>`` 1 and ``<eos>`` 2. By default those of the
        copy grammar.
    held_out : (Tensor of shape (M, D), array of shape (M, T)), optional
        Codes and headlines that are not learned from. The weights of the epoch with the least loss
        on them are kept.

    Returns
    -------
    AdCopyGPT
    History
        `train` and, with headlines held out, `validation` hold nats per token by epoch.

    Raises
    ------
    ValueError
        When a code is not finite, a word is none of the vocabulary, a text does not begin with
        ``<bos>`` or has no word after it, or codes and texts differ in rows; of the headlines held
        out, too.

    Examples
    --------
    A vocabulary of one's own: letters.

    >>> import numpy as np
    >>> import torch
    >>> from pm_utils.creatives.text.training import train_writer
    >>> letters = ["<pad>", "<bos>", "<eos>", "a", "b"]
    >>> texts, codes = np.tile([[1, 3, 4, 2], [1, 4, 2, 0]], (20, 1)), torch.eye(2).repeat(20, 1)
    >>> settings = {"layers": 1, "width": 8, "batch_size": 4, "epochs": 9, "seed": 0}
    >>> settings |= {"vocabulary": letters, "held_out": (codes[:2], texts[:2])}
    >>> writer, history = train_writer(codes, texts, **settings)
    >>> writer.generate(torch.eye(2))[:, :4].tolist()
    [[1, 3, 4, 2], [1, 4, 2, 0]]
    >>> history.steps, len(history.validation)
    (90, 9)
    """
    if vocabulary is None:
        vocabulary = copy_grammar().words
    words = vocabulary if isinstance(vocabulary, int | np.integer) else len(vocabulary)
    target = _check_texts(codes, tokens, int(words))
    torch.manual_seed(seed)
    length = max(MAX_LENGTH, np.shape(tokens)[1])
    config = {"layers": layers, "width": width, "length": length, "code_dim": codes.shape[1]}
    model = AdCopyGPT(GPTConfig(int(words), **config))
    settings = {"batch_size": batch_size, "learning_rate": learning_rate, "seed": seed}
    settings |= {"epochs": epochs, "weight_decay": 0.01}
    if held_out is not None:
        held = _check_texts(*held_out, int(words))
        settings["validation"] = [held_out[0], held[:, :-1]], held
    history = fit(model, [codes, target[:, :-1]], target, loss=next_word_loss, **settings)
    return model, history


def _check_texts(codes: Tensor, tokens: np.ndarray, words: int) -> Tensor:
    """Return texts without columns of mere pads, or refuse them or their codes."""
    aligned(codes=codes, tokens=tokens)
    numbers(codes, "codes", ndim=2)
    tokens = check_tokens(tokens, words)
    length = (tokens != PAD).sum(1)
    if length.min() < 2:
        raise ValueError(f"tokens, row {length.argmin()} holds nothing after <bos>: leave it out")
    return torch.tensor(tokens)[:, : length.max()]


def token_nats(model: AdCopyGPT, codes: Tensor, tokens: np.ndarray) -> np.ndarray:
    """Return the surprise of each token after ``<bos>`` → (N, T - 1), nats, 0 at pads.

    Explained in chapter ``ad-text``.

    Raises
    ------
    ValueError
        When a code is not finite, a word is none of the model's, or the rows differ in number.

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
    aligned(codes=codes, tokens=tokens)
    numbers(codes, "codes", ndim=2)
    target, parts = torch.tensor(check_tokens(tokens, model.config.n_words)), []
    for rows in torch.arange(len(target)).split(500):
        logits = predict(model, [codes[rows], target[rows, :-1]])
        following = target[rows, 1:]
        each = cross_entropy(logits.mT, following, ignore_index=PAD, reduction="none")
        parts.append(each.numpy())
    return np.concatenate(parts)
