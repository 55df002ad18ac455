"""LPIPS and FID: where weights are looked for, and numbers held against definitions computed here.

The real networks' weights cannot be had everywhere: stand-ins of the same shapes, saved under names that carry their
own hash, go through the very code that loads the real ones.
"""

import hashlib
import warnings
from pathlib import Path

import numpy as np
import pytest
import scipy.linalg
import torch
import torch.nn.functional as F
import torchvision
from torch import nn

import etviz
from etviz import metrics
from etviz.evaluation import perceptual
from etviz.evaluation.perceptual import Fid, Lpips, MissingWeights, WeightsFile

TRUNKS = {"alex": torchvision.models.alexnet, "squeeze": torchvision.models.squeezenet1_1}


@pytest.fixture
def hub(tmp_path, monkeypatch):
    """An empty torch hub, and no ETVIZ_WEIGHTS; every attempt to download fails as without a network."""
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    monkeypatch.delenv("ETVIZ_WEIGHTS", raising=False)

    def refuse(url, *args, **kwargs):
        raise OSError(f"no network for {url}")

    monkeypatch.setattr(torch.hub, "download_url_to_file", refuse)
    return tmp_path / "torch" / "hub" / "checkpoints"


def stand_in(metric, folder, monkeypatch, weights):
    """Save weights under a name that carries their hash, and have it looked for under that name."""
    folder.mkdir(parents=True, exist_ok=True)
    torch.save(weights, folder / "weights.pth")
    digest = hashlib.sha256((folder / "weights.pth").read_bytes()).hexdigest()
    path = (folder / "weights.pth").rename(folder / f"standin-{digest[:8]}.pth")
    wanted = WeightsFile(perceptual.WEIGHTS[metric].folder, path.name)
    monkeypatch.setitem(perceptual.WEIGHTS, metric, wanted)
    return path


def trunk_weights(net):
    """Weights of torchvision's network without its classifier, as random as a new one's."""
    torch.manual_seed(3)
    with torch.device("meta"):
        empty = TRUNKS[net]().features
    features = empty.to_empty(device="cpu")
    for weights in features.parameters():
        nn.init.normal_(weights, std=0.1 if weights.ndim == 1 else (2 / weights[0].numel()) ** 0.5)
    return {f"features.{name}": value for name, value in features.state_dict().items()}


@pytest.fixture
def pair():
    generator = torch.Generator().manual_seed(1)
    images = torch.rand(3, 3, 32, 32, generator=generator)
    return images, (images + 0.2 * torch.randn(images.shape, generator=generator)).clamp(0, 1)


# ---- where weights are looked for ----------------------------------------------------------------------------------


def test_the_names_are_those_that_torchvision_and_torch_fidelity_download():
    from torch_fidelity.feature_extractor_inceptionv3 import URL_INCEPTION_V3

    models = torchvision.models
    known = {
        "alex": models.AlexNet_Weights.IMAGENET1K_V1.url,
        "vgg": models.VGG16_Weights.IMAGENET1K_V1.url,
        "squeeze": models.SqueezeNet1_1_Weights.IMAGENET1K_V1.url,
        "fid": URL_INCEPTION_V3,
    }
    assert {metric: wanted.url for metric, wanted in perceptual.WEIGHTS.items()} == known


def test_missing_weights_say_which_file_and_where_it_belongs(hub, monkeypatch, tmp_path):
    with pytest.raises(MissingWeights, match=r"LPIPS \(alex\) needs alexnet-owt-7be5be79.pth, which is not in"):
        perceptual.load_lpips("alex")
    monkeypatch.setenv("ETVIZ_WEIGHTS", str(tmp_path / "mine"))
    meters, missing = perceptual.load_meters(["alex", "vgg", "squeeze"], fid=True)
    assert meters == []
    sentence = perceptual.missing_sentence(missing)
    for part in ("alexnet-owt-7be5be79", "vgg16-397923af", "squeezenet1_1-b8a52dc0", "weights-inception-2015-12-05"):
        assert part in sentence
    assert f"put these files into '{tmp_path / 'mine'}'" in sentence
    assert sentence.count(". ") == 0
    assert sentence.endswith(".")
    assert not hub.exists()  # nothing is written unless a download is asked for


def test_without_a_folder_of_ones_own_the_sentence_names_the_cache(hub):
    _, missing = perceptual.load_meters([], fid=True)
    assert f"put this file into '{hub}' or a folder that ETVIZ_WEIGHTS names" in perceptual.missing_sentence(missing)


