"""Clips that a shop has: rendered from codes, and the forms in which models take them."""

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import one_hot

from pm_utils.creatives.image.networks import attribute_codes
from pm_utils.creatives.video.networks import CLIP_LEVELS, MOTION, REQUEST
from pm_utils.inputs import aligned, numbers, whole_numbers
from pm_utils.market import Creatives
from pm_utils.market.renderer import FRAMES, NOISE, SIZE, render_clips

CODE_COUNTS = (*CLIP_LEVELS.values(), MOTION)
CLIP_CATALOGUE = np.array(
    list(np.ndindex(CODE_COUNTS))
)  # (2592, 4): all that a clip of the chapter can show


def clip_codes(codes: np.ndarray) -> np.ndarray:
    """Return codes (N, 4) of clips as integers, or refuse one that there is not.

    Raises
    ------
    ValueError
        When there are not four columns, or a code is out of range.

    Examples
    --------
    >>> from pm_utils.creatives.video.archive import clip_codes
    >>> clip_codes([[3, 0, 1, 8]])  # 12 categories, 6 palettes, 4 layouts, 9 motions
    array([[3, 0, 1, 8]])
    """
    return attribute_codes(codes, CODE_COUNTS, "codes")


def check_clips(clips: Tensor, name: str = "clips", **others: np.ndarray) -> None:
    """Refuse clips of another shape than (N, 12, 3, 32, 32), unknown numbers, and others' rows.

    Raises
    ------
    ValueError
        Names what is wrong.

    Examples
    --------
    >>> import torch
    >>> from pm_utils.creatives.video.archive import check_clips
    >>> check_clips(torch.zeros(2, 12, 3, 32, 30))
    Traceback (most recent call last):
    ValueError: clips has shape (2, 12, 3, 32, 30): give (N, 12, 3, 32, 32)
    """
    shape = (FRAMES, 3, SIZE, SIZE)
    if tuple(clips.shape[1:]) != shape:
        told = ", ".join(map(str, shape))
        raise ValueError(f"{name} has shape {tuple(clips.shape)}: give (N, {told})")
    aligned(**{name: clips}, **others)
    numbers(clips, name)


def check_requests(clips: Tensor, request: Tensor) -> None:
    """Refuse clips (N, 12, 3, 32, 32) and requests (N, 31) that do not belong together.

    Raises
    ------
    ValueError
        As `check_clips`, or when a request has another width or is not finite.
    """
    check_clips(clips, request=request)
    numbers(request, "request", ndim=2)
    if request.shape[1] != REQUEST:
        raise ValueError(f"request has shape {tuple(request.shape)}: give (N, {REQUEST})")


def any_clips(clips: Tensor, name: str = "clips", *, frames: int = 1) -> None:
    """Refuse what are no clips (N, T, C, H, W) of any size, too few frames, and unknown numbers.

    Raises
    ------
    ValueError
        Names what is wrong.

    Examples
    --------
    >>> import torch
    >>> from pm_utils.creatives.video.archive import any_clips
    >>> any_clips(torch.zeros(2, 5, 1, 8, 9))
    >>> any_clips(torch.zeros(2, 1, 1, 8, 9), frames=2)
    Traceback (most recent call last):
    ValueError: clips has shape (2, 1, 1, 8, 9): give (N, T, C, H, W), T at least 2
    """
    shape = tuple(clips.shape)
    if len(shape) != 5 or not all(shape[2:]) or shape[1] < frames:
        raise ValueError(f"{name} has shape {shape}: give (N, T, C, H, W), T at least {frames}")
    numbers(clips, name)


