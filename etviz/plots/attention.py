"""Attention of one patch over the patch grid, in both of its roles: as a query and as a key."""

import math
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize, PowerNorm
from matplotlib.figure import Figure, SubFigure
from matplotlib.patches import Rectangle
from torch import Tensor

from etviz.analysis.attention import attention_roles
from etviz.analysis.inputs import check_place
from etviz.masks import grid_side
from etviz.models import Trace
from etviz.plots.grids import hide_patches
from etviz.plots.style import HEAT, INK, SMALL, TEXT, VERMILION, bare, colorbar, new_figure, show_image

ROLES = {"query": "as a query: where patch {} looks", "key": "as a key: who looks at patch {}"}
CLS_LEFT = -2.0  # of the CLS token's square, in patches
CELL = 1.15  # inches, of one head


@dataclass
class _Role:
    """The attention of one patch in one role."""

    title: str
    cls: Tensor  # (H,)
    patches: Tensor  # (H, side, side)


def attention_maps(trace: Trace, images: Tensor, query: int, image: int = 0, step: int = -1) -> Figure:
    """Mean over heads of one patch's attention, in both roles, beside the masked image with the patch outlined.

    As a query, the weights are one row of the softmax and sum to 1 over patches and CLS. As a key, they are one column:
    how much each query gives to this patch. The square beside the grid is the CLS token. Its weight is also written
    out, because the scale is that of the patches. Weights have no unit.

    Args:
        trace: with attention (B, T+1, H, N, N) over CLS and all patches.
        images: (B, C, H, W) in [0, 1], the ones traced.
        query: the patch, numbered row by row from 0.
        image: which of the B images.
        step: which state; -1 is the last.

    Raises:
        UsageError: the trace keeps no attention or leaves patches out, or there is no such patch, image or step.
    """
    roles = _roles(trace, query, image, step)
    figure = new_figure(7.6, 2.6)
    picture, *panels = figure.subplots(1, 3, width_ratios=[1, 1.35, 1.35])
    _draw_query(picture, trace, images, query, image)
    for axes, role in zip(panels, roles, strict=True):
        norm = Normalize(0, role.patches.mean(0).max().item())
        _draw_map(axes, role.patches.mean(0), query, norm)
        _draw_cls(axes, role.cls.mean().item(), role.patches.shape[1], norm)
        axes.set_title(role.title, fontsize=TEXT, color=INK)
        colorbar(figure, axes, norm, "mean weight over heads")
    return figure


def attention_heads(trace: Trace, images: Tensor, query: int, image: int = 0, step: int = -1) -> Figure:
    """`attention_maps` head by head. All heads of a role share one scale, a square root, so that weak ones show."""
    roles = _roles(trace, query, image, step)
    heads = roles[0].patches.shape[0]
    columns = min(6, heads)
    rows = math.ceil(heads / columns)
    height = 2 * (CELL * rows + 0.35)
    figure = new_figure(CELL * columns + 2.9, height)
    left, right = figure.subfigures(1, 2, squeeze=False, width_ratios=[1.9, CELL * columns + 1.0])[0]
    _draw_query(left.subplots(), trace, images, query, image)
    for block, role in zip(right.subfigures(2, 1), roles, strict=True):
        _draw_heads(block, role, query, rows, columns)
    return figure


def _roles(trace: Trace, query: int, image: int, step: int) -> tuple[_Role, _Role]:
    """The attention by and to one patch: N = 1 + patches tokens, CLS first."""
    check_place(trace, image, step)
    roles = attention_roles(trace, query, image)
    side = grid_side(trace.mask.shape[1])

    def role(name: str, weights: Tensor) -> _Role:  # (H, N)
        weights = weights.float().cpu()
        return _Role(ROLES[name].format(query), weights[:, 0], weights[:, 1:].reshape(-1, side, side))

    return role("query", roles.as_query[step]), role("key", roles.as_key[step])


def _draw_query(axes: Axes, trace: Trace, images: Tensor, query: int, image: int) -> None:
    """The masked image with the query patch outlined."""
    show_image(axes, hide_patches(images[[image]], trace.mask[[image]])[0])
    side = grid_side(trace.mask.shape[1])
    patch_size = images.shape[-1] / side
    row, column = divmod(query, side)
    corner = (column * patch_size - 0.5, row * patch_size - 0.5)
    axes.add_patch(Rectangle(corner, patch_size, patch_size, fill=False, edgecolor=VERMILION, linewidth=1.8))
    axes.set_title(f"patch {query}, {'hidden' if trace.mask[image, query] else 'visible'}", fontsize=TEXT, color=INK)


def _draw_heads(block: SubFigure, role: _Role, query: int, rows: int, columns: int) -> None:
    """All heads of one role on one scale, each with its weight for CLS in the title."""
    norm = PowerNorm(0.5, 0, role.patches.max().item())
    block.suptitle(role.title, fontsize=TEXT, color=INK)
    panels = list(block.subplots(rows, columns, squeeze=False).flatten())
    for head, (weights, cls) in enumerate(zip(role.patches, role.cls.tolist(), strict=True)):
        _draw_map(panels[head], weights, query, norm)
        panels[head].set_title(f"head {head}, CLS {cls:.2f}", fontsize=SMALL, color=INK, pad=2)
    for axes in panels[len(role.patches) :]:
        axes.set_visible(False)
    colorbar(block, panels, norm, "weight")


def _draw_map(axes: Axes, weights: Tensor, query: int, norm: Normalize) -> None:
    """weights (side, side) over the patch grid, the patch itself outlined."""
    axes.imshow(weights.numpy(), cmap=HEAT, norm=norm, interpolation="nearest")
    row, column = divmod(query, weights.shape[1])
    axes.add_patch(Rectangle((column - 0.5, row - 0.5), 1, 1, fill=False, edgecolor=VERMILION, linewidth=1.2))
    bare(axes)


def _draw_cls(axes: Axes, weight: float, side: int, norm: Normalize) -> None:
    """The CLS token's weight as a square to the left of the grid and as a number: it may lie beyond the scale."""
    color = ScalarMappable(norm, HEAT).to_rgba(np.asarray(weight))
    square = Rectangle((CLS_LEFT, -0.5), 1, 1, facecolor=color, edgecolor="none")
    axes.add_patch(square)
    axes.text(CLS_LEFT + 0.5, 0.7, f"CLS\n{weight:.3f}", fontsize=SMALL, color=INK, ha="center", va="top")
    axes.set_xlim(CLS_LEFT - 0.5, side - 0.5)
