"""Chapter 05 around its networks: archive, training, rivals without a network, and the judge."""

from collections.abc import Callable
from dataclasses import dataclass, field

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import torch
from matplotlib.figure import Figure
from sklearn.covariance import LedoitWolf
from sklearn.linear_model import Ridge
from sklearn.preprocessing import PolynomialFeatures
from torch import Tensor

from pm_utils.creatives.image.networks import (
    LEVELS,
    SHOWN,
    AdImageFlow,
    AdImageGAN,
    AttributeNet,
    Strokes,
    as_request,
    attribute_loss,
    critic_loss,
    flow_loss,
    generator_loss,
    gradient_penalty,
)
from pm_utils.evaluation.frechet import frechet_distance
from pm_utils.learning.training import fit, predict, rise_and_fall
from pm_utils.market import Creatives, Market, random_creatives
from pm_utils.market.ad_reader import read_images
from pm_utils.market.renderer import contact_sheet, render_images

PENALISE_EVERY = 8  # steps; the penalty of one step then counts eightfold
COVER_NEIGHBOURS = 3
SPREADS = (0.0, 0.25, 0.5, 1.0)  # tried for the calm Gaussian
_WARM_UP = 50  # steps

ALL_ADS = np.array(list(np.ndindex(LEVELS)))  # (5760, 5): all that a still picture can show


def as_creatives(attributes: np.ndarray) -> Creatives:
    """Return the still ads with the given attributes, codes (N, 5) in the order of `SHOWN`."""
    rest = np.zeros((2, len(attributes)), dtype=int)
    return Creatives(*np.asarray(attributes).T, *rest)


def archive(n: int, rng: np.random.Generator) -> tuple[Tensor, np.ndarray]:
    """Render ads with random attributes → pictures (n, 32, 32, 3), attributes (n, 5)."""
    creatives = random_creatives(n, rng)
    return torch.from_numpy(render_images(creatives, rng)), creatives.codes()[:, : len(SHOWN)]


def requests(n: int, rng: np.random.Generator) -> np.ndarray:
    """Draw what an archive of n ads would show → attributes (n, 5)."""
    return random_creatives(n, rng).codes()[:, : len(SHOWN)]


# --- Training ------------------------------------------------------------------------------------


def train_classifier(
    images: Tensor, attributes: np.ndarray, *, epochs: int, seed: int
) -> AttributeNet:
    """Train the classifier whose features the distances are taken in."""
    torch.manual_seed(seed)
    model = AttributeNet().to(memory_format=torch.channels_last)
    settings = {"epochs": epochs, "batch_size": 64, "learning_rate": 1e-2, "seed": seed}
    fit(model, [images], torch.as_tensor(attributes), loss=attribute_loss, **settings)
    return model


def classified(model: AttributeNet, images: Tensor) -> np.ndarray:
    """Return the likeliest level of each attribute → (N, 5)."""
    heads = predict(model, [images]).split(LEVELS, 1)
    return torch.stack([head.argmax(1) for head in heads], dim=1).numpy()