def clip_creatives(codes: np.ndarray) -> Creatives:
    """Return plain ads without discount: codes (N, 4) of category, palette, layout and motion.

    The code of a motion is 0 for still, then left slow, left fast, right slow and so on.

    Explained in chapter ``ad-video``.

    Raises
    ------
    ValueError
        As `clip_codes`.

    Examples
    --------
    >>> from pm_utils.creatives.video.archive import as_codes, clip_creatives
    >>> ads = clip_creatives([[3, 0, 1, 0], [3, 0, 1, 2]])  # a still one, and left fast
    >>> ads.motion.tolist(), ads.speed.tolist()
    ([0, 1], [0, 1])
    >>> as_codes(ads).tolist()
    [[3, 0, 1, 0], [3, 0, 1, 2]]
    """
    category, palette, layout, motion = clip_codes(codes).T
    none = np.zeros(len(category), dtype=int)
    return Creatives(
        category, none, none, palette, layout, (motion + 1) // 2, (motion + 1) % 2 * (motion > 0)
    )


def as_codes(ads: Creatives) -> np.ndarray:
    """Return category, palette, layout and motion of ads → (N, 4); undoes `clip_creatives`.

    A still ad has no speed, whatever its code says.
    """
    moving = 2 * ads.motion - 1 + ads.speed
    motion = np.where(ads.motion > 0, moving, 0)
    return np.stack([ads.category, ads.palette, ads.layout, motion], axis=1)


def clip_request(codes: np.ndarray) -> Tensor:
    """Write codes (N, 4) as numbers 0 and 1, one per level → (N, 31).

    Explained in chapter ``ad-video``.

    Raises
    ------
    ValueError
        As `clip_codes`.

    Examples
    --------
    >>> from pm_utils.creatives.video.archive import clip_request
    >>> request = clip_request([[3, 0, 1, 2]])  # 12 categories, 6 palettes, 4 layouts, 9 motions
    >>> request.nonzero()[:, 1].tolist()
    [3, 12, 19, 24]
    """
    columns = torch.as_tensor(clip_codes(codes), dtype=torch.long).unbind(1)
    parts = [one_hot(column, n) for column, n in zip(columns, CODE_COUNTS, strict=True)]
    return torch.cat(parts, 1).float()


def shoot(codes: np.ndarray, rng: np.random.Generator) -> Tensor:
    """Render a real clip of each ad, codes (N, 4), in a new scene → (N, 12, 3, 32, 32).

    Explained in chapter ``ad-video``.

    Examples
    --------
    >>> import numpy as np
    >>> from pm_utils.creatives.video.archive import shoot
    >>> shoot(np.array([[3, 0, 1, 2]]), np.random.default_rng(0)).shape
    torch.Size([1, 12, 3, 32, 32])
    """
    clips = torch.from_numpy(render_clips(clip_creatives(codes), rng))
    return clips.permute(0, 1, 4, 2, 3).contiguous()


def clip_archive(n: int, rng: np.random.Generator) -> tuple[Tensor, np.ndarray]:
    """Render clips of random ads → clips (n, 12, 3, 32, 32), codes (n, 4).

    Explained in chapter ``ad-video``.

    Raises
    ------
    ValueError
        When there is no clip to render.
    """
    n = int(whole_numbers(n, "n", low=1))
    codes = CLIP_CATALOGUE[rng.integers(len(CLIP_CATALOGUE), size=n)]
    # Still ads are one motion in five, not one in nine.
    codes[:, 3] = np.where(rng.random(n) < 0.2, 0, rng.integers(1, MOTION, size=n))
    return shoot(codes, rng), codes


def as_pictures(clips: Tensor) -> np.ndarray:
    """Clips (N, T, C, H, W) → arrays (N, T, H, W, C) clipped to [0, 1].

    Explained in chapter ``ad-video``.

    Raises
    ------
    ValueError
        As `any_clips`.
    """
    any_clips(clips)
    return clips.detach().clamp(0, 1).permute(0, 1, 3, 4, 2).numpy()


def as_filmed(clips: Tensor, rng: np.random.Generator) -> Tensor:
    """Add the renderer's noise, which no model is asked to draw, and clip to [0, 1].

    Raises
    ------
    ValueError
        As `any_clips`.
    """
    any_clips(clips)
    grain = rng.standard_normal(clips.shape, dtype=np.float32)
    return (clips.detach() + NOISE * torch.from_numpy(grain)).clamp(0, 1)
