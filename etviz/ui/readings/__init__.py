"""What the page can ask of a scene. One file a view; each reading takes (service, question) and gives plain data."""

from etviz.ui.readings.compare import read_compare
from etviz.ui.readings.descent import read_descent
from etviz.ui.readings.training import read_epochs, read_runs, read_training

READINGS = {
    "trace": read_descent,
    "compare": read_compare,
    "runs": read_runs,
    "training": read_training,
    "epochs": read_epochs,
}
