"""Draw an ad that shows what was asked for: a conditional GAN, a flow beside it, and their judge.

The networks draw with `Strokes`, which are fewer numbers than pixels: a picture is a weighted sum
of K fixed patterns, the principal components of the archive, and a network chooses the K weights.
A *request* is what an ad shall show, as numbers 0 and 1: one per attribute level, and one per pair
of a layout with a level of another attribute, because the layout decides where everything stands.

Pictures of other sizes and channels, and other attributes, work alike: `Strokes` takes the shape of
its archive, and what reads a request takes the number of `levels` of each attribute. The last
attribute is paired with the others, as the layout is.
"""

import copy
import math
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import batch_norm, cross_entropy, leaky_relu, one_hot, pad

from pm_utils.inputs import numbers, whole_numbers
from pm_utils.market.creatives import level_counts

SHOWN = ("category", "tone", "discount", "palette", "layout")  # what a still picture can show
IMAGE_LEVELS = tuple(level_counts(*SHOWN).values())
SMALLEST = 4  # pixels that the classifier's layers need; smaller pictures are padded
FREQUENCIES = torch.pi * 2.0 ** torch.arange(8)  # (8,): how the flow reads its clock


def request_width(levels: Sequence[int] = IMAGE_LEVELS) -> int:
    """Return how many numbers `image_request` writes.

    Examples
    --------
    >>> from pm_utils.creatives.image.networks import request_width
    >>> request_width((3, 2))  # five levels and 3 × 2 pairs
    11
    """
    whole_numbers(list(levels), "levels", low=1)
    return sum(levels) + sum(levels[:-1]) * levels[-1]


REQUEST_DIM = request_width()


def attribute_codes(
    attributes: np.ndarray, levels: Sequence[int] = IMAGE_LEVELS, name: str = "attributes"
) -> np.ndarray:
    """Return attributes (N, A) as integers, or refuse a level that there is not.

    Raises
    ------
    ValueError
        When there is not a column per attribute, or a code is out of range.

    Examples
    --------
    >>> from pm_utils.creatives.image.networks import attribute_codes
    >>> attribute_codes([[0]], levels=(3, 7))
    Traceback (most recent call last):
    ValueError: attributes has shape (1, 1): give (N, 2)
    """
    codes = whole_numbers(attributes, name)
    if codes.ndim != 2 or codes.shape[1] != len(levels):
        raise ValueError(f"{name} has shape {codes.shape}: give (N, {len(levels)})")
    for column, count in enumerate(levels):
        whole_numbers(codes[:, column], f"{name}, column {column}", high=count - 1)
    return codes


def image_request(attributes: np.ndarray, levels: Sequence[int] = IMAGE_LEVELS) -> Tensor:
    """Write attributes as numbers 0 and 1.

    Explained in chapter ``ad-images``.

    Parameters
    ----------
    attributes : array of shape (N, 5), int
        Codes in the order of `SHOWN`, or (N, A) of attributes of one's own.
    levels : sequence of A ints
        How many levels each attribute has.

    Returns
    -------
    Tensor of shape (N, REQUEST_DIM), float32
        One 1 for each level and one for each pair of the layout with another level.

    Raises
    ------
    ValueError
        As `attribute_codes`.

    Examples
    --------
    >>> import numpy as np
    >>> from pm_utils.creatives.image.networks import IMAGE_LEVELS, image_request
    >>> IMAGE_LEVELS
    (12, 4, 5, 6, 4)
    >>> request = image_request(np.array([[3, 0, 4, 5, 2]]))
    >>> request.shape, request.sum().item()  # five levels and four pairs with the layout
    (torch.Size([1, 139]), 9.0)
    """
    codes = torch.from_numpy(attribute_codes(attributes, levels))
    parts = [one_hot(codes[:, i], n) for i, n in enumerate(levels)]
    plain, layout = torch.cat([codes[:, :0], *parts[:-1]], 1), parts[-1]
    pairs = (plain.unsqueeze(2) * layout.unsqueeze(1)).flatten(1)
    return torch.cat([plain, layout, pairs], 1).float()


