"""What a model costs: parameters, FLOPs and memory, counted rather than timed."""

import warnings
import weakref
from collections.abc import Callable, Iterable

import torch
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import FlopCounterMode
from torch.utils.weak import WeakIdKeyDictionary

import etviz
from etviz.models import MaskedImageModel

RATIO = 0.85  # of patches hidden, while counting: 54 of 64


def costs(model: MaskedImageModel, batch: int) -> dict:
    """Everything below for one model, as numbers: a row of `python -m etviz.models`.

    Args:
        model: on the device to measure on. It is left with gradients, and trained for one step.
        batch: images in the training step whose memory is measured.

    Returns:
        parameters and trained_parameters; reconstruct_flops and training_flops for one image; and peak_bytes of a
        training step in float32: weights, gradients, AdamW's moments and what is kept for the backward pass. peak_bytes
        is None on a device that does not report its memory.
    """
    device = model.device
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
    """FLOPs of the matrix products and convolutions in one call, two for each multiply-add.

    oneDNN's packed products and fused attention are switched off, because PyTorch's counter does not know them
    everywhere (before 2.15 it counts none on a CPU). The products are the same, and so is the count on every device.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about TF32: setting the flag raises it on every machine
        products = torch.backends.mkldnn.flags(enabled=False), sdpa_kernel(SDPBackend.MATH)
        with products[0], products[1], FlopCounterMode(display=False) as counter:
            function()
    return counter.get_total_flops()


def peak_memory(model: MaskedImageModel, images: torch.Tensor, mask: torch.Tensor) -> int | None:
    """Most bytes held at once during a training step with a fresh AdamW, weights included."""
    model.zero_grad(set_to_none=True)
    step = training_step(model, model.loss, images, mask)
    weights = [*model.parameters(), *model.buffers()]
    added = added_memory(step, images.device, [*weights, images, mask])
    return None if added is None else added + sum(tensor.nbytes for tensor in weights)


def training_step(model: MaskedImageModel, loss: Callable, images: torch.Tensor, mask: torch.Tensor) -> Callable:
    """A call that does forward, backward and one step of AdamW, in float32."""
    trained = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(trained, lr=1e-6, fused=images.device.type in ("cpu", "cuda"))

    def step() -> None:
        optimizer.zero_grad()
        loss(images, mask).backward()
        optimizer.step()

    return step


def added_memory(function: Callable, device: torch.device, before: Iterable[torch.Tensor] = ()) -> int | None:
    """Most bytes of tensors that a call held at once beyond those before; None on a device that does not report them.

    Args:
        function: called once.
        device: where it computes. CUDA's allocator keeps count itself; on a CPU every result of an operation is
            counted until it is freed.
        before: tensors that exist already, which an operation in place may return.
    """
    if device.type == "cuda":
        there = torch.cuda.memory_allocated(device)
        torch.cuda.reset_peak_memory_stats(device)
        function()
        return torch.cuda.max_memory_allocated(device) - there
    if device.type != "cpu":
        return None
    with _HeldMemory(before) as held:
        function()
    return held.peak


class _HeldMemory(TorchDispatchMode):
    """Counts the bytes of the storages that operations create, until they are freed."""

    def __init__(self, before: Iterable[torch.Tensor]):
        super().__init__()
        self.now = self.peak = 0
        self.known = WeakIdKeyDictionary({tensor.untyped_storage(): True for tensor in before})

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        result = func(*args, **(kwargs or {}))
        for leaf in tree_leaves(result):
            if isinstance(leaf, torch.Tensor):
                self._add(leaf.untyped_storage())
        return result

    def _add(self, storage: torch.UntypedStorage) -> None:
        if storage in self.known:
            return
        self.known[storage] = True
        self._change(storage.nbytes())
        weakref.finalize(storage, self._change, -storage.nbytes())

    def _change(self, size: int) -> None:
        self.now += size
        self.peak = max(self.peak, self.now)
