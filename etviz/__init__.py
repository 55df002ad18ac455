"""etviz: an interactive explorer for Energy Transformers that rebuild masked images."""

from etviz.errors import UsageError, quiet_imports

quiet_imports()  # before anything that takes time

from etviz.checkpoints import list_checkpoints, load_model
from etviz.data import load_dataset
from etviz.masks import (
    block_mask,
    center_mask,
    grid_mask,
    half_mask,
    mask_from_hex,
    mask_from_image,
    mask_to_hex,
    mask_to_image,
    random_mask,
)
from etviz.models import Trace, complete, create_model
from etviz.version import __version__

__all__ = [
    "Trace",
    "UsageError",
    "__version__",
    "block_mask",
    "center_mask",
    "complete",
    "create_model",
    "grid_mask",
    "half_mask",
    "list_checkpoints",
    "load_dataset",
    "load_model",
    "mask_from_hex",
    "mask_from_image",
    "mask_to_hex",
    "mask_to_image",
    "random_mask",
]
