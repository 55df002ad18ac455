"""The energy in more detail: the part of each token at every step, and how the energy usually falls in a gallery."""

import time
from collections.abc import Iterator
from dataclasses import replace

import torch
from torch import Tensor

from etviz.analysis import EnergyBand, band_of, energies_in_chunks
from etviz.errors import UsageError
from etviz.files import finite
from etviz.masks import mask_to_hex
from etviz.models.descent import DescentSettings
from etviz.ui.payload import encode_floats
from etviz.ui.protocol import Backend, Piece
from etviz.ui.request import Request


def read_token_energies(service: Backend, question: dict) -> dict:
    """Both energies by token and step.

    Args:
        question: as `Backend.read_request` takes it.

    Returns:
        attention, hopfield: base64 of float32 (T+1, 1+N), CLS first, then the patches row by row.
    """
    trace = service.trace(service.read_request(question))
    order = trace.patch_index[0].argsort().to(trace.energy.device)  # CLS is -1
    return {
        "attention": encode_floats(trace.attention_energy[0][:, order]),
        "hopfield": encode_floats(trace.hopfield_energy[0][:, order]),
    }


def read_energy_band(service: Backend, question: dict) -> dict:
    """How the energy falls for other pictures of the same gallery, under the same mask and settings.

    The gallery is that of the picture, or the first one for an upload. Where the descent runs until it settles, the
    other pictures take as many steps as it took.

    Args:
        question: as `Backend.read_request` takes it.

    Returns:
        count: of pictures, as many as `Limits.band_pictures` and `Limits.band_seconds` allow, or 0 where other bands
        are being computed: ask again; source: what the captions call the pictures; values, changes: {energy,
        attention_energy, hopfield_energy}, each three lists of T + 1 numbers: the 10% quantile, the median and the 90%
        quantile of the energy, and of its change since step 0.

    Raises:
        UsageError: something in the question is wrong, or a model with several energies is asked to settle.
    """
    request = service.read_request(question)
    dataset = request.picture.get("dataset", service.galleries[0])
    descent = _descent(service, request)
    band = service.bands.get_within(
        service.limits.band_patience,
        (request.model, dataset, mask_to_hex(request.mask), descent),
        lambda: _band(service, request, dataset, descent),
    )
    return band or {"count": 0}


def _descent(service: Backend, request: Request) -> DescentSettings:
    """The descent of the request, with a fixed number of steps."""
    descent = request.descent
    if descent.tolerance is None:
        return descent
    if len(request.energy_model.descent.blocks) > 1:
        raise UsageError("Several energies settle at different steps: for a band, choose a number of steps.")
    return replace(descent, steps=len(service.trace(request)) - 1, tolerance=None)


def _band(service: Backend, request: Request, dataset: str, descent: DescentSettings) -> dict:
    pictures = service.pictures(dataset, request.model.img_size)
    images = pictures.at(pictures.arranged()[: service.limits.band_pictures])
    energies = torch.cat(list(_energies(service, request, images, descent)), dim=1)  # (3, n, T+1)
    return {
        "count": energies.shape[1],
        "source": pictures.source,
        "values": _quantiles(band_of([energies])),
        "changes": _quantiles(band_of([energies - energies[..., :1]])),
    }


def _energies(service: Backend, request: Request, images: Tensor, descent: DescentSettings) -> Iterator[Tensor]:
    """(3, 1, T+1) for one picture after another."""
    return in_time(service, energies_in_chunks(request.model, images, request.mask, chunk=1, **vars(descent)))


def in_time(service: Backend, pieces: Iterator[Piece]) -> Iterator[Piece]:
    """What is computed for other pictures, until the time is up; others can use the model in between."""
    end = time.monotonic() + service.limits.band_seconds
    for piece in service.in_turns(pieces):
        yield piece
        if time.monotonic() > end:
            return


def _quantiles(band: EnergyBand) -> dict[str, list]:
    parts = {"energy": band.total, "attention_energy": band.attention, "hopfield_energy": band.hopfield}
    return {name: finite(rows.tolist()) for name, rows in parts.items()}
