"""Damaged and malicious archives, pictures and masks, always the same ones for a seed.

As a program it reads each of a kind and prints how that went, as JSON: python -m tests.hostile KIND COUNT
"""

import functools
import io
import json
import resource
import struct
import sys
import tempfile
import time
import zipfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
from PIL import Image, PngImagePlugin

from etviz import UsageError, data, pictures

MANY = 200  # from here on, files that take long to make are among them
Variant = tuple[str, bytes]  # a file's name, and what it holds


def variants(kind: str, count: int) -> Iterator[Variant]:
    """So many files of a kind: those made by hand, then random damage to whole ones."""
    whole, made = (archives(), bad_archives()) if kind == "archive" else (whole_pictures(), bad_pictures())
    if count >= MANY:
        made += large_archives() if kind == "archive" else large_pictures()
    yield from made
    rng = np.random.default_rng(0)
    for i in range(count - len(made)):
        name, content = whole[i % len(whole)]
        yield f"{i}-{name}", DAMAGE[i // len(whole) % len(DAMAGE)](content, rng)


def read(kind: str, path: Path) -> str:
    """Read a file as the product does. Returns the sentence that refuses it, or nothing where it is read."""
    readers: dict[str, list[Callable]] = {
        "archive": [lambda: data.load_dataset(str(path))],
        "picture": [lambda: pictures.read_image(path), lambda: pictures.read_picture(path, 32)],
        "mask": [lambda: pictures.read_mask(path), lambda: pictures.is_transparent(path)],
    }
    sentences = []
    for reader in readers[kind]:
        try:
            reader()
        except UsageError as error:
            sentences.append(str(error))
    return sentences[0] if sentences else ""


# ---- damage ------------------------------------------------------------------------------------------------------


def cut(content: bytes, rng: np.random.Generator) -> bytes:
    return content[: rng.integers(1, len(content))]


def flip(content: bytes, rng: np.random.Generator) -> bytes:
    found = bytearray(content)
    for place in rng.integers(0, len(found), rng.integers(1, 30)):
        found[place] = rng.integers(0, 256)
    return bytes(found)


def flip_head(content: bytes, rng: np.random.Generator) -> bytes:
    return flip(content[:120], rng) + content[120:]


def flip_tail(content: bytes, rng: np.random.Generator) -> bytes:
    return content[:-200] + flip(content[-200:], rng)


def enlarge(content: bytes, rng: np.random.Generator) -> bytes:
    """Some numbers of the header become very large ones."""
    place = int(rng.integers(4, min(100, len(content) - 4)))
    return content[:place] + struct.pack(">I", int(rng.integers(2**16, 2**32))) + content[place + 4 :]


def repeat(content: bytes, rng: np.random.Generator) -> bytes:
    start, stop = sorted(rng.integers(0, len(content), 2))
    return content[:stop] + content[start:stop] * int(rng.integers(1, 50)) + content[stop:]


DAMAGE = (cut, flip, flip_head, enlarge, repeat, flip_tail)


# ---- pictures ----------------------------------------------------------------------------------------------------


def whole_pictures() -> list[Variant]:
    rng = np.random.default_rng(1)
    pixels = rng.integers(0, 256, (40, 44, 4), dtype=np.uint8)
    rgb, rgba = Image.fromarray(pixels[..., :3]), Image.fromarray(pixels)
    deep = Image.fromarray(rng.integers(0, 65_536, (40, 44)).astype(np.uint16))
    exif = Image.Exif()
    exif[274] = 6
    saved = [
        *(("a.png", rgba, {}), ("b.png", rgb.convert("P"), {"transparency": 3}), ("c.png", deep, {})),
        *(("a.jpg", rgb, {"exif": exif}), ("b.jpg", rgb, {"progressive": True}), ("c.jpg", rgb.convert("CMYK"), {})),
        *(("a.webp", rgba, {"lossless": True}), ("b.webp", rgb, {}), ("a.bmp", rgb, {}), ("a.gif", rgb, {})),
        *(("a.tif", rgba, {}), ("b.tif", rgb, {"compression": "tiff_lzw"}), ("c.tif", deep, {})),
        *(("d.tif", Image.fromarray(pixels[..., 0] / np.float32(255)), {}), ("a.ppm", rgb, {}), ("a.pgm", deep, {})),
        *(("e.tif", rgb, {"compression": "jpeg"}), ("f.tif", rgb, {"compression": "tiff_adobe_deflate"})),
    ]
    return [(name, saved_as(name, picture, options)) for name, picture, options in saved]


def saved_as(name: str, picture: Image.Image, options: dict) -> bytes:
    buffer = io.BytesIO()
    Image.init()
    picture.save(buffer, Image.EXTENSION[Path(name).suffix], **options)
    return buffer.getvalue()


def png(
    width: int, height: int, colour_type: int, depth: int, rows: bytes, *chunks: tuple[bytes, bytes], pack=zlib.compress
) -> bytes:
    parts = [(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, colour_type, 0, 0, 0)), *chunks]
    parts += [(b"IDAT", pack(rows)), (b"IEND", b"")]
    written = [struct.pack(">I", len(d)) + n + d + struct.pack(">I", zlib.crc32(n + d)) for n, d in parts]
    return b"\x89PNG\r\n\x1a\n" + b"".join(written)


