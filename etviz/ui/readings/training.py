"""How models were trained: the runs there are, the curves of one, and one picture through its epochs."""

import torch
from torch import Tensor

from etviz.errors import UsageError
from etviz.metrics import masked_mse, psnr_of_mse
from etviz.ui.payload import encode_pixels, finite, to_bytes
from etviz.ui.runs import describe_run, list_runs, read_run


def read_runs(service, question: dict) -> dict:
    """The checkpoints of the menu, then every run: {runs: [`describe_run`]}."""
    return {"runs": [describe_run(name, place) for name, place in _places(service).items()]}


def read_training(service, question: dict) -> dict:
    """One run's curves, facts and state.

    Args:
        question: {run: a name that `read_runs` lists}.

    Returns:
        `read_run`'s dict and run: `describe_run`'s.
    """
    name = question.get("run")
    place = service.place(name)
    shipped = place not in list_runs().values()
    return {"run": describe_run(name, place), **read_run(name, place, shipped)}


def read_epochs(service, question: dict) -> dict:
    """One picture and mask, rebuilt by each snapshot of a run and by its final weights, each with its own settings.

    Args:
        question: {run, picture, mask}, the mask on the grid of the run's model.

    Returns:
        size, image: as in `etviz.ui.payload.payload`; epochs: [{file: null for the final weights, epoch}], those that
        could be loaded; frames: base64 of a picture for each; mse, psnr: a number for each, over hidden pixels.
    """
    name = question.get("run")
    run = describe_run(name, service.place(name))
    if "problem" in run:
        raise UsageError(run["problem"])
    epochs = [*run["snapshots"], {"file": None, "epoch": run["epoch"]}]
    rebuilt = [(epoch, *found) for epoch in epochs if (found := _rebuild(service, question, name, epoch["file"]))]
    if not rebuilt:
        raise UsageError(f"The weights of {name} cannot be read just now: they may be half written.")
    loaded, images, frames, errors = zip(*rebuilt, strict=True)
    error = torch.stack(errors)
    return {
        "size": images[0].shape[-1],
        "image": encode_pixels(to_bytes(images[0])),
        "epochs": list(loaded),
        "frames": encode_pixels(to_bytes(torch.stack(frames))),
        "mse": finite(error),
        "psnr": finite(psnr_of_mse(error)),
    }


def _places(service) -> dict[str, str]:
    """Where the menu's checkpoints and the runs lie, each once."""
    runs = {name: place for name, place in list_runs().items() if place not in service.checkpoints.values()}
    return {**service.checkpoints, **runs}


def _rebuild(service, question: dict, name: str, snapshot: str | None) -> tuple[Tensor, Tensor, Tensor] | None:
    """The image, its reconstruction, both (3, S, S), and the masked MSE; None where the weights cannot be loaded."""
    try:
        service.model(name, snapshot)
    except UsageError:  # half written, or gone meanwhile
        return None
    asked = {"picture": question.get("picture"), "mask": question.get("mask"), "model": name, "snapshot": snapshot}
    scene = service.scene(asked, energy=False)
    with service.lock:
        rebuilt = scene.model.reconstruct(scene.image[None], scene.mask)
    return scene.image, rebuilt[0], masked_mse(scene.image[None], rebuilt, scene.mask)[0]
