"""LPIPS and FID: metrics by networks that were trained on photographs. Their weights are not part of etviz.

Weights are files under torch hub's own names (`WEIGHTS`). They are looked for in ``root`` (the command's weights.root)
or else in the folder that ETVIZ_WEIGHTS names, and then in torch hub's cache. They are downloaded into that cache only
on request. A file's name ends with the start of its SHA-256, which is checked, since a wrong file gives wrong numbers.

Both are meters for `etviz.metrics.measure`: images pass through in batches, and memory stays bounded.
"""

import hashlib
import math
import os
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from etviz.errors import UsageError
from etviz.evaluation.metric_info import LPIPS_NETS

LPIPS_SIZE = 64  # pixels: the side of the pictures that people judged when LPIPS was calibrated
LPIPS_CHUNK = 50  # images at once: VGG's first layers take 1 MB for each
FID_FEATURES = 2048
FID_CHUNK = 25  # at 299x299 pixels


@dataclass(frozen=True)
class WeightsFile:
    """A network's weights: the name ends in the first eight digits of the file's SHA-256."""

    folder: str  # address without the name
    name: str

    @property
    def url(self) -> str:
        return f"{self.folder}/{self.name}"

    @property
    def digest(self) -> str:
        return Path(self.name).stem.rpartition("-")[2]


WEIGHTS = {
    "alex": WeightsFile("https://download.pytorch.org/models", "alexnet-owt-7be5be79.pth"),
    "vgg": WeightsFile("https://download.pytorch.org/models", "vgg16-397923af.pth"),
    "squeeze": WeightsFile("https://download.pytorch.org/models", "squeezenet1_1-b8a52dc0.pth"),
    "fid": WeightsFile(
        "https://github.com/toshas/torch-fidelity/releases/download/v0.2.0",
        "weights-inception-2015-12-05-6726825d.pth",
    ),
}


class MissingWeights(UsageError):
    """A metric cannot be measured because its file of weights is missing. ``metric`` is a key of `WEIGHTS`."""

    def __init__(self, metric: str, places: list[Path], reason: str = ""):
        self.metric, self.file, self.places = metric, WEIGHTS[metric].name, places
        super().__init__(f"{self.title} needs {self.file}{reason}, which is not in {quoted(places)}.")

    @property
    def title(self) -> str:
        return "FID" if self.metric == "fid" else f"LPIPS ({self.metric})"


def quoted(places: list[Path]) -> str:
    """Folders as a sentence lists them."""
    return " or ".join(repr(str(place)) for place in places)


# ---- weights -----------------------------------------------------------------------------------------------------


def weights_places(root: str | os.PathLike | None = None) -> list[Path]:
    """Where weights are looked for, in order: ``root`` or else ETVIZ_WEIGHTS, then torch hub's cache."""
    own = root or os.environ.get("ETVIZ_WEIGHTS")
    cache = Path(torch.hub.get_dir()) / "checkpoints"
    return [Path(os.path.expanduser(str(own))), cache] if own else [cache]


def find_weights(metric: str, root: str | os.PathLike | None = None, download: bool = False) -> Path:
    """The file of a network's weights.

    Args:
        metric: "alex", "vgg" or "squeeze" (LPIPS), or "fid".
        root: a folder to look in before torch hub's cache; ETVIZ_WEIGHTS if None.
        download: if it is not found, fetch it into torch hub's cache, with a progress bar on stderr.

    Raises:
        MissingWeights: it is not there, and the download failed or was not asked for.
        UsageError: there is a file of that name, but it is another file or only a part.
    """
    wanted, places = WEIGHTS[metric], weights_places(root)
    found = next((place / wanted.name for place in places if os.path.isfile(place / wanted.name)), None)
    if found is not None:
        _check_digest(found, wanted)
        return found
    if not download:
        raise MissingWeights(metric, places)
    target = places[-1] / wanted.name
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        torch.hub.download_url_to_file(wanted.url, str(target), hash_prefix=wanted.digest)  # atomic
    except (OSError, RuntimeError) as error:  # no network, no space; another hash
        raise MissingWeights(metric, places, f" (the download failed: {error})") from error
    return target


def read_weights(path: Path) -> dict[str, Tensor]:
    """The tensors of a file of weights, on the CPU. Raises `UsageError` if it holds something else."""
    try:
        weights = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # zipfile, pickle and torch raise many kinds for damaged files
        raise UsageError(f"{str(path)!r} cannot be read as weights: copy it again.") from error
    if not isinstance(weights, dict) or not all(isinstance(value, Tensor) for value in weights.values()):
        raise UsageError(f"{str(path)!r} does not hold a network's weights by name.")
    return weights