def test_a_download_is_tried_only_where_it_is_asked_for_and_is_checked(hub, monkeypatch):
    with pytest.raises(MissingWeights, match="the download failed: no network for https://"):
        perceptual.find_weights("vgg", download=True)
    calls = []

    def download(url, target, hash_prefix):
        calls.append((url, hash_prefix))
        Path(target).write_bytes(b"weights")

    monkeypatch.setattr(torch.hub, "download_url_to_file", download)
    path = perceptual.find_weights("vgg", download=True)
    assert path == hub / "vgg16-397923af.pth"
    assert path.read_bytes() == b"weights"
    assert calls == [("https://download.pytorch.org/models/vgg16-397923af.pth", "397923af")]


def test_the_given_folder_comes_before_the_environment_and_both_before_the_cache(hub, monkeypatch, tmp_path):
    weights = {"a": torch.zeros(2)}
    cached = stand_in("alex", hub, monkeypatch, weights)
    assert perceptual.find_weights("alex") == cached
    own = stand_in("alex", tmp_path / "own", monkeypatch, weights)
    monkeypatch.setenv("ETVIZ_WEIGHTS", str(tmp_path / "own"))
    assert perceptual.find_weights("alex") == own
    given = stand_in("alex", tmp_path / "given", monkeypatch, weights)
    assert perceptual.find_weights("alex", tmp_path / "given") == given


def test_a_truncated_or_foreign_file_is_one_sentence(hub, monkeypatch):
    path = stand_in("squeeze", hub, monkeypatch, {"features.0.weight": torch.zeros(2)})
    with pytest.raises(etviz.UsageError, match="does not hold the weights of squeeze"):
        perceptual.load_lpips("squeeze")
    path.write_bytes(path.read_bytes()[:-10])
    with pytest.raises(etviz.UsageError, match="or only a part of it"):
        perceptual.load_lpips("squeeze")
    path = stand_in("fid", hub, monkeypatch, {"features.0.weight": torch.zeros(2)})
    with pytest.raises(etviz.UsageError, match="does not hold the weights of Inception"):
        perceptual.load_fid()
    stand_in("fid", hub, monkeypatch, [1, 2])
    with pytest.raises(etviz.UsageError, match="does not hold a network's weights"):
        perceptual.load_fid()


@pytest.mark.parametrize("net", ["resnet", "fid"])
def test_an_unknown_network_is_refused(hub, net):
    with pytest.raises(etviz.UsageError, match="choose among alex, vgg, squeeze"):
        perceptual.load_meters([net])


# ---- LPIPS -------------------------------------------------------------------------------------------------------


def plain_lpips(net, weights, taps, a, b):
    """The definition in float64: normalised features of five or seven layers, weighed squared differences, averaged."""
    import lpips as package

    folder = package.__path__[0] + "/weights/v0.1"
    linear = torch.load(f"{folder}/{net}.pth", map_location="cpu", weights_only=True)
    features = TRUNKS[net]().features
    features.load_state_dict({name.partition(".")[2]: value for name, value in weights.items()})
    features.double().eval()
    shift = torch.tensor([-0.030, -0.088, -0.188], dtype=torch.float64).view(3, 1, 1)
    scale = torch.tensor([0.458, 0.448, 0.450], dtype=torch.float64).view(3, 1, 1)
    states = [(2 * F.interpolate(x.double(), size=64, mode="bilinear") - 1 - shift) / scale for x in (a, b)]
    total, layer = 0.0, 0
    for index, module in enumerate(features):
        states = [module(state) for state in states]
        if index in taps:
            # a copy: the next ReLU works in place on what it is given
            units = [s.clone() / (s.square().sum(1, keepdim=True).sqrt() + 1e-10) for s in states]
            weight = linear[f"lin{layer}.model.1.weight"].double()
            total = total + ((units[0] - units[1]).square() * weight).sum(1).mean((1, 2))
            layer += 1
    return total


@pytest.mark.parametrize(("net", "taps"), [("alex", (1, 4, 7, 9, 11)), ("squeeze", (1, 4, 7, 9, 10, 11, 12))])
def test_lpips_is_its_definition_at_64_pixels(hub, monkeypatch, pair, net, taps):
    weights = trunk_weights(net)
    stand_in(net, hub, monkeypatch, weights)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        meter = perceptual.load_lpips(net)
    images, noisy = pair
    with torch.no_grad():
        expected = plain_lpips(net, weights, taps, images, noisy)
    assert (expected > 0.001).all()
    values = meter.update(images, noisy, images)
    assert values[f"completed_lpips_{net}"].tolist() == pytest.approx(expected.tolist(), rel=1e-4)
    assert values[f"raw_lpips_{net}"].tolist() == pytest.approx([0, 0, 0], abs=1e-7)
    assert meter.finish() == {}


