"""Example pictures: the test split of a dataset, or scikit-image's own pictures where there is no dataset."""

import importlib.util
from collections import Counter
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import torch
from PIL import Image
from torch import Tensor

from etviz.data import Dataset, is_local, load_dataset
from etviz.errors import UsageError
from etviz.pictures import picture_to_tensor, resize

DOWNLOADABLE = {"cifar10": "CIFAR-10", "cifar100": "CIFAR-100", "cifar100_coarse": "CIFAR-100"}
CIFAR_SIDE = 32  # pixels; all test images at 224 would take 1.5 GB
CARRIED_GALLERY = "scikit-image"
CARRIED = {  # part of the scikit-image package, so that they need no download
    "astronaut": "astronaut",
    "chelsea": "cat",
    "coffee": "cup of coffee",
    "rocket": "rocket",
    "hubble_deep_field": "galaxies",
    "retina": "retina",
    "moon": "moon",
    "camera": "photographer",
}
ZOOM = 12  # side of a carried picture, in pieces
TRAIN_ZOOM = 9  # columns of pieces for training, from the left; the rest is for testing
STRIDE = 4  # neighbouring pieces are shifted by one part in four of their side


@dataclass
class Pictures:
    """Square pictures, each with a label."""

    images: Tensor  # (n, 3, S, S) uint8
    labels: list[str]  # n words; an empty one where there is no label
    source: str  # what the captions call a picture
    enlarged: int | None = None  # the side in pixels to which `at` enlarges them; S where None

    def __len__(self) -> int:
        """How many there are."""
        return len(self.images)

    def at(self, indices: list[int]) -> Tensor:
        """Some pictures, (k, 3, S, S) uint8. Small ones are enlarged when they are asked for, not all in memory."""
        chosen = self.images[indices]
        return chosen if self.enlarged is None else resize(chosen, self.enlarged)

    def caption(self, index: int) -> str:
        """The caption of one picture."""
        label, side = self.labels[index], self.images.shape[-1]
        name = f"{self.source} {index:,}: {label}" if label else f"{self.source} {index:,}"
        return name if self.enlarged is None else f"{name}, enlarged from {side}x{side}"

    @cached_property
    def classes(self) -> list[str]:
        """The labels that occur, in alphabetical order."""
        return sorted(set(self.labels))

    def arranged(self, label: str | None = None) -> list[int]:
        """The indices of the pictures of one class, or of all pictures with the classes taking turns."""
        return self._turns if label is None else [i for i, word in enumerate(self.labels) if word == label]

    @cached_property
    def _turns(self) -> list[int]:
        """The first picture of each class, then the second of each, ..."""
        seen: Counter[str] = Counter()
        rank = []
        for index, label in enumerate(self.labels):
            seen[label] += 1
            rank.append((seen[label], label, index))
        return [index for _, _, index in sorted(rank)]


def title(dataset: str) -> str:
    """The name of a gallery in the menu."""
    return DOWNLOADABLE.get(dataset, Path(dataset).stem)


def galleries(dataset: str, root: str | None) -> tuple[list[str], str]:
    """The galleries to choose from, the requested one first, and a note where that one is missing.

    The other CIFAR is offered as well where it is on this machine. Nothing is read or downloaded yet.
    """
    others = [name for name in ("cifar10", "cifar100") if name != dataset and is_local(name, root)]
    if dataset not in DOWNLOADABLE or is_local(dataset, root):
        return [dataset, *others], ""
    note = f"{DOWNLOADABLE[dataset]} is not on this machine: these come with scikit-image."
    return [CARRIED_GALLERY, *others], note


def galleries_without(dataset: str, root: str | None, error: UsageError) -> tuple[list[str], str]:
    """As `galleries`, where a CIFAR's files are there but cannot be read. Raises ``error`` for any other dataset."""
    if dataset not in DOWNLOADABLE:
        raise error
    others = [name for name in galleries(dataset, root)[0] if name not in (dataset, CARRIED_GALLERY)]
    return [CARRIED_GALLERY, *others], f"{DOWNLOADABLE[dataset]} cannot be read: these come with scikit-image. {error}"


