"""The Hopfield memories: what they look like, and how much of the energy each carries (Hoover et al. 2023, eq. 5).

E_hop = -(1/2) * sum_tokens sum_memories relu(xi . g)^2 is also a sum over memories, so each memory has its own share
of it. Shapes: T+1 states, N tokens (CLS first), M memories, D token width, P patch side.
"""

from collections.abc import Iterator

import torch
import torch.nn.functional as F
from torch import Tensor

from etviz.analysis.inputs import check_number, check_place, check_trace
from etviz.data import to_float
from etviz.errors import UsageError
from etviz.models import MaskedImageModel, Trace, as_energy_model
from etviz.models.energy import EnergyBlock

TOKENS, MEMORIES = 0, 1  # axes of one state's energies


@torch.no_grad()
def memory_patches(model: MaskedImageModel, block: int = -1) -> Tensor:
    """Each memory as a picture: the patch that the decoder makes of the token that this memory pulls towards.

    A memory xi lives in the space of g = gamma * x_hat + delta, where x_hat, the normalised token, has mean 0 and a
    fixed length. Of all tokens, the one with x_hat along sign(gamma) * (xi - mean xi) overlaps xi the most, and so has
    the lowest energy that this memory can give. delta shifts all overlaps alike and plays no part. The decoder's own
    layer norm makes the picture independent of the memory's length, which shows in the energy instead. No image holds
    such a token: the picture shows a direction, far stronger than its trace in a reconstruction.

    Args:
        model: with an energy; of `et_asym` the decoder's memories.
        block: whose memories; negative numbers count from the last.

    Returns:
        (M, C, P, P) in [0, 1], clipped there.

    Raises:
        UsageError: the model has no energy or no such block.
    """
    model = as_energy_model(model)
    descent = model.descent
    check_number("block", block, len(descent.blocks), least=-len(descent.blocks))
    chosen = descent.blocks[block]
    # To unit variance before the decoder: memories may be so short that its epsilon would count.
    tokens = F.layer_norm(chosen.memories, chosen.memories.shape[1:], eps=0.0) * chosen.norm.gamma.sign()
    return model.to_images(model.decoder(tokens)[:, None])


def memory_energy(model: MaskedImageModel, trace: Trace, image: int = 0) -> Tensor:
    """The part of the Hopfield energy that each memory carries at every step, summed over tokens.

    Each state is evaluated by the block that ``trace.block`` names. With depth > 1, memory m of one block is not
    memory m of the next.

    Args:
        model: the one traced.
        trace: of B images.
        image: which of them.

    Returns:
        (T+1, M), 0 or negative; sums over M to ``trace.hopfield_energy[image].sum(-1)``.

    Raises:
        UsageError: the model has no energy, the trace is not its own, or there is no such image.
    """
    return _by_state(model, trace, image, over=TOKENS)


def memory_energy_of_token(model: MaskedImageModel, trace: Trace, token: int, image: int = 0) -> Tensor:
    """The same for one token: (T+1, M), which sums over M to ``trace.hopfield_energy[image, :, token]``.

    Args:
        token: as numbered in the trace: 0 is CLS, 1 + p is patch p. The others as `memory_energy`.

    Raises:
        UsageError: as `memory_energy`, or there is no such token.
    """
    check_number("token", token, trace.tokens.shape[2])
    return _by_state(model, trace, image, over=TOKENS, tokens=slice(token, token + 1))


def memory_energy_by_token(model: MaskedImageModel, trace: Trace, memory: int, image: int = 0) -> Tensor:
    """The part of the Hopfield energy that one memory carries, by token: where on the image it fires.

    Args:
        memory: numbered from 0, in the block that a state is evaluated by. The others as `memory_energy`.

    Returns:
        (T+1, N), 0 or negative, CLS first; sums over N to column ``memory`` of `memory_energy`.

    Raises:
        UsageError: as `memory_energy`, or there is no such memory.
    """
    check_number("memory", memory, len(as_energy_model(model).descent.blocks[0].memories))
    return _by_state(model, trace, image, over=MEMORIES, memories=slice(memory, memory + 1))


