"""What the page can ask of a scene. One file a view; each reading takes (service, question) and gives plain data."""

from etviz.ui.readings.descent import read_descent
from etviz.ui.readings.guide import read_choices, read_memory_sheet
from etviz.ui.readings.landscape import read_energy_plane, read_gradient_lines, read_perturbations

READINGS = {
    "trace": read_descent,
    "gradient_lines": read_gradient_lines,
    "energy_plane": read_energy_plane,
    "perturbations": read_perturbations,
    "memory_sheet": read_memory_sheet,
    "choices": read_choices,
}
