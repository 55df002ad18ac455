"""Picture files: found in folders, read for datasets, uploads and restoring, and written."""

import contextlib
import io
import os
import stat
import warnings
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image, ImageOps
from torch import Tensor

from etviz.errors import UsageError, reason
from etviz.files import write_bytes
from etviz.masks import white_pixels
from etviz.pixels import bands, to_8_bits

OPAQUE = 255
PROFILED = ("L", "LA", "P", "RGB", "RGBA")  # Pillow's modes in which a colour profile still applies once read
IMAGE_SUFFIXES = {".png", ".jpg", ".jpeg", ".webp", ".bmp", ".tif", ".tiff"}  # of files that are written
READ_SUFFIXES = IMAGE_SUFFIXES | {".gif", ".jpe", ".jfif", ".ppm", ".pgm", ".pbm", ".pnm"}
FORMATS = ("PNG", "JPEG", "WEBP", "BMP", "TIFF", "GIF", "PPM")  # whatever the suffix: some others call programs
OTHER_PICTURES = {  # suffixes of pictures that are not read; a folder's are told of
    *(".heic", ".heif", ".avif", ".jp2", ".j2k", ".jxl", ".tga", ".ico", ".svg", ".psd", ".eps", ".exr", ".hdr"),
    *(".dcm", ".nii", ".raw", ".dng", ".cr2", ".cr3", ".nef", ".arw", ".pfm", ".pcx", ".sgi", ".dds", ".npy"),
}
JUNK_FOLDERS = {"__macosx", "@eadir", "$recycle.bin", "#recycle", "lost+found", "system volume information"}
TRANSPARENT_FORMATS = {".png", ".webp", ".tif", ".tiff"}
MAX_PIXELS = 64_000_000  # of one picture: more is taken for a decompression bomb
SAVING = {".jpg": {"quality": 95}, ".jpeg": {"quality": 95}, ".webp": {"lossless": True, "exact": True}}
MOST_NAMED = 20  # files in one error


# ---- one file ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Picture:
    """One picture, upright."""

    pixels: Tensor  # (3, H, W) uint8
    opacity: Tensor | None  # (H, W) uint8; None where everything is opaque
    grey: bool  # the file has no colours
    profile: bytes | None = None  # the ICC profile, which says which colours the numbers stand for

    @property
    def image(self) -> Tensor:
        """(3, H, W) float in [0, 1]."""
        return self.pixels.float() / OPAQUE

    @property
    def transparent(self) -> Tensor:
        """(H, W) bool: less than half opaque."""
        if self.opacity is None:
            return torch.zeros(self.pixels.shape[1:], dtype=torch.bool)
        return self.opacity <= OPAQUE // 2


def read_image(path: Path) -> Picture:
    """Read a picture file of any mode as `etviz.pixels.to_8_bits` does: 8 bits, upright.

    Raises:
        UsageError: the file is no picture, is damaged, has more than 64 million pixels, or holds numbers of which it
            cannot be told what they stand for.
    """
    with open_picture(path) as picture:
        profile = picture.info.get("icc_profile") if picture.mode in PROFILED else None
        upright = to_8_bits(picture)
        opacity = _opacity(upright)
        colours = _array(upright, "L" if upright.mode in ("L", "LA") else "RGB")
    grey = colours.ndim == 2
    pixels = colours.expand(3, *colours.shape) if grey else colours.permute(2, 0, 1)
    return Picture(pixels=pixels, opacity=opacity, grey=grey, profile=profile)


def _opacity(picture: Image.Image) -> Tensor | None:
    if picture.mode not in ("LA", "RGBA") or picture.getextrema()[-1] == (OPAQUE, OPAQUE):
        return None
    alpha = [np.asarray(piece.getchannel("A")) for _, piece in bands(picture)]
    return torch.from_numpy(np.concatenate(alpha))


def _array(picture: Image.Image, mode: str) -> Tensor:
    """The pixels of a picture, (H, W) or (H, W, 3) uint8, converted in pieces."""
    pixels = torch.empty(picture.height, picture.width, *((3,) if mode == "RGB" else ()), dtype=torch.uint8)
    for rows, piece in bands(picture):
        pixels[rows] = torch.from_numpy(np.array(piece.convert(mode)))
    return pixels


