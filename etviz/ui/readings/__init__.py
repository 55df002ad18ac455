"""What the page can ask of a scene. One file a view; each reading takes (service, question) and gives plain data."""

from etviz.ui.readings.attention import read_attention
from etviz.ui.readings.descent import read_descent
from etviz.ui.readings.memories import read_memories, read_memories_of_patch, read_memory_places

READINGS = {
    "trace": read_descent,
    "attention": read_attention,
    "memories": read_memories,
    "memories_of_patch": read_memories_of_patch,
    "memory_places": read_memory_places,
}
