"""Images in memory: CIFAR-10, CIFAR-100, MedMNIST-style archives, image folders; and their augmentation.

Whole splits are uint8 tensors on the training device. A batch is indexed, cropped and flipped there, with no worker
processes.
"""

import contextlib
import os
import sys
from dataclasses import dataclass, replace
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

from etviz.errors import UsageError
from etviz.options import Size, check_option, literal_path
from etviz.pictures import resize
from etviz.sources.archives import WANTED, read_archive, split_keys
from etviz.sources.folders import read_folder

CROP_PADDING = 4  # pixels
CIFARS = ("cifar10", "cifar100", "cifar100_coarse")

CIFAR10_CLASSES = ["airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"]

# CIFAR-100's twenty superclasses and their five classes each (Krizhevsky 2009).
CIFAR100_SUPERCLASSES = {
    "aquatic mammals": ["beaver", "dolphin", "otter", "seal", "whale"],
    "fish": ["aquarium_fish", "flatfish", "ray", "shark", "trout"],
    "flowers": ["orchid", "poppy", "rose", "sunflower", "tulip"],
    "food containers": ["bottle", "bowl", "can", "cup", "plate"],
    "fruit and vegetables": ["apple", "mushroom", "orange", "pear", "sweet_pepper"],
    "household electrical devices": ["clock", "keyboard", "lamp", "telephone", "television"],
    "household furniture": ["bed", "chair", "couch", "table", "wardrobe"],
    "insects": ["bee", "beetle", "butterfly", "caterpillar", "cockroach"],
    "large carnivores": ["bear", "leopard", "lion", "tiger", "wolf"],
    "large man-made outdoor things": ["bridge", "castle", "house", "road", "skyscraper"],
    "large natural outdoor scenes": ["cloud", "forest", "mountain", "plain", "sea"],
    "large omnivores and herbivores": ["camel", "cattle", "chimpanzee", "elephant", "kangaroo"],
    "medium-sized mammals": ["fox", "porcupine", "possum", "raccoon", "skunk"],
    "non-insect invertebrates": ["crab", "lobster", "snail", "spider", "worm"],
    "people": ["baby", "boy", "girl", "man", "woman"],
    "reptiles": ["crocodile", "dinosaur", "lizard", "snake", "turtle"],
    "small mammals": ["hamster", "mouse", "rabbit", "shrew", "squirrel"],
    "trees": ["maple_tree", "oak_tree", "palm_tree", "pine_tree", "willow_tree"],
    "vehicles 1": ["bicycle", "bus", "motorcycle", "pickup_truck", "train"],
    "vehicles 2": ["lawn_mower", "rocket", "streetcar", "tank", "tractor"],
}
CIFAR100_CLASSES = sorted(name for names in CIFAR100_SUPERCLASSES.values() for name in names)


@dataclass
class Dataset:
    """Two splits of square colour images and their labels, in memory."""

    name: str
    train_images: Tensor  # (n, 3, S, S) uint8
    train_labels: Tensor  # (n,) int64
    test_images: Tensor  # (m, 3, S, S) uint8
    test_labels: Tensor  # (m,) int64
    class_names: list[str]
    source: str = ""  # what `load_dataset` finds it by from anywhere: a name, or an absolute path

    def to(self, device: torch.device | str) -> "Dataset":
        """The same dataset with its tensors on a device."""
        tensors = {k: v.to(device) for k, v in vars(self).items() if isinstance(v, Tensor)}
        return replace(self, **tensors)


