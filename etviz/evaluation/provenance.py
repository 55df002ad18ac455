"""What a number depends on besides its options: the code, the libraries, the machine, the weights."""

import hashlib
import platform
import subprocess
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import torch

from etviz.checkpoints import WEIGHTS, find_checkpoint
from etviz.devices import describe_device
from etviz.version import __version__

HERE = Path(__file__).resolve().parent
LIBRARIES = (
    *("torch", "torchvision", "numpy", "scipy", "scikit-learn"),
    *("torchmetrics", "torch-fidelity", "lpips", "matplotlib"),
)


def provenance(device: torch.device) -> dict:
    """Revision, library versions and device, for a report. Holds no time: two runs of the same give the same."""
    return {
        "etviz": __version__,
        "revision": git_revision(),
        "python": platform.python_version(),
        "libraries": library_versions(),
        "device": describe_device(device),
    }


def git_revision(folder: Path = HERE) -> str | None:
    """The commit that this code is of, with "-dirty" where tracked files have been changed since.

    None where there is no git, or the code lies in no repository of its own.
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
    """The installed version of each library that a number may depend on; without those that are not installed."""
    found = {}
    for name in LIBRARIES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def weights_digest(checkpoint: str) -> str:
    """The SHA-256 of a checkpoint's weights, in hexadecimal. Raises `UsageError` where there is none."""
    return hashlib.sha256((find_checkpoint(checkpoint) / WEIGHTS).read_bytes()).hexdigest()
