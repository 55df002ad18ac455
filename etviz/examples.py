"""Pictures to choose from: a dataset's test split, or what scikit-image carries where no dataset is at hand."""

from collections import Counter
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import torch
from PIL import Image
from torch import Tensor

from etviz.data import Dataset, is_local, load_dataset
from etviz.errors import UsageError
from etviz.pictures import picture_to_tensor

DOWNLOADABLE = {"cifar10": "CIFAR-10", "cifar100": "CIFAR-100", "cifar100_coarse": "CIFAR-100"}
CARRIED_GALLERY = "scikit-image"
CARRIED = {  # in scikit-image's wheel: these need no download
    "astronaut": "astronaut",
    "chelsea": "cat",
    "coffee": "cup of coffee",
    "rocket": "rocket",
    "hubble_deep_field": "galaxies",
    "retina": "retina",
    "moon": "moon",
    "camera": "photographer",
}
ZOOM = 12  # sides of a piece, along a carried picture
TRAIN_ZOOM = 9  # of them, from the left, for training; the rest for testing
STRIDE = 4  # pieces overlap by all but this part of their side


@dataclass
class Pictures:
    """Square pictures with a word for each."""

    images: Tensor  # (n, 3, S, S) uint8
    labels: list[str]  # n words; empty where there is none
    source: str  # what the captions call them

    def caption(self, index: int) -> str:
        """One picture in words."""
        label = self.labels[index]
        return f"{self.source} {index:,}: {label}" if label else f"{self.source} {index:,}"

    @cached_property
    def classes(self) -> list[str]:
        """The words that occur, in alphabetical order."""
        return sorted(set(self.labels))

    def arranged(self, label: str | None = None) -> list[int]:
        """Indices of the pictures of one class, or of all with the classes taking turns."""
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
    """What the menu calls a gallery."""
    return DOWNLOADABLE.get(dataset, Path(dataset).stem)


def galleries(dataset: str, root: str | None) -> tuple[list[str], str]:
    """Which pictures there are to choose from, the asked-for ones first, and a sentence where those are missing.

    The other CIFAR is offered too where it is on this machine. Nothing is read or downloaded yet.
    """
    others = [name for name in ("cifar10", "cifar100") if name != dataset and is_local(name, root)]
    if dataset not in DOWNLOADABLE or is_local(dataset, root):
        return [dataset, *others], ""
    note = f"{DOWNLOADABLE[dataset]} is not on this machine: these come with scikit-image."
    return [CARRIED_GALLERY, *others], note


def example_pictures(dataset: str = "cifar10", root: str | None = None, size: int = 32) -> Pictures:
    """A dataset's test images where it is on this machine, else pictures that scikit-image carries; no download.

    Raises:
        UsageError: the dataset cannot be read, or neither is there.
    """
    (first, *_), _ = galleries(dataset, root)
    return load_pictures(first, root, size)


def example_dataset(dataset: str = "cifar10", root: str | None = None, size: int = 32) -> Dataset:
    """A dataset to train on where it is on this machine, else pieces of what scikit-image carries; no download.

    Args:
        dataset: one of `etviz.data.CIFARS`.
        root: as `etviz.load_dataset` takes it.
        size: side of the images, in pixels.

    Raises:
        UsageError: the dataset cannot be read, or neither is there.
    """
    if is_local(dataset, root):
        return load_dataset(dataset, root, img_size=size, download=False)
    return carried_pieces(size)


def carried_pieces(size: int) -> Dataset:
    """Overlapping pieces of scikit-image's pictures, labelled by the picture: enough to see a training at work.

    The pictures are ``ZOOM`` pieces wide; training pieces come from the left, test pieces from the right, and no
    pixel is in both.

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
    """Windows of (n, 3, H, W), in an order mixed from a fixed seed: (m, 3, size, size), and the picture of each."""
    windows = images.unfold(2, size, size // STRIDE).unfold(3, size, size // STRIDE)  # (n, 3, rows, cols, size, size)
    windows = windows.permute(0, 2, 3, 1, 4, 5)
    labels = torch.arange(len(images)).repeat_interleave(windows.shape[1] * windows.shape[2])
    order = torch.randperm(len(labels), generator=torch.Generator().manual_seed(0))
    return windows.reshape(-1, 3, size, size)[order], labels[order]


def load_pictures(dataset: str, root: str | None, size: int) -> Pictures:
    """A dataset's test images, or scikit-image's pictures, at ``size``. Never downloads.

    Raises:
        UsageError: the dataset cannot be read.
    """
    if dataset == CARRIED_GALLERY:
        return carried_pictures(size)
    found = load_dataset(dataset, root, img_size=size, download=False)
    labels = [found.class_names[label].replace("_", " ") for label in found.test_labels.tolist()]
    source = f"{DOWNLOADABLE.get(dataset, found.name)} test image"
    return Pictures(images=found.test_images, labels=labels, source=source)


def carried_pictures(size: int) -> Pictures:
    """Pictures from scikit-image's wheel, cut to the model's size.

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
