"""What a number depends on: the command, the weights, the code, the libraries and the machine."""

import hashlib
import platform
import shlex
import subprocess
from collections.abc import Iterable, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import torch

from etviz.checkpoints import WEIGHTS, find_checkpoint
from etviz.devices import describe_device
from etviz.version import __version__

HERE = Path(__file__).resolve().parent.parent  # etviz
LIBRARIES = (
    *("torch", "torchvision", "numpy", "scipy", "scikit-learn"),
    *("torchmetrics", "torch-fidelity", "lpips", "matplotlib"),
)


# options that say where to read, compute and write, not what to measure
PLACES = ("out", "report", "json", "force", "data", "device", "weights")


def made_from(form: str, module: str, argv: Sequence[str], checkpoints: Iterable[str]) -> dict:
    """What a page's numbers were made from: `python -m benchmarks.results` remakes a page once one of these differs.

    Args:
        form: the name and version of the JSON's format.
        module, argv: of the command.
        checkpoints: those that it loaded.

    Raises:
        UsageError: there is no such checkpoint.
    """
    weights = {name: weights_digest(name) for name in checkpoints}
    return {"format": form, "command": command_line(module, argv), "weights": weights}


def command_line(module: str, argv: Sequence[str]) -> str:
    """The command that gives the same numbers, without the options of `PLACES`."""
    kept = [argument for argument in argv if argument.partition("=")[0].lstrip("-").split(".")[0] not in PLACES]
    return shlex.join(["python", "-m", module, *kept])


def provenance(device: torch.device) -> dict:
    """Revision, library versions and device, for a report. It holds no time, so two equal runs give equal reports."""
    return {
        "etviz": __version__,
        "revision": git_revision(),
        "python": platform.python_version(),
        "libraries": library_versions(),
        "device": describe_device(device),
    }


def git_revision(folder: Path = HERE) -> str | None:
    """The commit of this code, with "-dirty" if tracked files have been changed since.

    None if there is no git, or the code is not in a repository of its own.
    """

    def git(*arguments: str) -> str:
        command = ["git", "-C", str(folder), *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=True, timeout=10).stdout.strip()

    try:
        git("ls-files", "--error-unmatch", "version.py")  # an environment inside somebody else's repository
        return git("describe", "--always", "--abbrev=40", "--dirty", "--exclude=*")
    except (OSError, subprocess.SubprocessError):
        return None


def library_versions() -> dict[str, str]:
    """The version of each installed library that a number may depend on."""
    found = {}
    for name in LIBRARIES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def weights_digest(checkpoint: str) -> str:
    """The SHA-256 of a checkpoint's weights, in hexadecimal. Raises `UsageError` if there is no such checkpoint."""
    return hashlib.sha256((find_checkpoint(checkpoint) / WEIGHTS).read_bytes()).hexdigest()
