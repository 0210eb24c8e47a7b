"""Chapter 07: both networks on a simulated log whose probabilities are known."""

import numpy as np
import torch
from torch import nn

from pm_utils.learning.training import fit, predict
from pm_utils.targeting.interest.networks import DeepInterestNet, PooledInterestNet
from pm_utils.targeting.interest.simulated import simulated_clicks


def known_truth(
    n_train: int, n_test: int, *, items: int = 300, epochs: int = 3, seed: int
) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """Train both networks and a null on a simulated log, and let the oracle say what it knows.

    Explained in chapter ``interest``.

    Parameters
    ----------
    n_train, n_test : int
        Impressions.
    items, epochs, seed : int

    Returns
    -------
    click : array of shape (n_test,)
    probabilities : dict of arrays of shape (n_test,)
        ``"click rate"`` (of the item, in training), ``"pooled"``, ``"DIN"``, ``"null"``,
        ``"oracle"``.
    """
    log = simulated_clicks(n_train + n_test, users=3000, items=items, seed=seed)
    learn, test = slice(n_train), slice(n_train, None)
    shown = np.bincount(log.item[learn], minlength=items + 1)
    rate = np.bincount(log.item[learn], log.click[learn], items + 1) + log.click[learn].mean()
    probabilities = {"click rate": (rate / (shown + 1))[log.item[test]]}
    rows, click = [torch.from_numpy(part) for part in (log.item, log.history)], log.click[learn]
    shuffled = np.random.default_rng(seed).permutation(click)
    settings = {"epochs": epochs, "batch_size": 512, "learning_rate": 2e-2, "seed": seed}
    settings["loss"] = nn.functional.binary_cross_entropy_with_logits
    for name, kind, target in (
        ("pooled", PooledInterestNet, click),
        ("DIN", DeepInterestNet, click),
        ("null", DeepInterestNet, shuffled),
    ):
        torch.manual_seed(seed)
        net = kind(items, hidden=(64, 32))
        fit(net, [part[learn] for part in rows], torch.from_numpy(target), **settings)
        logits = predict(net, [part[test] for part in rows], batch_size=512)
        probabilities[name] = logits.sigmoid().double().numpy()
    return log.click[test], probabilities | {"oracle": log.probability[test]}
