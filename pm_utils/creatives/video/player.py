"""Show clips in a page: as moving pictures and as strips of frames."""

import base64
import html
import io

import numpy as np
from IPython.display import HTML
from matplotlib import pyplot as plt
from matplotlib.figure import Figure
from PIL import Image

from pm_utils.creatives.video.archive import clip_creatives
from pm_utils.creatives.video.networks import CLIP_LEVELS
from pm_utils.inputs import aligned, numbers, whole_numbers
from pm_utils.market import ATTRIBUTES
from pm_utils.market.renderer import contact_sheet


def describe(codes: np.ndarray) -> str:
    """Say what an ad, codes (4,), shows and does.

    Explained in chapter ``ad-video``.

    Raises
    ------
    ValueError
        When a code is out of range.

    Examples
    --------
    >>> import numpy as np
    >>> from pm_utils.creatives.video.player import describe
    >>> describe(np.array([3, 0, 1, 2]))
    'snacks, red, left, left fast'
    """
    creative = clip_creatives(np.asarray(codes)[None])
    category, palette, layout = (
        ATTRIBUTES[name][getattr(creative, name)[0]] for name in CLIP_LEVELS
    )
    motion = ATTRIBUTES["motion"][creative.motion[0]]
    speed = ATTRIBUTES["speed"][creative.speed[0]]
    return f"{category}, {palette}, {layout}, " + (
        "still" if motion == "still" else f"{motion} {speed}"
    )


def animation(clip: np.ndarray, *, milliseconds: int = 120, rest: int = 900) -> bytes:
    """Pack a clip (T, H, W, 3) as a WebP that repeats, and rests on its last frame.

    Raises
    ------
    ValueError
        When the clip has another shape or no frame, or is not finite.
    """
    frames = [Image.fromarray(frame) for frame in _bytes(clip)]
    times, file = [milliseconds] * (len(frames) - 1) + [rest], io.BytesIO()
    settings = {"append_images": frames[1:], "duration": times, "loop": 0, "lossless": True}
    frames[0].save(file, "WEBP", save_all=True, **settings)
    return file.getvalue()


def _bytes(clip: np.ndarray) -> np.ndarray:
    """Brightness of a clip as whole numbers from 0 to 255."""
    clip = numbers(clip, "clip", ndim=4)
    if not len(clip) or clip.shape[3] != 3:
        raise ValueError(f"clip has shape {clip.shape}: give (T, H, W, 3), at least one frame")
    return (255 * np.clip(clip, 0, 1) + 0.5).astype(np.uint8)


def play_clips(clips: dict[str, np.ndarray], alt: str, *, scale: int = 3) -> HTML:
    """Show clips that move in the page: no script, no plug-in, no other file.

    Readers whose system asks for less motion see the last frame, and everybody can fold the clips
    away.

    Explained in chapter ``ad-video``.

    Parameters
    ----------
    clips : dict of arrays of shape (T, H, W, 3)
        By caption.
    alt : str
        What the clips are; each caption completes it.
    scale : int
        Screen pixels per pixel.

    Returns
    -------
    IPython.display.HTML

    Raises
    ------
    ValueError
        As `animation`.
    """
    shown = "".join(_figure(clip, caption, alt, scale) for caption, clip in clips.items())
    row = f'<div style="display:flex;flex-wrap:wrap;gap:0.8em;margin-top:0.5em">{shown}</div>'
    note = "These clips repeat. Fold them away here to stop them."
    return HTML(f"<details open><summary>{note}</summary>{row}</details>")


def _figure(clip: np.ndarray, caption: str, alt: str, scale: int) -> str:
    still, file = Image.fromarray(_bytes(clip)[-1]), io.BytesIO()
    width, height = (scale * side for side in still.size)
    still.save(file, "PNG")
    sources = {"png": file.getvalue(), "webp": animation(clip)}
    data = {k: f"data:image/{k};base64,{base64.b64encode(v).decode()}" for k, v in sources.items()}
    text, name = html.escape(f"{alt}: {caption}"), html.escape(caption)
    size = f'width="{width}" height="{height}" style="image-rendering:pixelated;max-width:none"'
    return (
        f'<figure style="margin:0;width:{width}px"><picture>'
        f'<source media="(prefers-reduced-motion: reduce)" srcset="{data["png"]}">'
        f'<img src="{data["webp"]}" alt="{text}" {size}></picture>'
        f'<figcaption style="font-size:0.8em;line-height:1.3">{name}</figcaption></figure>'
    )


def film_strips(clips: np.ndarray, labels: list[str], every: int = 2) -> Figure:
    """Draw the frames of clips (N, T, H, W, 3), one clip per row, with names at the left.

    Explained in chapter ``ad-video``.

    Raises
    ------
    ValueError
        When a clip is not finite, there is not one name for each, or no frame is left.
    """
    aligned(clips=clips, labels=labels)
    clips = numbers(clips, "clips", ndim=5)
    every = int(whole_numbers(every, "every", low=1, high=clips.shape[1]))
    frames = np.clip(clips[:, every - 1 :: every], 0, 1)
    sheet = contact_sheet(frames.reshape(-1, *frames.shape[2:]), columns=frames.shape[1])
    figure, axes = plt.subplots(figsize=(7, 0.25 + 0.85 * len(clips)))
    axes.imshow(sheet, interpolation="nearest", aspect="equal")
    side = len(sheet) / len(clips)
    axes.set_yticks(side * (np.arange(len(clips)) + 0.5), labels)
    axes.set_xticks(
        side * (np.arange(frames.shape[1]) + 0.5), range(every, clips.shape[1] + 1, every)
    )
    axes.set_xlabel("frame")
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    return figure
