"""Pictures and masks of every mode and depth become the same 8 bits everywhere, or are refused by name."""

import io
import struct
import zlib

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageOps, TiffImagePlugin

from etviz import UsageError, masks, pictures
from etviz.pixels import to_8_bits

RAMP = np.arange(256, dtype=np.uint8).reshape(16, 16)
EIGHT_BIT_MODES = ["1", "L", "LA", "P", "PA", "RGB", "RGBA", "RGBX", "CMYK", "YCbCr", "HSV", "LAB"]


def grey(picture: Image.Image) -> np.ndarray:
    found = to_8_bits(picture)
    assert found.mode == "L"
    return np.asarray(found)


def reopened(picture: Image.Image, kind: str = "TIFF", **options) -> Image.Image:
    buffer = io.BytesIO()
    picture.save(buffer, kind, **options)
    return Image.open(buffer)


def tags(**values) -> TiffImagePlugin.ImageFileDirectory_v2:
    found = TiffImagePlugin.ImageFileDirectory_v2()
    for name, value in values.items():
        number = {"bits": 258, "photometric": 262, "largest": 281, "orientation": 274}[name]
        found[number] = value
    return found


def png(rows: np.ndarray, colour_type: int, extra: bytes = b"") -> Image.Image:
    """A PNG of 16 bits, which Pillow writes only in part."""
    height, width = rows.shape[:2]
    data = b"".join(b"\0" + row.astype(">u2").tobytes() for row in rows)
    header = struct.pack(">IIBBBBB", width, height, 16, colour_type, 0, 0, 0)
    parts = (chunk(b"IHDR", header), extra, chunk(b"IDAT", zlib.compress(data)), chunk(b"IEND", b""))
    return Image.open(io.BytesIO(b"\x89PNG\r\n\x1a\n" + b"".join(parts)))


def chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


# ---- depth -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", ["I;16", "I;16L", "I;16B", "I"])
def test_16_bits_keep_their_upper_8(mode):
    numbers = RAMP.astype(np.uint16) * 257
    if mode == "I":
        picture = Image.fromarray(numbers.astype(np.int32))
    else:
        picture = Image.frombytes(mode, (16, 16), numbers.astype(">u2" if mode == "I;16B" else "<u2").tobytes())
    assert picture.mode == mode
    assert (grey(picture) == RAMP).all()


@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
def test_16_bits_in_files(kind):
    assert (grey(reopened(Image.fromarray(RAMP.astype(np.uint16) * 257), kind)) == RAMP).all()


