"""What the page can ask of a scene. One file a view; each reading takes (service, question) and gives plain data."""

from etviz.ui.readings.descent import read_descent
from etviz.ui.readings.export import read_export
from etviz.ui.readings.gallery import read_gallery
from etviz.ui.readings.quality import read_quality

READINGS = {
    "trace": read_descent,
    "export": read_export,
    "gallery": read_gallery,
    "quality": read_quality,
}
