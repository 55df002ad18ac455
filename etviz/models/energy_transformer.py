"""The Energy Transformer for masked images: embedding, descent, decoder (Hoover et al. 2023, section 3)."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from etviz.errors import UsageError
from etviz.models.base import CIFAR10_MEAN, CIFAR10_STD, MaskedImageModel
from etviz.models.descent import EnergyDescent, Record
from etviz.options import Depth, Positive, Ratio, Size, Whole

TOKEN_STD = 0.02  # of the initial CLS token, mask token and positions
CLS = -1  # what Trace.patch_index says of the CLS token
PADDING = -2  # and of a token that does not exist


@dataclass(kw_only=True)
class Trace:
    """One descent of T steps for B images; index 0 on the step axis is the state before the first step.

    N counts tokens, CLS first. With several blocks the steps follow one another, and each state is evaluated by the
    energy about to be descended (the last one by the last): compare energies within a block. T is depth * steps, or
    less where a tolerance ended a block early.
    """

    frames: Tensor | None  # (B, T+1, C, H, W)  the decoded state, in [0, 1]; None for an encoder, which has no decoder
    energy: Tensor  # (B, T+1)  attention_energy.sum(-1) + hopfield_energy.sum(-1)
    attention_energy: Tensor  # (B, T+1, N)  by query token
    hopfield_energy: Tensor  # (B, T+1, N)  by token
    attention: Tensor | None  # (B, T+1, H, N, N)  softmax over keys (last axis); None with keep_attention=False
    tokens: Tensor  # (B, T+1, N, D)  the state x
    gradient_norm: Tensor  # (B, T+1)  ||dE/dg||
    step_sizes: Tensor  # (B, T)  the step taken: what was asked for, or less by backtracking, down to 0
    settled: Tensor  # (B,)  first step (of the last block) that changed the energy by no more than tolerance, or -1
    block: Tensor  # (T+1,)  which block's energy a state is evaluated by
    beta: float  # inverse temperature that the energies were evaluated with
    mask: Tensor  # (B, num_patches) bool, True = hidden
    patch_index: Tensor  # (B, N)  which patch a token is; -1 = CLS, -2 = padding
    encoder: "Trace | None" = None  # et_asym: the encoder's descent over CLS and the visible patches

    def __len__(self) -> int:
        """Number of states, T + 1."""
        return self.energy.shape[1]

    def rises(self) -> Tensor:
        """(B, T) bool: the steps that raised the energy (within one block's energy), or lost it to NaN."""
        same_energy = (self.block[1:] == self.block[:-1]).to(self.energy.device)
        return ~(self.energy[:, 1:] <= self.energy[:, :-1]) & same_energy


class EnergyTransformer(MaskedImageModel):
    """All patches and a CLS token descend one energy; hidden patches start as a learned mask token.

    The defaults are the reference recipe's. Raises `UsageError` for sizes that do not fit.

    Args:
        img_size, patch_size, in_chans: the image and its patches, in pixels.
        embed_dim: width D of a token.
        num_heads, head_dim: attention heads H and their width Y.
        memory_ratio: Hopfield memories per embed_dim (M = memory_ratio * embed_dim).
        depth: number of energy functions, descended one after the other.
        steps: descent steps per energy function.
        step_size: alpha in x <- x - alpha * dE/dg.
        beta: inverse temperature of the attention.
        exclude_self: leave a query's own key out.
        init_scale: standard deviation of the initial energy weights.
        mean, std: normalisation by channel.
    """

    has_energy = True

    def __init__(
        self,
        *,
        img_size: Size = 32,
        patch_size: Size = 4,
        in_chans: Size = 3,
        embed_dim: Size = 256,
        num_heads: Size = 12,
        head_dim: Size = 64,
        memory_ratio: Ratio = 4.0,
        depth: Depth = 1,
        steps: Whole = 12,
        step_size: Positive = 10.0,
        beta: Positive = 0.125,
        exclude_self: bool = False,
        init_scale: float = 0.002,
        mean: tuple[float, ...] = CIFAR10_MEAN,
        std: tuple[Positive, ...] = CIFAR10_STD,
    ):
        super().__init__(img_size, patch_size, in_chans, mean, std)
        self.descent = EnergyDescent(
            depth,
            steps,
            step_size,
            embed_dim=embed_dim,
            num_heads=num_heads,
            head_dim=head_dim,
            num_memories=int(memory_ratio * embed_dim),
            beta=beta,
            exclude_self=exclude_self,
            init_scale=init_scale,
        )
        self.embed = nn.Linear(self.patch_dim, embed_dim)
        self.mask_token = nn.Parameter(TOKEN_STD * torch.randn(embed_dim))
        self.cls_token = nn.Parameter(TOKEN_STD * torch.randn(embed_dim))
        self.positions = nn.Parameter(TOKEN_STD * torch.randn(1 + self.num_patches, embed_dim))
        self.decoder = nn.Sequential(nn.LayerNorm(embed_dim), nn.Linear(embed_dim, self.patch_dim))

    def start_tokens(self, images: Tensor, mask: Tensor) -> Tensor:
        """The state before the first step: (B, 1 + N, D), CLS first, mask tokens put in before the positions."""
        embedded = self.embed(self.visible_patches(images, mask))
        patches = torch.where(mask[:, :, None], self.mask_token, embedded)
        return prepend_cls(patches, self.cls_token) + self.positions

    def predict_patches(
        self,
        images: Tensor,
        mask: Tensor,
        num_hidden: int | None = None,
        steps: int | None = None,
        step_size: float | None = None,
        beta: float | None = None,
    ) -> Tensor:
        """See `MaskedImageModel.predict_patches`; steps, step_size and beta replace the model's own."""
        return self.decode(self.descent(self.start_tokens(images, mask), steps, step_size, beta))

    def decode(self, tokens: Tensor) -> Tensor:
        """Tokens, CLS first, to patches in normalised units: (..., 1 + N, D) -> (..., N, patch_dim)."""
        return self.decoder(tokens[..., 1:, :])

    def encode(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """The layer-normed tokens after the descent, see `MaskedImageModel.encode`."""
        tokens = self.descent.normalized(self.descent(self.start_tokens(images, self.nothing_hidden(images))))
        return tokens[:, 0], tokens[:, 1:]

    @torch.no_grad()
    def trace(
        self,
        images: Tensor,
        mask: Tensor,
        steps: int | None = None,
        step_size: float | None = None,
        beta: float | None = None,
        rule: str = "fixed",
        tolerance: float | None = None,
        keep_attention: bool = True,
        start: Tensor | None = None,
    ) -> Trace:
        """Reconstruct, keeping every state on the way.

        Args:
            images: (B, C, H, W) float in [0, 1].
            mask: (B, N) bool, True = hidden.
            steps, step_size, beta: the model's own where None. Another beta is another energy function.
            rule: "fixed" takes every step as asked; "backtracking" halves a step until the energy does not rise.
            tolerance: stop once a step changed the energy of every image by at most this share of it; ``steps`` is
                then the limit. None: always take all steps.
            keep_attention: keep the attention maps (2.6 MB an image at the default sizes).
            start: (B, 1 + N, D) tokens to descend from; `start_tokens` where None.

        Raises:
            UsageError: images, mask or a setting of the wrong shape or range.
        """
        self.check_inputs(images, mask)
        tokens = self.start_tokens(images, mask)
        start = tokens if start is None else check_start(start, tokens)
        record = self.descent.record(start, steps, step_size, beta, rule, tolerance, keep_attention)
        index = torch.arange(-1, self.num_patches, device=mask.device).expand(images.shape[0], -1)
        frames = self.to_images(self.decode(record.tokens))
        return make_trace(record, mask, index, frames=frames, beta=self.descent.beta(beta))


def make_trace(record: Record, mask: Tensor, patch_index: Tensor, **fields) -> Trace:
    """A `Trace` from the tokens' record; energy is the sum of its parts by construction."""
    energy = record.attention_energy.sum(-1) + record.hopfield_energy.sum(-1)
    return Trace(energy=energy, mask=mask, patch_index=patch_index, **vars(record), **fields)


def check_start(start: Tensor, tokens: Tensor) -> Tensor:
    """``start`` itself. Raises `UsageError` unless it is of the shape of the model's own start ``tokens``."""
    if start.shape != tokens.shape:
        raise UsageError(f"start must be of shape {tuple(tokens.shape)}, not {tuple(start.shape)}.")
    return start


def prepend_cls(tokens: Tensor, cls_token: Tensor) -> Tensor:
    """(B, N, D) and (D,) -> (B, 1 + N, D)."""
    return torch.cat([cls_token.expand(tokens.shape[0], 1, -1), tokens], dim=1)
