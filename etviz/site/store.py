"""The files of a site, each under a name that changes with its content: no cache can ever mix two versions."""

import hashlib
import json
import re
from pathlib import PurePosixPath

ASSETS = "assets"
DIGITS = 10  # of a hash, in a name


class Store:
    """Files by their path in the site."""

    def __init__(self):
        self.files: dict[str, bytes] = {}

    def add(self, name: str, data: bytes) -> str:
        """Keep a file. Returns its path: ``name`` with the hash of ``data`` before the suffix, under assets/."""
        plain = PurePosixPath(re.sub(r"[^\w.-]+", "-", name))
        path = f"{ASSETS}/{plain.stem}-{digest(data)}{plain.suffix}"
        self.files[path] = data
        return path

    def add_json(self, name: str, data: object) -> str:
        """`add` of data as JSON. Raises `ValueError` for numbers that are not finite."""
        return self.add(name, as_json(data))

    def size(self, *paths: str) -> int:
        """The bytes of some files together."""
        return sum(len(self.files[path]) for path in paths)


def digest(data: bytes) -> str:
    """The hash that goes into a name."""
    return hashlib.sha256(data).hexdigest()[:DIGITS]


def as_json(data: object) -> bytes:
    """JSON without spaces, in which texts keep their letters."""
    return json.dumps(data, allow_nan=False, ensure_ascii=False, separators=(",", ":")).encode()
