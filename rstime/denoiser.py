"""The Gaussian-preconditioned denoiser: the exact denoiser of a Gaussian prior plus a network scaled to what it left.

    D(m, tau) = G(m, tau) + sqrt(V(tau)) F_theta(features of m, tau, G, V)

With F = 0 it is the Gaussian process / Kalman smoother with known risk; EDM's c_skip, c_out (Karras et al. 2022,
table 1) are the case of a white prior.
"""

from __future__ import annotations

import copy
import os

import torch
from torch import Tensor, nn

from rstime.gaussian import Belief, GaussianModel, update
from rstime.network.embedding import SIGNS, token_features
from rstime.network.transformer import Memory, Transformer
from rstime.tokens import Tokens

AT_ONCE = 4096  # tokens that pass the network together when sampling


def bf16_pays(device: torch.device) -> bool:
    """Return whether matrix products in bfloat16 are faster here; RSTIME_FLOAT32=1 in the environment says no."""
    if os.environ.get("RSTIME_FLOAT32") == "1":
        return False
    return device.type == "cuda" or bool(getattr(torch.cpu, "_is_avx512_bf16_supported", lambda: False)())


class Denoiser(nn.Module):
    """E[x | m = x + tau e] for every entry of a window, at any level vector tau; all in sd of each channel.

    Parameters
    ----------
    prior
        The Gaussian model G, V; it is made float32 and is not trained here.
    network
        F_theta; None for the Gaussian model alone.
    """

    def __init__(self, prior: GaussianModel, network: Transformer | None):
        super().__init__()
        self.prior = prior.float().requires_grad_(False)
        self.network = network
        self.fast = True

    def precise(self) -> Denoiser:
        """Return the same denoiser, never in bfloat16: smooth enough for steps that are chosen by their error."""
        other = copy.copy(self)
        other.fast = False
        return other

    def forward(self, tokens: Tokens, m: Tensor, tau: Tensor) -> tuple[Tensor, Belief]:
        """Denoise tokens that all see each other.

        Parameters
        ----------
        tokens
            B windows of N entries.
        m
            (S, B, N) inputs, S samples of each window; not read where tau = inf.
        tau
            (B, N) levels, shared by the samples; inf where only the others tell.

        Returns
        -------
        denoised, belief
            (S, B, N) E[x | m], and the prior's belief with V, the variance it is scaled by.
        """
        with torch.no_grad():
            belief = self.prior.condition(tokens, tau).belief(m)
        if self.network is None:
            return belief.mean, belief
        features = self.features(belief, m, tau)
        return combine(belief, features, self.gates(features, tokens)), belief

    @property
    def device(self) -> torch.device:
        """Where the parameters are."""
        return self.prior.log_white.device

    def features(self, belief: Belief, m: Tensor, tau: Tensor) -> Tensor:
        """Return what the network is told of each entry, (S, B, N, FEATURES)."""
        return token_features(belief, m, tau)

    def gates(self, features: Tensor, tokens: Tokens) -> Tensor:
        """Return the network's (S, B, N, 1 + SIGNS) outputs from (S, B, N, FEATURES).

        Without gradients they are computed for a cache-sized group of windows at a time, in bfloat16 where it pays.
        """
        assert self.network is not None
        rows, repeated = features.flatten(0, 1), tokens.repeat(len(features))
        size = len(rows) if torch.is_grad_enabled() else max(AT_ONCE // rows.shape[1], 1)
        groups = (slice(i, i + size) for i in range(0, len(rows), size))
        with self.cast():
            gates = torch.cat([self.network.context(rows[group], repeated.rows(group))[0] for group in groups])
        return gates.reshape(*features.shape[:3], -1)

    def remember(self, tokens: Tokens, belief: Belief, m: Tensor, tau: Tensor) -> tuple[Tensor, Memory]:
        """Denoise a context and keep what later queries need of it.

        Parameters
        ----------
        tokens, m, tau
            As for `forward`.
        belief
            The prior's of these tokens, given m at tau.

        Returns
        -------
        denoised, memory
            (S, B, N) E[x | m]; keys and values of the S B contexts, empty without a network.
        """
        if self.network is None:
            return belief.mean, Memory([], [])
        features = self.features(belief, m, tau)
        gates, memory = self.network.context(features.flatten(0, 1), tokens.repeat(len(m)))
        return combine(belief, features, gates.reshape(*features.shape[:3], -1)), memory

    def answer(
        self, queries: Tokens, prediction: Belief, m: Tensor, s: Tensor, memory: Memory
    ) -> tuple[Tensor, Belief]:
        """Denoise queries that see a remembered context and themselves only.

        Parameters
        ----------
        queries
            B windows of M entries, none of them in the context.
        prediction
            The prior's belief of them given the context (`Conditioned.predict`).
        m, s
            (S, B, M) own states and their (B, M) levels.
        memory
            What `remember` kept of the context, the same for all samples.

        Returns
        -------
        denoised, belief
            (S, B, M) E[x | context, m], and the prior's belief with the queries' own states added.
        """
        belief = update(prediction, m, s)
        if self.network is None:
            return belief.mean, belief
        features = self.features(belief, m, s)
        size = len(m) if torch.is_grad_enabled() else max(AT_ONCE // max(s.numel(), 1), 1)
        groups = [features[i : i + size] for i in range(0, len(m), size)]
        with self.cast():
            gates = torch.cat(
                [self.network.query(x.flatten(0, 1), queries.repeat(len(x)), memory.repeat(len(x))) for x in groups]
            )
        return combine(belief, features, gates.reshape(*features.shape[:3], -1)), belief

    def cast(self) -> torch.autocast:
        """Return the context in which the network runs: bfloat16 while sampling, where it is faster."""
        fast = self.fast and not torch.is_grad_enabled() and bf16_pays(self.device)
        return torch.autocast(self.device.type, torch.bfloat16, enabled=fast)


def combine(belief: Belief, features: Tensor, gates: Tensor) -> Tensor:
    """Return D = G + sqrt(V) F with F a shift plus gates on the features that turn with the sign of the data.

    What a Gaussian prior misses is mostly a matter of weights: how much each of its components counts here. A linear
    read-out of such a product has no gradient to start from; gates have.

    Parameters
    ----------
    belief
        G, (S, B, N), and V, (B, N).
    features
        (S, B, N, FEATURES), the SIGNS features that turn with the sign of the data last.
    gates
        (S, B, N, 1 + SIGNS) outputs of the network: the shift first, then a gate for each of these.
    """
    correction = gates[..., 0] + (gates[..., 1:] * features[..., -SIGNS:]).sum(-1)
    return belief.mean + belief.variance.sqrt() * correction
