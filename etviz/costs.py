"""What a model costs: parameters, FLOPs and memory, counted rather than timed."""

from collections.abc import Callable

import torch
from torch.profiler import ProfilerActivity, profile
from torch.utils.flop_counter import FlopCounterMode

import etviz
from etviz.models import MaskedImageModel

RATIO = 0.85  # of patches hidden, while counting: 54 of 64


def costs(model: MaskedImageModel, batch: int) -> dict:
    """Everything below for one model, as numbers: the row of `python -m etviz.models`.

    Args:
        model: on the device to measure on; left with a gradient and trained for one step.
        batch: images in the training step whose memory is measured.

    Returns:
        parameters and trained_parameters; reconstruct_flops and training_flops, of one image; peak_bytes, of a training
        step in float32: weights, gradients, AdamW's moments and what is kept for the backward pass. None on a device
        that does not say.
    """
    device = model.mean.device
    images = torch.rand(batch, model.in_chans, model.img_size, model.img_size, device=device)
    mask = etviz.random_mask(batch, RATIO, model.num_patches).to(device)
    model.train()
    group = min(batch, 4)  # a MixedAE needs a few images to mix
    few = images[:group], mask[:group]
    return {
        "parameters": sum(p.numel() for p in model.parameters()),
        "trained_parameters": sum(p.numel() for p in model.parameters() if p.requires_grad),
        "reconstruct_flops": count_flops(lambda: model.reconstruct(*few)) // group,
        "training_flops": count_flops(lambda: model.loss(*few).backward()) // group,
        "peak_bytes": peak_memory(model, images, mask),
    }


def count_flops(function: Callable) -> int:
    """FLOPs of the matrix products and convolutions in one call, two for a multiply-add.

    Without oneDNN's packed products, which PyTorch's counter does not know: the products are the same.
    """
    with torch.backends.mkldnn.flags(enabled=False), FlopCounterMode(display=False) as counter:
        function()
    return counter.get_total_flops()


def peak_memory(model: MaskedImageModel, images: torch.Tensor, mask: torch.Tensor) -> int | None:
    """Bytes held at the worst moment of a training step with a fresh AdamW, the weights included."""
    model.zero_grad(set_to_none=True)
    step = training_step(model, model.loss, images, mask)
    added = added_memory(step, images.device)
    weights = sum(t.nbytes for t in model.state_dict().values())
    return None if added is None else weights + added


def training_step(model: MaskedImageModel, loss: Callable, images: torch.Tensor, mask: torch.Tensor) -> Callable:
    """Forward, backward and AdamW, in float32."""
    trained = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(trained, lr=1e-6, fused=images.device.type in ("cpu", "cuda"))

    def step() -> None:
        optimizer.zero_grad()
        loss(images, mask).backward()
        optimizer.step()

    return step


def added_memory(function: Callable, device: torch.device) -> int | None:
    """Most bytes that a call held at once beyond what there was before; None on a device that does not say."""
    if device.type == "cuda":
        before = torch.cuda.memory_allocated(device)
        torch.cuda.reset_peak_memory_stats(device)
        function()
        return torch.cuda.max_memory_allocated(device) - before
    if device.type != "cpu":
        return None
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as profiler:
        function()
    events = [e for e in profiler.profiler.kineto_results.events() if e.name() == "[memory]"]
    changes = torch.tensor([e.nbytes() for e in sorted(events, key=lambda e: e.start_ns())])
    return max(0, int(changes.cumsum(0).max())) if events else 0
