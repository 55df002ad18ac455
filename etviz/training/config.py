"""How to train: the options of a run."""

import typing
from collections.abc import Mapping
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
Weighted = tuple[tuple[Count, Positive], ...]  # whole numbers to draw from, each with its weight
Shapes = tuple[tuple[Literal["random", "block", "strokes", "half"], NonNegative], ...]


@dataclass(kw_only=True)
class TrainConfig:
    """How to train. Raises `UsageError` for what the annotations forbid.

    The defaults are the reference recipe's, but for ``decay``: see etviz/conf/experiment/reference.yaml.
    What is to be drawn with weights is given as pairs, or as a mapping: ``descent_steps={3: 0.5, 12: 0.5}``.
    """

    epochs: Count = 1000
    batch_size: Count = 128  # over all devices
    lr: Positive = 5e-5
    min_lr: NonNegative = 1e-6  # reached at the end of the cosine
    warmup_steps: Whole = 0  # linear
    betas: tuple[Decay, Decay] = (0.9, 0.999)
    optimizer: Literal["adamw", "muon"] = "adamw"  # muon: for the matrices of the layers, AdamW for the rest
    muon_lr: Positive = 5e-3  # Muon's own, which warms up and falls as lr does
    weight_decay: NonNegative = 1e-4
    decay: Literal["matrices", "all"] = "matrices"  # what decays: matrices alone, or biases, norms and tokens too
    clip: Positive = 1.0  # largest gradient norm
    ema: Decay = 0.0  # of the moving average of the weights, which is then what is validated and kept; 0 for none
    ratio: float = 0.85  # share of patches hidden
    masks: Literal["random", "mixture"] = "random"  # mixture: every second batch hides another share, in shapes
    mask_shapes: Shapes = (("random", 0.4), ("block", 0.2), ("strokes", 0.3), ("half", 0.1))  # of that second batch
    descent_steps: Weighted = ()  # numbers of steps to draw for each batch; none: the model's own
    flow_time: tuple[Positive, Positive] = (1.0, 1.0)  # steps * step_size is the model's own times a factor in between
    own_steps_from: Annotated[float, at_least(0), at_most(1)] = (
        1.0  # share of the run after which its own steps prevail
    )
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
        for option in ("mask_shapes", "descent_steps"):
            if isinstance(getattr(self, option), Mapping):
                setattr(self, option, tuple(getattr(self, option).items()))
        vars(self).update(check_options(vars(self), annotations, section="train."))
        num_hidden(self.ratio)
        if not sum(weight for _, weight in self.mask_shapes):
            raise UsageError("train.mask_shapes needs a shape with a weight above 0.")
        if self.flow_time[0] > self.flow_time[1]:
            raise UsageError(f"train.flow_time must rise, as [0.5,2], not {list(self.flow_time)}.")


def train_config(options: dict) -> TrainConfig:
    """A `TrainConfig` from a mapping. Raises `UsageError` for an option it does not have."""
    known = {f.name for f in fields(TrainConfig)}
    for option in options:
        if option not in known:
            raise UsageError(f"There is no option train.{option}{suggestion(option, known)}.")
    return TrainConfig(**options)