def read_mask(path: Path) -> Tensor:
    """Read a picture of what is missing: (H, W) bool, True where it is white or transparent.

    A pixel counts as white where it is lighter than middle grey on a white background, as in `etviz.mask_from_image`.

    Raises:
        UsageError: as `read_image`.
    """
    with open_picture(path) as picture:
        return torch.from_numpy(white_pixels(picture))


def is_transparent(path: Path) -> bool:
    """Whether a picture file has a pixel that is less than half opaque. Raises `UsageError` as `read_image`."""
    with open_picture(path) as picture:
        opacity = _opacity(to_8_bits(picture, faint=True))
    return opacity is not None and int(opacity.min()) <= OPAQUE // 2


def read_picture(path: str | os.PathLike, img_size: int) -> Tensor:
    """Read a picture file as (3, img_size, img_size) uint8: upright, centre-cropped to a square, antialiased.

    Raises:
        UsageError: as `read_image`.
    """
    with open_picture(path) as picture:
        return picture_to_tensor(picture, img_size)


@contextlib.contextmanager
def open_picture(path: str | os.PathLike) -> Iterator[Image.Image]:
    """Open a picture file by Pillow. Whatever goes wrong while it is read becomes one sentence.

    Raises:
        UsageError: as `read_image`.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of sizes, which are checked here, and of damage that can be read past
            _check_regular(path)
            with Image.open(path, formats=FORMATS) as picture:
                _check_size(picture)
                yield picture
    except UsageError as error:
        raise UsageError(f"{str(path)!r} cannot be read: {error}") from error
    except Exception as error:  # Pillow raises many kinds for damaged files
        raise UsageError(f"{str(path)!r} cannot be read as a picture: {reason(error)}.") from error


def _check_regular(path: str | os.PathLike) -> None:
    """Raise where opening a file could wait for ever, as for a pipe."""
    if not stat.S_ISREG(os.stat(path).st_mode):
        raise UsageError("It is no file of bytes.")


def _check_size(picture: Image.Image) -> None:
    if picture.width * picture.height > MAX_PIXELS:
        raise UsageError(f"It has {picture.width}x{picture.height} pixels: {MAX_PIXELS:,} is the most.")


def picture_to_tensor(picture: Image.Image, img_size: int) -> Tensor:
    """A Pillow image as (3, img_size, img_size) uint8: upright, centre-cropped to a square, antialiased.

    Transparent pictures get a white background, since models have no transparency.

    Raises:
        UsageError: as `etviz.pixels.to_8_bits`.
    """
    upright = to_8_bits(picture)
    if upright.mode in ("LA", "RGBA"):
        upright = _on_white(upright)
    colours = upright if upright.mode == "RGB" else upright.convert("RGB")
    fitted = ImageOps.fit(colours, (img_size, img_size), Image.Resampling.LANCZOS)
    return torch.from_numpy(np.asarray(fitted).copy()).permute(2, 0, 1).contiguous()


def _on_white(picture: Image.Image) -> Image.Image:
    laid = Image.new("L" if picture.mode == "LA" else "RGB", picture.size)
    for rows, piece in bands(picture):
        rgba = piece.convert("RGBA")
        opaque = Image.alpha_composite(Image.new("RGBA", rgba.size, "white"), rgba)
        laid.paste(opaque.convert(laid.mode), (0, rows.start))
    return laid


# ---- sizes -----------------------------------------------------------------------------------------------------------


def resize(images: Tensor, img_size: int) -> Tensor:
    """Antialiased resize of square or centre-cropped images: (n, C, H, W) uint8 -> (n, C, img_size, img_size)."""
    height, width = images.shape[-2:]
    if (height, width) == (img_size, img_size):
        return images
    side = min(height, width)
    top, left = (height - side) // 2, (width - side) // 2
    cropped = images[..., top : top + side, left : left + side]
    chunks = [_resize_chunk(chunk, img_size) for chunk in cropped.split(4096)]  # bounded memory on large splits
    return torch.cat(chunks) if chunks else cropped.new_zeros(0, images.shape[1], img_size, img_size)


def _resize_chunk(images: Tensor, img_size: int) -> Tensor:
    resized = F.interpolate(images.float(), size=(img_size, img_size), mode="bicubic", antialias=True)
    return resized.round().clamp(0, 255).to(torch.uint8)


# ---- folders -----------------------------------------------------------------------------------------------------


def picture_paths(folder: Path, *, beside: Path | None = None) -> list[Path]:
    """Every picture file in a folder and its subfolders, sorted; what systems and programs hide is left out.

    Links are followed, but for those that lead back to a folder above.

    Args:
        folder: where to look.
        beside: a folder below it to leave out.
    """
    return sorted(path for path in _files(folder, beside) if path.suffix.lower() in READ_SUFFIXES)


def other_pictures(folder: Path) -> list[Path]:
    """The files in a folder and its subfolders that are pictures by their suffix, of kinds that are not read."""
    return sorted(path for path in _files(folder) if path.suffix.lower() in OTHER_PICTURES)


def is_hidden(name: str) -> bool:
    """Whether a file or folder is hidden, or one that a system makes by itself, as macOS's ``._name`` copies."""
    return name.startswith(".") or name.lower() in JUNK_FOLDERS