def example_pictures(dataset: str = "cifar10", root: str | None = None, size: int = 32) -> Pictures:
    """The test images of a dataset where it is on this machine, or else scikit-image's pictures. Never downloads.

    Raises:
        UsageError: the dataset cannot be read, or there are neither.
    """
    (first, *_), _ = galleries(dataset, root)
    return load_pictures(first, root, size)


def example_dataset(dataset: str = "cifar10", root: str | None = None, size: int = 32) -> Dataset:
    """A dataset to train on where it is on this machine, or else pieces of scikit-image's pictures. Never downloads.

    Args:
        dataset: one of `etviz.data.CIFARS`.
        root: as `etviz.load_dataset` takes it.
        size: side of the images, in pixels.

    Raises:
        UsageError: the dataset cannot be read, or there are neither.
    """
    if is_local(dataset, root):
        return load_dataset(dataset, root, img_size=size, download=False)
    return carried_pieces(size)


def carried_pieces(size: int) -> Dataset:
    """Overlapping pieces of scikit-image's pictures, labelled by the picture: enough to see a training make progress.

    The pictures are `ZOOM` pieces wide. The training pieces come from the left and the test pieces from the right, so
    that no pixel is in both.

    Raises:
        UsageError: scikit-image is not installed.
    """
    pictures = carried_pictures(ZOOM * size)
    cut = TRAIN_ZOOM * size
    train, train_labels = _pieces(pictures.images[..., :cut], size)
    test, test_labels = _pieces(pictures.images[..., cut:], size)
    return Dataset(
        name="scikit-image pieces",
        train_images=train,
        train_labels=train_labels,
        test_images=test,
        test_labels=test_labels,
        class_names=pictures.labels,
    )


def _pieces(images: Tensor, size: int) -> tuple[Tensor, Tensor]:
    """Windows of (n, 3, H, W), shuffled by a fixed seed: (m, 3, size, size), and the index of the picture of each."""
    windows = images.unfold(2, size, size // STRIDE).unfold(3, size, size // STRIDE)  # (n, 3, rows, cols, size, size)
    windows = windows.permute(0, 2, 3, 1, 4, 5)
    labels = torch.arange(len(images)).repeat_interleave(windows.shape[1] * windows.shape[2])
    order = torch.randperm(len(labels), generator=torch.Generator().manual_seed(0))
    return windows.reshape(-1, 3, size, size)[order], labels[order]


def load_pictures(dataset: str, root: str | None, size: int) -> Pictures:
    """The test images of a dataset, or scikit-image's pictures, ``size`` pixels wide. Never downloads.

    Raises:
        UsageError: the dataset cannot be read.
    """
    if dataset == CARRIED_GALLERY:
        return carried_pictures(size)
    stored = min(size, CIFAR_SIDE) if dataset in DOWNLOADABLE else size
    found = load_dataset(dataset, root, img_size=stored, download=False)
    labels = [found.class_names[label].replace("_", " ") for label in found.test_labels.tolist()]
    source = f"{DOWNLOADABLE.get(dataset, found.name)} test image"
    return Pictures(found.test_images, labels, source, enlarged=size if stored < size else None)


def has_carried_pictures() -> bool:
    """Whether scikit-image is installed."""
    return importlib.util.find_spec("skimage") is not None


def carried_pictures(size: int) -> Pictures:
    """The pictures that come with scikit-image, cropped and resized to ``size`` pixels.

    Raises:
        UsageError: scikit-image is not installed.
    """
    try:
        import skimage.data
    except ImportError as error:
        raise UsageError('There are no pictures to start with: pip install "etviz[app]" brings some.') from error
    arrays = [getattr(skimage.data, name)() for name in CARRIED]
    images = torch.stack([picture_to_tensor(Image.fromarray(array), size) for array in arrays])
    return Pictures(images=images, labels=list(CARRIED.values()), source="scikit-image picture")
