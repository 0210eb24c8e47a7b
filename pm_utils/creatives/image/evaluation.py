"""What drawn ads are worth: read by the market, and beside real ones in a classifier's features."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from pm_utils.creatives.image.networks import (
    IMAGE_LEVELS,
    SHOWN,
    AttributeNet,
    attribute_codes,
    image_request,
)
from pm_utils.evaluation.frechet import frechet_distance
from pm_utils.inputs import aligned, numbers, whole_numbers
from pm_utils.learning.training import predict
from pm_utils.market.ad_reader import read_images

COVER_NEIGHBOURS = 3


def classified(model: AttributeNet, images: Tensor) -> np.ndarray:
    """Return the likeliest level of each attribute → (N, 5).

    Explained in chapter ``ad-images``.

    Raises
    ------
    ValueError
        When a picture is not finite, or has another shape than the network reads.

    Examples
    --------
    >>> import torch
    >>> from pm_utils.creatives.image.evaluation import classified
    >>> from pm_utils.creatives.image.networks import AttributeNet
    >>> classified(AttributeNet(features=8), torch.zeros(2, 32, 32, 3)).shape
    (2, 5)
    """
    numbers(images, "images", ndim=4)
    heads = predict(model, [images]).split(model.levels, 1)
    return torch.stack([head.argmax(1) for head in heads], dim=1).numpy()


def attributes_read(images: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Let the market read pictures → attributes (N, 5), whether each counts as an ad (N,)."""
    reading = read_images(images)
    return np.stack([getattr(reading, name) for name in SHOWN], axis=1), reading.valid


