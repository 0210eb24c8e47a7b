"""How the market judges a generated ad: by what it says and shows, and by nothing else.

No network learns here. A headline is *parsed*: it counts if the copy grammar could have written
it. A picture is *measured and redrawn*: palette and brightness by colour statistics, then frame,
text, icon and badge each by least squares against what the renderer can draw; the reader paints
what it has read and compares. Where picture and painting differ too much, the ad is not valid.
A clip is judged by its last frame and by how its frames differ.
"""

from dataclasses import dataclass, fields
from functools import cache

import numpy as np

from pm_utils.inputs import numbers, plain, whole_numbers
from pm_utils.market import renderer
from pm_utils.market.creatives import Creatives
from pm_utils.market.headlines import EOS, copy_grammar
from pm_utils.market.renderer import DIRECTIONS, SPEEDS

TOLERANCE = 0.3  # root mean square error at which the quality of a picture is 0
VALID_QUALITY = 0.5
FROZEN = 0.036  # root mean square change over two frames; noise alone gives 0.028
LOOP = 0.35  # change after a full loop as a share of the largest change before it
SLOWEST = 0.25  # pixels per frame; what changes without moving, such as a fade, is slower
COHERENT = 0.3  # correlation of moving edges with themselves, four frames later
_SPAN, _LAG = 2, 4  # frames between the pictures of a difference, and between two differences
_SHIFTS = np.linspace(-1.5, 1.5, 7)
_SIZES = (0.96, 1.04)
_INSIDE = slice(2, 30)  # without the frame
_BATCH, _CLIP_BATCH = 256, 32


@dataclass(frozen=True)
class TextReading:
    """What N headlines say.

    Attributes
    ----------
    category, tone, discount : arrays of shape (N,), int64
        The attributes that allow the most words of the headline.
    valid : array of shape (N,), bool
        Whether the grammar could have written the headline, under these attributes.
    """

    category: np.ndarray
    tone: np.ndarray
    discount: np.ndarray
    valid: np.ndarray


@dataclass(frozen=True)
class ImageReading:
    """What N pictures show.

    Attributes
    ----------
    category, tone, discount, palette, layout : arrays of shape (N,), int64
    quality : array of shape (N,)
        1 where the picture is what the reader would paint, 0 where it is off by `TOLERANCE`.
    valid : array of shape (N,), bool
        Whether the quality reaches `VALID_QUALITY`.
    """

    category: np.ndarray
    tone: np.ndarray
    discount: np.ndarray
    palette: np.ndarray
    layout: np.ndarray
    quality: np.ndarray
    valid: np.ndarray


@dataclass(frozen=True)
class ClipReading:
    """What N clips show.

    Attributes
    ----------
    picture : ImageReading
        Of the last frame.
    velocity : array of shape (N, 2), pixels per frame
        To the right and down; 0 where frozen.
    motion, speed : arrays of shape (N,), int64
        Codes; what does not move reads as still and slow.
    coherence : array of shape (N,)
        Correlation of moving edges with themselves at the velocity read.
    frozen, looping, valid : arrays of shape (N,), bool
        Valid: the last frame is, nothing loops, and what changes is one thing that moves.
    """

    picture: ImageReading
    velocity: np.ndarray
    motion: np.ndarray
    speed: np.ndarray
    coherence: np.ndarray
    frozen: np.ndarray
    looping: np.ndarray
    valid: np.ndarray


