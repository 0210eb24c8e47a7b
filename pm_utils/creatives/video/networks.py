"""A clip from its attributes and a code: a conditional VAE, a GAN with two critics, and a judge.

What a clip *shows* stays the same over its frames, how it *moves* does not. Both networks are built
on that. `ClipPainter` draws a still background and one icon from a code of the content; the icon
travels over the background along a path. In the VAE the path comes from the motion asked for and
two numbers of the code, in the GAN from a recurrent network fed with noise.
"""

import copy
import math

import torch
from torch import Tensor, nn
from torch.nn.functional import avg_pool2d, cross_entropy, leaky_relu

from pm_utils.market.creatives import level_counts
from pm_utils.market.renderer import FRAMES, SIZE

CLIP_LEVELS = level_counts("category", "palette", "layout")
N_CATEGORIES, CONTENT = CLIP_LEVELS["category"], sum(CLIP_LEVELS.values())  # one number per level
MOTION = 2 * level_counts("motion")["motion"] - 1  # still, and four directions at two speeds
REQUEST = CONTENT + MOTION
JUDGED = (
    CLIP_LEVELS["category"],
    CLIP_LEVELS["palette"],
    MOTION,
)  # what the classifier tells apart
PIXELS = FRAMES * 3 * SIZE**2  # numbers in a clip
STRETCH = 5.0  # pixels per unit of what the networks say, so that places are learned quickly
FASTEST = 2.5  # pixels per frame that the GAN can move at most


def _check_shape(tensor: Tensor, name: str, *wanted: int | None) -> None:
    """Refuse a batch whose sizes are others; None takes any."""
    shape = tuple(tensor.shape)
    if len(shape) != 1 + len(wanted) or any(
        size not in (None, found) for size, found in zip(wanted, shape[1:], strict=True)
    ):
        told = ", ".join("any" if size is None else str(size) for size in wanted)
        raise ValueError(f"{name} has shape {shape}: give (B, {told})")


def carry(layer: Tensor, path: Tensor, size: Tensor) -> Tensor:
    """Draw a layer at each place of a path and at one size; differentiable in all three.

    Explained in chapter ``ad-video``.

    Parameters
    ----------
    layer : Tensor of shape (B, C, 32, 32)
    path : Tensor of shape (B, T, 2)
        Pixels to the right and down, from the middle.
    size : Tensor of shape (B,)
        1 keeps the layer as it is.

    Returns
    -------
    Tensor of shape (B, T, C, 32, 32)
        Interpolated linearly; what comes from outside the layer is 0.

    Raises
    ------
    ValueError
        When the layer or the path has another shape.

    References
    ----------
    Jaderberg et al. (2015), Spatial transformer networks.

    Examples
    --------
    A pixel moves two to the right and one down; by half a pixel, it is shared by two.

    >>> import torch
    >>> from pm_utils.creatives.video.networks import carry
    >>> layer = torch.zeros(1, 1, 32, 32)
    >>> layer[0, 0, 10, 10] = 1.0
    >>> path = torch.tensor([[[2.0, 1.0], [0.5, 0.0]]])
    >>> moved = carry(layer, path, torch.ones(1))  # (B, T, C, 32, 32)
    >>> moved[0, 0, 0].nonzero().tolist()
    [[11, 12]]
    >>> moved[0, 1, 0, 10, 10:12]
    tensor([0.5000, 0.5000])
    """
    _check_shape(layer, "layer", None, SIZE, SIZE), _check_shape(path, "path", None, 2)
    pixel = torch.arange(SIZE) - (SIZE - 1) / 2
    from_path = pixel[:, None] - path[..., None, None]  # (B, T, 2, 32, 1)
    apart = from_path / size[:, None, None, None, None] - pixel  # to each pixel of the layer
    across, down = (1 - apart.abs()).clamp(min=0).unbind(2)  # each (B, T, 32, 32)
    rows = torch.einsum("btij,bcjk->btcik", down, layer).flatten(2, 3)  # (B, T, C · 32, 32)
    return (rows @ across.mT).unflatten(2, (-1, SIZE))


def travel(velocity: Tensor) -> Tensor:
    """Turn velocities (B, T - 1, 2) into a path (B, T, 2) that ends at 0.

    Raises
    ------
    ValueError
        When the shape is another.

    Examples
    --------
    >>> import torch
    >>> from pm_utils.creatives.video.networks import travel
    >>> velocity = torch.tensor([[[1.0, 0.0], [2.0, 0.5]]])  # right and down, pixels per frame
    >>> travel(velocity).tolist()
    [[[-3.0, -0.5], [-2.0, -0.5], [0.0, 0.0]]]
    """
    _check_shape(velocity, "velocity", None, 2)
    to_go = -velocity.flip(1).cumsum(1).flip(1)
    return nn.functional.pad(to_go, (0, 0, 0, 1))


