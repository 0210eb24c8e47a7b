"""Customer profile networks: features, a week-by-category grid, or a sequence of baskets.

All share one shape: an encoder ends in a profile of 32 numbers between -1 and 1, and a head reads
the profile. The profile, not the head's output, is what later chapters use.
"""

import torch
from torch import Tensor, nn

from pm_utils.inputs import whole_numbers

PROFILE_DIM = 32
KERNEL = 4  # weeks that each of the two convolutions reads at once
FEWEST_WEEKS = 2 * KERNEL - 1


class UserProfileNet(nn.Module):
    """Features → hidden layer → profile → logits: the source's §4.2, read at the hidden layer.

    Explained in chapter ``customer-profile``.

    Parameters
    ----------
    input_dim, hidden_dim, output_dim : int
        Features, width of the first layer, number of targets.
    dropout : float
        Share of features and hidden units dropped while training.

    Examples
    --------
    >>> import torch
    >>> from pm_utils.customers.networks import UserProfileNet
    >>> net = UserProfileNet(input_dim=5, hidden_dim=8, output_dim=3)
    >>> net(torch.zeros(2, 5)).shape  # logits
    torch.Size([2, 3])
    >>> profile = net.profile(torch.zeros(2, 5))
    >>> profile.shape, bool((profile.abs() < 1).all())
    (torch.Size([2, 32]), True)
    """

    def __init__(
        self, input_dim: int, hidden_dim: int, output_dim: int, *, dropout: float = 0.0
    ) -> None:
        super().__init__()
        self.encoder = nn.Sequential(
            nn.Dropout(dropout),
            nn.Linear(input_dim, hidden_dim),
            nn.ReLU(),
            nn.Dropout(dropout),
            nn.Linear(hidden_dim, PROFILE_DIM),
            nn.Tanh(),
        )
        self.head = nn.Linear(PROFILE_DIM, output_dim)

    def profile(self, features: Tensor) -> Tensor:
        """Features (B, F) → profile (B, 32).

        Raises
        ------
        ValueError
            When there are more features or fewer than the network reads.
        """
        width = self.encoder[1].in_features
        if features.dim() != 2 or features.shape[1] != width:
            raise ValueError(f"features has shape {tuple(features.shape)}: give (B, {width})")
        return self.encoder(features)

    def forward(self, features: Tensor) -> Tensor:
        """Features (B, F) → logits (B, output_dim)."""
        return self.head(self.profile(features))


class PurchaseCNN(nn.Module):
    """Convolve over the weeks of a category × week grid, pool over time (source §3.1.2).

    Explained in chapter ``customer-profile``.

    Parameters
    ----------
    n_categories : int
        Categories, the channels of the first convolution.
    output_dim : int
        Number of targets.
    channels : int
        Width of both convolutions.
    dropout : float
        Share of categories and pooled channels dropped while training.

    References
    ----------
    Kim (2014), Convolutional neural networks for sentence classification: max over time.

    Examples
    --------
    Two convolutions of 4 weeks each shorten the grid by 6: it needs 7 weeks at least.

    >>> import torch
    >>> from pm_utils.customers.networks import PurchaseCNN
    >>> net = PurchaseCNN(n_categories=4, output_dim=3)
    >>> grid = torch.zeros(2, 4, 26)  # customers, categories, weeks
    >>> net.convolve(grid).shape
    torch.Size([2, 64, 20])
    >>> net(grid).shape
    torch.Size([2, 3])
    """

    def __init__(
        self, n_categories: int, output_dim: int, *, channels: int = 64, dropout: float = 0.0
    ) -> None:
        super().__init__()
        self.convolve = nn.Sequential(
            nn.Dropout1d(dropout),
            nn.Conv1d(n_categories, channels, kernel_size=KERNEL),
            nn.ReLU(),
            nn.Conv1d(channels, channels, kernel_size=KERNEL),
            nn.ReLU(),
        )
        self.project = nn.Sequential(
            nn.Dropout(dropout), nn.Linear(2 * channels, PROFILE_DIM), nn.Tanh()
        )
        self.head = nn.Linear(PROFILE_DIM, output_dim)

    def profile(self, grid: Tensor) -> Tensor:
        """Grid (B, C, W) → profile (B, 32).

        Raises
        ------
        ValueError
            When there are other categories, or fewer weeks than both convolutions read.
        """
        categories = self.convolve[1].in_channels
        if grid.dim() != 3 or grid.shape[1] != categories or grid.shape[2] < FEWEST_WEEKS:
            raise ValueError(
                f"grid has shape {tuple(grid.shape)}: give (B, {categories}, W), at least "
                f"{FEWEST_WEEKS} weeks"
            )
        maps = self.convolve(grid)  # (B, channels, W - 6)
        return self.project(torch.cat([maps.amax(2), maps.mean(2)], 1))

    def forward(self, grid: Tensor) -> Tensor:
        """Grid (B, C, W) → logits (B, output_dim)."""
        return self.head(self.profile(grid))


