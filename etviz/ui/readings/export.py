"""A descent as a file to keep: a ZIP of its data, a GIF, or a page that replays it or goes on with it offline."""

import base64
import io
import json
import re
import threading
import zipfile

import numpy as np
import torch
from PIL import Image

from etviz.errors import UsageError
from etviz.masks import mask_to_hex, mask_to_image
from etviz.plots.film import chosen_states, complete_frames, film_bytes, film_strip
from etviz.plots.grids import hide_patches
from etviz.plots.style import figure_bytes
from etviz.ui.payload import to_bytes
from etviz.ui.protocol import Backend
from etviz.ui.readings.descent import read_descent
from etviz.ui.replay import replay_page
from etviz.ui.request import Request
from etviz.version import __version__

ARRAYS = ("energy", "attention_energy", "hopfield_energy", "gradient_norm", "stationarity", "step_sizes", "mask")
LARGE = ("frames", "tokens")  # a descent that settles after 200 steps has 10 MB of them
GIF_SIDE = 256  # screen pixels along a picture, in the GIF; large pictures are drawn twice as wide as they are
DRAWING = threading.Lock()  # one file at a time: drawing takes seconds of the processor, which painters need too
NO_DATE = (1980, 1, 1, 0, 0, 0)  # the earliest date of a ZIP, so that the same descent gives the same file


def read_export(service: Backend, question: dict) -> dict:
    """A descent as a file.

    Args:
        question: as `Backend.read_request` takes it, and format: "zip", "gif", "html" for a page that replays it, or
            "live" for a page in which one can go on painting.

    Returns:
        {name, type, data}: the name of the file, its media type, and base64 of its bytes.

    Raises:
        UsageError: the format is another one, or as `Backend.read_request`.
    """
    kind = question.get("format")
    if not isinstance(kind, str) or kind not in MAKERS:
        raise UsageError(f"A descent is saved as {', '.join(MAKERS)}, not as {str(kind)[:20]!r}.")
    make, media_type, suffix = MAKERS[kind]
    request = service.read_request(question)
    if not DRAWING.acquire(timeout=service.limits.export_patience):
        raise UsageError("Others are saving their descents: try again in a moment.")
    try:
        data = base64.b64encode(make(service, request, question)).decode()
    finally:
        DRAWING.release()
    return {
        "name": f"etviz-{request.model_name}-{name_of(request.picture)}-{mask_to_hex(request.mask)}.{suffix}",
        "type": media_type,
        "data": data,
    }


def name_of(picture: dict) -> str:
    """A picture's name for that of a file: of a dataset and a number, or of an upload without its suffix."""
    name = picture["name"].rsplit(".", 1)[0] if "pixels" in picture else f"{picture['dataset']}-{picture['index']}"
    return re.sub(r"[^A-Za-z0-9_-]+", "-", name).strip("-")[-40:] or "picture"


def make_gif(service: Backend, request: Request, question: dict) -> bytes:
    """The film of `etviz.plots.film_bytes`."""
    return film_bytes(service.trace(request), request.image[None], gif_scale(request), service.limits.film_states)


def gif_scale(request: Request) -> int:
    """Screen pixels along each pixel of a picture."""
    return max(2, GIF_SIDE // request.image.shape[-1])


def make_page(service: Backend, request: Request, question: dict) -> bytes:
    """`replay_page` of the descent."""
    return replay_page(read_descent(service, question)).encode()


def make_live(service: Backend, request: Request, question: dict) -> bytes:
    """`live_page` of the descent."""
    from etviz.site.live import live_page  # which uses other readings

    return live_page(service, question).encode()


def make_zip(service: Backend, request: Request, question: dict) -> bytes:
    """config.json, the mask (mask.txt, mask.png), arrays.npz, the pictures, strip.png and film.gif.

    Of a long descent, arrays.npz holds some frames and tokens only; its "states" says which.
    """
    trace, limits = service.trace(request), service.limits
    states = chosen_states(trace.energy.shape[1], limits.film_states)
    arrays = {name: getattr(trace, name)[0].numpy() for name in ARRAYS}
    arrays |= {name: getattr(trace, name)[0, states].numpy() for name in LARGE}
    arrays["states"] = np.array(states)
    completed = complete_frames(trace, request.image[None])[0, -1]
    hidden = hide_patches(request.image[None], request.mask)[0]
    files = {
        "config.json": json.dumps(describe(request), indent=2).encode(),
        "mask.txt": f"{mask_to_hex(request.mask)}\n".encode(),
        "arrays.npz": npz_bytes({"image": request.image.numpy(), **arrays}),
        "mask.png": picture_bytes(mask_to_image(request.mask, request.model.patch_size)),
        "original.png": png_bytes(request.image),
        "masked.png": png_bytes(hidden),
        "reconstruction.png": png_bytes(completed),
        "strip.png": figure_bytes(film_strip(trace, request.image[None], limits.strip_states)),
        "film.gif": make_gif(service, request, question),
    }
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as target:
        for name, data in files.items():
            target.writestr(zipfile.ZipInfo(name, NO_DATE), data, zipfile.ZIP_DEFLATED)
    return archive.getvalue()


def describe(request: Request) -> dict:
    """All that is needed to compute the descent again."""
    picture = {key: value for key, value in request.picture.items() if key != "pixels"}
    return {
        "etviz": __version__,
        "torch": torch.__version__,
        "model": {"checkpoint": request.model_name, "snapshot": request.snapshot, **request.model.config},
        "picture": {**picture, "caption": request.caption},
        "mask": mask_to_hex(request.mask),
        "settings": request.settings_for_page(),
    }


def png_bytes(image: torch.Tensor) -> bytes:
    """An image (3, H, W) in [0, 1] as a PNG of the same size."""
    return picture_bytes(Image.fromarray(to_bytes(image).permute(1, 2, 0).numpy()))


def picture_bytes(picture: Image.Image) -> bytes:
    """A picture as a PNG."""
    file = io.BytesIO()
    picture.save(file, "PNG")
    return file.getvalue()


def npz_bytes(arrays: dict[str, np.ndarray]) -> bytes:
    """Arrays as a .npz file."""
    file = io.BytesIO()
    np.savez_compressed(file, allow_pickle=False, **arrays)
    return file.getvalue()


MAKERS = {  # format -> what makes the file, its media type, and how its name ends
    "zip": (make_zip, "application/zip", "zip"),
    "gif": (make_gif, "image/gif", "gif"),
    "html": (make_page, "text/html", "html"),
    "live": (make_live, "text/html", "live.html"),
}
