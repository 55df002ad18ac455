"""Muon (Jordan et al. 2024): steps whose directions are orthogonalised, for the matrices of a network's layers."""

from collections.abc import Iterable
from itertools import groupby

import torch
from torch import Tensor

COEFFICIENTS = (3.4445, -4.7750, 2.0315)  # of the quintic that draws singular values towards 1
ITERATIONS = 5
RMS = 0.2  # of an update's entries, about AdamW's: a learning rate and a decay then mean what they mean for AdamW


class Muon(torch.optim.Optimizer):
    """Momentum whose update is replaced by the nearest orthogonal matrix, about, and scaled to AdamW's length.

    PyTorch has one too (2.9 and newer), for two-dimensional parameters only. Parameters here are matrices (R, C), or
    stacks of them (H, R, C) as of heads, each of which is orthogonalised by itself.

    Args:
        params: of two or three dimensions.
        lr: scales an update whose entries have a root mean square of about 0.2.
        momentum: with Nesterov's look ahead.
        weight_decay: decoupled, times lr.
    """

    def __init__(self, params: Iterable, lr: float = 5e-3, momentum: float = 0.95, weight_decay: float = 0.0):
        super().__init__(params, dict(lr=lr, momentum=momentum, weight_decay=weight_decay))

    @torch.no_grad()
    def step(self, closure=None) -> None:
        """One update of every parameter that has a gradient; none where ``found_inf``, set from outside, is 1.

        Fused AdamW knows the same attribute: a step can be left out without waiting for the device.
        """
        skip = getattr(self, "found_inf", None)
        for group in self.param_groups:
            moving = [(p, p.grad) for p in group["params"] if p.grad is not None]
            directions = [(p, self._direction(p, gradient, group["momentum"], skip)) for p, gradient in moving]
            by_shape = sorted(directions, key=_matrix_shape)
            for shape, pairs in groupby(by_shape, key=_matrix_shape):
                _move(list(pairs), group["lr"] * RMS * max(shape) ** 0.5, group["lr"] * group["weight_decay"], skip)

    def _direction(self, parameter: Tensor, gradient: Tensor, momentum: float, skip: Tensor | None) -> Tensor:
        """The momentum, one gradient ahead of itself."""
        state = self.state[parameter]
        if "momentum" not in state:
            state["momentum"] = torch.zeros_like(parameter)
        _put(state["momentum"], state["momentum"].lerp(gradient, 1 - momentum), skip)
        return gradient.lerp(state["momentum"], momentum)


def _matrix_shape(pair: tuple[Tensor, Tensor]) -> tuple[int, int]:
    return pair[0].shape[-2], pair[0].shape[-1]


def _put(old: Tensor, new: Tensor, skip: Tensor | None) -> None:
    """``new`` in place of ``old``, unless ``skip`` is 1."""
    old.copy_(new if skip is None else torch.where(skip.bool(), old, new))


def _move(pairs: list[tuple[Tensor, Tensor]], length: float, decay: float, skip: Tensor | None) -> None:
    """Parameters whose matrices have one shape, a stack together: many small products are slow."""
    stacks = [direction.reshape(-1, *direction.shape[-2:]) for _, direction in pairs]
    updates = orthogonalised(torch.cat(stacks)).split([len(stack) for stack in stacks])
    for (parameter, _), update in zip(pairs, updates, strict=True):
        _put(parameter, (parameter * (1 - decay)).add_(update.view_as(parameter), alpha=-length), skip)


def orthogonalised(matrices: Tensor) -> Tensor:
    """U V^T of each matrix U S V^T, about, by Newton and Schulz's iteration in bfloat16: (K, R, C) -> the same.

    Singular values come out between 0.7 and 1.2: the iteration is tuned to be quick, not to be exact.
    """
    a, b, c = COEFFICIENTS
    wide = matrices.shape[-2] <= matrices.shape[-1]
    x = (matrices if wide else matrices.mT).bfloat16()
    x = x / x.flatten(-2).norm(dim=-1).clamp(min=1e-7)[..., None, None]
    for _ in range(ITERATIONS):
        gram = x @ x.mT
        x = a * x + (b * gram + c * gram @ gram) @ x
    return (x if wide else x.mT).to(matrices.dtype)
