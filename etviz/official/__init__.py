"""The weights that the authors of the Energy Transformer publish: fetched, checked, and written as checkpoints."""

from etviz.official.fetching import blob_id, fetch
from etviz.official.installing import adopt, install, place_for
from etviz.official.layouts import Archive, read_archive
from etviz.official.sources import SOURCES, Source

__all__ = ["SOURCES", "Archive", "Source", "adopt", "blob_id", "fetch", "install", "place_for", "read_archive"]
