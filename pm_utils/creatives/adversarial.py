"""Losses and penalties of adversarial training, for images and clips alike."""

import torch
from torch import Tensor, nn
from torch.nn.functional import softplus

_WARM_UP = 50  # steps


def critic_loss(real_logit: Tensor, fake_logit: Tensor) -> Tensor:
    """Return -V(D, G), which the critic lowers: nats, a scalar."""
    return softplus(-real_logit).mean() + softplus(fake_logit).mean()


def generator_loss(fake_logit: Tensor, *, saturating: bool = False) -> Tensor:
    """Return mean log(1 - D(G(z))) as the source prints it, or -mean log D(G(z)): a scalar.

    Explained in chapter ``ad-images``.
    """
    return -softplus(fake_logit).mean() if saturating else softplus(-fake_logit).mean()


def gradient_penalty(critic: nn.Module, weights: Tensor, request: Tensor) -> Tensor:
    """Return R₁, the mean squared slope of the critic at real ads.

    Parameters
    ----------
    critic : callable
        ``critic(weights, request)`` → logits (B,).
    weights : Tensor of shape (B, K)
    request : Tensor of shape (B, R)

    Returns
    -------
    Tensor
        Scalar that can be differentiated once more.

    References
    ----------
    Mescheder, Geiger & Nowozin (2018), Which training methods for GANs do actually converge?
    """
    weights = weights.detach().requires_grad_()
    logit = critic(weights, request).sum()
    (gradient,) = torch.autograd.grad(logit, weights, create_graph=True)
    return gradient.square().sum(1).mean()
