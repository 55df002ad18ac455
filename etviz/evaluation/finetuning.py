"""Fine-tuning a whole model to tell classes apart: how good its weights are as a start."""

import copy
from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from etviz.data import CROP_PADDING, augment, to_float
from etviz.errors import UsageError
from etviz.models import MaskedImageModel
from etviz.options import Count, Positive, check_option

WEIGHT_DECAY = 0.05
WARM_UP = 0.1  # share of the steps in which the learning rate rises


def finetune_accuracy(
    model: MaskedImageModel,
    train_images: Tensor,
    train_labels: Tensor,
    test_images: Tensor,
    test_labels: Tensor,
    *,
    steps: int = 200,
    batch_size: int = 64,
    lr: float = 1e-3,
    pool: str = "mean",
    seed: int = 0,
    progress: Callable[[int, int], None] | None = None,
) -> float:
    """Share of test images that are labelled correctly after all weights were trained on the labels. 0 to 1.

    A layer norm and a linear head on the pooled features, cross-entropy, AdamW with one cycle of the learning rate,
    random crops and flips. The recipe is the same for every model and any number of labels. The model is not changed.

    Args:
        model: on any device.
        train_images, test_images: (n, C, S, S) and (m, C, S, S) uint8.
        train_labels, test_labels: (n,) and (m,) int64.
        steps, batch_size, lr: of the training; ``lr`` is its highest.
        pool: "mean" or "cls".
        seed: of the head, the order of images, crops and flips.
        progress: called after each step with the number of steps done and the total.

    Raises:
        UsageError: the images do not fit the model or the labels, or a setting is out of range.
    """
    steps, batch_size = check_option("steps", steps, Count), check_option("batch_size", batch_size, Count)
    lr = check_option("lr", lr, Positive)
    for part, images, labels in (("train", train_images, train_labels), ("test", test_images, test_labels)):
        if not len(images) or len(images) != len(labels):
            raise UsageError(
                f"There are {len(images)} {part} images and {len(labels)} labels: each image needs one label."
            )
    learner, device = copy.deepcopy(model).train(), model.device
    width = learner.features(to_float(train_images[:1].to(device)), pool).shape[1]
    head = make_head(width, 1 + int(max(train_labels.max(), test_labels.max())), seed).to(device)
    generator = torch.Generator().manual_seed(seed)

    def loss() -> Tensor:
        chosen = torch.randint(len(train_images), (batch_size,), generator=generator)
        images = shifted(to_float(train_images[chosen].to(device)), generator)
        return cross_entropy(head(learner.features(images, pool)), train_labels[chosen].to(device))

    _train([*learner.parameters(), *head.parameters()], loss, steps, lr, progress)
    return _accuracy(learner.eval(), head.eval(), test_images, test_labels, pool)


def _train(weights: list[nn.Parameter], loss: Callable[[], Tensor], steps: int, lr: float, progress) -> None:
    """AdamW under one cycle of the learning rate, whose highest value is ``lr``; a fresh batch for each ``loss()``."""
    learning = [weight for weight in weights if weight.requires_grad]
    optimizer = torch.optim.AdamW(learning, lr=lr, weight_decay=WEIGHT_DECAY)
    rise = max(WARM_UP, 1.5 / steps)  # the cycle needs at least one step to rise in
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, lr, total_steps=steps + 1, pct_start=min(rise, 0.9))
    for step in range(steps):
        batch_loss = loss()
        optimizer.zero_grad()
        batch_loss.backward()
        optimizer.step()
        schedule.step()
        if progress is not None:
            progress(step + 1, steps)


def make_head(width: int, classes: int, seed: int) -> nn.Module:
    """Features (B, width) to logits (B, classes); the global random state is not touched."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return nn.Sequential(nn.LayerNorm(width), nn.Linear(width, classes))


def shifted(images: Tensor, generator: torch.Generator) -> Tensor:
    """Random crops and flips, drawn by a generator on the CPU, of images on any device."""
    flip = torch.rand(len(images), generator=generator) < 0.5
    offset = torch.randint(2 * CROP_PADDING + 1, (len(images), 2), generator=generator)
    return augment(images, flip.to(images.device), offset.to(images.device))


@torch.no_grad()
def _accuracy(model: MaskedImageModel, head: nn.Module, images: Tensor, labels: Tensor, pool: str) -> float:
    device = model.device
    logits = [head(model.features(to_float(batch.to(device)), pool)).cpu() for batch in images.split(250)]
    return (torch.cat(logits).argmax(dim=1) == labels).double().mean().item()
