"""Losses and penalties of adversarial training, for images and clips alike."""

import torch
from torch import Tensor, nn
from torch.nn.functional import softplus


def critic_loss(real_logit: Tensor, fake_logit: Tensor) -> Tensor:
    """Return -V(D, G), which the critic lowers: nats, a scalar.

    Parameters
    ----------
    real_logit, fake_logit : Tensors of any shape
        What the critic says of real and of generated ads; above 0 it takes them for real.

    References
    ----------
    Goodfellow et al. (2014), Generative adversarial nets, eq. 1.

    Examples
    --------
    A critic that cannot tell pays log 2 twice; one that is sure and right pays nothing.

    >>> import torch
    >>> from pm_utils.creatives.adversarial import critic_loss
    >>> round(critic_loss(torch.zeros(3), torch.zeros(2)).item(), 4)
    1.3863
    >>> round(critic_loss(torch.tensor([40.0]), torch.tensor([-40.0])).item(), 4)
    0.0
    """
    return softplus(-real_logit).mean() + softplus(fake_logit).mean()


def generator_loss(fake_logit: Tensor, *, saturating: bool = False) -> Tensor:
    """Return mean log(1 - D(G(z))) as the source prints it, or -mean log D(G(z)): a scalar.

    Explained in chapter ``ad-images``.

    Parameters
    ----------
    fake_logit : Tensor of any shape
        What the critic says of generated ads; above 0 it takes them for real.
    saturating : bool
        Whether to return the loss as printed.

    References
    ----------
    Goodfellow et al. (2014), Generative adversarial nets, §3 (both losses).

    Examples
    --------
    Where the critic is sure that an ad is fake, the printed loss has hardly a gradient left.

    >>> import torch
    >>> from pm_utils.creatives.adversarial import generator_loss
    >>> logit = torch.tensor([-4.0], requires_grad=True)
    >>> for saturating in (True, False):
    ...     loss = generator_loss(logit, saturating=saturating)
    ...     print(round(torch.autograd.grad(loss, logit)[0].item(), 3))
    -0.018
    -0.982
    """
    return -softplus(fake_logit).mean() if saturating else softplus(-fake_logit).mean()


def gradient_penalty(critic: nn.Module, weights: Tensor, request: Tensor) -> Tensor:
    """Return R₁, the mean squared length of the critic's gradient at real ads.

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

    Examples
    --------
    The gradient of a linear critic is the same everywhere: here 3² + 4² = 25.

    >>> import torch
    >>> from pm_utils.creatives.adversarial import gradient_penalty
    >>> def critic(weights, request):
    ...     return weights @ torch.tensor([3.0, -4.0])
    >>> gradient_penalty(critic, torch.ones(2, 2), torch.zeros(2, 1)).item()
    25.0
    """
    weights = weights.detach().requires_grad_()
    logit = critic(weights, request).sum()
    (gradient,) = torch.autograd.grad(logit, weights, create_graph=True)
    return gradient.square().sum(1).mean()
