"""From a customer's profile to a headline: a content code, the ads near it, and a small GPT.

Three modules in a row. `AdGenerator` turns a profile into a content code. `ResponseModel` trains
it: an ad has an embedding in the same space, and the inner product of code and embedding says how
likely the customer clicks. `AdCopyGPT` writes a headline after an embedding, its prefix.
"""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, logsigmoid, scaled_dot_product_attention

from pm_utils.inputs import aligned, booleans, numbers, whole_numbers
from pm_utils.market.headlines import BOS, EOS, MAX_LENGTH, PAD

Cache = list[tuple[Tensor, Tensor]]


class AdGenerator(nn.Module):
    """Profile → content code: the source's §4.3, layer by layer.

    Explained in chapter ``ad-text``.

    Parameters
    ----------
    profile_dim, output_dim : int
        Width of the profile and of the code.

    Examples
    --------
    >>> import torch
    >>> from pm_utils.creatives.text.networks import AdGenerator
    >>> AdGenerator(profile_dim=3, output_dim=8)(torch.zeros(2, 3)).shape
    torch.Size([2, 8])
    """

    def __init__(self, profile_dim: int = 32, output_dim: int = 128) -> None:
        super().__init__()
        self.fc1 = nn.Linear(profile_dim, 256)
        self.fc2 = nn.Linear(256, output_dim)

    def forward(self, profile: Tensor) -> Tensor:
        """Profile (B, P) → content code (B, D)."""
        return self.fc2(torch.relu(self.fc1(profile)))


class ResponseModel(nn.Module):
    """Two towers: the code of a customer against the embedding of every ad in a catalogue.

    Explained in chapter ``ad-text``.

    Parameters
    ----------
    generator : AdGenerator
        Trained along with the ads' embeddings.
    attributes : Tensor of shape (M, A), int64
        Codes of each ad's attributes.
    dropout : float
        Share of the profile's numbers dropped while training.

    Raises
    ------
    ValueError
        When an attribute is negative or not whole.

    References
    ----------
    Huang et al. (2013), Learning deep structured semantic models for web search.

    Examples
    --------
    Two customers, a catalogue of three ads: one logit for every pair.

    >>> import torch
    >>> from pm_utils.creatives.text.networks import AdGenerator, ResponseModel
    >>> attributes = torch.tensor([[0, 0], [0, 1], [1, 0]])
    >>> model = ResponseModel(AdGenerator(profile_dim=3, output_dim=8), attributes)
    >>> model(torch.zeros(2, 3)).shape
    torch.Size([2, 3])
    >>> model.nearest(torch.zeros(2, 3), k=2).shape
    torch.Size([2, 2])
    """

    def __init__(self, generator: AdGenerator, attributes: Tensor, *, dropout: float = 0.0) -> None:
        super().__init__()
        whole_numbers(attributes, "attributes")
        width = generator.fc2.out_features
        self.generator, self.dropout = generator, nn.Dropout(dropout)
        self.register_buffer("attributes", attributes)
        levels = (attributes.amax(0) + 1).tolist()
        self.tables = nn.ModuleList(nn.Embedding(n, width) for n in levels)
        self.mix = nn.Sequential(nn.Linear(width, width), nn.ReLU(), nn.Linear(width, width))
        self.appeal = nn.Linear(width, 1)
        for table in self.tables:
            nn.init.normal_(table.weight, std=0.4)  # held-out loss preferred it to 0.1 and 1

    def embeddings(self) -> Tensor:
        """Return the embedding of every ad in the catalogue → (M, D)."""
        parts = [table(self.attributes[:, i]) for i, table in enumerate(self.tables)]
        total = torch.stack(parts).sum(0)
        return total + self.mix(total)

    def forward(self, profile: Tensor) -> Tensor:
        """Profile (B, P) → logit of a click on every ad (B, M)."""
        ads, code = self.embeddings(), self.generator(self.dropout(profile))
        return code @ ads.T / ads.shape[1] ** 0.5 + self.appeal(ads).T

    def nearest(self, profile: Tensor, k: int = 1) -> Tensor:
        """Profile (B, P) → the k ads with the largest logits, the best first (B, k).

        Raises
        ------
        ValueError
            When the profile is not finite, or there are fewer than k ads.
        """
        numbers(profile, "profile", ndim=2)
        whole_numbers(k, "k", low=1, high=len(self.attributes))
        with torch.no_grad():
            return self.eval()(profile).topk(k, dim=1).indices


