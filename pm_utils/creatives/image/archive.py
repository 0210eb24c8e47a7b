"""Still ads that a shop has: rendered from random attributes."""

import numpy as np
import torch
from torch import Tensor

from pm_utils.creatives.image.networks import IMAGE_LEVELS, SHOWN, attribute_codes
from pm_utils.inputs import whole_numbers
from pm_utils.market import Creatives, random_creatives
from pm_utils.market.renderer import render_images

ALL_ADS = np.array(list(np.ndindex(IMAGE_LEVELS)))  # (5760, 5): all that a still picture can show


def image_creatives(attributes: np.ndarray) -> Creatives:
    """Return the still ads with the given attributes, codes (N, 5) in the order of `SHOWN`.

    Explained in chapter ``ad-images``.

    Raises
    ------
    ValueError
        When an attribute is out of range.
    """
    attributes = attribute_codes(attributes)
    rest = np.zeros((2, len(attributes)), dtype=int)
    return Creatives(*attributes.T, *rest)


def image_archive(n: int, rng: np.random.Generator) -> tuple[Tensor, np.ndarray]:
    """Render ads with random attributes → pictures (n, 32, 32, 3), attributes (n, 5).

    Explained in chapter ``ad-images``.

    Raises
    ------
    ValueError
        When there is no ad to render.

    Examples
    --------
    >>> import numpy as np
    >>> from pm_utils.creatives.image.archive import image_archive
    >>> images, attributes = image_archive(2, np.random.default_rng(0))
    >>> images.shape, attributes.shape
    (torch.Size([2, 32, 32, 3]), (2, 5))
    """
    creatives = random_creatives(int(whole_numbers(n, "n", low=1)), rng)
    return torch.from_numpy(render_images(creatives, rng)), creatives.codes()[:, : len(SHOWN)]


def requests(n: int, rng: np.random.Generator) -> np.ndarray:
    """Draw what an archive of n ads would show → attributes (n, 5).

    Explained in chapter ``ad-images``.
    """
    return random_creatives(n, rng).codes()[:, : len(SHOWN)]