def _drawing(inputs: int, channels: int, width: int) -> nn.Sequential:
    first = nn.Linear(inputs, width)
    nn.init.normal_(first.weight, std=0.13)
    last = nn.Linear(width, channels * SIZE**2)
    unfold = nn.Unflatten(1, (channels, SIZE, SIZE))
    return nn.Sequential(first, nn.ReLU(), last, unfold, nn.Sigmoid())


class ClipPainter(nn.Module):
    """Code, content and path → clip: a still background and an icon that travels over it.

    The icon's network is told what to draw; place and size, which depend on the layout, are numbers
    of their own. So one drawing serves all layouts and all motions.

    Explained in chapter ``ad-video``.

    Parameters
    ----------
    code_dim, width : int

    References
    ----------
    Vondrick, Pirsiavash & Torralba (2016), Generating videos with scene dynamics (a foreground with
    its mask over a still background).

    Examples
    --------
    >>> import torch
    >>> from pm_utils.creatives.video.networks import CONTENT, ClipPainter
    >>> painter = ClipPainter(code_dim=2, width=8)
    >>> path = torch.zeros(1, 4, 2)  # four frames in which nothing moves
    >>> painter(torch.zeros(1, 2), torch.zeros(1, CONTENT), path).shape
    torch.Size([1, 4, 3, 32, 32])
    """

    def __init__(self, code_dim: int, width: int) -> None:
        super().__init__()
        self.background = _drawing(code_dim + CONTENT, 3, width)
        self.icon = _drawing(code_dim + N_CATEGORIES, 4, width)  # colours and opacity
        self.place = nn.Linear(code_dim + CONTENT, 3)  # right, down, log size
        nn.init.zeros_(self.place.weight)
        nn.init.zeros_(self.place.bias)
        with torch.no_grad():  # begin with a soft disc in the middle, which can be pushed
            pixel = torch.arange(SIZE) - (SIZE - 1) / 2
            disc = torch.exp(-(pixel[:, None] ** 2 + pixel**2) / 72)
            self.icon[2].bias[-(SIZE**2) :] = (3 * disc - 3).flatten()

    def forward(self, code: Tensor, content: Tensor, path: Tensor) -> Tensor:
        """Code (B, Z), content (B, 22), path (B, T, 2) → frames (B, T, 3, 32, 32).

        Raises
        ------
        ValueError
            When the shape is another.
        """
        _check_shape(content, "content", CONTENT)
        h = torch.cat([code, content], 1)
        background = self.background(h).unsqueeze(1)  # (B, 1, 3, 32, 32)
        icon = self.icon(torch.cat([code, content[:, :N_CATEGORIES]], 1))  # (B, 4, 32, 32)
        right, down, size = self.place(h).unbind(1)
        end = STRETCH * torch.stack([right, down], 1).unsqueeze(1)  # (B, 1, 2)
        icon = torch.cat([icon[:, :3] * icon[:, 3:], icon[:, 3:]], 1)
        colour, opacity = carry(icon, end + path, size.exp()).split([3, 1], 2)
        return background * (1 - opacity) + colour


