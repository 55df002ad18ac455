"""Checks of the analyses' arguments: each raises one clear sentence."""

from etviz.errors import UsageError
from etviz.models import MaskedImageModel, TokenTrace, Trace, as_energy_model
from etviz.models.descent import EnergyDescent


def check_trace(model: MaskedImageModel, trace: TokenTrace) -> EnergyDescent:
    """The model's descent. Raises `UsageError` if it has none, or if the trace cannot be of this model."""
    descent = as_energy_model(model).descent
    if not isinstance(trace, Trace):
        raise UsageError("This is the trace of an encoder: give the model's own trace, whose states are decoded.")
    dim, blocks = descent.blocks[0].memories.shape[1], len(descent.blocks)
    if trace.tokens.shape[-1] != dim or int(trace.block.max()) >= blocks:
        raise UsageError(f"The trace is of another model: this one descends tokens of width {dim} in {blocks} blocks.")
    return descent


def check_number(name: str, value: int, count: int, least: int = 0) -> None:
    """Raise `UsageError` unless ``value`` lies in ``least`` .. ``count`` - 1."""
    if not least <= value < count:
        raise UsageError(f"There is no {name} {value}: they are numbered 0 to {count - 1}.")


def check_place(trace: TokenTrace, image: int, step: int = 0) -> None:
    """Raise `UsageError` if a trace has no such image or state. Negative numbers count from the end."""
    batch, states = trace.energy.shape
    check_number("image", image, batch, least=-batch)
    check_number("step", step, states, least=-states)
