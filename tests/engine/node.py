"""Asks the page's own engine in node."""

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest

HERE = Path(__file__).resolve().parent
ENGINE = HERE.parents[1] / "etviz/ui/page/engine"
NO_NODE = "the tests of the page's engine need node on the PATH"


def node() -> str:
    """Where node is; skips where it is not, and fails where ETVIZ_REQUIRE_NODE says that it must be."""
    found = shutil.which("node")
    if found is None:
        (pytest.fail if os.environ.get("ETVIZ_REQUIRE_NODE") == "1" else pytest.skip)(NO_NODE)
    return found


def ask(folder: Path, questions: list[dict]) -> list[dict]:
    """The engine's answers from a folder that `write_site` wrote."""
    (folder / "questions.json").write_text(json.dumps(questions))
    command = [node(), str(HERE / "answer.js"), str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert not done.stderr, done.stderr  # an error of the engine's own is on its console
    return json.loads(done.stdout)


def run_script(source: str, *arguments: str, engine: Path = ENGINE) -> object:
    """What a module prints in JSON; `source` imports the engine's modules from "engine/"."""
    source = source.replace('"engine/', f'"{engine.as_uri()}/')
    command = [node(), "--input-type=module", "-e", source, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)
