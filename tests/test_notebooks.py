"""The committed notebooks: executed in order, small, and free of what changes from one run to the next.

`make notebooks` runs them, and `make execute` writes what they show into the files.
"""

import itertools
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

nbformat = pytest.importorskip("nbformat", reason="the notebooks' extra is not installed")

FOLDER = Path(__file__).parent.parent / "notebooks"
NOTEBOOKS = sorted(FOLDER.glob("*.ipynb"))
METADATA = {"kernelspec", "language_info"}
LIMIT = 1_000_000  # bytes: beyond, GitHub shows no preview
WIDGET = "application/vnd.jupyter.widget-view+json"
TOO_MUCH = re.compile(
    r"/(?:home|root|tmp|Users|work|mnt)/|Traceback|\x1b\[|\b0x[0-9a-f]{6}"
)  # paths of a machine, errors, terminal codes, addresses in memory


@pytest.fixture(params=NOTEBOOKS, ids=lambda path: path.stem)
def notebook(request):
    return nbformat.read(request.param, as_version=4)


def code(notebook):
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def outputs(notebook):
    return [output for cell in code(notebook) for output in cell.outputs]


def test_there_are_notebooks():
    assert len(NOTEBOOKS) >= 8


def test_every_cell_was_run_once_from_top_to_bottom(notebook):
    nbformat.validate(notebook)
    assert [cell.execution_count for cell in code(notebook)] == list(range(1, len(code(notebook)) + 1))


def test_nothing_in_it_belongs_to_one_run(notebook):
    """No times, no widget state, no hidden settings of an editor: a difference is a difference in content."""
    assert set(notebook.metadata) <= METADATA
    assert set(notebook.metadata.language_info) == {"name"}
    assert all(not cell.metadata for cell in notebook.cells)
    texts = [output.get("text", output.get("data", {}).get("text/plain", "")) for output in outputs(notebook)]
    assert not [text for text in texts if TOO_MUCH.search(text)]
    assert not [
        output for output in outputs(notebook) if output.output_type == "error" or output.get("name") == "stderr"
    ]


def test_a_widget_is_saved_as_a_picture(notebook):
    """The view of a widget whose kernel is gone would be an error message in JupyterLab."""
    assert not [output for output in outputs(notebook) if WIDGET in output.get("data", {})]
    widget = re.compile(r"^(explorer|TrainingMonitor\(.*\))$")
    shown = [cell for cell in code(notebook) if widget.match(cell.source.split("\n")[-1])]
    assert all("image/png" in cell.outputs[-1].data for cell in shown)


def test_what_a_cell_prints_is_one_block(notebook):
    """Two outputs of one stream, one after the other, are shown as two paragraphs, in the middle of a line even."""
    for cell in code(notebook):
        names = [output.get("name") for output in cell.outputs]
        assert not [name for name, following in itertools.pairwise(names) if name and name == following]


def test_it_says_what_it_needs_and_ends_with_questions(notebook):
    first, last = notebook.cells[0].source, notebook.cells[-1].source
    assert "CIFAR" in first
    assert "without" in first
    assert last.startswith("## Three questions to try")
    assert re.findall(r"^\d\.", last, re.MULTILINE) == ["1.", "2.", "3."]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_it_is_small_enough_to_be_shown(path):
    assert os.path.getsize(path) < LIMIT


def test_a_difference_shows_what_was_written_and_nothing_else():
    """As the README has git compare notebooks."""
    pytest.importorskip("nbstripout", reason="the developer's extra is not installed")
    command = [sys.executable, "-m", "nbstripout", "-t", *NOTEBOOKS]
    shown = subprocess.run(command, check=True, capture_output=True).stdout.decode()
    for path in NOTEBOOKS:  # one after the other
        stripped, end = json.JSONDecoder().raw_decode(shown)
        assert end < 40_000
        notebook = nbformat.from_dict(stripped)
        assert [cell.source for cell in nbformat.read(path, 4).cells] == ["".join(c.source) for c in notebook.cells]
        assert not outputs(notebook)
        shown = shown[end:].lstrip()
    assert shown == ""


def test_git_is_told_which_files_are_notebooks():
    assert "*.ipynb diff=ipynb" in (FOLDER.parent / ".gitattributes").read_text().splitlines()
