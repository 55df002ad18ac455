"""What one step trains on. Every random choice (images, flips, crops, masks, descent) is a function of (seed, step)."""

from typing import NamedTuple

import torch
from torch import Tensor, nn

from etviz.data import CROP_PADDING, augment, to_float
from etviz.masks import mask_from_noise, num_hidden
from etviz.models import MaskedImageModel
from etviz.training.config import TrainConfig
from etviz.training.descents import draw_descent
from etviz.training.mixture import draw_share, mixed_noise
from etviz.training.state import State


class Batch(NamedTuple):
    """One process's share of a step."""

    index: Tensor  # (B,) of the training images
    flip: Tensor  # (B,) bool
    offset: Tensor  # (B, 2) of the crop
    noise: Tensor  # (B, N); the patches of the least noise are hidden
    hidden: int  # how many, the same in all images of the batch
    descent: dict  # steps and step_size, where they are not the model's own


class TrainStep(nn.Module):
    """From dataset indices to the loss, all on the device, so that it compiles as one graph."""

    def __init__(self, model: MaskedImageModel, flip: bool, crop: bool):
        super().__init__()
        self.model, self.flip, self.crop = model, flip, crop

    def forward(self, images: Tensor, batch: Batch) -> Tensor:
        """images (n, C, S, S) uint8 -> scalar loss."""
        chosen = to_float(images[batch.index])
        if self.flip or self.crop:
            chosen = augment(chosen, batch.flip, batch.offset)
        mask = mask_from_noise(batch.noise, batch.hidden)
        return self.model.loss(chosen, mask, batch.hidden, **batch.descent)


def epoch_order(train_index: Tensor, seed: int, epoch: int) -> Tensor:
    """The training images in this epoch's order."""
    generator = torch.Generator().manual_seed(mix_seed(seed, epoch))
    return train_index[torch.randperm(len(train_index), generator=generator)]


def draw_batch(order: Tensor, state: State, rank: int, world_size: int) -> Batch:
    """This process's share of a step: which images, and the random numbers that augment and mask them."""
    config, device = state.config, order.device
    start = (state.step % state.steps_per_epoch) * config.batch_size
    index = order[start + rank : start + config.batch_size : world_size]
    seed = mix_seed(config.seed, state.step * world_size + rank, salt=1)
    generator = torch.Generator(device=device).manual_seed(seed)
    count = len(index)
    flip = torch.rand(count, generator=generator, device=device) < (0.5 if config.flip else 0.0)
    offset = torch.randint(0, 2 * CROP_PADDING + 1, (count, 2), generator=generator, device=device)
    if not config.crop:
        offset = torch.full_like(offset, CROP_PADDING)
    mixed, share, *descent = _draws(config, state.step)
    patches = state.model.num_patches
    if config.masks == "mixture" and mixed < 0.5:
        noise = mixed_noise(config, patches, count, generator)
        hidden = draw_share(patches, share)
    else:
        noise = torch.rand(count, patches, generator=generator, device=device)
        hidden = num_hidden(config.ratio, patches)
    settings = draw_descent(state.model, config, state.step / state.total_steps, descent)
    return Batch(index, flip, offset, noise, hidden, settings)


def _draws(config: TrainConfig, step: int) -> list[float]:
    """Four numbers in [0, 1) that all processes share, since they decide how much work a step is."""
    generator = torch.Generator().manual_seed(mix_seed(config.seed, step, salt=2))
    return torch.rand(4, generator=generator, dtype=torch.float64).tolist()


def mix_seed(seed: int, index: int, salt: int = 0) -> int:
    """A 63-bit seed for (seed, index, salt), spread so that neighbours share no low bits (splitmix64's finaliser)."""
    mask = (1 << 64) - 1
    z = (seed * 0x9E3779B97F4A7C15 + index * 0xBF58476D1CE4E5B9 + salt * 0x94D049BB133111EB + 1) & mask
    z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & mask
    z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & mask
    return (z ^ (z >> 31)) >> 1