def read_text(tokens: np.ndarray) -> TextReading:
    """Parse headlines.

    Parameters
    ----------
    tokens : array of shape (N, T), int
        As `CopyGrammar.sample` writes them: ``<bos>``, words, ``<eos>``, ``<pad>`` to the end.

    Returns
    -------
    TextReading

    Raises
    ------
    ValueError
        When a token is not whole.

    Examples
    --------
    >>> import numpy as np
    >>> from pm_utils.market.ad_reader import read_text
    >>> from pm_utils.market.headlines import copy_grammar
    >>> headline = "Tick tock: 10% off right now! Meaty biscuits end soon! Time is up!"
    >>> shuffled = "Time is up! Meaty biscuits end soon! Tick tock: 10% off right now!"
    >>> found = read_text(copy_grammar().encode([headline, shuffled]))
    >>> found.category, found.discount, found.valid  # the words say pets and 10 % in any order
    (array([10, 10]), array([1, 1]), array([ True, False]))
    """
    grammar, tokens = copy_grammar(), whole_numbers(tokens, "tokens", low=None)
    if tokens.ndim != 2:
        raise ValueError(f"tokens has shape {tokens.shape}: give (N, T), a row per headline")
    shape, n_words = grammar.reachable.shape[:3], len(grammar.words)
    known = (tokens > EOS) & (tokens < n_words)
    words = np.zeros((len(tokens), n_words), dtype=np.float32)
    np.add.at(words, (np.nonzero(known)[0], tokens[known]), 1)
    allowed = grammar.reachable.reshape(-1, n_words).T.astype(np.float32)
    best = np.unravel_index((words @ allowed).argmax(axis=1), shape)
    rest = np.zeros((4, len(tokens)), dtype=np.int64)
    return TextReading(*best, np.isfinite(grammar.log_prob(tokens, Creatives(*best, *rest))))


def read_images(images: np.ndarray) -> ImageReading:
    """Measure pictures.

    Parameters
    ----------
    images : array of shape (N, 32, 32, 3) in [0, 1]

    Returns
    -------
    ImageReading

    Raises
    ------
    ValueError
        If the shape is another, or brightness is not finite or counts up to 255.

    Examples
    --------
    >>> import numpy as np
    >>> from pm_utils.market import random_creatives
    >>> from pm_utils.market.ad_reader import read_images
    >>> from pm_utils.market.renderer import render_images
    >>> ad = random_creatives(1, np.random.default_rng(0))
    >>> found = read_images(render_images(ad, np.random.default_rng(1)))
    >>> bool(found.category == ad.category), bool(found.valid)
    (True, True)
    >>> bool(read_images(np.full((1, 32, 32, 3), 0.5)).valid)  # grey is no ad
    False
    """
    images = plain(images).astype(np.float32, copy=False)
    if images.shape[1:] != (renderer.SIZE, renderer.SIZE, 3):
        raise ValueError(f"pictures of shape {images.shape}: give (N, 32, 32, 3)")
    numbers(images, "images")
    if images.size and images.max() > 10:
        raise ValueError(f"brightness goes up to {images.max():.0f}: give it in [0, 1]")
    starts = range(0, max(len(images), 1), _BATCH)
    parts = [_read_batch(np.clip(images[start : start + _BATCH], 0, 1)) for start in starts]
    return _join(parts)


def _join(parts: list[ImageReading]) -> ImageReading:
    names = [field.name for field in fields(ImageReading)]
    return ImageReading(*(np.concatenate([getattr(p, name) for p in parts]) for name in names))


def _read_batch(images: np.ndarray) -> ImageReading:
    palette, gain = _read_palette(images)
    lit = images / gain[:, None, None, None]
    tone, frame = _read_frame(lit, palette)
    layout = _read_layout(lit)
    lines = _read_lines(lit, palette, layout)
    category, icon = _read_icon(lit, palette, layout, lines)
    below = renderer.background_sheets()[palette, layout, lines][:, _INSIDE, _INSIDE]
    painted = renderer.over(below, icon)
    discount, shift = _read_badge(lit[:, _INSIDE, _INSIDE], painted, layout)
    plate = renderer.badge_sheets()[layout, discount, shift][:, _INSIDE, _INSIDE]
    painted = np.pad(renderer.over(painted, plate), ((0, 0), (2, 2), (2, 2), (0, 0)))
    painted[:, ~_interior()] = renderer.background_sheets()[palette, layout, lines][:, ~_interior()]
    painted = renderer.over(painted, renderer.frame_sheets()[tone, frame])
    parts = np.zeros((4, *lit.shape[:3]), dtype=bool)  # frame, badge, icon, the rest
    parts[0] = ~_interior()
    parts[1] = _badge_places()[layout]
    parts[2, :, _INSIDE, _INSIDE] = icon[..., 3] > 0.5
    parts[2] &= ~parts[1]
    parts[3] = ~parts[:3].any(axis=0)
    error = ((lit - painted) ** 2).mean(axis=3)
    worst = [np.where(p, error, 0).sum((1, 2)) / np.maximum(p.sum((1, 2)), 1) for p in parts]
    quality = np.maximum(0, 1 - np.sqrt(np.max(worst, axis=0)) / TOLERANCE)
    valid = quality >= VALID_QUALITY
    return ImageReading(category, tone, discount, palette, layout, quality, valid)


