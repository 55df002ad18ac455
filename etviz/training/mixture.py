"""A mixture of masks: any share of the image, as random patches, blocks, painted strokes or a side of it.

A shape is an order in which the patches of an image are hidden, written as noise: the first of that order have the
least. So any shape hides exactly as many patches as asked, and all images of a batch hide equally many, which the
models that leave hidden patches out need to stay as fast as they are, with no padding. The number is drawn anew for
each batch.
"""

from functools import lru_cache

import torch
from torch import Tensor

from etviz.masks import block_noise, side_noise, stroke_noise
from etviz.training.config import TrainConfig

LOW, HIGH = 0.03, 0.97  # shares hidden
POOL = 2**18  # numbers in the pool of strokes: 4,096 paintings of 64 patches


def draw_share(num_patches: int, draw: float) -> int:
    """How many patches a batch of the mixture hides, from a number in [0, 1).

    The share goes with its square: small shares, at which filling in without learning is hard to beat, come more often.
    """
    share = LOW + (HIGH - LOW) * draw**2
    return min(max(1, round(num_patches * share)), num_patches - 1)


def mixed_noise(config: TrainConfig, num_patches: int, count: int, generator: torch.Generator) -> Tensor:
    """An order for each image, of a shape of its own: (count, N) float."""
    device = generator.device
    drawn = {
        "random": torch.rand(count, num_patches, generator=generator, device=device),
        "block": block_noise(count, num_patches, generator),
        "strokes": _painted(config.seed, num_patches, count, generator),
        "half": side_noise(count, num_patches, generator),
    }
    weights = torch.tensor([weight for _, weight in config.mask_shapes], device=device)
    chosen = torch.multinomial(weights, count, replacement=True, generator=generator)
    noise = torch.stack([drawn[shape] for shape, _ in config.mask_shapes])  # (shapes, count, N)
    return noise[chosen, torch.arange(count, device=device)]


def _painted(seed: int, num_patches: int, count: int, generator: torch.Generator) -> Tensor:
    """Orders from a pool of paintings, which take too long to paint for each step."""
    pool = _stroke_pool(seed, num_patches, generator.device)
    return pool[torch.randint(len(pool), (count,), generator=generator, device=generator.device)]


@lru_cache(maxsize=2)
def _stroke_pool(seed: int, num_patches: int, device: torch.device) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return stroke_noise(max(64, POOL // num_patches), num_patches, generator).to(device)
