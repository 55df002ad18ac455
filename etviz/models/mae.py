"""The masked autoencoder (He et al. 2022, arXiv 2111.06377): transformers' ViTMAEForPreTraining at CIFAR's size."""

import torch
from torch import Tensor, nn

from etviz.models.base import (
    CIFAR10_MEAN,
    CIFAR10_STD,
    MaskedImageModel,
    by_hidden_count,
    check_at_least_one,
    check_heads,
)
from etviz.models.initialise import xavier_
from etviz.models.positions import sincos_positions
from etviz.options import Depth, Positive, Ratio, Size

# Xavier's bound for one matrix of queries, keys and values (4 D), as official, over the bound for one alone (2 D).
FUSED = 0.5**0.5


class MAE(MaskedImageModel):
    """A ViT over CLS and the visible patches; a lighter one over all, with mask tokens in the hidden places.

    On purpose:
        - The loss is the mean squared error over hidden patches in normalised units, without the paper's normalisation
          by patch (``norm_pix_loss``): its target has lost the patch's mean and contrast, and no pixels come out.
        - No drop path and no dropout, as in the paper's pre-training.
        - 12 + 4 layers of width 192, ViT-Tiny's; the paper's decoder has 8 layers, for 16 times as many pixels a patch.

    Raises `UsageError` for sizes that do not fit.

    Args:
        img_size, patch_size, in_chans: the image and its patches, in pixels.
        embed_dim, depth, num_heads, mlp_ratio: the encoder's width, layers, heads, and hidden width per embed_dim.
        decoder_embed_dim, decoder_depth, decoder_num_heads: the same of the decoder.
        mean, std: normalisation by channel.
    """

    def __init__(
        self,
        *,
        img_size: Size = 32,
        patch_size: Size = 4,
        in_chans: Size = 3,
        embed_dim: Size = 192,
        depth: Depth = 12,
        num_heads: Size = 3,
        mlp_ratio: Ratio = 4.0,
        decoder_embed_dim: Size = 192,
        decoder_depth: Depth = 4,
        decoder_num_heads: Size = 3,
        mean: tuple[float, ...] = CIFAR10_MEAN,
        std: tuple[Positive, ...] = CIFAR10_STD,
    ):
        super().__init__(img_size, patch_size, in_chans, mean, std)
        check_heads(embed_dim, num_heads)
        check_heads(decoder_embed_dim, decoder_num_heads)
        check_at_least_one(mlp_width=mlp_ratio * embed_dim, decoder_mlp_width=mlp_ratio * decoder_embed_dim)
        from transformers import ViTMAEConfig, ViTMAEForPreTraining  # seconds, so not before one is made

        self.mae = ViTMAEForPreTraining(
            ViTMAEConfig(
                image_size=img_size,
                patch_size=patch_size,
                num_channels=in_chans,
                hidden_size=embed_dim,
                num_hidden_layers=depth,
                num_attention_heads=num_heads,
                intermediate_size=int(mlp_ratio * embed_dim),
                decoder_hidden_size=decoder_embed_dim,
                decoder_num_hidden_layers=decoder_depth,
                decoder_num_attention_heads=decoder_num_heads,
                decoder_intermediate_size=int(mlp_ratio * decoder_embed_dim),
                norm_pix_loss=False,
            )
        )
        self._initialise()

    @torch.no_grad()
    def _initialise(self) -> None:
        """The official code's start; the library's leaves matrices small, and positions and tokens zero (5.23 does)."""
        xavier_(self)
        for name, weight in self.mae.named_parameters():
            if name.endswith(("q_proj.weight", "k_proj.weight", "v_proj.weight")):
                weight.mul_(FUSED)
        for positions in (self.mae.vit.embeddings.position_embeddings, self.mae.decoder.decoder_pos_embed):
            positions.copy_(sincos_positions(self.num_patches, positions.shape[-1], cls_token=True))
        for token in (self.mae.vit.embeddings.cls_token, self.mae.decoder.mask_token):
            nn.init.normal_(token, std=0.02)

    def predict_patches(self, images: Tensor, mask: Tensor, num_hidden: int | None = None) -> Tensor:
        """See `MaskedImageModel.predict_patches`."""
        if num_hidden is None:
            return by_hidden_count(self.predict_patches, images, mask)
        encoded, restore = self.encoder_tokens(images, mask, num_hidden)
        return self.mae.decoder(encoded, restore).logits

    def encoder_tokens(self, images: Tensor, mask: Tensor, num_hidden: int) -> tuple[Tensor, Tensor]:
        """CLS and visible tokens (B, 1 + N - num_hidden, D), in the patches' order, and the order (B, N) to restore.

        The library hides the patches of the largest noise, as many as ``mask_ratio`` says; the noise here puts the
        visible patches first, each group in its own order. Half a patch off the ratio keeps rounding from taking one
        more.
        """
        order = torch.arange(self.num_patches, device=mask.device)
        self.mae.config.mask_ratio = (num_hidden - 0.5) / self.num_patches
        out = self.mae.vit(self.visible_images(images, mask), noise=mask * self.num_patches + order)
        return out.last_hidden_state, out.ids_restore

    def encode(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """The encoder's layer-normed tokens, see `MaskedImageModel.encode`."""
        tokens, _ = self.encoder_tokens(images, self.nothing_hidden(images), num_hidden=0)
        return tokens[:, 0], tokens[:, 1:]
