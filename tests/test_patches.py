import pytest
import torch

from etviz import UsageError
from etviz.patches import patchify, unpatchify


def test_round_trip_is_exact():
    images = torch.rand(2, 3, 32, 32)
    patches = patchify(images, 4)
    assert patches.shape == (2, 64, 48)
    assert torch.equal(unpatchify(patches, 4), images)


def test_patches_run_row_by_row():
    images = torch.rand(1, 3, 32, 32)
    patch = patchify(images, 4)[0, 8 + 2].reshape(4, 4, 3)  # second row, third column
    assert torch.equal(patch.permute(2, 0, 1), images[0, :, 4:8, 8:12])


def test_unpatchify_keeps_leading_axes():
    assert unpatchify(torch.zeros(2, 13, 64, 48), 4).shape == (2, 13, 3, 32, 32)


@pytest.mark.parametrize("patch_size", [5, 3, 0])
def test_impossible_patch_size(patch_size):
    with pytest.raises(UsageError, match="patch"):
        patchify(torch.zeros(1, 3, 32, 32), patch_size)