class AdVideoVAE(nn.Module):
    """Conditional VAE of clips with a Gaussian likelihood of one learned variance.

    Parameters
    ----------
    content_dim, motion_dim : int
        Width of the two parts of the code: what a clip shows, and how fast it moves for its motion.
    width : int
        Of the hidden layers that draw.
    frames : int
        Random frames per training step; the evidence is scaled up to all twelve.
    sigma : float, optional
        A fixed deviation of the likelihood; without it, the deviation is learned.

    References
    ----------
    Kingma & Welling (2014), Auto-encoding variational Bayes.
    Sohn, Lee & Yan (2015), Learning structured output representation using deep conditional
    generative models.

    Examples
    --------
    >>> import torch
    >>> from pm_utils.creatives.video.networks import REQUEST, AdVideoVAE
    >>> vae = AdVideoVAE(content_dim=3, motion_dim=2, width=8)
    >>> clip, request = torch.zeros(2, 12, 3, 32, 32), torch.zeros(2, REQUEST)
    >>> vae(clip, request).shape  # -log p and KL of each clip
    torch.Size([2, 2])
    >>> vae.reconstruct(clip, request).shape
    torch.Size([2, 12, 3, 32, 32])
    """

    def __init__(
        self,
        content_dim: int = 8,
        motion_dim: int = 2,
        *,
        width: int = 96,
        frames: int = 2,
        sigma: float | None = None,
    ) -> None:
        super().__init__()
        self.parts, self.frames = (content_dim, motion_dim), frames
        seen = 3 * 16**2 + FRAMES * 3 * 4**2 + REQUEST
        self.encoder = nn.Sequential(
            *(nn.Linear(seen, 192), nn.ReLU(), nn.Linear(192, 192), nn.ReLU()),
            nn.Linear(192, 2 * sum(self.parts)),
        )
        self.painter = ClipPainter(content_dim, width)
        self.velocity = nn.Linear(MOTION, 2 * (FRAMES - 1))
        self.tempo = nn.Linear(motion_dim, 1)  # times the velocity: what stands still stays still
        nn.init.zeros_(self.velocity.weight)
        nn.init.zeros_(self.velocity.bias)
        nn.init.normal_(self.tempo.weight, std=0.1)
        nn.init.zeros_(self.tempo.bias)
        begin = torch.tensor(-1.5 if sigma is None else math.log(sigma))
        self.log_sigma = nn.Parameter(begin, requires_grad=sigma is None)

    def encode(self, clip: Tensor, request: Tensor) -> tuple[Tensor, Tensor]:
        """Clip (B, 12, 3, 32, 32), request (B, 31) → mean and log variance of q, each (B, Z).

        Raises
        ------
        ValueError
            When the shape is another.
        """
        _check_shape(clip, "clip", FRAMES, 3, SIZE, SIZE)
        _check_shape(request, "request", REQUEST)
        last = avg_pool2d(clip[:, -1], 2).flatten(1)
        rough = avg_pool2d(clip.flatten(0, 1), 8).view(len(clip), -1)  # (B, 12 · 3 · 4 · 4)
        seen = torch.cat([last - 0.5, rough - 0.5, request], 1)
        mean, log_variance = self.encoder(seen).chunk(2, 1)
        return mean, log_variance

    def decode(self, code: Tensor, request: Tensor, frames: Tensor | None = None) -> Tensor:
        """Code (B, Z), request (B, 31) → mean of p, at some frames or all (B, T, 3, 32, 32).

        Raises
        ------
        ValueError
            When the shape is another.
        """
        _check_shape(code, "code", sum(self.parts)), _check_shape(request, "request", REQUEST)
        content_code, motion_code = code.split(self.parts, 1)
        content, motion = request.split([CONTENT, MOTION], 1)
        velocity = STRETCH * self.velocity(motion) * (1 + self.tempo(motion_code))
        path = travel(velocity.view(-1, FRAMES - 1, 2))
        return self.painter(content_code, content, path if frames is None else path[:, frames])

    def forward(self, clip: Tensor, request: Tensor) -> Tensor:
        """Clip, request → both terms of the negative ELBO of each clip, in nats (B, 2)."""
        mean, log_variance = self.encode(clip, request)
        code = mean + (log_variance / 2).exp() * torch.randn_like(mean)
        frames = torch.randperm(FRAMES)[: self.frames] if self.training else torch.arange(FRAMES)
        error = (self.decode(code, request, frames) - clip[:, frames]).square().flatten(1).sum(1)
        surprise = gaussian_nats(error * FRAMES / len(frames), self.log_sigma)
        return torch.stack([surprise, kl_to_standard(mean, log_variance)], 1)

    def reconstruct(self, clip: Tensor, request: Tensor) -> Tensor:
        """Clip, request → the clip that the mean code decodes to."""
        return self.decode(self.encode(clip, request)[0], request)

    def sample(
        self, request: Tensor, generator: torch.Generator, *, boldness: float = 1.0
    ) -> Tensor:
        """Request (B, 31) → the mean clip of a code drawn from the prior, one each.

        The code is multiplied by `boldness`: 1 is the prior, 0 the code in its middle.
        """
        code = torch.randn(len(request), sum(self.parts), generator=generator)
        return self.decode(boldness * code, request)