def click_loss(logits: Tensor, counts: Tensor) -> Tensor:
    """Return the logistic loss per impression of a log that is summed by customer and ad.

    Explained in chapter ``ad-text``.

    Parameters
    ----------
    logits : Tensor of shape (B, M)
    counts : Tensor of shape (B, M, 2)
        Impressions with a click and impressions without.

    Returns
    -------
    Tensor
        Scalar, nats per impression; 0 for a batch without impressions.

    Examples
    --------
    One ad, shown four times to one customer and clicked once. Even odds cost log 2 per impression;
    the least loss is that of the observed rate, a quarter.

    >>> import torch
    >>> from pm_utils.creatives.text.networks import click_loss
    >>> counts = torch.tensor([[[1.0, 3.0]]])
    >>> rate = torch.tensor([[0.25]])
    >>> [round(click_loss(logit, counts).item(), 4) for logit in (torch.zeros(1, 1), rate.logit())]
    [0.6931, 0.5623]
    """
    log_likelihood = counts[..., 0] * logsigmoid(logits) + counts[..., 1] * logsigmoid(-logits)
    return -log_likelihood.sum() / counts.sum().clamp(min=1)


def response_counts(
    customer: np.ndarray, creative: np.ndarray, click: np.ndarray, shape: tuple[int, int]
) -> Tensor:
    """Sum a log of impressions by customer and ad.

    Explained in chapter ``ad-text``.

    Parameters
    ----------
    customer, creative : arrays of shape (n,), int
        One row per impression, counted from 0. Matched by index, where they carry one.
    click : array of shape (n,), 0 or 1
    shape : (int, int)
        Customers and ads.

    Returns
    -------
    Tensor of shape (N, M, 2), float32
        Impressions with a click and impressions without.

    Raises
    ------
    ValueError
        When a click is neither 0 nor 1, a customer or an ad is none of `shape`, or the rows do not
        belong together.

    Examples
    --------
    Customer 0 saw ad 1 twice and clicked once; customer 1 saw ad 0 and did not click.

    >>> import numpy as np
    >>> from pm_utils.creatives.text.networks import response_counts
    >>> customer, creative, click = np.array([0, 0, 1]), np.array([1, 1, 0]), np.array([1, 0, 0])
    >>> response_counts(customer, creative, click, shape=(2, 2)).tolist()
    [[[0.0, 0.0], [1.0, 1.0]], [[0.0, 1.0], [0.0, 0.0]]]
    """
    customer, creative, click = aligned(customer=customer, creative=creative, click=click)
    customer = whole_numbers(customer, "customer", high=shape[0] - 1)
    creative = whole_numbers(creative, "creative", high=shape[1] - 1)
    cell = 2 * (customer * shape[1] + creative) + ~booleans(click, "click")
    counts = np.bincount(cell, minlength=2 * shape[0] * shape[1])
    return torch.tensor(counts.reshape(*shape, 2), dtype=torch.float32)


@dataclass(frozen=True)
class GPTConfig:
    """Sizes of an `AdCopyGPT`.

    Explained in chapter ``ad-text``.
    """

    n_words: int
    code_dim: int = 128
    length: int = MAX_LENGTH
    layers: int = 2
    heads: int = 4
    width: int = 64


