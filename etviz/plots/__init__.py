"""Matplotlib figures from tensors, a Trace, an analysis or a run, each a Figure of its own. None touches pyplot."""

from etviz.plots.attention import attention_heads, attention_maps
from etviz.plots.energy import energy_curves, gradient_norm
from etviz.plots.error import energy_and_error
from etviz.plots.film import complete_frames, film_gif, film_strip
from etviz.plots.grids import hide_patches, reconstruction_grid
from etviz.plots.landscape import landscape_line, landscape_plane
from etviz.plots.maps import token_energy_maps
from etviz.plots.memories import memory_grid
from etviz.plots.perturbations import perturbations
from etviz.plots.training import epoch_strip, training_curves

__all__ = [
    "attention_heads",
    "attention_maps",
    "complete_frames",
    "energy_and_error",
    "energy_curves",
    "epoch_strip",
    "film_gif",
    "film_strip",
    "gradient_norm",
    "hide_patches",
    "landscape_line",
    "landscape_plane",
    "memory_grid",
    "perturbations",
    "reconstruction_grid",
    "token_energy_maps",
    "training_curves",
]
