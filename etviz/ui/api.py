"""Named endpoints for programs: /reconstruct, /trace and /evaluate_mask, for gradio_client, curl and MCP.

Pictures are sent as PNG files in base64, so that no path comes from outside and the server keeps no file.
"""

import base64
from typing import TypedDict

import gradio as gr
from gradio.events import api
from torch import Tensor

from etviz.errors import UsageError
from etviz.files import finite
from etviz.inpainting import mean_fill
from etviz.metrics import image_metrics, masked_mse, psnr_of_mse
from etviz.models import Trace, complete
from etviz.ui.limits import Limits
from etviz.ui.payload import decoded_frames, payload, raw_pixels
from etviz.ui.readings.export import png_bytes
from etviz.ui.request import Request
from etviz.ui.service import Service
from etviz.ui.uploads import decode_upload, read_upload


class Reconstruction(TypedDict):
    """What `/reconstruct` returns."""

    image: str  # base64 of a PNG: predicted where hidden, as given where visible
    prediction: str  # base64 of a PNG: every patch predicted, visible ones too
    masked_mse: float | None  # over hidden pixels, of values in 0..1; None where nothing is hidden
    masked_psnr: float | None  # in dB


class Descent(TypedDict):
    """What `/trace` returns: T steps and T + 1 states, 0 = before the first step."""

    frames: list[str]  # T + 1 PNGs in base64, every patch predicted
    energy: list[float]  # T + 1
    attention_energy: list[float]
    hopfield_energy: list[float]
    gradient_norm: list[float]
    stationarity: list[float]  # what of the gradient lies along the sphere of token directions: 0 at a stationary state
    masked_mse: list[float | None]
    step_sizes: list[float]  # T, as taken
    rises: list[int]  # the steps, counted from 1, that raised the energy
    settled: int | None  # the step at which the descent settled; None where it did not, or was not asked to


class Evaluation(TypedDict):
    """What `/evaluate_mask` returns."""

    hidden: int  # patches
    masked_mse: float | None
    masked_psnr: float | None
    completed_mse: float
    completed_psnr: float | None
    completed_ssim: float
    mean_fill_masked_mse: float | None  # the baseline: hidden pixels filled with the mean of the visible ones
    mean_fill_masked_psnr: float | None