def load_dataset(
    name: str = "cifar10",
    root: str | os.PathLike | None = None,
    img_size: int = 32,
    download: bool = True,
) -> Dataset:
    """Load a dataset into memory.

    Args:
        name: "cifar10", "cifar100" (100 fine labels), "cifar100_coarse" (20 superclasses), the path of an .npz archive
            in MedMNIST's layout (train_images, train_labels, test_images, test_labels), or the path of a folder of
            pictures, of which `etviz.sources.folders` tells the classes and splits. Of an archive with other names,
            those that stand for the four follow in brackets: "FILE.npz[x_train, y_train, x_test, y_test]".
        root: where to look for CIFAR: an archive NAME.npz, or torchvision's own files. `data_root` where None.
        img_size: side of the images in pixels; others are centre-cropped to a square and resized.
        download: fetch CIFAR through torchvision where it is not found.

    Raises:
        UsageError: nothing of that name, nothing found and no way to download it, or a file that is no image data.
    """
    img_size = check_option("img_size", img_size, Size)
    path, keys = split_keys(str(literal_path(str(name))))
    if name in CIFARS:
        dataset = _load_cifar(name, data_root(root), img_size, download)
    elif os.path.isdir(path):
        dataset = _from_folder(path, img_size)
    elif path.suffix.lower() == ".npz":
        dataset = _from_archive(path, keys, img_size)
    else:
        raise UsageError(
            f"There is no dataset {str(name)!r}: name {', '.join(CIFARS)}, an .npz archive or a folder of images."
        )
    dataset.train_images = resize(dataset.train_images, img_size)
    dataset.test_images = resize(dataset.test_images, img_size)
    return dataset


def _from_archive(path: Path, keys: tuple[str, ...], img_size: int) -> Dataset:
    splits = read_archive(path, keys, img_size)
    classes = 1 + int(torch.cat([splits["train_labels"], splits["test_labels"]]).max())
    mapped = "" if keys == WANTED else f"[{', '.join(keys)}]"
    source = os.path.abspath(path) + mapped
    return Dataset(name=path.stem, class_names=[str(i) for i in range(classes)], source=source, **splits)


def _from_folder(path: Path, img_size: int) -> Dataset:
    splits, class_names = read_folder(path, img_size)
    source = os.path.abspath(path)
    return Dataset(name=os.path.basename(source), class_names=class_names, source=source, **splits)


def is_local(name: str, root: str | os.PathLike | None = None) -> bool:
    """Whether the files of a CIFAR lie where `load_dataset` looks for them; it does not open them."""
    folders = {"cifar10": "cifar-10-batches-py", "cifar100": "cifar-100-python"}  # torchvision's
    stem, folder = name.removesuffix("_coarse"), data_root(root)
    return (folder / f"{stem}.npz").is_file() or (folder / folders[stem]).is_dir()


def data_root(root: str | os.PathLike | None = None) -> Path:
    """Where datasets are looked for: ``root``, ETVIZ_DATA, data/ here or, if only there is one, beside the package."""
    chosen = root or os.environ.get("ETVIZ_DATA")
    if chosen:
        return literal_path(chosen)
    here, beside = Path("data"), Path(__file__).resolve().parent.parent / "data"
    return beside if beside.is_dir() and not here.is_dir() else here


def coarse_labels(fine: Tensor) -> Tensor:
    """CIFAR-100's superclass (0..19, in the order of `CIFAR100_SUPERCLASSES`) of each fine label. (n,) -> (n,)."""
    parents = {name: i for i, names in enumerate(CIFAR100_SUPERCLASSES.values()) for name in names}
    table = torch.tensor([parents[name] for name in CIFAR100_CLASSES], device=fine.device)
    return table[fine]


def holdout_split(count: int, held_out: int) -> tuple[Tensor, Tensor]:
    """Indices of the training part and of the validation part of a train split; always the same for one count.

    Raises:
        UsageError: nothing would be left to train on.
    """
    if count < 2:
        raise UsageError(f"There is {count} image to train on: it takes 2, of which one is held out for validation.")
    if not 0 < held_out < count:
        raise UsageError(
            f"train.validation_images must lie between 1 and {count - 1} for {count} images, not {held_out}."
        )
    order = torch.randperm(count, generator=torch.Generator().manual_seed(20_230_214))
    return order[held_out:].sort().values, order[:held_out].sort().values


