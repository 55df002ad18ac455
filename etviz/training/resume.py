"""Saving everything that a run needs to go on bit for bit, and putting it back."""

import json
from collections.abc import Sequence
from dataclasses import asdict

import torch
from torch import Tensor

from etviz import checkpoints
from etviz.errors import UsageError
from etviz.training.state import State

LAST = "last"  # a run's folder for resuming
STATE = "state.safetensors"  # what is in it
MAY_CHANGE = {  # how a training runs and what is noted of it, not what it learns
    "accelerator", "devices", "num_nodes", "precision", "compile", "log_every", "validate_every", "snapshots",
}  # fmt: skip


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
    names = ("step", "total_steps", "seconds", "best_mse", "skipped")
    metadata = {name: repr(getattr(state, name)) for name in names}
    metadata |= {"data": state.data, "recipe": json.dumps(recipe(state))}
    checkpoints.write_tensors(state.folder / LAST / STATE, tensors, metadata)
    state.saved = state.step


def recipe(state: State) -> dict:
    """All that a run's weights depend on besides the data, by dotted option: {"train.lr": 0.003, ...}."""
    trained = {f"train.{name}": value for name, value in asdict(state.config).items() if name not in MAY_CHANGE}
    built = {f"model.{name}": value for name, value in {"name": state.model.name, **state.model.config}.items()}
    return json.loads(json.dumps(trained | built))  # tuples as lists


def check_recipe(state: State, metadata: dict) -> None:
    """Raise `UsageError` where a run was saved under another recipe than the one that it is to go on with."""
    saved, now = json.loads(metadata.get("recipe", "{}")), recipe(state)
    changed = next((name for name in saved if name in now and now[name] != saved[name]), None)
    if changed is not None:
        raise UsageError(
            f"The run was trained with {changed}={saved[changed]}, not {now[changed]}: "
            f"give its {checkpoints.CONFIG} back what it said, or start a new run."
        )


def load_last(state: State, optimizers: Sequence[torch.optim.Optimizer]) -> None:
    """Put a fresh model, its average, the optimizers and the state where the run stopped.

    Raises:
        UsageError: there is nothing, a part is missing, or it is of another model, other data or another recipe.
    """
    path = state.folder / LAST / STATE
    tensors, metadata = checkpoints.read_tensors(path), checkpoints.read_metadata(path)
    if metadata.get("data") not in (None, state.data):
        raise UsageError(
            f"The run was trained on {metadata['data']}; the dataset now holds {state.data}: give it back its own data."
        )
    check_recipe(state, metadata)
    try:
        state.model.load_state_dict(_part(tensors, "model."))
        if state.average is not None:
            state.shipped.load_state_dict(_part(tensors, "average."))
            state.average.n_averaged.fill_(int(metadata["step"]))
        names = {parameter: name for name, parameter in state.model.named_parameters()}
        for optimizer in optimizers if int(metadata["step"]) else ():  # before the first step they are empty
            for parameter in (p for group in optimizer.param_groups for p in group["params"]):
                keys = ("momentum",) if "momentum" in optimizer.defaults else ("step", "exp_avg", "exp_avg_sq")
                slots = {key: tensors[f"optimizer.{key}.{names[parameter]}"] for key in keys}
                optimizer.state[parameter] = {key: _beside(key, slot, parameter) for key, slot in slots.items()}
        state.step, state.seconds = int(metadata["step"]), float(metadata["seconds"])
        state.best_mse, state.skipped = float(metadata["best_mse"]), int(metadata.get("skipped", 0))
        state.saved = state.step
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
