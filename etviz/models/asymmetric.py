"""The asymmetric Energy Transformer: an encoder over visible patches, a smaller decoder over all positions.

The split is MAE's (He et al. 2022, section 3); both halves descend an energy of their own.
"""

from functools import partial

import torch
from torch import Tensor, nn

from etviz.errors import UsageError
from etviz.models.base import CIFAR10_MEAN, CIFAR10_STD
from etviz.models.descent import DescentSettings, EnergyDescent
from etviz.models.energy_model import EnergyModel, prepend_cls
from etviz.models.energy_transformer import TOKEN_STD
from etviz.models.trace import CLS, PADDING, TokenTrace, Trace, token_fields
from etviz.options import Depth, Positive, Ratio, Size, Steps


class AsymmetricEnergyTransformer(EnergyModel):
    """Encoder descent over CLS and visible patches; decoder descent over CLS and all patches.

    With 54 of 64 patches hidden the encoder works on 11 tokens. A step takes half as many operations as `et`'s, though
    about as long on a CPU.
    Arguments without a prefix are the encoder's and mean what they mean for `EnergyTransformer`; the decoder has its
    own, and shares depth, exclude_self, steps, step_size, init_scale and normalise_tokens. ``decoder_eps`` is that of
    the last norm, and ``decoder_beta`` is 1 / sqrt(decoder_head_dim) where None. `trace` records the decoder's descent,
    in which hidden patches form: its settings are the decoder's, and ``trace.encoder`` holds the encoder's descent,
    which is always the one it was trained for.
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
        decoder_embed_dim: Size = 128,
        decoder_num_heads: Size = 8,
        decoder_head_dim: Size = 32,
        decoder_memory_ratio: Ratio = 4.0,
        decoder_beta: Positive | None = None,
        mean: tuple[float, ...] = CIFAR10_MEAN,
        std: tuple[Positive, ...] = CIFAR10_STD,
    ):
        super().__init__(img_size, patch_size, in_chans, mean, std)
        decoder_beta = decoder_head_dim**-0.5 if decoder_beta is None else decoder_beta
        shared = dict(exclude_self=exclude_self, init_scale=init_scale, normalise_tokens=normalise_tokens)
        descent = partial(EnergyDescent, depth, steps, step_size, **shared)
        memories, decoder_memories = int(memory_ratio * embed_dim), int(decoder_memory_ratio * decoder_embed_dim)
        self.encoder = descent(
            embed_dim=embed_dim, num_heads=num_heads, head_dim=head_dim, num_memories=memories, beta=beta
        )
        self.descent = descent(
            embed_dim=decoder_embed_dim,
            num_heads=decoder_num_heads,
            head_dim=decoder_head_dim,
            num_memories=decoder_memories,
            beta=decoder_beta,
        )
        self.embed = nn.Linear(self.patch_dim, embed_dim)
        self.cls_token = nn.Parameter(TOKEN_STD * torch.randn(embed_dim))
        self.positions = nn.Parameter(TOKEN_STD * torch.randn(1 + self.num_patches, embed_dim))
        self.to_decoder = nn.Linear(embed_dim, decoder_embed_dim)
        self.mask_token = nn.Parameter(TOKEN_STD * torch.randn(decoder_embed_dim))
        self.decoder_positions = nn.Parameter(TOKEN_STD * torch.randn(1 + self.num_patches, decoder_embed_dim))
        self.decoder = nn.Sequential(
            nn.LayerNorm(decoder_embed_dim, decoder_eps), nn.Linear(decoder_embed_dim, self.patch_dim)
        )

    def encoder_tokens(
        self, images: Tensor, mask: Tensor, num_hidden: int | None = None
    ) -> tuple[Tensor, Tensor, Tensor | None]:
        """The encoder's start: tokens (B, 1 + V, D), the patch index (B, V) of each, and which exist (B, 1 + V).

        V is the largest number of visible patches in the batch; "which exist" is None where all masks hide equally
        many, so that nothing is padded.
        """
        most, exists = self._visible(mask, num_hidden)
        index = mask.byte().argsort(dim=1, stable=True)[:, :most]  # visible patches first, in order
        patches = self.visible_patches(images, mask).gather(1, index[:, :, None].expand(-1, -1, self.patch_dim))
        embedded = self.embed(patches) + self.positions[1:][index]
        return prepend_cls(embedded, self.cls_token + self.positions[0]), index, exists

    def decoder_tokens(self, encoded: Tensor, index: Tensor, mask: Tensor) -> Tensor:
        """The decoder's start, (B, 1 + N, D'): encoder tokens in their places, mask tokens in the hidden ones."""
        projected = self.to_decoder(self.encoder.normalized(encoded))  # (B, 1 + V, D')
        places = index[:, :, None].expand(-1, -1, projected.shape[2])
        patches = projected.new_zeros(mask.shape[0], self.num_patches, projected.shape[2])
        patches = patches.scatter(1, places, projected[:, 1:])
        patches = torch.where(mask[:, :, None], self.mask_token, patches)  # also over padding, which is hidden
        return torch.cat([projected[:, :1], patches], dim=1) + self.decoder_positions

    def start_tokens(
        self, images: Tensor, mask: Tensor, num_hidden: int | None = None, encoder: DescentSettings | None = None
    ) -> Tensor:
        """The decoder's state before its first step, after the encoder's whole descent: (B, 1 + N, D'), CLS first.

        ``encoder`` replaces the settings of that descent.
        """
        tokens, index, exists = self.encoder_tokens(images, mask, num_hidden)
        return self.decoder_tokens(self.encoder(tokens, encoder, valid=exists), index, mask)

    def loss(self, images: Tensor, mask: Tensor, num_hidden: int | None = None, **descent) -> Tensor:
        """See `MaskedImageModel.loss`. Here ``descent`` replaces settings of both descents."""
        self.check_inputs(images, mask)
        encoder = self.encoder.settings(**descent) if descent else None
        decoder = self.descent.settings(**descent) if descent else None
        tokens = self.start_tokens(images, mask, num_hidden, encoder)
        return self.patch_loss(self.decode(self.descent(tokens, decoder)), images, mask)

    def encode(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """The encoder's layer-normed tokens, see `MaskedImageModel.encode`."""
        start, _, _ = self.encoder_tokens(images, self.nothing_hidden(images), num_hidden=0)
        tokens = self.encoder.normalized(self.encoder(start))
        return tokens[:, 0], tokens[:, 1:]

    def traced_start(self, images: Tensor, mask: Tensor, keep_attention: bool) -> tuple[Tensor, TokenTrace]:
        """The decoder's start, and the trace of the encoder's descent that led there."""
        tokens, index, exists = self.encoder_tokens(images, mask)
        record = self.encoder.record(tokens, keep_attention=keep_attention, valid=exists)
        token_index = torch.cat([torch.full_like(index[:, :1], CLS), index], dim=1)
        if exists is not None:
            token_index = token_index.masked_fill(~exists, PADDING)
        trace = TokenTrace(**token_fields(record, self.encoder.settings(), mask, token_index))
        return self.decoder_tokens(record.tokens[:, -1], index, mask), trace

    def represented(self, trace: Trace) -> Tensor:
        """The encoder's tokens, see `EnergyModel.represented`."""
        if trace.encoder is None:
            raise UsageError("This trace holds no encoder's descent: it is of another model.")
        return self.encoder.normalized(trace.encoder.tokens)

    def _visible(self, mask: Tensor, num_hidden: int | None) -> tuple[int, Tensor | None]:
        """Most visible patches of any image, and which of 1 + that many tokens exist (None if all do)."""
        if num_hidden is not None:
            return self.num_patches - num_hidden, None
        counts = (~mask).sum(dim=1)  # (B,)
        most = int(counts.max())
        if int(counts.min()) == most:
            return most, None
        return most, torch.arange(1 + most, device=mask.device) < 1 + counts[:, None]
