"""Archives of NumPy arrays in MedMNIST's layout, read piece by piece and within bounds.

An archive says in its headers how large its arrays are; nothing is read before that has been looked at. Object arrays,
which would be pickles, are refused.
"""

import io
import os
import re
import zipfile
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import IO

import numpy as np
import torch
from torch import Tensor

from etviz.errors import UsageError, reason
from etviz.pictures import named, resize

WANTED = ("train_images", "train_labels", "test_images", "test_labels")
MAX_CLASSES = 100_000  # a larger label is no class
MOST_COLUMNS = 10_000  # of labels
MEGABYTE = 2**20
ALWAYS_READ = 256 * MEGABYTE  # in memory; a larger array has to come from a file that is not far smaller
MOST_EXPANDED = 250  # times the file's size; drawings in black and white reach 200
CHUNK = 16 * MEGABYTE  # read at once
ROWS = 1024  # of labels looked at together
MOST_HEADER = 16_384  # bytes of an array's header
MAPPED = re.compile(r"(?P<path>.*\.npz)\[(?P<keys>[^\[\]]*)\]", re.IGNORECASE | re.DOTALL)


@dataclass(frozen=True)
class Array:
    """One array of an archive, by its header."""

    member: zipfile.ZipInfo
    dtype: np.dtype
    shape: tuple[int, ...]
    fortran: bool  # columns first

    @property
    def nbytes(self) -> int:
        """The bytes of its numbers."""
        return prod(self.shape) * self.dtype.itemsize


def split_keys(name: str) -> tuple[Path, tuple[str, ...]]:
    """An archive's path, and the names of its arrays in the order of `WANTED`: its own, or those of "FILE.npz[...]".

    Raises:
        UsageError: not four names.
    """
    found = None if os.path.exists(name) else MAPPED.fullmatch(name)
    if found is None:
        return Path(name), WANTED
    keys = tuple(key.strip() for key in found["keys"].split(","))
    if len(keys) != len(WANTED) or not all(keys):
        raise UsageError(f"{name!r} must name four arrays, for {', '.join(WANTED)} in this order.")
    return Path(found["path"]), keys


def read_archive(path: Path, keys: tuple[str, ...], img_size: int) -> dict[str, Tensor]:
    """The splits of an archive: images (n, 3, S, S) uint8 and labels (n,) int64, by the names of `WANTED`.

    Arrays other than those four, as val_images, are left alone.

    Args:
        path: of the .npz file.
        keys: what the four arrays are called in it.
        img_size: S; images of another size are centre-cropped and resized.

    Raises:
        UsageError: there is no such file, it is damaged, an array is missing or is no image data, or its contents
            would take far more memory than a file of that size should.
    """
    if not os.path.isfile(path):
        raise UsageError(f"There is no archive {str(path)!r}.")
    try:
        with zipfile.ZipFile(path) as archive:
            return _read(archive, path, keys, img_size)
    except (UsageError, MemoryError):
        raise
    except Exception as error:  # zipfile and the decompressors raise many kinds for damaged files
        raise UsageError(f"{str(path)!r} is damaged or no .npz archive: {reason(error)}.") from error


def _read(archive: zipfile.ZipFile, path: Path, keys: tuple[str, ...], img_size: int) -> dict[str, Tensor]:
    members = {info.filename.removesuffix(".npy"): info for info in archive.infolist()}
    missing = [key for key in keys if key not in members]
    if missing:
        there = named(key[:40] for key in sorted(members)) or "nothing"
        raise UsageError(
            f"{str(path)!r} lacks {', '.join(missing)} and holds {there}: MedMNIST's layout has {', '.join(WANTED)}. "
            f"For other names, list those that stand for them: {path.name}[KEY, KEY, KEY, KEY]."
        )
    arrays = {wanted: _header(archive, members[key]) for wanted, key in zip(WANTED, keys, strict=True)}
    name = path.stem
    for split in ("train", "test"):
        _check_images(name, split, arrays[f"{split}_images"])
        _check_labels(name, split, arrays[f"{split}_labels"])
        images, labels = (arrays[f"{split}_{kind}"].shape[0] for kind in ("images", "labels"))
        if images != labels:
            raise UsageError(f"{name}: {images} {split} images but {labels} labels.")
        if not images:
            raise UsageError(f"{name}: the train and the test split both need at least one image.")
    _check_memory(path, arrays, img_size)
    tables = {split: _table(archive, arrays[f"{split}_labels"]) for split in ("train", "test")}
    found = {f"{split}_labels": labels for split, labels in _classes(name, tables).items()}
    for split in ("train", "test"):
        found[f"{split}_images"] = _images(archive, arrays[f"{split}_images"], img_size)
    return found


# ---- headers -----------------------------------------------------------------------------------------------------


