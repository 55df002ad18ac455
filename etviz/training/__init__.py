"""Training a model: `fit` is the loop. Commands and notebooks both call it; it knows nothing of Hydra.

config says how to train, processes on which devices, batches what one step trains on. loop is the training itself,
stopping ends it early, saving writes the run folder, which claim keeps for one process, and resume saves and restores
the state. state is what callbacks are told, and callbacks show it.
"""

from etviz.checkpoints import history_csv, read_history
from etviz.data import CROP_PADDING, holdout_split
from etviz.devices import cpu_has_bf16, describe_device, resolve_precision
from etviz.training.batches import TrainStep
from etviz.training.callbacks import ProgressBar, TensorBoard
from etviz.training.claim import abandon, claim, is_empty
from etviz.training.config import MASK_SEED, Decay, TrainConfig, train_config
from etviz.training.loop import (
    check_sizes,
    fingerprint,
    fit,
    is_milestone,
    learning_rate,
    snapshot_steps,
    validation_split,
)
from etviz.training.optimizers import make_optimizers
from etviz.training.processes import describe_processes, make_fabric
from etviz.training.resume import LAST, STATE, load_last, save_last
from etviz.training.saving import make_card
from etviz.training.state import Callback, State

__all__ = [
    "CROP_PADDING",
    "LAST",
    "MASK_SEED",
    "STATE",
    "Callback",
    "Decay",
    "ProgressBar",
    "State",
    "TensorBoard",
    "TrainConfig",
    "TrainStep",
    "abandon",
    "check_sizes",
    "claim",
    "cpu_has_bf16",
    "describe_device",
    "describe_processes",
    "fingerprint",
    "fit",
    "history_csv",
    "holdout_split",
    "is_empty",
    "is_milestone",
    "learning_rate",
    "load_last",
    "make_card",
    "make_fabric",
    "make_optimizers",
    "read_history",
    "resolve_precision",
    "save_last",
    "snapshot_steps",
    "train_config",
    "validation_split",
]
