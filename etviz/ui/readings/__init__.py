"""What the page can ask of a scene. One file a view; each reading takes (service, question) and gives plain data."""

from etviz.ui.readings.descent import read_descent
from etviz.ui.readings.export import read_export

READINGS = {
    "trace": read_descent,
    "export": read_export,
}