def wide(colour_type: int, depth: int) -> bytes:
    """63.9 million pixels in some 60 to 250 kB."""
    row = bytes(1 + 8000 * {0: 1, 3: 1, 4: 2, 6: 4}[colour_type] * depth // 8)
    packer = zlib.compressobj()
    packed = b"".join(packer.compress(row) for _ in range(7990)) + packer.flush()
    palette = [(b"PLTE", bytes(6))] if colour_type == 3 else []
    return png(8000, 7990, colour_type, depth, packed, *palette, pack=bytes)


def large_pictures() -> list[Variant]:
    words = PngImagePlugin.PngInfo()
    words.add_text("Comment", "x" * 50_000_000, zip=True)
    talkative = io.BytesIO()
    Image.new("L", (8, 8)).save(talkative, "PNG", pnginfo=words)
    return [
        *((f"wide-{kind}-{depth}.png", wide(kind, depth)) for kind, depth in ((0, 8), (0, 16), (4, 8), (6, 8), (3, 1))),
        ("profile.png", png(8, 8, 0, 8, bytes(72), (b"iCCP", b"x\0\0" + zlib.compress(bytes(60_000_000))))),
        ("talkative.png", talkative.getvalue()),
    ]


def bad_pictures() -> list[Variant]:
    loop = b"II*\0\x08\0\0\0" + struct.pack("<H", 0) + struct.pack("<I", 8)
    return [
        ("vast.png", png(60_000, 60_000, 0, 8, b"\0" * 100)),
        ("vaster.png", png(2**31 - 1, 2**31 - 1, 2, 16, b"\0" * 100)),
        ("nothing.png", png(0, 0, 0, 8, b"")),
        ("short.png", png(4000, 4000, 6, 16, b"\0" * 100)),
        ("wrong-depth.png", png(8, 8, 2, 3, b"\0" * 100)),
        ("no-palette.png", png(8, 8, 3, 8, b"\0" * 72)),
        ("exif.png", png(8, 8, 0, 8, bytes(72), (b"eXIf", b"MM\0*\xff\xff\xff\xff"))),
        ("x.png", b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\n{} loop\n"),
        ("x.jpg", b"<svg xmlns='http://www.w3.org/2000/svg' width='9' height='9'/>"),
        ("vast.ppm", b"P6 100000 100000 255\n" + bytes(99)),
        ("negative.ppm", b"P6 -8 -8 255\n" + bytes(192)),
        ("endless.ppm", b"P3 8 8 255\n" + b"1" * 100_000),
        ("comment.ppm", b"P6 #" + b"x" * 1_000_000 + b"\n8 8 255\n" + bytes(192)),
        ("depth.ppm", b"P6 8 8 99999\n" + bytes(192)),
        ("loop.tif", loop),
        ("vast.tif", tiff({256: 60_000, 257: 60_000, 258: 8, 259: 1, 262: 1, 273: 8, 277: 1, 278: 60_000, 279: 9})),
        ("samples.tif", tiff({256: 8, 257: 8, 258: 8, 259: 1, 262: 2, 273: 8, 277: 65_535, 279: 9})),
        ("strips.tif", tiff({256: 8, 257: 8, 258: 8, 259: 5, 262: 1, 273: 2**32 - 1, 277: 1, 278: 1, 279: 2**32 - 1})),
        (
            "vast.bmp",
            b"BM" + struct.pack("<IHHIIiiHHIIiiII", 99, 0, 0, 54, 40, 60_000, 60_000, 1, 24, 0, 0, 0, 0, 0, 0),
        ),
        ("runs.bmp", b"BM" + struct.pack("<IHHIIiiHHIIiiII", 99, 0, 0, 54, 40, 7000, 7000, 1, 8, 1, 0, 0, 0, 256, 0)),
        ("vast.gif", b"GIF89a" + struct.pack("<HHBBB", 65_535, 65_535, 0, 0, 0) + b"," + bytes(9) + b"\x02\0;"),
        ("vast.webp", b"RIFF" + struct.pack("<I", 26) + b"WEBPVP8L" + struct.pack("<I", 14) + b"\x2f" + b"\xff" * 13),
        ("empty.png", b""),
        ("zeros.png", bytes(10_000)),
        ("words.png", "Grüße\n".encode() * 100),
        ("pickle.png", b"cos\nsystem\n(S'exit 1'\ntR."),
    ]


def bmp(side: int, bits: int, compression: int, colours: int) -> bytes:
    numbers = (99, 0, 0, 54, 40, side, side, 1, bits, compression, 0, 0, 0, colours, 0)
    return b"BM" + struct.pack("<IHHIIiiHHIIiiII", *numbers)


def tiff(tags: dict[int, int]) -> bytes:
    entries = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in sorted(tags.items()))
    return b"II*\0\x08\0\0\0" + struct.pack("<H", len(tags)) + entries + bytes(4) + bytes(99)


# ---- archives ----------------------------------------------------------------------------------------------------


def arrays(**changes: np.ndarray) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(2)
    found = {}
    for split, count in (("train", 5), ("test", 3)):
        found[f"{split}_images"] = rng.integers(0, 256, (count, 9, 8, 3), dtype=np.uint8)
        found[f"{split}_labels"] = rng.integers(0, 3, (count, 1))
    return found | changes


def archive(found: dict[str, np.ndarray | bytes], compression: int = zipfile.ZIP_DEFLATED) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", compression) as file:
        for name, array in found.items():
            file.writestr(f"{name}.npy", array if isinstance(array, bytes) else npy(array))
    return buffer.getvalue()


def npy(array: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    np.lib.format.write_array(buffer, array, allow_pickle=True)
    return buffer.getvalue()


def header(text: str, version: int = 1, content: bytes = b"") -> bytes:
    length = struct.pack("<H" if version == 1 else "<I", len(text))
    return b"\x93NUMPY" + bytes([version, 0]) + length + text.encode("latin1") + content


def archives() -> list[Variant]:
    kinds = {"stored": zipfile.ZIP_STORED, "deflated": zipfile.ZIP_DEFLATED, "lzma": zipfile.ZIP_LZMA}
    found = [(f"{name}.npz", archive(arrays(), kind)) for name, kind in kinds.items()]
    columns = arrays(train_images=np.asfortranarray(arrays()["train_images"]))
    return [*found, ("columns.npz", archive(columns)), ("bz2.npz", archive(arrays(), zipfile.ZIP_BZIP2))]


def large_archives() -> list[Variant]:
    zeros = functools.partial(np.zeros, dtype=np.uint8)
    return [
        ("many.npz", archive(arrays(train_images=zeros((800_000, 1, 1)), train_labels=zeros(800_000)))),
        ("wide.npz", archive(arrays(train_images=zeros((5, 6_900, 6_900))))),
        ("vast.npz", archive(arrays(train_images=zeros((5, 8_000, 8_000))))),
        ("one-hot.npz", archive(arrays(train_images=zeros((20_000, 1, 1)), train_labels=zeros((20_000, 9_000))))),
        ("many-columns.npz", archive(arrays(train_labels=zeros((5, 20_000_000))))),
    ]


def bad_archives() -> list[Variant]:
    shape = "{{'descr': '{}', 'fortran_order': False, 'shape': {}, }}\n"
    headers = {
        "vast": header(shape.format("|u1", "(4000000000, 32, 32, 3)")),
        "negative": header(shape.format("|u1", "(-5, -9, 8, 3)")),
        "objects": npy(np.array([{"a": 1}], object)),
        "pickle": header(shape.format("|O", "(1,)"), content=b"cos\nsystem\n(S'exit 1'\ntR."),
        "expression": header("{'descr': __import__('os').abort(), 'fortran_order': False, 'shape': (1,)}\n"),
        "brackets": header("[" * 60_000),
        "digits": header(shape.format("|u1", f"({'9' * 5000},)")),
        "floats": header(shape.format("|u1", "(5.0, 9, 8, 3)")),
        "words": header(shape.format("<U99999999", "(5,)")),
        "long": header(" " * 3_000_000, 2),
        "longest": b"\x93NUMPY\2\0\xff\xff\xff\xff" + bytes(5_000_000),
        "version": header("{}", 3),
        "unknown": b"\x93NUMPY\x63\0",
        "empty": b"",
        "records": npy(np.zeros(5, [("a", "u1"), ("b", "f8")])),
        "dates": npy(np.zeros(5, "datetime64[s]")),
    }
    return [
        *((f"{name}-images.npz", archive(arrays() | {"train_images": content})) for name, content in headers.items()),
        *((f"{name}-labels.npz", archive(arrays() | {"test_labels": content})) for name, content in headers.items()),
        ("entries.npz", archive({str(i): b"" for i in range(20_000)})),
        ("names.npz", archive({"../" * 50 + str(i): b"" for i in range(9)})),
        ("empty.npz", b""),
        ("none.npz", archive({})),
        ("picture.npz", whole_pictures()[0][1]),
        ("words.npz", b"hello\n" * 99),
    ]


# ---- the program -------------------------------------------------------------------------------------------------


def main(kind: str, count: int) -> None:
    """Read so many of a kind; print sentences, other errors, the longest time in seconds, and the memory in MB."""
    said, broken, slowest, start_memory = {}, {}, 0.0, peak()
    with tempfile.TemporaryDirectory() as folder:
        for name, content in variants(kind, count):
            path = Path(folder) / name
            path.write_bytes(content)
            del content
            start = time.process_time()
            try:
                said[name] = read(kind, path)
            except Exception as error:
                broken[name] = repr(error)
            slowest = max(slowest, time.process_time() - start)
            path.unlink()
    print(json.dumps({"said": said, "broken": broken, "slowest": slowest, "memory": peak() - start_memory}))


def peak() -> int:
    """The most memory that this process has held, in MB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
