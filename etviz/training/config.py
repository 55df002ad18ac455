"""How to train: the options of a run."""

from collections.abc import Mapping
from dataclasses import dataclass
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
    annotations_of,
    at_least,
    at_most,
    check_options,
    from_mapping,
    option,
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

    epochs: Count = option(1000)
    batch_size: Count = option(128, "over all devices")
    lr: Positive = option(5e-5)
    min_lr: NonNegative = option(1e-6, "reached at the end of the cosine")
    warmup_steps: Whole = option(0, "linear")
    betas: tuple[Decay, Decay] = option((0.9, 0.999), "AdamW")
    optimizer: Literal["adamw", "muon"] = option(
        "adamw", "muon: for the matrices of the layers, and AdamW for the rest"
    )
    muon_lr: Positive = option(5e-3, "Muon's own, which warms up and falls as lr does")
    weight_decay: NonNegative = option(1e-4)
    decay: Literal["matrices", "all"] = option(
        "matrices", "what decays: matrices, or all, which is biases, norms, tokens and positions too"
    )
    clip: Positive = option(1.0, "largest gradient norm")
    ema: Decay = option(
        0.0, "decay of a moving average of the weights, which is then what is validated and kept; 0 for none"
    )
    ratio: float = option(0.85, "share of patches hidden: 54 of 64")
    masks: Literal["random", "mixture"] = option(
        "random",
        "mixture: every second batch hides another share, from 3 to 97%, in shapes; mixedae makes its own",
    )
    mask_shapes: Shapes = option(
        (("random", 0.4), ("block", 0.2), ("strokes", 0.3), ("half", 0.1)), "of the mixture, with weights"
    )
    descent_steps: Weighted = option(
        (), "numbers of steps to draw for each batch, with weights, as [[3,0.8],[12,0.2]]; et and et_asym only"
    )
    flow_time: tuple[Positive, Positive] = option(
        (1.0, 1.0), "steps times step size is the model's own times a factor in between; et and et_asym only"
    )
    own_steps_from: Annotated[float, at_least(0), at_most(1)] = option(
        1.0, "share of the run after which the model's own steps prevail; et and et_asym only"
    )
    flip: bool = option(True)
    crop: bool = option(True, "padded by 4 pixels")
    seed: Whole = option(0)
    validation_images: Count = option(2000, "held out of the train split, a tenth of it at most")
    validate_every: Annotated[float, ABOVE_0, at_most(1e9)] = option(1.0, "epochs")
    snapshots: Annotated[int, at_least(0), at_most(1000)] = option(8, "log-spaced over the run")
    # between logs and validations the loop never waits for the device
    log_every: Count = option(50, "steps")
    accelerator: Literal["auto", "cpu", "cuda", "mps"] = option("auto", "cpu, cuda, mps")
    devices: int | str = option("auto")
    num_nodes: Count = option(1)
    precision: Literal["auto", "32-true", "bf16-mixed"] = option("auto", "32-true, bf16-mixed")
    compile: Literal["auto", True, False] = option("auto", "true, false; auto compiles on CUDA")

    def __post_init__(self):
        for name in ("mask_shapes", "descent_steps"):
            if isinstance(getattr(self, name), Mapping):
                setattr(self, name, tuple(getattr(self, name).items()))
        vars(self).update(check_options(vars(self), annotations_of(TrainConfig), section="train."))
        num_hidden(self.ratio)
        if not sum(weight for _, weight in self.mask_shapes):
            raise UsageError("train.mask_shapes needs a shape with a weight above 0.")
        if self.flow_time[0] > self.flow_time[1]:
            raise UsageError(f"train.flow_time must rise, as [0.5,2], not {list(self.flow_time)}.")


def train_config(options: dict) -> TrainConfig:
    """A `TrainConfig` from a mapping. Raises `UsageError` for an option it does not have."""
    return from_mapping(TrainConfig, options, "train.")