def test_loading_leaves_the_random_generator_alone(hub, monkeypatch):
    stand_in("squeeze", hub, monkeypatch, trunk_weights("squeeze"))
    torch.manual_seed(5)
    perceptual.load_lpips("squeeze")
    after = torch.rand(3)
    torch.manual_seed(5)
    assert torch.equal(after, torch.rand(3))


@pytest.mark.parametrize(("shape", "seen"), [((32, 32), (64, 64)), ((28, 30), (64, 69)), ((96, 64), (96, 64))])
def test_lpips_upscales_small_images_to_64_pixels_and_leaves_larger_ones_alone(shape, seen):
    sizes = []

    class Network(nn.Module):
        def forward(self, a, b, normalize):
            assert normalize  # images in [0, 1], not [-1, 1]
            sizes.extend([tuple(a.shape[-2:]), tuple(b.shape[-2:])])
            return (a - b).abs().mean((1, 2, 3), keepdim=True)

    images = torch.rand(2, 3, *shape)
    values = Lpips("alex", Network()).distance(images, images + 0.25)
    assert sizes == [seen, seen]
    assert values.tolist() == pytest.approx([0.25, 0.25], abs=1e-6)
    enlarged = perceptual.upscale(images)
    assert torch.equal(enlarged, F.interpolate(images, size=seen, mode="bilinear") if shape != seen else images)


# ---- FID ---------------------------------------------------------------------------------------------------------


class ChannelMeans(nn.Module):
    """Three features: the mean of each channel, of 8-bit images."""

    def forward(self, images):
        assert images.dtype == torch.uint8
        return images.float().mean((2, 3))


def gaussian_images(count, mean, scale, seed):
    """2x2 pictures of one colour, Gaussian but for the rounding to 8 bits, in [0, 1]; and their 8-bit values (n, 3)."""
    colours = np.rint(np.random.default_rng(seed).normal(mean, scale, (count, 3)).clip(0, 1) * 255)
    return as_images(colours), colours


def as_images(colours):
    return torch.from_numpy(colours / 255).float()[:, :, None, None].expand(-1, -1, 2, 2)


def frechet(a, b):
    """|m - n|^2 + tr(C + D - 2 (C D)^1/2) of the samples' means and covariances, in float64."""
    c, d = np.cov(a.T), np.cov(b.T)
    return ((a.mean(0) - b.mean(0)) ** 2).sum() + np.trace(c + d - 2 * scipy.linalg.sqrtm(c @ d).real)


def test_fid_of_gaussians_is_its_closed_form():
    count = 40_000
    means, scales = np.array([[0.4, 0.5, 0.6], [0.45, 0.5, 0.52]]), np.array([[0.05, 0.08, 0.06], [0.07, 0.04, 0.06]])
    (images, a), (pictures, b) = (gaussian_images(count, means[i], scales[i], seed=i) for i in (0, 1))
    raw, c = gaussian_images(count, means[0], scales[0], seed=2)
    fid = Fid(ChannelMeans(), features=3)
    fid.start()
    for batch in zip(images.split(7000), pictures.split(7000), raw.split(7000), strict=True):
        assert fid.update(*batch) == {}
    values = fid.finish()
    assert values.keys() == {"completed_fid", "raw_fid"}
    assert values["completed_fid"] == pytest.approx(frechet(a, b), rel=1e-6)
    assert values["raw_fid"] == pytest.approx(frechet(a, c), abs=1e-6)
    # of the populations, whose covariances are diagonal: the distance of the means and of the deviations
    closed = 255**2 * (((means[0] - means[1]) ** 2).sum() + ((scales[0] - scales[1]) ** 2).sum())
    assert values["completed_fid"] == pytest.approx(closed, rel=0.03)
    assert values["raw_fid"] < 0.01 * closed


def test_fid_of_correlated_features_is_its_closed_form():
    rng = np.random.default_rng(4)
    factors = rng.normal(size=(2, 3, 3)) * 0.04
    colours = [np.rint((0.5 + rng.normal(size=(5000, 3)) @ factor).clip(0, 1) * 255) for factor in factors]
    pictures = [as_images(c) for c in colours]
    fid = Fid(ChannelMeans(), features=3)
    fid.start()
    fid.update(pictures[0], pictures[1], pictures[0])
    expected = frechet(*colours)
    values = fid.finish()
    assert values["completed_fid"] == pytest.approx(expected, rel=1e-6)
    assert values["raw_fid"] == pytest.approx(0, abs=1e-6 * expected)


