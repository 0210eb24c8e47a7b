"""Chapter 06 around its networks: clips, rivals without a network, judges, and a player."""

import base64
import html
import io
import math
from collections.abc import Callable

import numpy as np
import pandas as pd
import torch
from IPython.display import HTML
from matplotlib import pyplot as plt
from matplotlib.figure import Figure
from PIL import Image
from sklearn.decomposition import PCA
from sklearn.linear_model import Ridge
from sklearn.preprocessing import PolynomialFeatures
from torch import Tensor
from torch.nn.functional import one_hot

from pm_utils.creatives.image.networks import SHOWN, critic_loss, generator_loss, gradient_penalty
from pm_utils.creatives.video.networks import (
    CONTENT,
    JUDGED,
    LEVELS,
    MOTION,
    PIXELS,
    AdVideoGAN,
    AdVideoVAE,
    ClipClassifier,
    ClipCritic,
    ClipGenerator,
    classifier_loss,
    negative_elbo,
)
from pm_utils.learning.training import fit, predict, rise_and_fall
from pm_utils.market import ATTRIBUTES, Creatives
from pm_utils.market.ad_reader import ClipReading, read_clips
from pm_utils.market.renderer import FRAMES, NOISE, SIZE, contact_sheet, render_clips

# --- Clips and what they show --------------------------------------------------------------------

STEPS = (*LEVELS.values(), MOTION)
BLUR = 0.1  # deviation of the noise on all frames that critics see
PENALTY = 4.0  # factor of half of R₁
CATALOGUE = np.array(list(np.ndindex(STEPS)))  # (2592, 4): all that a clip of the chapter can show


def as_creatives(codes: np.ndarray) -> Creatives:
    """Return plain ads without discount: codes (N, 4) of category, palette, layout and motion.

    The code of a motion is 0 for still, then left slow, left fast, right slow and so on.
    """
    category, palette, layout, cell = np.asarray(codes).T
    none = np.zeros(len(category), dtype=int)
    return Creatives(
        category, none, none, palette, layout, (cell + 1) // 2, (cell + 1) % 2 * (cell > 0)
    )


def as_codes(ads: Creatives) -> np.ndarray:
    """Return category, palette, layout and motion of ads → (N, 4); undoes `as_creatives`."""
    moving = 2 * ads.motion - 1 + ads.speed
    cell = np.where(ads.motion > 0, moving, 0)
    return np.stack([ads.category, ads.palette, ads.layout, cell], axis=1)


def as_request(codes: np.ndarray) -> Tensor:
    """Write codes (N, 4) as numbers 0 and 1, one per level → (N, 31)."""
    columns = torch.as_tensor(np.asarray(codes), dtype=torch.long).unbind(1)
    parts = [one_hot(column, n) for column, n in zip(columns, STEPS, strict=True)]
    return torch.cat(parts, 1).float()


def shoot(codes: np.ndarray, rng: np.random.Generator) -> Tensor:
    """Render a real clip of each ad, codes (N, 4), in a new scene → (N, 12, 3, 32, 32)."""
    clips = torch.from_numpy(render_clips(as_creatives(codes), rng))
    return clips.permute(0, 1, 4, 2, 3).contiguous()


def archive(n: int, rng: np.random.Generator) -> tuple[Tensor, np.ndarray]:
    """Render clips of random ads → clips (n, 12, 3, 32, 32), codes (n, 4)."""
    codes = CATALOGUE[rng.integers(len(CATALOGUE), size=n)]
    # Still ads are one motion in five, not one in nine.
    codes[:, 3] = np.where(rng.random(n) < 0.2, 0, rng.integers(1, MOTION, size=n))
    return shoot(codes, rng), codes


def as_pictures(clips: Tensor) -> np.ndarray:
    """Clips (N, 12, 3, 32, 32) → arrays (N, 12, 32, 32, 3) clipped to [0, 1]."""
    return clips.detach().clamp(0, 1).permute(0, 1, 3, 4, 2).numpy()