def gaussian_nats(squared_error: Tensor, log_sigma: Tensor) -> Tensor:
    """Return -log p of clips under a Gaussian with one deviation for all pixels.

    Explained in chapter ``ad-video``.

    Parameters
    ----------
    squared_error : Tensor of shape (B,)
        *Summed* over the pixels of a clip.
    log_sigma : Tensor
        Scalar.

    Returns
    -------
    Tensor of shape (B,)
        Nats per clip.

    Examples
    --------
    A density may be above 1 and its nats below 0: here the deviation is 0.1.

    >>> import torch
    >>> from pm_utils.creatives.video.networks import PIXELS, gaussian_nats
    >>> nats = gaussian_nats(torch.tensor([0.0, 0.01 * PIXELS]), torch.tensor(0.1).log())
    >>> (nats / PIXELS).numpy().round(2)  # per number; an error of one deviation costs half a nat
    array([-1.38, -0.88], dtype=float32)
    """
    constant = PIXELS * (log_sigma + math.log(2 * math.pi) / 2)
    return squared_error / (2 * (2 * log_sigma).exp()) + constant


def kl_to_standard(mean: Tensor, log_variance: Tensor) -> Tensor:
    """Return KL(N(mean, variance) ‖ N(0, 1)), summed over the code: (B, Z) twice → nats (B,).

    Explained in chapter ``ad-video``.

    References
    ----------
    Kingma & Welling (2014), Auto-encoding variational Bayes, appendix B.

    Examples
    --------
    >>> import torch
    >>> from pm_utils.creatives.video.networks import kl_to_standard
    >>> mean = torch.tensor([[0.0, 0.0], [1.0, 2.0]])
    >>> kl_to_standard(mean, log_variance=torch.zeros(2, 2)).tolist()  # half of 1² + 2²
    [0.0, 2.5]
    """
    return (mean**2 + log_variance.exp() - 1 - log_variance).sum(1) / 2


def negative_elbo(terms: Tensor, _: Tensor) -> Tensor:
    """Add both terms (B, 2), average over clips → nats per clip, a scalar.

    Examples
    --------
    >>> import torch
    >>> from pm_utils.creatives.video.networks import negative_elbo
    >>> terms = torch.tensor([[100.0, 3.0], [90.0, 5.0]])  # -log p and KL of two clips
    >>> negative_elbo(terms, terms).item()
    99.0
    """
    return terms.sum(1).mean()


class ClipGenerator(nn.Module):
    """The GAN's generator: one content code per clip, a motion code that changes over time.

    Explained in chapter ``ad-video``.

    Parameters
    ----------
    code_dim, noise_dim, width : int
        Width of the content code, of the noise per frame, and of the hidden layers that draw.

    References
    ----------
    Tulyakov et al. (2018), MoCoGAN: decomposing motion and content for video generation.

    Examples
    --------
    >>> import torch
    >>> from pm_utils.creatives.video.networks import REQUEST, ClipGenerator
    >>> generator = ClipGenerator(code_dim=2, noise_dim=2, width=8)
    >>> request, rng = torch.zeros(2, REQUEST), torch.Generator().manual_seed(0)
    >>> generator.sample(request, rng).shape, generator.sample(request, rng, every=2).shape
    (torch.Size([2, 12, 3, 32, 32]), torch.Size([2, 6, 3, 32, 32]))
    """

    def __init__(self, code_dim: int = 8, noise_dim: int = 4, width: int = 96) -> None:
        super().__init__()
        self.dims = (code_dim, noise_dim)
        self.painter = ClipPainter(code_dim, width)
        self.motion = nn.GRU(noise_dim + MOTION, 32, batch_first=True)
        self.velocity = nn.Linear(32, 2)

    def forward(self, code: Tensor, noise: Tensor, request: Tensor, every: int = 1) -> Tensor:
        """Code (B, Z), noise (B, 11, E), request (B, 31) → clip; of every 2nd frame (B, 6, …).

        Raises
        ------
        ValueError
            When the shape is another.
        """
        _check_shape(request, "request", REQUEST)
        _check_shape(noise, "noise", FRAMES - 1, self.dims[1])
        content, motion = request.split([CONTENT, MOTION], 1)
        asked = motion.unsqueeze(1).expand(-1, FRAMES - 1, -1)
        state, _ = self.motion(torch.cat([noise, asked], 2))  # (B, 11, 32)
        path = travel(FASTEST * torch.tanh(self.velocity(state)))
        return self.painter(code, content, path[:, every - 1 :: every])

    def sample(
        self,
        request: Tensor,
        generator: torch.Generator,
        every: int = 1,
        *,
        boldness: float = 1.0,
    ) -> Tensor:
        """Request (B, 31) → one clip each, from fresh noise times `boldness`."""
        code = torch.randn(len(request), self.dims[0], generator=generator)
        noise = torch.randn(len(request), FRAMES - 1, self.dims[1], generator=generator)
        return self(boldness * code, boldness * noise, request, every)


