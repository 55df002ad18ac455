"""Which weights are trained how: what decays, and what Muon moves."""

import torch
from torch import Tensor, nn

from etviz.errors import UsageError
from etviz.models import MaskedImageModel
from etviz.models.energy import EnergyBlock
from etviz.training.config import TrainConfig
from etviz.training.muon import Muon

FUSED = ("cpu", "cuda", "mps")  # AdamW in one kernel, which can leave out a step without waiting for the device
WITH_MATRIX = (nn.Linear, nn.Conv2d, nn.ConvTranspose2d)


def make_optimizers(model: MaskedImageModel, config: TrainConfig, device: torch.device) -> list[torch.optim.Optimizer]:
    """AdamW for all trained weights, or Muon for the matrices of the layers after AdamW for the rest.

    Every group has a ``scale``: its learning rate over config.lr.

    Raises:
        UsageError: Muon is asked for, and the model has no such matrix.
    """
    by_muon = layer_matrices(model) if config.optimizer == "muon" else []
    if config.optimizer == "muon" and not by_muon:
        raise UsageError(f"{model.name} has no layers of matrices for Muon: choose train.optimizer=adamw.")
    taken, decaying = {id(p) for p in by_muon}, {id(p) for p in decayed(model, config)}
    rest = [p for p in model.parameters() if p.requires_grad and id(p) not in taken]
    groups = [
        {"params": [p for p in rest if id(p) in decaying], "weight_decay": config.weight_decay, "scale": 1.0},
        {"params": [p for p in rest if id(p) not in decaying], "weight_decay": 0.0, "scale": 1.0},
    ]
    fused = device.type in FUSED
    adamw = torch.optim.AdamW([g for g in groups if g["params"]], lr=config.lr, betas=config.betas, fused=fused)
    if not by_muon:
        return [adamw]
    muon = Muon(
        [{"params": by_muon, "scale": config.muon_lr / config.lr}], config.muon_lr, weight_decay=config.weight_decay
    )
    return [adamw, muon]


def decayed(model: MaskedImageModel, config: TrainConfig) -> list[Tensor]:
    """The weights that decay: those of linear layers, convolutions and energies, or all as config.decay says."""
    return list(model.parameters()) if config.decay == "all" else _matrices(model)


def layer_matrices(model: nn.Module) -> list[Tensor]:
    """What Muon is for: matrices inside a network, in its lists of equal layers; no embedding and no last layer."""
    lists = [module for module in model.modules() if isinstance(module, nn.ModuleList)]
    found = {id(p): p for layers in lists for p in _matrices(layers) if p.ndim in (2, 3)}
    return list(found.values())


def _matrices(model: nn.Module) -> list[Tensor]:
    weights = []
    for module in model.modules():
        if isinstance(module, WITH_MATRIX):
            weights.append(module.weight)
        elif isinstance(module, EnergyBlock):
            weights += [module.query, module.key, module.memories]
    return [weight for weight in weights if weight.requires_grad]
