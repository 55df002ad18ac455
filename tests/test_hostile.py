"""Archives, pictures and masks that are damaged or meant to harm: one sentence, little time, little memory."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.hostile import read, variants

KINDS = ("archive", "picture", "mask")


@pytest.mark.parametrize("kind", KINDS)
def test_each_file_is_read_or_refused_in_a_sentence(tmp_path, kind):
    """Any exception but `UsageError` fails the test."""
    refused = 0
    for name, content in variants(kind, 90):
        (tmp_path / name).write_bytes(content)
        sentence = read(kind, tmp_path / name)
        check_sentence(sentence, name)
        refused += bool(sentence)
    assert refused > 30


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_many_files_take_little_time_and_memory(kind):
    """Each of 220 below 10 s of computing, and all of them in one process in 600 MB over what the program takes."""
    command = [sys.executable, "-m", "tests.hostile", kind, "220"]
    found = json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
    assert len(found["said"]) == 220
    assert not found["broken"]
    for name, sentence in found["said"].items():
        check_sentence(sentence, name)
    assert found["slowest"] < 10
    assert found["memory"] < 600


def check_sentence(sentence, name):
    assert len(sentence.splitlines()) <= 1
    assert sentence.isprintable()
    assert len(sentence) < 1500
    assert not sentence or Path(name).stem in sentence
