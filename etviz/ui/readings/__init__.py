"""What the page can ask, one file for each view. A reading takes a `Backend` and a question, and returns plain data."""

from collections.abc import Callable

from etviz.ui.protocol import Backend
from etviz.ui.readings.attention import read_attention
from etviz.ui.readings.compare import read_compare
from etviz.ui.readings.descent import read_descent, read_first_steps
from etviz.ui.readings.download import read_download
from etviz.ui.readings.energy import read_energy_band, read_token_energies
from etviz.ui.readings.export import read_export
from etviz.ui.readings.gallery import read_gallery
from etviz.ui.readings.guide import read_choices, read_memory_sheet
from etviz.ui.readings.landscape import read_energy_plane, read_gradient_lines, read_perturbations
from etviz.ui.readings.memories import read_memories, read_memories_of_patch, read_memory_places, read_memory_use
from etviz.ui.readings.quality import read_quality
from etviz.ui.readings.training import read_epochs, read_runs, read_training

READINGS: dict[str, Callable[[Backend, dict], dict]] = {
    "trace": read_descent,
    "first_steps": read_first_steps,
    "export": read_export,
    "download": read_download,
    "gallery": read_gallery,
    "quality": read_quality,
    "attention": read_attention,
    "memories": read_memories,
    "memories_of_patch": read_memories_of_patch,
    "memory_places": read_memory_places,
    "memory_use": read_memory_use,
    "gradient_lines": read_gradient_lines,
    "energy_plane": read_energy_plane,
    "perturbations": read_perturbations,
    "memory_sheet": read_memory_sheet,
    "choices": read_choices,
    "compare": read_compare,
    "runs": read_runs,
    "training": read_training,
    "epochs": read_epochs,
    "token_energies": read_token_energies,
    "energy_band": read_energy_band,
}