@cache
def _interior() -> np.ndarray:
    inside = np.zeros((renderer.SIZE, renderer.SIZE), dtype=bool)
    inside[_INSIDE, _INSIDE] = True
    return inside


@cache
def _badge_places() -> np.ndarray:
    """Return where the badge may be, wherever it has been shifted to, by layout → (4, 32, 32)."""
    return (renderer.badge_sheets()[..., 3] > 0).any(axis=(1, 2))


def _read_palette(images: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Find the background colour that most pixels have, at one brightness → codes, gain."""
    colour = renderer.background_sheets()[:, 1, 0, :, 18]  # (6, 32, 3), a column without text
    colour = colour[:, _INSIDE]
    pixels = images[:, _INSIDE, _INSIDE]
    along = np.einsum("nyxc,pyc->npyx", pixels, colour, optimize=True)
    norm = (colour**2).sum(-1)[None, :, :, None]
    gain = np.clip(along / norm, 0.82, 1.12)
    length = (pixels**2).sum(-1)[:, None]
    error = length - 2 * gain * along + gain**2 * norm
    weight = np.exp(-error / (2 * 0.05**2))
    palette = weight.sum((2, 3)).argmax(axis=1)
    rows = np.arange(len(images))
    weight, gain = weight[rows, palette], gain[rows, palette]
    return palette, ((weight * gain).sum((1, 2)) + 1e-6) / (weight.sum((1, 2)) + 1e-6)


def _read_frame(lit: np.ndarray, palette: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Compare the frame with those of every tone and variant → codes, variants."""
    ring = ~_interior()
    frames = renderer.frame_sheets()[:, :, ring].reshape(-1, ring.sum(), 4)  # (32, 240, 4)
    seen = lit[:, ring]
    below = renderer.background_sheets()[:, 1, 0][:, ring][palette]
    bare = ((seen - below) ** 2).sum(-1) @ (1 - frames[..., 3]).T
    painted = _squared_error(seen, frames)
    return np.divmod((bare + painted).argmin(axis=1), renderer.VARIANTS)


def _squared_error(seen: np.ndarray, sheets: np.ndarray) -> np.ndarray:
    """Sum |seen - colour|² over the opaque pixels; (N, P, 3), (K, P, 4) → (N, K)."""
    colour, opaque = sheets[..., :3].reshape(len(sheets), -1), sheets[..., 3]
    cross = seen.reshape(-1, colour.shape[1]) @ colour.T
    return (seen**2).sum(-1) @ opaque.T - 2 * cross + (colour**2).sum(-1)


def _read_layout(lit: np.ndarray) -> np.ndarray:
    """Find where the text stands, by white lines and the gaps between them → codes."""
    darkest = np.minimum(np.minimum(lit[..., 0], lit[..., 1]), lit[..., 2])
    white = np.clip((darkest - 0.6) / 0.35, 0, 1)
    lines, gaps = [6, 7, 10, 11, 14, 15], [8, 9, 12, 13]
    right = white[:, lines, 22:26].mean((1, 2)) - white[:, gaps, 22:26].mean((1, 2))
    left = white[:, lines, 6:10].mean((1, 2)) - white[:, gaps, 6:10].mean((1, 2))
    band = white[:, 20:29, [2, 3, 4, 27, 28, 29]].mean((1, 2))
    line = white[:, 27:29, 11:21].mean((1, 2)) - band
    return np.stack([line, right, left, band], axis=1).argmax(axis=1)


def _read_lines(lit: np.ndarray, palette: np.ndarray, layout: np.ndarray) -> np.ndarray:
    """Find the variant of the text lines that comes closest → (N,) 0 to 7."""
    sheets = renderer.background_sheets()[:, :, :, _INSIDE, _INSIDE]
    varies = np.ptp(sheets[0], axis=1).max(axis=-1) > 0  # (4, 28, 28)
    lines = np.empty(len(lit), dtype=np.int64)
    for code in np.unique(layout):
        rows = np.flatnonzero(layout == code)
        seen = lit[rows][:, _INSIDE, _INSIDE][:, varies[code]]
        drawn = sheets[palette[rows], code][:, :, varies[code]]
        lines[rows] = ((seen[:, None] - drawn) ** 2).sum((2, 3)).argmin(axis=1)
    return lines


@cache
def _icon_bank(layout: int) -> np.ndarray:
    """Draw every icon at several shifts and sizes in one layout → (K, 28, 28, 4)."""
    grid = np.array(np.meshgrid(_SHIFTS, _SHIFTS, _SIZES, indexing="ij")).reshape(3, -1)
    n = grid.shape[1]
    fixed = {name: np.zeros(n) for name in ("gain", "frame", "lines", "badge", "pace")}
    scene = renderer.Scene(x=grid[0], y=grid[1], size=grid[2], **fixed)
    layouts, rows = np.full(n, layout), np.arange(n)
    icons = [
        renderer.draw_icons(c, layouts, scene, rows) for c in range(len(renderer.icon_atlas()))
    ]
    return np.concatenate(icons)[:, _INSIDE, _INSIDE]


@cache
def _icon_terms(layout: int) -> tuple[np.ndarray, ...]:
    """Prepare the least squares of one layout, the place of the badge left out.

    For a picture y on background b, an icon of colour times opacity c and opacity a errs by
    |y-b|² - 2 (y-b)·(c-ab) + |c-ab|² → c (K, 2352), a (K, 784), |c-ab|² (6, 8, K).
    """
    bank = _icon_bank(layout).copy()
    bank[:, _badge_places()[layout, _INSIDE, _INSIDE]] = 0
    colour, opacity = bank[..., :3].reshape(len(bank), -1), bank[..., 3].reshape(len(bank), -1)
    below = renderer.background_sheets()[:, layout, :, _INSIDE, _INSIDE]
    cross = below.reshape(*below.shape[:2], -1) @ (colour * opacity.repeat(3, axis=1)).T
    square = (below**2).sum(-1).reshape(*below.shape[:2], -1) @ (opacity**2).T
    return colour, opacity, (colour**2).sum(-1) - 2 * cross + square


def _read_icon(
    lit: np.ndarray, palette: np.ndarray, layout: np.ndarray, lines: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Find the icon that comes closest → codes, icons as drawn (N, 28, 28, 4)."""
    best = np.empty(len(lit), dtype=np.int64)
    icons = np.empty((len(lit), 28, 28, 4), dtype=np.float32)
    for code in np.unique(layout):
        rows = np.flatnonzero(layout == code)
        colour, opacity, own = _icon_terms(code)
        below = renderer.background_sheets()[palette[rows], code, lines[rows]][:, _INSIDE, _INSIDE]
        apart = lit[rows][:, _INSIDE, _INSIDE] - below
        cross = apart.reshape(len(rows), -1) @ colour.T
        cross -= (apart * below).sum(-1).reshape(len(rows), -1) @ opacity.T
        best[rows] = (own[palette[rows], lines[rows]] - 2 * cross).argmin(axis=1)
        icons[rows] = _icon_bank(code)[best[rows]]
    return best // (len(_SHIFTS) ** 2 * len(_SIZES)), icons


def _read_badge(
    inside: np.ndarray, bare: np.ndarray, layout: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Compare the place of the badge with every discount and with none → codes, shifts."""
    best = np.empty(len(inside), dtype=np.int64)
    for code in np.unique(layout):
        rows = np.flatnonzero(layout == code)
        place = _badge_places()[code, _INSIDE, _INSIDE]
        sheets = renderer.badge_sheets()[code].reshape(-1, 32, 32, 4)[:, _INSIDE, _INSIDE][:, place]
        seen, below = inside[rows][:, place], bare[rows][:, place]
        outside = ((seen - below) ** 2).sum(-1) @ (1 - sheets[..., 3]).T
        best[rows] = (outside + _squared_error(seen, sheets)).argmin(axis=1)
    return np.divmod(best, 4)


def read_clips(clips: np.ndarray) -> ClipReading:
    """Measure clips: the last frame as a picture, and motion from differences between frames.

    What stands still vanishes from a difference of two frames; what moves leaves edges. The
    cross-correlation of edges with those four frames later peaks at four times the velocity.

    Parameters
    ----------
    clips : array of shape (N, F, 32, 32, 3) in [0, 1]
        At least seven frames.

    Returns
    -------
    ClipReading

    Raises
    ------
    ValueError
        If there are fewer frames, or one is no picture, as of `read_images`.

    Examples
    --------
    >>> import numpy as np
    >>> from pm_utils.market import random_creatives
    >>> from pm_utils.market.ad_reader import read_clips
    >>> from pm_utils.market.renderer import render_clips
    >>> ad = random_creatives(1, np.random.default_rng(0))
    >>> clip = render_clips(ad, np.random.default_rng(1))
    >>> bool(read_clips(clip).motion == ad.motion)
    True
    >>> read_clips(clip[:, [-1] * 12]).frozen  # the last picture twelve times
    array([ True])
    """
    clips = plain(clips).astype(np.float32, copy=False)
    if clips.ndim != 5 or clips.shape[1] <= _SPAN + _LAG:
        raise ValueError(f"clips of shape {clips.shape}: give (N, F, 32, 32, 3), F at least 7")
    picture = read_images(clips[:, -1])
    numbers(clips, "clips")
    starts = range(0, max(len(clips), 1), _CLIP_BATCH)
    parts = [_read_motion(np.clip(clips[start : start + _CLIP_BATCH], 0, 1)) for start in starts]
    velocity, coherence, change, looping = (np.concatenate(x) for x in zip(*parts, strict=True))
    frozen = change < FROZEN
    velocity = np.where(frozen[:, None], 0, velocity)
    pace = np.abs(velocity).max(axis=1)
    moves = pace >= SLOWEST
    motion = np.where(moves, 1 + (velocity @ DIRECTIONS[1:].T).argmax(axis=1), 0)
    speed = (pace > np.sqrt(SPEEDS.prod())).astype(np.int64)
    valid = picture.valid & ~looping & (frozen | (moves & (coherence >= COHERENT)))
    return ClipReading(picture, velocity, motion, speed, coherence, frozen, looping, valid)


def _read_motion(clips: np.ndarray) -> tuple[np.ndarray, ...]:
    """Return velocity (N, 2), coherence (N,), change over two frames (N,), looping (N,)."""
    edges = clips[:, _SPAN:] - clips[:, :-_SPAN]
    wave = np.fft.rfft2(edges, axes=(2, 3))
    power = (np.conj(wave[:, :-_LAG]) * wave[:, _LAG:]).sum(axis=(1, 4))
    match = np.fft.fftshift(np.fft.irfft2(power, s=clips.shape[2:4]), axes=(1, 2))
    energy = (edges**2).sum(axis=(2, 3, 4))
    scale = np.sqrt(energy[:, :-_LAG].sum(1) * energy[:, _LAG:].sum(1)) + 1e-9
    middle, reach = clips.shape[2] // 2, 9
    near = match[:, middle - reach : middle + reach + 1, middle - reach : middle + reach + 1]
    y, x = np.divmod(near.reshape(-1, (2 * reach + 1) ** 2).argmax(axis=1), 2 * reach + 1)
    rows, y, x = np.arange(len(near)), y + middle - reach, x + middle - reach
    peak = match[rows, y, x]
    right = x - middle + _vertex(match[rows, y, x - 1], peak, match[rows, y, x + 1])
    down = y - middle + _vertex(match[rows, y - 1, x], peak, match[rows, y + 1, x])
    change = np.sqrt((edges**2).mean(axis=(1, 2, 3, 4)))
    return np.stack([right, down], axis=1) / _LAG, peak / scale, change, _loops(clips)


def _vertex(before: np.ndarray, peak: np.ndarray, after: np.ndarray) -> np.ndarray:
    """Return where the parabola through three neighbours peaks, -0.5 to 0.5 from the middle."""
    curvature = before - 2 * peak + after
    return np.clip((before - after) / np.minimum(2 * curvature, -1e-9), -0.5, 0.5)


def _loops(clips: np.ndarray) -> np.ndarray:
    """Tell whether frames return: the change over some lag falls far below that of a shorter."""
    lags = range(1, clips.shape[1] - 3)
    change = [((clips[:, lag:] - clips[:, :-lag]) ** 2).mean(axis=(1, 2, 3, 4)) for lag in lags]
    change = np.stack(change, axis=1)
    largest = np.maximum.accumulate(change, axis=1)
    moves = largest[:, :-1] > FROZEN**2 / 2
    return (moves & (change[:, 1:] < LOOP * largest[:, :-1])).any(axis=1)
