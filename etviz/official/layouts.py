"""The two layouts in which the authors publish an Energy Transformer, read as a model of ours.

Their patch is a vector in the order channel, row, column; ours is row, column, channel. Their decoders differ from ours
in their norm alone: the JAX model decodes by its energy's own norm, with one gain for all channels, and the PyTorch
model was built with the token's width where the norm's eps belongs.
"""

import io
import math
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from etviz.errors import UsageError, reason
from etviz.models.base import CIFAR10_MEAN

IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
CIFAR10_OFFICIAL_STD = (0.2023, 0.1994, 0.2010)  # narrower than the pixels' own
CHANNELS = 3
STEPS = 12
MOST_EXPANDED = 2**30  # bytes of all arrays
JAX_NAMES = (
    *("Wq", "Wk", "Xi", "LNORM_gamma", "LNORM_bias", "Wenc", "Benc", "Wdec", "Bdec"),
    *("CLS_token", "MASK_token", "POS_embed"),
)
TORCH_NAMES = (
    *("encode.0.weight", "encode.0.bias", "decode.0.weight", "decode.0.bias", "decode.1.weight", "decode.1.bias"),
    *("pos.weight", "cls", "mask"),
)
TORCH_BLOCK = ("0.gamma", "0.bias", "1.hn.proj.weight", "1.attn.wq", "1.attn.wk")
NEITHER = (
    "{path} is no archive of an official Energy Transformer ({why}): it must be a .npz of Wq, Wk, Xi and so on, or a "
    ".pth of encode.0.weight, blocks.0.1.hn.proj.weight and so on."
)


@dataclass(frozen=True)
class Archive:
    """An official model, as `etviz.create_model("et", **options)` and its weights."""

    options: dict
    weights: dict[str, Tensor]  # float32, by our names


def read_archive(data: bytes, name: str) -> Archive:
    """Read an archive in the official JAX (.npz) or PyTorch (.pth, .pt) layout. No pickle is executed.

    Args:
        data: the file's bytes.
        name: what the error calls the file; its ending says which layout to expect.

    Raises:
        UsageError: the file is neither, or its arrays do not fit together.
    """
    read = _read_torch if Path(name).suffix.lower() in (".pth", ".pt") else _read_jax
    try:
        return read(data)
    except Exception as error:  # zipfile, NumPy and torch raise many kinds for files that are something else
        raise UsageError(NEITHER.format(path=repr(name), why=reason(error))) from error


def patch_order(patch_size: int) -> Tensor:
    """Where each number of our patch vector stands in theirs: (p * p * C,) int64."""
    theirs = torch.arange(CHANNELS * patch_size**2).view(CHANNELS, patch_size, patch_size)
    return theirs.permute(1, 2, 0).flatten()


# ---- JAX ---------------------------------------------------------------------------------------------------------


def _read_jax(data: bytes) -> Archive:
    arrays = _load_npz(data)
    _check_names(arrays, JAX_NAMES)
    _, head_dim, width = _shape(arrays["Wq"], 3)
    patch_dim, _ = _shape(arrays["Wenc"], 2)
    geometry = _geometry(patch_dim, len(arrays["POS_embed"]) - 1)
    order = patch_order(geometry[0])
    options = dict(
        **_sizes(geometry, arrays["Wq"], memories=arrays["Xi"].shape[1]),
        **dict(steps=STEPS, step_size=0.1, beta=1 / math.sqrt(head_dim)),
        **dict(mean=IMAGENET_MEAN, std=IMAGENET_STD),
    )
    gamma = arrays["LNORM_gamma"].reshape(())
    weights = {
        "descent.blocks.0.query": arrays["Wq"],
        "descent.blocks.0.key": arrays["Wk"],
        "descent.blocks.0.memories": arrays["Xi"].T,
        "descent.blocks.0.norm.gamma": gamma,
        "descent.blocks.0.norm.delta": arrays["LNORM_bias"],
        "embed.weight": arrays["Wenc"].T[:, order],
        "embed.bias": arrays["Benc"],
        "cls_token": arrays["CLS_token"].reshape(width),
        "mask_token": arrays["MASK_token"].reshape(width),
        "positions": arrays["POS_embed"],
        "decoder.0.weight": gamma.expand(width),
        "decoder.0.bias": arrays["LNORM_bias"],
        "decoder.1.weight": arrays["Wdec"].T[order],
        "decoder.1.bias": arrays["Bdec"][order],
    }
    return Archive(options, weights)


