"""Train the GAN, the flow and the classifier of still ads."""

from collections.abc import Callable, Sequence
from functools import partial

import numpy as np
import torch
from torch import Tensor

from pm_utils.creatives.adversarial import critic_loss, generator_loss, gradient_penalty
from pm_utils.creatives.image.networks import (
    IMAGE_LEVELS,
    AdImageFlow,
    AdImageGAN,
    AttributeNet,
    Strokes,
    attribute_codes,
    attribute_loss,
    flow_loss,
    request_width,
)
from pm_utils.inputs import aligned, numbers, whole_numbers
from pm_utils.learning.training import History, fit, rise_and_fall

_WARM_UP = 50  # steps


PENALISE_EVERY = 8  # steps; the penalty of one step then counts eightfold


def train_image_classifier(
    images: Tensor,
    attributes: np.ndarray,
    *,
    epochs: int,
    seed: int,
    levels: Sequence[int] = IMAGE_LEVELS,
) -> AttributeNet:
    """Train the classifier whose features the distances are taken in.

    Explained in chapter ``ad-images``.

    Parameters
    ----------
    images : Tensor of shape (N, H, W, C)
        In [0, 1].
    attributes : array of shape (N, A), int
        What they show.
    epochs, seed : int
    levels : sequence of A ints
        How many levels each attribute has.

    Raises
    ------
    ValueError
        When a picture is not finite, an attribute is out of range, or the rows differ in number.

    Examples
    --------
    >>> import numpy as np
    >>> import torch
    >>> from pm_utils.creatives.image.training import train_image_classifier
    >>> digits = torch.rand(9, 8, 8, 1, generator=torch.Generator().manual_seed(0))
    >>> model = train_image_classifier(
    ...     digits, np.arange(9)[:, None], epochs=1, seed=0, levels=(10,)
    ... )
    >>> model(digits).shape
    torch.Size([9, 10])
    """
    aligned(images=images, attributes=attributes)
    numbers(images, "images", ndim=4)
    attributes = attribute_codes(attributes, levels)
    torch.manual_seed(seed)
    model = AttributeNet(levels=levels, shape=tuple(images.shape[1:])).to(
        memory_format=torch.channels_last
    )
    settings = {"epochs": epochs, "batch_size": 64, "learning_rate": 1e-2, "seed": seed}
    loss = partial(attribute_loss, levels=levels)
    fit(model, [images], torch.as_tensor(attributes), loss=loss, **settings)
    return model


def new_gan(
    strokes: Strokes,
    weights: Tensor,
    request: Tensor,
    *,
    width: int,
    seed: int,
    levels: Sequence[int] = IMAGE_LEVELS,
) -> AdImageGAN:
    """Return an untrained GAN that starts from the mean ad of each request.

    Explained in chapter ``ad-images``.
    """
    torch.manual_seed(seed)
    gan = AdImageGAN(strokes, width=width, levels=levels)
    _check_archive(weights, request, gan.levels)
    gan.start_from_means(weights, request)
    return gan


def new_flow(
    strokes: Strokes,
    weights: Tensor,
    request: Tensor,
    *,
    width: int,
    seed: int,
    levels: Sequence[int] = IMAGE_LEVELS,
) -> AdImageFlow:
    """Return an untrained flow that points at the mean ad of each request.

    Explained in chapter ``ad-images``.
    """
    torch.manual_seed(seed)
    flow = AdImageFlow(strokes, width=width, levels=levels)
    _check_archive(weights, request, flow.levels)
    flow.start_from_means(weights, request)
    return flow


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
) -> History:
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

    Returns
    -------
    History
        Its steps and rows; a game has no loss that says how good the ads are, so no curve.

    Raises
    ------
    ValueError
        When a weight or a request is not finite, the rows differ in number, or the request is of
        other attributes.

    References
    ----------
    Goodfellow et al. (2014), Generative adversarial nets, algorithm 1.
    Karras et al. (2020), Analyzing and improving the image quality of StyleGAN (penalty now and
    then).
    """
    _check_archive(weights, request, gan.levels)
    whole_numbers(steps, "steps", low=1), numbers(penalty, "penalty", low=0)
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
    return History(steps=steps, rows=steps * batch_size)


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
    learning_rate: float = 4e-3,
    watch: Callable[[AdImageFlow, int], None] | None = None,
    watch_every: int = 100,
) -> History:
    """Train the velocity on lines from noise to real ads, in place; the last weights count.

    Times in the middle of the lines are drawn more often than those near their ends, where there is
    little to learn: the logit of a time is normal.

    Explained in chapter ``ad-images``.

    Parameters
    ----------
    flow : AdImageFlow
    weights, request : Tensors of shape (N, K) and (N, R)
        Real ads as strokes, and what they show.
    steps, seed, batch_size : int
    learning_rate : float
        Adam's largest step.
    watch : callable, optional
        Called before the first step, and after every `watch_every`.
    watch_every : int

    Returns
    -------
    History
        Its steps and rows.

    Raises
    ------
    ValueError
        As `train_image_gan`.

    References
    ----------
    Esser et al. (2024), Scaling rectified flow transformers for high-resolution image synthesis
    (times whose logit is normal).
    """
    _check_archive(weights, request, flow.levels)
    whole_numbers(steps, "steps", low=1)
    rng = torch.Generator().manual_seed(seed)
    optimizer = torch.optim.Adam(flow.parameters(), learning_rate, fused=True)
    scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer, rise_and_fall(steps, _WARM_UP))
    for step in range(steps):
        if watch and step % watch_every == 0:
            watch(flow, step)
        rows = torch.randint(len(weights), (batch_size,), generator=rng)
        noise = torch.randn(batch_size, weights.shape[1], generator=rng)
        time = torch.sigmoid(torch.randn(batch_size, generator=rng))
        optimizer.zero_grad()
        flow_loss(flow, noise, weights[rows], time, request[rows]).backward()
        optimizer.step()
        scheduler.step()
    if watch:
        watch(flow, steps)
    return History(steps=steps, rows=steps * batch_size)


def _check_archive(weights: Tensor, request: Tensor, levels: Sequence[int]) -> None:
    """Refuse strokes and requests that do not belong together or are no numbers."""
    aligned(weights=weights, request=request)
    numbers(weights, "weights", ndim=2)
    numbers(request, "request", ndim=2)
    if request.shape[1] != request_width(levels):
        raise ValueError(
            f"request has shape {tuple(request.shape)}, and attributes of {tuple(levels)} levels "
            f"make {request_width(levels)} columns: write it with `image_request`"
        )