class Strokes(nn.Module):
    """Pictures as weights of K patterns, the principal components of an archive.

    A weight is divided by the square root of its component's deviation, and all by one number, so
    that the mean variance is 1: faint strokes, such as digits, count for more than in the pixels.

    Explained in chapter ``ad-images``.

    Parameters
    ----------
    images : Tensor of shape (N, 32, 32, 3)
        In [0, 1]; or of any other height, width and channels (N, H, W, C).
    count : int
        Number of strokes.
    seed : int
        The components are found by a randomised method.

    Raises
    ------
    ValueError
        When a picture is not finite or has other dimensions, or there are more strokes than
        pictures vary in.

    References
    ----------
    Halko, Martinsson & Tropp (2011), Finding structure with randomness.

    Examples
    --------
    Twenty pictures that are sums of two patterns need two strokes: nothing is lost.

    >>> import torch
    >>> from pm_utils.creatives.image.networks import Strokes
    >>> rng = torch.Generator().manual_seed(0)
    >>> patterns = torch.rand(20, 2, generator=rng) @ torch.rand(2, 3072, generator=rng) / 2
    >>> images = patterns.view(20, 32, 32, 3)
    >>> strokes = Strokes(images, count=2, seed=0)
    >>> strokes.weigh(images).shape
    torch.Size([20, 2])
    >>> torch.allclose(strokes.paint(strokes.weigh(images)), images, atol=1e-4)
    True
    """

    def __init__(self, images: Tensor, count: int, *, seed: int) -> None:
        super().__init__()
        numbers(images, "images", ndim=4)
        flat, self.shape = images.flatten(1), tuple(images.shape[1:])
        whole_numbers(count, "count", low=1, high=min(flat.shape))
        torch.manual_seed(seed)
        mean = flat.mean(0)
        drawn = min(count + 10, *flat.shape)
        _, singular_values, strokes = torch.svd_lowrank(flat - mean, q=drawn, niter=2)
        if not singular_values[count - 1] > 0:
            varied = int((singular_values > 0).sum())
            raise ValueError(f"count is {count}, and the pictures vary in {varied} patterns alone")
        deviation, strokes = singular_values[:count] / len(flat) ** 0.5, strokes[:, :count]
        scale = deviation**0.5 * deviation.mean() ** 0.5
        self.register_buffer("mean", mean)
        self.register_buffer("strokes", strokes.contiguous())  # (3072, K)
        self.register_buffer("scale", scale)  # (K,)

    def weigh(self, images: Tensor) -> Tensor:
        """Pictures (N, 32, 32, 3) → weights (N, K).

        Raises
        ------
        ValueError
            When a picture is not finite, or has another shape than those of the archive.
        """
        numbers(images, "images", ndim=4)
        if tuple(images.shape[1:]) != self.shape:
            raise ValueError(f"images has shape {tuple(images.shape)}: give (N, *{self.shape})")
        return (images.flatten(1) - self.mean) @ self.strokes / self.scale

    def paint(self, weights: Tensor) -> Tensor:
        """Weights (N, K) → pictures (N, 32, 32, 3) in [0, 1].

        Raises
        ------
        ValueError
            When a weight is not finite, or there are more or fewer than strokes.
        """
        numbers(weights, "weights", ndim=2)
        if weights.shape[1] != len(self.scale):
            raise ValueError(
                f"weights has shape {tuple(weights.shape)}: give (N, {len(self.scale)})"
            )
        flat = self.mean + (weights * self.scale) @ self.strokes.T
        return flat.clamp(0, 1).unflatten(1, self.shape)


