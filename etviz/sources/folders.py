"""Folders of pictures as datasets: which class and which split each picture belongs to.

    cats/1.png, dogs/2.png                  the first folder is the class; every tenth picture is for testing
    train/cats/1.png, test/cats/2.png       splits first
    cats/train/1.png, cats/test/2.png       classes first
    train/1.png, test/2.png; or 1.png       one class, "image"

Splits are called train or training, test or testing, and val, valid or validation, in any case. Where there is a test
split, validation pictures are left alone; where there is none, they are the test split. One folder around all of this
is passed through. What could be read in two ways is refused, so that no picture gets a class or a split by accident.
"""

import itertools
import os
import sys
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from etviz.errors import UsageError
from etviz.pictures import named, no_pictures, other_pictures, picture_paths, read_picture

SPLITS = {
    **dict.fromkeys(("train", "training"), "train"),
    **dict.fromkeys(("test", "testing"), "test"),
    **dict.fromkeys(("val", "valid", "validation"), "validation"),
}
ONE_CLASS = "image"
TEST_EVERY = 10  # of pictures without splits, in sorted order


@dataclass(frozen=True)
class Entry:
    """A picture file, and the folders on the way to it."""

    path: Path
    folders: tuple[str, ...]


@dataclass(frozen=True)
class Placed:
    """A picture file with its class and its split, which is empty where the folders name none."""

    path: Path
    label: str
    split: str


def read_folder(folder: Path, img_size: int) -> tuple[dict[str, Tensor], list[str]]:
    """The splits of a folder, as `etviz.sources.archives.read_archive` gives them, and the names of the classes.

    Raises:
        UsageError: there are no pictures, a layout that could be read in two ways, or pictures that cannot be read, all
            of which are named.
    """
    paths = picture_paths(folder)
    if not paths:
        raise no_pictures(folder)
    _tell_of_others(folder)
    placed = place(folder, paths)
    splits = _split(folder, placed)
    names = sorted({picture.label for pictures in splits.values() for picture in pictures})
    found, failed = {}, []
    for split, pictures in splits.items():
        found[f"{split}_images"] = _read([picture.path for picture in pictures], img_size, failed)
        found[f"{split}_labels"] = torch.tensor([names.index(picture.label) for picture in pictures])
    _check_read(failed, len(placed))
    return found, names


def place(folder: Path, paths: Iterable[Path]) -> list[Placed]:
    """The class and the split of each picture, by the folders that it lies in.

    Raises:
        UsageError: a layout that could be read in two ways.
    """
    entries = _inside([Entry(path, path.relative_to(folder).parts[:-1]) for path in paths])
    depths = {_first_split(entry.folders) for entry in entries}
    if depths not in ({None}, {0}, {1}):
        raise _unclear_splits(folder, entries)
    (depth,) = depths
    if depth is not None:
        _check_split_names(folder, entries, depth)
    placed = [_placed(entry, depth) for entry in entries]
    _check_classes(folder, placed)
    _check_told_once(placed)
    if depth != 1:
        _check_one_folder(folder, [entry.folders if depth is None else entry.folders[1:] for entry in entries])
    return [Placed(picture.path, picture.label or ONE_CLASS, picture.split) for picture in placed]


def _placed(entry: Entry, depth: int | None) -> Placed:
    """The class, empty for a picture beside the classes, and the split, whose name stands at ``depth``."""
    names = [name for i, name in enumerate(entry.folders) if i != depth]
    split = "" if depth is None else SPLITS[entry.folders[depth].casefold()]
    return Placed(entry.path, names[0] if names else "", split)


# ---- from folders to classes and splits --------------------------------------------------------------------------


def _inside(entries: list[Entry]) -> list[Entry]:
    """The entries below a folder that is around all splits, as zip programs make one."""
    splits = {_first_split(entry.folders) for entry in entries}
    if len(splits) != 1 or None in splits:
        return entries
    shared = itertools.takewhile(
        lambda names: len(set(names)) == 1, zip(*(entry.folders for entry in entries), strict=False)
    )
    depth = min(len(list(shared)), splits.pop() or 0)
    return [Entry(entry.path, entry.folders[depth:]) for entry in entries]


def _first_split(folders: tuple[str, ...]) -> int | None:
    """At which place of the way the first split's name stands."""
    return next((i for i, name in enumerate(folders) if name.casefold() in SPLITS), None)


def _split(folder: Path, placed: list[Placed]) -> dict[str, list[Placed]]:
    """The pictures of each split, "train" and "test"."""
    by_split = {split: [picture for picture in placed if picture.split == split] for split in set(SPLITS.values())}
    tested = by_split["test"] or by_split["validation"]
    if by_split["train"] and tested:
        return {"train": by_split["train"], "test": tested}
    if tested:
        raise UsageError(f"{str(folder)!r} holds pictures for testing or validation, but none in a folder 'train'.")
    if len(placed) == 1:
        return {"train": placed, "test": placed}
    return {
        "train": [picture for i, picture in enumerate(placed) if i % TEST_EVERY],
        "test": placed[::TEST_EVERY],
    }


