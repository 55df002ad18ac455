"""The Hopfield memories at every step: all of them, those that act on one patch, and where one of them is active."""

from dataclasses import replace

import torch

from etviz.analysis import (
    memory_energy,
    memory_energy_by_token,
    memory_energy_of_token,
    memory_frequency,
    memory_patches,
    memory_use,
)
from etviz.masks import mask_to_hex
from etviz.ui.payload import encode_floats, encode_pixels, to_bytes
from etviz.ui.protocol import Backend
from etviz.ui.readings.energy import in_time
from etviz.ui.request import Request, a_number


def read_memories(service: Backend, question: dict) -> dict:
    """All memories as patches, and the energy that each contributes over the whole picture.

    Args:
        question: as `Backend.read_request` takes it.

    Returns:
        count: M; patch_size: P; patches: base64 of bytes in the order block, memory, row, column, channel; blocks: the
        block whose energy evaluates each of the T + 1 states; energy: base64 of float32 (T+1, M), 0 or negative;
        decoder: whether the descent is that of a decoder, which follows an encoder's; frequency: base64 of float32
        (blocks, M), the mean spatial frequency of each memory's patch in cycles per pixel.
    """
    request = service.read_request(question)
    trace = service.trace(request)
    blocks = range(len(request.energy_model.descent.blocks))
    with service.lock:
        patches = torch.stack([memory_patches(request.model, block) for block in blocks])
        energy = memory_energy(request.model, trace)
    frequency = torch.stack([memory_frequency(of_block) for of_block in patches])
    return {
        "count": energy.shape[1],
        "patch_size": patches.shape[-1],
        "patches": encode_pixels(to_bytes(patches)),
        "blocks": trace.block.tolist(),
        "energy": encode_floats(energy),
        "decoder": trace.encoder is not None,
        "frequency": encode_floats(frequency),
    }


def read_memory_use(service: Backend, question: dict) -> dict:
    """How much each memory carries at the end of the descents of other pictures of the gallery, under the same mask.

    Args:
        question: as `Backend.read_request` takes it. An upload is compared with the first gallery.

    Returns:
        count: of pictures, as many as `Limits.band_pictures` and `Limits.band_seconds` allow, or 0 where the server is
        busy with other people's: ask again; source: what the captions call the pictures; energy: base64 of float32
        (M,), the mean over the pictures, 0 or negative.
    """
    request = service.read_request(question)
    dataset = request.picture.get("dataset", service.galleries[0])
    key = ("memory use", request.model, dataset, mask_to_hex(request.mask), replace(request.descent, tolerance=None))
    found = service.bands.get_within(service.limits.band_patience, key, lambda: _use(service, request, dataset))
    return found or {"count": 0, "source": "", "energy": ""}


def _use(service: Backend, request: Request, dataset: str) -> dict:
    pictures = service.pictures(dataset, request.model.img_size)
    images = pictures.at(pictures.arranged()[: service.limits.band_pictures])
    steps = min(request.descent.steps, service.limits.steps)
    descent = vars(replace(request.descent, steps=steps, tolerance=None))
    energies = list(in_time(service, memory_use(request.model, images, request.mask, **descent)))
    mean = torch.stack(energies).mean(0)
    return {"count": len(energies), "source": pictures.source, "energy": encode_floats(mean)}


def read_memories_of_patch(service: Backend, question: dict) -> dict:
    """The energy that each memory contributes at one patch's token.

    Args:
        question: as `Backend.read_request` takes it, and patch: from 0, row by row.

    Returns:
        patch; energy: base64 of float32 (T+1, M), 0 or negative.

    Raises:
        UsageError: there is no such patch, or as `Backend.read_request`.
    """
    request = service.read_request(question)
    patch = a_number(question.get("patch"), "patch", request.model.num_patches)
    trace = service.trace(request)
    with service.lock:
        energy = memory_energy_of_token(request.model, trace, token=1 + patch)
    return {"patch": patch, "energy": encode_floats(energy)}


def read_memory_places(service: Backend, question: dict) -> dict:
    """Where on the picture one memory is active.

    Args:
        question: as `Backend.read_request` takes it, and memory: from 0.

    Returns:
        memory; energy: base64 of float32 (T+1, N), CLS first, 0 or negative.

    Raises:
        UsageError: there is no such memory, or as `Backend.read_request`.
    """
    request = service.read_request(question)
    memory = a_number(question.get("memory"), "memory", len(request.energy_model.descent.blocks[0].memories))
    trace = service.trace(request)
    with service.lock:
        energy = memory_energy_by_token(request.model, trace, memory)
    return {"memory": memory, "energy": encode_floats(energy)}
