"""What several test modules need: real CIFAR where it is, small models, small archives."""

import os

import numpy as np
import pytest
import torch

import etviz
from etviz.errors import UsageError

pytest.register_assert_rewrite("tests.contract")

# Tiny tensors: a second thread costs more than it brings, and waits for whatever else the machine does.
torch.set_num_threads(1)

TINY = dict(embed_dim=32, num_heads=2, head_dim=16, beta=0.25, steps=4, step_size=0.1, init_scale=0.1)
TINY_ASYM = TINY | dict(decoder_embed_dim=16, decoder_num_heads=2, decoder_head_dim=8)


@pytest.fixture(scope="session")
def cifar10():
    """Real CIFAR-10; skips where it is not there, fails where ETVIZ_REQUIRE_DATA says that it must be."""
    try:
        return etviz.load_dataset("cifar10", download=False)
    except UsageError as error:
        if os.environ.get("ETVIZ_REQUIRE_DATA"):
            raise
        pytest.skip(f"needs CIFAR-10: {error}")


@pytest.fixture(autouse=True)
def no_downloaded_weights(monkeypatch, tmp_path_factory):
    """LPIPS and FID find no weights, whatever lies in this machine's caches: a test that wants some brings its own."""
    monkeypatch.delenv("ETVIZ_WEIGHTS", raising=False)
    monkeypatch.setenv("TORCH_HOME", str(tmp_path_factory.getbasetemp() / "no-torch-hub"))


@pytest.fixture(params=["et", "et_asym"])
def tiny_model(request):
    """A small untrained model of each Energy Transformer, with weights large enough to do something."""
    torch.manual_seed(0)
    return etviz.create_model(request.param, **(TINY if request.param == "et" else TINY_ASYM)).eval()


@pytest.fixture
def images():
    """Four random images in [0, 1]."""
    return torch.rand(4, 3, 32, 32, generator=torch.Generator().manual_seed(1))


@pytest.fixture
def mask():
    """Four random masks that hide 54 of 64 patches."""
    return etviz.random_mask(4, generator=torch.Generator().manual_seed(2))


@pytest.fixture
def archive(tmp_path):
    """A small .npz in MedMNIST's layout, of random pictures with some structure to learn."""
    rng = np.random.default_rng(0)

    def pictures(count):
        corners = rng.integers(0, 255, (count, 2, 2, 3), dtype=np.uint8)
        return corners.repeat(16, axis=1).repeat(16, axis=2)

    path = tmp_path / "squares.npz"
    np.savez(
        path,
        train_images=pictures(200),
        train_labels=rng.integers(0, 3, (200, 1)),
        test_images=pictures(40),
        test_labels=rng.integers(0, 3, (40, 1)),
    )
    return path
