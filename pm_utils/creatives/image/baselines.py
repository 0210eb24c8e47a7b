"""Still ads without a network: the closest of the archive, moved or not, and two Gaussians."""

from collections.abc import Callable, Sequence

import numpy as np
import torch
from sklearn.covariance import LedoitWolf
from sklearn.linear_model import Ridge
from sklearn.preprocessing import PolynomialFeatures
from torch import Tensor

from pm_utils.creatives.image.evaluation import as_asked
from pm_utils.creatives.image.networks import IMAGE_LEVELS, Strokes, image_request
from pm_utils.inputs import aligned, numbers, whole_numbers

SPREADS = (0.0, 0.25, 0.5, 0.75, 1.0)  # tried by `best_spread`


def closest_request(
    attributes: np.ndarray, asked: np.ndarray, *, gives_way: int | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Find for each request the archived ad that agrees in most, the first of equals.

    Explained in chapter ``ad-images``.

    Parameters
    ----------
    attributes, asked : arrays of shape (N, 5) and (M, 5)
        What the archived ads show, and what is asked for.
    gives_way : int, optional
        Of ads that agree in equally many, prefer those that differ in this attribute.

    Returns
    -------
    arrays of shape (M,)
        Which ad; in how many attributes it agrees.

    Raises
    ------
    ValueError
        When a code is not whole, the two differ in the number of attributes, or there is no
        attribute `gives_way`.

    Examples
    --------
    >>> import numpy as np
    >>> from pm_utils.creatives.image.baselines import closest_request
    >>> archived = np.array([[0, 0, 0, 0, 0], [1, 1, 1, 0, 0]])
    >>> asked = np.array([[1, 1, 0, 0, 0], [2, 2, 2, 0, 0]])
    >>> closest_request(archived, asked)  # the second request agrees with both in two
    (array([1, 0]), array([4, 2], dtype=int8))
    >>> archived, asked = np.array([[0, 0], [1, 1]]), np.array([[0, 1]])  # both agree in one
    >>> [closest_request(archived, asked, gives_way=column)[0].item() for column in (0, 1)]
    [1, 0]
    """
    attributes, asked = whole_numbers(attributes, "attributes"), whole_numbers(asked, "asked")
    if asked.ndim != 2 or attributes.shape[1:] != asked.shape[1:] or not len(attributes):
        shapes = f"attributes has shape {attributes.shape}, asked {asked.shape}"
        raise ValueError(f"{shapes}: give (N, A) and (M, A)")
    agree = np.zeros((len(asked), len(attributes)), dtype=np.int8)
    for column in range(asked.shape[1]):
        agree += asked[:, [column]] == attributes[:, column]
    order = agree
    if gives_way is not None:
        column = int(whole_numbers(gives_way, "gives_way", high=asked.shape[1] - 1))
        order = 2 * agree - (asked[:, [column]] == attributes[:, column])
    which = order.argmax(1)
    return which, np.take_along_axis(agree, which[:, None], 1)[:, 0]


class AdditiveGaussian:
    """Each pixel by itself: a mean that adds up over attribute levels, and a deviation.

    Explained in chapter ``ad-images``.

    Parameters
    ----------
    images : Tensor of shape (N, 32, 32, 3)
    attributes : array of shape (N, 5)
        What the pictures show.
    levels : sequence of int
        How many levels each attribute has.

    Raises
    ------
    ValueError
        When a picture is not finite, an attribute is out of range, or the rows differ in number.

    Examples
    --------
    >>> import numpy as np
    >>> from pm_utils.creatives.image.archive import image_archive
    >>> from pm_utils.creatives.image.baselines import AdditiveGaussian
    >>> images, attributes = image_archive(8, np.random.default_rng(0))
    >>> drawn = AdditiveGaussian(images, attributes).sample(attributes[:2])
    >>> drawn.shape, bool(drawn.min() >= 0), bool(drawn.max() <= 1)
    ((2, 32, 32, 3), True, True)
    """

    def __init__(
        self, images: Tensor, attributes: np.ndarray, levels: Sequence[int] = IMAGE_LEVELS
    ) -> None:
        aligned(images=images, attributes=attributes)
        numbers(images, "images", ndim=4)
        self.levels, self.shape = tuple(levels), tuple(images.shape[1:])
        flat, known = images.flatten(1).numpy(), _one_hot(attributes, self.levels)
        self.mean = Ridge(alpha=1.0).fit(known, flat)
        self.deviation = (flat - self.mean.predict(known)).std(axis=0)

    def sample(self, asked: np.ndarray, *, seed: int = 0) -> np.ndarray:
        """Draw one ad per request (M, 5) → (M, 32, 32, 3) in [0, 1].

        Raises
        ------
        ValueError
            When an attribute is out of range.
        """
        drawn = self.mean.predict(_one_hot(asked, self.levels))
        noise = np.random.default_rng(seed).standard_normal(drawn.shape, dtype=np.float32)
        return (drawn + self.deviation * noise).clip(0, 1).reshape(-1, *self.shape)


class PCAGaussian:
    """Strokes drawn jointly: a mean from all pairs of levels, and one covariance of the rest.

    Explained in chapter ``ad-images``.

    Parameters
    ----------
    strokes : Strokes
    weights : Tensor of shape (N, K)
        Archived ads as strokes.
    attributes : array of shape (N, 5)
        What they show.
    levels : sequence of int
        How many levels each attribute has.

    Raises
    ------
    ValueError
        When a weight is not finite, an attribute is out of range, or the rows differ in number.

    Examples
    --------
    With spread 0 the mean ad is painted, the same one each time.

    >>> import numpy as np
    >>> from pm_utils.creatives.image.archive import image_archive
    >>> from pm_utils.creatives.image.baselines import PCAGaussian
    >>> from pm_utils.creatives.image.networks import Strokes
    >>> rng = np.random.default_rng(0)
    >>> images, attributes = image_archive(20, rng)
    >>> strokes = Strokes(images, count=4, seed=0)
    >>> model = PCAGaussian(strokes, strokes.weigh(images), attributes)
    >>> asked = attributes[[0, 0]]
    >>> for spread in (0.0, 1.0):
    ...     first, second = model.sample(asked, spread=spread)
    ...     print(np.array_equal(first, second))
    True
    False
    """

    def __init__(
        self,
        strokes: Strokes,
        weights: Tensor,
        attributes: np.ndarray,
        levels: Sequence[int] = IMAGE_LEVELS,
    ) -> None:
        aligned(weights=weights, attributes=attributes)
        numbers(weights, "weights", ndim=2)
        self.strokes, self.levels = strokes, tuple(levels)
        self.pairs = PolynomialFeatures(2, interaction_only=True, include_bias=False)
        known = self.pairs.fit_transform(_one_hot(attributes, self.levels))
        self.mean = Ridge(alpha=1.0).fit(known, weights.numpy())
        covariance = LedoitWolf().fit(weights.numpy() - self.mean.predict(known))
        self.cholesky = np.linalg.cholesky(covariance.covariance_)

    def sample(self, asked: np.ndarray, *, seed: int = 0, spread: float = 1.0) -> np.ndarray:
        """Draw one ad per request.

        Parameters
        ----------
        asked : array of shape (M, 5)
        seed : int
            Of the noise.
        spread : float
            Factor of the Gaussian's deviation: 1 draws from it, 0 paints its mean.

        Returns
        -------
        array of shape (M, 32, 32, 3) in [0, 1]

        Raises
        ------
        ValueError
            When the spread is negative or an attribute is out of range.
        """
        if not spread >= 0:
            raise ValueError(f"spread is {spread}, give a factor of at least 0")
        drawn = self.means(asked)
        noise = np.random.default_rng(seed).standard_normal(drawn.shape)
        drawn = drawn + spread * noise @ self.cholesky.T
        return self.strokes.paint(torch.tensor(drawn, dtype=torch.float32)).numpy()

    def means(self, asked: np.ndarray) -> np.ndarray:
        """Return the mean ad of each request (M, 5), as strokes (M, K).

        Raises
        ------
        ValueError
            When an attribute is out of range.
        """
        return self.mean.predict(self.pairs.transform(_one_hot(asked, self.levels)))


class MovedArchive:
    """The closest archived ad, moved by the difference of the two requests' mean ads.

    What the archived ad shows beside what is asked is taken away, and what it lacks is added, as
    far as means can: a background changes well, an icon that would have to slide does not.

    Explained in chapter ``ad-images``.

    Parameters
    ----------
    gaussian : PCAGaussian
        Knows the mean ad of each request.
    weights : Tensor of shape (N, K)
        Archived ads as strokes.
    attributes : array of shape (N, 5)
        What they show.
    gives_way : int, optional
        As in `closest_request`: the attribute that means can change best.

    Raises
    ------
    ValueError
        When a weight is not finite, an attribute is out of range, or the rows differ in number.

    Examples
    --------
    An ad that the archive holds is not moved.

    >>> import numpy as np
    >>> from pm_utils.creatives.image.archive import image_archive
    >>> from pm_utils.creatives.image.baselines import MovedArchive, PCAGaussian
    >>> from pm_utils.creatives.image.networks import Strokes
    >>> images, attributes = image_archive(20, np.random.default_rng(0))
    >>> strokes = Strokes(images, count=4, seed=0)
    >>> weights = strokes.weigh(images)
    >>> moved = MovedArchive(PCAGaussian(strokes, weights, attributes), weights, attributes)
    >>> drawn, repainted = moved.sample(attributes[:2]), strokes.paint(weights[:2]).numpy()
    >>> np.allclose(drawn, repainted, atol=1e-5)
    True
    """

    def __init__(
        self,
        gaussian: PCAGaussian,
        weights: Tensor,
        attributes: np.ndarray,
        *,
        gives_way: int | None = None,
    ) -> None:
        aligned(weights=weights, attributes=attributes)
        numbers(weights, "weights", ndim=2)
        self.gaussian, self.attributes, self.gives_way = gaussian, attributes, gives_way
        self.without_mean = weights.numpy() - gaussian.means(attributes)

    def sample(self, asked: np.ndarray) -> np.ndarray:
        """Return one ad per request (M, 5), always the same → (M, 32, 32, 3) in [0, 1].

        Raises
        ------
        ValueError
            When an attribute is out of range.
        """
        which, _ = closest_request(self.attributes, asked, gives_way=self.gives_way)
        drawn = self.without_mean[which] + self.gaussian.means(asked)
        return self.gaussian.strokes.paint(torch.tensor(drawn, dtype=torch.float32)).numpy()


def _one_hot(attributes: np.ndarray, levels: Sequence[int]) -> np.ndarray:
    return image_request(attributes, levels)[:, : sum(levels)].numpy()


def best_spread(draw: Callable[[np.ndarray, float], np.ndarray], trial: np.ndarray) -> float:
    """Return which of `SPREADS` makes the most complete ads on trial requests (M, 5).

    Explained in chapter ``ad-images``.

    Parameters
    ----------
    draw : callable
        ``draw(trial, spread)`` → pictures (M, 32, 32, 3), of any method that draws from noise.
    trial : array of shape (M, 5)
        Requests that nothing is judged by.

    Raises
    ------
    ValueError
        When an attribute is out of range, or there is no request.
    """
    share = {spread: as_asked(draw(trial, spread), trial)[1].mean() for spread in SPREADS}
    return max(share, key=share.__getitem__)
