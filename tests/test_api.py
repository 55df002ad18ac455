"""The named endpoints, called by gradio_client as a program would, beside the Python API."""

import ast
import asyncio
import base64
import io
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
from gradio_client import Client
from gradio_client.exceptions import AppError
from mcp import ClientSession
from mcp.client.streamable_http import streamable_http_client
from PIL import Image

import etviz
from etviz.checkpoints import save_checkpoint
from etviz.examples import carried_pictures
from etviz.inpainting import mean_fill
from etviz.metrics import masked_mse, ssim
from etviz.ui.limits import LIMITS
from etviz.ui.payload import to_bytes
from tests.browser.app import serving

MASK = "ff00ff00ff00ff07"
SIZES = dict(embed_dim=64, num_heads=2, head_dim=32, step_size=0.1, init_scale=0.1)


@pytest.fixture(scope="module")
def model():
    torch.manual_seed(0)
    return etviz.create_model("et", **SIZES).eval()


@pytest.fixture(scope="module")
def client(model, tmp_path_factory):
    folder = tmp_path_factory.mktemp("api")
    save_checkpoint(model, folder / "tiny", {})
    options = ("--checkpoint", "tiny", "--data-root", str(folder), "--mcp")
    with serving(*options, ETVIZ_CHECKPOINTS=str(folder)) as address:
        yield Client(address, verbose=False)


@pytest.fixture(scope="module")
def picture():
    return carried_pictures(32).images[[2]].float() / 255


def opened(text):
    """base64 of a PNG -> (3, S, S) uint8."""
    return torch.from_numpy(np.array(Image.open(io.BytesIO(base64.b64decode(text))))).permute(2, 0, 1)


def test_only_the_endpoints_for_programs_are_listed(client):
    listed = client.view_api(return_format="dict", print_info=False)
    assert set(listed["named_endpoints"]) == {"/reconstruct", "/trace", "/evaluate_mask"}
    assert not listed["unnamed_endpoints"]
    parameters = listed["named_endpoints"]["/trace"]["parameters"]
    assert {entry["parameter_name"]: entry["type"] for entry in parameters}["mask"] == {"type": "string"}


def test_reconstruct_equals_the_python_api(client, model, picture):
    answer = client.predict(MASK, index=2, api_name="/reconstruct")
    mask = etviz.mask_from_hex(MASK)
    expected = model.reconstruct(picture, mask)
    whole = etviz.complete(picture, expected, mask)
    assert (opened(answer["prediction"]).int() - to_bytes(expected)[0].int()).abs().max() <= 1
    assert (opened(answer["image"]).int() - to_bytes(whole)[0].int()).abs().max() <= 1
    assert answer["masked_mse"] == pytest.approx(masked_mse(picture, expected, mask).item(), rel=1e-4)
    assert answer["masked_psnr"] == pytest.approx(-10 * np.log10(answer["masked_mse"]), abs=1e-4)


def test_trace_equals_the_python_api(client, model, picture):
    settings = {"steps": 5, "step_size": 0.05, "beta": 0.3, "rule": "backtracking"}
    answer = client.predict(MASK, index=2, **settings, api_name="/trace")
    expected = model.trace(picture, etviz.mask_from_hex(MASK), **settings)
    assert len(answer["frames"]) == 6
    assert (opened(answer["frames"][3]).int() - to_bytes(expected.frames)[0, 3].int()).abs().max() <= 1
    for name in ("energy", "gradient_norm", "stationarity", "step_sizes"):
        assert answer[name] == pytest.approx(getattr(expected, name)[0].tolist(), rel=1e-4)
    parts = np.add(answer["attention_energy"], answer["hopfield_energy"])
    assert parts == pytest.approx(answer["energy"], rel=1e-5)
    assert answer["rises"] == []
    assert answer["settled"] is None


def test_a_descent_until_it_settles_equals_the_python_api(client, model, picture):
    asked = {"step_size": 5.0, "rule": "sphere"}
    answer = client.predict(MASK, index=2, **asked, settle=True, api_name="/trace")
    settled = {"steps": LIMITS.settling_steps, "tolerance": LIMITS.settled}
    expected = model.trace(picture, etviz.mask_from_hex(MASK), **asked, **settled)
    assert answer["settled"] == pytest.approx(expected.settled.item(), abs=1)  # by rounding
    assert len(answer["energy"]) == answer["settled"] + 1
    assert answer["stationarity"][:5] == pytest.approx(expected.stationarity[0, :5].tolist(), rel=1e-3)


def test_evaluate_mask_measures_an_uploaded_picture_and_its_floor(client, model, picture):
    file = io.BytesIO()
    Image.fromarray(to_bytes(picture)[0].permute(1, 2, 0).numpy()).save(file, "PNG")
    answer = client.predict(MASK, image=base64.b64encode(file.getvalue()).decode(), api_name="/evaluate_mask")
    mask = etviz.mask_from_hex(MASK)
    predicted = model.reconstruct(picture, mask)
    whole = etviz.complete(picture, predicted, mask)
    assert answer["hidden"] == 35
    assert answer["masked_mse"] == pytest.approx(masked_mse(picture, predicted, mask).item(), rel=1e-4)
    assert answer["completed_ssim"] == pytest.approx(ssim(picture, whole).item(), rel=1e-4)
    floor = masked_mse(picture, mean_fill(picture, mask), mask).item()
    assert answer["mean_fill_masked_mse"] == pytest.approx(floor, rel=1e-4)


@pytest.mark.parametrize(
    ("question", "words"),
    [
        ({"mask": "xyz"}, "hexadecimal"),
        ({"mask": MASK, "index": 10**6}, "no picture"),
        ({"mask": MASK, "model": "../tiny"}, "no model"),
        ({"mask": MASK, "image": "/etc/passwd"}, "PNG, JPEG or WebP"),
        ({"mask": MASK, "image": "not base64"}, "base64"),
        ({"mask": MASK, "dataset": "imagenet"}, "no pictures of"),
    ],
)
def test_a_wrong_question_is_one_sentence(client, question, words):
    with pytest.raises(AppError, match=words):
        client.predict(**question, api_name="/evaluate_mask")


def test_the_endpoints_are_tools_over_mcp(client):
    async def call():
        async with (
            streamable_http_client(f"{client.src.rstrip('/')}/gradio_api/mcp/") as (read, write, _),
            ClientSession(read, write) as session,
        ):
            await session.initialize()
            tools = await session.list_tools()
            return tools.tools, await session.call_tool("evaluate_mask", {"mask": MASK, "index": 2})

    with ThreadPoolExecutor(1) as elsewhere:  # the browser tests leave an event loop running in this thread
        tools, answer = elsewhere.submit(asyncio.run, call()).result()
    assert {tool.name for tool in tools} == {"reconstruct", "trace", "evaluate_mask"}
    assert "hexadecimal" in tools[0].inputSchema["properties"]["mask"]["description"]
    assert ast.literal_eval(answer.content[0].text) == client.predict(MASK, index=2, api_name="/evaluate_mask")
