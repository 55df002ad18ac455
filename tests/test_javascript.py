"""The page's pure modules, tested in Node: see tests/js. What needs a page is in tests/browser."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from etviz.ui.bundle import bundle

NO_NODE = "the tests of the page's modules need node on the PATH"
ROOT = Path(__file__).parents[1]


def find_node():
    """Where node is; skips without it, and fails where ETVIZ_REQUIRE_NODE says that there must be one."""
    node = shutil.which("node")
    if node is None:
        (pytest.fail if os.environ.get("ETVIZ_REQUIRE_NODE") == "1" else pytest.skip)(NO_NODE)
    return node


@pytest.mark.parametrize("entry", ["explorer.js", "widget.js", "site.js", "live.js", "engine/worker.js"])
def test_joined_modules_are_one_module(entry, tmp_path):
    """Two of them that declare one name would be none."""
    (tmp_path / "joined.mjs").write_text(bundle(entry), encoding="utf-8")
    done = subprocess.run(
        [find_node(), "--check", tmp_path / "joined.mjs"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


def test_the_page_modules_pass_their_own_tests():
    tests = sorted(str(path.relative_to(ROOT)) for path in (ROOT / "tests/js").glob("*.test.js"))
    assert tests
    done = subprocess.run([find_node(), "--test", *tests], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
