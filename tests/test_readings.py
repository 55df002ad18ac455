"""The readings need a `Backend` and no more: each of them answers through the smallest one there is."""

import contextlib
import json

import pytest
import torch

import etviz
from etviz.checkpoints import save_checkpoint
from etviz.data import to_float
from tests.conftest import TINY

pytest.importorskip("skimage", reason="the app's extra is not installed")

from etviz.examples import Pictures
from etviz.official import SOURCES
from etviz.ui.cache import Cache
from etviz.ui.downloads import Downloads
from etviz.ui.limits import LIMITS
from etviz.ui.protocol import Backend
from etviz.ui.readings import READINGS
from etviz.ui.request import Request, Settings
from etviz.ui.service import Service

MASK = "ffffff0f0ffffffe"
MORE = {  # what some readings ask for besides
    "export": {"format": "zip"},
    "attention": {"patch": 5},
    "memories_of_patch": {"patch": 5},
    "memory_places": {"memory": 3},
    "perturbations": {"noise": 0.1, "seed": 0},
    "gallery": {"dataset": "Image", "page": 0},
    "compare": {"columns": [{"model": "tiny", "mask": MASK}]},
    "training": {"run": "tiny"},
    "epochs": {"run": "tiny"},
    "download": {"source": "imagenet"},
}


class OneModel:
    """A backend of one model and four pictures, which keeps nothing and has nobody else to serve."""

    def __init__(self, model, folder):
        self.limits, self.lock, self.bands = LIMITS, contextlib.nullcontext(), Cache(1)
        self.checkpoints, self.others, self.galleries = {"tiny": str(folder)}, {}, ["Image"]
        self.downloads = Downloads({"imagenet": SOURCES["imagenet"]}, lambda name: None)
        self.the_model = model
        generator = torch.Generator().manual_seed(1)
        images = torch.randint(0, 256, (4, 3, 32, 32), dtype=torch.uint8, generator=generator)
        self.the_pictures = Pictures(images, ["cat", "dog", "ship", "frog"], "Image")

    def menu_entry(self, name):
        return {"name": name}

    def place(self, name):
        return self.checkpoints[name]

    def model(self, name, snapshot=None):
        return self.the_model

    def pictures(self, dataset, size):
        return self.the_pictures

    def read_request(self, question, energy=True):
        return Request(
            model=self.the_model,
            model_name="tiny",
            snapshot=None,
            image=to_float(self.the_pictures.images[2]),
            picture={"dataset": "Image", "index": 2},
            caption="Image 2: ship",
            mask=etviz.mask_from_hex(MASK),
            settings=Settings(steps=3),
        )

    def trace(self, request, keep_attention=False):
        return request.compute_trace(keep_attention)

    def first_steps(self, request):
        return request.begin_trace()

    def in_turns(self, pieces):
        return pieces


@pytest.fixture(scope="module")
def backend(tmp_path_factory):
    torch.manual_seed(0)
    model, folder = etviz.create_model("et", **TINY).eval(), tmp_path_factory.mktemp("runs") / "tiny"
    save_checkpoint(model, folder, {})
    return OneModel(model, folder)


@pytest.mark.parametrize("kind", READINGS)
def test_a_reading_answers_through_the_smallest_backend(backend, kind):
    answer = READINGS[kind](backend, {"model": "tiny", "picture": {"index": 2}, "mask": MASK, **MORE.get(kind, {})})
    assert answer
    json.dumps(answer, allow_nan=False)


def test_the_service_is_a_backend_too(backend, tmp_path):
    service = Service(backend.place("tiny"), root=str(tmp_path))
    assert isinstance(service, Backend)
    assert isinstance(backend, Backend)
    assert not isinstance(object(), Backend)
