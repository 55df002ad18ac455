"""A training in retrospect: the same images and masks rebuilt by each of its snapshots."""

import os
from collections.abc import Iterator
from dataclasses import dataclass

from torch import Tensor

from etviz.checkpoints import list_snapshots, load_model, snapshot_metadata
from etviz.errors import UsageError
from etviz.metrics import masked_mse


@dataclass(kw_only=True)
class SnapshotFrame:
    """What one snapshot makes of the images."""

    snapshot: str  # file name
    epoch: float
    images_seen: int
    reconstruction: Tensor  # (B, C, H, W) in [0, 1], visible patches predicted too
    masked_mse: Tensor  # (B,)  over hidden pixels in [0, 1]


def snapshot_frames(run: str | os.PathLike, images: Tensor, mask: Tensor) -> Iterator[SnapshotFrame]:
    """The snapshots of a run folder or shipped checkpoint, oldest first, loaded one at a time.

    Snapshots hold half-precision weights, so the last one may differ slightly from the checkpoint.

    Args:
        run: as `etviz.load_model` takes it.
        images: (B, C, H, W) in [0, 1].
        mask: (B, N) bool, True = hidden.

    Raises:
        UsageError: no such run, or one without snapshots; images or masks that do not fit its model.
    """
    names = list_snapshots(run)
    if not names:
        raise UsageError(f"{str(run)!r} has no snapshots: train with train.snapshots of 1 or more.")
    return (_frame(run, name, images, mask) for name in names)


def _frame(run: str | os.PathLike, name: str, images: Tensor, mask: Tensor) -> SnapshotFrame:
    reconstruction = load_model(run, snapshot=name).reconstruct(images, mask)
    about = snapshot_metadata(run, name)
    return SnapshotFrame(
        snapshot=name,
        epoch=float(about["epoch"]),
        images_seen=int(about["images"]),
        reconstruction=reconstruction,
        masked_mse=masked_mse(images, reconstruction, mask),
    )
