"""Matplotlib figures of tensors, a trace, an analysis or a run. Each function returns a Figure; none uses pyplot."""

from etviz.plots.anomaly import anomaly_maps
from etviz.plots.attention import attention_heads, attention_maps
from etviz.plots.classes import class_dots
from etviz.plots.energy import compare_descents, energy_curves, gradient_norm
from etviz.plots.error import energy_and_error
from etviz.plots.film import complete_frames, film_bytes, film_gif, film_strip
from etviz.plots.grids import comparison_grid, hide_patches, reconstruction_grid
from etviz.plots.landscape import landscape_line, landscape_plane
from etviz.plots.maps import token_energy_maps
from etviz.plots.memories import memory_grid, memory_places
from etviz.plots.perturbations import perturbations
from etviz.plots.ratios import ratio_curves
from etviz.plots.robustness import robustness_panels
from etviz.plots.scores import difference_intervals, score_histogram
from etviz.plots.svg import svg_bytes
from etviz.plots.training import epoch_strip, learning_rates, training_curves

__all__ = [
    "anomaly_maps",
    "attention_heads",
    "attention_maps",
    "class_dots",
    "compare_descents",
    "comparison_grid",
    "complete_frames",
    "difference_intervals",
    "energy_and_error",
    "energy_curves",
    "epoch_strip",
    "film_bytes",
    "film_gif",
    "film_strip",
    "gradient_norm",
    "hide_patches",
    "landscape_line",
    "landscape_plane",
    "learning_rates",
    "memory_grid",
    "memory_places",
    "perturbations",
    "ratio_curves",
    "reconstruction_grid",
    "robustness_panels",
    "score_histogram",
    "svg_bytes",
    "token_energy_maps",
    "training_curves",
]
