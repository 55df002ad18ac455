"""The yardstick computes the same thing; the counts are right. Speeds themselves are measured, not asserted, here:
shared machines are noisy. `python -m etviz.bench` prints them."""

import json

import pytest
import torch

import etviz
from benchmarks import literal
from etviz import bench
from tests.conftest import TINY


@pytest.fixture
def model():
    torch.manual_seed(0)
    return etviz.create_model("et", **TINY)


def test_literal_transformer_computes_the_same(model, images, mask):
    trace = model.trace(images, mask)
    frames, energy = literal.trace(model, images, mask)
    torch.testing.assert_close(trace.frames, frames, atol=1e-5, rtol=0)
    torch.testing.assert_close(trace.energy, energy, rtol=1e-5, atol=0)
    torch.testing.assert_close(literal.reconstruct(model, images, mask), model.reconstruct(images, mask))


def test_literal_training_step_has_the_same_gradient(model, images, mask):
    """Second derivatives by autograd against the closed form differentiated once."""
    gradients = []
    for loss in (model.loss(images, mask), literal.loss(model, images, mask)):
        model.zero_grad()
        loss.backward()
        gradients.append(torch.cat([p.grad.flatten() for p in model.parameters()]))
    torch.testing.assert_close(*gradients, atol=1e-6, rtol=1e-4)


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ("batch_size=1e11", "batch_size must be a whole number"),
        ("seconds=inf", "seconds must be a finite number, not inf"),
        ("seconds=nan", "seconds must be a finite number"),
        ("model=mae", "model must be one of et, et_asym, not 'mae'"),
    ],
)
def test_bad_options_are_one_sentence(option, message):
    with pytest.raises(etviz.UsageError, match=message):
        bench.main([option])


def test_report(model):
    report = bench.measure(model, batch=2, seconds=0.01)
    tasks = report["tasks"]
    assert tasks["reconstruct, 2 images"]["images_per_second"] == pytest.approx(
        2 / tasks["reconstruct, 2 images"]["seconds"]
    )
    ratio = tasks["literal trace, 1 image"]["seconds"] / tasks["trace, 1 image"]["seconds"]
    assert report["ratios"]["literal / etviz, trace, 1 image"] == pytest.approx(ratio)
    json.dumps(report)