def _files(root: Path, beside: Path | None = None) -> Iterator[Path]:
    """Every file in a folder and below that is not hidden."""
    left_out = None if beside is None else os.path.realpath(beside)
    waiting: list[tuple[Path, tuple[str, ...]]] = [(root, ())]  # a folder, and the real places of those above it
    while waiting:
        folder, above = waiting.pop()
        real = os.path.realpath(folder)
        if real in above or real == left_out:
            continue
        for entry in _entries(folder):
            if entry.is_dir():
                waiting.append((folder / entry.name, (*above, real)))
            else:
                yield folder / entry.name


def _entries(folder: Path) -> list[os.DirEntry]:
    try:
        with os.scandir(folder) as entries:
            return [entry for entry in entries if not is_hidden(entry.name)]
    except OSError as error:
        raise UsageError(f"The folder {str(folder)!r} cannot be read: {error.strerror}.") from error


def no_pictures(folder: Path) -> UsageError:
    """The error to raise for a folder without pictures."""
    return UsageError(f"{str(folder)!r} holds no pictures ({', '.join(sorted(READ_SUFFIXES))}).")


def named(paths: Iterable[Path | str]) -> str:
    """Files in a sentence: the first twenty, and how many more."""
    names = [repr(str(path)) for path in paths]
    more = f" and {len(names) - MOST_NAMED:,} more" if len(names) > MOST_NAMED else ""
    return ", ".join(names[:MOST_NAMED]) + more


# ---- writing -----------------------------------------------------------------------------------------------------


def write_image(
    path: Path, pixels: Tensor, *, opacity: Tensor | None = None, grey: bool = False, profile: bytes | None = None
) -> None:
    """Write a picture to a file in the format of its suffix, atomically. Only JPEG loses detail.

    Args:
        path: ends in one of `IMAGE_SUFFIXES`.
        pixels: (3, H, W) uint8; with equal channels where ``grey``.
        opacity: (H, W) uint8, for a format that has it.
        grey: write one channel only.
        profile: the ICC profile of the colours, kept where the format has room for one.
    """
    channels = list(pixels[:1] if grey else pixels) + ([] if opacity is None else [opacity])
    picture = Image.fromarray(torch.stack(channels, dim=-1).squeeze(-1).cpu().numpy())
    buffer = io.BytesIO()
    suffix = path.suffix.lower()
    options = {"icc_profile": profile, **SAVING.get(suffix, {})}
    picture.save(buffer, Image.registered_extensions()[suffix], **options)
    write_bytes(path, buffer.getvalue())


def check_suffix(path: Path) -> None:
    """Raise `UsageError` where the suffix is that of no format that is written."""
    if path.suffix.lower() not in IMAGE_SUFFIXES:
        raise UsageError(f"{str(path)!r} has no picture's suffix: use one of {', '.join(sorted(IMAGE_SUFFIXES))}.")


def check_opacity(path: Path) -> None:
    """Raise `UsageError` where the suffix is that of a format without transparency."""
    if path.suffix.lower() not in TRANSPARENT_FORMATS:
        raise UsageError(f"{str(path)!r} cannot keep what is half transparent: write a PNG, WebP or TIFF.")