# ---- what could be read in two ways ------------------------------------------------------------------------------


def _unclear_splits(folder: Path, entries: list[Entry]) -> UsageError:
    """Some pictures are in a split and some are not, or all are too deep in one."""
    within = next(entry for entry in entries if _first_split(entry.folders) is not None)
    depth = _first_split(within.folders) or 0
    split = within.folders[depth]
    other = next((entry for entry in entries if _first_split(entry.folders) != depth), None)
    if other is None:
        return UsageError(
            f"{str(within.path)!r} lies in {depth} folders above the split {split!r}: one, the class, can be read."
        )
    return UsageError(
        f"{str(folder)!r} holds {str(within.path)!r} in a folder {split!r}, as splits are called, but not so "
        f"{str(other.path)!r}: put all pictures into splits, or rename the folder."
    )


def _check_one_folder(folder: Path, ways: list[tuple[str, ...]]) -> None:
    """Folders within one folder may be the classes, but the one folder may be the class as well."""
    if all(len(way) > 1 for way in ways) and len({way[0] for way in ways}) == 1 < len({way[1] for way in ways}):
        raise UsageError(
            f"All pictures in {str(folder)!r} lie in folders within {ways[0][0]!r}: leave out {ways[0][0]!r} if those "
            "are the classes, or put the pictures into it directly."
        )


def _check_split_names(folder: Path, entries: list[Entry], depth: int) -> None:
    """One split has one name, and a split's name further down is that of a class which every split has."""
    spellings: dict[tuple, set[str]] = {}
    for entry in entries:
        beside = (*entry.folders[:depth], SPLITS[entry.folders[depth].casefold()])
        spellings.setdefault(beside, set()).add(entry.folders[depth])
    twice = next((names for names in spellings.values() if len(names) > 1), None)
    if twice:
        raise UsageError(f"{str(folder)!r} holds one split twice, as {named(sorted(twice))}: put them together.")
    for entry in entries:
        deeper = _first_split(entry.folders[depth + 1 :])
        if deeper is not None and (depth or deeper or not _is_class(entry.folders[1], entries)):
            raise UsageError(f"{str(entry.path)!r} lies in a split within a split: rename one of the folders.")


def _is_class(name: str, entries: list[Entry]) -> bool:
    """Whether every split has a class of that name and others besides: "train" may be a vehicle."""
    classes: dict[str, set[str]] = {}
    for entry in entries:
        classes.setdefault(entry.folders[0], set()).update(entry.folders[1:2])
    return all(name in names and any(n.casefold() not in SPLITS for n in names) for names in classes.values())


def _check_classes(folder: Path, placed: list[Placed]) -> None:
    """Pictures beside class folders have no class, and two spellings are not two classes."""
    outside = [picture.path for picture in placed if not picture.label]
    if outside and len(outside) < len(placed):
        raise UsageError(
            f"{str(folder)!r} holds pictures in folders, which are their classes, and {len(outside)} in none, as "
            f"{str(outside[0])!r}: put them into folders too."
        )
    spellings: dict[str, str] = {}
    for label in sorted({picture.label for picture in placed}):
        other = spellings.setdefault(unicodedata.normalize("NFKC", label).casefold().strip(), label)
        if other != label:
            raise UsageError(f"{str(folder)!r} holds the classes {other!r} and {label!r}: are they one? Rename one.")


def _check_told_once(placed: list[Placed]) -> None:
    """By links, one file may have two names: in two classes or splits, or where the split is still to be made."""
    seen: dict[tuple[int, int], Placed] = {}
    for picture in placed:
        try:
            status = os.stat(picture.path)
        except OSError:  # a link to nothing: reading says so
            continue
        other = seen.setdefault((status.st_dev, status.st_ino), picture)
        apart = (other.label, other.split) != (picture.label, picture.split)
        if other is not picture and status.st_ino and (apart or not picture.split):
            raise UsageError(f"{str(other.path)!r} and {str(picture.path)!r} are one file: leave one of them out.")


# ---- reading -----------------------------------------------------------------------------------------------------


def _read(paths: list[Path], img_size: int, failed: list[UsageError]) -> Tensor:
    """(n, 3, img_size, img_size) uint8; what cannot be read is added to ``failed``."""
    images = torch.zeros(len(paths), 3, img_size, img_size, dtype=torch.uint8)
    for image, path in zip(images, paths, strict=True):
        try:
            image.copy_(read_picture(path, img_size))
        except UsageError as error:
            failed.append(error)
    return images


def _check_read(failed: list[UsageError], count: int) -> None:
    if len(failed) == 1:
        raise failed[0]
    if failed:
        sentences = " ".join(str(error) for error in failed)
        raise UsageError(f"{len(failed)} of {count} pictures cannot be read: mend or remove them. {sentences}")


def _tell_of_others(folder: Path) -> None:
    """Say on stderr which pictures are left out because their kind is not read."""
    others = other_pictures(folder)
    if others:
        print(f"Left out, since their kind is not read: {named(others)}.", file=sys.stderr)
