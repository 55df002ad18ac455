"""What each metric is said to be, against what the metrics do."""

import math
import re

import pytest
import torch

from etviz import metrics
from etviz.evaluation import metric_info
from etviz.evaluation.metric_info import METRICS

KINDS = ("mse", "psnr", "ssim", "lpips_alex", "lpips_vgg", "lpips_squeeze", "fid")


def test_every_metric_of_every_part_is_described():
    wanted = {f"{part}_{kind}" for part in ("completed", "raw") for kind in KINDS} | {"masked_mse", "masked_psnr"}
    means = {f"{part}_psnr_image_mean" for part in metrics.PARTS}
    assert METRICS.keys() == wanted | means


@pytest.mark.parametrize("name", METRICS)
def test_a_text_says_range_unit_direction_and_use(name):
    info = METRICS[name]
    assert info.better in ("lower", "higher")
    assert f"{info.better} is better" in info.text
    assert ("no unit" in info.text) != ("decibels" in info.text)
    assert ("psnr" in name) == ("decibels" in info.text)
    assert re.search(r"From -?\d( up| to \d)", info.text)
    assert info.text.endswith(f"{info.use}")
    assert len(info.use) > 20


def test_ranges_and_directions_hold():
    generator = torch.Generator().manual_seed(0)
    images = torch.rand(20, 3, 32, 32, generator=generator)
    mask = torch.rand(20, 64, generator=generator) < 0.5
    measured = {"close": (images + 0.01).clamp(0, 1), "far": 1 - images}
    values = {name: metrics.image_metrics(images, picture, mask) for name, picture in measured.items()}
    for name, info in METRICS.items():
        if name not in values["close"]:
            continue
        for column in values.values():
            assert ((info.low <= column[name]) & (column[name] <= info.high)).all()
        close, far = (values[key][name].mean() for key in ("close", "far"))
        assert (close < far) == (info.better == "lower")


def test_numbers_are_written_with_their_unit():
    assert METRICS["masked_psnr"].format(15.93049) == "15.930 dB"
    assert METRICS["masked_mse"].format(0.0255222) == "0.025522"
    assert METRICS["completed_ssim"].format(0.46) == "0.4600"
    assert METRICS["masked_psnr"].format(None) == METRICS["masked_psnr"].format(math.inf) == "infinite"


def test_the_page_has_the_same_texts():
    assert metric_info.SCRIPT.read_text() == metric_info.script(), "run python -m etviz.evaluation.metric_info"
