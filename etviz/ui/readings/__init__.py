"""What the page can ask of a scene. One file a view; each reading takes (service, question) and gives plain data."""

from etviz.ui.readings.descent import read_descent
from etviz.ui.readings.energy import read_energy_band, read_token_energies

READINGS = {
    "trace": read_descent,
    "token_energies": read_token_energies,
    "energy_band": read_energy_band,
}
