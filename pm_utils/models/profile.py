"""Customer profile networks: features, a week-by-category grid, or a sequence of baskets.

All three share one shape: an encoder ends in a profile of 32 numbers, and a linear head reads the
profile. The profile, not the head's output, is what later chapters use.
"""

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence

PROFILE_DIM = 32


class UserProfileNet(nn.Module):
    """Feed-forward profile: features → hidden layer → profile → logits (source §3.1.1, §4.2)."""

    def __init__(
        self, input_dim: int, hidden_dim: int, output_dim: int, *, dropout: float = 0.0
    ) -> None:
        super().__init__()
        self.encoder = nn.Sequential(
            nn.Linear(input_dim, hidden_dim),
            nn.ReLU(),
            nn.Dropout(dropout),
            nn.Linear(hidden_dim, PROFILE_DIM),
            nn.ReLU(),
        )
        self.head = nn.Linear(PROFILE_DIM, output_dim)

    def profile(self, features: Tensor) -> Tensor:
        """Features (B, F) → profile (B, 32)."""
        return self.encoder(features)

    def forward(self, features: Tensor) -> Tensor:
        """Features (B, F) → logits (B, output_dim)."""
        return self.head(self.profile(features))