class BasketRNN(nn.Module):
    """A gated recurrent unit over baskets; pads never enter it (source §3.1.3).

    Explained in chapter ``customer-profile``.

    Parameters
    ----------
    n_categories : int
        Categories that a basket may hold.
    output_dim : int
        Number of targets.
    width : int
        Width of a basket's embedding.
    dropout : float
        Share of a basket's embedding dropped while training.

    References
    ----------
    Cho et al. (2014), Learning phrase representations using RNN encoder–decoder, eqs. 5–8.

    Examples
    --------
    What stands in a pad makes no difference.

    >>> import torch
    >>> from pm_utils.customers.networks import BasketRNN
    >>> net = BasketRNN(n_categories=4, output_dim=3)
    >>> baskets, ages, lengths = torch.zeros(2, 5, 4), torch.zeros(2, 5), torch.tensor([5, 1])
    >>> logits = net(baskets, ages, lengths)
    >>> logits.shape
    torch.Size([2, 3])
    >>> baskets[1, 1:] = 1  # behind the second customer's only basket
    >>> torch.equal(net(baskets, ages, lengths), logits)
    True
    """

    def __init__(
        self, n_categories: int, output_dim: int, *, width: int = 32, dropout: float = 0.0
    ) -> None:
        super().__init__()
        self.embed = nn.Sequential(
            nn.Linear(n_categories + 1, width), nn.ReLU(), nn.Dropout(dropout)
        )
        self.gru = nn.GRU(width, PROFILE_DIM, batch_first=True)
        self.head = nn.Linear(PROFILE_DIM, output_dim)

    def profile(self, baskets: Tensor, ages: Tensor, lengths: Tensor) -> Tensor:
        """Baskets (B, T, C), ages (B, T), lengths (B,) → profile (B, 32), 0 without a basket.

        Raises
        ------
        ValueError
            When the shapes are others, or a length is negative or beyond the baskets.
        """
        categories = self.embed[0].in_features - 1
        if baskets.dim() != 3 or baskets.shape[2] != categories or baskets.shape[:2] != ages.shape:
            raise ValueError(
                f"baskets has shape {tuple(baskets.shape)}, ages {tuple(ages.shape)}: give "
                f"(B, T, {categories}) and (B, T)"
            )
        if len(lengths) and not 0 <= lengths.min() <= lengths.max() <= baskets.shape[1]:
            whole_numbers(lengths, "lengths", high=baskets.shape[1])
        longest = max(int(lengths.max()), 1) if len(lengths) else 1
        lengths = lengths.to(ages.device)
        slot = torch.arange(longest, device=ages.device)
        real = slot < lengths[:, None]  # the others are pads
        steps = torch.cat([baskets[:, :longest][real], ages[:, :longest][real][:, None]], 1)
        read = ages.new_zeros(len(ages), longest, self.gru.input_size)
        read[real] = self.embed(steps)
        states, _ = self.gru(read)  # (B, T, 32): pads come last, and change no state before them
        rows = torch.arange(len(states), device=ages.device)
        last = states[rows, lengths.clamp(min=1) - 1]
        return last.masked_fill((lengths == 0)[:, None], 0)

    def forward(self, baskets: Tensor, ages: Tensor, lengths: Tensor) -> Tensor:
        """Baskets (B, T, C), ages (B, T), lengths (B,) → logits (B, output_dim)."""
        return self.head(self.profile(baskets, ages, lengths))


