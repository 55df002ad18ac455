"""The Energy Transformer block: the paper on one page (Hoover et al. 2023, arXiv 2302.07253, section 2).

The energy is the definition. Its gradient is written out in closed form, because the descent needs it twelve times for
each image. The tests compare the gradient with float64 autograd of the energy.

Shapes: B images, N tokens, D embed_dim, H heads, Y head_dim, M memories.
"""

import math
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from etviz.errors import UsageError
from etviz.models.projection import Projection, make_projection


class EnergyLayerNorm(nn.Module):
    """g = gamma * (x - mean) / sqrt(var + eps) + delta over the last axis, gamma a scalar, delta (D,) (eq. 1).

    gamma is a single number, not one per channel. Then g is itself the gradient of a convex function of x (for
    gamma > 0), and that is why a small enough step lowers the energy.
    """

    def __init__(self, embed_dim: int, eps: float = 1e-5):
        super().__init__()
        self.gamma = nn.Parameter(torch.ones(()))
        self.delta = nn.Parameter(torch.zeros(embed_dim))
        self.eps = eps

    def forward(self, x: Tensor) -> Tensor:  # (B, N, D) -> (B, N, D), in x's own precision, also under autocast
        scale = self.gamma.expand(self.delta.shape)
        return F.layer_norm(x, self.delta.shape, scale, self.delta, self.eps)

    def along_sphere(self, x: Tensor, gradient: Tensor) -> Tensor:
        """The energy's gradient by the direction of each token: dE/dg pulled back through this norm.

        The energy sees of a token its direction z = (x - mean) / std alone: g = gamma * r * z + delta, where
        r = std / sqrt(var + eps) is 1 for all but the shortest tokens, and counts as a constant here. Every z lies on
        the sphere |z|^2 = D, sum(z) = 0, so dE/dz is gamma * r * dE/dg without its mean and without its part along z.
        Stretching a token leaves it as it is, whereas dE/dx = (dE/dz) / std, up to eps, shrinks as a token grows.

        Args:
            x: (B, N, D) the tokens.
            gradient: (B, N, D) dE/dg at g = norm(x).

        Returns:
            (B, N, D), 0 at a stationary state.
        """
        z = layer_normed(x)
        variance = x.var(dim=-1, correction=0, keepdim=True)
        by_z = self.gamma * (variance / (variance + self.eps)).sqrt() * gradient
        return by_z - by_z.mean(dim=-1, keepdim=True) - z * (z * by_z).mean(dim=-1, keepdim=True)


def layer_normed(x: Tensor) -> Tensor:
    """The direction of each token: (x - mean) / std over the last axis, without eps, gain or offset.

    Without eps the norm of a normed token is that token, so that a descent stays on the sphere. The energy is the same
    as before, but for the eps of its own norm: g's offset from delta changes by a share of at most eps / (2 var). A
    token that is the same in all channels has no direction and becomes 0.
    """
    return F.layer_norm(x, x.shape[-1:], eps=torch.finfo(x.dtype).tiny)


class Evaluation(NamedTuple):
    """What one evaluation of the energy at a state g gives."""

    gradient: Tensor  # (B, N, D)  d(E_att + E_hop) / dg
    attention_energy: Tensor  # (B, N)  E_att by query token
    hopfield_energy: Tensor  # (B, N)  E_hop by token
    attention: Tensor  # (B, H, N, N)  softmax over keys (last axis)


