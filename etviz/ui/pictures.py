"""Pictures to choose from: a dataset's test split, or what scikit-image carries where no dataset is at hand."""

import sys
from dataclasses import dataclass

import torch
from PIL import Image
from torch import Tensor

from etviz.data import load_dataset, picture_to_tensor
from etviz.errors import UsageError

DOWNLOADABLE = {"cifar10": "CIFAR-10", "cifar100": "CIFAR-100", "cifar100_coarse": "CIFAR-100"}
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


@dataclass
class Pictures:
    """Square pictures with a word for each."""

    images: Tensor  # (n, 3, S, S) uint8
    labels: list[str]  # n words
    source: str  # what the captions call them
    note: str = ""  # a sentence for the page where these are not what was asked for

    def caption(self, index: int) -> str:
        """One picture in words."""
        return f"{self.source} {index:,}: {self.labels[index]}"

    def highlights(self, count: int) -> list[int]:
        """Indices of ``count`` pictures of as many kinds as possible: the first of each label, then the second, ..."""
        seen: dict[str, int] = {}
        rank = []
        for index, label in enumerate(self.labels):
            seen[label] = seen.get(label, 0) + 1
            rank.append((seen[label], label, index))
        return [index for _, _, index in sorted(rank)[:count]]


def load_pictures(dataset: str, root: str | None, size: int) -> Pictures:
    """The dataset's test images; where a CIFAR is not on this machine, scikit-image's pictures. Never downloads.

    Raises:
        UsageError: another dataset cannot be read.
    """
    try:
        found = load_dataset(dataset, root, img_size=size, download=False)
    except UsageError as error:
        if dataset not in DOWNLOADABLE:
            raise
        print(f"Starting without {DOWNLOADABLE[dataset]}: {error}", file=sys.stderr)
        return carried_pictures(size, instead_of=DOWNLOADABLE[dataset])
    labels = [found.class_names[label].replace("_", " ") for label in found.test_labels.tolist()]
    source = f"{DOWNLOADABLE.get(dataset, found.name)} test image"
    return Pictures(images=found.test_images, labels=labels, source=source)


def carried_pictures(size: int, instead_of: str) -> Pictures:
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
    note = f"{instead_of} is not on this machine: these come with scikit-image."
    return Pictures(images=images, labels=list(CARRIED.values()), source="scikit-image picture", note=note)