class LinearClips:
    """Linear dynamics on principal components of frames, fitted for each motion.

    The state of the last frame is a Gaussian around a linear function of the attributes and their
    pairs. Each earlier state is a linear function of the next one and of the attributes, one
    function per motion: a vector autoregression that runs from the picture, where all is in view,
    back to the beginning.

    Parameters
    ----------
    components : int
    strength : float
        Ridge penalty of the dynamics.
    """

    def __init__(self, components: int = 96, strength: float = 1.0) -> None:
        few = {"svd_solver": "randomized", "iterated_power": 2, "random_state": 0}
        self.pca = PCA(components, **few)
        self.strength = strength

    def fit(self, clips: Tensor, codes: np.ndarray) -> "LinearClips":
        """Learn from clips (N, 12, 3, 32, 32) and codes (N, 4)."""
        frames = clips.flatten(2).numpy()  # (N, 12, 3072)
        some = np.arange(len(frames)) % FRAMES
        self.pca.fit(np.concatenate([frames[:, -1], frames[np.arange(len(frames)), some]]))
        states = self.states(clips)
        known = self._pairs(codes)
        self.last = Ridge(1.0).fit(known, states[:, -1])
        rest = states[:, -1] - self.last.predict(known)
        self.spread = np.linalg.cholesky(np.cov(rest.T) + 1e-6 * np.eye(rest.shape[1]))
        self.back = {}
        for cell in np.unique(codes[:, 3]):
            rows = codes[:, 3] == cell
            seen = self._seen(states[rows, 1:], codes[rows])
            goal = states[rows, :-1].reshape(len(seen), -1)
            self.back[cell] = Ridge(self.strength).fit(seen, goal)
        return self

    def states(self, clips: Tensor) -> np.ndarray:
        """Clips → components of each frame (N, 12, K)."""
        flat = clips.flatten(2).numpy()
        return self.pca.transform(flat.reshape(-1, flat.shape[2])).reshape(len(flat), FRAMES, -1)

    def unroll(self, last: np.ndarray, codes: np.ndarray) -> Tensor:
        """Last states (N, K), codes (N, 4) → clips, back from the last frame."""
        states = [last]
        for _ in range(FRAMES - 1):
            before = np.empty_like(last)
            for cell in np.unique(codes[:, 3]):
                rows = codes[:, 3] == cell
                seen = self._seen(states[0][rows, None], codes[rows])
                before[rows] = self.back[cell].predict(seen)
            states.insert(0, before)
        flat = self.pca.inverse_transform(np.concatenate(states))  # frame by frame
        clips = flat.reshape(FRAMES, len(last), 3, SIZE, SIZE).swapaxes(0, 1)
        return torch.tensor(clips, dtype=torch.float32)

    def sample(
        self, codes: np.ndarray, rng: np.random.Generator, *, boldness: float = 1.0
    ) -> Tensor:
        """Codes (N, 4) → one clip each.

        The last state is drawn with `boldness` times the deviation that was fitted: 1 varies like
        real clips, 0 takes the mean.
        """
        mean = self.last.predict(self._pairs(codes))
        drawn = boldness * rng.standard_normal(mean.shape) @ self.spread.T
        return self.unroll(mean + drawn, codes)

    @staticmethod
    def _pairs(codes: np.ndarray) -> np.ndarray:
        known = as_request(codes)[:, :CONTENT].numpy()
        pairs = PolynomialFeatures(2, interaction_only=True, include_bias=False)
        return pairs.fit_transform(known)

    @staticmethod
    def _seen(states: np.ndarray, codes: np.ndarray) -> np.ndarray:
        known = as_request(codes)[:, :CONTENT].numpy()
        known = np.repeat(known, states.shape[1], axis=0)
        return np.hstack([states.reshape(len(known), -1), known])

    def squeeze(self, states: np.ndarray, codes: np.ndarray, numbers: int) -> np.ndarray:
        """Keep so many numbers of the last states (N, K), beside the attributes → (N, K).

        What the attributes do not say is projected on its first principal axes.
        """
        mean = self.last.predict(self._pairs(codes))
        _, axes = np.linalg.eigh(self.spread @ self.spread.T)
        kept = axes[:, -numbers:]
        return mean + (states - mean) @ kept @ kept.T


