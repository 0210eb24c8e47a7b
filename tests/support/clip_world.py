"""What the tests of clips share."""

import numpy as np


def rng() -> np.random.Generator:
    return np.random.default_rng(1)
