"""The descent as a film: every decoded state, as a strip of pictures and as an animated GIF."""

import io
import os
from pathlib import Path

import torch
from matplotlib.figure import Figure
from PIL import Image
from torch import Tensor

from etviz.errors import UsageError
from etviz.files import write_bytes
from etviz.masks import grid_side, mask_to_pixels
from etviz.models import TokenTrace, Trace
from etviz.plots.grids import hide_patches
from etviz.plots.style import INK, TEXT, new_figure, show_image

CELL = 0.72  # inches
GAP = 1  # pixels of the unscaled picture between two images of a GIF
FRAME_MS, HOLD_MS = 180, 1200  # a step; the first and the last state


def complete_frames(trace: TokenTrace, images: Tensor) -> Tensor:
    """Every state, completed by the given pixels where visible: only the hidden patches are the model's work.

    Args:
        trace: of T steps over B images, with frames.
        images: (B, C, H, W) in [0, 1], the ones traced.

    Returns:
        (B, T+1, C, H, W).

    Raises:
        UsageError: the trace has no frames, or others than of these images.
    """
    if not isinstance(trace, Trace):
        raise UsageError("This trace has no frames to show: an encoder's states are not decoded.")
    if trace.frames.shape[0] != images.shape[0] or trace.frames.shape[2:] != images.shape[1:]:
        raise UsageError(f"A trace of {tuple(trace.frames.shape)} frames is not of {tuple(images.shape)} images.")
    patch_size = images.shape[-1] // grid_side(trace.mask.shape[-1])
    hidden = mask_to_pixels(trace.mask, patch_size)[:, None]  # (B, 1, 1, H, W)
    return torch.where(hidden, trace.frames, images[:, None])


def chosen_states(count: int, most: int | None) -> list[int]:
    """The states 0 to ``count`` - 1, or ``most`` of them, evenly spaced, with the first and the last (most >= 2)."""
    if most is None or count <= most:
        return list(range(count))
    return [round(i * (count - 1) / (most - 1)) for i in range(most)]


def film_strip(trace: Trace, images: Tensor, most: int | None = None) -> Figure:
    """One row for each image: the masked input, the completed state at every step (0 = before the first), the original.

    ``most`` is how many states a long descent shows, all of them where None: see `chosen_states`. Other arguments and
    errors as `complete_frames`.
    """
    states = chosen_states(trace.energy.shape[1], most)
    frames = complete_frames(trace, images)[:, states]
    labels = ["masked", *(f"step {state}" for state in states), "original"]
    strips = torch.cat([hide_patches(images, trace.mask)[:, None], frames, images[:, None]], dim=1)
    figure = new_figure(CELL * len(labels), CELL * len(images) + 0.3)
    axes = figure.subplots(len(images), len(labels), squeeze=False)
    for row, strip in zip(axes, strips, strict=True):
        for cell, picture in zip(row, strip, strict=True):
            show_image(cell, picture)
    for cell, label in zip(axes[0], labels, strict=True):
        cell.set_title(label, fontsize=TEXT, color=INK, pad=3)
    return figure


def film_gif(path: str | os.PathLike, trace: Trace, images: Tensor, scale: int = 4) -> None:
    """Write `film_bytes` to ``path``, atomically. Arguments and errors as there."""
    write_bytes(Path(path), film_bytes(trace, images, scale))


def film_bytes(trace: Trace, images: Tensor, scale: int = 4, most: int | None = None) -> bytes:
    """The film as a GIF: the masked inputs on top, the completed states in the middle, the originals beneath.

    It shows every state in turn, the first and the last one longer, and starts again.

    Args:
        trace, images: as `complete_frames`.
        scale: side of a pixel, magnified without smoothing.
        most: how many states of a long descent, as `film_strip` takes it.

    Raises:
        UsageError: as `complete_frames`, or a scale below 1.
    """
    if scale < 1:
        raise UsageError(f"scale must be at least 1, not {scale}.")
    masked = hide_patches(images, trace.mask)
    frames = complete_frames(trace, images)
    states = chosen_states(frames.shape[1], most)
    pictures = [_tile([masked, frames[:, state], images], scale) for state in states]
    palette = _shared_palette(pictures)
    indexed = [picture.quantize(palette=palette, dither=Image.Dither.NONE) for picture in pictures]
    durations = [HOLD_MS, *[FRAME_MS] * (len(indexed) - 2), HOLD_MS] if len(indexed) > 1 else [HOLD_MS]
    file = io.BytesIO()
    indexed[0].save(file, "GIF", save_all=True, append_images=indexed[1:], duration=durations, loop=0, optimize=False)
    return file.getvalue()


def _tile(rows: list[Tensor], scale: int) -> Image.Image:
    """Rows of (B, C, H, W) images, magnified, on white with gaps between them."""
    batch, channels, height, width = rows[0].shape
    step_y, step_x = height + GAP, width + GAP
    canvas = torch.ones(channels, len(rows) * step_y + GAP, batch * step_x + GAP)
    for i, row in enumerate(rows):
        for j, picture in enumerate(row):
            top, left = GAP + i * step_y, GAP + j * step_x
            canvas[:, top : top + height, left : left + width] = picture
    pixels = (canvas.clamp(0, 1) * 255).round().to(torch.uint8).expand(3, -1, -1).permute(1, 2, 0).numpy()
    picture = Image.fromarray(pixels)
    return picture.resize((picture.width * scale, picture.height * scale), Image.Resampling.NEAREST)


def _shared_palette(pictures: list[Image.Image]) -> Image.Image:
    """One palette of 256 colours for the whole film: with a palette for each frame, still pixels would flicker."""
    width, height = pictures[0].size
    reel = Image.new("RGB", (width, height * len(pictures)))
    for index, picture in enumerate(pictures):
        reel.paste(picture, (0, index * height))
    return reel.quantize(256, method=Image.Quantize.MEDIANCUT)