class GatedLayers(nn.Module):
    """Layers that add to their input, each as loud as the request wants it.

    Parameters
    ----------
    inputs, width, layers : int
        Width of the input without the request, width of the layers, and their number.
    request : int
        Width of the request.

    Examples
    --------
    >>> import torch
    >>> from pm_utils.creatives.image.networks import REQUEST_DIM, GatedLayers
    >>> body = GatedLayers(inputs=4, width=8, layers=2)
    >>> body(torch.zeros(2, 4), torch.zeros(2, REQUEST_DIM)).shape
    torch.Size([2, 8])
    """

    def __init__(self, inputs: int, width: int, layers: int, request: int = REQUEST_DIM) -> None:
        super().__init__()
        self.first = nn.Linear(inputs, width)
        self.layers = nn.ModuleList(nn.Linear(width, width) for _ in range(layers))
        self.asked = nn.Linear(request, (1 + layers) * width)  # all layers hear it in one product
        self._start_as_one(nn.Linear(inputs + request, width))

    def _start_as_one(self, layer: nn.Linear) -> None:
        """Start where one layer over input and request would, not with both at full size."""
        inputs, width = self.first.in_features, self.first.out_features
        with torch.no_grad():
            self.first.weight.copy_(layer.weight[:, :inputs])
            self.first.bias.copy_(layer.bias)
            self.asked.weight[:width] = layer.weight[:, inputs:]
            self.asked.bias[:width] = 0

    def forward(self, x: Tensor, request: Tensor) -> Tensor:
        """Input (B, I), request (B, R) → (B, W)."""
        told, *gates = self.asked(request).chunk(1 + len(self.layers), 1)
        h = self.first(x) + told
        for layer, gate in zip(self.layers, gates, strict=True):
            h = h + layer(torch.relu(h)) * (1 + gate)
        return torch.relu(h)


class AdImageGenerator(nn.Module):
    """Noise and a request → the weights of an ad's strokes.

    Explained in chapter ``ad-images``.

    Parameters
    ----------
    strokes, noise_dim, width : int
        Number of strokes, numbers of noise per ad, and width of the hidden layers.
    request : int
        Width of the request.

    Examples
    --------
    Not pixels come out but the weights of strokes, which `Strokes.paint` turns into a picture.

    >>> import torch
    >>> from pm_utils.creatives.image.networks import REQUEST_DIM, AdImageGenerator
    >>> generator = AdImageGenerator(strokes=5, noise_dim=4, width=8)
    >>> generator(torch.zeros(2, 4), torch.zeros(2, REQUEST_DIM)).shape
    torch.Size([2, 5])
    """

    def __init__(
        self, strokes: int, noise_dim: int = 32, width: int = 256, request: int = REQUEST_DIM
    ) -> None:
        super().__init__()
        self.noise_dim = noise_dim
        self.body = GatedLayers(noise_dim, width, layers=2, request=request)
        self.vary = nn.Linear(width, strokes)
        self.mean = nn.Linear(request, strokes)

    def forward(self, noise: Tensor, request: Tensor) -> Tensor:
        """Noise (B, Z), request (B, R) → weights (B, K)."""
        return self.mean(request) + self.vary(self.body(noise, request))


class AdImageCritic(nn.Module):
    """Weights and a request → logit of being a real ad for this request.

    Explained in chapter ``ad-images``.

    Parameters
    ----------
    strokes, width : int
        Number of strokes, and width of the hidden layers.
    request : int
        Width of the request.

    References
    ----------
    Miyato & Koyama (2018), cGANs with projection discriminator.

    Examples
    --------
    Real and generated ads for the same requests can be judged in one call.

    >>> import torch
    >>> from pm_utils.creatives.image.networks import REQUEST_DIM, AdImageCritic
    >>> critic, request = AdImageCritic(strokes=5, width=8), torch.zeros(2, REQUEST_DIM)
    >>> critic(torch.zeros(2, 5), request).shape
    torch.Size([2])
    >>> real, fake = critic(torch.zeros(2, 2, 5), request)  # each (2,)
    """

    def __init__(self, strokes: int, width: int = 256, request: int = REQUEST_DIM) -> None:
        super().__init__()
        self.first = nn.Linear(strokes, width)
        self.gate = nn.Linear(request, 2 * width)
        self.second = nn.Linear(width, width)
        self.unconditional = nn.Linear(width, 1)
        self.projection = nn.Linear(request, width)

    def forward(self, weights: Tensor, request: Tensor) -> Tensor:
        """Weights (B, K) or (S, B, K), request (B, R) → logits (B,) or (S, B)."""
        scale, shift = self.gate(request).chunk(2, 1)
        h = leaky_relu(self.first(weights) * (1 + scale) + shift, 0.2)
        h = leaky_relu(self.second(h), 0.2)  # (..., B, W)
        return (
            self.unconditional(h).squeeze(-1)
            + (h * self.projection(request)).sum(-1) / h.shape[-1] ** 0.5
        )


