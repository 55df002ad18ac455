"""SimMIM with a Swin Transformer (Xie et al. 2022, arXiv 2111.09886): transformers' SwinForMaskedImageModeling."""

from collections.abc import Sequence

from torch import Tensor, nn

from etviz.errors import UsageError
from etviz.models.base import CIFAR10_MEAN, CIFAR10_STD, MaskedImageModel, check_heads
from etviz.options import Positive, Ratio, Share, Size
from etviz.patches import patchify


class SimMIM(MaskedImageModel):
    """A Swin Transformer over all patches, hidden ones as mask tokens; one linear layer back to pixels.

    On purpose:
        - The loss is the mean absolute error over hidden patches in normalised units, as in the paper.
        - Two stages of windows of 4 x 4 patches: four stages do not fit a grid of 8 x 8. Stage 2 merges 2 x 2 patches,
          so that its window is the whole image.
        - No drop path by default, as in the paper's pre-training.
        - Learned absolute positions, which the paper's Swin lacks. Relative positions cannot tell where in the image a
          window lies, and with few visible patches that is much of what can be known.

    Raises `UsageError` for sizes that do not fit.

    Args:
        img_size, patch_size, in_chans: the image and its patches, in pixels.
        embed_dim: width of the first stage; each further one doubles it.
        depths, num_heads: layers and heads of each stage.
        window_size: side of an attention window, in tokens.
        mlp_ratio: hidden width per width.
        drop_path: share of attention branches left out in training, rising linearly to it from the first layer. The
            library keeps every MLP's branch; the paper's Swin leaves out those too.
        mean, std: normalisation by channel.
    """

    def __init__(
        self,
        *,
        img_size: Size = 32,
        patch_size: Size = 4,
        in_chans: Size = 3,
        embed_dim: Size = 96,
        depths: tuple[Size, ...] = (2, 4),
        num_heads: tuple[Size, ...] = (3, 6),
        window_size: Size = 4,
        mlp_ratio: Ratio = 4.0,
        drop_path: Share = 0.0,
        mean: tuple[float, ...] = CIFAR10_MEAN,
        std: tuple[Positive, ...] = CIFAR10_STD,
    ):
        super().__init__(img_size, patch_size, in_chans, mean, std)
        self._check_stages(depths, num_heads, embed_dim, window_size)
        from transformers import SwinConfig, SwinForMaskedImageModeling  # seconds, so not before one is made

        self.swin = SwinForMaskedImageModeling(
            SwinConfig(
                image_size=img_size,
                patch_size=patch_size,
                num_channels=in_chans,
                embed_dim=embed_dim,
                depths=list(depths),
                num_heads=list(num_heads),
                window_size=window_size,
                mlp_ratio=mlp_ratio,
                drop_path_rate=drop_path,
                use_absolute_embeddings=True,
                encoder_stride=patch_size * 2 ** (len(depths) - 1),
            )
        )
        self._initialise()

    def _initialise(self) -> None:
        """As the official code starts, unlike the library: convolutions by PyTorch's rule, and no table at zero."""
        for name, table in self.swin.named_parameters():
            if name.endswith(("relative_position_bias_table", "position_embeddings", "mask_token")):
                nn.init.normal_(table, std=0.02)
        for module in self.swin.modules():
            if isinstance(module, nn.Conv2d):
                module.reset_parameters()

    def _check_stages(self, depths: Sequence[int], num_heads: Sequence[int], embed_dim: int, window_size: int) -> None:
        if len(depths) != len(num_heads) or not depths:
            raise UsageError(f"depths and num_heads need a number for each stage, not {depths} and {num_heads}.")
        for stage, heads in enumerate(num_heads):
            check_heads(embed_dim * 2**stage, heads)
        side, window = self.img_size // self.patch_size, window_size
        last = side / 2 ** (len(depths) - 1)
        if last < window or last % window:
            raise UsageError(
                f"{len(depths)} stages of windows of {window} do not fit {side} x {side} patches: "
                "choose fewer depths or a smaller window_size."
            )

    def predict_patches(self, images: Tensor, mask: Tensor, num_hidden: int | None = None) -> Tensor:
        """See `MaskedImageModel.predict_patches`."""
        out = self.swin(self.visible_images(images, mask), bool_masked_pos=mask)
        return patchify(out.reconstruction, self.patch_size)

    def pixel_error(self, difference: Tensor) -> Tensor:
        """The absolute error."""
        return difference.abs()

    def encode(self, images: Tensor) -> tuple[None, Tensor]:
        """No CLS; the last stage's tokens, a quarter as many for each stage after the first."""
        pixels = self.visible_images(images, self.nothing_hidden(images))
        return None, self.swin.swin(pixels).last_hidden_state