def top_memories(
    model: MaskedImageModel, trace: Trace, token: int, count: int = 8, image: int = 0
) -> tuple[Tensor, Tensor]:
    """The memories that lower one token's energy the most, at every step, strongest first.

    Args:
        count: how many, at most M. The others as `memory_energy_of_token`.

    Returns:
        Indices (T+1, count) int64 and energies (T+1, count), 0 where fewer memories are active.

    Raises:
        UsageError: as `memory_energy_of_token`, or a count outside 1..M.
    """
    energy = memory_energy_of_token(model, trace, token, image)
    if not 1 <= count <= energy.shape[1]:
        raise UsageError(f"count must lie between 1 and {energy.shape[1]}, the number of memories, not {count}.")
    values, indices = energy.topk(count, dim=1, largest=False)
    return indices, values


@torch.no_grad()
def memory_use(model: MaskedImageModel, images: Tensor, mask: Tensor, block: int = -1, **descent) -> Iterator[Tensor]:
    """How much Hopfield energy each memory carries at the end of the descents of many images, image by image.

    Args:
        model: with an energy.
        images: (B, C, H, W) uint8, or float in [0, 1].
        mask: (1, N) for all images, or (B, N); bool, True = hidden.
        block: the last one, or -1: the block whose memories the last state is evaluated by.
        descent: steps and so on, as `EnergyModel.trace` takes them.

    Yields:
        (M,) for each image, 0 or negative. Their mean orders memories by use over a dataset.

    Raises:
        UsageError: the model has no energy or no such block, or the images do not fit it.
    """
    model = as_energy_model(model)
    check_number("block", block, len(model.descent.blocks), least=-len(model.descent.blocks))
    chosen = model.descent.blocks[block]
    for index, image in enumerate(images):
        hidden = mask[index % len(mask)][None]
        pixels = image if image.is_floating_point() else to_float(image)
        trace = model.trace(pixels[None], hidden, keep_attention=False, **descent)
        yield _one_state(chosen, trace.tokens[0, -1], slice(None)).sum(TOKENS)


def memory_frequency(patches: Tensor) -> Tensor:
    """How fine the pattern of each memory is: the mean spatial frequency of its brightness, weighted by power.

    Args:
        patches: (M, C, P, P) as `memory_patches` gives them.

    Returns:
        (M,) in cycles per pixel, from 0 for a patch of one colour to about 0.7 for a chessboard of pixels.
    """
    grey = patches.float().mean(dim=1)
    power = torch.fft.fft2(grey - grey.mean(dim=(1, 2), keepdim=True)).abs().square()
    axis = torch.fft.fftfreq(patches.shape[-1], device=patches.device)
    frequency = (axis[:, None].square() + axis.square()).sqrt()
    total = power.sum(dim=(1, 2))
    return torch.where(total > 1e-9, (power * frequency).sum(dim=(1, 2)) / total.clamp(min=1e-9), 0.0)


@torch.no_grad()
def _by_state(
    model: MaskedImageModel,
    trace: Trace,
    image: int,
    *,
    over: int,
    tokens: slice = slice(None),
    memories: slice = slice(None),
) -> Tensor:
    """-(1/2) relu(xi . g)^2 of the chosen tokens and memories, summed over either: (T+1, M) or (T+1, N).

    One state at a time, so that little memory is needed.
    """
    blocks = check_trace(model, trace).blocks
    check_place(trace, image)
    states = trace.tokens[image][:, tokens]  # (T+1, n, D)
    parts = (_one_state(blocks[b], x, memories).sum(over) for b, x in zip(trace.block.tolist(), states, strict=True))
    return torch.stack(list(parts))


def _one_state(block: EnergyBlock, x: Tensor, memories: slice) -> Tensor:
    """x (n, D) -> (n, m)."""
    return -0.5 * F.linear(block.norm(x), block.memories[memories]).relu().square()