@dataclass
class Diary:
    """What is noted while a GAN trains; call it with the GAN and the step.

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
    draw, request = torch.Generator().manual_seed(seed), as_request(attributes)
    noise = torch.randn(len(request), gan.generator.noise_dim, generator=draw)
    return gan.critic(gan.generator(noise, request), request)


def gradient_norm(gan: AdImageGAN, loss: Tensor) -> float:
    """Return the length of the gradient that a loss sends to the generator."""
    slopes = torch.autograd.grad(loss, list(gan.generator.parameters()), retain_graph=True)
    return torch.stack([slope.square().sum() for slope in slopes]).sum().sqrt().item()


def new_gan(
    strokes: Strokes, weights: Tensor, request: Tensor, *, width: int, seed: int
) -> AdImageGAN:
    """Return an untrained GAN that starts from the mean ad of each request."""
    torch.manual_seed(seed)
    gan = AdImageGAN(strokes, width=width)
    gan.start_from_means(weights, request)
    return gan


def train_gan(
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
    draw = torch.Generator().manual_seed(seed)
    makers = [
        torch.optim.Adam(part.parameters(), rate, betas=(0.0, 0.99), fused=True)
        for part, rate in ((gan.generator, generator_rate), (gan.critic, critic_rate))
    ]
    course = rise_and_fall(steps, _WARM_UP)
    rates = [torch.optim.lr_scheduler.LambdaLR(maker, course) for maker in makers]
    if not generator_rate:  # then only the critic takes steps
        rates = rates[1:]
    for step in range(steps):
        if watch and step % watch_every == 0:
            watch(gan, step)
        rows = torch.randint(len(weights), (batch_size,), generator=draw)
        real, asked = weights[rows], request[rows]
        noise = torch.randn(batch_size, gan.generator.noise_dim, generator=draw)
        fake = gan.generator(noise, asked)
        now = penalty * PENALISE_EVERY * (step % PENALISE_EVERY == 0)
        _critic_step(gan, makers[1], real, fake.detach(), asked, penalty=now)
        if generator_rate:
            _generator_step(gan, makers[0], fake, asked)
            gan.follow(min(0.995, (1 + step) / (10 + step)))
        for rate in rates:
            rate.step()
    if watch:
        watch(gan, steps)


def _critic_step(
    gan: AdImageGAN,
    maker: torch.optim.Optimizer,
    real: Tensor,
    fake: Tensor,
    asked: Tensor,
    *,
    penalty: float,
) -> None:
    gan.critic.requires_grad_(True)
    maker.zero_grad()
    loss = critic_loss(*gan.critic(torch.stack([real, fake]), asked))
    if penalty:
        loss = loss + penalty / 2 * gradient_penalty(gan.critic, real, asked)
    loss.backward()
    maker.step()


def _generator_step(
    gan: AdImageGAN, maker: torch.optim.Optimizer, fake: Tensor, asked: Tensor
) -> None:
    gan.critic.requires_grad_(False)  # its slopes are not needed now
    maker.zero_grad()
    generator_loss(gan.critic(fake, asked)).backward()
    maker.step()
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

    Parameters
    ----------
    flow : AdImageFlow
    weights, request : Tensors of shape (N, K) and (N, R)
        Real ads as strokes, and what they show.
    steps, seed, batch_size : int
    learning_rate : float
        Adam's largest step.
    """
    draw = torch.Generator().manual_seed(seed)
    maker = torch.optim.Adam(flow.parameters(), learning_rate, fused=True)
    rate = torch.optim.lr_scheduler.LambdaLR(maker, rise_and_fall(steps, _WARM_UP))
    for _ in range(steps):
        rows = torch.randint(len(weights), (batch_size,), generator=draw)
        noise = torch.randn(batch_size, weights.shape[1], generator=draw)
        time = torch.rand(batch_size, generator=draw)
        maker.zero_grad()
        flow_loss(flow, noise, weights[rows], time, request[rows]).backward()
        maker.step()
        rate.step()


# --- Rivals without a network --------------------------------------------------------------------