class Block(nn.Module):
    """One layer of a decoder: x + attention(norm(x)), then x + network(norm(x)).

    Explained in chapter ``ad-text``.

    Examples
    --------
    >>> import torch
    >>> from pm_utils.creatives.text.networks import Block, GPTConfig
    >>> block = Block(GPTConfig(n_words=10, heads=2, width=8))
    >>> states, (keys, values) = block(torch.zeros(1, 5, 8))
    >>> states.shape, keys.shape  # keys: batch, heads, positions, width of a head
    (torch.Size([1, 5, 8]), torch.Size([1, 2, 5, 4]))
    """

    def __init__(self, config: GPTConfig) -> None:
        super().__init__()
        width, self.heads = config.width, config.heads
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.qkv, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.up, self.down = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)

    def forward(
        self, x: Tensor, past: tuple[Tensor, Tensor] | None = None
    ) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        """States x (B, T, W), keys and values of earlier ones → states, keys and values."""
        qkv = self.qkv(self.norm1(x)).unflatten(2, (3, self.heads, -1))
        query, key, value = qkv.permute(2, 0, 3, 1, 4)  # each (B, H, T, W / H)
        if past is not None:
            key, value = torch.cat([past[0], key], 2), torch.cat([past[1], value], 2)
        causal = past is None  # with a past there is one new position, and it may see all
        seen = scaled_dot_product_attention(query, key, value, is_causal=causal)
        x = x + self.out(seen.transpose(1, 2).flatten(2))
        x = x + self.down(nn.functional.gelu(self.up(self.norm2(x))))
        return x, (key, value)


class AdCopyGPT(nn.Module):
    """A decoder-only Transformer that writes a headline after a code (Radford et al., 2019).

    The code's projection stands where ``<bos>`` would: all that follows may attend to it.

    Explained in chapter ``ad-text``.

    Parameters
    ----------
    config : GPTConfig

    Examples
    --------
    >>> import torch
    >>> from pm_utils.creatives.text.networks import AdCopyGPT, GPTConfig
    >>> gpt = AdCopyGPT(GPTConfig(n_words=10, code_dim=3, length=6, layers=1, heads=2, width=8))
    >>> code = torch.zeros(2, 3)
    >>> gpt(code, torch.tensor([[1, 4, 5], [1, 7, 2]])).shape  # logits of the next words
    torch.Size([2, 3, 10])
    >>> gpt.generate(code).shape  # two headlines, each padded to `length`
    torch.Size([2, 6])
    """

    def __init__(self, config: GPTConfig) -> None:
        super().__init__()
        self.config = config
        self.prefix = nn.Linear(config.code_dim, config.width)
        self.words = nn.Embedding(config.n_words, config.width)
        self.positions = nn.Embedding(config.length, config.width)
        self.blocks = nn.ModuleList(Block(config) for _ in range(config.layers))
        self.norm = nn.LayerNorm(config.width)
        for name, weight in self.named_parameters():
            if weight.dim() > 1:
                last = name.endswith(("out.weight", "down.weight"))  # what a layer adds to x
                nn.init.normal_(weight, std=0.02 / (2 * config.layers) ** 0.5 if last else 0.02)

    def forward(self, code: Tensor, tokens: Tensor) -> Tensor:
        """Code (B, D), tokens (B, T) that begin with ``<bos>`` → logits of the next ones (B, T, V).

        Raises
        ------
        ValueError
            When there are more tokens than positions, or a token is none of the vocabulary.
        """
        if tokens.shape[1] > self.config.length:
            raise ValueError(f"{tokens.shape[1]} tokens, {self.config.length} positions: cut them")
        if tokens.numel() and not 0 <= tokens.min() <= tokens.max() < self.config.n_words:
            whole_numbers(tokens, "tokens", low=0, high=self.config.n_words - 1)
        x = torch.cat([self.prefix(code).unsqueeze(1), self.words(tokens[:, 1:])], 1)
        return self._run(x, 0, [None] * len(self.blocks))[0]

    def _run(self, x: Tensor, start: int, cache: list) -> tuple[Tensor, Cache]:
        """States from position `start` on and what earlier ones left → logits, what all leave."""
        x = x + self.positions.weight[start : start + x.shape[1]]  # (B, T, W)
        kept = []
        for block, past in zip(self.blocks, cache, strict=True):
            x, left = block(x, past)
            kept.append(left)
        return self.norm(x) @ self.words.weight.T, kept  # the embedding serves both ends

    @torch.no_grad()
    def generate(self, code: Tensor, *, temperature: float = 0.0, seed: int = 0) -> Tensor:
        """Write one headline per code.

        Parameters
        ----------
        code : Tensor of shape (B, D)
        temperature : float
            Logits are divided by it; 0 takes the likeliest word each time.
        seed : int

        Returns
        -------
        Tensor of shape (B, length), int64
            ``<bos>``, words, ``<eos>``, ``<pad>``; without ``<eos>`` where none came.
        """
        rng = torch.Generator().manual_seed(seed)
        tokens = torch.full((len(code), self.config.length), PAD)
        tokens[:, 0] = BOS
        x, cache = self.prefix(code).unsqueeze(1), [None] * len(self.blocks)
        for t in range(1, self.config.length):
            logits, cache = self._run(x, t - 1, cache)
            ended = (tokens[:, t - 1] == EOS) | ((tokens[:, t - 1] == PAD) & (t > 1))
            tokens[:, t] = torch.where(ended, PAD, pick(logits[:, -1], temperature, rng))
            x = self.words(tokens[:, t : t + 1])
        return tokens


