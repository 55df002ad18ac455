"""What the Guide needs beyond the descent: a sheet of memories, and names to choose from for its guessing game."""

import random

from etviz.analysis import memory_energy, memory_patches
from etviz.ui.payload import encode_pixels, to_bytes

MEMORIES = 25
CHOICES = 4


def read_memory_sheet(service, question: dict) -> dict:
    """The memories that carry most of the Hopfield energy at the end of a descent, decoded as patches.

    Args:
        question: as `Service.read_request` takes it.

    Returns:
        size: of a patch in pixels; count: of all memories; patches: base64 of bytes of each, the most used first.
    """
    request = service.read_request(question)
    trace = service.trace(request)
    with service.lock:
        patches = memory_patches(request.model)
        used = memory_energy(request.model, trace)[-1]
    most = used.argsort()[:MEMORIES]  # energies are negative: the lowest carries most
    sheet = [encode_pixels(to_bytes(patches[memory])) for memory in most.tolist()]
    return {"size": patches.shape[-1], "count": len(patches), "patches": sheet}


def read_choices(service, question: dict) -> dict:
    """A few names that a picture might have, its own among them; none where nobody knows its name.

    Args:
        question: as `Service.read_request` takes it.

    Returns:
        choices: up to CHOICES names in alphabetical order, the same ones whenever this picture is asked about;
        label: the right one, or null.
    """
    request = service.read_request(question)
    if "pixels" in request.picture:
        return {"choices": [], "label": None}
    dataset, index = request.picture["dataset"], request.picture["index"]
    labels = service.pictures(dataset, request.model.img_size).labels
    others = sorted(set(labels) - {labels[index]})
    chosen = random.Random(f"{dataset} {index}").sample(others, min(CHOICES - 1, len(others)))
    return {"choices": sorted([*chosen, labels[index]]), "label": labels[index]}
