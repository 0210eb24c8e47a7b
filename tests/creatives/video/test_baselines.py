"""Clips without a network: what is still, and what the noise is."""

import numpy as np
import pytest
import torch

from pm_utils.creatives.video import archive, baselines, evaluation
from pm_utils.creatives.video.archive import CLIP_CATALOGUE
from pm_utils.market.renderer import FRAMES, SIZE
from tests.support.clip_world import rng


def test_the_best_still_is_the_frame_with_the_least_error():
    clips = torch.arange(FRAMES).float().view(1, -1, 1, 1, 1).repeat(2, 1, 3, SIZE, SIZE) / 100
    clips[1, 3:] = 0.9
    best = baselines.best_still(clips)
    assert best.shape == clips.shape
    assert best[0].unique().tolist() == pytest.approx([0.05])  # 5 or 6, the earlier of the middle
    assert best[1].unique().tolist() == pytest.approx([0.9])
    squared = evaluation.squared_errors(clips, best)
    assert squared[0].item() == pytest.approx(np.mean((np.arange(12) - 5) ** 2) / 1e4, rel=1e-4)


def test_the_noise_left_is_that_of_still_clips_less_what_was_clipped():
    grain = 0.02 * torch.randn(
        20, FRAMES, 3, SIZE, SIZE, generator=torch.Generator().manual_seed(0)
    )
    assert baselines.noise_left(0.5 + grain) == pytest.approx(0.02, rel=0.01)
    half = (1 + grain).clamp(max=1)  # deviation of min(0, normal): (1/2 - 1/2π)^½
    assert baselines.noise_left(half) == pytest.approx(0.02 * (0.5 - 0.5 / np.pi) ** 0.5, rel=0.01)
    codes = CLIP_CATALOGUE[CLIP_CATALOGUE[:, 3] == 0][::6]
    assert 0.018 < baselines.noise_left(archive.shoot(codes, rng())) < 0.02


def test_noise_needs_a_still_clip():
    with pytest.raises(ValueError, match="no still clip"):
        baselines.noise_left(torch.zeros(0, 12, 3, 32, 32))
