"""Chapter 05: what a training GAN is doing, pictures in rows, and the clicks that ads earn."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import torch
from matplotlib.figure import Figure
from torch import Tensor

from pm_utils.creatives.adversarial import generator_loss
from pm_utils.creatives.image.archive import image_creatives
from pm_utils.creatives.image.evaluation import as_asked, attributes_read, noise_spread
from pm_utils.creatives.image.networks import SHOWN, AdImageFlow, AdImageGAN, image_request
from pm_utils.inputs import aligned, numbers, whole_numbers
from pm_utils.learning.diagnostics import switching_share
from pm_utils.learning.training import History
from pm_utils.market import Market
from pm_utils.market.renderer import contact_sheet
from pm_utils.page.scoreboard import Contest

MAKER_KINDS = {  # of the methods that are no network and no rival of one
    **dict.fromkeys(("additive", "archive", "any real ad"), "naive"),
    **dict.fromkeys(("GAN", "calm GAN", "GAN, no penalty", "flow", "calm flow"), "deep"),
}

SAID_OF_COLLAPSE = {  # by the games that collapsed
    frozenset(): "nothing collapsed here",
    frozenset({"hasty with R1", "hasty"}): (
        "it is the rates that collapse a game here, whether there is a penalty or not"
    ),
    frozenset({"no penalty", "hasty"}): "it is the missing penalty that collapses a game here",
    frozenset({"hasty"}): "hasty rates and a missing penalty have to meet",
    frozenset({"no penalty", "hasty with R1", "hasty"}): "either collapses it",
}


@dataclass
class DrawingTrace:
    """What a network draws while it trains; call it with the network and the step.

    Explained in chapter ``ad-images``.

    Attributes
    ----------
    attributes : array of shape (N, 5)
        Requests to draw, always with the same noise.
    steps : list of int
    pictures : list of arrays of shape (N, 32, 32, 3)
    complete : list of float
        Share of the ads that count and show all that was asked.
    """

    attributes: np.ndarray
    steps: list[int] = field(default_factory=list)
    pictures: list[np.ndarray] = field(default_factory=list)
    complete: list[float] = field(default_factory=list)

    def __call__(self, model: AdImageGAN | AdImageFlow, step: int) -> None:
        """Draw all requests, and let the market read the ads."""
        self.steps.append(step)
        self.pictures.append(model.sample(self.attributes))
        self.complete.append(float(as_asked(self.pictures[-1], self.attributes)[1].mean()))

    def record(self, history: History, **more: float) -> dict[str, Any]:
        """Return what a scoreboard keeps of the training; its curve is the share not complete."""
        curve = [1 - share for share in self.complete]
        return replace(history, validation=curve).record(**more)


@dataclass
class GanTrace(DrawingTrace):
    """What is noted while a GAN trains; call it with the GAN and the step.

    Explained in chapter ``ad-images``.

    Attributes
    ----------
    real : Tensor of shape (N, K)
        Strokes of a real ad for each request, which the GAN was not trained on.
    saturating, non_saturating : lists of float
        Norm of the generator's gradient under either loss.
    believed, believed_real : lists of float
        Mean of D on generated and on real ads.
    told_apart : list of float
        Share of both kinds on the right side of D = 1/2.
    """

    real: Tensor = field(kw_only=True)
    saturating: list[float] = field(default_factory=list)
    non_saturating: list[float] = field(default_factory=list)
    believed: list[float] = field(default_factory=list)
    believed_real: list[float] = field(default_factory=list)
    told_apart: list[float] = field(default_factory=list)

    def __call__(self, gan: AdImageGAN, step: int) -> None:
        """Note the size of both gradients, what the critic says, and the ads as they are."""
        super().__call__(gan, step)
        fake = fake_logits(gan, self.attributes)
        with torch.no_grad():
            real = gan.critic(self.real, image_request(self.attributes))
        right = torch.cat([fake < 0, real > 0]).double().mean()
        self.told_apart.append(right.item())
        self.believed.append(torch.sigmoid(fake).mean().item())
        self.believed_real.append(torch.sigmoid(real).mean().item())
        self.saturating.append(gradient_norm(gan, generator_loss(fake, saturating=True)))
        self.non_saturating.append(gradient_norm(gan, generator_loss(fake)))

    def frame(self) -> pd.DataFrame:
        """Return the notes that are numbers, one row per step."""
        names = ("saturating", "non_saturating", "believed", "believed_real", "told_apart")
        notes = {name: getattr(self, name) for name in (*names, "complete")}
        return pd.DataFrame(notes, index=self.steps)


@dataclass
class SpreadTrace:
    """How much the ads of one request differ while a GAN trains; call it with GAN and step.

    Explained in chapter ``ad-images``.

    Attributes
    ----------
    attributes : array of shape (N · repeats, 5)
        Each request `repeats` times in a row.
    repeats : int
    steps : list of int
    spread : list of float
        From `pm_utils.creatives.image.evaluation.noise_spread`.
    """

    attributes: np.ndarray
    repeats: int
    steps: list[int] = field(default_factory=list)
    spread: list[float] = field(default_factory=list)

    def __call__(self, gan: AdImageGAN, step: int) -> None:
        """Draw each request several times and note the deviation."""
        self.steps.append(step)
        self.spread.append(noise_spread(gan.sample(self.attributes), self.repeats))

    @property
    def collapsed(self) -> bool:
        """Whether the spread fell below half of the largest that this game has had."""
        return self.spread[-1] < max(self.spread) / 2


def fake_logits(gan: AdImageGAN, attributes: np.ndarray, *, seed: int = 0) -> Tensor:
    """Return what the critic gives to fresh ads of the generator → logits (N,)."""
    generator, request = torch.Generator().manual_seed(seed), image_request(attributes)
    noise = torch.randn(len(request), gan.generator.noise_dim, generator=generator)
    return gan.critic(gan.generator(noise, request), request)


def gradient_norm(gan: AdImageGAN, loss: Tensor) -> float:
    """Return the length of the gradient that a loss sends to the generator."""
    gradients = torch.autograd.grad(loss, list(gan.generator.parameters()), retain_graph=True)
    return torch.stack([gradient.square().sum() for gradient in gradients]).sum().sqrt().item()


def units_switching(model: AdImageGAN | AdImageFlow, asked: np.ndarray) -> float:
    """Return the share of hidden units that switch between requests, noises and times.

    Of a GAN, the generator is looked at; see `pm_utils.learning.diagnostics.switching_share`.

    Explained in chapter ``ad-images``.
    """
    request, rng = image_request(asked), torch.Generator().manual_seed(0)
    if isinstance(model, AdImageFlow):
        place = torch.randn(len(request), len(model.strokes.scale), generator=rng)
        return switching_share(model, [place, torch.rand(len(request), generator=rng), request])
    noise = torch.randn(len(request), model.generator.noise_dim, generator=rng)
    return switching_share(model.generator, [noise, request])


def said_of_collapse(collapsed: Collection[str]) -> str:
    """Say what collapses a game, from the names of those that did.

    A cause is named only if the games that have it collapsed, and no other.

    Explained in chapter ``ad-images``.

    Examples
    --------
    >>> from pm_utils.chapters.ad_images import said_of_collapse
    >>> said_of_collapse(["hasty with R1", "hasty"])
    'it is the rates that collapse a game here, whether there is a penalty or not'
    >>> said_of_collapse(["hasty with R1", "hasty", "as before"])
    'no single cause shows'
    """
    return SAID_OF_COLLAPSE.get(frozenset(collapsed), "no single cause shows")


def more_or_fewer(gap: tuple[float, float]) -> str:
    """Say what an interval of a difference shows: "more", "fewer" or neither.

    Explained in chapter ``ad-images``.

    Raises
    ------
    ValueError
        When an end is missing.

    Examples
    --------
    >>> from pm_utils.chapters.ad_images import more_or_fewer
    >>> [more_or_fewer(gap) for gap in ((0.1, 0.3), (-0.3, -0.1), (-0.1, 0.1))]
    ['more', 'fewer', 'neither clearly more nor fewer']
    """
    low, high = numbers(gap, "gap")
    return "more" if low > 0 else "fewer" if high < 0 else "neither clearly more nor fewer"


def said_of_copies(share: float, error: float) -> str:
    """Say whether ads lean to the archive, from the share that is nearer to it than to its twin.

    Explained in chapter ``ad-images``.

    Parameters
    ----------
    share, error : float
        The share, and twice its standard error.

    Raises
    ------
    ValueError
        When a number is missing, the share is none or the error is negative.

    Examples
    --------
    >>> from pm_utils.chapters.ad_images import said_of_copies
    >>> said_of_copies(0.52, 0.04)
    'Chance would do as much: no copies are found.'
    """
    numbers(share, "share", low=0, high=1, ndim=0), numbers(error, "error", low=0, ndim=0)
    if share - error <= 0.5:
        return "Chance would do as much: no copies are found."
    return (
        "That is more than chance would do: these ads lean to the archive they were learned from."
    )


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


def contrasting_customers(traits: pd.DataFrame, wanted: np.ndarray) -> list[int]:
    """Return, for each trait, the customer with most of it whose ad shows another category.

    Explained in chapter ``ad-images``.

    Parameters
    ----------
    traits : DataFrame of shape (N, T)
        A row per customer.
    wanted : array of shape (N, 5)
        The request made for each; the category comes first.

    Raises
    ------
    ValueError
        When the rows differ in number, or all customers left want a category already chosen.

    Examples
    --------
    The first customer has most of both traits; the second wants the same category.

    >>> import numpy as np
    >>> import pandas as pd
    >>> from pm_utils.chapters.ad_images import contrasting_customers
    >>> traits = pd.DataFrame({"pets": [0.9, 0.1, 0.0], "discounts": [0.8, 0.7, 0.6]})
    >>> contrasting_customers(traits, np.array([[3, 0], [3, 1], [5, 0]]))
    [0, 2]
    """
    aligned(traits=traits, wanted=wanted)
    category, who = np.asarray(wanted)[:, 0], []
    for trait, share in traits.items():
        free = ~np.isin(category, category[who])
        if not free.any():
            raise ValueError(f"no customer is left for {trait!r} who wants another category")
        who.append(int(np.where(free, share, -np.inf).argmax()))
    return who


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


def enter_makers(
    contest: Contest,
    test: pd.DataFrame,
    validation: Mapping[str, float],
    training: Mapping[str, dict[str, Any]],
) -> None:
    """Enter all methods of a contest, each as what it is.

    Explained in chapter ``ad-images``.

    Parameters
    ----------
    contest : Contest
    test : DataFrame
        A row per method, a column per metric. A name that begins with "null" is a null.
    validation : mapping
        Their scores by name; the nulls need none.
    training : mapping
        Of the networks: `History.record` by name.
    """
    for name, figures in test.iterrows():
        kind = "null" if name.startswith("null") else MAKER_KINDS.get(name, "classical")
        contest.enter(
            name,
            kind,
            test=figures.to_dict(),
            validation=None if kind == "null" else validation[name],
            training=training.get(name),
        )


def advice(verdict: str, rival: str) -> str:
    """Say whether to generate where there is no template, by the clicks of the ads.

    What the archive holds it shows as asked, which nobody can do better: only of the other
    requests is there something to find out.

    Explained in chapter ``ad-images``.

    Parameters
    ----------
    verdict : {"beats", "loses", "tie", "undertrained"}
        On the network for requests that the archive does not hold, from `Scoreboard.verdict`.
    rival : str
        The name of what it was compared with.

    Examples
    --------
    >>> from pm_utils.chapters.ad_images import advice
    >>> advice("beats", "moved archive")
    'Where the archive holds the request, take the archived ad. Where it does not, generate.'
    """
    said = {
        "beats": "generate",
        "loses": f"take the {rival}",
        "tie": (
            f"network and {rival} cannot be told apart: take the {rival}, which needs no network"
        ),
        "undertrained": "train the network longer before you decide",
    }
    held = "Where the archive holds the request, take the archived ad."
    return f"{held} Where it does not, {said[verdict]}."