def tune_boldness(
    linear: LinearClips, asked: np.ndarray, rng: np.random.Generator
) -> tuple[float, pd.Series]:
    """Choose how boldly linear dynamics draw: by the share of trial clips that count.

    Parameters
    ----------
    linear : LinearClips
    asked : array of shape (N, 4)
        Codes of ads that are used for nothing else.
    rng : Generator

    Returns
    -------
    float
        The boldness with most clips that count.
    Series
        That share for each boldness tried.
    """
    share = {}
    for boldness in (0.0, 0.3, 0.6, 1.0):
        clips = as_filmed(linear.sample(asked, rng, boldness=boldness), rng)
        share[boldness] = judge(clips, asked)["counts"].mean()
    found = pd.Series(share, name="clips that count")
    return float(found.idxmax()), found


def stills(clips: Tensor, codes: np.ndarray, asked: np.ndarray, rng: np.random.Generator) -> Tensor:
    """Repeat the last frame of an archived clip with the content asked for, if there is one.

    Parameters
    ----------
    clips : Tensor of shape (N, 12, 3, 32, 32)
    codes, asked : arrays of shape (N, 4) and (M, 4)
    rng : Generator

    Returns
    -------
    Tensor of shape (M, 12, 3, 32, 32)
        Where several fit best, any of them.
    """
    fits = (codes[None, :, :3] == asked[:, None, :3]).sum(2) + 0.5 * rng.random(
        (len(asked), len(codes))
    )
    return clips[fits.argmax(1), -1:].expand(-1, FRAMES, -1, -1, -1)


def best_still(clips: Tensor) -> Tensor:
    """Repeat of each clip the frame that comes closest to all its frames → clips."""
    frames = clips.flatten(2)
    errors = torch.cdist(frames, frames).square().sum(2)  # (N, 12)
    best = clips[torch.arange(len(clips)), errors.argmin(1)]
    return best.unsqueeze(1).expand_as(clips)


def noise_left(still: Tensor) -> float:
    """Return the deviation of the noise that pixels between 0 and 1 have room for.

    Parameters
    ----------
    still : Tensor of shape (N, 12, 3, 32, 32)
        Real clips in which nothing moves, so that their frames differ by noise alone.

    Raises
    ------
    ValueError
        When there is no clip.
    """
    if not len(still):
        raise ValueError("no still clip to measure the noise on: hold out more clips")
    return still.var(dim=1).mean().sqrt().item()


# --- Training ------------------------------------------------------------------------------------


def train_vae(
    clips: Tensor,
    request: Tensor,
    *,
    epochs: int,
    learning_rate: float = 8e-3,
    seed: int,
    width: int = 96,
    sigma: float | None = None,
) -> AdVideoVAE:
    """Train a VAE on clips (N, 12, 3, 32, 32) and requests (N, 31) by its ELBO."""
    torch.manual_seed(seed)
    model = AdVideoVAE(width=width, sigma=sigma)
    settings = {"epochs": epochs, "batch_size": 32, "learning_rate": learning_rate, "seed": seed}
    fit(model, [clips, request], request, loss=negative_elbo, **settings)
    return model


def train_classifier(clips: Tensor, codes: np.ndarray, *, epochs: int, seed: int) -> ClipClassifier:
    """Train the classifier whose features the Fréchet distances are taken in."""
    torch.manual_seed(seed)
    model = ClipClassifier()
    settings = {"epochs": epochs, "batch_size": 32, "learning_rate": 4e-3, "seed": seed}
    fit(model, [clips], torch.as_tensor(codes[:, [0, 1, 3]]), loss=classifier_loss, **settings)
    return model


def classifier_accuracy(model: ClipClassifier, clips: Tensor, codes: np.ndarray) -> pd.Series:
    """Return the share of clips whose category, palette and motion the classifier tells."""
    heads = predict(model, [clips]).split(JUDGED, 1)
    right = [
        (h.argmax(1).numpy() == codes[:, i]).mean() for h, i in zip(heads, (0, 1, 3), strict=True)
    ]
    return pd.Series(right, ["category", "palette", "motion"])


def mean_error_sigma() -> float:
    """Return the deviation that "mean squared error + KL" believes in, without saying so.

    The Gaussian's term is Σ error² / 2σ². A mean over the P numbers of a clip is the same sum with
    2σ² = P.
    """
    return math.sqrt(PIXELS / 2)