class AdImageGAN(nn.Module):
    """Generator and critic, and the running average of the generator that draws the ads.

    Explained in chapter ``ad-images``.

    Parameters
    ----------
    strokes : Strokes
    noise_dim, width : int
    levels : sequence of int
        How many levels each attribute has.

    Examples
    --------
    >>> import numpy as np
    >>> import torch
    >>> from pm_utils.creatives.image.networks import AdImageGAN, Strokes
    >>> images = torch.rand(20, 32, 32, 3, generator=torch.Generator().manual_seed(0))
    >>> gan = AdImageGAN(Strokes(images, count=5, seed=0), noise_dim=4, width=8)
    >>> gan.sample(np.array([[3, 0, 4, 5, 2], [11, 3, 0, 0, 0]]), seed=0).shape
    (2, 32, 32, 3)
    """

    def __init__(
        self,
        strokes: Strokes,
        noise_dim: int = 32,
        width: int = 256,
        levels: Sequence[int] = IMAGE_LEVELS,
    ) -> None:
        super().__init__()
        count, request = strokes.strokes.shape[1], request_width(levels)
        self.strokes, self.levels = strokes, tuple(levels)
        self.generator = AdImageGenerator(count, noise_dim, width, request)
        self.critic = AdImageCritic(count, width, request)
        self.average = copy.deepcopy(self.generator).requires_grad_(False)

    def start_from_means(self, weights: Tensor, request: Tensor) -> None:
        """Let the generator begin with the mean ad of each request, by least squares."""
        _start_from_means(self.generator.mean, self.generator.vary, weights, request)
        self.average.load_state_dict(self.generator.state_dict())

    def update_average(self, decay: float) -> None:
        """Move the average a little towards the generator: decay · average + (1 - decay) · now."""
        average, now = list(self.average.parameters()), list(self.generator.parameters())
        with torch.no_grad():
            torch._foreach_lerp_(average, now, 1 - decay)

    @torch.no_grad()
    def sample(self, attributes: np.ndarray, *, seed: int = 0, spread: float = 1.0) -> np.ndarray:
        """Draw one ad per request → (N, 32, 32, 3) in [0, 1].

        Parameters
        ----------
        attributes : array of shape (N, 5)
        seed : int
            Of the noise.
        spread : float
            Factor of the noise: 1 as in training, below it calmer (the *truncation* of GANs).

        Raises
        ------
        ValueError
            As `attribute_codes`, or when the spread is negative.

        References
        ----------
        Brock, Donahue & Simonyan (2019), Large scale GAN training (truncation).
        """
        request = image_request(attributes, self.levels)
        rng = torch.Generator().manual_seed(seed)
        noise = torch.randn(len(attributes), self.generator.noise_dim, generator=rng)
        noise = noise * float(numbers(spread, "spread", low=0))
        return self.strokes.paint(self.average(noise, request)).numpy()