def _header(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> Array:
    with archive.open(member) as file:
        start = io.BytesIO(file.read(MOST_HEADER))
    version = np.lib.format.read_magic(start)
    read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    shape, fortran, dtype = read(start)
    array = Array(member=member, dtype=dtype, shape=shape, fortran=fortran)
    if dtype.hasobject or min(shape, default=0) < 0 or member.file_size != start.tell() + array.nbytes:
        raise ValueError(f"{member.filename} is no array of {dtype} {shape}")
    return array


def _check_images(name: str, split: str, array: Array) -> None:
    channels = array.shape[3:] or (1,)
    if len(array.shape) not in (3, 4) or channels not in ((1,), (3,)) or array.dtype != np.uint8:
        raise UsageError(
            f"{name}: {split}_images must be uint8 of shape (n, H, W), (n, H, W, 1) or (n, H, W, 3), "
            f"not {array.dtype} {array.shape}."
        )
    if 0 in array.shape[1:]:
        raise UsageError(f"{name}: {split}_images of shape {array.shape} hold no pixels.")


def _check_labels(name: str, split: str, array: Array) -> None:
    columns = prod(array.shape[1:])
    if array.dtype.kind not in "biu" or not array.shape or not 0 < columns <= MOST_COLUMNS:
        raise UsageError(
            f"{name}: {split}_labels must be whole numbers of shape (n,), (n, 1) or (n, k), "
            f"not {array.dtype} {array.shape}."
        )


def _check_memory(path: Path, arrays: dict[str, Array], img_size: int) -> None:
    """Raise `UsageError` where a small file would fill the memory."""
    images = sum(arrays[f"{split}_images"].shape[0] for split in ("train", "test"))
    needed = sum(array.nbytes for array in arrays.values()) + images * 3 * img_size**2
    size = path.stat().st_size
    if needed > max(ALWAYS_READ, MOST_EXPANDED * size):
        raise UsageError(
            f"{str(path)!r} is of {size:,} bytes and would take {needed // MEGABYTE:,} MB of memory: more than "
            f"{MOST_EXPANDED} times its size is taken for damage."
        )


# ---- contents ----------------------------------------------------------------------------------------------------


def _images(archive: zipfile.ZipFile, array: Array, img_size: int) -> Tensor:
    """(n, H, W[, C]) of the archive as (n, 3, img_size, img_size), some at a time."""
    if array.fortran:  # the images lie interleaved
        return _colours(_table(archive, array), img_size).contiguous()
    count, *shape = array.shape
    images = torch.empty(count, 3, img_size, img_size, dtype=torch.uint8)
    at_once = max(1, CHUNK // prod(shape))
    with archive.open(array.member) as file:
        file.seek(array.member.file_size - array.nbytes)
        for start in range(0, count, at_once):
            chunk = images[start : start + at_once]
            numbers = np.frombuffer(_exactly(file, len(chunk) * prod(shape)), np.uint8)
            chunk.copy_(_colours(numbers.reshape(len(chunk), *shape), img_size))
    return images


def _colours(array: np.ndarray, img_size: int) -> Tensor:
    """(n, H, W), (n, H, W, 1) or (n, H, W, 3) uint8 -> (n, 3, img_size, img_size)."""
    array = array[..., None] if array.ndim == 3 else array
    images = resize(torch.from_numpy(np.ascontiguousarray(array.transpose(0, 3, 1, 2))), img_size)
    return images.expand(-1, 3, -1, -1)


def _table(archive: zipfile.ZipFile, array: Array) -> np.ndarray:
    """A whole array."""
    with archive.open(array.member) as file:
        file.seek(array.member.file_size - array.nbytes)
        numbers = np.frombuffer(_exactly(file, array.nbytes), array.dtype)
    return numbers.reshape(array.shape, order="F" if array.fortran else "C")


def _exactly(file: IO[bytes], count: int) -> bytearray:
    """The next bytes, which NumPy may then write to. Raises `EOFError` where they are too few."""
    data = bytearray(count)
    for start in range(0, count, CHUNK):
        piece = file.read(min(CHUNK, count - start))
        if len(piece) < min(CHUNK, count - start):
            raise EOFError("an array ends too early")
        data[start : start + len(piece)] = piece
    return data


def _classes(name: str, tables: dict[str, np.ndarray]) -> dict[str, Tensor]:
    """(n,), MedMNIST's (n, 1), or (n, k) -> (n,) int64, for both splits.

    A table of k columns holds the class's place where all rows of both splits hold one 1 and zeros besides; otherwise
    its first column is taken, as the first of k findings.
    """
    rows = {split: table.reshape(len(table), -1) for split, table in tables.items()}
    widths = {table.shape[1] for table in rows.values()}
    if len(widths) > 1:
        raise UsageError(f"{name}: the labels of the train and the test split differ in shape.")
    if widths != {1} and all(_one_hot(table) for table in rows.values()):
        return {split: torch.from_numpy(table.argmax(axis=1)) for split, table in rows.items()}
    return {split: _numbers(name, split, table[:, 0]) for split, table in rows.items()}


def _one_hot(table: np.ndarray) -> bool:
    """Whether each row holds one 1 and zeros besides."""
    pieces = (table[start : start + ROWS] for start in range(0, len(table), ROWS))
    return all(((rows == 0) | (rows == 1)).all() and ((rows == 1).sum(axis=1) == 1).all() for rows in pieces)


def _numbers(name: str, split: str, labels: np.ndarray) -> Tensor:
    if not 0 <= labels.min() <= labels.max() < MAX_CLASSES:
        raise UsageError(
            f"{name}: {split}_labels must lie between 0 and {MAX_CLASSES - 1:,}, not {labels.min()} to {labels.max()}."
        )
    return torch.from_numpy(labels.astype(np.int64))
