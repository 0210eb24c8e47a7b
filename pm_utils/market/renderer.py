"""Draw ads: small colour pictures and clips in which every attribute can be seen.

An ad is painted from back to front: a background (palette), white lines or a band of text
(layout), an icon with a white rim (category; its place and size follow the layout), a badge that
says the discount, and a frame (tone). In a clip the icon slides into its place and arrives in the
last frame, which is the picture. What does not depend on attributes is a `Scene`: where exactly,
how large, how bright, how long the lines are. Noise is added last.
"""

from dataclasses import dataclass
from functools import cache

import numpy as np
from scipy.ndimage import distance_transform_edt
from scipy.special import ndtr

from pm_utils.inputs import numbers, whole_numbers
from pm_utils.market._checks import known_codes
from pm_utils.market.creatives import ATTRIBUTES, Creatives, check_levels, level_counts

SIZE = 32  # pixels, height and width
FRAMES = 12
NOISE = 0.02  # standard deviation, brightness is in [0, 1]
SPEEDS = np.array([0.5, 1.5])  # slow and fast, pixels per frame
DIRECTIONS = np.array(
    [(0, 0), (-1, 0), (1, 0), (0, -1), (0, 1)]
)  # (x, y) of each motion; y is down
PALETTE = np.array(
    [
        *[(0.80, 0.27, 0.27), (0.94, 0.58, 0.20), (0.33, 0.64, 0.38)],
        *[(0.26, 0.48, 0.80), (0.54, 0.36, 0.72), (0.55, 0.56, 0.58)],
    ]
)
ICON_PLACE = np.array([(15.5, 16.0), (10.5, 15.5), (21.5, 15.5), (11.0, 11.5)])  # (x, y) by layout
ICON_SIZE = np.array([20.0, 16.0, 16.0, 15.0])  # pixels, by layout
BADGE_PLACE = np.array([(16, 3), (16, 20), (3, 20), (16, 7)])  # left, top of the badge by layout
BADGE_SHAPE = (9, 13)
BADGE_SHIFTS = 4
FRAMED = ("plain", "warm", "urgent", "playful")  # tones that have a frame; a plain one is none
VARIANTS = 8  # of text lines, and of the frame
LAYOUTS_WITH_TEXT = 4  # that `text_sheets` writes in

WHITE, DARK, CREAM = (0.98, 0.98, 0.98), (0.13, 0.12, 0.14), (1.0, 0.94, 0.80)
YELLOW, CRIMSON = (1.0, 0.86, 0.18), (0.62, 0.05, 0.12)
DOTS = np.array([(1.0, 0.95, 0.35), (1.0, 0.55, 0.75), (0.45, 0.90, 0.95), (0.97, 0.97, 0.97)])
GLYPHS = {  # rows of three pixels; no two digits of a discount differ by fewer than four
    **{"0": "111101101101111", "1": "010110010010111", "2": "111001111100111"},
    **{"3": "110001010001110", "5": "111100110001110", "%": "101001010100101"},
}

