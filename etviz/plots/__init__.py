"""Matplotlib figures from tensors and a Trace. Every function returns a Figure of its own; none touches pyplot."""

from etviz.plots.attention import attention_heads, attention_maps
from etviz.plots.energy import energy_curves
from etviz.plots.film import complete_frames, film_bytes, film_gif, film_strip
from etviz.plots.grids import hide_patches, reconstruction_grid

__all__ = [
    "attention_heads",
    "attention_maps",
    "complete_frames",
    "energy_curves",
    "film_bytes",
    "film_gif",
    "film_strip",
    "hide_patches",
    "reconstruction_grid",
]
