"""Judges of clips: what the market reads in them, and how they move."""

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from pm_utils.creatives.image.networks import SHOWN
from pm_utils.creatives.video.archive import (
    CODE_COUNTS,
    any_clips,
    as_codes,
    as_filmed,
    as_pictures,
    check_clips,
    check_requests,
    clip_codes,
    clip_creatives,
    clip_request,
)
from pm_utils.creatives.video.networks import JUDGED, AdVideoVAE, ClipClassifier, ClipGenerator
from pm_utils.inputs import numbers, whole_numbers
from pm_utils.learning.training import predict
from pm_utils.market import Creatives
from pm_utils.market.ad_reader import ClipReading, read_clips
from pm_utils.market.renderer import NOISE


def classifier_accuracy(model: ClipClassifier, clips: Tensor, codes: np.ndarray) -> pd.Series:
    """Return the share of clips whose category, palette and motion the classifier tells.

    Explained in chapter ``ad-video``.

    Raises
    ------
    ValueError
        When a clip has another shape or is not finite, a code is out of range, or they differ in
        number.

    Examples
    --------
    >>> import numpy as np
    >>> import torch
    >>> from pm_utils.creatives.video.evaluation import classifier_accuracy
    >>> from pm_utils.creatives.video.networks import ClipClassifier
    >>> clips, codes = torch.zeros(2, 12, 3, 32, 32), np.array([[3, 0, 1, 2], [4, 0, 1, 2]])
    >>> classifier_accuracy(ClipClassifier(features=8), clips, codes).index.tolist()
    ['category', 'palette', 'motion']
    """
    check_clips(clips, codes=codes)
    codes = clip_codes(codes)
    heads = predict(model, [clips]).split(JUDGED, 1)
    correct = [
        (h.argmax(1).numpy() == codes[:, i]).mean() for h, i in zip(heads, (0, 1, 3), strict=True)
    ]
    return pd.Series(correct, ["category", "palette", "motion"])


def squared_errors(first: Tensor, second: Tensor) -> Tensor:
    """Return the mean squared difference of each clip, over its numbers → (N,).

    Explained in chapter ``ad-video``.

    Raises
    ------
    ValueError
        When the clips differ in number or shape, or a number is not finite.

    Examples
    --------
    >>> import torch
    >>> from pm_utils.creatives.video.evaluation import squared_errors
    >>> clips = torch.zeros(2, 12, 3, 32, 32)
    >>> squared_errors(clips, clips + torch.tensor([0.5, 1.0]).view(2, 1, 1, 1, 1)).tolist()
    [0.25, 1.0]
    """
    if first.shape != second.shape:
        raise ValueError(f"clips of {tuple(first.shape)} and {tuple(second.shape)}: give as many")
    any_clips(first, "first"), any_clips(second, "second")
    return (first - second).square().flatten(1).mean(1)


def film(
    model: AdVideoVAE | ClipGenerator,
    asked: np.ndarray,
    rng: np.random.Generator,
    *,
    boldness: float = 1.0,
) -> Tensor:
    """Let a network make one clip per ad, codes (N, 4), and film it → (N, 12, 3, 32, 32).

    All that is drawn for it is multiplied by `boldness`: 1 draws as the network was trained, 0
    takes the middle.

    Explained in chapter ``ad-video``.

    Raises
    ------
    ValueError
        When a code is out of range, or the boldness is negative.
    """
    numbers(boldness, "boldness", low=0)
    generator = torch.Generator().manual_seed(int(rng.integers(2**31)))
    requests = clip_request(asked).split(50)  # small parts, which stay in the cache
    with torch.no_grad():
        parts = [model.sample(part, generator, boldness=boldness) for part in requests]
    return as_filmed(torch.cat(parts), rng)


