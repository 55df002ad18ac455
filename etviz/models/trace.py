"""The record of one descent, decoded: what every plot, analysis and reading of an Energy Transformer starts from."""

from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from etviz.models.descent import DescentSettings, Record

CLS = -1  # what `Trace.patch_index` says of the CLS token
PADDING = -2  # and of a token that does not exist


@dataclass(kw_only=True)
class TokenTrace:
    """One descent of T steps for B images; index 0 on the step axis is the state before the first step.

    N counts tokens, CLS first. With several blocks the steps follow one another, and each state is evaluated by the
    energy about to be descended (the last state by the last energy): compare energies within a block only. T is
    depth * steps, or less where a tolerance ended a block early.

    An image has settled at the first step of the last block whose state has a stationarity of at most
    tolerance * |gamma| * gradient_norm: that share of the gradient is what is left along the sphere of token
    directions. The rest points out of the sphere and only stretches tokens.
    """

    energy: Tensor  # (B, T+1)  attention_energy.sum(-1) + hopfield_energy.sum(-1)
    attention_energy: Tensor  # (B, T+1, N)  by query token
    hopfield_energy: Tensor  # (B, T+1, N)  by token
    attention: Tensor | None  # (B, T+1, H, N, N)  softmax over keys (last axis); None with keep_attention=False
    tokens: Tensor  # (B, T+1, N, D)  the state x
    gradient_norm: Tensor  # (B, T+1)  ||dE/dg||
    stationarity: Tensor  # (B, T+1)  ||dE/dz|| by the tokens' directions, `EnergyLayerNorm.along_sphere`; 0: stationary
    step_sizes: Tensor  # (B, T)  the step taken: what was asked for, or less by backtracking, down to 0
    settled: Tensor  # (B,)  the step at which the image has settled; -1: it has not, or no tolerance was given
    block: Tensor  # (T+1,)  which block's energy a state is evaluated by
    settings: DescentSettings  # how this descent was made, with the model's own values filled in
    mask: Tensor  # (B, num_patches) bool, True = hidden
    patch_index: Tensor  # (B, N)  which patch a token is; -1 = CLS, -2 = padding

    def __len__(self) -> int:
        """Number of states, T + 1."""
        return self.energy.shape[1]

    @property
    def beta(self) -> float:
        """The inverse temperature that the energies were evaluated with."""
        return self.settings.beta

    def rises(self) -> Tensor:
        """(B, T) bool: the steps that raised the energy (within one block's energy), or lost it to NaN."""
        same_energy = (self.block[1:] == self.block[:-1]).to(self.energy.device)
        return ~(self.energy[:, 1:] <= self.energy[:, :-1]) & same_energy


@dataclass(kw_only=True)
class Trace(TokenTrace):
    """A descent whose states are decoded to images: what `EnergyModel.trace` returns."""

    frames: Tensor  # (B, T+1, C, H, W)  the decoded state, in [0, 1]
    encoder: TokenTrace | None = None  # et_asym: the encoder's descent over CLS and the visible patches


def token_fields(record: Record, settings: DescentSettings, mask: Tensor, patch_index: Tensor) -> dict[str, Any]:
    """The fields of a `TokenTrace` from its record; the energy is the sum of its parts by construction."""
    energy = record.attention_energy.sum(-1) + record.hopfield_energy.sum(-1)
    return dict(energy=energy, settings=settings, mask=mask, patch_index=patch_index, **vars(record))


STATES = ("energy", "attention_energy", "hopfield_energy", "tokens", "gradient_norm", "stationarity", "frames")


def joined_traces(begun: Trace, rest: Trace) -> Trace:
    """One descent of a single block from its first steps and those that went on from their last state.

    Both without attention. The same numbers, to the bit, as those of the whole descent at once: a step depends on the
    state that it starts from, and on nothing before.
    """
    parts = {name: torch.cat([getattr(begun, name)[:, :-1], getattr(rest, name)], dim=1) for name in STATES}
    sizes = torch.cat([begun.step_sizes, rest.step_sizes], dim=1)
    settings = replace(rest.settings, steps=begun.settings.steps + rest.settings.steps)
    block = torch.cat([begun.block[:-1], rest.block])
    return replace(rest, **parts, step_sizes=sizes, settings=settings, block=block, encoder=begun.encoder)
