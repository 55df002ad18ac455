"""What a number depends on besides its options: the code, the libraries, the machine and the weights."""

import hashlib
import platform
import subprocess
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
