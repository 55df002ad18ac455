"""Python's side of the comparison: a service of small models, and its answers."""

import contextlib
import math
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from unittest import mock

import pytest
import torch

import etviz
from etviz.checkpoints import save_checkpoint, save_snapshot
from etviz.inpainting import biharmonic_fill
from etviz.ui import payload
from etviz.ui.limits import LIMITS
from etviz.ui.readings.quality import measure_fill
from etviz.ui.service import Service
from tests.conftest import TINY, TINY_ASYM

MODELS = {  # every option that the engine reads has a value of its own somewhere
    "tiny": dict(name="et", **TINY),
    "deep": dict(name="et", **TINY | dict(depth=2, exclude_self=True, normalise_tokens=True)),
    "coarse": dict(name="et_asym", **TINY_ASYM, patch_size=8, exclude_self=True),
}


@contextlib.contextmanager
def serving(home: Path) -> Iterator[Service]:
    """Three untrained models, one of them with a snapshot, a shipped one, and scikit-image's pictures."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ETVIZ_DATA", str(home))
        patch.setenv("ETVIZ_RUNS", str(home / "runs"))
        limits = replace(LIMITS, band_seconds=600.0)  # or the pictures in a band would depend on the machine
        service = Service("et-small-cifar10", limits=limits)
        service.checkpoints = {"et-small-cifar10": "et-small-cifar10"}
        for seed, (name, options) in enumerate(MODELS.items()):
            torch.manual_seed(seed)
            model = etviz.create_model(**options).eval()
            save_checkpoint(model, home / name, {"model": model.name})
            service.checkpoints[name] = str(home / name)
        save_snapshot(model, home / "coarse", 10, 0.5, 640)
        service.others = {}
        yield service


def python_answers(service: Service, questions: list[dict]) -> list[dict]:
    """What Python answers, every picture in it pixel by pixel, as the engine gives it: nothing has to travel."""
    with mock.patch.object(payload, "RAW_BYTES", math.inf):
        return [without_opencv(service, question, service.politely(service.ask, question)) for question in questions]


def without_opencv(service: Service, question: dict, answer: dict) -> dict:
    """The best fill of four is one of OpenCV's; the page has the biharmonic one."""
    if "best_fill" not in answer:
        return answer
    request = service.read_request(question)
    picture, mask = request.image[None], request.mask
    measures = measure_fill(picture, biharmonic_fill(picture, mask), mask)
    return answer | {"best_fill": {"name": "biharmonic", **measures}}