def train_gan(
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
    generated frames get noise, and R₁ holds the critics' slopes at real ones: without either the
    critics win within some steps.

    Parameters
    ----------
    gan : AdVideoGAN
    clips, request : Tensors of shape (N, 12, 3, 32, 32) and (N, 31)
    steps, seed : int
    watch : callable, optional
        Called with the GAN and the step, before the first and after every `watch_every`.
    watch_every : int

    References
    ----------
    Tulyakov et al. (2018), MoCoGAN: decomposing motion and content for video generation.
    Mescheder, Geiger & Nowozin (2018), Which training methods for GANs do actually converge?
    """
    draw = torch.Generator().manual_seed(seed)
    makers = _makers(gan)
    share = rise_and_fall(steps, warm_up=30)
    course = [torch.optim.lr_scheduler.LambdaLR(maker, share) for maker in makers]
    for step in range(steps):
        if watch and step % watch_every == 0:
            watch(gan, step)
        rows = torch.randint(len(clips), (16,), generator=draw)
        look, asked = step % (FRAMES // 2), request[rows]
        real, fake = clips[rows, 1::2], gan.generator.sample(asked, draw, every=2)
        real, fake = (x + BLUR * torch.randn(x.shape, generator=draw) for x in (real, fake))
        _critics_step(gan, makers[1], real, fake.detach(), asked, look, penalise=step % 4 == 0)
        _generator_step(gan, makers[0], fake, asked, look)
        gan.follow(min(0.95, (1 + step) / (10 + step)))
        for rate in course:
            rate.step()
    if watch:
        watch(gan, steps)


def _makers(gan: AdVideoGAN) -> tuple[torch.optim.Optimizer, torch.optim.Optimizer]:
    draws = {"params": list(gan.generator.painter.parameters()), "lr": 3e-4}
    moves = {"params": [*gan.generator.motion.parameters(), *gan.generator.velocity.parameters()]}
    common = {"betas": (0.0, 0.99), "fused": True}
    generator = torch.optim.Adam([draws, moves], 1e-2, **common)
    return generator, torch.optim.Adam(gan.critics(), 5e-3, **common)


def _critics_step(
    gan: AdVideoGAN,
    maker: torch.optim.Optimizer,
    real: Tensor,
    fake: Tensor,
    asked: Tensor,
    look: int,
    *,
    penalise: bool,
) -> None:
    logits = gan.judge(torch.cat([real, fake]), asked.repeat(2, 1), look)
    loss = sum(critic_loss(*logit.chunk(2)) for logit in logits)
    if penalise:  # one step in four, so four times as much
        critics = (gan.image_critic, gan.motion_critic)
        views = gan.views(real, asked, look)
        slopes = (frame_penalty(c, *view) for c, view in zip(critics, views, strict=True))
        loss = loss + 4 * PENALTY / 2 * sum(slopes)
    maker.zero_grad()
    loss.backward()
    maker.step()


def frame_penalty(critic: ClipCritic, frames: Tensor, request: Tensor) -> Tensor:
    """Return R₁ of a critic of frames (B, T, 3, 32, 32) → scalar."""

    def on_numbers(flat: Tensor, asked: Tensor) -> Tensor:
        return critic(flat.view_as(frames), asked)

    return gradient_penalty(on_numbers, frames.flatten(1), request)


def _generator_step(
    gan: AdVideoGAN, maker: torch.optim.Optimizer, fake: Tensor, asked: Tensor, look: int
) -> None:
    for part in (gan.image_critic, gan.motion_critic):
        part.requires_grad_(False)
    maker.zero_grad()
    sum(generator_loss(logit) for logit in gan.judge(fake, asked, look)).backward()
    maker.step()
    for part in (gan.image_critic, gan.motion_critic):
        part.requires_grad_(True)


# --- Judging -------------------------------------------------------------------------------------


def squared_errors(first: Tensor, second: Tensor) -> Tensor:
    """Return the mean squared difference of each clip, over its numbers → (N,)."""
    return (first - second).square().flatten(1).mean(1)


def as_filmed(clips: Tensor, rng: np.random.Generator) -> Tensor:
    """Add the renderer's noise, which no model is asked to draw, and clip to [0, 1]."""
    grain = rng.standard_normal(clips.shape, dtype=np.float32)
    return (clips.detach() + NOISE * torch.from_numpy(grain)).clamp(0, 1)


def film(model: AdVideoVAE | ClipGenerator, asked: np.ndarray, rng: np.random.Generator) -> Tensor:
    """Let a network make one clip per ad, codes (N, 4), and film it → (N, 12, 3, 32, 32)."""
    draw = torch.Generator().manual_seed(int(rng.integers(2**31)))
    with torch.no_grad():  # in small parts, which stay in the cache
        parts = [model.sample(part, draw) for part in as_request(asked).split(50)]
    return as_filmed(torch.cat(parts), rng)


def clip_features(model: ClipClassifier, clips: Tensor) -> np.ndarray:
    """Return the classifier's features of clips → (N, F)."""
    return predict(model.features, [clips], batch_size=200).numpy()


def held_out_nats(model: AdVideoVAE, clips: Tensor, request: Tensor) -> pd.Series:
    """Return both terms of the negative ELBO and their sum, nats per clip."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        surprise, kl = predict(model, [clips, request], batch_size=50).mean(0).tolist()
    return pd.Series({"-E log p": surprise, "KL": kl, "negative ELBO": surprise + kl})


def read(clips: Tensor) -> tuple[Creatives, ClipReading]:
    """Let the market read clips (N, 12, 3, 32, 32) → the ads that it sees, and its reading."""
    reading = read_clips(as_pictures(clips))
    seen = [getattr(reading.picture, name) for name in SHOWN]
    return Creatives(*seen, reading.motion, reading.speed), reading


def judge(clips: Tensor, asked: np.ndarray) -> pd.DataFrame:
    """Compare what the market reads in clips with the ads asked for, codes (N, 4).

    Returns
    -------
    DataFrame of bool, one row per clip
        *Motion* is direction and speed. A clip *counts* if it is a valid ad and shows and does all
        that was asked for. A still ad is rightly *frozen*.
    """
    (said, reading), wanted = read(clips), as_creatives(asked)
    right = said.codes() == wanted.codes()
    verdict = {
        "direction": said.motion == wanted.motion,
        "motion": as_codes(said)[:, 3] == asked[:, 3],
        "counts": reading.valid & right.all(axis=1),
    }
    flags = {name: getattr(reading, name) for name in ("valid", "frozen", "looping")}
    return pd.DataFrame(verdict | flags)


def ads_said(clips: Tensor) -> np.ndarray:
    """Return which ad of `CATALOGUE` each clip is → (N,), -1 where it is no valid one."""
    said, reading = read(clips)
    plain = (said.tone == 0) & (said.discount == 0)
    number = np.ravel_multi_index(tuple(as_codes(said).T), STEPS)
    return np.where(reading.valid & plain, number, -1)


def change_energy(clips: Tensor) -> np.ndarray:
    """Return the mean squared change from frame to frame, less that of noise alone → (N,)."""
    change = (clips[:, 1:] - clips[:, :-1]).square().flatten(1).mean(1)
    return change.numpy() - 2 * NOISE**2


def change_autocorrelation(clips: Tensor) -> np.ndarray:
    """Correlate the changes between frames with those some frames later → (N, 7), lags 2 to 8.

    Lag 1 is left out: two neighbouring changes share a frame, and its noise.
    """
    change = (clips[:, 1:] - clips[:, :-1]).flatten(2)  # (N, 11, P)
    parts = []
    for lag in range(2, 9):
        first, later = change[:, :-lag], change[:, lag:]
        size = (first.square().sum((1, 2)) * later.square().sum((1, 2))).sqrt()
        parts.append((first * later).sum((1, 2)) / size)
    return torch.stack(parts, 1).numpy()


def freeze(clips: Tensor, rng: np.random.Generator) -> Tensor:
    """Plant a fault: the last frame for ever, with fresh noise."""
    return as_filmed(clips[:, -1:].expand_as(clips), rng)


def loop(clips: Tensor, rng: np.random.Generator, period: int = 4) -> Tensor:
    """Plant a fault: the last few frames again and again, with fresh noise."""
    return as_filmed(clips[:, -period:].repeat(1, FRAMES // period, 1, 1, 1), rng)


# --- Showing -------------------------------------------------------------------------------------


def describe(codes: np.ndarray) -> str:
    """Say what an ad, codes (4,), shows and does."""
    category, palette, layout = (
        ATTRIBUTES[name][code] for name, code in zip(LEVELS, codes[:3], strict=True)
    )
    creative = as_creatives(np.asarray(codes)[None])
    motion = ATTRIBUTES["motion"][creative.motion[0]]
    speed = ATTRIBUTES["speed"][creative.speed[0]]
    return f"{category}, {palette}, {layout}, " + (
        "still" if motion == "still" else f"{motion} {speed}"
    )


def animation(clip: np.ndarray, *, milliseconds: int = 120, rest: int = 900) -> bytes:
    """Pack a clip (12, 32, 32, 3) as a WebP that repeats, and rests on its last frame."""
    frames = [
        Image.fromarray(frame) for frame in (255 * np.clip(clip, 0, 1) + 0.5).astype(np.uint8)
    ]
    times, file = [milliseconds] * (len(frames) - 1) + [rest], io.BytesIO()
    settings = {"append_images": frames[1:], "duration": times, "loop": 0, "lossless": True}
    frames[0].save(file, "WEBP", save_all=True, **settings)
    return file.getvalue()


def play(clips: dict[str, np.ndarray], alt: str, *, scale: int = 3) -> HTML:
    """Show clips that move in the page: no script, no plug-in, no other file.

    Readers whose system asks for less motion see the last frame, and everybody can fold the clips
    away.

    Parameters
    ----------
    clips : dict of arrays of shape (12, 32, 32, 3)
        By caption.
    alt : str
        What the clips are; each caption completes it.
    scale : int
        Screen pixels per pixel.

    Returns
    -------
    IPython.display.HTML
    """
    shown = "".join(_figure(clip, caption, alt, scale * SIZE) for caption, clip in clips.items())
    row = f'<div style="display:flex;flex-wrap:wrap;gap:0.8em;margin-top:0.5em">{shown}</div>'
    note = "These clips repeat. Fold them away here to stop them."
    return HTML(f"<details open><summary>{note}</summary>{row}</details>")


def _figure(clip: np.ndarray, caption: str, alt: str, side: int) -> str:
    still, file = (
        Image.fromarray((255 * np.clip(clip[-1], 0, 1) + 0.5).astype(np.uint8)),
        io.BytesIO(),
    )
    still.save(file, "PNG")
    sources = {"png": file.getvalue(), "webp": animation(clip)}
    data = {k: f"data:image/{k};base64,{base64.b64encode(v).decode()}" for k, v in sources.items()}
    text, name = html.escape(f"{alt}: {caption}"), html.escape(caption)
    size = f'width="{side}" height="{side}" style="image-rendering:pixelated;max-width:none"'
    return (
        f'<figure style="margin:0;width:{side}px"><picture>'
        f'<source media="(prefers-reduced-motion: reduce)" srcset="{data["png"]}">'
        f'<img src="{data["webp"]}" alt="{text}" {size}></picture>'
        f'<figcaption style="font-size:0.8em;line-height:1.3">{name}</figcaption></figure>'
    )


def film_strips(clips: np.ndarray, labels: list[str], every: int = 2) -> Figure:
    """Draw the frames of clips (N, 12, 32, 32, 3), one clip per row, with names at the left."""
    frames = np.clip(clips[:, every - 1 :: every], 0, 1)
    sheet = contact_sheet(frames.reshape(-1, SIZE, SIZE, 3), columns=frames.shape[1])
    figure, axes = plt.subplots(figsize=(7, 0.25 + 0.85 * len(clips)))
    axes.imshow(sheet, interpolation="nearest", aspect="equal")
    side = len(sheet) / len(clips)
    axes.set_yticks(side * (np.arange(len(clips)) + 0.5), labels)
    axes.set_xticks(side * (np.arange(frames.shape[1]) + 0.5), range(every, FRAMES + 1, every))
    axes.set_xlabel("frame")
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    return figure