_TAN, _BROWN, _GOLD = (0.80, 0.58, 0.33), (0.38, 0.22, 0.12), (0.93, 0.70, 0.30)
_BLUE, _PALE, _PINK = (0.16, 0.38, 0.72), (0.78, 0.90, 0.98), (0.96, 0.45, 0.62)
_RED, _GREEN, _TEAL, _ORANGE = (
    (0.85, 0.13, 0.16),
    (0.25, 0.60, 0.20),
    (0.10, 0.62, 0.60),
    (1, 0.5, 0.1),
)
# Shapes in the square [-1, 1]², painted in order; y is down, no colour cuts a hole.
#   ("oval", x, y, width/2, height/2)  ("line", x, y, x, y, width/2)  ("area", corners of a convex
#   polygon, clockwise on the screen)
ICONS: dict[str, list[tuple]] = {
    "drinks": [
        (("line", 0.05, -0.2, 0.4, -0.95, 0.08), _RED),
        (("area", -0.6, -0.5, 0.6, -0.5, 0.4, 0.92, -0.4, 0.92), _PALE),
        (("area", -0.55, -0.2, 0.55, -0.2, 0.4, 0.85, -0.4, 0.85), _ORANGE),
        (("area", -0.3, -0.05, 0.0, -0.15, 0.1, 0.15, -0.2, 0.25), (1, 0.85, 0.5)),
    ],
    "dairy": [
        (("area", -0.22, -0.75, 0.22, -0.75, 0.42, -0.2, -0.42, -0.2), _PALE),
        (("area", -0.42, -0.22, 0.42, -0.22, 0.42, 0.92, -0.42, 0.92), _PALE),
        (("area", -0.24, -0.98, 0.24, -0.98, 0.24, -0.7, -0.24, -0.7), _BLUE),
        (("area", -0.42, 0.1, 0.42, 0.1, 0.42, 0.6, -0.42, 0.6), _BLUE),
        (("oval", 0.0, 0.35, 0.16, 0.16), WHITE),
    ],
    "bakery": [
        (("line", -0.55, 0.15, 0.55, 0.15, 0.45), _GOLD),
        (("oval", -0.5, -0.15, 0.4, 0.4), _TAN),
        (("oval", 0.0, -0.2, 0.42, 0.42), _TAN),
        (("oval", 0.5, -0.15, 0.4, 0.4), _TAN),
        (("line", -0.35, -0.4, -0.2, 0.1, 0.07), _BROWN),
        (("line", 0.2, -0.4, 0.35, 0.1, 0.07), _BROWN),
    ],
    "snacks": [
        (("oval", 0.0, 0.0, 0.88, 0.88), (0.72, 0.46, 0.22)),
        (("oval", -0.4, -0.3, 0.16, 0.16), _BROWN),
        (("oval", 0.05, -0.55, 0.14, 0.14), _BROWN),
        (("oval", -0.1, 0.1, 0.17, 0.17), _BROWN),
        (("oval", -0.45, 0.45, 0.15, 0.15), _BROWN),
        (("oval", 0.4, 0.4, 0.17, 0.17), _BROWN),
        (("oval", 0.85, -0.55, 0.45, 0.45), None),
    ],
    "meat": [
        (("line", 0.2, 0.2, 0.7, 0.7, 0.13), CREAM),
        (("oval", 0.8, 0.58, 0.18, 0.18), CREAM),
        (("oval", 0.58, 0.8, 0.18, 0.18), CREAM),
        (("oval", -0.25, -0.25, 0.68, 0.62), (0.66, 0.26, 0.14)),
        (("oval", -0.4, -0.45, 0.25, 0.18), (0.85, 0.5, 0.32)),
    ],
    "produce": [
        (("line", 0.0, -0.3, 0.12, -0.85, 0.09), _BROWN),
        (("oval", -0.3, 0.22, 0.55, 0.66), _RED),
        (("oval", 0.3, 0.22, 0.55, 0.66), _RED),
        (("oval", 0.48, -0.65, 0.35, 0.2), _GREEN),
        (("oval", -0.4, 0.0, 0.14, 0.22), (1, 0.6, 0.55)),
    ],
    "frozen": [
        (("line", 0.0, 0.4, 0.0, 0.85, 0.12), _TAN),
        (("line", 0.0, -0.5, 0.0, 0.1, 0.45), _PINK),
        (("area", -0.45, -0.1, 0.45, -0.1, 0.45, 0.5, -0.45, 0.5), _PINK),
        (("line", -0.18, -0.5, -0.18, 0.25, 0.08), (1, 0.78, 0.86)),
        (("line", 0.18, -0.5, 0.18, 0.25, 0.08), (1, 0.78, 0.86)),
    ],
    "breakfast": [
        (("oval", 0.0, -0.05, 0.88, 0.42), _GOLD),
        (("oval", -0.4, -0.15, 0.16, 0.12), _ORANGE),
        (("oval", 0.1, -0.25, 0.16, 0.12), _ORANGE),
        (("oval", 0.5, -0.1, 0.14, 0.1), _ORANGE),
        (("area", -0.9, 0.0, 0.9, 0.0, 0.5, 0.8, -0.5, 0.8), _BLUE),
        (("line", -0.7, 0.25, 0.7, 0.25, 0.07), _PALE),
    ],
    "household": [
        (("area", -0.2, -0.5, 0.2, -0.5, 0.45, 0.15, -0.45, 0.15), _TEAL),
        (("area", -0.45, 0.1, 0.45, 0.1, 0.45, 0.95, -0.45, 0.95), _TEAL),
        (("line", -0.35, -0.7, 0.25, -0.7, 0.16), DARK),
        (("line", -0.35, -0.6, -0.5, -0.2, 0.08), DARK),
        (("oval", -0.8, -0.85, 0.11, 0.11), _BLUE),
        (("oval", -0.85, -0.55, 0.11, 0.11), _BLUE),
        (("oval", 0.0, 0.5, 0.26, 0.26), WHITE),
    ],
    "beauty": [
        (("area", -0.38, 0.3, 0.38, 0.3, 0.38, 0.98, -0.38, 0.98), DARK),
        (("area", -0.32, -0.1, 0.32, -0.1, 0.32, 0.3, -0.32, 0.3), _GOLD),
        (("area", -0.24, -0.6, 0.24, -0.98, 0.24, -0.1, -0.24, -0.1), (0.82, 0.08, 0.42)),
    ],
    "pets": [
        (("oval", 0.0, 0.42, 0.56, 0.46), _BROWN),
        (("oval", -0.7, -0.1, 0.22, 0.28), _BROWN),
        (("oval", -0.26, -0.55, 0.22, 0.3), _BROWN),
        (("oval", 0.26, -0.55, 0.22, 0.3), _BROWN),
        (("oval", 0.7, -0.1, 0.22, 0.28), _BROWN),
    ],
    "baby": [
        (("oval", 0.1, 0.4, 0.78, 0.48), YELLOW),
        (("area", 0.5, 0.2, 0.98, -0.15, 0.9, 0.5, 0.6, 0.5), YELLOW),
        (("oval", -0.35, -0.3, 0.46, 0.46), YELLOW),
        (("line", -0.7, -0.2, -0.95, -0.15, 0.11), _ORANGE),
        (("oval", -0.45, -0.42, 0.1, 0.1), DARK),
        (("oval", 0.25, 0.35, 0.36, 0.2), _GOLD),
    ],
}
_FINE, _ATLAS, _REACH, _RIM = 192, 48, 1.25, 0.2  # samples, stored pixels, half width, rim width


