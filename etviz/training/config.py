"""How to train: the options of a run."""

import typing
from dataclasses import dataclass, fields
from typing import Annotated, Literal

from etviz.errors import UsageError
from etviz.masks import num_hidden
from etviz.options import (
    ABOVE_0,
    BELOW_1,
    Count,
    NonNegative,
    Positive,
    Whole,
    at_least,
    at_most,
    check_options,
    suggestion,
)

MASK_SEED = 1  # of the validation masks; the test split's headline number uses 0

Decay = Annotated[float, at_least(0), BELOW_1]  # of a moving average


@dataclass(kw_only=True)
class TrainConfig:
    """How to train; the defaults are the reference recipe's. Raises `UsageError` for what the annotations forbid."""

    epochs: Count = 1000
    batch_size: Count = 128  # over all devices
    lr: Positive = 5e-5
    min_lr: NonNegative = 1e-6  # reached at the end of the cosine
    warmup_steps: Whole = 0  # linear
    betas: tuple[Decay, Decay] = (0.9, 0.999)
    weight_decay: NonNegative = 1e-4
    clip: Positive = 1.0  # largest gradient norm
    ratio: float = 0.85  # share of patches hidden
    flip: bool = True
    crop: bool = True
    seed: Whole = 0
    validation_images: Count = 2000  # held out of the train split, a tenth of it at most
    validate_every: Annotated[float, ABOVE_0, at_most(1e9)] = 1.0  # epochs
    snapshots: Annotated[int, at_least(0), at_most(1000)] = 8
    log_every: Count = 50  # steps; between logs and validations the loop never waits for the device
    accelerator: Literal["auto", "cpu", "cuda", "mps"] = "auto"
    devices: int | str = "auto"
    num_nodes: Count = 1
    precision: Literal["auto", "32-true", "bf16-mixed"] = "auto"
    compile: Literal["auto", True, False] = "auto"  # auto: on CUDA

    def __post_init__(self):
        annotations = typing.get_type_hints(type(self), include_extras=True)
        vars(self).update(check_options(vars(self), annotations, section="train."))
        num_hidden(self.ratio)


def train_config(options: dict) -> TrainConfig:
    """A `TrainConfig` from a mapping. Raises `UsageError` for an option it does not have."""
    known = {f.name for f in fields(TrainConfig)}
    for option in options:
        if option not in known:
            raise UsageError(f"There is no option train.{option}{suggestion(option, known)}.")
    return TrainConfig(**options)
