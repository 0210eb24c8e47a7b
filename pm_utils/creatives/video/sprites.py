"""Clips without a network by one who knows how they are made: layers, and an icon that slides."""

import numpy as np
import torch
from torch import Tensor

from pm_utils.creatives.video.archive import check_clips, clip_codes
from pm_utils.creatives.video.networks import CLIP_LEVELS, MOTION, carry
from pm_utils.inputs import aligned, numbers
from pm_utils.market.renderer import DIRECTIONS, FRAMES, SIZE

STEPS = (-1.5, -0.75, 0.0, 0.75, 1.5)  # pixels: where an icon is looked for, across and down
PACES = np.arange(0.25, 2.01, 0.25)  # pixels per frame
ICON_SIZES = (0.92, 0.96, 1.0, 1.04, 1.08)  # of the usual size: tried for each clip
TEMPOS = (0.9, 0.95, 1.0, 1.05, 1.1)  # of the pace of the motion: tried for each clip
SCENE = 5  # numbers that describe a clip
PACE_ROWS = 30  # clips of each motion that its pace is found from
BATCH = 50  # clips looked at together, which stay in the cache
RIDGE = 0.005  # per clip: pulls a pixel to transparent where backgrounds hardly differ


class SpriteClips:
    """Layers learned by medians and least squares: a background, an icon with opacity, and a pace.

    It is told what `ClipPainter` is built on: a background that stays, and one icon that travels
    over it in the direction asked for. The background of a palette and a layout is the median of
    first frames, in which what moves fast is still far from its place. Behind an icon's pixel of
    opacity :math:`o` and colour :math:`c` the last frame shows :math:`oc + (1 - o) b`, a line in
    the background :math:`b`, which differs between palettes: so each pixel is a regression. Where
    the icon of each clip stands is then searched, and the regression repeated on icons laid upon
    each other. The pace of each motion is the one that leaves the least squared error; so are the
    size of each clip's icon and its tempo, how fast it is for its motion.

    Explained in chapter ``ad-video``.

    References
    ----------
    Jojic & Frey (2001), Learning flexible sprites in video layers.

    Examples
    --------
    >>> import numpy as np
    >>> from pm_utils.creatives.video.archive import clip_archive
    >>> from pm_utils.creatives.video.sprites import SpriteClips
    >>> rng = np.random.default_rng(0)
    >>> clips, codes = clip_archive(200, rng)
    >>> sprites = SpriteClips().fit(clips, codes)
    >>> sprites.pace  # still, then slow and fast by turns, pixels per frame
    array([0. , 0.5, 1.5, 0.5, 1.5, 0.5, 1.5, 0.5, 1.5])
    >>> sprites.sample(codes[:2], rng).shape
    torch.Size([2, 12, 3, 32, 32])
    """

    def fit(self, clips: Tensor, codes: np.ndarray) -> "SpriteClips":
        """Learn from clips (N, 12, 3, 32, 32) and codes (N, 4).

        Raises
        ------
        ValueError
            When a clip has another shape or is not finite, a code is out of range, or they differ
            in number.
        """
        check_clips(clips, codes=codes)
        codes = clip_codes(codes)
        self.backgrounds = self._backgrounds(clips, codes)
        last = clips[:, -1]
        behind = self.backgrounds[codes[:, 1], codes[:, 2]]
        self._fit_icons(last, behind, codes)
        for _ in range(2):  # lay the icons upon each other, and look at them again
            back = -torch.from_numpy(self._places(last, codes)).float().unsqueeze(1)
            both = carry(torch.cat([last, behind], 1), back, torch.ones(len(last)))[:, 0]
            self._fit_icons(both[:, :3], both[:, 3:], codes)
        places = self._places(last, codes)
        self.pace = self._paces(clips, codes, places)
        self.scenes = self.find(clips, codes)
        return self

    def find(self, clips: Tensor, codes: np.ndarray) -> np.ndarray:
        """Describe each clip by five numbers → (N, 5): place, size, tempo and brightness.

        The place is in pixels from the usual one, right and down; the others are factors.

        Raises
        ------
        ValueError
            As `fit`.
        """
        check_clips(clips, codes=codes)
        codes = clip_codes(codes)
        places = self._places(clips[:, -1], codes)
        found = []
        for part in np.array_split(np.arange(len(codes)), _parts(len(codes))):
            found.append(self._rest_of_scene(clips[part], codes[part], places[part]))
        return np.concatenate(found)

    def _rest_of_scene(self, clips: Tensor, codes: np.ndarray, places: np.ndarray) -> np.ndarray:
        """Search size and tempo, each the one of least error, and regress the brightness."""
        ones = np.ones(len(codes))
        errors = []
        for size in ICON_SIZES:  # in the last frame, where the tempo does not matter
            drawn = self._compose(codes, places[:, None], size * ones)
            errors.append((drawn - clips[:, -1:]).square().flatten(1).sum(1))
        sizes = np.asarray(ICON_SIZES)[torch.stack(errors).argmin(0).numpy()]
        errors = []
        for tempo in TEMPOS:
            drawn = self._compose(codes, self._paths(codes, places, tempo * ones), sizes)
            errors.append((drawn - clips).square().flatten(1).sum(1))
        tempos = np.asarray(TEMPOS)[torch.stack(errors).argmin(0).numpy()]
        tempos = np.where(codes[:, 3] > 0, tempos, 1)  # what stands still has none
        drawn = self._compose(codes, self._paths(codes, places, tempos), sizes)
        gain = (drawn * clips).flatten(1).sum(1) / drawn.square().flatten(1).sum(1)
        return np.column_stack([places, sizes, tempos, gain.numpy()])

    def draw(self, codes: np.ndarray, scenes: np.ndarray) -> Tensor:
        """Codes (N, 4) and scenes (N, 5) as `find` gives them → clips.

        Raises
        ------
        ValueError
            When a scene is not finite or has no five numbers, a code is out of range, or they
            differ in number.
        """
        aligned(scenes=scenes, codes=codes)
        scenes, codes = numbers(scenes, "scenes", ndim=2), clip_codes(codes)
        if scenes.shape[1] != SCENE:
            raise ValueError(f"scenes has shape {scenes.shape}: give (N, {SCENE})")
        places, sizes, tempos, gains = np.split(scenes, [2, 3, 4], axis=1)
        path = self._paths(codes, places, tempos[:, 0])
        gain = torch.from_numpy(gains).float().view(-1, 1, 1, 1, 1)
        return gain * self._compose(codes, path, sizes[:, 0])

    def sample(
        self, codes: np.ndarray, rng: np.random.Generator, *, boldness: float = 0.0
    ) -> Tensor:
        """Codes (N, 4) → one clip each.

        A scene is that of a random clip learned from, of which `boldness` is kept: 1 varies like
        real clips, 0 takes the mean scene.

        Raises
        ------
        ValueError
            When the boldness is negative or a code is out of range.
        """
        numbers(boldness, "boldness", low=0)
        codes = clip_codes(codes)
        mean = self.scenes.mean(axis=0)
        drawn = self.scenes[rng.integers(len(self.scenes), size=len(codes))]
        return self.draw(codes, mean + boldness * (drawn - mean))

    def _backgrounds(self, clips: Tensor, codes: np.ndarray) -> Tensor:
        """Medians of first frames, of fast clips where there are some → (6, 4, 3, 32, 32)."""
        first, is_fast = clips[:, 0], (codes[:, 3] > 0) & (codes[:, 3] % 2 == 0)
        palettes, layouts = CLIP_LEVELS["palette"], CLIP_LEVELS["layout"]
        found = torch.empty(palettes, layouts, 3, SIZE, SIZE)
        for palette, layout in np.ndindex(palettes, layouts):
            of_palette = codes[:, 1] == palette
            of_both = of_palette & (codes[:, 2] == layout)
            rows = _first_with_some(of_both & is_fast, of_both, of_palette)
            found[palette, layout] = first[rows].quantile(0.5, dim=0)
        return found

    def _fit_icons(self, last: Tensor, behind: Tensor, codes: np.ndarray) -> None:
        """Regress last frames on what is behind, pixel by pixel → icons (12, 4, 4, 32, 32)."""
        categories, layouts = CLIP_LEVELS["category"], CLIP_LEVELS["layout"]
        self.icons = torch.empty(categories, layouts, 4, SIZE, SIZE)
        for category, layout in np.ndindex(categories, layouts):
            of_category = codes[:, 0] == category
            rows = _first_with_some(of_category & (codes[:, 2] == layout), of_category)
            seen, below = last[rows], behind[rows]
            ridge = RIDGE * len(rows)
            seen_mean, below_mean = seen.mean(0), below.mean(0)
            spread = (below - below_mean).square().sum((0, 1)) + ridge
            common = ((seen - seen_mean) * (below - below_mean)).sum((0, 1)) + ridge
            slope = common / spread  # 1, transparent, where backgrounds do not differ
            slope = slope.clamp(0, 1)
            self.icons[category, layout, :3] = seen_mean - slope * below_mean
            self.icons[category, layout, 3] = 1 - slope

    def _places(self, last: Tensor, codes: np.ndarray) -> np.ndarray:
        """Search where the icons of last frames stand → (N, 2), pixels from their usual place."""
        grid = np.array([(across, down) for across in STEPS for down in STEPS])
        found = []
        for part in np.array_split(np.arange(len(codes)), _parts(len(codes))):
            tried = self._compose(codes[part], np.broadcast_to(grid, (len(part), *grid.shape)))
            error = (tried - last[part].unsqueeze(1)).square().flatten(2).sum(2)
            found.append(grid[error.argmin(1).numpy()])
        return np.concatenate(found)

    def _paces(self, clips: Tensor, codes: np.ndarray, places: np.ndarray) -> np.ndarray:
        """Find how fast each motion is → (9,), pixels per frame."""
        self.pace = np.zeros(MOTION)
        for motion in np.unique(codes[codes[:, 3] > 0, 3]):
            rows = np.flatnonzero(codes[:, 3] == motion)[:PACE_ROWS]
            errors = []
            for pace in PACES:
                self.pace[motion] = pace
                drawn = self._compose(codes[rows], self._paths(codes[rows], places[rows]))
                errors.append((drawn - clips[rows]).square().mean().item())
            self.pace[motion] = PACES[np.argmin(errors)]
        return self.pace

    def _paths(
        self, codes: np.ndarray, places: np.ndarray, tempos: np.ndarray | float = 1.0
    ) -> np.ndarray:
        """Places in the last frame → places in all frames (N, 12, 2)."""
        motion = codes[:, 3]
        pace = self.pace[motion] * tempos
        velocity = DIRECTIONS[(motion + 1) // 2] * pace[:, None]  # (N, 2)
        to_go = np.arange(FRAMES - 1, -1, -1)[:, None]
        return places[:, None] - to_go * velocity[:, None]

    def _compose(
        self, codes: np.ndarray, path: np.ndarray, sizes: np.ndarray | None = None
    ) -> Tensor:
        """Lay icons over backgrounds, codes (N, 4), at each place of paths (N, T, 2) → clips."""
        category, palette, layout, _ = codes.T
        where = torch.from_numpy(np.ascontiguousarray(path)).float()
        usual = torch.ones(len(codes))
        size = usual if sizes is None else torch.from_numpy(np.ascontiguousarray(sizes)).float()
        moved = carry(self.icons[category, layout], where, size)
        colour, opacity = moved.split([3, 1], 2)
        return self.backgrounds[palette, layout].unsqueeze(1) * (1 - opacity) + colour


def _parts(count: int) -> int:
    return max(1, -(-count // BATCH))


def _first_with_some(*choices: np.ndarray) -> np.ndarray:
    """Return the rows of the first choice that has any; where none has, all rows."""
    for rows in choices:
        if rows.any():
            return np.flatnonzero(rows)
    return np.arange(len(choices[0]))
