"""The floors against numpy and OpenCV called by hand, and on real CIFAR-10."""

import subprocess
import sys

import numpy as np
import pytest
import torch

import etviz
from etviz import inpainting, metrics

FLOORS = [
    inpainting.mean_fill,
    inpainting.nearest_fill,
    inpainting.biharmonic_fill,
    inpainting.telea_fill,
    inpainting.navier_stokes_fill,
]


def pixels_of(mask):
    """(64,) bool -> (32, 32) bool, by numpy."""
    return np.kron(mask.numpy().reshape(8, 8), np.ones((4, 4))).astype(bool)


def test_mean_fill_is_the_mean_of_what_is_seen(images, mask):
    filled = inpainting.mean_fill(images, mask)
    hidden, channel = pixels_of(mask[2]), images[2, 1].numpy()
    assert np.allclose(filled[2, 1].numpy()[hidden], channel[~hidden].mean(), atol=1e-6)


@pytest.mark.parametrize(("fill", "method"), [("navier_stokes_fill", "INPAINT_NS"), ("telea_fill", "INPAINT_TELEA")])
def test_navier_stokes_and_telea_are_opencvs(images, mask, fill, method):
    cv2 = pytest.importorskip("cv2", reason="the app's extra is not installed")
    filled = getattr(inpainting, fill)(images, mask)
    for image, its_mask, result in zip(images, mask, filled, strict=True):
        hidden = pixels_of(its_mask)
        pixels = np.rint(image.permute(1, 2, 0).numpy() * 255).astype(np.uint8)
        pixels[hidden] = 128
        expected = cv2.inpaint(pixels, hidden.astype(np.uint8), 3, getattr(cv2, method))
        assert np.array_equal(np.rint(result.permute(1, 2, 0).numpy() * 255)[hidden], expected[hidden])
        assert expected[hidden].std() > 0


def test_nearest_is_the_nearest_by_brute_force(images, mask):
    filled = inpainting.nearest_fill(images, mask)
    places = np.stack(np.meshgrid(np.arange(32), np.arange(32), indexing="ij"), -1).reshape(-1, 2)
    hidden = pixels_of(mask[1]).reshape(-1)
    image, result = (picture[1].flatten(1).numpy() for picture in (images, filled))
    for pixel in np.flatnonzero(hidden)[::50]:
        distance = np.square(places[~hidden] - places[pixel]).sum(1)
        ties = image[:, ~hidden][:, distance == distance.min()]
        assert (ties == result[:, [pixel]]).all(0).any()


def test_biharmonic_goes_on_with_a_slope():
    """A plane solves the biharmonic equation: what is hidden inside it comes back."""
    rows, columns = torch.meshgrid(torch.arange(32.0), torch.arange(32.0), indexing="ij")
    image = (0.2 + 0.01 * rows + 0.008 * columns).expand(1, 3, 32, 32)
    filled = inpainting.biharmonic_fill(image, etviz.center_mask(1))
    assert torch.allclose(filled, image, atol=1e-3)


def test_navier_stokes_carries_an_edge_on():
    """Left half dark, right half bright, and a band across hidden: it is dark on the left and bright on the right."""
    image = torch.full((1, 3, 32, 32), 0.2)
    image[..., 16:] = 0.8
    mask = torch.zeros(1, 8, 8, dtype=torch.bool)
    mask[:, 4] = True
    filled = inpainting.navier_stokes_fill(image, mask.reshape(1, 64))[0, 0]
    assert filled[17, :12].max() < 0.3
    assert filled[17, 20:].min() > 0.6


@pytest.mark.parametrize("fill", FLOORS)
def test_floors_keep_what_is_given_and_look_at_nothing_else(fill, images, mask):
    hidden = torch.from_numpy(np.stack([pixels_of(one) for one in mask]))[:, None]
    filled = fill(images, mask)
    assert torch.equal(torch.where(hidden, 0, filled), torch.where(hidden, 0, images))
    assert torch.equal(fill(torch.where(hidden, torch.nan, images), mask), filled)


@pytest.mark.parametrize("fill", FLOORS)
def test_nothing_to_see_is_grey(fill, images):
    everything = torch.ones(4, 64, dtype=torch.bool)
    assert (fill(images, everything) - 0.5).abs().max() <= 0.5 / 255 + 1e-6


def test_grey_images_have_a_floor_too(images, mask):
    grey = images[:, :1]
    colour = inpainting.navier_stokes_fill(grey.expand(-1, 3, -1, -1), mask)
    assert (inpainting.navier_stokes_fill(grey, mask) - colour[:, :1]).abs().max() <= 1 / 255 + 1e-6


def test_other_channels_are_one_sentence(images, mask):
    with pytest.raises(etviz.UsageError, match="1 or 3 channels, not 2"):
        inpainting.navier_stokes_fill(images[:, :2], mask)


def floor_of_cifar10(fill, images):
    values = metrics.measure(fill, images, metrics.evaluation_masks(len(images)), include_ssim=False)
    return metrics.summarize(values)["masked_psnr"]


def test_the_visible_mean_floor_of_cifar10(cifar10):
    assert floor_of_cifar10(inpainting.mean_fill, cifar10.test_images) == pytest.approx(13.18, abs=0.01)


def test_the_navier_stokes_floor_of_cifar10(cifar10):
    """14.51 dB over the whole split, which takes a while; a part of it lies near."""
    assert floor_of_cifar10(inpainting.navier_stokes_fill, cifar10.test_images[:1000]) == pytest.approx(14.51, abs=0.2)


def test_importing_the_floors_stays_light():
    code = "import sys, etviz.inpainting; print([m for m in ('cv2', 'gradio', 'matplotlib') if m in sys.modules])"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"
