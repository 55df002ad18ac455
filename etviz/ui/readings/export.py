"""What one can take away of a descent: a ZIP of its data, a GIF, and a page that replays it without a server."""

import base64
import io
import json
import zipfile

import numpy as np
import torch
from PIL import Image

from etviz.errors import UsageError
from etviz.masks import mask_to_hex, mask_to_image
from etviz.plots.film import complete_frames, film_bytes, film_strip
from etviz.plots.grids import hide_patches
from etviz.plots.style import figure_bytes
from etviz.ui.payload import to_bytes
from etviz.ui.readings.descent import read_descent
from etviz.ui.replay import replay_page
from etviz.ui.request import Request
from etviz.version import __version__

ARRAYS = ("energy", "attention_energy", "hopfield_energy", "gradient_norm", "frames", "tokens", "step_sizes", "mask")
SCALE = 8  # side of a pixel in the GIF
NOTHING_CLAIMED = (1980, 1, 1, 0, 0, 0)  # a ZIP's earliest date: the same descent gives the same file


def read_export(service, question: dict) -> dict:
    """A descent as a file.

    Args:
        question: as `Service.read_request` takes it, and format: "zip", "gif" or "html".

    Returns:
        {name, type, data}: a file name, its media type, and base64 of its bytes.

    Raises:
        UsageError: another format, or as `Service.read_request`.
    """
    makers = {"zip": (make_zip, "application/zip"), "gif": (make_gif, "image/gif"), "html": (make_page, "text/html")}
    kind = question.get("format")
    if not isinstance(kind, str) or kind not in makers:
        raise UsageError(f"A descent is saved as {', '.join(makers)}, not as {str(kind)[:20]!r}.")
    make, media_type = makers[kind]
    request = service.read_request(question)
    data = base64.b64encode(make(service, request, question)).decode()
    return {"name": f"etviz-{request.model_name}-{mask_to_hex(request.mask)}.{kind}", "type": media_type, "data": data}


def make_gif(service, request: Request, question: dict) -> bytes:
    """The film of `etviz.plots.film_bytes`."""
    return film_bytes(service.trace(request), request.image[None], SCALE)


def make_page(service, request: Request, question: dict) -> bytes:
    """`replay_page` of the descent."""
    return replay_page(read_descent(service, question)).encode()


def make_zip(service, request: Request, question: dict) -> bytes:
    """config.json, the mask (mask.txt, mask.png), arrays.npz, the pictures, strip.png and film.gif."""
    trace = service.trace(request)
    arrays = {name: getattr(trace, name)[0].numpy() for name in ARRAYS}
    completed = complete_frames(trace, request.image[None])[0, -1]
    hidden = hide_patches(request.image[None], request.mask)[0]
    files = {
        "config.json": json.dumps(describe(request), indent=2).encode(),
        "mask.txt": f"{mask_to_hex(request.mask)}\n".encode(),
        "arrays.npz": npz_bytes(image=request.image.numpy(), **arrays),
        "mask.png": picture_bytes(mask_to_image(request.mask, request.model.patch_size)),
        "original.png": png_bytes(request.image),
        "masked.png": png_bytes(hidden),
        "reconstruction.png": png_bytes(completed),
        "strip.png": figure_bytes(film_strip(trace, request.image[None])),
        "film.gif": make_gif(service, request, question),
    }
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as target:
        for name, data in files.items():
            target.writestr(zipfile.ZipInfo(name, NOTHING_CLAIMED), data, zipfile.ZIP_DEFLATED)
    return archive.getvalue()


def describe(request: Request) -> dict:
    """What made the descent, enough to make it again."""
    picture = {key: value for key, value in request.picture.items() if key != "pixels"}
    return {
        "etviz": __version__,
        "torch": torch.__version__,
        "model": {"checkpoint": request.model_name, "snapshot": request.snapshot, **request.model.config},
        "picture": {**picture, "caption": request.caption},
        "mask": mask_to_hex(request.mask),
        "settings": request.effective_settings(),
    }


def png_bytes(image: torch.Tensor) -> bytes:
    """(3, H, W) in [0, 1] as a PNG of its own pixels."""
    return picture_bytes(Image.fromarray(to_bytes(image).permute(1, 2, 0).numpy()))


def picture_bytes(picture: Image.Image) -> bytes:
    """A picture as a PNG."""
    file = io.BytesIO()
    picture.save(file, "PNG")
    return file.getvalue()


def npz_bytes(**arrays: np.ndarray) -> bytes:
    """Arrays as NumPy's .npz."""
    file = io.BytesIO()
    np.savez_compressed(file, **arrays)
    return file.getvalue()
