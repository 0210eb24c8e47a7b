"""Clips without a network: principal components of frames, and lines from requests to them."""

import numpy as np
import torch
from sklearn.decomposition import PCA
from sklearn.linear_model import Ridge
from sklearn.preprocessing import PolynomialFeatures
from torch import Tensor

from pm_utils.creatives.video.archive import (
    any_clips,
    check_clips,
    clip_codes,
    clip_request,
)
from pm_utils.creatives.video.networks import CONTENT
from pm_utils.inputs import aligned, numbers, whole_numbers
from pm_utils.market.renderer import FRAMES, SIZE


class LinearClips:
    """Linear dynamics on principal components of frames, fitted for each motion.

    The state of the last frame is a Gaussian around a linear function of the attributes and their
    pairs. Each earlier state is a linear function of the next one and of the attributes, one
    function per motion: a vector autoregression that runs from the picture, where all is in view,
    back to the beginning.

    Explained in chapter ``ad-video``.

    Parameters
    ----------
    components : int
    penalty : float
        Of the ridge regression that finds the dynamics.

    Examples
    --------
    The dynamics of a motion are learned from clips with that motion: ask for no other.

    >>> import numpy as np
    >>> from pm_utils.creatives.video.archive import clip_archive
    >>> from pm_utils.creatives.video.baselines import LinearClips
    >>> rng = np.random.default_rng(0)
    >>> clips, codes = clip_archive(12, rng)
    >>> linear = LinearClips(components=3).fit(clips, codes)
    >>> linear.states(clips).shape
    (12, 12, 3)
    >>> linear.sample(codes[:2], rng, boldness=0.0).shape
    torch.Size([2, 12, 3, 32, 32])

    Raises
    ------
    ValueError
        When there is no component, or the penalty is negative.
    """

    def __init__(self, components: int = 96, penalty: float = 1.0) -> None:
        whole_numbers(components, "components", low=1), numbers(penalty, "penalty", low=0)
        settings = {"svd_solver": "randomized", "iterated_power": 2, "random_state": 0}
        self.pca = PCA(components, **settings)
        self.penalty = penalty

    def fit(self, clips: Tensor, codes: np.ndarray) -> "LinearClips":
        """Learn from clips (N, 12, 3, 32, 32) and codes (N, 4).

        Raises
        ------
        ValueError
            When a clip has another shape or is not finite, a code is out of range, or they differ
            in number.
        """
        check_clips(clips, codes=codes)
        codes = clip_codes(codes)
        frames = clips.flatten(2).numpy()  # (N, 12, 3072)
        frame = np.arange(len(frames)) % FRAMES
        self.pca.fit(np.concatenate([frames[:, -1], frames[np.arange(len(frames)), frame]]))
        states = self.states(clips)
        known = self._pairs(codes)
        self.last = Ridge(1.0).fit(known, states[:, -1])
        residual = states[:, -1] - self.last.predict(known)
        self.cholesky = np.linalg.cholesky(np.cov(residual.T) + 1e-6 * np.eye(residual.shape[1]))
        self.dynamics = {}
        for motion in np.unique(codes[:, 3]):
            rows = codes[:, 3] == motion
            seen = self._seen(states[rows, 1:], codes[rows])
            target = states[rows, :-1].reshape(len(seen), -1)
            self.dynamics[motion] = Ridge(self.penalty).fit(seen, target)
        return self

    def states(self, clips: Tensor) -> np.ndarray:
        """Clips → components of each frame (N, 12, K).

        Raises
        ------
        ValueError
            When a clip has another shape or is not finite.
        """
        check_clips(clips)
        flat = clips.flatten(2).numpy()
        return self.pca.transform(flat.reshape(-1, flat.shape[2])).reshape(len(flat), FRAMES, -1)

    def unroll(self, last: np.ndarray, codes: np.ndarray) -> Tensor:
        """Last states (N, K), codes (N, 4) → clips, back from the last frame.

        Raises
        ------
        ValueError
            When no clip with a motion was learned from, a state is not finite or of another width,
            a code is out of range, or they differ in number.
        """
        last, codes = self._states(last, codes)
        unknown = sorted(set(np.unique(codes[:, 3]).tolist()) - set(self.dynamics))
        if unknown:
            raise ValueError(f"codes, motion {unknown[0]}: no clip of the archive moves like that")
        states = [last]
        for _ in range(FRAMES - 1):
            before = np.empty_like(last)
            for motion in np.unique(codes[:, 3]):
                rows = codes[:, 3] == motion
                seen = self._seen(states[0][rows, None], codes[rows])
                before[rows] = self.dynamics[motion].predict(seen)
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

        Raises
        ------
        ValueError
            When the boldness is negative, or as `unroll`.
        """
        numbers(boldness, "boldness", low=0)
        mean = self.last.predict(self._pairs(codes))
        drawn = boldness * rng.standard_normal(mean.shape) @ self.cholesky.T
        return self.unroll(mean + drawn, codes)

    def _states(self, states: np.ndarray, codes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Refuse last states that are not those of as many codes."""
        aligned(states=states, codes=codes)
        states, codes = numbers(states, "states", ndim=2), clip_codes(codes)
        if states.shape[1] != self.pca.n_components_:
            raise ValueError(f"states has shape {states.shape}: give (N, {self.pca.n_components_})")
        return states, codes

    @staticmethod
    def _pairs(codes: np.ndarray) -> np.ndarray:
        known = clip_request(codes)[:, :CONTENT].numpy()
        pairs = PolynomialFeatures(2, interaction_only=True, include_bias=False)
        return pairs.fit_transform(known)

    @staticmethod
    def _seen(states: np.ndarray, codes: np.ndarray) -> np.ndarray:
        known = clip_request(codes)[:, :CONTENT].numpy()
        known = np.repeat(known, states.shape[1], axis=0)
        return np.hstack([states.reshape(len(known), -1), known])

    def squeeze(self, states: np.ndarray, codes: np.ndarray, numbers: int) -> np.ndarray:
        """Keep so many numbers of the last states (N, K), beside the attributes → (N, K).

        What the attributes do not say is projected on its first principal axes.

        Raises
        ------
        ValueError
            When there are fewer numbers, or as `unroll`.
        """
        states, codes = self._states(states, codes)
        numbers = int(whole_numbers(numbers, "numbers", low=1, high=states.shape[1]))
        mean = self.last.predict(self._pairs(codes))
        _, axes = np.linalg.eigh(self.cholesky @ self.cholesky.T)
        kept = axes[:, -numbers:]
        return mean + (states - mean) @ kept @ kept.T