def test_fid_sees_the_originals_once_and_each_seed_by_itself():
    seen = []

    class Counting(ChannelMeans):
        def forward(self, images):
            seen.append(len(images))
            return super().forward(images)

    images, first, second = (gaussian_images(40, 0.5, 0.1, seed)[0] for seed in (0, 1, 2))
    fid, alone = Fid(Counting(), features=3), Fid(ChannelMeans(), features=3)
    results = []
    for pictures in (first, second):
        fid.start()
        fid.update(images, pictures, first)
        results.append(fid.finish())
    assert sum(seen) == 40 * 5  # originals once, two kinds of pictures twice
    alone.start()
    alone.update(images, second, first)
    assert results[1] == alone.finish() != results[0]


def test_an_interrupted_first_seed_is_forgotten():
    images, pictures = (gaussian_images(20, 0.5, 0.1, seed)[0] for seed in (0, 1))
    fid, alone = Fid(ChannelMeans(), features=3), Fid(ChannelMeans(), features=3)
    fid.start()
    fid.update(images[:5], images[:5], images[:5])
    results = []
    for meter in (fid, alone):
        meter.start()
        meter.update(images, pictures, images)
        results.append(meter.finish())
    assert results[0] == results[1]


def test_fid_of_one_image_is_left_out():
    images, _ = gaussian_images(1, 0.5, 0.1, 0)
    fid = Fid(ChannelMeans(), features=3)
    fid.start()
    fid.update(images, images, images)
    assert fid.finish() == {}


def test_inception_is_loaded_from_the_file_and_gives_torchmetrics_fid(hub, monkeypatch):
    from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3
    from torchmetrics.image.fid import FrechetInceptionDistance

    monkeypatch.setattr("torch_fidelity.feature_extractor_inceptionv3.load_state_dict_from_url", lambda *a, **k: None)
    monkeypatch.setattr(FeatureExtractorInceptionV3, "load_state_dict", lambda *a: None)
    torch.manual_seed(0)
    network = FeatureExtractorInceptionV3("inception-v3-compat", ["64"])  # random: the real one has to be downloaded
    monkeypatch.undo()
    monkeypatch.setenv("TORCH_HOME", str(hub.parent.parent))
    path = stand_in("fid", hub, monkeypatch, network.state_dict())
    generator = torch.Generator().manual_seed(2)
    images, pictures = torch.randint(256, (2, 8, 3, 32, 32), dtype=torch.uint8, generator=generator)
    theirs = FrechetInceptionDistance(64, feature_extractor_weights_path=str(path))
    theirs.update(images, real=True)
    theirs.update(pictures, real=False)
    fid = perceptual.load_fid(features=64)
    fid.start()
    fid.update(images / 255, pictures / 255, images / 255)
    assert fid.finish()["completed_fid"] == pytest.approx(theirs.compute().item(), rel=1e-4)


# ---- over a split ------------------------------------------------------------------------------------------------


class Distance(nn.Module):
    def forward(self, a, b, normalize):
        return (a - b).abs().mean((1, 2, 3), keepdim=True)


def test_meters_join_a_whole_evaluation_whatever_the_batch_size():
    split = torch.randint(256, (11, 3, 32, 32), dtype=torch.uint8, generator=torch.Generator().manual_seed(2))
    torch.manual_seed(0)
    options = {"embed_dim": 32, "num_heads": 2, "head_dim": 16, "steps": 3, "step_size": 0.1, "init_scale": 0.1}
    model = etviz.create_model("et", **options).eval()
    results = []
    for batch_size in (3, 11):
        meters = [Lpips("alex", Distance()), Fid(ChannelMeans(), features=3)]
        results.append(metrics.evaluate_model(model, split, batch_size=batch_size, meters=meters))
    images, mask = split.float() / 255, metrics.evaluation_masks(11)
    raw = model.reconstruct(images, mask)
    completed = etviz.complete(images, raw, mask)
    originals = np.rint(images.numpy() * 255).mean((2, 3))
    for part, pictures in {"completed": completed, "raw": raw}.items():
        larger = [F.interpolate(x, size=64, mode="bilinear") for x in (images, pictures)]
        distance = (larger[0] - larger[1]).abs().mean((1, 2, 3)).double()
        assert results[0][f"{part}_lpips_alex"] == pytest.approx(distance.mean().item(), rel=1e-5)
        error = distance.std().item() / 11**0.5
        assert results[0][f"{part}_lpips_alex_standard_error"] == pytest.approx(error, rel=1e-4)
        features = np.rint(pictures.numpy() * 255).mean((2, 3))
        assert results[0][f"{part}_fid"] == pytest.approx(frechet(originals, features), rel=1e-4)
    assert results[1] == pytest.approx(results[0], rel=1e-5)