def _check_digest(path: Path, wanted: WeightsFile) -> None:
    with open(path, "rb") as file:
        digest = hashlib.file_digest(file, "sha256") if hasattr(hashlib, "file_digest") else _digest(file)
    if not digest.hexdigest().startswith(wanted.digest):
        raise UsageError(f"{str(path)!r} is not the file at {wanted.url}, or only a part of it: copy it again.")


def _digest(file) -> "hashlib._Hash":
    """`hashlib.file_digest`, which Python 3.10 lacks."""
    digest = hashlib.sha256()
    while block := file.read(1 << 20):
        digest.update(block)
    return digest


# ---- LPIPS -------------------------------------------------------------------------------------------------------


class Lpips:
    """LPIPS (Zhang et al. 2018, v0.1) of the completed image and of the raw reconstruction, by image.

    Learned perceptual distance: how different people would find two pictures, by features of a network trained on
    photographs. 0 (the same) or more, lower is better, no unit. Blur costs more than in the MSE.

    Images smaller than 64x64 are upscaled to that size, bilinearly. The metric was calibrated on pictures of that size,
    and AlexNet's last layers reduce a 32x32 picture to 1x1. Larger images are left as they are.

    Args:
        net: "alex", "vgg" or "squeeze".
        network: as `load_lpips` makes it: (B, 3, H, W) twice in [0, 1] -> (B, 1, 1, 1) with ``normalize=True``.
    """

    def __init__(self, net: str, network: nn.Module):
        self.net, self.network = net, network

    def start(self) -> None:
        """Nothing is kept."""

    @torch.no_grad()
    def update(self, images: Tensor, completed: Tensor, raw: Tensor) -> dict[str, Tensor]:
        """(B, 3, H, W) in [0, 1] each -> completed_lpips_NET and raw_lpips_NET, (B,)."""
        parts = {"completed": completed, "raw": raw}
        return {f"{part}_lpips_{self.net}": self.distance(images, pictures) for part, pictures in parts.items()}

    def finish(self) -> dict[str, float]:
        """Nothing: LPIPS is a metric of single images."""
        return {}

    @torch.no_grad()
    def distance(self, images: Tensor, pictures: Tensor) -> Tensor:
        """LPIPS of each pair of images (B, 3, H, W) in [0, 1] -> (B,)."""
        pairs = zip(images.split(LPIPS_CHUNK), pictures.split(LPIPS_CHUNK), strict=True)
        with torch.autocast(images.device.type, enabled=False):
            return torch.cat([self.network(upscale(a), upscale(b), normalize=True).reshape(-1) for a, b in pairs])


def upscale(images: Tensor) -> Tensor:
    """Images (B, C, H, W) of which a side is below 64 pixels, enlarged bilinearly until the shorter one is 64."""
    short = min(images.shape[-2:])
    if short >= LPIPS_SIZE:
        return images
    height, width = (math.ceil(side * LPIPS_SIZE / short) for side in images.shape[-2:])
    return F.interpolate(images, size=(height, width), mode="bilinear", align_corners=False)


def check_net(net: str) -> None:
    """Raise `UsageError` if there is no such network."""
    if net not in LPIPS_NETS:
        raise UsageError(f"There is no LPIPS network {net!r}: choose among {', '.join(LPIPS_NETS)}.")


def load_lpips(net: str, root: str | os.PathLike | None = None, download: bool = False) -> Lpips:
    """LPIPS by one of its networks, on the CPU. The linear layers that weight its features come with the lpips package.

    Raises:
        MissingWeights, UsageError: as `find_weights`; also UsageError if there is no such network.
    """
    check_net(net)
    path = find_weights(net, root, download)
    weights = read_weights(path)
    import lpips  # only once the file is known to be there: it takes a second

    with torch.random.fork_rng(devices=[]), warnings.catch_warnings():  # it draws random weights first
        warnings.simplefilter("ignore")  # torchvision's, about how lpips calls it
        network = lpips.LPIPS(net=net, pnet_rand=True, verbose=False)
    trunk = network.net.state_dict()  # slice2.3.weight is torchvision's features.3.weight
    names = {name: f"features.{name.partition('.')[2]}" for name in trunk}
    try:
        network.net.load_state_dict({name: weights[theirs] for name, theirs in names.items()})
    except (KeyError, RuntimeError) as error:
        raise UsageError(f"{str(path)!r} does not hold the weights of {net}.") from error
    return Lpips(net, network.eval().requires_grad_(False))


# ---- FID ---------------------------------------------------------------------------------------------------------


