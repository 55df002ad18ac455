"""Where the published weights are, what they must be, and under which terms."""

import math
from dataclasses import dataclass

PAPER = (
    "Benjamin Hoover, Yuchen Liang, Bao Pham, Rameswar Panda, Hendrik Strobelt, Duen Horng Chau, Mohammed J. Zaki, "
    "Dmitry Krotov: Energy Transformer. Advances in Neural Information Processing Systems 36, 2023. arXiv:2302.07253"
)
MEGABYTE = 10**6


@dataclass(frozen=True, kw_only=True)
class Source:
    """One published file of weights."""

    name: str  # by which `python -m etviz.convert` knows it
    checkpoint: str  # the name of the checkpoint that it becomes
    title: str  # what the explorer's menu calls it
    suffix: str  # of the file, which says how it is laid out: .npz or .pth
    addresses: tuple[str, ...]  # of the same bytes; the first is asked first
    blob: str  # git's id of those bytes: SHA-1 of b"blob SIZE\0" and the bytes
    about_bytes: int  # how large the file is, roughly
    licence: str
    repositories: tuple[str, ...]
    trained_on: str  # a dataset as `etviz.load_dataset` knows it, or just its name
    hidden: str  # what was hidden in training
    note: str = ""

    @property
    def megabytes(self) -> int:
        """The size to show."""
        return math.ceil(self.about_bytes / MEGABYTE)


IMAGENET = Source(
    name="imagenet",
    checkpoint="et-imagenet",
    title="the paper's ImageNet model",
    suffix=".npz",
    addresses=(
        "https://github.com/bhoov/energy-transformer-jax/raw/HEAD/checkpoints/plaindict_ckpt.npz",
        "https://github.com/bhoov/amtutorial/raw/HEAD/data/et_ckpt.npz",
    ),
    blob="c25c150479eba1380a27fb3452881b61761c74f1",
    about_bytes=4 * 4_873_729,
    licence="Apache-2.0 (energy-transformer-jax) and MIT (amtutorial)",
    repositories=("https://github.com/bhoov/energy-transformer-jax", "https://github.com/bhoov/amtutorial"),
    trained_on="imagenet",
    hidden="100 of 196 patches",
)

CIFAR10 = Source(
    name="cifar10-official",
    checkpoint="et-cifar10-official",
    title="the authors' CIFAR-10 model",
    suffix=".pth",
    addresses=("https://github.com/Lemon-cmd/energy-transformer-torch/raw/HEAD/example_model/model.pth",),
    blob="6ecf3d3b8a1b3829359d8a214f0d8e1b38ede7e8",
    about_bytes=4 * 3_667_249,
    licence="MIT",
    repositories=("https://github.com/Lemon-cmd/energy-transformer-torch",),
    trained_on="cifar10",
    hidden="54 of 64 patches",
    note="An example: its authors say that it might not work well.",
)

SOURCES = {source.name: source for source in (IMAGENET, CIFAR10)}
