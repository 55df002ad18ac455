"""What a trained model and a Trace say beyond the reconstruction: pure computation, drawn by `etviz.plots`."""

from etviz.analysis.landscape import EnergyPlane, GradientLine, energy_along_gradient, energy_plane
from etviz.analysis.memories import memory_energy, memory_energy_of_token, memory_patches, top_memories
from etviz.analysis.perturbations import Perturbations, perturbed_descents

__all__ = [
    "EnergyPlane",
    "GradientLine",
    "Perturbations",
    "energy_along_gradient",
    "energy_plane",
    "memory_energy",
    "memory_energy_of_token",
    "memory_patches",
    "perturbed_descents",
    "top_memories",
]
