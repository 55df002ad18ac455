"""What a run tells: its state, and the callbacks that are told of it."""

import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import cast

from torch.optim.swa_utils import AveragedModel

from etviz.errors import UsageError
from etviz.models import MaskedImageModel
from etviz.training.config import TrainConfig


@dataclass
class State:
    """What callbacks see: where the run is. Everything in it is the run's own, to read, not to change."""

    model: MaskedImageModel
    config: TrainConfig
    total_steps: int
    steps_per_epoch: int
    run: Path | None
    device: str = "cpu"
    precision: str = "32-true"  # what "auto" became
    data: str = ""  # `fingerprint` of the train split
    step: int = 0
    seconds: float = 0.0  # of training so far, earlier parts of a resumed run included
    train_loss: float = math.nan  # mean since the last log, over all processes
    gradient_norm: float = math.nan
    lr: float = 0.0
    images_per_second: float = math.nan
    best_mse: float = math.inf
    skipped: int = 0  # steps that were left out, since their gradient was not finite
    saved: int | None = None  # the step whose state was saved last
    history: list[dict] = field(default_factory=list)  # a row for each validation, as in history.csv
    average: AveragedModel | None = None  # of the weights, where config.ema says so

    @property
    def shipped(self) -> MaskedImageModel:
        """The weights that are validated, kept and shown: their moving average where there is one."""
        return self.model if self.average is None else cast("MaskedImageModel", self.average.module)

    @property
    def validated_now(self) -> bool:
        """Whether the last validation was of these weights."""
        return bool(self.history) and self.history[-1]["step"] == self.step

    @property
    def folder(self) -> Path:
        """The run's folder. Raises `UsageError` where it has none."""
        if self.run is None:
            raise UsageError("This training has no folder: give run.")
        return self.run

    @property
    def epoch(self) -> float:
        """Epochs done, with fraction."""
        return self.step / self.steps_per_epoch

    @property
    def images_seen(self) -> int:
        """Images trained on so far."""
        return self.step * self.config.batch_size


class Callback:
    """Base class: override what you need. All are called on the first process only."""

    def on_start(self, state: State) -> None:
        """Before the first step."""

    def on_log(self, state: State) -> None:
        """Every ``log_every`` steps: train_loss, gradient_norm and images_per_second are fresh."""

    def on_validation(self, state: State) -> None:
        """After a validation: ``state.history[-1]`` is fresh."""

    def on_end(self, state: State) -> None:
        """After the last step, or on the way out of a run that was interrupted or failed."""
