"""Saving everything that a run needs to go on bit for bit, and putting it back."""

from collections.abc import Sequence

import torch
from torch import Tensor

from etviz import checkpoints
from etviz.errors import UsageError
from etviz.training.state import State

LAST = "last"  # a run's folder for resuming
STATE = "state.safetensors"  # what is in it


def save_last(state: State, optimizers: Sequence[torch.optim.Optimizer]) -> None:
    """Everything a resumed run needs, in one file, so that its parts always belong together."""
    tensors = {f"model.{name}": tensor for name, tensor in state.model.state_dict().items()}
    for name, parameter in state.model.named_parameters():
        for optimizer in optimizers:  # a parameter belongs to one of them
            for key, value in optimizer.state.get(parameter, {}).items():
                tensors[f"optimizer.{key}.{name}"] = torch.as_tensor(value)
    if state.average is not None:
        tensors |= {f"average.{name}": tensor for name, tensor in state.shipped.state_dict().items()}
    tensors["rng.cpu"] = torch.get_rng_state()
    if torch.cuda.is_available():
        tensors["rng.cuda"] = torch.cuda.get_rng_state()
    progress = {"step": state.step, "total_steps": state.total_steps, "seconds": state.seconds}
    metadata = {key: repr(value) for key, value in (progress | {"best_mse": state.best_mse}).items()}
    checkpoints.write_tensors(state.folder / LAST / STATE, tensors, metadata | {"data": state.data})


def load_last(state: State, optimizers: Sequence[torch.optim.Optimizer]) -> None:
    """Put a fresh model, its average, the optimizers and the state where the run stopped.

    Raises:
        UsageError: there is nothing, a part is missing, or it is of another model or other data.
    """
    path = state.folder / LAST / STATE
    tensors, metadata = checkpoints.read_tensors(path), checkpoints.read_metadata(path)
    if metadata.get("data") not in (None, state.data):
        raise UsageError(
            f"The run was trained on {metadata['data']}; the dataset now holds {state.data}: give it back its own data."
        )
    try:
        state.model.load_state_dict(_part(tensors, "model."))
        if state.average is not None:
            state.shipped.load_state_dict(_part(tensors, "average."))
            state.average.n_averaged.fill_(int(metadata["step"]))
        names = {parameter: name for name, parameter in state.model.named_parameters()}
        for optimizer in optimizers:
            for parameter in (p for group in optimizer.param_groups for p in group["params"]):
                keys = ("momentum",) if "momentum" in optimizer.defaults else ("step", "exp_avg", "exp_avg_sq")
                slots = {key: tensors[f"optimizer.{key}.{names[parameter]}"] for key in keys}
                optimizer.state[parameter] = {key: _beside(key, slot, parameter) for key, slot in slots.items()}
        state.step, state.seconds = int(metadata["step"]), float(metadata["seconds"])
        state.best_mse = float(metadata["best_mse"])
        torch.set_rng_state(tensors["rng.cpu"])
        if "rng.cuda" in tensors and torch.cuda.is_available():
            torch.cuda.set_rng_state(tensors["rng.cuda"])
    except (RuntimeError, KeyError, ValueError, TypeError) as error:
        raise UsageError(f"{str(path)!r} is incomplete or does not belong to this model: {error}") from error
    state.history = [row for row in checkpoints.read_history(state.folder) if row["step"] <= state.step]


def _part(tensors: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    """The tensors under a prefix, by the rest of their names."""
    return {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}


def _beside(key: str, value: Tensor, parameter: Tensor) -> Tensor:
    """An optimizer slot where the optimizer wants it: moments (and fused AdamW's step) beside the parameter."""
    if key != "step" and value.shape != parameter.shape:
        raise ValueError(f"{key} is of shape {tuple(value.shape)} instead of {tuple(parameter.shape)}")
    return value.to(parameter.device) if key != "step" or parameter.device.type == "cuda" else value