class EnergyBlock(nn.Module):
    """One energy function of tokens, together with the layer norm that it is a function of.

    Args:
        embed_dim: D.
        num_heads: H.
        head_dim: Y; need not be D / H.
        num_memories: M.
        beta: inverse temperature of the attention, 1 / sqrt(head_dim) in the paper.
        exclude_self: leave a query's own key out of its sum, as the paper writes it.
        init_scale: standard deviation of the initial query, key and memory weights.

    Raises:
        UsageError: a size is below 1, or beta is not above 0.
    """

    def __init__(
        self,
        *,
        embed_dim: int,
        num_heads: int,
        head_dim: int,
        num_memories: int,
        beta: float = 0.125,
        exclude_self: bool = False,
        init_scale: float = 0.002,
    ):
        super().__init__()
        sizes = dict(embed_dim=embed_dim, num_heads=num_heads, head_dim=head_dim, num_memories=num_memories)
        for name, size in sizes.items():
            if size < 1:
                raise UsageError(f"{name} must be at least 1, not {size}.")
        check_beta(beta)
        self.beta = beta
        self.exclude_self = exclude_self
        self.norm = EnergyLayerNorm(embed_dim)
        self.query = nn.Parameter(init_scale * torch.randn(num_heads, head_dim, embed_dim))
        self.key = nn.Parameter(init_scale * torch.randn(num_heads, head_dim, embed_dim))
        self.memories = nn.Parameter(init_scale * torch.randn(num_memories, embed_dim))

    # ---- the definition ------------------------------------------------------------------------------------------

    def energy(self, g: Tensor, beta: float | None = None, valid: Tensor | None = None) -> Tensor:
        """E_att + E_hop of each image (eq. 3 and 5). g (B, N, D) -> (B,)."""
        return (self.attention_energy(g, beta, valid) + self.hopfield_energy(g, valid)).sum(dim=1)

    def attention_energy(self, g: Tensor, beta: float | None = None, valid: Tensor | None = None) -> Tensor:
        """-(1/beta) sum_heads logsumexp_keys(beta K_key . Q_query), by query token (eq. 3). g (B, N, D) -> (B, N).

        ``valid`` (B, N) bool marks the tokens that exist where images hold different numbers of them.
        """
        beta = self.beta if beta is None else beta
        queries = torch.einsum("hyd,bnd->bhny", self.query, g)
        keys = torch.einsum("hyd,bnd->bhny", self.key, g)
        logits = beta * queries @ keys.transpose(2, 3)  # (B, H, N query, N key)
        logits, counted = self._exclude(logits, valid)
        lse = torch.logsumexp(logits, dim=3)
        return -(lse if counted is None else lse * counted[..., 0]).sum(dim=1) / beta

    def hopfield_energy(self, g: Tensor, valid: Tensor | None = None) -> Tensor:
        """-(1/2) sum_memories relu(xi . g)^2, by token (eq. 5). g (B, N, D) -> (B, N)."""
        energy = -0.5 * F.linear(g, self.memories).relu().square().sum(dim=2)
        return energy if valid is None else energy * valid

    # ---- its gradient in closed form -----------------------------------------------------------------------------

    def projection(self) -> Projection:
        """Queries (HY, D), keys (HY, D) and memories (M, D): a step is one product up, and its transpose down."""
        return make_projection([self.query.flatten(0, 1), self.key.flatten(0, 1), self.memories])

    def gradient(
        self, g: Tensor, projection: Projection, beta: float | None = None, valid: Tensor | None = None
    ) -> Tensor:
        """dE/dg, (B, N, D). ``projection`` comes from `projection()`; as an argument, a descent makes it only once.

        dE/dg = -(W_Q^T A K + W_K^T A^T Q + xi^T relu(xi g)). The second term is there because every token is also a
        key for the others (appendix A of the paper).
        """
        beta = self.beta if beta is None else beta
        queries, keys, overlaps = self._heads(*projection.up(g))
        logits, counted = self._exclude((beta * queries) @ keys.transpose(2, 3), valid)
        attention = logits.softmax(dim=3)
        if counted is not None:
            attention = attention * counted
        return self._gradient(attention, queries, keys, _activation(overlaps, valid), projection)

    def evaluate(
        self, g: Tensor, projection: Projection, beta: float | None = None, valid: Tensor | None = None
    ) -> Evaluation:
        """The gradient, both energies and the attention at once, with shared intermediate results."""
        beta = self.beta if beta is None else beta
        queries, keys, overlaps = self._heads(*projection.up(g))
        logits, counted = self._exclude(_widened((beta * queries) @ keys.transpose(2, 3)), valid)
        attention = logits.softmax(dim=3)
        # At the largest logit, attention = exp(logit - lse) is at least 1/N, so its logarithm is safe. It is also
        # cheaper than a second pass over all logits.
        lse = logits.amax(dim=3, keepdim=True) - attention.amax(dim=3, keepdim=True).log()
        if counted is not None:
            attention, lse = attention * counted, lse * counted
        activation = _activation(overlaps, valid)
        hopfield_energy = -0.5 * torch.linalg.vector_norm(_widened(activation), dim=2).square()
        return Evaluation(
            gradient=_widened(self._gradient(attention, queries, keys, activation, projection)),
            attention_energy=-lse.squeeze(3).sum(dim=1) / beta,
            hopfield_energy=hopfield_energy,
            attention=attention,
        )

    def _heads(self, queries: Tensor, keys: Tensor, overlaps: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Queries and keys (B, N, HY) -> (B, H, N, Y); overlaps with the memories (B, N, M) as they are."""
        queries, keys = (part.unflatten(2, self.query.shape[:2]).transpose(1, 2) for part in (queries, keys))
        return queries.contiguous(), keys.contiguous(), overlaps  # copied once, not in each product

    def _gradient(
        self,
        attention: Tensor,
        queries: Tensor,
        keys: Tensor,
        activation: Tensor,
        projection: Projection,
    ) -> Tensor:
        on_queries = attention @ keys  # (B, H, N, Y)
        on_keys = attention.transpose(2, 3) @ queries  # (B, H, N, Y)
        on_queries, on_keys = (pull.transpose(1, 2).flatten(2) for pull in (on_queries, on_keys))  # (B, N, HY)
        return -projection.down([on_queries, on_keys, activation])

    def _exclude(self, logits: Tensor, valid: Tensor | None) -> tuple[Tensor, Tensor | None]:
        """Set the logits of keys that a query may not see to -inf.

        Returns the logits and, unless every query counts, a factor (B or 1, 1, N, 1). The factor is 0 for a query that
        does not exist or has no key at all, else 1. The logits of such a query stay finite, since a softmax over
        nothing is NaN.
        """
        if valid is None and not self.exclude_self:
            return logits, None
        tokens = logits.shape[2]
        allowed = torch.ones(1, 1, tokens, tokens, dtype=torch.bool, device=logits.device)
        if self.exclude_self:
            allowed = ~torch.eye(tokens, dtype=torch.bool, device=logits.device)[None, None]
        if valid is not None:
            allowed = allowed & valid[:, None, None, :] & valid[:, None, :, None]
        counted = allowed.any(dim=3, keepdim=True)
        return logits.masked_fill(~allowed & counted, -torch.inf), counted.to(logits.dtype)


def _activation(overlaps: Tensor, valid: Tensor | None) -> Tensor:
    """relu(xi . g) of every memory (B, N, M), 0 for a token that does not exist."""
    return overlaps.relu() if valid is None else overlaps.relu() * valid[..., None]


def _widened(values: Tensor) -> Tensor:
    """In at least float32: bfloat16, as under autocast, is too coarse for energies and norms, sums of many terms."""
    return values.to(torch.promote_types(values.dtype, torch.float32))


def check_beta(beta: float) -> None:
    """Raise `UsageError` unless beta is above 0 and finite."""
    if not 0 < beta < math.inf:
        raise UsageError(
            f"beta must be above 0 and finite, not {beta}: it is the inverse temperature of the attention."
        )
