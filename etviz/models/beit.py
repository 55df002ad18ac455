"""BEiT (Bao et al. 2022, arXiv 2106.08254): transformers' BeitForMaskedImageModeling, over a `Tokenizer`'s codes."""

import copy
import math
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from etviz.errors import UsageError
from etviz.models.base import (
    CIFAR10_MEAN,
    CIFAR10_STD,
    MaskedImageModel,
    check_at_least_one,
    check_heads,
    mean_by_image,
)
from etviz.models.tokenizer import Tokenizer
from etviz.options import Depth, Positive, Ratio, Share, Size, constructor_options

DECODINGS = ("expected", "best")
INIT_STD = 0.02


class BEiT(MaskedImageModel):
    """A ViT over all patches, hidden ones as mask tokens, that predicts the discrete code of each hidden patch.

    On purpose:
        - The loss is the cross-entropy of the hidden patches' codes. Pixels come from the tokenizer's decoder. With
          "expected" it decodes the mean of all codes' values under the predicted probabilities: with most of the image
          hidden no single code is likely, and the mean minimises the expected squared error of the values. With
          "best" it decodes the likeliest code of each patch.
        - Mask token and learned absolute positions are on. The library leaves both off, and the model would then know
          neither what is hidden nor where it is.
        - drop_path 0.1, as in the paper; none in the small presets, whose runs are too short to overfit.
        - Random masks, as for every model here; the paper's are blocks, about 40% in all.

    The tokenizer is trained first and never changes here; its weights are part of this model's.

    Args:
        img_size, patch_size, in_chans: the image and its patches, in pixels.
        embed_dim, depth, num_heads, mlp_ratio: width, layers, heads, and hidden width per embed_dim.
        drop_path: share of residual branches left out in training, rising linearly to it from the first layer.
        decoding: "expected" or "best".
        tokenizer: a trained `Tokenizer`, which is copied. A configuration (a dict) or None builds a tokenizer whose
            weights are loaded later: this is for restoring a model, not for training one.
        mean, std: normalisation by channel.

    Raises:
        UsageError: sizes that do not fit, or a tokenizer of other sizes.
    """

    trained_parts = ("tokenizer",)

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
        drop_path: Share = 0.1,
        decoding: str = "expected",
        tokenizer: Tokenizer | dict | None = None,
        mean: tuple[float, ...] = CIFAR10_MEAN,
        std: tuple[Positive, ...] = CIFAR10_STD,
    ):
        super().__init__(img_size, patch_size, in_chans, mean, std)
        check_heads(embed_dim, num_heads)
        check_at_least_one(mlp_width=mlp_ratio * embed_dim)
        if decoding not in DECODINGS:
            raise UsageError(f"There is no decoding {decoding!r}: choose one of {', '.join(DECODINGS)}.")
        from transformers import BeitConfig, BeitForMaskedImageModeling  # seconds, so not before one is made

        self.decoding = decoding
        self.tokenizer = self._own_tokenizer(tokenizer).requires_grad_(False)
        self.beit = BeitForMaskedImageModeling(
            BeitConfig(
                image_size=img_size,
                patch_size=patch_size,
                num_channels=in_chans,
                hidden_size=embed_dim,
                num_hidden_layers=depth,
                num_attention_heads=num_heads,
                intermediate_size=int(mlp_ratio * embed_dim),
                drop_path_rate=drop_path,
                vocab_size=self.tokenizer.num_codes,
                use_mask_token=True,
                use_absolute_position_embeddings=True,
            )
        )
        self._initialise()

    @torch.no_grad()
    def _initialise(self) -> None:
        """The official code's start: all normal with std 0.02, cut off at one std, and deep layers' outputs smaller."""
        embeddings = self.beit.beit.embeddings
        tables = [table for name, table in embeddings.named_parameters(recurse=False)]
        for weight in (*tables, *(m.weight for m in self.beit.modules() if isinstance(m, nn.Linear | nn.Conv2d))):
            nn.init.trunc_normal_(weight, std=INIT_STD, a=-INIT_STD, b=INIT_STD)
        for number, layer in enumerate(self.beit.beit.layers, start=1):
            for name, weight in layer.named_parameters():
                if name.endswith(("o_proj.weight", "fc2.weight")):
                    weight.div_(math.sqrt(2 * number))

    def _own_tokenizer(self, tokenizer: Tokenizer | dict | None) -> Tokenizer:
        sizes: dict[str, Any] = dict(img_size=self.img_size, patch_size=self.patch_size, in_chans=self.in_chans)
        if tokenizer is None:
            mean, std = (tuple(values.flatten().tolist()) for values in (self.mean, self.std))
            tokenizer = Tokenizer(**sizes, mean=mean, std=std)
        if isinstance(tokenizer, dict):
            try:
                options = constructor_options(Tokenizer, tokenizer, "A tokenizer")
                tokenizer = Tokenizer(**options)
            except UsageError as error:
                raise UsageError(f"The tokenizer's configuration is no tokenizer's: {error}") from error
            tokenizer.name, tokenizer.config = "tokenizer", options  # as `create_model` does, so that it can be lent
        if not isinstance(tokenizer, Tokenizer):
            kind = type(tokenizer).__name__
            raise UsageError(f"BEiT needs a trained tokenizer, as etviz.load_model gives, not a {kind}.")
        for name, size in sizes.items():
            if getattr(tokenizer, name) != size:
                raise UsageError(f"The tokenizer's {name} is {getattr(tokenizer, name)}, not {size}.")
        return copy.deepcopy(tokenizer)

    def code_logits(self, images: Tensor, mask: Tensor) -> Tensor:
        """Every patch's code predicted: (B, N, num_codes)."""
        return self.beit(self.visible_images(images, mask), bool_masked_pos=mask).logits

    def loss(self, images: Tensor, mask: Tensor, num_hidden: int | None = None) -> Tensor:
        """Mean cross-entropy of the hidden patches' codes, in nats, a scalar."""
        self.check_inputs(images, mask)
        surprise = F.cross_entropy(
            self.code_logits(images, mask).transpose(1, 2).float(), self.tokenizer.codes(images), reduction="none"
        )
        return mean_by_image(surprise, mask)

    def predict_patches(self, images: Tensor, mask: Tensor, num_hidden: int | None = None) -> Tensor:
        """See `MaskedImageModel.predict_patches`; with decoding "best" no gradient comes through."""
        logits = self.code_logits(images, mask)
        if self.decoding == "best":
            values = self.tokenizer.codebook[logits.argmax(dim=2)]
        else:
            values = logits.softmax(dim=2) @ self.tokenizer.codebook
        return self.to_patches(self.tokenizer.decode(values))

    def ceiling(self) -> Tokenizer:
        """The tokenizer: what would come out if every code were predicted right."""
        return self.tokenizer

    def encode(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """The layer-normed tokens, see `MaskedImageModel.encode`."""
        pixels = self.visible_images(images, self.nothing_hidden(images))
        tokens = self.beit.layernorm(self.beit.beit(pixels).last_hidden_state)
        return tokens[:, 0], tokens[:, 1:]