def clip_features(model: ClipClassifier, clips: Tensor) -> np.ndarray:
    """Return the classifier's features of clips → (N, F).

    Raises
    ------
    ValueError
        When a clip has another shape or is not finite.

    Examples
    --------
    >>> import torch
    >>> from pm_utils.creatives.video.evaluation import clip_features
    >>> from pm_utils.creatives.video.networks import ClipClassifier
    >>> clip_features(ClipClassifier(features=8), torch.zeros(2, 12, 3, 32, 32)).shape
    (2, 8)
    """
    check_clips(clips)
    return predict(model.features, [clips], batch_size=200).numpy()


def held_out_nats(model: AdVideoVAE, clips: Tensor, request: Tensor) -> pd.Series:
    """Return both terms of the negative ELBO and their sum, nats per clip.

    Explained in chapter ``ad-video``.

    Raises
    ------
    ValueError
        When a clip or a request has another shape or is not finite, or they differ in number.

    Examples
    --------
    >>> import torch
    >>> from pm_utils.creatives.video.evaluation import held_out_nats
    >>> from pm_utils.creatives.video.networks import REQUEST, AdVideoVAE
    >>> model = AdVideoVAE(content_dim=3, motion_dim=2, width=8)
    >>> nats = held_out_nats(model, torch.zeros(2, 12, 3, 32, 32), torch.zeros(2, REQUEST))
    >>> nats.index.tolist()
    ['-E log p', 'KL', 'negative ELBO']
    """
    check_requests(clips, request)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        surprise, kl = predict(model, [clips, request], batch_size=50).mean(0).tolist()
    return pd.Series({"-E log p": surprise, "KL": kl, "negative ELBO": surprise + kl})


def read_attributes(clips: Tensor) -> tuple[Creatives, ClipReading]:
    """Let the market read clips (N, T, 3, 32, 32) → the ads that it sees, and its reading.

    Raises
    ------
    ValueError
        As `pm_utils.market.ad_reader.read_clips`.
    """
    reading = read_clips(as_pictures(clips))
    seen = [getattr(reading.picture, name) for name in SHOWN]
    return Creatives(*seen, reading.motion, reading.speed), reading


def evaluate_clips(clips: Tensor, asked: np.ndarray) -> pd.DataFrame:
    """Compare what the market reads in clips with the ads asked for, codes (N, 4).

    Explained in chapter ``ad-video``.

    Returns
    -------
    DataFrame of bool, one row per clip
        *Motion* is direction and speed. A clip *counts* if it is a valid ad and shows and does all
        that was asked for. A still ad is rightly *frozen*.

    Raises
    ------
    ValueError
        As `classifier_accuracy`.

    Examples
    --------
    A real clip is as asked. Frozen, it is still a valid ad, but not one that moves to the left.

    >>> import numpy as np
    >>> from pm_utils.creatives.video.archive import shoot
    >>> from pm_utils.creatives.video.evaluation import evaluate_clips, freeze
    >>> asked, rng = np.array([[3, 0, 1, 2]]), np.random.default_rng(0)
    >>> clip = shoot(asked, rng)
    >>> for found in (evaluate_clips(clip, asked), evaluate_clips(freeze(clip, rng), asked)):
    ...     print(found.columns[found.loc[0]].tolist())
    ['direction', 'motion', 'counts', 'valid']
    ['valid', 'frozen']
    """
    check_clips(clips, asked=asked)
    asked = clip_codes(asked)
    (shown, reading), wanted = read_attributes(clips), clip_creatives(asked)
    correct = shown.codes() == wanted.codes()
    verdict = {
        "direction": shown.motion == wanted.motion,
        "motion": as_codes(shown)[:, 3] == asked[:, 3],
        "counts": reading.valid & correct.all(axis=1),
    }
    flags = {name: getattr(reading, name) for name in ("valid", "frozen", "looping")}
    return pd.DataFrame(verdict | flags)