class AdImageFlow(nn.Module):
    """A velocity for every place, time and request, which carries noise to ads.

    Explained in chapter ``ad-images``.

    Parameters
    ----------
    strokes : Strokes
    width : int
    levels : sequence of int
        How many levels each attribute has.

    References
    ----------
    Lipman et al. (2023), Flow matching for generative modeling.

    Examples
    --------
    >>> import numpy as np
    >>> import torch
    >>> from pm_utils.creatives.image.networks import AdImageFlow, Strokes
    >>> images = torch.rand(20, 32, 32, 3, generator=torch.Generator().manual_seed(0))
    >>> flow = AdImageFlow(Strokes(images, count=5, seed=0), width=8)
    >>> flow.sample(np.array([[3, 0, 4, 5, 2]]), seed=0, steps=2).shape
    (1, 32, 32, 3)
    """

    def __init__(
        self, strokes: Strokes, width: int = 256, levels: Sequence[int] = IMAGE_LEVELS
    ) -> None:
        super().__init__()
        count, request = strokes.strokes.shape[1], request_width(levels)
        self.strokes, self.levels = strokes, tuple(levels)
        self.body = GatedLayers(count + 16, width, layers=2, request=request)
        self.out = nn.Linear(width, count)
        self.mean = nn.Linear(request, count)

    def start_from_means(self, weights: Tensor, request: Tensor) -> None:
        """Let every line begin to point at the mean ad of its request, by least squares."""
        _start_from_means(self.mean, self.out, weights, request)

    def forward(self, place: Tensor, time: Tensor, request: Tensor) -> Tensor:
        """Place (B, K), time (B,) in [0, 1], request (B, R) → velocity (B, K)."""
        angle = time.unsqueeze(1) * FREQUENCIES  # (B, 8)
        time_features = torch.cat([angle.sin(), angle.cos()], 1)
        h = self.body(torch.cat([place, time_features], 1), request)
        return self.mean(request) - place + self.out(h)

    @torch.no_grad()
    def sample(
        self, attributes: np.ndarray, *, seed: int = 0, steps: int = 16, spread: float = 1.0
    ) -> np.ndarray:
        """Follow the velocity from noise, by the midpoint rule → (N, 32, 32, 3) in [0, 1].

        Parameters
        ----------
        attributes : array of shape (N, 5)
        seed : int
            Of the noise.
        steps : int
        spread : float
            Factor of the noise: 1 as in training, below it calmer.

        Raises
        ------
        ValueError
            As `attribute_codes`, when there is no step, or when the spread is negative.
        """
        steps = int(whole_numbers(steps, "steps", low=1))
        rng, request = torch.Generator().manual_seed(seed), image_request(attributes, self.levels)
        place = torch.randn(len(request), len(self.strokes.scale), generator=rng)
        place = place * float(numbers(spread, "spread", low=0))
        for step in range(steps):
            time = torch.full((len(place),), step / steps)
            middle = place + self(place, time, request) / (2 * steps)
            place = place + self(middle, time + 1 / (2 * steps), request) / steps
        return self.strokes.paint(place).numpy()


@torch.no_grad()
def _start_from_means(mean: nn.Linear, rest: nn.Linear, weights: Tensor, request: Tensor) -> None:
    """Set one layer to the mean strokes (N, K) of requests (N, R); let the other begin softly."""
    gram = request.T @ request + 10 * torch.eye(request.shape[1])
    mean.weight.copy_(torch.linalg.solve(gram, request.T @ weights).T)
    mean.bias.zero_()
    rest.weight.mul_(0.3)


def flow_loss(
    model: nn.Module, noise: Tensor, weights: Tensor, time: Tensor, request: Tensor
) -> Tensor:
    """Return the mean squared error of the velocity on straight lines from noise to ads.

    Explained in chapter ``ad-images``.

    Parameters
    ----------
    model : callable
        ``model(place, time, request)`` → velocity (B, K).
    noise, weights : Tensors of shape (B, K)
        Where the lines begin and end.
    time : Tensor of shape (B,)
        From 0, the beginning, to 1.
    request : Tensor of shape (B, R)

    Returns
    -------
    Tensor
        Scalar.

    Examples
    --------
    A line from 0 to 2 has velocity 2 all along. Who says so loses nothing; who stands still, 2².

    >>> import torch
    >>> from pm_utils.creatives.image.networks import flow_loss
    >>> line = {"noise": torch.zeros(1, 1), "weights": torch.full((1, 1), 2.0)}
    >>> line |= {"time": torch.tensor([0.5]), "request": torch.zeros(1, 3)}
    >>> for velocity in (2.0, 0.0):
    ...     print(flow_loss(lambda place, *_: torch.full_like(place, velocity), **line).item())
    0.0
    4.0
    """
    part = time.unsqueeze(1)
    place = (1 - part) * noise + part * weights
    return (model(place, time, request) - (weights - noise)).square().mean()