def _load_npz(data: bytes) -> dict[str, Tensor]:
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        if sum(member.file_size for member in archive.infolist()) > MOST_EXPANDED:
            raise ValueError("its arrays are too large")
    with np.load(io.BytesIO(data), allow_pickle=False) as arrays:
        return {name: _as_weights(torch.from_numpy(arrays[name]), name) for name in arrays.files}


# ---- PyTorch -----------------------------------------------------------------------------------------------------


def _read_torch(data: bytes) -> Archive:
    found = torch.load(io.BytesIO(data), map_location="cpu", weights_only=True)
    if not isinstance(found, Mapping):
        raise ValueError("it holds no state dict")
    state = {str(name).removeprefix("module."): value for name, value in found.items()}
    depth = len({name.split(".")[1] for name in state if name.startswith("blocks.")})
    _check_names(state, [*TORCH_NAMES, *(f"blocks.{i}.{part}" for i in range(depth) for part in TORCH_BLOCK)])
    state = {name: _as_weights(value, name) for name, value in state.items()}
    query, memories = state["blocks.0.1.attn.wq"], state["blocks.0.1.hn.proj.weight"]
    *_, width = _shape(query, 3)
    _, patch_dim = _shape(state["encode.0.weight"], 2)
    geometry = _geometry(patch_dim, state["pos.weight"].shape[-2] - 1)
    order = patch_order(geometry[0])
    options = dict(
        **_sizes(geometry, query, memories=len(memories)),
        **dict(depth=depth, steps=STEPS, step_size=5.0, beta=16.0, decoder_eps=float(width)),
        **dict(mean=CIFAR10_MEAN, std=CIFAR10_OFFICIAL_STD),
    )
    weights = {
        "embed.weight": state["encode.0.weight"][:, order],
        "embed.bias": state["encode.0.bias"],
        "cls_token": state["cls"].reshape(width),
        "mask_token": state["mask"].reshape(width),
        "positions": state["pos.weight"].reshape(-1, width),
        "decoder.0.weight": state["decode.0.weight"],
        "decoder.0.bias": state["decode.0.bias"],
        "decoder.1.weight": state["decode.1.weight"][order],
        "decoder.1.bias": state["decode.1.bias"][order],
    }
    for i in range(depth):
        weights |= {
            f"descent.blocks.{i}.query": state[f"blocks.{i}.1.attn.wq"],
            f"descent.blocks.{i}.key": state[f"blocks.{i}.1.attn.wk"],
            f"descent.blocks.{i}.memories": state[f"blocks.{i}.1.hn.proj.weight"],
            f"descent.blocks.{i}.norm.gamma": state[f"blocks.{i}.0.gamma"].reshape(()),
            f"descent.blocks.{i}.norm.delta": state[f"blocks.{i}.0.bias"],
        }
    return Archive(options, weights)


# ---- both --------------------------------------------------------------------------------------------------------


def _check_names(found: Mapping, wanted: tuple[str, ...] | list[str]) -> None:
    missing, odd = [name for name in wanted if name not in found], sorted(found.keys() - set(wanted))
    if missing:
        raise ValueError(f"it lacks {missing[0]}")
    if odd:
        raise ValueError(f"it holds {odd[0][:40]} besides")


def _as_weights(value: object, name: str) -> Tensor:
    if not isinstance(value, Tensor) or not value.is_floating_point() or not value.isfinite().all():
        raise ValueError(f"{name} holds no finite numbers")
    return value.float()


def _shape(weights: Tensor, axes: int) -> tuple[int, ...]:
    if weights.ndim != axes:
        raise ValueError(f"a weight has {weights.ndim} axes instead of {axes}")
    return tuple(weights.shape)


def _geometry(patch_dim: int, patches: int) -> tuple[int, int]:
    """The sides of a patch and of the picture, in pixels."""
    patch, side = math.isqrt(patch_dim // CHANNELS), math.isqrt(max(patches, 0))
    if CHANNELS * patch**2 != patch_dim or side**2 != patches or not side:
        raise ValueError(f"{patches} patches of {patch_dim} numbers make no square picture in colour")
    return patch, patch * side


def _sizes(geometry: tuple[int, int], query: Tensor, memories: int) -> dict:
    """The options that follow from the shapes; query (H, Y, D)."""
    patch, size = geometry
    heads, head_dim, width = _shape(query, 3)
    ratio = memories / width
    if int(ratio * width) != memories:  # it was rounded down
        ratio = math.nextafter(ratio, math.inf)
    return dict(
        img_size=size,
        patch_size=patch,
        embed_dim=width,
        num_heads=heads,
        head_dim=head_dim,
        memory_ratio=ratio,
    )