@pytest.mark.parametrize("largest", [255, 1023, 4095])
@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
def test_12_bits_in_16_are_refused_rather_than_black(kind, largest):
    picture = reopened(Image.fromarray((RAMP.astype(np.uint32) * largest // 255).astype(np.uint16)), kind)
    with pytest.raises(UsageError, match=f"none above {largest:,}, so it is black or has 12 bits.*MaxSampleValue"):
        to_8_bits(picture)


def test_12_bits_in_16_of_three_colours_are_refused_too():
    picture = png(np.stack([RAMP.astype(np.uint16) * 16] * 3, -1), 2)
    with pytest.raises(UsageError, match="none above 4,095"):
        to_8_bits(picture)
    clear = png(np.stack([RAMP.astype(np.uint16) * 16] * 3 + [np.full((16, 16), 65_535)], -1), 6)
    with pytest.raises(UsageError, match="none above 4,095"):
        to_8_bits(clear)
    bright = png(np.stack([RAMP.astype(np.uint16) * 257] * 3, -1), 2)
    assert (np.asarray(to_8_bits(bright))[..., 1] == RAMP).all()


@pytest.mark.parametrize("bits", [10, 12, 14])
def test_a_tiff_that_says_its_depth_is_read_by_it(bits):
    white = 2**bits - 1
    numbers = (RAMP.astype(np.uint32) * white // 255).astype(np.uint16)
    found = grey(reopened(Image.fromarray(numbers), tiffinfo=tags(largest=white)))
    assert np.abs(found.astype(int) - RAMP).max() <= 1
    assert (found.min(), found.max()) == (0, 255)


def test_a_largest_value_that_is_no_depth_is_a_mere_statistic():
    numbers = (RAMP.astype(np.uint32) * 60_000 // 255).astype(np.uint16)
    assert (grey(reopened(Image.fromarray(numbers), tiffinfo=tags(largest=60_000))) == numbers >> 8).all()


def test_black_is_black_at_any_depth():
    for picture in (Image.new("I;16", (3, 3)), Image.new("I", (3, 3)), Image.new("F", (3, 3))):
        assert (grey(picture) == 0).all()


@pytest.mark.parametrize("kind", [None, "TIFF"])
def test_floats_from_0_to_1_and_from_0_to_255(kind):
    for numbers in (RAMP / 255, RAMP.astype(float)):
        picture = Image.fromarray(numbers.astype(np.float32))
        assert (grey(picture if kind is None else reopened(picture, kind)) == RAMP).all()


@pytest.mark.parametrize(
    ("numbers", "message"),
    [
        ([[0.0, -0.5]], "below 0 or none at all"),
        ([[0.0, np.nan]], "below 0 or none at all"),
        ([[0.0, np.inf]], "below 0 or none at all"),
        ([[0.0, 1.02]], "floats up to 1.02: those from 0 to 1 or from 0 to 255"),
        ([[0.0, 4000.0]], "floats up to 4000"),
        (np.array([[0, -1]], np.int32), "below 0"),
        (np.array([[0, 70_000]], np.int32), "whole numbers up to 70,000"),
    ],
)
def test_numbers_that_stand_for_no_grey_are_refused(tmp_path, numbers, message):
    picture = Image.fromarray(np.asarray(numbers, np.float32) if isinstance(numbers, list) else numbers)
    picture.save(tmp_path / "a.tif")
    with pytest.raises(UsageError, match=message):
        to_8_bits(picture)
    with pytest.raises(UsageError, match=r"a\.tif' cannot be read: This picture holds"):
        pictures.read_image(tmp_path / "a.tif")


def test_0_is_white_where_a_tiff_says_so():
    for numbers in (RAMP.astype(np.uint16) * 257, (RAMP / 255).astype(np.float32)):
        whole = reopened(Image.fromarray(numbers)).fp.getvalue()
        where = whole.index(struct.pack("<HHI", 262, 3, 1)) + 8
        turned = whole[:where] + struct.pack("<H", 0) + whole[where + 2 :]
        assert (grey(Image.open(io.BytesIO(turned))) == 255 - RAMP).all()


def test_one_grey_of_16_bits_may_be_transparent():
    numbers = np.array([[0, 512, 65_535, 513]])
    found = np.asarray(to_8_bits(png(numbers, 0, chunk(b"tRNS", struct.pack(">H", 512)))))
    assert found.tolist() == [[[0, 255], [2, 0], [255, 255], [2, 255]]]


# ---- every mode --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", [*EIGHT_BIT_MODES, "La", "RGBa"])
def test_every_mode_has_its_colours(mode):
    colours = Image.merge("RGB", [Image.fromarray(np.roll(RAMP, k)) for k in (0, 64, 128)])
    whole = {"La": "LA", "RGBa": "RGBA"}.get(mode, mode)
    picture = to_lab(colours) if mode == "LAB" else colours.convert("L").convert("PA") if mode == "PA" else None
    picture = picture or colours.convert(whole)
    picture = picture.convert(mode) if whole != mode else picture
    assert picture.mode == mode
    found = to_8_bits(picture)
    assert found.mode == {"1": "L", "L": "L", "LA": "LA", "La": "LA"}.get(
        mode, "RGBA" if mode in ("PA", "RGBA", "RGBa") else "RGB"
    )
    expected = colours.convert("L") if mode in ("1", "L", "LA", "La", "PA") else colours
    close = {"1": 255, "P": 255, "YCbCr": 2, "HSV": 8, "LAB": 255}.get(mode, 0)  # what the mode itself loses
    difference = np.abs(np.asarray(found.convert("RGB")).astype(int) - np.asarray(expected.convert("RGB")))
    assert difference.max() <= close
    assert difference.mean() <= {"1": 130, "P": 30, "LAB": 12}.get(mode, close)


def to_lab(picture: Image.Image) -> Image.Image:
    from PIL import ImageCms

    return ImageCms.profileToProfile(
        picture, ImageCms.createProfile("sRGB"), ImageCms.createProfile("LAB"), outputMode="LAB"
    )


@pytest.mark.parametrize("mode", ["1", "L", "P", "RGB"])
def test_a_transparent_colour_is_transparent(mode):
    picture = Image.new(mode, (4, 1), 0)
    picture.putpixel((1, 0), (255, 255, 255) if mode == "RGB" else 1)
    clear = (0, 0, 0) if mode == "RGB" else 0
    opened = reopened(picture, "PNG", transparency=clear)
    assert np.asarray(to_8_bits(opened).convert("RGBA"))[0, :, 3].tolist() == [0, 255, 0, 0]


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "I;16", "I", "F"])
@pytest.mark.parametrize("orientation", [1, 2, 3, 4, 5, 6, 7, 8])
def test_every_mode_is_turned_upright(mode, orientation):
    """Turned first and converted then, or the other way round: a header is read before Pillow forgets it."""
    numbers = np.arange(12, dtype=np.uint8).reshape(3, 4) * 20
    wide = {"I;16": np.uint16, "I": np.int32, "F": np.float32}.get(mode)
    scale = {"I;16": 257, "I": 257}.get(mode, 1)
    picture = Image.fromarray(numbers) if wide is None else Image.fromarray(numbers.astype(wide) * scale)
    picture = picture.convert(mode) if wide is None else picture
    opened = reopened(picture, tiffinfo=tags(orientation=orientation))
    flat = to_8_bits(reopened(picture)).convert("RGB")
    exif = Image.Exif()
    exif[274] = orientation
    flat.info["exif"] = exif.tobytes()
    flat.getexif().load(exif.tobytes())
    assert np.array_equal(np.asarray(to_8_bits(opened).convert("RGB")), np.asarray(ImageOps.exif_transpose(flat)))


# ---- files -------------------------------------------------------------------------------------------------------


def test_what_a_suffix_says_does_not_matter_and_no_program_is_called(tmp_path, monkeypatch):
    import subprocess

    def refused(*arguments, **options):
        raise AssertionError("a program was called")

    monkeypatch.setattr(subprocess, "check_call", refused)
    monkeypatch.setattr(subprocess, "Popen", refused)
    (tmp_path / "x.png").write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\n%%EndComments\nshowpage\n")
    with pytest.raises(UsageError, match=r"x\.png' cannot be read as a picture"):
        pictures.read_picture(tmp_path / "x.png", 8)
    Image.new("RGB", (9, 9), "red").save(tmp_path / "jpeg.png", "JPEG")
    assert pictures.read_picture(tmp_path / "jpeg.png", 8)[0].min() > 250


@pytest.mark.parametrize("kind", ["ICO", "TGA", "PCX", "SGI", "EPS", "PDF", "ICNS", "JPEG2000", "AVIF", "DDS"])
def test_other_kinds_are_refused_by_their_contents(tmp_path, kind):
    try:
        Image.new("RGB", (16, 16)).save(tmp_path / "x.png", kind)
    except (OSError, KeyError, ValueError):
        pytest.skip(f"this Pillow does not write {kind}")
    with pytest.raises(UsageError, match="cannot be read as a picture"):
        pictures.read_picture(tmp_path / "x.png", 8)


def test_what_is_no_file_is_not_waited_for(tmp_path):
    import os

    if not hasattr(os, "mkfifo"):
        pytest.skip("there are no pipes here")
    os.mkfifo(tmp_path / "pipe.png")
    with pytest.raises(UsageError, match="It is no file of bytes"):
        pictures.read_picture(tmp_path / "pipe.png", 8)


# ---- masks -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", ["I;16", "I", "F"])
def test_a_deep_mask_is_white_where_it_is_light(mode):
    kinds = {"I;16": (np.uint16, 65_535), "I": (np.int32, 65_535), "F": (np.float32, 1)}
    kind, white = kinds[mode]
    numbers = np.zeros((8, 8), kind)
    numbers[0, :3] = np.array([white, 512 / 65_535 * white, 0.6 * white])
    assert masks.mask_to_hex(masks.mask_from_image(Image.fromarray(numbers))) == "a" + 15 * "0"
    assert masks.white_pixels(Image.fromarray(numbers))[0].tolist() == [True, False, True, *[False] * 5]


def test_a_faint_mask_marks_nothing():
    assert not masks.mask_from_image(Image.fromarray(np.full((8, 8), 512, np.uint16))).any()


def test_a_mask_is_read_upright():
    picture = Image.new("L", (16, 8))
    picture.paste(255, (0, 0, 16, 4))  # the upper half of what was taken on its side
    exif = Image.Exif()
    exif[274] = 6
    opened = reopened(picture, "PNG", exif=exif)
    assert torch.equal(masks.mask_from_image(opened), masks.half_mask(which="right"))


@given(st.integers(1, 200), st.integers(1, 200), st.integers(0, 2**32 - 1))
def test_a_mask_read_by_bands_is_the_mask_read_at_once(width, height, seed):
    rng = np.random.default_rng(seed)
    rgba = rng.integers(0, 256, (height, width, 4)).astype(np.int64)
    light = (rgba[..., :3] @ [299, 587, 114]) * rgba[..., 3] + 255_000 * (255 - rgba[..., 3])
    assert (masks.white_pixels(Image.fromarray(rgba.astype(np.uint8))) == (2 * light > 255_000 * 255)).all()