class AttributeNet(nn.Module):
    """A small convolutional classifier of all five attributes; its last layer gives features.

    Parameters
    ----------
    features : int
        Width of the last layer.
    levels : sequence of int
        How many levels each attribute has.
    shape : (int, int, int)
        Height, width and channels of the pictures.

    Raises
    ------
    ValueError
        When a size is not whole and above 0.

    Examples
    --------
    >>> import torch
    >>> from pm_utils.creatives.image.networks import IMAGE_LEVELS, AttributeNet
    >>> model, images = AttributeNet(features=8), torch.zeros(2, 32, 32, 3)
    >>> model.features(images).shape, model(images).shape
    (torch.Size([2, 8]), torch.Size([2, 31]))
    >>> [head.shape[1] for head in model(images).split(IMAGE_LEVELS, 1)]
    [12, 4, 5, 6, 4]
    """

    def __init__(
        self,
        features: int = 32,
        levels: Sequence[int] = IMAGE_LEVELS,
        shape: tuple[int, int, int] = (32, 32, 3),
    ) -> None:
        super().__init__()
        sizes = [features, *levels, *shape]
        whole_numbers(sizes, "features, levels and shape", low=1)
        self.levels, self.shape = tuple(levels), tuple(shape)
        *self.size, channels = (*(max(side, SMALLEST) for side in shape[:2]), shape[2])
        left = [(side // 4 - 1) // 2 + 1 for side in self.size]  # 4 of 32
        self.backbone = nn.Sequential(
            *(nn.Conv2d(channels, 16, 4, 2, 1), _Norm(16), nn.ReLU()),  # (B, 16, 16, 16)
            *(nn.Conv2d(16, 32, 4, 2, 1), _Norm(32), nn.ReLU()),  # (B, 32, 8, 8)
            *(nn.Conv2d(32, 48, 3, 2, 1), _Norm(48), nn.ReLU()),  # (B, 48, 4, 4)
            *(nn.Flatten(), nn.Linear(48 * math.prod(left), features)),
        )
        self.heads = nn.Linear(features, sum(levels))

    def features(self, images: Tensor) -> Tensor:
        """Pictures (B, 32, 32, 3) → features (B, F).

        Raises
        ------
        ValueError
            When the pictures have another shape than the network was made for.
        """
        if tuple(images.shape[1:]) != self.shape:
            raise ValueError(f"pictures of shape {tuple(images.shape)}: give (B, *{self.shape})")
        x = 2 * images.permute(0, 3, 1, 2) - 1
        if tuple(x.shape[2:]) != tuple(self.size):  # smaller than the layers read
            x = pad(x, (0, self.size[1] - x.shape[3], 0, self.size[0] - x.shape[2]))
        return self.backbone(x)

    def forward(self, images: Tensor) -> Tensor:
        """Pictures (B, 32, 32, 3) → logits of all levels side by side (B, 31)."""
        return self.heads(self.features(images))


class _Norm(nn.BatchNorm2d):
    """Batch normalisation that scores a single number by its running moments, and keeps these."""

    def forward(self, x: Tensor) -> Tensor:
        """States (B, C, H, W) → the same, normalised."""
        if self.training and x.numel() == x.shape[1]:
            moments = self.running_mean, self.running_var, self.weight, self.bias
            return batch_norm(x, *moments, training=False, eps=self.eps)
        return super().forward(x)


def attribute_loss(
    logits: Tensor, attributes: Tensor, levels: Sequence[int] = IMAGE_LEVELS
) -> Tensor:
    """Return the sum of five cross-entropies: logits (B, 31), codes (B, 5) → nats, a scalar.

    Examples
    --------
    Equal logits cost the sum of the logs: log (12 · 4 · 5 · 6 · 4) nats.

    >>> import torch
    >>> from pm_utils.creatives.image.networks import attribute_loss
    >>> round(attribute_loss(torch.zeros(1, 31), torch.tensor([[3, 0, 4, 5, 2]])).item(), 3)
    8.659
    """
    heads = logits.split(list(levels), 1)
    return sum(cross_entropy(head, attributes[:, i]) for i, head in enumerate(heads))
