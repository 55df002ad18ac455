"""Several matrices used in both directions: up, from a state to queries, keys and memories; down, back to the state."""

from collections.abc import Sequence
from functools import reduce

import torch
import torch.nn.functional as F
from torch import Tensor


class Projection:
    """Products up with every W^T at once and down with the same W, for weights W_i (R_i, D). Differentiable."""

    def __init__(self, weights: Sequence[Tensor]):
        self.weights = weights
        self.sizes = [len(weight) for weight in weights]
        self.stacked = torch.cat(list(weights))  # one large product up is faster than several

    def up(self, g: Tensor) -> Sequence[Tensor]:
        """(B, N, D) -> one (B, N, R_i) for each weight."""
        return F.linear(g, self.stacked).split(self.sizes, dim=2)

    def down(self, pulls: Sequence[Tensor]) -> Tensor:
        """One (B, N, R_i) for each weight -> their sum (B, N, D). Stacking would copy every pull."""
        return reduce(torch.add, map(torch.matmul, pulls, self.weights))


class PackedProjection(Projection):
    """The same by oneDNN, with weights laid out for it once: for inference in float32 on a CPU.

    PyTorch's ordinary float32 products use another library, which runs at less than half of oneDNN's rate on some
    processors, such as AMD's with AVX-512.
    """

    def __init__(self, weights: Sequence[Tensor]):
        super().__init__(weights)
        pack = torch.ops.mkldnn._reorder_linear_weight
        self.packed_up = pack(self.stacked)
        self.packed_down = [pack(weight.detach().t().contiguous()) for weight in weights]

    def up(self, g: Tensor) -> Sequence[Tensor]:
        return _linear(g, self.packed_up).split(self.sizes, dim=2)

    def down(self, pulls: Sequence[Tensor]) -> Tensor:
        return reduce(torch.add, map(_linear, pulls, self.packed_down))


def make_projection(weights: Sequence[Tensor]) -> Projection:
    """The fastest `Projection` possible here: a packed one if nothing is differentiated or compiled."""
    return PackedProjection(weights) if _can_pack(weights[0]) else Projection(weights)


def _can_pack(weight: Tensor) -> bool:
    return (
        not torch.compiler.is_compiling()
        and not torch.is_grad_enabled()
        and weight.device.type == "cpu"
        and weight.dtype == torch.float32
        and not torch.is_autocast_enabled("cpu")
        and torch.backends.mkldnn.is_available()
        and torch.backends.mkldnn.enabled
        and hasattr(torch.ops.mkldnn, "_linear_pointwise")
    )


def _linear(x: Tensor, packed: Tensor) -> Tensor:
    return torch.ops.mkldnn._linear_pointwise(x, packed, None, "none", [], "")
