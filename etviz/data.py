"""Images in memory: CIFAR-10, CIFAR-100, MedMNIST-style archives, image folders; and their augmentation.

Whole splits are uint8 tensors on the training device. A batch is indexed, cropped and flipped there, with no worker
processes.
"""

import contextlib
import os
import sys
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from etviz.errors import UsageError
from etviz.options import Size, check_option
from etviz.pictures import no_pictures, picture_paths, read_picture

MAX_CLASSES = 100_000  # in an archive: a larger label is no class
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
            in MedMNIST's layout (train_images, train_labels, test_images, test_labels), or the path of an image
            folder (with train/ and test/ inside, or not; subfolders are classes).
        root: where to look for CIFAR: an archive NAME.npz, or torchvision's own files. `data_root` where None.
        img_size: side of the images in pixels; others are centre-cropped to a square and resized.
        download: fetch CIFAR through torchvision where it is not found.

    Raises:
        UsageError: nothing of that name, nothing found and no way to download it, or a file that is no image data.
    """
    img_size = check_option("img_size", img_size, Size)
    path = Path(os.path.expanduser(str(name)))
    if name in CIFARS:
        dataset = _load_cifar(name, data_root(root), download)
    elif path.suffix == ".npz":
        dataset = _load_npz(path)
    elif os.path.isdir(path):
        dataset = _load_folder(path, img_size)
    else:
        raise UsageError(
            f"There is no dataset {str(name)!r}: name {', '.join(CIFARS)}, an .npz archive or a folder of images."
        )
    dataset.source = name if name in CIFARS else os.path.abspath(path)
    dataset.train_images = resize(dataset.train_images, img_size)
    dataset.test_images = resize(dataset.test_images, img_size)
    return dataset


def is_local(name: str, root: str | os.PathLike | None = None) -> bool:
    """Whether the files of a CIFAR lie where `load_dataset` looks for them; it does not open them."""
    folders = {"cifar10": "cifar-10-batches-py", "cifar100": "cifar-100-python"}  # torchvision's
    stem, folder = name.removesuffix("_coarse"), data_root(root)
    return (folder / f"{stem}.npz").is_file() or (folder / folders[stem]).is_dir()


def data_root(root: str | os.PathLike | None = None) -> Path:
    """Where datasets are looked for: ``root``, ETVIZ_DATA, data/ here or, if only there is one, beside the package."""
    chosen = root or os.environ.get("ETVIZ_DATA")
    if chosen:
        return Path(os.path.expanduser(str(chosen)))
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


def resize(images: Tensor, img_size: int) -> Tensor:
    """Antialiased resize of square or centre-cropped images: (n, C, H, W) uint8 -> (n, C, img_size, img_size)."""
    height, width = images.shape[-2:]
    if (height, width) == (img_size, img_size):
        return images
    side = min(height, width)
    top, left = (height - side) // 2, (width - side) // 2
    cropped = images[..., top : top + side, left : left + side]
    chunks = [_resize_chunk(chunk, img_size) for chunk in cropped.split(4096)]  # bounded memory on large splits
    return torch.cat(chunks) if chunks else cropped.new_zeros(0, images.shape[1], img_size, img_size)


def _resize_chunk(images: Tensor, img_size: int) -> Tensor:
    resized = F.interpolate(images.float(), size=(img_size, img_size), mode="bicubic", antialias=True)
    return resized.round().clamp(0, 255).to(torch.uint8)


# ---- CIFAR -----------------------------------------------------------------------------------------------------------


def _load_cifar(name: str, root: Path, download: bool) -> Dataset:
    stem = name.removesuffix("_coarse")
    archive = root / f"{stem}.npz"
    dataset = _load_npz(archive) if os.path.isfile(archive) else _load_torchvision(stem, root, download)
    classes = CIFAR10_CLASSES if stem == "cifar10" else CIFAR100_CLASSES
    if len(dataset.class_names) > len(classes):
        raise UsageError(
            f"{str(archive)!r} holds the label {dataset.class_names[-1]}: {stem}'s end at {len(classes) - 1}."
        )
    dataset.name, dataset.class_names = name, classes
    if name == "cifar100_coarse":
        dataset.train_labels = coarse_labels(dataset.train_labels)
        dataset.test_labels = coarse_labels(dataset.test_labels)
        dataset.class_names = list(CIFAR100_SUPERCLASSES)
    return dataset


def _load_torchvision(name: str, root: Path, download: bool) -> Dataset:
    """Through torchvision, which checks its files' MD5 sums, shows a progress bar while it downloads, and prints.

    What it prints goes to stderr: a command's stdout may be JSON.
    """
    from torchvision.datasets import CIFAR10, CIFAR100

    kind = {"cifar10": CIFAR10, "cifar100": CIFAR100}[name]
    try:
        with contextlib.redirect_stdout(sys.stderr):
            train, test = (kind(str(root), train=split, download=download) for split in (True, False))
    except (OSError, RuntimeError) as error:  # no network, no space, or (download=False) no files
        reason = f" (the download failed: {error})" if download else ""
        raise UsageError(
            f"{name} was not found in {str(root)!r}{reason}: connect to the network so that it can be downloaded, "
            f"or set data.root or ETVIZ_DATA to a folder that holds {name}.npz or torchvision's {kind.base_folder}."
        ) from error
    arrays = {
        "train_images": train.data,
        "train_labels": np.array(train.targets),
        "test_images": test.data,
        "test_labels": np.array(test.targets),
    }
    return _from_arrays(name, arrays)


# ---- archives and folders --------------------------------------------------------------------------------------------


def _load_npz(path: Path) -> Dataset:
    """An archive in MedMNIST's layout; val_images, where there are any, are left alone."""
    if not os.path.isfile(path):
        raise UsageError(f"There is no archive {str(path)!r}.")
    wanted = ("train_images", "train_labels", "test_images", "test_labels")
    try:
        with np.load(path, allow_pickle=False) as archive:
            missing = [key for key in wanted if key not in archive]
            arrays = {key: archive[key] for key in wanted if key not in missing}
    except (OSError, ValueError, EOFError, KeyError) as error:
        raise UsageError(f"{str(path)!r} is not a readable .npz archive: {error}.") from error
    except Exception as error:  # zipfile raises its own family for truncated archives
        raise UsageError(f"{str(path)!r} is damaged or no .npz archive: {error}.") from error
    if missing:
        raise UsageError(f"{str(path)!r} lacks {', '.join(missing)}: MedMNIST's layout has {', '.join(wanted)}.")
    return _from_arrays(path.stem, arrays)