def to_float(images: Tensor) -> Tensor:
    """uint8 0..255 to float32 in [0, 1]."""
    return images.float() / 255


def augment(images: Tensor, flip: Tensor, offset: Tensor, padding: int = CROP_PADDING) -> Tensor:
    """Random crop of the reflected-padded image, then horizontal flip, as indexing on the images' device.

    Args:
        images: (B, C, S, S) float.
        flip: (B,) bool, which images to mirror.
        offset: (B, 2) int64 in 0 .. 2 * padding, row and column of each crop; ``padding`` leaves an image in place.
        padding: pixels of reflection on each side.
    """
    batch, _, side, _ = images.shape
    padded = F.pad(images, [padding] * 4, mode="reflect")
    steps = torch.arange(side, device=images.device)
    rows = offset[:, :1] + steps  # (B, S)
    cols = offset[:, 1:] + torch.where(flip[:, None], side - 1 - steps, steps)
    picked = torch.arange(batch, device=images.device)[:, None, None]
    return padded.permute(0, 2, 3, 1)[picked, rows[:, :, None], cols[:, None, :]].permute(0, 3, 1, 2)


# ---- CIFAR -----------------------------------------------------------------------------------------------------------


def _load_cifar(name: str, root: Path, img_size: int, download: bool) -> Dataset:
    stem = name.removesuffix("_coarse")
    archive = root / f"{stem}.npz"
    found = os.path.isfile(archive)
    splits = read_archive(archive, WANTED, img_size) if found else _read_torchvision(stem, root, download)
    classes = CIFAR10_CLASSES if stem == "cifar10" else CIFAR100_CLASSES
    largest = int(torch.cat([splits["train_labels"], splits["test_labels"]]).max())
    if largest >= len(classes):
        raise UsageError(f"{str(archive)!r} holds the label {largest}: {stem}'s end at {len(classes) - 1}.")
    dataset = Dataset(name=name, class_names=classes, source=name, **splits)
    if name == "cifar100_coarse":
        dataset.train_labels = coarse_labels(dataset.train_labels)
        dataset.test_labels = coarse_labels(dataset.test_labels)
        dataset.class_names = list(CIFAR100_SUPERCLASSES)
    return dataset


def _read_torchvision(name: str, root: Path, download: bool) -> dict[str, Tensor]:
    """Through torchvision, which checks its files' MD5 sums, shows a progress bar while it downloads, and prints.

    What it prints goes to stderr: a command's stdout may be JSON.
    """
    from torchvision.datasets import CIFAR10, CIFAR100

    kind = {"cifar10": CIFAR10, "cifar100": CIFAR100}[name]
    try:
        with contextlib.redirect_stdout(sys.stderr):
            train, test = (kind(str(root), train=split, download=download) for split in (True, False))
    except (OSError, RuntimeError) as error:  # no network, no space, or (download=False) no files
        raise _no_cifar(name, root, kind.base_folder, str(error) if download else "") from error
    return {
        "train_images": torch.from_numpy(train.data.transpose(0, 3, 1, 2).copy()),
        "train_labels": torch.tensor(train.targets),
        "test_images": torch.from_numpy(test.data.transpose(0, 3, 1, 2).copy()),
        "test_labels": torch.tensor(test.targets),
    }


def _no_cifar(name: str, root: Path, folder: str, failure: str) -> UsageError:
    """The error to raise where torchvision found no whole files, and could not or was not to download them."""
    reason = f" (the download failed: {failure})" if failure else ""
    ways = (
        f"connect to the network so that it can be downloaded, or set data.root or ETVIZ_DATA to a folder that holds "
        f"{name}.npz or torchvision's {folder}."
    )
    if (root / folder).is_dir():
        return UsageError(f"{str(root / folder)!r} is damaged or not whole{reason}: delete it and {ways}")
    return UsageError(f"{name} was not found in {str(root)!r}{reason}: {ways}")