class WideHead(nn.Module):
    """Score tags from the profile and from the customer's own history with each tag.

    One small network serves all tags; an embedding tells it which one it scores, and a linear
    part per tag reads the history directly ("wide and deep").

    Explained in chapter ``customer-profile``.

    Parameters
    ----------
    output_dim : int
        Number of tags, K.
    history_dim : int
        Numbers per tag, R.
    width : int
        Width of the hidden layers.

    References
    ----------
    Cheng et al. (2016), Wide & deep learning for recommender systems.

    Examples
    --------
    >>> import torch
    >>> from pm_utils.customers.networks import WideHead
    >>> head = WideHead(output_dim=3, history_dim=5)
    >>> head(torch.zeros(2, 32), torch.zeros(2, 3, 5)).shape
    torch.Size([2, 3])
    """

    def __init__(self, output_dim: int, history_dim: int, *, width: int = 16) -> None:
        super().__init__()
        self.tags = nn.Parameter(0.1 * torch.randn(output_dim, width))
        self.from_history = nn.Linear(history_dim, width)
        self.from_profile = nn.Linear(PROFILE_DIM, width, bias=False)
        self.mix = nn.Sequential(nn.ReLU(), nn.Linear(width, width), nn.ReLU(), nn.Linear(width, 1))
        self.wide = nn.Parameter(torch.zeros(output_dim, history_dim))
        self.linear = nn.Linear(PROFILE_DIM, output_dim)

    def forward(self, profile: Tensor, history: Tensor) -> Tensor:
        """Profile (B, 32), history (B, K, R) → logits (B, K)."""
        hidden = self.from_history(history) + self.tags  # (B, K, W)
        hidden = hidden + self.from_profile(profile).unsqueeze(1)
        deep = self.mix(hidden).squeeze(2) + self.linear(profile)
        return deep + (history * self.wide).sum(2)


class ProfileTagger(nn.Module):
    """An encoder's profile, read by a `WideHead` together with each tag's own history.

    Explained in chapter ``customer-profile``.

    Parameters
    ----------
    encoder : UserProfileNet, PurchaseCNN or BasketRNN
        Its ``profile`` method is used; its own head is taken off.
    output_dim, history_dim : int
        As in `WideHead`.

    Examples
    --------
    >>> import torch
    >>> from pm_utils.customers.networks import ProfileTagger, UserProfileNet
    >>> tagger = ProfileTagger(UserProfileNet(5, 8, 3), output_dim=3, history_dim=4)
    >>> history, features = torch.zeros(2, 3, 4), torch.zeros(2, 5)
    >>> tagger(history, features).shape  # history first, then what the encoder reads
    torch.Size([2, 3])
    >>> tagger.profile(features).shape
    torch.Size([2, 32])
    """

    def __init__(self, encoder: nn.Module, output_dim: int, history_dim: int) -> None:
        super().__init__()
        encoder.head = nn.Identity()
        self.encoder = encoder
        self.head = WideHead(output_dim, history_dim)

    def profile(self, *inputs: Tensor) -> Tensor:
        """What the encoder reads → profile (B, 32)."""
        return self.encoder.profile(*inputs)

    def forward(self, history: Tensor, *inputs: Tensor) -> Tensor:
        """History (B, K, R) and what the encoder reads → logits (B, K)."""
        return self.head(self.profile(*inputs), history)