def _from_arrays(name: str, arrays: dict[str, np.ndarray]) -> Dataset:
    splits = {}
    for split in ("train", "test"):
        images = _colour_images(name, split, arrays[f"{split}_images"])
        labels = _class_labels(name, split, np.asarray(arrays[f"{split}_labels"]))
        if len(labels) != len(images):
            raise UsageError(f"{name}: {len(images)} {split} images but {len(labels)} labels.")
        splits |= {f"{split}_images": images, f"{split}_labels": labels}
    if not len(splits["train_images"]) or not len(splits["test_images"]):
        raise UsageError(f"{name}: the train and the test split both need at least one image.")
    classes = 1 + int(torch.cat([splits["train_labels"], splits["test_labels"]]).max())
    return Dataset(name=name, class_names=[str(i) for i in range(classes)], **splits)


def _class_labels(name: str, split: str, array: np.ndarray) -> Tensor:
    """(n,), MedMNIST's (n, 1), or (n, k) for k findings, of which the first is taken -> (n,) int64."""
    if array.dtype.kind not in "biu" or array.ndim == 0 or 0 in array.shape[1:]:
        raise UsageError(
            f"{name}: {split}_labels must be whole numbers of shape (n,), (n, 1) or (n, k), "
            f"not {array.dtype} {array.shape}."
        )
    labels = array.reshape(len(array), -1)[:, 0] if len(array) else array.reshape(0)
    if len(labels) and not 0 <= labels.min() <= labels.max() < MAX_CLASSES:
        raise UsageError(
            f"{name}: {split}_labels must lie between 0 and {MAX_CLASSES - 1:,}, not {labels.min()} to {labels.max()}."
        )
    return torch.from_numpy(labels.astype(np.int64))


def _colour_images(name: str, split: str, array: np.ndarray) -> Tensor:
    """(n, H, W), (n, H, W, 1) or (n, H, W, 3) uint8 -> (n, 3, H, W)."""
    if array.ndim == 3:
        array = array[..., None]
    if array.ndim != 4 or array.shape[3] not in (1, 3) or array.dtype != np.uint8:
        raise UsageError(
            f"{name}: {split}_images must be uint8 of shape (n, H, W), (n, H, W, 1) or (n, H, W, 3), "
            f"not {array.dtype} {array.shape}."
        )
    if 0 in array.shape[1:]:
        raise UsageError(f"{name}: {split}_images of shape {array.shape} hold no pixels.")
    images = torch.from_numpy(np.ascontiguousarray(array.transpose(0, 3, 1, 2)))
    return images.expand(-1, 3, -1, -1).contiguous() if images.shape[1] == 1 else images


def _load_folder(folder: Path, img_size: int) -> Dataset:
    """train/ and test/ where both exist, else every tenth picture (in sorted order) becomes the test split."""
    if (folder / "train").is_dir() and (folder / "test").is_dir():
        train, test = picture_paths(folder / "train"), picture_paths(folder / "test")
        roots = (folder / "train", folder / "test")
    else:
        paths = picture_paths(folder)
        test = paths[::10] if len(paths) > 1 else paths
        train = [p for i, p in enumerate(paths) if i % 10] if len(paths) > 1 else paths
        roots = (folder, folder)
    if not train or not test:
        raise no_pictures(folder)
    names = sorted({_class_of(p, root) for paths, root in zip((train, test), roots, strict=True) for p in paths})
    fields = {}
    for split, paths, root in (("train", train, roots[0]), ("test", test, roots[1])):
        fields[f"{split}_images"] = torch.stack([read_picture(p, img_size) for p in paths])
        fields[f"{split}_labels"] = torch.tensor([names.index(_class_of(p, root)) for p in paths])
    return Dataset(name=folder.name, class_names=names, **fields)


def _class_of(path: Path, root: Path) -> str:
    relative = path.relative_to(root)
    return relative.parts[0] if len(relative.parts) > 1 else "image"
