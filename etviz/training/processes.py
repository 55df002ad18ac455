"""Which devices train, and whether this process is the first of several: one authority, Lightning Fabric.

Variables such as RANK or SLURM_PROCID count only where a launcher has set all that it sets. One that is left over from
something else decides nothing.
"""

import os
from typing import TYPE_CHECKING, Any

import torch

from etviz.devices import resolve_precision
from etviz.errors import UsageError
from etviz.training.config import TrainConfig

if TYPE_CHECKING:
    from lightning_fabric import Fabric  # otherwise where it is used: it loads Matplotlib's pyplot

STRAY = ("RANK", "LOCAL_RANK", "SLURM_PROCID", "WORLD_SIZE")


def make_fabric(config: TrainConfig) -> "Fabric":
    """Fabric for the configured devices, not launched yet; bf16 where the device computes in it, if precision is auto.

    It knows this process's rank before it is launched. Under torchrun every process that it started takes part.

    Raises:
        UsageError: devices or a precision that cannot be had, or fewer processes than torchrun has started.
    """
    from lightning_fabric import Fabric
    from lightning_fabric.utilities.rank_zero import rank_zero_only

    try:
        hardware = _hardware(config)
        hardware["precision"] = resolve_precision(config.precision, Fabric(**hardware).device)
        fabric = Fabric(**hardware)
    except (ValueError, RuntimeError, TypeError) as error:  # Lightning's MisconfigurationException is a TypeError here
        raise UsageError(f"These devices or this precision cannot be used here: {error}") from error
    started = _started_by_torchrun()
    if started is not None and started != fabric.world_size:
        raise UsageError(
            f"torchrun started {started} processes, but train.devices={config.devices} and train.num_nodes="
            f"{config.num_nodes} make {fabric.world_size}: let them be equal, or leave train.devices=auto."
        )
    rank_zero_only.rank = fabric.global_rank  # Lightning's own guess is from single variables
    return fabric


def _hardware(config: TrainConfig) -> dict[str, Any]:
    hardware: dict[str, Any] = dict(accelerator=config.accelerator, devices=config.devices, num_nodes=config.num_nodes)
    started = _started_by_torchrun()
    if started is None or config.devices != "auto":
        return hardware
    here = int(os.environ["LOCAL_WORLD_SIZE"])  # on a CPU "auto" is one device, whatever torchrun has started
    return hardware | dict(devices=here, num_nodes=started // here)


def _started_by_torchrun() -> int | None:
    """How many processes torchrun has started on all nodes; None where it is not what started this one."""
    return int(os.environ["WORLD_SIZE"]) if torch.distributed.is_torchelastic_launched() else None


def describe_processes(fabric: "Fabric") -> str:
    """How many processes train together, and what was not listened to; empty for the ordinary case."""
    if fabric.world_size > 1:
        return f"{fabric.world_size} processes train together."
    found = [f"{name}={os.environ[name]}" for name in STRAY if os.environ.get(name, "0") not in ("0", "")]
    left = [one for one in found if one != "WORLD_SIZE=1"]  # which is true of a process that trains alone
    return f"One process trains: {', '.join(left)} is set, but no launcher started several." if left else ""
