"""Run notebooks in full on the data at hand, and write them back as they are committed: make execute."""

import argparse
import os
import time
from pathlib import Path

import nbformat
from nbclient import NotebookClient

FOLDER = Path(__file__).parent.parent / "notebooks"
LIMIT = 900  # seconds a cell, on a busy machine
METADATA = {
    "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
    "language_info": {"name": "python"},
}
WIDGET = "application/vnd.jupyter.widget-view+json"


def main() -> None:
    """Execute those named, or all."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", help='how their names begin, as in "02 07"; all where left out')
    names = tuple(parser.parse_args().names) or ("",)
    os.environ.pop("ETVIZ_NOTEBOOK_BUDGET", None)
    for path in sorted(FOLDER.glob("*.ipynb")):
        if path.name.startswith(names):
            started = time.monotonic()
            execute(path)
            print(f"{path.name}: {time.monotonic() - started:.0f} s", flush=True)


def execute(path: Path) -> None:
    """Run a notebook from its own folder; the file is written only if every cell runs."""
    notebook = nbformat.read(path, as_version=4)
    place = {"metadata": {"path": str(path.parent)}}
    options = {"coalesce_streams": True, "record_timing": False, "store_widget_state": False}
    NotebookClient(notebook, timeout=LIMIT, kernel_name="python3", resources=place, **options).execute()
    nbformat.write(plain(notebook), path)


def plain(notebook: nbformat.NotebookNode) -> nbformat.NotebookNode:
    """The notebook without what belongs to one run: times, hidden settings, and views of widgets that are gone.

    Where a widget was, its picture stays: an editor that finds a view without its widget shows an error in its place.
    """
    notebook.metadata = nbformat.from_dict(METADATA)
    for cell in notebook.cells:
        cell.metadata = nbformat.from_dict({})
        for output in cell.get("outputs", []):
            output.get("data", {}).pop(WIDGET, None)
    return notebook


if __name__ == "__main__":
    main()
