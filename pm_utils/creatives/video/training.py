"""Train the VAE, the GAN and the classifier of clips."""

import math
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from pm_utils.creatives.adversarial import critic_loss, generator_loss, gradient_penalty
from pm_utils.creatives.video.archive import check_clips, check_requests, clip_codes
from pm_utils.creatives.video.networks import (
    PIXELS,
    AdVideoGAN,
    AdVideoVAE,
    ClipClassifier,
    ClipCritic,
    classifier_loss,
    negative_elbo,
)
from pm_utils.inputs import whole_numbers
from pm_utils.learning.training import History, fit, rise_and_fall
from pm_utils.market.renderer import FRAMES

BLUR = 0.1  # deviation of the noise on all frames that critics see
PENALTY = 4.0  # factor of half of R₁


def train_vae(
    clips: Tensor,
    request: Tensor,
    *,
    epochs: int,
    learning_rate: float = 4e-3,
    seed: int,
    width: int = 96,
    sigma: float | None = None,
    validation: tuple[Tensor, Tensor] | None = None,
) -> tuple[AdVideoVAE, History]:
    """Train a VAE on clips (N, 12, 3, 32, 32) and requests (N, 31) by its ELBO.

    Of clips and requests that are held out in `validation` the history has a curve, and the
    weights that are best on them are kept.

    Explained in chapter ``ad-video``.

    Raises
    ------
    ValueError
        When a clip or a request has another shape or is not finite, or they differ in number.
    """
    check_requests(clips, request)
    torch.manual_seed(seed)
    model = AdVideoVAE(width=width, sigma=sigma)
    settings = {"epochs": epochs, "batch_size": 16, "learning_rate": learning_rate, "seed": seed}
    held = None if validation is None else (list(validation), validation[1])
    history = fit(model, [clips, request], request, loss=negative_elbo, validation=held, **settings)
    return model, history


def train_clip_classifier(
    clips: Tensor, codes: np.ndarray, *, epochs: int, seed: int
) -> ClipClassifier:
    """Train the classifier whose features the Fréchet distances are taken in.

    Explained in chapter ``ad-video``.

    Raises
    ------
    ValueError
        When a clip has another shape or is not finite, a code is out of range, or they differ in
        number.
    """
    check_clips(clips, codes=codes)
    codes = clip_codes(codes)
    torch.manual_seed(seed)
    model = ClipClassifier()
    settings = {"epochs": epochs, "batch_size": 32, "learning_rate": 4e-3, "seed": seed}
    fit(model, [clips], torch.as_tensor(codes[:, [0, 1, 3]]), loss=classifier_loss, **settings)
    return model


def mean_error_sigma() -> float:
    """Return the deviation that "mean squared error + KL" believes in, without saying so.

    The Gaussian's term is Σ error² / 2σ². A mean over the P numbers of a clip is the same sum with
    2σ² = P.

    Explained in chapter ``ad-video``.

    Examples
    --------
    Far above any error of a pixel between 0 and 1: such a loss hardly listens to the clip.

    >>> from pm_utils.creatives.video.training import mean_error_sigma
    >>> round(mean_error_sigma(), 1)
    135.8
    """
    return math.sqrt(PIXELS / 2)


def train_clip_gan(
    gan: AdVideoGAN,
    clips: Tensor,
    request: Tensor,
    *,
    steps: int,
    seed: int,
    watch: Callable[[AdVideoGAN, int], None] | None = None,
    watch_every: int = 50,
) -> None:
    """Train a generator against both critics, in place.

    What the painter has learned already may only change slowly; motion learns fast. Real and
    generated frames get noise, and R₁ holds the critics' gradients at real ones: without either the
    critics win within some steps.

    Explained in chapter ``ad-video``.

    Parameters
    ----------
    gan : AdVideoGAN
    clips, request : Tensors of shape (N, 12, 3, 32, 32) and (N, 31)
    steps, seed : int
    watch : callable, optional
        Called with the GAN and the step, before the first and after every `watch_every`.
    watch_every : int

    Raises
    ------
    ValueError
        As `train_vae`.

    References
    ----------
    Tulyakov et al. (2018), MoCoGAN: decomposing motion and content for video generation.
    Mescheder, Geiger & Nowozin (2018), Which training methods for GANs do actually converge?
    """
    check_requests(clips, request)
    whole_numbers(steps, "steps", low=1)
    rng = torch.Generator().manual_seed(seed)
    optimizers = _optimizers(gan)
    factor = rise_and_fall(steps, warm_up=30)
    schedulers = [torch.optim.lr_scheduler.LambdaLR(optimizer, factor) for optimizer in optimizers]
    for step in range(steps):
        if watch and step % watch_every == 0:
            watch(gan, step)
        rows = torch.randint(len(clips), (16,), generator=rng)
        frame, asked = step % (FRAMES // 2), request[rows]
        real, fake = clips[rows, 1::2], gan.generator.sample(asked, rng, every=2)
        real, fake = (x + BLUR * torch.randn(x.shape, generator=rng) for x in (real, fake))
        _critics_step(gan, optimizers[1], real, fake.detach(), asked, frame, penalise=step % 4 == 0)
        _generator_step(gan, optimizers[0], fake, asked, frame)
        gan.update_average(min(0.95, (1 + step) / (10 + step)))
        for scheduler in schedulers:
            scheduler.step()
    if watch:
        watch(gan, steps)


def _optimizers(gan: AdVideoGAN) -> tuple[torch.optim.Optimizer, torch.optim.Optimizer]:
    draws = {"params": list(gan.generator.painter.parameters()), "lr": 3e-4}
    moves = {"params": [*gan.generator.motion.parameters(), *gan.generator.velocity.parameters()]}
    common = {"betas": (0.0, 0.99), "fused": True}
    generator = torch.optim.Adam([draws, moves], 1e-2, **common)
    return generator, torch.optim.Adam(gan.critic_parameters(), 5e-3, **common)


def _critics_step(
    gan: AdVideoGAN,
    optimizer: torch.optim.Optimizer,
    real: Tensor,
    fake: Tensor,
    asked: Tensor,
    frame: int,
    *,
    penalise: bool,
) -> None:
    logits = gan.critic_logits(torch.cat([real, fake]), asked.repeat(2, 1), frame)
    loss = sum(critic_loss(*logit.chunk(2)) for logit in logits)
    if penalise:  # one step in four, so four times as much
        critics = (gan.image_critic, gan.motion_critic)
        inputs = gan.critic_inputs(real, asked, frame)
        penalties = (frame_penalty(c, *seen) for c, seen in zip(critics, inputs, strict=True))
        loss = loss + 4 * PENALTY / 2 * sum(penalties)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()


def frame_penalty(critic: ClipCritic, frames: Tensor, request: Tensor) -> Tensor:
    """Return R₁ of a critic of frames (B, T, 3, 32, 32) → scalar."""

    def on_numbers(flat: Tensor, asked: Tensor) -> Tensor:
        return critic(flat.view_as(frames), asked)

    return gradient_penalty(on_numbers, frames.flatten(1), request)


def _generator_step(
    gan: AdVideoGAN, optimizer: torch.optim.Optimizer, fake: Tensor, asked: Tensor, frame: int
) -> None:
    for part in (gan.image_critic, gan.motion_critic):
        part.requires_grad_(False)
    optimizer.zero_grad()
    sum(generator_loss(logit) for logit in gan.critic_logits(fake, asked, frame)).backward()
    optimizer.step()
    for part in (gan.image_critic, gan.motion_critic):
        part.requires_grad_(True)