class Endpoints:
    """The functions behind the endpoints. Where a question is wrong, the caller gets one sentence that says why."""

    def __init__(self, service: Service):
        self.service = service

    def reconstruct(
        self, mask: str, image: str = "", dataset: str = "", index: int = 0, model: str = ""
    ) -> Reconstruction:
        """Fill in the hidden patches of one picture.

        Args:
            mask: 64 patches row by row in 16 hexadecimal digits, 1 = hidden, as etviz.mask_to_hex writes them.
            image: a PNG, JPEG or WebP file in base64; empty for one of the app's own pictures.
            dataset: which of the app's pictures, cifar10 or cifar100; empty for the first.
            index: number of the picture in the test split.
            model: name of a checkpoint in the app's menu; empty for the first.
        """
        request, trace = self._descend(mask, image, dataset, index, model)
        frame = decoded_frames(trace)[-1:]
        error = masked_mse(request.image[None], frame, request.mask)
        return {
            "image": _png(complete(request.image[None], frame, request.mask)[0]),
            "prediction": _png(frame[0]),
            "masked_mse": finite(error.item()),
            "masked_psnr": finite(psnr_of_mse(error).item()),
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
        settle: bool = False,
    ) -> Descent:
        """Every state of the energy descent that fills in the hidden patches of one picture.

        Args:
            mask: 64 patches row by row in 16 hexadecimal digits, 1 = hidden, as etviz.mask_to_hex writes them.
            image: a PNG, JPEG or WebP file in base64; empty for one of the app's own pictures.
            dataset: which of the app's pictures, cifar10 or cifar100; empty for the first.
            index: number of the picture in the test split.
            model: name of a checkpoint in the app's menu; empty for the first.
            steps: 1 to 60; null for the model's own.
            step_size: length of a step along minus the gradient; null for the model's own.
            beta: inverse temperature of the attention; another beta means another energy. Null for the model's own.
            rule: fixed; backtracking, which halves a step until the energy does not rise; or sphere, which layer-norms
                the tokens after every step, so that the descent converges.
            settle: descend until the state is stationary, in at most 200 steps; steps then does not count.
        """
        settings = {"steps": steps, "step_size": step_size, "beta": beta, "rule": rule, "settle": settle}
        request, trace = self._descend(mask, image, dataset, index, model, settings=settings)
        numbers = payload(trace, request.image, request.mask)
        return {
            "frames": [_png(frame) for frame in decoded_frames(trace)],
            "energy": numbers["energy"],
            "attention_energy": numbers["attention_energy"],
            "hopfield_energy": numbers["hopfield_energy"],
            "gradient_norm": numbers["gradient_norm"],
            "stationarity": numbers["stationarity"],
            "masked_mse": numbers["mse"],
            "step_sizes": numbers["step_sizes"],
            "rises": numbers["rises"],
            "settled": numbers["settled"],
        }

    def evaluate_mask(
        self, mask: str, image: str = "", dataset: str = "", index: int = 0, model: str = ""
    ) -> Evaluation:
        """How well the hidden patches of one picture are filled in, and how well the mean of the visible ones would do.

        Args:
            mask: 64 patches row by row in 16 hexadecimal digits, 1 = hidden, as etviz.mask_to_hex writes them.
            image: a PNG, JPEG or WebP file in base64; empty for one of the app's own pictures.
            dataset: which of the app's pictures, cifar10 or cifar100; empty for the first.
            index: number of the picture in the test split.
            model: name of a checkpoint in the app's menu; empty for the first.
        """
        request, trace = self._descend(mask, image, dataset, index, model)
        images = request.image[None]
        values = image_metrics(images, decoded_frames(trace)[-1:], request.mask)
        floor = masked_mse(images, mean_fill(images, request.mask), request.mask)
        return {
            "hidden": int(request.mask.sum()),
            "masked_mse": finite(values["masked_mse"].item()),
            "masked_psnr": finite(psnr_of_mse(values["masked_mse"]).item()),
            "completed_mse": values["completed_mse"].item(),
            "completed_psnr": finite(psnr_of_mse(values["completed_mse"]).item()),
            "completed_ssim": values["completed_ssim"].item(),
            "mean_fill_masked_mse": finite(floor.item()),
            "mean_fill_masked_psnr": finite(psnr_of_mse(floor).item()),
        }

    def _descend(
        self, mask: str, image: str, dataset: str, index: int, model: str, *, settings: dict | None = None
    ) -> tuple[Request, Trace]:
        """The question, checked, and its descent."""
        name = model or self.service.first
        try:
            if image:
                size = self.service.model(name).img_size
                picture = {"pixels": pixels_of(image, size, self.service.limits), "name": "image"}
            else:
                picture = {"dataset": dataset or self.service.galleries[0], "index": index}
            request = self.service.read_request({"model": name, "mask": mask, "picture": picture, "settings": settings})
            return request, self.service.trace(request)
        except UsageError as error:
            raise gr.Error(str(error), print_exception=False) from error


def add_endpoints(service: Service) -> None:
    """Register the endpoints in the Gradio Blocks that are being built. They share one queue."""
    endpoints = Endpoints(service)
    for function in (endpoints.reconstruct, endpoints.trace, endpoints.evaluate_mask):
        api(function, api_name=function.__name__, concurrency_id="models")


def pixels_of(image: object, size: int, limits: Limits) -> str:
    """A picture file in base64 as the pixels of a question. Raises `UsageError` where it cannot be read."""
    return raw_pixels(read_upload(decode_upload(image, limits), size, limits))


def _png(image: Tensor) -> str:
    return base64.b64encode(png_bytes(image)).decode()