def pick(logits: Tensor, temperature: float, generator: torch.Generator) -> Tensor:
    """Logits (B, V) → one word per row (B,), drawn, or the likeliest if the temperature is 0.

    Raises
    ------
    ValueError
        When the temperature is negative, or words are to be drawn and a logit over the temperature
        is not finite.

    Examples
    --------
    At temperature 0 the likeliest word is taken, the first of equals. A low temperature nearly
    does the same; 1 draws from the softmax.

    >>> import torch
    >>> from pm_utils.creatives.text.networks import pick
    >>> generator = torch.Generator().manual_seed(0)
    >>> pick(torch.tensor([[1.0, 3.0, 3.0]]), 0.0, generator).tolist()
    [1]
    >>> pick(torch.tensor([[1.0, 3.0, 2.0]]).repeat(4, 1), 0.01, generator).tolist()
    [1, 1, 1, 1]
    """
    if temperature == 0:
        return logits.argmax(1)
    numbers(temperature, "temperature", low=0)
    cumulative = (logits / temperature).softmax(1).cumsum(1)
    if not cumulative[:, -1].isfinite().all():
        raise ValueError(
            "logits / temperature is not finite: train again, or raise the temperature"
        )
    drawn = torch.rand(len(logits), 1, generator=generator) * cumulative[:, -1:]  # below the last
    return torch.searchsorted(cumulative, drawn, right=True).squeeze(1)


def next_word_loss(logits: Tensor, tokens: Tensor) -> Tensor:
    """Return the mean cross-entropy of the words after ``<bos>`` up to ``<eos>``.

    Parameters
    ----------
    logits : Tensor of shape (B, T, V)
        From tokens 0 to T - 1.
    tokens : Tensor of shape (B, T + 1) or (B, T), int64
        The headlines; pads do not count. What the last logits foretell is left out with (B, T).

    Returns
    -------
    Tensor
        Scalar, nats per token.

    Examples
    --------
    Equal logits over four words cost log 4 per token, however many pads (0) follow.

    >>> import torch
    >>> from pm_utils.creatives.text.networks import next_word_loss
    >>> tokens = torch.tensor([[1, 3, 3, 2], [1, 2, 0, 0]])
    >>> round(next_word_loss(torch.zeros(2, 4, 4), tokens).item(), 4)
    1.3863
    """
    following = tokens[:, 1:]
    logits = logits[:, : following.shape[1]]
    return cross_entropy(logits.flatten(0, 1), following.flatten(), ignore_index=PAD)
