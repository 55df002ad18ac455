"""Named endpoints for programs: /reconstruct, /trace and /evaluate_mask, for gradio_client, curl and MCP.

Pictures travel as base64 of PNG files: nothing is written on the server, and no path comes from outside.
"""

import base64
import binascii
import tempfile
from typing import TypedDict

import gradio as gr
import torch

from etviz.errors import UsageError
from etviz.inpainting import mean_fill
from etviz.metrics import image_metrics, masked_mse, psnr_of_mse
from etviz.models import Trace, complete
from etviz.ui.payload import encode_pixels, finite, payload
from etviz.ui.readings.export import png_bytes
from etviz.ui.request import Request
from etviz.ui.service import Service
from etviz.ui.uploads import read_upload


class Reconstruction(TypedDict):
    """What `/reconstruct` gives."""

    image: str  # base64 of a PNG: predicted where hidden, as given where visible
    prediction: str  # base64 of a PNG: every patch predicted, visible ones too
    masked_mse: float | None  # over hidden pixels, of values in 0..1; None where nothing is hidden
    masked_psnr: float | None  # in dB


class Descent(TypedDict):
    """What `/trace` gives; T steps, T + 1 states, 0 = before the first."""

    frames: list[str]  # T + 1 PNGs in base64, every patch predicted
    energy: list[float]  # T + 1
    attention_energy: list[float]
    hopfield_energy: list[float]
    gradient_norm: list[float]
    masked_mse: list[float | None]
    step_sizes: list[float]  # T, as really taken
    rises: list[int]  # steps, from 1, that raised the energy


class Evaluation(TypedDict):
    """What `/evaluate_mask` gives."""

    hidden: int  # patches
    masked_mse: float | None
    masked_psnr: float | None
    completed_mse: float
    completed_psnr: float | None
    completed_ssim: float
    mean_fill_masked_mse: float | None  # the floor: hidden pixels filled with the visible ones' mean
    mean_fill_masked_psnr: float | None


class Endpoints:
    """The functions behind the endpoints. What is wrong with a question goes to the caller as one sentence."""

    def __init__(self, service: Service):
        self.service = service

    def reconstruct(
        self, mask: str, image: str = "", dataset: str = "", index: int = 0, model: str = ""
    ) -> Reconstruction:
        """Fill in the hidden patches of one picture.

        Args:
            mask: 64 patches row by row in 16 hexadecimal digits, 1 = hidden, as etviz.mask_to_hex writes them.
            image: a PNG, JPEG or WebP file in base64; empty to take one of the app's own pictures.
            dataset: which of the app's pictures: cifar10, cifar100; empty for the first.
            index: number of the picture in its test split.
            model: name of a checkpoint in the app's menu; empty for the first.
        """
        request, trace = self._descend(mask, image, dataset, index, model)
        frame = trace.frames[:, -1]
        error = masked_mse(request.image[None], frame, request.mask)
        return {
            "image": _png(complete(request.image[None], frame, request.mask)[0]),
            "prediction": _png(frame[0]),
            "masked_mse": finite(error)[0],
            "masked_psnr": finite(psnr_of_mse(error))[0],
        }

    def trace(  # noqa: PLR0917 - Gradio passes arguments by position
        self,
        mask: str,
        image: str = "",
        dataset: str = "",
        index: int = 0,
        model: str = "",
        steps: int | None = None,
        step_size: float | None = None,
        beta: float | None = None,
        rule: str = "fixed",
    ) -> Descent:
        """Every state of the energy descent that fills in the hidden patches of one picture.

        Args:
            mask: 64 patches row by row in 16 hexadecimal digits, 1 = hidden, as etviz.mask_to_hex writes them.
            image: a PNG, JPEG or WebP file in base64; empty to take one of the app's own pictures.
            dataset: which of the app's pictures: cifar10, cifar100; empty for the first.
            index: number of the picture in its test split.
            model: name of a checkpoint in the app's menu; empty for the first.
            steps: 1 to 60; the model's own where null.
            step_size: length of a step along minus the gradient; the model's own where null.
            beta: inverse temperature of the attention; another beta is another energy. The model's own where null.
            rule: fixed, or backtracking, which halves a step until the energy does not rise.
        """
        settings = {"steps": steps, "step_size": step_size, "beta": beta, "rule": rule}
        request, trace = self._descend(mask, image, dataset, index, model, settings=settings)
        numbers = payload(trace, request.image, request.mask)
        kept = ("energy", "attention_energy", "hopfield_energy", "gradient_norm", "step_sizes", "rises")
        return {
            "frames": [_png(frame) for frame in trace.frames[0]],
            "masked_mse": numbers["mse"],
            **{name: numbers[name] for name in kept},
        }

    def evaluate_mask(
        self, mask: str, image: str = "", dataset: str = "", index: int = 0, model: str = ""
    ) -> Evaluation:
        """How well the hidden patches of one picture are filled in, and how well their visible mean would do.

        Args:
            mask: 64 patches row by row in 16 hexadecimal digits, 1 = hidden, as etviz.mask_to_hex writes them.
            image: a PNG, JPEG or WebP file in base64; empty to take one of the app's own pictures.
            dataset: which of the app's pictures: cifar10, cifar100; empty for the first.
            index: number of the picture in its test split.
            model: name of a checkpoint in the app's menu; empty for the first.
        """
        request, trace = self._descend(mask, image, dataset, index, model)
        images = request.image[None]
        values = image_metrics(images, trace.frames[:, -1], request.mask)
        floor = masked_mse(images, mean_fill(images, request.mask), request.mask)
        return {
            "hidden": int(request.mask.sum()),
            "masked_mse": finite(values["masked_mse"])[0],
            "masked_psnr": finite(psnr_of_mse(values["masked_mse"]))[0],
            "completed_mse": values["completed_mse"].item(),
            "completed_psnr": finite(psnr_of_mse(values["completed_mse"]))[0],
            "completed_ssim": values["completed_ssim"].item(),
            "mean_fill_masked_mse": finite(floor)[0],
            "mean_fill_masked_psnr": finite(psnr_of_mse(floor))[0],
        }

    def _descend(
        self, mask: str, image: str, dataset: str, index: int, model: str, *, settings: dict | None = None
    ) -> tuple[Request, Trace]:
        """What is asked about, and its descent."""
        name = model or self.service.first
        try:
            if image:
                size = self.service.model(name).img_size
                picture = {"pixels": pixels_of(image, size), "name": "image"}
            else:
                picture = {"dataset": dataset or self.service.galleries[0], "index": index}
            request = self.service.read_request({"model": name, "mask": mask, "picture": picture, "settings": settings})
            return request, self.service.trace(request)
        except UsageError as error:
            raise gr.Error(str(error), print_exception=False) from error


def add_endpoints(service: Service) -> None:
    """Register the endpoints in the Gradio Blocks being built; they wait in one queue."""
    endpoints = Endpoints(service)
    for function in (endpoints.reconstruct, endpoints.trace, endpoints.evaluate_mask):
        gr.api(function, api_name=function.__name__, concurrency_id="models")


def pixels_of(image: str, size: int) -> str:
    """A picture file in base64 as a request's pixels. Raises `UsageError` where it is none, or too large."""
    try:
        data = base64.b64decode(image, validate=True)
    except (binascii.Error, ValueError) as error:
        raise UsageError("image must be base64 of a PNG, JPEG or WebP file.") from error
    with tempfile.NamedTemporaryFile() as file:
        file.write(data)
        file.flush()
        return encode_pixels(read_upload(file.name, size))


def _png(image: torch.Tensor) -> str:
    return base64.b64encode(png_bytes(image)).decode()