@dataclass(frozen=True)
class Scene:
    """What an ad's attributes leave open; every field is an array of shape (N,).

    Attributes
    ----------
    x, y : float
        Shift of the icon from its place, pixels.
    size : float
        Size of the icon relative to that of its layout.
    gain : float
        Brightness.
    frame, lines : int
        Variant of the frame and of the text lines, 0 to 7.
    badge : int
        Shift of the badge: 0 none, 1 right, 2 down, 3 both, one pixel each.
    pace : float
        Speed relative to slow or fast.

    Raises
    ------
    ValueError
        When the arrays differ in length, a number is not finite, or there is no such variant.

    Examples
    --------
    >>> import numpy as np
    >>> from pm_utils.market.renderer import Scene
    >>> scene = Scene.from_uniform(np.full((1, 8), 0.5))  # the middle of each range
    >>> scene.x, scene.size, scene.gain
    (array([0.]), array([1.]), array([0.97]))
    """

    x: np.ndarray
    y: np.ndarray
    size: np.ndarray
    gain: np.ndarray
    frame: np.ndarray
    lines: np.ndarray
    badge: np.ndarray
    pace: np.ndarray

    def __post_init__(self) -> None:
        """Check that each number can be drawn."""
        variants = {"frame": VARIANTS, "lines": VARIANTS, "badge": BADGE_SHIFTS}
        for name, values in vars(self).items():
            one = numbers(values, name, ndim=1)
            if len(one) != len(self.x):
                raise ValueError(f"{name} has {len(one)} ads, x {len(self.x)}: give as many")
            if name in variants:
                one = known_codes(values, name, variants[name])
            object.__setattr__(self, name, one)

    def __len__(self) -> int:
        """Return the number of ads."""
        return len(self.x)

    @classmethod
    def from_uniform(cls, uniform: np.ndarray) -> "Scene":
        """Turn numbers in [0, 1], shape (N, 8), into scenes; 0.5 is the middle of each range.

        Raises
        ------
        ValueError
            When a number lies outside, or there are not eight for each.
        """
        uniform = numbers(uniform, "uniform", low=0, high=1, ndim=2)
        if uniform.shape[1] != N_UNIFORM:
            raise ValueError(f"uniform has shape {uniform.shape}: give (N, {N_UNIFORM})")
        u = np.minimum(uniform, 1 - 1e-6).T
        return cls(
            x=3 * u[0] - 1.5,
            y=3 * u[1] - 1.5,
            size=0.92 + 0.16 * u[2],
            gain=0.87 + 0.2 * u[3],
            frame=(VARIANTS * u[4]).astype(int),
            lines=(VARIANTS * u[5]).astype(int),
            badge=(BADGE_SHIFTS * u[6]).astype(int),
            pace=0.9 + 0.2 * u[7],
        )


