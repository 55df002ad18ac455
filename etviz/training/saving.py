"""What a training writes into its run folder, and the sentence for a disk that will not take it."""

import contextlib
from collections.abc import Iterator, Sequence

import torch

from etviz import checkpoints, files
from etviz.data import Dataset
from etviz.errors import UsageError
from etviz.options import as_dict
from etviz.training.claim import claim
from etviz.training.config import MASK_SEED
from etviz.training.resume import save_last
from etviz.training.state import State


@contextlib.contextmanager
def writing(state: State, fabric) -> Iterator[None]:
    """The run folder is this process's alone, and swept of what writes that were killed left behind.

    Raises:
        UsageError: another process trains in it, or it takes no more files, as on a full disk.
    """
    if state.run is None or not fabric.is_global_zero:
        yield
        return
    with claim(state.run):
        try:
            files.sweep(state.run)
            yield
        except OSError as error:
            raise UsageError(_not_written(state, error)) from error


def _not_written(state: State, error: OSError) -> str:
    reason = error.strerror or str(error)
    if state.saved is None:
        return f"The run folder {str(state.run)!r} cannot be written to: {reason}."
    return (
        f"The run folder {str(state.run)!r} can no longer be written to: {reason}. "
        f"The state of step {state.saved} is whole: once that is mended, go on with resume={state.run}."
    )


def save_start(state: State, optimizers: Sequence[torch.optim.Optimizer], dataset: Dataset, fabric) -> None:
    """The options and the state before the first step: a run that is killed early can be resumed too."""
    if state.run is not None and fabric.is_global_zero:
        save_last(state, optimizers)
        checkpoints.write_config(state.model, state.run, _sections(state, dataset))


def save(state: State, optimizers: Sequence[torch.optim.Optimizer], dataset: Dataset, fabric) -> None:
    """Best weights where the last validation was the best so far, history, and everything to resume."""
    if state.run is None or not fabric.is_global_zero:
        return
    better = state.validated_now and state.history[-1]["masked_mse"] < state.best_mse
    if better:
        state.best_mse = state.history[-1]["masked_mse"]
    if better or not (state.run / checkpoints.WEIGHTS).is_file():  # as where it stops before the first validation
        checkpoints.save_checkpoint(state.shipped, state.run, make_card(state, dataset), _sections(state, dataset))
    if state.history:
        checkpoints.write_history(state.run, state.history)
    save_last(state, optimizers)


def _sections(state: State, dataset: Dataset) -> dict:
    return {"dataset": {"name": dataset.source or dataset.name}, "train": as_dict(state.config)}


def make_card(state: State, dataset: Dataset) -> dict:
    """What card.json says of the weights of this moment."""
    card = {
        "name": state.folder.name,
        "model": state.model.name,
        "dataset": dataset.name,
        "parameters": sum(p.numel() for p in state.model.parameters()),
        "images_seen": state.images_seen,
        "epochs": round(state.epoch, 3),
        "planned_epochs": state.config.epochs,
        "seconds": round(state.seconds),
        "device": state.device,
        "precision": state.precision,
        "torch": torch.__version__,
        "metrics": {},
    }
    if state.skipped:
        card["steps_left_out"] = state.skipped
    if state.history:
        row = state.history[-1]
        card["metrics"]["validation"] = {
            "masked_mse": row["masked_mse"],
            "masked_psnr": row["masked_psnr"],
            "mask_seed": MASK_SEED,
            "ratio": state.config.ratio,
            "split": "held out of train",
        }
    return card
