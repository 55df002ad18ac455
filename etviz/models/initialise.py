"""Where training starts, for the models that follow MAE's official code."""

import torch
from torch import nn


@torch.no_grad()
def xavier_(model: nn.Module) -> None:
    """Every linear layer and patch embedding uniform by Xavier's rule, its bias zero, in place."""
    for module in model.modules():
        if isinstance(module, nn.Linear | nn.Conv2d):
            nn.init.xavier_uniform_(module.weight.flatten(1))  # a patch embedding is a linear layer of its patch
            if module.bias is not None:
                nn.init.zeros_(module.bias)
