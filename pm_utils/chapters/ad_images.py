"""Chapter 05: what a training GAN is doing, pictures in rows, and the clicks that ads earn."""

from dataclasses import dataclass, field

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import torch
from matplotlib.figure import Figure
from torch import Tensor

from pm_utils.creatives.adversarial import generator_loss
from pm_utils.creatives.image.archive import image_creatives
from pm_utils.creatives.image.evaluation import attributes_read
from pm_utils.creatives.image.networks import SHOWN, AdImageGAN, image_request
from pm_utils.inputs import whole_numbers
from pm_utils.market import Market
from pm_utils.market.renderer import contact_sheet


@dataclass
class GanTrace:
    """What is noted while a GAN trains; call it with the GAN and the step.

    Explained in chapter ``ad-images``.

    Attributes
    ----------
    attributes : array of shape (N, 5)
        Requests to draw, always with the same noise.
    steps : list of int
    saturating, non_saturating : lists of float
        Norm of the generator's gradient under either loss.
    believed : list of float
        Mean of D(G(z)).
    pictures : list of arrays of shape (N, 32, 32, 3)
    """

    attributes: np.ndarray
    steps: list[int] = field(default_factory=list)
    saturating: list[float] = field(default_factory=list)
    non_saturating: list[float] = field(default_factory=list)
    believed: list[float] = field(default_factory=list)
    pictures: list[np.ndarray] = field(default_factory=list)

    def __call__(self, gan: AdImageGAN, step: int) -> None:
        """Note the size of both gradients, the critic's belief and the ads as they are."""
        logit = fake_logits(gan, self.attributes)
        self.steps.append(step)
        self.believed.append(torch.sigmoid(logit).mean().item())
        self.saturating.append(gradient_norm(gan, generator_loss(logit, saturating=True)))
        self.non_saturating.append(gradient_norm(gan, generator_loss(logit)))
        self.pictures.append(gan.sample(self.attributes))

    def frame(self) -> pd.DataFrame:
        """Return the notes that are numbers, one row per step."""
        names = ("saturating", "non_saturating", "believed")
        return pd.DataFrame({k: getattr(self, k) for k in names}, index=self.steps)


def fake_logits(gan: AdImageGAN, attributes: np.ndarray, *, seed: int = 0) -> Tensor:
    """Return what the critic gives to fresh ads of the generator → logits (N,)."""
    generator, request = torch.Generator().manual_seed(seed), image_request(attributes)
    noise = torch.randn(len(request), gan.generator.noise_dim, generator=generator)
    return gan.critic(gan.generator(noise, request), request)


def gradient_norm(gan: AdImageGAN, loss: Tensor) -> float:
    """Return the length of the gradient that a loss sends to the generator."""
    gradients = torch.autograd.grad(loss, list(gan.generator.parameters()), retain_graph=True)
    return torch.stack([gradient.square().sum() for gradient in gradients]).sum().sqrt().item()


def more_or_fewer(gap: tuple[float, float]) -> str:
    """Say what an interval of a difference shows: "more", "fewer" or neither.

    Explained in chapter ``ad-images``.

    Examples
    --------
    >>> from pm_utils.chapters.ad_images import more_or_fewer
    >>> [more_or_fewer(gap) for gap in ((0.1, 0.3), (-0.3, -0.1), (-0.1, 0.1))]
    ['more', 'fewer', 'neither clearly more nor fewer']
    """
    low, high = gap
    return "more" if low > 0 else "fewer" if high < 0 else "neither clearly more nor fewer"


def picture_rows(rows: dict[str, np.ndarray], *, scale: int = 3) -> Figure:
    """Draw rows of pictures (n, 32, 32, 3), each with its name on the left.

    Explained in chapter ``ad-images``.
    """
    columns = len(next(iter(rows.values())))
    sheet = contact_sheet(np.concatenate(list(rows.values())), columns=columns, scale=scale)
    figure, axes = plt.subplots(figsize=(7, 6 * len(rows) / columns + 0.1))
    axes.imshow(sheet.clip(0, 1), interpolation="none")
    side = sheet.shape[0] / len(rows)
    axes.set_yticks([side * (row + 0.5) for row in range(len(rows))], list(rows))
    axes.tick_params(left=False)
    axes.set_xticks([])
    axes.spines[:].set_visible(False)
    return figure


def best_ads(market: Market, customers: np.ndarray) -> np.ndarray:
    """Return the ad that each customer truly likes best, as an oracle knows → (N, 5).

    Explained in chapter ``ad-images``.

    Raises
    ------
    ValueError
        When a customer is none of the market's.
    """
    customers = whole_numbers(customers, "customers", high=market.n_customers - 1)
    click_probability = market.click_table[customers]
    return market.creatives.codes()[click_probability.argmax(1)][:, : len(SHOWN)]


def true_clicks(market: Market, customers: np.ndarray, images: np.ndarray) -> np.ndarray:
    """Return P(click) of each customer on the ad drawn for them, judged by what it shows → (N,).

    Explained in chapter ``ad-images``.
    """
    attributes, valid = attributes_read(images)
    return valid * market.click_probability(customers, image_creatives(attributes))
