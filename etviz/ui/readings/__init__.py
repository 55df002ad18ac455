"""What the page can ask of a scene. One file a view; each reading takes (service, question) and gives plain data."""

from etviz.ui.readings.attention import read_attention
from etviz.ui.readings.descent import read_descent
from etviz.ui.readings.export import read_export
from etviz.ui.readings.gallery import read_gallery
from etviz.ui.readings.memories import read_memories, read_memories_of_patch, read_memory_places
from etviz.ui.readings.quality import read_quality

READINGS = {
    "trace": read_descent,
    "export": read_export,
    "gallery": read_gallery,
    "quality": read_quality,
    "attention": read_attention,
    "memories": read_memories,
    "memories_of_patch": read_memories_of_patch,
    "memory_places": read_memory_places,
}