class Patches(nn.Linear):
    """A convolution whose 4 × 4 patches do not overlap, as one matrix product.

    Examples
    --------
    >>> import torch
    >>> from pm_utils.creatives.video.networks import Patches
    >>> Patches(channels=3, features=5)(torch.zeros(2, 3, 32, 32)).shape
    torch.Size([2, 5, 8, 8])
    """

    def __init__(self, channels: int, features: int) -> None:
        super().__init__(16 * channels, features)

    def forward(self, x: Tensor) -> Tensor:
        """Pictures (B, C, H, W) → features of patches (B, F, H / 4, W / 4).

        Raises
        ------
        ValueError
            When there are other channels, or a side is no multiple of 4.
        """
        _check_shape(x, "pictures", self.in_features // 16, None, None)
        if x.shape[2] % 4 or x.shape[3] % 4:
            raise ValueError(f"pictures of shape {tuple(x.shape)}: give sides of 4, 8, 12, …")
        patches = x.unflatten(3, (-1, 4)).unflatten(2, (-1, 4))  # (B, C, 8, 4, 8, 4)
        rows = patches.permute(0, 2, 4, 1, 3, 5).flatten(3)  # (B, 8, 8, C · 16)
        return super().forward(rows).permute(0, 3, 1, 2)


class ClipCritic(nn.Module):
    """Frames and a request → logit of being real; with one frame an image critic.

    Parameters
    ----------
    frames : int
        How many it sees at once, side by side as channels.
    request_dim : int

    References
    ----------
    Miyato & Koyama (2018), cGANs with projection discriminator.

    Examples
    --------
    >>> import torch
    >>> from pm_utils.creatives.video.networks import ClipCritic
    >>> ClipCritic(frames=5, request_dim=9)(torch.zeros(2, 5, 3, 32, 32), torch.zeros(2, 9)).shape
    torch.Size([2])
    """

    def __init__(self, frames: int, request_dim: int) -> None:
        super().__init__()
        self.first = Patches(3 * frames, 48)
        self.second = nn.Conv2d(48, 64, 3, stride=2, padding=1)
        self.hidden = nn.Linear(64 * 4 * 4, 64)
        self.unconditional, self.projection = nn.Linear(64, 1), nn.Linear(request_dim, 64)

    def forward(self, frames: Tensor, request: Tensor) -> Tensor:
        """Frames (B, T, 3, 32, 32), request (B, R) → logit (B,).

        Raises
        ------
        ValueError
            When the shape is another.
        """
        channels = self.first.in_features // 16
        _check_shape(frames, "frames", channels // 3, 3, SIZE, SIZE)
        _check_shape(request, "request", self.projection.in_features)
        h = leaky_relu(self.first(frames.flatten(1, 2)), 0.2)  # (B, 48, 8, 8)
        h = leaky_relu(self.second(h), 0.2).flatten(1)  # (B, 64 · 4 · 4)
        h = leaky_relu(self.hidden(h), 0.2)
        return self.unconditional(h).squeeze(1) + (h * self.projection(request)).sum(1) / 8


class AdVideoGAN(nn.Module):
    """A generator of clips against two critics: one of single frames, one of motion.

    The image critic sees one frame and asks whether it shows what was asked for. The motion critic
    sees only *changes* between frames, so that it cannot dwell on the picture, and asks whether
    they are those of the motion asked for.

    Explained in chapter ``ad-video``.

    Parameters
    ----------
    width : int
        Of the hidden layers that draw.

    Examples
    --------
    Both critics look at every second frame: one at a single frame, one at the five changes.

    >>> import torch
    >>> from pm_utils.creatives.video.networks import REQUEST, AdVideoGAN
    >>> gan, request = AdVideoGAN(width=8), torch.zeros(2, REQUEST)
    >>> frames = torch.zeros(2, 6, 3, 32, 32)
    >>> [frames.shape[1] for frames, _ in gan.critic_inputs(frames, request, 0)]
    [1, 5]
    >>> [logit.shape for logit in gan.critic_logits(frames, request, 0)]
    [torch.Size([2]), torch.Size([2])]
    """

    def __init__(self, width: int = 96) -> None:
        super().__init__()
        self.generator = ClipGenerator(width=width)
        self.image_critic = ClipCritic(1, CONTENT)
        self.motion_critic = ClipCritic(FRAMES // 2 - 1, MOTION)
        self.average = copy.deepcopy(self.generator).requires_grad_(False)

    def start_from(self, painter: ClipPainter) -> None:
        """Let the generator begin with what another painter has learned."""
        self.generator.painter.load_state_dict(painter.state_dict())
        self.average.load_state_dict(self.generator.state_dict())

    def update_average(self, decay: float) -> None:
        """Move the average a little towards the generator: decay · average + (1 - decay) · now."""
        average, now = list(self.average.parameters()), list(self.generator.parameters())
        with torch.no_grad():
            torch._foreach_lerp_(average, now, 1 - decay)

    def critic_parameters(self) -> list[nn.Parameter]:
        """Return the parameters of both critics."""
        return [*self.image_critic.parameters(), *self.motion_critic.parameters()]

    @staticmethod
    def critic_inputs(frames: Tensor, request: Tensor, frame: int) -> list[tuple[Tensor, Tensor]]:
        """Six frames (B, 6, 3, 32, 32), request, which frame → what each critic sees.

        Raises
        ------
        ValueError
            When the shape is another.
        """
        _check_shape(frames, "frames", FRAMES // 2, 3, SIZE, SIZE)
        _check_shape(request, "request", REQUEST)
        content, motion = request.split([CONTENT, MOTION], 1)
        changes = frames[:, 1:] - frames[:, :-1]
        return [(frames[:, frame : frame + 1] - 0.5, content), (changes, motion)]

    def critic_logits(self, frames: Tensor, request: Tensor, frame: int) -> list[Tensor]:
        """Six frames, request, which frame → logits of the image and the motion critic, (B,)."""
        critics = (self.image_critic, self.motion_critic)
        inputs = self.critic_inputs(frames, request, frame)
        return [critic(*seen) for critic, seen in zip(critics, inputs, strict=True)]


class ClipClassifier(nn.Module):
    """Tells category, palette and motion of a clip; its last layer gives features.

    Parameters
    ----------
    features : int
        Width of the last layer.

    Examples
    --------
    >>> import torch
    >>> from pm_utils.creatives.video.networks import JUDGED, ClipClassifier
    >>> logits = ClipClassifier(features=8)(torch.zeros(2, 12, 3, 32, 32))
    >>> [head.shape[1] for head in logits.split(JUDGED, 1)]  # category, palette, motion
    [12, 6, 9]
    """

    def __init__(self, features: int = 24) -> None:
        super().__init__()
        self.picture = nn.Sequential(Patches(3, 24), nn.ReLU(), nn.Flatten())
        self.changes = nn.Sequential(Patches(18, 32), nn.ReLU(), nn.Flatten())
        self.mix = nn.Sequential(nn.Linear(56 * 8 * 8, 96), nn.ReLU(), nn.Linear(96, features))
        self.heads = nn.Linear(features, sum(JUDGED))

    def features(self, clip: Tensor) -> Tensor:
        """Clip (B, 12, 3, 32, 32) → features (B, F).

        Raises
        ------
        ValueError
            When the shape is another.
        """
        _check_shape(clip, "clip", FRAMES, 3, SIZE, SIZE)
        changes = (clip[:, 1::2] - clip[:, ::2]).flatten(1, 2)  # (B, 6 · 3, 32, 32)
        seen = [self.picture(clip[:, -1] - 0.5), self.changes(4 * changes)]
        return self.mix(torch.cat(seen, 1))

    def forward(self, clip: Tensor) -> Tensor:
        """Clip (B, 12, 3, 32, 32) → logits of all levels side by side (B, 27)."""
        return self.heads(torch.relu(self.features(clip)))


def classifier_loss(logits: Tensor, labels: Tensor) -> Tensor:
    """Return the sum of three cross-entropies: logits (B, 27), codes (B, 3) → nats, a scalar.

    Examples
    --------
    Equal logits cost the sum of the logs: log (12 · 6 · 9) nats.

    >>> import torch
    >>> from pm_utils.creatives.video.networks import classifier_loss
    >>> round(classifier_loss(torch.zeros(1, 27), torch.tensor([[3, 0, 2]])).item(), 3)
    6.474
    """
    heads = logits.split(JUDGED, 1)
    return sum(cross_entropy(head, labels[:, i]) for i, head in enumerate(heads))
