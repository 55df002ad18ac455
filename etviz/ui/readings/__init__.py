"""What the page can ask of a scene. One file a view; each reading takes (service, question) and gives plain data."""

from etviz.ui.readings.descent import read_descent

READINGS = {
    "trace": read_descent,
}
