"""The page's pure modules, tested in Node: see tests/js. What needs a page is in tests/browser."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

NO_NODE = "the tests of the page's modules need node on the PATH"
ROOT = Path(__file__).parents[1]


def test_the_page_modules_pass_their_own_tests():
    node = shutil.which("node")
    if node is None:
        (pytest.fail if os.environ.get("ETVIZ_REQUIRE_NODE") == "1" else pytest.skip)(NO_NODE)
    tests = sorted(str(path.relative_to(ROOT)) for path in (ROOT / "tests/js").glob("*.test.js"))
    assert tests
    done = subprocess.run([node, "--test", *tests], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