def ads_in_clips(clips: Tensor) -> np.ndarray:
    """Return which ad of `CLIP_CATALOGUE` each clip is → (N,), -1 where it is no valid one.

    Raises
    ------
    ValueError
        As `read_attributes`.

    Examples
    --------
    >>> import numpy as np
    >>> import torch
    >>> from pm_utils.creatives.video.archive import CLIP_CATALOGUE, shoot
    >>> from pm_utils.creatives.video.evaluation import ads_in_clips
    >>> real = shoot(CLIP_CATALOGUE[[700]], np.random.default_rng(0))
    >>> grey = torch.full_like(real, 0.5)
    >>> ads_in_clips(torch.cat([real, grey])).tolist()
    [700, -1]
    """
    shown, reading = read_attributes(clips)
    plain = (shown.tone == 0) & (shown.discount == 0)
    number = np.ravel_multi_index(tuple(as_codes(shown).T), CODE_COUNTS)
    return np.where(reading.valid & plain, number, -1)


def change_energy(clips: Tensor) -> np.ndarray:
    """Return the mean squared change from frame to frame, less that of noise alone → (N,).

    Explained in chapter ``ad-video``.

    Parameters
    ----------
    clips : Tensor of shape (N, T, C, H, W)

    Raises
    ------
    ValueError
        When there are fewer than two frames, or a number is not finite.

    Examples
    --------
    Noise alone has an energy of about 0.

    >>> import numpy as np
    >>> from pm_utils.creatives.video.archive import shoot
    >>> from pm_utils.creatives.video.evaluation import change_energy
    >>> still_and_moving = shoot(np.array([[3, 0, 1, 0], [3, 0, 1, 2]]), np.random.default_rng(0))
    >>> change_energy(still_and_moving) > 0.001
    array([False,  True])
    """
    any_clips(clips, frames=2)
    change = (clips[:, 1:] - clips[:, :-1]).square().flatten(1).mean(1)
    return change.numpy() - 2 * NOISE**2


def change_autocorrelation(clips: Tensor) -> np.ndarray:
    """Correlate the changes between frames with those some frames later → (N, 7), lags 2 to 8.

    0 where nothing changes at all.

    Lag 1 is left out: two neighbouring changes share a frame, and its noise.

    Explained in chapter ``ad-video``.

    Parameters
    ----------
    clips : Tensor of shape (N, T, C, H, W)

    Raises
    ------
    ValueError
        When there are fewer than ten frames, or a number is not finite.

    Examples
    --------
    A clip that repeats every four frames repeats its changes: lags 4 and 8 stand out.

    >>> import numpy as np
    >>> from pm_utils.creatives.video.archive import shoot
    >>> from pm_utils.creatives.video.evaluation import change_autocorrelation, loop
    >>> rng = np.random.default_rng(0)
    >>> looping = loop(shoot(np.array([[3, 0, 1, 2]]), rng), rng, period=4)
    >>> change_autocorrelation(looping)[0] > 0.5  # lags 2 to 8
    array([False, False,  True, False, False, False,  True])
    """
    any_clips(clips, frames=10)
    change = (clips[:, 1:] - clips[:, :-1]).flatten(2)  # (N, 11, P)
    parts = []
    for lag in range(2, 9):
        first, later = change[:, :-lag], change[:, lag:]
        size = (first.square().sum((1, 2)) * later.square().sum((1, 2))).sqrt()
        parts.append((first * later).sum((1, 2)) / torch.where(size > 0, size, 1))
    return torch.stack(parts, 1).numpy()


def freeze(clips: Tensor, rng: np.random.Generator) -> Tensor:
    """Plant a fault: the last frame for ever, with fresh noise.

    Explained in chapter ``ad-video``.

    Raises
    ------
    ValueError
        As `any_clips`.
    """
    any_clips(clips)
    return as_filmed(clips[:, -1:].expand_as(clips), rng)


def loop(clips: Tensor, rng: np.random.Generator, period: int = 4) -> Tensor:
    """Plant a fault: the last few frames again and again, with fresh noise.

    Explained in chapter ``ad-video``.

    Raises
    ------
    ValueError
        When a period has no frame or more than there are, or as `any_clips`.
    """
    any_clips(clips)
    frames = clips.shape[1]
    period = int(whole_numbers(period, "period", low=1, high=frames))
    again = clips[:, -period:].repeat(1, -(-frames // period), 1, 1, 1)
    return as_filmed(again[:, -frames:], rng)