def stills(clips: Tensor, codes: np.ndarray, asked: np.ndarray, rng: np.random.Generator) -> Tensor:
    """Repeat the last frame of an archived clip with the content asked for, if there is one.

    Explained in chapter ``ad-video``.

    Parameters
    ----------
    clips : Tensor of shape (N, 12, 3, 32, 32)
    codes, asked : arrays of shape (N, 4) and (M, 4)
    rng : Generator

    Returns
    -------
    Tensor of shape (M, 12, 3, 32, 32)
        Where several fit best, any of them.

    Raises
    ------
    ValueError
        When a clip has another shape or is not finite, a code is out of range, or clips and codes
        differ in number.

    Examples
    --------
    >>> import numpy as np
    >>> import torch
    >>> from pm_utils.creatives.video.baselines import stills
    >>> clips = torch.rand(2, 12, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    >>> codes = np.array([[0, 0, 0, 1], [5, 1, 2, 1]])
    >>> made = stills(clips, codes, np.array([[5, 1, 3, 4]]), np.random.default_rng(0))
    >>> all(torch.equal(frame, clips[1, -1]) for frame in made[0])
    True
    """
    check_clips(clips, codes=codes)
    codes, asked = clip_codes(codes), clip_codes(asked)
    fits = (codes[None, :, :3] == asked[:, None, :3]).sum(2) + 0.5 * rng.random(
        (len(asked), len(codes))
    )
    return clips[fits.argmax(1), -1:].expand(-1, FRAMES, -1, -1, -1)


def best_still(clips: Tensor) -> Tensor:
    """Repeat of each clip the frame that comes closest to all its frames → clips.

    Explained in chapter ``ad-video``.

    Parameters
    ----------
    clips : Tensor of shape (N, T, C, H, W)

    Raises
    ------
    ValueError
        As `any_clips`.

    Examples
    --------
    The frame in the middle of all is the closest, not the last one.

    >>> import torch
    >>> from pm_utils.creatives.video.baselines import best_still
    >>> clip = torch.linspace(0, 1, 12).view(1, 12, 1, 1, 1).expand(1, 12, 3, 32, 32)
    >>> still = best_still(clip)
    >>> still.shape, round(still[0, 0, 0, 0, 0].item(), 2)
    (torch.Size([1, 12, 3, 32, 32]), 0.45)
    """
    any_clips(clips)
    frames = clips.flatten(2)
    errors = torch.cdist(frames, frames).square().sum(2)  # (N, 12)
    best = clips[torch.arange(len(clips)), errors.argmin(1)]
    return best.unsqueeze(1).expand_as(clips)


def noise_left(still: Tensor) -> float:
    """Return the deviation of the noise that pixels between 0 and 1 have room for.

    Explained in chapter ``ad-video``.

    Parameters
    ----------
    still : Tensor of shape (N, T, C, H, W)
        Real clips in which nothing moves, so that their frames differ by noise alone.

    Raises
    ------
    ValueError
        When there is no clip, fewer than two frames, or a number is not finite.

    Examples
    --------
    >>> import torch
    >>> from pm_utils.creatives.video.baselines import noise_left
    >>> clip = torch.tensor([0.4, 0.6]).repeat(6).view(1, 12, 1, 1, 1).expand(1, 12, 3, 32, 32)
    >>> round(noise_left(clip), 4)  # the variance is 12 / 11 of 0.1²
    0.1044
    """
    if not len(still):
        raise ValueError("no still clip to measure the noise on: hold out more clips")
    any_clips(still, "still", frames=2)
    return still.var(dim=1).mean().sqrt().item()
