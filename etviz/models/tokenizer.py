"""The discrete tokenizer whose codes BEiT predicts: a small convolutional autoencoder around FSQ."""

import itertools
import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from etviz.errors import UsageError
from etviz.models.base import CIFAR10_MEAN, CIFAR10_STD, MaskedImageModel
from etviz.options import Depth, Positive, Size
from etviz.patches import patchify

MAX_CODES = 65_536  # BEiT predicts a probability for each


class Tokenizer(MaskedImageModel):
    """An autoencoder with one code of a finite set for each patch: 32 x 32 pixels become 8 x 8 codes of 512.

    It is no masked image model: it sees hidden patches too, and takes masks only to share the training loop and the
    evaluation. There its masked MSE is what BEiT would reach by decoding every hidden code right. The codes are those
    of finite scalar quantization (Mentzer et al. 2024, arXiv 2309.15505), which keeps every code in use without a
    codebook to learn. The loss is the mean squared error over all pixels, in normalised units.

    Raises `UsageError` for sizes that do not fit.

    Args:
        img_size, patch_size, in_chans: the image and the pixels under a code, a power of two each way.
        width: channels after the last halving of the image; half as many before it.
        depth: residual blocks of the encoder, and of the decoder.
        levels: values that each number of a code takes; their product is the number of codes.
        mean, std: normalisation by channel.
    """

    sees_hidden_patches = True

    def __init__(
        self,
        *,
        img_size: Size = 32,
        patch_size: Size = 4,
        in_chans: Size = 3,
        width: Size = 64,
        depth: Depth = 2,
        levels: tuple[int, ...] = (8, 8, 8),
        mean: tuple[float, ...] = CIFAR10_MEAN,
        std: tuple[Positive, ...] = CIFAR10_STD,
    ):
        super().__init__(img_size, patch_size, in_chans, mean, std)
        self._check_sizes(width, levels)
        from vector_quantize_pytorch import FSQ  # half a second, so not before one is made

        halvings = patch_size.bit_length() - 1
        channels = [in_chans] + [width // 2] * (halvings - 1) + [width]
        down = [_halving(*pair) for pair in itertools.pairwise(channels)]
        up = [_doubling(*pair) for pair in itertools.pairwise(channels[::-1])]
        self.quantizer = FSQ(list(levels))
        self.encoder = nn.Sequential(*down, *_blocks(width, depth), nn.Conv2d(width, len(levels), 1))
        self.decoder = nn.Sequential(nn.Conv2d(len(levels), width, 1), *_blocks(width, depth), *up)

    def _check_sizes(self, width: int, levels: Sequence[int]) -> None:
        if width < 2:
            raise UsageError(f"width must be at least 2, not {width}: half of it comes before the last halving.")
        if self.patch_size < 2 or self.patch_size & (self.patch_size - 1):
            raise UsageError(f"The tokenizer halves the image: patch_size must be 2, 4, 8 ..., not {self.patch_size}.")
        if not levels or min(levels) < 3:
            raise UsageError(f"levels must be whole numbers of 3 or more, not {list(levels)}.")
        if math.prod(levels) > MAX_CODES:
            raise UsageError(f"levels of {list(levels)} make {math.prod(levels):,} codes: {MAX_CODES:,} is the most.")

    @property
    def num_codes(self) -> int:
        """Size of the finite set."""
        return int(self.quantizer.codebook_size)

    @property
    def codebook(self) -> Tensor:
        """What each code stands for, (num_codes, number of levels), in [-1, 1]."""
        codebook = self.quantizer.implicit_codebook
        assert isinstance(codebook, Tensor)
        return codebook

    @torch.no_grad()
    def codes(self, images: Tensor) -> Tensor:
        """The code of each patch: images (B, C, H, W) in [0, 1] -> (B, N) int64, 0 to num_codes - 1."""
        _, index = self.quantizer(self.encoder((images - self.mean) / self.std))
        return index.flatten(1).long()

    def decode(self, values: Tensor) -> Tensor:
        """Codes' values (B, N, number of levels), or mixtures of them -> images (B, C, H, W) in [0, 1], unclipped."""
        side = self.img_size // self.patch_size
        pixels = self.decoder(values.transpose(1, 2).unflatten(2, (side, side)))
        return pixels.to(self.mean.dtype) * self.std + self.mean

    def predict_patches(self, images: Tensor, mask: Tensor, num_hidden: int | None = None) -> Tensor:
        """The autoencoded image, whatever the mask: (B, N, patch_dim) in normalised units."""
        quantized, _ = self.quantizer(self.encoder((images - self.mean) / self.std))
        return patchify(self.decoder(quantized), self.patch_size)

    def loss(self, images: Tensor, mask: Tensor, num_hidden: int | None = None) -> Tensor:
        """Mean squared error over all patches, in normalised units, a scalar; the mask does not matter."""
        self.check_inputs(images, mask)
        predicted = self.predict_patches(images, mask).to(self.mean.dtype)
        return self.pixel_error(predicted - self.to_patches(images)).mean()

    def encode(self, images: Tensor) -> tuple[None, Tensor]:
        """No CLS; the values of the codes, see `MaskedImageModel.encode`."""
        return None, self.codebook[self.codes(images)]


class Residual(nn.Module):
    """x + two 3 x 3 convolutions of it."""

    def __init__(self, width: int):
        super().__init__()
        self.first, self.second = (nn.Conv2d(width, width, 3, padding=1) for _ in range(2))
        self.norm = nn.GroupNorm(math.gcd(8, width), width)

    def forward(self, x: Tensor) -> Tensor:
        """(B, width, H, W) -> the same."""
        return x + self.second(F.gelu(self.first(F.gelu(self.norm(x)))))


def _blocks(width: int, depth: int) -> list[nn.Module]:
    return [Residual(width) for _ in range(depth)]


def _halving(channels: int, out: int) -> nn.Module:
    return nn.Sequential(nn.Conv2d(channels, out, 4, stride=2, padding=1), nn.GELU())


def _doubling(channels: int, out: int) -> nn.Module:
    return nn.Sequential(nn.GELU(), nn.ConvTranspose2d(channels, out, 4, stride=2, padding=1))
