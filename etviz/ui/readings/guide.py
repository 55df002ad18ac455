"""What the Guide needs besides the descent: a sheet of memories, and the names to choose from in its guessing game."""

import random

from etviz.analysis import memory_energy, memory_patches
from etviz.ui.payload import encode_pixels, to_bytes
from etviz.ui.protocol import Backend

MEMORIES = 25  # on the sheet
CHOICES = 4  # names


def read_memory_sheet(service: Backend, question: dict) -> dict:
    """The memories that contribute most to the Hopfield energy at the end of a descent, decoded as patches.

    Args:
        question: as `Backend.read_request` takes it.

    Returns:
        size: side of a patch, in pixels; count: of all memories; patches: base64 of bytes, the most active memory
        first; share: of the Hopfield energy, 0 to 1, that these memories carry.
    """
    request = service.read_request(question)
    trace = service.trace(request)
    with service.lock:
        patches = memory_patches(request.model)
        used = memory_energy(request.model, trace)[-1]
    most = used.argsort()[:MEMORIES]  # energies are negative: the lowest contributes most
    share = (used[most].sum() / used.sum()).nan_to_num(0).item()  # 0 of 0 where no memory is active
    sheet = [encode_pixels(to_bytes(patches[memory])) for memory in most.tolist()]
    return {"size": patches.shape[-1], "count": len(patches), "patches": sheet, "share": share}


def read_choices(service: Backend, question: dict) -> dict:
    """A few names to choose from, the right one among them; none where the name of the picture is not known.

    Args:
        question: as `Backend.read_request` takes it.

    Returns:
        choices: up to `CHOICES` names in alphabetical order, always the same ones for the same picture; label: the
        right one, or null.
    """
    request = service.read_request(question)
    if "pixels" in request.picture:
        return {"choices": [], "label": None}
    dataset, index = request.picture["dataset"], request.picture["index"]
    labels = service.pictures(dataset, request.model.img_size).labels
    return {"choices": choices_among(labels, dataset, index), "label": labels[index]}


def choices_among(labels: list[str], dataset: str, index: int) -> list[str]:
    """Up to `CHOICES` names in alphabetical order, the picture's own among them: the same ones each time."""
    others = sorted(set(labels) - {labels[index]})
    chosen = random.Random(f"{dataset} {index}").sample(others, min(CHOICES - 1, len(others)))
    return sorted([*chosen, labels[index]])