def as_asked(images: np.ndarray, asked: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Compare what the market reads with what was asked, ad by ad.

    Explained in chapter ``ad-images``.

    Returns
    -------
    arrays of shape (N,)
        The share of the five attributes that are as asked; 1 where the ad counts and all are.

    Raises
    ------
    ValueError
        When an attribute is out of range, or there is not one picture per request.

    Examples
    --------
    One real ad, asked for as it is and with another palette: four of five attributes are right
    then, and the ad is not complete.

    >>> import numpy as np
    >>> from pm_utils.creatives.image.archive import image_archive
    >>> from pm_utils.creatives.image.evaluation import as_asked
    >>> images, attributes = image_archive(1, np.random.default_rng(0))
    >>> asked = np.repeat(attributes, 2, axis=0)
    >>> asked[1, 3] = (asked[1, 3] + 1) % 6
    >>> as_asked(np.repeat(images.numpy(), 2, axis=0), asked)
    (array([1. , 0.8]), array([1., 0.]))
    """
    aligned(images=images, asked=asked)
    asked = attribute_codes(asked)
    shown, valid = attributes_read(images)
    correct = shown == asked
    return correct.mean(axis=1), (correct.all(axis=1) & valid).astype(float)


class Judge:
    """Compares ads with real ones in the features of a classifier, and lets the market read them.

    Explained in chapter ``ad-images``.

    Parameters
    ----------
    classifier : AttributeNet
    images : Tensor of shape (N, 32, 32, 3)
        Real ads that nobody trained on.
    attributes : array of shape (N, 5)

    Examples
    --------
    Features are counted from the mean of the real ads, in their deviations. (`score` needs more
    ads than features and levels together.)

    >>> import numpy as np
    >>> from pm_utils.creatives.image.archive import image_archive
    >>> from pm_utils.creatives.image.evaluation import Judge
    >>> from pm_utils.creatives.image.networks import AttributeNet
    >>> images, attributes = image_archive(2, np.random.default_rng(0))
    >>> judge = Judge(AttributeNet(features=3), images, attributes)
    >>> verdict = judge.look(images.numpy(), attributes)
    >>> np.allclose(verdict.features.mean(0), 0, atol=1e-3), verdict.joint.shape
    (True, (2, 34))
    >>> verdict.complete
    array([1., 1.])
    """

    def __init__(self, classifier: AttributeNet, images: Tensor, attributes: np.ndarray) -> None:
        aligned(images=images, attributes=attributes)
        numbers(images, "images", ndim=4)
        self.classifier = classifier
        raw = predict(classifier.features, [images]).numpy()
        self.centre, self.scale = raw.mean(0), raw.std(0)
        self.real = (raw - self.centre) / self.scale
        self.joint = with_request(self.real, attributes)

    def features(self, images: np.ndarray) -> np.ndarray:
        """Return features in deviations of the real ones → (N, F)."""
        raw = predict(self.classifier.features, [torch.as_tensor(images)]).numpy()
        return (raw - self.centre) / self.scale

    def look(self, images: np.ndarray, asked: np.ndarray) -> "Verdict":
        """Look at ads (M, 32, 32, 3) that were drawn for requests (M, 5), and let them be read.

        Raises
        ------
        ValueError
            As `as_asked`.
        """
        aligned(images=images, asked=asked)
        asked = attribute_codes(asked)
        shown, valid = attributes_read(images)
        return Verdict(asked, self.features(images), shown == asked, valid)

    def score(self, verdict: "Verdict") -> pd.Series:
        """Judge a set of ads.

        Returns
        -------
        Series
            *request* is the Fréchet distance of features and request together, *pictures* that
            of features alone; *attributes* the share read as asked; *complete* the share of
            ads that count with all five as asked.
        """
        scores = {
            "request": frechet_distance(self.joint, verdict.joint),
            "pictures": frechet_distance(self.real, verdict.features),
            "attributes": verdict.share.mean(),
            "complete": verdict.complete.mean(),
            "valid": verdict.valid.mean(),
            "coverage": mode_coverage(self.real, verdict.features),
        }
        return pd.Series(scores)


@dataclass
class Verdict:
    """What the judge finds in each of M ads.

    Attributes
    ----------
    asked : array of shape (M, 5)
    features : array of shape (M, F)
    correct : array of shape (M, 5), bool
        Which attributes are read as asked.
    valid : array of shape (M,), bool
        Whether the ad counts.

    Examples
    --------
    Only an ad with all five attributes as asked is complete.

    >>> import numpy as np
    >>> from pm_utils.creatives.image.evaluation import Verdict
    >>> correct = np.array([[True, True, True, True, False], [True] * 5, [True] * 5])
    >>> verdict = Verdict(
    ...     asked=np.zeros((3, 5)), features=np.zeros((3, 2)), correct=correct,
    ...     valid=np.array([True, True, False]),
    ... )
    >>> verdict.share, verdict.complete
    (array([0.8, 1. , 1. ]), array([0., 1., 0.]))
    """

    asked: np.ndarray
    features: np.ndarray
    correct: np.ndarray
    valid: np.ndarray

    @property
    def joint(self) -> np.ndarray:
        """Features and request side by side."""
        return with_request(self.features, self.asked)

    @property
    def share(self) -> np.ndarray:
        """The share of the five attributes that are as asked → (M,)."""
        return self.correct.mean(axis=1)

    @property
    def complete(self) -> np.ndarray:
        """1 where the ad counts and shows all that was asked → (M,)."""
        return (self.correct.all(axis=1) & self.valid).astype(float)


def with_request(
    features: np.ndarray, asked: np.ndarray, levels: Sequence[int] = IMAGE_LEVELS
) -> np.ndarray:
    """Put the request's plain levels, scaled to deviations of 1, beside features → (N, F + 31).

    Raises
    ------
    ValueError
        When an attribute is out of range or has one level alone, a feature is not finite, or the
        rows differ in number.
    """
    aligned(features=features, asked=asked)
    numbers(features, "features", ndim=2)
    whole_numbers(list(levels), "levels", low=2)
    one_hot = image_request(asked, levels)[:, : sum(levels)].numpy()
    share = np.repeat([1 / n for n in levels], levels)
    return np.hstack([features, one_hot / np.sqrt(share * (1 - share))])


def mode_coverage(
    real: np.ndarray, fake: np.ndarray, *, neighbours: int = COVER_NEIGHBOURS
) -> float:
    """Return the share of real ads with a generated one nearer than their k-th real neighbour.

    Parameters
    ----------
    real, fake : arrays of shape (N, d) and (M, d)
    neighbours : int
        k; the real thing itself reaches about 1 - 2^-k when M = N.

    Returns
    -------
    float

    Raises
    ------
    ValueError
        When a feature is not finite, or there are not more real ads than neighbours.

    References
    ----------
    Naeem et al. (2020), Reliable fidelity and diversity metrics for generative models, eq. 5.

    Examples
    --------
    Two groups of real ads; ads for one of them alone cover half of all.

    >>> import numpy as np
    >>> from pm_utils.creatives.image.evaluation import mode_coverage
    >>> real = np.array([[0.0], [1.0], [10.0], [11.0]])
    >>> mode_coverage(real, np.array([[0.5], [0.6]]), neighbours=1)
    0.5
    """
    numbers(real, "real", ndim=2), numbers(fake, "fake", ndim=2)
    whole_numbers(neighbours, "neighbours", low=1, high=len(real) - 1)
    real, fake = torch.as_tensor(real), torch.as_tensor(fake)
    radius = torch.cdist(real, real).kthvalue(neighbours + 1, dim=1).values  # itself comes first
    return (torch.cdist(real, fake).amin(1) < radius).double().mean().item()


def nearest_image(images: np.ndarray, others: Tensor) -> tuple[np.ndarray, np.ndarray]:
    """Return the closest of other pictures: root mean square difference (N,), which one (N,).

    Explained in chapter ``ad-images``.

    Raises
    ------
    ValueError
        When a picture is not finite, or the two sets have pictures of other shapes.

    Examples
    --------
    >>> import torch
    >>> from pm_utils.creatives.image.evaluation import nearest_image
    >>> black, white = torch.zeros(32, 32, 3), torch.ones(32, 32, 3)
    >>> grey = torch.full((1, 32, 32, 3), 0.75)
    >>> difference, which = nearest_image(grey, torch.stack([black, white]))
    >>> round(float(difference[0]), 3), which
    (0.25, array([1]))
    """
    numbers(images, "images", ndim=4), numbers(others, "others", ndim=4)
    if images.shape[1:] != others.shape[1:]:
        shapes = f"images of {tuple(images.shape)}, others of {tuple(others.shape)}"
        raise ValueError(f"{shapes}: give pictures of one size")
    flat = torch.as_tensor(images).flatten(1)
    found = torch.cdist(flat, others.flatten(1)).min(1)
    return found.values.numpy() / flat.shape[1] ** 0.5, found.indices.numpy()


def noise_spread(images: np.ndarray, repeats: int) -> float:
    """Return the deviation between ads of one request, root mean square over pixels.

    Explained in chapter ``ad-images``.

    Parameters
    ----------
    images : array of shape (N · repeats, 32, 32, 3)
        `repeats` ads of the first request, then those of the second…
    repeats : int

    Raises
    ------
    ValueError
        When a picture is not finite, or there are not at least 2 for each request.

    Examples
    --------
    >>> import numpy as np
    >>> from pm_utils.creatives.image.evaluation import noise_spread
    >>> ads = np.zeros((4, 32, 32, 3))  # two ads of each of two requests
    >>> ads[1] = 1.0  # the first two differ, the last two do not
    >>> noise_spread(ads, repeats=2)
    0.5
    """
    numbers(images, "images", ndim=4)
    repeats = int(whole_numbers(repeats, "repeats", low=2))
    if not len(images) or len(images) % repeats:
        raise ValueError(f"{len(images)} pictures do not make groups of {repeats}")
    groups = images.reshape(-1, repeats, images[0].size)
    return float(np.sqrt(groups.var(axis=1, ddof=1).mean()))
