"""The app as a user starts it and a quiet Chromium to open it with: for the browser test and for screenshots."""

import contextlib
import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

APP = Path(__file__).parents[2] / "app.py"
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
# Chromium itself must keep quiet, so that every request seen is the page's.
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
    "--use-fake-device-for-media-stream",
]


@contextlib.contextmanager
def serving(*options: str, **environment: str) -> Iterator[str]:
    """Run app.py on a free port while the context lasts; gives its address."""
    with running(*options, **environment) as (address, _):
        yield address


@contextlib.contextmanager
def running(*options: str, **environment: str) -> Iterator[tuple[str, subprocess.Popen]]:
    """`serving`, and the app's process beside the address."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, str(APP), *options, "--port", str(port)]
    with tempfile.NamedTemporaryFile("w+") as log:
        app = subprocess.Popen(command, stdout=log, stderr=log, env=os.environ | environment)
        try:
            yield wait_for_address(app, Path(log.name)), app
        finally:
            app.terminate()
            app.wait(timeout=30)


def wait_for_address(app: subprocess.Popen, log: Path, patience: int = 90) -> str:
    """What the app prints once it serves; RuntimeError with its output where it ends or takes too long."""
    for _ in range(patience * 10):
        found = re.search(r"etviz is at (http://\S+)", log.read_text())
        if found:
            return found[1]
        if app.poll() is not None:
            break
        time.sleep(0.1)
    raise RuntimeError(f"The app did not start:\n{log.read_text()}")
