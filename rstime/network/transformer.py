"""The score network: a transformer over tokens (time, variable, value, level)."""

from __future__ import annotations

from dataclasses import dataclass

from einops import rearrange
from torch import Tensor, nn

from rstime.tokens import Tokens
from rstime.network.attention import Attention, Rotary, Turn
from rstime.network.embedding import Embedding

Memory = list[tuple[Tensor, Tensor]]


@dataclass(frozen=True)
class NetworkConfig:
    """Size of the network: features a token, heads, layers, dropout."""

    width: int = 64
    heads: int = 4
    layers: int = 4
    dropout: float = 0.0


SIZES = {
    "tiny": NetworkConfig(32, 1, 2),
    "small": NetworkConfig(64, 2, 4),
    "base": NetworkConfig(128, 4, 6),
}


class Layer(nn.Module):
    """Pre-norm attention and feed-forward block."""

    def __init__(self, config: NetworkConfig):
        super().__init__()
        self.attention_norm = nn.LayerNorm(config.width)
        self.attention = Attention(config.width, config.heads)
        self.forward_norm = nn.LayerNorm(config.width)
        self.feed_forward = nn.Sequential(
            nn.Linear(config.width, 4 * config.width),
            nn.GELU(),
            nn.Linear(4 * config.width, config.width),
            nn.Dropout(config.dropout),
        )

    def context(self, x: Tensor, turn: Turn, exists: Tensor) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        y, memory = self.attention.context(self.attention_norm(x), turn, exists)
        x = x + y
        return x + self.feed_forward(self.forward_norm(x)), memory

    def query(self, x: Tensor, turn: Turn, exists: Tensor, memory: tuple[Tensor, Tensor]) -> Tensor:
        x = x + self.attention.query(self.attention_norm(x), turn, exists, memory)
        return x + self.feed_forward(self.forward_norm(x))  # type: ignore[no-any-return]


class Transformer(nn.Module):
    """F_theta: one number per token, zero before training.

    Parameters
    ----------
    config
        Size.
    channels, covariates
        Number of variables and covariates.
    window
        Length of a window in steps.
    """

    def __init__(self, config: NetworkConfig, channels: int, covariates: int, window: float):
        super().__init__()
        self.embedding = Embedding(config.width, channels, covariates)
        self.layers = nn.ModuleList(Layer(config) for _ in range(config.layers))
        self.rotary = Rotary(config.width // config.heads, window)
        self.norm = nn.LayerNorm(config.width)
        self.head = nn.Linear(config.width, 1)
        nn.init.zeros_(self.head.weight)
        nn.init.zeros_(self.head.bias)

    def context(self, features: Tensor, tokens: Tokens) -> tuple[Tensor, Memory]:
        """Return (B, N) outputs of tokens that all see each other, and what later queries need of them."""
        x = self.embedding(features, tokens)
        turn, memory = self.rotary(tokens.time), []
        for layer in self.layers:
            x, kept = layer.context(x, turn, tokens.exists)
            memory.append(kept)
        return self.read(x), memory

    def query(self, features: Tensor, tokens: Tokens, exists: Tensor, memory: Memory) -> Tensor:
        """Return (B, M) outputs of tokens that see the remembered context and themselves only."""
        x, turn = self.embedding(features, tokens), self.rotary(tokens.time)
        for layer, kept in zip(self.layers, memory, strict=True):
            x = layer.query(x, turn, exists, kept)
        return self.read(x)

    def read(self, x: Tensor) -> Tensor:
        return rearrange(self.head(self.norm(x)), "b n 1 -> b n").float()  # type: ignore[no-any-return]
