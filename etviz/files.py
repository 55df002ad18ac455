"""Atomic writes, output folders and JSON.

A file is written under a temporary name, synced and renamed, so an interrupted write leaves the old file whole.
"""

import contextlib
import csv
import json
import math
import os
import re
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml
from safetensors import SafetensorError

from etviz.errors import UsageError, reason

NUMBERS = re.compile(r"\[\n[^\[\]{}\"]*\]")  # a list of numbers over several lines, as no text in JSON has any


# What parsers raise for text that is not what it should be: PyYAML a ValueError for a date that does not exist and a
# RecursionError for 1,000 brackets, json and int for 5,000 digits, csv its own for a field of 131,073 characters.
UNREADABLE = (
    OSError, ValueError, TypeError, KeyError, IndexError, AttributeError, ArithmeticError, RecursionError, EOFError,
    yaml.YAMLError, csv.Error, SafetensorError,
)  # fmt: skip


@contextlib.contextmanager
def parsing(sentence: str) -> Iterator[None]:
    """Whatever goes wrong while a file is read or parsed inside, as one sentence, in which {error} is what was said."""
    try:
        yield
    except UNREADABLE as error:
        raise UsageError(sentence.replace("{error}", reason(error))) from error


def read_text(path: Path, most: int = 1 << 20) -> str:
    """The text of a file. Raises `ValueError` where it is larger than ``most`` bytes, or no file but a pipe, say."""
    check_regular(path)
    if path.stat().st_size > most:
        raise ValueError(f"it is larger than {most:,} bytes")
    return path.read_text(encoding="utf-8")


def check_regular(path: Path) -> None:
    """Raise `ValueError` for what would never end or never begin, as a device or a pipe that nobody writes to."""
    if path.exists() and not path.is_file():
        raise ValueError("it is not a file")


def write_text(path: Path, text: str) -> None:
    """Text to a file, atomically."""
    write_bytes(path, text.encode())


def write_bytes(path: Path, data: bytes) -> None:
    """Bytes to a file: temporary name, fsync, rename. Makes the folder where there is none."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with _replacing(path) as temporary, temporary.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def make_folder(path: Path) -> Path:
    """``path`` as a folder to write to, made where it does not exist. Raises `UsageError` where that cannot be."""
    try:
        path.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=path):
            pass
    except OSError as error:
        raise UsageError(f"The folder {str(path)!r} cannot be made or written to: {error.strerror}.") from error
    return path


def make_place(path: Path) -> Path:
    """``path`` as a file to write, its folder made. Raises `UsageError` where that cannot be."""
    make_folder(path.parent)
    if path.is_dir():
        raise UsageError(f"{str(path)!r} is a folder: name a file.")
    return path


@contextlib.contextmanager
def private_folder() -> Iterator[str]:
    """A folder for temporary files that nobody else can read, gone afterwards.

    Raises:
        UsageError: no such folder can be made.
    """
    try:
        folder = tempfile.TemporaryDirectory(prefix="etviz-", ignore_cleanup_errors=True)
    except OSError as error:
        raise UsageError(f"There is no folder for temporary files ({error.strerror}): set TMPDIR to one.") from error
    with folder as name:
        yield name


def sweep(folder: Path) -> None:
    """Remove what writes that were killed left behind, here and below."""
    for temporary in folder.rglob(".*.*.tmp"):
        temporary.unlink(missing_ok=True)


@contextlib.contextmanager
def _replacing(path: Path) -> Iterator[Path]:
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        yield temporary
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def finite(data: Any) -> Any:
    """A number, or nested data, with None for every number that is not finite: JSON has none."""
    if isinstance(data, dict):
        return {name: finite(value) for name, value in data.items()}
    if isinstance(data, list):
        return [finite(value) for value in data]
    return None if isinstance(data, float) and not math.isfinite(data) else data


def dump(data: dict) -> str:
    """JSON with lists of numbers on one line each."""
    text = json.dumps(data, indent=2, allow_nan=False)
    return NUMBERS.sub(lambda found: re.sub(r"\s+", " ", found[0]).replace("[ ", "[").replace(" ]", "]"), text)
