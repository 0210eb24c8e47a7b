"""Train the GAN, the flow and the classifier of still ads."""

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from pm_utils.creatives.adversarial import critic_loss, generator_loss, gradient_penalty
from pm_utils.creatives.image.networks import (
    AdImageFlow,
    AdImageGAN,
    AttributeNet,
    Strokes,
    attribute_loss,
    flow_loss,
)
from pm_utils.learning.training import fit, rise_and_fall

_WARM_UP = 50  # steps


PENALISE_EVERY = 8  # steps; the penalty of one step then counts eightfold


def train_image_classifier(
    images: Tensor, attributes: np.ndarray, *, epochs: int, seed: int
) -> AttributeNet:
    """Train the classifier whose features the distances are taken in.

    Explained in chapter ``ad-images``.
    """
    torch.manual_seed(seed)
    model = AttributeNet().to(memory_format=torch.channels_last)
    settings = {"epochs": epochs, "batch_size": 64, "learning_rate": 1e-2, "seed": seed}
    fit(model, [images], torch.as_tensor(attributes), loss=attribute_loss, **settings)
    return model


def new_gan(
    strokes: Strokes, weights: Tensor, request: Tensor, *, width: int, seed: int
) -> AdImageGAN:
    """Return an untrained GAN that starts from the mean ad of each request.

    Explained in chapter ``ad-images``.
    """
    torch.manual_seed(seed)
    gan = AdImageGAN(strokes, width=width)
    gan.start_from_means(weights, request)
    return gan


def train_image_gan(
    gan: AdImageGAN,
    weights: Tensor,
    request: Tensor,
    *,
    steps: int,
    seed: int,
    batch_size: int = 64,
    generator_rate: float = 3e-3,
    critic_rate: float = 3e-3,
    penalty: float = 10.0,
    watch: Callable[[AdImageGAN, int], None] | None = None,
    watch_every: int = 100,
) -> None:
    """Train generator and critic in turn, in place, and let the average follow.

    Both step sizes rise over the first steps and fall to nothing over the second half.

    Explained in chapter ``ad-images``.

    Parameters
    ----------
    gan : AdImageGAN
    weights : Tensor of shape (N, K)
        Real ads as strokes.
    request : Tensor of shape (N, R)
        What they show.
    steps, seed, batch_size : int
    generator_rate, critic_rate : float
        Adam's largest steps; a generator with rate 0 stands still.
    penalty : float
        Factor of half the gradient penalty R₁; 0 leaves it out.
    watch : callable, optional
        Called before the first step, and after every `watch_every`.
    watch_every : int

    References
    ----------
    Goodfellow et al. (2014), Generative adversarial nets, algorithm 1.
    Karras et al. (2020), Analyzing and improving the image quality of StyleGAN (penalty now and
    then).
    """
    rng = torch.Generator().manual_seed(seed)
    optimizers = [
        torch.optim.Adam(part.parameters(), rate, betas=(0.0, 0.99), fused=True)
        for part, rate in ((gan.generator, generator_rate), (gan.critic, critic_rate))
    ]
    factor = rise_and_fall(steps, _WARM_UP)
    schedulers = [torch.optim.lr_scheduler.LambdaLR(optimizer, factor) for optimizer in optimizers]
    if not generator_rate:  # then only the critic takes steps
        schedulers = schedulers[1:]
    for step in range(steps):
        if watch and step % watch_every == 0:
            watch(gan, step)
        rows = torch.randint(len(weights), (batch_size,), generator=rng)
        real, asked = weights[rows], request[rows]
        noise = torch.randn(batch_size, gan.generator.noise_dim, generator=rng)
        fake = gan.generator(noise, asked)
        now = penalty * PENALISE_EVERY * (step % PENALISE_EVERY == 0)
        _critic_step(gan, optimizers[1], real, fake.detach(), asked, penalty=now)
        if generator_rate:
            _generator_step(gan, optimizers[0], fake, asked)
            gan.update_average(min(0.995, (1 + step) / (10 + step)))
        for scheduler in schedulers:
            scheduler.step()
    if watch:
        watch(gan, steps)


def _critic_step(
    gan: AdImageGAN,
    optimizer: torch.optim.Optimizer,
    real: Tensor,
    fake: Tensor,
    asked: Tensor,
    *,
    penalty: float,
) -> None:
    gan.critic.requires_grad_(True)
    optimizer.zero_grad()
    loss = critic_loss(*gan.critic(torch.stack([real, fake]), asked))
    if penalty:
        loss = loss + penalty / 2 * gradient_penalty(gan.critic, real, asked)
    loss.backward()
    optimizer.step()


def _generator_step(
    gan: AdImageGAN, optimizer: torch.optim.Optimizer, fake: Tensor, asked: Tensor
) -> None:
    gan.critic.requires_grad_(False)  # its gradients are not needed now
    optimizer.zero_grad()
    generator_loss(gan.critic(fake, asked)).backward()
    optimizer.step()
    gan.critic.requires_grad_(True)


def train_flow(
    flow: AdImageFlow,
    weights: Tensor,
    request: Tensor,
    *,
    steps: int,
    seed: int,
    batch_size: int = 128,
    learning_rate: float = 5e-3,
) -> None:
    """Train the velocity on lines from noise to real ads, in place; the last weights count.

    Explained in chapter ``ad-images``.

    Parameters
    ----------
    flow : AdImageFlow
    weights, request : Tensors of shape (N, K) and (N, R)
        Real ads as strokes, and what they show.
    steps, seed, batch_size : int
    learning_rate : float
        Adam's largest step.
    """
    rng = torch.Generator().manual_seed(seed)
    optimizer = torch.optim.Adam(flow.parameters(), learning_rate, fused=True)
    scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer, rise_and_fall(steps, _WARM_UP))
    for _ in range(steps):
        rows = torch.randint(len(weights), (batch_size,), generator=rng)
        noise = torch.randn(batch_size, weights.shape[1], generator=rng)
        time = torch.rand(batch_size, generator=rng)
        optimizer.zero_grad()
        flow_loss(flow, noise, weights[rows], time, request[rows]).backward()
        optimizer.step()
        scheduler.step()
