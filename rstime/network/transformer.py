"""The score network: a transformer over tokens (time, variable, value, level)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from einops import repeat
from torch import Tensor, nn

from rstime.lines import Lines, by_channel, by_step, whole
from rstime.network.attention import Attention, Places, Rotary
from rstime.network.embedding import SIGNS, Embedding
from rstime.tokens import Tokens

NETWORKS: dict[str, tuple[Callable[[Tokens], Lines], ...]] = {"joint": (whole,), "axial": (by_channel, by_step)}
"""Lines of tokens that the attentions of a layer go along, one after the other."""


@dataclass(frozen=True, eq=False)
class Memory:
    """What later queries need of a context.

    Attributes
    ----------
    layers
        Keys and values, (B, G, H, L, E), of each attention of each layer.
    exists
        (B, G, L) which places of its lines hold a token, for each attention of a layer.
    """

    layers: list[list[tuple[Tensor, Tensor]]]
    exists: list[Tensor]

    def repeat(self, times: int) -> Memory:
        """Return the memory of the windows repeated."""
        layers = [[(again(k, times), again(v, times)) for k, v in layer] for layer in self.layers]
        return Memory(layers, [again(x, times) for x in self.exists])


def again(x: Tensor, times: int) -> Tensor:
    """Repeat the windows of x."""
    return repeat(x, "b ... -> (s b) ...", s=times)


@dataclass(frozen=True)
class NetworkConfig:
    """Size of the network: features a token, heads, layers, dropout; and its attention, a name of NETWORKS.

    "joint" attends over all tokens of a window, at a cost quadratic in their number; "axial" along time within each
    variable, then along the variables within each step.
    """

    width: int = 64
    heads: int = 4
    layers: int = 4
    dropout: float = 0.0
    attention: str = "joint"


SIZES = {
    "tiny": NetworkConfig(32, 1, 2),
    "small": NetworkConfig(64, 2, 3),
    "base": NetworkConfig(128, 4, 4),
}


class Layer(nn.Module):
    """Pre-norm attention and feed-forward block."""

    def __init__(self, config: NetworkConfig):
        super().__init__()
        count = len(NETWORKS[config.attention])
        self.attentions = nn.ModuleList(Attention(config.width, config.heads) for _ in range(count))
        self.feed_forward = nn.Sequential(
            nn.LayerNorm(config.width),
            nn.Linear(config.width, 4 * config.width),
            nn.GELU(),
            nn.Linear(4 * config.width, config.width),
            nn.Dropout(config.dropout),
        )

    def context(self, x: Tensor, places: list[Places]) -> tuple[Tensor, list[tuple[Tensor, Tensor]]]:
        """Let the tokens see each other along their lines; return them, and keys and values of each attention."""
        memory = []
        for attention, along in zip(self.attentions, places, strict=True):
            assert isinstance(attention, Attention)
            x, kept = attention.context(x, along)
            memory.append(kept)
        return x + self.feed_forward(x), memory

    def query(
        self, x: Tensor, places: list[Places], exists: list[Tensor], memory: list[tuple[Tensor, Tensor]]
    ) -> Tensor:
        """Let each token see the remembered context, where that exists, and itself."""
        for attention, along, there, kept in zip(self.attentions, places, exists, memory, strict=True):
            assert isinstance(attention, Attention)
            x = attention.query(x, along, there, kept)
        return x + self.feed_forward(x)  # type: ignore[no-any-return]


class Transformer(nn.Module):
    """F_theta: a shift and gates for each token, zero before training.

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
        self.arrangements = NETWORKS[config.attention]
        self.embedding = Embedding(config.width, channels, covariates)
        self.layers = nn.ModuleList(Layer(config) for _ in range(config.layers))
        self.rotary = Rotary(config.width // config.heads, window)
        self.norm = nn.LayerNorm(config.width)
        self.head = nn.Linear(config.width, 1 + SIGNS)
        nn.init.zeros_(self.head.weight)
        nn.init.zeros_(self.head.bias)

    def places(self, tokens: Tokens) -> list[Places]:
        """Return where the tokens stand in the lines of each attention."""
        lines = [arrange(tokens) for arrange in self.arrangements]
        return [Places(one, self.rotary(one.put(tokens.time))) for one in lines]

    def context(self, features: Tensor, tokens: Tokens) -> tuple[Tensor, Memory]:
        """Return (B, N, 1 + SIGNS) outputs of tokens that all see each other, and what later queries need of them."""
        x, places = self.embedding(features, tokens), self.places(tokens)
        memory = Memory([], [along.lines.exists for along in places])
        for layer in self.layers:
            assert isinstance(layer, Layer)
            x, kept = layer.context(x, places)
            memory.layers.append(kept)
        return self.read(x), memory

    def query(self, features: Tensor, tokens: Tokens, memory: Memory) -> Tensor:
        """Return (B, M, 1 + SIGNS) outputs of tokens that see the remembered context and themselves only."""
        x, places = self.embedding(features, tokens), self.places(tokens)
        for layer, kept in zip(self.layers, memory.layers, strict=True):
            assert isinstance(layer, Layer)
            x = layer.query(x, places, memory.exists, kept)
        return self.read(x)

    def read(self, x: Tensor) -> Tensor:
        """Return the (B, N, 1 + SIGNS) outputs, in float32."""
        return self.head(self.norm(x)).float()  # type: ignore[no-any-return]
