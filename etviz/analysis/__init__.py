"""What a trained model and a Trace say beyond the reconstruction: pure computation, drawn by `etviz.plots`."""

from etviz.analysis.memories import memory_energy, memory_energy_of_token, memory_patches, top_memories

__all__ = [
    "memory_energy",
    "memory_energy_of_token",
    "memory_patches",
    "top_memories",
]