class Fid:
    """FID (Heusel et al. 2017) of all completed images and of all raw reconstructions, against the originals.

    The Frechet distance between two Gaussians fitted to features: whether the pictures look real as a set, not whether
    each is right. 0 or more, lower is better, no unit. It falls as the number of images grows, so compare it only
    between equal numbers of images, and never with fewer than 2048.

    torchmetrics computes it from torch-fidelity's Inception features. Images are rounded to 8 bits, as in files. The
    features of the originals are computed once for all mask seeds, so one `Fid` belongs to one split.

    Args:
        extractor: (B, 3, H, W) uint8 -> (B, D) features.
        features: D.
    """

    def __init__(self, extractor: nn.Module, features: int = FID_FEATURES):
        from torchmetrics.image.fid import FrechetInceptionDistance

        self.extractor = extractor
        options = {"feature": _Given(features), "reset_real_features": False}
        self.distances = {part: FrechetInceptionDistance(**options) for part in ("completed", "raw")}
        self.originals_known = False

    def start(self) -> None:
        """Forget the pictures under the last masks, and the originals too unless all of them were seen."""
        for distance in self.distances.values():
            distance.reset_real_features = not self.originals_known
            distance.reset()

    @torch.no_grad()
    def update(self, images: Tensor, completed: Tensor, raw: Tensor) -> dict[str, Tensor]:
        """Take a batch, (B, 3, H, W) in [0, 1] each."""
        if not self.originals_known:
            features = self.features(images)
            for distance in self.distances.values():
                distance.update(features, real=True)
        for part, pictures in {"completed": completed, "raw": raw}.items():
            self.distances[part].update(self.features(pictures), real=False)
        return {}

    def finish(self) -> dict[str, float]:
        """completed_fid and raw_fid; nothing for fewer than two images."""
        self.originals_known = True
        counts = [int(distance.fake_features_num_samples) for distance in self.distances.values()]
        if min(counts) < 2:
            return {}
        return {f"{part}_fid": distance.compute().item() for part, distance in self.distances.items()}

    def features(self, images: Tensor) -> Tensor:
        """(B, C, H, W) in [0, 1] -> (B, D) float64 on the CPU, so that sums do not depend on the device."""
        whole = (images * 255).round().clamp(0, 255).to(torch.uint8)
        with torch.autocast(images.device.type, enabled=False):
            return torch.cat([self.extractor(part).cpu().double() for part in whole.split(FID_CHUNK)])


class _Given(nn.Module):
    """A feature extractor for torchmetrics that passes features on, so that those of the originals serve twice."""

    def __init__(self, num_features: int):
        super().__init__()
        self.num_features = num_features

    def forward(self, features: Tensor) -> Tensor:
        return features


def load_fid(root: str | os.PathLike | None = None, download: bool = False, features: int = FID_FEATURES) -> Fid:
    """FID by torch-fidelity's Inception network, on the CPU.

    Args:
        root, download: as `find_weights` takes them.
        features: the layer, by its width: 2048 is usual; 768, 192 and 64 are the others.

    Raises:
        MissingWeights, UsageError: as `find_weights`.
    """
    path = find_weights("fid", root, download)
    read_weights(path)  # raises one clear sentence for a file of another kind
    from torchmetrics.image.fid import NoTrainInceptionV3

    try:
        extractor = NoTrainInceptionV3("inception-v3-compat", [str(features)], str(path))
    except RuntimeError as error:
        raise UsageError(f"{str(path)!r} does not hold the weights of Inception.") from error
    return Fid(extractor.requires_grad_(False), features)


# ---- both --------------------------------------------------------------------------------------------------------


def load_meters(
    lpips: Sequence[str] = ("alex",),
    fid: bool = True,
    root: str | os.PathLike | None = None,
    download: bool = False,
    device: torch.device | str = "cpu",
) -> tuple[list[Lpips | Fid], list[MissingWeights]]:
    """The metrics asked for, on a device, and the errors of those whose weights are missing.

    Raises:
        UsageError: there is no such network, or a file is damaged.
    """
    for net in lpips:
        check_net(net)
    meters, missing = [], []
    for name in [*lpips, *(["fid"] if fid else [])]:
        try:
            meter = load_fid(root, download) if name == "fid" else load_lpips(name, root, download)
        except MissingWeights as error:
            missing.append(error)
            continue
        network = meter.extractor if isinstance(meter, Fid) else meter.network
        network.to(device)
        meters.append(meter)
    return meters, missing


def missing_sentence(missing: list[MissingWeights]) -> str:
    """One sentence: what is not measured, which files that needs, and where to put them."""
    needs = ", ".join(f"{error.title} (needs {error.file})" for error in missing)
    own, *cache = missing[0].places
    where = f"{str(own)!r}" if cache else f"{str(own)!r} or a folder that ETVIZ_WEIGHTS names"
    several = "these files" if len(missing) > 1 else "this file"
    return f"Not measured: {needs}; put {several} into {where}, or let weights.download=true fetch them."
