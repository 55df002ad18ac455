"""The energy closer by: what each token holds of it at every step, and how it usually falls in a gallery."""

import time
from collections.abc import Iterator

import torch
from torch import Tensor

from etviz.analysis import EnergyBand, band_of, energies_in_chunks
from etviz.errors import UsageError
from etviz.masks import mask_to_hex
from etviz.ui.payload import encode_floats, finite
from etviz.ui.request import Request

BAND_PICTURES = 64
BAND_S = 8.0  # for computing a band; what is there by then is the band
TURN_S = 5.0  # to wait while others' bands are computed


def read_token_energies(service, question: dict) -> dict:
    """Both energies by token and step.

    Args:
        question: as `Service.read_request` takes it.

    Returns:
        attention, hopfield: base64 of float32 (T+1, 1+N), CLS first, then the patches row by row.
    """
    trace = service.trace(service.read_request(question))
    order = trace.patch_index[0].argsort().to(trace.energy.device)  # CLS is -1
    return {
        "attention": encode_floats(trace.attention_energy[0][:, order]),
        "hopfield": encode_floats(trace.hopfield_energy[0][:, order]),
    }


def read_energy_band(service, question: dict) -> dict:
    """How the energy falls for other pictures of the same gallery, under the same mask and settings.

    The gallery is the picture's, or the first one for an upload. Where the descent runs until it settles, the others
    take as many steps as it did.

    Args:
        question: as `Service.read_request` takes it.

    Returns:
        count: of pictures, as many of `BAND_PICTURES` as `BAND_S` seconds allow, or 0 where others' bands come first:
        ask again; source: what their captions call them; values, changes: {energy, attention_energy,
        hopfield_energy}, each three lists of T + 1 numbers: the 10% quantile, the median and the 90% quantile of the
        energy, and of its change since step 0.

    Raises:
        UsageError: anything in the question is not what it should be, or a model of several energies is to settle.
    """
    request = service.read_request(question)
    dataset = request.picture.get("dataset", service.galleries[0])
    descent = _descent(service, request)
    key = request.model, dataset, mask_to_hex(request.mask), *descent.values()
    return service.bands.get(key, lambda: _band(service, request, dataset, descent), TURN_S) or {"count": 0}


def _descent(service, request: Request) -> dict:
    """The request's descent as arguments of `energies_in_chunks`, with a number of steps."""
    settings = request.effective_settings()
    descent = {name: settings[name] for name in ("steps", "step_size", "beta", "rule")}
    if not settings["settle"]:
        return descent
    if len(request.model.descent.blocks) > 1:
        raise UsageError("Several energies settle at different steps: for a band, choose a number of steps.")
    return descent | {"steps": len(service.trace(request)) - 1}


def _band(service, request: Request, dataset: str, descent: dict) -> dict:
    pictures = service.pictures(dataset, request.model.img_size)
    images = pictures.images[pictures.arranged()[:BAND_PICTURES]]
    energies = torch.cat(list(_energies(service, request, images, descent)), dim=1)  # (3, n, T+1)
    return {
        "count": energies.shape[1],
        "source": pictures.source,
        "values": _quantiles(band_of([energies])),
        "changes": _quantiles(band_of([energies - energies[..., :1]])),
    }


def _energies(service, request: Request, images: Tensor, descent: dict) -> Iterator[Tensor]:
    """(3, 1, T+1) picture by picture, until the time is up; others have the model in between."""
    end = time.monotonic() + BAND_S
    for chunk in service.in_turns(energies_in_chunks(request.model, images, request.mask, chunk=1, **descent)):
        yield chunk
        if time.monotonic() > end:
            return


def _quantiles(band: EnergyBand) -> dict[str, list]:
    parts = {"energy": band.total, "attention_energy": band.attention, "hopfield_energy": band.hopfield}
    return {name: [finite(row) for row in rows] for name, rows in parts.items()}