def closest_request(attributes: np.ndarray, asked: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Find for each request the archived ad that agrees in most, the first of equals.

    Parameters
    ----------
    attributes, asked : arrays of shape (N, 5) and (M, 5)
        What the archived ads show, and what is asked for.

    Returns
    -------
    arrays of shape (M,)
        Which ad; in how many attributes it agrees.
    """
    agree = np.zeros((len(asked), len(attributes)), dtype=np.int8)
    for column in range(asked.shape[1]):
        agree += asked[:, [column]] == attributes[:, column]
    return agree.argmax(1), agree.max(1)


def additive_gaussian(
    images: Tensor, attributes: np.ndarray, asked: np.ndarray, rng: np.random.Generator
) -> np.ndarray:
    """Draw each pixel by itself: a mean that adds up over attribute levels, and a deviation.

    Parameters
    ----------
    images : Tensor of shape (N, 32, 32, 3)
    attributes, asked : arrays of shape (N, 5) and (M, 5)
        What the pictures show, and what shall be drawn.
    rng : Generator

    Returns
    -------
    array of shape (M, 32, 32, 3) in [0, 1]
    """
    flat, levels = images.flatten(1).numpy(), as_request(attributes)[:, : sum(LEVELS)].numpy()
    model = Ridge(alpha=1.0).fit(levels, flat)
    deviation = (flat - model.predict(levels)).std(axis=0)
    drawn = model.predict(as_request(asked)[:, : sum(LEVELS)].numpy())
    drawn += deviation * rng.standard_normal(drawn.shape, dtype=np.float32)
    return drawn.clip(0, 1).reshape(-1, *images.shape[1:])


class PCAGaussian:
    """Strokes drawn jointly: a mean from all pairs of levels, and one covariance of the rest.

    Parameters
    ----------
    strokes : Strokes
    weights : Tensor of shape (N, K)
        Archived ads as strokes.
    attributes : array of shape (N, 5)
        What they show.
    """

    def __init__(self, strokes: Strokes, weights: Tensor, attributes: np.ndarray) -> None:
        self.strokes = strokes
        self.pairs = PolynomialFeatures(2, interaction_only=True, include_bias=False)
        known = self.pairs.fit_transform(self._levels(attributes))
        self.mean = Ridge(alpha=1.0).fit(known, weights.numpy())
        rest = LedoitWolf().fit(weights.numpy() - self.mean.predict(known))
        self.root = np.linalg.cholesky(rest.covariance_)

    def draw(
        self, asked: np.ndarray, rng: np.random.Generator, *, spread: float = 1.0
    ) -> np.ndarray:
        """Draw one ad per request.

        Parameters
        ----------
        asked : array of shape (M, 5)
        rng : Generator
        spread : float
            Factor of the Gaussian's deviation: 1 draws from it, 0 paints its mean.

        Returns
        -------
        array of shape (M, 32, 32, 3) in [0, 1]

        Raises
        ------
        ValueError
            When the spread is negative.
        """
        if spread < 0:
            raise ValueError(f"spread is {spread}, give a factor of at least 0")
        drawn = self.mean.predict(self.pairs.transform(self._levels(asked)))
        drawn = drawn + spread * rng.standard_normal(drawn.shape) @ self.root.T
        return self.strokes.paint(torch.tensor(drawn, dtype=torch.float32)).numpy()

    @staticmethod
    def _levels(attributes: np.ndarray) -> np.ndarray:
        return as_request(attributes)[:, : sum(LEVELS)].numpy()


def best_spread(rival: PCAGaussian, trial: np.ndarray, *, seed: int) -> float:
    """Return the spread with the most complete ads on trial requests (M, 5)."""
    share = {}
    for spread in SPREADS:
        rng = np.random.default_rng(seed)  # the same noise for each
        share[spread] = as_asked(rival.draw(trial, rng, spread=spread), trial)[1].mean()
    return max(share, key=share.__getitem__)


# --- The judge -----------------------------------------------------------------------------------


def attributes_read(images: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Let the market read pictures → attributes (N, 5), whether each counts as an ad (N,)."""
    reading = read_images(images)
    return np.stack([getattr(reading, name) for name in SHOWN], axis=1), reading.valid


def as_asked(images: np.ndarray, asked: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Compare what the market reads with what was asked, ad by ad.

    Returns
    -------
    arrays of shape (N,)
        The share of the five attributes that are as asked; 1 where the ad counts and all are.
    """
    said, valid = attributes_read(images)
    right = said == asked
    return right.mean(axis=1), (right.all(axis=1) & valid).astype(float)


def more_or_fewer(gap: tuple[float, float]) -> str:
    """Say what an interval of a difference shows: "more", "fewer" or neither."""
    low, high = gap
    return "more" if low > 0 else "fewer" if high < 0 else "neither clearly more nor fewer"


class Judge:
    """Compares ads with real ones in the features of a classifier, and lets the market read them.

    Parameters
    ----------
    classifier : AttributeNet
    images : Tensor of shape (N, 32, 32, 3)
        Real ads that nobody trained on.
    attributes : array of shape (N, 5)
    """

    def __init__(self, classifier: AttributeNet, images: Tensor, attributes: np.ndarray) -> None:
        self.classifier = classifier
        raw = predict(classifier.features, [images]).numpy()
        self.centre, self.scale = raw.mean(0), raw.std(0)
        self.real = (raw - self.centre) / self.scale
        self.joint = with_request(self.real, attributes)

    def features(self, images: np.ndarray) -> np.ndarray:
        """Return features in deviations of the real ones → (N, F)."""
        raw = predict(self.classifier.features, [torch.as_tensor(images)]).numpy()
        return (raw - self.centre) / self.scale

    def look(self, images: np.ndarray, asked: np.ndarray) -> "Verdict":
        """Look at ads (M, 32, 32, 3) that were drawn for requests (M, 5), and let them be read."""
        said, valid = attributes_read(images)
        return Verdict(asked, self.features(images), said == asked, valid)

    def score(self, verdict: "Verdict") -> pd.Series:
        """Judge a set of ads.

        Returns
        -------
        Series
            *request* is the Fréchet distance of features and request together, *pictures* that
            of features alone; *attributes* the share read as asked; *complete* the share of
            ads that count with all five as asked.
        """
        scores = {
            "request": frechet_distance(self.joint, verdict.joint),
            "pictures": frechet_distance(self.real, verdict.features),
            "attributes": verdict.share.mean(),
            "complete": verdict.complete.mean(),
            "valid": verdict.valid.mean(),
            "coverage": coverage(self.real, verdict.features),
        }
        return pd.Series(scores)


@dataclass
class Verdict:
    """What the judge finds in each of M ads.

    Attributes
    ----------
    asked : array of shape (M, 5)
    features : array of shape (M, F)
    right : array of shape (M, 5), bool
        Which attributes are read as asked.
    valid : array of shape (M,), bool
        Whether the ad counts.
    """

    asked: np.ndarray
    features: np.ndarray
    right: np.ndarray
    valid: np.ndarray

    @property
    def joint(self) -> np.ndarray:
        """Features and request side by side."""
        return with_request(self.features, self.asked)

    @property
    def share(self) -> np.ndarray:
        """The share of the five attributes that are as asked → (M,)."""
        return self.right.mean(axis=1)

    @property
    def complete(self) -> np.ndarray:
        """1 where the ad counts and shows all that was asked → (M,)."""
        return (self.right.all(axis=1) & self.valid).astype(float)


def with_request(features: np.ndarray, asked: np.ndarray) -> np.ndarray:
    """Put the request's plain levels, scaled to deviations of 1, beside features → (N, F + 31)."""
    levels = as_request(asked)[:, : sum(LEVELS)].numpy()
    share = np.repeat([1 / n for n in LEVELS], LEVELS)
    return np.hstack([features, levels / np.sqrt(share * (1 - share))])


def coverage(real: np.ndarray, fake: np.ndarray, *, neighbours: int = COVER_NEIGHBOURS) -> float:
    """Return the share of real ads with a generated one nearer than their k-th real neighbour.

    Parameters
    ----------
    real, fake : arrays of shape (N, d) and (M, d)
    neighbours : int
        k; the real thing itself reaches about 1 - 2^-k when M = N.

    Returns
    -------
    float

    References
    ----------
    Naeem et al. (2020), Reliable fidelity and diversity metrics for generative models, eq. 5.
    """
    real, fake = torch.as_tensor(real), torch.as_tensor(fake)
    reach = torch.cdist(real, real).kthvalue(neighbours + 1, dim=1).values  # itself comes first
    return (torch.cdist(real, fake).amin(1) < reach).double().mean().item()


def nearest(images: np.ndarray, others: Tensor) -> tuple[np.ndarray, np.ndarray]:
    """Return the closest of other pictures: root mean square difference (N,), which one (N,)."""
    flat = torch.as_tensor(images).flatten(1)
    found = torch.cdist(flat, others.flatten(1)).min(1)
    return found.values.numpy() / flat.shape[1] ** 0.5, found.indices.numpy()


def noise_spread(images: np.ndarray, repeats: int) -> float:
    """Return the deviation between ads of one request, root mean square over pixels.

    Parameters
    ----------
    images : array of shape (N · repeats, 32, 32, 3)
        `repeats` ads of the first request, then those of the second…
    repeats : int
    """
    groups = images.reshape(-1, repeats, images[0].size)
    return float(np.sqrt(groups.var(axis=1, ddof=1).mean()))


def picture_rows(rows: dict[str, np.ndarray], *, scale: int = 3) -> Figure:
    """Draw rows of pictures (n, 32, 32, 3), each with its name on the left."""
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


# --- Customers -----------------------------------------------------------------------------------


def best_ads(market: Market, customers: np.ndarray) -> np.ndarray:
    """Return the ad that each customer truly likes best, as an oracle knows → (N, 5)."""
    liking = market.click_table[customers]
    return market.creatives.codes()[liking.argmax(1)][:, : len(SHOWN)]


def true_clicks(market: Market, customers: np.ndarray, images: np.ndarray) -> np.ndarray:
    """Return P(click) of each customer on the ad drawn for them, judged by what it shows → (N,)."""
    said, valid = attributes_read(images)
    return valid * market.click_probability(customers, as_creatives(said))
