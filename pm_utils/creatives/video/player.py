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
from pm_utils.market import ATTRIBUTES
from pm_utils.market.renderer import FRAMES, SIZE, contact_sheet


def describe(codes: np.ndarray) -> str:
    """Say what an ad, codes (4,), shows and does.

    Explained in chapter ``ad-video``.

    Examples
    --------
    >>> import numpy as np
    >>> from pm_utils.creatives.video.player import describe
    >>> describe(np.array([3, 0, 1, 2]))
    'snacks, red, left, left fast'
    """
    category, palette, layout = (
        ATTRIBUTES[name][code] for name, code in zip(CLIP_LEVELS, codes[:3], strict=True)
    )
    creative = clip_creatives(np.asarray(codes)[None])
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


def play_clips(clips: dict[str, np.ndarray], alt: str, *, scale: int = 3) -> HTML:
    """Show clips that move in the page: no script, no plug-in, no other file.

    Readers whose system asks for less motion see the last frame, and everybody can fold the clips
    away.

    Explained in chapter ``ad-video``.

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
    """Draw the frames of clips (N, 12, 32, 32, 3), one clip per row, with names at the left.

    Explained in chapter ``ad-video``.
    """
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
