"""The Energy Transformer for masked images: embedding, descent, decoder (Hoover et al. 2023, section 3)."""

import torch
from torch import Tensor, nn

from etviz.models.base import CIFAR10_MEAN, CIFAR10_STD
from etviz.models.descent import EnergyDescent
from etviz.models.energy_model import EnergyModel, prepend_cls
from etviz.options import Depth, Positive, Ratio, Size, Steps

TOKEN_STD = 0.02  # of the initial CLS token, mask token and positions


class EnergyTransformer(EnergyModel):
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
        normalise_tokens: layer-norm the tokens after every step, a descent on the sphere. Not in the paper.
        decoder_eps: of the decoder's layer norm. The authors' PyTorch model has its own width there, by a slip.
        mean, std: normalisation by channel.
    """

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
        steps: Steps = 12,
        step_size: Positive = 10.0,
        beta: Positive = 0.125,
        exclude_self: bool = False,
        init_scale: float = 0.002,
        normalise_tokens: bool = False,
        decoder_eps: Positive = 1e-5,
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
            normalise_tokens=normalise_tokens,
        )
        self.embed = nn.Linear(self.patch_dim, embed_dim)
        self.mask_token = nn.Parameter(TOKEN_STD * torch.randn(embed_dim))
        self.cls_token = nn.Parameter(TOKEN_STD * torch.randn(embed_dim))
        self.positions = nn.Parameter(TOKEN_STD * torch.randn(1 + self.num_patches, embed_dim))
        self.decoder = nn.Sequential(nn.LayerNorm(embed_dim, decoder_eps), nn.Linear(embed_dim, self.patch_dim))

    def start_tokens(self, images: Tensor, mask: Tensor, num_hidden: int | None = None) -> Tensor:
        """The state before the first step: (B, 1 + N, D), CLS first, mask tokens put in before the positions."""
        embedded = self.embed(self.visible_patches(images, mask))
        patches = torch.where(mask[:, :, None], self.mask_token, embedded)
        return prepend_cls(patches, self.cls_token) + self.positions

    def encode(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """The layer-normed tokens after the descent, see `MaskedImageModel.encode`."""
        tokens = self.descent.normalized(self.descent(self.start_tokens(images, self.nothing_hidden(images))))
        return tokens[:, 0], tokens[:, 1:]
