"""What one step trains on. Every random choice (images, flips, crops, masks) is a function of (seed, step)."""

import torch
from torch import Tensor, nn

from etviz.data import CROP_PADDING, augment, to_float
from etviz.masks import mask_from_noise
from etviz.models import MaskedImageModel
from etviz.training.state import State


class TrainStep(nn.Module):
    """From dataset indices to the loss, all on the device, so that it compiles as one graph."""

    def __init__(self, model: MaskedImageModel, hidden: int, flip: bool, crop: bool):
        super().__init__()
        self.model, self.hidden, self.flip, self.crop = model, hidden, flip, crop

    def forward(self, images: Tensor, index: Tensor, flip: Tensor, offset: Tensor, noise: Tensor) -> Tensor:
        """images (n, C, S, S) uint8; index (B,); flip (B,) bool; offset (B, 2); noise (B, N) -> scalar loss."""
        batch = to_float(images[index])
        if self.flip or self.crop:
            batch = augment(batch, flip, offset)
        return self.model.loss(batch, mask_from_noise(noise, self.hidden), self.hidden)


def epoch_order(train_index: Tensor, seed: int, epoch: int) -> Tensor:
    """The training images in this epoch's order."""
    generator = torch.Generator().manual_seed(mix_seed(seed, epoch))
    return train_index[torch.randperm(len(train_index), generator=generator)]


def draw_batch(order: Tensor, state: State, rank: int, world_size: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """This process's share of a step: which images, and the random numbers that augment and mask them."""
    config, device = state.config, order.device
    start = (state.step % state.steps_per_epoch) * config.batch_size
    index = order[start + rank : start + config.batch_size : world_size]
    generator = torch.Generator(device=device).manual_seed(
        mix_seed(config.seed, state.step * world_size + rank, salt=1)
    )
    count = len(index)
    flip = torch.rand(count, generator=generator, device=device) < (0.5 if config.flip else 0.0)
    offset = torch.randint(0, 2 * CROP_PADDING + 1, (count, 2), generator=generator, device=device)
    if not config.crop:
        offset = torch.full_like(offset, CROP_PADDING)
    noise = torch.rand(count, state.model.num_patches, generator=generator, device=device)
    return index, flip, offset, noise


def mix_seed(seed: int, index: int, salt: int = 0) -> int:
    """A 63-bit seed for (seed, index, salt), spread so that neighbours share no low bits (splitmix64's finaliser)."""
    mask = (1 << 64) - 1
    z = (seed * 0x9E3779B97F4A7C15 + index * 0xBF58476D1CE4E5B9 + salt * 0x94D049BB133111EB + 1) & mask
    z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & mask
    z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & mask
    return (z ^ (z >> 31)) >> 1