N_UNIFORM = 8


def _shape(kind: str, *at: float) -> np.ndarray:
    """Return where a shape is, on the fine grid → (_FINE, _FINE) bool."""
    axis = _REACH * (2 * (np.arange(_FINE) + 0.5) / _FINE - 1)
    x, y = axis[None, :], axis[:, None]
    if kind == "oval":
        return ((x - at[0]) / at[2]) ** 2 + ((y - at[1]) / at[3]) ** 2 < 1
    if kind == "line":
        (x0, y0, x1, y1), width = at[:4], at[4]
        along = (x - x0) * (x1 - x0) + (y - y0) * (y1 - y0)
        share = np.clip(along / ((x1 - x0) ** 2 + (y1 - y0) ** 2), 0, 1)
        return np.hypot(x - x0 - share * (x1 - x0), y - y0 - share * (y1 - y0)) < width
    corners = np.reshape(at, (-1, 2))
    sides = zip(corners, np.roll(corners, -1, axis=0), strict=True)
    inside = [(b[0] - a[0]) * (y - a[1]) > (b[1] - a[1]) * (x - a[0]) for a, b in sides]
    return np.logical_and.reduce(inside)


def _icon(shapes: list[tuple]) -> np.ndarray:
    """Paint one icon with its white rim → (_ATLAS, _ATLAS, 4), colour times opacity, opacity."""
    colour, solid = np.empty((_FINE, _FINE, 3)), np.zeros((_FINE, _FINE), dtype=bool)
    colour[:] = WHITE
    for shape, paint in shapes:
        where = _shape(*shape)
        solid = solid & ~where if paint is None else solid | where
        colour[where] = WHITE if paint is None else paint
    rim = distance_transform_edt(~solid) * (2 * _REACH / _FINE) < _RIM
    fine = np.concatenate([colour * rim[..., None], rim[..., None]], axis=2)
    blocks = fine.reshape(_ATLAS, _FINE // _ATLAS, _ATLAS, _FINE // _ATLAS, 4)
    return blocks.mean(axis=(1, 3)).astype(np.float32)


@cache
def icon_atlas() -> np.ndarray:
    """Return all icons → (12, 48, 48, 4), colour times opacity and opacity."""
    check_levels("category", ICONS, "pm_utils.market.renderer.ICONS")
    return np.stack([_icon(ICONS[name]) for name in ATTRIBUTES["category"]])


def _resample(centre: np.ndarray, size: np.ndarray) -> np.ndarray:
    """Return the weight of each stored pixel in each picture pixel, one axis → (N, SIZE, _ATLAS).

    Tents as wide as a picture pixel, so that any shift and size is drawn without jaggies.
    """
    step = (_REACH * size / _ATLAS)[:, None, None]  # picture pixels per stored pixel
    stored = (np.arange(_ATLAS) + 0.5 - _ATLAS / 2) * step + centre[:, None, None]
    distance = np.abs(np.arange(SIZE)[None, :, None] - stored)
    tent = np.maximum(0, 1 - distance)
    return (tent / np.maximum(tent.sum(axis=2, keepdims=True), 0.5 / step)).astype(np.float32)


def _box(left: float, top: float, right: float, bottom: float, colour: tuple) -> np.ndarray:
    """Return an overlay with one rectangle; bounds in pixels, the last excluded → (32, 32, 4)."""
    sheet = np.zeros((SIZE, SIZE, 4), dtype=np.float32)
    sheet[int(top) : int(bottom), int(left) : int(right)] = (*colour, 1)
    return sheet


def over(below: np.ndarray, above: np.ndarray) -> np.ndarray:
    """Lay one overlay or picture (..., 3 or 4) under another overlay (..., 4).

    Examples
    --------
    Half of a white overlay on black:

    >>> import numpy as np
    >>> from pm_utils.market.renderer import over
    >>> over(np.zeros(3), np.array([0.5, 0.5, 0.5, 0.5]))  # colour times opacity, opacity
    array([0.5, 0.5, 0.5])
    """
    channels = below.shape[-1]
    return below * (1 - above[..., 3:]) + above[..., :channels]


@cache
def text_sheets() -> np.ndarray:
    """Return the text of every layout and variant → (4, 8, 32, 32, 4)."""
    sheets = np.zeros((LAYOUTS_WITH_TEXT, VARIANTS, SIZE, SIZE, 4), dtype=np.float32)
    for variant in range(VARIANTS):
        short = [(variant * step) % 4 for step in (1, 2, 3)]
        sheets[0, variant] = _box(7 + short[0], 27, 25 - short[1], 29, WHITE)
        for row, cut in zip((6, 10, 14), (0, short[0], short[2]), strict=True):
            right = _box(20, row, 29 - cut, row + 2, WHITE)
            sheets[1, variant] = over(sheets[1, variant], right)
            left = _box(3 + cut, row, 12, row + 2, WHITE)
            sheets[2, variant] = over(sheets[2, variant], left)
        band = _box(2, 20, 30, 29, WHITE)
        for row, cut in zip((22, 25), (short[0], 3 + short[2]), strict=True):
            band = over(band, _box(5, row, 27 - cut, row + 2, DARK))
        sheets[3, variant] = band
    return sheets


@cache
def background_sheets() -> np.ndarray:
    """Return every palette, lit from above, under every text → (6, 4, 8, 32, 32, 3)."""
    light = np.linspace(1.07, 0.93, SIZE)[:, None, None]
    plain = (PALETTE[:, None, None, :] * light).astype(np.float32)  # (6, 32, 1, 3)
    return over(plain[:, None, None], text_sheets()[None])


@cache
def badge_sheets() -> np.ndarray:
    """Return the badge of every layout, discount and shift → (4, 5, 4, 32, 32, 4)."""
    discounts, shifts = level_counts("discount")["discount"], BADGE_SHIFTS
    sheets = np.zeros((len(BADGE_PLACE), discounts, shifts, SIZE, SIZE, 4), dtype=np.float32)
    for layout, discount, shift in np.ndindex(sheets.shape[:3]):
        if discount:
            left, top = BADGE_PLACE[layout] + (shift % 2, shift // 2)
            rows, columns = slice(top, top + BADGE_SHAPE[0]), slice(left, left + BADGE_SHAPE[1])
            sheets[layout, discount, shift, rows, columns] = badge(discount)
    return sheets


def badge(discount: int) -> np.ndarray:
    """Return the badge of one discount (code 1 to 4) → (9, 13, 4).

    Raises
    ------
    ValueError
        When there is no such discount.
    """
    whole_numbers(discount, "discount", low=1, high=level_counts("discount")["discount"] - 1)
    text = [GLYPHS[letter] for letter in ATTRIBUTES["discount"][discount]]
    rows = ["0".join(glyph[3 * row : 3 * row + 3] for glyph in text) for row in range(5)]
    ink = np.zeros(BADGE_SHAPE, dtype=bool)
    ink[2:7, 1:12] = np.array([[pixel == "1" for pixel in row] for row in rows])
    plate = np.ones((*BADGE_SHAPE, 4), dtype=np.float32)
    plate[..., :3] = np.where(ink[..., None], CRIMSON, YELLOW)
    plate[[0, 0, -1, -1], [0, -1, 0, -1]] = 0
    return plate


@cache
def frame_sheets() -> np.ndarray:
    """Return the frame of every tone and variant → (4, 8, 32, 32, 4)."""
    check_levels("tone", FRAMED, "pm_utils.market.renderer.frame_sheets")
    warm, urgent, playful = (ATTRIBUTES["tone"].index(name) for name in FRAMED[1:])
    y, x = np.mgrid[:SIZE, :SIZE]
    inset = np.minimum(np.minimum(x, SIZE - 1 - x), np.minimum(y, SIZE - 1 - y))
    turn = np.where(y < 2, x, np.where(x >= 30, 30 + y, np.where(y >= 30, 90 - x, 120 - y)))
    sheets = np.zeros((len(FRAMED), VARIANTS, SIZE, SIZE, 4), dtype=np.float32)
    for variant in range(VARIANTS):
        sheets[warm, variant, inset < 2] = (*CREAM, 1)
        stripe = ((x + y + variant) % 8 < 4)[..., None]
        stripes = np.where(stripe, (*YELLOW, 1), (*DARK, 1))
        sheets[urgent, variant, inset < 2] = stripes[inset < 2]
        dot = (inset < 2) & ((turn + variant % 2 * 2) % 4 < 2)
        colour = DOTS[(turn // 4 + variant // 2) % len(DOTS)]
        sheets[playful, variant, dot] = np.c_[colour[dot], np.ones(dot.sum())]
    return sheets


def check_drawable() -> None:
    """Check that every level of `ATTRIBUTES` that is seen can be drawn.

    Raises
    ------
    ValueError
        Names what is missing and the place to add it.
    """
    check_levels("category", ICONS, "pm_utils.market.renderer.ICONS")
    check_levels("tone", FRAMED, "pm_utils.market.renderer.frame_sheets")
    places = {
        "palette": ("PALETTE", len(PALETTE)),
        "layout": (
            "ICON_PLACE, ICON_SIZE, BADGE_PLACE and text_sheets",
            min(len(ICON_PLACE), len(ICON_SIZE), len(BADGE_PLACE), LAYOUTS_WITH_TEXT),
        ),
        "motion": ("DIRECTIONS", len(DIRECTIONS)),
        "speed": ("SPEEDS", len(SPEEDS)),
    }
    written = [level for level in ATTRIBUTES["discount"] if _fits_the_badge(level)]
    first = ATTRIBUTES["discount"][:1]  # none, which has no badge
    check_levels("discount", [*first, *written], "pm_utils.market.renderer.GLYPHS, as three signs,")
    for name, (place, count) in places.items():
        known = ATTRIBUTES[name][:count]
        check_levels(name, known, f"pm_utils.market.renderer.{place}")


def _fits_the_badge(level: str) -> bool:
    return len(level) == 3 and set(level) <= set(GLYPHS)


def _check_scene(creatives: Creatives, scene: Scene) -> None:
    if len(creatives) != len(scene):
        raise ValueError(f"{len(creatives)} ads and {len(scene)} scenes: give one for each")


def compose(creatives: Creatives, scene: Scene) -> np.ndarray:
    """Draw ads without noise.

    Parameters
    ----------
    creatives : Creatives of N ads
        Motion and speed do not matter.
    scene : Scene of N ads

    Returns
    -------
    array of shape (N, 32, 32, 3), float32 in [0, 1]

    Raises
    ------
    ValueError
        When `ATTRIBUTES` has a level that nothing is drawn for, or there is not one scene per ad.
    """
    check_drawable()
    _check_scene(creatives, scene)
    picture = background_sheets()[creatives.palette, creatives.layout, scene.lines]
    for category in np.unique(creatives.category):
        rows = np.flatnonzero(creatives.category == category)
        picture[rows] = over(
            picture[rows], draw_icons(category, creatives.layout[rows], scene, rows)
        )
    picture = over(picture, badge_sheets()[creatives.layout, creatives.discount, scene.badge])
    picture = over(picture, frame_sheets()[creatives.tone, scene.frame])
    return np.clip(picture * scene.gain[:, None, None, None].astype(np.float32), 0, 1)


def draw_icons(category: int, layout: np.ndarray, scene: Scene, rows: np.ndarray) -> np.ndarray:
    """Draw the icons of one category in their places → (n, 32, 32, 4).

    Raises
    ------
    ValueError
        When there is no such category, layout or row of the scene.
    """
    category = int(whole_numbers(category, "category", high=len(icon_atlas()) - 1))
    layout, rows = (
        known_codes(layout, "layout", len(ICON_SIZE)),
        known_codes(rows, "rows", len(scene)),
    )
    size = ICON_SIZE[layout] * scene.size[rows]
    x, y = ICON_PLACE[layout].T
    down, across = _resample(y + scene.y[rows], size), _resample(x + scene.x[rows], size)
    icon = icon_atlas()[category].transpose(0, 2, 1).reshape(_ATLAS, -1)  # (y, 4 x)
    tall = (down.reshape(-1, _ATLAS) @ icon).reshape(len(rows), SIZE * 4, _ATLAS)
    drawn = tall @ across.transpose(0, 2, 1)  # (n, 4 y, x)
    return drawn.reshape(len(rows), SIZE, 4, SIZE).transpose(0, 1, 3, 2)


def render_images(creatives: Creatives, rng: np.random.Generator) -> np.ndarray:
    """Draw one picture per ad, each in a scene of its own.

    Explained in chapter ``ad-images``.

    Parameters
    ----------
    creatives : Creatives of N ads
        Motion and speed do not matter.
    rng : Generator
        Drawn from in the same way whatever the batch size.

    Returns
    -------
    array of shape (N, 32, 32, 3), float32 in [0, 1]

    Examples
    --------
    >>> import numpy as np
    >>> from pm_utils.market import random_creatives
    >>> from pm_utils.market.renderer import render_images
    >>> ads = random_creatives(2, np.random.default_rng(0))
    >>> render_images(ads, np.random.default_rng(1)).shape
    (2, 32, 32, 3)
    """
    return _render(creatives, rng, frames=1)[:, 0]


def render_clips(creatives: Creatives, rng: np.random.Generator) -> np.ndarray:
    """Draw one clip per ad: the icon slides in and arrives at its place in the last frame.

    Parameters
    ----------
    creatives : Creatives of N ads
    rng : Generator
        Drawn from in the same way whatever the batch size.

    Returns
    -------
    array of shape (N, 12, 32, 32, 3), float32 in [0, 1]
        12 frames; a still ad shows the same picture twelve times, with new noise.

    Examples
    --------
    >>> import numpy as np
    >>> from pm_utils.market import random_creatives
    >>> from pm_utils.market.renderer import render_clips
    >>> ads = random_creatives(2, np.random.default_rng(0))
    >>> render_clips(ads, np.random.default_rng(1)).shape
    (2, 12, 32, 32, 3)
    """
    return _render(creatives, rng, frames=FRAMES)


def _render(creatives: Creatives, rng: np.random.Generator, frames: int) -> np.ndarray:
    check_drawable()  # before anything is drawn from the generator
    out = np.empty((len(creatives), frames, SIZE, SIZE, 3), dtype=np.float32)
    batch = 256 // frames
    for start in range(0, len(creatives), batch):
        rows = np.arange(start, min(start + batch, len(creatives)))
        drawn = rng.standard_normal((len(rows), N_UNIFORM + out[0].size), dtype=np.float32)
        scene = Scene.from_uniform(ndtr(drawn[:, :N_UNIFORM].astype(float)))
        noise = np.float32(NOISE) * drawn[:, N_UNIFORM:].reshape(-1, frames, SIZE, SIZE, 3)
        noise += compose_clips(creatives.take(rows), scene, frames)
        np.clip(noise, 0, 1, out=out[start : start + batch])
    return out


def velocity(creatives: Creatives, scene: Scene) -> np.ndarray:
    """Return how fast each icon moves → (N, 2), pixels per frame right and down.

    Raises
    ------
    ValueError
        When there is not one scene per ad.

    Examples
    --------
    >>> import numpy as np
    >>> from pm_utils.market import Creatives
    >>> from pm_utils.market.renderer import Scene, velocity
    >>> zero, middle = [0], Scene.from_uniform(np.full((1, 8), 0.5))
    >>> slow_up = Creatives(zero, zero, zero, zero, zero, motion=[3], speed=[0])
    >>> velocity(slow_up, middle)  # y is down, and a slow ad goes half a pixel per frame
    array([[ 0. , -0.5]])
    """
    _check_scene(creatives, scene)
    pace = SPEEDS[creatives.speed] * scene.pace
    return DIRECTIONS[creatives.motion] * pace[:, None]


def compose_clips(creatives: Creatives, scene: Scene, frames: int = FRAMES) -> np.ndarray:
    """Draw the last frames of clips without noise → (N, frames, 32, 32, 3).

    Raises
    ------
    ValueError
        As `compose`, or when there is no frame.
    """
    check_drawable()
    frames = int(whole_numbers(frames, "frames", low=1))
    ago = np.arange(frames - 1, -1, -1)
    path = -velocity(creatives, scene)[:, None, :] * ago[:, None]  # (N, frames, 2)
    still = {name: np.repeat(value, frames) for name, value in vars(scene).items()}
    still["x"] = still["x"] + path[..., 0].ravel()
    still["y"] = still["y"] + path[..., 1].ravel()
    repeated = creatives.take(np.repeat(np.arange(len(creatives)), frames))
    return compose(repeated, Scene(**still)).reshape(-1, frames, SIZE, SIZE, 3)


def contact_sheet(images: np.ndarray, *, columns: int, scale: int = 4) -> np.ndarray:
    """Lay pictures (N, 32, 32, 3) out in rows on white, each pixel a square of scale × scale.

    Explained in chapter ``closed-loop``.

    Parameters
    ----------
    images : array of shape (N, H, W, C)
    columns, scale : int

    Raises
    ------
    ValueError
        When a picture is not finite, a size is not above 0, or the pictures do not fill the rows.

    Examples
    --------
    >>> import numpy as np
    >>> from pm_utils.market.renderer import contact_sheet
    >>> contact_sheet(np.zeros((6, 32, 32, 3)), columns=3, scale=2).shape  # with a white rim each
    (136, 204, 3)
    """
    images = numbers(images, "images", ndim=4)
    columns, scale = (
        int(whole_numbers(size, name, low=1))
        for size, name in ((columns, "columns"), (scale, "scale"))
    )
    if len(images) % columns:
        raise ValueError(f"{len(images)} pictures do not fill rows of {columns}")
    framed = np.pad(images, ((0, 0), (1, 1), (1, 1), (0, 0)), constant_values=1)
    height, width, channels = framed.shape[1:]
    grid = framed.reshape(-1, columns, height, width, channels).transpose(0, 2, 1, 3, 4)
    sheet = grid.reshape(-1, columns * width, channels)
    return sheet.repeat(scale, axis=0).repeat(scale, axis=1)
